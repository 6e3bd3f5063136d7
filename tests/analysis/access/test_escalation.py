"""Each documented escalation path, the conditions without which it is none, and that paths are the shortest."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import objects_in, run_within_seconds
from kubeassay.analysis.access.escalation import OUTCOMES, Escalation, Escalations, Outcome, escalations
from kubeassay.analysis.access.model import Subject
from kubeassay.model import Inventory

RBAC = "rbac.authorization.k8s.io"
EVE = Subject("User", "eve")
AGGREGATION = "ServiceAccount kube-system/clusterrole-aggregation-controller"


def rule(groups: str, resources: str, verbs: str, *names: str) -> dict[str, Any]:
    """A rule; values are separated by blanks, and ``core`` is the core group."""
    stated = {
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return {**stated, "resourceNames": list(names)} if names else stated


def role(name: str, *rules: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": list(rules)}


def binding(
    role_name: str, subject: Subject, *, namespace: str | None = None, kind: str | None = None
) -> dict[str, Any]:
    """A binding of a role to a subject. ``kind``: of the role, where it is not that of the binding's scope."""
    stated: dict[str, Any] = {"kind": subject.kind, "name": subject.name}
    if subject.kind == "ServiceAccount":
        stated["namespace"] = subject.namespace
    metadata = {
        "name": f"{role_name}-{subject.name}".replace(":", "-"),
        **({"namespace": namespace} if namespace else {}),
    }
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": kind or ("Role" if namespace else "ClusterRole"), "name": role_name},
        "subjects": [stated],
    }


def may(*rules: dict[str, Any], namespace: str | None = None, subject: Subject = EVE) -> list[dict[str, Any]]:
    """A role with some rules, bound to a subject; in a namespace, or in the whole cluster."""
    return [role("some", *rules, namespace=namespace), binding("some", subject, namespace=namespace)]


def account(namespace: str, name: str) -> Subject:
    return Subject("ServiceAccount", name, namespace)


def deployment(namespace: str, name: str, account_name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "registry.example/app:1.0", **spec.pop("container", {})}
    pod = {"serviceAccountName": account_name, "containers": [container], **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def namespace_object(name: str, level: str | None = None) -> dict[str, Any]:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


#: An account that is cluster-admin, in the namespace jobs, whose pods are restricted.
STRONG = [
    binding("cluster-admin", account("jobs", "deployer")),
    namespace_object("jobs", "restricted"),
]


def found(*objects: dict[str, Any], minor: int = 37) -> Escalations:
    return escalations(Inventory(objects_in(yaml.safe_dump_all(objects))), minor)


def path(*objects: dict[str, Any], to: Outcome = "cluster-admin", subject: Subject = EVE, minor: int = 37) -> str:
    """Where the path of a subject leads, as text; empty where there is none."""
    return shown(found(*objects, minor=minor).path(subject, to))


def shown(escalation: Escalation | None) -> str:
    if escalation is None:
        return ""
    stations = [str(escalation.subject), *(str(step.target) for step in escalation.steps)]
    return " > ".join(stations) + (" ?" if escalation.assumptions else "")


ADMIN = "User eve > cluster-admin"
THROUGH_JOBS = "User eve > ServiceAccount jobs/deployer > cluster-admin"
THROUGH_SYSTEM = f"User eve > {AGGREGATION} > cluster-admin"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("*", "*", "*")], ADMIN),
        ([rule("core", "pods", "create")], THROUGH_SYSTEM),
        ([rule("apps", "deployments", "patch")], THROUGH_SYSTEM),
        ([rule("batch", "jobs", "create")], THROUGH_SYSTEM),
        # The pod template of a Job cannot be changed.
        ([rule("batch", "jobs", "update patch delete")], ""),
        ([rule("core", "pods", "get list watch delete")], ""),
        ([rule("core", "serviceaccounts/token", "create")], THROUGH_SYSTEM),
        ([rule("core", "serviceaccounts", "create get")], ""),
        ([rule("core", "serviceaccounts", "impersonate")], THROUGH_SYSTEM),
        ([rule("core", "users groups", "impersonate")], ADMIN),
        # A group is never impersonated alone, and a user of that name holds nothing.
        ([rule("core", "groups", "impersonate")], ""),
        ([rule("core", "users", "impersonate", "nobody"), rule("core", "groups", "impersonate", "nothing")], ""),
        (
            [rule("core", "users", "impersonate", "nobody"), rule("core", "groups", "impersonate", "system:masters")],
            ADMIN,
        ),
        ([rule("core", "userextras uids", "impersonate")], ""),
        ([rule("authentication.k8s.io", "users groups", "impersonate:user-info")], ""),
        ([rule(RBAC, "clusterroles", "escalate update")], ADMIN),
        ([rule(RBAC, "clusterroles", "escalate update", "some")], ADMIN),
        ([rule(RBAC, "clusterroles", "escalate update", "another")], ""),
        ([rule(RBAC, "clusterroles", "escalate")], ""),
        ([rule(RBAC, "clusterroles clusterrolebindings", "create update patch")], ""),
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "clusterrolebindings", "create")], ADMIN),
        ([rule(RBAC, "clusterroles", "bind", "view"), rule(RBAC, "clusterrolebindings", "create")], ""),
        ([rule(RBAC, "clusterroles", "bind", "cluster-admin"), rule(RBAC, "clusterrolebindings", "create")], ADMIN),
        # The subjects of an existing binding can be changed.
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "clusterrolebindings", "patch", "cluster-admin")], ADMIN),
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "clusterrolebindings", "patch", "system:discovery")], ""),
        # In every namespace is in kube-system.
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "rolebindings", "create")], THROUGH_SYSTEM),
        ([rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "patch")], ADMIN),
        (
            [
                rule(
                    "admissionregistration.k8s.io",
                    "mutatingadmissionpolicies mutatingadmissionpolicybindings",
                    "create",
                )
            ],
            ADMIN,
        ),
        ([rule("admissionregistration.k8s.io", "mutatingadmissionpolicies", "create")], ""),
        ([rule("admissionregistration.k8s.io", "validatingwebhookconfigurations", "patch")], f"{THROUGH_SYSTEM} ?"),
        ([rule("core", "secrets", "list")], f"{THROUGH_SYSTEM} ?"),
        ([rule("core", "secrets", "get", "one")], ""),
        ([rule("core", "secrets", "create")], ""),
        ([rule("core", "secrets", "create get")], THROUGH_SYSTEM),
        ([rule("core", "secrets", "create patch")], THROUGH_SYSTEM),
        ([rule("core", "secrets", "update patch delete")], ""),
        ([rule("core", "*", "get")], f"{THROUGH_SYSTEM} ?"),
        ([rule("core", "nodes", "delete")], ""),
        ([rule("core", "configmaps services", "*")], ""),
    ],
)
def test_what_a_cluster_wide_grant_leads_to(rules: list[dict[str, Any]], expected: str) -> None:
    assert path(*may(*rules)) == expected


CSR = "certificates.k8s.io"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            [
                rule(CSR, "certificatesigningrequests", "create"),
                rule(CSR, "certificatesigningrequests/approval", "update"),
                rule(CSR, "signers", "approve", "kubernetes.io/kube-apiserver-client"),
            ],
            "User eve > Group admins > cluster-admin",
        ),
        (
            [
                rule(CSR, "certificatesigningrequests certificatesigningrequests/approval", "create update"),
                rule(CSR, "signers", "approve", "kubernetes.io/*"),
            ],
            "User eve > Group admins > cluster-admin",
        ),
        (
            [
                rule(CSR, "certificatesigningrequests certificatesigningrequests/approval", "create update"),
                rule(CSR, "signers", "approve", "kubernetes.io/kubelet-serving"),
            ],
            "",
        ),
        ([rule(CSR, "certificatesigningrequests certificatesigningrequests/approval", "create update")], ""),
        ([rule(CSR, "certificatesigningrequests", "create"), rule(CSR, "signers", "approve")], ""),
    ],
)
def test_certificates_make_anybody_but_system_masters(rules: list[dict[str, Any]], expected: str) -> None:
    admins = binding("cluster-admin", Subject("Group", "admins"))
    assert path(*may(*rules), admins) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("core", "pods", "create")], THROUGH_JOBS),
        # Whether there is one of that name is not told.
        ([rule("apps", "statefulsets", "update", "one")], f"{THROUGH_JOBS} ?"),
        ([rule("core", "pods", "create", "one")], ""),
        ([rule("core", "secrets", "create watch")], THROUGH_JOBS),
        ([rule("core", "serviceaccounts/token", "create", "deployer")], THROUGH_JOBS),
        ([rule("core", "serviceaccounts/token", "create", "another")], ""),
        ([rule("core", "serviceaccounts", "impersonate", "deployer")], THROUGH_JOBS),
        # These are in no namespace.
        ([rule("core", "users groups", "impersonate")], ""),
        ([rule(RBAC, "clusterroles", "escalate update")], ""),
        ([rule("core", "nodes/proxy", "get")], ""),
        ([rule(RBAC, "roles", "escalate update")], THROUGH_JOBS),
        ([rule(RBAC, "roles", "escalate create")], ""),
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "rolebindings", "create")], THROUGH_JOBS),
        ([rule(RBAC, "clusterroles", "bind", "edit"), rule(RBAC, "rolebindings", "create")], THROUGH_JOBS),
        ([rule(RBAC, "clusterroles", "bind", "view"), rule(RBAC, "rolebindings", "create")], ""),
        ([rule("*", "*", "*")], THROUGH_JOBS),
        ([rule("core", "secrets", "list")], f"{THROUGH_JOBS} ?"),
    ],
)
def test_what_a_grant_in_one_namespace_leads_to(rules: list[dict[str, Any]], expected: str) -> None:
    assert path(*may(*rules, namespace="jobs"), *STRONG) == expected


def test_a_grant_in_another_namespace_leads_nowhere() -> None:
    assert (
        path(*may(rule("core", "pods", "create"), namespace="web"), *STRONG, namespace_object("web", "baseline")) == ""
    )


def test_a_secret_that_holds_a_token_needs_no_assumption() -> None:
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "one",
            "namespace": "jobs",
            "annotations": {"kubernetes.io/service-account.name": "deployer"},
        },
    }
    assert path(*may(rule("core", "secrets", "get", "one"), namespace="jobs"), *STRONG, token) == THROUGH_JOBS
    assert path(*may(rule("core", "secrets", "list"), namespace="jobs"), *STRONG, token) == THROUGH_JOBS
    assert path(*may(rule("core", "secrets", "get", "two"), namespace="jobs"), *STRONG, token) == ""


@pytest.mark.parametrize(
    ("verb", "minor", "expected"),
    [
        ("create", 37, THROUGH_JOBS),
        ("get", 34, THROUGH_JOBS),
        # kubernetes v1.37.1, pkg/features/kube_features.go: a websocket needs create, too.
        ("get", 35, ""),
    ],
)
def test_a_shell_in_a_pod_has_its_token(verb: str, minor: int, expected: str) -> None:
    grant = may(rule("core", "pods/exec", verb), namespace="jobs")
    assert path(*grant, *STRONG, deployment("jobs", "runner", "deployer"), minor=minor) == expected


def test_a_shell_in_a_pod_without_a_token_has_none() -> None:
    grant = may(rule("core", "pods/exec", "create"), namespace="jobs")
    without = deployment("jobs", "runner", "deployer", automountServiceAccountToken=False)
    assert path(*grant, *STRONG, without) == ""
    declared = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "deployer", "namespace": "jobs"},
        "automountServiceAccountToken": False,
    }
    assert path(*grant, *STRONG, deployment("jobs", "runner", "deployer"), declared) == ""
    overruled = deployment("jobs", "runner", "deployer", automountServiceAccountToken=True)
    assert path(*grant, *STRONG, overruled, declared) == THROUGH_JOBS


def test_a_shell_in_a_privileged_pod_is_the_node() -> None:
    grant = may(rule("core", "pods/attach", "create"), namespace="jobs")
    privileged = deployment("jobs", "runner", "deployer", container={"securityContext": {"privileged": True}})
    assert path(*grant, privileged, to="node") == "User eve > node"
    assert path(*grant, deployment("jobs", "runner", "deployer"), to="node") == ""


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        ([namespace_object("web")], "User eve > node"),
        ([namespace_object("web", "privileged")], "User eve > node"),
        ([namespace_object("web", "baseline")], ""),
        ([namespace_object("web", "no level")], ""),
        ([], "User eve > node ?"),
    ],
)
def test_who_runs_pods_where_no_standard_is_enforced_is_on_the_node(
    namespaces: list[dict[str, Any]], expected: str
) -> None:
    assert path(*may(rule("core", "pods", "create"), namespace="web"), *namespaces, to="node") == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("core", "nodes/proxy", "get")], "User eve > node"),
        ([rule("core", "nodes/proxy", "create")], "User eve > node"),
        ([rule("core", "nodes", "get")], ""),
        ([rule("core", "persistentvolumes", "create")], ""),
        ([rule("core", "namespaces", "patch")], ""),
    ],
)
def test_what_leads_to_the_node(rules: list[dict[str, Any]], expected: str) -> None:
    assert path(*may(*rules), to="node") == expected


def test_two_grants_together_pass_pod_security_admission() -> None:
    web = namespace_object("web", "restricted")
    pods = [
        role("pods", rule("core", "pods", "create"), namespace="web"),
        binding("pods", EVE, namespace="web"),
    ]
    assert path(*pods, web, to="node") == ""
    assert path(*pods, web, *may(rule("core", "namespaces", "patch")), to="node") == "User eve > node"
    assert path(*pods, web, *may(rule("core", "namespaces", "patch", "web")), to="node") == "User eve > node"
    assert path(*pods, web, *may(rule("core", "namespaces", "patch", "shop")), to="node") == ""
    # A request for a namespace counts as one in it.
    own = may(rule("core", "namespaces", "patch"), namespace="web")
    assert path(*pods, web, *own, to="node") == "User eve > node"
    assert path(*pods, web, *may(rule("core", "persistentvolumes", "create")), to="node") == "User eve > node"


def test_the_node_has_the_tokens_of_the_pods() -> None:
    grant = may(rule("core", "nodes/proxy", "get"))
    strong = [*STRONG, deployment("jobs", "runner", "deployer")]
    assert path(*grant, *strong) == "User eve > node > ServiceAccount jobs/deployer > cluster-admin"


def test_paths_go_through_several_namespaces() -> None:
    first = may(rule("batch", "cronjobs", "patch"), namespace="web")
    second = [
        role("tokens", rule("core", "serviceaccounts/token", "create"), namespace="jobs"),
        binding("tokens", account("web", "app"), namespace="jobs"),
    ]
    expected = "User eve > ServiceAccount web/app > ServiceAccount jobs/deployer > cluster-admin"
    assert path(*first, *second, *STRONG, namespace_object("web", "baseline")) == expected


def test_a_member_has_what_its_group_has() -> None:
    everybody = Subject("Group", "system:serviceaccounts:web")
    all_found = found(
        *may(rule("core", "pods", "create"), namespace="jobs", subject=everybody),
        *STRONG,
        deployment("web", "a", "app"),
    )
    escalation = all_found.path(account("web", "app"), "cluster-admin")
    assert escalation is not None
    assert escalation.group == everybody
    assert shown(escalation) == "ServiceAccount web/app > ServiceAccount jobs/deployer > cluster-admin"
    assert escalation.steps[0].how == (
        "as a member of Group system:serviceaccounts:web can create pods in namespace jobs, which can run as"
        " ServiceAccount jobs/deployer"
    )
    # Nothing names this one: it is in its group all the same.
    assert all_found.path(account("web", "new"), "cluster-admin") is not None
    assert all_found.path(account("other", "app"), "cluster-admin") is None


def test_one_half_of_a_path_may_come_from_a_group() -> None:
    authenticated = Subject("Group", "system:authenticated")
    half = [
        role("binds", rule(RBAC, "clusterroles", "bind")),
        binding("binds", authenticated),
    ]
    assert path(*half, *may(rule(RBAC, "clusterrolebindings", "create"))) == ADMIN
    assert path(*half, subject=authenticated) == ""


def test_a_path_names_the_rules_and_bindings_that_it_needs() -> None:
    escalation = found(*may(rule("core", "configmaps pods", "get create"), namespace="jobs"), *STRONG).path(
        EVE, "cluster-admin"
    )
    assert escalation is not None
    first, second = escalation.steps
    assert first.how == "can create pods in namespace jobs, which can run as ServiceAccount jobs/deployer"
    (use,) = first.uses
    assert use.allowed.verb_path == ("rules", 0, "verbs", 1)
    assert use.allowed.resource_path == ("rules", 0, "resources", 1)
    assert use.grant is not None
    assert use.grant.binding is not None
    assert use.grant.subject_path == ("subjects", 0)
    assert second.how == "can do everything: it is granted every verb on every resource"
    assert not escalation.direct
    assert not escalation.default


def test_a_wildcard_subresource_is_that_subresource() -> None:
    assert path(*may(rule("core", "*/token", "create")), subject=EVE) == THROUGH_SYSTEM
    assert path(*may(rule("core", "pods/*", "create"))) == ""


def test_what_kubernetes_grants_itself_is_told_apart() -> None:
    all_found = found(*may(rule("core", "pods", "get")))
    own = [subject for subject in all_found.subjects if all_found.default(subject)]
    assert EVE in all_found.subjects
    assert EVE not in own
    assert Subject("Group", "system:masters") in own
    controller = account("kube-system", "clusterrole-aggregation-controller")
    escalation = all_found.path(controller, "cluster-admin")
    assert escalation is not None
    assert escalation.default


def test_nothing_is_found_without_bindings_of_the_inputs_but_what_kubernetes_has_itself() -> None:
    nothing = found(role("some", rule("*", "*", "*")))
    assert [
        subject
        for subject in nothing.subjects
        for outcome in OUTCOMES
        if nothing.path(subject, outcome) and not nothing.default(subject)
    ] == []


def test_the_same_objects_in_another_order_give_the_same_stations() -> None:
    objects = [*may(rule("core", "pods secrets", "create list"), namespace="jobs"), *STRONG]
    assert path(*objects) == path(*reversed(objects))


def pod(namespace: str, name: str, account_name: str, **container: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "registry.example/app:1.0", **container}]
    spec = {"serviceAccountName": account_name, "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule(RBAC, "roles rolebindings", "*")], THROUGH_SYSTEM),
        ([rule(RBAC, "clusterroles clusterrolebindings", "*")], ADMIN),
        ([rule(RBAC, "roles", "create escalate bind"), rule(RBAC, "rolebindings", "create")], THROUGH_SYSTEM),
        # Without escalate, those of Kubernetes itself can be bound: one of them reads Secrets.
        ([rule(RBAC, "roles", "create bind"), rule(RBAC, "rolebindings", "create")], f"{THROUGH_SYSTEM} ?"),
        (
            [
                rule(RBAC, "clusterroles", "create escalate"),
                rule(RBAC, "clusterroles", "bind", "new"),
                rule(RBAC, "clusterrolebindings", "create"),
            ],
            ADMIN,
        ),
        # There is one of that name already, and it cannot be changed.
        (
            [
                rule(RBAC, "clusterroles", "create escalate"),
                rule(RBAC, "clusterroles", "bind", "view"),
                rule(RBAC, "clusterrolebindings", "create"),
            ],
            "",
        ),
        (
            [
                rule(RBAC, "clusterroles", "update escalate bind", "view"),
                rule(RBAC, "clusterrolebindings", "create"),
            ],
            ADMIN,
        ),
        # A POST names no role: escalate by name allows it to whoever writes by name.
        (
            [
                rule(RBAC, "clusterroles", "create"),
                rule(RBAC, "clusterroles", "escalate bind", "new"),
                rule(RBAC, "clusterrolebindings", "create"),
            ],
            "",
        ),
        (
            [
                rule(RBAC, "clusterroles", "create"),
                rule(RBAC, "clusterroles", "escalate patch bind", "new"),
                rule(RBAC, "clusterrolebindings", "create"),
            ],
            ADMIN,
        ),
    ],
)
def test_a_role_of_every_right_can_be_made_and_bound(rules: list[dict[str, Any]], expected: str) -> None:
    assert path(*may(*rules)) == expected


def test_roles_are_made_in_one_namespace() -> None:
    grant = may(rule(RBAC, "roles rolebindings", "*"), namespace="jobs")
    assert path(*grant, *STRONG) == THROUGH_JOBS
    split = [
        *may(rule(RBAC, "roles", "*"), namespace="jobs"),
        role("other", rule(RBAC, "rolebindings", "*"), namespace="web"),
        binding("other", EVE, namespace="web"),
    ]
    assert path(*split, *STRONG, namespace_object("web", "restricted")) == THROUGH_JOBS
    only_new = [rule(RBAC, "roles", "create escalate bind")]
    assert path(*may(*only_new, namespace="jobs"), *split[2:], *STRONG, namespace_object("web", "restricted")) == ""


def test_accounts_that_nothing_names_are_in_their_groups() -> None:
    jobs = namespace_object("jobs", "restricted")
    of_group = binding("cluster-admin", Subject("Group", "system:serviceaccounts:jobs"))
    default = "User eve > ServiceAccount jobs/default > cluster-admin"
    for verb, resource in (("create", "pods"), ("impersonate", "serviceaccounts")):
        grant = may(rule("core", resource, verb), namespace="jobs")
        assert path(*grant, jobs, of_group) == default
        assert path(*grant, jobs, binding("cluster-admin", Subject("Group", "system:serviceaccounts"))) == default
    # A token is made of an account that exists; who is impersonated need not.
    tokens = may(rule("core", "serviceaccounts/token", "create", "one"), namespace="jobs")
    assert path(*tokens, jobs, of_group) == "User eve > ServiceAccount jobs/one > cluster-admin ?"
    impersonates = may(rule("core", "serviceaccounts", "impersonate", "one"), namespace="jobs")
    assert path(*impersonates, jobs, of_group) == "User eve > ServiceAccount jobs/one > cluster-admin"


@pytest.mark.parametrize(
    ("resource", "level", "expected"),
    [
        ("pods/ephemeralcontainers", None, "User eve > node"),
        ("pods/ephemeralcontainers", "baseline", ""),
        ("pods", None, ""),
    ],
)
def test_a_privileged_container_is_added_to_a_pod(resource: str, level: str | None, expected: str) -> None:
    runner = deployment("web", "runner", "app")
    web = namespace_object("web", level)
    grant = may(rule("core", resource, "patch"), namespace="web")
    assert path(*grant, web, runner, to="node") == expected
    assert path(*grant, web, to="node") == (f"{expected} ?" if expected else "")
    by_name = may(rule("core", resource, "patch", "one"), namespace="web")
    assert path(*by_name, web, pod("web", "one", "app"), to="node") == expected
    assert path(*by_name, web, pod("web", "two", "app"), to="node") == ""


def test_a_role_that_aggregates_into_one_that_is_held_is_given_every_right() -> None:
    holds_view = binding("view", EVE)
    make = may(rule(RBAC, "clusterroles", "create escalate"))
    assert path(*make) == ""
    assert path(*make, holds_view) == ADMIN
    part = role("part", rule("example.com", "things", "get"))
    change = may(rule(RBAC, "clusterroles", "update escalate", "part"))
    assert path(*change, holds_view) == ""
    assert path(*change, holds_view, part) == ADMIN
    assert path(*may(rule(RBAC, "clusterroles", "create")), holds_view) == ""
    in_jobs = binding("view", EVE, namespace="jobs", kind="ClusterRole")
    assert path(*make, in_jobs, *STRONG) == THROUGH_JOBS


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("core", "pods", "create patch", "one")], THROUGH_JOBS),
        ([rule("core", "pods", "create", "one")], ""),
        ([rule("core", "pods", "create update", "one")], ""),
        ([rule("apps", "deployments", "create patch", "one")], THROUGH_JOBS),
        ([rule("core", "secrets", "*", "one")], THROUGH_JOBS),
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "rolebindings", "create patch", "one")], THROUGH_JOBS),
        # RBAC makes what an update names.
        ([rule(RBAC, "clusterroles", "bind"), rule(RBAC, "rolebindings", "create update", "one")], THROUGH_JOBS),
    ],
)
def test_server_side_apply_creates_by_name(rules: list[dict[str, Any]], expected: str) -> None:
    assert path(*may(*rules, namespace="jobs"), *STRONG) == expected


@pytest.mark.parametrize(
    ("verbs", "expected"),
    [("get delete", THROUGH_JOBS), ("get", f"{THROUGH_JOBS} ?"), ("delete", "")],
)
def test_a_token_is_written_into_a_secret_of_a_given_name(verbs: str, expected: str) -> None:
    rules = [rule("core", "secrets", "create"), rule("core", "secrets", verbs, "mine")]
    assert path(*may(*rules, namespace="jobs"), *STRONG) == expected


def test_rights_of_a_group_change_a_role_of_ones_own() -> None:
    authenticated = Subject("Group", "system:authenticated")
    of_group = [
        role("editor", rule(RBAC, "clusterroles", "escalate update", "mine")),
        binding("editor", authenticated),
    ]
    mine = role("mine", rule("example.com", "things", "get"))
    found_paths = found(*of_group, mine, binding("mine", EVE))
    assert shown(found_paths.path(EVE, "cluster-admin")) == ADMIN
    assert found_paths.path(authenticated, "cluster-admin") is None


def test_what_a_group_has_is_told_at_the_group() -> None:
    authenticated = Subject("Group", "system:authenticated")
    grant = may(rule("core", "pods", "create"), namespace="jobs")
    for strong in (
        [binding("cluster-admin", authenticated)],
        [role("all", rule(RBAC, "clusterroles", "escalate update")), binding("all", authenticated)],
    ):
        answer = found(*grant, *strong, namespace_object("jobs", "restricted")).path(EVE, "cluster-admin")
        assert answer is not None
        assert answer.group == authenticated
    # The right to change the role that it holds is the group's, which has no need of it.
    grant = may(rule("core", "users", "impersonate", "bob"))
    answer = found(*grant, binding("cluster-admin", authenticated)).path(EVE, "cluster-admin")
    assert answer is not None
    assert answer.group == authenticated


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"initContainers": [{"name": "a", "securityContext": {"privileged": True}}]}, ""),
        (
            {"initContainers": [{"name": "a", "restartPolicy": "Always", "securityContext": {"privileged": True}}]},
            "User eve > node",
        ),
        ({"hostPID": True}, ""),
        (
            {"hostPID": True, "container": {"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}},
            "User eve > node",
        ),
        ({"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}}, ""),
        ({"hostUsers": False, "container": {"securityContext": {"privileged": True}}}, ""),
    ],
)
def test_a_shell_in_a_container_that_is_its_node(spec: dict[str, Any], expected: str) -> None:
    grant = may(rule("core", "pods/exec", "create"), namespace="jobs")
    assert path(*grant, deployment("jobs", "runner", "deployer", **spec), to="node") == expected


@pytest.mark.parametrize(
    ("directory", "mount", "context", "expected"),
    [
        ("/", {}, {}, "User eve > node"),
        ("/etc/kubernetes/manifests/", {}, {}, "User eve > node"),
        ("/run/containerd/containerd.sock", {}, {}, "User eve > node"),
        ("/", {"readOnly": True}, {}, ""),
        ("/", {}, {"runAsUser": 65532}, ""),
        ("/", {}, {"runAsNonRoot": True}, ""),
        ("/var/log", {}, {}, ""),
    ],
)
def test_a_shell_where_files_of_the_node_are_mounted(
    directory: str, mount: dict[str, Any], context: dict[str, Any], expected: str
) -> None:
    grant = may(rule("core", "pods/exec", "create"), namespace="jobs")
    mounting = {"volumeMounts": [{"name": "host", "mountPath": "/host", **mount}], "securityContext": context}
    volumes = [{"name": "host", "hostPath": {"path": directory}}]
    runner = deployment("jobs", "runner", "deployer", container=mounting, volumes=volumes)
    assert path(*grant, runner, to="node") == expected


def test_a_shell_in_a_privileged_pod_of_a_given_name() -> None:
    grant = may(rule("core", "pods/exec", "create", "agent"), namespace="jobs")
    assert path(*grant, pod("jobs", "agent", "a", securityContext={"privileged": True}), to="node") == "User eve > node"


def test_workloads_without_pods_are_entered_by_assumption() -> None:
    grant = may(rule("core", "pods/exec", "create"), namespace="jobs")
    idle = deployment("jobs", "runner", "deployer")
    idle["spec"]["replicas"] = 0
    assert path(*grant, *STRONG, idle) == f"{THROUGH_JOBS} ?"
    assert path(*grant, *STRONG, idle, deployment("jobs", "other", "deployer")) == THROUGH_JOBS
    template = idle["spec"]["template"]
    suspended = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": "jobs"},
        "spec": {"suspend": True, "schedule": "@daily", "jobTemplate": {"spec": {"template": template}}},
    }
    assert path(*grant, *STRONG, suspended) == f"{THROUGH_JOBS} ?"


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Deployment", "web-7d9f8c6b5-x2x4z", f"{THROUGH_JOBS} ?"),
        ("Deployment", "web-public-0", ""),
        ("Deployment", "web", ""),
        ("StatefulSet", "web-0", THROUGH_JOBS),
        ("StatefulSet", "web-7", f"{THROUGH_JOBS} ?"),
        ("StatefulSet", "web-a", ""),
        ("DaemonSet", "web-x2x4z", f"{THROUGH_JOBS} ?"),
        ("DaemonSet", "web-0", ""),
        ("Pod", "web", THROUGH_JOBS),
        ("Pod", "web-0", ""),
        # No name of a pod.
        ("StatefulSet", f"web-{'1' * 5000}", ""),
        ("StatefulSet", f"web{'-a' * 50_000}", ""),
    ],
)
def test_names_of_pods_are_those_that_controllers_give(kind: str, name: str, expected: str) -> None:
    grant = may(rule("core", "pods/exec", "create", name), namespace="jobs")
    runner = pod("jobs", "web", "deployer") if kind == "Pod" else deployment("jobs", "web", "deployer") | {"kind": kind}
    assert path(*grant, *STRONG, runner) == expected


@pytest.mark.parametrize(
    ("names", "objects", "expected"),
    [
        ((), (), ADMIN),
        (("mine",), (), f"{ADMIN} ?"),
        (("mine",), ("mine",), ADMIN),
    ],
)
def test_a_webhook_of_a_given_name_must_exist(names: tuple[str, ...], objects: tuple[str, ...], expected: str) -> None:
    api = "admissionregistration.k8s.io"
    stated = [
        {"apiVersion": f"{api}/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name}}
        for name in objects
    ]
    assert path(*may(rule(api, "mutatingwebhookconfigurations", "update", *names)), *stated) == expected


def test_a_workload_of_a_given_name_must_exist() -> None:
    grant = may(rule("apps", "deployments", "patch", "web"), namespace="jobs")
    assert path(*grant, *STRONG, deployment("jobs", "web", "app")) == THROUGH_JOBS
    assert path(*grant, *STRONG, deployment("jobs", "other", "app")) == f"{THROUGH_JOBS} ?"


_RULES = st.sampled_from(
    [
        rule("core", "pods", "create"),
        rule("core", "secrets", "create list"),
        rule("core", "serviceaccounts/token", "create", "deployer"),
        rule("core", "pods/exec", "create"),
        rule("core", "users groups", "impersonate"),
        rule(RBAC, "clusterroles roles", "escalate bind"),
        rule(RBAC, "clusterroles roles clusterrolebindings rolebindings", "update create"),
        rule("core", "namespaces", "patch"),
        rule("core", "persistentvolumes", "create"),
        rule("core", "nodes", "get"),
    ]
)
_SUBJECTS = st.sampled_from([EVE, Subject("Group", "devs"), account("jobs", "deployer"), account("web", "app")])
_GRANTS = st.lists(st.tuples(_RULES, _SUBJECTS, st.sampled_from(["jobs", "web", None])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(_GRANTS, st.integers(0, 8))
def test_more_grants_never_take_a_path_away(granted: list[tuple[Any, Subject, str | None]], few: int) -> None:
    def reached(some: list[tuple[Any, Subject, str | None]]) -> dict[tuple[Subject, str], int]:
        objects = [deployment("jobs", "runner", "deployer"), namespace_object("web", "baseline")]
        for number, (stated, subject, namespace) in enumerate(some):
            objects += [
                role(f"role-{number}", stated, namespace=namespace),
                binding(f"role-{number}", subject, namespace=namespace),
            ]
        answer = found(*objects)
        paths = {(s, o): answer.path(s, o) for s in answer.subjects for o in OUTCOMES}
        return {key: len(p.steps) for key, p in paths.items() if p is not None and not p.assumptions}

    less, more = reached(granted[:few]), reached(granted)
    assert {key: more.get(key, 99) <= steps for key, steps in less.items()} == dict.fromkeys(less, True)


_MANY = """
from kit import objects_in
from kubeassay.analysis.access.escalation import OUTCOMES, escalations
from kubeassay.model import Inventory
import json

objects = []
for n in range(3000):
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    where = {"name": f"role-{n}", "namespace": f"namespace-{n % 500}"}
    group, resource = [("", "pods"), ("", "secrets"), ("rbac.authorization.k8s.io", "*"), ("apps", "*")][n % 4]
    rule = {"apiGroups": [group], "resources": [resource], "verbs": ["get", "create", "update", "bind", "escalate"]}
    objects.append({**api, "kind": "Role", "metadata": where, "rules": [rule] * 3})
    subjects = [
        {"kind": "ServiceAccount", "name": f"account-{n % 700}", "namespace": f"namespace-{(n + 1) % 500}"},
        {"kind": "Group", "name": f"group-{n % 5}"},
    ]
    ref = {"kind": "Role", "name": f"role-{n}"}
    objects.append({**api, "kind": "RoleBinding", "metadata": where, "roleRef": ref, "subjects": subjects})
found = escalations(Inventory(objects_in("\\n---\\n".join(map(json.dumps, objects)))))
assert sum(found.path(subject, outcome) is not None for subject in found.subjects for outcome in OUTCOMES) > 1000
"""


def test_three_thousand_roles_and_bindings_take_seconds() -> None:
    run_within_seconds(_MANY, seconds=30)


_CHAIN = """
from kit import objects_in
from kubeassay.analysis.access.escalation import OUTCOMES, escalations
from kubeassay.model import Inventory
import json

GROUP = "rbac.authorization.k8s.io"
objects = []
for n in range(1500):
    rules = [
        {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "create"]},
        {"apiGroups": [GROUP], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": [f"role-{n + 1}"]},
        {"apiGroups": [GROUP], "resources": ["rolebindings"], "verbs": ["create"]},
    ]
    metadata = {"name": f"role-{n}"}
    objects.append({"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules})
    where = {"namespace": f"namespace-{n % 50}"} if n % 2 else {}
    objects.append(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "RoleBinding" if n % 2 else "ClusterRoleBinding",
            "metadata": {"name": f"role-{n}", **where},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": f"role-{n}"},
            "subjects": [{"kind": "User", "name": f"user-{n}"}],
        }
    )
found = escalations(Inventory(objects_in("\\n---\\n".join(map(json.dumps, objects)))))
assert sum(found.path(subject, outcome) is not None for subject in found.subjects for outcome in OUTCOMES) > 750
"""


def test_long_chains_of_roles_that_may_be_bound_take_seconds() -> None:
    run_within_seconds(_CHAIN, seconds=30)


def test_a_chain_of_roles_leads_to_what_only_its_end_gives() -> None:
    def link(number: int) -> dict[str, Any]:
        return role(
            f"role-{number}",
            rule("core", "configmaps", "get"),
            rule(RBAC, "clusterroles", "bind", f"role-{number + 1}"),
            rule(RBAC, "rolebindings", "create"),
        )

    end = role("role-3", rule("core", "pods", "create"))
    chain = [link(0), link(1), link(2), binding("role-0", EVE, namespace="jobs", kind="ClusterRole")]
    assert path(*chain, *STRONG) == ""
    assert path(*chain, end, *STRONG) == THROUGH_JOBS


def test_names_of_many_rights_take_seconds() -> None:
    run_within_seconds(_NAMES, seconds=20)


_NAMES = """
from kit import objects_in
from kubeassay.analysis.access.escalation import OUTCOMES, escalations
from kubeassay.model import Inventory
import json

GROUP = "rbac.authorization.k8s.io"
names = [f"app-{n}-x2x4z" for n in range(500)]
rules = [
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"], "resourceNames": names},
    {"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"], "resourceNames": names},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": names},
]
objects = [{"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": "some"}, "rules": rules}]
for n in range(1000):
    pod = {"serviceAccountName": f"account-{n}", "containers": [{"name": "app", "image": "app"}]}
    metadata = {"name": f"app-{n}", "namespace": f"namespace-{n % 5}"}
    template = {"metadata": {"labels": {"app": f"app-{n}"}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": f"app-{n}"}}, "template": template}
    objects.append({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec})
    objects.append(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "some"},
            "subjects": [{"kind": "User", "name": f"user-{n}"}],
        }
    )
found = escalations(Inventory(objects_in("\\n---\\n".join(map(json.dumps, objects)))))
for subject in found.subjects:
    for outcome in OUTCOMES:
        found.path(subject, outcome)
"""
