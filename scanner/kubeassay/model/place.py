"""Places: where in a file a key or a value stands.

Lines and columns are counted from 1. A line ends at LF, CRLF or CR, as editors, SARIF and GitHub count (libyaml also
ends one at NEL, LS and PS, which they do not). Columns count UTF-16 code units (SARIF ``columnKind: utf16CodeUnits``).
The end of a region is exclusive.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

#: Steps from the root of an object: a str is a mapping key, an int a list index (from 0).
Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*\Z")


def format_path(path: Path) -> str:
    """Write a path as ``spec.containers[0].image``; a key with other characters as ``metadata.labels["a/b"]``."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN_KEY.match(step):
            parts.append(f".{step}" if parts else step)
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{escaped}"]')
    return "".join(parts)


class Every(NamedTuple):
    """``[*]``: every item of a list."""


class Having(NamedTuple):
    """``[name=app]``: the items of a list that have it."""

    key: str
    value: str


#: A step of a path that may mean several items.
Step = str | int | Every | Having

_STEP = r"\.?(?P<key>[^.\[\]\"]+)|\[(?P<index>[0-9]+)\]|\[\"(?P<quoted>(?:[^\"\\]|\\.)*)\"\]"
_PATH = re.compile(_STEP)
_PATTERN = re.compile(rf"{_STEP}|\[(?P<every>\*)\]|\[(?P<item>[A-Za-z][A-Za-z0-9]*)=(?P<wanted>[^\]]+)\]")


def parse_path(text: str) -> Path:
    """Read what :func:`format_path` writes. Raises ValueError on anything else."""
    return tuple(_step(match) for match in _steps(_PATH, text))


def parse_pattern(text: str) -> tuple[Step, ...]:
    """Read a path of which steps may mean several items of a list. Raises ValueError on anything else."""
    return tuple(
        Every() if match["every"] else Having(match["item"], match["wanted"]) if match["item"] else _step(match)
        for match in _steps(_PATTERN, text)
    )


def _steps(grammar: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        match = grammar.match(text, position)
        if match is None:
            raise ValueError(f"not a field path: {text!r} (at character {position + 1})")
        yield match
        position = match.end()


def _step(match: re.Match[str]) -> str | int:
    if match["index"] is not None:
        return int(match["index"])
    return match["key"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A region of a file. ``file`` is relative to where the scan was started, with ``/`` between its parts."""

    file: str
    start_line: int
    start_column: int
    end_line: int
    end_column: int


class OffsetSource(Protocol):
    """Where a :class:`SpanTable` has its offsets from while they are not in one array."""

    def at(self, number: int) -> tuple[int, int, int, int]:
        """Key start, key end, value start, value end of one node."""

    def all(self) -> array[int]:
        """Those of all nodes, one after the other."""


class SpanTable:
    """The spans of every key and value of one document, and the lines of its file: compact, and cheap to send to
    another process.

    ``offsets`` holds four character offsets a node (key start, key end, value start, value end), nodes in pre-order of
    the value tree *as built*: a mapping's entries in the order of its dict, each followed by its own descendants. A
    node without a key (the root, a list item) repeats its value's start as both ends of the key. A value that came
    through an alias or a merge has the span of the text that defines it.

    ``line_starts`` are the offsets at which the file's lines begin; ``astral`` those of its characters beyond the
    Basic Multilingual Plane, which take two UTF-16 units.
    """

    __slots__ = ("_children", "_offsets", "_sizes", "_source", "astral", "file", "line_starts")

    def __init__(
        self, file: str, offsets: array[int] | OffsetSource, line_starts: array[int], astral: array[int]
    ) -> None:
        """``offsets`` may be a source of them: most documents have no finding and never need any."""
        self.file = file
        self._offsets = offsets if isinstance(offsets, array) else None
        self._source = None if isinstance(offsets, array) else offsets
        self.line_starts = line_starts
        self.astral = astral
        #: id of a collection → how many nodes it has, itself included.
        self._sizes: dict[int, int] = {}
        #: id of a collection → how many nodes after it each of its members stands, for those that were asked for.
        self._children: dict[int, dict[str | int, int]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (SpanTable, (self.file, self.offsets, self.line_starts, self.astral))

    @property
    def offsets(self) -> array[int]:
        """Four character offsets a node, as the class describes."""
        if self._offsets is None:
            assert self._source is not None
            self._offsets = self._source.all()
            self._source = None
        return self._offsets

    def _at(self, number: int) -> tuple[int, int, int, int]:
        """The four offsets of one node."""
        if self._source is not None:
            return self._source.at(number)
        key_start, key_end, value_start, value_end = self.offsets[4 * number : 4 * number + 4]
        return key_start, key_end, value_start, value_end

    def position(self, offset: int) -> tuple[int, int]:
        """The (line, column) of a character offset."""
        line = bisect_right(self.line_starts, offset)
        start = self.line_starts[line - 1]
        column = offset - start + 1
        if self.astral:
            column += bisect_left(self.astral, offset) - bisect_left(self.astral, start)
        return line, column

    def offset(self, line: int, column: int) -> int:
        """The character offset of a (line, column)."""
        begin = self.line_starts[line - 1]
        units = column - 1
        if not self.astral:
            return begin + units
        first = bisect_left(self.astral, begin)
        # Each character beyond the Basic Multilingual Plane in front of the column takes a unit more.
        more = bisect_left(
            range(first, len(self.astral)), units, key=lambda number: self.astral[number] - begin + (number - first)
        )
        return begin + units - more

    def region(self, start: int, end: int) -> Location:
        """The location of the characters from ``start`` up to ``end``."""
        start_line, start_column = self.position(start)
        end_line, end_column = self.position(end)
        return Location(self.file, start_line, start_column, end_line, end_column)

    def index(self, root: Any, path: Path) -> int | None:
        """The number of the node at ``path`` of the value tree ``root``, or None where there is none."""
        number = 0
        value: Any = root
        for step in path:
            children = self._children.get(id(value))
            if children is None:
                if not isinstance(value, dict) and not isinstance(value, list):
                    return None
                children = self._children[id(value)] = self._numbered(value)
            after = children.get(step)
            if after is None:
                return None
            number += after
            value = value[step]
        return number

    def _numbered(self, collection: dict[str, Any] | list[Any]) -> dict[str | int, int]:
        children: dict[str | int, int] = {}
        number = 1
        for step, child in collection.items() if isinstance(collection, dict) else enumerate(collection):
            children[step] = number
            number += self._size(child) if isinstance(child, dict | list) else 1
        return children

    def _size(self, collection: dict[str, Any] | list[Any]) -> int:
        size = self._sizes.get(id(collection))
        if size is None:
            size = 1 + len(collection)
            for child in collection.values() if isinstance(collection, dict) else collection:
                if isinstance(child, dict | list) and child:
                    size += self._size(child) - 1
            self._sizes[id(collection)] = size
        return size

    def key_span(self, root: Any, path: Path) -> tuple[int, int] | None:
        """The offsets of the key that leads to ``path``; None for a list item, the root or a missing path."""
        number = self.index(root, path)
        if number is None or not path or isinstance(path[-1], int):
            return None
        return self._at(number)[:2]

    def value_span(self, root: Any, path: Path) -> tuple[int, int] | None:
        """The offsets of the value at ``path``; None for a missing path."""
        number = self.index(root, path)
        return None if number is None else self._at(number)[2:]

    def locate(self, root: Any, path: Path, *, key: bool = False) -> Location:
        """Where a finding about ``path`` points: one line wherever that is possible.

        A scalar that stands on one line: the scalar (or, with ``key``, its key). A mapping, a list or a scalar of
        several lines: its key; a list item, its first key. A path that does not exist: the nearest existing parent, by
        the same rules.
        """
        parent = path
        while self.index(root, parent) is None:
            parent = parent[:-1]
        if parent != path:
            return self._locate_key(root, parent)
        number = self.index(root, path)
        assert number is not None
        _, _, value_start, value_end = self._at(number)
        value: Any = root
        for step in path:
            value = value[step]
        if not key and not isinstance(value, dict | list) and value_end > value_start:
            location = self.region(value_start, value_end)
            if location.start_line == location.end_line:
                return location
        return self._locate_key(root, path)

    def _locate_key(self, root: Any, path: Path) -> Location:
        while True:
            number = self.index(root, path)
            assert number is not None
            key_start, key_end, value_start, value_end = self._at(number)
            if key_end > key_start:
                break
            value: Any = root
            for step in path:
                value = value[step]
            if isinstance(value, dict) and value:
                path = (*path, next(iter(value)))
            elif isinstance(value, list) and value:
                path = (*path, 0)
            else:
                key_start, key_end = value_start, max(value_end, value_start + 1)
                break
        location = self.region(key_start, key_end)
        if location.end_line > location.start_line:
            # A key or an empty value that runs over lines: keep to the first, for GitHub annotates whole regions.
            next_line = self.line_starts[location.start_line]
            return self.region(key_start, max(key_start, next_line - 1))
        return location
