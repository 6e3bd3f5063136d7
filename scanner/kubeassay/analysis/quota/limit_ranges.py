"""LimitRanges: what they give containers that state nothing, and what they refuse.

Sources: kubernetes v1.37.1, plugin/pkg/admission/limitranger/admission.go; pkg/apis/core/v1/defaults.go
(SetDefaults_LimitRangeItem); pkg/apis/core/validation/validation.go (ValidateLimitRange). They act when a pod or a
claim is made, and on no workload.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, inf
from typing import Any, Literal, Protocol, TypeVar

from kubeassay.analysis.environments import nearest
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.quantity import shown
from kubeassay.analysis.quota.pod_resources import (
    ContainerResources,
    Defaults,
    PodResources,
    Resources,
    aggregate,
    resource_list,
)
from kubeassay.analysis.quota.resource_names import is_overcommitted, wrong_limit_name
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.refused import Refused
from kubeassay.model import Inventory, Object, Path

#: ``default``: the API server refuses a request above the limit, and the limit is the LimitRange's default.
Constraint = Literal["min", "max", "maxLimitRequestRatio", "default"]
_TYPES = ("Container", "Pod", "PersistentVolumeClaim")
_LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")

#: Beyond it values are compared as whole numbers, not in thousandths (resource.MaxMilliValue).
_MAX_MILLI_VALUE = ((1 << 63) - 1) // 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """One entry of a LimitRange, its defaults filled in. ``path``: from the object's root to the entry."""

    type: str
    path: Path
    min: Resources = field(default_factory=dict)
    max: Resources = field(default_factory=dict)
    default: Resources = field(default_factory=dict)
    default_request: Resources = field(default_factory=dict)
    ratio: Resources = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LimitRange:
    """A LimitRange. One that an API server refuses (``refused``) has no effect."""

    obj: Object
    limits: tuple[Limit, ...]
    refused: tuple[Refused, ...] = ()

    def __str__(self) -> str:
        return str(self.obj.ref)

    @property
    def defaults(self) -> Defaults:
        """What containers get that state nothing (defaultContainerResourceRequirements)."""
        requests: dict[str, Fraction] = {}
        limits: dict[str, Fraction] = {}
        for limit in self.limits:
            if limit.type == "Container":
                requests.update(limit.default_request)
                limits.update(limit.default)
        return Defaults(requests, limits)


@dataclass(frozen=True, slots=True)
class Breach:
    """Why a LimitRange refuses a pod or a claim. ``path``: from the LimitRange's root to the bound; ``container``:
    None for the pod as a whole, or a claim. ``at``: "request" or "limit", what is at fault."""

    limit_range: LimitRange
    path: Path
    constraint: Constraint
    resource: str
    container: ContainerResources | None
    at: Literal["request", "limit"]
    words: str


class _Refusable(Protocol):
    @property
    def obj(self) -> Object: ...
    @property
    def refused(self) -> tuple[Refused, ...]: ...


_T = TypeVar("_T", bound=_Refusable)


def in_effect(things: Sequence[_T], file: str) -> list[_T]:
    """The quotas, or limit ranges, of a namespace that act on what a file states: the nearest of each name, without
    those that an API server refuses."""
    return [one for one in nearest(things, file) if not one.refused]


class LimitRanges:
    """The LimitRanges of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        #: In reading order.
        self.all = tuple(map(limit_range, inventory.of_kind("LimitRange", "")))
        self._by_namespace: dict[str, list[LimitRange]] = defaultdict(list)
        for one in self.all:
            self._by_namespace[namespace_of(one.obj)].append(one)

    def defaults(self, obj: Object) -> list[Defaults]:
        """What the containers get that an object makes, in reading order."""
        return [one.defaults for one in in_effect(self._by_namespace.get(namespace_of(obj), ()), obj.file)]


def limit_ranges(inventory: Inventory) -> LimitRanges:
    """The LimitRanges of an inventory, read."""
    found: LimitRanges | None = inventory.facts.get(LimitRanges)
    if found is None:
        found = inventory.facts[LimitRanges] = LimitRanges(inventory)
    return found


def limit_range(obj: Object) -> LimitRange:
    """A LimitRange object, read."""
    refused: list[Refused] = []
    limits: list[Limit] = []
    types: set[str] = set()
    for number, entry in enumerate(items(obj.get("spec", "limits"))):
        entry = mapping(entry)
        path: Path = ("spec", "limits", number)
        limit = _limit(entry, path, refused)
        if limit.type not in _TYPES:
            refused.append(Refused((*path, "type"), f'"{limit.type}" is not a type of limits'))
        elif limit.type in types:
            refused.append(Refused((*path, "type"), f"type {limit.type} stands twice"))
        types.add(limit.type)
        refused += _wrong(limit, entry)
        limits.append(limit)
    return LimitRange(obj, tuple(limits), tuple(refused))


def _limit(entry: Mapping[str, Any], path: Path, refused: list[Refused]) -> Limit:
    invalid: list[Path] = []
    low, high, default, request, ratio = (
        resource_list(entry.get(name), (*path, name), invalid)
        for name in ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")
    )
    refused += [Refused(at, f"{at[-1]} is no quantity") for at in invalid]
    type_ = string(entry.get("type"))
    if type_ == "Container":
        default = {**high, **default}
        request = {**low, **default, **request}
    return Limit(type_, path, low, high, default, request, ratio)


def _wrong(limit: Limit, entry: Mapping[str, Any]) -> Iterator[Refused]:
    """Why an API server refuses an entry (ValidateLimitRange)."""
    path = limit.path
    for name in _LISTS:
        if limit.type == "Pod" and name in ("default", "defaultRequest"):
            if mapping(entry.get(name)):
                yield Refused((*path, name), f"{name} is not for type Pod")
            continue
        for resource in mapping(entry.get(name)):
            reason = wrong_limit_name(resource, limit.type)
            if reason:
                yield Refused((*path, name, resource), reason)
    if limit.type == "PersistentVolumeClaim" and "storage" not in limit.min and "storage" not in limit.max:
        yield Refused(path, "a limit on claims needs min or max of storage")
    default = {} if limit.type == "Pod" else limit.default
    request = {} if limit.type == "Pod" else limit.default_request
    for names, low, high in (
        (("min", "max"), limit.min, limit.max),
        (("min", "defaultRequest"), limit.min, request),
        (("defaultRequest", "max"), request, limit.max),
        (("defaultRequest", "default"), request, default),
        (("min", "default"), limit.min, default),
        (("default", "max"), default, limit.max),
    ):
        for resource, value in low.items():
            if resource in high and value > high[resource]:
                # What was filled in stands nowhere: the one that is stated is shown.
                shown = next((name for name in names if resource in mapping(entry.get(name))), names[0])
                yield Refused((*path, shown, resource), f"{names[0]} of {resource} is above its {names[1]}")
    for resource, value in limit.ratio.items():
        if value < 1:
            yield Refused((*path, "maxLimitRequestRatio", resource), f"the ratio of {resource} is below 1")
        if resource in limit.min and resource in limit.max:
            bounds = _comparable(limit.min[resource], limit.max[resource], value)
            bound = bounds[1] / bounds[0] if bounds[0] else inf
            if float(value) > bound:
                words = f"the ratio of {resource} is above that of max to min"
                yield Refused((*path, "maxLimitRequestRatio", resource), words)
    for resource, value in request.items():
        if not is_overcommitted(resource) and resource in default and default[resource] != value:
            yield Refused((*path, "defaultRequest", resource), f"default and defaultRequest of {resource} differ")


def _comparable(*values: Fraction) -> tuple[int, ...]:
    """Values in thousandths, or where one is too large for that, as whole numbers; both rounded up
    (requestLimitEnforcedValues)."""
    whole = [ceil(value) for value in values]
    if all(value <= _MAX_MILLI_VALUE for value in whole):
        return tuple(ceil(value * 1000) for value in values)
    return tuple(whole)


_ZERO = Fraction(0)


def pod_breaches(ranges: Sequence[LimitRange], pod: PodResources) -> Iterator[Breach]:
    """Why LimitRanges refuse a pod whose containers have their defaults already (PodValidateLimitFunc)."""
    for limits in ranges:
        for limit in limits.limits:
            if limit.type == "Container":
                for container in pod.containers:
                    yield from _breaches(limits, limit, container.requests, container.limits, container)
            elif limit.type == "Pod":
                requests, most = aggregate(pod.containers, "requests"), aggregate(pod.containers, "limits")
                if pod.level is not None:
                    # Huge pages of the pod as a whole, and overhead, do not count here.
                    requests.update((n, v) for n, v in pod.level.requests.items() if n in ("cpu", "memory"))
                    most.update((n, v) for n, v in pod.level.limits.items() if n in ("cpu", "memory"))
                yield from _breaches(limits, limit, requests, most, None)


def defaulted_breaches(ranges: Sequence[LimitRange], pod: PodResources) -> Iterator[Breach]:
    """Why an API server refuses a pod for what LimitRanges made of it: a container that states a request and no limit
    is given one that does not go with it (ValidateResourceRequirements), or with what the pod may use as a whole
    (validatePodResourceConsistency)."""
    whole: Resources = pod.level.limits if pod.level is not None else {}
    containers = [limit for limits in ranges for limit in limits.limits if limit.type == "Container"]
    for container in pod.containers:
        for resource in sorted(container.defaulted & container.requests.keys()):
            request, most = container.requests[resource], container.limits[resource]
            if request == most or (request < most and is_overcommitted(resource)):
                continue
            if any(resource in limit.max and request > limit.max[resource] for limit in containers):
                # It is above a bound that is stated, too.
                continue
            given = _giver(ranges, resource, most)
            if given is not None:
                compared = "above" if request > most else "not as much as"
                words = f"requests {shown(resource, request)} of {resource}, {compared} the limit of"
                words = f"{words} {shown(resource, most)} that it is given"
                yield Breach(*given, "default", resource, container, "request", words)
        for resource in () if container.init else sorted(container.defaulted & whole.keys()):
            most = container.limits[resource]
            given = _giver(ranges, resource, most) if most > whole[resource] else None
            if given is not None:
                words = f"is given a {resource} limit of {shown(resource, most)}, above that of its pod,"
                words = f"{words} {shown(resource, whole[resource])},"
                yield Breach(*given, "default", resource, container, "limit", words)


def _giver(ranges: Sequence[LimitRange], resource: str, value: Fraction) -> tuple[LimitRange, Path] | None:
    """The LimitRange that gives containers a limit of a resource, and where it says so."""
    for limits in ranges:
        given = [limit for limit in limits.limits if limit.type == "Container" and resource in limit.default]
        if given and given[-1].default[resource] == value:
            stated = mapping(limits.obj.get(*given[-1].path, "default"))
            return limits, (*given[-1].path, "default" if resource in stated else "max", resource)
    return None


def claim_breaches(ranges: Sequence[LimitRange], requests: Resources) -> Iterator[Breach]:
    """Why LimitRanges refuse a PersistentVolumeClaim (PersistentVolumeClaimValidateLimitFunc)."""
    for limits in ranges:
        for limit in limits.limits:
            if limit.type != "PersistentVolumeClaim":
                continue
            for resource, bound in sorted(limit.min.items()):
                yield from _below(limits, limit, resource, bound, requests, {}, None)
            for resource, bound in sorted(limit.max.items()):
                stated, most = _comparable(requests.get(resource, _ZERO), bound)
                path = (*limit.path, "max", resource)
                if resource not in requests:
                    words = f"requests no {resource}, at most {shown(resource, bound)} is allowed"
                    yield Breach(limits, path, "max", resource, None, "request", words)
                elif stated > most:
                    words = f"requests {shown(resource, requests[resource])} of {resource}"
                    words = f"{words}, at most {shown(resource, bound)} is allowed"
                    yield Breach(limits, path, "max", resource, None, "request", words)


def _breaches(
    limits: LimitRange, limit: Limit, requests: Resources, most: Resources, container: ContainerResources | None
) -> Iterator[Breach]:
    for resource, bound in sorted(limit.min.items()):
        yield from _below(limits, limit, resource, bound, requests, most, container)
    for resource, bound in sorted(limit.max.items()):
        request, high, enforced = _comparable(requests.get(resource, _ZERO), most.get(resource, _ZERO), bound)
        path, allowed = (*limit.path, "max", resource), f"at most {shown(resource, bound)} is allowed"
        if resource not in most:
            words = f"has no limit of {resource}, {allowed}"
            yield Breach(limits, path, "max", resource, container, "limit", words)
        elif high > enforced:
            words = f"has a {resource} limit of {shown(resource, most[resource])}, {allowed}"
            yield Breach(limits, path, "max", resource, container, "limit", words)
        elif resource in requests and request > enforced:
            words = f"requests {shown(resource, requests[resource])} of {resource}, {allowed}"
            yield Breach(limits, path, "max", resource, container, "request", words)
    for resource, bound in sorted(limit.ratio.items()):
        request, high, _ = _comparable(requests.get(resource, _ZERO), most.get(resource, _ZERO), bound)
        path = (*limit.path, "maxLimitRequestRatio", resource)
        allowed = f"a limit of at most {shown('', bound)} times the request is allowed"
        if resource not in requests or not request:
            words = f"requests no {resource}, and {allowed}"
            yield Breach(limits, path, "maxLimitRequestRatio", resource, container, "request", words)
        elif resource not in most or not high:
            words = f"has no limit of {resource}, and {allowed}"
            yield Breach(limits, path, "maxLimitRequestRatio", resource, container, "limit", words)
        else:
            # Upstream divides in floating point.
            ratio, allowed_ratio = high / request, float(ceil(bound))
            if ceil(bound) <= _MAX_MILLI_VALUE:
                ratio, allowed_ratio = ratio * 1000, float(ceil(bound * 1000))
            if ratio > allowed_ratio:
                words = f"has a {resource} limit of {shown(resource, most[resource])}"
                words = f"{words} at a request of {shown(resource, requests[resource])}, {allowed}"
                yield Breach(limits, path, "maxLimitRequestRatio", resource, container, "limit", words)


def _below(
    limits: LimitRange,
    limit: Limit,
    resource: str,
    bound: Fraction,
    requests: Resources,
    most: Resources,
    container: ContainerResources | None,
) -> Iterator[Breach]:
    request, high, enforced = _comparable(requests.get(resource, _ZERO), most.get(resource, _ZERO), bound)
    path, wanted = (*limit.path, "min", resource), f"at least {shown(resource, bound)} is demanded"
    if resource not in requests:
        words = f"requests no {resource}, {wanted}"
        yield Breach(limits, path, "min", resource, container, "request", words)
    elif request < enforced:
        words = f"requests {shown(resource, requests[resource])} of {resource}, {wanted}"
        yield Breach(limits, path, "min", resource, container, "request", words)
    elif resource in most and high < enforced:
        words = f"has a {resource} limit of {shown(resource, most[resource])}, {wanted}"
        yield Breach(limits, path, "min", resource, container, "limit", words)
