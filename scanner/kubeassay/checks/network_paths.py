"""Ways between workloads, and to and from the outside, against a list of those that are meant to be open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from kubeassay.analysis.network.connections import (
    ALL,
    ANYWHERE,
    NONE,
    Addresses,
    Connections,
    addresses,
    read_ports,
    together,
)
from kubeassay.analysis.network.connectivity import (
    DNS_LABELS,
    DNS_NAMESPACE,
    Absent,
    Answer,
    Connectivity,
    connectivity,
)
from kubeassay.analysis.network.endpoints import METADATA_NAME, Workload
from kubeassay.analysis.network.explain import reasons
from kubeassay.analysis.network.judgements import (
    PUBLIC,
    SYSTEM_NAMESPACES,
    Group,
    Opening,
    Openings,
    address_count,
    by_namespace,
    dual_stack,
    foreign_of,
    groups_of,
    openings,
)
from kubeassay.analysis.network.policies import DIRECTIONS, Direction, Peer, Rule
from kubeassay.analysis.reading import mapping
from kubeassay.checks.check import Context, NotJudged, Passed, Said, Violation, Way, check
from kubeassay.checks.network_common import (
    is_one_of,
    matches,
    matches_name,
    namespace_place,
    not_evaluated,
    refused,
    shown,
)
from kubeassay.model import Inventory, Object, Path

INTERNET = "internet"
DNS = "dns"
#: What stands for the name server where its pods are not among the inputs.
_DNS_NAME = f"{DNS_NAMESPACE}/kube-dns"
#: What the workload that serves names is called: kubeadm and the clouds differ.
_NAME_SERVERS = ("kube-dns", "coredns")
#: Patterns that mean every workload, and so also pods that are not among the inputs.
_ANYBODY = frozenset({"*", "*/*"})
#: How many public addresses are somebody, and not the internet.
_A_FEW = 65536
#: Of more ways than this, none is excepted by itself.
_TOLD_WAYS = 1000
_SIDES: Mapping[Direction, str] = {"egress": "the caller's egress", "ingress": "the callee's ingress"}
_TO: Mapping[Direction, str] = {"egress": "to", "ingress": "from"}


# --- what is allowed ---


@dataclass(frozen=True, slots=True)
class PathEnd:
    """One end of an allowed path: addresses, the name server, or the workloads that a pattern means."""

    text: str
    block: Addresses | None = None

    def has(self, end: Workload) -> bool:
        if self.block is not None:
            return False
        if self.text == DNS:
            return end.namespace == DNS_NAMESPACE and DNS_LABELS.items() <= end.labels.items()
        return matches(self.text, end)

    @property
    def anybody(self) -> bool:
        return self.text in _ANYBODY

    @property
    def name_server(self) -> bool:
        """Whether it has the cluster's name server, among others perhaps."""
        return self.text == DNS or any(self.means(DNS_NAMESPACE, name) for name in _NAME_SERVERS)

    @property
    def only_name_server(self) -> bool:
        return self.text == DNS or self.text.partition("[")[0] in [f"{DNS_NAMESPACE}/{name}" for name in _NAME_SERVERS]

    def means(self, namespace: str, name: str) -> bool:
        """Whether it has what is called so, where that is not among the inputs."""
        return self.block is None and self.text != DNS and matches_name(self.text, namespace, name)

    def has_absent(self, absent: Absent) -> bool | None:
        """Whether it has pods that are not among the inputs; None where it names a workload, and what pods of it are
        labelled is not known."""
        if self.means(absent.namespace, ""):
            # A pattern of names that takes any name, or none at all.
            return True
        values = {v for r in absent.pods.pods.requirements if r.operator == "In" for v in r.values}
        if any(self.means(absent.namespace, value) for value in values):
            return True
        space = self.text.partition("/")[0]
        return None if values and self.block is None and matches_name(space, absent.namespace, "") else False


@dataclass(frozen=True, slots=True)
class AllowedPath:
    """One entry of the list. ``connections`` None: any."""

    sources: tuple[PathEnd, ...]
    destinations: tuple[PathEnd, ...]
    connections: Connections | None

    def __str__(self) -> str:
        through = f" ({self.connections})" if self.connections is not None else ""
        return f"{_texts(self.sources)} → {_texts(self.destinations)}{through}"


def _texts(ends: Iterable[PathEnd]) -> str:
    return ", ".join(end.text for end in ends)


def allowed_path(entry: Any) -> AllowedPath:
    """An entry of ``allowed_paths``. Raises ValueError on what it cannot mean."""
    entry = mapping(entry)
    unknown = set(entry) - {"from", "to", "ports", "reason"}
    if unknown:
        raise ValueError(
            f"allowed_paths: there is no {', '.join(sorted(map(str, unknown)))} in a path: from, to, ports"
        )
    through: Connections | None = None
    if entry.get("ports"):
        through = NONE
        for port in entry["ports"]:
            through |= _port(port)
    return AllowedPath(_path_ends(entry.get("from")), _path_ends(entry.get("to")), through)


def _path_ends(value: Any) -> tuple[PathEnd, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(text, str) and text for text in listed):
        raise ValueError("allowed_paths: from and to are a name, a pattern, a CIDR or internet, or a list of such")
    return tuple(PathEnd(text, ANYWHERE if text == INTERNET else addresses(text)) for text in listed)


def _port(value: Any) -> Connections:
    found = read_ports(str(value))
    if found is None:
        raise ValueError(f"allowed_paths: {value} is no port, as 8080, 8000-8080 or 53/UDP")
    return found


# --- ways, by what opens them ---


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """One end of ways: a group of workloads, or what stands for something outside the inputs. ``sends`` and ``takes``:
    the numbers of the allowed paths that have it as their source, and as their destination. ``asked``: it is no source
    of ways itself; ``asks``: no destination."""

    end: int
    label: str
    group: Group | None = None
    block: Addresses | None = None
    sends: frozenset[int] = frozenset()
    takes: frozenset[int] = frozenset()
    asked: bool = False
    asks: bool = False
    absent: Absent | None = None

    @property
    def first(self) -> Workload | None:
        return self.group.members[0] if self.group is not None else None

    @property
    def names(self) -> tuple[str, ...]:
        """What messages call its ends."""
        return tuple(end.name for end in self.group.members) if self.group is not None else (self.label,)


def _open_ways(net: Connectivity, nodes: Iterable[_Node]) -> Iterator[tuple[_Node, _Node, Answer]]:
    """The ways between nodes that are not wholly closed, those among outsiders left out."""
    by_end: dict[int, list[_Node]] = {}
    for node in nodes:
        by_end.setdefault(node.end, []).append(node)
    for end, sources in by_end.items():
        for other, answer in net.ways_from(end, outside=False):
            for destination in by_end.get(other, ()):
                for source in sources:
                    if source.asked or destination.asks:
                        continue
                    if source.group is not None or destination.group is not None:
                        yield source, destination, answer


@dataclass(slots=True)
class _Cause:
    """What opens ways: a rule, or that nothing isolates ``ends`` of a namespace in a direction."""

    obj: Object
    path: Path
    words: str
    ends: dict[str, None] = field(default_factory=dict)
    ways: list[str] = field(default_factory=list)
    count: int = 0
    related: tuple[tuple[str, Object, Path], ...] = ()
    through: list[Way] = field(default_factory=list)

    @property
    def what(self) -> str:
        if not self.ends:
            return f"{self.words} opens"
        return f"nothing isolates {shown(list(self.ends))} for {self.words}, which opens"


class _Causes:
    """Ways that should not be open, by what opens them."""

    def __init__(self, net: Connectivity, opened_by: Openings) -> None:
        self._net = net
        self._openings = opened_by
        self._found: dict[tuple[Any, ...], _Cause] = {}
        #: Objects with a way that should not be open, or perhaps is.
        self.concerned: set[int] = set()
        self._unknown: dict[str, NotJudged] = {}

    def add(self, source: _Node, destination: _Node, answer: Answer) -> None:
        """Note what is open on all ways between two nodes and should not be."""
        count = _pairs(source, destination)
        if not count or not (answer.open or answer.unknown):
            return
        if answer.unknown:
            end = destination.first or source.first
            assert end is not None
            detail = f"whether {_said(answer.unknown)} of {next(_ways(source, destination))} is open is not known"
            self._unknown.setdefault(end.namespace, NotJudged("unknown-connectivity", detail, end.obj))
        for cause, through in self._causes(source, destination, answer.open) if answer.open else ():
            _note(cause, source, destination, through)
        self.concerned.update(id(end.obj) for end in _members(source, destination))

    def add_outside(
        self,
        node: _Node,
        direction: Direction,
        opened: Iterable[tuple[Addresses, Connections]],
        unknown: Iterable[tuple[Addresses, Connections]],
    ) -> None:
        """Note what is open, or perhaps is, between a group of workloads and addresses, and should not be."""
        end = node.first
        assert end is not None
        for block, connections in unknown:
            way = next(_ways(*_ordered(node, _Node(-1, _label(block), block=block), direction)))
            detail = f"whether {_said(connections)} of {way} is open is not known"
            self._unknown.setdefault(end.namespace, NotJudged("unknown-connectivity", detail, end.obj))
            self.concerned.update(id(member.obj) for member in _members(node))
        for block, connections in opened:
            self.concerned.update(id(member.obj) for member in _members(node))
            for cause, part, through in self._outside(node, end, direction, block, connections):
                _note(cause, *_ordered(node, _Node(-1, _label(part), block=part), direction), through)

    def _outside(
        self, node: _Node, end: Workload, direction: Direction, block: Addresses, connections: Connections
    ) -> Iterator[tuple[_Cause, Addresses, Connections]]:
        found: list[Addresses] = []
        for opening, part in self._openings.outside(end, direction, block):
            common = opening.connections & connections
            if common:
                found.append(part)
                yield self._by_rule(opening), part, common
        rest = block - together(found)
        if rest and end.namespace not in SYSTEM_NAMESPACES:
            yield self._by_nothing(node, end, direction), rest, connections

    def _by_rule(self, opening: Opening, related: tuple[tuple[str, Object, Path], ...] = ()) -> _Cause:
        key = (id(opening.policy), opening.path)
        cause = self._found.get(key)
        if cause is None:
            obj, words = opening.policy.obj, str(opening.policy)
            cause = self._found[key] = _Cause(obj, opening.path, words, related=related)
        return cause

    def _by_nothing(self, node: _Node, end: Workload, direction: Direction) -> _Cause:
        key = (end.namespace, direction)
        cause = self._found.get(key)
        if cause is None:
            place = namespace_place(self._net, end.namespace, [end])
            assert place is not None
            cause = self._found[key] = _Cause(*place, direction)
        cause.ends.update(dict.fromkeys(member.name for member in _members(node)))
        return cause

    def _causes(
        self, source: _Node, destination: _Node, connections: Connections
    ) -> Iterator[tuple[_Cause, Connections]]:
        callee, caller = destination.first, source.first
        sides: list[tuple[Workload, Direction, int]] = []
        if callee is not None:
            sides.append((callee, "ingress", source.end))
        if caller is not None:
            sides.append((caller, "egress", destination.end))
        for number, (end, direction, peer) in enumerate(sides):
            found = False
            for opening in self._openings.of(end, direction, peer):
                common = opening.connections & connections
                if common:
                    found = True
                    related: tuple[tuple[str, Object, Path], ...] = ()
                    if len(sides) > 1 and (id(opening.policy), opening.path) not in self._found:
                        related = self._other(sides[1 - number], connections)
                    yield self._by_rule(opening, related), common
            if found:
                return
        for end, direction, _ in sides:
            if end.namespace not in SYSTEM_NAMESPACES:
                yield self._by_nothing(source if end is caller else destination, end, direction), connections
                return

    def _other(
        self, side: tuple[Workload, Direction, int], connections: Connections
    ) -> tuple[tuple[str, Object, Path], ...]:
        end, direction, peer = side
        for opening in self._openings.of(end, direction, peer):
            if opening.connections & connections:
                return ((f"{opening.policy} opens {direction} of {end}", opening.policy.obj, opening.path),)
        return ((f"nothing isolates {end} for {direction}", end.obj, ("metadata", "name")),)

    def violations(self, what: str, *, isolated_only: bool = False) -> Iterator[Violation | NotJudged]:
        """A finding for each cause. ``what``: how the ways are called, after their number. ``isolated_only``: none for
        what nothing isolates."""
        yield from self._unknown.values()
        for cause in self._found.values():
            if isolated_only and cause.ends:
                continue
            more = f" and {cause.count - len(cause.ways)} more" if cause.count > len(cause.ways) else ""
            number = "a way" if cause.count == 1 else f"{cause.count} ways"
            message = f"{cause.what} {number} {what}: {', '.join(cause.ways)}{more}"
            ways = tuple(cause.through) if cause.count <= _TOLD_WAYS else ()
            yield Violation(cause.path, message, obj=cause.obj, related=cause.related, ways=ways)


def _note(cause: _Cause, source: _Node, destination: _Node, through: Connections) -> None:
    cause.count += _pairs(source, destination)
    if cause.count <= _TOLD_WAYS:
        cause.through.append(Way(source.names, destination.names, through))
    for way in islice(_ways(source, destination), 3 - len(cause.ways)):
        cause.ways.append(f"{way} ({_said(through)})")


def _ordered(node: _Node, other: _Node, direction: Direction) -> tuple[_Node, _Node]:
    """The source and the destination of a way, of a node and what is at its other end."""
    return (node, other) if direction == "egress" else (other, node)


def _said(connections: Connections) -> str:
    """Connections, by what is missing of all where that is shorter."""
    rest = ALL - connections
    return f"all but {rest}" if rest and len(str(rest)) < len(str(connections)) else str(connections)


def _pairs(source: _Node, destination: _Node) -> int:
    if source.group is not None and destination.group is not None:
        return source.group.others(destination.group)
    return len((source.group or destination.group or Group(0, "", None, ())).members)


def _ways(source: _Node, destination: _Node) -> Iterator[str]:
    """The ways between two nodes, by the names of their ends."""
    for first in [end.name for end in source.group.members] if source.group is not None else [source.label]:
        others = destination.group.members if destination.group is not None else ()
        for second in [end.name for end in others] or [destination.label]:
            if first != second:
                yield f"{first} → {second}"


def _label(block: Addresses) -> str:
    """Addresses as a message calls them."""
    if address_count(block & PUBLIC, with_v6=True) > _A_FEW:
        return INTERNET
    return shown(list(block.cidrs()))


def _unknown(net: Connectivity, ends: Iterable[Workload]) -> Iterator[NotJudged]:
    """Why some workloads are not judged, once a namespace."""
    for namespace, members in by_namespace(ends).items():
        problem = not_evaluated(net, namespace, members[0].obj)
        if problem is not None:
            yield problem
            continue
        for end in members:
            if end.host_network:
                yield NotJudged("unsupported", f"{end} is on its node's network, where policies may not apply", end.obj)
            else:
                problem = refused(net, end)
                if problem is not None:
                    yield problem


def _judged(net: Connectivity) -> list[Workload]:
    return [
        end
        for end in net.workloads
        if not end.host_network and foreign_of(net, end.namespace) is None and refused(net, end) is None
    ]


@check("path-not-allowed")
def path_not_allowed(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Every way that is open and not in the list. Ways among the pods of one workload are its own affair."""
    allowed = [allowed_path(entry) for entry in context.parameters["allowed_paths"]]
    if not allowed:
        return
    net = connectivity(inventory)
    yield from _unknown(net, net.workloads)
    for gap in net.gaps:
        detail = f"{gap.policy} asks namespaces for label {gap.key}; those of {shown(gap.namespaces)} are not known"
        yield NotJudged("unknown-namespace-labels", detail, gap.policy.obj)
    judged = _judged(net)
    marks = {
        end: (
            frozenset(n for n, path in enumerate(allowed) if any(e.has(end) for e in path.sources)),
            frozenset(n for n, path in enumerate(allowed) if any(e.has(end) for e in path.destinations)),
        )
        for end in judged
    }
    nodes = [
        _Node(group.end, str(group), group, sends=marks[group.members[0]][0], takes=marks[group.members[0]][1])
        for group in groups_of(net, judged, marks)
    ]
    causes = _Causes(net, openings(inventory))
    untold: dict[tuple[str, str], NotJudged] = {}
    for source, destination, answer in _open_ways(net, (*nodes, *_outsiders(net, allowed))):
        numbers = source.sends & destination.takes
        unsure = _perhaps(allowed, source, destination) - numbers
        listed = _allowed(allowed, numbers)
        if _allowed(allowed, unsure) & answer.open - listed:
            absent = source.absent or destination.absent
            end = source.first or destination.first
            assert absent is not None
            assert end is not None
            detail = f"whether allowed path {allowed[min(unsure)]} has {_absent_label(absent)} is not known"
            untold.setdefault((absent.namespace, end.namespace), NotJudged("unknown-end", detail, end.obj))
            causes.concerned.update(id(member.obj) for member in _members(source, destination))
            listed |= _allowed(allowed, unsure)
        causes.add(source, destination, Answer(answer.open - listed, answer.unknown - listed))
    wanted = ANYWHERE if dual_stack(net) else Addresses(v4=ANYWHERE.v4)
    everything = frozenset(range(len(allowed)))
    for node in nodes:
        for direction in DIRECTIONS:
            # Addresses of which the same is said are judged at once: policies may cut them into thousands.
            for answer, block in net.outside_of(node.end, direction):
                if block & wanted:
                    outside = _Node(-1, "", block=block & wanted, sends=everything, takes=everything)
                    ends = _ordered(node, outside, direction)
                    opened, perhaps = (_outside_rest(allowed, *ends, part) for part in (answer.open, answer.unknown))
                    causes.add_outside(node, direction, opened, perhaps)
    yield from untold.values()
    yield from causes.violations(
        "that the allowed paths do not hold", isolated_only=context.parameters["isolated_only"]
    )
    for end in judged:
        if id(end.obj) not in causes.concerned:
            yield Passed(end.obj)


def _allowed(paths: Sequence[AllowedPath], numbers: Iterable[int]) -> Connections:
    found = NONE
    for number in numbers:
        through = paths[number].connections
        found |= ALL if through is None else through
    return found


def _members(*nodes: _Node) -> Iterator[Workload]:
    for node in nodes:
        yield from node.group.members if node.group is not None else ()


def _absent_label(absent: Absent) -> str:
    selected = "" if absent.pods.pods.everything else f" with {absent.pods.pods}"
    return f"pods of namespace {absent.namespace}{selected} (not among the inputs)"


def _absent_node(absent: Absent, sends: frozenset[int] = frozenset(), takes: frozenset[int] = frozenset()) -> _Node:
    # The name server is asked as itself.
    served = absent.namespace == DNS_NAMESPACE and absent.pods.pods.matches(DNS_LABELS)
    return _Node(absent.end, _absent_label(absent), sends=sends, takes=takes, asks=served, absent=absent)


def _perhaps(paths: Sequence[AllowedPath], source: _Node, destination: _Node) -> frozenset[int]:
    """The numbers of the allowed paths that perhaps hold a way to or from pods that are not among the inputs."""
    absent = source.absent or destination.absent
    if absent is None:
        return frozenset()
    own = destination.takes if source.absent is not None else source.sends
    return frozenset(
        n
        for n in own
        for end in (paths[n].sources if source.absent is not None else paths[n].destinations)
        if end.has_absent(absent) is None
    )


def _outsiders(net: Connectivity, paths: Sequence[AllowedPath]) -> Iterator[_Node]:
    """What stands for pods that are not among the inputs: any, the name server, and those that rules name."""

    def those(ends: Callable[[AllowedPath], Iterable[PathEnd]], wanted: Callable[[PathEnd], bool]) -> frozenset[int]:
        return frozenset(n for n, path in enumerate(paths) if any(wanted(end) for end in ends(path)))

    yield _Node(
        net.any_pod,
        "any other pod",
        sends=those(lambda path: path.sources, lambda end: end.anybody),
        takes=those(lambda path: path.destinations, lambda end: end.anybody),
    )
    if not any(PathEnd(DNS).has(end) for end in net.workloads):
        taken = those(lambda path: path.destinations, lambda end: end.name_server)
        yield _Node(net.dns, _DNS_NAME, takes=taken, asked=True)
    for absent in net.absent:

        def is_meant(end: PathEnd, absent: Absent = absent) -> bool:
            return end.has_absent(absent) is True

        sends = those(lambda path: path.sources, is_meant)
        yield _absent_node(absent, sends, those(lambda path: path.destinations, is_meant))


def _outside_rest(
    paths: Sequence[AllowedPath], source: _Node, destination: _Node, opened: Connections
) -> Iterator[tuple[Addresses, Connections]]:
    """The addresses of one of two nodes with what is open there and not allowed."""
    block = destination.block or source.block
    assert block is not None
    parts = [(block, opened)]
    for number in sorted(source.sends & destination.takes):
        path = paths[number]
        through = ALL if path.connections is None else path.connections
        listed = Addresses()
        for end in path.sources if destination.block is None else path.destinations:
            listed |= end.block or Addresses()
        parts = [
            (piece, connections)
            for part, before in parts
            for piece, connections in ((part & listed, before - through), (part - listed, before))
            if piece and connections
        ]
    joined: dict[Connections, list[Addresses]] = {}
    for piece, connections in parts:
        if connections:
            joined.setdefault(connections, []).append(piece)
    for connections, pieces in joined.items():
        yield together(pieces), connections


@check("cross-environment-path")
def cross_environment_path(inventory: Inventory, context: Context) -> Iterator[Said]:
    environments: Mapping[str, Any] = context.parameters["environments"]
    if not environments:
        return

    def environments_of(namespace: str) -> set[str]:
        return {name for name, patterns in environments.items() if is_one_of(namespace, patterns)}

    def in_environments(node: _Node) -> set[str]:
        if node.absent is not None:
            return environments_of(node.absent.namespace)
        return {str(node.group.mark)} if node.group is not None else set()

    net = connectivity(inventory)
    marks: dict[Workload, str] = {}
    torn: dict[str, NotJudged] = {}
    for end in net.workloads:
        found = sorted(environments_of(end.namespace))
        if len(found) > 1:
            # To take one of them would hide the ways to all others.
            detail = f"namespace {end.namespace} is in environments {' and '.join(found)}"
            torn.setdefault(end.namespace, NotJudged("ambiguous-environment", detail, end.obj))
        elif found:
            marks[end] = found[0]
    yield from torn.values()
    yield from _unknown(net, marks)
    judged = [end for end in _judged(net) if end in marks]
    causes = _Causes(net, openings(inventory))
    nodes = [_Node(group.end, str(group), group) for group in groups_of(net, judged, marks)]
    nodes += [_absent_node(absent) for absent in net.absent]
    for source, destination, answer in _open_ways(net, nodes):
        ends = [in_environments(node) for node in (source, destination)]
        # A namespace of no environment is nobody's.
        if all(ends) and not ends[0] & ends[1]:
            causes.add(source, destination, answer)
    yield from causes.violations("between environments")
    for end in judged:
        if id(end.obj) not in causes.concerned:
            yield Passed(end.obj)


# --- allowed, and closed ---


@dataclass(frozen=True, slots=True)
class _Closed:
    """Why one side of a way is closed, and where."""

    words: str
    obj: Object
    path: Path


@check("allowed-path-closed")
def allowed_path_closed(inventory: Inventory, context: Context) -> Iterator[Said]:
    """An entry is kept when a way between its ends is open on all its ports: of a pattern, one of them. Whoever wants
    each of several names each."""
    allowed = [allowed_path(entry) for entry in context.parameters["allowed_paths"]]
    if not allowed:
        return
    net, opened_by = connectivity(inventory), openings(inventory)
    groups = groups_of(net, net.workloads, dict.fromkeys(net.workloads, None))
    for path in allowed:
        yield from _path_closed(net, opened_by, groups, path)


def _nodes(net: Connectivity, groups: Sequence[Group], ends: Sequence[PathEnd], *, to: bool) -> list[_Node]:
    found: list[_Node] = []
    for end in ends:
        if end.block is not None:
            found += [_Node(n, end.text, block=part) for n, part in net.range_ends(end.block)]
            continue
        known = [_node_of(group, end) for group in groups]
        found += [node for node in known if node is not None]
        if to and end.only_name_server and not any(node is not None for node in known):
            found.append(_Node(net.dns, _DNS_NAME))
    return found


def _node_of(group: Group, end: PathEnd) -> _Node | None:
    members = tuple(member for member in group.members if end.has(member))
    if not members:
        return None
    return _Node(group.end, members[0].name, Group(group.end, group.namespace, end.text, members))


def _path_closed(net: Connectivity, opened_by: Openings, groups: Sequence[Group], path: AllowedPath) -> Iterator[Said]:
    sources, destinations = (
        _nodes(net, groups, ends, to=to) for ends, to in ((path.sources, False), (path.destinations, True))
    )
    for nodes, ends in ((sources, path.sources), (destinations, path.destinations)):
        if not nodes:
            yield NotJudged("unknown-end", f"allowed path {path}: {_texts(ends)} is not among the inputs")
            return
    pairs = [
        (source, destination)
        for source in sources
        for destination in destinations
        if source.group is not None or destination.group is not None
        if _pairs(source, destination) and (source.label, source.block) != (destination.label, destination.block)
    ]
    worst: tuple[_Node, _Node] | None = None
    unknown = False
    for source, destination in pairs:
        answer = net.answer(source.end, destination.end)
        wanted = path.connections
        if answer.open if wanted is None else not wanted - answer.open:
            for node in (destination, source):
                if node.first is not None:
                    yield Passed(node.first.obj)
                    return
        unknown = unknown or bool(answer.unknown if wanted is None else (wanted - answer.open) & answer.unknown)
        worst = worst or (source, destination)
    if worst is None:
        return
    source, destination = worst
    first = source.first or destination.first
    assert first is not None
    if unknown:
        yield NotJudged("unknown-connectivity", f"whether allowed path {path} is open is not known", first.obj)
        return
    wanted = path.connections
    sides: list[_Closed] = []
    if source.first is not None:
        sides += _closed(net, opened_by, source.first, "egress", destination, wanted)
    if destination.first is not None:
        sides += _closed(net, opened_by, destination.first, "ingress", source, wanted)
    if not sides:
        # Neither NetworkPolicy closes it: an admin policy does, whatever these open.
        peer = source.end if source.first is None else destination.end
        sides = [
            _Closed(reason.words, reason.obj, reason.path)
            for reason in reasons(net, source.first, destination.first, peer)
            if reason.effect == "closes" and reason.obj is not None and reason.obj.ref.kind != "NetworkPolicy"
        ]
    if not sides:
        # Each end opens something, and not the same.
        opened = [("egress", source.first, destination.end), ("ingress", destination.first, source.end)]
        sides = [
            _Closed(f"{one.policy} opens {one.connections} for {direction}", one.policy.obj, one.path)
            for direction, end, other in opened
            if end is not None
            for one in islice(opened_by.of(end, "egress" if direction == "egress" else "ingress", other), 1)
        ]
    through = f" ({wanted})" if wanted is not None else ""
    why = "; ".join(side.words for side in sides[:2])
    message = f"{source.label} → {destination.label}{through} is allowed and closed: {why}"
    yield Violation(
        sides[0].path,
        message,
        obj=sides[0].obj,
        related=tuple((side.words, side.obj, side.path) for side in sides[1:2]),
        ways=(Way(source.names, destination.names, ALL if wanted is None else wanted),),
    )


def _closed(
    net: Connectivity,
    opened_by: Openings,
    end: Workload,
    direction: Direction,
    other: _Node,
    wanted: Connections | None,
) -> Iterator[_Closed]:
    """Why the NetworkPolicies of one end close a way; nothing where they do not."""
    own = [policy for policy in net.governing(end, direction) if policy.tier == "namespace"]
    closed = net.one_side(direction, net.end(end), other.end).closed
    # What is not known of this side is no reason: the other closes the way.
    if not own or not (closed if wanted is None else closed & wanted):
        return
    opened = NONE
    for opening in opened_by.of(end, direction, other.end):
        opened |= opening.connections
    if opened if wanted is None else not wanted - opened:
        return
    side = f"{_SIDES[direction]} is isolated by"
    for policy in own:
        for rule in policy.rules[direction]:
            if (wanted is not None and not rule.connections & wanted) or net.peer_bits(rule)[0] >> other.end & 1:
                continue
            missed = next(filter(None, (_missed(net, peer, other) for peer in rule.peers or ())), None)
            if missed is not None:
                path, words = missed
                words = f"{side} {policy}, which opens {_of(rule)} only {_TO[direction]} {words}"
                yield _Closed(words, policy.obj, path)
                return
    if opened:
        policy, rule = next((p, r) for p in own for r in p.rules[direction] if net.peer_bits(r)[0] >> other.end & 1)
        yield _Closed(f"{side} {policy}, which opens {opened} of it", policy.obj, (*rule.path, "ports"))
        return
    policy = min(own, key=lambda p: (not p.subject.pods.everything, bool(p.rules[direction])))
    yield _Closed(f"{side} {policy}, and no rule opens it", policy.obj, policy.subject_path)


def _of(rule: Rule) -> str:
    return "ports by name" if rule.named and not rule.connections else str(rule.connections)


def _missed(net: Connectivity, peer: Peer, other: _Node) -> tuple[Path, str] | None:
    """Which requirement of a peer's selectors the other end does not fulfil, in words."""
    pods = peer.pods
    if pods is None:
        return None
    if other.first is not None:
        spaces, labels = net.namespaces[other.first.namespace].labels, other.first.labels
    elif other.end == net.dns:
        spaces, labels = {METADATA_NAME: DNS_NAMESPACE}, DNS_LABELS
    else:
        return None
    if pods.namespaces is not None:
        for requirement in pods.namespaces.requirements:
            if not requirement.holds(spaces):
                nobody = not any(requirement.holds(space.labels) for space in net.namespaces.values())
                rest = ", a label that no namespace here has" if nobody else ""
                return (*pods.namespaces_path, *requirement.path), f"namespaces with {pods.namespaces}{rest}"
    elif other.first is not None and other.first.namespace != pods.namespace:
        return pods.pods_path, f"pods of namespace {pods.namespace}"
    for requirement in pods.pods.requirements:
        if not requirement.holds(labels):
            return (*pods.pods_path, *requirement.path), f"pods with {pods.pods}"
    return None
