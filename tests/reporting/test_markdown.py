from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kubeassay.model import Comparison, Location, NotEvaluated, Result, Target
from kubeassay.reporting import RenderOptions, markdown, render
from reporting.samples import CLEAN, DRIFT, FAILING
from reporting.validity import markdown as valid


def text_of(result: Result, options: RenderOptions | None = None) -> str:
    [document] = render("markdown", result, options).documents
    valid(document, result, options.link_base if options else "")
    return document.decode("utf-8")


def test_a_large_result_is_cut_visibly_and_least_severe_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "LIMIT", 64 * 1024)
    finding = FAILING.findings[0]
    many = tuple(
        replace(finding, severity=severity, message=f"{severity} number {number}")
        for severity in ("low", "high")
        for number in range(100)
    )
    text = text_of(replace(FAILING, findings=many))
    shown = {severity: len(re.findall(rf"{severity} number [0-9]+", text)) for severity in ("high", "low")}
    assert shown["high"] == 100
    assert 0 < shown["low"] < 100
    left = 100 - shown["low"]
    assert f"{left:,} low findings" in text.split("### ")[0], "the top says it"
    assert f"**… and {left:,} more.**" in text


def test_the_limit_is_githubs_and_holds_for_a_very_large_result() -> None:
    assert markdown.LIMIT == 1024 * 1024
    finding = replace(FAILING.findings[0], message="|@<" * 400)
    text = text_of(replace(FAILING, findings=(finding,) * 3_000))
    assert "Not listed, since a step summary holds 1 MiB" in text


def test_what_was_not_judged_leaves_room_for_findings() -> None:
    gaps = tuple(NotEvaluated("missing-input", f"{number} {'x' * 300}") for number in range(5_000))
    text = text_of(replace(FAILING, not_evaluated=gaps))
    assert "container app is privileged" in text
    assert "causes for not judging" in text


def test_links_are_relative_or_begin_where_asked() -> None:
    assert 'href="apps/web%20site.yaml#L14"' in text_of(FAILING)
    base = "https://github.example/o/r/blob/abc/"
    assert f'href="{base}apps/web%20site.yaml#L14"' in text_of(FAILING, RenderOptions(link_base=base))
    live = replace(
        FAILING.findings[0], location=Location("clusters/prod/frontend/apps.Deployment/web.yaml", 5, 1, 5, 2)
    )
    cluster = replace(FAILING, findings=(live,), target=Target("cluster", "prod"))
    assert "href" not in text_of(cluster), "an object of a cluster stands in no file"
    assert "href" in text_of(replace(cluster, findings=FAILING.findings)), "unless a manifest declares it"


def test_what_is_new_since_an_earlier_result_is_marked() -> None:
    comparison = Comparison(FAILING.findings[1:2], (), FAILING.findings[:1], (), ())
    text = text_of(replace(FAILING, comparison=comparison))
    assert "Since the earlier result: 1 new, 1 mended." in text
    assert "| **new** workload accepts plain text" in text
    assert "| container app is privileged" in text


def test_the_texts_of_rules_are_not_cut() -> None:
    rule = FAILING.rules["privileged-container"]
    long = replace(rule, remediation="word " * 300 + "the end")
    assert "word the end" in text_of(replace(FAILING, rules={rule.id: long}))


def test_drift_is_shown() -> None:
    text = text_of(replace(CLEAN, drift=DRIFT))
    assert "| not in the cluster | Pod shop/a | declared at a.yaml:3 |" in text
    assert "| changed | Pod shop/a | spec.x is 1 (declared at a.yaml:3) |" in text
    assert "| not declared | Pod shop/a | clusters/prod/shop/core.Pod/a.yaml |" in text
    assert "| not compared: forbidden |  | pods may not be read |" in text


def test_nothing_of_a_manifest_is_markup() -> None:
    nasty = "a | b `c` <img src=x> [l](https://evil.example) ![p](x) </details> @owner #1 **b** www.evil.example"
    finding = replace(FAILING.findings[0], message=nasty, location=Location(nasty, 1, 1, 1, 2))
    text = text_of(replace(FAILING, findings=(finding,)))
    assert "<img" not in text
    assert "](" not in text
    assert "`" not in text


def test_a_clean_result_says_so_and_an_incomplete_one_first_of_all() -> None:
    assert text_of(CLEAN).startswith("## kubeassay: No findings\n")
    incomplete = text_of(replace(CLEAN, errors=FAILING.errors))
    assert incomplete.startswith("## kubeassay: No findings, not complete\n\n**Not everything was judged")


def test_one_cause_for_many_rules_is_told_once() -> None:
    gaps = tuple(NotEvaluated("forbidden", "pods may not be listed", rule) for rule in ("a", "b"))
    assert "| forbidden | pods may not be listed | a, b |" in text_of(replace(CLEAN, not_evaluated=gaps))


def test_passes_are_listed_where_asked() -> None:
    passed = replace(FAILING.findings[0], outcome="pass", message="it is not privileged")
    result = replace(CLEAN, findings=(passed,))
    assert "it is not privileged" not in text_of(result)
    assert "it is not privileged" in text_of(result, RenderOptions(show=frozenset({"fail", "pass"})))
