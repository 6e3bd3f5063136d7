"""What a cluster's objects are judged at, and what is said of those that were not judged."""

from __future__ import annotations

import copy
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from kit import failing, plan_of, profile_of
from kubeassay.engine.plan import Plan
from kubeassay.execution.audit import audit, wanted
from kubeassay.model import Result
from kubeassay.sources.object_store import ObjectStore
from kubeassay.sources.snapshot import Snapshot, live_file


@pytest.mark.parametrize(
    ("status", "is_said"),
    [
        ({}, True),
        ({"active": 1}, True),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, True),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, True),
        (
            {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]},
            False,
        ),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, False),
    ],
)
def test_a_job_that_may_go_on_drifts(status: dict[str, Any], is_said: bool) -> None:
    def template(image: str) -> dict[str, Any]:
        return {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}

    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "n", "uid": "1", "controller": True}
    objects: list[dict[str, Any]] = [
        {"kind": "CronJob", "metadata": {"name": "n", "uid": "1"}, "spec": {"jobTemplate": {"spec": template("a:1")}}},
        {"kind": "Job", "metadata": {"name": "n-1", "ownerReferences": [reference]}, "spec": template("b:1")},
    ]
    objects[1]["status"] = status
    for obj in objects:
        obj["apiVersion"] = "batch/v1"
        obj["metadata"]["namespace"] = "shop"
    plan = plan_of(profile_of("allow-privilege-escalation"))
    files = ObjectStore.of(dict(live_file("c", obj) for obj in objects))
    found = audit(plan, Snapshot("c", "v1.33.1", files=files, asked=tuple(wanted(plan).kinds)))
    assert [n.reason for n in found.not_evaluated] == ["drift"] * is_said


@pytest.mark.parametrize("processes", [1, 2])
def test_of_each_object_it_is_known_what_it_is_and_how_much_passed(processes: int) -> None:
    files = ObjectStore()
    for number in range(400):
        spec = {"containers": [{"name": "app", "image": "a:1"}], "hostPID": bool(number % 2), "nodeName": "n" * 2_000}
        metadata = {"name": f"p{number}", "namespace": "shop", "uid": f"uid-{number}"}
        files.add(*live_file("c", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    snapshot = Snapshot("c", "v1.33.1", files=files, asked=("Pod",))
    rules = profile_of("host-namespaces", "privileged-container", "allow-privilege-escalation")
    found = audit(plan_of(rules), snapshot, processes=processes)
    shown = audit(plan_of(rules, show=["pass"]), snapshot, processes=processes)
    assert {obj.uid for obj in found.objects.values()} == {f"uid-{number}" for number in range(400)}
    passed = Counter(finding.location.file for finding in shown.findings if finding.outcome == "pass")
    assert {place: obj.passed for place, obj in found.objects.items()} == {place: passed[place] for place in files}
    assert sum(obj.passed for obj in found.objects.values()) == found.summary.passed
    assert found.objects == shown.objects


def test_pods_of_an_owner_are_never_all_in_memory() -> None:
    """Memory is for what rules judge: the owner, and not its pods."""
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}
    variables = [{"name": f"V{number}", "value": f"value-{number}"} for number in range(60)]
    spec = {"containers": [{"name": "app", "image": "a:1", "env": variables}]}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
    }
    files = ObjectStore()
    files.add(*live_file("c", {**owner, "spec": {"template": {"spec": spec}}}))
    for number in range(1_500):
        metadata = {"name": f"web-{number}", "namespace": "shop", "ownerReferences": [reference]}
        files.add(*live_file("c", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    size = sum(files.size(name) for name in files)
    plan = plan_of(profile_of("allow-privilege-escalation"))
    snapshot = Snapshot("c", "v1.33.1", files=files, asked=tuple(wanted(plan).kinds))
    tracemalloc.start()
    try:
        found = audit(plan, snapshot, processes=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [finding.object.kind for finding in failing(found)] == ["ReplicaSet"]
    # The blocks that are at hand are as large as the JSON here; decoded it would take six times as much.
    assert peak < 2 * size


def test_the_place_in_the_api_is_that_of_discovery() -> None:
    """The plural of a kind cannot be told from its name; a snapshot that does not have it gives no path."""
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}},
        {"apiVersion": "example.com/v1", "kind": "Ox", "metadata": {"name": "system:o", "namespace": "shop"}},
        {"apiVersion": "example.com/v1", "kind": "Mouse", "metadata": {"name": "m"}},
    ]
    spec = {"containers": [{"name": "app", "image": "a:1"}]}
    for obj in objects:
        obj["spec"] = {"template": {"spec": spec}} if obj["kind"] != "Pod" else spec
    plan = plan_of(profile_of("allow-privilege-escalation"))
    snapshot = Snapshot(
        "c",
        "v1.33.1",
        files=ObjectStore.of(dict(live_file("c", obj) for obj in objects)),
        asked=tuple(wanted(plan).kinds),
        resources={("v1", "Pod"): "pods", ("example.com/v1", "Ox"): "oxen"},
    )
    found = audit(plan, snapshot)
    assert {finding.object.kind: finding.api_path for finding in found.findings} == {
        "Pod": "/api/v1/namespaces/shop/pods/p",
        "Ox": "/apis/example.com/v1/namespaces/shop/oxen/system:o",
        "Mouse": None,
    }
    # Identified by rule, object and field, not by what stands around the line.
    assert all(f.line_hash == f"{f.fingerprint[:16]}:1" for f in found.findings)


def owned(kind: str, name: str, owner: dict[str, Any] | None, **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": f"{kind}-{name}"}
    if owner is not None:
        reference = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        metadata["ownerReferences"] = [{"apiVersion": owner["apiVersion"], "controller": True, **reference}]
    version = "v1" if kind in ("Pod", "ServiceAccount") else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **copy.deepcopy(rest)}


def audited(plan: Plan, *objects: dict[str, Any]) -> Result:
    files = ObjectStore.of(dict(live_file("c", copy.deepcopy(obj)) for obj in objects))
    return audit(plan, Snapshot("c", "v1.33.1", files=files, asked=tuple(wanted(plan).kinds)))


CONTAINERS, ESCALATION = "spec.template.spec.containers", "securityContext.allowPrivilegeEscalation"
APP: dict[str, Any] = {"name": "app", "image": "a:1", "securityContext": {"allowPrivilegeEscalation": False}}
DEPLOYMENT = owned("Deployment", "web", None, spec={"template": {"spec": {"containers": [APP, {"name": "log"}]}}})
REPLICA_SET = owned("ReplicaSet", "web-1", DEPLOYMENT, spec=DEPLOYMENT["spec"])


def pod_of_web(number: int, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return owned("Pod", f"web-1-{number}", REPLICA_SET, spec={"containers": list(containers), **spec})


def test_what_a_pod_runs_beyond_its_template_is_judged_at_the_owner() -> None:
    """Sidecars that a webhook puts in front, a debug container, a changed container; the rest is said once."""
    proxy = {"name": "proxy", "image": "p:1", "securityContext": {"privileged": True}}
    changed = {**APP, "securityContext": {"allowPrivilegeEscalation": True}}
    debug = {"ephemeralContainers": [{"name": "debug", "image": "d:1", "securityContext": {"privileged": True}}]}
    plan = plan_of(profile_of("privileged-container", "allow-privilege-escalation", "host-namespaces"))
    found = audited(
        plan,
        DEPLOYMENT,
        REPLICA_SET,
        pod_of_web(0, APP, {"name": "log"}, nodeName="n"),
        pod_of_web(1, proxy, APP, {"name": "log"}),
        # In several pods it is one finding.
        pod_of_web(2, proxy, APP, {"name": "log"}),
        pod_of_web(3, changed, {"name": "log"}, hostPID=True, **debug),
    )
    suffix = " (in pods that run, not in the template)"
    assert all(finding.object.kind == "Deployment" for finding in found.findings)
    assert {(f.rule, f.container, f.path, f.message.endswith(suffix)) for f in found.findings} == {
        ("allow-privilege-escalation", "log", f"{CONTAINERS}[1].{ESCALATION}", False),
        ("allow-privilege-escalation", "app", f"{CONTAINERS}[0].{ESCALATION}", True),
        ("privileged-container", "proxy", f"{CONTAINERS}[2].securityContext.privileged", True),
        ("allow-privilege-escalation", "proxy", f"{CONTAINERS}[2].{ESCALATION}", True),
        ("privileged-container", "debug", "spec.template.spec.ephemeralContainers[0].securityContext.privileged", True),
        ("allow-privilege-escalation", "debug", f"spec.template.spec.ephemeralContainers[0].{ESCALATION}", True),
        ("host-namespaces", None, "spec.template.spec.hostPID", True),
    }
    assert len(found.findings) == 7
    assert {finding.location.file for finding in found.findings} == {"clusters/c/shop/apps.Deployment/web.yaml"}
    (drift,) = (entry for entry in found.not_evaluated if entry.reason == "drift")
    assert "rules on pods and containers judged both, rules that join objects the template alone" in drift.detail
    # Nothing passes by pods: what passed is what the template says.
    alone = audited(plan, DEPLOYMENT)
    assert found.summary.passed == alone.summary.passed


def test_rules_that_judge_pods_by_other_objects_judge_what_runs() -> None:
    account = {**owned("ServiceAccount", "quiet", None), "automountServiceAccountToken": False}
    deployment = copy.deepcopy(DEPLOYMENT)
    deployment["spec"]["template"]["spec"]["serviceAccountName"] = "quiet"
    replica_set = owned("ReplicaSet", "web-1", deployment, spec=deployment["spec"])
    pod = pod_of_web(1, APP, {"name": "log"}, serviceAccountName="quiet", automountServiceAccountToken=True)
    plan = plan_of(profile_of("service-account-token-automount"))
    assert audited(plan, account, deployment, replica_set).findings == ()
    (finding,) = audited(plan, account, deployment, replica_set, pod).findings
    assert (finding.object.kind, finding.path) == (
        "Deployment",
        "spec.template.spec.automountServiceAccountToken",
    )
    assert finding.message.endswith("(in pods that run, not in the template)")


def test_many_forms_of_one_template_are_bounded_and_said() -> None:
    plan = plan_of(profile_of("privileged-container"))
    pods = [pod_of_web(n, APP, {"name": "log"}, {"name": f"x{n}", "image": "i"}) for n in range(12)]
    (drift,) = audited(plan, DEPLOYMENT, REPLICA_SET, *pods).not_evaluated
    assert "no more than 10 forms of it" in drift.detail
