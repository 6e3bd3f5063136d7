"""Sets of connections (protocol and destination port), and sets of addresses, exact in both."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from kubeassay.analysis.network import intervals as sets
from kubeassay.analysis.network.intervals import Intervals

Protocol = Literal["SCTP", "TCP", "UDP"]
#: The protocols that policies can name, in the order in which connections are written.
PROTOCOLS: tuple[Protocol, ...] = ("SCTP", "TCP", "UDP")
ALL_PORTS: Intervals = ((1, 65535),)


@dataclass(frozen=True, slots=True)
class Connections:
    """A set of (protocol, port). It is written as ``TCP 80,8080-8090``, ``All Connections`` or ``No Connections``."""

    sctp: Intervals = ()
    tcp: Intervals = ()
    udp: Intervals = ()

    @property
    def _parts(self) -> tuple[Intervals, Intervals, Intervals]:
        return self.sctp, self.tcp, self.udp

    def of(self, protocol: Protocol) -> Intervals:
        """The ports of one protocol."""
        return self._parts[PROTOCOLS.index(protocol)]

    def __bool__(self) -> bool:
        return bool(self.sctp or self.tcp or self.udp)

    def __or__(self, other: Connections) -> Connections:
        return _union(self, other)

    def __and__(self, other: Connections) -> Connections:
        return _intersection(self, other)

    def __sub__(self, other: Connections) -> Connections:
        return _difference(self, other)

    def __str__(self) -> str:
        if self == ALL:
            return "All Connections"
        if not self:
            return "No Connections"
        return ",".join(
            f"{protocol} {','.join(str(a) if a == b else f'{a}-{b}' for a, b in ports)}"
            for protocol, ports in zip(PROTOCOLS, self._parts, strict=True)
            if ports
        )


ALL = Connections(ALL_PORTS, ALL_PORTS, ALL_PORTS)
NONE = Connections()


# Few different sets occur, and they meet again and again: each pair is computed once.
@lru_cache(maxsize=4096)
def _union(first: Connections, second: Connections) -> Connections:
    return Connections(*(sets.union(a, b) for a, b in zip(first._parts, second._parts, strict=True)))


@lru_cache(maxsize=4096)
def _intersection(first: Connections, second: Connections) -> Connections:
    return Connections(*(sets.intersection(a, b) for a, b in zip(first._parts, second._parts, strict=True)))


@lru_cache(maxsize=4096)
def _difference(first: Connections, second: Connections) -> Connections:
    return Connections(*(sets.difference(a, b) for a, b in zip(first._parts, second._parts, strict=True)))


def ports(protocol: Protocol, *ranges: tuple[int, int]) -> Connections:
    """The connections of one protocol to some port ranges (inclusive); what is no port is left out."""
    kept = sets.intersection(sets.intervals(ranges), ALL_PORTS)
    return Connections(**{protocol.lower(): kept})


_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<protocol>TCP|UDP|SCTP))?\Z")


def read_ports(text: str) -> Connections | None:
    """The connections that ``8080``, ``8000-8080`` or ``53/UDP`` means; None for what is no port."""
    match = _PORTS.match(text)
    if match is None:
        return None
    first = int(match["first"])
    last = int(match["last"] or first)
    if not ALL_PORTS[0][0] <= first <= last <= ALL_PORTS[0][1]:
        return None
    return ports(next(p for p in PROTOCOLS if p == (match["protocol"] or "TCP")), (first, last))


Family = Literal[4, 6]
#: The addresses of each family as numbers.
EVERY_ADDRESS: dict[Family, Intervals] = {4: ((0, 2**32 - 1),), 6: ((0, 2**128 - 1),)}


@dataclass(frozen=True, slots=True)
class Addresses:
    """A set of IPv4 and IPv6 addresses."""

    v4: Intervals = ()
    v6: Intervals = ()

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __and__(self, other: Addresses) -> Addresses:
        return Addresses(sets.intersection(self.v4, other.v4), sets.intersection(self.v6, other.v6))

    def __or__(self, other: Addresses) -> Addresses:
        return Addresses(sets.union(self.v4, other.v4), sets.union(self.v6, other.v6))

    def __sub__(self, other: Addresses) -> Addresses:
        return Addresses(sets.difference(self.v4, other.v4), sets.difference(self.v6, other.v6))

    def cidrs(self) -> tuple[str, ...]:
        """The fewest CIDRs that make up the set, IPv4 first, in ascending order."""
        return (
            *_cidrs(self.v4, ipaddress.IPv4Address),
            *_cidrs(self.v6, ipaddress.IPv6Address),
        )


def together(parts: Iterable[Addresses]) -> Addresses:
    """The union of many sets."""
    kept = list(parts)
    return Addresses(
        sets.intervals(span for part in kept for span in part.v4),
        sets.intervals(span for part in kept for span in part.v6),
    )


ANYWHERE = Addresses(EVERY_ADDRESS[4], EVERY_ADDRESS[6])


def _cidrs(ranges: Intervals, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> Iterable[str]:
    for start, end in ranges:
        for network in ipaddress.summarize_address_range(kind(start), kind(end)):
            yield str(network)


_CIDR = re.compile(r"[0-9A-Fa-f:.]+/[0-9]{1,3}\Z")
_LEADING_ZEROS = re.compile(r"(?<![0-9A-Fa-f:])0+(?=[0-9]+[./])")


def cidr_addresses(text: str) -> Addresses | None:
    """The addresses of a CIDR as policies state one; None for what an API server refuses.

    Host bits may be set, and numbers may have leading zeros (k8s.io/utils/net ParseCIDRSloppy, which validation of
    policies uses). An IPv4-mapped IPv6 network (``::ffff:10.0.0.0/104``) is the IPv4 one, as in Go.
    """
    return addresses(_LEADING_ZEROS.sub("", text)) if _CIDR.match(text) else None


def addresses(text: str) -> Addresses | None:
    """The addresses of a CIDR or of a single address; None for what is neither."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv4Network):
        return Addresses(v4=((int(network.network_address), int(network.broadcast_address)),))
    mapped = network.network_address.ipv4_mapped
    if mapped is not None and network.prefixlen >= 96:
        inner = ipaddress.IPv4Network((int(mapped), network.prefixlen - 96), strict=False)
        return Addresses(v4=((int(inner.network_address), int(inner.broadcast_address)),))
    return Addresses(v6=((int(network.network_address), int(network.broadcast_address)),))
