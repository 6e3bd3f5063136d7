"""Custom resources against the definitions beside them. The expectations follow the documentation of structural schemas
and the tests of k8s.io/apiextensions-apiserver (pruning, defaulting, nulls, list types)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import objects_in, plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.analysis.custom_resources import judged_resources
from kubeassay.analysis.structural import judge
from kubeassay.model import Inventory, NotEvaluated, Result, format_path

RULES = ("custom-resource-field-unknown", "custom-resource-invalid")


def said(schema: dict[str, Any], value: Any, *, prunes: bool = True, status: bool = False) -> set[tuple[str, str]]:
    """(kind, path) of the problems of a resource whose spec is ``value``."""
    whole = {"type": "object", "properties": {"spec": schema}}
    found = judge({"apiVersion": "a.b/v1", "kind": "C", "spec": value}, whole, prunes=prunes, status=status)
    assert found.unjudged is None
    return {(problem.kind, format_path(problem.path).removeprefix("spec").lstrip(".")) for problem in found.problems}


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}


def mapping(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


UNKNOWN, INVALID = "unknown", "invalid"
EMBEDDED = mapping(a=STRING) | {"x-kubernetes-embedded-resource": True}
EITHER = {"x-kubernetes-int-or-string": True, "anyOf": [INTEGER, STRING], "pattern": "^[0-9]+%$"}
ONE_OF = mapping(a=STRING, b=STRING) | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}
CASES: list[tuple[dict[str, Any], Any, set[tuple[str, str]]]] = [
    # Unknown fields
    (mapping(a=STRING), {"a": "x"}, set()),
    (mapping(a=STRING), {"a": "x", "b": 1}, {(UNKNOWN, "b")}),
    (mapping(a=STRING) | PRESERVE, {"a": "x", "b": {"c": 1}}, set()),
    (mapping(a=mapping(b=STRING)) | PRESERVE, {"a": {"c": 1}, "d": 1}, {(UNKNOWN, "a.c")}),
    (mapping(a=mapping(b=mapping(c=STRING)) | PRESERVE), {"a": {"b": {"x": 1}, "y": 1}}, {(UNKNOWN, "a.b.x")}),
    ({"type": "array", "items": mapping(a=STRING)}, [{"a": "x"}, {"b": 1}], {(UNKNOWN, "[1].b")}),
    ({"type": "array", "items": mapping(a=STRING)} | PRESERVE, [{"b": 1}], set()),
    ({"type": "object", "additionalProperties": mapping(a=STRING)}, {"k": {"b": 1}}, {(UNKNOWN, "k.b")}),
    ({"type": "object"}, {"a": 1}, {(UNKNOWN, "a")}),
    (
        EMBEDDED,
        {"apiVersion": "v1", "kind": "A", "b": 1},
        {(UNKNOWN, "b")},
    ),
    (EMBEDDED, {"kind": "A"}, {(INVALID, "apiVersion")}),
    # What is dropped is not validated.
    (mapping(a=STRING) | {"maxProperties": 1}, {"a": "x", "b": 1}, {(UNKNOWN, "b")}),
    # Types
    (mapping(a=INTEGER), {"a": "1"}, {(INVALID, "a")}),
    (mapping(a=INTEGER), {"a": True}, {(INVALID, "a")}),
    (mapping(a=INTEGER), {"a": 1.0}, set()),
    (mapping(a=INTEGER), {"a": 1.5}, {(INVALID, "a")}),
    (mapping(a={"type": "number"}), {"a": 1}, set()),
    (mapping(a=STRING), {"a": 1}, {(INVALID, "a")}),
    (mapping(a={"type": "array", "items": STRING}), {"a": ["x", 1]}, {(INVALID, "a[1]")}),
    (mapping(a={"x-kubernetes-int-or-string": True}), {"a": "50%"}, set()),
    (mapping(a={"x-kubernetes-int-or-string": True}), {"a": 5}, set()),
    (mapping(a={"x-kubernetes-int-or-string": True}), {"a": True}, {(INVALID, "a")}),
    (
        mapping(a=EITHER),
        {"a": "x"},
        {(INVALID, "a")},
    ),
    # Nulls and defaults
    (mapping(a=STRING), {"a": None}, set()),
    (mapping(a=STRING) | {"required": ["a"]}, {"a": None}, {(INVALID, "a")}),
    (mapping(a=STRING | {"nullable": True}) | {"required": ["a"]}, {"a": None}, set()),
    (mapping(a=STRING | {"default": "x"}) | {"required": ["a"]}, {"a": None}, set()),
    (mapping(a=STRING | {"default": "x"}) | {"required": ["a"]}, {}, set()),
    (mapping(a=STRING | {"nullable": True, "enum": ["x"]}), {"a": None}, {(INVALID, "a")}),
    ({"type": "array", "items": STRING}, [None], {(INVALID, "[0]")}),
    (mapping(a=mapping(b=STRING | {"default": "x"}) | {"required": ["b"]}), {"a": {}}, set()),
    # Values
    (mapping(a=STRING) | {"required": ["a", "b"]}, {"a": "x"}, {(INVALID, "b")}),
    (mapping(a=STRING | {"enum": ["x", "y"]}), {"a": "z"}, {(INVALID, "a")}),
    (mapping(a=INTEGER | {"enum": [1]}), {"a": 1.0}, set()),
    (mapping(a=STRING | {"pattern": "b"}), {"a": "abc"}, set()),
    (mapping(a=STRING | {"pattern": "^b$"}), {"a": "abc"}, {(INVALID, "a")}),
    (mapping(a=STRING | {"minLength": 1, "maxLength": 2}), {"a": "éé"}, set()),
    (mapping(a=STRING | {"maxLength": 1}), {"a": "éé"}, {(INVALID, "a")}),
    (mapping(a=INTEGER | {"minimum": 1}), {"a": 0}, {(INVALID, "a")}),
    (mapping(a=INTEGER | {"maximum": 5, "exclusiveMaximum": True}), {"a": 5}, {(INVALID, "a")}),
    (mapping(a={"type": "number", "multipleOf": 0.1}), {"a": 0.3}, set()),
    (mapping(a=INTEGER | {"multipleOf": 2}), {"a": 3}, {(INVALID, "a")}),
    (mapping(a={"type": "array", "items": STRING, "minItems": 1}), {"a": []}, {(INVALID, "a")}),
    (mapping(a={"type": "array", "items": STRING, "maxItems": 1}), {"a": ["x", "y"]}, {(INVALID, "a")}),
    ({"type": "object", "additionalProperties": STRING, "minProperties": 1}, {}, {(INVALID, "")}),
    (mapping(a=STRING | {"format": "date-time"}), {"a": "2020-01-01T00:00:00Z"}, set()),
    (mapping(a=STRING | {"format": "date-time"}), {"a": "2020-13-01T00:00:00Z"}, {(INVALID, "a")}),
    (mapping(a=STRING | {"format": "ipv4"}), {"a": "10.0.0.256"}, {(INVALID, "a")}),
    (mapping(a=STRING | {"format": "what-is-this"}), {"a": "x"}, set()),
    # Joined
    (ONE_OF, {"a": "x"}, set()),
    (ONE_OF, {}, {(INVALID, "")}),
    (
        mapping(a=STRING, b=STRING) | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"a": "", "b": ""},
        {(INVALID, "")},
    ),
    (mapping(a=STRING, b=STRING) | {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": "", "b": ""}, set()),
    (mapping(a=INTEGER) | {"allOf": [{"properties": {"a": {"minimum": 3}}}]}, {"a": 2}, {(INVALID, "a")}),
    (mapping(a=STRING) | {"not": {"required": ["a"]}}, {"a": "x"}, {(INVALID, "")}),
    # Lists
    ({"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}, ["a", "b", "a"], {(INVALID, "[2]")}),
    (
        {
            "type": "array",
            "items": mapping(n=STRING, v=STRING),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["n"],
        },
        [{"n": "a", "v": "1"}, {"n": "b"}, {"n": "a", "v": "2"}],
        {(INVALID, "[2]")},
    ),
]


@pytest.mark.parametrize(("schema", "value", "expected"), CASES, ids=lambda case: json.dumps(case, default=str)[:60])
def test_cases(schema: dict[str, Any], value: Any, expected: set[tuple[str, str]]) -> None:
    assert said(schema, value) == expected


def test_without_pruning_nothing_is_unknown() -> None:
    assert said(mapping(a=STRING), {"b": 1}, prunes=False) == set()


def definition(schema: dict[str, Any] | None, **spec: Any) -> str:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    value = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "shops.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Shop", "plural": "shops"},
            "scope": "Namespaced",
            "versions": [version],
            **spec,
        },
    }
    return json.dumps(value)


def scanned(crd: str, resource: str) -> Result:
    return scan_text(plan_of(profile_of(*RULES), show=["not-evaluated"]), f"{crd}\n---\n{resource}\n")


def found(crd: str, resource: str) -> set[tuple[str, str, int, int]]:
    return {(f.rule, f.path, f.location.start_line, f.location.start_column) for f in scanned(crd, resource).findings}


def unjudged(crd: str, resource: str) -> list[NotEvaluated]:
    return [one for one in scanned(crd, resource).not_evaluated if one.rule in RULES]


SHOP = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {name: a}\n"


def test_findings_stand_at_the_key_and_at_the_value() -> None:
    crd = definition(mapping(spec=mapping(replicas=INTEGER, size=STRING)))
    assert found(crd, SHOP + "spec:\n  replica: 1\n  size: 3\n") == {
        ("custom-resource-field-unknown", "spec.replica", 7, 3),
        ("custom-resource-invalid", "spec.size", 8, 9),
    }


def test_values_are_not_shown() -> None:
    crd = definition(mapping(spec=mapping(password=STRING | {"pattern": "^[0-9]$", "enum": ["a"]})))
    result = scanned(crd, SHOP + "spec: {password: hunter2, hunter3: 1}\n")
    assert len(result.findings) == 2
    assert "hunter2" not in repr(result)


def test_versions_and_scope() -> None:
    schema = mapping(spec=mapping())
    crd = definition(schema)
    assert found(crd, SHOP.replace("/v1", "/v2")) == {("custom-resource-invalid", "apiVersion", 3, 13)}
    version = {"name": "v1", "served": False, "schema": {"openAPIV3Schema": schema}}
    assert found(definition(schema, versions=[version]), SHOP) == {("custom-resource-invalid", "apiVersion", 3, 13)}
    cluster = definition(schema, scope="Cluster")
    stated = SHOP.replace("{name: a}", "{name: a, namespace: b}")
    assert found(cluster, stated) == {("custom-resource-field-unknown", "metadata.namespace", 5, 21)}
    assert found(crd, stated) == set()


def test_metadata_is_that_of_any_object() -> None:
    crd = definition(mapping(spec=mapping()))
    resource = SHOP.replace("{name: a}", "{name: a, label: {}, labels: {a: 1}}")
    assert {(rule, path) for rule, path, *_ in found(crd, resource)} == {
        ("custom-resource-field-unknown", "metadata.label"),
        ("custom-resource-invalid", "metadata.labels.a"),
    }


def test_the_old_form_keeps_unknown_fields_unless_it_says_so() -> None:
    def old(**spec: Any) -> str:
        validation = {"openAPIV3Schema": mapping(spec=mapping(a=STRING))}
        text = definition(None, versions=[{"name": "v1", "served": True}], validation=validation, **spec)
        return text.replace("apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1")

    resource = SHOP + "spec: {a: 1, b: 1}\n"
    invalid = ("custom-resource-invalid", "spec.a", 6, 11)
    assert found(old(), resource) == {invalid}
    assert found(old(preserveUnknownFields=False), resource) == {
        invalid,
        ("custom-resource-field-unknown", "spec.b", 6, 14),
    }


def test_the_status_counts_where_it_is_no_subresource() -> None:
    schema = mapping(status=mapping(a=STRING))
    resource = SHOP + "status: {b: 1}\n"
    assert len(found(definition(schema), resource)) == 1
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}
    assert found(definition(schema, versions=[version]), resource) == set()


def test_other_kinds_are_not_judged() -> None:
    result = scanned(
        definition(mapping()), "apiVersion: example.com/v1\nkind: Other\nmetadata: {name: a}\nspec: {a: 1}\n"
    )
    assert (result.findings, result.summary.passed) == ((), 0)


def test_the_nearest_definition_counts() -> None:
    texts = {
        "dev/crd.yaml": definition(mapping(spec=mapping(a=STRING))),
        "prod/crd.yaml": definition(mapping(spec=mapping(b=STRING))),
        "dev/shop.yaml": SHOP + "spec: {a: x}\n",
        "prod/shop.yaml": SHOP + "spec: {a: x}\n",
    }
    from kubeassay.sources.manifests import read_bytes

    objects = [obj for name, text in texts.items() for obj in read_bytes(text.encode(), name).objects]
    judged = judged_resources(Inventory(objects), 37)
    assert {one.obj.file: len(one.judgement.problems) for one in judged} == {"dev/shop.yaml": 0, "prod/shop.yaml": 1}


def test_rules_in_cel_are_not_passed() -> None:
    rule = {"x-kubernetes-validations": [{"rule": "self.a == 'x'"}]}
    crd = definition(mapping(spec=mapping(a=STRING) | rule))
    result = scanned(crd, SHOP + "spec: {a: value}\n")
    passed = {control: counts.passed for control, counts in result.summary.by_control.items()}
    # The rule on unknown fields alone.
    assert (sum(passed.values()), result.findings) == (1, ())


@pytest.mark.parametrize(
    "schema",
    [
        mapping(spec=mapping(a=STRING | {"pattern": "(?=x)"})),
        mapping(spec=mapping(a=STRING | {"pattern": 3})),
        mapping(spec=mapping(a=STRING | {"format": "creditcard"})),
        mapping(spec=mapping(a={"$ref": "#/x"})),
        mapping(spec={"type": "object", "properties": []}),
        mapping(spec=mapping(a={"type": "nothing"})),
        mapping(spec=7),
        "no schema",
        None,
    ],
)
def test_what_is_not_understood_is_not_passed(schema: Any) -> None:
    result = scanned(definition(schema), SHOP + "spec: {a: value}\n")
    assert result.findings == ()
    assert "custom-resource-invalid" in {one.rule for one in result.not_evaluated if one.reason == "unsupported"}


HOSTILE = """
from kubeassay.analysis.structural import judge

def judged(schema, spec):
    return judge({"spec": spec}, {"type": "object", "properties": {"spec": schema}}, prunes=True, status=False)

wide = deep = {"type": "string"}
grown = {"type": "object", "default": {}, "properties": {}}
for _ in range(60):
    wide = {"anyOf": [wide, wide, wide]}
    grown = {"type": "object", "default": {}, "properties": {"a": grown, "b": grown}}
for _ in range(5000):
    deep = {"allOf": [deep]}
for schema, spec in ((wide, 1), (deep, 1), (grown, {})):
    assert judged(schema, spec).unjudged is not None
(problem,) = judged({"type": "string", "pattern": "^(a+)+$"}, "a" * 5000 + "b").problems
many = judged({"type": "array", "items": {"type": "string"}}, [1] * 100_000)
assert len(many.problems) == 50
"""


def test_work_is_bounded() -> None:
    run_within_seconds(HOSTILE)


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="ascii"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "metadata"]), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYWORDS = [
    "type", "properties", "items", "additionalProperties", "required", "enum", "pattern", "format", "minimum",
    "maxItems", "multipleOf", "maxLength", "minProperties", "allOf", "anyOf", "oneOf", "not", "default", "nullable",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string", "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
]  # fmt: skip
SCHEMAS = st.recursive(
    JSON | st.sampled_from(["object", "array", "string", "set", "map", "date-time", True]),
    lambda inner: (
        st.dictionaries(st.sampled_from([*KEYWORDS, "a", "b"]), inner, max_size=5) | st.lists(inner, max_size=3)
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYWORDS), SCHEMAS, max_size=6),
    st.dictionaries(st.sampled_from("ab"), JSON),
    st.booleans(),
)
def test_any_schema_gives_an_answer(schema: dict[str, Any], value: dict[str, Any], prunes: bool) -> None:
    before = json.dumps([schema, value])
    judgement = judge(value, schema, prunes=prunes, status=True)
    assert len(judgement.problems) <= 50
    assert json.dumps([schema, value]) == before, "what others read is not changed"


@settings(max_examples=100, deadline=None)
@given(SCHEMAS)
def test_any_definition_leaves_a_result(schema: Any) -> None:
    (crd,) = objects_in(definition(None, versions=schema, names={"kind": "Shop"}))
    (shop,) = objects_in(SHOP)
    judged_resources(Inventory([crd, shop]), 37)
