"""Roles as a document states them: which group has which role, and what a role grants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from kubeassay.analysis.access.grants import Role
from kubeassay.analysis.access.matching import uncovered
from kubeassay.analysis.access.model import PolicyRule
from kubeassay.analysis.reading import items, mapping, quoted
from kubeassay.checks.check import Context, NotJudged, Passed, Violation, check
from kubeassay.checks.rbac_common import access_of, title
from kubeassay.model import Inventory, Object, Path


@check("documented-roles")
def documented_roles(inventory: Inventory, context: Context) -> Iterator[Violation | NotJudged | Passed]:
    """``groups``: group → its roles. ``roles``: role, or namespace/role, → its rules, written as in a ClusterRole."""
    failed: set[int] = set()
    judged: dict[int, Object] = {}
    for said in (*_groups(inventory, context, judged), *_roles(inventory, context, judged)):
        if isinstance(said, Violation):
            failed.add(id(said.obj))
        yield said
    for number, obj in judged.items():
        if number not in failed:
            yield Passed(obj)


def _groups(inventory: Inventory, context: Context, judged: dict[int, Object]) -> Iterator[Violation | NotJudged]:
    documented: Mapping[str, Any] = context.parameters["groups"]
    if not documented:
        return
    access = access_of(inventory, context)
    bound: set[str] = set()
    bindings = [(b.obj, b.role.kind, b.role.name, b.subjects) for b in access.bindings]
    bindings += [(m.binding, m.role_kind, m.role_name, m.subjects) for m in access.missing_roles]
    for obj, role_kind, role_name, subjects in bindings:
        for subject in (bound_subject.subject for bound_subject in subjects):
            if obj is None or subject.kind != "Group" or subject.name not in documented:
                continue
            judged[id(obj)] = obj
            bound.add(subject.name)
            own = [str(name) for name in items(documented[subject.name])]
            if role_name not in own:
                message = f"{subject} is documented to have {_either(own)}, and is bound to {role_kind} {role_name}"
                yield Violation(("roleRef", "name"), message, obj=obj)
    for group in sorted(set(documented) - bound):
        own = [str(name) for name in items(documented[group])]
        message = f"Group {group} is documented to have {_either(own)}, and is bound to nothing"
        # The nearest place that exists: the role that it should have, else any binding.
        role = next((r.obj for name in own for r in access.roles if r.name == name and r.obj is not None), None)
        place = role or next((obj for obj, _, _, _ in bindings if obj is not None), None)
        if place is None:
            yield NotJudged("missing-input", f"{message} among the inputs, which have no role or binding at all")
        else:
            yield Violation(("metadata", "name"), message, obj=place)


def _either(names: list[str]) -> str:
    return f"role {' or '.join(names)}" if names else "no role"


def _roles(inventory: Inventory, context: Context, judged: dict[int, Object]) -> Iterator[Violation | NotJudged]:
    documented: Mapping[str, Any] = context.parameters["roles"]
    by_name: dict[str, list[Role]] = defaultdict(list)
    declared = [role for role in (access_of(inventory, context).roles if documented else ()) if role.obj is not None]
    for role in declared:
        by_name[role.name].append(role)
        if role.namespace:
            by_name[f"{role.namespace}/{role.name}"].append(role)
    for name, stated in documented.items():
        wanted = [_rule(rule) for rule in items(stated)]
        if name not in by_name:
            yield from _absent(name, declared, inventory, context)
        for role in by_name.get(name, ()):
            if role.obj is None:
                continue
            judged[id(role.obj)] = role.obj
            yield from _more(role, role.obj, wanted)
            for rule in uncovered(role.rules, wanted):
                message = f"{title(role)} is documented to grant {_text(rule)}, and does not"
                yield Violation(("rules",), message, obj=role.obj)


def _absent(name: str, declared: list[Role], inventory: Inventory, context: Context) -> Iterator[NotJudged]:
    """A documented role that is not among the inputs: it may be declared elsewhere, or be one of Kubernetes' own."""
    namespace, _, own = name.rpartition("/")
    if not namespace and any(role.name == name for role in access_of(inventory, context).roles):
        return
    nowhere = next(
        (r.obj for r in declared if namespace and r.name == own and r.kind == "Role" and not r.namespace), None
    )
    where = (
        f"a role {own} of it states no namespace" if nowhere is not None else "nothing among the inputs is called so"
    )
    yield NotJudged("missing-input", f"role {name} is documented, and {where}", nowhere)


def _more(role: Role, obj: Object, wanted: list[PolicyRule]) -> Iterator[Violation]:
    """What a role grants beyond the document, once a rule of it."""
    reported: set[int] = set()
    for rule in role.rules:
        more = next(uncovered(wanted, (rule,)), None)
        if more is None or id(rule) in reported:
            continue
        reported.add(id(rule))
        where, path = (rule.obj, _place(rule, more)) if rule.obj is not None else (obj, ("rules",))
        yield Violation(path, f"{title(role)} grants {_text(more)}, which is not documented", obj=where)


def _place(rule: PolicyRule, more: PolicyRule) -> Path:
    """The verb that is too much; the documented rules may have the resource with other verbs."""
    return (*rule.path, "verbs", rule.verbs.index(more.verbs[0]))


def _text(rule: PolicyRule) -> str:
    verbs = ", ".join(rule.verbs)
    if rule.non_resource_urls:
        return f"{verbs} on {', '.join(rule.non_resource_urls)}"
    groups = ", ".join(quoted(group) for group in rule.api_groups)
    names = f" named {', '.join(rule.resource_names)}" if rule.resource_names else ""
    return f"{verbs} on {', '.join(rule.resources)} (group {groups}){names}"


def _rule(value: Any) -> PolicyRule:
    stated = mapping(value)

    def strings(field: str) -> tuple[str, ...]:
        return tuple(str(member) for member in items(stated.get(field)))

    return PolicyRule(
        verbs=strings("verbs"),
        api_groups=strings("apiGroups"),
        resources=strings("resources"),
        resource_names=strings("resourceNames"),
        non_resource_urls=strings("nonResourceURLs"),
    )
