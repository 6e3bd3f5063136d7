"""Manifests are judged by objects that are not judged themselves: nothing passes or fails but by both together."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kit import failing, plan_of, profile_of, run_command
from kubeassay import content
from kubeassay.engine.plan import Plan
from kubeassay.execution.audit import wanted
from kubeassay.execution.scan import scan
from kubeassay.execution.surroundings import surroundings
from kubeassay.model import Exception_, Result, SubjectMatch, Target
from kubeassay.model.unread import Unread
from kubeassay.sources.files import UsageError, discover, display_name
from kubeassay.sources.object_store import ObjectStore
from kubeassay.sources.snapshot import Snapshot, live_file, write

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: app, image: "registry.example/web:1.0"}]
"""
NAMESPACE = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n"
DENY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
"""
ALLOW = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}
---
"""
WIDE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: wide}
rules:
  - {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [escalate, update]}
---
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: wide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wide}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
---
"""
ISOLATION = profile_of("default-deny-ingress-missing")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "platform").mkdir()


def judged(
    plan: Plan, own: str, around: str, *, paths: Sequence[str] = ("platform",), processes: int | None = None
) -> Result:
    Path("app/own.yaml").write_text(own)
    if around:
        Path("platform/around.yaml").write_text(around)
    by = surroundings(paths, max_file_size=2**20)
    plan, discovery = by.beside(plan, discover(["app"]))
    return scan(plan, discovery, Target("manifests", "app", context=by.names), processes=processes)


def found(result: Result) -> set[tuple[str, str, str]]:
    """(rule, object, file) of what fails."""
    return {(f.rule, str(f.object), f.location.file) for f in failing(result)}


def snapshot(plan: Plan, objects: Iterable[dict[str, Any]], unread: Iterable[Unread] = (), **more: Any) -> str:
    files = ObjectStore.of(dict(live_file("prod", obj) for obj in objects))
    asked = more.pop("asked", tuple(wanted(plan).kinds))
    Path("prod.snapshot").write_bytes(
        write(Snapshot("prod", "v1.33.1", files=files, asked=asked, unread=list(unread), **more), "prod.snapshot")
    )
    return "prod.snapshot"


def test_a_policy_elsewhere_denies() -> None:
    plan = plan_of(ISOLATION)
    missing = {("default-deny-ingress-missing", "Deployment shop/web", "app/own.yaml")}
    assert found(judged(plan, WEB, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")) == missing
    assert found(judged(plan, WEB, DENY)) == set()


def test_a_namespace_elsewhere_without_a_policy_is_found_at_the_workload_in_it() -> None:
    """The namespace is not judged, and still its pods accept everything."""
    result = judged(plan_of(ISOLATION), WEB, NAMESPACE)
    assert found(result) == {("default-deny-ingress-missing", "Deployment shop/web", "app/own.yaml")}
    (finding,) = failing(result)
    assert finding.path == "metadata.namespace"
    assert finding.location.start_line == 3
    assert [related.location.file for related in finding.related][:1] == ["platform/around.yaml"]


def test_a_namespace_elsewhere_of_others_is_not_reported() -> None:
    others = NAMESPACE.replace("shop", "bank") + WEB.replace("shop", "bank")
    assert found(judged(plan_of(ISOLATION), DENY + WEB, others)) == set()


def test_what_is_judged_replaces_what_was_there() -> None:
    """The pull request opens the policy that the cluster has."""
    result = judged(plan_of(ISOLATION), ALLOW + WEB, NAMESPACE + DENY)
    assert {rule for rule, _, _ in found(result)} == {"default-deny-ingress-missing"}
    assert found(judged(plan_of(ISOLATION), DENY + WEB, NAMESPACE + ALLOW)) == set()
    assert not any(entry.reason == "ambiguous" for entry in result.not_evaluated)


def test_another_version_of_the_api_is_the_same_object() -> None:
    hpa = """\
apiVersion: autoscaling/{version}
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: shop}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}, maxReplicas: {most}}}
---
"""
    plan = plan_of("recommended")
    alone = judged(plan, WEB + "---\n" + hpa.format(version="v2", most=3), "a: b")
    both = judged(plan, WEB + "---\n" + hpa.format(version="v2", most=3), hpa.format(version="v1", most=1))
    assert found(both) == found(alone)


def test_a_binding_elsewhere_makes_a_role_dangerous_which_is_found_at_the_role() -> None:
    plan = plan_of(profile_of("escalation-path"))
    assert found(judged(plan, WIDE, "a: b")) == set()
    result = judged(plan, WIDE, BINDING)
    assert found(result) == {("escalation-path", "ClusterRole wide", "app/own.yaml")}
    (finding,) = failing(result)
    assert "ClusterRoleBinding wide" in finding.message
    assert finding.related[0].location.file == "platform/around.yaml"


def test_what_is_dangerous_elsewhere_alone_is_not_reported() -> None:
    result = judged(plan_of("strict"), DENY, WIDE + BINDING)
    assert {file for _, _, file in found(result)} <= {"app/own.yaml"}
    assert not any(rule == "escalation-path" for rule, _, _ in found(result))


def test_a_service_account_elsewhere_is_that_of_the_pod() -> None:
    plan = plan_of(profile_of("service-account-token-automount"))
    account = "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: web, namespace: shop}}, {more}}}"
    mounted = account.format(more="automountServiceAccountToken: true")
    refused = account.format(more="automountServiceAccountToken: false")
    assert {rule for rule, _, _ in found(judged(plan, WEB, mounted))} == {"service-account-token-automount"}
    assert found(judged(plan, WEB, refused)) == set()
    # The pull request's own account is the one that will be there.
    assert found(judged(plan, WEB + "---\n" + mounted, refused)) != set()


@pytest.mark.parametrize("processes", [1, 2])
def test_counts_are_of_what_is_judged(processes: int) -> None:
    pods = "---\n".join(WEB.replace("name: web,", f"name: web-{number},") for number in range(1_500))
    plan = plan_of("recommended", show=["pass"])
    alone = scan(plan, discover([_written("app/own.yaml", pods)]), Target("manifests", "app"), processes=processes)
    around = NAMESPACE + pods.replace("shop", "bank") + WIDE
    for number in range(4):
        Path(f"platform/{number}.yaml").write_text(around.replace("bank", f"bank-{number}"))
    by = judged(plan, pods, around, processes=processes)
    assert (by.summary.objects, by.summary.files) == (alone.summary.objects, alone.summary.files) == (1_500, 1)
    assert {finding.location.file for finding in by.findings} == {"app/own.yaml"}
    assert all(entry.file in (None, "app/own.yaml") for entry in by.not_evaluated if entry.reason != "ambiguous")


def test_several_processes_find_what_one_does() -> None:
    names = [f"n{number}" for number in range(120)]
    for number, name in enumerate(names):
        Path(f"app/{name}.yaml").write_text(
            "---\n".join(WEB.replace("shop", name).replace("name: web,", f"name: w{n},") for n in range(14))
        )
        around = WIDE.replace("wide", name) + BINDING.replace("wide", name).replace("shop", name)
        Path(f"platform/{name}.yaml").write_text(NAMESPACE.replace("shop", name) + (around if number % 2 else ""))
    by = surroundings(["platform"], max_file_size=2**20)
    plan, discovery = by.beside(plan_of("strict"), discover(["app"]))
    one, two = (scan(plan, discovery, Target("manifests", "app"), processes=count) for count in (1, 2))
    # So much that it is shared out.
    assert sum(file.size for file in discovery.files) > 400_000
    assert one == two
    assert {"default-deny-ingress-missing", "workload-can-escalate"} <= {finding.rule for finding in one.findings}
    assert sum("which is not judged here" in finding.message for finding in one.findings) >= len(names)


def _written(path: str, text: str) -> str:
    Path(path).write_text(text)
    return path


def test_a_file_that_is_both_is_judged() -> None:
    Path("app/own.yaml").write_text(WEB)
    Path("link").symlink_to("app")
    plan = plan_of("recommended")
    alone = scan(plan, discover(["app"]), Target("manifests", "app"))
    for paths in ((".",), ("app",), ("app/own.yaml",), ("link/",)):
        result = judged(plan, WEB, "", paths=paths)
        assert found(result) == found(alone)
        assert result.summary == alone.summary


def test_what_could_not_be_read_elsewhere_is_an_error() -> None:
    result = judged(plan_of(ISOLATION), DENY + WEB, "a: [")
    assert [error.file for error in result.errors] == ["platform/around.yaml"]
    completed = run_command("scan", "app", "--with", "platform", "--fail-on", "none")
    assert completed.exit_code == 3


def test_what_was_not_rendered_elsewhere_is_said_and_other_files_are_not() -> None:
    Path("platform/values.yaml").write_text("a: b\n")
    Path("platform/template.yaml").write_text("a: {{ .Values.a }}\n")
    result = judged(plan_of(ISOLATION), DENY + WEB, NAMESPACE)
    assert [entry.reason for entry in result.not_evaluated] == ["not-rendered"]
    assert {skipped.file for skipped in result.skipped} == {"platform/template.yaml"}


def test_what_is_to_be_said_of_objects_elsewhere_alone_is_not_said() -> None:
    odd = """\
{apiVersion: apps/v1, kind: Deployment, metadata: {name: none, namespace: bank}}
---
{apiVersion: apps/v1, kind: Deploymnt, metadata: {name: odd, namespace: bank}}
"""
    result = judged(plan_of("recommended"), DENY + WEB, odd)
    assert not [entry for entry in result.not_evaluated if entry.file == "platform/around.yaml"]
    assert found(result) == found(judged(plan_of("recommended"), DENY + WEB, "a: b"))


def test_a_policy_elsewhere_that_nobody_understands_lets_nothing_pass() -> None:
    calico = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {selector: all(), types: [Ingress]}
---
"""
    plan = plan_of(ISOLATION, show=["pass"])
    result = judged(plan, WEB, NAMESPACE + calico)
    alone = scan(
        plan, discover([_written("app/own.yaml", WEB + "---\n" + NAMESPACE + calico)]), Target("manifests", "")
    )
    assert [f.outcome for f in result.findings] == [f.outcome for f in alone.findings]
    assert {entry.reason for entry in result.not_evaluated} == {entry.reason for entry in alone.not_evaluated}
    assert result.not_evaluated


def test_two_states_of_the_surroundings_are_said() -> None:
    Path("platform/b.yaml").write_text(ALLOW)
    result = judged(plan_of(ISOLATION), WEB, DENY)
    assert [entry.reason for entry in result.not_evaluated] == ["ambiguous"]


def test_an_exception_elsewhere_is_not_one_of_the_judged() -> None:
    marked = WEB.replace("name: web,", 'name: old, annotations: {kubeassay.dev/ignore: "run-as-non-root: old"},')
    result = judged(plan_of("strict"), DENY + WEB, marked)
    assert result.exceptions == ()
    exception = Exception_("e", "default-deny-ingress-missing", SubjectMatch(names=("web",)), "because")
    accepted = judged(plan_of(ISOLATION, exceptions=[exception]), WEB, NAMESPACE)
    assert [finding.outcome for finding in accepted.findings] == ["excepted"]


EXAMPLES = content.folder("rules").parent / "examples"
FOLDERS = [EXAMPLES / "shop", EXAMPLES / "architecture" / "manifests"]
FILES = [file for folder in FOLDERS for file in sorted(folder.rglob("*.yaml"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_findings_are_those_that_both_together_have_at_what_is_judged(file: Path) -> None:
    """Findings at the file are those of all as one cluster; those at others come on top where they concern it."""
    folder = next(folder for folder in FOLDERS if file.is_relative_to(folder))
    plan = plan_of("strict")
    together = scan(plan, discover([str(folder)]), Target("manifests", "all"))
    by = surroundings([str(folder)], max_file_size=2**20)
    own, discovery = by.beside(plan, discover([str(file)]))
    result = scan(own, discovery, Target("manifests", "one"))
    here = display_name(str(file))
    moved = [finding for finding in result.findings if "which is not judged here" in finding.message]
    assert {finding.fingerprint for finding in result.findings if finding not in moved} == {
        finding.fingerprint for finding in together.findings if finding.location.file == here
    }
    assert {finding.location.file for finding in result.findings} <= {here}
    others = {finding.message for finding in together.findings if finding.location.file != here}
    assert {finding.message.partition(" (found at ")[0] for finding in moved} <= others


# --- snapshots ---


def live(text: str, **metadata: Any) -> dict[str, Any]:
    import yaml

    value: dict[str, Any] = yaml.safe_load(text.removesuffix("---\n"))
    value["metadata"].update(metadata)
    return value


def test_a_snapshot_is_what_manifests_are_judged_by() -> None:
    plan = plan_of(ISOLATION)
    result = judged(plan, WEB, "", paths=[snapshot(plan, [live(NAMESPACE), live(DENY)])])
    assert (found(result), result.not_evaluated) == (set(), ())
    assert result.target == Target("manifests", "app", context=("prod.snapshot",))
    open_ = judged(plan, WEB, "", paths=[snapshot(plan, [live(NAMESPACE)])])
    assert found(open_) == {("default-deny-ingress-missing", "Deployment shop/web", "app/own.yaml")}


def test_what_a_snapshot_lacks_lets_nothing_pass() -> None:
    joined = ("default-deny-ingress-missing", "service-account-token-automount")
    plan = plan_of(profile_of(*joined, "privileged-container"))
    gaps = [
        Unread("networking.k8s.io", "NetworkPolicy", None, "forbidden", "may not list"),
        Unread("", "ServiceAccount", None, "forbidden", "may not list"),
    ]
    result = judged(plan, WEB, "", paths=[snapshot(plan, [live(NAMESPACE)], gaps)])
    assert found(result) == set()
    assert {entry.rule for entry in result.not_evaluated} == {None, *joined}
    assert {entry.reason for entry in result.not_evaluated} == {"forbidden"}
    # What needs nothing of the cluster is judged as ever.
    assert result.summary.passed == 1


def test_kinds_that_were_judged_by_themselves_are_not_missing() -> None:
    plan = plan_of(profile_of("privileged-container"))
    result = judged(plan, WEB, "", paths=[snapshot(plan, [live(NAMESPACE)], asked=("Namespace",))])
    assert (result.not_evaluated, result.summary.passed) == ((), 1)


def test_a_snapshot_that_was_made_for_other_rules_lets_nothing_pass() -> None:
    plan = plan_of(ISOLATION)
    result = judged(plan, WEB, "", paths=[snapshot(plan, [live(NAMESPACE)], asked=("Namespace", "Pod"))])
    assert found(result) == set()
    assert "default-deny-ingress-missing" in {entry.rule for entry in result.not_evaluated}
    assert result.summary.passed == 0


def test_pods_of_a_workload_are_the_workload() -> None:
    """The cluster's pods are of what the pull request replaces."""
    plan = plan_of(ISOLATION)
    deployment = live(WEB, uid="1")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    replicas = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "2", "ownerReferences": [reference]},
        "spec": deployment["spec"],
    }
    by = surroundings([snapshot(plan, [deployment, replicas])], max_file_size=2**20)
    _, together = by.beside(plan, discover([_written("app/own.yaml", WEB)]))
    assert [file.name for file in together.files] == ["app/own.yaml", "clusters/prod/shop/apps.Deployment/web.yaml"]


def test_secrets_of_manifests_are_read_with_their_values() -> None:
    """Those of a cluster are not, and that is no matter of the manifests."""
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, stringData: {a: correct-horse}}"
    plan = plan_of(profile_of("secret-in-manifest"))
    result = judged(plan, secret, "", paths=[snapshot(plan, [live(NAMESPACE)])])
    assert {rule for rule, _, _ in found(result)} == {"secret-in-manifest"}


def test_a_file_that_is_called_as_an_object_of_a_snapshot_is_not_passed_over() -> None:
    plan = plan_of(ISOLATION)
    path = snapshot(plan, [live(NAMESPACE)])
    place = Path("clusters/prod/_cluster/core.Namespace/shop.yaml")
    place.parent.mkdir(parents=True)
    place.write_text(NAMESPACE)
    with pytest.raises(UsageError, match="is the name of a file and of an object"):
        surroundings([path], max_file_size=2**20).beside(plan, discover(["clusters"]))


# --- the command ---


def test_reports_say_what_was_judged_with() -> None:
    Path("app/own.yaml").write_text(WEB)
    Path("platform/around.yaml").write_text(NAMESPACE + DENY)
    done = run_command("scan", "app", "--with", "platform", "-f", "json")
    told = json.loads(done.stdout)
    assert told["target"] == {"kind": "manifests", "name": "app", "context": ["platform"]}
    schema = json.loads((content.folder("reports") / "schemas" / "result.schema.json").read_text())
    jsonschema.validate(told, schema)
    Path("r.json").write_text(done.stdout)
    assert "judged with platform" in run_command("report", "r.json", "-f", "terminal").stdout
    assert "judged with platform" in run_command("scan", "app", "--with", "platform", "-f", "html").stdout
    assert "judged with" not in run_command("scan", "app", "-f", "html").stdout


def test_both_revisions_are_judged_by_the_same(tmp_path: Path) -> None:
    """A role that becomes dangerous by a binding elsewhere is new; what was found before is not."""

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    Path("platform/around.yaml").write_text(NAMESPACE + BINDING)
    Path("app/own.yaml").write_text(WIDE.replace("[escalate, update]", "[get]") + WEB)
    git("init", "-q")
    git("add", "app")
    git("commit", "-q", "-m", "first")
    Path("app/own.yaml").write_text(WIDE + WEB)
    done = run_command("scan", "app", "--since", "HEAD", "--with", "platform", "-f", "json", "--profile", "strict")
    new = {(one["rule"], one["object"]["name"]) for one in json.loads(done.stdout)["results"]}
    assert ("escalation-path", "wide") in new
    assert "default-deny-ingress-missing" not in {rule for rule, _ in new}


def test_a_configuration_names_what_is_judged_by() -> None:
    Path("app/own.yaml").write_text(WEB)
    Path("platform/around.yaml").write_text(NAMESPACE + DENY)
    Path("kubeassay.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\nmetadata: {name: c}\n"
        "spec: {paths: [app], with: [platform]}\n"
    )
    told = json.loads(run_command("scan", "--config", "kubeassay.yaml", "-f", "json").stdout)
    assert told["target"]["context"] == ["platform"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("app", "--with", "nowhere"), "nowhere does not exist"),
        (("app", "--with", "empty"), "--with empty: no manifest is there"),
        (("app", "--with", "platform", "--with", "empty"), "--with empty: no manifest is there"),
        (("prod.snapshot", "--with", "platform"), "--with is for manifests"),
    ],
)
def test_what_cannot_be_judged_by_is_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    Path("app/own.yaml").write_text(WEB)
    Path("platform/around.yaml").write_text(NAMESPACE)
    Path("empty").mkdir()
    snapshot(plan_of(ISOLATION), [live(NAMESPACE)])
    done = run_command("scan", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_standard_input_is_judged_by_what_is_elsewhere() -> None:
    Path("platform/around.yaml").write_text(NAMESPACE + DENY)
    done = run_command("scan", "-", "--with", "platform", "-f", "json", "--profile", "strict", stdin=WEB)
    told = json.loads(done.stdout)
    assert told["summary"]["objects"] == 1
    assert {one["location"]["file"] for one in told["results"]} == {"stdin"}
    assert not any(one["rule"] == "default-deny-ingress-missing" for one in told["results"])
