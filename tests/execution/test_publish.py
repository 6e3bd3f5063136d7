"""Publishing into a cluster that fails, or of which not all could be read: nothing is lost, and nothing of others is
touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit import plan_of, profile_of
from kubeassay.execution.audit import audit, wanted
from kubeassay.execution.publish import Published, publish, store_for
from kubeassay.model import NotEvaluated, Result
from kubeassay.reporting.openreports import OPENREPORTS
from kubeassay.sources.cluster import Api, ClusterError, connect, read_cluster
from kubeassay.sources.snapshot import Snapshot
from sources.report_server import ROOT, ReportServer

RULES = ("host-namespaces", "default-deny-ingress-missing")
POD: dict[str, Any] = {"hostPID": True, "containers": [{"name": "c", "image": "i:1"}]}


def uid(number: int) -> str:
    return f"6e1a3a8c-0000-4000-8000-{number:012}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    """Namespaces a and b, in each a pod with the host's network."""
    made = ReportServer(tmp_path)
    made.page = 100
    for number, namespace in enumerate("ab"):
        made.add("Namespace", namespace)
        made.add("Pod", f"p{namespace}", namespace, spec=POD)
        made.objects["/api/v1/pods"][-1]["metadata"]["uid"] = uid(number)
    try:
        yield made
    finally:
        made.stop()


def read(server: ReportServer, *rules: str, **options: Any) -> tuple[Result, Snapshot]:
    plan = plan_of(profile_of(*(rules or RULES)))
    connection = connect(kubeconfig=str(server.kubeconfig))
    snapshot = read_cluster(Api(connection, rate=1e6, pause=0.001), wanted(plan), **options)
    return audit(plan, snapshot), snapshot


def run(server: ReportServer, *rules: str, now: int = 1, **options: Any) -> Published:
    result, snapshot = read(server, *rules, **options)
    server.writes.clear()
    store = store_for(connect(kubeconfig=str(server.kubeconfig)), OPENREPORTS, rate=1e6, pause=0.001)
    return publish(store, OPENREPORTS, result, snapshot, now)


def report(number: int, namespace: str) -> str:
    return f"{ROOT}/namespaces/{namespace}/reports/kubeassay-test-{uid(number)}"


A, B = report(0, "a"), report(1, "b")


def pods(server: ReportServer) -> list[dict[str, Any]]:
    return server.objects["/api/v1/pods"]


def failing(found: Mapping[str, Any]) -> set[str]:
    return {entry["rule"] for entry in found["results"] if entry["result"] == "fail"}


def counts(done: Published) -> tuple[int, int, int]:
    assert not done.failures
    return done.created, done.updated, done.removed


def test_what_has_not_changed_is_not_written(server: ReportServer) -> None:
    # The pods, the namespaces, the audit.
    assert counts(run(server)) == (5, 0, 0)
    assert server.reports[A]["results"][0]["timestamp"] == {"seconds": 1, "nanos": 0}
    again = run(server, now=2)
    assert counts(again) == (0, 0, 0)
    assert again.unchanged == 5
    assert server.writes == []


def test_what_is_mended_goes_and_what_is_gone(server: ReportServer) -> None:
    run(server)
    pods(server)[0]["spec"] = {**POD, "hostPID": False}
    del pods(server)[1]
    assert run(server).removed >= 2
    assert A not in server.reports
    assert B not in server.reports


def test_another_object_of_the_same_name_has_a_report_of_its_own(server: ReportServer) -> None:
    run(server)
    pods(server)[0]["metadata"]["uid"] = uid(7)
    assert counts(run(server))[::2] == (1, 1)
    assert A not in server.reports
    assert server.reports[report(7, "a")]["scope"]["uid"] == uid(7)


@pytest.mark.parametrize("status", [429, 500, 503, 0])
@pytest.mark.parametrize("lost", [False, True])
def test_what_fails_once_is_tried_again(server: ReportServer, status: int, lost: bool) -> None:
    server.lost = lost
    server.write_fault = lambda method, path, number: (status, {}) if number == 0 else None
    assert run(server).failures == []
    assert {A, B} <= server.reports.keys()
    pods(server)[0]["spec"] = {**POD, "hostIPC": True}
    del pods(server)[1]
    assert run(server).failures == []
    assert len(server.reports[A]["results"]) == 2
    assert B not in server.reports


def test_who_wrote_at_the_same_time_is_not_overwritten(server: ReportServer) -> None:
    run(server)

    def other(method: str, path: str, number: int) -> None:
        if method == "PUT" and number == 0:
            there = server.reports[path]
            labels = {**there["metadata"]["labels"], "team": "other"}
            server.store(path, {**there, "metadata": {"labels": labels, "name": there["metadata"]["name"]}})

    server.write_fault = other
    pods(server)[0]["spec"] = {**POD, "hostIPC": True}
    assert run(server).failures == []
    assert server.reports[A]["metadata"]["labels"]["team"] == "other"
    assert len(server.reports[A]["results"]) == 2


def test_a_report_that_went_at_the_same_time_is_made_again(server: ReportServer) -> None:
    run(server)
    server.write_fault = lambda method, path, number: server.reports.pop(path, None) and None
    pods(server)[0]["spec"] = {**POD, "hostIPC": True}
    assert run(server).failures == []
    assert A in server.reports
    assert ("POST", A.rpartition("/")[0]) in server.writes


def test_reports_of_others_are_left_alone(server: ReportServer) -> None:
    theirs = {
        "metadata": {"name": A.rpartition("/")[2], "namespace": "a"},
        "results": [{"source": "other", "policy": "p"}],
    }
    server.store(A, theirs)
    labels = {
        "app.kubernetes.io/managed-by": "kubeassay",
        "kubeassay.dev/profile": "test",
        "kubeassay.dev/about": "object",
    }
    scope = {"apiVersion": "v1", "kind": "Pod", "namespace": "b", "name": "gone"}
    copied = f"{ROOT}/namespaces/b/reports/copied"
    server.store(copied, {**theirs, "metadata": {"name": "copied", "namespace": "b", "labels": labels}, "scope": scope})
    before = dict(server.reports)
    done = run(server)
    name = A.rpartition("/")[2]
    assert done.failures == [f"a/{name} could not be created: there is one of that name that kubeassay did not write"]
    assert done.created == 4
    assert {path: server.reports[path] for path in before} == before


def test_a_refusal_is_one_line_and_asked_for_once_a_namespace(server: ReportServer) -> None:
    for number in range(2, 60):
        server.add("Pod", f"p{number}", "a", spec=POD)
        pods(server)[-1]["metadata"]["uid"] = uid(number)
    server.write_fault = lambda method, path, number: (403, {"message": "no"}) if "/namespaces/a/" in path else None
    done = run(server)
    (line,) = done.failures
    assert line.startswith("a/kubeassay-test-")
    assert line.endswith(" and 58 more could not be created: 403: no")
    assert B in server.reports
    # Those that were on their way, and no more.
    assert sum("/namespaces/a/" in path for _, path in server.writes) < 20


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"message": "unable to create new content in namespace a because it is being terminated"}),
        (404, {"message": 'namespaces "a" not found'}),
    ],
)
def test_a_namespace_that_ends_is_no_failure(server: ReportServer, answer: tuple[int, Any]) -> None:
    server.write_fault = lambda method, path, number: answer if "/namespaces/a/" in path else None
    assert counts(run(server)) == (4, 0, 0)
    assert B in server.reports


@pytest.mark.parametrize("body", [(400, {"message": 'unknown field "scope"'}), (422, {"message": "is invalid"})])
def test_what_the_server_does_not_take_is_said(server: ReportServer, body: tuple[int, Any]) -> None:
    server.write_fault = lambda method, path, number: body if path == A.rpartition("/")[0] else None
    done = run(server)
    assert len(done.failures) == 1
    assert done.failures[0].endswith(f"could not be created: {body[0]}: {body[1]['message']}")
    assert B in server.reports


@pytest.mark.parametrize("status", [403, 500])
def test_where_reports_cannot_be_listed_none_are_written(server: ReportServer, status: int) -> None:
    run(server)
    pods(server).clear()
    server.fault = lambda path, query, number: (status, {"message": "no"}) if path.startswith(f"{ROOT}/") else None
    done = run(server)
    assert server.writes == []
    assert len(done.failures) in (1, 2)
    assert all("cannot be listed" in failure for failure in done.failures)


def test_who_may_not_list_everywhere_may_in_a_namespace(server: ReportServer) -> None:
    everywhere = (f"{ROOT}/reports",)
    server.fault = lambda path, query, number: (403, {"message": "no"}) if path in everywhere else None
    assert counts(run(server)) == (5, 0, 0)
    assert counts(run(server)) == (0, 0, 0)


def test_an_unreadable_namespace_keeps_its_reports(server: ReportServer) -> None:
    run(server)
    before = server.reports[A]
    pods(server).clear()

    def fault(path: str, query: Mapping[str, str], number: int) -> tuple[int, Any] | None:
        return (403, {"message": "no"}) if path in ("/api/v1/pods", "/api/v1/namespaces/a/pods") else None

    server.fault = fault
    assert run(server).failures == []
    assert server.reports[A] == before
    # There it was read, and is gone.
    assert B not in server.reports


def test_what_was_left_out_keeps_its_reports(server: ReportServer) -> None:
    run(server)
    before = dict(server.reports)
    for obj in pods(server):
        obj["spec"] = {**POD, "hostPID": False}
    run(server, namespaces=["b"])
    assert B not in server.reports
    assert server.reports[A] == before[A]
    cluster = f"{ROOT}/clusterreports/kubeassay-test-audit"
    assert server.reports[cluster] == before[cluster]
    assert f"{ROOT}/namespaces/b/reports/kubeassay-test-audit" in server.reports
    # Now everything is judged: the report on the audit of one namespace is stale.
    run(server)
    assert A not in server.reports
    assert f"{ROOT}/namespaces/b/reports/kubeassay-test-audit" not in server.reports


def test_an_audit_by_labels_removes_what_it_judged(server: ReportServer) -> None:
    for number, obj in enumerate(pods(server)):
        obj["metadata"]["labels"] = {"app": "ab"[number]}
    run(server)
    for obj in pods(server):
        obj["spec"] = {**POD, "hostPID": False}
    run(server, selector="app=b")
    assert A in server.reports
    assert B not in server.reports


def of_namespace(server: ReportServer, name: str) -> dict[str, Any]:
    (found,) = (
        found
        for path, found in server.reports.items()
        if path.startswith(f"{ROOT}/clusterreports/") and found.get("scope", {}).get("name") == name
    )
    return found


def test_results_of_a_rule_that_did_not_run_are_kept_and_marked(server: ReportServer) -> None:
    run(server)
    before = of_namespace(server, "a")
    assert failing(before) == {"default-deny-ingress-missing"}
    server.fault = lambda path, query, number: (403, {"message": "no"}) if "networkpolicies" in path else None
    run(server, now=2)
    assert of_namespace(server, "a") == before
    # A rule that ran does not keep the other's result from being known.
    pods(server)[0]["spec"] = {**POD, "hostPID": False}
    run(server, now=3)
    assert A not in server.reports


def test_one_report_holds_new_results_and_those_that_are_kept(server: ReportServer) -> None:
    rules = ("host-namespaces", "egress-to-internet")
    run(server, *rules)
    before = server.reports[A]
    assert failing(before) == set(rules)
    server.fault = lambda path, query, number: (403, {"message": "no"}) if "networkpolicies" in path else None
    run(server, *rules, now=2)
    after = server.reports[A]
    assert failing(after) == set(rules)
    marked = {entry["rule"] for entry in after["results"] if "kept" in entry["properties"]}
    assert marked == {"egress-to-internet"}
    assert all(entry["timestamp"]["seconds"] == 1 for entry in after["results"])
    assert after["summary"]["fail"] == len(after["results"])
    # It stays like this, until it is judged again.
    assert A not in {path for _, path in (run(server, *rules, now=3), server.writes)[1]}
    server.fault = lambda path, query, number: None
    run(server, *rules, now=4)
    assert server.reports[A]["results"] == before["results"]


def test_what_is_kept_goes_with_its_object(server: ReportServer) -> None:
    rules = ("host-namespaces", "egress-to-internet")
    run(server, *rules)
    server.fault = lambda path, query, number: (403, {"message": "no"}) if "networkpolicies" in path else None
    # Another pod of that name: nobody has judged it by the rule that did not run.
    pods(server)[0]["metadata"]["uid"] = uid(7)
    run(server, *rules)
    assert A not in server.reports
    assert failing(server.reports[report(7, "a")]) == {"host-namespaces"}


@pytest.mark.parametrize(("reason", "stays"), [("drift", False), ("invalid-object", True)])
def test_what_is_not_judged_as_a_whole_keeps_its_results(server: ReportServer, reason: str, stays: bool) -> None:
    """An owner whose pods differ was judged by its template; of an invalid object nothing passes."""
    run(server)
    pods(server)[0]["spec"] = {**POD, "hostPID": False}
    result, snapshot = read(server)
    (place,) = (name for name in snapshot.files if name.endswith("/pa.yaml"))
    result = replace(result, not_evaluated=(NotEvaluated(reason, "said", namespace="a", file=place),))
    store = store_for(connect(kubeconfig=str(server.kubeconfig)), OPENREPORTS, rate=1e6, pause=0.001)
    publish(store, OPENREPORTS, result, snapshot, 2)
    assert (A in server.reports) == stays


def test_without_definitions_it_is_said_what_to_do(server: ReportServer) -> None:
    server.defined = False
    with pytest.raises(
        ClusterError, match=r"no reports\.openreports\.io and clusterreports\.openreports\.io .*kubectl apply"
    ):
        store_for(connect(kubeconfig=str(server.kubeconfig)), OPENREPORTS)


PROBE = """
import sys
from kubeassay.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("WRITES", *sorted(name for name in sys.modules if name.endswith((".writing", ".publish"))))
"""


@pytest.mark.parametrize("publishing", [False, True])
def test_what_only_reads_does_not_even_import_what_writes(server: ReportServer, publishing: bool) -> None:
    command = ["audit", "--kubeconfig", str(server.kubeconfig), "-q", *(["--publish"] if publishing else [])]
    done = subprocess.run([sys.executable, "-c", PROBE, *command], capture_output=True, text=True, check=True)
    imported = done.stdout.splitlines()[-1].split()[1:]
    assert imported == (["kubeassay.execution.publish", "kubeassay.sources.writing"] if publishing else [])
    assert bool(server.writes) == publishing
