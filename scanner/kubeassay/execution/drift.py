"""Drift: in what a cluster differs from the manifests that declare its objects."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from kubeassay.analysis.declared import Difference, differences
from kubeassay.analysis.facts import CUSTOM_RESOURCES
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.engine.live import Live
from kubeassay.engine.manifests import Declaration
from kubeassay.execution.declared import Matched, line, named
from kubeassay.model import (
    ChangedField,
    Drift,
    MissingObject,
    NotCompared,
    Object,
    ObjectRef,
    Path,
    UndeclaredObject,
    format_path,
)

_TRACKING = "argocd.argoproj.io/tracking-id"
_INSTANCE = "app.kubernetes.io/instance"
_RELEASE = "meta.helm.sh/release-name"
#: Labels with which Flux marks what it applies → what of Flux's has that name.
_FLUX = {
    "helm.toolkit.fluxcd.io/name": "Flux's HelmRelease",
    "kustomize.toolkit.fluxcd.io/name": "Flux's Kustomization",
}
#: Annotations of what controllers make without an owner reference.
_OF_CONTROLLERS = ("cert-manager.io/certificate-name", "control-plane.alpha.kubernetes.io/leader")
_INJECTED_CA = ("cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret")
#: Marks of what is made, and often removed, while something is deployed.
_HOOKS = ("helm.sh/hook", "argocd.argoproj.io/hook")
#: The namespaces that a cluster begins with, and fills itself.
_SERVER_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
#: What a cluster, or what is installed in it, makes in every namespace by itself: (group and kind, name).
_SERVER_MADE = frozenset(
    {
        ("core.ServiceAccount", "default"),
        ("core.ConfigMap", "kube-root-ca.crt"),
        ("core.ConfigMap", "istio-ca-root-cert"),
        ("core.ConfigMap", "istio-ca-crl"),
        ("core.ConfigMap", "openshift-service-ca.crt"),
    }
)
#: Kinds of which controllers make all objects, or most, without an owner reference.
_MADE_BY_CONTROLLERS = frozenset(
    {
        "core.Endpoints",
        "core.Event",
        "coordination.k8s.io.Lease",
        "discovery.k8s.io.EndpointSlice",
        "events.k8s.io.Event",
    }
)
_MOST_SHOWN = 60


def drift(matched: Matched, live: Live) -> Drift:
    """In what a cluster differs from manifests, of what is judged. What was not read is not missing."""
    return _Comparison(matched, live).result()


class _Comparison:
    def __init__(self, matched: Matched, live: Live) -> None:
        self._matched = matched
        self._snapshot = matched.snapshot
        self._live = live
        self._unclear = list(matched.unclear)
        #: Reason and sentence → what is declared and may be there unseen: object and line, and file.
        self._unseen: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)

    def result(self) -> Drift:
        missing = [found for declaration in self._matched.missing for found in self._missing(declaration)]
        changed = [change for place in self._matched.manifests.by_place for change in self._changed(place)]
        undeclared = list(self._undeclared())
        for (reason, why), objects in self._unseen.items():
            # One cause concerns every object of its kind: it is said once.
            more = f" and {len(objects) - 1:,} more" if len(objects) > 1 else ""
            self._not_compared(reason, f"{why}: {objects[0][0]}{more}", objects[0][1])
        return Drift(
            self._matched.sources.names,
            tuple(sorted(missing, key=lambda m: (m.location, str(m.object)))),
            tuple(sorted(changed, key=lambda c: (c.location, c.path, c.detail))),
            tuple(sorted(undeclared, key=lambda u: u.file)),
            tuple(sorted(set(self._unclear), key=lambda n: (n.reason, n.file or "", n.detail))),
        )

    def _not_compared(self, reason: str, detail: str, file: str | None) -> None:
        self._unclear.append(NotCompared(reason, detail, file))

    # --- declared, and not there ---

    def _missing(self, declaration: Declaration) -> Iterator[MissingObject]:
        """The object that the cluster lacks, where that is known."""
        obj = declaration.obj
        ref = replace(obj.ref, namespace=self._matched.namespace(obj))
        if not self._live.judges(Object.without_document(ref, obj.value, obj.file, obj.prefix, obj.number)):
            return
        where = f"{ref} ({obj.file}:{line(obj)})"
        annotations = mapping(mapping(obj.value.get("metadata")).get("annotations"))
        unread = self._unread(ref)
        if unread is not None:
            self._unseen[unread].append((where, obj.file))
        elif any(mark in annotations for mark in _HOOKS) or "ttlSecondsAfterFinished" in mapping(obj.get("spec")):
            self._not_compared("hook", f"{where}: it is not there, and may be removed once it is done", obj.file)
        else:
            yield MissingObject(ref, obj.locate(("metadata", "name")))

    def _unread(self, ref: ObjectRef) -> tuple[str, str] | None:
        """Why objects of a kind, in a namespace, may be there unseen: reason and sentence."""
        custom = ref.group not in BUILT_IN_GROUPS
        for gap in self._live.unread:
            if gap.reason == "not-read":
                # What a snapshot was not made for is named by its kind, or is every custom resource.
                concerned = gap.kind == ref.kind or (not gap.kind and custom)
            else:
                concerned = gap.group == ref.group and gap.kind in (ref.kind, "")
            # Where the namespace is not known, every one in which it was not read counts.
            if concerned and (gap.covers(ref.namespace) or (ref.namespace is None and gap.namespace is not None)):
                where = f" in namespace {gap.namespace}" if gap.namespace is not None else ""
                return gap.reason, f"{gap.name} could not be read{where}"
        if (f"{ref.kind}.{ref.group}" if ref.group else ref.kind) in self._snapshot.read:
            return None
        if ref.kind in self._snapshot.asked or (custom and CUSTOM_RESOURCES in self._snapshot.asked):
            return "not-served", f"the cluster has no API for {ref.kind} ({ref.api_version})"
        return "not-read", f"no rule of the profile needs {ref.kind}, so none were read"

    # --- declared, and otherwise ---

    def _changed(self, place: str) -> Iterator[ChangedField]:
        declaration = self._matched.manifests.by_place[place]
        live, declared = self._matched.live(place), declaration.obj
        if live is None or not self._live.judges(live):
            return
        if live.ref.api_version != declared.ref.api_version:
            said = f"{live.ref} is declared as {declared.ref.api_version}, and was read as {live.ref.api_version}"
            self._not_compared("other-version", f"{said}: its fields are not compared", declared.file)
            return
        for difference in differences(declaration.compared, live.value):
            if not self._is_others(difference, declaration, live):
                yield ChangedField(
                    live.ref,
                    format_path(difference.path),
                    _detail(difference, live.ref.kind),
                    declared.locate(difference.path),
                    place,
                )

    def _is_others(self, difference: Difference, declaration: Declaration, live: Object) -> bool:
        """Whether a field that is declared is set by somebody else, as whoever declares it wants it."""
        path = difference.path
        if path == ("spec", "replicas"):
            return live.file in self._scaled
        if path == ("metadata", "labels", _INSTANCE):
            # Argo CD marks what it applies with the name of its Application.
            return difference.live in {one.application for one in self._matched.destinations}
        if path[-1] == "caBundle":
            annotations = mapping(mapping(declaration.compared.get("metadata")).get("annotations"))
            return any(mark in annotations for mark in _INJECTED_CA)
        return path[0] == "rules" and "aggregationRule" in declaration.compared

    @cached_property
    def _scaled(self) -> frozenset[str]:
        """The places of what HorizontalPodAutoscalers set the replicas of."""
        found = set()
        for obj in filter(None, map(self._matched.live, self._matched.places("autoscaling.HorizontalPodAutoscaler"))):
            target = mapping(obj.get("spec", "scaleTargetRef"))
            version, kind, name = (string(target.get(key)) for key in ("apiVersion", "kind", "name"))
            found.add(self._matched.place(ObjectRef(version, kind, obj.ref.namespace, name)))
        return frozenset(found)

    # --- there, and not declared ---

    def _undeclared(self) -> Iterator[UndeclaredObject]:
        """What nothing declares in namespaces that are declared, made by people as far as one can see."""
        declared = (declaration.obj.ref for declaration in self._matched.sources.declarations)
        namespaces = {ref.name for ref in declared if not ref.group and ref.kind == "Namespace"} - _SERVER_NAMESPACES
        if not namespaces:
            return
        hidden = [one for one in self._matched.sources.unclear if one.reason in ("not-rendered", "not-readable")]
        if hidden:
            more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
            said = f"what nothing declares is not listed, since it may be declared there: {hidden[0].file}{more}"
            self._not_compared("not-rendered", said, hidden[0].file)
            return
        claims = frozenset(self._claims_of_sets())
        known = self._matched.manifests.by_place.keys() | self._matched.ambiguous
        for place in self._snapshot.files:
            _, _, namespace, kind, _ = place.split("/", 4)
            if namespace not in namespaces or place in known:
                continue
            if kind in _MADE_BY_CONTROLLERS or named(place) in _SERVER_MADE:
                continue
            obj = self._matched.live(place)
            if obj is None or not self._live.judges(obj) or _is_made(obj) or _is_claim_of(obj, claims):
                continue
            by = self._applied_by(obj)
            if by is None:
                yield UndeclaredObject(obj.ref, place)
            else:
                said = f"{obj.ref} is deployed by {by}, which is not among the manifests"
                self._not_compared("elsewhere", said, place)

    def _applied_by(self, obj: Object) -> str | None:
        """What else than these manifests an object says that it comes from."""
        metadata = mapping(obj.value.get("metadata"))
        annotations, labels = mapping(metadata.get("annotations")), mapping(metadata.get("labels"))
        release = string(annotations.get(_RELEASE))
        if release and labels.get("app.kubernetes.io/managed-by") == "Helm":
            return f"Helm's release {release}"
        for label, what in _FLUX.items():
            if label in labels:
                return f"{what} {labels[label]}"
        # Argo CD writes NAME:GROUP/KIND:…, the name after that of its own namespace where applications may be in any.
        tracked = string(annotations.get(_TRACKING)).partition(":")[0].rpartition("_")[2]
        name = tracked or string(labels.get(_INSTANCE))
        of_name = [one for one in self._matched.destinations if one.application == name]
        if not of_name and not tracked:
            # The label is anybody's.
            return None
        declarations = self._matched.sources.declarations
        here = any(one.holds(declaration.obj.file) for one in of_name for declaration in declarations)
        return None if here else f"Argo CD's Application {name}"

    def _claims_of_sets(self) -> Iterator[tuple[str | None, str]]:
        """(namespace, what the names of the claims of a StatefulSet begin with)"""
        for obj in filter(None, map(self._matched.live, self._matched.places("apps.StatefulSet"))):
            for template in items(obj.get("spec", "volumeClaimTemplates")):
                name = string(mapping(mapping(template).get("metadata")).get("name"))
                yield obj.ref.namespace, f"{name}-{obj.ref.name}-"


def _is_made(obj: Object) -> bool:
    """Whether a controller made an object, the token of a ServiceAccount, or what Helm keeps of a release."""
    annotations = mapping(obj.get("metadata", "annotations"))
    if obj.get("metadata", "ownerReferences") or any(mark in annotations for mark in _OF_CONTROLLERS):
        return True
    if obj.ref.group or obj.ref.kind != "Secret":
        return False
    return obj.value.get("type") == "kubernetes.io/service-account-token" or obj.ref.name.startswith("sh.helm.release.")


def _is_claim_of(obj: Object, claims: Iterable[tuple[str | None, str]]) -> bool:
    return obj.ref.kind == "PersistentVolumeClaim" and any(
        obj.ref.namespace == namespace
        and obj.ref.name.startswith(prefix)
        and obj.ref.name.removeprefix(prefix).isdecimal()
        for namespace, prefix in claims
    )


def _detail(difference: Difference, kind: str) -> str:
    """What differs, in words. Values are shown where they are short, and no text of a ConfigMap's."""
    path = format_path(difference.path)
    if difference.more:
        return f"{path} has {difference.more} more in the cluster than the manifest states"
    declared, live = _shown(difference.declared, kind, difference.path), _shown(difference.live, kind, difference.path)
    if difference.live is None:
        return f"{path}{f' is {declared} in the manifest, and' if declared else ''} is not in the cluster"
    if declared and live:
        return f"{path} is {declared} in the manifest, and {live} in the cluster"
    return f"{path} is another in the cluster"


def _shown(value: object, kind: str, path: Path) -> str:
    if isinstance(value, dict | list) or value is None or (kind == "ConfigMap" and path[0] != "metadata"):
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if 0 < len(text) <= _MOST_SHOWN and "\n" not in text else ""
