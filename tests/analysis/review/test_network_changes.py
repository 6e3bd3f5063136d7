"""Ways that a change opens and closes, compared with what connectivity says of each pair of ends by itself."""

from __future__ import annotations

import ipaddress
from itertools import product
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.network.test_brute_force import CLUSTER, OUTSIDE, manifests
from kit import objects_in
from kubeassay.analysis.network.connections import ALL, NONE, Connections, addresses, read_ports
from kubeassay.analysis.network.connectivity import Answer, connectivity
from kubeassay.analysis.review.changes import review
from kubeassay.analysis.review.network import path_changes
from kubeassay.model import Inventory, PathChange

Value = dict[str, Any]


def inventory(text: str) -> Inventory:
    return Inventory(objects_in(text))


def connections(text: str) -> Connections:
    """What ``str(Connections)`` wrote."""
    if text == "All Connections":
        return ALL
    found, protocol = NONE, ""
    for part in text.split(","):
        if " " in part:
            protocol, part = part.split(" ")
        one = read_ports(f"{part}/{protocol}")
        assert one is not None
        found |= one
    return found


def told(paths: tuple[PathChange, ...], source: str, destination: str) -> dict[tuple[str, str], Connections]:
    """What is told of one way: (was, now) → connections. Each connection is told once."""
    found: dict[tuple[str, str], Connections] = {}
    for path in paths:
        if _among(source, path.sources) and _among(destination, path.destinations):
            key = (path.was, path.now)
            assert not found.get(key, NONE) & connections(path.connections), "told twice"
            found[key] = found.get(key, NONE) | connections(path.connections)
    return found


def _among(end: str, names: tuple[str, ...]) -> bool:
    if end in names:
        return True
    block = addresses(end)
    return block is not None and any(
        ipaddress.ip_address(end) in ipaddress.ip_network(name) for name in names if addresses(name) is not None
    )


def expected(was: Answer, now: Answer) -> dict[tuple[str, str], Connections]:
    states = ("open", "closed", "not-evaluated")
    before, after = ((one.open, one.closed, one.unknown) for one in (was, now))
    return {
        (first, second): some & others
        for (first, some), (second, others) in product(
            zip(states, before, strict=True), zip(states, after, strict=True)
        )
        if first != second and some & others
    }


@given(CLUSTER, CLUSTER, st.booleans())
@settings(deadline=None, max_examples=60)
def test_each_pair_of_ends_is_told_as_connectivity_knows_it(first: Value, second: Value, same_pods: bool) -> None:
    if same_pods:
        second = {**second, "pods": first["pods"]}
    before, after = inventory(manifests(first)), inventory(manifests(second))
    paths = path_changes(before, after)
    old, new = connectivity(before), connectivity(after)
    common = sorted(set(old.names) & set(new.names))
    for source, destination in product(common, common):
        if source != destination:
            was = old.between(old.named(source)[0], old.named(destination)[0])
            now = new.between(new.named(source)[0], new.named(destination)[0])
            assert told(paths, source, destination) == expected(was, now)
    for name, address in product(common, OUTSIDE):
        block = addresses(address)
        assert block is not None
        ends = [
            (net.end(net.named(name)[0]), next(number for number, _ in net.range_ends(block))) for net in (old, new)
        ]
        answers = [net.answer(own, other) for net, (own, other) in zip((old, new), ends, strict=True)]
        assert told(paths, name, address) == expected(*answers)
        answers = [net.answer(other, own) for net, (own, other) in zip((old, new), ends, strict=True)]
        assert told(paths, address, name) == expected(*answers)


@given(CLUSTER, CLUSTER)
@settings(deadline=None, max_examples=40)
def test_a_change_that_is_taken_back_is_told_the_other_way_round(first: Value, second: Value) -> None:
    before, after = manifests(first), manifests(second)
    there = review(inventory(before), inventory(after))
    back = review(inventory(after), inventory(before))
    assert _ways(there.paths) == {(s, d, now, was, c) for s, d, was, now, c in _ways(back.paths)}
    swapped = {"added": "removed", "removed": "added"}
    assert {(one.workload, one.change, one.ingress, one.egress) for one in there.workloads} == {
        (one.workload, swapped[one.change], one.ingress, one.egress) for one in back.workloads
    }
    assert not review(inventory(before), inventory(before))


def _ways(paths: tuple[PathChange, ...]) -> set[tuple[str, str, str, str, str]]:
    return {
        (source, destination, path.was, path.now, path.connections)
        for path in paths
        for source, destination in product(path.sources, path.destinations)
        if source != destination
    }


PODS = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    }
    for name in ("web", "db")
]


def policy(name: str = "db", **spec: Any) -> Value:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], **spec},
    }


def changes(before: list[Value], after: list[Value]) -> set[tuple[str, str, str, str, str]]:
    sides = (inventory(yaml.safe_dump_all([*PODS, *objects])) for objects in (before, after))
    return _ways(path_changes(*sides))


def test_pods_that_are_not_among_the_inputs_are_ends_as_well() -> None:
    everywhere = policy(ingress=[{"from": [{"namespaceSelector": {}}]}])
    found = changes([policy()], [everywhere])
    assert ("{any other pod}", "shop/db[Pod]", "closed", "open", "All Connections") in found
    assert ("shop/web[Pod]", "shop/db[Pod]", "closed", "open", "All Connections") in found
    assert not any("/0" in source for source, *_ in found), "addresses stay closed"


def test_pods_that_only_one_side_names_are_ends_of_both() -> None:
    named = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {"app": "prometheus"}},
    }
    opening = policy(ingress=[{"from": [named], "ports": [{"port": 9090}]}])
    end = "monitoring/{pods app=prometheus}"
    assert changes([policy()], [opening]) == {(end, "shop/db[Pod]", "closed", "open", "TCP 9090")}
    assert changes([opening], [policy()]) == {(end, "shop/db[Pod]", "open", "closed", "TCP 9090")}


def test_the_name_server_is_an_end() -> None:
    dns = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
    closed = policy(policyTypes=["Egress"])
    opened = policy(policyTypes=["Egress"], egress=[{"to": [dns], "ports": [{"port": 53, "protocol": "UDP"}]}])
    assert changes([closed], [opened]) == {("shop/db[Pod]", "{cluster DNS}", "closed", "open", "UDP 53")}


def test_what_becomes_uncertain_is_neither_opened_nor_closed() -> None:
    cilium = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {"endpointSelector": {}},
    }
    found = changes([policy()], [policy(), cilium])
    assert ("shop/web[Pod]", "shop/db[Pod]", "closed", "not-evaluated", "All Connections") in found
    assert {(was, now) for _, _, was, now, _ in found} == {("closed", "not-evaluated"), ("open", "not-evaluated")}


def test_what_does_it_is_named_with_its_line() -> None:
    before = inventory(yaml.safe_dump_all([*PODS, policy()]))
    (path,) = path_changes(before, inventory(yaml.safe_dump_all(PODS)))[:1]
    assert [(cause.side, cause.effect) for cause in path.causes] == [("after", "opens"), ("before", "closes")]
    (after, gone) = path.causes
    assert after.text == "ingress: no policy isolates the destination for ingress"
    assert str(gone.object) == "NetworkPolicy shop/db"
    assert gone.location is not None
    assert gone.text.startswith("ingress: NetworkPolicy shop/db isolates the destination")


def test_a_new_workload_is_told_once_and_not_as_its_ways() -> None:
    many = [{**pod, "metadata": {**pod["metadata"], "name": f"p{n}"}} for n in range(30) for pod in PODS]
    found = review(inventory(yaml.safe_dump_all(PODS)), inventory(yaml.safe_dump_all([*PODS, *many])))
    assert not found.paths
    assert len({one.workload for one in found.workloads}) == 30
    assert {one.ingress for one in found.workloads} == {"every pod and address, on every port"}


def test_many_workloads_that_are_alike_are_one_entry() -> None:
    many = [
        {**PODS[0], "metadata": {"name": f"p{n}", "namespace": "shop", "labels": {"app": f"a{n}"}}} for n in range(40)
    ]
    sides = (inventory(yaml.safe_dump_all([*many, *PODS, *some])) for some in ([policy()], []))
    paths = path_changes(*sides)
    # From pods of the inputs and from those that are not, and from addresses.
    assert len(paths) <= 2
    assert max(len(path.sources) for path in paths) > 40
