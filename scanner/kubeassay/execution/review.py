"""What a change does to security: the review of two sides that were read, for a result."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import PurePosixPath
from typing import Any

from kubeassay.analysis.review.changes import SIDES, review
from kubeassay.analysis.workloads import TEMPLATE_PATHS
from kubeassay.execution.environments import Environment
from kubeassay.execution.inventory import ReadInventory, read_inventory
from kubeassay.execution.review_pairs import Pair, identity, pairs
from kubeassay.model import (
    Cause,
    Inventory,
    KubernetesVersion,
    NotEvaluated,
    Result,
    Review,
    Unseen,
    WorkloadChange,
    format_path,
)
from kubeassay.model.review import Side
from kubeassay.sources.rendering import RENDERED


def inventories(found: Sequence[Environment], version: KubernetesVersion) -> dict[str, ReadInventory]:
    """What environments hold, read: by their names; most trees have but one, without a name."""
    return {environment.name: read_inventory(environment.discovery, version) for environment in found}


def with_review(
    result: Result,
    before: Mapping[str, ReadInventory],
    after: Mapping[str, ReadInventory],
    version: KubernetesVersion,
    around: ReadInventory | None = None,
    unread: Iterable[Unseen] = (),
) -> Result:
    """A result with the review of a change, wherever the two sides come from. Each environment is compared with itself;
    what changes in several alike is told once.

    ``around``: what is the same on both sides, and decides with them (``--with``). An object that either side declares
    is not taken from there: or what a change removes would seem to stay. ``unread``: what is known not to have been
    read.
    """
    compared = [_within(pair, around, before, after) for pair in pairs(before, after)]
    found: list[tuple[str, Review]] = []
    for pair in compared:
        one, failure = _review(pair.before, pair.after, version)
        if pair.partner is not None:
            said = f"{_named(pair.name)} is compared with {_named(pair.partner)} as it was before"
            one = replace(one, unseen=(*one.unseen, Unseen("before", said)))
        # One that has no name now has the one that it had: two may have become one.
        found.append((pair.name or pair.partner or _TREE, one))
        if failure is not None:
            result = replace(result, not_evaluated=(*result.not_evaluated, failure))
    together = _together(found)
    unseen = (
        *unread,
        *_newly_ignored(before, after, "after"),
        *_newly_ignored(after, before, "before"),
        *together.unseen,
    )
    return replace(result, review=replace(together, unseen=tuple(dict.fromkeys(unseen))))


def _newly_ignored(
    reading: Mapping[str, ReadInventory], ignoring: Mapping[str, ReadInventory], side: Side
) -> Iterator[Unseen]:
    """What ignore files hide on one side, of which the other has objects: they are not gone, but nobody looks at them,
    and a change may write itself what hides it."""
    files = {obj.file.removesuffix(RENDERED) for read in reading.values() for obj in read.inventory}
    folders = {str(folder) for file in files for folder in PurePosixPath(file).parents}
    hidden = {entry.file for read in ignoring.values() for entry in read.skipped if entry.reason == "ignored"}
    for name in sorted(hidden):
        if name in files or name.rstrip("/") in folders:
            yield Unseen(side, f"{name}: an ignore file names it, and the other side has objects of it", unread=True)


def _within(
    pair: Pair, around: ReadInventory | None, before: Mapping[str, ReadInventory], after: Mapping[str, ReadInventory]
) -> Pair:
    """Two sides with what is around them."""
    if around is None:
        return pair
    declared = {identity(obj) for side in (before, after) for read in side.values() for obj in read.inventory}
    others = [obj for obj in around.inventory if identity(obj) not in declared]

    def joined(read: ReadInventory) -> ReadInventory:
        return ReadInventory(
            Inventory([*read.inventory, *others]),
            (*read.errors, *around.errors),
            (*read.skipped, *around.skipped),
            (*read.invalid, *around.invalid),
        )

    return replace(pair, before=joined(pair.before), after=joined(pair.after))


#: What stands for the only environment of a tree, beside others of the other side.
_TREE = "the whole tree"


def _named(environment: str) -> str:
    return f"environment {environment}" if environment else _TREE


def _together(found: Sequence[tuple[str, Review]]) -> Review:
    """The reviews of environments as one: what several have alike once, with the names of those that have it."""
    if len(found) == 1:
        return found[0][1]
    together: dict[str, Any] = {}
    for field in fields(Review):
        # What two overlays bind to one role of their base is one change with places in both.
        having: dict[Any, tuple[list[str], list[Cause]]] = {}
        for name, one in found:
            for entry in getattr(one, field.name):
                causes = getattr(entry, "causes", None)
                key = entry if causes is None else replace(entry, causes=())
                names, known = having.setdefault(key, ([], []))
                names.append(name)
                known += causes or ()
        together[field.name] = tuple(
            _told_once(entry, dict.fromkeys(names), dict.fromkeys(causes), len(found))
            for entry, (names, causes) in having.items()
        )
    return Review(**together)


#: So many causes of what several environments have alike are told.
_MOST_CAUSES = 12


def _told_once(entry: Any, names: Collection[str], causes: Iterable[Cause], number: int) -> Any:
    """What some of a number of environments have alike."""
    if isinstance(entry, Unseen):
        return entry
    if not isinstance(entry, WorkloadChange):
        entry = replace(entry, causes=tuple(causes)[:_MOST_CAUSES])
    return entry if len(names) == number else replace(entry, environments=tuple(names))


def _review(
    before: ReadInventory, after: ReadInventory, version: KubernetesVersion
) -> tuple[Review, NotEvaluated | None]:
    unread = (*_unread(before, "before"), *_unread(after, "after"))
    try:
        found = review(before.inventory, after.inventory, version.minor)
    except Exception as error:
        # As with rules: a mistake of the tool is told, and the rest of the report is written.
        said = f"{type(error).__name__}: {error}"
        failed = tuple(Unseen(side, f"the review failed: {said}", unread=True) for side in SIDES)
        failure = NotEvaluated("rule-error", f"the review of the change failed: {said}")
        return Review(unseen=(*unread, *failed)), failure
    return replace(found, unseen=(*unread, *found.unseen)), None


def _unread(read: ReadInventory, side: Side) -> Iterator[Unseen]:
    """What a side has and was not read, or not as it is meant."""
    for error in read.errors:
        place = ":".join(str(part) for part in (error.file, error.line, error.column) if part is not None)
        yield Unseen(side, f"{place}: {error.message}", unread=True)
    for skipped in read.skipped:
        if skipped.hides_objects:
            yield Unseen(side, f"{skipped.file}: not rendered ({skipped.detail})", unread=True)
    for invalid in read.invalid:
        obj, problem = invalid.obj, invalid.problem
        at = obj.locate(problem.path)
        words = f"an API server refuses {obj.ref}: {format_path(problem.path)} takes {problem.expected}"
        yield Unseen(side, f"{at.file}:{at.start_line}:{at.start_column}: {words}", unread=True)
    several = [pair for pair in read.inventory.in_several_files() if pair[0].ref.kind in _JUDGED_TOGETHER]
    if several:
        first, other = several[0]
        more = f", and {len(several) - 1} more likewise" if len(several) > 1 else ""
        words = (
            f"{first.ref} stands in {first.file} and in {other.file}{more}: everything is taken for one cluster, which"
            " hides changes of one environment behind another; review one environment at a time"
        )
        yield Unseen(side, words, unread=True)


#: Kinds of which objects of one name are joined.
_JUDGED_TOGETHER = frozenset(
    {kind for _, kind in TEMPLATE_PATHS}
    | {"Namespace", "NetworkPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Service"}
)
