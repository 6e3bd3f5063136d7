"""``kubeassay explain``"""

from __future__ import annotations

import json
from pathlib import Path

import click

from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library
from kubeassay.reporting.result_json import rule_as_json


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("rule_id", metavar="RULE")
@click.option("--rules", "rule_paths", multiple=True, metavar="PATH", help="Rule files of your own. Repeats.")
@click.option("--format", "-f", "format_name", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def explain(ctx: click.Context, rule_id: str, rule_paths: tuple[str, ...], format_name: str) -> int:
    """Explain a rule: what it demands, why, and how to comply."""
    try:
        library = Library([Path(path) for path in rule_paths])
        rule = library.rule(rule_id)
        controls = [
            (baseline, control)
            for baseline in library.baselines.values()
            for control in baseline.controls
            if any(use.rule == rule.id for use in control.rules)
        ]
    except PolicyError as error:
        raise click.UsageError(str(error), ctx) from None
    if format_name == "json":
        click.echo(json.dumps(rule_as_json(rule), indent=2, ensure_ascii=False))
        return 0
    judged = "judged on everything at once" if rule.subject == "inventory" else f"judged per {rule.subject}"
    lines = [f"{rule.id}: {rule.title}", f"{rule.severity} severity, area {rule.area}, {judged}", ""]
    lines += ["Why", *_indented(rule.rationale), "", "How to comply", *_indented(rule.remediation), ""]
    if rule.fix:
        lines += ["Fix", *(f"  {path}: {json.dumps(value)}" for path, value in rule.fix.items()), ""]
    if rule.parameters:
        lines.append("Parameters")
        lines += [f"  {p.name} ({p.type}, default {json.dumps(p.default)}): {p.description}" for p in rule.parameters]
        lines.append("")
    if rule.expression:
        lines += ["Expression (CEL, true = complies)", *_indented(rule.expression), ""]
    if controls:
        lines.append("Demanded by")
        lines += [
            f"  {baseline.name} {control.id}: {control.source.document}, {control.source.section or control.title}"
            for baseline, control in controls
        ]
        lines.append("")
    if rule.references:
        lines.append("References")
        for catalogue, value in rule.references.items():
            text = ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
            lines.append(f"  {catalogue}: {', '.join(text) if isinstance(text, list) else text}")
        lines.append("")
    for example in rule.examples:
        given = f" with {json.dumps(example.parameters)}" if example.parameters else ""
        lines += [f"Example that {example.outcome}{given}", *_indented(example.text.rstrip()), ""]
    click.echo("\n".join(lines).rstrip())
    return 0


def _indented(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.splitlines()]
