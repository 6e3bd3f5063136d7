"""Which workloads are in the mesh, and what decides it.

Sidecars: a webhook of the injector must select the pod by the labels of its namespace and its own; then the injector
asks the pod itself (pkg/kube/inject/inject.go, injectRequired). Ambient: the CNI plugin redirects pods to ztunnel by
their labels and those of their namespace (cni/pkg/util, CompiledEnablementSelectors), but not those that have a
sidecar. What runs already shows by itself whether it has a proxy: live Pods come before what their templates say.

A namespace that no object declares may have any label, so that whether its pods are in the mesh is not known. A webhook
for a revision is taken to exist where the inputs do not name the revisions that there are.

Source: istio/istio @eed52eb; what differed before it is not decided (values of sidecar.istio.io/inject other than
"true" and "false", which older versions read as YAML does).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from kubeassay.analysis.mesh.settings import (
    DATAPLANE_MODE,
    DEFAULT_REVISION,
    IGNORED_NAMESPACES,
    INJECT,
    INJECTION_LABEL,
    LINKERD_INJECT,
    REVISION_LABEL,
    MeshSettings,
    Place,
    Webhook,
    chart_webhooks,
    mesh_settings,
)
from kubeassay.analysis.network.endpoints import (
    Namespace,
    Workload,
    namespace_finder,
    namespace_of,
    namespaces,
    owner_of,
)
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.selectors import labels_of
from kubeassay.analysis.workloads import Container, PodTemplate, templates_of
from kubeassay.model import Inventory, Object, Path

Kind = Literal["sidecar", "ambient", "gateway", "proxyless", "outside", "unknown"]

PROXY = "istio-proxy"
STATUS = "sidecar.istio.io/status"
TEMPLATES = "inject.istio.io/templates"
REDIRECTION = "ambient.istio.io/redirection"
USE_WAYPOINT = "istio.io/use-waypoint"
_TRUE = ("y", "yes", "true", "on")


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether and how the pods of a workload are in the mesh.

    ``gateway``: they are a proxy of Istio themselves. ``proxyless``: an agent without a proxy, for gRPC. ``outside``:
    no part of the mesh. ``place``: what decides; the path of a missing label is the one it would have. ``words``: why,
    as a clause. ``reason`` (unknown only): see :class:`kubeassay.model.NotEvaluated`. ``revision``: whose injector it
    is.
    """

    kind: Kind
    place: Place
    words: str
    reason: str = ""
    revision: str | None = None

    @property
    def in_mesh(self) -> bool | None:
        """None: not known."""
        return None if self.kind == "unknown" else self.kind != "outside"

    @property
    def captured(self) -> bool:
        """Whether a proxy stands before the workload, so that PeerAuthentications apply to it."""
        return self.kind in ("sidecar", "ambient")


class Memberships:
    """The memberships of an inventory's workloads. ``spaces`` finds the namespace of a workload."""

    def __init__(self, inventory: Inventory) -> None:
        self.settings: MeshSettings = mesh_settings(inventory)
        self.workloads: tuple[Workload, ...] = workloads(inventory)
        known = namespaces(inventory, frozenset(workload.namespace for workload in self.workloads))
        self.space_of: Callable[[Workload], Namespace] = namespace_finder(inventory, known)
        self._pods = _live_pods(inventory)
        self._chart: dict[str, tuple[Webhook, ...]] = {}
        self._of: dict[Workload, Membership] = {}

    def of(self, workload: Workload) -> Membership:
        found = self._of.get(workload)
        if found is None:
            found = self._of[workload] = self._membership(workload)
        return found

    def of_template(self, template: PodTemplate) -> Membership | None:
        """The membership of pods of a template; None where it stands for those of no workload, since another object
        tells of them."""
        workload = self._by_template.get((id(template.obj), template.path))
        return None if workload is None else self.of(workload)

    @cached_property
    def _by_template(self) -> Mapping[tuple[int, Path], Workload]:
        with_template = ((one, one.template) for one in self.workloads if one.template is not None)
        return {(id(template.obj), template.path): one for one, template in with_template}

    def _membership(self, workload: Workload) -> Membership:
        running = self._running(workload)
        own = running or _own_proxy(workload)
        if workload.host_network and (own is None or own.kind == "outside"):
            return Membership(
                "outside", _host_network(workload), "it is on its node's network, where nothing is injected"
            )
        if own is not None:
            return own
        roll = self.settings.member_roll
        if roll is not None:
            # OpenShift Service Mesh 2 lists its namespaces, and injects only what asks for it.
            return Membership("unknown", roll, f"{roll[0].ref} decides it, which is not evaluated", "unsupported")
        space = self.space_of(workload)
        if self._not_watched(space):
            place = self.settings.discovery_place or _named(workload)
            return Membership("unknown", place, f"istiod does not watch namespace {space.name}", "unsupported")
        injected = self._injected(workload, space)
        if injected.kind == "sidecar":
            return _by_template(workload, injected)
        ambient = self._ambient(workload, space)
        if injected.kind == "unknown":
            return injected
        if ambient is not None:
            return ambient
        linkerd = _linkerd(workload, space)
        if linkerd is not None:
            return linkerd
        container = _proxy(workload)
        if container is not None:
            path = (*container.path, "image")
            words = "it has a container istio-proxy of an image that is not known as Istio's"
            return Membership("unknown", (workload.obj, path), words, "unsupported")
        return injected

    # --- what runs ---

    def _running(self, workload: Workload) -> Membership | None:
        """What live Pods show. They come before templates: labels and webhooks may be newer than they."""
        obj = workload.obj
        pods = (
            [obj]
            if obj.ref.kind == "Pod" and obj.ref.group == "" and _live(obj)
            else self._pods.get(_key(workload), ())
        )
        with_proxy: Membership | None = None
        without: Membership | None = None
        for pod in pods:
            of_pod = _of_live_pod(pod)
            if of_pod.kind == "outside":
                without = without or of_pod
            else:
                with_proxy = with_proxy or of_pod
        return without or with_proxy

    # --- sidecars ---

    def _injected(self, workload: Workload, space: Namespace) -> Membership:
        refused = self._refused_by_pod(workload, space)
        if refused is not None:
            return refused
        called: bool | None = False
        by: Webhook | None = None
        for webhook in self._webhooks(workload, space):
            pod = webhook.pods.matches(workload.labels)
            matches = (space.is_selected(webhook.namespaces)) if pod else False
            if matches:
                called, by = True, webhook
                break
            if matches is None:
                called = None
        if called is None:
            words = f"the labels of namespace {space.name} are not known"
            return Membership("unknown", _named(workload), words, "unknown-namespace-labels")
        if by is None:
            return self._not_called(workload, space)
        unsure = _version_dependent(workload)
        if unsure is not None:
            return unsure
        return self._called(workload, space, by)

    def _webhooks(self, workload: Workload, space: Namespace) -> Iterable[Webhook]:
        if self.settings.webhooks_known:
            return self.settings.webhooks
        revisions = {DEFAULT_REVISION, *self.settings.revisions}
        revisions |= {
            labels[REVISION_LABEL] for labels in (workload.labels, space.labels) if labels.get(REVISION_LABEL)
        }
        revisions -= {webhook.revision for webhook in self.settings.webhooks}
        assumed = (webhook for revision in sorted(revisions) for webhook in self._of_chart(revision))
        return [*self.settings.webhooks, *assumed]

    def _of_chart(self, revision: str) -> tuple[Webhook, ...]:
        if revision not in self._chart:
            self._chart[revision] = chart_webhooks(revision, namespaces_by_default=self.settings.namespaces_by_default)
        return self._chart[revision]

    def _refused_by_pod(self, workload: Workload, space: Namespace) -> Membership | None:
        """Why the injector leaves a pod alone, whatever the labels of its namespace are."""
        if space.name in IGNORED_NAMESPACES:
            return Membership("outside", _named(workload), f"nothing is injected in namespace {space.name}")
        value, place = _inject_value(workload)
        if value == "false" and place is not None:
            by = "label" if "labels" in place[1] else "annotation"
            return Membership("outside", place, f"its {by} {INJECT} is false")
        if value in ("true", "false"):
            return None
        for selectors, injects in ((self.settings.never_inject, False), (self.settings.always_inject, True)):
            for selector, of in selectors:
                if not selector.everything and selector.matches(workload.labels):
                    return None if injects else Membership("outside", of, f"neverInjectSelector has {selector}")
        if self.settings.policy != "enabled":
            of_policy = self.settings.policy_place or _named(workload)
            return Membership("outside", of_policy, "the injector's policy is to inject only what asks for it")
        return None

    def _called(self, workload: Workload, space: Namespace, webhook: Webhook) -> Membership:
        revision = webhook.revision or DEFAULT_REVISION
        wanted = {r.key for r in webhook.namespaces.requirements if r.operator in ("In", "Exists")}
        for label in (INJECTION_LABEL, REVISION_LABEL):
            if label in wanted and label in space.labels and space.obj is not None:
                place: Place = (space.obj, ("metadata", "labels", label))
                words = f"namespace {space.name} has label {label}={space.labels[label]}"
                return self._of_known_revision(
                    Membership("sidecar", place, words, "", revision), space.labels.get(label)
                )
        wanted = {r.key for r in webhook.pods.requirements if r.operator in ("In", "Exists")}
        for label in (INJECT, REVISION_LABEL):
            if label in wanted:
                at = (workload.obj, _metadata(workload, "labels", label))
                words = f"it has label {label}={workload.labels.get(label, '')}"
                return self._of_known_revision(
                    Membership("sidecar", at, words, "", revision), workload.labels.get(label)
                )
        at = (space.obj, ("metadata", "name")) if space.obj is not None else _named(workload)
        words = "sidecars are injected where nothing says otherwise"
        return self._of_known_revision(Membership("sidecar", webhook.place or at, words, "", revision), None)

    def _of_known_revision(self, found: Membership, named: str | None) -> Membership:
        """Where the inputs name the revisions that there are, one that is not among them may be a tag, or a slip."""
        settings = self.settings
        if settings.webhooks_known or not settings.revisions or found.revision in settings.revisions:
            return found
        if found.revision == DEFAULT_REVISION:
            words = f"{found.words}, and no revision that is installed is known to be the default"
        else:
            words = f"{found.words}, and no revision or tag {named} is among the inputs"
        return Membership("unknown", found.place, words, "unsupported")

    def _not_called(self, workload: Workload, space: Namespace) -> Membership:
        """Why no webhook selects a pod."""
        for label in (INJECT, REVISION_LABEL):
            if label in workload.labels and (label == INJECT or REVISION_LABEL not in space.labels):
                if label == INJECT and workload.labels[label] != "false":
                    continue
                at = (workload.obj, _metadata(workload, "labels", label))
                return Membership("outside", at, f"no injector takes its label {label}={workload.labels[label]}")
        if space.obj is not None:
            for label in (INJECTION_LABEL, REVISION_LABEL):
                if label in space.labels:
                    words = f"namespace {space.name} has label {label}={space.labels[label]}"
                    if label == REVISION_LABEL or space.labels[label] != "disabled":
                        words += ", which no injector takes"
                    return Membership("outside", (space.obj, ("metadata", "labels", label)), words)
            path: Path = ("metadata", "labels", INJECTION_LABEL)
            return Membership(
                "outside", (space.obj, path), f"namespace {space.name} has no label that injects sidecars"
            )
        return Membership("outside", _named(workload), f"namespace {space.name} has no label that injects sidecars")

    # --- ambient ---

    def _ambient(self, workload: Workload, space: Namespace) -> Membership | None:
        own = workload.labels.get(DATAPLANE_MODE)
        if space.name == "kube-system" or own == "none":
            return None
        if own == "ambient":
            place: Place = (workload.obj, _metadata(workload, "labels", DATAPLANE_MODE))
            words = f"it has label {DATAPLANE_MODE}=ambient"
        elif space.labels.get(DATAPLANE_MODE) == "ambient" and space.obj is not None:
            place = (space.obj, ("metadata", "labels", DATAPLANE_MODE))
            words = f"namespace {space.name} has label {DATAPLANE_MODE}=ambient"
        elif not space.declared and self.settings.ambient:
            words = f"the labels of namespace {space.name} are not known"
            return Membership("unknown", _named(workload), words, "unknown-namespace-labels")
        else:
            return None
        if self.settings.ambient is False:
            words += ", and nothing that is among the inputs installs ztunnel"
            return Membership("unknown", place, words, "unsupported")
        return Membership("ambient", place, words)

    def _not_watched(self, space: Namespace) -> bool:
        discovery = self.settings.discovery
        return discovery is not None and space.declared and not any(one.matches(space.labels) for one in discovery)


def memberships(inventory: Inventory) -> Memberships:
    """Which workloads of an inventory are in the mesh."""
    found: Memberships | None = inventory.facts.get(Memberships)
    if found is None:
        found = inventory.facts[Memberships] = Memberships(inventory)
    return found


def annotation(workload: Workload, name: str) -> tuple[str, Place] | None:
    """An annotation of a workload's pods, and where it stands; None where it is not set."""
    if workload.template is not None:
        value: Any = workload.template.annotations.get(name)
    else:
        value = mapping(workload.obj.get("spec", "podMetadata", "annotations")).get(name)
    return (value, (workload.obj, _metadata(workload, "annotations", name))) if isinstance(value, str) else None


def waypoint(labels: Mapping[str, str], space: Namespace) -> str | None:
    """The waypoint that an object with these labels uses, as ``namespace/name``; None: none, or the labels of its
    namespace are not known (ambient/waypoints.go, GetUseWaypoint)."""
    for said in (labels, space.labels):
        name = said.get(USE_WAYPOINT)
        if name:
            return None if name == "none" else f"{said.get(f'{USE_WAYPOINT}-namespace') or space.name}/{name}"
    return None


def _metadata(workload: Workload, field: str, name: str) -> Path:
    """the path of a label or annotation of a workload's pods."""
    if workload.template is None:
        return ("spec", "podMetadata", field, name)
    return (*workload.template.path, "metadata", field, name)


def _named(workload: Workload) -> Place:
    return workload.obj, ("metadata", "namespace")


def _host_network(workload: Workload) -> Place:
    at = workload.template.spec_path if workload.template is not None else ("spec",)
    return workload.obj, (*at, "hostNetwork")


def _inject_value(workload: Workload) -> tuple[str, Place | None]:
    """What a pod says of its injection. The label comes before the annotation."""
    if INJECT in workload.labels:
        return workload.labels[INJECT], (workload.obj, _metadata(workload, "labels", INJECT))
    said = annotation(workload, INJECT)
    return said if said is not None else ("", None)


def _version_dependent(workload: Workload) -> Membership | None:
    value, place = _inject_value(workload)
    if value in ("", "true", "false") or place is None or value.lower() in _TRUE:
        return None
    words = f"its {INJECT} is {value}, which older versions of Istio take for false and newer ones ignore"
    return Membership("unknown", place, words, "unsupported")


# --- proxies that are there already ---


def _proxy(workload: Workload) -> Container | None:
    return _proxy_of(workload.template.containers) if workload.template is not None else None


def _proxy_of(containers: Iterable[Container]) -> Container | None:
    return next((container for container in containers if container.name == PROXY), None)


def _own_proxy(workload: Workload) -> Membership | None:
    """The membership of pods whose template has the proxy itself."""
    container = _proxy(workload)
    if container is None or workload.template is None:
        return None
    place: Place = (workload.obj, container.path)
    if _is_router(container):
        return Membership("gateway", place, "it is a gateway of the mesh")
    status = annotation(workload, STATUS)
    if status is not None or "proxyv2" in string(container.spec.get("image")).rpartition("/")[2]:
        return Membership("sidecar", place, "it has the proxy among its containers")
    return None


def _is_router(container: Container) -> bool:
    arguments = items(container.spec.get("args"))
    return "router" in arguments or "waypoint" in arguments


def _by_template(workload: Workload, injected: Membership) -> Membership:
    """What kind of proxy is injected."""
    said = annotation(workload, TEMPLATES)
    if said is None:
        return injected
    value, place = said
    templates = [name.strip() for name in value.split(",")]
    if "gateway" in templates:
        return Membership("gateway", injected.place, injected.words, "", injected.revision)
    if "sidecar" in templates:
        return injected
    if templates[0] in ("grpc-agent", "grpc-simple"):
        return Membership("proxyless", place, f"its annotation {TEMPLATES} is {value}", "", injected.revision)
    words = f"what the injector's template {value} adds is not known"
    return Membership("unknown", place, words, "unsupported")


def _linkerd(workload: Workload, space: Namespace) -> Membership | None:
    """Linkerd injects by annotations of the pod, or of its namespace; what it encrypts is not evaluated."""
    said = annotation(workload, LINKERD_INJECT)
    if said is None and space.obj is not None:
        value = mapping(space.obj.get("metadata", "annotations")).get(LINKERD_INJECT)
        said = (string(value), (space.obj, ("metadata", "annotations", LINKERD_INJECT)))
    if said is None or said[0] not in ("enabled", "ingress"):
        return None
    return Membership("unknown", said[1], "Linkerd injects its proxy, which is not evaluated", "unsupported")


# --- live Pods ---

_Key = tuple[str, str, str]


def _live(pod: Object) -> bool:
    """Whether a Pod was read from a cluster: the API server gave it an identity, or a status."""
    return bool(string(pod.get("metadata", "uid")) or string(pod.get("status", "phase")))


def _key(workload: Workload) -> _Key:
    return workload.namespace, workload.obj.ref.kind, workload.obj.ref.name


def _live_pods(inventory: Inventory) -> Mapping[_Key, list[Object]]:
    """Live Pods that run, by what made them: each of the makers, as far as they are among the inputs."""
    found: dict[_Key, list[Object]] = defaultdict(list)
    made: dict[_Key, tuple[str, str] | None] = {}
    for kind, group in (("ReplicaSet", "apps"), ("Job", "batch")):
        for obj in inventory.of_kind(kind, group):
            made[namespace_of(obj), kind, obj.ref.name] = owner_of(obj)
    for pod in inventory.of_kind("Pod", ""):
        owner = owner_of(pod)
        if owner is None or not _live(pod) or pod.get("status", "phase") in ("Succeeded", "Failed"):
            continue
        space = namespace_of(pod)
        found[space, *owner].append(pod)
        hash_ = labels_of(pod.value).get("pod-template-hash", "")
        above = made.get((space, *owner))
        if above is None and owner[0] == "ReplicaSet" and hash_ and owner[1].endswith(f"-{hash_}"):
            above = ("Deployment", owner[1].removesuffix(f"-{hash_}"))
        if above is not None:
            found[space, *above].append(pod)
    return found


def _of_live_pod(pod: Object) -> Membership:
    (template,) = templates_of(pod)
    container = _proxy_of(template.containers)
    if container is not None:
        kind: Kind = "gateway" if _is_router(container) else "sidecar"
        return Membership(kind, (pod, container.path), "its pods run with the proxy")
    if template.annotations.get(REDIRECTION) == "enabled":
        return Membership("ambient", (pod, ("metadata", "annotations", REDIRECTION)), "ztunnel serves its pods")
    if template.annotations.get(LINKERD_INJECT) == "enabled" or any(
        c.name == "linkerd-proxy" for c in template.containers
    ):
        place: Place = (pod, ("metadata", "name"))
        return Membership("unknown", place, "its pods run with Linkerd's proxy, which is not evaluated", "unsupported")
    return Membership("outside", (pod, ("metadata", "name")), f"pod {pod.ref.name} runs without a proxy")
