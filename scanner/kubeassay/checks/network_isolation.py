"""Whether namespaces and workloads are isolated, by policies that an API server accepts and that take effect.

Source: kubernetes/website content/en/docs/concepts/services-networking/network-policies.md: pods that no policy selects
accept and send everything; "default deny all" is a policy that selects every pod and opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubeassay.analysis.fields import problems_of
from kubeassay.analysis.network.connections import ALL, NONE, Connections, ports
from kubeassay.analysis.network.connectivity import Connectivity, connectivity
from kubeassay.analysis.network.endpoints import DEFAULT_NAMESPACE, ContainerPort, Workload
from kubeassay.analysis.network.judgements import PUBLIC, SYSTEM_NAMESPACES, DefaultDeny, default_deny, mostly, openings
from kubeassay.analysis.network.policies import DIRECTIONS, Direction, Policy
from kubeassay.checks.check import Context, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import (
    judged_namespaces,
    labels_unknown,
    matches,
    names,
    namespace_place,
    not_evaluated,
    nothing_isolates,
    refused,
    shown,
)
from kubeassay.model import NEWEST_KNOWN, Inventory, Path

_EVERY_POD = "every pod of the cluster"
_INTERNET = "addresses of the internet"


@check("default-deny-ingress-missing")
def default_deny_ingress_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _default_deny(inventory, context, "ingress")


@check("default-deny-egress-missing")
def default_deny_egress_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    yield from _default_deny(inventory, context, "egress")


def _default_deny(inventory: Inventory, context: Context, direction: Direction) -> Iterator[Said]:
    net = connectivity(inventory)
    excluded = context.parameters["excluded_namespaces"]
    judged = dict(judged_namespaces(net, excluded))
    for name in context.parameters["namespaces"]:
        # Declared and named by the policy: protected before anything runs there.
        if name in net.namespaces and net.namespaces[name].obj is not None:
            judged.setdefault(name, [])
    for namespace, members in sorted(judged.items()):
        place = namespace_place(net, namespace, members)
        assert place is not None
        obj, path = place
        foreign = not_evaluated(net, namespace, obj)
        if foreign is not None:
            yield foreign
            continue
        found = default_deny(net, namespace, members, direction)
        if found.opened:
            policy, rule = found.opened[0]
            yield Violation(
                rule.path,
                _opens_everything(policy, namespace, direction),
                obj=policy.obj,
                related=tuple((f"{p} opens some of it", p.obj, r.path) for p, r in found.opened[1:3]),
            )
        elif found.disputed:
            which = " and ".join(dict.fromkeys(str(policy) for policy in found.disputed))
            detail = f"{which} disagree on what is open to the pods of namespace {namespace}, and have one priority"
            yield NotJudged("unknown-connectivity", detail, obj)
        elif found.perhaps is not None:
            detail = f"{found.perhaps} opens everything if it selects namespace {namespace}, whose labels are not known"
            yield NotJudged("unknown-namespace-labels", detail, obj)
        elif found.by is not None:
            yield Passed(obj)
        elif found.refused is not None:
            reason = found.refused.refused[0].reason
            yield NotJudged("invalid-object", f"{found.refused} would select every pod, and is refused: {reason}", obj)
        elif (unknown := labels_unknown(net, namespace, direction, obj)) is not None:
            yield unknown
        else:
            yield Violation(
                path,
                _without_default(namespace, members, direction, found),
                obj=obj,
                related=tuple((f"{p} selects some", p.obj, p.subject_path) for p in found.selecting[:3]),
            )


def _opens_everything(policy: Policy, namespace: str, direction: Direction) -> str:
    if policy.tier == "namespace" or direction == "egress":
        return f"{policy} opens every {direction} of every pod of namespace {namespace}: nothing is denied"
    return f"{policy} opens every port of every pod of namespace {namespace} to {_EVERY_POD}: nothing is denied to them"


def _without_default(namespace: str, members: Sequence[Workload], direction: Direction, found: DefaultDeny) -> str:
    everyone, missed = names(members), names(found.left)
    if not found.selecting:
        what = "accept" if direction == "ingress" else "send"
        pods = f": its pods ({shown(everyone)}) {what} everything" if everyone else ""
        return f"namespace {namespace} has no NetworkPolicy for {direction}{pods}"
    policies = f"the policies for {direction} of namespace {namespace} select"
    if missed:
        return f"{policies} {len(everyone) - len(missed)} of {len(everyone)} workloads, not {shown(missed)}"
    return f"{policies} its workloads by their labels, not every pod that comes"


@check("namespace-without-isolation")
def namespace_without_isolation(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    for namespace, members in judged_namespaces(net, context.parameters["excluded_namespaces"]):
        place = namespace_place(net, namespace, members)
        assert place is not None
        obj, path = place
        foreign = not_evaluated(net, namespace, obj)
        if foreign is not None:
            yield foreign
            continue
        answers = {end: net.answer(net.any_pod, net.end(end)) for end in members}
        # A policy of the cluster that takes some ports away from everybody isolates nothing.
        exposed = [
            e for e, answer in answers.items() if mostly(answer.open, ["TCP"]) and not net.isolated(e, "ingress")
        ]
        unknown = labels_unknown(net, namespace, "ingress", obj)
        if exposed and unknown is not None:
            yield unknown
        elif exposed:
            some, count = names(exposed), len(names(members))
            which = "" if len(some) == count else f"{len(some)} of {count} workloads of "
            closed = ALL - answers[exposed[0]].open
            message = f"{nothing_isolates(net, exposed[0], 'ingress')} {which}namespace {namespace}: {_EVERY_POD}"
            but = f", but on {closed}" if closed else ""
            yield Violation(path, f"{message} may connect to {shown(some)}{but}", obj=obj)
        elif any(answer.unknown for answer in answers.values()):
            yield next(filter(None, (refused(net, end) for end in members)), None) or NotJudged(
                "unknown-connectivity", f"what is open to the workloads of namespace {namespace} is not known", obj
            )
        else:
            yield Passed(obj)


@check("documented-isolation")
def documented_isolation(inventory: Inventory, context: Context) -> Iterator[Said]:
    wanted: list[tuple[Direction, str]] = [
        (direction, str(pattern)) for direction in DIRECTIONS for pattern in context.parameters[direction]
    ]
    net = connectivity(inventory) if wanted else None
    for direction, pattern in wanted if net is not None else ():
        assert net is not None
        meant = [end for end in net.workloads if matches(pattern, end)]
        if not meant:
            yield NotJudged("unknown-end", f"{pattern} is to be closed for {direction}, and is not among the inputs")
        for end in meant:
            yield _isolated(net, end, direction)


def _isolated(net: Connectivity, end: Workload, direction: Direction) -> Said:
    problem = not_evaluated(net, end.namespace, end.obj) or refused(net, end)
    if problem is not None:
        return problem
    if end.host_network:
        detail = f"{end} has the node's network: whether policies govern it depends on the plug-in"
        return NotJudged("host-network", detail, end.obj)
    number = net.end(end)
    answer = net.answer(net.any_pod, number) if direction == "ingress" else net.answer(number, net.any_pod)
    # A policy of the cluster that takes some ports away from everybody isolates nothing.
    if not mostly(answer.open, ["TCP"]) and (net.isolated(end, direction) or not answer.unknown):
        return Passed(end.obj)
    if not net.isolated(end, direction):
        perhaps = net.perhaps_governing(end, direction)
        unknown = labels_unknown(net, end.namespace, direction, end.obj)
        if perhaps:
            detail = f"{perhaps[0]} selects pods of {end} by a label whose value is not known"
            unknown = unknown or NotJudged("unknown-connectivity", detail, end.obj)
        if unknown is not None:
            return unknown
        message = f"{nothing_isolates(net, end, direction)} {end} for {direction}"
    else:
        message = f"policies isolate {end} for {direction}, and open everything all the same"
    said = "may connect to it" if direction == "ingress" else "may be reached from it"
    return Violation(("metadata", "name"), f"{message}: {_EVERY_POD} {said}", obj=end.obj)


def _served(end: Workload, wanted: frozenset[int]) -> list[ContainerPort]:
    return [port for port in end.ports if port.number in wanted and port.protocol == "TCP"]


@check("data-tier-ingress-open")
def data_tier_ingress_open(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Ports by their numbers: what speaks on them is not known, but who declares 5432 wants to be taken for one."""
    net, opened_by = connectivity(inventory), openings(inventory)
    wanted = frozenset(context.parameters["ports"])
    outside = [(number, _INTERNET) for number, _ in net.range_ends(PUBLIC)]
    causes: dict[tuple[int, Path], tuple[Policy, dict[str, Connections], list[str]]] = {}
    for _, members in judged_namespaces(net):
        for end in members:
            found = _served(end, wanted)
            if not found:
                continue
            problem = not_evaluated(net, end.namespace, end.obj) or refused(net, end)
            if problem is not None:
                yield problem
                continue
            through = ports("TCP", *((port.number, port.number) for port in found))
            unknown, bad = NONE, False
            #: What is open without a rule that opens it, and to whom: first of all to every pod.
            unruled, who = NONE, ""
            for source, words in ((net.any_pod, _EVERY_POD), *outside):
                answer = net.answer(source, net.end(end))
                unknown |= answer.unknown & through
                through_here = left = answer.open & through
                if not through_here:
                    continue
                bad = True
                for opening in opened_by.of(end, "ingress", source):
                    common = opening.connections & through_here
                    if common:
                        left -= common
                        key = (id(opening.policy), opening.path)
                        _, opened, whom = causes.setdefault(key, (opening.policy, {}, []))
                        opened[end.name] = opened.get(end.name, NONE) | common
                        if words not in whom:
                            whom.append(words)
                if left and not unruled:
                    unruled, who = left, words
            if unruled:
                message = f"{nothing_isolates(net, end, 'ingress')} {end}: {who} may connect to {unruled}"
                yield Violation((*found[0].path, "containerPort"), message, obj=end.obj)
            elif not bad and unknown:
                detail = f"whether {unknown} of {end} is open to {_EVERY_POD} or to {_INTERNET} is not known"
                yield NotJudged("unknown-connectivity", detail, end.obj)
            elif not bad:
                yield Passed(end.obj)
    for end in net.workloads:
        if end.host_network and end.namespace not in SYSTEM_NAMESPACES and _served(end, wanted):
            detail = f"{end} is on its node's network, and whether policies apply to it is not known"
            yield NotJudged("unsupported", detail, end.obj)
    for (_, path), (policy, opened, whom) in causes.items():
        to = shown([f"{name} ({connections})" for name, connections in opened.items()])
        yield Violation(path, f"{policy} opens {to} to {' and '.join(whom)}", obj=policy.obj)


@check("host-network-evades-policy")
def host_network_evades_policy(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    for end in net.workloads:
        if not end.host_network:
            continue
        policies: dict[int, Policy] = {}
        for direction in DIRECTIONS:
            for policy in net.governing(end, direction):
                if policy.tier == "namespace":
                    policies[id(policy)] = policy
        if not policies:
            continue
        spec: Path = end.template.spec_path if end.template is not None else ("spec",)
        selecting = list(policies.values())
        yield Violation(
            (*spec, "hostNetwork"),
            f"{end} is on its node's network: {shown([str(policy) for policy in selecting])}, which"
            f" select{'s' if len(selecting) == 1 else ''} it, may not apply to it",
            obj=end.obj,
            related=tuple((f"{policy} selects it", policy.obj, policy.subject_path) for policy in selecting[:3]),
        )


@check("network-policy-refused")
def network_policy_refused(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in connectivity(inventory).policies:
        mistyped = {p.path for p in problems_of(policy.obj, NEWEST_KNOWN.minor) if p.kind == "mistyped"}
        reasons = [problem for problem in policy.refused if problem.path not in mistyped]
        for problem in reasons:
            yield Violation(problem.path, f"an API server refuses {policy}: {problem.reason}", obj=policy.obj)
        if not policy.refused:
            yield Passed(policy.obj)
        elif not reasons:
            # A value of another type is a finding of the rule on mistyped fields, in every object.
            yield NotJudged("invalid-object", f"{policy} is refused: {policy.refused[0].reason}", policy.obj)


@check("network-policy-without-namespace")
def network_policy_without_namespace(inventory: Inventory, context: Context) -> Iterator[Said]:
    net = connectivity(inventory)
    stated = sorted({end.namespace for end in net.workloads if end.obj.ref.namespace})
    # Where workloads leave their namespace open as well, both get it from whoever applies them.
    consistent = not stated or any(not end.obj.ref.namespace for end in net.workloads)
    for policy in net.policies:
        if policy.tier != "namespace":
            continue
        if policy.obj.ref.namespace or consistent:
            yield Passed(policy.obj)
            continue
        message = (
            f"{policy} states no namespace: it protects the one that it is applied to ({DEFAULT_NAMESPACE}, unless told"
            f" otherwise), and none of {shown(stated)} by itself"
        )
        yield Violation(("metadata", "name"), message, obj=policy.obj)


@check("policy-rules-without-effect")
def policy_rules_without_effect(inventory: Inventory, context: Context) -> Iterator[Said]:
    for policy in connectivity(inventory).policies:
        if policy.tier != "namespace":
            continue
        unused = [d for d in policy.rules if policy.rules[d] and d not in policy.directions]
        for direction in unused:
            message = f"{policy} has rules for {direction}, and its policyTypes leave {direction.capitalize()} out"
            yield Violation(
                ("spec", direction),
                f"{message}: they have no effect",
                key=True,
                obj=policy.obj,
                related=(("policyTypes", policy.obj, ("spec", "policyTypes")),),
            )
        if not unused:
            yield Passed(policy.obj)
