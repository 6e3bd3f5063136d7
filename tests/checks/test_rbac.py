"""The rules on roles and bindings: where they point, and what they must not report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit import failing, plan_of, profile_of, scan_text
from kubeassay.model import Finding, Result

ROLES = Path(__file__).resolve().parents[2] / "fixtures" / "merajutasa" / "violating" / "production" / "rbac"

RBAC = "rbac.authorization.k8s.io"
API = "apiVersion: rbac.authorization.k8s.io/v1\n"


def role(name: str, *rules: str, namespace: str = "") -> str:
    """A Role, or a ClusterRole where no namespace is given. Rules: ``groups | resources | verbs [| names]``."""
    lines = [f"{API}kind: {'Role' if namespace else 'ClusterRole'}"]
    lines.append(f"metadata: {{name: {name}{f', namespace: {namespace}' if namespace else ''}}}")
    lines.append("rules:" if rules else "rules: []")
    for rule in rules:
        parts = [part.strip() for part in rule.split("|")]
        for number, (field, part) in enumerate(
            zip(("apiGroups", "resources", "verbs", "resourceNames"), parts, strict=False)
        ):
            values = ", ".join('""' if value == "core" else f'"{value}"' for value in part.split())
            lines.append(f"  {'- ' if number == 0 else '  '}{field}: [{values}]")
    return "\n".join(lines) + "\n"


def bind(role_name: str, *subjects: str, namespace: str = "", kind: str = "", name: str = "") -> str:
    """A binding. Subjects: ``User NAME``, ``Group NAME`` or ``ServiceAccount NAMESPACE/NAME``."""
    lines = [f"{API}kind: {'RoleBinding' if namespace else 'ClusterRoleBinding'}"]
    lines.append(f'metadata: {{name: "{name or role_name}"{f", namespace: {namespace}" if namespace else ""}}}')
    lines.append("roleRef:")
    lines.append("  apiGroup: rbac.authorization.k8s.io")
    lines.append(f"  kind: {kind or ('Role' if namespace else 'ClusterRole')}")
    lines.append(f'  name: "{role_name}"')
    lines.append("subjects:")
    for subject in subjects:
        subject_kind, _, who = subject.partition(" ")
        where, slash, account = who.partition("/")
        lines.append(f"  - kind: {subject_kind}")
        lines.append(f'    name: "{account if slash else who}"')
        if slash:
            lines.append(f"    namespace: {where}")
    return "\n".join(lines) + "\n"


def account(namespace: str, name: str) -> str:
    return f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}, namespace: {namespace}}}\n"


def scanned(rule: str, *documents: str, version: str = "latest", **parameters: Any) -> Result:
    result = scan_text(plan_of(profile_of(rule, **parameters), version), "---\n".join(documents))
    assert result.errors == ()
    assert [entry for entry in result.not_evaluated if entry.reason == "rule-error"] == []
    return result


def findings(rule: str, *documents: str, version: str = "latest", **parameters: Any) -> list[Finding]:
    return failing(scanned(rule, *documents, version=version, **parameters))


def paths(rule: str, *documents: str, version: str = "latest", **parameters: Any) -> set[tuple[str, str]]:
    """(object, path) of the findings."""
    return {
        (f"{finding.object.kind} {finding.object.name}", finding.path)
        for finding in findings(rule, *documents, version=version, **parameters)
    }


def message(rule: str, *documents: str, version: str = "latest", **parameters: Any) -> str:
    (finding,) = findings(rule, *documents, version=version, **parameters)
    return finding.message


# --- wildcards ---

WILDCARDS = ("wildcard-verbs", "wildcard-resources", "wildcard-api-groups")
EVERYTHING = role("all", "* | * | *")


def test_wildcards_are_found_where_they_stand() -> None:
    text = role("a", "core | pods | get", "core apps | pods | get *", "core | pods * | get", "apps * | pods | get")
    assert paths("wildcard-verbs", text) == {("ClusterRole a", "rules[1].verbs[1]")}
    assert paths("wildcard-resources", text) == {("ClusterRole a", "rules[2].resources[1]")}
    assert paths("wildcard-api-groups", text) == {("ClusterRole a", "rules[3].apiGroups[1]")}
    # Every resource of every group is one wildcard, not two.
    every = role("a", "* | * | list")
    assert {rule: len(findings(rule, every)) for rule in WILDCARDS} == {
        "wildcard-verbs": 0,
        "wildcard-resources": 1,
        "wildcard-api-groups": 0,
    }


def test_what_is_told_elsewhere_is_no_pass() -> None:
    bound = [EVERYTHING, bind("all", "Group devs")]
    for rule in (*WILDCARDS, "secrets-readable-cluster-wide"):
        assert scanned(rule, *bound).summary.passed == 0, rule
    every = role("a", "* | * | list")
    assert scanned("wildcard-api-groups", every).summary.passed == 0


def test_a_role_that_somebody_may_bind_by_name_is_used() -> None:
    binder = [role("op", f"{RBAC} | clusterroles | * | some"), bind("op", "ServiceAccount a/b")]
    assert paths("unused-role", role("some", "core | configmaps | get"), *binder) == set()
    elsewhere = [role("op", f"{RBAC} | roles | bind | some"), bind("op", "ServiceAccount a/b")]
    unused = paths("unused-role", role("some", "core | configmaps | get"), *elsewhere)
    assert unused == {("ClusterRole some", "metadata.name")}


def test_everything_is_told_once() -> None:
    bound = [EVERYTHING, bind("all", "Group devs")]
    assert {rule: len(findings(rule, *bound)) for rule in (*WILDCARDS, "cluster-admin-binding", "escalation-path")} == {
        "wildcard-verbs": 0,
        "wildcard-resources": 0,
        "wildcard-api-groups": 0,
        "cluster-admin-binding": 1,
        "escalation-path": 0,
    }
    assert {rule: len(findings(rule, EVERYTHING)) for rule in WILDCARDS} == {
        "wildcard-verbs": 1,
        "wildcard-resources": 0,
        "wildcard-api-groups": 0,
    }
    assert findings("secrets-readable-cluster-wide", *bound) == []
    assert findings("node-access-path", *bound) == []


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (
            [role("a", "rbac.authorization.k8s.io | roles | *")],
            "among them escalate, bind; bound nowhere among the inputs",
        ),
        (
            [role("a", "networking.k8s.io | networkpolicies | *"), bind("a", "Group x")],
            "among them removing every NetworkPolicy; in all namespaces, for Group x",
        ),
        (
            [role("a", "core | serviceaccounts | *", namespace="shop"), bind("a", "User x", namespace="shop")],
            "on serviceaccounts, among them impersonate; in namespace shop, for User x",
        ),
        # Nodes are in no namespace, so a Role grants nothing on them.
        (
            [role("a", "core | nodes/proxy | *", namespace="shop"), bind("a", "User x", namespace="shop")],
            "every verb on nodes/proxy; in namespace shop, for User x",
        ),
    ],
)
def test_a_wildcard_says_what_it_includes(documents: list[str], expected: str) -> None:
    assert expected in message("wildcard-verbs", *documents)


def test_kubernetes_own_roles_are_not_reported() -> None:
    dumped = role("cluster-admin", "* | * | *")
    for rule in WILDCARDS:
        assert findings(rule, dumped) == []
    assert findings("cluster-admin-binding", dumped, bind("cluster-admin", "Group system:masters")) == []
    controller = role("system:controller:namespace-controller", "* | * | delete deletecollection get list")
    assert findings("wildcard-resources", controller) == []


# --- bindings ---


def test_cluster_admin_is_found_at_the_role_that_is_bound() -> None:
    ci = bind("cluster-admin", "ServiceAccount ci/runner", name="ci")
    assert paths("cluster-admin-binding", ci) == {("ClusterRoleBinding ci", "roleRef.name")}
    assert "makes ServiceAccount ci/runner cluster-admin" in message("cluster-admin-binding", ci)
    # One namespace is not the cluster.
    assert findings("cluster-admin-binding", bind("cluster-admin", "User a", namespace="x", kind="ClusterRole")) == []


def test_the_administrators_of_kubeadm_are_expected() -> None:
    admins = bind("cluster-admin", "Group kubeadm:cluster-admins", name="kubeadm:cluster-admins")
    assert findings("cluster-admin-binding", admins) == []


def test_subjects_that_are_meant_to_be_cluster_admin_are_named_in_the_parameter() -> None:
    both = bind("cluster-admin", "Group admins", "User eve", name="both")
    allowed = ["Group admins"]
    assert "makes User eve cluster-admin" in message("cluster-admin-binding", both, allowed_subjects=allowed)
    only = bind("cluster-admin", "Group admins", name="only")
    assert findings("cluster-admin-binding", only, allowed_subjects=allowed) == []


READER = role("reader", "core | configmaps | get", namespace="shop")


@pytest.mark.parametrize(
    ("rule", "subject"),
    [
        ("binding-to-anonymous", "User system:anonymous"),
        ("binding-to-anonymous", "Group system:unauthenticated"),
        ("binding-to-all-authenticated", "Group system:authenticated"),
        ("binding-to-all-authenticated", "Group system:serviceaccounts"),
        ("binding-to-system-masters", "Group system:masters"),
        ("default-service-account-bound", "ServiceAccount shop/default"),
    ],
)
def test_subjects_are_found_where_they_stand(rule: str, subject: str) -> None:
    text = bind("reader", "User alice", subject, namespace="shop")
    assert paths(rule, READER, text) == {("RoleBinding reader", "subjects[1].name")}
    assert findings(rule, READER, bind("reader", "User alice", namespace="shop")) == []


@pytest.mark.parametrize(
    ("rule", "documents"),
    [
        # kubeadm shows the cluster's address to whoever wants to join.
        (
            "binding-to-anonymous",
            [
                role("cluster-info", "core | configmaps | get | cluster-info", namespace="kube-public"),
                bind("cluster-info", "User system:anonymous", namespace="kube-public"),
            ],
        ),
        ("binding-to-anonymous", [bind("system:public-info-viewer", "Group system:unauthenticated")]),
        # Relying parties of service account tokens read the keys without logging in.
        (
            "binding-to-anonymous",
            [bind("system:service-account-issuer-discovery", "Group system:unauthenticated", name="oidc")],
        ),
        ("binding-to-all-authenticated", [bind("system:basic-user", "Group system:authenticated")]),
        ("binding-to-all-authenticated", [bind("system:discovery", "Group system:authenticated", name="again")]),
        (
            "binding-to-all-authenticated",
            [READER, bind("reader", "Group system:serviceaccounts:shop", namespace="shop")],
        ),
        ("binding-to-system-masters", [bind("cluster-admin", "Group system:masters")]),
        ("default-service-account-bound", [READER, bind("reader", "User default", namespace="shop")]),
    ],
)
def test_harmless_bindings_are_not_reported(rule: str, documents: list[str]) -> None:
    assert findings(rule, *documents) == []


def test_a_missing_role_is_found_where_it_is_named() -> None:
    wrong = bind("raeder", "Group devs", name="wrong")
    assert paths("binding-to-missing-role", role("reader", "core | pods | get"), wrong) == {
        ("ClusterRoleBinding wrong", "roleRef.name")
    }
    # A Role of another namespace is another role.
    other = bind("reader", "Group devs", namespace="other")
    mine = role("mine", "core | pods | get", namespace="other")
    assert paths("binding-to-missing-role", READER, other, mine) == {("RoleBinding reader", "roleRef.name")}


@pytest.mark.parametrize("name", ["system:image-puller", "somebody-elses"])
def test_a_missing_role_that_may_be_kept_elsewhere_is_not_judged(name: str) -> None:
    result = scanned("binding-to-missing-role", bind(name, "Group devs"))
    assert failing(result) == []
    assert [entry.reason for entry in result.not_evaluated] == ["missing-input"]
    assert result.summary.passed == 0


def test_a_missing_service_account_is_judged_where_others_of_its_namespace_are_known() -> None:
    text = bind("view", "ServiceAccount shop/a", "ServiceAccount shop/b", "ServiceAccount shop/default")
    rule = "binding-to-missing-service-account"
    assert paths(rule, account("shop", "a"), text) == {("ClusterRoleBinding view", "subjects[1].name")}
    assert findings(rule, account("shop", "a"), bind("view", "ServiceAccount kube-system/generic")) == []
    result = scanned(rule, bind("view", "ServiceAccount far/away"))
    assert failing(result) == []
    assert [entry.reason for entry in result.not_evaluated] == ["missing-input"]


def test_a_binding_to_another_namespace_is_found() -> None:
    text = bind("reader", "ServiceAccount shop/a", "ServiceAccount ci/b", namespace="shop")
    assert paths("cross-namespace-binding", READER, text) == {("RoleBinding reader", "subjects[1].namespace")}
    # In the whole cluster there is no other namespace.
    assert findings("cross-namespace-binding", bind("view", "ServiceAccount ci/b")) == []


# --- roles ---


def test_unused_roles() -> None:
    aggregated = role("one", "core | pods | get").replace("{name: one}", "{name: one, labels: {part: shop}}")
    whole = f"{API}kind: ClusterRole\nmetadata: {{name: whole}}\n" + (
        "aggregationRule: {clusterRoleSelectors: [{matchLabels: {part: shop}}]}\n"
    )
    operator = role("operator", "rbac.authorization.k8s.io | clusterroles | bind | tenant")
    texts = [
        aggregated,
        whole,
        bind("whole", "Group devs"),
        operator,
        bind("operator", "ServiceAccount ops/operator"),
        role("tenant", "core | pods | get"),
        role("left-over", "core | pods | get"),
        role("reader", "core | pods | get", namespace="a"),
        role("reader", "core | pods | get", namespace="b"),
        bind("reader", "User x", namespace="a"),
        role("view", "core | pods | get"),
    ]
    found = findings("unused-role", *texts)
    assert {(f.object.namespace, f.object.name, f.path) for f in found} == {
        (None, "left-over", "metadata.name"),
        ("b", "reader", "metadata.name"),
    }


SECRETS = ("secrets-readable-cluster-wide", "secrets-readable")


@pytest.mark.parametrize(
    ("documents", "rule", "path"),
    [
        ([role("a", "core | secrets | create list"), bind("a", "User x")], SECRETS[0], "rules[0].verbs[1]"),
        ([role("a", "core | pods * | watch"), bind("a", "User x")], SECRETS[0], "rules[0].resources[1]"),
        (
            [role("a", "core | secrets | get"), bind("a", "User x", namespace="shop", kind="ClusterRole")],
            SECRETS[1],
            "rules[0].verbs[0]",
        ),
        ([role("a", "core | secrets | *", namespace="shop")], SECRETS[1], "rules[0].verbs[0]"),
        # Both bindings: the wider one counts.
        (
            [
                role("a", "core | secrets | get"),
                bind("a", "User x"),
                bind("a", "User y", namespace="shop", kind="ClusterRole"),
            ],
            SECRETS[0],
            "rules[0].verbs[0]",
        ),
    ],
)
def test_secrets_that_can_be_read(documents: list[str], rule: str, path: str) -> None:
    assert {(r, f.path) for r in SECRETS for f in findings(r, *documents)} == {(rule, path)}


@pytest.mark.parametrize(
    "documents",
    [
        [role("a", "core | secrets | get | tls"), bind("a", "User x")],
        [role("a", "core | secrets | create delete"), bind("a", "User x")],
        [role("a", "core | secrets | list")],
        [role("a", "apps | secrets | list"), bind("a", "User x")],
    ],
)
def test_secrets_that_cannot_be_read(documents: list[str]) -> None:
    assert [f for rule in SECRETS for f in findings(rule, *documents)] == []


@pytest.mark.parametrize(
    ("rule", "stated", "path"),
    [
        ("pods-exec", "core | pods/exec | get create", "rules[0].verbs[1]"),
        ("pods-exec", "core | pods/attach pods/log | create", "rules[0].verbs[0]"),
        ("workload-creation", "apps batch | cronjobs | get patch", "rules[0].verbs[1]"),
        ("service-account-token-request", "core | serviceaccounts/token | create", "rules[0].verbs[0]"),
        ("impersonation", "core | users | get impersonate", "rules[0].verbs[1]"),
        ("bind-or-escalate", "rbac.authorization.k8s.io | roles | create escalate", "rules[0].verbs[1]"),
        ("nodes-proxy", "core | nodes/metrics nodes/proxy | get", "rules[0].verbs[0]"),
        (
            "certificate-approval",
            "certificates.k8s.io | certificatesigningrequests/approval | update",
            "rules[0].verbs[0]",
        ),
        (
            "admission-webhook-change",
            "admissionregistration.k8s.io | validatingwebhookconfigurations | get patch",
            "rules[0].verbs[1]",
        ),
        ("persistent-volume-creation", "core | persistentvolumes | create", "rules[0].verbs[0]"),
        ("namespace-change", "core | namespaces | get update", "rules[0].verbs[1]"),
    ],
)
def test_single_rights_are_found_at_their_verb(rule: str, stated: str, path: str) -> None:
    assert paths(rule, role("a", stated)) == {("ClusterRole a", path)}
    if rule != "nodes-proxy":
        assert findings(rule, role("a", f"{stated} | one")) == []
    # What a wildcard includes is told there.
    groups, resources, verbs = stated.split(" | ")
    assert findings(rule, role("a", f"{groups} | * | {verbs}")) == []
    assert findings(rule, role("a", f"{groups} | {resources} | *")) == []


def test_get_was_enough_to_run_commands_until_1_34() -> None:
    text = role("a", "core | pods/exec | get")
    assert paths("pods-exec", text, version="1.34") == {("ClusterRole a", "rules[0].verbs[0]")}
    assert findings("pods-exec", text, version="1.35") == []


@pytest.mark.parametrize(
    ("stated", "version", "expected"),
    [
        ("policy | podsecuritypolicies | use", "1.25", "since 1.25 Pod Security Admission takes its place"),
        ("policy | podsecuritypolicies | use", "1.24", None),
        ("extensions | ingresses | get", "1.31", "since 1.22 it is in group networking.k8s.io"),
        ("extensions | ingresses | get", "1.21", None),
        ("extensions networking.k8s.io | ingresses | get", "1.31", None),
        ("core | deployments | get", "1.31", "deployments is in group apps"),
        ("apps | deployment | get", "1.31", "the resource is called deployments"),
        ("core | nothing | get", "1.31", "the rule grants nothing"),
        ("core | pods/exec pods/log | get", "1.31", None),
        ("core | nodes/metrics users groups | get impersonate", "1.31", None),
        ("authentication.k8s.io | userextras/scopes uids | impersonate", "1.31", None),
        ("certificates.k8s.io | signers | approve", "1.31", None),
        ("core | pods/exe | get", "1.31", "pods has no subresource exe; exec is meant, perhaps"),
        ("apps extensions | deployments/scales | get", "1.31", None),
        ("apps | deployments/finalizers deployments/* | update", "1.31", None),
        ("certificates.k8s.io | certificatesigningrequests/nodeclient | create", "1.31", None),
        ("metrics.k8s.io | pods anything | get", "1.31", None),
        ("* | anything | get", "1.31", None),
        ("apps | */scale | get", "1.31", None),
    ],
)
def test_resources_that_do_not_exist(stated: str, version: str, expected: str | None) -> None:
    found = findings("role-names-missing-resource", role("a", stated), version=version)
    if expected is None:
        assert found == []
    else:
        (finding,) = found
        assert finding.path == "rules[0].resources[0]"
        assert expected in finding.message


def test_what_kubernetes_defaults_are_changed_to() -> None:
    rule = "bootstrap-role-changed"
    more = role("system:basic-user", "core | secrets | list")
    assert paths(rule, more) == {("ClusterRole system:basic-user", "rules[0]")}
    somebody = bind("system:basic-user", "Group system:authenticated", "User eve")
    assert paths(rule, somebody) == {("ClusterRoleBinding system:basic-user", "subjects[1]")}
    other = bind("cluster-admin", "Group system:authenticated", name="system:basic-user")
    assert paths(rule, other) == {("ClusterRoleBinding system:basic-user", "roleRef.name")}
    label = '{name: more, labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}}'
    viewed = role("more", "core | secrets | get").replace("{name: more}", label)
    assert {name for name, _ in paths(rule, viewed)} == {"ClusterRole more"}
    harmless = role("more", "example.com | widgets | get").replace("{name: more}", label)
    assert paths(rule, harmless) == set()


def test_what_an_api_server_refuses() -> None:
    text = role("a", "core | pods | ", namespace="shop")
    assert paths("rbac-object-refused", text) == {("Role a", "rules[0].verbs")}
    # Another rule tells of values of a wrong type.
    mistyped = text.replace("verbs: []", "verbs: get")
    assert mistyped != text
    assert findings("rbac-object-refused", mistyped) == []
    assert findings("mistyped-field", mistyped) != []


# --- paths ---

TOKENS = role("tokens", "core | serviceaccounts/token | create", namespace="jobs")
STRONG = bind("cluster-admin", "ServiceAccount jobs/deployer", name="deployer")


def test_a_path_is_found_at_the_subject_with_the_lines_of_its_steps() -> None:
    documents = [TOKENS, bind("tokens", "User a", "User eve", namespace="jobs"), STRONG]
    by_path = {finding.path: finding for finding in findings("escalation-path", *documents)}
    assert set(by_path) == {"subjects[0].name", "subjects[1].name"}
    eve = by_path["subjects[1].name"]
    assert eve.object.name == "tokens"
    assert eve.message == (
        "User eve can become cluster-admin: it can create tokens of service accounts in namespace jobs, among them"
        " ServiceAccount jobs/deployer; ServiceAccount jobs/deployer can do everything: it is granted every verb on"
        " every resource"
    )
    assert [(related.message, related.location.start_line) for related in eve.related] == [
        ("step 1: create serviceaccounts/token", 7),
        ("step 1: User eve is bound to Role tokens", 19),
        ("step 2: ServiceAccount jobs/deployer is bound to ClusterRole cluster-admin", 30),
    ]


def test_many_subjects_of_one_binding_that_have_one_path_are_one_finding() -> None:
    many = [f"User user-{number}" for number in range(12)]
    tokens = bind("tokens", *many, "ServiceAccount jobs/app", namespace="jobs")
    (finding,) = findings("escalation-path", TOKENS, tokens, STRONG)
    assert finding.path == "subjects[0].name"
    assert finding.message.startswith(
        "User user-0, User user-1, User user-2 and 10 more can become cluster-admin, each"
    )


def test_a_subject_that_is_listed_twice_is_told_once() -> None:
    twice = ("ServiceAccount jobs/a", "User system:serviceaccount:jobs:a", "ServiceAccount jobs/a")
    assert len(findings("escalation-path", TOKENS, bind("tokens", *twice, namespace="jobs"), STRONG)) == 1
    (admin,) = findings("cluster-admin-binding", bind("cluster-admin", *twice))
    assert "makes ServiceAccount jobs/a cluster-admin" in admin.message
    cross = bind("tokens", *(one.replace("jobs", "web") for one in twice), namespace="jobs")
    assert len(findings("cross-namespace-binding", TOKENS, cross)) <= 1


@pytest.mark.parametrize(
    ("stated", "passed"),
    [("core | * | create", 0), ("core | pods/exec | *", 0), ("core | * | get", 1), ("apps | * | create", 1)],
)
def test_what_a_wildcard_includes_does_not_pass(stated: str, passed: int) -> None:
    result = scanned("pods-exec", role("some", stated, namespace="shop"), bind("some", "User eve", namespace="shop"))
    assert failing(result) == []
    assert result.summary.passed == passed


def test_subjects_may_be_trusted_with_their_paths() -> None:
    documents = [TOKENS, bind("tokens", "User eve", namespace="jobs"), STRONG]
    assert findings("escalation-path", *documents, allowed_subjects=["User eve"]) == []


def test_what_rests_on_an_assumption_is_no_finding() -> None:
    reader = [role("a", "core | secrets | list"), bind("a", "User eve")]
    assert findings("escalation-path", *reader) == []
    somewhere = [role("a", "core | pods | create", namespace="web"), bind("a", "User eve", namespace="web")]
    assert findings("node-access-path", *somewhere) == []


def test_the_node_is_told_where_the_cluster_is_not_lost_anyway() -> None:
    open_namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"
    runs = [role("a", "core | pods | create", namespace="web"), bind("a", "User eve", namespace="web")]
    assert paths("node-access-path", open_namespace, *runs) == {("RoleBinding a", "subjects[0].name")}
    both = [*runs, role("b", "core | serviceaccounts/token | create"), bind("b", "User eve")]
    assert findings("node-access-path", open_namespace, *both) == []


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: runner, namespace: jobs}
spec:
  serviceAccountName: deployer
  containers:
    - name: app
      image: registry.example/app:1.0
"""


def test_workloads_are_found_at_their_account() -> None:
    (finding,) = findings("workload-can-escalate", POD, STRONG)
    assert (finding.path, finding.location.start_line) == ("spec.serviceAccountName", 5)
    assert finding.message == "Pod jobs/runner runs as ServiceAccount jobs/deployer, which is cluster-admin"
    refused = POD.replace("spec:\n", "spec:\n  automountServiceAccountToken: false\n")
    assert findings("workload-can-escalate", refused, STRONG) == []


def test_a_workload_that_can_escalate_and_is_exposed_says_so() -> None:
    labelled = POD.replace("metadata: {", "metadata: {labels: {app: runner}, ", 1)
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: runner, namespace: jobs}\n"
        "spec: {type: LoadBalancer, selector: {app: runner}, ports: [{port: 80, targetPort: 8080}]}\n"
    )
    assert labelled != POD
    (finding,) = findings("workload-can-escalate", labelled, STRONG, service)
    assert finding.message.endswith("which is cluster-admin; it is exposed on TCP 8080 by Service jobs/runner")
    assert any(related.message.startswith("exposed: ") for related in finding.related)


def test_workloads_without_any_binding_among_the_inputs_do_not_pass() -> None:
    assert scanned("workload-can-escalate", POD).summary.passed == 0
    assert scanned("workload-can-escalate", POD, bind("view", "User x")).summary.passed == 1


# --- what is documented ---

GROUPS = {"devs": ["developer"], "ops": ["operator", "view"]}
DEVELOPER = role("developer", "core | pods | get list")


def test_documented_groups() -> None:
    documents = [
        DEVELOPER,
        bind("developer", "Group devs", name="as-documented"),
        bind("edit", "User somebody", "Group devs", name="more"),
        bind("view", "Group ops", "Group others", namespace="shop", kind="ClusterRole", name="ops"),
    ]
    assert paths("documented-roles", *documents, groups=GROUPS) == {("ClusterRoleBinding more", "roleRef.name")}
    # A role that does not exist is bound all the same.
    missing = bind("nobody-knows", "Group devs", name="missing")
    assert ("ClusterRoleBinding missing", "roleRef.name") in paths(
        "documented-roles", *documents, missing, groups=GROUPS
    )


def test_a_documented_group_without_a_role_is_told_at_the_role() -> None:
    ops = bind("view", "Group ops", name="ops")
    assert paths("documented-roles", DEVELOPER, ops, groups=GROUPS) == {("ClusterRole developer", "metadata.name")}
    assert paths("documented-roles", ops, groups=GROUPS) == {("ClusterRoleBinding ops", "metadata.name")}
    result = scanned("documented-roles", account("shop", "a"), groups=GROUPS)
    assert failing(result) == []
    assert [entry.reason for entry in result.not_evaluated] == ["missing-input"] * 2


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["core | pods | get list"], set()),
        # The same in other words.
        (["core | pods | get", "core | pods | list"], set()),
        (["core | pods | get list watch"], {"rules[0].verbs[2]"}),
        (["core | pods | get list", "core | secrets | get"], {"rules[1].verbs[0]"}),
        (["core | pods | get"], {"rules"}),
        (["core | pods | *"], {"rules[0].verbs[0]"}),
    ],
)
def test_documented_rules(stated: list[str], expected: set[str]) -> None:
    documented = {"developer": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}
    found = findings("documented-roles", role("developer", *stated), roles=documented)
    assert {finding.path for finding in found} == expected


def test_a_documented_role_of_one_namespace_says_nothing_of_another() -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    documented = {"shop/ops": [rule], "data/ops": [{**rule, "verbs": ["get", "list"]}]}
    shop, data = role("ops", "core | pods | get", namespace="shop"), role("ops", "core | pods | get", namespace="data")
    found = findings("documented-roles", shop, data, roles=documented)
    assert [(str(finding.object), finding.path) for finding in found] == [("Role data/ops", "rules")]


def test_a_documented_role_that_is_not_there_is_not_passed_over() -> None:
    documented = {"ops": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    result = scanned("documented-roles", DEVELOPER, roles=documented)
    assert [said.reason for said in result.not_evaluated] == ["missing-input"]
    # One of Kubernetes' own need not be declared.
    result = scanned("documented-roles", DEVELOPER, roles={"view": documented["ops"]})
    assert list(result.not_evaluated) == []


def test_nothing_documented_demands_nothing() -> None:
    result = scanned("documented-roles", DEVELOPER, bind("developer", "Group devs"))
    assert (failing(result), result.summary.passed) == ([], 0)


# --- what the documented architecture contradicts ---


@pytest.mark.parametrize(
    ("rule", "line", "part"),
    [
        (
            "secrets-readable-cluster-wide",
            23,
            "ClusterRole devops grants get, list, watch on Secrets in all namespaces",
        ),
        (
            "wildcard-verbs",
            45,
            "ClusterRole security grants every verb on every resource of rbac.authorization.k8s.io,",
        ),
        ("role-names-missing-resource", 38, "Kubernetes 1.28 has it no more, since 1.25"),
    ],
)
def test_contradictions_of_the_documented_roles(rule: str, line: int, part: str) -> None:
    roles, bindings = ((ROLES / name).read_text(encoding="utf-8") for name in ("roles.yaml", "bindings.yaml"))
    found = {f.location.start_line: f.message for f in findings(rule, roles, bindings, version="1.28")}
    assert part in found[line]


def test_the_documented_roles_lead_to_cluster_admin() -> None:
    roles, bindings = ((ROLES / name).read_text(encoding="utf-8") for name in ("roles.yaml", "bindings.yaml"))
    found = findings("escalation-path", roles, bindings, version="1.28")
    assert {finding.message.partition(" can ")[0] for finding in found} == {
        "Group developers",
        "Group devops-engineers",
        "Group security-team",
    }


@pytest.mark.parametrize(
    ("rule", "stated", "names"),
    [
        ("bind-or-escalate", f"{RBAC} | clusterroles | bind | view cluster-admin", "cluster-admin"),
        ("bind-or-escalate", f"{RBAC} | clusterroles | bind | all", "all"),
        ("bind-or-escalate", f"{RBAC} | clusterroles | bind | view", ""),
        ("impersonation", "core | groups | impersonate | system:masters", "system:masters"),
        ("impersonation", "core | groups | impersonate | devs", ""),
        ("impersonation", "core | users | impersonate | system:masters", ""),
    ],
)
def test_names_that_stand_for_every_right_limit_nothing(rule: str, stated: str, names: str) -> None:
    documents = [role("some", stated), bind("some", "User eve"), role("all", "* | * | *")]
    messages = [finding.message for finding in failing(scanned(rule, *documents))]
    assert len(messages) == (1 if names else 0)
    assert all(f" named {names}: " in message for message in messages)


def test_a_wildcard_on_secrets_by_name_reads_these() -> None:
    documents = [role("some", "core | secrets | * | one", namespace="shop"), bind("some", "User eve", namespace="shop")]
    (finding,) = failing(scanned("wildcard-verbs", *documents))
    assert "reading these Secrets" in finding.message
    assert "every Secret" not in finding.message


@pytest.mark.parametrize("rule", ["secrets-readable-cluster-wide", "wildcard-verbs"])
def test_findings_keep_their_identity_when_a_rule_is_written_in_another_order(rule: str) -> None:
    binding = bind("some", "User eve")
    verbs = "* get" if rule == "wildcard-verbs" else "get list"

    def identities(stated: str) -> list[str]:
        return [finding.fingerprint for finding in failing(scanned(rule, role("some", stated), binding))]

    first = identities(f"core | pods secrets | {verbs}")
    assert len(first) == 1
    assert identities(f"core | secrets pods | {' '.join(reversed(verbs.split()))}") == first
    assert identities(f"core | secrets configmaps | {verbs}") != first
