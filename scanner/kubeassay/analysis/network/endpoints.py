"""Workloads as ends of connections: their names, labels, ports and whether they live on the node's network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.analysis.selectors import Selector, labels_of
from kubeassay.analysis.workloads import PodTemplate
from kubeassay.model import Inventory, Object, Path

#: What an object without a namespace is applied to, unless somebody says otherwise.
DEFAULT_NAMESPACE = "default"
#: The label that the API server gives every namespace: its name.
METADATA_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container declares. ``path``: from the object's root to its entry."""

    name: str
    protocol: str
    number: int
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """The pods that one object makes (or one Pod). ``name`` is ``namespace/name[Kind]``.

    ``labels`` are those of its pods. ``template`` is None where an operator makes the pods in a way that is known
    here, without a template in the object.
    """

    name: str
    namespace: str
    obj: Object
    labels: Mapping[str, str]
    ports: tuple[ContainerPort, ...]
    host_network: bool
    service_account: str
    template: PodTemplate | None

    def __str__(self) -> str:
        return self.name


def namespace_of(obj: Object) -> str:
    """The namespace that a namespaced object is applied to."""
    return obj.ref.namespace or DEFAULT_NAMESPACE


@dataclass(frozen=True, slots=True, eq=False)
class Namespace:
    """A namespace: stated by an object, or only named by others (``obj`` None). Every one carries the label
    kubernetes.io/metadata.name, which the API server sets; of one that is not declared, other labels are not known."""

    name: str
    labels: Mapping[str, str]
    obj: Object | None
    declared: bool

    def is_selected(self, selector: Selector) -> bool | None:
        """Whether a selector selects it; None where that depends on labels that are not known."""
        return selector.matches(self.labels) if self.declared else selector.may_match_only(self.labels)


def namespaces(inventory: Inventory, names: frozenset[str]) -> Mapping[str, Namespace]:
    """The namespaces that are declared (the first object of a name), and those of ``names``, sorted by name."""
    found: dict[str, Namespace] = {}
    for obj in inventory.of_kind("Namespace", ""):
        if obj.ref.name and obj.ref.name not in found:
            found[obj.ref.name] = _declared(obj)
    for name in names:
        if name not in found:
            found[name] = Namespace(name, {METADATA_NAME: name}, None, declared=False)
    return dict(sorted(found.items()))


def _declared(obj: Object) -> Namespace:
    return Namespace(obj.ref.name, {**labels_of(obj.value), METADATA_NAME: obj.ref.name}, obj, declared=True)


def namespace_finder(inventory: Inventory, known: Mapping[str, Namespace]) -> Callable[[Workload], Namespace]:
    """Finds the namespace of a workload: of several objects of one name (a tree often has one for each environment)
    the nearest by folder, as everywhere."""
    several = Counter(obj.ref.name for obj in inventory.of_kind("Namespace", ""))
    found: dict[int, Namespace] = {}

    def space_of(workload: Workload) -> Namespace:
        name = workload.namespace
        if several[name] < 2:
            return known[name]
        obj = inventory.nearest("", "Namespace", None, name, workload.obj.file)
        if obj is None:
            return known[name]
        if id(obj) not in found:
            found[id(obj)] = _declared(obj)
        return found[id(obj)]

    return space_of


def ports_of(template: PodTemplate) -> tuple[ContainerPort, ...]:
    """The ports that containers declare, those that cannot be served left out. Init containers do not serve when the
    pod does, unless they are sidecars."""
    ports: list[ContainerPort] = []
    for container in template.containers:
        if container.type == "init":
            continue
        for number, port in enumerate(items(container.spec.get("ports"))):
            port = mapping(port)
            value = port_number(port.get("containerPort"))
            if value is not None:
                protocol = string(port.get("protocol")) or "TCP"
                path = (*container.path, "ports", number)
                ports.append(ContainerPort(string(port.get("name")), protocol, value, path))
    return tuple(ports)


def owner_of(obj: Object) -> tuple[str, str] | None:
    """The (kind, name) of the controller that made an object; None where no reference says ``controller: true``, or
    there is but one reference."""
    references = [mapping(r) for r in items(mapping(obj.value.get("metadata")).get("ownerReferences"))]
    controllers = [r for r in references if r.get("controller") is True] or (references if len(references) == 1 else [])
    for reference in controllers:
        # A reference written by hand may lack the kind: that the pods have one owner is known all the same.
        kind, name = string(reference.get("kind")) or "Pod", string(reference.get("name"))
        if name:
            return kind, name
    return None


def owner_among(objects: Mapping[tuple[str | None, str, str], Object], obj: Object) -> Object | None:
    """The controller that made an object, of objects by namespace, kind and name: it is in the same namespace, or in
    none. Of a Pod whose ReplicaSet is not among them, the Deployment."""

    def named(kind: str, name: str) -> Object | None:
        return objects.get((obj.ref.namespace, kind, name)) or objects.get((None, kind, name))

    owner = owner_of(obj)
    if owner is None:
        return None
    kind, name = owner
    found = named(kind, name)
    if found is None and kind == "ReplicaSet":
        # The Deployment controller names its ReplicaSets after itself and the hash that their pods carry
        # (kubernetes pkg/controller/deployment/sync.go, getNewReplicaSet).
        hash_ = labels_of(obj.value).get("pod-template-hash")
        if hash_ and name.endswith(f"-{hash_}"):
            found = named("Deployment", name.removesuffix(f"-{hash_}"))
    return found
