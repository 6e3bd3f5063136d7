"""The examples of pages in docs/ are true: they are run, and their output compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(re.findall(r"```console\n(\$ .*?)```", page.read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_of_a_page_is_true(block: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for command, expected in re.findall(r"^\$ kubeassay (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        done = subprocess.run(
            ["/bin/sh", "-c", f'"{sys.executable}" -m kubeassay.cli.main {command}'],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "100"},
        )
        assert done.stdout == expected


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#?]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
