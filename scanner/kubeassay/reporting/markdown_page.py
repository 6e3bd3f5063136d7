"""A page of Markdown within a number of bytes, and texts that mean nothing to Markdown.

Texts of manifests stand in table cells and summaries only, with every character that means something in Markdown or
HTML written as an entity, so that none is a link, a picture, a mention or the end of an element.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kubeassay.model import Location
from kubeassay.reporting.texts import printable, shorten, uri_of

CELL_LIMIT = 400
#: The texts of a rule are what a reader goes by.
RULE_LIMIT = 2_000

#: Characters that could begin or end something in Markdown, written as entities.
ENTITIES = {ord(character): f"&#{ord(character)};" for character in "\\`*_[]|~{}!"}
#: What GitHub makes links and mentions of, split by an element, since entities do not keep it from that.
_CODE = re.compile(r"&#96;(.+?)&#96;")
_SPLIT = re.compile(r"(?<=:)//|(?<=www)\.|[@#]", re.IGNORECASE)


@dataclass(slots=True)
class Page:
    """Lines within a number of bytes, and how many rows did not fit, by what they are."""

    room: int
    lines: list[str] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)

    def table(
        self,
        what: str,
        opening: Sequence[str],
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        closing: str = "",
        *,
        most: int | None = None,
    ) -> None:
        """A table with what stands before and after it, or as much of it as there is room for."""
        written = [*opening, "", row(head), row(["---"] * len(head))]
        ending = ["", closing, ""] if closing else [""]
        room = self.room - size(written) - size(ending) - 200
        if most is not None:
            room = min(room, most)
        missing, some = 0, False
        for cells in rows:
            line = row(cells)
            room -= size([line])
            if missing or room < 0:
                missing += 1
            else:
                written.append(line)
                some = True
        if missing:
            self.left[what] = self.left.get(what, 0) + missing
            if some:
                written += ["", f"**… and {missing:,} more.**"]
        if some:
            written += ending
            self.lines += written
            self.room -= size(written)


def size(lines: Iterable[str]) -> int:
    return sum(len(line.encode("utf-8")) + 1 for line in lines)


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def details(summary: str) -> list[str]:
    """The beginning of what is folded away."""
    return ["<details>", f"<summary>{plain(summary)}</summary>"]


def plain(text: str, limit: int = CELL_LIMIT) -> str:
    """A text that means nothing to Markdown, on one line."""
    line = html.escape(shorten(printable(" ".join(text.split())), limit), quote=False)
    escaped = line.translate(ENTITIES)
    # Entities have a number sign of their own.
    return "&#".join(_SPLIT.sub(r"<span>\g<0></span>", part) for part in escaped.split("&#"))


def prose(text: str) -> str:
    """A text of a rule, which is written in Markdown, of which code alone is kept."""
    return _CODE.sub(r"<code>\1</code>", plain(text, RULE_LIMIT))


def link(place: Location, link_base: str) -> str:
    """A place as a link to its line."""
    shown = f"<code>{plain(place.file)}:{place.start_line}</code>"
    if not place.file.strip():
        return shown
    target = html.escape(f"{link_base}{uri_of(place.file)}#L{place.start_line}")
    return f'<a href="{target.translate(ENTITIES)}">{shown}</a>'
