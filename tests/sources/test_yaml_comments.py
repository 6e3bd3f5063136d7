"""Comments, and what only looks like one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.sources.yaml_comments import comments

MARK = re.compile(r"mark:")


def found(text: str) -> list[tuple[str, int, int, int | None]]:
    """(text, line, column, line that it is about)."""
    return [(c.text, c.location.start_line, c.location.start_column, c.about) for c in comments(text, "a.yaml", MARK)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1  # mark: x\n", [("mark: x", 1, 7, 1)]),
        ("# mark: x\na: 1\n", [("mark: x", 1, 1, 2)]),
        ("a:\n  # mark: x\n  # more\n  #\n  b: 1\n", [("mark: x", 2, 3, 5)]),
        ("#mark: x \t\r\na: 1\r\n", [("mark: x", 1, 1, 2)]),
        ("a: 1\n# mark: x\n\nb: 1\n", [("mark: x", 2, 1, None)]),
        ("a: 1\n# mark: x", [("mark: x", 2, 1, None)]),
        ("# mark: x\n---\na: 1\n", [("mark: x", 1, 1, 2)]),
        ("a: [1, # mark: x\n 2]\n", [("mark: x", 1, 8, 1)]),
        ("a: | # mark: x\n  b\nc: 1 # mark: y\n", [("mark: x", 1, 6, 1), ("mark: y", 3, 6, 3)]),
        ("- &x # mark: x\n  a: 1\n", [("mark: x", 1, 6, 1)]),
        ("a: 'é😀' # mark: x\n", [("mark: x", 1, 10, 1)]),
        # None of these is a comment.
        ('a: "# mark: x"\n', []),
        ("a: ' # mark: x'\n", []),
        ("a: b# mark: x\n", []),
        ("a: |\n  # mark: x\n  b\n", []),
        ("a: >-\n  b\n\n  # mark: x\n", []),
        ("a: 'b\n\n  # mark: x\n  c'\n", []),
        ("a: 1 # no mark: x\n", []),
        ('{"a": "# mark: x"}\n', []),
        # A block ends where what is indented less begins.
        ("a: |\n  b\n# mark: x\nc: 1\n", [("mark: x", 3, 1, 4)]),
        ("a:\n  b: |\n    c\n  # mark: x\n  d: 1\n", [("mark: x", 4, 3, 5)]),
        # What stands behind an error is not known; other documents are.
        ("a: [\n# mark: x\nb: ]]\n# mark: y\n---\nc: 1 # mark: z\n", [("mark: x", 2, 1, 3), ("mark: z", 6, 6, 6)]),
    ],
)
def test_a_comment_is_found_with_the_line_that_it_is_about(
    text: str, expected: list[tuple[str, int, int, int | None]]
) -> None:
    assert found(text) == expected


SCALARS = st.sampled_from(["# mark: x", "a # mark: x", "# mark: x\n# mark: y", "\n # mark: x\n"])


@given(
    st.dictionaries(st.sampled_from("abc"), SCALARS | st.lists(SCALARS)), st.sampled_from([None, '"', "'", "|", ">"])
)
def test_no_value_holds_a_comment(value: dict[str, object], style: str | None) -> None:
    import yaml

    text = yaml.safe_dump(value, default_style=style, default_flow_style=False)
    assert found(text) == []
