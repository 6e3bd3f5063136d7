"""The examples of the README are true: they are run, and their output compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
EXAMPLES = [block for block in BLOCKS if block.startswith("$ ")]


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.splitlines()[0][2:60])
def test_an_example_of_the_readme_is_true(block: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for command, expected in re.findall(r"^\$ kubeassay (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        done = subprocess.run(
            [sys.executable, "-m", "kubeassay.cli.main", *command.split()],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "100"},
        )
        assert done.stdout == expected


def test_the_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_the_finding_that_the_readme_shows_is_what_the_program_prints(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    done = subprocess.run(
        [sys.executable, "-m", "kubeassay.cli.main", "scan", "examples/quick-start"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"COLUMNS": "100", "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        check=False,
    )
    (shown,) = re.findall(r"```text\n(examples/quick-start.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    head, _, finding = shown.partition("\n")
    assert head in done.stdout
    assert finding in done.stdout


@pytest.mark.parametrize("page", ["README.md"])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target
