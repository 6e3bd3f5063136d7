"""Lists are decoded a member at a time, as they would be at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.sources.json_list import read_members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(body: bytes) -> tuple[Any, Any]:
    members: list[Any] = []
    rest, count = read_members(body, members.append)
    assert count == (len(members) if count is not None else None)
    return rest, None if count is None else members


@given(st.dictionaries(st.text() | st.just("items"), VALUES, max_size=4), st.sampled_from([None, 1, "\t"]))
def test_it_is_what_is_decoded_at_once(value: dict[str, Any], indent: Any) -> None:
    body = json.dumps(value, indent=indent).encode()
    rest, members = read(body)
    whole = json.loads(body)
    if members is not None:
        rest["items"] = members
    assert rest == whole


@given(st.text(alphabet='{}[]:,"items 1\n\\', max_size=14))
def test_what_is_no_json_is_refused(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the decoder says
            read(text.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"items":[1',
        b'{"items":[1,]}',
        b'{"items":[,1]}',
        b'{"items":[1 2]}',
        b'{"items":[1]}x',
        b'{,"items":[]}',
        b'{"items":[]',
        b'{"items":[],"items":[1]}',
        b'{"items":1,"items":[1]}',
        b"{1:2}",
        b"\xff",
    ],
)
def test_a_broken_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the decoder says
        read(body)


@pytest.mark.parametrize("body", [b"[]", b" 5 ", b'{"items": null}', b'{"items": {"a": 1}}', b"{}"])
def test_what_has_no_list_is_told_apart(body: bytes) -> None:
    assert read(body) == (json.loads(body), None)
