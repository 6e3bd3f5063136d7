"""What made a live object: pods, ReplicaSets and Jobs that a controller made are judged at their owner.

An object that a controller made from a template is judged by that template, as long as it says the same. What an owner
reference alone says is not believed: anyone who may create a pod can name an owner in it. What differs is drift: an
admission webhook added a container, a debug container was attached, the template was changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.workloads import pod_templates
from kubeassay.model import Object, ObjectRef

#: Controllers of Kubernetes itself, and Argo Rollouts, which is in a Deployment's place: what they make, they make of
#: their template.
_MADE_BY: Mapping[tuple[str, str], frozenset[tuple[str, str]]] = {
    ("", "Pod"): frozenset(
        {("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("batch", "Job")}
        | {("", "ReplicationController")}
    ),
    ("apps", "ReplicaSet"): frozenset({("apps", "Deployment"), ("argoproj.io", "Rollout")}),
    ("batch", "Job"): frozenset({("batch", "CronJob")}),
}
#: Fields of a pod's spec that the API server, the scheduler and controllers set, or that no rule on security reads.
_SET_BY_OTHERS = frozenset(
    """
    activeDeadlineSeconds affinity dnsConfig dnsPolicy enableServiceLinks hostname imagePullSecrets nodeName
    nodeSelector overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources
    restartPolicy schedulerName schedulingGates serviceAccount setHostnameAsFQDN subdomain
    terminationGracePeriodSeconds tolerations topologySpreadConstraints
    """.split()  # noqa: SIM905
)
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
#: Of a container: what limit ranges, the kubelet and defaults set.
_OF_CONTAINERS = frozenset(
    {"resources", "resizePolicy", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"}
)
#: Annotations that stand for fields of a security context.
_SECURITY = ("container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/")
#: Labels, or prefixes of their keys, with which controllers, and the admission plug-in PodTopologyLabels, mark pods.
_LABELS_OF_CONTROLLERS = frozenset({
    "pod-template-hash", "rollouts-pod-template-hash",
    "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name",
    "apps.kubernetes.io", "batch.kubernetes.io", "statefulset.kubernetes.io", "topology.kubernetes.io",
})  # fmt: skip
_TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
#: What the ServiceAccount admission plug-in projects there.
_TOKEN_SOURCES = frozenset({"serviceAccountToken", "configMap", "downwardAPI"})


#: (API group, kind) of what may have an owner, and be one.
MADE = frozenset(_MADE_BY)
MAKERS = frozenset(maker for makers in _MADE_BY.values() for maker in makers)


@dataclass(frozen=True, slots=True)
class Maker:
    """What is kept of an object that may have made others. ``makes``: it has a template to make them of."""

    ref: ObjectRef
    file: str
    makes: bool
    #: Who made it, by what it says: uid and name of its controllers.
    controllers: tuple[tuple[str, Any], ...]


class Makers:
    """The objects of a cluster that may have made others; of each the little that tells."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._by_uid = {
            uid: Maker(obj.ref, obj.file, bool(pod_templates(obj)), tuple(_controllers(obj)))
            for obj in objects
            if (obj.ref.group, obj.ref.kind) in MAKERS and (uid := _uid(obj)) is not None
        }

    def top(self, obj: Object) -> Maker | None:
        """The top owner of an object, at which it is judged; None for what is judged by itself."""
        top = self._owner(obj.ref, _controllers(obj))
        if top is None:
            return None
        seen = {obj.ref, top.ref}
        while (above := self._owner(top.ref, top.controllers)) is not None and above.ref not in seen:
            top = above
            seen.add(top.ref)
        return top

    def _owner(self, ref: ObjectRef, controllers: Iterable[tuple[str, Any]]) -> Maker | None:
        """The controller that made an object, where it is known to make such objects of its own template."""
        makers = _MADE_BY.get((ref.group, ref.kind))
        if makers is None:
            return None
        for uid, name in controllers:
            owner = self._by_uid.get(uid)
            if (
                owner is not None
                and (owner.ref.group, owner.ref.kind) in makers
                and owner.ref.namespace == ref.namespace
                and owner.ref.name == name
                and owner.makes
            ):
                return owner
        return None


def _uid(obj: Object) -> str | None:
    return string(mapping(obj.value.get("metadata")).get("uid")) or None


def _controllers(obj: Object) -> Iterator[tuple[str, Any]]:
    for reference in items(mapping(obj.value.get("metadata")).get("ownerReferences")):
        reference = mapping(reference)
        uid = string(reference.get("uid"))
        if uid and reference.get("controller") is True:
            yield uid, reference.get("name")


def drift(obj: Object, owner: Object) -> Iterator[str]:
    """In what the pods of an object differ from the template of its owner, in words: fields that rules judge."""
    made, wanted = pod_templates(obj), pod_templates(owner)
    if not made or not wanted:
        yield "it has no pod template"
        return
    spec, template = made[0].spec, wanted[0].spec
    for field in _CONTAINERS:
        yield from _containers(items(spec.get(field)), items(template.get(field)), field)
    for field in _differing_fields(spec, template, owner):
        yield f"spec.{field}"
    for key in _differing_annotations(made[0].annotations, wanted[0].annotations):
        yield f"annotation {key}"
    labels, stated = made[0].labels, wanted[0].labels
    for key in sorted(labels.keys() | stated.keys()):
        # One that was added can take a pod out of a policy's reach, or into one's.
        if labels.get(key) != stated.get(key) and (
            key in stated or key.partition("/")[0] not in _LABELS_OF_CONTROLLERS
        ):
            yield f"label {key}"


def as_run(obj: Object, owner: Object) -> dict[str, Any] | None:
    """The pod template of an owner as the pods of an object run it: the owner's, but for what rules judge and
    :func:`drift` finds to differ, which is that of the pods. Containers that the template has keep their places in its
    lists, others follow. Labels are the template's."""
    made, wanted = pod_templates(obj), pod_templates(owner)
    if not made or not wanted:
        return None
    spec, template = made[0].spec, wanted[0].spec
    run = {field: value for field, value in template.items() if field not in _CONTAINERS}
    for field in _differing_fields(spec, template, owner):
        _set(run, field, _given_out(spec.get(field), owner) if field == "volumes" else spec.get(field))
    for field in _CONTAINERS:
        _set(run, field, list(_containers_as_run(items(spec.get(field)), items(template.get(field)))) or None)
    annotations = dict(wanted[0].annotations)
    for key in _differing_annotations(made[0].annotations, annotations):
        _set(annotations, key, made[0].annotations.get(key))
    return {"metadata": {**wanted[0].metadata, "annotations": annotations}, "spec": run}


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        values.pop(key, None)
    else:
        values[key] = value


def _differing_fields(spec: Mapping[str, Any], template: Mapping[str, Any], owner: Object) -> list[str]:
    """The fields of a pod's spec, but for its containers, that differ in what rules judge."""
    found, declared = dict(spec), dict(template)
    for value in (found, declared):
        value["serviceAccountName"] = value.get("serviceAccountName") or "default"
        value["volumes"] = sorted(_given_out(value.get("volumes"), owner), key=lambda volume: str(volume.get("name")))
    return [
        field
        for field in sorted((found.keys() | declared.keys()) - _SET_BY_OTHERS - {*_CONTAINERS})
        if _meant(found.get(field)) != _meant(declared.get(field))
    ]


def _differing_annotations(annotations: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    return [
        key
        for key in sorted(annotations.keys() | declared.keys())
        if key.startswith(_SECURITY) and annotations.get(key) != declared.get(key)
    ]


def _given_out(volumes: Any, owner: Object) -> list[Mapping[str, Any]]:
    """Volumes without those that are given to every pod."""
    claims = {
        mapping(mapping(claim).get("metadata")).get("name")
        for claim in items(mapping(owner.value.get("spec")).get("volumeClaimTemplates"))
    }
    return [volume for volume in map(mapping, items(volumes)) if not _is_given(volume, claims)]


def _containers_as_run(made: Iterable[Any], wanted: Iterable[Any]) -> Iterator[dict[str, Any]]:
    running = {mapping(container).get("name"): mapping(container) for container in made}
    for container in map(mapping, wanted):
        found = running.pop(container.get("name"), None)
        if found is not None:
            run = dict(container)
            for key in _differing_keys(found, container):
                _set(run, key, _without_token(found.get(key)) if key == "volumeMounts" else found.get(key))
            yield run
    for container in running.values():
        run = dict(container)
        _set(run, "volumeMounts", _without_token(container.get("volumeMounts")) or None)
        yield run


def _meant(value: Any) -> Any:
    """A value, with what is empty as what is not there."""
    return None if value in ("", [], {}) else value


def _is_given(volume: Mapping[str, Any], claims: set[Any]) -> bool:
    """The volume of the token that the ServiceAccount admission plug-in mounts, and those of a StatefulSet's claims."""
    name = volume.get("name")
    if name in claims:
        return "persistentVolumeClaim" in volume
    sources = map(mapping, items(mapping(volume.get("projected")).get("sources")))
    return (
        isinstance(name, str)
        and name.startswith("kube-api-access-")
        and "projected" in volume
        and all(source.keys() <= _TOKEN_SOURCES for source in sources)
    )


def _containers(made: Iterable[Any], wanted: Iterable[Any], field: str) -> Iterator[str]:
    word = {"initContainers": "init container", "ephemeralContainers": "ephemeral container"}.get(field, "container")
    declared = {mapping(container).get("name"): mapping(container) for container in wanted}
    names = set()
    for container in map(mapping, made):
        name = container.get("name")
        names.add(name)
        if name not in declared:
            yield f"{word} {name}"
            continue
        for key in _differing_keys(container, declared[name]):
            yield f"{key} of {word} {name}"
    for name in declared.keys() - names:
        yield f"{word} {name} is gone"


def _differing_keys(container: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a container that differ in what rules judge."""
    for key in sorted((container.keys() | template.keys()) - _OF_CONTAINERS):
        ours, theirs = container.get(key), template.get(key)
        if key == "volumeMounts":
            ours, theirs = _without_token(ours), _without_token(theirs)
        if _meant(ours) != _meant(theirs):
            yield key


def _without_token(mounts: Any) -> list[Any]:
    return [mount for mount in items(mounts) if mapping(mount).get("mountPath") != _TOKENS]
