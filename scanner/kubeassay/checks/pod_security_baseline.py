"""The baseline level of the Pod Security Standards, as Pod Security Admission decides it.

Source: k8s.io/pod-security-admission v0.37.1, package policy. Each check names its upstream id in ``references.pss`` of
its rule file and holds from the versions that upstream gives. Where the page of the standard and the code differ, the
code is followed: it is what admits pods.

The checks return lists, not generators, and look for what is rare first: nearly every container has nothing to report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubeassay.analysis.reading import items, mapping, quoted, string
from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.checks.check import ContainerSubject, Context, Violation, check
from kubeassay.checks.pod_security_common import SECCOMP_TYPES, places, proc_mount_violations, violation
from kubeassay.model import Path

_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_APPARMOR_TYPES = ("RuntimeDefault", "Localhost")


@check("app-armor-profile")
def app_armor_profile(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    """Fields since 1.30 and annotations before that are read at every version, as upstream does."""
    found: list[Violation] = []
    for place in places(pod):
        profile = place.security_context.get("appArmorProfile")
        # A profile without a type is one that is set, to nothing allowed.
        if profile is not None and isinstance(profile, dict) and profile.get("type") not in _APPARMOR_TYPES:
            value = quoted(string(profile.get("type")))
            field = ("securityContext", "appArmorProfile", "type")
            found.append(violation(place, field, f"sets AppArmor profile type {value}"))
    annotations = pod.annotations
    for key in annotations:
        # "in" first: it costs less than a method call, and annotations are many and hardly ever these.
        if _APPARMOR_ANNOTATION not in key or not key.startswith(_APPARMOR_ANNOTATION):
            continue
        profile_name = string(annotations[key])
        if profile_name in ("", "runtime/default") or profile_name.startswith("localhost/"):
            continue
        name = key.removeprefix(_APPARMOR_ANNOTATION)
        found.append(
            Violation(
                (*pod.path, "metadata", "annotations", key),
                f"annotation sets AppArmor profile {profile_name} for container {quoted(name)}",
                container=name or None,
            )
        )
    return found


#: The capabilities that container runtimes grant by default, without NET_RAW.
_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


@check("capabilities-baseline")
def capabilities_baseline(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    container = subject.container
    capabilities = container.security_context.get("capabilities")
    if not capabilities or not isinstance(capabilities, dict):
        return ()
    added = capabilities.get("add")
    if not added:
        return ()
    return [
        violation(
            container,
            ("securityContext", "capabilities", "add", number),
            f"adds capability {quoted(string(capability))}",
        )
        for number, capability in enumerate(items(added))
        if string(capability) not in _CAPABILITIES
    ]


@check("host-namespaces")
def host_namespaces(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found: list[Violation] = []
    spec = pod.spec
    for field, namespace in _HOST_NAMESPACES:
        if spec.get(field) is True:
            found.append(violation(pod, (field,), f"shares the node's {namespace} namespace ({field}: true)"))
    return found


_HOST_NAMESPACES = (("hostNetwork", "network"), ("hostPID", "process"), ("hostIPC", "IPC"))


@check("host-path-volumes")
def host_path_volumes(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    volumes = pod.spec.get("volumes")
    if not volumes:
        return ()
    found: list[Violation] = []
    for number, volume in enumerate(items(volumes)):
        # An empty hostPath is still a hostPath volume.
        if isinstance(volume, dict) and volume.get("hostPath") is not None:
            name = quoted(string(volume.get("name")))
            path = quoted(string(mapping(volume["hostPath"]).get("path")))
            found.append(violation(pod, ("volumes", number, "hostPath"), f"volume {name} mounts {path} of the node"))
    return found


@check("host-ports")
def host_ports(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    container = subject.container
    ports = container.spec.get("ports")
    if not ports:
        return ()
    found: list[Violation] = []
    for number, port in enumerate(items(ports)):
        if isinstance(port, dict) and port.get("hostPort"):
            message = f"takes port {port['hostPort']} of the node"
            found.append(violation(container, ("ports", number, "hostPort"), message))
    return found


_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_REQUESTS = ("httpGet", "tcpSocket")


@check("host-probes-and-host-lifecycle", since="1.34")
def host_probes_and_host_lifecycle(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    container = subject.container
    spec = container.spec
    found: list[Violation] = []
    for probe in _PROBES:
        handler = spec.get(probe)
        if handler is not None:
            found += _hosts(container, (probe,), handler, probe)
    lifecycle = spec.get("lifecycle")
    if lifecycle is not None:
        for hook in _HOOKS:
            found += _hosts(container, ("lifecycle", hook), mapping(lifecycle).get(hook), f"{hook} hook")
    return found


def _hosts(container: Container, path: Path, handler: Any, name: str) -> Sequence[Violation]:
    if not isinstance(handler, dict):
        return ()
    found: list[Violation] = []
    for request in _REQUESTS:
        action = handler.get(request)
        if action is not None and isinstance(action, dict) and action.get("host"):
            message = f"sends its {name} to host {action['host']}"
            found.append(violation(container, (*path, request, "host"), message))
    return found


@check("privileged-container")
def privileged_container(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    container = subject.container
    if container.security_context.get("privileged") is True:
        return (violation(container, ("securityContext", "privileged"), "runs privileged"),)
    return ()


@check("proc-mount")
def proc_mount(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    return proc_mount_violations(subject.container)


@check("proc-mount", since="1.35")
def proc_mount_1_35(subject: ContainerSubject, context: Context) -> Sequence[Violation]:
    """A pod in a user namespace of its own may unmask /proc: its root is not the node's."""
    violations = proc_mount_violations(subject.container)
    return () if violations and subject.pod.user_namespace else violations


_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SELINUX_TYPES_1_31 = _SELINUX_TYPES | {"container_engine_t"}


@check("selinux-options")
def selinux_options(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _selinux_options(pod, _SELINUX_TYPES)


@check("selinux-options", since="1.31")
def selinux_options_1_31(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _selinux_options(pod, _SELINUX_TYPES_1_31)


def _selinux_options(pod: PodTemplate, allowed_types: frozenset[str]) -> Sequence[Violation]:
    found: list[Violation] = []
    for place in places(pod):
        options = place.security_context.get("seLinuxOptions")
        if options is None or not isinstance(options, dict):
            continue
        selinux_type = string(options.get("type"))
        if selinux_type not in allowed_types:
            field = ("securityContext", "seLinuxOptions", "type")
            found.append(violation(place, field, f"sets SELinux type {selinux_type}"))
        for key in ("user", "role"):
            value = string(options.get(key))
            if value:
                field = ("securityContext", "seLinuxOptions", key)
                found.append(violation(place, field, f"sets SELinux {key} {value}"))
    return found


_SECCOMP_POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"


@check("seccomp-profile-baseline")
def seccomp_profile_baseline(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    """Before 1.19 a seccomp profile was an annotation; one for a container that does not exist is not read."""
    annotations = pod.annotations
    if not annotations:
        return ()
    # A dict, not a set: the order stays that of the containers, and two containers of one name share an annotation.
    keys: dict[str, str | None] = {_SECCOMP_POD_ANNOTATION: None}
    for container in pod.containers:
        keys[_SECCOMP_CONTAINER_ANNOTATION + string(container.spec.get("name"))] = container.name
    found: list[Violation] = []
    for key, name in keys.items():
        if key not in annotations:
            continue
        profile = string(annotations[key])
        if profile in ("runtime/default", "docker/default") or profile.startswith("localhost/"):
            continue
        whose = "the pod" if name is None else f"container {name}"
        message = f"annotation sets seccomp profile {quoted(profile)} for {whose}"
        found.append(Violation((*pod.path, "metadata", "annotations", key), message, container=name))
    return found


@check("seccomp-profile-baseline", since="1.19")
def seccomp_profile_baseline_1_19(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found: list[Violation] = []
    for place in places(pod):
        profile = place.security_context.get("seccompProfile")
        # A profile without a type is one that is set, to nothing allowed.
        if profile is not None and isinstance(profile, dict) and profile.get("type") not in SECCOMP_TYPES:
            value = quoted(string(profile.get("type")))
            field = ("securityContext", "seccompProfile", "type")
            found.append(violation(place, field, f"sets seccomp profile type {value}"))
    return found


_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_syncookies",
    }
)
_SYSCTLS_1_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_1_29 = _SYSCTLS_1_27 | {
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
}
_SYSCTLS_1_32 = _SYSCTLS_1_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SYSCTLS_1_37 = _SYSCTLS_1_32 | {"net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle"}


@check("sysctls")
def sysctls(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _sysctls(pod, _SYSCTLS)


@check("sysctls", since="1.27")
def sysctls_1_27(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _sysctls(pod, _SYSCTLS_1_27)


@check("sysctls", since="1.29")
def sysctls_1_29(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _sysctls(pod, _SYSCTLS_1_29)


@check("sysctls", since="1.32")
def sysctls_1_32(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _sysctls(pod, _SYSCTLS_1_32)


@check("sysctls", since="1.37")
def sysctls_1_37(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    return _sysctls(pod, _SYSCTLS_1_37)


def _sysctls(pod: PodTemplate, allowed: frozenset[str]) -> Sequence[Violation]:
    settings = pod.security_context.get("sysctls")
    if not settings:
        return ()
    return [
        violation(
            pod,
            ("securityContext", "sysctls", number, "name"),
            f"sets sysctl {quoted(string(mapping(setting).get('name')))}",
        )
        for number, setting in enumerate(items(settings))
        if string(mapping(setting).get("name")) not in allowed
    ]


@check("windows-host-process")
def windows_host_process(pod: PodTemplate, context: Context) -> Sequence[Violation]:
    found: list[Violation] = []
    for place in places(pod):
        options = place.security_context.get("windowsOptions")
        if options is not None and isinstance(options, dict) and options.get("hostProcess") is True:
            field = ("securityContext", "windowsOptions", "hostProcess")
            found.append(violation(place, field, "runs as a Windows HostProcess"))
    return found
