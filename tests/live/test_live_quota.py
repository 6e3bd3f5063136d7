"""Quotas and limit ranges against what an API server and its quota controller make of them: what is refused and why,
and what is used."""

from __future__ import annotations

import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from analysis.quota import cases
from kit import objects_in
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.quota.admission import refused_by_limit_ranges, refused_by_quotas
from kubeassay.analysis.quota.amounts import NOTHING, Amount
from kubeassay.analysis.quota.demand import Consumer
from kubeassay.analysis.quota.fit import Fit, Line, fits
from kubeassay.analysis.quota.limit_ranges import claim_breaches
from kubeassay.analysis.quota.pod_resources import Resources, resource_list
from kubeassay.model import Inventory
from live.api_server import ApiServer, Client

Value = dict[str, Any]

SCENARIOS = 120

RUNTIME_CLASS: Value = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "kubeassay-kata"},
    "handler": "kata",
    "overhead": {"podFixed": {"cpu": "250m", "memory": "64Mi"}},
}
PRIORITY_CLASSES: list[Value] = [
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": f"kubeassay-{name}"},
        "value": 1,
    }
    for name in ("high", "low")
]


# --- what is asked ---


@dataclass
class Scenario:
    namespace: str
    quotas: list[Value]
    ranges: list[Value]
    objects: list[Value]


def scenario(rng: random.Random, namespace: str) -> Scenario:
    """Quotas, limit ranges and objects, most of them such as validation takes."""
    asked = cases.case(rng)
    while not (asked["quotas"] or asked["limitRanges"]):
        asked = cases.case(rng)
    asked["objects"] += [rng.choice((cases.pod, cases.pod, cases.claim, cases.service))(rng) for _ in range(3)]
    # Classes of priority are the whole cluster's, and quotas of device classes are not known to every version.
    text = json.dumps(asked).replace("deviceclass.resource.kubernetes.io", "example.com")
    asked = json.loads(text.replace('"high"', '"kubeassay-high"').replace('"low"', '"kubeassay-low"'))
    for number, obj in enumerate(asked["objects"]):
        obj["metadata"]["name"] = f"o{number}"
        obj.pop("status", None)
        if obj["kind"] == "Pod":
            _plausible_pod(obj["spec"], rng)
        elif obj["kind"] == "Service":
            _plausible_service(obj["spec"])
    for obj in (*asked["quotas"], *asked["limitRanges"], *asked["objects"]):
        obj["metadata"]["namespace"] = namespace
    return Scenario(namespace, asked["quotas"], asked["limitRanges"], asked["objects"])


def _plausible_pod(spec: Value, rng: random.Random) -> None:
    if spec.pop("overhead", None):
        spec["runtimeClassName"] = RUNTIME_CLASS["metadata"]["name"]
    if spec.get("activeDeadlineSeconds") == 0:
        spec["activeDeadlineSeconds"] = 1
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        stated = container.get("resources", {})
        requests, limits = stated.get("requests"), stated.get("limits")
        names = {*(requests or ()), *(limits or ())}
        for name in sorted(names):
            if name.startswith(("hugepages-", "example.com/", "deviceclass.")):
                if rng.random() < 0.5 and name.startswith("hugepages-"):
                    for of in (requests, limits):
                        if of:
                            of.pop(name, None)
                    continue
                # Not overcommitted: both are the same.
                value = next(of[name] for of in (limits, requests) if of and name in of)
                stated["limits"] = {**stated.get("limits", {}), name: value}
                stated.get("requests", {}).pop(name, None)
            elif requests and limits and name in requests and name in limits:
                least, most = (parse_quantity(of[name] or 0) for of in (requests, limits))
                assert least is not None
                assert most is not None
                if least > most:
                    requests[name] = limits[name]


def _plausible_service(spec: Value) -> None:
    if not spec["ports"]:
        spec["ports"] = [{"port": 80}]
    for number, port in enumerate(spec["ports"]):
        port["name"] = f"p{number}"
        port.pop("nodePort", None)
    if spec.get("type") == "ExternalName":
        spec["externalName"] = "shop.example"
        spec.pop("allocateLoadBalancerNodePorts", None)
    if spec.get("type") != "LoadBalancer":
        spec.pop("allocateLoadBalancerNodePorts", None)


# --- what we say ---


def need_of(obj: Value, fit: Fit) -> dict[tuple[str, str], Amount]:
    """What an object counts for: (quota, resource) → how much."""
    found: dict[tuple[str, str], Amount] = defaultdict(lambda: NOTHING)
    for line in fit.lines:
        for part in line.parts:
            if part.consumer.obj.value == obj and not part.consumer.why.startswith("the cluster adds"):
                found[name_of(line), line.resource] += part.each
    return found


def name_of(line: Line) -> str:
    return str(line.quota.obj.ref.name)


@dataclass
class Expected:
    """What we say of an object. ``unstated``: quota → its name of a resource → containers. ``breaches``: (max, cpu,
    Container). ``defaulted``: the resources whose request is not within the limit that a LimitRange gives.
    ``several``: more than one LimitRange is in effect."""

    unstated: dict[str, dict[str, set[str]]]
    breaches: set[tuple[str, str, str]]
    defaulted: set[str]
    exceeded: dict[str, set[str]]
    several: bool
    unsure: bool


def expected(obj: Value, fit: Fit, used: dict[tuple[str, str], Fraction], minor: int) -> Expected:
    space = fit.space
    several = sum(not one.refused for one in space.limit_ranges) > 1
    said = Expected(defaultdict(lambda: defaultdict(set)), set(), set(), defaultdict(set), several, unsure=False)
    for consumer in consumers_of(obj, fit):
        if consumer.kind == "pod":
            refusals = refused_by_quotas(consumer, space.quotas, minor)
            for one in refusals.unstated:
                for quota in one.quotas:
                    said.unstated[str(quota.obj.ref.name)][one.name].add(one.container)
            ranged = refused_by_limit_ranges(consumer, space.limit_ranges)
            said.unsure = said.unsure or refusals.perhaps or ranged.perhaps
            breaches = [placed.breach for placed in ranged.breaches]
        elif consumer.kind == "claim":
            ranges = [one for one in space.limit_ranges if not one.refused]
            requests: Resources = resource_list(obj["spec"].get("resources", {}).get("requests"))
            breaches = list(claim_breaches(ranges, requests))
        else:
            breaches = []
        said.defaulted |= {breach.resource for breach in breaches if breach.constraint == "default"}
        for breach in breaches:
            if breach.constraint == "default":
                continue
            limit = breach.limit_range.obj.value["spec"]["limits"][breach.path[2]]
            said.breaches.add((breach.constraint, breach.resource, limit["type"]))
    hard = {(name_of(line), line.resource): line.hard for line in fit.lines}
    for key, need in need_of(obj, fit).items():
        if need.low and used.get(key, 0) + need.low > hard[key]:
            said.exceeded[key[0]].add(key[1])
        elif need.high is None or (need.high != need.low and used.get(key, 0) + need.high > hard[key]):
            said.unsure = True
    return said


def consumers_of(obj: Value, fit: Fit) -> Iterator[Consumer]:
    for consumer in fit.space.consumers:
        if consumer.obj.value == obj and not consumer.why.startswith("the cluster adds"):
            yield consumer


# --- what the API server says ---

_BREACH = re.compile(r"(maximum|minimum) (\S+) usage per (\w+) is|([^\s\[]+) max limit to request ratio per (\w+) is")
_DEFAULTED = re.compile(r"must be (?:less than or )?equal to (\S+) limit of")
_EXCEEDED = re.compile(r"exceeded quota: ([^,]+), requested: (.*), used: (.*), limited: (.*)\Z")
_FAILED = re.compile(r"failed quota: ([^:]+): must specify (.*)\Z")


def breaches_in(message: str) -> set[tuple[str, str, str]]:
    return {
        ("maxLimitRequestRatio", ratio, of_ratio) if ratio else (bound[:3], resource, of)
        for bound, resource, of, ratio, of_ratio in _BREACH.findall(message)
    }


def unstated_in(text: str) -> dict[str, set[str]]:
    found = {}
    for part in text.split("; "):
        name, _, containers = part.partition(" for: ")
        found[name] = set(containers.split(","))
    return found


def judge(said: Expected, status: int, message: str) -> str:
    """How the API server's answer differs from what we say; empty where it does not."""
    kinds = (said.defaulted, said.unstated, said.breaches, said.exceeded)
    ours = next((f"{kind}" for kind in kinds if kind), "")
    if 200 <= status < 300:
        return f"admitted, and we say {ours}" if ours else ""
    if said.defaulted or status == 422:
        defaulted = set(_DEFAULTED.findall(message))
        # Above a bound that the limit follows from is told as that.
        perhaps = said.defaulted | {resource for bound, resource, _ in said.breaches if bound == "max"}
        right = said.defaulted <= defaulted <= perhaps or (said.several and bool(perhaps))
        return "" if right else f"limits by default {sorted(defaulted)}, ours {sorted(said.defaulted)}"
    breaches = breaches_in(message)
    if breaches:
        # Of several limit ranges the first that is violated speaks, and in which order they apply is not said.
        right = breaches == said.breaches or (said.several and bool(said.breaches))
        return "" if right else f"breaches {sorted(breaches)}, ours {sorted(said.breaches)}"
    if said.breaches:
        return f"we say breaches {sorted(said.breaches)}"
    failed = _FAILED.search(message)
    if failed:
        theirs, found = unstated_in(failed[2]), said.unstated.get(failed[1], {})
        return "" if theirs == found else f"unstated {theirs}, ours {said.unstated}"
    if said.unstated:
        return f"we say unstated {said.unstated}"
    exceeded = _EXCEEDED.search(message)
    if exceeded:
        resources = {part.partition("=")[0] for part in exceeded[2].split(",")}
        found_resources = said.exceeded.get(exceeded[1], set())
        return "" if resources == found_resources else f"exceeded {resources}, ours {dict(said.exceeded)}"
    return "refused for something else"


def quotas_of(client: Client, namespace: str) -> dict[str, Value]:
    """Name → quota, once the controller has counted for all of them."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    deadline = time.monotonic() + 60
    while True:
        found = {item["metadata"]["name"]: item for item in client.get(path)["items"]}
        # What nothing counts for (limits.example.com/gpu) is not among what is used.
        if all(item["status"].get("hard") == item["spec"].get("hard") for item in found.values()):
            return found
        assert time.monotonic() < deadline, f"not counted: {found}"
        time.sleep(0.1)


def used_of(quotas: dict[str, Value]) -> dict[tuple[str, str], Fraction]:
    found: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for name, quota in quotas.items():
        for resource, text in (quota["status"].get("used") or {}).items():
            value = parse_quantity(text)
            assert value is not None
            found[name, resource] = value
    return found


def inventory_of(one: Scenario, objects: Sequence[Value]) -> Inventory:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one.namespace}}
    stated = [namespace, RUNTIME_CLASS, *PRIORITY_CLASSES, *one.quotas, *one.ranges, *objects]
    return Inventory(objects_in("\n---\n".join(map(json.dumps, stated))))


def with_classes(client: Client) -> None:
    for obj in (RUNTIME_CLASS, *PRIORITY_CLASSES):
        said = client.create(obj)
        assert said.ok or said.status == 409, said.message


def test_what_is_refused_and_what_is_used(controllers: ApiServer, namespaces: Callable[..., str]) -> None:
    client, minor = controllers.admin, controllers.minor
    with_classes(client)
    rng = random.Random(6)
    scenarios = [scenario(rng, namespaces(f"quota-{number}")) for number in range(SCENARIOS)]
    wrong: list[str] = []
    seen: dict[str, int] = defaultdict(int)
    for one in scenarios:
        # Quotas and limit ranges that are refused here have no effect; ours must know which.
        fit = fits(inventory_of(one, one.objects), minor).of(one.namespace)
        for of, read in ((one.quotas, fit.space.quotas), (one.ranges, fit.space.limit_ranges)):
            for obj, ours in zip(of, read, strict=True):
                said = client.create(obj, strict=False)
                seen["quota or range taken" if said.ok else "quota or range refused"] += 1
                if said.ok == bool(ours.refused):
                    wrong.append(f"{json.dumps(obj)}\n  ours: {ours.refused}\n  theirs: {said.status} {said.message}")
    counted = [quotas_of(client, one.namespace) for one in scenarios]
    # The admission plugins know of new quotas and limit ranges by watching them.
    time.sleep(1)
    for one, quotas in zip(scenarios, counted, strict=True):
        fit = fits(inventory_of(one, one.objects), minor).of(one.namespace)
        used = used_of(quotas)
        admitted: list[Value] = []
        for obj in one.objects:
            said = expected(obj, fit, used, minor)
            answer = client.create(obj, strict=False)
            if answer.status == 400 or (
                answer.status == 422 and not said.defaulted and " limit of " not in answer.message
            ):
                seen[f"{obj['kind']} invalid"] += 1
                continue
            if answer.ok:
                admitted.append(obj)
                for key, need in need_of(obj, fit).items():
                    used[key] = used.get(key, Fraction(0)) + need.low
            if said.unsure:
                seen["unsure"] += 1
                continue
            difference = judge(said, answer.status, answer.message)
            words = ("exceeded quota", "failed quota", "limit of")
            refused = next((word for word in words if word in answer.message), "limit range")
            what = "admitted" if answer.ok else refused
            seen[f"{obj['kind']} {what}"] += 1
            if difference:
                stated = "\n  ".join(json.dumps(part) for part in (*one.quotas, *one.ranges, obj))
                wrong.append(f"{stated}\n  {difference}\n  theirs: {answer.status} {answer.message}")
        wrong += used_differs(client, one, admitted, minor)
    print(dict(seen))
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:8])
    for what in ("exceeded quota", "failed quota", "limit range", "limit of", "admitted"):
        assert seen[f"Pod {what}"] > 5, dict(seen)


def used_differs(client: Client, one: Scenario, admitted: list[Value], minor: int) -> Iterator[str]:
    """Where what is used is not what we say: as admission added it up, and as the controller counts it from nothing for
    a quota that is made now. It counts what it has heard of, so one that came too early is made again."""
    differences = list(_used_differs(client, one, admitted, minor, "copy"))
    if differences:
        time.sleep(2)
        differences = list(_used_differs(client, one, admitted, minor, "again"))
    yield from differences


def _used_differs(client: Client, one: Scenario, admitted: list[Value], minor: int, suffix: str) -> Iterator[str]:
    before = quotas_of(client, one.namespace)
    copies = [
        quota | {"metadata": {**quota["metadata"], "name": f"{quota['metadata']['name']}-{suffix}"}}
        for quota in one.quotas
        if quota["metadata"]["name"] in before
    ]
    for quota in copies:
        client.must_create(quota)
    theirs = used_of(quotas_of(client, one.namespace))
    fit = fits(inventory_of(one, admitted), minor).of(one.namespace)
    for line in fit.lines:
        name, resource = name_of(line), line.resource
        for found in (theirs[name, resource], theirs[f"{name}-{suffix}", resource]):
            if not line.rest.low <= found or (line.rest.high is not None and found > line.rest.high):
                objects = "\n  ".join(map(json.dumps, (*one.ranges, *admitted)))
                yield f"{line.quota.obj.value}\n  {objects}\n  {resource}: {found} used, ours {line.rest}"


WORKLOADS = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: all, namespace: NAMESPACE}
spec:
  hard:
    {pods: "100", count/pods: "100", cpu: "50", requests.memory: 50Gi, limits.cpu: "50", limits.memory: 50Gi,
     requests.ephemeral-storage: 50Gi, services: "20", services.nodeports: "20", services.loadbalancers: "5",
     persistentvolumeclaims: "20", requests.storage: 100Gi, fast.storageclass.storage.k8s.io/requests.storage: 100Gi,
     count/deployments.apps: "10", count/replicasets.apps: "10", count/jobs.batch: "10", count/cronjobs.batch: "10",
     configmaps: "10", secrets: "10", count/secrets: "10", count/statefulsets.apps: "10",
     count/serviceaccounts: "10", count/poddisruptionbudgets.policy: "5", count/controllerrevisions.apps: "9",
     count/horizontalpodautoscalers.autoscaling: "5", count/networkpolicies.networking.k8s.io: "5"}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: best-effort, namespace: NAMESPACE}
spec: {hard: {pods: "50"}, scopes: [BestEffort]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: ending, namespace: NAMESPACE}
spec: {hard: {pods: "50", requests.cpu: "50"}, scopes: [Terminating]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: high, namespace: NAMESPACE}
spec:
  hard: {pods: "50", cpu: "50"}
  scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [kubeassay-high]}]}
---
apiVersion: v1
kind: LimitRange
metadata: {name: defaults, namespace: NAMESPACE}
spec:
  limits:
    - type: Container
      default: {cpu: 500m, memory: 256Mi}
      defaultRequest: {cpu: 100m, memory: 128Mi}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      priorityClassName: kubeassay-high
      runtimeClassName: kubeassay-kata
      initContainers:
        - {name: setup, image: registry.example/a:1, resources: {requests: {memory: 200Mi}, limits: {cpu: "2"}}}
        - {name: proxy, image: registry.example/a:1, restartPolicy: Always, resources: {requests: {cpu: 150m}}}
      containers:
        - {name: app, image: registry.example/a:1, resources: {limits: {memory: 512Mi, ephemeral-storage: 1Gi}}}
        - {name: log, image: registry.example/a:1}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NAMESPACE}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
        - name: db
          image: registry.example/a:1
          resources: {requests: {cpu: "1", memory: 1Gi}, limits: {cpu: "2", memory: 2Gi}}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 5Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job, namespace: NAMESPACE}
spec:
  parallelism: 2
  completions: 5
  activeDeadlineSeconds: 3600
  template:
    spec:
      restartPolicy: Never
      activeDeadlineSeconds: 600
      containers: [{name: job, image: registry.example/a:1}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night, namespace: NAMESPACE}
spec:
  schedule: "0 0 30 2 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: job, image: registry.example/a:1}]
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: NAMESPACE}
spec:
  containers:
    - name: app
      image: registry.example/a:1
      resources: {requests: {cpu: 0, memory: 0}, limits: {cpu: 0, memory: 0}}
  volumes:
    - name: scratch
      ephemeral:
        volumeClaimTemplate:
          spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: NAMESPACE}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: a, port: 80}, {name: b, port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: NAMESPACE}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAMESPACE}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: NAMESPACE}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: NAMESPACE}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: none, namespace: NAMESPACE}
spec: {podSelector: {}}
"""


def test_what_workloads_use(controllers: ApiServer, namespaces: Callable[..., str]) -> None:
    """Of the pods and claims that controllers make, too."""
    client, minor = controllers.admin, controllers.minor
    with_classes(client)
    namespace = namespaces("workloads")
    objects = [obj.value for obj in objects_in(WORKLOADS.replace("NAMESPACE", namespace))]
    for obj in objects[:5]:
        client.must_create(obj)
    quotas_of(client, namespace)
    time.sleep(1)
    for obj in objects[5:]:
        client.must_create(obj)
    stated = [RUNTIME_CLASS, *PRIORITY_CLASSES, *objects]
    fit = fits(Inventory(objects_in("\n---\n".join(map(json.dumps, stated)))), minor).of(namespace)
    deadline = time.monotonic() + 40
    wrong: dict[str, str] = {}
    while True:
        theirs = used_of(quotas_of(client, namespace))
        wrong = {
            f"{name_of(line)} {line.resource}": f"{theirs[name_of(line), line.resource]} used, ours {line.rest}"
            for line in fit.lines
            if not line.rest.low <= theirs[name_of(line), line.resource]
            or (line.rest.high is not None and theirs[name_of(line), line.resource] > line.rest.high)
        }
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert not wrong
    exact = [line for line in fit.lines if line.rest.exact]
    assert len(exact) > 20, [
        f"{name_of(line)} {line.resource}: {line.unknown}" for line in fit.lines if line not in exact
    ]
