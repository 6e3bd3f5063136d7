"""``--follow``: what Applications of Argo CD, and Kustomizations and HelmReleases of Flux, deploy is judged as they
deploy it: rendered as they say, in the namespace and the cluster that it gets.

What no deployer deploys is judged as without them. What a deployer deploys and is not known is told, and is not
evaluated.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from kubeassay.analysis.gitops.permissions import IN_CLUSTER_NAME, IN_CLUSTER_SERVER
from kubeassay.execution.rendering import Renderings, RenderOptions, Wanted, root_of, wanted
from kubeassay.model import (
    NOT_FOLLOWED,
    SEVERITIES,
    DeployedSource,
    DeploymentResult,
    Location,
    MadeOf,
    Object,
    ReadError,
    Result,
    Skipped,
    SourceDocument,
)
from kubeassay.sources.cache import digest_of
from kubeassay.sources.deployers.adjusting import Adjustment, AsWritten, Stating
from kubeassay.sources.deployers.follow import Followed, Follower
from kubeassay.sources.deployers.model import Deployment, DirectoryDemand, NotFollowed, SourceDemand, UnfollowableError
from kubeassay.sources.deployers.namespaces import Scopes
from kubeassay.sources.deployers.repositories import Repositories, Repository, local_repository
from kubeassay.sources.files import (
    DEFAULT_MAX_FILE_SIZE,
    Discovery,
    SourceFile,
    UsageError,
    display_name,
)
from kubeassay.sources.manifests import ReadFile, read_file, regular_content
from kubeassay.sources.rendering import RENDERED, HelmDemand, KustomizeDemand, Rendering, StatedValues

#: What deploys of each deployer: (API group, kind).
_DEPLOYING = {
    "argocd": {("argoproj.io", "Application"), ("argoproj.io", "ApplicationSet")},
    "flux": {("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")},
}
DEPLOYERS = tuple(_DEPLOYING)


def kinds_followed(deployers: Iterable[str]) -> frozenset[tuple[str, str]]:
    """(API group, kind) of what is followed of deployers."""
    return frozenset().union(*(_DEPLOYING[deployer] for deployer in deployers))


@dataclass(frozen=True, slots=True)
class Follow:
    """What to follow. ``deployers``: of :data:`DEPLOYERS`. ``repositories``: address → folder, as the user says.

    ``tree``: the repository that the files are of; None: the one that they are found in. ``named``: what reports call a
    file by its path.
    """

    deployers: frozenset[str]
    repositories: dict[str, str] = field(default_factory=dict)
    tree: Repository | None = None
    named: Callable[[str], str] = display_name


def tree_of(discovery: Discovery) -> Repository:
    """The repository that files were discovered in."""
    folders = {os.path.dirname(path) for path in discovery.paths.values()}
    folders |= {found.directory for found in (*discovery.kustomizations, *discovery.charts)}
    common = os.path.commonpath(folders) if folders else os.path.realpath(os.curdir)
    found = local_repository(common)
    # Without git, the folder is the one that rendering may read of.
    return found if os.path.lexists(os.path.join(found.root, ".git")) else replace(found, root=root_of(common, common))


def followed(discovery: Discovery, options: RenderOptions, follow: Follow, more: Sequence[Wanted] = ()) -> Discovery:
    """What was discovered, with what deployers make of it in place of what they deploy. ``options`` and ``more``: how
    the rest is rendered. Raises UsageError for a folder that the user named and that is none."""
    return _Following(discovery, options, follow, more).run()


@dataclass(slots=True)
class _Unit:
    """One source of a deployment, as it is judged. Several deployments may have the same."""

    demand: SourceDemand
    environment: str
    deployments: list[Deployment]
    files: list[SourceFile] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    source: DeployedSource | None = None
    errors: list[ReadError] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Following:
    def __init__(
        self, discovery: Discovery, options: RenderOptions, follow: Follow, more: Sequence[Wanted] = ()
    ) -> None:
        self.discovery, self.options, self.follow, self.more = discovery, options, follow, more
        self.made = Renderings(discovery, options.limits)
        self.automatic = wanted(discovery, options, more)
        self.tree = follow.tree or tree_of(discovery)
        for url, folder in follow.repositories.items():
            if not os.path.isdir(folder):
                raise UsageError(f"--repo {url}={folder}: there is no such folder")

    def _begin(self) -> None:
        self.made = Renderings(self.discovery, self.options.limits, self.made)
        self.scopes = Scopes()
        self.units: dict[tuple[object, ...], _Unit] = {}
        self.deployments: list[Deployment] = []
        self.told = Followed()
        self.documents: dict[str, SourceDocument] = {}
        self.follower = Follower(Repositories(self.tree, self.follow.repositories))

    def run(self) -> Discovery:
        """Follow until nothing new is deployed.

        What renders by itself may hold Applications, too, but not where it is deployed: then it holds those that its
        deployment makes of it. So it begins anew with what is known by then to be deployed.
        """
        outputs = self.made.make(self.automatic)
        parts = {real for output in outputs if output.tracer is not None for real in output.sources}
        files = [file for file in self.discovery.files if self._path(file) not in parts]
        elsewhere: set[str] = set()
        while True:
            self._begin()
            self._follow(self._objects(files))
            known = self._deployed() | elsewhere
            alone = Renderings(self.discovery, self.options.limits)
            by_itself = []
            taken = set()
            for one, output in zip(self.automatic, outputs, strict=True):
                if _directory(one.demand) not in known:
                    taken.add(_directory(one.demand))
                    file = alone.file(one, output)
                    by_itself += [] if file is None else [file]
            self._follow(self._objects(by_itself))
            more = self._deployed() & taken
            if not more:
                break
            elsewhere |= more
        self._take(self.follower.finish())
        return self._finished()

    def _follow(self, objects: Sequence[Object]) -> None:
        while True:
            found = self.follower.follow(objects)
            self._take(found)
            if not found.deployments:
                return
            objects = self._objects(file for unit in self._units(found.deployments) for file in unit.files)

    def _deployed(self) -> set[str]:
        """The folders of kustomizations and charts that are deployed."""
        return {_directory(unit.demand.demand) for unit in self.units.values() if unit.files} - {""}

    def _path(self, file: SourceFile) -> str:
        return self.discovery.paths.get(file.name, "")

    def _objects(self, files: Iterable[SourceFile]) -> list[Object]:
        """The objects of files that are to be followed, or that say something of what is."""
        ours = kinds_followed(self.follow.deployers)
        theirs = set().union(*_DEPLOYING.values()) - ours
        objects = []
        for file in files:
            try:
                read = read_file(file)
            except UnfollowableError:
                # Told where it was found.
                continue
            found = [obj for obj in read.objects if (obj.ref.group, obj.ref.kind) not in theirs]
            if any((obj.ref.group, obj.ref.kind) in ours for obj in found) and file.rendering is None:
                self._remember(read)
            for obj in found:
                self.scopes.add(obj)
            objects += found
        return objects

    def _remember(self, read: ReadFile) -> None:
        self.documents[read.name] = SourceDocument(read.name, read.text, read.had_bom, tuple(read.objects))

    def _take(self, found: Followed) -> None:
        self.deployments += found.deployments
        self.told.errors += found.errors
        self.told.not_followed += found.not_followed
        self.told.notes += found.notes

    # --- what is deployed ---

    def _units(self, deployments: Sequence[Deployment]) -> list[_Unit]:
        """The new units of deployments, rendered."""
        new = []
        for deployment in deployments:
            cluster = _cluster(deployment)
            for demand in deployment.sources:
                key = _key(deployment, demand, cluster)
                unit = self.units.get(key)
                if unit is None:
                    unit = self.units[key] = _Unit(demand, cluster, [deployment])
                    new.append(unit)
                else:
                    unit.deployments.append(deployment)
        demanded = {id(unit): self._wanted(unit) for unit in new if not isinstance(unit.demand.demand, DirectoryDemand)}
        self.made.make(list(demanded.values()))
        for unit in new:
            if id(unit) in demanded:
                self._render(unit, demanded[id(unit)])
            else:
                self._read(unit)
            self._check(unit)
        return new

    def _adjustment(self, unit: _Unit) -> Adjustment:
        deployment = unit.deployments[0]
        argo = deployment.deployer == "Argo CD"
        demand = unit.demand.demand
        overridden = isinstance(demand, KustomizeDemand) and bool(demand.overrides)
        own = deployment.obj.get("spec", "targetNamespace") is not None
        path = ("spec", "destination", "namespace") if argo else ("spec", "targetNamespace") if own else ("metadata",)
        return Adjustment(
            self.scopes,
            self._stating(deployment.obj),
            str(deployment),
            deployment.destination.namespace,
            path,
            unit.demand.labels,
            unit.demand.annotations,
            ("spec", "commonMetadata"),
            unit.demand.substitution,
            (*unit.demand.path, "kustomize") if argo and overridden else unit.demand.path if overridden else (),
        )

    def _stating(self, obj: Object) -> Stating:
        document = self.documents.get(obj.file)
        return Stating(obj, document or SourceDocument(obj.file, ""))

    def _steps(self, unit: _Unit, deployment: Deployment | None = None) -> tuple[tuple[str, Location], ...]:
        """What asked for it: the outermost first. ``deployment``: the one that is told; None: the first."""
        deployment = deployment or unit.deployments[0]
        obj = deployment.obj
        before = obj.made_of.steps if obj.made_of is not None else ()
        if deployment.made_by is not None:
            made_by = deployment.made_by
            if made_by.made_of is not None:
                before = made_by.made_of.steps
            before = (*before, (f"{made_by.ref.kind} {made_by.ref.name} makes {deployment}", made_by.locate(("kind",))))
        field_ = next((one for one in ("path", "chart") if isinstance(obj.get(*unit.demand.path, one), str)), None)
        place = obj.locate((*unit.demand.path, field_) if field_ else unit.demand.path)
        return *before, (f"deployed by {deployment}", place)

    def _wanted(self, unit: _Unit) -> Wanted:
        demand = unit.demand.demand
        own = self.options.chart_options
        if isinstance(demand, HelmDemand):
            demand = replace(
                demand,
                name=self.follow.named(os.path.join(demand.chart, "Chart.yaml")),
                hooks=own.hooks,
                kube_version=demand.kube_version or own.kube_version,
                api_versions=demand.api_versions or own.api_versions,
                stated=self._stated_values(unit),
            )
        else:
            assert isinstance(demand, KustomizeDemand)
            file = os.path.basename(demand.name)
            demand = replace(demand, name=self.follow.named(os.path.join(demand.directory, file)))
        return Wanted(demand, self._steps(unit), self._adjustment(unit), unit.environment, self._asked_by(unit))

    def _stated_values(self, unit: _Unit) -> StatedValues | None:
        """Where the values of a chart stand that what deploys it states."""
        deployment = unit.deployments[0]
        own = ("helm", "valuesObject") if deployment.deployer == "Argo CD" else ("values",)
        path = (*unit.demand.path, *own)
        document = self.documents.get(deployment.obj.file)
        if document is None or not isinstance(deployment.obj.get(*path), dict):
            return None
        return StatedValues(deployment.obj, path, document)

    def _asked_by(self, unit: _Unit) -> tuple[str, str]:
        obj = unit.deployments[0].obj
        # Of one that is rendered, what renders it: its own file may be a base that environments have in common.
        return obj.file.removesuffix(RENDERED), obj.ref.name

    def _render(self, unit: _Unit, wanted: Wanted) -> None:
        (output,) = self.made.make([wanted])
        if unit.demand.patches:
            # Imported here: few releases have some.
            from kubeassay.execution.post_rendering import post_rendered

            deployment = unit.deployments[0]
            by = self._stating(deployment.obj)
            output = post_rendered(output, unit.demand.patches, by, str(deployment), self.options.limits)
        unit.source = DeployedSource(wanted.demand.name, output.made_by)
        unit.errors += output.errors
        unit.skipped += output.skipped
        unit.notes += output.notes
        file = self.made.file(wanted, output)
        if file is not None:
            unit.files.append(file)
            unit.sources |= output.sources

    def _read(self, unit: _Unit) -> None:
        """Files that are deployed as they are."""
        demand = unit.demand.demand
        assert isinstance(demand, DirectoryDemand)
        unit.source = DeployedSource(self.follow.named(demand.directory))
        adjusted, steps, asked_by = self._adjustment(unit), self._steps(unit), self._asked_by(unit)
        for real in demand.files:
            name = self.follow.named(real)
            try:
                content = regular_content(real, DEFAULT_MAX_FILE_SIZE + 1)
            except OSError as error:
                unit.errors.append(ReadError(name, f"cannot be read: {error.strerror or error}"))
                continue
            if content is None or len(content) > DEFAULT_MAX_FILE_SIZE:
                unit.errors.append(ReadError(name, "is no file that can be read, or too large"))
                continue
            rendering = Rendering(
                MadeOf(AsWritten(content, name), steps),
                "",
                adjusted,
                unit.environment,
                name,
                asked_by,
                digest_of([(name, content)]),
            )
            unit.files.append(SourceFile("", self.made.named(name), len(content), content=content, rendering=rendering))
            unit.sources.add(real)

    def _check(self, unit: _Unit) -> None:
        """Whether the deployer takes what was rendered."""
        deployment, path = unit.deployments[0], unit.demand.path
        if unit.demand.substitution is None:
            return
        try:
            for file in unit.files:
                read_file(file)
        except UnfollowableError as error:
            place = deployment.obj.locate((*path, "postBuild"))
            said = f"{deployment}: {error.detail}"
            unit.skipped.append(Skipped(place.file, NOT_FOLLOWED, said, place.start_line))
            unit.files, unit.sources = [], set()

    # --- what is judged ---

    def _finished(self) -> Discovery:
        units = list(self.units.values())
        sources = set[str]().union(*(unit.sources for unit in units))
        deployed = self._deployed()
        named = {os.path.realpath(folder) for folder in (*self.options.kustomize, *self.options.helm)}
        named |= {_directory(one.demand) for one in self.more}
        run = self.made
        for one, output in zip(self.automatic, run.make(self.automatic), strict=True):
            directory = _directory(one.demand)
            if directory not in deployed or directory in named:
                run.take(one, output)
        gone = {file.name for file in self.discovery.files if self._path(file) in sources}
        kept = _kept(self.deployments, gone)
        several = len({unit.environment for unit in units if unit.files}) > 1
        for unit in units:
            first = unit.deployments[0]
            unit.deployments = [deployment for deployment in unit.deployments if id(deployment) in kept]
            if not unit.deployments:
                continue
            if unit.deployments[0] is not first:
                unit.files = [self._asked_anew(file, unit, first) for file in unit.files]
            if not several:
                unit.environment = ""
                unit.files = [_of_environment(file, "") for file in unit.files]
            for file in unit.files:
                run.add(file, unit.sources)
            run.sources |= unit.sources
            run.errors += [error for error in unit.errors if error not in run.errors]
            run.skipped += unit.skipped
            run.notes += [note for note in unit.notes if note not in run.notes]
        found = run.finish()
        told = self.told
        for deployment in self.deployments:
            if id(deployment) in kept:
                told.errors += deployment.errors
                told.not_followed += deployment.not_followed
                told.notes += deployment.notes
        return replace(
            found,
            errors=[*found.errors, *dict.fromkeys(told.errors)],
            skipped=[*found.skipped, *map(_skipped, dict.fromkeys(told.not_followed))],
            notes=[*found.notes, *dict.fromkeys(self._notes(kept))],
            followed=kinds_followed(self.follow.deployers),
            deployments=[self._told_of(deployment, units) for deployment in self.deployments if id(deployment) in kept],
        )

    def _asked_anew(self, file: SourceFile, unit: _Unit, first: Deployment) -> SourceFile:
        """A file of which another deployment is told than the one that it was rendered for."""
        rendering = file.rendering
        assert rendering is not None
        before = len(self._steps(unit, first))
        steps = (*self._steps(unit), *rendering.made_of.steps[before:])
        changed = replace(
            rendering,
            made_of=replace(rendering.made_of, steps=steps),
            adjusted=self._adjustment(unit),
            asked_by=self._asked_by(unit),
        )
        return replace(file, rendering=changed)

    def _notes(self, kept: set[int]) -> Iterator[str]:
        if not kept and not self.told.not_followed:
            kinds = sorted(kind for deployer in self.follow.deployers for _, kind in _DEPLOYING[deployer])
            yield f"nothing to follow: there is no {' or '.join(kinds)}"
        yield from self.told.notes

    def _told_of(self, deployment: Deployment, units: Iterable[_Unit]) -> tuple[DeploymentResult, frozenset[str]]:
        own = [unit for unit in units if any(one is deployment for one in unit.deployments)]
        problems = [f"{error.file}:{error.line or 1}: {error.message}" for error in deployment.errors]
        problems += [f"{no.file}:{no.line}: {no.detail}" for no in deployment.not_followed]
        for unit in own:
            problems += [_at(error.file, error.line, error.message) for error in unit.errors]
            problems += [
                _at(entry.file, entry.line, entry.detail) for entry in unit.skipped if entry.reason == NOT_FOLLOWED
            ]
        obj, to = deployment.obj, deployment.destination
        result = DeploymentResult(
            deployment.deployer,
            obj.ref,
            obj.locate(("metadata", "name")),
            None if deployment.made_by is None else deployment.made_by.ref,
            deployment.project,
            to.server,
            to.name,
            to.namespace,
            "",
            tuple(dict.fromkeys(unit.source for unit in own if unit.source is not None)),
            tuple(dict.fromkeys(problems)),
        )
        return result, frozenset(file.name for unit in own for file in unit.files)


def _at(file: str, line: int | None, text: str) -> str:
    return f"{file}: {text}" if line is None else f"{file}:{line}: {text}"


def _skipped(no: NotFollowed) -> Skipped:
    return Skipped(no.file, NOT_FOLLOWED, no.detail, no.line)


def _cluster(deployment: Deployment) -> str:
    """What the cluster of a deployment is called: the same for one, as far as its destination says that."""
    to = deployment.destination
    if IN_CLUSTER_SERVER in (to.server, to.name) or to.name == IN_CLUSTER_NAME:
        return IN_CLUSTER_NAME
    if to.cluster:
        return to.cluster
    # Of Flux: what a Secret or ConfigMap of that name says, which is not read.
    references = (deployment.obj.get("spec", "kubeConfig", field, "name") for field in ("secretRef", "configMapRef"))
    name = next((name for name in references if isinstance(name, str)), "")
    return f"cluster of {name}" if name else "another cluster"


def _directory(demand: object) -> str:
    """The folder of a kustomization or chart; empty for what is neither."""
    if isinstance(demand, KustomizeDemand):
        return os.path.realpath(demand.directory)
    return os.path.realpath(demand.chart) if isinstance(demand, HelmDemand) else ""


def _key(deployment: Deployment, source: SourceDemand, cluster: str) -> tuple[object, ...]:
    """The same for sources of which the same objects come, in one cluster."""
    demand = source.demand
    what: object = demand
    if isinstance(demand, KustomizeDemand):
        what = (demand.directory, repr(sorted(demand.overrides.items())))
    elif isinstance(demand, HelmDemand):
        what = replace(demand, asked_by="")
    variables = None if source.substitution is None else tuple(sorted(source.substitution.variables.items()))
    metadata = tuple(tuple(sorted(more.items())) for more in (source.labels, source.annotations))
    # What deploys the same from other folders does so for another environment, perhaps; rivals are told apart by these.
    folder = os.path.dirname(deployment.obj.file)
    return what, cluster, folder, deployment.destination.namespace, variables, metadata, repr(source.patches)


def _kept(deployments: Sequence[Deployment], gone: set[str]) -> set[int]:
    """The identities of deployments that are told. One that stands in a file which is itself deployed is found twice:
    as the file has it, and as it is deployed; where both are there, the latter counts."""
    by_kind: dict[tuple[str, str], list[Deployment]] = defaultdict(list)
    for one in deployments:
        by_kind[one.deployer, one.obj.ref.kind].append(one)
    kept = set[int]()
    for several in by_kind.values():
        places = {_place(one) for one in several if one.obj.file not in gone}
        kept |= {id(one) for one in several if one.obj.file not in gone or _place(one) not in places}
    return kept


def _place(deployment: Deployment) -> tuple[str, int]:
    place = deployment.obj.locate(("kind",))
    return place.file, place.start_line


def _of_environment(file: SourceFile, environment: str) -> SourceFile:
    assert file.rendering is not None
    return replace(file, rendering=replace(file.rendering, environment=environment))


def with_deployments(result: Result, read: Sequence[tuple[str, Discovery]]) -> Result:
    """A result with what each deployment comes to: the findings at its objects. ``read``: what was discovered for each
    environment, by its name."""
    homes: dict[int, list[tuple[str, Discovery]]] = defaultdict(list)
    entries: dict[int, tuple[DeploymentResult, frozenset[str]]] = {}
    for name, discovery in read:
        files = {file.name for file in discovery.files} if discovery.deployments else set()
        for entry in discovery.deployments:
            if files & entry[1] or not entry[1]:
                entries[id(entry)] = entry
                homes[id(entry)].append((name, discovery))
    owned: dict[object, list[int]] = defaultdict(list)
    told: list[DeploymentResult] = []
    for number, (deployment, names) in entries.items():
        name, discovery = homes[number][0]
        refs = [obj.ref for file in discovery.files if file.name in names for obj in read_file(file).objects]
        for ref in dict.fromkeys(refs):
            owned[ref].append(len(told))
        told.append(replace(deployment, environment=name if len(homes[number]) == 1 else "", objects=len(refs)))
    found: list[Counter[str]] = [Counter() for _ in told]
    for finding in result.findings if told else ():
        for number in owned.get(finding.object, ()) if finding.outcome == "fail" else ():
            environment = told[number].environment
            if not finding.environments or not environment or environment in finding.environments:
                found[number][finding.severity] += 1
    counted = (
        replace(one, by_severity={severity: found[number][severity] for severity in SEVERITIES})
        for number, one in enumerate(told)
    )
    return replace(result, deployments=tuple(sorted(counted, key=_order)))


def _order(deployment: DeploymentResult) -> tuple[str, ...]:
    ref = deployment.object
    return ref.kind, ref.namespace or "", ref.name, deployment.location.file, deployment.environment
