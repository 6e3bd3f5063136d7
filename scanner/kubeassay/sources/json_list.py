"""Decoding the JSON of a list, one member at a time: all members decoded take many times the memory of their text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_BLANKS = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


def read_members(body: bytes, take: Callable[[Any], object]) -> tuple[Any, int | None]:
    """Give each member of the list ``items`` of a JSON object to ``take``, in order. Returned are what else is in the
    object, and how many members there were: None where there is no such list. What is no object is returned as it is.

    Raises ValueError and RecursionError for what is no JSON: some members may have been given by then.
    """
    text = body.decode("utf-8", "surrogatepass")
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "{":
        return json.loads(text), None
    rest: dict[str, Any] = {}
    count = None
    begun = False
    at = _after_blanks(text, at + 1)
    while text[at : at + 1] != "}":
        if begun:
            at = _after(text, at, ",")
        begun = True
        key, at = _decode(text, at)
        if not isinstance(key, str):
            raise ValueError("a key is no text")
        at = _after(text, at, ":")
        if key == "items" and (count is not None or key in rest):
            raise ValueError("items stands twice")
        if key == "items" and text[at : at + 1] == "[":
            count, at = _members(text, at, take)
        else:
            rest[key], at = _decode(text, at)
        at = _after_blanks(text, at)
    if _after_blanks(text, at + 1) != len(text):
        raise ValueError("something stands behind the object")
    return rest, count


def _members(text: str, at: int, take: Callable[[Any], object]) -> tuple[int, int]:
    """How many there are, and where the list ends."""
    count = 0
    at = _after_blanks(text, at + 1)
    while text[at : at + 1] != "]":
        if count:
            at = _after(text, at, ",")
        member, at = _decode(text, at)
        take(member)
        count += 1
        at = _after_blanks(text, at)
    return count, at + 1


def _after(text: str, at: int, mark: str) -> int:
    """Behind a mark, and the blanks before and after it."""
    at = _after_blanks(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"{mark} is missing")
    return _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found is not None else at
