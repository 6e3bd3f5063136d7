"""``kubeassay quota``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit import run_command

QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: shop}
spec:
  hard:
    limits.cpu: "16"
    pods: "50"
"""
WEB = """---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: registry.example/web:1, resources: {limits: {cpu: 1}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {minReplicas: 3, maxReplicas: 15, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
"""
APPLICATION = """---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec: {source: {repoURL: https://git.example/web, path: elsewhere}, destination: {namespace: shop}}
"""
POD = """---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: other}
spec: {containers: [{name: a, image: b}]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def as_json(*arguments: str, code: int = 0) -> Any:
    result = run_command("quota", "--format", "json", *arguments)
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def test_a_table_says_what_is_needed_and_what_is_left(folder: Path) -> None:
    (folder / "a.yaml").write_text(QUOTA + WEB, "utf-8")
    result = run_command("quota")
    assert result.exit_code == 0
    assert result.stdout == (
        "NAMESPACE  QUOTA  RESOURCE    HARD  AT REST  AT MAXIMUM  WITH SURGE  HEADROOM\n"
        "shop       q      limits.cpu  16    3        15          19          -3\n"
        "shop       q      pods        50    3        15          19          31\n"
    )
    assert result.stderr == ""


def test_json_says_what_needs_it_and_where(folder: Path) -> None:
    (folder / "a.yaml").write_text(QUOTA + WEB + POD, "utf-8")
    found = as_json()
    assert found["withoutQuota"] == ["other"]
    assert found["refused"] == found["notEvaluated"] == []
    (space,) = found["namespaces"]
    assert space["namespace"] == "shop"
    limits, pods = space["quotas"][0]["resources"]
    assert pods["resource"] == "pods"
    assert {
        key: limits[key] for key in ("hard", "atRest", "atMaximum", "withSurge", "headroom", "fits", "unknown")
    } == {
        "hard": "16",
        "atRest": {"min": "3", "max": "3"},
        "atMaximum": {"min": "15", "max": "15"},
        "withSurge": {"min": "19", "max": "19"},
        "headroom": "-3",
        "fits": {"atRest": True, "atMaximum": True, "withSurge": False},
        "unknown": [],
    }
    assert limits["location"]["startLine"] == 6
    (need,) = limits["needs"]
    assert (need["object"], need["each"]) == ("Deployment shop/web", {"min": "1", "max": "1"})
    assert need["location"]["startLine"] == 16


def test_what_is_not_known_is_told_with_exit_code_3(folder: Path) -> None:
    (folder / "a.yaml").write_text(QUOTA + WEB + APPLICATION, "utf-8")
    result = run_command("quota")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[2].split() == ["shop", "q", "pods", "50", "3+", "15+", "19+", "unknown"]
    assert result.stderr == (
        "namespace shop: Application argocd/web may deploy to this namespace (limits.cpu, pods not known in full)\n"
    )
    quiet = run_command("quota", "--quiet", "--allow-incomplete")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, result.stdout, "")
    assert as_json(code=3)["notEvaluated"] == result.stderr.splitlines()


def test_what_is_refused_is_told(folder: Path) -> None:
    text = QUOTA + WEB.replace("{limits: {cpu: 1}}", "{}")
    text += "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: shop}\n"
    text += "spec: {limits: [{type: Node}]}\n"
    (folder / "a.yaml").write_text(text, "utf-8")
    lines = run_command("quota").stdout.splitlines()
    assert lines[-2:] == [
        'a.yaml:26: refused: LimitRange shop/l: "Node" is not a type of limits',
        "a.yaml:16: refused: pods of Deployment shop/web: container app does not state limits.cpu, which"
        " ResourceQuota shop/q limits",
    ]


def test_what_is_refused_where_no_quota_is_in_effect_is_told(folder: Path) -> None:
    limits = "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: shop}\n"
    (folder / "a.yaml").write_text(WEB + limits + "spec: {limits: [{type: Container, max: {cpu: 500m}}]}\n", "utf-8")
    (found,) = as_json()["refused"]
    assert found["message"].startswith("pods of Deployment shop/web: container app has a cpu limit of 1, at most 500m")
    (folder / "a.yaml").write_text(WEB + "---\n" + QUOTA.replace('"50"', '"-1"'), "utf-8")
    assert [said["message"] for said in as_json()["refused"]] == ["ResourceQuota shop/q: pods is below 0"]
    assert [said["message"] for said in as_json("-n", "shop", "-n", "shop")["refused"]] == [
        "ResourceQuota shop/q: pods is below 0"
    ]


def test_what_may_be_refused_is_not_known(folder: Path) -> None:
    """Which of two defaults a container gets is not, so whether it is within its bound is not either."""
    text = WEB.replace("{limits: {cpu: 1}}", "{}")
    for name, entry in (("a", "default: {memory: 1Gi}"), ("b", "default: {memory: 3Gi}")):
        text += f"---\napiVersion: v1\nkind: LimitRange\nmetadata: {{name: {name}, namespace: shop}}\n"
        text += f"spec: {{limits: [{{type: Container, {entry}}}]}}\n"
    text += "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: c, namespace: shop}\n"
    text += "spec: {limits: [{type: Pod, max: {memory: 2Gi}}]}\n"
    (folder / "a.yaml").write_text(text, "utf-8")
    found = as_json(code=3)
    assert found["refused"] == []
    assert found["notEvaluated"] == [
        "namespace shop: whether a LimitRange refuses the pods of Deployment shop/web is not known"
    ]


def test_one_namespace_and_one_version(folder: Path) -> None:
    (folder / "a.yaml").write_text(QUOTA + WEB + POD + QUOTA.replace("shop", "other").join(("---\n", "")), "utf-8")
    assert [entry["namespace"] for entry in as_json()["namespaces"]] == ["other", "shop"]
    assert [entry["namespace"] for entry in as_json("-n", "other")["namespaces"]] == ["other"]
    result = run_command("quota", "-n", "nowhere")
    assert result.exit_code == 2
    assert "nothing of this namespace" in result.stderr
    assert run_command("quota", "--kubernetes-version", "one").exit_code == 2
    limited = "resources: {limits: {cpu: 1}}"
    level = WEB.replace(f", {limited}", "").replace("spec: {containers", f"spec: {{{limited}, containers")
    (folder / "a.yaml").write_text(QUOTA + level, "utf-8")
    assert as_json("--kubernetes-version", "1.34")["refused"] == []
    assert len(as_json("--kubernetes-version", "1.33")["refused"]) == 1


def test_no_quota_at_all(folder: Path) -> None:
    (folder / "a.yaml").write_text(WEB, "utf-8")
    result = run_command("quota")
    assert (result.exit_code, result.stdout) == (0, "no ResourceQuota limits anything here\n")
    assert result.stderr == "without a quota: shop\n"


def test_what_is_not_readable_is_told(folder: Path) -> None:
    (folder / "a.yaml").write_text(QUOTA, "utf-8")
    (folder / "b.yaml").write_text("a: [", "utf-8")
    result = run_command("quota")
    assert result.exit_code == 3
    assert "b.yaml" in result.stderr


def test_hostile_names_do_not_reach_the_terminal(folder: Path) -> None:
    (folder / "a.yaml").write_text(QUOTA.replace("name: q", 'name: "q\\e[2J"') + WEB, "utf-8")
    result = run_command("quota")
    assert "\x1b" not in result.stdout
