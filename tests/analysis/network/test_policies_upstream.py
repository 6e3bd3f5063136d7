"""What an API server makes of NetworkPolicies: which it refuses, and which directions they govern.

Needs Go, and the modules (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from analysis.network.policy_cases import BLOCKS, PORTS, SELECTORS, policy_of, random_spec
from kit import answered, go_program, objects_in
from kubeassay.analysis.network.policies import network_policies
from kubeassay.model import Inventory, format_path

Value = dict[str, Any]


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tests/upstream_kubernetes/networkpolicy, built."""
    return go_program("upstream_kubernetes", "./networkpolicy", tmp_path_factory.mktemp("networkpolicy"))


def ask(program: Path, specs: list[Value]) -> list[Value]:
    return answered(program, map(policy_of, specs))


def _compare(program: Path, specs: list[Value]) -> int:
    refused = 0
    for spec, answer in zip(specs, ask(program, specs), strict=True):
        (policy,) = network_policies(Inventory(objects_in(json.dumps(policy_of(spec)))))
        ours = [f"{format_path(problem.path)}: {problem.reason}" for problem in policy.refused]
        assert bool(ours) == bool(answer["refused"]), (spec, ours, answer["refused"])
        refused += bool(ours)
        if not ours:
            assert [d.capitalize() for d in policy.directions] == sorted(answer["policyTypes"], reverse=True), spec
    return refused


def test_every_value_by_itself_is_taken_or_refused_as_upstream_does(upstream: Path) -> None:
    specs: list[Value] = [{"podSelector": selector} for selector in SELECTORS]
    specs += [{"podSelector": {}, "ingress": [{"from": [{"podSelector": s}]}]} for s in SELECTORS]
    specs += [{"podSelector": {}, "egress": [{"to": [{"namespaceSelector": s}]}]} for s in SELECTORS]
    specs += [{"podSelector": {}, "ingress": [{"ports": [port]}]} for port in PORTS]
    specs += [{"podSelector": {}, "egress": [{"to": [{"ipBlock": block}]}]} for block in BLOCKS]
    assert _compare(upstream, specs) > 60


def test_random_policies_are_taken_or_refused_as_upstream_does(upstream: Path) -> None:
    chance = random.Random(20)
    specs = [random_spec(chance) for _ in range(6_000)]
    refused = _compare(upstream, specs)
    assert 500 < refused < 3_500
