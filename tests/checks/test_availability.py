"""Rules of kubeassay.checks.availability."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.network_outcomes import outcomes
from checks.test_autoscaling import Value, hpa, keda, message, said, text, workload
from kit import plan_of, profile_of, run_within_seconds
from kubeassay.checks.check import NotApplicable
from kubeassay.model import Inventory
from kubeassay.sources.manifests import read_bytes


def pdb(name: str = "web", app: Any = "web", version: str = "policy/v1", **spec: Any) -> Value:
    selector = {"matchLabels": {"app": app}} if isinstance(app, str) else app
    bounds = {} if spec.keys() & {"minAvailable", "maxUnavailable"} else {"maxUnavailable": 1}
    spec = {**({} if selector is None else {"selector": selector}), **bounds, **spec}
    metadata = {"name": name, "namespace": spec.pop("namespace", "shop")}
    return {"apiVersion": version, "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


def service(app: str = "web") -> Value:
    metadata = {"name": app, "namespace": "shop"}
    spec = {"selector": {"app": app}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def pod(name: str, **metadata: Any) -> Value:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": "web"}, **metadata}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }


PDB = "PodDisruptionBudget shop/web"
WEB = "Deployment shop/web"
BLOCKS = "disruption-budget-blocks-evictions"
OWNED = pod("a", ownerReferences=[{"kind": "Cache", "name": "c", "controller": True}])


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ((workload(replicas=2), pdb(minAvailable=1)), "pass"),
        ((workload(replicas=1), pdb(minAvailable=1)), "spec.minAvailable"),
        ((workload(), pdb(minAvailable=1)), "spec.minAvailable"),
        ((workload(replicas=1), pdb(maxUnavailable=1)), "pass"),
        ((workload(replicas=5), pdb(maxUnavailable=0)), "spec.maxUnavailable"),
        ((workload(replicas=5), pdb(maxUnavailable="0%")), "spec.maxUnavailable"),
        ((workload(replicas=5), pdb(maxUnavailable="1%")), "pass"),
        ((workload(replicas=5), pdb(minAvailable="100%")), "spec.minAvailable"),
        ((workload(replicas=3), pdb(minAvailable="67%")), "spec.minAvailable"),
        ((workload(replicas=3), pdb(minAvailable="66%")), "pass"),
        ((workload(replicas=3), pdb(maxUnavailable=None)), "spec.maxUnavailable"),
        # With an autoscaler its minimum counts, whatever the workload states.
        ((workload(replicas=5), hpa(minReplicas=2), pdb(minAvailable=2)), "spec.minAvailable"),
        ((workload(replicas=1), hpa(minReplicas=3), pdb(minAvailable=2)), "pass"),
        ((workload(), keda(minReplicaCount=0), pdb(minAvailable=1)), "spec.minAvailable"),
        # What is scaled to nothing counts as soon as there is a pod.
        ((workload(), keda(minReplicaCount=0), pdb(maxUnavailable=1)), "pass"),
        # Two workloads of one budget are counted together.
        ((workload(replicas=1), workload("api", replicas=1), pdb(app={}, minAvailable=1)), "pass"),
        ((workload(replicas=1), workload("api", replicas=1), pdb(app={}, minAvailable=2)), "spec.minAvailable"),
        # What has no scale is not counted.
        ((workload(kind="DaemonSet"), pdb(maxUnavailable=1)), "spec.maxUnavailable"),
        ((workload(kind="DaemonSet"), pdb(minAvailable="50%")), "spec.minAvailable"),
        ((workload(kind="DaemonSet"), pdb(minAvailable=1)), "unknown-replicas"),
        ((pod("a"), pod("b"), pdb(maxUnavailable=1)), "spec.maxUnavailable"),
        ((pod("a"), pod("b"), pdb(minAvailable=1)), "pass"),
        ((pod("a"), pdb(minAvailable=1)), "spec.minAvailable"),
        # A pod without a controller is healthy, and not demanded.
        ((pod("a"), workload(replicas=1), pdb(minAvailable="100%")), "pass"),
        ((pod("a"), workload(replicas=1), pdb(maxUnavailable=0)), "pass"),
        ((pod("a"), workload(replicas=1), pdb(minAvailable=2)), "spec.minAvailable"),
        ((OWNED, pdb(minAvailable=1)), "unknown-replicas"),
        ((workload(replicas="3"), pdb(minAvailable=1)), "unknown-replicas"),
        # However many there are, one may go.
        ((OWNED, pdb(maxUnavailable=1)), None),
        ((workload(replicas="3"), pdb(maxUnavailable="10%")), None),
        ((workload(replicas="3"), pdb(maxUnavailable=0)), "spec.maxUnavailable"),
        ((workload(), pdb(minAvailable=1, maxUnavailable=1)), "invalid-object"),
        # Nothing is there to evict, or to be evicted.
        ((workload(replicas=0), pdb(maxUnavailable=0)), None),
        ((workload("other"), pdb(minAvailable=1)), None),
        ((workload(), pdb(app=None, maxUnavailable=0)), None),
        ((workload(), pdb(app={}, version="policy/v1beta1", maxUnavailable=0)), None),
    ],
)
def test_budgets_that_block(objects: tuple[Value, ...], expected: str | None) -> None:
    found = {(about, words or kind) for kind, about, words in said(BLOCKS, *objects)}
    assert found == (set() if expected is None else {(PDB, expected)})


def test_words_say_which_number_counts() -> None:
    at_rest = message(BLOCKS, workload(), hpa(minReplicas=2, maxReplicas=4), pdb(minAvailable=2))
    assert at_rest.endswith("minAvailable is 2, of 2 pods, which HorizontalPodAutoscaler shop/web may go down to")
    always = message(BLOCKS, workload(), hpa(minReplicas=2, maxReplicas=4), pdb(minAvailable=4))
    assert always.endswith("allows no eviction: minAvailable is 4, of 2 pods")
    assert message(BLOCKS, workload(replicas=1), pdb(minAvailable="1%")).endswith("minAvailable is 1%, of 1 pod")


@given(
    field=st.sampled_from(["minAvailable", "maxUnavailable"]),
    bound=st.integers(0, 12) | st.integers(0, 100).map(lambda number: f"{number}%"),
    replicas=st.lists(st.integers(0, 9), min_size=1, max_size=3),
)
def test_blocked_means_that_not_even_the_first_pod_may_go(field: str, bound: Any, replicas: list[int]) -> None:
    """By evicting one pod after the other, as upstream's eviction does, in its own floating point arithmetic."""
    total = sum(replicas)
    number = math.ceil(float(int(bound[:-1])) * float(total) / 100) if isinstance(bound, str) else bound
    demanded = number if field == "minAvailable" else max(0, total - number)
    healthy = total
    while healthy > demanded and healthy > 0:
        healthy -= 1
    objects = [workload(f"w{n}", replicas=count) for n, count in enumerate(replicas)]
    kinds = {kind for kind, _, _ in said(BLOCKS, *objects, pdb(app={}, **{field: bound}))}
    if total == 0:
        assert kinds == set()
    else:
        assert kinds == ({"fail"} if healthy == total else {"pass"})


def test_refused_budgets() -> None:
    rule = "disruption-budget-refused"
    for bounds, path in (
        ({"minAvailable": 1, "maxUnavailable": 1}, "spec.maxUnavailable"),
        ({"minAvailable": "1"}, "spec.minAvailable"),
        ({"minAvailable": -1}, "spec.minAvailable"),
        ({"maxUnavailable": "101%"}, "spec.maxUnavailable"),
        ({"maxUnavailable": "9" * 5000 + "%"}, "spec.maxUnavailable"),
        ({"app": {"matchLabels": {"app": "a b"}}}, "spec.selector"),
    ):
        assert said(rule, pdb(**bounds)) == {("fail", PDB, path)}, bounds
    assert said(rule, pdb()) == {("pass", PDB, "")}


SELECTS = "disruption-budget-selects-nothing"


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ((workload(), pdb()), "pass"),
        ((workload(), pdb(app="wbe")), "spec.selector.matchLabels.app"),
        ((workload(), pdb(app={})), "pass"),
        ((workload(), pdb(app=None)), "spec.selector"),
        ((workload(), pdb(app={}, version="policy/v1beta1")), "spec.selector"),
        ((workload(), pdb(version="policy/v1beta1")), "pass"),
        (
            (workload(), pdb(app={"matchExpressions": [{"key": "app", "operator": "In", "values": ["api"]}]})),
            "spec.selector.matchExpressions[0]",
        ),
        ((workload(), pdb(app={"matchLabels": {"pod-template-hash": "1"}})), "unknown-labels"),
        ((workload(namespace="other"), pdb()), "no-objects"),
        ((pdb(app={}),), "no-objects"),
        ((workload(), pdb(minAvailable="x")), "invalid-object"),
    ],
)
def test_budgets_that_select_nothing(objects: tuple[Value, ...], expected: str) -> None:
    assert {(about, words or kind) for kind, about, words in said(SELECTS, *objects)} == {(PDB, expected)}


def test_budgets_where_something_may_make_pods() -> None:
    cluster = {"apiVersion": "example.com/v1", "kind": "Cache", "metadata": {"name": "c", "namespace": "shop"}}
    assert said(SELECTS, workload("api"), cluster, pdb()) == {("not-judged", PDB, "unsupported")}
    slip = pdb(app="frontent")
    assert said(SELECTS, workload("frontend"), cluster, slip) == {("fail", PDB, "spec.selector.matchLabels.app")}


def test_two_budgets_on_one_pod() -> None:
    rule, every = "several-disruption-budgets", "PodDisruptionBudget shop/every"
    assert said(rule, workload(), workload("api"), pdb(), pdb("every", app={})) == {
        ("pass", PDB, ""),
        ("fail", every, "spec.selector"),
    }
    assert said(rule, workload(), workload("api"), pdb(), pdb("every", "api")) == {
        ("pass", PDB, ""),
        ("pass", every, ""),
    }
    unknown = pdb("every", {"matchLabels": {"pod-template-hash": "1"}})
    assert said(rule, workload(), pdb(), unknown) == {("pass", PDB, ""), ("not-judged", every, "unknown-labels")}


def test_budgets_that_are_missing() -> None:
    rule = "disruption-budget-missing"
    fails = {("fail", WEB, "spec.replicas")}
    assert said(rule, workload(replicas=2)) == fails
    assert said(rule, workload(replicas=2), pdb(app="api")) == fails
    assert said(rule, workload(replicas=1)) == set()
    assert said(rule, workload(replicas=2), pdb()) == {("pass", WEB, "")}
    assert said(rule, workload(), hpa()) == {("fail", WEB, "metadata.name")}
    assert said(rule, workload(kind="DaemonSet")) == set()
    # Whether it selects them depends on what is given to pods when they are made.
    perhaps = pdb("perhaps", {"matchLabels": {"pod-template-hash": "1"}})
    assert said(rule, workload(replicas=2), perhaps) == {("not-judged", WEB, "unknown-labels")}
    assert said(rule, workload(replicas=2), perhaps, pdb()) == {("pass", WEB, "")}
    assert said(rule, workload(replicas=1), perhaps) == set()


def test_too_few_replicas() -> None:
    rule, fails = "too-few-replicas", {("fail", WEB, "spec.replicas")}
    assert said(rule, workload(), service()) == fails
    assert said(rule, workload(replicas=2), service()) == {("pass", WEB, "")}
    assert said(rule, workload(replicas=0), service()) == set()
    assert said(rule, workload(kind="StatefulSet"), service()) == set()
    assert said(rule, workload(), service("api")) == set()
    assert said(rule, workload(), service(), hpa(minReplicas=1)) == {
        ("fail", "HorizontalPodAutoscaler shop/web", "spec.minReplicas")
    }
    stateful = workload("db", kind="StatefulSet")
    named = {"workloads": ["shop/db", "bank/*"], "minimum": 3}
    assert said(rule, workload(), service(), stateful, **named) == {("fail", "StatefulSet shop/db", "spec.replicas")}


def test_replicas_in_one_place() -> None:
    rule = "replicas-not-spread"
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    hard = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    soft = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": term}]}}
    path = "spec.template.spec.topologySpreadConstraints"
    assert said(rule, workload(replicas=2)) == {("fail", WEB, path)}
    assert said(rule, workload(replicas=1)) == set()
    for spread in ({"affinity": hard}, {"affinity": soft}, {"topologySpreadConstraints": [{"maxSkew": 1}]}):
        assert said(rule, workload(replicas=2, pod=spread)) == {("pass", WEB, "")}
    none = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}}
    assert said(rule, workload(replicas=2, pod=none)) == {("fail", WEB, path)}


def test_an_environment_s_budget_is_for_its_own_workload() -> None:
    placed = [
        ("prod", workload(replicas=3)), ("prod", pdb(minAvailable=2)),
        ("dev", workload(replicas=1)), ("dev", pdb(minAvailable=1)),
    ]  # fmt: skip
    objects = [read_bytes(json.dumps(o).encode(), f"{at}/{o['kind']}.yaml").objects[0] for at, o in placed]
    (active,) = plan_of(profile_of(BLOCKS)).rules
    said_of = active.function(Inventory(objects), active.context)
    found = {(type(one).__name__, str(one.obj)) for one in said_of if not isinstance(one, NotApplicable)}
    assert found == {
        ("Passed", "<PodDisruptionBudget shop/web in prod/PodDisruptionBudget.yaml>"),
        ("Violation", "<PodDisruptionBudget shop/web in dev/PodDisruptionBudget.yaml>"),
    }


def test_what_makes_no_sense_is_no_error() -> None:
    strange: tuple[Any, ...] = (None, [], {}, "x", 1, True, 1.5, [None], {"a": None})
    for value in strange:
        objects = [
            workload(replicas=value, metadata={"labels": value}),
            {**pdb(), "spec": {"selector": value, "minAvailable": value}},
            {**pdb("other"), "spec": value},
            {**hpa(), "spec": value},
        ]
        for rule in (BLOCKS, SELECTS, "several-disruption-budgets", "too-few-replicas", "replicas-not-spread"):
            outcomes(rule, text(*objects))


def test_many_budgets_take_little_time() -> None:
    run_within_seconds(
        """
from checks.test_availability import *
from kit import objects_in
many = [workload(f"w{n}", replicas=2) for n in range(2000)] + [pdb(f"p{n}", f"w{n}") for n in range(2000)]
many += [pdb(f"q{n}", f"x{n}") for n in range(1000)] + [pdb(f"r{n}", "w0") for n in range(1000)]
inventory = Inventory(objects_in(text(*many)))
for rule in (BLOCKS, SELECTS, "several-disruption-budgets", "disruption-budget-missing"):
    (active,) = plan_of(profile_of(rule)).rules
    assert len(list(active.function(inventory, active.context))) >= 2000
""",
        seconds=60,
    )


@pytest.mark.parametrize(
    ("kind", "name", "spec", "minimum", "expected"),
    [
        ("Prometheus", "prometheus", {"replicas": 2}, 1, "pass"),
        ("Prometheus", "prometheus", {}, 1, "fail"),
        ("Prometheus", "prometheus", {"replicas": 2, "shards": 2}, 3, "pass"),
        ("Prometheus", "prometheus", {"replicas": 2, "shards": 2}, 4, "fail"),
        ("Prometheus", "prometheus", {"replicas": -1, "shards": 0}, 1, "fail"),
        ("Alertmanager", "alertmanager", {"replicas": 3}, 2, "pass"),
        ("Alertmanager", "alertmanager", {"replicas": 3, "shards": 2}, 3, "fail"),
        ("ThanosRuler", "thanos-ruler", {"replicas": 2}, 2, "fail"),
        ("Prometheus", "prometheus", {"replicas": "2"}, 1, "not-judged"),
    ],
)
def test_budgets_on_pods_of_an_operator(kind: str, name: str, spec: Value, minimum: int, expected: str) -> None:
    metadata = {"name": "main", "namespace": "shop"}
    one = {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": metadata, "spec": spec}
    budget = pdb(app={"matchLabels": {"app.kubernetes.io/name": name}}, minAvailable=minimum)
    assert {found for found, _, _ in said(BLOCKS, one, budget)} == {expected}


def test_a_budget_for_what_comes_from_elsewhere() -> None:
    elsewhere = pdb("exporter", {"matchLabels": {"app.kubernetes.io/name": "exporter"}})
    about = "PodDisruptionBudget shop/exporter"
    assert said(SELECTS, workload(), elsewhere) == {("not-judged", about, "no-objects")}
