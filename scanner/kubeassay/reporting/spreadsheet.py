"""CSV (RFC 4180), for spreadsheets: UTF-8, a header, a row for each finding and for all that was not judged.

A cell that a spreadsheet would take for a formula begins with an apostrophe, as OWASP advises, and so does what follows
a semicolon: whoever writes a manifest chooses what is opened at an auditor's. Cells are on one line, and no longer than
spreadsheets take.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from kubeassay.model import Finding, Result
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import Gap, clauses, demanded_by, gaps, listed
from kubeassay.reporting.texts import printable, shorten

COLUMNS = (
    "outcome",
    "severity",
    "rule",
    "title",
    "area",
    "controls",
    "clauses",
    "apiVersion",
    "kind",
    "namespace",
    "name",
    "container",
    "path",
    "message",
    "file",
    "line",
    "column",
    "exception",
    "reason",
    "remediation",
    "fingerprint",
    "environments",
)
#: A cell of Excel holds 32,767 characters.
CELL_LIMIT = 32_000
#: What begins a formula, with the wide forms that some take for the same. Tabs and ends of lines, which begin
#: one, too, are written as their codes.
_FORMULA = "=+-@＝＋－＠"
#: Where decimals have a comma, a spreadsheet takes semicolons for the ends of cells.
_CELL_WITHIN = re.compile(rf"(?<=;)(?=[\s\"]*[{re.escape(_FORMULA)}])")


def write(result: Result, options: RenderOptions) -> Report:
    text = io.StringIO()
    # RFC 4180 wants CRLF.
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    known = clauses(result)
    for gap in gaps(result):
        rows.writerow(map(_cell, _gap(gap)))
    for finding in listed(result, options):
        rows.writerow(map(_cell, _finding(finding, result, known)))
    return Report((text.getvalue().encode("utf-8"),))


def _finding(finding: Finding, result: Result, known: dict[str, str]) -> Iterator[str]:
    rule = result.rules.get(finding.rule)
    ref, place = finding.object, finding.location
    yield from (finding.outcome, finding.severity, finding.rule, rule.title if rule else "", finding.area)
    yield from ("; ".join(finding.controls), "; ".join(demanded_by(finding, known)))
    yield from (ref.api_version, ref.kind, ref.namespace or "", ref.name, finding.container or "", finding.path)
    yield from (finding.message, place.file, str(place.start_line), str(place.start_column))
    yield from (finding.exception or "", finding.reason or "")
    yield from (" ".join(rule.remediation.split()) if rule else "", finding.fingerprint)
    # Of several those that have it; empty where all do.
    yield "; ".join(finding.environments)


def _gap(gap: Gap) -> Sequence[str]:
    """A row for something that was not judged."""
    outcome = "not-read" if gap.reason == "read-error" else "not-evaluated"
    filled = {
        "outcome": outcome,
        "rule": gap.rule or "",
        "message": gap.text,
        "file": gap.file or "",
        "line": "" if gap.line is None else str(gap.line),
        "reason": gap.reason,
    }
    return [filled.get(column, "") for column in COLUMNS]


def _cell(text: str) -> str:
    text = shorten(printable(text), CELL_LIMIT)
    if ";" in text:
        text = _CELL_WITHIN.sub("'", text)
    return f"'{text}" if text.lstrip().startswith(tuple(_FORMULA)) else text
