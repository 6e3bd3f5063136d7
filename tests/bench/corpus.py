"""A made-up manifest repository of a given size, the same bytes for the same seed.

`python tests/bench/corpus.py OUT_DIR --objects 5109 --seed 1` writes about 8 MB in about 4,400 files. Kinds, sizes
and styles are mixed as in real repositories: block and flow style, two list indentations, quotes, comments, block
scalars, a few large dashboards and CustomResourceDefinitions. About 40 % of the workloads break pod security rules.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

Manifest = dict[str, Any]

DEFAULT_OBJECTS = 5109
DEFAULT_SEED = 1

INSECURE_SHARE = 0.4
"""Share of the workloads that break at least one pod security rule."""

# Weight of each kind among all objects, in percent. Workloads are 45.
WEIGHTS: dict[str, int] = {
    "Deployment": 26,
    "StatefulSet": 5,
    "DaemonSet": 4,
    "CronJob": 4,
    "Job": 3,
    "Pod": 3,
    "Service": 14,
    "ConfigMap": 8,
    "ServiceAccount": 7,
    "Secret": 4,
    "NetworkPolicy": 3,
    "Role": 3,
    "RoleBinding": 3,
    "ClusterRole": 2,
    "ClusterRoleBinding": 2,
    "Ingress": 2,
    "HorizontalPodAutoscaler": 2,
    "PodDisruptionBudget": 2,
    "PrometheusRule": 2,
    "CustomResourceDefinition": 1,
}

# Share of files with so many documents. The mean is 1.15 objects a file.
DOCUMENTS_PER_FILE: dict[int, int] = {1: 905, 2: 60, 3: 22, 5: 13}

# fmt: off
WORDS = (
    "account", "alert", "api", "asset", "audit", "auth", "batch", "billing", "cache", "cart", "catalog",
    "checkout", "child", "claim", "consent", "content", "cron", "donation", "email", "event", "export",
    "family", "feed", "file", "gateway", "grant", "graph", "identity", "image", "import", "index", "ingest",
    "invoice", "job", "ledger", "limit", "log", "mail", "map", "media", "member", "metric", "mobile", "notify",
    "order", "partner", "payment", "photo", "policy", "portal", "price", "proxy", "queue", "quota", "rating",
    "registry", "report", "review", "route", "rule", "schedule", "search", "session", "share", "shipping",
    "signal", "site", "sms", "stock", "store", "stream", "sync", "tag", "task", "team", "tenant", "token",
    "trace", "track", "upload", "user", "video", "visit", "vote", "wallet", "web", "webhook", "worker",
)
# fmt: on
ROLES = ("api", "worker", "web", "proxy", "sync", "cache", "db", "gateway", "exporter", "scheduler")
SENTENCES = (
    "Specifies the desired behaviour of the component.",
    "If not set, the controller chooses a value and records it in the status.",
    "This field is immutable once the object was created.",
    "Cannot be updated while a rollout is in progress.",
    "The value is passed on to the process without being interpreted.",
    "More than one entry may match: the first one wins.",
    "Defaults to the value of the parent object when it is empty.",
)
COMMENTS = (
    "managed by the platform team",
    "keep in step with the dashboard",
    "see the runbook before changing this",
    "TODO: raise after the load test",
    "needed until the migration is over – do not remove",
    "same value as in staging",
)

# What YAML 1.1 or the Kubernetes parser would read as something else than a string.
_RESERVED = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"])
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*\Z")


# ------------------------------------------------------------------------------------------------ writing YAML


@dataclass(slots=True)
class Style:
    """How one author writes YAML."""

    random: Random
    indent: int
    list_indent: int
    quote: str
    flow: float
    comments: float

    @classmethod
    def of(cls, rng: Random) -> Style:
        indent = 4 if rng.random() < 0.1 else 2
        return cls(
            random=rng,
            indent=indent,
            list_indent=rng.choice((0, indent)),
            quote=rng.choice(("'", '"', '"')),
            flow=rng.choice((0.0, 0.0, 0.1, 0.5)),
            comments=rng.choice((0.0, 0.01, 0.04)),
        )

    def scalar(self, value: object) -> str:
        """One scalar on one line."""
        if value is None:
            return "null"
        if value is True:
            return "true"
        if value is False:
            return "false"
        if isinstance(value, int):
            return str(value)
        text = str(value)
        if _PLAIN.match(text) and text.lower() not in _RESERVED:
            return text
        if self.quote == "'" and "\n" not in text:
            return "'" + text.replace("'", "''") + "'"
        return json.dumps(text, ensure_ascii=False)

    def flow_text(self, value: object) -> str:
        """A whole value in flow style."""
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.scalar(k)}: {self.flow_text(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.flow_text(v) for v in value) + "]"
        return self.scalar(value)

    def is_flow(self, value: object) -> bool:
        """Whether a collection goes on the line of its key. Empty ones always do, large ones never."""
        if not value:
            return True
        small = isinstance(value, dict | list) and len(value) <= 4
        return small and self.flow > 0 and self.random.random() < self.flow and _leaves(value) <= 8

    def lines(self, value: object, column: int) -> Iterator[str]:
        """A mapping or sequence in block style, each line indented by column spaces."""
        pad = " " * column
        if isinstance(value, dict):
            for key, item in value.items():
                yield from self._entry(pad + self.scalar(key) + ":", item, column)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict) and item and not self.is_flow(item):
                    # The first key stands on the line of the dash.
                    inner = self.lines(item, column + 2)
                    yield pad + "- " + next(inner)[column + 2 :]
                    yield from inner
                else:
                    yield from self._entry(pad + "-", item, column)

    def _entry(self, head: str, item: object, column: int) -> Iterator[str]:
        if isinstance(item, dict | list):
            if self.is_flow(item):
                yield f"{head} {self.flow_text(item)}"
                return
            yield head
            yield from self.lines(item, column + (self.list_indent if isinstance(item, list) else self.indent))
        elif isinstance(item, str) and "\n" in item:
            yield head + (" |" if item.endswith("\n") else " |-")
            pad = " " * (column + self.indent)
            for line in item.removesuffix("\n").split("\n"):
                yield pad + line if line else ""
        else:
            comment = ""
            if self.comments and self.random.random() < self.comments:
                comment = "  # " + self.random.choice(COMMENTS)
            yield f"{head} {self.scalar(item)}{comment}"


def _leaves(value: object) -> int:
    if isinstance(value, dict):
        return sum(_leaves(v) for v in value.values())
    if isinstance(value, list):
        return sum(_leaves(v) for v in value)
    # A string of several lines has no flow form that anybody would write.
    return 9 if isinstance(value, str) and ("\n" in value or len(value) > 60) else 1


# ------------------------------------------------------------------------------------------------ making objects


@dataclass(slots=True)
class Generator:
    """Makes objects that refer to one another: services select workloads, bindings name accounts."""

    random: Random
    namespaces: list[str]
    workloads: list[tuple[str, str]] = field(default_factory=list)
    accounts: list[tuple[str, str]] = field(default_factory=list)
    roles: list[tuple[str, str]] = field(default_factory=list)
    serial: int = 0

    def make(self, kind: str) -> Manifest:
        self.serial += 1
        makers: dict[str, Callable[[], Manifest]] = {
            "Service": self.service,
            "ConfigMap": self.config_map,
            "ServiceAccount": self.service_account,
            "Secret": self.secret,
            "NetworkPolicy": self.network_policy,
            "Role": lambda: self.role("Role"),
            "ClusterRole": lambda: self.role("ClusterRole"),
            "RoleBinding": lambda: self.binding("RoleBinding"),
            "ClusterRoleBinding": lambda: self.binding("ClusterRoleBinding"),
            "Ingress": self.ingress,
            "HorizontalPodAutoscaler": self.autoscaler,
            "PodDisruptionBudget": self.disruption_budget,
            "PrometheusRule": self.prometheus_rule,
            "CustomResourceDefinition": self.definition,
        }
        maker = makers.get(kind)
        return maker() if maker else self.workload(kind)

    def name(self) -> str:
        return f"{self.random.choice(WORDS)}-{self.random.choice(ROLES)}-{self.serial}"

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def prose(self, sentences: int) -> str:
        return " ".join(self.random.choice(SENTENCES) for _ in range(sentences))

    def metadata(self, name: str, namespace: str | None) -> Manifest:
        metadata: Manifest = {"name": name}
        if namespace is not None:
            metadata["namespace"] = namespace
        metadata["labels"] = {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/version": f"{self.random.randrange(9)}.{self.random.randrange(30)}.0",
        }
        if self.chance(0.2):
            metadata["annotations"] = {"example.org/owner": f"team-{self.random.choice(WORDS)}@example.org"}
        return metadata

    def target(self) -> tuple[str, str]:
        """Namespace and name of a workload made before, or of one that does not exist while there is none."""
        return self.random.choice(self.workloads) if self.workloads else (self.random.choice(self.namespaces), "none")

    # -------------------------------------------------------------------------------------------- workloads

    def workload(self, kind: str) -> Manifest:
        name, namespace = self.name(), self.random.choice(self.namespaces)
        metadata = self.metadata(name, namespace)
        pod_labels = {"app": name}
        spec = self.pod_spec(name, insecure=self.chance(INSECURE_SHARE))
        self.workloads.append((namespace, name))
        template: Manifest = {"metadata": {"labels": pod_labels}, "spec": spec}
        if self.chance(0.25):
            template["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}
        selector = {"matchLabels": {"app": name}}
        replicas = self.random.randrange(1, 6)
        if kind == "Pod":
            return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, "labels": pod_labels}, "spec": spec}
        if kind in ("Job", "CronJob"):
            spec["restartPolicy"] = self.random.choice(("Never", "OnFailure"))
            for container in spec["containers"]:
                container.pop("livenessProbe", None)
                container.pop("readinessProbe", None)
            job: Manifest = {"backoffLimit": self.random.randrange(7), "template": template}
            if kind == "Job":
                return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": job}
            schedule = f"{self.random.randrange(60)} {self.random.randrange(24)} * * *"
            cron = {"schedule": schedule, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}}
            return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": cron}
        body: Manifest = {"selector": selector, "template": template}
        if kind == "Deployment":
            body = {"replicas": replicas, "revisionHistoryLimit": 5, **body}
            if self.chance(0.4):
                body["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}
        elif kind == "StatefulSet":
            body = {"replicas": replicas, "serviceName": name, **body}
            claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
            body["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
        else:
            body["updateStrategy"] = {"type": "RollingUpdate"}
            spec["tolerations"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": body}

    def pod_spec(self, name: str, *, insecure: bool) -> Manifest:
        spec: Manifest = {"serviceAccountName": name, "automountServiceAccountToken": False}
        spec["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 3000,
            "fsGroup": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        if self.chance(0.1):
            spec["initContainers"] = [self.container("init", sidecar=True)]
        containers = [self.container(name.split("-")[1])]
        for sidecar in self.random.sample(
            ("log-shipper", "proxy-sidecar", "metrics"), self.random.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2))
        ):
            containers.append(self.container(sidecar, sidecar=True))
        spec["containers"] = containers
        spec["volumes"] = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": name}}]
        if self.chance(0.3):
            spec["volumes"].append({"name": "credentials", "secret": {"secretName": name, "defaultMode": 288}})
        if self.chance(0.1):
            term = {"labelSelector": {"matchLabels": {"app": name}}, "topologyKey": "kubernetes.io/hostname"}
            preferred = [{"weight": 100, "podAffinityTerm": term}]
            spec["affinity"] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
        if insecure:
            for issue in self.random.sample(ISSUES, self.random.randrange(1, 5)):
                issue(spec, self.random.choice(containers))
        return spec

    def container(self, name: str, *, sidecar: bool = False) -> Manifest:
        repository = f"registry.example/{self.random.choice(WORDS)}/{name}"
        container: Manifest = {
            "name": name,
            "image": f"{repository}:v{self.random.randrange(5)}.{self.random.randrange(30)}.1",
        }
        if self.chance(0.3):
            container["image"] += f"@sha256:{self.random.getrandbits(256):064x}"
        if self.chance(0.3):
            container["imagePullPolicy"] = "IfNotPresent"
        if self.chance(0.15):
            script = [
                "set -eu",
                "echo 'privileged: true is text here'",
                f"exec /app/{name} --listen :8080 \\",
                "  --verbose",
            ]
            container["command"] = ["/bin/sh", "-c", "\n".join(script) + "\n"]
        elif self.chance(0.5):
            container["args"] = [f"--{self.random.choice(WORDS)}={self.random.choice(WORDS)}" for _ in range(3)]
        if not sidecar:
            container["ports"] = [{"name": "http", "containerPort": 8080}]
            if self.chance(0.3):
                container["ports"].append({"name": "metrics", "containerPort": 9090})
            probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "failureThreshold": 3}
            if self.chance(0.5):
                container["livenessProbe"] = probe
            if self.chance(0.5):
                container["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5}
        variables = [self.variable() for _ in range(self.random.randrange(2) if sidecar else self.random.randrange(5))]
        if variables:
            container["env"] = variables
        container["resources"] = {
            "requests": {"cpu": f"{self.random.choice((50, 100, 200, 500))}m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": self.random.choice(("256Mi", "512Mi", "1Gi"))},
        }
        container["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        container["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
        if not sidecar:
            container["volumeMounts"].append({"name": "config", "mountPath": "/etc/app", "readOnly": True})
        return container

    def variable(self) -> Manifest:
        name = f"{self.random.choice(WORDS)}_{self.random.choice(WORDS)}".upper()
        what = self.random.random()
        if what < 0.15:
            return {"name": name, "valueFrom": {"secretKeyRef": {"name": self.random.choice(WORDS), "key": "value"}}}
        if what < 0.3:
            return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
        values = (
            "true",
            "8080",
            "info",
            f"http://{self.random.choice(WORDS)}.example.svc:8080/path?x=1",
            "30s",
            "a, b: c # d",
        )
        return {"name": name, "value": self.random.choice(values)}

    # -------------------------------------------------------------------------------------------- other kinds

    def service(self) -> Manifest:
        namespace, workload = self.target()
        ports: list[Manifest] = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
        if self.chance(0.4):
            ports.append({"name": "metrics", "port": 9090, "targetPort": "metrics"})
        spec: Manifest = {"selector": {"app": workload}, "ports": ports}
        if self.chance(0.2):
            spec["type"] = self.random.choice(("NodePort", "LoadBalancer"))
        metadata = self.metadata(f"{workload}-{self.serial}", namespace)
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

    def config_map(self) -> Manifest:
        size = self.random.random()
        content: dict[str, str] = {}
        if size < 0.05:
            content["dashboard.json"] = json.dumps(self.dashboard(), indent=2) + "\n"
        elif size < 0.5:
            lines = [
                f"{self.random.choice(WORDS)}.{self.random.choice(WORDS)} = {self.random.randrange(999)}"
                for _ in range(25)
            ]
            content["application.properties"] = "\n".join(["# generated", *lines]) + "\n"
        else:
            content = {self.random.choice(WORDS): self.random.choice(WORDS) for _ in range(6)}
        metadata = self.metadata(self.name(), self.random.choice(self.namespaces))
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": content}

    def dashboard(self) -> Manifest:
        panels = []
        for number in range(self.random.randrange(10, 25)):
            expression = (
                f'sum(rate({self.random.choice(WORDS)}_total{{job="{self.random.choice(WORDS)}"}}[5m])) by (pod)'
            )
            panels.append(
                {
                    "id": number,
                    "title": self.random.choice(WORDS).title(),
                    "type": "timeseries",
                    "gridPos": {"h": 8, "w": 12, "x": 0, "y": number * 8},
                    "fieldConfig": {"defaults": {"unit": "short", "custom": {"lineWidth": 1, "fillOpacity": 10}}},
                    "options": {"legend": {"showLegend": True, "placement": "bottom"}, "tooltip": {"mode": "multi"}},
                    "targets": [{"expr": expression, "refId": letter, "legendFormat": "{{pod}}"} for letter in "ABC"],
                }
            )
        return {"schemaVersion": 39, "title": self.random.choice(WORDS), "refresh": "30s", "panels": panels}

    def service_account(self) -> Manifest:
        name, namespace = self.name(), self.random.choice(self.namespaces)
        self.accounts.append((namespace, name))
        account: Manifest = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata(name, namespace)}
        if self.chance(0.5):
            account["automountServiceAccountToken"] = False
        return account

    def secret(self) -> Manifest:
        payload = base64.b64encode(f"not a real secret {self.serial}".encode()).decode("ascii")
        metadata = self.metadata(self.name(), self.random.choice(self.namespaces))
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": {"value": payload},
        }

    def network_policy(self) -> Manifest:
        namespace, workload = self.target()
        peer_namespace, peer = self.target()
        spec: Manifest = {"podSelector": {"matchLabels": {"app": workload}}, "policyTypes": ["Ingress", "Egress"]}
        if self.chance(0.3):
            spec["podSelector"] = {}
        else:
            source = {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer_namespace}},
                "podSelector": {"matchLabels": {"app": peer}},
            }
            spec["ingress"] = [{"from": [source], "ports": [{"protocol": "TCP", "port": 8080}]}]
            destination = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
            spec["egress"] = [{"to": [destination], "ports": [{"protocol": "TCP", "port": 443}]}]
        metadata = self.metadata(self.name(), namespace)
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}

    def role(self, kind: str) -> Manifest:
        name, namespace = self.name(), self.random.choice(self.namespaces)
        rules: list[Manifest] = [
            {"apiGroups": [""], "resources": ["pods", "configmaps", "endpoints"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "update"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        ]
        if self.chance(0.15):
            rules.append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
        elif self.chance(0.2):
            rules.append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]})
        if kind == "Role":
            self.roles.append((namespace, name))
        metadata = self.metadata(name, namespace if kind == "Role" else None)
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules}

    def binding(self, kind: str) -> Manifest:
        group = "rbac.authorization.k8s.io"
        account_namespace, account = self.random.choice(self.accounts) if self.accounts else ("default", "default")
        if kind == "RoleBinding" and self.roles:
            namespace, role = self.random.choice(self.roles)
            reference = {"apiGroup": group, "kind": "Role", "name": role}
        else:
            namespace, role = account_namespace, self.random.choice(("view", "view", "edit", "admin", "cluster-admin"))
            reference = {"apiGroup": group, "kind": "ClusterRole", "name": role}
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}]
        metadata = self.metadata(self.name(), namespace if kind == "RoleBinding" else None)
        return {
            "apiVersion": f"{group}/v1",
            "kind": kind,
            "metadata": metadata,
            "roleRef": reference,
            "subjects": subjects,
        }

    def ingress(self) -> Manifest:
        namespace, workload = self.target()
        backend = {"service": {"name": workload, "port": {"name": "http"}}}
        host = f"{workload}.example.org"
        spec: Manifest = {"ingressClassName": "nginx"}
        if self.chance(0.6):
            spec["tls"] = [{"hosts": [host], "secretName": f"{workload}-tls"}]
        spec["rules"] = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
        metadata = self.metadata(self.name(), namespace)
        return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}

    def autoscaler(self) -> Manifest:
        namespace, workload = self.target()
        target = {"type": "Utilization", "averageUtilization": self.random.choice((60, 70, 80))}
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
            "minReplicas": 2,
            "maxReplicas": self.random.randrange(3, 20),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
        metadata = self.metadata(self.name(), namespace)
        return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}

    def disruption_budget(self) -> Manifest:
        namespace, workload = self.target()
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": workload}}}
        metadata = self.metadata(self.name(), namespace)
        return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}

    def prometheus_rule(self) -> Manifest:
        rules = []
        for _ in range(self.random.randrange(1, 6)):
            metric = f"{self.random.choice(WORDS)}_{self.random.choice(WORDS)}_total"
            rules.append(
                {
                    "alert": metric.title().replace("_", ""),
                    "expr": f'sum(rate({metric}{{code=~"5.."}}[5m]))\n  /\nsum(rate({metric}[5m])) > 0.05\n',
                    "for": "10m",
                    "labels": {"severity": self.random.choice(("warning", "critical"))},
                    "annotations": {"summary": self.prose(1), "description": self.prose(2)},
                }
            )
        metadata = self.metadata(self.name(), self.random.choice(self.namespaces))
        spec = {"groups": [{"name": self.random.choice(WORDS), "rules": rules}]}
        return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": spec}

    def definition(self) -> Manifest:
        singular = f"{self.random.choice(WORDS)}{self.serial}"
        group = f"{self.random.choice(WORDS)}.example.org"
        schema = {"type": "object", "properties": {"spec": self.schema(3), "status": self.schema(2)}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        spec = {
            "group": group,
            "names": {"kind": singular.title(), "plural": f"{singular}s", "singular": singular},
            "scope": "Namespaced",
            "versions": [version],
        }
        metadata = {"name": f"{singular}s.{group}"}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": spec,
        }

    def schema(self, depth: int) -> Manifest:
        if depth == 0:
            kind = self.random.choice(("string", "integer", "boolean"))
            return {"description": self.prose(self.random.randrange(1, 3)), "type": kind}
        properties = {self.random.choice(WORDS): self.schema(self.random.randrange(depth)) for _ in range(6)}
        node: Manifest = {"description": self.prose(1), "type": "object", "properties": properties}
        if self.chance(0.3):
            return {"description": self.prose(1), "type": "array", "items": node}
        return node


# One pod security issue each, made in place. The container is one of the pod's.
Issue = Callable[[Manifest, Manifest], None]


def _privileged(_spec: Manifest, container: Manifest) -> None:
    container.setdefault("securityContext", {})["privileged"] = True


def _adds_capability(_spec: Manifest, container: Manifest) -> None:
    container.setdefault("securityContext", {}).setdefault("capabilities", {})["add"] = ["SYS_ADMIN"]


def _runs_as_root(_spec: Manifest, container: Manifest) -> None:
    container.setdefault("securityContext", {})["runAsUser"] = 0


def _no_security_context(_spec: Manifest, container: Manifest) -> None:
    container.pop("securityContext", None)


def _no_resources(_spec: Manifest, container: Manifest) -> None:
    container.pop("resources", None)


def _moving_tag(_spec: Manifest, container: Manifest) -> None:
    container["image"] = container["image"].split(":")[0] + ":latest"


def _host_port(_spec: Manifest, container: Manifest) -> None:
    container["ports"] = [{"containerPort": 8080, "hostPort": 8080}]


def _host_network(spec: Manifest, _container: Manifest) -> None:
    spec["hostNetwork"] = True


def _host_path(spec: Manifest, container: Manifest) -> None:
    spec["volumes"].append({"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}})
    container.setdefault("volumeMounts", []).append({"name": "docker", "mountPath": "/var/run/docker.sock"})


def _no_seccomp(spec: Manifest, _container: Manifest) -> None:
    spec.get("securityContext", {}).pop("seccompProfile", None)


def _mounts_token(spec: Manifest, _container: Manifest) -> None:
    spec.pop("serviceAccountName", None)
    spec.pop("automountServiceAccountToken", None)


ISSUES: tuple[Issue, ...] = (
    _privileged,
    _adds_capability,
    _runs_as_root,
    _no_security_context,
    _no_resources,
    _moving_tag,
    _host_port,
    _host_network,
    _host_path,
    _no_seccomp,
    _mounts_token,
)


# ------------------------------------------------------------------------------------------------ writing files


def write(folder: Path, objects: int = DEFAULT_OBJECTS, seed: int = DEFAULT_SEED) -> tuple[int, int]:
    """Writes a corpus of exactly that many objects into a folder, which is made. Returns (files, bytes)."""
    rng = Random(seed)
    # Some 85 objects a namespace. One namespace for all would make every comparison of namespaces trivial.
    namespaces = [f"{rng.choice(WORDS)}-{number}" for number in range(max(1, objects // 85))]
    generator = Generator(rng, namespaces)
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    counts, shares = list(DOCUMENTS_PER_FILE), list(DOCUMENTS_PER_FILE.values())
    left, files, size = objects, 0, 0
    while left:
        documents = min(left, rng.choices(counts, shares)[0])
        style = Style.of(rng)
        texts, first = [], ""
        for kind in rng.choices(kinds, weights, k=documents):
            manifest = generator.make(kind)
            first = first or f"{manifest['metadata']['name']}-{kind.lower()}.yaml"
            texts.append("\n".join(style.lines(manifest, 0)) + "\n")
        text = "---\n".join(texts)
        if rng.random() < 0.2:
            text = f"# {rng.choice(COMMENTS)}\n---\n{text}"
        target = folder / rng.choice(namespaces) / first
        target.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode("utf-8")
        target.write_bytes(content)
        left, files, size = left - documents, files + 1, size + len(content)
    return files, size


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a made-up manifest repository.")
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--objects", type=int, default=DEFAULT_OBJECTS)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    arguments = parser.parse_args()
    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        parser.error(f"{arguments.folder} is not empty")
    files, size = write(arguments.folder, arguments.objects, arguments.seed)
    print(f"{arguments.objects} objects, {files} files, {size / 1e6:.1f} MB in {arguments.folder}")


if __name__ == "__main__":
    main()
