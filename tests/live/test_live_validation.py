"""What our rules call refused is refused by an API server (dry-run), and the reverse."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from analysis.access.test_access_upstream import REFUSED, TAKEN
from analysis.access.worlds import random_world
from analysis.autoscaling import test_disruption_upstream as disruption
from analysis.autoscaling import test_horizontal_upstream as horizontal
from analysis.network import test_policies_upstream as network
from kit import objects_in, plan_of, profile_of
from kubeassay.checks.check import Violation
from kubeassay.model import Inventory
from live.api_server import ApiServer

Value = dict[str, Any]

NAMESPACE = "kubeassay-validation"


@pytest.fixture
def refuses(api_server: ApiServer, namespaces: Callable[..., str]) -> Callable[[Value], str]:
    """Why the API server refuses an object; empty where it takes it."""
    namespaces(NAMESPACE)

    def ask(obj: Value) -> str:
        said = api_server.admin.create(obj, dry_run=True, strict=False)
        # 403 and 5xx would say nothing of the object.
        assert said.ok or said.status in (400, 422), (obj, said)
        return "" if said.ok else said.message

    return ask


def placed(obj: Value) -> Value:
    """In the namespace of the test, where an object is in one."""
    meta = obj["metadata"]
    return obj | {"metadata": meta | {"namespace": NAMESPACE}} if "namespace" in meta else obj


def compare(ask: Callable[[Value], str], objects: Iterable[Value], *rules: str, minor: int) -> tuple[int, int]:
    """How many were refused and taken; a difference fails the test."""
    chosen = [plan_of(profile_of(rule), f"1.{minor}").rules[0] for rule in rules]
    numbers = [0, 0]
    wrong = []
    for obj in map(placed, objects):
        inventory = Inventory(objects_in(json.dumps(obj)))
        found = [one for rule in chosen for one in rule.function(inventory, rule.context)]
        ours = [one.message for one in found if isinstance(one, Violation)]
        theirs = ask(obj)
        numbers[not theirs] += 1
        if bool(ours) != bool(theirs):
            wrong.append(f"{json.dumps(obj)}\n  ours: {ours}\n  theirs: {theirs or 'taken'}")
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])
    return numbers[0], numbers[1]


def _network_policies() -> Iterable[Value]:
    yield from (
        network._policy({"podSelector": {}, "ingress": [{"from": [{"podSelector": s}]}]}) for s in network.SELECTORS
    )
    yield from (network._policy({"podSelector": {}, "ingress": [{"ports": [port]}]}) for port in network.PORTS)
    yield from (
        network._policy({"podSelector": {}, "egress": [{"to": [{"ipBlock": block}]}]}) for block in network.BLOCKS
    )
    chance = random.Random(6)
    yield from (network._policy(network._spec(chance)) for _ in range(200))


def test_network_policies(api_server: ApiServer, refuses: Callable[[Value], str]) -> None:
    numbers = compare(refuses, _network_policies(), "network-policy-refused", "mistyped-field", minor=api_server.minor)
    assert min(numbers) > 50


def test_roles_and_bindings(api_server: ApiServer, refuses: Callable[[Value], str]) -> None:
    objects = [*REFUSED, *TAKEN]
    source = random.Random(6)
    for number in range(10):
        objects += [
            obj | {"metadata": obj["metadata"] | {"name": f"kubeassay-{number}-{obj['metadata']['name']}"}}
            for obj in random_world(source)
        ]
    numbers = compare(refuses, objects, "rbac-object-refused", minor=api_server.minor)
    assert numbers[0] >= len(REFUSED)
    assert numbers[1] > 80


def test_horizontal_autoscalers(api_server: ApiServer, refuses: Callable[[Value], str]) -> None:
    external = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": 1}}}
    objects = [
        horizontal.autoscaler(minReplicas=least, maxReplicas=most, metrics=metrics)
        for least in horizontal.BOUNDS
        for most in horizontal.BOUNDS
        for metrics in (None, [external])
    ]
    objects += [horizontal.autoscaler(scaleTargetRef=reference) for reference in horizontal.REFERENCES]
    numbers = compare(refuses, objects, "autoscaler-bounds", "autoscaler-target-missing", minor=api_server.minor)
    assert min(numbers) > 20


def test_disruption_budgets(api_server: ApiServer, refuses: Callable[[Value], str]) -> None:
    objects = [
        disruption.case({"selector": {}, field: bound})["budget"]
        for field in ("minAvailable", "maxUnavailable")
        for bound in disruption.BOUNDS
    ]
    objects += [
        disruption.case({"selector": selector, **bound})["budget"]
        for selector in disruption.SELECTORS
        for bound in ({"minAvailable": 2}, {}, {"minAvailable": 1, "maxUnavailable": 1})
    ]
    numbers = compare(refuses, objects, "disruption-budget-refused", minor=api_server.minor)
    assert min(numbers) > 15
