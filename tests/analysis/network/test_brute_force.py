"""Connectivity compared with an evaluator that knows no sets: it asks each policy about one connection at a time."""

from __future__ import annotations

import ipaddress
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import objects_in
from kubeassay.analysis.network.connections import ALL, Protocol, addresses, ports
from kubeassay.analysis.network.connectivity import Answer, Connectivity, connectivity
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.explain import Reason, reasons
from kubeassay.model import Inventory

Value = dict[str, Any]
PORTS = (1, 80, 81, 82, 443)
PROTOCOLS: tuple[Protocol, ...] = ("TCP", "UDP")
OUTSIDE = ("10.0.0.1", "10.1.0.1", "10.1.2.3", "192.0.2.1")

# --- one connection ---


def selects(selector: Value | None, labels: Value) -> bool:
    if selector is None:
        return True
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for wanted in selector.get("matchExpressions") or ():
        has, value, values = wanted["key"] in labels, labels.get(wanted["key"]), wanted.get("values") or []
        fits = {
            "In": has and value in values,
            "NotIn": not has or value not in values,
            "Exists": has,
            "DoesNotExist": not has,
        }[wanted["operator"]]
        if not fits:
            return False
    return True


def namespace_labels(cluster: Value, name: str) -> Value:
    return {"kubernetes.io/metadata.name": name, **cluster["namespaces"][name]}


def port_fits(stated: Value, destination: Value | str, protocol: str, port: int) -> bool:
    if (stated.get("protocol") or "TCP") != protocol:
        return False
    wanted = stated.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return not isinstance(destination, str) and any(
            own["name"] == wanted and own["protocol"] == protocol and own["containerPort"] == port
            for own in destination["ports"]
        )
    return bool(wanted <= port <= stated.get("endPort", wanted))


def peer_fits(cluster: Value, peer: Value, home: str, end: Value | str) -> bool:
    if "ipBlock" in peer:
        if not isinstance(end, str):
            return False
        address = ipaddress.ip_address(end)
        return address in ipaddress.ip_network(peer["ipBlock"]["cidr"]) and not any(
            address in ipaddress.ip_network(block) for block in peer["ipBlock"].get("except", ())
        )
    if isinstance(end, str):
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], namespace_labels(cluster, end["namespace"])):
            return False
    elif end["namespace"] != home:
        return False
    return selects(peer.get("podSelector"), end["labels"])


def np_says(
    cluster: Value, pod: Value, other: Value | str, direction: str, dst: Value | str, protocol: str, port: int
) -> bool | None:
    """Whether NetworkPolicies allow it; None where none selects the pod."""
    isolated = False
    for policy in cluster["policies"]:
        spec = policy["spec"]
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
        if policy["namespace"] != pod["namespace"] or direction.capitalize() not in types:
            continue
        if not selects(spec["podSelector"], pod["labels"]):
            continue
        isolated = True
        for rule in spec.get(direction) or ():
            peers = rule.get("from" if direction == "ingress" else "to") or ()
            if peers and not any(peer_fits(cluster, peer, policy["namespace"], other) for peer in peers):
                continue
            stated = rule.get("ports") or ()
            if not stated or any(port_fits(one, dst, protocol, port) for one in stated):
                return True
    return False if isolated else None


def admin_peer_fits(cluster: Value, peer: Value, end: Value | str) -> bool:
    if "networks" in peer:
        if not isinstance(end, str):
            # Addresses of pods are not known; what holds all of them holds these.
            return "0.0.0.0/0" in peer["networks"]
        return any(ipaddress.ip_address(end) in ipaddress.ip_network(block) for block in peer["networks"])
    if isinstance(end, str):
        return False
    labels = namespace_labels(cluster, end["namespace"])
    if "namespaces" in peer:
        return selects(peer["namespaces"], labels)
    return selects(peer["pods"]["namespaceSelector"], labels) and selects(peer["pods"]["podSelector"], end["labels"])


def admin_says(
    cluster: Value, tier: str, pod: Value, other: Value | str, direction: str, protocol: str, port: int
) -> str | None:
    for policy in sorted(cluster[tier], key=lambda policy: policy.get("priority", 0)):
        if not admin_peer_fits(cluster, policy["subject"], pod):
            continue
        for rule in policy.get(direction) or ():
            if not any(
                admin_peer_fits(cluster, peer, other) for peer in rule["from" if direction == "ingress" else "to"]
            ):
                continue
            stated = rule.get("ports") or ()
            for one in stated:
                span = one.get("portRange") or {**one["portNumber"], "start": one["portNumber"]["port"]}
                if span["protocol"] == protocol and span["start"] <= port <= span.get("end", span["start"]):
                    break
            else:
                if stated:
                    continue
            return str(rule["action"])
    return None


def direction_allows(
    cluster: Value, pod: Value | str, other: Value | str, direction: str, dst: Value | str, protocol: str, port: int
) -> bool:
    if isinstance(pod, str):
        return True
    verdict = admin_says(cluster, "admin", pod, other, direction, protocol, port)
    if verdict in ("Allow", "Deny"):
        return verdict == "Allow"
    said = np_says(cluster, pod, other, direction, dst, protocol, port)
    if said is not None:
        return said
    return admin_says(cluster, "baseline", pod, other, direction, protocol, port) != "Deny"


def allowed(cluster: Value, src: Value | str, dst: Value | str, protocol: str, port: int) -> bool:
    return direction_allows(cluster, src, dst, "egress", dst, protocol, port) and direction_allows(
        cluster, dst, src, "ingress", dst, protocol, port
    )


# --- random clusters ---

KEYS, VALUES = ("app", "tier"), ("a", "b")
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
NAMESPACES = ("one", "two", "three")
EXPRESSION = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(KEYS),
            "operator": st.sampled_from(("In", "NotIn")),
            "values": st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True),
        }
    ),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "operator": st.sampled_from(("Exists", "DoesNotExist"))}),
)
SELECTOR = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSION, max_size=2)}
)
NAMESPACE_SELECTOR = st.one_of(
    SELECTOR,
    st.sampled_from(NAMESPACES).map(lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}}),
)
BLOCK = st.sampled_from(
    (
        {"cidr": "0.0.0.0/0"},
        {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
        {"cidr": "10.1.2.0/24"},
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]},
    )
)
PEER = st.one_of(
    BLOCK.map(lambda block: {"ipBlock": block}),
    st.fixed_dictionaries({"podSelector": SELECTOR}),
    st.fixed_dictionaries({"namespaceSelector": NAMESPACE_SELECTOR}, optional={"podSelector": SELECTOR}),
)
PROTOCOL = st.sampled_from(PROTOCOLS)
NAMED = st.fixed_dictionaries({"port": st.sampled_from(("http", "web"))}, optional={"protocol": PROTOCOL})
PORT = st.one_of(
    st.fixed_dictionaries({}, optional={"protocol": PROTOCOL}),
    st.fixed_dictionaries({"port": st.sampled_from((80, 81, 443))}, optional={"protocol": PROTOCOL}),
    st.fixed_dictionaries({"port": st.just(80), "endPort": st.sampled_from((81, 443))}),
    NAMED,
    NAMED,
)


def rules_of(peers: str) -> st.SearchStrategy[list[Value]]:
    rule = st.fixed_dictionaries({}, optional={peers: st.lists(PEER, max_size=2), "ports": st.lists(PORT, max_size=2)})
    return st.lists(rule, max_size=2)


POLICY = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(NAMESPACES),
        "spec": st.fixed_dictionaries(
            {"podSelector": st.one_of(st.just({}), SELECTOR), "ingress": rules_of("from"), "egress": rules_of("to")},
            optional={"policyTypes": st.lists(st.sampled_from(("Ingress", "Egress")), max_size=2, unique=True)},
        ),
    }
)
ADMIN_PODS = st.one_of(
    st.fixed_dictionaries({"namespaces": NAMESPACE_SELECTOR}),
    st.fixed_dictionaries(
        {"pods": st.fixed_dictionaries({"namespaceSelector": NAMESPACE_SELECTOR, "podSelector": SELECTOR})}
    ),
)
NETWORKS = st.sampled_from((["0.0.0.0/0"], ["10.0.0.0/8"], ["10.1.2.0/24", "192.0.2.0/24"])).map(
    lambda blocks: {"networks": blocks}
)
ADMIN_PORT = st.one_of(
    st.fixed_dictionaries(
        {"portNumber": st.fixed_dictionaries({"protocol": PROTOCOL, "port": st.sampled_from((80, 81))})}
    ),
    st.fixed_dictionaries(
        {"portRange": st.fixed_dictionaries({"protocol": PROTOCOL, "start": st.just(80), "end": st.just(443)})}
    ),
)


def admin_rules(name: str, actions: tuple[str, ...]) -> st.SearchStrategy[list[Value]]:
    peer = ADMIN_PODS if name == "from" else st.one_of(ADMIN_PODS, NETWORKS)
    rule = st.fixed_dictionaries(
        {"action": st.sampled_from(actions), name: st.lists(peer, min_size=1, max_size=2)},
        optional={"ports": st.lists(ADMIN_PORT, min_size=1, max_size=2)},
    )
    return st.lists(rule, max_size=2)


def admin_policies(actions: tuple[str, ...]) -> st.SearchStrategy[Value]:
    return st.fixed_dictionaries(
        {"subject": ADMIN_PODS},
        optional={"ingress": admin_rules("from", actions), "egress": admin_rules("to", actions)},
    )


POD = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(NAMESPACES),
        "labels": LABELS,
        "ports": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(("http", "web")),
                    "protocol": PROTOCOL,
                    "containerPort": st.sampled_from((80, 82)),
                }
            ),
            min_size=1,
            max_size=2,
        ),
    }
)
CLUSTER = st.fixed_dictionaries(
    {
        "namespaces": st.fixed_dictionaries(dict.fromkeys(NAMESPACES, LABELS)),
        "pods": st.lists(POD, min_size=2, max_size=4),
        "policies": st.lists(POLICY, min_size=1, max_size=5),
        "admin": st.lists(admin_policies(("Allow", "Deny", "Pass")), max_size=3),
        "baseline": st.lists(admin_policies(("Allow", "Deny")), max_size=1),
    }
)


def manifests(cluster: Value) -> str:
    documents: list[Value] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in cluster["namespaces"].items()
    ]
    for number, pod in enumerate(cluster["pods"]):
        metadata = {"name": f"p{number}", "namespace": pod["namespace"], "labels": pod["labels"]}
        container = {"name": "app", "image": "registry.example/app:1", "ports": pod["ports"]}
        documents.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    for number, policy in enumerate(cluster["policies"]):
        metadata = {"name": f"np{number}", "namespace": policy["namespace"]}
        documents.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": metadata,
                "spec": policy["spec"],
            }
        )
    group = "policy.networking.k8s.io/v1alpha1"
    for number, spec in enumerate(cluster["admin"]):
        spec["priority"] = number
        documents.append(
            {"apiVersion": group, "kind": "AdminNetworkPolicy", "metadata": {"name": f"a{number}"}, "spec": spec}
        )
    for spec in cluster["baseline"]:
        documents.append(
            {"apiVersion": group, "kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"}, "spec": spec}
        )
    return yaml.safe_dump_all(documents)


def is_open(answer: Answer, protocol: Protocol, port: int) -> bool:
    assert not answer.unknown
    return bool(answer.open & ports(protocol, (port, port)))


def end_of(of: Connectivity, cluster: Value, end: Value | str) -> int:
    if isinstance(end, str):
        block = addresses(end)
        assert block is not None
        ((number, _),) = of.range_ends(block)
        return number
    return of.end(workload_of(of, cluster, end))


def workload_of(of: Connectivity, cluster: Value, pod: Value) -> Workload:
    number = next(n for n, other in enumerate(cluster["pods"]) if other is pod)
    (workload,) = of.named(f"{pod['namespace']}/p{number}[Pod]")
    return workload


@settings(deadline=None, max_examples=600)
@given(CLUSTER)
def test_connectivity_is_what_every_single_connection_says(cluster: Value) -> None:
    # Aliases would make one object of equal parts.
    text = manifests(yaml.safe_load(yaml.dump(cluster, Dumper=_NoAliases)))
    for number, spec in enumerate(cluster["admin"]):
        spec["priority"] = number
    of = connectivity(Inventory(objects_in(text)))
    ends = [*cluster["pods"], *OUTSIDE]
    for src in ends:
        for dst in ends:
            if src is dst or (isinstance(src, str) and isinstance(dst, str)):
                continue
            answer = of.answer(end_of(of, cluster, src), end_of(of, cluster, dst))
            effects = {(r.direction, r.effect) for r in why(of, cluster, src, dst)}
            # Whatever is open is opened on both ends, and whatever is not is closed on one.
            for direction, end in (("egress", src), ("ingress", dst)):
                assert isinstance(end, str) or not answer.open or (direction, "opens") in effects
            if answer.open != ALL:
                assert {("egress", "closes"), ("ingress", "closes")} & effects
            for protocol in PROTOCOLS:
                for port in PORTS:
                    expected = allowed(cluster, src, dst, protocol, port)
                    assert is_open(answer, protocol, port) == expected, (src, dst, protocol, port)


def why(of: Connectivity, cluster: Value, src: Value | str, dst: Value | str) -> list[Reason]:
    peer = next((end_of(of, cluster, end) for end in (src, dst) if isinstance(end, str)), of.any_pod)
    source, destination = (None if isinstance(end, str) else workload_of(of, cluster, end) for end in (src, dst))
    return list(reasons(of, source, destination, peer))


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
