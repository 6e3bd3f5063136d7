"""The Gateway API: which routes attach to which listeners of Gateways, and to which Services they lead.

Source: kubernetes-sigs/gateway-api @aead445, apis/v1/{gateway,httproute,shared}_types.go, apis/v1beta1
(ReferenceGrant), and site-src/api-types/referencegrant.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.network.endpoints import namespace_of, namespaces
from kubeassay.analysis.network.services import Dangling, Service, ServicePort, nearest
from kubeassay.analysis.network.ways_in import Step, WaysIn, load_balancer_public, of_the_internet
from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.analysis.selectors import Selector, label_selector
from kubeassay.model import Inventory, Object, Path

GROUP = "gateway.networking.k8s.io"
#: Kind of route → the protocols of listeners that take it.
ROUTES: Mapping[str, frozenset[str]] = {
    "HTTPRoute": frozenset({"HTTP", "HTTPS"}),
    "GRPCRoute": frozenset({"HTTP", "HTTPS"}),
    "TLSRoute": frozenset({"TLS"}),
    "TCPRoute": frozenset({"TCP", "TLS"}),
    "UDPRoute": frozenset({"UDP"}),
}
#: Parents that mean traffic inside a mesh, not from outside (GAMMA).
_MESH_PARENTS = (("", "Service"), ("networking.istio.io", "ServiceEntry"))
#: Kinds of routes that choose by name of host.
_WITH_HOSTNAMES = ("HTTPRoute", "GRPCRoute", "TLSRoute")


@dataclass(frozen=True, slots=True)
class _Listener:
    path: Path
    name: str
    port: int | None
    protocol: str
    hostname: str
    #: "Same", "All", "Selector" or "None".
    namespaces_from: str
    namespaces: Selector
    #: Kinds of routes that it takes; empty: those that suit its protocol.
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Backend:
    """A port of a Service that a route leads to. ``path``: from the route's root to what says so."""

    path: Path
    service: Service
    port: ServicePort


def add(ways: WaysIn) -> None:
    """Follow all routes of the Gateway API."""
    routes = [obj for kind in ROUTES for obj in ways.inventory.of_kind(kind, GROUP)]
    if not routes:
        return
    labels = {
        name: namespace.labels
        for name, namespace in namespaces(ways.inventory, frozenset(namespace_of(obj) for obj in routes)).items()
    }
    grants = _grants(ways.inventory)
    listeners: dict[int, tuple[_Listener, ...]] = {}
    for route in routes:
        backends = list(_backends(ways, route, grants))
        for number, parent in enumerate(items(mapping(route.value.get("spec")).get("parentRefs"))):
            parent = mapping(parent)
            path: Path = ("spec", "parentRefs", number)
            kind = (parent.get("group", GROUP), parent.get("kind", "Gateway"))
            if kind in _MESH_PARENTS:
                continue
            if kind != (GROUP, "Gateway"):
                # A ListenerSet, or what an implementation has: that it lets traffic in is all that is known.
                _expose(ways, (), route, backends, None)
                continue
            namespace = string(parent.get("namespace")) or namespace_of(route)
            name = string(parent.get("name"))
            gateway = nearest(ways.inventory, GROUP, "Gateway", namespace, name, route.file)
            if gateway is None:
                ways.dangle(Dangling(route, path, f"Gateway {namespace}/{name} is not among the inputs"))
                _expose(ways, (), route, backends, None)
                continue
            if id(gateway) not in listeners:
                listeners[id(gateway)] = tuple(_listeners(gateway))
            taken = _attach(route, parent, gateway, listeners[id(gateway)], labels[namespace_of(route)])
            if isinstance(taken, str):
                ways.dangle(Dangling(route, path, taken))
                continue
            words = f"Gateway {namespace}/{name}, listener {taken.name} on port {taken.port}"
            _expose(ways, (Step(gateway, taken.path, words),), route, backends, _public(gateway))


def _expose(ways: WaysIn, via: tuple[Step, ...], route: Object, backends: list[_Backend], public: bool | None) -> None:
    for backend in backends:
        step = Step(route, backend.path, f"{route.ref.kind} {namespace_of(route)}/{route.ref.name}")
        ways.through("gateway", (*via, step), backend.service, (backend.port,), public)


def _listeners(gateway: Object) -> Iterator[_Listener]:
    for number, listener in enumerate(items(mapping(gateway.value.get("spec")).get("listeners"))):
        listener = mapping(listener)
        allowed = mapping(listener.get("allowedRoutes"))
        from_ = mapping(allowed.get("namespaces"))
        yield _Listener(
            path=("spec", "listeners", number),
            name=string(listener.get("name")),
            port=port_number(listener.get("port")),
            protocol=string(listener.get("protocol")),
            hostname=string(listener.get("hostname")),
            namespaces_from=string(from_.get("from")) or "Same",
            namespaces=label_selector(from_.get("selector")),
            kinds=frozenset(
                string(mapping(kind).get("kind"))
                for kind in items(allowed.get("kinds"))
                if mapping(kind).get("group", GROUP) == GROUP
            ),
        )


def _attach(
    route: Object,
    parent: Mapping[str, Any],
    gateway: Object,
    listeners: tuple[_Listener, ...],
    namespace_labels: Mapping[str, str],
) -> _Listener | str:
    """The first listener of a Gateway that takes a route, or why none does."""
    name = f"Gateway {namespace_of(gateway)}/{gateway.ref.name}"
    section = string(parent.get("sectionName"))
    port = port_number(parent.get("port"))
    named = [
        listener for listener in listeners if section in ("", listener.name) and (port is None or port == listener.port)
    ]
    if not named:
        wanted = " ".join((*([f"named {section}"] if section else []), *([f"on port {port}"] if port else [])))
        return f"{name} has no listener {wanted}".rstrip()
    kind = route.ref.kind
    suitable = [
        listener
        for listener in named
        # Protocols of implementations (example.com/xyz) take what their kinds say.
        if (not listener.kinds or kind in listener.kinds)
        and ("/" in listener.protocol or listener.protocol in ROUTES[kind])
    ]
    if not suitable:
        return f"no listener of {name} takes a {kind}"
    allowing = [listener for listener in suitable if _allows(listener, route, gateway, namespace_labels)]
    if not allowing:
        return f"{name} takes no routes from namespace {namespace_of(route)}"
    hostnames = [string(h) for h in items(mapping(route.value.get("spec")).get("hostnames")) if string(h)]
    if kind not in _WITH_HOSTNAMES or not hostnames:
        return allowing[0]
    for listener in allowing:
        if not listener.hostname or any(hosts_meet(listener.hostname, hostname) for hostname in hostnames):
            return listener
    return f"{name} has no hostname in common with the route"


def _allows(listener: _Listener, route: Object, gateway: Object, labels: Mapping[str, str]) -> bool:
    if listener.namespaces_from == "All":
        return True
    if listener.namespaces_from == "Selector":
        return listener.namespaces.matches(labels)
    return listener.namespaces_from == "Same" and namespace_of(route) == namespace_of(gateway)


def hosts_meet(first: str, second: str) -> bool:
    """Whether two names of hosts, either of which may begin with a wildcard label (or be one), have a host in common.

    A wildcard stands for one label or more, also in the Gateway API ("suffix matching").
    """
    first, second = first.lower(), second.lower()
    if first == second or "*" in (first, second):
        return True
    if first.startswith("*."):
        return second.endswith(first[1:]) or (second.startswith("*.") and first.endswith(second[1:]))
    return second.startswith("*.") and first.endswith(second[1:])


#: (namespace of the Service, kind of route, namespace of the route) → names of Services; "" for all.
_Grants = Mapping[tuple[str, str, str], frozenset[str]]


def _grants(inventory: Inventory) -> _Grants:
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for grant in inventory.of_kind("ReferenceGrant", GROUP):
        spec = mapping(grant.value.get("spec"))
        services = {
            string(mapping(to).get("name"))
            for to in items(spec.get("to"))
            if mapping(to).get("group", "") == "" and mapping(to).get("kind") == "Service"
        }
        for from_ in items(spec.get("from")):
            from_ = mapping(from_)
            if services and from_.get("group") == GROUP:
                key = (namespace_of(grant), string(from_.get("kind")), string(from_.get("namespace")))
                found[key] |= services
    return {key: frozenset(names) for key, names in found.items()}


def _backends(ways: WaysIn, route: Object, grants: _Grants) -> Iterator[_Backend]:
    own = namespace_of(route)
    for path, reference in _references(route):
        # Other kinds (a bucket, a ServiceImport of another cluster) lead to no pods here.
        if reference.get("group", "") != "" or reference.get("kind", "Service") != "Service":
            continue
        # No traffic is sent to a backend of weight 0.
        if reference.get("weight") == 0:
            continue
        namespace, name = string(reference.get("namespace")) or own, string(reference.get("name"))
        service = ways.service(route, (*path, "name"), namespace, name)
        if service is None:
            continue
        if namespace != own and not grants.get((namespace, route.ref.kind, own), frozenset()) & {"", name}:
            words = f"no ReferenceGrant in namespace {namespace} lets a {route.ref.kind} of {own} use Service {name}"
            ways.dangle(Dangling(route, (*path, "namespace"), words))
            continue
        wanted = port_number(reference.get("port"))
        if wanted is None:
            ways.dangle(Dangling(route, path, f"names no port of {service}"))
            continue
        port = ways.port(route, (*path, "port"), service, wanted)
        if port is not None:
            yield _Backend(path, service, port)


def _references(route: Object) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The backends of a route, and those that its requests are mirrored to."""
    for number, rule in enumerate(items(mapping(route.value.get("spec")).get("rules"))):
        rule_path: Path = ("spec", "rules", number)
        yield from _mirrors(rule_path, mapping(rule))
        for index, reference in enumerate(items(mapping(rule).get("backendRefs"))):
            path = (*rule_path, "backendRefs", index)
            yield path, mapping(reference)
            yield from _mirrors(path, mapping(reference))


def _mirrors(path: Path, parent: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for number, filter_ in enumerate(items(parent.get("filters"))):
        backend = mapping(mapping(filter_).get("requestMirror")).get("backendRef")
        if isinstance(backend, dict):
            yield (*path, "filters", number, "requestMirror", "backendRef"), backend


#: Classes of GKE's controller: cloud.google.com/kubernetes-engine/docs/concepts/gateway-api.
_CLASSES: Mapping[str, bool] = {
    "gke-l7-global-external-managed": True,
    "gke-l7-global-external-managed-mc": True,
    "gke-l7-regional-external-managed": True,
    "gke-l7-regional-external-managed-mc": True,
    "gke-l7-gxlb": True,
    "gke-l7-gxlb-mc": True,
    "gke-l7-rilb": False,
    "gke-l7-rilb-mc": False,
    "gke-l7-cross-regional-internal-managed-mc": False,
}


def _public(gateway: Object) -> bool | None:
    known = _CLASSES.get(string(gateway.get("spec", "gatewayClassName")))
    if known is not None:
        return known
    known = load_balancer_public(mapping(gateway.get("spec", "infrastructure", "annotations")))
    if known is not None:
        return known
    given = (*items(gateway.get("spec", "addresses")), *items(gateway.get("status", "addresses")))
    return of_the_internet(
        string(mapping(address).get("value"))
        for address in given
        if mapping(address).get("type", "IPAddress") == "IPAddress"
    )
