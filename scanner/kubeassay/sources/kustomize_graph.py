"""All files that a build of a kustomization reads, found without building it.

What it may read is decided here, before a tool runs: regular files below one folder, by their real paths. The tool is
then given copies of exactly these (sources/kustomize_build.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kubeassay.analysis.reading import items
from kubeassay.model import Path, ReadError
from kubeassay.sources.files import is_within
from kubeassay.sources.kustomize import GENERATORS, KUSTOMIZATION_NAMES, Use, entries, is_inline
from kubeassay.sources.manifests import byte_order, regular_content
from kubeassay.sources.rendering import KustomizeDemand, Limits
from kubeassay.sources.yaml_reader import Document, read_text

#: How many files, and how many folders with a kustomization, a build may read.
_MOST_FILES = 20_000
_MOST_FOLDERS = 2_000
#: How many errors are told; one more says that there are more.
_MOST_ERRORS = 50

#: Fields of a kustomization (api v0.21.1, types/kustomization.go). Its reader takes them in any case of letters; what
#: is written otherwise than here is refused, so that nothing is read that was not seen.
_FIELDS = frozenset(
    {
        "apiVersion", "bases", "buildMetadata", "commonAnnotations", "commonLabels", "components", "configMapGenerator",
        "configurations", "crds", "generatorOptions", "generators", "helmChartInflationGenerator", "helmCharts",
        "helmGlobals", "imageTags", "images", "kind", "labels", "metadata", "namePrefix", "nameSuffix", "namespace",
        "openapi", "patches", "patchesJson6902", "patchesStrategicMerge", "replacements", "replicas", "resources",
        "secretGenerator", "sortOptions", "transformers", "validators", "vars",
    }
)  # fmt: skip
#: What Kustomize takes for a repository (internal/git/repospec.go) or an address (loader.IsRemoteFile): a scheme, a
#: user in front of a host, GitHub's names.
_REMOTE = re.compile(r"(?i)^(?:git::|gh:)|^[a-z][a-z0-9+.-]*://|^[^/]*@[^/]*[:/]|^(?:www\.)?github\.com[:/]|\?ref=")


@dataclass(frozen=True, slots=True)
class Reference:
    """An entry of a kustomization that names a file or folder. ``path``: where in it the entry stands; ``target``: the
    real path; ``folder``: whether it is that of another kustomization."""

    path: Path
    use: Use
    target: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Kustomization:
    """A kustomization file that is read. ``file``, ``directory``: real paths."""

    directory: str
    file: str
    references: tuple[Reference, ...] = ()

    def at(self, path: Path) -> Reference | None:
        return next((one for one in self.references if one.path == path), None)


@dataclass(slots=True)
class Graph:
    """What a build reads. ``files``: real path → content; ``links``: symbolic links on the way to them, with the real
    paths that they lead to; ``folders``: real path of a folder → its kustomization. Nothing is complete where there
    are ``errors``."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, Kustomization] = field(default_factory=dict)
    errors: list[ReadError] = field(default_factory=list)
    #: Whether something is loaded from elsewhere, and whether charts are.
    remote: bool = False
    charts: bool = False

    @property
    def parts(self) -> frozenset[str]:
        """The files that objects are made of. What a generator puts into the data of one is text there, and stays what
        it is besides."""
        put_in, others = set[str](), {kustomization.file for kustomization in self.folders.values()}
        for kustomization in self.folders.values():
            for reference in kustomization.references:
                (put_in if reference.path[0] in GENERATORS else others).add(reference.target)
        return frozenset(self.files.keys() - (put_in - others))


def name_of(demand: KustomizeDemand, real: str) -> str:
    """What reports call a file that a demand reads."""
    relative = os.path.relpath(real, demand.directory).replace(os.sep, "/")
    return os.path.normpath(os.path.join(os.path.dirname(demand.name), relative)).replace(os.sep, "/")


def decoded(content: bytes) -> tuple[str, bool] | None:
    """The text of a file, and whether it began with a byte order mark; None for what is no text."""
    mark, encoding = byte_order(content)
    try:
        return content[len(mark) :].decode(encoding), bool(mark)
    except UnicodeDecodeError:
        return None


def kustomization_document(content: bytes, name: str) -> Document | ReadError:
    """The one document of a kustomization file."""
    text = decoded(content)
    if text is None:
        return ReadError(name, "is not UTF-8 text", 1, 1)
    read = read_text(text[0], name)
    if read.errors:
        return read.errors[0]
    documents = [one for one in read.documents if one.root is not None]
    if len(documents) != 1 or not isinstance(documents[0].root, dict):
        said = "is no kustomization: it has to be one mapping" if documents else "is an empty kustomization"
        return ReadError(name, said, documents[1].line if len(documents) > 1 else 1, 1)
    return documents[0]


def is_remote(entry: str) -> bool:
    """Whether Kustomize would load an entry from elsewhere."""
    return _REMOTE.search(entry.strip()) is not None


def walk(demand: KustomizeDemand, limits: Limits) -> Graph:
    """What a build of the demand reads. Never raises for what the files are or hold."""
    walking = _Walk(demand, limits)
    if not is_within(os.path.realpath(demand.directory), demand.root):
        walking.graph.errors.append(ReadError(demand.name, "lies outside of the folder that may be read"))
    else:
        walking.folder(os.path.realpath(demand.directory), (), None)
    errors = walking.graph.errors
    if len(errors) > _MOST_ERRORS:
        more = ReadError(demand.name, f"{len(errors) - _MOST_ERRORS} more entries cannot be read")
        walking.graph.errors = [*errors[:_MOST_ERRORS], more]
    return walking.graph


class _RefusedError(Exception):
    """Why an entry is not read."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An entry, for errors."""

    file: str
    document: Document
    path: Path

    def error(self, message: str) -> ReadError:
        at = self.document.spans.locate(self.document.root, self.path)
        return ReadError(self.file, message, at.start_line, at.start_column)


class _Walk:
    def __init__(self, demand: KustomizeDemand, limits: Limits) -> None:
        self.demand = demand
        self.limits = limits
        self.graph = Graph()
        self.left = limits.bytes

    def fail(self, place: _Place | None, message: str) -> None:
        error = ReadError(self.demand.name, message) if place is None else place.error(message)
        if error not in self.graph.errors:
            self.graph.errors.append(error)

    def folder(self, real: str, above: tuple[str, ...], place: _Place | None) -> None:
        """Read the kustomization of a folder, and what it names. ``above``: those that led here."""
        if any(is_within(visited, real) for visited in above):
            self.fail(place, "is a cycle: this kustomization is read on the way to it")
            return
        if real in self.graph.folders:
            return
        if len(self.graph.folders) >= _MOST_FOLDERS or len(above) > 100:
            self.fail(place, f"leads to more than {_MOST_FOLDERS} kustomizations, or is nested deeper than 100")
            return
        found = [name for name in KUSTOMIZATION_NAMES if os.path.lexists(os.path.join(real, name))]
        if len(found) != 1:
            self.fail(place, f"has {' and '.join(found)}, of which only one may be" if found else _NO_KUSTOMIZATION)
            return
        try:
            file = self.file(real, found[0])
        except _RefusedError as error:
            self.fail(place, f"{found[0]}: {error}" if place else str(error))
            return
        name = name_of(self.demand, file)
        document = kustomization_document(self.graph.files[file], name)
        if isinstance(document, ReadError):
            self.graph.errors.append(document)
            return
        unknown = [key for key in document.root if key not in _FIELDS]
        for key in unknown:
            self.graph.errors.append(_Place(name, document, (key,)).error("is no field of a kustomization"))
        if place is None and document.root.get("kind") == "Component":
            said = "is a component: it is built as a part of the kustomizations that name it"
            self.graph.errors.append(_Place(name, document, ("kind",)).error(said))
        # It is known before what it names is read: that may lead here by another way.
        self.graph.folders[real] = Kustomization(real, file)
        references = []
        for path, entry, use in entries(document.root):
            here = _Place(name, document, path)
            try:
                reference = self.entry(real, entry, use, path, here, (*above, real))
            except _RefusedError as error:
                self.fail(here, f"{entry}: {error}")
            else:
                if reference is not None:
                    references.append(reference)
        self.inline_plug_ins(real, document, name)
        self.charts(real, document, name)
        self.graph.folders[real] = Kustomization(real, file, tuple(references))

    def entry(
        self, directory: str, entry: str, use: Use, path: Path, place: _Place, above: tuple[str, ...]
    ) -> Reference | None:
        if is_remote(entry):
            if not self.limits.network:
                raise _RefusedError("is elsewhere, and the network may not be used")
            self.graph.remote = True
            return None
        self.checked(entry)
        real = self.resolved(directory, entry)
        if use != "file" and os.path.isdir(real):
            self.folder(real, above, place)
            return Reference(path, use, real, folder=True)
        if use == "component":
            raise _RefusedError("is not a folder" if os.path.lexists(real) else "does not exist")
        file = self.file(directory, entry)
        if use == "plug-in":
            self.plug_in(directory, file)
        return Reference(path, use, file)

    @staticmethod
    def checked(entry: str) -> None:
        if os.path.isabs(entry):
            raise _RefusedError("is an absolute path, which Kustomize does not take")
        if not entry or "\0" in entry or "\n" in entry:
            raise _RefusedError("is no path")

    def resolved(self, directory: str, entry: str) -> str:
        """The real path of an entry, as Kustomize finds it: ``..`` is taken away before links are followed."""
        target = os.path.normpath(os.path.join(directory, entry))
        for _ in range(100):
            if not is_within(target, self.demand.root):
                raise _RefusedError("lies outside of the folder that may be read")
            link = self.first_link(target)
            if link is None:
                return target
            try:
                leads_to = os.path.realpath(link, strict=True)
            except OSError:
                raise _RefusedError("is a link that leads nowhere") from None
            if not is_within(leads_to, self.demand.root):
                raise _RefusedError("is a link out of the folder that may be read")
            self.graph.links[link] = leads_to
            target = os.path.normpath(leads_to + target[len(link) :])
        raise _RefusedError("has too many links")

    def first_link(self, target: str) -> str | None:
        position = len(self.demand.root.rstrip(os.sep))
        while position < len(target):
            position = target.find(os.sep, position + 1)
            position = len(target) if position == -1 else position
            if os.path.islink(target[:position]):
                return target[:position]
        return None

    def file(self, directory: str, entry: str) -> str:
        """Read a file; its real path."""
        self.checked(entry)
        real = self.resolved(directory, entry)
        if not is_within(real, directory):
            # Kustomize's load restrictor, which stays on.
            raise _RefusedError("is a file outside of the kustomization's own folder, which Kustomize does not take")
        if real in self.graph.files:
            return real
        if len(self.graph.files) >= _MOST_FILES:
            raise _RefusedError(f"would be more than {_MOST_FILES} files")
        try:
            content = regular_content(real, self.left + 1)
        except OSError as error:
            raise _RefusedError(f"cannot be read: {error.strerror or error}") from None
        if content is None:
            raise _RefusedError("is not a regular file")
        if len(content) > self.left:
            raise _RefusedError(f"is too large: a build may read {self.limits.bytes} bytes")
        self.left -= len(content)
        self.graph.files[real] = content
        return real

    def plug_in(self, directory: str, file: str) -> None:
        """Read what the configuration of a transformer or generator names. Only Kustomize's own ones run."""
        text = decoded(self.graph.files[file])
        for document in read_text(text[0], file).documents if text else ():
            self.configured(directory, document.root)

    def configured(self, directory: str, configuration: Any) -> None:
        if not isinstance(configuration, dict):
            return
        if configuration.get("apiVersion") != "builtin":
            raise _RefusedError("is configured by a plug-in or function, and these are never run")
        if configuration.get("kind") == "HelmChartInflationGenerator":
            raise _RefusedError("renders a chart as a plug-in: name the chart under helmCharts, or scan it itself")
        for _, entry, _ in entries({"configMapGenerator": [configuration], "patches": [configuration]}):
            self.file(directory, entry)
        for entry in _strings(configuration.get("paths")):
            if "\n" not in entry:
                self.file(directory, entry)
        for _, entry, _ in entries({"replacements": configuration.get("replacements")}):
            self.file(directory, entry)

    def inline_plug_ins(self, directory: str, document: Document, name: str) -> None:
        for key in ("generators", "transformers", "validators"):
            for number, entry in enumerate(items(document.root.get(key))):
                if isinstance(entry, str) and is_inline(entry):
                    try:
                        for inline in read_text(entry, name).documents:
                            self.configured(directory, inline.root)
                    except _RefusedError as error:
                        self.fail(_Place(name, document, (key, number)), str(error))

    def charts(self, directory: str, document: Document, name: str) -> None:
        for key in ("helmCharts", "helmChartInflationGenerator"):
            for number, chart in enumerate(items(document.root.get(key))):
                place = _Place(name, document, (key, number))
                if not self.limits.network:
                    place_error = "is a Helm chart: it is rendered only where the network may be used (--allow-network)"
                    self.fail(place, place_error)
                    continue
                self.graph.charts = True
                try:
                    self.chart(directory, document.root, chart)
                except _RefusedError as error:
                    self.fail(place, str(error))

    def chart(self, directory: str, root: dict[str, Any], chart: Any) -> None:
        if not isinstance(chart, dict):
            return
        for entry in _strings([chart.get("valuesFile"), *items(chart.get("additionalValuesFiles"))]):
            if not is_remote(entry):
                self.file(directory, entry)
        settings = root.get("helmGlobals")
        home = settings.get("chartHome") if isinstance(settings, dict) else None
        home, own = home if isinstance(home, str) else "charts", chart.get("name")
        self.checked(home)
        if isinstance(own, str) and own:
            self.checked(own)
            folder = self.resolved(directory, os.path.join(home, own))
            for at, _, files in os.walk(folder):
                for file in files:
                    self.file(directory, os.path.relpath(os.path.join(at, file), directory))


_NO_KUSTOMIZATION = "has no kustomization.yaml"


def _strings(value: Any) -> Iterator[str]:
    return (entry for entry in items(value) if isinstance(entry, str))
