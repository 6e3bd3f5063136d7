"""``kubeassay rights``: the ClusterRole by which an audit of a cluster is refused nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from kit import run_command
from sources.fault_server import FaultServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    made = FaultServer(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def rights(server: FaultServer, *arguments: str) -> Result:
    return run_command("rights", "--kubeconfig", str(server.kubeconfig), *arguments)


def granted(text: str) -> dict[str, set[tuple[str, str]]]:
    """Role → (API group, resource)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for role in yaml.safe_load_all(text):
        assert role["kind"] == "ClusterRole"
        assert all(rule["verbs"] == ["list"] for rule in role["rules"])
        found[role["metadata"]["name"]] = {
            (group, resource) for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]
        }
    return found


OWN = {
    *(("", "namespaces"), ("", "pods"), ("", "serviceaccounts")),
    *(("apps", "replicasets"), ("networking.k8s.io", "networkpolicies")),
}


def test_what_rules_need_of_what_is_served(server: FaultServer) -> None:
    result = rights(server)
    assert result.exit_code == 0
    assert granted(result.stdout) == {
        "kubeassay": OWN | {("example.com", "things")},
        "kubeassay-secrets": {("", "secrets")},
    }
    # Nothing was listed.
    assert set(server.asked) <= {"/api", "/apis", "/version"}


def test_a_profile_needs_less(server: FaultServer) -> None:
    result = rights(server, "-p", "pss-restricted", "--name", "pods")
    assert granted(result.stdout) == {"pods": {("", "namespaces"), ("", "pods"), ("apps", "replicasets")}}


def test_without_secrets(server: FaultServer) -> None:
    found = granted(rights(server, "--without-secrets").stdout)
    assert set(found) == {"kubeassay"}
    assert ("", "secrets") not in found["kubeassay"]


def test_an_api_that_cannot_be_discovered_is_said(server: FaultServer) -> None:
    server.aggregated = False

    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        return (503, {"message": "down"}) if path == "/apis/example.com/v1" else None

    server.fault = fault
    result = rights(server)
    assert result.exit_code == 3
    assert "not told: API group example.com/v1 cannot be discovered: 503: down" in result.stderr
    assert granted(result.stdout)["kubeassay"] == OWN
    assert rights(server, "--allow-incomplete").exit_code == 0


def test_no_cluster_and_no_profile_are_one_line(server: FaultServer) -> None:
    unknown = rights(server, "-p", "strcit")
    assert unknown.exit_code == 2
    assert "strcit" in unknown.stderr
    server.configure("bad")
    refused = rights(server)
    assert refused.exit_code == 2
    assert "the credentials are refused" in refused.stderr
