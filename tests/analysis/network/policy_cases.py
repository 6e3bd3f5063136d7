"""NetworkPolicies, many of which an API server refuses."""

from __future__ import annotations

import random
from typing import Any

Value = dict[str, Any]


def policy_of(spec: Value) -> Value:
    metadata = {"name": "p", "namespace": "shop"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


SELECTORS: tuple[Any, ...] = (
    {},
    None,
    {"matchLabels": {"app": "web"}},
    {"matchLabels": None},
    {"matchLabels": {"app": None}},
    {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "a/b", "operator": "In", "values": ["x"]}]},
    {"matchLabels": {"app": "a b"}},
    {"matchLabels": {"-app": "web"}},
    {"matchLabels": {"a/b/c": "web"}},
    {"matchLabels": {"app": 1}},
    {"matchLabels": {"x" * 64: "web"}},
    {"matchLabels": {"app": "x" * 64}},
    {"matchLabels": {"A.b/c_d": "X.y-z"}},
    {"matchLabels": {"": "web"}},
    {"matchExpressions": [{"key": "a", "operator": "exists"}]},
    {"matchExpressions": [{"key": "a", "operator": "In"}]},
    {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": []}]},
    {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
    {"matchExpressions": [{"operator": "Exists"}]},
    {"matchExpressions": [None]},
    {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x y"]}]},
    {"matchExpressions": {"key": "a"}},
    "app=web",
    [],
)
PORTS: tuple[Any, ...] = (
    {},
    None,
    {"port": 80},
    {"port": 80, "protocol": "UDP"},
    {"port": "http"},
    {"port": "http-2"},
    {"protocol": "SCTP"},
    {"port": 1, "endPort": 65535},
    {"port": 0},
    {"port": 65536},
    {"port": "80"},
    {"port": "Http"},
    {"port": "a--b"},
    {"port": "-a"},
    {"port": "a" * 16},
    {"port": ""},
    {"port": True},
    {"port": 1.5},
    {"port": 80, "protocol": "tcp"},
    {"port": 80, "protocol": ""},
    {"port": 80, "protocol": "ICMP"},
    {"endPort": 80},
    {"port": "http", "endPort": 80},
    {"port": 80, "endPort": 79},
    {"port": 80, "endPort": 80},
    {"port": 80, "endPort": 0},
    {"port": 80, "endPort": 65536},
    {"port": 80, "endPort": "90"},
    {"port": -1},
    80,
)
BLOCKS: tuple[Any, ...] = (
    {"cidr": "10.0.0.0/8"},
    {"cidr": "10.1.2.3/8"},
    {"cidr": "010.0.0.0/8"},
    {"cidr": "::/0"},
    {"cidr": "2001:db8::1/64"},
    {"cidr": "::ffff:10.0.0.0/104"},
    {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
    {"cidr": "10.0.0.0/8", "except": ["10.1.2.3/16", "10.2.0.0/32"]},
    {"cidr": "10.0.0.0/8", "except": None},
    {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]},
    {"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]},
    {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]},
    {"cidr": "10.0.0.0/8", "except": ["::/0"]},
    {"cidr": "10.0.0.0/8", "except": ["10.0.0.1"]},
    {"cidr": "10.0.0.0/8", "except": [""]},
    {"cidr": "10.0.0.0/8", "except": [None]},
    {"cidr": "::/0", "except": ["2001:db8::/32"]},
    {"cidr": "10.0.0.0/33"},
    {"cidr": "10.0.0.0"},
    {"cidr": "10.0.0/8"},
    {"cidr": ""},
    {},
    {"cidr": None},
    {"cidr": "10.0.0.0/255.0.0.0"},
    {"cidr": "10.0.0.0/-1"},
    {"cidr": "10.0.0.0/08"},
    {"cidr": "fe80::1%eth0/64"},
    {"cidr": "1::2::3/64"},
    {"cidr": " 10.0.0.0/8"},
    {"cidr": 10},
    None,
)


def _good_and_bad(chance: random.Random, values: tuple[Any, ...], good: int) -> Any:
    """Mostly one of the first ``good`` values, so that policies with one mistake, or none, are common."""
    return chance.choice(values[:good]) if chance.random() < 0.9 else chance.choice(values)


def _peer(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.3:
        return {"ipBlock": _good_and_bad(chance, BLOCKS, 9)}
    if kind < 0.35:
        return chance.choice([{}, None, {"ipBlock": BLOCKS[0], "podSelector": {}}, {"podSelector": None}, "web"])
    peer = {}
    if chance.random() < 0.6:
        peer["podSelector"] = _good_and_bad(chance, SELECTORS, 7)
    if chance.random() < 0.6 or not peer:
        peer["namespaceSelector"] = _good_and_bad(chance, SELECTORS, 7)
    return peer


def _rules(chance: random.Random, peers: str) -> Any:
    if chance.random() < 0.05:
        return chance.choice([None, {}, "x"])
    rules: list[Any] = []
    for _ in range(chance.randrange(3)):
        rule: Value = {}
        if chance.random() < 0.7:
            rule[peers] = [_peer(chance) for _ in range(chance.randrange(3))]
        if chance.random() < 0.7:
            rule["ports"] = [_good_and_bad(chance, PORTS, 8) for _ in range(chance.randrange(3))]
        rules.append(rule if chance.random() < 0.97 else None)
    return rules


def random_spec(chance: random.Random) -> Value:
    spec: Value = {}
    if chance.random() < 0.95:
        spec["podSelector"] = _good_and_bad(chance, SELECTORS, 7)
    if chance.random() < 0.6:
        types = (
            ["Ingress"],
            ["Egress"],
            ["Ingress", "Egress"],
            ["Egress", "Ingress"],
            [],
            None,
            ["ingress"],
            ["Ingress", "x"],
            "Ingress",
            [None],
            ["Ingress", "Egress", "Ingress"],
        )
        spec["policyTypes"] = _good_and_bad(chance, types, 6)
    if chance.random() < 0.7:
        spec["ingress"] = _rules(chance, "from")
    if chance.random() < 0.7:
        spec["egress"] = _rules(chance, "to")
    return spec
