"""Which pods quotas and limit ranges refuse, whatever is there already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kubeassay.analysis.quota.demand import Consumer
from kubeassay.analysis.quota.limit_ranges import (
    Breach,
    LimitRange,
    claim_breaches,
    defaulted_breaches,
    in_effect,
    pod_breaches,
)
from kubeassay.analysis.quota.quotas import Quota, counts_pod, unstated
from kubeassay.model import Path

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Unstated:
    """What a container does not state although quotas make all containers state it. ``path``: from the pod spec to the
    container; None for the mesh's proxy. ``name``: the quotas' name for it."""

    path: Path | None
    container: str
    name: str
    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True)
class PlacedBreach:
    """A bound of a LimitRange that a pod breaks. ``path``: as above; () for the pod as a whole."""

    path: Path | None
    breach: Breach


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why the pods of a consumer are refused. ``perhaps``: whether it depends on what is not known if they are."""

    unstated: tuple[Unstated, ...] = ()
    breaches: tuple[PlacedBreach, ...] = ()
    perhaps: bool = False


def refused_by_quotas(consumer: Consumer, quotas: Sequence[Quota], minor: int) -> Refusals:
    """Why quotas refuse the pods of a consumer: those of the same file, or near it."""
    effective = in_effect(quotas, consumer.obj.file)
    of_each: list[dict[tuple[Path | None, str], tuple[str, list[Quota]]]] = []
    perhaps = False
    for variant in consumer.variants:
        found: dict[tuple[Path | None, str], tuple[str, list[Quota]]] = {}
        for one in effective:
            if not counts_pod(one, variant.facts, minor):
                continue
            for container, name in unstated(one, variant.resources, minor):
                path = variant.place(container)
                if path is None and not variant.proxy_known:
                    perhaps = True
                    continue
                found.setdefault((path, name), (container.name, []))[1].append(one)
        of_each.append(found)
    sure, differ = _in_all(of_each)
    listed = tuple(Unstated(path, name, of, tuple(by)) for (path, of), (name, by) in sure.items())
    return Refusals(unstated=listed, perhaps=(perhaps or differ) and not listed)


def refused_by_limit_ranges(consumer: Consumer, ranges: Sequence[LimitRange]) -> Refusals:
    """Why limit ranges refuse the pods of a consumer: those of the same file, or near it."""
    effective = in_effect(ranges, consumer.obj.file)
    of_each: list[dict[tuple[int, Path, Path | None], PlacedBreach]] = []
    perhaps = False
    for variant in consumer.variants:
        found: dict[tuple[int, Path, Path | None], PlacedBreach] = {}
        breaches = (*pod_breaches(effective, variant.resources), *defaulted_breaches(effective, variant.resources))
        for breach in breaches:
            path: Path | None = ()
            if breach.container is not None:
                path = variant.place(breach.container)
                if path is None and not variant.proxy_known:
                    perhaps = True
                    continue
            found[id(breach.limit_range), breach.path, path] = PlacedBreach(path, breach)
        of_each.append(found)
    sure, differ = _in_all(of_each)
    listed = tuple(sure.values())
    return Refusals(breaches=listed, perhaps=(perhaps or differ) and not listed)


def _in_all(of_each: Sequence[Mapping[_K, _V]]) -> tuple[Mapping[_K, _V], bool]:
    """What is found in each variant of a pod, as in the first, and whether they differ in what is found."""
    if not of_each:
        return {}, False
    first, *others = of_each
    sure = {key: value for key, value in first.items() if all(key in other for other in others)}
    return sure, any(other.keys() != first.keys() for other in others)


def refused_claims(
    consumers: Iterable[Consumer], ranges: Sequence[LimitRange]
) -> Iterator[tuple[Consumer, tuple[Breach, ...]]]:
    """The claims among consumers, each with why limit ranges refuse it: those of the same file, or near it."""
    for consumer in consumers:
        if consumer.kind == "claim":
            effective = in_effect(ranges, consumer.obj.file)
            yield consumer, tuple(claim_breaches(effective, consumer.requests))


def pods(consumers: Sequence[Consumer]) -> Iterator[Consumer]:
    """The consumers whose pods are judged, each template once."""
    seen: set[tuple[int, Path]] = set()
    for consumer in consumers:
        key = (id(consumer.obj), consumer.path)
        if consumer.kind == "pod" and consumer.template is not None and key not in seen:
            seen.add(key)
            yield consumer
