"""The ways between workloads, and from and to outside, that differ between two inventories.

Workloads that no policy tells apart on either side are compared once, as one, so that the cost grows with what policies
distinguish. Compared are the ends that both sides have; besides those of ``reach`` some that are not among the inputs:
any other pod, the cluster's name server, and pods that a policy of either side names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from kubeassay.analysis.network.connections import ALL, ANYWHERE, NONE, Addresses, Connections, together
from kubeassay.analysis.network.connectivity import Answer, Connectivity, connectivity
from kubeassay.analysis.network.endpoints import METADATA_NAME, Namespace, Workload, namespace_finder
from kubeassay.analysis.network.explain import Reason, reasons
from kubeassay.analysis.network.policies import Direction
from kubeassay.analysis.network.reach import Ends, Reach
from kubeassay.analysis.review.causes import MOST, cause
from kubeassay.analysis.selectors import Selector
from kubeassay.model import Inventory, Object, ObjectRef
from kubeassay.model.review import Cause, PathChange, Side, State, WorkloadChange

ANY_POD = "{any other pod}"
DNS = "{cluster DNS}"
_CONTROLLERS = ("{ingress-controller}", "{gateway}")
#: Pairs of more kinds of ends than this are not compared: it would take minutes.
_MOST_KINDS = 2_500

#: Of the others that a new workload has a way to or from, so many are named.
_NAMED = 6

_CLOSED = Answer(NONE)
#: Which reasons speak for a state.
_EFFECTS: Mapping[State, tuple[str, ...]] = {
    "open": ("opens", "passes"),
    "closed": ("closes",),
    "not-evaluated": ("unknown",),
}


class TooManyKindsError(Exception):
    """There are too many kinds of ends to compare each with each."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Ends that are alike on both sides: the classes of their pods before and after, and their names."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    names: tuple[str, ...]
    #: Whether they are workloads of the inputs; others have no ways to addresses that are told.
    listed: bool


@dataclass(frozen=True, slots=True)
class _Way:
    """What changed between two kinds of ends, or between one and addresses."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    was: State
    now: State
    connections: Connections
    causes: tuple[Cause, ...]


def path_changes(before: Inventory, after: Inventory) -> tuple[PathChange, ...]:
    """The ways that differ. Raises :class:`TooManyKindsError`."""
    return _Comparison(before, after).changes()


class _Comparison:
    def __init__(self, before: Inventory, after: Inventory) -> None:
        absent = _absent(connectivity(before)) | _absent(connectivity(after))
        self._reach = (Reach(before), Reach(after))
        self._nets = (_with_absent(before, absent), _with_absent(after, absent))
        self._v6 = any(reach.dual_stack for reach in self._reach)
        self._kinds = tuple(self._find_kinds())
        if len(self._kinds) > _MOST_KINDS:
            raise TooManyKindsError

    def _find_kinds(self) -> Iterator[_Kind]:
        old, new = self._nets
        names: dict[tuple[tuple[int, ...], tuple[int, ...], bool], list[str]] = defaultdict(list)
        unlisted = {w.name for net in self._nets for w in net.workloads if not w.obj.file}
        for name in sorted(set(old.names) & set(new.names)):
            names[_classes(old, name), _classes(new, name), name not in unlisted].append(name)
        for (classes_before, classes_after, listed), of_them in names.items():
            yield _Kind(classes_before, classes_after, tuple(of_them), listed)
        yield _Kind((old.any_pod,), (new.any_pod,), (ANY_POD,), False)
        if not (old.members(old.dns) and new.members(new.dns)):
            yield _Kind((old.dns,), (new.dns,), (DNS,), False)

    def changes(self) -> tuple[PathChange, ...]:
        ways = [*self._between(), *self._outside(), *self._from_controllers()]
        return tuple(sorted(_grouped(ways), key=lambda path: (path.was, path.now, path.sources, path.destinations)))

    def _between(self) -> Iterator[_Way]:
        old, new = self._nets
        for source in self._kinds:
            if source.names == (DNS,):
                # It answers, and asks nobody here.
                continue
            ways_before, ways_after = _ways(old, source.before), _ways(new, source.after)
            for destination in self._kinds:
                if source is destination and len(source.names) == 1:
                    continue
                was = _joined(ways_before.get(end, _CLOSED) for end in destination.before)
                now = _joined(ways_after.get(end, _CLOSED) for end in destination.after)
                # What neither end is of the inputs is no way of theirs.
                if was == now or not (source.listed or destination.listed):
                    continue
                told = self._reasons(source.names[0], _other(destination, source.names[0]), None)
                for state_before, state_after, connections in _differences(was, now):
                    causes = _causes(state_before, state_after, *told)
                    yield _Way(source.names, destination.names, state_before, state_after, connections, causes)

    def _outside(self) -> Iterator[_Way]:
        directions: tuple[Direction, ...] = ("egress", "ingress")
        for kind, direction in product((kind for kind in self._kinds if kind.listed), directions):
            old = _by_address(self._nets[0], kind.before, direction)
            new = _by_address(self._nets[1], kind.after, direction)
            for (was, block), (now, other) in product(old.items(), new.items()):
                common = block & other if was != now else Addresses()
                common = common if self._v6 else Addresses(v4=common.v4)
                if not common:
                    continue
                name = kind.names[0]
                source, destination = (name, None) if direction == "egress" else (None, name)
                told = self._reasons(source, destination, common)
                for state_before, state_after, connections in _differences(was, now):
                    causes = _causes(state_before, state_after, *told)
                    ends = (kind.names, common.cidrs())
                    some, others = ends if direction == "egress" else ends[::-1]
                    yield _Way(some, others, state_before, state_after, connections, causes)

    def _from_controllers(self) -> Iterator[_Way]:
        """From an ingress controller or gateway that is not among the inputs, where both sides lead through one; what
        is new on it, or gone from it, is an exposure."""
        wanted = Ends(frozenset(_CONTROLLERS), Addresses())
        old, new = ({(row.source, row.destination): row.answer for row in reach.rows(wanted)} for reach in self._reach)
        for source, destination in sorted({*old, *new}):
            if not all(destination in net.names for net in self._nets):
                continue
            was, now = old.get((source, destination), _CLOSED), new.get((source, destination), _CLOSED)
            told = self._reasons(ANY_POD, destination, None)
            for state_before, state_after, connections in _differences(was, now):
                causes = _causes(state_before, state_after, *told)
                yield _Way((source,), (destination,), state_before, state_after, connections, causes)

    def _reasons(
        self, source: str | None, destination: str | None, block: Addresses | None
    ) -> tuple[list[Reason], list[Reason]]:
        """Why a way is as it is, before and after. An end that is None is an address of the block."""
        before, after = (list(_reasons_of(net, source, destination, block)) for net in self._nets)
        return before, after


def _other(kind: _Kind, name: str) -> str:
    return next((one for one in kind.names if one != name), kind.names[0])


def _classes(net: Connectivity, name: str) -> tuple[int, ...]:
    return tuple(sorted({net.end(workload) for workload in net.named(name)}))


def _ways(net: Connectivity, ends: Sequence[int]) -> Mapping[int, Answer]:
    """What is not wholly closed from pods of some classes to others."""
    if len(ends) == 1:
        return dict(net.ways_from(ends[0], outside=False))
    found: dict[int, list[Answer]] = defaultdict(list)
    for end in ends:
        for destination, answer in net.ways_from(end, outside=False):
            found[destination].append(answer)
    return {destination: _joined(answers) for destination, answers in found.items()}


def _joined(answers: Iterable[Answer]) -> Answer:
    """What is open to some pods of a name is open to the name."""
    opened = unknown = NONE
    for answer in answers:
        opened |= answer.open
        unknown |= answer.unknown
    return Answer(opened, unknown - opened)


def _by_address(net: Connectivity, ends: Sequence[int], direction: Direction) -> Mapping[Answer, Addresses]:
    """All addresses outside, joined by what is said of them."""
    blocks: dict[Answer, list[Addresses]] = defaultdict(list)
    for number, block in net.range_ends():
        answers = (net.answer(end, number) if direction == "egress" else net.answer(number, end) for end in ends)
        blocks[_joined(answers)].append(block)
    return {answer: together(of_it) for answer, of_it in blocks.items()}


def _differences(was: Answer, now: Answer) -> Iterator[tuple[State, State, Connections]]:
    """The connections whose state differs, by the states."""
    before: tuple[tuple[State, Connections], ...] = (
        ("open", was.open),
        ("closed", was.closed),
        ("not-evaluated", was.unknown),
    )
    after: tuple[tuple[State, Connections], ...] = (
        ("open", now.open),
        ("closed", now.closed),
        ("not-evaluated", now.unknown),
    )
    for (state_before, some), (state_after, others) in product(before, after):
        if state_before != state_after and (common := some & others):
            yield state_before, state_after, common


def _grouped(ways: Iterable[_Way]) -> Iterator[PathChange]:
    """Ways that changed alike for the same reason, as few entries."""
    to: dict[tuple[object, ...], tuple[_Way, list[str]]] = {}
    for way in ways:
        key = (way.sources, way.was, way.now, way.connections, way.causes)
        to.setdefault(key, (way, []))[1].extend(way.destinations)
    alike: dict[tuple[object, ...], tuple[_Way, tuple[str, ...], list[str]]] = {}
    for way, ends in to.values():
        destinations = tuple(sorted(dict.fromkeys(ends)))
        key = (destinations, way.was, way.now, way.connections, way.causes)
        alike.setdefault(key, (way, destinations, []))[2].extend(way.sources)
    for way, destinations, sources in alike.values():
        kept = tuple(sorted(dict.fromkeys(sources)))
        yield PathChange(way.was, way.now, kept, destinations, str(way.connections), way.causes)


# --- ends that are not among the inputs ---


def _absent(net: Connectivity) -> dict[tuple[str, str], tuple[dict[str, str], dict[str, str]]]:
    """(Namespace, words) of pods that policies name and of which there is no workload → labels of the namespace and of
    the pods that the policies' selectors select."""
    found: dict[tuple[str, str], tuple[dict[str, str], dict[str, str]]] = {}
    for absent in net.absent:
        if absent.end == net.dns or absent.pods.namespaces is None:
            continue
        words = "" if absent.pods.pods.everything else f" {absent.pods.pods}"
        found.setdefault(
            (absent.namespace, words), (_selected_by(absent.pods.namespaces), _selected_by(absent.pods.pods))
        )
    return found


def _selected_by(selector: Selector) -> dict[str, str]:
    """Labels that a selector selects."""
    return {
        requirement.key: min(requirement.values, default="")
        for requirement in selector.requirements
        if requirement.operator in ("Exists", "In")
    }


def _with_absent(
    inventory: Inventory, absent: Mapping[tuple[str, str], tuple[Mapping[str, str], Mapping[str, str]]]
) -> Connectivity:
    """The connectivity of an inventory with pods that policies of either side name."""
    net = connectivity(inventory)
    if not absent:
        return net
    spaces = dict(net.namespaces)
    ends: list[Workload] = []
    own: dict[int, Namespace] = {}
    for (namespace, words), (of_space, labels) in absent.items():
        name = f"{namespace}/{{pods{words}}}"
        obj = Object.without_document(ObjectRef("v1", "Pod", namespace, name), {}, "", (), 0)
        end = Workload(name, namespace, obj, labels, (), False, "", None)
        declared = net.namespaces.get(namespace)
        if declared is None or not declared.declared:
            declared = Namespace(namespace, {**of_space, METADATA_NAME: namespace}, None, declared=False)
        own[id(end)] = declared
        ends.append(end)
    space_of = namespace_finder(inventory, spaces)
    return Connectivity(
        (*net.workloads, *ends),
        spaces,
        net.policies,
        net.foreign,
        lambda workload: own[id(workload)] if id(workload) in own else space_of(workload),
    )


# --- why ---


def _reasons_of(
    net: Connectivity, source: str | None, destination: str | None, block: Addresses | None
) -> Iterator[Reason]:
    peer = net.any_pod
    if block is not None:
        peer = next(number for number, _ in net.range_ends(block))
    elif DNS in (source, destination):
        peer = net.dns
    sources: Sequence[Workload | None] = net.named(source) if source is not None else ()
    destinations: Sequence[Workload | None] = net.named(destination) if destination is not None else ()
    for one, other in product(sources or (None,), destinations or (None,)):
        for reason in reasons(net, one, other, peer):
            end, role = (one, "the source") if reason.direction == "egress" else (other, "the destination")
            words = reason.words if end is None else reason.words.replace(end.name, role)
            yield Reason(reason.direction, reason.effect, words, reason.obj, reason.path)


def _causes(was: State, now: State, before: Sequence[Reason], after: Sequence[Reason]) -> tuple[Cause, ...]:
    """What the sides say differently: what speaks for the new state and is new, and what spoke for the old one and is
    gone. Where neither is so (a name of a port has another number), what speaks for the new state."""
    known = ({_key(reason) for reason in before}, {_key(reason) for reason in after})
    found = [
        *_told("after", [r for r in after if r.effect in _EFFECTS[now] and _key(r) not in known[0]]),
        *_told("before", [r for r in before if r.effect in _EFFECTS[was] and _key(r) not in known[1]]),
    ] or [*_told("after", [r for r in after if r.effect in _EFFECTS[now]])]
    return tuple(dict.fromkeys(found))[:MOST]


def _key(reason: Reason) -> tuple[str, ...]:
    """By what a reason is the same on the other side. That a policy closes is the same, whatever it leaves open."""
    ref = "" if reason.obj is None else f"{reason.obj.ref.group} {reason.obj.ref}"
    return (reason.direction, reason.effect, ref, "" if reason.effect == "closes" else reason.words)


def _told(side: Side, chosen: Iterable[Reason]) -> Iterator[Cause]:
    seen: set[tuple[str, ...]] = set()
    for reason in chosen:
        if _key(reason) not in seen:
            seen.add(_key(reason))
            yield cause(side, reason.effect, f"{reason.direction}: {reason.words}", reason.obj, reason.path)


# --- workloads that one side alone has ---


def workload_changes(before: Inventory, after: Inventory) -> tuple[WorkloadChange, ...]:
    """The workloads that are new or gone, with what is open to them and from them."""
    old, new = connectivity(before), connectivity(after)
    found: list[WorkloadChange] = []
    for name in sorted(set(old.names) ^ set(new.names)):
        net = new if name in set(new.names) else old
        ends = _classes(net, name)
        workload = net.named(name)[0]
        found.append(
            WorkloadChange(
                "added" if net is new else "removed",
                name,
                _openness(net, name, ends, "ingress"),
                _openness(net, name, ends, "egress"),
                workload.obj.locate(("metadata", "name")),
            )
        )
    return tuple(found)


def _openness(net: Connectivity, name: str, ends: Sequence[int], direction: Direction) -> str:
    def answer(other: int) -> Answer:
        return _joined(net.answer(end, other) if direction == "egress" else net.answer(other, end) for end in ends)

    outside = {answer: Addresses(v4=block.v4) for answer, block in _by_address(net, ends, direction).items()}
    outside = {answer: block for answer, block in outside.items() if block}
    anyone = answer(net.any_pod)
    others = {other.name: answer(net.end(other)) for members in net.classes for other in members if other.name != name}
    if all(said.open == ALL for said in (anyone, *outside, *others.values())):
        return "every pod and address, on every port"
    opened = sorted(name for name, said in others.items() if said.open)
    more = f" and {len(opened) - _NAMED} more" if len(opened) > _NAMED else ""
    named = f" ({', '.join(opened[:_NAMED])}{more})" if opened else ""
    parts = [f"{len(opened)} of {len(others)} other workload{'' if len(others) == 1 else 's'}{named}"]
    unknown = sum(1 for said in others.values() if said.unknown and not said.open)
    if unknown:
        parts.append(f"not evaluated for {unknown} more")
    for words, said in (("any other pod", anyone), *((_addresses(block), said) for said, block in outside.items())):
        if said.open:
            parts.append(words if said.open == ALL else f"{words} on {said.open}")
        elif said.unknown:
            parts.append(f"not evaluated for {words}")
    return "; ".join(parts)


def _addresses(block: Addresses) -> str:
    if block.v4 == ANYWHERE.v4:
        return "every address"
    cidrs = block.cidrs()
    return ", ".join(cidrs[:4]) + (f" and {len(cidrs) - 4} more" if len(cidrs) > 4 else "")
