"""Kustomizations and charts of a tree are rendered, and judged as what they make, not as what they are made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from kubeassay.execution.cores import available_processes
from kubeassay.model import Location, MadeOf, Object, ReadError, Skipped
from kubeassay.reporting.texts import plural
from kubeassay.sources.files import Discovery, Renderable, SourceFile, UsageError, display_name, is_within
from kubeassay.sources.kustomize import KUSTOMIZATION_NAMES
from kubeassay.sources.rendering import (
    DEFAULT_NAMESPACE,
    RENDERED,
    HelmDemand,
    KustomizeDemand,
    Limits,
    Output,
    Rendering,
)

#: Of what discovery, and what a chart's files say of links.
_LINK = "symbolic link"


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What is rendered, and how. ``automatic``: the kustomizations and charts that discovery found. ``kustomize``,
    ``helm``: those that the user named; ``chart_options``: a demand of which all but the chart holds for every chart
    that is rendered."""

    automatic: bool = True
    kustomize: tuple[str, ...] = ()
    helm: tuple[str, ...] = ()
    chart_options: HelmDemand = field(default_factory=lambda: HelmDemand("", "", ""))
    limits: Limits = field(default_factory=Limits)


Demand = KustomizeDemand | HelmDemand


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rendering that is to be made. ``adjusted``, ``environment`` and ``asked_by``: as in :class:`Rendering`."""

    demand: Demand
    #: What asked for it, besides the kustomization or chart itself, the outermost first.
    steps: tuple[tuple[str, Location], ...] = ()
    adjusted: Callable[[Object], Object] | None = None
    environment: str = ""
    asked_by: tuple[str, str] = ("", "")

    @property
    def key(self) -> tuple[object, ...]:
        """The same for demands that make the same."""
        if isinstance(self.demand, KustomizeDemand):
            return (self.demand.directory, repr(sorted(self.demand.overrides.items())))
        return (self.demand,)


def rendered(discovery: Discovery, options: RenderOptions, more: Sequence[Wanted] = ()) -> Discovery:
    """What was discovered, with what its kustomizations and charts make in place of what they are made of.

    ``more``: what else is to be rendered. What cannot be rendered stays as it is, with an error. Raises UsageError for
    a folder that the user named and that is none.
    """
    demanded = wanted(discovery, options, more)
    if not demanded:
        return discovery
    found = Renderings(discovery, options.limits)
    for one, output in zip(demanded, found.make(demanded), strict=True):
        found.take(one, output)
    return found.finish()


def wanted(discovery: Discovery, options: RenderOptions, more: Sequence[Wanted] = ()) -> list[Wanted]:
    """The renderings of what was discovered and of what the user named, each once, and ``more``. Raises UsageError."""
    chosen = {one.demand.chart for one in more if isinstance(one.demand, HelmDemand)}
    # A chart that is rendered in a way that somebody chose is not rendered by its default values as well.
    discovery = replace(discovery, charts=[found for found in discovery.charts if found.directory not in chosen])
    found = list(_wanted(discovery, options))
    return [*found, *(one for one in more if one.key not in {other.key for other in found})]


def _wanted(discovery: Discovery, options: RenderOptions) -> Iterator[Wanted]:
    seen: set[tuple[object, ...]] = set()
    named = [
        *(_kustomize(_named(folder, KUSTOMIZATION_NAMES)) for folder in options.kustomize),
        *(_helm(_named(folder, ("Chart.yaml",)), options.chart_options) for folder in options.helm),
    ]
    automatic: list[Wanted] = []
    if options.automatic:
        automatic += (_kustomize(found) for found in discovery.kustomizations)
        charts = {one.demand.chart for one in named if isinstance(one.demand, HelmDemand)}
        automatic += (
            _helm(found, options.chart_options) for found in discovery.charts if found.directory not in charts
        )
    for one in (*named, *automatic):
        if one.key not in seen:
            seen.add(one.key)
            yield one


def chart_named(folder: str, options: HelmDemand) -> Wanted:
    """The rendering of a chart that the user named. Raises UsageError where there is none."""
    return _helm(_named(folder, ("Chart.yaml",)), options)


def _named(folder: str, names: Sequence[str]) -> Renderable:
    """A folder that the user named, or the file in it that makes it one."""
    directory = os.path.dirname(folder) or "." if os.path.basename(folder) in names else folder
    file = next((name for name in names if os.path.isfile(os.path.join(directory, name))), None)
    if file is None:
        raise UsageError(f"{folder}: there is no {names[0]} in it")
    real = os.path.realpath(directory)
    return Renderable(real, display_name(os.path.join(directory, file)), real)


def root_of(directory: str, tree: str) -> str:
    """The folder that all that is rendered has to lie in: the repository of a folder; without one the working
    directory, where the folder is in it; else the scanned tree. All are real paths."""
    parent = directory
    while True:
        if os.path.lexists(os.path.join(parent, ".git")):
            return parent
        above = os.path.dirname(parent)
        if above == parent:
            break
        parent = above
    here = os.path.realpath(os.curdir)
    return here if here != os.sep and is_within(directory, here) else tree


def _kustomize(found: Renderable) -> Wanted:
    demand = KustomizeDemand(found.directory, found.file, root_of(found.directory, found.tree))
    return Wanted(demand)


def _helm(found: Renderable, options: HelmDemand) -> Wanted:
    root = root_of(found.directory, found.tree)
    adjusted = None
    if options.namespace != DEFAULT_NAMESPACE:
        # Imported here: few charts are rendered for a namespace.
        from kubeassay.sources.deployers.adjusting import Released

        adjusted = Released(options.namespace)
    return Wanted(replace(options, chart=found.directory, name=found.file, root=root), adjusted=adjusted)


class Renderings:
    """What a tree's renderings make of what was discovered in it: made first, and taken where they are judged."""

    def __init__(self, discovery: Discovery, limits: Limits, before: Renderings | None = None) -> None:
        """``before``: others, of which what was made is not made again."""
        self.discovery = discovery
        self.limits = limits
        self.made: list[SourceFile] = []
        #: Real paths of what was rendered.
        self.sources: set[str] = set()
        self.errors: list[ReadError] = []
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self._names: set[str] = set()
        #: What was made, by the keys of demands.
        self._outputs: dict[tuple[object, ...], Output] = {} if before is None else before._outputs

    def make(self, wanted: Sequence[Wanted]) -> list[Output]:
        """The outputs of demands, in their order; of equal ones the same."""
        new = {one.key: one for one in wanted if one.key not in self._outputs}
        if new:
            # Tools run in processes of their own; a thread waits for one.
            with ThreadPoolExecutor(min(available_processes(), len(new))) as pool:
                self._outputs.update(zip(new, pool.map(self._made, new.values()), strict=True))
        return [self._outputs[one.key] for one in wanted]

    def _made(self, wanted: Wanted) -> Output:
        # Imported here: most trees have neither kustomizations nor charts.
        if isinstance(wanted.demand, KustomizeDemand):
            from kubeassay.sources.kustomize_build import build

            return build(wanted.demand, self.limits)
        from kubeassay.sources.helm_template import template

        return template(wanted.demand, self.limits)

    def take(self, wanted: Wanted, output: Output) -> None:
        """Take over what came of a demand."""
        self.errors += [error for error in output.errors if error not in self.errors]
        self.skipped += output.skipped
        self.notes += [note for note in output.notes if note not in self.notes]
        file = self.file(wanted, output)
        if file is not None:
            self.add(file, output.sources)

    def file(self, wanted: Wanted, output: Output) -> SourceFile | None:
        """What came of a demand as a file, under a name that no other has; None where nothing did."""
        if output.tracer is None:
            return None
        name = wanted.demand.name
        content = output.text.encode("utf-8", "surrogatepass")
        steps = (*wanted.steps, (f"rendered by {output.made_by or 'a tool'}", Location(name, 1, 1, 1, 1)))
        made_of = MadeOf(output.tracer, steps)
        rendering = Rendering(
            made_of,
            output.made_by,
            wanted.adjusted,
            wanted.environment,
            asked_by=wanted.asked_by,
            digest=output.digest,
        )
        return SourceFile("", self.named(name), len(content), content=content, rendering=rendering)

    def named(self, name: str) -> str:
        """A name for what a file was rendered to: one kustomization or chart may be rendered in several ways."""
        file, number = f"{name}{RENDERED}", 1
        while file in self._names:
            number += 1
            file = f"{name} ({number}){RENDERED}"
        self._names.add(file)
        return file

    def add(self, file: SourceFile, sources: Iterable[str]) -> None:
        """Judge what was rendered. ``sources``: the real paths of what it was made of."""
        self.made.append(file)
        self.sources.update(sources)

    def finish(self) -> Discovery:
        """What was discovered, less what was rendered, with what was made of it."""
        found, paths = self.discovery, self.discovery.paths
        files = [replace(file, part=True) if paths.get(file.name) in self.sources else file for file in found.files]
        skipped = [entry for entry in found.skipped if paths.get(entry.file) not in self.sources]
        parts = [self._patch(entry) for entry in found.skipped if self._is_patch(entry)]
        by = [file.rendering.made_by for file in self.made if file.rendering is not None and file.rendering.made_by]
        notes = [*found.notes, *self.notes]
        if by:
            said = f"rendered {plural(len(by), 'kustomization or chart')} with {', '.join(sorted(set(by)))}"
            notes.insert(0, said)
        return replace(
            found,
            files=sorted([*files, *parts, *self.made], key=lambda file: file.name),
            skipped=[*skipped, *self.skipped],
            errors=[*(error for error in found.errors if not self._told(error)), *self.errors],
            notes=notes,
        )

    def _told(self, error: ReadError) -> bool:
        """Whether a link that is not followed is told by what was not rendered for it, too."""
        return _LINK in error.message and any(
            _LINK in other.message and other.file == error.file for other in self.errors
        )

    def _is_patch(self, entry: Skipped) -> bool:
        return entry.reason == "kustomize-patch" and self.discovery.paths.get(entry.file) in self.sources

    def _patch(self, entry: Skipped) -> SourceFile:
        """A patch, in whose comments exceptions may stand."""
        path = self.discovery.paths[entry.file]
        return SourceFile(path, entry.file, 0, part=True)
