"""Istio's traffic rules: which hosts there are, and to what routes and DestinationRules lead.

Source: istio/istio @eed52eb: pilot/pkg/model/config.go (ResolveShortnameToFQDN: only a name without dots is completed),
pkg/config/analysis/analyzers/{virtualservice,destinationrule,util} (what istioctl says of hosts, ports and subsets),
pilot/pkg/networking/core/cluster_builder.go (a subset's policy is laid over its rule's).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.mesh.settings import MeshSettings, mesh_settings
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.exposure import exposures
from kubeassay.analysis.network.gateways import hosts_meet
from kubeassay.analysis.network.istio_gateways import (
    GROUP,
    MESH,
    Hosts,
    destinations_of,
    full_name,
    gateway_name,
)
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES, unknown_pods
from kubeassay.analysis.network.services import Service, Services, services
from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.reading import items, mapping, port_number, string
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Inventory, Object, Path


@dataclass(frozen=True, slots=True)
class Miss:
    """A reference that leads nowhere. ``unknown``: why it may lead somewhere all the same; empty: it does not.
    ``elsewhere``: nothing of the kind, or of its namespace, is among the inputs, so that it is most likely made by
    somebody else."""

    obj: Object
    path: Path
    words: str
    unknown: str = ""
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination of a route. ``path``: from the VirtualService's root."""

    obj: Object
    path: Path
    host: str
    subset: str
    port: int | None


@dataclass(frozen=True, slots=True, eq=False)
class DestinationRule:
    """A DestinationRule. ``host`` is completed; ``subsets``: name → (labels, path)."""

    obj: Object
    namespace: str
    host: str
    subsets: Mapping[str, tuple[Mapping[str, str], Path]]
    export_to: frozenset[str]

    def __str__(self) -> str:
        return f"DestinationRule {self.namespace}/{self.obj.ref.name}"


class Traffic:
    """The hosts of an inventory, and what leads to them."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.settings: MeshSettings = mesh_settings(inventory)
        self.services: Services = services(inventory)
        domain = self.settings.cluster_domain
        self._external = _external_hosts(inventory, domain)
        self.rules = tuple(_destination_rule(obj, domain) for obj in inventory.of_kind("DestinationRule", GROUP))
        self.by_host: Mapping[str, tuple[DestinationRule, ...]] = _by_host(self.rules)
        self.wildcards = tuple(rule for rule in self.rules if rule.host.startswith("*"))
        #: Namespaces of which something that is called stands among the inputs.
        self.known = {service.namespace for service in self.services.by_object.values()} | {
            workload.namespace for workload in workloads(inventory)
        }
        self.unknown = unknown_pods(inventory)

    def destinations(self) -> Iterator[Destination]:
        """The destinations of all VirtualServices, in reading order; those of delegates stand in these."""
        for obj in self.inventory.of_kind("VirtualService", GROUP):
            spec = mapping(obj.value.get("spec"))
            for protocol in ("http", "tls", "tcp"):
                for number, route in enumerate(items(spec.get(protocol))):
                    for path, to in destinations_of(mapping(route), ("spec", protocol, number)):
                        if string(to.get("host")):
                            port = port_number(mapping(to.get("port")).get("number"))
                            yield Destination(obj, path, string(to["host"]), string(to.get("subset")), port)

    def full_name(self, host: str, namespace: str) -> str:
        return full_name(host, namespace, self.settings.cluster_domain)

    def service(self, host: str, namespace: str, near: Object) -> Service | None:
        """The Service that a host names for an object of a namespace."""
        name, space = _in_cluster(self.full_name(host, namespace))
        return self.services.named(space, name, near) if space else None

    def host_missing(self, obj: Object, path: Path, host: str) -> Miss | None:
        """Why a host leads nowhere; None where it leads to a Service or is stated by a ServiceEntry."""
        own = namespace_of(obj)
        full = self.full_name(host, own)
        found = self.service(host, own, obj)
        if found is not None:
            seen = _exported(found)
            # A gateway's own namespace is what counts for its routes.
            if not seen or own in seen or gateways_of(obj):
                return None
            return Miss(obj, path, f"{found} is exported to {', '.join(sorted(seen))} only, not to namespace {own}")
        if any(full in self._external[scope] for scope in ("*", own) if scope in self._external):
            return None
        name, space = _in_cluster(full)
        if space:
            words = f"there is no Service {space}/{name}"
            if space in SYSTEM_NAMESPACES or space not in self.known:
                return Miss(obj, path, words, f"namespace {space} is not wholly among the inputs", elsewhere=True)
            maker = self.unknown.get(space)
            return Miss(obj, path, words, f"{maker.ref} may make Services in {space}" if maker is not None else "")
        first, _, rest = full.partition(".")
        near = self.services.named(rest.partition(".")[0], first, obj)
        if near is not None and rest.partition(".")[2] in ("", "svc"):
            meant = self.full_name(first, near.namespace)
            return Miss(obj, path, f"{host} is no host: a name with dots is not completed; {near} is {meant}")
        words = f"no ServiceEntry states the host {host}"
        # One of another repository may state it; where some are at hand, the others would be, too.
        unknown = "" if self._external else "no ServiceEntry is among the inputs"
        return Miss(obj, path, words, unknown, elsewhere=bool(unknown))

    def rule_host_missing(self, rule: DestinationRule) -> Miss | None:
        """Why the host of a DestinationRule is that of nothing."""
        path: Path = ("spec", "host")
        if not rule.host.startswith("*"):
            return self.host_missing(rule.obj, path, string(rule.obj.get("spec", "host"))) if rule.host else None
        hosts = (self.full_name(service.name, service.namespace) for service in self.services.by_object.values())
        if any(hosts_meet(rule.host, host) for host in hosts) or any(
            hosts_meet(rule.host, string(host))
            for entry in self.inventory.of_kind("ServiceEntry", GROUP)
            for host in items(entry.get("spec", "hosts"))
        ):
            return None
        return Miss(rule.obj, path, f"no host matches {rule.host}", "hosts may be stated elsewhere", elsewhere=True)

    def port_missing(self, to: Destination) -> Miss | None:
        """Why a destination's port is none of its Service."""
        service = self.service(to.host, namespace_of(to.obj), to.obj)
        if service is None or service.type == "ExternalName":
            return None
        if to.port is not None:
            if service.port(to.port) is not None:
                return None
            there = ", ".join(str(port.number) for port in service.ports) or "none"
            words = f"{service} has no port {to.port}; its ports: {there}"
            return Miss(to.obj, (*to.path, "port", "number"), words)
        return None

    def subset_missing(self, to: Destination) -> Miss | None:
        """Why a destination's subset is stated by no DestinationRule of its host."""
        if not to.subset:
            return None
        own = namespace_of(to.obj)
        full = self.full_name(to.host, own)
        of_host = _in_cluster(full)[1]
        rules = self.rules_of(full)
        if not gateways_of(to.obj):
            # Of a gateway's routes it is the gateway's own namespace.
            spaces = {own, of_host, self.settings.root_namespace}
            rules = tuple(rule for rule in rules if rule.namespace in spaces)
        if any(to.subset in rule.subsets for rule in rules):
            return None
        path = (*to.path, "subset")
        if rules:
            return Miss(to.obj, path, f"{' and '.join(map(str, rules[:3]))} has no subset {to.subset}")
        space = of_host or own
        unknown = "" if space in self.known else f"nothing of namespace {space} is among the inputs"
        words = f"no DestinationRule states subset {to.subset} of {to.host}"
        return Miss(to.obj, path, words, unknown, elsewhere=bool(unknown))

    def rules_of(self, host: str) -> tuple[DestinationRule, ...]:
        """The DestinationRules of a full name of a host, the exact ones first."""
        return (*self.by_host.get(host, ()), *(rule for rule in self.wildcards if hosts_meet(rule.host, host)))

    def rules_in_effect(self, service: Service) -> tuple[DestinationRule, ...]:
        """The DestinationRules that callers of a Service in all namespaces have: those of the Service's own namespace,
        else of the root namespace, that are exported to all; the most specific host alone, whose rules are merged
        (istio/istio pilot/pkg/model/push_context.go, destinationRule). A caller's own namespace may have others."""
        found = [
            rule
            for rule in self.rules_of(self.full_name(service.name, service.namespace))
            if "*" in rule.export_to or (not rule.export_to and not self.settings.private_rules)
        ]
        for space in (service.namespace, self.settings.root_namespace):
            here = [rule for rule in found if rule.namespace == space]
            if here:
                best = max((rule.host for rule in here), key=lambda name: (not name.startswith("*"), len(name)))
                return tuple(rule for rule in here if rule.host == best)
        return ()

    def serving(self, rule: DestinationRule) -> Service | None:
        """The Service of a rule's host, where its pods are among the inputs."""
        service = self.service(rule.host, rule.namespace, rule.obj)
        return service if service is not None and service.workloads and not service.manual else None

    def empty_subsets(self, rule: DestinationRule) -> Iterator[Miss]:
        """The subsets of a rule that no pod of its Service is in."""
        service = self.serving(rule)
        if service is None:
            return
        maker = self.unknown.get(service.namespace)
        for name, (labels, path) in rule.subsets.items():
            if any(labels.items() <= workload.labels.items() for workload in service.workloads):
                continue
            wanted = ", ".join(f"{label}={value}" for label, value in labels.items())
            words = f"no pod of {service} has {wanted}, so subset {name} is empty"
            yield Miss(rule.obj, path, words, f"{maker.ref} makes pods there" if maker is not None else "")

    def gateway_references(self) -> Iterator[Miss]:
        """The gateways that VirtualServices name in vain (see analysis/network/istio_gateways.py)."""
        gateways = {namespace_of(obj) for obj in self.inventory.of_kind("Gateway", GROUP)}
        for dangling in exposures(self.inventory).dangling:
            obj, path = dangling.obj, dangling.path
            if obj.ref.group != GROUP or obj.ref.kind != "VirtualService" or path[:2] != ("spec", "gateways"):
                continue
            named, _ = gateway_name(string(obj.get(*path)), namespace_of(obj))
            elsewhere = dangling.words.endswith("not among the inputs") and named not in gateways
            unknown = f"no Gateway of namespace {named} is among the inputs" if elsewhere else ""
            yield Miss(obj, path, dangling.words, unknown, elsewhere)

    def unnamed_ports(self) -> Iterator[Miss]:
        """Destinations behind a gateway that name no port of a Service that has several."""
        for dangling in exposures(self.inventory).dangling:
            if dangling.obj.ref.group == GROUP and dangling.words.startswith("names no port"):
                yield Miss(dangling.obj, dangling.path, dangling.words)

    def gateway_selects_nothing(self, obj: Object) -> Miss | None:
        """Why a Gateway configures no pods."""
        selector = labels_of({"metadata": {"labels": obj.get("spec", "selector")}})
        if not selector or self.services.pods.with_labels(None, selector):
            return None
        words = f"no workload has pods with {', '.join(f'{k}={v}' for k, v in selector.items())}"
        known = any(is_gateway(workload) for workload in workloads(self.inventory))
        unknown = "" if known else "no gateway's pods are among the inputs"
        return Miss(obj, ("spec", "selector"), words, unknown, elsewhere=bool(unknown))


def is_gateway(workload: Workload) -> bool:
    """Whether pods are a gateway of Istio: their own container is the proxy (istio/istio manifests/charts/gateway)."""
    if workload.template is None:
        return False
    containers = [c for c in workload.template.containers if c.type == "container"]
    return bool(containers) and all(c.name == "istio-proxy" for c in containers)


def gateways_of(obj: Object) -> tuple[tuple[str, Path], ...]:
    """The gateways, other than the mesh, that a VirtualService names, as namespace/name, with their places."""
    return tuple(
        ("/".join(gateway_name(named, namespace_of(obj))), ("spec", "gateways", number))
        for number, named in enumerate(items(obj.get("spec", "gateways")))
        if isinstance(named, str) and named != MESH
    )


def traffic_of(inventory: Inventory) -> Traffic:
    """The traffic rules of an inventory, resolved."""
    found: Traffic | None = inventory.facts.get(Traffic)
    if found is None:
        found = inventory.facts[Traffic] = Traffic(inventory)
    return found


def _external_hosts(inventory: Inventory, domain: str) -> Mapping[str, Hosts]:
    """Namespace → the hosts that ServiceEntries export to it; "*": to all."""
    found: dict[str, list[str]] = defaultdict(list)
    for obj in inventory.of_kind("ServiceEntry", GROUP):
        spec, own = mapping(obj.value.get("spec")), namespace_of(obj)
        hosts = [full_name(string(host), own, domain) for host in items(spec.get("hosts")) if string(host)]
        for scope in [string(to) for to in items(spec.get("exportTo"))] or ["*"]:
            found[own if scope == "." else scope] += hosts
    return {scope: Hosts(hosts) for scope, hosts in found.items()}


def _exported(service: Service) -> frozenset[str]:
    """The namespaces that see a Service; none: all."""
    stated = string(mapping(service.obj.get("metadata", "annotations")).get("networking.istio.io/exportTo"))
    scopes = {scope.strip() for scope in stated.split(",") if scope.strip()}
    return frozenset() if "*" in scopes else frozenset(service.namespace if s == "." else s for s in scopes)


def _in_cluster(host: str) -> tuple[str, str]:
    """The (name, namespace) of a Service's full name; empty for another host."""
    parts = host.split(".")
    return (parts[0], parts[1]) if len(parts) > 3 and parts[2] == "svc" else ("", "")


def _destination_rule(obj: Object, domain: str) -> DestinationRule:
    spec = mapping(obj.value.get("spec"))
    namespace = namespace_of(obj)
    subsets: dict[str, tuple[Mapping[str, str], Path]] = {}
    for number, subset in enumerate(items(spec.get("subsets"))):
        subset = mapping(subset)
        path: Path = ("spec", "subsets", number)
        labels = labels_of({"metadata": {"labels": subset.get("labels")}})
        subsets.setdefault(string(subset.get("name")), (labels, (*path, "labels") if labels else path))
    host = string(spec.get("host"))
    export_to = frozenset(string(to) for to in items(spec.get("exportTo")))
    full = full_name(host, namespace, domain) if host else ""
    return DestinationRule(obj, namespace, full, subsets, export_to)


def _by_host(rules: tuple[DestinationRule, ...]) -> Mapping[str, tuple[DestinationRule, ...]]:
    found: dict[str, list[DestinationRule]] = defaultdict(list)
    for rule in rules:
        if not rule.host.startswith("*"):
            found[rule.host].append(rule)
    return {host: tuple(members) for host, members in found.items()}


def traffic_policies(rule: DestinationRule) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The traffic policies of a DestinationRule: its own, those of its ports, of its subsets and of their ports."""
    spec = mapping(rule.obj.value.get("spec"))
    places: list[tuple[Path, Any]] = [(("spec", "trafficPolicy"), spec.get("trafficPolicy"))]
    places += (
        (("spec", "subsets", number, "trafficPolicy"), mapping(subset).get("trafficPolicy"))
        for number, subset in enumerate(items(spec.get("subsets")))
    )
    for path, policy in places:
        if isinstance(policy, dict):
            yield path, policy
            for number, port in enumerate(items(policy.get("portLevelSettings"))):
                yield (*path, "portLevelSettings", number), mapping(port)
