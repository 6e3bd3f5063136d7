"""``kubeassay fleet`` against the API server: two users of it, one that is down, and a repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from execution.dask_cluster import dask_cluster
from kit import run_command
from live.api_server import OwnServer
from live.test_live_audit import audited, pod

REPOSITORY = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\n"


def kubeconfig_of(folder: Path, server: OwnServer, contexts: dict[str, Path]) -> None:
    """One kubeconfig with a context for each of some users, and one of a server that is not there."""
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for name, path in contexts.items():
        theirs = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["clusters"].append({**theirs["clusters"][0], "name": f"{name}-cluster"})
        config["users"].append({**theirs["users"][0], "name": name})
        config["contexts"].append({"name": name, "context": {"cluster": f"{name}-cluster", "user": name}})
    config["clusters"].append({"name": "down", "cluster": {"server": "https://127.0.0.1:1"}})
    config["contexts"].append({"name": "down", "context": {"cluster": "down", "user": "all"}})
    config["current-context"] = "down"
    (folder / "kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")


def rights_to_list_pods(server: OwnServer, namespace: str) -> None:
    create = server.admin.must_create
    metadata = {"name": "auditor", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "auditor"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "auditor"}],
        }
    )


@pytest.fixture
def server(start_server: Callable[..., OwnServer]) -> OwnServer:
    """One without controllers, of which every reading is the same."""
    started = start_server()
    started.admin.namespace("shop")
    started.admin.must_create(pod("web", "shop", securityContext={"privileged": True}))
    return started


def test_clusters_and_a_repository(server: OwnServer, tmp_path: Path) -> None:
    rights_to_list_pods(server, "shop")
    contexts = {"all": server.kubeconfig, "auditor": server.kubeconfig_for("auditor")}
    kubeconfig_of(tmp_path, server, contexts)
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "settings.yaml").write_text(REPOSITORY)
    (tmp_path / "fleet.yaml").write_text(
        """\
apiVersion: kubeassay.dev/v1
kind: Fleet
spec:
  defaults: {kubeconfig: kubeconfig, profile: strict}
  targets:
    - {name: all, context: all}
    - {name: shop, context: auditor, namespaces: [shop]}
    - {name: down, context: down}
    - {name: none, context: nobody}
    - {name: repository, paths: [repository], profile: recommended}
"""
    )
    fleet = ["fleet", str(tmp_path / "fleet.yaml"), "-f", "json"]
    done = run_command(*fleet, "-d", str(tmp_path / "out"))
    assert done.exit_code == 1, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)["targets"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "all": "fails",
        "shop": "fails",
        "down": "not-audited",
        "none": "not-audited",
        "repository": "complies",
    }
    assert rows["down"]["error"].startswith("no answer from https://127.0.0.1:1: ")
    assert rows["none"]["error"] == "the kubeconfig has no context nobody; it has all, auditor, down"

    # Each has the result that an audit has, to the byte but for the name of the cluster.
    shop = json.loads((tmp_path / "out" / "shop" / "result.json").read_text(encoding="utf-8"))
    own = ["--context", "auditor", "-n", "shop", "-p", "strict"]
    assert shop == audited(tmp_path / "kubeconfig", tmp_path, *own)
    assert shop["target"] == {"kind": "cluster", "name": "auditor-cluster", "namespaces": ["shop"]}
    forbidden = {entry["rule"] for entry in shop["notEvaluated"] if entry["reason"] == "forbidden"}
    assert "cross-namespace-binding" in forbidden

    with dask_cluster(tmp_path / "dask") as cluster:
        other = run_command(*fleet, "-d", str(tmp_path / "dask-out"), "--executor", cluster.executor)
    assert other.stdout == done.stdout
    for name in ("all", "shop", "repository"):
        file = Path(name) / "result.json"
        assert (tmp_path / "dask-out" / file).read_bytes() == (tmp_path / "out" / file).read_bytes()

    # What was fixed is said only where it was judged; a finding that is new is one.
    server.admin.must_create(pod("other", "shop", securityContext={"privileged": True}))
    later = run_command(*fleet, "--compare", str(tmp_path / "out"), "-t", "shop", "-t", "repository")
    rows = {row["name"]: row for row in json.loads(later.stdout)["targets"]}
    assert rows["shop"]["comparison"]["new"] > 0
    assert rows["shop"]["comparison"]["fixed"] == 0
    assert rows["repository"]["comparison"] == {"new": 0, "fixed": 0, "unchanged": 0, "excepted": 0, "notJudged": 0}
