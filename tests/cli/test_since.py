"""What a change brings: ``scan --since``, ``scan --accepted``, ``compare``."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path

import pytest

import kit
from kit import run_command

POD = """apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop}
spec: {containers: [{name: c, image: "i:1", securityContext: {privileged: true}}]}
"""
RULES = ("privileged-container", "service-selects-nothing")
SERVICE = """apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "i:1"}]}
"""


def git(*arguments: str) -> None:
    kit.git(Path(), *arguments)


def commit() -> None:
    git("add", "-A")
    git("commit", "-qm", "x")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one privileged pod."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    (tmp_path / "a.yaml").write_text(POD.replace("NAME", "a"))
    commit()
    return tmp_path


def since(revision: str, *arguments: str, paths: tuple[str, ...] = (".",)) -> tuple[int, list[tuple[str, str]], str]:
    """Exit code, (rule, file) of what is reported, standard error."""
    result = run_command("scan", *paths, "--since", revision, "-f", "json", "--allow-incomplete", *arguments)
    found = json.loads(result.stdout)["results"] if result.stdout else []
    named = [(f["rule"], f["location"]["file"]) for f in found if f["rule"] in RULES]
    return result.exit_code, named, result.stderr


def test_what_was_there_is_not_reported_and_what_has_come_is(folder: Path) -> None:
    assert since("HEAD")[:2] == (0, [])
    (folder / "b.yaml").write_text(POD.replace("NAME", "b"))
    code, found, said = since("HEAD")
    assert (code, found) == (1, [("privileged-container", "b.yaml")])
    assert "new: critical privileged-container: Pod shop/b" in said
    commit()
    assert since("HEAD")[:2] == (0, [])
    assert since("HEAD~1")[1] == found


def test_a_moved_file_and_inserted_lines_bring_nothing(folder: Path) -> None:
    (folder / "apps").mkdir()
    (folder / "apps" / "z.yaml").write_text("# moved\n\n" + (folder / "a.yaml").read_text())
    (folder / "a.yaml").unlink()
    code, found, said = since("HEAD")
    assert (code, found) == (0, [])
    assert " 0 fixed" in said


def test_the_same_object_in_another_file_is_new_there(folder: Path) -> None:
    """Another copy, in a folder that comes first: what is new stands in the new file."""
    (folder / "0").mkdir()
    (folder / "0" / "a.yaml").write_text(POD.replace("NAME", "a"))
    assert since("HEAD")[1] == [("privileged-container", "0/a.yaml")]


def test_a_finding_in_a_file_that_did_not_change_is_new_where_another_caused_it(folder: Path) -> None:
    (folder / "service.yaml").write_text(SERVICE)
    (folder / "web.yaml").write_text(WEB)
    commit()
    (folder / "web.yaml").write_text(WEB.replace("app: web}", "app: site}"))
    found = since("HEAD", "-p", "strict", paths=("service.yaml", "web.yaml"))[1]
    assert found == [("service-selects-nothing", "service.yaml")]


def test_what_is_mended_is_told(folder: Path) -> None:
    (folder / "a.yaml").write_text(POD.replace("NAME", "a").replace("true", "false"))
    code, found, said = since("HEAD")
    assert (code, found) == (0, [])
    assert "fixed: critical privileged-container: Pod shop/a" in said


def test_three_dots_are_since_the_work_left(folder: Path) -> None:
    git("checkout", "-q", "-b", "work")
    (folder / "b.yaml").write_text(POD.replace("NAME", "b"))
    commit()
    git("checkout", "-q", "main")
    (folder / "a.yaml").write_text(POD.replace("NAME", "a").replace("true", "false"))
    commit()
    git("checkout", "-q", "work")
    assert [file for _, file in since("main")[1]] == ["a.yaml", "b.yaml"]
    assert [file for _, file in since("main...")[1]] == ["b.yaml"]


def test_paths_patterns_and_working_directories(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "apps").mkdir()
    (folder / "apps" / "b.yml").write_text(POD.replace("NAME", "b"))
    commit()
    (folder / "apps" / "c.yaml").write_text(POD.replace("NAME", "c"))
    new = [("privileged-container", "apps/c.yaml")]
    assert since("HEAD", paths=("apps",))[1] == new
    assert since("HEAD", paths=("a.yaml",))[1] == []
    assert since("HEAD", paths=("apps/*.y*ml",))[1] == new
    assert since("HEAD", paths=(str(folder / "apps"), "a.yaml"))[1] == new
    # Not there at that revision.
    assert since("HEAD", paths=("apps/c.yaml",))[1] == new
    monkeypatch.chdir(folder / "apps")
    assert since("HEAD", paths=("..",))[1] == [("privileged-container", "../apps/c.yaml")]


def test_ignored_and_linked_files(folder: Path) -> None:
    (folder / ".gitignore").write_text("a.yaml\nb.yaml\n")
    (folder / ".kubeassayignore").write_text("c.yaml\n")
    (folder / "c.yaml").write_text(POD.replace("NAME", "c"))
    (folder / "link.yaml").symlink_to("a.yaml")
    (folder / "out.yaml").symlink_to("/etc/hostname")
    commit()
    (folder / "b.yaml").write_text(POD.replace("NAME", "b"))
    assert since("HEAD")[:2] == (0, [])
    (folder / ".kubeassayignore").write_text("")
    assert since("HEAD")[1] == [("privileged-container", "c.yaml")]


def test_nothing_of_a_repository_is_run(folder: Path) -> None:
    (folder / ".gitattributes").write_text("*.yaml filter=evil diff=evil\n")
    commit()
    for key in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.pager"):
        git("config", key, f"touch {folder}/ran; cat")
    (folder / ".git" / "hooks").mkdir(exist_ok=True)
    for hook in ("post-checkout", "pre-auto-gc", "post-index-change"):
        (folder / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
        (folder / ".git" / "hooks" / hook).chmod(0o755)
    assert since("HEAD")[:2] == (0, [])
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([".", "--since", "gone"], "has no such revision"),
        ([".", "--since", "--help"], "has no such revision"),
        ([".", "--since", "gone..."], "has no such revision"),
        (["-", "--since", "HEAD"], "--since is for paths of a git repository"),
        ([".", "--since", "HEAD", "--compare", "r.json"], "both say what to compare with"),
        (["/usr/lib", "--since", "HEAD"], "not a git repository"),
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str], said: str) -> None:
    result = run_command("scan", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_no_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert "needs git" in since("HEAD")[2]


def test_a_shallow_clone_says_what_it_lacks(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_twice = (folder / "a.yaml").read_text() + "# more\n"
    (folder / "a.yaml").write_text(commit_twice)
    commit()
    git("clone", "-q", "--depth", "1", f"file://{folder}", "clone")
    monkeypatch.chdir(folder / "clone")
    code, _, said = since("HEAD~1")
    assert code == 2
    assert "a shallow clone has few" in said


# --- accepted findings ---


def test_what_is_recorded_is_accepted_and_what_is_new_is_not(folder: Path) -> None:
    assert run_command("scan", "a.yaml", "-o", "accepted=old.json").exit_code == 1
    assert run_command("scan", "a.yaml", "--accepted", "old.json", "--allow-incomplete").exit_code == 0
    (folder / "b.yaml").write_text(POD.replace("NAME", "b"))
    result = run_command("scan", "a.yaml", "b.yaml", "--accepted", "old.json", "-f", "json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert {f["object"]["name"] for f in document["results"] if f["outcome"] == "fail"} == {"b"}
    assert {f["exception"] for f in document["results"] if f["outcome"] == "excepted"} == {"accepted"}
    by_severity = document["summary"]["bySeverity"]
    assert sum(by_severity.values()) == document["summary"]["fail"]


def test_a_second_copy_is_not_accepted_with_the_first(folder: Path) -> None:
    run_command("scan", "a.yaml", "-o", "accepted=old.json")
    (folder / "copy.yaml").write_text((folder / "a.yaml").read_text())
    assert run_command("scan", ".", "--accepted", "old.json").exit_code == 1


def test_the_record_holds_what_is_still_there_and_is_one_line_a_finding(folder: Path) -> None:
    run_command("scan", "a.yaml", "-o", "accepted=old.json")
    run_command("scan", "a.yaml", "--accepted", "old.json", "-o", "accepted=again.json")
    assert (folder / "again.json").read_bytes() == (folder / "old.json").read_bytes()
    lines = (folder / "old.json").read_text().splitlines()
    assert len(lines) == len(json.loads((folder / "old.json").read_text())["findings"]) + 2
    (folder / "a.yaml").write_text(POD.replace("NAME", "a").replace("true", "false"))
    result = run_command("scan", "a.yaml", "--accepted", "old.json", "--allow-incomplete", "-o", "accepted=new.json")
    assert "no longer found" in result.stderr
    assert "privileged" not in (folder / "new.json").read_text()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b'{"apiVersion": "kubeassay.dev/v1", "kind": "Accepted", "findings": [1]}']
)
def test_what_is_no_record_is_told(folder: Path, content: bytes) -> None:
    (folder / "old.json").write_bytes(content)
    result = run_command("scan", "a.yaml", "--accepted", "old.json")
    assert result.exit_code == 2
    assert "--accepted old.json: " in result.stderr
    assert "--accepted gone.json: cannot be read" in run_command("scan", ".", "--accepted", "gone.json").stderr


# --- compare ---


def test_two_results_are_compared(folder: Path) -> None:
    run_command("scan", "a.yaml", "-o", "json=old.json")
    (folder / "a.yaml").write_text(POD.replace("NAME", "b"))
    run_command("scan", "a.yaml", "-o", "json=new.json")
    result = run_command("compare", "old.json", "new.json")
    assert result.exit_code == 1
    assert "new: critical privileged-container: Pod shop/b" in result.stdout
    assert "fixed: critical privileged-container: Pod shop/a" in result.stdout
    assert run_command("compare", "new.json", "new.json", "--allow-incomplete").exit_code == 0
    assert run_command("compare", "old.json", "new.json", "--fail-on", "none", "--allow-incomplete").exit_code == 0
    document = json.loads(run_command("compare", "old.json", "new.json", "-f", "json").stdout)
    assert {(f["rule"], f["object"]["name"]) for f in document["new"]} >= {("privileged-container", "b")}
    assert {f["file"] for f in document["fixed"]} == {"a.yaml"}


def test_what_is_no_result_is_told(folder: Path) -> None:
    result = run_command("compare", "a.yaml", "a.yaml")
    assert result.exit_code == 2
    assert "a.yaml: is not a result of kubeassay" in result.stderr


def stored(kind: str, content: bytes) -> str:
    """Put an object into the repository as it is: git itself would refuse to make some."""
    data = f"{kind} {len(content)}\0".encode() + content
    number = hashlib.sha1(data).hexdigest()
    file = Path(".git/objects", number[:2], number[2:])
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_bytes(zlib.compress(data))
    return number


def tree(*entries: tuple[str, str, str]) -> str:
    return stored(
        "tree", b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(number) for mode, name, number in entries)
    )


def evil(*entries: tuple[str, str, str]) -> None:
    """A revision ``evil`` with such a tree."""
    about = f"tree {tree(*entries)}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n"
    Path(".git/refs/heads/evil").write_text(stored("commit", about.encode()) + "\n")


FILE, LINK, FOLDER = "100644", "120000", "40000"


def test_a_commit_that_git_would_not_make_writes_nothing_outside_of_the_copy(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    outside = tmp_path_factory.mktemp("outside")
    pod = stored("blob", POD.encode())
    deep = (FOLDER, "a", tree((FOLDER, "b", tree((FOLDER, "c", tree((LINK, "d", stored("blob", b"../../../z"))))))))
    z = (FOLDER, "z", tree((FILE, "a.yaml", pod)))
    out = stored("blob", os.fsencode(f"a/b/c/d/../../../{outside.parent.name}/{outside.name}"))
    for entries in (
        [(FOLDER, "..", tree((FILE, "x.yaml", pod)))],
        [(FILE, f"{outside}/x.yaml", pod)],
        [deep, (LINK, "t", out), (FOLDER, "t", tree((FILE, "x.yaml", pod))), z],
        [deep, (FOLDER, "t", tree((FILE, "x.yaml", pod))), (LINK, "t", out), z],
        [deep, (LINK, "t.yaml", out), (FILE, "t.yaml", pod), z],
        [(FILE, "a.yaml", pod), (FOLDER, "a.yaml", tree((FILE, "b.yaml", pod)))],
        [(FILE, "a.yaml", pod), (FILE, "a.yaml", pod)],
        [(FOLDER, ".git", tree((FILE, "x.yaml", pod)))],
        [(FILE, "a" * 300 + ".yaml", pod)],
        [(FILE, "a.yaml", "1" * 40)],
        [(LINK, "l.yaml", stored("blob", b"x\0y")), (LINK, "m.yaml", stored("blob", b"q" * 5000))],
    ):
        evil(*entries)
        result = run_command("scan", ".", "--since", "evil")
        assert result.exit_code in (1, 2)
        assert result.exit_code == 1 or result.stderr.startswith("--since: ")
        assert (list(outside.iterdir()), list(temporary.iterdir())) == ([], [])


def test_a_link_out_of_the_copy_by_way_of_others_is_not_followed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (temporary / "there").mkdir()
    (temporary / "there" / "a.yaml").write_text((folder / "a.yaml").read_text())
    deep = (FOLDER, "a", tree((FOLDER, "b", tree((FOLDER, "c", tree((LINK, "d", stored("blob", b"../../../z"))))))))
    z = (FOLDER, "z", tree((FILE, "x.txt", stored("blob", b""))))
    evil(deep, (LINK, "t", stored("blob", b"a/b/c/d/../../there")), z)
    for name in "taz":
        (folder / name).mkdir()
    (folder / "a.yaml").rename(folder / "t" / "a.yaml")
    assert since("evil", paths=("t", "a", "z"))[1] == [("privileged-container", "t/a.yaml")]


def test_in_a_hook_the_paths_say_which_repository_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "m").mkdir()
    (folder / "m" / "b.yaml").write_text(POD.replace("NAME", "a"))
    monkeypatch.setenv("GIT_DIR", str(folder / ".git"))
    assert since("HEAD", paths=("m",))[1] == [("privileged-container", "m/b.yaml")]


def test_what_stands_above_a_path_holds_on_both_sides(folder: Path) -> None:
    (folder / "m" / "ignored").mkdir(parents=True)
    (folder / "m" / "ignored" / "b.yaml").write_text(POD.replace("NAME", "b"))
    (folder / "m" / "kustomization.yaml").write_text("patches: [{path: p.yaml}]\n")
    (folder / "m" / "p.yaml").write_text(POD.replace("NAME", "p"))
    (folder / ".kubeassayignore").write_text("m/ignored/\n")
    commit()
    # The same pods, where they are read.
    for name in "bp":
        (folder / "m" / f"new-{name}.yaml").write_text(POD.replace("NAME", name))
    found = since("HEAD", paths=("m",))[1]
    assert found == [("privileged-container", f"m/new-{name}.yaml") for name in "bp"]
    assert since("HEAD", paths=("m/p.yaml", "m/new-p.yaml"))[1] == [("privileged-container", "m/new-p.yaml")]


def test_ignore_files_around_the_folder_for_temporary_files_are_not_about_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tmp").mkdir()
    (folder / ".gitignore").write_text("*.yaml\n")
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    assert since("HEAD")[:2] == (0, [])


def test_a_comparison_in_json_holds_no_command_to_a_runner(folder: Path) -> None:
    name = "##[error]said"
    run_command("scan", "a.yaml", "-o", "json=old.json")
    (folder / "b.yaml").write_text(POD.replace("NAME", f"'{name}'"))
    run_command("scan", ".", "-o", "json=new.json")
    said = run_command("compare", "old.json", "new.json", "-f", "json").stdout
    assert name not in said
    assert name in {finding["object"]["name"] for finding in json.loads(said)["new"]}
