"""Values compared by what they mean."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import run_within_seconds
from kubeassay.analysis.meaning import compare, covers, parse_duration, parse_percent, parse_version, same


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("2", 2),
        (2, "2000m"),
        ("1Ti", "1024Gi"),
        ("1", "1000m"),
        (1.28, "1.28"),
        ("5m", "300s"),
        ("1h30m", "90m"),
        (["a", "b"], ["b", "a"]),
        ([{"verbs": ["get", "list"]}, {"verbs": ["watch"]}], [{"verbs": ["watch"]}, {"verbs": ["list", "get"]}]),
        ({"requests": {"cpu": "1.0"}}, {"requests": {"cpu": "1"}}),
        ({"a": True}, {"a": True}),
    ],
)
def test_the_same(expected: Any, found: Any) -> None:
    assert same(expected, found)
    assert same(found, expected)
    assert covers(found, expected)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("1.0", "1"),  # labels
        ("true", True),
        (True, 1),
        (0, False),
        (0, None),
        ("2", "3"),
        ("100Gi", "100G"),
        (["a", "a", "b"], ["a", "b", "b"]),
        (["a"], ["a", "a"]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, [1]),
        ("a", ["a"]),
        ("5m", "5s"),
        ("010", "10"),
    ],
)
def test_not_the_same(expected: Any, found: Any) -> None:
    assert not same(expected, found)
    assert not same(found, expected)


def test_order_counts_where_it_is_said() -> None:
    assert not same([1, 2], [2, 1], ordered=True)
    assert same([1, 2], [1, 2], ordered=True)
    assert not same({"a": [1, 2]}, {"a": [2, 1]}, ordered=True)


def test_a_quantity_path_makes_texts_numbers() -> None:
    assert same("1.0", "1", quantity=True)
    assert same("1", "1.0", reading="quantity")
    assert not same("1Gi", "1024Mi", reading="string")
    assert same(1, "1", reading="string")


@pytest.mark.parametrize(
    ("expected", "found", "order"),
    [
        ("2", 3, 1),
        ("1Ti", "1023Gi", -1),
        ("10m", "15m", 1),
        ("10m", "90s", -1),
        ("70%", "80%", 1),
        ("1Gi", "1024Mi", 0),
        ("a", "b", None),
        (1, True, None),
        (1, None, None),
        (1, [1], None),
    ],
)
def test_more_and_less(expected: Any, found: Any, order: int | None) -> None:
    assert compare(expected, found) == order


@pytest.mark.parametrize(
    ("expected", "found", "order"),
    [("1.9", "1.28", 1), ("v1.28.3", "1.28", -1), (1.28, "v1.28.0", 0), ("1.28", "1.28-eks-1", 0), ("1.28", "x", None)],
)
def test_versions(expected: Any, found: Any, order: int | None) -> None:
    assert compare(expected, found, reading="version") == order
    assert same(expected, found, reading="version") == (order == 0)


def test_what_covers() -> None:
    assert covers({"a": 1, "b": [1, 2]}, {"b": [2]})
    assert not covers({"b": [1]}, {"b": [2]})
    assert covers(["NET_BIND_SERVICE"], [])
    assert not covers({}, {"a": None})
    assert not covers("a", {"a": 1})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400),
        ("90s", 90),
        ("1.5h", 5400),
        ("-2m", -120),
        ("0", 0),
        ("500ms", Fraction(1, 2)),
        (".5s", Fraction(1, 2)),
    ],
)
def test_durations(text: str, seconds: Any) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1h ", "--1s", 5, None, "1" * 100 + "s"])
def test_no_durations(text: Any) -> None:
    assert parse_duration(text) is None


def test_shares_and_versions() -> None:
    assert parse_percent("70%") == parse_percent(0.7) == Fraction(7, 10)
    assert parse_percent("x%") is None
    assert parse_version("1.x") is None
    assert parse_version("1.28.x") is None
    assert parse_version(True) is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["1", "1.0", "1000m", "a", "", "1k", "60s", "1m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "limits"]), inner, max_size=2),
    max_leaves=8,
)


@given(_VALUES, _VALUES)
def test_sameness_is_symmetric_and_reflexive_and_covers(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)
    if same(one, other):
        assert covers(one, other)


@given(st.lists(_VALUES, max_size=4), st.randoms())
def test_a_shuffled_list_is_the_same(values: list[Any], random: Any) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert same(values, shuffled)


def test_long_lists_are_compared_by_what_they_mean() -> None:
    assert same(["1000m"] * 300, ["1"] * 300, quantity=True)
    numbers = [str(number) for number in range(300)]
    assert same(numbers, [f"{number}.0" for number in numbers[::-1]], quantity=True)
    assert not same(numbers, [f"{number}.5" for number in numbers], quantity=True)
    assert covers(numbers * 3, numbers)


def test_lists_of_lists_that_differ_take_no_long_time() -> None:
    run_within_seconds(
        """
from kubeassay.analysis.meaning import covers, same
one, other = ([[f"{kind}{n}" for n in range(256)] for _ in range(256)] for kind in "ab")
assert not same(one, other) and not covers(one, other) and not covers(other, one)
deep, other = ([[[f"{kind}{n}" for n in range(40)] for _ in range(40)] for _ in range(40)] for kind in "ab")
assert not same(deep, other) and not covers(deep, other)
""",
        seconds=60,
    )
