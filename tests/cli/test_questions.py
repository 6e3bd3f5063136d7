"""What the commands that ask questions of a whole target have in common."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from kit import run_command
from kubeassay.cli.main import cli

SHOP = Path(__file__).parents[2] / "examples" / "shop"
#: Command → a question about examples/shop, and the exit code of its answer.
QUESTIONS = {
    "reach": (("web", "backend"), 0),
    "can": (("sa:shop/deployer", "create", "deployments", "-n", "shop"), 0),
    "who-can": (("update", "deployments", "-n", "shop"), 0),
    "escalations": ((), 1),
    "mesh": ((), 3),
    "quota": ((), 0),
}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_command_that_reads_inputs_is_asked_here() -> None:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    asking = {name for name, of in commands.items() if of and any(p.name == "allow_incomplete" for p in of.params)}
    # scan and fleet have tests of their own; audit, snapshot, rights ask a cluster; compare and report read results,
    # suggest a log.
    asking -= {"scan", "fleet", "audit", "snapshot", "rights", "compare", "report", "suggest"}
    assert asking == set(QUESTIONS), "a command that asks a question has its line in QUESTIONS"


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_is_answered_as_text_and_as_json(command: str) -> None:
    arguments, code = QUESTIONS[command]
    text = run_command(command, *arguments, str(SHOP))
    assert (text.exit_code, text.stderr.count("Traceback")) == (code, 0), text.output
    assert text.stdout
    as_json = run_command(command, *arguments, str(SHOP), "--format", "json")
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout)


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_path_that_does_not_exist_is_wrong_usage(command: str) -> None:
    arguments, _ = QUESTIONS[command]
    result = run_command(command, *arguments, "nosuch.yaml")
    assert result.exit_code == 2
    assert "nosuch.yaml" in result.stderr


@pytest.mark.parametrize(("command", "arguments"), [
    ("reach", ("backend", "postgres")),
    ("can", ("bob", "get", "pods")),
    ("who-can", ("get", "secrets")),
    ("escalations", ("--subject", "bob")),
])  # fmt: skip
def test_a_file_that_cannot_be_read_leaves_the_answer_incomplete(command: str, arguments: tuple[str, ...]) -> None:
    Path("broken.yaml").write_text("a: [1\n")
    result = run_command(command, *arguments, str(SHOP), "broken.yaml")
    assert result.exit_code == 3
    assert "broken.yaml:" in result.stderr
    allowed = run_command(command, *arguments, str(SHOP), "broken.yaml", "--allow-incomplete")
    assert allowed.exit_code in (0, 1)
    assert "broken.yaml:" not in run_command(command, *arguments, str(SHOP), "broken.yaml", "--quiet").stderr


@pytest.mark.parametrize("command", QUESTIONS)
def test_environments_in_one_tree_are_told(command: str) -> None:
    for folder in ("dev", "prod"):
        Path(folder).mkdir()
        for file in SHOP.glob("*.yaml"):
            (Path(folder) / file.name).write_text(file.read_text())
    arguments, _ = QUESTIONS[command]
    result = run_command(command, *arguments, "dev", "prod")
    assert "stands in dev/" in result.stderr
    assert "one environment at a time" in result.stderr


@pytest.mark.parametrize(("command", "arguments", "note"), [
    ("can", ("sa:shop/deploier", "get", "pods"), "ServiceAccount shop/deploier is neither declared, used nor bound"),
    ("can", ("sa:shop/deployer", "get", "pods", "-n", "shpo"), "nothing here is in a namespace shpo"),
    ("who-can", ("get", "pods", "-n", "shpo"), "nothing here is in a namespace shpo"),
    ("escalations", ("--subject", "sa:shop/nobody"), "ServiceAccount shop/nobody is neither declared"),
])  # fmt: skip
def test_a_question_about_what_nothing_names_is_answered_with_a_note(
    command: str, arguments: tuple[str, ...], note: str
) -> None:
    assert f"note: {note}" in run_command(command, *arguments, str(SHOP)).stderr


def test_no_note_about_what_something_names() -> None:
    for subject in ("sa:shop/deployer", "sa:shop/default", "sa:kube-system/default", "alice", "group:devs"):
        assert "note:" not in run_command("can", subject, "get", "pods", "-n", "kube-system", str(SHOP)).stderr


@pytest.mark.parametrize("command", QUESTIONS)
def test_objects_that_run_into_each_other_are_told(command: str) -> None:
    """Without a --- between them the last one stands for all: a policy or a binding may be lost."""
    arguments, _ = QUESTIONS[command]
    files = [path.read_text() for path in sorted(SHOP.glob("*.yaml"))]
    ran_together = run_command(command, *arguments, "-", stdin="\n".join(files))
    assert "kind stands twice in one document" in ran_together.stderr
    # What is granted is granted, and what is found is found, whatever else was lost.
    assert ran_together.exit_code == {"can": 0, "escalations": 1}.get(command, 3)
