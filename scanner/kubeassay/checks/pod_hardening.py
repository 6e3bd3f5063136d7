"""What pods should do beyond the Pod Security Standards: identity, file systems, host access, ports and resources."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.analysis.workloads import Container, PodTemplate
from kubeassay.checks.check import ContainerSubject, Context, NotApplicable, Violation, check
from kubeassay.model import Object, Path


def _of_container(container: Container, field: Path, message: str, base: Path | None = None) -> Violation:
    path = (*container.path, *field)
    return Violation(path, f"container {container.name} {message}", container=container.name, base=base)


def _of_pod(pod: PodTemplate, field: Path, message: str) -> Violation:
    return Violation((*pod.spec_path, *field), f"pod {message}")


# Service accounts


def service_account_name(pod: PodTemplate) -> str:
    """The account that the pod runs as. ``serviceAccount`` is the old name of the field and still read."""
    name = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount")
    return name if isinstance(name, str) and name else "default"


@check("service-account-token-automount")
def service_account_token_automount(pod: PodTemplate, context: Context) -> Iterable[Violation]:
    """The pod's own setting wins over its account's; without either the token is mounted."""
    value = pod.spec.get("automountServiceAccountToken")
    if value is False:
        return ()
    name = service_account_name(pod)
    account = context.inventory.nearest("", "ServiceAccount", pod.obj.ref.namespace, name, pod.obj.file)
    setting = None if account is None else account.value.get("automountServiceAccountToken")
    if value is None and setting is False:
        return ()
    related: tuple[tuple[str, Object, Path], ...] = ()
    if account is not None and value is None:
        said = "asks for it" if setting is True else "does not disable it"
        related = ((f"ServiceAccount {name} {said}", account, ("automountServiceAccountToken",)),)
    path = (*pod.spec_path, "automountServiceAccountToken")
    return (Violation(path, f"pod mounts the token of ServiceAccount {name}", related=related),)


@check("default-service-account")
def default_service_account(pod: PodTemplate, context: Context) -> Iterable[Violation]:
    spec = pod.spec
    if spec.get("automountServiceAccountToken") is False or service_account_name(pod) != "default":
        return ()
    field = "serviceAccount" if spec.get("serviceAccount") and not spec.get("serviceAccountName") else ""
    return (_of_pod(pod, (field or "serviceAccountName",), "runs as the namespace's default ServiceAccount"),)


# Users and file systems


@check("read-only-root-filesystem")
def read_only_root_filesystem(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    if subject.container.security_context.get("readOnlyRootFilesystem") is True or subject.pod.windows:
        return ()
    field = ("securityContext", "readOnlyRootFilesystem")
    return (_of_container(subject.container, field, "can write to its root file system"),)


_IDS = (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup"))


@check("run-as-ids")
def run_as_ids(pod: PodTemplate, context: Context) -> Iterable[Violation | NotApplicable]:
    """A container's own id wins over the pod's; fsGroup is the pod's alone. Windows has no such ids."""
    parameters = context.parameters
    if pod.windows or all(value is None for value in parameters.values()):
        return (NotApplicable(),)
    found: list[Violation] = []
    for parameter, field in _IDS:
        wanted = parameters[parameter]
        if wanted is None:
            continue
        inherited = not pod.containers
        for container in pod.containers:
            value = container.security_context.get(field)
            if value is None:
                inherited = True
            elif value != wanted:
                place = ("securityContext", field)
                found.append(_of_container(container, place, f"sets {field} {value}, not {wanted}"))
        value = pod.security_context.get(field)
        if inherited and value != wanted:
            found.append(_of_pod(pod, ("securityContext", field), _id_message(field, value, wanted)))
    wanted = parameters["fs_group"]
    if wanted is not None:
        value = pod.security_context.get("fsGroup")
        if value != wanted:
            found.append(_of_pod(pod, ("securityContext", "fsGroup"), _id_message("fsGroup", value, wanted)))
    return found


def _id_message(field: str, value: Any, wanted: Any) -> str:
    return f"does not set {field} {wanted}" if value is None else f"sets {field} {value}, not {wanted}"


@check("allowed-volume-types")
def allowed_volume_types(pod: PodTemplate, context: Context) -> Iterator[Violation]:
    volumes = pod.spec.get("volumes")
    if not volumes:
        return
    allowed = context.parameters["allowed"]
    for number, volume in enumerate(items(volumes)):
        volume = mapping(volume)
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        # Kubernetes makes an emptyDir of a volume that names no source.
        for source in sources or ["emptyDir"]:
            if source not in allowed:
                field = ("volumes", number, source)
                yield _of_pod(pod, field, f"has volume {volume.get('name')} of type {source}")


@check("allowed-added-capabilities")
def allowed_added_capabilities(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    added = mapping(subject.container.security_context.get("capabilities")).get("add")
    if not added:
        return ()
    allowed = context.parameters["allowed"]
    return [
        _of_container(
            subject.container, ("securityContext", "capabilities", "add", number), f"adds capability {capability}"
        )
        for number, capability in enumerate(items(added))
        if capability not in allowed
    ]


@check("net-bind-service-without-need")
def net_bind_service_without_need(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    """A process of another user than root has an added capability only if its file carries it, or it is ambient; and
    ports from 1024 on need none."""
    container = subject.container
    added = mapping(container.security_context.get("capabilities")).get("add")
    if not added or not isinstance(added, list) or "NET_BIND_SERVICE" not in added:
        return ()
    if not _runs_as_non_root(subject):
        return ()
    for port in items(container.spec.get("ports")):
        number = mapping(port).get("containerPort")
        if isinstance(number, int) and number < 1024:
            return ()
    field = ("securityContext", "capabilities", "add", added.index("NET_BIND_SERVICE"))
    return (_of_container(container, field, "adds capability NET_BIND_SERVICE but has no port below 1024"),)


def _runs_as_non_root(subject: ContainerSubject) -> bool:
    """Whether the effective security context excludes root."""
    for field in ("runAsNonRoot", "runAsUser"):
        value = subject.container.security_context.get(field)
        if value is None:
            value = subject.pod.security_context.get(field)
        if value is True or (field == "runAsUser" and isinstance(value, int) and value > 0):
            return True
    return False


@check("root-group")
def root_group(pod: PodTemplate, context: Context) -> Iterable[Violation]:
    """Files of images and nodes that belong to the group root are often writable to it."""
    found = [
        _of_pod(pod, ("securityContext", field), f"runs with {field} 0, the group root")
        for field in ("runAsGroup", "fsGroup")
        if _is_zero(pod.security_context.get(field))
    ]
    found += [
        _of_pod(
            pod, ("securityContext", "supplementalGroups", number), "has the group root among its supplemental groups"
        )
        for number, group in enumerate(items(pod.security_context.get("supplementalGroups")))
        if _is_zero(group)
    ]
    found += [
        _of_container(container, ("securityContext", "runAsGroup"), "runs with runAsGroup 0, the group root")
        for container in pod.containers
        if _is_zero(container.security_context.get("runAsGroup"))
    ]
    return found


def _is_zero(value: Any) -> bool:
    return value == 0 and type(value) is int


# The host


#: Where container runtimes of common distributions listen. /var/run is a link to /run on them.
_RUNTIME_SOCKETS = (
    "/run/docker.sock",
    "/run/cri-dockerd.sock",
    "/run/dockershim.sock",
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)


def _runtime_socket_below(place: str) -> str | None:
    """The runtime's socket that a mount of the host's ``place`` (normalised) shows, or None."""
    if place == "/var/run" or place.startswith("/var/run/"):
        place = place[len("/var") :]
    prefix = place if place == "/" else f"{place}/"
    for socket in _RUNTIME_SOCKETS:
        # A mount of /var shows /var/run too where that is a folder of its own.
        if socket == place or socket.startswith(prefix) or (place == "/var" and socket.startswith("/run/")):
            return socket
    return None


@check("container-runtime-socket")
def container_runtime_socket(pod: PodTemplate, context: Context) -> Iterator[Violation]:
    volumes = pod.spec.get("volumes")
    if not volumes:
        return
    for number, volume in enumerate(items(volumes)):
        source = mapping(volume).get("hostPath")
        if not source:
            continue
        path = mapping(source).get("path")
        if not isinstance(path, str) or not path:
            continue
        place = posixpath.normpath(f"/{path.lstrip('/')}")
        socket = _runtime_socket_below(place)
        if socket is not None:
            what = "the socket of the container runtime"
            if not place.endswith(socket):
                what = f"below which is {what}, {socket}"
            yield _of_pod(pod, ("volumes", number, "hostPath", "path"), f"mounts host path {path}, {what}")


@check("writable-host-path-mount")
def writable_host_path_mount(pod: PodTemplate, context: Context) -> Iterator[Violation]:
    volumes = pod.spec.get("volumes")
    if not volumes:
        return
    host_paths = {
        string(volume.get("name")): mapping(volume["hostPath"]).get("path")
        for volume in items(volumes)
        if isinstance(volume, dict) and isinstance(volume.get("hostPath"), dict)
    }
    if not host_paths:
        return
    for container in pod.containers:
        for number, mount in enumerate(items(container.spec.get("volumeMounts"))):
            mount = mapping(mount)
            name = string(mount.get("name"))
            if mount.get("readOnly") is not True and name in host_paths:
                yield _of_container(
                    container,
                    ("volumeMounts", number, "readOnly"),
                    f"can write to host path {host_paths[name]}",
                    base=(*container.path, "volumeMounts", number),
                )


#: Where clouds serve the credentials of a node or pod.
_METADATA_ADDRESSES = frozenset(
    {"169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "169.254.170.2", "169.254.170.23", "100.100.100.200"}
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})


@check("host-alias-metadata")
def host_alias_metadata(pod: PodTemplate, context: Context) -> Iterator[Violation]:
    aliases = pod.spec.get("hostAliases")
    if not aliases:
        return
    for number, alias in enumerate(items(aliases)):
        alias = mapping(alias)
        address = alias.get("ip")
        if isinstance(address, str) and address.lower() in _METADATA_ADDRESSES:
            yield _of_pod(pod, ("hostAliases", number, "ip"), f"gives the metadata service {address} another name")
            continue
        for index, name in enumerate(items(alias.get("hostnames"))):
            if isinstance(name, str) and name.lower().rstrip(".") in _METADATA_NAMES:
                field = ("hostAliases", number, "hostnames", index)
                yield _of_pod(pod, field, f"sends requests for the metadata service {name} to {address}")


@check("probe-calls-metadata")
def probe_calls_metadata(subject: ContainerSubject, context: Context) -> Iterator[Violation]:
    """The kubelet makes the request from the node, past every NetworkPolicy."""
    spec = subject.container.spec
    for parent, field in _HANDLERS:
        handler = mapping(spec.get(parent)).get(field) if field else spec.get(parent)
        if not handler:
            continue
        for action in ("httpGet", "tcpSocket"):
            host = mapping(mapping(handler).get(action)).get("host")
            if isinstance(host, str) and host and _is_metadata_service(host):
                path = (parent, field, action, "host") if field else (parent, action, "host")
                yield _of_container(subject.container, path, f"makes the node call its metadata service {host}")


#: (field, field inside it) of what the kubelet runs for a container.
_HANDLERS = (
    ("livenessProbe", ""),
    ("readinessProbe", ""),
    ("startupProbe", ""),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def _is_metadata_service(host: str) -> bool:
    host = host.lower().strip("[]").rstrip(".")
    return host in _METADATA_ADDRESSES or host in _METADATA_NAMES


@check("share-process-namespace")
def share_process_namespace(pod: PodTemplate, context: Context) -> Iterable[Violation]:
    if pod.spec.get("shareProcessNamespace") is not True:
        return ()
    return (_of_pod(pod, ("shareProcessNamespace",), "lets its containers see each other's processes"),)


@check("privileged-port")
def privileged_port(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    ports = subject.container.spec.get("ports")
    if not ports:
        return ()
    return [
        _of_container(subject.container, ("ports", index, field), f"uses {field} {number}, which is below 1024")
        for index, port in enumerate(items(ports))
        for field in ("containerPort", "hostPort")
        if isinstance(number := mapping(port).get(field), int) and 0 < number < 1024
    ]


# Resources


_RESOURCES = (
    ("requests_cpu", "requests", "cpu"),
    ("requests_memory", "requests", "memory"),
    ("limits_cpu", "limits", "cpu"),
    ("limits_memory", "limits", "memory"),
)


def _resources(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The requests and limits of a container or pod."""
    resources = mapping(spec.get("resources"))
    return mapping(resources.get("requests")), mapping(resources.get("limits"))


@check("container-resources")
def container_resources(subject: ContainerSubject, context: Context) -> Iterable[Violation | NotApplicable]:
    """Regular containers only. A request that is not set equals the limit, as Kubernetes defaults it."""
    container = subject.container
    if container.type != "container" or all(context.parameters[parameter] is None for parameter, _, _ in _RESOURCES):
        return (NotApplicable(),)
    requests, limits = _resources(container.spec)
    at_most = context.parameters["mode"] == "at-most"
    found: list[Violation] = []
    for parameter, group, resource in _RESOURCES:
        text = context.parameters[parameter]
        if text is None:
            continue
        wanted = parse_quantity(text)
        value = (requests if group == "requests" else limits).get(resource)
        if value is None and group == "requests":
            value = limits.get(resource)
        if value is None:
            if group == "requests" and at_most:
                continue
            message = f"has no {group}.{resource}; {text} is wanted"
        else:
            actual = parse_quantity(value)
            if _complies(actual, wanted, at_most=at_most):
                continue
            message = f"has {group}.{resource} {value}, {'more than' if at_most else 'not'} {text}"
        found.append(_of_container(container, ("resources", group, resource), message))
    return found


def _complies(actual: Fraction | None, wanted: Fraction | None, *, at_most: bool) -> bool:
    if actual is None or wanted is None:
        return False
    return actual <= wanted if at_most else actual == wanted


@check("resource-requests-missing")
def resource_requests_missing(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    """A request that is not set equals the limit, so a limit suffices; so does a request of the pod as a whole."""
    container = subject.container
    requests, limits = _resources(container.spec)
    if requests.get("cpu") is not None and requests.get("memory") is not None:
        return ()
    if container.type == "ephemeral":
        return ()
    pod_requests, pod_limits = _resources(subject.pod.spec)
    missing = [
        resource
        for resource in ("cpu", "memory")
        if all(group.get(resource) is None for group in (requests, limits, pod_requests, pod_limits))
    ]
    if not missing:
        return ()
    field = ("resources", "requests", *(missing if len(missing) == 1 else ()))
    return (_of_container(container, field, f"requests no {' and no '.join(missing)}"),)


@check("resource-limits-missing")
def resource_limits_missing(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    container = subject.container
    _, limits = _resources(container.spec)
    if limits.get("memory") is not None or container.type == "ephemeral":
        return ()
    if _resources(subject.pod.spec)[1].get("memory") is not None:
        return ()
    return (_of_container(container, ("resources", "limits", "memory"), "has no memory limit"),)


@check("resource-limit-below-request")
def resource_limit_below_request(subject: ContainerSubject, context: Context) -> Iterable[Violation]:
    requests, limits = _resources(subject.container.spec)
    if not requests or not limits:
        return ()
    found = []
    for resource, limit in limits.items():
        request = requests.get(resource)
        if request is None or request == limit:
            continue
        wanted, most = parse_quantity(request), parse_quantity(limit)
        if wanted is not None and most is not None and wanted > most:
            field = ("resources", "limits", resource)
            found.append(
                _of_container(subject.container, field, f"has limits.{resource} {limit}, below its request {request}")
            )
    return found
