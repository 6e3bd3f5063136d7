"""Workloads that are outside the mesh, or half in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kubeassay.analysis.mesh.capture import default_exclusions, exclusions
from kubeassay.analysis.mesh.membership import Membership, Memberships, memberships
from kubeassay.analysis.mesh.settings import DATAPLANE_MODE, INJECTION_LABEL, REVISION_LABEL, Place
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.judgements import SYSTEM_NAMESPACES, by_namespace
from kubeassay.analysis.network.workloads import unknown_workloads
from kubeassay.analysis.selectors import labels_of
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import is_one_of, names, shown
from kubeassay.model import Inventory, Object


def wants_mesh(labels: Mapping[str, str]) -> bool:
    """Whether a namespace's labels ask for the mesh."""
    if labels.get(DATAPLANE_MODE) == "ambient" or labels.get(INJECTION_LABEL) == "enabled":
        return True
    return INJECTION_LABEL not in labels and bool(labels.get(REVISION_LABEL))


def is_of_mesh(found: Memberships, workload: Workload) -> bool:
    """Whether a workload is in a namespace of Kubernetes or of Istio itself."""
    return workload.namespace in SYSTEM_NAMESPACES or workload.namespace == found.settings.root_namespace


def not_known(workload: Workload, membership: Membership) -> NotJudged:
    """Why it is not known whether a workload is in the mesh."""
    return NotJudged(membership.reason or "unsupported", f"{workload}: {membership.words}", workload.obj)


def of_undeclared(reason: str, context: Context) -> bool:
    """Whether something is not known for the labels of a namespace that is declared elsewhere, and is not told."""
    return reason == "unknown-namespace-labels" and context.parameters["namespaces_elsewhere"] is True


def _decided_by_namespace(workload: Workload, place: Place) -> bool:
    return place[0].ref.kind == "Namespace" and place[0] is not workload.obj


@check("workload-outside-mesh")
def workload_outside_mesh(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Workloads that leave the mesh by what they say themselves. What their namespace decides is told once, of it."""
    found = memberships(inventory)
    demanded, excluded = context.parameters["namespaces"], context.parameters["excluded_workloads"]
    if not demanded and not found.settings.present:
        yield NotApplicable()
        return
    for workload in found.workloads:
        own_name = workload.name.partition("[")[0]
        if is_one_of(own_name, excluded):
            continue
        if demanded:
            if not is_one_of(workload.namespace, demanded):
                continue
        elif is_of_mesh(found, workload) or workload.host_network or not wants_mesh(found.space_of(workload).labels):
            # Who is on the node's network cannot be in the mesh, whatever the namespace's label promises.
            continue
        membership = found.of(workload)
        if membership.kind == "unknown":
            yield not_known(workload, membership)
        elif membership.kind != "outside":
            yield Passed(workload.obj)
        elif not _decided_by_namespace(workload, membership.place):
            obj, path = membership.place
            yield Violation(path, f"{workload} is outside the mesh: {membership.words}", obj=obj)
    for obj, _ in unknown_workloads(inventory):
        if demanded and is_one_of(obj.ref.namespace or "default", demanded):
            yield NotJudged("unsupported", f"an operator makes pods of {obj.ref}, whose labels are not known", obj)


@check("namespace-without-injection")
def namespace_without_injection(inventory: Inventory, context: Context) -> Iterator[Said]:
    found = memberships(inventory)
    demanded = context.parameters["namespaces"]
    if not demanded and not found.settings.present:
        yield NotApplicable()
        return
    members = by_namespace(found.workloads)
    seen: set[str] = set()
    for obj in inventory.of_kind("Namespace", ""):
        name = obj.ref.name
        seen.add(name)
        if not _is_demanded(found, name, demanded):
            continue
        inside = members.get(name, [])
        if not demanded and all(workload.host_network for workload in inside):
            # Nothing is here that could be in the mesh.
            continue
        if wants_mesh(labels_of(obj.value)) or found.settings.namespaces_by_default:
            unknown = next((w for w in inside if found.of(w).kind == "unknown"), None)
            yield Passed(obj) if unknown is None else not_known(unknown, found.of(unknown))
            continue
        if inside and all(found.of(workload).in_mesh for workload in inside):
            # Each asks for it itself.
            yield Passed(obj)
            continue
        yield _outside(obj, inside)
    for name, inside in members.items():
        if name not in seen and _is_demanded(found, name, demanded):
            unknown = next((w for w in inside if found.of(w).kind == "unknown"), None)
            if unknown is not None:
                yield not_known(unknown, found.of(unknown))


def _is_demanded(found: Memberships, namespace: str, demanded: Sequence[str]) -> bool:
    if demanded:
        return is_one_of(namespace, demanded)
    return namespace not in SYSTEM_NAMESPACES and namespace != found.settings.root_namespace


def _outside(obj: Object, inside: Sequence[Workload]) -> Violation:
    labels, name = labels_of(obj.value), obj.ref.name
    concerned = f": {shown(names(inside))}" if inside else ""
    for label in (INJECTION_LABEL, REVISION_LABEL):
        if label in labels:
            words = f"label {label}={labels[label]} keeps namespace {name} out of the mesh{concerned}"
            return Violation(("metadata", "labels", label), words, obj=obj)
    return Violation(("metadata", "name"), f"namespace {name} has no label that injects sidecars{concerned}", obj=obj)


@check("istio-control-plane-missing")
def istio_control_plane_missing(inventory: Inventory, context: Context) -> Iterator[Said]:
    demanded = context.parameters["namespaces"]
    if not demanded:
        yield NotApplicable()
        return
    found = memberships(inventory)
    if found.settings.control_plane:
        yield Passed(found.settings.control_plane[0][0])
        return
    for obj in inventory.of_kind("Namespace", ""):
        if is_one_of(obj.ref.name, demanded):
            words = f"namespace {obj.ref.name} is to be in the mesh, and nothing among the inputs installs Istio"
            yield Violation(("metadata", "name"), words, obj=obj)
            return
    workload = next((w for w in found.workloads if is_one_of(w.namespace, demanded)), None)
    if workload is None:
        yield NotApplicable()
        return
    words = f"{workload} is to be in the mesh, and nothing among the inputs installs Istio"
    yield Violation(("metadata", "namespace"), words, obj=workload.obj)


@check("traffic-excluded-from-proxy")
def traffic_excluded_from_proxy(inventory: Inventory, context: Context) -> Iterator[Said]:
    found = memberships(inventory)
    allowed = {int(port) for port in context.parameters["allowed_ports"]}
    for name, value, (obj, path) in default_exclusions(found.settings.proxy):
        if "exclude" in name and name.endswith("Ports") and _all_allowed(value, allowed):
            continue
        words = f"traffic of all pods passes by the proxy: the installation's {name.rpartition('/')[2]} is"
        yield Violation(path, f"{words} {value or 'empty'}", obj=obj)
    for workload in found.workloads:
        membership = found.of(workload)
        excluded = exclusions(workload, membership)
        if membership.kind == "unknown" and excluded:
            yield not_known(workload, membership)
            continue
        if not membership.captured:
            continue
        clean = True
        for name, value, (obj, path) in excluded:
            if "exclude" in name and name.endswith("Ports") and _all_allowed(value, allowed):
                continue
            clean = False
            yield Violation(path, f"traffic of {workload} passes by its proxy: {name} is {value or 'empty'}", obj=obj)
        if clean:
            yield Passed(workload.obj)


def _all_allowed(value: str, allowed: set[int]) -> bool:
    ports = [part.strip() for part in value.split(",") if part.strip()]
    return all(part.isascii() and part.isdigit() and len(part) < 6 and int(part) in allowed for part in ports)
