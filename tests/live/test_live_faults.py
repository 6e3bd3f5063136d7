"""``kubeassay audit`` against an API server that fails, or that is not the one that was meant: nothing is lost
silently. What a real one does not do when it is asked to, tests/sources/test_cluster.py has."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kubeassay.cli.main import cli
from kubeassay.sources import cluster
from live.api_server import OwnServer


def changed(kubeconfig: Path, folder: Path, **changes: Any) -> Path:
    """The kubeconfig with another way to the server."""
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    settings = config["clusters"][0]["cluster"]
    settings |= {key.replace("_", "-"): value for key, value in changes.items()}
    path = folder / "changed.kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def snapshot(kubeconfig: Path, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the lines of a snapshot: its header, and the objects."""
    path = folder / "snapshot.jsonl"
    done = CliRunner().invoke(
        cli, ["snapshot", "--kubeconfig", str(kubeconfig), "-o", str(path)], standalone_mode=False
    )
    assert done.exception is None, done.output
    return done.return_value, [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def refused(kubeconfig: Path) -> str:
    """What is said where there is no cluster to read."""
    done = CliRunner().invoke(cli, ["audit", "--kubeconfig", str(kubeconfig)])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    return str(line)


def test_a_server_of_another_authority_is_not_trusted(
    own_server: OwnServer, start_server: Callable[..., OwnServer], tmp_path: Path
) -> None:
    other = yaml.safe_load(start_server().kubeconfig.read_text(encoding="utf-8"))
    authority = other["clusters"][0]["cluster"]["certificate-authority-data"]
    said = refused(changed(own_server.kubeconfig, tmp_path, certificate_authority_data=authority))
    assert "its certificate is not trusted: " in said
    assert "(the kubeconfig's certificate-authority is who signs it)" in said


def test_a_server_of_another_name_is_not_trusted(own_server: OwnServer, tmp_path: Path) -> None:
    said = refused(changed(own_server.kubeconfig, tmp_path, tls_server_name="other.example"))
    assert "its certificate is for other names: " in said
    assert "other.example" in said
    # One of its names is one.
    assert snapshot(changed(own_server.kubeconfig, tmp_path, tls_server_name="localhost"), tmp_path)[0] == 0


@contextmanager
def _tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that connects to where it is asked to (CONNECT), and what it was asked."""
    asked: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while received := source.recv(65536):
                target.sendall(received)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            line = request.split(b"\r\n")[0].decode()
            # Which version of HTTP it is of depends on that of Python.
            asked.append(line.rpartition(" ")[0])
            host, _, port = line.split()[1].rpartition(":")
            server = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for pair in ((client, server), (server, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
    finally:
        listening.close()


@pytest.mark.parametrize("how", ["proxy-url", "HTTPS_PROXY"])
def test_a_cluster_is_read_through_a_proxy(
    own_server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with _tunnel() as (url, asked):
        kubeconfig = own_server.kubeconfig
        if how == "proxy-url":
            kubeconfig = changed(kubeconfig, tmp_path, proxy_url=url)
        else:
            monkeypatch.setenv("HTTPS_PROXY", url)
        assert snapshot(kubeconfig, tmp_path)[0] == 0
    assert set(asked) == {f"CONNECT 127.0.0.1:{own_server.port}"}


def test_an_object_of_a_megabyte_is_read(own_server: OwnServer, namespaces: Callable[..., str], tmp_path: Path) -> None:
    name = namespaces("large")
    large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large", "namespace": name}}
    own_server.admin.must_create({**large, "data": {"text": "x" * 1_000_000}})
    code, (_, *objects) = snapshot(own_server.kubeconfig, tmp_path)
    assert code == 0
    (found,) = (
        obj for obj in objects if obj["metadata"].get("namespace") == name and obj["metadata"]["name"] == "large"
    )
    assert len(found["data"]["text"]) == 1_000_000


def test_a_kind_that_is_removed_after_discovery_is_said(
    own_server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.passing.example.com"},
        "spec": {
            "group": "passing.example.com",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    admin = own_server.admin
    admin.must_create(definition)
    path = "/apis/passing.example.com/v1/things"

    def is_discovered() -> bool:
        found = admin.request("GET", "/apis/passing.example.com/v1")
        return found.ok and bool(found.body["resources"]) and admin.request("GET", path).ok

    own_server._wait_for("kube-apiserver", is_discovered)
    discover = cluster.discover_kinds

    def discover_and_remove(api: cluster.Api) -> cluster.Discovered:
        found = discover(api)
        assert any(kind.group == "passing.example.com" for kind in found.kinds)
        admin.delete(definition)
        own_server._wait_for("kube-apiserver", lambda: admin.request("GET", path).status == 404)
        return found

    monkeypatch.setattr(cluster, "discover_kinds", discover_and_remove)
    code, (header, *_) = snapshot(own_server.kubeconfig, tmp_path)
    assert code == 3
    (gap,) = header["unread"]
    assert (gap["group"], gap["kind"], gap["reason"]) == ("passing.example.com", "Thing", "not-readable")


def test_a_server_that_goes_down_between_pages_loses_nothing_silently(
    start_server: Callable[..., OwnServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()
    server.admin.namespace("shop")
    for number in range(20):
        server.admin.must_create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}", "namespace": "shop"}}
        )
    monkeypatch.setattr(cluster, "_PAGE", 4)
    fetch = cluster.Api.fetch
    once = threading.Lock()

    def fetch_until_down(api: cluster.Api, path: str, query: Any = None, *rest: Any) -> bytes:
        if path == "/api/v1/configmaps" and "continue" in (query or {}) and once.acquire(blocking=False):
            server.stop_api_server()
        return fetch(api, path, query, *rest)

    monkeypatch.setattr(cluster.Api, "fetch", fetch_until_down)
    code, (header, *objects) = snapshot(server.kubeconfig, tmp_path)
    assert code == 3
    assert "ConfigMap" not in header["read"]
    (gap,) = (gap for gap in header["unread"] if gap["kind"] == "ConfigMap")
    assert (gap["reason"], gap["namespace"]) == ("not-readable", None)
    assert not any(obj["kind"] == "ConfigMap" for obj in objects)
    # Every kind is either read or named.
    assert {gap["kind"] for gap in header["unread"]}.isdisjoint(kind.partition(".")[0] for kind in header["read"])
