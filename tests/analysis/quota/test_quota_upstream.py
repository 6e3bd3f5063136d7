"""Quota and limit range admission against Kubernetes' own evaluators, validation and CheckRequest.

Needs Go, and the modules (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

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


CPU = ["0", "100m", "250m", "0.5", 1, 2, "1500m", "1u", "3"]
BYTES = ["0", "64Mi", "128Mi", "1Gi", "1.5Gi", "100M", "0.1Ki", "512Mi", 1000]
COUNT = ["0", "1", 2, "4", "1500m"]
RESOURCES = {
    "cpu": CPU,
    "memory": BYTES,
    "ephemeral-storage": BYTES,
    "hugepages-2Mi": ["2Mi", "4Mi", "1Gi"],
    "example.com/gpu": ["1", 2],
    "deviceclass.resource.kubernetes.io/gpu": ["1", 2],
}
NAMES = [
    *("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory") * 3,
    "ephemeral-storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
    "hugepages-2Mi",
    "requests.hugepages-2Mi",
    "requests.example.com/gpu",
    "limits.example.com/gpu",
    "example.com/gpu",
    "requests.deviceclass.resource.kubernetes.io/gpu",
    "gpu",
    "requests.gpu",
    "pods",
    "count/pods",
    "count/deployments.apps",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "count/services",
    "configmaps",
    "count/configmaps",
    "persistentvolumeclaims",
    "count/persistentvolumeclaims",
    "requests.storage",
    "fast.storageclass.storage.k8s.io/requests.storage",
    "fast.storageclass.storage.k8s.io/persistentvolumeclaims",
    "storage",
    "no/such/name",
]
SCOPES = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
    "NoScope",
]


def some(rng: random.Random, names: Iterable[str], often: float = 0.4) -> dict[str, Any]:
    found = {name: rng.choice(RESOURCES.get(name, BYTES)) for name in names if rng.random() < often}
    if found and rng.random() < 0.03:
        found[next(iter(found))] = None
    return found


def resources(rng: random.Random, names: Iterable[str] = RESOURCES) -> dict[str, Any]:
    names = list(names)
    stated = {}
    for of in ("requests", "limits"):
        if rng.random() < 0.7:
            stated[of] = some(rng, names)
    return stated


def container(rng: random.Random, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "image": "a"}
    if rng.random() < 0.8:
        found["resources"] = resources(rng)
    return found


def pod(rng: random.Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [container(rng, f"c{n}") for n in range(rng.randint(1, 3))]}
    if rng.random() < 0.5:
        spec["initContainers"] = [container(rng, f"i{n}") for n in range(rng.randint(0, 4))]
        for one in spec["initContainers"]:
            if rng.random() < 0.4:
                one["restartPolicy"] = "Always"
    if rng.random() < 0.3:
        spec["resources"] = resources(rng, ["cpu", "memory", "hugepages-2Mi", "ephemeral-storage"])
    if rng.random() < 0.3:
        spec["overhead"] = some(rng, ["cpu", "memory"])
    if rng.random() < 0.3:
        spec["activeDeadlineSeconds"] = rng.choice([0, 1, 100])
    if rng.random() < 0.4:
        spec["priorityClassName"] = rng.choice(["high", "low", ""])
    if rng.random() < 0.2:
        term = rng.choice([{"namespaces": ["a"]}, {"namespaceSelector": {}}, {"namespaces": []}, {}])
        term = {"topologyKey": "a", **term}
        kind = rng.choice(["podAffinity", "podAntiAffinity"])
        if rng.random() < 0.5:
            rule: Any = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
        else:
            weighted = [{"weight": 1, "podAffinityTerm": term}]
            rule = {"preferredDuringSchedulingIgnoredDuringExecution": weighted}
        spec["affinity"] = {kind: rule}
    if "resources" in spec and "overhead" in spec:
        # Upstream adds the overhead to the pod's own quantities in place where these are no int64 (PodRequests), once
        # for each question.
        spec = json.loads(json.dumps(spec).replace("1.5Gi", "2Gi").replace("0.1Ki", "2Ki"))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}


def claim(rng: random.Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"]}
    if rng.random() < 0.9:
        spec["resources"] = {"requests": {"storage": rng.choice([*BYTES, "10Gi", "1500m"])}}
    if rng.random() < 0.5:
        spec["storageClassName"] = rng.choice(["fast", "slow", ""])
    if rng.random() < 0.3:
        spec["volumeAttributesClassName"] = rng.choice(["high", "low", ""])
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    if rng.random() < 0.1:
        found["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": rng.choice(["fast", ""])}
    if rng.random() < 0.2:
        found["status"] = {
            "allocatedResources": {"storage": rng.choice(BYTES)},
            "currentVolumeAttributesClassName": "low",
        }
    return found


def service(rng: random.Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"ports": [{"port": 80 + n} for n in range(rng.randint(0, 3))]}
    if rng.random() < 0.8:
        spec["type"] = rng.choice(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"])
    if rng.random() < 0.4:
        spec["allocateLoadBalancerNodePorts"] = rng.random() < 0.5
    for port in spec["ports"]:
        if rng.random() < 0.3:
            port["nodePort"] = 30000
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec}


def config_map(rng: random.Random) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


def a_quota(rng: random.Random, number: int) -> dict[str, Any]:
    names = rng.sample(NAMES[:-4], rng.randint(1, 5))
    if rng.random() < 0.15:
        names.append(rng.choice(NAMES))
    hard = {}
    for name in names:
        if "memory" in name or "storage" in name or "hugepages" in name:
            values: list[Any] = ["1Gi", "4Gi", "100Mi", "0"]
        elif "cpu" in name:
            values = ["1", "2500m", 4, "0"]
        else:
            values = ["1", 2, "5", "0"]
        hard[name] = rng.choice(values)
        if rng.random() < 0.02:
            hard[name] = rng.choice(["-1", "1500m", None])
    spec: dict[str, Any] = {"hard": hard}
    if rng.random() < 0.4:
        if rng.random() < 0.7:
            # What goes with scopes.
            of_pods = [name for name in NAMES[:18] if not name.startswith("ephemeral")]
            spec["hard"] = dict.fromkeys(rng.sample([*of_pods, "pods", "count/pods"], 3), "2")
        if rng.random() < 0.5:
            spec["scopes"] = rng.sample(SCOPES, rng.choice([1, 1, 2]))
        if rng.random() < 0.6:
            spec["scopeSelector"] = {"matchExpressions": [scope(rng) for _ in range(rng.choice([1, 1, 2]))]}
        if rng.random() < 0.2:
            spec["hard"] = {"persistentvolumeclaims": "2", "requests.storage": "1Gi"}
    meta = {"name": f"q{number}", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec}


def scope(rng: random.Random) -> dict[str, Any]:
    name = rng.choice([*SCOPES, "PriorityClass", "PriorityClass", "VolumeAttributesClass"])
    operator = rng.choice(["In", "NotIn", "Exists", "DoesNotExist", "Exists", "Is"])
    found: dict[str, Any] = {"scopeName": name, "operator": operator}
    if operator in ("In", "NotIn") or rng.random() < 0.05:
        found["values"] = rng.sample(["high", "low", "other"], rng.randint(0 if rng.random() < 0.1 else 1, 2))
    return found


def a_limit_range(rng: random.Random, number: int) -> dict[str, Any]:
    limits = []
    for _ in range(rng.choice([1, 1, 2])):
        type_ = rng.choice(["Container", "Container", "Pod", "PersistentVolumeClaim"])
        limit: dict[str, Any] = {"type": type_ if rng.random() < 0.98 else "Node"}
        names = ["storage"] if type_ == "PersistentVolumeClaim" else list(RESOURCES)[:5]
        for of, often in (("max", 0.4), ("min", 0.3), ("default", 0.3), ("defaultRequest", 0.3)):
            if rng.random() < often and not (of.startswith("default") and type_ != "Container" and rng.random() < 0.9):
                limit[of] = some(rng, names, 0.5)
        if rng.random() < 0.3:
            limit["maxLimitRequestRatio"] = {
                name: rng.choice(["1", "2", "1500m", "0.5", 4, "1100m"]) for name in names if rng.random() < 0.5
            }
        limits.append(limit)
    meta = {"name": f"l{number}", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": limits}}


def case(rng: random.Random) -> dict[str, Any]:
    kinds = [pod, pod, pod, pod, claim, service, config_map]
    return {
        "quotas": [a_quota(rng, n) for n in range(rng.randint(0, 3))],
        "limitRanges": [a_limit_range(rng, n) for n in range(rng.choice([0, 0, 1, 1, 2]))],
        "objects": [rng.choice(kinds)(rng) for _ in range(rng.randint(1, 6))],
    }


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
