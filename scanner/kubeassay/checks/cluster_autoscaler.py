"""The Cluster Autoscaler: its version, its node groups, and its documented settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from kubeassay.analysis.platform.node_groups import NodeGroup, clusters, kubernetes_minor, node_groups
from kubeassay.analysis.reading import string
from kubeassay.analysis.workloads import Container
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.images import parse_image
from kubeassay.checks.scheduling import autoscaler_container
from kubeassay.model import Inventory, Object, Path


@dataclass(frozen=True, slots=True)
class _Autoscaler:
    """A Cluster Autoscaler: the object that makes its pod, and its container."""

    obj: Object
    container: Container

    @property
    def flags_path(self) -> Path:
        """Where its flags stand, or would."""
        return (*self.container.path, "args" if self.container.spec.get("args") else "command")

    def violation(self, path: Path, message: str, *related: tuple[str, Object, Path]) -> Violation:
        return Violation(path, message, container=self.container.name, obj=self.obj, related=related)


def _autoscalers(inventory: Inventory) -> Iterator[_Autoscaler]:
    for workload in workloads(inventory):
        container = None if workload.template is None else autoscaler_container(workload.template)
        if container is not None:
            yield _Autoscaler(workload.obj, container)


def _readable(inventory: Inventory) -> Iterator[tuple[_Autoscaler, tuple[Flag, ...]] | NotJudged]:
    """Those with their flags, as far as these can be read."""
    for one in _autoscalers(inventory):
        if is_readable(one.container):
            yield one, flags(one.container)
        else:
            words = f"{one.obj.ref}: its flags are not words of its command that can be read"
            yield NotJudged("unsupported", words, one.obj)


@check("cluster-autoscaler-version")
def cluster_autoscaler_version(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Cluster Autoscalers that are of another minor version than the cluster."""
    minors = {cluster.minor for cluster in clusters(inventory)}
    for one in _autoscalers(inventory):
        obj, container = one.obj, one.container
        own = kubernetes_minor(parse_image(string(container.spec.get("image"))).tag)
        if not minors or None in minors:
            yield NotJudged("missing-input", f"{obj.ref}: which version the cluster has is not known", obj)
        elif own is None:
            yield NotJudged("missing-input", f"{obj.ref}: the image's tag does not tell its version", obj)
        elif own in minors:
            # Of several clusters it is that of one of them.
            yield Passed(obj)
        else:
            versions = " and ".join(f"1.{minor}" for minor in sorted(minor for minor in minors if minor is not None))
            words = f"Cluster Autoscaler 1.{own} is for Kubernetes 1.{own}, and the cluster is {versions}"
            yield one.violation((*container.path, "image"), words)


@check("cluster-autoscaler-node-groups")
def cluster_autoscaler_node_groups(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Bounds that a Cluster Autoscaler has for node groups, against the groups' own."""
    groups = [group for group in node_groups(inventory) if not group.live]
    if not groups:
        yield NotApplicable()
        return
    for found in _readable(inventory):
        if isinstance(found, NotJudged):
            yield found
            continue
        autoscaler, own = found
        judged, clean = False, True
        for one in node_ranges(own):
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
                clean = False
                words = f"{group}: {', and '.join(wrong)}"
                yield autoscaler.violation(one.path, words, (str(group), group.obj, group.path))
        if judged and clean:
            yield Passed(autoscaler.obj)


def _group_of(name: str, groups: list[NodeGroup]) -> NodeGroup | None:
    """The node group that an Auto Scaling group belongs to: of several whose names are in it, the longest name's."""
    found = [group for group in groups if is_of(name, group.name)]
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
    readable = list(_readable(inventory))
    if not readable:
        yield NotJudged("no-objects", "no Cluster Autoscaler is among the inputs")
    groups = {group.name: group for group in node_groups(inventory) if not group.live}
    for found in readable:
        if isinstance(found, NotJudged):
            yield found
            continue
        one, own = found
        said: list[Violation | NotJudged] = [*_flag_differences(one, own, settings)]
        for name, wanted in documented.items():
            if "minimum" in wanted or "maximum" in wanted:
                said += _bounds(one, own, name, wanted, groups.get(name))
            said += _options(one, own, name, wanted.get("options") or {}, groups.get(name))
        yield from said
        if not said:
            yield Passed(one.obj)


def _flag_differences(one: _Autoscaler, own: tuple[Flag, ...], settings: Mapping[str, Any]) -> Iterator[Violation]:
    for name, demanded in settings.items():
        flag = last(own, name)
        value = flag.value if flag is not None else DEFAULTS.get(name)
        if value is None or comparable(value) != comparable(demanded):
            has = f"is {value}" if flag is not None else "is not set" + (f" ({value} by default)" if value else "")
            path = flag.path if flag is not None else one.flags_path
            yield one.violation(path, f"--{name} {has}, and {demanded} is documented")


def _options(
    one: _Autoscaler, own: tuple[Flag, ...], name: str, options: Mapping[str, Any], group: NodeGroup | None
) -> Iterator[Violation | NotJudged]:
    for flag_name, demanded in options.items():
        if group is None:
            detail = f"node group {name} is not among the inputs, so whether its tags set {flag_name} is not known"
            yield NotJudged("missing-input", detail, one.obj)
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
    one: _Autoscaler, own: tuple[Flag, ...], name: str, wanted: Mapping[str, Any], group: NodeGroup | None
) -> Iterator[Violation | NotJudged]:
    text = f"{wanted.get('minimum', '')} to {wanted.get('maximum', '')} nodes are documented"
    named = [of for of in node_ranges(own) if is_of(of.name, name)]
    for of in named:
        if (of.minimum, of.maximum) != (wanted.get("minimum", of.minimum), wanted.get("maximum", of.maximum)):
            yield one.violation(of.path, f"node group {name} has {of.minimum} to {of.maximum} nodes, and {text}")
    if named:
        return
    asked = discovery_tags(own)
    answers = {is_discovered(group, tags) for tags in asked} if group is not None else {None} if asked else set()
    # Found by its tags, a group has its own bounds, which another rule judges.
    if True in answers:
        return
    if None in answers:
        yield NotJudged("missing-input", f"{one.obj.ref}: whether it finds node group {name} is not known", one.obj)
    else:
        flag = last(own, "nodes")
        path = flag.path if flag is not None else one.flags_path
        yield one.violation(path, f"node group {name} is not scaled, and {text}")
