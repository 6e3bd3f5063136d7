"""Deployers that deploy deployers, and the namespaces that objects get."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployer_trees import CONFIG_MAP, app, follow, repositories, tree

from kit import objects_in
from kubeassay.model import Object
from kubeassay.sources.deployers.follow import MAX_ROUNDS, Follower
from kubeassay.sources.deployers.model import DirectoryDemand
from kubeassay.sources.deployers.namespaces import Scopes, destined
from kubeassay.sources.manifests import read_bytes


def _objects_of(found: DirectoryDemand) -> list[Object]:
    return [obj for file in found.files for obj in read_bytes(Path(file).read_bytes(), file).objects]


def test_an_app_of_apps_is_followed_to_its_end_though_it_deploys_itself(tmp_path: Path) -> None:
    parent, child = app("    path: apps", name="parent"), app("    path: web", name="child")
    root = tree(tmp_path, {"apps/parent.yaml": parent, "apps/child.yaml": child, "web/a.yaml": CONFIG_MAP})
    follower = Follower(repositories(root))
    rounds: list[list[str]] = []
    objects = objects_in(parent)
    while objects:
        found = follower.follow(objects)
        rounds.append([one.obj.ref.name for one in found.deployments])
        demands = [source.demand for one in found.deployments for source in one.sources]
        assert all(isinstance(demand, DirectoryDemand) for demand in demands)
        objects = [obj for demand in demands if isinstance(demand, DirectoryDemand) for obj in _objects_of(demand)]
    assert rounds == [["parent"], ["child"], []]


def test_applications_that_always_make_others_come_to_an_end(tmp_path: Path) -> None:
    root = tree(tmp_path, {"web/a.yaml": CONFIG_MAP})
    follower = Follower(repositories(root))
    found = [follower.follow(objects_in(app("    path: web", name=f"a{n}"))) for n in range(MAX_ROUNDS + 2)]
    assert sum(len(one.deployments) for one in found) == MAX_ROUNDS
    assert {problem.reason for problem in found[-1].not_followed} == {"limit"}


def test_applications_of_one_name_are_all_followed_and_noted(tmp_path: Path) -> None:
    root = tree(tmp_path, {"a/x.yaml": CONFIG_MAP, "b/x.yaml": CONFIG_MAP})
    found = follow(root, app("    path: a") + "---\n" + app("    path: b"))
    assert len(found.deployments) == 2
    assert [note for note in found.notes if "several" in note]


_CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Thing}}
"""


@pytest.mark.parametrize(
    ("text", "always", "namespace", "scope"),
    [
        (CONFIG_MAP, False, "shop", "namespaced"),
        (CONFIG_MAP.replace("{name: web}", "{name: web, namespace: own}"), False, "own", "namespaced"),
        (CONFIG_MAP.replace("{name: web}", "{name: web, namespace: own}"), True, "shop", "namespaced"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n", True, None, "cluster"),
        (
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x, namespace: own}\n",
            False,
            None,
            "cluster",
        ),
        ("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\n", False, None, "cluster"),
        ("apiVersion: example.com/v1\nkind: Other\nmetadata: {name: x}\n", False, "shop", "unknown"),
    ],
)
def test_the_namespace_that_an_object_gets(text: str, always: bool, namespace: str | None, scope: str) -> None:
    (obj,) = objects_in(text)
    made, found = destined(obj, "shop", Scopes(objects_in(_CRD)), always=always)
    assert (made.ref.namespace, made.get("metadata", "namespace"), found) == (namespace, namespace, scope)
    # What was read stays as it was, and places with it.
    assert made.locate(("metadata", "name")) == obj.locate(("metadata", "name"))
