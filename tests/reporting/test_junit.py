from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from kubeassay.model import Result
from kubeassay.reporting import RenderOptions, render
from reporting.samples import CLEAN, FAILING
from reporting.validity import junit as valid


def cases(result: Result, options: RenderOptions | None = None) -> set[tuple[str, str, str, str]]:
    """(suite, class, name, outcome) of the test cases."""
    [document] = render("junit", result, options).documents
    valid(document, result)
    return {
        (suite.attrib["name"], case.attrib["classname"], case.attrib["name"], case[0].tag if len(case) else "")
        for suite in ElementTree.fromstring(document)
        for case in suite
    }


def test_findings_fail_and_accepted_ones_are_skipped() -> None:
    found = cases(FAILING)
    path = "spec.template.spec.containers[0].securityContext.privileged"
    assert {
        (
            "area pod-security",
            "privileged-container",
            f"Deployment frontend/web, container app: {path}",
            "failure",
        ),
        ("area mtls", "permissive-mtls", "Deployment frontend/web", "failure"),
        (
            "area pod-security",
            "privileged-container",
            "Pod agent, container agent: spec.containers[0].securityContext.privileged",
            "skipped",
        ),
        ("controls", "pod-security", "PS-02 Host namespaces", ""),
    } <= found


def test_a_clean_result_has_its_controls_and_says_that_it_is_complete() -> None:
    assert cases(CLEAN) == {
        ("controls", "pod-security", "PS-01 Privileged containers", ""),
        # Nothing was judged by it.
        ("controls", "pod-security", "PS-02 Host namespaces", "skipped"),
        ("controls", "mtls", "MT-01 All traffic is mutual TLS", ""),
        ("not evaluated", "kubeassay", "complete: everything was read and judged", ""),
    }


@pytest.mark.parametrize(
    ("gaps", "allowed", "outcome"),
    [(slice(0, 1), False, "error"), (slice(0, 1), True, "skipped"), (slice(0, 2), True, "error")],
    ids=["not evaluated", "accepted", "a crash is not accepted"],
)
def test_an_incomplete_result_is_an_error_unless_that_is_accepted(gaps: slice, allowed: bool, outcome: str) -> None:
    result = replace(CLEAN, not_evaluated=FAILING.not_evaluated[gaps])
    found = cases(result, RenderOptions(allow_incomplete=allowed))
    assert [of for *_, name, of in found if name.startswith("complete")] == [outcome]


def test_equal_names_are_told_apart() -> None:
    finding = FAILING.findings[1]
    second = replace(finding, object=replace(finding.object, name="web (2)"))
    found = cases(replace(FAILING, findings=(finding, finding, second, finding)))
    assert {name for suite, _, name, _ in found if suite == "area mtls"} == {
        "Deployment frontend/web",
        "Deployment frontend/web (2)",
        "Deployment frontend/web (2) (2)",
        "Deployment frontend/web (3)",
    }


def test_passes_and_subjects_that_were_not_judged_are_shown_where_asked() -> None:
    passed = replace(FAILING.findings[0], outcome="pass")
    unjudged = replace(FAILING.findings[1], outcome="not-evaluated", reason="no policy is among the inputs")
    result = replace(FAILING, findings=(passed, unjudged))
    assert not {row for row in cases(result) if row[0].startswith("area")}
    shown = cases(result, RenderOptions(show=frozenset({"fail", "pass", "not-evaluated"})))
    assert {outcome for suite, *_, outcome in shown if suite.startswith("area")} == {"", "skipped"}


def test_the_time_is_there_where_asked() -> None:
    [document] = render("junit", CLEAN, RenderOptions(time=1_790_000_000)).documents
    valid(document, CLEAN)
    assert {suite.get("timestamp") for suite in ElementTree.fromstring(document)} == {"2026-09-21T14:13:20"}
    assert b"timestamp" not in render("junit", CLEAN).documents[0]
