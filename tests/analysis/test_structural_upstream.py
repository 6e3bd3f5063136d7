"""Custom resources: the same is dropped and refused as by the code of the API server (tests/upstream_kubernetes)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from analysis.test_custom_resources import CASES, mapping
from kit import Ask, asking, go_program
from kubeassay.analysis.structural import judge
from kubeassay.model import format_path


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    program = go_program("upstream_kubernetes", "./structural", tmp_path_factory.mktemp("structural"))
    with asking(program) as ask:
        yield ask


def object_of(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Shop", "metadata": {"name": "a"}, "spec": spec}


def compared(upstream: Ask, schema: dict[str, Any], value: Any) -> bool:
    """Compare both on one spec; False where upstream does not take the schema."""
    whole = mapping(spec=schema)
    said = upstream({"schema": whole, "object": object_of(value)})
    if not said["structural"]:
        return False
    ours = judge(object_of(value), whole, prunes=True, status=False)
    assert ours.unjudged is None
    unknown = {format_path(problem.path) for problem in ours.problems if problem.kind == "unknown"}
    assert unknown == set(said["unknown"])
    invalid = {format_path(problem.path) for problem in ours.problems if problem.kind == "invalid"}
    assert bool(invalid) == bool(said["invalid"]), said["invalid"]
    places = {_place(problem) for problem in said["invalid"] if not problem.startswith("<nil>")}
    # Of alternatives upstream names no place, or what each of them lacks besides.
    if not any(f"'{word}'" in str(schema) for word in ("anyOf", "oneOf", "allOf", "not")):
        assert invalid == places, said["invalid"]
    return True


def _place(problem: str) -> str:
    """The path of an error of upstream, as a path of ours."""
    place = re.split(r": (?:Invalid|Required|Unsupported|Too|Duplicate|Forbidden)", problem)[0]
    # It writes keys of maps in brackets where it speaks of embedded resources.
    place = re.sub(r"\[([a-z]\w*)\]", r".\1", place)
    return re.sub(r"\.([0-9]+)(?=\.|\[|$)", r"[\1]", place)


@pytest.mark.parametrize(("schema", "value", "expected"), CASES)
def test_cases(upstream: Ask, schema: dict[str, Any], value: Any, expected: object) -> None:
    assert compared(upstream, schema, value), "the schema is not structural"


NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "", "a", "ab", "abc", "1"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
NULLABLE = st.fixed_dictionaries({}, optional={"nullable": st.booleans()})
SMALL = st.integers(0, 3)
STRINGS = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": SMALL,
        "maxLength": SMALL,
        "pattern": st.sampled_from(["^a", "b$", "^[a-b]*$"]),
        "enum": st.just(["a", "ab"]),
        "default": st.sampled_from(["a", "ab"]),
    },
)
NUMBERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={
        "minimum": SMALL,
        "maximum": SMALL,
        "exclusiveMinimum": st.booleans(),
        "multipleOf": st.integers(1, 2),
        "default": SMALL,
    },
)
OTHERS = st.sampled_from(
    [
        {"type": "boolean"},
        {"x-kubernetes-int-or-string": True},
        {"type": "object"},
        {"type": "array", "items": {"type": "string"}},
    ]
)


def _nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    common = {
        "minProperties": SMALL,
        "maxProperties": SMALL,
        "x-kubernetes-preserve-unknown-fields": st.just(True),
        "x-kubernetes-embedded-resource": st.just(True),
        "default": st.just({}),
    }
    either = [{"required": ["a"]}, {"required": ["b"]}]
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
        optional={
            **common,
            "required": st.lists(NAMES, max_size=2, unique=True),
            **{word: st.just(either) for word in ("anyOf", "oneOf", "allOf")},
            "not": st.just({"required": ["c"]}),
        },
    )
    maps = st.fixed_dictionaries(
        {"type": st.just("object"), "additionalProperties": inner}, optional={"maxProperties": SMALL}
    )
    lists = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"minItems": SMALL, "maxItems": SMALL, "x-kubernetes-preserve-unknown-fields": st.just(True)},
    )
    return objects | maps | lists


def _with_nullable(schema: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda one, more: {**one, **more}, schema, NULLABLE)


SCHEMAS = st.recursive(
    _with_nullable(STRINGS | NUMBERS | OTHERS), lambda inner: _with_nullable(_nested(inner)), max_leaves=8
)


_RESOURCE = {"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-embedded-resource": True}


@example(
    schema={
        "type": "array",
        "items": {"type": "object", "additionalProperties": {"type": "array", "items": _RESOURCE}},
    },
    value=[{"a": [{}]}],
)
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=_with_nullable(_nested(SCHEMAS)), value=VALUES)
def test_any_schema_and_value(upstream: Ask, schema: dict[str, Any], value: Any) -> None:
    event(f"compared: {compared(upstream, schema, value)}")
