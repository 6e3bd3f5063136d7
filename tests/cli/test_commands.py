"""The commands as a user meets them: output, streams, exit codes, errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit import run_command
from kubeassay.cli.main import main

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: app
      image: registry.example/app:1.0
      securityContext: {privileged: true}
"""
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "broken.yaml").write_text("a: [1\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.yaml"], 0),
        (["pod.yaml"], 1),
        (["pod.yaml", "--fail-on", "critical"], 0),
        (["pod.yaml", "--fail-on", "low"], 1),
        (["pod.yaml", "--fail-on", "none"], 0),
        (["pod.yaml", "good.yaml", "broken.yaml"], 1),
        (["good.yaml", "broken.yaml"], 3),
        (["good.yaml", "broken.yaml", "--allow-incomplete"], 0),
        (["pod.yaml", "broken.yaml", "--fail-on", "none"], 3),
        (["missing.yaml"], 2),
        (["*.yml"], 2),
        (["pod.yaml", "--profile", "recomended"], 2),
        (["pod.yaml", "--kubernetes-version", "2.0"], 2),
        (["pod.yaml", "--format", "xml"], 2),
        (["pod.yaml", "-o", "sarf=x"], 2),
        (["pod.yaml", "-o", "sarif=x", "-o", "json=x"], 2),
        (["pod.yaml", "-o", "sarif=no/such/folder/x"], 2),
        (["pod.yaml", "--show", "everything"], 2),
        ([], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    profile = [] if "--profile" in arguments else ["--profile", "pss-baseline"]
    assert run_command("scan", *profile, *arguments).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["scn"], "did you mean scan?"),
        (["scan", "pod.yaml", "--profile", "recomended"], "did you mean recommended?"),
        (["scan", "pod.yaml", "--baseline", "pod-securty"], "did you mean pod-security?"),
        (["scan", "pod.yaml", "-o", "sarf=x"], "did you mean sarif?"),
        (["scan", "pod.yaml", "--fail-no", "high"], "--fail-on"),
        (["explain", "privileged-contaner"], "did you mean privileged-container?"),
        (["rules", "--area", "pod-securty"], "did you mean pod-security?"),
        (["rules", "--mapping", "owasp"], "did you mean owasp-k8s?"),
        (["baselines", "strikt"], "did you mean strict?"),
    ],
)
def test_a_misspelling_is_answered_with_the_right_word(arguments: list[str], hint: str) -> None:
    result = run_command(*arguments)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_the_json_result_goes_to_standard_output_alone() -> None:
    result = run_command("scan", "pod.yaml", "broken.yaml", "--profile", "pss-baseline", "--format", "json")
    document = json.loads(result.stdout)
    assert {
        (r["rule"], r["location"]["file"], r["location"]["startLine"], r["location"]["startColumn"])
        for r in document["results"]
    } == {("privileged-container", "pod.yaml", 8, 37)}
    assert [(e["file"], e["line"]) for e in document["errors"]] == [("broken.yaml", 2)]
    assert document["profile"] == "pss-baseline"


def test_standard_input_is_scanned() -> None:
    result = run_command("scan", "-", "--profile", "pss-baseline", "--format", "json", stdin=POD)
    assert [r["location"]["file"] for r in json.loads(result.stdout)["results"]] == ["stdin"]
    assert result.exit_code == 1


def test_reports_are_written_to_files_and_the_summary_to_standard_error() -> None:
    result = run_command(
        "scan", "pod.yaml", "-o", "json=a.json", "-o", "sarif=a.sarif", "-o", "html=a.html", "-o", "terminal=a.txt"
    )
    assert result.stdout == ""
    assert "json: a.json" in result.stderr
    assert json.loads(Path("a.sarif").read_text())["version"] == "2.1.0"
    assert "privileged-container" in Path("a.txt").read_text()
    assert "\x1b[" not in Path("a.txt").read_text()
    assert sorted(p.name for p in Path.cwd().glob(".a*")) == []
    again = run_command("report", "a.json", "--format", "sarif")
    assert again.stdout == Path("a.sarif").read_text()


def test_equal_inputs_give_equal_bytes() -> None:
    for form in ("json", "sarif", "html", "terminal"):
        first, second = (
            run_command("scan", ".", "--profile", "strict", "--format", form).stdout_bytes for _ in range(2)
        )
        assert first == second


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schemaVersion": "9"}', '{"schemaVersion": "1"}'])
def test_a_file_that_is_no_result_is_refused_in_one_sentence(content: str) -> None:
    Path("r.json").write_text(content)
    result = run_command("report", "r.json")
    assert result.exit_code == 2
    assert "r.json: is not a result of kubeassay" in result.stderr


def test_a_configuration_file_gives_the_options_and_the_command_line_wins() -> None:
    Path("kubeassay.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\n"
        "spec: {paths: [pod.yaml], profile: pss-baseline, kubernetesVersion: '1.25', failOn: none}\n"
    )
    result = run_command("scan", "--config", "kubeassay.yaml", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["kubernetesVersion"] == "1.25"
    other = run_command(
        "scan", "--config", "kubeassay.yaml", "--kubernetes-version", "v1.30", "--fail-on", "high", "--format", "json"
    )
    assert other.exit_code == 1
    assert json.loads(other.stdout)["kubernetesVersion"] == "1.30"


def test_configured_paths_lead_to_pod_templates_that_no_shape_gives_away() -> None:
    Path("kafka.yaml").write_text(
        "apiVersion: kafka.example/v1\nkind: Kafka\nmetadata: {name: events}\nspec:\n  pod:\n    hostNetwork: true\n"
    )
    Path("kubeassay.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\n"
        "spec: {podTemplatePaths: [{group: kafka.example, kind: Kafka, path: spec.pod}]}\n"
    )
    arguments = ("scan", "kafka.yaml", "--profile", "pss-baseline", "--format", "json")
    assert json.loads(run_command(*arguments).stdout)["results"] == []
    found = json.loads(run_command(*arguments, "--config", "kubeassay.yaml").stdout)["results"]
    assert [(r["rule"], r["path"], r["location"]["startLine"]) for r in found] == [
        ("host-namespaces", "spec.pod.hostNetwork", 6)
    ]


@pytest.mark.parametrize(
    ("arguments", "form"), [(["-o", "a.json"], "json"), (["-o", "a.sarif"], "sarif"), (["-o", "a.html"], "html")]
)
def test_the_ending_of_a_path_names_the_format(arguments: list[str], form: str) -> None:
    assert f"{form}: {arguments[1]}" in run_command("scan", "pod.yaml", *arguments).stderr


@pytest.mark.parametrize(("value", "message"), [("json", "write json=PATH"), ("report", "write FORMAT=PATH")])
def test_an_output_without_a_format_is_refused(value: str, message: str) -> None:
    result = run_command("scan", "pod.yaml", "-o", value)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path(value).exists()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "{rule: privileged-container, match: {names: [web]}, reason: r, expires: 2020-01-01}",
            "warning: e.yaml:3: exception e.yaml#1 does not hold: expired on 2020-01-01",
        ),
        (
            "{rule: privileged-container, match: {names: [other]}, reason: r}",
            "warning: e.yaml:3: exception e.yaml#1 matches no finding",
        ),
        (
            "{rule: privileged-container, match: {names: [web]}}",
            "warning: e.yaml:3: exception e.yaml#1 does not hold: lacks a reason",
        ),
    ],
)
def test_an_exception_without_effect_is_told_where_no_rule_finds_it(entry: str, message: str) -> None:
    Path("e.yaml").write_text(f"apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec: {{exceptions: [{entry}]}}\n")
    result = run_command("scan", "pod.yaml", "--profile", "pss-baseline", "--exceptions", "e.yaml")
    assert result.exit_code == 1
    assert message in result.stderr
    found = run_command("scan", "pod.yaml", "--exceptions", "e.yaml")
    assert "warning:" not in found.stderr


def test_an_exception_to_an_unknown_rule_is_refused() -> None:
    Path("e.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Exceptions\n"
        "spec: {exceptions: [{rule: privileged-contaner, match: {names: [web]}, reason: r}]}\n"
    )
    result = run_command("scan", "pod.yaml", "--exceptions", "e.yaml")
    assert result.exit_code == 2
    assert "did you mean privileged-container?" in result.stderr


def test_a_version_beyond_the_newest_known_is_told() -> None:
    assert "newer than the newest known" in run_command("scan", "pod.yaml", "--kubernetes-version", "1.99").stderr


def test_a_rule_of_ones_own_runs_without_a_baseline_and_a_folder_may_hold_other_policy() -> None:
    Path("own").mkdir()
    Path("own/has-label.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Rule\nmetadata: {id: has-label}\n"
        "spec: {title: t, area: platform, severity: low, subject: workload, rationale: r, remediation: r,\n"
        "  expression: object.metadata.?labels.hasValue(), messageExpression: '\"no label\"', field: metadata.labels}\n"
    )
    Path("own/baseline.yaml").write_text("apiVersion: kubeassay.dev/v1\nkind: Baseline\n")
    result = run_command("scan", "pod.yaml", "--profile", "pss-baseline", "--rules", "own", "--format", "json")
    found = {
        (r["rule"], tuple(r["controls"]), r["location"]["startLine"]) for r in json.loads(result.stdout)["results"]
    }
    assert ("has-label", ("has-label",), 3) in found


def test_exceptions_accept_findings() -> None:
    Path("exceptions.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Exceptions\n"
        "spec: {exceptions: [{rule: privileged-container, match: {names: [web]}, reason: node agent,\n"
        "  expires: '2999-01-01'}]}\n"
    )
    result = run_command(
        "scan", "pod.yaml", "--profile", "pss-baseline", "--exceptions", "exceptions.yaml", "--format", "json"
    )
    assert result.exit_code == 0
    assert [(r["outcome"], r["rule"]) for r in json.loads(result.stdout)["results"]] == [
        ("excepted", "privileged-container")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Rule\n", "bad.yaml:1:1: 'apiVersion' is a required property"),
        ("a: [\n", "bad.yaml:2:1: "),
        (
            "apiVersion: kubeassay.dev/v1\nkind: Rule\nmetadata: {id: bad}\nspec: {severty: high}\n",
            "did you mean severity?",
        ),
        (
            "apiVersion: kubeassay.dev/v1\nkind: Rule\nmetadata: {id: bad}\nspec:\n  severity: huge\n",
            "bad.yaml:5:13: spec.severity: ",
        ),
    ],
)
def test_a_policy_file_with_a_mistake_is_refused_with_its_line(text: str, message: str) -> None:
    Path("bad.yaml").write_text(text)
    result = run_command("scan", "pod.yaml", "--rules", "bad.yaml")
    assert result.exit_code == 2
    assert message in result.stderr


def test_rules_are_listed_with_their_mappings() -> None:
    listed = {rule["id"]: rule for rule in json.loads(run_command("rules", "--format", "json").stdout)}
    assert listed["run-as-non-root"]["references"]["pss"] == "runAsNonRoot"
    chosen = json.loads(run_command("rules", "--mapping", "pss=runAsNonRoot", "--format", "json").stdout)
    assert [rule["id"] for rule in chosen] == ["run-as-non-root"]
    assert "run-as-non-root" in run_command("rules", "--area", "pod-security").stdout


def test_a_rule_is_explained() -> None:
    text = run_command("explain", "privileged-container").stdout
    assert "How to comply" in text
    assert "pod-security PS-01" in text
    assert (
        json.loads(run_command("explain", "privileged-container", "-f", "json").stdout)["id"] == "privileged-container"
    )


def test_baselines_and_profiles_are_listed_with_their_controls() -> None:
    assert "pss-restricted" in run_command("baselines").stdout
    controls = json.loads(run_command("baselines", "pss-baseline", "--format", "json").stdout)
    assert {c["level"] for c in controls} == {"baseline"}
    assert "PS-01" in run_command("baselines", "pod-security").stdout


def test_a_control_of_a_document_names_its_line() -> None:
    text = run_command("baselines", "merajutasa/production").stdout
    assert "Workload Organization / Namespace Resource Quotas (architecture.md:311)\n" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script(shell: str) -> None:
    assert "_KUBEASSAY_COMPLETE" in run_command("completion", shell).stdout


def test_no_line_of_an_error_is_a_command_to_a_runner(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scan", "a\n::error::b\n  ##[error]c.yaml"])
    said = capsys.readouterr().err
    assert (r"\x3a:error::b" in said, "\n::error" in said, "##[" in said) == (True, False, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("end", ["> /dev/full", "-f json > /dev/full"])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    command = f'"{sys.executable}" -m kubeassay.cli.main scan a.yaml -q {end}'
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: standard output: No space left on device\n")


def test_a_closed_output_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    command = f'"{sys.executable}" -m kubeassay.cli.main scan a.yaml -p pss-baseline -q >&-'
    done = subprocess.run(command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
