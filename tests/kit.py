"""What many tests need: objects from text, results of scanning text."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import go_tools
import pytest
from click.testing import CliRunner
from click.testing import Result as CommandResult

from kubeassay.cli.main import cli
from kubeassay.engine.plan import Plan, make_plan
from kubeassay.execution.scan import scan
from kubeassay.model import (
    Control,
    Exception_,
    Finding,
    KubernetesVersion,
    Object,
    Profile,
    Result,
    RuleUse,
    Source,
    Target,
)
from kubeassay.policy.library import Library
from kubeassay.sources.files import Discovery
from kubeassay.sources.manifests import read_bytes

LIBRARY = Library()
# Tests judge anew, and keep nothing in the user's cache; those of the cache say so.
os.environ["KUBEASSAY_CACHE"] = "off"
# Whether a tree is rendered is not to depend on what this machine has; tests of rendering ask for it.
os.environ["KUBEASSAY_RENDER"] = "0"


def objects_in(text: str) -> list[Object]:
    """The objects of a manifest; an error in it fails the test."""
    read = read_bytes(text.encode(), "test.yaml")
    assert not read.errors, read.errors
    return read.objects


def profile_of(*rules: str, library: Library = LIBRARY, **parameters: Any) -> Profile:
    """A profile of a few rules, with their own severities."""
    control = Control(
        "T-1", "test", "test", Source("test"), tuple(RuleUse(rule, parameters=parameters) for rule in rules)
    )
    return Profile("test", "test", "", "latest", (control,))


def plan_of(
    profile: Profile | str,
    version: str = "latest",
    *,
    library: Library = LIBRARY,
    exceptions: Iterable[Exception_] = (),
    show: Iterable[str] = (),
    **options: Any,
) -> Plan:
    """The plan of a profile (by name, or made by :func:`profile_of`)."""
    chosen = library.profile(profile) if isinstance(profile, str) else profile
    return make_plan(chosen, library, KubernetesVersion.parse(version), exceptions=exceptions, show=show, **options)


def scan_text(plan: Plan, text: str | bytes, name: str = "test.yaml") -> Result:
    """The result of scanning one text."""
    content = text.encode() if isinstance(text, str) else text
    return scan(plan, Discovery(), Target("manifests", name), stdin=content, stdin_name=name)


def places(findings: Iterable[Finding]) -> set[tuple[str, str, int, int]]:
    """(rule, path, line, column) of findings."""
    return {(f.rule, f.path, f.location.start_line, f.location.start_column) for f in findings}


def failing(result: Result) -> list[Finding]:
    return [finding for finding in result.findings if finding.outcome == "fail"]


def go_program(module: str, package: str, folder: Path) -> Path:
    """A program of a Go module beside the tests, built into a folder. Without Go, or where its modules cannot be had
    (from the module cache or a proxy), the test is skipped, and says so."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not on PATH")
    program = folder / "program"
    build = subprocess.run(
        [go, "build", "-o", program, package],
        cwd=Path(__file__).parent / module,
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode:
        pytest.skip(f"tests/{module} cannot be built: {build.stderr.strip()[-500:]}")
    return program


def give_program(name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let rendering use the ``kustomize`` or ``helm`` that was built for the tests. Without it the test is skipped, and
    says so."""
    program = go_tools.path(name)
    if not program.is_file():
        pytest.skip(f"{name} is not installed (make tools)")
    monkeypatch.setenv(f"KUBEASSAY_{name.upper()}", str(program))
    return program


Ask = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def asking(program: Path, environment: Mapping[str, str] | None = None) -> Iterator[Ask]:
    """A program that answers one question after the other, a line each. What it logs between them is passed over."""
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers, questions = process.stdout, process.stdin

        def ask(question: dict[str, Any]) -> dict[str, Any]:
            questions.write(json.dumps(question) + "\n")
            questions.flush()
            while not (line := answers.readline()).startswith("{"):
                assert line, "the program has ended"
            answer: dict[str, Any] = json.loads(line)
            assert not answer.get("error"), answer
            return answer

        yield ask
        questions.close()


def answered(program: Path, questions: Iterable[Any], *arguments: str) -> list[Any]:
    """The answers of a program to questions that it gets all at once."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([program, *arguments], input=lines, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[max(done.stderr.find("panic"), 0) :][:2000]
    # Not splitlines: strings of JSON may hold other ends of lines.
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def run_command(*arguments: str, stdin: str | bytes | None = None) -> CommandResult:
    """Run a command as a user does; the exit code of a command is its return value."""
    result = CliRunner().invoke(cli, list(arguments), input=stdin, standalone_mode=False)
    if result.exception is not None:
        if not isinstance(result.exception, click.ClickException):
            raise result.exception
        result.exit_code = 2
        result.stderr_bytes = (result.stderr_bytes or b"") + result.exception.format_message().encode()
    elif isinstance(result.return_value, int):
        result.exit_code = result.return_value
    return result


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as nobody in particular and without anybody's configuration."""
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    )


def run_within_seconds(code: str, stdin: str = "", seconds: float = 20, folder: Path | None = None) -> None:
    """Run Python code in a process of its own; the test fails when it takes longer: for what must not be quadratic.
    ``folder``: where modules of tests are that it imports besides."""
    tests = Path(__file__).parent
    folders = [str(tests), str(tests.parent / ".ci"), *([str(folder)] if folder is not None else [])]
    command = [sys.executable, "-c", f"import sys; sys.path[:1] = {folders!r}\n{code}"]
    subprocess.run(command, input=stdin.encode(), timeout=seconds, check=True)


def end_with_parent() -> None:
    """In a new process: end when the process that started it does, however that ends. Linux alone can say so."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
