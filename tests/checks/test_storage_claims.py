"""Rules of kubeassay.checks.storage_claims: where they point, and what they must not report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.storage_kit import (
    EFS,
    EFS_PARAMETERS,
    claim,
    failures,
    found,
    messages,
    passed,
    storage_class,
    volume,
    workload,
)
from kit import failing, plan_of, profile_of, run_within_seconds
from kubeassay.execution.scan import scan
from kubeassay.model import Target
from kubeassay.sources.files import discover

D, C = "PersistentVolumeClaim shop/data", "Deployment shop/web"
MOUNT = "spec.template.spec.volumes[0].persistentVolumeClaim.claimName"

STATEFUL = """---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: app, image: "registry.example/app:1.0"}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: fast
        resources: {requests: {storage: 1Gi}}
"""
EPHEMERAL = """---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: shop}
spec:
  containers: [{name: app, image: "registry.example/app:1.0"}]
  volumes:
    - name: scratch
      ephemeral:
        volumeClaimTemplate:
          spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
"""


# --- classes ---


def test_a_class_that_is_not_there() -> None:
    rule = "claim-storage-class-missing"
    assert failures(rule, storage_class("slow") + claim()) == {
        ("PersistentVolumeClaim data", "spec.storageClassName", 13)
    }
    assert failures(rule, storage_class() + claim()) == set()
    assert failures(rule, storage_class("slow") + STATEFUL.replace("fast", "slow")) == set()
    template = "spec.volumeClaimTemplates[0].spec.storageClassName"
    assert found(rule, storage_class("slow") + STATEFUL) == {("fail", "StatefulSet shop/db", template)}
    ephemeral = "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.storageClassName"
    assert found(rule, storage_class("slow") + EPHEMERAL) == {("fail", "Pod shop/job", ephemeral)}


@pytest.mark.parametrize("cls", ['""', None, "gp2", '"{{ .Values.class }}"'])
def test_a_claim_that_names_no_class_or_one_that_is_there_anyway(cls: str | None) -> None:
    assert failures("claim-storage-class-missing", storage_class("slow") + claim(cls=cls)) == set()


def test_without_classes_among_the_inputs_claims_are_not_judged() -> None:
    assert found("claim-storage-class-missing", claim()) == {("not-judged", "", "missing-input")}
    assert found("claim-without-default-class", claim(cls=None)) == {("not-judged", "", "missing-input")}
    # A volume that somebody made for the class.
    assert found("claim-storage-class-missing", claim(cls="manual") + volume(cls="manual")) == set()


def test_the_annotation_comes_before_the_field() -> None:
    text = storage_class() + claim().replace(
        "namespace: shop", "namespace: shop, annotations: {volume.beta.kubernetes.io/storage-class: slow}"
    )
    path = 'metadata.annotations["volume.beta.kubernetes.io/storage-class"]'
    assert found("claim-storage-class-missing", text) == {("fail", D, path)}


def test_a_default_class_that_there_is_none_of() -> None:
    rule = "claim-without-default-class"
    assert found(rule, storage_class() + claim(cls=None)) == {("fail", D, "spec.storageClassName")}
    assert found(rule, storage_class(default=True) + claim(cls=None)) == {("pass", D, "")}
    assert found(rule, storage_class() + claim(cls=None, volumeName="disk")) == set()
    assert found(rule, storage_class() + claim()) == set()


# --- access modes ---


@pytest.mark.parametrize(
    ("cls", "modes", "fields", "path"),
    [
        (storage_class(), "[ReadWriteMany]", {}, "spec.accessModes[0]"),
        (storage_class(), "[ReadWriteOnce, ReadOnlyMany]", {}, "spec.accessModes[1]"),
        (storage_class(), "[ReadWriteMany]", {"volumeMode": "Block"}, "spec.accessModes[0]"),
        (storage_class(parameters="{type: io2}"), "[ReadWriteMany]", {"volumeMode": "Block"}, None),
        (storage_class(parameters="{type: io1}"), "[ReadWriteMany]", {"volumeMode": "Block"}, "spec.accessModes[0]"),
        (storage_class(parameters="{type: io2}"), "[ReadWriteMany]", {}, "spec.accessModes[0]"),
        (storage_class(provisioner="kubernetes.io/aws-ebs"), "[ReadWriteMany]", {}, "spec.accessModes[0]"),
        (storage_class(), "[ReadWriteOncePod]", {}, None),
        (storage_class(provisioner=EFS, parameters=EFS_PARAMETERS), "[ReadWriteMany, ReadWriteOnce]", {}, None),
        (storage_class(provisioner=EFS), "[ReadWriteMany, ReadOnlyMany]", {}, "spec.accessModes[1]"),
        (
            storage_class(provisioner="file.csi.azure.com"),
            "[ReadWriteMany]",
            {"volumeMode": "Block"},
            "spec.volumeMode",
        ),
        (storage_class(provisioner="disk.csi.azure.com"), "[ReadWriteMany]", {}, "spec.accessModes[0]"),
        (storage_class(provisioner="pd.csi.storage.gke.io"), "[ReadOnlyMany]", {}, None),
        (storage_class(provisioner="pd.csi.storage.gke.io"), "[ReadWriteMany]", {}, "spec.accessModes[0]"),
    ],
)
def test_access_modes_of_drivers(cls: str, modes: str, fields: dict[str, str], path: str | None) -> None:
    expected = {("fail", D, path)} if path else {("pass", D, "")}
    assert found("claim-access-mode-unsupported", cls + claim(modes=modes, **fields)) == expected


def test_access_modes_of_what_is_not_known() -> None:
    rule = "claim-access-mode-unsupported"
    assert found(rule, storage_class(provisioner="example.com/disk") + claim(modes="[ReadWriteMany]")) == set()
    assert found(rule, claim(modes="[ReadWriteMany]")) == set()
    device = claim(modes="[ReadWriteMany]", volumeMode="Block")
    assert found(rule, storage_class(provisioner="disk.csi.azure.com") + device) == set()
    filled_in = storage_class(parameters='{type: "${TYPE}"}')
    assert found(rule, filled_in + device) == {("not-judged", D, "not-rendered")}
    assert found(rule, storage_class() + claim(modes="[ReadWriteMany]", volumeName="disk")) == set()
    assert found(rule, storage_class() + claim(modes="[3, null, ReadWriteOnce, Often]")) == set()


@pytest.mark.parametrize(
    ("parameters", "size", "reported"),
    [
        ('{iops: "16000"}', "32Gi", False),
        ('{iops: "16000"}', "31Gi", True),
        # Volumes have whole GiB: 34 GB are 32 of them.
        ('{iops: "16000"}', "34G", False),
        ('{iops: "5000"}', "1", True),
        ('{type: io1, iops: "101"}', "2Gi", True),
        ('{type: io1, iops: "100"}', "2Gi", False),
        ('{type: io2, iops: "2001"}', "2Gi", True),
        ('{type: io2, iops: "2000"}', "2Gi", False),
    ],
)
def test_volumes_that_are_too_small_for_their_speed(parameters: str, size: str, reported: bool) -> None:
    text = storage_class(parameters=parameters) + claim(size=size)
    path = "spec.resources.requests.storage"
    assert found("claim-too-small-for-iops", text) == ({("fail", D, path)} if reported else {("pass", D, "")})


@pytest.mark.parametrize(
    "parameters", ["{}", '{type: gp2, iops: "9000"}', '{iopsPerGB: "9", iops: "9000"}', '{iops: "${X}"}', "{type: x}"]
)
def test_volumes_whose_speed_their_class_does_not_say(parameters: str) -> None:
    text = storage_class(parameters=parameters) + claim(size="1Gi")
    assert found("claim-too-small-for-iops", text) == set()


# --- several nodes ---


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        (workload(), {("pass", D, "")}),
        (workload(spec="replicas: 2"), {("fail", C, MOUNT)}),
        (workload(spec="replicas: 0") + workload("report"), {("pass", D, "")}),
        (workload(kind="DaemonSet"), {("fail", "DaemonSet shop/web", MOUNT)}),
        (workload(kind="Job", spec="parallelism: 3"), {("fail", "Job shop/web", MOUNT)}),
        (workload(kind="StatefulSet", spec="replicas: 2"), {("fail", "StatefulSet shop/web", MOUNT)}),
        (workload() + workload("report"), {("fail", "Deployment shop/report", MOUNT)}),
        (workload() + workload("report", namespace="other"), {("pass", D, "")}),
        (workload(spec="replicas: 2", pod="nodeName: node-1"), {("pass", D, "")}),
        (workload(spec="replicas: 2", pod="nodeSelector: {kubernetes.io/hostname: node-1}"), {("pass", D, "")}),
        (
            workload()
            + workload(
                "report",
                pod="affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution:"
                " [{topologyKey: kubernetes.io/hostname}]}}",
            ),
            {("pass", D, "")},
        ),
        (
            workload() + "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\n"
            "metadata: {name: web, namespace: shop}\n"
            "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 4}\n",
            {("fail", C, MOUNT)},
        ),
        (
            workload() + "---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\n"
            "metadata: {name: web, namespace: shop}\nspec: {scaleTargetRef: {name: web}, triggers: []}\n",
            {("fail", C, MOUNT)},
        ),
    ],
)
def test_pods_that_share_a_volume_of_one_node(mounts: str, expected: set[Any]) -> None:
    assert found("claim-on-several-nodes", claim() + mounts) == expected


def test_pods_that_share_a_volume_of_one_pod() -> None:
    one_pod = claim(modes="[ReadWriteOncePod]")
    pinned = workload(spec="replicas: 2", pod="nodeName: node-1")
    assert found("claim-on-several-nodes", one_pod + pinned) == {("fail", C, MOUNT)}


@pytest.mark.parametrize("modes", ["[ReadWriteMany]", "[ReadWriteOnce, ReadWriteMany]", "[ReadOnlyMany]"])
def test_pods_that_share_a_volume_of_many_nodes(modes: str) -> None:
    text = claim(modes=modes) + workload(spec="replicas: 9")
    assert found("claim-on-several-nodes", text) == {("pass", D, "")}


def test_pods_that_share_a_volume_whose_mode_is_filled_in() -> None:
    text = claim(modes='["${MODE}"]') + workload(spec="replicas: 9")
    assert found("claim-on-several-nodes", text) == set()


# --- claims that are declared, and used ---


def test_a_claim_that_is_not_declared() -> None:
    rule = "claim-not-declared"
    assert found(rule, claim("other") + workload()) == {("fail", C, MOUNT)}
    assert found(rule, claim() + workload()) == {("pass", C, "")}
    assert found(rule, workload()) == {("not-judged", C, "missing-input")}
    # The same name elsewhere is a mistake, whether or not the namespace has claims.
    assert found(rule, claim(namespace="other") + workload()) == {("fail", C, MOUNT)}
    assert found(rule, claim(namespace=None) + workload()) == {("not-judged", C, "no-namespace")}
    made = "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: db, namespace: shop}\n"
    assert found(rule, claim("other") + workload() + made) == {("not-judged", C, "unsupported")}
    assert found(rule, claim("other") + workload(claim='"${CLAIM}"')) == {("not-judged", C, "not-rendered")}


def test_claims_that_a_stateful_set_makes() -> None:
    backup = workload("backup", claim="data-db-0")
    assert found("claim-not-declared", STATEFUL + claim("other") + backup) == {("pass", "Deployment shop/backup", "")}
    other = workload("backup", claim="data-db-x")
    about = "Deployment shop/backup"
    assert found("claim-not-declared", STATEFUL + claim("other") + other) == {("fail", about, MOUNT)}
    own = claim("data-db-1") + STATEFUL + backup
    assert ("pass", "PersistentVolumeClaim shop/data-db-1", "") in found("claim-unused", own)
    # A template takes the place of a volume of its name.
    shadowed = STATEFUL.replace(
        'image: "registry.example/app:1.0"}]}',
        'image: "registry.example/app:1.0"}], volumes: [{name: data, persistentVolumeClaim: {claimName: gone}}]}',
    )
    assert found("claim-not-declared", claim("other") + shadowed) == set()


def test_a_claim_that_nothing_mounts() -> None:
    rule = "claim-unused"
    text = claim() + claim("old") + workload()
    assert found(rule, text) == {("pass", D, ""), ("fail", "PersistentVolumeClaim shop/old", "metadata.name")}
    assert found(rule, claim()) == set()


def test_claims_without_a_namespace_are_compared_within_their_folder(tmp_path: Path) -> None:
    for folder, text in (("a", claim("other", namespace=None)), ("b", workload(namespace=None))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "all.yaml").write_text(text)
    plan = plan_of(profile_of("claim-not-declared"))
    result = scan(plan, discover((str(tmp_path),)), Target("manifests", "x"))
    assert (failing(result), [said.reason for said in result.not_evaluated]) == ([], ["missing-input"])
    (tmp_path / "a" / "more.yaml").write_text(workload("second", namespace=None))
    result = scan(plan, discover((str(tmp_path),)), Target("manifests", "x"))
    assert [(f.object.name, Path(f.location.file).name, f.location.start_line) for f in failing(result)] == [
        ("second", "more.yaml", 11)
    ]


# --- volumes ---


@pytest.mark.parametrize(
    ("made", "asked", "path"),
    [
        (volume(), claim(volumeName="disk"), None),
        (volume(claimRef="{namespace: shop, name: data}"), claim(), None),
        (volume(claimRef="{namespace: shop, name: data}"), claim(cls="slow"), "spec.storageClassName"),
        (volume(claimRef="{namespace: shop, name: data}"), claim(cls=None), None),
        (volume(claimRef="{namespace: shop, name: data}", cls='""'), claim(cls='""'), None),
        (volume(size="10G"), claim(volumeName="disk"), "spec.resources.requests.storage"),
        (volume(size="11G"), claim(volumeName="disk"), None),
        (volume(volumeMode="Block"), claim(volumeName="disk"), "spec.volumeMode"),
        (volume(), claim(volumeName="disk", modes="[ReadWriteOnce, ReadWriteMany]"), "spec.accessModes"),
        (volume(claimRef="{namespace: shop, name: other}"), claim(volumeName="disk"), "spec.volumeName"),
    ],
)
def test_a_claim_and_its_volume(made: str, asked: str, path: str | None) -> None:
    expected = {("fail", D, path)} if path else {("pass", D, "")}
    assert found("claim-volume-mismatch", made + asked) == expected


@pytest.mark.parametrize("asked", [claim(volumeName="disk", cls='"${C}"'), claim(volumeName="disk", modes='["${M}"]')])
def test_a_claim_that_is_filled_in_is_not_compared_with_its_volume(asked: str) -> None:
    assert found("claim-volume-mismatch", volume() + asked) == {("not-judged", D, "not-rendered")}


def test_a_claim_of_a_volume_that_is_not_among_the_inputs() -> None:
    assert found("claim-volume-mismatch", claim(volumeName="elsewhere") + volume()) == set()


def test_a_volume_that_is_a_path_of_the_node() -> None:
    rule = "persistent-volume-host-path"
    assert failures(rule, volume(hostPath="{path: /srv}")) == {("PersistentVolume disk", "spec.hostPath", 9)}
    assert "/srv" in messages(rule, volume(hostPath="{path: /srv}"))[0]
    assert passed(rule, volume(hostPath="null")) == (1, 0)


@pytest.mark.parametrize(
    ("directory", "reported"), [("{}", True), ("{medium: Memory}", True), ("{sizeLimit: 1Gi}", False), ("null", False)]
)
def test_scratch_space_without_a_limit(directory: str, reported: bool) -> None:
    text = EPHEMERAL[: EPHEMERAL.index("      ephemeral")] + f"      emptyDir: {directory}\n"
    expected = {("Pod job", "spec.volumes[0].emptyDir", 9)} if reported else set()
    assert failures("empty-dir-without-size-limit", text) == expected


# --- robustness ---

VALUES = st.sampled_from(["3", "[a, 1, null]", "{a: {b: 1}}", "null", "x", '""', "true", "[[]]", "{name: 1}"])
FIELDS = st.sampled_from(
    ["accessModes", "storageClassName", "resources", "volumeMode", "volumeName", "selector", "dataSource"]
)
RULES = (
    "claim-storage-class-missing",
    "claim-without-default-class",
    "claim-access-mode-unsupported",
    "claim-too-small-for-iops",
    "claim-on-several-nodes",
    "claim-not-declared",
    "claim-unused",
    "claim-volume-mismatch",
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(FIELDS, VALUES), VALUES)
def test_hostile_values_end_no_rule(fields: dict[str, str], volumes: str) -> None:
    spec = "".join(f"  {name}: {value}\n" for name, value in fields.items()) or "  {}\n"
    text = f"---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data, namespace: shop}}\nspec:\n{spec}"
    text += workload() + f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{volumes: {volumes}}}\n"
    text += volume(claimRef="{namespace: shop, name: data}") + storage_class()
    for rule in RULES:
        found(rule, text)


def test_cost_is_linear_in_claims_and_workloads() -> None:
    run_within_seconds(
        "from checks.storage_kit import claim, found, storage_class, volume, workload\n"
        "text = storage_class() + ''.join(claim(f'c{n}') + workload(f'w{n}', claim=f'c{n}')"
        " + volume(f'v{n}', claimRef=f'{{namespace: shop, name: c{n}}}') for n in range(500))\n"
        f"[found(rule, text) for rule in {RULES!r}[3:]]",
        seconds=60,
    )
