"""``kubeassay rules``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kubeassay.model import Rule
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library, suggestion
from kubeassay.reporting.result_json import rule_as_json
from kubeassay.reporting.texts import table

CATALOGUES = ("pss", "cis-kubernetes", "nsa-cisa", "owasp-k8s", "mitre-attack")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--area", metavar="AREA", help="Only rules of this area.")
@click.option("--mapping", metavar="CATALOGUE[=ID]", help="Only rules that map to a catalogue, or to one of its ids.")
@click.option("--rules", "rule_paths", multiple=True, metavar="PATH", help="Rule files of your own. Repeats.")
@click.option("--format", "-f", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def rules(
    ctx: click.Context, area: str | None, mapping: str | None, rule_paths: tuple[str, ...], format_name: str
) -> int:
    """List the rules, with their mappings to catalogues."""
    try:
        library = Library([Path(path) for path in rule_paths])
        chosen = list(library.rules.values())
    except PolicyError as error:
        raise click.UsageError(str(error), ctx) from None
    if area is not None:
        areas = {rule.area for rule in chosen}
        if area not in areas:
            raise click.UsageError(f"no rule is of area {area}{suggestion(area, areas)}", ctx)
        chosen = [rule for rule in chosen if rule.area == area]
    if mapping is not None:
        catalogue, _, wanted = mapping.partition("=")
        if catalogue not in CATALOGUES:
            raise click.UsageError(f"unknown catalogue {catalogue}{suggestion(catalogue, CATALOGUES)}", ctx)
        chosen = [rule for rule in chosen if _maps(rule, catalogue, wanted)]
        if not chosen:
            raise click.UsageError(f"no rule maps to {mapping}", ctx)
    if format_name == "json":
        click.echo(json.dumps([rule_as_json(rule) for rule in chosen], indent=2, ensure_ascii=False))
        return 0
    rows = [(rule.id, rule.area, rule.severity, _pss(rule), rule.title) for rule in chosen]
    for line in table([("RULE", "AREA", "SEVERITY", "PSS", "TITLE"), *rows]):
        click.echo(line)
    return 0


def _pss(rule: Rule) -> str:
    return str(rule.references.get("pss", ""))


def _maps(rule: Rule, catalogue: str, wanted: str) -> bool:
    value: Any = rule.references.get(catalogue)
    if value is None:
        return False
    if not wanted:
        return True
    if isinstance(value, dict):
        return wanted in value.values() or wanted in value
    return wanted in value if isinstance(value, list) else wanted == value
