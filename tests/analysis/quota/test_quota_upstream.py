"""Quota and limit range admission against Kubernetes' own evaluators, validation and CheckRequest.

Needs Go, and the modules (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from analysis.quota.cases import case
from kit import answered, go_program, objects_in
from kubeassay.analysis.quota.limit_ranges import LimitRange, claim_breaches, limit_range, pod_breaches
from kubeassay.analysis.quota.pod_resources import pod_resources, resource_list
from kubeassay.analysis.quota.quotas import (
    Quota,
    claim_facts,
    counts_claim,
    counts_pod,
    counts_service,
    pod_facts,
    quota,
    unstated,
    usage_of_claim,
    usage_of_pod,
    usage_of_service,
)


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tests/upstream_kubernetes/quota, built."""
    return go_program("upstream_kubernetes/quota", ".", tmp_path_factory.mktemp("quota"))


def ours(asked: Mapping[str, Any], minor: int) -> dict[str, Any]:
    """The same answers by kubeassay."""
    quotas = [quota(objects_in(json.dumps(one))[0]) for one in asked["quotas"]]
    ranges = [limit_range(objects_in(json.dumps(one))[0]) for one in asked["limitRanges"]]
    used: dict[tuple[int, str], Fraction] = {}
    return {
        "quotas": [bool(one.refused) for one in quotas],
        "limitRanges": [bool(one.refused) for one in ranges],
        "answers": [answer(one, quotas, [r for r in ranges if not r.refused], used, minor) for one in asked["objects"]],
    }


def answer(
    value: Mapping[str, Any],
    quotas: list[Quota],
    ranges: list[LimitRange],
    used: dict[tuple[int, str], Fraction],
    minor: int,
) -> dict[str, Any]:
    kind, spec = value["kind"], value.get("spec", {})
    missing = [False] * len(quotas)
    breaches = 0
    if kind == "Pod":
        found = pod_resources(spec, minor=minor, defaults=[one.defaults for one in ranges])
        breaches = len(list(pod_breaches(ranges, found)))
        usage = usage_of_pod(found, minor)
        facts = pod_facts(spec, found, minor=minor)
        matches = [not one.refused and counts_pod(one, facts, minor) for one in quotas]
        missing = [not one.refused and any(unstated(one, found, minor)) for one in quotas]
    elif kind == "PersistentVolumeClaim":
        breaches = len(list(claim_breaches(ranges, resource_list(spec.get("resources", {}).get("requests")))))
        usage = usage_of_claim(value)
        matches = [not one.refused and counts_claim(one, claim_facts(value), minor) for one in quotas]
    elif kind == "Service":
        usage = usage_of_service(value)
        matches = [not one.refused and counts_service(one) for one in quotas]
    else:
        usage = {"configmaps": Fraction(1), "count/configmaps": Fraction(1)}
        matches = [not one.refused and not one.scopes and bool(usage.keys() & one.hard.keys()) for one in quotas]
    admitted = not any(match and lacks for match, lacks in zip(matches, missing, strict=True))
    counted = [number for number, match in enumerate(matches) if match]
    for number in counted:
        for name, hard in quotas[number].hard.items():
            need = usage.get(name, Fraction(0))
            admitted = admitted and (not need or used.get((number, name), Fraction(0)) + need <= hard)
    for number in counted if admitted else ():
        for name in quotas[number].hard.keys() & usage.keys():
            used[number, name] = used.get((number, name), Fraction(0)) + usage[name]
    return {
        "breaches": breaches,
        "usage": usage,
        "matches": matches,
        "unstated": missing,
        "admitted": admitted,
    }


def theirs(program: Path, cases: list[dict[str, Any]], minor: int) -> list[dict[str, Any]]:
    replies = answered(program, cases, f"1.{minor}")
    for reply in replies:
        for of in ("quotas", "limitRanges"):
            reply[of] = [bool(why) for why in reply[of] or ()]
        for one in reply["answers"]:
            one["usage"] = {name: Fraction(value) for name, value in one["usage"].items()}
            one["matches"], one["unstated"] = one["matches"] or [], one["unstated"] or []
    return replies


@pytest.mark.parametrize("minor", [33, 34, 36, 37])
def test_admission_says_the_same(upstream: Path, minor: int) -> None:
    rng = random.Random(minor)
    cases = [case(rng) for _ in range(1500)]
    if minor < 35:
        # The program is of 1.37, which counts device classes without asking for a gate; older ones do not know them.
        cases = json.loads(json.dumps(cases).replace("deviceclass.resource.kubernetes.io", "example.com"))
    said = theirs(upstream, cases, minor)
    assert len(said) == len(cases)
    for asked, expected in zip(cases, said, strict=True):
        assert ours(asked, minor) == expected, json.dumps(asked)
    # The cases ask for everything.
    answers = [one for reply in said for one in reply["answers"]]
    assert {one["admitted"] for one in answers} == {True, False}
    assert any(one["breaches"] for one in answers)
    assert any(any(one["unstated"]) for one in answers)
    assert {refused for reply in said for refused in reply["quotas"]} == {True, False}
    assert {refused for reply in said for refused in reply["limitRanges"]} == {True, False}
