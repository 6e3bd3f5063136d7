"""Rules on AppProjects, and on what the applications of a project may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from kubeassay.analysis.gitops.applications import (
    DEFAULT_PROJECT,
    GROUP,
    Application,
    Deliveries,
    Project,
    application,
    deliveries,
    is_filled_in,
)
from kubeassay.analysis.gitops.permissions import destination_permitted, normalized_url, resolved, source_permitted
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.model import Inventory, Object

_MAX_SHOWN = 100


def patched(app: Application) -> NotJudged:
    """What is said of an application of which more than its template decides."""
    return NotJudged("not-rendered", f"{app}: its template is patched, or a generator has its own", app.obj)


@check("application-default-project")
def application_default_project(obj: Object, context: Context) -> Iterator[Said]:
    app = application(obj)
    if app is None:
        yield NotApplicable()
    elif app.project == DEFAULT_PROJECT:
        yield Violation(
            (*app.path, "project"),
            f"{app} is in the project default, which permits every source and destination until somebody limits it",
        )
    elif app.patched:
        yield patched(app)


@check("application-project-missing")
def application_project_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    known = deliveries(inventory)
    complete: bool = context.parameters["complete"]
    unknown = False
    for app in known.applications:
        if app.project == DEFAULT_PROJECT or is_filled_in(app.project):
            continue
        if app.project in known.projects:
            yield patched(app) if app.patched else Passed(app.obj)
        elif known.projects or complete:
            words = f"{app} is not deployed: there is no AppProject {app.project[:_MAX_SHOWN]}"
            yield Violation((*app.path, "project"), words, obj=app.obj)
        else:
            unknown = True
    if unknown:
        yield NotJudged("missing-input", "applications name projects, and no AppProject is among the inputs")


def _project_of(inventory: Inventory, known: Deliveries, app: Application) -> Project | None:
    """The project of an application; of several of one name, the one whose file is nearest."""
    found = known.projects.get(app.project)
    if not found:
        return None
    nearest = inventory.nearest(GROUP, "AppProject", found[0].obj.ref.namespace, app.project, app.obj.file)
    return next((project for project in found if project.obj is nearest), found[0])


@check("application-source-not-permitted")
def application_source_not_permitted(inventory: Inventory, context: Context) -> Iterator[Said]:
    known = deliveries(inventory)
    for app in known.applications:
        project = _project_of(inventory, known, app)
        if project is None:
            continue
        clean = True
        for source in app.sources:
            permitted = source_permitted(project.source_repos, source.repo_url)
            if permitted:
                continue
            clean = False
            if permitted is None or is_filled_in(source.repo_url):
                detail = f"{app}: whether {project} permits one of its sources is not known from its address"
                yield NotJudged("not-rendered" if is_filled_in(source.repo_url) else "unsupported", detail, app.obj)
                continue
            yield Violation(
                (*source.path, "repoURL"),
                f"{app} is not deployed: {project} does not permit this repository",
                obj=app.obj,
                related=((f"{project} permits these", project.obj, ("spec", "sourceRepos")),),
            )
        if app.patched:
            yield patched(app)
        elif clean and app.sources:
            yield Passed(app.obj)


@check("application-destination-not-permitted")
def application_destination_not_permitted(inventory: Inventory, context: Context) -> Iterator[Said]:
    known = deliveries(inventory)
    for app in known.applications:
        project = _project_of(inventory, known, app)
        to = app.destination
        if project is None or not (to.server or to.name):
            continue
        if app.patched:
            yield patched(app)
            continue
        if any(map(is_filled_in, (to.server, to.name, to.namespace))):
            yield NotJudged("not-rendered", f"{app}: its destination is filled in by its generator", app.obj)
            continue
        permitted = destination_permitted(project.destinations, to)
        if permitted and project.own_clusters_only:
            permitted = None
        if permitted is None:
            detail = f"{app}: whether {project} permits its cluster is said by a Secret of Argo CD's"
            yield NotJudged("missing-input", detail, app.obj)
        elif permitted:
            yield Passed(app.obj)
        else:
            where = f"namespace {to.namespace or '-'} of {resolved(to)[0].cluster}"
            field = "namespace" if to.namespace else "name" if to.name else "server"
            yield Violation(
                (*app.path, "destination", field),
                f"{app} is not deployed: {project} does not permit {where[:_MAX_SHOWN]}",
                obj=app.obj,
                related=((f"{project} permits these", project.obj, ("spec", "destinations")),),
            )


@check("application-destination-privileged")
def application_destination_privileged(obj: Object, context: Context) -> Iterator[Said]:
    app = application(obj)
    if app is None:
        yield NotApplicable()
        return
    namespace = app.destination.namespace
    own = obj.ref.namespace if context.parameters["own_namespace"] else None
    if is_filled_in(namespace):
        yield NotJudged("not-rendered", f"{app}: its destination is filled in by its generator", obj)
    elif any(fnmatchcase(namespace, pattern) for pattern in context.parameters["namespaces"]):
        yield Violation((*app.path, "destination", "namespace"), f"{app} deploys to system namespace {namespace}")
    elif namespace and namespace == own:
        yield Violation(
            (*app.path, "destination", "namespace"),
            f"{app} deploys to namespace {namespace}, where Argo CD's own applications and projects are",
        )
    elif app.patched:
        yield patched(app)


@check("app-project-permits-everything")
def app_project_permits_everything(obj: Object, context: Context) -> Iterator[Said]:
    if obj.ref.group != GROUP:
        yield NotApplicable()
        return
    name = f"AppProject {obj.ref.name}"
    repositories = [string(pattern) for pattern in items(obj.get("spec", "sourceRepos"))]
    # An AppProject that denies some permits all others: anybody can make one.
    but = " but those that it denies" if any(pattern.startswith("!") for pattern in repositories) else ""
    for number, pattern in enumerate(repositories):
        if pattern in ("*", "**"):
            yield Violation(("spec", "sourceRepos", number), f"{name} permits every repository{but}")
    destinations = [mapping(value) for value in items(obj.get("spec", "destinations"))]
    limited = any(
        string(to.get(field)).startswith("!") for to in destinations for field in ("server", "name", "namespace")
    )
    for number, to in enumerate(destinations):
        anywhere = {to.get("server"), to.get("name")} & {"*", "**"} if _are_texts(to) else set()
        if to.get("namespace") in ("*", "**") and not limited:
            where = (
                "every namespace of every cluster" if anywhere else "every namespace of a cluster, kube-system included"
            )
            yield Violation(("spec", "destinations", number, "namespace"), f"{name} permits {where}")


def _are_texts(to: Mapping[str, object]) -> bool:
    return all(isinstance(to.get(field) or "", str) for field in ("server", "name"))


@check("app-project-cluster-resources")
def app_project_cluster_resources(obj: Object, context: Context) -> Iterator[Said]:
    if obj.ref.group != GROUP:
        yield NotApplicable()
        return
    for number, value in enumerate(items(obj.get("spec", "clusterResourceWhitelist"))):
        entry = mapping(value)
        if entry.get("kind") == "*" and entry.get("group") in ("*", "rbac.authorization.k8s.io"):
            what = "cluster-scoped resources of every kind"
            if entry.get("group") != "*":
                what = "ClusterRoles and their bindings"
            path = ("spec", "clusterResourceWhitelist", number, "kind")
            yield Violation(path, f"AppProject {obj.ref.name} lets its applications make {what}")


@check("deployed-source-not-scanned")
def deployed_source_not_scanned(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Whether the folders that applications deploy are among what was scanned. What a chart or a kustomization makes is
    not rendered here, so nothing of it is said to comply."""
    own = {normalized_url(url) for url in context.parameters["repositories"]} - {None, ""}
    folders = {f"/{obj.file.rpartition('/')[0]}/" for obj in inventory}
    for app in deliveries(inventory).applications:
        clean = True
        for source in app.sources:
            there = _is_scanned(source.folder, folders) and not source.chart
            rendered = any(source.value.get(tool) for tool in ("helm", "kustomize", "plugin"))
            if there and not rendered:
                continue
            clean = False
            what = f"chart {source.chart}" if source.chart else f"folder {source.folder or '.'}"
            mine = not source.chart and not is_filled_in(source.folder) and normalized_url(source.repo_url) in own
            if mine and not there:
                words = f"{app} deploys {what[:_MAX_SHOWN]} of this repository, in which no object was found"
                yield Violation((*source.path, "path"), words, obj=app.obj)
                continue
            why = "is rendered with values of its own" if there else "of its source is not among the inputs"
            detail = f"{app}: {what[:_MAX_SHOWN]} {why}: what it makes is not judged"
            yield NotJudged("not-rendered", detail, app.obj)
        if app.sources and clean:
            yield patched(app) if app.patched else Passed(app.obj)


def _is_scanned(folder: str, folders: set[str]) -> bool:
    path = folder.removeprefix("./").strip("/")
    return bool(path) and any(f"/{path}/" in scanned for scanned in folders)
