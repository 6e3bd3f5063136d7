"""The documented architecture, applied to the API server: an audit gives the verdicts of a scan of its manifests."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.model import Object
from kubeassay.sources.files import discover
from kubeassay.sources.manifests import read_bytes, read_file
from live.api_server import OwnServer, collection
from live.test_live_audit import run

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "merajutasa"
_MERGE = "application/merge-patch+json"
#: Kinds of files that tools read: no API server serves them.
_NO_API = {"ClusterConfig"}
#: What others need: namespaces before what is in them, accounts before pods.
_FIRST = ("Namespace", "ServiceAccount", "Role", "ClusterRole", "PersistentVolumeClaim", "LimitRange")


def declared(tree: Path) -> list[Object]:
    return [obj for file in discover((str(tree),)).files for obj in read_file(file).objects]


def definition(api_version: str, kind: str) -> dict[str, Any]:
    """A CustomResourceDefinition that takes whatever an object of a kind says."""
    group, _, version = api_version.partition("/")
    plural = collection({"apiVersion": api_version, "kind": kind, "metadata": {}}).rpartition("/")[2]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Kubernetes wants to be asked for groups of its own domain.
        "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


#: Namespaces that manifests need and that something else makes: Argo CD's own installation, or a person.
_MADE = {"conforming": ("argocd",), "violating": ("argocd", "integration", "research")}
#: What the API server refuses of violating/, with a part of its answer. None of it can be in any cluster.
_REFUSED = {
    "Namespace integration": 'Invalid value: "Restricted"',
    "HorizontalPodAutoscaler api-gateway/gateway-hpa": "could not find the requested resource",
    "PodSecurityPolicy merajutasa": "could not find the requested resource",
    "Deployment api-gateway/api-gateway": "`hostUsers` must be false to use `Unmasked`",
    "Pod integration/import": "must be less than or equal to cpu limit",
    "Job integration/backfill": "cannot unmarshal string into Go struct field PodSecurityContext",
    "Pod research/notebook": "cannot unmarshal string into Go struct field SecurityContext",
}
_DROPPED = "the API server does not store the field: --source tells it as drift"
_FIRST_OF = "said once for several objects, at the first of them in reading order, which is another in a cluster"
_IN_DEFAULT = "the policy states no namespace; in the cluster it is in the one that it was applied to, without pods"
_ON_APPLYING = "about applying the manifest again"
#: The findings of a scan of violating/ that an audit does not have, and the other way round: (rule, object) → why.
_ONLY_SCANNED = {
    ("dns-egress-missing", "NetworkPolicy default-deny-all"): _IN_DEFAULT,
    ("network-policy-without-namespace", "NetworkPolicy default-deny-all"): _IN_DEFAULT,
    ("documented-namespaces", "Namespace argocd"): _FIRST_OF,
    ("documented-roles", "ClusterRoleBinding developers"): _FIRST_OF,
    ("istio-control-plane-missing", "Namespace integration"): _FIRST_OF,
    ("dropped-security-field", "Deployment backend/backend"): _DROPPED,
    ("dropped-security-field", "Deployment frontend/frontend"): _DROPPED,
    ("replicas-stated-and-autoscaled", "Deployment data/database-proxy"): _ON_APPLYING,
    ("replicas-stated-and-autoscaled", "Deployment frontend/frontend"): _ON_APPLYING,
    ("secret-in-manifest", "Secret data/database-credentials"): "values of Secrets are not read from a cluster",
}
_ONLY_AUDITED = {
    ("documented-namespaces", "Namespace api-gateway"): _FIRST_OF,
    ("documented-roles", "ClusterRoleBinding ci"): _FIRST_OF,
    ("istio-control-plane-missing", "Namespace api-gateway"): _FIRST_OF,
}
#: How the API server writes a quantity, which a message repeats.
_REWRITTEN = {"to 0.1Ti,": "to 109951162777600m,"}
#: A kustomization that is not rendered changes the file that declares it, so findings about it stay at its live place.
_NOT_RENDERED = "Service api-gateway/api-gateway"


def apply(server: OwnServer, objects: Iterable[Object]) -> dict[str, str]:
    """Create objects as kubectl would; what the server refuses, with its answer."""
    wanted = [obj for obj in objects if obj.ref.kind not in _NO_API]
    kinds = {(obj.ref.api_version, obj.ref.kind) for obj in wanted if obj.ref.group not in BUILT_IN_GROUPS}
    for api_version, kind in sorted(kinds):
        server.admin.must_create(definition(api_version, kind))
    for api_version, kind in sorted(kinds):
        served = collection({"apiVersion": api_version, "kind": kind, "metadata": {}})
        server._wait_for("kube-apiserver", lambda served=served: server.admin.request("GET", served).ok)  # type: ignore[misc]
    order = {kind: number for number, kind in enumerate(_FIRST)}
    refused = {}
    for obj in sorted(wanted, key=lambda obj: order.get(obj.ref.kind, len(order))):
        value = copy.deepcopy(obj.value)
        if obj.ref.namespace is None and obj.ref.kind == "NetworkPolicy":
            value["metadata"]["namespace"] = "default"
        said = server.admin.create(value, strict=False)
        if said.status == 409 and obj.ref.kind == "Namespace":
            path = f"{collection(value)}/{obj.ref.name}"
            said = server.admin.request("PATCH", path, value, _MERGE)
        if not said.ok:
            refused[str(obj.ref)] = f"{said.status} {said.message}"
    return refused


def without(tree: Path, left_out: Callable[[Object], bool], into: Path) -> None:
    """A copy of a tree of manifests without some objects; what is left stands at its lines."""
    for file in discover((str(tree),)).files:
        parts = re.split(r"(?m)^(?=---)", Path(file.path).read_text(encoding="utf-8"))
        kept = ""
        for part in parts:
            objects = read_bytes(part.encode(), file.name).objects
            gone = bool(objects) and all(map(left_out, objects))
            assert gone or not any(map(left_out, objects)), f"{file.name}: one document holds several objects"
            kept += re.sub(r"(?m)^(?!---).*$", "", part) if gone else part
        target = into / Path(file.path).relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(kept, encoding="utf-8")


def prepared(server: OwnServer, variant: str, into: Path) -> dict[str, str]:
    """Apply a variant, and write what the server took, and what was in it before, as a tree of manifests; what it
    refused, with its answers."""
    tree = ROOT / variant / "production"
    objects = declared(tree)
    for name in _MADE[variant]:
        server.admin.must_create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # Those that a cluster begins with are made a moment after it answers.
    for name in ("kube-system", "kube-public", "kube-node-lease"):
        path = f"/api/v1/namespaces/{name}"
        server._wait_for("kube-apiserver", lambda path=path: server.admin.request("GET", path).ok)  # type: ignore[misc]
    refused = apply(server, objects)
    without(tree, lambda obj: str(obj.ref) in refused or obj.ref.kind in _NO_API, into)
    names = {obj.ref.name for obj in objects if obj.ref.kind == "Namespace" and str(obj.ref) not in refused}
    there = (item["metadata"] for item in server.admin.get("/api/v1/namespaces")["items"])
    (into / "made.yaml").write_text(
        "".join(
            f"---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {one['name']}\n"
            f"  labels: {json.dumps(one['labels'])}\n"
            for one in there
            if one["name"] not in names
        ),
        encoding="utf-8",
    )
    for obj in objects:
        if obj.ref.kind == "Application" and variant == "conforming":
            # As Argo CD says it, once everything is there. What violating/ names is in no tree, and never comes.
            path = f"{collection(obj.value)}/{obj.ref.name}"
            assert server.admin.request("PATCH", path, {"status": {"sync": {"status": "Synced"}}}, _MERGE).ok
    server._wait_for("kube-controller-manager", lambda: _is_settled(server))
    return refused


def _is_settled(server: OwnServer) -> bool:
    """Whether controllers have made what they make."""
    namespaces = server.admin.get("/api/v1/namespaces")["items"]
    accounts = {
        item["metadata"]["namespace"]
        for item in server.admin.get("/api/v1/serviceaccounts")["items"]
        if item["metadata"]["name"] == "default"
    }
    deployments = server.admin.get("/apis/apps/v1/deployments")["items"]
    return {item["metadata"]["name"] for item in namespaces} <= accounts and all(
        item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"] for item in deployments
    )


def judged(profile: str, report: Path, *arguments: str | Path) -> dict[str, Any]:
    run(*arguments, "-p", profile, "--kubernetes-version", "1.28", "-q", "-o", f"json={report}")
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def name(finding: Mapping[str, Any]) -> tuple[str, str]:
    """(rule, object) of a finding."""
    of = finding["object"]
    where = f"{of['namespace']}/" if of["namespace"] else ""
    return finding["rule"], f"{of['kind']} {where}{of['name']}"


def verdict(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = ("outcome", "severity", "path", "container", "message")
    return (*name(finding), *(finding[key] for key in keys), *finding["controls"])


def place(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    excerpt = finding["excerpt"]
    return (*name(finding), *finding["location"].values(), excerpt and excerpt["text"])


def unjudged(report: Mapping[str, Any]) -> set[tuple[str, str | None, str]]:
    """What was not judged, but for what is about files."""
    return {
        (entry["reason"], entry["rule"], entry["detail"])
        for entry in report["notEvaluated"]
        if entry["reason"] != "not-rendered"
    }


def without_names(report: Mapping[str, Any], others: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    return [finding for finding in report["results"] if name(finding) not in others]


def in_order(what: Callable[[dict[str, Any]], Any], findings: Iterable[dict[str, Any]]) -> list[Any]:
    return sorted(map(what, findings), key=str)


@pytest.mark.parametrize("variant", ["conforming", "violating"])
def test_an_audit_gives_the_verdicts_of_the_manifests(
    start_server: Callable[..., OwnServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    violating = variant == "violating"
    monkeypatch.chdir(tmp_path)
    tree = Path("tree")
    server = start_server()
    server.start_controllers()
    refused = prepared(server, variant, tree)
    assert refused.keys() == (_REFUSED.keys() if violating else set())
    assert all(_REFUSED[ref] in said for ref, said in refused.items()), refused

    only_scanned, only_audited = (set(_ONLY_SCANNED), set(_ONLY_AUDITED)) if violating else (set(), set())
    for profile in ("merajutasa/production", "strict", "recommended"):
        scanned = judged(profile, tmp_path / "scan.json", "scan", tree)
        audited = judged(profile, tmp_path / "audit.json", "audit", "--kubeconfig", server.kubeconfig)
        left = _same_verdicts(scanned, audited, only_scanned, only_audited)
        if profile == "merajutasa/production":
            # Every difference that is named is one.
            assert left == (only_scanned, only_audited)
            assert len(audited["results"]) > 300 if violating else not audited["results"]
        mapped = judged(profile, tmp_path / "mapped.json", "audit", "--kubeconfig", server.kubeconfig, "--source", tree)
        _at_their_lines(scanned, audited, mapped, only_scanned, only_audited)
        _without_drift(mapped["drift"], violating=violating)
    if not violating:
        _drift_is_found(server, tree, tmp_path)


def _same_verdicts(
    scanned: dict[str, Any], audited: dict[str, Any], only_scanned: set[Any], only_audited: set[Any]
) -> tuple[set[Any], set[Any]]:
    """The same findings, with the same words, in the same fields of the same objects, but for those that are named;
    and the same that was not judged. Those of the named that there are."""
    from_manifests, from_cluster = without_names(scanned, only_scanned), without_names(audited, only_audited)
    for finding in from_manifests:
        for written, rewritten in _REWRITTEN.items():
            finding["message"] = finding["message"].replace(written, rewritten)
    assert in_order(verdict, from_cluster) == in_order(verdict, from_manifests)
    assert unjudged(audited) == unjudged(scanned)
    return only_scanned & set(map(name, scanned["results"])), only_audited & set(map(name, audited["results"]))


def _at_their_lines(
    scanned: dict[str, Any], audited: dict[str, Any], mapped: dict[str, Any], *others: set[Any]
) -> None:
    """The places: those of the API, or with --source the manifests' lines, with nothing else that differs."""
    for finding in audited["results"]:
        assert finding["location"]["file"].startswith("clusters/tests/")
        assert finding["object"]["apiPath"].startswith("/api")
    assert in_order(verdict, mapped["results"]) == in_order(verdict, audited["results"])

    def identity(finding: dict[str, Any]) -> Any:
        return finding["fingerprint"]

    assert in_order(identity, mapped["results"]) == in_order(identity, audited["results"])
    only_scanned, only_audited = others
    live = {verdict(f) for f in mapped["results"] if not f["location"]["file"].startswith("tree/")}
    assert {one[1] for one in live} <= {_NOT_RENDERED}
    in_tree = [f for f in without_names(mapped, only_audited) if verdict(f) not in live]
    rendered = [f for f in without_names(scanned, only_scanned) if verdict(f) not in live]
    assert in_order(place, in_tree) == in_order(place, rendered)


def _without_drift(drift: dict[str, Any], *, violating: bool) -> None:
    """Nothing of what the server adds is drift; what it does not store is."""
    assert (drift["missing"], drift["undeclared"]) == ([], [])
    assert {(changed["object"]["name"], changed["path"]) for changed in drift["changed"]} == (
        {
            ("backend", "spec.template.spec.securityContext.runAsNonroot"),
            ("frontend", "spec.template.spec.containers[0].runAsNonRoot"),
            ("frontend", "spec.template.spec.containers[0].securityContext.fsGroup"),
        }
        if violating
        else set()
    )
    # Kinds that the smaller profiles do not need are not read.
    assert {entry["reason"] for entry in drift["notCompared"]} - {"not-read"} == (
        {"not-rendered"} if violating else set()
    )


def _drift_is_found(server: OwnServer, tree: Path, folder: Path) -> None:
    """Somebody changes the cluster by hand."""
    frontend = "/apis/apps/v1/namespaces/frontend/deployments/frontend"
    container = server.admin.get(frontend)["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["readOnlyRootFilesystem"] = False
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert server.admin.request("PATCH", frontend, patch, _MERGE).ok
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny-all", "namespace": "backend"},
    }
    assert server.admin.delete(policy).ok
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-hand", "namespace": "frontend"}}
    server.admin.must_create(settings)
    report = judged(
        "merajutasa/production", folder / "drift.json", "audit", "--kubeconfig", server.kubeconfig, "--source", tree
    )
    (changed,) = report["drift"]["changed"]
    field = "spec.template.spec.containers[0].securityContext.readOnlyRootFilesystem"
    assert (changed["object"]["name"], changed["path"]) == ("frontend", field)
    assert changed["detail"] == f"{field} is true in the manifest, and false in the cluster"
    file, line = changed["location"]["file"], changed["location"]["startLine"]
    assert "readOnlyRootFilesystem: true" in Path(file).read_text(encoding="utf-8").splitlines()[line - 1]
    missing = [(one["object"]["kind"], one["object"]["namespace"]) for one in report["drift"]["missing"]]
    assert missing == [("NetworkPolicy", "backend")]
    assert [one["file"] for one in report["drift"]["undeclared"]] == [
        "clusters/tests/frontend/core.ConfigMap/by-hand.yaml"
    ]
    # What breaks the rule is not in the manifest: the finding stays in the cluster.
    (finding,) = (one for one in report["results"] if one["rule"] == "read-only-root-filesystem")
    assert finding["location"]["file"] == "clusters/tests/frontend/apps.Deployment/frontend.yaml"
    assert finding["related"][0]["location"] == changed["location"]
