"""Reading a cluster that fails: nothing is lost silently, and nothing that was not read is taken for absent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import incluster_config, kube_config

from kit import LIBRARY, failing, plan_of, profile_of
from kubeassay.engine.comparison import compare
from kubeassay.engine.live import Gaps, gaps_of
from kubeassay.engine.plan import Plan
from kubeassay.execution.audit import audit, everything_wanted, wanted
from kubeassay.model import Result
from kubeassay.model.unread import Unread
from kubeassay.policy.library import Library
from kubeassay.reporting.result_json import from_json, to_json
from kubeassay.sources import cluster
from kubeassay.sources.cluster import Api, ClusterError, Wanted, connect, read_cluster
from kubeassay.sources.snapshot import Snapshot
from sources.fault_server import FaultServer, Half

EVERYTHING = Wanted(
    frozenset({"Namespace", "Pod", "Secret", "NetworkPolicy"}), custom=True, everywhere=frozenset({"Pod", "Secret"})
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    made = FaultServer(tmp_path)
    for namespace in ("a", "b"):
        made.add("Namespace", namespace)
        for number in range(3):
            made.add("Pod", f"p{number}", namespace, spec={"containers": [{"name": "c", "image": "i:1"}]})
        made.add("ServiceAccount", "default", namespace)
    made.add("Secret", "s", "a", type="Opaque", data={"password": "aHVudGVyMg=="})
    made.add("Secret", "t", "a", type="kubernetes.io/service-account-token", data={"token": "aHVudGVyMg=="})
    made.add("Thing", "one", "a", spec={})
    try:
        yield made
    finally:
        made.stop()


def api_of(server: FaultServer, timeout: float = 60, **options: Any) -> Api:
    return Api(connect(kubeconfig=str(server.kubeconfig), **options), rate=1e6, pause=0.001, timeout=timeout)


def read(server: FaultServer, needed: Wanted = EVERYTHING, **options: Any) -> Snapshot:
    return read_cluster(api_of(server), needed, **options)


def names(snapshot: Snapshot) -> set[str]:
    return {name.removeprefix("clusters/c-1/") for name in snapshot.files}


def unread(snapshot: Snapshot) -> set[tuple[str, str | None, str]]:
    return {(gap.kind, gap.namespace, gap.reason) for gap in snapshot.unread}


def judged(server: FaultServer, *rules: str, **options: Any) -> Result:
    plan = plan_of(profile_of(*rules))
    return audit(plan, read(server, wanted(plan), **options))


PODS = {f"{namespace}/core.Pod/p{number}.yaml" for namespace in "ab" for number in range(3)}
ALL = PODS | {
    *(
        "_cluster/core.Namespace/a.yaml",
        "_cluster/core.Namespace/b.yaml",
        "a/core.Secret/s.yaml",
        "a/core.Secret/t.yaml",
    ),
    "a/example.com.Thing/one.yaml",
}


@pytest.mark.parametrize("aggregated", [True, False])
def test_what_is_wanted_is_read_in_pages(server: FaultServer, aggregated: bool) -> None:
    server.aggregated = aggregated
    found = read(server)
    assert names(found) == ALL
    assert found.unread == []
    assert found.version == "v1.33.1-eks-1"
    assert server.asked["/api/v1/pods"] == 3
    assert server.asked["/api/v1/serviceaccounts"] == 0


def test_of_secrets_the_metadata_alone_is_asked_for(server: FaultServer) -> None:
    files = read(server).files
    secrets = {name.rpartition("/")[2]: json.loads(files[name]) for name in files if "Secret" in name}
    assert "data" not in secrets["s.yaml"]
    assert "type" not in secrets["s.yaml"]
    assert secrets["t.yaml"]["type"] == "kubernetes.io/service-account-token"


def test_a_server_that_ignores_what_it_is_asked_for_gives_no_secret_away(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_METADATA_ONLY", "application/json")
    assert all(b"aHVudGVyMg" not in content for content in read(server).files.values())


def test_an_expired_page_begins_the_list_anew(server: FaultServer) -> None:
    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        return (410, {"message": "expired"}) if path == "/api/v1/pods" and number == 1 else None

    server.fault = fault
    found = read(server)
    assert names(found) == ALL
    assert found.unread == []


def test_a_list_whose_pages_always_expire_is_read_at_once(server: FaultServer) -> None:
    server.fault = lambda path, query, number: (410, {"message": "expired"}) if "continue" in query else None
    assert names(read(server)) == ALL


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_a_request_that_fails_is_made_again(server: FaultServer, status: int) -> None:
    server.fault = lambda path, query, number: (status, {"message": "later"}) if number % 2 == 0 else None
    found = read(server)
    assert names(found) == ALL
    assert found.unread == []


@pytest.mark.parametrize("status", [429, 500, 0])
def test_a_kind_that_cannot_be_read_is_said(server: FaultServer, status: int) -> None:
    server.fault = lambda path, query, number: (status, {"message": "broken"}) if "continue" in query else None
    found = read(server)
    assert names(found) == ALL - PODS
    assert unread(found) == {("Pod", None, "not-readable")}


@pytest.mark.parametrize(
    "body",
    [
        b'{"items": [{"metadata": 1}]}',
        b'{"items": [], "metadata": 1}',
        b"",
        b"{",
        b"[]",
        b'{"items": 1}',
        b'{"items": [1]}',
        b'{"kind":"PodList"}x',
        b"[" * 99999,
    ],
)
@pytest.mark.parametrize(("resource", "kind"), [("pods", "Pod"), ("secrets", "Secret")])
def test_an_answer_that_is_no_list_is_said(server: FaultServer, body: bytes, resource: str, kind: str) -> None:
    server.fault = lambda path, query, number: (200, body) if path == f"/api/v1/{resource}" else None
    assert unread(read(server)) == {(kind, None, "not-readable")}


def test_pages_that_do_not_end_are_said(server: FaultServer) -> None:
    answer = {"kind": "PodList", "metadata": {"continue": "same"}, "items": []}
    server.fault = lambda path, query, number: (200, answer) if path == "/api/v1/pods" else None
    assert unread(read(server)) == {("Pod", None, "not-readable")}


def test_a_kind_that_is_gone_after_discovery_is_said(server: FaultServer) -> None:
    server.fault = lambda path, query, number: (404, {}) if "things" in path else None
    assert unread(read(server)) == {("Thing", None, "not-readable")}


@pytest.mark.parametrize("answer", [(503, {}), (200, {"kind": "Status"}), (200, []), (200, b"<html>")])
def test_a_group_that_cannot_be_discovered_is_said(server: FaultServer, answer: tuple[int, Any]) -> None:
    server.aggregated = False
    server.fault = lambda path, query, number: answer if path == "/apis/example.com/v1" else None
    (gap,) = read(server).unread
    assert (gap.group, gap.kind, gap.reason) == ("example.com", "", "not-readable")


def test_a_resource_of_no_known_kind_is_said(server: FaultServer) -> None:
    resources = [{"resource": "things", "scope": "Namespaced", "verbs": ["list"], "responseKind": None}]
    versions = [{"version": "v1", "resources": resources}]
    item = {"metadata": {"name": "example.com"}, "versions": versions}
    answer = {"kind": "APIGroupDiscoveryList", "items": [item]}
    server.fault = lambda path, query, number: (200, answer) if path == "/apis" else None
    (gap,) = read(server).unread
    assert (gap.group, gap.kind, gap.reason) == ("example.com", "", "not-readable")


def test_a_token_that_expires_half_way_is_renewed(server: FaultServer) -> None:
    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        if path == "/api/v1/pods" and number == 1:
            # In this order: whoever is refused meanwhile finds the new one.
            server.configure("new")
            server.token = "new"
            return 401, {"message": "Unauthorized"}
        return None

    server.fault = fault
    found = read(server)
    assert names(found) == ALL
    assert found.unread == []


def test_a_token_that_expires_for_good_loses_nothing_silently(server: FaultServer) -> None:
    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        if path == "/api/v1/pods" and number == 1:
            server.token = "new"
            return 401, {"message": "Unauthorized"}
        return None

    server.fault = fault
    assert ("Pod", None, "not-readable") in unread(read(server))


def test_a_server_that_goes_away_loses_nothing_silently(server: FaultServer) -> None:
    api = api_of(server)
    server.fault = lambda path, query, number: (0, None) if path not in ("/version", "/api", "/apis") else None
    found = read_cluster(api, EVERYTHING)
    assert {gap.kind for gap in found.unread} == {"Namespace", "Pod", "Secret", "NetworkPolicy", "Thing"}


@pytest.mark.parametrize("half", [Half(), Half(stalls=True), Half(drips=True), Half(b""), Half(b"", stalls=True)])
def test_half_an_answer_is_no_answer(server: FaultServer, half: Half) -> None:
    """It ends, it stalls, or it goes on too slowly: each request has its time."""
    server.fault = lambda path, query, number: (200, half) if path == "/api/v1/pods" else None
    begun = time.monotonic()
    found = read_cluster(api_of(server, timeout=0.4), EVERYTHING)
    assert time.monotonic() - begun < 5
    assert names(found) == ALL - PODS
    assert unread(found) == {("Pod", None, "not-readable")}


def test_half_an_answer_is_asked_for_again(server: FaultServer) -> None:
    server.fault = lambda path, query, number: (200, Half()) if "continue" in query and number % 2 else None
    found = read(server)
    assert names(found) == ALL
    assert found.unread == []


def test_a_server_that_is_gone_is_not_asked_for_every_kind(server: FaultServer) -> None:
    """The probe is not answered either; what is left is said without another request."""
    answers = {"/version": 1, "/api": 1, "/apis": 1}
    server.fault = lambda path, query, number: None if number < answers.get(path, 0) else (200, Half(stalls=True))
    needed = Wanted(frozenset({"Namespace", "Pod", "Secret", "ServiceAccount", "ReplicaSet"}), custom=True)
    begun = time.monotonic()
    found = read_cluster(api_of(server, timeout=0.4), needed)
    assert time.monotonic() - begun < 5
    assert {gap.kind for gap in found.unread} == {*needed.kinds, "Thing"}
    assert server.asked["/version"] > 1


def test_an_api_that_is_slow_does_not_cost_the_others(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several requests in a row have no answer, but the server has."""
    monkeypatch.setattr(cluster, "_SILENT", 1)
    server.fault = lambda path, query, number: (200, Half(stalls=True)) if "things" in path else None
    found = read_cluster(api_of(server, timeout=0.4), EVERYTHING)
    assert names(found) == ALL - {"a/example.com.Thing/one.yaml"}
    assert unread(found) == {("Thing", None, "not-readable")}


def test_a_slow_server_at_the_start_is_an_error(server: FaultServer) -> None:
    server.fault = lambda path, query, number: (200, Half(drips=True))
    with pytest.raises(ClusterError, match=r"no answer from http://127.0.0.1:\d+ within 0.3 s"):
        read_cluster(api_of(server, timeout=0.3), EVERYTHING)


def test_a_redirect_is_not_followed(server: FaultServer) -> None:
    """The token would go to whoever is there."""
    elsewhere = f"http://user:hunter2@127.0.0.1:{server.http.server_port}/other?token=hunter2"
    server.fault = lambda path, query, number: (302, elsewhere.encode()) if path == "/version" else None
    with pytest.raises(
        ClusterError, match=r"302: it redirects to http://127.0.0.1:\d+/other, which is not followed"
    ) as e:
        read(server)
    assert "hunter2" not in str(e.value)
    assert server.asked["/other"] == 0
    server.fault = lambda path, query, number: (301, b"/elsewhere") if "things" in path else None
    assert unread(read(server)) == {("Thing", None, "not-readable")}


def test_an_exec_plugin_that_hangs_is_an_error(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_PLUG_IN_TIMEOUT", 0.3)
    plug_in = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    server.configure("", exec={**plug_in, "command": "sleep", "args": ["5"]})
    with pytest.raises(ClusterError, match=r"its exec plug-in did not end within 0.3 s"):
        read(server)


def test_an_exec_plugin_that_hangs_later_loses_nothing_silently(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PLUG_IN_TIMEOUT", 0.5)
    api = api_of(server)

    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        if path == "/api/v1/pods" and number == 1:
            server.token = "new"
            plug_in = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
            server.configure("", exec={**plug_in, "command": "sleep", "args": ["5"]})
            return 401, {"message": "Unauthorized"}
        return None

    server.fault = fault
    found = read_cluster(api, EVERYTHING)
    assert ("Pod", None, "not-readable") in unread(found)
    assert any("did not end within" in gap.detail for gap in found.unread)


class _Proxy(BaseHTTPRequestHandler):
    """Notes what it is asked for, and answers as if it were the server."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        content = b'{"gitVersion": "v1.2.3-proxied"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("how", ["HTTP_PROXY", "proxy-url", "NO_PROXY"])
def test_proxies_are_used(server: FaultServer, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as proxy:
        proxy.asked = []  # type: ignore[attr-defined]
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{proxy.server_port}"
        for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        if how == "proxy-url":
            server.configure("good", cluster={"proxy-url": url})
        else:
            monkeypatch.setenv("HTTP_PROXY", url)
        if how == "NO_PROXY":
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        version = cluster.server_version(api_of(server))
        proxy.shutdown()
        host = f"http://127.0.0.1:{server.http.server_port}"
        assert version == ("v1.33.1-eks-1" if how == "NO_PROXY" else "v1.2.3-proxied")
        assert proxy.asked == ([] if how == "NO_PROXY" else [f"{host}/version"])  # type: ignore[attr-defined]


def test_a_proxy_that_is_not_there_is_named(server: FaultServer) -> None:
    server.configure("good", cluster={"proxy-url": "http://user:hunter2@127.0.0.1:1"})
    with pytest.raises(ClusterError, match=r"through the proxy 127.0.0.1:1: ") as error:
        read(server)
    assert "hunter2" not in str(error.value)


def test_an_interrupt_ends_it_at_once(server: FaultServer) -> None:
    asked = threading.Event()

    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        if path == "/api/v1/pods":
            asked.set()
            return 200, Half(stalls=True)
        return None

    server.fault = fault
    command = [sys.executable, "-m", "kubeassay.cli.main", "audit", "--kubeconfig", str(server.kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert asked.wait(30)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert (process.returncode, out, err.strip()) == (130, "", "Interrupted.")


def test_no_server_wrong_credentials_and_a_wrong_context_are_errors(server: FaultServer, tmp_path: Path) -> None:
    server.configure("bad")
    with pytest.raises(ClusterError, match="credentials are refused"):
        read(server)
    with pytest.raises(ClusterError, match="no context other; it has x"):
        connect(kubeconfig=str(server.kubeconfig), context="other")
    with pytest.raises(ClusterError, match="no kubeconfig"):
        connect(kubeconfig=str(tmp_path / "none"))
    for text in ("", "{", "- a", "clusters: 1\n", "contexts: [{name: x}]\ncurrent-context: x\n", "\x00"):
        (tmp_path / "broken").write_text(text)
        with pytest.raises(ClusterError):
            connect(kubeconfig=str(tmp_path / "broken"))
    api = api_of(server)
    server.stop()
    with pytest.raises(ClusterError, match="no answer from http"):
        read_cluster(api, EVERYTHING)


@pytest.mark.parametrize("body", [{"kind": "APIGroupDiscoveryList", "items": [{"metadata": 1}]}, [], {"kind": "x"}, 5])
def test_a_discovery_that_is_not_understood_is_an_error(server: FaultServer, body: Any) -> None:
    server.fault = lambda path, query, number: (200, body) if path == "/apis" else None
    with pytest.raises(ClusterError, match="not understood"):
        read(server)


def test_an_exec_plugin_gives_the_token_and_is_run_again(server: FaultServer, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "good"},
    }
    (tmp_path / "credential").write_text(json.dumps(credential))
    server.configure(
        "",
        exec={
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(tmp_path / "credential")],
            "interactiveMode": "Never",
        },
    )

    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        if path == "/api/v1/pods" and number == 1:
            server.token = "new"
            (tmp_path / "credential").write_text(json.dumps({**credential, "status": {"token": "new"}}))
            return 401, {"message": "Unauthorized"}
        return None

    server.fault = fault
    assert names(read(server)) == ALL


def test_an_exec_plugin_that_fails_is_an_error(server: FaultServer) -> None:
    server.configure("", exec={"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/program"})
    with pytest.raises(ClusterError):
        read(server)


def test_without_the_extra_it_is_said(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ClusterError, match=r"kubeassay\[cluster\]"):
        connect(kubeconfig=str(server.kubeconfig))


def test_impersonation(server: FaultServer) -> None:
    read_cluster(api_of(server, user="jane", groups=["devs"]), EVERYTHING)
    assert all(headers["impersonate-user"] == "jane" for headers in server.headers)
    assert all(headers["impersonate-group"] == "devs" for headers in server.headers)


def forbid(server: FaultServer, resource: str, *but: str) -> None:
    """A user who may list a resource in some namespaces only."""

    def fault(path: str, query: Mapping[str, str], number: int) -> Any:
        if path.endswith(f"/{resource}") and not any(f"/namespaces/{name}/" in path for name in but):
            return 403, {"message": f"u cannot list {resource}"}
        return None

    server.fault = fault


def test_a_forbidden_kind_is_read_in_the_namespaces_that_are_left(server: FaultServer) -> None:
    forbid(server, "pods", "a")
    found = read(server)
    assert names(found) == {name for name in ALL if not name.startswith("b/core.Pod")}
    assert unread(found) == {("Pod", "b", "forbidden")}


def test_connectivity_without_policies_is_unknown(server: FaultServer) -> None:
    assert [finding.object.name for finding in failing(judged(server, "namespace-without-isolation"))] == ["a", "b"]
    forbid(server, "networkpolicies")
    result = judged(server, "namespace-without-isolation")
    assert failing(result) == []
    assert result.summary.passed == 0
    assert ("forbidden", "namespace-without-isolation") in {(n.reason, n.rule) for n in result.not_evaluated}


def test_a_forbidden_namespace_does_not_pass_and_the_others_are_judged(server: FaultServer) -> None:
    forbid(server, "networkpolicies", "a")
    result = judged(server, "namespace-without-isolation")
    assert [finding.object.name for finding in failing(result)] == ["a"]
    assert result.summary.passed == 0
    assert {(n.namespace, n.rule) for n in result.not_evaluated} >= {("b", None)}


def test_rules_on_pods_judge_what_was_read(server: FaultServer) -> None:
    forbid(server, "pods", "a")
    result = judged(server, "allow-privilege-escalation")
    assert {finding.object.namespace for finding in failing(result)} == {"a"}
    assert {(n.reason, n.namespace) for n in result.not_evaluated} == {("forbidden", "b")}
    assert result.summary.not_evaluated == 1


def test_a_pod_is_not_judged_by_a_service_account_that_is_not_readable(server: FaultServer) -> None:
    rule = "service-account-token-automount"
    everything = judged(server, rule)
    forbid(server, "serviceaccounts", "a")
    result = judged(server, rule)
    assert {finding.object.namespace for finding in failing(everything)} == {"a", "b"}
    assert {finding.object.namespace for finding in failing(result)} == {"a"}
    assert ("forbidden", rule, "b") in {(n.reason, n.rule, n.namespace) for n in result.not_evaluated}


def test_pod_templates_that_a_configuration_names_are_read(server: FaultServer) -> None:
    server.objects["/apis/example.com/v1/things"][0]["spec"] = {"pod": {"spec": {"containers": [{"name": "c"}]}}}
    plan = plan_of(
        profile_of("allow-privilege-escalation"), pod_template_paths={("example.com", "Thing"): (("spec", "pod"),)}
    )
    result = audit(plan, read(server, wanted(plan)))
    assert ("Thing", "one") in {(f.object.kind, f.object.name) for f in failing(result)}
    # A snapshot of all custom resources has them, whoever asks for them later.
    whole = read(server, everything_wanted(LIBRARY.rules.values()))
    again = audit(plan, whole)
    assert ("Thing", "one") in {(f.object.kind, f.object.name) for f in failing(again)}
    assert again.not_evaluated == ()


def test_one_namespace_is_judged_by_everything(server: FaultServer) -> None:
    result = judged(server, "allow-privilege-escalation", "namespace-without-isolation", namespaces=["a"])
    assert {finding.object.namespace or finding.object.name for finding in failing(result)} == {"a"}
    assert result.not_evaluated == ()


def test_objects_with_a_label_are_judged(server: FaultServer) -> None:
    server.objects["/api/v1/pods"][0]["metadata"]["labels"] = {"app": "web"}
    result = judged(server, "allow-privilege-escalation", selector="app=web")
    assert [(f.object.namespace, f.object.name) for f in failing(result)] == [("a", "p0")]
    assert result.summary.objects == 8


def test_pods_with_a_label_are_judged_at_an_owner_without_it(server: FaultServer) -> None:
    pod = server.objects["/api/v1/pods"][0]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod["spec"]}
    server.add("ReplicaSet", "web", "a", spec={"template": template})
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "ReplicaSet-web", "controller": True}
    pod["metadata"] |= {"labels": {"app": "web"}, "ownerReferences": [owner], "uid": "p"}
    result = judged(server, "allow-privilege-escalation", selector="app=web")
    assert [(f.object.kind, f.object.name) for f in failing(result)] == [("ReplicaSet", "web")]
    assert result.not_evaluated == ()


@pytest.mark.parametrize("narrowed", [{"namespaces": ["a"]}, {"selector": "app=web"}])
def test_what_was_not_asked_for_is_no_fix(server: FaultServer, narrowed: dict[str, Any]) -> None:
    server.objects["/api/v1/pods"][0]["metadata"]["labels"] = {"app": "web"}
    before = judged(server, "allow-privilege-escalation")
    plan = plan_of(profile_of("allow-privilege-escalation"))
    snapshot = read(server, wanted(plan), **narrowed)
    # Whoever compares later has the two results alone.
    found = compare(from_json(to_json(before)), from_json(to_json(audit(plan, snapshot))))
    assert found.fixed == ()
    assert len(found.unchanged) + len(found.unknown) == len(failing(before))


@pytest.mark.parametrize("options", [{"namespaces": ["shop"]}, {"selector": "app=none"}])
def test_a_namespace_or_label_that_is_not_there_is_said(server: FaultServer, options: dict[str, Any]) -> None:
    result = judged(server, "allow-privilege-escalation", **options)
    assert {n.reason for n in result.not_evaluated} == {"no-objects"}


def own_rule(folder: Path, kind: str, expression: str) -> Plan:
    """The plan of a user's rule on the objects of a kind."""
    spec = {
        "title": "x",
        "area": "secrets",
        "severity": "high",
        "subject": "object",
        "needs": [kind],
        "rationale": "x",
        "remediation": "x",
        "expression": expression,
        "messageExpression": "'no'",
    }
    rule = {"apiVersion": "kubeassay.dev/v1", "kind": "Rule", "metadata": {"id": "own-rule"}, "spec": spec}
    (folder / "own-rule.yaml").write_text(json.dumps(rule))
    library = Library([folder / "own-rule.yaml"])
    return plan_of(profile_of("own-rule", library=library), library=library)


@pytest.mark.parametrize("kind", ["ServiceAccount", "Thing"])
def test_what_an_api_that_is_down_may_have_does_not_pass(server: FaultServer, tmp_path: Path, kind: str) -> None:
    """Its kinds are not known: one may be called like one of Kubernetes' own."""
    plan = own_rule(tmp_path, kind, "true")
    whole = audit(plan, read(server, wanted(plan)))
    assert (whole.summary.not_evaluated, whole.summary.passed) == (0, 2 if kind == "ServiceAccount" else 1)
    server.aggregated = False
    server.fault = lambda path, query, number: (503, {}) if path == "/apis/example.com/v1" else None
    result = audit(plan, read(server, wanted(plan)))
    assert result.summary.by_control["T-1"].not_evaluated == 1
    assert result.summary.passed == (2 if kind == "ServiceAccount" else 0)
    assert "not-readable" in {n.reason for n in result.not_evaluated}
    # A check of ours looks at the group.
    assert judged(server, "service-account-token-automount").summary.not_evaluated == 0


def test_rules_on_values_of_secrets_do_not_pass(server: FaultServer, tmp_path: Path) -> None:
    plan = own_rule(tmp_path, "Secret", "has(object.data) && 'password' in object.data")
    result = audit(plan, read(server, wanted(plan)))
    assert failing(result) == []
    assert (result.summary.passed, result.summary.not_evaluated) == (0, 2)
    assert {n.reason for n in result.not_evaluated} == {"metadata-only"}


def test_rules_on_manifests_alone_do_not_apply_to_secrets(server: FaultServer) -> None:
    rules = ("secret-in-manifest", "unknown-field", "mistyped-field")
    secrets_alone = judged(server, "secret-in-manifest")
    result = audit(plan_of(profile_of(*rules)), read(server))
    assert server.asked["/api/v1/secrets"] == 2
    for found in (secrets_alone, result):
        assert failing(found) == []
        assert not any(n.reason == "metadata-only" for n in found.not_evaluated)
    assert (secrets_alone.summary.passed, secrets_alone.summary.not_evaluated) == (0, 0)


def test_a_snapshot_for_other_rules_is_not_enough(server: FaultServer) -> None:
    found = read(server, wanted(plan_of(profile_of("allow-privilege-escalation"))))
    result = audit(plan_of(profile_of("namespace-without-isolation")), found)
    assert failing(result) == []
    assert {n.reason for n in result.not_evaluated} == {"not-read"}


def test_what_a_narrowed_snapshot_has_of_some_namespaces_is_not_all(server: FaultServer) -> None:
    """A rule that joins pods of all namespaces, and a snapshot for rules that judge pods by themselves."""
    found = read(server, wanted(plan_of(profile_of("allow-privilege-escalation"))), namespaces=["a"])
    assert found.narrowed == ("Pod", "ReplicaSet")
    joining = plan_of(profile_of("namespace-without-isolation"))
    whole = audit(joining, read(server, wanted(joining), namespaces=["a"]))
    assert not any(n.reason == "not-read" for n in whole.not_evaluated)
    found.asked = tuple(sorted(wanted(joining).kinds))
    gaps = {n.detail for n in audit(joining, found).not_evaluated if n.rule is None and n.reason == "not-read"}
    assert any(detail.startswith("Pod in namespaces other than a ") for detail in gaps)


@pytest.mark.parametrize(("text", "seconds"), [("2", 2), ("-1", 0), ("nan", 0), ("Wed, 21 Oct 2026", 0), (None, 0)])
def test_how_long_to_wait(text: str | None, seconds: float) -> None:
    assert cluster._seconds(text) == seconds


def test_a_kind_that_is_called_workload_is_none_of_the_pods_that_rules_need() -> None:
    """scheduling.k8s.io has one, and Kueue: a custom resource as others."""
    assert "Workload" not in everything_wanted(LIBRARY.rules.values()).kinds
    kueue = Unread("kueue.x-k8s.io", "Workload", None, "forbidden", "")
    assert not gaps_of(["Workload", "NetworkPolicy"], [kueue])
    assert gaps_of(["Workload", "CustomResource"], [kueue]) == Gaps(possible=(kueue,))


@pytest.mark.parametrize("token", ["go\nod", "gööd€", "go\x00od"])
def test_a_token_that_no_header_can_hold_is_not_printed(server: FaultServer, token: str) -> None:
    server.configure(token)
    with pytest.raises(ClusterError, match="the header authorization cannot hold") as refused:
        read(server)
    assert token not in str(refused.value)
    assert repr(token)[1:-1] not in str(refused.value)


def test_a_token_with_a_line_break_at_its_end_is_one(server: FaultServer) -> None:
    server.configure("good\n")
    assert names(read(server)) == ALL


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is mounted into a pod for its service account, as far as this process can see."""
    account = tmp_path / "serviceaccount"
    account.mkdir()
    for name, text in (("token", "secret-token"), ("ca.crt", "no certificate"), ("namespace", "audit")):
        (account / name).write_text(text)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return account


def test_a_pod_without_a_token_is_told_why(pod: Path) -> None:
    (pod / "token").unlink()
    said = f"no token of a service account is mounted in this pod at {pod}/token: automountServiceAccountToken is false"
    with pytest.raises(ClusterError, match=said):
        connect()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("token", "", "Token file exists but empty"),
        ("ca.crt", "", "Cert file exists but empty"),
        ("ca.crt", None, "certification file does not exist"),
    ],
)
def test_what_is_wrong_in_a_pod_is_said(pod: Path, name: str, text: str | None, said: str) -> None:
    (pod / name).unlink()
    if text is not None:
        (pod / name).write_text(text)
    with pytest.raises(ClusterError, match=f"the service account of this pod cannot be used: .*{said}") as refused:
        connect()
    assert "secret-token" not in str(refused.value)


def test_half_an_address_of_the_api_server_is_said(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT")
    with pytest.raises(
        ClusterError, match="the service account of this pod cannot be used: Service host/port is not set"
    ):
        connect()


def test_a_kubeconfig_goes_before_the_service_account(
    pod: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    # The client reads the variable when it is imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(server.kubeconfig))
    assert connect().name == "c-1"
