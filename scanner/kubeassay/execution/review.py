"""What a change does to security: the review of two sides that were read, for a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

from kubeassay.analysis.review.changes import SIDES, review
from kubeassay.analysis.workloads import TEMPLATE_PATHS
from kubeassay.execution.environments import Environment
from kubeassay.execution.inventory import ReadInventory, read_inventory
from kubeassay.model import Inventory, KubernetesVersion, NotEvaluated, Result, Review, Unseen, format_path
from kubeassay.model.review import Side


def inventories(found: Sequence[Environment], version: KubernetesVersion) -> dict[str, ReadInventory]:
    """What environments hold, read: by their names; most trees have but one, without a name."""
    return {environment.name: read_inventory(environment.discovery, version) for environment in found}


def with_review(
    result: Result,
    before: Mapping[str, ReadInventory],
    after: Mapping[str, ReadInventory],
    version: KubernetesVersion,
) -> Result:
    """A result with the review of a change, wherever the two sides come from. Each environment is compared with itself;
    what changes in several alike is told once."""
    found: list[Review] = []
    for name in dict.fromkeys((*before, *after)):
        one, failure = _review(before.get(name, _NOTHING), after.get(name, _NOTHING), version)
        found.append(one)
        if failure is not None:
            result = replace(result, not_evaluated=(*result.not_evaluated, failure))
    together = {
        field.name: tuple(dict.fromkeys(entry for one in found for entry in getattr(one, field.name)))
        for field in fields(Review)
    }
    return replace(result, review=Review(**together))


_NOTHING = ReadInventory(Inventory(), (), (), ())


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
