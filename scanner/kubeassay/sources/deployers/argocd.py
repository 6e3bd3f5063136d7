"""What an Application of Argo CD deploys (argo-cd v3.6, reposerver/repository, util/app/discovery, util/app/path)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.gitops.applications import DEFAULT_PROJECT, GROUP, Source, application, is_filled_in
from kubeassay.analysis.gitops.globs import matches
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Object, Path
from kubeassay.sources.deployers.argocd_helm import helm_demand
from kubeassay.sources.deployers.kustomizations import argocd_edits, kustomization_file, on_top, read_kustomization
from kubeassay.sources.deployers.model import (
    Demand,
    Deployment,
    DirectoryDemand,
    Findings,
    SourceDemand,
    UnfollowableError,
)
from kubeassay.sources.deployers.paths import OutsideError, TooManyError, resolve, walk
from kubeassay.sources.deployers.repositories import Found, Repositories, revision_note
from kubeassay.sources.deployers.variables import BuildVariables
from kubeassay.sources.files import display_name, is_within
from kubeassay.sources.kustomize import KUSTOMIZATION_NAMES
from kubeassay.sources.manifests import regular_content
from kubeassay.sources.rendering import KustomizeDemand
from kubeassay.sources.yaml_reader import read_text

_MANIFESTS = (".yaml", ".yml", ".json", ".jsonnet")
#: A file that has this is left out of a plain directory.
_SKIP_MARK = b"+argocd:skip-file-rendering"
_MAX_FILES = 20_000
_MAX_MANIFEST = 32 * 2**20
_MAX_OVERRIDES = 2**18
_TOOLS = ("kustomize", "helm", "directory", "plugin")


@dataclass(frozen=True, slots=True)
class _Context:
    """What the sources of one Application have in common."""

    obj: Object
    name: str
    namespace: str
    project: str
    repositories: Repositories
    #: ``$name`` → root of its repository, None where nothing says it.
    references: Mapping[str, str | None]
    findings: Findings


def application_deployment(obj: Object, repositories: Repositories, made_by: Object | None = None) -> Deployment | None:
    """What an Application deploys; None for another object. Never raises for what the object or the tree holds.

    ``made_by``: the ApplicationSet that makes it.
    """
    if obj.ref.group != GROUP or obj.ref.kind != "Application":
        return None
    app = application(obj)
    assert app is not None
    findings = Findings(obj)
    sources = app.sources
    references: dict[str, str | None] = {}
    for source in sources:
        name = string(source.value.get("ref"))
        if name and len(sources) > 1:
            found = repositories.find(source.repo_url)
            references[f"${name}"] = found.root if found is not None and not source.chart else None
    context = _Context(
        obj=obj,
        name=obj.ref.name,
        namespace=app.destination.namespace,
        project=app.project or DEFAULT_PROJECT,
        repositories=repositories,
        references=references,
        findings=findings,
    )
    if not sources:
        findings.add(UnfollowableError("invalid-object", "it states no source", ("spec",)))
    made: list[SourceDemand] = []
    for source in sources:
        try:
            demand = _demand(source, context, len(sources) > 1)
        except UnfollowableError as problem:
            findings.add(
                UnfollowableError(problem.reason, problem.detail, source.path + problem.path, error=problem.error)
            )
            continue
        if demand is not None:
            made.append(SourceDemand(source.path, demand))
    options = items(mapping(app.value.get("syncPolicy")).get("syncOptions"))
    return Deployment(
        obj=obj,
        deployer="Argo CD",
        destination=app.destination,
        made_by=made_by,
        project=context.project,
        sync_options=tuple(string(option) for option in options),
        sources=tuple(made),
        errors=tuple(findings.errors),
        not_followed=tuple(findings.not_followed),
        notes=tuple(findings.notes),
    )


def _demand(source: Source, context: _Context, several: bool) -> Demand | None:
    for field, text in (("repoURL", source.repo_url), ("path", source.folder), ("chart", source.chart)):
        if is_filled_in(text):
            raise UnfollowableError("template", f"its {field} is filled in elsewhere", (field,))
    if not source.repo_url:
        raise UnfollowableError("invalid-object", "a source states no repoURL", ())
    if several and string(source.value.get("ref")) and not source.folder and not source.chart:
        # It only has files that other sources speak of.
        if context.references.get(f"${source.value['ref']}") is not None:
            _revision(source, context)
        return None
    found = context.repositories.find(source.repo_url)
    if source.kind != "git":
        if found is None or found.assumed:
            what = f"chart {source.chart}" if source.chart else "an OCI artifact"
            raise UnfollowableError(
                "chart-repository",
                f"{what} is of a repository that is not fetched: --repo URL=DIR says a folder",
                ("repoURL",),
            )
        folder = _chart_folder(found, source)
    else:
        if found is None:
            raise UnfollowableError(
                "other-repository",
                "its repository is another than the tree's: --repo URL=DIR says where that lies",
                ("repoURL",),
            )
        folder = _folder(found, source.folder)
        _revision(source, context)
    if found.assumed:
        context.findings.note(
            f"nothing says which repository the tree is: {context.findings.who} is followed as if it were its own"
        )
    value = _with_overrides(source.value, folder, found.root, context.name)
    return _of_type(source, value, folder, found.root, context)


def _revision(source: Source, context: _Context) -> None:
    found = context.repositories.find(source.repo_url)
    if found is None or (context.findings.notes and any(" deploys " in note for note in context.findings.notes)):
        return
    note = revision_note(context.findings.who, source.stated_revision, found.repository)
    if note:
        context.findings.note(note)


def _chart_folder(found: Found, source: Source) -> str:
    """The folder of a chart of a repository that the user named: the chart itself, or a folder of charts."""
    for candidate in (source.chart, ""):
        try:
            folder = resolve(found.root, candidate)
        except OutsideError as error:
            raise UnfollowableError("no-path", f"its chart {error}", ("chart",), error=True) from None
        if os.path.isfile(os.path.join(folder, "Chart.yaml")):
            return folder
    raise UnfollowableError("no-path", "the folder of its repository holds no such chart", ("chart",))


def _folder(found: Found, path: str) -> str:
    """The real path of a source's folder (util/app/path, Path)."""
    if path.startswith("/"):
        raise UnfollowableError("no-path", "its path is absolute", ("path",), error=True)
    try:
        folder = resolve(found.root, path)
    except OutsideError as error:
        raise UnfollowableError("no-path", f"its path {error}", ("path",), error=True) from None
    if not os.path.exists(folder):
        raise UnfollowableError("no-path", f"{path} is not in the tree", ("path",))
    if not os.path.isdir(folder):
        raise UnfollowableError("no-path", "its path is no folder", ("path",), error=True)
    return folder


def _with_overrides(value: Mapping[str, Any], folder: str, root: str, name: str) -> Mapping[str, Any]:
    """A source with what ``.argocd-source.yaml`` and ``.argocd-source-NAME.yaml`` in its folder change of it, as a
    merge patch: not from where it is (mergeSourceParameters)."""
    made = dict(value)
    for file in (".argocd-source.yaml", f".argocd-source-{name}.yaml"):
        path = os.path.join(folder, file)
        if "/" in file or not os.path.isfile(path):
            continue
        if not is_within(os.path.realpath(path), root):
            raise UnfollowableError(
                "overrides", f"{file} in its path leads out of the repository", ("path",), error=True
            )
        try:
            content = regular_content(path, _MAX_OVERRIDES)
            documents = read_text((content or b"").decode("utf-8-sig"), file)
        except (OSError, UnicodeDecodeError):
            documents = None
        if documents is None or documents.errors or len(documents.documents) > 1:
            raise UnfollowableError("overrides", f"{file} in its path cannot be read", ("path",))
        patch = documents.documents[0].root if documents.documents else None
        if isinstance(patch, dict):
            made = merge_patch(made, patch)
    kept = ("chart", "path", "repoURL", "targetRevision")
    return {key: item for key, item in made.items() if key not in kept} | {k: value[k] for k in kept if k in value}


def merge_patch(value: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) applied."""
    made = dict(mapping(value))
    for key, item in patch.items():
        if item is None:
            made.pop(key, None)
        elif isinstance(item, dict):
            made[key] = merge_patch(made.get(key), item)
        else:
            made[key] = item
    return made


def source_type(value: Mapping[str, Any], folder: str) -> str:
    """``helm``, ``kustomize``, ``directory`` or ``plugin``: what a source says, else what its folder holds. Raises
    UnfollowableError where it says several."""
    stated = [tool for tool in _TOOLS if isinstance(value.get(tool), dict)]
    if len(stated) > 1:
        raise UnfollowableError("invalid-object", f"a source is of several types: {', '.join(stated)}", (), error=True)
    if stated:
        return stated[0]
    found = "directory"
    # Of several files the last name decides, in the order of their bytes.
    for name in sorted(os.listdir(folder)):
        if os.path.isdir(os.path.join(folder, name)) and not os.path.islink(os.path.join(folder, name)):
            continue
        if name.endswith("Chart.yaml"):
            found = "helm"
        if name in KUSTOMIZATION_NAMES:
            found = "kustomize"
    return found


def _of_type(source: Source, value: Mapping[str, Any], folder: str, root: str, context: _Context) -> Demand | None:
    tool = "helm" if source.chart else source_type(value, folder)
    variables = BuildVariables(
        {
            "ARGOCD_APP_NAME": context.name,
            "ARGOCD_APP_NAMESPACE": context.namespace,
            "ARGOCD_APP_PROJECT_NAME": context.project,
            "ARGOCD_APP_SOURCE_REPO_URL": source.repo_url,
            "ARGOCD_APP_SOURCE_PATH": source.folder,
            "ARGOCD_APP_SOURCE_TARGET_REVISION": source.stated_revision,
        }
    )
    if tool == "plugin":
        raise UnfollowableError("plugin", "a plugin makes its manifests", ("plugin",))
    if tool == "helm":
        return helm_demand(
            mapping(value.get("helm")),
            folder,
            root,
            name=context.name,
            namespace=context.namespace,
            references=context.references,
            variables=variables,
            asked_by=context.findings.who,
        )
    if tool == "kustomize":
        return _kustomize(mapping(value.get("kustomize")), folder, root, variables, context)
    return directory_demand(mapping(value.get("directory")), folder, root, context.findings, source.path)


def _kustomize(
    kustomize: Mapping[str, Any], folder: str, root: str, variables: BuildVariables, context: _Context
) -> KustomizeDemand:
    name = kustomization_file(folder)
    if name is None:
        raise UnfollowableError("no-path", "there is no kustomization file in its path", ("path",))
    if string(kustomize.get("version")):
        context.findings.note(
            f"{context.findings.who} names version {kustomize['version']} of Kustomize; the one at hand renders it"
        )
    overrides: dict[str, object] = {}
    if kustomize:
        stated = read_kustomization(folder, root, ("kustomize",))
        try:
            edits = argocd_edits(kustomize, stated, folder, root, lambda text: variables.expand(text, ()))
            overrides = on_top(edits, stated, folder, root)
        except UnfollowableError as problem:
            raise UnfollowableError(
                problem.reason, problem.detail, ("kustomize", *problem.path), error=problem.error
            ) from None
    return KustomizeDemand(folder, display_name(os.path.join(folder, name)), root, overrides)


def directory_demand(
    directory: Mapping[str, Any], folder: str, root: str, findings: Findings, path: Path
) -> DirectoryDemand:
    """The manifests of a plain directory (getPotentiallyValidManifests). What is Jsonnet is recorded in ``findings``.

    ``path``: from the object's root to the source. Raises UnfollowableError, with paths from the source.
    """
    recurse = directory.get("recurse") is True
    any_name = directory.get("disableExtensionFilter") is True
    include, exclude = string(directory.get("include")), string(directory.get("exclude"))
    files: list[str] = []
    try:
        for relative in _files(folder, recurse):
            if not any_name and not relative.endswith(_MANIFESTS):
                continue
            real = _manifest(folder, root, relative)
            if (
                real is None
                or _glob(exclude, relative, "exclude")
                or (include and not _glob(include, relative, "include"))
            ):
                continue
            if relative.endswith(".jsonnet"):
                problem = UnfollowableError(
                    "jsonnet", f"{relative} is Jsonnet, which is not evaluated", (*path, "path")
                )
                findings.add(problem)
                continue
            if not _marked(real):
                files.append(real)
            if len(files) > _MAX_FILES:
                raise UnfollowableError("limit", f"its path holds more than {_MAX_FILES} manifests", ("path",))
    except TooManyError as error:
        raise UnfollowableError("limit", f"its path holds {error}", ("path",)) from None
    return DirectoryDemand(folder, display_name(folder), root, tuple(files))


def _files(folder: str, recurse: bool) -> Iterator[str]:
    if recurse:
        yield from (relative for relative, is_folder in walk(folder) if not is_folder)
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if not entry.is_dir(follow_symlinks=False):
            yield entry.name


def _manifest(folder: str, root: str, relative: str) -> str | None:
    """The real path of a manifest; None where it is no regular file, or a link that leads nowhere."""
    real = os.path.realpath(os.path.join(folder, relative))
    if not is_within(real, root):
        raise UnfollowableError(
            "no-path", f"{relative} in its path leads out of the repository by a symbolic link", ("path",), error=True
        )
    return real if os.path.isfile(real) else None


def _glob(pattern: str, relative: str, field: str) -> bool:
    if not pattern:
        return False
    found = matches(pattern, relative)
    if found is None:
        raise UnfollowableError("no-path", f"the pattern {pattern} is not understood here", ("directory", field))
    return found


def _marked(real: str) -> bool:
    try:
        return _SKIP_MARK in (regular_content(real, _MAX_MANIFEST) or b"")
    except OSError:
        # It is read again, and said, as a manifest.
        return False
