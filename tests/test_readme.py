"""What the README shows is true. Its examples are run beside those of the other pages, by test_docs.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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
