"""Kustomizations and charts, from the command to the line that states a field: with the real programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kit import git, give_program, run_command
from kubeassay.execution.inventory import read_inventory
from kubeassay.execution.rendering import RenderOptions, rendered
from kubeassay.model import NEWEST_KNOWN
from kubeassay.sources.git_tree import tree_at

_CONTAINER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: registry.example/api:1.0
          securityContext:
            privileged: PRIVILEGED
"""
_PATCH = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      hostNetwork: true
      containers: [{name: api}]
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def kustomize(monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("kustomize", monkeypatch)


@pytest.fixture
def helm(monkeypatch: pytest.MonkeyPatch) -> None:
    give_program("helm", monkeypatch)


def _put(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _scanned(*arguments: str) -> dict[str, Any]:
    done = run_command("scan", "--render", "--format", "json", "--fail-on", "none", *arguments)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _places(result: dict[str, Any], rule: str) -> list[tuple[str, int, list[str]]]:
    return [
        (finding["location"]["file"], finding["location"]["startLine"], finding.get("environments", []))
        for finding in result["results"]
        if finding["rule"] == rule and finding["outcome"] == "fail"
    ]


def _overlays() -> None:
    _put("base/kustomization.yaml", "resources: [api.yaml]\n")
    _put("base/api.yaml", _CONTAINER.replace("PRIVILEGED", "true"))
    for name in ("production", "staging"):
        _put(
            f"overlays/{name}/kustomization.yaml", f"namespace: {name}\nnamePrefix: {name}-\nresources: [../../base]\n"
        )
    _put(
        "overlays/staging/kustomization.yaml",
        "namespace: staging\nresources: [../../base]\npatches: [{path: host.yaml}]\n",
    )
    _put("overlays/staging/host.yaml", _PATCH)


@pytest.mark.usefixtures("kustomize")
def test_a_tree_s_overlays_are_judged_and_its_bases_are_not(tree: Path) -> None:
    _overlays()
    result = _scanned(".")
    assert result["errors"] == []
    names = {finding["object"]["name"] for finding in result["results"]}
    assert names == {"production-api", "api"}
    assert {finding["object"]["namespace"] for finding in result["results"]} == {"production", "staging"}
    # The base states one, the patch of one overlay the other.
    assert {place[:2] for place in _places(result, "privileged-container")} == {("base/api.yaml", 13)}
    assert {place[:2] for place in _places(result, "host-namespaces")} == {("overlays/staging/host.yaml", 7)}
    assert [made["file"] for made in result["rendered"]] == [
        "overlays/production/kustomization.yaml",
        "overlays/staging/kustomization.yaml",
    ]


@pytest.mark.usefixtures("kustomize")
def test_one_overlay_is_built_by_name_and_reads_its_base(tree: Path) -> None:
    _overlays()
    result = _scanned("--kustomize", "overlays/production")
    assert {finding["object"]["name"] for finding in result["results"]} == {"production-api"}
    assert _places(result, "host-namespaces") == []


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize(
    "entry",
    ["https://example.com/base.yaml", "github.com/example/repo/base?ref=v1", "../../outside", "/etc"],
)
def test_what_is_not_in_the_tree_is_not_loaded(tree: Path, entry: str) -> None:
    _put("in/.git/HEAD", "")
    _put("outside/kustomization.yaml", "resources: [secret.yaml]\n")
    _put("outside/secret.yaml", _CONTAINER.replace("PRIVILEGED", "true"))
    _put("in/overlay/kustomization.yaml", f"resources:\n  - {entry}\n")
    result = _scanned("in")
    assert result["results"] == []
    assert [(error["file"], error["line"]) for error in result["errors"]] == [("in/overlay/kustomization.yaml", 2)]


@pytest.mark.usefixtures("kustomize")
def test_a_link_out_of_the_tree_is_not_followed(tree: Path) -> None:
    _put("in/.git/HEAD", "")
    _put("outside.yaml", _CONTAINER.replace("PRIVILEGED", "true"))
    _put("in/overlay/kustomization.yaml", "namePrefix: x-\nresources:\n  - link.yaml\n")
    os.symlink(tree / "outside.yaml", tree / "in/overlay/link.yaml")  # noqa: PTH211
    result = _scanned("in")
    assert result["results"] == []
    assert ("in/overlay/kustomization.yaml", 3) in {(error["file"], error["line"]) for error in result["errors"]}


def test_a_kustomization_that_only_lists_files_needs_no_program(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(tree / "none"))
    _put("app/kustomization.yaml", "resources: [api.yaml]\n")
    _put("app/api.yaml", _CONTAINER.replace("PRIVILEGED", "true"))
    result = _scanned(".")
    assert _places(result, "privileged-container") == [("app/api.yaml", 13, [])]
    assert not [entry for entry in result["notEvaluated"] if entry["reason"] == "not-rendered"]


def test_without_a_program_what_is_not_rendered_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEASSAY_KUSTOMIZE", str(tree / "none"))
    _overlays()
    result = _scanned(".")
    assert "rendered" not in result
    told = [entry for entry in result["notEvaluated"] if entry["reason"] == "not-rendered"]
    assert {entry["file"] for entry in told} >= {"overlays/staging/kustomization.yaml"}
    errors = [error for error in result["errors"] if error["file"] == "overlays/staging/kustomization.yaml"]
    assert len(errors) == 1
    assert "KUBEASSAY_KUSTOMIZE" in errors[0]["message"]


def _chart() -> None:
    _put("chart/Chart.yaml", "apiVersion: v2\nname: api\nversion: 1.0.0\n")
    _put("chart/values.yaml", "privileged: false\nhooked: true\n")
    _put("chart/templates/api.yaml", _CONTAINER.replace("PRIVILEGED", "{{ .Values.privileged }}"))
    hook = _CONTAINER.replace("{name: api}", "{name: hook, annotations: {helm.sh/hook: pre-install}}", 1)
    _put("chart/templates/hook.yaml", hook.replace("PRIVILEGED", "true"))


@pytest.mark.usefixtures("helm")
def test_a_chart_is_judged_with_the_values_that_are_given(tree: Path) -> None:
    _chart()
    assert _places(_scanned("chart"), "privileged-container") == []
    _put("production.yaml", "# What production has.\nprivileged: true\n")
    (place,) = _places(_scanned("--helm", "chart", "--values", "production.yaml"), "privileged-container")
    assert place[0] in ("production.yaml", "chart/templates/api.yaml")
    assert place[1] == {"production.yaml": 2, "chart/templates/api.yaml": 13}[place[0]]
    assert len(_places(_scanned("--helm", "chart", "--hooks"), "privileged-container")) == 1


@pytest.mark.usefixtures("helm")
def test_a_chart_that_fails_is_told_and_the_rest_is_judged(tree: Path) -> None:
    _chart()
    _put("chart/templates/broken.yaml", 'kind: ConfigMap\ndata: {{ required "give it" .Values.missing }}\n')
    _put("plain.yaml", _CONTAINER.replace("PRIVILEGED", "true"))
    result = _scanned(".")
    assert [place[0] for place in _places(result, "privileged-container")] == ["plain.yaml"]
    (error,) = result["errors"]
    assert (error["file"], error["line"]) == ("chart/templates/broken.yaml", 2)


@pytest.mark.usefixtures("kustomize")
def test_a_matrix_judges_each_environment_by_itself(tree: Path) -> None:
    _overlays()
    _put(
        "kubeassay.yaml",
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\nspec:\n  environments:\n"
        "    - {name: staging, kustomize: [overlays/staging]}\n"
        "    - {name: production, kustomize: [overlays/production], profile: strict}\n",
    )
    result = _scanned("--matrix", "kubeassay.yaml")
    assert [(e["name"], e["profile"]) for e in result["environments"]] == [
        ("staging", "recommended"),
        ("production", "strict"),
    ]
    assert _places(result, "host-namespaces") == [("overlays/staging/host.yaml", 7, ["staging"])]


_BARE = _CONTAINER.replace("PRIVILEGED", "true")


@pytest.mark.usefixtures("helm")
def test_what_helm_does_not_render_of_a_chart_s_folder_is_judged_as_it_stands(tree: Path) -> None:
    # A repository that is a chart as a whole.
    _put("Chart.yaml", "apiVersion: v2\nname: api\nversion: 1.0.0\n")
    _put("templates/api.yaml", _BARE)
    _put("deploy/other.yaml", _BARE.replace("name: api", "name: other"))
    _put("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n")
    _put("charts/sub/deploy/third.yaml", _BARE.replace("name: api", "name: third"))
    places = {place[0] for place in _places(_scanned("."), "privileged-container")}
    assert places == {"templates/api.yaml", "deploy/other.yaml", "charts/sub/deploy/third.yaml"}


@pytest.mark.usefixtures("kustomize")
def test_what_is_put_into_the_data_of_an_object_is_judged_as_it_stands(tree: Path) -> None:
    _put("app/kustomization.yaml", "configMapGenerator: [{name: packed, files: [packed.yaml]}]\n")
    _put("app/packed.yaml", _BARE)
    result = _scanned(".")
    assert _places(result, "privileged-container") == [("app/packed.yaml", 13, [])]
    assert [made["file"] for made in result["rendered"]] == ["app/kustomization.yaml"]


@pytest.mark.usefixtures("kustomize")
def test_what_a_revision_had_is_rendered_and_called_as_it_is_called_here(tree: Path) -> None:
    _overlays()
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "before")
    _put("base/api.yaml", "# More.\n" + _BARE)
    _put("overlays/staging/host.yaml", _PATCH.replace("true", "false"))
    copy = tree / "copy"
    copy.mkdir()
    before = tree_at("HEAD", ["."], copy, ignore=True, max_file_size=2**20, render=True)
    read = read_inventory(rendered(before.discovery, RenderOptions()), NEWEST_KNOWN)
    spec = ("spec", "template", "spec")
    privileged = {obj.locate((*spec, "containers", 0, "securityContext", "privileged")) for obj in read.inventory}
    assert {(place.file, place.start_line) for place in privileged} == {("base/api.yaml", 13)}
    hosts = [obj.locate((*spec, "hostNetwork")) for obj in read.inventory if obj.get(*spec, "hostNetwork")]
    assert [(place.file, place.start_line) for place in hosts] == [("overlays/staging/host.yaml", 7)]
    done = run_command("scan", "--render", "--since", "HEAD", "-f", "json", "--fail-on", "none", "base", "overlays")
    # Nothing is new but what a pod on the node's network was not judged for.
    assert {finding["rule"] for finding in json.loads(done.stdout)["results"]} == {"namespace-without-isolation"}
    assert "1 fixed" in done.stderr


@pytest.mark.usefixtures("kustomize", "helm")
def test_a_chart_of_a_revision_is_called_as_it_is_called_here(tree: Path) -> None:
    _put("chart/Chart.yaml", "apiVersion: v2\nname: api\nversion: 1.0.0\n")
    _put("chart/templates/api.yaml", _BARE)
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "before")
    copy = tree / "copy"
    copy.mkdir()
    before = tree_at("HEAD", ["chart"], copy, ignore=True, max_file_size=2**20, render=True)
    (obj,) = read_inventory(rendered(before.discovery, RenderOptions()), NEWEST_KNOWN).inventory
    place = obj.locate(("spec", "template", "spec", "containers", 0, "securityContext", "privileged"))
    assert (place.file, place.start_line) == ("chart/templates/api.yaml", 13)


_SAYS = """\
#!/bin/sh
case "$1" in version) echo '{"clientVersion": {"gitVersion": "v1.32.4"}, "kustomizeVersion": "v5.5.0"}'; exit 0;; esac
echo 'E1125 09:12:58.615846   23044 run.go:72] "command failed" err="no matches for Id \\"api\\""' >&2
exit 1
"""


def test_what_kubectl_says_of_a_failure_is_told_without_its_time(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tree / "bin" / "kubectl"
    _put("bin/kubectl", _SAYS)
    program.chmod(0o755)
    monkeypatch.setenv("KUBEASSAY_KUBECTL", str(program))
    _put("app/kustomization.yaml", "namePrefix: x-\nresources: [api.yaml]\n")
    _put("app/api.yaml", _BARE)
    (error,) = _scanned("app")["errors"]
    assert error["message"] == 'is not rendered: no matches for Id "api"'


# --- what one environment has and another gets ---


def _privileged_in(*names: str) -> None:
    _put("base/kustomization.yaml", "resources: [api.yaml]\n")
    _put("base/api.yaml", _CONTAINER.replace("PRIVILEGED", "false"))
    for name in ("production", "staging"):
        patch = "patches: [{path: p.yaml}]\n" if name in names else ""
        _put(f"overlays/{name}/kustomization.yaml", f"namespace: shop\nresources: [../../base]\n{patch}")
        if patch:
            _put(
                f"overlays/{name}/p.yaml",
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {template: {spec: {containers: "
                "[{name: api, securityContext: {privileged: true}}]}}}\n",
            )
        else:
            Path(f"overlays/{name}/p.yaml").unlink(missing_ok=True)


@pytest.mark.usefixtures("kustomize")
def test_what_comes_to_another_environment_is_new_there(tree: Path) -> None:
    git(tree, "init", "-q")
    _privileged_in("staging")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "one")
    scan = ("scan", ".", "--render", "-p", "pss-baseline", "--fail-on", "high", "--quiet")
    run_command(*scan, "-o", "accepted=a.json", "-o", "json=r.json")
    assert run_command(*scan, "--accepted", "a.json").exit_code == 0
    assert run_command(*scan, "--since", "HEAD").exit_code == 0
    for names in (("production",), ("production", "staging")):
        _privileged_in(*names)
        assert run_command(*scan, "--since", "HEAD").exit_code == 1, names
        assert run_command(*scan, "--accepted", "a.json").exit_code == 1, names
        assert run_command(*scan, "--compare", "r.json", "--fail-on-new").exit_code == 1, names
    # What is gone from one of them is not new in the other.
    _privileged_in("production", "staging")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "two")
    run_command(*scan, "-o", "accepted=a.json", "-o", "json=r.json")
    _privileged_in("production")
    assert run_command(*scan, "--since", "HEAD").exit_code == 0
    assert run_command(*scan, "--accepted", "a.json").exit_code == 0


@pytest.mark.usefixtures("kustomize")
def test_overlays_that_list_the_same_are_environments(tree: Path) -> None:
    """Neither changes a thing, and what one lists besides is in its own cluster alone."""
    _put("base/kustomization.yaml", "resources: [api.yaml]\n")
    _put("base/api.yaml", _CONTAINER.replace("PRIVILEGED", "false"))
    _put("overlays/production/kustomization.yaml", "resources: [../../base]\n")
    _put("overlays/staging/kustomization.yaml", "resources: [../../base, deny.yaml]\n")
    _put(
        "overlays/staging/deny.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {}}\n",
    )
    result = _scanned(".", "-p", "strict")
    assert [environment["name"] for environment in result["environments"]] == ["production", "staging"]
    found = [one for one in result["results"] if one["rule"] == "default-deny-ingress-missing"]
    assert [one["environments"] for one in found] == [["production"]]
    # A question is about one cluster, and says so.
    asked = run_command("reach", ".", "--render")
    assert asked.exit_code == 3
    assert "several environments (production, staging)" in asked.stderr


@pytest.mark.usefixtures("helm")
def test_a_chart_is_installed_into_the_namespace_of_its_release(tree: Path) -> None:
    _chart()
    _put(
        "quota.yaml",
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: shop}\nspec: {hard: {pods: 1}}\n",
    )
    result = _scanned("quota.yaml", "--helm", "chart", "--release-namespace", "shop", "--set", "privileged=true")
    namespaces = {one["object"]["namespace"] for one in result["results"] if one["object"]["kind"] == "Deployment"}
    assert namespaces == {"shop"}
    assert _places(result, "privileged-container")
