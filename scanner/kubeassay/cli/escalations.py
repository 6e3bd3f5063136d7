"""``kubeassay escalations``"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from kubeassay.analysis.access.chosen_escalations import Chosen, chosen
from kubeassay.analysis.access.escalation import OUTCOMES, Escalation, Outcome, Step, Use
from kubeassay.analysis.access.escalation import escalations as find
from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.access.model import GROUP, Subject
from kubeassay.cli.access import (
    SubjectType,
    at,
    grant_json,
    hint_unknown,
    not_evaluated,
    place,
    rule_text,
    subject_json,
    tell,
    where,
)
from kubeassay.cli.exits import COMPLIES, FINDINGS, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, input_options, read_inputs
from kubeassay.model import Object
from kubeassay.reporting.texts import plural, printable, table

_HEADER = ("SUBJECT", "REACHES", "STEPS")


@click.command(context_settings=CONTEXT)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--subject", "subjects", type=SubjectType(), multiple=True, help="Only this subject. Repeats.")
@click.option(
    "--target",
    type=click.Choice([*OUTCOMES, "any"]),
    default="any",
    show_default=True,
    help="What must be reached. Of any, cluster-admin where it is, else node.",
)
@click.option("--all", "everybody", is_flag=True, help="Subjects of Kubernetes itself, too.")
@click.option("--assume", is_flag=True, help="Paths, too, that need something that the inputs do not tell.")
@click.option("--format", "-f", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--exit-zero", is_flag=True, help="Report only: exit with 0 whatever is found.")
@input_options
@click.pass_context
def escalations(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    subjects: tuple[Subject, ...],
    target: str,
    everybody: bool,
    assume: bool,
    format_name: str,
    exit_zero: bool,
    **options: Any,
) -> int:
    """Say who can become cluster-admin, or root on a node, and by which steps.

    PATH is a file, a directory, a glob pattern or - for standard input; without one the working directory is read. A
    SUBJECT is a user (alice, user:alice), a service account (sa:NAMESPACE/NAME) or a group (group:devs).

    Subjects are listed as bindings name them, each with its shortest path and the lines of each step. A member of a
    group has what the group has. Some paths need something that the inputs do not tell, for example that no Pod
    Security Standard is enforced in a namespace that is not among them; these are counted, and shown with --assume.

    \b
    kubeassay escalations manifests/
    kubeassay escalations --subject sa:ci/runner --target cluster-admin manifests/
    kubeassay escalations --format json --exit-zero

    Exit codes: 0 nobody; 1 somebody; 2 wrong usage; 3 nobody, but something was not readable or not known.
    """
    read = read_inputs(paths, options, concerns=lambda obj: obj.ref.group != GROUP)
    outcomes = tuple(outcome for outcome in OUTCOMES if target in (outcome, "any"))
    access = grants(read.inventory)
    answer = find(read.inventory)
    found = chosen(answer, subjects, outcomes, everybody=everybody, assume=assume)
    unknown = not_evaluated(read, access, access.missing_roles)
    if format_name == "json":
        shown = {
            "target": target,
            "escalations": [_escalation_json(escalation) for escalation in found.shown],
            "hidden": {"default": len(found.defaults), "assumed": len(found.assumed)},
            "notEvaluated": unknown,
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(found, outcomes, subjects)
    if not options["quiet"]:
        hint_unknown(read.inventory, access, subjects)
        tell(unknown)
    if exit_zero:
        return COMPLIES
    if found.shown:
        return FINDINGS
    return INCOMPLETE if unknown and not options["allow_incomplete"] else COMPLIES


# --- as text ---


def _print(found: Chosen, outcomes: Sequence[Outcome], subjects: Sequence[Subject]) -> None:
    if found.shown:
        for line in table([_HEADER, *map(_row, found.shown)]):
            click.echo(line)
        for escalation in found.shown:
            click.echo()
            for line in _path_text(escalation):
                click.echo(line)
    else:
        who = "none of these subjects" if len(subjects) > 1 else "nobody but Kubernetes itself"
        who = str(subjects[0]) if len(subjects) == 1 else who
        click.echo(printable(f"{who} is {'not ' if len(subjects) == 1 else ''}found to reach {' or '.join(outcomes)}"))
    if found.assumed:
        who = plural(len(found.assumed), "subject")
        click.echo(f"{who} by paths that rest on assumptions not shown (--assume shows them)", err=True)
    if found.defaults:
        who = plural(len(found.defaults), "subject")
        click.echo(f"{who} of Kubernetes itself not shown (--all shows them)", err=True)


def _row(escalation: Escalation) -> tuple[str, ...]:
    reaches = escalation.outcome + (" (assumed)" if escalation.assumptions else "")
    return printable(str(escalation.subject)), reaches, str(len(escalation.steps))


def _path_text(escalation: Escalation) -> Iterable[str]:
    steps = plural(len(escalation.steps), "step")
    yield printable(f"{escalation.subject} reaches {escalation.outcome} in {steps}")
    for number, step in enumerate(escalation.steps, start=1):
        yield printable(f"  {number}. {step.who} {step.how}")
        # Two rights of one rule stand on the same lines.
        for line in dict.fromkeys(line for use in step.uses for line in _use_text(use)):
            yield f"     {line}"
        if step.evidence is not None:
            yield f"     seen at {place(at(step.evidence, ('metadata', 'name')))}"
        if step.assumption:
            yield printable(f"     assumed: {step.assumption}")


def _use_text(use: Use) -> Iterable[str]:
    """Where the rule stands and what it says; where the subject is bound to its role."""
    rule = at(use.rule.obj, use.allowed.verb_path)
    yield f"rule {where(rule)}: {printable(rule_text(use.rule))}"
    if use.grant is not None:
        binding = at(use.grant.binding, use.grant.subject_path)
        yield f"bound {where(binding)} to {printable(f'{use.grant.role_kind} {use.grant.role_name}')}"


# --- as JSON ---


def _escalation_json(escalation: Escalation) -> dict[str, Any]:
    return {
        "subject": subject_json(escalation.subject),
        "reaches": escalation.outcome,
        "group": None if escalation.group is None else escalation.group.name,
        "assumptions": list(escalation.assumptions),
        "steps": [_step_json(step) for step in escalation.steps],
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "source": _end_json(step.source),
        "target": _end_json(step.target),
        "how": step.how,
        "assumption": step.assumption or None,
        "evidence": None if step.evidence is None else _object_json(step.evidence),
        "uses": [_use_json(use) for use in step.uses],
    }


def _end_json(end: Subject | Outcome) -> dict[str, Any] | str:
    return end if isinstance(end, str) else subject_json(end)


def _object_json(obj: Object) -> dict[str, Any]:
    ref = obj.ref
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name, "location": at(obj, ("metadata", "name"))}


def _use_json(use: Use) -> dict[str, Any]:
    allowed = use.allowed
    return {
        "verb": allowed.verb,
        "group": allowed.group,
        "resource": allowed.resource,
        "location": at(use.rule.obj, allowed.verb_path),
        "grant": None if use.grant is None else grant_json(use.grant),
    }
