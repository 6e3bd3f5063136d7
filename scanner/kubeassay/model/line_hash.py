"""GitHub's ``primaryLocationLineHash``: what identifies the line of an alert over commits.

Follows src/fingerprints.ts of github/codeql-action at 0225834cc549: a polynomial hash, modulo 2**64 with the multiplier
37, of the 100 UTF-16 code units that begin at the line's start. Spaces and tabs do not count, every line ending is one
LF, the end of the file is the unit 65535 and zeros follow it. Where several lines of a file have the same hash, their
number in file order tells them apart.

GitHub computes the same value from the checked-out file and warns where a scanner's differs, so it must not be
approximate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import mul

_WINDOW = 100
_MASK = (1 << 64) - 1
#: The weight of each unit of a window, first to last.
_WEIGHTS = tuple(pow(37, _WINDOW - 1 - place, 1 << 64) for place in range(_WINDOW))
_END = "\uffff" + "\0" * (_WINDOW - 1)
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def primary_location_line_hashes(text: str, lines: Iterable[int]) -> dict[int, str]:
    """The ``primaryLocationLineHash`` of each of ``lines`` that ``text`` has, as ``<hex of the hash>:<occurrence>``.

    ``text`` is the whole file as decoded from UTF-8, with its byte order mark if it has one. Lines count from 1 and end
    at LF, CRLF or CR; the end of the file is a line of its own where it follows a line ending, as GitHub counts. A
    number below 1 or beyond the last line is left out.
    """
    wanted = sorted({line for line in lines if line > 0})
    if not wanted:
        return {}
    units = _units(text)
    found: dict[int, str] = {}
    # Equal windows have equal hashes, so the occurrences are counted on the text itself, which is far cheaper than
    # hashing every line. (Two different windows of 100 units with one hash are not to be expected in 64 bits.)
    seen: dict[str, int] = {}
    end_of_file = len(units) - _WINDOW
    start = 0
    line = 1
    for target in wanted:
        while line < target:
            window = units[start : start + _WINDOW]
            seen[window] = seen.get(window, 0) + 1
            start = units.find("\n", start, end_of_file) + 1
            if start == 0:
                return found
            line += 1
        window = units[start : start + _WINDOW]
        number = sum(map(mul, map(ord, window), _WEIGHTS)) & _MASK
        found[target] = f"{number:x}:{seen.get(window, 0) + 1}"
    return found


def _units(text: str) -> str:
    """The text as GitHub's hash reads it, one character a UTF-16 code unit, with the end of the file."""
    if "\r" in text:
        # Before blanks go: a CR and an LF with a blank between them are two line endings.
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text.encode("ascii").translate(None, b" \t").decode("ascii") + _END
    return _ASTRAL.sub(_surrogates, text.replace(" ", "").replace("\t", "")) + _END


def _surrogates(match: re.Match[str]) -> str:
    code = ord(match[0]) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))
