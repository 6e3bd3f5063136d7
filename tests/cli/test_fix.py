"""``kubeassay fix``"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kit import run_command

ROOT = Path(__file__).parent.parent.parent

WEB = """\
# The shop.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: app   # the shop itself
          image: registry.example/web:1
          env:
            - {name: PASSWORD, value: "hunter-2"}   # not to be shown
        # A second one.
        - {name: log, image: "registry.example/log:1"}
"""
MENDED = """\
# The shop.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      automountServiceAccountToken: false
      containers:
        - name: app   # the shop itself
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
          image: registry.example/web:1
          env:
            - {name: PASSWORD, value: "hunter-2"}   # not to be shown
        # A second one.
        - {name: log, image: "registry.example/log:1", securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true}}
"""  # noqa: E501
MANIFEST = ("dropped-security-field", "unknown-field", "mistyped-field")
RULES = ("allow-privilege-escalation", "read-only-root-filesystem", "service-account-token-automount")
ONLY = tuple(part for rule in RULES for part in ("--rule", rule))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dry_run_shows_what_would_change(folder: Path) -> None:
    (folder / "web.yaml").write_text(WEB)
    result = run_command("fix", "web.yaml", "-p", "strict", *ONLY, "--dry-run")
    assert result.exit_code == 1
    assert "5 findings would be fixed in 1 file" in result.stderr
    assert result.stdout.startswith("--- a/web.yaml\n+++ b/web.yaml\n@@ ")
    assert "+            readOnlyRootFilesystem: true\n" in result.stdout
    assert (folder / "web.yaml").read_text() == WEB


def test_what_is_fixed_is_found_no_more_and_the_rest_of_the_file_stays(folder: Path) -> None:
    (folder / "web.yaml").write_text(WEB)
    (folder / "web.yaml").chmod(0o640)
    result = run_command("fix", "web.yaml", "-p", "strict", *ONLY, "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (folder / "web.yaml").read_text() == MENDED
    assert (folder / "web.yaml").stat().st_mode & 0o777 == 0o640
    again = run_command("fix", "web.yaml", "-p", "strict", *ONLY)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "0 findings fixed in 0 files" in again.stderr
    found = json.loads(run_command("scan", "web.yaml", "-p", "strict", "-f", "json").stdout)["results"]
    assert {finding["rule"] for finding in found}.isdisjoint(RULES)


def test_the_diff_is_one_that_git_applies(folder: Path) -> None:
    text = WEB.replace('value: "hunter-2"', "valueFrom: {fieldRef: {fieldPath: metadata.name}}")
    (folder / "web.yaml").write_text(text.rstrip("\n"))
    diff = run_command("fix", "web.yaml", "-p", "strict", "--dry-run").stdout
    subprocess.run(["git", "apply", "-"], input=diff, text=True, check=True, cwd=folder)
    by_git = (folder / "web.yaml").read_text()
    (folder / "web.yaml").write_text(text.rstrip("\n"))
    run_command("fix", "web.yaml", "-p", "strict")
    assert by_git == (folder / "web.yaml").read_text()
    assert by_git != text


def test_the_diff_shows_no_secrets(folder: Path) -> None:
    text = WEB.replace("name: app   # the shop itself\n          image", "name: app\n          image")
    (folder / "web.yaml").write_text(text)
    result = run_command("fix", "web.yaml", "-p", "strict", "--dry-run")
    assert "hunter-2" not in result.stdout
    assert "{name: PASSWORD, value: •••}" in result.stdout
    run_command("fix", "web.yaml", "-p", "strict")
    assert "hunter-2" in (folder / "web.yaml").read_text()


@pytest.mark.parametrize(
    ("encoding", "mark", "newline"),
    [("utf-8", b"\xef\xbb\xbf", "\r\n"), ("utf-16-le", b"\xff\xfe", "\n"), ("utf-8", b"", "\r\n")],
)
def test_encoding_and_line_ends_stay(folder: Path, encoding: str, mark: bytes, newline: str) -> None:
    text = WEB.replace("The shop.", "Der Löwe 🦁.").replace("# the shop itself", "# 🦁🦁")
    mended = MENDED.replace("The shop.", "Der Löwe 🦁.").replace("# the shop itself", "# 🦁🦁")
    (folder / "web.yaml").write_bytes(mark + text.replace("\n", newline).encode(encoding))
    assert run_command("fix", "web.yaml", "-p", "strict", *ONLY).exit_code == 0
    assert (folder / "web.yaml").read_bytes() == mark + mended.replace("\n", newline).encode(encoding)


def test_json_stays_json(folder: Path) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}
    (folder / "pod.json").write_text(json.dumps(pod, indent=2))
    assert run_command("fix", "pod.json", "-p", "strict", *ONLY).exit_code == 0
    spec = json.loads((folder / "pod.json").read_text())["spec"]
    context = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    assert spec == {"containers": [{"name": "a", "securityContext": context}], "automountServiceAccountToken": False}


def test_what_is_shared_by_an_anchor_is_not_touched(folder: Path) -> None:
    text = WEB.replace("- name: app   # the shop itself", "- &app\n          name: app")
    (folder / "web.yaml").write_text(text)
    result = run_command("fix", "web.yaml", "-p", "strict")
    assert result.exit_code == 0
    assert "0 findings fixed in 0 files; " in result.stderr
    assert "without a fix" in result.stderr
    assert (folder / "web.yaml").read_text() == text


WRONG = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: "2"   # two
  selector: {matchLabels: {app: 1}}
  template:
    metadata: {labels: {app: 1}}
    spec:
      SecurityContext:   # of the pod
        runAsNonroot: true
      containers:
        - name: app
          'image_pull_policy': Always
          imagePullPolicy: Always
          env:
            - {name: PORT, value: 8_080}
            - {name: DEBUG, value: yes}
          securityContext: {privileged: "false"}
"""


def test_misspelled_and_mistyped_fields_become_what_was_meant(folder: Path) -> None:
    (folder / "web.yaml").write_text(WRONG)
    result = run_command("fix", "web.yaml", *(part for rule in MANIFEST for part in ("--rule", rule)))
    assert result.exit_code == 0, result.stderr
    assert (folder / "web.yaml").read_text() == (
        WRONG.replace('"2"', "2")
        .replace("app: 1}", 'app: "1"}')
        .replace("SecurityContext:", "securityContext:", 1)
        .replace("runAsNonroot", "runAsNonRoot")
        .replace("8_080", '"8_080"')
        .replace("yes}", '"yes"}')
        .replace('"false"', "false")
    )
    # Both names of one field: which counts is for a person to say.
    assert "1 finding without a fix" in result.stderr


def test_a_value_of_a_secret_is_not_quoted(folder: Path) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {pin: 1234}\nstringData: {pin: 1234}\n"
    (folder / "secret.yaml").write_text(text)
    result = run_command("fix", "secret.yaml", "--rule", "mistyped-field")
    assert "1234" not in result.stdout + result.stderr
    assert (folder / "secret.yaml").read_text() == text.replace("stringData: {pin: 1234}", 'stringData: {pin: "1234"}')


OWN = """\
apiVersion: kubeassay.dev/v1
kind: Rule
metadata: {{id: {id}}}
spec:
  title: Replicas
  area: own
  severity: high
  subject: object
  needs: [Deployment]
  expression: object.spec.replicas {test}
  messageExpression: '"replicas"'
  field: spec.replicas
  rationale: Because.
  remediation: Set it.
  fix: {{set: {{spec.replicas: {value}}}}}
"""


def _with_replicas(folder: Path, *rules: str) -> list[str]:
    (folder / "web.yaml").write_text(WEB.replace("spec:\n", "spec:\n  replicas: 1\n", 1))
    (folder / "rules").mkdir()
    arguments = []
    for rule in rules:
        name = re.search(r"id: ([a-z-]+)", rule)
        assert name is not None
        (folder / "rules" / f"{name[1]}.yaml").write_text(rule)
        arguments += ["--rule", name[1]]
    return ["fix", "web.yaml", "--rules", "rules", *arguments]


def test_a_fix_that_does_not_mend_is_not_made_and_does_not_keep_others(folder: Path) -> None:
    arguments = _with_replicas(folder, OWN.format(id="many", test="> 1", value=0))
    result = run_command(*arguments, "--rule", "allow-privilege-escalation", "-p", "strict")
    assert result.exit_code == 3
    assert "web.yaml:6:13: many is not fixed: the finding would still be there" in result.stderr
    assert "2 findings fixed in 1 file" in result.stderr
    text = (folder / "web.yaml").read_text()
    assert "replicas: 1\n" in text
    assert text.count("allowPrivilegeEscalation: false") == 2


def test_fixes_that_undo_each_other_come_to_an_end(folder: Path) -> None:
    few = OWN.format(id="few", test="< 3", value=1)
    many = OWN.format(id="many", test=">= 3", value=3)
    result = run_command(*_with_replicas(folder, few, many))
    assert "2 findings fixed in " in result.stderr
    assert "replicas: 1\n" in (folder / "web.yaml").read_text()


def test_an_accepted_finding_is_not_fixed(folder: Path) -> None:
    (folder / "web.yaml").write_text(WEB)
    (folder / "accepted.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Exceptions\nmetadata: {name: accepted}\nspec:\n  exceptions:\n"
        "    - {id: E-1, rule: read-only-root-filesystem, match: {kinds: [Deployment]}, reason: It writes.,"
        ' owner: shop, expires: "2999-01-01"}\n'
    )
    result = run_command("fix", "web.yaml", "-p", "strict", *ONLY, "--exceptions", "accepted.yaml")
    assert result.exit_code == 0, result.stderr
    text = (folder / "web.yaml").read_text()
    assert "allowPrivilegeEscalation" in text
    assert "readOnlyRootFilesystem" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-"], "standard input cannot be changed"),
        ([], "no PATH is given"),
        (["cluster.jsonl"], "is a snapshot of a cluster"),
        (["gone.yaml"], "gone.yaml does not exist"),
        (["web.yaml", "--rule", "privileged"], "the profile has no such rule (did you mean privileged-container?)"),
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str], said: str) -> None:
    (folder / "web.yaml").write_text(WEB)
    (folder / "cluster.jsonl").write_text('{"apiVersion":"kubeassay.dev/v1","kind":"Snapshot"}\n')
    result = run_command("fix", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_is_not_readable_is_told(folder: Path) -> None:
    (folder / "web.yaml").write_text(WEB)
    (folder / "broken.yaml").write_text("a: [\n")
    result = run_command("fix", ".", "-p", "strict", *ONLY)
    assert result.exit_code == 3
    assert re.search(r"^broken.yaml:\d+:\d+: ", result.stderr, re.MULTILINE)
    assert (folder / "web.yaml").read_text() == MENDED


def test_a_link_stays_one(folder: Path) -> None:
    (folder / "real.yaml").write_text(WEB)
    (folder / "web.yaml").symlink_to("real.yaml")
    assert run_command("fix", "web.yaml", "-p", "strict", *ONLY).exit_code == 0
    assert (folder / "web.yaml").is_symlink()
    assert (folder / "real.yaml").read_text() == MENDED


def test_a_file_that_changed_meanwhile_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubeassay.cli import fix

    (folder / "web.yaml").write_text(WEB)
    found = fix.mend

    def mend(*arguments: object, **options: object) -> object:
        mended = found(*arguments, **options)  # type: ignore[arg-type]
        (folder / "web.yaml").write_text(f"# Mine.\n{WEB}")
        return mended

    monkeypatch.setattr(fix, "mend", mend)
    result = run_command("fix", "web.yaml", "-p", "strict")
    assert result.exit_code == 2
    assert "web.yaml: was changed while it was scanned" in result.stderr
    assert (folder / "web.yaml").read_text() == f"# Mine.\n{WEB}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_told(folder: Path) -> None:
    (folder / "tree").mkdir()
    (folder / "tree" / "web.yaml").write_text(WEB)
    (folder / "tree").chmod(0o500)
    result = run_command("fix", "tree", "-p", "strict")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_repository_is_mended_and_its_comments_stay(folder: Path) -> None:
    shutil.copytree(ROOT / "fixtures/merajutasa/violating/production", folder / "tree")
    before = {path: path.read_text() for path in (folder / "tree").rglob("*.yaml")}
    result = run_command("fix", "tree", "-p", "strict")
    assert result.exit_code in (0, 3), result.stderr
    assert " is not fixed: " not in result.stderr
    changed = [path for path, text in before.items() if path.read_text() != text]
    assert len(changed) > 5
    for path in changed:
        comments = [re.findall(r"#.*", text) for text in (before[path], path.read_text())]
        assert comments[0] == comments[1]
    left = json.loads(run_command("scan", "tree", "-p", "strict", "-f", "json").stdout)["results"]
    assert [finding for finding in left if finding["fix"] is not None] == []


def test_no_line_of_a_diff_is_a_command_to_a_runner(folder: Path) -> None:
    # Near what changes, so that both lines are in the diff.
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n    - name: c\n      image: i:1\n"
        "      args:\n        - |\n          ::error::said\n          ##[error]said\n"
        "      securityContext: {privileged: true}\n"
    )
    (folder / "web.yaml").write_text(pod)
    result = run_command("fix", "web.yaml", "-p", "pss-baseline", "--dry-run")
    lines = [line.lstrip() for line in result.stdout.splitlines()]
    assert [line for line in lines if "said" in line and (line.startswith("::") or "##[" in line)] == []
    assert sum("said" in line for line in lines) == 2
