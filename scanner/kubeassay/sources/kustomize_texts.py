"""The texts that a build was made of, read as objects: resources, kustomizations, patches in files and in entries."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubeassay.analysis.sensitive import sensitive_paths
from kubeassay.model import Object, ObjectRef, Path, SourceDocument, SpanTable
from kubeassay.sources.kustomize import is_inline
from kubeassay.sources.kustomize_graph import decoded, name_of
from kubeassay.sources.objects import objects_of
from kubeassay.sources.rendering import KustomizeDemand
from kubeassay.sources.yaml_reader import Document, read_text


class SourceTexts:
    """The files of a build, by their real paths; each is read once."""

    def __init__(self, demand: KustomizeDemand, files: Mapping[str, bytes]) -> None:
        self.demand = demand
        self.files = files
        self._real = {name_of(demand, real): real for real in files}
        self._objects: dict[str, list[Object]] = {}
        self._patches: dict[str, list[Object] | None] = {}
        self._inline: dict[tuple[str, Path], list[Object] | None] = {}

    def text(self, real: str) -> tuple[str, bool]:
        return decoded(self.files[real]) or ("", False)

    def read(self, real: str) -> list[Document]:
        return read_text(self.text(real)[0], name_of(self.demand, real)).documents

    def name(self, obj: Object) -> str:
        return obj.file

    def said(self, obj: Object) -> str:
        """How a kustomization is called in a sentence."""
        return f"the kustomization {os.path.dirname(obj.file) or os.path.basename(obj.file)}"

    def kustomization(self, real: str) -> Object:
        return self._all(real)[0]

    def objects(self, real: str) -> list[Object]:
        """The objects of a file of resources."""
        found = self._objects.get(real)
        if found is None:
            read = [one for document in self.read(real) for one in objects_of(document) if isinstance(one, Object)]
            for number, obj in enumerate(read):
                obj.number = number
            found = self._objects[real] = read
        return found

    def _all(self, real: str) -> list[Object]:
        """Every document of a file, whatever it is."""
        found = self._objects.get(f"{real}\0")
        if found is None:
            read = [document for document in self.read(real) if document.root is not None]
            found = [_as_object(document, number) for number, document in enumerate(read)]
            self._objects[f"{real}\0"] = found
        return found

    def patches(self, real: str) -> list[Object] | None:
        """The patches of a file: mappings, or one list of operations; None where it holds anything else."""
        if real not in self._patches:
            text = self.text(real)[0]
            read = read_text(text, name_of(self.demand, real))
            usable = not read.errors and all(isinstance(obj.value, dict | list) for obj in self._all(real))
            self._patches[real] = self._all(real) if usable and self._all(real) else None
        return self._patches[real]

    def inline(self, of: Object, path: Path) -> list[Object] | None:
        """The patches that an entry of a kustomization has as text, with their places in the kustomization."""
        # What a deployer puts on top is called as the kustomization is, and stands in no file.
        key = (of.file if of.spans.offsets else "", path)
        if key not in self._inline:
            self._inline[key] = self._read_inline(of, path)
        return self._inline[key]

    def _read_inline(self, of: Object, path: Path) -> list[Object] | None:
        text = of.get(*path)
        if not isinstance(text, str):
            return None
        read = read_text(text, of.file)
        roots = [document.root for document in read.documents if document.root is not None]
        if read.errors or not roots or not all(isinstance(root, dict | list) for root in roots):
            return None
        if not of.spans.offsets:
            return [Object.without_document(of.ref, root, of.file, (), number) for number, root in enumerate(roots)]
        span = of.value_offsets(path)
        real = self._real.get(of.file)
        if span is None or real is None:
            return [_placed_at(of, (0, 0, 0, 0), root, number) for number, root in enumerate(roots)]
        key = of.key_offsets(path) or (span[0], span[0])
        source = self.text(real)[0]
        # A block scalar's lines are YAML as they stand there, indented.
        begin = source.find("\n", span[0], span[1]) + 1
        if source[span[0]] in "|>" and begin:
            again = read_text(source[begin : span[1]], of.file)
            found = [document for document in again.documents if document.root is not None]
            if not again.errors and [document.root for document in found] == roots:
                return [_shifted(of, document, begin, number) for number, document in enumerate(found)]
        return [_placed_at(of, (*key, *span), root, number) for number, root in enumerate(roots)]

    def document(self, name: str) -> SourceDocument:
        """A source file as findings are placed in it, with all in it that no report may show."""
        real = self._real.get(name)
        if real is None:
            return SourceDocument(name, "")
        text, had_bom = self.text(real)
        objects = list(self._all(real))
        for obj in tuple(objects):
            objects += _hidden(obj)
            if isinstance(obj.value, dict):
                for path in _inline_paths(obj.value):
                    inline = self.inline(obj, path) or ()
                    objects += inline
                    for patch in inline:
                        objects += _hidden(patch)
        return SourceDocument(name, text, had_bom, tuple(objects))


def _inline_paths(root: dict[str, Any]) -> Iterator[Path]:
    for key in ("patches", "patchesJson6902"):
        for number, entry in enumerate(_list(root.get(key))):
            if isinstance(entry, dict) and isinstance(entry.get("patch"), str):
                yield key, number, "patch"
    for key in ("patchesStrategicMerge", "transformers", "generators", "validators"):
        for number, entry in enumerate(_list(root.get(key))):
            if isinstance(entry, str) and is_inline(entry):
                yield key, number


def _as_object(document: Document, number: int) -> Object:
    root = document.root
    metadata = root.get("metadata") if isinstance(root, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    api_version, kind = (root.get("apiVersion"), root.get("kind")) if isinstance(root, dict) else (None, None)
    ref = ObjectRef(
        api_version if isinstance(api_version, str) else "",
        kind if isinstance(kind, str) else "",
        None,
        name if isinstance(name, str) else "",
    )
    return Object(ref, root, document.spans, root, (), document.duplicate_keys, number)


def _shifted(of: Object, document: Document, begin: int, number: int) -> Object:
    """An object of a part of a file, at its places in the file."""
    offsets = array("I", (offset + begin for offset in document.spans.offsets))
    spans = SpanTable(of.file, offsets, of.spans.line_starts, of.spans.astral)
    return _as_object(Document(document.root, spans), number)


def _placed_at(of: Object, offsets: tuple[int, int, int, int], root: Any, number: int) -> Object:
    """An object of which every field stands at one place: a text that cannot be followed within its file."""
    spans = SpanTable(of.file, array("I", offsets * _size(root)), of.spans.line_starts, of.spans.astral)
    return _as_object(Document(root, spans), number)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


def _hidden(obj: Object) -> list[Object]:
    """What of a kustomization or a JSON patch no report may show, as a Secret that stands at these places: they
    are secrets by what becomes of them, which a document by itself does not say."""
    spans = [span for path in secret_fields(obj.value) if (span := obj.value_offsets(path)) is not None]
    if not spans:
        return []
    data = {str(number): "x" for number in range(len(spans))}
    value = {"apiVersion": "v1", "kind": "Secret", "data": data}
    offsets = array("I", (0,) * 16)
    for start, end in spans:
        offsets.extend((start, start, start, end))
    table = SpanTable(obj.file, offsets, obj.spans.line_starts, obj.spans.astral)
    return [Object(ObjectRef("v1", "Secret", None, ""), value, table, value)]


def secret_fields(root: Any) -> Iterator[Path]:
    """Where a kustomization or a JSON patch has what becomes the value of a Secret."""
    yield from _literals(root)
    yield from _operations(root)


def _literals(root: Any) -> Iterable[Path]:
    generators = root.get("secretGenerator") if isinstance(root, dict) else None
    for number, entry in enumerate(_list(generators)):
        literals = entry.get("literals") if isinstance(entry, dict) else None
        for position, _ in enumerate(_list(literals)):
            yield "secretGenerator", number, "literals", position


def _operations(root: Any) -> Iterable[Path]:
    for number, operation in enumerate(_list(root)):
        pointer = operation.get("path") if isinstance(operation, dict) else None
        if not isinstance(pointer, str) or "value" not in operation:
            continue
        last = pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
        if pointer.split("/")[1:2] in (["data"], ["stringData"]):
            yield from _scalars(operation["value"], (number, "value"))
        else:
            for path in sensitive_paths({last: operation["value"]}):
                yield (number, "value", *path[1:])
        if last == "value":
            # Of an environment variable, whose name stands elsewhere.
            yield number, "value"


def _scalars(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _scalars(child, (*path, key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _scalars(child, (*path, number))
    else:
        yield path


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
