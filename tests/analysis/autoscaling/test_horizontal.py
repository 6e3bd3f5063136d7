"""Autoscalers of every version, read alike, and what they scale."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import objects_in
from kubeassay.analysis.autoscaling.horizontal import HorizontalAutoscaler, scaling
from kubeassay.analysis.autoscaling.vertical import limit_at, verticals
from kubeassay.model import Inventory, Object


def deployment(name: str = "web", namespace: str | None = "shop", kind: str = "Deployment", **spec: Any) -> str:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    obj = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {"template": template, **spec}}
    return json.dumps(obj)


def autoscaler(
    version: str = "autoscaling/v2", annotations: Any = None, namespace: str | None = "shop", **spec: Any
) -> str:
    kind = "ScaledObject" if version.startswith("keda") else "HorizontalPodAutoscaler"
    metadata: dict[str, Any] = {"name": "web", **({"namespace": namespace} if namespace else {})}
    if annotations is not None:
        metadata["annotations"] = annotations
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return json.dumps(
        {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {"scaleTargetRef": target, **spec}}
    )


def inventory(*documents: str) -> Inventory:
    return Inventory(objects_in("\n---\n".join(documents)))


def only(*documents: str) -> HorizontalAutoscaler:
    (found,) = scaling(inventory(*documents)).all
    return found


V2 = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
V2BETA1 = {"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 70}}
PODS_V2 = {
    "type": "Pods",
    "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}},
}
PODS_V2BETA1 = {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}}


@pytest.mark.parametrize(
    ("text", "aims"),
    [
        (autoscaler(metrics=[V2, PODS_V2]), [("spec", "metrics", 0, "resource", "target", "averageUtilization"),
                                             ("spec", "metrics", 1, "pods", "target", "averageValue")]),
        (autoscaler("autoscaling/v2beta2", metrics=[V2, PODS_V2]), None),
        (autoscaler("autoscaling/v2beta1", metrics=[V2BETA1, PODS_V2BETA1]),
         [("spec", "metrics", 0, "resource", "targetAverageUtilization"),
          ("spec", "metrics", 1, "pods", "targetAverageValue")]),
        (autoscaler("autoscaling/v1", {"autoscaling.alpha.kubernetes.io/metrics": json.dumps([PODS_V2BETA1])},
                    targetCPUUtilizationPercentage=70), None),
    ],
)  # fmt: skip
def test_metrics_mean_the_same_in_every_version(text: str, aims: Any) -> None:
    one = only(text)
    told = {
        (m.type, m.name, m.container, m.utilization, m.value if m.utilization is None else None) for m in one.metrics
    }
    assert told == {("Resource", "cpu", "", 70, None), ("Pods", "rps", "", None, Fraction(10))}
    assert one.unread == ()
    if aims is not None:
        assert [metric.aim for metric in one.metrics] == aims


def test_a_value_comes_before_a_utilization_and_type_does_not_count() -> None:
    both = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70, "averageValue": "200m"}}
    (metric,) = only(autoscaler(metrics=[{"type": "Resource", "resource": both}])).metrics
    assert (metric.utilization, metric.value, metric.of_requests) == (None, Fraction(1, 5), False)
    assert metric.aim[-1] == "averageValue"


def test_without_metrics_cpu_at_80_percent_counts() -> None:
    for text in (autoscaler(), autoscaler(metrics=[]), autoscaler("autoscaling/v1")):
        (metric,) = only(text).metrics
        assert (metric.name, metric.utilization, metric.stated) == ("cpu", 80, False)


@pytest.mark.parametrize(
    "metrics",
    [
        [{}], [None], ["cpu"], [{"type": "Nothing"}], [{"type": "Resource"}], [{"type": "Resource", "resource": {}}],
        [{"type": "Pods", "pods": {"metric": None}}], [{"type": ["Resource"], "resource": {"name": "cpu"}}],
    ],
)  # fmt: skip
def test_what_is_no_metric_is_not_taken_for_none(metrics: Any) -> None:
    one = only(autoscaler(metrics=metrics))
    assert (one.metrics, one.unread) == ((), (("spec", "metrics", 0),))


def test_an_annotation_that_is_no_json_is_ignored_as_by_the_api_server() -> None:
    for text in ("{", "[" * 100_000, "1", "null", "\ud800"):
        annotations = {"autoscaling.alpha.kubernetes.io/metrics": text}
        (metric,) = only(autoscaler("autoscaling/v1", annotations, targetCPUUtilizationPercentage=50)).metrics
        assert metric.utilization == 50


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        (autoscaler(maxReplicas=5), (1, 5)),
        (autoscaler(minReplicas=0, maxReplicas=5), (0, 5)),
        (autoscaler(minReplicas=True, maxReplicas="5"), (None, None)),
        (autoscaler(minReplicas=2), (2, None)),
        (autoscaler("keda.sh/v1alpha1"), (0, 100)),
        (autoscaler("keda.sh/v1alpha1", minReplicaCount=2, maxReplicaCount=9), (2, 9)),
        (autoscaler("keda.sh/v1alpha1", idleReplicaCount=0, minReplicaCount=2), (0, 100)),
    ],
)
def test_bounds_have_their_defaults(text: str, bounds: tuple[int | None, int | None]) -> None:
    one = only(text)
    assert (one.minimum, one.maximum) == bounds


def test_keda_triggers() -> None:
    triggers = [
        {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
        {"type": "memory", "metadata": {"type": "AverageValue", "value": "64Mi", "containerName": "app"}},
        {"type": "prometheus", "metadata": {"query": "x"}},
        {"type": "cpu", "metadata": {"value": "60"}},
        {},
    ]
    one = only(autoscaler("keda.sh/v1alpha1", triggers=triggers))
    assert [(m.type, m.name, m.container, m.utilization) for m in one.metrics] == [
        ("Resource", "cpu", "", 60),
        ("ContainerResource", "memory", "app", None),
        ("External", "prometheus", "", None),
    ]
    assert one.unread == (("spec", "triggers", 3), ("spec", "triggers", 4))


@pytest.mark.parametrize(
    ("annotations", "active"),
    [
        ({}, True),
        ({"autoscaling.keda.sh/paused": "false"}, True),
        ({"autoscaling.keda.sh/paused": "true"}, False),
        ({"autoscaling.keda.sh/paused": "yes"}, False),
        ({"autoscaling.keda.sh/paused-replicas": "0"}, False),
    ],
)
def test_a_paused_scaler_scales_nothing(annotations: dict[str, str], active: bool) -> None:
    text = autoscaler("keda.sh/v1alpha1", annotations, minReplicaCount=4)
    facts = scaling(inventory(deployment(replicas=2), text))
    replicas = facts.replicas(_target(facts.all[0]))
    assert facts.all[0].active is active
    assert replicas is not None
    assert replicas.minimum == (4 if active else 2)


def _target(one: HorizontalAutoscaler) -> Object:
    assert one.target is not None
    return one.target


@pytest.mark.parametrize(
    ("reference", "wrong_at"),
    [
        ({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, None),
        ({"apiVersion": "apps/v2", "kind": "Deployment", "name": "web"}, None),
        ({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "name": "web"}, "apiVersion"),
        ({"kind": "Deployment", "name": "web"}, "apiVersion"),
        ({"apiVersion": "v1", "kind": "StatefulSet", "name": "web"}, "apiVersion"),
        ({"apiVersion": "v1", "kind": "ReplicationController", "name": "web"}, None),
        ({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web"}, "kind"),
        ({"apiVersion": "batch/v1", "kind": "Job", "name": "web"}, "kind"),
        ({"kind": "Job", "name": "web"}, "kind"),
        ({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"}, None),
        ({"apiVersion": "example.com/v1", "kind": "Deployment", "name": "web"}, None),
    ],
)
def test_what_cannot_be_scaled_is_known(reference: dict[str, str], wrong_at: str | None) -> None:
    found = only(autoscaler(scaleTargetRef=reference)).reference
    assert (found.wrong_at[-1] if found.wrong else None) == wrong_at


def test_targets_are_found_whether_a_namespace_is_stated_or_is_the_default() -> None:
    for own in (None, "default"):
        for others in (None, "default"):
            assert only(deployment(namespace=own), autoscaler(namespace=others, maxReplicas=3)).target is not None
    assert only(deployment(), autoscaler(namespace="other", maxReplicas=3)).target is None


def test_replicas_are_those_of_the_autoscaler_or_stated_or_one() -> None:
    def replicas(*documents: str) -> tuple[int, int | None] | None:
        found = inventory(*documents)
        number = scaling(found).replicas(found.objects[0])
        return None if number is None else (number.minimum, number.maximum)

    assert replicas(deployment()) == (1, 1)
    assert replicas(deployment(replicas=4)) == (4, 4)
    assert replicas(deployment(replicas="4")) is None
    assert replicas(deployment(kind="DaemonSet")) is None
    assert replicas(deployment(replicas=4), autoscaler(minReplicas=2, maxReplicas=6)) == (2, 6)
    assert replicas(deployment(replicas=4), autoscaler(minReplicas=2)) == (2, None)
    assert replicas(deployment(replicas=4), autoscaler(minReplicas="2", maxReplicas=6)) is None
    # 0 replicas switch a HorizontalPodAutoscaler off, and nothing of KEDA's.
    assert replicas(deployment(replicas=0), autoscaler(minReplicas=2, maxReplicas=6)) == (0, 0)
    assert replicas(deployment(replicas=0), autoscaler("keda.sh/v1alpha1", minReplicaCount=1)) == (1, 100)
    wrong = autoscaler(scaleTargetRef={"kind": "Deployment", "name": "web"}, minReplicas=2, maxReplicas=6)
    assert replicas(deployment(replicas=4), wrong) == (4, 4)


def test_what_keda_makes_says_nothing_twice() -> None:
    made = json.loads(autoscaler(minReplicas=1, maxReplicas=9))
    made["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": "web", "controller": True}]
    facts = scaling(inventory(deployment(), autoscaler("keda.sh/v1alpha1"), json.dumps(made)))
    assert [one.obj.ref.kind for one in facts.of(_target(facts.all[0]))] == ["ScaledObject"]


def test_a_rollout_may_take_its_pods_from_a_deployment() -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metadata = {"name": "web", "namespace": "shop"}
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata}
    found = inventory(json.dumps({**rollout, "spec": {"workloadRef": reference}}), deployment())
    template = scaling(found).template(found.objects[0])
    assert template is not None
    assert template.obj is found.objects[1]


def vertical(**spec: Any) -> str:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metadata = {"name": "web", "namespace": "shop"}
    spec = {"targetRef": target, **spec}
    version = "autoscaling.k8s.io/v1"
    return json.dumps({"apiVersion": version, "kind": "VerticalPodAutoscaler", "metadata": metadata, "spec": spec})


def test_policies_of_containers_and_of_all() -> None:
    policies = [
        {"containerName": "*", "mode": "Off", "maxAllowed": {"cpu": 4}},
        {"containerName": "app", "controlledResources": ["memory"], "minAllowed": {"cpu": 0, "memory": "1Gi"}},
    ]
    (one,) = verticals(inventory(deployment(), vertical(resourcePolicy={"containerPolicies": policies}))).all
    assert one.target is not None
    assert one.mode == "Recreate"
    assert one.evicts
    assert [one.controls(*of) for of in (("app", "cpu"), ("app", "memory"), ("other", "cpu"))] == [False, True, False]
    own = one.policy("app")
    assert own is not None
    assert own.minimum == {"memory": Fraction(1024**3)}
    (bare,) = verticals(inventory(deployment(), vertical(updatePolicy={"updateMode": "Initial"}))).all
    assert (bare.evicts, bare.initial, bare.controls("app", "cpu"), bare.controls("app", "gpu")) == (
        False, True, True, False,
    )  # fmt: skip


def test_a_limit_grows_with_its_request() -> None:
    # kubernetes/autoscaler, limit_and_request_scaling_test.go.
    assert limit_at(Fraction(1), Fraction(2), Fraction(10)) == 20
    assert limit_at(Fraction(1), None, Fraction(10)) is None
    assert limit_at(Fraction(1), Fraction(0), Fraction(10)) is None
    assert limit_at(None, Fraction(2), Fraction(10)) == 10


FIELDS = (
    "scaleTargetRef", "targetRef", "metrics", "minReplicas", "maxReplicas", "type", "name", "kind", "apiVersion",
    "resource", "target", "averageUtilization", "updatePolicy", "updateMode", "resourcePolicy", "containerPolicies",
    "containerName", "maxAllowed", "cpu", "triggers", "metadata", "value", "selector", "limits",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["autoscaling/v1", "autoscaling/v2beta1", "autoscaling/v2", "keda.sh/v1alpha1"]))
def test_anything_is_read_without_an_error(spec: Any, version: str) -> None:
    kind = "ScaledObject" if version.startswith("keda") else "HorizontalPodAutoscaler"
    documents = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec},
        {
            "apiVersion": "autoscaling.k8s.io/v1",
            "kind": "VerticalPodAutoscaler",
            "metadata": {"name": "a"},
            "spec": spec,
        },
        json.loads(deployment(namespace=None, name="")),
    ]
    found = inventory(*map(json.dumps, documents))
    for one in scaling(found).all:
        assert one.minimum is None or isinstance(one.minimum, int)
        if one.target is not None:
            scaling(found).replicas(one.target)
    for other in verticals(found).all:
        other.controls("app", "cpu")
