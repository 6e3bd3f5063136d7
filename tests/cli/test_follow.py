"""``--follow``: from an Application, or an object of Flux, to the line of the file that it deploys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from kit import git, give_program, run_command
from kubeassay.execution.following import DEPLOYERS, Follow, followed
from kubeassay.execution.rendering import RenderOptions
from kubeassay.model import Object
from kubeassay.sources.files import Discovery, discover
from kubeassay.sources.manifests import read_file

URL = "https://git.example/shop/deploy.git"
IN_CLUSTER = "https://kubernetes.default.svc"
_DEPLOYMENT = """\
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
            privileged: true
"""
_CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "values.yaml": "privileged: false\nreplicas: 1\n",
    "templates/web.yaml": _DEPLOYMENT.replace("true", "{{ .Values.privileged }}"),
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a remote, in which the tests are."""
    root = tmp_path / "deploy"
    root.mkdir()
    monkeypatch.chdir(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "remote", "add", "origin", "git@git.example:shop/deploy")
    return root


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


def _app(name: str, source: str, *, namespace: str = "shop", to: str = f"server: {IN_CLUSTER}", url: str = URL) -> str:
    """An Application; ``source``: its other fields in YAML's flow. The path stands in line 10 of its text."""
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}, namespace: argocd}}
spec:
  project: default
  destination:
    {to}
    namespace: {namespace}
  source:
    {source}
    repoURL: {url}
"""


def _scanned(*arguments: str, follow: str = "argocd") -> dict[str, Any]:
    done = run_command(
        "scan", "--render", "--follow", follow, "-p", "strict", "--format", "json", "--fail-on", "none", *arguments
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _places(result: dict[str, Any], rule: str = "privileged-container") -> list[tuple[str, int, str | None]]:
    """(file, line, namespace) of a rule's findings."""
    return [
        (finding["location"]["file"], finding["location"]["startLine"], finding["object"]["namespace"])
        for finding in result["results"]
        if finding["rule"] == rule and finding["outcome"] == "fail"
    ]


def _told(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {deployment["object"]["name"]: deployment for deployment in result["deployments"]}


def _unjudged(result: dict[str, Any]) -> list[str]:
    return [entry["detail"] for entry in result["notEvaluated"] if entry["reason"] == "not-followed"]


def _objects(discovery: Discovery) -> list[Object]:
    return [obj for file in discovery.files if not file.part for obj in read_file(file).objects]


def _followed(*paths: str, **repositories: str) -> Discovery:
    return followed(discover(paths or (".",)), RenderOptions(), Follow(frozenset(DEPLOYERS), repositories))


# --- Argo CD ---


@pytest.mark.usefixtures("tree", "kustomize")
def test_from_an_application_to_the_line_of_a_base() -> None:
    _put("argocd/frontend.yaml", _app("frontend", "path: frontend/overlays/production"))
    _put("frontend/base/kustomization.yaml", "resources: [frontend.yaml]\n")
    _put("frontend/base/frontend.yaml", _DEPLOYMENT)
    _put("frontend/overlays/production/kustomization.yaml", "resources: [../../base]\nnamePrefix: prod-\n")
    result = _scanned(".")
    assert _places(result) == [("frontend/base/frontend.yaml", 13, "shop")]
    (finding,) = [one for one in result["results"] if one["rule"] == "privileged-container"]
    chain = [
        (step["message"].split(" by ")[0], step["location"]["file"], step["location"]["startLine"])
        for step in finding["related"]
    ]
    assert chain[:2] == [
        ("deployed", "argocd/frontend.yaml", 10),
        ("rendered", "frontend/overlays/production/kustomization.yaml", 1),
    ]
    deployment = _told(result)["frontend"]
    assert deployment["deployer"] == "Argo CD"
    assert deployment["destination"] == {"server": IN_CLUSTER, "cluster": "", "namespace": "shop"}
    assert [source["file"] for source in deployment["sources"]] == ["frontend/overlays/production/kustomization.yaml"]
    assert deployment["problems"] == []
    assert deployment["objects"] == 1
    failing = [one for one in result["results"] if one["object"]["name"] == "prod-api" and one["outcome"] == "fail"]
    assert sum(deployment["bySeverity"].values()) == len(failing) > 0
    assert not _unjudged(result)


@pytest.mark.usefixtures("tree", "kustomize")
def test_what_an_application_changes_takes_the_place_of_the_overlay_as_it_stands() -> None:
    _put("app.yaml", _app("web", "path: web\n    kustomize: {nameSuffix: -blue}"))
    _put("web/kustomization.yaml", "namespace: own\nresources: [web.yaml]\n")
    _put("web/web.yaml", _DEPLOYMENT)
    names = [str(obj.ref) for obj in _objects(_followed())]
    assert names == ["Application argocd/web", "Deployment own/api-blue"]


@pytest.mark.usefixtures("tree", "kustomize")
def test_what_an_application_patches_is_placed_in_it() -> None:
    patch = "          - {op: add, path: /spec/template/spec/hostPID, value: true}\n"
    kustomize = f"      patches:\n      - target: {{kind: Deployment}}\n        patch: |-\n{patch}"
    _put("app.yaml", _app("web", f"path: web\n    kustomize:\n{kustomize}"))
    _put("web/kustomization.yaml", "resources: [web.yaml]\n")
    _put("web/web.yaml", _DEPLOYMENT)
    result = _scanned(".")
    assert _places(result) == [("web/web.yaml", 13, "shop")]
    # The key that has all that it changes of the kustomization.
    (place,) = _places(result, "host-namespaces")
    assert place in (("app.yaml", 11, "shop"), ("app.yaml", 12, "shop"))


@pytest.mark.usefixtures("tree", "kustomize")
def test_environments_of_overlays_hold_what_their_releases_deploy() -> None:
    """A release of a base, in the overlays of two clusters: its chart is judged with its own cluster."""
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("base/kustomization.yaml", "resources: [app.yaml]\n")
    _put("base/app.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\n"
    for name, policy in (("production", "spec: {podSelector: {}, policyTypes: [Ingress]}\n"), ("staging", None)):
        more = "" if policy is None else ", deny.yaml"
        _put(f"clusters/{name}/kustomization.yaml", f"resources: [../../base{more}]\ncommonLabels: {{e: {name}}}\n")
        if policy is not None:
            _put(f"clusters/{name}/deny.yaml", deny + policy)
    result = _scanned(".")
    assert [environment["name"] for environment in result["environments"]] == ["production", "staging"]
    found = [one for one in result["results"] if one["rule"] == "default-deny-ingress-missing"]
    assert [one["environments"] for one in found] == [["staging"]]


@pytest.mark.usefixtures("tree")
def test_applications_that_applications_deploy_are_followed_once() -> None:
    _put("argocd/root.yaml", _app("root", "path: argocd", namespace="argocd"))
    _put("argocd/web.yaml", _app("web", "path: web").replace(", namespace: argocd", ""))
    _put("web/web.yaml", _DEPLOYMENT)
    result = _scanned(".")
    assert _places(result) == [("web/web.yaml", 13, "shop")]
    assert [(name, one["objects"]) for name, one in _told(result).items()] == [("root", 2), ("web", 1)]
    assert len(result["deployments"]) == 2
    (finding,) = [one for one in result["results"] if one["rule"] == "privileged-container"]
    assert [step["message"] for step in finding["related"]] == [
        "deployed by Application root",
        "deployed by Application web",
    ]


@pytest.mark.usefixtures("tree")
def test_the_namespace_is_stated_by_the_destination() -> None:
    _put("app.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    _put("web/role.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n")
    _put("web/own.yaml", _DEPLOYMENT.replace("name: api}", "name: api, namespace: own}", 1))
    found = {str(obj.ref): obj for obj in _objects(_followed())}
    assert sorted(found) == [
        "Application argocd/web",
        "ClusterRole all",
        "Deployment own/api",
        "Deployment shop/api",
    ]
    place = found["Deployment shop/api"].locate(("metadata", "namespace"))
    assert (place.file, place.start_line, place.start_column) == ("app.yaml", 8, 16)
    place = found["Deployment own/api"].locate(("metadata", "namespace"))
    assert (place.file, place.start_line) == ("web/own.yaml", 3)
    assert found["Deployment shop/api"].locate(("spec", "replicas")).file == "web/web.yaml"


@pytest.mark.usefixtures("tree", "helm")
def test_a_chart_with_the_values_of_its_application() -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("env/production.yaml", "privileged: true\n")
    _put("app.yaml", _app("web", "path: charts/web\n    helm: {valueFiles: [../../env/production.yaml]}"))
    result = _scanned(".")
    assert _places(result) == [("env/production.yaml", 1, "shop")]
    assert [source["file"] for source in _told(result)["web"]["sources"]] == ["charts/web/Chart.yaml"]
    # By its own values it is not rendered as well.
    assert [made["file"] for made in result["rendered"]] == ["charts/web/Chart.yaml"]


@pytest.mark.usefixtures("tree", "helm")
def test_a_chart_of_applications_has_those_that_its_own_application_makes_of_it() -> None:
    """By its own values it would deploy what is not there."""
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("env/production.yaml", "privileged: true\n")
    _put("root.yaml", _app("root", "path: apps\n    helm: {values: 'env: production'}", namespace="argocd"))
    _put("apps/Chart.yaml", "apiVersion: v2\nname: apps\nversion: 1.0.0\n")
    _put("apps/values.yaml", "env: none\nnames: [one, two]\n")
    _put(
        "apps/templates/apps.yaml",
        f"""{{{{- range .Values.names }}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {{{{ . }}}}}}
spec:
  destination: {{server: {IN_CLUSTER}, namespace: {{{{ . }}}}}}
  sources:
    - repoURL: {URL}
      path: charts/web
      helm: {{valueFiles: ["$values/env/{{{{ $.Values.env }}}}.yaml"]}}
    - {{repoURL: {URL}, ref: values}}
{{{{- end }}}}
""",
    )
    result = _scanned(".")
    assert not _unjudged(result)
    assert sorted(_told(result)) == ["one", "root", "two"]
    assert _places(result) == [("env/production.yaml", 1, "one"), ("env/production.yaml", 1, "two")]
    finding = next(one for one in result["results"] if one["rule"] == "privileged-container")
    assert [(step["location"]["file"], step["location"]["startLine"]) for step in finding["related"]][:4] == [
        ("root.yaml", 10),
        ("apps/Chart.yaml", 1),
        ("apps/templates/apps.yaml", 10),
        ("charts/web/Chart.yaml", 1),
    ]


@pytest.mark.usefixtures("tree")
def test_applications_come_by_standard_input_too() -> None:
    """As from kubectl get applications -o yaml."""
    _put("web/web.yaml", _DEPLOYMENT)
    done = run_command(
        *("scan", "--render", "--follow", "argocd", "-p", "pss-baseline", "--format", "json", "--fail-on", "none", "-"),
        stdin=_app("web", "path: web"),
    )
    result = json.loads(done.stdout)
    assert _places(result) == [("web/web.yaml", 13, "shop")]
    assert result["target"]["name"] == "stdin"
    asked = run_command("reach", "--render", "--follow", "argocd", "-", stdin=_app("web", "path: web"))
    assert "shop/api[Deployment]" in asked.stdout


@pytest.mark.usefixtures("tree", "helm")
def test_values_that_an_application_states_are_placed_in_it() -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("app.yaml", _app("web", "path: charts/web\n    helm: {valuesObject: {privileged: true}}"))
    result = _scanned(".")
    assert _places(result) == [("app.yaml", 11, "shop")]
    # What it deploys is judged, so it is not told that an operator makes pods of it.
    assert "unsupported" not in {entry["reason"] for entry in result["notEvaluated"] if entry["rule"] is None}


@pytest.mark.usefixtures("tree", "helm")
@pytest.mark.parametrize(
    "stated", ["{values: 'privileged: true'}", "{parameters: [{name: privileged, value: 'true'}]}"]
)
def test_values_as_text_and_parameters_have_no_place_but_the_template(stated: str) -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("app.yaml", _app("web", f"path: charts/web\n    helm: {stated}"))
    assert _places(_scanned(".")) == [("charts/web/templates/web.yaml", 13, "shop")]


@pytest.mark.usefixtures("tree")
def test_another_repository_is_not_evaluated_until_the_user_says_where_it_lies(tmp_path: Path) -> None:
    _put("app.yaml", _app("web", "path: web", url="https://git.example/other/web"))
    result = _scanned("app.yaml")
    assert _unjudged(result) == [
        "app.yaml:11: Application web: its repository is another than the tree's: --repo URL=DIR says where that lies"
    ]
    assert _told(result)["web"]["problems"] == _unjudged(result)
    done = run_command("scan", "--render", "--follow", "argocd", "--fail-on", "none", "--quiet", "app.yaml")
    assert done.return_value == 3
    assert "Application argocd/web: not followed (app.yaml:11:" in " ".join(done.stdout.split())
    other = tmp_path / "other"
    (other / "web").mkdir(parents=True)
    (other / "web" / "web.yaml").write_text(_DEPLOYMENT)
    result = _scanned("app.yaml", "--repo", f"https://git.example/other/web={other}")
    assert not _unjudged(result)
    assert _places(result) == [("../other/web/web.yaml", 13, "shop")]


@pytest.mark.usefixtures("tree")
def test_clusters_are_environments() -> None:
    """A directory in two clusters: each is judged by what is in it."""
    _put("web/web.yaml", _DEPLOYMENT)
    _put("one.yaml", _app("one", "path: web", to="name: east"))
    _put("two.yaml", _app("two", "path: web", to="name: west", namespace="other"))
    result = _scanned(".")
    assert [environment["name"] for environment in result["environments"]] == ["east", "west"]
    found = {
        finding["object"]["namespace"]: finding["environments"]
        for finding in result["results"]
        if finding["rule"] == "privileged-container"
    }
    assert found == {"shop": ["east"], "other": ["west"]}
    assert {name: one["environment"] for name, one in _told(result).items()} == {"one": "east", "two": "west"}


@pytest.mark.usefixtures("tree", "helm")
def test_folders_of_clusters_tell_environments_apart_that_deploy_one_chart() -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    for cluster, privileged in (("staging", "false"), ("production", "true")):
        _put(
            f"clusters/{cluster}/web.yaml",
            _app("web", f"path: charts/web\n    helm: {{valuesObject: {{privileged: {privileged}}}}}"),
        )
    result = _scanned(".")
    assert [environment["name"] for environment in result["environments"]] == ["production", "staging"]
    (finding,) = [one for one in result["results"] if one["rule"] == "privileged-container"]
    assert finding["environments"] == ["production"]


@pytest.mark.usefixtures("tree")
def test_an_application_set_deploys_a_folder_for_each_of_a_list() -> None:
    _put("web/web.yaml", _DEPLOYMENT)
    _put(
        "set.yaml",
        f"""apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: shops, namespace: argocd}}
spec:
  generators:
    - list: {{elements: [{{name: north}}, {{name: south}}]}}
  template:
    metadata: {{name: 'shop-{{{{name}}}}'}}
    spec:
      project: default
      source: {{repoURL: {URL}, path: web}}
      destination: {{server: {IN_CLUSTER}, namespace: '{{{{name}}}}'}}
""",
    )
    result = _scanned(".")
    assert sorted(_places(result)) == [("web/web.yaml", 13, "north"), ("web/web.yaml", 13, "south")]
    told = _told(result)
    assert sorted(told) == ["shop-north", "shop-south"]
    assert told["shop-north"]["madeBy"]["name"] == "shops"


@pytest.mark.usefixtures("tree")
def test_what_nothing_deploys_is_judged_as_it_stands() -> None:
    _put("app.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    _put("web/deeper/other.yaml", _DEPLOYMENT.replace("name: api", "name: other"))
    assert _places(_scanned(".")) == [("web/deeper/other.yaml", 13, None), ("web/web.yaml", 13, "shop")]


@pytest.mark.usefixtures("tree")
def test_what_is_wrong_with_a_deployed_file_is_told_once_at_its_line() -> None:
    _put("app.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    _put("web/broken.yaml", "kind: [\n")
    result = _scanned(".")
    assert [(error["file"], error["line"]) for error in result["errors"]] == [("web/broken.yaml", 2)]
    assert _places(result) == [("web/web.yaml", 13, "shop")]


@pytest.mark.usefixtures("tree")
def test_a_path_that_leaves_the_repository_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "web.yaml").write_text(_DEPLOYMENT)
    _put("app.yaml", _app("web", "path: ../secret"))
    Path("linked").symlink_to(tmp_path / "secret")
    _put("linked.yaml", _app("linked", "path: linked"))
    result = _scanned("app.yaml", "linked.yaml")
    assert [error["file"] for error in result["errors"]] == ["app.yaml", "linked.yaml"]
    assert not _places(result)


@pytest.mark.usefixtures("tree")
def test_an_exception_in_a_deployed_file_holds() -> None:
    _put("app.yaml", _app("web", "path: web"))
    comment = 'true # kubeassay: except privileged-container reason="it drives a device"'
    _put("web/web.yaml", _DEPLOYMENT.replace("true", comment))
    for path in (".", "app.yaml"):
        result = _scanned(path, "--in-tree-exceptions", "-p", "pss-baseline")
        by_rule = {one["rule"]: one["outcome"] for one in result["results"]}
        assert by_rule["privileged-container"] == "excepted", path


@pytest.mark.usefixtures("tree")
def test_since_compares_what_is_deployed(tree: Path) -> None:
    _put("argocd/web.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "one")
    # Of what is new, only the host's network is.
    _put("web/web.yaml", _DEPLOYMENT.replace("      containers:", "      hostNetwork: true\n      containers:"))
    done = run_command(
        *("scan", "--render", "--follow", "argocd", "-p", "pss-baseline", "--since", "HEAD"),
        *("--format", "json", "--fail-on", "none", "argocd"),
    )
    result = json.loads(done.stdout)
    assert [(one["rule"], one["location"]["file"]) for one in result["results"]] == [
        ("host-namespaces", "web/web.yaml")
    ]


# --- Flux ---

_SOURCE = f"""apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: deploy, namespace: flux-system}}
spec: {{url: {URL}, ref: {{branch: main}}}}
"""


@pytest.mark.usefixtures("tree", "kustomize")
def test_a_kustomization_of_flux_with_its_variables() -> None:
    _put("flux/source.yaml", _SOURCE)
    _put(
        "flux/web.yaml",
        """apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: web, namespace: flux-system}
spec:
  path: web
  prune: true
  targetNamespace: shop
  sourceRef: {kind: GitRepository, name: deploy}
  commonMetadata: {labels: {team: shop}}
  postBuild:
    substitute:
      privileged: "true"
""",
    )
    _put("web/kustomization.yaml", "resources: [web.yaml]\n")
    _put("web/web.yaml", _DEPLOYMENT.replace("privileged: true", "privileged: ${privileged}"))
    result = _scanned(".", follow="flux")
    assert _places(result) == [("web/web.yaml", 13, "shop")]
    (finding,) = [one for one in result["results"] if one["rule"] == "privileged-container"]
    assert finding["message"].endswith("(Kustomization web fills in privileged of flux/web.yaml:12)")
    obj = next(obj for obj in _objects(_followed()) if obj.ref.kind == "Deployment")
    place = obj.locate(("metadata", "labels", "team"))
    assert (place.file, place.start_line) == ("flux/web.yaml", 9)


@pytest.mark.usefixtures("tree")
def test_clusters_of_flux_are_environments_by_what_names_them() -> None:
    _put("flux/source.yaml", _SOURCE)
    _put("web/web.yaml", _DEPLOYMENT.replace("name: api}", "name: api, namespace: shop}", 1))
    deny = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\n"
    _put("deny/deny.yaml", f"{deny}spec: {{podSelector: {{}}, policyTypes: [Ingress]}}\n")
    for name, path, cluster in (("web", "web", "east"), ("other", "web", "west"), ("deny", "deny", "west")):
        _put(
            f"flux/{name}.yaml",
            f"""apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: flux-system}}
spec:
  path: {path}
  sourceRef: {{kind: GitRepository, name: deploy}}
  kubeConfig: {{secretRef: {{name: {cluster}}}}}
""",
        )
    result = _scanned(".", follow="flux")
    assert [one["name"] for one in result["environments"]] == ["cluster of east", "cluster of west"]
    found = [one for one in result["results"] if one["rule"] == "default-deny-ingress-missing"]
    assert [one["environments"] for one in found] == [["cluster of east"]]


def test_a_tree_without_a_remote_is_the_one_repository_that_it_speaks_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _put("web/web.yaml", _DEPLOYMENT)
    _put("app.yaml", _app("web", "path: web"))
    assert _places(_scanned(".")) == [("web/web.yaml", 13, "shop")]
    # Of two, nothing says which it is.
    _put("other.yaml", _app("other", "path: web", url="https://git.example/other/deploy", namespace="other"))
    result = _scanned(".")
    assert sorted(detail.partition(":")[0] for detail in _unjudged(result)) == ["app.yaml", "other.yaml"]
    assert _places(_scanned(".", "--repo", f"{URL}=.")) == [("web/web.yaml", 13, "shop")]


@pytest.mark.usefixtures("tree", "helm")
def test_a_release_of_flux() -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("flux/source.yaml", _SOURCE)
    _put(
        "flux/web.yaml",
        """apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: shop}
spec:
  interval: 5m
  chart:
    spec:
      chart: charts/web
      sourceRef: {kind: GitRepository, name: deploy, namespace: flux-system}
  values: {privileged: true}
""",
    )
    result = _scanned(".", follow="flux")
    assert _places(result) == [("flux/web.yaml", 10, "shop")]
    assert _told(result)["web"]["deployer"] == "Flux"


_POST_RENDERED = """apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: shop}
spec:
  chart:
    spec:
      chart: charts/web
      sourceRef: {kind: GitRepository, name: deploy, namespace: flux-system}
  values: {privileged: false}
  postRenderers:
    - kustomize:
        patches:
          - target: {kind: Deployment}
            patch: |-
              - {op: add, path: /spec/template/spec/hostNetwork, value: true}
              - {op: FIELD, path: /spec/template/spec/containers/0/securityContext/privileged, value: true}
"""


@pytest.mark.usefixtures("tree", "helm", "kustomize")
def test_what_post_renderers_set_is_at_the_release_and_what_they_leave_in_the_chart() -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("charts/web/templates/web.yaml", _CHART["templates/web.yaml"].replace("registry.example/api:1.0", "api"))
    _put("flux/source.yaml", _SOURCE)
    _put("flux/web.yaml", _POST_RENDERED.replace("FIELD", "replace"))
    result = _scanned(".", follow="flux")
    assert _places(result) == [("flux/web.yaml", 10, "shop")]
    assert _places(result, "host-namespaces") == [("flux/web.yaml", 10, "shop")]
    assert _places(result, "image-tag-latest") == [("charts/web/templates/web.yaml", 11, "shop")]


@pytest.mark.usefixtures("tree", "helm", "kustomize")
def test_post_renderers_that_fail_are_an_error_at_the_release() -> None:
    for name, text in _CHART.items():
        _put(f"charts/web/{name}", text)
    _put("flux/source.yaml", _SOURCE)
    _put("flux/web.yaml", _POST_RENDERED.replace("FIELD", "test"))
    result = _scanned(".", follow="flux")
    assert [(error["file"], error["line"]) for error in result["errors"]] == [("flux/web.yaml", 10)]
    assert _told(result)["web"]["problems"]


# --- wrong usage ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--repo", "https://git.example/x=."), "--follow argocd"),
        (("--follow", "argocd", "--repo", "nothing"), "expected URL=DIR"),
        (("--follow", "argocd", "--repo", "https://git.example/x=gone"), "there is no such folder"),
        (("--follow", "argocd", "--no-render"), "--no-render"),
        (("--follow", "spinnaker"), "spinnaker"),
    ],
)
@pytest.mark.usefixtures("tree")
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    _put("web.yaml", _DEPLOYMENT)
    done = run_command("scan", "--render", ".", *arguments)
    assert isinstance(done.exception, click.ClickException)
    assert done.exception.exit_code == 2
    assert said in done.exception.format_message()


@pytest.mark.usefixtures("tree")
def test_nothing_to_follow_is_said() -> None:
    _put("web.yaml", _DEPLOYMENT)
    done = run_command("scan", "--render", "--follow", "argocd", "--fail-on", "none", "web.yaml")
    assert "note: nothing to follow: there is no Application or ApplicationSet" in done.stderr


@pytest.mark.usefixtures("tree")
def test_questions_are_asked_of_what_is_deployed() -> None:
    _put("app.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    _put(
        "web/all.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: all}\n"
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
        "subjects: [{kind: ServiceAccount, name: default, namespace: shop}]\n",
    )
    asked = ("who-can", "get", "secrets", "--namespace", "shop", "--render", "--follow", "argocd", ".")
    assert "default" in run_command(*asked).stdout


# --- environments that a configuration names ---


@pytest.mark.usefixtures("tree")
def test_an_environment_of_a_matrix_is_followed() -> None:
    _put("argocd/web.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    _put(
        "kubeassay.yaml",
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\nspec:\n  environments:\n"
        "    - {name: production, paths: [argocd], follow: [argocd], profile: pss-baseline}\n"
        "    - {name: plain, paths: [argocd], profile: pss-baseline}\n",
    )
    done = run_command("scan", "--render", "--matrix", "kubeassay.yaml", "--format", "json", "--fail-on", "none")
    result = json.loads(done.stdout)
    assert _places(result) == [("web/web.yaml", 13, "shop")]
    assert _told(result)["web"]["environment"] == "production"


@pytest.mark.usefixtures("tree")
def test_what_an_environment_does_not_follow_is_still_told() -> None:
    """Another deployer's object, of which pods are made."""
    _put("argocd/web.yaml", _app("web", "path: web"))
    _put("web/web.yaml", _DEPLOYMENT)
    _put(
        "argocd/release.yaml",
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: db, namespace: shop}\n"
        "spec: {chart: {spec: {chart: db}}, values: {image: 'registry.example/db:1'}}\n",
    )
    _put(
        "kubeassay.yaml",
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\nspec:\n  environments:\n"
        "    - {name: production, paths: [argocd], follow: [argocd], profile: pss-baseline}\n",
    )
    done = run_command("scan", "--render", "--matrix", "kubeassay.yaml", "--format", "json", "--fail-on", "none")
    told = [one["detail"] for one in json.loads(done.stdout)["notEvaluated"] if one["reason"] == "unsupported"]
    assert [detail.partition(":")[0] for detail in told] == ["HelmRelease shop/db"]
