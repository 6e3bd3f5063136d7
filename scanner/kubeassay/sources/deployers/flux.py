"""What Kustomizations and HelmReleases of Flux deploy (kustomize-controller, helm-controller v1; fluxcd/pkg)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.gitops.flux import HELM, KUSTOMIZE, SOURCES, followed
from kubeassay.analysis.gitops.permissions import IN_CLUSTER_NAME, IN_CLUSTER_SERVER, Destination
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path
from kubeassay.sources.deployers.kustomizations import flux_edits, kustomization_file, on_top, read_kustomization
from kubeassay.sources.deployers.model import (
    Deployment,
    DirectoryDemand,
    Findings,
    SourceDemand,
    Substitution,
    UnfollowableError,
)
from kubeassay.sources.deployers.paths import OutsideError, TooManyError, resolve, walk
from kubeassay.sources.deployers.repositories import Found, Repositories, revision_note
from kubeassay.sources.files import display_name, is_within
from kubeassay.sources.rendering import HelmDemand, KustomizeDemand
from kubeassay.sources.yaml_reader import read_text

#: Names of releases that Helm takes; Flux shortens longer ones.
_LONGEST_RELEASE = 53
_MAX_FILES = 20_000
_EXTENSIONS = (".yaml", ".yml")


class NoSourceError(Exception):
    """The source that an object speaks of is not among the objects (yet). ``problem``: what to say if it stays so."""

    def __init__(self, problem: UnfollowableError) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Context:
    obj: Object
    inventory: Inventory
    repositories: Repositories
    findings: Findings

    def reference(self, kind: str, group: str, ref: Mapping[str, Any]) -> Object | None:
        """The object of a reference: in the namespace that it states, else in that of the object."""
        namespace = string(ref.get("namespace")) or self.obj.ref.namespace
        return self.inventory.nearest(group, kind, namespace, string(ref.get("name")), self.obj.file)


def is_followed(obj: Object) -> bool:
    """Whether an object is one of those of Flux that deploy."""
    return (obj.ref.group, obj.ref.kind) in ((KUSTOMIZE, "Kustomization"), (HELM, "HelmRelease"))


def flux_deployment(obj: Object, repositories: Repositories, inventory: Inventory) -> Deployment | None:
    """What a Kustomization or HelmRelease deploys; None for another object. ``inventory``: all that is known, for
    sources and ConfigMaps. Raises NoSourceError where what it is made of is not among these, and nothing for what the
    object or the tree holds."""
    if not is_followed(obj):
        return None
    findings = Findings(obj)
    context = _Context(obj, inventory, repositories, findings)
    release = obj.ref.kind == "HelmRelease"
    sources: tuple[SourceDemand, ...] = ()
    try:
        sources = tuple(_release(context) if release else _kustomization(context))
    except UnfollowableError as problem:
        findings.add(problem)
    except RecursionError:
        findings.add(UnfollowableError("limit", "it is nested too deep", ("spec",)))
    namespace = string(obj.get("spec", "targetNamespace")) or ((obj.ref.namespace or "") if release else "")
    elsewhere = isinstance(obj.get("spec", "kubeConfig"), dict)
    return Deployment(
        obj=obj,
        deployer="Flux",
        destination=Destination(
            "" if elsewhere else IN_CLUSTER_SERVER, "" if elsewhere else IN_CLUSTER_NAME, namespace
        ),
        sources=sources,
        errors=tuple(findings.errors),
        not_followed=tuple(findings.not_followed),
        notes=tuple(findings.notes),
    )


# --- sources ---


def _source(context: _Context, ref: Mapping[str, Any], path: Path) -> tuple[Object, Found]:
    """The source object of a reference, and where its repository lies."""
    kind, name = string(ref.get("kind")), string(ref.get("name"))
    if kind not in ("GitRepository", "OCIRepository", "Bucket", "HelmRepository"):
        raise UnfollowableError("no-source", f"sources of kind {kind or 'none'} are not followed", path)
    found = context.reference(kind, SOURCES, ref)
    if found is None:
        raise NoSourceError(UnfollowableError("no-source", f"its {kind} {name} is not among the objects", path))
    url = string(found.get("spec", "url"))
    where = context.repositories.find(url) if url else None
    if kind != "GitRepository" and where is not None and where.assumed:
        where = None
    if where is None:
        reason = "chart-repository" if kind == "HelmRepository" else "other-repository"
        said = f"the repository of its {kind} {name} is another than the tree's: --repo URL=DIR says where that lies"
        raise UnfollowableError("chart-repository" if reason == "chart-repository" else "other-repository", said, path)
    if where.assumed:
        context.findings.note(
            f"nothing says which repository the tree is: {context.findings.who} is followed as if it were its own"
        )
    revision = followed(found)
    if kind == "GitRepository" and revision is not None:
        note = revision_note(context.findings.who, revision.stated, where.repository)
        if note:
            context.findings.note(note)
    return found, where


def _folder(where: Found, stated: str, path: Path) -> str:
    try:
        folder = resolve(where.root, stated.lstrip("/"))
    except OutsideError as error:
        raise UnfollowableError("no-path", f"its path {error}", path, error=True) from None
    if not os.path.isdir(folder):
        raise UnfollowableError("no-path", f"{stated} is no folder of the tree", path)
    return folder


# --- Kustomization ---


def _kustomization(context: _Context) -> Iterator[SourceDemand]:
    spec = mapping(context.obj.get("spec"))
    source, where = _source(context, mapping(spec.get("sourceRef")), ("spec", "sourceRef"))
    folder = _folder(where, string(spec.get("path")), ("spec", "path"))
    substitution = _substitution(context, mapping(spec.get("postBuild")))
    metadata = mapping(spec.get("commonMetadata"))
    labels, annotations = (
        {key: string(value) for key, value in mapping(metadata.get(field)).items()}
        for field in ("labels", "annotations")
    )
    demands: Iterable[KustomizeDemand | DirectoryDemand]
    name = kustomization_file(folder)
    if name is None:
        if flux_edits(spec, {}):
            raise UnfollowableError(
                "overrides",
                "Flux makes a kustomization of its path and changes it, which is not reproduced",
                ("spec", "path"),
            )
        demands = _generated(folder, where.root, source)
    else:
        overrides: Mapping[str, object] = {}
        if flux_edits(spec, {}):
            stated = read_kustomization(folder, where.root, ("spec", "path"))
            try:
                overrides = on_top(flux_edits(spec, stated), stated, folder, where.root)
            except UnfollowableError as problem:
                at = ("targetNamespace",) if problem.path == ("namespace",) else problem.path
                raise UnfollowableError(problem.reason, problem.detail, ("spec", *at), error=problem.error) from None
        demands = [KustomizeDemand(folder, display_name(os.path.join(folder, name)), where.root, overrides)]
    for demand in demands:
        yield SourceDemand(("spec",), demand, substitution, labels=labels, annotations=annotations)


def _generated(folder: str, root: str, source: Object) -> Iterator[KustomizeDemand | DirectoryDemand]:
    """What Flux makes of a folder without a kustomization: all manifests below, and the kustomizations of its folders
    (fluxcd/pkg, kustomize_generator.go, scan)."""
    if string(source.get("spec", "ignore")) or os.path.lexists(os.path.join(root, ".sourceignore")):
        raise UnfollowableError(
            "no-path", "which of its files the source leaves out is not known here", ("spec", "path")
        )
    files: list[str] = []
    kustomizations: list[str] = []
    try:
        for relative, is_folder in walk(folder):
            # What is in a folder follows it.
            if kustomizations and relative.startswith(kustomizations[-1] + "/"):
                continue
            whole = os.path.join(folder, relative)
            if is_folder and kustomization_file(whole) is not None:
                kustomizations.append(relative)
            elif not is_folder and relative.endswith(_EXTENSIONS):
                real = os.path.realpath(whole)
                if not is_within(real, root):
                    said = f"{relative} in its path leads out of the repository by a symbolic link"
                    raise UnfollowableError("no-path", said, ("spec", "path"), error=True)
                files.append(real)
            if len(files) + len(kustomizations) > _MAX_FILES:
                raise UnfollowableError("limit", f"its path holds more than {_MAX_FILES} manifests", ("spec", "path"))
    except TooManyError as error:
        raise UnfollowableError("limit", f"its path holds {error}", ("spec", "path")) from None
    yield DirectoryDemand(folder, display_name(folder), root, tuple(files))
    for relative in kustomizations:
        whole = os.path.join(folder, relative)
        yield KustomizeDemand(whole, display_name(os.path.join(whole, kustomization_file(whole) or "")), root)


def _config_map(context: _Context, ref: Mapping[str, Any], path: Path, what: str) -> Object:
    """The ConfigMap that a reference at a path names. ``what``: what is taken from it. Raises UnfollowableError for a
    Secret, whose values are not read, and NoSourceError where it is not among the objects."""
    kind, name = string(ref.get("kind")), string(ref.get("name"))
    if kind == "Secret":
        raise UnfollowableError("secret", f"{what} stand in the Secret {name}", path)
    found = context.reference("ConfigMap", "", {"name": name}) if kind == "ConfigMap" else None
    if found is None:
        raise NoSourceError(UnfollowableError("values", f"its {kind} {name} is not among the objects", path))
    return found


def _substitution(context: _Context, post_build: Mapping[str, Any]) -> Substitution | None:
    """The variables of ``postBuild``: of ConfigMaps in their order, then those that it states."""
    variables: dict[str, str] = {}
    origins: dict[str, tuple[Object, Path]] = {}
    for number, ref in enumerate(map(mapping, items(post_build.get("substituteFrom")))):
        path: Path = ("spec", "postBuild", "substituteFrom", number)
        found = _config_map(context, ref, path, "variables")
        for key, value in mapping(found.get("data")).items():
            variables[key] = string(value).replace("\n", "")
            origins[key] = (found, ("data", key))
    for key, value in mapping(post_build.get("substitute")).items():
        variables[key] = string(value).replace("\n", "")
        origins[key] = (context.obj, ("spec", "postBuild", "substitute", key))
    return Substitution(variables, origins) if variables else None


# --- HelmRelease ---


def _release(context: _Context) -> Iterator[SourceDemand]:
    obj = context.obj
    spec = mapping(obj.get("spec"))
    stated, path, owner = _chart(context, spec)
    _, where = _source(
        _Context(owner, context.inventory, context.repositories, context.findings) if owner is not obj else context,
        mapping(stated.get("sourceRef")),
        ("spec", "chartRef") if owner is not obj else (*path, "sourceRef"),
    )
    at = ("spec", "chartRef") if owner is not obj else (*path, "chart")
    chart = _folder(where, string(stated.get("chart")), at)
    if not os.path.isfile(os.path.join(chart, "Chart.yaml")):
        raise UnfollowableError("no-path", "there is no Chart.yaml in the folder of its chart", at)
    target = string(spec.get("targetNamespace"))
    name = string(spec.get("releaseName")) or (f"{target}-{obj.ref.name}" if target else obj.ref.name)
    if len(name) > _LONGEST_RELEASE:
        raise UnfollowableError("values", "the name of its release is longer than Helm takes", ("spec",))
    inline, parameters = _values(context, spec)
    install = mapping(spec.get("install"))
    demand = HelmDemand(
        chart=chart,
        name=display_name(os.path.join(chart, "Chart.yaml")),
        root=where.root,
        release=name,
        namespace=target or obj.ref.namespace or "default",
        values=tuple(_values_files(stated, chart, where.root, at)),
        inline=inline,
        parameters=parameters,
        skip_crds=string(install.get("crds")) == "Skip",
        asked_by=context.findings.who,
    )
    patches = tuple(
        {
            field: found[field]
            for field in ("patches", "patchesStrategicMerge", "patchesJson6902", "images")
            if found.get(field)
        }
        for one in map(mapping, items(spec.get("postRenderers")))
        if (found := mapping(one.get("kustomize")))
    )
    metadata = mapping(spec.get("commonMetadata"))
    labels = {f"{HELM}/name": obj.ref.name, f"{HELM}/namespace": obj.ref.namespace or "default"}
    labels |= {key: string(value) for key, value in mapping(metadata.get("labels")).items()}
    annotations = {key: string(value) for key, value in mapping(metadata.get("annotations")).items()}
    yield SourceDemand(("spec",), demand, patches=patches, labels=labels, annotations=annotations)


def _chart(context: _Context, spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], Path, Object]:
    """The chart of a release, the path to it, and the object that states it."""
    ref = mapping(spec.get("chartRef"))
    if ref:
        kind = string(ref.get("kind"))
        if kind != "HelmChart":
            raise UnfollowableError(
                "chart-repository", f"its chart is of a {kind}, which is not fetched", ("spec", "chartRef")
            )
        found = context.reference("HelmChart", SOURCES, ref)
        if found is None:
            said = f"its HelmChart {string(ref.get('name'))} is not among the objects"
            raise NoSourceError(UnfollowableError("no-source", said, ("spec", "chartRef")))
        return mapping(found.get("spec")), ("spec",), found
    path: Path = ("spec", "chart", "spec")
    stated = mapping(context.obj.get(*path))
    if not stated:
        raise UnfollowableError("invalid-object", "it states no chart", ("spec",))
    return stated, path, context.obj


def _values_files(stated: Mapping[str, Any], chart: str, root: str, path: Path) -> Iterator[str]:
    """The values files of a chart. Flux puts them in the place of the chart's own, Helm on top of these: the same
    where the chart's own comes first."""
    files: list[str] = []
    ignore = stated.get("ignoreMissingValuesFiles") is True
    at = (*path[:-1], "valuesFiles")
    for one in map(string, items(stated.get("valuesFiles"))):
        try:
            real = resolve(root, one.lstrip("/"))
        except OutsideError as error:
            raise UnfollowableError("values", f"{one} {error}", at, error=True) from None
        if not os.path.isfile(real):
            if ignore:
                continue
            raise UnfollowableError("values", f"the values file {one} is not there", at)
        files.append(real)
    own = os.path.realpath(os.path.join(chart, "values.yaml"))
    if files and os.path.isfile(own):
        if files[0] != own:
            raise UnfollowableError("values", "its valuesFiles take the place of the chart's own values.yaml", at)
        files = files[1:]
    yield from files


def merged_values(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values over others, mappings in each other (MergeMaps)."""
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        made[key] = merged_values(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return made


def _values(context: _Context, spec: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, bool], ...]]:
    """Values as text, and parameters over them (fluxcd/pkg, chartutil, ChartValuesFromReferences)."""
    stated = mapping(spec.get("values"))
    made: dict[str, Any] = {}
    parameters: list[tuple[str, bool]] = []
    for number, ref in enumerate(map(mapping, items(spec.get("valuesFrom")))):
        path: Path = ("spec", "valuesFrom", number)
        found = _config_map(context, ref, path, "values")
        key = string(ref.get("valuesKey")) or "values.yaml"
        text = mapping(found.get("data")).get(key)
        if not isinstance(text, str):
            if ref.get("optional") is True:
                continue
            raise UnfollowableError("values", f"the ConfigMap {found.ref.name} has no {key}", path, error=True)
        target = string(ref.get("targetPath"))
        if target:
            if ref.get("literal") is True or target.split(".")[0].split("[")[0] in stated:
                raise UnfollowableError(
                    "values", "what sets this value at last is not reproduced", (*path, "targetPath")
                )
            parameters.append(_parameter(target, text))
            continue
        if parameters:
            raise UnfollowableError("values", "values are merged over one with a targetPath", path)
        read = read_text(text, key)
        root = read.documents[0].root if read.documents else {}
        if read.errors or len(read.documents) > 1 or not isinstance(root, dict):
            raise UnfollowableError("values", f"{key} of the ConfigMap {found.ref.name} are no values", path)
        made = merged_values(made, root)
    made = merged_values(made, stated)
    return (json.dumps(made, ensure_ascii=False) if made else ""), tuple(parameters)


def _parameter(target: str, text: str) -> tuple[str, bool]:
    """A parameter as ``--set`` has it; in quotes it is text (ReplacePathValue)."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return f"{target}={text.strip(chr(39) + chr(34))}", True
    return f"{target}={text}", False
