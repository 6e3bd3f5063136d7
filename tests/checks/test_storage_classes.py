"""Rules of kubeassay.checks.storage_classes: where they point, and what they must not report."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.storage_kit import EFS, EFS_PARAMETERS, failures, found, messages, passed, storage_class
from kit import objects_in
from kubeassay.analysis.storage import ebs
from kubeassay.analysis.storage.classes import storage_class as read_class
from kubeassay.analysis.storage.drivers import IN_TREE

C = "StorageClass fast"
REFUSED, IGNORED = "storage-class-parameter-refused", "storage-class-parameter-ignored"


def at(path: str, line: int = 6) -> set[tuple[str, str, int]]:
    return {(C, path, line)}


# --- what an API server refuses ---


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        (storage_class(parameters="{encrypted: true}"), "parameters.encrypted", 6),
        (storage_class(parameters="{iops: 3000}"), "parameters.iops", 6),
        (storage_class(parameters="[type]"), "parameters", 6),
        (storage_class(provisioner='""'), "provisioner", 5),
        (storage_class(provisioner="not/a/name"), "provisioner", 5),
        (storage_class(volumeBindingMode="Late"), "volumeBindingMode", 7),
        (storage_class(volumeBindingMode='""'), "volumeBindingMode", 7),
        (storage_class(reclaimPolicy="Recycle"), "reclaimPolicy", 7),
        (storage_class(allowVolumeExpansion='"true"'), "allowVolumeExpansion", 7),
    ],
)
def test_a_class_that_an_api_server_refuses(text: str, path: str, line: int) -> None:
    assert failures("storage-class-refused", text) == {(C, path, line)}


@pytest.mark.parametrize(
    "text",
    [
        storage_class(),
        storage_class(parameters="null"),
        storage_class(parameters="{type: null}"),
        storage_class(provisioner="Example.com/Disk"),
        storage_class(reclaimPolicy='""'),
        storage_class(volumeBindingMode="null", allowVolumeExpansion="null"),
        storage_class(parameters='{encrypted: "true"}', reclaimPolicy="Retain", volumeBindingMode="Immediate"),
    ],
)
def test_a_class_that_an_api_server_takes(text: str) -> None:
    assert failures("storage-class-refused", text) == set()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("storage-provisioner-removed", storage_class(provisioner="${P}")),
        ("storage-provisioner-migrated", storage_class(provisioner="${P}")),
        ("ebs-volume-type-outdated", storage_class(parameters='{type: "${T}"}')),
        ("storage-class-binds-immediately", storage_class(volumeBindingMode="${M}")),
        ("storage-class-deletes-data", storage_class(reclaimPolicy="${R}")),
        ("storage-class-not-expandable", storage_class(allowVolumeExpansion="${E}")),
    ],
)
def test_what_is_filled_in_is_not_judged(rule: str, text: str) -> None:
    more = {"classes": ["*"]} if rule == "storage-class-deletes-data" else {}
    assert passed(rule, text, **more) == (0, 1)
    assert failures(rule, text, **more) == set()


# --- provisioners that left ---


@pytest.mark.parametrize("provisioner", sorted(IN_TREE))
def test_a_provisioner_is_reported_from_the_version_on_that_lacks_it(provisioner: str) -> None:
    known = IN_TREE[provisioner]
    rules = ("storage-provisioner-removed", "storage-provisioner-migrated")
    mine, other = rules if known.driver is None else rules[::-1]
    text = storage_class(provisioner=provisioner)
    assert failures(mine, text, f"1.{known.removed}") == at("provisioner", 5)
    assert failures(mine, text, f"1.{known.removed - 1}") == set()
    assert failures(other, text) == set()


@pytest.mark.parametrize("provisioner", ["ebs.csi.aws.com", "kubernetes.io/no-provisioner", "rancher.io/local-path"])
def test_a_provisioner_that_is_there(provisioner: str) -> None:
    text = storage_class(provisioner=provisioner)
    assert failures("storage-provisioner-removed", text) | failures("storage-provisioner-migrated", text) == set()


# --- encryption ---


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ("{}", "parameters.encrypted"),
        ('{encrypted: "false"}', "parameters.encrypted"),
        ('{encrypted: "True"}', "parameters.encrypted"),
        ('{Encrypted: "yes"}', "parameters.Encrypted"),
        ('{kmsKeyId: ""}', "parameters.encrypted"),
    ],
)
def test_volumes_that_are_not_encrypted(parameters: str, path: str) -> None:
    assert failures("storage-class-unencrypted", storage_class(parameters=parameters)) == at(path)
    in_tree = storage_class(parameters=parameters, provisioner="kubernetes.io/aws-ebs")
    assert failures("storage-class-unencrypted", in_tree) == at(path)


@pytest.mark.parametrize(
    "parameters", ['{encrypted: "true"}', '{ENCRYPTED: "true"}', '{kmskeyid: "arn:aws:kms:eu-west-1:1:key/2"}']
)
def test_volumes_that_are_encrypted(parameters: str) -> None:
    assert failures("storage-class-unencrypted", storage_class(parameters=parameters)) == set()
    assert passed("storage-class-unencrypted", storage_class(parameters=parameters)) == (1, 0)


def test_a_parameter_in_two_spellings_is_not_the_better_of_them() -> None:
    rule = "storage-class-unencrypted"
    for parameters in ('{encrypted: "true", Encrypted: "false"}', '{Encrypted: "false", encrypted: "true"}'):
        assert len(failures(rule, storage_class(parameters=parameters))) == 1
    assert passed(rule, storage_class(parameters='{encrypted: "true", Encrypted: "true"}')) == (1, 0)


def test_a_key_that_is_filled_in_elsewhere_may_be_empty() -> None:
    assert passed("storage-class-unencrypted", storage_class(parameters='{kmsKeyId: "${KEY}"}')) == (0, 1)


def test_encryption_that_is_not_said_by_the_class() -> None:
    rule = "storage-class-unencrypted"
    assert passed(rule, storage_class(parameters='{encrypted: "${ENCRYPTED}"}')) == (0, 1)
    assert passed(rule, storage_class(parameters=EFS_PARAMETERS, provisioner=EFS)) == (0, 1)
    assert passed(rule, storage_class(provisioner=EFS), encrypted_elsewhere=["fa*"]) == (0, 0)
    assert passed(rule, storage_class(provisioner="pd.csi.storage.gke.io")) == (1, 0)
    assert passed(rule, storage_class(provisioner="example.com/disk")) == (0, 0)


# --- parameters ---


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ('{encryption: "true"}', "parameters.encryption"),
        ("{tagspecification_1: a=b}", "parameters.tagspecification_1"),
        ("{type: GP3}", "parameters.type"),
        ('{iops: "3k"}', "parameters.iops"),
        ('{iops: "2999"}', "parameters.iops"),
        ('{type: io1, iops: "99"}', "parameters.iops"),
        ("{type: io2}", "parameters.iops"),
        ('{iops: "4000", iopsPerGB: "10"}', "parameters.iops"),
        ('{throughput: "124"}', "parameters.throughput"),
        ('{throughput: "2001", iops: "80000"}', "parameters.throughput"),
        ('{throughput: "751"}', "parameters.throughput"),
        ('{throughput: "1001", iops: "4000"}', "parameters.throughput"),
        ('{blockExpress: "true"}', "parameters.blockExpress"),
        ('{ext4ClusterSize: "16384"}', "parameters.ext4ClusterSize"),
        ('{blockSize: "4 KiB"}', "parameters.blockSize"),
        ("{zone: eu-west-1a}", "parameters.zone"),
    ],
)
def test_parameters_that_the_ebs_driver_refuses(parameters: str, path: str) -> None:
    assert failures(REFUSED, storage_class(parameters=parameters)) == at(path)
    assert failures(IGNORED, storage_class(parameters=parameters)) == set()


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ('{type: gp2, iops: "3000"}', "parameters.iops"),
        ('{type: st1, iopsPerGB: "10"}', "parameters.iopsPerGB"),
        ('{type: io2, iops: "3000", throughput: "500"}', "parameters.throughput"),
        ('{iops: "80001"}', "parameters.iops"),
        ("{fsType: xfs}", "parameters.fsType"),
        ('{encrypted: "True"}', "parameters.encrypted"),
        ('{allowAutoIOPSPerGBIncrease: "1"}', "parameters.allowAutoIOPSPerGBIncrease"),
    ],
)
def test_parameters_that_the_ebs_driver_ignores(parameters: str, path: str) -> None:
    assert failures(IGNORED, storage_class(parameters=parameters)) == at(path)
    assert failures(REFUSED, storage_class(parameters=parameters)) == set()


@pytest.mark.parametrize(
    "parameters",
    [
        "{}",
        '{type: gp3, iops: "3000", throughput: "125", encrypted: "true"}',
        '{TYPE: gp3, IOPS: "80000", Throughput: "2000"}',
        '{type: io2, iops: "256000", blockExpress: "true"}',
        '{type: io1, iopsPerGB: "50", allowautoiopspergbincrease: "true"}',
        '{iops: "100", allowAutoIOPSPerGBIncrease: "true"}',
        '{throughput: "1000", iopsPerGB: "500"}',
        '{throughput: "1000", iops: "4000"}',
        '{tagSpecification_1: "a={{ .PVCName }}", csi.storage.k8s.io/fstype: xfs}',
        '{csi.storage.k8s.io/provisioner-secret-name: a, iops: "0", throughput: "0"}',
        '{iops: "${IOPS}", throughput: "${THROUGHPUT}", type: "${TYPE}"}',
    ],
)
def test_parameters_that_the_ebs_driver_takes(parameters: str) -> None:
    assert failures(REFUSED, storage_class(parameters=parameters)) == set()
    assert failures(IGNORED, storage_class(parameters=parameters)) == set()


def test_what_is_filled_in_elsewhere_does_not_pass() -> None:
    assert passed(REFUSED, storage_class(parameters='{iops: "${IOPS}"}')) == (0, 1)


def test_in_tree_parameters_are_translated() -> None:
    text = storage_class(provisioner="kubernetes.io/aws-ebs", parameters="{zones: 'a, b', fsType: ext4, type: gp2}")
    assert failures(REFUSED, text) | failures(IGNORED, text) == set()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("efs-ap", "efs-utils"), "parameters.provisioningMode"),
        (("provisioningMode: efs-ap, ", ""), "parameters.provisioningMode"),
        (("fs-0c4d5e6f7a8b90123", "fs-archive"), "parameters.fileSystemId"),
        (("fs-0c4d5e6f7a8b90123", "fs-0c4d5e6"), "parameters.fileSystemId"),
        (("fs-0c4d5e6f7a8b90123", "FS-0c4d5e6f7a8b90123"), "parameters.fileSystemId"),
        (("fileSystemId", "filesystemid"), "parameters.fileSystemId"),
        (('"700"', '"0800"'), "parameters.directoryPerms"),
        (('"700"', '"700", gidRangeStart: "1000"'), "parameters.gidRangeStart"),
        (('"700"', '"700", gidRangeStart: "2000", gidRangeEnd: "1000"'), "parameters.gidRangeEnd"),
        (('"700"', '"700", uid: "-1"'), "parameters.uid"),
    ],
)
def test_parameters_that_the_efs_driver_refuses(change: tuple[str, str], path: str) -> None:
    text = storage_class(provisioner=EFS, parameters=EFS_PARAMETERS.replace(*change))
    assert failures(REFUSED, text) == at(path)


def test_parameters_that_the_efs_driver_takes_and_ignores() -> None:
    plain = storage_class(provisioner=EFS, parameters=EFS_PARAMETERS)
    assert failures(REFUSED, plain) | failures(IGNORED, plain) == set()
    more = EFS_PARAMETERS.replace('"700"', '"0700", gidRangeStart: "1000", gidRangeEnd: "2000", BasePath: /a')
    assert failures(REFUSED, storage_class(provisioner=EFS, parameters=more)) == set()
    assert failures(IGNORED, storage_class(provisioner=EFS, parameters=more)) == at("parameters.BasePath")
    assert "it knows basePath" in messages(IGNORED, storage_class(provisioner=EFS, parameters=more))[0]


# --- speed ---


def test_a_class_that_asks_for_the_baseline_is_compared_with_others() -> None:
    rule = "storage-class-asks-for-baseline"
    text = storage_class(parameters='{type: gp3, iops: "3000", throughput: "125"}') + storage_class("plain")
    assert failures(rule, text) == at("parameters.iops")
    assert "no faster than plain" in messages(rule, text)[0]
    assert found(rule, text) == {("fail", C, "parameters.iops"), ("pass", "StorageClass plain", "")}


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ('{throughput: "125"}', "parameters.throughput"),
        ('{iops: "3000"}', "parameters.iops"),
        ('{iops: "3000", throughput: "250"}', None),
        ('{iops: "4000", throughput: "125"}', None),
        ('{type: gp2, iops: "3000"}', None),
        ('{type: io2, iops: "3000"}', None),
        ('{iopsPerGB: "10"}', None),
        ("{type: gp3}", None),
    ],
)
def test_a_class_that_asks_for_the_baseline(parameters: str, path: str | None) -> None:
    text = storage_class(parameters=parameters) + storage_class("slow", "{type: gp2}")
    expected = at(path) if path else set()
    assert failures("storage-class-asks-for-baseline", text) == expected
    assert not any("no faster" in said for said in messages("storage-class-asks-for-baseline", text))


NUMBERS = st.integers(-10, 90_000)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(ebs.TYPES)), st.none() | NUMBERS, st.none() | NUMBERS)
def test_the_effective_speed_against_what_the_driver_sends(kind: str, iops: int | None, throughput: int | None) -> None:
    """CreateDisk sends what is above 0, for types that have it; EC2 gives gp3 its baseline for the rest."""
    stated = {"type": kind, "iops": iops, "throughput": throughput}
    text = ", ".join(f'{name}: "{value}"' for name, value in stated.items() if value is not None)
    (obj,) = objects_in(storage_class(parameters=f"{{{text}}}"))
    cls = read_class(obj)
    assert cls is not None
    speed = ebs.performance(cls)
    sent_iops = iops if kind in ("gp3", "io1", "io2") and iops is not None and iops > 0 else None
    sent_throughput = throughput if kind == "gp3" and throughput is not None and throughput > 0 else None
    if kind == "gp3":
        assert speed is not None
        assert (speed.iops, speed.throughput) == (max(sent_iops or 0, 3000), max(sent_throughput or 0, 125))
    elif sent_iops is not None:
        assert speed is not None
        assert speed.iops == sent_iops
    more = (sent_iops or 0) > 3000 or (sent_throughput or 0) > 125
    asks = kind == "gp3" and not more and (iops is not None or throughput is not None)
    assert bool(ebs.baseline_parameters(cls)) == asks


def test_outdated_volume_types() -> None:
    rule = "ebs-volume-type-outdated"
    assert failures(rule, storage_class(parameters="{type: gp2}")) == at("parameters.type")
    assert failures(rule, storage_class(parameters="{type: io1}")) == set()
    assert failures(rule, storage_class(parameters="{type: io1}"), successors={"io1": "io2"}) == at("parameters.type")
    assert passed(rule, storage_class()) == (1, 0)


# --- the rest of a class ---


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (storage_class(volumeBindingMode="Immediate"), True),
        (storage_class(), True),
        (storage_class(volumeBindingMode="WaitForFirstConsumer"), False),
        (storage_class(provisioner=EFS, volumeBindingMode="Immediate"), False),
        (storage_class(provisioner="pd.csi.storage.gke.io"), True),
        (storage_class(provisioner="kubernetes.io/aws-ebs", parameters="{zone: eu-west-1a}"), False),
        (
            storage_class(
                allowedTopologies="[{matchLabelExpressions: [{key: topology.ebs.csi.aws.com/zone, values: [a]}]}]"
            ),
            False,
        ),
        (storage_class(allowedTopologies="[{matchLabelExpressions: [{key: zone, values: [a, b]}]}]"), True),
        (storage_class(allowedTopologies="[{matchLabelExpressions: 3}, null]"), True),
    ],
)
def test_zonal_volumes_that_are_made_too_early(text: str, reported: bool) -> None:
    found_ = failures("storage-class-binds-immediately", text)
    assert {path for _, path, _ in found_} == ({"volumeBindingMode"} if reported else set())


def test_volumes_whose_data_must_stay() -> None:
    rule = "storage-class-deletes-data"
    assert failures(rule, storage_class()) == set()
    assert {path for _, path, _ in failures(rule, storage_class(), classes=["f*"])} == {"reclaimPolicy"}
    assert failures(rule, storage_class(reclaimPolicy="Delete"), classes=["fast"]) == at("reclaimPolicy", 7)
    assert failures(rule, storage_class(reclaimPolicy="Retain"), classes=["fast"]) == set()
    assert failures(rule, storage_class("other"), classes=["fast"]) == set()


def test_volumes_that_cannot_be_enlarged() -> None:
    rule = "storage-class-not-expandable"
    assert failures(rule, storage_class(allowVolumeExpansion="false")) == at("allowVolumeExpansion", 7)
    assert {path for _, path, _ in failures(rule, storage_class())} == {"allowVolumeExpansion"}
    assert failures(rule, storage_class(allowVolumeExpansion="true")) == set()
    assert failures(rule, storage_class(provisioner=EFS)) == set()


def test_several_default_classes() -> None:
    rule = "default-storage-class-ambiguous"
    one, two = storage_class("one", default=True), storage_class("two", default=True)
    path = 'metadata.annotations["storageclass.kubernetes.io/is-default-class"]'
    assert failures(rule, one + two) == {("StorageClass one", path, 4), ("StorageClass two", path, 10)}
    assert found(rule, one + storage_class("two")) == {("pass", "StorageClass one", "")}


@pytest.mark.parametrize("value", ["3", "[a, b]", "{a: {b: c}}", "null", '"${X}"', "{1: 2}"])
@pytest.mark.parametrize("field", ["parameters", "provisioner", "volumeBindingMode", "allowedTopologies", "metadata"])
def test_hostile_values_end_no_rule(field: str, value: str) -> None:
    text = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast}\n"
    text = text if field != "metadata" else text.replace("{name: fast}", "{name: fast, annotations: " + value + "}")
    text += "provisioner: ebs.csi.aws.com\n" if field != "provisioner" else ""
    text += f"{field}: {value}\n" if field != "metadata" else ""
    for rule in (
        "storage-class-refused",
        "storage-class-unencrypted",
        "storage-class-asks-for-baseline",
        "storage-class-binds-immediately",
        "default-storage-class-ambiguous",
        REFUSED,
        IGNORED,
    ):
        failures(rule, text)
