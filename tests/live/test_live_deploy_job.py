"""What Kubernetes' own controllers make of the Jobs of deploy/. The tests say what a kubelet would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.rendering import kustomized, objects
from live.api_server import PATIENCE, OwnServer

NAMESPACE = NAME = "kubeassay"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_T = TypeVar("_T")


@pytest.fixture(scope="module")
def server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    base = objects(kustomized("base"))
    with OwnServer(binaries, tmp_path_factory.mktemp("job") / "server") as made:
        made.start_controllers()
        made.admin.must_create(base.pop(("Namespace", NAME)))
        for manifest in base.values():
            made.admin.must_create(manifest)
        yield made


def waited_for(get: Callable[[], _T | None], what: str) -> _T:
    until = time.monotonic() + PATIENCE
    while (found := get()) is None:
        assert time.monotonic() < until, f"{what} has not come"
        time.sleep(0.2)
    return found


def started(server: OwnServer, name: str) -> None:
    """As ``kubectl create job --from=cronjob/kubeassay NAME`` does."""
    cronjob = server.admin.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs/{NAME}")
    server.admin.must_create(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": cronjob["spec"]["jobTemplate"]["spec"],
        }
    )


def pods_of(server: OwnServer, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.admin.get(f"{PODS}?labelSelector=batch.kubernetes.io/job-name={job}")["items"]
    return found


def ended(server: OwnServer, pod: dict[str, Any], code: int) -> None:
    """What a kubelet would say of a pod whose program ended."""
    state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}
    status = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [
            {"name": "audit", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        ],
    }
    said = server.admin.request(
        "PATCH",
        f"{PODS}/{pod['metadata']['name']}/status",
        {"status": status},
        content_type="application/merge-patch+json",
    )
    assert said.ok, said.message


def conditions(server: OwnServer, job: str) -> dict[str, str] | None:
    found = server.admin.get(f"{JOBS}/{job}")["status"].get("conditions") or []
    return {condition["type"]: condition.get("reason", "") for condition in found} or None


def removed(server: OwnServer, job: str) -> None:
    metadata = {"name": job, "namespace": NAMESPACE}
    assert server.admin.delete({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}).ok
    # The next one needs its place in the quota.
    waited_for(lambda: None if pods_of(server, job) else True, f"the end of the pods of {job}")


@pytest.mark.parametrize(("code", "end"), [(0, "Complete"), (1, "Failed"), (3, "Failed")])
def test_a_result_ends_the_job_at_once(server: OwnServer, code: int, end: str) -> None:
    job = f"ends-with-{code}"
    started(server, job)
    # The pod is there: the quota, the limits and the Pod Security Standard of the namespace let it in.
    (pod,) = waited_for(lambda: pods_of(server, job) or None, f"the pod of {job}")
    ended(server, pod, code)
    known = waited_for(lambda: found if end in (found := conditions(server, job) or {}) else None, f"the end of {job}")
    assert known[end] == ("PodFailurePolicy" if code else "CompletionsReached")
    assert len(pods_of(server, job)) == 1
    removed(server, job)


def test_a_server_that_cannot_be_reached_is_tried_again(server: OwnServer) -> None:
    job = "ends-with-2"
    started(server, job)
    (pod,) = waited_for(lambda: pods_of(server, job) or None, "the first pod")
    ended(server, pod, 2)
    waited_for(lambda: len(pods_of(server, job)) == 2 or None, "the second pod")
    assert conditions(server, job) is None
    removed(server, job)


def test_the_service_account_s_token_can_be_projected(server: OwnServer) -> None:
    """What the pod's volumes name is there: Kubernetes itself writes the authority of each namespace."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/kube-root-ca.crt"
    found = waited_for(lambda: said if (said := server.admin.request("GET", path)).ok else None, "the authority")
    assert found.body["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
