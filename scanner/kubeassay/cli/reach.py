"""``kubeassay reach``"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from kubeassay.analysis.access.model import GROUP
from kubeassay.analysis.network.connections import (
    ALL,
    ALL_PORTS,
    ANYWHERE,
    PROTOCOLS,
    Addresses,
    Connections,
    addresses,
    ports,
)
from kubeassay.analysis.network.connectivity import Answer, Connectivity
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.explain import Reason, reasons
from kubeassay.analysis.network.gaps import at, causes, dropped, undeclared, unknown_pods
from kubeassay.analysis.network.reach import Change, Ends, Reach, Row, alike, changes
from kubeassay.cli.exits import COMPLIES, FINDINGS, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT, completeness, input_options, read_inputs
from kubeassay.execution.inventory import ReadInventory
from kubeassay.model import Object
from kubeassay.policy.library import suggestion
from kubeassay.reporting.result_json import location_as_json
from kubeassay.reporting.texts import printable, table
from kubeassay.sources.files import UsageError, names_files

FORMATS = ("table", "json", "dot", "mermaid")
_PORT = re.compile(
    r"(?:(?P<before>TCP|UDP|SCTP)[/ :])?(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?(?:/(?P<after>TCP|UDP|SCTP))?\Z"
)
_OUTSIDE = ("internet", "external", "outside")


class _Ports(click.ParamType[Connections]):
    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Connections:
        if isinstance(value, Connections):
            return value
        match = _PORT.match(value.strip().upper())
        if match is None or (match["before"] and match["after"]):
            self.fail(f"{value} is no port: 8080, UDP/53 or TCP/8080-8090.", param, ctx)
        first = int(match["first"])
        last = int(match["last"] or first)
        wanted = match["before"] or match["after"] or "TCP"
        protocol = next(p for p in PROTOCOLS if p == wanted)
        if not ALL_PORTS[0][0] <= first <= last <= ALL_PORTS[0][1]:
            self.fail(f"{value}: ports are from 1 to 65535.", param, ctx)
        return ports(protocol, (first, last))


@click.command(context_settings=CONTEXT)
@click.argument("arguments", nargs=-1, metavar="[FROM] [TO] [PATH]...")
@click.option("--from", "sources", multiple=True, metavar="END", help="Only ways from here. Repeats.")
@click.option("--to", "destinations", multiple=True, metavar="END", help="Only ways to here. Repeats.")
@click.option(
    "--port", "only", type=_Ports(), metavar="PORT", help="Only these connections: 8080, UDP/53, TCP/8080-8090."
)
@click.option(
    "--by",
    type=click.Choice(["workload", "namespace"]),
    default="workload",
    show_default=True,
    help="Rows of workloads, or of namespaces.",
)
@click.option("--why", is_flag=True, help="Say for each way which policies open or close it, and where they stand.")
@click.option(
    "--diff", nargs=2, metavar="OLD NEW", type=click.Path(path_type=str), help="Compare two targets (files or trees)."
)
@click.option("--fail-on-opened", is_flag=True, help="With --diff: exit with 1 where the change opens a way.")
@click.option("--format", "-f", "format_name", type=click.Choice(FORMATS), default="table", show_default=True)
@input_options
@click.pass_context
def reach(ctx: click.Context, /, arguments: tuple[str, ...], **options: Any) -> int:
    """Say who reaches whom, by all network policies together.

    FROM and TO are workloads (namespace/name[Kind], namespace/name, name, or with wildcards: "shop/*"), CIDRs, single
    addresses, or "internet". What exists as a file is taken for a PATH. PATH is a file, a directory, a glob pattern or
    - for standard input; without one the working directory is read.

    Open is what the egress policies of the one and the ingress policies of the other allow. "Not Evaluated" is decided
    by policies that kubeassay does not evaluate (Cilium, Calico and others), or that are not known.

    Exit codes: 0; 1 with --fail-on-opened, a way is opened; 2 wrong usage; 3 something was not evaluated or not
    readable.
    """
    try:
        return _reach(arguments, options)
    except UsageError as error:
        raise click.UsageError(str(error), ctx) from None


def _reach(arguments: tuple[str, ...], options: dict[str, Any]) -> int:
    ends, paths = _split(arguments)
    sources, destinations = [*options["sources"], *ends[:1]], [*options["destinations"], *ends[1:]]
    for path in paths:
        if path != "-" and not names_files(path):
            raise UsageError(f"{path} is no file or folder; FROM and TO come before the paths")
    if options["diff"]:
        if options["why"]:
            raise click.UsageError("--diff says what differs; for --why ask about one of the two.")
        if paths:
            raise click.UsageError(f"--diff names its two targets; what is {paths[0]} for?")
        return _diff(sources, destinations, options)
    read = read_inputs(paths, options, concerns=_decides)
    question = _Question(_reached(read, options), sources, destinations, options["only"])
    # Somebody who names both ends wants an answer for them, even if it is no.
    closed = bool(sources and destinations)
    rows = question.rows(closed=closed)
    unknown = False

    def noted() -> Iterator[Row]:
        nonlocal unknown
        for row in rows:
            unknown = unknown or bool(row.answer.unknown)
            yield row

    if options["why"] and options["by"] == "namespace":
        raise click.UsageError("--why is for workloads.")
    if options["why"]:
        _print_why(question.reach.net, noted(), options["format_name"])
    else:
        _PRINTERS[options["format_name"]](noted())
    return _exit(read, question.reach.net, unknown, options)


def _decides(obj: Object) -> bool:
    """Whether connectivity depends on an object."""
    return obj.ref.group != GROUP and obj.ref.kind not in ("Secret", "ServiceAccount")


def _reached(read: ReadInventory, options: dict[str, Any]) -> Reach:
    return Reach(read.inventory, by_namespace=options["by"] == "namespace")


def _exit(read: ReadInventory, net: Connectivity, unknown: bool, options: dict[str, Any]) -> int:
    gaps = [*undeclared(net), *dropped(net), *unknown_pods(read.inventory)]
    # --why says of each way why it is not evaluated.
    gaps += causes(net) if unknown and not options["why"] else []
    if not options["quiet"]:
        for line in gaps:
            click.echo(printable(line), err=True)
    if (unknown or gaps) and not options["allow_incomplete"]:
        return INCOMPLETE
    return completeness(read, options)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """FROM and TO, which come first and are no files, and the PATHs."""
    ends: list[str] = []
    for number, argument in enumerate(arguments):
        if number == 2 or argument == "-" or names_files(argument):
            return ends, list(arguments[number:])
        ends.append(argument)
    return ends, []


class _Question:
    """The ways that the user asks for."""

    def __init__(
        self, found: Reach, sources: Sequence[str], destinations: Sequence[str], only: Connections | None
    ) -> None:
        self.reach = found
        self._sources = _ends(found, sources)
        self._destinations = _ends(found, destinations)
        self._only = only or ALL

    def rows(self, *, closed: bool = False) -> Iterator[Row]:
        return self.reach.rows(self._sources, self._destinations, self._only, closed=closed)


def _ends(reached: Reach, wanted: Sequence[str]) -> Ends:
    if not wanted:
        return Ends()
    names: set[str] = set()
    block = Addresses()
    for end in wanted:
        cidr = ANYWHERE if end in _OUTSIDE else addresses(end)
        if cidr is not None:
            block |= cidr
            continue
        found = reached.find(end)
        if not found:
            known = reached.names
            what = "namespace" if reached.by_namespace else "workload"
            near = suggestion(end, known) or (f"; there are {', '.join(known[:5])}" if known else "")
            raise UsageError(f"{end}: no such {what}, address or path{near}")
        names.update(found)
    return Ends(frozenset(names), block)


# --- output ---


def _print_table(rows: Iterable[Row]) -> None:
    lines = [(row.source, row.destination, row.words) for row in rows]
    _print_columns([("FROM", "TO", "CONNECTIONS"), *lines])


def _print_columns(lines: Sequence[tuple[str, ...]]) -> None:
    for line in table(lines):
        click.echo(line)


def _as_json(row: Row) -> dict[str, Any]:
    entry = {"src": row.source, "dst": row.destination, "conn": row.connections}
    if row.answer.unknown and row.answer.open:
        entry["notEvaluated"] = str(row.answer.unknown)
    return entry


def _print_json(rows: Iterable[Row]) -> None:
    _print_json_list(_as_json(row) for row in rows)


def _print_json_list(entries: Iterable[dict[str, Any]]) -> None:
    # Written as it goes: a large cluster has millions of ways.
    first = True
    for entry in entries:
        text = json.dumps(entry, ensure_ascii=False, indent=2).replace("\n", "\n  ")
        # JSON is UTF-8, whatever the terminal speaks; half of a surrogate pair is written as JSON's own escape for it.
        click.echo((("[\n  " if first else ",\n  ") + text).encode("utf-8", "backslashreplace"), nl=False)
        first = False
    click.echo("[]" if first else "\n]")


def _print_dot(rows: Iterable[Row]) -> None:
    click.echo("digraph reach {")
    seen: set[str] = set()
    for row in rows:
        for end in (row.source, row.destination):
            if end not in seen:
                seen.add(end)
                click.echo(f"  {_dot(end)} [shape={'box' if '/' in end and '[' in end else 'ellipse'}];")
        style = " style=dashed" if row.answer.unknown and not row.answer.open else ""
        label = _dot(row.words)
        click.echo(f"  {_dot(row.source)} -> {_dot(row.destination)} [label={label}{style}];")
    click.echo("}")


def _dot(text: str) -> str:
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _print_mermaid(rows: Iterable[Row]) -> None:
    click.echo("flowchart LR")
    numbers: dict[str, int] = {}
    for row in rows:
        for end in (row.source, row.destination):
            if end not in numbers:
                numbers[end] = len(numbers)
                click.echo(f'  n{numbers[end]}["{_mermaid(end)}"]')
        arrow = "-.->" if row.answer.unknown and not row.answer.open else "-->"
        label = _mermaid(row.words)
        click.echo(f'  n{numbers[row.source]} {arrow}|"{label}"| n{numbers[row.destination]}')


def _mermaid(text: str) -> str:
    """Text inside quotes: what the diagram's own syntax or HTML would take for itself is written as entities."""
    return re.sub(r"[\"<>&#{}|`]", lambda match: f"#{ord(match[0])};", printable(text))


_PRINTERS = {"table": _print_table, "json": _print_json, "dot": _print_dot, "mermaid": _print_mermaid}


# --- why ---


def _print_why(net: Connectivity, rows: Iterable[Row], format_name: str) -> None:
    if format_name not in ("table", "json"):
        raise click.UsageError("--why is for the formats table and json.")
    if format_name == "json":
        _print_json_list(
            {**_as_json(row), "why": [_reason_as_json(reason) for reason in _why(net, row)]} for row in rows
        )
        return
    for row in rows:
        click.echo(printable(f"{row.source} -> {row.destination}: {row.words}"))
        for reason in _why(net, row):
            click.echo(printable(f"  {reason.direction:7} {reason.effect:7} {reason.words}"))
            if reason.obj is not None:
                click.echo(f"  {'':15} {printable(at(reason.obj, reason.path))}")


def _why(net: Connectivity, row: Row) -> Iterator[Reason]:
    """The reasons of a way. An end of several kinds of pods has those of each, told once."""
    told: set[Reason] = set()
    sources: Sequence[Workload | None] = net.named(row.source) or (None,)
    destinations: Sequence[Workload | None] = net.named(row.destination) or (None,)
    for source in sources:
        for destination in destinations:
            for peer in _outside_ends(net, row.source if source is None else row.destination):
                for reason in reasons(net, source, destination, peer):
                    if reason not in told:
                        told.add(reason)
                        yield reason


def _outside_ends(net: Connectivity, end: str) -> list[int]:
    block = addresses(end)
    return [number for number, _ in net.range_ends(block)] if block is not None else [net.any_pod]


def _reason_as_json(reason: Reason) -> dict[str, Any]:
    entry: dict[str, Any] = {"direction": reason.direction, "effect": reason.effect, "message": reason.words}
    if reason.obj is not None:
        entry["location"] = location_as_json(reason.obj.locate(reason.path))
    return entry


# --- diff ---


def _diff(sources: Sequence[str], destinations: Sequence[str], options: dict[str, Any]) -> int:
    if options["format_name"] not in ("table", "json"):
        raise click.UsageError("--diff is for the formats table and json.")
    if options["diff"].count("-") > 1:
        raise click.UsageError("--diff: standard input can be one of the two.")
    code = COMPLIES
    found: list[list[Row]] = []
    inputs = [read_inputs((path,), options, concerns=_decides) for path in options["diff"]]
    both = [_reached(read, options) for read in inputs]
    # What one of them says of IPv6 holds for both.
    for reached in both:
        reached.dual_stack = any(one.dual_stack for one in both)
    for read, reached in zip(inputs, both, strict=True):
        question = _Question(reached, _known(reached, sources), _known(reached, destinations), options["only"])
        rows = list(question.rows())
        found.append(rows)
        code = max(code, _exit(read, reached.net, any(row.answer.unknown for row in rows), options))
    for end in (*sources, *destinations):
        if addresses(end) is None and end not in _OUTSIDE and not any(one.find(end) for one in both):
            raise UsageError(f"{end}: no such workload or address in either")
    ways = changes(*alike(*found))
    if options["fail_on_opened"] and any(change.opened for change in ways):
        code = FINDINGS
    if options["format_name"] == "json":
        _print_json_list(_change_as_json(change) for change in ways)
        return code
    if not ways:
        click.echo("no way is opened or closed", err=True)
        return code
    _print_columns(
        [
            ("CHANGE", "FROM", "TO", "WAS", "IS"),
            *((_kind(c), c.source, c.destination, _text(c.before), _text(c.after)) for c in ways),
        ]
    )
    return code


def _known(reached: Reach, ends: Sequence[str]) -> list[str]:
    """Those ends that a target has: one may be new, or gone. None of them at all matches nothing, not everything."""
    kept = [end for end in ends if addresses(end) is not None or end in _OUTSIDE or reached.find(end)]
    return kept if kept or not ends else ["255.255.255.255/32"]


def _kind(change: Change) -> str:
    if change.opened and change.closed:
        return "changed"
    if change.opened:
        return "opened"
    return "closed" if change.closed else "unknown"


def _text(answer: Answer) -> str:
    return Row("", "", answer).connections


def _change_as_json(change: Change) -> dict[str, Any]:
    return {
        "change": _kind(change),
        "src": change.source,
        "dst": change.destination,
        "old": _text(change.before),
        "new": _text(change.after),
        "opened": str(change.opened),
        "closed": str(change.closed),
    }
