from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from kubeassay.model import Outcome, Result
from kubeassay.reporting import RenderOptions, render
from kubeassay.reporting.html import to_html
from reporting.samples import FAILING, HOSTILE, SAMPLES
from reporting.strategies import results

_EMPTY = {"area", "br", "col", "hr", "img", "input", "link", "meta"}


class _Page(HTMLParser):
    """The elements of a page, with a check that each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _check(text: str) -> None:
    page = _Page(text)
    names = [name for name, _ in page.elements]
    assert names.count("script") == 1
    assert names.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "link", "form", "base", "svg"} & set(names)
    [policy] = [
        attributes["content"] or ""
        for name, attributes in page.elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    # The policy allows this style and this script, and no other.
    assert f"script-src '{_hash(page.texts['script'])}';" in policy
    assert f"style-src '{_hash(page.texts['style'])}';" in policy
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}]
        target = attributes.get("href") or "#"
        assert target.startswith(("#", "https://", "http://"))


@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, golden: Callable[[str, bytes], None]) -> None:
    text = to_html(SAMPLES[name])
    _check(text)
    # Style and script have files of their own; a change of them is no change of the report.
    for element in ("style", "script"):
        text = re.sub(rf"<{element}>.*?</{element}>", f"<{element}></{element}>", text, flags=re.DOTALL)
    text = re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-", text)
    golden(f"{name}.html", text.encode())


@settings(max_examples=20, deadline=None)
@given(results())
def test_any_result_makes_a_harmless_page(result: Result) -> None:
    everything: frozenset[Outcome] = frozenset({"fail", "pass", "not-evaluated", "excepted"})
    _check(to_html(result, RenderOptions(show=everything)))


def test_markup_in_a_manifest_is_text() -> None:
    assert "<script>alert" not in to_html(HOSTILE)
    assert "&lt;script&gt;alert(1)" in to_html(HOSTILE)


def test_same_result_same_bytes() -> None:
    assert render("html", FAILING) == render("html", FAILING)


def test_what_is_missing_stands_before_the_controls() -> None:
    text = to_html(FAILING)
    assert text.index("This report is not complete") < text.index("By control</h2>")
    assert text.index("mapping values are not allowed here") < text.index("By control</h2>")
