"""Pod templates: where they stand in an object, and their containers.

Built-in kinds are known by path. A custom resource is searched for values that have the shape of a PodTemplateSpec
(``spec.containers``) or a PodSpec (``containers``), so Argo Rollouts, Knative Services and others need no list of
kinds; paths that a shape does not give away can be configured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kubeassay.model import Object, Path

ContainerType = Literal["container", "init", "sidecar", "ephemeral"]

#: (API group, kind) → path of the PodTemplateSpec (of the Pod itself, for a Pod).
TEMPLATE_PATHS: Mapping[tuple[str, str], Path] = {
    ("", "Pod"): (),
    ("", "PodTemplate"): ("template",),
    ("", "ReplicationController"): ("spec", "template"),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    # Groups that Kubernetes served these kinds from until 1.16; a cluster that old, or a file that was never updated.
    ("extensions", "Deployment"): ("spec", "template"),
    ("extensions", "ReplicaSet"): ("spec", "template"),
    ("extensions", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}

#: API groups of Kubernetes itself: their kinds are known, so no search by shape.
BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "extensions",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)

#: (field of the pod spec, type of its containers), in the order in which Pod Security Admission visits them.
_CONTAINER_LISTS: tuple[tuple[str, ContainerType], ...] = (
    ("initContainers", "init"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral"),
)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod template. ``path`` starts at the object's root. ``security_context`` is {} when absent."""

    type: ContainerType
    name: str
    path: Path
    spec: Mapping[str, Any]
    security_context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A pod template, or a Pod. Absent mappings read as {}; all paths start at the object's root.

    ``containers`` holds init containers (and sidecars, which are restartable init containers), regular and ephemeral
    ones, in the order in which Pod Security Admission visits them.
    """

    obj: Object
    path: Path
    spec_path: Path
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    security_context: Mapping[str, Any]
    containers: tuple[Container, ...]
    #: True for the kinds of Kubernetes itself; False for a template found in a custom resource.
    built_in: bool

    @property
    def windows(self) -> bool:
        """spec.os.name is windows: the restricted level exempts such pods from Linux-only fields since 1.25."""
        return _mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def user_namespace(self) -> bool:
        """spec.hostUsers is false: the pod runs in a user namespace of its own."""
        return self.spec.get("hostUsers") is False

    @property
    def annotations(self) -> Mapping[str, Any]:
        return _mapping(self.metadata.get("annotations"))

    @property
    def labels(self) -> Mapping[str, Any]:
        return _mapping(self.metadata.get("labels"))


_EMPTY: Mapping[str, Any] = {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _EMPTY


def pod_templates(
    obj: Object, extra_paths: Mapping[tuple[str, str], tuple[Path, ...]] | None = None
) -> tuple[PodTemplate, ...]:
    """The pod templates of an object; empty for an object that makes no pods.

    ``extra_paths``: (API group, kind) → paths of PodTemplateSpecs or PodSpecs, for custom resources.
    """
    ref = obj.ref
    group = ref.group
    key = (group, ref.kind)
    path = TEMPLATE_PATHS.get(key)
    if path is not None:
        value: Any = obj.value
        for step in path:
            value = _mapping(value).get(str(step))
        if not isinstance(value, dict):
            return ()
        return (_template(obj, path, value, built_in=True),)
    found: list[PodTemplate] = []
    for configured in (extra_paths or {}).get(key, ()):
        value = obj.get(*configured)
        if isinstance(value, dict):
            found.append(_template(obj, configured, value, built_in=False))
    if found:
        return tuple(found)
    if group in BUILT_IN_GROUPS:
        return ()
    return tuple(_search(obj, (), obj.value))


def operator_pods(obj: Object, templates: tuple[PodTemplate, ...]) -> Path | None:
    """Where a custom resource lets an operator make pods in a way that its shape does not tell; None: nowhere.

    Signs are an ``image`` outside the templates that were found (Prometheus, Tekton's steps, Argo Workflows' single
    container), and a ``template`` with settings for a ``pod`` (Strimzi).
    """
    if obj.ref.group in BUILT_IN_GROUPS:
        return None
    return _sign(
        (), obj.value, frozenset(path for template in templates for path in (template.path, template.spec_path))
    )


def _sign(path: Path, value: Any, known: frozenset[Path]) -> Path | None:
    if path in known:
        return None
    if isinstance(value, dict):
        image = value.get("image")
        if isinstance(image, str) and image:
            return (*path, "image")
        template = value.get("template")
        if isinstance(template, dict) and isinstance(template.get("pod"), dict):
            return (*path, "template", "pod")
    elif not isinstance(value, list):
        return None
    for step, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(child, dict | list):
            found = _sign((*path, step), child, known)
            if found is not None:
                return found
    return None


def _search(obj: Object, path: Path, value: Any) -> Iterator[PodTemplate]:
    if isinstance(value, dict):
        if _is_pod_spec(value.get("spec")) or _is_pod_spec(value):
            yield _template(obj, path, value, built_in=False)
            return
        for key, child in value.items():
            if isinstance(child, dict | list):
                yield from _search(obj, (*path, key), child)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            if isinstance(child, dict | list):
                yield from _search(obj, (*path, number), child)


def _is_pod_spec(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    containers = value.get("containers")
    return (
        isinstance(containers, list)
        and bool(containers)
        and all(isinstance(c, dict) and ("image" in c or "name" in c) for c in containers)
    )


def _template(obj: Object, path: Path, value: dict[str, Any], *, built_in: bool) -> PodTemplate:
    spec = value.get("spec")
    if not built_in and (not isinstance(spec, dict) or (not _is_pod_spec(spec) and _is_pod_spec(value))):
        # A PodSpec by itself: found by its shape, or at a configured path (where it may lack containers).
        spec, spec_path, metadata = value, path, _EMPTY
    else:
        spec, spec_path, metadata = _mapping(spec), (*path, "spec"), _mapping(value.get("metadata"))
    containers: list[Container] = []
    for field, container_type in _CONTAINER_LISTS:
        members = spec.get(field)
        if not isinstance(members, list):
            continue
        for number, member in enumerate(members):
            member = _mapping(member)
            actual: ContainerType = container_type
            if container_type == "init" and member.get("restartPolicy") == "Always":
                actual = "sidecar"
            name = member.get("name")
            containers.append(
                Container(
                    type=actual,
                    name=name if isinstance(name, str) and name else f"{field}[{number}]",
                    path=(*spec_path, field, number),
                    spec=member,
                    security_context=_mapping(member.get("securityContext")),
                )
            )
    return PodTemplate(
        obj=obj,
        path=path,
        spec_path=spec_path,
        metadata=metadata,
        spec=spec,
        security_context=_mapping(spec.get("securityContext")),
        containers=tuple(containers),
        built_in=built_in,
    )
