"""Which pods run, by the workloads of an inventory: whose tokens they hold, which of them are their node, their names.

Sources: kubernetes v1.37.1, pkg/controller (how each controller names its pods) and apimachinery v0.37.1,
pkg/util/rand (the letters of the part that is made up).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kubeassay.analysis.access.model import Subject
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.workloads import Container
from kubeassay.model import Inventory

#: Directories of the node from which its root is a write away: all of it, programs and their configuration that root
#: runs, the kubelet's files and static pods, sockets of container runtimes.
_NODE_DIRECTORIES = ("/etc", "/var/lib/kubelet", "/run", "/var/run", "/usr", "/bin", "/sbin", "/lib", "/root")
_SOCKETS = ("docker.sock", "containerd.sock", "crio.sock")
#: With the processes of the node in sight, each of these enters one that is root.
_ENTERING = frozenset({"SYS_ADMIN", "SYS_PTRACE", "ALL"})

#: kubernetes v1.37.1, pkg/apis/core/validation, ValidatePodName: a DNS subdomain.
_LONGEST_NAME = 253

#: What is made up in names: no vowels, and no digits that look like letters.
_LETTER = "[bcdfghjklmnpqrstvwxz2456789]"
_GENERATED = rf"-{_LETTER}{{5}}"
#: Kind → what the names of its pods have behind the workload's.
_ENDINGS: Mapping[str, re.Pattern[str]] = {
    "Deployment": re.compile(rf"-{_LETTER}{{1,10}}{_GENERATED}\Z"),
    "ReplicaSet": re.compile(rf"{_GENERATED}\Z"),
    "ReplicationController": re.compile(rf"{_GENERATED}\Z"),
    "DaemonSet": re.compile(rf"{_GENERATED}\Z"),
    # Those of an indexed Job are numbered.
    "Job": re.compile(rf"(?:-\d+)?{_GENERATED}\Z"),
    "CronJob": re.compile(rf"-\d+(?:-\d+)?{_GENERATED}\Z"),
    "StatefulSet": re.compile(r"-\d{1,10}\Z"),
    "Pod": re.compile(r"\Z"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """The pods of a workload. ``root``: what makes whoever is in one root on its node; empty: nothing. ``assumption``:
    what must hold for a pod to run; empty: nothing."""

    workload: Workload
    account: Subject
    has_token: bool
    root: str
    assumption: str


class RunningPods:
    """The pods of an inventory."""

    def __init__(self, inventory: Inventory, found: Iterable[Workload]) -> None:
        pods = [Running(w, account_of(w), holds_token(inventory, w), _root(w), _idle(w)) for w in found]
        # What runs comes before what may.
        self._pods = sorted(pods, key=lambda pod: bool(pod.assumption))

    @cached_property
    def accounts(self) -> Mapping[str | None, Mapping[Subject, Running]]:
        """By namespace, and for all (None): the service accounts whose tokens pods hold, each with the first pods."""
        found: dict[str | None, dict[Subject, Running]] = defaultdict(dict)
        for pod in self._pods:
            if pod.has_token:
                found[pod.workload.namespace].setdefault(pod.account, pod)
                found[None].setdefault(pod.account, pod)
        return found

    @cached_property
    def roots(self) -> Mapping[str | None, Running]:
        """By namespace, and for all (None): the first pods that are their node."""
        found: dict[str | None, Running] = {}
        for pod in self._pods:
            if pod.root:
                found.setdefault(pod.workload.namespace, pod)
                found.setdefault(None, pod)
        return found

    @cached_property
    def first(self) -> Mapping[str, Running]:
        """By namespace: the first pods."""
        found: dict[str, Running] = {}
        for pod in self._pods:
            found.setdefault(pod.workload.namespace, pod)
        return found

    @cached_property
    def _by_name(self) -> Mapping[str, list[Running]]:
        found: dict[str, list[Running]] = defaultdict(list)
        for pod in self._pods:
            found[pod.workload.obj.ref.name].append(pod)
        return found

    def named(self, namespace: str | None, names: Iterable[str]) -> Iterator[tuple[Running, str]]:
        """The pods that may have one of some names, each workload once, with what must hold for it: a name that a
        controller makes up is that of no pod for long."""
        seen: dict[tuple[int, str], Running] = {}
        for name in names:
            if len(name) > _LONGEST_NAME:
                continue
            for base in _bases(name):
                for pod in self._by_name.get(base, ()):
                    if namespace not in (None, pod.workload.namespace):
                        continue
                    assumption = _named(pod.workload, name)
                    if assumption is not None:
                        key = id(pod), assumption or pod.assumption
                        if key not in seen:
                            seen[key] = pod
                            yield pod, assumption or pod.assumption


def _bases(name: str) -> Iterator[str]:
    """A name, and what is left of it without its last parts."""
    yield name
    while "-" in name:
        name = name.rpartition("-")[0]
        yield name


def _named(workload: Workload, name: str) -> str | None:
    """What must hold for a pod of a workload to have a name; None: it cannot. ``name`` begins with the workload's."""
    ref = workload.obj.ref
    template = workload.template
    ending = name[len(ref.name) :]
    if template is None or not template.built_in:
        return f"a pod of {ref} is called {name}"
    known = _ENDINGS.get(ref.kind)
    if known is None or not known.match(ending):
        return None
    if ref.kind == "Pod":
        return ""
    if ref.kind == "StatefulSet":
        spec = mapping(workload.obj.value.get("spec"))
        start, replicas = mapping(spec.get("ordinals")).get("start", 0), spec.get("replicas", 1)
        number = int(ending[1:])
        if isinstance(start, int) and isinstance(replicas, int) and start <= number < start + replicas:
            return ""
    return f"a pod of {ref} is called {name}"


def account_of(workload: Workload) -> Subject:
    """The service account that the pods of a workload run as."""
    return Subject("ServiceAccount", workload.service_account or "default", workload.namespace)


def holds_token(inventory: Inventory, workload: Workload) -> bool:
    """Whether pods hold a token of their service account: Kubernetes mounts one unless the pod, or else the account,
    says otherwise; a pod can project one itself."""
    name = workload.service_account or "default"
    account = inventory.nearest("", "ServiceAccount", workload.obj.ref.namespace, name, workload.obj.file)
    spec: Mapping[str, Any] = {} if workload.template is None else workload.template.spec
    mounted = spec.get("automountServiceAccountToken")
    if mounted is None and account is not None:
        mounted = account.value.get("automountServiceAccountToken")
    if mounted is not False:
        return True
    return any(
        "serviceAccountToken" in mapping(source)
        for volume in items(spec.get("volumes"))
        for source in items(mapping(mapping(volume).get("projected")).get("sources"))
    )


def _idle(workload: Workload) -> str:
    """What must change for a workload to have pods; empty: nothing."""
    spec = mapping(workload.obj.value.get("spec"))
    ref = workload.obj.ref
    if ref.kind in ("CronJob", "Job"):
        if spec.get("suspend") is True:
            return f"{ref}, which is suspended, has pods all the same"
        if ref.kind == "Job" and spec.get("parallelism") == 0:
            return f"{ref}, which has a parallelism of 0, has pods all the same"
    elif ref.kind != "DaemonSet" and spec.get("replicas") == 0 and not isinstance(spec.get("replicas"), bool):
        return f"{ref}, which has 0 replicas, is scaled up"
    return ""


def _root(workload: Workload) -> str:
    """What makes whoever is in a container of a pod root on its node; empty: nothing that is known."""
    template = workload.template
    if template is None:
        return ""
    spec = template.spec
    volumes = {
        string(mapping(volume).get("name")): string(mapping(mapping(volume).get("hostPath")).get("path"))
        for volume in items(spec.get("volumes"))
    }
    found = ""
    for container in template.containers:
        # Nobody enters a container that has ended.
        if container.type == "init":
            continue
        # In a user namespace, root is root of that alone.
        if container.security_context.get("privileged") is True and not template.user_namespace:
            return "are privileged"
        if found or not _as_root(container, template.security_context):
            continue
        if spec.get("hostPID") is True and _ENTERING.intersection(_added(container)):
            found = "see the processes of the node and may enter them"
        elif any(
            _is_node(volumes.get(string(mount.get("name"))) or "")
            for mount in map(mapping, items(container.spec.get("volumeMounts")))
            if mount.get("readOnly") is not True
        ):
            found = "write to files of the node"
    return found


def _as_root(container: Container, pod: Mapping[str, Any]) -> bool:
    """Whether nothing keeps a container from running as root."""
    own = container.security_context
    user, no_root = (own.get(field, pod.get(field)) for field in ("runAsUser", "runAsNonRoot"))
    return user in (None, 0) and no_root is not True


def _added(container: Container) -> frozenset[str]:
    added = items(mapping(container.security_context.get("capabilities")).get("add"))
    return frozenset(string(name).upper().removeprefix("CAP_") for name in added if string(name))


def _is_node(path: str) -> bool:
    """Whether whoever writes below a path of the node becomes its root."""
    if not path.startswith("/"):
        return False
    clean = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    return (
        clean in ("/", "/var", "/var/lib", *_NODE_DIRECTORIES)
        or clean.startswith(("/etc/kubernetes", "/etc/cron", "/var/lib/kubelet/pods"))
        or clean.endswith(_SOCKETS)
    )
