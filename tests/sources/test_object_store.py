"""Objects in memory: what goes in comes out, in the order of places, and takes little."""

from __future__ import annotations

import json
import os
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from kubeassay.sources import object_store
from kubeassay.sources.object_store import ObjectStore

OBJECTS = st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=400)), max_size=30)


@given(OBJECTS, OBJECTS, st.integers(1, 500), st.integers(0, 900))
def test_it_is_a_mapping_in_order(
    one: list[tuple[str, bytes]], other: list[tuple[str, bytes]], block: int, at_hand: int
) -> None:
    before = object_store._BLOCK, object_store._AT_HAND
    object_store._BLOCK, object_store._AT_HAND = block, at_hand
    try:
        store, more = ObjectStore(), ObjectStore()
        for name, content in one:
            store.add(name, content)
            assert store[name] == content
        for name, content in other:
            more.add(name, content)
        store.update(more)
        wanted = {**dict(one), **dict(other)}
        assert list(store.items()) == sorted(wanted.items())
        assert {name: store.size(name) for name in store} == {name: len(wanted[name]) for name in wanted}
        assert len(store) == len(wanted)
        store.add("after", b"x")
        assert ("after" in store, store["after"], "none" in store) == (True, b"x", False)
    finally:
        object_store._BLOCK, object_store._AT_HAND = before


def test_objects_that_are_alike_take_little() -> None:
    spec = {f"field-{number}": os.urandom(8).hex() for number in range(60)}
    tracemalloc.start()
    try:
        store = ObjectStore()
        size = 0
        for number in range(4_000):
            content = json.dumps({"metadata": {"name": f"pod-{number}"}, "spec": spec}).encode()
            store.add(f"{number:05}", content)
            size += len(content)
        assert all(store[name] for name in store)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 3 * object_store._AT_HAND / 4
    # What is at hand, the index, and a part of the rest.
    assert peak < object_store._AT_HAND + 4_000 * 400 + size / 4
