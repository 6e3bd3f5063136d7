"""``kubeassay who-can``"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from kubeassay.analysis.access.grants import MASTERS, grants
from kubeassay.analysis.access.model import Grant
from kubeassay.analysis.access.resources import resource_types
from kubeassay.analysis.access.review import who_can as ask
from kubeassay.cli.access import (
    grant_json,
    hint_unknown,
    not_evaluated,
    place,
    request_json,
    request_of,
    request_options,
    tell,
)
from kubeassay.cli.exits import COMPLIES, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, input_options, read_inputs
from kubeassay.reporting.texts import plural, printable, table

_HEADER = ("SUBJECT", "ROLE", "BINDING", "BOUND AT", "RULE AT")


@click.command(name="who-can", context_settings=CONTEXT)
@click.argument("verb")
@click.argument("resource")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@request_options
@click.option("--all", "everybody", is_flag=True, help="Those whom Kubernetes itself allows it, too.")
@click.option("--format", "-f", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@input_options
@click.pass_context
def who_can(
    ctx: click.Context,
    /,
    verb: str,
    resource: str,
    paths: tuple[str, ...],
    everybody: bool,
    format_name: str,
    **options: Any,
) -> int:
    """Say who may do something, and by which bindings and rules.

    RESOURCE is a TYPE (secrets, po, deployments.apps), TYPE/NAME or a URL path (/metrics). PATH is a file, a directory,
    a glob pattern or - for standard input; without one the working directory is read.

    Subjects are listed as bindings name them. Those that only the defaults of Kubernetes allow it (its controllers,
    the group system:masters) are left out without --all.

    \b
    kubeassay who-can get secrets -n shop manifests/
    kubeassay who-can create pods --subresource exec -A
    kubeassay who-can impersonate users --format json

    Exit codes: 0; 2 wrong usage; 3 something was not readable or not known.
    """
    # Of refused objects only those of RBAC matter here, and the analysis tells them itself.
    read = read_inputs(paths, options, concerns=lambda _: False)
    request = request_of(verb, resource, resource_types(read.inventory), options)
    access = grants(read.inventory)
    answer = ask(access, request)
    unknown = not_evaluated(read, access, answer.unknown)
    shown = [grant for grant in answer.grants if everybody or not grant.bootstrap]
    hidden = {grant.subject for grant in answer.grants} - {grant.subject for grant in shown}
    if format_name == "json":
        found = {
            "request": request_json(request),
            "grants": [grant_json(grant) for grant in shown],
            "hidden": len(hidden),
            "bypass": [{"kind": "Group", "name": MASTERS}],
            "notEvaluated": unknown,
        }
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        if shown:
            _print_table(shown)
        else:
            click.echo(f"nobody but Kubernetes itself may {printable(str(request))}")
        if hidden:
            click.echo(f"{plural(len(hidden), 'subject')} of Kubernetes itself not shown (--all shows them)", err=True)
    if not options["quiet"]:
        hint_unknown(read.inventory, access, [], request.namespace)
        tell(unknown)
    return INCOMPLETE if unknown and not options["allow_incomplete"] else COMPLIES


def _print_table(shown: Iterable[Grant]) -> None:
    for line in table([_HEADER, *map(_row, shown)]):
        click.echo(line)


def _row(grant: Grant) -> tuple[str, ...]:
    found = grant_json(grant)
    binding = f"{grant.namespace}/{grant.binding_name}" if grant.namespace is not None else grant.binding_name
    return (
        str(grant.subject),
        f"{grant.role_kind} {grant.role_name}",
        f"{found['binding']['kind']} {binding}",
        place(found["binding"]["location"]),
        place(found["rule"]["location"]),
    )
