"""Sets of ports and addresses: exact, whatever is put together."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.analysis.network.connections import (
    ALL,
    NONE,
    Addresses,
    Connections,
    Protocol,
    addresses,
    cidr_addresses,
    ports,
)
from kubeassay.analysis.network.intervals import Intervals, difference, intersection, intervals, union

SMALL = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def members(of: Intervals) -> set[int]:
    return {n for start, end in of for n in range(start, end + 1)}


def is_normal(of: Intervals) -> bool:
    return all(start <= end for start, end in of) and all(
        first[1] + 1 < second[0] for first, second in itertools.pairwise(of)
    )


@given(SMALL, SMALL)
def test_set_operations_are_those_of_sets(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    a, b = intervals(first), intervals(second)
    assert members(a) == {n for start, end in first for n in range(start, end + 1)}
    for operation, expected in (
        (union, members(a) | members(b)),
        (intersection, members(a) & members(b)),
        (difference, members(a) - members(b)),
    ):
        found = operation(a, b)
        assert is_normal(found)
        assert members(found) == expected


@pytest.mark.parametrize(
    ("connections", "text"),
    [
        (ALL, "All Connections"),
        (NONE, "No Connections"),
        (ports("TCP", (80, 80), (8080, 8090)), "TCP 80,8080-8090"),
        (ports("UDP", (53, 53)) | ports("TCP", (53, 53)), "TCP 53,UDP 53"),
        (ALL - ports("UDP", (5353, 5353)), "SCTP 1-65535,TCP 1-65535,UDP 1-5352,5354-65535"),
        (ports("TCP", (0, 70000)), "TCP 1-65535"),
        (ports("SCTP", (9000, 9001), (9002, 9003)), "SCTP 9000-9003"),
    ],
)
def test_connections_are_written_shortly(connections: Connections, text: str) -> None:
    assert str(connections) == text


def test_a_connection_has_its_protocol() -> None:
    assert not ports("TCP", (53, 53)) & ports("UDP", (53, 53))
    both = ports("TCP", (53, 53)) | ports("UDP", (54, 54))
    protocols: tuple[Protocol, ...] = ("TCP", "UDP", "SCTP")
    assert [both.of(p) for p in protocols] == [((53, 53),), ((54, 54),), ()]


@pytest.mark.parametrize(
    ("text", "cidrs"),
    [
        ("10.1.2.3/8", ["10.0.0.0/8"]),
        ("010.0.0.0/08", ["10.0.0.0/8"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("2001:db8::1/33", ["2001:db8::/33"]),
        ("::ffff:10.0.0.0/104", ["10.0.0.0/8"]),
        ("10.0.0.0", None),
        ("10.0.0.0/255.0.0.0", None),
        ("10.0.0.0/33", None),
        ("10.0.0/8", None),
        ("example.org/8", None),
        ("", None),
    ],
)
def test_cidrs_are_read_as_an_api_server_reads_them(text: str, cidrs: list[str] | None) -> None:
    found = cidr_addresses(text)
    assert (None if found is None else list(found.cidrs())) == cidrs


def test_what_is_left_of_a_block_is_written_as_cidrs() -> None:
    inside, outside = addresses("10.0.0.0/24"), addresses("10.0.0.64/26")
    assert inside is not None
    assert outside is not None
    assert (inside - outside).cidrs() == ("10.0.0.0/26", "10.0.0.128/25")
    assert ((inside - outside) | outside).cidrs() == ("10.0.0.0/24",)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), min_size=1, max_size=4))
def test_cidrs_make_up_the_set_and_do_not_overlap(blocks: list[tuple[int, int]]) -> None:
    whole = Addresses()
    for number, length in blocks:
        block = addresses(f"{ipaddress.IPv4Address(number)}/{length}")
        assert block is not None
        whole |= block
    again = Addresses()
    for cidr in whole.cidrs():
        block = cidr_addresses(cidr)
        assert block is not None
        assert not again & block
        again |= block
    assert again == whole
