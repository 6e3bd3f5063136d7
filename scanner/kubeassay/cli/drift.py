"""``--source``: the manifests that declare a cluster, and what is said of the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from kubeassay.cli.rendering import named_renderings, render
from kubeassay.model import NEWEST_KNOWN, Drift, Location, Result
from kubeassay.reporting.statements import stands_in_a_file
from kubeassay.reporting.texts import plural, printable
from kubeassay.sources.files import UsageError

if TYPE_CHECKING:
    from kubeassay.execution.declared import Sources

#: Of each sort, so many are told; the JSON result has all.
_MOST_TOLD = 50


def declared(options: Mapping[str, Any]) -> Sources | None:
    """What the manifests of ``--source`` declare; None where there is none."""
    if not options["sources"]:
        if options["fail_on_drift"]:
            raise UsageError("--fail-on-drift needs --source: drift from what?")
        if named_renderings(options) or options["follow"]:
            raise UsageError("--kustomize, --helm and --follow are about what --source names: a cluster is as it is")
        return None
    # Imported here: few scans are compared with manifests.
    from kubeassay.execution.declared import read_sources

    version = options["kubernetes_version"] or NEWEST_KNOWN
    return read_sources(options["sources"], lambda found: render(found, options, version))


def say_drift(result: Result) -> None:
    """Say on standard error what of the findings stands in manifests, and what differs from them."""
    drift = result.drift
    if drift is None:
        return
    findings = [finding for finding in result.findings if finding.outcome in ("fail", "excepted")]
    moved = sum(1 for finding in findings if stands_in_a_file(finding, result))
    names = ", ".join(drift.sources)
    click.echo(printable(f"source {names}: {moved:,} of {plural(len(findings), 'finding')} stand in it"), err=True)
    for line in _lines(drift):
        click.echo(printable(line), err=True)
    counts = (
        f"{len(drift.missing):,} missing, {len(drift.changed):,} changed, {len(drift.undeclared):,} undeclared,"
        f" {len(drift.not_compared):,} not compared"
    )
    click.echo(printable(f"drift from {names}: {counts}"), err=True)


def _lines(drift: Drift) -> Iterator[str]:
    sorts = (
        ("missing", [f"{_place(m.location)}: {m.object} is not in the cluster" for m in drift.missing]),
        ("changed", [f"{_place(c.location)}: {c.object}: {c.detail}" for c in drift.changed]),
        ("undeclared", [f"{u.object} ({u.file})" for u in drift.undeclared]),
        ("not compared", [f"{n.detail} ({n.reason})" for n in drift.not_compared]),
    )
    for word, told in sorts:
        yield from (f"{word}: {line}" for line in told[:_MOST_TOLD])
        if len(told) > _MOST_TOLD:
            yield f"{word}: {len(told) - _MOST_TOLD:,} more, which the JSON result has"


def _place(location: Location) -> str:
    return f"{location.file}:{location.start_line}"
