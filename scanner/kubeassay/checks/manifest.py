"""Manifests that mean what they say: fields, types and kinds as the API server understands them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from kubeassay.analysis.fields import (
    FieldProblem,
    ServedKind,
    nearest_name,
    problems_of,
    served_kinds,
)
from kubeassay.checks.check import Context, Repair, Violation, check
from kubeassay.model import Object, Path, format_path

#: Fields whose loss weakens a pod. Whatever stands inside a securityContext counts besides.
SECURITY_FIELDS = frozenset(
    {
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "automountServiceAccountToken",
        "capabilities",
        "fsGroup",
        "fsGroupChangePolicy",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostPath",
        "hostPort",
        "hostUsers",
        "privileged",
        "procMount",
        "readOnly",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "runtimeClassName",
        "seLinuxOptions",
        "seccompProfile",
        "securityContext",
        "serviceAccountName",
        "shareProcessNamespace",
        "supplementalGroups",
        "sysctls",
        "windowsOptions",
    }
)


@cache
def _security_field(name: str) -> str | None:
    """The security field that a name spells, rightly or nearly so."""
    if name in SECURITY_FIELDS:
        return name
    return nearest_name(name, sorted(SECURITY_FIELDS))


#: Kinds of which every field decides who may do what.
_SECURITY_KINDS = frozenset({"NetworkPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


def _concerns_security(problem: FieldProblem, kind: str) -> bool:
    if kind in _SECURITY_KINDS and problem.path[0] != "metadata":
        return True
    if "securityContext" in problem.path[:-1]:
        return True
    meant = (problem.suggestion or problem.found).rpartition(".")[2]
    # A known field of another name is what was meant, however near its name is: hostIP is not hostIPC.
    return meant in SECURITY_FIELDS if problem.suggestion else _security_field(meant) is not None


def _unknown(obj: Object, context: Context) -> Iterator[FieldProblem]:
    for problem in problems_of(obj, context.kubernetes_version.minor):
        # What the system writes back is never read from a manifest.
        if problem.kind == "unknown" and problem.path[0] != "status":
            yield problem


def _unknown_message(problem: FieldProblem) -> str:
    message = f"the API server drops field {problem.found}, which {problem.expected} does not have"
    suggestion = problem.suggestion
    if suggestion is None:
        return message
    if "." in suggestion:
        return f"{message}; it belongs at {suggestion}"
    return f"{message}; the field is called {suggestion}"


def _right_name(problem: FieldProblem) -> Repair | None:
    """What a key should have been called, where only its letters' case, or the marks between its words, are wrong."""
    key, suggestion = problem.path[-1], problem.suggestion
    if not isinstance(key, str) or suggestion is None or _words(key) != _words(suggestion):
        return None
    return Repair("rename", problem.path, suggestion)


def _words(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


@check("dropped-security-field")
def dropped_security_field(obj: Object, context: Context) -> Iterable[Violation]:
    if not problems_of(obj, context.kubernetes_version.minor):
        return ()
    return [
        Violation(problem.path, _unknown_message(problem), key=True, repair=_right_name(problem))
        for problem in _unknown(obj, context)
        if _concerns_security(problem, obj.ref.kind)
    ]


@check("unknown-field")
def unknown_field(obj: Object, context: Context) -> Iterable[Violation]:
    if not problems_of(obj, context.kubernetes_version.minor):
        return ()
    return [
        Violation(problem.path, _unknown_message(problem), key=True, repair=_right_name(problem))
        for problem in _unknown(obj, context)
        if not _concerns_security(problem, obj.ref.kind)
    ]


@check("mistyped-field")
def mistyped_field(obj: Object, context: Context) -> Iterable[Violation]:
    problems = problems_of(obj, context.kubernetes_version.minor)
    if not problems:
        return ()
    return [
        Violation(
            problem.path,
            f"the API server refuses {problem.found} in {format_path(problem.path)}, which takes {problem.expected}",
            sensitive=_may_be_secret(obj, problem.path),
            repair=_right_type(obj, problem),
        )
        for problem in problems
        if problem.kind == "mistyped"
    ]


_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,8}")


def _right_type(obj: Object, problem: FieldProblem) -> Repair | None:
    """A scalar that says what was meant, but not in the field's type."""
    value = obj.get(*problem.path)
    # What a Secret keeps is base64: between quotes it would be something else.
    encoded = obj.ref.kind == "Secret" and problem.path[0] == "data"
    if problem.expected == "a string" and isinstance(value, bool | int | float) and not encoded:
        return Repair("quote", problem.path)
    if problem.expected == "true or false" and value in ("true", "false"):
        return Repair("set", problem.path, value == "true")
    if problem.expected == "an integer" and isinstance(value, str) and _INTEGER.fullmatch(value):
        return Repair("set", problem.path, int(value))
    return None


def _may_be_secret(obj: Object, path: Path) -> bool:
    return obj.ref.kind == "Secret" or "env" in path or "args" in path or "command" in path


@check("duplicate-key")
def duplicate_key(obj: Object, context: Context) -> Iterable[Violation]:
    if not obj.duplicate_keys:
        return ()
    return [
        Violation(
            path,
            f"key {path[-1] if path else ''} stands {_times(len(locations))}; only the last one counts",
            key=True,
        )
        for path, locations in obj.duplicate_keys
    ]


def _times(count: int) -> str:
    return "twice" if count <= 2 else f"{count} times"


# Kinds and API versions

#: API versions that Kubernetes served before the releases of the generated table or dropped in them: version → kinds →
#: the minor version that no longer serves them. Source: "Deprecated API Migration Guide" of kubernetes.io; for the
#: alpha versions the release notes.
_REMOVED: Mapping[str, Mapping[str, int]] = {
    # 1.16
    "apps/v1beta1": {"ControllerRevision": 16, "Deployment": 16, "StatefulSet": 16},
    "apps/v1beta2": {"ControllerRevision": 16, "DaemonSet": 16, "Deployment": 16, "ReplicaSet": 16, "StatefulSet": 16},
    "extensions/v1beta1": {
        "DaemonSet": 16,
        "Deployment": 16,
        "NetworkPolicy": 16,
        "PodSecurityPolicy": 16,
        "ReplicaSet": 16,
        # 1.22
        "Ingress": 22,
    },
    # 1.14, 1.19, 1.20, 1.21: alpha versions, most without a successor
    "admissionregistration.k8s.io/v1alpha1": {"InitializerConfiguration": 14},
    "auditregistration.k8s.io/v1alpha1": {"AuditSink": 19},
    "settings.k8s.io/v1alpha1": {"PodPreset": 20},
    "batch/v2alpha1": {"CronJob": 21},
    # 1.22
    "admissionregistration.k8s.io/v1beta1": {"MutatingWebhookConfiguration": 22, "ValidatingWebhookConfiguration": 22},
    "apiextensions.k8s.io/v1beta1": {"CustomResourceDefinition": 22},
    "apiregistration.k8s.io/v1beta1": {"APIService": 22},
    "authentication.k8s.io/v1beta1": {"TokenReview": 22},
    "authorization.k8s.io/v1beta1": {
        "LocalSubjectAccessReview": 22,
        "SelfSubjectAccessReview": 22,
        "SubjectAccessReview": 22,
    },
    "certificates.k8s.io/v1beta1": {"CertificateSigningRequest": 22},
    "coordination.k8s.io/v1beta1": {"Lease": 22},
    "networking.k8s.io/v1beta1": {"Ingress": 22, "IngressClass": 22},
    "rbac.authorization.k8s.io/v1beta1": {"ClusterRole": 22, "ClusterRoleBinding": 22, "Role": 22, "RoleBinding": 22},
    "scheduling.k8s.io/v1beta1": {"PriorityClass": 22},
    "storage.k8s.io/v1beta1": {
        "CSIDriver": 22,
        "CSINode": 22,
        "StorageClass": 22,
        "VolumeAttachment": 22,
        # 1.27
        "CSIStorageCapacity": 27,
    },
    # 1.23: alpha versions
    "rbac.authorization.k8s.io/v1alpha1": {"ClusterRole": 23, "ClusterRoleBinding": 23, "Role": 23, "RoleBinding": 23},
    "scheduling.k8s.io/v1alpha1": {"PriorityClass": 23},
    # 1.25
    "autoscaling/v2beta1": {"HorizontalPodAutoscaler": 25},
    "batch/v1beta1": {"CronJob": 25},
    "discovery.k8s.io/v1beta1": {"EndpointSlice": 25},
    "events.k8s.io/v1beta1": {"Event": 25},
    "node.k8s.io/v1beta1": {"RuntimeClass": 25},
    "policy/v1beta1": {"PodDisruptionBudget": 25, "PodSecurityPolicy": 25},
    # 1.26
    "autoscaling/v2beta2": {"HorizontalPodAutoscaler": 26},
    "flowcontrol.apiserver.k8s.io/v1beta1": {"FlowSchema": 26, "PriorityLevelConfiguration": 26},
    # 1.29
    "flowcontrol.apiserver.k8s.io/v1beta2": {"FlowSchema": 29, "PriorityLevelConfiguration": 29},
    # 1.32
    "flowcontrol.apiserver.k8s.io/v1beta3": {"FlowSchema": 32, "PriorityLevelConfiguration": 32},
}

#: Written with a core API version by other programs: kubectl's configuration, lists, and OpenShift's first API.
_OTHERS = frozenset(
    {"Config", "List", "Template", "Route", "DeploymentConfig", "BuildConfig", "ImageStream", "Project"}
)


@cache
def _kinds() -> Mapping[str, Mapping[str, ServedKind]]:
    """API version → kind → when it is served, the removed ones included."""
    kinds: dict[str, dict[str, ServedKind]] = {version: dict(by_kind) for version, by_kind in served_kinds().items()}
    for api_version, by_kind in _REMOVED.items():
        for kind, minor in by_kind.items():
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
def _kind_problem(api_version: str, kind: str, minor: int) -> tuple[Path, str] | None:
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


@cache
def _removal(api_version: str, kind: str, minor: int) -> str | None:
    span = _kinds().get(api_version, {}).get(kind)
    if span is None or span.until is None or span.until > minor:
        return None
    # Its own rule says what to do about it.
    if kind == "PodSecurityPolicy" and minor >= _PSP_REMOVED:
        return None
    message = f"Kubernetes 1.{span.until} removed {kind} from {api_version}"
    right = _versions_of(kind)
    # Of several stable versions of its group the newest has the fields of the one that went.
    group = api_version.rpartition("/")[0]
    own = [version for version in right if version.rpartition("/")[0] == group and _STABLE.search(version)]
    best = max(own, default=right[0] if right else None)
    return message if best is None else f"{message}; it is in {best}"


_PSP_REMOVED = 25


@check("removed-api-version")
def removed_api_version(obj: Object, context: Context) -> Iterable[Violation]:
    message = _removal(obj.ref.api_version, obj.ref.kind, context.kubernetes_version.minor)
    return () if message is None else (Violation(("apiVersion",), message),)


@check("pod-security-policy-left-over", since="1.25")
def pod_security_policy_left_over(obj: Object, context: Context) -> Iterable[Violation]:
    if obj.ref.kind != "PodSecurityPolicy" or obj.ref.group not in ("policy", "extensions"):
        return ()
    return (Violation(("kind",), "PodSecurityPolicy left Kubernetes in 1.25: the object protects nothing"),)
