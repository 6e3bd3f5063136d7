"""The proxy that a mesh adds to a pod, as far as it counts for quotas and for autoscalers.

Whether it adds one is decided by analysis/mesh/membership.py. Source of the rest: istio 1.20–1.27, manifests/charts/
istio-control/istio-discovery/files/injection-template.yaml (template "resources": with one of the four annotations,
these alone decide).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.mesh.membership import PROXY, memberships
from kubeassay.analysis.reading import mapping
from kubeassay.analysis.workloads import PodTemplate
from kubeassay.model import Inventory

#: Annotation → where it stands in the proxy's resources.
_ANNOTATIONS = {
    "sidecar.istio.io/proxyCPU": ("requests", "cpu"),
    "sidecar.istio.io/proxyMemory": ("requests", "memory"),
    "sidecar.istio.io/proxyCPULimit": ("limits", "cpu"),
    "sidecar.istio.io/proxyMemoryLimit": ("limits", "memory"),
}


@dataclass(frozen=True, slots=True)
class Injection:
    """Whether a mesh adds a container to pods; None where that, or what it adds, is not known, and ``words`` say why.

    ``words`` are a clause about the workload. ``usual``: if it adds one, that is Istio's own proxy, of which
    :func:`proxy_resources` tells.
    """

    added: bool | None
    words: str = ""
    usual: bool = False


_NOTHING = Injection(False)
_PROXY = Injection(True, usual=True)
_COMPLETED = Injection(None, "what the mesh adds to its proxy is not known")


def injection(template: PodTemplate, inventory: Inventory) -> Injection:
    """What a mesh adds to pods of a template. Nothing where nothing among the inputs shows that there is a mesh."""
    facts = memberships(inventory)
    if not facts.settings.present and facts.settings.linkerd is None:
        return _NOTHING
    found = facts.of_template(template)
    if found is None:
        return Injection(None, "whether a mesh adds its proxy to it is not known")
    if found.kind == "unknown":
        words = f"whether a mesh adds its proxy to it is not known ({found.words})"
        return Injection(None, words, usual=found.reason == "unknown-namespace-labels")
    if found.kind == "proxyless":
        return Injection(None, "what the mesh adds to it besides a proxy is not known")
    if found.kind not in ("sidecar", "gateway"):
        return _NOTHING
    own = next((container for container in template.containers if container.name == PROXY), None)
    if own is None:
        # Without a proxy of its own, a gateway is one by the injector's template.
        return _PROXY if found.kind == "sidecar" else Injection(None, "what its gateway needs is not known")
    # The injector completes a container of this name that has no image yet, by what the mesh is set to.
    return _COMPLETED if own.spec.get("image") == "auto" else _NOTHING


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
    proxy: dict[str, Any] = {"name": PROXY, "resources": resources}
    field = "initContainers" if sidecar else "containers"
    if sidecar:
        proxy["restartPolicy"] = "Always"
    stated = spec.get(field)
    return {**spec, field: [proxy, *(stated if isinstance(stated, list) else ())]}
