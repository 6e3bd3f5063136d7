from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kubeassay.model import SEVERITIES, Location, Result
from kubeassay.reporting import RenderOptions, render
from reporting.samples import CLEAN, FAILING
from reporting.validity import gitlab as valid


def issues(result: Result, options: RenderOptions | None = None) -> list[dict[str, Any]]:
    [document] = render("gitlab", result, options).documents
    valid(document, result)
    found: list[dict[str, Any]] = json.loads(document)
    return found


def test_a_clean_result_is_an_empty_list() -> None:
    assert issues(CLEAN) == []


def test_an_issue_has_what_gitlab_shows() -> None:
    [issue] = issues(replace(CLEAN, findings=FAILING.findings[:1]))
    assert {key: issue[key] for key in ("check_name", "severity", "location")} == {
        "check_name": "privileged-container",
        "severity": "blocker",
        "location": {"path": "apps/web site.yaml", "lines": {"begin": 14, "end": 14}},
    }
    assert issue["description"].startswith("Deployment frontend/web, container app: container app is privileged (PS-01")


def test_severities_stay_in_order() -> None:
    finding = FAILING.findings[0]
    found = issues(replace(CLEAN, findings=tuple(replace(finding, severity=severity) for severity in SEVERITIES)))
    assert [issue["severity"] for issue in found] == ["blocker", "critical", "major", "minor"]


def test_the_fingerprint_is_of_the_finding_and_not_of_its_place() -> None:
    finding = FAILING.findings[0]
    moved = replace(finding, location=Location("elsewhere/web.yaml", 99, 1, 99, 2), message="other words")
    other = replace(finding, fingerprint="0000")
    one, two, three = (issues(replace(CLEAN, findings=(f,)))[0]["fingerprint"] for f in (finding, moved, other))
    assert one == two != three


def test_equal_findings_have_fingerprints_of_their_own() -> None:
    found = issues(replace(CLEAN, findings=(FAILING.findings[0],) * 3))
    assert len({issue["fingerprint"] for issue in found}) == 3


@pytest.mark.parametrize("file", ["/etc/x.yaml", "./x.yaml", "", ".//x.yaml"])
def test_a_path_is_relative(file: str) -> None:
    finding = replace(FAILING.findings[0], location=Location(file, 1, 1, 1, 1))
    path = issues(replace(CLEAN, findings=(finding,)))[0]["location"]["path"]
    assert path == {"/etc/x.yaml": "etc/x.yaml", "": "."}.get(file, "x.yaml")


def test_an_accepted_finding_is_an_information_that_says_so() -> None:
    accepted = issues(FAILING)[-1]
    assert accepted["severity"] == "info"
    assert accepted["description"].startswith("Excepted by EX-7: The agent reads the kernel's log. Pod agent")
