"""Connectivity as rows: who reaches whom, by name, and what of it a change opens or closes."""

from __future__ import annotations

import fnmatch
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kubeassay.analysis.network.connections import (
    ALL,
    ANYWHERE,
    NONE,
    PROTOCOLS,
    Addresses,
    Connections,
    addresses,
    ports,
    together,
)
from kubeassay.analysis.network.connectivity import Answer, Connectivity, connectivity
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.exposure import exposures
from kubeassay.analysis.network.judgements import dual_stack
from kubeassay.analysis.reading import items, mapping
from kubeassay.model import Inventory

#: What the connections of a row are called when policies that are not evaluated decide them.
NOT_EVALUATED = "Not Evaluated"


@dataclass(frozen=True, slots=True)
class Row:
    """One way between two ends. Ends are workloads (``namespace/name[Kind]``), CIDRs, or what stands for something
    outside the inputs (``{ingress-controller}``)."""

    source: str
    destination: str
    answer: Answer

    @property
    def connections(self) -> str:
        """The open connections; where none is open and some are not known to be closed, ``Not Evaluated``."""
        return NOT_EVALUATED if self.answer.unknown and not self.answer.open else str(self.answer.open)

    @property
    def words(self) -> str:
        """The connections, and which of the others are not evaluated."""
        unknown = self.answer.unknown if self.answer.open else None
        return f"{self.connections} (not evaluated: {unknown})" if unknown else self.connections


@dataclass(frozen=True, slots=True)
class Ends:
    """Which ends to list: None for all of one side. ``addresses``: the part of the outside that is wanted."""

    names: frozenset[str] | None = None
    addresses: Addresses = ANYWHERE


EVERYTHING = Ends()


class Reach:
    """The rows of one inventory. ``by_namespace``: rows join the workloads of each namespace, written
    ``name[Namespace]``; what is open among the workloads of one is a row of its own."""

    def __init__(self, inventory: Inventory, *, by_namespace: bool = False) -> None:
        self.net: Connectivity = connectivity(inventory)
        self.dual_stack = _names_ipv6(inventory, self.net)
        self.by_namespace = by_namespace
        self._workloads: dict[str, list[Workload]] = defaultdict(list)
        for workload in self.net.workloads:
            self._workloads[self._label(workload)].append(workload)
        #: The names of rows' ends, sorted.
        self.names: tuple[str, ...] = tuple(sorted(self._workloads))
        self._ways_in: dict[str, dict[str, Answer]] = defaultdict(dict)
        for workload, source, answer in _ways_in(inventory, self.net):
            _add(self._ways_in[self._label(workload)], source, answer)

    def _label(self, workload: Workload) -> str:
        return f"{workload.namespace}[Namespace]" if self.by_namespace else workload.name

    def find(self, pattern: str) -> list[str]:
        """The names of ends that a pattern means: see :meth:`Connectivity.find`; of namespaces, their names. What
        stands for a controller that is elsewhere is written as in rows."""
        if pattern in _CONTROLLERS.values():
            return [pattern]
        if not self.by_namespace:
            return self.net.find(pattern)
        return [
            name
            for name in self.names
            if fnmatch.fnmatchcase(name.removesuffix("[Namespace]"), pattern.removesuffix("[Namespace]"))
        ]

    def rows(
        self,
        sources: Ends = EVERYTHING,
        destinations: Ends = EVERYTHING,
        only: Connections = ALL,
        *,
        closed: bool = False,
    ) -> Iterator[Row]:
        """The rows between some ends, sorted by source and destination. ``only``: these connections alone.
        ``closed``: also those ways on which nothing is open, and those between the pods of one workload, which are left
        out otherwise."""
        # Who names IPv6 addresses wants to know of them, whatever the manifests speak of.
        v6 = self.dual_stack or any(e.addresses.v6 and e.addresses != ANYWHERE for e in (sources, destinations))
        for source, found in self._by_source(sources, destinations, closed, v6):
            for destination in sorted(found):
                answer = found[destination]
                answer = Answer(answer.open & only, answer.unknown & only)
                if answer.open or answer.unknown or closed:
                    yield Row(source, destination, answer)

    def _by_source(
        self, sources: Ends, destinations: Ends, closed: bool, v6: bool
    ) -> Iterator[tuple[str, Mapping[str, Answer]]]:
        wanted = [name for name in self.names if destinations.names is None or name in destinations.names]
        outside: dict[str, dict[str, Answer]] = defaultdict(dict)
        for name in wanted:
            for cidr, answer in self._outside(name, "ingress", sources.addresses, v6):
                outside[cidr][name] = answer
            for source, answer in self._ways_in.get(name, {}).items():
                if sources.names is None or source in sources.names:
                    outside[source][name] = answer
        inside = {name for name in self.names if sources.names is None or name in sources.names}
        listed = frozenset(wanted)
        for source in sorted(inside | set(outside)):
            if source in outside:
                yield source, outside[source]
                continue
            found: dict[str, Answer] = dict.fromkeys(listed, Answer(NONE)) if closed else {}
            for end, names in self._ends(source).items():
                for destination, answer in self._ways(end, destinations, wanted):
                    for workload in self.net.members(destination):
                        label = self._label(workload)
                        # Not the pods of a workload among each other, but where somebody asks for them.
                        own = label == source and names == {workload.name}
                        if label in listed and (not own or (closed and not self.by_namespace)):
                            _add(found, label, answer)
            for cidr, answer in self._outside(source, "egress", destinations.addresses, v6):
                found[cidr] = answer
            yield source, found

    def _ways(self, end: int, destinations: Ends, wanted: Sequence[str]) -> Iterator[tuple[int, Answer]]:
        """The ways from an end to all others, or to those that were asked for: of a few, only these are worked out."""
        if destinations.names is None:
            yield from self.net.ways_from(end)
            return
        for destination in dict.fromkeys(other for name in wanted for other in self._ends(name)):
            yield destination, self.net.answer(end, destination)

    def _ends(self, name: str) -> dict[int, set[str]]:
        """The classes of an end, with the names of its workloads in each."""
        found: dict[int, set[str]] = defaultdict(set)
        for workload in self._workloads[name]:
            found[self.net.end(workload)].add(workload.name)
        return found

    def _outside(self, name: str, direction: str, wanted: Addresses, v6: bool) -> Iterator[tuple[str, Answer]]:
        if not wanted:
            return
        joined: dict[Answer, list[Addresses]] = defaultdict(list)
        own = self._ends(name)
        for number, block in self.net.range_ends(wanted):
            found: dict[str, Answer] = {}
            for end in own:
                _add(found, "", self.net.answer(end, number) if direction == "egress" else self.net.answer(number, end))
            joined[found[""]].append(block)
        for answer, blocks in joined.items():
            block = together(blocks)
            for cidr in (block if v6 else replace(block, v6=())).cidrs():
                yield cidr, answer


def _add(found: dict[str, Answer], name: str, answer: Answer) -> None:
    """What is open to some pods of a name is open to the name."""
    before = found.get(name)
    if before is not None and before != answer:
        opened = before.open | answer.open
        answer = Answer(opened, (before.unknown | answer.unknown) - opened)
    found[name] = answer


def _names_ipv6(inventory: Inventory, net: Connectivity) -> bool:
    """Whether anything says that the cluster uses IPv6. Without, rows of IPv6 addresses would only repeat those of
    IPv4."""
    if dual_stack(net):
        return True
    for service in inventory.of_kind("Service", ""):
        spec = mapping(service.value.get("spec"))
        if "IPv6" in items(spec.get("ipFamilies")) or spec.get("ipFamilyPolicy") == "RequireDualStack":
            return True
    return False


def _ways_in(inventory: Inventory, net: Connectivity) -> Iterator[tuple[Workload, str, Answer]]:
    """Workloads, what stands for an ingress controller or gateway that is not among the inputs, and the connections
    that it makes to them. A gateway whose pods are among the inputs is a workload like others."""
    for exposure in exposures(inventory).all:
        source = _CONTROLLERS.get(exposure.kind) if not exposure.gateways else None
        protocol = next((p for p in PROTOCOLS if p == exposure.protocol), None)
        if source is not None and protocol is not None:
            through = ports(protocol, (exposure.port, exposure.port))
            answer = net.answer(net.any_pod, net.end(exposure.workload))
            yield exposure.workload, source, Answer(answer.open & through, answer.unknown & through)


_CONTROLLERS = {
    "ingress": "{ingress-controller}",
    "route": "{ingress-controller}",
    "gateway": "{gateway}",
    "istio-gateway": "{gateway}",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A way that differs between two targets."""

    source: str
    destination: str
    before: Answer
    after: Answer

    @property
    def opened(self) -> Connections:
        """What is open now and was closed."""
        return self.after.open - self.before.open - self.before.unknown

    @property
    def closed(self) -> Connections:
        """What was open and is closed now."""
        return self.before.open - self.after.open - self.after.unknown


def changes(before: Iterable[Row], after: Iterable[Row]) -> list[Change]:
    """The ways that differ, sorted by source and destination. A way of which one side has no row was closed, or its
    end did not exist."""
    old = {(row.source, row.destination): row.answer for row in before}
    new = {(row.source, row.destination): row.answer for row in after}
    return [
        Change(*key, old.get(key, Answer(NONE)), new.get(key, Answer(NONE)))
        for key in sorted({*old, *new})
        if old.get(key, Answer(NONE)) != new.get(key, Answer(NONE))
    ]


def alike(rows: Sequence[Row], other: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows of two targets with the addresses outside cut alike, so that a way is compared with itself."""
    blocks: dict[str, Addresses] = {}
    for row in (*rows, *other):
        for end in (row.source, row.destination):
            block = None if end in blocks else addresses(end)
            if block is not None:
                blocks[end] = block
    cuts: dict[int, list[int]] = {}
    for family in (4, 6):
        spans = [span for block in blocks.values() for span in (block.v4 if family == 4 else block.v6)]
        cuts[family] = sorted({point for start, end in spans for point in (start, end + 1)})
    parts = {cidr: _cut(block, cuts) for cidr, block in blocks.items()}

    def cut(of: Sequence[Row]) -> list[Row]:
        return [
            Row(source, destination, row.answer)
            for row in of
            for source in parts.get(row.source, (row.source,))
            for destination in parts.get(row.destination, (row.destination,))
        ]

    return cut(rows), cut(other)


def _cut(block: Addresses, cuts: Mapping[int, Sequence[int]]) -> tuple[str, ...]:
    """The CIDRs of a block, none of which reaches over a cut."""
    found: list[str] = []
    for family, spans in ((4, block.v4), (6, block.v6)):
        points = cuts[family]
        for start, end in spans:
            inner = points[bisect_right(points, start) : bisect_right(points, end)]
            for first, after in zip((start, *inner), (*inner, end + 1), strict=True):
                one = ((first, after - 1),)
                found += (Addresses(v4=one) if family == 4 else Addresses(v6=one)).cidrs()
    return tuple(found)
