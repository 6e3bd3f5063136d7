"""The API server of the live tests itself: it is what a cluster has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from live.api_server import ApiServer, OwnServer


def pod(name: str, namespace: str, **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1.0", **container}]},
    }


def test_admission_and_validation_judge(api_server: ApiServer, namespaces: Callable[..., str]) -> None:
    shop = namespaces("server", {"pod-security.kubernetes.io/enforce": "baseline"})
    api_server.admin.must_create(pod("web", shop))
    said = api_server.admin.create(pod("other", shop, securityContext={"privileged": True}), dry_run=True)
    assert said.status == 403
    assert "violates PodSecurity" in said.message
    said = api_server.admin.create(pod("other", shop, unknown=True), dry_run=True)
    assert said.status == 400
    assert "unknown field" in said.message
    said = api_server.admin.create(pod("Other", shop), dry_run=True)
    assert said.status == 422
    assert [one["metadata"]["name"] for one in api_server.admin.get(f"/api/v1/namespaces/{shop}/pods")["items"]] == [
        "web"
    ]


def test_users_may_what_roles_say(own_server: OwnServer) -> None:
    alice = own_server.client_for("alice", "devs")
    assert alice.request("GET", "/api/v1/namespaces/default/pods").status == 403
    who = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    said = alice.create(who)
    assert said.ok, said.message
    assert said.body["status"]["userInfo"]["username"] == "alice"
    assert said.body["status"]["userInfo"]["groups"] == ["devs", "system:authenticated"]


def test_a_server_of_a_test_stops_and_goes_on(start_server: Callable[..., OwnServer]) -> None:
    server = start_server()
    server.admin.namespace("shop")
    server.stop_api_server()
    server.start_api_server()
    assert server.admin.get("/api/v1/namespaces/shop")["metadata"]["name"] == "shop"
    server.start_controllers()
