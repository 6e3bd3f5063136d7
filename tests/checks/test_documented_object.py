"""Expectations of controls, from the baseline's file to the finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import failing, plan_of, scan_text
from kubeassay.model import Profile, Result
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library

QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute, namespace: shop}
spec:
  hard:
    requests.cpu: "3"
    limits.memory: 512Gi
"""


def _baseline(folder: Path, *expectations: dict[str, Any], rules: Any = None) -> Library:
    control: dict[str, Any] = {
        "id": "D-1",
        "title": "As documented",
        "source": {"document": "Handbook", "file": "docs/handbook.md", "line": 7},
        "expectations": list(expectations),
    }
    if rules is not None:
        control["rules"] = rules
    document = {
        "apiVersion": "kubeassay.dev/v1",
        "kind": "Baseline",
        "metadata": {"name": "handbook"},
        "spec": {"title": "Handbook", "area": "platform", "controls": [control]},
    }
    path = folder / "handbook.yaml"
    path.write_text(yaml.safe_dump(document))
    return Library(baseline_files=[path])


def _scan(folder: Path, text: str, *expectations: dict[str, Any]) -> Result:
    library = _baseline(folder, *expectations)
    profile = Profile("test", "test", "", "latest", library.baseline("handbook").controls)
    return scan_text(plan_of(profile, library=library, show=["pass"]), text)


def _found(result: Result) -> set[tuple[str, str, int, str]]:
    return {(str(f.object), f.path, f.location.start_line, f.message) for f in failing(result)}


def _compute(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "object": {"apiVersion": "v1", "kind": "ResourceQuota", "namespace": "shop", "name": "compute"},
        "fields": list(fields),
        **more,
    }


def test_a_value_that_differs_is_found_at_its_line_with_the_line_of_the_document(tmp_path: Path) -> None:
    result = _scan(tmp_path, QUOTA, _compute({"path": 'spec.hard["requests.cpu"]', "equals": 2, "line": 12}))
    assert _found(result) == {
        (
            "ResourceQuota shop/compute",
            'spec.hard["requests.cpu"]',
            6,
            'spec.hard["requests.cpu"] is 3; docs/handbook.md line 12 demands 2',
        )
    }
    (finding,) = failing(result)
    assert finding.controls == ("D-1",)
    assert [(r.location.file, r.location.start_line) for r in finding.related] == [("docs/handbook.md", 12)]


def test_a_missing_field_points_at_its_nearest_parent(tmp_path: Path) -> None:
    result = _scan(tmp_path, QUOTA, _compute({"path": "spec.hard.pods", "atMost": 5}))
    assert {(f.path, f.location.start_line) for f in failing(result)} == {("spec.hard.pods", 5)}


@pytest.mark.parametrize(
    ("field", "complies"),
    [
        ({"path": 'spec.hard["requests.cpu"]', "equals": "3000m"}, True),
        ({"path": 'spec.hard["requests.cpu"]', "atLeast": 2, "atMost": 4}, True),
        ({"path": 'spec.hard["requests.cpu"]', "atLeast": 4}, False),
        ({"path": 'spec.hard["limits.memory"]', "atMost": "0.5Ti"}, True),
        ({"path": 'spec.hard["limits.memory"]', "atMost": "511Gi"}, False),
        ({"path": 'spec.hard["limits.memory"]', "oneOf": ["1Ti", "512Gi"]}, True),
        ({"path": 'spec.hard["limits.memory"]', "oneOf": ["1Ti"]}, False),
        ({"path": "spec.hard", "superset": {"requests.cpu": 3}}, True),
        ({"path": "spec.hard", "subset": {"requests.cpu": 3}}, False),
        ({"path": "spec.scopes", "absent": True}, True),
        ({"path": "spec.hard", "absent": True}, False),
        ({"path": "spec.hard", "present": True}, True),
        ({"path": "spec.scopes", "present": True}, False),
        ({"path": "spec.scopes[*]", "equals": "x"}, False),
        ({"path": "spec.scopes", "equals": ["x"], "default": ["x"]}, True),
        ({"path": "spec.scopes", "equals": ["x"], "default": []}, False),
        ({"path": "metadata.name", "atMost": 3}, False),
    ],
)
def test_operators(tmp_path: Path, field: dict[str, Any], complies: bool) -> None:
    result = _scan(tmp_path, QUOTA, _compute(field))
    assert (failing(result) == []) == complies
    assert result.summary.passed == complies


def test_items_of_lists(tmp_path: Path) -> None:
    text = """\
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: c}
managedNodeGroups:
  - name: data
    minSize: 1
  - name: application
    minSize: 2
"""
    expected = {
        "object": {"apiVersion": "eksctl.io/v1alpha5", "kind": "ClusterConfig"},
        "fields": [
            {"path": "managedNodeGroups[name=application].minSize", "equals": 3},
            {"path": "managedNodeGroups[*].minSize", "atLeast": 2},
            {"path": "managedNodeGroups[name=security].minSize", "equals": 1},
            {"path": "managedNodeGroups[5].minSize", "equals": 1},
        ],
    }
    assert {(f.path, f.location.start_line) for f in failing(_scan(tmp_path, text, expected))} == {
        ("managedNodeGroups[1].minSize", 8),
        ("managedNodeGroups[0].minSize", 6),
        ("managedNodeGroups", 4),
    }


def test_a_missing_object_is_found_where_its_namespace_is(tmp_path: Path) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"
    result = _scan(tmp_path, namespace, _compute())
    assert _found(result) == {
        (
            "Namespace shop",
            "metadata.name",
            4,
            "docs/handbook.md line 7 demands ResourceQuota shop/compute, and there is none",
        )
    }
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: a, image: b}]}\n"
    assert {(str(f.object), f.location.start_line) for f in failing(_scan(tmp_path, pod, _compute()))} == {
        ("Pod shop/p", 3)
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n", "no-objects"),
        ("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: compute}\nspec: {}\n", "no-namespace"),
    ],
)
def test_what_may_be_declared_elsewhere_is_not_judged(tmp_path: Path, text: str, reason: str) -> None:
    result = _scan(tmp_path, text, _compute())
    assert failing(result) == []
    assert {n.reason for n in result.not_evaluated} == {reason}
    assert result.summary.passed == 0


def test_an_object_that_need_not_be_there_is_silent(tmp_path: Path) -> None:
    result = _scan(tmp_path, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n", _compute(required=False))
    assert (failing(result), result.not_evaluated, result.summary.passed) == ([], (), 0)


def test_an_object_that_must_not_be(tmp_path: Path) -> None:
    expected = {"object": {"apiVersion": "v1", "kind": "ResourceQuota", "name": "comp*"}, "absent": True}
    assert {(f.path, f.location.start_line) for f in failing(_scan(tmp_path, QUOTA, expected))} == {("kind", 2)}


def test_a_group_is_no_other_group(tmp_path: Path) -> None:
    text = "apiVersion: example.com/v1\nkind: ResourceQuota\nmetadata: {name: compute, namespace: shop}\n"
    expected = _compute({"path": "spec.hard", "present": True})
    # Something in the namespace, and no quota of Kubernetes' own.
    assert {str(f.object) for f in failing(_scan(tmp_path, text, expected))} == {"ResourceQuota shop/compute"}


@pytest.mark.parametrize(
    "expectation",
    [
        {"object": {"kind": "Pod"}},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec"}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec..x", "equals": 1}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec[", "equals": 1}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec", "equal": 1}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec", "atMost": [1]}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec", "equals": 1, "as": "time"}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec", "atMost": "one"}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec", "atLeast": 1, "atMost": "v1.2"}]},
        {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "spec", "atMost": "1", "as": "duration"}]},
    ],
)
def test_a_malformed_expectation_is_refused(tmp_path: Path, expectation: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        _ = _baseline(tmp_path, expectation).baselines


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"atLeasst": "1"}, "unknown field atLeasst (did you mean atLeast?)"),
        ({}, "needs one of equals, oneOf, superset, subset, atLeast, atMost, absent, present"),
        ({"atMost": "one"}, "x: atMost one is not a quantity, duration or percentage that others can be compared with"),
    ],
)
def test_a_mistake_in_a_field_is_told_once_and_in_words(tmp_path: Path, field: dict[str, Any], said: str) -> None:
    expected = {"object": {"apiVersion": "v1", "kind": "Pod"}, "fields": [{"path": "x", **field}]}
    with pytest.raises(PolicyError) as error:
        _ = _baseline(tmp_path, expected).baselines
    (line,) = str(error.value).splitlines()
    assert line.endswith(said)


def test_a_control_may_have_rules_too(tmp_path: Path) -> None:
    library = _baseline(tmp_path, _compute(), rules=[{"id": "privileged-container"}])
    (control,) = library.baseline("handbook").controls
    assert [use.rule for use in control.rules] == ["privileged-container", "documented-object"]


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
    - name: app
      image: registry.example/web:1.0
      env:
        - {name: MODE, value: safe}
        - {name: MODE, value: "off"}
    - {name: log, image: registry.example/log:1.0, ports: [], env: [{name: MODE, value: safe}]}
"""
WEB = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web"}


@pytest.mark.parametrize(
    ("field", "found"),
    [
        # Of two variables of one name the last one counts.
        ({"path": "spec.containers[name=app].env[name=MODE].value", "equals": "safe"}, {"…containers[0].env[1].value"}),
        # One empty list is as good as all of them.
        ({"path": "spec.containers[name=log].ports[*].protocol", "equals": "TCP"}, {"…containers[1].ports"}),
        ({"path": "spec.containers[*].env[*].name", "present": True}, set()),
        (
            {"path": "spec.containers[*].ports[*].hostPort", "present": True},
            {"…containers[0].ports", "…containers[1].ports"},
        ),
        ({"path": "spec.containers[*].ports[*].hostPort", "absent": True}, set()),
        ({"path": "spec.containers[*].ports[*].protocol", "equals": "TCP", "default": "TCP"}, set()),
        # What has no name is not called None.
        ({"path": "spec.containers[image=None].name", "absent": True}, set()),
    ],
)
def test_every_item_that_a_path_means_counts(tmp_path: Path, field: dict[str, Any], found: set[str]) -> None:
    result = _scan(tmp_path, POD, {"object": WEB, "fields": [field]})
    assert {finding.path.replace("spec.", "…", 1) for finding in failing(result)} == found


@pytest.mark.parametrize("how", ["required", "absent"])
def test_an_object_without_a_namespace_may_be_the_one_that_is_meant(tmp_path: Path, how: str) -> None:
    text = QUOTA.replace(", namespace: shop", "")
    more = {"required": False} if how == "required" else {"absent": True}
    fields = [{"path": 'spec.hard["requests.cpu"]', "equals": 2}] if how == "required" else []
    result = _scan(tmp_path, text, _compute(*fields, **more))
    assert [said.reason for said in result.not_evaluated] == ["no-namespace"]
    assert result.summary.passed == 0


def test_what_is_to_be_absent_is_not_to_be_something_besides(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="equals"):
        _scan(tmp_path, QUOTA, _compute({"path": "spec.hard", "absent": True, "equals": {}}))


@pytest.mark.parametrize("hostile", ["1" * 5000, "0." + "0" * 5000 + "1", "9" * 5000 + "Gi", "1e999999999"])
def test_quantities_of_any_length_are_compared(tmp_path: Path, hostile: str) -> None:
    text = QUOTA.replace('"3"', f'"{hostile}"')
    result = _scan(tmp_path, text, _compute({"path": 'spec.hard["requests.cpu"]', "equals": 2}))
    assert len(failing(result)) == 1
    assert list(result.not_evaluated) == []
