"""Objects that came from an API server: their places are in a canonical text of them.

An object of a cluster stands in no file. Its value is written as YAML, one scalar a line, keys in the order in which
the API server sends them, so that a finding has a line, and the excerpt of it is what people know from ``kubectl get
-o yaml``. The text is a function of the object alone.
"""

from __future__ import annotations

import json
import re
from array import array
from dataclasses import dataclass
from typing import Any

from kubeassay.model import Object, ObjectRef, ReadError, SpanTable

#: Texts that a reader of YAML takes for the same text when they stand without quotes.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
_NOT_TEXT = frozenset({"y", "yes", "n", "no", "on", "off", "true", "false", "null"})
_MAX_DEPTH = 200
#: How a snapshot of a cluster begins (sources/snapshot.py).
SNAPSHOT_HEADER = b'{"apiVersion":"kubeassay.dev/v1","kind":"Snapshot"'


@dataclass(frozen=True, slots=True)
class LiveFile:
    """An object of a cluster as a file: ``name`` is what reports call it, ``content`` its JSON."""

    name: str
    content: bytes
    path: str = ""
    role: tuple[str, str] | None = None

    @property
    def size(self) -> int:
        return len(self.content)


def read_live(file: LiveFile) -> tuple[str, list[Object], list[ReadError]]:
    """The text of an object, and the object with its places in it."""
    try:
        value = json.loads(file.content)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        text, offsets = render(value)
    except (ValueError, RecursionError) as error:
        return "", [], [ReadError(file.name, f"cannot be read: {error}")]
    ref = _ref(value)
    if ref is None:
        return "", [], [ReadError(file.name, "an object without apiVersion and kind")]
    lines = array("I", (0,))
    position = text.find("\n")
    while position != -1:
        lines.append(position + 1)
        position = text.find("\n", position + 1)
    astral = array("I", (n for n, c in enumerate(text) if c > "\uffff")) if not text.isascii() else array("I")
    return text, [Object(ref, value, SpanTable(file.name, offsets, lines, astral), value)], []


def without_places(file: LiveFile) -> Object | None:
    """The object alone; None for what cannot be read."""
    try:
        value = json.loads(file.content)
    except (ValueError, RecursionError):
        return None
    ref = _ref(value) if isinstance(value, dict) else None
    if ref is None:
        return None
    return Object(ref, value, SpanTable(file.name, array("I"), array("I", (0,)), array("I")), None)


def _ref(value: dict[str, Any]) -> ObjectRef | None:
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    api_version, kind = value.get("apiVersion"), value.get("kind")
    namespace, name = metadata.get("namespace"), metadata.get("name")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return None
    return ObjectRef(
        api_version,
        kind,
        namespace if isinstance(namespace, str) and namespace else None,
        name if isinstance(name, str) else "",
    )


def render(value: dict[str, Any]) -> tuple[str, array[int]]:
    """An object as YAML, and the offsets of its nodes as a :class:`kubeassay.model.SpanTable` has them. Raises
    ValueError for one that is nested too deep."""
    page = _Page()
    page.nodes.extend((0, 0, 0, 0))
    page.mapping(value, 0, 0, started=False)
    text = "".join(page.parts)
    page.nodes[3] = len(text)
    return text, page.nodes


class _Page:
    __slots__ = ("length", "nodes", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0
        self.nodes: array[int] = array("I")

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def mapping(self, value: dict[str, Any], indent: int, depth: int, *, started: bool) -> None:
        """``started``: the first key stands behind the dash of a list."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        margin = " " * indent
        for key, child in value.items():
            if not started:
                self.write(margin)
            started = False
            start = self.length
            self.write(_scalar(key))
            end = self.length
            self.write(":")
            self.value(child, indent, depth, start, end)

    def value(self, child: Any, indent: int, depth: int, key_start: int, key_end: int) -> None:
        """A value behind its key, and the end of its line."""
        number = len(self.nodes)
        if isinstance(child, dict) and child:
            self.write("\n")
            self.nodes.extend((key_start, key_end, self.length + indent + 2, 0))
            self.mapping(child, indent + 2, depth + 1, started=False)
            self.nodes[number + 3] = self.length
        elif isinstance(child, list) and child:
            self.write("\n")
            self.nodes.extend((key_start, key_end, self.length + indent, 0))
            self.sequence(child, indent, depth + 1)
            self.nodes[number + 3] = self.length
        else:
            self.write(" ")
            start = self.length
            self.write(_scalar(child))
            self.nodes.extend((key_start, key_end, start, self.length))
            self.write("\n")

    def sequence(self, members: list[Any], indent: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        margin = " " * indent
        for member in members:
            self.write(f"{margin}- ")
            start = self.length
            number = len(self.nodes)
            if isinstance(member, dict) and member:
                self.nodes.extend((start, start, start, 0))
                self.mapping(member, indent + 2, depth + 1, started=True)
                self.nodes[number + 3] = self.length
            else:
                # A list in a list is rare, and written as JSON: its members have the place of the whole.
                self.write(_scalar(member))
                end = self.length
                self.nodes.extend((start, start, start, end))
                self.write("\n")
                if isinstance(member, list):
                    self.all_at(member, start, end, depth + 1)

    def all_at(self, value: Any, start: int, end: int, depth: int) -> None:
        """The members of a list that stands on one line."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
        for member in members:
            self.nodes.extend((start, end if isinstance(value, dict) else start, start, end))
            self.all_at(member, start, end, depth + 1)


#: What ends a line for some reader, what YAML does not allow, and half of a pair: as escapes.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _NOT_TEXT:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
