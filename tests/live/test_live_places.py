"""Places of live findings: what a rollout, a restart of pods and a restart of the server leave as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live.api_server import Client, OwnServer
from live.test_live_audit import pod_spec, run

_MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server of its own, with controllers, which is stopped and started in between."""
    with OwnServer(binaries, tmp_path_factory.mktemp("places") / "server") as own:
        own.start_controllers()
        yield own


def deployment(namespace: str) -> dict[str, Any]:
    labels = {"app": "web"}
    container = {"name": "app", "image": "registry.example/app:1.0", "securityContext": {"privileged": True}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 2,
            # Nothing becomes ready here, and a rolling update would wait for that.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {**pod_spec(), "containers": [container]}},
        },
    }


def pods(client: Client, namespace: str) -> dict[str, str]:
    """The pods that run, by name, with their image."""
    listed = client.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def settled(server: OwnServer, namespace: str, before: dict[str, str] | None = None, image: str = "") -> dict[str, str]:
    """Waits for two pods, other ones than before."""

    def ready() -> bool:
        found = pods(server.admin, namespace)
        return (
            len(found) == 2
            and found.keys().isdisjoint(before or {})
            and all(image in one for one in found.values())
            and _observed(server.admin, namespace)
        )

    server._wait_for("kube-controller-manager", ready)
    return pods(server.admin, namespace)


def _observed(client: Client, namespace: str) -> bool:
    found = client.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    status = found["status"]
    return bool(status.get("observedGeneration") == found["metadata"]["generation"] and status.get("replicas") == 2)


def sarif(server: OwnServer, namespace: str, folder: Path) -> bytes:
    report = folder / "audit.sarif"
    run("audit", "--kubeconfig", server.kubeconfig, "-n", namespace, "-p", "strict", "-o", f"sarif={report}")
    return report.read_bytes()


def test_a_rollout_and_restarts_leave_the_report_as_it_is(server: OwnServer, tmp_path: Path) -> None:
    name = "places"
    server.admin.namespace(name)
    server.admin.must_create(deployment(name))
    path = f"/apis/apps/v1/namespaces/{name}/deployments/web"
    first = settled(server, name)
    before = sarif(server, name, tmp_path)
    results = json.loads(before)["runs"][0]["results"]
    of_web = [r for r in results if f"/{name}/apps.Deployment/web.yaml" in json.dumps(r["locations"])]
    assert any(result["ruleId"] == "privileged-container" for result in of_web)
    for result in of_web:
        resource, *inside = result["locations"][0]["logicalLocations"]
        assert resource == {"name": "web", "fullyQualifiedName": path, "kind": "resource"}
        assert all(one["fullyQualifiedName"].startswith(f"{path}#") for one in inside)
    # As kubectl rollout restart does it.
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"}
    restart = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    assert server.admin.request("PATCH", path, restart, _MERGE).ok
    second = settled(server, name, first)
    assert sarif(server, name, tmp_path) == before
    # Pods that are replaced.
    for pod in second:
        server.admin.delete({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": name}})
    third = settled(server, name, second)
    assert sarif(server, name, tmp_path) == before
    # The server itself.
    server.stop_api_server()
    server.start_api_server()
    settled(server, name)
    assert sarif(server, name, tmp_path) == before
    # Another image: what is said of it changes, and nothing else.
    container = {**deployment(name)["spec"]["template"]["spec"]["containers"][0], "image": "registry.example/app:2.0"}
    image = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert server.admin.request("PATCH", path, image, _MERGE).ok
    settled(server, name, third, "app:2.0")
    after = sarif(server, name, tmp_path)
    assert after != before
    assert after.replace(b"app:2.0", b"app:1.0") == before
