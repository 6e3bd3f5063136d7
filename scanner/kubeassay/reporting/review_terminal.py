"""The review of a change at a terminal: what it opens, line by line; what it closes, in the counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubeassay.model import Cause, Review
from kubeassay.model.review import Change
from kubeassay.reporting.review_texts import counted_changes, ends, only_there, scope, silence, states
from kubeassay.reporting.texts import plural, printable

#: So many lines of each sort.
_MOST = 10


def summary(review: Review) -> Iterator[str]:
    """What the change does, in counts, and whether that is all."""
    counts = counted_changes(review)
    yield f"This change: {', '.join(counts) if counts else silence(review)}"
    unread = {one.text for one in review.unseen if one.unread}
    if unread:
        parts = plural(len(unread), "part")
        yield f"The review is not complete: {parts} not read or not compared, so silence is no pass"
        for text in sorted(unread)[:_MOST]:
            yield f"  {printable(text)}"
        if len(unread) > _MOST:
            yield f"  … and {len(unread) - _MOST:,} more"


def lines(review: Review) -> Iterator[str]:
    """Printable lines, of what opens and weakens first, and of what is not known."""
    opened = [
        f"opened: {_joined(path.sources)} -> {_joined(path.destinations)}: {path.connections}{_by(path, path.causes)}"
        for path in review.paths
        if path.change == "opened"
    ]
    added = [
        f"added: {one.workload} ({one.location.file}:{one.location.start_line}): open to it: {one.ingress};"
        f" open from it: {one.egress}{_by(one, ())}"
        for one in review.workloads
        if one.change == "added"
    ]
    gained = [
        f"gained: {one.subject}, {scope(one.namespace)}: {'; '.join(ends(one.permissions))}{_by(one, one.causes)}"
        + (f"; perhaps not new: {one.uncertain}" if one.uncertain else "")
        for one in review.permissions
        if one.change == "gained"
    ]
    escalations = [
        f"can become: {one.subject}: {one.was} -> {one.now}{_by(one, one.causes)}"
        for one in review.escalations
        if one.change == "opened"
    ]
    exposed = [
        f"exposed: {_joined(one.workloads) or 'what is not among the inputs'} by {one.text}{_by(one, one.causes)}"
        for one in review.exposures
        if one.change == "opened"
    ]
    weaker = [
        f"{'weaker' if one.direction == 'weaker' else 'changed'}: {_joined(one.subjects)}: {one.kind}: {one.was} ->"
        f" {one.now}{_by(one, one.causes)}"
        for one in review.settings
        if one.direction != "stronger"
    ]
    unsure = [
        f"{states(path)}: {_joined(path.sources)} -> {_joined(path.destinations)}: {path.connections}"
        f"{_by(path, path.causes)}"
        for path in review.paths
        if path.change in ("uncertain", "certain")
    ]
    for sort in (opened, added, gained, escalations, exposed, weaker, unsure):
        yield from map(printable, sort[:_MOST])
        if len(sort) > _MOST:
            yield f"… and {len(sort) - _MOST:,} more like this: another report has them"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(ends(names))


def _by(one: Change, causes: Sequence[Cause]) -> str:
    """The first place of what does it, or of what did it and is gone; and the environments, where not all have it."""
    places = [cause for cause in causes if cause.location is not None]
    chosen = next((cause for cause in places if cause.side == "after"), places[0] if places else None)
    where = only_there(one)
    if chosen is not None and chosen.location is not None:
        was = "" if chosen.side == "after" else "was "
        where = f"{was}{chosen.location.file}:{chosen.location.start_line}" + (f", {where}" if where else "")
    return f" ({where})" if where else ""
