"""What Kustomizations and HelmReleases of Flux deploy. Cases: fluxcd/pkg (kustomize, chartutil), helm-controller."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from deployer_trees import CHART, CONFIG_MAP, KUSTOMIZATION, URL, follow, one, said, tree

from kit import objects_in
from kubeassay.analysis.gitops.permissions import Destination
from kubeassay.sources.deployers.flux import merged_values
from kubeassay.sources.deployers.model import Deployment, DirectoryDemand
from kubeassay.sources.rendering import HelmDemand, KustomizeDemand

SOURCE = f"""apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: deploy, namespace: flux-system}}
spec: {{url: {URL}, ref: {{branch: main}}}}
---
"""
_VALUES = """apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: flux-system}
data: {region: "eu\\n", values.yaml: "a: {b: 1, c: 2}\\nd: [1]\\n", other: "a: {b: 3}", size: "big", key: 'text'}
---
"""


def kustomization(spec: str) -> str:
    """The text of a Kustomization; ``spec`` in lines of two spaces."""
    return f"""apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: apps, namespace: flux-system}}
spec:
  sourceRef: {{kind: GitRepository, name: deploy}}
{spec}
"""


def release(spec: str, chart: str = "chart: charts/web") -> str:
    """The text of a HelmRelease."""
    return f"""apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: web, namespace: flux-system}}
spec:
  chart: {{spec: {{{chart}, sourceRef: {{kind: GitRepository, name: deploy}}}}}}
{spec}
"""


def kustomize_of(deployment: Deployment) -> KustomizeDemand:
    (source,) = deployment.sources
    assert isinstance(source.demand, KustomizeDemand), (deployment.not_followed, deployment.errors)
    return source.demand


def helm_of(deployment: Deployment) -> HelmDemand:
    assert deployment.sources, (deployment.not_followed, deployment.errors)
    (source,) = deployment.sources
    assert isinstance(source.demand, HelmDemand)
    return source.demand


# --- Kustomization ---


def test_a_kustomization_with_what_flux_changes(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/kustomization.yaml": "resources: [web.yaml]\nimages: [{name: a, newTag: v1}]\n"})
    text = SOURCE + kustomization(
        """  path: ./apps
  targetNamespace: shop
  nameSuffix: -x
  images: [{name: a, newTag: v2}, {name: b, newName: c}]
  commonMetadata: {labels: {team: t}, annotations: {note: said}}"""
    )
    found = one(root, text)
    demand = kustomize_of(found)
    assert demand.directory == str(root / "apps")
    assert demand.overrides == {
        "namespace": "shop",
        "nameSuffix": "-x",
        "images": [{"name": "a", "newTag": "v2"}, {"name": "b", "newName": "c"}],
    }
    (source,) = found.sources
    assert (source.labels, source.annotations) == ({"team": "t"}, {"note": "said"})
    assert found.destination == Destination("https://kubernetes.default.svc", "in-cluster", "shop")
    assert not found.notes


def test_what_would_come_in_another_order_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/kustomization.yaml": "resources: [web.yaml]\nnamePrefix: p-\n"})
    found = one(root, SOURCE + kustomization("  path: apps\n  namePrefix: q-"))
    assert said(found.not_followed) == {("overrides", 12)}


def test_flux_makes_a_kustomization_of_a_folder_without_one(tmp_path: Path) -> None:
    files = {
        "apps/a.yaml": CONFIG_MAP,
        "apps/deep/b.yml": CONFIG_MAP,
        "apps/deep/c.json": "{}",
        "apps/web/kustomization.yaml": KUSTOMIZATION,
        "apps/web/web.yaml": CONFIG_MAP,
        "apps/web/in/kustomization.yaml": KUSTOMIZATION,
    }
    root = tree(tmp_path, files)
    found = one(root, SOURCE + kustomization("  path: ./apps"))
    plain, inner = (source.demand for source in found.sources)
    assert isinstance(plain, DirectoryDemand)
    assert isinstance(inner, KustomizeDemand)
    assert [os.path.relpath(file, root / "apps") for file in plain.files] == ["a.yaml", "deep/b.yml"]
    assert inner.directory == str(root / "apps/web")
    changed = one(root, SOURCE + kustomization("  path: ./apps\n  targetNamespace: shop"))
    assert said(changed.not_followed) == {("overrides", 11)}


def test_files_that_a_source_leaves_out_are_not_guessed(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/a.yaml": CONFIG_MAP, ".sourceignore": "apps/a.yaml\n"})
    assert said(one(root, SOURCE + kustomization("  path: apps")).not_followed) == {("no-path", 11)}


def test_a_source_may_come_later_or_never(tmp_path: Path) -> None:
    from deployer_trees import repositories

    from kubeassay.sources.deployers.follow import Follower

    root = tree(tmp_path, {"apps/kustomization.yaml": KUSTOMIZATION})
    follower = Follower(repositories(root))
    assert not follower.follow(objects_in(kustomization("  path: apps"))).deployments
    assert len(follower.follow(objects_in(SOURCE)).deployments) == 1
    assert not follower.finish().not_followed
    assert said(follow(root, kustomization("  path: apps")).not_followed) == {("no-source", 5)}


@pytest.mark.parametrize("path", ["../outside", "link"])
def test_a_path_of_flux_stays_in_the_repository(tmp_path: Path, path: str) -> None:
    tree(tmp_path / "outside", {"a.yaml": CONFIG_MAP}, git=False)
    root = tree(tmp_path / "repo", {"x": ""})
    (root / "link").symlink_to("../outside")
    found = one(root, SOURCE + kustomization(f"  path: {path}"))
    assert not found.sources
    assert [error.line for error in found.errors] == [11]


def test_other_repositories_and_revisions(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/kustomization.yaml": KUSTOMIZATION})
    other = SOURCE.replace(URL, "https://other.example/x") + kustomization("  path: apps")
    assert said(one(root, other).not_followed) == {("other-repository", 10)}
    assert one(root, other, {"https://other.example/x.git": str(root)}).sources
    tagged = SOURCE.replace("branch: main", "tag: v1.0.0") + kustomization("  path: apps")
    assert "v1.0.0" in one(root, tagged).notes[0]
    bucket = SOURCE.replace("GitRepository", "Bucket") + kustomization("  path: apps").replace(
        "GitRepository", "Bucket"
    )
    assert said(one(root, bucket.replace(f"url: {URL}, ", "")).not_followed) == {("other-repository", 10)}


def test_variables_come_from_config_maps_and_are_overridden(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/kustomization.yaml": KUSTOMIZATION})
    spec = """  path: apps
  postBuild:
    substitute: {size: "small"}
    substituteFrom: [{kind: ConfigMap, name: settings}]"""
    found = one(root, SOURCE + _VALUES + kustomization(spec))
    substitution = found.sources[0].substitution
    assert substitution is not None
    assert (substitution.variables["region"], substitution.variables["size"]) == ("eu", "small")
    obj, path = substitution.origins["region"]
    assert (obj.ref.name, path) == ("settings", ("data", "region"))
    assert substitution.origins["size"][0] is found.obj


def test_variables_of_secrets_are_told(tmp_path: Path) -> None:
    root = tree(tmp_path, {"apps/kustomization.yaml": KUSTOMIZATION})
    spec = "  path: apps\n  postBuild: {substituteFrom: [{kind: Secret, name: settings, optional: true}]}"
    found = one(root, SOURCE + kustomization(spec))
    assert said(found.not_followed) == {("secret", 12)}
    missing = spec.replace("Secret", "ConfigMap")
    assert said(follow(root, SOURCE + kustomization(missing)).not_followed) == {("values", 12)}


# --- HelmRelease ---


@pytest.mark.parametrize(
    ("spec", "name", "namespace"),
    [
        ("", "web", "flux-system"),
        ("  targetNamespace: shop", "shop-web", "shop"),
        ("  targetNamespace: shop\n  releaseName: mine", "mine", "shop"),
    ],
)
def test_names_of_releases(tmp_path: Path, spec: str, name: str, namespace: str) -> None:
    root = tree(tmp_path, {"charts/web/Chart.yaml": CHART})
    found = one(root, SOURCE + release(spec))
    demand = helm_of(found)
    assert (demand.chart, demand.release, demand.namespace) == (str(root / "charts/web"), name, namespace)
    assert found.destination.namespace == namespace
    assert found.sources[0].labels == {
        "helm.toolkit.fluxcd.io/name": "web",
        "helm.toolkit.fluxcd.io/namespace": "flux-system",
    }


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path, {"charts/web/Chart.yaml": CHART})
    assert one(root, SOURCE + release(f"  releaseName: {'x' * 54}")).not_followed


def test_values_are_merged_in_their_order(tmp_path: Path) -> None:
    root = tree(tmp_path, {"charts/web/Chart.yaml": CHART})
    spec = """  values: {a: {c: 4}, e: "on"}
  valuesFrom:
    - {kind: ConfigMap, name: settings}
    - {kind: ConfigMap, name: settings, valuesKey: other}
    - {kind: ConfigMap, name: settings, valuesKey: gone, optional: true}
    - {kind: ConfigMap, name: settings, valuesKey: size, targetPath: f.g}
  install: {crds: Skip}
  postRenderers: [{kustomize: {images: [{name: a, newTag: v2}], patches: [{patch: x}]}}]"""
    found = one(root, SOURCE + _VALUES + release(spec))
    demand = helm_of(found)
    assert json.loads(demand.inline) == {"a": {"b": 3, "c": 4}, "d": [1], "e": "on"}
    assert demand.parameters == (("f.g=big", False),)
    assert demand.skip_crds
    assert found.sources[0].patches == ({"patches": [{"patch": "x"}], "images": [{"name": "a", "newTag": "v2"}]},)
    assert merged_values({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]}) == {"a": {"b": 1, "d": 2}, "c": [2]}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("[{kind: Secret, name: settings}]", "secret"),
        ("[{kind: ConfigMap, name: gone}]", "values"),
        ("[{kind: ConfigMap, name: settings, valuesKey: size, targetPath: a.b}]", "values"),
        ("[{kind: ConfigMap, name: settings, valuesKey: size}]", "values"),
    ],
)
def test_values_that_are_not_known_are_told(tmp_path: Path, spec: str, reason: str) -> None:
    root = tree(tmp_path, {"charts/web/Chart.yaml": CHART})
    found = follow(root, SOURCE + _VALUES + release(f"  values: {{a: 1}}\n  valuesFrom: {spec}"))
    problems = [*found.not_followed, *(one for made in found.deployments for one in made.not_followed)]
    assert said(problems) == {(reason, 17)}


def test_values_files_take_the_place_of_the_charts_own(tmp_path: Path) -> None:
    files = {"charts/web/Chart.yaml": CHART, "charts/web/values.yaml": "", "prod.yaml": ""}
    root = tree(tmp_path, files)
    both = release("", "chart: charts/web, valuesFiles: [charts/web/values.yaml, prod.yaml]")
    assert helm_of(one(root, SOURCE + both)).values == (str(root / "prod.yaml"),)
    alone = release("", "chart: charts/web, valuesFiles: [prod.yaml]")
    assert said(one(root, SOURCE + alone).not_followed) == {("values", 10)}


def test_charts_that_are_not_fetched(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree", {"x": ""})
    charts = tree(tmp_path / "charts", {"web/Chart.yaml": CHART}, git=False)
    source = """apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: deploy, namespace: flux-system}
spec: {url: https://charts.example}
---
"""
    text = source + release("", "chart: web").replace("GitRepository", "HelmRepository")
    assert said(one(root, text).not_followed) == {("chart-repository", 10)}
    assert helm_of(one(root, text, {"https://charts.example/": str(charts)})).chart == str(charts / "web")
    oci = release("").replace(
        "chart: {spec: {chart: charts/web, sourceRef: {kind: GitRepository, name: deploy}}}",
        "chartRef: {kind: OCIRepository, name: x}",
    )
    assert said(one(root, oci).not_followed) == {("chart-repository", 5)}


@pytest.mark.parametrize(
    "spec", ["", "spec: []", "spec: {sourceRef: x, path: 1}", "spec: {chart: {spec: []}, valuesFrom: {}}"]
)
@pytest.mark.parametrize(
    "kind", ["helm.toolkit.fluxcd.io/v2\nkind: HelmRelease", "kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization"]
)
def test_objects_of_any_form_give_no_traceback(tmp_path: Path, kind: str, spec: str) -> None:
    found = follow(tree(tmp_path, {"x": ""}), f"apiVersion: {kind}\nmetadata: {{name: x}}\n{spec}\n")
    assert found.not_followed or found.deployments[0].not_followed
