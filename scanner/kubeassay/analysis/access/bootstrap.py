"""The roles and bindings that every API server creates for itself, and what inputs change of them.

The facts come from Kubernetes' sources (``bootstrap_roles.json``, written by ``.ci/generate_access.py``). An API server
restores them whenever it starts: rules, subjects and selectors that are missing come back, extra ones stay, a binding
to another role is made anew; an object with the annotation ``rbac.authorization.kubernetes.io/autoupdate: "false"`` is
left alone. It goes by names; the label ``kubernetes.io/bootstrapping`` plays no part. Source: component-helpers
v0.37.1, auth/rbac/reconciliation.

Nodes (users ``system:node:*``) are authorised by the Node authorizer, which is not RBAC and not modelled here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Literal

from kubeassay.analysis.access.matching import uncovered
from kubeassay.analysis.access.model import PolicyRule, Subject
from kubeassay.analysis.access.objects import RoleKind, StatedBinding, StatedRole, rbac_objects
from kubeassay.analysis.selectors import Selector, label_selector
from kubeassay.model import NEWEST_KNOWN, Inventory, Object, Path


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapRole:
    """A role of Kubernetes itself. ``namespace``: empty for a ClusterRole. ``rules``: those of one release;
    ``known_rules``: those of all releases, and of features that are off by default."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    selectors: tuple[Selector, ...] | None
    rules: tuple[PolicyRule, ...]
    known_rules: tuple[PolicyRule, ...]

    @property
    def kind(self) -> RoleKind:
        return "Role" if self.namespace else "ClusterRole"


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapBinding:
    """A binding of Kubernetes itself. ``namespace``: empty for a ClusterRoleBinding."""

    namespace: str
    name: str
    role_kind: RoleKind
    role_name: str
    subjects: tuple[Subject, ...]
    known_subjects: frozenset[Subject]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What an API server of one release creates, by (namespace, name)."""

    roles: Mapping[tuple[str, str], BootstrapRole]
    bindings: Mapping[tuple[str, str], BootstrapBinding]
    #: What older or newer releases call a default, too.
    known_roles: Mapping[tuple[str, str], BootstrapRole]
    known_bindings: Mapping[tuple[str, str], BootstrapBinding]


@cache
def _table() -> dict[str, Any]:
    path = FilePath(__file__).with_name("bootstrap_roles.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def known_minors() -> range:
    """The minor versions that the tables know."""
    first, last = _table()["minors"]
    return range(first, last + 1)


def bootstrap(minor: int = NEWEST_KNOWN.minor) -> Bootstrap:
    """What an API server creates. A release that the tables do not know counts as the nearest one that they do."""
    minors = known_minors()
    return _bootstrap(min(max(minor, minors[0]), minors[-1]))


@cache
def _bootstrap(minor: int) -> Bootstrap:
    known_roles: dict[tuple[str, str], BootstrapRole] = {}
    roles: dict[tuple[str, str], BootstrapRole] = {}
    for entry in _table()["roles"]:
        key = entry["namespace"], entry["name"]
        here = [part for part in entry["is"] if _holds(part, minor)]
        shape = (here or entry["is"])[-1]
        selectors = shape.get("clusterRoleSelectors")
        role = BootstrapRole(
            namespace=entry["namespace"],
            name=entry["name"],
            labels=shape["labels"],
            selectors=None if selectors is None else tuple(map(label_selector, selectors)),
            rules=tuple(_rule(r) for r in entry["rules"] if _holds(r, minor) and not r.get("gated")),
            known_rules=tuple(map(_rule, entry["rules"])),
        )
        known_roles[key] = role
        if here:
            roles[key] = role
    known_bindings: dict[tuple[str, str], BootstrapBinding] = {}
    bindings: dict[tuple[str, str], BootstrapBinding] = {}
    for entry in _table()["bindings"]:
        key = entry["namespace"], entry["name"]
        subjects = tuple(_subject(s) for s in entry["subjects"] if _holds(s, minor))
        binding = BootstrapBinding(
            namespace=entry["namespace"],
            name=entry["name"],
            role_kind=entry["roleRef"]["kind"],
            role_name=entry["roleRef"]["name"],
            subjects=subjects,
            known_subjects=frozenset(map(_subject, entry["subjects"])),
        )
        known_bindings[key] = binding
        if subjects:
            bindings[key] = binding
    return Bootstrap(roles, bindings, known_roles, known_bindings)


def _holds(part: Mapping[str, Any], minor: int) -> bool:
    until = part.get("until")
    return bool(part.get("since", 0) <= minor and (until is None or minor < until))


def _rule(entry: Mapping[str, Any]) -> PolicyRule:
    return PolicyRule(
        verbs=tuple(entry["verbs"]),
        api_groups=tuple(entry.get("apiGroups", ())),
        resources=tuple(entry.get("resources", ())),
        resource_names=tuple(entry.get("resourceNames", ())),
        non_resource_urls=tuple(entry.get("nonResourceURLs", ())),
    )


def _subject(entry: Mapping[str, Any]) -> Subject:
    return Subject(entry["kind"], entry["name"], entry.get("namespace", ""))


# --- what inputs change ---

ChangeKind = Literal[
    "rule-added",
    "rule-removed",
    "selector-added",
    "selector-removed",
    "aggregated",
    "subject-added",
    "subject-removed",
    "role-changed",
]


@dataclass(frozen=True, slots=True)
class Change:
    """What an object of the inputs changes of a default role or binding, ``default`` (``ClusterRole view``).

    ``rule``: what is added (as it is stated) or removed (as Kubernetes states it); for ``aggregated`` None, for all
    rules of the object are added. ``path``: from the object's root. ``lasting``: an API server leaves it as it is when
    it starts; what is removed is restored otherwise, and a binding to another role is made anew.
    """

    kind: ChangeKind
    default: str
    obj: Object
    path: Path
    lasting: bool
    rule: PolicyRule | None = None
    selector: Selector | None = None
    subject: Subject | None = None

    def __str__(self) -> str:
        match self.kind:
            case "rule-added" | "rule-removed":
                assert self.rule is not None
                verb = "adds to" if self.kind == "rule-added" else "takes from"
                return f"{verb} {self.default}: {self.rule}"
            case "selector-added":
                return f"adds to {self.default} every ClusterRole with {self.selector}"
            case "selector-removed":
                return f"takes from {self.default} the ClusterRoles with {self.selector}"
            case "aggregated":
                return f"adds its rules to {self.default}"
            case "subject-added":
                return f"adds {self.subject} to {self.default}"
            case "subject-removed":
                return f"takes {self.subject} from {self.default}"
            case "role-changed":
                return f"binds {self.default} to another role"


def changes(inventory: Inventory) -> Iterator[Change]:
    """What the objects of an inventory add to the default roles and bindings, and take from them, in reading order.

    What some release has by default is no addition. Removals are counted against the release that lacks least, so that
    an object of an older cluster is no change.
    """
    stated = rbac_objects(inventory)
    for role in stated.roles:
        default = bootstrap().known_roles.get((role.namespace, role.name))
        if default is not None:
            yield from _role_changes(role, default)
        yield from _aggregations(role, default)
    for binding in stated.bindings:
        bound = bootstrap().known_bindings.get((binding.namespace, binding.name))
        if bound is not None:
            yield from _binding_changes(binding, bound)


def _role_changes(role: StatedRole, default: BootstrapRole) -> Iterator[Change]:
    name = f"{role.kind} {role.name}"
    known = {selector.key for selector in default.selectors or ()}
    stated = {selector.key for selector in role.selectors or ()}
    for number, selector in enumerate(role.selectors or ()):
        if selector.key not in known:
            path: Path = ("aggregationRule", "clusterRoleSelectors", number)
            # A role that is not aggregated by default loses its aggregationRule again.
            lasting = role.protected or default.selectors is not None
            yield Change("selector-added", name, role.obj, path, lasting, selector=selector)
    for selector in default.selectors or ():
        if selector.key not in stated:
            path = ("aggregationRule", "clusterRoleSelectors")
            yield Change("selector-removed", name, role.obj, path, role.protected, selector=selector)
    if role.selectors is not None or (default.selectors is not None and not role.protected):
        # The controller overwrites the rules of an aggregated role.
        return
    for rule in role.rules:
        if next(uncovered(default.known_rules, (rule,)), None) is not None:
            yield Change("rule-added", name, role.obj, rule.path, True, rule=rule)
    for rule in min(_missing_rules(role, default), key=len, default=()):
        yield Change("rule-removed", name, role.obj, ("rules",), role.protected, rule=rule)


def _missing_rules(role: StatedRole, default: BootstrapRole) -> Iterator[Sequence[PolicyRule]]:
    """For each release that has a default role, the newest first, those of its rules that a role lacks in part."""
    for minor in reversed(known_minors()):
        of_release = bootstrap(minor).roles.get((default.namespace, default.name))
        if of_release is not None:
            yield [rule for rule in of_release.rules if next(uncovered(role.rules, (rule,)), None) is not None]


def _aggregations(role: StatedRole, default: BootstrapRole | None) -> Iterator[Change]:
    if role.kind != "ClusterRole":
        return
    for aggregated in bootstrap().roles.values():
        if aggregated.selectors is None or aggregated.name == role.name:
            continue
        for selector in aggregated.selectors:
            if selector.matches(role.labels) and not (default is not None and selector.matches(default.labels)):
                label = next((r.key for r in selector.requirements if r.key in role.labels), None)
                path: Path = ("metadata", "labels") if label is None else ("metadata", "labels", label)
                yield Change("aggregated", f"ClusterRole {aggregated.name}", role.obj, path, True)


def _binding_changes(binding: StatedBinding, default: BootstrapBinding) -> Iterator[Change]:
    name = f"{binding.kind} {binding.name}"
    if (binding.role_kind, binding.role_name) != (default.role_kind, default.role_name):
        yield Change("role-changed", name, binding.obj, ("roleRef", "name"), binding.protected)
        return
    for subject, path in binding.subjects:
        if subject not in default.known_subjects:
            yield Change("subject-added", name, binding.obj, path, True, subject=subject)
    stated = {subject for subject, _ in binding.subjects}
    of_releases = (
        bootstrap(minor).bindings.get((default.namespace, default.name)) for minor in reversed(known_minors())
    )
    missing = ([s for s in release.subjects if s not in stated] for release in of_releases if release is not None)
    for subject in min(missing, key=len, default=()):
        yield Change("subject-removed", name, binding.obj, ("subjects",), binding.protected, subject=subject)
