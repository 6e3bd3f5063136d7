"""What deploy/ grants, on the API server: an audit by it is refused nothing, and nothing else is granted."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import generate_deploy
import pytest
import urllib3
import yaml
from click.testing import CliRunner, Result
from kubernetes.config import incluster_config

from deploy.rendering import charted, kustomized, objects
from kubeassay.cli.main import cli
from kubeassay.sources.cluster import Api
from live.api_server import OwnServer

NAMESPACE = NAME = "kubeassay"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
GROUPS = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@cache
def base() -> dict[tuple[str, str], Any]:
    """The objects of the Kustomize base; where Kustomize is not installed, the test is skipped."""
    return objects(kustomized("base"))


@pytest.fixture(scope="module")
def server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server without controllers, to which the base is applied, with every custom resource that its role names."""
    with OwnServer(binaries, tmp_path_factory.mktemp("deploy") / "server") as made:
        create = made.admin.must_create
        create(base()["Namespace", NAME])
        # Before the quota, which nobody counts here.
        template = base()["CronJob", NAME]["spec"]["jobTemplate"]["spec"]["template"]
        create(base()["ServiceAccount", NAME])
        metadata = {"name": "p", "namespace": NAMESPACE, **template["metadata"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        made.pod = made.admin.create(pod, dry_run=True)  # type: ignore[attr-defined]
        for (kind, name), manifest in base().items():
            if (kind, name) not in (("Namespace", NAME), ("ServiceAccount", NAME)):
                create(manifest)
        for group, members in generate_deploy.NAMED.items():
            for resource, kind in members.items():
                create(definition(group, resource, kind))
        named = {(group, resource) for group, members in generate_deploy.NAMED.items() for resource in members}
        made._wait_for("kube-apiserver", lambda: named <= served(made).keys())
        yield made


def definition(group: str, resource: str, kind: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": resource},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def served(server: OwnServer) -> dict[tuple[str, str], str]:
    """(API group, resource) → kind, of all that the server has."""
    found: dict[tuple[str, str], str] = {}
    groups = [("", "/api/v1")]
    for group in server.admin.get("/apis")["groups"]:
        groups.append((group["name"], f"/apis/{group['preferredVersion']['groupVersion']}"))
    for name, path in groups:
        said = server.admin.request("GET", path)
        # A group is named a moment before its resources are.
        for resource in said.body["resources"] if said.ok else ():
            found[name, resource["name"]] = resource["kind"]
    return found


def granted(server: OwnServer) -> set[tuple[str, str]]:
    """What the roles name, as far as this server has it: devices are served from 1.34 on."""
    found = generate_deploy.resources().keys() & served(server).keys()
    assert {group for group, _ in generate_deploy.resources().keys() - found} <= {"resource.k8s.io"}
    return found


@pytest.fixture(scope="module")
def more() -> dict[tuple[str, str], Any]:
    """Roles and bindings of a chart that grants a group of custom resources besides."""
    extra = 'rights={"extra":[{"apiGroups":["example.com"],"resources":["*"]}]}'
    rendered = objects(charted(extra, release="kubeassay-more"))
    return {key: manifest for key, manifest in rendered.items() if key[0].startswith("ClusterRole")}


def token(server: OwnServer, bound: dict[str, Any] | None = None) -> str:
    """A token of the service account, as the kubelet asks for one."""
    said = server.admin.request(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600, **({"boundObjectRef": bound} if bound else {})},
        },
    )
    assert said.ok, said.message
    return str(said.body["status"]["token"])


@pytest.fixture
def pod(server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pod sees of its service account: the folder that is mounted, and where the API server is."""
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "token").write_text(token(server))
    (account / "namespace").write_text(NAMESPACE)
    shutil.copyfile(server.folder / "certificates" / "ca.crt", account / "ca.crt")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return account


def audit(tmp_path: Path) -> tuple[Result, dict[str, Any]]:
    """Run the command of the CronJob, with a folder for its volume; the result that it kept."""
    results = tmp_path / "results"
    results.mkdir(exist_ok=True)
    (container,) = base()["CronJob", NAME]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    arguments = [argument.replace("/results", str(results)) for argument in container["args"]]
    done = CliRunner().invoke(cli, arguments)
    kept = sorted(results.iterdir())
    return done, json.loads((kept[-1] / "result.json").read_text("utf-8")) if kept else {}


def unread(report: dict[str, Any]) -> set[str]:
    return {entry["reason"] for entry in report["notEvaluated"]} & {"forbidden", "not-readable"}


def test_the_audit_of_the_cronjob_is_refused_nothing(server: OwnServer, pod: Path, tmp_path: Path) -> None:
    first, report = audit(tmp_path)
    assert "not read" not in first.output
    assert unread(report) == set()
    assert report["target"] == {"kind": "cluster", "name": "in-cluster"}
    # Each kind that the roles name was listed.
    read = re.search(r"read \d+ objects of (\d+) kinds", first.output)
    assert read is not None
    assert int(read[1]) == len(granted(server))
    assert "compared with nothing" in first.output
    time.sleep(1.1)
    second, _ = audit(tmp_path)
    # The cluster is as it was: nothing is new, the Job succeeds.
    assert re.search(r"compared with .*: 0 new, 0 fixed, \d+ unchanged", second.output), second.output
    assert second.exit_code == 0


def test_nothing_but_list_is_granted(server: OwnServer) -> None:
    """Compared with what any service account may do."""

    def may(user: str, group: str, resource: str, verb: str) -> bool:
        name, _, subresource = resource.partition("/")
        attributes = {"group": group, "resource": name, "subresource": subresource, "verb": verb}
        spec = {"user": user, "groups": GROUPS, "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        said = server.admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        assert said.ok, said.message
        return bool(said.body["status"]["allowed"])

    found = {
        (group, resource, verb)
        for group, resource in served(server)
        for verb in VERBS
        if may(USER, group, resource, verb)
        and not may(f"system:serviceaccount:{NAMESPACE}:other", group, resource, verb)
    }
    assert found == {(group, resource, "list") for group, resource in granted(server)}


def test_pod_security_admits_the_pod(server: OwnServer) -> None:
    """In the namespace of the base, which is held to the restricted standard."""
    said = server.pod  # type: ignore[attr-defined]
    assert said.ok, said.message


def test_without_the_right_to_secrets_they_are_not_evaluated(server: OwnServer, pod: Path, tmp_path: Path) -> None:
    binding = base()["ClusterRoleBinding", "kubeassay-secrets"]
    assert server.admin.delete(binding).ok
    try:
        done, report = audit(tmp_path)
    finally:
        server.admin.must_create(binding)
    assert [line for line in done.output.splitlines() if line.startswith("not read")] == [
        "not read: Secret (forbidden)"
    ]
    forbidden = {entry.get("rule") for entry in report["notEvaluated"] if entry["reason"] == "forbidden"}
    assert "escalation-path" in forbidden


def test_a_custom_resource_that_no_rule_names_is_said_and_can_be_granted(
    server: OwnServer, more: dict[tuple[str, str], Any], pod: Path, tmp_path: Path
) -> None:
    made = definition("example.com", "things", "Thing")
    server.admin.must_create(made)
    try:
        server._wait_for("kube-apiserver", lambda: ("example.com", "things") in served(server))
        done, report = audit(tmp_path)
        assert "not read: Thing (example.com) (forbidden)" in done.output
        assert unread(report) == {"forbidden"}
        for manifest in more.values():
            for subject in manifest.get("subjects", ()):
                subject["name"] = NAME
            server.admin.must_create(manifest)
        time.sleep(1.1)
        done, report = audit(tmp_path)
        assert "not read" not in done.output
        assert unread(report) == set()
    finally:
        for manifest in (made, *more.values()):
            server.admin.delete(manifest)


def test_the_role_that_rights_prints_is_enough(server: OwnServer, tmp_path: Path) -> None:
    """In a cluster with custom resources that no rule names."""
    # One of its own: that of the test before may still be on its way out.
    made = [definition("example.org", "others", "Other")]
    server.admin.must_create(made[0])
    try:
        server._wait_for("kube-apiserver", lambda: ("example.org", "others") in served(server))
        printed = CliRunner().invoke(cli, ["rights", "--kubeconfig", str(server.kubeconfig), "--name", "printed"])
        for role in yaml.safe_load_all(printed.stdout):
            name = role["metadata"]["name"]
            group = "rbac.authorization.k8s.io"
            binding = {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": group, "kind": "User", "name": "auditor"}],
            }
            made += [server.admin.must_create(role), server.admin.must_create(binding)]
        assert len(made) == 5
        report = tmp_path / "report.json"
        kubeconfig = server.kubeconfig_for("auditor")
        for profile in ("strict", "recommended", "merajutasa/production"):
            arguments = ["--kubeconfig", str(kubeconfig), "-p", profile, "-o", f"json={report}"]
            done = CliRunner().invoke(cli, ["audit", *arguments])
            assert "not read" not in done.output
            assert unread(json.loads(report.read_text("utf-8"))) == set()
    finally:
        for manifest in made:
            server.admin.delete(manifest)


def signed(server: OwnServer, good: str, **claims: int) -> str:
    """A token with other claims, signed as the API server would."""
    if shutil.which("openssl") is None:
        pytest.skip("NO openssl: it signs a token that has expired")

    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    header, payload, _ = good.split(".")
    stated = json.loads(base64.urlsafe_b64decode(payload + "=="))
    said = f"{header}.{encoded(json.dumps({**stated, **claims}).encode())}"
    key = server.folder / "certificates" / "accounts.key"
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    der = subprocess.run(command, input=said.encode(), capture_output=True, check=True).stdout
    # An ECDSA signature in ASN.1: a sequence of two integers. A token has them one after the other, of 32 bytes each.
    numbers, at = [], 2
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + length], "big").to_bytes(32, "big"))
        at += 2 + length
    return f"{said}.{encoded(b''.join(numbers))}"


def test_an_expired_token_is_one_line(server: OwnServer, pod: Path, tmp_path: Path) -> None:
    now = int(time.time())
    good = (pod / "token").read_text()
    (pod / "token").write_text(signed(server, good, exp=now - 3600, iat=now - 7200, nbf=now - 7200))
    refused, _ = audit(tmp_path)
    assert refused.exit_code == 2
    said = [line for line in refused.output.splitlines() if line.startswith("Error")]
    assert said == ["Error: the credentials are refused, perhaps expired (401: Unauthorized)"]
    # The same with another time is good: it is the time that was refused.
    (pod / "token").write_text(signed(server, good, exp=now + 3600))
    accepted, report = audit(tmp_path)
    assert unread(report) == set(), accepted.output


def test_no_token_is_one_line(pod: Path, tmp_path: Path) -> None:
    (pod / "token").unlink()
    refused, _ = audit(tmp_path)
    assert refused.exit_code == 2
    assert "Error: no token of a service account is mounted in this pod at" in refused.output
    assert "Traceback" not in refused.output


@pytest.fixture
def revoked(server: OwnServer, pod: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], list[int]]:
    """Has the audit begin with a token that the server takes back in the middle of it; in the file stands another one
    from then on, or the same. The statuses of the answers are noted."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bound", "namespace": NAMESPACE}}
    bound = {**secret, "name": "bound", "uid": server.admin.must_create(secret)["metadata"]["uid"]}
    del bound["metadata"]
    first = token(server, bound)
    (pod / "token").write_text(first)
    statuses: list[int] = []
    asked = Api._request

    def taken_back() -> None:
        assert server.admin.delete(secret).ok
        pool = urllib3.PoolManager(ca_certs=str(pod / "ca.crt"))
        headers = {"Authorization": f"Bearer {first}"}
        until = time.monotonic() + 60
        # A server remembers for some seconds that a token was good.
        while pool.request("GET", f"https://127.0.0.1:{server.port}/version", headers=headers).status != 401:
            assert time.monotonic() < until
            time.sleep(0.5)

    def begin(second: str | None) -> list[int]:
        def request(self: Api, *arguments: Any, **options: Any) -> Any:
            if len(statuses) == 8:
                if second is not None:
                    (pod / "token").write_text(second)
                taken_back()
            answer = asked(self, *arguments, **options)
            statuses.append(answer[0])
            return answer

        monkeypatch.setattr(Api, "_request", request)
        monkeypatch.setattr("kubeassay.sources.cluster._WORKERS", 1)
        return statuses

    return begin


@pytest.mark.parametrize(("minutes", "refusals"), [(1, 1), (0, 0)])
def test_a_token_that_is_renewed_during_the_audit(
    server: OwnServer,
    pod: Path,
    tmp_path: Path,
    revoked: Callable[[str | None], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    refusals: int,
) -> None:
    """The client reads the file again after a minute; where the server refuses the token earlier, at once."""
    made = incluster_config.InClusterConfigLoader.__init__

    def with_period(self: Any, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self._token_refresh_period = timedelta(minutes=minutes)

    monkeypatch.setattr(incluster_config.InClusterConfigLoader, "__init__", with_period)
    statuses = revoked(token(server))
    done, report = audit(tmp_path)
    assert unread(report) == set(), done.output
    assert statuses.count(401) == refusals


def test_a_token_that_is_not_renewed_loses_nothing_silently(
    pod: Path, tmp_path: Path, revoked: Callable[[str | None], list[int]]
) -> None:
    statuses = revoked(None)
    done, report = audit(tmp_path)
    assert 401 in statuses
    assert "(not-readable)" in done.output
    assert unread(report) == {"not-readable"}
    passed = report["summary"]["byControl"]
    assert passed["RB-13"]["pass"] == 0
