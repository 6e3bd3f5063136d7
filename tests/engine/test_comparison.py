"""What is new, fixed and unchanged; what was not judged is no fix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kit import plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.cli.main import cli
from kubeassay.engine.comparison import compare
from kubeassay.model import Comparison, NotEvaluated, ReadError, Result, Target

POD = """apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop}
spec: {containers: [{name: c, image: "i:1", securityContext: {privileged: true}}]}
"""


def result(*names: str) -> Result:
    return scan_text(plan_of(profile_of("privileged-container")), "---\n".join(POD.replace("NAME", n) for n in names))


def named(comparison: Comparison, field: str) -> list[str]:
    return [finding.object.name for finding in getattr(comparison, field)]


def test_findings_are_new_fixed_or_unchanged() -> None:
    found = compare(result("a", "b"), result("c", "b"))
    assert (named(found, "new"), named(found, "fixed"), named(found, "unchanged")) == (["c"], ["a"], ["b"])


@pytest.mark.parametrize(
    "gap",
    [
        NotEvaluated("forbidden", "x"),
        NotEvaluated("forbidden", "x", namespace="shop"),
        NotEvaluated("forbidden", "x", rule="privileged-container"),
    ],
)
def test_what_was_not_judged_is_no_fix(gap: NotEvaluated) -> None:
    now = replace(result("b"), not_evaluated=(gap,))
    found = compare(result("a", "b"), now)
    assert (named(found, "fixed"), named(found, "unknown")) == ([], ["a"])


@pytest.mark.parametrize(
    "gap",
    [
        NotEvaluated("forbidden", "x", namespace="m"),
        NotEvaluated("forbidden", "x", rule="other"),
        NotEvaluated("unsupported", "x", file="other.yaml"),
    ],
)
def test_what_something_else_lacks_does_not_matter(gap: NotEvaluated) -> None:
    found = compare(result("a", "b"), replace(result("b"), not_evaluated=(gap,)))
    assert named(found, "fixed") == ["a"]


def test_a_rule_that_did_not_run_and_a_file_that_was_not_read_fix_nothing() -> None:
    assert named(compare(result("a"), replace(result("b"), rules={})), "unknown") == ["a"]
    unreadable = replace(result("b"), errors=(ReadError("test.yaml", "no"),))
    assert named(compare(result("a"), unreadable), "unknown") == ["a"]


def test_the_command_fails_on_new_findings_alone(tmp_path: Path) -> None:
    manifest, report = tmp_path / "a.yaml", tmp_path / "r.json"

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["scan", str(manifest), *arguments], standalone_mode=False)
        return done.return_value if done.exception is None else 2, done.stderr

    manifest.write_text(POD.replace("NAME", "a"))
    assert run("-o", f"json={report}")[0] == 1
    code, said = run("--compare", str(report), "--fail-on-new", "--allow-incomplete")
    assert code == 0
    assert "0 new, 0 fixed" in said
    manifest.write_text(POD.replace("NAME", "a") + "---\n" + POD.replace("NAME", "b"))
    code, said = run("--compare", str(report), "--fail-on-new")
    assert code == 1
    assert "new: critical privileged-container: Pod shop/b" in said
    assert run("--fail-on-new")[0] == 2
    assert run("--compare", str(manifest))[0] == 2
    assert run("--compare", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize(
    ("scope", "fixed"),
    [({}, ["a"]), ({"namespaces": ("shop",)}, ["a"]), ({"namespaces": ("other",)}, []), ({"selector": "app=web"}, [])],
)
def test_what_an_audit_left_out_is_no_fix(scope: dict[str, Any], fixed: list[str]) -> None:
    found = compare(result("a"), replace(result("b"), target=Target("cluster", "prod", **scope)))
    assert (named(found, "fixed"), named(found, "unknown")) == (fixed, [] if fixed else ["a"])


def test_two_results_of_different_targets_are_told(tmp_path: Path) -> None:
    """What one of them did not scan is no fix, which only the user can tell."""
    (tmp_path / "all").mkdir()
    for name in ("a", "b"):
        (tmp_path / "all" / f"{name}.yaml").write_text(POD.replace("NAME", name))

    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli, [*arguments], standalone_mode=False).stderr

    whole, part = str(tmp_path / "whole.json"), str(tmp_path / "part.json")
    one = str(tmp_path / "all" / "a.yaml")
    run("scan", str(tmp_path / "all"), "-o", whole)
    commands = (
        ("scan", one, "-o", part, "--compare", whole),
        ("compare", whole, part),
        ("report", part, "--compare", whole),
    )
    for command in commands:
        (said,) = (line for line in run(*command).splitlines() if line.startswith("warning: "))
        assert said.startswith(f"warning: {whole} is of ")
        assert said.endswith("a.yaml: what was not scanned now counts as fixed")
    for command in (("compare", whole, whole), ("scan", one, "--compare", part), ("report", part, "--compare", part)):
        assert "warning" not in run(*command)


def test_copies_are_taken_for_those_of_their_files() -> None:
    def of(*files: str) -> Result:
        (finding,) = result("a").findings
        return replace(
            result(),
            findings=tuple(replace(finding, location=replace(finding.location, file=file)) for file in files),
        )

    found = compare(of("a", "b", "b"), of("b", "new", "b", "newer"))
    assert [finding.location.file for finding in found.unchanged] == ["b", "new", "b"]
    assert [finding.location.file for finding in found.new] == ["newer"]
    assert compare(of("a", "b"), of("b", "c")).fixed == ()


def test_many_copies_of_one_object_take_no_time() -> None:
    run_within_seconds(
        """
from dataclasses import replace
from engine.test_comparison import result
from kubeassay.engine.comparison import compare
(finding,) = result("a").findings
def of(begin, end):
    places = (replace(finding.location, file=str(number)) for number in range(begin, end))
    return replace(result(), findings=tuple(replace(finding, location=place) for place in places))
found = compare(of(0, 60_000), of(30_000, 60_010))
assert (len(found.new), len(found.unchanged), len(found.unknown) + len(found.fixed)) == (0, 30_010, 29_990)
""",
        seconds=15,
    )
