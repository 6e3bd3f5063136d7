"""``kubeassay fleet`` as a user meets it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from jsonschema import Draft202012Validator

from execution.dask_cluster import dask_cluster
from kit import run_command
from kubeassay import content
from kubeassay.cli.main import cli
from kubeassay.execution.fleet import audit_target
from kubeassay.policy.fleet import fleet_from
from kubeassay.reporting import FORMATS

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop}}
spec:
  containers:
    - name: app
      image: registry.example/app:1.0
      securityContext: {{privileged: {privileged}}}
"""
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\n"
FLEET = """\
apiVersion: kubeassay.dev/v1
kind: Fleet
metadata: {name: shops}
spec:
  defaults: {profile: pss-baseline}
  targets:
    - {name: web, directory: ../web, paths: [k8s]}
    - {name: settings, paths: [../settings]}
    - {name: mild, directory: ../web, paths: [k8s], failOn: none}
"""
LOST = """\
    - {name: away, context: prod, kubeconfig: no-such-file}
    - {name: mistyped, paths: [../settings], profile: pss-baselin}
    - {name: nowhere, paths: [../no-such-folder]}
    - {name: nobody, directory: ../nobody, paths: [.]}
    - {name: staging, paths: [../settings], profile: merajutasa/production, environment: staging}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ops", "web/k8s", "settings"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "web" / "k8s" / "pod.yaml").write_text(POD.format(name="web", privileged="true"))
    (tmp_path / "settings" / "settings.yaml").write_text(GOOD)
    (tmp_path / "ops" / "fleet.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(output: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(output)["targets"]}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_row_for_each_target_and_reports_of_its_own(folder: Path) -> None:
    (folder / "ops" / "fleet.yaml").write_text(FLEET + LOST)
    done = run_command("fleet", "ops/fleet.yaml", "-d", "out/today", "-o", "sarif", "-o", "html")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "TARGET",
        "STATUS",
        "CRITICAL",
        "HIGH",
        "MEDIUM",
        "LOW",
        "EXCEPTED",
        "NOT",
        "EVALUATED",
        "WHAT",
    ]
    assert [(line.split()[0], line.split("  ")[-1]) for line in lines[1:9]] == [
        ("web", "k8s, profile pss-baseline, Kubernetes 1.37"),
        ("settings", "../settings, profile pss-baseline, Kubernetes 1.37"),
        ("mild", "k8s, profile pss-baseline, Kubernetes 1.37"),
        ("away", "there is no kubeconfig no-such-file, and this is no pod of a cluster"),
        ("mistyped", "unknown profile pss-baselin (did you mean pss-baseline?)"),
        ("nowhere", "../no-such-folder does not exist"),
        ("nobody", f"{folder}/nobody: No such file or directory"),
        ("staging", "profile merajutasa/production is for production, not for staging"),
    ]
    assert lines[-2:] == [
        "8 targets of fleet shops (complies: 2, fails: 1, not audited: 5)",
        "2 findings: 2 high",
    ]
    assert done.stderr == ""
    out = folder / "out" / "today"
    own = [f"{name}/result.{end}" for name in ("web", "settings", "mild") for end in ("json", "sarif", "html")]
    assert set(files(out)) == {"fleet.json", "index.html", *own}
    # The maps of the target's page travel in its result.
    assert json.loads((out / "web" / "result.json").read_text())["pictures"]
    page = (out / "index.html").read_text()
    assert 'href="web/result.html"' in page
    assert "away/" not in page
    sarif = json.loads((out / "web" / "result.sarif").read_text())
    assert sarif["runs"][0]["automationDetails"]["id"] == "kubeassay/pss-baseline/web/"
    places = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in sarif["runs"][0]["results"]]
    assert places == ["k8s/pod.yaml"], "relative to the root of its repository"
    combined = json.loads((out / "fleet.json").read_text())
    schema = json.loads((content.folder("reports") / "schemas" / "fleet.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(combined)] == []
    assert combined["fleet"] == {"name": "shops", "file": "ops/fleet.yaml", "targets": 8}
    assert combined["summary"] == {
        "complies": 2,
        "fails": 1,
        "incomplete": 0,
        "notAudited": 5,
        "bySeverity": {"critical": 0, "high": 2, "medium": 0, "low": 0},
    }


def test_every_format_has_a_file_of_its_own(folder: Path) -> None:
    formats = [name for name, form in FORMATS.items() if form.suffix]
    outputs = [argument for name in formats for argument in ("-o", name)]
    run_command("fleet", "ops/fleet.yaml", "-t", "web", "-d", "out", *outputs)
    reports = rows((folder / "out" / "fleet.json").read_text())["web"]["reports"]
    assert set(reports) == set(formats)
    assert set(files(folder / "out")) == {"fleet.json", "index.html", *reports.values()}
    assert len(set(reports.values())) == len(formats)


def test_a_target_has_the_result_that_a_scan_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_command("fleet", "ops/fleet.yaml", "-d", "out")
    monkeypatch.chdir(folder / "web")
    run_command("scan", "k8s", "-p", "pss-baseline", "-o", "json=scan.json")
    assert (folder / "out" / "web" / "result.json").read_bytes() == (folder / "web" / "scan.json").read_bytes()


@pytest.mark.parametrize(
    ("targets", "arguments", "code"),
    [
        ("", ["-t", "settings"], 0),
        ("", ["-t", "mild"], 0),
        ("", ["-t", "mild", "--fail-on", "high"], 1),
        ("", [], 1),
        ("", ["--fail-on", "none"], 0),
        (LOST, [], 1),
        (LOST, ["-t", "settings", "-t", "nowhere"], 3),
        (LOST, ["-t", "settings", "-t", "nowhere", "--allow-incomplete"], 3),
        (LOST, ["-t", "web", "-t", "nowhere"], 1),
        ("    - {name: broken, paths: [../broken.yaml]}\n", ["-t", "broken"], 3),
        ("    - {name: broken, paths: [../broken.yaml]}\n", ["-t", "broken", "--allow-incomplete"], 0),
        ("    - {name: broken, paths: [../broken.yaml], allowIncomplete: true}\n", ["-t", "broken"], 0),
        ("    - {name: web, paths: [x]}\n", [], 2),
        ("", ["-t", "wep"], 2),
        ("", ["-o", "sarif"], 2),
        ("", ["-o", "pdf", "-d", "out"], 2),
        ("", ["-o", "github", "-d", "out"], 2),
        ("", ["--fail-on-new"], 2),
        ("", ["--compare", "no-such-folder"], 2),
        ("", ["--compare", "ops", "-d", "ops"], 2),
        ("", ["-d", "web/k8s/pod.yaml"], 2),
        ("", ["--executor", "threads"], 2),
        ("", ["--executor", "dask://127.0.0.1:1"], 2),
        ("", ["--target-timeout", "0"], 2),
    ],
)
def test_exit_codes(folder: Path, targets: str, arguments: list[str], code: int) -> None:
    (folder / "ops" / "fleet.yaml").write_text(FLEET + targets)
    (folder / "broken.yaml").write_text("a: [1\n")
    done = run_command("fleet", "ops/fleet.yaml", *arguments)
    assert done.exit_code == code, done.output
    if code == 2:
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_mistakes_are_one_line(folder: Path) -> None:
    (folder / "ops" / "fleet.yaml").write_text(FLEET + "    - {name: web, paths: [x]}\n")
    said = run_command("fleet", "ops/fleet.yaml").stderr
    assert said == "ops/fleet.yaml:10:14: spec.targets.3.name: target 1 is called web, too"
    said = run_command("fleet", "ops/fleet.yml").stderr
    assert said == "ops/fleet.yml: cannot be read: No such file or directory"
    (folder / "ops" / "fleet.yaml").write_text(FLEET)
    said = run_command("fleet", "ops/fleet.yaml", "-t", "wep").stderr
    assert said == "--target wep: ops/fleet.yaml has no such target (did you mean web?)"


@pytest.mark.parametrize("folders", ["web/result.json", "fleet.json"])
def test_an_output_folder_that_holds_something_else_is_one_line(folder: Path, folders: str) -> None:
    (folder / "out" / folders).mkdir(parents=True)
    done = run_command("fleet", "ops/fleet.yaml", "-t", "web", "-d", "out")
    assert (done.exit_code, done.stderr.splitlines()[-1].startswith("--output-dir")) == (2, True)


def test_an_output_folder_that_holds_a_file_of_a_targets_name_is_one_line(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "web").touch()
    done = run_command("fleet", "ops/fleet.yaml", "-t", "web", "-d", "out")
    assert (done.exit_code, done.stderr.splitlines()[-1].startswith("--output-dir")) == (2, True)


def test_a_part_of_the_fleet_says_so() -> None:
    done = run_command("fleet", "ops/fleet.yaml", "-t", "settings", "-q")
    assert done.stdout == "1 target of 3 of fleet shops (complies: 1)\n0 findings\n"


def test_a_target_that_takes_too_long_is_told() -> None:
    done = run_command("fleet", "ops/fleet.yaml", "--target-timeout", "0.01", "-f", "json")
    assert done.exit_code == 3
    assert {row["error"] for row in rows(done.stdout).values()} == {"timed out after 0.01 seconds"}
    assert "web: not audited: timed out after 0.01 seconds" in done.stderr


def test_what_is_compared(folder: Path) -> None:
    pods = folder / "web" / "k8s"
    (pods / "old.yaml").write_text(POD.format(name="old", privileged="true"))
    run_command("fleet", "ops/fleet.yaml", "-d", "before", "-t", "web", "-t", "mild")
    (folder / "before" / "mild" / "result.json").write_text("{}")
    (pods / "old.yaml").unlink()
    compared = ["fleet", "ops/fleet.yaml", "--compare", "before", "-f", "json"]

    done = run_command(*compared, "--fail-on-new", "-t", "web")
    assert done.exit_code == 0
    counts = {"new": 0, "fixed": 1, "unchanged": 1, "excepted": 0, "notJudged": 0}
    assert rows(done.stdout)["web"]["comparison"] == counts
    assert rows(done.stdout)["web"]["status"] == "complies"

    (pods / "new.yaml").write_text(POD.format(name="new", privileged="true"))
    done = run_command(*compared, "--fail-on-new")
    assert done.exit_code == 1
    found = rows(done.stdout)
    assert found["web"]["comparison"] == {**counts, "new": 1}
    assert found["settings"]["notCompared"] == "no earlier result"
    assert found["mild"]["notCompared"].startswith("the earlier result cannot be read: schemaVersion is missing")

    # What cannot be compared is not silently as good as what was.
    assert run_command(*compared, "--fail-on-new", "-t", "mild").exit_code == 3
    # Without an earlier result everything is new.
    shutil.rmtree(folder / "before" / "web")
    assert run_command(*compared, "--fail-on-new", "-t", "web").exit_code == 1

    shown = run_command("fleet", "ops/fleet.yaml", "--compare", "before").stdout
    assert "no earlier result" in shown
    assert shown.splitlines()[0].split()[-4:] == ["NEW", "FIXED", "UNCHANGED", "WHAT"]


def test_an_earlier_result_of_a_target_that_is_lost_does_not_stay(folder: Path) -> None:
    run_command("fleet", "ops/fleet.yaml", "-d", "out", "-o", "html", "-o", "sarif")
    (folder / "out" / "settings" / "result-notes.txt").write_text("somebody's own")
    shutil.rmtree(folder / "settings")
    assert run_command("fleet", "ops/fleet.yaml", "-d", "out").exit_code == 1
    assert set(files(folder / "out")) == {
        "fleet.json",
        "web/result.json",
        "mild/result.json",
        "settings/result-notes.txt",
    }
    assert rows((folder / "out" / "fleet.json").read_text())["settings"]["status"] == "not-audited"


def test_notes_name_their_target(folder: Path) -> None:
    (folder / "ops" / "accepted.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n"
        "    - {id: OLD, rule: privileged-container, match: {names: [other]}, reason: x, expires: '2020-01-01'}\n"
    )
    fleet = FLEET + "    - {name: last, directory: ../web, paths: [k8s], exceptions: [accepted.yaml]}\n"
    (folder / "ops" / "fleet.yaml").write_text(fleet)
    done = run_command("fleet", "ops/fleet.yaml", "-t", "last", "-q")
    assert done.stderr.splitlines() == [
        "last: warning: ../ops/accepted.yaml:5: exception OLD does not hold: expired on 2020-01-01",
    ]


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("distributed")
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster.executor


def test_all_executors_give_the_same_bytes(folder: Path, dask: str) -> None:
    fleet = FLEET + LOST + "    - {name: strict, paths: [../web, ../settings], profile: strict}\n"
    (folder / "ops" / "fleet.yaml").write_text(fleet)
    written = {}
    for number, executor in enumerate(["local", "processes", dask]):
        out = folder / f"out{number}"
        done = run_command(
            "fleet", "ops/fleet.yaml", "--executor", executor, "-d", str(out), "-o", "html", "-o", "sarif"
        )
        assert done.exit_code == 1, done.output
        written[number] = (done.stdout, done.stderr, files(out))
    assert len(written[0][2]) == 2 + 3 * 4
    assert written[0] == written[1] == written[2]


def test_workers_get_no_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_TOKEN", "battery9staple")
    (folder / "ops" / "kube.yaml").write_text("users: [{name: a, user: {token: battery9staple}}]\n")
    (folder / "ops" / "fleet.yaml").write_text(FLEET + "    - {name: prod, kubeconfig: kube.yaml}\n")
    target = fleet_from(Path("ops/fleet.yaml")).targets[-1]
    assert target.kubeconfig == "kube.yaml"
    assert b"battery9staple" not in pickle.dumps(partial(audit_target, target, processes=1, show=()))


def test_a_kubeconfig_of_the_environment_is_relative_to_where_the_program_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kube").write_text("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
    monkeypatch.setenv("KUBECONFIG", "kube")
    (folder / "ops" / "fleet.yaml").write_text(FLEET + "    - {name: prod, context: prod}\n")
    done = run_command("fleet", "ops/fleet.yaml", "-t", "prod", "-f", "json")
    assert "no kubeconfig" not in rows(done.stdout)["prod"]["error"]
    assert "kubeconfig" in rows(done.stdout)["prod"]["error"]


def test_completion_knows_the_targets() -> None:
    completion = ShellComplete(cli, {}, "kubeassay", "_KUBEASSAY_COMPLETE")

    def completed(arguments: list[str], incomplete: str) -> list[str]:
        return [item.value for item in completion.get_completions(arguments, incomplete)]

    assert completed(["fleet", "ops/fleet.yaml", "--target"], "") == ["web", "settings", "mild"]
    assert completed(["fleet", "ops/fleet.yaml", "-t"], "m") == ["mild"]
    assert completed(["fleet", "no-such-file", "-t"], "") == []
    assert completed(["fleet", "--executor"], "d") == ["dask://"]


_APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  destination: {server: https://kubernetes.default.svc, namespace: shop}
  source: {repoURL: https://git.example/shop, path: k8s}
"""


def test_a_target_is_followed(folder: Path) -> None:
    (folder / "web" / "app.yaml").write_text(_APPLICATION)
    (folder / "web" / "k8s" / "pod.yaml").write_text(
        POD.format(name="web", privileged="true").replace(", namespace: shop", "")
    )
    target = (
        "{name: web, directory: ../web, paths: [app.yaml], follow: [argocd],"
        " repositories: {https://git.example/shop: .}, failOn: none}"
    )
    head = FLEET.partition("    - ")[0]
    (folder / "ops" / "fleet.yaml").write_text(f"{head}    - {target}\n")
    done = run_command("fleet", "ops/fleet.yaml", "-d", "out")
    assert done.exit_code == 0, done.output
    result = json.loads((folder / "out" / "web" / "result.json").read_text())
    (finding,) = [one for one in result["results"] if one["rule"] == "privileged-container"]
    assert (finding["location"]["file"], finding["object"]["namespace"]) == ("k8s/pod.yaml", "shop")
    assert [one["object"]["name"] for one in result["deployments"]] == ["web"]


def test_a_cluster_is_not_followed(folder: Path) -> None:
    head = FLEET.partition("    - ")[0]
    (folder / "ops" / "fleet.yaml").write_text(f"{head}    - {{name: prod, context: prod, follow: [argocd]}}\n")
    done = run_command("fleet", "ops/fleet.yaml", "-d", "out")
    assert done.exit_code == 2
    assert "follow is for paths" in str(done.exception)
