"""What a caller may ask of a report, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass

from kubeassay.model import Outcome


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """Choices that change a report but not the result behind it. Each format reads those that concern it."""

    #: ANSI colours (terminal).
    colour: bool = False
    #: Columns to wrap text at (terminal).
    width: int = 100
    #: The summary alone (terminal).
    quiet: bool = False
    #: Which findings to list (terminal, html). A result holds passing and not-evaluated ones only where asked to.
    show: frozenset[Outcome] = frozenset({"fail", "excepted"})
    #: GitHub's category of the analysis; None: ``kubeassay/<profile>``.
    sarif_category: str | None = None
    #: Write as many documents as the limit of results a run needs, instead of keeping the most severe.
    sarif_split: bool = False
    #: Keep excepted findings, as suppressed results. For archives and other readers than GitHub, which would show them
    #: as open alerts.
    sarif_archive: bool = False
    #: When the run was, in seconds since 1970 (UTC). None: reports hold no time (oscal needs one, and says that
    #: it has none).
    time: int | None = None
    #: What was not judged was accepted beforehand: it is told, but is no failure (junit, github).
    allow_incomplete: bool = False
    #: What links to files begin with (markdown); empty: links are relative.
    link_base: str = ""
    #: Keep the maps of the result (json), so that it can be rendered to a page with maps later.
    pictures: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A finished report. ``documents`` has one entry, more only for a split SARIF; ``warnings`` are for stderr."""

    documents: tuple[bytes, ...]
    warnings: tuple[str, ...] = ()
