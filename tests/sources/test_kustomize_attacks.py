"""What a kustomization must not do, and what is told of one that cannot be built: with the real Kustomize.

Each ends with one clear message at its file, and exit code 3; nothing hangs, nothing is lost of the rest of the tree.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from kit import give_program, run_command

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop}
spec: {containers: [{name: c, image: "i:1", securityContext: {privileged: true}}]}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"
OUTSIDE = "OUTSIDE-b2c1"


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what no kustomization may read beside it. What is outside of the kustomization's folder is
    judged all the same."""
    give_program("kustomize", monkeypatch)
    root = tmp_path / "tree"
    root.mkdir()
    monkeypatch.chdir(root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.yaml").write_text(MAP.replace("NAME", OUTSIDE))
    (outside / "secret.txt").write_text(OUTSIDE)
    (outside / "kustomization.yaml").write_text("resources: [secret.yaml]\n")
    _put("plain.yaml", POD.replace("NAME", "plain"))
    return root


def _put(name: str, text: str | bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def _scanned(*arguments: str, path: str = ".") -> tuple[dict[str, Any], int]:
    began = time.monotonic()
    done = run_command("scan", "--render", "-f", "json", "--fail-on", "none", *arguments, path)
    # Nothing waits for what does not come.
    assert time.monotonic() - began < 60
    assert "Traceback" not in done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert OUTSIDE not in done.stdout
    return found, done.exit_code


def _refused(*arguments: str) -> tuple[str, int | None, str]:
    """The place and the words of the one error of a tree; the rest is judged."""
    result, code = _scanned(*arguments)
    assert code == 3
    assert "plain" in {finding["object"]["name"] for finding in result["results"]}
    (error,) = result["errors"]
    assert "\n" not in error["message"]
    return error["file"], error.get("line"), error["message"]


def test_a_cycle_of_bases() -> None:
    _put("top/kustomization.yaml", "resources: [../a]\nnamePrefix: x-\n")
    _put("a/kustomization.yaml", "resources: [../b]\n")
    _put("b/kustomization.yaml", "resources:\n  - ../a\n")
    file, line, message = _refused()
    assert (file, line) == ("b/kustomization.yaml", 2)
    assert "cycle" in message


def test_a_kustomization_that_names_itself() -> None:
    _put("a/kustomization.yaml", "namePrefix: x-\nresources: [.]\n")
    file, line, message = _refused()
    assert (file, line) == ("a/kustomization.yaml", 2)
    assert "cycle" in message


@pytest.mark.parametrize(
    "key",
    ["resources: [fifo.yaml]", "patches: [{path: fifo.yaml}]", "configMapGenerator: [{name: a, files: [fifo.yaml]}]"],
)
def test_a_fifo_is_not_opened(key: str) -> None:
    _put(
        "a/kustomization.yaml",
        f"namePrefix: x-\nresources: [m.yaml]\n{key}\n".replace(
            "resources: [m.yaml]\nresources: [", "resources: [m.yaml, "
        ),
    )
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    os.mkfifo("a/fifo.yaml")
    result, code = _scanned()
    assert code == 3
    assert any("fifo.yaml" in error["file"] or "fifo.yaml" in error["message"] for error in result["errors"])


def test_a_kustomization_that_is_a_fifo_or_a_folder() -> None:
    Path("a").mkdir()
    os.mkfifo("a/kustomization.yaml")
    Path("b/kustomization.yaml").mkdir(parents=True)
    result, _ = _scanned()
    assert "plain" in {finding["object"]["name"] for finding in result["results"]}


@pytest.mark.parametrize(
    "reference",
    [
        "https://git.example/shop/base",
        "https://git.example/shop/base?ref=v1",
        "git@git.example:shop/base.git",
        "ssh://git@git.example/shop/base",
        "github.com/shop/base//deploy?ref=v1.0",
        "git::https://git.example/shop/base",
        "https://files.example/web.yaml",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("key", ["resources", "components"])
def test_nothing_is_loaded_from_elsewhere(reference: str, key: str) -> None:
    _put("a/kustomization.yaml", f"namePrefix: x-\n{key}:\n  - {reference}\n")
    file, line, message = _refused()
    assert (file, line) == ("a/kustomization.yaml", 3)
    assert reference in message or "--allow-network" in message


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("resources: [../../outside/secret.yaml]", "path"),
        ("resources: [../../outside]", "folder"),
        ("resources: [linked.yaml]", "link"),
        ("resources: [linked]", "link to a folder"),
        ("configMapGenerator: [{name: a, files: [../../outside/secret.txt]}]", "generated"),
        ("configMapGenerator: [{name: a, files: [linked.txt]}]", "generated by a link"),
        ("configMapGenerator: [{name: a, envs: [../../outside/secret.txt]}]", "variables"),
        ("patches: [{path: ../../outside/secret.yaml}]", "patch"),
        ("transformers: [../../outside/secret.yaml]", "transformer"),
        ("crds: [../../outside/secret.txt]", "definitions"),
    ],
)
def test_nothing_is_read_outside_of_the_tree(key: str, kind: str, tmp_path: Path) -> None:
    _put("a/kustomization.yaml", f"namePrefix: x-\n{key}\n")
    if "link" in kind:
        Path("a/linked.yaml").symlink_to(tmp_path / "outside" / "secret.yaml")
        Path("a/linked.txt").symlink_to(tmp_path / "outside" / "secret.txt")
        Path("a/linked").symlink_to(tmp_path / "outside")
    result, code = _scanned()
    assert code == 3
    assert {error["file"].partition("/")[0] for error in result["errors"]} <= {"a"}
    assert result["errors"]


def test_an_absolute_path_is_not_read(tmp_path: Path) -> None:
    _put("a/kustomization.yaml", f"namePrefix: x-\nresources: [{tmp_path}/outside/secret.yaml]\n")
    assert _refused()[:2] == ("a/kustomization.yaml", 2)


@pytest.mark.parametrize(
    "function",
    [
        "annotations: {config.kubernetes.io/function: 'exec: {path: ./run.sh}'}",
        "annotations: {config.kubernetes.io/function: 'container: {image: evil:1, network: true}'}",
        "annotations: {config.kubernetes.io/function: 'starlark: {path: run.star}'}",
    ],
)
@pytest.mark.parametrize("key", ["generators", "transformers", "validators"])
def test_no_function_runs(function: str, key: str, tmp_path: Path) -> None:
    _put("a/run.sh", f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    Path("a/run.sh").chmod(0o755)
    _put("a/run.star", "print('x')\n")
    _put("a/f.yaml", f"apiVersion: example.com/v1\nkind: Run\nmetadata:\n  name: run\n  {function}\n")
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    _put("a/kustomization.yaml", f"resources: [m.yaml]\n{key}: [f.yaml]\n")
    assert _refused()[0].startswith("a/")
    assert not (tmp_path / "ran").exists()


def test_no_plugin_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = tmp_path / "config" / "kustomize" / "plugin" / "example.com" / "v1" / "run"
    plugins.mkdir(parents=True)
    (plugins / "Run").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (plugins / "Run").chmod(0o755)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("KUSTOMIZE_PLUGIN_HOME", str(tmp_path / "config" / "kustomize" / "plugin"))
    _put("a/g.yaml", "apiVersion: example.com/v1\nkind: Run\nmetadata: {name: run}\n")
    _put("a/kustomization.yaml", "generators: [g.yaml]\n")
    _refused()
    assert not (tmp_path / "ran").exists()


def test_a_chart_in_a_kustomization_is_not_loaded_without_permission() -> None:
    _put(
        "a/kustomization.yaml",
        "helmCharts:\n  - name: web\n    repo: https://charts.example\n    version: 1.0.0\n",
    )
    file, line, message = _refused()
    assert (file, line) == ("a/kustomization.yaml", 2)
    assert "--allow-network" in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("resources: [\n", 2),
        ("a: 1\n---\nb: 2\n", None),
        ("- a\n", 1),
        (b"resources: [\xff\xfe]\n", 1),
        ("resources: {a: b}\n", None),
        ("namePrefix: [x]\nresources: [m.yaml]\n", None),
    ],
)
def test_a_kustomization_that_is_none(text: str | bytes, line: int | None) -> None:
    _put("a/kustomization.yaml", text)
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    result, code = _scanned()
    assert code == 3
    assert {error["file"] for error in result["errors"]} == {"a/kustomization.yaml"}
    if line is not None:
        assert {error["line"] for error in result["errors"]} == {line}


def test_aliases_that_would_become_gigabytes() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for one, before in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f"{one}: &{one} [{', '.join(f'*{before}' for _ in range(9))}]\n"
    _put("a/kustomization.yaml", f"namePrefix: x-\nresources: [m.yaml]\n{bomb}")
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    _put("b/kustomization.yaml", "namePrefix: x-\nresources: [m.yaml]\n")
    _put("b/m.yaml", MAP.replace("NAME", "m") + "data:\n" + "".join(f"  {line}\n" for line in bomb.splitlines()))
    result, code = _scanned()
    assert code == 3
    assert {error["file"].partition("/")[0] for error in result["errors"]} == {"a", "b"}


def test_a_file_that_is_too_large_is_not_given_to_the_tool() -> None:
    _put("a/kustomization.yaml", "namePrefix: x-\nconfigMapGenerator: [{name: a, files: [big.bin]}]\n")
    with Path("a/big.bin").open("wb") as stream:
        stream.truncate(2**31)
    file, _, message = _refused()
    assert file.startswith("a/")
    assert "large" in message or "MiB" in message


def test_the_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow"
    slow.write_text('#!/bin/sh\n[ "$1" = version ] && echo v5.0.0 && exit\nexec /bin/sleep 60\n')
    slow.chmod(0o755)
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(slow))
    _put("a/kustomization.yaml", "namePrefix: x-\nresources: [m.yaml]\n")
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    file, _, message = _refused("--render-timeout", "0.5")
    assert file == "a/kustomization.yaml"
    assert "took longer than 0.5 s" in message


@pytest.mark.parametrize(
    "prints",
    ["", "this is no manifest", "{{{{", "kind: [", "\\377\\376"],
    ids=["nothing", "text", "braces", "open", "bytes"],
)
def test_a_program_that_prints_something_else(prints: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.write_text(f"#!/bin/sh\n[ \"$1\" = version ] && echo v5.0.0 && exit\nprintf '{prints}'\n")
    other.chmod(0o755)
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(other))
    _put("a/kustomization.yaml", "namePrefix: x-\nresources: [m.yaml]\n")
    _put("a/m.yaml", POD.replace("NAME", "m"))
    result, code = _scanned()
    # What was to be judged is not there: never that it complies.
    assert code == 3, (result["errors"], result["skipped"], result["notEvaluated"])


def test_a_thousand_resources() -> None:
    """Kustomize itself takes more than a minute for ten thousand, and is stopped."""
    _put("a/kustomization.yaml", "namePrefix: x-\nresources: [m.yaml]\n")
    _put("a/m.yaml", "---\n".join(MAP.replace("NAME", f"m{number}") for number in range(1000)))
    result, code = _scanned()
    assert code == 0
    assert result["summary"]["objects"] == 1001


@pytest.mark.parametrize("also", [False, True])
def test_a_circle_that_nothing_else_uses_is_told(also: bool) -> None:
    """Each is used by another, so none is the outermost."""
    _put("a/kustomization.yaml", "resources: [../b]\n")
    _put("b/kustomization.yaml", "resources: [../a]\nnamePrefix: x-\n")
    if also:
        _put("other/kustomization.yaml", "resources: [m.yaml]\nnamePrefix: x-\n")
        _put("other/m.yaml", MAP.replace("NAME", "m"))
    file, _, message = _refused()
    assert file in ("a/kustomization.yaml", "b/kustomization.yaml")
    assert "cycle" in message


def test_what_a_secret_holds_is_in_no_message() -> None:
    _put(
        "a/kustomization.yaml",
        "namePrefix: x-\nsecretGenerator:\n  - name: s\n    literals: [tr0ub4dor-without-a-key]\n    envs: [e.env]\n",
    )
    _put("a/e.env", "correct horse battery staple\n")
    result, code = _scanned()
    assert code == 3
    text = json.dumps(result)
    assert "tr0ub4dor" not in text
    assert "battery" not in text


def test_two_kustomizations_in_a_folder() -> None:
    _put("a/kustomization.yaml", "namePrefix: x-\nresources: [m.yaml]\n")
    _put("a/kustomization.yml", "namePrefix: y-\nresources: [m.yaml]\n")
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    result, code = _scanned()
    assert code == 3
    assert {error["file"].partition("/")[0] for error in result["errors"]} == {"a"}


def test_a_patch_without_a_target_is_told_at_its_entry() -> None:
    _put("a/kustomization.yaml", "namePrefix: x-\nresources: [m.yaml]\npatches:\n  - path: p.yaml\n")
    _put("a/m.yaml", MAP.replace("NAME", "m"))
    _put("a/p.yaml", MAP.replace("NAME", "other"))
    file, line, message = _refused()
    assert (file, line) in {("a/kustomization.yaml", 4), ("a/kustomization.yaml", None), ("a/p.yaml", 1)}
    assert "other" in message


def test_a_name_with_what_ends_a_line(tree: Path) -> None:
    folder = tree / "a\nb"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("namePrefix: x-\nresources: [gone.yaml]\n")
    result, code = _scanned()
    assert code == 3
    assert all("\n" not in error["message"] for error in result["errors"])
