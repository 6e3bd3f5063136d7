"""AuthorizationPolicies and RequestAuthentications that do not say what was meant."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.fields import nearest_name
from kubeassay.analysis.mesh.authorization import (
    DRY_RUN,
    GATEWAY_NAME,
    Action,
    Attached,
    Policies,
    Policy,
    authorization,
)
from kubeassay.analysis.mesh.authorization_rules import (
    LOCAL,
    NAMESPACE,
    PORT,
    PRINCIPAL,
    SERVICE_ACCOUNT,
    Rule,
    Term,
    TrustDomains,
    is_http,
    unknown_to_ztunnel,
)
from kubeassay.analysis.mesh.callers import needs_identity, said
from kubeassay.analysis.mesh.covering import covers
from kubeassay.analysis.mesh.membership import memberships
from kubeassay.analysis.mesh.mtls import Mtls, WorkloadMtls, mtls
from kubeassay.analysis.mesh.request_authentication import request_authentications, token_required
from kubeassay.analysis.mesh.settings import mesh_settings
from kubeassay.analysis.mesh.waypoints import waypoints
from kubeassay.analysis.network.endpoints import DEFAULT_NAMESPACE, Workload, namespace_of
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES, by_namespace, unknown_pods
from kubeassay.analysis.network.services import ServicePort, services
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import mapping, string
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Repair, Said, Violation, check
from kubeassay.checks.mesh_membership import of_undeclared
from kubeassay.checks.network_common import is_one_of, names, shown
from kubeassay.model import Inventory, Object, Path

#: More sources than anybody writes by hand: above, pairs are not compared.
_MANY = 200
#: Texts that YAML takes for texts without quotes.
_PLAIN = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z][A-Za-z0-9_./-]*")


def _in_effect(policies: Policies) -> Iterator[Policy]:
    """The policies that other rules judge: one that is refused is another finding."""
    return (policy for policy in policies.all if not policy.refused)


def _all_terms(policy: Policy) -> Iterator[Term]:
    for rule in policy.rules:
        for terms in (*rule.sources, *rule.operations):
            yield from terms.terms


# --- one policy by itself ---


@check("authorization-policy-refused")
def authorization_policy_refused(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in authorization(inventory).all:
        for problem in policy.refused:
            yield Violation(problem.path, f"Istio refuses {policy}: {problem.words}", obj=policy.obj)
        if not policy.refused:
            yield Passed(policy.obj)
    for one in request_authentications(inventory):
        for problem in one.refused:
            yield Violation(problem.path, f"Istio refuses {one}: {problem.words}", obj=one.obj)
        if not one.refused:
            yield Passed(one.obj)


@check("authorization-policy-allows-everything")
def authorization_policy_allows_everything(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _open_rules(inventory, "ALLOW", "it allows everybody everything")


@check("authorization-policy-denies-everything")
def authorization_policy_denies_everything(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _open_rules(inventory, "DENY", "it denies all that other policies allow")


def _open_rules(inventory: Inventory, action: Action, effect: str) -> Iterator[Said]:
    """The rules that match every request, of the policies with an action."""
    for policy in _in_effect(authorization(inventory)):
        if policy.action != action:
            continue
        open_rules = [rule for rule in policy.rules if rule.matches_everything]
        for rule in open_rules:
            yield Violation(rule.path, f"a rule of {policy} matches every request, so {effect}", obj=policy.obj)
        if not open_rules:
            yield Passed(policy.obj)


@check("authorization-policy-dry-run")
def authorization_policy_dry_run(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in _in_effect(authorization(inventory)):
        if policy.dry_run:
            words = f"{policy} is a dry run: it is logged and not enforced"
            yield Violation(("metadata", "annotations", DRY_RUN), words, obj=policy.obj)
        else:
            yield Passed(policy.obj)


@check("authorization-policy-separate-rules")
def authorization_policy_separate_rules(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Operations that name paths, hosts or ports are left out: to open a health check to everybody is common, and
    meant."""
    for policy in _in_effect(authorization(inventory)):
        if policy.action != "ALLOW":
            continue
        callers = [rule for rule in policy.rules if _only_source(rule)]
        operations = [rule for rule in policy.rules if _only_operation(rule)]
        if not callers or not operations:
            yield Passed(policy.obj)
            continue
        joined = _joined(policy, callers[0], operations[0])
        for rule in operations:
            what = " or ".join(said(operation.terms, "everything") for operation in rule.operations)
            yield Violation(
                rule.operations[0].terms[0].path,
                f"{policy} lets any caller use {what}: this rule has no from, and rules are alternatives, so what"
                f" rules[{callers[0].path[-1]}] says of callers does not restrict it; if both are meant to hold, they"
                f" are one rule: {joined}",
                obj=policy.obj,
                related=(("the rule about callers", policy.obj, callers[0].path),),
                repair=_joining(rule, callers),
            )
        for rule in callers:
            who = " or ".join(said(source.terms, "anyone") for source in rule.sources)
            yield Violation(
                rule.sources[0].terms[0].path,
                f"{policy} lets {who} use everything: this rule has no to, and rules are alternatives, so what"
                f" rules[{operations[0].path[-1]}] says of operations does not restrict it; if both are meant to"
                f" hold, they are one rule: {joined}",
                obj=policy.obj,
                related=(("the rule about operations", policy.obj, operations[0].path),),
                repair=_joining(rule, operations),
            )


def _joining(rule: Rule, others: Sequence[Rule]) -> Repair | None:
    """A rule without its dash, which joins it with the one that it stands right behind."""
    behind = any(rule.path[:-1] == o.path[:-1] and rule.path[-1] == int(o.path[-1]) + 1 for o in others)
    return Repair("join", rule.path) if behind else None


def _only_source(rule: Rule) -> bool:
    return (
        not rule.unknown
        and all(source.stated and source.terms for source in rule.sources)
        and not any(operation.terms for operation in rule.operations)
    )


def _only_operation(rule: Rule) -> bool:
    return (
        not rule.unknown
        and not any(source.terms for source in rule.sources)
        and all(
            operation.stated
            and operation.terms
            and not any(term.values for term in operation.terms if term.attribute != "methods")
            for operation in rule.operations
        )
    )


def _joined(policy: Policy, callers: Rule, operations: Rule) -> str:
    first, second = mapping(policy.obj.get(*callers.path)), mapping(policy.obj.get(*operations.path))
    return _flow({"from": first.get("from"), "to": second.get("to")})


def _flow(value: Any) -> str:
    """A value as one writes it in YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


@check("authorization-policy-source-covered")
def authorization_policy_source_covered(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in _in_effect(authorization(inventory)):
        if policy.action != "ALLOW":
            continue
        stated = [(rule, source) for rule in policy.rules if not rule.unknown for source in rule.sources]
        if len(stated) > _MANY:
            yield NotJudged("unsupported", f"{policy} has {len(stated)} sources, too many to compare", policy.obj)
            continue
        clean = True
        for number, (rule, source) in enumerate(stated):
            # A policy that allows everything is another finding.
            if not source.terms or not source.stated:
                continue
            broader = next(
                (
                    other
                    for index, (of, other) in enumerate(stated)
                    if index != number
                    and other.stated
                    and other.terms
                    and covers(other, source)
                    and _operations_cover(of, rule)
                    and not (index > number and covers(source, other) and _operations_cover(rule, of))
                ),
                None,
            )
            if broader is None:
                continue
            clean = False
            yield Violation(
                _value_place(source.terms[0]),
                f"{said(source.terms, 'anyone')} restricts nothing: sources and rules are alternatives, and"
                f" {said(broader.terms, 'anyone')} is allowed to do the same beside it; in one source both must hold",
                obj=policy.obj,
                related=(("what allows more", policy.obj, broader.terms[0].path),),
            )
        if clean:
            yield Passed(policy.obj)


def _operations_cover(broad: Rule, narrow: Rule) -> bool:
    if broad is narrow or any(not operation.terms for operation in broad.operations):
        return True
    return all(any(covers(b, n) for b in broad.operations) for n in narrow.operations)


def _value_place(term: Term) -> Path:
    values = term.values or term.not_values
    return values[0].path if len(values) == 1 else term.path


# --- what policies select ---


def _workloads_by_policy(inventory: Inventory) -> dict[int, list[Workload]]:
    """id of a policy → the workloads that it is attached to, whatever it is; outside the mesh it has no effect."""
    found: dict[int, list[Workload]] | None = inventory.facts.get(_workloads_by_policy)
    if found is None:
        found = defaultdict(list)
        policies = authorization(inventory)
        for workload in workloads(inventory):
            for policy in policies.selecting(workload.namespace, workload.labels):
                found[id(policy)].append(workload)
        inventory.facts[_workloads_by_policy] = found
    return found


#: Group and kind of what a policy can be attached to → the group that its objects have.
_TARGETS = {
    ("", "Service"): "",
    ("core", "Service"): "",
    ("gateway.networking.k8s.io", "Gateway"): "gateway.networking.k8s.io",
    ("networking.istio.io", "ServiceEntry"): "networking.istio.io",
}


@check("authorization-policy-selects-nothing")
def authorization_policy_selects_nothing(inventory: Inventory, context: Context) -> Iterator[Said]:
    root = mesh_settings(inventory).root_namespace
    selected = {id(policy) for policy in authorization(inventory).all if id(policy) in _workloads_by_policy(inventory)}
    members: dict[str, list[Workload]] = defaultdict(list)
    for workload in workloads(inventory):
        members[workload.namespace].append(workload)
    unknown = unknown_pods(inventory)
    for policy in _in_effect(authorization(inventory)):
        obj, namespace = policy.obj, policy.namespace
        if policy.target_refs:
            clean = True
            for ref in policy.target_refs:
                group = _TARGETS.get((ref.group, ref.kind))
                if group is None or inventory.nearest(group, ref.kind, obj.ref.namespace, ref.name, obj.file):
                    continue
                clean = False
                words = f"{policy} is attached to {ref.kind} {namespace}/{ref.name}, which is not among the inputs"
                if any(namespace_of(other) == namespace for other in inventory.of_kind(ref.kind, group)):
                    yield Violation((*ref.path, "name"), words, obj=obj)
                else:
                    yield NotJudged("unknown-peer", words, obj)
            if clean:
                yield Passed(obj)
            continue
        if id(policy) in selected or not policy.selector:
            yield Passed(obj)
            continue
        spaces = sorted(members) if namespace == root else [namespace]
        there = [workload for space in spaces for workload in members.get(space, ())]
        wanted = ", ".join(f"{label}={value}" for label, value in policy.selector.items())
        words = f"{policy} selects no workload: none has pods with {wanted}"
        maker = next((unknown[space] for space in spaces if space in unknown), None)
        if not there or namespace in SYSTEM_NAMESPACES:
            yield NotJudged("unknown-peer", f"no workload of namespace {namespace} is among the inputs", obj)
        elif maker is not None:
            yield NotJudged("unsupported", f"{words}, and {maker.ref} makes pods that are not known", obj)
        elif GATEWAY_NAME in policy.selector or namespace == root:
            # Gateways, and the rest of the mesh, are often installed from elsewhere.
            yield NotJudged("unknown-peer", words, obj)
        else:
            label = next(
                (key for key, value in policy.selector.items() if all(w.labels.get(key) != value for w in there)), None
            )
            path: Path = ("spec", "selector", "matchLabels")
            yield Violation(path if label is None else (*path, label), words, obj=obj)


@check("authorization-policy-not-enforced")
def authorization_policy_not_enforced(inventory: Inventory, context: Context) -> Iterator[Said]:
    members = memberships(inventory)
    selected = _workloads_by_policy(inventory)
    for policy in _in_effect(authorization(inventory)):
        if policy.action == "CUSTOM" and not policy.target_refs:
            served = [w for w in selected.get(id(policy), ()) if members.of(w).kind == "ambient"]
            if served:
                words = f"{policy} is not enforced at {shown(names(served))}: ztunnel asks no external authorizer"
                yield Violation(("spec", "action"), words, obj=policy.obj)
                continue
        # A policy of a whole namespace, or of the mesh, means what is in the mesh.
        if not policy.selector or policy.namespace == mesh_settings(inventory).root_namespace:
            continue
        found = [(workload, members.of(workload)) for workload in selected.get(id(policy), ())]
        outside = [(workload, membership) for workload, membership in found if membership.kind == "outside"]
        if outside:
            workload, membership = outside[0]
            more = f" (and {len(outside) - 1} more likewise)" if len(outside) > 1 else ""
            words = f"{policy} is not enforced at {workload}{more}, which is outside the mesh: {membership.words}"
            obj, path = membership.place
            yield Violation(("spec", "selector"), words, obj=policy.obj, related=(("what decides", obj, path),))
            continue
        unknown = next(((w, m) for w, m in found if m.kind == "unknown"), None)
        if unknown is not None and of_undeclared(unknown[1].reason, context):
            continue
        if unknown is not None:
            workload, membership = unknown
            yield NotJudged(membership.reason or "unknown-mesh", f"{workload}: {membership.words}", policy.obj)
        elif found:
            yield Passed(policy.obj)


# --- what needs mTLS ---


def _not_strict(state: WorkloadMtls, ports: Sequence[int]) -> str | None:
    """Why callers of a workload may have no identity, in words; None where all have one; a question mark before the
    words where it is not known."""
    if state.membership.kind == "unknown":
        return "?" + state.membership.words
    if state.membership.kind in ("outside", "proxyless"):
        return f"{state.workload} has no proxy that speaks mTLS: {state.membership.words}"
    if not state.membership.captured:
        # A gateway's callers are outside of the mesh.
        return None
    decisions = [
        (f"port {port.number} of {state.workload}", port.decision, port.bypass)
        for port in state.ports
        if not ports or port.number in ports
    ] or [(str(state.workload), state.default, None)]
    for what, decision, bypass in decisions:
        if bypass is not None:
            continue
        if decision.mode is None:
            return f"?{decision.unknown}"
        if decision.mode != "STRICT":
            by = f" by {decision.policy}" if decision.policy is not None else ", the default"
            return f"the mTLS mode of {what} is {decision.mode}{by}"
    return None


def _ports_of(rule: Rule) -> list[int]:
    """The ports that a rule is about; none: all."""
    found: list[int] = []
    for operation in rule.operations:
        values = [value.text for term in operation.of(PORT) for value in term.values]
        if not values:
            return []
        found += (int(text) for text in values if text.isdecimal())
    return found


@check("authorization-policy-without-mtls")
def authorization_policy_without_mtls(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Only rules that fail safe: those that plain text gets around are judged by another rule."""
    yield from _identity_without_mtls(inventory, context, evaded=False)


@check("authorization-policy-evaded-by-plain-text")
def authorization_policy_evaded_by_plain_text(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _identity_without_mtls(inventory, context, evaded=True)


def _identity_without_mtls(inventory: Inventory, context: Context, *, evaded: bool) -> Iterator[Said]:
    policies = authorization(inventory)
    if not policies.all:
        return
    modes: Mtls = mtls(inventory)
    selected = _workloads_by_policy(inventory)
    for policy in _in_effect(policies):
        if policy.action == "AUDIT" or policy.dry_run:
            continue
        asked = [(rule, term) for rule in policy.rules for term in _identity_terms(policy, rule, evaded)]
        if not asked:
            continue
        clean, doubtful, silent = True, "", False
        for rule, term in asked:
            ports = _ports_of(rule)
            open_: list[tuple[Workload, str]] = []
            for workload in selected.get(id(policy), ()):
                # Of what has no proxy, those are judged that the policy is written for: it has no effect there.
                if modes.of(workload).membership.kind == "outside" and (evaded or not policy.selector):
                    continue
                if of_undeclared(modes.of(workload).membership.reason, context):
                    silent = True
                    continue
                words = _not_strict(modes.of(workload), ports)
                if words is not None and words.startswith("?"):
                    doubtful = doubtful or f"whether {workload} has mTLS is not known: {words[1:]}"
                elif words is not None:
                    open_.append((workload, words))
            if not open_:
                continue
            clean = False
            more = f" (and {len(open_) - 1} more workloads likewise)" if len(open_) > 1 else ""
            what = said([term], "")
            if not evaded and modes.of(open_[0][0]).membership.kind == "outside":
                effect = "nobody asks its callers who they are"
            elif not evaded:
                effect = "a caller without a certificate is refused instead of being told from others"
            elif policy.action == "DENY":
                effect = "a caller in plain text has no identity, so the denial does not apply to it"
            else:
                effect = "a caller in plain text has no identity, so it is none of the excluded ones"
            yield Violation(
                term.path,
                f"{policy} asks for {what}, which needs mTLS, and {open_[0][1]}{more}: {effect}",
                obj=policy.obj,
            )
        if clean and doubtful:
            yield NotJudged("unknown-mtls", doubtful, policy.obj)
        elif clean and not silent and selected.get(id(policy)):
            yield Passed(policy.obj)


def _identity_terms(policy: Policy, rule: Rule, evaded: bool) -> Iterator[Term]:
    """The terms about identities of which plain text gets around (``evaded``), or that it cannot fulfil."""
    for source in rule.sources:
        terms = needs_identity(source)
        positive = [term for term in terms if term.values]
        negative = [term for term in terms if term.not_values]
        if policy.action == "DENY":
            if evaded:
                yield from positive
        elif evaded:
            yield from negative if not positive else ()
        else:
            yield from positive


# --- what stands in no relation to the inputs ---


@dataclass(frozen=True, slots=True)
class _Known:
    """What identities there may be. ``accounts``: namespace → service accounts; ``namespaces``: those that are
    named by anything, and those that are always there. ``root``: the mesh's root namespace."""

    accounts: Mapping[str, frozenset[str]]
    namespaces: frozenset[str]
    unknown: Mapping[str, Object]
    trust: TrustDomains
    root: str

    def problem(self, term: Term, text: str) -> tuple[str, bool]:
        """What is wrong with a value, in words (empty: nothing), and whether that is certain."""
        if term.attribute == NAMESPACE:
            return self._namespace(text) if "*" not in text else ("", True)
        if term.attribute == SERVICE_ACCOUNT:
            namespace, _, name = text.partition("/")
            return self._account(namespace, name)
        if term.attribute != PRINCIPAL or "*" in text:
            return "", True
        parts = text.split("/")
        if text.startswith("spiffe://"):
            return f"{text} never matches: principals are written without spiffe://", True
        if len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa":
            return f"{text} never matches: a principal is TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT", True
        if parts[0] not in (LOCAL, *self.trust.names):
            words = f"trust domain {parts[0]} is not the mesh's own, {self.trust.own}"
            return words, nearest_name(parts[0], [self.trust.own]) is not None
        return self._account(parts[2], parts[4])

    def _namespace(self, name: str) -> tuple[str, bool]:
        if name in self.namespaces:
            return "", True
        close = nearest_name(name, sorted(self.namespaces))
        meant = f"; is {close} meant?" if close is not None else ""
        # A namespace of which nothing is among the inputs may be filled by somebody else.
        return f"there is no namespace {name}{meant}", close is not None

    def _account(self, namespace: str, name: str) -> tuple[str, bool]:
        there = self.accounts.get(namespace)
        if there is None:
            words, certain = self._namespace(namespace)
            if words or name == "default":
                return words, certain
            return f"no service account of namespace {namespace} is among the inputs, so none {name}", False
        if name in there:
            return "", True
        words = f"namespace {namespace} has no service account {name}"
        # A gateway is often installed from elsewhere, beside the control plane.
        return words, namespace not in self.unknown and namespace != self.root


@check("authorization-policy-unknown-identity")
def authorization_policy_unknown_identity(inventory: Inventory, context: Context) -> Iterator[Said]:
    policies = authorization(inventory)
    known = _known_identities(inventory, policies)
    for policy in _in_effect(policies):
        clean, doubt = True, ""
        for term in _all_terms(policy):
            for value in (*term.values, *term.not_values):
                words, certain = known.problem(term, value.text)
                if words and certain:
                    clean = False
                    yield Violation(value.path, f"{policy}: {words}", obj=policy.obj)
                elif words:
                    doubt = doubt or words
        if doubt and not context.parameters["identities_elsewhere"]:
            yield NotJudged("unknown-peer", f"{policy}: {doubt}, which may be elsewhere", policy.obj)
        elif clean and not doubt:
            yield Passed(policy.obj)


def _known_identities(inventory: Inventory, policies: Policies) -> _Known:
    accounts: dict[str, set[str]] = defaultdict(lambda: {"default"})
    for obj in inventory.of_kind("ServiceAccount", ""):
        accounts[namespace_of(obj)].add(obj.ref.name)
    for workload in workloads(inventory):
        accounts[workload.namespace].add(workload.service_account)
    for obj in inventory.of_kind("Gateway", "gateway.networking.k8s.io"):
        # Istio makes the pods of a Gateway, and their service account (gatewaycommon/deploymentcontroller.go).
        made = string(mapping(obj.get("metadata", "annotations")).get("gateway.istio.io/service-account"))
        named = (obj.ref.name, f"{obj.ref.name}-{string(obj.get('spec', 'gatewayClassName'))}", made)
        accounts[namespace_of(obj)].update(filter(None, named))
    namespaces = {obj.ref.name for obj in inventory.of_kind("Namespace", "")} | accounts.keys() | SYSTEM_NAMESPACES
    return _Known(
        {name: frozenset(names_) for name, names_ in accounts.items()},
        frozenset(namespaces | {DEFAULT_NAMESPACE, policies.root_namespace}),
        unknown_pods(inventory),
        policies.trust,
        policies.root_namespace,
    )


@check("authorization-policy-http-on-tcp")
def authorization_policy_http_on_tcp(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Judged by the protocols that Services state for ports; a port without one is detected as HTTP when it is. Ztunnel
    sees nothing of HTTP: policies with conditions on it are for waypoints, and are attached by targetRefs."""
    policies = authorization(inventory)
    if not policies.all:
        return
    selected = _workloads_by_policy(inventory)
    members = memberships(inventory)
    protocols = _protocols(inventory)
    for policy in _in_effect(policies):
        if policy.action not in ("ALLOW", "DENY"):
            continue
        judged, clean = False, True
        for rule in policy.rules:
            terms = [term for part in (*rule.sources, *rule.operations) for term in part.terms]
            of_http = next((term for term in terms if is_http(term.attribute)), None)
            lost = max(terms, key=lambda term: _LOST.index(unknown_to_ztunnel(rule, term)), default=None)
            lost_how = unknown_to_ztunnel(rule, lost) if lost is not None else ""
            judged = judged or of_http is not None
            if of_http is None and not lost_how:
                continue
            ports = _ports_of(rule)
            for workload in selected.get(id(policy), ()):
                # A gateway's protocols are those of its servers; without a proxy nothing is enforced.
                if members.of(workload).kind in ("gateway", "outside", "proxyless"):
                    continue
                if members.of(workload).kind == "ambient" and not policy.target_refs:
                    if lost is None or not lost_how:
                        continue
                    clean = False
                    words = f"{policy} asks for {said([lost], '')}, and ztunnel, which enforces it at {workload},"
                    sees = "sees no HTTP" if is_http(lost.attribute) else "knows nothing of it"
                    if policy.action == "DENY":
                        effect = "the rule denies more than it says"
                    else:
                        effect = "the rule allows nothing" if lost_how == "all" else "the rule does not ask for it"
                    yield Violation(lost.path, f"{words} {sees}: {effect} there", obj=policy.obj)
                    break
                term = of_http
                if term is None:
                    continue
                served = {
                    number: port
                    for number, port in protocols.get(id(workload), {}).items()
                    if not ports or number in ports
                }
                tcp = {number: port for number, port in served.items() if port[2] in _TCP}
                if not tcp or (policy.action == "ALLOW" and len(tcp) < len(served)):
                    continue
                clean = False
                number, (obj, port, protocol) = next(iter(tcp.items()))
                effect = "so the rule allows nothing" if policy.action == "ALLOW" else "so it denies whatever is sent"
                yield Violation(
                    term.path,
                    f"{policy} asks for {said([term], '')}, and port {number} of {workload} is served as TCP, not HTTP"
                    f" (by port {port.number} of its Service, {protocol}): {effect} there",
                    obj=policy.obj,
                    related=(("the protocol of the port", obj, port.path),),
                )
                break
        if clean and judged and selected.get(id(policy)):
            yield Passed(policy.obj)


#: What ztunnel does with a term, the worst last.
_LOST = ("", "term", "all")


def _protocols(inventory: Inventory) -> dict[int, dict[int, tuple[Object, ServicePort, str]]]:
    """id of a workload → its port → the Service's port that leads there first, and what it says of the protocol."""
    found: dict[int, dict[int, tuple[Object, ServicePort, str]]] = defaultdict(dict)
    for service in services(inventory).by_object.values():
        for port in service.ports:
            stated = (service.obj, port, _protocol(service.obj, port))
            for target in port.targets:
                if target.protocol == "TCP":
                    found[id(target.workload)].setdefault(target.port, stated)
    return found


#: Protocols that proxies forward as they are (istio/istio pkg/config/protocol/instance.go, IsTCP; TLS stays closed).
_TCP = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis"})


def _protocol(service: Object, port: ServicePort) -> str:
    """What a Service says of a port: its appProtocol, else what its name begins with."""
    stated = string(mapping(service.get(*port.path)).get("appProtocol"))
    return (stated or port.name.partition("-")[0]).lower()


# --- workloads ---


@check("authorization-policy-missing")
def authorization_policy_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    policies, members = authorization(inventory), memberships(inventory)
    if not mesh_settings(inventory).present:
        yield NotApplicable()
        return
    seen: set[int] = set()
    unknown: set[tuple[str, str]] = set()
    for workload in workloads(inventory):
        membership = members.of(workload)
        if (
            is_one_of(workload.namespace, context.parameters["excluded_namespaces"])
            # A gateway is there for callers from outside; what it leads to is what is protected.
            or membership.kind in ("outside", "gateway", "proxyless")
            or id(workload.obj) in seen
        ):
            continue
        seen.add(id(workload.obj))
        if membership.kind == "unknown":
            # What is not known of one is mostly not known of its namespace.
            if (workload.namespace, membership.words) not in unknown:
                unknown.add((workload.namespace, membership.words))
                words = f"whether {workload} is in the mesh is not known: {membership.words}"
                yield NotJudged(membership.reason or "unknown-mesh", words, workload.obj)
            continue
        attached = policies.attached(workload)
        through = waypoints(inventory).unknown(workload)
        if attached.denies_by_default:
            yield Passed(workload.obj)
        elif through:
            yield NotJudged("unsupported", through, workload.obj)
        elif attached.refused:
            yield NotJudged(
                "invalid-object", f"{attached.refused[0]} is refused, and applies to {workload}", workload.obj
            )
        else:
            words = f"no AuthorizationPolicy says who may call {workload}, so any caller may do anything"
            if attached.dry_run:
                words += f" ({attached.dry_run[0]} is a dry run)"
            yield Violation(("metadata", "name"), words, obj=workload.obj)


# --- tokens ---


@check("request-authentication-not-required")
def request_authentication_not_required(inventory: Inventory, context: Context) -> Iterator[Said]:
    policies = authorization(inventory)
    root = policies.root_namespace
    members = memberships(inventory)
    inside = by_namespace(workloads(inventory))
    asked: dict[int, bool] = {}
    for one in request_authentications(inventory):
        if one.refused or not one.issuers:
            continue
        if one.target_refs:
            wanted = {(ref.kind, ref.name) for ref in one.target_refs}
            beside = [
                policy
                for policy in _in_effect(policies)
                if policy.namespace == one.namespace and wanted & {(r.kind, r.name) for r in policy.target_refs}
            ]
            attached = Attached(
                allow=tuple(p for p in beside if p.action == "ALLOW" and not p.dry_run),
                deny=tuple(p for p in beside if p.action == "DENY" and not p.dry_run),
            )
            if token_required(attached):
                yield Passed(one.obj)
            else:
                words = f"{one} checks tokens, and no AuthorizationPolicy that is attached to the same asks for one"
                yield Violation(("spec", "jwtRules"), f"{words}: a request without a token passes", obj=one.obj)
            continue
        there = workloads(inventory) if one.namespace == root else inside.get(one.namespace, ())
        found = [
            workload
            for workload in there
            if (one.selector or {}).items() <= workload.labels.items() and members.of(workload).kind != "outside"
        ]
        if not found:
            yield NotJudged("unknown-peer", f"no workload that {one} selects is among the inputs", one.obj)
            continue
        for workload in found:
            if id(workload) not in asked:
                asked[id(workload)] = token_required(policies.attached(workload))
        open_ = [workload for workload in found if not asked[id(workload)]]
        if not open_:
            yield Passed(one.obj)
            continue
        words = f"{one} checks tokens, and no AuthorizationPolicy of {shown(names(open_))} asks for one"
        yield Violation(("spec", "jwtRules"), f"{words}: a request without a token passes", obj=one.obj)


@check("request-authentication-jwks-plain-http")
def request_authentication_jwks_plain_http(inventory: Inventory, context: Context) -> Iterator[Said]:
    for one in request_authentications(inventory):
        clean = True
        for uri, path in one.jwks_uris:
            if uri.lower().startswith("http://"):
                clean = False
                yield Violation(
                    path, f"{one} fetches keys over plain HTTP: who answers decides whose tokens are valid", obj=one.obj
                )
        if clean:
            yield Passed(one.obj)
