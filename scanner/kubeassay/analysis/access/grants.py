"""Effective grants: which rules each subject has, through which binding and role.

The roles and bindings of Kubernetes itself are counted in, for they exist in every cluster; what the inputs state under
their names is merged with them as an API server does (:mod:`kubeassay.analysis.access.bootstrap`).

Sources: kubernetes v1.37.1, pkg/registry/rbac/validation/rule.go (which subjects and roles a request is judged by) and
pkg/controller/clusterroleaggregation (aggregated ClusterRoles); apiserver v0.37.1, pkg/authentication/serviceaccount
and pkg/authentication/user (names and groups of service accounts, groups of every user).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kubeassay.analysis.access.bootstrap import Bootstrap, BootstrapRole, bootstrap
from kubeassay.analysis.access.matching import uncovered
from kubeassay.analysis.access.model import Grant, PolicyRule, Subject
from kubeassay.analysis.access.objects import (
    BindingKind,
    Refused,
    RoleKind,
    StatedBinding,
    StatedRole,
    rbac_objects,
)
from kubeassay.analysis.selectors import Selector
from kubeassay.model import NEWEST_KNOWN, Inventory, Object, Path

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
MASTERS = "system:masters"
SERVICE_ACCOUNTS = "system:serviceaccounts"
_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """A role as it is in effect: aggregated, and merged with the default of its name. ``namespace``: empty for a
    ClusterRole. ``obj`` None: a role of Kubernetes itself that is not among the inputs.

    ``default``: for each rule, whether Kubernetes itself gives this role that much.
    """

    kind: RoleKind
    namespace: str
    name: str
    obj: Object | None
    rules: tuple[PolicyRule, ...]
    default: tuple[bool, ...]
    aggregated: bool = False


@dataclass(frozen=True, slots=True)
class BoundSubject:
    """A subject of a binding. ``path``: from the binding's root. ``default``: Kubernetes itself binds it there."""

    subject: Subject
    path: Path
    default: bool


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """A binding whose role exists. ``namespace`` None: a ClusterRoleBinding. ``obj`` None: one of Kubernetes itself."""

    kind: BindingKind
    namespace: str | None
    name: str
    obj: Object | None
    role: Role
    subjects: tuple[BoundSubject, ...]

    def grants(self, bound: BoundSubject, numbers: Iterable[int] | None = None) -> Iterator[Grant]:
        """What one of its subjects has through it: every rule of the role, or those of some numbers."""
        role = self.role
        for number in range(len(role.rules)) if numbers is None else numbers:
            yield Grant(
                subject=bound.subject,
                rule=role.rules[number],
                namespace=self.namespace,
                role_kind=role.kind,
                role_name=role.name,
                binding=self.obj,
                binding_name=self.name,
                subject_path=bound.path,
                bootstrap=bound.default and role.default[number],
            )


@dataclass(frozen=True, slots=True, eq=False)
class MissingRole:
    """A binding to a role that is neither among the inputs nor one of Kubernetes itself: it grants nothing that is
    known. ``path`` leads to its roleRef."""

    binding: Object
    namespace: str | None
    role_kind: RoleKind
    role_name: str
    subjects: tuple[BoundSubject, ...]
    path: Path = ("roleRef", "name")


class Access:
    """Who may do what, by all RBAC objects of an inventory. Made by :func:`grants`."""

    def __init__(
        self,
        roles: Iterable[Role],
        bindings: Iterable[Binding],
        missing_roles: Iterable[MissingRole],
        refused: Iterable[Refused],
        foreign: Iterable[Object],
    ) -> None:
        #: All effective roles, bound or not: those of the inputs in reading order, then those of Kubernetes itself.
        self.roles = tuple(roles)
        #: The bindings of the inputs in reading order, then those of Kubernetes itself.
        self.bindings = tuple(bindings)
        self.missing_roles = tuple(missing_roles)
        #: Objects that an API server refuses; they grant nothing.
        self.refused = tuple(refused)
        #: Objects of another system of access that are not understood.
        self.foreign = tuple(foreign)

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        """Every grant of every subject. On large trees :attr:`bindings` is less to go through."""
        return tuple(
            grant for binding in self.bindings for bound in binding.subjects for grant in binding.grants(bound)
        )

    @cached_property
    def _by_subject(self) -> Mapping[tuple[str, str], list[tuple[Binding, BoundSubject]]]:
        index: dict[tuple[str, str], list[tuple[Binding, BoundSubject]]] = defaultdict(list)
        for binding in self.bindings:
            for bound in binding.subjects:
                index[_key(bound.subject)].append((binding, bound))
        return dict(index)

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """All subjects that bindings name, sorted. A user with the name of a service account is that account."""
        return tuple(sorted({canonical(bound.subject) for binding in self.bindings for bound in binding.subjects}))

    def bound_to(self, subject: Subject, groups: Iterable[str] = ()) -> list[tuple[Binding, BoundSubject]]:
        """The bindings that apply to a subject and to groups, each with the subject that it names them by."""
        keys = [_key(subject), *(("Group", group) for group in groups)]
        found: list[tuple[Binding, BoundSubject]] = []
        for key in dict.fromkeys(keys):
            found += self._by_subject.get(key, ())
        return found


def grants(inventory: Inventory, minor: int = NEWEST_KNOWN.minor) -> Access:
    """Who may do what, by the RBAC objects of an inventory, on a cluster of a minor version. Computed once for each."""
    key = (Access, minor)
    known = inventory.facts.get(key)
    if isinstance(known, Access):
        return known
    access = _access(inventory, bootstrap(minor))
    inventory.facts[key] = access
    return access


def canonical(subject: Subject) -> Subject:
    """A subject, or the service account that a user is by its name."""
    if subject.kind == "User" and subject.name.startswith(_ACCOUNT_PREFIX):
        namespace, colon, name = subject.name.removeprefix(_ACCOUNT_PREFIX).partition(":")
        if namespace and colon and name and ":" not in name:
            return Subject("ServiceAccount", name, namespace)
    return subject


def username(subject: Subject) -> str:
    """The name of the user that a subject is; empty for a group."""
    if subject.kind == "ServiceAccount":
        return f"{_ACCOUNT_PREFIX}{subject.namespace}:{subject.name}"
    return subject.name if subject.kind == "User" else ""


def groups_of(subject: Subject, groups: Iterable[str] = ()) -> tuple[str, ...]:
    """The groups that a subject is in, ``groups`` among them: those of every service account, and of every user that
    is authenticated or not. A group stands for a user who is in it and in no other."""
    subject = canonical(subject)
    found: list[str] = []
    if subject.kind == "ServiceAccount":
        found += [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{subject.namespace}"]
    elif subject.kind == "Group":
        found.append(subject.name)
        if subject.name.startswith(f"{SERVICE_ACCOUNTS}:"):
            found.append(SERVICE_ACCOUNTS)
    found += groups
    anonymous = subject.name == ANONYMOUS if subject.kind == "User" else UNAUTHENTICATED in found
    found.append(UNAUTHENTICATED if anonymous else AUTHENTICATED)
    return tuple(dict.fromkeys(found))


def _key(subject: Subject) -> tuple[str, str]:
    # Service accounts are users to the authorizer: it compares names.
    return ("Group", subject.name) if subject.kind == "Group" else ("User", username(subject))


# --- how roles and bindings come into effect ---


def _access(inventory: Inventory, defaults: Bootstrap) -> Access:
    stated = rbac_objects(inventory)
    roles = _Roles(stated.roles, defaults)
    bindings: list[Binding] = []
    missing: list[MissingRole] = []
    for binding in stated.bindings:
        namespace = binding.namespace or None
        subjects = tuple(_bound_subjects(binding, defaults))
        role = roles.find(binding.role_kind, binding.namespace, binding.role_name, binding.obj.file)
        if role is None:
            missing.append(MissingRole(binding.obj, namespace, binding.role_kind, binding.role_name, subjects))
        else:
            bindings.append(Binding(binding.kind, namespace, binding.name, binding.obj, role, subjects))
    bindings += _default_bindings(stated.bindings, roles, defaults)
    return Access(roles.all(), bindings, missing, stated.refused, stated.foreign)


def _bound_subjects(binding: StatedBinding, defaults: Bootstrap) -> Iterator[BoundSubject]:
    default = defaults.known_bindings.get((binding.namespace, binding.name))
    known: frozenset[Subject] = frozenset()
    if default is not None and (default.role_kind, default.role_name) == (binding.role_kind, binding.role_name):
        known = default.known_subjects
    told: set[Subject] = set()
    for subject, path in binding.subjects:
        # A service account may be listed with its namespace and without: that is one subject, told at its first place.
        if subject not in told:
            told.add(subject)
            yield BoundSubject(subject, path, subject in known)


def _default_bindings(stated: Sequence[StatedBinding], roles: _Roles, defaults: Bootstrap) -> Iterator[Binding]:
    """Kubernetes' own bindings, without what the inputs state of them already."""
    copies: dict[tuple[str, str], list[StatedBinding]] = defaultdict(list)
    for binding in stated:
        copies[binding.namespace, binding.name].append(binding)
    for key, default in defaults.bindings.items():
        left = set(default.subjects)
        if key in copies:
            left = {subject for copy in copies[key] for subject in _restored(default.subjects, copy, default.role_name)}
        role = roles.find(default.role_kind, default.namespace, default.role_name, "")
        subjects = tuple(BoundSubject(subject, (), True) for subject in default.subjects if subject in left)
        if role is not None and subjects:
            kind: BindingKind = "RoleBinding" if default.namespace else "ClusterRoleBinding"
            yield Binding(kind, default.namespace or None, default.name, None, role, subjects)


def _restored(subjects: Iterable[Subject], copy: StatedBinding, role_name: str) -> set[Subject]:
    """The subjects that an API server adds to a copy of a default binding when it starts."""
    if copy.protected:
        return set()
    if copy.role_name != role_name:
        return set(subjects)
    return set(subjects) - {subject for subject, _ in copy.subjects}


@dataclass(frozen=True, slots=True, eq=False)
class _ClusterRole:
    """A ClusterRole before aggregation."""

    name: str
    labels: Mapping[str, str]
    rules: tuple[PolicyRule, ...]
    selectors: tuple[Selector, ...] | None
    obj: Object | None


class _Roles:
    """The roles of the inputs and those of Kubernetes itself, brought into effect when they are asked for."""

    def __init__(self, stated: Sequence[StatedRole], defaults: Bootstrap) -> None:
        self._defaults = defaults
        self._stated: dict[tuple[RoleKind, str, str], list[StatedRole]] = defaultdict(list)
        for role in stated:
            self._stated[role.kind, role.namespace, role.name].append(role)
        self._order = stated
        self._effective: dict[int, Role] = {}
        self._default_rules: dict[int, bool] = {}
        self._members_of: dict[tuple[int, str], list[_ClusterRole]] = {}
        #: File → aggregated role → the roles whose rules it has, and the aggregated roles in it.
        self._parts: dict[str, dict[int, tuple[int, int]]] = {}
        self._rules_of: dict[int, tuple[PolicyRule, ...]] = {}

    def find(self, kind: RoleKind, namespace: str, name: str, file: str) -> Role | None:
        """The role that a binding in a namespace and a file refers to."""
        where = namespace if kind == "Role" else ""
        stated = self._stated.get((kind, where, name))
        if stated:
            return self._of_stated(stated[0] if len(stated) == 1 else _closest_role(stated, file))
        default = self._defaults.roles.get((where, name))
        return None if default is None else self._of_default(default)

    def all(self) -> Iterator[Role]:
        """Every role, those of the inputs first."""
        for role in self._order:
            yield self._of_stated(role)
        for (namespace, name), default in self._defaults.roles.items():
            if (default.kind, namespace, name) not in self._stated:
                yield self._of_default(default)

    def _of_stated(self, stated: StatedRole) -> Role:
        role = self._effective.get(id(stated))
        if role is None:
            if stated.kind == "ClusterRole":
                role = self._in_effect(self._by_object[id(stated.obj)])
            else:
                rules = self._merged(stated).rules
                role = Role("Role", stated.namespace, stated.name, stated.obj, rules, self._which_default(rules))
            self._effective[id(stated)] = role
        return role

    def _of_default(self, default: BootstrapRole) -> Role:
        role = self._effective.get(id(default))
        if role is None:
            if default.kind == "ClusterRole":
                role = self._in_effect(self._cluster_roles[default.name][0])
            else:
                flags = (True,) * len(default.rules)
                role = Role("Role", default.namespace, default.name, None, default.rules, flags)
            self._effective[id(default)] = role
        return role

    def _in_effect(self, cluster_role: _ClusterRole) -> Role:
        aggregated = cluster_role.selectors is not None
        rules = self._aggregated(cluster_role) if aggregated else cluster_role.rules
        return Role(
            "ClusterRole", "", cluster_role.name, cluster_role.obj, rules, self._which_default(rules), aggregated
        )

    # --- defaults ---

    def _merged(self, stated: StatedRole) -> _ClusterRole:
        """A role of the inputs, with what an API server adds when it is one of its own."""
        default = self._defaults.roles.get((stated.namespace, stated.name))
        rules, selectors, labels = stated.rules, stated.selectors, stated.labels
        if default is not None and not stated.protected:
            rules += tuple(rule for rule in default.rules if next(uncovered(stated.rules, (rule,)), None) is not None)
            labels = {**default.labels, **labels}
            if default.selectors is not None:
                known = {selector.key for selector in selectors or ()}
                selectors = (*(selectors or ()), *(s for s in default.selectors if s.key not in known))
        return _ClusterRole(stated.name, labels, rules, selectors, stated.obj)

    def _which_default(self, rules: Iterable[PolicyRule]) -> tuple[bool, ...]:
        return tuple(rule.obj is None or self._is_default(rule, rule.obj) for rule in rules)

    def _is_default(self, rule: PolicyRule, obj: Object) -> bool:
        """Whether some release gives the default role of the object's name what the rule gives."""
        key = ((obj.ref.namespace or "default") if obj.ref.kind == "Role" else "", obj.ref.name)
        default = self._defaults.known_roles.get(key)
        if default is None:
            return False
        known = self._default_rules.get(id(rule))
        if known is None:
            known = self._default_rules[id(rule)] = next(uncovered(default.known_rules, (rule,)), None) is None
        return known

    # --- aggregation ---

    @cached_property
    def _cluster_roles(self) -> Mapping[str, list[_ClusterRole]]:
        found: dict[str, list[_ClusterRole]] = defaultdict(list)
        for stated in self._order:
            if stated.kind == "ClusterRole":
                found[stated.name].append(self._merged(stated))
        for (namespace, name), default in self._defaults.roles.items():
            if not namespace and name not in found:
                found[name].append(_ClusterRole(name, default.labels, default.rules, default.selectors, None))
        return dict(found)

    @cached_property
    def _by_object(self) -> Mapping[int, _ClusterRole]:
        return {id(c.obj): c for of_name in self._cluster_roles.values() for c in of_name if c.obj is not None}

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str], set[str]]:
        index: dict[tuple[str, str], set[str]] = defaultdict(set)
        for name, cluster_roles in self._cluster_roles.items():
            for cluster_role in cluster_roles:
                for label in cluster_role.labels.items():
                    index[label].add(name)
        return dict(index)

    def _members(self, cluster_role: _ClusterRole, file: str) -> list[_ClusterRole]:
        """The ClusterRoles that an aggregated one is made of, as of a file, in the controller's order."""
        key = (id(cluster_role), file)
        members = self._members_of.get(key)
        if members is None:
            found: dict[int, _ClusterRole] = {}
            for selector in cluster_role.selectors or ():
                for name in self._candidates(selector):
                    if name == cluster_role.name:
                        continue
                    of_name = self._cluster_roles[name]
                    member = of_name[0] if len(of_name) == 1 else _closest(of_name, file)
                    if selector.matches(member.labels):
                        found.setdefault(id(member), member)
            members = self._members_of[key] = list(found.values())
        return members

    def _candidates(self, selector: Selector) -> list[str]:
        for requirement in selector.requirements:
            if requirement.operator == "In":
                values = ((requirement.key, value) for value in requirement.values)
                return sorted(set().union(*(self._by_label.get(value, ()) for value in values)))
        return sorted(self._cluster_roles)

    def _aggregated(self, root: _ClusterRole) -> tuple[PolicyRule, ...]:
        """The rules of an aggregated ClusterRole once the controller has nothing left to do: those of its members, and
        of the members of members that are aggregated. What such a role states itself is overwritten by these; where its
        members have no rules, or it has no members, it stays (the controller applies no ``rules`` then, and so does not
        take the field over).

        Aggregated roles that are members of each other keep handing on to each other what they, or aggregated members
        of theirs, once stated. Whether that is overwritten first depends on the order in which the controller visits
        them, so it counts as granted.
        """
        file = "" if root.obj is None or self._unique else root.obj.file
        parts = self._parts.setdefault(file, {})
        if id(root) not in parts:
            self._condense(root, file, parts)
        sources, _ = parts[id(root)]
        rules = self._rules_of.get(sources)
        if rules is None:
            found = (c for number, c in enumerate(self._numbered) if sources >> number & 1)
            rules = self._rules_of[sources] = tuple(rule for c in found for rule in c.rules)
        return rules

    @cached_property
    def _unique(self) -> bool:
        """No two ClusterRoles have one name, so members are the same as of any file."""
        return all(len(of_name) == 1 for of_name in self._cluster_roles.values())

    @cached_property
    def _numbered(self) -> list[_ClusterRole]:
        return [c for of_name in self._cluster_roles.values() for c in of_name]

    @cached_property
    def _bits(self) -> Mapping[int, int]:
        return {id(c): 1 << number for number, c in enumerate(self._numbered)}

    @cached_property
    def _ruled(self) -> int:
        """The ClusterRoles that state rules, as bits."""
        return sum(1 << number for number, c in enumerate(self._numbered) if c.rules)

    def _condense(self, root: _ClusterRole, file: str, parts: dict[int, tuple[int, int]]) -> None:
        """Find for an aggregated role, and for all that it is made of, whose stated rules it has, and which aggregated
        roles are in it: two sets of roles, as bits. Roles that are in each other are worked out together (Tarjan's
        strongly connected components), so that the time does not grow with the ways between them."""
        order: dict[int, int] = {}
        low: dict[int, int] = {}
        open_: list[_ClusterRole] = []
        path = [(root, self._inner(root, file))]
        order[id(root)] = low[id(root)] = 0
        open_.append(root)
        while path:
            cluster_role, inner = path[-1]
            key = id(cluster_role)
            member = next(inner, None)
            if member is None:
                path.pop()
                if path:
                    low[id(path[-1][0])] = min(low[id(path[-1][0])], low[key])
                if low[key] == order[key]:
                    component = open_[next(n for n, c in enumerate(open_) if c is cluster_role) :]
                    del open_[-len(component) :]
                    self._close(component, file, parts)
            elif id(member) in parts:
                continue
            elif id(member) in order:
                low[key] = min(low[key], order[id(member)])
            else:
                order[id(member)] = low[id(member)] = len(order)
                open_.append(member)
                path.append((member, self._inner(member, file)))

    def _inner(self, cluster_role: _ClusterRole, file: str) -> Iterator[_ClusterRole]:
        return (member for member in self._members(cluster_role, file) if member.selectors is not None)

    def _close(self, component: Sequence[_ClusterRole], file: str, parts: dict[int, tuple[int, int]]) -> None:
        together = {id(cluster_role) for cluster_role in component}
        sources = aggregated = 0
        for cluster_role in component:
            aggregated |= self._bits[id(cluster_role)]
            for member in self._members(cluster_role, file):
                if member.selectors is None:
                    sources |= self._bits[id(member)]
                elif id(member) not in together:
                    of_member, within = parts[id(member)]
                    sources |= of_member
                    aggregated |= within
        if len(component) > 1:
            sources |= aggregated
        elif not sources & self._ruled:
            sources = self._bits[id(component[0])]
        for key in together:
            parts[key] = sources, aggregated


def _closest(cluster_roles: Sequence[_ClusterRole], file: str) -> _ClusterRole:
    return max(cluster_roles, key=lambda c: _shared_folders("" if c.obj is None else c.obj.file, file))


def _closest_role(stated: Sequence[StatedRole], file: str) -> StatedRole:
    return max(stated, key=lambda role: _shared_folders(role.obj.file, file))


def _shared_folders(first: str, second: str) -> int:
    """As :meth:`Inventory.nearest` chooses; that one goes by the namespace that an object states, which for roles is
    not the one that counts."""
    shared = 0
    for one, other in zip(first.split("/")[:-1], second.split("/")[:-1], strict=False):
        if one != other:
            break
        shared += 1
    return shared
