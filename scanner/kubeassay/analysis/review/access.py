"""Permissions and ways to more of them that one of two inventories alone has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from kubeassay.analysis.access.chosen_escalations import chosen
from kubeassay.analysis.access.escalation import OUTCOMES, Escalation, Escalations
from kubeassay.analysis.access.escalation import escalations as find_escalations
from kubeassay.analysis.access.grants import Access, canonical, grants, groups_of
from kubeassay.analysis.access.matching import uncovered
from kubeassay.analysis.access.model import Grant, PolicyRule, Subject
from kubeassay.analysis.review.causes import MOST, cause
from kubeassay.model import Inventory
from kubeassay.model.review import Cause, EscalationChange, PermissionChange, Side

_NOTHING = "nothing"


def permission_changes(before: Inventory, after: Inventory, minor: int) -> tuple[PermissionChange, ...]:
    """What subjects are granted on one side and were not before, by any grant of theirs or of their groups. A member
    of a group is not told what the group is."""
    old, new = grants(before, minor), grants(after, minor)
    found = [*_gained(old, new, "before", "after"), *_gained(new, old, "after", "before")]
    order = {"gained": 0, "lost": 1}
    return tuple(sorted(found, key=lambda one: (order[one.change], one.subject, one.namespace or "", one.permissions)))


def _gained(poor: Access, rich: Access, poor_side: Side, rich_side: Side) -> Iterator[PermissionChange]:
    """What the second has that the first has not: each permission once, by the first grant that gives it."""
    for subject in rich.subjects:
        had = _rules_by_scope(poor, subject, groups_of(subject))
        # What holds in the whole cluster first: the same in a namespace is nothing besides.
        for binding, bound in sorted(rich.bound_to(subject), key=lambda one: one[0].namespace is not None):
            for grant in binding.grants(bound):
                rules = had[grant.namespace]
                having = rules if grant.namespace is None else [*rules, *had[None]]
                pieces = [
                    piece
                    for piece in uncovered(having, (grant.rule,))
                    # A RoleBinding grants no paths: they are in no namespace.
                    if grant.namespace is None or not piece.non_resource_urls
                ]
                if pieces:
                    rules.append(grant.rule)
                    yield PermissionChange(
                        "gained" if rich_side == "after" else "lost",
                        str(subject),
                        grant.namespace,
                        tuple(_together(pieces)),
                        _granting(rich_side, grant),
                        _perhaps(poor, subject, grant.namespace, poor_side),
                    )


def _rules_by_scope(
    access: Access, subject: Subject, groups: Iterable[str]
) -> defaultdict[str | None, list[PolicyRule]]:
    found: defaultdict[str | None, list[PolicyRule]] = defaultdict(list)
    for binding, _ in access.bound_to(subject, groups):
        found[binding.namespace] += binding.role.rules
    return found


def _together(pieces: Sequence[PolicyRule]) -> Iterator[str]:
    """The smallest rules as few: verbs of one thing together, and things of the same verbs."""
    verbs: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for piece in pieces:
        key = (piece.api_groups, piece.resource_names, piece.resources, piece.non_resource_urls)
        verbs.setdefault(key, []).extend(piece.verbs)
    things: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], tuple[list[str], list[str]]] = {}
    for (api_groups, names, some, paths), of_it in verbs.items():
        kept = things.setdefault((api_groups, names, tuple(dict.fromkeys(of_it))), ([], []))
        kept[0].extend(some)
        kept[1].extend(paths)
    for (api_groups, names, of_them), (resources, urls) in things.items():
        if resources:
            yield str(PolicyRule(of_them, api_groups, tuple(resources), names))
        if urls:
            yield str(PolicyRule(of_them, (), (), (), tuple(urls)))


def _granting(side: Side, grant: Grant) -> tuple[Cause, ...]:
    """The rule of the role, and the binding."""
    rule = f"rule of {grant.role_kind} {grant.role_name}"
    if grant.rule.obj is not None and grant.rule.obj.ref.name != grant.role_name:
        rule += f" (aggregated from {grant.rule.obj.ref})"
    kind = "ClusterRoleBinding" if grant.namespace is None else "RoleBinding"
    where = f"{grant.namespace}/" if grant.namespace is not None else ""
    return (
        cause(side, "grants", rule, grant.rule.obj, grant.rule.path),
        cause(side, "binds", f"{kind} {where}{grant.binding_name}", grant.binding, grant.subject_path),
    )


def _perhaps(access: Access, subject: Subject, namespace: str | None, side: Side) -> str:
    """Why a subject perhaps has on a side what nothing there is seen to grant it."""
    groups = groups_of(subject)
    for missing in access.missing_roles:
        if missing.namespace in (None, namespace) and any(
            canonical(bound.subject) == subject or (bound.subject.kind == "Group" and bound.subject.name in groups)
            for bound in missing.subjects
        ):
            place = missing.binding.locate(missing.path)
            return (
                f"{side} the change {missing.binding.ref} binds {missing.role_kind} {missing.role_name}, which is not"
                f" among the inputs ({place.file}:{place.start_line})"
            )
    return ""


# --- escalations ---


def escalation_changes(before: Inventory, after: Inventory, minor: int) -> tuple[EscalationChange, ...]:
    """Subjects that can become more on one side than on the other, or that need fewer assumptions for it."""
    old, new = find_escalations(before, minor), find_escalations(after, minor)
    subjects = {e.subject for answer in (old, new) for e in chosen(answer, assume=True).shown}
    found: list[EscalationChange] = []
    for subject in sorted(subjects):
        (was, least), (now, most) = _most(old, subject), _most(new, subject)
        if least == most:
            continue
        opened = most > least
        path = now if opened else was
        side: Side = "after" if opened else "before"
        if path is None:
            continue
        found.append(
            EscalationChange(
                "opened" if opened else "closed",
                str(subject),
                _reaches(was),
                _reaches(now),
                tuple(_steps(path)),
                tuple(dict.fromkeys(_uses(side, path)))[:MOST],
            )
        )
    order = {"opened": 0, "closed": 1}
    return tuple(sorted(found, key=lambda one: (order[one.change], one.subject)))


def _most(answer: Escalations, subject: Subject) -> tuple[Escalation | None, int]:
    """The worst that a subject can become, and how bad that is: what is certain before what is assumed."""
    paths = [path for outcome in OUTCOMES if (path := answer.path(subject, outcome)) is not None]
    if not paths:
        return None, 0
    certain = [path for path in paths if not path.assumptions]
    path = (certain or paths)[0]
    return path, (2 if certain else 0) + len(OUTCOMES) - OUTCOMES.index(path.outcome)


def _reaches(path: Escalation | None) -> str:
    if path is None:
        return _NOTHING
    return f"{path.outcome} (assumed)" if path.assumptions else path.outcome


def _steps(path: Escalation) -> Iterator[str]:
    for step in path.steps:
        assumed = f" (assumed: {step.assumption})" if step.assumption else ""
        yield f"{step.who} {step.how}, and so becomes {step.target}{assumed}"


def _uses(side: Side, path: Escalation) -> Iterator[Cause]:
    for step in path.steps:
        for use in step.uses:
            where = "Kubernetes itself" if use.rule.obj is None else str(use.rule.obj.ref)
            yield cause(side, "grants", f"rule of {where}", use.rule.obj, use.allowed.verb_path)
            if use.grant is not None:
                kind = "ClusterRoleBinding" if use.grant.namespace is None else "RoleBinding"
                yield cause(
                    side, "binds", f"{kind} {use.grant.binding_name}", use.grant.binding, use.grant.subject_path
                )
