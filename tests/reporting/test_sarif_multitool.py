"""Microsoft's SARIF multitool validates the files of scans. It is not among the dependencies: it has 90 MB."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kit import run_command
from kubeassay.reporting import RenderOptions, render
from reporting.samples import SAMPLES
from reporting.test_sarif import _checked

ROOT = Path(__file__).parents[2]
TOOLS = Path.home() / ".cache" / "kubeassay" / "tools"
MULTITOOL = TOOLS / "node_modules" / ".bin" / "sarif-multitool"
#: Scans of different kinds, from the root of the repository.
SCANS = {
    "quick-start": ["scan", "examples/quick-start", "--show", "pass,not-evaluated"],
    "document": [
        *("scan", "fixtures/merajutasa/violating/production/workloads"),
        *("--baseline", "fixtures/merajutasa/architecture.md"),
    ],
    "clean": ["scan", "examples/quota", "-p", "pss-baseline"],
}
#: Warnings that are meant: there is no public page of the tool that a link could lead to.
KNOWN = {"SARIF2005"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SARIF files of scans, of the samples, for GitHub and for archives, compared and not."""
    folder = tmp_path_factory.mktemp("sarif")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        for name, command in SCANS.items():
            common = [*command, "--allow-incomplete", "--fail-on", "none", "-q"]
            first = run_command(*common, "-o", f"json={folder / name}.json", "-o", f"sarif={folder / name}.sarif")
            assert first.exit_code == 0, first.stderr
            compared = ["--compare", f"{folder / name}.json"]
            second = run_command(*common, *compared, "-o", f"sarif-archive={folder / name}-archive.sarif")
            assert second.exit_code == 0, second.stderr
    finally:
        os.chdir(before)
    for name, result in SAMPLES.items():
        for form in ("sarif", "sarif-archive"):
            [document] = render(form, result, RenderOptions()).documents
            (folder / f"sample-{name}-{form}.sarif").write_bytes(document)
    return {path.stem: path for path in sorted(folder.glob("*.sarif"))}


def test_files_of_scans_keep_the_rules_of_github_and_oasis(files: dict[str, Path]) -> None:
    assert len(files) == 2 * len(SCANS) + 2 * len(SAMPLES)
    for name, path in files.items():
        log = _checked(path.read_bytes(), archive="archive" in name)
        for result in log["runs"][0]["results"] if not name.startswith("sample") else ():
            # Another form, and GitHub warns and opens the alert anew.
            assert re.fullmatch(r"[0-9a-f]{1,16}:[1-9][0-9]*", result["partialFingerprints"]["primaryLocationLineHash"])


def test_the_multitool_finds_no_error(files: dict[str, Path], tmp_path: Path) -> None:
    found = _validated(list(files.values()), tmp_path / "log.sarif")
    assert {result["ruleId"] for result in found} <= KNOWN


def test_the_multitool_would_find_one(files: dict[str, Path], tmp_path: Path) -> None:
    log = json.loads(files["quick-start"].read_bytes())
    log["runs"][0]["results"][0]["ruleIndex"] = 99_999
    (tmp_path / "bad.sarif").write_text(json.dumps(log))
    assert {result.get("level") for result in _validated([tmp_path / "bad.sarif"], tmp_path / "log.sarif")} >= {"error"}


def _validated(paths: list[Path], output: Path) -> list[dict[str, Any]]:
    if not MULTITOOL.exists():
        pytest.skip(f"the SARIF multitool is not in {TOOLS}: make readers")
    done = subprocess.run(
        [MULTITOOL, "validate", *paths, "--output", output, "--log", "ForceOverwrite"],
        # Its libraries for languages may be missing.
        env=os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert output.is_file(), done.stdout + done.stderr
    results: list[dict[str, Any]] = [
        result for run in json.loads(output.read_text("utf-8-sig"))["runs"] for result in run.get("results", ())
    ]
    return results
