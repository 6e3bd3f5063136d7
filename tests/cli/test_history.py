"""``kubeassay audit --history``: a folder for each audit, compared with the one before, and the oldest removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from kit import run_command
from kubeassay.cli import history
from sources.fault_server import FaultServer

NIGHT = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)
Night = Callable[..., Result]
REPORTS = {"report.html", "result.json", "result.sarif"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    made = FaultServer(tmp_path)
    made.add("Namespace", "a")
    made.add("ServiceAccount", "default", "a")
    add_pod(made, "one")
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def add_pod(server: FaultServer, name: str) -> None:
    container = {"name": "c", "image": "i:1", "securityContext": {"privileged": True}}
    server.add("Pod", name, "a", spec={"containers": [container]})


def audit(server: FaultServer, *arguments: str) -> Result:
    return run_command("audit", "--kubeconfig", str(server.kubeconfig), "--allow-incomplete", "-j", "1", *arguments)


@pytest.fixture
def night(server: FaultServer, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """An audit with a history, a day after the one before."""
    clock = [NIGHT]
    monkeypatch.setattr(history, "_now", lambda: clock[0])

    def run(*arguments: str) -> Result:
        done = audit(server, "--history", str(kept), *arguments)
        clock[0] += timedelta(days=1)
        return done

    return run


def nights(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_audit_has_a_folder_and_is_compared_with_the_one_before(
    night: Night, server: FaultServer, kept: Path
) -> None:
    first = night()
    assert first.exit_code == 1
    assert (
        f"compared with nothing: {kept} holds no earlier result of cluster c-1 by profile recommended" in first.stderr
    )
    assert nights(kept) == ["20261125T021700Z"]
    assert {path.name for path in (kept / "20261125T021700Z").iterdir()} == REPORTS
    add_pod(server, "two")
    second = night()
    assert nights(kept) == ["20261125T021700Z", "20261126T021700Z"]
    assert f"compared with {kept}/20261125T021700Z/result.json: " in second.stderr
    assert "new: critical privileged-container: Pod a/two" in second.stderr
    assert "Pod a/one at" not in second.stderr
    assert f"{kept}: 2 results, the newest 30 are kept" in second.stderr


def test_new_findings_alone_fail(night: Night, server: FaultServer, kept: Path) -> None:
    # Nothing earlier: all are new.
    assert night("--fail-on-new").exit_code == 1
    assert night("--fail-on-new").exit_code == 0
    assert night().exit_code == 1
    add_pod(server, "two")
    assert night("--fail-on-new").exit_code == 1


def test_results_of_others_are_not_compared_with(night: Night, kept: Path) -> None:
    night()
    assert "compared with nothing" in night("-p", "strict").stderr
    assert "compared with nothing" in night("--cluster-name", "other").stderr
    assert f"compared with {kept}/20261125T021700Z" in night().stderr


def test_what_is_new_is_new_again_where_it_could_not_be_published(
    night: Night, server: FaultServer, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tries again is not to hear that nothing is new."""
    night()
    add_pod(server, "two")
    with monkeypatch.context() as patch:
        patch.setattr("kubeassay.cli.audit._publishing", lambda api, options: lambda result, snapshot: False)
        assert night("--publish").exit_code == 2
    assert {path.name for path in (kept / "20261126T021700Z").iterdir()} == {*REPORTS, "failed"}
    again = night("--fail-on-new")
    assert again.exit_code == 1
    assert f"compared with {kept}/20261125T021700Z/result.json: " in again.stderr


@pytest.mark.parametrize("content", ["", "{}", "[" * 9999, '{"schemaVersion": "0"}'])
def test_a_damaged_result_is_told_and_passed_over(night: Night, kept: Path, content: str) -> None:
    night()
    night()
    (kept / "20261126T021700Z" / "result.json").write_text(content)
    said = night().stderr
    assert f"warning: {kept}/20261126T021700Z/result.json: is not a result of kubeassay" in said
    assert f"compared with {kept}/20261125T021700Z" in said


def test_the_oldest_are_removed_and_nothing_else(night: Night, kept: Path) -> None:
    for name in ("notes", "20261101", "20261101T000000Z.bak"):
        (kept / name).mkdir()
        (kept / name / "result.json").write_text("{}")
    (kept / "20261102T000000Z").write_text("a file")
    (kept / "20261103T000000Z").symlink_to(kept / "notes")
    others = nights(kept)
    # What an audit left that was ended: long ago, and perhaps not ended.
    for name in ("20261104T000000Z", "20261128T021600Z"):
        (kept / name).mkdir()
        (kept / name / "report.html").write_text("half")
    for _ in range(4):
        night("--keep", "2")
    assert nights(kept) == sorted([*others, "20261127T021700Z", "20261128T021600Z", "20261128T021700Z"])
    assert (kept / "notes" / "result.json").exists()


def test_a_report_of_the_newest_result(night: Night, server: FaultServer, kept: Path, tmp_path: Path) -> None:
    night()
    add_pod(server, "two")
    night()
    printed = json.loads(run_command("report", str(kept), "-f", "json").stdout)
    assert {"one", "two"} <= {result["object"]["name"] for result in printed["results"]}
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = run_command("report", str(empty))
    assert refused.exit_code == 2
    assert f"{empty}: holds no result of an audit with --history" in refused.stderr


def test_other_outputs_are_written_too(night: Night, kept: Path, tmp_path: Path) -> None:
    night("-o", f"json={tmp_path / 'mine.json'}")
    assert (tmp_path / "mine.json").read_bytes() == (kept / "20261125T021700Z" / "result.json").read_bytes()


def test_two_audits_in_one_second(server: FaultServer, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_now", lambda: NIGHT)
    audit(server, "--history", str(kept))
    second = audit(server, "--history", str(kept))
    assert second.exit_code == 2
    assert "is there already" in second.stderr


def test_wrong_use_is_said_before_a_cluster_is_read(server: FaultServer, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, said in (
        (["--history", str(tmp_path / "none")], "there is no such folder; make it"),
        (["--history", str(tmp_path / "file")], "is no folder"),
        (["--history", str(kept), "--compare", "x.json"], "leave --compare out"),
        (["--keep", "3"], "--keep needs --history"),
    ):
        refused = audit(server, *arguments)
        assert refused.exit_code == 2
        assert said in refused.stderr
    assert not server.headers


def test_a_failed_audit_leaves_no_folder(server: FaultServer, kept: Path) -> None:
    server.token = "other"
    assert audit(server, "--history", str(kept)).exit_code == 2
    assert nights(kept) == []
