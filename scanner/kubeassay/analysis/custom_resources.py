"""What the CustomResourceDefinitions of a tree say of the custom resources in it.

Where a tree has several definitions of a kind (one for each environment), a resource is held against the nearest. Of a
kind without a definition nothing is said. Source: k8s.io/apiextensions-apiserver v0.37.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kubeassay.analysis.environments import nearest
from kubeassay.analysis.fields import metadata_problems
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.structural import Judgement, ResourceProblem, judge
from kubeassay.model import Inventory, Object, format_path

CRD_GROUP = "apiextensions.k8s.io"
CRD_KIND = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class DefinedVersion:
    """One version of a kind. ``schema``: None where there is none that could be read; ``prunes``: unknown fields are
    dropped; ``status``: the status is a subresource."""

    served: bool
    schema: Mapping[str, Any] | None
    prunes: bool
    status: bool
    #: Whether the definition's API version takes a version without a schema: v1beta1 does, and takes everything then.
    schema_optional: bool


@dataclass(frozen=True)
class Definition:
    """A CustomResourceDefinition, read when asked for."""

    obj: Object

    @property
    def namespaced(self) -> bool | None:
        """None where it does not say."""
        return {"Namespaced": True, "Cluster": False}.get(string(self.obj.get("spec", "scope")))

    @cached_property
    def versions(self) -> Mapping[str, DefinedVersion]:
        """The versions by their names."""
        spec = mapping(self.obj.value.get("spec"))
        old = self.obj.ref.api_version == f"{CRD_GROUP}/v1beta1"
        # In v1beta1 what all versions have in common stands beside them; unknown fields are kept unless it says so.
        prunes = spec.get("preserveUnknownFields") is False if old else spec.get("preserveUnknownFields") is not True
        common = {"schema": spec.get("validation"), "subresources": spec.get("subresources")} if old else {}
        stated = [one for one in items(spec.get("versions")) if isinstance(one, dict)]
        if old and not stated and string(spec.get("version")):
            stated = [{"name": spec["version"], "served": True}]
        found: dict[str, DefinedVersion] = {}
        for one in stated:
            name = string(one.get("name"))
            given = {key: value for key, value in one.items() if value is not None}
            both: dict[str, Any] = {**common, **given}
            schema = mapping(both.get("schema")).get("openAPIV3Schema")
            found[name] = DefinedVersion(
                served=one.get("served") is True,
                schema=schema if isinstance(schema, dict) else None,
                prunes=prunes,
                status=isinstance(mapping(both.get("subresources")).get("status"), dict),
                schema_optional=old and schema is None,
            )
        return found


class Definitions:
    """All definitions of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._by_kind: dict[tuple[str, str], list[Definition]] = defaultdict(list)
        for obj in inventory.of_kind(CRD_KIND, CRD_GROUP):
            spec = mapping(obj.value.get("spec"))
            kind = (string(spec.get("group")), string(mapping(spec.get("names")).get("kind")))
            if all(kind):
                self._by_kind[kind].append(Definition(obj))

    def __bool__(self) -> bool:
        return bool(self._by_kind)

    def of(self, obj: Object) -> list[Definition]:
        """The definitions of an object's kind that are nearest to its file: one, unless several names claim it."""
        found = self._by_kind.get((obj.ref.group, obj.ref.kind), [])
        return found if len(found) < 2 else nearest(found, obj.file)


def definitions(inventory: Inventory) -> Definitions:
    """The CustomResourceDefinitions of an inventory."""
    found: Definitions | None = inventory.facts.get(Definitions)
    if found is None:
        found = inventory.facts[Definitions] = Definitions(inventory)
    return found


@dataclass(frozen=True, slots=True)
class JudgedResource:
    """A custom resource that has a definition, and what an API server makes of it."""

    obj: Object
    definition: Definition
    judgement: Judgement


def judged_resources(inventory: Inventory, minor: int) -> tuple[JudgedResource, ...]:
    """The custom resources that have a definition in the inventory, in reading order. ``minor``: the release that says
    which fields the metadata has."""
    key = (JudgedResource, minor)
    found: tuple[JudgedResource, ...] | None = inventory.facts.get(key)
    if found is None:
        known = definitions(inventory)
        found = ()
        if known:
            pairs = ((obj, known.of(obj)) for obj in inventory)
            found = tuple(JudgedResource(obj, of[0], _judged(obj, of, minor)) for obj, of in pairs if of)
        inventory.facts[key] = found
    return found


def _judged(obj: Object, found: list[Definition], minor: int) -> Judgement:
    definition = found[0]
    if len(found) > 1:
        names = ", ".join(sorted(one.obj.ref.name for one in found))
        return Judgement(unjudged=f"several definitions claim its kind ({names})")
    name = obj.ref.api_version.rpartition("/")[2]
    version = definition.versions.get(name)
    if version is None or not version.served:
        return Judgement([_not_served(obj, definition, name)])
    if version.schema is None and not version.schema_optional:
        return Judgement(unjudged="its definition has no schema for its version, which no API server accepts")
    # A List is unpacked when it is read; what is left of one has no fields of its own.
    judgement = judge(obj.value, version.schema or {}, prunes=version.prunes, status=version.status)
    if not version.schema:
        judgement.problems.clear()
    judgement.problems[:0] = _of_metadata(obj, definition, minor)
    return judgement


def _not_served(obj: Object, definition: Definition, name: str) -> ResourceProblem:
    served = [version for version, of in definition.versions.items() if of.served]
    has = f"it serves {', '.join(served[:5])}" if served else "it serves none"
    what = "does not serve" if name in definition.versions else "does not have"
    why = f"{definition.obj.ref} {what} version {name} of {obj.ref.kind}, so the API server refuses the object; {has}"
    return ResourceProblem("invalid", ("apiVersion",), why)


def _of_metadata(obj: Object, definition: Definition, minor: int) -> list[ResourceProblem]:
    problems: list[ResourceProblem] = []
    for problem in metadata_problems(obj.value.get("metadata"), minor):
        if problem.kind == "unknown":
            message = f"the API server drops field {problem.found}, which {problem.expected} does not have"
            if problem.suggestion is not None:
                message += f"; the field is called {problem.suggestion}"
            problems.append(ResourceProblem("unknown", problem.path, message, problem.suggestion))
        else:
            where = format_path(problem.path)
            message = f"the API server refuses {problem.found} in {where}, which takes {problem.expected}"
            problems.append(ResourceProblem("invalid", problem.path, message, expected=problem.expected))
    if definition.namespaced is False and string(obj.get("metadata", "namespace")):
        message = f"the API server drops the namespace: {obj.ref.kind} is cluster-scoped"
        problems.append(ResourceProblem("unknown", ("metadata", "namespace"), message))
    return problems
