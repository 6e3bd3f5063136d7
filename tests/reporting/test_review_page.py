"""The Markdown of a review, for the comment of a pull request: golden pages, limits, and texts that mean nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from kit import git
from kubeassay.model import (
    Cause,
    Comparison,
    EscalationChange,
    ExposureChange,
    Location,
    PathChange,
    PermissionChange,
    Result,
    Review,
    SettingChange,
    Unseen,
    WorkloadChange,
)
from kubeassay.reporting import RenderOptions, render
from kubeassay.reporting.result_json import from_json
from kubeassay.reporting.review_markdown import LIMIT, marker
from reporting.samples import CLEAN, FAILING
from reporting.validity import markdown as valid
from review_tree import commit, kustomize, open_and_widen, page, repository

__all__ = ["kustomize", "repository"]

NASTY = (
    "a | b\n## `c` <img src=x onerror=y> [l](https://evil.example) </details> <!-- --> @org/team #1 **b** \u202e"
    " ::error::x"
)


def text_of(result: Result, options: RenderOptions | None = None) -> str:
    [document] = render("markdown", result, options).documents
    valid(document, result, options.link_base if options else "")
    return document.decode("utf-8")


def of_everything(text: str, number: int = 1) -> Review:
    """A review with a number of changes of each kind, whose texts are all one text."""
    place = Location(f"{text}.yaml", 3, 1, 3, 4)
    causes = (Cause("after", "opens", text, None, place), Cause("before", "closes", text))
    numbers = [f"{text} {index}" for index in range(number)]
    return Review(
        tuple(
            PathChange(was, now, (one,), (one,), text, causes, (text,))
            for one in numbers
            for was, now in (("closed", "open"), ("open", "closed"), ("closed", "not-evaluated"))
        ),
        tuple(WorkloadChange(word, one, text, text, place) for one in numbers for word in ("added", "removed")),
        tuple(
            PermissionChange(word, one, text, (text,), causes, text) for one in numbers for word in ("gained", "lost")
        ),
        tuple(
            EscalationChange(word, one, text, text, (text,), causes) for one in numbers for word in ("opened", "closed")
        ),
        tuple(
            ExposureChange(word, text, one, (text,), text, None, causes)
            for one in numbers
            for word in ("opened", "closed")
        ),
        tuple(
            SettingChange("mtls", word, (one,), text, text, causes)
            for one in numbers
            for word in ("weaker", "other", "stronger")
        ),
        tuple(Unseen("before", one, unread=True) for one in numbers),
    )


@pytest.mark.usefixtures("repository", "kustomize")
def test_golden(golden: Callable[[str, bytes], None]) -> None:
    base = ("--link-base", "https://github.example/o/r/blob/abc/")
    open_and_widen()
    there = page(*base)
    assert there == page(*base), "the same bytes again"
    golden("review-opened.md", there.encode())
    commit()
    git(Path(), "revert", "--no-commit", "HEAD")
    golden("review-closed.md", page(*base).encode())


@pytest.mark.parametrize("number", [1, 60, 3_000])
def test_a_comment_is_never_too_long_and_says_what_is_left_out(number: int) -> None:
    comparison = Comparison(FAILING.findings[:1], FAILING.findings[:1] * number, (), (), ())
    result = replace(
        FAILING, findings=FAILING.findings[:1] * number, comparison=comparison, review=of_everything(NASTY, number)
    )
    text = text_of(result, RenderOptions(link_base="https://github.example/o/r/blob/abc/"))
    assert LIMIT == 65_536
    assert len(text.encode("utf-8")) <= LIMIT
    assert text.endswith(marker("kubeassay/" + result.profile.name) + "\n")
    head = text.split("### ")[0]
    assert f"{number:,} network path{'' if number == 1 else 's'} opened" in head
    left = re.findall(r"([0-9,]+) network paths opened", head.partition("Not listed")[2])
    table = text.partition("**Opened (")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    assert rows
    assert len(rows) + sum(int(count.replace(",", "")) for count in left) == number, "each is listed, or counted above"
    if number == 3_000:
        # No section takes the room of all others.
        for section in ("Network paths", "Permissions", "Exposures", "Protections", "Findings"):
            assert f"### {section}" in text


def test_nothing_of_a_tree_is_markup_or_a_mention() -> None:
    text = text_of(replace(CLEAN, review=of_everything(NASTY)))
    assert "<img" not in text
    assert "](" not in text
    assert "`" not in text
    assert "@org" not in text
    assert "\u202e" not in text
    assert text.count("<!--") == 1
    for line in text.splitlines():
        assert not line.startswith(("::", "## a", "# "))
    # An unescaped bar would be a cell of its own.
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in rows}) <= 4
    for head, line in pairwise(rows):
        if set(line) <= set("|- "):
            assert head.count("|") == line.count("|")


def test_a_category_cannot_end_the_comment_that_names_it() -> None:
    assert marker("a --> <b> @c") == "<!-- kubeassay: a _-_ _b_ _c -->"
    text = text_of(replace(CLEAN, review=Review()), RenderOptions(sarif_category="prod --> @org/team"))
    assert text.splitlines()[-1] == "<!-- kubeassay: prod _-_ _org/team -->"


def test_an_incomplete_review_does_not_say_that_nothing_changed() -> None:
    said = text_of(replace(CLEAN, review=Review(unseen=(Unseen("before", "x.yaml: not rendered", unread=True),))))
    assert said.startswith("## kubeassay: No new findings, not complete\n")
    assert "No change of network paths" not in said
    assert "No change is seen, and not everything was read" in said
    assert "| before | not read | x.yaml: not rendered |" in said
    assert "**No change of network paths, permissions" in text_of(replace(CLEAN, review=Review()))


def test_a_terminal_is_not_steered_and_tells_all_kinds() -> None:
    [document] = render("terminal", replace(CLEAN, review=of_everything(NASTY + "\x1b[2J", 30))).documents
    text = document.decode("utf-8")
    assert "\x1b" not in text
    assert "\n##" not in text
    for word in ("opened:", "added:", "gained:", "can become:", "exposed:", "weaker:", "changed:", "perhaps not new:"):
        assert word in text
    assert "… and 20 more like this" in text
    assert "The review is not complete: 30 parts not read or not compared" in text


def test_json_keeps_a_review() -> None:
    result = replace(CLEAN, review=of_everything("a"))
    [document] = render("json", result).documents
    assert from_json(document).review == result.review
