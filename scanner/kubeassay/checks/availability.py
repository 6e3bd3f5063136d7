"""What may take pods away, and what is left then: disruption budgets that block or protect nothing, replicas that are
too few or stand in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubeassay.analysis.autoscaling.disruption import Budget, Pods, disruptions, evictions_allowed
from kubeassay.analysis.autoscaling.horizontal import Replicas, scaling
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.services import services
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import items, mapping
from kubeassay.checks.autoscaling import may_meet
from kubeassay.checks.check import Context, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import matches, names, shown
from kubeassay.checks.selected_pods import Around, Empty
from kubeassay.model import Inventory

#: Kinds whose replicas serve side by side, and replace each other.
_REPLICATED = frozenset({("apps", "Deployment"), ("apps", "StatefulSet"), ("argoproj.io", "Rollout")})

#: How many budgets on one workload are compared with each other.
_COMPARED = 16


# --- budgets ---


@check("disruption-budget-refused")
def disruption_budget_refused(inventory: Inventory, context: Context) -> Iterator[Said]:
    for budget in disruptions(inventory).all:
        for reason in budget.refused:
            yield Violation(reason.path, f"{budget} is refused: {reason.reason}", obj=budget.obj)
        if not budget.refused:
            yield Passed(budget.obj)


@check("disruption-budget-blocks-evictions")
def disruption_budget_blocks_evictions(inventory: Inventory, context: Context) -> Iterator[Said]:
    """All pods taken as healthy: what is not allowed then is never allowed."""
    facts = disruptions(inventory)
    for budget in facts.all:
        if budget.refused:
            yield _refused(budget)
            continue
        if budget.selector is None:
            # It selects nothing, which is another finding.
            continue
        words = _blocks(budget, facts.pods(budget))
        if isinstance(words, NotJudged):
            yield words
        elif words:
            related = tuple(
                (f"{workload} is among them", workload.obj, ("metadata", "name")) for workload in budget.workloads[:3]
            )
            yield Violation(budget.bound_path, f"{budget} {words}", obj=budget.obj, related=related)
        elif words is None:
            yield Passed(budget.obj)


def _refused(budget: Budget) -> NotJudged:
    return NotJudged("invalid-object", f"{budget} is refused: {budget.refused[0].reason}", budget.obj)


def _blocks(budget: Budget, pods: Pods) -> str | NotJudged | None:
    """Why a budget lets no pod go, as the rest of a sentence; None where it does, empty where there is none."""
    counted = bool(pods.replicas) and not pods.unknown and not pods.uncountable and not budget.perhaps
    if counted and not pods.unmanaged and pods.most == 0:
        return ""
    if budget.minimum is None and budget.maximum is None:
        return "allows no eviction: it states neither minAvailable nor maxUnavailable"
    bound, field = budget.maximum or budget.minimum, str(budget.bound_path[-1])
    if budget.all_must_stay and not pods.unmanaged:
        return f"allows no eviction: {field} is {bound}"
    if pods.uncountable and budget.counts_scale:
        ends = shown(names(pods.uncountable))
        return f"allows no eviction: {field} {bound} is a part of the scale of {ends}, and that kind has none"
    if not budget.workloads and not budget.perhaps:
        return ""
    if budget.perhaps or pods.unknown or pods.uncountable:
        if budget.maximum is not None and not budget.all_must_stay:
            # However many there are, some may go.
            return ""
        ends = shown(names((*budget.perhaps, *pods.unknown, *pods.uncountable)))
        return NotJudged("unknown-replicas", f"how many pods of {ends} {budget} selects is not known", budget.obj)
    if not pods.replicas and budget.counts_scale:
        ends = shown(names(budget.workloads))
        return f"allows no eviction: {field} {bound} is a part of the scale of a controller, and {ends} has none"
    least = pods.least
    if evictions_allowed(budget, least, pods.unmanaged):
        return None
    total = least + pods.unmanaged
    few = "1 pod" if total == 1 else f"{total} pods"
    words = f"allows no eviction: {field} is {bound}, of {few}"
    most = pods.most
    if most is None or evictions_allowed(budget, most, pods.unmanaged):
        by = shown([str(one.by) for one in pods.replicas if one.by is not None])
        return f"{words}, which {by} may go down to"
    return words


@check("several-disruption-budgets")
def several_disruption_budgets(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = disruptions(inventory)
    rivals: dict[int, tuple[Budget, Workload]] = {}
    unknown: dict[int, Budget] = {}
    for workload in workloads(inventory):
        found = facts.of(workload)
        for number, budget in enumerate(found):
            # Of very many it is enough to know some.
            for earlier in found[: min(number, _COMPARED)]:
                if earlier.obj.ref.name == budget.obj.ref.name:
                    continue
                certain = facts.selects(budget, workload) and facts.selects(earlier, workload)
                if certain and may_meet(budget.obj, earlier.obj):
                    rivals.setdefault(id(budget), (earlier, workload))
                else:
                    unknown.setdefault(id(budget), earlier)
    for budget in facts.all:
        if budget.refused:
            yield _refused(budget)
        elif id(budget) in rivals:
            other, workload = rivals[id(budget)]
            words = f"{budget} and {other} both select the pods of {workload}, so that none can be evicted"
            related = ((f"{other} selects them, too", other.obj, ("spec", "selector")),)
            yield Violation(("spec", "selector"), words, obj=budget.obj, related=related)
        elif id(budget) in unknown:
            detail = f"{budget} and {unknown[id(budget)]} may select the same pods"
            yield NotJudged("unknown-labels", detail, budget.obj)
        else:
            yield Passed(budget.obj)


@check("disruption-budget-selects-nothing")
def disruption_budget_selects_nothing(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = disruptions(inventory)
    around: Around | None = None
    for budget in facts.all:
        if budget.refused:
            yield _refused(budget)
        elif budget.selector is None:
            stated = isinstance(budget.obj.get("spec", "selector"), dict)
            why = "an empty selector of policy/v1beta1 selects no pod" if stated else "it has no selector"
            yield Violation(("spec", "selector"), f"{budget} protects nothing: {why}", obj=budget.obj)
        elif budget.workloads:
            yield Passed(budget.obj)
        elif budget.perhaps:
            ends = shown(names(budget.perhaps))
            detail = f"whether {budget} selects pods of {ends} depends on labels that nothing tells"
            yield NotJudged("unknown-labels", detail, budget.obj)
        else:
            around = around or Around(inventory)
            at = ("spec", "selector")
            yield around.judge(Empty(budget.obj, str(budget), "protects nothing", budget.selector, at))


# --- replicas ---


@dataclass(frozen=True, slots=True)
class _Replicated:
    workload: Workload
    replicas: Replicas


def _replicated(inventory: Inventory) -> Iterator[_Replicated | NotJudged]:
    """Deployments, StatefulSets and Rollouts that are not stopped, with how many pods they have."""
    numbers = scaling(inventory)
    for workload in workloads(inventory):
        ref = workload.obj.ref
        if (ref.group, ref.kind) not in _REPLICATED:
            continue
        replicas = numbers.replicas(workload.obj)
        if replicas is None:
            yield NotJudged("unknown-replicas", f"how many pods {workload} has is not known", workload.obj)
        elif replicas.maximum != 0:
            yield _Replicated(workload, replicas)


@check("disruption-budget-missing")
def disruption_budget_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = disruptions(inventory)
    for one in _replicated(inventory):
        if isinstance(one, NotJudged):
            yield one
            continue
        budgets = facts.of(one.workload)
        if any(facts.selects(budget, one.workload) for budget in budgets):
            yield Passed(one.workload.obj)
        elif one.replicas.minimum < 2:
            continue
        elif budgets:
            detail = f"whether {budgets[0]} selects the pods of {one.workload} depends on labels that nothing tells"
            yield NotJudged("unknown-labels", detail, one.workload.obj)
        else:
            words = f"{one.workload} has {one.replicas.minimum} replicas and no PodDisruptionBudget"
            words += ": an upgrade of the nodes may evict all at once"
            yield _of(one, words)


def _of(one: _Replicated, words: str) -> Violation:
    """A finding on a workload that has too few replicas, or enough to spread them."""
    scaler = one.replicas.by
    if scaler is None:
        return Violation(one.replicas.path, words, obj=one.workload.obj)
    related = ((f"{scaler} sets their number", scaler.obj, one.replicas.path),)
    return Violation(("metadata", "name"), words, obj=one.workload.obj, related=related)


@check("too-few-replicas")
def too_few_replicas(inventory: Inventory, context: Context) -> Iterator[Said]:
    wanted, patterns = context.parameters["minimum"], [str(text) for text in context.parameters["workloads"]]
    served = {id(end) for service in services(inventory).by_object.values() for end in service.workloads}
    for one in _replicated(inventory):
        if isinstance(one, NotJudged):
            yield one
            continue
        workload, replicas = one.workload, one.replicas
        if patterns:
            judged = any(matches(pattern, workload) for pattern in patterns)
        else:
            # Several pods of a StatefulSet are no copies of each other unless its program says so.
            judged = id(workload) in served and workload.obj.ref.kind != "StatefulSet"
        if not judged:
            continue
        if replicas.minimum >= wanted:
            yield Passed(workload.obj)
            continue
        number = "1 replica" if replicas.minimum == 1 else f"{replicas.minimum} replicas"
        words = f"{workload} has {number}, {wanted} are wanted"
        if replicas.by is not None:
            words = f"{workload} has {number} where {replicas.by} goes down to its minimum, {wanted} are wanted"
            related = (("it scales this workload", workload.obj, ("metadata", "name")),)
            yield Violation(replicas.path, words, obj=replicas.obj, related=related)
        else:
            yield Violation(replicas.path, words, obj=workload.obj)


@check("replicas-not-spread")
def replicas_not_spread(inventory: Inventory, context: Context) -> Iterator[Said]:
    for one in _replicated(inventory):
        if isinstance(one, NotJudged):
            yield one
            continue
        template = one.workload.template
        if one.replicas.minimum < 2 or template is None:
            continue
        anti = mapping(mapping(template.spec.get("affinity")).get("podAntiAffinity"))
        ways: Sequence[object] = [
            *items(template.spec.get("topologySpreadConstraints")),
            *items(anti.get("requiredDuringSchedulingIgnoredDuringExecution")),
            *items(anti.get("preferredDuringSchedulingIgnoredDuringExecution")),
        ]
        if ways:
            yield Passed(one.workload.obj)
            continue
        words = f"the {one.replicas.minimum} replicas of {one.workload} may all stand on one node: nothing spreads them"
        yield Violation((*template.spec_path, "topologySpreadConstraints"), words, obj=one.workload.obj)
