"""The hooks for pre-commit: what they are made of, and their commands, run as pre-commit does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import git, run_command

ROOT = Path(__file__).parent.parent
HOOKS: dict[str, dict[str, Any]] = {
    hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
}
#: https://pre-commit.com/#creating-new-hooks
KNOWN = {
    *("id", "name", "entry", "language", "files", "exclude", "types", "types_or", "exclude_types", "always_run"),
    *("fail_fast", "verbose", "pass_filenames", "require_serial", "description", "language_version"),
    *("minimum_pre_commit_version", "args", "stages"),
}
WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "i:1"}]}
"""
SERVICE = """apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


def run(hook: str, changed: list[str], *arguments: str) -> tuple[int, str, list[str]]:
    """As pre-commit runs it: the entry, its arguments, and the names of the changed files that the hook wants; not at
    all where there is none. Exit code, output, names."""
    stated = HOOKS[hook]
    wanted = [name for name in changed if Path(name).exists() and re.search(stated.get("files", ""), name)]
    if not wanted and not stated.get("always_run"):
        return 0, "(no files to check)", []
    names = wanted if stated.get("pass_filenames", True) else []
    program, *rest = [*shlex.split(stated["entry"]), *(arguments or stated["args"]), *names]
    assert program == "kubeassay"
    done = run_command(*rest)
    return done.exit_code, done.stdout + done.stderr, names


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "web.yaml").write_text(WEB)
    (tmp_path / "service.yaml").write_text(SERVICE)
    (tmp_path / ".github.yaml").write_text("on: push\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    return tmp_path


def test_hooks_are_what_pre_commit_takes() -> None:
    assert set(HOOKS) == {"kubeassay", "kubeassay-files"}
    for hook in HOOKS.values():
        assert set(hook) <= KNOWN
        assert hook["language"] == "python"
        assert hook["require_serial"] is True
    assert HOOKS["kubeassay"]["always_run"] is True
    assert HOOKS["kubeassay"]["pass_filenames"] is False


def test_the_whole_tree_is_judged_whatever_changed(repository: Path) -> None:
    low = ("--fail-on=low", ".")
    assert "service-selects-nothing" not in run("kubeassay", ["service.yaml"], *low)[1]
    (repository / "web.yaml").write_text(WEB.replace("app: web", "app: site"))
    code, said, names = run("kubeassay", ["web.yaml"], *low)
    assert (code, names) == (1, [])
    assert "service-selects-nothing" in said, "at an object of another file"


def test_a_commit_that_deletes_alone_is_judged(repository: Path) -> None:
    """pre-commit has no file to name then."""
    deny = "kind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}}\n"
    (repository / "deny.yaml").write_text("apiVersion: networking.k8s.io/v1\n" + deny)
    missing = "namespace-without-isolation"
    assert missing not in run("kubeassay", ["deny.yaml"], "--fail-on=low", ".")[1]
    (repository / "deny.yaml").unlink()
    code, said, _ = run("kubeassay", ["deny.yaml"], "--fail-on=low", ".")
    assert code == 1
    assert missing in said


def test_its_own_arguments_judge_the_tree(repository: Path) -> None:
    assert run("kubeassay", [])[0] == 0
    (repository / "web.yaml").write_text(WEB.replace('"i:1"', '"i:1", securityContext: {privileged: true}'))
    code, said, _ = run("kubeassay", [])
    assert code == 1
    assert "web.yaml:8:" in said, "what a person has to see"


def test_what_a_commit_brings_alone_may_be_asked_for(repository: Path) -> None:
    (repository / "web.yaml").write_text(WEB.replace('"i:1"', '"i:1", securityContext: {privileged: true}'))
    git(repository, "commit", "-qam", "x")
    assert run("kubeassay", ["service.yaml"])[0] == 1
    assert run("kubeassay", ["service.yaml"], "--since=HEAD", ".")[0] == 0


def test_changed_files_are_judged_by_the_rest(repository: Path) -> None:
    alone = run_command("scan", "service.yaml", "--fail-on=low")
    assert "service-selects-nothing" in alone.stdout, "or the hook would need no context"
    code, said, names = run("kubeassay-files", ["service.yaml", ".github.yaml", "README.md"], "--fail-on=low", "--")
    assert (code, names) == (0, ["service.yaml", ".github.yaml"]), said
    # Nothing is reported of the rest.
    (repository / "web.yaml").write_text(WEB.replace('"i:1"', '"i:1", securityContext: {privileged: true}'))
    assert run("kubeassay-files", ["service.yaml"])[0] == 0
    code, said, _ = run("kubeassay-files", ["web.yaml"])
    assert code == 1
    assert "privileged-container" in said


def test_a_file_may_be_called_as_an_option(repository: Path) -> None:
    name = "--output=json=evil.yaml"
    (repository / name).write_text(WEB.replace('"i:1"', '"i:1", securityContext: {privileged: true}'))
    code, said, names = run("kubeassay-files", [name])
    assert (code, names) == (1, [name])
    assert name in said
    assert not (repository / "evil.yaml").exists()
