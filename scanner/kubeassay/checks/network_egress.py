"""What leaves the pods: whether they can resolve names, and whether they reach what is outside the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from kubeassay.analysis.network.connections import ALL, NONE, Addresses, Connections, addresses, ports, together
from kubeassay.analysis.network.connectivity import DNS_LABELS, DNS_NAMESPACE, Connectivity, connectivity
from kubeassay.analysis.network.endpoints import DEFAULT_NAMESPACE, Workload
from kubeassay.analysis.network.judgements import (
    PUBLIC,
    Opening,
    address_count,
    allowing,
    direction_path,
    dual_stack,
    openings,
)
from kubeassay.analysis.network.policies import Policy, Rule
from kubeassay.checks.check import Context, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import (
    judged_namespaces,
    matches,
    names,
    not_evaluated,
    nothing_isolates,
    refused,
    shown,
)
from kubeassay.model import Inventory, Object, Path

#: How the port of a name server is named (kubernetes v1.37.1, cluster/addons/dns/coredns).
_DNS_NAMES = frozenset({"dns", "dns-udp"})
#: What names are resolved on. TCP is for long answers: without it most names resolve.
_ANY_DNS = ports("UDP", (53, 53)) | ports("TCP", (53, 53))
#: Where a node caches names, if it does (kubernetes v1.37.1, cluster/addons/dns/nodelocaldns).
_NODE_LOCAL = Addresses(v4=((0xA9FE140A, 0xA9FE140A),))  # 169.254.20.10
#: Ranges that clusters take the addresses of pods and Services from (RFC 1918, RFC 6598, RFC 4193).
_PRIVATE = together(
    block
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
    if (block := addresses(text)) is not None
)


# --- names ---


@dataclass(frozen=True, slots=True)
class _NameServer:
    """The ends that resolve names, and what one of them is asked on."""

    ends: tuple[int, ...]
    through: Connections

    def reached_by(self, net: Connectivity, end: Workload) -> bool:
        """Whether a workload may ask one of them, the cache of its node, or a server outside that a rule is meant for:
        a rule on addresses that opens every port is not about names."""
        if any(net.answer(net.end(end), server).open & self.through for server in self.ends):
            return True
        meant = [rule for rule in _allowing(net, end) if rule.connections != ALL and rule.connections & self.through]
        return any(
            block & _NODE_LOCAL or any(net.peer_bits(rule)[0] >> number & 1 for rule in meant)
            for number, block in net.range_ends()
            if net.answer(net.end(end), number).open & self.through
        )

    def perhaps_reached_by(self, net: Connectivity, end: Workload) -> bool:
        """Whether that is not known: of the answer, or because the address of a name server may lie in a private range
        that is open, to which some plug-ins hold pods, too."""
        if any(net.answer(net.end(end), server).unknown & self.through for server in self.ends):
            return True
        return any(net.answer(net.end(end), n).open & self.through for n, _ in net.range_ends(_PRIVATE))

    def opened_by(self, rule: Rule) -> bool:
        """Whether a rule is (also) about asking a name server, whoever its peers are."""
        return bool(rule.connections & self.through) or any(port.name in _DNS_NAMES for port in rule.named)


def _allowing(net: Connectivity, end: Workload) -> list[Rule]:
    """The rules that open a workload something."""
    return [rule for _, rule in allowing(net, end, "egress") if rule.connections or rule.named]


def _name_server(net: Connectivity, context: Context) -> _NameServer:
    namespace, labels = context.parameters["dns_namespace"], context.parameters["dns_labels"]
    found = [end for end in net.workloads if end.namespace == namespace and labels.items() <= end.labels.items()]
    ends = {net.end(end): None for end in found}
    if not ends and (namespace, labels) == (DNS_NAMESPACE, dict(DNS_LABELS)):
        ends[net.dns] = None
    wanted = ports("UDP", *((port, port) for port in context.parameters["dns_ports"]))
    return _NameServer(tuple(ends), wanted)


@check("dns-egress-missing")
def dns_egress_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Pods whose egress is isolated, and that may send something. Pods that may send nothing at all need no names."""
    net = connectivity(inventory)
    server = _name_server(net, context)
    verdicts: dict[int, Names] = {}
    closed: dict[_Closing, list[Workload]] = {}
    for namespace, members in judged_namespaces(net):
        foreign = not_evaluated(net, namespace, members[0].obj)
        if foreign is not None:
            yield foreign
            continue
        for end in members:
            if not net.isolated(end, "egress"):
                continue
            problem = refused(net, end)
            if problem is not None:
                yield problem
                continue
            number = net.end(end)
            if number not in verdicts:
                verdicts[number] = _names_of(net, end, server)
            if verdicts[number] == "unknown":
                detail = f"{end} may send to port 53 of something that is not among the inputs"
                yield NotJudged("unknown-peer", detail, end.obj)
            elif verdicts[number] == "perhaps":
                detail = f"whether {end} may ask the cluster's name server is not known"
                yield NotJudged("unknown-connectivity", detail, end.obj)
            elif verdicts[number] == "resolved":
                yield Passed(end.obj)
            elif verdicts[number] == "unresolved":
                closed.setdefault(_closing(net, end, server), []).append(end)
    for closing, ends in closed.items():
        yield Violation(
            closing.path,
            f"{closing.policy} {closing.words.format(shown(names(ends)))}: no name is resolved",
            obj=closing.policy.obj,
            related=_needing(net, ends[0], closing.policy) if closing.policy.tier == "namespace" else (),
        )
    yield from _of_no_namespace(net, server)


Names = Literal["resolved", "unresolved", "unknown", "perhaps", "not needed"]


def _names_of(net: Connectivity, end: Workload, server: _NameServer) -> Names:
    """Whether an isolated workload resolves names."""
    if server.reached_by(net, end):
        return "resolved"
    rules = _allowing(net, end)
    if not rules:
        return "not needed"
    for rule in rules:
        if not server.opened_by(rule) or (rule.peers and all(peer.addresses is not None for peer in rule.peers)):
            continue
        if not any(net.peer_bits(rule)[0] >> net.end(other) & 1 for other in net.workloads):
            return "unknown"
        if rule.connections != ALL:
            # A name server of the inputs' own: nobody else names the port.
            return "resolved"
    return "perhaps" if server.perhaps_reached_by(net, end) else "unresolved"


@dataclass(frozen=True, slots=True)
class _Closing:
    """What keeps a workload from its name server. ``words`` have a place for the workloads."""

    policy: Policy
    path: Path
    words: str


def _closing(net: Connectivity, end: Workload, server: _NameServer) -> _Closing:
    governing = net.governing(end, "egress")
    own = [policy for policy in governing if policy.tier == "namespace"]
    denied = _denied(net, governing, own, server)
    if denied is not None:
        policy, rule = denied
        words = f"denies {{}} to ask the name server ({server.through}), which NetworkPolicies open"
        return _Closing(policy, rule.path, words)
    opened = [net.answer(net.end(end), number).open for number in server.ends]
    on_tcp = Connections(tcp=server.through.udp)
    outside = [number for number, _ in net.range_ends() if net.answer(net.end(end), number).open & server.through]
    if any(one & on_tcp for one in opened):
        but = f"of the name server {on_tcp} alone is open, which is asked on {server.through}"
    elif outside:
        but = f"what is open of {server.through} are addresses outside the cluster, not its name server"
    else:
        but = f"nothing opens {server.through} of the name server"
    policy = _floor(own)
    return _Closing(policy, direction_path(policy, "egress"), f"isolates {{}} for egress, and {but}")


def _denied(
    net: Connectivity, governing: Iterable[Policy], own: Iterable[Policy], server: _NameServer
) -> tuple[Policy, Rule] | None:
    """The rule of the cluster that denies what NetworkPolicies open: of these, none is to blame."""

    def about(policy: Policy, end: int) -> Iterator[Rule]:
        for rule in policy.rules["egress"]:
            if net.peer_bits(rule)[0] >> end & 1 and rule.connections & server.through:
                yield rule

    of_cluster = sorted((policy for policy in governing if policy.tier == "admin"), key=lambda policy: policy.priority)
    for end in server.ends:
        if not any(True for policy in own for _ in about(policy, end)):
            continue
        first = next(((policy, rule) for policy in of_cluster for rule in about(policy, end)), None)
        if first is not None and first[1].action == "deny":
            return first
    return None


def _floor(policies: list[Policy]) -> Policy:
    """Of the policies that isolate a workload, the one that does so for most."""
    return min(policies, key=lambda policy: (not policy.subject.pods.everything, bool(policy.rules["egress"])))


def _needing(net: Connectivity, end: Workload, floor: Policy) -> tuple[tuple[str, Object, Path], ...]:
    for policy in net.governing(end, "egress"):
        for rule in policy.rules["egress"]:
            if rule.action == "allow" and policy is not floor:
                return ((f"{policy} opens {rule.connections}, to what has a name", policy.obj, rule.path),)
    return ()


def _of_no_namespace(net: Connectivity, server: _NameServer) -> Iterator[Violation]:
    """A policy that states no namespace, among workloads that all do: it denies egress wherever it is applied."""
    if any(end.namespace == DEFAULT_NAMESPACE for end in net.workloads):
        return
    rules = [rule for policy in net.policies if "egress" in policy.directions for rule in policy.rules["egress"]]
    if not rules or any(rule.connections != ALL and server.opened_by(rule) for rule in rules):
        return
    for policy in net.policies:
        if policy.tier != "namespace" or policy.obj.ref.namespace or policy.refused:
            continue
        if "egress" in policy.directions and policy.subject.pods.everything and not policy.rules["egress"]:
            message = f"{policy} denies egress in whichever namespace it is applied to, and nothing opens port 53 there"
            yield Violation(direction_path(policy, "egress"), f"{message}: no name is resolved", obj=policy.obj)


# --- addresses ---


@dataclass(slots=True)
class _Cause:
    """A rule that opens addresses."""

    policy: Policy
    path: Path
    block: Addresses = Addresses()  # noqa: RUF009 - frozen
    connections: Connections = NONE
    ends: list[Workload] = field(default_factory=list)


@dataclass(slots=True)
class _Opened:
    """What one rule opens, by the peer that holds the addresses."""

    policy: Policy
    peers: dict[Path, _Cause] = field(default_factory=dict)
    rule_path: Path = ()

    def add(self, opening: Opening, block: Addresses) -> None:
        self.rule_path = opening.rule_path
        cause = self.peers.setdefault(opening.path, _Cause(opening.policy, opening.path))
        cause.block |= block
        cause.connections |= opening.connections

    def causes(self, least: int, *, with_v6: bool) -> list[_Cause]:
        """The peers that open so many addresses; the rule, where only its peers together do."""
        wide = [peer for peer in self.peers.values() if address_count(peer.block, with_v6=with_v6) >= least]
        if wide:
            return wide
        block = together(peer.block for peer in self.peers.values())
        if address_count(block, with_v6=with_v6) < least:
            return []
        connections = NONE
        for peer in self.peers.values():
            connections |= peer.connections
        return [_Cause(self.policy, self.rule_path, block, connections)]


@dataclass(frozen=True, slots=True)
class _Target:
    """Addresses outside the cluster that a rule is about. ``least``: how many of them have to be open."""

    block: Addresses
    through: Connections
    words: str
    least: int = 1


@check("egress-to-internet")
def egress_to_internet(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A few public addresses are somebody; what is larger is the internet. Port 53 alone is how names are resolved, and
    not counted."""
    target = _Target(PUBLIC, ALL - _ANY_DNS, "addresses of the internet", context.parameters["most_addresses"] + 1)
    yield from _egress_to(inventory, context, target)


@check("egress-to-metadata-address")
def egress_to_metadata_address(inventory: Inventory, context: Context) -> Iterator[Said]:
    listed = context.parameters["addresses"]
    words = f"addresses of the cloud's metadata service ({', '.join(listed)})"
    yield from _egress_to(inventory, context, _Target(_joined(listed), ports("TCP", (80, 80)), words))


@check("egress-to-api-server")
def egress_to_api_server(inventory: Inventory, context: Context) -> Iterator[Said]:
    listed = context.parameters["api_server"]
    if listed:
        through = ports("TCP", *((port, port) for port in context.parameters["ports"]))
        words = f"addresses of the API server ({', '.join(listed)})"
        yield from _egress_to(inventory, context, _Target(_joined(listed), through, words))


def _joined(cidrs: list[str]) -> Addresses:
    found = Addresses()
    for cidr in cidrs:
        block = addresses(cidr)
        if block is None:
            raise ValueError(f"{cidr} is neither an address nor a CIDR")
        found |= block
    return found


def _egress_to(inventory: Inventory, context: Context, target: _Target) -> Iterator[Said]:
    net, opened_by = connectivity(inventory), openings(inventory)
    with_v6 = dual_stack(net)
    allowed = context.parameters["allowed"]
    ranges = [pair for pair in net.range_ends(target.block) if address_count(pair[1], with_v6=with_v6)]
    causes: dict[tuple[int, Path], _Cause] = {}
    for namespace, members in judged_namespaces(net):
        members = [end for end in members if not any(matches(pattern, end) for pattern in allowed)]
        foreign = not_evaluated(net, namespace, members[0].obj) if members else None
        if foreign is not None:
            yield foreign
            continue
        free: list[Workload] = []
        for end in members:
            problem = refused(net, end)
            if problem is not None:
                yield problem
                continue
            answers = {number: net.answer(net.end(end), number) for number, _ in ranges}
            opened = {number: answer.open & target.through for number, answer in answers.items()}
            found: dict[tuple[int, Path], _Opened] = {}
            #: Addresses that are open without a rule that opens them.
            unruled = Addresses()
            for number, block in ranges:
                left = opened[number]
                for opening in opened_by.of(end, "egress", number) if left else ():
                    common = opening.connections & opened[number]
                    if common:
                        left -= common
                        rule = found.setdefault((id(opening.policy), opening.rule_path), _Opened(opening.policy))
                        rule.add(opening, block)
                if left:
                    unruled |= block
            wide = [cause for rule in found.values() for cause in rule.causes(target.least, with_v6=with_v6)]
            for one in wide:
                cause = causes.setdefault((id(one.policy), one.path), _Cause(one.policy, one.path))
                cause.connections |= one.connections
                cause.ends.append(end)
            if address_count(unruled, with_v6=with_v6) >= target.least:
                free.append(end)
            elif not wide:
                # Of what is open, too little is to be a finding: with what is perhaps open it may be enough.
                perhaps = together(
                    block for number, block in ranges if opened[number] or answers[number].unknown & target.through
                )
                unknown = any(answer.unknown & target.through for answer in answers.values())
                if unknown and address_count(perhaps, with_v6=with_v6) >= target.least:
                    yield NotJudged(
                        "unknown-connectivity", f"whether {end} may send to {target.words} is not known", end.obj
                    )
                else:
                    yield Passed(end.obj)
        if free and not context.parameters["isolated_only"]:
            message = f"{nothing_isolates(net, free[0], 'egress')} {shown(names(free))} for egress"
            yield Violation(("metadata", "name"), f"{message}: {target.words} are open", obj=free[0].obj)
    for cause in causes.values():
        message = f"{cause.policy} opens {target.words} to {shown(names(cause.ends))} ({cause.connections})"
        yield Violation(cause.path, message, obj=cause.policy.obj)
