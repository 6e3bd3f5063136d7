"""New entries in files of exceptions."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubeassay.policy.errors import PolicyError
from kubeassay.policy.exception_writing import HEADER, appended, literal

ENTRY: dict[str, Any] = {"rule": "a", "match": {"names": ["x"]}, "reason": "it: 'is' # so"}
HEAD = "apiVersion: kubeassay.dev/v1  # ours\nkind: Exceptions\n"
FILES = [
    "spec:\n  exceptions:\n    # first\n    - rule: b   # why\n      match: {names: [y]}\n    # last\n\n# end\n",
    "spec:\n  exceptions:\n  - {rule: b, match: {names: [y]}}\n"
    "  - rule: c\n    reason: |\n      text\n\n      more\n# end\n",
    "spec:\n  exceptions:\n    - rule: b\n      reason: >-\n        text\n        more",
    "spec:\n  exceptions: []  # none yet\n",
    "spec:\n  exceptions: [ ]\n",
    "spec: {exceptions: [{rule: b}, ]}\n",
    "spec: {exceptions: [{rule: b} # b\n  ]}\n",
    "spec:\n  exceptions: [\n    {rule: b},\n    {rule: c}\n  ] # end\n",
    "spec:\r\n  exceptions:\r\n    - rule: b\r\n      owner: me\r\n",
    "spec:\n  exceptions:\n    - rule: b\n      owner: me\nmetadata:\n  name: x\n",
]


@pytest.mark.parametrize("rest", FILES)
def test_an_entry_is_added_at_the_end_and_nothing_else_changes(rest: str) -> None:
    text = HEAD.replace("\n", "\r\n") + rest if "\r" in rest else HEAD + rest
    new = appended(text, [ENTRY, ENTRY])
    assert yaml.safe_load(new)["spec"]["exceptions"] == [*yaml.safe_load(text)["spec"]["exceptions"], ENTRY, ENTRY]
    for comment in ("# ours", "# first", "# why", "# last", "# none yet", "# end"):
        assert text.count(comment) == new.count(comment)
    assert ("\r\n" in new) == ("\r\n" in text)
    assert new.count("\n") == new.count("\r\n") or "\r\n" not in text
    if "[" not in rest.split("exceptions:")[1].lstrip()[:1]:
        removed = [line for line in difflib.ndiff(text.splitlines(), new.splitlines()) if line.startswith("- ")]
        assert removed == []


def test_a_new_file() -> None:
    assert yaml.safe_load(appended("", [ENTRY]))["spec"]["exceptions"] == [ENTRY]
    assert appended("", [ENTRY]).startswith(HEADER)


def test_where_it_cannot_be_put_the_entry_is_shown() -> None:
    text = f"{HEAD}metadata: {{name: &n [1]}}\nspec:\n  exceptions:\n    - rule: b\n      reason: *n\n"
    with pytest.raises(PolicyError, match=r"add by hand:\n    - rule: a"):
        appended(text, [ENTRY])


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
ENTRIES = st.lists(
    st.fixed_dictionaries({"rule": st.just("a"), "reason": TEXTS}, optional={"owner": TEXTS, "files": st.lists(TEXTS)}),
    min_size=1,
    max_size=3,
)


@given(ENTRIES, ENTRIES, st.booleans(), st.sampled_from([None, True, False]))
def test_whatever_is_stated_is_read_again(
    old: list[dict[str, Any]], new: list[dict[str, Any]], wide: bool, flow: bool | None
) -> None:
    spec = yaml.safe_dump({"exceptions": old}, default_flow_style=flow, allow_unicode=wide)
    text = HEAD + "spec:\n" + "".join(f"  {line}" for line in spec.splitlines(keepends=True))
    assert yaml.safe_load(appended(text, new))["spec"]["exceptions"] == [*old, *new]


@given(st.text(st.characters(exclude_characters="\n"), max_size=10), TEXTS)
def test_a_literal_means_itself_alone(text: str, other: str) -> None:
    from fnmatch import fnmatchcase

    assert fnmatchcase(text, literal(text))
    assert fnmatchcase(other, literal(text)) == (other == text)
