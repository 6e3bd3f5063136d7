"""Alerts of code scanning stay what they are while files move and lists are ordered anew."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import run_command

ROOT = Path(__file__).parents[2]
TREE = ROOT / "fixtures" / "merajutasa" / "violating" / "production"


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def alerts(folder: Path) -> list[dict[str, Any]]:
    """The results of scanning a folder as a repository."""
    with _inside(folder):
        done = run_command("scan", ".", "-p", "strict", "--format", "sarif", "--no-ignore")
    results: list[dict[str, Any]] = json.loads(done.stdout)["runs"][0]["results"]
    assert len(results) > 100
    return results


def identities(results: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((result["ruleId"], result["partialFingerprints"]["kubeassay/v1"]) for result in results)


def line_hashes(results: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((result["ruleId"], result["partialFingerprints"]["primaryLocationLineHash"]) for result in results)


def uris(results: list[dict[str, Any]]) -> set[str]:
    return {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("before")
    shutil.copytree(TREE, folder / "production")
    return alerts(folder)


def test_each_finding_has_an_identity_of_its_own(before: list[dict[str, Any]]) -> None:
    assert set(identities(before).values()) == {1}


def test_they_survive_a_renamed_directory(before: list[dict[str, Any]], tmp_path: Path) -> None:
    shutil.copytree(TREE, tmp_path / "clusters" / "live")
    after = alerts(tmp_path)
    assert not uris(after) & uris(before)
    assert identities(after) == identities(before)
    assert line_hashes(after) == line_hashes(before)


def test_they_survive_moved_files(before: list[dict[str, Any]], tmp_path: Path) -> None:
    """Every manifest in a folder of its own, under another name; charts and kustomizations stay whole."""
    shutil.copytree(TREE, tmp_path / "production")
    whole = {path.parent for name in ("Chart.yaml", "kustomization.yaml") for path in tmp_path.rglob(name)}
    for number, file in enumerate(sorted(tmp_path.rglob("*.yaml"))):
        if not whole & set(file.parents):
            (tmp_path / "production" / f"moved-{number}").mkdir()
            file.rename(tmp_path / "production" / f"moved-{number}" / "manifest.yaml")
    after = alerts(tmp_path)
    assert len(uris(after) & uris(before)) < 5
    assert identities(after) == identities(before)
    assert line_hashes(after) == line_hashes(before)


def test_they_survive_inserted_lines(before: list[dict[str, Any]], tmp_path: Path) -> None:
    shutil.copytree(TREE, tmp_path / "production")
    for file in tmp_path.rglob("*.yaml"):
        file.write_text("# a comment\n\n" + file.read_text("utf-8"), "utf-8")
    after = alerts(tmp_path)
    assert identities(after) == identities(before)
    # GitHub's own hash is of a line and what follows it.
    assert line_hashes(after) == line_hashes(before)


LISTS = {
    "containers": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: a, image: "example.org/a:latest", securityContext: {privileged: true}}
        - name: b
          image: example.org/b:latest
          env: [{name: DB_PASSWORD, value: zebra7-crossing}, {name: X, value: y}]
      volumes:
        - {name: one, hostPath: {path: /one}}
        - {name: two, hostPath: {path: /var/run/docker.sock}}
""",
    "rules": """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: broad}
rules:
  - {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
  - {apiGroups: [""], resources: [secrets, pods/exec], verbs: [create, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: broad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: broad}
subjects:
  - {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:unauthenticated"}
  - {kind: ServiceAccount, name: ci, namespace: shop}
""",
    "policies": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: a, image: "example.org/a:1.0"}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: [{}, {from: [{ipBlock: {cidr: 0.0.0.0/0}}, {podSelector: {}}], ports: [{port: 80}, {port: 22}]}]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}, {}]
""",
}


@pytest.mark.parametrize("name", LISTS)
def test_they_survive_reordered_lists(name: str, tmp_path: Path) -> None:
    found = []
    for number, turned in enumerate((False, True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        documents = [_turned(document) if turned else document for document in yaml.safe_load_all(LISTS[name])]
        (folder / "a.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
        with _inside(folder):
            done = run_command("scan", ".", "-p", "strict", "--format", "sarif")
        found.append(identities(json.loads(done.stdout)["runs"][0]["results"]))
    assert len(found[0]) >= 4
    assert found[0] == found[1]


def _turned(value: Any) -> Any:
    """The value with every list the other way round."""
    if isinstance(value, dict):
        return {key: _turned(inner) for key, inner in value.items()}
    return [_turned(item) for item in reversed(value)] if isinstance(value, list) else value
