"""All ends of connections in an inventory: one workload for what makes pods of one set of labels.

What one thing makes of another is judged once. A ReplicaSet of a Deployment, a Job of a CronJob, a Pod of any of them
is no workload of its own while its maker is among the inputs and speaks for it: its template's labels are those of the
pods, but for what controllers add. Where they are not (an operator that adds labels, a pod of an older revision), what
was made stands for itself, because selectors see its labels. A Pod whose maker does not speak for it is named after
the maker.

What a workload cannot tell: labels whose values exist only once the pods do (pod-template-hash,
statefulset.kubernetes.io/pod-name, controller-revision-hash, the job-name of a CronJob's pods), and labels that
admission adds to pods (a mesh's).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kubeassay.analysis.network.endpoints import ContainerPort, Workload, namespace_of, owner_among, owner_of, ports_of
from kubeassay.analysis.network.operators import OperatorPods, known_operator_pods
from kubeassay.analysis.reading import string
from kubeassay.analysis.selectors import labels_of
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, PodTemplate, operator_pods, templates_of
from kubeassay.model import Inventory, Object, Path, format_path

#: Labels that controllers add to what they make, with values of their own.
CONTROLLER_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-generation",
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)

#: Where a custom resource has the template of its pods, when it has but one: such a workload's name says no path.
_USUAL_PATHS: tuple[Path, ...] = (("spec", "template"), ("spec", "jobTemplate", "spec", "template"))

#: More owners than any controller is behind another (Knative has five behind a Pod).
_LONGEST_CHAIN = 16


_OF_STATEFUL_SET = ("apps.kubernetes.io/pod-index", "controller-revision-hash", "statefulset.kubernetes.io/pod-name")
_OF_JOB = ("batch.kubernetes.io/controller-uid", "controller-uid")
#: Kind → the labels that its controller gives every pod, with values that manifests do not tell.
_UNTOLD_LABELS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("pod-template-hash",),
    "StatefulSet": _OF_STATEFUL_SET,
    "DaemonSet": ("controller-revision-hash", "pod-template-generation"),
    "Job": _OF_JOB,
    "CronJob": (*_OF_JOB, "batch.kubernetes.io/job-name", "job-name"),
    "Rollout": ("rollouts-pod-template-hash",),
    # Their operator makes StatefulSets.
    "Prometheus": _OF_STATEFUL_SET,
    "PrometheusAgent": _OF_STATEFUL_SET,
    "Alertmanager": _OF_STATEFUL_SET,
    "ThanosRuler": _OF_STATEFUL_SET,
}


def untold_labels(workload: Workload) -> frozenset[str]:
    """The labels that pods of a workload carry, with values that nothing among the inputs tells."""
    return frozenset(name for name in _UNTOLD_LABELS.get(workload.obj.ref.kind, ()) if name not in workload.labels)


def workloads(inventory: Inventory) -> tuple[Workload, ...]:
    """All workloads of an inventory, sorted by name, then in reading order.

    Names are ``namespace/name[Kind]``. Several workloads share one when several objects do (a tree with a file for
    each environment), or when the pods of one maker differ in labels: whoever reports by name joins them. A template
    elsewhere than a custom resource usually has its own adds where: ``namespace/name[Kind]#spec.worker.template``, so
    that the name stays when another template comes or goes.
    """
    return _found(inventory).workloads


def unknown_workloads(inventory: Inventory) -> tuple[tuple[Object, Path], ...]:
    """The custom resources whose pods are not known, and what shows that they have some, in reading order.

    An operator makes these pods in a way that the object does not tell (an image, fields of pods), or it gives only
    their spec, so that their labels are not known. Left out are those whose pods, or what makes them, are themselves
    among the inputs.
    """
    return _found(inventory).unknown


@dataclass(frozen=True, slots=True)
class _Found:
    workloads: tuple[Workload, ...]
    unknown: tuple[tuple[Object, Path], ...]


def _found(inventory: Inventory) -> _Found:
    found: _Found | None = inventory.facts.get(_Found)
    if found is None:
        found = inventory.facts[_Found] = _find(inventory)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Maker:
    """An object that makes pods, or may. ``templates``: those that state the labels of their pods (or that there are
    none). ``sign``: what shows that there are pods of which neither templates nor ``known`` tell."""

    obj: Object
    built_in: bool
    templates: tuple[PodTemplate, ...]
    known: OperatorPods | None
    added: tuple[ContainerPort, ...]
    sign: Path | None

    @property
    def labels(self) -> Iterator[Mapping[str, str]]:
        return (_template_labels(template) for template in self.templates)


def _maker(obj: Object) -> _Maker | None:
    built_in = obj.ref.group in BUILT_IN_GROUPS
    if built_in:
        # A PodTemplate is a pattern that no controller of Kubernetes makes pods of.
        templates = () if obj.ref.kind == "PodTemplate" else templates_of(obj)
        return _Maker(obj, True, templates, None, (), None) if templates else None
    found = templates_of(obj)
    known = known_operator_pods(obj)
    if known is not None:
        # Containers that the object has added to the operator's own.
        added = tuple(port for template in found if template.path == () for port in ports_of(template))
        return _Maker(obj, False, (), known, added, None)
    # A pod spec by itself, or the spec of the resource: whether the labels of anything become the pods' is not said.
    labelled = tuple(template for template in found if template.path not in ((), template.spec_path))
    bare = next((template.spec_path for template in found if template.path in ((), template.spec_path)), None)
    sign = bare or operator_pods(obj, found)
    return _Maker(obj, False, labelled, None, (), sign) if labelled or sign is not None else None


def _find(inventory: Inventory) -> _Found:
    owners = _Owners(inventory)
    standing: list[_Maker] = []
    #: ids of custom resources that speak for what was made of them, and of those that something else speaks for.
    speaking: set[int] = set()
    superseded: set[int] = set()
    for maker in owners.makers:
        chain = owners.of(maker.obj)
        speakers = [owner for _, owner in chain if owner is not None and _speaks_for(owner, maker)]
        if not maker.built_in:
            if speakers:
                superseded.add(id(maker.obj))
            elif maker.templates:
                superseded.update(id(obj) for obj, _ in chain)
            continue
        if any(owner.built_in for owner in speakers):
            continue
        superseded.update(id(obj) for obj, _ in chain)
        if speakers:
            speaking.add(id(speakers[-1].obj))
        else:
            standing.append(maker)
    custom = [
        maker
        for maker in owners.makers
        if not maker.built_in and (id(maker.obj) in speaking or id(maker.obj) not in superseded)
    ]
    found = [*_of_built_in(standing), *(workload for maker in custom for workload in _of_custom(maker))]
    order = {id(obj): number for number, obj in enumerate(inventory)}
    found.sort(key=lambda workload: (workload.name, order[id(workload.obj)]))
    return _Found(tuple(found), tuple((maker.obj, maker.sign) for maker in custom if maker.sign is not None))


class _Owners:
    """Who made what, as far as the makers are among the inputs."""

    def __init__(self, inventory: Inventory) -> None:
        self.makers: list[_Maker] = []
        self._makers: dict[int, _Maker] = {}
        self._objects: dict[tuple[str | None, str, str], Object] = {}
        for obj in inventory:
            maker = _maker(obj)
            if maker is not None:
                self.makers.append(maker)
                self._makers[id(obj)] = maker
            # Other kinds of Kubernetes itself (a Service, a Node) own things, too, but make no pods.
            if maker is not None or obj.ref.group not in BUILT_IN_GROUPS:
                self._objects.setdefault((obj.ref.namespace, obj.ref.kind, obj.ref.name), obj)

    def of(self, obj: Object) -> list[tuple[Object, _Maker | None]]:
        """The objects that made an object, the nearest first. References that run in a circle, or on and on, tell of
        nothing that was made."""
        chain: list[tuple[Object, _Maker | None]] = []
        owner = owner_among(self._objects, obj)
        while owner is not None:
            if len(chain) == _LONGEST_CHAIN:
                return []
            chain.append((owner, self._makers.get(id(owner))))
            owner = owner_among(self._objects, owner)
        return chain


def _speaks_for(owner: _Maker, made: _Maker) -> bool:
    """Whether the labels of what an owner made are those that its template states.

    A mesh or another admission webhook adds labels to Pods: those of a kind of Kubernetes itself may have more. What
    an operator adds to what it makes of a custom resource is part of what it makes, and seen by selectors.
    """
    if made.obj.ref.kind == "ReplicaSet" and made.obj.get("spec", "replicas") == 0:
        # An older revision: it has no pods, and is there to go back to.
        return True
    if not made.templates:
        return bool(owner.templates) or owner.known is not None
    for labels in made.labels:
        stated = {key: value for key, value in labels.items() if key not in CONTROLLER_LABELS}
        for template in owner.labels:
            wanted = {key: value for key, value in template.items() if key not in CONTROLLER_LABELS}
            if wanted == stated or (owner.built_in and wanted.items() <= stated.items()):
                return True
    return False


def _of_built_in(makers: Iterable[_Maker]) -> Iterator[Workload]:
    seen: set[tuple[str, str, str, frozenset[tuple[str, str]]]] = set()
    for maker in makers:
        (template,) = maker.templates
        namespace, kind, name = namespace_of(maker.obj), maker.obj.ref.kind, maker.obj.ref.name
        owner = owner_of(maker.obj) if kind == "Pod" else None
        # A static pod is owned by its node (kubernetes pkg/kubelet/pod/mirror_client.go), which tells nothing of it.
        if owner is not None and owner[0] != "Node":
            kind, name = owner
            pods = (namespace, kind, name, frozenset(_template_labels(template).items()))
            if pods in seen:
                continue
            seen.add(pods)
        yield _of_template(template, f"{namespace}/{name}[{kind}]")


def _of_custom(maker: _Maker) -> Iterator[Workload]:
    obj = maker.obj
    name = f"{namespace_of(obj)}/{obj.ref.name}[{obj.ref.kind}]"
    if maker.known is not None:
        pods = maker.known
        yield Workload(
            name=name,
            namespace=namespace_of(obj),
            obj=obj,
            labels=pods.labels,
            ports=(*pods.ports, *maker.added),
            host_network=pods.host_network,
            service_account=pods.service_account,
            template=None,
        )
    for template in maker.templates:
        usual = template.path in _USUAL_PATHS
        yield _of_template(template, name if usual else f"{name}#{format_path(template.path)}")


def _of_template(template: PodTemplate, name: str) -> Workload:
    spec = template.spec
    return Workload(
        name=name,
        namespace=namespace_of(template.obj),
        obj=template.obj,
        labels=_pod_labels(template),
        ports=ports_of(template),
        host_network=spec.get("hostNetwork") is True,
        # serviceAccount is the older name of the field, used where the newer one is not set
        # (kubernetes pkg/apis/core/v1/conversion.go, Convert_v1_PodSpec_To_core_PodSpec).
        service_account=string(spec.get("serviceAccountName")) or string(spec.get("serviceAccount")) or "default",
        template=template,
    )


def _template_labels(template: PodTemplate) -> Mapping[str, str]:
    return labels_of({"metadata": template.metadata})


def _pod_labels(template: PodTemplate) -> Mapping[str, str]:
    labels = _template_labels(template)
    obj = template.obj
    if obj.ref.kind == "Job" and obj.ref.group == "batch" and obj.ref.name and not _own_selector(obj):
        return {**labels, "batch.kubernetes.io/job-name": obj.ref.name, "job-name": obj.ref.name}
    return labels


def _own_selector(job: Object) -> bool:
    """Whether a Job brings its own selector. Otherwise the API server makes one, and adds its labels to the template
    (kubernetes pkg/registry/batch/job/strategy.go, generateSelector)."""
    return job.get("spec", "manualSelector") is True
