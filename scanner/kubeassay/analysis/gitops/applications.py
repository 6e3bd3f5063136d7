"""Argo CD's Applications, the templates of ApplicationSets, and AppProjects.

Shapes: argo-cd v3.5, pkg/apis/application/v1alpha1/types.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kubeassay.analysis.gitops.permissions import Destination
from kubeassay.analysis.gitops.revisions import Revision, chart_version, git_revision, image_tag
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path

GROUP = "argoproj.io"
#: The project of an application that names none; Argo CD makes it, and it permits everything.
DEFAULT_PROJECT = "default"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One source of an application. ``path``: from the object's root to it. ``folder``: in the repository."""

    path: Path
    repo_url: str
    stated_revision: str
    folder: str
    chart: str
    value: Mapping[str, Any]

    @property
    def kind(self) -> Literal["git", "chart", "oci"]:
        if self.repo_url.startswith("oci://") and not self.chart:
            return "oci"
        return "chart" if self.chart else "git"

    @property
    def revision(self) -> Revision:
        if self.kind == "chart":
            return chart_version(self.stated_revision)
        return image_tag(self.stated_revision) if self.kind == "oci" else git_revision(self.stated_revision)

    @property
    def revision_path(self) -> Path:
        return (*self.path, "targetRevision")


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """An Application, or the template of an ApplicationSet. ``path``: from the object's root to its spec."""

    obj: Object
    path: Path
    value: Mapping[str, Any]
    project: str
    sources: tuple[Source, ...]
    destination: Destination

    @property
    def template(self) -> bool:
        return self.obj.ref.kind == "ApplicationSet"

    @property
    def patched(self) -> bool:
        """Whether what an ApplicationSet makes may differ from its template: it patches it, or a generator has one."""
        if not self.template:
            return False
        return bool(self.obj.get("spec", "templatePatch")) or _has_template(self.obj.get("spec", "generators"), 0)

    @property
    def automated(self) -> bool:
        """Whether it is deployed without anybody who asks for it (SyncPolicy.IsAutomatedSyncEnabled)."""
        automated = mapping(self.value.get("syncPolicy")).get("automated")
        return isinstance(automated, dict) and automated.get("enabled") is not False

    def __str__(self) -> str:
        return f"{self.obj.ref.kind} {self.obj.ref.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """An AppProject: what its applications may be made of, and where they may go."""

    obj: Object
    name: str
    source_repos: tuple[str, ...]
    destinations: tuple[Destination, ...]
    #: Only clusters that belong to the project count, which Secrets of Argo CD's say.
    own_clusters_only: bool

    def __str__(self) -> str:
        return f"AppProject {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries:
    """The applications and projects of an inventory, in reading order. Projects of one name stand side by side."""

    applications: tuple[Application, ...]
    projects: Mapping[str, Sequence[Project]]


def is_filled_in(text: str) -> bool:
    """Whether a text is a template of an ApplicationSet's (``{{name}}``), or is filled in by something else."""
    return "{{" in text or "${" in text


def deliveries(inventory: Inventory) -> Deliveries:
    """The applications and projects of an inventory. Computed once."""
    known: Deliveries | None = inventory.facts.get(Deliveries)
    if known is None:
        projects: dict[str, list[Project]] = {}
        for obj in inventory.of_kind("AppProject", GROUP):
            project = _project(obj)
            projects.setdefault(project.name, []).append(project)
        found = tuple(one for obj in inventory if (one := application(obj)) is not None)
        known = inventory.facts[Deliveries] = Deliveries(found, projects)
    return known


def application(obj: Object) -> Application | None:
    """An Application, or what an ApplicationSet makes; None for another object. Read once: many rules ask."""
    if obj.ref.group != GROUP or obj.ref.kind not in ("Application", "ApplicationSet"):
        return None
    known: Application | None = obj.facts.get(Application)
    if known is None:
        known = obj.facts[Application] = _application(obj)
    return known


def _application(obj: Object) -> Application:
    path: Path = ("spec",) if obj.ref.kind == "Application" else ("spec", "template", "spec")
    spec = mapping(obj.get(*path))
    to = mapping(spec.get("destination"))
    return Application(
        obj=obj,
        path=path,
        value=spec,
        project=string(spec.get("project")) or DEFAULT_PROJECT,
        sources=tuple(_sources(spec, path)),
        destination=Destination(string(to.get("server")), string(to.get("name")), string(to.get("namespace"))),
    )


def _has_template(generators: Any, depth: int) -> bool:
    """Whether a generator states a template of its own, which comes before the set's (generators of matrix and merge
    hold others)."""
    for generator in map(mapping, items(generators)):
        for stated in map(mapping, generator.values()):
            if mapping(stated.get("template")).get("spec"):
                return True
            if depth < _MAX_GENERATORS and _has_template(stated.get("generators"), depth + 1):
                return True
    return False


#: How deep Argo CD lets generators stand in each other.
_MAX_GENERATORS = 3


def _sources(spec: Mapping[str, Any], path: Path) -> Iterator[Source]:
    hydrator = mapping(spec.get("sourceHydrator"))
    several = items(spec.get("sources"))
    if hydrator:
        yield _source(mapping(hydrator.get("drySource")), (*path, "sourceHydrator", "drySource"))
    elif several:
        for number, source in enumerate(several):
            yield _source(mapping(source), (*path, "sources", number))
    elif isinstance(spec.get("source"), dict):
        yield _source(spec["source"], (*path, "source"))


def _source(value: Mapping[str, Any], path: Path) -> Source:
    return Source(
        path=path,
        repo_url=string(value.get("repoURL")).strip(),
        stated_revision=string(value.get("targetRevision")),
        folder=string(value.get("path")),
        chart=string(value.get("chart")),
        value=value,
    )


def _project(obj: Object) -> Project:
    spec = mapping(obj.get("spec"))
    destinations = tuple(
        Destination(string(to.get("server")), string(to.get("name")), string(to.get("namespace")))
        for to in map(mapping, items(spec.get("destinations")))
    )
    return Project(
        obj=obj,
        name=obj.ref.name,
        source_repos=tuple(string(url) for url in items(spec.get("sourceRepos"))),
        destinations=destinations,
        own_clusters_only=spec.get("permitOnlyProjectScopedClusters") is True,
    )
