"""What the mesh encrypts: modes of PeerAuthentications, and clients that send something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kubeassay.analysis.mesh.client_tls import Call, ClientRule, ClientTls, TlsSetting, client_tls
from kubeassay.analysis.mesh.mtls import Decision, Mtls, PeerAuthentication, WorkloadMtls, mtls
from kubeassay.analysis.mesh.settings import LINKERD_GROUPS, Place
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.judgements import by_namespace
from kubeassay.analysis.network.makers import makers_of
from kubeassay.analysis.network.services import Service, ServicePort
from kubeassay.analysis.network.workloads import CONTROLLER_LABELS, unknown_workloads
from kubeassay.checks.check import Context, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.mesh_membership import is_of_mesh, not_known, of_undeclared
from kubeassay.checks.network_common import is_one_of, names, shown
from kubeassay.model import Inventory, Object, Path


@dataclass(slots=True)
class _Lacking:
    """What one place, or the lack of one, leaves without STRICT. ``default``: nothing decides."""

    decision: Decision
    workloads: list[str] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)


@check("mtls-not-strict")
def mtls_not_strict(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Ports that accept plain text, told where it is decided. Mode DISABLE is another rule's."""
    found = mtls(inventory)
    patterns, excluded = context.parameters["namespaces"], context.parameters["excluded_namespaces"]
    known = found.root_is_known
    lacking: dict[tuple[int, Path], _Lacking] = {}
    places: dict[tuple[int, Path], Place] = {}
    for workload in found.workloads:
        if is_one_of(workload.namespace, excluded) or (patterns and not is_one_of(workload.namespace, patterns)):
            continue
        state = found.of(workload)
        if state.membership.kind in ("unknown", "proxyless"):
            # Without Istio what is not known is at most what Linkerd does.
            shown_here = found.settings.present or state.membership.reason == "unsupported"
            if patterns or (shown_here and not is_of_mesh(found.memberships, workload)):
                yield not_known(workload, state.membership)
            continue
        if not state.membership.captured:
            continue
        clean, told = True, False
        for number, decision in _decisions(state):
            if decision.mode == "STRICT":
                continue
            clean = False
            if decision.mode is None:
                if decision.perhaps and not told:
                    told = True
                    yield NotJudged(decision.reason, f"{_port_of(workload, number)}: {decision.unknown}", workload.obj)
                continue
            if decision.mode == "DISABLE":
                continue
            if decision.level == "default" and not known:
                if not told:
                    told = True
                    words = f"no PeerAuthentication among the inputs decides for {workload}; the mesh may have one"
                    yield NotJudged("no-objects", words, workload.obj)
                continue
            place = decision.place or _nothing_decides(found, workload)
            key = (id(place[0]), place[1])
            places[key] = place
            one = lacking.setdefault(key, _Lacking(decision))
            one.workloads.append(workload.name)
            one.ports |= {number} if number is not None else set()
        if clean:
            yield Passed(workload.obj)
    for key, one in lacking.items():
        obj, path = places[key]
        yield Violation(path, _lacks(one), obj=obj)
    for obj in inventory:
        if obj.ref.group in LINKERD_GROUPS:
            yield NotJudged("unsupported", f"{obj.ref} is Linkerd's, whose mTLS is not evaluated", obj)


def _decisions(state: WorkloadMtls) -> Iterator[tuple[int | None, Decision]]:
    """The decisions for a workload's ports, those that pass by the proxy left out; of one without ports, its own."""
    if not state.ports:
        yield None, state.default
    for port in state.ports:
        if port.bypass is None:
            yield port.number, port.decision


def _port_of(workload: Workload, number: int | None) -> str:
    return str(workload) if number is None else f"port {number} of {workload}"


def _nothing_decides(found: Mtls, workload: Workload) -> Place:
    """Where a finding points when no policy decides: the namespace that has none."""
    space = found.memberships.space_of(workload).obj
    return (space, ("metadata", "name")) if space is not None else (workload.obj, ("metadata", "namespace"))


def _lacks(one: _Lacking) -> str:
    concerned = shown(list(dict.fromkeys(one.workloads)))
    if one.decision.policy is None:
        return f"no PeerAuthentication decides for {concerned}: mode PERMISSIVE accepts plain text"
    on = f" on port {shown([str(port) for port in sorted(one.ports)])}" if one.decision.level == "port" else ""
    said = one.decision.policy.mode if one.decision.level != "port" else "PERMISSIVE"
    return f"{one.decision.policy} has mode {said or 'unset'}: {concerned} accepts plain text{on}"


@check("mtls-mode-disabled")
def mtls_mode_disabled(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in mtls(inventory).policies:
        clean = True
        if policy.mode == "DISABLE":
            clean = False
            scope = _scope(policy, mtls(inventory))
            yield Violation(policy.place[1], f"{policy} turns mTLS off for {scope}", obj=policy.obj)
        for port, mode in policy.ports.items():
            if mode == "DISABLE":
                clean = False
                path = policy.port_place(port)[1]
                yield Violation(path, f"{policy} turns mTLS off for port {port}", obj=policy.obj)
        if clean and policy.refused is None:
            yield Passed(policy.obj)


def _scope(policy: PeerAuthentication, found: Mtls) -> str:
    if not policy.selects_all:
        return "the workloads that it selects"
    if policy.namespace == found.settings.root_namespace:
        return "the whole mesh"
    return f"namespace {policy.namespace}"


# --- policies that do not say what was meant ---


@check("peer-authentication-refused")
def peer_authentication_refused(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in mtls(inventory).policies:
        if policy.refused is None:
            yield Passed(policy.obj)
        else:
            words, path = policy.refused
            yield Violation(path, f"an API server refuses {policy}: {words}", obj=policy.obj)


@check("peer-authentication-without-effect")
def peer_authentication_without_effect(inventory: Inventory, context: Context) -> Iterator[Said]:
    found = mtls(inventory)
    if not found.policies:
        return
    root = found.settings.root_namespace
    members = by_namespace(found.memberships.workloads)
    unknown = {obj.ref.namespace or "default": obj for obj, _ in unknown_workloads(inventory)}
    makers = makers_of(inventory)
    known = found.root_is_known
    weak = [
        state
        for workload in found.workloads
        if (state := found.of(workload)).membership.captured
        and state.default.mode not in ("STRICT", None)
        and (known or state.default.level != "default")
    ]
    selecting = {policy for workload in found.workloads for policy in found.selecting(workload)}
    pairs = {(workload.namespace, *pair) for workload in found.workloads for pair in workload.labels.items()}
    for policy in found.policies:
        if policy.refused is not None:
            continue
        if policy.namespace == root:
            if policy.selects_all:
                yield Passed(policy.obj)
            else:
                words = f"{policy} selects workloads in the root namespace, where Istio ignores it"
                yield Violation(("spec", "selector"), words, obj=policy.obj)
            continue
        inside = members.get(policy.namespace, [])
        if policy.selects_all:
            yield from _of_namespace(policy, inside, weak, unknown)
            continue
        if policy in selecting:
            yield Passed(policy.obj)
            continue
        if not inside:
            # What runs there is somewhere else.
            continue
        maker = unknown.get(policy.namespace) or makers.of(policy.namespace)
        if maker is not None:
            yield NotJudged("unsupported", f"{policy} selects nothing here; {maker.ref} may make pods", policy.obj)
            continue
        unmet = _unmet(policy, inside, pairs)
        if unmet in CONTROLLER_LABELS or unmet.startswith(("istio.io/", "topology.kubernetes.io/")):
            yield NotJudged("unsupported", f"{policy}: label {unmet} is given to pods when they are made", policy.obj)
            continue
        wanted = f"{unmet}={policy.selector[unmet]}"
        values = sorted({w.labels[unmet] for w in inside[:_COMPARED] if unmet in w.labels})
        there = (
            f"; there {'is' if len(values) == 1 else 'are'} {shown([f'{unmet}={v}' for v in values])}" if values else ""
        )
        words = f"{policy} applies to nothing: no workload of namespace {policy.namespace} has label {wanted}{there}"
        yield Violation(("spec", "selector", "matchLabels", unmet), words, obj=policy.obj)


#: Of how many workloads the one is sought that a selector nearly selects.
_COMPARED = 200


def _unmet(policy: PeerAuthentication, inside: Sequence[Workload], pairs: set[tuple[str, str, str]]) -> str:
    """The label that the workload with most of the others lacks. ``pairs``: namespace, key and value of all labels."""
    some = inside[:_COMPARED]
    nearest = max(some, key=lambda w: sum(w.labels.get(key) == value for key, value in policy.selector.items()))
    unmet = [key for key, value in policy.selector.items() if nearest.labels.get(key) != value]
    # One that nothing has is the mistake, before one that another workload has.
    return min(unmet, key=lambda key: (policy.namespace, key, policy.selector[key]) in pairs)


def _of_namespace(
    policy: PeerAuthentication,
    inside: Sequence[Workload],
    weak: Sequence[WorkloadMtls],
    unknown: dict[str, Object],
) -> Iterator[Said]:
    """A policy for a namespace without workloads, while those elsewhere lack what it demands, is in the wrong place."""
    if inside or policy.namespace in unknown:
        yield Passed(policy.obj)
        return
    elsewhere = [state for state in weak if state.workload.namespace != policy.namespace]
    if policy.mode != "STRICT" or not elsewhere:
        yield Passed(policy.obj)
        return
    spaces = list(dict.fromkeys(state.workload.namespace for state in elsewhere))
    words = (
        f"{policy} is STRICT for namespace {policy.namespace} alone, where no workload among the inputs lives: those of"
        f" namespace{'s' if len(spaces) > 1 else ''} {shown(spaces)} accept plain text"
    )
    yield Violation(("metadata", "namespace"), words, obj=policy.obj)


@check("port-mtls-without-effect")
def port_mtls_without_effect(inventory: Inventory, context: Context) -> Iterator[Said]:
    """portLevelMtls for ports that no workload serves. Declaring ports is optional, so where a workload declares none,
    nothing is said."""
    found = mtls(inventory)
    selected: dict[PeerAuthentication, list[WorkloadMtls]] = defaultdict(list)
    for workload in found.workloads:
        for policy in found.workload_policies(workload):
            selected[policy].append(found.of(workload))
    targets: dict[tuple[Workload, int], tuple[Service, int]] = {}
    for service in found.services.by_object.values():
        for port_of_service in service.ports:
            for target in port_of_service.targets:
                targets.setdefault((target.workload, port_of_service.number), (service, target.port))
    for policy in found.policies:
        states = selected.get(policy, [])
        if not policy.ports or policy.selects_all or not states or not all(state.ports for state in states):
            continue
        served = {port.number for state in states for port in state.ports}
        clean = True
        for port in policy.ports:
            if port in served:
                continue
            clean = False
            workloads = shown(names(state.workload for state in states))
            meant = _meant(targets, states, port)
            listed = meant or f"; they serve {shown([str(number) for number in sorted(served)])}"
            words = f"{policy} sets a mode for port {port}, which {workloads} does not serve{listed}"
            path: Path = ("spec", "portLevelMtls", policy.keys[port])
            yield Violation(path, words, obj=policy.obj, key=True)
        if clean:
            yield Passed(policy.obj)


def _meant(
    targets: Mapping[tuple[Workload, int], tuple[Service, int]], states: Sequence[WorkloadMtls], port: int
) -> str:
    """The workload's port behind a Service's port of this number. ``targets``: by workload and the Service's port."""
    for state in states:
        found = targets.get((state.workload, port))
        if found is not None:
            return f"; {found[0]} leads port {port} to {found[1]}, which is meant here"
    return ""


@check("peer-authentication-conflict")
def peer_authentication_conflict(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Several policies at one level, of which one counts."""
    found = mtls(inventory)
    groups: dict[str, list[PeerAuthentication]] = defaultdict(list)
    for policy in found.policies:
        if policy.selects_all:
            groups[policy.namespace].append(policy)
    concerned: set[int] = set()
    for namespace, policies in groups.items():
        what = "the mesh" if namespace == found.settings.root_namespace else f"namespace {namespace}"
        yield from _conflict(policies, what, concerned)
    for workload in found.workloads:
        yield from _conflict(found.workload_policies(workload), str(workload), concerned)
    for policy in found.policies:
        if id(policy) not in concerned and policy.refused is None:
            yield Passed(policy.obj)


def _conflict(policies: Sequence[PeerAuthentication], what: str, concerned: set[int]) -> Iterator[Said]:
    distinct = {policy.name: policy for policy in policies}
    if len(distinct) < 2:
        return
    ordered = sorted(distinct.values(), key=lambda policy: (policy.created, policy.name))
    first, *others = ordered
    dated = all(policy.created for policy in ordered)
    for policy in others:
        if id(policy) in concerned:
            continue
        concerned.update((id(policy), id(first)))
        if dated:
            words = f"{policy} is ignored for {what}: {first.name} is older"
        else:
            words = f"of {policy} and {first.name}, both for {what}, Istio takes the older alone"
        related = ((f"{first} is for {what}, too", first.obj, ("metadata", "name")),)
        yield Violation(("metadata", "name"), words, obj=policy.obj, related=related)


# --- clients ---


@check("destination-rule-disables-tls")
def destination_rule_disables_tls(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Rules by which clients in the mesh send plain text to a Service whose pods take mTLS, or ought to."""
    found = client_tls(inventory)
    demanded = context.parameters["namespaces"]
    seen: dict[int, list[Service]] = defaultdict(list)
    counting: set[tuple[int, Path]] = set()
    unsure: set[int] = set()
    for service in found.services.by_object.values():
        governing = list(dict.fromkeys(rule for _, rule in found.governing(service)))
        for of_rule in {id(obj) for rule in governing for obj in rule.objects}:
            seen[of_rule].append(service)
        for rule in governing:
            # Of rules of one host, the policy of the oldest counts.
            counting.update((id(setting.place[0]), setting.place[1]) for setting in _settings(rule))
            unsure.update(id(obj) for obj in rule.objects if rule.unsure)
    for rule in found.rules:
        settings = [setting for setting in _settings(rule) if setting.mode == "DISABLE"]
        obj = rule.objects[0]
        if not settings:
            yield Passed(obj)
            continue
        services = seen.get(id(obj), [])
        concerned = [service for service in services if _ought_to_be_encrypted(found, service, demanded)]
        if concerned and id(obj) in unsure:
            words = f"of {rule} and others for {rule.host} the oldest counts, and manifests do not say which that is"
            yield NotJudged("unknown-order", words, obj)
        elif concerned:
            for setting in settings:
                if (id(setting.place[0]), setting.place[1]) not in counting:
                    continue
                words = f"clients send plain text to {shown([str(service) for service in concerned])} by {rule}"
                yield Violation(setting.place[1], words, obj=obj)
        elif rule.host == f"kubernetes.default.svc.{found.settings.cluster_domain}":
            # The API server is in no mesh.
            yield Passed(obj)
        elif not services and rule.host.endswith((f".svc.{found.settings.cluster_domain}", ".local", "*")):
            yield NotJudged("unknown-peer", f"{rule} turns TLS off for {rule.host}, which is not among the inputs", obj)
        else:
            unknown = next(
                (w for s in services for w in s.workloads if found.mtls.of(w).membership.kind == "unknown"), None
            )
            if unknown is None:
                yield Passed(obj)
            elif not of_undeclared(found.mtls.of(unknown).membership.reason, context):
                yield not_known(unknown, found.mtls.of(unknown).membership)


def _ought_to_be_encrypted(found: ClientTls, service: Service, demanded: Sequence[str]) -> bool:
    if is_one_of(service.namespace, demanded):
        return True
    return any(found.mtls.of(workload).membership.captured for workload in service.workloads)


def _settings(rule: ClientRule) -> Iterator[TlsSetting]:
    """The TLS settings that a rule states, of ports and subsets, too."""
    for policy in (rule.policy, *rule.subsets.values()):
        if policy is not None:
            yield from policy.settings


@check("client-tls-contradicts-mtls")
def client_tls_contradicts_mtls(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Calls that fail, because what a DestinationRule or automatic mTLS makes clients send is not what pods accept."""
    found = client_tls(inventory)
    told: set[tuple[int, Path]] = set()
    failing: set[int] = set()
    governing_some: set[int] = set()
    unknown: dict[int, NotJudged] = {}
    for service in found.services.by_object.values():
        governing = list(found.governing(service))
        rules: list[ClientRule | None] = list(dict.fromkeys(rule for _, rule in governing))
        if all(scope is not None or rule.selector is not None for scope, rule in governing):
            # Whoever sees none of the rules sends by automatic mTLS.
            rules.append(None)
        for rule in rules:
            for port, call in _calls(found, rule, service):
                place = call.client or call.server
                for obj in rule.objects if rule is not None else ():
                    governing_some.add(id(obj))
                    if call.result == "unknown":
                        unknown.setdefault(id(obj), NotJudged(call.reason or "unsupported", call.words, obj))
                if call.result != "fails" or place is None:
                    continue
                key = (id(place[0]), place[1])
                failing.update(id(obj) for obj in (rule.objects if rule is not None else ()))
                if key in told:
                    continue
                told.add(key)
                words = f"calls to port {port.number} of {service} fail: {call.words}"
                related = (("what is accepted", *call.server),) if call.server is not None and call.client else ()
                yield Violation(place[1], words, obj=place[0], related=related)
    for rule in found.rules:
        obj = rule.objects[0]
        if id(obj) in failing or id(obj) not in governing_some:
            continue
        unsure = unknown.get(id(obj))
        # What sends as the server is served contradicts nothing, whatever that is.
        if unsure is None or not any(_settings(rule)):
            yield Passed(obj)
        elif not of_undeclared(unsure.reason, context):
            yield unsure


def _calls(found: ClientTls, rule: ClientRule | None, service: Service) -> Iterator[tuple[ServicePort, Call]]:
    subsets = ("", *rule.subsets) if rule is not None else ("",)
    for port in service.ports:
        if port.protocol != "TCP":
            continue
        for target in port.targets:
            if found.mtls.memberships.of(target.workload).kind == "ambient":
                # Ztunnel takes what its peer sends, whatever a rule says.
                continue
            for subset in subsets:
                yield port, found.by_rule(rule, service, port, target, subset)
