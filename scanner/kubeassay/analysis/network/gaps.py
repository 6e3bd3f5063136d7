"""What rows of connectivity do not know, in words, with the places."""

from __future__ import annotations

from kubeassay.analysis.network.connectivity import Connectivity
from kubeassay.analysis.network.policies import DIRECTIONS
from kubeassay.analysis.network.workloads import unknown_workloads
from kubeassay.model import Inventory, Object, Path, format_path


def undeclared(net: Connectivity) -> list[str]:
    """What rows do not know for want of Namespace objects: selectors on labels that only these would show."""
    return [
        f"{at(gap.policy.obj, gap.path)}: {gap.policy} selects namespaces by the label {gap.key}; of what is not among"
        f" the inputs, namespace{'s' if len(gap.namespaces) > 1 else ''} {', '.join(gap.namespaces)}, it is not known"
        for gap in net.gaps
    ]


def causes(net: Connectivity) -> list[str]:
    """Why ways are not evaluated."""
    lines = []
    for foreign in net.foreign:
        where = f"namespace {foreign.namespace}" if foreign.namespace is not None else "the cluster"
        lines.append(f"{at(foreign.obj)}: {foreign.obj.ref} governs {where} and is not evaluated")
    for policy in net.policies:
        if policy.refused:
            problem = policy.refused[0]
            lines.append(f"{at(policy.obj, problem.path)}: an API server refuses {policy}: {problem.reason}")
    for workload in net.workloads:
        if workload.host_network and any(net.governing(workload, direction) for direction in DIRECTIONS):
            lines.append(f"{at(workload.obj)}: {workload} is on its node's network, where policies may apply or not")
    return lines


def dropped(net: Connectivity) -> list[str]:
    """Fields of policies that mean nothing: what was meant is not what rows show."""
    return [
        f"{at(policy.obj, path, key=True)}: {policy} has no field {format_path(path)}: kubectl refuses it, other"
        " clients drop the field, and so is it read"
        for policy in net.policies
        for path in policy.dropped
    ]


def unknown_pods(inventory: Inventory) -> list[str]:
    """Custom resources whose pods are not listed, because their labels are not known."""
    return [
        f"{at(obj, path)}: {obj.ref}: an operator makes pods of it, whose labels are not known, so they are in no row"
        for obj, path in unknown_workloads(inventory)
    ]


def at(obj: Object, path: Path = ("metadata", "name"), *, key: bool = False) -> str:
    """A place as text: file, line, column."""
    place = obj.locate(path, key=key)
    return f"{place.file}:{place.start_line}:{place.start_column}"
