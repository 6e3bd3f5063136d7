"""``kubeassay compare``"""

from __future__ import annotations

import json
from typing import Any

import click

from kubeassay.cli.exits import COMPLIES, INCOMPLETE, exit_code
from kubeassay.cli.judging import compared, of_another_target, read_result
from kubeassay.engine.comparison import compare as run_compare
from kubeassay.model import SEVERITIES, Comparison, Finding
from kubeassay.reporting.texts import inert_json, printable
from kubeassay.sources.files import UsageError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("old", metavar="OLD.json")
@click.argument("new", metavar="NEW.json")
@click.option("--format", "-f", "format_name", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice([*SEVERITIES, "none"]),
    default="high",
    show_default=True,
    help="Exit 1 on new findings of at least this severity.",
)
@click.option("--allow-incomplete", is_flag=True, help="Exit 0, not 3, when something was not evaluated in NEW.")
@click.pass_context
def compare(ctx: click.Context, old: str, new: str, format_name: str, fail_on: str, allow_incomplete: bool) -> int:
    """Say what is new, fixed and unchanged between two JSON results.

    Findings are the same where rule, object and field are: lines may move, and files be renamed. What is gone because
    it was not judged in NEW is no fix.

    Exit codes: 0 nothing new; 1 new findings at or above --fail-on; 2 a file is no result; 3 nothing new failed, but
    something was not evaluated or not readable in NEW.
    """
    try:
        before, now = read_result(old, old), read_result(new, new)
    except UsageError as error:
        raise click.UsageError(str(error), ctx) from None
    for line in of_another_target(before, now, old):
        click.echo(printable(line), err=True)
    comparison = run_compare(before, now)
    if format_name == "json":
        click.echo(inert_json(json.dumps(_as_json(comparison), indent=2, ensure_ascii=True).encode("ascii")))
    else:
        for line in compared(comparison):
            click.echo(printable(line))
    code = exit_code(now, fail_on, allow_incomplete=allow_incomplete, counting=comparison.new)
    return INCOMPLETE if code == COMPLIES and comparison.unknown and not allow_incomplete else code


def _as_json(comparison: Comparison) -> dict[str, Any]:
    parts = ("new", "fixed", "unchanged", "excepted")
    found = {part: [_finding(finding) for finding in getattr(comparison, part)] for part in parts}
    return {**found, "notJudged": [_finding(finding) for finding in comparison.unknown]}


def _finding(finding: Finding) -> dict[str, Any]:
    ref = finding.object
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "object": {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
        },
        "container": finding.container,
        "path": finding.path,
        "message": finding.message,
        "file": finding.location.file,
        "line": finding.location.start_line,
        "fingerprint": finding.fingerprint,
    }
