"""Paths as text, and tables of spans."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.model import Path, format_path, parse_path
from kubeassay.model.place import Every, Having, parse_pattern
from kubeassay.sources.yaml_reader import read_text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "containers", 0, "image"), "spec.containers[0].image"),
        (("metadata", "labels", "app.kubernetes.io/name"), 'metadata.labels["app.kubernetes.io/name"]'),
        (("a", 'b"c\\d'), 'a["b\\"c\\\\d"]'),
        (("a", ""), 'a[""]'),
        (("a", "0"), 'a["0"]'),
        (("a", 0), "a[0]"),
        ((0, 1, "x"), "[0][1].x"),
        (("$setElementOrder", "a-b"), "$setElementOrder.a-b"),
        (("a", "b\n"), 'a["b\n"]'),
    ],
)
def test_paths_as_text(path: Path, text: str) -> None:
    assert format_path(path) == text
    assert parse_path(text) == path


@given(st.lists(st.one_of(st.text(max_size=8), st.text('.[]"\\ab\n', max_size=6), st.integers(0, 999)), max_size=6))
def test_any_path_is_read_back(steps: list[str | int]) -> None:
    assert parse_path(format_path(tuple(steps))) == tuple(steps)


@pytest.mark.parametrize("text", ["a[", "a]", "a[x]", "a[-1]", 'a["b]', 'a"b"', "a..b", "a.", '["a"', "a[1"])
@pytest.mark.parametrize("parse", [parse_path, parse_pattern])
def test_what_is_no_path(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match="not a field path"):
        parse(text)


def test_steps_that_may_mean_several_items() -> None:
    steps = ("a", Every(), Having("name", "x.y"), 0, "b.c")
    assert parse_pattern('a[*][name=x.y][0]["b.c"]') == steps
    for text in ("a[*]", "a[name=x]"):
        with pytest.raises(ValueError, match=r"not a field path: .* \(at character 2\)"):
            parse_path(text)


def test_spans_are_the_same_in_another_process() -> None:
    text = "# \U0001f600\r\na: &x {b: yes}\r\nc: [*x, {<<: *x}]\r\n"
    (document,) = read_text(text, "f.yaml").documents
    sent = pickle.loads(pickle.dumps(document))
    assert sent.root == document.root
    for path in ((), ("a",), ("a", "b"), ("c", 0, "b"), ("c", 1, "b"), ("c", 1, "missing")):
        assert sent.spans.locate(sent.root, path) == document.spans.locate(document.root, path)
        assert sent.spans.value_span(sent.root, path) == document.spans.value_span(document.root, path)
        assert sent.spans.key_span(sent.root, path) == document.spans.key_span(document.root, path)


def test_keys_and_values_of_missing_paths() -> None:
    (document,) = read_text("a: [{b: 1}]\n", "f.yaml").documents
    spans, root = document.spans, document.root
    assert spans.key_span(root, ("a", 0, "b")) == (5, 6)
    assert spans.value_span(root, ("a", 0, "b")) == (8, 9)
    for path in (("a", 0, "c"), ("a", 1), ("b",), ("a", "0")):
        assert spans.key_span(root, path) is None
        assert spans.value_span(root, path) is None
    # Neither the root nor a list item has a key.
    assert spans.key_span(root, ()) is None
    assert spans.key_span(root, ("a", 0)) is None
