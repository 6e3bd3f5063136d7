"""What roles grant: wildcards, rights that lead to more, rights on nothing, and what is changed of Kubernetes' own.

Sources: Kubernetes, "Role Based Access Control Good Practices"; CIS Kubernetes Benchmark, 5.1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kubeassay.analysis.access.abilities import Ability, allowed
from kubeassay.analysis.access.bootstrap import bootstrap, changes
from kubeassay.analysis.access.grants import MASTERS, Access
from kubeassay.analysis.access.matching import ALL, allows_resource
from kubeassay.analysis.access.model import GROUP, PolicyRule
from kubeassay.analysis.access.resources import IMPERSONATED, ResourceTypes, resource_types
from kubeassay.analysis.reading import quoted
from kubeassay.checks.check import Context, Passed, Violation, check
from kubeassay.checks.rbac_common import InEffect, access_of, is_everything, roles_of, rules_in_effect, title
from kubeassay.model import Inventory, KubernetesVersion, Object, Path

#: More resources of a rule than these are counted, not named.
_MAX_RESOURCES = 4


@dataclass(frozen=True, slots=True)
class _ToldElsewhere:
    """A role that has what a rule is about by a wildcard, of which another rule tells: no finding, and no pass."""

    obj: Object | None


def _judged(
    inventory: Inventory, context: Context, found: Iterator[Violation | _ToldElsewhere]
) -> Iterator[Violation | Passed]:
    """The findings, and what passed: every other role of the inputs."""
    failed: set[int] = set()
    for violation in found:
        failed.add(id(violation.obj))
        if isinstance(violation, Violation):
            yield violation
    for _, obj in roles_of(access_of(inventory, context)):
        if id(obj) not in failed:
            yield Passed(obj)


def _at(effect: InEffect, message: str, *path: str | int) -> Violation:
    """A finding in a rule of a role. ``path``: from the rule on."""
    return Violation((*effect.rule.path, *path), message, obj=effect.rule.obj, related=effect.related)


# --- wildcards ---

#: What an ability is called in the list of what a wildcard includes.
_INCLUDED: Mapping[Ability, str] = {
    "impersonate-users": "impersonate",
    "impersonate-groups": "impersonate",
    "impersonate-accounts": "impersonate",
    "escalate-cluster-roles": "escalate",
    "escalate-roles": "escalate",
    "bind-cluster-roles": "bind",
    "bind-roles": "bind",
    "read-secrets": "reading every Secret",
    "create-pods": "running any pod",
    "change-workloads": "running any pod",
    "request-tokens": "creating tokens of service accounts",
    "exec": "running commands in pods",
    "nodes-proxy": "the kubelet's API (nodes/proxy)",
    "approve-csrs": "approving certificates",
    "approve-signer": "approving certificates",
    "write-mutating-webhooks": "admission webhooks",
    "write-validating-webhooks": "admission webhooks",
    "create-persistent-volumes": "persistent volumes of the node's files",
    "change-namespaces": "labels of namespaces",
}
#: What it is called of objects by name.
_INCLUDED_BY_NAME: Mapping[str, str] = {
    "reading every Secret": "reading these Secrets",
    "running any pod": "running any pod by these names",
    "creating tokens of service accounts": "creating tokens of these service accounts",
    "running commands in pods": "running commands in these pods",
}
#: On network policies, every write opens something.
_NETWORK_POLICY_WRITES = frozenset({"delete", "deletecollection", "update", "patch", ALL})


def _includes(effect: InEffect) -> str:
    """What a rule with wildcards includes, as the end of a message; empty: nothing that stands out."""
    cluster = effect.cluster_wide or (not effect.bindings and effect.role.kind == "ClusterRole")
    words = [
        # By name it is not every Secret, nor any pod.
        _INCLUDED_BY_NAME.get(_INCLUDED[ability.ability], _INCLUDED[ability.ability])
        if ability.names
        else _INCLUDED[ability.ability]
        for ability in effect.abilities
        if ability.ability in _INCLUDED and (ability.namespaced or cluster)
    ]
    rule = effect.rule
    on_policies = {"networking.k8s.io", ALL} & {*rule.api_groups} and {"networkpolicies", ALL} & {*rule.resources}
    if on_policies and not rule.resource_names and _NETWORK_POLICY_WRITES.intersection(rule.verbs):
        words.append("removing every NetworkPolicy")
    found = list(dict.fromkeys(words))
    if not found:
        return ""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f", among them {', '.join(found[:5])}{more}"


def _wildcard(inventory: Inventory, context: Context, field: str) -> Iterator[Violation | _ToldElsewhere]:
    for effect in rules_in_effect(inventory, context):
        rule = effect.rule
        values = {"verbs": rule.verbs, "resources": rule.resources, "apiGroups": rule.api_groups}[field]
        if ALL not in values or rule.non_resource_urls:
            continue
        if field == "apiGroups" and ALL in rule.resources and not effect.everything:
            # Every resource of every group: the rule on resources tells.
            yield _ToldElsewhere(rule.obj)
            continue
        if effect.everything:
            # Whoever binds it in the whole cluster is told so (cluster-admin-binding). One finding is enough.
            if effect.cluster_wide or field != "verbs":
                yield _ToldElsewhere(rule.obj)
                continue
            message = f"{title(effect.role)} grants every verb on every resource"
        elif field == "verbs":
            message = f"{title(effect.role)} grants every verb on {_resources(rule)}"
        elif field == "resources":
            message = f"{title(effect.role)} grants {_verbs(rule)} on every resource of {_groups(rule)}"
        else:
            message = f"{title(effect.role)} grants {_verbs(rule)} on {_resources(rule)} of every API group"
        included = _includes(effect)
        yield _at(effect, f"{message}{included}; {effect.where}", field, values.index(ALL))


def _verbs(rule: PolicyRule) -> str:
    return "every verb" if ALL in rule.verbs else ", ".join(rule.verbs)


def _resources(rule: PolicyRule) -> str:
    if ALL in rule.resources:
        return f"every resource of {_groups(rule)}" if ALL not in rule.api_groups else "every resource"
    shown, more = rule.resources[:_MAX_RESOURCES], len(rule.resources) - _MAX_RESOURCES
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _groups(rule: PolicyRule) -> str:
    if ALL in rule.api_groups:
        return "every API group"
    return ", ".join(group or "the core group" for group in rule.api_groups)


@check("wildcard-verbs")
def wildcard_verbs(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _wildcard(inventory, context, "verbs"))


@check("wildcard-resources")
def wildcard_resources(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _wildcard(inventory, context, "resources"))


@check("wildcard-api-groups")
def wildcard_api_groups(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _wildcard(inventory, context, "apiGroups"))


# --- secrets ---


def _secrets(inventory: Inventory, context: Context, *, cluster_wide: bool) -> Iterator[Violation | _ToldElsewhere]:
    for effect in rules_in_effect(inventory, context):
        if effect.rule.resource_names or effect.cluster_wide != cluster_wide:
            continue
        if not effect.bindings and effect.role.kind == "ClusterRole":
            # Nobody has it, and where somebody may have it one day is not said.
            continue
        if effect.everything:
            yield _ToldElsewhere(effect.rule.obj)
            continue
        for ability in effect.abilities:
            if ability.ability == "read-secrets":
                # A wildcard stands in the list of resources, a verb that reads in the list of verbs.
                named_secrets = "secrets" in effect.rule.resources
                path = ability.verb_path if named_secrets else ability.resource_path
                verbs = [verb for verb in ("get", "list", "watch") if {verb, ALL}.intersection(effect.rule.verbs)]
                message = f"{title(effect.role)} grants {', '.join(verbs)} on Secrets {effect.where}"
                yield Violation(path, message, obj=effect.rule.obj, related=effect.related)


@check("secrets-readable-cluster-wide")
def secrets_readable_cluster_wide(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _secrets(inventory, context, cluster_wide=True))


@check("secrets-readable")
def secrets_readable(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    """Bound in namespaces only, or not bound yet in its own namespace."""
    return _judged(inventory, context, _secrets(inventory, context, cluster_wide=False))


# --- single rights ---


@dataclass(frozen=True, slots=True)
class _Right:
    """A right that a rule of a role names: abilities, and what they mean. ``unless_named``: limited to objects by name
    it is as it should be."""

    abilities: tuple[Ability, ...]
    means: str
    unless_named: bool = True


_RIGHTS: Mapping[str, _Right] = {
    "pods-exec": _Right(("exec",), "runs commands in the pods"),
    "workload-creation": _Right(
        ("create-pods", "change-workloads"), "runs pods as any service account of the namespace"
    ),
    "service-account-token-request": _Right(("request-tokens",), "gets tokens of service accounts"),
    "impersonation": _Right(
        ("impersonate-users", "impersonate-groups", "impersonate-accounts"), "acts with the rights of others"
    ),
    "bind-or-escalate": _Right(
        ("escalate-cluster-roles", "escalate-roles", "bind-cluster-roles", "bind-roles"),
        "grants rights that it does not have",
    ),
    "nodes-proxy": _Right(("nodes-proxy",), "runs commands in every pod of a node", unless_named=False),
    "certificate-approval": _Right(("approve-csrs", "approve-signer"), "decides who is given a certificate"),
    "admission-webhook-change": _Right(
        ("write-mutating-webhooks", "write-validating-webhooks"), "sees, or changes, what others create"
    ),
    "persistent-volume-creation": _Right(("create-persistent-volumes",), "makes volumes of the node's files"),
    "namespace-change": _Right(("change-namespaces",), "changes the labels that pods and networks are judged by"),
}


def _roles_of_every_right(access: Access) -> Mapping[str, set[str]]:
    """By kind: the names of the roles that grant every verb on every resource."""
    found: dict[str, set[str]] = {"ClusterRole": set(), "Role": set()}
    for role in access.roles:
        if any(is_everything(rule) for rule in role.rules):
            found[role.kind].add(role.name)
    return found


def _right(rule_id: str, inventory: Inventory, context: Context) -> Iterator[Violation | _ToldElsewhere]:
    """Rules that name a right. What a wildcard includes, the rules on wildcards tell."""
    right = _RIGHTS[rule_id]
    every_right = _roles_of_every_right(access_of(inventory, context))

    def powerful_names(rule: PolicyRule, abilities: Iterable[Ability]) -> tuple[str, ...]:
        """The names in a rule that stand for every right, so that limiting it to them limits nothing."""
        known: set[str] = set()
        for ability in abilities:
            if ability in ("bind-cluster-roles", "escalate-cluster-roles") and "clusterroles" in rule.resources:
                known |= every_right["ClusterRole"]
            elif ability in ("bind-roles", "escalate-roles") and "roles" in rule.resources:
                known |= every_right["Role"]
            elif ability == "impersonate-groups" and "groups" in rule.resources:
                known.add(MASTERS)
        return tuple(name for name in rule.resource_names if name in known)

    for effect in rules_in_effect(inventory, context):
        rule = effect.rule
        if ALL in rule.resources or ALL in rule.api_groups:
            if not rule.resource_names and any(
                ability.ability in right.abilities and (ability.namespaced or effect.role.kind == "ClusterRole")
                for ability in effect.abilities
            ):
                yield _ToldElsewhere(rule.obj)
            continue
        powerful = powerful_names(rule, right.abilities) if rule.resource_names else ()
        if rule.resource_names and right.unless_named and not powerful:
            continue
        for ability in effect.abilities:
            if ability.ability not in right.abilities or (effect.role.kind == "Role" and not ability.namespaced):
                continue
            if ALL in rule.verbs and ability.verb not in rule.verbs:
                yield _ToldElsewhere(rule.obj)
                continue
            if powerful and not powerful_names(rule, (ability.ability,)):
                continue
            called = f" named {' and '.join(powerful)}" if powerful else ""
            granted = f"{title(effect.role)} grants {ability.verb} on {ability.resource}{called}"
            message = f"{granted}: whoever holds it {right.means}"
            yield Violation(
                ability.verb_path, f"{message}; {effect.where}", obj=effect.rule.obj, related=effect.related
            )
            break


@check("pods-exec")
def pods_exec(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("pods-exec", inventory, context))


@check("workload-creation")
def workload_creation(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("workload-creation", inventory, context))


@check("service-account-token-request")
def service_account_token_request(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("service-account-token-request", inventory, context))


@check("impersonation")
def impersonation(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("impersonation", inventory, context))


@check("bind-or-escalate")
def bind_or_escalate(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("bind-or-escalate", inventory, context))


@check("nodes-proxy")
def nodes_proxy(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("nodes-proxy", inventory, context))


@check("certificate-approval")
def certificate_approval(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("certificate-approval", inventory, context))


@check("admission-webhook-change")
def admission_webhook_change(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("admission-webhook-change", inventory, context))


@check("persistent-volume-creation")
def persistent_volume_creation(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("persistent-volume-creation", inventory, context))


@check("namespace-change")
def namespace_change(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _right("namespace-change", inventory, context))


# --- roles that are not as they should be ---


@check("unused-role")
def unused_role(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _unused(inventory, context))


def _unused(inventory: Inventory, context: Context) -> Iterator[Violation]:
    access = access_of(inventory, context)
    bound = {id(binding.role) for binding in access.bindings}
    # Rules of this role that another one takes over by aggregation.
    aggregated = {
        id(rule) for role in access.roles if role.aggregated for rule in role.rules if rule.obj is not role.obj
    }
    # Roles that somebody may bind by name: an operator does so when it needs them.
    bindable = {
        (kind, name)
        for role in access.roles
        for rule in role.rules
        for name in rule.resource_names
        for kind, resource in (("ClusterRole", "clusterroles"), ("Role", "roles"))
        if allows_resource(rule, "bind", GROUP, resource, name=name)
    }
    defaults = bootstrap().known_roles
    for role, obj in roles_of(access):
        if id(role) in bound or (role.kind, role.name) in bindable or (role.namespace, role.name) in defaults:
            continue
        # system: marks the roles of components; their bindings come with them.
        if role.name.startswith("system:") or any(id(rule) in aggregated for rule in role.rules):
            continue
        if not role.rules and not role.aggregated and _aggregates_to(obj):
            continue
        yield Violation(("metadata", "name"), f"{title(role)} is bound to nobody among the inputs", obj=obj)


def _aggregates_to(obj: Object) -> bool:
    labels = obj.get("metadata", "labels", default={})
    return isinstance(labels, dict) and any("aggregate-to-" in label for label in labels)


@check("bootstrap-role-changed")
def bootstrap_role_changed(inventory: Inventory, context: Context) -> Iterator[Violation]:
    """Aggregation into edit and admin is what these roles are made for; view is to show no secret and run nothing."""
    minor = context.kubernetes_version.minor
    by_object = {id(obj): role for role, obj in roles_of(access_of(inventory, context))}
    for change in changes(inventory):
        path: Path = change.path
        if change.kind == "aggregated":
            role = by_object.get(id(change.obj))
            if change.default != "ClusterRole view" or role is None:
                continue
            if not any(allowed(rule, minor) for rule in role.rules):
                continue
        elif not change.lasting and change.kind != "role-changed":
            # An API server puts back what is missing when it starts.
            continue
        yield Violation(path, f"{change.obj.ref} {change}", obj=change.obj)


# --- resources that do not exist ---

#: Resources that no discovery document names: they exist for authorization alone.
#: kubernetes v1.37.1: apiserver, pkg/endpoints/filters/impersonation; plugin/pkg/admission/certificates.
_ONLY_AUTHORIZED = frozenset(
    {
        *(("", name) for name in (*IMPERSONATED, "serviceaccounts")),
        ("authentication.k8s.io", "userextras"),
        ("authentication.k8s.io", "uids"),
        ("certificates.k8s.io", "signers"),
    }
)
#: What Kubernetes had until a minor version, and where its successor is.
_REMOVED: Mapping[tuple[str, str], tuple[int, str]] = {
    ("policy", "podsecuritypolicies"): (25, "Pod Security Admission takes its place"),
    ("extensions", "podsecuritypolicies"): (16, "Pod Security Admission takes its place"),
    ("extensions", "deployments"): (16, "it is in group apps"),
    ("extensions", "daemonsets"): (16, "it is in group apps"),
    ("extensions", "replicasets"): (16, "it is in group apps"),
    ("extensions", "networkpolicies"): (16, "it is in group networking.k8s.io"),
    ("extensions", "ingresses"): (22, "it is in group networking.k8s.io"),
}


@check("role-names-missing-resource")
def role_names_missing_resource(inventory: Inventory, context: Context) -> Iterator[Violation | Passed]:
    return _judged(inventory, context, _missing_resources(inventory, context))


def _missing_resources(inventory: Inventory, context: Context) -> Iterator[Violation]:
    types = resource_types(inventory)
    groups = {resource.group for resource in types.all if resource.definition is None}
    for effect in rules_in_effect(inventory, context):
        rule = effect.rule
        # A rule may name one resource in several groups, for clusters of several ages: one of them is enough.
        if not all(group in groups or group == "extensions" for group in rule.api_groups):
            continue
        for number, text in enumerate(rule.resources):
            name, _, subresource = text.partition("/")
            if name == ALL:
                continue
            if any(_exists(types, group, name, context.kubernetes_version) for group in rule.api_groups):
                near = _missing_subresource(types, rule, name, subresource)
                if near is not None:
                    message = (
                        f"{title(effect.role)} names {quoted(text)}: {name} has no subresource {subresource}{near}"
                    )
                    yield _at(effect, message, "resources", number)
                continue
            message = f"{title(effect.role)} names {quoted(text)}, which is no resource of {_groups(rule)}"
            yield _at(effect, f"{message}: {_hint(types, rule, name, context)}", "resources", number)


def _missing_subresource(types: ResourceTypes, rule: PolicyRule, name: str, subresource: str) -> str | None:
    """What is meant, perhaps, by a subresource that no such resource has; None where one has it, or is not known."""
    known = [resource for group in rule.api_groups if (resource := types.get(group, name)) is not None]
    if not subresource or subresource == ALL or len(known) < len(rule.api_groups):
        return None
    if any(resource.has_subresource(subresource) for resource in known):
        return None
    names = sorted({one for resource in known for one in resource.subresources})
    close = difflib.get_close_matches(subresource, names, n=1)
    return f"; {close[0]} is meant, perhaps" if close else ""


def _exists(types: ResourceTypes, group: str, name: str, version: KubernetesVersion) -> bool:
    if (group, name) in _ONLY_AUTHORIZED or types.get(group, name) is not None:
        return True
    until, _ = _REMOVED.get((group, name), (0, ""))
    return version.minor < until


def _hint(types: ResourceTypes, rule: PolicyRule, name: str, context: Context) -> str:
    for group in rule.api_groups:
        removed = _REMOVED.get((group, name))
        if removed is not None:
            return f"Kubernetes {context.kubernetes_version} has it no more, since 1.{removed[0]} {removed[1]}"
    near = types.resolve(name).type
    if near is None:
        return "the rule grants nothing"
    if near.group in rule.api_groups:
        return f"the rule grants nothing; the resource is called {near.name}"
    return f"the rule grants nothing; {near.name} is in {f'group {near.group}' if near.group else 'the core group'}"
