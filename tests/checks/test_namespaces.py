"""Rules of kubeassay.checks.namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, paths, pod, rule_spec, run
from kubeassay.checks import pod_security_baseline, pod_security_restricted
from kubeassay.checks.namespaces import BASELINE_RULES, OVERRIDES, RESTRICTED_RULES
from kubeassay.checks.registry import collect
from kubeassay.model import Object

PREFIX = "pod-security.kubernetes.io/"
ENFORCE = f'metadata.labels["{PREFIX}enforce"]'


def namespace(name: str = "shop", **labels: Any) -> Object:
    metadata = {"name": name, "labels": {PREFIX + key.replace("_", "-"): value for key, value in labels.items()}}
    return make_object({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


@pytest.mark.parametrize(
    ("labels", "level", "found"),
    [
        ({}, "baseline", True),
        ({"warn": "restricted"}, "baseline", True),
        ({}, "privileged", False),
        ({"enforce": "privileged"}, "baseline", True),
        ({"enforce": "baseline"}, "baseline", False),
        ({"enforce": "baseline"}, "restricted", True),
        ({"enforce": "restricted"}, "restricted", False),
        # Enforced as restricted; another rule tells.
        ({"enforce": "strict"}, "restricted", False),
    ],
)
def test_labels(labels: dict[str, str], level: str, found: bool) -> None:
    assert paths("namespace-pod-security-labels", namespace(**labels), level=level) == ({ENFORCE} if found else set())


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"enforce": "Restricted"}, {"enforce"}),
        ({"enforce": ""}, {"enforce"}),
        ({"audit": "x", "warn": "y"}, {"audit", "warn"}),
        ({"enforce_version": "1.28"}, {"enforce-version"}),
        ({"enforce_version": "v1.028"}, {"enforce-version"}),
        ({"enforce_version": "v1.28.1"}, {"enforce-version"}),
        ({"warn_version": "newest"}, {"warn-version"}),
        ({"enforce": "baseline", "enforce_version": "v1.28", "audit_version": "latest"}, set()),
    ],
)
def test_invalid_labels(labels: dict[str, str], found: set[str]) -> None:
    expected = {f'metadata.labels["{PREFIX}{key}"]' for key in found}
    assert paths("namespace-pod-security-labels-invalid", namespace(**labels)) == expected


GOOD = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
C = "spec.containers[0]"


@pytest.mark.parametrize(
    ("labels", "spec", "context", "minor", "found"),
    [
        ({}, {"hostPID": True}, {}, 37, set()),
        ({"enforce": "privileged"}, {"hostPID": True}, {}, 37, set()),
        ({"enforce": "baseline"}, {"hostPID": True}, {}, 37, {"spec.hostPID"}),
        ({"enforce": "baseline"}, {}, {}, 37, set()),
        ({"warn": "restricted"}, {}, {}, 37, set()),
        ({"enforce": "restricted"}, {}, GOOD, 37, set()),
        ({"enforce": "restricted"}, {}, GOOD | {"runAsUser": 0}, 37, {f"{C}.securityContext.runAsUser"}),
        ({"enforce": "restricted", "enforce_version": "v1.22"}, {}, GOOD | {"runAsUser": 0}, 37, set()),
        # The cluster knows no newer checks than its own.
        ({"enforce": "restricted", "enforce_version": "v1.37"}, {}, GOOD | {"runAsUser": 0}, 22, set()),
        # An unknown level is enforced as restricted, an unknown version as latest.
        ({"enforce": "x"}, {}, GOOD | {"runAsUser": 0}, 37, {f"{C}.securityContext.runAsUser"}),
        (
            {"enforce": "restricted", "enforce_version": "1.22"},
            {},
            GOOD | {"runAsUser": 0},
            37,
            {f"{C}.securityContext.runAsUser"},
        ),
        # One violation, not one of each level.
        (
            {"enforce": "restricted"},
            {"volumes": [{"name": "a", "hostPath": {"path": "/a"}}]},
            GOOD,
            37,
            {"spec.volumes[0].hostPath"},
        ),
    ],
)
def test_refused_workloads(
    labels: dict[str, str], spec: dict[str, Any], context: dict[str, Any], minor: int, found: set[str]
) -> None:
    web = pod(spec, securityContext=context)
    violations = run("namespace-workloads-refused", namespace(**labels), web, minor=minor)
    assert {".".join(map(str, v.path)).replace(".0", "[0]") for v in violations} == found
    assert len(violations) == len(found)
    for violation in violations:
        assert violation.related[0][2] == ("metadata", "labels", f"{PREFIX}enforce")


def test_pods_are_refused_once_for_all_reasons() -> None:
    web = pod({"hostPID": True}, securityContext={"runAsUser": 0})
    (violation,) = run("namespace-workloads-refused", namespace(enforce="restricted"), web)
    assert violation.message.endswith("and 5 more reasons")
    reasons = {message for message, obj, _ in violation.related[1:] if obj is not None}
    assert len(reasons) == 5
    assert "container app runs as user 0 (root)" in reasons | {violation.message}


def test_only_the_workloads_own_namespace_counts() -> None:
    other = namespace("other", enforce="restricted")
    assert run("namespace-workloads-refused", other, pod()) == []
    assert run("namespace-workloads-refused", pod()) == []


def test_custom_resources_are_not_judged() -> None:
    custom = make_object(
        {
            "apiVersion": "example.com/v1",
            "kind": "Shop",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"hostPID": True, "containers": [{"name": "app"}]},
        }
    )
    assert run("namespace-workloads-refused", namespace(enforce="restricted"), custom) == []


def test_the_levels_are_those_of_the_standard() -> None:
    assert set(collect([pod_security_baseline])) == set(BASELINE_RULES)
    assert set(collect([pod_security_restricted])) == set(RESTRICTED_RULES)
    for rule, subject in {**BASELINE_RULES, **RESTRICTED_RULES}.items():
        assert rule_spec(rule)["subject"] == subject
        assert rule_spec(rule).get("overrides", []) == ([OVERRIDES[rule]] if rule in OVERRIDES else [])
