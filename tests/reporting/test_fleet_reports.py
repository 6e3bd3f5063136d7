"""Reports on fleets: one written by hand, and any."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kubeassay import content
from kubeassay.model import SEVERITIES, Summary
from kubeassay.model.fleet import ComparedCounts, FleetResult, TargetRow, TargetStatus
from kubeassay.reporting import RenderOptions
from kubeassay.reporting.fleet import FLEET_FORMATS, render_fleet
from reporting.strategies import counts, ids, texts

FLEET = FleetResult(
    tool_version="1.2.3",
    name="shops",
    file="ops/fleet.yaml",
    targets=4,
    rows=(
        TargetRow(
            "prod",
            "cluster",
            "context prod",
            "fails",
            "high",
            profile="strict",
            environment="production",
            kubernetes_version="1.33",
            summary=Summary(
                7, 1200, 30, 2, 90, 90, by_severity={"critical": 1, "high": 2, "medium": 4, "low": 0}, by_control={}
            ),
            not_evaluated=3,
            read_errors=1,
            comparison=ComparedCounts(1, 2, 6, 0, 5),
            reports={"json": "prod/result.json", "html": "prod/result.html"},
        ),
        TargetRow(
            "web",
            "manifests",
            "k8s",
            "complies",
            "none",
            profile="recommended",
            kubernetes_version="1.37",
            summary=Summary(0, 5, 0, 0, 1, 1, by_severity=dict.fromkeys(SEVERITIES, 0)),
            not_compared="no earlier result",
            reports={"json": "web/result.json"},
        ),
        TargetRow(
            "lost",
            "cluster",
            "context \x1b[31m<b>",
            "not-audited",
            "high",
            error="the kubeconfig has no context \x1b[31m<b>; it has prod",
        ),
    ),
    compared=True,
)


def schema() -> Draft202012Validator:
    file = content.folder("reports") / "schemas" / "fleet.schema.json"
    return Draft202012Validator(json.loads(file.read_text(encoding="utf-8")))


def written(name: str, fleet: FleetResult) -> str:
    (document,) = render_fleet(name, fleet).documents
    return document.decode("utf-8")


@pytest.mark.parametrize(("name", "file"), [("terminal", "fleet.txt"), ("json", "fleet.json"), ("html", "fleet.html")])
def test_golden(name: str, file: str, golden: Callable[[str, bytes], None]) -> None:
    golden(file, written(name, FLEET).encode())


def test_quiet_is_the_summary() -> None:
    (document,) = render_fleet("terminal", FLEET, RenderOptions(quiet=True)).documents
    assert document.decode().splitlines() == [
        "3 targets of 4 of fleet shops (complies: 1, fails: 1, not audited: 1)",
        "7 findings: 1 critical, 2 high, 4 medium",
        "compared: 1 new, 2 fixed, 6 unchanged",
    ]


rows = st.builds(
    TargetRow,
    name=ids,
    kind=st.sampled_from(["manifests", "cluster"]),
    source=texts,
    status=st.sampled_from([status for status in get_args(TargetStatus) if status != "not-audited"]),
    fail_on=st.sampled_from([*SEVERITIES, "none"]),
    error=st.just(""),
    profile=ids,
    environment=texts,
    kubernetes_version=ids,
    summary=st.builds(
        Summary,
        fail=counts,
        passed=counts,
        not_evaluated=counts,
        excepted=counts,
        objects=counts,
        files=counts,
        by_severity=st.fixed_dictionaries(dict.fromkeys(SEVERITIES, counts)),
        by_control=st.just({}),
    ),
    not_evaluated=counts,
    read_errors=counts,
    comparison=st.none() | st.builds(ComparedCounts, counts, counts, counts, counts, counts),
    not_compared=texts,
    reports=st.dictionaries(st.sampled_from(["json", "html"]), st.just("a/result.json")),
) | st.builds(
    TargetRow,
    name=ids,
    kind=st.sampled_from(["manifests", "cluster"]),
    source=texts,
    status=st.just("not-audited"),
    fail_on=st.just("high"),
    error=texts.filter(bool),
)
fleets = st.builds(
    FleetResult,
    tool_version=st.just("1"),
    name=texts,
    file=texts,
    targets=st.integers(3, 9),
    rows=st.lists(rows, min_size=1, max_size=3).map(tuple),
    compared=st.booleans(),
)


class _Elements(HTMLParser):
    """The elements of a page, and how many rows its table has."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.rows = 0
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.rows += tag == "tr"
        self.links += [value for name, value in attrs if name == "href"]
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)


@given(fleets)
def test_any_fleet_gives_valid_reports(fleet: FleetResult) -> None:
    assert set(FLEET_FORMATS) == {"terminal", "json", "html"}
    document: dict[str, Any] = json.loads(written("json", fleet))
    assert [error.message for error in schema().iter_errors(document)] == []
    assert [row["status"] for row in document["targets"]] == [row.status for row in fleet.rows]

    lines = written("terminal", fleet).splitlines()
    assert lines[len(fleet.rows) + 1] == ""
    assert all(line.isprintable() for line in lines)

    page = _Elements()
    page.feed(written("html", fleet))
    assert "script" not in page.seen
    assert "b" not in page.seen
    assert page.rows == 1 + len(fleet.rows)
    assert set(page.links) <= {"a/result.json"}


def test_json_holds_no_command_to_a_runner() -> None:
    lost = replace(FLEET, rows=(replace(FLEET.rows[2], error="file ##[error]said"),))
    (document,) = render_fleet("json", lost).documents
    assert b"##[" not in document
    assert json.loads(document)["targets"][0]["error"] == "file ##[error]said"
