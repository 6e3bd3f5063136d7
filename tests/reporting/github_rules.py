"""What GitHub code scanning demands of a SARIF file, as assertions.

Source: github/docs, sarif-support.md at 4d15cab9 and sarif-limits.md; github/codeql-action src/upload-lib.ts and
src/fingerprints.ts at f3f1edbed. Where SARIF 2.1.0 itself demands it (OASIS), the comment says so.
"""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/-]|%[0-9A-F]{2})+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def check(document: bytes, *, archive: bool = False) -> dict[str, Any]:
    """Assert every rule on one document; returns it, parsed. ``archive``: it is not for GitHub."""
    assert len(gzip.compress(document)) <= 10 * 1024 * 1024
    log: dict[str, Any] = json.loads(document)
    assert log["version"] == "2.1.0"
    assert log["$schema"].startswith("https://")
    assert 1 <= len(log["runs"]) <= 20
    identities = [run["automationDetails"]["id"] for run in log["runs"]]
    assert len(identities) == len(set(identities)), "two runs of one category in an upload fail"
    for run in log["runs"]:
        check_run(run, archive=archive)
    return log


def check_run(run: dict[str, Any], *, archive: bool = False) -> None:
    assert run["automationDetails"]["id"].endswith("/")
    assert run["automationDetails"]["id"].strip("/ ")
    assert run["columnKind"] == "utf16CodeUnits"
    driver = run["tool"]["driver"]
    assert driver["name"] == "kubeassay"
    assert len(driver["rules"]) <= 25_000
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    for rule in driver["rules"]:
        check_rule(rule, run)
    assert isinstance(run["results"], list), "a clean run has an empty list"
    assert len(run["results"]) <= 25_000
    assert len(run["tool"].get("extensions", [])) <= 100
    for result in run["results"]:
        check_result(result, driver["rules"])
    check_suppressions(run["results"])
    check_baseline(run["results"])
    if not archive:
        check_alerts(run["results"])
    check_invocation(run["invocations"][0], driver)
    assert "originalUriBaseIds" not in run
    assert "%SRCROOT%" not in json.dumps(run["results"])


def check_rule(rule: dict[str, Any], run: dict[str, Any]) -> None:
    assert rule["id"].strip()
    assert 0 < len(rule["shortDescription"]["text"]) <= 1024
    assert 0 < len(rule["fullDescription"]["text"]) <= 1024
    assert rule["fullDescription"]["text"].strip()
    assert rule["shortDescription"]["text"].strip()
    assert 0 < len(rule.get("name", "x")) <= 255
    assert rule["help"]["text"].strip()
    if "properties" not in rule:
        # A finding of a rule that the result does not describe: its identity is all that is known.
        return
    assert rule["help"]["markdown"].strip()
    assert rule.get("helpUri", "") in rule["help"]["markdown"], "GitHub shows no helpUri"
    assert rule["defaultConfiguration"]["level"] in {"note", "warning", "error"}
    properties = rule["properties"]
    assert "security" in properties["tags"], "without it GitHub shows no severity"
    assert len(properties["tags"]) <= 10
    assert len(set(properties["tags"])) == len(properties["tags"])
    assert properties["precision"] in {"very-high", "high", "medium", "low"}
    assert properties["problem.severity"] in {"error", "warning", "recommendation"}
    score = properties["security-severity"]
    assert isinstance(score, str)
    assert 0.0 < float(score) <= 10.0
    assert float(score) != 9.0, "GitHub's page leaves open on which side 9.0 falls"
    taxonomies = run.get("taxonomies", [])
    for relationship in rule.get("relationships", []):
        target = relationship["target"]
        component = taxonomies[target["toolComponent"]["index"]]
        assert component["name"] == target["toolComponent"]["name"]
        assert component["taxa"][target["index"]]["id"] == target["id"]


def check_result(result: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    # OASIS: a level other than none goes with the kind fail.
    assert result["kind"] in {"fail", "pass", "open"}
    assert (result["level"] in {"note", "warning", "error"}) == (result["kind"] == "fail")
    assert result["kind"] == "fail" or result["level"] == "none"
    assert len(result.get("codeFlows", [])) == 0, "thread flows have limits of their own"
    check_text(result["message"]["text"])
    assert len(result["locations"]) == 1, "only the first is used"
    check_location(result["locations"][0], region=True)
    logical = result["locations"][0]["logicalLocations"][0]
    assert not _CONTROL.search(logical["fullyQualifiedName"])
    related = result.get("relatedLocations", [])
    assert len(related) <= 100
    assert len({place["id"] for place in related}) == len(related)
    for place in related:
        check_location(place, region=True)
        check_text(place["message"]["text"])
    for value in result.get("partialFingerprints", {}).values():
        assert isinstance(value, str)
        assert value
    for fix in result.get("fixes", []):
        check_text(fix["description"]["text"])
        assert fix["artifactChanges"]
        for change in fix["artifactChanges"]:
            check_uri(change["artifactLocation"]["uri"])
            assert change["replacements"]


def check_alerts(results: list[dict[str, Any]]) -> None:
    """Each result becomes an open alert, whatever SARIF has it say of itself."""
    assert all(result["kind"] == "fail" for result in results)
    assert not any(result.get("suppressions") for result in results)
    assert not any(result.get("baselineState") == "absent" for result in results)
    ranks = [("error", "warning", "note").index(result["level"]) for result in results]
    assert ranks == sorted(ranks), "the most severe come first, since GitHub shows the first 5,000"


def check_baseline(results: list[dict[str, Any]]) -> None:
    # OASIS: on all results of a run, or on none.
    assert len({"baselineState" in result for result in results}) <= 1
    assert {result.get("baselineState", "new") for result in results} <= {"new", "unchanged", "updated", "absent"}


def check_text(text: str) -> None:
    assert text.strip(), "GitHub does not take an empty text"
    assert not _CONTROL.search(text)
    assert "](" not in text, "a manifest's author must not be able to write a link"


def check_location(location: dict[str, Any], *, region: bool) -> None:
    physical = location["physicalLocation"]
    check_uri(physical["artifactLocation"]["uri"])
    assert "uriBaseId" not in physical["artifactLocation"]
    if not region and "region" not in physical:
        return
    place = physical["region"]
    assert place["startLine"] >= 1
    assert place.get("startColumn", 1) >= 1
    if "endLine" in place:
        assert (place["endLine"], place["endColumn"]) >= (place["startLine"], place["startColumn"])
        assert place["endColumn"] >= 1


def check_uri(uri: str) -> None:
    assert _URI_REFERENCE.match(uri), f"{uri!r} is no relative URI reference"
    assert not uri.startswith("/"), "an absolute path says where the scan ran, and does not resolve"


def check_suppressions(results: list[dict[str, Any]]) -> None:
    # OASIS: on all results of a run, or on none.
    assert len({"suppressions" in result for result in results}) <= 1
    for result in results:
        for suppression in result.get("suppressions", []):
            assert suppression["kind"] in {"inSource", "external"}
            assert suppression["status"] in {"accepted", "underReview", "rejected"}


def check_invocation(invocation: dict[str, Any], driver: dict[str, Any]) -> None:
    assert isinstance(invocation["executionSuccessful"], bool)
    assert not {"startTimeUtc", "endTimeUtc", "workingDirectory", "machine", "account"} & set(invocation)
    for notification in invocation.get("toolExecutionNotifications", []):
        check_text(notification["message"]["text"])
        assert notification["level"] in {"note", "warning", "error"}
        descriptor = notification["descriptor"]
        assert driver["notifications"][descriptor["index"]]["id"] == descriptor["id"]
        for text in ("shortDescription", "fullDescription", "help"):
            assert driver["notifications"][descriptor["index"]][text]["text"].strip()
        if "associatedRule" in notification:
            rule = notification["associatedRule"]
            assert driver["rules"][rule["index"]]["id"] == rule["id"]
        for location in notification.get("locations", []):
            check_location(location, region=False)
