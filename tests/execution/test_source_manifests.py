"""``--source``: findings of a cluster at its manifests, and in what the cluster differs from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit import LIBRARY, give_program, objects_in, run_command
from kubeassay.execution.audit import everything_wanted
from kubeassay.model.unread import Unread
from kubeassay.sources.snapshot import Snapshot, live_file, write

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: app
          image: registry.example/app:1.0
          securityContext:
            privileged: true
        - name: log
          image: registry.example/log:1.0
"""
SHOP = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
PLACE = "clusters/c/shop/apps.Deployment/web.yaml"


@dataclass
class Compared:
    """What ``scan SNAPSHOT --source`` says. ``folder``: what it was run in."""

    report: dict[str, Any]
    code: int
    said: str

    @property
    def drift(self) -> dict[str, Any]:
        found: dict[str, Any] = self.report["drift"]
        return found

    def places(self, rule: str) -> dict[tuple[str, str | None], tuple[str, int, int]]:
        """(object, container) → file, line, column."""
        return {
            (finding["object"]["name"], finding["container"]): (
                finding["location"]["file"],
                finding["location"]["startLine"],
                finding["location"]["startColumn"],
            )
            for finding in self.report["results"]
            if finding["rule"] == rule
        }

    def related(self, rule: str) -> set[tuple[str, str, int]]:
        return {
            (one["message"], one["location"]["file"], one["location"]["startLine"])
            for finding in self.report["results"]
            if finding["rule"] == rule
            for one in finding["related"]
        }

    def names(self, sort: str) -> list[tuple[str, str | None, str]]:
        found = (one["object"] for one in self.drift[sort])
        return [(one["kind"], one["namespace"], one["name"]) for one in found]

    def reasons(self) -> dict[str, str]:
        return {one["reason"]: one["detail"] for one in self.drift["notCompared"]}


Compare = Callable[..., Compared]


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Judges a cluster (``live``: YAML of its objects) with manifests (file → text) as its source."""
    monkeypatch.chdir(tmp_path)

    def run(
        live: str, files: Mapping[str, str], *arguments: str, profile: str = "pss-restricted", **header: Any
    ) -> Compared:
        shutil.rmtree(tmp_path / "src", ignore_errors=True)
        for name, text in files.items():
            target = tmp_path / "src" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        wanted = everything_wanted(LIBRARY.rules.values())
        objects = [json.loads(json.dumps(obj.value)) for obj in objects_in(live)]
        kinds = {(obj["apiVersion"], obj["kind"]) for obj in objects} | {
            *(("v1", kind) for kind in ("Namespace", "Service", "ConfigMap", "Secret", "Pod", "ServiceAccount")),
            *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet")),
        }
        read = sorted(f"{kind}.{version.rpartition('/')[0]}" if "/" in version else kind for version, kind in kinds)
        snapshot = Snapshot(
            "c",
            "v1.33.1",
            files=dict(sorted(live_file("c", obj) for obj in objects)),
            **{"read": read, "asked": tuple(sorted(wanted.kinds)), **header},
        )
        Path("s.jsonl").write_bytes(write(snapshot, "s.jsonl"))
        done = run_command(
            "scan", "s.jsonl", "-p", profile, "--source", "src", "-o", "json=r.json", "-o", "sarif=r.sarif", *arguments
        )
        report = json.loads(Path("r.json").read_text(encoding="utf-8"))
        return Compared(report, done.exit_code, done.stderr)

    return run


def test_a_finding_stands_at_the_line_of_its_manifest(compare: Compare) -> None:
    """Containers in another order, defaults, and what controllers write."""
    proxy = "        - {name: proxy, image: 'proxy:1', securityContext: {privileged: true}}\n"
    live = WEB.replace("  replicas: 2\n", "  paused: false\n  replicas: 2\n")
    live = live.replace("        - name: app\n", f"{proxy}        - name: app\n")
    found = compare(f"{SHOP}---\n{live}", {"web.yaml": f"# A comment.\n---\n{SHOP}---\n{WEB}"})
    privileged = found.places("privileged-container")
    assert privileged["web", "app"] == ("src/web.yaml", 18, 25)
    # Who has put it there is not known, and the manifest leaves it open: the list that it is in.
    assert privileged["web", "proxy"] == ("src/web.yaml", 14, 7)
    assert ("the object in the cluster", PLACE, 19) in found.related("privileged-container")
    assert any("does not state it" in message for message, _, _ in found.related("privileged-container"))
    # A field that neither has: the nearest parent.
    assert found.places("allow-privilege-escalation")["web", "app"] == ("src/web.yaml", 17, 11)
    assert found.places("allow-privilege-escalation")["web", "log"] == ("src/web.yaml", 19, 11)
    assert found.drift["changed"] == found.drift["missing"] == found.drift["notCompared"] == []
    excerpts = {f["excerpt"]["text"] for f in found.report["results"] if f["rule"] == "privileged-container"}
    assert "            privileged: true" in excerpts
    log = json.loads(Path("r.sarif").read_text(encoding="utf-8"))
    uris = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in log["runs"][0]["results"]
    }
    assert uris == {"src/web.yaml"}


def test_identities_are_those_of_the_cluster_and_lines_those_of_the_manifest(compare: Compare) -> None:
    found = compare(WEB, {"web.yaml": WEB})
    mapped = {f["fingerprint"]: f["lineHash"] for f in found.report["results"]}
    run_command("scan", "s.jsonl", "-p", "pss-restricted", "-o", "json=live.json")
    live = json.loads(Path("live.json").read_text(encoding="utf-8"))
    assert {f["fingerprint"] for f in live["results"]} == mapped.keys()
    run_command("scan", "src", "-p", "pss-restricted", "-o", "json=scan.json")
    scanned = json.loads(Path("scan.json").read_text(encoding="utf-8"))
    assert {f["fingerprint"]: f["lineHash"] for f in scanned["results"]} == mapped
    assert [f["fix"] for f in scanned["results"]] == [f["fix"] for f in found.report["results"]]


def test_a_field_that_says_something_else_is_drift(compare: Compare) -> None:
    found = compare(WEB, {"web.yaml": WEB.replace("privileged: true", "privileged: false")})
    assert found.places("privileged-container")["web", "app"] == (PLACE, 14, 23)
    assert ("the manifest that declares the object says something else here (drift)", "src/web.yaml", 12) in (
        found.related("privileged-container")
    )
    (changed,) = found.drift["changed"]
    path = "spec.template.spec.containers[0].securityContext.privileged"
    assert (changed["path"], changed["detail"]) == (path, f"{path} is false in the manifest, and true in the cluster")
    assert (changed["location"]["file"], changed["location"]["startLine"]) == ("src/web.yaml", 12)
    assert changed["file"] == PLACE
    assert "changed: src/web.yaml:12: Deployment shop/web" in found.said
    assert "drift from src: 0 missing, 1 changed, 0 undeclared, 0 not compared" in found.said


def test_a_field_that_the_cluster_lost_is_drift(compare: Compare) -> None:
    declared = WEB.replace("privileged: true", "privileged: true\n            allowPrivilegeEscalation: false")
    found = compare(WEB, {"web.yaml": declared})
    assert found.places("allow-privilege-escalation")["web", "app"][0] == PLACE
    assert [one["path"].rpartition(".")[2] for one in found.drift["changed"]] == ["allowPrivilegeEscalation"]


def test_what_is_not_there_is_missing_where_it_was_read(compare: Compare) -> None:
    other = WEB.replace("name: web", "name: other")
    assert compare(SHOP, {"a.yaml": other}).names("missing") == [("Deployment", "shop", "other")]
    for gap in (
        Unread("apps", "Deployment", None, "forbidden", "403"),
        Unread("apps", "Deployment", "shop", "forbidden", "403"),
        Unread("apps", "", None, "forbidden", "403"),
        Unread("apps", "Deployment", None, "forbidden", "403", ("pay",)),
    ):
        found = compare(SHOP, {"a.yaml": other}, unread=[gap])
        assert found.names("missing") == []
        assert "could not be read" in found.reasons()["forbidden"]
    for gap in (
        Unread("apps", "Deployment", "pay", "forbidden", "403"),
        Unread("apps", "StatefulSet", None, "forbidden", "403"),
        Unread("apps", "Deployment", None, "forbidden", "403", ("shop",)),
    ):
        assert compare(SHOP, {"a.yaml": other}, unread=[gap]).names("missing") == [("Deployment", "shop", "other")]


def test_what_was_not_asked_for_is_not_missing(compare: Compare) -> None:
    thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t, namespace: shop}\n"
    found = compare(SHOP, {"a.yaml": WEB, "b.yaml": thing}, namespaces=("pay",))
    assert found.drift["missing"] == []
    assert "no API for Thing" in compare(SHOP, {"b.yaml": thing}).reasons()["not-served"]
    two = f"{thing}---\n{thing.replace('name: t', 'name: u')}"
    said = "the cluster has no API for Thing (example.com/v1): Thing shop/t (src/b.yaml:3) and 1 more"
    assert compare(SHOP, {"b.yaml": two}).reasons() == {"not-served": said}
    few = tuple(sorted(everything_wanted(LIBRARY.rules.values()).kinds - {"CustomResource"}))
    assert "no rule of the profile needs Thing" in compare(SHOP, {"b.yaml": thing}, asked=few).reasons()["not-read"]
    # A snapshot that was made for other rules.
    found = compare(SHOP, {"a.yaml": WEB}, asked=("Pod",), read=["Pod"])
    assert found.drift["missing"] == []
    assert "Deployment could not be read" in found.reasons()["not-read"]


def test_two_manifests_of_one_object_are_ambiguous(compare: Compare) -> None:
    found = compare(WEB, {"one.yaml": WEB, "two.yaml": WEB.replace("true", "false")})
    assert found.places("privileged-container")["web", "app"][0] == PLACE
    assert found.drift["changed"] == []
    said = found.reasons()["ambiguous"]
    assert said == "Deployment shop/web is declared 2 times (src/one.yaml:3, src/two.yaml:3)"


def test_a_manifest_without_a_namespace(compare: Compare) -> None:
    bare = WEB.replace(", namespace: shop", "")
    found = compare(WEB, {"web.yaml": bare})
    assert found.places("privileged-container")["web", "app"] == ("src/web.yaml", 12, 25)
    assert all("this is the only one of its name" in message for message, _, _ in found.related("privileged-container"))
    both = f"{WEB}---\n{WEB.replace('namespace: shop', 'namespace: pay')}"
    # As kubectl -n.
    found = compare(both, {"web.yaml": bare}, namespaces=("pay",))
    assert {(f["object"]["namespace"], f["location"]["file"]) for f in found.report["results"]} == {
        ("pay", "src/web.yaml")
    }
    assert not any("only one" in message for message, _, _ in found.related("privileged-container"))
    found = compare(both, {"web.yaml": bare})
    assert {file for file, _, _ in found.places("privileged-container").values()} != {"src/web.yaml"}
    assert "states no namespace, and there are several in the cluster (pay, shop)" in found.reasons()["ambiguous"]
    # What another manifest states is not its.
    found = compare(both, {"web.yaml": bare, "pay.yaml": WEB.replace("namespace: shop", "namespace: pay")})
    assert {one["location"]["file"] for one in found.report["results"]} == {"src/web.yaml", "src/pay.yaml"}
    assert found.drift["notCompared"] == []


def test_argo_cd_says_where_a_folder_goes(compare: Compare) -> None:
    application = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  source: {repoURL: 'https://git.example/x', path: apps/web}
  destination: {server: 'https://kubernetes.default.svc', namespace: pay}
"""
    both = f"{WEB}---\n{WEB.replace('namespace: shop', 'namespace: pay')}---\n{application}"
    instance = "{name: web, labels: {app.kubernetes.io/instance: other}}"
    bare = WEB.replace("{name: web, namespace: shop}", instance)
    marked = "{name: web, namespace: pay, labels: {app.kubernetes.io/instance: web}}"
    tracked = both.replace("{name: web, namespace: pay}", marked)
    found = compare(tracked, {"apps/web/web.yaml": bare})
    files = {(f["object"]["namespace"], f["location"]["file"]) for f in found.report["results"]}
    assert files == {("pay", "src/apps/web/web.yaml"), ("shop", PLACE)}
    # The mark of Argo CD is no drift.
    assert found.drift["changed"] == []


KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [web.yaml]\n"


def test_what_a_kustomization_makes_of_a_manifest_is_not_guessed(compare: Compare) -> None:
    overlay = KUSTOMIZATION.replace("web.yaml", "../base") + "namePrefix: prod-\n"
    files = {"base/web.yaml": WEB, "base/kustomization.yaml": KUSTOMIZATION, "prod/kustomization.yaml": overlay}
    found = compare(f"{SHOP}---\n{WEB}", {**files, "shop.yaml": SHOP})
    assert found.places("privileged-container")["web", "app"][0] == PLACE
    assert found.drift["missing"] == found.drift["changed"] == found.drift["undeclared"] == []
    details = [one["detail"] for one in found.drift["notCompared"]]
    assert any("src/base/web.yaml: src/prod/kustomization.yaml makes other objects" in detail for detail in details)
    assert any("what nothing declares is not listed" in detail for detail in details)


def test_a_kustomization_that_only_lists_changes_nothing(compare: Compare) -> None:
    found = compare(WEB, {"web.yaml": WEB, "kustomization.yaml": KUSTOMIZATION})
    assert found.places("privileged-container")["web", "app"][0] == "src/web.yaml"
    assert found.drift["notCompared"] == []
    # One that lists what is not here may have more to say.
    listing = KUSTOMIZATION.replace("web.yaml", "web.yaml, 'https://example.com/more'")
    assert "not-rendered" in compare(WEB, {"web.yaml": WEB, "kustomization.yaml": listing}).reasons()


def test_what_nothing_declares(compare: Compare) -> None:
    def of(kind: str, name: str, more: str = "", version: str = "v1") -> str:
        return f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop{more}}}\n"

    owner = ", ownerReferences: [{apiVersion: example.com/v1, kind: T, name: t, uid: u}]"
    helm = ", labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: db}"
    flux = ", labels: {kustomize.toolkit.fluxcd.io/name: apps}"
    issued = ", annotations: {cert-manager.io/certificate-name: web}"
    argo = ", annotations: {argocd.argoproj.io/tracking-id: 'infra:/ConfigMap:shop/argo'}"
    sets = "spec: {volumeClaimTemplates: [{metadata: {name: data}}]}\n"
    live = (
        WEB
        + of("ConfigMap", "left-over")
        + of("ConfigMap", "kube-root-ca.crt")
        + of("ServiceAccount", "default")
        + of("ConfigMap", "owned", owner)
        + of("ConfigMap", "chart", helm)
        + of("ConfigMap", "argo", argo)
        + of("ConfigMap", "flux", flux)
        + of("Secret", "certificate", issued)
        + of("Secret", "sh.helm.release.v1.db.v1")
        + of("StatefulSet", "db", version="apps/v1")
        + sets
        + of("PersistentVolumeClaim", "data-db-0")
        + of("PersistentVolumeClaim", "data-db-x")
        + f"---\n{SHOP}---\n{WEB.replace('namespace: shop', 'namespace: pay')}"
    )
    declared = WEB + of("StatefulSet", "db", version="apps/v1") + sets
    found = compare(live, {"a.yaml": f"{declared}---\n{SHOP}"})
    assert found.names("undeclared") == [
        ("ConfigMap", "shop", "left-over"),
        ("PersistentVolumeClaim", "shop", "data-db-x"),
    ]
    details = {one["detail"] for one in found.drift["notCompared"] if one["reason"] == "elsewhere"}
    assert details == {
        "ConfigMap shop/chart is deployed by Helm's release db, which is not among the manifests",
        "ConfigMap shop/argo is deployed by Argo CD's Application infra, which is not among the manifests",
        "ConfigMap shop/flux is deployed by Flux's Kustomization apps, which is not among the manifests",
    }
    # Only in namespaces that are declared.
    assert compare(live, {"a.yaml": declared}).drift["undeclared"] == []


def test_values_of_secrets_are_not_compared_or_shown(compare: Compare) -> None:
    secret = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop, labels: {a: b}}\n"
        "stringData: {password: swordfish7zebra}\n"
    )
    env = "          env: [{name: DB_PASSWORD, value: %s}]\n"
    live = WEB + env % "battery9staple" + "---\n" + secret.replace("a: b", "a: c")
    found = compare(live, {"web.yaml": f"{WEB}{env % 'swordfish7zebra'}---\n{secret}"}, profile="strict")
    text = Path("r.json").read_text(encoding="utf-8") + Path("r.sarif").read_text(encoding="utf-8") + found.said
    assert "swordfish7" not in text
    assert "battery9staple" not in text
    assert [one["path"] for one in found.drift["changed"]] == ["metadata.labels.a"]
    assert found.places("secret-in-environment")["web", "log"][0] == "src/web.yaml"


def test_replicas_that_an_autoscaler_sets_are_no_drift(compare: Compare) -> None:
    autoscaler = (
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: shop}\n"
        "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n"
    )
    live = WEB.replace("replicas: 2", "replicas: 5")
    assert [one["path"] for one in compare(live, {"web.yaml": WEB}).drift["changed"]] == ["spec.replicas"]
    assert compare(live + autoscaler, {"web.yaml": WEB + autoscaler}).drift["changed"] == []


def test_generated_names(compare: Compare) -> None:
    spec = "spec: {template: {spec: {containers: [{name: app, image: 'a:1', securityContext: {privileged: true}}]}}}\n"
    manifest = f"apiVersion: batch/v1\nkind: Job\nmetadata: {{generateName: load-, namespace: shop}}\n{spec}"
    live = manifest.replace("generateName: load-", "name: load-x2z4k, generateName: load-")
    other = manifest.replace("generateName: load-", "name: load-other")
    found = compare(f"{live}---\n{other}", {"job.yaml": manifest})
    assert found.places("privileged-container") == {
        ("load-x2z4k", "app"): ("src/job.yaml", 4, 95),
        ("load-other", "app"): ("clusters/c/shop/batch.Job/load-other.yaml", 13, 23),
    }
    assert compare(SHOP, {"job.yaml": manifest}).drift["missing"] == []


def test_other_versions_of_an_api_are_not_compared_by_field(compare: Compare) -> None:
    declared = WEB.replace("apps/v1", "apps/v1beta1").replace("replicas: 2", "replicas: 3")
    differs = declared.replace("privileged: true", "privileged: false")
    messages = {message for message, _, _ in compare(WEB, {"web.yaml": differs}).related("privileged-container")}
    assert "the manifest that declares the object, in another version of its API" in messages
    found = compare(WEB, {"web.yaml": declared})
    assert found.drift["changed"] == []
    assert "declared as apps/v1beta1, and was read as apps/v1" in found.reasons()["other-version"]
    assert found.places("privileged-container")["web", "app"][0] == "src/web.yaml"


def test_a_manifest_that_cannot_be_read_is_said(compare: Compare) -> None:
    found = compare(WEB, {"web.yaml": WEB, "broken.yaml": "a: [\n", "shop.yaml": SHOP})
    assert "src/broken.yaml:2" in found.reasons()["not-readable"]
    assert "not compared: src/broken.yaml:2" in found.said
    # The report is about the cluster.
    assert found.report["errors"] == []


COMPLIANT = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {colour: blue}
"""


@pytest.mark.parametrize(
    ("files", "arguments", "code"),
    [
        ({"a.yaml": COMPLIANT}, ("--fail-on-drift",), 0),
        ({"a.yaml": COMPLIANT.replace("blue", "red")}, (), 0),
        ({"a.yaml": COMPLIANT.replace("blue", "red")}, ("--fail-on-drift",), 1),
        ({"a.yaml": COMPLIANT, "b.yaml": COMPLIANT.replace("settings", "more")}, ("--fail-on-drift",), 1),
        ({"a.yaml": COMPLIANT, "b.yaml": SHOP}, ("--fail-on-drift",), 1),
        # What was not compared does not pass.
        ({"a.yaml": COMPLIANT, "b.yaml": COMPLIANT}, ("--fail-on-drift",), 3),
        ({"a.yaml": COMPLIANT, "b.yaml": "a: ["}, ("--fail-on-drift",), 3),
        ({"a.yaml": COMPLIANT, "b.yaml": "a: ["}, ("--fail-on-drift", "--allow-incomplete"), 0),
        ({"a.yaml": COMPLIANT, "b.yaml": "a: ["}, (), 0),
    ],
)
def test_exit_codes(compare: Compare, files: dict[str, str], arguments: tuple[str, ...], code: int) -> None:
    assert compare(COMPLIANT, files, *arguments).code == code


def test_wrong_usage(tmp_path: Path) -> None:
    manifest = tmp_path / "a.yaml"
    manifest.write_text(COMPLIANT, encoding="utf-8")
    done = run_command("scan", str(manifest), "--source", str(tmp_path))
    assert (done.exit_code, "--source is for a cluster" in done.stderr) == (2, True)
    done = run_command("audit", "--fail-on-drift")
    assert (done.exit_code, "--fail-on-drift needs --source" in done.stderr) == (2, True)
    done = run_command("audit", "--source", str(tmp_path / "none"))
    assert (done.exit_code, "does not exist" in done.stderr) == (2, True)


def test_a_report_of_it_is_kept(compare: Compare) -> None:
    compare(WEB, {"web.yaml": WEB.replace("replicas: 2", "replicas: 3")})
    done = run_command("report", "r.json", "--format", "json")
    assert done.stdout_bytes == Path("r.json").read_bytes()


BASE = WEB.replace(", namespace: shop", "")
OVERLAY = "resources: [../base]\nnamespace: shop\npatches: [{path: more.yaml}]\n"
MORE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
"""


def test_an_overlay_as_source_puts_findings_at_the_lines_of_its_base(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_program("kustomize", monkeypatch)
    files = {
        "base/kustomization.yaml": "resources: [web.yaml]\n",
        "base/web.yaml": BASE,
        "shop/kustomization.yaml": OVERLAY,
        "shop/more.yaml": MORE,
    }
    found = compare(SHOP + "---\n" + WEB, files, "--render")
    # The line of the base, though the overlay is what is deployed.
    assert found.places("privileged-container") == {("web", "app"): ("src/base/web.yaml", 12, 25)}
    assert "not-rendered" not in found.reasons()
    (changed,) = found.drift["changed"]
    assert (changed["location"]["file"], changed["location"]["startLine"]) == ("src/shop/more.yaml", 5)
    # Without rendering, nothing is known of it.
    plain = compare(SHOP + "---\n" + WEB, files, "--no-render")
    assert plain.places("privileged-container") == {("web", "app"): (PLACE, 14, 23)}
    assert "not-rendered" in plain.reasons()


def test_what_applications_deploy_is_a_source(compare: Compare) -> None:
    app = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  destination: {server: https://kubernetes.default.svc, namespace: shop}
  source: {repoURL: https://git.example/shop, path: web}
"""
    found = compare(
        SHOP + "---\n" + WEB,
        {"app.yaml": app, "web/web.yaml": BASE},
        "--render",
        "--follow",
        "argocd",
        "--repo",
        "https://git.example/shop=src",
    )
    assert found.places("privileged-container") == {("web", "app"): ("src/web/web.yaml", 12, 25)}
    assert found.drift["missing"] == []


def test_following_without_a_source_is_wrong_usage(compare: Compare) -> None:
    compare(SHOP, {"web.yaml": WEB})
    done = run_command("scan", "s.jsonl", "--render", "--follow", "argocd")
    assert done.exit_code == 2
    assert "about what --source names" in str(done.exception)
