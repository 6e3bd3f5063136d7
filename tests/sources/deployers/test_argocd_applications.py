"""What Applications of Argo CD deploy. Cases: argo-cd v3.6, its tests of reposerver/repository and util/app."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from deployer_trees import CHART, CONFIG_MAP, KUSTOMIZATION, URL, app, follow, one, said, tree

from kit import run_within_seconds
from kubeassay.analysis.gitops.permissions import Destination
from kubeassay.sources.deployers.argocd import merge_patch, source_type
from kubeassay.sources.deployers.kustomizations import argocd_edits, edited_images, on_top, split_image
from kubeassay.sources.deployers.model import Deployment, DirectoryDemand, UnfollowableError
from kubeassay.sources.deployers.variables import BuildVariables
from kubeassay.sources.rendering import HelmDemand, KustomizeDemand

FIXTURES = Path(__file__).parents[3] / "fixtures" / "merajutasa"
DOCUMENTED = "https://github.com/wahyumumtazsyah04/MerajutASA-manifests"


def test_an_application_has_its_destination_project_and_options(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/web/kustomization.yaml": KUSTOMIZATION})
    found = one(root, app("    path: apps/web", rest="  syncPolicy: {syncOptions: [CreateNamespace=true]}"))
    assert found.destination == Destination("https://kubernetes.default.svc", "", "shop")
    assert (found.project, found.sync_options, found.notes) == ("shop", ("CreateNamespace=true",), ())
    (source,) = found.sources
    assert source.path == ("spec", "source")
    assert isinstance(source.demand, KustomizeDemand)
    assert (source.demand.directory, source.demand.root, source.demand.overrides) == (
        str(root / "apps/web"),
        str(root),
        {},
    )
    assert source.demand.name.endswith("apps/web/kustomization.yaml")


@pytest.mark.parametrize(
    ("files", "value", "expected"),
    [
        (["Chart.yaml"], {}, "helm"),
        (["kustomization.yaml"], {}, "kustomize"),
        (["kustomization.yml"], {}, "kustomize"),
        (["Kustomization"], {}, "kustomize"),
        (["web.yaml"], {}, "directory"),
        (["sub/Chart.yaml"], {}, "directory"),
        # Of both the later name decides.
        (["Chart.yaml", "kustomization.yaml"], {}, "kustomize"),
        (["kustomization.yaml", "myChart.yaml"], {}, "helm"),
        (["kustomization.yaml"], {"directory": {"recurse": True}}, "directory"),
        (["web.yaml"], {"plugin": {}}, "plugin"),
    ],
)
def test_the_type_of_a_source(tmp_path: Path, files: list[str], value: dict[str, object], expected: str) -> None:
    root = tree(tmp_path, dict.fromkeys(files, ""), git=False)
    assert source_type(value, str(root)) == expected


def test_a_source_of_two_types_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web/Chart.yaml": CHART})
    found = one(root, app("    path: web\n    helm: {}\n    directory: {}"))
    assert not found.sources
    assert [error.line for error in found.errors] == [7]


# --- directories ---


def test_a_directory_has_the_manifests_that_argo_cd_collects(tmp_path: Path) -> None:
    files = {
        "web/b.yaml": CONFIG_MAP,
        "web/a.yml": CONFIG_MAP,
        "web/c.json": "{}",
        "web/readme.md": "",
        "web/sub/d.yaml": CONFIG_MAP,
        "web/left.yaml": "# +argocd:skip-file-rendering\n" + CONFIG_MAP,
    }
    root = tree(tmp_path, files)

    def names(text: str) -> list[str]:
        return [os.path.relpath(file, root / "web") for file in _directory(one(root, text)).files]

    assert names(app("    path: web")) == ["a.yml", "b.yaml", "c.json"]
    assert names(app("    path: web\n    directory: {recurse: true}")) == ["a.yml", "b.yaml", "c.json", "sub/d.yaml"]
    assert names(app("    path: web\n    directory: {include: '*.yml'}")) == ["a.yml"]
    assert names(app("    path: web\n    directory: {exclude: '{a.yml,c.json}'}")) == ["b.yaml"]
    assert names(app("    path: web\n    directory: {recurse: true, include: 'sub/*'}")) == ["sub/d.yaml"]


def _directory(deployment: Deployment) -> DirectoryDemand:
    (source,) = deployment.sources
    assert isinstance(source.demand, DirectoryDemand)
    return source.demand


def test_the_root_of_a_repository_is_deployed_without_its_git_folder(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web.yaml": CONFIG_MAP, ".git/x.yaml": CONFIG_MAP})
    assert _directory(one(root, app("    path: .\n    directory: {recurse: true}"))).files == (str(root / "web.yaml"),)


def test_jsonnet_and_plugins_are_told(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web/a.yaml": CONFIG_MAP, "web/b.jsonnet": "{}"})
    found = one(root, app("    path: web"))
    assert len(_directory(found).files) == 1
    assert said(found.not_followed) == {("jsonnet", 9)}
    assert said(one(root, app("    path: web\n    plugin: {name: x}")).not_followed) == {("plugin", 10)}


# --- paths that lead elsewhere ---


@pytest.mark.parametrize("path", ["../outside", "web/../../outside", "/etc", "link", "in/link"])
def test_a_path_that_leaves_the_repository_is_an_error_at_its_line(tmp_path: Path, path: str) -> None:
    tree(tmp_path / "outside", {"secret.yaml": CONFIG_MAP}, git=False)
    root = tree(tmp_path / "repo", {"web/a.yaml": CONFIG_MAP, "in/x": ""})
    (root / "link").symlink_to("../outside")
    (root / "in/link").symlink_to(tmp_path / "outside")
    found = one(root, app(f"    path: {path}"))
    assert not found.sources
    assert [error.line for error in found.errors] == [9]


def test_a_link_to_a_file_outside_is_an_error(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", {"secret.yaml": CONFIG_MAP}, git=False)
    root = tree(tmp_path / "repo", {"web/a.yaml": CONFIG_MAP})
    (root / "web/b.yaml").symlink_to(outside / "secret.yaml")
    (root / "web/gone.yaml").symlink_to("nowhere.yaml")
    found = one(root, app("    path: web"))
    assert not found.sources
    assert [error.line for error in found.errors] == [9]
    (root / "web/b.yaml").unlink()
    assert len(_directory(one(root, app("    path: web"))).files) == 1


def test_a_path_that_is_not_there_is_not_evaluated(tmp_path: Path) -> None:
    found = one(tree(tmp_path, {"a": ""}), app("    path: gone"))
    assert said(found.not_followed) == {("no-path", 9)}
    assert not found.errors


# --- repositories, revisions ---


def test_another_repository_is_followed_where_the_user_says_where_it_lies(tmp_path: Path) -> None:
    root = tree(tmp_path / "here", {"a": ""})
    other = tree(tmp_path / "there", {"web/a.yaml": CONFIG_MAP}, git=False)
    text = app("    path: web").replace(URL, "git@other.example:x.git")
    assert said(one(root, text).not_followed) == {("other-repository", 8)}
    assert _directory(one(root, text, {"https://other.example/x": str(other)})).root == str(other)


def test_a_chart_of_a_repository_needs_its_folder(tmp_path: Path) -> None:
    root = tree(tmp_path / "here", {"a": ""})
    charts = tree(tmp_path / "charts", {"web/Chart.yaml": CHART}, git=False)
    text = app("    chart: web\n    targetRevision: 1.0.0").replace(URL, "https://charts.example")
    found = one(root, text)
    assert said(found.not_followed) == {("chart-repository", 8)}
    assert not found.notes
    demand = one(root, text, {"https://charts.example": str(charts)}).sources[0].demand
    assert isinstance(demand, HelmDemand)
    assert (demand.chart, demand.release, demand.namespace) == (str(charts / "web"), "web", "shop")


def test_another_revision_is_noted_once(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web/a.yaml": CONFIG_MAP})
    assert not one(root, app("    path: web\n    targetRevision: main")).notes
    (note,) = one(root, app("    path: web\n    targetRevision: v1.2.3")).notes
    assert "v1.2.3" in note


@pytest.mark.parametrize("environment", ["production", "staging", "development"])
def test_the_documented_applications_resolve(environment: str) -> None:
    root = FIXTURES / "conforming" / environment
    from kubeassay.sources.manifests import read_bytes

    for name in ("frontend", "backend"):
        text = (root / "argocd" / f"{name}.yaml").read_text(encoding="utf-8")
        found = follow(root, read_bytes(text.encode(), f"{name}.yaml").objects, {DOCUMENTED: str(root)})
        (deployment,) = found.deployments
        assert not deployment.not_followed
        assert not deployment.errors
        demand = _directory(deployment)
        assert demand.directory == os.path.realpath(root / name / "overlays" / environment)
        assert {Path(file).name for file in demand.files} >= {f"{name}.yaml"}
        assert deployment.destination.namespace == name


# --- kustomize ---


def test_images_are_edited_as_kustomize_does() -> None:
    assert split_image("registry:5000/a/b:v1@sha256:0") == ("registry:5000/a/b", "v1", "sha256:0")
    assert split_image("registry:5000/a/b") == ("registry:5000/a/b", "", "")
    assert split_image("a@sha256:0") == ("a", "", "sha256:0")
    stated = [{"name": "a", "newTag": "v1"}, {"name": "b", "newName": "c", "newTag": "v1"}]
    assert edited_images(stated, ["a:v2"]) == [{"name": "a", "newTag": "v2"}, stated[1]]
    assert edited_images(stated, ["b=d:*"]) == [stated[0], {"name": "b", "newName": "d", "newTag": "v1"}]
    assert edited_images(stated, ["z=y@sha256:1"]) == [*stated, {"name": "z", "newName": "y", "digest": "sha256:1"}]
    assert edited_images(stated, ["nothing"]) is None


def test_edits_of_a_kustomization(tmp_path: Path) -> None:
    stated = {
        "commonLabels": {"team": "a"},
        "patches": [{"patch": "x"}],
        "replicas": [{"name": "b", "count": 1}],
        "components": ["../one"],
    }
    edits = argocd_edits(
        {
            "namePrefix": "p-",
            "commonLabels": {"env": "x"},
            "patches": [{"patch": "y"}],
            "replicas": [{"name": "a", "count": "3"}, {"name": "b", "count": 2}],
            "components": ["../one", "../two"],
        },
        stated,
        str(tmp_path),
        str(tmp_path),
        str,
    )
    assert edits == {
        "namePrefix": "p-",
        "commonLabels": {"team": "a", "env": "x"},
        "patches": [{"patch": "x"}, {"patch": "y"}],
        "replicas": [{"name": "a", "count": 3}, {"name": "b", "count": 2}],
        "components": ["../one", "../two"],
    }


@pytest.mark.parametrize(
    ("kustomize", "stated"),
    [
        ({"commonLabels": {"a": "b"}}, {"commonLabels": {"a": "c"}}),
        ({"commonLabels": {"a": "b"}, "labelIncludeTemplates": True}, {}),
        ({"commonAnnotations": {"a": "b"}}, {"commonAnnotations": {"a": "b"}}),
        ({"images": ["plain"]}, {}),
        ({"replicas": [{"name": "a", "count": "many"}]}, {}),
    ],
)
def test_what_kustomize_edit_refuses_is_told(kustomize: dict[str, object], stated: dict[str, object]) -> None:
    with pytest.raises(UnfollowableError):
        argocd_edits(kustomize, stated, "/", "/", str)


_SETS_IMAGE = "kind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: a, image: x}]}}}"
_SETS_LIMIT = "kind: Deployment\nmetadata: {name: a}\nspec: {paused: true}"


@pytest.mark.parametrize(
    ("kustomize", "stated", "expected"),
    [
        ({"namePrefix": "p-", "namespace": "n"}, {}, {"namePrefix": "p-", "namespace": "n"}),
        (
            {"images": ["a:v2"]},
            {"images": [{"name": "a", "newTag": "v1"}]},
            {"images": [{"name": "a", "newTag": "v2"}]},
        ),
        ({"commonLabels": {"a": "b"}}, {"commonLabels": {"c": "d"}}, {"commonLabels": {"a": "b"}}),
        (
            {"commonLabels": {"a": "b"}, "labelWithoutSelector": True},
            {},
            {"labels": [{"pairs": {"a": "b"}}]},
        ),
        ({"patches": [{"patch": _SETS_LIMIT}]}, {"images": [{"name": "a"}]}, {"patches": [{"patch": _SETS_LIMIT}]}),
        # What would come in another order on top.
        ({"namePrefix": "p-"}, {"namePrefix": "q-"}, None),
        ({"images": ["a:v2"]}, {"images": [{"name": "a", "newName": "b"}]}, None),
        ({"images": ["b:v2"]}, {"images": [{"name": "a", "newName": "b"}]}, None),
        ({"images": ["a=b"]}, {"images": [{"name": "a", "newTag": "v1"}]}, None),
        ({"patches": [{"patch": _SETS_IMAGE}]}, {"images": [{"name": "x", "newTag": "v1"}]}, None),
        ({"patches": [{"patch": _SETS_LIMIT}]}, {"namePrefix": "p-"}, None),
        ({"components": ["../one"]}, {}, None),
        ({"namespace": "n"}, {"replacements": [{}]}, None),
    ],
)
def test_edits_are_put_on_top_where_that_means_the_same(
    tmp_path: Path, kustomize: dict[str, object], stated: dict[str, object], expected: dict[str, object] | None
) -> None:
    edits = argocd_edits(kustomize, stated, str(tmp_path), str(tmp_path), str)
    if expected is None:
        with pytest.raises(UnfollowableError):
            on_top(edits, stated, str(tmp_path), str(tmp_path))
    else:
        assert on_top(edits, stated, str(tmp_path), str(tmp_path)) == expected


def test_a_patch_that_is_a_file_is_read_within_the_repository(tmp_path: Path) -> None:
    files = {"web/kustomization.yaml": KUSTOMIZATION, "p.yaml": _SETS_LIMIT}
    root = tree(tmp_path / "repo", files)
    (tmp_path / "out.yaml").write_text(_SETS_LIMIT)
    source = "    path: web\n    kustomize: {patches: [{path: %s}]}"
    demand = one(root, app(source % "../p.yaml")).sources[0].demand
    assert isinstance(demand, KustomizeDemand)
    assert demand.overrides == {"patches": [{"patch": _SETS_LIMIT}]}
    refused = one(root, app(source % "../../out.yaml"))
    assert not refused.sources
    assert [error.line for error in refused.errors] == [10]


def test_a_version_of_kustomize_is_noted(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web/kustomization.yaml": KUSTOMIZATION})
    assert "v4.5.7" in one(root, app("    path: web\n    kustomize: {version: v4.5.7}")).notes[0]


# --- helm ---


def _chart(root: Path, helm: str, **more: Any) -> HelmDemand:
    found = one(root, app(f"    path: web\n    helm:\n{helm}"), **more)
    assert len(found.sources) == 1, (found.errors, found.not_followed)
    demand = found.sources[0].demand
    assert isinstance(demand, HelmDemand)
    return demand


def test_what_helm_is_told(tmp_path: Path) -> None:
    files = {"web/Chart.yaml": CHART, "web/a.yaml": "", "b.yaml": "", "web/key.txt": "a,b={c}\\"}
    root = tree(tmp_path, files)
    demand = _chart(
        root,
        """      releaseName: rel
      valueFiles: [a.yaml, ../b.yaml, /b.yaml]
      valuesObject: {flag: "on"}
      values: "x: 1"
      parameters:
        - {name: url, value: "$ARGOCD_APP_NAME-${ARGOCD_APP_NAMESPACE},x"}
        - {name: tag, value: "1", forceString: true}
        - {name: list, value: "{a,b}"}
      fileParameters: [{name: key, path: key.txt}]
      skipCrds: true
      kubeVersion: 1.30.0
      apiVersions: [monitoring.coreos.com/v1]
      namespace: other
""",
    )
    assert (demand.release, demand.namespace, demand.skip_crds) == ("rel", "other", True)
    assert (demand.kube_version, demand.api_versions) == ("1.30.0", ("monitoring.coreos.com/v1",))
    # One file that is named twice is taken once.
    assert demand.values == (str(root / "web/a.yaml"), str(root / "b.yaml"))
    assert json.loads(demand.inline) == {"flag": "on"}
    assert demand.parameters == (
        ("url=web-shop\\,x", False),
        ("list={a,b}", False),
        ("tag=1", True),
        ("key=a\\,b\\=\\{c\\}\\\\", True),
    )


def test_a_release_is_called_as_the_application(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web/Chart.yaml": CHART})
    demand = _chart(root, '      values: "x: 1"\n')
    assert (demand.release, demand.namespace, demand.inline) == ("web", "shop", "x: 1")


def test_patterns_of_values_files(tmp_path: Path) -> None:
    names = ("web/v/b.yaml", "web/v/a.yaml", "web/v/c.yaml", "web/v/deep/d.yaml")
    root = tree(tmp_path, {"web/Chart.yaml": CHART, **dict.fromkeys(names, "")})

    def short(text: str) -> list[str]:
        return [os.path.relpath(one, root / "web/v") for one in _chart(root, text).values]

    # What is named by itself takes its own turn.
    assert short("      valueFiles: ['v/*.yaml', v/a.yaml]") == ["b.yaml", "c.yaml", "a.yaml"]
    assert short("      valueFiles: ['v/**/*.yaml']") == ["a.yaml", "b.yaml", "c.yaml", "deep/d.yaml"]
    assert short("      valueFiles: ['v/x*.yaml']\n      ignoreMissingValueFiles: true") == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ("gone.yaml", "values"),
        ("x*.yaml", "values"),
        ("https://evil.example/values.yaml", "values"),
        ("$ARGOCD_APP_REVISION.yaml", "values"),
        ("../../out.yaml", None),
        ("link.yaml", None),
    ],
)
def test_a_chart_is_not_rendered_without_some_of_its_values(tmp_path: Path, files: str, reason: str | None) -> None:
    tree(tmp_path, {"out.yaml": ""}, git=False)
    root = tree(tmp_path / "repo", {"web/Chart.yaml": CHART})
    (root / "web/link.yaml").symlink_to(tmp_path / "out.yaml")
    found = one(root, app(f"    path: web\n    helm:\n      valueFiles:\n        - {files!r}"))
    assert not found.sources
    if reason is None:
        assert [error.line for error in found.errors] == [12]
    else:
        assert said(found.not_followed) == {(reason, 12)}


def test_values_of_another_source(tmp_path: Path) -> None:
    root = tree(tmp_path / "here", {"web/Chart.yaml": CHART})
    values = tree(tmp_path / "values", {"env/prod.yaml": ""}, git=False)
    text = f"""apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: web, namespace: argocd}}
spec:
  destination: {{name: in-cluster, namespace: shop}}
  sources:
    - repoURL: {URL}
      path: web
      helm:
        valueFiles: [$values/env/prod.yaml]
    - repoURL: https://other.example/values
      ref: values
"""
    found = one(root, text, {"https://other.example/values": str(values)})
    (source,) = found.sources
    assert isinstance(source.demand, HelmDemand)
    assert (source.path, source.demand.values) == (("spec", "sources", 0), (str(values / "env/prod.yaml"),))
    assert said(one(root, text).not_followed) == {("other-repository", 10)}


def test_overrides_in_the_folder_of_a_source(tmp_path: Path) -> None:
    files = {
        "web/Chart.yaml": CHART,
        "web/.argocd-source.yaml": "path: elsewhere\nhelm: {releaseName: one, skipCrds: true}\n",
        "web/.argocd-source-web.yaml": "helm: {releaseName: two}\n",
        "web/.argocd-source-other.yaml": "helm: {releaseName: three}\n",
    }
    demand = one(tree(tmp_path, files), app("    path: web")).sources[0].demand
    assert isinstance(demand, HelmDemand)
    assert (demand.release, demand.skip_crds) == ("two", True)
    assert merge_patch({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}) == {"a": {"c": 2}}


def test_build_variables_are_filled_in_as_go_does() -> None:
    variables = BuildVariables({"ARGOCD_APP_NAME": "web"})
    cases = {
        "$ARGOCD_APP_NAME-x": "web-x",
        "${ARGOCD_APP_NAME}x": "webx",
        "$$HOME": "$HOME",
        "$OTHER.": ".",
        "a$": "a$",
        "${}": "",
        "$-": "",
        "cost: 5$ ": "cost: 5$ ",
    }
    assert {text: variables.expand(text, ()) for text in cases} == cases
    with pytest.raises(UnfollowableError):
        variables.expand("$ARGOCD_APP_REVISION", ())


# --- what is hostile ---


@pytest.mark.parametrize(
    "spec",
    [
        "spec:",
        "spec: []",
        "spec: {source: [], sources: x}",
        "spec: {sources: [1, null, {}]}",
        f"spec: {{source: {{repoURL: {URL}, path: [x], helm: 1}}}}",
        f'spec: {{source: {{repoURL: {URL}, path: "\\0", directory: {{include: "["}}}}}}',
        'spec: {source: {repoURL: "{{x}}", path: x}}',
    ],
)
def test_objects_of_any_form_give_no_traceback(tmp_path: Path, spec: str) -> None:
    root = tree(tmp_path, {"web/a.yaml": CONFIG_MAP})
    text = f"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web}}\n{spec}\n"
    found = one(root, text)
    assert found.not_followed or found.errors or found.sources


def test_patterns_take_no_quadratic_time() -> None:
    run_within_seconds(
        """
from kubeassay.sources.deployers.paths import path_match, pathspec_match, whole_match
for _ in range(200):
    assert not path_match("*a" * 30 + "b", "a" * 250)
    assert not pathspec_match("*a" * 30 + "b", "a/" * 125)
    assert not whole_match("*a" * 30 + "b", "a" * 250)
""",
        seconds=20,
    )
