"""The manifests that declare a cluster's objects: which is which."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubeassay.analysis.gitops.applications import application, is_filled_in
from kubeassay.analysis.reading import mapping, string
from kubeassay.engine.findings import SourceText
from kubeassay.engine.manifests import Declaration, Manifests
from kubeassay.model import NotCompared, Object, ObjectRef
from kubeassay.model.unread import METADATA_ONLY
from kubeassay.sources.files import Discovery, discover, display_name
from kubeassay.sources.live_objects import without_places
from kubeassay.sources.manifests import read_file
from kubeassay.sources.snapshot import Snapshot, file_name, strip


@dataclass(slots=True)
class Sources:
    """What the manifests of some folders declare. ``unclear``: what of them is not known, for it is not rendered or
    not readable."""

    names: tuple[str, ...]
    declarations: list[Declaration] = field(default_factory=list)
    unclear: list[NotCompared] = field(default_factory=list)


def read_sources(paths: Sequence[str], rendered: Callable[[Discovery], Discovery] = lambda found: found) -> Sources:
    """Read the manifests of folders. ``rendered`` makes of what was discovered what it is deployed as. Raises
    UsageError for a folder that does not exist."""
    discovery = rendered(discover(paths))
    found = Sources(tuple(display_name(path) for path in paths))
    for error in discovery.errors:
        found.unclear.append(NotCompared("not-readable", f"{error.file}: {error.message}", error.file))
    skipped = list(discovery.skipped)
    for file in discovery.files:
        if file.part:
            # What is made of it is among the files, too.
            continue
        read = read_file(file)
        skipped += read.skipped
        for error in read.errors:
            where = f"{error.file}:{error.line}" if error.line is not None else error.file
            found.unclear.append(NotCompared("not-readable", f"{where}: {error.message}", error.file))
        changed_by = discovery.changed_by.get(file.name)
        if changed_by is not None and read.objects:
            said = f"{file.name}: {changed_by} makes other objects of what stands in it, and is not rendered"
            found.unclear.append(NotCompared("not-rendered", said, file.name))
            continue
        text = SourceText(read.given, read.had_bom, read.objects)
        for obj in read.objects:
            if is_filled_in(obj.ref.name) or is_filled_in(obj.ref.namespace or ""):
                said = f"{obj.ref}: its name is filled in by something that is not rendered"
                found.unclear.append(NotCompared("not-rendered", said, obj.file))
            elif obj.ref.name:
                found.declarations.append(Declaration(obj, text, _compared(obj)))
    for entry in skipped:
        if entry.hides_objects and entry.file not in discovery.listings:
            found.unclear.append(NotCompared("not-rendered", f"{entry.file}: {entry.detail}", entry.file))
    return found


def _compared(obj: Object) -> Mapping[str, Any]:
    """The value of a manifest's object as that of a cluster's is read: without the values of Secrets, and without
    what looks like a credential."""
    whole = obj.ref.group or obj.ref.kind not in METADATA_ONLY
    value = copy.deepcopy(
        {key: member for key, member in obj.value.items() if whole or key in ("apiVersion", "kind", "metadata")}
    )
    strip(value)
    return value


@dataclass(frozen=True, slots=True)
class Destination:
    """What an Application of Argo CD's deploys: a folder, into a namespace."""

    application: str
    folder: str
    namespace: str

    def holds(self, file: str) -> bool:
        """Whether a file stands in the folder."""
        return self.folder not in ("", ".") and f"/{self.folder}/" in f"/{file.rpartition('/')[0]}/"


class Matched:
    """Which manifest declares which object of a cluster."""

    def __init__(self, sources: Sources, snapshot: Snapshot) -> None:
        self.sources = sources
        self.snapshot = snapshot
        #: What cannot be told.
        self.unclear = list(sources.unclear)
        #: What is declared and not found.
        self.missing: list[Declaration] = []
        #: Places of which it is not known what declares them.
        self.ambiguous: set[str] = set()
        self._by_name: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._of_namespaces: dict[str, bool] = {}
        for place in snapshot.files:
            kind, name = named(place)
            self._by_name[kind, name].append(place)
            self._of_namespaces[kind] = place.split("/", 3)[2] != "_cluster"
        self.destinations = tuple(self._read_destinations())
        self.manifests = Manifests(self._match())

    def places(self, kind: str) -> Iterator[str]:
        """The places of the objects of a kind, as places name it (``apps.Deployment``)."""
        for (of, _), places in self._by_name.items():
            if of == kind:
                yield from places

    def live(self, place: str) -> Object | None:
        """The object at a place."""
        return without_places(self.snapshot.files[place], place)

    def place(self, ref: ObjectRef) -> str:
        """The place that an object has, or would have."""
        metadata = {"name": ref.name, "namespace": ref.namespace}
        return file_name(self.snapshot.cluster, {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata})

    def namespace(self, obj: Object) -> str | None:
        """The namespace that a manifest's object is for: as it states, as Argo CD fills it, or the one that is audited;
        None where none of them says."""
        if obj.ref.namespace is not None:
            return obj.ref.namespace
        filled = {one.namespace for one in self.destinations if one.holds(obj.file)}
        if len(filled) == 1 and "" not in filled:
            return filled.pop()
        audited = self.snapshot.namespaces or ()
        return audited[0] if len(audited) == 1 and self._of_namespaces.get(_kind(obj.ref)) else None

    def _read_destinations(self) -> Iterator[Destination]:
        objects = [declaration.obj for declaration in self.sources.declarations]
        objects += filter(None, map(self.live, self.places("argoproj.io.Application")))
        for obj in objects:
            found = application(obj)
            if found is not None and not found.template:
                namespace = string(mapping(found.value.get("destination")).get("namespace"))
                for source in found.sources:
                    yield Destination(obj.ref.name, source.folder.removeprefix("./").strip("/"), namespace)

    def _match(self) -> dict[str, Declaration]:
        by_place: dict[str, list[Declaration]] = defaultdict(list)
        open_: list[Declaration] = []
        files = self.snapshot.files
        for declaration in self.sources.declarations:
            ref = declaration.obj.ref
            if ref.name.endswith("*"):
                for place in self._generated(ref):
                    by_place[place].append(declaration)
                continue
            # What belongs to no namespace is in none, whatever its manifest says.
            of_cluster = self.place(replace(ref, namespace=None))
            namespace = self.namespace(declaration.obj)
            in_namespace = self.place(replace(ref, namespace=namespace))
            if of_cluster in files:
                by_place[of_cluster].append(declaration)
            elif namespace is None:
                open_.append(declaration)
            elif in_namespace in files:
                by_place[in_namespace].append(declaration)
            else:
                self.missing.append(declaration)
        # What states no namespace may be in any in which nothing else declares an object of that name.
        taken = set(by_place)
        for declaration in open_:
            ref = declaration.obj.ref
            found = [place for place in self._by_name[_kind(ref), _name(ref)] if place not in taken]
            if len(found) == 1:
                by_place[found[0]].append(replace(declaration, by_name=True))
            elif found:
                self._several_namespaces(declaration, found)
            else:
                self.missing.append(declaration)
        return dict(self._single(by_place))

    def _several_namespaces(self, declaration: Declaration, found: Sequence[str]) -> None:
        namespaces = ", ".join(place.split("/")[2] for place in found[:3]) + (", …" if len(found) > 3 else "")
        file = declaration.obj.file
        said = f"{declaration.obj.ref} in {file} states no namespace, and there are several in the cluster"
        self.unclear.append(NotCompared("ambiguous", f"{said} ({namespaces})", file))
        self.ambiguous.update(found)

    def _single(self, by_place: Mapping[str, Sequence[Declaration]]) -> Iterator[tuple[str, Declaration]]:
        """Of what is declared once, by what."""
        for place, declarations in by_place.items():
            if len(declarations) == 1:
                yield place, declarations[0]
                continue
            self.ambiguous.add(place)
            files = ", ".join(f"{one.obj.file}:{line(one.obj)}" for one in declarations[:3])
            more = ", …" if len(declarations) > 3 else ""
            said = f"{declarations[0].obj.ref} is declared {len(declarations)} times ({files}{more})"
            self.unclear.append(NotCompared("ambiguous", said, place))

    def _generated(self, ref: ObjectRef) -> Iterator[str]:
        """The places of the objects whose names were made of a manifest's generateName."""
        prefix = ref.name.removesuffix("*")
        for place in self.places(_kind(ref)):
            obj = self.live(place) if named(place)[1].startswith(prefix) else None
            if (
                obj is not None
                and obj.get("metadata", "generateName") == prefix
                and not obj.get("metadata", "ownerReferences")
                and ref.namespace in (None, obj.ref.namespace)
            ):
                yield place


def named(place: str) -> tuple[str, str]:
    """The group and kind, and the name, of an object by its place."""
    *_, kind, name = place.rsplit("/", 2)
    return kind, name.removesuffix(".yaml")


def _kind(ref: ObjectRef) -> str:
    return f"{ref.group or 'core'}.{ref.kind}"


def _name(ref: ObjectRef) -> str:
    return ref.name.replace("/", "-")


def line(obj: Object) -> int:
    """The line of a manifest's object: that of its name."""
    return obj.locate(("metadata", "name")).start_line
