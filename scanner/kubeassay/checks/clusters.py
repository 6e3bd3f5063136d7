"""Clusters and their node groups: versions, images, the control plane, zones, and what is documented of them."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubeassay.analysis.platform.node_groups import (
    REGION,
    Cluster,
    NodeGroup,
    Taint,
    clusters,
    is_cluster_config,
    kubernetes_minor,
    node_groups,
    uniform,
)
from kubeassay.analysis.reading import items, mapping, string
from kubeassay.checks.check import Context, NotApplicable, NotJudged, Passed, Said, Violation, check
from kubeassay.checks.network_common import shown
from kubeassay.model import Inventory, Object, Path

_NO_CLUSTER = "neither a ClusterConfig of eksctl nor a Node is among the inputs"


# --- versions and images ---


@check("kubernetes-version-unsupported")
def kubernetes_version_unsupported(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Control planes, and nodes, of a version that nobody supports any more."""
    found = clusters(inventory)
    if not found:
        yield NotApplicable()
        return
    for cluster in found:
        if not cluster.live:
            if cluster.minor is None:
                yield _version_unknown(cluster)
            else:
                extended = cluster.obj.get("upgradePolicy", "supportType") != "STANDARD"
                words = _unsupported(cluster.minor, context, eks=True, extended=extended)
                if words:
                    yield Violation(cluster.version_place, words, obj=cluster.obj)
                else:
                    yield Passed(cluster.obj)
            continue
        yield from _live_versions(cluster, context)


def _live_versions(cluster: Cluster, context: Context) -> Iterator[Said]:
    by_minor: dict[tuple[int, bool], list[Object]] = {}
    for group in cluster.groups:
        for node in group.nodes:
            version = string(node.get(*_KUBELET))
            minor = kubernetes_minor(version)
            if minor is not None:
                by_minor.setdefault((minor, "-eks-" in version), []).append(node)
    if not by_minor:
        yield _version_unknown(cluster)
    for (minor, eks), nodes in sorted(by_minor.items()):
        words = _unsupported(minor, context, eks=eks, extended=True)
        if words:
            more = f" ({len(nodes)} nodes)" if len(nodes) > 1 else ""
            yield Violation(_KUBELET, words + more, obj=nodes[0])
        else:
            yield Passed(nodes[0])


_KUBELET: Path = ("status", "nodeInfo", "kubeletVersion")


def _version_unknown(cluster: Cluster) -> NotJudged:
    return NotJudged(
        "missing-input", f"{cluster.obj.ref} states no version of Kubernetes that can be read", cluster.obj
    )


def _unsupported(minor: int, context: Context, *, eks: bool, extended: bool) -> str:
    """Why a version is not supported on the day that is asked about; empty where it is."""
    day = datetime.date.fromisoformat(context.parameters["as_of"])
    field = ("eks_extended" if extended and context.parameters["extended_support"] else "eks") if eks else "upstream"
    who = {"eks": "EKS (standard support)", "eks_extended": "EKS (extended support)"}.get(field, "Kubernetes")
    ends = {
        known: datetime.date.fromisoformat(dates[field])
        for text, dates in context.parameters["end_of_support"].items()
        if field in dates and (known := kubernetes_minor(text)) is not None
    }
    if minor in ends:
        return f"{who} has not supported Kubernetes 1.{minor} since {ends[minor]}" if ends[minor] < day else ""
    # Versions end in their order: one that is older than one that has ended has ended, too.
    if any(minor < known and end < day for known, end in ends.items()):
        return f"{who} does not support Kubernetes 1.{minor} any more"
    return ""


@check("node-image-unsupported")
def node_image_unsupported(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Node groups whose family of images has none at the cluster's version, or gets no more updates."""
    day = datetime.date.fromisoformat(context.parameters["as_of"])
    families: Mapping[str, Mapping[str, str]] = context.parameters["families"]
    for cluster in clusters(inventory):
        # Parts of a live group that differ in other things have one image: the first speaks for them.
        parts = {(id(whole), part.image): part for whole in cluster.groups for part in uniform(whole)[::-1]}
        for group in parts.values():
            if not group.image:
                continue
            facts = families.get(group.image)
            words = ""
            if facts is not None:
                last = kubernetes_minor(facts.get("last_version"))
                end = facts.get("end_of_support")
                if last is not None and cluster.minor is not None and cluster.minor > last and not group.live:
                    words = f"there are no {group.image} images from Kubernetes 1.{last + 1} on"
                elif end is not None and datetime.date.fromisoformat(end) < day:
                    more = f", and there are none from Kubernetes 1.{last + 1} on" if last is not None else ""
                    words = f"{group.image} images have had no updates since {end}{more}"
            if words:
                yield Violation(group.place("image"), f"{group}: {words}", obj=group.obj)
            else:
                yield Passed(group.obj)


# --- the control plane ---


@check("cluster-endpoint-open")
def cluster_endpoint_open(config: Object, context: Context) -> Iterator[Said]:
    """API servers that the whole internet can talk to."""
    if not is_cluster_config(config):
        yield NotApplicable()
        return
    # eksctl's default (SetClusterEndpointAccessDefaults): public, not private.
    if (
        config.get("vpc", "clusterEndpoints", "publicAccess") is False
        or config.get("privateCluster", "enabled") is True
    ):
        return
    stated = items(config.get("vpc", "publicAccessCIDRs"))
    if not stated:
        yield Violation(
            ("vpc", "publicAccessCIDRs"),
            "the control plane's public endpoint is open to every address: no publicAccessCIDRs are stated",
        )
    widest = context.parameters["widest_prefix"]
    for number, text in enumerate(stated):
        try:
            network = ipaddress.ip_network(string(text), strict=False)
        except ValueError:
            yield NotJudged(
                "unsupported", f"{config.ref}: {text} in publicAccessCIDRs is no block of addresses", config
            )
            continue
        if network.prefixlen < widest:
            yield Violation(
                ("vpc", "publicAccessCIDRs", number), f"the control plane's public endpoint is open to all of {text}"
            )


@check("cluster-endpoint-not-private")
def cluster_endpoint_not_private(config: Object, context: Context) -> Iterator[Said]:
    """Clusters whose nodes reach the control plane over the internet."""
    if not is_cluster_config(config):
        yield NotApplicable()
    elif (
        config.get("vpc", "clusterEndpoints", "privateAccess") is not True
        and config.get("privateCluster", "enabled") is not True
    ):
        yield Violation(
            ("vpc", "clusterEndpoints", "privateAccess"),
            "the control plane has no private endpoint, so nodes reach it over its public one",
        )


@check("control-plane-logging")
def control_plane_logging(config: Object, context: Context) -> Iterator[Said]:
    """Clusters whose control plane does not log what is demanded."""
    if not is_cluster_config(config):
        yield NotApplicable()
        return
    enabled = {string(name) for name in items(config.get("cloudWatch", "clusterLogging", "enableTypes"))}
    if enabled & {"*", "all"}:
        return
    missing = [name for name in context.parameters["types"] if name not in enabled]
    if missing:
        yield Violation(
            ("cloudWatch", "clusterLogging", "enableTypes"), f"the control plane does not log {', '.join(missing)}"
        )


@check("cluster-secrets-encryption")
def cluster_secrets_encryption(config: Object, context: Context) -> Iterator[Said]:
    """Clusters whose Secrets are not encrypted with a key of one's own."""
    if not is_cluster_config(config):
        yield NotApplicable()
    elif not string(config.get("secretsEncryption", "keyARN")):
        yield Violation(("secretsEncryption", "keyARN"), "Secrets are not encrypted with a key of the cluster's owner")


# --- node groups ---


@check("node-metadata-service-open")
def node_metadata_service_open(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Node groups whose pods reach the node's credentials at the metadata service."""
    for group in node_groups(inventory):
        if group.live:
            continue
        entry = mapping(group.obj.get(*group.path))
        # Unset, it is off or on by eksctl's version: only what is stated is certain.
        if entry.get("disableIMDSv1") is False:
            yield Violation(
                (*group.path, "disableIMDSv1"),
                f"{group} answers requests for credentials without a token",
                obj=group.obj,
            )
        elif entry.get("disablePodIMDS") is not True and context.parameters["pods"]:
            yield Violation(
                (*group.path, "disablePodIMDS"), f"pods on {group} can take the node's credentials", obj=group.obj
            )
        else:
            yield Passed(group.obj)


@check("node-groups-in-one-zone")
def node_groups_in_one_zone(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Node groups that are in fewer zones than demanded; those that are alike count together, since a group for each
    zone is a usual way to have several."""
    minimum = context.parameters["minimum_zones"]
    alike: dict[Any, list[NodeGroup]] = {}
    for group in node_groups(inventory):
        own = frozenset((key, value) for key, value in group.labels.items() if not group.live or "/" not in key)
        alike.setdefault((group.cluster, group.live, own, frozenset(group.taints)), []).append(group)
    for groups in alike.values():
        zones = {zone for group in groups for zone in group.zones}
        if any(not group.zones for group in groups):
            for group in groups:
                yield NotJudged("missing-input", f"{group}: in which zones its nodes are is not stated", group.obj)
            continue
        for group in groups:
            if len(zones) < minimum and not _alone(group):
                yield Violation(
                    group.place("zones"),
                    f"{group} is in {len(zones)} zone{'s' if len(zones) > 1 else ''} ({', '.join(sorted(zones))}),"
                    f" not in {minimum} or more",
                    obj=group.obj,
                )
            else:
                yield Passed(group.obj)


def _alone(group: NodeGroup) -> bool:
    """Whether a live group has one node now: which zones it may be in is not seen."""
    return group.live and len(group.nodes) == 1


# --- what is documented ---


@check("documented-cluster")
def documented_cluster(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Name, region, version and add-ons of the cluster against the documented ones."""
    demanded = context.parameters
    wanted = {name: demanded[name] for name in ("name", "region", "version") if demanded[name]}
    if not wanted and not demanded["addons"]:
        yield NotApplicable()
        return
    found = clusters(inventory)
    if not found:
        yield NotJudged("no-objects", _NO_CLUSTER)
    for cluster in found:
        said = list(_documented(cluster, wanted, demanded["addons"]))
        yield from said
        if not said:
            yield Passed(cluster.obj)


def _documented(cluster: Cluster, wanted: Mapping[str, str], addons: Iterable[str]) -> Iterator[Said]:
    label: Path = ("metadata", "labels")
    facts: dict[str, tuple[str, Path]] = {
        "name": (cluster.name, (*label, "alpha.eksctl.io/cluster-name") if cluster.live else ("metadata", "name")),
        "region": (cluster.region, (*label, REGION) if cluster.live else ("metadata", "region")),
        "version": (
            "" if cluster.minor is None else f"1.{cluster.minor}",
            cluster.version_place,
        ),
    }
    for name, value in wanted.items():
        has, path = facts[name]
        if name == "version":
            minor = kubernetes_minor(value)
            value = value if minor is None else f"1.{minor}"
        if not has:
            yield NotJudged("missing-input", f"{cluster.obj.ref} does not tell the cluster's {name}", cluster.obj)
        elif has != value:
            what = "version of Kubernetes" if name == "version" else name
            yield Violation(path, f"the cluster's {what} is {has}, and {value} is documented", obj=cluster.obj)
    if cluster.live:
        return
    installed = {string(mapping(addon).get("name")).lower() for addon in items(cluster.obj.get("addons"))}
    missing = [name for name in addons if name.lower() not in installed]
    if missing and cluster.obj.get("autoModeConfig", "enabled") is not True:
        words = f"documented add-ons are not installed: {', '.join(missing)}"
        yield Violation(("addons",), words, obj=cluster.obj)


@check("documented-node-groups")
def documented_node_groups(inventory: Inventory, context: Context) -> Iterator[Said]:
    """Node groups, stated or live, against the documented ones."""
    documented: Mapping[str, Mapping[str, Any]] = context.parameters["groups"]
    if not documented:
        yield NotApplicable()
        return
    found = clusters(inventory)
    if not any(cluster.groups for cluster in found):
        yield NotJudged("no-objects", f"{_NO_CLUSTER} that states node groups")
    for cluster in found:
        if not cluster.groups:
            continue
        taken: set[int] = set()
        for name, wanted in documented.items():
            group = _documented_group(cluster, name, wanted, taken)
            if group is None:
                yield _missing(cluster, name, wanted)
                continue
            taken.add(id(group))
            said = [one for part in uniform(group) for one in _differences(part, wanted)]
            yield from said
            if not said:
                yield Passed(group.obj)


def _documented_group(cluster: Cluster, name: str, wanted: Mapping[str, Any], taken: set[int]) -> NodeGroup | None:
    """The group of a documented name, else one that carries the documented labels."""
    for group in cluster.groups:
        if group.name == name:
            return group
    labels = wanted.get("labels") or {}
    for group in cluster.groups:
        if labels and id(group) not in taken and labels.items() <= group.labels.items():
            return group
    return None


def _missing(cluster: Cluster, name: str, wanted: Mapping[str, Any]) -> Said:
    if cluster.live:
        if not wanted.get("minimum"):
            detail = f"no Node of the documented node group {name} is among the inputs; it may have none now"
            return NotJudged("unknown-nodes", detail, cluster.obj)
        path: Path = ("metadata", "labels")
    else:
        path = ("managedNodeGroups",) if cluster.obj.get("managedNodeGroups") else ("nodeGroups",)
    return Violation(path, f"the documented node group {name} is missing", obj=cluster.obj, key=not cluster.live)


def _differences(group: NodeGroup, wanted: Mapping[str, Any]) -> Iterator[Violation | NotJudged]:
    def differs(field: str, has: Any, demanded: Any) -> Violation:
        text = "not stated" if has in (None, "") else has
        return Violation(
            group.place(field), f"{group}: {_WORDS[field]} is {text}, and {demanded} is documented", obj=group.obj
        )

    types = wanted.get("instance_types")
    if types is not None:
        others = [name for name in group.instance_types if name not in types]
        if others or not group.instance_types:
            yield differs("instance_types", shown(others), " or ".join(types))
    for field in ("minimum", "maximum", "desired"):
        has = getattr(group, field)
        # A live group's sizes are known to AWS alone, and what is desired there changes with the load.
        if field in wanted and not group.live and has != wanted[field]:
            yield differs(field, has, wanted[field])
    if "capacity_type" in wanted and group.capacity_type != wanted["capacity_type"]:
        if group.live and group.capacity_type is None:
            yield NotJudged("missing-input", f"{group}: its nodes do not tell how they are bought", group.obj)
        else:
            yield differs("capacity_type", group.capacity_type or "mixed", wanted["capacity_type"])
    if "image" in wanted and group.image != wanted["image"]:
        if not group.image:
            yield NotJudged("missing-input", f"{group} does not tell its family of images", group.obj)
        else:
            yield differs("image", group.image, wanted["image"])
    if "disk" in wanted and not group.live and (group.disk is None or group.disk < wanted["disk"]):
        yield differs("disk", None if group.disk is None else f"{group.disk} GiB", f"{wanted['disk']} GiB")
    yield from _label_differences(group, wanted.get("labels") or {})
    if "taints" in wanted:
        yield from _taint_differences(group, wanted)


_WORDS = {
    "instance_types": "the instance type",
    "minimum": "the least size",
    "maximum": "the greatest size",
    "desired": "the desired size",
    "capacity_type": "the capacity type",
    "image": "the family of images",
    "disk": "the volume",
}


def _label_differences(group: NodeGroup, labels: Mapping[str, str]) -> Iterator[Violation]:
    for key, value in labels.items():
        has = group.labels.get(key)
        if has != value:
            words = f"is {has}" if has is not None else "is missing"
            message = f"{group}: label {key} {words}, and {key}={value} is documented"
            yield Violation(group.label_place(key), message, obj=group.obj)


def _taint_differences(group: NodeGroup, wanted: Mapping[str, Any]) -> Iterator[Violation]:
    documented = [Taint(one["key"], one.get("value", ""), one["effect"], ()) for one in wanted["taints"]]
    # What a group is for is said by its labels: a missing taint is missed where they are.
    keys = [key for key in wanted.get("labels") or {} if key in group.labels]
    for taint in documented:
        if taint in group.taints:
            continue
        other = next((one for one in group.taints if one.key == taint.key), None)
        if other is not None:
            message = f"{group} has taint {other}, and {taint} is documented"
            yield Violation(other.path, message, obj=group.obj)
        else:
            place = group.label_place(keys[0] if keys else None)
            yield Violation(place, f"{group} lacks the documented taint {taint}", obj=group.obj)
    known = {taint.key for taint in documented}
    for taint in group.taints:
        if taint.key not in known:
            yield Violation(taint.path, f"{group} has taint {taint}, which is not documented", obj=group.obj)
