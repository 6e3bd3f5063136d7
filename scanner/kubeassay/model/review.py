"""What a change does to security: the differences of two inventories, before and after, as plain texts with places.

Everything is said of ``before`` and ``after``; with the two exchanged, what was opened is closed and what was gained is
lost. ``environments`` of a change: those of several that have it; empty where all have, or where there is but one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubeassay.model.object import ObjectRef
from kubeassay.model.place import Location

Side = Literal["before", "after"]
State = Literal["open", "closed", "not-evaluated"]
#: ``opened`` and ``closed`` are certain on both sides; ``uncertain``: the answer was known and is not evaluated now;
#: ``certain``: it was not evaluated and is known now.
PathKind = Literal["opened", "closed", "uncertain", "certain"]
Direction = Literal["weaker", "stronger", "other"]
SettingKind = Literal["pod-security", "mtls", "callers"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that does it, on one of the two sides. ``effect``: ``opens``, ``closes``, ``passes``, ``unknown`` (of
    policies), ``grants`` (a rule of a role), ``binds`` (a binding), ``exposes``, ``sets``. ``object`` and ``location``
    are None where it is the absence of something, or an object of Kubernetes itself."""

    side: Side
    effect: str
    text: str
    object: ObjectRef | None = None
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class PathChange:
    """Ways that changed alike: from each of ``sources`` to each of ``destinations`` (not from one to itself).

    Ends are workloads (``namespace/name[Kind]``), CIDRs, or what stands for something that is not among the inputs
    (``{any other pod}``, ``{cluster DNS}``, ``{ingress-controller}``, ``monitoring/{pods app=prometheus}``).
    """

    was: State
    now: State
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    #: As ``TCP 80,8080-8090`` or ``All Connections``.
    connections: str
    causes: tuple[Cause, ...] = ()
    environments: tuple[str, ...] = ()

    @property
    def change(self) -> PathKind:
        if self.now == "not-evaluated":
            return "uncertain"
        if self.was == "not-evaluated":
            return "certain"
        return "opened" if self.now == "open" else "closed"


@dataclass(frozen=True, slots=True)
class WorkloadChange:
    """A workload that one side alone has. ``ingress`` and ``egress`` say in words what is open to it and from it there:
    its ways are told here, and not one by one."""

    change: Literal["added", "removed"]
    workload: str
    ingress: str
    egress: str
    location: Location
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PermissionChange:
    """Permissions that a subject has on one side alone, by one rule of one role and one binding. ``namespace`` None: in
    the whole cluster. ``uncertain``: why it perhaps had them on the other side, too; empty where it had not."""

    change: Literal["gained", "lost"]
    subject: str
    namespace: str | None
    permissions: tuple[str, ...]
    causes: tuple[Cause, ...] = ()
    uncertain: str = ""
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EscalationChange:
    """What a subject can become at most, where that differs: ``cluster-admin``, ``node``, either with ``(assumed)``
    where it rests on something that the inputs do not tell, or ``nothing``. ``steps``: the shortest path, of the side
    that reaches more."""

    change: Literal["opened", "closed"]
    subject: str
    was: str
    now: str
    steps: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExposureChange:
    """A way from outside the cluster that one side alone has. ``public``: whether addresses of the Internet reach it;
    None where nothing says so. ``workloads`` is empty where it leads to what is not among the inputs; ``text`` names
    what exposes them."""

    change: Literal["opened", "closed"]
    kind: str
    text: str
    workloads: tuple[str, ...]
    ports: str
    public: bool | None
    causes: tuple[Cause, ...] = ()
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingChange:
    """Something that decides how things are protected, and that differs: ``pod-security`` (the standard that a
    namespace enforces), ``mtls`` (the mode of ports), ``callers`` (who may call through the mesh)."""

    kind: SettingKind
    direction: Direction
    subjects: tuple[str, ...]
    was: str
    now: str
    causes: tuple[Cause, ...] = ()
    environments: tuple[str, ...] = ()


Change = PathChange | WorkloadChange | PermissionChange | EscalationChange | ExposureChange | SettingChange


@dataclass(frozen=True, slots=True)
class Unseen:
    """What the comparison does not know, of a side. ``unread``: a part of the inputs was not read, so that nothing can
    be said to be unchanged; otherwise it was read and is not wholly understood."""

    side: Side
    text: str
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """What a change does to security. All sequences are sorted."""

    paths: tuple[PathChange, ...] = ()
    workloads: tuple[WorkloadChange, ...] = ()
    permissions: tuple[PermissionChange, ...] = ()
    escalations: tuple[EscalationChange, ...] = ()
    exposures: tuple[ExposureChange, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    unseen: tuple[Unseen, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changed, as far as it is known."""
        return bool(
            self.paths or self.workloads or self.permissions or self.escalations or self.exposures or self.settings
        )

    @property
    def complete(self) -> bool:
        """Whether both sides were read wholly, so that silence means that nothing changed."""
        return not any(one.unread for one in self.unseen)
