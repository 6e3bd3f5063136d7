"""``kubeassay audit --publish`` against the API server: the reports are there, and only what has to be written is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from kubeassay.cli.main import cli
from kubeassay.reporting.openreports import APIS, OPENREPORTS, ReportApi, reports
from live.api_server import OwnServer
from live.test_live_audit import pod, pod_spec
from report_definitions import definitions
from reporting.samples import SAMPLES

RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def api_server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server without controllers, of which the collector of garbage would remove what tests look for."""
    with OwnServer(binaries, tmp_path_factory.mktemp("publish") / "server") as server:
        yield server


@pytest.fixture
def defined(api_server: OwnServer) -> Callable[[ReportApi], None]:
    """Installs the definitions of an API of reports."""

    def install(api: ReportApi) -> None:
        for definition in definitions(api):
            made = api_server.admin.create(definition)
            assert made.ok or made.status == 409, made.message
        path = f"/apis/{api.group}/{api.version}"
        for name in (api.resource, api.cluster_resource):
            api_server._wait_for(
                "kube-apiserver", lambda name=name: api_server.admin.request("GET", f"{path}/{name}").ok
            )

    return install


def deployment(name: str, namespace: str, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(**container)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template, "paused": True, "replicas": 0},
    }


@pytest.fixture
def shop(api_server: OwnServer, namespaces: Callable[..., str]) -> str:
    name = namespaces("publish")
    for made in (
        deployment("web", name, securityContext={"privileged": True}),
        deployment("worker", name),
        pod("bare", name),
    ):
        api_server.admin.must_create(made)
    return name


def published(server: OwnServer, *arguments: str | Path, kubeconfig: Path | None = None) -> tuple[int, str]:
    """The exit code, and what is said."""
    command = ["audit", "--kubeconfig", kubeconfig or server.kubeconfig, "--publish", *arguments]
    done = CliRunner().invoke(cli, [str(argument) for argument in command], standalone_mode=False)
    if isinstance(done.exception, click.ClickException):
        return done.exception.exit_code, done.exception.message
    assert done.exception is None, done.output
    return done.return_value, done.stderr


def counts(said: str) -> tuple[int, ...]:
    """(created, updated, removed, unchanged)."""
    (line,) = (line for line in said.splitlines() if line.startswith("reports "))
    return tuple(int(word.replace(",", "")) for word in line.replace(",", " ").split() if word.isdigit())


def found(server: OwnServer, namespace: str, api: ReportApi = OPENREPORTS) -> dict[str, dict[str, Any]]:
    """The reports of a namespace by the name of what they are about."""
    path = f"/apis/{api.group}/{api.version}/namespaces/{namespace}/{api.resource}"
    return {
        report["scope"]["name"] if report["scope"]["kind"] != "Namespace" else "audit": report
        for report in server.admin.get(path)["items"]
    }


def rules_of(report: Mapping[str, Any], result: str = "fail") -> set[str]:
    return {entry["rule"] for entry in report["results"] if entry["result"] == result}


def test_without_definitions_nothing_is_audited(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    server = start_server()
    report = tmp_path / "report.json"
    code, said = published(server, "-o", f"json={report}")
    assert code == 2
    assert "the cluster has no reports.openreports.io and clusterreports.openreports.io" in said
    assert "install their definitions first (kubectl apply -f https://" in said
    assert not report.exists()


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_reports_come_stay_and_go(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str, api: ReportApi
) -> None:
    defined(api)
    admin = own_server.admin
    start = int(time.time())
    arguments = [f"--publish={api.name}", "-n", shop]
    code, said = published(own_server, *arguments)
    assert code == 1, said
    before = found(own_server, shop, api)
    assert before.keys() == {"web", "worker", "bare", "audit"}
    web = before["web"]
    uid = admin.get(f"/apis/apps/v1/namespaces/{shop}/deployments/web")["metadata"]["uid"]
    assert web["metadata"]["name"] == f"kubeassay-recommended-{uid}"
    assert web["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid}
    ]
    assert "privileged-container" in rules_of(web)
    assert web["summary"]["fail"] == sum(entry["result"] == "fail" for entry in web["results"])
    assert web["summary"]["pass"] > 0
    assert all(entry["timestamp"]["seconds"] >= start for entry in web["results"])
    (of_namespace,) = (
        report
        for report in admin.get(f"/apis/{api.group}/{api.version}/{api.cluster_resource}")["items"]
        if report.get("scope", {}).get("name") == shop
    )
    assert of_namespace["scope"]["kind"] == "Namespace"
    assert counts(said)[0] == 5

    # The same again: nothing is written, not even with other labels at hand.
    time.sleep(1.1)
    code, said = published(own_server, *arguments)
    assert counts(said) == (0, 0, 0, 5)
    assert found(own_server, shop, api) == before

    # Mended, deleted, made anew under its name; somebody else's reports; labels that others add.
    path = f"/apis/{api.group}/{api.version}/namespaces/{shop}/{api.resource}"
    foreign = {
        "apiVersion": api.api_version,
        "kind": api.kind,
        "metadata": {"name": "theirs", "namespace": shop, "labels": {"app.kubernetes.io/managed-by": "kyverno"}},
        "scope": {"apiVersion": "v1", "kind": "Pod", "name": "theirs"},
        "results": [{"policy": "p", "result": "fail", "source": "kyverno"}],
    }
    copied = foreign | {
        "metadata": {"name": "copied", "namespace": shop, "labels": web["metadata"]["labels"]},
        "scope": {"apiVersion": "v1", "kind": "Pod", "name": "copied"},
    }
    for other in (foreign, copied):
        admin.request("POST", path, other)
    labelled = web | {"metadata": web["metadata"] | {"labels": web["metadata"]["labels"] | {"team": "shop"}}}
    assert admin.request("PUT", f"{path}/{web['metadata']['name']}", labelled).ok
    admin.delete(deployment("web", shop))
    mended = deployment("web", shop, securityContext={"privileged": False})
    admin.must_create(mended)
    admin.delete(pod("bare", shop))
    code, said = published(own_server, *arguments)
    # Updated: that on the audit, and that on the namespace, whose message names its workloads.
    assert counts(said) == (1, 2, 2, 1)
    after = found(own_server, shop, api)
    assert after.keys() == {"web", "worker", "audit", "theirs", "copied"}
    assert after["worker"] == before["worker"]
    assert after["theirs"]["results"] == foreign["results"]
    assert "privileged-container" not in rules_of(after["web"])
    assert after["web"]["metadata"]["uid"] != web["metadata"]["uid"]


def test_one_result_more_keeps_the_times_of_the_others(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str
) -> None:
    defined(OPENREPORTS)
    published(own_server, "-n", shop)
    before = found(own_server, shop)["worker"]
    path = f"/apis/openreports.io/v1alpha1/namespaces/{shop}/reports/{before['metadata']['name']}"
    before["metadata"]["labels"]["team"] = "shop"
    assert own_server.admin.request("PUT", path, before).ok
    worker = own_server.admin.get(f"/apis/apps/v1/namespaces/{shop}/deployments/worker")
    worker["spec"]["template"]["spec"]["hostNetwork"] = True
    url = f"/apis/apps/v1/namespaces/{shop}/deployments/worker"
    assert own_server.admin.request("PUT", url, worker).ok
    time.sleep(1.1)
    _, said = published(own_server, "-n", shop)
    # Those on the audit and on the namespace, too.
    assert counts(said)[:3] == (0, 3, 0)
    after = found(own_server, shop)["worker"]
    assert after["metadata"]["labels"]["team"] == "shop"
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    times = {entry["properties"]["resultID"]: entry["timestamp"] for entry in before["results"]}
    new = [entry for entry in after["results"] if entry["properties"]["resultID"] not in times]
    assert "host-namespaces" in {entry["rule"] for entry in new}
    for entry in after["results"]:
        known = times.get(entry["properties"]["resultID"])
        assert (
            entry["timestamp"] == known
            if known
            else entry["timestamp"]["seconds"] > min(time["seconds"] for time in times.values())
        )


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
@pytest.mark.parametrize("name", SAMPLES)
def test_the_server_takes_any_report(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str, api: ReportApi, name: str
) -> None:
    """Those of samples, hostile ones and one of the largest among them."""
    defined(api)
    result = SAMPLES[name]
    large = tuple(
        replace(finding, message="\x1b[31m\U0001f600" * 50_000, fingerprint=f"{finding.fingerprint}{number}")
        for finding in result.findings
        for number in range(600)
    )
    for report in (*reports(result, api), *reports(replace(result, findings=large), api)):
        namespaced = report["kind"] == api.kind
        if namespaced:
            report["metadata"]["namespace"] = shop
        resource = f"namespaces/{shop}/{api.resource}" if namespaced else api.cluster_resource
        path = f"/apis/{api.group}/{api.version}/{resource}?dryRun=All&fieldValidation=Strict"
        answer = own_server.admin.request("POST", path, report)
        assert answer.status == 201, answer.message
        assert answer.body["results"] == report["results"]


def test_the_collector_of_garbage_takes_owners_as_they_are_meant(start_server: Callable[..., OwnServer]) -> None:
    server = start_server()
    server.start_controllers()
    server.admin.namespace("shop")
    for definition in definitions(OPENREPORTS):
        server.admin.must_create(definition)
    path = "/apis/openreports.io/v1alpha1"
    server._wait_for("kube-apiserver", lambda: server.admin.request("GET", f"{path}/reports").ok)
    for name in ("web", "worker"):
        server.admin.must_create(deployment(name, "shop", securityContext={"privileged": True}))

    def made() -> set[str]:
        return {report["scope"]["name"] for report in server.admin.get(f"{path}/namespaces/shop/reports")["items"]}

    published(server)
    server.admin.delete(deployment("web", "shop"))
    # It finds new kinds every half minute.
    server._wait_for("kube-controller-manager", lambda: "web" not in made())
    assert "worker" in made()
    of_cluster = server.admin.get(f"{path}/clusterreports")["items"]
    assert {report["scope"]["name"] for report in of_cluster if report.get("scope")} >= {"shop"}


def test_an_audit_does_not_read_reports(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str, tmp_path: Path
) -> None:
    defined(OPENREPORTS)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    published(own_server, "-p", "strict", "-o", f"json={first}")
    published(own_server, "-p", "strict", "-o", f"json={second}")
    results = [json.loads(file.read_text(encoding="utf-8")) for file in (first, second)]
    assert results[0] == results[1]
    assert not any("openreports.io" in place for place in results[1]["objects"])


def test_findings_that_stand_in_manifests_are_of_the_object_in_the_cluster(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str, tmp_path: Path
) -> None:
    defined(OPENREPORTS)
    published(own_server, "-n", shop)
    before = found(own_server, shop)
    manifest = deployment("web", shop, securityContext={"privileged": True})
    (tmp_path / "web.yaml").write_text(json.dumps(manifest), encoding="utf-8")
    published(own_server, "-n", shop, "--source", str(tmp_path))
    assert found(own_server, shop)["web"] == before["web"]


def test_accepted_findings_are_skipped(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str, tmp_path: Path
) -> None:
    defined(OPENREPORTS)
    accepted = tmp_path / "accepted.json"
    published(own_server, "-n", shop, "-o", f"accepted={accepted}")
    failing = rules_of(found(own_server, shop)["web"])
    assert failing
    published(own_server, "-n", shop, "--accepted", str(accepted))
    web = found(own_server, shop)["web"]
    assert rules_of(web) == set()
    assert rules_of(web, "skip") == failing


def test_profiles_have_reports_of_their_own(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str
) -> None:
    defined(OPENREPORTS)
    _, said = published(own_server, "-p", "pss-baseline")
    made = counts(said)[0]
    published(own_server)
    _, said = published(own_server, "-p", "pss-baseline")
    assert counts(said) == (0, 0, 0, made)


def test_what_was_left_out_keeps_its_reports(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str
) -> None:
    defined(OPENREPORTS)
    published(own_server)
    before = found(own_server, shop)
    admin = own_server.admin
    admin.delete(pod("bare", shop))
    # Another namespace, and other labels.
    _, said = published(own_server, "-n", "default")
    assert counts(said)[2] == 0
    _, said = published(own_server, "-n", shop, "-l", "app=worker")
    removed = {"bare"} & (before.keys() - found(own_server, shop).keys())
    # That it is gone is known, whatever was judged: its report may go. The Deployment's stays.
    assert found(own_server, shop)["web"] == before["web"]
    assert removed == {"bare"}
    # Now everything: the report on the audit of some labels goes, too.
    published(own_server)
    assert {name.rpartition("-")[2] for name in map(_name, found(own_server, shop).values())}.isdisjoint({"audit"})


def _name(report: Mapping[str, Any]) -> str:
    return str(report["metadata"]["name"])


def grant(server: OwnServer, user: str, namespace: str, *rules: tuple[str, str, str]) -> Path:
    """A kubeconfig of a user who may do this in a namespace."""
    create = server.admin.must_create
    metadata = {"name": user, "namespace": namespace}
    granted = [
        {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
        for group, resources, verbs in rules
    ]
    create({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": granted})
    create(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": user},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
        }
    )
    return server.kubeconfig_for(user)


READING = (("", "pods", "list"), ("apps", "deployments", "list"))


def test_who_may_not_write_gets_the_report_and_one_line(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str, tmp_path: Path
) -> None:
    defined(OPENREPORTS)
    kubeconfig = grant(own_server, "reader", shop, *READING)
    report = tmp_path / "report.json"
    code, said = published(own_server, "-n", shop, "-o", f"json={report}", kubeconfig=kubeconfig)
    assert code == 2
    assert len(json.loads(report.read_text(encoding="utf-8"))["results"]) > 0
    (line,) = (line for line in said.splitlines() if line.startswith("--publish"))
    assert line.startswith(f"--publish: reports cannot be listed in namespace {shop}, so none were written: 403: ")
    assert found(own_server, shop) == {}

    kubeconfig = grant(own_server, "lister", shop, *READING, ("openreports.io", "reports", "list"))
    code, said = published(own_server, "-n", shop, kubeconfig=kubeconfig)
    assert code == 2
    (line,) = (line for line in said.splitlines() if line.startswith("--publish"))
    assert "and 3 more could not be created: 403: " in line
    assert found(own_server, shop) == {}


def test_the_documented_rights_are_enough(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str
) -> None:
    defined(OPENREPORTS)
    writing = ("openreports.io", "reports", "list create update delete")
    kubeconfig = grant(own_server, "publisher", shop, *READING, writing)
    for expected in ((4, 0, 0, 0), (0, 0, 0, 4)):
        code, said = published(own_server, "-n", shop, kubeconfig=kubeconfig)
        # Much could not be read, but all of what was judged was published.
        assert code == 1, said
        assert counts(said) == expected
    assert "privileged-container" in rules_of(found(own_server, shop)["web"])
    # Who may read less keeps what was judged by those who may read it.
    before = found(own_server, shop)["web"]
    less = grant(own_server, "less", shop, ("", "pods", "list"), writing)
    published(own_server, "-n", shop, kubeconfig=less)
    assert found(own_server, shop)["web"] == before
    # The rest goes.
    own_server.admin.delete(pod("bare", shop))
    _, said = published(own_server, "-n", shop, kubeconfig=kubeconfig)
    assert counts(said)[2] == 1


def test_a_dry_run_writes_nothing_and_says_what(
    own_server: OwnServer, defined: Callable[[ReportApi], None], shop: str
) -> None:
    defined(OPENREPORTS)
    code, said = published(own_server, "-n", shop, "--publish-dry-run")
    assert code == 1
    assert "(Deployment web)" in said
    assert counts(said)[0] == 5
    assert found(own_server, shop) == {}


def test_a_namespace_that_ends_is_no_failure(
    own_server: OwnServer, defined: Callable[[ReportApi], None], namespaces: Callable[..., str]
) -> None:
    defined(OPENREPORTS)
    name = namespaces("ending")
    own_server.admin.must_create(pod("bare", name))
    # Without a controller manager it stays like this.
    own_server.admin.request("DELETE", f"/api/v1/namespaces/{name}")
    code, said = published(own_server)
    assert code == 1
    assert "--publish" not in said
    assert found(own_server, name) == {}
