"""The report on a fleet for people at a terminal: a table."""

from __future__ import annotations

from collections.abc import Iterator

from kubeassay.model import SEVERITIES
from kubeassay.model.fleet import FleetResult, TargetRow
from kubeassay.reporting.fleet import STATUS_WORDS, remarks, totals
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.texts import printable, table


def write(fleet: FleetResult, options: RenderOptions) -> Report:
    lines: list[str] = []
    if not options.quiet:
        lines += [*table(list(_rows(fleet))), ""]
    lines += map(printable, totals(fleet))
    return Report(("\n".join([*lines, ""]).encode("utf-8", "backslashreplace"),))


def _rows(fleet: FleetResult) -> Iterator[list[str]]:
    compared = ["NEW", "FIXED", "UNCHANGED"] if fleet.compared else []
    severities = [severity.upper() for severity in SEVERITIES]
    yield ["TARGET", "STATUS", *severities, "EXCEPTED", "NOT EVALUATED", *compared, "WHAT"]
    for row in fleet.rows:
        yield [row.name, STATUS_WORDS[row.status], *_numbers(row, compared=fleet.compared), ", ".join(remarks(row))]


def _numbers(row: TargetRow, *, compared: bool) -> Iterator[str]:
    summary = row.summary
    if summary is None:
        yield from "-" * (len(SEVERITIES) + 2)
    else:
        yield from (f"{summary.by_severity.get(severity, 0):,}" for severity in SEVERITIES)
        yield f"{summary.excepted:,}"
        yield f"{row.not_evaluated:,}"
    if compared:
        counts = row.comparison
        yield from "---" if counts is None else (f"{n:,}" for n in (counts.new, counts.fixed, counts.unchanged))
