"""ResourceQuotas: what each limits, which objects it counts, what these count for, and which it refuses unheard.

Sources: kubernetes v1.37.1, pkg/quota/v1/evaluator/core (pods.go, persistent_volume_claims.go, services.go) and
pkg/apis/core/validation/validation.go (ValidateResourceQuotaSpec); k8s.io/apiserver v0.37.1, pkg/quota/v1/generic/
evaluator.go (Matches) and pkg/admission/plugin/resourcequota/controller.go (CheckRequest): every quota of a namespace
that counts an object must admit it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from kubeassay.analysis.quota.pod_resources import (
    POD_LEVEL_SINCE,
    ContainerResources,
    PodResources,
    resource_list,
    resource_quantity,
)
from kubeassay.analysis.quota.resource_names import (
    MUST_BE_STATED,
    OF_DEVICE_CLASS,
    OF_STORAGE_CLASS,
    STANDARD_QUOTA_NAMES,
    is_of_claims,
    is_of_pods,
    is_of_services,
    is_whole,
    pod_usage,
    wrong_quota_name,
)
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.refused import Refused
from kubeassay.analysis.storage.claims import CLASS_ANNOTATION
from kubeassay.model import Object, Path

#: From which minor version on claims are matched by VolumeAttributesClass (a feature that is on since 1.34).
_CLAIM_SCOPES_SINCE = 34
_SCOPES = frozenset(
    {
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "PriorityClass",
        "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    }
)
_OPPOSITES = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_COMPUTE = frozenset({"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})


@dataclass(frozen=True, slots=True)
class Scope:
    """One condition on the objects that a quota counts. ``path``: from the quota's root."""

    name: str
    operator: str
    values: frozenset[str]
    path: Path

    def holds(self, value: str) -> bool:
        """Whether a class's name fulfils it; empty: the object names none."""
        if self.operator == "In":
            return value in self.values if value else False
        if self.operator == "NotIn":
            return value not in self.values if value else True
        return bool(value) == (self.operator == "Exists")


@dataclass(frozen=True, slots=True, eq=False)
class Quota:
    """A ResourceQuota. ``namespace`` is empty where it states none. One that an API server refuses has no effect."""

    obj: Object
    namespace: str
    hard: Mapping[str, Fraction]
    scopes: tuple[Scope, ...]
    refused: tuple[Refused, ...] = ()

    def __str__(self) -> str:
        return str(self.obj.ref)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What scopes ask of a pod."""

    terminating: bool
    best_effort: bool
    priority_class: str
    cross_namespace_affinity: bool


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """What scopes ask of a claim: the VolumeAttributesClasses that it names."""

    attributes_classes: frozenset[str]


def quota(obj: Object) -> Quota:
    """A ResourceQuota object, read."""
    refused: list[Refused] = []
    hard: dict[str, Fraction] = {}
    for name, text in mapping(obj.get("spec", "hard")).items():
        path: Path = ("spec", "hard", name)
        value = resource_quantity(text)
        reason = wrong_quota_name(name)
        if reason:
            refused.append(Refused(path, reason))
        elif value is None:
            refused.append(Refused(path, f"{name} is no quantity"))
        elif value < 0:
            refused.append(Refused(path, f"{name} is below 0"))
        elif is_whole(name) and ceil(value * 1000) % 1000:
            refused.append(Refused(path, f"{name} is no whole number"))
        if value is not None:
            hard[name] = value
    scopes = tuple(_scopes(obj))
    refused += _wrong_scopes(scopes, hard)
    return Quota(obj, obj.ref.namespace or "", hard, scopes, tuple(refused))


def _scopes(obj: Object) -> Iterator[Scope]:
    for number, name in enumerate(items(obj.get("spec", "scopes"))):
        yield Scope(string(name), "Exists", frozenset(), ("spec", "scopes", number))
    path: Path = ("spec", "scopeSelector", "matchExpressions")
    for number, entry in enumerate(items(obj.get(*path))):
        entry = mapping(entry)
        values = frozenset(string(value) for value in items(entry.get("values")))
        yield Scope(string(entry.get("scopeName")), string(entry.get("operator")), values, (*path, number))


def _wrong_scopes(scopes: tuple[Scope, ...], hard: Mapping[str, Fraction]) -> Iterator[Refused]:
    for scope in scopes:
        if scope.name not in _SCOPES:
            yield Refused(scope.path, f'"{scope.name}" is not a scope')
        elif scope.operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield Refused(scope.path, f'a scope has no operator "{scope.operator}"')
        elif scope.name not in ("PriorityClass", "VolumeAttributesClass") and scope.operator != "Exists":
            yield Refused(scope.path, f"scope {scope.name} takes operator Exists alone")
        elif (scope.operator in ("In", "NotIn")) != bool(scope.values):
            needs = "takes no values" if scope.values else "needs values"
            yield Refused(scope.path, f"operator {scope.operator} {needs}")
        wrong = next((name for name in hard if not _goes_with(scope.name, name)), None)
        if wrong is not None:
            yield Refused(scope.path, f"scope {scope.name} does not go with {wrong}")
    # Each of the two lists by itself must not contradict itself; both together may.
    for of in ("scopes", "scopeSelector"):
        named = {scope.name: scope.path for scope in scopes if scope.path[1] == of}
        for first, second in _OPPOSITES:
            if first in named and second in named:
                yield Refused(named[second], f"scopes {first} and {second} contradict each other")


def _goes_with(scope: str, name: str) -> bool:
    """Whether a quota may have both (IsResourceQuotaScopeValidForResource)."""
    standard = name in STANDARD_QUOTA_NAMES or name.startswith(("hugepages-", "requests.hugepages-"))
    if not standard or scope not in _SCOPES:
        return True
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return name == "pods" or name in _COMPUTE


# Which objects a quota counts


def counts_pod(of: Quota, pod: PodFacts, minor: int) -> bool:
    """Whether a quota counts a pod (podEvaluator.Matches)."""
    return any(is_of_pods(name, minor) for name in of.hard) and all(_pod_in(scope, pod) for scope in of.scopes)


def _pod_in(scope: Scope, pod: PodFacts) -> bool:
    if scope.name == "Terminating":
        return pod.terminating
    if scope.name == "NotTerminating":
        return not pod.terminating
    if scope.name == "BestEffort":
        return pod.best_effort
    if scope.name == "NotBestEffort":
        return not pod.best_effort
    if scope.name == "PriorityClass":
        return scope.holds(pod.priority_class)
    return scope.name == "CrossNamespacePodAffinity" and pod.cross_namespace_affinity


def counts_claim(of: Quota, claim: ClaimFacts, minor: int) -> bool:
    """Whether a quota counts a PersistentVolumeClaim (pvcEvaluator.Matches)."""
    if not any(is_of_claims(name) for name in of.hard):
        return False
    names = claim.attributes_classes or {""}
    return all(
        scope.name == "VolumeAttributesClass"
        and minor >= _CLAIM_SCOPES_SINCE
        and any(scope.holds(name) for name in names)
        for scope in of.scopes
    )


def counts_service(of: Quota) -> bool:
    """Whether a quota counts Services: none with a scope does."""
    return not of.scopes and any(is_of_services(name) for name in of.hard)


# What objects count for


def usage_of_pod(pod: PodResources, minor: int) -> dict[str, Fraction]:
    """What a pod counts for that has not ended (PodUsageFunc). One that has ended counts for count/pods alone."""
    return {"count/pods": Fraction(1), **pod_usage(pod.requests, pod.limits, minor)}


def usage_of_claim(claim: Mapping[str, Any]) -> dict[str, Fraction]:
    """What a PersistentVolumeClaim counts for (pvcEvaluator.Usage). ``claim``: a decoded claim, or a template of one.

    A quantity that is none counts as not set.
    """
    spec = mapping(claim.get("spec"))
    usage = {"persistentvolumeclaims": Fraction(1), "count/persistentvolumeclaims": Fraction(1)}
    requested = resource_list(mapping(spec.get("resources")).get("requests")).get("storage")
    storage = None if requested is None else Fraction(ceil(requested))
    if storage is not None:
        # What a volume was expanded to stays in use when the claim asks for less again.
        allocated = resource_list(mapping(claim.get("status")).get("allocatedResources")).get("storage")
        if allocated is not None and allocated > storage:
            storage = Fraction(ceil(allocated))
        usage["requests.storage"] = storage
    name = storage_class(claim)
    if name:
        usage[f"{name}{OF_STORAGE_CLASS}persistentvolumeclaims"] = Fraction(1)
        if storage is not None:
            usage[f"{name}{OF_STORAGE_CLASS}requests.storage"] = storage
    return usage


def storage_class(claim: Mapping[str, Any]) -> str:
    """The StorageClass that a claim names; the annotation of old comes first (GetPersistentVolumeClaimClass)."""
    annotations = mapping(mapping(claim.get("metadata")).get("annotations"))
    beta = annotations.get(CLASS_ANNOTATION, ...)
    return string(mapping(claim.get("spec")).get("storageClassName")) if beta is ... else string(beta)


def wants_default_class(claim: Mapping[str, Any]) -> bool:
    """Whether a claim gets the default StorageClass when it is made (PersistentVolumeClaimHasClass): an empty class is
    one, and what is made already has what it got."""
    metadata = mapping(claim.get("metadata"))
    if metadata.get("uid") is not None or CLASS_ANNOTATION in mapping(metadata.get("annotations")):
        return False
    return mapping(claim.get("spec")).get("storageClassName") is None


def claim_facts(claim: Mapping[str, Any]) -> ClaimFacts:
    """What scopes ask of a claim (getReferencedVolumeAttributesClassNames)."""
    status = mapping(claim.get("status"))
    names = (
        mapping(claim.get("spec")).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        mapping(status.get("modifyVolumeStatus")).get("targetVolumeAttributesClassName"),
    )
    return ClaimFacts(frozenset(name for name in names if isinstance(name, str) and name))


def usage_of_service(service: Mapping[str, Any]) -> dict[str, Fraction]:
    """What a Service counts for (serviceEvaluator.Usage)."""
    spec = mapping(service.get("spec"))
    ports = items(spec.get("ports"))
    type_ = string(spec.get("type"))
    node_ports = 0
    if type_ == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        node_ports = sum(1 for port in ports if mapping(port).get("nodePort"))
    elif type_ in ("NodePort", "LoadBalancer"):
        node_ports = len(ports)
    return {
        "count/services": Fraction(1),
        "services": Fraction(1),
        "services.loadbalancers": Fraction(type_ == "LoadBalancer"),
        "services.nodeports": Fraction(node_ports),
    }


#: As many devices as one request gets at most (k8s.io/api/resource/v1, AllocationResultsMaxSize).
_ALL_DEVICES = 32


def usage_of_resource_claim(spec: Mapping[str, Any]) -> dict[str, Fraction]:
    """What a ResourceClaim of this spec counts for (claimEvaluator.Usage): of alternatives the most of each class."""
    usage = {"count/resourceclaims.resource.k8s.io": Fraction(1)}
    for request in items(mapping(spec.get("devices")).get("requests")):
        request = mapping(request)
        alternatives = items(request.get("firstAvailable"))
        # Until v1beta1 a request is what later stands below ``exactly``.
        choices = alternatives or (request.get("exactly", request),)
        most: dict[str, int] = {}
        for choice in map(mapping, choices):
            name, mode = string(choice.get("deviceClassName")), choice.get("allocationMode") or "ExactCount"
            count = choice.get("count")
            number = count if isinstance(count, int) and not isinstance(count, bool) else 1
            number = _ALL_DEVICES if mode == "All" else number if mode == "ExactCount" else 0
            most[name] = max(most.get(name, 0), number)
        for name, number in most.items():
            key = f"{name}{OF_DEVICE_CLASS}"
            usage[key] = usage.get(key, Fraction(0)) + number
    return usage


# What pods say of themselves


def pod_facts(spec: Mapping[str, Any], pod: PodResources, priority_class: str = "", minor: int = 37) -> PodFacts:
    """What scopes ask of a pod of this spec. ``priority_class``: that of the cluster for pods that name none."""
    deadline = spec.get("activeDeadlineSeconds")
    return PodFacts(
        terminating=isinstance(deadline, int) and not isinstance(deadline, bool) and deadline >= 0,
        best_effort=is_best_effort(pod, minor),
        priority_class=string(spec.get("priorityClassName")) or priority_class,
        cross_namespace_affinity=_crosses_namespaces(mapping(spec.get("affinity"))),
    )


def is_best_effort(pod: PodResources, minor: int) -> bool:
    """Whether a pod promises and bounds no CPU and no memory (ComputePodQOS, pkg/apis/core/v1/helper/qos)."""
    # Before 1.37 a pod that has ``resources`` without anything in it is judged by them, too.
    if pod.level is not None and (pod.level_set or minor < 37):
        return _is_nothing(pod.level.requests, pod.level.limits)
    return all(_is_nothing(container.requests, container.limits) for container in pod.containers)


def _is_nothing(requests: Mapping[str, Fraction], limits: Mapping[str, Fraction]) -> bool:
    return not any(of.get(name) for of in (requests, limits) for name in ("cpu", "memory"))


def _crosses_namespaces(affinity: Mapping[str, Any]) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = mapping(affinity.get(kind))
        required = items(terms.get("requiredDuringSchedulingIgnoredDuringExecution"))
        preferred = items(terms.get("preferredDuringSchedulingIgnoredDuringExecution"))
        for term in (*required, *(mapping(one).get("podAffinityTerm") for one in preferred)):
            term = mapping(term)
            if items(term.get("namespaces")) or isinstance(term.get("namespaceSelector"), dict):
                return True
    return False


def unstated(of: Quota, pod: PodResources, minor: int) -> Iterator[tuple[ContainerResources, str]]:
    """The containers that do not state what a quota makes all state, with the quota's name for it
    (podEvaluator.Constraints): for these it refuses the pod. Only for pods that the quota counts."""
    if minor >= POD_LEVEL_SINCE and pod.level_set:
        return
    wanted = sorted(MUST_BE_STATED & of.hard.keys())
    for container in pod.containers:
        usage = pod_usage(container.requests, container.limits, minor)
        for name in wanted:
            if name not in usage:
                yield container, name
