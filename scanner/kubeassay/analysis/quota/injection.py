"""The proxy that Istio adds to a pod, as far as it counts for quotas.

Sources: istio 1.20–1.27, pkg/kube/inject/inject.go (injectRequired) and manifests/charts/istio-control/istio-discovery/
files/injection-template.yaml (template "resources": with one of the four annotations, these alone decide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeassay.analysis.reading import mapping
from kubeassay.analysis.selectors import labels_of
from kubeassay.analysis.workloads import PodTemplate
from kubeassay.model import Inventory, Object

_INJECT = "sidecar.istio.io/inject"
_REVISION = "istio.io/rev"
#: Namespaces that Istio leaves alone (IgnoredNamespaces).
_IGNORED = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
_ON = frozenset({"y", "yes", "true", "on"})
#: Annotation → where it stands in the proxy's resources.
_ANNOTATIONS = {
    "sidecar.istio.io/proxyCPU": ("requests", "cpu"),
    "sidecar.istio.io/proxyMemory": ("requests", "memory"),
    "sidecar.istio.io/proxyCPULimit": ("limits", "cpu"),
    "sidecar.istio.io/proxyMemoryLimit": ("limits", "memory"),
}


def is_injected(template: PodTemplate, namespace: Object | None, name: str) -> bool:
    """Whether Istio adds its proxy to pods of a template, by the labels of their namespace and their own.

    A namespace that is not among the inputs (``namespace`` None) counts as without labels.
    """
    labels = labels_of({"metadata": template.metadata})
    space = labels_of(namespace.value) if namespace is not None else {}
    wish = labels.get(_INJECT)
    if wish is None:
        annotation = template.annotations.get(_INJECT)
        wish = annotation if isinstance(annotation, str) else ""
    if name in _IGNORED or template.spec.get("hostNetwork") is True or (wish and wish.lower() not in _ON):
        return False
    setting = space.get("istio-injection")
    if setting is not None:
        return setting == "enabled"
    return _REVISION in space or labels.get(_INJECT) == "true" or _REVISION in labels


def proxy_resources(template: PodTemplate, inventory: Inventory) -> Mapping[str, Any] | None:
    """The ``resources`` of the proxy; None where nothing among the inputs tells them."""
    found: dict[str, dict[str, Any]] = {}
    for annotation, (of, name) in _ANNOTATIONS.items():
        value = template.annotations.get(annotation)
        if isinstance(value, str):
            found.setdefault(of, {})[name] = value
    if found:
        return found
    for mesh in inventory.of_kind("IstioOperator"):
        stated = mesh.get("spec", "values", "global", "proxy", "resources")
        if isinstance(stated, dict):
            return mapping(stated)
    return None


def with_proxy(spec: Mapping[str, Any], resources: Mapping[str, Any], *, sidecar: bool) -> Mapping[str, Any]:
    """A pod spec with the proxy as one more container, or as the first init container that goes on running: which of
    them it is depends on the versions and settings of both."""
    proxy: dict[str, Any] = {"name": "istio-proxy", "resources": resources}
    field = "initContainers" if sidecar else "containers"
    if sidecar:
        proxy["restartPolicy"] = "Always"
    stated = spec.get(field)
    return {**spec, field: [proxy, *(stated if isinstance(stated, list) else ())]}
