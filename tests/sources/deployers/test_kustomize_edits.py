"""What Argo CD changes of a kustomization, compared with Kustomize itself: ``kustomize edit`` and a build."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployer_trees import tree

from deploy.rendering import run, tool
from kubeassay.sources.deployers.kustomizations import argocd_edits, on_top
from kubeassay.sources.deployers.model import UnfollowableError

_RESOURCES = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: web, image: "shop/web:v1"}, {name: side, image: "mirror/side"}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: view}
subjects: [{kind: ServiceAccount, name: web}, {kind: ServiceAccount, name: default}]
"""
_PAUSED = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {paused: true}\n"
_IMAGE = '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other/web:v9"}]'
_LABEL = '[{"op": "add", "path": "/metadata/labels/x", "value": "y"}]'

_STATED: list[dict[str, Any]] = [
    {},
    {"namePrefix": "p-"},
    {"nameSuffix": "-s"},
    {"namespace": "own"},
    {"commonLabels": {"team": "a"}},
    {"labels": [{"pairs": {"team": "a"}, "includeSelectors": False}]},
    {"commonAnnotations": {"note": "a"}},
    {"images": [{"name": "shop/web", "newTag": "v2"}]},
    {"images": [{"name": "shop/web", "newName": "mirror/web", "newTag": "v2"}]},
    {"replicas": [{"name": "web", "count": 3}]},
    {"patches": [{"patch": _PAUSED}]},
    {"configMapGenerator": [{"name": "c", "literals": ["a=b"]}]},
    {"namePrefix": "p-", "namespace": "own", "images": [{"name": "mirror/side", "newTag": "v5"}]},
]
_WANTED: list[dict[str, Any]] = [
    {"namePrefix": "q-"},
    {"nameSuffix": "-t"},
    {"namespace": "shop"},
    {"images": ["shop/web:v7"]},
    {"images": ["shop/web=other/web", "mirror/side@sha256:" + "0" * 64]},
    {"images": ["mirror/web:v8"]},
    {"commonLabels": {"env": "x"}},
    {"commonLabels": {"team": "b"}, "forceCommonLabels": True},
    {"commonLabels": {"env": "x"}, "labelWithoutSelector": True},
    {"commonLabels": {"env": "x"}, "labelWithoutSelector": True, "labelIncludeTemplates": True},
    {"commonAnnotations": {"note": "b"}, "forceCommonAnnotations": True},
    {"replicas": [{"name": "web", "count": 5}]},
    {"patches": [{"patch": _PAUSED}]},
    {"patches": [{"patch": _IMAGE, "target": {"kind": "Deployment"}}]},
    {"patches": [{"patch": _LABEL, "target": {"kind": "Deployment", "name": "web"}}]},
    {"namePrefix": "q-", "namespace": "shop", "commonLabels": {"env": "x"}, "images": ["shop/web:v7"]},
]


def _edit(folder: Path, wanted: dict[str, Any]) -> None:
    """The commands that Argo CD runs (util/kustomize, Build)."""

    def edit(*arguments: str) -> None:
        run("sh", "-c", 'cd "$0" && shift 0 && exec "$@"', folder, tool("kustomize"), "edit", *arguments)

    for field, command in (("namePrefix", "nameprefix"), ("nameSuffix", "namesuffix")):
        if field in wanted:
            edit("set", command, "--", wanted[field])
    if "images" in wanted:
        edit("set", "image", *wanted["images"])
    if "replicas" in wanted:
        edit("set", "replicas", *(f"{one['name']}={one['count']}" for one in wanted["replicas"]))
    if "commonLabels" in wanted:
        flags = {"forceCommonLabels": "-f", "labelWithoutSelector": "--without-selector"}
        flags["labelIncludeTemplates"] = "--include-templates"
        chosen = [flag for field, flag in flags.items() if wanted.get(field)]
        edit("add", "label", *chosen, *(f"{key}:{value}" for key, value in wanted["commonLabels"].items()))
    if "commonAnnotations" in wanted:
        edit("add", "annotation", "-f", *(f"{key}:{value}" for key, value in wanted["commonAnnotations"].items()))
    if "namespace" in wanted:
        edit("set", "namespace", "--", wanted["namespace"])
    if "patches" in wanted:
        file = folder / "kustomization.yaml"
        stated = yaml.safe_load(file.read_text(encoding="utf-8"))
        stated["patches"] = [*stated.get("patches", []), *wanted["patches"]]
        file.write_text(yaml.safe_dump(stated), encoding="utf-8")


def _plain(value: Any) -> Any:
    """A value without what is False, which the command does not write."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not False}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _built(folder: Path) -> list[str]:
    return sorted(
        json.dumps(one, sort_keys=True) for one in yaml.safe_load_all(run(tool("kustomize"), "build", folder))
    )


@pytest.mark.parametrize("number", range(len(_WANTED)))
def test_a_build_of_what_is_on_top_is_that_of_the_edited_file(tmp_path: Path, number: int) -> None:
    wanted, compared = _WANTED[number], 0
    for count, stated in enumerate(_STATED):
        text = json.dumps({"resources": ["all.yaml"], **stated})
        root = tree(tmp_path / str(count), {"web/kustomization.yaml": text, "web/all.yaml": _RESOURCES}, git=False)
        edited = root / "edited"
        shutil.copytree(root / "web", edited)
        _edit(edited, wanted)
        edits = argocd_edits(wanted, stated, str(root / "web"), str(root), str)
        after = yaml.safe_load((edited / "kustomization.yaml").read_text(encoding="utf-8"))
        assert _plain({field: after.get(field) for field in edits}) == _plain(edits), (wanted, stated)
        try:
            overrides = on_top(edits, stated, str(root / "web"), str(root))
        except UnfollowableError:
            continue
        compared += 1
        (root / "top").mkdir()
        top = root / "top" / "kustomization.yaml"
        top.write_text(json.dumps({"resources": ["../web"], **overrides}), encoding="utf-8")
        assert _built(root / "top") == _built(edited), (wanted, stated)
    # Most kustomizations only list files.
    assert compared >= 4
