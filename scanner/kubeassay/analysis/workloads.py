"""Pod templates: where they stand in an object, and their containers.

Built-in kinds are known by path. A custom resource is searched for values that have the shape of a PodTemplateSpec
(``spec.containers``) or a PodSpec (``containers``), so Argo Rollouts, Knative Services and others need no list of
kinds; paths that a shape does not give away can be configured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kubeassay.analysis.reading import mapping
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


_CONTAINER_FIELDS = tuple(field for field, _ in _CONTAINER_LISTS)

#: Groups whose objects are patterns of pods, not pods.
_POLICY_GROUPS = ("kyverno.io", "gatekeeper.sh")

#: Fields that mean pods wherever they stand.
_POD_FIELDS = ("securityContext", "podSecurityContext", "hostNetwork", "hostPID", "hostIPC", "hostPath", "privileged")


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
        """spec.os.name is windows: the restricted level exempts such pods from Linux-only fields since 1.25. What an
        operator makes of the field in a custom resource is not known, so it exempts from nothing there."""
        return self.built_in and mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def user_namespace(self) -> bool:
        """spec.hostUsers is false: the pod runs in a user namespace of its own (in a custom resource: see windows)."""
        return self.built_in and self.spec.get("hostUsers") is False

    @property
    def annotations(self) -> Mapping[str, Any]:
        return mapping(self.metadata.get("annotations"))

    @property
    def labels(self) -> Mapping[str, Any]:
        return mapping(self.metadata.get("labels"))


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
            value = mapping(value).get(str(step))
        if not isinstance(value, dict):
            return ()
        return (_template(obj, path, value, built_in=True),)
    configured_paths = (extra_paths or {}).get(key, ())
    found = [
        _template(obj, configured, value, built_in=False)
        for configured in configured_paths
        if isinstance(value := obj.get(*configured), dict)
    ]
    if group in BUILT_IN_GROUPS or group.endswith(_POLICY_GROUPS):
        return tuple(found)
    known = {template.spec_path for template in found}
    return (*found, *(template for template in _search(obj, (), obj.value) if template.spec_path not in known))


def with_value_at(value: Mapping[str, Any], path: Path, found: Any) -> dict[str, Any]:
    """A copy of a value with another one at a path of mappings; all else is shared."""
    key, *rest = path
    assert isinstance(key, str)
    return {**value, key: with_value_at(mapping(value.get(key)), tuple(rest), found) if rest else found}


def templates_of(obj: Object) -> tuple[PodTemplate, ...]:
    """The pod templates of an object of an inventory, found once. They refer to the object, and it to them: of objects
    that are read and let go of again, :func:`pod_templates` is asked."""
    found: tuple[PodTemplate, ...] | None = obj.facts.get(PodTemplate)
    if found is None:
        found = obj.facts[PodTemplate] = pod_templates(obj)
    return found


def operator_pods(obj: Object, templates: tuple[PodTemplate, ...]) -> Path | None:
    """Where a custom resource lets an operator make pods in a way that its shape does not tell; None: nowhere.

    Signs are, outside the templates that were found, an ``image`` (Prometheus, Tekton's steps, Argo Workflows' single
    container), a field that only pods have, and a ``template`` with settings for a ``pod`` (Strimzi).
    """
    group = obj.ref.group
    if group in BUILT_IN_GROUPS or group.endswith(_POLICY_GROUPS):
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
        for field in _POD_FIELDS:
            if field in value and value[field] not in (None, False, "", [], {}):
                return (*path, field)
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
        spec = value.get("spec")
        inner: Any = None
        if _is_pod_spec(spec):
            inner = spec
        elif _is_pod_spec(value):
            inner = value
        if inner is not None:
            yield _template(obj, path, value, built_in=False)
        for key, child in value.items():
            # Not into the containers that were found; but what looks like a template may hide another.
            if inner is value and key in _CONTAINER_FIELDS:
                continue
            if inner is not None and inner is not value and key == "spec":
                for spec_key, spec_child in inner.items():
                    if spec_key not in _CONTAINER_FIELDS and isinstance(spec_child, dict | list):
                        yield from _search(obj, (*path, key, spec_key), spec_child)
                continue
            if isinstance(child, dict | list):
                yield from _search(obj, (*path, key), child)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            if isinstance(child, dict | list):
                yield from _search(obj, (*path, number), child)


def _is_pod_spec(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    for field in _CONTAINER_FIELDS:
        members = value.get(field)
        if isinstance(members, list) and any(isinstance(m, dict) and ("image" in m or "name" in m) for m in members):
            return True
    return False


def _template(obj: Object, path: Path, value: dict[str, Any], *, built_in: bool) -> PodTemplate:
    spec = value.get("spec")
    if not built_in and (not isinstance(spec, dict) or (not _is_pod_spec(spec) and _is_pod_spec(value))):
        # A PodSpec by itself: found by its shape, or at a configured path (where it may lack containers).
        spec, spec_path, metadata = value, path, mapping(None)
    else:
        spec, spec_path, metadata = mapping(spec), (*path, "spec"), mapping(value.get("metadata"))
    containers: list[Container] = []
    for field, container_type in _CONTAINER_LISTS:
        members = spec.get(field)
        if not isinstance(members, list):
            continue
        for number, member in enumerate(members):
            member = mapping(member)
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
                    security_context=mapping(member.get("securityContext")),
                )
            )
    return PodTemplate(
        obj=obj,
        path=path,
        spec_path=spec_path,
        metadata=metadata,
        spec=spec,
        security_context=mapping(spec.get("securityContext")),
        containers=tuple(containers),
        built_in=built_in,
    )
