"""The examples of the README and of pages in docs/ are true: they are run, and their output compared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from generate_docs import EXAMPLES, printed

from kubeassay.reporting import FORMATS

ROOT = Path(__file__).parent.parent
BLOCKS = [
    pytest.param(found["commands"], id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, found in enumerate(EXAMPLES.finditer(page.read_text("utf-8")))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_of_a_page_is_true(block: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for command, expected in re.findall(r"^\$ kubeassay (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        assert printed(command, tmp_path) == expected


def test_there_are_examples() -> None:
    pages = [param.id.rpartition("-")[0] for param in BLOCKS if param.id is not None]
    assert pages.count("README.md") >= 3
    assert len(pages) > pages.count("README.md")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#?]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_page_on_reports_has_a_row_for_each_format() -> None:
    """With the ending by which -o PATH knows it."""
    page = (ROOT / "docs" / "reports.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| .+ \| (?:`([^`]+)` )?\|$", page, re.MULTILINE)
    assert dict(rows) == {name: form.suffix for name, form in FORMATS.items()}
