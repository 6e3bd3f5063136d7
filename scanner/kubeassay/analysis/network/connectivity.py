"""Effective connectivity: what may be sent from where to where, by all policies together.

Ends that no policy tells apart form one class, so the cost grows with policies and distinct label sets, not with pairs
of pods. Classes are bits of integers: the peers of a rule are one integer, and a policy is evaluated for all peers of a
class at once.

A connection is open when the source's egress and the destination's ingress allow it. Each direction asks the tiers in
turn: admin policies by priority, then NetworkPolicies, where any selects the pod, else baseline policies, else it is
open. What depends on things that are not known here is neither open nor closed but *unknown*: policies of plug-ins,
policies that an API server refuses, admin policies of one priority that disagree, pods on the node's network (of which
Kubernetes says that network policies may or may not apply).

Not modelled, because no policy decides it: a pod reaches itself, and the node that it runs on reaches it.
"""

from __future__ import annotations

import fnmatch
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from kubeassay.analysis.network.connections import (
    ALL,
    ANYWHERE,
    EVERY_ADDRESS,
    NONE,
    PROTOCOLS,
    Addresses,
    Connections,
    Protocol,
    ports,
    together,
)
from kubeassay.analysis.network.endpoints import (
    METADATA_NAME,
    Namespace,
    Workload,
    namespace_finder,
    namespaces,
)
from kubeassay.analysis.network.policies import (
    DIRECTIONS,
    Direction,
    ForeignPolicy,
    NamedPort,
    PodSet,
    Policy,
    Rule,
    admin_policies,
    foreign_policies,
    network_policies,
)
from kubeassay.analysis.network.workloads import untold_labels, workloads
from kubeassay.analysis.selectors import Selector
from kubeassay.model import Inventory, Path

#: The name server as kubeadm and the clouds install it (kubernetes v1.37.1, cluster/addons/dns/coredns).
DNS_NAMESPACE = "kube-system"
DNS_LABELS: Mapping[str, str] = {"k8s-app": "kube-dns"}
DNS_PORTS: tuple[tuple[str, Protocol], ...] = (("dns", "UDP"), ("dns-tcp", "TCP"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is open between two ends, and what of the rest is not known to be closed."""

    open: Connections
    unknown: Connections = NONE

    @property
    def closed(self) -> Connections:
        return ALL - self.open - self.unknown

    def __and__(self, other: Answer) -> Answer:
        """Open where both are open; closed where either is closed."""
        both = self.open & other.open
        return Answer(both, ((self.open | self.unknown) & (other.open | other.unknown)) - both)


@dataclass(frozen=True, slots=True)
class Gap:
    """A label of namespaces that a policy asks for (at ``path``), and the namespaces whose labels are not known."""

    policy: Policy
    path: Path
    key: str
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """Pods that a rule opens by the name of their namespace, of which no workload is among the inputs."""

    end: int
    namespace: str
    pods: PodSet


@dataclass(frozen=True, slots=True)
class Stated:
    """What policies say of a peer, and not what holds where they say nothing. ``disputed``: policies of one priority
    say different things."""

    opened: Connections
    closed: Connections
    disputed: Connections


OPEN = Answer(ALL)
UNKNOWN = Answer(NONE, ALL)

#: Parts of a whole, each a set of classes (a bit each) with what holds for them.
_Groups = tuple[tuple[int, Answer], ...]


@dataclass(frozen=True, slots=True)
class _Signature:
    """What policies can tell of a pod. Pods with one signature are one class."""

    pod_sets: frozenset[int]
    #: Those that it is perhaps in: they ask for the value of a label that a controller sets.
    perhaps: frozenset[int]
    #: (name of a port, protocol) → numbers, for the names that policies use.
    named: tuple[tuple[str, Protocol, tuple[int, ...]], ...]
    host_network: bool
    #: Governed by policies that are not evaluated.
    foreign: bool


class Connectivity:
    """The connectivity of one inventory. Build it with :func:`connectivity`, which does so once an inventory."""

    def __init__(
        self,
        ends: Sequence[Workload],
        spaces: Mapping[str, Namespace],
        policies: Sequence[Policy],
        foreign: Sequence[ForeignPolicy],
        space_of: Callable[[Workload], Namespace],
    ) -> None:
        self.workloads = tuple(ends)
        self.namespaces = spaces
        self.policies = tuple(policies)
        self.foreign = tuple(foreign)
        self._by_name: dict[str, list[Workload]] = defaultdict(list)
        for end in self.workloads:
            self._by_name[end.name].append(end)
        self._pod_sets = _PodSets(self.policies)
        self._named = sorted({n.name for p in self.policies for d in DIRECTIONS for r in p.rules[d] for n in r.named})
        self._classes: dict[_Signature, int] = {}
        #: Class of a workload, by its identity; and the members of each class.
        self._class_of: dict[int, int] = {}
        self._members: list[list[Workload]] = []
        everywhere = any(policy.namespace is None for policy in self.foreign)
        governed = {policy.namespace for policy in self.foreign}
        for end in self.workloads:
            signature = _Signature(
                *self._pod_sets.of(space_of(end), end.labels, untold_labels(end)),
                self._named_ports(end),
                end.host_network,
                everywhere or end.namespace in governed,
            )
            self._class_of[id(end)] = self._class(signature)
            self._members[self._class_of[id(end)]].append(end)
        #: Ends that are not among the inputs: a pod that no label tells from others, in a namespace of no particular
        #: name (every namespace has the label of its name), and the cluster's name server.
        anywhere = Namespace("", {METADATA_NAME: ""}, None, declared=True)
        self.any_pod = self._class(_Signature(*self._pod_sets.of(anywhere, {}), (), False, everywhere))
        self.dns = self._class(
            _Signature(
                *self._pod_sets.of(
                    spaces.get(
                        DNS_NAMESPACE, Namespace(DNS_NAMESPACE, {METADATA_NAME: DNS_NAMESPACE}, None, declared=False)
                    ),
                    DNS_LABELS,
                ),
                tuple((name, protocol, (53,)) for name, protocol in DNS_PORTS if name in self._named),
                False,
                everywhere or DNS_NAMESPACE in governed,
            )
        )
        #: Others that are not among the inputs, but that rules name.
        self.absent = tuple(self._find_absent(everywhere, governed))
        self._pod_classes = len(self._members)
        self._signatures = list(self._classes)
        #: Address ranges that no rule tells apart, each a class after those of pods.
        self.ranges, self._ranges_in = _elementary_ranges(self.policies)
        self._everyone = (1 << (self._pod_classes + len(self.ranges))) - 1
        self._pods = (1 << self._pod_classes) - 1
        self._hosts = self._bits(n for n, s in enumerate(self._signatures) if s.host_network)
        self._with_ports = self._bits(n for n, s in enumerate(self._signatures) if s.named)
        self._with_pod_set = self._index(lambda signature: signature.pod_sets)
        self._perhaps_with_pod_set = self._index(lambda signature: signature.perhaps)
        self._governing = self._index_policies(self._with_pod_set)
        self._perhaps_governing = self._index_policies(self._perhaps_with_pod_set)
        self._decided: dict[tuple[Direction, int], _Groups] = {}
        #: The same by what decides it: classes that the same policies govern share it.
        self._decided_alike: dict[tuple[Any, ...], _Groups] = {}
        self._resolutions: dict[tuple[tuple[NamedPort, ...], int], Connections] = {}
        self._peers: dict[Rule, tuple[int, int]] = {}
        #: Ranges, a bit each, as one set of addresses: many classes say the same of the same ones.
        self._joined: dict[int, Addresses] = {}

    def _class(self, signature: _Signature) -> int:
        number = self._classes.setdefault(signature, len(self._classes))
        if number == len(self._members):
            self._members.append([])
        return number

    def _find_absent(self, everywhere: bool, governed: set[str | None]) -> Iterator[Absent]:
        present = {end.namespace for end in self.workloads}
        seen: set[tuple[Any, ...]] = set()
        for policy in self.policies:
            for rule in (rule for direction in DIRECTIONS for rule in policy.rules[direction]):
                for pods in [peer.pods for peer in rule.peers or () if peer.pods is not None]:
                    if rule.action != "allow" or pods.namespaces is None or pods.key in seen or pods.pods.invalid:
                        continue
                    seen.add(pods.key)
                    for name in sorted(_named_namespaces(pods.namespaces) - present):
                        space = self.namespaces.get(name)
                        if space is None or not space.declared:
                            # Whatever other labels the rule asks for, the namespace is meant to have them.
                            labels = {**_fulfilling(pods.namespaces), METADATA_NAME: name}
                            space = Namespace(name, labels, None, declared=False)
                        if pods.namespaces.matches(space.labels):
                            signature = _Signature(
                                *self._pod_sets.of(space, _fulfilling(pods.pods)),
                                (),
                                False,
                                everywhere or name in governed,
                            )
                            yield Absent(self._class(signature), name, pods)

    def _named_ports(self, end: Workload) -> tuple[tuple[str, Protocol, tuple[int, ...]], ...]:
        if not self._named or not end.ports:
            return ()
        found: dict[tuple[str, Protocol], set[int]] = defaultdict(set)
        for port in end.ports:
            for protocol in PROTOCOLS:
                if port.protocol == protocol and port.name in self._named:
                    found[port.name, protocol].add(port.number)
        return tuple(sorted((name, protocol, tuple(sorted(n))) for (name, protocol), n in found.items()))

    @staticmethod
    def _bits(numbers: Iterable[int]) -> int:
        bits = 0
        for number in numbers:
            bits |= 1 << number
        return bits

    def _index(self, pod_sets: Callable[[_Signature], frozenset[int]]) -> dict[int, int]:
        """Pod set → the classes in it."""
        found: dict[int, int] = defaultdict(int)
        for number, signature in enumerate(self._signatures):
            for pod_set in pod_sets(signature):
                found[pod_set] |= 1 << number
        return found

    def _index_policies(self, with_pod_set: Mapping[int, int]) -> dict[Direction, list[list[Policy]]]:
        """Direction → class → the policies that govern its pods in that direction."""
        found: dict[Direction, list[list[Policy]]] = {d: [[] for _ in range(self._pod_classes)] for d in DIRECTIONS}
        for policy in self.policies:
            for number in _ones(with_pod_set.get(self._pod_sets.number(policy.subject), 0)):
                for direction in policy.directions:
                    found[direction][number].append(policy)
        return found

    # --- evaluation ---

    def peer_bits(self, rule: Rule) -> tuple[int, int]:
        """The classes that are peers of a rule, and those of which that is not known."""
        known = self._peers.get(rule)
        if known is None:
            known = self._peers[rule] = self._find_peers(rule)
        return known

    def _find_peers(self, rule: Rule) -> tuple[int, int]:
        if rule.peers is None:
            return self._everyone, 0
        certain = possible = 0
        for peer in rule.peers:
            if peer.unknown:
                # Nodes are pods on the node's network, or nothing that is listed; names are addresses outside.
                possible |= self._hosts if peer.unknown.endswith("nodes") else self._everyone
            elif peer.pods is not None:
                pod_set = self._pod_sets.number(peer.pods)
                bits = self._with_pod_set.get(pod_set, 0)
                certain |= bits & ~self._hosts
                possible |= (bits & self._hosts) | self._perhaps_with_pod_set.get(pod_set, 0)
            elif peer.addresses:
                certain |= self._ranges_in[peer.addresses] << self._pod_classes
                possible |= self._hosts
                if peer.everything_inside:
                    certain |= self._pods
        return certain, possible & ~certain

    def _destinations(self, rule: Rule, direction: Direction, own: int) -> Iterator[tuple[int, Connections]]:
        """Classes → what a rule's ports are there: a named port is one of the destination."""
        if not rule.named:
            yield self._everyone, rule.connections
        elif direction == "ingress":
            yield self._everyone, rule.connections | self._resolved(rule, own)
        else:
            split: dict[Connections, int] = defaultdict(int)
            for number in range(self._pod_classes):
                split[rule.connections | self._resolved(rule, number)] |= 1 << number
            # Addresses outside have no named ports.
            split[rule.connections] |= self._everyone & ~self._pods
            for connections, bits in split.items():
                yield bits, connections

    def connections_of(self, rule: Rule, direction: Direction, own: int, peer: int) -> Connections:
        """The connections of a rule of a policy that governs ``own``, where ``peer`` is the other end."""
        if not rule.named:
            return rule.connections
        destination = own if direction == "ingress" else peer
        return (
            rule.connections | self._resolved(rule, destination)
            if destination < self._pod_classes
            else (rule.connections)
        )

    def _resolved(self, rule: Rule, destination: int) -> Connections:
        """The connections that the named ports of a rule are at a destination."""
        key = (rule.named, destination)
        known = self._resolutions.get(key)
        if known is None:
            known = self._resolutions[key] = self._resolve(rule, destination)
        return known

    def _resolve(self, rule: Rule, destination: int) -> Connections:
        found = NONE
        for name, protocol, numbers in self._signatures[destination].named:
            if any(n.name == name and n.protocol in (None, protocol) for n in rule.named):
                found |= ports(protocol, *((number, number) for number in numbers))
        return found

    def _decide(self, direction: Direction, own: int) -> _Groups:
        """What the policies that govern a class say of every peer, in one direction."""
        groups = self._decided.get((direction, own))
        if groups is None:
            key = self._deciding(direction, own)
            groups = self._decided_alike.get(key)
            if groups is None:
                groups = self._decided_alike[key] = self._evaluate(direction, own)
            self._decided[direction, own] = groups
        return groups

    def _deciding(self, direction: Direction, own: int) -> tuple[Any, ...]:
        """What a decision depends on of the class itself."""
        if own >= self._pod_classes:
            return ()
        signature = self._signatures[own]
        policies = self._governing[direction][own]
        # Named ports are those of the destination.
        named = direction == "ingress" and any(rule.named for p in policies for rule in p.rules[direction])
        return (
            direction,
            tuple(map(id, policies)),
            bool(self._perhaps_governing[direction][own]),
            signature.host_network,
            signature.foreign,
            signature.named if named else (),
        )

    def _evaluate(self, direction: Direction, own: int) -> _Groups:
        if own >= self._pod_classes:
            return ((self._everyone, OPEN),)
        signature = self._signatures[own]
        policies = self._governing[direction][own]
        if signature.foreign or self._perhaps_governing[direction][own]:
            return ((self._everyone, UNKNOWN),)
        if signature.host_network:
            # Admin policies never select them; NetworkPolicies may apply to them or not.
            policies = [policy for policy in policies if policy.tier == "namespace"]
        if any(policy.refused for policy in policies):
            return ((self._everyone, UNKNOWN),)
        tiers = {tier: [p for p in policies if p.tier == tier] for tier in ("admin", "namespace", "baseline")}
        if signature.host_network:
            if not policies:
                return ((self._everyone, OPEN),)
            isolated = self._namespace_tier(policies, direction, own)
            return _merged((bits, Answer(a.open, ALL - a.open)) for bits, a in isolated)
        admin = self._ordered_tier(tiers["admin"], direction, own)
        if tiers["namespace"]:
            rest = self._namespace_tier(tiers["namespace"], direction, own)
        else:
            rest = tuple(
                (bits, Answer(ALL - verdict.deny - verdict.unknown, verdict.unknown))
                for bits, verdict in self._ordered_tier(tiers["baseline"], direction, own)
            )
        return _merged((first & second, verdict.then(answer)) for first, verdict in admin for second, answer in rest)

    def _namespace_tier(self, policies: Sequence[Policy], direction: Direction, own: int) -> _Groups:
        groups: dict[Answer, int] = {Answer(NONE): self._everyone}
        #: Class → what named ports add there, for certain and perhaps: many destinations may each have their own.
        added: dict[int, Connections] = defaultdict(lambda: NONE)
        perhaps_added: dict[int, Connections] = defaultdict(lambda: NONE)
        for policy in policies:
            for rule in policy.rules[direction]:
                certain, possible = self.peer_bits(rule)
                connections = rule.connections
                if rule.named and direction == "ingress":
                    connections |= self._resolved(rule, own)
                elif rule.named:
                    for bits, into in ((certain, added), (possible, perhaps_added)):
                        for number in _ones(bits & self._with_ports):
                            into[number] |= self._resolved(rule, number)
                if connections:
                    groups = _opened(groups, certain, possible, connections)
        if not added and not perhaps_added:
            return tuple((bits, answer) for answer, bits in groups.items())
        parts: list[tuple[int, Answer]] = []
        split = self._bits({*added, *perhaps_added})
        for answer, bits in groups.items():
            parts.append((bits & ~split, answer))
            for number in _ones(bits & split):
                opened = answer.open | added.get(number, NONE)
                unknown = answer.unknown | perhaps_added.get(number, NONE)
                parts.append((1 << number, Answer(opened, unknown - opened)))
        return _merged(parts)

    def _ordered_tier(
        self, policies: Sequence[Policy], direction: Direction, own: int
    ) -> tuple[tuple[int, _Verdict], ...]:
        groups: dict[_Verdict, int] = {_Verdict(): self._everyone}
        for _, same in groupby(sorted(policies, key=lambda p: p.priority), key=lambda p: p.priority):
            ties = list(same)
            if len(ties) == 1:
                groups = self._apply(groups, ties[0], direction, own)
                continue
            # Of policies with one priority an implementation may apply any first: where they differ, it is unknown.
            alone = [self._apply({_Verdict(): self._everyone}, policy, direction, own) for policy in ties]
            together = alone[0]
            for other in alone[1:]:
                mixed: dict[_Verdict, int] = defaultdict(int)
                for first, bits in together.items():
                    for second, more in other.items():
                        if bits & more:
                            mixed[first.beside(second)] |= bits & more
                together = dict(mixed)
            after: dict[_Verdict, int] = defaultdict(int)
            for before, bits in groups.items():
                for verdict, more in together.items():
                    if bits & more:
                        after[before.followed_by(verdict)] |= bits & more
            groups = dict(after)
        return tuple((bits, verdict) for verdict, bits in groups.items())

    def _apply(
        self, groups: Mapping[_Verdict, int], policy: Policy, direction: Direction, own: int
    ) -> dict[_Verdict, int]:
        result = dict(groups)
        for rule in policy.rules[direction]:
            certain, possible = self.peer_bits(rule)
            for where, connections in self._destinations(rule, direction, own):
                after: dict[_Verdict, int] = defaultdict(int)
                for verdict, bits in result.items():
                    hit, maybe = bits & certain & where, bits & possible & where
                    if hit:
                        after[verdict.decided(rule.action, connections)] |= hit
                    if maybe:
                        after[verdict.decided("unknown", connections)] |= maybe
                    if bits & ~hit & ~maybe:
                        after[verdict] |= bits & ~hit & ~maybe
                result = dict(after)
        return result

    def _answer(self, direction: Direction, own: int, peer: int) -> Answer:
        """What is said of one class as the peer."""
        for bits, answer in self._decide(direction, own):
            if bits >> peer & 1:
                return answer
        raise AssertionError("the groups of a class hold every peer")

    def outside_of(self, own: int, direction: Direction) -> Iterator[tuple[Answer, Addresses]]:
        """The addresses that are not wholly closed for a class in one direction, joined by what is said of them."""
        for bits, answer in self._decide(direction, own):
            ranges = bits >> self._pod_classes
            if ranges and (answer.open or answer.unknown):
                block = self._joined.get(ranges)
                if block is None:
                    block = self._joined[ranges] = together(self.ranges[n] for n in _ones(ranges))
                yield answer, block

    def one_side(self, direction: Direction, own: int, peer: int) -> Answer:
        """What one class opens to another by itself, whatever the other opens."""
        return self._answer(direction, own, peer)

    # --- questions ---

    def end(self, workload: Workload) -> int:
        """The class of a workload, for :meth:`answer` and others."""
        return self._class_of[id(workload)]

    def range_ends(self, wanted: Addresses = ANYWHERE) -> Iterator[tuple[int, Addresses]]:
        """The classes of addresses outside the cluster, with those of ``wanted`` that each holds."""
        for offset, block in enumerate(self.ranges):
            common = block & wanted
            if common:
                yield self._pod_classes + offset, common

    def answer(self, source: int, destination: int) -> Answer:
        """What is open from one end to another."""
        return self._answer("egress", source, destination) & self._answer("ingress", destination, source)

    @cached_property
    def _let_in(self) -> list[int]:
        """Of each class of pods, the classes of pods whose ingress is not closed to it."""
        found = [0] * self._pod_classes
        for destination in range(self._pod_classes):
            for bits, answer in self._decide("ingress", destination):
                if answer.open or answer.unknown:
                    for source in _ones(bits & self._pods):
                        found[source] |= 1 << destination
        return found

    def ways_from(self, source: int, *, outside: bool = True) -> Iterator[tuple[int, Answer]]:
        """The ends that are not wholly closed from one end, with what is open or unknown: each end once. ``outside``:
        also addresses."""
        reached = self._let_in[source] if source < self._pod_classes else self._pods
        if outside:
            reached |= self._everyone & ~self._pods
        for bits, egress in self._decide("egress", source):
            if egress.open or egress.unknown:
                for destination in _ones(bits & reached):
                    answer = egress & self._answer("ingress", destination, source)
                    if answer.open or answer.unknown:
                        yield destination, answer

    def members(self, end: int) -> Sequence[Workload]:
        """The workloads of a class; none for what is not among the inputs."""
        return self._members[end] if end < self._pod_classes else ()

    def between(self, source: Workload, destination: Workload) -> Answer:
        """What is open from one workload to another (or among the pods of one)."""
        return self.answer(self.end(source), self.end(destination))

    def outside(self, workload: Workload, direction: Direction) -> Iterator[tuple[Addresses, Answer]]:
        """What is open to (egress) or from (ingress) addresses outside the cluster: disjoint ranges, together all
        addresses, each with its answer."""
        own = self.end(workload)
        found: dict[Answer, list[Addresses]] = defaultdict(list)
        for number, block in self.range_ends():
            found[self._answer(direction, own, number)].append(block)
        for answer, blocks in found.items():
            yield together(blocks), answer

    def governing(self, workload: Workload, direction: Direction) -> tuple[Policy, ...]:
        """The policies that govern a workload in one direction, whatever their rules say."""
        return tuple(self._governing[direction][self.end(workload)])

    def perhaps_governing(self, workload: Workload, direction: Direction) -> tuple[Policy, ...]:
        """The policies whose selectors ask for the value of a label that the workload's pods get when they are made."""
        return tuple(self._perhaps_governing[direction][self.end(workload)])

    def isolated(self, workload: Workload, direction: Direction) -> bool:
        """Whether a NetworkPolicy selects the workload in that direction, so that what no rule opens is closed."""
        return any(policy.tier == "namespace" for policy in self.governing(workload, direction))

    def stated(self, policies: Iterable[Policy], direction: Direction, peer: int) -> Stated:
        """What policies say together of a pod that all of them select, and that no label tells from others. A rule with
        peers that are not known says nothing: it is never about everybody."""
        given = list(policies)
        tiers = {tier: [p for p in given if p.tier == tier] for tier in ("admin", "namespace", "baseline")}
        admin = self._stated_in_order(tiers["admin"], direction, peer)
        left = ALL - admin.allow - admin.deny - admin.unknown
        if tiers["namespace"]:
            opened = NONE
            for policy in tiers["namespace"]:
                for rule in policy.rules[direction]:
                    if self.peer_bits(rule)[0] >> peer & 1:
                        opened |= rule.connections
            below = _Verdict(opened, ALL - opened)
        else:
            below = self._stated_in_order(tiers["baseline"], direction, peer)
        return Stated(
            admin.allow | (below.allow & left), admin.deny | (below.deny & left), admin.unknown | (below.unknown & left)
        )

    def _stated_in_order(self, policies: Sequence[Policy], direction: Direction, peer: int) -> _Verdict:
        verdict = _Verdict()
        for _, same in groupby(sorted(policies, key=lambda p: p.priority), key=lambda p: p.priority):
            together: _Verdict | None = None
            for policy in same:
                alone = _Verdict()
                for rule in policy.rules[direction]:
                    if self.peer_bits(rule)[0] >> peer & 1:
                        alone = alone.decided(rule.action, rule.connections)
                together = alone if together is None else together.beside(alone)
            if together is not None:
                verdict = verdict.followed_by(together)
        return verdict

    def selected(self, pods: PodSet) -> list[Workload]:
        """The workloads that a policy's selectors choose."""
        number = self._pod_sets.find(pods)
        if number is None:
            return []
        return [end for n in _ones(self._with_pod_set.get(number, 0)) for end in self._members[n]]

    def foreign_for(self, workload: Workload) -> tuple[ForeignPolicy, ...]:
        """The policies of plug-ins that govern a workload and are not evaluated."""
        return tuple(p for p in self.foreign if p.namespace is None or p.namespace == workload.namespace)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Where policies select namespaces by labels, and the labels of some namespaces are not known, because only
        other objects name these: what depends on them is unknown."""
        missing = tuple(sorted(name for name, space in self.namespaces.items() if not space.declared))
        if not missing:
            return ()
        found: dict[tuple[str, str], Gap] = {}
        for policy in self.policies:
            for pods in policy.pod_sets:
                for requirement in pods.namespaces.requirements if pods.namespaces is not None else ():
                    if requirement.key != METADATA_NAME:
                        path = (*pods.namespaces_path, *requirement.path)
                        found.setdefault((str(policy), requirement.key), Gap(policy, path, requirement.key, missing))
        return tuple(found.values())

    @cached_property
    def classes(self) -> tuple[tuple[Workload, ...], ...]:
        """The workloads in classes that no policy tells apart."""
        return tuple(tuple(members) for members in self._members if members)

    def named(self, name: str) -> list[Workload]:
        """The workloads of a name (several where an object makes pods with different labels)."""
        return self._by_name.get(name, [])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all workloads, sorted."""
        return tuple(sorted(self._by_name))

    def find(self, pattern: str) -> list[str]:
        """The names of workloads that are meant by ``namespace/name[Kind]``, ``namespace/name``, ``name``, or such with
        shell wildcards (``shop/*``)."""
        if pattern in self._by_name:
            return [pattern]
        bare, bracket, kind = pattern.partition("[")
        found = []
        for name in self.names:
            path, _, own_kind = name.partition("[")
            # A template elsewhere than usual adds where it stands: ``name[Kind]#spec.worker.template``.
            if bracket and own_kind.partition("]")[0] != kind.partition("]")[0]:
                continue
            candidate = path if "/" in bare else path.partition("/")[2]
            if candidate == bare or fnmatch.fnmatchcase(candidate, bare):
                found.append(name)
        return found


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a tier of ordered rules has decided so far."""

    allow: Connections = NONE
    deny: Connections = NONE
    passed: Connections = NONE
    unknown: Connections = NONE

    @property
    def settled(self) -> Connections:
        return self.allow | self.deny | self.passed | self.unknown

    def decided(self, action: str, connections: Connections) -> _Verdict:
        """After a rule: it decides what no rule before it did."""
        new = connections - self.settled
        if not new:
            return self
        return _Verdict(
            self.allow | new if action == "allow" else self.allow,
            self.deny | new if action == "deny" else self.deny,
            self.passed | new if action == "pass" else self.passed,
            self.unknown | new if action == "unknown" else self.unknown,
        )

    def followed_by(self, later: _Verdict) -> _Verdict:
        """This, and then what another decides on its own."""
        result = self
        for action, connections in (
            ("allow", later.allow),
            ("deny", later.deny),
            ("pass", later.passed),
            ("unknown", later.unknown),
        ):
            result = result.decided(action, connections)
        return result

    def beside(self, other: _Verdict) -> _Verdict:
        """Both at one priority: where both decide and differ, it is unknown."""
        first, second = self.settled, other.settled
        both = first & second
        agreed = (self.allow & other.allow) | (self.deny & other.deny) | (self.passed & other.passed)
        only = (first | second) - both
        return _Verdict(
            (self.allow | other.allow) & (only | (self.allow & other.allow)),
            (self.deny | other.deny) & (only | (self.deny & other.deny)),
            (self.passed | other.passed) & (only | (self.passed & other.passed)),
            (both - agreed) | ((self.unknown | other.unknown) & only),
        )

    def then(self, rest: Answer) -> Answer:
        """With what the tiers below say of all that is not decided here."""
        left = ALL - self.allow - self.deny - self.unknown
        return Answer(self.allow | (rest.open & left), self.unknown | (rest.unknown & left))


def _opened(groups: Mapping[Answer, int], certain: int, possible: int, connections: Connections) -> dict[Answer, int]:
    """The groups after a rule that opens connections for some classes, and perhaps for others."""
    after: dict[Answer, int] = defaultdict(int)
    for answer, bits in groups.items():
        hit, maybe = bits & certain, bits & possible
        if hit:
            opened = answer.open | connections
            after[Answer(opened, answer.unknown - opened)] |= hit
        if maybe:
            after[Answer(answer.open, (answer.unknown | connections) - answer.open)] |= maybe
        if bits & ~hit & ~maybe:
            after[answer] |= bits & ~hit & ~maybe
    return dict(after)


def _merged(parts: Iterable[tuple[int, Answer]]) -> _Groups:
    groups: dict[Answer, int] = defaultdict(int)
    for bits, answer in parts:
        if bits:
            groups[answer] |= bits
    return tuple((bits, answer) for answer, bits in groups.items())


def _named_namespaces(selector: Selector) -> frozenset[str]:
    """The namespaces that a selector names."""
    named = [r.values for r in selector.requirements if r.key == METADATA_NAME and r.operator == "In"]
    return frozenset.intersection(*named) if named else frozenset()


def _fulfilling(selector: Selector) -> dict[str, str]:
    """Labels that a selector selects (if any do)."""
    labels: dict[str, str] = {}
    for requirement in selector.requirements:
        if requirement.operator == "Exists":
            labels.setdefault(requirement.key, "")
        elif requirement.operator == "In":
            labels[requirement.key] = min(requirement.values, default="")
    return labels


def _ones(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


class _PodSets:
    """The distinct pod sets of policies, numbered, and which of them a pod is in."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._own: dict[str, list[tuple[int, Selector]]] = defaultdict(list)
        self._wide: list[tuple[int, Selector, Selector]] = []
        self._by_identity: dict[int, int] = {}
        self._kept: list[PodSet] = []
        keys: set[str] = set()
        for policy in policies:
            for pods in policy.pod_sets:
                self._add(pods)
                keys.update(requirement.key for requirement in pods.pods.requirements)
        #: Labels that no selector mentions tell no pods apart.
        self._keys = frozenset(keys)
        self._in_namespace: dict[tuple[Any, ...], list[tuple[int, bool, Selector]]] = {}
        self._found: dict[tuple[Any, ...], tuple[frozenset[int], frozenset[int]]] = {}

    def _add(self, pods: PodSet) -> None:
        number = self._numbers.get(pods.key)
        if number is None:
            number = self._numbers[pods.key] = len(self._numbers)
            if pods.namespaces is None:
                self._own[pods.namespace].append((number, pods.pods))
            else:
                self._wide.append((number, pods.namespaces, pods.pods))
        self._by_identity[id(pods)] = number
        self._kept.append(pods)

    def number(self, pods: PodSet) -> int:
        """The number of a pod set of these policies."""
        return self._by_identity[id(pods)]

    def find(self, pods: PodSet) -> int | None:
        """The number of an equal pod set; None where no policy has it."""
        return self._numbers.get(pods.key)

    def of(
        self, namespace: Namespace, labels: Mapping[str, str], untold: frozenset[str] = frozenset()
    ) -> tuple[frozenset[int], frozenset[int]]:
        """The numbers of the pod sets that a pod is in, and of those that it is perhaps in. ``untold``: labels that it
        has, with values that are not known."""
        relevant = frozenset((key, value) for key, value in labels.items() if key in self._keys)
        untold &= self._keys
        space = (namespace.name, namespace.declared, frozenset(namespace.labels.items()))
        key = (space, relevant, untold)
        found = self._found.get(key)
        if found is None:
            candidates = self._in_namespace.get(space)
            if candidates is None:
                candidates = self._in_namespace[space] = list(self._candidates(namespace))
            known = dict(relevant)
            certain: set[int] = set()
            perhaps: set[int] = set()
            for number, of_namespace, selector in candidates:
                of_pod = selector.may_match(known, untold)
                if of_pod is not False:
                    (certain if of_pod and of_namespace else perhaps).add(number)
            found = self._found[key] = frozenset(certain), frozenset(perhaps)
        return found

    def _candidates(self, namespace: Namespace) -> Iterator[tuple[int, bool, Selector]]:
        """The pod sets that pods of a namespace may be in, whether that is certain of the namespace, and what must hold
        for the pods."""
        for number, pods in self._own.get(namespace.name, ()):
            yield number, True, pods
        for number, spaces, pods in self._wide:
            match = namespace.is_selected(spaces)
            if match is not False:
                yield number, match is True, pods


def _elementary_ranges(policies: Iterable[Policy]) -> tuple[tuple[Addresses, ...], Mapping[Addresses, int]]:
    """All addresses, cut wherever an address block of a policy begins or ends; and of each block the parts that it
    holds, a bit each."""
    blocks: set[Addresses] = set()
    for policy in policies:
        for direction in DIRECTIONS:
            for rule in policy.rules[direction]:
                blocks.update(peer.addresses for peer in rule.peers or () if peer.addresses)
    parts: list[Addresses] = []
    holds: dict[Addresses, int] = dict.fromkeys(blocks, 0)
    for family in (4, 6):
        spans = {block: block.v4 if family == 4 else block.v6 for block in blocks}
        ((first, last),) = EVERY_ADDRESS[4 if family == 4 else 6]
        cuts = {first}
        for span in spans.values():
            for start, end in span:
                cuts.update((start, end + 1))
        points = sorted(cuts - {last + 1})
        offset = len(parts)
        for start, after in zip(points, [*points[1:], last + 1], strict=True):
            one = ((start, after - 1),)
            parts.append(Addresses(v4=one) if family == 4 else Addresses(v6=one))
        for block, span in spans.items():
            for start, end in span:
                begin, stop = bisect_left(points, start), bisect_left(points, end + 1)
                holds[block] |= ((1 << (stop - begin)) - 1) << (offset + begin)
    return tuple(parts), holds


_FACT = "network.connectivity"


def connectivity(inventory: Inventory) -> Connectivity:
    """The connectivity of an inventory, computed once."""
    known = inventory.facts.get(_FACT)
    if known is None:
        ends = workloads(inventory)
        policies = [*admin_policies(inventory), *network_policies(inventory)]
        names = {end.namespace for end in ends}
        names |= {policy.subject.namespace for policy in policies if policy.tier == "namespace"}
        spaces = namespaces(inventory, frozenset(names))
        known = inventory.facts[_FACT] = Connectivity(
            ends, spaces, policies, tuple(foreign_policies(inventory)), namespace_finder(inventory, spaces)
        )
    assert isinstance(known, Connectivity)
    return known
