"""The Applications that an ApplicationSet makes (argo-cd v3.6, applicationset/controllers/template)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.gitops.applications import GROUP
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Object, ObjectRef, Path
from kubeassay.sources.deployers.generators import MAX_PARAMETERS, Generating, Params, cluster_secrets, parameters
from kubeassay.sources.deployers.model import Findings, UnfollowableError
from kubeassay.sources.deployers.repositories import Repositories
from kubeassay.sources.yaml_reader import read_text

_TEMPLATE: Path = ("spec", "template")
_MAX_DEPTH = 60
#: In place of a field of a destination that stands in a Secret.
_UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Generated:
    """What a set makes. ``applications``: with the places of the set's template."""

    applications: tuple[Object, ...]
    findings: Findings


def generated_applications(obj: Object, repositories: Repositories, objects: Sequence[Object]) -> Generated | None:
    """The Applications of an ApplicationSet; None for another object. ``objects``: all that are known, for the Secrets
    of clusters. Never raises for what the set or the tree holds."""
    if obj.ref.group != GROUP or obj.ref.kind != "ApplicationSet":
        return None
    findings = Findings(obj)
    go = obj.get("spec", "goTemplate") is True
    options = tuple(string(one) for one in items(obj.get("spec", "goTemplateOptions")))
    context = Generating(repositories, cluster_secrets(objects), go, options, findings)
    made: dict[str, Object | None] = {}
    generators = items(obj.get("spec", "generators"))
    if not generators:
        findings.add(UnfollowableError("invalid-object", "it has no generators", ("spec", "generators")))
    for number, generator in enumerate(map(mapping, generators)):
        path: Path = ("spec", "generators", number)
        try:
            for one in parameters(generator, path, context):
                app = _application(obj, _template(obj, generator), one, context)
                if app is None:
                    continue
                if app.ref.name in made:
                    _refuse_twice(app, made, findings)
                    continue
                made[app.ref.name] = app
                if len(made) > MAX_PARAMETERS:
                    raise UnfollowableError("limit", f"it makes more than {MAX_PARAMETERS} applications", path)
        except UnfollowableError as problem:
            findings.add(problem)
        except RecursionError:
            findings.add(UnfollowableError("limit", "it is nested too deep", path))
    return Generated(tuple(app for app in made.values() if app is not None), findings)


def _refuse_twice(app: Object, made: dict[str, Object | None], findings: Findings) -> None:
    """Argo CD makes none of two applications of one name (validateGeneratedApplications)."""
    made[app.ref.name] = None
    findings.add(
        UnfollowableError(
            "invalid-object",
            f"it makes several applications of the name {app.ref.name}",
            (*_TEMPLATE, "metadata", "name"),
            error=True,
        )
    )


def _template(obj: Object, generator: Mapping[str, Any]) -> Mapping[str, Any]:
    """The set's template under that of a generator: what the second leaves empty is of the first (mergo, Merge)."""
    stated = next((mapping(one).get("template") for name, one in generator.items() if name != "selector"), None)
    base = mapping(obj.get(*_TEMPLATE))
    return _filled(mapping(stated), base) if stated else base


def _filled(value: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(value)
    for key, item in base.items():
        present = made.get(key)
        if isinstance(present, dict) and isinstance(item, dict) and present and key != "valuesObject":
            made[key] = _filled(present, item)
        elif not present:
            made[key] = item
    return made


def _application(obj: Object, template: Mapping[str, Any], made: Params, context: Generating) -> Object | None:
    """One Application; None where it cannot be made, which is recorded then."""
    try:
        value = dict(_rendered(template, made, context, _TEMPLATE)) if made else dict(template)
        patch = obj.get("spec", "templatePatch")
        if isinstance(patch, str) and patch:
            value = _patched(value, context.fill(patch, made, ("spec", "templatePatch")))
    except UnfollowableError as problem:
        context.findings.add(problem)
        return None
    metadata = dict(mapping(value.get("metadata")))
    # Always that of the set.
    metadata.pop("namespace", None)
    if obj.ref.namespace is not None:
        metadata["namespace"] = obj.ref.namespace
    name = string(metadata.get("name"))
    if not name:
        context.findings.add(
            UnfollowableError("invalid-object", "it makes an application without a name", (*_TEMPLATE, "metadata"))
        )
        return None
    whole = {"apiVersion": obj.ref.api_version, "kind": "Application", "metadata": metadata, "spec": value.get("spec")}
    ref = ObjectRef(obj.ref.api_version, "Application", obj.ref.namespace, name)
    return Object(ref, whole, obj.spans, obj.document, (*obj.prefix, *_TEMPLATE), number=obj.number)


def _rendered(value: Any, made: Params, context: Generating, path: Path, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise UnfollowableError("limit", "its template is nested too deep", _TEMPLATE)
    if isinstance(value, str):
        try:
            return context.fill(value, made, path)
        except UnfollowableError as problem:
            if problem.reason == "secret" and path[:-1] == (*_TEMPLATE, "spec", "destination"):
                # To which cluster says nothing of what is deployed.
                return _UNKNOWN
            if problem.reason == "secret":
                name = "its template asks for the name or the address of a cluster, which stand in a Secret"
                raise UnfollowableError("secret", name, path) from None
            raise
    if isinstance(value, list):
        return [_rendered(item, made, context, (*path, n), depth + 1) for n, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            (context.fill(key, made, path) if isinstance(key, str) else str(key)): _rendered(
                item, made, context, (*path, key), depth + 1
            )
            for key, item in value.items()
        }
    return value


def _patched(value: dict[str, Any], text: str) -> dict[str, Any]:
    """An application with a ``templatePatch`` merged into it: mappings in each other, lists whole but for finalizers;
    its project stays."""
    path: Path = ("spec", "templatePatch")
    read = read_text(text, "templatePatch")
    patch = read.documents[0].root if len(read.documents) == 1 and not read.errors else None
    if patch is None and not read.errors and len(read.documents) <= 1:
        return value
    if not isinstance(patch, dict):
        raise UnfollowableError("template", "its templatePatch does not become a mapping", path)
    if any(str(key).startswith("$") for key in _keys(patch)):
        raise UnfollowableError("template", "a templatePatch with directives is not followed", path)
    before = mapping(mapping(mapping(value.get("spec")).get("source")).get("helm")).get("valuesObject")
    after = mapping(mapping(mapping(patch.get("spec")).get("source")).get("helm")).get("valuesObject")
    if before is not None and after is not None:
        raise UnfollowableError("template", "both its template and its templatePatch have a valuesObject", path)
    made = _merged(value, patch)
    spec = made.get("spec")
    if isinstance(spec, dict):
        spec = {key: item for key, item in spec.items() if key != "project"}
        project = mapping(value.get("spec")).get("project")
        made["spec"] = spec if project is None else {"project": project, **spec}
    return made


def _keys(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _merged(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(value)
    for key, item in patch.items():
        if item is None:
            made.pop(key, None)
        elif isinstance(item, dict) and isinstance(made.get(key), dict):
            made[key] = _merged(made[key], item)
        elif key == "finalizers" and isinstance(item, list) and isinstance(made.get(key), list):
            made[key] = [*made[key], *(one for one in item if one not in made[key])]
        elif isinstance(item, dict):
            made[key] = _merged({}, item)
        else:
            made[key] = item
    return made
