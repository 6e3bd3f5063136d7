"""Names of resources, as kubectl resolves them."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.access.worlds import inventory
from kubeassay.analysis.access.resources import built_in, resource_types


def crd(**spec: Any) -> dict[str, Any]:
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "shortNames": ["gd"]}
    stated = {
        "group": "example.com",
        "names": names,
        "scope": "Namespaced",
        "versions": [{"name": "v1", "subresources": {"status": {}, "scale": None}}],
    } | spec
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": stated,
    }


@pytest.mark.parametrize(
    ("text", "group", "name", "namespaced"),
    [
        ("deployments", "apps", "deployments", True),
        ("deployment", "apps", "deployments", True),
        ("Deployment", "apps", "deployments", True),
        ("deploy", "apps", "deployments", True),
        ("deployments.apps", "apps", "deployments", True),
        ("deploy.apps", "apps", "deployments", True),
        ("deployments.v1.apps", "apps", "deployments", True),
        ("pods.v1.", "", "pods", True),
        ("no", "", "nodes", False),
        # Both groups have events; the core group comes first.
        ("ev", "", "events", True),
        ("events.events.k8s.io", "events.k8s.io", "events", True),
        # A group may be cut short.
        ("ingresses.networking", "networking.k8s.io", "ingresses", True),
        ("gd", "example.com", "gadgets", True),
        ("gadget.v1.example.com", "example.com", "gadgets", True),
    ],
)
def test_known_names(text: str, group: str, name: str, namespaced: bool) -> None:
    found = resource_types(inventory(crd())).resolve(text)
    assert found.type is not None
    assert (found.group, found.name, found.type.namespaced) == (group, name, namespaced)


@pytest.mark.parametrize(
    ("text", "group", "name"),
    [
        ("*", "", "*"),
        ("*.apps", "apps", "*"),
        ("*.*", "*", "*"),
        ("gadgets", "", "gadgets"),
        ("gadgets.example.com", "example.com", "gadgets"),
        ("deployments.extensions", "extensions", "deployments"),
        ("deployments.v9.apps", "v9.apps", "deployments"),
    ],
)
def test_unknown_names_are_taken_literally(text: str, group: str, name: str) -> None:
    found = resource_types(inventory()).resolve(text)
    assert (found.group, found.name, found.type) == (group, name, None)


def test_definitions_state_scope_and_subresources() -> None:
    found = resource_types(inventory(crd(scope="Cluster"))).get("example.com", "gadgets")
    assert found is not None
    assert (found.namespaced, set(found.subresources), found.versions) == (False, {"status"}, ("v1",))
    assert found.definition is not None
    old = crd(version="v1alpha1", versions=None, subresources={"scale": {}})
    found = resource_types(inventory(old | {"apiVersion": "apiextensions.k8s.io/v1beta1"})).get(
        "example.com", "gadgets"
    )
    assert found is not None
    assert (set(found.subresources), found.versions) == ({"scale"}, ("v1alpha1",))
    nothing = crd(names=None)
    assert len(resource_types(inventory(nothing)).all) == len(built_in())


def test_the_table_knows_verbs_and_subresources() -> None:
    pods = resource_types(inventory()).get("", "pods")
    assert pods is not None
    assert {"exec", "attach", "log", "portforward", "proxy", "eviction", "ephemeralcontainers"} <= set(
        pods.subresources
    )
    assert set(pods.subresources["exec"]) == {"create", "get"}
    assert "deletecollection" in pods.verbs
    assert str(resource_types(inventory()).get("apps", "daemonsets")) == "daemonsets.apps"
