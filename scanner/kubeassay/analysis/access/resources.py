"""The resources of an API server: Kubernetes' own, and those of CustomResourceDefinitions among the inputs.

Kubernetes' own come from its discovery documents (``api_resources.json``, written by ``.ci/generate_access.py``).
Names are resolved as kubectl does: plural, singular or short name, with a version and a group where they are given
(apimachinery v0.37.1, pkg/runtime/schema/group_version.go, ParseResourceArg; pkg/api/meta/restmapper.go: a group may be
the beginning of one).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path as FilePath

from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object

#: What an API server does with every custom resource: apiextensions-apiserver v0.37.1, pkg/apiserver/
#: customresource_discovery_controller.go.
_CUSTOM_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_SUBRESOURCE_VERBS = ("get", "patch", "update")

#: Resources that only authorization knows: the verb impersonate on them. kubectl knows these two as well.
IMPERSONATED = ("users", "groups")


#: Subresources that no API serves, and authorization asks about all the same: the kubelet's own API
#: (pkg/kubelet/server/auth.go), the automatic approval of certificates (pkg/controller/certificates/approver).
_AUTHORIZED_SUBRESOURCES: Mapping[tuple[str, str], frozenset[str]] = {
    ("", "nodes"): frozenset({"checkpoint", "configz", "healthz", "log", "metrics", "pods", "proxy", "spec", "stats"}),
    ("certificates.k8s.io", "certificatesigningrequests"): frozenset(
        {"nodeclient", "selfnodeclient", "selfnodeserver"}
    ),
}
#: Of every resource: who owns it by a blocking reference (plugin/pkg/admission/gc/gc_admission.go).
_FINALIZERS = "finalizers"


@dataclass(frozen=True, slots=True, eq=False)
class ResourceType:
    """One resource of an API. ``subresources``: name → its verbs. ``definition``: the CustomResourceDefinition."""

    group: str
    name: str
    singular: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    subresources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    definition: Object | None = None

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name

    def has_subresource(self, name: str) -> bool:
        """Whether an API serves the subresource, or authorization asks about it."""
        more = _AUTHORIZED_SUBRESOURCES.get((self.group, self.name), frozenset())
        return name == _FINALIZERS or name in self.subresources or name in more


@dataclass(frozen=True, slots=True)
class ResolvedResource:
    """What a name stands for. ``type`` None: no known resource, the name is taken literally."""

    group: str
    name: str
    type: ResourceType | None


class ResourceTypes:
    """All resources that are known, in the order in which an API server offers them: the core group first."""

    def __init__(self, types: Iterator[ResourceType]) -> None:
        self.all = tuple(types)
        self._names: dict[str, list[ResourceType]] = defaultdict(list)
        self._short: dict[str, list[ResourceType]] = defaultdict(list)
        self._by_key = {(t.group, t.name): t for t in reversed(self.all)}
        for resource in self.all:
            for name in {resource.name, resource.singular} - {""}:
                self._names[name].append(resource)
            for name in resource.short_names:
                self._short[name].append(resource)

    def get(self, group: str, name: str) -> ResourceType | None:
        """The resource of a group and a plural name."""
        return self._by_key.get((group, name))

    @property
    def names(self) -> list[str]:
        """Every name that a resource may be called by."""
        return [*self._names, *self._short]

    def resolve(self, text: str) -> ResolvedResource:
        """What ``deployments``, ``deploy``, ``deployments.apps`` or ``deployments.v1.apps`` stands for. ``*`` is every
        resource of the core group, as for kubectl; ``*.apps`` every one of a group, ``*.*`` of all groups."""
        text = text.lower()
        name, _, rest = text.partition(".")
        if name == "*":
            return ResolvedResource(rest, "*", None)
        version, dot, group = rest.partition(".")
        found = self._find(name, group, version) if dot else None
        found = found or self._find(name, rest, "")
        if found is not None:
            return ResolvedResource(found.group, found.name, found)
        return ResolvedResource(rest, name, None)

    def _find(self, name: str, group: str, version: str) -> ResourceType | None:
        candidates = [*self._short.get(name, ()), *self._names.get(name, ())]
        if version:
            candidates = [resource for resource in candidates if version in resource.versions]
        exact = [resource for resource in candidates if resource.group == group] if group else candidates
        near = exact or [resource for resource in candidates if resource.group.startswith(group)]
        return near[0] if near else None


def resource_types(inventory: Inventory) -> ResourceTypes:
    """The resources of a cluster that has the inputs. Computed once for each inventory."""
    known = inventory.facts.get(ResourceTypes)
    if isinstance(known, ResourceTypes):
        return known
    custom = [resource for crd in inventory.of_kind("CustomResourceDefinition") for resource in _custom(crd)]
    types = ResourceTypes(iter((*built_in(), *custom)))
    inventory.facts[ResourceTypes] = types
    return types


@cache
def built_in() -> tuple[ResourceType, ...]:
    """Kubernetes' own resources."""
    table = json.loads(FilePath(__file__).with_name("api_resources.json").read_text(encoding="utf-8"))
    return tuple(
        ResourceType(
            group=group,
            name=entry["name"],
            singular=entry["singular"],
            kind=entry["kind"],
            namespaced=entry["namespaced"],
            verbs=tuple(entry["verbs"]),
            short_names=tuple(entry.get("shortNames", ())),
            versions=tuple(entry["versions"]),
            subresources={name: tuple(verbs) for name, verbs in entry["subresources"].items()},
        )
        for group, entries in table.items()
        for entry in entries
    )


def _custom(crd: Object) -> Iterator[ResourceType]:
    if crd.ref.group != "apiextensions.k8s.io":
        return
    spec = mapping(crd.value.get("spec"))
    names = mapping(spec.get("names"))
    group, plural, kind = string(spec.get("group")), string(names.get("plural")), string(names.get("kind"))
    if not group or not plural:
        return
    versions = [mapping(version) for version in items(spec.get("versions"))]
    # apiextensions.k8s.io/v1beta1 may state one version, and subresources for all of them.
    stated = [string(version.get("name")) for version in versions] or [string(spec.get("version"))]
    below: dict[str, tuple[str, ...]] = {}
    for part in (spec, *versions):
        subresources = mapping(part.get("subresources"))
        below.update((name, _SUBRESOURCE_VERBS) for name in ("status", "scale") if subresources.get(name) is not None)
    yield ResourceType(
        group=group,
        name=plural.lower(),
        # apiextensions/v1/defaults.go: the singular defaults to the kind in lower case.
        singular=(string(names.get("singular")) or kind).lower(),
        kind=kind,
        namespaced=spec.get("scope") != "Cluster",
        verbs=_CUSTOM_VERBS,
        short_names=tuple(name for name in items(names.get("shortNames")) if isinstance(name, str)),
        versions=tuple(version for version in stated if version),
        subresources=below,
        definition=crd,
    )
