"""The field table, and what kubeassay.analysis.fields says about objects."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeassay.analysis import fields
from kubeassay.analysis.fields import (
    FieldProblem,
    check_fields,
    check_pod_spec,
    edit_distance,
    nearest_name,
    served_kinds,
    without,
)
from kubeassay.model import format_path, parse_path

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "scanner/kubeassay/analysis/kubernetes_fields.json").read_text(encoding="utf-8"))
OLDEST, NEWEST = TABLE["minors"]
KINDS = [(version, kind) for version, kinds in TABLE["kinds"].items() for kind in kinds]


def deployment(**changes: Any) -> dict[str, Any]:
    """A Deployment without a problem; ``changes``: path with __ for dots and N for an index → value."""
    value: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}, "creationTimestamp": None},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "securityContext": {"runAsNonRoot": True, "fsGroup": 2000},
                    "containers": [
                        {
                            "name": "app",
                            "image": "registry.example/app:1.0",
                            "args": ["a", "b"],
                            "env": [{"name": "A", "value": "b"}],
                            "ports": [{"containerPort": 80}],
                            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 0.5}},
                            "securityContext": {"capabilities": {"drop": ["ALL"]}, "privileged": False},
                            "livenessProbe": {"httpGet": {"port": "http"}},
                        }
                    ],
                },
            },
        },
    }
    for path, new in changes.items():
        *parents, last = parse_path(_path(path))
        parent: Any = value
        for step in parents:
            parent = parent[step]
        parent[last] = new
    return value


POD, APP = "spec.template.spec", "spec.template.spec.containers[0]"


def _path(name: str) -> str:
    return name.replace("POD", POD).replace("APP", APP).replace("__", ".")


def problems(value: dict[str, Any], minor: int = 37) -> list[tuple[str, str, str | None]]:
    found = check_fields(value["apiVersion"], value["kind"], value, minor)
    return [(p.kind, format_path(p.path), p.suggestion) for p in found]


def test_a_good_object_has_no_problem() -> None:
    assert problems(deployment()) == []


@pytest.mark.parametrize(
    ("place", "suggestion"),
    [
        ("spec__securityContext", f"{POD}.securityContext"),
        ("spec__template__securityContext", f"{POD}.securityContext"),
        ("APP__runAsNonRoot", f"{APP}.securityContext.runAsNonRoot"),
        ("APP__fsGroup", f"{POD}.securityContext.fsGroup"),
        ("APP__hostNetwork", f"{POD}.hostNetwork"),
        ("POD__securityContext__capabilities", f"{POD}.containers[].securityContext.capabilities"),
        ("POD__allowPrivilegeEscalation", f"{POD}.containers[].securityContext.allowPrivilegeEscalation"),
        ("POD__runAsUser", f"{POD}.securityContext.runAsUser"),
        ("POD__replicas", "spec.replicas"),
        ("POD__securityContext__runAsNonroot", "runAsNonRoot"),
        ("POD__securitycontext", "securityContext"),
        ("POD__hostPid", "hostPID"),
        ("APP__SecurityContext", "securityContext"),
        ("APP__readonlyRootFilesystem", f"{APP}.securityContext.readOnlyRootFilesystem"),
        ("APP__privilegd", f"{APP}.securityContext.privileged"),
        ("APP__imagePullpolicy", "imagePullPolicy"),
        ("APP__xyz", None),
        ("metadata__naem", "name"),
        ("spec__replica", "replicas"),
    ],
)
def test_unknown_fields(place: str, suggestion: str | None) -> None:
    assert problems(deployment(**{place: {}})) == [("unknown", _path(place), suggestion)]


def test_a_field_is_unknown_before_its_release() -> None:
    value = deployment(APP__securityContext={"appArmorProfile": {"type": "Localhost"}})
    (problem,) = check_fields("apps/v1", "Deployment", value, 29)
    assert (problem.kind, problem.expected) == ("unknown", "SecurityContext before 1.30")
    assert problems(value, 30) == []
    assert problems(value, 99) == []


def test_before_the_oldest_release_every_field_of_any_release_is_known() -> None:
    value = deployment(APP__securityContext={"appArmorProfile": {"type": "Localhost"}, "appArmor": {}})
    assert problems(value, 16) == [("unknown", f"{APP}.securityContext.appArmor", None)]


MISTYPED = [
    ("APP__securityContext__privileged", "true", "true or false", 'the string "true"'),
    ("APP__securityContext__privileged", 1, "true or false", "the number 1"),
    ("APP__env", [{"name": "A", "value": 8080}], "a string", "an integer"),
    ("APP__env", [{"name": "A", "value": True}], "a string", "a boolean"),
    ("APP__env", {"A": "b"}, "a list", "a mapping"),
    ("APP__env", ["A=b"], "a mapping", "a string"),
    ("APP__args", "a b", "a list", "a string"),
    ("APP__args", ["a", 1], "a string", "an integer"),
    ("APP__securityContext", [], "a mapping", "a list"),
    ("POD__securityContext__runAsUser", "1000", "an integer", 'the string "1000"'),
    ("POD__securityContext__runAsUser", True, "an integer", "true"),
    ("POD__securityContext__runAsUser", 1.5, "an integer", "a number"),
    ("spec__replicas", "2", "an integer", 'the string "2"'),
    ("metadata__labels", {"app": 1}, "a string", "an integer"),
    ("metadata__labels", ["app"], "a mapping", "a list"),
    ("metadata__annotations", {"a": True}, "a string", "a boolean"),
    ("APP__resources__limits__cpu", "1 core", "a quantity such as 500m or 2Gi", 'the string "1 core"'),
    ("APP__resources__limits__cpu", "hunter2", "a quantity such as 500m or 2Gi", "a string"),
    ("APP__securityContext__privileged", "hunter2", "true or false", "a string"),
    ("APP__securityContext__privileged", "<PRIVILEGED>", "true or false", 'the string "<PRIVILEGED>"'),
    ("APP__resources__limits__cpu", True, "a quantity such as 500m or 2Gi", "true"),
    ("APP__livenessProbe__httpGet__port", True, "an integer or a string", "true"),
    ("APP__livenessProbe__httpGet__port", 1.5, "an integer or a string", "a number"),
]


@pytest.mark.parametrize(("place", "new", "expected", "found"), MISTYPED)
def test_mistyped_values(place: str, new: Any, expected: str, found: str) -> None:
    (problem,) = check_fields("apps/v1", "Deployment", deployment(**{place: new}), 37)
    assert (problem.kind, problem.expected, problem.found) == ("mistyped", expected, found)
    assert format_path(problem.path).startswith(_path(place))


def test_nothing_of_a_secret_is_named() -> None:
    value = {"apiVersion": "v1", "kind": "Secret", "immutable": "1234", "type": 1234, "data": {"a": 1234}}
    found = {format_path(p.path): p.found for p in check_fields("v1", "Secret", value, 30)}
    assert found == {"immutable": "a string", "type": "an integer", "data.a": "an integer"}


def test_what_was_meant_is_looked_up_for_some_unknown_fields_only() -> None:
    names = {f"imagePullPolicy{number}": 1 for number in range(100)}
    found = problems(deployment(APP={"name": "app", "image": "a:1", **names}))
    assert [suggestion is not None for _, _, suggestion in found[:9]] == [True] * 9
    assert [suggestion for _, _, suggestion in found[50:]] == [None] * 50


@pytest.mark.parametrize(("place", "new"), [(place, new) for place, new, _, _ in MISTYPED])
def test_without_mistyped_values_nothing_is_mistyped(place: str, new: Any) -> None:
    value = deployment(**{place: new})
    before = copy.deepcopy(value)
    left = without(value, check_fields("apps/v1", "Deployment", value, 37))
    assert check_fields("apps/v1", "Deployment", left, 37) == []
    assert value == before


@pytest.mark.parametrize(
    "place", ["APP__env", "APP__securityContext__privileged", "spec__replicas", "metadata", "spec"]
)
def test_null_is_unset(place: str) -> None:
    assert problems(deployment(**{place: None})) == []


def test_null_items_are_accepted() -> None:
    assert problems(deployment(APP__args=[None], APP__env=[None], metadata__labels={"a": None})) == []


def test_quantities_are_strings_and_numbers() -> None:
    for good in ("500m", "2Gi", "1e3", "0.5", ".5", "1.", "+1", 1, 0.5):
        assert problems(deployment(APP__resources__limits__cpu=good)) == []
    for bad in ("", "1GB", "1 Gi", "Gi", "1mm", "١"):
        assert [kind for kind, _, _ in problems(deployment(APP__resources__limits__cpu=bad))] == ["mistyped"]


def test_the_other_indices_stay_when_an_item_is_mistyped() -> None:
    value = deployment(APP__env=["A=b", {"name": "B", "value": 1}, {"name": "C", "value": "c"}])
    left = without(value, check_fields("apps/v1", "Deployment", value, 37))
    assert left["spec"]["template"]["spec"]["containers"][0]["env"] == [{}, {"name": "B"}, {"name": "C", "value": "c"}]


def test_what_is_not_changed_is_not_copied() -> None:
    value = deployment(APP__env=["A=b"])
    left = without(value, check_fields("apps/v1", "Deployment", value, 37))
    assert left["metadata"] is value["metadata"]
    assert without(value, []) is value


def test_problems_come_in_the_order_of_the_file() -> None:
    value = deployment(APP__x=1, POD__y=1, spec__replicas="x")
    assert [path for _, path, _ in problems(value)] == ["spec.replicas", f"{APP}.x", f"{POD}.y"]


def test_lists_and_custom_resources_are_not_judged() -> None:
    assert check_fields("v1", "ConfigMapList", {"x": 1}, 37) == []
    assert check_fields("example.com/v1", "Deployment", {"x": 1}, 37) == []


def test_a_retired_version_has_its_types_judged_only() -> None:
    value = deployment(spec__rollbackTo={}, spec__replicas="x") | {"apiVersion": "extensions/v1beta1"}
    assert problems(value) == [("mistyped", "spec.replicas", None)]


def test_a_pod_spec_of_a_custom_resource_may_have_more_fields() -> None:
    spec = {"containers": [{"name": "a", "extra": 1, "securityContext": {"privileged": "true"}}], "more": {}}
    found = check_pod_spec(spec, ("spec", "pod"), 37)
    assert [(p.kind, format_path(p.path)) for p in found] == [
        ("mistyped", "spec.pod.containers[0].securityContext.privileged")
    ]


def test_a_secrets_value_is_not_told() -> None:
    value = {"apiVersion": "v1", "kind": "Secret", "stringData": {"pin": 1234, "on": True}}
    assert [p.found for p in check_fields("v1", "Secret", value, 37)] == ["an integer", "a boolean"]


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "", 0),
        ("a", "", 1),
        ("ab", "ba", 1),
        ("kitten", "sitting", 3),
        ("abcd", "wxyz", 3),
        ("runasuser", "runasusre", 1),
    ],
)
def test_edit_distance(first: str, second: str, distance: int) -> None:
    assert edit_distance(first, second, 2) == min(distance, 3)
    assert edit_distance(second, first, 2) == min(distance, 3)


def test_nearest_name_prefers_case_then_few_edits_then_the_alphabet() -> None:
    assert nearest_name("hostpid", ["hostIPC", "hostPID"]) == "hostPID"
    assert nearest_name("hostPI", ["hostIPC", "hostPID"]) == "hostPID"
    assert nearest_name("abc", ["abd"]) is None


# The table


def test_the_table_is_small() -> None:
    assert (ROOT / "scanner/kubeassay/analysis/kubernetes_fields.json").stat().st_size < 180_000


@pytest.mark.parametrize(
    ("api_type", "field", "shape"),
    [
        ("SecurityContext", "privileged", "boolean"),
        ("SecurityContext", "appArmorProfile", ["AppArmorProfile", 30, None]),
        ("PodSpec", "hostUsers", "boolean"),
        ("PodSpec", "resources", ["ResourceRequirements", 32, None]),
        ("Container", "restartPolicy", ["string", 28, None]),
        ("ResourceRequirements", "limits", "{quantity}"),
        ("HTTPGetAction", "port", "int-or-string"),
        ("ObjectMeta", "creationTimestamp", "time"),
        ("Capabilities", "drop", "[string]"),
        ("Secret", "data", "{string}"),
    ],
)
def test_known_fields(api_type: str, field: str, shape: Any) -> None:
    assert TABLE["types"][api_type][field] == shape


def test_every_mentioned_type_exists() -> None:
    scalars = {"string", "integer", "number", "boolean", "int-or-string", "quantity", "time", "any"}
    for name, table in TABLE["types"].items():
        for field, shape in table.items():
            text = shape if isinstance(shape, str) else shape[0]
            assert text.strip("[]{}") in scalars | set(TABLE["types"]), (name, field)


def test_the_table_is_what_the_generator_makes() -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed")
    subprocess.run([sys.executable, str(ROOT / ".ci/generate_fields.py"), "--check"], check=True)


def test_the_models_of_the_python_client_agree() -> None:
    client = pytest.importorskip("kubernetes.client")
    for name in ("Container", "PodSpec", "SecurityContext", "PodSecurityContext", "Volume", "DeploymentSpec", "Secret"):
        known = set(getattr(client, f"V1{name}").attribute_map.values())
        table = TABLE["types"][name]
        now = {field for field, shape in table.items() if isinstance(shape, str) or shape[2] is None}
        # The client's release may be older than the newest schema, and none of its fields may be missing here.
        assert known <= set(table)
        assert {field for field in now if isinstance(table[field], str)} <= known


def test_served_kinds() -> None:
    served = served_kinds()
    assert served["autoscaling/v2beta2"]["HorizontalPodAutoscaler"] == fields.ServedKind(None, 26)
    assert served["v1"]["Pod"] == fields.ServedKind(None, None)
    assert "Pod" not in served["apps/v1"]


# Properties


def values_of(shape: str, depth: int) -> st.SearchStrategy[Any]:
    """JSON values that fit a shape of the table."""
    if shape.startswith("["):
        return st.lists(values_of(shape[1:-1], depth), max_size=2)
    if shape.startswith("{"):
        return st.dictionaries(st.text(max_size=3), values_of(shape[1:-1], depth), max_size=2)
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=3),
        "time": st.just("2026-01-01T00:00:00Z"),
        "integer": st.integers(),
        "number": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "int-or-string": st.integers() | st.text(max_size=3),
        "quantity": st.sampled_from(["1", "500m", "2Gi", "1e3", "-0.5"]) | st.integers() | st.just(0.25),
        "any": st.dictionaries(st.text(max_size=3), st.integers() | st.lists(st.none()), max_size=2),
    }
    if shape in scalars:
        return st.none() | scalars[shape]
    if depth == 0:
        return st.just({}) | st.none()
    return objects_of(shape, depth - 1)


def objects_of(name: str, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    table = {
        field: shape if isinstance(shape, str) else shape[0]
        for field, shape in TABLE["types"][name].items()
        if isinstance(shape, str) or shape[2] is None
    }
    if not table:
        return st.just({})
    some = st.lists(st.sampled_from(sorted(table)), unique=True, max_size=4)
    return some.flatmap(lambda chosen: st.fixed_dictionaries({f: values_of(table[f], depth) for f in chosen}))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(KINDS))
def test_every_object_made_of_the_tables_shapes_is_accepted(data: st.DataObject, kind: tuple[str, str]) -> None:
    value = data.draw(objects_of(TABLE["kinds"][kind[0]][kind[1]], 5))
    assert check_fields(*kind, value, NEWEST) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["spec", "containers", "template", "env", "name", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "x"]), json_values), st.sampled_from(KINDS))
def test_any_object_without_its_mistyped_values_has_none(value: dict[str, Any], kind: tuple[str, str]) -> None:
    before = copy.deepcopy(value)
    found: list[FieldProblem] = check_fields(*kind, value, NEWEST)
    left = without(value, found)
    assert all(problem.kind == "unknown" for problem in check_fields(*kind, left, NEWEST))
    assert value == before
