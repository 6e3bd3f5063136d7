"""``kubeassay mesh``"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from kubeassay.analysis.mesh.client_tls import Call, client_tls
from kubeassay.analysis.mesh.mtls import Mtls, mtls
from kubeassay.analysis.mesh.served import NOT_KNOWN, Served, served
from kubeassay.analysis.mesh.settings import Place
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.services import Service, ServicePort, Target
from kubeassay.analysis.network.workloads import unknown_workloads
from kubeassay.checks.network_common import matches
from kubeassay.cli.exits import INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, completeness, input_options, read_inputs
from kubeassay.model import Inventory, Object, Path, format_path
from kubeassay.policy.library import suggestion
from kubeassay.reporting.result_json import location_as_json
from kubeassay.reporting.texts import printable, table
from kubeassay.sources.files import UsageError

_HEADER = ("WORKLOAD", "MESH", "PORT", "MODE", "DECIDED BY", "AT", "CALLERS")
_CALLS_HEADER = ("FROM", "TO", "SERVICE", "PORT", "RESULT", "WHY")


@click.command(context_settings=CONTEXT)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--namespace", "-n", "namespaces", multiple=True, metavar="NAME", help="Only this namespace. Repeats.")
@click.option(
    "--calls-from",
    "clients",
    multiple=True,
    metavar="WORKLOAD",
    help="What becomes of calls of this workload to Services, instead. Repeats.",
)
@click.option("--format", "-f", "format_name", type=click.Choice(["table", "json"]), default="table", show_default=True)
@input_options
@click.pass_context
def mesh(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    namespaces: tuple[str, ...],
    clients: tuple[str, ...],
    format_name: str,
    **options: Any,
) -> int:
    """Say which workloads are in the mesh, what it encrypts, and who may call them.

    PATH is a file, a directory, a glob pattern or - for standard input; without one the working directory is read.

    Each port of each workload is a row: the mTLS mode in which it is served (STRICT, PERMISSIVE, DISABLE, or none where
    no proxy stands before it), the object that decides it and where, and the callers that AuthorizationPolicies allow.
    With --calls-from a row is a call: encrypted, plain text, own TLS, or fails.

    Exit codes: 0; 2 wrong usage; 3 something is not known, not evaluated or not readable.
    """
    try:
        read = read_inputs(paths, options)
        inventory = read.inventory
        found = mtls(inventory)
        chosen = [workload for workload in found.workloads if not namespaces or workload.namespace in namespaces]
        if namespaces and not chosen and not clients:
            known = sorted({workload.namespace for workload in found.workloads})
            there = f"; there are workloads in {', '.join(known[:5])}" if known else ""
            raise UsageError(f"no workload among the inputs is in namespace {', '.join(namespaces)}{there}")
        if clients:
            calls = list(_calls(inventory, found, clients, namespaces))
            (_print_calls_json if format_name == "json" else _print_calls)(calls)
            gaps = any(row.call.result == "unknown" for row in calls)
        else:
            rows = [row for workload in chosen for row in served(inventory, found.of(workload))]
            (_print_json if format_name == "json" else _print_table)(rows)
            gaps = any(row.unknown for row in rows)
    except UsageError as error:
        raise click.UsageError(str(error), ctx) from None
    lines = list(_missing(inventory, found, namespaces))
    if not options["quiet"]:
        for line in lines:
            click.echo(printable(line), err=True)
    if (gaps or lines) and not options["allow_incomplete"]:
        return INCOMPLETE
    return completeness(read, options)


def _missing(inventory: Inventory, found: Mtls, namespaces: Sequence[str]) -> Iterator[str]:
    """What rows do not show."""
    for obj, path in unknown_workloads(inventory):
        if not namespaces or (obj.ref.namespace or "default") in namespaces:
            yield f"{_at((obj, path))}: {obj.ref}: an operator makes pods of it, whose labels are not known: in no row"
    if found.settings.linkerd is not None:
        yield f"{_at(found.settings.linkerd)}: Linkerd's injection and policies are not evaluated"
    if not found.settings.present:
        yield "nothing among the inputs shows an Istio mesh: modes are those that one would have"
    elif not found.root_is_known:
        yield (
            f"no object of namespace {found.settings.root_namespace} is among the inputs: a policy of the whole mesh,"
            " which would stand there, is not known"
        )


# --- workloads ---


def _print_table(rows: Iterable[Served]) -> None:
    lines: list[tuple[str, ...]] = [_HEADER]
    for row in rows:
        words, place = row.why
        port = str(row.port.number) if row.port is not None else "-"
        who = "; ".join(row.callers) or "-"
        at = _at(place) if place is not None else "-"
        lines.append((row.state.workload.name, row.state.membership.kind, port, row.mode, words, at, who))
    for line in table(lines):
        click.echo(printable(line))


def _print_json(rows: Iterable[Served]) -> None:
    workloads: dict[int, dict[str, Any]] = {}
    for row in rows:
        state = row.state
        entry = workloads.setdefault(
            id(state),
            {
                "workload": state.workload.name,
                "inMesh": state.membership.in_mesh,
                "dataPlane": state.membership.kind,
                "why": state.membership.words,
                **_place_as_json(state.membership.place),
                "revision": state.membership.revision,
                "ports": [],
            },
        )
        words, place = row.why
        entry["ports"].append(
            {
                "port": row.port.number if row.port is not None else None,
                "name": (row.port.name or None) if row.port is not None else None,
                "mode": row.resolved,
                "certain": row.certain,
                "level": row.decision.level if row.resolved is not None else None,
                "decidedBy": words,
                **_place_as_json(place),
                "callers": list(row.callers),
                **_perhaps(row),
            }
        )
    click.echo(json.dumps(list(workloads.values()), ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace"))


def _perhaps(row: Served) -> dict[str, Any]:
    """What a mode that is not certain may be."""
    if row.certain or not row.state.membership.captured:
        return {}
    return {"perhaps": list(row.decision.perhaps)}


# --- calls ---


@dataclass(frozen=True, slots=True)
class _CallRow:
    client: Workload
    service: Service
    port: ServicePort
    target: Target
    subset: str
    call: Call


def _calls(inventory: Inventory, found: Mtls, clients: Sequence[str], namespaces: Sequence[str]) -> Iterator[_CallRow]:
    tls = client_tls(inventory)
    for wanted in clients:
        # A name without a namespace is one in any.
        pattern = wanted if "/" in wanted else f"*/{wanted}"
        chosen = [workload for workload in found.workloads if matches(pattern, workload)]
        if not chosen:
            known = [workload.name for workload in found.workloads]
            near = suggestion(wanted, known) or (f"; there are {', '.join(known[:5])}" if known else "")
            raise UsageError(f"{wanted}: no such workload{near}")
        for client in chosen:
            for service in tls.services.by_object.values():
                if namespaces and service.namespace not in namespaces:
                    continue
                rule = tls.rule_for(client, service)
                for port in service.ports:
                    for target in port.targets if port.protocol == "TCP" else ():
                        for subset in ("", *(rule.subsets if rule is not None else ())):
                            call = tls.call(client, service, port, target, subset)
                            yield _CallRow(client, service, port, target, subset, call)


def _print_calls(rows: Iterable[_CallRow]) -> None:
    lines: list[tuple[str, ...]] = [_CALLS_HEADER]
    for row in rows:
        subset = f" (subset {row.subset})" if row.subset else ""
        service = f"{row.service.namespace}/{row.service.name}{subset}"
        call, why = row.call, row.call.words
        if call.if_equally_old is not None:
            result = f"{call.if_equally_old.result}?"
            why = f"{call.if_equally_old.words}, if all are equally old: {call.words}"
        else:
            result = NOT_KNOWN if call.result == "unknown" else call.result
        words = (row.client.name, row.target.workload.name, service, str(row.port.number), result, why)
        lines.append(words)
    for line in table(lines):
        click.echo(printable(line))


def _print_calls_json(rows: Iterable[_CallRow]) -> None:
    entries = [
        {
            "client": row.client.name,
            "server": row.target.workload.name,
            "service": f"{row.service.namespace}/{row.service.name}",
            "port": row.port.number,
            "targetPort": row.target.port,
            "subset": row.subset or None,
            "result": (row.call.if_equally_old or row.call).result,
            "certain": row.call.result != "unknown",
            "why": row.call.words,
            "clientDecidedBy": _place_as_json((row.call.if_equally_old or row.call).client) or None,
            "serverDecidedBy": _place_as_json((row.call.if_equally_old or row.call).server) or None,
            **({"perhaps": list(row.call.perhaps)} if row.call.perhaps else {}),
        }
        for row in rows
    ]
    click.echo(json.dumps(entries, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace"))


def _place_as_json(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    obj, path = place
    return {
        "object": str(obj.ref),
        "path": format_path(path),
        "location": location_as_json(obj.locate(path)),
    }


def _at(place: tuple[Object, Path]) -> str:
    at = place[0].locate(place[1])
    return f"{at.file}:{at.start_line}:{at.start_column}"
