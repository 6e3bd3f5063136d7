"""What rules on networks ask: what isolates a namespace, what opens a way, which policies could go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubeassay.analysis.network.connections import ALL, ANYWHERE, PROTOCOLS, Addresses, Connections, Protocol, addresses
from kubeassay.analysis.network.connectivity import Connectivity, connectivity
from kubeassay.analysis.network.endpoints import METADATA_NAME, Workload, namespace_of
from kubeassay.analysis.network.policies import DIRECTIONS, Direction, ForeignPolicy, Peer, PodSet, Policy, Rule
from kubeassay.analysis.network.workloads import unknown_workloads
from kubeassay.analysis.reading import items
from kubeassay.analysis.selectors import Requirement, Selector
from kubeassay.model import Inventory, Object, Path

#: What Kubernetes itself makes and fills.
SYSTEM_NAMESPACES = frozenset({"kube-node-lease", "kube-public", "kube-system"})


def _union(*cidrs: str) -> Addresses:
    found = Addresses()
    for cidr in cidrs:
        block = addresses(cidr)
        assert block is not None
        found |= block
    return found


#: Addresses that are not routed on the internet (IANA special-purpose address registries, RFC 6890), and multicast.
NOT_PUBLIC = _union(
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    *("::/8", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8"),
)
#: What IPv6 writes for the addresses of IPv4 (RFC 6052): a translator sends it on to the internet.
_NAT64 = _union("64:ff9b::/96")
PUBLIC = (ANYWHERE - NOT_PUBLIC) | _NAT64
_HALF_OF_THE_PORTS = 65535 // 2


def address_count(block: Addresses, *, with_v6: bool) -> int:
    """How many addresses a set has, an IPv6 network of 64 bits counted as one; those that stand for IPv4 count each."""
    found = sum(end - start + 1 for start, end in block.v4)
    if with_v6:
        found += sum(end - start + 1 for start, end in (block & _NAT64).v6)
        found += sum(((end - start) >> 64) + 1 for start, end in (block - _NAT64).v6)
    return found


def direction_path(policy: Policy, direction: Direction) -> Path:
    """Where a policy says that it governs a direction; where it does not say so, its rules of that direction."""
    types = items(policy.obj.get("spec", "policyTypes"))
    wanted = direction.capitalize()
    return ("spec", "policyTypes", types.index(wanted)) if wanted in types else ("spec", direction)


def dual_stack(net: Connectivity) -> bool:
    """Whether a policy names IPv6 addresses. Without, what is said of IPv6 would only repeat what is said of IPv4."""
    return any(
        peer.addresses is not None and peer.addresses.v6
        for policy in net.policies
        for direction in DIRECTIONS
        for rule in policy.rules[direction]
        for peer in rule.peers or ()
    )


# --- namespaces ---


@dataclass(frozen=True, slots=True)
class DefaultDeny:
    """How a namespace denies what nothing opens, in one direction, to every pod: also to those that come later.

    ``by``: a policy that does; ``perhaps``: one that undoes it, if it selects the namespace. ``opened``: the rules that
    open every connection of all pods all the same; ``disputed``: policies of one priority of which some do.
    ``refused``: one that would deny, if an API server accepted it.
    ``selecting``: the policies that govern some pods. ``left``: the workloads that none governs.
    """

    by: Policy | None
    perhaps: Policy | None
    opened: tuple[tuple[Policy, Rule], ...]
    disputed: tuple[Policy, ...]
    refused: Policy | None
    selecting: tuple[Policy, ...]
    left: tuple[Workload, ...]


def default_deny(net: Connectivity, namespace: str, members: Sequence[Workload], direction: Direction) -> DefaultDeny:
    """Judge one namespace; ``members`` are its workloads that policies apply to."""
    refused: Policy | None = None
    whole: list[Policy] = []
    selecting: list[Policy] = []
    doubtful: list[Policy] = []
    for policy in net.policies:
        selected = direction in policy.directions and _selects(net, policy, namespace)
        if selected is False:
            continue
        of_all = policy.subject.pods.everything
        if selected is None:
            if of_all and not policy.refused:
                doubtful.append(policy)
            continue
        if policy.refused:
            # A selector that is refused may have been meant for every pod.
            if policy.tier == "namespace" and of_all:
                refused = refused or policy
            continue
        if policy.tier == "namespace":
            selecting.append(policy)
        if of_all:
            whole.append(policy)
    left = tuple(end for end in members if not net.isolated(end, direction))
    by, opened, disputed = _default(net, whole, direction)
    perhaps: Policy | None = None
    if by is not None:
        certain = set(map(id, whole))
        perhaps = next(
            (
                one
                for one in doubtful
                # In the order of all policies, which is that of their precedence.
                if _default(net, [p for p in net.policies if p is one or id(p) in certain], direction)[0] is None
            ),
            None,
        )
    return DefaultDeny(by, perhaps, opened, disputed, refused, tuple(selecting), left)


_Rules = tuple[tuple[Policy, Rule], ...]


def _default(
    net: Connectivity, whole: Sequence[Policy], direction: Direction
) -> tuple[Policy | None, _Rules, tuple[Policy, ...]]:
    """Of policies that select every pod: one that denies what nothing opens, the rules that open everything all the
    same, and the policies that disagree on it."""
    own = next((policy for policy in whole if policy.tier == "namespace"), None)
    with_v6 = dual_stack(net)
    addresses_outside = [number for number, block in net.range_ends() if block.v4 or with_v6]
    # Nobody asks the baseline where a NetworkPolicy selects the pod.
    of_cluster = [p for p in whole if p.tier == "admin" or (p.tier == "baseline" and own is None)]
    # Policies of the cluster say nothing of who connects from outside.
    for policies, outside in ((of_cluster, direction == "egress"), (whole, own is not None or direction == "egress")):
        peers = [net.any_pod, *(addresses_outside if outside else ())]
        stated = [net.stated(policies, direction, peer) for peer in peers]
        denied = [net.stated(of_cluster, direction, peer).closed for peer in peers]
        if all(_opens_everything(one.opened, but) for one, but in zip(stated, denied, strict=True)):
            return None, _opening(net, policies, direction, peers), ()
        if all(_opens_everything(one.opened | one.disputed, but) for one, but in zip(stated, denied, strict=True)):
            return None, (), tuple(of_cluster)
    if own is not None:
        return own, (), ()
    if all(one.opened | one.closed == ALL for one in stated):
        return next((p for p in whole if any(r.action == "deny" for r in p.rules[direction])), None), (), ()
    if all(one.opened | one.closed | one.disputed == ALL for one in stated):
        return None, (), tuple(whole)
    return None, (), ()


def _opens_everything(opened: Connections, denied: Connections) -> bool:
    """Whether all is open but what the cluster takes away from everybody, such as the port of mail. A default that was
    lost is none because of that."""
    return opened | denied == ALL and mostly(opened)


def mostly(opened: Connections, protocols: Sequence[Protocol] = PROTOCOLS) -> bool:
    """Whether most ports of each protocol are open: what takes some away isolates nothing, what leaves listed ones
    does."""
    return all(sum(last - first + 1 for first, last in opened.of(p)) > _HALF_OF_THE_PORTS for p in protocols)


def _opening(net: Connectivity, policies: Sequence[Policy], direction: Direction, peers: Sequence[int]) -> _Rules:
    """The rules that open the most of everything: one that opens all of it, or else all that open some of it."""
    found: dict[int, list[tuple[Policy, Rule]]] = {1: [], 2: [], 3: []}
    for policy in policies:
        for rule in policy.rules[direction]:
            certain = net.peer_bits(rule)[0]
            held = [peer for peer in peers if certain >> peer & 1]
            if rule.action == "allow" and rule.connections and held:
                whole = rule.connections == ALL and len(held) == len(peers)
                found[1 if whole and rule.peers is None else 2 if whole else 3].append((policy, rule))
    return tuple(found[1] or found[2] or found[3])


def _selects(net: Connectivity, policy: Policy, namespace: str) -> bool | None:
    """Whether a policy is about pods of a namespace; None where that depends on labels that no object states."""
    spaces = policy.subject.namespaces
    if spaces is None:
        return policy.subject.namespace == namespace
    return net.namespaces[namespace].is_selected(spaces)


def perhaps_governed(net: Connectivity, namespace: str, direction: Direction) -> Policy | None:
    """A policy of the cluster of which is not known whether it governs the pods of a namespace, because it asks for
    labels of a namespace that no object states."""
    return next(
        (p for p in net.policies if direction in p.directions and _selects(net, p, namespace) is None),
        None,
    )


def by_namespace(ends: Iterable[Workload]) -> dict[str, list[Workload]]:
    """Workloads by their namespace, in the order of their names."""
    found: dict[str, list[Workload]] = defaultdict(list)
    for end in ends:
        found[end.namespace].append(end)
    return dict(sorted(found.items()))


def foreign_of(net: Connectivity, namespace: str) -> ForeignPolicy | None:
    """A policy that is not evaluated and governs a namespace."""
    return next((policy for policy in net.foreign if policy.namespace in (None, namespace)), None)


def unknown_pods(inventory: Inventory) -> Mapping[str, Object]:
    """Namespace → an object of which pods are made that are not known."""
    found: dict[str, Object] = {}
    for obj, _ in unknown_workloads(inventory):
        found.setdefault(namespace_of(obj), obj)
    return found


# --- ways ---


@dataclass(frozen=True, slots=True)
class Opening:
    """A rule that opens connections of one end to another. ``path``: to the peer that holds the other end, or to the
    rule where it names no peers; ``rule_path``: to the rule."""

    policy: Policy
    path: Path
    connections: Connections
    rule_path: Path


def allowing(net: Connectivity, workload: Workload, direction: Direction) -> Iterator[tuple[Policy, Rule]]:
    """The rules that open something, of the policies that are asked about a workload."""
    isolated = net.isolated(workload, direction)
    for policy in net.governing(workload, direction):
        if isolated and policy.tier == "baseline":
            # Nobody asks it where a NetworkPolicy selects the pod.
            continue
        for rule in policy.rules[direction]:
            if rule.action == "allow":
                yield policy, rule


class Openings:
    """Which rules, and which of their peers, open ways."""

    def __init__(self, net: Connectivity) -> None:
        self._net = net
        #: Rules with one peer each, by the identity of the rule that has them all. Connectivity remembers the peers of
        #: a rule by its identity, too, so these must not be collected.
        self._single: dict[int, tuple[tuple[Peer, Rule], ...]] = {}

    def of(self, workload: Workload, direction: Direction, peer: int) -> Iterator[Opening]:
        """What opens anything between a workload and the class ``peer``, of the policies that govern the workload."""
        net = self._net
        for policy, rule in allowing(net, workload, direction):
            if net.peer_bits(rule)[0] >> peer & 1:
                connections = net.connections_of(rule, direction, net.end(workload), peer)
                if connections:
                    yield Opening(policy, self._path(policy, rule, peer), connections, rule.path)

    def outside(
        self, workload: Workload, direction: Direction, block: Addresses
    ) -> Iterator[tuple[Opening, Addresses]]:
        """What opens anything between a workload and addresses, with those that each opens. An address that several
        peers of a rule hold counts for the first of them."""
        own = self._net.end(workload)
        for policy, rule in allowing(self._net, workload, direction):
            # Addresses have no named ports.
            egress = direction == "egress"
            connections = rule.connections if egress else self._net.connections_of(rule, direction, own, own)
            if rule.peers is None:
                yield Opening(policy, rule.path, connections, rule.path), block
                continue
            left = block
            for peer in rule.peers:
                common = left & peer.addresses if peer.addresses is not None else Addresses()
                if common:
                    yield Opening(policy, peer_path(policy, peer), connections, rule.path), common
                    left -= common

    def _path(self, policy: Policy, rule: Rule, peer: int) -> Path:
        if rule.peers is None:
            return rule.path
        single = self._single.get(id(rule))
        if single is None:
            single = self._single[id(rule)] = tuple(
                (one, Rule(rule.path, rule.action, (one,), rule.connections, rule.named)) for one in rule.peers
            )
        found = next(one for one, alone in single if self._net.peer_bits(alone)[0] >> peer & 1)
        return peer_path(policy, found)


def peer_path(policy: Policy, peer: Peer) -> Path:
    """Where a peer stands: a block of addresses at its CIDR."""
    of_block = peer.addresses is not None and policy.tier == "namespace"
    return (*peer.path, "ipBlock", "cidr") if of_block else peer.path


def openings(inventory: Inventory) -> Openings:
    """The openings of an inventory, made once."""
    found: Openings | None = inventory.facts.get(Openings)
    if found is None:
        found = inventory.facts[Openings] = Openings(connectivity(inventory))
    return found


@dataclass(frozen=True, slots=True)
class Group:
    """Workloads that neither policies nor a rule tells apart: of one class, one namespace and one ``mark``."""

    end: int
    namespace: str
    mark: Hashable
    members: tuple[Workload, ...]

    def __str__(self) -> str:
        return self.members[0].name

    def others(self, destination: Group) -> int:
        """How many pairs of different workloads two groups make (workloads of one name are one)."""
        if destination is self:
            return len(self.members) * (len(self.members) - 1)
        return len(self.members) * len(destination.members)


def groups_of(net: Connectivity, ends: Iterable[Workload], marks: Mapping[Workload, Hashable]) -> tuple[Group, ...]:
    """Workloads in groups, in the order of their first members."""
    found: dict[tuple[int, str, Hashable], dict[str, Workload]] = {}
    for end in ends:
        key = (net.end(end), end.namespace, marks[end])
        found.setdefault(key, {}).setdefault(end.name, end)
    return tuple(Group(number, namespace, mark, tuple(m.values())) for (number, namespace, mark), m in found.items())


# --- what covers what ---


def covers_requirement(wide: Requirement, narrow: Requirement) -> bool:
    """Whether whatever fulfils ``narrow`` fulfils ``wide``."""
    if wide.key != narrow.key:
        return False
    if wide.operator == "Exists":
        return narrow.operator in ("In", "Exists")
    if wide.operator == "In":
        return narrow.operator == "In" and narrow.values <= wide.values
    if wide.operator == "DoesNotExist":
        return narrow.operator == "DoesNotExist"
    return (
        narrow.operator == "DoesNotExist"
        or (narrow.operator == "NotIn" and wide.values <= narrow.values)
        or (narrow.operator == "In" and not wide.values & narrow.values)
    )


def covers_selector(wide: Selector, narrow: Selector) -> bool:
    """Whether all that ``narrow`` selects is selected by ``wide``, for reasons that the selectors themselves state."""
    return all(any(covers_requirement(w, n) for n in narrow.requirements) for w in wide.requirements)


def covers_pods(wide: PodSet, narrow: PodSet) -> bool:
    """Whether all pods of one set are in another, whichever pods and namespaces there are."""
    if not covers_selector(wide.pods, narrow.pods):
        return False
    if wide.namespaces is None:
        if narrow.namespaces is None:
            return wide.namespace == narrow.namespace
        only = Requirement(METADATA_NAME, "In", frozenset((wide.namespace,)), ())
        return any(covers_requirement(only, requirement) for requirement in narrow.namespaces.requirements)
    if narrow.namespaces is None:
        own = Requirement(METADATA_NAME, "In", frozenset((narrow.namespace,)), ())
        return covers_selector(wide.namespaces, Selector((own,)))
    return covers_selector(wide.namespaces, narrow.namespaces)


def _covers_peer(wide: Rule, narrow: Peer) -> bool:
    if wide.peers is None:
        return True
    if narrow.unknown:
        return False
    for peer in wide.peers:
        if narrow.pods is not None and (
            peer.everything_inside or (peer.pods is not None and covers_pods(peer.pods, narrow.pods))
        ):
            return True
        if (
            narrow.addresses is not None
            and peer.addresses is not None
            and not narrow.addresses - peer.addresses
            and (peer.everything_inside or not narrow.everything_inside)
        ):
            return True
    return False


def covers_rule(wide: Rule, narrow: Rule) -> bool:
    """Whether all that a rule is about is also what another is about."""
    if narrow.connections - wide.connections:
        return False
    if wide.connections != ALL:
        names = {(port.name, port.protocol) for port in wide.named}
        if any((port.name, port.protocol) not in names for port in narrow.named):
            return False
    if narrow.peers is None:
        return wide.peers is None
    return all(_covers_peer(wide, peer) for peer in narrow.peers)


@dataclass(frozen=True, slots=True)
class Redundant:
    """A policy, or the rule at ``path`` of an admin policy, that changes nothing beside ``by``."""

    policy: Policy
    path: Path
    by: tuple[Policy, ...]


class _Environments:
    """Which policies of a namespace may be of one environment, in a tree that has several: objects of one name in
    several files are the same object, each for an environment of its own."""

    def __init__(self, net: Connectivity, inventory: Inventory) -> None:
        files: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for obj in inventory.of_kind("Namespace", ""):
            files["Namespace", obj.ref.name, ""].add(obj.file)
        for obj in [end.obj for end in net.workloads] + [p.obj for p in net.policies if p.tier == "namespace"]:
            files[obj.ref.kind, namespace_of(obj), obj.ref.name].add(obj.file)
        #: Namespace → whether it is the file that tells environments apart, and not just the folder.
        self._by_file: dict[str, bool] = {}
        for (_, namespace, _), found in files.items():
            if len(found) > 1:
                same_folder = len({_folder(file) for file in found}) < len(found)
                self._by_file[namespace] = self._by_file.get(namespace, False) or same_folder

    def one(self, first: Policy, second: Policy) -> bool:
        by_file = self._by_file.get(first.subject.namespace)
        if by_file is None:
            return True
        if by_file:
            return first.obj.file == second.obj.file
        return _folder(first.obj.file) == _folder(second.obj.file)


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def redundant(net: Connectivity, inventory: Inventory) -> Iterator[Redundant]:
    """The NetworkPolicies that could go because others select at least the same pods and open at least the same, and
    the rules of admin policies that an earlier rule of the same policy anticipates.

    Decided by what the policies state, not by the pods that are there: it stays true when others come. A policy that
    opens nothing is the floor that others stand on, and is not looked at.
    """
    environments = _Environments(net, inventory)
    by_space: dict[str, list[Policy]] = defaultdict(list)
    for policy in net.policies:
        if policy.refused:
            continue
        if policy.tier == "namespace":
            by_space[policy.subject.namespace].append(policy)
        else:
            yield from _shadowed(policy)
    for policies in by_space.values():
        kept = list(policies)
        # From the last on, so that of two that say the same the first stays.
        for policy in reversed(policies):
            if not any(policy.rules[direction] for direction in policy.directions):
                continue
            # An object of the same name is the same object, for another environment.
            others = (p for p in kept if p.obj.ref != policy.obj.ref and environments.one(p, policy))
            wider = [p for p in others if covers_pods(p.subject, policy.subject)]
            by = _needed(policy, wider)
            if by:
                kept.remove(policy)
                yield Redundant(policy, policy.subject_path, by)


def _needed(policy: Policy, wider: Sequence[Policy]) -> tuple[Policy, ...]:
    """Of ``wider``, those that do together what a policy does; none where something is left to it."""
    by: dict[int, Policy] = {}
    for direction in policy.directions:
        isolating = [other for other in wider if direction in other.directions]
        if not isolating:
            return ()
        for rule in policy.rules[direction]:
            found = next((o for o in isolating if any(covers_rule(r, rule) for r in o.rules[direction])), None)
            if found is None:
                return ()
            by[id(found)] = found
        if not policy.rules[direction]:
            by.setdefault(id(isolating[0]), isolating[0])
    return tuple(by.values())


def _shadowed(policy: Policy) -> Iterator[Redundant]:
    for direction in DIRECTIONS:
        rules = policy.rules[direction]
        for number, rule in enumerate(rules):
            if any(covers_rule(earlier, rule) and _certain(earlier) for earlier in rules[:number]):
                yield Redundant(policy, rule.path, (policy,))


def _certain(rule: Rule) -> bool:
    return not any(peer.unknown for peer in rule.peers or ())
