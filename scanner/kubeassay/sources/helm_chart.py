"""A chart as Helm is to see it: its files, with what may be read of the tree and nothing else, and its sub-charts.

Helm reads whatever lies in a chart's folder and follows every link there. So it gets a copy, of regular files that
really lie within the root. What cannot be copied makes another chart of it, which is not rendered.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubeassay.model import Object, ObjectRef, ReadError, SourceDocument
from kubeassay.sources import helm_ignore
from kubeassay.sources.files import is_within
from kubeassay.sources.manifests import byte_order, regular_content
from kubeassay.sources.rendering import HelmDemand, Limits
from kubeassay.sources.yaml_reader import Document, read_text

CHART = "Chart.yaml"
VALUES = "values.yaml"
#: A chart with more is none that anybody wrote.
MAX_FILES = 20_000
#: What makes a chart's objects, by its path in the chart; of sub-charts likewise.
_RENDERED = re.compile(
    r"(?:charts/[^/._][^/]*/)*(?:templates/.+|crds/.+|charts/[^/._][^/]*\.tgz|Chart\.(?:yaml|lock)|requirements\.(?:yaml|lock)"
    r"|values\.(?:yaml|schema\.json))\Z"
)
#: Of these, what may hold objects.
_MANIFEST = re.compile(r"(?:charts/[^/._][^/]*/)*(?:templates|crds)/.+\.(?:ya?ml|json)\Z")
#: Charts in charts in charts, and how many of them in all: one may be there under many names, and so may those in it.
_MAX_DEPTH = 10
MAX_CHARTS = 1_000
#: The template of a chart that stands in for one that is missing: where it is rendered, that one was needed.
STAND_IN = "templates/kubeassay-missing.yaml"
_STAND_IN_TEXT = b"apiVersion: kubeassay.dev/v1\nkind: Missing\nmetadata:\n  name: missing\n"


class ChartError(Exception):
    """Why a chart is not rendered."""

    def __init__(self, *errors: ReadError) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class ChartFile:
    """A file of a chart: its bytes, its real path, and what reports call it."""

    content: bytes
    real: str
    name: str

    def document(self) -> SourceDocument:
        """Its text; what is no UTF-8 in it is replaced."""
        mark, encoding = byte_order(self.content)
        return SourceDocument(self.name, self.content[len(mark) :].decode(encoding, "replace"), bool(mark))


@dataclass(frozen=True, slots=True)
class Dependency:
    """A sub-chart that a chart declares, and where: the file of the declaration, and its path in there."""

    name: str
    alias: str
    version: str
    repository: str
    condition: str
    tags: bool
    declared: ChartFile
    path: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, or a sub-chart. ``name``: as Helm names it in paths of templates (a sub-chart by its alias). ``folder``:
    where its files lie below the chart's, ending in ``/``; empty for the chart itself. ``keys``: the keys of the
    chart's values below which its own stand. ``archive``: what declares or holds it, where it is packed."""

    name: str
    folder: str
    keys: tuple[str, ...]
    files: Mapping[str, ChartFile]
    metadata: Mapping[str, Any]
    dependencies: tuple[Dependency, ...] = ()
    children: tuple[Chart, ...] = ()
    archive: ChartFile | None = None

    @property
    def archive_name(self) -> str:
        return "" if self.archive is None else self.archive.name

    def walk(self) -> Iterator[Chart]:
        """It and all its sub-charts."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(slots=True)
class ChartFiles:
    """All files of a chart by their paths below its folder, with what was vendored for it, and notes on it."""

    files: dict[str, ChartFile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    #: Dependencies that stand-ins are there for.
    missing: list[Dependency] = field(default_factory=list)
    #: Others that have to be loaded.
    remote: list[Dependency] = field(default_factory=list)

    @property
    def sources(self) -> frozenset[str]:
        """The real paths of what Helm renders, or takes values from. Other files of a chart's folder are none of its
        objects, whatever they hold: a repository may be a chart as a whole."""
        return frozenset(file.real for key, file in self.files.items() if file.real and _RENDERED.match(key))

    @property
    def left_out(self) -> list[ChartFile]:
        """What would be rendered if ``.helmignore`` did not leave it out."""
        rules = self.files.get(helm_ignore.FILE)
        found = helm_ignore.ignored("" if rules is None else rules.document().text, self.files)
        return [self.files[key] for key in sorted(found) if self.files[key].real and _MANIFEST.match(key)]


def shown(demand: HelmDemand, real: str) -> str:
    """What reports call a file by its real path."""
    relative = os.path.relpath(real, demand.chart).replace(os.sep, "/")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(demand.name), relative))
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_chart(demand: HelmDemand, limits: Limits) -> ChartFiles:
    """The files of the chart of a demand, with the sub-charts that it has in files of the tree. Raises ChartError."""
    if not is_within(os.path.realpath(demand.chart), demand.root):
        raise ChartError(ReadError(demand.name, "the chart lies outside of what is scanned"))
    found = ChartFiles()
    reader = _Reader(demand, limits, found)
    reader.folder(os.path.realpath(demand.chart), "", ())
    if CHART not in found.files:
        raise ChartError(ReadError(demand.name, "no chart: it has no Chart.yaml"))
    _check_metadata(found.files[CHART])
    reader.vendor()
    return found


def _check_metadata(file: ChartFile) -> None:
    documents = read_text(file.document().text, file.name)
    if documents.errors:
        raise ChartError(documents.errors[0])
    root = documents.documents[0].root if documents.documents else None
    if not isinstance(root, dict) or not isinstance(root.get("name"), str):
        raise ChartError(ReadError(file.name, "no chart: it has no name", 1, 1))


class _Reader:
    def __init__(self, demand: HelmDemand, limits: Limits, found: ChartFiles) -> None:
        self.demand = demand
        self.limits = limits
        self.found = found
        self.size = 0
        self.folders = 0

    def refuse(self, name: str, message: str) -> ChartError:
        return ChartError(ReadError(name, f"{message}: the chart is not rendered"))

    def folder(self, real: str, prefix: str, above: tuple[str, ...]) -> None:
        """Add the files of a folder. ``above``: real paths of the folders that it is in, as far as links led."""
        self.folders += 1
        if self.folders > MAX_FILES:
            # Links may lead to the same few folders again and again.
            raise ChartError(ReadError(self.demand.name, f"the chart has more than {MAX_FILES} folders"))
        try:
            with os.scandir(real) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise self.refuse(shown(self.demand, real), f"cannot be read: {error.strerror}") from None
        for entry in entries:
            # No chart reads git's own files, and there may be many.
            if entry.name == ".git":
                continue
            path = target = os.path.join(real, entry.name)
            name = shown(self.demand, path)
            if not entry.name.isprintable():
                # Helm prints names of templates in lines of their own.
                raise self.refuse(name, "its name has characters that are not printed")
            if entry.is_symlink():
                target = os.path.realpath(path)
                if not is_within(target, self.demand.root):
                    raise self.refuse(name, "a symbolic link that leads out of what is scanned")
            try:
                mode = os.stat(target).st_mode
            except OSError as error:
                raise self.refuse(name, f"cannot be read: {error.strerror}") from None
            if stat.S_ISDIR(mode):
                if target in above or is_within(real, target) or len(above) > 100:
                    raise self.refuse(name, "a symbolic link to a folder that it is in")
                self.folder(target, f"{prefix}{entry.name}/", (*above, real))
            elif stat.S_ISREG(mode):
                self.add(f"{prefix}{entry.name}", target, name)
            else:
                raise self.refuse(name, "is not a regular file")

    def add(self, key: str, real: str, name: str) -> None:
        try:
            content = regular_content(real, self.limits.bytes - self.size + 1)
        except OSError as error:
            raise self.refuse(name, f"cannot be read: {error.strerror}") from None
        if content is None:
            raise self.refuse(name, "is not a regular file")
        self.size += len(content)
        if self.size > self.limits.bytes:
            raise ChartError(ReadError(self.demand.name, f"the chart has more than {self.limits.bytes} bytes"))
        if len(self.found.files) >= MAX_FILES:
            raise ChartError(ReadError(self.demand.name, f"the chart has more than {MAX_FILES} files"))
        self.found.files[key] = ChartFile(content, real, name)

    # --- sub-charts that are declared ---

    def vendor(self) -> None:
        chart = chart_of(self.found.files, self.limits)
        errors: list[ReadError] = []
        for dependency in _not_vendored(chart):
            if dependency.repository.startswith("file://"):
                errors += self.local(dependency)
            elif self.limits.network:
                self.found.remote.append(dependency)
            elif dependency.condition or dependency.tags:
                self.stand_in(dependency)
            else:
                errors.append(not_vendored(dependency))
        if errors:
            raise ChartError(*errors)
        for child in chart_of(self.found.files, self.limits).children:
            for each in child.walk():
                for lost in _not_vendored(each):
                    self.found.notes.append(
                        f"{lost.declared.name}:{_place(lost).line}: {lost.name}, which a sub-chart depends on, "
                        "is not vendored: Helm renders without it"
                    )

    def local(self, dependency: Dependency) -> list[ReadError]:
        """Copy a sub-chart that lies elsewhere in the tree."""
        at = os.path.join(self.demand.chart, dependency.repository.removeprefix("file://"))
        real = os.path.realpath(at)
        where = dependency.repository
        if not is_within(real, self.demand.root):
            return [_place(dependency, f"the dependency {dependency.name} lies outside of what is scanned ({where})")]
        if not os.path.isfile(os.path.join(real, CHART)):
            return [_place(dependency, f"the dependency {dependency.name} is no chart ({where})")]
        if is_within(self.demand.chart, real):
            return [_place(dependency, f"the dependency {dependency.name} holds the chart itself ({where})")]
        self.folder(real, f"charts/{dependency.name}/", ())
        copied = chart_of(self.found.files, self.limits)
        if not any(child.metadata.get("name") == dependency.name for child in copied.children):
            return [_place(dependency, f"the chart in {where} is not named {dependency.name}")]
        return []

    def stand_in(self, dependency: Dependency) -> None:
        """Let Helm decide whether a missing sub-chart is needed: its condition and tags are values.

        Its own values may state its condition as well, and nobody knows these: then it is needed.
        """
        simple = "," not in dependency.condition and not (dependency.condition and dependency.tags)
        if not simple:
            raise ChartError(not_vendored(dependency))
        number = re.search(r"\d+(?:\.\d+)*", dependency.version)
        parts = [*(number[0] if number else "0").split("."), "0", "0"][:3]
        metadata = f'apiVersion: v2\nname: "{dependency.name}"\nversion: {".".join(parts)}\n'
        folder = f"charts/{dependency.name}"
        self.found.files[f"{folder}/{CHART}"] = ChartFile(metadata.encode(), "", dependency.declared.name)
        self.found.files[f"{folder}/{STAND_IN}"] = ChartFile(_STAND_IN_TEXT, "", dependency.declared.name)
        self.found.missing.append(dependency)


def not_vendored(dependency: Dependency) -> ReadError:
    return _place(
        dependency,
        f"the dependency {dependency.name} is not vendored: the chart is not rendered "
        "(helm dependency build, or --allow-network)",
    )


def _place(dependency: Dependency, message: str = "") -> ReadError:
    """An error at the line of a dependency."""
    file = dependency.declared
    document = read_text(file.document().text, file.name).documents[0]
    at = document.spans.locate(document.root, dependency.path)
    return ReadError(file.name, message, at.start_line, at.start_column)


def _not_vendored(chart: Chart) -> list[Dependency]:
    there = {child.metadata.get("name") for child in chart.children}
    return [dependency for dependency in chart.dependencies if dependency.name not in there]


# --- what a chart's files say ---


def chart_of(files: Mapping[str, ChartFile], limits: Limits) -> Chart:
    """The chart that files are, with its sub-charts, as Helm's loader takes them (helm v3.19.5,
    pkg/chart/loader/load.go, LoadFiles). Raises ChartError for archives that are refused."""
    return _chart(files, "", (), None, _Left(limits.bytes, MAX_CHARTS), 0)


@dataclass(slots=True)
class _Left:
    """What all archives of a chart, and those in them, may still be unpacked to; how many sub-charts it may have."""

    bytes: int
    charts: int


def mapping_in(file: ChartFile | None) -> tuple[dict[str, Any], Document | None]:
    """What a YAML file states; nothing where it cannot be read, which Helm will say."""
    if file is None:
        return {}, None
    documents = read_text(file.document().text, file.name).documents
    if not documents or not isinstance(documents[0].root, dict):
        return {}, None
    return documents[0].root, documents[0]


def _chart(
    files: Mapping[str, ChartFile],
    folder: str,
    keys: tuple[str, ...],
    archive: ChartFile | None,
    left: _Left,
    depth: int,
) -> Chart:
    metadata, _ = mapping_in(files.get(CHART))
    name = metadata.get("name")
    dependencies = tuple(_dependencies(files))
    children: list[Chart] = []
    grouped: dict[str, dict[str, ChartFile]] = {}
    for key, file in files.items():
        if key.startswith("charts/"):
            first, _, rest = key.removeprefix("charts/").partition("/")
            if first[:1] not in ("_", "."):
                grouped.setdefault(first, {})[rest] = file
    for first, inner in grouped.items() if depth < _MAX_DEPTH else ():
        packed = archive
        if first.endswith(".tgz") and "" in inner:
            packed = packed or inner[""]
            inner = unpacked(inner[""], left.bytes)
            left.bytes -= sum(len(file.content) for file in inner.values())
        elif CHART not in inner:
            continue
        called, _ = mapping_in(inner.get(CHART))
        # One vendored chart may be several sub-charts, by their aliases.
        names = [
            dependency.alias or dependency.name for dependency in dependencies if dependency.name == called.get("name")
        ] or [str(called.get("name"))]
        for alias in dict.fromkeys(names):
            left.charts -= 1
            if left.charts < 0:
                message = f"more than {MAX_CHARTS} sub-charts, counted by their names: the chart is not rendered"
                raise ChartError(ReadError((archive or files[CHART]).name, message))
            child = _chart(inner, f"{folder}charts/{first}/", (*keys, alias), packed, left, depth + 1)
            children.append(replace(child, name=alias))
    own = {key: file for key, file in files.items() if not key.startswith("charts/")}
    return Chart(
        name if isinstance(name, str) else "", folder, keys, own, metadata, dependencies, tuple(children), archive
    )


def _dependencies(files: Mapping[str, ChartFile]) -> Iterator[Dependency]:
    for file in (files.get(CHART), files.get("requirements.yaml")):
        stated, _ = mapping_in(file)
        entries = stated.get("dependencies")
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if file is None or not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                continue
            # It becomes the name of a folder.
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", entry["name"]):
                continue
            texts = [str(entry.get(key) or "") for key in ("alias", "version", "repository", "condition")]
            yield Dependency(
                entry["name"], texts[0], texts[1], texts[2], texts[3], bool(entry.get("tags")), file,
                ("dependencies", number),
            )  # fmt: skip


def unpacked(archive: ChartFile, most: int) -> dict[str, ChartFile]:
    """The files of a packed chart, without its folder. Raises ChartError for one that is no such archive, that holds
    more than ``most`` bytes, or whose names lead out of it."""

    def refuse(message: str) -> ChartError:
        return ChartError(ReadError(archive.name, f"{message}: the chart is not rendered"))

    files: dict[str, ChartFile] = {}
    left = most
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflated(archive.content, most)), mode="r:") as packed:
            for number, member in enumerate(packed):
                if number > MAX_FILES:
                    raise refuse(f"an archive of more than {MAX_FILES} files")
                if member.isdir():
                    continue
                name = posixpath.normpath(member.name.replace("\\", "/"))
                if name.startswith(("/", "../")) or name == ".." or ":" in name.split("/")[0]:
                    raise refuse("an archive with names that lead out of it")
                if not name.isprintable():
                    raise refuse("an archive with names that are not printed")
                if not member.isreg():
                    raise refuse("an archive that holds links or devices")
                left -= member.size
                if left < 0:
                    raise refuse(f"an archive of more than {most} bytes")
                stream = packed.extractfile(member)
                _, _, inside = name.partition("/")
                if stream is not None and inside:
                    files[inside] = ChartFile(stream.read(), archive.real, archive.name)
    except OverflowError:
        raise refuse(f"an archive of more than {most} bytes") from None
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise refuse(f"no archive that can be read ({error})") from None
    if CHART not in files:
        raise refuse("an archive without a Chart.yaml")
    return files


def _inflated(content: bytes, most: int) -> bytes:
    """The bytes of a gzip stream. Raises OverflowError where they are more than may be read: tar's own headers, which
    are little against a chart's files, are allowed for."""
    most += 2**20
    inflated = bytearray()
    while content:
        stream = zlib.decompressobj(wbits=31)
        inflated += stream.decompress(content, most + 1 - len(inflated))
        if len(inflated) > most:
            raise OverflowError
        if not stream.eof:
            raise EOFError("it ends too early")
        content = stream.unused_data
        if not content.startswith(b"\x1f\x8b"):
            break
    return bytes(inflated)


def values_object(file: ChartFile | SourceDocument, *, secret: bool = False) -> tuple[SourceDocument, Object | None]:
    """A values file as a document with an object, so that what is secret in it is masked as in a custom resource:
    by its keys' names. ``secret``: all of it is. The object is None where the file is no mapping."""
    document = file.document() if isinstance(file, ChartFile) else file
    read = read_text(document.text, document.name).documents
    if not read or not isinstance(read[0].root, dict):
        return document, None
    # Behind all others, so that no other's place is counted from it; the object itself is not changed.
    kinds = {"apiVersion": "v1", "kind": "Secret"} if secret else {"apiVersion": "values.helm.sh/v1"}
    stated = {key: value for key, value in read[0].root.items() if key not in ("apiVersion", "kind")}
    root = read[0].root if len(stated) < len(read[0].root) else {**read[0].root, **kinds}
    obj = Object(ObjectRef("values.helm.sh/v1", "Values", None, ""), root, read[0].spans, root)
    return replace(document, objects=(obj,)), obj
