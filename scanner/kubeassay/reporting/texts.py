"""Text as the reports show it: harmless wherever it came from, and short enough."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes

_NO_COMMAND = r"#\x23["


def printable(text: str) -> str:
    """``text`` on one line, with every character that could steer a terminal or hide text written as its code.

    Manifests come from anywhere: names and values may hold escape sequences, line endings or the controls of
    bidirectional text. None of these is printable in the sense of ``str.isprintable``. ``##[`` begins a command of
    GitHub Actions wherever it stands (:func:`inert`).
    """
    if text.isprintable():
        return text.replace("##[", _NO_COMMAND) if "##[" in text else text
    line = "".join(character if character.isprintable() else _code(character) for character in text)
    return line.replace("##[", _NO_COMMAND)


def printable_lines(text: str) -> str:
    """As :func:`printable`, each line by itself."""
    return "\n".join(map(printable, text.split("\n")))


def _code(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character) == "Zs":
        return " "
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def printable_in_place(text: str) -> str:
    """As :func:`printable`, but one character for one, so that offsets into the text hold."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else " "
        if character == "\t" or unicodedata.category(character) == "Zs"
        else "\ufffd"
        for character in text
    )


def inert(line: str) -> str:
    """A printable line that no runner of GitHub Actions takes for a command.

    It takes those that begin with ``::`` after blanks, and those that have ``##[`` anywhere (actions/runner,
    src/Runner.Common/ActionCommand.cs), in whatever a step prints: a file may have such a name.
    """
    if line.lstrip().startswith("::"):
        line = line.replace("::", r"\x3a:", 1)
    return line.replace("##[", _NO_COMMAND)


def inert_json(document: bytes) -> bytes:
    """The same JSON without ``##[``, which can only stand in its strings."""
    return document.replace(b"##[", rb"#\u0023[")


def columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes; an estimate for scripts whose letters combine."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table: its columns aligned, two blanks between them, the last one as long as it is."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(columns, cells)) for cells in list(zip(*shown, strict=True))[:-1]]
    for row in shown:
        padded = (cell + " " * (width - columns(cell)) for cell, width in zip(row, [*widths, 0], strict=True))
        yield inert("  ".join(padded).rstrip())


def shorten(text: str, limit: int) -> str:
    """``text`` cut to at most ``limit`` characters, at a word and with an ellipsis where it was cut."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > limit // 2 else cut).rstrip() + "…"


def plural(number: int, noun: str, several: str | None = None) -> str:
    """``1 finding``, ``2 findings``; with ``several``, ``2 entries``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {several or noun + 's'}"


def uri_of(file: str) -> str:
    """``file`` as a relative URI reference: percent-encoded, never empty, never with a scheme or a leading slash."""
    try:
        octets = file.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = file.encode("utf-8", "replace")
    return quote_from_bytes(octets.lstrip(b"/"), safe="/") or "unknown"


def utc(seconds: int) -> str:
    """Seconds since 1970 as ``2026-11-25T01:17:04Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
