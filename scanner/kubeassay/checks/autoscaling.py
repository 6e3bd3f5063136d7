"""Autoscalers that do not do what was meant: targets that are not there, metrics without requests, two on one thing,
bounds that contradict each other or what the workload states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from kubeassay.analysis.autoscaling.disruption import disruptions
from kubeassay.analysis.autoscaling.horizontal import HorizontalAutoscaler, Metric, Reference, scaling
from kubeassay.analysis.autoscaling.vertical import VerticalAutoscaler, limit_at, verticals
from kubeassay.analysis.fields import nearest_name
from kubeassay.analysis.mesh.membership import PROXY
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES
from kubeassay.analysis.network.makers import makers_of
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.quantity import parse_quantity, shown
from kubeassay.analysis.quota.injection import injection, proxy_resources
from kubeassay.analysis.quota.limit_ranges import limit_ranges
from kubeassay.analysis.quota.pod_resources import POD_LEVEL_SINCE, PodResources, pod_resources
from kubeassay.analysis.reading import items, mapping, quoted, string, whole
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, PodTemplate
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import shown as listed
from kubeassay.model import Inventory, Object, Path, format_path

#: Containers that a mesh or another webhook adds to pods: no template has them.
INJECTED = frozenset({"daprd", "envoy-sidecar", "istio-init", PROXY, "linkerd-init", "linkerd-proxy", "vault-agent"})

#: From this minor version on an autoscaler may go down to 0 by default (feature HPAScaleToZero).
_SCALE_TO_ZERO_SINCE = 37


def may_meet(first: Object, second: Object) -> bool:
    """Whether two objects may be applied to one cluster: both name their namespace, or the folder of one holds the
    other. Side by side, and without a namespace, they may be for two environments."""
    if first.ref.namespace is not None and second.ref.namespace is not None:
        return True
    folders = [f"{obj.file.rpartition('/')[0]}/" for obj in (first, second)]
    return folders[0].startswith(folders[1]) or folders[1].startswith(folders[0])


# --- targets ---


#: More names than one looks through for what was meant.
_MANY = 1000


class _Targets:
    """What an autoscaler's target may have meant, where none of its name is among the inputs."""

    def __init__(self, inventory: Inventory) -> None:
        self._named: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self._kinds: set[tuple[str, str]] = set()
        self._in: set[str] = set()
        self._workloads: dict[str, list[Object]] = defaultdict(list)
        of_kind: dict[tuple[str, str], set[str]] = defaultdict(set)
        for obj in inventory:
            self._named[obj.ref.kind, obj.ref.name].append(obj)
            self._kinds.add((obj.ref.group, obj.ref.kind))
        for workload in workloads(inventory):
            self._in.add(workload.namespace)
            self._workloads[workload.obj.ref.name].append(workload.obj)
            of_kind[workload.namespace, workload.obj.ref.kind].add(workload.obj.ref.name)
        self._of_kind = {key: sorted(names) for key, names in of_kind.items()}
        self._makers = makers_of(inventory)

    def missing(self, one: HorizontalAutoscaler | VerticalAutoscaler, reference: Reference) -> Violation | NotJudged:
        namespace, obj = one.namespace, one.obj
        others = self._named.get((reference.kind, reference.name), ())
        if any(other.ref.namespace is None or obj.ref.namespace is None for other in others):
            detail = f"{one} and {reference} do not both state their namespace"
            return NotJudged("unknown-namespace", detail, obj)
        others_named = self._workloads.get(reference.name, ())
        of_kind = self._of_kind.get((namespace, reference.kind), ())
        # To look through thousands of names for each of thousands of autoscalers would take too long.
        close = nearest_name(reference.name, of_kind) if len(of_kind) <= _MANY else None
        if close is None:
            # Parts of a name that stand for the whole: gateway, api-gateway.
            parts = [name for name in of_kind[:_MANY] if f"-{reference.name}-" in f"-{name}-"]
            close = parts[0] if len(parts) == 1 else None
        if close is None:
            reason = self._elsewhere(namespace, reference)
            if reason:
                return NotJudged("no-objects", f"{one}: {reason}", obj)
        words = f"{one} has no target: there is no {reference} in namespace {namespace}"
        kinds = sorted({other.ref.kind for other in others_named if namespace_of(other) == namespace})
        if close is not None:
            words = f"{words}; is {close} meant?"
        elif kinds:
            words = f"{words}, but a {kinds[0]} of that name"
        elif others:
            words = f"{words}, but in namespace {others[0].ref.namespace}"
        return Violation(reference.named_at, words, obj=obj)

    def _elsewhere(self, namespace: str, reference: Reference) -> str:
        """Why the target may be there although it is not among the inputs."""
        if namespace not in self._in:
            return f"no workload of namespace {namespace} is among the inputs"
        if namespace in SYSTEM_NAMESPACES:
            return f"what runs in namespace {namespace} is mostly not among the inputs"
        if reference.group not in BUILT_IN_GROUPS and (reference.group, reference.kind) not in self._kinds:
            return f"no {reference.kind} is among the inputs"
        maker = self._makers.of(namespace)
        return f"{maker.ref} may make its target" if maker is not None else ""


@check("autoscaler-target-missing")
def autoscaler_target_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    targets: _Targets | None = None
    every: list[HorizontalAutoscaler | VerticalAutoscaler] = [*scaling(inventory).all, *verticals(inventory).all]
    for one in every:
        reference = one.reference
        if isinstance(one, HorizontalAutoscaler) and one.made_by is not None:
            continue
        if reference is None:
            if one.obj.ref.api_version.endswith("/v1beta1"):
                yield NotJudged("unsupported", f"{one} selects pods by labels, as its old API does", one.obj)
            else:
                yield Violation(("spec", "targetRef"), f"{one} names no target", obj=one.obj)
        elif not reference.name or not reference.kind:
            yield Violation(reference.path, f"{one} names no target", obj=one.obj)
        elif isinstance(one, HorizontalAutoscaler) and reference.wrong:
            yield Violation(reference.wrong_at, f"{one} scales nothing: {reference.wrong}", obj=one.obj)
        elif one.target is not None:
            yield Passed(one.obj)
        else:
            targets = targets or _Targets(inventory)
            yield targets.missing(one, reference)


# --- requests ---


class _Requests:
    """What pods request once the LimitRanges of their namespace have filled in what they do not state."""

    def __init__(self, inventory: Inventory, minor: int) -> None:
        self._inventory = inventory
        self._minor = minor
        self._ranges = limit_ranges(inventory)

    def of(self, template: PodTemplate) -> PodResources:
        return pod_resources(template.spec, minor=self._minor, defaults=self._ranges.defaults(template.obj))

    def missing(self, template: PodTemplate, metric: Metric) -> list[tuple[str, Path]] | None:
        """The containers without a request that a metric needs, and where it would stand; None where the container
        that the metric is about is not there (replica_calculator.go, calculateRequests)."""
        pod = self.of(template)
        at: Path = ("resources", "requests", metric.name)
        if not metric.container and self._of_all(pod):
            return [] if pod.requests.get(metric.name) else [("", (*template.spec_path, *at))]
        running = [container for container in pod.containers if not container.init or container.sidecar]
        if metric.container:
            running = [container for container in running if container.name == metric.container]
            if not running:
                return None
        found = [
            (container.name, (*template.spec_path, *container.path, *at))
            for container in running
            if metric.name not in container.requests
        ]
        if not found and not any(container.requests[metric.name] for container in running):
            # Of nothing at all no part can be told (metrics/utilization.go, GetResourceUtilizationRatio).
            found = [(container.name, (*template.spec_path, *container.path, *at)) for container in running]
        if not metric.container and self._proxy_lacks(template, metric.name):
            found.append((PROXY, (*template.path, "metadata", "annotations")))
        return found

    def unknown(self, template: PodTemplate, metric: Metric) -> str:
        """Why it is not known whether more containers than the template's own run in its pods; empty where it is."""
        if metric.container or self._of_all(self.of(template)):
            return ""
        injected = injection(template, self._inventory)
        if injected.added is not None or (injected.usual and not self._lacks(template, metric.name)):
            return ""
        return injected.words

    def _of_all(self, pod: PodResources) -> bool:
        """Whether the pod as a whole says what it requests, so that containers do not count."""
        return self._minor >= POD_LEVEL_SINCE and pod.level is not None and bool(pod.level.requests)

    def _proxy_lacks(self, template: PodTemplate, resource: str) -> bool:
        """Whether a proxy that Istio adds has no request."""
        return bool(injection(template, self._inventory).added) and self._lacks(template, resource)

    def _lacks(self, template: PodTemplate, resource: str) -> bool:
        """Whether Istio's proxy would have no request: as soon as annotations state some of its resources, the mesh's
        defaults, which have some of both, do not count."""
        resources = proxy_resources(template, self._inventory)
        if resources is None:
            return False
        return all(resource not in mapping(resources.get(of)) for of in ("requests", "limits"))


@check("autoscaler-metric-without-requests")
def autoscaler_metric_without_requests(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A utilization is usage in parts of the requests: where one is missing there is none."""
    facts = scaling(inventory)
    requests = _Requests(inventory, context.kubernetes_version.minor)
    for one in facts.all:
        if one.made_by is not None:
            continue
        metrics = [metric for metric in one.metrics if metric.of_requests]
        clean = not one.unread
        if one.unread:
            yield NotJudged("invalid-object", f"{one} has a metric that is not understood", one.obj)
        if metrics and one.target is None:
            # That is the finding of autoscaler-target-missing, or what it could not judge.
            yield NotApplicable()
            continue
        template = facts.template(one.target) if one.target is not None and metrics else None
        if metrics and template is None:
            yield NotJudged("unsupported", f"the pods of {one.reference}, which {one} scales, are not known", one.obj)
            continue
        for metric in metrics:
            assert template is not None
            found = requests.missing(template, metric)
            unknown = requests.unknown(template, metric) if found == [] else ""
            if found == [] and not unknown:
                continue
            clean = False
            if unknown:
                detail = f"{one} measures all containers of {one.reference}, and {unknown}"
                yield NotJudged("unsupported", detail, one.obj)
                continue
            path = (*metric.path, "containerResource", "container") if metric.container else metric.path
            if found is None and metric.container in INJECTED:
                detail = f"container {metric.container}, which {one} measures, is added to pods when they are made"
                yield NotJudged("unsupported", detail, one.obj)
            elif found is None:
                words = f"{one} measures container {metric.container}, which {one.reference} does not have"
                yield Violation(path, words, obj=one.obj)
            else:
                aim = f"{metric.utilization}% of the {metric.name} request"
                aim = aim if metric.stated else f"{aim}, the default,"
                names = [name for name, _ in found if name]
                of = f"container{'s' if len(names) > 1 else ''} {listed(names)} of {one.reference}"
                words = f"{one} aims at {aim} and cannot tell it: {of if names else one.reference} requests none"
                related = tuple((f"no request of {metric.name}", template.obj, place) for _, place in found[:3])
                yield Violation(metric.path, words, obj=one.obj, related=related)
        if clean:
            yield Passed(one.obj)


# --- two on one ---


@check("autoscalers-on-one-resource")
def autoscalers_on_one_resource(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A vertical autoscaler changes the requests that a horizontal one measures by. One that is Off changes nothing."""
    facts, others = scaling(inventory), verticals(inventory)
    for one in facts.all:
        if one.made_by is not None or one.target is None or one.reference.wrong:
            continue
        clean = not one.unread
        for other in others.of(one.target):
            if other.mode == "Off" or (other.initial and not context.parameters["initial"]):
                clean = clean and other.mode == "Off"
                continue
            if not may_meet(one.obj, other.obj):
                clean = False
                yield NotJudged("unknown-namespace", f"{one} and {other} may be for two environments", one.obj)
                continue
            template = facts.template(one.target)
            if template is None:
                clean = False
                detail = f"the containers of {one.reference}, which {one} and {other} scale, are not known"
                yield NotJudged("unsupported", detail, one.obj)
                continue
            both = sorted(
                {metric.name for metric in one.metrics if metric.of_requests and _controls(other, template, metric)}
            )
            if both:
                clean = False
                words = f"{one} scales {one.reference} by its {' and '.join(both)} request, which {other} changes"
                related = ((f"{other} sets it", other.obj, ("spec", "targetRef", "name")),)
                yield Violation(one.reference.named_at, words, obj=one.obj, related=related)
        if clean:
            yield Passed(one.obj)


def _controls(vertical: VerticalAutoscaler, template: PodTemplate, metric: Metric) -> bool:
    names = [container.name for container in template.containers if container.type in ("container", "sidecar")]
    names = [metric.container] if metric.container else names
    return any(vertical.controls(name, metric.name) for name in names)


@check("several-autoscalers")
def several_autoscalers(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Each works out a number of its own and sets it: the target goes up and down. Of vertical ones the oldest wins."""
    facts, others = scaling(inventory), verticals(inventory)
    found: list[HorizontalAutoscaler | VerticalAutoscaler] = [
        *(one for one in facts.all if one.made_by is None and one.active),
        *(one for one in others.all if one.mode != "Off"),
    ]
    earlier: dict[tuple[int, bool], list[HorizontalAutoscaler | VerticalAutoscaler]] = defaultdict(list)
    for one in found:
        if one.target is None or one.reference is None:
            continue
        rivals = earlier[id(one.target), isinstance(one, HorizontalAutoscaler)]
        # One of the same name is the same one for another environment.
        before = [rival for rival in rivals if _id(rival) != _id(one)]
        before = [rival for rival in before if not _takes_over(rival, one) and not _takes_over(one, rival)]
        if len(rivals) < _COMPARED:
            rivals.append(one)
        other = next((rival for rival in before if may_meet(one.obj, rival.obj)), None)
        if other is not None:
            does = "scales" if isinstance(one, HorizontalAutoscaler) else "sets the resources of"
            words = f"{one} {does} {one.reference}, as {other} does"
            related = ((f"{other} does", other.obj, ("metadata", "name")),)
            yield Violation(one.reference.named_at, words, obj=one.obj, related=related)
        elif before:
            yield NotJudged("unknown-namespace", f"{one} and {before[0]} may be for two environments", one.obj)
        else:
            yield Passed(one.obj)


#: How many autoscalers of one workload are compared with each other.
_COMPARED = 16


def _id(one: HorizontalAutoscaler | VerticalAutoscaler) -> tuple[str, str]:
    return one.obj.ref.kind, one.obj.ref.name


def _takes_over(
    keda: HorizontalAutoscaler | VerticalAutoscaler, other: HorizontalAutoscaler | VerticalAutoscaler
) -> bool:
    """Whether a ScaledObject makes an existing HorizontalPodAutoscaler its own."""
    said = keda.obj.get("metadata", "annotations", "scaledobject.keda.sh/transfer-hpa-ownership")
    name = keda.obj.get("spec", "advanced", "horizontalPodAutoscalerConfig", "name")
    return keda.obj.ref.kind == "ScaledObject" and said == "true" and _id(other) == ("HorizontalPodAutoscaler", name)


# --- bounds ---


@check("autoscaler-bounds")
def autoscaler_bounds(inventory: Inventory, context: Context) -> Iterator[Said]:
    """What an API server, or KEDA's webhook, refuses."""
    zero = context.parameters["scale_to_zero"] or context.kubernetes_version.minor >= _SCALE_TO_ZERO_SINCE
    for one in scaling(inventory).all:
        if one.made_by is not None:
            continue
        wrong = _wrong_bounds(one, scale_to_zero=zero) or _wrong_metric(one) or _wrong_behavior(one)
        if wrong is None:
            yield Passed(one.obj)
        else:
            path, words = wrong
            yield Violation(path, f"{one} is refused: {words}", obj=one.obj)


def _wrong_bounds(one: HorizontalAutoscaler, *, scale_to_zero: bool) -> tuple[Path, str] | None:
    least, most = one.minimum, one.maximum
    low, high = one.minimum_path[-1], one.maximum_path[-1]
    if most is None:
        stated = one.obj.get(*one.maximum_path)
        return one.maximum_path, f"{high} {'is not set' if stated is None else 'is no whole number'}"
    if least is None:
        return one.minimum_path, f"{low} is no whole number"
    if most < 1:
        return one.maximum_path, f"{high} is {most}"
    if least < 0:
        return one.minimum_path, f"{low} is {least}"
    if one.obj.ref.kind == "ScaledObject":
        lowest = one.obj.get("spec", "minReplicaCount")
        # KEDA's HorizontalPodAutoscaler has at least 1, whatever it scales down to itself.
        lowest = max(1, lowest) if isinstance(lowest, int) and not isinstance(lowest, bool) else 0
        if lowest > most:
            return ("spec", "minReplicaCount"), f"minReplicaCount {lowest} is above {high} {most}"
        if one.minimum_path[-1] == "idleReplicaCount" and least >= lowest:
            return one.minimum_path, f"idleReplicaCount {least} is not below minReplicaCount {lowest}"
        return None
    if least > most:
        return one.minimum_path, f"{low} {least} is above {high} {most}"
    if least == 0:
        if not scale_to_zero:
            return one.minimum_path, f"{low} is 0, which the feature HPAScaleToZero allows, and it is off by default"
        if not one.unread and not any(metric.type in ("Object", "External") for metric in one.metrics):
            return one.minimum_path, f"{low} is 0, and no metric is there without pods (Object or External)"
    return None


#: Type of a metric → its field, which numbers its target may have, and whether it takes one alone.
_TARGETS: Mapping[str, tuple[str, tuple[str, ...], bool]] = {
    "Resource": ("resource", ("averageUtilization", "averageValue"), True),
    "ContainerResource": ("containerResource", ("averageUtilization", "averageValue"), True),
    "Pods": ("pods", ("averageValue",), False),
    "Object": ("object", ("value", "averageValue"), False),
    "External": ("external", ("value", "averageValue"), True),
}


def _wrong_metric(one: HorizontalAutoscaler) -> tuple[Path, str] | None:
    """Why an API server refuses a metric of autoscaling/v2 or v2beta2 (validateMetricSpec)."""
    if not one.obj.ref.api_version.endswith(("/v2", "/v2beta2")):
        return None
    for number, entry in enumerate(items(one.obj.get("spec", "metrics"))):
        path: Path = ("spec", "metrics", number)
        known = _TARGETS.get(string(mapping(entry).get("type")))
        if known is None or path in one.unread:
            continue
        field, names, alone = known
        target = mapping(mapping(mapping(entry).get(field)).get("target"))
        at = (*path, field, "target")
        for name in ("averageUtilization", "averageValue", "value"):
            value = target.get(name)
            stated = parse_quantity(value)
            if stated is not None and stated <= 0:
                return (*at, name), f"{name} {value} is not above 0"
        stated_names = [name for name in names if target.get(name) is not None]
        if not stated_names:
            return at, f"a metric of type {mapping(entry)['type']} needs {' or '.join(names)} as its target"
        if alone and len(stated_names) > 1:
            return (*at, stated_names[1]), f"{' and '.join(stated_names)} are both set"
        if target.get("type") not in ("Utilization", "Value", "AverageValue"):
            return (*at, "type"), "the type of a target is Utilization, Value or AverageValue"
    return None


#: Seconds that a behavior may look back, and that the period of a policy may last (pkg/apis/autoscaling/validation).
_LONGEST_WINDOW, _LONGEST_PERIOD = 3600, 1800


def _wrong_behavior(one: HorizontalAutoscaler) -> tuple[Path, str] | None:
    """Why an API server refuses how fast an autoscaler acts (validateScalingRules)."""
    if not one.obj.ref.api_version.endswith(("/v2", "/v2beta2")):
        return None
    for way in ("scaleUp", "scaleDown"):
        rules, path = mapping(one.obj.get("spec", "behavior", way)), ("spec", "behavior", way)
        window = whole(rules.get("stabilizationWindowSeconds"))
        if window is not None and not 0 <= window <= _LONGEST_WINDOW:
            return (*path, "stabilizationWindowSeconds"), f"a window of {window} seconds is not 0 to {_LONGEST_WINDOW}"
        if rules.get("policies") == []:
            return (*path, "policies"), f"{way} has no policy; selectPolicy Disabled switches it off"
        for number, policy in enumerate(map(mapping, items(rules.get("policies")))):
            at: Path = (*path, "policies", number)
            value, period = whole(policy.get("value")), whole(policy.get("periodSeconds"))
            if value is not None and value < 1:
                return (*at, "value"), f"value {value} of a policy is not above 0"
            if period is not None and not 0 < period <= _LONGEST_PERIOD:
                return (*at, "periodSeconds"), f"a period of {period} seconds is not 1 to {_LONGEST_PERIOD}"
    return None


@check("autoscaler-without-range")
def autoscaler_without_range(inventory: Inventory, context: Context) -> Iterator[Said]:
    for one in scaling(inventory).all:
        if one.made_by is not None or one.minimum is None or one.maximum is None or one.minimum > one.maximum:
            continue
        if one.minimum == one.maximum:
            words = f"{one} scales nothing: it has at least {one.minimum} and at most {one.maximum} replicas"
            yield Violation(one.maximum_path, words, obj=one.obj)
        else:
            yield Passed(one.obj)


@check("replicas-stated-and-autoscaled")
def replicas_stated_and_autoscaled(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = scaling(inventory)
    told: set[int] = set()
    for one in facts.all:
        target = one.target
        if target is None or one.made_by is not None or not one.active or one.reference.wrong or id(target) in told:
            continue
        told.add(id(target))
        # In a cluster the number always stands there; and 0 stops a workload, whoever scales it.
        stated = target.get("spec", "replicas")
        if target.get("metadata", "uid") is not None or stated == 0:
            yield NotApplicable()
        elif stated is None:
            yield Passed(target)
        else:
            number = f"{stated} replica{'' if stated == 1 else 's'}"
            words = f"{target.ref} states {number}, and {one} sets their number: applying it again resets it"
            related = ((f"{one} scales it", one.obj, one.reference.named_at),)
            yield Violation(("spec", "replicas"), words, obj=target, related=related)


@check("autoscaler-metrics-differ")
def autoscaler_metrics_differ(inventory: Inventory, context: Context) -> Iterator[Said]:
    """The metrics that a document says, whatever their order and the version of the API; and no others, for the one
    that asks for most replicas decides."""
    wanted = [_wanted_metric(mapping(entry)) for entry in context.parameters["metrics"]]
    for one in scaling(inventory).all:
        if not wanted:
            yield NotApplicable()
            continue
        if one.made_by is not None:
            continue
        clean = not one.unread
        for path in one.unread:
            yield NotJudged(
                "invalid-object", f"{one} has a metric that is not understood: {format_path(path)}", one.obj
            )
        missing = dict.fromkeys(wanted)
        for metric in one.metrics:
            own = _Metric(metric.type, metric.name, metric.container, metric.utilization, _value(metric))
            if own in missing:
                del missing[own]
                continue
            near = next((m for m in missing if m[:3] == own[:3]), None)
            clean = False
            if near is None:
                said = "is not documented" if metric.stated else "is what it has without metrics, and not documented"
                yield Violation(metric.aim, f"metric {own} of {one} {said}", obj=one.obj)
            else:
                del missing[near]
                yield Violation(metric.aim, f"{one} aims at {own}; {near} is documented", obj=one.obj)
        for lacking in missing:
            clean = False
            yield Violation(("spec", "metrics"), f"{one} lacks the documented metric {lacking}", obj=one.obj)
        if clean:
            yield Passed(one.obj)


class _Metric(NamedTuple):
    type: str
    name: str
    container: str
    utilization: int | None
    value: Fraction | None

    def __str__(self) -> str:
        of = f"{self.name} of container {self.container}" if self.container else self.name
        if self.utilization is not None:
            return f"{of} at {self.utilization}%"
        return of if self.value is None else f"{of} at {shown(self.name, self.value)}"


def _value(metric: Metric) -> Fraction | None:
    return metric.value if metric.utilization is None else None


def _wanted_metric(entry: Mapping[str, Any]) -> _Metric:
    utilization, value = entry.get("utilization"), parse_quantity(entry.get("value"))
    return _Metric(str(entry["type"]), str(entry["name"]), str(entry.get("container", "")), utilization, value)


# --- vertical autoscalers ---


@check("vpa-bounds")
def vpa_bounds(inventory: Inventory, context: Context) -> Iterator[Said]:
    for one in verticals(inventory).all:
        clean = True
        for policy in one.policies:
            for resource, least in policy.minimum.items():
                most = policy.maximum.get(resource)
                if most is not None and least > most:
                    clean = False
                    words = f"{one} is refused: minAllowed {resource} {shown(resource, least)} is above its maxAllowed"
                    path = (*policy.path, "minAllowed", resource)
                    yield Violation(path, f"{words} {shown(resource, most)}", container=policy.name, obj=one.obj)
        if clean:
            yield Passed(one.obj)


@dataclass(frozen=True, slots=True)
class _Sized:
    """A vertical autoscaler that sets resources, with the pods that it sets them for."""

    autoscaler: VerticalAutoscaler
    template: PodTemplate


def _sized(inventory: Inventory) -> Iterator[_Sized | NotJudged | NotApplicable]:
    """The vertical autoscalers that set something. That one has no target is the finding of autoscaler-target-missing,
    or what it could not judge."""
    facts = scaling(inventory)
    for one in verticals(inventory).all:
        if one.mode == "Off":
            continue
        template = facts.template(one.target) if one.target is not None else None
        if one.target is None:
            yield NotApplicable()
        elif template is None:
            yield NotJudged("no-objects", f"the containers that {one} is for are not known", one.obj)
        else:
            yield _Sized(one, template)


@check("vpa-maximum-above-limit")
def vpa_maximum_above_limit(inventory: Inventory, context: Context) -> Iterator[Said]:
    """With RequestsOnly a recommendation is cut at the limit. Otherwise the limit follows the request: the maximum is
    the only bound, and what is planned for the container is none."""
    requests = _Requests(inventory, context.kubernetes_version.minor)
    planned = {name: parse_quantity(text) for name, text in context.parameters["limits"].items()}
    for found in _sized(inventory):
        if not isinstance(found, _Sized):
            yield found
            continue
        one, clean = found.autoscaler, True
        told: set[Path] = set()
        for container in requests.of(found.template).containers:
            policy = one.policy(container.name)
            if (container.init and not container.sidecar) or policy is None or policy.off or policy.requests_only:
                continue
            for resource in policy.controlled:
                most = policy.maximum.get(resource)
                limit = planned.get(resource, container.limits.get(resource))
                path = (*policy.path, "maxAllowed", resource)
                if most is None or not limit or most <= limit or path in told:
                    continue
                told.add(path)
                clean = False
                whose = "the planned limit" if resource in planned else "its limit"
                words = (
                    f"{one} may raise the {resource} request of container {container.name} to"
                    f" {shown(resource, most)}, above {whose} {shown(resource, limit)}"
                )
                grown = limit_at(container.requests.get(resource), container.limits.get(resource), most)
                if grown is not None:
                    words = f"{words}; its limit then is {shown(resource, _milli(grown))}"
                place = (*found.template.spec_path, *container.path, "resources", "limits", resource)
                related = ((f"limit of container {container.name}", found.template.obj, place),)
                yield Violation(path, words, container=container.name, obj=one.obj, related=related)
        if clean:
            yield Passed(one.obj)


def _milli(value: Fraction) -> Fraction:
    """A quantity of which thirds and the like are not shown."""
    return value if (value * 1000).denominator == 1 else Fraction(round(value * 1000), 1000)


@check("vpa-maximum-missing")
def vpa_maximum_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    for found in _sized(inventory):
        if not isinstance(found, _Sized):
            yield found
            continue
        one, without = found.autoscaler, []
        for container in found.template.containers:
            policy = one.policy(container.name)
            if container.type not in ("container", "sidecar") or (policy is not None and policy.requests_only):
                continue
            names = [name for name in ("cpu", "memory") if one.controls(container.name, name)]
            if any(policy is None or name not in policy.maximum for name in names):
                without.append((container.name, ("spec", "resourcePolicy") if policy is None else policy.path))
        if not without:
            yield Passed(one.obj)
        for name, path in without[:1]:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            words = f"{one} has no maximum for container {name}{more}: its requests and limits grow without bound"
            yield Violation(path, words, container=name, obj=one.obj)


@check("vpa-policy-names-no-container")
def vpa_policy_names_no_container(inventory: Inventory, context: Context) -> Iterator[Said]:
    for found in _sized(inventory):
        if not isinstance(found, _Sized):
            yield found
            continue
        one, clean = found.autoscaler, True
        known = [container.name for container in found.template.containers]
        for policy in one.policies:
            if policy.name == "*" or policy.name in known or policy.name in INJECTED:
                continue
            close = nearest_name(policy.name, known)
            if policy.off and close is None:
                # It leaves a container alone that a webhook may add.
                continue
            clean = False
            words = f"{one} has a policy for container {quoted(policy.name)}, which {one.reference} does not have"
            words += f"; is {close} meant?" if close is not None else f": it has {listed(known)}"
            yield Violation((*policy.path, "containerName"), words, container=policy.name, obj=one.obj)
        if clean:
            yield Passed(one.obj)


@check("vpa-evicts-without-budget")
def vpa_evicts_without_budget(inventory: Inventory, context: Context) -> Iterator[Said]:
    facts = disruptions(inventory)
    by_object: Mapping[int, Workload] = {id(workload.obj): workload for workload in workloads(inventory)}
    for one in verticals(inventory).all:
        if not one.evicts or (one.target is not None and one.target.ref.kind in ("DaemonSet", "Job", "CronJob")):
            continue
        if one.target is None:
            yield NotApplicable()
            continue
        workload = by_object.get(id(one.target))
        if workload is None:
            yield NotJudged("no-objects", f"the pods that {one} may evict are not known", one.obj)
            continue
        budgets = facts.of(workload)
        if any(facts.selects(budget, workload) for budget in budgets):
            yield Passed(one.obj)
            continue
        if budgets:
            detail = f"whether {budgets[0]} selects the pods that {one} may evict depends on labels that nothing tells"
            yield NotJudged("unknown-labels", detail, one.obj)
            continue
        words = f"{one} evicts pods of {workload} to resize them, and no PodDisruptionBudget bounds how many"
        yield Violation(("spec", "updatePolicy", "updateMode"), words, obj=one.obj)
