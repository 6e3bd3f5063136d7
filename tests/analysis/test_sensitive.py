"""What counts as a credential in the clear."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, pod
from kubeassay.analysis.sensitive import holds_credential, secret_arguments, secret_evidence, sensitive_value_paths
from kubeassay.model import format_path

# Put together here, so that no scanner takes this file for a leak.
GITHUB = "ghp" + "_" + "a1" * 18
AWS = "AKIA" + "ABCDEFGHIJKLMNOP"
KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nabc"


@pytest.mark.parametrize(
    ("name", "value", "evidence"),
    [
        ("DB_PASSWORD", "hunter2", "name"),
        ("dbPassword", "hunter2", "name"),
        ("db-password", "hunter2", "name"),
        ("PGPASSWORD", "hunter2", "name"),
        ("SMTP_PASS", "hunter2", "name"),
        ("MYSQL_PWD", "hunter2", "name"),
        ("PASSWORD", "12345678", "name"),
        ("PASSWORD", 12345678, "name"),
        ("API_KEY", "abc", "name"),
        ("apiKey", "abc", "name"),
        ("STRIPE_APIKEY", "abc", "name"),
        ("AWS_SECRET_ACCESS_KEY", "abc", "name"),
        ("SECRET_KEY_BASE", "abc", "name"),
        ("GITHUB_TOKEN_2", "abc", "name"),
        ("CREDENTIALS", "user:abc", "name"),
        ("ANY", GITHUB, "value"),
        ("AWS_ACCESS_KEY_ID", AWS, "value"),
        ("CONFIG", KEY, "value"),
        ("DATABASE_URL", "postgres://shop:hunter2@db/shop", "value"),
        ("CONNECTION_STRING", "Server=db;Password=hunter2;", "value"),
        ("HOOK", "https://:hunter2@example.com", "value"),
        # A reference, a place, a switch, a time: no secret.
        ("DB_PASSWORD", "", None),
        ("DB_PASSWORD", None, None),
        ("DB_PASSWORD", "$(OTHER)", None),
        ("DB_PASSWORD", "${OTHER}", None),
        ("DB_PASSWORD", "<password>", None),
        ("DB_PASSWORD", "{{ .Values.password }}", None),
        ("DB_PASSWORD", "****", None),
        ("DB_PASSWORD_FILE", "/run/secrets/db", None),
        ("DB_PASSWORD", "/run/secrets/db", None),
        ("TOKEN_TTL", "3600", None),
        ("TOKEN_EXPIRY", "1h", None),
        ("TOKEN", "true", None),
        ("TOKEN_ENABLED", "yes", None),
        ("SECRET_NAME", "db", None),
        ("IMAGE_PULL_SECRET_NAME", "db", None),
        ("TOKEN_URL", "https://example.com/token", None),
        ("AWS_ACCESS_KEY_ID", "minio", None),
        ("DATABASE_URL", "postgres://shop:$(DB_PASSWORD)@db/shop", None),
        ("DATABASE_URL", "postgres://db/shop", None),
        ("IMAGE", "registry:5000/app@sha256:0123", None),
        ("TOKENIZER", "bert", None),
        ("COMPASS", "north", None),
        ("MAX_TOKENS", "4096", None),
        ("PUBLIC_KEY", "abc", None),
    ],
)
def test_environment(name: str, value: Any, evidence: str | None) -> None:
    assert secret_evidence(name, value) == evidence


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["--password=hunter2"], {(0, "--password")}),
        (["--password", "hunter2"], {(1, "--password")}),
        (["-password=hunter2"], {(0, "-password")}),
        (["--password", "--verbose"], set()),
        (["--password=$(DB_PASSWORD)"], set()),
        (["--password-file=/run/secrets/db"], set()),
        (["--token-ttl=1h", "--secret-name=db"], set()),
        (["--db=postgres://shop:hunter2@db/shop"], {(0, "")}),
        (["--header", "X-Token: " + GITHUB], {(1, "")}),
        (["curl https://shop:hunter2@example.com/"], {(0, "")}),
        (["password", "hunter2"], set()),
        ([None, 7, {}], set()),
    ],
)
def test_arguments(args: list[Any], found: set[tuple[int, str]]) -> None:
    for field in ("command", "args"):
        assert set(secret_arguments({field: args})) == {(field, number, flag) for number, flag in found}


def test_paths_that_no_report_may_show() -> None:
    web = pod(
        env=[{"name": "A", "value": "b"}, {"name": "TOKEN", "value": "abc"}, {"name": "PIN_PASSWORD", "value": 123456}],
        args=["--password", "hunter2"],
    )
    assert {format_path(path) for path in sensitive_value_paths(web)} == {
        "spec.containers[0].env[1].value",
        "spec.containers[0].env[2].value",
        "spec.containers[0].args[1]",
    }


def test_every_value_of_a_secret_is_masked() -> None:
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    secret = make_object(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "db", "annotations": {applied: "{}"}},
            "data": {"a": "YQ=="},
            "stringData": {"b": "", "c": 1},
        }
    )
    assert set(sensitive_value_paths(secret)) == {
        ("data", "a"),
        ("stringData", "b"),
        ("stringData", "c"),
        ("metadata", "annotations", applied),
    }


@pytest.mark.parametrize(
    ("key", "value", "encoded", "holds"),
    [
        ("password", "hunter2", False, True),
        ("password", "", False, False),
        ("password", None, False, False),
        ("password", "${PASSWORD}", False, False),
        ("password", "<replace me>", False, False),
        ("password", "ENC[AES256_GCM,data:abc]", False, False),
        ("password", "aHVudGVyMg==", True, True),
        ("password", "JHtQQVNTV09SRH0=", True, False),
        ("password", "${PASSWORD}", True, False),
        ("password", "/+8=", True, True),
        ("pin", 7, False, True),
        ("app.yaml", "replicas: 2\nlog: debug", False, False),
        ("app.yaml", "db:\n  password: hunter2", False, True),
        ("app.yaml", "db:\n  password: ${DB}", False, False),
        ("app.yaml", "db:\n  password:\n  user: shop", False, False),
        ("app.json", '{"apiKey": "abc"}', False, True),
        ("app.json", '{"apiKey": ""}', False, False),
        ("app.ini", "secret_key = abc", False, True),
        ("app.conf", "url=postgres://shop:hunter2@db/shop", False, True),
    ],
)
def test_values_of_secrets(key: str, value: Any, encoded: bool, holds: bool) -> None:
    assert holds_credential(key, value, encoded=encoded) is holds
