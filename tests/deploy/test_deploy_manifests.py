"""What deploy/ renders: valid objects, the same from Kustomize and from Helm, that pass profile strict."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest

from deploy.rendering import CHART, KUBERNETES, KUSTOMIZE, STRICT, Manifest, charted, kustomized, objects, run, tool
from kit import LIBRARY, run_command
from kubeassay.cli.audit import audit
from kubeassay.cli.report import report
from kubeassay.policy.exceptions import exceptions_from

KUSTOMIZATIONS = sorted(path.parent.name for path in KUSTOMIZE.glob("*/kustomization.yaml"))
#: What only Helm adds, and only Kustomize.
HELM_METADATA = re.compile(r"(helm\.sh/|app\.kubernetes\.io/(instance|version|managed-by)\Z)")


def without_tools_own(manifest: Manifest) -> Manifest:
    found = copy.deepcopy(manifest)
    metadata = found["metadata"]
    for name in ("labels", "annotations"):
        kept = {key: value for key, value in metadata.pop(name, {}).items() if not HELM_METADATA.match(key)}
        # The roles that are generated carry no labels.
        if kept and found["kind"] != "ClusterRole":
            metadata[name] = kept
    return found


def pod_spec(manifest: Manifest) -> Manifest:
    spec: Manifest = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def strict(tmp_path: Path, text: str, *arguments: str | Path) -> tuple[int, str]:
    (tmp_path / "rendered.yaml").write_text(text, encoding="utf-8")
    done = run_command(
        "scan",
        str(tmp_path / "rendered.yaml"),
        str(STRICT / "storage-class.yaml"),
        *(str(argument) for argument in arguments),
        "-p",
        "strict",
        "--exceptions",
        str(STRICT / "exceptions.yaml"),
    )
    return done.exit_code, done.output


def rendered() -> Iterator[tuple[str, str]]:
    for folder in KUSTOMIZATIONS:
        yield f"kustomize {folder}", kustomized(folder)
    yield "helm", charted()
    yield (
        "helm with everything",
        charted(
            'image={"repository":"r.example/k","digest":"sha256:' + "0" * 64 + '"}',
            'imagePullSecrets=[{"name":"pull"}]',
            'audit={"profile":"recommended","extraArgs":["--fail-on=low"]}',
            'results={"storageClassName":"fast","size":"10Gi"}',
            'rights={"customResources":"all","extra":[{"apiGroups":["example.com"],"resources":["*"]}]}',
            'nodeSelector={"disk":"fast"}',
            'exceptions=[{"rule":"image-digest","match":{"namespaces":["a"]},"reason":"r"}]',
            'tolerations=[{"key":"a","operator":"Exists"}]',
            "suspend=true",
        ),
    )


def test_objects_satisfy_the_strict_schema() -> None:
    count = 0
    for name, text in rendered():
        for manifest in objects(text).values():
            try:
                kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{name}: {manifest['kind']} {manifest['metadata']['name']}: {error}")
            count += 1
    assert count > 40


def test_kustomize_and_helm_render_the_same() -> None:
    base = objects(kustomized("base"))
    chart = objects(charted())
    # Helm's own namespace is there before a chart is rendered.
    del base["Namespace", "kubeassay"]
    assert set(chart) == set(base)
    for key, manifest in base.items():
        assert without_tools_own(chart[key]) == without_tools_own(manifest), key


@pytest.mark.parametrize("variant", ["base", "without-secrets", "publishing"])
def test_kustomize_passes_strict(variant: str, tmp_path: Path) -> None:
    code, output = strict(tmp_path, kustomized(variant))
    assert code == 0, output
    assert "No findings" in output


def test_the_report_passes_strict_beside_the_audit(tmp_path: Path) -> None:
    code, output = strict(tmp_path, f"{kustomized('base')}\n---\n{kustomized('report')}")
    assert code == 0, output
    # Two pods that may mount a volume of one node: the report waits for its turn (docs/deploy.md).
    assert "claim-on-several-nodes" in output
    assert "1 finding: 1 medium" in output


def test_helm_passes_strict(tmp_path: Path) -> None:
    code, output = strict(tmp_path, charted(), KUSTOMIZE / "base" / "namespace.yaml")
    assert code == 0, output
    assert "No findings" in output


def test_the_exceptions_are_all_needed_and_no_more(tmp_path: Path) -> None:
    text = kustomized("base")
    (tmp_path / "rendered.yaml").write_text(text, encoding="utf-8")
    done = run_command("scan", str(tmp_path / "rendered.yaml"), str(STRICT / "storage-class.yaml"), "-p", "strict")
    assert done.exit_code == 1
    found = set(re.findall(r"\[([a-z-]+)\]$", done.output, re.MULTILINE))
    assert found == {"secrets-readable-cluster-wide", "dns-egress-missing", "image-digest"}
    assert "matches no finding" not in strict(tmp_path, text)[1]


def test_both_forms_publish_alike() -> None:
    """And the right to write is to reports alone."""
    by_kustomize, by_helm = objects(kustomized("publishing")), objects(charted('publish="openreports"'))
    for key in (("ClusterRole", "kubeassay-publish"), ("ClusterRoleBinding", "kubeassay-publish")):
        assert without_tools_own(by_helm[key]) == without_tools_own(by_kustomize[key])
    for found in (by_kustomize, by_helm, objects(charted('publish="wgpolicyk8s"'))):
        (argument,) = (a for a in pod_spec(found["CronJob", "kubeassay"])["containers"][0]["args"] if "publish" in a)
        api = audit.make_context("audit", [argument]).params["publish"]
        roles = [obj for key, obj in found.items() if key[0] == "ClusterRole"]
        writing = [rule for role in roles for rule in role["rules"] if rule["verbs"] != ["list"]]
        assert [rule["apiGroups"] for rule in writing] == [[f"{api}.io"]]
    assert not [key for key in objects(charted()) if "publish" in key[1]]


def test_without_the_right_to_secrets_nothing_grants_it() -> None:
    for text in (kustomized("without-secrets"), charted('rights={"secrets":false}')):
        assert not [key for key in objects(text) if "secrets" in key[1]]
        assert "secrets\n" not in text.replace("/var/run/secrets", "")


def test_the_command_line_of_the_audit_is_one() -> None:
    spec = pod_spec(objects(kustomized("base"))["CronJob", "kubeassay"])
    name, *arguments = spec["containers"][0]["args"]
    assert name == "audit"
    options = audit.make_context("audit", arguments).params
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert options["history"] == mounts["results"]
    assert (options["keep"], options["profile"], options["fail_on_new"]) == (30, "strict", True)
    name, *arguments = objects(kustomized("report"))["Job", "kubeassay-report"]["spec"]["template"]["spec"][
        "containers"
    ][0]["args"]
    assert name == "report"
    assert report.make_context("report", arguments).params["file"] == "/results"


def test_exit_codes_that_do_not_change_are_not_tried_again() -> None:
    """1: findings; 3: incomplete. 2 is a server that cannot be reached, too."""
    job = objects(kustomized("base"))["CronJob", "kubeassay"]["spec"]["jobTemplate"]["spec"]
    _, failing = job["podFailurePolicy"]["rules"]
    assert failing["action"] == "FailJob"
    assert failing["onExitCodes"] == {"containerName": "audit", "operator": "In", "values": [1, 3]}


def test_the_token_is_asked_for_by_the_one_pod_that_needs_it() -> None:
    found = {**objects(kustomized("base")), **objects(kustomized("report"))}
    assert found["ServiceAccount", "kubeassay"]["automountServiceAccountToken"] is False
    spec = pod_spec(found["CronJob", "kubeassay"])
    sources = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", ())]
    assert {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}} in sources
    (mount,) = (mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "api-access")
    # Where the client looks for it.
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    other = found["Job", "kubeassay-report"]["spec"]["template"]["spec"]
    assert other["automountServiceAccountToken"] is False
    assert all(set(volume) <= {"name", "persistentVolumeClaim", "emptyDir"} for volume in other["volumes"])


def test_the_chart_is_clean() -> None:
    said = run(tool("helm"), "lint", "--strict", CHART)
    assert "[WARNING]" not in said
    assert "1 chart(s) linted, 0 chart(s) failed" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('audit={"profle":"strict"}', "profle"),
        ('image={"digest":"latest"}', "digest"),
        ('results={"keep":0}', "keep"),
        ('rights={"extra":[{"apiGroups":["a"],"resources":["b"],"verbs":["*"]}]}', "verbs"),
        ('networkPolicy={"apiServer":{"cidrs":[]}}', "cidrs"),
        ('networkPolicy={"apiServer":{"cidrs":["example.com"]}}', "cidrs"),
        ("shcedule=1", "shcedule"),
    ],
)
def test_values_that_are_wrong_are_refused(value: str, said: str) -> None:
    refused = run(tool("helm"), "template", "k", CHART, "--kube-version", KUBERNETES, "--set-json", value, code=1)
    assert said in refused


def test_another_release_has_names_of_its_own() -> None:
    found = objects(charted(release="nightly", namespace="security"))
    names = {name for kind, name in found if kind not in ("NetworkPolicy",)}
    assert names == {"nightly-kubeassay", "nightly-kubeassay-secrets", "nightly-kubeassay-results"}
    for (kind, _), manifest in found.items():
        assert manifest["metadata"].get("namespace") == (None if kind.startswith("Cluster") else "security")
        for subject in manifest.get("subjects", ()):
            assert (subject["name"], subject["namespace"]) == ("nightly-kubeassay", "security")


def test_a_release_beside_others_leaves_them_alone() -> None:
    found = objects(charted("ownNamespace=false"))
    assert not {kind for kind, _ in found} & {"ResourceQuota", "LimitRange"}
    for kind, name in found:
        if kind == "NetworkPolicy":
            assert found[kind, name]["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "kubeassay"
            assert name.startswith("kubeassay-")


def test_a_role_that_is_there_already_is_bound() -> None:
    found = objects(charted('rights={"existingRole":"mine"}'))
    assert ("ClusterRole", "kubeassay") not in found
    assert found["ClusterRoleBinding", "kubeassay"]["roleRef"]["name"] == "mine"
    assert found["ClusterRoleBinding", "kubeassay-secrets"]["roleRef"]["name"] == "kubeassay-secrets"


def test_exceptions_are_those_that_the_audit_reads(tmp_path: Path) -> None:
    accepted = [{"rule": "image-digest", "match": {"names": ["web*"]}, "reason": "soon: 1", "expires": "2030-01-31"}]
    found = objects(charted(f"exceptions={json.dumps(accepted)}"))
    spec = pod_spec(found["CronJob", "kubeassay"])
    (container,) = spec["containers"]
    (file,) = audit.make_context("audit", container["args"][1:]).params["exception_files"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "exceptions")
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "exceptions")
    config = found["ConfigMap", volume["configMap"]["name"]]
    folder, _, name = file.rpartition("/")
    assert folder == mount["mountPath"]
    (tmp_path / name).write_text(config["data"][name], encoding="utf-8")
    (read,) = exceptions_from(tmp_path / name, LIBRARY.rules)
    assert (read.rule, read.match.names, read.reason, str(read.expires)) == (
        "image-digest",
        ("web*",),
        "soon: 1",
        "2030-01-31",
    )


def test_values_reach_the_command_line() -> None:
    text = charted(
        'audit={"profile":"recommended","clusterName":"prod 1","failOnNew":false,"allowIncomplete":false}',
        'results={"keep":7,"existingClaim":"mine"}',
        'image={"digest":"sha256:' + "a" * 64 + '"}',
    )
    found = objects(text)
    assert ("PersistentVolumeClaim", "kubeassay-results") not in found
    spec = pod_spec(found["CronJob", "kubeassay"])
    (container,) = spec["containers"]
    assert container["image"] == f"registry.example/kubeassay@sha256:{'a' * 64}"
    options = audit.make_context("audit", container["args"][1:]).params
    assert (options["profile"], options["cluster_name"], options["keep"]) == ("recommended", "prod 1", 7)
    assert (options["fail_on_new"], options["allow_incomplete"]) == (False, False)
    assert {"name": "results", "persistentVolumeClaim": {"claimName": "mine"}} in spec["volumes"]
