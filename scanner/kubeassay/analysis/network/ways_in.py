"""Ways into the cluster: the vocabulary, and the steps that Services, routes and gateways have in common."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.services import Dangling, Service, ServicePort, services
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path

ExposureKind = Literal[
    "load-balancer",
    "node-port",
    "external-ip",
    "ingress",
    "gateway",
    "istio-gateway",
    "route",
    "host-port",
    "host-network",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One object on the way from outside to a pod: what of it opens the way, and in words."""

    obj: Object
    path: Path
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """One way from outside the cluster to one port of a workload.

    ``via`` begins outside. ``port`` is the one on the pod; 0 with an empty ``protocol`` for a pod on its node's
    network, whose containers may listen on any. ``public``: whether addresses of the Internet reach the first step;
    None where nothing says so. ``source_ranges``: the only addresses (CIDRs) that a load balancer lets in; empty: it
    says nothing. ``gateways``: the gateway's pods, where they are among the inputs; traffic comes from them.
    """

    workload: Workload
    kind: ExposureKind
    via: tuple[Step, ...]
    protocol: str
    port: int
    public: bool | None = None
    source_ranges: tuple[str, ...] = ()
    gateways: tuple[Workload, ...] = ()


class WaysIn:
    """What is found while the objects of an inventory are followed."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.services = services(inventory)
        self._exposures: dict[tuple[Any, ...], Exposure] = {}
        self._dangling: dict[tuple[int, Path, str], Dangling] = {}
        for dangling in self.services.dangling:
            self.dangle(dangling)

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        return tuple(self._exposures.values())

    @property
    def dangling(self) -> tuple[Dangling, ...]:
        return tuple(self._dangling.values())

    def add(self, exposure: Exposure) -> None:
        """Keep an exposure. Of several that lead through the same objects to the same port (an Ingress with many paths
        to one Service) the first is kept."""
        objects = tuple(id(step.obj) for step in exposure.via)
        key = (id(exposure.workload), exposure.kind, objects, exposure.protocol, exposure.port)
        self._exposures.setdefault(key, exposure)

    def dangle(self, dangling: Dangling) -> None:
        """Keep a reference that leads nowhere, once."""
        self._dangling.setdefault((id(dangling.obj), dangling.path, dangling.words), dangling)

    def through(
        self,
        kind: ExposureKind,
        via: tuple[Step, ...],
        service: Service,
        ports: Iterable[ServicePort],
        public: bool | None,
        gateways: tuple[Workload, ...] = (),
    ) -> None:
        """Keep the exposures of what some ports of a Service lead to."""
        for port in ports:
            way = (*via, service_step(service, port))
            for target in port.targets:
                self.add(Exposure(target.workload, kind, way, target.protocol, target.port, public, (), gateways))

    def service(self, obj: Object, path: Path, namespace: str, name: str) -> Service | None:
        """The Service that an object names at a path."""
        found = self.services.named(namespace, name, obj)
        if found is None:
            self.dangle(Dangling(obj, path, f"Service {namespace}/{name} is not among the inputs"))
        return found

    def port(self, obj: Object, path: Path, service: Service, wanted: int | str) -> ServicePort | None:
        """The port of a Service that an object names at a path. An ExternalName has none: it leads out again."""
        found = service.port(wanted)
        if found is None and service.type != "ExternalName":
            named = f"number {wanted}" if isinstance(wanted, int) else f"named {wanted}"
            self.dangle(Dangling(obj, path, f"{service} has no port {named}"))
        return found


def service_step(service: Service, port: ServicePort) -> Step:
    """The step through one port of a Service."""
    return Step(service.obj, port.path, f"{service}, port {port.number}/{port.protocol}")


#: Annotations that say whether a cloud's load balancer has an address of the Internet: value → whether it has.
#: Source: kubernetes/website content/en/docs/concepts/services-networking/service.md, "Internal load balancer"; for
#: the values that say "not internal", the documentation of each cloud's controller.
_LOAD_BALANCER_ANNOTATIONS: Mapping[str, Mapping[str, bool]] = {
    "service.beta.kubernetes.io/aws-load-balancer-scheme": {"internal": False, "internet-facing": True},
    "service.beta.kubernetes.io/azure-load-balancer-internal": {"true": False, "false": True},
    "networking.gke.io/load-balancer-type": {"internal": False, "external": True},
    "cloud.google.com/load-balancer-type": {"internal": False, "external": True},
    "service.beta.kubernetes.io/openstack-internal-load-balancer": {"true": False, "false": True},
    "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": {"private": False, "public": True},
    "service.beta.kubernetes.io/oci-load-balancer-internal": {"true": False, "false": True},
    "service.beta.kubernetes.io/cce-load-balancer-internal-vpc": {"true": False, "false": True},
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": {"intranet": False, "internet": True},
}
#: Set to anything but "false" it makes the load balancer internal
#: (kubernetes/cloud-provider-aws pkg/providers/v1/aws.go, EnsureLoadBalancer).
_AWS_INTERNAL = "service.beta.kubernetes.io/aws-load-balancer-internal"
#: The subnet that an internal load balancer of Tencent's cloud is in.
_TENCENT_INTERNAL = "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid"


def load_balancer_public(annotations: Mapping[str, Any]) -> bool | None:
    """Whether a cloud's load balancer has an address of the Internet; None where no annotation says so."""
    for annotation, meanings in _LOAD_BALANCER_ANNOTATIONS.items():
        value = annotations.get(annotation)
        if isinstance(value, str) and value.lower() in meanings:
            return meanings[value.lower()]
    aws = annotations.get(_AWS_INTERNAL)
    if isinstance(aws, str) and aws:
        return aws == "false"
    return False if annotations.get(_TENCENT_INTERNAL) else None


_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


def of_the_internet(addresses: Iterable[str]) -> bool | None:
    """Whether any address of the Internet is among some addresses or CIDRs; None where none can be read."""
    known: bool | None = None
    for address in addresses:
        try:
            network = ipaddress.ip_network(address.strip(), strict=False)
        except ValueError:
            continue
        if not any(
            # Of one version they are of one type, which the type checker does not see.
            network.version == private.version and private.supernet_of(network)  # type: ignore[arg-type]
            for private in _PRIVATE
        ):
            return True
        known = False
    return known


#: The older way to state loadBalancerSourceRanges: one string, separated by commas.
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def load_balancer(obj: Object) -> tuple[bool | None, tuple[str, ...]]:
    """Whether a Service's load balancer is reached from the Internet, and the only addresses that it lets in."""
    annotations = mapping(obj.get("metadata", "annotations"))
    ranges = tuple(string(cidr) for cidr in items(obj.get("spec", "loadBalancerSourceRanges")) if string(cidr))
    if not ranges:
        stated = string(annotations.get(_SOURCE_RANGES))
        ranges = tuple(cidr.strip() for cidr in stated.split(",") if cidr.strip())
    if ranges and of_the_internet(ranges) is False:
        return False, ranges
    public = load_balancer_public(annotations)
    if public is None:
        # A live Service says which address it was given.
        given = (mapping(entry).get("ip") for entry in items(obj.get("status", "loadBalancer", "ingress")))
        public = of_the_internet(address for address in given if isinstance(address, str))
    return public, ranges
