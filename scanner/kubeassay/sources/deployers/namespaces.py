"""Which namespace an object gets from what deploys it.

Argo CD sets the namespace of its destination on objects of namespaced kinds that state none (argo-cd v3.6,
controller/state.go, with gitops-engine, IsNamespacedOrUnknown: a kind that discovery does not know counts as
namespaced); it takes it away from those of the cluster. Helm and Flux' apply do the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from kubeassay.analysis.access.resources import built_in
from kubeassay.analysis.reading import string
from kubeassay.model import Object, ObjectRef

Scope = Literal["namespaced", "cluster", "unknown"]


class Scopes:
    """The scopes of kinds: of Kubernetes' own, and of the CustomResourceDefinitions that are known."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._known: dict[tuple[str, str], Scope] = {}
        for resource in built_in():
            self._known.setdefault((resource.group, resource.kind), "namespaced" if resource.namespaced else "cluster")
        for obj in objects:
            self.add(obj)

    def add(self, obj: Object) -> None:
        """Learn from an object, where it is a CustomResourceDefinition."""
        if obj.ref.kind != "CustomResourceDefinition" or obj.ref.group != "apiextensions.k8s.io":
            return
        scope = {"Namespaced": "namespaced", "Cluster": "cluster"}.get(string(obj.get("spec", "scope")))
        key = (string(obj.get("spec", "group")), string(obj.get("spec", "names", "kind")))
        if scope is not None and key not in self._known:
            self._known[key] = "cluster" if scope == "cluster" else "namespaced"

    def of(self, ref: ObjectRef) -> Scope:
        """The scope of an object's kind; ``unknown`` for a custom resource whose definition is not among the inputs."""
        return self._known.get((ref.group, ref.kind), "unknown")


def destined(obj: Object, namespace: str, scopes: Scopes, *, always: bool = False) -> tuple[Object, Scope]:
    """An object as it is deployed to a namespace, and the scope of its kind.

    Where that is not known the object gets the namespace, as of a kind that discovery does not know; who calls says so.
    ``always``: also where the object states another. The value is changed in a copy; places stay.
    """
    scope = scopes.of(obj.ref)
    wanted = obj.ref.namespace
    if scope == "cluster":
        wanted = None
    elif namespace and (always or not wanted):
        wanted = namespace
    if wanted == obj.ref.namespace:
        return obj, scope
    metadata = obj.value.get("metadata")
    changed = {key: item for key, item in metadata.items() if key != "namespace"} if isinstance(metadata, dict) else {}
    if wanted is not None:
        changed["namespace"] = wanted
    made = obj.with_value({**obj.value, "metadata": changed})
    made.ref = ObjectRef(obj.ref.api_version, obj.ref.kind, wanted, obj.ref.name)
    return made, scope
