"""Ways from outside the cluster that one of two inventories alone has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.network.exposure import Exposure, exposures
from kubeassay.analysis.reading import items, mapping
from kubeassay.analysis.review.causes import cause
from kubeassay.model import Inventory, Object, Path
from kubeassay.model.review import ExposureChange, Side

#: What is meant to lead from outside to a Service: where that is not among the inputs, nothing tells what it exposes.
_LEADING = ("Ingress", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "Route")


@dataclass(frozen=True, slots=True)
class _Key:
    """What an exposure is on both sides. ``by``: the object that begins it."""

    kind: str
    by: tuple[str, str | None, str, str]
    workload: str
    port: str
    public: bool | None
    ranges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Way:
    key: _Key
    words: str
    obj: Object
    path: Path


def exposure_changes(before: Inventory, after: Inventory) -> tuple[ExposureChange, ...]:
    """The exposures that were opened or closed, those of one object together."""
    old, new = ({way.key: way for way in _ways(inventory)} for inventory in (before, after))
    found = [*_grouped([new[key] for key in new if key not in old], "after")]
    found += _grouped([old[key] for key in old if key not in new], "before")
    order = {"opened": 0, "closed": 1}
    return tuple(sorted(found, key=lambda one: (order[one.change], one.kind, one.text, one.workloads, one.ports)))


def _ways(inventory: Inventory) -> Iterator[_Way]:
    found = exposures(inventory)
    leading: set[int] = set()
    for exposure in found.all:
        leading.update(id(step.obj) for step in exposure.via)
        yield _way(exposure)
    # Those that lead to nothing that is known: to pods that are deployed from elsewhere, perhaps.
    for service in found.services.values():
        spec = mapping(service.obj.value.get("spec"))
        if id(service.obj) in leading or service.type == "ExternalName" or service.headless:
            continue
        kind = {"LoadBalancer": "load-balancer", "NodePort": "node-port"}.get(service.type)
        kind = kind or ("external-ip" if items(spec.get("externalIPs")) else None)
        if kind is not None:
            ports = ", ".join(f"{port.protocol} {port.number}" for port in service.ports)
            yield _Way(_Key(kind, _by(service.obj), "", ports, None, ()), str(service), service.obj, ("spec", "type"))
    for kind in _LEADING:
        for obj in inventory.of_kind(kind):
            if id(obj) not in leading and obj.ref.group:
                words = f"{obj.ref.kind} {namespace_of(obj)}/{obj.ref.name}"
                yield _Way(_Key(_KINDS.get(kind, "gateway"), _by(obj), "", "", None, ()), words, obj, ("spec",))


_KINDS = {"Ingress": "ingress", "Route": "route"}


def _by(obj: Object) -> tuple[str, str | None, str, str]:
    return (obj.ref.group, obj.ref.namespace, obj.ref.kind, obj.ref.name)


def _way(exposure: Exposure) -> _Way:
    first = exposure.via[0]
    port = f"{exposure.protocol} {exposure.port}" if exposure.port else "any port"
    # A host or path of an Ingress is no exposure of its own; the object is.
    key = _Key(
        exposure.kind, _by(first.obj), exposure.workload.name, port, exposure.public, tuple(exposure.source_ranges)
    )
    ranges = f", only from {', '.join(exposure.source_ranges)}" if exposure.source_ranges else ""
    whose = "" if first.obj.ref.name in first.words else f" ({first.obj.ref})"
    return _Way(key, f"{first.words}{whose}{ranges}", first.obj, first.path)


def _grouped(ways: list[_Way], side: Side) -> Iterator[ExposureChange]:
    groups: dict[tuple[object, ...], list[_Way]] = defaultdict(list)
    for way in ways:
        groups[way.key.kind, way.key.by, way.words, way.key.public].append(way)
    for of_it in groups.values():
        first = of_it[0]
        yield ExposureChange(
            "opened" if side == "after" else "closed",
            first.key.kind,
            first.words,
            tuple(sorted({way.key.workload for way in of_it} - {""})),
            ", ".join(sorted({way.key.port for way in of_it} - {""})),
            first.key.public,
            (cause(side, "exposes", str(first.obj.ref), first.obj, first.path),),
        )
