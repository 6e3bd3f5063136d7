"""Pods for the Pod Security Standards: what every check finds at every Kubernetes version, and what it does not.

Each case changes one thing in a pod that complies with the restricted level at every version, and states all violations
of all checks that follow, with the versions between which they hold. Overrides are not applied here.
"""

from __future__ import annotations

import copy
import functools
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from kubeassay.analysis.workloads import pod_templates
from kubeassay.checks import pod_security_baseline, pod_security_restricted, registry
from kubeassay.checks.check import CheckFunction, ContainerSubject, Context, Violation
from kubeassay.content import folder
from kubeassay.model import NEWEST_KNOWN, KubernetesVersion, Object, ObjectRef, SpanTable, format_path, parse_path

MINORS = range(NEWEST_KNOWN.minor + 1)

#: Rule id → versions of its check, of the two levels.
CHECKS = registry.collect([pod_security_baseline, pod_security_restricted])

#: Container lists, and where the container stands that a case changes.
CONTAINERS = {
    "regular": "spec.containers[0]",
    "init": "spec.initContainers[0]",
    "sidecar": "spec.initContainers[1]",
    "ephemeral": "spec.ephemeralContainers[0]",
}
PLACES = {"pod": "spec", **CONTAINERS}

#: Removes the key in place of setting it.
ABSENT: Any = object()


@dataclass(frozen=True)
class Expected:
    """A violation, from minor version ``since`` to before ``until``."""

    rule: str
    path: str
    since: int = 0
    until: int = NEWEST_KNOWN.minor + 1


@dataclass(frozen=True)
class Case:
    """A pod, the rule that it is about, and all violations of it."""

    id: str
    rule: str
    pod: dict[str, Any]
    expected: tuple[Expected, ...]

    def at(self, minor: int) -> frozenset[tuple[str, str]]:
        """The (rule, path) pairs that hold at Kubernetes 1.``minor``."""
        return frozenset((e.rule, e.path) for e in self.expected if e.since <= minor < e.until)


def compliant_pod() -> dict[str, Any]:
    """A pod with containers of every type that violates nothing at any version."""

    def container(name: str, **fields: Any) -> dict[str, Any]:
        return {
            "name": name,
            "image": "registry.example/app:1.0",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            **fields,
        }

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [container("setup"), container("proxy", restartPolicy="Always")],
            "containers": [container("app"), container("other")],
            "ephemeralContainers": [container("debug")],
        },
    }


def changed(pod: dict[str, Any], *changes: tuple[str, Any]) -> dict[str, Any]:
    """A copy of ``pod`` with values set at paths (``spec.containers[0].image``); mappings on the way are made."""
    pod = copy.deepcopy(pod)
    for text, value in changes:
        *way, last = parse_path(text)
        at: Any = pod
        for step in way:
            if isinstance(at, dict) and isinstance(step, str) and not isinstance(at.get(step), dict | list):
                at[step] = {}
            at = at[step]
        if value is ABSENT:
            at.pop(last, None)
        else:
            at[last] = copy.deepcopy(value)
    return pod


def violations(pod: dict[str, Any], function: CheckFunction, minor: int) -> list[Violation]:
    """What one check function yields for a Pod or an object with pod templates, for each of its subjects."""
    ref = ObjectRef(pod.get("apiVersion", "v1"), pod.get("kind", "Pod"), None, "web")
    # A check reads values only; no file stands behind them here.
    spans: Any = None
    table: SpanTable = spans
    context = Context(KubernetesVersion(minor), {})
    found: list[Violation] = []
    for template in pod_templates(Object(ref, pod, table, pod)):
        subjects: list[Any] = [template]
        if _is_about_containers(function):
            subjects = [ContainerSubject(container, template) for container in template.containers]
        for subject in subjects:
            for violation in function(subject, context):
                assert isinstance(violation, Violation)
                found.append(violation)
    return found


def found_at(pod: dict[str, Any], minor: int) -> frozenset[tuple[str, str]]:
    """The (rule, path) pairs that all checks of both levels find at Kubernetes 1.``minor``."""
    version = KubernetesVersion(minor)
    found: set[tuple[str, str]] = set()
    for rule, versions in CHECKS.items():
        function = registry.at_version(versions, version)
        if function is not None:
            found.update((rule, format_path(v.path)) for v in violations(pod, function, minor))
    return frozenset(found)


def rule_of(function: CheckFunction) -> str:
    rule: str = function.__dict__["__check__"][0]
    return rule


@functools.cache
def rule_spec(rule: str) -> dict[str, Any]:
    """The ``spec`` of a rule file."""
    text = (folder("rules") / "pod-security" / f"{rule}.yaml").read_text(encoding="utf-8")
    spec: dict[str, Any] = yaml.safe_load(text)["spec"]
    return spec


def controls() -> list[dict[str, Any]]:
    """The controls of the baseline file."""
    text = (folder("baselines") / "pod-security.yaml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)["spec"]["controls"]
    return found


#: Rule id → level, by the controls.
LEVELS: dict[str, str] = {use["id"]: control["level"] for control in controls() for use in control["rules"]}


def active_rules(level: str, minor: int) -> list[str]:
    """The rules that hold at a level and version: those of the level, without the ones that another overrides."""
    version = KubernetesVersion(minor)
    rules = [
        rule
        for rule, versions in CHECKS.items()
        if registry.at_version(versions, version) and (level == "restricted" or LEVELS[rule] == level)
    ]
    overridden = {other for rule in rules for other in rule_spec(rule).get("overrides", [])}
    return [rule for rule in rules if rule not in overridden]


def _is_about_containers(function: CheckFunction) -> bool:
    return bool(rule_spec(rule_of(function))["subject"] == "container")


def _case(rule: str, name: str, changes: list[tuple[str, Any]], *expected: Expected) -> Case:
    return Case(f"{rule}: {name}", rule, changed(compliant_pod(), *changes), expected)


def _everywhere(
    rule: str,
    name: str,
    field: str,
    value: Any,
    *bad: tuple[str, str, int] | tuple[str, str, int, int],
    places: dict[str, str] | None = None,
    also: list[tuple[str, Any]] | None = None,
) -> Iterator[Case]:
    """One case for each place: ``field`` of it set to ``value``; ``bad``: (rule, field of the place, since, until)."""
    for kind, place in (CONTAINERS if places is None else places).items():
        expected = [Expected(b[0], f"{place}.{b[1]}", *b[2:]) for b in bad]
        yield _case(rule, f"{name} [{kind}]", [*(also or []), (f"{place}.{field}", value)], *expected)


WINDOWS: list[tuple[str, Any]] = [("spec.os", {"name": "windows"})]
LINUX: list[tuple[str, Any]] = [("spec.os", {"name": "linux"})]
USER_NAMESPACE: list[tuple[str, Any]] = [("spec.hostUsers", False)]
HOST_USERS: list[tuple[str, Any]] = [("spec.hostUsers", True)]


def _app_armor_profile() -> Iterator[Case]:
    rule, field = "app-armor-profile", "securityContext.appArmorProfile"
    for good in ("RuntimeDefault", "Localhost"):
        yield from _everywhere(rule, good, f"{field}.type", good, places=PLACES)
    yield from _everywhere(rule, "null profile", field, None, places=PLACES)
    for name, bad in (("Unconfined", {"type": "Unconfined"}), ("no type", {}), ("null type", {"type": None})):
        yield from _everywhere(rule, name, field, bad, (rule, f"{field}.type", 0), places=PLACES)
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    for annotation in ("", "runtime/default", "localhost/web", None):
        yield _case(rule, f"annotation {annotation!r}", [("metadata.annotations", {f"{prefix}app": annotation})])
    for annotation in ("unconfined", "localhost", "RuntimeDefault"):
        for container in ("app", "nobody"):
            key = prefix + container
            path = f'metadata.annotations["{key}"]'
            yield _case(
                rule,
                f"annotation {annotation} of {container}",
                [("metadata.annotations", {key: annotation})],
                Expected(rule, path),
            )


HARMLESS_CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)


def _capabilities() -> Iterator[Case]:
    baseline, restricted = "capabilities-baseline", "capabilities-restricted"
    field = "securityContext.capabilities"
    yield from _everywhere(baseline, "empty add", f"{field}.add", [])
    yield from _everywhere(baseline, "null add", f"{field}.add", None)
    yield from _everywhere(baseline, "NET_BIND_SERVICE", f"{field}.add", ["NET_BIND_SERVICE"])
    for good in HARMLESS_CAPABILITIES:
        yield from _everywhere(
            baseline,
            good,
            f"{field}.add",
            [good],
            (restricted, f"{field}.add[0]", 22),
            places={"regular": CONTAINERS["regular"]},
        )
    for bad in ("SYS_ADMIN", "NET_RAW", "ALL", "CAP_CHOWN", "chown", "", None):
        yield from _everywhere(
            baseline,
            f"{bad} beside NET_BIND_SERVICE",
            f"{field}.add",
            ["NET_BIND_SERVICE", bad],
            (baseline, f"{field}.add[1]", 0),
            (restricted, f"{field}.add[1]", 22),
        )
    drop = (restricted, f"{field}.drop", 22)
    for name, dropped in (("absent", ABSENT), ("null", None), ("empty", []), ("all in lower case", ["all"])):
        yield from _everywhere(restricted, f"drop {name}", f"{field}.drop", dropped, drop)
    yield from _everywhere(restricted, "drop many but not ALL", f"{field}.drop", ["NET_RAW", None, "CHOWN"], drop)
    yield from _everywhere(restricted, "drop ALL among others", f"{field}.drop", ["NET_RAW", None, "ALL"])
    for name, value in (("absent", ABSENT), ("null", None), ("empty", {})):
        yield from _everywhere(restricted, f"capabilities {name}", field, value, drop)
    yield from _everywhere(
        restricted,
        "adds and does not drop",
        field,
        {"add": ["NET_BIND_SERVICE", "CHOWN"]},
        drop,
        (restricted, f"{field}.add[1]", 22),
    )
    for system, also, until in (("Windows", WINDOWS, 25), ("Linux", LINUX, 38)):
        yield from _everywhere(
            restricted, f"drop absent on {system}", f"{field}.drop", ABSENT, (*drop, until), also=also
        )
        yield from _everywhere(
            restricted,
            f"CHOWN on {system}",
            f"{field}.add",
            ["CHOWN"],
            (restricted, f"{field}.add[0]", 22, until),
            also=also,
        )


def _host_namespaces() -> Iterator[Case]:
    rule = "host-namespaces"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        for good in (False, None):
            yield _case(rule, f"{field} {good}", [(f"spec.{field}", good)])
        yield _case(rule, f"{field} True", [(f"spec.{field}", True)], Expected(rule, f"spec.{field}"))
    yield _case(
        rule,
        "all three",
        [("spec.hostNetwork", True), ("spec.hostPID", True), ("spec.hostIPC", True)],
        *(Expected(rule, f"spec.{field}") for field in ("hostNetwork", "hostPID", "hostIPC")),
    )


ALLOWED_VOLUMES: dict[str, Any] = {
    "configMap": {"name": "web"},
    "csi": {"driver": "csi.example"},
    "downwardAPI": {},
    "emptyDir": {},
    "ephemeral": {},
    "image": {"reference": "registry.example/data:1.0"},
    "persistentVolumeClaim": {"claimName": "data"},
    "projected": {},
    "secret": {"secretName": "web"},
}
FORBIDDEN_VOLUMES: dict[str, Any] = {
    "awsElasticBlockStore": {"volumeID": "vol-1"},
    "azureDisk": {"diskName": "data", "diskURI": "https://disk.example"},
    "azureFile": {"secretName": "share", "shareName": "data"},
    "cephfs": {"monitors": ["ceph.example"]},
    "cinder": {"volumeID": "data"},
    "fc": {},
    "flexVolume": {"driver": "example/flex"},
    "flocker": {},
    "gcePersistentDisk": {"pdName": "data"},
    "gitRepo": {"repository": "https://git.example/web"},
    "glusterfs": {"endpoints": "gluster", "path": "data"},
    "iscsi": {"targetPortal": "iscsi.example", "iqn": "iqn.2001-04.example:data", "lun": 0},
    "nfs": {"server": "nfs.example", "path": "/data"},
    "photonPersistentDisk": {"pdID": "data"},
    "portworxVolume": {"volumeID": "data"},
    "quobyte": {"registry": "quobyte.example", "volume": "data"},
    "rbd": {"monitors": ["ceph.example"], "image": "data"},
    "scaleIO": {"gateway": "https://scaleio.example", "system": "a", "secretRef": {"name": "scaleio"}},
    "storageos": {},
    "vsphereVolume": {"volumePath": "[store] data"},
}


def _volumes() -> Iterator[Case]:
    host_path, restricted = "host-path-volumes", "restricted-volumes"
    for source, value in ALLOWED_VOLUMES.items():
        yield _case(restricted, source, [("spec.volumes", [{"name": "data", source: value}])])
        # Validation refuses two sources; the check looks for an allowed one first, and so does this one.
        both = [{"name": "data", "nfs": FORBIDDEN_VOLUMES["nfs"], source: value}]
        yield _case(restricted, f"{source} beside nfs", [("spec.volumes", both)])
    for source, value in FORBIDDEN_VOLUMES.items():
        volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "data", source: value}]
        yield _case(restricted, source, [("spec.volumes", volumes)], Expected(restricted, f"spec.volumes[1].{source}"))
    for name, value in (("a path", {"path": "/var/log"}), ("nothing in it", {})):
        yield _case(
            host_path,
            f"hostPath with {name}",
            [("spec.volumes", [{"name": "scratch", "emptyDir": {}}, {"name": "logs", "hostPath": value}])],
            Expected(host_path, "spec.volumes[1].hostPath"),
            Expected(restricted, "spec.volumes[1].hostPath"),
        )
    for volumes_name, odd in (("null", None), ("empty", []), ("null item", [None]), ("no source", [{"name": "data"}])):
        yield _case(host_path, f"volumes {volumes_name}", [("spec.volumes", odd)])
        yield _case(restricted, f"volumes {volumes_name}", [("spec.volumes", odd)])
    nulls = [{"name": "data", "hostPath": None, "nfs": None}]
    yield _case(host_path, "sources null", [("spec.volumes", nulls)])
    yield _case(restricted, "sources null", [("spec.volumes", nulls)])
    both = [{"name": "data", "hostPath": {"path": "/"}, "emptyDir": {}}]
    yield _case(
        restricted, "hostPath and emptyDir", [("spec.volumes", both)], Expected(host_path, "spec.volumes[0].hostPath")
    )


def _host_ports() -> Iterator[Case]:
    rule = "host-ports"
    for name, good in (
        ("absent", [{"containerPort": 80}]),
        ("0", [{"containerPort": 80, "hostPort": 0}]),
        ("null", [{"containerPort": 80, "hostPort": None}]),
        ("null port", [None]),
        ("null ports", None),
    ):
        yield from _everywhere(rule, name, "ports", good)
    yield from _everywhere(
        rule,
        "two of three ports",
        "ports",
        [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81}, {"containerPort": 82, "hostPort": 8082}],
        (rule, "ports[0].hostPort", 0),
        (rule, "ports[2].hostPort", 0),
    )


def _host_probes() -> Iterator[Case]:
    rule = "host-probes-and-host-lifecycle"
    handlers = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")
    for handler in handlers:
        for request in ("httpGet", "tcpSocket"):
            field = f"{handler}.{request}"
            yield from _everywhere(
                rule, f"{field} host", field, {"host": "10.0.0.1", "port": 80}, (rule, f"{field}.host", 34)
            )
            for good in ("", None):
                yield from _everywhere(rule, f"{field} host {good!r}", field, {"host": good, "port": 80})
            yield from _everywhere(rule, f"{field} null", field, None)
        yield from _everywhere(rule, f"{handler} null", handler, None)
        yield from _everywhere(rule, f"{handler} exec", f"{handler}.exec", {"command": ["true"]})
        yield from _everywhere(
            rule,
            f"{handler} with both",
            handler,
            {"httpGet": {"host": "a.example", "port": 80}, "tcpSocket": {"host": "b.example", "port": 80}},
            (rule, f"{handler}.httpGet.host", 34),
            (rule, f"{handler}.tcpSocket.host", 34),
        )


def _privileged() -> Iterator[Case]:
    rule, field = "privileged-container", "securityContext.privileged"
    for good in (False, None):
        yield from _everywhere(rule, str(good), field, good)
    yield from _everywhere(rule, "True", field, True, (rule, field, 0))


def _proc_mount() -> Iterator[Case]:
    baseline, restricted, field = "proc-mount", "proc-mount-restricted", "securityContext.procMount"
    for good in ("Default", None):
        yield from _everywhere(baseline, str(good), field, good)
        yield from _everywhere(restricted, str(good), field, good)
    for bad in ("Unmasked", "default", ""):
        for name, also, until in (
            ("", [], 38),
            (" in the node's user namespace", HOST_USERS, 38),
            (" in a user namespace", USER_NAMESPACE, 35),
        ):
            expected = ((baseline, field, 0, until), (restricted, field, 35))
            yield from _everywhere(baseline, f"{bad!r}{name}", field, bad, *expected, also=also)
            yield from _everywhere(restricted, f"{bad!r}{name}", field, bad, *expected, also=also)


def _selinux_options() -> Iterator[Case]:
    rule, field = "selinux-options", "securityContext.seLinuxOptions"
    for good in (None, {}, {"level": "s0:c1,c2"}, {"user": "", "role": "", "type": ""}, {"type": None, "user": None}):
        yield from _everywhere(rule, str(good), field, good, places=PLACES)
    for good_type in ("container_t", "container_init_t", "container_kvm_t"):
        yield from _everywhere(rule, good_type, field, {"type": good_type}, places=PLACES)
    engine = {"type": "container_engine_t"}
    yield from _everywhere(rule, "container_engine_t", field, engine, (rule, f"{field}.type", 0, 31), places=PLACES)
    yield from _everywhere(rule, "spc_t", field, {"type": "spc_t"}, (rule, f"{field}.type", 0), places=PLACES)
    yield from _everywhere(
        rule,
        "all",
        field,
        {"type": "spc_t", "user": "system_u", "role": "system_r"},
        (rule, f"{field}.type", 0),
        (rule, f"{field}.user", 0),
        (rule, f"{field}.role", 0),
        places=PLACES,
    )
    for part in ("user", "role"):
        yield from _everywhere(rule, part, field, {part: "a"}, (rule, f"{field}.{part}", 0), places=PLACES)


def _seccomp() -> Iterator[Case]:
    baseline, restricted, field = (
        "seccomp-profile-baseline",
        "seccomp-profile-restricted",
        "securityContext.seccompProfile",
    )
    pod_key = "seccomp.security.alpha.kubernetes.io/pod"
    prefix = "container.seccomp.security.alpha.kubernetes.io/"
    for good in ("runtime/default", "docker/default", "localhost/web.json"):
        for key in (pod_key, f"{prefix}app"):
            yield _case(baseline, f"annotation {key} {good}", [("metadata.annotations", {key: good})])
    for bad in ("unconfined", "localhost", "", None):
        for key in (pod_key, *(prefix + name for name in ("app", "setup", "proxy", "debug"))):
            expected = Expected(baseline, f'metadata.annotations["{key}"]', 0, 19)
            yield _case(baseline, f"annotation {key} {bad!r}", [("metadata.annotations", {key: bad})], expected)
        yield _case(
            baseline, f"annotation of no container {bad!r}", [("metadata.annotations", {f"{prefix}nobody": bad})]
        )
    yield _case(
        baseline,
        "annotation of a container without a name",
        [("metadata.annotations", {prefix: "unconfined"}), ("spec.containers[0].name", ABSENT)],
        Expected(baseline, f'metadata.annotations["{prefix}"]', 0, 19),
    )
    for good in ("RuntimeDefault", "Localhost"):
        for rule in (baseline, restricted):
            yield from _everywhere(rule, good, f"{field}.type", good, places=PLACES)
    for name, value in (("Unconfined", {"type": "Unconfined"}), ("no type", {}), ("null type", {"type": None})):
        for rule in (baseline, restricted):
            yield from _everywhere(
                rule,
                name,
                field,
                value,
                (baseline, f"{field}.type", 19),
                (restricted, f"{field}.type", 19),
                places=PLACES,
            )
    every = [f"{c}.{field}.type" for c in (*CONTAINERS.values(), "spec.containers[1]")]
    for name, absent in (("absent", ABSENT), ("null", None)):
        for system, also, until in (("", [], 38), (" on Windows", WINDOWS, 25), (" on Linux", LINUX, 38)):
            yield _case(
                restricted,
                f"profile {name} on the pod{system}",
                [*also, (f"spec.{field}", absent)],
                *(Expected(restricted, path, 19, until) for path in every),
            )
    yield _case(
        restricted,
        "all containers have their own",
        [(f"spec.{field}", ABSENT), *((path, "Localhost") for path in every)],
    )
    yield _case(
        restricted,
        "one container without",
        [(f"spec.{field}", ABSENT), *((path, "Localhost") for path in every[1:])],
        Expected(restricted, every[0], 19),
    )
    yield _case(
        restricted,
        "bad on the pod, though no container inherits it",
        [(f"spec.{field}.type", "Unconfined"), *((path, "Localhost") for path in every)],
        Expected(baseline, f"spec.{field}.type", 19),
        Expected(restricted, f"spec.{field}.type", 19),
    )
    yield _case(
        restricted,
        "bad on Windows",
        [*WINDOWS, (f"spec.{field}.type", "Unconfined")],
        Expected(baseline, f"spec.{field}.type", 19),
        Expected(restricted, f"spec.{field}.type", 19, 25),
    )


#: Sysctl → first minor version at which it is safe.
SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_slow_start_after_idle": 37,
    "net.ipv4.tcp_notsent_lowat": 37,
}


def _sysctls() -> Iterator[Case]:
    rule, field = "sysctls", "spec.securityContext.sysctls"
    for name, value in (("null", None), ("empty", [])):
        yield _case(rule, name, [(field, value)])
    for name, since in SYSCTLS.items():
        expected = [Expected(rule, f"{field}[0].name", 0, since)] if since else []
        yield _case(rule, name, [(field, [{"name": name, "value": "1"}])], *expected)
    for odd in ({"name": "kernel.msgmax", "value": "1"}, {"name": "", "value": "1"}, {"name": None}, {}, None):
        yield _case(
            rule,
            f"second is {odd}",
            [(field, [{"name": "kernel.shm_rmid_forced", "value": "1"}, odd])],
            Expected(rule, f"{field}[1].name"),
        )


def _windows_host_process() -> Iterator[Case]:
    rule, field = "windows-host-process", "securityContext.windowsOptions"
    for good in (None, {}, {"hostProcess": None}, {"hostProcess": False}):
        yield from _everywhere(rule, str(good), field, good, places=PLACES)
    bad = {"hostProcess": True}
    yield from _everywhere(rule, "True", field, bad, (rule, f"{field}.hostProcess", 0), places=PLACES)


def _allow_privilege_escalation() -> Iterator[Case]:
    rule, field = "allow-privilege-escalation", "securityContext.allowPrivilegeEscalation"
    yield from _everywhere(rule, "False", field, False)
    for bad in (True, None, ABSENT):
        for system, also, until in (("", [], 38), (" on Windows", WINDOWS, 25), (" on Linux", LINUX, 38)):
            name = "absent" if bad is ABSENT else str(bad)
            yield from _everywhere(rule, name + system, field, bad, (rule, field, 8, until), also=also)
    drop = ("capabilities-restricted", "securityContext.capabilities.drop", 22)
    yield from _everywhere(rule, "no security context", "securityContext", None, (rule, field, 8), drop)


def _run_as_non_root() -> Iterator[Case]:
    rule, field = "run-as-non-root", "securityContext.runAsNonRoot"
    every = [f"{c}.{field}" for c in (*CONTAINERS.values(), "spec.containers[1]")]
    yield from _everywhere(rule, "True", field, True, places=PLACES)
    yield from _everywhere(rule, "inherited", field, None)
    for namespace, also, until in (
        ("", [], 38),
        (" in the node's user namespace", HOST_USERS, 38),
        (" in a user namespace", USER_NAMESPACE, 35),
    ):
        yield from _everywhere(
            rule, f"False{namespace}", field, False, (rule, field, 0, until), places=PLACES, also=also
        )
        for name, absent in (("absent", ABSENT), ("null", None)):
            yield _case(
                rule,
                f"{name} on the pod{namespace}",
                [*also, (f"spec.{field}", absent)],
                *(Expected(rule, path, 0, until) for path in every),
            )
    yield _case(rule, "all containers have it", [(f"spec.{field}", ABSENT), *((path, True) for path in every)])
    yield _case(
        rule,
        "one container without",
        [(f"spec.{field}", ABSENT), *((path, True) for path in every[1:])],
        Expected(rule, every[0]),
    )
    yield _case(
        rule,
        "false on the pod, though no container inherits it",
        [(f"spec.{field}", False), *((path, True) for path in every)],
        Expected(rule, f"spec.{field}"),
    )
    yield _case(rule, "on Windows", [*WINDOWS, (f"spec.{field}", False)], Expected(rule, f"spec.{field}"))


def _run_as_user() -> Iterator[Case]:
    rule, field = "run-as-user", "securityContext.runAsUser"
    for good in (1, 10001, None):
        yield from _everywhere(rule, str(good), field, good, places=PLACES)
    for namespace, also, until in (
        ("", [], 38),
        (" in the node's user namespace", HOST_USERS, 38),
        (" in a user namespace", USER_NAMESPACE, 35),
    ):
        yield from _everywhere(rule, f"0{namespace}", field, 0, (rule, field, 23, until), places=PLACES, also=also)


def _cases() -> Iterator[Case]:
    for rule in CHECKS:
        yield _case(rule, "a compliant pod", [])
        yield _case(rule, "nulls for mappings and lists", [("spec.volumes", None), ("metadata.annotations", None)])
    yield from _app_armor_profile()
    yield from _capabilities()
    yield from _host_namespaces()
    yield from _volumes()
    yield from _host_ports()
    yield from _host_probes()
    yield from _privileged()
    yield from _proc_mount()
    yield from _selinux_options()
    yield from _seccomp()
    yield from _sysctls()
    yield from _windows_host_process()
    yield from _allow_privilege_escalation()
    yield from _run_as_non_root()
    yield from _run_as_user()


CASES: tuple[Case, ...] = tuple(_cases())


def random_pod(source: random.Random) -> dict[str, Any]:
    """A pod in which any field that a check reads may be set, often to something odd that still decodes."""
    pod: dict[str, Any] = source.choice(
        (compliant_pod(), {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}})
    )
    spec = pod["spec"]
    often = source.choice((0.02, 0.1, 0.4))

    def maybe(at: dict[str, Any], key: str, *values: Any) -> None:
        if source.random() < often:
            at[key] = copy.deepcopy(source.choice((*values, None)))

    for kind in ("containers", "initContainers", "ephemeralContainers"):
        maybe(spec, kind, [{}], [{}, {"name": "app"}], [None, {"name": ""}], [])
    maybe(pod, "metadata", {"annotations": _random_annotations(source)}, {"annotations": None})
    for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        maybe(spec, field, True, False)
    maybe(spec, "os", {"name": "windows"}, {"name": "linux"}, {"name": "Windows"}, {"name": None}, {})
    maybe(spec, "volumes", [_random_volume(source) for _ in range(source.randrange(4))])
    lists = [spec.get(kind) or [] for kind in ("containers", "initContainers", "ephemeralContainers")]
    containers = [member for member in itertools.chain(*lists) if member is not None]
    for place in (spec, *containers):
        maybe(place, "securityContext", {})
        context = place.get("securityContext")
        if context is None:
            context = {}
            maybe(place, "securityContext", context)
            context = place.get("securityContext") or {}
        for name in ("appArmorProfile", "seccompProfile"):
            types = ("RuntimeDefault", "Localhost", "Unconfined", "", None, "runtime/default")
            maybe(context, name, {}, *({"type": value} for value in types))
        maybe(context, "seLinuxOptions", {}, _random_selinux(source), _random_selinux(source))
        maybe(context, "windowsOptions", {}, *({"hostProcess": value} for value in (True, False, None)))
        maybe(context, "runAsNonRoot", True, False)
        maybe(context, "runAsUser", 0, 1, 10001)
        if place is spec:
            maybe(context, "sysctls", [_random_sysctl(source) for _ in range(source.randrange(4))])
            continue
        maybe(context, "privileged", True, False)
        maybe(context, "allowPrivilegeEscalation", True, False)
        maybe(context, "procMount", "Default", "Unmasked", "")
        maybe(context, "capabilities", {}, _random_capabilities(source), _random_capabilities(source))
        maybe(place, "ports", [], *([_random_port(source) for _ in range(2)] for _ in range(3)))
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            maybe(place, probe, _random_handler(source), _random_handler(source))
        hooks = {hook: _random_handler(source) for hook in ("postStart", "preStop") if source.random() < 0.5}
        maybe(place, "lifecycle", hooks, {"preStop": None})
    return pod


def _random_annotations(source: random.Random) -> dict[str, Any]:
    keys = ["seccomp.security.alpha.kubernetes.io/pod", "example.com/a"]
    for prefix in (
        "container.apparmor.security.beta.kubernetes.io/",
        "container.seccomp.security.alpha.kubernetes.io/",
    ):
        keys += [prefix + name for name in ("app", "setup", "proxy", "debug", "nobody", "", "containers[0]")]
    values = ("runtime/default", "docker/default", "localhost/a", "localhost", "unconfined", "", None)
    return {key: source.choice(values) for key in source.sample(keys, source.randrange(1, 4))}


def _random_volume(source: random.Random) -> dict[str, Any] | None:
    if source.random() < 0.1:
        return None
    sources = {**ALLOWED_VOLUMES, **FORBIDDEN_VOLUMES, "hostPath": {"path": "/"}}
    volume: dict[str, Any] = {"name": source.choice(("data", "", None))}
    for name in source.sample(sorted(sources), source.choice((0, 1, 1, 1, 2))):
        volume[name] = source.choice((sources[name], {}, None))
    return volume


def _random_selinux(source: random.Random) -> dict[str, Any]:
    types = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t", "", None)
    options = {
        "type": source.choice(types),
        "user": source.choice(("u", "", None)),
        "role": source.choice(("r", "", None)),
    }
    return {key: options[key] for key in source.sample(sorted(options), source.randrange(4))}


def _random_sysctl(source: random.Random) -> dict[str, Any] | None:
    names = (*SYSCTLS, "kernel.msgmax", "net.ipv4.tcp_rmem ", "")
    return source.choice(({"name": source.choice(names), "value": "1"}, {"name": source.choice(names)}, {}, None))


def _random_capabilities(source: random.Random) -> dict[str, Any]:
    names = (*HARMLESS_CAPABILITIES, "NET_BIND_SERVICE", "NET_RAW", "SYS_ADMIN", "ALL", "all", "CAP_CHOWN", "", None)
    capabilities: dict[str, Any] = {}
    for key in ("add", "drop"):
        some = [source.choice(names) for _ in range(source.randrange(3))]
        capabilities[key] = source.choice((some, ["ALL"], ["NET_BIND_SERVICE"], [], None))
    return capabilities


def _random_port(source: random.Random) -> dict[str, Any] | None:
    return source.choice(({"containerPort": 80}, {"hostPort": source.choice((0, 80, None))}, {}, None))


def _random_handler(source: random.Random) -> dict[str, Any]:
    hosts = ("", None, "127.0.0.1", "web.example")
    handler: dict[str, Any] = {}
    for request in ("httpGet", "tcpSocket"):
        if source.random() < 0.5:
            handler[request] = source.choice(({"host": source.choice(hosts), "port": 80}, {"port": "http"}, {}, None))
    return handler
