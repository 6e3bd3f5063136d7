"""Kinds and API versions that an API server of the judged release serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from kubeassay.analysis.fields import ServedKind, nearest_name, served_kinds
from kubeassay.checks.check import Context, Repair, Violation, check
from kubeassay.model import NEWEST_KNOWN, Object
from kubeassay.model import Path as FieldPath

#: API versions that are gone, of which neither the published schemas nor the API's own facts on deprecations
#: (kubernetes_lifecycle.json) know: version → kinds → the minor version that no longer serves them. Source: "Deprecated
#: API Migration Guide" of kubernetes.io; for the alpha versions the release notes.
_REMOVED: Mapping[str, Mapping[str, int]] = {
    "extensions/v1beta1": {"PodSecurityPolicy": 16},
    # Alpha versions, most without a successor
    "admissionregistration.k8s.io/v1alpha1": {"InitializerConfiguration": 14},
    "auditregistration.k8s.io/v1alpha1": {"AuditSink": 19},
    "settings.k8s.io/v1alpha1": {"PodPreset": 20},
    "batch/v2alpha1": {"CronJob": 21},
    "rbac.authorization.k8s.io/v1alpha1": {"ClusterRole": 23, "ClusterRoleBinding": 23, "Role": 23, "RoleBinding": 23},
    "scheduling.k8s.io/v1alpha1": {"PriorityClass": 23},
}

#: Written with a core API version by other programs: kubectl's configuration, lists, and OpenShift's first API.
_OTHERS = frozenset(
    {"Config", "List", "Template", "Route", "DeploymentConfig", "BuildConfig", "ImageStream", "Project"}
)


@cache
def _kinds() -> Mapping[str, Mapping[str, ServedKind]]:
    """API version → kind → when it is served, the removed ones included."""
    kinds: dict[str, dict[str, ServedKind]] = {version: dict(by_kind) for version, by_kind in served_kinds().items()}
    gone = [(version, kind, minor) for version, by_kind in _REMOVED.items() for kind, minor in by_kind.items()]
    for api_version, deprecated in _deprecations().items():
        gone += [(api_version, kind, removed) for kind, (_, removed, _) in deprecated.items() if removed is not None]
    for api_version, kind, minor in gone:
        # Of what is not yet, or still, in the published schemas these say it.
        if minor <= NEWEST_KNOWN.minor and kind not in kinds.get(api_version, {}):
            kinds.setdefault(api_version, {})[kind] = ServedKind(None, minor)
            kinds[api_version][f"{kind}List"] = ServedKind(None, minor)
    return kinds


@cache
def _groups() -> frozenset[str]:
    return frozenset(api_version.rpartition("/")[0] for api_version in _kinds())


@cache
def _versions_of(kind: str) -> tuple[str, ...]:
    """The API versions that serve a kind in the newest release; the stable one first."""
    versions = [version for version, kinds in _kinds().items() if kind in kinds and kinds[kind].until is None]
    return tuple(sorted(versions, key=lambda version: ("alpha" in version, "beta" in version, version)))


@cache
def _kind_problem(api_version: str, kind: str, minor: int) -> tuple[FieldPath, str] | None:
    """(where, message) for a kind that Kubernetes does not have, has elsewhere, or does not have yet."""
    group = api_version.rpartition("/")[0]
    if group not in _groups():
        # A custom resource's group always has a dot; a group without one that uses a kind of Kubernetes is misspelt.
        right = _versions_of(kind)
        if right and (("." not in group) or nearest_name(group, [v.rpartition("/")[0] for v in right]) is not None):
            return ("apiVersion",), f"Kubernetes has kind {kind} in {right[0]}, not in {api_version}"
        return None
    served = _kinds().get(api_version, {})
    span = served.get(kind)
    if span is not None:
        if span.since is not None and span.since > minor and not (span.until is not None and span.until <= minor):
            message = f"Kubernetes 1.{minor} does not serve {kind} in {api_version}, which 1.{span.since} brought"
            return ("apiVersion",), message
        return None
    if kind in _OTHERS and group == "":
        return None
    right = _versions_of(kind)
    if right:
        return ("apiVersion",), f"Kubernetes has kind {kind} in {right[0]}, not in {api_version}"
    meant = nearest_name(kind, served) or nearest_name(kind, [k for by_kind in _kinds().values() for k in by_kind])
    message = f"Kubernetes has no kind {kind} in {api_version}"
    return ("kind",), message if meant is None else f"{message}; the kind is called {meant}"


@check("unknown-kind")
def unknown_kind(obj: Object, context: Context) -> Iterable[Violation]:
    problem = _kind_problem(obj.ref.api_version, obj.ref.kind, context.kubernetes_version.minor)
    return () if problem is None else (Violation(problem[0], problem[1]),)


_STABLE = re.compile(r"\bv[0-9]+\Z")
_PSP_REMOVED = 25


@cache
def _deprecations() -> Mapping[str, Mapping[str, tuple[int, int | None, str | None]]]:
    """API version → kind → the release that deprecated it, the one that no longer serves it, what to use instead."""
    path = Path(__file__).parent.parent / "analysis" / "kubernetes_lifecycle.json"
    table = json.loads(path.read_text(encoding="utf-8"))["deprecated"]
    return {version: {kind: tuple(facts) for kind, facts in kinds.items()} for version, kinds in table.items()}


def _successor(api_version: str, kind: str) -> str | None:
    """The API version that a kind is in now."""
    right = [version for version in _versions_of(kind) if version != api_version]
    # Of several stable versions of its group the newest has the fields of the one that went.
    group = api_version.rpartition("/")[0]
    own = [version for version in right if version.rpartition("/")[0] == group and _STABLE.search(version)]
    if own:
        return max(own)
    stated = _deprecations().get(api_version, {}).get(kind, (0, None, None))[2]
    # What replaced it may have been replaced itself.
    if stated is not None and (not right or stated in right):
        return stated
    return right[0] if right else None


@cache
def _removal(api_version: str, kind: str, minor: int) -> str | None:
    span = _kinds().get(api_version, {}).get(kind)
    if span is None or span.until is None or span.until > minor:
        return None
    # Its own rule says what to do about it.
    if kind == "PodSecurityPolicy" and minor >= _PSP_REMOVED:
        return None
    message = f"Kubernetes 1.{span.until} removed {kind} from {api_version}"
    best = _successor(api_version, kind)
    return message if best is None else f"{message}; it is in {best}"


@cache
def _deprecation(api_version: str, kind: str, minor: int) -> str | None:
    facts = _deprecations().get(api_version, {}).get(kind)
    if facts is None or facts[0] > minor or (facts[1] is not None and facts[1] <= minor):
        return None
    deprecated, removed, stated = facts
    message = f"Kubernetes 1.{deprecated} deprecated {kind} in {api_version}"
    if removed is not None:
        message += f", and 1.{removed} {'removed' if removed <= NEWEST_KNOWN.minor else 'is to remove'} it"
    best = _successor(api_version, kind)
    if best is not None and _is_served(best, kind, minor):
        return f"{message}; it is in {best}"
    # Endpoints are EndpointSlices now: another kind.
    if stated is not None and kind not in _kinds().get(stated, {}):
        return f"{message}; another kind in {stated} replaces it"
    return message


def _is_served(api_version: str, kind: str, minor: int) -> bool:
    span = _kinds().get(api_version, {}).get(kind)
    if span is None or (span.until is not None and span.until <= minor):
        return False
    return span.since is None or span.since <= minor


#: API versions of kinds whose objects mean in the successor what they meant before, by the "Deprecated API Migration
#: Guide" of kubernetes.io ("no notable changes") and the types: there the version alone is to be changed.
_SAME: Mapping[str, tuple[str, ...]] = {
    "autoscaling/v2beta2": ("HorizontalPodAutoscaler",),
    "batch/v1beta1": ("CronJob",),
    "coordination.k8s.io/v1beta1": ("Lease",),
    "flowcontrol.apiserver.k8s.io/v1beta3": ("FlowSchema",),
    "networking.k8s.io/v1beta1": ("IngressClass", "IPAddress", "ServiceCIDR"),
    "node.k8s.io/v1beta1": ("RuntimeClass",),
    "policy/v1beta1": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io/v1beta1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "scheduling.k8s.io/v1beta1": ("PriorityClass",),
    "storage.k8s.io/v1beta1": ("CSIDriver", "CSIStorageCapacity", "StorageClass", "VolumeAttributesClass"),
}


def _new_version(obj: Object, minor: int) -> Repair | None:
    """The change of the API version alone, where it changes nothing else."""
    api_version, kind = obj.ref.api_version, obj.ref.kind
    best = _successor(api_version, kind)
    if best is None or kind not in _SAME.get(api_version, ()) or not _is_served(best, kind, minor):
        return None
    # An empty selector selected no pod, and selects every pod since.
    if kind == "PodDisruptionBudget" and not (
        obj.get("spec", "selector", "matchLabels") or obj.get("spec", "selector", "matchExpressions")
    ):
        return None
    return Repair("set", ("apiVersion",), best)


@check("removed-api-version")
def removed_api_version(obj: Object, context: Context) -> Iterable[Violation]:
    minor = context.kubernetes_version.minor
    message = _removal(obj.ref.api_version, obj.ref.kind, minor)
    return () if message is None else (Violation(("apiVersion",), message, repair=_new_version(obj, minor)),)


@check("deprecated-api-version")
def deprecated_api_version(obj: Object, context: Context) -> Iterable[Violation]:
    minor = context.kubernetes_version.minor
    message = _deprecation(obj.ref.api_version, obj.ref.kind, minor)
    return () if message is None else (Violation(("apiVersion",), message, repair=_new_version(obj, minor)),)


@check("pod-security-policy-left-over", since="1.25")
def pod_security_policy_left_over(obj: Object, context: Context) -> Iterable[Violation]:
    if obj.ref.kind != "PodSecurityPolicy" or obj.ref.group not in ("policy", "extensions"):
        return ()
    return (Violation(("kind",), "PodSecurityPolicy left Kubernetes in 1.25: the object protects nothing"),)
