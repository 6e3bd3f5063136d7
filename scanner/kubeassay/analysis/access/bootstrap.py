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
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from kubeassay.analysis.access.model import PolicyRule, Subject
from kubeassay.analysis.access.objects import RoleKind
from kubeassay.analysis.selectors import Selector, label_selector
from kubeassay.model import NEWEST_KNOWN


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
