"""The expected hashes are those that github/codeql-action states for its own function (src/fingerprints.test.ts at
06fb4821bc50)."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubeassay.model.line_hash import primary_location_line_hashes

_GREETINGS = [
    "e9496ae3ebfced30:1",
    "fb7c023a8b9ccb3f:1",
    "ce8ba1a563dcdaca:1",
    "e20e36e16fcb0cc8:1",
    "b3edc88f2938467e:1",
    "c8e28b0b4002a3a0:1",
    "c129715d7a2bc9a3:1",
]


@pytest.mark.parametrize(
    ("text", "hashes"),
    [
        ("", ["c129715d7a2bc9a3:1"]),
        (
            " a\nb\n  \t\tc\n d",
            ["271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"],
        ),
        (" hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End\n", _GREETINGS),
        (" hello; \t\nworld!!!\r\r\r  \t\tGreetings\r End\r", _GREETINGS),
        (" hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n", _GREETINGS),
        (" hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n", _GREETINGS),
        (
            "Lorem ipsum dolor sit amet.\n" * 10,
            [
                *(f"a7f2ff13bc495cf2:{number}" for number in range(1, 7)),
                "a7f2ff1481e87703:1",
                "a9cf91f7bbf1862b:1",
                "55ec222b86bcae53:1",
                "cc97dc7b1d7d8f7b:1",
                "c129715d7a2bc9a3:1",
            ],
        ),
    ],
)
def test_upstream_vectors(text: str, hashes: list[str]) -> None:
    found = primary_location_line_hashes(text, range(-1, len(hashes) + 3))
    assert found == dict(enumerate(hashes, 1))


def _slowly(text: str) -> dict[int, str]:
    """Every line's hash, by the definition: one line, one window, one polynomial."""
    encoded = text.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]
    normal: list[int] = []
    previous = 0
    for unit in units:
        if not (unit == 10 and previous == 13):
            normal.append(10 if unit == 13 else unit)
        previous = unit
    normal = [unit for unit in normal if unit not in (9, 32)]
    starts = [0] + [place + 1 for place, unit in enumerate(normal) if unit == 10]
    normal += [0xFFFF] + [0] * 100
    hashes: dict[int, str] = {}
    occurrences: dict[int, int] = {}
    for line, start in enumerate(starts, 1):
        value = 0
        for unit in normal[start : start + 100]:
            value = (value * 37 + unit) % 2**64
        occurrences[value] = occurrences.get(value, 0) + 1
        hashes[line] = f"{value:x}:{occurrences[value]}"
    return hashes


_LINES = st.lists(
    st.sampled_from(
        ["a", "b: c", " ", "\t", "\n", "\r", "\r\n", "\ufeff", "\U0001f600", "é", "\uffff", "\x00", "\x85", "long" * 30]
    ),
    max_size=60,
).map("".join)


@given(_LINES | st.text(), st.sets(st.integers(-1, 70)))
@example("\r \n", {1, 2, 3})
@example("a\r", {1, 2, 3})
def test_equals_the_definition(text: str, lines: set[int]) -> None:
    expected = _slowly(text)
    assert len(expected) == len(re.split(r"\r\n|\r|\n", text))
    assert primary_location_line_hashes(text, lines) == {line: expected[line] for line in lines if line in expected}


def test_inserted_lines_above_keep_the_hash() -> None:
    text = "spec:\n  containers:\n    - name: app\n" + "# end\n" * 40
    before = primary_location_line_hashes(text, [3])[3]
    assert primary_location_line_hashes("# new\n\n" + text, [5])[5] == before
