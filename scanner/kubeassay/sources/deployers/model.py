"""What following a deployer's objects finds.

A *deployment* is one Application (Argo CD), Kustomization or HelmRelease (Flux), with what it deploys as demands:
who calls renders them (sources/rendering.py). What could not be followed is told, at its line; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kubeassay.analysis.gitops.permissions import Destination
from kubeassay.model import Object, Path, ReadError
from kubeassay.sources.rendering import HelmDemand, KustomizeDemand


@dataclass(frozen=True, slots=True)
class DirectoryDemand:
    """Files that are deployed as they are. ``directory`` and ``root``: real paths; ``name``: what reports call the
    folder; ``files``: the real paths of the manifests, in the order in which the deployer reads them."""

    directory: str
    name: str
    root: str
    files: tuple[str, ...]


Demand = KustomizeDemand | HelmDemand | DirectoryDemand

#: Why something was not followed: ``other-repository`` (nothing says where it lies), ``chart-repository``, ``no-path``,
#: ``plugin``, ``jsonnet``, ``generator``, ``template``, ``values``, ``secret``, ``overrides``, ``no-source``,
#: ``invalid-object``, ``limit``.
Reason = Literal[
    "other-repository",
    "chart-repository",
    "no-path",
    "plugin",
    "jsonnet",
    "generator",
    "template",
    "values",
    "secret",
    "overrides",
    "no-source",
    "invalid-object",
    "limit",
]


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """What a deployer deploys and is not judged for that reason: ``not-evaluated``. ``detail``: a sentence without its
    capital and full stop; it holds no value of a Secret."""

    file: str
    line: int
    column: int
    reason: Reason
    detail: str


class UnfollowableError(Exception):
    """Something that cannot be followed. ``path``: from the object's root to what says so. ``error``: whether the
    deployer refuses it as well, for what it is (a path that leaves the repository)."""

    def __init__(self, reason: Reason, detail: str, path: Path = (), *, error: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.path, self.error = reason, detail, path, error


@dataclass(frozen=True, slots=True)
class Substitution:
    """What Flux puts in place of ``${…}`` in a rendered text (envsubst.py). ``origins``: variable → the object that
    states it, and where in it. ``strict``: a variable that is not stated is an error."""

    variables: Mapping[str, str]
    origins: Mapping[str, tuple[Object, Path]] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class SourceDemand:
    """One source of a deployment. ``path``: from the root of the deployment's object to it. ``demand``: what to render
    or read.

    After rendering: ``substitution`` is applied to each object's text, then ``patches`` of Flux's post-renderers (each
    a kustomization's fields, on all that was rendered), then ``labels`` and ``annotations`` are set on every object.
    """

    path: Path
    demand: Demand
    substitution: Substitution | None = None
    patches: tuple[Mapping[str, object], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one object of a deployer deploys.

    ``obj``: the Application, Kustomization or HelmRelease, with its places; of what an ApplicationSet makes, the
    Application that it makes, with the places of the set's template. ``made_by``: that ApplicationSet. The namespace of
    ``destination`` is for objects that state none (namespaces.py, ``destined``).
    """

    obj: Object
    deployer: Literal["Argo CD", "Flux"]
    destination: Destination
    made_by: Object | None = None
    project: str = ""
    sync_options: tuple[str, ...] = ()
    sources: tuple[SourceDemand, ...] = ()
    errors: tuple[ReadError, ...] = ()
    not_followed: tuple[NotFollowed, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.obj.ref.kind} {self.obj.ref.name}"


@dataclass(slots=True)
class Findings:
    """Errors, what was not followed, and notes about one object, as they are collected."""

    obj: Object
    errors: list[ReadError] = field(default_factory=list)
    not_followed: list[NotFollowed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, problem: UnfollowableError) -> None:
        """Record a problem at its place."""
        place = self.obj.locate(problem.path)
        if problem.error:
            found = ReadError(place.file, f"{self.who}: {problem.detail}", place.start_line, place.start_column)
            if found not in self.errors:
                self.errors.append(found)
            return
        told = NotFollowed(
            place.file, place.start_line, place.start_column, problem.reason, f"{self.who}: {problem.detail}"
        )
        if told not in self.not_followed:
            self.not_followed.append(told)

    def note(self, text: str) -> None:
        """Record a note once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def who(self) -> str:
        return f"{self.obj.ref.kind} {self.obj.ref.name}"
