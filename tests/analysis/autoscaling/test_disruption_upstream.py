"""What the disruption controller of Kubernetes makes of PodDisruptionBudgets: which are refused, and how many evictions
they allow.

Needs Go, and the modules (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from analysis.autoscaling.disruption_cases import BOUNDS, SELECTORS, case
from kit import answered, go_program, objects_in, plan_of, profile_of
from kubeassay.analysis.autoscaling.disruption import disruptions, evictions_allowed
from kubeassay.checks.check import NotJudged, Passed, Violation
from kubeassay.model import Inventory

Value = dict[str, Any]

KINDS = ("Deployment", "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "Pod", "DaemonSet", "Job")
GROUPS = {"ReplicationController": "v1", "Pod": "v1", "Job": "batch/v1"}


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tests/upstream_kubernetes/disruption, built."""
    return go_program("upstream_kubernetes", "./disruption", tmp_path_factory.mktemp("disruption"))


def workload(kind: str, name: str, replicas: int, **labels: str) -> Value:
    return {"kind": kind, "name": name, "replicas": replicas, "labels": labels}


def manifest(asked: Value) -> str:
    documents = [asked["budget"]]
    for one in asked["workloads"]:
        kind, name = one["kind"], one["name"]
        template = {"metadata": {"labels": one["labels"]}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
        obj = {"apiVersion": GROUPS.get(kind, "apps/v1"), "kind": kind, "metadata": {"name": name, "namespace": "shop"}}
        if kind == "Pod":
            for number in range(one["replicas"]):
                named = {"name": f"{name}-{number}", "namespace": "shop", "labels": one["labels"]}
                documents.append({**obj, "metadata": named, "spec": template["spec"]})
        elif kind in ("DaemonSet", "Job"):
            documents.append({**obj, "spec": {"template": template}})
        else:
            documents.append({**obj, "spec": {"replicas": one["replicas"], "template": template}})
    return "\n---\n".join(json.dumps(document) for document in documents)


def compare(program: Path, cases: list[Value]) -> dict[str, int]:
    """Compare, and say how often what happened, so that a test can see that it tests something."""
    seen = {"refused": 0, "blocked": 0, "open": 0, "not judged": 0}
    (rule,) = plan_of(profile_of("disruption-budget-blocks-evictions")).rules
    for asked, answer in zip(cases, answered(program, cases), strict=True):
        inventory = Inventory(objects_in(manifest(asked)))
        facts = disruptions(inventory)
        (budget,) = facts.all
        assert bool(budget.refused) == bool(answer["refused"]), (asked, budget.refused, answer)
        said = list(rule.function(inventory, rule.context))
        if budget.refused:
            seen["refused"] += 1
            assert [type(one) for one in said] == [NotJudged]
            continue
        pods = facts.pods(budget)
        if not pods.unknown and not pods.uncountable:
            assert evictions_allowed(budget, pods.least, pods.unmanaged) == answer["allowed"], (asked, answer)
        selected = pods.least + pods.unmanaged
        if said and isinstance(said[0], Violation):
            seen["blocked"] += 1
            assert answer["allowed"] == 0, (asked, answer, said[0].message)
        elif said and isinstance(said[0], Passed):
            seen["open"] += 1
            assert answer["allowed"] > 0, (asked, answer)
        elif said:
            seen["not judged"] += 1
            assert pods.uncountable
        else:
            assert budget.selector is None or selected == 0, (asked, answer)
    return seen


WEB = workload("Deployment", "web", 3, app="web")


@pytest.mark.parametrize("field", ["minAvailable", "maxUnavailable"])
def test_every_form_of_a_bound(upstream: Path, field: str) -> None:
    cases = [case({"selector": {}, field: bound}, WEB) for bound in BOUNDS]
    seen = compare(upstream, cases)
    assert min(seen["refused"], seen["blocked"], seen["open"]) > 3


def test_selectors_and_what_has_no_scale(upstream: Path) -> None:
    ends = (WEB, workload("StatefulSet", "api", 2, app="api"), workload("DaemonSet", "log", 4, app="log", tier="back"))
    cases = [
        case({"selector": selector, **bound}, *some)
        for selector in SELECTORS
        for bound in ({"minAvailable": 2}, {"minAvailable": "50%"}, {"maxUnavailable": 1}, {})
        for some in (ends[:1], ends[:2], ends, ends[2:])
    ]
    seen = compare(upstream, cases)
    assert all(seen.values())


def test_any_number_of_pods(upstream: Path) -> None:
    rng = random.Random(20260724)
    cases: list[Value] = []
    for _ in range(600):
        spec: Value = {"selector": rng.choice(SELECTORS[:8])}
        spec[rng.choice(("minAvailable", "maxUnavailable"))] = rng.choice(
            (rng.randint(0, 8), f"{rng.randint(0, 100)}%")
        )
        if rng.random() < 0.03:
            spec.update(minAvailable=1, maxUnavailable=1)
        ends: list[Value] = []
        for number in range(rng.randint(1, 3)):
            kind = rng.choice(KINDS)
            # How many pods these have is not in a manifest; none is not what is meant.
            least = 1 if kind in ("DaemonSet", "Job") else 0
            ends.append(workload(kind, f"w{number}", rng.randint(least, 7), app=rng.choice(("web", "api", "db"))))
        cases.append(case(spec, *ends))
    seen = compare(upstream, cases)
    assert all(seen.values())
