"""docs/contributing.md names what there is: whoever adds an analysis, an area or an oracle says so there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kit import LIBRARY
from kubeassay.analysis.facts import FACTS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "contributing.md").read_text("utf-8")
ANALYSES = ROOT / "scanner" / "kubeassay" / "analysis"


@pytest.mark.parametrize("name", FACTS)
def test_it_says_how_each_analysis_is_asked(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and f"| `{name}` |" in line]
    assert rows, f"the table of what to ask has no row for {name} of analysis/facts.py"
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in ANALYSES.glob("*/__init__.py")))
def test_it_names_each_folder_of_analyses(folder: str) -> None:
    assert f" {folder}/: " in PAGE, f"the table of areas does not say what analysis/{folder}/ is"


@pytest.mark.parametrize("area", sorted({rule.area for rule in LIBRARY.rules.values()}))
def test_it_names_each_area(area: str) -> None:
    areas = re.findall(r"^\| ([a-z, -]+) \|", PAGE, re.MULTILINE)
    assert area in {name for names in areas for name in names.split(", ")}, f"the table of areas lacks {area}"


@pytest.mark.parametrize(
    "program",
    # Those of tests/live are the server itself.
    sorted(path.parent for path in (ROOT / "tests").rglob("main.go") if "live" not in path.parts),
    ids=lambda path: path.name,
)
def test_it_names_each_program_that_upstream_answers_by(program: Path) -> None:
    module, _, name = program.relative_to(ROOT / "tests").as_posix().partition("/")
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| {module}")]
    assert any(name in row.split(" | ")[0] for row in rows), f"the table of modules lacks {module} {name}"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)*\w+\.(?:py|md))`", PAGE))))
def test_files_that_it_names_are_there(path: str) -> None:
    places = (ROOT, ROOT / "scanner" / "kubeassay", ROOT / "tests", ROOT / "tests" / "checks")
    folders = [folder for folder in (ROOT / "scanner" / "kubeassay").rglob("*") if folder.is_dir()]
    assert any((folder / path).is_file() for folder in (*places, *folders)), path
