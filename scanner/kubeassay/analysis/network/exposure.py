"""Which ports of which pods are exposed to the outside of the cluster, and by what.

Followed are Services (load balancers, node ports, external addresses), Ingresses, routes of the Gateway API, Istio's
gateways with their VirtualServices, OpenShift's Routes, host ports and the host network. Whether policies let the
traffic through is another question: see connectivity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.network import gateways, istio_gateways
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.services import Dangling, Service
from kubeassay.analysis.network.ways_in import (
    Exposure,
    Step,
    WaysIn,
    load_balancer,
    of_the_internet,
    service_step,
)
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.model import Inventory, Object, Path

__all__ = ["Dangling", "Exposure", "Exposures", "Service", "Step", "exposures"]


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """What is exposed, in the order in which it was found; each list of ``by_workload`` is in that order, too.

    ``services``: every Service, resolved. ``dangling``: references that lead nowhere.
    """

    all: tuple[Exposure, ...]
    by_workload: Mapping[Workload, tuple[Exposure, ...]]
    services: Mapping[Object, Service]
    dangling: tuple[Dangling, ...]


def exposures(inventory: Inventory) -> Exposures:
    """What of an inventory is exposed. A route whose gateway is not among the inputs exposes nevertheless: somebody
    wrote it for a gateway that is elsewhere."""
    found: Exposures | None = inventory.facts.get(Exposures)
    if found is None:
        ways = WaysIn(inventory)
        for workload in workloads(inventory):
            _add_host(ways, workload)
        for service in ways.services.by_object.values():
            _add_service(ways, service)
        for obj in _ingresses(inventory):
            _add_ingress(ways, obj)
        gateways.add(ways)
        istio_gateways.add(ways)
        for obj in inventory.of_kind("Route", "route.openshift.io"):
            _add_openshift_route(ways, obj)
        by_workload: dict[Workload, list[Exposure]] = defaultdict(list)
        for exposure in ways.exposures:
            by_workload[exposure.workload].append(exposure)
        found = inventory.facts[Exposures] = Exposures(
            all=ways.exposures,
            by_workload={workload: tuple(of_it) for workload, of_it in by_workload.items()},
            services=ways.services.by_object,
            dangling=ways.dangling,
        )
    return found


def _add_host(ways: WaysIn, workload: Workload) -> None:
    obj = workload.obj
    if workload.host_network:
        spec_path: Path = workload.template.spec_path if workload.template else ("spec",)
        step = Step(obj, (*spec_path, "hostNetwork"), f"{workload} is on the network of its node")
        ways.add(Exposure(workload, "host-network", (step,), "", 0))
        return
    for port in workload.ports:
        # What an operator makes is not in the object: its ports stand nowhere, and have no host ports.
        entry = mapping(obj.get(*port.path))
        host_port = port_number(entry.get("hostPort"))
        address = string(entry.get("hostIP"))
        if host_port is not None and address != "::1" and not address.startswith("127."):
            step = Step(obj, (*port.path, "hostPort"), f"port {host_port} of the node")
            ways.add(Exposure(workload, "host-port", (step,), port.protocol, port.number))


def _add_service(ways: WaysIn, service: Service) -> None:
    # Only what has an address of its own is proxied (kubernetes pkg/proxy/serviceport.go, newBaseServiceInfo;
    # pkg/proxy/util/utils.go, ShouldSkipService).
    if service.headless or service.type == "ExternalName":
        return
    spec = mapping(service.obj.value.get("spec"))
    addresses = [(n, string(address)) for n, address in enumerate(items(spec.get("externalIPs"))) if string(address)]
    public, ranges = load_balancer(service.obj)
    for port in service.ports:
        for target in port.targets:
            workload, protocol, number = target.workload, target.protocol, target.port
            if service.type == "LoadBalancer":
                way = (Step(service.obj, ("spec", "type"), f"load balancer of {service}"), service_step(service, port))
                ways.add(Exposure(workload, "load-balancer", way, protocol, number, public, ranges))
            if _has_node_ports(service, spec, port.node_port):
                at: Path = (*port.path, "nodePort") if port.node_port else ("spec", "type")
                words = f"port {port.node_port} of every node" if port.node_port else "a port of every node"
                way = (Step(service.obj, at, words), service_step(service, port))
                ways.add(Exposure(workload, "node-port", way, protocol, number))
            if addresses:
                listed = ", ".join(address for _, address in addresses)
                at = ("spec", "externalIPs", addresses[0][0])
                way = (Step(service.obj, at, f"{service} has the addresses {listed}"), service_step(service, port))
                routed = of_the_internet(address for _, address in addresses)
                ways.add(Exposure(workload, "external-ip", way, protocol, number, routed))


def _has_node_ports(service: Service, spec: Mapping[str, Any], stated: int | None) -> bool:
    if service.type == "NodePort":
        return True
    # A load balancer sends to node ports unless told that it needs none; a port that is stated opens all the same.
    return service.type == "LoadBalancer" and (spec.get("allocateLoadBalancerNodePorts") is not False or bool(stated))


_INGRESS_GROUPS = ("networking.k8s.io", "extensions")


def _ingresses(inventory: Inventory) -> Iterator[Object]:
    return (obj for obj in inventory.of_kind("Ingress") if obj.ref.group in _INGRESS_GROUPS)


def _add_ingress(ways: WaysIn, obj: Object) -> None:
    namespace = namespace_of(obj)
    public = _ingress_public(obj)
    for path, backend, what in _ingress_backends(obj):
        service_field: Path
        if "service" in backend:
            named = mapping(backend["service"])
            service_field, port_field = ("service", "name"), "port"
            name = string(named.get("name"))
            port = mapping(named.get("port"))
            wanted: int | str | None = string(port.get("name")) or port_number(port.get("number"))
            port_path: Path = (*path, "service", port_field)
        else:
            # networking.k8s.io/v1beta1 and extensions/v1beta1.
            service_field, port_path = ("serviceName",), (*path, "servicePort")
            name = string(backend.get("serviceName"))
            wanted = port_number(backend.get("servicePort")) or string(backend.get("servicePort"))
        if not name:
            # A backend of another kind (a bucket, say): no pods.
            continue
        service = ways.service(obj, (*path, *service_field), namespace, name)
        found = ways.port(obj, port_path, service, wanted) if service is not None and wanted else None
        if service is not None and found is None:
            # ingress-nginx takes the number of the pods' port, too (internal/ingress/controller/controller.go,
            # serviceEndpoints): the reference leads nowhere by the API's word, and exposes them nevertheless.
            found = next((port for port in service.ports if port.target == wanted), None)
        if service is not None and found is not None:
            step = Step(obj, path, f"Ingress {namespace}/{obj.ref.name}, {what}")
            ways.through("ingress", (step,), service, (found,), public)


def _ingress_backends(obj: Object) -> Iterator[tuple[Path, Mapping[str, Any], str]]:
    spec = mapping(obj.value.get("spec"))
    for field in ("defaultBackend", "backend"):
        if isinstance(spec.get(field), dict):
            yield ("spec", field), spec[field], "default backend"
    for number, rule in enumerate(items(spec.get("rules"))):
        host = string(mapping(rule).get("host")) or "any host"
        for index, entry in enumerate(items(mapping(mapping(rule).get("http")).get("paths"))):
            url_path = string(mapping(entry).get("path")) or "/"
            path = ("spec", "rules", number, "http", "paths", index, "backend")
            yield path, mapping(mapping(entry).get("backend")), f"{host} {url_path}"


#: Annotations of Ingresses by which controllers choose the kind of load balancer.
_INGRESS_ANNOTATIONS: Mapping[str, Mapping[str, bool]] = {
    # kubernetes-sigs/aws-load-balancer-controller docs/guide/ingress/annotations.md.
    "alb.ingress.kubernetes.io/scheme": {"internal": False, "internet-facing": True},
    # Azure/application-gateway-kubernetes-ingress docs/annotations.md.
    "appgw.ingress.kubernetes.io/use-private-ip": {"true": False},
    # GKE: "gce" is the external, "gce-internal" the internal application load balancer.
    "kubernetes.io/ingress.class": {"gce": True, "gce-internal": False},
}


def _ingress_public(obj: Object) -> bool | None:
    annotations = mapping(obj.get("metadata", "annotations"))
    for annotation, meanings in _INGRESS_ANNOTATIONS.items():
        known = meanings.get(string(annotations.get(annotation)))
        if known is not None:
            return known
    given = (mapping(entry).get("ip") for entry in items(obj.get("status", "loadBalancer", "ingress")))
    return of_the_internet(address for address in given if isinstance(address, str))


def _add_openshift_route(ways: WaysIn, obj: Object) -> None:
    """Source: openshift/api route/v1/types.go: ``port.targetPort`` is looked up among the endpoints' ports: the name of
    a Service's port, or the number of its target; without it a route leads to all."""
    spec = mapping(obj.value.get("spec"))
    namespace = namespace_of(obj)
    backends: list[tuple[Path, Any]] = [(("spec", "to"), spec.get("to"))]
    alternates = enumerate(items(spec.get("alternateBackends")))
    backends += ((("spec", "alternateBackends", number), backend) for number, backend in alternates)
    for path, backend in backends:
        backend = mapping(backend)
        name = string(backend.get("name"))
        if not name or string(backend.get("kind")) not in ("", "Service") or backend.get("weight") == 0:
            continue
        service = ways.service(obj, (*path, "name"), namespace, name)
        if service is None:
            continue
        wanted = mapping(spec.get("port")).get("targetPort")
        ports = [port for port in service.ports if wanted is None or wanted in (port.name, port.target, port.number)]
        if not ports and wanted is not None and service.type != "ExternalName":
            where = ("spec", "port", "targetPort")
            ways.dangle(Dangling(obj, where, f"{service} has no port {wanted}"))
        host = string(spec.get("host")) or "a host that the router names"
        step = Step(obj, path, f"Route {namespace}/{obj.ref.name}, {host}")
        ways.through("route", (step,), service, ports, None)
