from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeassay.model import Excerpt, Outcome, Result
from kubeassay.reporting import RenderOptions, render
from kubeassay.reporting.terminal import to_text
from kubeassay.reporting.texts import table
from reporting.samples import FAILING, SAMPLES
from reporting.strategies import results
from reporting.validity import assert_no_commands


@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, golden: Callable[[str, bytes], None]) -> None:
    golden(f"{name}.txt", render("terminal", SAMPLES[name]).documents[0])


@settings(max_examples=60, deadline=None)
@given(results(), st.booleans(), st.integers(0, 200))
def test_nothing_steers_the_terminal(result: Result, colour: bool, width: int) -> None:
    everything: frozenset[Outcome] = frozenset({"fail", "pass", "not-evaluated", "excepted"})
    text = to_text(result, RenderOptions(colour=colour, width=width, show=everything))
    if colour:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert text.replace("\n", "").isprintable()
    assert text.encode("utf-8")


def test_colour_adds_only_style() -> None:
    assert click.unstyle(to_text(FAILING, RenderOptions(colour=True))) == to_text(FAILING)


def test_quiet_is_the_end_of_the_full_report() -> None:
    quiet = to_text(FAILING, RenderOptions(quiet=True))
    assert quiet.splitlines()[0].startswith("3 objects")
    assert to_text(FAILING).endswith(quiet)


def test_show_chooses_the_outcomes() -> None:
    text = to_text(FAILING, RenderOptions(show=frozenset({"fail"})))
    assert "container app is privileged" in text
    assert "container agent is privileged" not in text


@pytest.mark.parametrize(
    ("excerpt", "shown"),
    [
        (Excerpt("    privileged: true", 16, 20), ["  privileged: true", "              ^^^^"]),
        (Excerpt("\tkey: 値値 x", 6, 8), [" key: 値値 x", "      ^^^^"]),
        (Excerpt("a: b", 4, 4), ["a: b", "    ^"]),
        (Excerpt("x" * 90 + "y", 90, 91), ["x" * 15 + "y", " " * 15 + "^"]),
    ],
)
def test_the_caret_stands_under_the_region(excerpt: Excerpt, shown: list[str]) -> None:
    finding = replace(FAILING.findings[0], excerpt=excerpt)
    text = to_text(replace(FAILING, findings=(finding,)), RenderOptions(width=68))
    lines = [line.split(" | ", 1)[1] for line in text.splitlines() if " | " in line]
    assert lines == shown


@pytest.mark.parametrize(
    "file", ["::add-mask::x.yaml", "a ##[add-matcher]b.yaml"], ids=["at the line's start", "anywhere in it"]
)
def test_no_line_is_a_command_of_a_runner(file: str) -> None:
    """GitHub's runner reads commands from whatever a step prints, and who opens a pull request names files."""
    finding = replace(FAILING.findings[0], location=replace(FAILING.findings[0].location, file=file))
    text = to_text(replace(FAILING, findings=(finding,), errors=()), RenderOptions(width=200))
    assert_no_commands(text)
    assert "container app is privileged" in text


def test_a_message_that_is_wrapped_begins_no_command() -> None:
    finding = replace(FAILING.findings[0], message=" ".join(["word"] * 15 + ["::stop-commands::x"] * 9))
    assert_no_commands(to_text(replace(FAILING, findings=(finding,)), RenderOptions(width=60)))


def test_no_row_of_a_table_is_a_command_of_a_runner() -> None:
    [row] = table([["::error::x", "y"]])
    assert row == r"\x3a:error::x  y"
