"""Evidence for auditors: complete, the same for the same inputs, different for others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from kit import run_command
from kubeassay.model import Result
from kubeassay.reporting.evidence import SUMS, evidence
from reporting.strategies import results

POD = """apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop}
spec: {containers: [{name: c, image: "i:1", securityContext: {privileged: true}}, {name: d, image: "i:1"}]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(POD.replace("NAME", "a"))
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_each_control_has_what_was_judged_and_how(folder: Path) -> None:
    run_command("scan", "a.yaml", "-p", "pss-restricted", "--evidence", "e", "-o", "json=with.json")
    run_command("scan", "a.yaml", "-p", "pss-restricted", "-o", "json=without.json")
    assert (folder / "with.json").read_bytes() == (folder / "without.json").read_bytes()
    index = read(folder / "e" / "evidence.json")
    assert list(index["inputs"]) == ["a.yaml"]
    by_id = {control["id"]: control for control in index["controls"]}
    profile = read(folder / "with.json")
    assert set(by_id) == {control["id"] for control in profile["controls"]}
    for control in by_id.values():
        judged = read(folder / "e" / control["file"])["judged"]
        for outcome in ("fail", "pass"):
            assert sum(each["outcome"] == outcome for each in judged) == control[outcome], control["id"]
    privileged = next(c for c in by_id.values() if c["fail"] and "rivileged" in c["title"])
    judged = read(folder / "e" / privileged["file"])["judged"]
    assert {(each["outcome"], each["container"]) for each in judged} >= {("fail", "c"), ("pass", "d")}


def test_a_second_run_is_the_same_and_a_change_is_seen(folder: Path) -> None:
    run_command("scan", "a.yaml", "--evidence", "one")
    run_command("scan", "a.yaml", "--evidence", "two")
    assert tree(folder / "one") == tree(folder / "two")
    (folder / "a.yaml").write_text(POD.replace("NAME", "a") + "# a comment\n")
    run_command("scan", "a.yaml", "--evidence", "three")
    changed = {name for name, content in tree(folder / "three").items() if content != tree(folder / "one")[name]}
    assert changed >= {"evidence.json", SUMS}
    assert "rules.json" not in changed


def test_the_sums_hold(folder: Path) -> None:
    run_command("scan", "a.yaml", "--evidence", "e")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder / "e", check=True)
    listed = {line.partition("  ")[2] for line in (folder / "e" / SUMS).read_text().splitlines()}
    assert listed == set(tree(folder / "e")) - {SUMS}


def test_a_folder_with_something_in_it_is_left_alone(folder: Path) -> None:
    (folder / "e").mkdir()
    (folder / "e" / "mine").write_text("mine")
    result = run_command("scan", "a.yaml", "--evidence", "e")
    assert result.exit_code == 2
    assert "--evidence e: is not empty" in result.stderr
    assert tree(folder / "e") == {"mine": b"mine"}
    assert run_command("scan", "a.yaml", "--evidence", "a.yaml").exit_code == 2


@settings(deadline=None)
@given(results())
def test_any_result_gives_files_that_can_be_read(result: Result) -> None:
    files = evidence(result, {}, {})
    assert len(files) == len(result.controls) + 3
    assert len({name.lower() for name in files}) == len(files)
    for name, content in files.items():
        assert not name.startswith("/")
        assert ".." not in Path(name).parts
        if name != SUMS:
            json.loads(content)


def test_what_accepts_findings_has_its_hash_wherever_it_comes_from(folder: Path) -> None:
    (folder / ".trivyignore").write_text("KSV017\n")
    (folder / "mine.trivyignore").write_text("KSV017\n")
    for arguments, files in (
        (("--import-exceptions", "auto"), [".trivyignore"]),
        (("--import-exceptions", "mine.trivyignore"), ["mine.trivyignore"]),
        ((), []),
    ):
        run_command("scan", "a.yaml", "--evidence", "e", *arguments)
        assert list(read(folder / "e" / "evidence.json")["policy"]) == files
        shutil.rmtree(folder / "e")
