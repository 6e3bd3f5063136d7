"""``kubeassay can``"""

from __future__ import annotations

import json
from typing import Any

import click

from kubeassay.analysis.access.grants import MASTERS, grants
from kubeassay.analysis.access.model import Subject
from kubeassay.analysis.access.resources import resource_types
from kubeassay.analysis.access.review import review
from kubeassay.cli.access import (
    SubjectType,
    grant_json,
    grant_text,
    hint_unknown,
    not_evaluated,
    request_json,
    request_of,
    request_options,
    subject_json,
    tell,
)
from kubeassay.cli.exits import COMPLIES, FINDINGS, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, input_options, read_inputs


@click.command(context_settings=CONTEXT)
@click.argument("subject", type=SubjectType())
@click.argument("verb")
@click.argument("resource")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@request_options
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group that the subject is in. Repeats.")
@click.option("--format", "-f", "format_name", type=click.Choice(["text", "json"]), default="text", show_default=True)
@input_options
@click.pass_context
def can(
    ctx: click.Context,
    /,
    subject: Subject,
    verb: str,
    resource: str,
    paths: tuple[str, ...],
    groups: tuple[str, ...],
    format_name: str,
    **options: Any,
) -> int:
    """Say whether a subject may do something, and by which bindings and rules.

    SUBJECT is a user (alice, user:alice), a service account (sa:NAMESPACE/NAME, serviceaccount:NAMESPACE/NAME or
    system:serviceaccount:NAMESPACE:NAME) or a group (group:devs: somebody in that group alone). RESOURCE is a TYPE
    (pods, po, deployments.apps), TYPE/NAME or a URL path (/metrics). PATH is a file, a directory, a glob pattern or -
    for standard input; without one the working directory is read.

    The answer is the one that RBAC gives on a cluster with these objects and with the roles and bindings that
    Kubernetes itself creates. Other authorizers (Node, webhooks) are not asked.

    \b
    kubeassay can sa:shop/web get secrets -n shop manifests/
    kubeassay can alice --group devs create pods --subresource exec
    kubeassay can group:system:authenticated get /metrics

    Exit codes: 0 allowed; 1 not allowed; 2 wrong usage; 3 not allowed by what was read, but something was not readable.
    Objects that an API server refuses and roles that are missing grant nothing, and are told.
    """
    # Of refused objects only those of RBAC matter here, and the analysis tells them itself.
    read = read_inputs(paths, options, concerns=lambda _: False)
    request = request_of(verb, resource, resource_types(read.inventory), options)
    access = grants(read.inventory)
    answer = review(access, subject, request, groups)
    unknown = not_evaluated(read, access, answer.unknown)
    if format_name == "json":
        shown = {
            "allowed": answer.allowed,
            "subject": subject_json(subject),
            "groups": list(answer.groups),
            "request": request_json(request),
            "bypass": answer.bypass,
            "reasons": [grant_json(grant) for grant in answer.grants],
            "notEvaluated": unknown,
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        click.echo("yes" if answer.allowed else "no")
        if answer.bypass:
            click.echo(f"the group {MASTERS} may do everything; no authorizer is asked")
        for grant in answer.grants:
            for line in grant_text(grant):
                click.echo(line)
    if not options["quiet"]:
        hint_unknown(read.inventory, access, [subject], request.namespace)
        tell(unknown)
    if answer.allowed:
        return COMPLIES
    # An API server would not hold what it refuses, and a role that does not exist grants nothing: told, and still a no.
    doubtful = any(entry["reason"] not in ("refused", "missing-role") for entry in unknown)
    return INCOMPLETE if doubtful and not options["allow_incomplete"] else FINDINGS
