"""Network policies of all kinds in one form: whom they select, and their rules in order.

Sources: k8s.io/api v0.37.1 networking/v1/types.go, k8s.io/kubernetes v1.37.1 pkg/apis/networking/v1/defaults.go
(policyTypes) and validation/validation.go (what is refused); sigs.k8s.io/network-policy-api v0.1.7 apis/v1alpha1
(AdminNetworkPolicy, BaselineAdminNetworkPolicy) and v0.2.0 apis/v1alpha2 (ClusterNetworkPolicy).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from kubeassay.analysis.fields import problems_of
from kubeassay.analysis.network.connections import (
    ALL,
    ALL_PORTS,
    EVERY_ADDRESS,
    NONE,
    PROTOCOLS,
    Addresses,
    Connections,
    Protocol,
    cidr_addresses,
    ports,
    together,
)
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.analysis.refused import Refused
from kubeassay.analysis.selectors import Selector, label_selector
from kubeassay.model import NEWEST_KNOWN, Inventory, Object, Path

Direction = Literal["ingress", "egress"]
DIRECTIONS: tuple[Direction, ...] = ("ingress", "egress")
Action = Literal["allow", "deny", "pass"]
#: In the order in which they are asked.
Tier = Literal["admin", "namespace", "baseline"]

_EVERYTHING = Selector()
#: A name of a port: the registered form of RFC 6335, in which a letter must occur.
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*\Z")

#: Policies of network plug-ins that are not evaluated: (API group, kind) → whether its objects are cluster-wide. Any of
#: them may allow or deny what the policies of Kubernetes say nothing of.
FOREIGN_KINDS: Mapping[tuple[str, str], bool] = {
    ("cilium.io", "CiliumNetworkPolicy"): False,
    ("cilium.io", "CiliumClusterwideNetworkPolicy"): True,
    ("projectcalico.org", "NetworkPolicy"): False,
    ("projectcalico.org", "StagedNetworkPolicy"): False,
    ("projectcalico.org", "GlobalNetworkPolicy"): True,
    ("crd.projectcalico.org", "NetworkPolicy"): False,
    ("crd.projectcalico.org", "GlobalNetworkPolicy"): True,
    ("crd.antrea.io", "NetworkPolicy"): False,
    ("crd.antrea.io", "ClusterNetworkPolicy"): True,
    ("networking.k8s.aws", "ApplicationNetworkPolicy"): False,
    ("networking.k8s.aws", "ClusterNetworkPolicy"): True,
    ("k8s.ovn.org", "EgressFirewall"): False,
    ("policy.kubesphere.io", "NamespaceNetworkPolicy"): False,
    ("networking.gke.io", "FQDNNetworkPolicy"): False,
    ("network.openshift.io", "EgressNetworkPolicy"): False,
    ("nsx.vmware.com", "SecurityPolicy"): False,
    ("security.antrea.tanzu.vmware.com", "NetworkPolicy"): False,
    ("security.antrea.tanzu.vmware.com", "ClusterNetworkPolicy"): True,
}
#: Staged policies are there to be looked at, and enforce nothing.
_NOT_ENFORCED = frozenset({("projectcalico.org", "StagedNetworkPolicy")})


@dataclass(frozen=True, slots=True)
class PodSet:
    """The pods that selectors choose. ``namespaces`` None: those of ``namespace`` alone. The paths lead from the
    policy's root to each selector."""

    namespace: str
    namespaces: Selector | None
    pods: Selector
    namespaces_path: Path = ()
    pods_path: Path = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for sets that are chosen in the same way."""
        own = (self.namespace,) if self.namespaces is None else self.namespaces.key
        return (self.namespaces is None, own, self.pods.key)


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of ``from`` or ``to``: pods, or addresses. ``everything_inside``: addresses that also cover all pods
    (a ``networks`` entry of an admin policy that holds every address). ``unknown``: what it matches is not known here
    (nodes, domain names, fields of another version)."""

    path: Path
    pods: PodSet | None = None
    addresses: Addresses | None = None
    everything_inside: bool = False
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port by its name in the destination's pods. ``protocol`` None: of whichever protocol carries the name."""

    name: str
    protocol: Protocol | None
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule. ``peers`` None: every peer, inside the cluster and outside. ``connections`` are those with numbers;
    ``named`` are added for a destination that has such ports."""

    path: Path
    action: Action
    peers: tuple[Peer, ...] | None
    connections: Connections
    named: tuple[NamedPort, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy. ``directions`` are those in which it governs the pods of ``subject``; ``subject_path`` leads to what
    selects them. ``priority`` orders policies of the admin and baseline tiers, the lowest first."""

    obj: Object
    tier: Tier
    priority: int
    subject: PodSet
    subject_path: Path
    directions: tuple[Direction, ...]
    rules: Mapping[Direction, tuple[Rule, ...]]
    refused: tuple[Refused, ...] = ()
    #: Fields that Kubernetes does not have: kubectl refuses the policy, other clients drop them; it is read without.
    dropped: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return str(self.obj.ref)

    @property
    def pod_sets(self) -> Iterator[PodSet]:
        """The pods that it governs, and those of its rules' peers, in both directions."""
        yield self.subject
        for direction in DIRECTIONS:
            for rule in self.rules[direction]:
                yield from (peer.pods for peer in rule.peers or () if peer.pods is not None)


@dataclass(frozen=True, slots=True)
class ForeignPolicy:
    """A policy of a network plug-in that is not evaluated. ``namespace`` None: it governs the whole cluster."""

    obj: Object
    namespace: str | None


@dataclass(slots=True)
class _Reader:
    """Reads one policy and notes why it would be refused."""

    obj: Object
    namespace: str = ""
    refused: list[Refused] = field(default_factory=list)
    dropped: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for problem in problems_of(self.obj, NEWEST_KNOWN.minor):
            if problem.kind == "mistyped":
                self.refuse(problem.path, f"{problem.found}, not {problem.expected}")
            elif problem.path[0] == "spec":
                self.dropped.append(problem.path)

    def refuse(self, path: Path, reason: str) -> None:
        self.refused.append(Refused(path, reason))

    def selector(self, value: Any, path: Path) -> Selector:
        selector = label_selector(value)
        if selector.invalid:
            # Whom it was meant for is not known: perhaps everybody.
            self.refuse(path, selector.invalid)
            return _EVERYTHING
        return selector

    def protocol(self, value: Any, path: Path) -> Protocol:
        if value is None or value == "TCP":
            return "TCP"
        if value == "UDP":
            return "UDP"
        if value == "SCTP":
            return "SCTP"
        self.refuse(path, f"protocol {value}: TCP, UDP or SCTP")
        return "TCP"


def network_policies(inventory: Inventory) -> Iterator[Policy]:
    """The NetworkPolicies, in reading order."""
    for group in ("networking.k8s.io", "extensions"):
        for obj in inventory.of_kind("NetworkPolicy", group):
            yield _network_policy(obj)


def admin_policies(inventory: Inventory) -> Iterator[Policy]:
    """The AdminNetworkPolicies, BaselineAdminNetworkPolicies and ClusterNetworkPolicies, in reading order."""
    group = "policy.networking.k8s.io"
    for kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"):
        for obj in inventory.of_kind(kind, group):
            yield _admin_policy(obj)


def foreign_policies(inventory: Inventory) -> Iterator[ForeignPolicy]:
    """The policies that are recognised and not evaluated."""
    for (group, kind), cluster_wide in FOREIGN_KINDS.items():
        if (group, kind) not in _NOT_ENFORCED:
            for obj in inventory.of_kind(kind, group):
                yield ForeignPolicy(obj, None if cluster_wide else namespace_of(obj))


# --- NetworkPolicy ---


def _network_policy(obj: Object) -> Policy:
    reader = _Reader(obj, namespace_of(obj))
    spec = mapping(obj.value.get("spec"))
    path: Path = ("spec", "podSelector")
    subject = PodSet(reader.namespace, None, reader.selector(spec.get("podSelector"), path), pods_path=path)
    types = items(spec.get("policyTypes"))
    if types:
        if len(types) > len(DIRECTIONS):
            reader.refuse(("spec", "policyTypes"), "more than two policy types")
        for number, name in enumerate(types):
            if name not in ("Ingress", "Egress"):
                reader.refuse(("spec", "policyTypes", number), f"policy type {name}: Ingress or Egress")
        directions = tuple(d for d in DIRECTIONS if d.capitalize() in types) or DIRECTIONS
    else:
        directions = DIRECTIONS if items(spec.get("egress")) else DIRECTIONS[:1]
    # Rules of a direction that policyTypes leaves out are validated, and have no effect.
    rules = {
        direction: tuple(
            _rule(reader, mapping(rule), ("spec", direction, number), "from" if direction == "ingress" else "to")
            for number, rule in enumerate(items(spec.get(direction)))
        )
        for direction in DIRECTIONS
    }
    return Policy(obj, "namespace", 0, subject, path, directions, rules, tuple(reader.refused), tuple(reader.dropped))


def _rule(reader: _Reader, rule: Mapping[str, Any], path: Path, peers_field: str) -> Rule:
    stated = items(rule.get(peers_field))
    peers = tuple(_peer(reader, mapping(p), (*path, peers_field, n)) for n, p in enumerate(stated)) if stated else None
    connections, named = _policy_ports(reader, items(rule.get("ports")), (*path, "ports"))
    return Rule(path, "allow", peers, connections, named)


def _peer(reader: _Reader, peer: Mapping[str, Any], path: Path) -> Peer:
    block, pods, spaces = (peer.get(name) for name in ("ipBlock", "podSelector", "namespaceSelector"))
    if block is not None:
        if pods is not None or spaces is not None:
            reader.refuse((*path, "ipBlock"), "ipBlock beside a selector in one peer")
        return Peer(path, addresses=_ip_block(reader, mapping(block), (*path, "ipBlock")))
    if pods is None and spaces is None:
        reader.refuse(path, "a peer without podSelector, namespaceSelector or ipBlock")
        return Peer(path, addresses=Addresses())
    pods_path, spaces_path = (*path, "podSelector"), (*path, "namespaceSelector")
    chosen = reader.selector(pods, pods_path) if pods is not None else _EVERYTHING
    namespaces = reader.selector(spaces, spaces_path) if spaces is not None else None
    return Peer(path, pods=PodSet(reader.namespace, namespaces, chosen, spaces_path, pods_path))


def _ip_block(reader: _Reader, block: Mapping[str, Any], path: Path) -> Addresses:
    included = cidr_addresses(string(block.get("cidr")))
    if included is None:
        reader.refuse((*path, "cidr"), f"{string(block.get('cidr')) or 'nothing'} is no CIDR")
        return Addresses()
    for number, text in enumerate(items(block.get("except"))):
        excluded = cidr_addresses(string(text))
        if excluded is None:
            reader.refuse((*path, "except", number), f"{string(text) or 'nothing'} is no CIDR")
        elif excluded - included or excluded == included:
            reader.refuse((*path, "except", number), f"{text} is not inside {block.get('cidr')}")
        else:
            included -= excluded
    return included


def _policy_ports(reader: _Reader, stated: Sequence[Any], path: Path) -> tuple[Connections, tuple[NamedPort, ...]]:
    if not stated:
        return ALL, ()
    found, named = _Ranges(), []
    for number, entry in enumerate(stated):
        entry = mapping(entry)
        here = (*path, number)
        protocol = reader.protocol(entry.get("protocol"), (*here, "protocol"))
        port, end = entry.get("port"), entry.get("endPort")
        if port is None:
            if end is not None:
                reader.refuse((*here, "endPort"), "endPort without port")
            found.add(protocol, *ALL_PORTS)
        elif isinstance(port, str):
            if not _PORT_NAME.match(port):
                reader.refuse((*here, "port"), f'"{port}" is no name of a port')
            if end is not None:
                reader.refuse((*here, "endPort"), "endPort with a named port")
            named.append(NamedPort(port, protocol, here))
        elif not _is_port(port):
            reader.refuse((*here, "port"), f"{port} is no port")
        elif end is not None and (not _is_port(end) or end < port):
            reader.refuse((*here, "endPort"), f"endPort {end} is no port from {port} on")
        else:
            found.add(protocol, (port, port if end is None else end))
    return found.connections, tuple(named)


class _Ranges:
    """Ranges of ports, collected before they are made a set: a rule may list thousands."""

    def __init__(self) -> None:
        self._ranges: dict[Protocol, list[tuple[int, int]]] = {protocol: [] for protocol in PROTOCOLS}

    def add(self, protocol: Protocol, *ranges: tuple[int, int]) -> None:
        self._ranges[protocol] += ranges

    @property
    def connections(self) -> Connections:
        connections = NONE
        for protocol, ranges in self._ranges.items():
            if ranges:
                connections |= ports(protocol, *ranges)
        return connections


def _is_port(value: Any) -> TypeGuard[int]:
    return port_number(value) is not None


# --- AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy ---


@dataclass(frozen=True, slots=True)
class _AdminKind:
    """What the definition of one kind of admin policy allows."""

    actions: Mapping[str, Action]
    #: The field of a rule that states its ports.
    ports: Literal["ports", "protocols"]
    has_priority: bool
    most_rules: int


_ALLOW_DENY: Mapping[str, Action] = {"Allow": "allow", "Deny": "deny"}
_ADMIN_KINDS: Mapping[str, _AdminKind] = {
    "AdminNetworkPolicy": _AdminKind({**_ALLOW_DENY, "Pass": "pass"}, "ports", True, 100),
    "BaselineAdminNetworkPolicy": _AdminKind(_ALLOW_DENY, "ports", False, 100),
    "ClusterNetworkPolicy": _AdminKind({"Accept": "allow", "Deny": "deny", "Pass": "pass"}, "protocols", True, 25),
}
_PEER_FIELDS: Mapping[Direction, frozenset[str]] = {
    "ingress": frozenset({"namespaces", "pods"}),
    "egress": frozenset({"namespaces", "pods", "nodes", "networks", "domainNames"}),
}
_SELECTOR_FIELDS = frozenset({"matchLabels", "matchExpressions"})


def _admin_policy(obj: Object) -> Policy:
    reader = _Reader(obj)
    spec = mapping(obj.value.get("spec"))
    kind = _ADMIN_KINDS[obj.ref.kind]
    tier: Tier = "admin"
    if obj.ref.kind == "BaselineAdminNetworkPolicy":
        tier = "baseline"
        if obj.ref.name != "default":
            reader.refuse(("metadata", "name"), "a BaselineAdminNetworkPolicy is named default")
    elif obj.ref.kind == "ClusterNetworkPolicy":
        if spec.get("tier") not in ("Admin", "Baseline"):
            reader.refuse(("spec", "tier"), "tier is Admin or Baseline")
        elif spec["tier"] == "Baseline":
            tier = "baseline"
    priority = spec.get("priority") if kind.has_priority else 0
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 1000:
        reader.refuse(("spec", "priority"), "priority is a number from 0 to 1000")
        priority = 0
    subject, subject_path = _subject(reader, mapping(spec.get("subject")))
    rules: dict[Direction, tuple[Rule, ...]] = {}
    for direction in DIRECTIONS:
        stated = items(spec.get(direction))
        if len(stated) > kind.most_rules:
            reader.refuse(("spec", direction), f"more than {kind.most_rules} rules")
        rules[direction] = tuple(
            _admin_rule(reader, mapping(rule), ("spec", direction, number), direction, kind)
            for number, rule in enumerate(stated)
        )
    # Without rules of a direction it says nothing of it: admin policies do not isolate.
    directions = tuple(direction for direction in DIRECTIONS if rules[direction] or reader.refused)
    return Policy(obj, tier, priority, subject, subject_path, directions, rules, tuple(reader.refused))


def _subject(reader: _Reader, subject: Mapping[str, Any]) -> tuple[PodSet, Path]:
    path: Path = ("spec", "subject")
    if (subject.get("namespaces") is None) == (subject.get("pods") is None):
        reader.refuse(path, "a subject has either namespaces or pods")
    if subject.get("namespaces") is not None:
        path = (*path, "namespaces")
        return PodSet("", reader.selector(subject["namespaces"], path), _EVERYTHING, path, path), path
    path = (*path, "pods")
    return _namespaced_pods(reader, mapping(subject.get("pods")), path), path


def _namespaced_pods(reader: _Reader, pods: Mapping[str, Any], path: Path) -> PodSet:
    # The definitions require both selectors; manifests of the API's own tests leave one out, and mean an empty one.
    spaces_path, pods_path = (*path, "namespaceSelector"), (*path, "podSelector")
    return PodSet(
        "",
        reader.selector(pods.get("namespaceSelector"), spaces_path),
        reader.selector(pods.get("podSelector"), pods_path),
        spaces_path,
        pods_path,
    )


def _admin_rule(reader: _Reader, rule: Mapping[str, Any], path: Path, direction: Direction, kind: _AdminKind) -> Rule:
    action = kind.actions.get(string(rule.get("action")))
    if action is None:
        reader.refuse((*path, "action"), f"the action is one of {', '.join(kind.actions)}")
        action = "deny"
    name = "from" if direction == "ingress" else "to"
    stated = items(rule.get(name))
    if not stated:
        reader.refuse((*path, name), "a rule of an admin policy needs a peer")
    other = "ports" if kind.ports == "protocols" else "protocols"
    if rule.get(other) is not None:
        # Validation refuses it, or the API server drops it, and the rule holds for all ports.
        reader.refuse((*path, other), f"a rule of this kind states {kind.ports}")
    connections: Connections = ALL
    named: tuple[NamedPort, ...] = ()
    # The API server drops a null where a field does not say that it may be one.
    if rule.get(kind.ports) is not None:
        entries, entries_path = items(rule[kind.ports]), (*path, kind.ports)
        read = _admin_ports if kind.ports == "ports" else _protocols
        if not entries and kind.ports == "protocols":
            reader.refuse(entries_path, "an empty list")
        elif entries:
            connections, named = read(reader, entries, entries_path)
    known = _PEER_FIELDS[direction]
    if any(not any(peer.get(field) is not None for field in known) for peer in map(mapping, stated)):
        # The API's word for implementations of another version: such a rule fails closed.
        return Rule(path, "deny" if action != "allow" else action, None if action != "allow" else (), ALL)
    peers = tuple(p for n, peer in enumerate(stated) for p in _admin_peer(reader, mapping(peer), (*path, name, n)))
    return Rule(path, action, peers, connections, named)


def _admin_peer(reader: _Reader, peer: Mapping[str, Any], path: Path) -> Iterable[Peer]:
    if sum(peer.get(name) is not None for name in _PEER_FIELDS["egress"]) > 1:
        reader.refuse(path, "a peer has exactly one of namespaces, pods, nodes, networks and domainNames")
    spaces, pods = peer.get("namespaces"), peer.get("pods")
    if spaces is not None:
        here = (*path, "namespaces")
        if set(mapping(spaces)) - _SELECTOR_FIELDS:
            # Before v0.1.2 of the API: namespaceSelector, sameLabels, notSameLabels.
            return (Peer(here, unknown="fields of an older version of the API"),)
        return (Peer(here, pods=PodSet("", reader.selector(spaces, here), _EVERYTHING, here, here)),)
    if pods is not None:
        here = (*path, "pods")
        if "namespaces" in mapping(pods):
            return (Peer(here, unknown="fields of an older version of the API"),)
        return (Peer(here, pods=_namespaced_pods(reader, mapping(pods), here)),)
    if peer.get("nodes") is not None:
        return (Peer((*path, "nodes"), unknown="the addresses of nodes"),)
    if peer.get("domainNames") is not None:
        return (Peer((*path, "domainNames"), unknown="the addresses of domain names"),)
    return _networks(reader, items(peer.get("networks")), (*path, "networks"))


def _networks(reader: _Reader, stated: Sequence[Any], path: Path) -> Iterable[Peer]:
    if not stated:
        reader.refuse(path, "an empty list")
    found: list[tuple[Path, Addresses]] = []
    for number, text in enumerate(stated):
        included = cidr_addresses(string(text))
        if included is None:
            reader.refuse((*path, number), f"{text} is no CIDR")
        else:
            found.append(((*path, number), included))
    # Admin policies apply networks to traffic inside the cluster, too. Which addresses pods have is not known from
    # manifests; networks that together hold every address hold theirs.
    whole = together(one for _, one in found)
    everything = whole.v4 == EVERY_ADDRESS[4] or whole.v6 == EVERY_ADDRESS[6]
    return tuple(Peer(at, addresses=one, everything_inside=everything) for at, one in found)


def _admin_ports(reader: _Reader, stated: Sequence[Any], path: Path) -> tuple[Connections, tuple[NamedPort, ...]]:
    found, named = _Ranges(), []
    for number, entry in enumerate(stated):
        entry = mapping(entry)
        here = (*path, number)
        if sum(entry.get(field) is not None for field in ("portNumber", "namedPort", "portRange")) != 1:
            reader.refuse(here, "a port has one of portNumber, portRange and namedPort")
        elif entry.get("namedPort") is not None:
            named.append(NamedPort(string(entry["namedPort"]), None, here))
        elif entry.get("portRange") is not None:
            span = mapping(entry["portRange"])
            _add_span(reader, found, span, (*here, "portRange"), reader.protocol(span.get("protocol"), here))
        else:
            single = mapping(entry["portNumber"])
            protocol = reader.protocol(single.get("protocol"), (*here, "portNumber", "protocol"))
            _add_single(reader, found, single.get("port"), (*here, "portNumber", "port"), protocol)
    return found.connections, tuple(named)


def _protocols(reader: _Reader, stated: Sequence[Any], path: Path) -> tuple[Connections, tuple[NamedPort, ...]]:
    found, named = _Ranges(), []
    for number, entry in enumerate(stated):
        entry = mapping(entry)
        here = (*path, number)
        chosen = [field for field in ("tcp", "udp", "sctp", "destinationNamedPort") if entry.get(field) is not None]
        if len(chosen) != 1:
            reader.refuse(here, "a protocol has one of tcp, udp, sctp and destinationNamedPort")
            continue
        if chosen[0] == "destinationNamedPort":
            named.append(NamedPort(string(entry["destinationNamedPort"]), None, here))
            continue
        protocol = next(p for p in PROTOCOLS if p.lower() == chosen[0])
        port = mapping(entry[chosen[0]]).get("destinationPort")
        here = (*here, chosen[0])
        if port is None:
            reader.refuse(here, "a protocol without destinationPort")
            continue
        here, port = (*here, "destinationPort"), mapping(port)
        if (port.get("number") is None) == (port.get("range") is None):
            reader.refuse(here, "a port has either number or range")
        elif port.get("range") is not None:
            _add_span(reader, found, mapping(port["range"]), (*here, "range"), protocol)
        else:
            _add_single(reader, found, port["number"], (*here, "number"), protocol)
    return found.connections, tuple(named)


def _add_single(reader: _Reader, found: _Ranges, port: Any, path: Path, protocol: Protocol) -> None:
    if _is_port(port):
        found.add(protocol, (port, port))
    else:
        reader.refuse(path, f"{port} is no port")


def _add_span(reader: _Reader, found: _Ranges, span: Mapping[str, Any], path: Path, protocol: Protocol) -> None:
    start, end = span.get("start"), span.get("end")
    if _is_port(start) and _is_port(end) and start <= end:
        found.add(protocol, (start, end))
    else:
        reader.refuse(path, f"{start}-{end} is no range of ports")
