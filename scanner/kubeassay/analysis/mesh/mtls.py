"""The mTLS mode in which each port of each workload is served: what all PeerAuthentications together decide.

The most specific level decides: port, workload, namespace, mesh (a policy without selector in the root namespace), and
PERMISSIVE where none does. UNSET inherits. Of several at one level the oldest decides, of equally old ones the first by
name. Manifests state no age: where the order of several matters, the mode is not known; what Istio makes of these very
objects, which takes absent ages for equal ones, is told beside.

Policies with a selector in the root namespace apply to nothing, and ports of a policy without selector are ignored,
whatever the API's documentation says.

Ztunnel knows STRICT and PERMISSIVE only, and composes ports in its own way.

Source: istio/istio @eed52eb, pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication),
pilot/pkg/model/authentication.go (addPeerAuthentication, getConfigsForWorkload) and config.go
(configCompareByCreationTime), pilot/pkg/serviceregistry/ambient/authorization.go (convertedSelectorPeerAuthentications,
convertPeerAuthentication) and workloads.go (fetchPeerAuthentications).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from kubeassay.analysis.mesh.capture import Bypass, inbound_bypass
from kubeassay.analysis.mesh.membership import Membership, Memberships, memberships
from kubeassay.analysis.mesh.settings import REVISION_LABEL, Place, created
from kubeassay.analysis.network.endpoints import Workload, namespace_of
from kubeassay.analysis.network.services import Services, services
from kubeassay.analysis.reading import mapping
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Inventory, Object, Path, shared_folders

GROUP = "security.istio.io"
Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
MODES: tuple[Mode, ...] = ("STRICT", "PERMISSIVE", "DISABLE")
Level = Literal["port", "workload", "namespace", "mesh", "default"]


@dataclass(frozen=True, slots=True, eq=False)
class PeerAuthentication:
    """One PeerAuthentication. ``mode`` None: UNSET. ``ports``: number → mode; the numbers as the object has them are
    its ``keys``. ``created``: when it was created (texts compare as times); empty: not known.
    ``refused``: why an API server does not take it, and where. ``has_selector``: a selector is there, perhaps empty.
    """

    obj: Object
    namespace: str
    name: str
    selector: Mapping[str, str]
    has_selector: bool
    mode: Mode | None
    ports: Mapping[int, Mode | None]
    keys: Mapping[int, str]
    created: str
    revision: str | None
    refused: tuple[str, Path] | None

    def __str__(self) -> str:
        return f"PeerAuthentication {self.namespace}/{self.name}"

    @property
    def selects_all(self) -> bool:
        return not self.selector

    @property
    def place(self) -> Place:
        """Where it says its mode, or would."""
        return self.obj, ("spec", "mtls", "mode")

    def port_place(self, port: int) -> Place:
        return self.obj, ("spec", "portLevelMtls", self.keys.get(port, str(port)), "mode")

    def selects(self, labels: Mapping[str, str]) -> bool:
        return self.selector.items() <= labels.items()


@dataclass(frozen=True, slots=True)
class Decision:
    """A mode and what decides it. ``policy`` None: nothing, so that the default holds. ``mode`` None: not known, and
    ``unknown`` says why, as a clause, ``reason`` as :class:`kubeassay.model.NotEvaluated` has it; ``perhaps`` are the
    modes that it may be, ``if_equally_old`` the one that it is where policies were created in the same second; then
    ``level``, ``policy`` and ``place`` are of that one."""

    mode: Mode | None
    level: Level
    policy: PeerAuthentication | None = None
    place: Place | None = None
    unknown: str = ""
    reason: str = ""
    perhaps: tuple[Mode, ...] = ()
    if_equally_old: Mode | None = None

    @property
    def possible(self) -> tuple[Mode, ...]:
        """The modes that it may be, the likeliest first."""
        if self.mode is not None:
            return (self.mode,)
        return tuple(sorted(self.perhaps, key=lambda mode: mode != self.if_equally_old))


@dataclass(frozen=True, slots=True)
class PortMtls:
    """One port of a workload. ``decision``: the mode that policies give it. ``bypass``: why connections to it do not
    pass the proxy, so that no mode holds. ``name`` may be empty; ``path``: from the workload's root to what declares it
    (None: a Service's targetPort does)."""

    number: int
    name: str
    decision: Decision
    bypass: Bypass | None
    path: Path | None

    @property
    def mode(self) -> Mode | None:
        """The mode in effect; None: not known, or nothing holds (see ``bypass``)."""
        return None if self.bypass is not None else self.decision.mode


@dataclass(frozen=True, slots=True, eq=False)
class WorkloadMtls:
    """A workload, whether it is in the mesh, the mode that it has by default, and its TCP ports.

    Modes hold only where ``membership.captured``.
    """

    workload: Workload
    membership: Membership
    default: Decision
    ports: tuple[PortMtls, ...]

    def port(self, number: int) -> PortMtls | None:
        return next((port for port in self.ports if port.number == number), None)


class Mtls:
    """The PeerAuthentications of an inventory, and the modes that they give its workloads."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.memberships: Memberships = memberships(inventory)
        self.settings = self.memberships.settings
        self.services: Services = services(inventory)
        self.policies: tuple[PeerAuthentication, ...] = tuple(
            _read(obj) for obj in inventory.of_kind("PeerAuthentication", GROUP) if obj.ref.name
        )
        #: namespace → policies without selector, and those with one by a label that they ask for.
        self._all: dict[str, list[PeerAuthentication]] = defaultdict(list)
        self._selecting: dict[tuple[str, str, str], list[PeerAuthentication]] = defaultdict(list)
        names: dict[tuple[str, str], int] = defaultdict(int)
        for policy in self.policies:
            names[policy.namespace, policy.name] += 1
            if policy.selects_all:
                self._all[policy.namespace].append(policy)
            else:
                self._selecting[(policy.namespace, *min(policy.selector.items()))].append(policy)
        self._several = {key for key, count in names.items() if count > 1}
        self._targets = _service_targets(self.services)
        self._of: dict[Workload, WorkloadMtls] = {}
        self._decisions: dict[tuple[Workload, int | None], Decision] = {}

    @property
    def workloads(self) -> tuple[Workload, ...]:
        return self.memberships.workloads

    @cached_property
    def root_is_known(self) -> bool:
        """Whether what stands in the root namespace is among the inputs, so that no policy for the mesh is missed: what
        installs Istio, or an object of that namespace."""
        root = self.settings.root_namespace
        return bool(self.settings.control_plane) or any(
            obj.ref.namespace == root or (obj.ref.kind == "Namespace" and obj.ref.name == root)
            for obj in self.inventory
        )

    def of(self, workload: Workload) -> WorkloadMtls:
        found = self._of.get(workload)
        if found is None:
            found = self._of[workload] = self._workload(workload)
        return found

    def mode(self, workload: Workload, port: int) -> Decision:
        """The mode that policies give a port of a workload, whether it declares it or not."""
        return self._decision(workload, port)

    def namespace_decision(self, namespace: str, near: Object) -> Decision:
        """The mode that the namespace's and the mesh's policies give (GetNamespaceMutualTLSMode)."""
        levels = _Levels((), self._nearest(self._all.get(namespace, ()), near), self._mesh(near, None))
        if namespace == self.settings.root_namespace:
            levels = _Levels((), (), levels.mesh)
        return _compose(levels, None, ambient=False)

    def workload_policies(self, workload: Workload) -> tuple[PeerAuthentication, ...]:
        """The policies with a selector that select a workload, refused ones too: the oldest decides."""
        if workload.namespace == self.settings.root_namespace:
            return ()
        return tuple(self._nearest(self.selecting(workload), workload.obj))

    def selecting(self, workload: Workload) -> Iterator[PeerAuthentication]:
        """The policies of a workload's namespace whose selector its labels fulfil, of all folders."""
        for pair in workload.labels.items():
            for policy in self._selecting.get((workload.namespace, *pair), ()):
                if policy.selects(workload.labels):
                    yield policy

    def _workload(self, workload: Workload) -> WorkloadMtls:
        membership = self.memberships.of(workload)
        ports = []
        for number, (name, path) in sorted(self._ports(workload).items()):
            bypass = inbound_bypass(workload, membership, self.settings.proxy, number)
            ports.append(PortMtls(number, name, self._decision(workload, number), bypass, path))
        return WorkloadMtls(workload, membership, self._decision(workload, None), tuple(ports))

    def _ports(self, workload: Workload) -> Mapping[int, tuple[str, Path | None]]:
        """The TCP ports of a workload: those that its containers declare, and those that Services lead to."""
        proxy = self.memberships.of(workload).kind == "sidecar"
        ports: dict[int, tuple[str, Path | None]] = {}
        for port in workload.ports:
            if port.protocol == "TCP" and not (proxy and _is_of_proxy(workload, port.path)):
                ports.setdefault(port.number, (port.name, port.path))
        for number in self._targets.get(workload, ()):
            ports.setdefault(number, ("", None))
        return ports

    def _decision(self, workload: Workload, port: int | None) -> Decision:
        found = self._decisions.get((workload, port))
        if found is None:
            found = self._decisions[workload, port] = self._decide(workload, port)
        return found

    def _decide(self, workload: Workload, port: int | None) -> Decision:
        membership = self.memberships.of(workload)
        ambient = membership.kind == "ambient"
        root = self.settings.root_namespace
        spaces: Sequence[PeerAuthentication] = ()
        if workload.namespace != root:
            spaces = self._nearest(self._all.get(workload.namespace, ()), workload.obj)
        # Istiod asks ztunnel's way for the mesh's policies by the absence of a selector, not by its being empty.
        mesh = self._mesh(workload.obj, workload.namespace if ambient else None)
        levels = _Levels(self.workload_policies(workload), spaces, mesh)
        return _compose(levels, port, ambient=ambient)

    def _mesh(self, near: Object, ambient_namespace: str | None) -> Sequence[PeerAuthentication]:
        root = self.settings.root_namespace
        found: Iterable[PeerAuthentication] = self._all.get(root, ())
        if ambient_namespace is not None and ambient_namespace != root:
            found = [policy for policy in found if not policy.has_selector]
        return self._nearest(found, near)

    def _nearest(self, policies: Iterable[PeerAuthentication], near: Object) -> Sequence[PeerAuthentication]:
        """Of several objects of one name (a tree often has one for each environment) the nearest by folder."""
        found = list(policies)
        if not any((policy.namespace, policy.name) in self._several for policy in found):
            return found
        chosen: dict[tuple[str, str], PeerAuthentication] = {}
        for policy in found:
            known = chosen.get((policy.namespace, policy.name))
            if known is None or shared_folders(policy.obj.file, near.file) > shared_folders(known.obj.file, near.file):
                chosen[policy.namespace, policy.name] = policy
        return list(chosen.values())


def mtls(inventory: Inventory) -> Mtls:
    """The modes in which the ports of an inventory's workloads are served."""
    found: Mtls | None = inventory.facts.get(Mtls)
    if found is None:
        found = inventory.facts[Mtls] = Mtls(inventory)
    return found


def _service_targets(found: Services) -> Mapping[Workload, Sequence[int]]:
    targets: dict[Workload, list[int]] = defaultdict(list)
    for service in found.by_object.values():
        for port in service.ports:
            for target in port.targets:
                if target.protocol == "TCP":
                    targets[target.workload].append(target.port)
    return targets


def _is_of_proxy(workload: Workload, path: Path) -> bool:
    """Whether a port is declared by the proxy's own container, in a live Pod say."""
    if workload.template is None:
        return False
    return any(
        container.name == "istio-proxy" and path[: len(container.path)] == container.path
        for container in workload.template.containers
    )


# --- reading ---


def _mode(value: Any) -> tuple[Mode | None, bool]:
    """A mode (None: UNSET), and whether an API server takes the value."""
    if value is None or value == "UNSET":
        return None, True
    found = next((mode for mode in MODES if mode == value), None)
    return found, found is not None


def _read(obj: Object) -> PeerAuthentication:
    spec = mapping(obj.value.get("spec"))
    refused: tuple[str, Path] | None = None
    mode, valid = _mode(mapping(spec.get("mtls")).get("mode"))
    if not valid:
        refused = ("there is no such mode", ("spec", "mtls", "mode"))
    ports: dict[int, Mode | None] = {}
    keys: dict[int, str] = {}
    for key, setting in mapping(spec.get("portLevelMtls")).items():
        of_port, valid = _mode(mapping(setting).get("mode"))
        path: Path = ("spec", "portLevelMtls", key)
        if not valid:
            refused = refused or ("there is no such mode", (*path, "mode"))
        if not (key.isascii() and key.isdigit() and len(key) <= 6 and 0 < int(key) < 65536):
            refused = refused or (f"{key} is no port", path)
            continue
        ports[int(key)] = of_port
        keys[int(key)] = key
    labels = mapping(mapping(spec.get("selector")).get("matchLabels"))
    selector = {key: "" if value is None else value for key, value in labels.items()}
    for key, value in selector.items():
        if not isinstance(value, str) or "*" in value or "*" in key or not key or len(value) > 63:
            refused = refused or ("its selector is not valid", ("spec", "selector", "matchLabels", key))
    selector = {key: value if isinstance(value, str) else str(value) for key, value in selector.items()}
    if ports and not selector:
        refused = refused or ("portLevelMtls needs a selector", ("spec", "portLevelMtls"))
    return PeerAuthentication(
        obj=obj,
        namespace=namespace_of(obj),
        name=obj.ref.name,
        selector=selector,
        has_selector=isinstance(spec.get("selector"), dict),
        mode=mode,
        ports=ports,
        keys=keys,
        created=created(obj),
        revision=labels_of(obj.value).get(REVISION_LABEL),
        refused=refused,
    )


# --- composing ---


@dataclass(frozen=True, slots=True)
class _Levels:
    """The policies that apply, by level."""

    workload: Sequence[PeerAuthentication]
    namespace: Sequence[PeerAuthentication]
    mesh: Sequence[PeerAuthentication]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The policies of a level of which one decides (None: perhaps none does), and why it is not known which."""

    policies: Sequence[PeerAuthentication | None]
    unknown: str = ""
    reason: str = ""
    #: All policies of the level.
    all: Sequence[PeerAuthentication] = ()


def _candidates(policies: Sequence[PeerAuthentication], *, ambient: bool) -> _Candidates:
    if not policies:
        return _Candidates((None,))
    refused = next((policy for policy in policies if _hides(policy)), None)
    if refused is not None and refused.refused is not None:
        words = f"an API server refuses {refused}: {refused.refused[0]}"
        # Whoever wrote it meant something, and perhaps an older state of it is there.
        meant = [replace(refused, mode=mode, ports=dict.fromkeys(refused.ports, mode)) for mode in (None, *MODES)]
        return _Candidates((*policies, *meant, None), words, "invalid-object", policies)
    revised = next((policy for policy in policies if policy.revision), None)
    if revised is not None:
        words = f"{revised} is for revision {revised.revision} alone"
        return _Candidates((*policies, None), words, "unsupported", policies)
    first = sorted(policies, key=lambda policy: (policy.created, policy.name, policy.namespace))
    if len(policies) == 1 or all(policy.created for policy in policies):
        equal = [policy for policy in first if policy.created == first[0].created]
        if not ambient or len(equal) == 1:
            return _Candidates(first[:1], all=first)
        # For ztunnel, istiod takes the first in whatever order it has them (getOldestPeerAuthn).
        words = f"{equal[0]} and {equal[1].name} are equally old, and istiod takes any of them for ztunnel"
        return _Candidates(equal, words, "unknown-order", first)
    others = ", ".join(policy.name for policy in first[1:3])
    words = f"of {first[0]} and {others} the oldest decides, and manifests do not say which that is"
    return _Candidates(first, words, "unknown-order", first)


def _hides(policy: PeerAuthentication) -> bool:
    """Whether a policy is refused for what decides the mode. Ports without a selector change no mode."""
    return policy.refused is not None and policy.refused[1] != ("spec", "portLevelMtls")


def _compose(levels: _Levels, port: int | None, *, ambient: bool) -> Decision:
    mesh, space, own = (
        _candidates(level, ambient=ambient) for level in (levels.mesh, levels.namespace, levels.workload)
    )
    decisions: dict[Mode, Decision] = {}
    for decision in _all_decisions(own, space, mesh, port, ambient=ambient):
        assert decision.mode is not None
        decisions.setdefault(decision.mode, decision)
    if len(decisions) == 1:
        return next(iter(decisions.values()))
    causes = [candidates for candidates in (own, space, mesh) if candidates.unknown]
    cause, first = causes[0], next(iter(decisions.values()))
    only_order = all(candidates.reason == "unknown-order" for candidates in causes)
    return Decision(
        mode=None,
        level=first.level,
        policy=first.policy if only_order else None,
        place=first.place,
        unknown=cause.unknown,
        reason=cause.reason,
        perhaps=tuple(mode for mode in MODES if mode in decisions),
        # The first of each level by name.
        if_equally_old=first.mode if only_order else None,
    )


def _all_decisions(
    own: _Candidates, space: _Candidates, mesh: _Candidates, port: int | None, *, ambient: bool
) -> Iterator[Decision]:
    """The decisions of each order that there may be. Of a level, policies that say the same are tried once."""
    for of_mesh in _distinct(mesh, None):
        for of_space in _distinct(space, None):
            for of_workload in _distinct(own, port):
                if not ambient:
                    yield _sidecar_decision(of_workload, of_space, of_mesh, port)
                    continue
                for seen in _seen_for_ztunnel(of_space, space):
                    yield _ambient_decision(of_workload, of_space, of_mesh, port, seen)


def _seen_for_ztunnel(space: PeerAuthentication | None, candidates: _Candidates) -> Iterable[PeerAuthentication | None]:
    """The namespace's policy from which istiod makes one for ports: it has no selector, not even an empty one."""
    if space is None or not space.has_selector:
        return (space,)
    without = [policy for policy in candidates.all if policy is not None and not policy.has_selector]
    return _distinct(_candidates(without, ambient=True), None)


def _distinct(candidates: _Candidates, port: int | None) -> Iterable[PeerAuthentication | None]:
    seen: dict[Any, PeerAuthentication | None] = {}
    for policy in candidates.policies:
        key: Any = None
        if policy is not None:
            ports = frozenset(policy.ports.values())
            of_port = policy.ports.get(port, "none") if port is not None else None
            key = (policy.mode, of_port, ports, policy.has_selector)
        seen.setdefault(key, policy)
    return seen.values()


_DEFAULT = Decision("PERMISSIVE", "default")


def _parent(space: PeerAuthentication | None, mesh: PeerAuthentication | None) -> Decision:
    """What a workload inherits. A policy that leaves its mode unset decides nothing."""
    if space is not None and space.mode is not None:
        return Decision(space.mode, "namespace", space, space.place)
    if mesh is not None and mesh.mode is not None:
        return Decision(mesh.mode, "mesh", mesh, mesh.place)
    return _DEFAULT


def _sidecar_decision(
    own: PeerAuthentication | None, space: PeerAuthentication | None, mesh: PeerAuthentication | None, port: int | None
) -> Decision:
    decision = _parent(space, mesh)
    if own is None:
        return decision
    if own.mode is not None:
        decision = Decision(own.mode, "workload", own, own.place)
    of_port = own.ports.get(port) if port is not None else None
    if of_port is not None and port is not None:
        return Decision(of_port, "port", own, own.port_place(port))
    return decision


def _ambient_decision(
    own: PeerAuthentication | None,
    space: PeerAuthentication | None,
    mesh: PeerAuthentication | None,
    port: int | None,
    seen: PeerAuthentication | None,
) -> Decision:
    """Ztunnel denies what has no identity where STRICT holds, and knows nothing else: DISABLE is PERMISSIVE.

    Istiod attaches its own policy "strict" to workloads, or where ports differ one that it makes of the workload's
    PeerAuthentication; when it makes none, nothing denies.
    """
    decision = _parent(space, mesh)
    if own is not None and own.mode is not None:
        decision = Decision(own.mode, "workload", own, own.place)
    strict = decision.mode == "STRICT"
    modes = set(own.ports.values()) if own is not None else set()
    if own is None or not modes:
        return _as_ztunnel(decision)
    differing = {"PERMISSIVE", "DISABLE"} if own.mode == "STRICT" else {"PERMISSIVE"} if strict else {"STRICT"}
    if not modes & differing:
        # No port differs in a way that istiod looks for, so that the workload's mode holds for all.
        return _as_ztunnel(decision)
    of_port = own.ports.get(port) if port is not None else None
    at = own.port_place(port) if port is not None else None
    # Ports whose STRICT is inherited are left out; those that the mesh's covers also where the workload's own mode is
    # another, which is a slip of istiod.
    inherited = (own.mode is None and _is_strict(seen)) or (_is_strict(mesh) and (seen is None or seen.mode is None))
    if not strict:
        if of_port != "STRICT" or inherited:
            return _as_ztunnel(decision)
        return Decision("STRICT", "port", own, at)
    if own.mode is None and not _is_strict(seen if seen is not None else mesh):
        # Another slip: it takes what is inherited for not strict, so that its policy is of strict ports alone, and
        # attaches not even "strict".
        if of_port == "STRICT" and not inherited:
            return Decision("STRICT", "port", own, at)
        place = decision.place if seen is None else seen.place
        return Decision("PERMISSIVE", decision.level, seen or decision.policy, place)
    if of_port in ("PERMISSIVE", "DISABLE"):
        return Decision("PERMISSIVE", "port", own, at)
    return decision


def _is_strict(policy: PeerAuthentication | None) -> bool:
    return policy is not None and policy.mode == "STRICT"


def _as_ztunnel(decision: Decision) -> Decision:
    if decision.mode != "DISABLE":
        return decision
    return Decision("PERMISSIVE", decision.level, decision.policy, decision.place)
