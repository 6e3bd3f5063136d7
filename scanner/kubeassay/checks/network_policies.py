"""Policies that do not say what was meant: selectors that select nothing, ports that nothing serves, rules that others
hold already.

What is not among the inputs is not taken for missing: a namespace that others fill, labels that an operator or
admission gives to pods. Such selectors are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubeassay.analysis.fields import nearest_name
from kubeassay.analysis.network.connectivity import Connectivity, connectivity
from kubeassay.analysis.network.endpoints import METADATA_NAME, Namespace, Workload
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES, by_namespace, redundant, unknown_pods
from kubeassay.analysis.network.makers import makers_of
from kubeassay.analysis.network.policies import Direction, Peer, PodSet, Policy, Rule
from kubeassay.analysis.network.workloads import CONTROLLER_LABELS
from kubeassay.analysis.reading import items, mapping
from kubeassay.analysis.selectors import Selector
from kubeassay.checks.check import Context, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.label_hints import meant_labels, unmet_requirement, wanted_label
from kubeassay.checks.network_common import names, shown
from kubeassay.model import Inventory, Object, Path

#: Labels that admission gives to pods: no template has them.
_OF_ADMISSION = ("istio.io/", "linkerd.io/", "topology.kubernetes.io/")


#: Labels by which people expect to find a namespace by its name.
_OF_A_NAME = re.compile(r"(?i)(name|namespace|ns)\Z")


@dataclass(frozen=True, slots=True)
class _Miss:
    """A requirement that nothing fulfils, and what was perhaps meant."""

    path: Path
    words: str


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Why it is not known whether a selector selects something. ``told``: whether that is a gap in the inputs; a peer
    that is somewhere else, as the name server is nearly always, is none, and the rule says nothing of it."""

    reason: str
    detail: str
    told: bool = True


def _elsewhere(detail: str) -> _Unknown:
    return _Unknown("unknown-peer", detail, told=False)


class _Labels:
    """The labels that there are, to find the one that was meant."""

    def __init__(self, net: Connectivity, inventory: Inventory) -> None:
        self.net = net
        self.members: Mapping[str, Sequence[Workload]] = by_namespace(net.workloads)
        self.unknown: Mapping[str, Object] = unknown_pods(inventory)
        self.makers = makers_of(inventory)
        self.prefixes = {key.rpartition("/")[0] for end in net.workloads for key in end.labels}
        self.undeclared = [name for name, space in net.namespaces.items() if space.obj is None]

    def subject(self, policy: Policy) -> _Miss | _Unknown | None:
        """Why a NetworkPolicy selects nothing; None where it selects something, or does so on purpose."""
        if policy.subject.pods.everything or self.net.selected(policy.subject):
            return None
        return self._pods(policy.subject, [policy.subject.namespace])

    def peer(self, pods: PodSet) -> _Miss | _Unknown | None:
        """Why a peer matches nothing."""
        if self.net.selected(pods):
            return None
        if pods.namespaces is None:
            return None if pods.pods.everything else self._pods(pods, [pods.namespace])
        spaces = [space for space in self.net.namespaces.values() if pods.namespaces.matches(space.labels)]
        if not spaces:
            return self._namespaces(pods, pods.namespaces)
        if pods.namespaces.everything:
            return _elsewhere(f"no pod with {pods.pods} is among the inputs")
        if pods.pods.everything:
            listed = shown([space.name for space in spaces])
            return _elsewhere(f"no workload of namespace {listed} is among the inputs")
        named = any(requirement.key == METADATA_NAME for requirement in pods.namespaces.requirements)
        if not named and self.undeclared:
            return _undeclared(self.undeclared)
        return self._pods(pods, [space.name for space in spaces])

    def _pods(self, pods: PodSet, spaces: Sequence[str]) -> _Miss | _Unknown | None:
        """Why a pod selector selects nothing in some namespaces."""
        members = [end for space in spaces for end in self.members.get(space, ())]
        where = f"namespace {shown(spaces)}"
        if not members:
            return _elsewhere(f"no workload of {where} is among the inputs")
        for space in spaces:
            if space in SYSTEM_NAMESPACES:
                return _elsewhere(f"what runs in namespace {space} is mostly not among the inputs")
            if space in self.unknown:
                return _Unknown("unsupported", f"an operator makes pods of {self.unknown[space].ref} in {where}")
        if pods.pods.invalid or all(r.operator in ("NotIn", "DoesNotExist") for r in pods.pods.requirements):
            # It leaves some pods out, and all that there are happen to be among them.
            return None
        requirement = unmet_requirement(pods.pods, [end.labels for end in members])
        if requirement.key in CONTROLLER_LABELS or any(prefix in requirement.key for prefix in _OF_ADMISSION):
            return _elsewhere(f"label {requirement.key} is given to pods when they are made")
        maker = next(filter(None, map(self.makers.of, spaces)), None)
        # What is nearly the label of a workload is a slip, whatever else is in the namespace.
        if maker is not None and not meant_labels(requirement, [end.labels for end in members], near=True):
            return _Unknown("unsupported", f"{maker.ref} may make pods in {where}")
        meant = meant_labels(requirement, [end.labels for end in members])
        prefix = requirement.key.rpartition("/")[0]
        if not meant and prefix and prefix not in self.prefixes:
            return _elsewhere(f"label {requirement.key} may be given to pods by an operator")
        words = f"no workload of {where} has {wanted_label(requirement)}"
        if any(requirement.holds(end.labels) for end in members):
            words, meant = f"no workload of {where} has {pods.pods} together", ""
        return _Miss((*pods.pods_path, *requirement.path), words + meant)

    def _namespaces(self, pods: PodSet, selector: Selector) -> _Miss | _Unknown | None:
        """Why a namespace selector selects no namespace."""
        spaces = list(self.net.namespaces.values())
        declared = [space for space in spaces if space.obj is not None]
        if selector.invalid or all(r.operator in ("NotIn", "DoesNotExist") for r in selector.requirements):
            return None
        requirement = unmet_requirement(selector, [space.labels for space in spaces])
        path = (*pods.namespaces_path, *requirement.path)
        if requirement.key == METADATA_NAME:
            listed = shown(sorted(requirement.values))
            return _elsewhere(f"namespace {listed} is not among the inputs")
        owner = next((space for space in declared if requirement.values == {space.name}), None)
        if owner is not None and requirement.operator == "In" and _OF_A_NAME.search(requirement.key):
            # Who writes a namespace's name as a name means that namespace.
            return _Miss(
                path,
                f"no namespace has {wanted_label(requirement)}, which nothing sets by itself: namespace {owner.name}"
                f" has {METADATA_NAME}={owner.name} from the API server",
            )
        meant = meant_labels(requirement, [_own_labels(space) for space in declared], near=True)
        if meant:
            return _Miss(path, f"no namespace has {wanted_label(requirement)}{meant}")
        if self.undeclared:
            return _undeclared(self.undeclared)
        return _elsewhere(f"no namespace with {selector} is among the inputs")


def _undeclared(spaces: Sequence[str]) -> _Unknown:
    plural = "s" if len(spaces) > 1 else ""
    detail = f"the labels of namespace{plural} {shown(spaces)} are not known"
    return _Unknown("unknown-namespace-labels", detail, told=False)


def _own_labels(space: Namespace) -> Mapping[str, str]:
    return {key: value for key, value in space.labels.items() if key != METADATA_NAME}


@check("policy-selects-nothing")
def policy_selects_nothing(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    labels = _Labels(net, inventory)
    for policy in net.policies:
        if policy.refused or policy.tier != "namespace":
            continue
        found = labels.subject(policy)
        if isinstance(found, _Miss):
            yield Violation(found.path, f"{policy} selects nothing: {found.words}", obj=policy.obj)
        elif found is None:
            yield Passed(policy.obj)
        elif found.told:
            yield NotJudged(found.reason, f"{policy} selects nothing here: {found.detail}", policy.obj)


@check("policy-peer-matches-nothing")
def policy_peer_matches_nothing(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    labels = _Labels(net, inventory)
    for policy in net.policies:
        if policy.refused:
            continue
        clean = True
        for direction, _, peer in _peers(policy):
            if peer.pods is None:
                continue
            found = labels.peer(peer.pods)
            clean = clean and found is None
            if isinstance(found, _Miss):
                side = "from" if direction == "ingress" else "to"
                yield Violation(found.path, f"{policy} opens nothing {side} this peer: {found.words}", obj=policy.obj)
            elif found is not None and found.told:
                yield NotJudged(found.reason, f"{policy}: {found.detail}", policy.obj)
        if clean:
            yield Passed(policy.obj)


def _peers(policy: Policy) -> Iterator[tuple[Direction, Rule, Peer]]:
    for direction in policy.directions:
        for rule in policy.rules[direction]:
            for peer in rule.peers or ():
                yield direction, rule, peer


# --- ports ---

#: Ports of the proxies that meshes add to pods (Istio: 150xx; Linkerd: 4143, 4191): no template declares them.
_PROXIES = frozenset({4143, 4191, *range(15000, 15100)})


def _destinations(net: Connectivity, policy: Policy, direction: Direction, rule: Rule) -> list[Workload]:
    """The workloads that a rule's ports are of, where all of these are among the inputs; none where they may not be."""
    if direction == "ingress":
        return net.selected(policy.subject)
    found: list[Workload] = []
    for peer in rule.peers or ():
        chosen = net.selected(peer.pods) if peer.pods is not None and not peer.pods.pods.everything else []
        if not chosen:
            return []
        found += chosen
    return found


#: What these call their ports, which meshes' documents have policies open to Prometheus and to linkerd-viz.
_PROXY_PORTS = frozenset({"http-envoy-prom", "linkerd-admin", "linkerd-proxy"})

#: Where an entry of ``ports`` says its port, the entry, and the workloads that the port is of.
_Entry = tuple[Path, Mapping[str, object], list[Workload]]


def _judged_ports(net: Connectivity) -> Iterator[tuple[Policy, list[_Entry]]]:
    """NetworkPolicies with the entries of ``ports`` in their rules, and the workloads that these are of."""
    for policy in net.policies:
        if policy.tier != "namespace" or policy.refused:
            continue
        entries: list[_Entry] = []
        for direction in policy.directions:
            for rule in policy.rules[direction]:
                ends = _destinations(net, policy, direction, rule)
                for number, entry in enumerate(items(policy.obj.get(*rule.path, "ports"))):
                    if ends:
                        entries.append(((*rule.path, "ports", number, "port"), mapping(entry), ends))
        yield policy, entries


@check("policy-port-without-listener")
def policy_port_without_listener(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Declaring ports is optional, so only workloads that do are judged, and the finding is no certainty."""
    for policy, entries in _judged_ports(connectivity(inventory)):
        clean = True
        for path, entry, ends in entries:
            port, protocol = entry.get("port"), entry.get("protocol") or "TCP"
            if not isinstance(port, int) or entry.get("endPort") is not None or port in _PROXIES:
                continue
            declared = [(of.number, of.protocol) for end in ends for of in end.ports]
            if (port, protocol) in declared or not all(end.ports for end in ends):
                continue
            clean = False
            message = f"{policy} opens {protocol} {port}, which none of {shown(names(ends))} declares"
            yield Violation(path, f"{message}: {_declared(ends)}", obj=policy.obj)
        if clean:
            yield Passed(policy.obj)


def _may_be_meshed(net: Connectivity, end: Workload) -> bool:
    """Whether a mesh may add its proxy to pods: labels or annotations of the pods, of what makes them, or of their
    namespace say so, or the namespace is not among the inputs."""
    space = net.namespaces[end.namespace].obj
    if space is None:
        return True
    places = [("metadata", field) for field in ("labels", "annotations")]
    said = [space.get(*place) for place in places]
    said += [end.obj.get(*of, *place) for place in places for of in ((), ("spec", "template"))]
    return any(
        (key == "istio-injection" or str(key).partition("/")[0].endswith(("istio.io", "linkerd.io")))
        and value not in ("disabled", "false")
        for one in said
        for key, value in mapping(one).items()
    )


def _is_open(entry: Mapping[str, object], ends: Iterable[Workload]) -> bool:
    """Whether an entry of ``ports`` has a number, or a name that the pods know."""
    port, protocol = entry.get("port"), entry.get("protocol") or "TCP"
    return not isinstance(port, str) or any((port, protocol) == (of.name, of.protocol) for e in ends for of in e.ports)


@check("policy-named-port-unresolved")
def policy_named_port_unresolved(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    for policy, entries in _judged_ports(net):
        clean = True
        working = {path[:-2] for path, entry, ends in entries if _is_open(entry, ends)}
        for path, entry, ends in entries:
            port, protocol = entry.get("port"), entry.get("protocol") or "TCP"
            declared = {(of.name, of.protocol) for end in ends for of in end.ports}
            if not isinstance(port, str) or (port, protocol) in declared:
                continue
            if port in _PROXY_PORTS and any(_may_be_meshed(net, end) for end in ends):
                continue
            clean = False
            known = sorted({name for name, _ in declared if name})
            close = nearest_name(port, known)
            meant = f"is {close} meant?" if close is not None else _declared(ends)
            if close == port:
                meant = f"they name it for {'UDP' if protocol == 'TCP' else 'TCP'}"
            by_it = " by this port" if path[:-2] in working else ""
            message = f"{policy} opens nothing{by_it}: none of {shown(names(ends))} has a {protocol} port named {port}"
            yield Violation(path, f"{message}; {meant}", obj=policy.obj)
        if clean:
            yield Passed(policy.obj)


def _declared(ends: Iterable[Workload]) -> str:
    listed = sorted({(port.number, port.protocol, port.name) for end in ends for port in end.ports})
    texts = [f"{protocol} {number}{f' ({name})' if name else ''}" for number, protocol, name in listed]
    return f"they declare {shown(texts)}" if texts else "they declare no port"


# --- what could go ---


@check("policy-redundant")
def policy_redundant(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    found = {(id(one.policy), one.path): one for one in redundant(net, inventory)}
    concerned = {policy for policy, _ in found}
    for one in found.values():
        others = [str(policy) for policy in one.by]
        if one.by == (one.policy,):
            message = f"a rule of {one.policy} has no effect: an earlier one decides all that it is about"
        else:
            message = f"{one.policy} changes nothing: {shown(others)} select the same pods and open the same"
        related = tuple((f"{policy} covers it", policy.obj, policy.subject_path) for policy in one.by[:3])
        yield Violation(one.path, message, obj=one.policy.obj, related=related)
    for policy in net.policies:
        if id(policy) not in concerned and not policy.refused:
            yield Passed(policy.obj)
