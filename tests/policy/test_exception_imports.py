"""Exceptions of other tools accept what they were written for, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit import LIBRARY, run_command
from kubeassay import content
from kubeassay.model.place import parse_pattern
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.exception_imports import equivalents, imported

TOOLS = sorted(path.stem for path in (content.folder("baselines") / "equivalents").glob("*.yaml"))
PODS = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations: {}
  labels: {team: a}
spec:
  template:
    spec:
      hostNetwork: true
      hostPID: true
      containers:
        - name: app
          image: registry.example/app:1.0
          securityContext: {privileged: true}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: node}
spec:
  containers:
    - name: app
      image: registry.example/app:1.0
      securityContext: {privileged: true}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deploy").mkdir()
    Path("deploy/pods.yaml").write_text(PODS)


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_equal_is_a_rule_at_a_path(tool: str) -> None:
    for check, equal in equivalents(tool).items():
        assert equal, check
        for one in equal:
            assert one.rule in LIBRARY.rules, check
            parse_pattern(one.path)


def accepted(*arguments: str, exit_code: int | None = None) -> set[tuple[str, str, str]]:
    """(rule, object, last step of the path) of what a scan accepts."""
    done = run_command("scan", "deploy", *arguments, "-f", "json")
    if exit_code is not None:
        assert done.exit_code == exit_code, done.stderr
    results = json.loads(done.stdout)["results"]
    return {
        (r["rule"], r["object"]["name"], r["path"].rpartition(".")[2]) for r in results if r["outcome"] == "excepted"
    }


def notes(*arguments: str) -> str:
    return run_command("scan", "deploy", *arguments).stderr


WEB = ("privileged-container", "web", "privileged")
AGENT = ("privileged-container", "agent", "privileged")
NETWORK = ("host-namespaces", "web", "hostNetwork")


# --- Trivy ---


def test_the_lines_of_a_trivyignore() -> None:
    Path(".trivyignore").write_text(
        "# Not ours.\nCVE-2018-14618\n\n# The agent needs it.\n# Really.\nAVD-KSV-0017 exp:2099-01-01\n\n"
        "KSV009\nKSV-0010 exp:2020-01-01\nKSV-9999\nAVD-AWS-0001\ngeneric-rule\n"
    )
    assert accepted("--import-exceptions", ".trivyignore") == {WEB, AGENT, NETWORK}
    found = imported(Path(".trivyignore"), "t")
    assert [(e.id, e.rule, e.reason, e.expires, e.path) for e in found] == [
        ("t:6#AVD-KSV-0017", "privileged-container", "The agent needs it. Really.", "2099-01-01", ""),
        ("t:8#KSV009", "host-namespaces", "accepted for Trivy, as KSV009", "", "**.hostNetwork"),
        ("t:9#KSV-0010", "host-namespaces", "accepted for Trivy, as KSV-0010", "2020-01-01", "**.hostPID"),
        ("t:10#KSV-9999", "", "KSV-9999 of Trivy has no equal here", "", ""),
        ("t:11#AVD-AWS-0001", "", "AVD-AWS-0001 of Trivy has no equal here", "", ""),
    ]
    told = notes("--import-exceptions", ".trivyignore")
    assert "note: .trivyignore:10: not imported: KSV-9999 of Trivy has no equal here" in told


def test_one_without_paths_is_too_broad() -> None:
    Path(".trivyignore").write_text("KSV017\n")
    done = run_command("scan", "deploy", "--import-exceptions", "auto", "-f", "json")
    found = {
        (r["rule"], r["location"]["file"]) for r in json.loads(done.stdout)["results"] if r["area"] == "exceptions"
    }
    assert found == {("exception-too-broad", ".trivyignore")}


def test_a_trivyignore_in_yaml() -> None:
    Path(".trivyignore.yaml").write_text(
        "vulnerabilities:\n  - id: CVE-1\nmisconfigurations:\n"
        "  - id: AVD-KSV-0017\n    paths: [deploy/**]\n    statement: Accepted\n    expired_at: 2099-01-01\n"
        "  - id: KSV-0009\n    paths: ['other/pods.yaml', 'deploy/*.yaml']\n"
        "  - id: KSV-0010\n    paths: ['**/pods.yaml']\n"
        "  - id: KSV-0012\n    expired_at: soon\n"
    )
    assert accepted("--import-exceptions", ".trivyignore.yaml") == {WEB, AGENT, ("host-namespaces", "web", "hostPID")}
    told = notes("--import-exceptions", ".trivyignore.yaml")
    assert ".trivyignore.yaml:8: not imported: the pattern of paths deploy/*.yaml is not understood" in told
    assert ".trivyignore.yaml:12: not imported: soon is no day" in told


def test_where_the_tree_may_not_except_itself_what_auto_finds_does_not_hold() -> None:
    Path(".trivyignore.yaml").write_text("misconfigurations: [{id: KSV017, paths: [deploy/pods.yaml]}]\n")
    assert accepted("--import-exceptions", "auto") == {WEB, AGENT}
    assert accepted("--import-exceptions", "auto", "--no-in-tree-exceptions") == set()
    # Who names the file points at it.
    assert accepted("--import-exceptions", ".trivyignore.yaml", "--no-in-tree-exceptions") == {WEB, AGENT}


# --- Kyverno ---

POLICY_EXCEPTION = """\
apiVersion: kyverno.io/v2
kind: PolicyException
metadata: {name: driver, namespace: policy}
spec:
  exceptions:
    - policyName: disallow-privileged-containers
      ruleNames: [privileged-containers, autogen-privileged-containers]
  match:
    any:
      - resources: {kinds: [Pod, apps/v1/Deployment], namespaces: [shop], names: ["w*"]}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", {WEB}),
        ("v2\n", "v2beta1\n", {WEB}),
        ('[shop], names: ["w*"]', "[shop, node]", {WEB, AGENT}),
        ('names: ["w*"]', "selector: {matchLabels: {team: a}}", {WEB}),
        ('names: ["w*"]', "selector: {matchLabels: {team: b}}", set()),
        ("disallow-privileged-containers", "disallow-privileged-?ontainers", {WEB}),
        ("[privileged-containers, autogen-privileged-containers]", '["*"]', {WEB}),
        # The rule on pods alone is not that on Deployments.
        (", autogen-privileged-containers", "", set()),
        ("kinds: [Pod, apps/v1/Deployment]", "kinds: [StatefulSet]", set()),
        ("any:", "all:", {WEB}),
    ],
)
def test_a_policy_exception(old: str, new: str, expected: set[tuple[str, str, str]]) -> None:
    assert old in POLICY_EXCEPTION
    Path("p.yaml").write_text(POLICY_EXCEPTION.replace(old, new) if old else POLICY_EXCEPTION)
    assert accepted("--import-exceptions", "p.yaml") == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kyverno.io/v2\n", "policies.kyverno.io/v1beta1\n", "policies.kyverno.io/v1beta1 are not followed"),
        ("  match:", "  conditions: {any: [{key: a}]}\n  match:", "spec.conditions is not followed"),
        ("  match:", "  podSecurity: [{controlName: Capabilities}]\n  match:", "spec.podSecurity is not followed"),
        ("- resources:", "- subjects: [{kind: User}]\n        resources:", "spec.match is not followed: subjects"),
        ('names: ["w*"]', "annotations: {a: b}", "spec.match is not followed: annotations"),
        ('names: ["w*"]', "namespaceSelector: {}", "spec.match is not followed: namespaceSelector"),
        ('names: ["w*"]', "operations: [DELETE]", "other operations"),
        ('names: ["w*"]', 'selector: {matchLabels: {team: "*"}}', "has wildcards"),
        ("policyName: disallow-privileged-containers", "policyName: ours", "ours/privileged-containers,autogen"),
        ("kinds: [Pod, apps/v1/Deployment]", "kinds: [Service]", "is not for Service"),
    ],
)
def test_what_of_a_policy_exception_is_not_followed_accepts_nothing_and_is_told(
    old: str, new: str, message: str
) -> None:
    assert old in POLICY_EXCEPTION
    Path("p.yaml").write_text(POLICY_EXCEPTION.replace(old, new))
    assert accepted("--import-exceptions", "p.yaml") == set()
    assert message in notes("--import-exceptions", "p.yaml")


# --- annotations and comments ---


def annotated(*lines: str) -> None:
    stated = "annotations:\n" + "".join(f"    {line}\n" for line in lines)
    Path("deploy/pods.yaml").write_text(PODS.replace("annotations: {}\n", stated))


def test_kube_linter() -> None:
    annotated(
        'ignore-check.kube-linter.io/privileged-container: "the driver"', "ignore-check.kube-linter.io/host-pid: ''"
    )
    assert accepted() == set()
    found = accepted("--import-exceptions", "auto")
    assert found == {WEB, ("host-namespaces", "web", "hostPID")}
    annotated("kube-linter.io/ignore-all: managed elsewhere")
    assert {WEB, NETWORK} < accepted("--import-exceptions", "auto")
    assert AGENT not in accepted("--import-exceptions", "auto")


def test_checkov() -> None:
    annotated(
        "checkov.io/skip1: CKV_K8S_16=the driver = needed",
        "checkov.io/skip2: CKV_K8S_19",
        "checkov.io/skip3: CKV_K8S_8",
    )
    assert accepted("--import-exceptions", "auto") == {WEB, NETWORK}
    told = notes("--import-exceptions", "auto")
    assert "deploy/pods.yaml:9: not imported: CKV_K8S_8 of checkov has no equal here" in told
    text = PODS.replace("kind: Pod\n", 'kind: Pod  # checkov:skip=CKV_K8S_16:"the agent"\n')
    Path("deploy/pods.yaml").write_text(text)
    assert accepted("--import-exceptions", "auto") == {AGENT}
    done = run_command("scan", "deploy", "--import-exceptions", "auto", "-f", "json")
    (use,) = [use for use in json.loads(done.stdout)["exceptions"] if use["findings"]]
    assert (use["origin"], use["reason"], use["inTree"], use["location"]["line"]) == ("checkov", "the agent", True, 19)


# --- files that are none ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "x.yaml:2:1:"),
        ("- a\n", "x.yaml:1: holds no exceptions"),
        ("kind: Pod\n", "x.yaml:1: is neither"),
        ("misconfigurations: {a: b}\n", "misconfigurations is no list"),
        ("misconfigurations:\n  - paths: [a]\n", "x.yaml:2: an entry needs an id"),
        ("misconfigurations:\n  - {id: KSV017, paths: [1]}\n", "x.yaml:2: an entry needs an id"),
        ("misconfigurations:\n  - {id: KSV017, paths: a}\n", "x.yaml:2: paths is no list"),
    ],
)
def test_a_file_that_is_none_ends_the_run(text: str, message: str) -> None:
    Path("x.yaml").write_text(text)
    with pytest.raises(PolicyError, match=message):
        imported(Path("x.yaml"), "x.yaml")
    assert run_command("scan", "deploy", "--import-exceptions", "x.yaml").exit_code == 2
    assert run_command("scan", "deploy", "--import-exceptions", "none.yaml").exit_code == 2
