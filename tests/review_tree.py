"""A repository with a base and overlays of two environments, and changes of it for a review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit import git, give_program, run_command

WORKLOADS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: web, image: "registry.example/web:1.0"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
        - name: db
          image: registry.example/db:1.0
          securityContext: {privileged: false}
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress: []
"""
#: Of the overlay: another ``from``.
FROM = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  ingress:
    - from:
        - podSelector: {matchLabels: {app: web}}
      ports: [{port: 5432}]
"""
ACCESS = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
subjects: [{kind: ServiceAccount, name: web}]
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec:
      restartPolicy: Never
      hostNetwork: true
      containers: [{name: migrate, image: "registry.example/migrate:1.0"}]
"""
OVERLAY = "namespace: shop\nresources: [../../base]\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: base, overlays/production and overlays/staging, committed."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    put("base/kustomization.yaml", "resources: [workloads.yaml, policies.yaml, access.yaml, job.yaml]\n")
    put("base/workloads.yaml", WORKLOADS)
    put("base/policies.yaml", POLICY)
    put("base/access.yaml", ACCESS)
    put("base/job.yaml", JOB)
    put("overlays/production/kustomization.yaml", OVERLAY)
    put("overlays/staging/kustomization.yaml", OVERLAY)
    commit()
    return tmp_path


@pytest.fixture
def kustomize(monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("kustomize", monkeypatch)


def put(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


def commit() -> None:
    git(Path(), "add", "-A")
    git(Path(), "commit", "-qm", "x")


def open_and_widen() -> None:
    """One overlay opens a path, the base widens a role; a finding comes, and one goes."""
    put("overlays/staging/kustomization.yaml", OVERLAY + "patches: [{path: from.yaml}]\n")
    put("overlays/staging/from.yaml", FROM)
    edit(
        "base/access.yaml",
        "resources: [configmaps]\n    verbs: [get]",
        'resources: [configmaps, secrets]\n    verbs: [get, "*"]',
    )
    edit("base/workloads.yaml", "privileged: false", "privileged: true")
    edit("base/job.yaml", "hostNetwork: true", "hostNetwork: false")


def page(*arguments: str, paths: tuple[str, ...] = (".",), since: str = "HEAD", render: bool = True) -> str:
    """The Markdown of a review."""
    chosen = ("--render",) if render else ()
    done = run_command(
        "scan", *chosen, *paths, "--since", since, "--kubernetes-version", "1.33", "-f", "markdown", *arguments
    )
    assert done.exit_code in (0, 1, 3), done.stderr
    return done.stdout


def review(
    *arguments: str, paths: tuple[str, ...] = (".",), since: str = "HEAD", render: bool = True
) -> dict[str, Any]:
    """The review in JSON."""
    chosen = ("--render",) if render else ()
    done = run_command("scan", *chosen, *paths, "--since", since, "-f", "json", *arguments)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["review"]
    return found


def places(change: dict[str, Any], side: str = "after") -> list[tuple[str, int]]:
    return [
        (cause["location"]["file"], cause["location"]["startLine"])
        for cause in change["causes"]
        if cause["side"] == side and cause["location"] is not None
    ]
