"""Rules of kubeassay.checks.autoscaling."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checks.network_outcomes import outcomes
from kit import failing, plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.model import Inventory
from kubeassay.sources.manifests import read_bytes

Value = dict[str, Any]


def workload(name: str = "web", kind: str = "Deployment", namespace: str | None = "shop", **more: Any) -> Value:
    containers = more.pop("containers", [{"name": "app", "image": "app:1", "resources": more.pop("resources", {})}])
    pod: Value = {"containers": containers, **more.pop("pod", {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    metadata: Value = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {"template": template, **more}}


def hpa(name: str = "web", target: str = "web", namespace: str | None = "shop", **spec: Any) -> Value:
    reference = spec.pop("reference", {"apiVersion": "apps/v1", "kind": "Deployment", "name": target})
    metadata: Value = {"name": name, **({"namespace": namespace} if namespace else {}), **spec.pop("metadata", {})}
    spec = {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 6, **spec}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def keda(name: str = "web", **spec: Any) -> Value:
    metadata = {"name": name, "namespace": "shop", **spec.pop("metadata", {})}
    spec = {"scaleTargetRef": {"name": "web"}, **spec}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def vpa(name: str = "web", mode: str = "Recreate", *policies: Value, target: str = "web", **spec: Any) -> Value:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    spec = {"targetRef": reference, "updatePolicy": {"updateMode": mode}, **spec}
    if policies:
        spec["resourcePolicy"] = {"containerPolicies": list(policies)}
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": metadata, "spec": spec}


def resource(name: str = "cpu", container: str = "", **target: Any) -> Value:
    target = target or {"type": "Utilization", "averageUtilization": 70}
    if container:
        of = {"name": name, "container": container, "target": target}
        return {"type": "ContainerResource", "containerResource": of}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def text(*objects: Value) -> str:
    return "\n---\n".join(map(json.dumps, objects))


def said(rule: str, *objects: Value, **parameters: Any) -> set[tuple[str, str, str]]:
    return {(one.kind, one.about, one.words) for one in outcomes(rule, text(*objects), **parameters)}


def message(rule: str, *objects: Value, **parameters: Any) -> str:
    (found,) = (one.message for one in outcomes(rule, text(*objects), **parameters) if one.kind == "fail")
    return found


HPA = "HorizontalPodAutoscaler shop/web"
VPA = "VerticalPodAutoscaler shop/web"
PASS = {("pass", HPA, "")}
PASSES = {("pass", VPA, "")}
REQUESTS = {"requests": {"cpu": "100m", "memory": "64Mi"}}
NAME = "spec.scaleTargetRef.name"

# --- targets ---


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ((workload(), hpa()), ("pass", "")),
        ((workload(), hpa(target="wbe")), ("fail", NAME)),
        ((workload("api-web"), hpa()), ("fail", NAME)),
        ((workload("other"), hpa()), ("fail", NAME)),
        ((workload(kind="StatefulSet"), hpa()), ("fail", NAME)),
        # Nothing of its namespace is here, or something may make the target.
        ((workload(namespace="other"), hpa()), ("not-judged", "no-objects")),
        ((hpa(),), ("not-judged", "no-objects")),
        ((workload("other", namespace="kube-system"), hpa(namespace="kube-system")), ("not-judged", "no-objects")),
        # Which namespace one of them goes to is not known.
        ((workload("other"), workload(namespace=None), hpa()), ("not-judged", "unknown-namespace")),
        ((workload(), hpa(namespace=None)), ("not-judged", "unknown-namespace")),
        ((workload(), hpa(reference={"apiVersion": "apps/v1", "kind": "Deployment"})), ("fail", "spec.scaleTargetRef")),
        ((workload(), hpa(reference=None)), ("fail", "spec.scaleTargetRef")),
        (
            (workload(), hpa(reference={"kind": "Deployment", "name": "web"})),
            ("fail", "spec.scaleTargetRef.apiVersion"),
        ),
        (
            (workload(), hpa(reference={"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web"})),
            ("fail", "spec.scaleTargetRef.kind"),
        ),
        (
            (workload(), hpa(reference={"apiVersion": "example.com/v1", "kind": "Cache", "name": "web"})),
            ("not-judged", "no-objects"),
        ),
        ((workload("other"), keda()), ("fail", NAME)),
        ((workload(), keda()), ("pass", "")),
        ((workload("other"), vpa()), ("fail", "spec.targetRef.name")),
        ((workload("other", kind="DaemonSet"), workload(), vpa()), ("pass", "")),
        ((workload(), vpa(targetRef=None)), ("fail", "spec.targetRef")),
    ],
)
def test_targets(objects: tuple[Value, ...], expected: tuple[str, str]) -> None:
    assert {(kind, words) for kind, _, words in said("autoscaler-target-missing", *objects)} == {expected}


def test_an_application_that_may_make_the_target_leaves_it_open() -> None:
    metadata = {"name": "shop", "namespace": "shop"}
    release = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": metadata}
    rule = "autoscaler-target-missing"
    assert said(rule, release, workload("api"), hpa()) == {("not-judged", HPA, "no-objects")}
    # What is nearly the name of a workload is a slip all the same.
    assert said(rule, release, workload("gateway"), hpa(target="gatewy")) == {("fail", HPA, NAME)}


def test_messages_say_what_was_meant() -> None:
    rule = "autoscaler-target-missing"
    assert message(rule, workload("gateway"), hpa(target="gatewy")).endswith("is gateway meant?")
    assert message(rule, workload(kind="StatefulSet"), hpa()).endswith("but a StatefulSet of that name")
    assert message(rule, workload("a"), workload(namespace="bank"), hpa()).endswith("but in namespace bank")


# --- requests ---


@pytest.mark.parametrize(
    ("pods", "metric", "fails"),
    [
        ({"resources": REQUESTS}, resource(), False),
        ({"resources": {"limits": {"cpu": 1}}}, resource(), False),
        ({"resources": {"requests": {"memory": "1Gi"}}}, resource(), True),
        ({}, resource(type="AverageValue", averageValue="1"), False),
        ({"resources": REQUESTS}, resource("ephemeral-storage"), True),
        ({"pod": {"resources": {"requests": {"cpu": 1}}}}, resource(), False),
        ({"pod": {"resources": {"requests": {"memory": "1Gi"}}}}, resource(), True),
        # A metric of one container does not ask the pod as a whole.
        ({"pod": {"resources": {"requests": {"cpu": 1}}}}, resource(container="app"), True),
        ({"resources": REQUESTS}, resource(container="app"), False),
        ({"resources": REQUESTS}, resource(container="ap"), True),
        # Init containers are gone when the pod runs, sidecars are not.
        ({"resources": REQUESTS, "pod": {"initContainers": [{"name": "i"}]}}, resource(), False),
        (
            {"resources": REQUESTS, "pod": {"initContainers": [{"name": "i", "restartPolicy": "Always"}]}},
            resource(),
            True,
        ),
    ],
)
def test_requests(pods: Value, metric: Value, fails: bool) -> None:
    found = said("autoscaler-metric-without-requests", workload(**json.loads(json.dumps(pods))), hpa(metrics=[metric]))
    assert {kind for kind, _, _ in found} == {"fail" if fails else "pass"}


@pytest.mark.parametrize(("version", "fails"), [("1.28", False), ("1.29", True), ("1.37", True)])
def test_sidecars_and_pod_level_requests_count_from_their_version_on(version: str, fails: bool) -> None:
    pod = {"initContainers": [{"name": "i", "restartPolicy": "Always"}]}
    manifest = text(workload(resources=REQUESTS, pod=pod), hpa(metrics=[resource()]))
    plan = plan_of(profile_of("autoscaler-metric-without-requests"), version)
    assert bool(failing(scan_text(plan, manifest))) is fails
    level = text(workload(pod={"resources": {"requests": {"cpu": 1}}}), hpa(metrics=[resource()]))
    assert bool(failing(scan_text(plan, level))) is (version != "1.37")


@pytest.mark.parametrize(
    ("limits", "fails"),
    [
        ([{"type": "Container", "defaultRequest": {"cpu": "100m"}}], False),
        ([{"type": "Container", "default": {"cpu": "100m"}}], False),
        ([{"type": "Container", "max": {"cpu": "100m"}}], False),
        ([{"type": "Container", "min": {"cpu": "100m"}}], False),
        ([{"type": "Container", "defaultRequest": {"memory": "1Gi"}}], True),
        ([{"type": "Pod", "max": {"cpu": "100m"}}], True),
        # It is refused, and gives nothing.
        ([{"type": "Container", "default": {"cpu": 1}, "min": {"cpu": 2}}], True),
    ],
)
def test_limit_ranges_give_requests(limits: list[Value], fails: bool) -> None:
    of = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "shop"}}
    found = said("autoscaler-metric-without-requests", {**of, "spec": {"limits": limits}}, workload(), hpa())
    assert found == ({("fail", HPA, "spec.metrics")} if fails else PASS)
    elsewhere = {**of, "metadata": {"name": "l", "namespace": "other"}, "spec": {"limits": limits}}
    rule = "autoscaler-metric-without-requests"
    assert said(rule, elsewhere, workload(), hpa()) == {("fail", HPA, "spec.metrics")}


def test_an_environment_s_limit_range_gives_nothing_to_another() -> None:
    """Of several of one name that of the nearest folder counts, also where it gives nothing, or is refused."""
    gives, other = {"defaultRequest": {"cpu": "100m"}}, {"defaultRequest": {"memory": "1Gi"}}
    refused = {"defaultRequest": {"cpu": 2}, "max": {"cpu": 1}}
    for entry in (other, refused):
        ranges = [
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": "l", "namespace": "shop"},
                "spec": {"limits": [{"type": "Container", **limits}]},
            }
            for limits in (gives, entry)
        ]
        placed = [
            ("dev", ranges[0]), ("dev", workload()), ("dev", hpa()),
            ("prod", ranges[1]), ("prod", workload()), ("prod", hpa()),
        ]  # fmt: skip
        objects = [read_bytes(json.dumps(o).encode(), f"{at}/{o['kind']}.yaml").objects[0] for at, o in placed]
        (active,) = plan_of(profile_of("autoscaler-metric-without-requests")).rules
        found = {(type(one).__name__, str(one.obj)) for one in active.function(Inventory(objects), active.context)}
        assert found == {
            ("Passed", "<HorizontalPodAutoscaler shop/web in dev/HorizontalPodAutoscaler.yaml>"),
            ("Violation", "<HorizontalPodAutoscaler shop/web in prod/HorizontalPodAutoscaler.yaml>"),
        }


def test_each_metric_is_told_with_its_containers() -> None:
    containers = [
        {"name": "app", "resources": REQUESTS},
        {"name": "proxy", "resources": {"requests": {"cpu": 1}}},
        {"name": "log"},
    ]
    objects = (
        workload(containers=containers),
        hpa(metrics=[resource(), resource("memory"), resource(container="app")]),
    )
    found = outcomes("autoscaler-metric-without-requests", text(*objects))
    assert {(one.words, one.related) for one in found} == {
        ("spec.metrics[0]", ("Deployment shop/web spec.template.spec.containers[2].resources.requests.cpu",)),
        (
            "spec.metrics[1]",
            tuple(
                f"Deployment shop/web spec.template.spec.containers[{number}].resources.requests.memory"
                for number in (1, 2)
            ),
        ),
    }


def test_what_is_not_known_is_not_judged() -> None:
    rule = "autoscaler-metric-without-requests"
    # That there is no target is what autoscaler-target-missing says.
    assert said(rule, hpa()) == set()
    assert said(rule, workload(), hpa(metrics=[resource(container="istio-proxy")])) == {
        ("not-judged", HPA, "unsupported")
    }
    assert said(rule, workload(), hpa(metrics=[{"type": "New"}])) == {("not-judged", HPA, "invalid-object")}
    pods = {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": 1}}}
    assert said(rule, hpa(metrics=[pods])) == PASS


@pytest.mark.parametrize(
    ("annotations", "fails"),
    [
        ({}, False),
        ({"sidecar.istio.io/proxyMemory": "64Mi"}, True),
        ({"sidecar.istio.io/proxyMemory": "64Mi", "sidecar.istio.io/proxyCPULimit": "1"}, False),
    ],
)
def test_the_proxy_that_a_mesh_adds_needs_requests_too(annotations: Value, fails: bool) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace"}
    labels = {"istio-injection": "enabled"}
    one = workload(resources=REQUESTS)
    one["spec"]["template"]["metadata"]["annotations"] = annotations
    rule, fail = "autoscaler-metric-without-requests", {("fail", HPA, "spec.metrics")}
    meshed = {**space, "metadata": {"name": "shop", "labels": labels}}
    assert said(rule, meshed, one, hpa()) == (fail if fails else PASS)
    assert said(rule, {**space, "metadata": {"name": "shop"}}, one, hpa()) == PASS


# --- two on one ---


@pytest.mark.parametrize(
    ("metric", "vertical", "expected"),
    [
        (resource(), vpa(mode="Auto"), "fail"),
        (resource(), vpa(mode="InPlaceOrRecreate"), "fail"),
        (resource(), vpa(updatePolicy=None), "fail"),
        (resource(), vpa(mode="Off"), "pass"),
        (resource(type="AverageValue", averageValue=1), vpa(), "pass"),
        (resource(), vpa("web", "Auto", {"containerName": "*", "mode": "Off"}), "pass"),
        (resource(), vpa("web", "Auto", {"containerName": "app", "mode": "Off"}), "pass"),
        (resource(), vpa("web", "Auto", {"containerName": "other", "mode": "Off"}), "fail"),
        (resource(), vpa("web", "Auto", {"containerName": "*", "mode": "Off"}, {"containerName": "app"}), "fail"),
        (resource(), vpa("web", "Auto", {"containerName": "*", "controlledResources": ["memory"]}), "pass"),
        (resource("memory"), vpa("web", "Auto", {"containerName": "*", "controlledResources": ["memory"]}), "fail"),
        (resource(), vpa(target="other"), "pass"),
    ],
)
def test_horizontal_and_vertical(metric: Value, vertical: Value, expected: str) -> None:
    found = said("autoscalers-on-one-resource", workload(), workload("other"), hpa(metrics=[metric]), vertical)
    assert found == {(expected, HPA, NAME if expected == "fail" else "")}


def test_a_vertical_autoscaler_for_new_pods_only_counts_on_demand() -> None:
    objects = (workload(), hpa(), vpa(mode="Initial"))
    assert said("autoscalers-on-one-resource", *objects) == set()
    assert said("autoscalers-on-one-resource", *objects, initial=True) == {("fail", HPA, NAME)}


def test_several_on_one_workload() -> None:
    rule = "several-autoscalers"
    second = "HorizontalPodAutoscaler shop/second"
    assert said(rule, workload(), hpa(), hpa("second")) == {("pass", HPA, ""), ("fail", second, NAME)}
    assert said(rule, workload(), hpa(), hpa("second", target="other"), workload("other")) == {
        ("pass", HPA, ""),
        ("pass", second, ""),
    }
    scaled = ("fail", "ScaledObject shop/web", NAME)
    assert scaled in said(rule, workload(), hpa(), keda())
    takes = {"annotations": {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}}
    advanced = {"horizontalPodAutoscalerConfig": {"name": "web"}}
    assert scaled not in said(rule, workload(), hpa(), keda(metadata=takes, advanced=advanced))
    paused = {"annotations": {"autoscaling.keda.sh/paused": "true"}}
    assert said(rule, workload(), hpa(), keda(metadata=paused)) == PASS
    assert said(rule, workload(), vpa(), vpa("second")) == {
        ("pass", VPA, ""),
        ("fail", "VerticalPodAutoscaler shop/second", "spec.targetRef.name"),
    }
    assert said(rule, workload(), vpa(), vpa("second", "Off")) == {("pass", VPA, "")}


# --- bounds ---


@pytest.mark.parametrize(
    ("one", "path"),
    [
        (hpa(), ""),
        (hpa(minReplicas=6), ""),
        (hpa(minReplicas=7), "spec.minReplicas"),
        (hpa(minReplicas=None, maxReplicas=1), ""),
        (hpa(maxReplicas=0), "spec.maxReplicas"),
        (hpa(maxReplicas=None), "spec.maxReplicas"),
        (hpa(maxReplicas="6"), "spec.maxReplicas"),
        (hpa(minReplicas=-1), "spec.minReplicas"),
        (keda(minReplicaCount=101), "spec.minReplicaCount"),
        (keda(minReplicaCount=0, maxReplicaCount=1), ""),
        (keda(idleReplicaCount=0, minReplicaCount=1), ""),
        (keda(idleReplicaCount=1, minReplicaCount=1), "spec.idleReplicaCount"),
    ],
)
def test_bounds(one: Value, path: str) -> None:
    found = said("autoscaler-bounds", one)
    assert {(kind, words) for kind, _, words in found} == {("fail" if path else "pass", path)}


@pytest.mark.parametrize(("version", "fails"), [("1.36", True), ("1.37", False)])
def test_scaling_to_nothing(version: str, fails: bool) -> None:
    external = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": 1}}}
    manifest = text(hpa(minReplicas=0, metrics=[external]))
    assert bool(failing(scan_text(plan_of(profile_of("autoscaler-bounds"), version), manifest))) is fails
    profile = profile_of("autoscaler-bounds", scale_to_zero=True)
    assert not failing(scan_text(plan_of(profile, version), manifest))
    assert failing(scan_text(plan_of(profile, version), text(hpa(minReplicas=0, metrics=[resource()]))))


def test_no_range_and_stated_replicas() -> None:
    assert said("autoscaler-without-range", hpa(minReplicas=6)) == {("fail", HPA, "spec.maxReplicas")}
    assert said("autoscaler-without-range", hpa(minReplicas=7)) == set()
    rule = "replicas-stated-and-autoscaled"
    stated = ("fail", "Deployment shop/web", "spec.replicas")
    assert said(rule, workload(replicas=3), hpa()) == {stated}
    assert said(rule, workload(replicas=3), keda()) == {stated}
    assert said(rule, workload(), hpa()) == {("pass", "Deployment shop/web", "")}
    # A cluster fills the field in, and 0 stops a workload.
    assert said(rule, workload(replicas=3, metadata={"uid": "1"}), hpa()) == set()
    assert said(rule, workload(replicas=0), hpa()) == set()
    assert said(rule, workload(replicas=3), hpa(target="other")) == set()


def test_documented_metrics() -> None:
    rule = "autoscaler-metrics-differ"
    cpu, memory = ({"type": "Resource", "name": name, "utilization": 70} for name in ("cpu", "memory"))
    both = hpa(metrics=[resource("memory"), resource()])
    assert said(rule, both) == set()
    assert said(rule, both, metrics=[cpu, memory]) == PASS
    assert said(rule, both, metrics=[cpu]) == {("fail", HPA, "spec.metrics[0].resource.target.averageUtilization")}
    assert said(rule, hpa(), metrics=[cpu]) == {("fail", HPA, "spec.metrics")}
    value = {"type": "Resource", "name": "cpu", "value": "0.5"}
    assert said(rule, hpa(metrics=[resource(type="AverageValue", averageValue="500m")]), metrics=[value]) == PASS
    assert message(rule, hpa(metrics=[resource()]), metrics=[value]).endswith(
        "aims at cpu at 70%; cpu at 500m is documented"
    )


# --- vertical autoscalers ---


def test_minimum_above_maximum() -> None:
    policy = {"containerName": "app", "minAllowed": {"cpu": 2, "memory": "1Gi"}, "maxAllowed": {"cpu": "1999m"}}
    path = "spec.resourcePolicy.containerPolicies[0].minAllowed.cpu"
    assert said("vpa-bounds", vpa("web", "Off", policy)) == {("fail", VPA, path)}
    assert said("vpa-bounds", vpa("web", "Off", {**policy, "minAllowed": {"cpu": "1.999"}})) == {("pass", VPA, "")}


LIMITED = workload(resources={"requests": {"cpu": "250m"}, "limits": {"cpu": 1, "memory": "1Gi"}})
MAXIMUM = "spec.resourcePolicy.containerPolicies[0].maxAllowed.cpu"


@pytest.mark.parametrize(
    ("vertical", "parameters", "expected"),
    [
        (vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": 2}}), {}, {("fail", VPA, MAXIMUM)}),
        (vpa("web", "Initial", {"containerName": "*", "maxAllowed": {"cpu": 2}}), {}, {("fail", VPA, MAXIMUM)}),
        (vpa("web", "Off", {"containerName": "app", "maxAllowed": {"cpu": 2}}), {}, set()),
        (vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": "1000m"}}), {}, {("pass", VPA, "")}),
        (
            vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": "1000m"}}),
            {"limits": {"cpu": "500m"}},
            {("fail", VPA, MAXIMUM)},
        ),
        (
            vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": 2}, "controlledValues": "RequestsOnly"}),
            {},
            {("pass", VPA, "")},
        ),
        (
            vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": 2}, "mode": "Off"}),
            {},
            {("pass", VPA, "")},
        ),
        (
            vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": 2}, "controlledResources": ["memory"]}),
            {},
            {("pass", VPA, "")},
        ),
        # That it has no target is what autoscaler-target-missing says.
        (vpa("web", "Auto", target="gone"), {}, set()),
    ],
)
def test_maximum_above_limit(vertical: Value, parameters: Value, expected: set[tuple[str, str, str]]) -> None:
    assert said("vpa-maximum-above-limit", LIMITED, vertical, **parameters) == expected


def test_the_limit_that_follows_is_told() -> None:
    vertical = vpa("web", "Auto", {"containerName": "app", "maxAllowed": {"cpu": 2}})
    assert message("vpa-maximum-above-limit", LIMITED, vertical).endswith("above its limit 1; its limit then is 8")


def test_a_maximum_for_each_container_and_resource() -> None:
    rule, every = "vpa-maximum-missing", {"cpu": 1, "memory": "1Gi"}
    assert said(rule, workload(), vpa()) == {("fail", VPA, "spec.resourcePolicy")}
    assert said(rule, workload(), vpa("web", "Auto", {"containerName": "*", "maxAllowed": every})) == {
        ("pass", VPA, "")
    }
    some = {"containerName": "app", "maxAllowed": {"cpu": 1}}
    path = "spec.resourcePolicy.containerPolicies[0]"
    assert said(rule, workload(), vpa("web", "Auto", some)) == {("fail", VPA, path)}
    assert said(rule, workload(), vpa("web", "Auto", {**some, "controlledResources": ["cpu"]})) == {("pass", VPA, "")}


def test_policies_that_name_no_container() -> None:
    rule, path = "vpa-policy-names-no-container", "spec.resourcePolicy.containerPolicies[0].containerName"
    for name, mode, fails in (
        ("app", "Auto", False), ("*", "Auto", False), ("web", "Auto", True), ("web", "Off", False),
        ("App", "Off", True), ("istio-proxy", "Auto", False), ("", "Auto", True),
    ):  # fmt: skip
        found = said(rule, workload(), vpa("web", "Auto", {"containerName": name, "mode": mode}))
        assert found == {("fail", VPA, path) if fails else ("pass", VPA, "")}, name


def test_evictions_without_a_budget() -> None:
    rule = "vpa-evicts-without-budget"
    budget: Value = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}
    budget["metadata"] = {"name": "web", "namespace": "shop"}
    budget["spec"] = {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1}
    fails = {("fail", VPA, "spec.updatePolicy.updateMode")}
    assert said(rule, workload(), vpa()) == fails
    assert said(rule, workload(), vpa(updatePolicy=None)) == fails
    assert said(rule, workload(), vpa(), budget) == {("pass", VPA, "")}
    assert said(rule, workload(), vpa(), {**budget, "metadata": {"name": "web", "namespace": "other"}}) == fails
    perhaps = {**budget, "spec": {"selector": {"matchLabels": {"pod-template-hash": "1"}}, "maxUnavailable": 1}}
    assert said(rule, workload(), vpa(), perhaps) == {("not-judged", VPA, "unknown-labels")}
    for mode in ("Initial", "Off"):
        assert said(rule, workload(), vpa(mode=mode)) == set()
    assert said(rule, vpa()) == set()


def test_environments_side_by_side_are_not_two_on_one() -> None:
    def judged(*files: str) -> set[tuple[str, str]]:
        objects = [workload(namespace=None), hpa(namespace=None), hpa("second", namespace=None)]
        found = [read_bytes(json.dumps(o).encode(), file).objects[0] for o, file in zip(objects, files, strict=True)]
        (active,) = plan_of(profile_of("several-autoscalers")).rules
        return {(type(one).__name__, str(one.obj)) for one in active.function(Inventory(found), active.context)}

    second = "<HorizontalPodAutoscaler second in {}>"
    assert ("NotJudged", second.format("b/hpa.yaml")) in judged("base/web.yaml", "a/hpa.yaml", "b/hpa.yaml")
    assert ("Violation", second.format("a/b/hpa.yaml")) in judged("base/web.yaml", "a/hpa.yaml", "a/b/hpa.yaml")


def test_many_autoscalers_take_little_time() -> None:
    run_within_seconds(
        """
from checks.test_autoscaling import *
from kubeassay.model import Inventory
from kit import objects_in
many = [workload(f"w{n}") for n in range(3000)] + [hpa(f"h{n}", f"{'wx'[n % 2]}{n}") for n in range(3000)]
many += [vpa(f"v{n}", target=f"w{n}") for n in range(3000)] + [hpa(f"i{n}", "w0") for n in range(3000)]
inventory = Inventory(objects_in(text(*many)))
for rule in ("autoscaler-target-missing", "several-autoscalers", "autoscalers-on-one-resource", "vpa-maximum-missing"):
    (active,) = plan_of(profile_of(rule)).rules
    assert len(list(active.function(inventory, active.context))) >= 1500
""",
        seconds=60,
    )


# --- what an API server refuses besides bounds ---


RPS: Value = {"metric": {"name": "rps"}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"metrics": [resource(type="Utilization", averageUtilization=0)]}, "resource.target.averageUtilization"),
        ({"metrics": [resource(type="AverageValue", averageValue="-1")]}, "resource.target.averageValue"),
        ({"metrics": [resource(type="Value", value=1)]}, "resource.target"),
        ({"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]}, "resource.target"),
        (
            {"metrics": [resource(type="Utilization", averageUtilization=5, averageValue=1)]},
            "resource.target.averageValue",
        ),
        ({"metrics": [resource(averageUtilization=5)]}, "resource.target.type"),
        ({"metrics": [{"type": "Pods", "pods": {**RPS, "target": {"type": "Value", "value": 5}}}]}, "pods.target"),
        ({"metrics": [{"type": "External", "external": {**RPS, "target": {"type": "Value", "value": 5}}}]}, ""),
        ({"metrics": [resource(type="AverageValue", averageUtilization=5)]}, ""),
        ({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601}}}, "scaleDown.stabilizationWindowSeconds"),
        ({"behavior": {"scaleUp": {"policies": []}}}, "scaleUp.policies"),
        ({"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0}]}}}, "scaleUp.policies[0].value"),
        (
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}}},
            "scaleUp.policies[0].periodSeconds",
        ),
        (
            {
                "behavior": {
                    "scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0},
                    "scaleUp": {"policies": [{"type": "Percent", "value": 900, "periodSeconds": 1800}]},
                }
            },
            "",
        ),
    ],
)
def test_metrics_and_behavior_that_are_refused(spec: Value, path: str) -> None:
    at = "spec.metrics[0]" if "metrics" in spec else "spec.behavior"
    expected = {("fail", HPA, f"{at}.{path}")} if path else PASS
    assert said("autoscaler-bounds", workload(), hpa(**spec)) == expected


def test_of_requests_of_nothing_no_part_can_be_told() -> None:
    rule, nothing = "autoscaler-metric-without-requests", {"requests": {"cpu": "0"}}
    assert said(rule, workload(resources=nothing), hpa()) == {("fail", HPA, "spec.metrics")}
    two = [{"name": "app", "resources": REQUESTS}, {"name": "side", "resources": nothing}]
    assert said(rule, workload(containers=two), hpa()) == PASS
    assert said(rule, workload(containers=two), hpa(metrics=[resource(container="side")])) == {
        ("fail", HPA, "spec.metrics[0]")
    }
    whole_pod = {"resources": {"requests": {"cpu": "0"}}}
    assert said(rule, workload(pod=whole_pod), hpa()) == {("fail", HPA, "spec.metrics")}


def test_a_proxy_that_may_be_added() -> None:
    """Istio's has requests unless annotations leave them out; Linkerd's has none of its own."""
    rule, one = "autoscaler-metric-without-requests", workload(resources=REQUESTS)
    mesh = {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": {"name": "mesh"}}
    assert said(rule, mesh, one, hpa()) == PASS
    lacking = workload(resources=REQUESTS)
    lacking["spec"]["template"]["metadata"]["annotations"] = {"sidecar.istio.io/proxyMemory": "64Mi"}
    assert said(rule, lacking, hpa()) == PASS
    assert said(rule, mesh, lacking, hpa()) == {("not-judged", HPA, "unsupported")}
    annotations = {"linkerd.io/inject": "enabled"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": annotations}}
    assert said(rule, space, one, hpa()) == {("not-judged", HPA, "unsupported")}
    assert said(rule, space, one, hpa(metrics=[resource(container="app")])) == PASS
