"""What a pod requests and may use at most, as the API server stores it and quotas and the scheduler count it.

Sources: k8s.io/component-helpers v0.37.1, resource/helpers.go (PodRequests, PodLimits: the greater of what runs at once
and of what each init container needs while it runs, with the sidecars that were started before it; what the pod states
as a whole instead; the runtime's overhead); kubernetes v1.37.1, pkg/apis/core/v1/defaults.go (SetDefaults_Pod: a
request that is not set equals the limit) and pkg/api/pod/util.go (DefaultPodLevelResources).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Any, Literal

from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import NEWEST_KNOWN, Path

#: Name of a resource (``cpu``, ``memory``, ``hugepages-2Mi``, ``example.com/gpu``) → cores, bytes or a count.
Resources = Mapping[str, Fraction]

#: The minor version from which on an init container with restartPolicy Always is a sidecar (feature SidecarContainers,
#: on since 1.29); before, the field is dropped.
SIDECARS_SINCE = 29
#: From which on ``spec.resources`` of a pod counts (feature PodLevelResources, on since 1.34); before, it is dropped.
POD_LEVEL_SINCE = 34
#: From which on it is completed after admission has set the containers' defaults, limits included (feature
#: PodLevelResourcesFixDefaulting); before, as soon as the pod is read.
_POD_LEVEL_LATE_SINCE = 37

_NONE: Resources = {}


@dataclass(frozen=True, slots=True)
class ContainerResources:
    """What one container requests and may use at most. ``path``: from the pod spec to the container. A request that is
    not set and has a limit equals it. ``defaulted``: the limits that a LimitRange gives it."""

    name: str
    path: Path
    init: bool
    sidecar: bool
    requests: Resources
    limits: Resources
    defaulted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PodLevel:
    """What a pod requests and may use at most as a whole (its ``spec.resources``)."""

    requests: Resources
    limits: Resources


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a LimitRange gives containers that state nothing."""

    requests: Resources = field(default_factory=dict)
    limits: Resources = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodResources:
    """What a pod requests and may use at most in all.

    ``requests`` and ``limits`` count overhead; ``level`` is None where the pod states nothing as a whole. ``invalid``:
    paths (from the pod spec) of what is no quantity, for which an API server refuses the pod; it counts as not set.
    """

    containers: tuple[ContainerResources, ...]
    level: PodLevel | None
    overhead: Resources
    requests: Resources
    limits: Resources
    invalid: tuple[Path, ...] = ()

    @property
    def level_set(self) -> bool:
        """Whether the pod as a whole states a resource that it can state (IsPodLevelResourcesSet)."""
        level = self.level
        return level is not None and any(is_pod_level(name) for name in (*level.requests, *level.limits))


def is_pod_level(name: str) -> bool:
    """Whether a pod can state a resource as a whole (IsSupportedPodLevelResource)."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def resource_quantity(value: Any) -> Fraction | None:
    """A quantity in a ResourceList; None for what is none. A null is the quantity 0, as in Kubernetes' decoder."""
    quantity = Fraction(0) if value is None else parse_quantity(value)
    return None if quantity is None else _rounded(quantity)


def _rounded(quantity: Fraction) -> Fraction:
    """An API server rounds to thousandths, away from zero (pkg/apis/core/v1/defaults.go, SetDefaults_ResourceList)."""
    if quantity.denominator == 1:
        return quantity
    thousandths = ceil(abs(quantity) * 1000)
    return Fraction(thousandths if quantity >= 0 else -thousandths, 1000)


def resource_list(value: Any, path: Path = (), invalid: list[Path] | None = None) -> dict[str, Fraction]:
    """A decoded ResourceList, as an API server stores it. Paths of what is no quantity are added to ``invalid``."""
    return _all_rounded(_stated_list(value, path, [] if invalid is None else invalid))


def _all_rounded(resources: Resources) -> dict[str, Fraction]:
    return {name: _rounded(value) for name, value in resources.items()}


def _stated_list(value: Any, path: Path, invalid: list[Path]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for name, text in mapping(value).items():
        quantity = Fraction(0) if text is None else parse_quantity(text)
        if quantity is not None:
            found[name] = quantity
        else:
            invalid.append((*path, name))
    return found


def pod_resources(
    spec: Mapping[str, Any],
    *,
    minor: int = NEWEST_KNOWN.minor,
    defaults: Iterable[Defaults] = (),
    overhead: Resources | None = None,
) -> PodResources:
    """What a pod of this spec (a decoded PodSpec) requests and may use at most on Kubernetes 1.``minor``.

    ``defaults``: those of the namespace's LimitRanges, in the order in which they are applied. ``overhead``: that of
    the pod's RuntimeClass; None takes the one that the spec states. Ephemeral containers have no resources.
    """
    invalid: list[Path] = []
    containers = list(_containers(spec, minor, invalid))
    level = _level(spec, invalid) if minor >= POD_LEVEL_SINCE else None
    if level is not None and minor < _POD_LEVEL_LATE_SINCE:
        level = _with_requests(level, containers, late=False)
    # What follows from containers was computed before they are rounded (SetDefaults_Pod comes first).
    containers = [
        replace(one, requests=_all_rounded(one.requests), limits=_all_rounded(one.limits)) for one in containers
    ]
    if level is not None:
        level = PodLevel(_all_rounded(level.requests), _all_rounded(level.limits))
    for given in defaults:
        containers = [_with_defaults(container, given) for container in containers]
    if level is not None and minor >= _POD_LEVEL_LATE_SINCE:
        level = _with_limits(_with_requests(level, containers, late=True), containers)
    if overhead is None:
        overhead = resource_list(spec.get("overhead"), ("overhead",), invalid)
    requests = aggregate(containers, "requests")
    limits = aggregate(containers, "limits")
    if level is not None:
        requests.update((name, value) for name, value in level.requests.items() if is_pod_level(name))
        limits.update((name, value) for name, value in level.limits.items() if is_pod_level(name))
    _add(requests, overhead)
    # A limit that is not set, or is 0, sets no bound that the overhead would have to be added to.
    _add(limits, {name: value for name, value in overhead.items() if limits.get(name)})
    return PodResources(tuple(containers), level, overhead, requests, limits, tuple(invalid))


def aggregate(containers: Iterable[ContainerResources], of: Literal["requests", "limits"]) -> dict[str, Fraction]:
    """What containers need in all (AggregateContainerRequests, AggregateContainerLimits)."""
    running: dict[str, Fraction] = {}
    sidecars: dict[str, Fraction] = {}
    starting: dict[str, Fraction] = {}
    for container in containers:
        resources: Resources = container.requests if of == "requests" else container.limits
        if not container.init:
            _add(running, resources)
        elif container.sidecar:
            _add(running, resources)
            _add(sidecars, resources)
            _raise(starting, sidecars)
        else:
            alone = dict(resources)
            _add(alone, sidecars)
            _raise(starting, alone)
    _raise(running, starting)
    return running


def _containers(spec: Mapping[str, Any], minor: int, invalid: list[Path]) -> Iterator[ContainerResources]:
    for name, init in (("containers", False), ("initContainers", True)):
        for number, container in enumerate(items(spec.get(name))):
            container = mapping(container)
            stated = mapping(container.get("resources"))
            path: Path = (name, number)
            limits = _stated_list(stated.get("limits"), (*path, "resources", "limits"), invalid)
            requests = _stated_list(stated.get("requests"), (*path, "resources", "requests"), invalid)
            yield ContainerResources(
                string(container.get("name")),
                path,
                init,
                init and minor >= SIDECARS_SINCE and container.get("restartPolicy") == "Always",
                {**limits, **requests},
                limits,
            )


def _level(spec: Mapping[str, Any], invalid: list[Path]) -> PodLevel | None:
    stated = spec.get("resources")
    if not isinstance(stated, dict):
        return None
    path: Path = ("resources",)
    return PodLevel(
        _stated_list(stated.get("requests"), (*path, "requests"), invalid),
        _stated_list(stated.get("limits"), (*path, "limits"), invalid),
    )


def _with_defaults(container: ContainerResources, given: Defaults) -> ContainerResources:
    requests, limits = {**given.requests, **container.requests}, {**given.limits, **container.limits}
    defaulted = container.defaulted | (given.limits.keys() - container.limits.keys())
    return replace(container, requests=requests, limits=limits, defaulted=defaulted)


def _with_requests(level: PodLevel, containers: Iterable[ContainerResources], *, late: bool) -> PodLevel:
    """The pod's own limits of huge pages, then its own requests, that follow from its containers' and from its limits
    (defaultHugePagePodLimits and defaultPodRequests; from 1.37 on theirs called …PodLevel…)."""
    if not level.requests and not level.limits:
        return level
    containers = tuple(containers)
    requests, limits = dict(level.requests), dict(level.limits)
    for name, value in aggregate(containers, "limits").items():
        if name.startswith("hugepages-") and name not in requests:
            limits.setdefault(name, value)
    if limits or late:
        for name, value in aggregate(containers, "requests").items():
            if name in ("cpu", "memory"):
                requests.setdefault(name, value)
        for name, value in limits.items():
            if is_pod_level(name):
                requests.setdefault(name, value)
    return PodLevel(requests, limits)


def _with_limits(level: PodLevel, containers: Iterable[ContainerResources]) -> PodLevel:
    """The pod's own limits that follow from its containers', where each of them has one (defaultPodLevelLimits)."""
    containers = tuple(containers)
    sums = aggregate(containers, "limits")
    limits = dict(level.limits)
    for name, request in level.requests.items():
        if is_pod_level(name) and name in sums and all(name in container.limits for container in containers):
            limits.setdefault(name, max(request, sums[name]))
    return PodLevel(level.requests, limits)


def _add(total: dict[str, Fraction], more: Resources) -> None:
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value


def _raise(total: dict[str, Fraction], other: Resources) -> None:
    for name, value in other.items():
        if name not in total or value > total[name]:
            total[name] = value
