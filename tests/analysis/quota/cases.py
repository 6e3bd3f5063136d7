"""Random quotas, limit ranges and objects that they are about."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

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
