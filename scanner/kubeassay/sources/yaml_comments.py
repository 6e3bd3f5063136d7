"""Comments of YAML texts that say something to a program, with the lines that they are about.

A parser gives no comments, so they are looked for by what they begin with; what stands in a scalar (a quoted string, a
block of text) is none. Nearly no text holds any: one without costs a search.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml._yaml import CParser

from kubeassay.model import Location, SpanTable
from kubeassay.sources.yaml_reader import astral_of, lines_of

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Comment:
    """``text``: what follows the ``#``, without spaces around it. ``about``: the line that it is about: its own, where
    something stands in front of it; else the one below it and the comments that follow it; None where that is blank or
    there is none."""

    text: str
    location: Location
    about: int | None


def comments(text: str, file: str, marker: re.Pattern[str]) -> list[Comment]:
    """The comments of a text whose content ``marker`` matches at its start, in their order.

    ``marker`` is searched for after a ``#`` and spaces. A document that cannot be read has none behind its error.
    """
    starts = [match.start() for match in re.finditer(r"#[ \t]*" + marker.pattern, text)]
    starts = [start for start in starts if start == 0 or text[start - 1] in " \t\r\n"]
    if not starts:
        return []
    lines = lines_of(text)
    spans = SpanTable(file, array("I"), lines, astral_of(text))
    found: list[Comment] = []
    about: dict[int, int | None] = {}
    # From the last on: what the next line is about is known then, however many comments follow each other.
    for start in reversed(list(_outside_scalars(text, starts))):
        number = bisect_right(lines, start)
        alone = not text[lines[number - 1] : start].strip()
        end = start + len(_line(text, lines, number, start).rstrip())
        found.append(
            Comment(
                text[start + 1 : end].strip(),
                spans.region(start, end),
                _below(text, lines, number, about) if alone else number,
            )
        )
    return found[::-1]


def _line(text: str, lines: array[int], number: int, start: int | None = None) -> str:
    """A line, from an offset in it on."""
    return text[lines[number - 1] if start is None else start : lines[number] if number < len(lines) else len(text)]


def _below(text: str, lines: array[int], number: int, known: dict[int, int | None]) -> int | None:
    """The first line below a line that is no comment; None where that is blank, or there is none. ``known``: the same
    for lines that were asked for or passed."""
    passed = [number]
    found: int | None = None
    for below in range(number + 1, len(lines) + 1):
        if below in known:
            found = known[below]
            break
        line = _line(text, lines, below).strip()
        if not line.startswith("#"):
            found = below if line else None
            break
        passed.append(below)
    known.update(dict.fromkeys(passed, found))
    return found


def _outside_scalars(text: str, starts: list[int]) -> Iterator[int]:
    """Those of the offsets that are in no scalar. Documents are texts of their own, as the reader has it."""
    documents = sorted({0, *(match.start() for match in _SEPARATOR.finditer(text))})
    for begin, end in zip(documents, [*documents[1:], len(text)], strict=True):
        within = starts[bisect_left(starts, begin) : bisect_left(starts, end)]
        if within:
            scalars, known = _scalars(text[begin:end])
            for start in within:
                before = bisect_right(scalars, (start - begin, len(text))) - 1
                if start - begin < known and (before < 0 or scalars[before][1] <= start - begin):
                    yield start


def _scalars(text: str) -> tuple[list[tuple[int, int]], int]:
    """The spans of the scalars of a text, and how far it could be read."""
    found: list[tuple[int, int]] = []
    read = 0
    parser = CParser(text)
    try:
        while parser.check_event():
            event: Any = parser.get_event()
            end: Any = event.end_mark
            read = end.index
            if isinstance(event, yaml.ScalarEvent):
                start: Any = event.start_mark
                first = start.index
                if event.style in ("|", ">"):
                    # Behind the indicator, on its line, a comment may stand.
                    first = next((i for i in range(first, read) if text[i] in "\r\n"), read)
                found.append((first, read))
    except yaml.YAMLError:
        return found, read
    finally:
        parser.dispose()
    return found, len(text)
