"""What counts as a credential in the clear."""

from __future__ import annotations

from typing import Any

import pytest

from checks.rule_runner import make_object, pod
from kit import run_within_seconds
from kubeassay.analysis.sensitive import holds_credential, secret_arguments, secret_evidence, sensitive_paths
from kubeassay.model import format_path

# Put together here, so that no scanner takes this file for a leak.
GITHUB = "ghp" + "_" + "a1" * 18
AWS = "AKIA" + "ABCDEFGHIJKLMNOP"
JWT = "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20
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
        ("KUBECONFIG_SECRET", "my-secret-name", None),
        ("CREDENTIALS_SECRET", "my-creds", None),
        ("TLS_SECRET", "shop/web-tls", None),
        ("DB_SECRET", "hunter2", "name"),
        ("DB_SECRET", "my-secret-2", "name"),
        ("DB_SECRET", "My-Secret", "name"),
        ("SECRET", "my-secret", "name"),
        ("DB_PASSWORD", "my-secret", "name"),
        ("TOKEN", "$(OTHER)-x", None),
        ("GOOGLE_CREDENTIALS", "key.json", None),
        ("GOOGLE_CREDENTIALS", "C:/x/y.json", None),
        ("GOOGLE_CREDENTIALS", "keys/key.json", None),
        ("SECRET_BACKEND", "vault", None),
        ("PASSWORD_MIN_LENGTH_CHARS", "abc", None),
        ("PASSWORD_RESET_ENABLED_FLAG", "abc", None),
        ("ACCESS_KEY_ALGO", "rsa", None),
        ("SESSION_SECRET_GENERATOR", "uuid", None),
        ("VAULT_TOKEN_SINK", "memory", None),
        ("CSRF_TOKEN_HEADER_KEY", "x-csrf", None),
        ("PASS", "8080", None),
        ("PASS", "hunter2", "name"),
        ("SMTP_PASS", "8080", "name"),
        ("DB_PASSWORD", "REDACTED", None),
        ("DB_PASSWORD", "changeme", "name"),
        ("DB_PASSWORD", "#{PASS}#", None),
        ("DB_PASSWORD", "#hunter2", "name"),
        ("PROXY", "http://proxy:3128,foo@bar.com", None),
        ("PROXY", "http://proxy:hunter2,foo@bar.com", "value"),
        ("REMOTE", "https://x-access-token:REDACTED@github.com/a/b", None),
        ("REMOTE", "https://x-access-token:REDACTED1@github.com/a/b", "value"),
        ("CONNECTION_STRING", "Server=db;Password=#{PASS}#;", None),
        ("CONNECTION_STRING", "Server=db;Password=REDACTED", None),
        ("CONNECTION_STRING", "Server=db;Password=#hunter2", "value"),
        ("ANY", "Bearer " + JWT, "value"),
        ("ANY", "token:" + JWT, "value"),
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
        (["--tls-private-key", "key.pem"], set()),
        (["--tls-private-key=certs/key.pem"], set()),
        (["--secret", "my-secret"], set()),
        (["--secret", "web"], set()),
        (["--watch-secret", "default/foo"], set()),
        (["--enable-secret", "foo"], set()),
        (["--enable-secret", "Foo!"], {(1, "--enable-secret")}),
        (["--client-secret", "abc123"], {(1, "--client-secret")}),
        (["--secret=hunter2"], {(0, "--secret")}),
        (["--watch-secret=default/foo"], set()),
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
    assert {format_path(path) for path in sensitive_paths(web.value)} == {
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
    assert set(sensitive_paths(secret.value)) == {
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


def test_what_is_not_of_the_rules_but_may_be_secret_is_masked_too() -> None:
    value = {
        "apiVersion": "example.com/v1",
        "kind": "Shop",
        "metadata": {"name": "token", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {
            "adminPassword": "hunter2",
            "pin": {"secretKey": 1234},
            "parameters": [{"name": "password", "value": "hunter2"}, {"name": "replicas", "value": "2"}],
            "env": [
                {
                    "name": "DB_PASSWORD",
                    "vaule": "a",
                    "value": {"b": ["c"]},
                    "valueFrom": {"secretKeyRef": {"name": "d"}},
                },
                {"name": "DB_PASSWORD", "value": "$(OTHER)"},
            ],
            "steps": [["--token", "hunter2"], {"script": "login --password=hunter2"}],
            "target": {"kind": "Secret", "name": "db"},
            "passwordFrom": "true",
            "image": "registry.example/vault-token:1.0",
        },
    }
    assert {format_path(path) for path in sensitive_paths(make_object(value).value)} == {
        'metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]',
        "spec.adminPassword",
        "spec.pin.secretKey",
        "spec.parameters[0].value",
        "spec.env[0].vaule",
        "spec.env[0].value.b[0]",
        "spec.steps[0][1]",
        "spec.steps[1].script",
    }


CUSTOM: dict[str, Any] = {
    "apiVersion": "example.com/v1",
    "kind": "Shop",
    "metadata": {"name": "shop"},
    "spec": {
        "passwords": ["hunter2", 1234, "${OTHER}", ["hunter2"], {"name": "n", "text": "hunter2"}],
        "tokens": {"github": "hunter2", "ttl": "1h", "ci": {"value": "hunter2", "expirationSeconds": 60}, "pin": 1234},
        "credentials": {
            "value": "hunter2",
            "username": "shop",
            "enabled": True,
            "secretRef": {"name": "s", "key": "k"},
        },
        "apiKeys": [{"id": "1", "text": "hunter2"}],
        "accessTokens": "hunter2,hunter3",
        # What a pod's spec has of such names is no secret.
        "template": {
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [
                {"secret": {"secretName": "s", "defaultMode": 420, "items": [{"key": "k", "path": "p", "mode": 256}]}},
                {"projected": {"sources": [{"serviceAccountToken": {"path": "p", "expirationSeconds": 600}}]}},
            ],
        },
        "credentialsProvider": {"type": "vault", "role": "shop"},
        "maxTokens": 4096,
    },
}
HIDDEN = {
    "spec.passwords[0]",
    "spec.passwords[1]",
    "spec.passwords[3][0]",
    "spec.passwords[4].text",
    "spec.tokens.github",
    "spec.tokens.ci.value",
    "spec.tokens.pin",
    "spec.credentials.value",
    "spec.apiKeys[0].text",
    "spec.accessTokens",
}


def test_what_stands_below_a_secrets_name_in_a_custom_resource_is_one() -> None:
    assert {format_path(path) for path in sensitive_paths(CUSTOM)} == HIDDEN
    listed = {"apiVersion": "v1", "kind": "List", "items": [CUSTOM]}
    assert {format_path(path) for path in sensitive_paths(listed)} == {f"items[0].{path}" for path in HIDDEN}
    assert len(sensitive_paths(CUSTOM)) == len(HIDDEN)
    # Fields of Kubernetes itself hold references.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "a", "other": "b"}], "tokens": ["c"]}
    assert sensitive_paths(account) == []


def test_of_a_secret_only_its_type_and_names_are_shown() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "db"}, "annotations": {"note": "a"}},
        "stringdata": {"a": "b", "c": ["d", None]},
        "e": "f",
    }
    assert {format_path(path) for path in sensitive_paths(make_object(secret).value)} == {
        "metadata.annotations.note",
        "stringdata.a",
        "stringdata.c[0]",
        "e",
    }


def test_long_values_are_judged_in_linear_time() -> None:
    run_within_seconds(
        "from kubeassay.analysis.sensitive import holds_credential, is_secret_value, secret_evidence, sensitive_paths\n"
        "hard = ['password' * 50_000, 'a.' * 200_000 + '@', 'a.' * 200_000 + '://a:b', '-eyJ' * 100_000,\n"
        "        '.eyJ' * 100_000, 'eyJ' + 'a' * 400_000, 'eyJaaaaaaaaaa.' * 30_000, '://a:' * 80_000 + '@',\n"
        "        '-----BEGIN ' * 40_000, '-----BEGIN ' + 'A ' * 200_000, ';password=$' * 40_000, 'secret ' * 60_000,\n"
        "        'a/' * 200_000, 'a-' * 200_000, 'a.' * 200_000, '{{' * 200_000, '$(a' * 100_000, '#{' * 200_000,\n"
        "        '<' * 400_000, 'token' + ' ' * 400_000,\n"
        "        '@a:' * 100_000, 'xoxa-' * 80_000, '=' * 400_000, 'a=' * 200_000]\n"
        "for text in hard:\n"
        "    is_secret_value(text)\n"
        "    secret_evidence('DB_PASSWORD', text), secret_evidence('DB_SECRET', text), secret_evidence(text, 'x')\n"
        "    holds_credential('app.yaml', text, encoded=False), holds_credential('app.yaml', text, encoded=True)\n"
        "    sensitive_paths({'a': text, 'image': text, 'password': text, 'b': ['--secret', text, text]})\n"
    )
