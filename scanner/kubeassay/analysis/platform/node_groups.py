"""Clusters and their node groups, stated by an eksctl ClusterConfig or seen in the Nodes of a live cluster.

Sources: eksctl, pkg/apis/eksctl.io/v1alpha5 (types.go, defaults.go, vpc.go; managedNodeGroups and nodeGroups); labels:
Kubernetes, Well-Known Labels, Annotations and Taints; Amazon EKS, Managed node group capacity types; taints that tell
the state of a node, not its purpose: k8s.io/api core/v1 well_known_taints.go, cluster-autoscaler utils/taints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

from kubeassay.analysis.platform.instance_types import architecture, machine
from kubeassay.analysis.quantity import parse_quantity
from kubeassay.analysis.reading import items, mapping, string, whole
from kubeassay.analysis.selectors import labels_of
from kubeassay.model import Inventory, Object, Path

ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
HOSTNAME = "kubernetes.io/hostname"
CAPACITY_TYPE = "eks.amazonaws.com/capacityType"
_EKS_GROUP = "eks.amazonaws.com/nodegroup"
_EKSCTL_GROUP = "alpha.eksctl.io/nodegroup-name"
_EKSCTL_CLUSTER = "alpha.eksctl.io/cluster-name"

#: Labels by which providers tell which group a node belongs to, the most telling first.
_GROUP_LABELS = (
    _EKS_GROUP,
    _EKSCTL_GROUP,
    "karpenter.sh/nodepool",
    "karpenter.sh/provisioner-name",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "kops.k8s.io/instancegroup",
)

#: Taints that tell the state of a node; controllers set and remove them.
_STATE_TAINTS = re.compile(
    r"node\.kubernetes\.io/|node\.cloudprovider\.kubernetes\.io/|ToBeDeletedByClusterAutoscaler\Z"
    r"|DeletionCandidateOfClusterAutoscaler\Z|karpenter\.sh/(disrupted|disruption|unregistered)\Z"
)

#: Kinds (with their API groups) of which controllers make nodes.
_NODE_MAKERS = (
    ("NodePool", "karpenter.sh"),
    ("Provisioner", "karpenter.sh"),
    ("MachineDeployment", "cluster.x-k8s.io"),
    ("MachinePool", "cluster.x-k8s.io"),
    ("MachineSet", "machine.openshift.io"),
)
#: Domains of labels that Kubernetes, providers and drivers give nodes.
_SYSTEM_DOMAINS = ("kubernetes.io", "k8s.io", "k8s.aws", "amazonaws.com", "eksctl.io", "csi.aws.com")

CapacityType = Literal["on-demand", "spot"]


@dataclass(frozen=True, slots=True)
class Taint:
    """``path``: from the root of the object that states it."""

    key: str
    value: str
    effect: str
    path: Path = field(compare=False)

    def __str__(self) -> str:
        return f"{self.key}{f'={self.value}' if self.value else ''}:{self.effect}"


@dataclass(frozen=True, slots=True)
class NodeShape:
    """Nodes that are alike to the scheduler.

    ``labels``: those that all of them carry. ``choices``: labels of which each node carries one of some values.
    ``names``: of the nodes; None where they are not known. ``user_labels``: labels that only those who run the cluster
    set, so that a node which does not state one lacks it; None where all labels are known. ``more_labels``: whether
    nodes may have labels of any key besides (a launch template's user data gives the kubelet its own). ``resources``:
    what is known of them; ``exhaustive``: whether a node lacks what is not among them, and can be requested in full.
    """

    labels: Mapping[str, str]
    choices: Mapping[str, frozenset[str]]
    names: frozenset[str] | None
    user_labels: frozenset[str] | None
    taints: tuple[Taint, ...]
    resources: Mapping[str, Fraction]
    exhaustive: bool
    more_labels: bool = False
    #: Single labels that may be there or not.
    unsure: frozenset[str] = frozenset()

    def is_unknown(self, label: str) -> bool:
        """Whether it is not known if the nodes carry a label, or with which value.

        Kubernetes leaves keys without a prefix to users; what adds labels by itself uses one (Labels and Selectors,
        Syntax and character set).
        """
        if label in self.labels or label in self.choices or self.user_labels is None:
            return False
        return self.more_labels or label in self.unsure or ("/" in label and label not in self.user_labels)


@dataclass(frozen=True, slots=True, eq=False)
class NodeGroup:
    """Nodes made alike. ``obj`` and ``path``: the ClusterConfig and its entry, or the first Node and ().

    What is None, or empty, is not stated. ``places``: field of this class → where it stands, or would stand.
    ``disk``: GiB. ``image``: the family as eksctl names it (``AmazonLinux2``). ``tags``: of the Auto Scaling group.
    """

    name: str
    cluster: str
    obj: Object
    path: Path
    live: bool
    managed: bool
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    instance_types: tuple[str, ...]
    zones: tuple[str, ...]
    minimum: int | None
    maximum: int | None
    desired: int | None
    capacity_type: CapacityType | None
    image: str
    disk: int | None
    tags: Mapping[str, str]
    shapes: tuple[NodeShape, ...]
    places: Mapping[str, Path]
    nodes: tuple[Object, ...] = ()

    def __str__(self) -> str:
        return f"node group {self.name}"

    def place(self, name: str) -> Path:
        """Where a field stands, or would stand."""
        return self.places.get(name, self.path)

    def label_place(self, key: str | None = None) -> Path:
        path = self.place("labels")
        return path if key is None or key not in self.labels else (*path, key)


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """A cluster: stated by a ClusterConfig, or the one whose Nodes are among the inputs. ``minor``: of the control
    plane's version; of live Nodes, the newest kubelet's; None where it is not stated. ``place``: where that stands."""

    name: str
    region: str
    minor: int | None
    obj: Object
    version_place: Path
    groups: tuple[NodeGroup, ...]
    live: bool
    #: Why nodes may be there, or come, of which no group among the inputs tells; empty: nothing says so.
    elsewhere: str
    #: Selectors of Fargate profiles: (pattern of a namespace, labels).
    fargate: tuple[tuple[str, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class _Clusters:
    clusters: tuple[Cluster, ...]


def clusters(inventory: Inventory) -> tuple[Cluster, ...]:
    """The clusters among the inputs: one for each name of a ClusterConfig in reading order, then that of the Nodes."""
    found: _Clusters | None = inventory.facts.get(_Clusters)
    if found is None:
        found = inventory.facts[_Clusters] = _Clusters(tuple(_find(inventory)))
    return found.clusters


def node_groups(inventory: Inventory) -> tuple[NodeGroup, ...]:
    """The node groups of all clusters."""
    return tuple(group for cluster in clusters(inventory) for group in cluster.groups)


def cluster_configs(inventory: Inventory) -> list[Object]:
    """The ClusterConfigs of eksctl, in reading order."""
    return [obj for obj in inventory.of_kind("ClusterConfig") if is_cluster_config(obj)]


def is_cluster_config(obj: Object) -> bool:
    """Whether an object is a ClusterConfig of eksctl: kubeadm and others have a kind of a similar name."""
    return obj.ref.kind == "ClusterConfig" and obj.ref.group == "eksctl.io"


def kubernetes_minor(value: Any) -> int | None:
    """The minor version that ``1.28``, ``v1.28.3-eks-4f4795d`` or the number 1.28 names; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        # eksctl refuses a number; that it is meant as a version is plain all the same, but 1.30 is 1.3 by then.
        return None
    match = re.match(r"v?1\.([0-9]{1,3})(?:[.+-]|\Z)", string(value))
    return int(match[1]) if match else None


def _find(inventory: Inventory) -> Iterator[Cluster]:
    elsewhere = _elsewhere(inventory)
    #: A group may be declared in a file of its own, with the cluster's name.
    by_name: dict[str, list[Object]] = {}
    for obj in cluster_configs(inventory):
        by_name.setdefault(obj.ref.name, []).append(obj)
    for name, configs in by_name.items():
        user_labels = frozenset(
            key
            for obj in configs
            for _, entry, _ in _entries(obj)
            for key in labels_of({"metadata": {"labels": entry.get("labels")}})
        )
        main = next((obj for obj in configs if obj.get("metadata", "version") is not None), configs[0])
        yield Cluster(
            name=name,
            region=string(main.get("metadata", "region")),
            minor=kubernetes_minor(main.get("metadata", "version")),
            obj=main,
            version_place=("metadata", "version"),
            groups=tuple(group for obj in configs for group in _groups_of(obj, user_labels)),
            live=False,
            elsewhere=elsewhere or next((reason for obj in configs if (reason := _makes_nodes(obj))), ""),
            fargate=tuple(profile for obj in configs for profile in _fargate(obj)),
        )
    nodes = [node for node in inventory.of_kind("Node", "") if not _is_virtual(node)]
    if nodes:
        yield _live(inventory, nodes, elsewhere)


def _elsewhere(inventory: Inventory) -> str:
    for kind, group in _NODE_MAKERS:
        for obj in inventory.of_kind(kind, group):
            return f"{obj.ref} makes nodes"
    return ""


def _makes_nodes(config: Object) -> str:
    if config.get("autoModeConfig", "enabled") is True:
        return f"{config.ref} has EKS Auto Mode make nodes"
    if isinstance(config.get("karpenter"), dict):
        return f"{config.ref} installs Karpenter, which makes nodes"
    return ""


def _fargate(config: Object) -> Iterator[tuple[str, Mapping[str, str]]]:
    for profile in items(config.get("fargateProfiles")):
        for selector in items(mapping(profile).get("selectors")):
            selector = mapping(selector)
            yield string(selector.get("namespace")), labels_of({"metadata": {"labels": selector.get("labels")}})


# --- eksctl ---


def _entries(config: Object) -> Iterator[tuple[Path, Mapping[str, Any], bool]]:
    for kind, managed in (("managedNodeGroups", True), ("nodeGroups", False)):
        for number, entry in enumerate(items(config.get(kind))):
            if isinstance(entry, dict):
                yield (kind, number), entry, managed


def _groups_of(config: Object, user_labels: frozenset[str]) -> Iterator[NodeGroup]:
    for path, entry, managed in _entries(config):
        yield _stated_group(config, path, entry, managed, user_labels)


#: eksctl's DefaultNodeVolumeSize, in GiB; a launch template brings its own.
_VOLUME_SIZE = 80
#: Field of NodeGroup → field of eksctl.
_FIELDS: Mapping[str, str] = {
    "minimum": "minSize",
    "maximum": "maxSize",
    "desired": "desiredCapacity",
    "image": "amiFamily",
    "disk": "volumeSize",
    "labels": "labels",
    "taints": "taints",
    "tags": "tags",
    "name": "name",
}


def _stated_group(
    config: Object, path: Path, entry: Mapping[str, Any], managed: bool, user_labels: frozenset[str]
) -> NodeGroup:
    name = string(entry.get("name"))
    cluster = config.ref.name
    types, types_at = _instance_types(entry)
    zones, zones_at = _zones(config, path, entry)
    capacity, capacity_at = _capacity_type(entry, managed)
    image = string(entry.get("amiFamily"))
    labels = labels_of({"metadata": {"labels": entry.get("labels")}})
    taints = tuple(_taints(entry.get("taints"), (*path, "taints")))
    places = {name: (*path, field) for name, field in _FIELDS.items()}
    places.update(instance_types=(*path, *types_at), zones=zones_at, capacity_type=(*path, *capacity_at))
    group = NodeGroup(
        name=name,
        cluster=cluster,
        obj=config,
        path=path,
        live=False,
        managed=managed,
        labels=labels,
        taints=taints,
        instance_types=types,
        zones=zones,
        minimum=whole(entry.get("minSize")),
        maximum=whole(entry.get("maxSize")),
        desired=whole(entry.get("desiredCapacity")),
        capacity_type=capacity,
        image=image,
        disk=whole(entry.get("volumeSize", None if "launchTemplate" in entry else _VOLUME_SIZE)),
        tags=labels_of({"metadata": {"labels": entry.get("tags")}}),
        shapes=(),
        places=places,
    )
    # Each brings a kubelet's command of its own, which may state more labels.
    more = entry.get("launchTemplate") is not None or bool(entry.get("overrideBootstrapCommand"))
    return _with_shapes(group, string(config.get("metadata", "region")), user_labels, more_labels=more)


def _with_shapes(group: NodeGroup, region: str, user_labels: frozenset[str], *, more_labels: bool) -> NodeGroup:
    """A group of eksctl with one shape for each instance type (at most as many as EKS takes, or one of unknown)."""
    system = {
        _EKSCTL_CLUSTER: group.cluster,
        _EKSCTL_GROUP: group.name,
        "kubernetes.io/os": "windows" if group.image.startswith("Windows") else "linux",
        "beta.kubernetes.io/os": "windows" if group.image.startswith("Windows") else "linux",
    }
    if group.managed:
        system[_EKS_GROUP] = group.name
        if group.capacity_type is not None:
            system[CAPACITY_TYPE] = "SPOT" if group.capacity_type == "spot" else "ON_DEMAND"
    if region:
        system[REGION] = system["failure-domain.beta.kubernetes.io/region"] = region
    choices: dict[str, frozenset[str]] = {}
    if group.zones:
        choices[ZONE] = choices["failure-domain.beta.kubernetes.io/zone"] = frozenset(group.zones)
    shapes: list[NodeShape] = []
    for instance_type in dict.fromkeys(group.instance_types or ("",)):
        labels = dict(system)
        resources: dict[str, Fraction] = {}
        if group.disk is not None:
            resources["ephemeral-storage"] = Fraction(group.disk * 2**30)
        if instance_type:
            labels[INSTANCE_TYPE] = labels["beta.kubernetes.io/instance-type"] = instance_type
            arch = architecture(instance_type)
            if arch is not None:
                labels["kubernetes.io/arch"] = labels["beta.kubernetes.io/arch"] = arch
            known = machine(instance_type)
            if known is not None:
                resources.update(cpu=known.cpu, memory=known.memory)
        shapes.append(
            NodeShape(
                labels={**labels, **group.labels},
                choices=choices,
                names=None,
                user_labels=user_labels,
                taints=group.taints,
                resources=resources,
                exhaustive=False,
                more_labels=more_labels,
                # eksctl's own bootstrap scripts set it, those of newer images do not.
                unsure=frozenset() if group.managed else frozenset({"node-lifecycle"}),
            )
        )
    return replace(group, shapes=tuple(shapes))


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(member for member in items(value) if isinstance(member, str) and member)


def _instance_types(entry: Mapping[str, Any]) -> tuple[tuple[str, ...], Path]:
    mixed = _strings(mapping(entry.get("instancesDistribution")).get("instanceTypes"))
    if mixed:
        return mixed, ("instancesDistribution", "instanceTypes")
    several = _strings(entry.get("instanceTypes"))
    if several:
        return several, ("instanceTypes",)
    one = string(entry.get("instanceType"))
    if one and one != "mixed":
        return (one,), ("instanceType",)
    # Chosen by an instanceSelector or a launchTemplate, or eksctl's default, which depends on its version.
    return (), ("instanceTypes",)


def _zones(config: Object, path: Path, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], Path]:
    own = _strings(entry.get("availabilityZones"))
    if own or entry.get("subnets"):
        return own, (*path, "availabilityZones")
    local = _strings(entry.get("localZones"))
    if local:
        return local, (*path, "localZones")
    stated = _strings(config.get("availabilityZones"))
    if stated:
        return stated, ("availabilityZones",)
    kind = "private" if entry.get("privateNetworking") is True else "public"
    subnets = mapping(config.get("vpc", "subnets", kind))
    # The key is the zone, unless the entry says which it is.
    named = [string(mapping(subnet).get("az")) or zone for zone, subnet in subnets.items()]
    if named and all(re.match(r"[a-z]+(-[a-z]+)+-[0-9][a-z]\Z", zone) for zone in named):
        return tuple(dict.fromkeys(named)), ("vpc", "subnets", kind)
    return (), (*path, "availabilityZones")


def _capacity_type(entry: Mapping[str, Any], managed: bool) -> tuple[CapacityType | None, Path]:
    if managed:
        return ("spot" if entry.get("spot") is True else "on-demand"), ("spot",)
    distribution = entry.get("instancesDistribution")
    if not isinstance(distribution, dict):
        return "on-demand", ("instancesDistribution",)
    # Above the base, all on demand is the default of EC2 Auto Scaling.
    share = distribution.get("onDemandPercentageAboveBaseCapacity", 100)
    place: Path = ("instancesDistribution", "onDemandPercentageAboveBaseCapacity")
    if share == 100:
        return "on-demand", place
    return ("spot" if share == 0 and not distribution.get("onDemandBaseCapacity") else None), place


def _taints(value: Any, path: Path) -> Iterator[Taint]:
    if isinstance(value, dict):
        # The older form of nodeGroups: {key: "value:effect"}.
        for key, text in value.items():
            stated, _, effect = string(text).rpartition(":")
            yield Taint(key, stated, effect, (*path, key))
        return
    for number, taint in enumerate(items(value)):
        taint = mapping(taint)
        yield Taint(string(taint.get("key")), string(taint.get("value")), string(taint.get("effect")), (*path, number))


# --- live ---


def _is_virtual(node: Object) -> bool:
    """Whether a Node is made for one pod (Fargate), or stands for another cluster (virtual-kubelet)."""
    labels = labels_of(node.value)
    return labels.get("eks.amazonaws.com/compute-type") == "fargate" or labels.get("type") == "virtual-kubelet"


def _live(inventory: Inventory, nodes: Sequence[Object], elsewhere: str) -> Cluster:
    newest: tuple[int, Object] | None = None
    for node in nodes:
        minor = kubernetes_minor(node.get("status", "nodeInfo", "kubeletVersion"))
        if minor is not None and (newest is None or minor > newest[0]):
            newest = (minor, node)
    first = labels_of(nodes[0].value)
    members: dict[Any, list[Object]] = {}
    for node in nodes:
        members.setdefault(_group_key(node), []).append(node)
    virtual = next((node for node in inventory.of_kind("Node", "") if _is_virtual(node)), None)
    return Cluster(
        name=first.get(_EKSCTL_CLUSTER, ""),
        region=first.get(REGION, ""),
        minor=newest[0] if newest else None,
        obj=newest[1] if newest else nodes[0],
        version_place=("status", "nodeInfo", "kubeletVersion"),
        groups=tuple(_live_group(group) for group in members.values()),
        live=True,
        elsewhere=elsewhere or (f"{virtual.ref} was made for a pod" if virtual is not None else ""),
        fargate=(),
    )


def _group_key(node: Object) -> Any:
    labels = labels_of(node.value)
    for key in _GROUP_LABELS:
        if labels.get(key):
            return key, labels[key]
    return _marks(node)


def _marks(node: Object) -> tuple[frozenset[tuple[str, str]], frozenset[Taint]]:
    """The labels and taints that those who run the cluster gave a node."""
    own = frozenset((key, value) for key, value in labels_of(node.value).items() if _is_own(key))
    return own, frozenset(_lasting(node))


def _is_own(label: str) -> bool:
    """Whether those who run the cluster give nodes this label, as far as its name tells."""
    prefix, slash, _ = label.rpartition("/")
    return not slash or prefix == "node-role.kubernetes.io" or not prefix.endswith(_SYSTEM_DOMAINS)


def _lasting(node: Object) -> Iterator[Taint]:
    for taint in _taints(node.get("spec", "taints"), ("spec", "taints")):
        if not _STATE_TAINTS.match(taint.key):
            yield taint


def _live_group(nodes: Sequence[Object]) -> NodeGroup:
    first = nodes[0]
    labels = [labels_of(node.value) for node in nodes]
    common = {key: value for key, value in labels[0].items() if all(other.get(key) == value for other in labels)}
    types = tuple(sorted({own[INSTANCE_TYPE] for own in labels if own.get(INSTANCE_TYPE)}))
    capacity = {own.get(CAPACITY_TYPE, own.get("karpenter.sh/capacity-type", "")) for own in labels}
    kind: CapacityType | None = None
    if capacity and all(capacity):
        words = {word.lower().replace("_", "-") for word in capacity}
        kind = "spot" if words == {"spot"} else "on-demand" if words == {"on-demand"} else None
    key = _group_key(first)
    named = isinstance(key[0], str)
    place: Path = ("metadata", "labels")
    return NodeGroup(
        name=key[1] if named else first.ref.name,
        cluster=common.get(_EKSCTL_CLUSTER, ""),
        obj=first,
        path=(),
        live=True,
        managed=_EKS_GROUP in labels[0],
        labels=common,
        taints=tuple(_lasting(first)),
        instance_types=types,
        zones=tuple(sorted({own[ZONE] for own in labels if own.get(ZONE)})),
        minimum=None,
        maximum=None,
        desired=None,
        capacity_type=kind,
        image=_image(string(first.get("status", "nodeInfo", "osImage"))),
        disk=None,
        tags={},
        shapes=tuple(_live_shapes(nodes)),
        places={
            "labels": place,
            "taints": ("spec", "taints"),
            "zones": (*place, ZONE),
            "instance_types": (*place, INSTANCE_TYPE),
            "capacity_type": (*place, CAPACITY_TYPE),
            "image": ("status", "nodeInfo", "osImage"),
            "name": (*place, key[0]) if named else ("metadata", "name"),
        },
        nodes=tuple(nodes),
    )


def _image(os_image: str) -> str:
    """The family as eksctl names it, of what a node says of its operating system; the text itself for others."""
    for words, family in (
        ("Amazon Linux 2023", "AmazonLinux2023"),
        ("Amazon Linux 2", "AmazonLinux2"),
        ("Bottlerocket OS", "Bottlerocket"),
        ("Ubuntu 18.04", "Ubuntu1804"),
        ("Ubuntu 20.04", "Ubuntu2004"),
        ("Ubuntu 22.04", "Ubuntu2204"),
        ("Ubuntu 24.04", "Ubuntu2404"),
    ):
        if os_image.startswith(words):
            return family
    return os_image


def _live_shapes(nodes: Iterable[Object]) -> Iterator[NodeShape]:
    """One shape for nodes that differ in nothing but their names."""
    alike: dict[Any, list[Object]] = {}
    for node in nodes:
        labels = frozenset((key, value) for key, value in labels_of(node.value).items() if not _is_of_one_node(key))
        taints = tuple(_lasting(node))
        resources = frozenset(_resources(node).items())
        alike.setdefault((labels, taints, resources), []).append(node)
    for (labels, taints, resources), members in alike.items():
        choices: dict[str, set[str]] = {}
        for node in members:
            for key, value in labels_of(node.value).items():
                if _is_of_one_node(key):
                    choices.setdefault(key, set()).add(value)
        yield NodeShape(
            labels=dict(labels),
            choices={key: frozenset(values) for key, values in choices.items()},
            names=frozenset(node.ref.name for node in members),
            user_labels=None,
            taints=taints,
            resources=dict(resources),
            exhaustive=bool(resources),
        )


def uniform(group: NodeGroup) -> tuple[NodeGroup, ...]:
    """The parts of a live group whose nodes are alike in what a group states: a node that was made before a change, or
    changed by hand, is one of another part. A stated group is one part."""
    if not group.live:
        return (group,)
    parts: dict[Any, list[Object]] = {}
    for node in group.nodes:
        image = _image(string(node.get("status", "nodeInfo", "osImage")))
        parts.setdefault((_marks(node), image, labels_of(node.value).get(CAPACITY_TYPE)), []).append(node)
    return tuple(_live_group(nodes) for nodes in parts.values())


def _is_of_one_node(label: str) -> bool:
    return label in (HOSTNAME, "alpha.eksctl.io/instance-id")


def _resources(node: Object) -> Mapping[str, Fraction]:
    """What pods on a node can request in all."""
    stated = mapping(node.get("status", "allocatable")) or mapping(node.get("status", "capacity"))
    return {name: amount for name, text in stated.items() if (amount := parse_quantity(text)) is not None}
