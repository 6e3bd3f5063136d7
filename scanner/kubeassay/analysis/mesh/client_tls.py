"""What clients in the mesh send to a Service, by DestinationRules and automatic mTLS, and what its pods make of it.

Which rules a client sees for a host: those of its own namespace, else those that the Service's namespace exports to it,
else those of the root namespace; in each the most specific host. Rules of one host are merged: the oldest traffic
policy counts, subsets are joined. A setting for a port replaces the rule's whole, so that TLS left out there is unset.

Where no rule sets TLS, a client sends mTLS to each pod that has a proxy and is not served in mode DISABLE — but not at
all where the mode of the Service's *namespace* is DISABLE, whatever policies of single workloads say.

Source: istio/istio @eed52eb, pilot/pkg/model/push_context.go (setDestinationRules, destinationRule,
BestEffortInferServiceMTLSMode), destination_rule.go (mergeDestinationRule), config.go (ResolveShortnameToFQDN,
MostSpecificHostMatch), sidecar.go (SidecarScope.DestinationRule), pilot/pkg/networking/core/cluster_tls.go
(buildUpstreamTLSSettings, applyUpstreamTLSSettings), pilot/pkg/networking/util/util.go (GetPortLevelTrafficPolicy,
MergeSubsetTrafficPolicy), pilot/pkg/xds/endpoints/mtls_checker.go.

Not seen: Sidecar resources, which narrow what a client knows, and EnvoyFilters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kubeassay.analysis.mesh.capture import Bypass, inbound_bypass, outbound_bypass
from kubeassay.analysis.mesh.membership import Membership
from kubeassay.analysis.mesh.mtls import Decision, Mode, Mtls, mtls
from kubeassay.analysis.mesh.settings import MeshSettings, Place, created
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.istio_gateways import GROUP, full_name
from kubeassay.analysis.network.services import Service, ServicePort, Target, services
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.model import Inventory, Object, Path

TLS_MODE_LABEL = "security.istio.io/tlsMode"
TlsMode = Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
_TLS_MODES: tuple[TlsMode, ...] = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")

#: More rules of one host than anybody writes by hand.
_MANY = 16

#: encrypted: by the mesh. plain text: by nobody. own TLS: by the client's proxy with certificates of its own, which the
#: server itself must serve. fails: what is sent is not accepted. unknown: not known.
Result = Literal["encrypted", "plain text", "own TLS", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class TlsSetting:
    """A client's TLS setting in a DestinationRule; ``place``: its mode, or where it would stand."""

    mode: TlsMode
    place: Place

    def __str__(self) -> str:
        obj = self.place[0]
        return f"DestinationRule {namespace_of(obj)}/{obj.ref.name} has mode {self.mode}"


@dataclass(frozen=True, slots=True)
class PortPolicy:
    """What a policy says of TLS, for a port or for all. ``passthrough``: whether its load balancer takes the address
    that the client asked for; None: it sets none."""

    tls: TlsSetting | None = None
    passthrough: bool | None = None


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """What a trafficPolicy says of TLS: for all ports, and for those (by number) that have settings of their own, which
    inherit nothing."""

    general: PortPolicy
    ports: Mapping[int, PortPolicy]

    def for_port(self, number: int) -> PortPolicy:
        return self.ports.get(number, self.general)

    def marked(self, number: int) -> TlsSetting | None:
        """As endpoints are marked: what a port leaves out it has from above."""
        return self.for_port(number).tls or self.general.tls

    @property
    def settings(self) -> Iterator[TlsSetting]:
        yield from (one.tls for one in (self.general, *self.ports.values()) if one.tls is not None)


@dataclass(frozen=True, slots=True)
class Sent:
    """How a rule has a client connect to a Service's port. ``tls`` None: it sets no TLS; then endpoints are ``marked``
    by a setting from elsewhere in the rule. ``original``: to the address that the client asked for, of whichever pod.
    ``checked``: mTLS is sent only where all pods have a proxy."""

    tls: TlsSetting | None = None
    marked: TlsSetting | None = None
    original: bool = False
    checked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ClientRule:
    """A DestinationRule, or several of one host merged. ``host`` is the full name. ``selector`` None: for all clients.
    ``objects``: what it is made of, the first first. ``unsure``: which policy counts depends on an age that manifests
    do not state; it is merged as Istio does it where all ages are equal. ``parts``: the rules of single objects that it
    is merged of, in that order; ``rivals``: those that are not merged with it, and may come before it."""

    host: str
    namespace: str
    export_to: frozenset[str]
    selector: Mapping[str, str] | None
    policy: TrafficPolicy | None
    subsets: Mapping[str, TrafficPolicy | None]
    objects: tuple[Object, ...]
    created: str
    unsure: bool = False
    parts: tuple[ClientRule, ...] = ()
    rivals: tuple[ClientRule, ...] = ()

    def __str__(self) -> str:
        return f"DestinationRule {self.namespace}/{self.objects[0].ref.name}"

    @property
    def crowded(self) -> bool:
        """Whether it is made of more than are tried in every order."""
        return self.unsure and max(len(self.parts), len(self.rivals)) > _MANY

    def orders(self, subset: str) -> tuple[ClientRule, ...]:
        """The rules that it may be for a subset, by the order of what it is made of; the one of equal ages first."""
        if not self.unsure or self.crowded:
            return (self,)
        parts = self.parts or (self,)
        found: dict[str, ClientRule] = {}
        for first in [part for part in parts if part.policy is not None] or parts[:1]:
            for second in [part for part in parts if subset in part.subsets] or parts[:1]:
                contradiction = subset in first.subsets and second.policy is not None and first is not second
                if subset in second.subsets and contradiction:
                    # Each of them would have to be older than the other.
                    continue
                own = {subset: second.subsets[subset]} if subset in second.subsets else {}
                one = replace(self, policy=first.policy, subsets={**self.subsets, **own})
                found.setdefault(one.says(subset), one)
        for rival in self.rivals:
            found.setdefault(rival.says(subset), rival)
        return tuple(found.values())

    def says(self, subset: str) -> str:
        """What it has clients of a subset send."""
        return str((_says(self.policy), _says(self.subsets.get(subset))))

    def sent(self, port: int, subset: str = "") -> Sent:
        """How clients connect to a Service's port, by this rule."""
        general = self.policy.for_port(port) if self.policy is not None else PortPolicy()
        marked = self.policy.marked(port) if self.policy is not None else None
        own = self.subsets.get(subset) if subset else None
        if own is None:
            of_all = self.policy is not None and self.policy.general.passthrough is True and not subset
            return Sent(general.tls, marked, general.passthrough is True, of_all)
        of_port = own.for_port(port)
        if port not in own.ports:
            lb = of_port.passthrough if of_port.passthrough is not None else general.passthrough
            of_port = PortPolicy(of_port.tls or general.tls, lb)
        checked = own.general.passthrough is True
        # A subset has the kind of cluster that the whole has, whatever its own load balancer is.
        original = True in (of_port.passthrough, general.passthrough, checked)
        return Sent(of_port.tls, own.marked(port) or marked, original, checked)


@dataclass(frozen=True, slots=True)
class Call:
    """What becomes of a call. ``words``: why, as a clause. ``client``: what decides what is sent (None: automatic mTLS,
    or a client without a proxy). ``server``: what decides what is accepted. ``reason``: of unknown; where that depends
    on the ages of objects, ``perhaps`` are the results that there may be, and ``if_equally_old`` is what becomes of it
    if they have the same."""

    result: Result
    words: str
    client: Place | None = None
    server: Place | None = None
    reason: str = ""
    perhaps: tuple[Result, ...] = ()
    if_equally_old: Call | None = None


@dataclass(frozen=True, slots=True)
class _Assumed:
    """What the modes of a Service's namespace and of a workload's port are taken for."""

    of_namespace: Mode | None
    of_port: Mode | None


@dataclass(slots=True)
class _Index:
    """Rules of one namespace by host."""

    specific: dict[str, list[ClientRule]] = field(default_factory=dict)
    #: What follows the * of a host.
    wildcard: dict[str, list[ClientRule]] = field(default_factory=dict)

    def note_rivals(self) -> None:
        for by_host in (self.specific, self.wildcard):
            for host, rules in by_host.items():
                by_host[host] = _with_rivals(rules)

    def match(self, host: str) -> list[ClientRule]:
        found = self.specific.get(host)
        if found is not None:
            return found
        if not self.wildcard:
            return []
        return next((self.wildcard[host[n:]] for n in range(len(host) + 1) if host[n:] in self.wildcard), [])


class ClientTls:
    """The DestinationRules of an inventory, and what calls become by them."""

    def __init__(self, inventory: Inventory) -> None:
        self.mtls: Mtls = mtls(inventory)
        self.settings: MeshSettings = self.mtls.settings
        self.services = services(inventory)
        #: What objects state, in the order of evaluation; hosts that are no Service's, too.
        self.rules: tuple[ClientRule, ...] = tuple(
            sorted(
                filter(None, (self._read(obj) for obj in inventory.of_kind("DestinationRule", GROUP))),
                key=lambda rule: (rule.selector is None, rule.created, rule.objects[0].ref.name, rule.namespace),
            )
        )
        self._local: dict[str, _Index] = defaultdict(_Index)
        self._exported: dict[str, _Index] = defaultdict(_Index)
        self._root_private = _Index()
        for rule in self.rules:
            self._add(rule)
        for index in (*self._local.values(), *self._exported.values(), self._root_private):
            index.note_rivals()
        #: Host, or what follows the * of one → the namespaces that have a rule for it.
        self._by_host: dict[str, list[str]] = defaultdict(list)
        self._by_suffix: dict[str, list[str]] = defaultdict(list)
        for namespace, index in self._local.items():
            for host in index.specific:
                self._by_host[host].append(namespace)
            for suffix in index.wildcard:
                self._by_suffix[suffix].append(namespace)
        self._namespace_modes: dict[tuple[str, str], Decision] = {}

    def host_of(self, service: Service) -> str:
        return full_name(service.name, service.namespace, self.settings.cluster_domain)

    def rules_for(self, namespace: str, service: Service) -> Sequence[ClientRule]:
        """The rules that clients of a namespace see for a Service; of several, those with a selector are for the
        clients that it selects."""
        host, root = self.host_of(service), self.settings.root_namespace
        found = self._root_private.match(host) if namespace == root else self._of(self._local, namespace, host)
        if found:
            return found
        for owner in (service.namespace, root):
            exported = [
                rule
                for rule in self._of(self._exported, owner, host)
                if not rule.export_to or "*" in rule.export_to or namespace in rule.export_to
            ]
            if exported:
                return exported
        return ()

    def rule_for(self, client: Workload, service: Service) -> ClientRule | None:
        """The rule by which a client calls a Service."""
        for_all: ClientRule | None = None
        for rule in self.rules_for(client.namespace, service):
            if rule.selector is None:
                for_all = rule
            elif rule.namespace == client.namespace and rule.selector.items() <= client.labels.items():
                return rule
        return for_all

    def governing(self, service: Service) -> Iterator[tuple[str | None, ClientRule]]:
        """The rules by which anybody may call a Service, and whose: clients of a namespace, or (None) of all namespaces
        without a rule of their own."""
        host, root = self.host_of(service), self.settings.root_namespace
        concerned = list(self._by_host.get(host, ()))
        for number in range(len(host) + 1) if self._by_suffix else ():
            concerned += self._by_suffix.get(host[number:], ())
        for namespace in dict.fromkeys(concerned):
            if namespace != root:
                yield from ((namespace, rule) for rule in self._local[namespace].match(host))
        yield from ((root, rule) for rule in self._root_private.match(host))
        exported = self._of(self._exported, service.namespace, host)
        if not any(not rule.export_to or "*" in rule.export_to for rule in exported):
            exported = [*exported, *self._of(self._exported, root, host)]
        yield from ((None, rule) for rule in exported)

    def call(
        self, client: Workload | None, service: Service, port: ServicePort, target: Target, subset: str = ""
    ) -> Call:
        """What becomes of a call of a client (None: one outside of the mesh) to a Service's port, at one of the
        workloads that it leads to."""
        membership = self.mtls.memberships.of(client) if client is not None else None
        server = self.mtls.memberships.of(target.workload)
        if server.kind == "unknown":
            return Call("unknown", f"of {target.workload}: {server.words}", None, server.place, server.reason)
        if membership is not None and membership.kind in ("unknown", "proxyless"):
            return Call("unknown", f"of {client}: {membership.words}", membership.place, None, "unsupported")
        if client is None or membership is None or membership.kind == "outside":
            words = f"{client or 'the client'} is outside the mesh"
            return self._received_whichever(words, None, server, service, target)
        if membership.kind == "ambient":
            return self._from_ztunnel(server, service, target)
        address = string(service.obj.get("spec", "clusterIP"))
        bypass = outbound_bypass(client, membership, self.settings.proxy, port.number, address)
        if isinstance(bypass, Bypass):
            return self._received_whichever(f"of {client}: {bypass.words}", bypass.place, server, service, target)
        if bypass is False:
            return Call("unknown", f"whether {client} sends it through its proxy depends on the address", None)
        if server.kind == "ambient":
            return Call("encrypted", "ztunnel takes it", None, server.place)
        return self.by_rule(self.rule_for(client, service), service, port, target, subset)

    def by_rule(
        self, rule: ClientRule | None, service: Service, port: ServicePort, target: Target, subset: str = ""
    ) -> Call:
        """What becomes of a call of a client with a sidecar, by a rule (None: none)."""
        server = self.mtls.memberships.of(target.workload)
        if server.kind == "unknown":
            return Call("unknown", f"of {target.workload}: {server.words}", None, server.place, server.reason)
        doubt: list[Call] = []
        orders: Sequence[ClientRule | None] = (rule,)
        if rule is not None and rule.unsure:
            orders = rule.orders(subset)
            words = f"of {rule} and others for this host the oldest decides, and manifests do not say which that is"
            doubt = [Call("unknown", words, (rule.objects[0], ("spec",)), None, "unknown-order")]
        calls = []
        for one in orders:
            for assumed in self._assumptions(service, target, doubt):
                calls.append(self._by_rule(one, service, port, target, subset, assumed))
        if rule is not None and rule.crowded:
            return replace(doubt[0], if_equally_old=calls[0])
        return _summed_up(calls, doubt)

    def _assumptions(self, service: Service, target: Target, doubt: list[Call]) -> Sequence[_Assumed]:
        """What the modes of a Service's namespace and of a workload's port may be, that of equally old policies
        first; why they are not known is added to ``doubt``."""
        decisions = (self._namespace_mode(service), self.mtls.mode(target.workload, target.port))
        for decision in decisions:
            if decision.mode is None:
                doubt.append(Call("unknown", decision.unknown, None, decision.place, decision.reason))
        return [_Assumed(a, b) for a in decisions[0].possible for b in decisions[1].possible]

    def _namespace_mode(self, service: Service) -> Decision:
        key = (service.namespace, service.obj.file)
        found = self._namespace_modes.get(key)
        if found is None:
            found = self._namespace_modes[key] = self.mtls.namespace_decision(service.namespace, service.obj)
        return found

    def _by_rule(
        self,
        rule: ClientRule | None,
        service: Service,
        port: ServicePort,
        target: Target,
        subset: str,
        assumed: _Assumed,
    ) -> Call:
        server = self.mtls.memberships.of(target.workload)
        sent = rule.sent(port.number, subset) if rule is not None else Sent()
        setting = sent.tls
        if setting is not None:
            sends: Literal["mTLS", "plain text", "SIMPLE", "MUTUAL"]
            if setting.mode == "DISABLE":
                sends = "plain text"
            elif setting.mode == "ISTIO_MUTUAL":
                sends = "mTLS"
            else:
                sends = setting.mode
            return self._received(sends, str(setting), setting.place, server, target, assumed)
        if service.headless:
            sent = replace(sent, original=True, checked=True)
        return self._automatic(service, port, target, server, sent, assumed)

    def _automatic(
        self, service: Service, port: ServicePort, target: Target, server: Membership, sent: Sent, assumed: _Assumed
    ) -> Call:
        """What is sent where no rule sets TLS for the connection."""

        def received(sends: Literal["mTLS", "plain text"], why: str, place: Place | None = None) -> Call:
            return self._received(sends, why, place, server, target, assumed)

        auto, place = self.settings.auto_mtls, self.settings.auto_mtls_place
        if auto is None:
            return Call("unknown", "whether automatic mTLS is on differs", place, None, "unsupported")
        if not auto:
            return received("plain text", "automatic mTLS is off", place)
        if assumed.of_namespace == "DISABLE":
            words = (
                f"the mode of namespace {service.namespace} is DISABLE, so that clients send plain text to all of it"
            )
            return received("plain text", words, self._namespace_mode(service).place)
        without = self._without_proxy(port) if sent.checked else None
        if without is not None:
            workload, membership = without
            if membership.kind == "unknown":
                return Call("unknown", f"of {workload}: {membership.words}", None, membership.place, membership.reason)
            words = f"automatic mTLS is off where one of the pods has no proxy, as {workload}"
            return received("plain text", words, membership.place)
        if sent.original:
            return received("mTLS", "automatic mTLS")
        marked = sent.marked
        if marked is not None:
            sends: Literal["mTLS", "plain text"] = "mTLS" if marked.mode == "ISTIO_MUTUAL" else "plain text"
            return received(sends, str(marked), marked.place)
        if _tls_mode(target.workload, server) != "istio":
            return received("plain text", _no_proxy(target.workload, server))
        if assumed.of_port == "DISABLE":
            return received("plain text", "automatic mTLS follows the mode of the port")
        return received("mTLS", "automatic mTLS")

    def _without_proxy(self, port: ServicePort) -> tuple[Workload, Membership] | None:
        """The first workload behind a port that has no proxy, or of which that is not known."""
        for one in port.targets:
            membership = self.mtls.memberships.of(one.workload)
            if membership.kind == "unknown" or _tls_mode(one.workload, membership) == "disabled":
                return one.workload, membership
        return None

    def _from_ztunnel(self, server: Membership, service: Service, target: Target) -> Call:
        if server.kind == "ambient":
            return Call("encrypted", "ztunnel sends it", None, server.place)
        if server.kind == "outside":
            return self._received_whichever(f"{target.workload} is outside the mesh", None, server, service, target)
        if self.settings.ambient or target.workload.labels.get("networking.istio.io/tunnel") == "http":
            return Call("encrypted", "ztunnel sends it", None, server.place)
        words = f"whether the proxy of {target.workload} takes what ztunnel sends is not known"
        return Call("unknown", words, None, server.place, "unsupported")

    def _received_whichever(
        self, why: str, place: Place | None, server: Membership, service: Service, target: Target
    ) -> Call:
        """What pods make of plain text, whatever the mode of their port may be."""
        doubt: list[Call] = []
        assumed = self._assumptions(service, target, doubt)
        return _summed_up([self._received("plain text", why, place, server, target, one) for one in assumed], doubt)

    def _received(
        self,
        sends: Literal["mTLS", "plain text", "SIMPLE", "MUTUAL"],
        why: str,
        place: Place | None,
        server: Membership,
        target: Target,
        assumed: _Assumed,
    ) -> Call:
        """What the pods of a workload make of what is sent."""
        workload = target.workload
        if server.kind in ("gateway", "proxyless"):
            return Call("unknown", f"{workload} is no workload behind a proxy", place, server.place, "unsupported")
        bypass = inbound_bypass(workload, server, self.settings.proxy, target.port)
        if server.kind == "outside" or bypass is not None:
            at = bypass.place if bypass is not None else server.place
            if sends == "mTLS":
                no_proxy = f"port {target.port} passes by its proxy" if bypass is not None else "it is outside the mesh"
                return Call("fails", f"{why}, and {workload} does not take mTLS: {no_proxy}", place, at)
            return Call("plain text" if sends == "plain text" else "own TLS", why, place, at)
        at = self.mtls.mode(workload, target.port).place
        result = _taken(sends, assumed.of_port)
        if result == "fails":
            why = f"{why}, and port {target.port} of {workload} is served in mode {assumed.of_port}"
        if result == "unknown":
            return Call(result, f"{why}: whether the mesh trusts its certificates is not known", place, at)
        return Call(result, why, place, at)

    # --- reading and merging ---

    def _of(self, by_namespace: Mapping[str, _Index], namespace: str, host: str) -> list[ClientRule]:
        index = by_namespace.get(namespace)
        return index.match(host) if index is not None else []

    def _read(self, obj: Object) -> ClientRule | None:
        spec = mapping(obj.value.get("spec"))
        host = string(spec.get("host"))
        if not host or not obj.ref.name:
            return None
        namespace = namespace_of(obj)
        host = full_name(host, namespace, self.settings.cluster_domain)
        selector = spec.get("workloadSelector")
        labels: Mapping[str, str] | None = None
        if isinstance(selector, dict):
            labels = {key: str(value) for key, value in mapping(selector.get("matchLabels")).items()}
        exported = frozenset({"."} if labels is not None else filter(None, map(string, items(spec.get("exportTo")))))
        subsets: dict[str, TrafficPolicy | None] = {}
        for number, subset in enumerate(items(spec.get("subsets"))):
            name = string(mapping(subset).get("name"))
            path: Path = ("spec", "subsets", number, "trafficPolicy")
            subsets.setdefault(name, _policy(obj, path, mapping(subset).get("trafficPolicy")))
        policy = _policy(obj, ("spec", "trafficPolicy"), spec.get("trafficPolicy"))
        return ClientRule(host, namespace, exported, labels, policy, subsets, (obj,), created(obj))

    def _add(self, rule: ClientRule) -> None:
        exported = rule.export_to
        own = {".", rule.namespace}
        if not exported or "*" in exported or exported & own:
            _merge_into(self._local[rule.namespace], rule)
        private = (not exported and self.settings.private_rules) or (len(exported) == 1 and bool(exported & own))
        if not private:
            _merge_into(self._exported[rule.namespace], rule)
        elif rule.namespace == self.settings.root_namespace:
            _merge_into(self._root_private, rule)


def client_tls(inventory: Inventory) -> ClientTls:
    """What clients in the mesh of an inventory send, and what becomes of it."""
    found: ClientTls | None = inventory.facts.get(ClientTls)
    if found is None:
        found = inventory.facts[ClientTls] = ClientTls(inventory)
    return found


def _summed_up(calls: Sequence[Call], doubt: Sequence[Call]) -> Call:
    """The call that all of them are, or one that is not known for the first ``doubt``."""
    results = tuple(dict.fromkeys(call.result for call in calls))
    if len(results) == 1:
        return calls[0]
    only_order = all(one.reason == "unknown-order" for one in doubt)
    perhaps = tuple(result for result in results if result != "unknown")
    return replace(doubt[0], perhaps=perhaps, if_equally_old=calls[0] if only_order else None)


def _taken(sends: str, mode: Mode | None) -> Result:
    """What becomes of what is sent to a port that a proxy serves in a mode."""
    if sends == "mTLS":
        return "fails" if mode == "DISABLE" else "encrypted"
    if mode == "STRICT":
        return "unknown" if sends == "MUTUAL" else "fails"
    return "plain text" if sends == "plain text" else "own TLS"


def _tls_mode(workload: Workload, membership: Membership) -> str:
    """The label by which endpoints say that they take mTLS. The injector sets it where the pod does not."""
    own = workload.labels.get(TLS_MODE_LABEL)
    if membership.kind == "sidecar":
        return own or "istio"
    return own or "disabled"


def _no_proxy(workload: Workload, membership: Membership) -> str:
    if membership.kind == "outside":
        return f"{workload} is outside the mesh"
    return f"{workload} does not say that it takes mTLS ({TLS_MODE_LABEL})"


def _policy(obj: Object, path: Path, value: Any) -> TrafficPolicy | None:
    if not isinstance(value, dict):
        return None
    ports: dict[int, PortPolicy] = {}
    for number, setting in enumerate(items(value.get("portLevelSettings"))):
        port = mapping(mapping(setting).get("port")).get("number")
        if isinstance(port, int) and not isinstance(port, bool) and port not in ports:
            ports[port] = _port_policy(obj, (*path, "portLevelSettings", number), mapping(setting))
    return TrafficPolicy(_port_policy(obj, path, value), ports)


def _port_policy(obj: Object, path: Path, value: Mapping[str, Any]) -> PortPolicy:
    balancer = value.get("loadBalancer")
    passthrough = balancer.get("simple") == "PASSTHROUGH" if isinstance(balancer, dict) else None
    return PortPolicy(_tls(obj, (*path, "tls"), value.get("tls")), passthrough)


def _tls(obj: Object, path: Path, value: Any) -> TlsSetting | None:
    if not isinstance(value, dict):
        return None
    stated = value.get("mode")
    # Left out, it is the first of the API's modes.
    mode: TlsMode = next((known for known in _TLS_MODES if known == stated), "DISABLE")
    return TlsSetting(mode, (obj, (*path, "mode")))


def _merge_into(index: _Index, rule: ClientRule) -> None:
    """Merge a rule with earlier ones of its host, as istiod does (mergeDestinationRule)."""
    wildcard = rule.host.startswith("*")
    rules = (index.wildcard if wildcard else index.specific).setdefault(rule.host[1:] if wildcard else rule.host, [])
    separately = True
    for number, known in enumerate(rules):
        if rule.export_to == known.export_to:
            separately = False
        else:
            separately = True
            if not known.export_to or not rule.export_to >= known.export_to:
                continue
        without = rule.selector is None and known.selector is None
        both = rule.selector is not None and known.selector is not None
        if both and rule.selector != known.selector:
            separately = True
            continue
        if without or both:
            separately = False
        rules[number] = _merged(known, rule)
    if separately:
        rules.append(rule)


def _merged(known: ClientRule, rule: ClientRule) -> ClientRule:
    undated = not (known.created and rule.created)
    differ = known.policy is not None and rule.policy is not None and _says(known.policy) != _says(rule.policy)
    for name in known.subsets.keys() & rule.subsets.keys():
        differ = differ or _says(known.subsets[name]) != _says(rule.subsets[name])
    return replace(
        known,
        policy=known.policy if known.policy is not None else rule.policy,
        subsets={**rule.subsets, **known.subsets},
        objects=(*known.objects, *rule.objects),
        unsure=known.unsure or (undated and differ),
        parts=(*(known.parts or (known,)), rule),
    )


def _with_rivals(rules: list[ClientRule]) -> list[ClientRule]:
    """Rules of one host that are not merged, since they are exported differently: of those for all clients of one
    sight, the order decides which counts."""
    general = [rule for rule in rules if rule.selector is None]
    if len(general) < 2 or all(rule.created for rule in general):
        return rules
    distinct: dict[str, ClientRule] = {}
    for rule in general:
        distinct.setdefault(_all_said(rule), rule)
    if len(distinct) == 1:
        return rules
    rivals = tuple(distinct.values())[: _MANY + 1]
    return [replace(rule, unsure=True, rivals=rivals) if rule.selector is None else rule for rule in rules]


def _all_said(rule: ClientRule) -> str:
    return str((_says(rule.policy), sorted((name, _says(policy)) for name, policy in rule.subsets.items())))


def _says(policy: TrafficPolicy | None) -> Any:
    """What a policy says, wherever it stands."""
    if policy is None:
        return None
    return {
        port: (one.tls and one.tls.mode, one.passthrough) for port, one in ((0, policy.general), *policy.ports.items())
    }
