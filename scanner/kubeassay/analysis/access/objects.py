"""RBAC objects as an API server reads them: defaults set, and those that it refuses told apart.

Source: kubernetes v1.37.1, pkg/apis/rbac/validation/validation.go (what is refused), pkg/apis/rbac/v1/defaults.go (API
groups of subjects and roleRefs), pkg/apis/rbac/v1alpha1/conversion.go (subjects of the oldest version).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from kubeassay.analysis.access.model import GROUP, PolicyRule, Subject
from kubeassay.analysis.reading import quoted
from kubeassay.analysis.selectors import Selector, label_selector
from kubeassay.model import Inventory, Object, Path, format_path

#: OpenShift's older form of the same objects; its API server mirrors them into RBAC objects.
OPENSHIFT_GROUP = "authorization.openshift.io"
#: What an object without a namespace is applied to, unless somebody says otherwise.
DEFAULT_NAMESPACE = "default"

RoleKind = Literal["Role", "ClusterRole"]
BindingKind = Literal["RoleBinding", "ClusterRoleBinding"]
ROLE_KINDS: tuple[RoleKind, ...] = ("ClusterRole", "Role")
BINDING_KINDS: tuple[BindingKind, ...] = ("ClusterRoleBinding", "RoleBinding")
_K = TypeVar("_K", RoleKind, BindingKind)
_T = TypeVar("_T")

#: k8s.io/apimachinery v0.37.1, pkg/util/validation/validation.go, IsDNS1123Subdomain.
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


@dataclass(frozen=True, slots=True)
class Refused:
    """An object that an API server refuses, so it grants nothing. ``path``: what it is refused for."""

    obj: Object
    path: Path
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class StatedRole:
    """A Role or ClusterRole of the inputs. ``namespace``: empty for a ClusterRole, whatever its metadata say.

    ``selectors``: those of its aggregationRule; None where it has none. A controller overwrites ``rules``
    by what they select.
    """

    kind: RoleKind
    namespace: str
    name: str
    obj: Object
    labels: Mapping[str, str]
    rules: tuple[PolicyRule, ...]
    selectors: tuple[Selector, ...] | None
    protected: bool


@dataclass(frozen=True, slots=True, eq=False)
class StatedBinding:
    """A RoleBinding or ClusterRoleBinding of the inputs; its subjects, each with its path."""

    kind: BindingKind
    namespace: str
    name: str
    obj: Object
    role_kind: RoleKind
    role_name: str
    subjects: tuple[tuple[Subject, Path], ...]
    protected: bool


@dataclass(frozen=True, slots=True)
class RbacObjects:
    """The RBAC objects of an inventory, in reading order."""

    roles: tuple[StatedRole, ...]
    bindings: tuple[StatedBinding, ...]
    refused: tuple[Refused, ...]
    #: Objects of another system of access that decide, too, and are not understood.
    foreign: tuple[Object, ...]


def rbac_objects(inventory: Inventory) -> RbacObjects:
    """Read the RBAC objects of an inventory; once for each."""
    known = inventory.facts.get(RbacObjects)
    if isinstance(known, RbacObjects):
        return known
    refused: list[Refused] = []

    def accepted(kinds: Iterable[_K], read: Callable[[Object, _K], _T]) -> Iterator[_T]:
        for kind in kinds:
            for obj in inventory.of_kind(kind, GROUP):
                try:
                    yield read(obj, kind)
                except _RefusedError as refusal:
                    refused.append(Refused(obj, refusal.path, refusal.reason))

    roles, bindings = tuple(accepted(ROLE_KINDS, _role)), tuple(accepted(BINDING_KINDS, _binding))
    foreign = (obj for kind in (*ROLE_KINDS, *BINDING_KINDS) for obj in inventory.of_kind(kind, OPENSHIFT_GROUP))
    found = RbacObjects(roles, bindings, tuple(refused), tuple(foreign))
    inventory.facts[RbacObjects] = found
    return found


class _RefusedError(Exception):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def _role(obj: Object, kind: RoleKind) -> StatedRole:
    labels, protected = _metadata(obj)
    rules = tuple(
        _rule(obj, rule, ("rules", number), namespaced=kind == "Role")
        for number, rule in enumerate(_list(obj.value.get("rules"), ("rules",)))
    )
    selectors = None
    if kind == "ClusterRole" and obj.value.get("aggregationRule") is not None:
        selectors = _selectors(obj.value["aggregationRule"])
    return StatedRole(kind, _namespace(obj, kind == "Role"), obj.ref.name, obj, labels, rules, selectors, protected)


def _rule(obj: Object, value: Any, path: Path, *, namespaced: bool) -> PolicyRule:
    stated = _map(value, path)
    rule = PolicyRule(
        verbs=_strings(stated, "verbs", path),
        api_groups=_strings(stated, "apiGroups", path),
        resources=_strings(stated, "resources", path),
        resource_names=_strings(stated, "resourceNames", path),
        non_resource_urls=_strings(stated, "nonResourceURLs", path),
        obj=obj,
        path=path,
    )
    if not rule.verbs:
        raise _RefusedError((*path, "verbs"), "a rule must name at least one verb")
    if rule.non_resource_urls:
        if namespaced:
            raise _RefusedError((*path, "nonResourceURLs"), "a rule of a Role cannot name nonResourceURLs")
        if rule.api_groups or rule.resources or rule.resource_names:
            raise _RefusedError((*path, "nonResourceURLs"), "a rule cannot name both nonResourceURLs and resources")
    elif not rule.api_groups:
        raise _RefusedError((*path, "apiGroups"), "a rule on resources must name at least one API group")
    elif not rule.resources:
        raise _RefusedError((*path, "resources"), "a rule must name at least one resource")
    return rule


def _selectors(value: Any) -> tuple[Selector, ...]:
    path: Path = ("aggregationRule", "clusterRoleSelectors")
    stated = _list(_map(value, path[:1]).get("clusterRoleSelectors"), path)
    if not stated:
        raise _RefusedError(path, "an aggregationRule must have at least one clusterRoleSelector")
    selectors = []
    for number, member in enumerate(stated):
        selector_path = (*path, number)
        member = _map(member, selector_path)
        _texts(member, "matchLabels", selector_path)
        _list(member.get("matchExpressions"), (*selector_path, "matchExpressions"))
        selector = label_selector(member)
        if selector.invalid:
            raise _RefusedError(selector_path, f"an invalid label selector: {selector.invalid}")
        selectors.append(selector)
    return tuple(selectors)


def _binding(obj: Object, kind: BindingKind) -> StatedBinding:
    _, protected = _metadata(obj)
    namespaced = kind == "RoleBinding"
    reference = _map(obj.value.get("roleRef"), ("roleRef",))
    group = _text(reference, "apiGroup", ("roleRef",)) or GROUP
    if group != GROUP:
        raise _RefusedError(("roleRef", "apiGroup"), f"roleRef.apiGroup must be {GROUP}, not {group}")
    role_kind = _text(reference, "kind", ("roleRef",))
    name = _text(reference, "name", ("roleRef",))
    found: RoleKind
    if role_kind == "ClusterRole":
        found = "ClusterRole"
    elif role_kind == "Role" and namespaced:
        found = "Role"
    else:
        kinds = "Role or ClusterRole" if namespaced else "ClusterRole"
        raise _RefusedError(("roleRef", "kind"), f"roleRef.kind must be {kinds}, not {quoted(role_kind)}")
    if not name:
        raise _RefusedError(("roleRef", "name"), "roleRef.name must not be empty")
    _path_segment(name, ("roleRef", "name"))
    subjects = tuple(
        (_subject(obj, subject, ("subjects", number), namespaced=namespaced), ("subjects", number))
        for number, subject in enumerate(_list(obj.value.get("subjects"), ("subjects",)))
    )
    return StatedBinding(kind, _namespace(obj, namespaced), obj.ref.name, obj, found, name, subjects, protected)


def _subject(obj: Object, value: Any, path: Path, *, namespaced: bool) -> Subject:
    stated = _map(value, path)
    kind, name = _text(stated, "kind", path), _text(stated, "name", path)
    namespace, group = _text(stated, "namespace", path), _text(stated, "apiGroup", path)
    if obj.ref.api_version.endswith("/v1alpha1"):
        # That version has no apiGroup; it is set from the kind. Its user * is every authenticated one.
        group = ""
        if kind == "User" and name == "*":
            kind, name = "Group", "system:authenticated"
    if not name:
        raise _RefusedError((*path, "name"), "a subject must have a name")
    if kind == "ServiceAccount":
        if not _SUBDOMAIN.match(name) or len(name) > 253:
            raise _RefusedError((*path, "name"), f"no name of a ServiceAccount: {name}")
        if group:
            raise _RefusedError((*path, "apiGroup"), f'apiGroup of a ServiceAccount must be "", not {group}')
        if not namespace and not namespaced:
            raise _RefusedError((*path, "namespace"), "a ServiceAccount in a ClusterRoleBinding needs a namespace")
        # registry/rbac/validation/rule.go, appliesToUser: a RoleBinding's own namespace where none is named.
        return Subject("ServiceAccount", name, namespace or _namespace(obj, True))
    if kind != "User" and kind != "Group":
        raise _RefusedError(
            (*path, "kind"), f"kind of a subject must be User, Group or ServiceAccount, not {quoted(kind)}"
        )
    if group not in ("", GROUP):
        raise _RefusedError((*path, "apiGroup"), f"apiGroup of a {kind} must be {GROUP}, not {group}")
    return Subject("User" if kind == "User" else "Group", name)


def _namespace(obj: Object, namespaced: bool) -> str:
    return (obj.ref.namespace or DEFAULT_NAMESPACE) if namespaced else ""


def _metadata(obj: Object) -> tuple[Mapping[str, str], bool]:
    """Labels, and whether Kubernetes is told not to restore what a default role of this name lacks."""
    metadata = _map(obj.value.get("metadata"), ("metadata",))
    _text(metadata, "namespace", ("metadata",))
    if not obj.ref.name:
        raise _RefusedError(("metadata",), "an object must have a name")
    _path_segment(obj.ref.name, ("metadata", "name"))
    labels = _texts(metadata, "labels", ("metadata",))
    annotations = _texts(metadata, "annotations", ("metadata",))
    return labels, annotations.get("rbac.authorization.kubernetes.io/autoupdate") == "false"


def _path_segment(name: str, path: Path) -> None:
    if name in (".", "..") or "/" in name or "%" in name:
        raise _RefusedError(path, f"no name of an RBAC object: {name}")


# The decoder refuses a whole object for one value of another type. Null is the zero value of every type.


def _map(value: Any, path: Path) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _RefusedError(path, f"{format_path(path)} must be a mapping")
    return value


def _list(value: Any, path: Path) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _RefusedError(path, f"{format_path(path)} must be a list")
    return value


def _text(mapping: Mapping[str, Any], field: str, path: Path) -> str:
    value = mapping.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _RefusedError((*path, field), f"{format_path((*path, field))} must be a string")
    return value


def _strings(mapping: Mapping[str, Any], field: str, path: Path) -> tuple[str, ...]:
    values = _list(mapping.get(field), (*path, field))
    for number, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise _RefusedError((*path, field, number), f"{format_path((*path, field))} must hold strings only")
    return tuple(value or "" for value in values)


def _texts(mapping: Mapping[str, Any], field: str, path: Path) -> Mapping[str, str]:
    values = _map(mapping.get(field), (*path, field))
    for key, value in values.items():
        if value is not None and not isinstance(value, str):
            raise _RefusedError((*path, field, key), f"{format_path((*path, field))} must hold strings only")
    return {key: value or "" for key, value in values.items()}
