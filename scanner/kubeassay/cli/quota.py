"""``kubeassay quota``"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from kubeassay.analysis.quantity import shown
from kubeassay.analysis.quota.admission import pods, refused_by_limit_ranges, refused_by_quotas, refused_claims
from kubeassay.analysis.quota.amounts import Amount
from kubeassay.analysis.quota.demand import Space
from kubeassay.analysis.quota.fit import PHASES, Fit, Fits, Line, Phase, fits
from kubeassay.analysis.quota.limit_ranges import LimitRange
from kubeassay.analysis.quota.quotas import Quota
from kubeassay.analysis.quota.texts import line_texts, namespace_text
from kubeassay.cli.exits import COMPLIES, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, completeness, input_options, read_inputs
from kubeassay.model import NEWEST_KNOWN, KubernetesVersion
from kubeassay.reporting.result_json import location_as_json
from kubeassay.reporting.texts import printable, table

_HEADER = ("NAMESPACE", "QUOTA", "RESOURCE", "HARD", "AT REST", "AT MAXIMUM", "WITH SURGE", "HEADROOM")
_NAMES: dict[Phase, str] = {"rest": "atRest", "maximum": "atMaximum", "surge": "withSurge"}
#: How many of many things a line names.
_NAMED = 3


@click.command(name="quota", context_settings=CONTEXT)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--namespace", "-n", "names", multiple=True, metavar="NS", help="Only this namespace. Repeats.")
@click.option(
    "--kubernetes-version", "version", metavar="1.N", help="The version to compute by.  [default: the newest]"
)
@click.option("--format", "-f", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@input_options
@click.pass_context
def quota(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    version: str | None,
    format_name: str,
    **options: Any,
) -> int:
    """Say what each namespace needs of its quotas, and what is left.

    PATH is a file, a directory, a glob pattern or - for standard input; without one the working directory is read.

    A line says of one resource of a ResourceQuota what is needed at rest, at the maximum of the autoscalers, and at
    that maximum while the workload is rolled out whose surge is largest. 3-5 is between the two, 3+ at least that: more
    is not known, and why is told. What quotas and limit ranges refuse, whatever is left, is told, too.

    \b
    kubeassay quota manifests/
    kubeassay quota -n backend manifests/
    kubeassay quota --format json .

    Exit codes: 0; 2 wrong usage; 3 something was not readable or not known.
    """
    try:
        minor = (KubernetesVersion.parse(version) if version else NEWEST_KNOWN).minor
    except ValueError as error:
        raise click.UsageError(f"--kubernetes-version: {error}", ctx) from None
    read = read_inputs(paths, options, concerns=lambda obj: obj.ref.group in ("", "apps", "autoscaling", "batch"))
    all_fits = fits(read.inventory, minor)
    for name in names:
        if name not in all_fits.demand.names:
            raise click.UsageError(f"--namespace {name}: nothing of this namespace is among the inputs.", ctx)
    found = [all_fits.of(name) for name in names] if names else list(all_fits)
    # A namespace that has no quota in effect may have one that is refused, or limit ranges.
    spaces = [all_fits.demand.space(name) for name in dict.fromkeys(names or all_fits.demand.names)]
    limited = [space for space in spaces if space.quotas or space.limit_ranges]
    unknown = [*_unknown(found), *(said for space in limited for said in _perhaps_refused(space, minor))]
    refused = [said for space in limited for said in _refused(space, minor)]
    if format_name == "json":
        answer = {
            "namespaces": [_fit_as_json(fit) for fit in found],
            "withoutQuota": _without_quota(all_fits, names),
            "refused": refused,
            "notEvaluated": unknown,
        }
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _print(found, refused)
    if not options["quiet"]:
        for line in unknown:
            click.echo(printable(line), err=True)
        without = _without_quota(all_fits, names)
        if without:
            click.echo(printable(f"without a quota: {', '.join(without)}"), err=True)
    code = completeness(read, options)
    return INCOMPLETE if code == COMPLIES and unknown and not options["allow_incomplete"] else code


def _without_quota(all_fits: Fits, names: Sequence[str]) -> list[str]:
    """The namespaces that have pods and no quota in effect."""
    wanted = names or all_fits.demand.names
    return [
        namespace_text(name)
        for name in wanted
        if not all_fits.of(name).lines and all_fits.of(name).space.first_with_pods is not None
    ]


def _print(found: Iterable[Fit], refused: Sequence[dict[str, Any]]) -> None:
    rows = [line_texts(fit, line) for fit in found for line in fit.lines]
    if rows:
        for text in table([_HEADER, *rows]):
            click.echo(text)
    else:
        click.echo("no ResourceQuota limits anything here")
    for said in refused:
        click.echo(printable(f"{said['location']['file']}:{said['location']['startLine']}: refused: {said['message']}"))


def _unknown(found: Iterable[Fit]) -> Iterator[str]:
    """What is not known, a line for each quota and reason."""
    for fit in found:
        reasons: dict[str, list[str]] = {}
        for line in fit.lines:
            for reason in line.unknown["surge"] or line.unknown["rest"]:
                reasons.setdefault(reason, []).append(line.resource)
        for reason, resources in reasons.items():
            listed = list(dict.fromkeys(resources))
            more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
            of = f"{', '.join(listed[:_NAMED])}{more}"
            yield f"namespace {namespace_text(fit.space.name)}: {reason} ({of} not known in full)"


def _perhaps_refused(space: Space, minor: int) -> Iterator[str]:
    """The pods of which it is not known whether they are refused, a line for each object that makes them."""
    for consumer in pods(space.consumers):
        refusals = {
            "a quota": refused_by_quotas(consumer, space.quotas, minor),
            "a LimitRange": refused_by_limit_ranges(consumer, space.limit_ranges),
        }
        perhaps = [by for by, refusal in refusals.items() if refusal.perhaps]
        if perhaps:
            words = f"whether {' or '.join(perhaps)} refuses the pods of {consumer.obj.ref} is not known"
            yield f"namespace {namespace_text(space.name)}: {words}"


def _refused(space: Space, minor: int) -> Iterator[dict[str, Any]]:
    """What is refused in a namespace: objects that an API server does not take, pods, claims."""
    both: tuple[Quota | LimitRange, ...] = (*space.quotas, *space.limit_ranges)
    for stated in both:
        for reason in stated.refused:
            at = location_as_json(stated.obj.locate(reason.path))
            yield {"object": str(stated), "message": f"{stated}: {reason.reason}", "location": at}
    for consumer in pods(space.consumers):
        assert consumer.template is not None
        base = consumer.template.spec_path
        ref = consumer.obj.ref
        for one in refused_by_quotas(consumer, space.quotas, minor).unstated:
            words = f"pods of {ref}: container {one.container} does not state {one.name}, which {one.quotas[0]} limits"
            path = (*base, *one.path) if one.path is not None else base
            yield {"object": str(ref), "message": words, "location": location_as_json(consumer.obj.locate(path))}
        for placed in refused_by_limit_ranges(consumer, space.limit_ranges).breaches:
            breach = placed.breach
            who = "in all" if breach.container is None else f"container {breach.container.name}"
            words = f"pods of {ref}: {who} {breach.words} by {breach.limit_range}"
            path = (*base, *placed.path) if placed.path is not None else base
            yield {"object": str(ref), "message": words, "location": location_as_json(consumer.obj.locate(path))}
    for consumer, breaches in refused_claims(space.consumers, space.limit_ranges):
        for breach in breaches:
            at = location_as_json(consumer.obj.locate(consumer.path))
            words = f"claim of {consumer.obj.ref} {breach.words} by {breach.limit_range}"
            yield {"object": str(consumer.obj.ref), "message": words, "location": at}


def _fit_as_json(fit: Fit) -> dict[str, Any]:
    quotas: dict[int, dict[str, Any]] = {}
    for line in fit.lines:
        obj = line.quota.obj
        entry = quotas.setdefault(
            id(line.quota),
            {
                "name": obj.ref.name,
                "location": location_as_json(obj.locate(("metadata", "name"))),
                "scopes": [
                    {"name": scope.name, "operator": scope.operator, "values": sorted(scope.values)}
                    for scope in line.quota.scopes
                ],
                "resources": [],
            },
        )
        entry["resources"].append(_line_as_json(line))
    return {"namespace": fit.space.name or None, "quotas": list(quotas.values())}


def _line_as_json(line: Line) -> dict[str, Any]:
    resource = line.resource
    return {
        "resource": resource,
        "hard": shown(resource, line.hard),
        **{_NAMES[phase]: _amount_as_json(resource, line.needed(phase)) for phase in PHASES},
        "withAllSurges": _amount_as_json(resource, line.all_surges),
        "headroom": None if line.headroom is None else shown(resource, line.headroom),
        "fits": {_NAMES[phase]: line.fits(phase) for phase in PHASES},
        "unknown": list(dict.fromkeys(reason for phase in PHASES for reason in line.unknown[phase])),
        "location": location_as_json(line.quota.obj.locate(("spec", "hard", resource))),
        "needs": [
            {
                "object": str(part.consumer.obj.ref),
                "each": _amount_as_json(resource, part.each),
                "atRest": _amount_as_json(resource, part.rest),
                "atMaximum": _amount_as_json(resource, part.maximum),
                "surge": _amount_as_json(resource, part.surge),
                "location": location_as_json(part.consumer.obj.locate(part.consumer.path)),
            }
            for part in line.parts
        ],
    }


def _amount_as_json(resource: str, amount: Amount) -> dict[str, str | None]:
    high = None if amount.high is None else shown(resource, amount.high)
    return {"min": shown(resource, amount.low), "max": high}
