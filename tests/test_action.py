"""The action of this repository: what it is made of, and each of its scripts, run as a runner does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import git

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "action.yml").read_text("utf-8")
ACTION: dict[str, Any] = yaml.safe_load(TEXT)
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SCRIPTS = [step for step in STEPS if "run" in step]
POD = """apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop}
spec: {containers: [{name: c, image: "i:1", securityContext: {privileged: true}}]}
"""


def test_it_is_composite_and_what_it_uses_is_pinned_to_commits() -> None:
    assert ACTION["runs"]["using"] == "composite"
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert len(used) == 2
    for name in used:
        assert re.fullmatch(r"(actions|github)/[a-z/-]+@[0-9a-f]{40}", name)
        assert re.search(rf"uses: {re.escape(name)} # v[0-9]+\.[0-9]+\.[0-9]+$", TEXT, re.MULTILINE), (
            "which version it is"
        )


@pytest.mark.parametrize("step", SCRIPTS, ids=lambda step: step["name"])
def test_scripts_hold_no_expression_and_stop_at_errors(step: dict[str, Any], tmp_path: Path) -> None:
    assert "${{" not in step["run"], "whoever names a branch would write a script"
    assert step["shell"] == "bash"
    assert step["run"].startswith("set -euo pipefail\n")
    subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
    # Nothing of the workspace is a module of what runs.
    assert not re.search(r"python\"? (?!-I)", step["run"], re.IGNORECASE)


def test_inputs_are_described_used_and_on_the_page() -> None:
    page = (ROOT / "docs" / "pull-requests.md").read_text("utf-8")
    used = set(re.findall(r"\$\{\{ inputs\.([a-z-]+) \}\}|\binputs\.([a-z-]+) ==", TEXT))
    assert {first or second for first, second in used} == set(ACTION["inputs"])
    for name, described in ACTION["inputs"].items():
        assert set(described) == {"description", "default"}, "none is required"
        assert f"| `{name}` |" in page
    for name, described in ACTION["outputs"].items():
        assert described["description"]
        assert f"`{name}`" in page


def test_nothing_that_needs_a_permission_is_done_unless_asked() -> None:
    """So that it works for the pull request of a fork, and with ``contents: read`` alone."""
    assert ACTION["inputs"]["upload-sarif"]["default"] == ACTION["inputs"]["comment"]["default"] == "false"
    upload, comment = (
        next(step for step in STEPS if step.get("name") == name) for name in ("Upload the findings", "Comment")
    )
    assert "inputs.upload-sarif == 'true'" in upload["if"]
    assert "head.repo.full_name == github.repository" in upload["if"]
    assert "inputs.comment == 'true'" in comment["if"]
    # The token is for the one script that comments.
    assert [step["name"] for step in STEPS if "token" in str(step.get("env", ""))] == ["Comment"]


def test_expressions_are_of_what_no_stranger_writes_or_in_the_environment() -> None:
    for step in STEPS:
        for member in set(step) - {"env", "run"}:
            for expression in re.findall(r"\$\{\{ (.*?) \}\}", str(step[member])):
                assert expression == "steps.scan.outputs.sarif"


# --- the scripts, run ---


@dataclass(frozen=True)
class Ran:
    code: int
    said: str
    outputs: Mapping[str, str]
    summary: str


@dataclass(frozen=True)
class Runner:
    """A runner's folders. ``bin``: what is on PATH before all else."""

    workspace: Path
    temporary: Path
    bin: Path

    def run(self, name: str, **environment: str) -> Ran:
        step = next(step for step in SCRIPTS if step["name"] == name)
        assert set(environment) <= set(step["env"])
        files = {member: self.temporary / member.lower() for member in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": f"{self.bin}:{os.environ['PATH']}",
                "HOME": str(self.temporary),
                "PYTHONPATH": ":".join(sys.path),
                "KUBEASSAY_CACHE": "off",
                "KUBEASSAY_RENDER": "0",
                "RUNNER_TEMP": str(self.temporary),
                "GITHUB_SERVER_URL": "https://github.example",
                "GITHUB_REPOSITORY": "o/r",
                "GITHUB_SHA": "abc",
                **{member: str(file) for member, file in files.items()},
                **dict.fromkeys(step["env"], ""),
                **environment,
            },
        )
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return Ran(done.returncode, done.stdout + done.stderr, outputs, files["GITHUB_STEP_SUMMARY"].read_text())

    def program(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.write_text(script)
        path.chmod(0o755)
        return path


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """With kubeassay on PATH, and a repository with one privileged pod, to which the working tree adds another."""
    folders = [tmp_path / name for name in ("workspace", "temporary folder", "bin")]
    for folder in folders:
        folder.mkdir()
    made = Runner(*folders)
    made.program("kubeassay", f'#!/bin/sh\nexec "{sys.executable}" -m kubeassay.cli.main "$@"\n')
    git(made.workspace, "init", "-q", "-b", "main")
    (made.workspace / "old.yaml").write_text(POD.replace("NAME", "old"))
    git(made.workspace, "add", "-A")
    git(made.workspace, "commit", "-qm", "x")
    (made.workspace / "new.yaml").write_text(POD.replace("NAME", "new"))
    yield made
    assert not list(made.workspace.glob("evil*")), "a value was run"


def failing(file: str, form: str) -> set[str]:
    found = json.loads(Path(file).read_text())
    if form == "json":
        return {one["location"]["file"] for one in found["results"] if one["rule"] == "privileged-container"}
    return {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for run in found["runs"]
        for one in run["results"]
        if one["ruleId"] == "privileged-container"
    }


def test_a_pull_request_has_what_is_new_and_code_scanning_has_all(runner: Runner) -> None:
    ran = runner.run("Scan", PATHS=".", SINCE="HEAD", CATEGORY="prod")
    assert ran.code == 0, ran.said
    assert ran.outputs["exit-code"] == "1"
    assert failing(ran.outputs["result"], "json") == {"new.yaml"}
    assert failing(ran.outputs["sarif"], "sarif") == {"old.yaml", "new.yaml"}
    text = Path(ran.outputs["markdown"]).read_text()
    assert ran.summary == text
    assert "1 workload added" in text
    assert 'href="https://github.example/o/r/blob/abc/new.yaml#L4"' in text
    assert text.splitlines()[-1] == "<!-- kubeassay: prod -->"
    # Annotations are of what is new.
    assert re.search(r"^::error .*file=new\.yaml", ran.said, re.MULTILINE)
    assert not re.search(r"^::.*file=old\.yaml", ran.said, re.MULTILINE)


def test_without_a_revision_everything_is_judged_once(runner: Runner) -> None:
    for since in ("", "none"):
        ran = runner.run("Scan", PATHS=".", SINCE=since, FAIL_ON="none", ALLOW_INCOMPLETE="true")
        assert ran.outputs["exit-code"] == "0"
        assert (
            failing(ran.outputs["result"], "json") == failing(ran.outputs["sarif"], "sarif") == {"old.yaml", "new.yaml"}
        )


def test_values_are_one_a_line(runner: Runner) -> None:
    folder = runner.workspace / "a folder"
    folder.mkdir()
    (folder / "x.yaml").write_text(POD.replace("NAME", "x"))
    ran = runner.run("Scan", PATHS="  a folder \n\nnew.yaml\n", ARGUMENTS="--kubernetes-version=1.30\n--no-ignore")
    assert failing(ran.outputs["result"], "json") == {"a folder/x.yaml", "new.yaml"}
    assert json.loads(Path(ran.outputs["result"]).read_text())["kubernetesVersion"] == "1.30"


def test_accepted_findings_do_not_fail(runner: Runner) -> None:
    record = runner.workspace / "accepted.json"
    subprocess.run(
        [runner.bin / "kubeassay", "scan", ".", "-o", f"accepted={record}"],
        cwd=runner.workspace,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        check=False,
        capture_output=True,
    )
    ran = runner.run("Scan", PATHS=".", SINCE="HEAD", ACCEPTED="accepted.json")
    assert ran.outputs["exit-code"] == "0", ran.said


@pytest.mark.parametrize(
    "member", ["PATHS", "PROFILE", "BASELINES", "RULES", "ACCEPTED", "EXCEPTIONS", "SINCE", "FAIL_ON"]
)
@pytest.mark.parametrize(
    "value", ["$(touch evil)", "`touch evil`", '"; touch evil; "', "--output=json=evil", "--help", "x\nevil"]
)
def test_no_value_is_run_or_taken_for_an_option(runner: Runner, member: str, value: str) -> None:
    ran = runner.run("Scan", **{"PATHS": ".", member: value})
    assert ran.outputs == {"exit-code": "2"}, ran.said
    assert not any((runner.workspace / name).exists() for name in ("evil", "evil.json"))


def test_a_category_from_outside_is_a_name_and_no_more(runner: Runner) -> None:
    ran = runner.run("Scan", PATHS="new.yaml", CATEGORY="$(touch evil) --> @org/team")
    assert ran.outputs["exit-code"] == "1"
    assert ran.summary


def test_a_revision_that_is_not_there_is_told(runner: Runner) -> None:
    ran = runner.run("Scan", PATHS=".", SINCE="1" * 40)
    assert (ran.code, ran.outputs, ran.summary) == (0, {"exit-code": "2"}, "")
    assert "a shallow clone has few: fetch more of it" in ran.said


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_job_ends_as_the_scan_did(runner: Runner, code: int) -> None:
    assert runner.run("Result", CODE=str(code)).code == code
    assert STEPS[-1]["name"] == "Result", "after what is uploaded"


def test_installing_takes_the_action_s_own_code_and_no_module_of_the_workspace(runner: Runner) -> None:
    for name in ("venv.py", "pip.py"):
        (runner.workspace / name).write_text("open('evil', 'w')\n")
    log = runner.temporary / "log"
    stub = f'#!/bin/sh\necho "$@" >> "{log}"\n'
    python = runner.program("python-of-the-runner", stub + 'mkdir -p "$4/bin"\ncp "$0" "$4/bin/python"\n')
    # The environment's own python only says what it is asked.
    python.write_text(
        stub + f'mkdir -p "$4/bin"\nprintf \'%s\' \'{stub}\' > "$4/bin/python"\nchmod +x "$4/bin/python"\n'
    )
    ran = runner.run("Install", PYTHON=str(python), SOURCE=str(ROOT))
    assert ran.code == 0, ran.said
    asked = log.read_text().splitlines()
    assert asked[0] == f"-I -m venv {runner.temporary}/kubeassay"
    install = "-I -m pip --disable-pip-version-check install --quiet"
    assert asked[1:] == [
        f"{install} --require-hashes --requirement {ROOT}/deploy/image/requirements.txt",
        f"{install} --no-deps -- {ROOT}",
    ]
    assert (ROOT / "deploy/image/requirements.txt").is_file()


# --- the comment ---

GH = """#!/usr/bin/env python3
import json, os, subprocess, sys
arguments = sys.argv[1:]
folder = os.environ["RUNNER_TEMP"]
if arguments[:2] == ["api", "user"]:
    sys.exit("the token of a workflow is of no user")
with open(folder + "/asked", "a") as log:
    log.write(json.dumps(arguments) + "\\n")
if os.path.exists(folder + "/forbidden") and "--method" in arguments:
    sys.exit("HTTP 403")
if "--jq" in arguments:
    chosen = arguments[arguments.index("--jq") + 1]
    sys.exit(subprocess.run(["jq", "-r", chosen, folder + "/comments"]).returncode)
"""


def commented(runner: Runner, comments: list[dict[str, Any]]) -> tuple[Ran, list[list[str]]]:
    if shutil.which("jq") is None:
        pytest.skip("jq is not on PATH")
    runner.program("gh", GH)
    (runner.temporary / "comments").write_text(json.dumps(comments))
    (runner.temporary / "page.md").write_text("## kubeassay\n\n<!-- kubeassay: kubeassay/recommended -->\n")
    ran = runner.run("Comment", GH_TOKEN="t", NUMBER="7", PAGE=str(runner.temporary / "page.md"))
    asked = [json.loads(line) for line in (runner.temporary / "asked").read_text().splitlines()]
    return ran, [one for one in asked if "--method" in one]


def a_comment(number: int, author: str, marker: str = "kubeassay/recommended") -> dict[str, Any]:
    return {"id": number, "user": {"login": author}, "body": f"x\n\n<!-- kubeassay: {marker} -->"}


def test_a_first_comment_is_made_and_a_later_one_replaced(runner: Runner) -> None:
    others = [a_comment(1, "stranger"), a_comment(2, "github-actions[bot]", "kubeassay/other")]
    ran, asked = commented(runner, others)
    assert ran.code == 0, ran.said
    (made,) = asked
    assert made[made.index("--method") + 1 :][:2] == ["POST", "repos/o/r/issues/7/comments"]
    (runner.temporary / "asked").unlink()
    _, asked = commented(runner, [*others, a_comment(3, "github-actions[bot]")])
    (made,) = asked
    assert made[made.index("--method") + 1 :][:2] == ["PATCH", "repos/o/r/issues/comments/3"]
    assert made[-1] == f"body=@{runner.temporary}/page.md"


def test_without_the_permission_it_is_a_notice(runner: Runner) -> None:
    (runner.temporary / "forbidden").touch()
    ran, _ = commented(runner, [])
    assert ran.code == 0
    assert "::notice title=kubeassay::The review is in the summary of this run" in ran.said
