"""Measures the analyses on made-up clusters, in this process, from objects to answers.

    python tests/bench/analyses.py

Connectivity: pods in namespaces of ten applications, ten policies a namespace (a default deny, and one for each of nine
applications: callers by namespace and pod labels and a named port, callees by a label and an address block). Then every
open way between what policies tell apart is walked. Pods grow and policies stay, and the other way round.

Access: as many roles as bindings, each of three rules, bound to service accounts and groups; every subject's grants,
and the ways by which subjects reach more than they were given.
"""

from __future__ import annotations

import gc
import random
import time
from array import array
from collections.abc import Iterator
from typing import Any

from kubeassay.analysis.access.escalation import escalations
from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.network.connectivity import connectivity
from kubeassay.model import Inventory, Object, ObjectRef, SpanTable

CLUSTERS = ((1_000, 500), (5_000, 500), (10_000, 500), (20_000, 500), (20_000, 125), (20_000, 2_000))
ROLES = (750, 1_500, 3_000, 6_000)
_SPANS = SpanTable("made-up", array("l"), array("l", [0]), array("l"))


def _object(value: dict[str, Any]) -> Object:
    metadata = value["metadata"]
    ref = ObjectRef(value["apiVersion"], value["kind"], metadata.get("namespace"), metadata["name"])
    return Object(ref, value, _SPANS, value)


def cluster(pods: int, policies: int, seed: int = 1) -> Iterator[Object]:
    """Pods and policies, spread over a namespace for every ten policies."""
    chance = random.Random(seed)
    namespaces = max(1, policies // 10)
    for number in range(namespaces):
        metadata = {"name": f"n{number}", "labels": {"team": f"t{number % 7}"}}
        yield _object({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for number in range(pods):
        labels = {"app": f"a{number // namespaces % 10}", "tier": f"t{number % 3}", "pod": f"p{number}"}
        metadata = {"name": f"p{number}", "namespace": f"n{number % namespaces}", "labels": labels}
        container = {"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}
        yield _object({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    for number in range(policies):
        application = number // namespaces
        spec: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        if application:
            caller = {
                "namespaceSelector": {"matchLabels": {"team": f"t{chance.randrange(7)}"}},
                "podSelector": {"matchLabels": {"app": f"a{chance.randrange(10)}"}},
            }
            spec |= {
                "podSelector": {"matchLabels": {"app": f"a{application}"}},
                "ingress": [{"from": [caller], "ports": [{"port": "http"}]}],
                "egress": [
                    {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": "t1"}}}]},
                    {"to": [{"ipBlock": {"cidr": f"10.{chance.randrange(255)}.0.0/16"}}]},
                ],
            }
        metadata = {"name": f"np{number}", "namespace": f"n{number % namespaces}"}
        yield _object(
            {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
        )


def roles(count: int, seed: int = 1) -> Iterator[Object]:
    """Half of the count as Roles with RoleBindings in their namespaces, half as ClusterRoles with bindings."""
    chance = random.Random(seed)
    group = "rbac.authorization.k8s.io"
    resources = ("pods", "services", "configmaps", "secrets", "deployments", "jobs", "pods/log", "events")
    for number in range(count):
        wide = number % 2 == 0
        namespace = f"n{number % 50}"
        rules = [
            {
                "apiGroups": [chance.choice(("", "apps", "batch"))],
                "resources": chance.sample(resources, 3),
                "verbs": chance.sample(("get", "list", "watch", "create", "update", "delete"), 3),
            }
            for _ in range(3)
        ]
        where = {} if wide else {"namespace": namespace}
        kind = "ClusterRole" if wide else "Role"
        yield _object(
            {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": f"r{number}", **where}, "rules": rules}
        )
        subject = (
            {"kind": "Group", "apiGroup": group, "name": f"g{number % 97}"}
            if number % 5 == 0
            else {"kind": "ServiceAccount", "name": f"s{number % 211}", "namespace": namespace}
        )
        yield _object(
            {
                "apiVersion": f"{group}/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": f"b{number}", **where},
                "roleRef": {"apiGroup": group, "kind": kind, "name": f"r{number}"},
                "subjects": [subject],
            }
        )


def _seconds(begin: float) -> float:
    return time.perf_counter() - begin


def main() -> None:
    gc.disable()
    print(f"{'pods':>7}{'policies':>10}{'classes':>9}{'ways':>9}{'s':>8}{'us/pod':>8}")
    for pods, policies in CLUSTERS:
        inventory = Inventory(cluster(pods, policies))
        begin = time.perf_counter()
        net = connectivity(inventory)
        classes = [net.end(members[0]) for members in net.classes]
        ways = sum(1 for end in classes for _ in net.ways_from(end))
        taken = _seconds(begin)
        print(f"{pods:>7}{policies:>10}{len(classes):>9}{ways:>9}{taken:>8.2f}{1e6 * taken / pods:>8.0f}")
    print(f"\n{'roles and bindings':>19}{'grants':>9}{'s':>8}{'escalations s':>15}")
    for count in ROLES:
        inventory = Inventory(roles(count // 2))
        begin = time.perf_counter()
        held = len(grants(inventory).grants)
        granted = _seconds(begin)
        begin = time.perf_counter()
        escalations(inventory)
        print(f"{count:>19}{held:>9}{granted:>8.2f}{_seconds(begin):>15.2f}")


if __name__ == "__main__":
    main()
