"""The text of a live object: a reader of YAML takes it for the object, and every place in it is right."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeassay.model import Path
from kubeassay.sources.live_objects import read_live, render
from kubeassay.sources.manifests import read_bytes

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.sampled_from(
        [
            "y",
            "No",
            "1e3",
            "010",
            "~",
            "2020-01-01",
            "a: b",
            "- x",
            "#",
            "a\nb",
            "\u2028",
            "\U0001f600",
            "1.5",
            "a/b",
            "",
        ]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
OBJECTS = st.dictionaries(st.text(min_size=1), VALUES, max_size=5).map(
    lambda rest: {"apiVersion": "example.com/v1", "kind": "Any", "metadata": {"name": "n"}, **rest}
)


def paths(value: Any, path: Path = ()) -> list[Path]:
    found = [path]
    for step, child in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        found += paths(child, (*path, step))
    return found


def _in_flow(value: Any, path: Path) -> bool:
    """Whether a path leads to or into a list in a list."""
    for step in path:
        inside = isinstance(value, list)
        value = value[step]
        if inside and isinstance(value, list):
            return True
    return False


@given(OBJECTS)
@settings(max_examples=150, deadline=None)
def test_the_text_is_the_object(value: dict[str, Any]) -> None:
    text, _ = render(value)
    again = read_bytes(text.encode("utf-8", "surrogatepass"), "x.yaml")
    assert not again.errors
    assert [obj.value for obj in again.objects] == [value]


@given(OBJECTS)
@settings(max_examples=150, deadline=None)
def test_places_are_those_that_a_reader_of_the_text_finds(value: dict[str, Any]) -> None:
    write, objects, errors = read_live(json.dumps(value).encode(), "x.yaml")
    assert not errors
    (live,) = objects
    (read,) = read_bytes(write().encode("utf-8", "surrogatepass"), "x.yaml").objects
    for path in paths(value):
        if _in_flow(value, path):
            continue  # a list in a list has the place of the whole
        assert live.locate(path) == read.locate(path), path
        assert live.locate(path, key=True) == read.locate(path, key=True), path


def test_what_is_no_object_is_an_error() -> None:
    for content in (b"", b"[]", b'{"kind": 1}', b"{", b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000):
        _, objects, errors = read_live(content, "x.yaml")
        assert not objects
        assert len(errors) == 1
