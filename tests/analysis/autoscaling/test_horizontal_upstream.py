"""What an API server makes of HorizontalPodAutoscalers: bounds, metrics, and which are refused.

Needs Go, and the modules (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from analysis.autoscaling.horizontal_cases import BOUNDS, REFERENCES, autoscaler
from kit import answered, go_program, objects_in, plan_of, profile_of
from kubeassay.analysis.autoscaling.horizontal import scaling
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.checks.check import Violation
from kubeassay.model import Inventory

Value = dict[str, Any]


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tests/upstream_kubernetes/horizontal, built."""
    return go_program("upstream_kubernetes", "./horizontal", tmp_path_factory.mktemp("horizontal"))


def test_bounds_and_references(upstream: Path) -> None:
    """Every object that is refused for its bounds or its target is a finding, and no other is."""
    external = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": 1}}}
    cases = [
        autoscaler(minReplicas=least, maxReplicas=most, metrics=metrics)
        for least in BOUNDS
        for most in BOUNDS
        for metrics in (None, [external])
    ]
    cases += [autoscaler(scaleTargetRef=reference) for reference in REFERENCES]
    rules = [plan_of(profile_of(rule)).rules[0] for rule in ("autoscaler-bounds", "autoscaler-target-missing")]
    refused = 0
    for case, answer in zip(cases, answered(upstream, cases), strict=True):
        inventory = Inventory(objects_in(json.dumps(case)))
        found = [one for rule in rules for one in rule.function(inventory, rule.context) if isinstance(one, Violation)]
        assert bool(found) == bool(answer["refused"]), (case, answer, found)
        refused += bool(found)
        if not found:
            (one,) = scaling(inventory).all
            assert (one.minimum, one.maximum) == (answer["min"], answer["max"]), case
    assert 20 < refused < len(cases) - 20


def _told(answer: Value) -> list[tuple[Any, ...]]:
    return [
        (m["type"], m["name"], m["container"], m["utilization"], parse_quantity(m["value"]) if m["value"] else None)
        for m in answer["metrics"]
    ]


def _ours(case: Value) -> list[tuple[Any, ...]]:
    (one,) = scaling(Inventory(objects_in(json.dumps(case)))).all
    assert not one.unread, case
    return [
        (m.type, m.name, m.container, m.utilization, m.value if m.utilization is None else None) for m in one.metrics
    ]


AVERAGE = {"type": "AverageValue", "averageValue": 2}


def _metric_v2(rng: random.Random) -> Value:
    target = rng.choice(
        (
            {"type": "Utilization", "averageUtilization": rng.randint(1, 200)},
            {"type": "AverageValue", "averageValue": rng.choice(("100m", "1", "2Gi", 3))},
            {"type": "Utilization", "averageValue": "500m"},
            {"type": "AverageValue", "averageUtilization": 30},
        )
    )
    value = rng.choice(({"type": "Value", "value": "10"}, {"type": "AverageValue", "averageValue": "1500m"}))
    described = {"apiVersion": "v1", "kind": "Service", "name": "web"}
    return rng.choice(
        (
            {"type": "Resource", "resource": {"name": rng.choice(("cpu", "memory")), "target": target}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "target": target}},
            {
                "type": "Pods",
                "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": 2}},
            },
            {"type": "Object", "object": {"describedObject": described, "metric": {"name": "hits"}, "target": value}},
            {"type": "External", "external": {"metric": {"name": "queue"}, "target": value}},
        )
    )


def _metric_v1(rng: random.Random) -> Value:
    resource = rng.choice(({"targetAverageUtilization": 40}, {"targetAverageValue": "250m"}))
    target = {"apiVersion": "v1", "kind": "Service", "name": "web"}
    hits = {"metricName": "hits", "target": target, "targetValue": "10"}
    return rng.choice(
        (
            {"type": "Resource", "resource": {"name": rng.choice(("cpu", "memory")), **resource}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", **resource}},
            {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}},
            {"type": "Object", "object": rng.choice((hits, {**hits, "averageValue": "3"}))},
            {"type": "External", "external": {"metricName": "queue", "targetValue": "7"}},
            {"type": "External", "external": {"metricName": "queue", "targetAverageValue": "7"}},
        )
    )


def test_metrics_of_every_version(upstream: Path) -> None:
    rng = random.Random(20261124)
    cases = [autoscaler(metrics=[_metric_v2(rng) for _ in range(rng.randint(0, 3))]) for _ in range(200)]
    for _ in range(200):
        listed = json.dumps([_metric_v1(rng) for _ in range(rng.randint(0, 3))])
        annotations = rng.choice(
            (None, {"autoscaling.alpha.kubernetes.io/metrics": rng.choice((listed, listed, "{", "1"))})
        )
        cases.append(autoscaler("v1", annotations, targetCPUUtilizationPercentage=rng.choice((None, 50))))
    compared = 0
    for case, answer in zip(cases, answered(upstream, cases), strict=True):
        if answer["refused"]:
            continue
        # autoscaling/v1 gets its default from the storage version.
        told = _told(answer) or [("Resource", "cpu", "", 80, None)]
        assert sorted(map(str, _ours(case))) == sorted(map(str, told)), (case, answer)
        compared += 1
    assert compared > 300
