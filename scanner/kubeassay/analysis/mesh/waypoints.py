"""Which workloads are called through a waypoint of the ambient mesh.

A waypoint asks policies of its own, and shows its own identity to the workload: who may call that, ztunnel's policies
alone do not say. Its policies are not followed, so what depends on them is not known.

Source: istio/istio @eed52eb, pilot/pkg/serviceregistry/ambient/waypoints.go (fetchWaypointForTarget: the label of the
pod or the Service comes before that of its namespace; "none" is none). Whether a waypoint takes traffic to Services, to
workloads or to both is its own setting: here each of them counts.
"""

from __future__ import annotations

from collections import defaultdict

from kubeassay.analysis.mesh.authorization import MANAGED, WAYPOINT_CONTROLLER
from kubeassay.analysis.mesh.membership import USE_WAYPOINT, Memberships, memberships, waypoint
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.services import Service, services
from kubeassay.analysis.reading import items
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Inventory


class Waypoints:
    """The waypoints before the workloads of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._memberships: Memberships = memberships(inventory)
        self._services: dict[Workload, list[Service]] = defaultdict(list)
        for service in services(inventory).by_object.values():
            for workload in service.workloads:
                self._services[workload].append(service)

    def unknown(self, workload: Workload) -> str:
        """Why it is not known who calls a workload, as a clause; empty where no waypoint has a part in it."""
        kind = self._memberships.of(workload).kind
        if kind == "gateway" and is_waypoint(workload):
            return f"{workload} is a waypoint, whose policies are not followed"
        if kind not in ("sidecar", "ambient"):
            return ""
        space = self._memberships.space_of(workload)
        stated = [workload.labels, *(labels_of(service.obj.value) for service in self._services.get(workload, ()))]
        for labels in stated:
            found = waypoint(labels, space)
            if found is not None:
                return f"{workload} is called through waypoint {found}, whose policies are not followed"
        if kind == "ambient" and not space.declared and not all(labels.get(USE_WAYPOINT) for labels in stated):
            return f"the labels of namespace {space.name} are not known: it may have a waypoint"
        return ""


def is_waypoint(workload: Workload) -> bool:
    """Whether pods are a waypoint."""
    if workload.labels.get(MANAGED) == WAYPOINT_CONTROLLER:
        return True
    containers = workload.template.containers if workload.template is not None else ()
    return any("waypoint" in items(container.spec.get("args")) for container in containers)


def waypoints(inventory: Inventory) -> Waypoints:
    """The waypoints of an inventory."""
    found: Waypoints | None = inventory.facts.get(Waypoints)
    if found is None:
        found = inventory.facts[Waypoints] = Waypoints(inventory)
    return found
