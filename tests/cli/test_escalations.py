"""``kubeassay escalations`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result as CommandResult

from kit import run_command

ROLES = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: releases, namespace: jobs}
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: releases, namespace: jobs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: releases}
subjects:
  - kind: ServiceAccount
    name: runner
    namespace: ci
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
  - {kind: ServiceAccount, name: deployer, namespace: jobs}
---
apiVersion: v1
kind: Namespace
metadata: {name: jobs, labels: {pod-security.kubernetes.io/enforce: restricted}}
"""
READER = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pods, namespace: web}
rules: [{apiGroups: [""], resources: [pods], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: pods, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pods}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: alice}]
"""
HARMLESS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"

RUNNER_PATH = """\
ServiceAccount ci/runner reaches cluster-admin in 2 steps
  1. ServiceAccount ci/runner can patch deployments in namespace jobs, which can run as ServiceAccount jobs/deployer
     rule at roles.yaml:7:18: apiGroups apps; resources deployments; verbs get, patch
     bound at roles.yaml:14:5 to Role releases
  2. ServiceAccount jobs/deployer can do everything: it is granted every verb on every resource
     rule by Kubernetes itself: apiGroups *; resources *; verbs *
     bound at roles.yaml:23:6 to ClusterRole cluster-admin
"""


def run(*arguments: str, stdin: str | None = None) -> CommandResult:
    return run_command("escalations", *arguments, stdin=stdin)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roles.yaml").write_text(ROLES)
    (tmp_path / "reader.yaml").write_text(READER)
    (tmp_path / "good.yaml").write_text(HARMLESS)
    (tmp_path / "broken.yaml").write_text("a: [1\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["roles.yaml"], 1),
        (["roles.yaml", "--exit-zero"], 0),
        (["roles.yaml", "broken.yaml"], 1),
        (["good.yaml"], 0),
        (["good.yaml", "broken.yaml"], 3),
        (["good.yaml", "broken.yaml", "--allow-incomplete"], 0),
        (["good.yaml", "broken.yaml", "--exit-zero"], 0),
        (["good.yaml", "--all"], 1),
        (["reader.yaml"], 0),
        (["reader.yaml", "--assume"], 1),
        (["roles.yaml", "--subject", "sa:ci/runner", "--target", "node"], 1),
        (["roles.yaml", "--subject", "group:nobodies"], 0),
        (["roles.yaml", "--subject", "sa:runner"], 2),
        (["nowhere.yaml"], 2),
        (["roles.yaml", "--target", "moon"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert run(*arguments).exit_code == code


def test_a_path_is_shown_with_the_lines_of_its_steps() -> None:
    output = run("roles.yaml").stdout
    assert output.splitlines()[:3] == [
        "SUBJECT                       REACHES        STEPS",
        "ServiceAccount jobs/deployer  cluster-admin  1",
        "ServiceAccount ci/runner      cluster-admin  2",
    ]
    assert RUNNER_PATH in output


def test_what_is_not_shown_is_counted() -> None:
    result = run("reader.yaml")
    assert result.stdout == "nobody but Kubernetes itself is found to reach cluster-admin or node\n"
    assert "1 subject by paths that rest on assumptions not shown (--assume shows them)" in result.stderr
    assert "subjects of Kubernetes itself not shown (--all shows them)" in result.stderr
    assumed = run("reader.yaml", "--assume").stdout
    assert "User alice  node (assumed)  1" in assumed
    assert "     assumed: namespace web, which is not among the inputs, enforces no Pod Security Standard" in assumed


def test_a_subject_that_nothing_names_is_in_the_groups_of_its_kind() -> None:
    manifest = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everybody}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: system:serviceaccounts}]
"""
    (shown,) = json.loads(run("-", "--format", "json", stdin=manifest).stdout)["escalations"]
    assert shown["subject"] == {"kind": "Group", "name": "system:serviceaccounts"}
    asked = run("-", "--subject", "sa:any/thing", "--format", "json", stdin=manifest)
    (shown,) = json.loads(asked.stdout)["escalations"]
    assert (shown["subject"]["name"], shown["group"]) == ("thing", "system:serviceaccounts")


def test_json_has_every_step_with_its_places() -> None:
    result = run("roles.yaml", "--subject", "sa:ci/runner", "--format", "json")
    found: dict[str, Any] = json.loads(result.stdout)
    (escalation,) = found["escalations"]
    assert (escalation["reaches"], escalation["assumptions"]) == ("cluster-admin", [])
    first, second = escalation["steps"]
    assert first["source"] == {"kind": "ServiceAccount", "name": "runner", "namespace": "ci"}
    assert first["target"] == {"kind": "ServiceAccount", "name": "deployer", "namespace": "jobs"}
    (use,) = first["uses"]
    assert (use["verb"], use["group"], use["resource"]) == ("patch", "apps", "deployments")
    assert (use["location"]["file"], use["location"]["startLine"]) == ("roles.yaml", 7)
    assert use["grant"]["binding"]["location"]["startLine"] == 14
    assert second["target"] == "cluster-admin"
    assert found["hidden"] == {"default": 0, "assumed": 0}


def test_the_output_is_the_same_each_time() -> None:
    assert run("roles.yaml", "--all", "--assume").stdout == run("roles.yaml", "--all", "--assume").stdout
