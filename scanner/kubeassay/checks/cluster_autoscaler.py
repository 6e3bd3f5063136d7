"""The Cluster Autoscaler: its version, its node groups, and its documented settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubeassay.analysis.network.workloads import workloads
from kubeassay.analysis.platform.cluster_autoscaler import (
    DEFAULTS,
    Flag,
    comparable,
    discovery_tags,
    flags,
    group_option,
    is_discovered,
    is_of,
    is_readable,
    last,
    node_ranges,
)
from kubeassay.analysis.platform.node_groups import NodeGroup, clusters, node_groups
from kubeassay.analysis.reading import string
from kubeassay.analysis.workloads import Container
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.images import parse_image
from kubeassay.checks.scheduling import autoscaler_container
from kubeassay.model import Inventory, Object, Path

_TAG = re.compile(r"v?1\.([0-9]{1,3})(?:[.+-]|\Z)")


def _autoscalers(inventory: Inventory) -> Iterator[tuple[Object, Container]]:
    for workload in workloads(inventory):
        number = None if workload.template is None else autoscaler_container(workload.template)
        if workload.template is not None and number is not None:
            yield workload.obj, workload.template.containers[number]


@check("cluster-autoscaler-version")
def cluster_autoscaler_version(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Cluster Autoscalers that are of another minor version than the cluster."""
    minors = {cluster.minor for cluster in clusters(inventory)}
    for obj, container in _autoscalers(inventory):
        tag = parse_image(string(container.spec.get("image"))).tag
        match = _TAG.match(tag)
        if not minors or None in minors:
            yield NotJudged("missing-input", f"{obj.ref}: which version the cluster has is not known", obj)
        elif match is None:
            yield NotJudged("missing-input", f"{obj.ref}: the image's tag does not tell its version", obj)
        elif int(match[1]) in minors:
            # Of several clusters it is that of one of them.
            yield Passed(obj)
        else:
            versions = " and ".join(f"1.{minor}" for minor in sorted(minor for minor in minors if minor is not None))
            yield Violation(
                (*container.path, "image"),
                f"Cluster Autoscaler 1.{match[1]} is for Kubernetes 1.{match[1]}, and the cluster is {versions}",
                container=container.name,
                obj=obj,
            )


@check("cluster-autoscaler-node-groups")
def cluster_autoscaler_node_groups(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Bounds that a Cluster Autoscaler has for node groups, against the groups' own."""
    groups = [group for group in node_groups(inventory) if not group.live]
    if not groups:
        yield NotApplicable()
        return
    for obj, container in _autoscalers(inventory):
        if not is_readable(container):
            yield _unreadable(obj)
            continue
        judged = False
        for one in node_ranges(flags(container)):
            group = _group_of(one.name, groups)
            if group is None:
                continue
            judged = True
            wrong = []
            if group.minimum is not None and one.minimum < group.minimum:
                wrong.append(f"the least size {one.minimum} is below the group's {group.minimum}")
            if group.maximum is not None and one.maximum > group.maximum:
                wrong.append(f"the greatest size {one.maximum} is above the group's {group.maximum}")
            if one.minimum > one.maximum:
                wrong.append("the least size is above the greatest")
            if wrong:
                yield Violation(
                    one.path,
                    f"{group}: {', and '.join(wrong)}",
                    container=container.name,
                    obj=obj,
                    related=((str(group), group.obj, group.path),),
                )
        if judged:
            yield Passed(obj)


def _unreadable(obj: Object) -> NotJudged:
    return NotJudged("unsupported", f"{obj.ref}: its flags are not words of its command that can be read", obj)


def _group_of(name: str, groups: list[NodeGroup]) -> NodeGroup | None:
    """The node group that an Auto Scaling group belongs to: of several whose names are in it, the longest name's."""
    found = [group for group in groups if is_of(name, group)]
    # A cluster's name may hold that of a group.
    return max(found, key=lambda group: (name.endswith(group.name), len(group.name)), default=None)


@check("documented-cluster-autoscaler")
def documented_cluster_autoscaler(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Flags, node groups' bounds and options of the Cluster Autoscaler against the documented ones."""
    settings: Mapping[str, Any] = context.parameters["flags"]
    documented: Mapping[str, Mapping[str, Any]] = context.parameters["groups"]
    if not settings and not documented:
        yield NotApplicable()
        return
    found = list(_autoscalers(inventory))
    if not found:
        yield NotJudged("no-objects", "no Cluster Autoscaler is among the inputs")
    groups = {group.name: group for group in node_groups(inventory) if not group.live}
    for obj, container in found:
        if not is_readable(container):
            yield _unreadable(obj)
            continue
        own = flags(container)
        said: list[Violation | NotJudged] = [*_flag_differences(obj, container, own, settings)]
        for name, wanted in documented.items():
            said += _group_differences(obj, container, own, name, wanted, groups.get(name))
        yield from said
        if not said:
            yield Passed(obj)


def _list_of(container: Container) -> Path:
    return (*container.path, "args" if container.spec.get("args") else "command")


def _flag_differences(
    obj: Object, container: Container, own: tuple[Flag, ...], settings: Mapping[str, Any]
) -> Iterator[Violation]:
    for name, demanded in settings.items():
        flag = last(own, name)
        value = flag.value if flag is not None else DEFAULTS.get(name)
        if value is None or comparable(value) != comparable(demanded):
            has = f"is {value}" if flag is not None else "is not set" + (f" ({value} by default)" if value else "")
            yield Violation(
                flag.path if flag is not None else _list_of(container),
                f"--{name} {has}, and {demanded} is documented",
                container=container.name,
                obj=obj,
            )


def _group_differences(
    obj: Object,
    container: Container,
    own: tuple[Flag, ...],
    name: str,
    wanted: Mapping[str, Any],
    group: NodeGroup | None,
) -> Iterator[Violation | NotJudged]:
    if "minimum" in wanted or "maximum" in wanted:
        yield from _bounds(obj, container, own, name, wanted, group)
    for flag_name, demanded in (wanted.get("options") or {}).items():
        if group is None:
            detail = f"node group {name} is not among the inputs, so whether its tags set {flag_name} is not known"
            yield NotJudged("missing-input", detail, obj)
            continue
        option = group_option(group, flag_name)
        if option is not None:
            value, path = option
            if comparable(value) != comparable(demanded):
                message = f"{group}: {flag_name} is {value} by its tag, and {demanded} is documented"
                yield Violation(path, message, obj=group.obj)
            continue
        flag = last(own, flag_name)
        value = flag.value if flag is not None else DEFAULTS.get(flag_name, "")
        if comparable(value) != comparable(demanded):
            yield Violation(
                group.place("tags"),
                f"{group}: {flag_name} is {value}, as for every group, and {demanded} is documented for it",
                obj=group.obj,
            )


def _bounds(
    obj: Object,
    container: Container,
    own: tuple[Flag, ...],
    name: str,
    wanted: Mapping[str, Any],
    group: NodeGroup | None,
) -> Iterator[Violation | NotJudged]:
    text = f"{wanted.get('minimum', '')} to {wanted.get('maximum', '')} nodes are documented"
    ranges = node_ranges(own)
    named = [
        one
        for one in ranges
        if (is_of(one.name, group) if group else re.search(rf"(\A|-){re.escape(name)}(-|\Z)", one.name))
    ]
    for one in named:
        if (one.minimum, one.maximum) != (wanted.get("minimum", one.minimum), wanted.get("maximum", one.maximum)):
            message = f"node group {name} has {one.minimum} to {one.maximum} nodes, and {text}"
            yield Violation(one.path, message, container=container.name, obj=obj)
    if named:
        return
    asked = discovery_tags(own)
    answers = {is_discovered(group, tags) for tags in asked} if group is not None else {None} if asked else set()
    # Found by its tags, a group has its own bounds, which another rule judges.
    if True in answers:
        return
    if None in answers:
        yield NotJudged("missing-input", f"{obj.ref}: whether it finds node group {name} is not known", obj)
    else:
        flag = last(own, "nodes")
        path = flag.path if flag is not None else _list_of(container)
        yield Violation(path, f"node group {name} is not scaled, and {text}", container=container.name, obj=obj)
