"""What our rules call refused is refused by an API server (dry-run), and the reverse."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from analysis.access.worlds import REFUSED, TAKEN, random_world
from analysis.autoscaling import disruption_cases as disruption
from analysis.autoscaling import horizontal_cases as horizontal
from analysis.network import policy_cases as network
from kit import failing, plan_of, profile_of, scan_text
from live.api_server import ApiServer

Value = dict[str, Any]


class Asking:
    """An API server, asked in a namespace."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server, self._namespace, self.minor = server, namespace, server.minor

    def placed(self, obj: Value) -> Value:
        """In the namespace of the test, where an object is in one."""
        meta = obj["metadata"]
        return obj | {"metadata": meta | {"namespace": self._namespace}} if "namespace" in meta else obj

    def refuses(self, obj: Value) -> str:
        """Why the API server refuses an object; empty where it takes it."""
        said = self._server.admin.create(obj, dry_run=True, strict=False)
        # 403 and 5xx would say nothing of the object.
        assert said.ok or said.status in (400, 422), (obj, said)
        return "" if said.ok else said.message


@pytest.fixture
def asking(api_server: ApiServer, namespaces: Callable[..., str]) -> Asking:
    return Asking(api_server, namespaces("validation"))


def compare(asking: Asking, objects: Iterable[Value], *rules: str) -> tuple[int, int]:
    """How many were refused and taken; a difference fails the test. What cannot be decoded is told by a rule on all."""
    plan = plan_of(profile_of(*rules, "mistyped-field"), f"1.{asking.minor}")
    numbers = [0, 0]
    wrong = []
    for obj in map(asking.placed, objects):
        ours = [one.message for one in failing(scan_text(plan, json.dumps(obj)))]
        theirs = asking.refuses(obj)
        numbers[not theirs] += 1
        if bool(ours) != bool(theirs):
            wrong.append(f"{json.dumps(obj)}\n  ours: {ours}\n  theirs: {theirs or 'taken'}")
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:20])
    return numbers[0], numbers[1]


def _network_policies() -> Iterable[Value]:
    yield from (
        network.policy_of({"podSelector": {}, "ingress": [{"from": [{"podSelector": s}]}]}) for s in network.SELECTORS
    )
    yield from (network.policy_of({"podSelector": {}, "ingress": [{"ports": [port]}]}) for port in network.PORTS)
    yield from (
        network.policy_of({"podSelector": {}, "egress": [{"to": [{"ipBlock": block}]}]}) for block in network.BLOCKS
    )
    chance = random.Random(6)
    yield from (network.policy_of(network.random_spec(chance)) for _ in range(200))


def test_network_policies(asking: Asking) -> None:
    numbers = compare(asking, _network_policies(), "network-policy-refused")
    assert min(numbers) > 50


def test_roles_and_bindings(asking: Asking) -> None:
    objects = [*REFUSED, *TAKEN]
    source = random.Random(6)
    for number in range(10):
        objects += [
            obj | {"metadata": obj["metadata"] | {"name": f"kubeassay-{number}-{obj['metadata']['name']}"}}
            for obj in random_world(source)
        ]
    numbers = compare(asking, objects, "rbac-object-refused")
    assert numbers[0] >= len(REFUSED)
    assert numbers[1] > 80


def test_horizontal_autoscalers(asking: Asking) -> None:
    external = {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": 1}}}
    objects = [
        horizontal.autoscaler(minReplicas=least, maxReplicas=most, metrics=metrics)
        for least in horizontal.BOUNDS
        for most in horizontal.BOUNDS
        for metrics in (None, [external])
    ]
    objects += [horizontal.autoscaler(scaleTargetRef=reference) for reference in horizontal.REFERENCES[:3]]
    numbers = compare(asking, objects, "autoscaler-bounds", "autoscaler-target-missing")
    assert min(numbers) > 20


def test_disruption_budgets(asking: Asking) -> None:
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
    numbers = compare(asking, objects, "disruption-budget-refused")
    assert min(numbers) > 15
