from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kubeassay import content
from kubeassay.model import Result
from kubeassay.reporting import FORMATS, render
from kubeassay.reporting.result_json import from_json, rule_as_json, to_json
from reporting.samples import FAILING, SAMPLES
from reporting.strategies import json_values, results


@cache
def _schema() -> Draft202012Validator:
    file = content.folder("reports") / "schemas" / "result.schema.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _errors(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in _schema().iter_errors(document)]


@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, golden: Callable[[str, bytes], None]) -> None:
    golden(f"{name}.json", to_json(SAMPLES[name]))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_keep_to_the_schema_and_come_back(name: str) -> None:
    document = to_json(SAMPLES[name])
    assert _errors(json.loads(document)) == []
    assert from_json(document) == SAMPLES[name]


@settings(max_examples=60, deadline=None)
@given(results())
def test_any_result_comes_back(result: Result) -> None:
    document = to_json(result)
    # What changed since an earlier result is of two results, and not written.
    assert from_json(document) == replace(result, comparison=None)
    assert to_json(from_json(document)) == document
    assert _errors(json.loads(document)) == []


def test_mapping_order_does_not_change_a_byte() -> None:
    turned = replace(
        FAILING,
        rules=dict(reversed(list(FAILING.rules.items()))),
        rule_severities=dict(reversed(list(FAILING.rule_severities.items()))),
        summary=replace(
            FAILING.summary,
            by_control=dict(reversed(list(FAILING.summary.by_control.items()))),
            by_severity=dict(reversed(list(FAILING.summary.by_severity.items()))),
        ),
    )
    assert to_json(turned) == to_json(FAILING)


def test_a_stored_result_renders_as_the_first_one() -> None:
    stored = from_json(to_json(FAILING))
    for form in FORMATS:
        assert render(form, stored) == render(form, FAILING)


def test_rule_as_json_begins_with_its_identity() -> None:
    rule = rule_as_json(FAILING.rules["privileged-container"])
    assert list(rule)[:5] == ["id", "title", "area", "severity", "references"]
    assert rule["hasExpression"] is False
    json.dumps(rule)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _paths(item, (*path, index))
    return found


_DOCUMENT = to_json(FAILING)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(_paths(json.loads(_DOCUMENT))), json_values, st.booleans())
def test_a_damaged_document_is_read_or_refused(path: tuple[Any, ...], value: Any, removed: bool) -> None:
    document = json.loads(_DOCUMENT)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if removed:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    try:
        result = from_json(json.dumps(document).encode())
    except ValueError:
        return
    for form in FORMATS:
        render(form, result)


@settings(max_examples=200)
@given(st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|expected|missing|schemaVersion"):
        from_json(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("schemaVersion"), "schemaVersion is missing"),
        (lambda d: d.update(schemaVersion="9"), "schemaVersion is '9'; this version of kubeassay reads '1'"),
        (
            lambda d: d["results"][1]["location"].update(startLine=0),
            r"results\[1\].location.startLine is a number; expected a whole number, 1 or more",
        ),
        (
            lambda d: d["results"][0].update(severity="worst"),
            r"results\[0\].severity is a text; expected one of critical, high, medium, low",
        ),
        (lambda d: d["results"][0]["location"].update(endColumn=1), r"results\[0\].location ends before it begins"),
        (lambda d: d["results"][0]["excerpt"].update(end=999), r"results\[0\].excerpt marks a part"),
        (lambda d: d["rules"]["permissive-mtls"].pop("title"), r"rules\['permissive-mtls'\].title is missing"),
        (lambda d: d.update(errors={}), "errors is an object; expected a list"),
    ],
)
def test_refusal_names_the_place(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    document = json.loads(_DOCUMENT)
    change(document)
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(document).encode())


@pytest.mark.parametrize("document", [b"[" * 100_000, b'{"schemaVersion": NaN}', b"\xff\xfe\x00", b""])
def test_refuses_what_is_no_json(document: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        from_json(document)
