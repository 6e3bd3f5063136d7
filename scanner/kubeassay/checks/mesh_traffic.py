"""Istio's Gateways, VirtualServices and DestinationRules: what they let in, and where they lead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeassay.analysis.mesh.traffic import (
    Miss,
    Traffic,
    gateways_of,
    is_gateway,
    traffic_of,
    traffic_policies,
)
from kubeassay.analysis.network.endpoints import namespace_of
from kubeassay.analysis.network.exposure import exposures
from kubeassay.analysis.network.istio_gateways import GROUP
from kubeassay.analysis.network.services import Service
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import matches_name, names, shown
from kubeassay.model import Inventory, Object, Path

#: ServerTLSSettings.TLSProtocol, the oldest first. Not stated is TLS_AUTO, which begins with TLS 1.2 at gateways.
_VERSIONS = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
_AUTO = "TLSV1_2"
#: Modes in which the gateway itself shows a certificate.
_TERMINATING = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
#: Protocols of servers that carry plain HTTP.
_PLAIN = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")


# --- gateways ---


@dataclass(frozen=True, slots=True)
class _Server:
    """A server of a Gateway. ``path``: from the Gateway's root."""

    obj: Object
    path: Path
    value: Mapping[str, Any]

    @property
    def protocol(self) -> str:
        return string(mapping(self.value.get("port")).get("protocol")).upper()

    @property
    def tls(self) -> Mapping[str, Any]:
        return mapping(self.value.get("tls"))

    def __str__(self) -> str:
        port = mapping(self.value.get("port"))
        gateway = f"Gateway {namespace_of(self.obj)}/{self.obj.ref.name}"
        return f"{gateway}, port {port.get('number')} ({string(port.get('protocol'))})"


def _of_servers(inventory: Inventory, says: Callable[[_Server], Iterator[Said]]) -> Iterator[Said]:
    """What is said of the servers of each Gateway; one of which nothing is said passes."""
    for obj in inventory.of_kind("Gateway", GROUP):
        clean = True
        for number, server in enumerate(items(obj.get("spec", "servers"))):
            for said in says(_Server(obj, ("spec", "servers", number), mapping(server))):
                clean = False
                yield said
        if clean:
            yield Passed(obj)


@check("gateway-tls-version")
def gateway_tls_version(inventory: Inventory, context: Context) -> Iterator[Said]:
    wanted = context.parameters["minimum"]

    def says(server: _Server) -> Iterator[Said]:
        tls = server.value.get("tls")
        if not isinstance(tls, dict) or tls.get("mode") in ("PASSTHROUGH", "AUTO_PASSTHROUGH"):
            return
        if server.protocol in _PLAIN:
            return
        for field in ("minProtocolVersion", "maxProtocolVersion"):
            stated = string(tls.get(field)) or "TLS_AUTO"
            if field == "maxProtocolVersion" and stated == "TLS_AUTO":
                continue
            least = _AUTO if stated == "TLS_AUTO" else stated
            if least not in _VERSIONS:
                words = f"{server} has {field} {stated}, which is no version that Istio knows"
                yield NotJudged("invalid-object", words, server.obj)
            elif _VERSIONS.index(least) < _VERSIONS.index(wanted):
                words = f"takes {_named(least)}" if field == "minProtocolVersion" else f"ends at {_named(least)}"
                words = f"{server} {words}, and {_named(wanted)} is the least that is demanded"
                yield Violation((*server.path, "tls", field), words, obj=server.obj)

    return _of_servers(inventory, says)


def _named(version: str) -> str:
    return f"TLS {version[-3:].replace('_', '.')}"


@check("gateway-plain-http")
def gateway_plain_http(inventory: Inventory, context: Context) -> Iterator[Said]:
    def says(server: _Server) -> Iterator[Said]:
        if server.protocol in _PLAIN and server.tls.get("httpsRedirect") is not True:
            words = f"{server} serves plain text and redirects nobody to HTTPS"
            yield Violation((*server.path, "port"), words, obj=server.obj)

    return _of_servers(inventory, says)


@check("gateway-wildcard-host")
def gateway_wildcard_host(inventory: Inventory, context: Context) -> Iterator[Said]:
    def says(server: _Server) -> Iterator[Said]:
        for number, host in enumerate(items(server.value.get("hosts"))):
            if string(host).rpartition("/")[2] == "*":
                words = f"{server} takes any host name, so any VirtualService can claim any"
                yield Violation((*server.path, "hosts", number), words, obj=server.obj)

    return _of_servers(inventory, says)


@check("gateway-tls-mode")
def gateway_tls_mode(inventory: Inventory, context: Context) -> Iterator[Said]:
    allowed = context.parameters["modes"]

    def says(server: _Server) -> Iterator[Said]:
        if server.protocol not in ("HTTPS", "TLS") and server.tls.get("mode") is None:
            return
        # Not stated is PASSTHROUGH, the first value of the enumeration.
        mode = string(server.tls.get("mode")) or "PASSTHROUGH"
        if mode not in allowed:
            words = f"{server} has the TLS mode {mode}; allowed: {', '.join(allowed)}"
            yield Violation((*server.path, "tls", "mode"), words, obj=server.obj)

    return _of_servers(inventory, says)


@check("gateway-certificate-missing")
def gateway_certificate_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    secrets = {(namespace_of(obj), obj.ref.name) for obj in inventory.of_kind("Secret", "")}
    # A controller may make the Secret of a certificate that is requested here.
    secrets |= {
        (namespace_of(obj), string(obj.get("spec", "secretName")))
        for obj in inventory.of_kind("Certificate", "cert-manager.io")
    }
    pods_of = traffic_of(inventory).services.pods.with_labels

    def says(server: _Server) -> Iterator[Said]:
        obj, tls = server.obj, server.tls
        if tls.get("mode") not in _TERMINATING:
            return
        named = [string(name) for name in (tls.get("credentialName"), *items(tls.get("credentialNames")))]
        named = [name for name in named if name]
        if not named and not tls.get("serverCertificate") and not tls.get("tlsCertificates"):
            words = f"{server} has no certificate: neither credentialName nor serverCertificate"
            yield Violation((*server.path, "tls", "credentialName"), f"{words}, so Istio refuses it", obj=obj)
            return
        selector = {k: string(v) for k, v in mapping(obj.get("spec", "selector")).items()}
        spaces = {pod.namespace for pod in (pods_of(None, selector) if selector else ())} or {namespace_of(obj)}
        for name in named if not context.parameters["secrets_elsewhere"] else ():
            if "://" not in name and not any((space, name) in secrets for space in spaces):
                words = f"Secret {sorted(spaces)[0]}/{name} of {server} is not among the inputs"
                yield NotJudged("unknown-secret", words, obj)

    return _of_servers(inventory, says)


@check("gateway-selects-nothing")
def gateway_selects_nothing(inventory: Inventory, context: Context) -> Iterator[Said]:
    traffic = traffic_of(inventory)
    for obj in inventory.of_kind("Gateway", GROUP):
        what = f"Gateway {namespace_of(obj)}/{obj.ref.name}"
        miss = traffic.gateway_selects_nothing(obj)
        yield from _said(miss, obj, what, elsewhere=context.parameters["gateways_elsewhere"])


def _said(miss: Miss | None, obj: Object, what: str, *, elsewhere: bool = False) -> Iterator[Said]:
    """``elsewhere``: what others make is no gap in the inputs, and is not told."""
    if miss is None:
        yield Passed(obj)
    elif miss.unknown:
        if not (miss.elsewhere and elsewhere):
            yield NotJudged("unknown-peer", f"{what}: {miss.words}, and {miss.unknown}", obj)
    else:
        yield Violation(miss.path, f"{what}: {miss.words}", obj=obj)


# --- routes ---


@check("virtual-service-gateway-missing")
def virtual_service_gateway_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A gateway that is missing, that does not take the hosts, or that does not see the VirtualService."""
    traffic = traffic_of(inventory)
    concerned: set[int] = set()
    for miss in traffic.gateway_references():
        concerned.add(id(miss.obj))
        what = f"VirtualService {namespace_of(miss.obj)}/{miss.obj.ref.name}"
        yield from _said(miss, miss.obj, what, elsewhere=context.parameters["gateways_elsewhere"])
    for obj in inventory.of_kind("VirtualService", GROUP):
        if id(obj) not in concerned and gateways_of(obj):
            yield Passed(obj)


@check("route-destination-missing")
def route_destination_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    traffic = traffic_of(inventory)
    concerned: set[int] = set()
    for to in traffic.destinations():
        what = f"VirtualService {namespace_of(to.obj)}/{to.obj.ref.name}"
        host = traffic.host_missing(to.obj, (*to.path, "host"), to.host)
        found = [host] if host is not None else [traffic.port_missing(to), traffic.subset_missing(to)]
        for miss in found:
            if miss is not None:
                concerned.add(id(to.obj))
                yield from _said(miss, to.obj, what, elsewhere=context.parameters["hosts_elsewhere"])
    for miss in traffic.unnamed_ports():
        concerned.add(id(miss.obj))
        what = f"VirtualService {namespace_of(miss.obj)}/{miss.obj.ref.name}"
        yield Violation(miss.path, f"{what} {miss.words}", obj=miss.obj)
    for dangling in exposures(inventory).dangling:
        if dangling.obj.ref.group == GROUP and dangling.path[-1:] == ("delegate",):
            concerned.add(id(dangling.obj))
            yield NotJudged("unknown-peer", f"{dangling.obj.ref}: {dangling.words}", dangling.obj)
    for obj in inventory.of_kind("VirtualService", GROUP):
        if id(obj) not in concerned:
            yield Passed(obj)


# --- destination rules ---


@check("destination-rule-host-missing")
def destination_rule_host_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    traffic = traffic_of(inventory)
    for rule in traffic.rules:
        miss = traffic.rule_host_missing(rule)
        yield from _said(miss, rule.obj, str(rule), elsewhere=context.parameters["hosts_elsewhere"])


@check("destination-rule-subset-empty")
def destination_rule_subset_empty(inventory: Inventory, context: Context) -> Iterator[Said]:
    traffic = traffic_of(inventory)
    for rule in traffic.rules:
        misses = list(traffic.empty_subsets(rule))
        for miss in misses:
            yield from _said(miss, rule.obj, str(rule))
        if rule.subsets and not misses and traffic.serving(rule) is not None:
            yield Passed(rule.obj)


@check("upstream-certificate-not-verified")
def upstream_certificate_not_verified(inventory: Inventory, context: Context) -> Iterator[Said]:
    for rule in traffic_of(inventory).rules:
        clean = True
        for path, policy in traffic_policies(rule):
            tls = mapping(policy.get("tls"))
            if tls.get("insecureSkipVerify") is True and tls.get("mode") in ("SIMPLE", "MUTUAL"):
                clean = False
                words = (
                    f"{rule}: callers of {rule.host} take any certificate, so anybody in between can read and answer"
                )
                yield Violation((*path, "tls", "insecureSkipVerify"), words, obj=rule.obj)
        if clean:
            yield Passed(rule.obj)


@check("circuit-breaker-missing")
def circuit_breaker_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    patterns = context.parameters["services"]
    if not patterns:
        yield NotApplicable()
        return
    wanted = ["outlierDetection", *(["connectionPool"] if context.parameters["connection_pool"] else [])]
    traffic = traffic_of(inventory)
    meant: set[str] = set()
    for service in traffic.services.by_object.values():
        chosen = [pattern for pattern in patterns if matches_name(pattern, service.namespace, service.name)]
        meant.update(chosen)
        if chosen:
            yield from _circuit_breaker(traffic, service, wanted)
    for pattern in patterns:
        if pattern not in meant:
            yield NotJudged("no-objects", f"no Service that {pattern} means is among the inputs")


def _circuit_breaker(traffic: Traffic, service: Service, wanted: list[str]) -> Iterator[Said]:
    rules = traffic.rules_in_effect(service)
    if not rules:
        words = f"no DestinationRule of {service} is in effect for all its callers, so nothing takes failing pods out"
        yield Violation(("metadata", "name"), f"{words}: it has no {wanted[0]}", obj=service.obj)
        return
    # Of several rules of one host the policy of one, the oldest, is in effect as a whole.
    stating = [rule for rule in rules if isinstance(rule.obj.get("spec", "trafficPolicy"), dict)]
    clean = True
    for name in wanted:
        for rule in stating or rules[:1]:
            if mapping(rule.obj.get("spec", "trafficPolicy", name)):
                continue
            clean = False
            there = rule in stating
            path: Path = ("spec", "trafficPolicy") if there else ("spec", "host")
            words = f"{rule} states no {name} for {service}, so there is no circuit breaker of that kind"
            yield Violation(path, words, key=there, obj=rule.obj)
        for rule in rules:
            for number, subset in enumerate(items(rule.obj.get("spec", "subsets"))):
                policy = mapping(subset).get("trafficPolicy")
                if isinstance(policy, dict) and name in policy and not policy[name]:
                    clean = False
                    at: Path = ("spec", "subsets", number, "trafficPolicy", name)
                    yield Violation(at, f"{rule}: subset {mapping(subset).get('name')} empties {name}", obj=rule.obj)
    if clean:
        yield Passed(service.obj)


# --- around the gateway ---


@check("service-bypasses-gateway")
def service_bypasses_gateway(inventory: Inventory, context: Context) -> Iterator[Said]:
    """A Service is served through a gateway where a VirtualService that is bound to one leads to its pods, or stands in
    its namespace."""
    traffic = traffic_of(inventory)
    by_namespace: dict[str | None, Object] = {}
    by_workload: dict[int, Object] = {}
    for obj in inventory.of_kind("VirtualService", GROUP):
        # What states no namespace goes wherever it is applied to: with which others is not known.
        if obj.ref.namespace and gateways_of(obj):
            by_namespace.setdefault(obj.ref.namespace, obj)
    for to in traffic.destinations():
        found = traffic.service(to.host, namespace_of(to.obj), to.obj) if gateways_of(to.obj) else None
        for workload in found.workloads if found is not None else ():
            by_workload.setdefault(id(workload), to.obj)
    for service in traffic.services.by_object.values():
        by = next((by_workload[id(w)] for w in service.workloads if id(w) in by_workload), None)
        by = by or by_namespace.get(service.obj.ref.namespace)
        if by is None or not service.workloads or all(is_gateway(workload) for workload in service.workloads):
            continue
        addresses = items(service.obj.get("spec", "externalIPs"))
        if service.type in ("NodePort", "LoadBalancer"):
            path: Path = ("spec", "type")
            words = f"{service} is of type {service.type}"
        elif addresses:
            path, words = ("spec", "externalIPs"), f"{service} has external addresses"
        else:
            yield Passed(service.obj)
            continue
        words += f", so {shown(names(service.workloads))} is reached from outside without passing the gateway"
        what = f"VirtualService {namespace_of(by)}/{by.ref.name} leads through a gateway"
        yield Violation(path, words, obj=service.obj, related=((what, by, gateways_of(by)[0][1]),))
