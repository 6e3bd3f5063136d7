"""What does not pass the proxy of a workload in the mesh: ports and addresses that annotations exclude.

Source: istio/istio @eed52eb, manifests/charts/istio-control/istio-discovery/files/injection-template.yaml (istio-init),
pkg/kube/inject/template.go (excludeInboundPort, getAnnotation) and validate.go, tools/istio-iptables/pkg/capture/run.go
(handleInboundPortsInclude: exclusions count only where all ports are included).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from kubeassay.analysis.mesh.membership import Membership, annotation
from kubeassay.analysis.mesh.settings import Place, ProxyDefaults
from kubeassay.analysis.network.endpoints import Workload

_PREFIX = "traffic.sidecar.istio.io/"
INCLUDE_INBOUND = f"{_PREFIX}includeInboundPorts"
EXCLUDE_INBOUND = f"{_PREFIX}excludeInboundPorts"
INCLUDE_OUTBOUND = f"{_PREFIX}includeOutboundPorts"
EXCLUDE_OUTBOUND = f"{_PREFIX}excludeOutboundPorts"
INCLUDE_RANGES = f"{_PREFIX}includeOutboundIPRanges"
EXCLUDE_RANGES = f"{_PREFIX}excludeOutboundIPRanges"
EXCLUDE_INTERFACES = f"{_PREFIX}excludeInterfaces"
INTERCEPTION = "sidecar.istio.io/interceptionMode"
STATUS_PORT = "status.sidecar.istio.io/port"
BYPASS_INBOUND = "ambient.istio.io/bypass-inbound-capture"

#: Ports of the proxy itself, which never pass it.
_PROXY_PORTS = (15090, 15021)


@dataclass(frozen=True, slots=True)
class Bypass:
    """Why connections do not pass the proxy. ``place``: what says it; None: the proxy's own port, or a default."""

    words: str
    place: Place | None


def inbound_bypass(workload: Workload, membership: Membership, defaults: ProxyDefaults, port: int) -> Bypass | None:
    """Why connections to a port of a workload do not pass its proxy; None where they do."""
    if membership.kind == "ambient":
        said = annotation(workload, BYPASS_INBOUND)
        if said is not None and said[0] == "true":
            return Bypass(f"annotation {BYPASS_INBOUND} is true", said[1])
        return None
    if membership.kind != "sidecar":
        return None
    mode, place = _value(workload, INTERCEPTION, defaults, "interception_mode")
    if mode == "NONE":
        return Bypass(f"nothing is redirected to the proxy ({INTERCEPTION} is NONE)", place)
    if port in _PROXY_PORTS:
        return Bypass("it is a port of the proxy itself", None)
    included, place = _value(workload, INCLUDE_INBOUND, defaults, "include_inbound_ports")
    if included.strip() != "*":
        if port in _ports(included):
            return None
        return Bypass(f"{INCLUDE_INBOUND} does not name it", place)
    status, place = _value(workload, STATUS_PORT, defaults, "status_port")
    if _number(status) == port:
        return Bypass("it is the port of the proxy's status", place)
    excluded, place = _value(workload, EXCLUDE_INBOUND, defaults, "exclude_inbound_ports")
    if port in _ports(excluded):
        return Bypass(f"{EXCLUDE_INBOUND} names it", place)
    return None


def outbound_bypass(
    workload: Workload, membership: Membership, defaults: ProxyDefaults, port: int, address: str
) -> Bypass | bool | None:
    """Why connections of a workload to an address and a port do not pass its proxy; None where they do; False where
    that depends on the address, and none is known. ``address`` may be empty."""
    if membership.kind != "sidecar":
        return None
    mode, place = _value(workload, INTERCEPTION, defaults, "interception_mode")
    if mode == "NONE":
        return Bypass(f"nothing is redirected to the proxy ({INTERCEPTION} is NONE)", place)
    excluded, place = _value(workload, EXCLUDE_OUTBOUND, defaults, "exclude_outbound_ports")
    if port in _ports(excluded):
        return Bypass(f"{EXCLUDE_OUTBOUND} names port {port}", place)
    included_ports, _ = _value(workload, INCLUDE_OUTBOUND, defaults, "include_outbound_ports")
    if port in _ports(included_ports) or included_ports.strip() == "*":
        return None
    unsure = False
    ranges, place = _value(workload, EXCLUDE_RANGES, defaults, "exclude_ip_ranges")
    if ranges.strip():
        found = _in_ranges(ranges, address)
        if found:
            return Bypass(f"{EXCLUDE_RANGES} names its address", place)
        unsure = found is None
    ranges, place = _value(workload, INCLUDE_RANGES, defaults, "include_ip_ranges")
    if ranges.strip() != "*":
        found = _in_ranges(ranges, address) if ranges.strip() else False
        if found is False:
            return Bypass(f"{INCLUDE_RANGES} does not name its address", place)
        unsure = unsure or found is None
    return False if unsure else None


def exclusions(workload: Workload, membership: Membership) -> list[tuple[str, str, Place]]:
    """The annotations of a workload's pods by which something passes by the proxy: name, value, place."""
    found = []
    for name, excludes in _EXCLUDING:
        if (name == BYPASS_INBOUND) is not (membership.kind == "ambient"):
            continue
        said = annotation(workload, name)
        if said is not None and excludes(said[0].strip()):
            found.append((name, said[0], said[1]))
    return found


_EXCLUDING: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (EXCLUDE_INBOUND, bool),
    (INCLUDE_INBOUND, lambda value: value != "*"),
    (EXCLUDE_OUTBOUND, bool),
    (EXCLUDE_RANGES, bool),
    (INCLUDE_RANGES, lambda value: value != "*"),
    (EXCLUDE_INTERFACES, bool),
    (INTERCEPTION, lambda value: value == "NONE"),
    (BYPASS_INBOUND, lambda value: value == "true"),
)
#: Settings of the installation by which traffic of all pods passes by the proxy.
_EXCLUDING_DEFAULTS = {
    "include_inbound_ports": INCLUDE_INBOUND,
    "exclude_inbound_ports": EXCLUDE_INBOUND,
    "exclude_outbound_ports": EXCLUDE_OUTBOUND,
    "include_ip_ranges": INCLUDE_RANGES,
    "exclude_ip_ranges": EXCLUDE_RANGES,
    "interception_mode": INTERCEPTION,
}


def default_exclusions(defaults: ProxyDefaults) -> list[tuple[str, str, Place]]:
    """The settings of the installation by which traffic of all pods passes by the proxy: the annotation of the same
    meaning, value, place."""
    excluding = dict(_EXCLUDING)
    found = []
    for setting, place in defaults.places:
        name = _EXCLUDING_DEFAULTS.get(setting)
        value = getattr(defaults, setting)
        if name is not None and excluding[name](value.strip()):
            found.append((name, value, place))
    return found


def _value(workload: Workload, name: str, defaults: ProxyDefaults, setting: str) -> tuple[str, Place | None]:
    said = annotation(workload, name)
    return said if said is not None else (getattr(defaults, setting), defaults.place(setting))


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None


def _ports(text: str) -> set[int]:
    return {number for part in text.split(",") if (number := _number(part)) is not None}


def _in_ranges(ranges: str, address: str) -> bool | None:
    """Whether an address is in one of some ranges; None: it is not known, or a range is none."""
    try:
        wanted = ipaddress.ip_address(address)
        return any(
            wanted in ipaddress.ip_network(part.strip(), strict=False) for part in ranges.split(",") if part.strip()
        )
    except ValueError:
        return None
