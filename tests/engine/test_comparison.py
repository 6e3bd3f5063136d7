"""What is new, fixed and unchanged; what was not judged is no fix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from kit import plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.cli.main import cli
from kubeassay.engine.comparison import compare
from kubeassay.model import Comparison, NotEvaluated, ReadError, Result

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
