"""A made-up load for an API server: applications in namespaces, with everything that belongs to them, of the sizes that
such objects have in clusters.

Each application has a Deployment with its ReplicaSet and two older ones at zero, pods with a node and a status (as a
kubelet writes it), a Service, a ConfigMap, a ServiceAccount and a NetworkPolicy. Each namespace has a default deny, a
quota, a Role with its binding, and some Secrets. The same seed gives the same load, but for what the server adds.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from live.api_server import Client, collection

NAMESPACES = 50
_PODS_OF_ONE = (1, 2, 3, 4, 6, 8)
_THREADS = 8
_WORDS = (
    *("orders", "billing", "catalog", "search", "gateway", "session", "profile", "stock", "report", "mailer"),
    *("ledger", "pricing", "basket", "review", "import", "export", "audit", "notify", "geo", "media"),
)
_SETTINGS = ("LOG_LEVEL", "HTTP_PORT", "CACHE_TTL", "POOL_SIZE", "REGION", "FEATURES", "UPSTREAM", "TIMEOUT", "TRACE")


@dataclass(frozen=True, slots=True)
class Application:
    """One application. ``seed``: what is made up of it."""

    namespace: str
    name: str
    pods: int
    seed: int


def applications(pods: int, namespaces: int = NAMESPACES, seed: int = 1) -> list[Application]:
    """Applications that have so many pods together, dealt out to the namespaces."""
    chance = random.Random(seed)
    found: list[Application] = []
    left = pods
    while left:
        number = len(found)
        count = min(left, chance.choice(_PODS_OF_ONE))
        name = f"{_WORDS[number // namespaces % len(_WORDS)]}-{number // namespaces // len(_WORDS)}"
        found.append(Application(f"team-{number % namespaces:02}", name, count, chance.randrange(1 << 30)))
        left -= count
    return found


def fill(admin: Client, pods: int, namespaces: int = NAMESPACES, seed: int = 1) -> None:
    """Make the load. Raises AssertionError where the server refuses an object."""
    chance = random.Random(seed)
    for number in range(namespaces):
        _make_namespace(admin, f"team-{number:02}", chance)
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(lambda application: _make(admin, application), applications(pods, namespaces, seed)):
            pass


def _make_namespace(admin: Client, name: str, chance: random.Random) -> None:
    admin.namespace(name, {"team": name, "pod-security.kubernetes.io/warn": "restricted"})
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    admin.must_create(_object("networking.k8s.io/v1", "NetworkPolicy", name, "default-deny", spec=deny))
    hard = {"requests.cpu": "900", "requests.memory": "900Gi", "pods": "2000"}
    admin.must_create(_object("v1", "ResourceQuota", name, "quota", spec={"hard": hard}))
    rules = [
        {
            "apiGroups": ["", "apps"],
            "resources": ["pods", "deployments", "configmaps"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    group = "rbac.authorization.k8s.io"
    admin.must_create(_object(f"{group}/v1", "Role", name, "developer", rules=rules))
    binding: dict[str, Any] = {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "developer"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": f"{name}-developers"}],
    }
    admin.must_create(_object(f"{group}/v1", "RoleBinding", name, "developer", **binding))
    for number in range(10):
        value = f"{chance.randrange(1 << 60):x}" * 8
        secret = _object("v1", "Secret", name, f"access-{number}", stringData={"username": "service", "value": value})
        admin.must_create(secret)


def _object(api_version: str, kind: str, namespace: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}


def _make(admin: Client, application: Application) -> None:
    chance = random.Random(application.seed)
    namespace, name = application.namespace, application.name
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": namespace,
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": f"{name}-{chance.randrange(9)}.{chance.randrange(30)}.0",
    }
    selector = {"app.kubernetes.io/name": name}
    admin.must_create(_object("v1", "ServiceAccount", namespace, name))
    lines = [f"{word}.{number}.enabled: {word}-{number}" for word in _WORDS for number in range(chance.randrange(8))]
    config = {"application.yaml": "\n".join(lines), "REGION": "eu-central-1"}
    admin.must_create(_object("v1", "ConfigMap", namespace, f"{name}-config", data=config))
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "metrics", "port": 9090}]
    admin.must_create(_object("v1", "Service", namespace, name, spec={"selector": selector, "ports": ports}))
    admin.must_create(_object("networking.k8s.io/v1", "NetworkPolicy", namespace, name, spec=_policy(selector, chance)))
    template = {"metadata": {"labels": labels}, "spec": _pod_spec(name, chance)}
    deployment = _object("apps/v1", "Deployment", namespace, name)
    deployment["metadata"] |= {"labels": labels, "annotations": {"deployment.kubernetes.io/revision": "3"}}
    deployment["spec"] = {"replicas": application.pods, "selector": {"matchLabels": selector}, "template": template}
    owner = admin.must_create(deployment)
    for revision in (1, 2, 3):
        digest = f"{application.seed + revision:08x}"[:8]
        hashed = {**labels, "pod-template-hash": digest}
        made = _object("apps/v1", "ReplicaSet", namespace, f"{name}-{digest}")
        made["metadata"] |= {
            "labels": hashed,
            "ownerReferences": _owned_by(owner),
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        }
        made["spec"] = {
            "replicas": application.pods if revision == 3 else 0,
            "selector": {"matchLabels": {**selector, "pod-template-hash": digest}},
            "template": {"metadata": {"labels": hashed}, "spec": template["spec"]},
        }
        replicas = admin.must_create(made)
    for _ in range(application.pods):
        pod = _object("v1", "Pod", namespace, f"{name}-{digest}-{chance.randrange(1 << 24):06x}")
        pod["metadata"] |= {
            "labels": hashed,
            "ownerReferences": _owned_by(replicas),
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"},
        }
        pod["spec"] = {**template["spec"], "nodeName": f"node-{chance.randrange(200):03}"}
        _run(admin, admin.must_create(pod), chance)


def _policy(selector: dict[str, str], chance: random.Random) -> dict[str, Any]:
    caller = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": f"{chance.choice(_WORDS)}-0"}}}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    return {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [caller], "ports": [{"port": "http"}]}],
        "egress": [{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}],
    }


def _owned_by(owner: dict[str, Any]) -> list[dict[str, Any]]:
    identity = {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    of = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return [{**of, **identity, "controller": True, "blockOwnerDeletion": True}]


def _pod_spec(name: str, chance: random.Random) -> dict[str, Any]:
    variables: list[dict[str, Any]] = [{"name": key, "value": f"{name}.{key.lower()}"} for key in _SETTINGS]
    variables.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    secret = {"name": f"access-{chance.randrange(10)}", "key": "value"}
    variables.append({"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": secret}})
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10}
    container: dict[str, Any] = {
        "name": name,
        "image": f"registry.example/team/{name}:1.{chance.randrange(40)}.{chance.randrange(9)}",
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "env": variables,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}, {"name": "scratch", "mountPath": "/tmp"}],
    }
    # Most comply, some do not.
    if chance.random() < 0.8:
        container["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": chance.random() < 0.8,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    containers = [container]
    if chance.random() < 0.4:
        containers.append({**container, "name": "exporter", "env": variables[:4], "ports": []})
    return {
        "serviceAccountName": name,
        "containers": containers,
        "volumes": [{"name": "config", "configMap": {"name": f"{name}-config"}}, {"name": "scratch", "emptyDir": {}}],
    }


def _run(admin: Client, pod: dict[str, Any], chance: random.Random) -> None:
    """Give a pod the status of one that runs."""
    at = "2026-01-05T07:00:00Z"
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    address = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{1 + chance.randrange(250)}"
    pod["status"] = {
        "phase": "Running",
        "conditions": [{"type": type_, "status": "True", "lastTransitionTime": at} for type_ in conditions],
        "hostIP": "10.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": at,
        "qosClass": "Burstable",
        "containerStatuses": [_container_status(container, chance, at) for container in pod["spec"]["containers"]],
    }
    said = admin.request("PUT", f"{collection(pod)}/{pod['metadata']['name']}/status", pod)
    assert said.ok, said.message


def _container_status(container: dict[str, Any], chance: random.Random, at: str) -> dict[str, Any]:
    digest = f"{chance.getrandbits(256):064x}"
    image = container["image"]
    return {
        "name": container["name"],
        "image": image,
        "imageID": f"{image.rpartition(':')[0]}@sha256:{digest}",
        "containerID": f"containerd://{chance.getrandbits(256):064x}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": at}},
        "lastState": {},
    }
