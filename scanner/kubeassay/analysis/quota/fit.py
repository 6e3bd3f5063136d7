"""Whether what a namespace needs fits its quotas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from kubeassay.analysis.environments import nearest
from kubeassay.analysis.quota.amounts import NOTHING, UNKNOWN, Amount, largest
from kubeassay.analysis.quota.demand import ANY_CLASS, ANY_DEVICES, Consumer, Demand, Space, demand
from kubeassay.analysis.quota.quotas import Quota, Scope, counts_claim, counts_pod
from kubeassay.analysis.quota.resource_names import (
    CLAIMS_AS_EXTENDED_SINCE,
    OF_DEVICE_CLASS,
    OF_STORAGE_CLASS,
    is_of_claims,
    is_of_pods,
)
from kubeassay.model import Inventory, Object

Phase = Literal["rest", "maximum", "surge"]
PHASES: tuple[Phase, ...] = ("rest", "maximum", "surge")


@dataclass(frozen=True, slots=True)
class Part:
    """What one consumer takes of a quota's resource: ``each``, and all of them in each phase. ``surge`` is what a
    rollout adds."""

    consumer: Consumer
    each: Amount
    rest: Amount
    maximum: Amount
    surge: Amount


@dataclass(frozen=True, slots=True)
class Line:
    """One resource of one quota, and what is needed of it.

    ``surge``: at the maximum, while the one workload is rolled out that needs most for it; ``all_surges``: while all
    are. ``rolled``: that workload. ``unknown``: why more is not known, each once, by phase.
    """

    quota: Quota
    resource: str
    hard: Fraction
    parts: tuple[Part, ...]
    rest: Amount
    maximum: Amount
    surge: Amount
    all_surges: Amount
    rolled: Object | None
    unknown: Mapping[Phase, tuple[str, ...]]

    def needed(self, phase: Phase) -> Amount:
        """What is needed in a phase."""
        return {"rest": self.rest, "maximum": self.maximum, "surge": self.surge}[phase]

    def fits(self, phase: Phase) -> bool | None:
        """Whether it fits; None where that is not known."""
        return self.needed(phase).at_most(self.hard)

    @property
    def headroom(self) -> Fraction | None:
        """What is left at the maximum with the surge; below 0: what is missing at least. None: not known."""
        if self.surge.high is not None and (self.surge.exact or self.surge.high <= self.hard):
            return self.hard - self.surge.high
        return self.hard - self.surge.low if self.surge.low > self.hard else None


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The quotas of one namespace."""

    space: Space
    lines: tuple[Line, ...]


class Fits:
    """The namespaces of an inventory that have quotas, each with what is needed of them."""

    def __init__(self, inventory: Inventory, minor: int) -> None:
        self.demand: Demand = demand(inventory, minor)
        self._elsewhere = any(name and name in self.demand.stated for name in self.demand.names)
        self._fits: dict[str, Fit] = {}
        self._alike: dict[tuple[str, tuple[Scope, ...], str, str], Line] = {}
        self._unplaced: dict[tuple[str, tuple[Scope, ...]], tuple[tuple[Amount, Amount, Amount], str]] = {}

    def of(self, name: str) -> Fit:
        """The quotas of a namespace; without lines where it has none that is in effect."""
        found = self._fits.get(name)
        if found is None:
            space = self.demand.space(name)
            quotas = [quota for quota in space.quotas if not quota.refused]
            found = self._fits[name] = Fit(space, tuple(line for quota in quotas for line in self._lines(space, quota)))
        return found

    def __iter__(self) -> Iterator[Fit]:
        for name in self.demand.names:
            fit = self.of(name)
            if fit.lines:
                yield fit

    def _lines(self, space: Space, quota: Quota) -> Iterator[Line]:
        consumers = nearest(space.consumers, quota.obj.file)
        # What is needed of quotas that count the same is the same.
        file = quota.obj.file if len(consumers) < len(space.consumers) else ""
        for resource, hard in sorted(quota.hard.items()):
            key = (space.name, quota.scopes, resource, file)
            known = self._alike.get(key)
            if known is None:
                known = self._alike[key] = self._line(space, quota, resource, hard, consumers)
            yield replace(known, quota=quota, hard=hard)

    def _line(self, space: Space, quota: Quota, resource: str, hard: Fraction, consumers: Sequence[Consumer]) -> Line:
        minor = self.demand.minor
        parts: list[Part] = []
        unknown: dict[Phase, dict[str, None]] = {phase: {} for phase in PHASES}
        for consumer in consumers:
            each = _each(quota, consumer, resource, minor)
            if each.high == 0:
                continue
            counts = consumer.counts
            part = Part(consumer, each, each * counts.rest, each * counts.maximum, each * counts.surge)
            if part.rest == part.maximum == part.surge == NOTHING:
                continue
            parts.append(part)
            for phase in PHASES:
                count, amount = _count(consumer, phase), each * _count(consumer, phase)
                if not amount.exact:
                    why = counts.why if counts.why and not count.exact else consumer.why or counts.why
                    text = why if consumer.kind == "unknown" else f"{consumer.obj.ref}: {why}"
                    unknown[phase][text] = None
        rest = sum((part.rest for part in parts), NOTHING)
        maximum = sum((part.maximum for part in parts), NOTHING)
        surges: dict[int, Amount] = defaultdict(lambda: NOTHING)
        rolled: dict[int, Object] = {}
        for part in parts:
            surges[id(part.consumer.obj)] += part.surge
            rolled[id(part.consumer.obj)] = part.consumer.obj
        (more, most_more, surge_more), why = self._foreign(space, quota, resource)
        if why:
            rest, maximum = rest + more, maximum + most_more
            for phase in PHASES:
                unknown[phase][why] = None
        most = max(surges, key=lambda key: (surges[key].low, surges[key].high or 0), default=None)
        unknown["surge"] = {**unknown["maximum"], **unknown["surge"]}
        return Line(
            quota=quota,
            resource=resource,
            hard=hard,
            parts=tuple(parts),
            rest=rest,
            maximum=maximum,
            surge=maximum + largest(list(surges.values())) + surge_more,
            all_surges=maximum + sum(surges.values(), NOTHING) + surge_more,
            rolled=None if most is None or not surges[most].low else rolled[most],
            unknown={phase: tuple(texts) for phase, texts in unknown.items()},
        )

    def _foreign(self, space: Space, quota: Quota, resource: str) -> tuple[tuple[Amount, Amount, Amount], str]:
        """What objects may add of which it is not known whether they are in a namespace (at rest, at the maximum, and
        to the surge), and why."""
        nothing = (NOTHING, NOTHING, NOTHING)
        if not space.name:
            if self._elsewhere:
                why = "which namespace this is, and whether others' objects are in it, is not stated"
                return (UNKNOWN, UNKNOWN, NOTHING), why
            return nothing, ""
        # A quota's limits matter to none of it, so those of many namespaces share the answer.
        known = self._unplaced.get((resource, quota.scopes))
        if known is not None:
            return known
        rest, maximum, surge = nothing
        objects = set()
        for consumer in self.demand.space("").consumers:
            each = _each(quota, consumer, resource, self.demand.minor)
            counts = consumer.counts
            if (each * (counts.maximum + counts.rest)).high != 0:
                objects.add(id(consumer.obj))
                rest += (each * counts.rest).perhaps
                maximum += (each * counts.maximum).perhaps
                surge += (each * counts.surge).perhaps
        number = len(objects)
        why = f"{number} {'objects state' if number > 1 else 'object states'} no namespace" if number else ""
        answer = self._unplaced[resource, quota.scopes] = (rest, maximum, surge), why
        return answer


def _count(consumer: Consumer, phase: Phase) -> Amount:
    counts = consumer.counts
    return {"rest": counts.rest, "maximum": counts.maximum, "surge": counts.surge}[phase]


def _each(quota: Quota, consumer: Consumer, resource: str, minor: int) -> Amount:
    """What one of a consumer's things takes of a quota's resource."""
    if consumer.kind == "unknown":
        return UNKNOWN
    amount = consumer.usage.get(resource, NOTHING)
    if OF_STORAGE_CLASS in resource and resource not in consumer.usage:
        amount = consumer.usage.get(f"{ANY_CLASS}{resource.rpartition('/')[2]}", NOTHING)
    of_device = minor >= CLAIMS_AS_EXTENDED_SINCE and resource.startswith("requests.") and "/" in resource
    if of_device or resource.endswith(OF_DEVICE_CLASS):
        amount = consumer.usage.get(ANY_DEVICES, amount)
    if amount.high == 0:
        return NOTHING
    if consumer.kind == "claim":
        assert consumer.claim is not None
        return amount if is_of_claims(resource) and counts_claim(quota, consumer.claim, minor) else NOTHING
    if consumer.kind == "object":
        return NOTHING if quota.scopes else amount
    if not is_of_pods(resource, minor):
        return NOTHING
    counted = {counts_pod(quota, variant.facts, minor) for variant in consumer.variants}
    if counted == {False}:
        return NOTHING
    return amount if counted == {True} else amount.perhaps


def fits(inventory: Inventory, minor: int) -> Fits:
    """What is needed of the quotas of an inventory on Kubernetes 1.``minor``."""
    known: dict[int, Fits] = inventory.facts.setdefault(Fits, {})
    if minor not in known:
        known[minor] = Fits(inventory, minor)
    return known[minor]
