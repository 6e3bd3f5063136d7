"""Fit of pods on node groups that are stated: what is known of their nodes, and what is not."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import objects_in
from kubeassay.analysis.platform.instance_types import architecture, machine
from kubeassay.analysis.platform.node_groups import NodeGroup, NodeShape, node_groups
from kubeassay.analysis.platform.scheduling import Placement, joined, placement
from kubeassay.model import Inventory

CONFIG = """
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: shop, region: eu-central-1, version: "1.34"}
availabilityZones: [eu-central-1a, eu-central-1b]
managedNodeGroups:
  - name: general
    instanceTypes: [m5.large, m6g.xlarge]
    labels: {workload: general, acme.example/pool: general}
  - name: data
    instanceType: r5.large
    spot: true
    labels: {workload: data}
    taints: [{key: data, value: "true", effect: NoSchedule}, {key: soft, effect: PreferNoSchedule}]
nodeGroups:
  - name: own
    amiFamily: WindowsServer2022FullContainer
    taints: {own: "yes:NoExecute"}
"""


def groups_of(text: str) -> dict[str, NodeGroup]:
    return {group.name: group for group in node_groups(Inventory(objects_in(text)))}


GROUPS = groups_of(CONFIG)


def fits(group: str, pod: Placement) -> bool | None:
    return joined(pod.on(shape) for shape in GROUPS[group].shapes)


@pytest.mark.parametrize(
    ("group", "label", "value", "expected"),
    [
        ("general", "workload", "general", True),
        ("general", "workload", "data", False),
        # A key without a prefix is its users' own: what the group does not state, its nodes lack.
        ("general", "disktype", "ssd", False),
        # One with a prefix may come from a device plug-in.
        ("general", "nvidia.com/gpu.present", "true", None),
        # But not where a group of the same cluster states it.
        ("data", "acme.example/pool", "general", False),
        ("general", "kubernetes.io/os", "linux", True),
        ("general", "kubernetes.io/os", "windows", False),
        ("own", "kubernetes.io/os", "windows", False),  # tainted
        ("general", "kubernetes.io/arch", "arm64", True),
        ("data", "kubernetes.io/arch", "arm64", False),
        ("general", "node.kubernetes.io/instance-type", "m5.large", True),
        ("general", "node.kubernetes.io/instance-type", "m5.xlarge", False),
        ("general", "topology.kubernetes.io/zone", "eu-central-1b", True),
        ("general", "topology.kubernetes.io/zone", "eu-central-1c", False),
        ("general", "topology.kubernetes.io/region", "eu-central-1", True),
        ("general", "topology.kubernetes.io/region", "us-east-1", False),
        ("general", "eks.amazonaws.com/capacityType", "ON_DEMAND", True),
        ("general", "eks.amazonaws.com/capacityType", "SPOT", False),
        ("general", "eks.amazonaws.com/nodegroup", "general", True),
        ("general", "alpha.eksctl.io/cluster-name", "shop", True),
        ("general", "kubernetes.io/hostname", "ip-10-0-0-1", None),
        ("general", "topology.ebs.csi.aws.com/zone", "eu-central-1a", None),
    ],
)
def test_labels_that_are_known_absent_and_unknown(group: str, label: str, value: str, expected: bool | None) -> None:
    assert fits(group, placement({"nodeSelector": {label: value}})) is expected


def test_requirements_hold_for_one_node_together() -> None:
    selector = {"kubernetes.io/arch": "arm64", "node.kubernetes.io/instance-type": "m5.large"}
    assert fits("general", placement({"nodeSelector": selector})) is False
    between = {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "topology.kubernetes.io/zone", "operator": "NotIn", "values": [zone]}
                        for zone in ("eu-central-1a", "eu-central-1b")
                    ]
                }
            ]
        }
    }
    assert fits("general", placement({"affinity": {"nodeAffinity": between}})) is False


def test_unknown_labels_that_no_value_can_fulfil() -> None:
    terms = [{"matchExpressions": [{"key": "a.example/b", "operator": o} for o in ("Exists", "DoesNotExist")]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert fits("general", placement({"affinity": affinity})) is False


def test_taints_of_both_forms_and_effects() -> None:
    assert fits("data", placement({})) is False
    assert fits("data", placement({"tolerations": [{"key": "data", "operator": "Exists"}]})) is True
    assert fits("own", placement({"tolerations": [{"key": "own", "value": "yes", "effect": "NoSchedule"}]})) is False
    assert fits("own", placement({"tolerations": [{"key": "own", "value": "yes", "effect": "NoExecute"}]})) is True


def test_a_daemon_set_tolerates_the_states_of_nodes() -> None:
    text = "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: {taints: [{key: %s, effect: NoSchedule}]}\n"
    # A state is no property of the group, so it is left out of what is judged.
    (state,) = groups_of(text % "node.kubernetes.io/disk-pressure").values()
    assert state.taints == ()
    pod = placement({}, kind="DaemonSet")
    keys = {(one.key, one.effect) for one in pod.tolerations}
    assert ("node.kubernetes.io/disk-pressure", "NoSchedule") in keys
    assert ("node.kubernetes.io/network-unavailable", "NoSchedule") not in keys
    host = placement({"hostNetwork": True}, kind="DaemonSet")
    assert ("node.kubernetes.io/network-unavailable", "NoSchedule") in {
        (one.key, one.effect) for one in host.tolerations
    }


def requesting(**requests: str) -> Placement:
    return placement({"containers": [{"name": "a", "resources": {"requests": requests}}]})


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ({"cpu": "3"}, True),  # m6g.xlarge has 4
        ({"cpu": "3900m"}, None),
        ({"cpu": "4"}, None),
        ({"cpu": "4001m"}, False),
        ({"memory": "12Gi"}, True),
        ({"memory": "13Gi"}, None),
        ({"memory": "16Gi"}, None),
        ({"memory": "17Gi"}, False),
        ({"nvidia.com/gpu": "1"}, None),
        ({"nvidia.com/gpu": "0"}, True),
        ({"ephemeral-storage": "50Gi"}, True),
        ({"ephemeral-storage": "500Gi"}, None),
    ],
)
def test_requests_against_what_an_instance_has(requests: dict[str, str], expected: bool | None) -> None:
    assert fits("general", requesting(**requests)) is expected


def test_live_nodes_have_what_they_say() -> None:
    text = """
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {eks.amazonaws.com/nodegroup: g, kubernetes.io/hostname: n1}}
status: {allocatable: {cpu: 1930m, memory: 7Gi, pods: "29"}, capacity: {cpu: "2", memory: 8Gi, pods: "29"}}
"""
    (group,) = groups_of(text).values()
    (shape,) = group.shapes

    def live(**requests: str) -> bool | None:
        return requesting(**requests).on(shape).fits

    assert (live(cpu="1930m"), live(cpu="1931m")) == (True, False)
    assert (live(memory="7Gi"), live(**{"nvidia.com/gpu": "1"})) == (True, False)
    assert placement({"nodeSelector": {"nvidia.com/gpu.present": "true"}}).on(shape).fits is False
    names = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]} for name in ("n1", "n2")]
    for term, expected in zip(names, (True, False), strict=True):
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
        assert placement({"affinity": affinity}).on(shape).fits is expected


def test_a_runtime_class_adds_its_nodes_and_tolerations() -> None:
    (runtime,) = objects_in("""
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: sandboxed}
handler: sandboxed
overhead: {podFixed: {cpu: "4"}}
scheduling: {nodeSelector: {workload: data}, tolerations: [{key: data, operator: Exists}]}
""")
    spec = {"runtimeClassName": "sandboxed"}
    assert placement(spec).unknown
    pod = placement(spec, runtime_class=runtime)
    assert not pod.unknown
    assert fits("general", pod) is False
    # 4 CPUs of overhead are more than an r5.large has.
    assert {pod.on(shape).cause for shape in GROUPS["data"].shapes} == {"resources"}


@pytest.mark.parametrize(
    ("instance_type", "cpu", "gib", "arch"),
    [
        ("m5.large", 2, 8, "amd64"),
        ("m5.24xlarge", 96, 384, "amd64"),
        ("c5.large", 2, 4, "amd64"),
        ("c5.18xlarge", 72, 144, "amd64"),
        ("r5.xlarge", 4, 32, "amd64"),
        ("t3.medium", 2, 4, "amd64"),
        ("t4g.small", 2, 2, "arm64"),
        ("m7g.medium", 1, 4, "arm64"),
        ("c6gn.16xlarge", 64, 128, "arm64"),
        ("r7a.48xlarge", 192, 1536, "amd64"),
    ],
)
def test_instance_types(instance_type: str, cpu: int, gib: int, arch: str) -> None:
    known = machine(instance_type)
    assert known is not None
    assert (known.cpu, known.memory) == (Fraction(cpu), Fraction(gib * 2**30))
    assert architecture(instance_type) == arch


def test_instance_types_that_are_not_known() -> None:
    for name in ("m5.9xlarge", "c5.8xlarge", "m5.metal", "x9z.large", "m5", "", "m5.", "t3.16xlarge"):
        assert machine(name) is None
    assert [architecture(name) for name in ("g4dn.xlarge", "g5g.xlarge", "a1.large", "mac2.metal", "im4gn.large")] == [
        "amd64",
        "arm64",
        "arm64",
        None,
        "arm64",
    ]


ZONES = frozenset({"a", "b"})
REQUIREMENTS = st.lists(
    st.builds(
        lambda key, op_values: {"key": key, "operator": op_values[0], "values": op_values[1]},
        st.sampled_from(["zone", "type", "tier", "x.example/unknown"]),
        st.one_of(
            st.tuples(
                st.sampled_from(["In", "NotIn"]), st.lists(st.sampled_from(["a", "b", "1"]), min_size=1, max_size=2)
            ),
            st.tuples(st.sampled_from(["Exists", "DoesNotExist"]), st.just([])),
            st.tuples(st.sampled_from(["Gt", "Lt"]), st.just(["1"])),
        ),
    ),
    min_size=1,
    max_size=4,
)


def concrete(**labels: str | None) -> NodeShape:
    known = {("x.example/unknown" if key == "unknown" else key): value for key, value in labels.items() if value}
    return NodeShape(known, {}, frozenset({"n"}), None, (), {}, True)


@settings(max_examples=400)
@given(terms=st.lists(REQUIREMENTS, min_size=1, max_size=2), tier=st.sampled_from([None, "a", "2"]))
def test_what_is_said_of_a_group_holds_for_each_node_that_it_may_have(terms: list[Any], tier: str | None) -> None:
    shape = NodeShape(
        {"tier": tier} if tier else {}, {"zone": ZONES, "type": frozenset({"a", "1"})}, None, frozenset(), (), {}, False
    )
    affinity = {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": t} for t in terms]
        }
    }
    pod = placement({"affinity": {"nodeAffinity": affinity}})
    answer = pod.selected(shape).fits
    nodes = list(itertools.product(sorted(ZONES), ("a", "1")))
    values = (None, "a", "b", "1", "0", "5")
    taken = [
        [pod.selected(concrete(zone=zone, type=kind, tier=tier, unknown=value)).fits for value in values]
        for zone, kind in nodes
    ]
    surely = any(all(of_node) for of_node in taken)
    possibly = any(any(of_node) for of_node in taken)
    if answer is True:
        assert surely
    elif answer is False:
        assert not possibly
    if not any(one["key"].startswith("x.") for term in terms for one in term):
        assert answer is possibly


def test_a_kubelet_of_ones_own_may_state_more_labels() -> None:
    config = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: a}\nnodeGroups:\n"
    (plain,) = groups_of(config + "  - {name: g, instanceType: m5.large}\n").values()
    (own,) = groups_of(config + "  - {name: g, instanceType: m5.large, overrideBootstrapCommand: 'x'}\n").values()
    pod = placement({"nodeSelector": {"disktype": "ssd"}})
    assert (pod.on(plain.shapes[0]).fits, pod.on(own.shapes[0]).fits) == (False, None)


@pytest.mark.parametrize(
    ("operator", "values", "label", "expected"),
    [
        ("Gt", ["5"], "5", False),
        ("Gt", ["5"], "6", True),
        ("Gt", ["5"], "six", False),
        ("Gt", ["5"], None, False),
        ("Lt", ["5"], "5", False),
        ("Lt", ["5"], "4", True),
        ("Lt", ["5", "6"], "4", False),
        ("Lt", [], "4", False),
        ("Lt", ["9223372036854775808"], "4", False),
    ],
)
def test_numbers_are_greater_or_less(operator: str, values: list[str], label: str | None, expected: bool) -> None:
    terms = [{"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert placement({"affinity": affinity}).selected(concrete(tier=label)).fits is expected
