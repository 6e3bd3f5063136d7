"""Services: which pods they select, and to which port of each their ports lead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kubeassay.analysis.network.endpoints import DEFAULT_NAMESPACE, ContainerPort, Workload, namespace_of
from kubeassay.analysis.network.workloads import unknown_workloads, workloads
from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Inventory, Object, Path

ServiceType = Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
_TYPES: tuple[ServiceType, ...] = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")


@dataclass(frozen=True, slots=True)
class Dangling:
    """A reference that leads nowhere: where it stands, and in words what is missing.

    ``certain`` False: there are pods, or objects, that are not known and that it may lead to.
    """

    obj: Object
    path: Path
    words: str
    certain: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One port of the pods of one workload."""

    workload: Workload
    protocol: str
    port: int


@dataclass(frozen=True, slots=True, eq=False)
class ServicePort:
    """One port of a Service. ``target``: number, or name that is looked up in each pod. ``path``: from the Service's
    root to its entry. ``node_port`` is None where none is stated."""

    name: str
    number: int
    protocol: str
    target: int | str
    node_port: int | None
    path: Path
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A Service and what it leads to.

    ``manual``: it selects no pods by labels; somebody else writes its endpoints (EndpointSlices, or it is an
    ExternalName). ``headless``: it has no address of its own, and names pods.
    """

    obj: Object
    namespace: str
    name: str
    type: ServiceType
    headless: bool
    manual: bool
    workloads: tuple[Workload, ...]
    ports: tuple[ServicePort, ...]

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.name}"

    def port(self, wanted: int | str) -> ServicePort | None:
        """Its port of a number or a name."""
        for port in self.ports:
            if wanted == (port.number if isinstance(wanted, int) else port.name):
                return port
        return None


class PodIndex:
    """Workloads by the labels of their pods."""

    def __init__(self, all_workloads: Iterable[Workload]) -> None:
        self._by_label: dict[tuple[str | None, str, str], list[Workload]] = defaultdict(list)
        self._by_namespace: dict[str | None, list[Workload]] = defaultdict(list)
        self._known: dict[tuple[str | None, frozenset[tuple[str, str]]], tuple[Workload, ...]] = {}
        for workload in all_workloads:
            for namespace in (workload.namespace, None):
                self._by_namespace[namespace].append(workload)
                for label, value in workload.labels.items():
                    self._by_label[namespace, label, value].append(workload)

    def with_labels(self, namespace: str | None, labels: Mapping[str, str]) -> tuple[Workload, ...]:
        """The workloads whose pods have all these labels, in a namespace, or (None) in any."""
        key = (namespace, frozenset(labels.items()))
        found = self._known.get(key)
        if found is None:
            # The rarest label leaves the fewest to look at.
            candidates: Sequence[Workload] = min(
                (self._by_label.get((namespace, *pair), []) for pair in labels.items()),
                key=len,
                default=self._by_namespace.get(namespace, []),
            )
            found = self._known[key] = tuple(w for w in candidates if labels.items() <= w.labels.items())
        return found


def pod_index(inventory: Inventory) -> PodIndex:
    """All workloads of an inventory by the labels of their pods."""
    found: PodIndex | None = inventory.facts.get(PodIndex)
    if found is None:
        found = inventory.facts[PodIndex] = PodIndex(workloads(inventory))
    return found


class Services:
    """The Services of an inventory, resolved, and their references that lead nowhere."""

    def __init__(self, inventory: Inventory) -> None:
        self.pods = pod_index(inventory)
        self._inventory = inventory
        self._unknown_in = {namespace_of(obj) for obj, _ in unknown_workloads(inventory)}
        self._nearest: dict[tuple[str, str, str], Service | None] = {}
        dangling: list[Dangling] = []
        self.by_object: Mapping[Object, Service] = {
            obj: self._service(obj, dangling) for obj in inventory.of_kind("Service", "") if obj.ref.name
        }
        self.dangling = tuple(dangling)

    def named(self, namespace: str, name: str, near: Object) -> Service | None:
        """The Service of a name. Of several (a tree with a file for each environment) the one nearest to ``near``."""
        key = (namespace, name, near.file.rpartition("/")[0])
        if key not in self._nearest:
            obj = nearest(self._inventory, "", "Service", namespace, name, near.file)
            self._nearest[key] = self.by_object.get(obj) if obj is not None else None
        return self._nearest[key]

    def _service(self, obj: Object, dangling: list[Dangling]) -> Service:
        spec = mapping(obj.value.get("spec"))
        stated = string(spec.get("type"))
        type_: ServiceType = next((known for known in _TYPES if known == stated), "ClusterIP")
        selector = labels_of({"metadata": {"labels": spec.get("selector")}})
        manual = not selector or type_ == "ExternalName"
        namespace = namespace_of(obj)
        selected = () if manual else self.pods.with_labels(namespace, selector)
        certain = namespace not in self._unknown_in
        if not manual and not selected:
            words = ", ".join(f"{label}={value}" for label, value in selector.items())
            dangling.append(Dangling(obj, ("spec", "selector"), f"no workload has pods with {words}", certain))
        ports: list[ServicePort] = []
        for number, port in enumerate(items(spec.get("ports"))):
            resolved = _port(mapping(port), ("spec", "ports", number), selected)
            if resolved is None:
                continue
            ports.append(resolved)
            if selected and not resolved.targets:
                words = f"no container that it selects has a {resolved.protocol} port named {resolved.target}"
                dangling.append(Dangling(obj, (*resolved.path, "targetPort"), words, certain))
        return Service(
            obj=obj,
            namespace=namespace,
            name=obj.ref.name,
            type=type_,
            headless=spec.get("clusterIP") == "None",
            manual=manual,
            workloads=selected,
            ports=tuple(ports),
        )


def services(inventory: Inventory) -> Services:
    """The Services of an inventory, resolved."""
    found: Services | None = inventory.facts.get(Services)
    if found is None:
        found = inventory.facts[Services] = Services(inventory)
    return found


def nearest(inventory: Inventory, group: str, kind: str, namespace: str, name: str, file: str) -> Object | None:
    """The namespaced object of a name, whether it states the default namespace or none; see Inventory.nearest."""
    found = inventory.nearest(group, kind, namespace, name, file)
    if found is None and namespace == DEFAULT_NAMESPACE:
        found = inventory.nearest(group, kind, None, name, file)
    return found


def _port(port: Mapping[str, object], path: Path, selected: Iterable[Workload]) -> ServicePort | None:
    number = port_number(port.get("port"))
    if number is None:
        return None
    protocol = string(port.get("protocol")) or "TCP"
    # Not set, zero and empty are the port's own number (kubernetes pkg/apis/core/v1/defaults.go, SetDefaults_Service).
    target: int | str = port_number(port.get("targetPort")) or string(port.get("targetPort")) or number
    targets: list[Target] = []
    for workload in selected:
        pod_port = target if isinstance(target, int) else named_port(workload, target, protocol)
        if pod_port is not None:
            targets.append(Target(workload, protocol, pod_port))
    return ServicePort(
        name=string(port.get("name")),
        number=number,
        protocol=protocol,
        target=target,
        node_port=port_number(port.get("nodePort")),
        path=path,
        targets=tuple(targets),
    )


def named_port(workload: Workload, name: str, protocol: str) -> int | None:
    """The number of the port that a workload's containers give a name: the first of that protocol, those of sidecars
    last (kubernetes pkg/api/v1/pod/util.go, FindPort)."""
    found = [port for port in workload.ports if port.name == name and port.protocol == protocol]
    return min(found, key=_of_sidecar).number if found else None


def _of_sidecar(port: ContainerPort) -> bool:
    return "initContainers" in port.path
