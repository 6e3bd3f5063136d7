"""What the rules on roles and bindings share: where rules of roles are in effect, and how they are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubeassay.analysis.access.abilities import Allowed, allowed
from kubeassay.analysis.access.grants import Access, Binding, BoundSubject, Role, canonical, grants
from kubeassay.analysis.access.matching import ALL
from kubeassay.analysis.access.model import PolicyRule, Subject
from kubeassay.checks.check import Context
from kubeassay.model import Inventory, Object, Path

#: More subjects than these are counted, not named.
MAX_NAMED = 3
_MAX_RELATED = 3

Related = tuple[tuple[str, Object, Path], ...]


@dataclass(frozen=True, slots=True)
class InEffect:
    """A rule of a role of the inputs that Kubernetes itself does not have, with the bindings that put it into effect
    (through an aggregated ClusterRole, too), those of the inputs first."""

    role: Role
    rule: PolicyRule
    bindings: Sequence[Binding]
    abilities: tuple[Allowed, ...]

    @property
    def cluster_wide(self) -> bool:
        """Whether somebody has it in the whole cluster."""
        return any(binding.namespace is None for binding in self.bindings)

    @property
    def everything(self) -> bool:
        return is_everything(self.rule)

    @property
    def where(self) -> str:
        """Who has it, and where, for the end of a message."""
        if not self.bindings:
            return "bound nowhere among the inputs"
        subjects = dict.fromkeys(canonical(bound.subject) for binding in self.bindings for bound in binding.subjects)
        if self.cluster_wide:
            return f"in all namespaces, for {named(subjects)}"
        namespaces = sorted({binding.namespace for binding in self.bindings if binding.namespace is not None})
        return f"in {_namespaces(namespaces)}, for {named(subjects)}"

    @property
    def related(self) -> Related:
        return tuple(
            (f"{binding.kind} {binding.name} binds {binding.role.kind} {binding.role.name}", binding.obj, ("roleRef",))
            for binding in self.bindings
            if binding.obj is not None
        )[:_MAX_RELATED]


def access_of(inventory: Inventory, context: Context) -> Access:
    """The effective grants at the judged version."""
    return grants(inventory, context.kubernetes_version.minor)


def rules_in_effect(inventory: Inventory, context: Context) -> Sequence[InEffect]:
    """The rules of the roles of the inputs, in reading order. Computed once for each inventory."""
    minor = context.kubernetes_version.minor
    key = (InEffect, minor)
    known: Sequence[InEffect] | None = inventory.facts.get(key)
    if known is None:
        known = inventory.facts[key] = tuple(_rules_in_effect(access_of(inventory, context), minor))
    return known


def _rules_in_effect(access: Access, minor: int) -> Iterator[InEffect]:
    bindings: Mapping[int, list[Binding]] = defaultdict(list)
    for binding in access.bindings:
        for rule in binding.role.rules:
            bindings[id(rule)].append(binding)
    seen: set[int] = set()
    for role in access.roles:
        for rule, default in zip(role.rules, role.default, strict=True):
            # A rule of another role stands there: this one is an aggregation of it.
            if rule.obj is not None and rule.obj is role.obj and not default and id(rule) not in seen:
                seen.add(id(rule))
                yield InEffect(role, rule, bindings.get(id(rule), ()), allowed(rule, minor))


def roles_of(access: Access) -> Iterator[tuple[Role, Object]]:
    """The roles of the inputs."""
    for role in access.roles:
        if role.obj is not None:
            yield role, role.obj


def stated_bindings(access: Access) -> Iterator[tuple[Binding, Object]]:
    """The bindings of the inputs whose role exists."""
    for binding in access.bindings:
        if binding.obj is not None:
            yield binding, binding.obj


def own_subjects(binding: Binding) -> Iterator[BoundSubject]:
    """The subjects that Kubernetes itself does not bind there, each once: a service account may be listed twice, and
    as the user that it is, too."""
    seen: set[Subject] = set()
    for bound in binding.subjects:
        subject = canonical(bound.subject)
        if not bound.default and subject not in seen:
            seen.add(subject)
            yield bound


def is_everything(rule: PolicyRule) -> bool:
    """Whether a rule grants every verb on every resource."""
    return ALL in rule.verbs and ALL in rule.api_groups and ALL in rule.resources and not rule.resource_names


def title(role: Role) -> str:
    """A role as messages name it."""
    return f"{role.kind} {role.namespace}/{role.name}" if role.namespace else f"{role.kind} {role.name}"


def named(subjects: Iterable[Subject]) -> str:
    """Subjects in a sentence; many are counted."""
    every = [str(subject) for subject in subjects]
    if len(every) > MAX_NAMED + 1:
        return f"{', '.join(every[:MAX_NAMED])} and {len(every) - MAX_NAMED} more"
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every) or "nobody"


def _namespaces(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"namespace {names[0]}"
    if len(names) > MAX_NAMED + 1:
        return f"namespaces {', '.join(names[:MAX_NAMED])} and {len(names) - MAX_NAMED} more"
    return f"namespaces {', '.join(names[:-1])} and {names[-1]}"
