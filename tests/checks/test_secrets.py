"""Rules of kubeassay.checks.secrets: places, and that no message holds a value."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, paths, pod, run
from kubeassay.analysis.sensitive import sensitive_paths

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
        ({"data": {"token": "aHVudGVyMg=="}, "type": "kubernetes.io/service-account-token"}, {"data.token"}),
        ({"type": "kubernetes.io/service-account-token"}, set()),
        ({"stringData": {"password": "hunter2"}, "sops": {}}, set()),
        ({"metadata": {"name": "db", "uid": "1"}, "data": {"password": "aHVudGVyMg=="}}, {"data.password"}),
        ({"data": None}, set()),
        ({"stringData": {"password": "hunter2"}, "type": ["Opaque"]}, {"stringData.password"}),
        ({"stringData": {"password": "hunter2"}, "type": {}}, {"stringData.password"}),
    ],
)
def test_secrets_in_manifests(fields: dict[str, Any], found: set[str]) -> None:
    assert paths("secret-in-manifest", secret(**fields)) == found
    assert all(v.sensitive and "hunter2" not in v.message for v in run("secret-in-manifest", secret(**fields)))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"DB_PASSWORD": "hunter2"}, {"DB_PASSWORD"}),
        ({"db.password": "hunter2", "db.user": "shop"}, {'["db.password"]'}),
        ({"apiKey": "AKIA" + "A" * 16}, {"apiKey"}),
        ({"app.properties": "url=postgres://shop:hunter2@db/shop\n"}, {'["app.properties"]'}),
        ({"app.properties": "db.password=hunter2\nuser=shop\n"}, set()),
        ({"PASSWORD_FILE": "/run/secrets/db", "TOKEN_TTL": "30m", "DB_PASSWORD": "$(DB_PASSWORD)"}, set()),
        ({"password": ""}, set()),
        ({"tokens.txt": "a\nb\n"}, set()),
    ],
)
def test_config_maps(data: dict[str, str], found: set[str]) -> None:
    config_map = make_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    separator = {key: "data" + key if key.startswith("[") else "data." + key for key in found}
    assert paths("secret-in-config-map", config_map) == set(separator.values())
    for violation in run("secret-in-config-map", config_map):
        assert "hunter2" not in violation.message
        assert violation.path in sensitive_paths(config_map.value)
