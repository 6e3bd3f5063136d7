"""Pictures for reports: what the analyses of everything at once found, as plain texts. Each has its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What of the ways between two ends is open: all, some ports, or it is not known.
WayState = Literal["all", "some", "not-known"]


@dataclass(frozen=True, slots=True)
class Way:
    """What is open from one end to another. ``text`` says it in words."""

    source: str
    target: str
    state: WayState
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar. ``kind`` is a word for colours; ``size`` is in thousandths of the bar's whole."""

    kind: str
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, of parts that may together be more than its whole."""

    label: str
    text: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and its table. What is drawn is a map of ``ways`` between ``ends``, or ``paths`` of boxes, or
    ``bars``; what none of them has is a table alone."""

    #: A word for programs: ``connectivity``, ``escalations``, ``mesh``, ``quota``.
    id: str
    title: str
    #: What it shows, for people.
    lead: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ends: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    bars: tuple[Bar, ...] = ()
    #: What is left out, or not known.
    notes: tuple[str, ...] = ()
    #: Why there is no such picture; empty where there is.
    absent: str = ""
