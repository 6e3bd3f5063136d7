"""What sets the number of a workload's pods: HorizontalPodAutoscalers of every version, and KEDA's ScaledObjects.

Sources: kubernetes v1.37.1, pkg/apis/autoscaling (v1/conversion.go, v2/defaults.go, validation/validation.go) and
pkg/controller/podautoscaler/horizontal.go (reconcileAutoscaler: the target is found by group and kind, its version does
not count; computeStatusForResourceMetricGeneric: an average value comes before a utilization, whatever ``type`` says);
kedacore/keda apis/keda/v1alpha1/scaledobject_types.go.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from kubeassay.analysis.network.endpoints import DEFAULT_NAMESPACE, namespace_of
from kubeassay.analysis.network.operators import operator_replicas
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.reading import items, mapping, string, whole
from kubeassay.analysis.workloads import PodTemplate, templates_of
from kubeassay.model import Inventory, Object, Path

MetricType = Literal["Resource", "ContainerResource", "Pods", "Object", "External"]
_METRIC_FIELDS: Mapping[str, tuple[MetricType, str]] = {
    "Resource": ("Resource", "resource"),
    "ContainerResource": ("ContainerResource", "containerResource"),
    "Pods": ("Pods", "pods"),
    "Object": ("Object", "object"),
    "External": ("External", "external"),
}

#: Utilization of CPU that an autoscaler without metrics aims at, in percent (pkg/apis/autoscaling, helpers.go).
DEFAULT_CPU_UTILIZATION = 80
#: Where autoscaling/v1 keeps the metrics that it has no field for: JSON, in the form of v2beta1.
_METRICS_ANNOTATION = "autoscaling.alpha.kubernetes.io/metrics"

#: Kinds of Kubernetes itself that have the scale subresource, with the groups that serve them or did.
_SCALABLE = frozenset(
    {
        ("", "ReplicationController"),
        *(("apps", kind) for kind in ("Deployment", "ReplicaSet", "StatefulSet")),
        *(("extensions", kind) for kind in ("Deployment", "ReplicaSet")),
    }
)
#: Kinds of Kubernetes itself that people point autoscalers at, and that cannot be scaled.
_NOT_SCALABLE = frozenset({"CronJob", "DaemonSet", "Job", "Pod"})
_OWN_GROUPS = ("", "apps", "batch", "extensions")
#: Kinds → the group that serves them.
_HOME = dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), "apps") | {
    "ReplicationController": "",
    "Job": "batch",
    "CronJob": "batch",
    "Pod": "",
}
_KEDA = "keda.sh"
_ARGO = "argoproj.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """The target that an autoscaler names. ``path``: from the autoscaler's root to the reference; ``named_at`` to its
    name, and ``wrong_at`` to what is wrong.

    ``wrong``: why no API server finds a kind that can be scaled behind it; empty where one may.
    """

    group: str
    kind: str
    name: str
    path: Path
    wrong: str = ""

    @property
    def named_at(self) -> Path:
        return (*self.path, "name")

    @property
    def wrong_at(self) -> Path:
        return (*self.path, "kind" if self.kind in _NOT_SCALABLE else "apiVersion")

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, read alike from every version of the API.

    ``name``: of the resource, or of the metric. ``container``: for ContainerResource. ``utilization``: the target in
    percent of the requests; None where the target is another. ``value``: the target as a number, total or per pod.
    ``path``: from the autoscaler's root to the metric's entry, or to what stands for it.
    ``stated``: False for the metric that an autoscaler without metrics has.
    """

    type: MetricType
    name: str
    container: str
    utilization: int | None
    value: Fraction | None
    path: Path
    #: To what the target's number is, or would be.
    aim: Path
    stated: bool = True

    @property
    def of_requests(self) -> bool:
        """Whether it compares usage with requests, which therefore must be set."""
        return self.type in ("Resource", "ContainerResource") and self.utilization is not None


@dataclass(frozen=True, slots=True, eq=False)
class HorizontalAutoscaler:
    """A HorizontalPodAutoscaler or a ScaledObject.

    ``minimum`` and ``maximum``: replicas, defaults applied; None where the value is missing and has no default, or is
    no whole number. ``target``: the object that is scaled; None where none of that name is among the inputs.
    ``active``: False for one that is paused. ``made_by``: the autoscaler that this one was made of (KEDA makes an HPA
    of each ScaledObject), where it is among the inputs; it says the same again.
    ``unread``: metrics that are not understood, as paths.
    """

    obj: Object
    namespace: str
    reference: Reference
    target: Object | None
    minimum: int | None
    maximum: int | None
    minimum_path: Path
    maximum_path: Path
    metrics: tuple[Metric, ...]
    unread: tuple[Path, ...] = ()
    active: bool = True
    made_by: Object | None = None

    def __str__(self) -> str:
        return f"{self.obj.ref.kind} {self.namespace}/{self.obj.ref.name}"


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many pods a workload has: at least and at most. ``maximum`` None: no bound is known.

    ``path``: where the smaller number stands, in ``obj``. ``by``: the autoscaler that decides; None: the workload's own
    ``spec.replicas``, or its default.
    """

    minimum: int
    maximum: int | None
    obj: Object
    path: Path
    by: HorizontalAutoscaler | None = None


class Scaling:
    """The autoscalers of an inventory, and what they scale."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        found = [*self._of_hpa(inventory), *self._of_keda(inventory)]
        order = {id(obj): number for number, obj in enumerate(inventory)}
        #: In reading order.
        self.all: tuple[HorizontalAutoscaler, ...] = tuple(sorted(found, key=lambda one: order[id(one.obj)]))
        self._by_target: dict[int, list[HorizontalAutoscaler]] = defaultdict(list)
        for one in self.all:
            if one.target is not None and one.made_by is None:
                self._by_target[id(one.target)].append(one)

    def of(self, obj: Object) -> Sequence[HorizontalAutoscaler]:
        """The autoscalers of an object, those left out that repeat another."""
        return self._by_target.get(id(obj), ())

    def template(self, obj: Object) -> PodTemplate | None:
        """The pods of what is scaled: its own template, or that of the Deployment that an Argo Rollout refers to."""
        referred = workload_behind(self._inventory, obj)
        found = templates_of(referred) if referred is not None else ()
        return found[0] if len(found) == 1 else None

    def replicas(self, obj: Object) -> Replicas | None:
        """The number of pods of a workload that can be scaled; None where it cannot be, or the number is not known.

        Of several autoscalers on one workload the last to act decides, so the widest bounds hold.
        """
        scalers = [one for one in self.of(obj) if one.active and not one.reference.wrong]
        made = operator_replicas(obj)
        if made is not None:
            # What is scaled of a Prometheus are its shards.
            pods = made[0] * made[1]
            return None if scalers else Replicas(pods, pods, obj, ("spec", "replicas"))
        # Its replicas at 0 switch an HPA off (pkg/controller/podautoscaler/horizontal.go, ScalingDisabled).
        off = obj.get("spec", "replicas") == 0 and all(one.minimum != 0 for one in scalers)
        if scalers and not (off and all(one.obj.ref.kind == "HorizontalPodAutoscaler" for one in scalers)):
            if any(one.minimum is None for one in scalers):
                return None
            least = min(scalers, key=lambda one: one.minimum or 0)
            most = [one.maximum for one in scalers]
            bound = None if None in most else max(number for number in most if number is not None)
            return Replicas(least.minimum or 0, bound, least.obj, least.minimum_path, least)
        group, kind = obj.ref.group, obj.ref.kind
        if (group, kind) not in _SCALABLE and (group, kind) != (_ARGO, "Rollout"):
            return None
        stated = obj.get("spec", "replicas")
        number = 1 if stated is None else whole(stated)
        return None if number is None else Replicas(number, number, obj, ("spec", "replicas"))

    def _of_hpa(self, inventory: Inventory) -> Iterator[HorizontalAutoscaler]:
        makers = {(namespace_of(obj), obj.ref.name): obj for obj in inventory.of_kind("ScaledObject", _KEDA)}
        for obj in inventory.of_kind("HorizontalPodAutoscaler"):
            if obj.ref.group not in ("autoscaling", "extensions"):
                continue
            spec = mapping(obj.value.get("spec"))
            field = "scaleTargetRef" if obj.ref.group == "autoscaling" else "scaleRef"
            reference = read_reference(mapping(spec.get(field)), ("spec", field))
            metrics, unread = _metrics(obj, spec)
            owner = next(
                (
                    makers[namespace_of(obj), string(owner.get("name"))]
                    for owner in map(mapping, items(mapping(obj.value.get("metadata")).get("ownerReferences")))
                    if owner.get("kind") == "ScaledObject" and (namespace_of(obj), string(owner.get("name"))) in makers
                ),
                None,
            )
            yield HorizontalAutoscaler(
                obj=obj,
                namespace=namespace_of(obj),
                reference=reference,
                target=resolve(inventory, obj, reference),
                minimum=_whole_or(spec.get("minReplicas"), 1),
                maximum=whole(spec.get("maxReplicas")),
                minimum_path=("spec", "minReplicas"),
                maximum_path=("spec", "maxReplicas"),
                metrics=metrics,
                unread=unread,
                made_by=owner,
            )

    def _of_keda(self, inventory: Inventory) -> Iterator[HorizontalAutoscaler]:
        for obj in inventory.of_kind("ScaledObject", _KEDA):
            spec = mapping(obj.value.get("spec"))
            stated = mapping(spec.get("scaleTargetRef"))
            reference = read_reference({"apiVersion": "apps/v1", "kind": "Deployment", **_set(stated)}, _KEDA_TARGET)
            idle = whole(spec.get("idleReplicaCount"))
            metrics, unread = _triggers(spec)
            annotations = mapping(mapping(obj.value.get("metadata")).get("annotations"))
            yield HorizontalAutoscaler(
                obj=obj,
                namespace=namespace_of(obj),
                reference=reference,
                target=resolve(inventory, obj, reference),
                minimum=_whole_or(spec.get("minReplicaCount"), 0) if idle is None else idle,
                maximum=_whole_or(spec.get("maxReplicaCount"), 100),
                minimum_path=("spec", "minReplicaCount" if idle is None else "idleReplicaCount"),
                maximum_path=("spec", "maxReplicaCount"),
                metrics=metrics,
                unread=unread,
                active=not _paused(annotations),
            )


def _paused(annotations: Mapping[str, Any]) -> bool:
    """scaledobject_types.go, NeedToBePausedByAnnotation; what is no boolean to Go's ParseBool counts as true."""
    if annotations.get("autoscaling.keda.sh/paused-replicas") is not None:
        return True
    said = annotations.get("autoscaling.keda.sh/paused")
    return said is not None and said not in ("0", "f", "F", "false", "False", "FALSE")


_KEDA_TARGET: Path = ("spec", "scaleTargetRef")


def scaling(inventory: Inventory) -> Scaling:
    """The autoscalers of an inventory, resolved."""
    found: Scaling | None = inventory.facts.get(Scaling)
    if found is None:
        found = inventory.facts[Scaling] = Scaling(inventory)
    return found


def nearest_of(inventory: Inventory, group: str, kind: str, near: Object, name: str) -> Object | None:
    """The object of a name in the namespace of ``near``, whether it states the default namespace or none. Of several
    (a tree with a file for each environment) the nearest by folder."""
    spaces: tuple[str | None, ...] = (near.ref.namespace,)
    if near.ref.namespace in (None, DEFAULT_NAMESPACE):
        spaces = (near.ref.namespace, DEFAULT_NAMESPACE if near.ref.namespace is None else None)
    for space in spaces:
        found = inventory.nearest(group, kind, space, name, near.file)
        if found is not None:
            return found
    return None


def resolve(inventory: Inventory, obj: Object, reference: Reference) -> Object | None:
    """The object that an autoscaler's reference means; None where none of that name is among the inputs."""
    groups = [reference.group]
    home = _HOME.get(reference.kind)
    # A reference with a wrong group still says which workload is meant.
    if home is not None and reference.group in _OWN_GROUPS:
        groups += [group for group in (home, "extensions") if group != reference.group]
    found = (nearest_of(inventory, group, reference.kind, obj, reference.name) for group in groups)
    return next((one for one in found if one is not None), None)


def workload_behind(inventory: Inventory, obj: Object) -> Object | None:
    """The object whose template makes the pods: itself, or what the ``workloadRef`` of an Argo Rollout names
    (argoproj/argo-rollouts pkg/apis/rollouts/v1alpha1/types.go, ObjectRef); None where that is not among the inputs."""
    if (obj.ref.group, obj.ref.kind) != (_ARGO, "Rollout") or isinstance(obj.get("spec", "template"), dict):
        return obj
    reference = mapping(obj.get("spec", "workloadRef"))
    if not reference:
        return obj
    group = string(reference.get("apiVersion")).rpartition("/")[0]
    return nearest_of(inventory, group, string(reference.get("kind")), obj, string(reference.get("name")))


def _whole_or(value: Any, default: int) -> int | None:
    return default if value is None else whole(value)


def _set(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: of for key, of in value.items() if of not in (None, "")}


def read_reference(stated: Mapping[str, Any], path: Path) -> Reference:
    """The target that a CrossVersionObjectReference (a decoded mapping) names."""
    api_version = string(stated.get("apiVersion"))
    group, kind, name = api_version.rpartition("/")[0], string(stated.get("kind")), string(stated.get("name"))
    home = _HOME.get(kind)
    wrong = ""
    if kind in _NOT_SCALABLE and group in _OWN_GROUPS:
        wrong = f"a {kind} has no replicas to scale"
    elif home is not None and group != home and group in _OWN_GROUPS:
        served = f"{home}/v1" if home else "v1"
        said = f'apiVersion "{api_version}"' if api_version else "no apiVersion"
        wrong = f"there is no {kind} of {said}: it is {served}"
    return Reference(group, kind, name, path, wrong)


def _metrics(obj: Object, spec: Mapping[str, Any]) -> tuple[tuple[Metric, ...], tuple[Path, ...]]:
    found: list[Metric] = []
    unread: list[Path] = []
    path: Path = ("spec", "metrics")
    entries = items(spec.get("metrics"))
    version = obj.ref.api_version.rpartition("/")[2]
    if version in ("v1", "v1beta1"):
        entries = ()
        annotation: Path = ("metadata", "annotations", _METRICS_ANNOTATION)
        text = obj.get(*annotation)
        if isinstance(text, str):
            try:
                listed = json.loads(text)
            except (ValueError, RecursionError):
                # The API server ignores what it cannot read.
                listed = []
            for entry in items(listed):
                metric = _metric(mapping(entry), annotation)
                found += [metric] if metric is not None else []
                unread += [annotation] if metric is None else []
        own = ("spec", "targetCPUUtilizationPercentage")
        stated = spec.get("targetCPUUtilizationPercentage")
        if obj.ref.group == "extensions":
            own = ("spec", "cpuUtilization")
            stated = mapping(spec.get("cpuUtilization")).get("targetPercentage")
        if stated is not None:
            found.append(Metric("Resource", "cpu", "", whole(stated), None, own, own))
    for number, entry in enumerate(entries):
        metric = _metric(mapping(entry), (*path, number))
        found += [metric] if metric is not None else []
        unread += [(*path, number)] if metric is None else []
    if not found and not unread:
        found.append(Metric("Resource", "cpu", "", DEFAULT_CPU_UTILIZATION, None, path, path, stated=False))
    return tuple(found), tuple(unread)


def _metric(entry: Mapping[str, Any], path: Path) -> Metric | None:
    """A metric of autoscaling/v2 and v2beta2 (``target``), or of v2beta1 (``targetAverageUtilization`` and others)."""
    known = _METRIC_FIELDS.get(string(entry.get("type")))
    if known is None:
        return None
    type_, field = known
    source = mapping(entry.get(field))
    # An Object metric of v2beta1 calls the object that it describes its target.
    target = mapping(source.get("target")) if "describedObject" in source or type_ != "Object" else {}
    utilization = target.get("averageUtilization", source.get("targetAverageUtilization"))
    average = target.get("averageValue", source.get("targetAverageValue", source.get("averageValue")))
    total = target.get("value", source.get("targetValue"))
    of_resource = type_ in ("Resource", "ContainerResource")
    name = source.get("name") if of_resource else mapping(source.get("metric")).get("name", source.get("metricName"))
    if not source or not string(name):
        return None
    return Metric(
        type=type_,
        name=string(name),
        container=string(source.get("container")) if type_ == "ContainerResource" else "",
        utilization=whole(utilization) if of_resource and average is None else None,
        value=parse_quantity(average if average is not None else total),
        path=path,
        aim=_aim(path, field, source),
    )


def _aim(path: Path, field: str, source: Mapping[str, Any]) -> Path:
    # Of two numbers the first of these is the one that counts.
    names = ("averageValue", "averageUtilization", "value")
    target = mapping(source.get("target"))
    found: Path = (field, "target")
    for name in names:
        if target.get(name) is not None:
            found = (field, "target", name)
            break
    else:
        old = ("targetAverageValue", "averageValue", "targetAverageUtilization", "targetValue")
        found = next(((field, name) for name in old if source.get(name) is not None), found)
    return (*path, *found) if isinstance(path[-1], int) else path


def _triggers(spec: Mapping[str, Any]) -> tuple[tuple[Metric, ...], tuple[Path, ...]]:
    """KEDA's scalers for cpu and memory become metrics of its HPA (pkg/scalers/cpu_memory_scaler.go); all others are
    metrics of its own server."""
    found: list[Metric] = []
    unread: list[Path] = []
    for number, entry in enumerate(items(spec.get("triggers"))):
        trigger, path = mapping(entry), ("spec", "triggers", number)
        type_, metadata = string(trigger.get("type")), mapping(trigger.get("metadata"))
        if not type_:
            unread.append(path)
        elif type_ in ("cpu", "memory"):
            container = string(metadata.get("containerName"))
            # ``metadata.type`` is the older place of it.
            aims = string(trigger.get("metricType")) or string(metadata.get("type"))
            number_of = parse_quantity(metadata.get("value"))
            utilization = int(number_of) if aims == "Utilization" and number_of is not None else None
            if aims not in ("Utilization", "AverageValue") or number_of is None:
                unread.append(path)
                continue
            kind: MetricType = "ContainerResource" if container else "Resource"
            found.append(Metric(kind, type_, container, utilization, number_of, path, (*path, "metadata", "value")))
        else:
            found.append(Metric("External", type_, "", None, None, path, path))
    return tuple(found), tuple(unread)
