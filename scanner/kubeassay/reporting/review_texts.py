"""What reports say alike of the review of a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kubeassay.model import Cause, PathChange, Review, Unseen
from kubeassay.model.review import Change
from kubeassay.reporting.texts import plural

#: So many ends of ways are named.
_ENDS = 8


def counted_changes(review: Review) -> list[str]:
    """What the change does, in counts: what it opens and grants first. Empty where it does nothing."""
    counts: list[tuple[int, str, str]] = []
    kinds = [path.change for path in review.paths]
    counts.append((kinds.count("opened"), "network path opened", "network paths opened"))
    for word in ("added", "removed"):
        number = sum(one.change == word for one in review.workloads)
        counts.append((number, f"workload {word}", f"workloads {word}"))
    counts.append((_of(review.permissions, "gained"), "grant gained", "grants gained"))
    counts.append((_of(review.escalations, "opened"), "escalation opened", "escalations opened"))
    counts.append((_of(review.exposures, "opened"), "exposure opened", "exposures opened"))
    for word in ("weaker", "other", "stronger"):
        number = sum(one.direction == word for one in review.settings)
        name = {"weaker": "weakened", "other": "changed", "stronger": "strengthened"}[word]
        counts.append((number, f"protection {name}", f"protections {name}"))
    counts.append((kinds.count("closed"), "network path closed", "network paths closed"))
    counts.append((_of(review.permissions, "lost"), "grant lost", "grants lost"))
    counts.append((_of(review.escalations, "closed"), "escalation closed", "escalations closed"))
    counts.append((_of(review.exposures, "closed"), "exposure closed", "exposures closed"))
    unsure = kinds.count("uncertain") + kinds.count("certain")
    counts.append((unsure, "network path not evaluated on one side", "network paths not evaluated on one side"))
    return [plural(number, noun, several) for number, noun, several in counts if number]


def _of(changes: Iterable[object], word: str) -> int:
    return sum(getattr(one, "change", "") == word for one in changes)


def ends(names: Sequence[str]) -> list[str]:
    """The ends of ways, not too many."""
    more = len(names) - _ENDS
    return [*names[:_ENDS], *([f"and {more:,} more"] if more > 0 else [])]


def states(path: PathChange) -> str:
    """``closed → not evaluated``."""
    return " → ".join(state.replace("-", " ") for state in (path.was, path.now))


def cause_words(cause: Cause) -> str:
    """What does it, without its place; of the side before it is told that it was so."""
    return f"before: {cause.text}" if cause.side == "before" else cause.text


def scope(namespace: str | None) -> str:
    return "whole cluster" if namespace is None else f"namespace {namespace}"


def only_there(one: Change) -> str:
    """``only in production, staging``; empty for what all environments have, or where there is but one."""
    return f"only in {', '.join(one.environments)}" if one.environments else ""


def unseen_by_text(unseen: Iterable[Unseen]) -> Iterator[tuple[str, str, bool]]:
    """Side (``both`` where both say the same), text, and whether it was not read: what was not read first."""
    sides: dict[str, tuple[set[str], bool]] = {}
    for one in unseen:
        known, unread = sides.get(one.text, (set(), False))
        sides[one.text] = (known | {one.side}, unread or one.unread)
    for text, (of_them, unread) in sorted(sides.items(), key=lambda item: (not item[1][1], item[0])):
        yield ("both" if len(of_them) > 1 else min(of_them)), text, unread


def silence(review: Review) -> str:
    """What may be said where nothing changed."""
    if review.complete:
        return "no change of network paths, permissions, exposures or protections"
    return "no change is seen, and not everything was read"
