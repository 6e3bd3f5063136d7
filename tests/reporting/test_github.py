from __future__ import annotations

from dataclasses import replace

import pytest

from kubeassay.model import SEVERITIES, Location, Result, Target
from kubeassay.reporting import RenderOptions, github, render
from reporting.samples import CLEAN, FAILING
from reporting.validity import commands
from reporting.validity import github as valid


def written(result: Result, options: RenderOptions | None = None) -> list[tuple[str, dict[str, str], str]]:
    [document] = render("github", result, options).documents
    valid(document, result)
    return list(commands(document.decode("utf-8")))


def test_a_finding_is_at_its_place() -> None:
    [finding] = [found for found in written(FAILING) if found[1]["title"] == "critical: privileged-container"]
    name, properties, message = finding
    assert name == "error"
    assert properties == {
        "file": "apps/web site.yaml",
        "line": "14",
        "endLine": "14",
        "col": "25",
        "endColumn": "29",
        "title": "critical: privileged-container",
    }
    assert message.splitlines()[0] == "Deployment frontend/web, container app: container app is privileged"
    assert "How to comply: Remove" in message


def test_the_most_severe_of_each_type_are_kept_and_the_rest_is_counted() -> None:
    finding = FAILING.findings[0]
    many = tuple(
        replace(finding, severity=severity, message=f"{severity} {number}")
        for severity in reversed(SEVERITIES)
        for number in range(15)
    )
    found = written(replace(CLEAN, findings=many))
    kinds = [name for name, *_ in found]
    assert {name: kinds.count(name) for name in set(kinds)} == {"error": 10, "warning": 10, "notice": 10}
    assert {properties["title"] for name, properties, _ in found if name == "error"} == {
        "critical: privileged-container"
    }
    [summary] = [message for _, properties, message in found if properties["title"] == "kubeassay"]
    assert summary.endswith("10 of each type: 5 critical, 15 high, 5 medium, 6 low. Another report has them.")
    assert github.LIMIT == 10


@pytest.mark.parametrize(("allowed", "name"), [(False, "error"), (True, "warning")])
def test_an_incomplete_result_says_so_first(allowed: bool, name: str) -> None:
    result = replace(CLEAN, not_evaluated=FAILING.not_evaluated[:1])
    first = written(result, RenderOptions(allow_incomplete=allowed))[0]
    assert (first[0], first[1]["title"]) == (name, "kubeassay: incomplete")
    assert "1 not-rendered" in first[2]


def test_no_text_is_a_command_or_a_property() -> None:
    nasty = "x\n::error title=a::b\r\n%0A::warning::c%25,line=9::d"
    finding = replace(FAILING.findings[0], message=nasty, location=Location(f"{nasty}.yaml", 3, 1, 3, 2), rule=nasty)
    found = written(replace(CLEAN, findings=(finding,), controls=()))
    assert [name for name, *_ in found] == ["error", "notice"]
    assert found[0][1]["line"] == "3"
    assert found[0][1]["file"] == r"x\x0a::error title=a::b\x0d\x0a%0A::warning::c%25,line=9::d.yaml"


def test_columns_are_of_one_line() -> None:
    finding = replace(FAILING.findings[0], location=Location("a.yaml", 3, 9, 5, 2))
    assert "col" not in written(replace(FAILING, findings=(finding,)))[1][1]


def test_an_object_of_a_cluster_is_in_no_file() -> None:
    live = Location("clusters/prod/frontend/apps.Deployment/web.yaml", 5, 1, 5, 2)
    declared = FAILING.findings[0]
    result = replace(CLEAN, target=Target("cluster", "prod"), findings=(replace(declared, location=live), declared))
    assert [properties.get("file") for name, properties, _ in written(result) if name == "error"] == [
        None,
        # Where --source knows the manifest, its place is the finding's.
        "apps/web site.yaml",
    ]


def test_an_accepted_finding_is_a_notice() -> None:
    [accepted] = [found for found in written(FAILING) if found[1]["title"].startswith("excepted")]
    assert accepted[0] == "notice"
    assert accepted[2].endswith("The agent reads the kernel's log.")
