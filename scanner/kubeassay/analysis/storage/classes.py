"""StorageClasses, as Kubernetes defaults them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.reading import mapping, string
from kubeassay.analysis.storage.drivers import EBS, driver_of
from kubeassay.model import Inventory, Object, Path

GROUP = "storage.k8s.io"
#: The beta annotation counts, too (pkg/volume/util/storageclass.go, IsDefaultAnnotation).
DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
#: Parameters that the external provisioner takes out before the driver sees them.
_SIDECAR_PREFIX = "csi.storage.k8s.io/"


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A parameter of a class. ``key`` as it is written; ``value`` where it is a string (others are refused)."""

    key: str
    value: str

    @property
    def path(self) -> Path:
        return ("parameters", self.key)


@dataclass(frozen=True, slots=True, eq=False)
class StorageClass:
    """A StorageClass. ``driver``: who serves its provisioner. ``parameters``: those that the driver sees, by the name
    that it knows them by: in small letters for EBS, which compares so, as written for others. ``default_path``: the
    annotation that makes it a default class."""

    obj: Object
    name: str
    provisioner: str
    driver: str
    parameters: Mapping[str, Parameter]
    binds_immediately: bool
    reclaim_policy: str
    expandable: bool
    default_path: Path | None

    def __str__(self) -> str:
        return f"StorageClass {self.name}"

    def value(self, parameter: str) -> str:
        """The value of a parameter; empty where it is not set."""
        found = self.parameters.get(parameter)
        return found.value if found is not None else ""


def storage_class(obj: Object) -> StorageClass | None:
    """A StorageClass; None for an object of another kind."""
    if obj.ref.kind != "StorageClass" or obj.ref.group != GROUP:
        return None
    known: StorageClass | None = obj.facts.get(StorageClass)
    if known is None:
        known = obj.facts[StorageClass] = _read(obj)
    return known


def _read(obj: Object) -> StorageClass:
    provisioner = string(obj.get("provisioner"))
    driver = driver_of(provisioner)
    parameters: dict[str, Parameter] = {}
    for key, value in mapping(obj.get("parameters")).items():
        name = str(key)
        if isinstance(value, str) and not name.lower().startswith(_SIDECAR_PREFIX):
            parameters[name.lower() if driver == EBS else name] = Parameter(name, value)
    annotations = mapping(obj.get("metadata", "annotations"))
    default = next((name for name in DEFAULT_ANNOTATIONS if annotations.get(name) == "true"), None)
    return StorageClass(
        obj=obj,
        name=obj.ref.name,
        provisioner=provisioner,
        driver=driver,
        parameters=parameters,
        binds_immediately=(string(obj.get("volumeBindingMode")) or "Immediate") == "Immediate",
        reclaim_policy=string(obj.get("reclaimPolicy")) or "Delete",
        expandable=obj.get("allowVolumeExpansion") is True,
        default_path=("metadata", "annotations", default) if default is not None else None,
    )


def storage_classes(inventory: Inventory) -> Mapping[str, list[StorageClass]]:
    """The classes by name, in reading order: several of one name where a tree has one for each environment."""
    known: dict[str, list[StorageClass]] | None = inventory.facts.get(StorageClass)
    if known is None:
        known = inventory.facts[StorageClass] = {}
        for obj in inventory.of_kind("StorageClass", GROUP):
            found = storage_class(obj)
            if found is not None:
                known.setdefault(found.name, []).append(found)
    return known


def is_placeholder(value: Any) -> bool:
    """Whether something is filled in before the object is applied: ``${EFS_ID}``, ``{{ .Values.id }}``, ``<id>``."""
    text = string(value)
    return "${" in text or "{{" in text or (text.startswith("<") and text.endswith(">"))
