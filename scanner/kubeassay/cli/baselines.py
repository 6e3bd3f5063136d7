"""``kubeassay baselines``"""

from __future__ import annotations

import json
from pathlib import Path

import click

from kubeassay.checks.documented_object import demands
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import EXPECTATION, Library, suggestion
from kubeassay.reporting.result_json import control_as_json


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False)
@click.option("--baseline", "files", multiple=True, metavar="FILE", help="Baseline files of your own. Repeats.")
@click.option("--format", "-f", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def baselines(ctx: click.Context, name: str | None, files: tuple[str, ...], format_name: str) -> int:
    """List the baselines and profiles; with NAME, the controls of one."""
    try:
        library = Library(baseline_files=[Path(file) for file in files])
        if name is None:
            _overview(library, format_name)
            return 0
        if name in library.baselines:
            title, controls = library.baselines[name].title, library.baselines[name].controls
        elif name in library.profile_names or name.endswith((".yaml", ".yml")):
            profile = library.profile(name)
            title, controls = profile.title, profile.controls
        else:
            known = (*library.baselines, *library.profile_names)
            raise PolicyError(f"no baseline or profile is called {name}{suggestion(name, known)}")
    except PolicyError as error:
        raise click.UsageError(str(error), ctx) from None
    if format_name == "json":
        click.echo(json.dumps([control_as_json(control) for control in controls], indent=2, ensure_ascii=False))
        return 0
    click.echo(f"{title}\n")
    for control in controls:
        clause = control.source.section or control.source.document
        click.echo(f"{control.baseline} {control.id}  {control.title}")
        at = f" ({control.source.file}:{control.source.line})" if control.source.file and control.source.line else ""
        click.echo(f"    {control.source.document}: {clause}{at}")
        for use in control.rules:
            severity = use.severity or library.rule(use.rule).severity
            if use.rule == EXPECTATION:
                for demand in demands(use.parameters):
                    click.echo(f"    {severity:8} {demand}")
                continue
            parameters = f"  {json.dumps(use.parameters)}" if use.parameters else ""
            click.echo(f"    {severity:8} {use.rule}{parameters}")
    return 0


def _overview(library: Library, format_name: str) -> None:
    profiles = [library.profile(name) for name in library.profile_names]
    if format_name == "json":
        document = {
            "baselines": [
                {"name": b.name, "title": b.title, "area": b.area, "controls": len(b.controls)}
                for b in library.baselines.values()
            ],
            "profiles": [
                {
                    "name": p.name,
                    "title": p.title,
                    "kubernetesVersion": p.kubernetes_version,
                    "controls": len(p.controls),
                }
                for p in profiles
            ],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    width = max(len(name) for name in (*library.baselines, *library.profile_names))
    click.echo("Baselines")
    for baseline in library.baselines.values():
        click.echo(f"  {baseline.name:{width}}  {len(baseline.controls):3} controls  {baseline.title}")
    click.echo("\nProfiles (--profile)")
    for profile in profiles:
        click.echo(f"  {profile.name:{width}}  {len(profile.controls):3} controls  {profile.title}")
