"""What is judged at its owner, and in what it differs from the owner's template."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from checks.rule_runner import make_object
from kubeassay.analysis.owners import Makers, as_run, drift

SPEC: dict[str, Any] = {
    "containers": [{"name": "app", "image": "app:1", "securityContext": {"runAsNonRoot": True}}],
    "securityContext": {},
}


def owned(api_version: str, kind: str, name: str, owner: dict[str, Any] | None, **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "n", "uid": f"uid-{kind}-{name}"}
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **copy.deepcopy(rest)}


TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": SPEC}
DEPLOYMENT = owned("apps/v1", "Deployment", "web", None, spec={"template": TEMPLATE})
REPLICA_SET = owned("apps/v1", "ReplicaSet", "web-1", DEPLOYMENT, spec={"replicas": 1, "template": TEMPLATE})


def pod(owner: dict[str, Any] = REPLICA_SET, **changes: Any) -> dict[str, Any]:
    made = owned("v1", "Pod", "web-1-a", owner, spec={**SPEC, "nodeName": "node", **changes})
    made["metadata"]["labels"] = {"app": "web", "pod-template-hash": "1"}
    return made


def made(*values: dict[str, Any]) -> dict[str, tuple[str, tuple[str, ...]]]:
    objects = {obj.ref: obj for value in values for obj in (make_object(value),)}
    makers = Makers(objects.values())
    return {
        str(obj.ref): (str(owner.ref), tuple(drift(obj, objects[owner.ref])))
        for obj in objects.values()
        if (owner := makers.top(obj)) is not None
    }


def test_a_pod_is_judged_at_the_top_owner_that_is_there() -> None:
    assert made(DEPLOYMENT, REPLICA_SET, pod()) == {
        "ReplicaSet n/web-1": ("Deployment n/web", ()),
        "Pod n/web-1-a": ("Deployment n/web", ()),
    }
    assert made(REPLICA_SET, pod()) == {"Pod n/web-1-a": ("ReplicaSet n/web-1", ())}
    assert made(DEPLOYMENT, pod()) == {}


@pytest.mark.parametrize(
    ("changes", "drift"),
    [
        ({"tolerations": [{"operator": "Exists"}], "serviceAccountName": "default", "priority": 0}, ()),
        ({"volumes": [{"name": "kube-api-access-x", "projected": {}}]}, ()),
        ({"containers": [*SPEC["containers"], {"name": "proxy"}]}, ("container proxy",)),
        ({"ephemeralContainers": [{"name": "debugger"}]}, ("ephemeral container debugger",)),
        ({"initContainers": [{"name": "first"}]}, ("init container first",)),
        ({"hostNetwork": True}, ("spec.hostNetwork",)),
        ({"serviceAccountName": "admin"}, ("spec.serviceAccountName",)),
        ({"automountServiceAccountToken": False}, ("spec.automountServiceAccountToken",)),
        ({"hostUsers": False}, ("spec.hostUsers",)),
        ({"securityContext": {"runAsUser": 0}}, ("spec.securityContext",)),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, ("spec.volumes",)),
        ({"volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {}}]}}]}, ()),
        (
            {"volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"secret": {"name": "admin"}}]}}]},
            ("spec.volumes",),
        ),
        # By its name alone a volume is none of the admission plug-in.
        ({"volumes": [{"name": "kube-api-access-x", "hostPath": {"path": "/"}}]}, ("spec.volumes",)),
        (
            {"containers": [{"name": "app", "image": "app:2"}]},
            ("image of container app", "securityContext of container app"),
        ),
        ({"containers": []}, ("container app is gone",)),
    ],
)
def test_drift(changes: dict[str, Any], drift: tuple[str, ...]) -> None:
    assert made(DEPLOYMENT, REPLICA_SET, pod(**changes))["Pod n/web-1-a"] == ("Deployment n/web", drift)


def test_claims_of_a_stateful_set_are_no_drift() -> None:
    owner = owned(
        "apps/v1",
        "StatefulSet",
        "db",
        None,
        spec={"template": TEMPLATE, "volumeClaimTemplates": [{"metadata": {"name": "d"}}]},
    )
    claimed = pod(owner, volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "d-db-0"}}])
    assert made(owner, claimed) == {"Pod n/web-1-a": ("StatefulSet n/db", ())}
    other = pod(owner, volumes=[{"name": "d", "hostPath": {"path": "/"}}])
    assert made(owner, other) == {"Pod n/web-1-a": ("StatefulSet n/db", ("spec.volumes",))}


def test_labels_that_controllers_do_not_set_are_drift() -> None:
    labelled = pod()
    labelled["metadata"]["labels"] |= {"batch.kubernetes.io/job-name": "x", "role": "client"}
    assert made(REPLICA_SET, labelled) == {"Pod n/web-1-a": ("ReplicaSet n/web-1", ("label role",))}
    del labelled["metadata"]["labels"]["app"]
    assert made(REPLICA_SET, labelled)["Pod n/web-1-a"][1] == ("label app", "label role")


def test_an_owner_that_is_only_claimed_is_not_believed() -> None:
    for change in ({"uid": "other"}, {"name": "other"}, {"controller": False}):
        claimed = pod()
        claimed["metadata"]["ownerReferences"][0].update(change)
        assert "Pod n/web-1-a" not in made(DEPLOYMENT, REPLICA_SET, claimed)
    elsewhere = pod()
    elsewhere["metadata"]["namespace"] = "m"
    assert "Pod m/web-1-a" not in made(DEPLOYMENT, REPLICA_SET, elsewhere)
    config = owned("v1", "ConfigMap", "c", None)
    assert made(config, pod(config)) == {}
    # A Deployment makes ReplicaSets, not pods.
    assert made(DEPLOYMENT, pod(DEPLOYMENT)) == {}


def test_owners_in_a_circle_end() -> None:
    first = owned("apps/v1", "ReplicaSet", "a", None, spec={"template": TEMPLATE})
    first["metadata"]["ownerReferences"] = [{"controller": True, "uid": "uid-ReplicaSet-a", "name": "a"}]
    assert made(first) == {}


def test_replica_sets_of_a_rollout_are_judged_at_it() -> None:
    rollout = owned("argoproj.io/v1alpha1", "Rollout", "web", None, spec={"template": TEMPLATE})
    replica_set = owned("apps/v1", "ReplicaSet", "web-1", rollout, spec={"replicas": 1, "template": TEMPLATE})
    replica_set["spec"]["template"]["metadata"]["labels"]["rollouts-pod-template-hash"] = "1"
    assert made(rollout, replica_set, pod(replica_set)) == {
        "ReplicaSet n/web-1": ("Rollout n/web", ()),
        "Pod n/web-1-a": ("Rollout n/web", ()),
    }
    # One that names a Deployment has no template of its own.
    rollout["spec"] = {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
    assert made(rollout, replica_set) == {}


def test_what_runs_is_the_template_with_what_differs() -> None:
    def run(**changes: Any) -> dict[str, Any] | None:
        return as_run(make_object(pod(**changes)), make_object(DEPLOYMENT))

    token = {"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    given = [{"name": "kube-api-access-x", "projected": {}}]
    app = SPEC["containers"][0]
    defaults = {"terminationGracePeriodSeconds": 30, "volumes": given, "tolerations": [{"operator": "Exists"}]}
    assert run(containers=[{**app, "imagePullPolicy": "Always", "volumeMounts": [token]}], **defaults) == {
        "metadata": {**TEMPLATE["metadata"], "annotations": {}},
        "spec": SPEC,
    }
    found = run(
        containers=[{"name": "proxy", "image": "p:1", "volumeMounts": [token]}, {**app, "image": "app:2"}],
        ephemeralContainers=[{"name": "debug"}],
        volumes=[*given, {"name": "host", "hostPath": {"path": "/"}}],
        hostPID=True,
    )
    assert found is not None
    assert found["spec"] == {
        **SPEC,
        "containers": [{**app, "image": "app:2"}, {"name": "proxy", "image": "p:1"}],
        "ephemeralContainers": [{"name": "debug"}],
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "hostPID": True,
    }
