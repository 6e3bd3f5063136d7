"""Rules of kubeassay.checks.clusters on what eksctl states and on live Nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_outcomes import Outcome, outcomes

from kit import LIBRARY, plan_of, profile_of, scan_text
from kubeassay.checks import registry

VERSION = "kubernetes-version-unsupported"
CONFIG = (
    "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {{name: shop, region: eu-central-1, version: {}}}\n"
)
NODE = (
    "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{eks.amazonaws.com/nodegroup: g{labels}}}}}\n"
    "status: {{nodeInfo: {{kubeletVersion: {version}, osImage: {image}}}}}\n"
)


def node(name: str, version: str = "v1.34.1-eks-1", labels: str = "", image: str = "Bottlerocket OS 1.40") -> str:
    return NODE.format(name=name, version=version, labels=f", {labels}" if labels else "", image=image)


def said(rule: str, *documents: str, **parameters: Any) -> set[tuple[str, str, str]]:
    return {(o.kind, o.about, o.words) for o in outcomes(rule, "---\n".join(documents), **parameters)}


def messages(rule: str, text: str, **parameters: Any) -> set[str]:
    return {o.message for o in outcomes(rule, text, **parameters) if o.kind == "fail"}


@pytest.mark.parametrize(
    ("version", "day", "extended", "fails"),
    [
        ("1.28", "2024-11-26", False, False),  # the last day counts
        ("1.28", "2024-11-27", False, True),
        ("1.28", "2025-11-26", True, False),
        ("1.28", "2025-11-27", True, True),
        ("1.14", "2025-01-01", True, True),  # older than the table
        ("1.14", "2020-01-01", True, False),
        ("1.99", "2026-11-24", True, False),  # newer than the table
    ],
)
def test_versions_end_on_their_day(version: str, day: str, extended: bool, fails: bool) -> None:
    found = said(VERSION, CONFIG.format(f'"{version}"'), as_of=day, extended_support=extended)
    assert found == {
        ("fail", "ClusterConfig shop", "metadata.version") if fails else ("pass", "ClusterConfig shop", "")
    }


def test_a_version_that_cannot_be_read_is_no_pass() -> None:
    # 1.30 as a number is 1.3.
    for version in ("1.30", "latest", "null", '"1.3x"'):
        assert said(VERSION, CONFIG.format(version)) == {("not-judged", "ClusterConfig shop", "missing-input")}


def test_live_versions_one_finding_each() -> None:
    place = "status.nodeInfo.kubeletVersion"
    nodes = [node("a", "v1.28.1-eks-1"), node("b", "v1.28.9-eks-2"), node("c"), node("d", "v1.33.0+k3s1")]
    assert said(VERSION, *nodes) == {
        ("fail", "Node a", place),
        ("pass", "Node c", ""),
        # Not of EKS: Kubernetes' own dates hold.
        ("fail", "Node d", place),
    }


def test_what_is_called_a_cluster_config_elsewhere_is_left_alone() -> None:
    other = "apiVersion: example.com/v1\nkind: ClusterConfig\nmetadata: {name: shop, version: '1.20'}\n"
    for rule in (VERSION, "cluster-endpoint-open", "control-plane-logging", "cluster-endpoint-not-private"):
        result = scan_text(plan_of(profile_of(rule)), other)
        assert (result.summary.fail, result.summary.passed) == (0, 0)


def test_images_of_nodes() -> None:
    rule = "node-image-unsupported"
    groups = "managedNodeGroups: [{name: a, amiFamily: AmazonLinux2}, {name: b}, {name: c, amiFamily: Bottlerocket}]\n"
    config = CONFIG.format('"1.30"') + groups
    assert said(rule, config) == {
        ("fail", "ClusterConfig shop", "managedNodeGroups[0].amiFamily"),
        ("pass", "ClusterConfig shop", ""),
    }
    assert said(rule, config, as_of="2025-11-26") == {("pass", "ClusterConfig shop", "")}
    assert said(rule, config.replace("1.30", "1.33"), as_of="2025-01-01") != {("pass", "ClusterConfig shop", "")}
    assert said(rule, node("a", image="Amazon Linux 2")) == {("fail", "Node a", "status.nodeInfo.osImage")}
    assert said(rule, node("a", image="Amazon Linux 2023.9.20251110")) == {("pass", "Node a", "")}


@pytest.mark.parametrize(
    ("vpc", "paths"),
    [
        ("", {"vpc.publicAccessCIDRs"}),
        ("vpc: {clusterEndpoints: {publicAccess: false}}", set()),
        ("privateCluster: {enabled: true}", set()),
        (
            "vpc: {publicAccessCIDRs: [10.0.0.0/8, 0.0.0.0/0, '::/0', 0.0.0.0/1]}",
            {f"vpc.publicAccessCIDRs[{n}]" for n in (1, 2, 3)},
        ),
        ("vpc: {publicAccessCIDRs: []}", {"vpc.publicAccessCIDRs"}),
        ("vpc: {publicAccessCIDRs: [no address]}", set()),
    ],
)
def test_open_endpoints(vpc: str, paths: set[str]) -> None:
    result = scan_text(plan_of(profile_of("cluster-endpoint-open")), CONFIG.format('"1.34"') + vpc)
    assert {finding.path for finding in result.findings} == paths


def test_zones_of_groups_that_are_alike_count_together() -> None:
    rule = "node-groups-in-one-zone"
    head = CONFIG.format('"1.34"')
    one = "{{name: {0}, labels: {{workload: {1}}}, availabilityZones: [{2}]}}"
    apart = f"managedNodeGroups: [{one.format('a', 'x', 'z1')}, {one.format('b', 'y', 'z2')}]\n"
    alike = f"managedNodeGroups: [{one.format('a', 'x', 'z1')}, {one.format('b', 'x', 'z2')}]\n"
    places = {f"managedNodeGroups[{n}].availabilityZones" for n in (0, 1)}
    assert {words for kind, _, words in said(rule, head + apart) if kind == "fail"} == places
    assert said(rule, head + alike) == {("pass", "ClusterConfig shop", "")}
    assert said(rule, head + "managedNodeGroups: [{name: a}]\n") == {
        ("not-judged", "ClusterConfig shop", "missing-input")
    }
    cluster = "availabilityZones: [z1]\nmanagedNodeGroups: [{name: a}]\n"
    assert said(rule, head + cluster) == {("fail", "ClusterConfig shop", "availabilityZones")}
    subnets = (
        "vpc: {subnets: {public: {eu-central-1a: {id: x}, eu-central-1b: {id: y}}}}\nmanagedNodeGroups: [{name: a}]\n"
    )
    assert said(rule, head + subnets) == {("pass", "ClusterConfig shop", "")}


def test_zones_of_live_nodes() -> None:
    rule = "node-groups-in-one-zone"
    zone = "topology.kubernetes.io/zone"
    same = [node(name, labels=f"{zone}: a") for name in ("n1", "n2")]
    assert said(rule, *same) == {("fail", "Node n1", 'metadata.labels["topology.kubernetes.io/zone"]')}
    assert said(rule, same[0], node("n2", labels=f"{zone}: b")) == {("pass", "Node n1", "")}
    assert said(rule, same[0]) == {("pass", "Node n1", "")}


WANTED = {
    "g": {
        "instance_types": ["m5.large", "m5.xlarge"],
        "minimum": 2,
        "labels": {"workload": "x"},
        "taints": [{"key": "t", "value": "v", "effect": "NoSchedule"}],
        "capacity_type": "on-demand",
        "disk": 80,
    }
}


def test_documented_groups_field_by_field() -> None:
    rule = "documented-node-groups"
    head = CONFIG.format('"1.34"')
    good = (
        "name: g, instanceTypes: [m5.large], minSize: 2, labels: {workload: x},"
        " taints: [{key: t, value: v, effect: NoSchedule}]"
    )

    def places(entry: str) -> set[str]:
        return {
            o.words
            for o in outcomes(rule, f"{head}managedNodeGroups: [{{{entry}}}]\n", groups=WANTED)
            if o.kind == "fail"
        }

    entry = "managedNodeGroups[0]"
    assert places(good) == set()  # the disk is eksctl's default of 80 GiB
    assert places(good + ", volumeSize: 79") == {f"{entry}.volumeSize"}
    assert places(good + ", spot: true") == {f"{entry}.spot"}
    assert places(good.replace("m5.large", "m5.large, t3.nano")) == {f"{entry}.instanceTypes"}
    assert places(good.replace("minSize: 2, ", "")) == {f"{entry}.minSize"}
    assert places(good.replace("workload: x", "workload: z")) == {f"{entry}.labels.workload"}
    assert places(good.replace("effect: NoSchedule", "effect: NoExecute")) == {f"{entry}.taints[0]"}
    assert places(good.partition(", taints")[0]) == {f"{entry}.labels.workload"}
    assert places(good.replace("taints: [", "taints: [{key: u, effect: NoSchedule}, ")) == {f"{entry}.taints[0]"}
    # A group of another name that carries the labels is meant.
    assert places(good.replace("name: g", "name: other")) == set()
    assert places("name: other") == {"managedNodeGroups"}


def test_documented_groups_of_live_nodes() -> None:
    rule = "documented-node-groups"
    labels = "workload: x, node.kubernetes.io/instance-type: m5.large, eks.amazonaws.com/capacityType: ON_DEMAND"
    taints = "spec: {taints: [{key: t, value: v, effect: NoSchedule}]}\n"
    assert said(rule, node("n1", labels=labels) + taints, groups=WANTED) == {("pass", "Node n1", "")}
    assert said(rule, node("n1", labels=labels), groups=WANTED) == {("fail", "Node n1", "metadata.labels.workload")}
    spot = node("n1", labels=labels.replace("ON_DEMAND", "SPOT")) + taints
    assert said(rule, spot, groups=WANTED) == {("fail", "Node n1", 'metadata.labels["eks.amazonaws.com/capacityType"]')}
    none = {"other": {"minimum": 0, "labels": {"a": "b"}}}
    assert said(rule, node("n1"), groups=none) == {("not-judged", "Node n1", "unknown-nodes")}
    assert said(rule, "", groups=WANTED) == {("not-judged", "", "no-objects")}


def test_documented_cluster() -> None:
    rule = "documented-cluster"
    config = CONFIG.format('"1.34"')
    assert said(rule, config, name="bank", region="us-east-1", version="1.33", addons=["vpc-cni"]) == {
        ("fail", "ClusterConfig shop", words)
        for words in ("metadata.name", "metadata.region", "metadata.version", "addons")
    }
    live = node("n1", labels="topology.kubernetes.io/region: eu-central-1")
    assert said(rule, live, region="eu-central-1", version="v1.34") == {("pass", "Node n1", "")}
    assert said(rule, live, name="shop") == {("not-judged", "Node n1", "missing-input")}
    assert said(rule, "", name="shop") == {("not-judged", "", "no-objects")}


RULES = sorted(
    rule_id
    for rule_id, versions in registry.built_in().items()
    if versions[0][1].__module__.rpartition(".")[2] in ("clusters", "scheduling", "cluster_autoscaler")
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "1.28", "a", "\u2028{{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "name",
                        "labels",
                        "taints",
                        "key",
                        "effect",
                        "value",
                        "instanceTypes",
                        "availabilityZones",
                        "minSize",
                        "tags",
                    ),
                    *(
                        "volumeSize",
                        "subnets",
                        "selectors",
                        "namespace",
                        "allocatable",
                        "cpu",
                        "nodeInfo",
                        "osImage",
                        "public",
                    ),
                    *(
                        "kubeletVersion",
                        "clusterEndpoints",
                        "publicAccessCIDRs",
                        "enableTypes",
                        "clusterLogging",
                        "spot",
                    ),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS = (
    *(
        "vpc",
        "managedNodeGroups",
        "nodeGroups",
        "availabilityZones",
        "addons",
        "cloudWatch",
        "fargateProfiles",
        "karpenter",
    ),
    *("status", "spec", "iam", "secretsEncryption"),
)


@settings(max_examples=150, deadline=None)
@given(
    config=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4),
    groups=st.lists(ANYTHING, max_size=3),
    node_fields=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3),
    labels=ANYTHING,
    pod=st.dictionaries(
        st.sampled_from(["nodeSelector", "affinity", "tolerations", "nodeName", "resources", "runtimeClassName"]),
        ANYTHING,
    ),
)
def test_nothing_that_is_written_there_breaks_a_rule(
    config: Any, groups: Any, node_fields: Any, labels: Any, pod: Any
) -> None:
    documents = [
        {
            "apiVersion": "eksctl.io/v1alpha5",
            "kind": "ClusterConfig",
            "metadata": {"name": "a", "version": labels},
            "managedNodeGroups": groups,
            **config,
        },
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}, **node_fields},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "q"},
            "spec": {**pod, "containers": [{"name": "c", "image": "a/cluster-autoscaler:v1.3", "args": groups}]},
        },
    ]
    text = "\n---\n".join(json.dumps(document) for document in documents)
    parameters = {
        "documented-node-groups": {"groups": WANTED},
        "documented-cluster": {"name": "x", "region": "y", "version": "1.2", "addons": ["z"]},
        "documented-cluster-autoscaler": {"flags": {"a": 1}, "groups": {"g": {"minimum": 1, "options": {"a": "1m"}}}},
    }
    for rule in RULES:
        result = scan_text(plan_of(profile_of(rule, **parameters.get(rule, {}))), text)
        assert [n for n in result.not_evaluated if n.reason == "rule-error"] == []


def test_all_rules_of_these_modules_are_of_the_platform() -> None:
    assert {LIBRARY.rule(rule).area for rule in RULES} == {"platform"}
    assert isinstance(next(iter(outcomes(VERSION, CONFIG.format('"1.10"')))), Outcome)


def test_a_live_node_that_is_unlike_its_group() -> None:
    labels = "workload: x, node.kubernetes.io/instance-type: m5.large, eks.amazonaws.com/capacityType: ON_DEMAND"
    taints = "spec: {taints: [{key: t, value: v, effect: NoSchedule}]}\n"
    nodes = (node("n1", labels=labels) + taints, node("n2", labels=labels))
    assert said("documented-node-groups", *nodes, groups=WANTED) == {("fail", "Node n2", "metadata.labels.workload")}
    old = (node("n1"), node("n2", image="Amazon Linux 2"))
    assert said("node-image-unsupported", *old) == {
        ("pass", "Node n1", ""),
        ("fail", "Node n2", "status.nodeInfo.osImage"),
    }


def test_an_endpoint_whose_blocks_cannot_be_read_is_no_pass() -> None:
    text = CONFIG.format('"1.34"') + "vpc: {publicAccessCIDRs: ['${OFFICE}']}\n"
    result = scan_text(plan_of(profile_of("cluster-endpoint-open")), text)
    assert (result.summary.passed, [said.reason for said in result.not_evaluated]) == (0, ["unsupported"])
