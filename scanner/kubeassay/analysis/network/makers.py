"""Custom resources that may stand for pods of which nothing among the inputs tells: releases of charts, applications
that are synchronised, and what operators make things of.

Which kinds make pods is known of few, so every custom resource counts but for those that are known not to.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.network.operators import known_operator_pods
from kubeassay.analysis.network.policies import FOREIGN_KINDS
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, templates_of
from kubeassay.model import Inventory, Object

#: API groups, with all below them, of which no kind makes pods with labels that a policy would name.
_NO_PODS = (
    "cert-manager.io",
    "external-secrets.io",
    "gatekeeper.sh",
    "gateway.networking.k8s.io",
    "image.toolkit.fluxcd.io",
    "istio.io",
    "k8s.io",
    "karpenter.sh",
    "keda.sh",
    "kubeassay.dev",
    "kustomize.config.k8s.io",
    "kyverno.io",
    "metallb.io",
    "notification.toolkit.fluxcd.io",
    "policy.linkerd.io",
    "projectcalico.org",
    "secrets.hashicorp.com",
    "source.toolkit.fluxcd.io",
    "traefik.containo.us",
    "traefik.io",
    "velero.io",
    "x-k8s.io",
)
#: Kinds, of whatever group, that configure what others run.
_NO_PODS_KINDS = frozenset(
    {
        "AlertmanagerConfig",
        "AppProject",
        "BackendConfig",
        "FrontendConfig",
        "GrafanaDashboard",
        "GrafanaDatasource",
        "IngressClassParams",
        "KafkaTopic",
        "KafkaUser",
        "ManagedCertificate",
        "PodMonitor",
        "Probe",
        "PrometheusRule",
        "Route",
        "ScrapeConfig",
        "SealedSecret",
        "SecurityContextConstraints",
        "ServiceMonitor",
        "ServiceProfile",
        "TargetGroupBinding",
    }
)
#: (group, kind) → where it says which namespace it fills; without, its own.
_DEPLOYS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("argoproj.io", "Application"): ("spec", "destination", "namespace"),
    ("argoproj.io", "ApplicationSet"): ("spec", "template", "spec", "destination", "namespace"),
    ("helm.cattle.io", "HelmChart"): ("spec", "targetNamespace"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"): ("spec", "targetNamespace"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"): ("spec", "targetNamespace"),
}


class Makers:
    """What may make pods, by namespace. Made by :func:`makers_of`."""

    def __init__(self, inventory: Inventory) -> None:
        self._by_namespace: dict[str, Object] = {}
        #: What fills namespaces that are worked out elsewhere: any may be one.
        self._anywhere: Object | None = None
        folders = {f"/{obj.file.rpartition('/')[0]}/" for obj in inventory}
        for obj in inventory:
            where = _DEPLOYS.get((obj.ref.group, obj.ref.kind))
            if where is None:
                if _may_make_pods(obj) and not _refers(inventory, obj):
                    self._by_namespace.setdefault(namespace_of(obj), obj)
                continue
            if _has_deployed(obj) or _is_here(obj, folders):
                continue
            namespace = string(obj.get(*where)) or namespace_of(obj)
            if "{{" in namespace or "${" in namespace:
                self._anywhere = self._anywhere or obj
            else:
                self._by_namespace.setdefault(namespace, obj)

    def of(self, namespace: str) -> Object | None:
        """What may make pods in a namespace."""
        return self._by_namespace.get(namespace) or self._anywhere


def makers_of(inventory: Inventory) -> Makers:
    """What may make pods of which nothing among the objects of an inventory tells."""
    found: Makers | None = inventory.facts.get(Makers)
    if found is None:
        found = inventory.facts[Makers] = Makers(inventory)
    return found


def _may_make_pods(obj: Object) -> bool:
    group, kind = obj.ref.group, obj.ref.kind
    if group in BUILT_IN_GROUPS or kind in _NO_PODS_KINDS or (group, kind) in FOREIGN_KINDS:
        return False
    if any(group == known or group.endswith(f".{known}") for known in _NO_PODS):
        return False
    # Where the pods, or their templates, can be read from the object, it is a workload like others.
    return known_operator_pods(obj) is None and not templates_of(obj)


def _refers(inventory: Inventory, obj: Object) -> bool:
    """Whether it is an Argo Rollout whose pods are those of a workload that is among the inputs."""
    if (obj.ref.group, obj.ref.kind) != ("argoproj.io", "Rollout"):
        return False
    named = mapping(obj.get("spec", "workloadRef"))
    group, kind = string(named.get("apiVersion")).rpartition("/")[0], string(named.get("kind"))
    return inventory.nearest(group, kind, obj.ref.namespace, string(named.get("name")), obj.file) is not None


def _has_deployed(obj: Object) -> bool:
    """Whether an API server gave the object, and its controller says that everything it deploys is there: among the
    inputs, too, then."""
    if not obj.get("metadata", "uid"):
        return False
    if obj.ref.kind == "Application":
        return bool(obj.get("status", "sync", "status") == "Synced")
    done = "ResourcesUpToDate" if obj.ref.kind == "ApplicationSet" else "Ready"
    conditions = map(mapping, items(obj.get("status", "conditions")))
    return any(one.get("type") == done and one.get("status") == "True" for one in conditions)


def _is_here(obj: Object, folders: set[str]) -> bool:
    """Whether all that is deployed are folders that hold some of the inputs."""
    spec = mapping(obj.get("spec", "template", "spec") if obj.ref.kind == "ApplicationSet" else obj.get("spec"))
    sources = [mapping(source) for source in items(spec.get("sources"))] or [mapping(spec.get("source")) or spec]
    paths = [string(source.get("path")).removeprefix("./").strip("/") for source in sources]
    return all(path and any(f"/{path}/" in folder for folder in folders) for path in paths)
