"""``kubeassay audit`` against the API server: what it reads, and what it makes of what it may not read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubeassay.cli.main import cli
from live.api_server import ApiServer, OwnServer


def pod_spec(**container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": "registry.example/app:1.0", **container}]}


def pod(name: str, namespace: str, labels: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(**container)}


def run(*arguments: str | Path, code: int | None = None) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)
    assert done.exception is None, done.output
    if code is not None:
        assert done.return_value == code, done.output
    return done.stderr


def audited(kubeconfig: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    report = folder / "audit.json"
    run("audit", "--kubeconfig", kubeconfig, "-o", f"json={report}", *arguments)
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def subjects(report: dict[str, Any], rule: str) -> set[tuple[str, str]]:
    return {
        (result["object"]["kind"], result["object"]["name"]) for result in report["results"] if result["rule"] == rule
    }


def owned_by(owner: dict[str, Any]) -> list[dict[str, Any]]:
    metadata = owner["metadata"]
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
    ]


@pytest.fixture(scope="module")
def api_server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server without controllers, which add objects and remove those whose owners were made up."""
    with OwnServer(binaries, tmp_path_factory.mktemp("audit") / "server") as server:
        yield server


@pytest.fixture
def shop(api_server: ApiServer, namespaces: Callable[..., str]) -> str:
    """A Deployment with its pods, as controllers make them, and a pod of its own."""
    name = namespaces("audit")
    create = api_server.admin.must_create
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec()}
    deployment = create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template, "paused": True, "replicas": 0},
        }
    )
    labels = {"app": "web", "pod-template-hash": "abc"}
    replica_set = create(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "web-abc",
                "namespace": name,
                "labels": labels,
                "ownerReferences": owned_by(deployment),
            },
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": deployment["spec"]["template"]["spec"]},
            },
        }
    )
    for number in range(2):
        made = pod(f"web-abc-{number}", name, labels)
        made["metadata"]["ownerReferences"] = owned_by(replica_set)
        if number:
            made["spec"]["containers"].append({"name": "proxy", "image": "registry.example/proxy:1.0"})
        create(made)
    create(pod("bare", name, env=[{"name": "DB_PASSWORD", "value": "battery9staple"}]))
    create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": name},
            "stringData": {"password": "battery9staple"},
        }
    )
    return name


def test_pods_are_judged_at_their_owner_and_drift_is_said(own_server: OwnServer, shop: str, tmp_path: Path) -> None:
    report = audited(own_server.kubeconfig, tmp_path, "-n", shop)
    assert subjects(report, "allow-privilege-escalation") == {("Deployment", "web"), ("Pod", "bare")}
    assert report["target"] == {"kind": "cluster", "name": "tests", "namespaces": [shop]}
    (place,) = {r["location"]["file"] for r in report["results"] if r["object"]["kind"] == "Deployment"}
    assert place == f"clusters/tests/{shop}/apps.Deployment/web.yaml"
    drift = [entry["detail"] for entry in report["notEvaluated"] if entry["reason"] == "drift"]
    assert len(drift) == 1
    assert "(container proxy)" in drift[0]
    # What a webhook added is judged, at the owner.
    of_proxy = {
        (one["rule"], one["object"]["name"], one["message"].endswith("(in pods that run, not in the template)"))
        for one in report["results"]
        if one["container"] == "proxy"
    }
    assert ("allow-privilege-escalation", "web", True) in of_proxy
    assert all(name == "web" and of_pods for _, name, of_pods in of_proxy)
    assert "battery9staple" not in json.dumps(report)
    # The rules on Secrets of this profile are about manifests alone.
    assert not any(entry["reason"] == "metadata-only" for entry in report["notEvaluated"])


def test_a_snapshot_is_judged_as_its_cluster(own_server: OwnServer, shop: str, tmp_path: Path) -> None:
    snapshot = tmp_path / "cluster.jsonl.gz"
    run("snapshot", "--kubeconfig", own_server.kubeconfig, "-o", snapshot, code=0)
    assert b"battery9staple" not in gzip.decompress(snapshot.read_bytes())
    for profile in ("recommended", "strict"):
        audited(own_server.kubeconfig, tmp_path, "-p", profile)
        scanned = tmp_path / "scan.json"
        run("scan", snapshot, "-p", profile, "-o", f"json={scanned}")
        assert scanned.read_bytes() == (tmp_path / "audit.json").read_bytes()


def test_what_a_user_may_not_list_does_not_pass(own_server: OwnServer, shop: str, tmp_path: Path) -> None:
    create = own_server.admin.must_create
    metadata = {"name": "auditor", "namespace": shop}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    group = "rbac.authorization.k8s.io"
    create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "auditor"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "auditor"}],
        }
    )
    report = audited(own_server.kubeconfig_for("auditor"), tmp_path, "-n", shop)
    # The Deployment is not readable, so its pods are judged by themselves.
    assert subjects(report, "allow-privilege-escalation") == {
        ("Pod", "bare"),
        ("Pod", "web-abc-0"),
        ("Pod", "web-abc-1"),
    }
    forbidden = {entry.get("rule") for entry in report["notEvaluated"] if entry["reason"] == "forbidden"}
    assert {"namespace-without-isolation", "escalation-path", "quota-exceeded-at-rest"} <= forbidden
    assert subjects(report, "namespace-without-isolation") == set()
    assert report["summary"]["byControl"]["NI-03"]["pass"] == 0
    # The same by impersonation.
    assert audited(own_server.kubeconfig, tmp_path, "-n", shop, "--as", "auditor") == report


def test_a_list_of_many_pages(own_server: OwnServer, namespaces: Callable[..., str], tmp_path: Path) -> None:
    name = namespaces("pages")
    for number in range(1_050):
        own_server.admin.must_create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": name}}
        )
    snapshot = tmp_path / "cluster.jsonl"
    run("snapshot", "--kubeconfig", own_server.kubeconfig, "-o", snapshot, code=0)
    assert sum(f'"namespace":"{name}"' in line and '"kind":"ConfigMap"' in line for line in snapshot.open()) == 1_050


def test_custom_resources_are_read(own_server: OwnServer, shop: str, tmp_path: Path) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.audit.example.com"},
        "spec": {
            "group": "audit.example.com",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
            "versions": [version],
        },
    }
    own_server.admin.must_create(definition)
    try:
        thing = {"apiVersion": "audit.example.com/v1", "kind": "Thing", "metadata": {"name": "one", "namespace": shop}}
        path = f"/apis/audit.example.com/v1/namespaces/{shop}/things"
        own_server._wait_for("kube-apiserver", lambda: own_server.admin.request("POST", path, thing).ok)
        snapshot = tmp_path / "cluster.jsonl"
        run("snapshot", "--kubeconfig", own_server.kubeconfig, "-o", snapshot, code=0)
        assert any('"kind":"Thing"' in line for line in snapshot.open())
    finally:
        own_server.admin.delete(definition)


def test_a_server_that_is_down_is_one_line(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    server = start_server()
    server.stop_api_server()
    done = CliRunner().invoke(cli, ["audit", "--kubeconfig", str(server.kubeconfig)])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert line.startswith("Error: no answer from https://127.0.0.1")


def test_lists_that_expire_are_read_whole(
    start_server: Callable[..., OwnServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is compacted again and again while a list is read in small pages."""
    server = start_server(api_arguments=["--etcd-compaction-interval=1s"])
    server.admin.namespace("shop")
    monkeypatch.setattr("kubeassay.sources.cluster._PAGE", 4)
    for number in range(20):
        server.admin.must_create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": "shop"}}
        )
    snapshot = tmp_path / "cluster.jsonl"
    run("snapshot", "--kubeconfig", server.kubeconfig, "-o", snapshot, code=0)
    assert sum('"namespace":"shop"' in line and '"kind":"ConfigMap"' in line for line in snapshot.open()) == 20


def test_what_the_server_cannot_answer_is_said(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    """A custom resource whose conversion webhook does not answer, and an aggregated API that is down."""
    server = start_server()
    server.admin.namespace("shop")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    webhook = {"clientConfig": {"url": "https://127.0.0.1:1/convert"}, "conversionReviewVersions": ["v1"]}
    server.admin.must_create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.broken.example.com"},
            "spec": {
                "group": "broken.example.com",
                "scope": "Namespaced",
                "names": {"kind": "Thing", "plural": "things"},
                "conversion": {"strategy": "Webhook", "webhook": webhook},
                "versions": [
                    {"name": "v2", "served": True, "storage": False, "schema": schema},
                    {"name": "v1", "served": True, "storage": True, "schema": schema},
                ],
            },
        }
    )
    thing = {"apiVersion": "broken.example.com/v1", "kind": "Thing", "metadata": {"name": "one", "namespace": "shop"}}
    path = "/apis/broken.example.com/v1/namespaces/shop/things"
    server._wait_for("kube-apiserver", lambda: server.admin.request("POST", path, thing).ok)
    service = {"namespace": "shop", "name": "none"}
    spec = {"group": "down.example.com", "version": "v1", "service": service, "insecureSkipTLSVerify": True}
    priorities = {"groupPriorityMinimum": 1000, "versionPriority": 10}
    said = server.admin.request(
        "POST",
        "/apis/apiregistration.k8s.io/v1/apiservices",
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1.down.example.com"},
            "spec": {**spec, **priorities},
        },
    )
    assert said.ok, said.message
    details: list[str] = []

    def is_said() -> bool:
        # The server notices after a while that an API is down.
        report = audited(server.kubeconfig, tmp_path)
        details[:] = [entry["detail"] for entry in report["notEvaluated"] if entry["reason"] == "not-readable"]
        return any("down.example.com" in detail for detail in details)

    server._wait_for("kube-apiserver", is_said)
    assert any("broken.example.com" in detail and "conversion webhook" in detail for detail in details), details
