"""Where it is told that a kustomization does not build, and what is no reason not to: with the real Kustomize."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kit import give_program, run_command

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"


@pytest.fixture(autouse=True)
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("kustomize", monkeypatch)
    monkeypatch.chdir(tmp_path)


def _scanned(files: Mapping[str, str | bytes]) -> tuple[list[dict[str, Any]], int]:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run_command("scan", "--render", "-f", "json", "--fail-on", "none", ".")
    errors: list[dict[str, Any]] = json.loads(done.stdout)["errors"]
    assert all("\n" not in error["message"] for error in errors)
    return errors, done.exit_code


@pytest.mark.parametrize(
    "field",
    [
        "patches: [x]",
        "patches: {a: b}",
        "sortOptions: x",
        "labels: [{pairs: [a]}]",
        "commonLabels: x",
        "nameSuffix: [1]",
        "configMapGenerator: [{name: a, literals: {a: b}}]",
        "images: [x]",
        "helmGlobals: x",
    ],
)
def test_a_field_of_another_type_is_told_at_its_line(field: str) -> None:
    files = {"a/kustomization.yaml": f"resources: [m.yaml]\n# a comment\n{field}\n", "a/m.yaml": MAP}
    errors, code = _scanned(files)
    assert code == 3
    assert [(error["file"], error["line"]) for error in errors] == [("a/kustomization.yaml", 3)]


def test_a_field_that_two_kustomizations_have_is_told_at_the_one_that_is_built() -> None:
    """Which of both is meant, Kustomize does not say."""
    files = {
        "top/kustomization.yaml": "resources: [../a]\npatches: [x]\n",
        "a/kustomization.yaml": "resources: [m.yaml]\npatches: []\n",
        "a/m.yaml": MAP,
    }
    errors, code = _scanned(files)
    assert code == 3
    assert [(error["file"], error["line"]) for error in errors] == [("top/kustomization.yaml", None)]


@pytest.mark.parametrize(
    "key", ["patches: [{path: REF}]", "crds: [REF]", "openapi: {path: REF}", "transformers: [REF]"]
)
@pytest.mark.parametrize(
    "reference", ["https://x.example/p.yaml", "git::https://x.example/y", "host.example:shop/base"]
)
def test_no_field_loads_from_elsewhere(key: str, reference: str) -> None:
    text = f"resources: [m.yaml]\n{key.replace('REF', f'{chr(39)}{reference}{chr(39)}')}\n"
    errors, code = _scanned({"a/kustomization.yaml": text, "a/m.yaml": MAP})
    assert code == 3
    assert [(error["file"], error["line"]) for error in errors] == [("a/kustomization.yaml", 2)]
    assert reference in errors[0]["message"]


@pytest.mark.parametrize("content", [b"\xe9\n", b"a\0b", b"hello\n", b"[" * 3000, b"a: b\n"])
@pytest.mark.parametrize("use", ["resources: [m.yaml, r.yaml]", "resources: [m.yaml]\npatches: [{path: r.yaml}]"])
def test_what_is_no_manifest_is_told_where_it_is_named(use: str, content: bytes) -> None:
    errors, code = _scanned({"a/kustomization.yaml": f"{use}\nnamePrefix: x-\n", "a/m.yaml": MAP, "a/r.yaml": content})
    assert code == 3
    line = next(number for number, text in enumerate(use.splitlines(), 1) if "r.yaml" in text)
    assert ("a/kustomization.yaml", line) in [(error["file"], error["line"]) for error in errors]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "ended with code 1"),
        ("echo broken >&2; exit 3", "broken"),
        ("kill -9 $$", "ended by signal 9"),
        ("exec cat /dev/zero", "printed more than"),
    ],
)
def test_a_program_that_fails_is_told(script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\n[ "$1" = version ] && echo v5.0.0 && exit\n{script}\n')
    other.chmod(0o755)
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(other))
    errors, code = _scanned({"a/kustomization.yaml": "resources: [m.yaml]\nnamePrefix: x-\n", "a/m.yaml": MAP})
    assert code == 3
    (error,) = errors
    assert error["file"] == "a/kustomization.yaml"
    assert why in error["message"]


def test_a_program_that_cannot_be_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\n")
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(other))
    errors, code = _scanned({"a/kustomization.yaml": "resources: [m.yaml]\nnamePrefix: x-\n", "a/m.yaml": MAP})
    assert code == 3
    assert "KUBEASSAY_KUSTOMIZE names no program" in errors[0]["message"]
