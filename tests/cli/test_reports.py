"""Reports in all formats as a user asks for them: paths, times, earlier results, secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit import run_command
from kubeassay.reporting import FORMATS

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
    - name: app
      image: registry.example/app:latest
      securityContext: {privileged: true}
      env: [{name: DB_PASSWORD, value: zebra7-crossing}]
      command: ["run", "--password=violet-otter-lamp"]
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
stringData: {token: amber-falcon-9, other: "quartz+needle"}
data: {key: bWFyYmxlLXR1cnRsZQ==}
"""
TEXTS = ("zebra7", "violet-otter", "amber-falcon", "quartz+needle", "bWFyYmxl", "marble-turtle")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    Path("pod.yaml").write_text(POD)
    Path("broken.yaml").write_text("a: [1\n")


@pytest.mark.parametrize("form", FORMATS)
def test_a_rendered_result_is_the_report_of_the_scan_and_holds_no_secret(form: str) -> None:
    command = ("scan", "pod.yaml", "broken.yaml", "-p", "strict", "--show", "pass,not-evaluated", "-o", "json=r.json")
    # Without it the maps of a page are in the page alone.
    command = (*command, "--pictures")
    done = run_command(*command, "-o", f"{form}=report")
    assert done.exit_code == 1
    if form != "json":
        assert run_command("report", "r.json", "--format", form).stdout_bytes == Path("report").read_bytes()
    text = Path("report").read_text("utf-8")
    assert not [secret for secret in TEXTS if secret in text]
    # Metrics have numbers, and what is recorded to be accepted is a list of findings.
    assert "broken.yaml" in text or form in ("prometheus", "accepted")


def test_equal_inputs_give_equal_bytes_in_every_format() -> None:
    for number in (1, 2):
        outputs = [part for form in FORMATS for part in ("-o", f"{form}={form}.{number}")]
        run_command("scan", "pod.yaml", "broken.yaml", "-p", "strict", *outputs)
    for form in FORMATS:
        assert Path(f"{form}.1").read_bytes() == Path(f"{form}.2").read_bytes()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("a.archive.sarif", "sarif-archive"),
        ("a.sarif", "sarif"),
        ("a.oscal.json", "oscal"),
        ("gl-code-quality-report.json", "gitlab"),
        ("a.json", "json"),
        ("a.xml", "junit"),
        ("a.md", "markdown"),
        ("a.csv", "csv"),
        ("kubeassay.prom", "prometheus"),
    ],
)
def test_the_longest_ending_names_the_format(path: str, form: str) -> None:
    assert f"{form}: {path}" in run_command("scan", "pod.yaml", "-o", path).stderr


def test_a_report_goes_to_standard_output_beside_files() -> None:
    done = run_command("scan", "pod.yaml", "-o", "github=-", "-o", "json=r.json")
    assert done.stdout.startswith("::error file=pod.yaml,line=8,")
    assert Path("r.json").is_file()
    assert not Path("-").exists()


def test_two_reports_do_not_share_standard_output() -> None:
    done = run_command("scan", "pod.yaml", "-o", "github=-", "-o", "csv=-")
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "seconds"),
    [
        ([], None, None),
        (["--timestamp", "1790000000"], None, 1_790_000_000),
        (["--timestamp", "2026-09-21T14:13:20Z"], None, 1_790_000_000),
        (["--timestamp", "2026-09-21T16:13:20+02:00"], None, 1_790_000_000),
        ([], "1500000000", 1_500_000_000),
        (["--timestamp", "1790000000"], "1500000000", 1_790_000_000),
    ],
)
def test_the_time_of_the_run(
    arguments: list[str], environment: str | None, seconds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", environment)
    text = run_command("scan", "pod.yaml", "--format", "prometheus", *arguments).stdout
    found = [line.split()[-1] for line in text.splitlines() if line.startswith("kubeassay_run_timestamp_seconds")]
    assert found == ([] if seconds is None else [str(seconds)])


def test_now_is_a_time() -> None:
    text = run_command("scan", "pod.yaml", "--format", "prometheus", "--timestamp", "now").stdout
    assert "kubeassay_run_timestamp_seconds{" in text


@pytest.mark.parametrize("value", ["yesterday", "2026-09-21T14:13:20", "-5", "9" * 40, "1e9", "٣"])
def test_what_is_no_time_is_refused_in_one_line(value: str) -> None:
    done = run_command("scan", "pod.yaml", "--timestamp", value)
    assert done.exit_code == 2
    assert "is no time: now, 2026-11-25T01:17:04Z, or seconds since 1970" in done.stderr


def test_oscal_says_that_it_has_no_time() -> None:
    assert "warning: oscal: No time of the run was given" in run_command("scan", "pod.yaml", "-f", "oscal").stderr


def test_an_earlier_result_gives_states_to_sarif() -> None:
    run_command("scan", "pod.yaml", "-p", "pss-baseline", "-o", "json=before.json")
    Path("pod.yaml").write_text(POD.replace("privileged: true", "procMount: Unmasked"))
    run_command(
        *("scan", "pod.yaml", "-p", "pss-baseline", "--compare", "before.json"),
        *("-o", "sarif=now.sarif", "-o", "sarif-archive=archive.sarif"),
    )

    def states(file: str) -> set[tuple[str, str]]:
        results = json.loads(Path(file).read_text())["runs"][0]["results"]
        return {(result["ruleId"], result["baselineState"]) for result in results}

    assert states("now.sarif") == {("proc-mount", "new")}
    assert states("archive.sarif") == {("proc-mount", "new"), ("privileged-container", "absent")}


def test_links_begin_where_asked() -> None:
    base = "https://git.example/o/r/blob/main/"
    text = run_command("scan", "pod.yaml", "-f", "markdown", "--link-base", base).stdout
    assert f'<a href="{base}pod.yaml#L8">' in text


@pytest.mark.parametrize("accepted", [False, True])
def test_what_was_not_judged_is_an_error_unless_accepted(accepted: bool) -> None:
    flags = ["--allow-incomplete"] if accepted else []
    for command in (["scan", "broken.yaml", *flags], ["report", "r.json", *flags]):
        if command[0] == "report":
            run_command("scan", "broken.yaml", "-o", "json=r.json")
        text = run_command(*command, "--format", "junit").stdout
        assert ('<error type="incomplete"' in text) is not accepted
        assert ('<skipped type="incomplete"' in text) is accepted


def test_json_knows_nothing_of_times() -> None:
    plain, timed = (run_command("scan", "pod.yaml", "-f", "json", *more).stdout for more in ([], ["--timestamp", "5"]))
    assert plain == timed


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="has no /dev/fd")
def test_a_link_to_standard_output_is_written_through(tmp_path: Path) -> None:
    """/dev/stdout is such a link: replaced by a file, it would be lost to every program."""
    (tmp_path / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")
    command = [sys.executable, "-m", "kubeassay.cli.main", "scan", "pod.yaml", "-o", "json=/dev/fd/1"]
    with (tmp_path / "out").open("wb") as stream:
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    assert json.loads((tmp_path / "out").read_text())["target"]["kind"] == "manifests"
