"""The examples of docs/deploy.md are what Kustomize and Helm take."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploy.rendering import CHART, KUBERNETES, KUSTOMIZE, ROOT, STRICT, objects, run, tool
from kubeassay.cli.manifest_text import manifest_text
from kubeassay.cli.rights import cluster_role

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(# (?:kustomization|values)\.yaml\n.*?)```", PAGE, re.DOTALL)
DIGEST = "registry.mine/kubeassay@sha256:" + "0" * 64


def kustomized(block: str, folder: Path) -> str:
    # Kustomize takes no absolute paths.
    (folder / "kubeassay" / "deploy").mkdir(parents=True)
    (folder / "kubeassay" / "deploy" / "kustomize").symlink_to(KUSTOMIZE)
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "kustomization.yaml").write_text(block, encoding="utf-8")
    return run(tool("kustomize"), "build", folder / "mine")


@pytest.mark.parametrize("block", [block for block in BLOCKS if "kustomization" in block.splitlines()[0]])
def test_an_overlay_of_the_page_changes_the_base(block: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copyfile(STRICT / "exceptions.yaml", tmp_path / "mine" / "exceptions.yaml")
    found = objects(kustomized(block, tmp_path))
    plain = objects(run(tool("kustomize"), "build", KUSTOMIZE / "base"))
    if "configMapGenerator" in block:
        (made,) = found.keys() - plain.keys()
        spec = found["CronJob", "kubeassay"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        # Kustomize names it by its content, in the pod, too.
        assert made[1].startswith("kubeassay-exceptions-")
        assert {"name": "exceptions", "configMap": {"name": made[1]}} in spec["volumes"]
        assert list(found[made]["data"]) == ["exceptions.yaml"]
        return
    assert found.keys() == plain.keys()
    assert found != plain
    if "images:" in block:
        spec = found["CronJob", "kubeassay"]["spec"]
        (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == DIGEST
        assert "--cluster-name=prod" in container["args"]
        assert "--cluster-name=in-cluster" not in container["args"]
    else:
        assert found["ClusterRole", "kubeassay"]["rules"][-1]["apiGroups"] == ["example.com"]


def test_the_values_of_the_page_are_taken(tmp_path: Path) -> None:
    (block,) = (block for block in BLOCKS if "values" in block.splitlines()[0])
    (tmp_path / "values.yaml").write_text(block, encoding="utf-8")
    template = [tool("helm"), "template", "kubeassay", CHART, "--kube-version", KUBERNETES]
    found = objects(run(*template, "-f", tmp_path / "values.yaml"))
    (container,) = found["CronJob", "kubeassay"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == DIGEST
    assert {"--cluster-name=prod", "--keep=60"} <= set(container["args"])
    assert found["PersistentVolumeClaim", "kubeassay-results"]["spec"]["storageClassName"] == "encrypted"
    assert found["ClusterRole", "kubeassay"]["rules"][-1] == {
        "apiGroups": ["example.com"],
        "resources": ["*"],
        "verbs": ["list"],
    }


def test_a_role_that_rights_prints_takes_the_place_of_the_base_s(tmp_path: Path) -> None:
    assert "patches: [{path: role.yaml}]" in PAGE
    (tmp_path / "mine").mkdir()
    role = cluster_role("kubeassay", [("", "pods"), ("example.com", "things")])
    (tmp_path / "mine" / "role.yaml").write_text(manifest_text(role), encoding="utf-8")
    overlay = "resources: [../kubeassay/deploy/kustomize/base]\npatches: [{path: role.yaml}]\n"
    found = objects(kustomized(overlay, tmp_path))
    assert found["ClusterRole", "kubeassay"]["rules"] == role["rules"]


def test_the_page_names_what_is_there() -> None:
    for path in re.findall(r"\bdeploy/[\w./-]+\w", PAGE):
        assert (ROOT / path).exists(), path
    assert len(BLOCKS) == 4
