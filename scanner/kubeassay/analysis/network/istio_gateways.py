"""Istio's gateways: which pods they are, and to which Services VirtualServices lead from them.

Source: istio/istio, pilot/pkg/model/push_context.go (mergeGateways: a Gateway's selector is matched in all namespaces
unless PILOT_SCOPE_GATEWAY_TO_NAMESPACE says otherwise) and gateway.go @ee3833f (resolvePorts), pkg/config/model.go
(ResolveShortnameToFQDN), pilot/pkg/networking/core/route/route.go (GetDestinationCluster).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.gateways import hosts_meet
from kubeassay.analysis.network.services import Dangling, Service, ServicePort, nearest
from kubeassay.analysis.network.ways_in import Exposure, Step, WaysIn, load_balancer
from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Inventory, Object, Path

GROUP = "networking.istio.io"
#: The gateway that stands for all sidecars.
MESH = "mesh"


@dataclass(frozen=True, slots=True)
class _Server:
    path: Path
    port: int
    #: (namespace of the VirtualServices that it takes: "*" any, host).
    hosts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Gateway:
    obj: Object
    pods: tuple[Workload, ...]
    servers: tuple[_Server, ...]
    public: bool | None

    def __str__(self) -> str:
        return f"Gateway {namespace_of(self.obj)}/{self.obj.ref.name}"


@dataclass(frozen=True, slots=True)
class _Destination:
    """A Service that a route leads to. ``path``: from the root of ``obj`` to the destination. ``port`` is None where
    the route names none. ``gateways``: where the route applies; None: wherever its VirtualService does."""

    obj: Object
    path: Path
    service: Service
    port: ServicePort | None
    gateways: frozenset[str] | None


def add(ways: WaysIn) -> None:
    """Follow all Gateways and VirtualServices of Istio."""
    inventory = ways.inventory
    fronts = _services_by_workload(ways) if inventory.of_kind("Gateway", GROUP) else {}
    gateways = {obj: _gateway(ways, obj, fronts) for obj in inventory.of_kind("Gateway", GROUP)}
    external = _service_entry_hosts(inventory)
    for obj in inventory.of_kind("VirtualService", GROUP):
        destinations = list(_destinations(ways, obj, external))
        for number, named in enumerate(items(mapping(obj.value.get("spec")).get("gateways"))):
            if not isinstance(named, str) or named == MESH:
                continue
            path: Path = ("spec", "gateways", number)
            namespace, name = gateway_name(named, namespace_of(obj))
            found = nearest(inventory, GROUP, "Gateway", namespace, name, obj.file)
            leading = [d for d in destinations if d.gateways is None or f"{namespace}/{name}" in d.gateways]
            if found is None:
                ways.dangle(Dangling(obj, path, f"Gateway {namespace}/{name} is not among the inputs"))
                for destination in leading:
                    _expose(ways, (), destination, (), None, ())
                continue
            gateway = gateways[found]
            servers = _servers_for(obj, gateway)
            if not servers:
                ways.dangle(Dangling(obj, path, f"no server of {gateway} takes its hosts from its namespace"))
                continue
            if not _exported_to(obj, gateway):
                ways.dangle(Dangling(obj, path, f"it is not exported to the namespace of the pods of {gateway}"))
                continue
            via = (Step(found, servers[0].path, f"{gateway}, port {servers[0].port}"),)
            ports = tuple(server.port for server in servers)
            for destination in leading:
                _expose(ways, via, destination, ports, gateway.public, gateway.pods)


#: The label of a Service whose ports say nothing of where a gateway's pods listen.
_UNTRANSLATED = "experimental.istio.io/disable-gateway-port-translation"
#: id of a workload → the Services' ports that lead to it, with the port of the pod.
_Fronts = Mapping[int, list[tuple[Service, ServicePort, int]]]


def _services_by_workload(ways: WaysIn) -> _Fronts:
    found: dict[int, list[tuple[Service, ServicePort, int]]] = defaultdict(list)
    for service in ways.services.by_object.values():
        if _UNTRANSLATED in labels_of(service.obj.value):
            continue
        for port in service.ports:
            for target in port.targets:
                found[id(target.workload)].append((service, port, target.port))
    return found


def _gateway(ways: WaysIn, obj: Object, fronts: _Fronts) -> _Gateway:
    spec = mapping(obj.value.get("spec"))
    selector = labels_of({"metadata": {"labels": spec.get("selector")}})
    # Without a selector a Gateway is every gateway's: which these are nothing says.
    pods = ways.services.pods.with_labels(None, selector) if selector else ()
    if selector and not pods:
        words = ", ".join(f"{label}={value}" for label, value in selector.items())
        ways.dangle(Dangling(obj, ("spec", "selector"), f"no workload has pods with {words}"))
    servers = tuple(_servers(obj, spec))
    numbers = {server.port for server in servers}
    publics: set[bool | None] = set()
    for pod in pods:
        listening = [front for front in fronts.get(id(pod), []) if front[1].number in numbers]
        for service, _, _ in listening:
            if service.type == "LoadBalancer":
                publics.add(load_balancer(service.obj)[0])
    public = True if True in publics else False if publics == {False} else None
    gateway = _Gateway(obj, pods, servers, public)
    for server in servers:
        step = Step(obj, server.path, f"{gateway}, port {server.port}")
        for pod in pods:
            # It listens on what a Service's port of that number leads to; on the number itself where there is none.
            port = next((at for _, front, at in fronts.get(id(pod), []) if front.number == server.port), server.port)
            ways.add(Exposure(pod, "istio-gateway", (step,), "TCP", port, public, (), pods))
    return gateway


def _servers(obj: Object, spec: Mapping[str, Any]) -> Iterator[_Server]:
    for number, server in enumerate(items(spec.get("servers"))):
        port = port_number(mapping(mapping(server).get("port")).get("number"))
        if port is None:
            continue
        hosts: list[tuple[str, str]] = []
        for host in items(mapping(server).get("hosts")):
            namespace, slash, name = string(host).rpartition("/")
            namespace = namespace if slash else "*"
            hosts.append((namespace_of(obj) if namespace == "." else namespace, name))
        yield _Server(("spec", "servers", number), port, tuple(hosts))


def gateway_name(named: str, namespace: str) -> tuple[str, str]:
    stated, slash, name = named.partition("/")
    return (namespace if stated == "." else stated, name) if slash else (namespace, named)


def _servers_for(obj: Object, gateway: _Gateway) -> tuple[_Server, ...]:
    """The servers of a gateway that take hosts of a VirtualService."""
    namespace = namespace_of(obj)
    hosts = [full_name(string(host), namespace) for host in items(mapping(obj.value.get("spec")).get("hosts"))]
    return tuple(
        server
        for server in gateway.servers
        if any(
            allowed in ("*", namespace) and any(hosts_meet(name, host) for host in hosts)
            for allowed, name in server.hosts
        )
    )


def _exported_to(obj: Object, gateway: _Gateway) -> bool:
    """Whether the gateway's pods see a VirtualService; True where the pods are not known."""
    exported = {string(to) for to in items(mapping(obj.value.get("spec")).get("exportTo"))}
    if not exported or "*" in exported or not gateway.pods:
        return True
    visible = {namespace_of(obj) if to == "." else to for to in exported}
    return any(pod.namespace in visible for pod in gateway.pods)


def full_name(host: str, namespace: str, domain: str = "cluster.local") -> str:
    """A host as an object of a namespace means it, in a cluster of a domain: only one without dots is completed."""
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.{domain}"


def _expose(
    ways: WaysIn,
    via: tuple[Step, ...],
    destination: _Destination,
    server_ports: tuple[int, ...],
    public: bool | None,
    pods: tuple[Workload, ...],
) -> None:
    service, obj = destination.service, destination.obj
    ports = [destination.port] if destination.port is not None else list(service.ports)
    if destination.port is None and len(ports) > 1:
        # The port of the server's number; without knowing the servers, any.
        ports = [port for port in ports if port.number in server_ports] if server_ports else ports
        if not ports:
            words = f"names no port, and {service} has several, none of the number of the gateway's"
            ways.dangle(Dangling(obj, destination.path, words))
    step = Step(obj, destination.path, f"VirtualService {namespace_of(obj)}/{obj.ref.name}")
    ways.through("istio-gateway", (*via, step), service, ports, public, pods)


def _destinations(ways: WaysIn, obj: Object, external: Hosts) -> Iterator[_Destination]:
    for route_of, path, destination, gateways in _routes(ways, obj):
        host = string(destination.get("host"))
        if not host:
            continue
        service = _service(ways, route_of, path, host, external)
        if service is None:
            continue
        wanted = port_number(mapping(destination.get("port")).get("number"))
        port = ways.port(route_of, (*path, "port"), service, wanted) if wanted is not None else None
        if wanted is None or port is not None:
            yield _Destination(route_of, path, service, port, gateways)


def _service(ways: WaysIn, obj: Object, path: Path, host: str, external: Hosts) -> Service | None:
    """The Service that a host names. A name without dots is in the namespace of the VirtualService."""
    own = namespace_of(obj)
    parts = host.removesuffix(".").split(".")
    in_cluster = len(parts) == 1 or parts[2:3] == ["svc"]
    found = None
    if in_cluster or len(parts) == 2:
        name, namespace = parts[0], parts[1] if len(parts) > 1 else own
        found = ways.services.named(namespace, name, obj)
    if found is None and full_name(host, own) not in external:
        words = f"no Service or ServiceEntry among the inputs has the host {host}"
        ways.dangle(Dangling(obj, (*path, "host"), words))
    return found


class Hosts:
    """Names of hosts, some of which begin with a wildcard."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(hosts)

    def __contains__(self, host: str) -> bool:
        if host in self._hosts or "*" in self._hosts:
            return True
        labels = host.split(".")
        return any(".".join(("*", *labels[n:])) in self._hosts for n in range(1, len(labels)))


def _service_entry_hosts(inventory: Inventory) -> Hosts:
    return Hosts(
        full_name(string(host), namespace_of(obj))
        for obj in inventory.of_kind("ServiceEntry", GROUP)
        for host in items(mapping(obj.value.get("spec")).get("hosts"))
        if string(host)
    )


_Route = tuple[Object, Path, Mapping[str, Any], frozenset[str] | None]


def _routes(ways: WaysIn, obj: Object) -> Iterator[_Route]:
    """The destinations of a VirtualService: the object that states each (a delegate, perhaps), and where."""
    spec = mapping(obj.value.get("spec"))
    for protocol in ("http", "tls", "tcp"):
        for number, route in enumerate(items(spec.get(protocol))):
            route = mapping(route)
            path: Path = ("spec", protocol, number)
            gateways = _match_gateways(route, namespace_of(obj))
            yield from ((obj, at, to, gateways) for at, to in destinations_of(route, path))
            delegate = mapping(route.get("delegate"))
            name = string(delegate.get("name"))
            if protocol != "http" or not name:
                continue
            namespace = string(delegate.get("namespace")) or namespace_of(obj)
            found = nearest(ways.inventory, GROUP, "VirtualService", namespace, name, obj.file)
            if found is None:
                words = f"VirtualService {namespace}/{name} is not among the inputs"
                ways.dangle(Dangling(obj, (*path, "delegate"), words))
                continue
            # A delegate has no delegates: one step is all that there is.
            for index, inner in enumerate(items(mapping(found.value.get("spec")).get("http"))):
                inner_path: Path = ("spec", "http", index)
                yield from ((found, at, to, gateways) for at, to in destinations_of(mapping(inner), inner_path))


def destinations_of(route: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    destinations = items(route.get("route"))
    for number, entry in enumerate(destinations):
        entry = mapping(entry)
        # Of several, one of weight 0 (or none, when others have one) gets no traffic; a single one gets all.
        if len(destinations) > 1 and not entry.get("weight") and any(mapping(d).get("weight") for d in destinations):
            continue
        yield (*path, "route", number, "destination"), mapping(entry.get("destination"))
    if isinstance(route.get("mirror"), dict):
        yield (*path, "mirror"), route["mirror"]
    for number, mirror in enumerate(items(route.get("mirrors"))):
        yield (*path, "mirrors", number, "destination"), mapping(mapping(mirror).get("destination"))


def _match_gateways(route: Mapping[str, Any], namespace: str) -> frozenset[str] | None:
    """The gateways that the conditions of a route name; None where one of them names none, or there is none."""
    named: set[str] = set()
    for match in items(route.get("match")):
        gateways = [string(name) for name in items(mapping(match).get("gateways"))]
        if not gateways:
            return None
        named.update("/".join(gateway_name(name, namespace)) for name in gateways)
    return frozenset(named) if named else None
