"""Rules of kubeassay.checks.manifest."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, paths, pod, rule_spec, run
from kubeassay.analysis.fields import served_kinds
from kubeassay.analysis.workloads import TEMPLATE_PATHS
from kubeassay.checks import api_versions
from kubeassay.checks.manifest import SECURITY_FIELDS
from kubeassay.model import Location

C = "spec.containers[0]"


@pytest.mark.parametrize(
    ("spec", "container", "dropped", "unknown"),
    [
        ({}, {"securityContext": {"runAsNonroot": True}}, {f"{C}.securityContext.runAsNonroot"}, set()),
        (
            {},
            {"securityContext": {"seccompProfile": {"Type": "x"}}},
            {f"{C}.securityContext.seccompProfile.Type"},
            set(),
        ),
        ({}, {"securityContext": {"xyz": 1}}, {f"{C}.securityContext.xyz"}, set()),
        ({}, {"runAsNonRoot": True}, {f"{C}.runAsNonRoot"}, set()),
        ({}, {"readonlyRootFileSystem": True}, {f"{C}.readonlyRootFileSystem"}, set()),
        ({}, {"SecurityContext": {}}, {f"{C}.SecurityContext"}, set()),
        ({"hostpid": True}, {}, {"spec.hostpid"}, set()),
        ({"privileged": True}, {}, {"spec.privileged"}, set()),
        ({"automountServiceAccountTokens": False}, {}, {"spec.automountServiceAccountTokens"}, set()),
        ({"securityContext": {"capabilities": {}}}, {}, {"spec.securityContext.capabilities"}, set()),
        ({"replicas": 1}, {"imagePullpolicy": "Always"}, set(), {"spec.replicas", f"{C}.imagePullpolicy"}),
        ({"hostIP": "10.0.0.1"}, {}, set(), {"spec.hostIP"}),
        ({}, {}, set(), set()),
    ],
)
def test_each_unknown_field_belongs_to_one_rule(
    spec: dict[str, Any], container: dict[str, Any], dropped: set[str], unknown: set[str]
) -> None:
    web = pod(spec, **container)
    assert paths("dropped-security-field", web) == dropped
    assert paths("unknown-field", web) == unknown
    assert paths("mistyped-field", web) == set()


def test_a_field_of_a_later_release_is_dropped() -> None:
    web = pod(securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})
    (violation,) = run("dropped-security-field", web, minor=28)
    assert "SecurityContext before 1.30" in violation.message
    assert run("dropped-security-field", web, minor=30) == []


def test_the_status_is_not_the_users() -> None:
    web = make_object({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "status": {"x": 1}})
    assert paths("unknown-field", web) == set()


def test_mistyped_fields() -> None:
    web = pod({"hostPID": "true"}, env=[{"name": "PIN", "value": 123456}])
    violations = run("mistyped-field", web)
    assert {(violation.path, violation.sensitive) for violation in violations} == {
        (("spec", "hostPID"), False),
        (("spec", "containers", 0, "env", 0, "value"), True),
    }
    assert not any("123456" in violation.message for violation in violations)


def test_the_rule_on_security_fields_names_the_kinds_that_have_some() -> None:
    workloads = {kind for group, kind in TEMPLATE_PATHS if group != "extensions"}
    access = {"NetworkPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    assert set(rule_spec("dropped-security-field")["needs"]) == workloads | access


def test_fields_of_every_kind_are_known() -> None:
    claim = make_object(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {"accessMode": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1 Gi"}}},
        }
    )
    assert paths("unknown-field", claim) == {"spec.accessMode"}
    assert paths("mistyped-field", claim) == {"spec.resources.requests.storage"}
    # A name that weakens a pod elsewhere is none of a kind without pods, and is told all the same.
    service = make_object({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"hostPort": 80}})
    assert (paths("unknown-field", service), paths("dropped-security-field", service)) == ({"spec.hostPort"}, set())


def test_versions_of_one_kind_have_their_own_fields() -> None:
    def scaler(version: str) -> set[str]:
        spec = {
            "scaleTargetRef": {"kind": "Deployment", "name": "a"},
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 8,
        }
        return paths(
            "unknown-field",
            make_object({"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {}, "spec": spec}),
        )

    assert scaler("autoscaling/v1") == set()
    assert scaler("autoscaling/v2") == {"spec.targetCPUUtilizationPercentage"}


def test_a_dropped_field_of_a_policy_or_role_concerns_security_whatever_its_name() -> None:
    policy = make_object(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "p", "owner": "team"},
            "spec": {"podSelector": {}, "ingres": [{}]},
        }
    )
    assert paths("dropped-security-field", policy) == {"spec.ingres"}
    assert paths("unknown-field", policy) == {"metadata.owner"}


def test_duplicate_keys() -> None:
    place = Location("test.yaml", 1, 1, 1, 2)
    keys = ((("spec", "securityContext"), (place, place)), (("metadata",), (place, place, place)))
    web = make_object(pod().value, duplicate_keys=keys)
    assert {violation.message for violation in run("duplicate-key", web)} == {
        "key securityContext stands twice; only the last one counts",
        "key metadata stands 3 times; only the last one counts",
    }
    assert all(violation.key for violation in run("duplicate-key", web))


def obj(api_version: str, kind: str) -> Any:
    return make_object({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}})


@pytest.mark.parametrize(
    ("api_version", "kind", "minor", "path", "said"),
    [
        ("v1", "pod", 37, "kind", "called Pod"),
        ("v1", "Pods", 37, "kind", "called Pod"),
        ("v1", "Shop", 37, "kind", ""),
        ("v1", "Deployment", 37, "apiVersion", "in apps/v1"),
        ("apps/v1", "Pod", 37, "apiVersion", "in v1"),
        ("apps/v2", "Deployment", 37, "apiVersion", "in apps/v1"),
        ("app/v1", "Deployment", 37, "apiVersion", "in apps/v1"),
        ("network.k8s.io/v1", "NetworkPolicy", 37, None, ""),
        ("networking.k8s.io/v1", "ServiceCIDR", 32, "apiVersion", "1.33 brought"),
        ("networking.k8s.io/v1", "ServiceCIDR", 33, None, ""),
        ("apps/v1", "Deployment", 16, None, ""),
        ("policy/v1beta1", "PodDisruptionBudget", 37, None, ""),
        ("v1", "Config", 37, None, ""),
        ("v1", "List", 37, None, ""),
        ("v1", "ConfigMapList", 37, None, ""),
        ("example.com/v1", "Deployment", 37, None, ""),
        ("skaffold/v4beta6", "Config", 37, None, ""),
    ],
)
def test_unknown_kinds(api_version: str, kind: str, minor: int, path: str | None, said: str) -> None:
    found = run("unknown-kind", obj(api_version, kind), minor=minor)
    assert {violation.path for violation in found} == ({(path,)} if path else set())
    assert all(said in violation.message for violation in found)


@pytest.mark.parametrize(
    ("api_version", "kind", "removed", "successor"),
    [
        ("extensions/v1beta1", "Deployment", 16, "apps/v1"),
        ("apps/v1beta2", "StatefulSet", 16, "apps/v1"),
        ("extensions/v1beta1", "Ingress", 22, "networking.k8s.io/v1"),
        ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", 22, "apiextensions.k8s.io/v1"),
        ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", 22, "rbac.authorization.k8s.io/v1"),
        ("batch/v1beta1", "CronJob", 25, "batch/v1"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", 26, "it is in autoscaling/v2"),
        ("storage.k8s.io/v1beta1", "CSIStorageCapacity", 27, "storage.k8s.io/v1"),
        ("flowcontrol.apiserver.k8s.io/v1beta2", "FlowSchema", 29, "flowcontrol.apiserver.k8s.io/v1"),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", 32, "flowcontrol.apiserver.k8s.io/v1"),
    ],
)
def test_removed_api_versions(api_version: str, kind: str, removed: int, successor: str) -> None:
    assert run("removed-api-version", obj(api_version, kind), minor=removed - 1) == []
    (violation,) = run("removed-api-version", obj(api_version, kind), minor=removed)
    assert violation.path == ("apiVersion",)
    assert f"1.{removed} removed" in violation.message
    assert successor in violation.message
    assert run("unknown-kind", obj(api_version, kind), minor=removed) == []


def test_the_table_of_removals_agrees_with_the_published_schemas() -> None:
    served = served_kinds()
    for api_version, kinds in api_versions._REMOVED.items():
        for kind, minor in kinds.items():
            if minor <= 25:
                assert kind not in served.get(api_version, {})
            else:
                assert served[api_version][kind].until == minor


@pytest.mark.parametrize(
    ("api_version", "minor", "found"), [("policy/v1beta1", 24, False), ("policy/v1beta1", 25, True)]
)
def test_pod_security_policy(api_version: str, minor: int, found: bool) -> None:
    policy = obj(api_version, "PodSecurityPolicy")
    assert paths("pod-security-policy-left-over", policy, minor=minor) == ({"kind"} if found else set())
    assert run("removed-api-version", policy, minor=minor) == []


@pytest.mark.parametrize(
    ("api_version", "kind", "from_", "until", "said"),
    [
        ("extensions/v1beta1", "Ingress", 14, 22, "1.22 removed it; it is in networking.k8s.io/v1"),
        ("policy/v1beta1", "PodDisruptionBudget", 21, 25, "1.25 removed it; it is in policy/v1"),
        ("policy/v1beta1", "PodSecurityPolicy", 21, 25, "1.25 removed it"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", 23, 26, "1.26 removed it; it is in autoscaling/v2"),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", 29, 32, "it is in flowcontrol.apiserver.k8s.io/v1"),
        ("networking.k8s.io/v1beta1", "IPAddress", 34, 37, "1.37 removed it; it is in networking.k8s.io/v1"),
        ("resource.k8s.io/v1beta1", "ResourceClaim", 35, None, "1.38 is to remove it; it is in resource.k8s.io/v1"),
        ("coordination.k8s.io/v1alpha2", "LeaseCandidate", 35, None, "1.38 is to remove it; it is in coord"),
        ("v1", "Endpoints", 33, None, "another kind in discovery.k8s.io/v1 replaces it"),
    ],
)
def test_deprecated_api_versions(api_version: str, kind: str, from_: int, until: int | None, said: str) -> None:
    rule, it = "deprecated-api-version", obj(api_version, kind)
    assert run(rule, it, minor=from_ - 1) == []
    (violation,) = run(rule, it, minor=from_)
    assert violation.path == ("apiVersion",)
    assert violation.message.startswith(f"Kubernetes 1.{from_} deprecated {kind} in {api_version}")
    assert said in violation.message
    if until is not None:
        assert len(run(rule, it, minor=until - 1)) == 1
        assert run(rule, it, minor=until) == []
        assert kind == "PodSecurityPolicy" or len(run("removed-api-version", it, minor=until)) == 1


def test_the_removals_and_deprecations_agree() -> None:
    """What is deprecated is removed when the table of removals says so, and nothing is told twice or falls between."""
    for api_version, kinds in api_versions._deprecations().items():
        for kind, (_, removed, _) in kinds.items():
            known = api_versions._kinds()[api_version][kind]
            assert known.until == removed or (known.until is None and (removed is None or removed > 37))


def test_the_version_alone_is_changed_only_where_nothing_else_is() -> None:
    def repaired(api_version: str, kind: str, minor: int, **spec: object) -> object:
        rules = ("removed-api-version", "deprecated-api-version")
        it = make_object({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec})
        ((repair),) = [violation.repair for rule in rules for violation in run(rule, it, minor=minor)]
        return repair and repair.value

    assert repaired("batch/v1beta1", "CronJob", 25) == "batch/v1"
    assert repaired("batch/v1beta1", "CronJob", 21) == "batch/v1"
    assert repaired("extensions/v1beta1", "Ingress", 22) is None
    assert repaired("apps/v1beta1", "Deployment", 37) is None
    budget = ("policy/v1beta1", "PodDisruptionBudget", 25)
    assert repaired(*budget, selector={"matchLabels": {"app": "web"}}) == "policy/v1"
    assert repaired(*budget, selector={}) is None


def test_security_fields_exist() -> None:
    from kubeassay.analysis.fields import _document

    known = {field for table in _document()["types"].values() for field in table}
    assert known >= SECURITY_FIELDS
