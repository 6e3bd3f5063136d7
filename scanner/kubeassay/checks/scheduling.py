"""Whether workloads fit the node groups that are there, and those only that were meant for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.platform.node_groups import Cluster, NodeGroup, Taint, clusters, node_groups
from kubeassay.analysis.platform.scheduling import (
    BLOCKING_EFFECTS,
    Placement,
    Verdict,
    joined,
    placement,
    runtime_class,
    stated_tolerations,
)
from kubeassay.analysis.quota.limit_ranges import limit_ranges
from kubeassay.analysis.quota.pod_resources import pod_resources
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.images import parse_image
from kubeassay.checks.network_common import matches_name, shown
from kubeassay.model import Inventory, Object, Path

#: How many node groups a message gives the reasons of.
_REASONS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A workload and what the groups of the clusters make of it. ``answer``: whether it fits a node of every cluster;
    None: not known, for ``reason``. ``verdicts``: (group, the best verdict of its shapes) of all clusters."""

    workload: Workload
    template: PodTemplate
    placement: Placement
    verdicts: tuple[tuple[NodeGroup, Verdict], ...]
    answer: bool | None
    reason: str


def _placements(inventory: Inventory, context: Context) -> tuple[_Placed, ...]:
    known: dict[int, tuple[_Placed, ...]] = inventory.facts.setdefault(_Placed, {})
    minor = context.kubernetes_version.minor
    if minor not in known:
        known[minor] = tuple(_place(inventory, minor))
    return known[minor]


def _place(inventory: Inventory, minor: int) -> Iterator[_Placed]:
    known = [(cluster, _with_nodes(cluster)) for cluster in clusters(inventory) if cluster.groups]
    ranges = limit_ranges(inventory)
    autoscaler = _autoscaler(inventory)
    #: What a pod demands → by cluster, what each group makes of it.
    judged: dict[Any, tuple[tuple[tuple[NodeGroup, Verdict], ...], ...]] = {}
    for workload in workloads(inventory):
        template = workload.template
        if template is None or not template.spec:
            continue
        own = placement(
            template.spec,
            kind=workload.obj.ref.kind,
            runtime_class=runtime_class(inventory, template.spec, workload.obj.file),
            minor=minor,
            defaults=ranges.defaults(workload.obj),
        )
        key = own.key
        if key not in judged:
            judged[key] = tuple(tuple((group, _best(own, group)) for group in groups) for _, groups in known)
        by_cluster = ((cluster, verdicts) for (cluster, _), verdicts in zip(known, judged[key], strict=True))
        answer, reason = _answer(workload, own, by_cluster, autoscaler)
        verdicts = tuple(pair for of_cluster in judged[key] for pair in of_cluster)
        yield _Placed(workload, template, own, verdicts, answer, reason)


def _with_nodes(cluster: Cluster) -> Sequence[NodeGroup]:
    """The groups of a cluster that may have nodes; all where none may, which says that somebody else sets how many."""
    return [group for group in cluster.groups if group.live or group.maximum != 0] or cluster.groups


def _best(own: Placement, group: NodeGroup) -> Verdict:
    """The verdict of the shape that takes a pod best: a pod fits a group if it fits one of its shapes; of those that
    refuse it, the one that gets furthest says why."""
    verdicts = [own.on(shape) for shape in group.shapes]
    order = ("selector", "taint", "resources")
    return max(
        verdicts,
        key=lambda verdict: (
            (2 if verdict.fits else 1 if verdict.fits is None else 0),
            order.index(verdict.cause) if verdict.cause else len(order),
        ),
    )


def _answer(
    workload: Workload,
    own: Placement,
    by_cluster: Iterable[tuple[Cluster, Sequence[tuple[NodeGroup, Verdict]]]],
    autoscaler: Object | None,
) -> tuple[bool | None, str]:
    if own.unknown:
        return None, own.unknown
    answers: list[bool | None] = []
    reason = ""
    for cluster, verdicts in by_cluster:
        fits = joined(verdict for _, verdict in verdicts)
        if fits is None:
            reason = _not_known(verdicts)
        if fits is False and cluster.elsewhere:
            fits, reason = None, cluster.elsewhere
        elif fits is False and cluster.live and autoscaler is not None:
            fits, reason = None, f"{autoscaler.ref} may add nodes of groups that have none now"
        elif fits is False and _on_fargate(workload, cluster):
            fits = True
        answers.append(fits)
    if len(set(answers)) > 1:
        return None, f"it fits nodes of some of {len(answers)} clusters, and for which it is meant is not stated"
    return (answers[0] if answers else None), reason


def _not_known(verdicts: Sequence[tuple[NodeGroup, Verdict]]) -> str:
    """The first thing that is not known of groups; empty: nothing is."""
    return next(
        (f"of {group}, {verdict.words} is not known" for group, verdict in verdicts if verdict.fits is None), ""
    )


def _on_fargate(workload: Workload, cluster: Cluster) -> bool:
    return any(
        matches_name(namespace, workload.namespace, "") and labels.items() <= workload.labels.items()
        for namespace, labels in cluster.fargate
        if namespace
    )


def _autoscaler(inventory: Inventory) -> Object | None:
    for workload in workloads(inventory):
        if workload.template is not None and autoscaler_container(workload.template) is not None:
            return workload.obj
    return None


def autoscaler_container(template: PodTemplate) -> Container | None:
    """The container that is a Cluster Autoscaler, by its image's name or its command; None: none is."""
    for container in template.containers:
        name = parse_image(string(container.spec.get("image"))).repository.rpartition("/")[2]
        words = [word for word in items(container.spec.get("command")) if isinstance(word, str)]
        program = words[0].rpartition("/")[2] if words else ""
        if container.type in ("container", "sidecar") and "cluster-autoscaler" in (name, program):
            return container
    return None


def _judged(inventory: Inventory, context: Context) -> Iterator[_Placed | NotJudged | NotApplicable]:
    """The workloads that the scheduler places; what is not known of them. Without node groups: nothing."""
    if not node_groups(inventory):
        yield NotApplicable()
        return
    for placed in _placements(inventory, context):
        # A live Pod has its node already; a nodeName in a manifest passes the scheduler by, which is another finding.
        if placed.placement.node_name:
            continue
        if placed.answer is None:
            detail = f"{placed.workload}: {placed.reason}"
            yield NotJudged("unknown-nodes", detail, placed.workload.obj)
        else:
            yield placed


def _tainted(inventory: Inventory) -> list[NodeGroup]:
    """The node groups that take only pods that tolerate a taint."""
    return [group for group in node_groups(inventory) if any(map(_blocks, group.taints))]


def _blocks(taint: Taint) -> bool:
    return taint.effect in BLOCKING_EFFECTS


def _refusals(placed: _Placed) -> list[tuple[NodeGroup, Verdict]]:
    return [(group, verdict) for group, verdict in placed.verdicts if verdict.fits is False]


@check("node-selector-without-group")
def node_selector_without_group(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Workloads whose node selector or required node affinity takes nodes of no group."""
    for placed in _judged(inventory, context):
        if not isinstance(placed, _Placed):
            yield placed
            continue
        if not placed.placement.selects:
            continue
        refusals = _refusals(placed)
        if placed.answer is False and all(verdict.cause == "selector" for _, verdict in refusals):
            path, words = _why(placed, refusals)
            yield Violation((*placed.template.spec_path, *path), f"{placed.workload}: {words}", obj=placed.workload.obj)
        else:
            yield Passed(placed.workload.obj)


def _why(placed: _Placed, refusals: Sequence[tuple[NodeGroup, Verdict]]) -> tuple[Path, str]:
    """The requirement that no group fulfils, if there is one; else all of them."""
    paths = {verdict.path for _, verdict in refusals}
    if len(paths) == 1:
        path = paths.pop()
        stated = next((one for one in _requirements(placed.placement) if one.path == path), None)
        if stated is not None:
            wanted = ", ".join(stated.values)
            return path, f"no node group has nodes where {stated.key} is {stated.operator} {wanted}".rstrip()
    path = ("nodeSelector",) if placed.placement.selector else ("affinity", "nodeAffinity")
    each = [f"{group.name}: {verdict.words}" for group, verdict in refusals]
    return path, f"no node group has nodes that it selects ({shown(each)})"


def _requirements(own: Placement) -> Iterator[Any]:
    yield from own.selector
    for term in own.terms or ():
        yield from term


@check("dedicated-nodes-not-tolerated")
def dedicated_nodes_not_tolerated(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Workloads that select the nodes of tainted groups, by name or as documented, and do not tolerate the taints."""
    dedicated = [_documented(entry) for entry in context.parameters["dedicated"]]
    if not node_groups(inventory) and not dedicated:
        yield NotApplicable()
        return
    for placed in _placements(inventory, context):
        own, obj = placed.placement, placed.workload.obj
        if own.node_name or not own.selects:
            continue
        wanted = {one.key: one.values[0] for one in own.selector}
        missing = [
            (next(one for one in own.selector if one.key in labels).path, taint)
            for labels, taint in dedicated
            if labels.items() <= wanted.items() and next(own.untolerated((taint,)), None) is not None
        ]
        if missing:
            path, taint = missing[0]
            yield Violation(
                (*placed.template.spec_path, *path),
                f"{placed.workload} is for nodes with taint {taint}, which it does not tolerate",
                obj=obj,
            )
            continue
        tainted = [(group, verdict) for group, verdict in _refusals(placed) if verdict.cause == "taint"]
        if placed.answer is False and tainted:
            group, verdict = tainted[0]
            yield Violation(
                (*placed.template.spec_path, *_selecting_path(own, group)),
                f"{placed.workload} selects nodes of {group}, and their {verdict.words}",
                obj=obj,
                related=tuple((f"taint {taint}", group.obj, taint.path) for taint in own.untolerated(group.taints)),
            )
        elif placed.answer is None and placed.verdicts:
            yield NotJudged("unknown-nodes", f"{placed.workload}: {placed.reason}", obj)
        elif placed.answer is True or any(labels.items() <= wanted.items() for labels, _ in dedicated):
            yield Passed(obj)


def _documented(entry: Mapping[str, Any]) -> tuple[Mapping[str, str], Taint]:
    taint = entry["taint"]
    return entry["nodeSelector"], Taint(taint["key"], taint.get("value", ""), taint["effect"], ())


def _selecting_path(own: Placement, group: NodeGroup) -> Path:
    """The requirement that names a group by a label of its own, else where the selection stands."""
    for one in own.selector:
        if one.key in group.labels:
            return one.path
    return ("nodeSelector",) if own.selector else ("affinity", "nodeAffinity")


@check("pod-fits-no-node-group")
def pod_fits_no_node_group(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Workloads that no node group has a node for, for other reasons than what they select."""
    for placed in _judged(inventory, context):
        if not isinstance(placed, _Placed):
            yield placed
            continue
        refusals = _refusals(placed)
        causes = {verdict.cause for _, verdict in refusals}
        if placed.answer is True:
            yield Passed(placed.workload.obj)
        elif "resources" in causes or ("taint" in causes and not placed.placement.selects):
            each = [f"{group.name}: {verdict.words}" for group, verdict in refusals]
            yield Violation(
                (*placed.template.spec_path, *_resources_path(placed, refusals, context.kubernetes_version.minor)),
                f"{placed.workload} fits no node group: {_each(each)}",
                obj=placed.workload.obj,
            )


def _each(texts: Sequence[str]) -> str:
    """Reasons, which may have commas in them."""
    more = f"; and {len(texts) - _REASONS} more" if len(texts) > _REASONS else ""
    return "; ".join(texts[:_REASONS]) + more


def _resources_path(placed: _Placed, refusals: Sequence[tuple[NodeGroup, Verdict]], minor: int) -> Path:
    names = [verdict.resource for _, verdict in refusals if verdict.cause == "resources"]
    if not names:
        return ("tolerations",)
    pod = pod_resources(placed.template.spec, minor=minor)
    resource = names[0]
    if pod.level is not None and resource in pod.level.requests:
        return ("resources",)
    asking = [container for container in pod.containers if container.requests.get(resource)]
    largest = max(asking, key=lambda container: container.requests[resource], default=None)
    # An init container needs it by itself, what runs at once together.
    alone = largest is not None and (len(asking) == 1 or (largest.init and not largest.sidecar))
    return (*largest.path, "resources") if largest is not None and alone else ("containers",)


@check("tainted-group-unused")
def tainted_group_unused(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Groups that are kept free by a taint for workloads of which there are none."""
    tainted = _tainted(inventory)
    if not tainted:
        yield NotApplicable()
        return
    placed = [one for one in _placements(inventory, context) if one.workload.obj.ref.kind != "DaemonSet"]
    if not placed:
        yield NotJudged("no-objects", "no workload is among the inputs, so what uses tainted node groups is not known")
        return
    users: set[int] = set()
    for one in placed:
        for group, verdict in one.verdicts:
            # What is not known to be refused may be what the group is for.
            if verdict.fits is not False or verdict.cause == "resources":
                users.add(id(group))
    open_ = next((one for one in placed if one.placement.unknown), None)
    for group in tainted:
        if id(group) in users:
            yield Passed(group.obj)
            continue
        if open_ is not None:
            detail = f"whether {open_.workload} uses {group} is not known: {open_.placement.unknown}"
            yield NotJudged("unknown-nodes", detail, group.obj)
            continue
        taint = next(filter(_blocks, group.taints))
        yield Violation(
            taint.path, f"no workload tolerates taint {taint} of {group}, so its nodes stay empty", obj=group.obj
        )


@check("tolerates-without-selecting")
def tolerates_without_selecting(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Workloads that tolerate the taint of a dedicated group, and may run elsewhere all the same."""
    groups = _tainted(inventory)
    if not groups:
        yield NotApplicable()
        return
    makers = next((cluster.elsewhere for cluster in clusters(inventory) if cluster.elsewhere), "")
    for one in _placements(inventory, context):
        own, obj = one.placement, one.workload.obj
        if own.node_name or obj.ref.kind == "DaemonSet":
            continue
        for toleration in own.tolerations:
            meant = [
                group
                for group in groups
                if toleration.key and any(_blocks(taint) and toleration.tolerates(taint) for taint in group.taints)
            ]
            if not meant:
                continue
            untainted = [(group, verdict) for group, verdict in one.verdicts if not group.taints]
            free = next((group for group, verdict in untainted if verdict.fits is True), None)
            unknown = own.unknown
            if free is None and not unknown:
                unknown = _not_known(untainted) or ("" if own.selects else makers)
            if unknown:
                yield NotJudged("unknown-nodes", f"whether {one.workload} may run elsewhere, too: {unknown}", obj)
            elif free is None:
                yield Passed(obj)
            else:
                yield Violation(
                    (*one.template.spec_path, *toleration.path),
                    f"{one.workload} tolerates the taint of {meant[0]}, does not select it, and may run on {free}",
                    obj=obj,
                )
            break


@check("tolerates-every-taint")
def tolerates_every_taint(template: PodTemplate, context: Context) -> Iterator[Said]:
    """Pods that tolerate the taints of all nodes."""
    obj = template.obj
    if obj.ref.kind in context.parameters["allowed_kinds"] or _is_static(obj):
        yield NotApplicable()
        return
    for toleration in stated_tolerations(template.spec):
        # One that is for NoExecute alone keeps a pod running; it lets it in nowhere.
        if toleration.everything and toleration.effect in ("", "NoSchedule"):
            yield Violation(
                (*template.spec_path, *toleration.path),
                "every taint is tolerated, so nodes that are reserved for other workloads take these pods, too",
            )


@check("node-name-set")
def node_name_set(template: PodTemplate, context: Context) -> Iterator[Said]:
    """Pods that are bound to a node by their manifest."""
    obj = template.obj
    if obj.ref.kind == "Pod" and (isinstance(obj.get("status"), dict) or obj.get("metadata", "uid")):
        # It lives: the scheduler has bound it, or its maker has, which nothing tells.
        yield NotApplicable()
        return
    name = string(template.spec.get("nodeName"))
    if name:
        yield Violation(
            (*template.spec_path, "nodeName"),
            f"nodeName {name} passes the scheduler by: taints with the effect NoSchedule, affinity and room on the node"
            " are not looked at",
        )


def _is_static(obj: Object) -> bool:
    """Whether a Pod mirrors a static pod of its node."""
    return obj.ref.kind == "Pod" and "kubernetes.io/config.mirror" in mapping(obj.get("metadata", "annotations"))
