"""``kubeassay audit`` as a user meets it: versions, and errors of one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kit import run_command
from kubeassay.cli.main import cli
from kubeassay.engine.plan import make_plan
from kubeassay.execution import demand
from sources.fault_server import FaultServer, Half


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    made = FaultServer(tmp_path)
    made.add("Namespace", "a")
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("says", "options", "version", "plans"),
    [
        ("v1.33.1", [], "1.33", 2),
        ("v1.37.0", [], "1.37", 1),
        ("v1.33.1", ["--kubernetes-version", "1.30"], "1.30", 1),
        ("who knows", [], "1.37", 1),
    ],
)
def test_the_servers_version_is_judged_by_and_the_plan_made_again_only_for_it(
    server: FaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: str,
    options: list[str],
    version: str,
    plans: int,
) -> None:
    made: list[str] = []

    def counted(profile: Any, library: Any, at: Any, **rest: Any) -> Any:
        made.append(str(at))
        return make_plan(profile, library, at, **rest)

    monkeypatch.setattr(demand, "make_plan", counted)
    server.fault = lambda path, query, number: (200, {"gitVersion": says}) if path == "/version" else None
    report = tmp_path / "report.json"
    run_command("audit", "--kubeconfig", str(server.kubeconfig), "-o", f"json={report}", *options)
    assert json.loads(report.read_text())["kubernetesVersion"] == version
    assert (made[-1], len(made)) == (version, plans)


@pytest.mark.parametrize("command", [["audit"], ["snapshot", "-o", "s.jsonl"]])
def test_a_slow_server_is_one_line(server: FaultServer, command: list[str]) -> None:
    server.fault = lambda path, query, number: (200, Half(drips=True))
    arguments = [*command, "--kubeconfig", str(server.kubeconfig), "--request-timeout", "0.2"]
    done = CliRunner().invoke(cli, arguments)
    host = f"http://127.0.0.1:{server.http.server_port}"
    assert (done.exit_code, done.output) == (2, f"Error: no answer from {host} within 0.2 s\n")


@pytest.mark.parametrize("seconds", ["0", "-1", "x"])
def test_a_time_that_is_none_is_wrong_usage(seconds: str) -> None:
    assert CliRunner().invoke(cli, ["audit", "--request-timeout", seconds]).exit_code == 2
