"""Rules of kubeassay.checks.cluster_autoscaler: flags in all forms, node groups and their tags."""

from __future__ import annotations

import json
from typing import Any

import pytest
from network_outcomes import outcomes

from kit import objects_in, run_within_seconds
from kubeassay.analysis.platform.cluster_autoscaler import comparable, flags
from kubeassay.analysis.workloads import pod_templates

DOCUMENTED = "documented-cluster-autoscaler"


def autoscaler(
    command: list[Any] | None, args: list[Any] | None = None, image: str = "k8s.example/cluster-autoscaler:v1.34.0"
) -> str:
    container: dict[str, Any] = {"name": "ca", "image": image}
    if command is not None:
        container["command"] = command
    if args is not None:
        container["args"] = args
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "ca", "namespace": "kube-system"},
            "spec": {"template": {"metadata": {"labels": {"app": "ca"}}, "spec": {"containers": [container]}}},
        }
    )


def config(*groups: str) -> str:
    return (
        '\n---\napiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: shop, version: "1.34"}\n'
        f"managedNodeGroups: [{', '.join(groups)}]\n"
    )


def failed(rule: str, text: str, **parameters: Any) -> set[str]:
    return {o.words for o in outcomes(rule, text, **parameters) if o.kind == "fail"}


PLACE = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (["./ca", "--a=1", "-b=2"], None, [("a", "1", "command", 1), ("b", "2", "command", 2)]),
        (["./ca", "--a", "1", "--b"], None, [("a", "1", "command", 2), ("b", "true", "command", 3)]),
        (["./ca"], ["--a", "x"], [("a", "x", "args", 1)]),
        (["./ca", "--a"], ["x"], [("a", "x", "args", 0)]),
        (None, ["--a=b=c"], [("a", "b=c", "args", 0)]),
        (None, ["--on", "false", "--a=1"], [("on", "true", "args", 0), ("a", "1", "args", 2)]),
        (None, ["--", 7, None, "word"], []),
    ],
)
def test_flags(command: list[Any] | None, args: list[Any] | None, expected: list[tuple[str, str, str, int]]) -> None:
    (obj,) = objects_in(autoscaler(command, args))
    (template,) = pod_templates(obj)
    found = [(flag.name, flag.value, *flag.path[-2:]) for flag in flags(template.containers[0])]
    assert found == expected


def test_values_by_their_meaning() -> None:
    same = [("600s", "10m"), ("1h30m", "90m"), ("0.70", 0.7), ("1.5h", "90m"), ("10", 10), ("true", "true")]
    for left, right in same:
        assert comparable(left) == comparable(right)
    for left, right in [("10m", "10"), ("1m", "1ms"), ("0.5", "0.7"), ("1/2", "0.5"), ("", "0")]:
        assert comparable(left) != comparable(right)


def test_documented_flags_their_defaults_and_the_last_one_of_several() -> None:
    wanted = {"scale-down-unneeded-time": "10m"}
    assert failed(DOCUMENTED, autoscaler(["ca"]), flags=wanted) == set()
    assert failed(DOCUMENTED, autoscaler(["ca"]), flags={"scale-down-unneeded-time": "5m"}) == {f"{PLACE}.command"}
    twice = ["ca", "--scale-down-unneeded-time=10m", "--scale-down-unneeded-time=1m"]
    assert failed(DOCUMENTED, autoscaler(twice), flags=wanted) == {f"{PLACE}.command[2]"}
    assert failed(DOCUMENTED, autoscaler(["ca"], ["--scale-down-unneeded-time", "600s"]), flags=wanted) == set()


def test_what_a_shell_makes_of_its_text_is_not_read() -> None:
    for command in (["sh", "-c", "./cluster-autoscaler --nodes=1:2:x"], ["ca", "--nodes={{ .min }}:2:x"]):
        kinds = {o.kind for o in outcomes(DOCUMENTED, autoscaler(command), flags={"a": 1})}
        assert kinds == {"not-judged"}
    assert {o.words for o in outcomes(DOCUMENTED, config("{name: a}"), flags={"a": 1})} == {"no-objects"}


def test_bounds_of_a_group() -> None:
    wanted = {"data": {"minimum": 1, "maximum": 5}}
    good = autoscaler(["ca", "--nodes=1:5:eks-data-9ac1", "--nodes=0:9:eks-database-1"])
    assert failed(DOCUMENTED, good, groups=wanted) == set()
    assert failed(DOCUMENTED, good.replace("1:5", "1:6"), groups=wanted) == {f"{PLACE}.command[1]"}
    # Not named, and not discovered.
    assert failed(DOCUMENTED, autoscaler(["ca", "--nodes=1:5:eks-web-1"]), groups=wanted) == {f"{PLACE}.command[1]"}
    discovery = "--node-group-auto-discovery=asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/shop"
    found = autoscaler(["ca", discovery]) + config("{name: data}")
    assert failed(DOCUMENTED, found, groups=wanted) == set()
    other = autoscaler(["ca", discovery.replace("/shop", "/bank")]) + config("{name: data}")
    assert failed(DOCUMENTED, other, groups=wanted) == {f"{PLACE}.command"}
    unknown = {o.kind for o in outcomes(DOCUMENTED, autoscaler(["ca", discovery]), groups=wanted)}
    assert unknown == {"not-judged"}


def test_tags_come_before_flags() -> None:
    wanted = {"data": {"options": {"scale-down-unneeded-time": "15m"}}}
    tag = "k8s.io/cluster-autoscaler/node-template/autoscaling-options/scaledownunneededtime"
    text = autoscaler(["ca", "--scale-down-unneeded-time=10m"])
    assert failed(DOCUMENTED, text + config(f"{{name: data, tags: {{{tag}: 900s}}}}"), groups=wanted) == set()
    wrong = failed(DOCUMENTED, text + config(f"{{name: data, tags: {{{tag}: 1m}}}}"), groups=wanted)
    assert wrong == {f'managedNodeGroups[0].tags["{tag}"]'}
    assert failed(DOCUMENTED, text + config("{name: data}"), groups=wanted) == {"managedNodeGroups[0].tags"}
    assert {o.kind for o in outcomes(DOCUMENTED, text, groups=wanted)} == {"not-judged"}


def test_bounds_beyond_the_groups_own() -> None:
    rule = "cluster-autoscaler-node-groups"
    groups = config("{name: data, minSize: 1, maxSize: 5}", "{name: shop, minSize: 0, maxSize: 2}")
    good = autoscaler(["ca", "--nodes=1:5:eks-shop-data-9ac1", "--nodes=2:2:eks-shop"])
    assert failed(rule, good + groups) == set()
    assert failed(rule, good.replace("1:5", "0:5") + groups) == {f"{PLACE}.command[1]"}
    assert failed(rule, good.replace("2:2", "1:3") + groups) == {f"{PLACE}.command[2]"}
    # What fails is no pass besides.
    assert {o.kind for o in outcomes(rule, good + groups)} == {"pass"}
    assert {o.kind for o in outcomes(rule, good.replace("2:2", "1:3") + groups)} == {"fail"}


def test_versions() -> None:
    rule = "cluster-autoscaler-version"
    assert failed(rule, autoscaler(["ca"]) + config()) == set()
    other = autoscaler(["ca"], image="k8s.example/cluster-autoscaler:v1.3.4@sha256:" + "0" * 64)
    assert failed(rule, other + config()) == {f"{PLACE}.image"}
    node = "\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus: {nodeInfo: {kubeletVersion: v1.33.1}}\n"
    assert failed(rule, autoscaler(["ca"]) + node) == {f"{PLACE}.image"}
    for text in (autoscaler(["ca"]), autoscaler(["ca"], image="k8s.example/cluster-autoscaler:latest") + config()):
        assert {o.kind for o in outcomes(rule, text)} == {"not-judged"}


def test_values_that_would_be_endless_are_texts() -> None:
    code = "from kubeassay.analysis.platform.cluster_autoscaler import comparable; comparable('1e999999999')"
    run_within_seconds(code)
    assert comparable("9" * 5000 + "s") != comparable("9s")
