from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings

from kubeassay.model import (
    ChangedField,
    Comparison,
    ControlSummary,
    Drift,
    Edit,
    Exception_,
    ExceptionUse,
    Excerpt,
    Fix,
    Location,
    MissingObject,
    NotCompared,
    Outcome,
    Picture,
    Result,
    SubjectMatch,
    UndeclaredObject,
)
from kubeassay.reporting import RenderOptions, render
from kubeassay.reporting.html import to_html
from kubeassay.reporting.html_data import fix_as_diff
from kubeassay.reporting.html_views import area_views
from reporting.samples import CLEAN, FAILING, HOSTILE, PICTURE, SAMPLES
from reporting.strategies import results

_EMPTY = {"area", "br", "col", "hr", "img", "input", "link", "meta"}


class _Page(HTMLParser):
    """The elements of a page, with a check that each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        #: The texts of elements, in their order.
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _check(text: str) -> _Page:
    page = _Page(text)
    names = [name for name, _ in page.elements]
    # The data, and the one program.
    assert [attributes for name, attributes in page.elements if name == "script"] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    assert names.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "link", "form", "base"} & set(names)
    [policy] = [
        attributes["content"] or ""
        for name, attributes in page.elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    # The policy allows this style and this script, and no other.
    assert f"script-src '{_hash(page.texts['script'][1])}';" in policy
    assert f"style-src '{_hash(page.texts['style'][0])}';" in policy
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}]
        target = attributes.get("href") or "#"
        assert target.startswith(("#", "https://", "http://"))
    return page


def _data(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(_check(text).texts["script"][0])
    return data


@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, golden: Callable[[str, bytes], None]) -> None:
    text = to_html(SAMPLES[name])
    _check(text)
    # Style and script have files of their own; a change of them is no change of the report.
    for element in ("style", "script"):  # The element of the data has attributes: it stays.
        text = re.sub(rf"<{element}>.*?</{element}>", f"<{element}></{element}>", text, flags=re.DOTALL)
    text = re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-", text)
    golden(f"{name}.html", text.encode())


@settings(max_examples=20, deadline=None)
@given(results())
def test_any_result_makes_a_harmless_page(result: Result) -> None:
    everything: frozenset[Outcome] = frozenset({"fail", "pass", "not-evaluated", "excepted"})
    _check(to_html(result, RenderOptions(show=everything)))


def test_markup_in_a_manifest_is_text() -> None:
    text = to_html(HOSTILE)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    [[kind, namespace, name]] = _data(text)["objects"]
    # What would steer or hide is written as its code; the rest is text.
    assert (kind, namespace, name) == ("Pod", "a\\u202eb", "</script><script>alert(1)</script>")


def test_same_result_same_bytes() -> None:
    assert render("html", FAILING) == render("html", FAILING)


def test_what_is_missing_stands_before_the_findings() -> None:
    text = to_html(FAILING)
    assert text.index("This report is not complete") < text.index('id="areas"') < text.index('id="findings"')
    assert "mapping values are not allowed here" in text
    assert "The manifests hold no PeerAuthentication." in text


def test_every_finding_is_in_the_data_and_readable_without_script() -> None:
    text = to_html(FAILING)
    data = _data(text)
    found = {(data["rules"][entry["r"]][0], data["files"][entry["f"]], entry["l"]) for entry in data["findings"]}
    assert found == {(f.rule, f.location.file, f.location.start_line) for f in FAILING.findings}
    fallback = text[text.index("<noscript>") : text.index("</noscript>")]
    for finding in FAILING.findings:
        assert f"{finding.location.file}:{finding.location.start_line}<" in fallback


def _with_fix(excerpt: Excerpt | None, *edits: Edit) -> str:
    return fix_as_diff(replace(FAILING.findings[0], excerpt=excerpt, fix=Fix("Mend it", edits)))


_AT = "apps/web site.yaml"


@pytest.mark.parametrize(
    ("excerpt", "edit", "expected"),
    [
        pytest.param(
            Excerpt("            privileged: true  # for now", 24, 28),
            Edit(Location(_AT, 14, 25, 14, 29), "false"),
            "@@ -14,1 +14,1 @@\n-            privileged: true  # for now\n+            privileged: false  # for now\n",
            id="a value of the line",
        ),
        pytest.param(
            Excerpt("      - containers: privileged: true", 24, 28),
            Edit(Location(_AT, 14, 9, 14, 9), "a: 1\r\n        "),
            "@@ -14,1 +14,2 @@\n-      - containers: privileged: true\n+      - a: 1\n"
            "+        containers: privileged: true\n",
            id="lines in front of a list item",
        ),
        pytest.param(
            Excerpt("      - name: app         # privileged", 24, 28),
            Edit(Location(_AT, 14, 9, 14, 9), "name: app         # privileged\n        a: 1\n        # "),
            "@@ -14,1 +14,3 @@\n       - name: app         # privileged\n+        a: 1\n"
            "+        # name: app         # privileged\n",
            id="a line that stays",
        ),
        pytest.param(
            Excerpt("        containers:     privileged", 24, 28),
            Edit(Location(_AT, 14, 9, 14, 9), "a: 1\n        "),
            "@@ -14,1 +14,2 @@\n+        a: 1\n         containers:     privileged\n",
            id="lines in front of a key",
        ),
        pytest.param(
            Excerpt("cut", 1, 2),
            Edit(Location(_AT, 14, 9, 14, 9), "a: 1"),
            "@@ insert at line 14, column 9 @@\n+a: 1\n",
            id="cut",
        ),
        pytest.param(
            Excerpt("            password: •••   privileged", 24, 28),
            Edit(Location(_AT, 14, 25, 14, 29), "false"),
            "@@ replace line 14, column 25 to 28 @@\n+false\n",
            id="masked",
        ),
        pytest.param(
            None, Edit(Location(_AT, 9, 3, 9, 4), " "), "@@ replace line 9, column 3: by a blank @@\n", id="a dash"
        ),
    ],
)
def test_a_fix_is_a_diff_where_the_line_is_known(excerpt: Excerpt | None, edit: Edit, expected: str) -> None:
    assert _with_fix(excerpt, edit) == f"--- {_AT}\n+++ {_AT}\n{expected}"


def test_trend_exceptions_and_maps() -> None:
    new, old, _ = FAILING.findings
    fixed = replace(new, message="was privileged once", fingerprint="gone")
    text = to_html(
        replace(
            FAILING,
            comparison=Comparison((new,), (old,), (fixed,), (), ()),
            exceptions=(
                ExceptionUse(
                    Exception_("EX-7", "privileged-container", SubjectMatch(), "r", owner="ops", expires="2027-01-31"),
                    "holds",
                    1,
                ),
                ExceptionUse(Exception_("EX-8", "permissive-mtls", SubjectMatch(), "unused <b>"), "holds"),
                ExceptionUse(Exception_("EX-9", "x", SubjectMatch(), "old"), "expired", problem="it is over <i>"),
            ),
            pictures=(PICTURE, Picture("mesh", "The mesh", "", (), (), absent="Nobody may list <i>Services</i>.")),
        )
    )
    data = _data(text)
    assert [(entry["i"], entry.get("t")) for entry in data["findings"]] == [
        ("77aa00", None), (new.fingerprint, "new"), (old.fingerprint, "unchanged"),
    ]  # fmt: skip
    assert "was privileged once" in text
    assert "<td>ops</td>" in text
    assert ">2027-01-31</td>" in text
    assert "unused &lt;b&gt;" in text
    assert "holds, and accepts no finding" in text
    assert "expired: it is over &lt;i&gt;" in text
    assert "Nobody may list &lt;i&gt;Services&lt;/i&gt;." in text
    assert text.count("<svg ") > 3
    assert "web &amp; &lt;b&gt; → db: TCP 5432" in text


def test_drift_has_a_view_where_it_was_looked_for() -> None:
    pod, at = FAILING.findings[2].object, Location("a<b>.yaml", 3, 1, 3, 2)
    found = Drift(
        ("deploy",),
        (MissingObject(pod, at),),
        (ChangedField(pod, "spec.x", "is <i>2</i>, declared 1", at, "clusters/c/x.yaml"),),
        (UndeclaredObject(pod, "clusters/c/y.yaml"),),
        (NotCompared("hook", "a hook"),),
    )
    text = to_html(replace(FAILING, drift=found))
    _check(text)
    assert 'href="#drift">Drift <span class="count">3</span>' in text
    for expected in ("a&lt;b&gt;.yaml:3", "is &lt;i&gt;2&lt;/i&gt;, declared 1", "clusters/c/y.yaml", "a hook"):
        assert expected in text
    assert "Nothing differs" in to_html(replace(FAILING, drift=Drift(("deploy",))))
    assert "#drift" not in to_html(FAILING)


def test_a_result_without_maps_says_so() -> None:
    assert "has no maps" in to_html(FAILING)
    assert "has no maps" not in to_html(replace(FAILING, pictures=()))


def test_what_was_not_judged_is_no_pass() -> None:
    [mtls, pods] = area_views(replace(CLEAN, summary=replace(CLEAN.summary, by_control={
        "PS-01": ControlSummary(passed=3, not_evaluated=1), "MT-01": ControlSummary(passed=1, excepted=1),
    })))  # fmt: skip
    assert {status for status, count in mtls.controls.items() if count} == {"excepted"}
    assert {status for status, count in pods.controls.items() if count} == {"not-evaluated", "no-subject"}
