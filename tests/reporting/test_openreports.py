"""Reports for Kubernetes: what is in them. That an API server takes any of them, test_any_result.py shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeassay.model import LiveObject, NotEvaluated, ObjectRef, Result, Target
from kubeassay.reporting.openreports import MAX_BYTES, OPENREPORTS, profile_label, reports
from report_definitions import definitions
from reporting.samples import FAILING

UID = "6e1a3a8c-0000-4000-8000-00000000000a"
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")


def about(made: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (report for report in made if report.get("scope", {}).get("name") == name)
    return found


def live(result: Result, *objects: LiveObject) -> Result:
    """A result as of a cluster, each finding at the place of the first object of its name."""
    places = {obj.ref: f"clusters/c/{obj.ref.kind}/{obj.ref.name}.yaml" for obj in objects}
    findings = tuple(
        replace(f, location=replace(f.location, file=places[f.object])) if f.object in places else f
        for f in result.findings
    )
    known = {places[obj.ref]: obj for obj in objects}
    return replace(result, target=Target("cluster", "c"), findings=findings, objects=known)


def test_an_outcome_is_the_result_that_readers_expect() -> None:
    made = reports(FAILING, OPENREPORTS)
    outcomes = {
        (entry["result"], entry["properties"]["resultID"])
        for report in made
        for entry in report["results"]
        if "resultID" in entry["properties"]
    }
    words = {"fail": "fail", "excepted": "skip", "pass": "pass", "not-evaluated": "error"}
    assert outcomes == {(words[finding.outcome], finding.fingerprint) for finding in FAILING.findings}
    assert {"fail", "skip"} <= {result for result, _ in outcomes}
    for report in made:
        found = [entry["result"] for entry in report["results"]]
        assert all(report["summary"][word] == found.count(word) for word in ("fail", "warn", "error", "skip"))


def test_a_live_object_owns_its_report() -> None:
    finding = FAILING.findings[0]
    ref = ObjectRef("apps/v1", "Deployment", "shop", "web")
    at = replace(FAILING, findings=(replace(finding, object=ref),), not_evaluated=(), errors=())
    result = live(at, LiveObject(ref, UID, 12))
    report = about(reports(result, OPENREPORTS), "web")
    assert report["metadata"]["namespace"] == "shop"
    assert report["metadata"]["name"].endswith(f"-{UID}")
    assert report["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": UID}
    ]
    assert report["scope"]["uid"] == UID
    assert report["summary"]["pass"] == 12


def test_an_object_of_the_cluster_owns_a_report_of_the_cluster() -> None:
    ref = ObjectRef("v1", "Namespace", None, "shop")
    at = replace(FAILING, findings=(replace(FAILING.findings[0], object=ref),))
    report = about(reports(live(at, LiveObject(ref, UID, 0)), OPENREPORTS), "shop")
    assert report["kind"] == "ClusterReport"
    assert report["metadata"]["ownerReferences"][0]["kind"] == "Namespace"


def test_a_uid_that_is_none_is_neither_a_name_nor_an_owner() -> None:
    ref = ObjectRef("v1", "Pod", "shop", "p")
    at = replace(FAILING, findings=(replace(FAILING.findings[0], object=ref),))
    report = about(reports(live(at, LiveObject(ref, "audit", 0)), OPENREPORTS), "p")
    assert "ownerReferences" not in report["metadata"]
    assert "uid" not in report["scope"]
    assert not report["metadata"]["name"].endswith("audit")


def test_objects_that_differ_in_their_version_alone_have_two_reports() -> None:
    finding = FAILING.findings[0]
    both = tuple(
        replace(finding, object=ObjectRef(f"apps/{version}", "Deployment", "shop", "web"))
        for version in ("v1", "v1beta2")
    )
    made = reports(replace(FAILING, findings=both), OPENREPORTS)
    assert len({(report["metadata"].get("namespace"), report["metadata"]["name"]) for report in made}) == len(made) == 3


def test_what_was_not_evaluated_is_told_at_its_object_or_of_the_audit() -> None:
    ref = ObjectRef("apps/v1", "Deployment", "shop", "web")
    entries = (
        NotEvaluated("drift", "its pods differ", namespace="shop", file="here"),
        NotEvaluated("metadata-only", "of Secrets the metadata alone", rule="r", file="here"),
        *(NotEvaluated("forbidden", f"Role could not be read {n}", rule="r", namespace="pay") for n in "abc"),
    )
    result = replace(FAILING, findings=(), not_evaluated=entries, errors=(), objects={"here": LiveObject(ref, UID, 3)})
    made = reports(result, OPENREPORTS)
    (entry,) = about(made, "web")["results"]
    assert (entry["result"], entry["message"], entry["properties"]["reason"]) == ("error", "its pods differ", "drift")
    (audit,) = (report for report in made if report["metadata"]["name"].endswith("-audit"))
    assert audit["kind"] == "ClusterReport"
    said = {(entry["result"], entry["properties"]["reason"], entry["message"]) for entry in audit["results"]}
    assert said == {
        ("error", "metadata-only", "of Secrets the metadata alone"),
        ("error", "forbidden", "Role could not be read a (and 2 more of this kind)"),
    }
    # An audit of some namespaces has a report in each, on what concerns it.
    of_some = reports(result, OPENREPORTS, namespaces=["pay", "shop"])
    shown = {r["metadata"]["namespace"]: len(r["results"]) for r in of_some if r["metadata"]["name"].endswith("-audit")}
    assert shown == {"pay": 2, "shop": 1}
    # One of some labels does not stand for the whole.
    (of_labels,) = (r for r in reports(result, OPENREPORTS, selector="app=web") if "-audit" in r["metadata"]["name"])
    assert not of_labels["metadata"]["name"].endswith("-audit")


def test_a_report_is_cut_below_the_limit_and_says_so() -> None:
    finding = replace(FAILING.findings[0], message="x" * 100_000 + "\x1b[31m")
    severe = replace(finding, severity="critical", fingerprint="severe")
    many = tuple(replace(finding, severity="low", fingerprint=str(n)) for n in range(2_000))
    ref = finding.object
    made = reports(replace(FAILING, findings=(*many, severe)), OPENREPORTS)
    report = about(made, ref.name)
    assert len(json.dumps(report)) < 1.1 * MAX_BYTES
    assert report["summary"]["fail"] == 2_001
    assert report["results"][0]["properties"]["resultID"] == "severe"
    listed = sum(entry["result"] == "fail" for entry in report["results"])
    (said,) = (entry for entry in report["results"] if entry["result"] == "warn")
    assert said["message"].startswith(f"{2_001 - listed:,} results more than a report can hold")
    assert all(len(entry["message"]) <= 1_000 for entry in report["results"])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("recommended", "recommended"),
        ("merajutasa/production", "merajutasa.production"),
        ("Über alles", "ber-alles-"),
        ("a.b", "a-b-"),
        ("x" * 300, "x" * 40 + "-"),
        ("", "profile-"),
    ],
)
def test_the_label_of_a_profile(name: str, label: str) -> None:
    made = profile_label(name)
    assert made == label or (label.endswith("-") and made.startswith(label))
    assert _LABEL_VALUE.match(made)


def test_profiles_have_labels_of_their_own() -> None:
    names = ["a/b", "a.b", "A/b", "a-b", "ab", "a b"]
    assert len({profile_label(name) for name in names}) == len(names)


def upstream(name: str) -> dict[str, Any]:
    """A definition of upstream's, from the module cache or a proxy; without Go or the module the test is skipped."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not on PATH")
    done = subprocess.run(
        [go, "mod", "download", "-json", "github.com/openreports/reports-api"],
        cwd=Path(__file__).parent.parent / "upstream_reports",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"the module of openreports.io is not to be had: {done.stdout.strip()[-300:]}")
    folder = Path(json.loads(done.stdout)["Dir"])
    found: dict[str, Any] = yaml.safe_load((folder / "config" / "crd" / name).read_text(encoding="utf-8"))
    return found


def plain(part: Any) -> Any:
    """A schema without what is for people, and for merging."""
    if isinstance(part, list):
        return [plain(member) for member in part]
    if not isinstance(part, dict):
        return part
    return {
        key: sorted(value) if key in ("enum", "required") else plain(value)
        for key, value in part.items()
        if not key.startswith("x-kubernetes-") and not (key == "description" and isinstance(value, str))
    }


def test_the_definitions_of_the_tests_are_those_of_upstream() -> None:
    for ours, name in zip(definitions(OPENREPORTS), ("reports", "clusterreports"), strict=True):
        theirs = upstream(f"openreports.io_{name}.yaml")
        assert ours["metadata"]["name"] == theirs["metadata"]["name"]
        assert {k: v for k, v in theirs["spec"]["names"].items() if k != "shortNames"} == ours["spec"]["names"]
        assert ours["spec"]["scope"] == theirs["spec"]["scope"]
        (version,) = theirs["spec"]["versions"]
        assert version["name"] == OPENREPORTS.version
        assert plain(ours["spec"]["versions"][0]["schema"]) == plain(version["schema"])
