"""Objects that came from an API server: their places are in a canonical text of them.

An object of a cluster stands in no file. Its value is written as YAML, one scalar a line, keys in the order in which
the API server sends them, so that a finding has a line, and the excerpt of it is what people know from ``kubectl get
-o yaml``. The text is a function of the object alone.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable
from sys import intern
from typing import Any

from kubeassay.model import Object, ObjectRef, ReadError, SpanTable

#: Texts that a reader of YAML takes for the same text when they stand without quotes.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
_NOT_TEXT = frozenset({"y", "yes", "n", "no", "on", "off", "true", "false", "null"})
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_MAX_DEPTH = 200
#: Texts that many objects have in common are about as long: what is longer is mostly of one object.
_SHORT = 24
#: How a snapshot of a cluster begins (sources/snapshot.py).
SNAPSHOT_HEADER = b'{"apiVersion":"kubeassay.dev/v1","kind":"Snapshot"'


class _Rendered:
    """The text of an object, written when somebody asks for it: most objects have no finding."""

    __slots__ = ("_astral", "_lines", "_nodes", "_text", "_value")

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value
        self._text: str | None = None
        self._nodes: array[int] | None = None
        self._lines: array[int] | None = None
        self._astral: array[int] | None = None

    def text(self) -> str:
        if self._text is None:
            self._text, self._nodes = render(self._value)
        return self._text

    def nodes(self) -> array[int]:
        self.text()
        assert self._nodes is not None
        return self._nodes

    def lines(self) -> array[int]:
        if self._lines is None:
            text = self.text()
            self._lines = array("I", (0,))
            position = text.find("\n")
            while position != -1:
                self._lines.append(position + 1)
                position = text.find("\n", position + 1)
        return self._lines

    def astral(self) -> array[int]:
        if self._astral is None:
            text = self.text()
            found = () if text.isascii() else (match.start() for match in _ASTRAL.finditer(text))
            self._astral = array("I", found)
        return self._astral


class _Spans(SpanTable):
    """Spans in a text that is not written yet."""

    __slots__ = ("_rendered",)

    def __init__(self, file: str, rendered: _Rendered) -> None:
        super().__init__(file, _NO_NODES, _NO_NODES, _NO_NODES)
        self._rendered = rendered

    @property
    def offsets(self) -> array[int]:
        return self._rendered.nodes()

    @property
    def line_starts(self) -> array[int]:
        return self._rendered.lines()

    @line_starts.setter
    def line_starts(self, _: array[int]) -> None:
        """What the base sets is not known yet."""

    @property
    def astral(self) -> array[int]:
        return self._rendered.astral()

    @astral.setter
    def astral(self, _: array[int]) -> None:
        """As above."""


_NO_NODES: array[int] = array("I")


def read_live(content: bytes, name: str) -> tuple[Callable[[], str], list[Object], list[ReadError]]:
    """What writes the text of an object (``content``: its JSON), and the object with its places in it."""
    try:
        value = json.loads(content)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        value = _shared_mapping(value, _MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        return str, [], [ReadError(name, f"cannot be read: {error}")]
    ref = _ref(value)
    if ref is None:
        return str, [], [ReadError(name, "an object without apiVersion and kind")]
    rendered = _Rendered(value)
    return rendered.text, [Object(ref, value, _Spans(name, rendered), value)], []


def _shared_mapping(value: dict[str, Any], depth: int) -> dict[str, Any]:
    """The same value, with its keys and short texts in common with all other objects: most of a cluster's objects are
    kept, and say the same. Raises ValueError where it is nested deeper than so many levels."""
    if depth < 0:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    shared: dict[str, Any] = {}
    for key, child in value.items():
        of = child.__class__
        if of is str:
            if len(child) <= _SHORT:
                child = intern(child)
        elif of is dict:
            child = _shared_mapping(child, depth - 1)
        elif of is list:
            child = _shared_list(child, depth - 1)
        shared[intern(key)] = child
    return shared


def _shared_list(members: list[Any], depth: int) -> list[Any]:
    if depth < 0:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    for number, child in enumerate(members):
        of = child.__class__
        if of is dict:
            members[number] = _shared_mapping(child, depth - 1)
        elif of is list:
            members[number] = _shared_list(child, depth - 1)
        elif of is str and len(child) <= _SHORT:
            members[number] = intern(child)
    return members


def without_places(content: bytes, name: str) -> Object | None:
    """The object alone; None for what cannot be read."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    ref = _ref(value) if isinstance(value, dict) else None
    if ref is None:
        return None
    return Object.without_document(ref, value, name, (), 0)


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
    """An object as YAML, and the offsets of its nodes as a :class:`kubeassay.model.SpanTable` has them."""
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
