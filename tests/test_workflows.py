"""The workflows in examples/github: what they call exists, and they keep what GitHub advises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from kubeassay.cli.main import cli
from kubeassay.reporting import FORMATS

FILES = sorted((Path(__file__).parent.parent / "examples" / "github").glob("*.yml"))


def steps(file: Path) -> list[dict[str, Any]]:
    workflow = yaml.safe_load(file.read_text("utf-8"))
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows() -> None:
    assert {file.name for file in FILES} == {"pull-request.yml", "nightly-audit.yml"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_rights_are_given_to_each_job_and_no_more(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text("utf-8"))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read", "security-events": "write"}
    # "on" is a boolean to YAML 1.1.
    assert "pull_request_target" not in workflow[True]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_have_a_version_and_scripts_have_no_expressions(file: Path) -> None:
    for step in steps(file):
        if "uses" in step:
            assert re.fullmatch(r"(actions|github)/[a-z/-]+@(v[0-9]+|[0-9a-f]{40})", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "whoever names a branch would write a script"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_commands_and_their_options_exist(file: Path) -> None:
    context = click.Context(cli)
    called = 0
    for step in steps(file):
        script = step.get("run", "").replace("\\\n", " ")
        for name, rest in re.findall(r"^ *kubeassay (\w+) (.*)$", script, re.MULTILINE):
            command = cli.get_command(context, name)
            assert command is not None
            options = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", re.sub(r'"[^"]*"', "", rest))) <= options
            assert set(re.findall(r"--output ([a-z-]+)=", rest)) <= set(FORMATS)
            called += 1
    assert called == 1


def test_what_is_uploaded_is_written() -> None:
    for file in FILES:
        text = file.read_text("utf-8")
        written = set(re.findall(r"--output [a-z-]+=([\w.-]+)", text)) - {"-"}
        uploaded = set(re.findall(r"sarif_file: (\S+)", text)) | set(re.findall(r"hashFiles\('([^']+)'\)", text))
        assert uploaded <= written | {"previous.json"}
