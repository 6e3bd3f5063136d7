"""Rules of kubeassay.checks.secrets: places, and that no message holds a value."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, paths, pod, run

C = "spec.containers[0]"


def test_environment() -> None:
    web = pod(env=[{"name": "A", "value": "b"}, {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DB_PASSWORD"}])
    (violation,) = run("secret-in-environment", web)
    assert violation.path == ("spec", "containers", 0, "env", 1, "value")
    assert violation.sensitive
    assert "hunter2" not in violation.message
    assert "DB_PASSWORD" in violation.message


def test_arguments() -> None:
    web = pod(command=["app", "--api-key=hunter2"], args=["--password", "hunter2"])
    violations = run("secret-in-arguments", web)
    assert {violation.path[3:] for violation in violations} == {("command", 1), ("args", 1)}
    assert all(violation.sensitive and "hunter2" not in violation.message for violation in violations)


def test_references() -> None:
    web = pod(
        env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "a"}}}, {"name": "B", "valueFrom": {}}],
        envFrom=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "db"}}],
    )
    assert paths("secret-environment-reference", web) == {
        f"{C}.env[0].valueFrom.secretKeyRef",
        f"{C}.envFrom[1].secretRef",
    }


def secret(**fields: Any) -> Any:
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, **fields}
    return make_object(value)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"stringData": {"password": "hunter2"}}, {"stringData.password"}),
        ({"data": {"password": "aHVudGVyMg=="}}, {"data.password"}),
        ({"data": {"tls.crt": "YQ==", "tls.key": "YQ=="}}, {'data["tls.key"]'}),
        ({"stringData": {"username": "shop", "id.pub": "x"}}, set()),
        ({"stringData": {"password": "hunter2"}, "type": "kubernetes.io/service-account-token"}, set()),
        ({"stringData": {"password": "hunter2"}, "sops": {}}, set()),
        ({"metadata": {"name": "db", "uid": "1"}, "data": {"password": "aHVudGVyMg=="}}, set()),
        ({"data": None}, set()),
    ],
)
def test_secrets_in_manifests(fields: dict[str, Any], found: set[str]) -> None:
    assert paths("secret-in-manifest", secret(**fields)) == found
    assert all(v.sensitive and "hunter2" not in v.message for v in run("secret-in-manifest", secret(**fields)))
