"""What sets the requests and limits of a workload's containers: VerticalPodAutoscalers.

Sources: kubernetes/autoscaler, vertical-pod-autoscaler: pkg/apis/autoscaling.k8s.io/v1/types.go, pkg/utils/vpa/api.go
(GetUpdateMode, GetContainerResourcePolicy: a container's own policy, else that of ``*``, else none, and then it is
controlled without bounds), pkg/utils/vpa/capping.go (with RequestsOnly a recommendation is cut at the container's
limit), pkg/utils/vpa/limit_and_request_scaling.go (otherwise the limit grows with the request, in proportion),
pkg/admission-controller/resource/vpa/handler.go (what is refused).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from kubeassay.analysis.autoscaling.horizontal import Reference, read_reference, resolve
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path

GROUP = "autoscaling.k8s.io"
#: What a container policy without ``controlledResources`` controls.
_CONTROLLED = ("cpu", "memory")
#: Modes in which running pods are evicted, to come back with other resources.
_EVICTING = frozenset({"Auto", "InPlaceOrRecreate", "Recreate"})


@dataclass(frozen=True, slots=True)
class ContainerPolicy:
    """The policy for one container, or for all without one (``name`` is ``*``). Bounds are in cores and bytes.

    ``path``: from the autoscaler's root to the entry.
    """

    name: str
    path: Path
    off: bool
    controlled: tuple[str, ...]
    requests_only: bool
    minimum: Mapping[str, Fraction]
    maximum: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, eq=False)
class VerticalAutoscaler:
    """A VerticalPodAutoscaler. ``reference`` is None for one that names no target, as those of v1beta1 do, which select
    pods by labels. ``mode``: Off, Initial, Recreate, Auto or InPlaceOrRecreate; the default is to recreate pods."""

    obj: Object
    namespace: str
    reference: Reference | None
    target: Object | None
    mode: str
    policies: tuple[ContainerPolicy, ...]

    def __str__(self) -> str:
        return f"{self.obj.ref.kind} {self.namespace}/{self.obj.ref.name}"

    @property
    def evicts(self) -> bool:
        return self.mode in _EVICTING

    @property
    def initial(self) -> bool:
        """Whether it sets resources when a pod is made, and leaves it alone from then on."""
        return self.mode == "Initial"

    def policy(self, container: str) -> ContainerPolicy | None:
        """The policy that holds for a container."""
        own = next((policy for policy in self.policies if policy.name == container), None)
        # Of several for all containers, the last one stands.
        return own or next((policy for policy in reversed(self.policies) if policy.name == "*"), None)

    def controls(self, container: str, resource: str) -> bool:
        """Whether it sets a container's request of a resource, if it sets anything."""
        policy = self.policy(container)
        return resource in _CONTROLLED if policy is None else not policy.off and resource in policy.controlled


class Verticals:
    """The VerticalPodAutoscalers of an inventory, and what they are for."""

    def __init__(self, inventory: Inventory) -> None:
        #: In reading order.
        self.all = tuple(_read(inventory, obj) for obj in inventory.of_kind("VerticalPodAutoscaler", GROUP))
        self._by_target: dict[int, list[VerticalAutoscaler]] = defaultdict(list)
        for one in self.all:
            if one.target is not None:
                self._by_target[id(one.target)].append(one)

    def of(self, obj: Object) -> Sequence[VerticalAutoscaler]:
        """The autoscalers of an object."""
        return self._by_target.get(id(obj), ())


def verticals(inventory: Inventory) -> Verticals:
    """The VerticalPodAutoscalers of an inventory, resolved."""
    found: Verticals | None = inventory.facts.get(Verticals)
    if found is None:
        found = inventory.facts[Verticals] = Verticals(inventory)
    return found


def limit_at(request: Fraction | None, limit: Fraction | None, recommended: Fraction) -> Fraction | None:
    """The limit that a container has once its request is the recommended one (GetProportionalLimit): none where it has
    none, as much as the request where only the limit is stated."""
    if not limit:
        return None
    return recommended if not request else limit * recommended / request


def _read(inventory: Inventory, obj: Object) -> VerticalAutoscaler:
    spec = mapping(obj.value.get("spec"))
    stated = spec.get("targetRef")
    reference = read_reference(stated, ("spec", "targetRef")) if isinstance(stated, dict) else None
    return VerticalAutoscaler(
        obj=obj,
        namespace=namespace_of(obj),
        reference=reference,
        target=None if reference is None else resolve(inventory, obj, reference),
        mode=string(mapping(spec.get("updatePolicy")).get("updateMode")) or "Recreate",
        policies=tuple(_policies(spec)),
    )


def _policies(spec: Mapping[str, object]) -> Iterator[ContainerPolicy]:
    for number, entry in enumerate(items(mapping(spec.get("resourcePolicy")).get("containerPolicies"))):
        entry = mapping(entry)
        controlled = entry.get("controlledResources")
        yield ContainerPolicy(
            name=string(entry.get("containerName")),
            path=("spec", "resourcePolicy", "containerPolicies", number),
            off=entry.get("mode") == "Off",
            controlled=_CONTROLLED if controlled is None else tuple(string(name) for name in items(controlled)),
            requests_only=entry.get("controlledValues") == "RequestsOnly",
            minimum=_quantities(entry.get("minAllowed")),
            maximum=_quantities(entry.get("maxAllowed")),
        )


def _quantities(value: object) -> Mapping[str, Fraction]:
    """Bounds by resource. A bound of 0 is none (maybeCapToMax, maybeCapToMin)."""
    found = {name: parse_quantity(text) for name, text in mapping(value).items()}
    return {name: number for name, number in found.items() if number}
