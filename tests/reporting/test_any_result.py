"""Every format: golden reports of the samples, and valid output for any result, however hostile its strings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, note, settings

from kubeassay.model import Result
from kubeassay.reporting import FORMATS, RenderOptions, render
from reporting.samples import CLEAN, FAILING, SAMPLES
from reporting.strategies import options, results
from reporting.validity import CHECKS, assert_no_commands

#: Those whose golden reports are in tests of their own.
_ELSEWHERE = {"terminal", "json", "sarif", "html", "accepted"}
_ENDINGS = {
    "sarif-archive": "archive.sarif",
    "markdown": "md",
    "github": "github.txt",
    "gitlab": "gitlab.json",
    "junit": "xml",
    "csv": "csv",
    "prometheus": "prom",
    "oscal": "oscal.json",
    "openreports": "openreports.json",
    "wgpolicyk8s": "wgpolicyk8s.json",
}


def test_every_format_is_checked() -> None:
    assert set(CHECKS) == set(FORMATS)
    assert set(_ENDINGS) | _ELSEWHERE == set(FORMATS)


@pytest.mark.parametrize("form", _ENDINGS)
@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, form: str, golden: Callable[[str, bytes], None]) -> None:
    [document] = render(form, SAMPLES[name]).documents
    CHECKS[form](document, SAMPLES[name])
    golden(f"{name}.{_ENDINGS[form]}", document)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(result=results(), chosen=options())
def test_any_result_gives_valid_reports(result: Result, chosen: RenderOptions) -> None:
    # Results are slow to make up: each is for every format.
    for form in FORMATS:
        note(form)
        for document in render(form, result, chosen).documents:
            CHECKS[form](document, result)
            if form not in ("github", "html"):
                # A page is for no console, and the other has commands of its own.
                assert_no_commands(document.decode("utf-8"))


@pytest.mark.parametrize("form", FORMATS)
def test_equal_results_give_equal_bytes(form: str) -> None:
    assert render(form, FAILING) == render(form, FAILING)


# What is recorded to be accepted is a list of findings, and no report of what was judged.
@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"accepted"}))
def test_an_incomplete_result_without_findings_does_not_look_like_a_clean_one(form: str) -> None:
    """With what was not judged taken out of what is compared, nothing of it would be left to see."""
    from dataclasses import replace

    incomplete = replace(CLEAN, not_evaluated=FAILING.not_evaluated[:1])
    [document] = render(form, incomplete).documents
    text = document.decode("utf-8")
    assert text != render(form, CLEAN).documents[0].decode("utf-8")
    assert "not-rendered" in text


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"sarif", "prometheus", "accepted"}))
def test_an_accepted_finding_is_shown_as_such(form: str) -> None:
    """GitHub takes no suppressed results, and metrics have a number of them."""
    [document] = render(form, FAILING).documents
    text = document.decode("utf-8")
    assert "EX-7" in text or "The agent reads the kernel" in text
