"""What rules of roles allow, as far as it matters for privilege escalation.

The requests are those that Kubernetes documents as risks (website, docs/concepts/security/rbac-good-practices.md,
"Kubernetes RBAC - privilege escalation risks"), and those that amount to the same: changing a workload is running a
pod, attaching to a container is executing in it, a mutating policy is a mutating webhook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from kubeassay.analysis.access.matching import ALL
from kubeassay.analysis.access.model import GROUP, PolicyRule
from kubeassay.model import Path

Ability = Literal[
    "everything",
    "create-pods",
    "change-workloads",
    "change-pods",
    "debug-pods",
    "exec",
    "read-secrets",
    "patch-secrets",
    "create-secrets",
    "delete-secrets",
    "request-tokens",
    "impersonate-accounts",
    "impersonate-users",
    "impersonate-groups",
    "escalate-cluster-roles",
    "escalate-roles",
    "create-cluster-roles",
    "create-roles",
    "change-cluster-roles",
    "change-roles",
    "bind-cluster-roles",
    "bind-roles",
    "write-cluster-role-bindings",
    "write-role-bindings",
    "nodes-proxy",
    "create-csrs",
    "approve-csrs",
    "approve-signer",
    "write-mutating-webhooks",
    "write-validating-webhooks",
    "write-mutating-policies",
    "write-mutating-policy-bindings",
    "change-namespaces",
    "create-persistent-volumes",
]

_ADMISSION = "admissionregistration.k8s.io"
_CERTIFICATES = "certificates.k8s.io"
_WRITE = ("update", "patch")

#: From this minor version on, attaching over a websocket needs the verb create like every other way to do it.
#: kubernetes v1.37.1, pkg/features/kube_features.go, AuthorizePodWebsocketUpgradeCreatePermission.
_WEBSOCKET_NEEDS_CREATE = 35
#: kubernetes v1.37.1, pkg/features/kube_features.go, MutatingAdmissionPolicy: on by default.
_MUTATING_POLICIES = 36


@dataclass(frozen=True, slots=True)
class Request:
    """Requests that are one ability. ``resource`` with its subresource, as rules write it. ``named``: they name an
    object, so a rule with resourceNames allows them for these. ``namespaced``: a grant in one namespace allows them
    there. ``since``, ``until``: minor versions, the last one excluded."""

    ability: Ability
    verbs: tuple[str, ...]
    group: str
    resource: str
    named: bool = True
    namespaced: bool = True
    since: int = 0
    until: int = 1000


#: Workloads whose pod template can be changed. A Job's cannot.
_CHANGEABLE = (
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("", "replicationcontrollers"),
    ("batch", "cronjobs"),
)
#: Resource → kind.
WORKLOAD_KINDS: Mapping[str, str] = {
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "cronjobs": "CronJob",
}

REQUESTS: tuple[Request, ...] = (
    Request("create-pods", ("create",), "", "pods", named=False),
    *(Request("create-pods", ("create",), group, resource, named=False) for group, resource in _CHANGEABLE),
    Request("create-pods", ("create",), "batch", "jobs", named=False),
    *(Request("change-workloads", _WRITE, group, resource) for group, resource in _CHANGEABLE),
    # The image of a running pod can be changed, and a container added to it; one that is added may be privileged.
    Request("change-pods", _WRITE, "", "pods"),
    Request("debug-pods", _WRITE, "", "pods/ephemeralcontainers"),
    Request("exec", ("create",), "", "pods/exec"),
    Request("exec", ("create",), "", "pods/attach"),
    Request("exec", ("get",), "", "pods/exec", until=_WEBSOCKET_NEEDS_CREATE),
    Request("exec", ("get",), "", "pods/attach", until=_WEBSOCKET_NEEDS_CREATE),
    Request("read-secrets", ("list", "watch", "get"), "", "secrets"),
    # The answer to a patch, of nothing even, is the whole object.
    Request("patch-secrets", ("patch",), "", "secrets"),
    Request("create-secrets", ("create",), "", "secrets", named=False),
    Request("delete-secrets", ("delete",), "", "secrets"),
    Request("request-tokens", ("create",), "", "serviceaccounts/token"),
    Request("impersonate-accounts", ("impersonate",), "", "serviceaccounts"),
    Request("impersonate-users", ("impersonate",), "", "users", namespaced=False),
    Request("impersonate-groups", ("impersonate",), "", "groups", namespaced=False),
    Request("escalate-cluster-roles", ("escalate",), GROUP, "clusterroles", namespaced=False),
    Request("escalate-roles", ("escalate",), GROUP, "roles"),
    Request("create-cluster-roles", ("create",), GROUP, "clusterroles", named=False, namespaced=False),
    Request("create-roles", ("create",), GROUP, "roles", named=False),
    Request("change-cluster-roles", _WRITE, GROUP, "clusterroles", namespaced=False),
    Request("change-roles", _WRITE, GROUP, "roles"),
    # Checked in the namespace of the binding, so a grant there allows to bind a ClusterRole there.
    # kubernetes v1.37.1, pkg/registry/rbac/escalation_check.go, BindingAuthorized.
    Request("bind-cluster-roles", ("bind",), GROUP, "clusterroles"),
    Request("bind-roles", ("bind",), GROUP, "roles"),
    Request("write-cluster-role-bindings", ("create",), GROUP, "clusterrolebindings", named=False, namespaced=False),
    Request("write-cluster-role-bindings", _WRITE, GROUP, "clusterrolebindings", namespaced=False),
    Request("write-role-bindings", ("create",), GROUP, "rolebindings", named=False),
    Request("write-role-bindings", _WRITE, GROUP, "rolebindings"),
    # get is enough: a websocket is opened with GET, and the kubelet asks for the verb of the HTTP method.
    # kubernetes v1.37.1, pkg/kubelet/server/auth.go, GetRequestAttributes.
    Request("nodes-proxy", ("create", "get"), "", "nodes/proxy", namespaced=False),
    Request("create-csrs", ("create",), _CERTIFICATES, "certificatesigningrequests", named=False, namespaced=False),
    Request("approve-csrs", _WRITE, _CERTIFICATES, "certificatesigningrequests/approval", namespaced=False),
    Request("approve-signer", ("approve",), _CERTIFICATES, "signers", namespaced=False),
    Request(
        "write-mutating-webhooks",
        ("create",),
        _ADMISSION,
        "mutatingwebhookconfigurations",
        named=False,
        namespaced=False,
    ),
    Request("write-mutating-webhooks", _WRITE, _ADMISSION, "mutatingwebhookconfigurations", namespaced=False),
    Request(
        "write-validating-webhooks",
        ("create",),
        _ADMISSION,
        "validatingwebhookconfigurations",
        named=False,
        namespaced=False,
    ),
    Request("write-validating-webhooks", _WRITE, _ADMISSION, "validatingwebhookconfigurations", namespaced=False),
    Request(
        "write-mutating-policies",
        ("create", *_WRITE),
        _ADMISSION,
        "mutatingadmissionpolicies",
        named=False,
        namespaced=False,
        since=_MUTATING_POLICIES,
    ),
    Request(
        "write-mutating-policy-bindings",
        ("create", *_WRITE),
        _ADMISSION,
        "mutatingadmissionpolicybindings",
        named=False,
        namespaced=False,
        since=_MUTATING_POLICIES,
    ),
    # A request for a namespace counts as one in it (apiserver, request/requestinfo.go), so a Role can allow it.
    Request("change-namespaces", _WRITE, "", "namespaces"),
    Request("create-persistent-volumes", ("create",), "", "persistentvolumes", named=False, namespaced=False),
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """An ability that one rule gives. ``names``: of these objects alone; empty: of all. ``verb`` and ``resource``: the
    first request of the ability that the rule allows. The paths, from the role's root, lead to the entries of the rule
    that allow it."""

    ability: Ability
    names: tuple[str, ...]
    verb: str
    group: str
    resource: str
    verb_path: Path
    resource_path: Path
    namespaced: bool


def allowed(rule: PolicyRule, minor: int, requests: Iterable[Request] = REQUESTS) -> tuple[Allowed, ...]:
    """The abilities that a rule gives, each once (once a resource for changing workloads, whose names differ)."""
    if rule.non_resource_urls or not rule.verbs:
        return ()
    found: dict[tuple[Ability, str], Allowed] = {}
    everything = ALL in rule.verbs and ALL in rule.api_groups and ALL in rule.resources
    if everything and not rule.resource_names:
        found["everything", ""] = _allowed("everything", rule, "*", "*", "*", namespaced=True)
    verbs, groups, resources = set(rule.verbs), set(rule.api_groups), set(rule.resources)
    any_verb, any_group, any_resource = ALL in verbs, ALL in groups, ALL in resources
    for request in requests:
        if not any_group and request.group not in groups:
            continue
        if not any_resource and request.resource not in resources:
            _, slash, subresource = request.resource.partition("/")
            if not slash or f"*/{subresource}" not in resources:
                continue
        if not request.since <= minor < request.until:
            continue
        if rule.resource_names and not request.named and not _applies(verbs, request):
            continue
        key = request.ability, request.resource if request.ability == "change-workloads" and rule.resource_names else ""
        if key in found:
            continue
        verb = next((verb for verb in request.verbs if any_verb or verb in verbs), None)
        if verb is not None:
            found[key] = _allowed(
                request.ability, rule, verb, request.group, request.resource, namespaced=request.namespaced
            )
    return tuple(found.values())


def _applies(verbs: set[str], request: Request) -> bool:
    """Whether a rule with resourceNames allows to create what has such a name: a POST says no name, but server-side
    apply does, and is authorized as patch and as create of that name. For RBAC, so is an update.

    apiserver v0.37.1, pkg/endpoints/handlers/patch.go and update.go (withAuthorization); kubernetes v1.37.1,
    pkg/registry/rbac/role/strategy.go (AllowCreateOnUpdate).
    """
    if ALL in verbs:
        return True
    writes = _WRITE if request.group == GROUP else ("patch",)
    return "create" in request.verbs and "create" in verbs and not verbs.isdisjoint(writes)


def _allowed(ability: Ability, rule: PolicyRule, verb: str, group: str, resource: str, *, namespaced: bool) -> Allowed:
    _, slash, subresource = resource.partition("/")
    verb_path = (*rule.path, "verbs", _position(rule.verbs, verb, ALL))
    resource_path = (*rule.path, "resources", _position(rule.resources, resource, f"*/{subresource}" if slash else ALL))
    return Allowed(ability, rule.resource_names, verb, group, resource, verb_path, resource_path, namespaced)


def _position(values: tuple[str, ...], *wanted: str) -> int:
    for value in (*wanted, ALL):
        if value in values:
            return values.index(value)
    raise ValueError(f"none of {wanted} in {values}")
