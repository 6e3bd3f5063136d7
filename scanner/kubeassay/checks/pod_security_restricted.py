"""The restricted level of the Pod Security Standards, as Pod Security Admission decides it.

Source: k8s.io/pod-security-admission v0.37.1, package policy. The restricted level also holds every baseline check that
none of these overrides; ``overrides`` in the rule files says which. From 1.25 pods that name Windows as their system
are exempt from what only Linux has; from 1.35 pods in a user namespace may run as root inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kubeassay.analysis.reading import items, mapping, quoted, string
from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.checks.check import ContainerSubject, Context, Violation, check
from kubeassay.checks.pod_security_common import SECCOMP_TYPES, places, proc_mount_violations, violation


@check("allow-privilege-escalation", since="1.8")
def allow_privilege_escalation(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    container = subject.container
    value = container.security_context.get("allowPrivilegeEscalation")
    if value is False:
        return ()
    done = "allows privilege escalation" if value is True else "does not set allowPrivilegeEscalation to false"
    found = violation(container, ("securityContext", "allowPrivilegeEscalation"), done)
    return (found if _may_forbid_escalation(container) else replace(found, fixable=False),)


def _may_forbid_escalation(container: Container) -> bool:
    """Kubernetes refuses ``allowPrivilegeEscalation: false`` beside a privileged container or CAP_SYS_ADMIN
    (pkg/apis/core/validation, ValidateSecurityContext)."""
    added = items(mapping(container.security_context.get("capabilities")).get("add"))
    return container.security_context.get("privileged") is not True and not (
        {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(filter(_is_text, added))
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@check("allow-privilege-escalation", since="1.25")
def allow_privilege_escalation_1_25(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    violations = allow_privilege_escalation(subject, context)
    return () if violations and subject.pod.windows else violations


@check("capabilities-restricted", since="1.22")
def capabilities_restricted(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    """Only "ALL", written so, counts as dropping all: upstream compares the names as they are."""
    container = subject.container
    capabilities = mapping(container.security_context.get("capabilities"))
    drop = capabilities.get("drop")
    dropped = isinstance(drop, list) and "ALL" in drop
    added = capabilities.get("add")
    if dropped and not added:
        return ()
    found: list[Violation] = []
    if not dropped:
        field = ("securityContext", "capabilities", "drop")
        found.append(violation(container, field, "does not drop ALL capabilities"))
    found += [
        violation(
            container,
            ("securityContext", "capabilities", "add", number),
            f"adds capability {quoted(string(capability))}",
        )
        for number, capability in enumerate(items(added))
        if capability != "NET_BIND_SERVICE"
    ]
    return found


@check("capabilities-restricted", since="1.25")
def capabilities_restricted_1_25(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    violations = capabilities_restricted(subject, context)
    return () if violations and subject.pod.windows else violations


@check("proc-mount-restricted", since="1.35")
def proc_mount_restricted(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    """What the baseline check was before it made an exception for user namespaces."""
    return proc_mount_violations(subject.container)


_VOLUMES_ALLOWED = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_VOLUMES_FORBIDDEN = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)


_VOLUMES_RARE = frozenset(_VOLUMES_FORBIDDEN)


@check("restricted-volumes")
def restricted_volumes(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    """A volume without a source is no violation: the API server makes it an emptyDir before anything judges it."""
    volumes = pod.spec.get("volumes")
    if not volumes:
        return ()
    found: list[Violation] = []
    for number, volume in enumerate(items(volumes)):
        if not isinstance(volume, dict) or _VOLUMES_RARE.isdisjoint(volume):
            continue
        # Upstream asks for an allowed source first, should there be two.
        if any(volume.get(source) is not None for source in _VOLUMES_ALLOWED):
            continue
        name = quoted(string(volume.get("name")))
        for source in _VOLUMES_FORBIDDEN:
            if volume.get(source) is not None:
                found.append(violation(pod, ("volumes", number, source), f"volume {name} is of type {source}"))
    return found


@check("run-as-non-root")
def run_as_non_root(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    """Where the pod says false, that one field is at fault, not each container that inherits it."""
    found: list[Violation] = []
    pod_value = pod.security_context.get("runAsNonRoot")
    field = ("securityContext", "runAsNonRoot")
    if pod_value is False:
        found.append(violation(pod, field, "sets runAsNonRoot to false"))
    inherited = isinstance(pod_value, bool)
    for container in pod.containers:
        value = container.security_context.get("runAsNonRoot")
        if value is False:
            found.append(violation(container, field, "sets runAsNonRoot to false"))
        elif value is not True and not inherited:
            # The fix belongs to the pod: it covers every container that says nothing.
            found.append(
                Violation(
                    (*container.path, *field),
                    f"container {container.name} is not required to run as non-root",
                    container=container.name,
                    base=pod.spec_path,
                    # With the user 0 the pod would be admitted, and its containers never start.
                    fixable=0
                    not in (pod.security_context.get("runAsUser"), container.security_context.get("runAsUser")),
                )
            )
    return found


@check("run-as-non-root", since="1.35")
def run_as_non_root_1_35(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found = run_as_non_root(pod, context)
    return () if found and pod.user_namespace else found


@check("run-as-user", since="1.23")
def run_as_user(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found: list[Violation] = []
    for place in places(pod):
        user = place.security_context.get("runAsUser")
        if user == 0 and not isinstance(user, bool):
            found.append(violation(place, ("securityContext", "runAsUser"), "runs as user 0 (root)"))
    return found


@check("run-as-user", since="1.35")
def run_as_user_1_35(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found = run_as_user(pod, context)
    return () if found and pod.user_namespace else found


@check("seccomp-profile-restricted", since="1.19")
def seccomp_profile_restricted(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    """Where the pod's profile is bad, that one field is at fault, not each container that inherits it."""
    found: list[Violation] = []
    field = ("securityContext", "seccompProfile", "type")
    inherited = isinstance(pod.security_context.get("seccompProfile"), dict)
    for place in places(pod):
        profile = place.security_context.get("seccompProfile")
        if isinstance(profile, dict):
            if profile.get("type") not in SECCOMP_TYPES:
                value = quoted(string(profile.get("type")))
                found.append(violation(place, field, f"sets seccomp profile type {value}"))
        elif not inherited and not isinstance(place, PodTemplate):
            # The fix belongs to the pod: it covers every container that says nothing.
            found.append(
                Violation(
                    (*place.path, *field),
                    f"container {place.name} has no seccomp profile",
                    container=place.name,
                    base=pod.spec_path,
                )
            )
    return found


@check("seccomp-profile-restricted", since="1.25")
def seccomp_profile_restricted_1_25(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found = seccomp_profile_restricted(pod, context)
    return () if found and pod.windows else found
