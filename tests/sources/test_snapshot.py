"""Snapshots: nothing secret is in them, and rules judge what is left as they judge the whole."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kit import LIBRARY, failing, objects_in, plan_of, profile_of
from kubeassay.execution.scan import scan
from kubeassay.model import Example, Rule, Target
from kubeassay.model.unread import Unread
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.manifests import read_bytes
from kubeassay.sources.object_store import ObjectStore
from kubeassay.sources.snapshot import (
    Snapshot,
    SnapshotError,
    encode,
    file_name,
    is_snapshot,
    live_file,
    read,
    write,
)

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.id}-{number}-{example.outcome}")
    for rule in LIBRARY.rules.values()
    for number, example in enumerate(rule.examples)
]


def pod(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": [{"name": "c", "image": "i:1", **container}]},
    }


def outcomes(rule: Rule, example: Example, objects: list[tuple[str, bytes]]) -> Any:
    files = [SourceFile("", name, len(content), live={name: content}) for name, content in objects]
    result = scan(plan_of(profile_of(rule.id, **example.parameters)), Discovery(files=files), Target("cluster", "c"))
    return (
        [(f.object, f.path, f.container, f.location.start_line) for f in failing(result)],
        result.summary.passed,
        result.summary.not_evaluated,
    )


def one_pod() -> Snapshot:
    return Snapshot("c", "v1.33.1", files=ObjectStore.of(dict([live_file("c", pod())])))


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_redaction_changes_no_verdict(rule: Rule, example: Example) -> None:
    values = [obj.value for obj in objects_in(example.text) if obj.ref.kind != "Secret"]
    if any("kubectl.kubernetes.io/last-applied" in json.dumps(value) for value in values):
        return
    whole = [(file_name("c", value), encode(value)) for value in values]
    redacted = [live_file("c", copy.deepcopy(value)) for value in values]
    assert outcomes(rule, example, redacted) == outcomes(rule, example, whole)


@pytest.mark.parametrize(
    "container",
    [
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2hunter2"}]},
        {"env": [{"name": "URL", "value": "postgres://u:hunter2hunter2@db/x"}]},
        {"args": ["--password=hunter2hunter2"]},
        {"args": ["--password", "hunter2hunter2"]},
        {"command": ["sh", "-c", "curl -u x:hunter2hunter2 --password=hunter2hunter2 y"]},
        {"image": "user:hunter2hunter2@registry/image:1"},
    ],
)
def test_a_secret_is_not_stored(container: dict[str, Any]) -> None:
    name, content = live_file("c", pod(**container))
    assert b"hunter2" not in content
    assert live_file("c", json.loads(content)) == (name, content)


def test_the_values_of_a_secret_and_copies_of_an_object_are_not_stored() -> None:
    metadata = {
        "name": "s",
        "namespace": "n",
        "managedFields": [{"manager": "hunter2"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"hunter2"}}'},
    }
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"a": "hunter2"}, "type": "Opaque"}
    assert b"hunter2" not in live_file("c", value)[1]


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "Secret", "spec": {"password": "hunter2hunter2", "pin": 48151623}},
        {"kind": "Secret", "spec": {"image": 48151623, "images": [{"image": "hunter2"}]}},
        {"kind": "Secret", "data": {"a": "hunter2"}, "spec": {"values": ["hunter2", 48151623]}},
        {"kind": "Database", "spec": {"password": 48151623, "args": ["--password", 48151623]}},
        {"kind": "Set", "spec": {"template": {"kind": "Secret", "data": {"a": "hunter2", "b": 48151623}}}},
    ],
)
def test_secrets_of_custom_resources_are_not_stored(value: dict[str, Any]) -> None:
    name, content = live_file("c", {"apiVersion": "example.com/v1", "metadata": {"name": "x"}, **value})
    assert b"hunter2" not in content
    assert b"48151623" not in content
    assert live_file("c", json.loads(content)) == (name, content)


def test_whose_token_a_secret_holds_stays_known() -> None:
    annotations = {"kubernetes.io/service-account.name": "build", "applied": "H4sIAAAAAAAA"}
    metadata = {"name": "t", "namespace": "n", "annotations": annotations}
    value = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/service-account-token"}
    _, content = live_file("c", value)
    assert b'"kubernetes.io/service-account.name":"build"' in content
    assert b"H4sIAAAAAAAA" not in content


def test_what_a_rollout_changes_is_not_stored() -> None:
    def deployment(annotations: dict[str, str], of_pods: dict[str, str]) -> dict[str, Any]:
        template = {"metadata": {"annotations": of_pods}, "spec": pod()["spec"]}
        metadata = {"name": "d", "namespace": "n", "annotations": annotations}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template}}

    revision, restarted = "deployment.kubernetes.io/revision", "kubectl.kubernetes.io/restartedAt"
    _, kept = live_file("c", deployment({"a": "b", revision: "1"}, {"c": "d", restarted: "2026-01-02T03:04:05Z"}))
    assert json.loads(kept) == deployment({"a": "b"}, {"c": "d"})
    _, rest = live_file("c", deployment({revision: "1"}, {restarted: "2026-01-02T03:04:05Z"}))
    assert b"annotations" not in rest


def test_a_snapshot_of_an_earlier_version_names_no_resources(tmp_path: Path) -> None:
    snapshot = Snapshot("c", "v1.33.1", files=dict([live_file("c", pod())]), resources={("v1", "Pod"): "pods"})
    header, line = write(snapshot, "s").splitlines()
    earlier = {key: value for key, value in json.loads(header).items() if key != "resources"}
    (tmp_path / "s").write_bytes(encode(earlier) + b"\n" + line)
    assert read(str(tmp_path / "s")).resources == {}


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz"])
def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    snapshot = Snapshot(
        "c",
        "v1.33.1",
        [Unread("", "Secret", None, "forbidden", "says no")],
        dict([live_file("c", pod())]),
        ["Pod"],
        narrowed=("Pod",),
        namespaces=("n",),
        selector="a=b",
        resources={("v1", "Pod"): "pods", ("apps/v1", "Deployment"): "deployments"},
    )
    path = tmp_path / name
    path.write_bytes(write(snapshot, name))
    assert is_snapshot(str(path))
    assert read(str(path)) == snapshot
    assert write(snapshot, name) == path.read_bytes()


def test_a_cut_snapshot_is_refused(tmp_path: Path) -> None:
    content = write(one_pod(), "s.jsonl")
    for cut in (content[: content.index(b"\n") + 1], content[:-20]):
        (tmp_path / "s").write_bytes(cut)
        with pytest.raises(SnapshotError):
            read(str(tmp_path / "s"))
    (tmp_path / "z").write_bytes(gzip.compress(content)[:-12])
    with pytest.raises(SnapshotError):
        read(str(tmp_path / "z"))


def test_a_snapshot_among_manifests_is_not_read_as_manifests(tmp_path: Path) -> None:
    content = write(one_pod(), "s.json")
    found = read_bytes(content, "s.json")
    assert found.objects == []
    assert len(found.errors) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"unread": [{"group": [], "kind": {}, "namespace": 1, "reason": None, "detail": 1, "but": 5}]},
        {"unread": 5},
        {"unread": [[]]},
        {"namespaces": 7},
        {"objects": 2},
        {"asked": None},
        {"selector": "a b"},
        {"resources": []},
        {"resources": {"v1": "pods"}},
    ],
)
def test_a_snapshot_of_other_hands_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    header, line = write(one_pod(), "s").splitlines()
    (tmp_path / "s").write_bytes(encode({**json.loads(header), **change}) + b"\n" + line)
    with pytest.raises(SnapshotError):
        read(str(tmp_path / "s"))


def test_an_object_that_stands_twice_is_refused(tmp_path: Path) -> None:
    header, line = write(one_pod(), "s").splitlines(keepends=True)
    (tmp_path / "s").write_bytes(header.replace(b'"objects":1', b'"objects":2') + line + line)
    with pytest.raises(SnapshotError, match="twice"):
        read(str(tmp_path / "s"))


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"\x1f\x8bxxxx", b"kind: Pod\n", b'{"kind":"Pod"}'])
def test_other_files_are_no_snapshots(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    assert not is_snapshot(str(tmp_path / "f"))
    assert not is_snapshot(str(tmp_path))


def test_what_stands_below_a_secrets_name_is_replaced() -> None:
    value = {
        "apiVersion": "example.com/v1",
        "kind": "Shop",
        "metadata": {"name": "shop"},
        "spec": {"passwords": ["hunter2"], "tokens": {"ci": "hunter2"}, "credentials": {"value": "hunter2"}},
    }
    _, content = live_file("c", value)
    assert b"hunter2" not in content
    assert json.loads(content)["spec"].keys() == {"passwords", "tokens", "credentials"}
