"""Claims to volumes, wherever they are written, and the pods that mount them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.reading import items, mapping, string, whole
from kubeassay.analysis.storage.drivers import FILESYSTEM
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, PodTemplate, templates_of
from kubeassay.model import Inventory, Object, Path

#: Comes before the field (component-helpers, storage/volume/helpers.go, GetPersistentVolumeClaimClass).
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_HOST_NAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A PersistentVolumeClaim, a template of a StatefulSet, or a generic ephemeral volume of a pod.

    ``name``: of a template or an ephemeral volume that of the volume. ``path``: from the object's root to its spec.
    ``class_name``: None asks for the default class, "" for none; ``class_path``: where it says so, or would.
    ``requested``: bytes; None where it is no quantity. ``volume``: the PersistentVolume that it names.
    """

    kind: Literal["claim", "template", "ephemeral"]
    name: str
    namespace: str
    obj: Object
    path: Path
    class_name: str | None
    class_path: Path
    access_modes: tuple[str, ...]
    volume_mode: str
    requested: Fraction | None
    volume: str

    @property
    def modes_path(self) -> Path:
        return (*self.path, "accessModes")

    def __str__(self) -> str:
        if self.kind == "claim":
            return f"claim {self.namespace}/{self.name}"
        what = "claim template" if self.kind == "template" else "ephemeral volume"
        return f"{what} {self.name} of {self.obj.ref.kind} {self.namespace}/{self.obj.ref.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """A volume of a pod template that is a claim of its namespace. ``path``: to the claim's name. ``pods``: how many
    pods there may be at once (an autoscaler's maximum counted), or None where that is not known: a DaemonSet's.
    ``one_node``: the pods are held to one node, or to that of others."""

    claim: str
    namespace: str
    template: PodTemplate
    path: Path
    pods: int | None
    one_node: bool

    @property
    def obj(self) -> Object:
        return self.template.obj

    @property
    def maker(self) -> str:
        return f"{self.obj.ref.kind} {self.namespace}/{self.obj.ref.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A PersistentVolume. ``claim``: namespace and name of the claim that it is kept for."""

    obj: Object
    name: str
    class_name: str
    class_path: Path
    access_modes: tuple[str, ...]
    volume_mode: str
    capacity: Fraction | None
    claim: tuple[str, str] | None

    def __str__(self) -> str:
        return f"PersistentVolume {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """All claims, mounts and volumes of an inventory, in reading order."""

    claims: tuple[Claim, ...]
    mounts: tuple[Mount, ...]
    volumes: tuple[Volume, ...]
    #: (namespace, name) → PersistentVolumeClaims; several where a tree has one for each environment.
    by_name: Mapping[tuple[str, str], Sequence[Claim]]
    #: Namespace → prefixes of the names of claims that StatefulSets make of templates: ``data-web-``.
    made: Mapping[str, tuple[str, ...]]

    def is_made(self, namespace: str, name: str) -> bool:
        """Whether a StatefulSet makes a claim of the name: template, set and ordinal."""
        return any(
            name.startswith(prefix) and name[len(prefix) :].isdecimal() for prefix in self.made.get(namespace, ())
        )


def storage(inventory: Inventory) -> Storage:
    """The storage of an inventory. Computed once."""
    known: Storage | None = inventory.facts.get(Storage)
    if known is None:
        known = inventory.facts[Storage] = _find(inventory)
    return known


def _find(inventory: Inventory) -> Storage:
    claims: list[Claim] = []
    mounts: list[Mount] = []
    made: dict[str, dict[str, None]] = defaultdict(dict)
    most = _autoscaled(inventory)
    for obj in inventory:
        if obj.ref.kind == "PersistentVolumeClaim" and not obj.ref.group:
            claims.append(_claim("claim", obj.ref.name, obj, ("spec",), obj.value))
            continue
        for template in templates_of(obj):
            if template.obj.ref.kind == "PodTemplate" and template.built_in:
                continue
            own = list(_of_templates(obj)) if template.path == ("spec", "template") else []
            claims += own
            for claim in own:
                made[claim.namespace][f"{claim.name}-{obj.ref.name}-"] = None
            found = _of_pod(template, {claim.name for claim in own}, most)
            for one in found:
                if isinstance(one, Claim):
                    claims.append(one)
                else:
                    mounts.append(one)
    by_name: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.kind == "claim":
            by_name[claim.namespace, claim.name].append(claim)
    return Storage(
        claims=tuple(claims),
        mounts=tuple(mounts),
        volumes=tuple(_volume(obj) for obj in inventory.of_kind("PersistentVolume", "")),
        by_name=dict(by_name),
        made={namespace: tuple(prefixes) for namespace, prefixes in made.items()},
    )


def _claim(kind: Any, name: str, obj: Object, path: Path, value: Mapping[str, Any]) -> Claim:
    """A claim from ``value``: a PersistentVolumeClaim, or a template of one. ``path``: to its spec."""
    spec = mapping(value.get("spec"))
    annotations = mapping(mapping(value.get("metadata")).get("annotations"))
    class_name: Any = spec.get("storageClassName")
    class_path: Path = (*path, "storageClassName")
    if CLASS_ANNOTATION in annotations:
        class_name = annotations[CLASS_ANNOTATION]
        class_path = (*path[:-1], "metadata", "annotations", CLASS_ANNOTATION)
    return Claim(
        kind=kind,
        name=name,
        namespace=namespace_of(obj),
        obj=obj,
        path=path,
        class_name=class_name if isinstance(class_name, str) else None,
        class_path=class_path,
        access_modes=tuple(mode for mode in items(spec.get("accessModes")) if isinstance(mode, str)),
        volume_mode=string(spec.get("volumeMode")) or FILESYSTEM,
        requested=parse_quantity(_plain(mapping(mapping(spec.get("resources")).get("requests")).get("storage"))),
        volume=string(spec.get("volumeName")),
    )


def _plain(value: Any) -> Any:
    """A scalar, or None: quantities are looked up in a table, which takes no lists or mappings."""
    return value if isinstance(value, str | int | float) else None


def _of_templates(obj: Object) -> Iterator[Claim]:
    """The claims that a StatefulSet, or a resource like one, makes for each of its pods."""
    for number, value in enumerate(items(obj.get("spec", "volumeClaimTemplates"))):
        template = mapping(value)
        name = string(mapping(template.get("metadata")).get("name"))
        yield _claim("template", name, obj, ("spec", "volumeClaimTemplates", number, "spec"), template)


def _of_pod(template: PodTemplate, own: set[str], most: Mapping[tuple[str, str, str], int]) -> Iterator[Claim | Mount]:
    for number, value in enumerate(items(template.spec.get("volumes"))):
        volume = mapping(value)
        name = string(volume.get("name"))
        path = (*template.spec_path, "volumes", number)
        ephemeral = mapping(mapping(volume.get("ephemeral")).get("volumeClaimTemplate"))
        if ephemeral:
            spec_path = (*path, "ephemeral", "volumeClaimTemplate", "spec")
            yield _claim("ephemeral", name, template.obj, spec_path, ephemeral)
        claim = string(mapping(volume.get("persistentVolumeClaim")).get("claimName"))
        # A volume of a claim template's name comes instead of one that the pod template has.
        if claim and name not in own:
            yield Mount(
                claim=claim,
                namespace=namespace_of(template.obj),
                template=template,
                path=(*path, "persistentVolumeClaim", "claimName"),
                pods=_pods(template, most),
                one_node=_one_node(template.spec),
            )


def _autoscaled(inventory: Inventory) -> Mapping[tuple[str, str, str], int]:
    """(namespace, kind, name) → the most replicas that an autoscaler gives it."""
    found: dict[tuple[str, str, str], int] = {}
    for obj in inventory.of_kind("HorizontalPodAutoscaler", "autoscaling"):
        target, most = mapping(obj.get("spec", "scaleTargetRef")), obj.get("spec", "maxReplicas")
        if isinstance(most, int):
            key = (namespace_of(obj), string(target.get("kind")), string(target.get("name")))
            found[key] = max(most, found.get(key, 0))
    for obj in inventory.of_kind("ScaledObject", "keda.sh"):
        # KEDA makes an autoscaler of it: of a Deployment, and up to a hundred, unless it says otherwise.
        target, stated = mapping(obj.get("spec", "scaleTargetRef")), obj.get("spec", "maxReplicaCount")
        key = (namespace_of(obj), string(target.get("kind")) or "Deployment", string(target.get("name")))
        most = stated if isinstance(stated, int) else _KEDA_MAXIMUM
        found[key] = max(most, found.get(key, 0))
    return found


#: kedacore/keda apis/keda/v1alpha1, defaultHPAMaxReplicas.
_KEDA_MAXIMUM = 100


def _pods(template: PodTemplate, most: Mapping[tuple[str, str, str], int]) -> int | None:
    obj = template.obj
    if obj.ref.kind == "DaemonSet" and obj.ref.group in BUILT_IN_GROUPS:
        return None
    field = {"Job": ("spec", "parallelism"), "CronJob": ("spec", "jobTemplate", "spec", "parallelism")}.get(
        obj.ref.kind, ("spec", "replicas")
    )
    stated = obj.get(*field)
    count = 1 if (number := whole(stated)) is None else number
    if obj.ref.kind == "Pod":
        count = 1
    return max(count, most.get((namespace_of(obj), obj.ref.kind, obj.ref.name), 0))


def _one_node(spec: Mapping[str, Any]) -> bool:
    """Whether something keeps the pods on one node: its name, a label, or nearness to other pods that is required."""
    if string(spec.get("nodeName")) or _HOST_NAME in mapping(spec.get("nodeSelector")):
        return True
    affinity = mapping(spec.get("affinity"))
    near = mapping(affinity.get("podAffinity"))
    terms = items(near.get("requiredDuringSchedulingIgnoredDuringExecution"))
    if any(mapping(term).get("topologyKey") == _HOST_NAME for term in terms):
        return True
    required = mapping(mapping(affinity.get("nodeAffinity")).get("requiredDuringSchedulingIgnoredDuringExecution"))
    return any(
        mapping(expression).get("key") in (_HOST_NAME, "metadata.name")
        for term in items(required.get("nodeSelectorTerms"))
        for field in ("matchExpressions", "matchFields")
        for expression in items(mapping(term).get(field))
    )


def _volume(obj: Object) -> Volume:
    spec = mapping(obj.get("spec"))
    annotation = mapping(obj.get("metadata", "annotations")).get(CLASS_ANNOTATION)
    class_path: Path = ("spec", "storageClassName")
    if annotation is not None:
        class_path = ("metadata", "annotations", CLASS_ANNOTATION)
    kept_for = mapping(spec.get("claimRef"))
    claim = (string(kept_for.get("namespace")), string(kept_for.get("name")))
    return Volume(
        obj=obj,
        name=obj.ref.name,
        class_name=string(annotation) if annotation is not None else string(spec.get("storageClassName")),
        class_path=class_path,
        access_modes=tuple(mode for mode in items(spec.get("accessModes")) if isinstance(mode, str)),
        volume_mode=string(spec.get("volumeMode")) or FILESYSTEM,
        capacity=parse_quantity(_plain(mapping(spec.get("capacity")).get("storage"))),
        claim=claim if all(claim) else None,
    )
