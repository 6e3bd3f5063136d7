"""``kubeassay except``"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kit import run_command

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name: app
          image: registry.example/app:1.0
          securityContext: {privileged: true}
        - name: log
          image: registry.example/log:1.0
          securityContext: {privileged: true}
"""
STATED = ("--reason", "The driver: PLAT-42", "--owner", "platform", "--expires", "2099-12-31")
PLACE = "a.yaml:10:privileged-container"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(DEPLOYMENT)
    run_command("scan", "a.yaml", "-o", "r.json")


def accepted(*arguments: str) -> set[tuple[str, str | None, str]]:
    """(rule, container, file) of what a scan with exceptions.yaml accepts."""
    done = run_command("scan", *(arguments or ("a.yaml",)), "--exceptions", "exceptions.yaml", "-f", "json")
    results = json.loads(done.stdout)["results"]
    return {(r["rule"], r["container"], r["location"]["file"]) for r in results if r["outcome"] == "excepted"}


def fingerprint(rule: str, container: str, result: str = "r.json") -> str:
    found = json.loads(Path(result).read_text())["results"]
    (only,) = {r["fingerprint"] for r in found if r["rule"] == rule and r["container"] == container}
    return str(only)


def test_an_exception_is_written_that_accepts_the_finding_alone() -> None:
    done = run_command("except", PLACE, "--from", "r.json", *STATED)
    assert (done.exit_code, done.stderr) == (
        0,
        "exceptions.yaml: 1 exception added; a scan takes it by --exceptions exceptions.yaml\n",
    )
    assert accepted() == {("privileged-container", "app", "a.yaml")}
    (entry,) = yaml.safe_load(Path("exceptions.yaml").read_text())["spec"]["exceptions"]
    assert entry == {
        "rule": "privileged-container",
        "match": {"kinds": ["Deployment"], "namespaces": ["shop"], "names": ["web"], "containers": ["app"]},
        "path": "spec.template.spec.containers[name=app].securityContext.privileged",
        "fingerprint": fingerprint("privileged-container", "app"),
        "reason": "The driver: PLAT-42",
        "owner": "platform",
        "expires": "2099-12-31",
    }
    # It holds under the strictest profile, and after lines and list items moved.
    first, second = DEPLOYMENT.index("        - name: app"), DEPLOYMENT.index("        - name: log")
    Path("a.yaml").write_text("# a\n" + DEPLOYMENT[:first] + DEPLOYMENT[second:] + DEPLOYMENT[first:second])
    assert accepted("a.yaml", "-p", "strict") == {("privileged-container", "app", "a.yaml")}


def test_by_fingerprint_from_standard_input_and_several_at_once() -> None:
    ids = [fingerprint("privileged-container", name)[:12] for name in ("app", "log")]
    done = run_command("except", *ids, *STATED, stdin=Path("r.json").read_bytes())
    assert done.exit_code == 0, done.stderr
    assert accepted() == {("privileged-container", name, "a.yaml") for name in ("app", "log")}


def test_a_dry_run_shows_and_writes_nothing() -> None:
    done = run_command("except", PLACE, "--from", "r.json", *STATED, "--dry-run")
    assert done.exit_code == 0
    assert "+    - rule: privileged-container\n" in done.stdout
    assert not Path("exceptions.yaml").exists()


def test_what_stands_in_the_file_stays_and_doubles_are_refused() -> None:
    Path("exceptions.yaml").write_text(
        "# Ours.\napiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n"
        "  - rule: host-ports  # kept\n    match: {names: [a]}\n    reason: r\n"
    )
    before = Path("exceptions.yaml").read_text()
    assert run_command("except", PLACE, "--from", "r.json", *STATED).exit_code == 0
    after = Path("exceptions.yaml").read_text()
    assert after.startswith(before)
    again = run_command("except", PLACE, "--from", "r.json", *STATED)
    assert again.exit_code == 2
    assert (
        "exception exceptions.yaml#2 is to the same finding of privileged-container, until 2099-12-31" in again.stderr
    )
    assert Path("exceptions.yaml").read_text() == after


def test_the_same_object_in_another_file_was_not_asked_for() -> None:
    Path("b.yaml").write_text(DEPLOYMENT)
    run_command("scan", "a.yaml", "b.yaml", "-o", "r.json")
    assert run_command("except", "b.yaml:10:privileged-container", "--from", "r.json", *STATED).exit_code == 0
    assert accepted("a.yaml", "b.yaml") == {("privileged-container", "app", "b.yaml")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PLACE, "--reason", " "), "--reason is empty"),
        ((PLACE, "--reason", "r", "--expires", "soon"), "soon is no day"),
        ((PLACE, "--reason", "r", "--expires", "2020-01-01"), "2020-01-01 has passed"),
        (("a.yaml:1", "--reason", "r"), "a.yaml:1: no finding has this fingerprint or place"),
        (("ffff", "--reason", "r"), "ffff: no finding has"),
        (("a.yaml:10", "--reason", "r"), "a.yaml:10 means 5 findings; name one:"),
        ((PLACE, "--reason", "r", "--file", "a.yaml"), "a.yaml:1:13: apiVersion"),
        ((PLACE, "--reason", "r", "--from", "none.json"), "none.json: cannot be read"),
        ((PLACE, "--reason", "r", "--from", "-"), "--from RESULT.json: which result has it?"),
        ((PLACE, "--reason", "r", "--from", "a.yaml"), "a.yaml: is not a result of kubeassay"),
    ],
)
def test_what_cannot_be_accepted_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = run_command("except", "--from", "r.json", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert Path("a.yaml").read_text() == DEPLOYMENT
    assert not Path("exceptions.yaml").exists()


def test_what_the_profile_requires_is_asked_for() -> None:
    run_command("scan", "a.yaml", "-p", "strict", "-o", "r.json")
    done = run_command("except", PLACE, "--from", "r.json", "--reason", "r")
    assert done.exit_code == 2
    assert "profile strict requires --owner and --expires" in done.stderr


def test_what_is_accepted_already_and_what_is_found_of_exceptions_is_refused() -> None:
    run_command("except", PLACE, "--from", "r.json", *STATED)
    text = Path("exceptions.yaml").read_text().replace("2099", "2020")
    Path("exceptions.yaml").write_text(text)
    run_command("scan", "a.yaml", "--exceptions", "exceptions.yaml", "-o", "r.json")
    expired = run_command("except", "exceptions.yaml:5", "--from", "r.json", "--reason", "r")
    assert "nothing is excepted from rules on exceptions" in expired.stderr
    Path("exceptions.yaml").write_text(text.replace("2020", "2099"))
    run_command("scan", "a.yaml", "--exceptions", "exceptions.yaml", "-o", "r.json")
    again = run_command("except", PLACE, "--from", "r.json", "--reason", "r")
    assert "is accepted already, by exception exceptions.yaml#1" in again.stderr


def test_a_link_to_the_file_stays_one() -> None:
    Path("shared").mkdir()
    Path("exceptions.yaml").symlink_to("shared/all.yaml")
    for _ in range(2):
        run_command("except", PLACE, "--from", "r.json", *STATED)
    assert Path("exceptions.yaml").is_symlink()
    assert "privileged-container" in Path("shared/all.yaml").read_text()


def test_a_file_that_cannot_be_written_is_called_as_it_was_named() -> None:
    done = run_command("except", PLACE, "--from", "r.json", "--file", "nowhere/x.yaml", *STATED)
    assert (done.exit_code, "--output" in done.stderr, "nowhere/x.yaml: cannot be written" in done.stderr) == (
        2,
        False,
        True,
    )
