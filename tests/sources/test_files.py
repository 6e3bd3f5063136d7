"""Which files of a tree are read, which are not, and that each of those is named with its reason."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kit import failing, plan_of, profile_of
from kubeassay.execution.scan import scan
from kubeassay.model import Target
from kubeassay.sources.files import Discovery, SourceFile, UsageError, discover, display_name
from kubeassay.sources.manifests import read_file

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture(autouse=True)
def _in_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    monkeypatch.chdir(tree)


def put(name: str, text: str = OBJECT) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(*arguments: str, **options: bool | int) -> Discovery:
    return discover(arguments or (".",), **options)  # type: ignore[arg-type]


def names(discovery: Discovery) -> set[str]:
    return {file.name for file in discovery.files}


def skips(discovery: Discovery) -> set[tuple[str, str]]:
    return {(skip.file, skip.reason) for skip in discovery.skipped}


def errors(discovery: Discovery) -> set[tuple[str, str]]:
    return {(error.file, error.message) for error in discovery.errors}


# --- names and arguments ---


def test_extensions_in_any_case() -> None:
    for name in (
        "a.yaml",
        "b.YAML",
        "c.Yml",
        "d.Json",
        "e.txt",
        "f.yaml.bak",
        "yaml",
        ".hidden.yaml",
        "sub/.dir/g.yaml",
    ):
        put(name)
    assert names(found()) == {"a.yaml", "b.YAML", "c.Yml", "d.Json", ".hidden.yaml", "sub/.dir/g.yaml"}


def test_files_come_in_one_order() -> None:
    for name in ("b.yaml", "a/c.yaml", "a.yaml", "Z.yaml"):
        put(name)
    assert [f.name for f in found().files] == [f.name for f in found("b.yaml", "a", ".").files]
    assert [f.name for f in found().files] == sorted(f.name for f in found().files)


def test_a_file_that_is_named_is_read_whatever_its_name() -> None:
    put("pod.txt")
    put(".gitignore", "*.txt\n")
    assert names(found("pod.txt")) == {"pod.txt"}


def test_a_file_that_is_named_twice_is_read_once() -> None:
    put("a/b.yaml")
    assert [f.name for f in found("a/b.yaml", "./a/../a/b.yaml", "a", ".").files] == ["a/b.yaml"]


def test_globs() -> None:
    for name in ("a/x.yaml", "a/b/y.yaml", "c.yaml", "c.json"):
        put(name)
    assert names(found("*.yaml")) == {"c.yaml"}
    assert names(found("**/*.yaml")) == {"a/x.yaml", "a/b/y.yaml", "c.yaml"}
    assert names(found("a/*")) == {"a/x.yaml", "a/b/y.yaml"}
    assert names(found("[a]")) == {"a/x.yaml", "a/b/y.yaml"}


def test_a_name_that_is_also_a_pattern() -> None:
    put("[a].yaml")
    put("a.yaml")
    assert names(found("[a].yaml")) == {"[a].yaml"}


@pytest.mark.parametrize("argument", ["missing.yaml", "missing/", "*.none", "", "a\0b"])
def test_what_does_not_exist_is_wrong_usage(argument: str) -> None:
    with pytest.raises(UsageError):
        found(argument)


@pytest.mark.parametrize(
    "name", ["a b.yaml", "a\nb.yaml", "a\tb\x1b[31m.yaml", "-a.yaml", "é\U0001f600.yaml", "%41.yaml", "a#b.yaml"]
)
def test_odd_file_names(name: str) -> None:
    put(name)
    (file,) = found().files
    assert file.name == name
    assert read_file(file).objects


def test_file_names_that_are_no_text() -> None:
    put(os.fsdecode(b"a\xff.yaml"))
    (file,) = found().files
    assert file.name == "a\\xff.yaml"
    file.name.encode()
    assert read_file(file).objects


def test_names_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    put("a.yaml")
    (tmp_path / "b.yaml").write_text(OBJECT)
    assert names(found(str(tmp_path))) == {"a.yaml", "../b.yaml"}
    assert display_name("./x/../a.yaml") == "a.yaml"


# --- ignore files ---


def test_ignore_files_nested_and_negated() -> None:
    put(".gitignore", "*.gen.yaml\n/out/\n!keep.gen.yaml\n# comment\n\nlogs/**/x.yaml\n")
    put("sub/.gitignore", "!back.gen.yaml\nlocal.yaml\n")
    put("sub/.kubeassayignore", "policy.yaml\n!sub.gen.yaml\n")
    for name in ("a.gen.yaml", "keep.gen.yaml", "out/a.yaml", "sub/out/a.yaml", "sub/back.gen.yaml", "sub/local.yaml"):
        put(name)
    for name in (
        "local.yaml",
        "sub/policy.yaml",
        "policy.yaml",
        "sub/sub.gen.yaml",
        "logs/a/b/x.yaml",
        "logs/a/y.yaml",
    ):
        put(name)
    assert names(found()) == {
        *("keep.gen.yaml", "sub/out/a.yaml", "sub/back.gen.yaml", "local.yaml", "policy.yaml", "sub/sub.gen.yaml"),
        "logs/a/y.yaml",
    }
    assert skips(found()) == {
        *(("a.gen.yaml", "ignored"), ("out", "ignored"), ("sub/local.yaml", "ignored"), ("sub/policy.yaml", "ignored")),
        ("logs/a/b/x.yaml", "ignored"),
    }


def test_a_file_in_an_ignored_directory_cannot_be_taken_back() -> None:
    put(".gitignore", "out/\n!out/a.yaml\n")
    put("out/a.yaml")
    assert skips(found()) == {("out", "ignored")}


def test_no_ignore_reads_everything() -> None:
    put(".gitignore", "*.yaml\n")
    put("sub/.kubeassayignore", "*\n")
    put("a.yaml")
    put("sub/b.yaml")
    assert names(found(ignore=False)) == {"a.yaml", "sub/b.yaml"}


def test_ignore_files_above_the_tree_count_up_to_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("b.yaml\n")
    put(".gitignore", "c.yaml\n")
    for name in ("sub/a.yaml", "sub/b.yaml", "sub/c.yaml"):
        put(name)
    # Outside of any repository, what is above the tree is none of its business.
    assert names(found("sub")) == {"sub/a.yaml", "sub/b.yaml", "sub/c.yaml"}
    Path(".git").mkdir()
    assert names(found("sub")) == {"sub/a.yaml", "sub/b.yaml"}
    Path(".git").rmdir()
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    assert names(found("sub")) == {"sub/a.yaml"}


def test_an_ignored_directory_that_is_named_is_read() -> None:
    """Rendered manifests are seldom committed."""
    Path(".git").mkdir()
    put(".gitignore", "rendered/\n")
    put("rendered/a.yaml")
    put("rendered/.gitignore", "b.yaml\n")
    put("rendered/b.yaml")
    assert names(found(".")) == set()
    assert names(found("rendered")) == {"rendered/a.yaml"}


@pytest.mark.parametrize("pointer", ["gitdir: a\0b", "", "gitdir: /dev", "gitdir: missing", "x" * 10_000, "\ud800"])
def test_odd_pointers_to_a_repository(pointer: str) -> None:
    Path(".git").write_bytes(pointer.encode("utf-8", "surrogatepass"))
    put(".gitignore", "a.yaml\n")
    put("a.yaml")
    put("b.yaml")
    assert names(found()) == {"b.yaml"}


@pytest.mark.parametrize(
    "index", [b"", b"DIRC", b"DIRC" + b"\xff" * 200, b"DIRC\0\0\0\4\0\0\0\7" + b"\xff" * 200, None]
)
def test_odd_indices_of_a_repository(index: bytes | None) -> None:
    Path(".git").mkdir()
    if index is None:
        os.mkfifo(".git/index")
    else:
        Path(".git/index").write_bytes(index)
    put(".gitignore", "a.yaml\n")
    put("a.yaml")
    assert names(found()) == set()


def test_links_are_ignored_as_files_are() -> None:
    put("data.txt")
    put(".gitignore", "link.yaml\n")
    Path("link.yaml").symlink_to("data.txt")
    assert (names(found()), skips(found())) == (set(), {("link.yaml", "ignored")})


def test_an_ignore_file_that_is_no_file() -> None:
    os.mkfifo(".gitignore")
    put("a.yaml")
    assert names(found()) == {"a.yaml"}


def test_the_folder_of_the_repository_is_not_read() -> None:
    put(".git/a.yaml")
    put(".github/workflows/a.yaml")
    assert names(found()) == {".github/workflows/a.yaml"}


# --- charts and kustomizations ---


def chart(folder: str = "chart") -> None:
    put(f"{folder}/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n")
    put(f"{folder}/values.yaml", "image: a\n")
    put(f"{folder}/values-prod.yaml", "image: b\n")
    put(f"{folder}/values.schema.json", "{}\n")
    put(f"{folder}/templates/deployment.yaml", "{{ .Values.image }}\n")
    put(f"{folder}/templates/sub/service.yaml", OBJECT)
    put(f"{folder}/crds/crd.yaml")


def test_a_chart() -> None:
    chart()
    chart("chart/charts/child")
    read = found()
    templates = {("deployment.yaml", "helm-template"), ("sub/service.yaml", "helm-template")}
    assert skips(read) == {
        (f"{folder}/templates/{name}", reason)
        for folder in ("chart", "chart/charts/child")
        for name, reason in templates
    }
    by_content = {
        (skip.file.removeprefix("chart/charts/child/").removeprefix("chart/"), skip.reason)
        for file in read.files
        for skip in read_file(file).skipped
    }
    assert by_content == {
        ("Chart.yaml", "not-kubernetes"),
        ("values.yaml", "helm-values"),
        ("values-prod.yaml", "helm-values"),
        ("values.schema.json", "not-kubernetes"),
    }
    assert {file.name for file in read.files if read_file(file).objects} == {
        "chart/crds/crd.yaml",
        "chart/charts/child/crds/crd.yaml",
    }


@pytest.mark.parametrize(
    "name",
    ["values.yaml", "values-prod.yaml", "Chart.yaml", "values.schema.json", "kustomization.yaml", "Kustomization"],
)
def test_an_object_is_not_hidden_by_the_name_of_its_file(name: str) -> None:
    put("Chart.yaml")
    put(name)
    assert [o.ref.name for file in found().files if file.name == name for o in read_file(file).objects] == ["a"]


def test_values_without_a_chart_are_judged_by_what_they_hold() -> None:
    put("values.yaml")
    put("templates/a.yaml")
    assert names(found()) == {"values.yaml", "templates/a.yaml"}


def test_a_template_that_is_named_is_not_judged() -> None:
    chart()
    assert skips(found("chart/templates/deployment.yaml")) == {("chart/templates/deployment.yaml", "helm-template")}


KUSTOMIZATION = """\
resources: [both.yaml, base, https://example.com/x.yaml]
patches:
  - path: patch.yaml
  - path: both.yaml
  - path: ./sub/../deep/patch.yaml
  - patch: |-
      - op: remove
        path: /inline.yaml
patchesStrategicMerge:
  - old.yaml
  - |
    inline.yaml
patchesJson6902: [{path: json.yaml, target: {kind: Pod}}]
configurations: [configuration.yaml]
transformers: [transformer.yaml]
"""
PATCHES = {"patch.yaml", "deep/patch.yaml", "old.yaml", "json.yaml", "configuration.yaml", "transformer.yaml"}


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_patches(name: str) -> None:
    put(name, KUSTOMIZATION)
    for file in (*PATCHES, "both.yaml", "inline.yaml", "other.yaml"):
        put(file)
    read = found()
    assert skips(read) == {(patch, "kustomize-patch") for patch in PATCHES}
    assert names(read) == {"both.yaml", "inline.yaml", "other.yaml", name}
    (own,) = (file for file in read.files if file.name == name)
    assert {skip.reason for skip in read_file(own).skipped} == {"kustomization"}
    assert not read_file(own).errors


def test_a_resource_of_one_kustomization_is_not_hidden_by_another() -> None:
    put("a/kustomization.yaml", "resources: [pod.yaml]\n")
    put("a/pod.yaml")
    put("b/kustomization.yaml", "patches: [{path: ../a/pod.yaml}]\n")
    assert "a/pod.yaml" in names(found())


def test_a_patch_that_is_named_by_itself() -> None:
    put("kustomization.yaml", "patches: [{path: patches/a.yaml}]\n")
    put("patches/a.yaml")
    assert skips(found("patches/a.yaml")) == {("patches/a.yaml", "kustomize-patch")}


@pytest.mark.parametrize(
    "text",
    [
        'patches: [{path: "a\\0b.yaml"}, 1, {path: 2}, null]\n',
        "patches: {a: b}\nresources: x\n",
        "- a\n",
        "patches: [\n",
        "a: \x00\n",
        "patches: [{path: " + "x" * 5000 + "}]\n",
        "patchesStrategicMerge: ['', '/', '..']\n",
    ],
)
def test_odd_kustomizations(text: str) -> None:
    put("kustomization.yaml", text)
    put("a.yaml")
    assert names(found()) == {"a.yaml", "kustomization.yaml"}


# --- links, and what is not a file ---


def test_a_link_within_the_tree_is_the_same_file() -> None:
    put("a.yaml")
    Path("b.yaml").symlink_to("a.yaml")
    assert (names(found()), skips(found())) == ({"a.yaml"}, {("b.yaml", "symlink")})


def test_a_link_to_a_file_that_is_not_read_otherwise() -> None:
    put("data.txt")
    Path("b.yaml").symlink_to("data.txt")
    assert names(found()) == {"b.yaml"}


@pytest.mark.parametrize("target", ["../outside.yaml", "/etc/passwd", "/dev/zero"])
def test_a_link_out_of_the_tree(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.yaml").write_text(OBJECT)
    Path("b.yaml").symlink_to(target)
    assert errors(found()) == {("b.yaml", "is a symbolic link out of the scanned tree; it is not followed")}
    assert names(found()) == set()


def test_a_link_that_is_named_is_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(OBJECT)
    Path("b.yaml").symlink_to("../outside.yaml")
    assert names(found("b.yaml")) == {"b.yaml"}


@pytest.mark.parametrize("target", ["b.yaml", "missing.yaml"])
def test_a_link_to_itself_or_to_nothing(target: str) -> None:
    Path("b.yaml").symlink_to(target)
    assert errors(found()) == {("b.yaml", "is a symbolic link to nothing, or to itself")}


def test_linked_directories(tmp_path: Path) -> None:
    put("a/a.yaml")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.yaml").write_text(OBJECT)
    Path("empty").mkdir()
    Path("a/loop").symlink_to("..")
    Path("a/self").symlink_to(".")
    Path("b").symlink_to("a")
    Path("c").symlink_to("empty")
    Path("out").symlink_to("../outside")
    Path("up").symlink_to("../..")
    read = found()
    assert names(read) == {"a/a.yaml"}
    assert skips(read) == {("a/loop", "symlink"), ("a/self", "symlink"), ("b", "symlink"), ("c", "symlink")}
    assert {file for file, _ in errors(read)} == {"out", "up"}


def test_a_linked_directory_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.yaml").write_text(OBJECT)
    Path("out").symlink_to("../outside")
    assert names(found("out")) == {"out/x.yaml"}


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo("fifo.yaml")
    Path("folder.yaml").mkdir()
    put("folder.yaml/a.yaml")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.yaml")
        read = found()
    assert errors(read) == {("fifo.yaml", "is not a regular file"), ("s.yaml", "is not a regular file")}
    assert names(read) == {"folder.yaml/a.yaml"}


def test_a_directory_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    put("closed/a.yaml")
    put("open/b.yaml")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    read = found()
    assert errors(read) == {("closed", "cannot be read: Permission denied")}
    assert names(read) == {"open/b.yaml"}


# --- sizes ---


def test_a_large_file_is_refused_before_it_is_read() -> None:
    with put("a.yaml", "").open("wb") as stream:
        stream.truncate(50 * 2**20)
    ((file, message),) = errors(found())
    assert file == "a.yaml"
    assert "larger than 32 MiB (50 MiB)" in message
    assert "--max-file-size" in message
    assert names(found(max_file_size=50 * 2**20)) == {"a.yaml"}


# --- between discovery and reading ---


def test_a_file_that_vanishes() -> None:
    put("a.yaml")
    (file,) = found().files
    Path("a.yaml").unlink()
    assert [error.message for error in read_file(file).errors] == ["cannot be read: No such file or directory"]


def test_a_file_that_shrinks() -> None:
    put("a.yaml", OBJECT * 1)
    (file,) = found().files
    put("a.yaml", "")
    assert [skip.reason for skip in read_file(file).skipped] == ["empty"]


@pytest.mark.parametrize("becomes", ["fifo", "directory"])
def test_a_file_that_becomes_something_else(becomes: str) -> None:
    put("a.yaml")
    (file,) = found().files
    Path("a.yaml").unlink()
    if becomes == "fifo":
        os.mkfifo("a.yaml")
    else:
        Path("a.yaml").mkdir()
    assert [error.message for error in read_file(file).errors] == ["is not a regular file"]


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    put("a.yaml")
    (file,) = found().files

    def refuse(*_arguments: object, **_options: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert [error.message for error in read_file(file).errors] == ["cannot be read: Permission denied"]


def test_reading_leaves_no_descriptors_open() -> None:
    put("a.yaml")
    Path("folder").mkdir()
    os.mkfifo("fifo")
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("no /proc here")
    before = {path.name for path in descriptors.iterdir()}
    for path in ("a.yaml", "folder", "fifo", "missing"):
        for _ in range(5):
            read_file(SourceFile(path, path, 0))
    assert {path.name for path in descriptors.iterdir()} == before


def test_texts_that_are_no_files_are_scanned_under_their_names() -> None:
    """What an API server gave, say: places are those of the text, under the name that it was given."""
    name, other = "api/v1/namespaces/shop/pods/web", "api/v1/namespaces/shop/configmaps/a"
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {hostPID: true, containers: []}\n"
    files = [SourceFile("", at, len(text), content=text.encode()) for at, text in ((name, pod), (other, OBJECT))]
    # One rule reads the text once, the other finds its object again.
    plan = plan_of(profile_of("host-namespaces", "namespace-without-isolation"))
    result = scan(plan, Discovery(files), Target("cluster", "test"))
    assert {(f.rule, f.location.file, f.location.start_line) for f in failing(result)} == {
        ("host-namespaces", name, 4),
        ("namespace-without-isolation", name, 3),
    }
    assert result.summary.objects == 2
