"""Places: where in a file a key or a value stands.

Lines and columns are counted from 1. A line ends at LF, CRLF or CR, as editors, SARIF and GitHub count (libyaml also
ends one at NEL, LS and PS, which they do not). Columns count UTF-16 code units (SARIF ``columnKind: utf16CodeUnits``).
The end of a region is exclusive.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


_STEP = re.compile(r"\.?(?P<key>[^.\[\]\"]+)|\[(?P<index>[0-9]+)\]|\[\"(?P<quoted>(?:[^\"\\]|\\.)*)\"\]")


def parse_path(text: str) -> Path:
    """Read what :func:`format_path` writes. Raises ValueError on anything else."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(f"not a field path: {text!r} (at character {position + 1})")
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", match["quoted"]))
        else:
            steps.append(match["key"])
        position = match.end()
    return tuple(steps)


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A region of a file. ``file`` is relative to where the scan was started, with ``/`` between its parts."""

    file: str
    start_line: int
    start_column: int
    end_line: int
    end_column: int


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

    __slots__ = ("_indices", "_make_offsets", "_offsets", "astral", "file", "line_starts")

    def __init__(
        self,
        file: str,
        offsets: array[int] | Callable[[], array[int]],
        line_starts: array[int],
        astral: array[int],
    ) -> None:
        """``offsets`` may be a function that makes them: most documents have no finding and never need them."""
        self.file = file
        self._offsets = None if callable(offsets) else offsets
        self._make_offsets = offsets if callable(offsets) else None
        self.line_starts = line_starts
        self.astral = astral
        self._indices: dict[Path, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (SpanTable, (self.file, self.offsets, self.line_starts, self.astral))

    @property
    def offsets(self) -> array[int]:
        """Four character offsets a node, as the class describes."""
        if self._offsets is None:
            assert self._make_offsets is not None
            self._offsets = self._make_offsets()
            self._make_offsets = None
        return self._offsets

    def position(self, offset: int) -> tuple[int, int]:
        """The (line, column) of a character offset."""
        line = bisect_right(self.line_starts, offset)
        start = self.line_starts[line - 1]
        column = offset - start + 1
        if self.astral:
            column += bisect_left(self.astral, offset) - bisect_left(self.astral, start)
        return line, column

    def region(self, start: int, end: int) -> Location:
        """The location of the characters from ``start`` up to ``end``."""
        start_line, start_column = self.position(start)
        end_line, end_column = self.position(end)
        return Location(self.file, start_line, start_column, end_line, end_column)

    def index(self, root: Any, path: Path) -> int | None:
        """The number of the node at ``path`` of the value tree ``root``, or None where there is none."""
        if self._indices is None:
            indices: dict[Path, int] = {(): 0}
            if isinstance(root, dict | list):
                _number(root, (), indices)
            self._indices = indices
        return self._indices.get(path)

    def key_span(self, root: Any, path: Path) -> tuple[int, int] | None:
        """The offsets of the key that leads to ``path``; None for a list item, the root or a missing path."""
        number = self.index(root, path)
        if number is None or not path or isinstance(path[-1], int):
            return None
        return self.offsets[4 * number], self.offsets[4 * number + 1]

    def value_span(self, root: Any, path: Path) -> tuple[int, int] | None:
        """The offsets of the value at ``path``; None for a missing path."""
        number = self.index(root, path)
        if number is None:
            return None
        return self.offsets[4 * number + 2], self.offsets[4 * number + 3]

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
        value_start, value_end = self.offsets[4 * number + 2], self.offsets[4 * number + 3]
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
            key_start, key_end, value_start, value_end = self.offsets[4 * number : 4 * number + 4]
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


def _number(value: Any, path: Path, indices: dict[Path, int]) -> None:
    """Give every node below ``value`` its number in pre-order."""
    for step, child in value.items() if isinstance(value, dict) else enumerate(value):
        child_path = (*path, step)
        indices[child_path] = len(indices)
        if child and isinstance(child, dict | list):
            _number(child, child_path, indices)
