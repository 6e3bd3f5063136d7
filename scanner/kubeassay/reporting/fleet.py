"""Reports on a fleet: a row for each target. One module a format, imported when it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import cast, get_args

from kubeassay.model import SEVERITIES
from kubeassay.model.fleet import FleetResult, TargetRow, TargetStatus
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.texts import plural

#: Each has a function ``write(fleet, options) -> Report``.
FLEET_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "terminal": "kubeassay.reporting.fleet_terminal",
        "json": "kubeassay.reporting.fleet_json",
        "html": "kubeassay.reporting.fleet_html",
    }
)
#: Words of people for a status.
STATUS_WORDS: Mapping[TargetStatus, str] = MappingProxyType(
    {"complies": "complies", "fails": "fails", "incomplete": "incomplete", "not-audited": "not audited"}
)


def render_fleet(name: str, fleet: FleetResult, options: RenderOptions | None = None) -> Report:
    """Write what came of a fleet in one of the ``FLEET_FORMATS``."""
    return cast(Report, import_module(FLEET_FORMATS[name]).write(fleet, options or RenderOptions()))


def status_counts(fleet: FleetResult) -> dict[TargetStatus, int]:
    """How many targets have each status; every status is present."""
    return {status: sum(row.status == status for row in fleet.rows) for status in get_args(TargetStatus)}


def severity_counts(fleet: FleetResult) -> dict[str, int]:
    """The failing findings of all targets, by severity; every severity is present."""
    summaries = [row.summary for row in fleet.rows if row.summary is not None]
    return {severity: sum(s.by_severity.get(severity, 0) for s in summaries) for severity in SEVERITIES}


def totals(fleet: FleetResult) -> Iterator[str]:
    """What to say of the whole, in lines."""
    of = f" of {fleet.targets:,}" if len(fleet.rows) < fleet.targets else ""
    numbers = status_counts(fleet).items()
    counts = ", ".join(f"{STATUS_WORDS[status]}: {number:,}" for status, number in numbers if number)
    yield f"{plural(len(fleet.rows), 'target')}{of} of fleet {fleet.name} ({counts})"
    severities = severity_counts(fleet)
    found = ", ".join(f"{number:,} {severity}" for severity, number in severities.items() if number)
    yield f"{plural(sum(severities.values()), 'finding')}{f': {found}' if found else ''}"
    if fleet.compared:
        rows = [row.comparison for row in fleet.rows if row.comparison is not None]
        new, fixed, same = (sum(getattr(row, name) for row in rows) for name in ("new", "fixed", "unchanged"))
        yield f"compared: {new:,} new, {fixed:,} fixed, {same:,} unchanged"


def remarks(row: TargetRow) -> list[str]:
    """What a row has to say besides its numbers."""
    if row.summary is None:
        return [row.error]
    judged = [row.source, f"profile {row.profile}", f"Kubernetes {row.kubernetes_version}"]
    if row.environment:
        judged.insert(2, f"environment {row.environment}")
    if row.read_errors:
        judged.append(f"{row.read_errors:,} not readable")
    if row.not_compared:
        judged.append(row.not_compared)
    if row.comparison is not None and row.comparison.unknown:
        judged.append(f"{row.comparison.unknown:,} not judged now")
    return judged
