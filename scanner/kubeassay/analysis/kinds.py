"""Which kinds Kubernetes itself has."""

from __future__ import annotations

from functools import cache

from kubeassay.analysis.fields import served_kinds
from kubeassay.analysis.workloads import BUILT_IN_GROUPS

#: Kinds that were retired before the oldest release whose OpenAPI document the tables hold (1.25).
_RETIRED = {
    "extensions": (
        "DaemonSet", "Deployment", "DeploymentRollback", "Ingress", "NetworkPolicy", "PodSecurityPolicy", "ReplicaSet",
        "ReplicationControllerDummy", "Scale", "ThirdPartyResource",
    ),
    "policy": ("PodSecurityPolicy",),
    "auditregistration.k8s.io": ("AuditSink",),
    "settings.k8s.io": ("PodPreset",),
}  # fmt: skip


@cache
def _kinds_by_group() -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for api_version, kinds in served_kinds().items():
        groups.setdefault(api_version.rpartition("/")[0], set()).update(kinds)
    for group, retired in _RETIRED.items():
        groups.setdefault(group, set()).update(retired)
    # A List is unpacked when it is read. What is left of one is a List without items, which an API server refuses.
    return {group: frozenset(k for k in kinds if not k.endswith("List")) for group, kinds in groups.items()}


@cache
def unknown_kind(api_version: str, kind: str) -> str | None:
    """The group of a kind that stands in one of Kubernetes' own API groups, and that Kubernetes has in no release.

    None for a known kind, and for every kind of another group: custom resources may have any.
    """
    group = api_version.rpartition("/")[0]
    if group not in BUILT_IN_GROUPS:
        return None
    return None if kind in _kinds_by_group().get(group, ()) else group or "core"


def kinds_of_group(group: str) -> frozenset[str]:
    """The kinds of one of Kubernetes' own API groups, whatever the release; none of another group."""
    return _kinds_by_group().get(group, frozenset())
