from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeassay.model import ControlSummary, NotEvaluated, Result, Summary
from kubeassay.reporting import RenderOptions, render
from reporting.samples import CLEAN, FAILING, SAMPLES
from reporting.validity import oscal as valid

#: Models that are made of NIST's own schema; not among the test's dependencies, since they pin others'.
TRESTLE = Path.home() / ".cache" / "kubeassay" / "tools" / "trestle"
_ASK = """
import sys
sys.path.append(sys.argv[1])
from trestle.oscal.assessment_results import Model
for file in sys.argv[2:]:
    Model.model_validate_json(open(file, "rb").read())
"""


def results_of(result: Result, options: RenderOptions | None = None) -> dict[str, Any]:
    [document] = render("oscal", result, options).documents
    valid(document, result)
    [found] = json.loads(document)["assessment-results"]["results"]
    return dict(found)


def statuses(result: Result) -> dict[str, tuple[str, str]]:
    return {
        finding["target"]["target-id"]: (
            finding["target"]["status"]["state"],
            finding["target"]["status"]["reason"],
        )
        for finding in results_of(result).get("findings", ())
    }


def test_the_models_of_compliance_trestle_take_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ASK, str(TRESTLE)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"compliance-trestle is not in {TRESTLE}, or for another Python: make readers")
    files = []
    for name, result in SAMPLES.items():
        for number, options in enumerate((RenderOptions(), RenderOptions(time=1_790_000_000))):
            files.append(tmp_path / f"{name}-{number}.json")
            files[-1].write_bytes(render("oscal", result, options).documents[0])
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    files[0].write_text(files[0].read_text().replace('"satisfied"', '"fine"'))
    refused = subprocess.run([*command, str(files[0])], capture_output=True, check=False)
    assert refused.returncode != 0, "the models check something"


def test_a_control_has_the_status_of_its_outcomes() -> None:
    assert statuses(CLEAN) == {"PS-01": ("satisfied", "pass"), "MT-01": ("satisfied", "pass")}
    assert results_of(CLEAN)["reviewed-controls"]["remarks"] == "Nothing among the inputs is about: PS-02."
    found = replace(FAILING, not_evaluated=(), errors=())
    assert statuses(found) == {
        "PS-01": ("not-satisfied", "fail"),
        "PS-02": ("satisfied", "pass"),
        "MT-01": ("not-satisfied", "fail"),
    }


@pytest.mark.parametrize(
    "gap",
    [NotEvaluated("forbidden", "pods may not be listed"), NotEvaluated("forbidden", "x", "privileged-container")],
    ids=["of all rules", "of its rule"],
)
def test_nothing_is_satisfied_on_what_was_not_judged(gap: NotEvaluated) -> None:
    found = statuses(replace(CLEAN, not_evaluated=(gap,)))
    assert found["PS-01"] == ("not-satisfied", "other")
    assert found["MT-01"] == (("satisfied", "pass") if gap.rule else ("not-satisfied", "other"))


def test_what_was_not_judged_of_some_subjects_keeps_a_control_from_being_satisfied() -> None:
    summary = Summary(by_control={"PS-01": ControlSummary(passed=3, not_evaluated=1)})
    assert statuses(replace(CLEAN, summary=summary))["PS-01"] == ("not-satisfied", "other")


def test_an_accepted_finding_is_an_approved_deviation() -> None:
    summary = Summary(by_control={"PS-01": ControlSummary(passed=3, excepted=1)})
    result = replace(CLEAN, summary=summary, findings=FAILING.findings[2:])
    assert statuses(result)["PS-01"] == ("not-satisfied", "other")
    [risk] = results_of(result)["risks"]
    assert risk["status"] == "deviation-approved"
    assert {prop["name"]: prop["value"] for prop in risk["props"]} == {
        "exception": "EX-7",
        "reason": "The agent reads the kernel's log.",
    }


def test_a_control_that_only_a_finding_names_is_not_lost() -> None:
    finding = replace(FAILING.findings[0], controls=("5.2.2 (a)",))
    assert statuses(replace(CLEAN, findings=(finding,)))["_5.2.2__a_"] == ("not-satisfied", "fail")


def test_times_are_those_that_were_given_and_identities_change_with_the_content() -> None:
    report = render("oscal", CLEAN)
    assert report.warnings == (
        "oscal: No time of the run was given: the times in this document are none. "
        "Use --timestamp or SOURCE_DATE_EPOCH.",
    )
    assert results_of(CLEAN)["start"] == "1970-01-01T00:00:00Z"
    timed = render("oscal", CLEAN, RenderOptions(time=1_790_000_000))
    assert timed.warnings == ()
    log = json.loads(timed.documents[0])["assessment-results"]
    assert log["metadata"]["last-modified"] == log["results"][0]["start"] == "2026-09-21T14:13:20Z"
    assert "remarks" not in log["metadata"]
    assert log["uuid"] != json.loads(report.documents[0])["assessment-results"]["uuid"]


def test_an_observation_keeps_its_identity_where_its_finding_does() -> None:
    first = results_of(replace(CLEAN, findings=FAILING.findings[:1]))["observations"][0]
    later = results_of(replace(CLEAN, findings=FAILING.findings[1::-1]), RenderOptions(time=5))["observations"]
    assert first["uuid"] in {observation["uuid"] for observation in later}
