"""What may evict pods: PodDisruptionBudgets, the pods that they select, and how many of these may go at once.

Sources: kubernetes v1.37.1, pkg/controller/disruption/disruption.go (getExpectedPodCount, getExpectedScale,
updatePdbStatus), pkg/registry/core/pod/storage/eviction.go (a pod of two budgets cannot be evicted),
pkg/apis/policy/validation/validation.go, pkg/apis/policy/v1beta1/conversion.go (an empty selector selects nothing in
v1beta1 and everything in v1; one that is not there selects nothing in either).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.autoscaling.horizontal import Replicas, Scaling, nearest_of, scaling
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.services import pod_index
from kubeassay.analysis.network.workloads import CONTROLLER_LABELS, untold_labels, workloads
from kubeassay.analysis.reading import mapping, whole
from kubeassay.analysis.refused import Refused
from kubeassay.analysis.selectors import Selector, label_selector
from kubeassay.model import Inventory, Object, Path

_PERCENT = re.compile(r"[0-9]+%\Z")
_MAX_INT32 = (1 << 31) - 1
#: Kinds of Kubernetes itself whose pods have a controller that cannot be scaled: a budget that counts in parts of the
#: scale finds none, and then allows nothing.
_WITHOUT_SCALE = frozenset({("apps", "DaemonSet"), ("extensions", "DaemonSet"), ("batch", "Job"), ("batch", "CronJob")})


@dataclass(frozen=True, slots=True)
class Bound:
    """``minAvailable`` or ``maxUnavailable``: a number of pods, or a percentage of them."""

    number: int
    percent: bool

    def of(self, total: int) -> int:
        """How many of ``total`` pods that is: parts are rounded up (GetScaledValueFromIntOrPercent)."""
        return -(-self.number * total // 100) if self.percent else self.number

    def down(self, total: int) -> int:
        """The same with parts rounded down, as a Deployment's ``maxUnavailable`` is
        (pkg/controller/deployment/util, ResolveFenceposts)."""
        return self.number * total // 100 if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


@dataclass(frozen=True, slots=True, eq=False)
class Budget:
    """A PodDisruptionBudget.

    ``selector`` is None where it selects nothing by being absent, or empty in v1beta1. ``workloads``: what it selects;
    ``perhaps``: what it selects depending on labels that nothing among the inputs tells.
    """

    obj: Object
    namespace: str
    selector: Selector | None
    minimum: Bound | None
    maximum: Bound | None
    refused: tuple[Refused, ...]
    workloads: tuple[Workload, ...]
    perhaps: tuple[Workload, ...]

    def __str__(self) -> str:
        return f"{self.obj.ref.kind} {self.namespace}/{self.obj.ref.name}"

    @property
    def bound_path(self) -> Path:
        """Where it says how many pods may go; where it does not, where it would."""
        return ("spec", "minAvailable" if self.minimum is not None and self.maximum is None else "maxUnavailable")

    @property
    def all_must_stay(self) -> bool:
        """Whether all pods have to be available, however many there are."""
        if self.maximum is not None:
            return self.maximum.number == 0
        return self.minimum is None or (self.minimum.percent and self.minimum.number >= 100)

    @property
    def counts_scale(self) -> bool:
        """Whether the number of pods is taken from the scale of their controllers."""
        return self.maximum is not None or (self.minimum is not None and self.minimum.percent)


def evictions_allowed(budget: Budget, managed: int, unmanaged: int = 0) -> int:
    """How many pods may be evicted while all are healthy. ``managed``: the sum of the scales of the controllers;
    ``unmanaged``: pods without a controller."""
    healthy = managed + unmanaged
    if budget.maximum is not None:
        expected = managed
        desired = max(0, expected - budget.maximum.of(expected))
    elif budget.minimum is not None:
        expected = managed if budget.minimum.percent else healthy
        desired = budget.minimum.of(expected)
    else:
        return 0
    return max(0, healthy - desired) if expected > 0 else 0


@dataclass(frozen=True, slots=True)
class Pods:
    """How many pods a budget selects: with a controller (``replicas``, one entry a controller), and ``unmanaged``.

    ``uncountable``: workloads whose pods have a controller without a scale; ``unknown``: those whose number of pods is
    not known here.
    """

    replicas: tuple[Replicas, ...]
    unmanaged: int
    uncountable: tuple[Workload, ...]
    unknown: tuple[Workload, ...]

    @property
    def least(self) -> int:
        """The smallest number of pods at which there are some of each controller that is not stopped."""
        return sum(_running(one) for one in self.replicas)

    @property
    def most(self) -> int | None:
        bounds = [one.maximum for one in self.replicas]
        return None if None in bounds else sum(bound for bound in bounds if bound is not None)


def _running(replicas: Replicas) -> int:
    # What is scaled to nothing has no pods that could be evicted; as soon as there is one, it counts.
    return max(1, replicas.minimum) if replicas.maximum != 0 else 0


class Disruptions:
    """The PodDisruptionBudgets of an inventory, and the workloads that they select."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._scaling: Scaling = scaling(inventory)
        self._index = pod_index(inventory)
        self._same_name: Counter[tuple[str, str, str]] = Counter(map(_name, workloads(inventory)))
        self._selections: dict[Hashable, tuple[tuple[Workload, ...], tuple[Workload, ...]]] = {}
        #: In reading order.
        self.all: tuple[Budget, ...] = tuple(
            self._read(obj) for obj in inventory.of_kind("PodDisruptionBudget", "policy")
        )
        self._by_workload: dict[int, list[Budget]] = defaultdict(list)
        self._certain: set[tuple[int, int]] = set()
        for budget in self.all:
            self._certain.update((id(budget), id(workload)) for workload in budget.workloads)
            for workload in (*budget.workloads, *budget.perhaps):
                self._by_workload[id(workload)].append(budget)

    def selects(self, budget: Budget, workload: Workload) -> bool:
        """Whether it is certain that a budget selects a workload's pods."""
        return (id(budget), id(workload)) in self._certain

    def of(self, workload: Workload) -> Sequence[Budget]:
        """The budgets that select a workload's pods, or may: of several of one name (a tree with a file for each
        environment) the nearest, as everywhere."""
        found = self._by_workload.get(id(workload), ())
        names = Counter(budget.obj.ref.name for budget in found)
        return [one for one in found if names[one.obj.ref.name] == 1 or self._nearest_to(workload, one) is one.obj]

    def _nearest_to(self, workload: Workload, budget: Budget) -> Object | None:
        ref = budget.obj.ref
        return self._inventory.nearest(ref.group, ref.kind, ref.namespace, ref.name, workload.obj.file)

    def pods(self, budget: Budget) -> Pods:
        """How many pods a budget selects."""
        replicas: list[Replicas] = []
        unmanaged = 0
        uncountable: list[Workload] = []
        unknown: list[Workload] = []
        for workload in budget.workloads:
            obj = workload.obj
            number = self._scaling.replicas(obj)
            if number is not None:
                replicas.append(number)
            elif (obj.ref.group, obj.ref.kind) in _WITHOUT_SCALE:
                uncountable.append(workload)
            elif (obj.ref.group, obj.ref.kind) == ("", "Pod") and not obj.get("metadata", "ownerReferences"):
                unmanaged += 1
            else:
                unknown.append(workload)
        return Pods(tuple(replicas), unmanaged, tuple(uncountable), tuple(unknown))

    def _read(self, obj: Object) -> Budget:
        spec = mapping(obj.value.get("spec"))
        refused: list[Refused] = []
        minimum = _bound(spec, "minAvailable", refused)
        maximum = _bound(spec, "maxUnavailable", refused)
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            refused.append(Refused(("spec", "maxUnavailable"), "minAvailable and maxUnavailable are both set"))
        stated = spec.get("selector")
        selector = label_selector(stated) if isinstance(stated, dict) else None
        if selector is not None and selector.everything and obj.ref.api_version == "policy/v1beta1":
            selector = None
        if selector is not None and selector.invalid:
            refused.append(Refused(("spec", "selector"), selector.invalid))
        selected, perhaps = self._selected(selector, obj) if selector is not None and not refused else ((), ())
        return Budget(
            obj=obj,
            namespace=namespace_of(obj),
            selector=selector,
            minimum=minimum,
            maximum=maximum,
            refused=tuple(refused),
            workloads=selected,
            perhaps=perhaps,
        )

    def _selected(self, selector: Selector, obj: Object) -> tuple[tuple[Workload, ...], tuple[Workload, ...]]:
        namespace = namespace_of(obj)
        key = (namespace, obj.ref.namespace, obj.file.rpartition("/")[0], selector.key)
        found = self._selections.get(key)
        if found is None:
            # Labels with values that templates do not tell are not in the index.
            stated = {key: value for key, value in selector.labels.items() if key not in CONTROLLER_LABELS}
            selected: list[Workload] = []
            perhaps: list[Workload] = []
            for workload in self._index.with_labels(namespace, stated):
                matches = selector.may_match(workload.labels, untold_labels(workload))
                if matches is not False and self._is_nearest(workload, obj):
                    (selected if matches else perhaps).append(workload)
            found = self._selections[key] = tuple(selected), tuple(perhaps)
        return found

    def _is_nearest(self, workload: Workload, near: Object) -> bool:
        """Whether it is the one of its name that belongs to ``near``, where a tree holds one for each environment."""
        if self._same_name[_name(workload)] < 2:
            return True
        ref = workload.obj.ref
        found = nearest_of(self._inventory, ref.group, ref.kind, near, ref.name)
        return found is None or found is workload.obj


def disruptions(inventory: Inventory) -> Disruptions:
    """The PodDisruptionBudgets of an inventory, resolved."""
    found: Disruptions | None = inventory.facts.get(Disruptions)
    if found is None:
        found = inventory.facts[Disruptions] = Disruptions(inventory)
    return found


def _name(workload: Workload) -> tuple[str, str, str]:
    return workload.namespace, workload.obj.ref.kind, workload.obj.ref.name


def read_bound(value: Any) -> Bound | None:
    """An IntOrString that is a number of pods or a percentage of them; None for what is none, or is not set."""
    return _bound({"bound": value}, "bound", [])


def _bound(spec: Mapping[str, Any], field: str, refused: list[Refused]) -> Bound | None:
    value = spec.get(field)
    if value is None:
        return None
    number = whole(value)
    if number is not None:
        if 0 <= number <= _MAX_INT32:
            return Bound(number, percent=False)
        refused.append(Refused(("spec", field), f"{field} {number} is no number of pods"))
        return None
    if isinstance(value, str) and _PERCENT.match(value):
        # Digits by the thousand would be slow to read.
        digits = value[:-1].lstrip("0") or "0"
        if len(digits) <= 3 and int(digits) <= 100:
            return Bound(int(digits), percent=True)
        refused.append(Refused(("spec", field), f"{field} is more than 100%"))
        return None
    refused.append(Refused(("spec", field), f"{field} is neither a whole number nor a percentage"))
    return None
