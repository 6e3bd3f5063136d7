"""The maps of a report: what the analyses of everything at once say of a target, as plain texts in bounds.

They are made only where a report shows them, since the whole target is read for them once more: rules have but the
objects that they ask for, and without their places.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from kubeassay.analysis.access.chosen_escalations import chosen
from kubeassay.analysis.access.escalation import Escalation, Step
from kubeassay.analysis.access.escalation import escalations as find_escalations
from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.facts import kinds_of
from kubeassay.analysis.mesh.mtls import mtls
from kubeassay.analysis.mesh.served import NOT_KNOWN, Served, served
from kubeassay.analysis.network.connections import ALL, ANYWHERE, addresses, together
from kubeassay.analysis.network.gaps import at, causes, dropped, undeclared, unknown_pods
from kubeassay.analysis.network.reach import Reach, Row
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.quota.fit import Line, fits
from kubeassay.analysis.quota.texts import line_texts, namespace_text
from kubeassay.engine.live import gaps_of, saying
from kubeassay.execution.audit import discovered, unread_of
from kubeassay.execution.inventory import read_inventory
from kubeassay.model import Bar, Inventory, KubernetesVersion, NotEvaluated, Part, Picture, Result, Way
from kubeassay.model.pictures import WayState
from kubeassay.model.unread import Unread
from kubeassay.sources.files import Discovery
from kubeassay.sources.manifests import STDIN_NAME
from kubeassay.sources.snapshot import Snapshot

#: With more workloads than this the map is one of namespaces.
_WORKLOADS = 24
#: The most ends of a map, paths, bars, rows of a table, and places that a note names.
_ENDS = 40
_PATHS = 25
_BARS = 60
_ROWS = 400
_NOTES = 12
#: What stands for all addresses outside in the map; the table names them.
_OUTSIDE = "addresses outside"


def with_pictures_of_files(
    result: Result, discovery: Discovery, version: KubernetesVersion, stdin: bytes | None
) -> Result:
    """A result with the maps of what was scanned."""
    read = read_inventory(discovery, version, stdin=stdin, stdin_name=STDIN_NAME)
    return _with_pictures(result, read.inventory, version, lambda _: ())


def with_pictures_of_cluster(result: Result, snapshot: Snapshot, version: KubernetesVersion) -> Result:
    """A result with the maps of what was read of a cluster. What asks for something that was not read is not drawn."""
    read = read_inventory(discovered(snapshot), version)
    return _with_pictures(result, read.inventory, version, lambda needs: unread_of(needs, snapshot))


@dataclass(frozen=True, slots=True)
class _Drawing:
    """How a picture is made; ``needs``: the analyses that it asks, as rules name them."""

    id: str
    title: str
    needs: tuple[str, ...]
    draw: Callable[[Inventory, KubernetesVersion, Picture], Picture]


def _with_pictures(
    result: Result,
    inventory: Inventory,
    version: KubernetesVersion,
    unread: Callable[[Iterable[str]], tuple[Unread, ...]],
) -> Result:
    pictures: list[Picture] = []
    failures: list[NotEvaluated] = []
    for drawing in _DRAWINGS:
        empty = Picture(drawing.id, drawing.title, "", (), ())
        gaps = gaps_of(kinds_of(drawing.needs), unread(drawing.needs))
        if gaps.named:
            pictures.append(replace(empty, absent=saying(None, gaps.named, "it would show what is not so").detail))
            continue
        try:
            picture = drawing.draw(inventory, version, empty)
        except Exception as error:
            # As with rules: a mistake of the tool is told, and the rest of the report is written.
            said = f"{type(error).__name__}: {error}"
            failures.append(NotEvaluated("rule-error", f"the map {drawing.title!r} failed: {said}"))
            picture = replace(empty, absent=f"The tool failed: {said}")
        if gaps.possible:
            picture = replace(
                picture, notes=(*picture.notes, saying(None, gaps.possible, "what they say is not shown").detail)
            )
        pictures.append(picture)
    return replace(result, pictures=tuple(pictures), not_evaluated=(*result.not_evaluated, *failures))


def _bounded(rows: Iterable[tuple[str, ...]]) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The first rows, and what is said of the others."""
    listed = list(rows)
    return tuple(listed[:_ROWS]), _left_out(len(listed) - _ROWS, "row of the table", "rows of the table")


def _left_out(number: int, noun: str, several: str) -> tuple[str, ...]:
    return (f"{number:,} more {noun if number == 1 else several} left out.",) if number > 0 else ()


def _told(notes: Iterable[str]) -> tuple[str, ...]:
    listed = list(dict.fromkeys(notes))
    return (*listed[:_NOTES], *_left_out(len(listed) - _NOTES, "such note is", "such notes are"))


# --- connectivity ---


def _connectivity(inventory: Inventory, _: KubernetesVersion, picture: Picture) -> Picture:
    by_namespace = len(workloads(inventory)) > _WORKLOADS
    reach = Reach(inventory, by_namespace=by_namespace)
    rows = list(reach.rows())
    drawn = _drawn_ends(reach.names, rows)
    table, left_out = _bounded((row.source, row.destination, row.words) for row in rows)
    notes = [*undeclared(reach.net), *dropped(reach.net), *unknown_pods(inventory)]
    if any(row.answer.unknown for row in rows):
        notes += causes(reach.net)
    what = "workloads"
    if by_namespace:
        what = f"namespaces, since there are more than {_WORKLOADS} workloads: what is open to any of one is open to it"
    return replace(
        picture,
        lead=f"Ways that all network policies together leave open, between {what}."
        " Everything that was read is taken for one cluster.",
        columns=("From", "To", "Connections"),
        rows=table,
        ends=drawn,
        ways=tuple(_ways(rows, frozenset(drawn))),
        notes=(
            *left_out,
            *_left_out(len(set(reach.names) - set(drawn)), "end is", "ends are"),
            *_told(notes),
        ),
    )


def _drawn_ends(names: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
    """The ends of a map: what stands for the outside first, then workloads or namespaces."""
    others = {end for row in rows for end in (row.source, row.destination)} - set(names)
    outside = [_OUTSIDE] if any(addresses(end) is not None for end in others) else []
    controllers = sorted(end for end in others if addresses(end) is None)
    return (*outside, *controllers, *names[: _ENDS - len(controllers) - 1])


def _ways(rows: Iterable[Row], drawn: frozenset[str]) -> Iterator[Way]:
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        source, destination = (_OUTSIDE if addresses(end) is not None else end for end in (row.source, row.destination))
        if source in drawn and destination in drawn:
            found[source, destination].append(row)
    for (source, destination), members in sorted(found.items()):
        texts = [
            f"{row.source if source == _OUTSIDE else row.destination}: {row.words}"
            if _OUTSIDE in (source, destination)
            else row.words
            for row in members
        ]
        more = f"; and {len(texts) - 3} more" if len(texts) > 3 else ""
        yield Way(source, destination, _state(members, _OUTSIDE in (source, destination)), "; ".join(texts[:3]) + more)


def _state(rows: Sequence[Row], outside: bool) -> WayState:
    if all(row.answer.open == ALL for row in rows):
        blocks = [addresses(end) for row in rows for end in (row.source, row.destination)] if outside else []
        # All ports of some addresses are not everything.
        whole = not outside or together([block for block in blocks if block is not None]).v4 == ANYWHERE.v4
        return "all" if whole else "some"
    return "some" if any(row.answer.open for row in rows) else "not-known"


# --- escalations ---


def _escalations(inventory: Inventory, version: KubernetesVersion, picture: Picture) -> Picture:
    found = chosen(find_escalations(inventory, version.minor))
    access = grants(inventory, version.minor)
    table, left_out = _bounded(row for escalation in found.shown for row in _escalation_rows(escalation))
    notes = [
        f"{at(refused.obj, refused.path)}: an API server refuses {refused.obj.ref}: {refused.reason}"
        for refused in access.refused
    ]
    notes += [f"{at(obj, ('kind',))}: {obj.ref} of {obj.ref.group} is not understood" for obj in access.foreign]
    notes += [
        f"{at(missing.binding, missing.path)}: {missing.binding.ref} binds {missing.role_kind} {missing.role_name},"
        " which is not among the inputs"
        for missing in access.missing_roles
    ]
    if found.assumed:
        number = len(found.assumed)
        notes.append(
            f"{number:,} {'subject' if number == 1 else 'subjects'} by paths that rest on assumptions: not shown"
        )
    return replace(
        picture,
        lead="Who can become cluster-admin, or root on a node, and by which steps; not subjects of Kubernetes itself.",
        columns=("Subject", "Step", "Who", "Can", "By the rule at"),
        rows=table,
        paths=tuple(
            (str(escalation.subject), *(str(step.target) for step in escalation.steps))
            for escalation in found.shown[:_PATHS]
        ),
        notes=(
            *left_out,
            *_left_out(len(found.shown) - _PATHS, "path is not drawn, and", "paths are not drawn, and"),
            *_told(notes),
        ),
    )


def _escalation_rows(escalation: Escalation) -> Iterator[tuple[str, ...]]:
    for number, step in enumerate(escalation.steps, start=1):
        yield (
            str(escalation.subject),
            str(number),
            step.who,
            f"{step.how}, and so becomes {step.target}",
            "; ".join(_places(step)),
        )


def _places(step: Step) -> list[str]:
    places = (
        "Kubernetes itself" if use.rule.obj is None else at(use.rule.obj, use.allowed.verb_path) for use in step.uses
    )
    return list(dict.fromkeys(places)) or ["-"]


# --- mesh ---

_MODES = {"STRICT": "strict", "PERMISSIVE": "permissive", "DISABLE": "disable", "none": "none"}
_WORDS = {"none": "without proxy", "not-known": "not known"}


def _mesh(inventory: Inventory, _: KubernetesVersion, picture: Picture) -> Picture:
    found = mtls(inventory)
    ports = [(workload, row) for workload in found.workloads for row in served(inventory, found.of(workload))]
    modes: dict[str, Counter[str]] = defaultdict(Counter)
    for workload, row in ports:
        modes[workload.namespace][_MODES.get(row.mode, "not-known")] += 1
    table, left_out = _bounded(_mesh_row(row) for _, row in ports)
    notes = unknown_pods(inventory)
    if not found.settings.present:
        notes.append("Nothing among the inputs shows an Istio mesh: modes are those that one would have.")
    elif not found.root_is_known:
        notes.append(
            f"No object of namespace {found.settings.root_namespace} is among the inputs: a policy of the whole mesh,"
            " which would stand there, is not known."
        )
    if found.settings.linkerd is not None:
        notes.append(f"{at(*found.settings.linkerd)}: Linkerd's injection and policies are not evaluated")
    bars = []
    for namespace, counts in sorted(modes.items()):
        number = counts.total()
        kinds = [kind for kind in (*_MODES.values(), "not-known") if counts[kind]]
        said = ", ".join(f"{counts[kind]:,} {_WORDS.get(kind, kind.upper())}" for kind in kinds)
        parts = tuple(Part(kind, 1000 * counts[kind] // number, str(counts[kind])) for kind in kinds)
        bars.append(Bar(namespace, f"{number:,} {'port' if number == 1 else 'ports'}: {said}", parts))
    return replace(
        picture,
        lead="The mTLS mode in which each port is served, and what decides it; by namespace, and port by port.",
        columns=("Workload", "In the mesh", "Port", "Mode", "Decided by", "At", "Callers"),
        rows=table,
        bars=tuple(bars[:_BARS]),
        notes=(*left_out, *_left_out(len(bars) - _BARS, "bar is", "bars are"), *_told(notes)),
    )


def _mesh_row(row: Served) -> tuple[str, ...]:
    words, place = row.why
    return (
        row.state.workload.name,
        row.state.membership.kind,
        str(row.port.number) if row.port is not None else "-",
        NOT_KNOWN if row.mode == NOT_KNOWN else row.mode,
        words,
        at(*place) if place is not None else "-",
        "; ".join(row.callers) or "-",
    )


# --- quotas ---


def _quota(inventory: Inventory, version: KubernetesVersion, picture: Picture) -> Picture:
    found = fits(inventory, version.minor)
    lines = [(fit, line) for fit in found for line in fit.lines]
    table, left_out = _bounded(line_texts(fit, line) for fit, line in lines)
    unknown = (
        f"namespace {namespace_text(fit.space.name)}, {line.resource}: {reason}"
        for fit, line in lines
        for reason in line.unknown["surge"] or line.unknown["rest"]
    )
    bars = []
    for fit, line in lines:
        namespace, quota, resource, hard, rest, maximum, surge, _left = line_texts(fit, line)
        fit_words = {True: "", False: ", does not fit", None: ", not known whether it fits"}[line.fits("surge")]
        needed = " to ".join(dict.fromkeys((rest, maximum, surge)))
        bars.append(Bar(f"{namespace} {quota}: {resource}", f"{needed} of {hard}{fit_words}", _parts(line)))
    return replace(
        picture,
        lead="What each namespace needs of its quotas: at rest, at the maximum of its autoscalers, and with the surge"
        " of a rollout. The line at the right is the quota.",
        columns=("Namespace", "Quota", "Resource", "Hard", "At rest", "At maximum", "With surge", "Headroom"),
        rows=table,
        bars=tuple(bars[:_BARS]),
        notes=(*left_out, *_left_out(len(bars) - _BARS, "bar is", "bars are"), *_told(unknown)),
    )


def _parts(line: Line) -> tuple[Part, ...]:
    """What is needed at least, one phase on top of the other; what is beyond the quota is a part of its own."""
    ends = [_thousandths(amount, line.hard) for amount in (line.rest.low, line.maximum.low, line.surge.low)]
    parts, before = [], 0
    for kind, end in zip(("rest", "maximum", "surge"), ends, strict=True):
        within = min(end, 1000)
        parts.append(Part(kind, max(0, within - before), kind))
        before = max(before, within)
    parts.append(Part("over", max(0, max(ends) - 1000), "over"))
    return tuple(part for part in parts if part.size)


def _thousandths(amount: Fraction, hard: Fraction) -> int:
    if hard == 0:
        return 0 if amount == 0 else 2000
    return min(int(1000 * amount / hard), 2000)


_DRAWINGS = (
    _Drawing("connectivity", "Who reaches whom", ("Connectivity", "Exposures"), _connectivity),
    _Drawing("escalations", "Who becomes cluster-admin", ("Escalations",), _escalations),
    _Drawing("mesh", "What the mesh encrypts", ("Mesh", "Authorization"), _mesh),
    _Drawing("quota", "What quotas leave", ("Quotas",), _quota),
)
