"""The ports of workloads as a mesh serves them: the mode in effect, what decides it, and who may call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubeassay.analysis.mesh.authorization import authorization
from kubeassay.analysis.mesh.callers import callers
from kubeassay.analysis.mesh.mtls import Decision, Mode, PortMtls, WorkloadMtls
from kubeassay.analysis.mesh.settings import Place
from kubeassay.analysis.mesh.waypoints import waypoints
from kubeassay.model import Inventory

NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Served:
    """A port of a workload; ``port`` None: of a workload without ports."""

    state: WorkloadMtls
    port: PortMtls | None
    callers: tuple[str, ...]

    @property
    def decision(self) -> Decision:
        return self.port.decision if self.port is not None else self.state.default

    @property
    def mode(self) -> str:
        """The mode in effect, in a word: "none" where no proxy holds to one."""
        kind = self.state.membership.kind
        if kind == "unknown" or kind == "proxyless":
            return NOT_KNOWN
        if self.unserved:
            return "none"
        if self.resolved is None:
            return NOT_KNOWN
        return self.resolved if self.certain else f"{self.resolved}?"

    @property
    def unknown(self) -> bool:
        return self.mode == NOT_KNOWN or not self.certain or any(one.startswith(NOT_KNOWN) for one in self.callers)

    @property
    def unserved(self) -> bool:
        """Whether no proxy stands before it."""
        return not self.state.membership.captured or (self.port is not None and self.port.bypass is not None)

    @property
    def resolved(self) -> Mode | None:
        """The mode that Istio makes of these objects; None: not known, or no proxy holds to one."""
        return None if self.unserved else self.decision.mode or self.decision.if_equally_old

    @property
    def certain(self) -> bool:
        """Whether the mode, or that there is none, holds whatever the inputs do not say."""
        if self.state.membership.kind in ("unknown", "proxyless"):
            return False
        return self.unserved or self.decision.mode is not None

    @property
    def why(self) -> tuple[str, Place | None]:
        """What decides the mode, as words, and where."""
        membership = self.state.membership
        if not membership.captured:
            return membership.words, membership.place
        if self.port is not None and self.port.bypass is not None:
            return self.port.bypass.words, self.port.bypass.place
        if self.resolved is None:
            return self.decision.unknown, self.decision.place
        if not self.certain:
            by = f"{self.decision.policy} ({self.decision.level})" if self.decision.policy is not None else "nothing"
            return f"{by}, if all are equally old: {self.decision.unknown}", self.decision.place
        if self.decision.policy is None:
            return "nothing", None
        return f"{self.decision.policy} ({self.decision.level})", self.decision.place


#: Where no proxy enforces a policy.
_UNENFORCED = ("anyone may use everything",)


def served(inventory: Inventory, state: WorkloadMtls) -> Iterator[Served]:
    """The ports of a workload, with their callers."""
    kind = state.membership.kind
    who: tuple[str, ...] = ()
    if kind == "outside":
        who = _UNENFORCED
    elif kind in ("sidecar", "ambient", "gateway"):
        attached = authorization(inventory).attached(state.workload, ztunnel=kind == "ambient")
        if attached.refused:
            who = (f"{NOT_KNOWN}: Istio refuses {attached.refused[0]}",)
        else:
            found = [one for one in callers(attached, http=kind != "ambient") if one.in_effect]
            who = tuple(map(str, found))
            if not any(one.effect == "allow" for one in found):
                who = (*who, "nobody may use anything else" if who else "nobody")
            through = waypoints(inventory).unknown(state.workload)
            who = (*who, f"{NOT_KNOWN}: {through}") if through else who
    for port in state.ports or (None,):
        yield Served(state, port, _UNENFORCED if port is not None and port.bypass is not None else who)
