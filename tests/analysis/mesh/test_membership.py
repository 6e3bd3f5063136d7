"""Which workloads are in the mesh, and what decides it. Injection itself is compared with Istio's own code in
test_mesh_upstream.py."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.mesh.mesh_kit import ambient, deployment, injected, inventory_of, namespace, operator
from kubeassay.analysis.mesh.membership import Membership, memberships, waypoint
from kubeassay.analysis.mesh.settings import mesh_settings
from kubeassay.model import format_path

INJECT = "sidecar.istio.io/inject"
IN_LABELS = f'spec.template.metadata.labels["{INJECT}"]'
IN_ANNOTATIONS = f'spec.template.metadata.annotations["{INJECT}"]'


def _of(*objects: dict[str, Any], name: str = "shop/web[Deployment]") -> Membership:
    found = memberships(inventory_of(*objects))
    return next(found.of(workload) for workload in found.workloads if workload.name == name)


def _where(found: Membership) -> tuple[str, str]:
    obj, path = found.place
    return str(obj.ref), format_path(path)


WEB = "Deployment shop/web"
SHOP = "Namespace shop"


@pytest.mark.parametrize(
    ("objects", "kind", "where"),
    [
        ([injected(), deployment()], "sidecar", (SHOP, "metadata.labels.istio-injection")),
        (
            [namespace("shop", **{"istio.io/rev": "x"}), deployment()],
            "sidecar",
            (SHOP, 'metadata.labels["istio.io/rev"]'),
        ),
        (
            [namespace("shop", **{"istio-injection": "disabled"}), deployment(labels={INJECT: "true"})],
            "outside",
            (SHOP, "metadata.labels.istio-injection"),
        ),
        ([namespace("shop"), deployment()], "outside", (SHOP, "metadata.labels.istio-injection")),
        ([namespace("shop"), deployment(labels={INJECT: "true"})], "sidecar", (WEB, IN_LABELS)),
        (
            [namespace("shop"), deployment(annotations={INJECT: "true"})],
            "outside",
            (SHOP, "metadata.labels.istio-injection"),
        ),
        ([injected(), deployment(labels={INJECT: "false"})], "outside", (WEB, IN_LABELS)),
        ([injected(), deployment(annotations={INJECT: "false"})], "outside", (WEB, IN_ANNOTATIONS)),
        (
            [injected(), deployment(labels={INJECT: "true"}, annotations={INJECT: "false"})],
            "sidecar",
            (SHOP, "metadata.labels.istio-injection"),
        ),
        # Older versions take it for false, newer ones for nothing.
        ([injected(), deployment(annotations={INJECT: "no"})], "unknown", (WEB, IN_ANNOTATIONS)),
        ([injected(), deployment(hostNetwork=True)], "outside", (WEB, "spec.template.spec.hostNetwork")),
        # A namespace that nothing declares may have any label.
        ([deployment()], "unknown", (WEB, "metadata.namespace")),
        ([deployment(labels={INJECT: "false"})], "outside", (WEB, IN_LABELS)),
        ([ambient(), deployment()], "ambient", (SHOP, 'metadata.labels["istio.io/dataplane-mode"]')),
        (
            [ambient(), deployment(labels={"istio.io/dataplane-mode": "none"})],
            "outside",
            (SHOP, "metadata.labels.istio-injection"),
        ),
        (
            [namespace("shop"), deployment(labels={"istio.io/dataplane-mode": "ambient"})],
            "ambient",
            (WEB, 'spec.template.metadata.labels["istio.io/dataplane-mode"]'),
        ),
        # The control plane that is installed has no ztunnel.
        ([ambient(), operator(), deployment()], "unknown", (SHOP, 'metadata.labels["istio.io/dataplane-mode"]')),
        (
            [ambient(), operator(profile="ambient"), deployment()],
            "ambient",
            (SHOP, 'metadata.labels["istio.io/dataplane-mode"]'),
        ),
        (
            [injected(), deployment(annotations={"inject.istio.io/templates": "gateway"})],
            "gateway",
            (SHOP, "metadata.labels.istio-injection"),
        ),
        (
            [injected(), deployment(annotations={"inject.istio.io/templates": "grpc-agent"})],
            "proxyless",
            (WEB, 'spec.template.metadata.annotations["inject.istio.io/templates"]'),
        ),
        (
            [namespace("shop"), deployment(annotations={"linkerd.io/inject": "enabled"})],
            "unknown",
            (WEB, 'spec.template.metadata.annotations["linkerd.io/inject"]'),
        ),
        (
            [namespace("shop", annotations={"linkerd.io/inject": "enabled"}), deployment()],
            "unknown",
            (SHOP, 'metadata.annotations["linkerd.io/inject"]'),
        ),
        # A revision that is not among those which are installed may be a tag.
        (
            [operator(revision="a"), namespace("shop", **{"istio.io/rev": "b"}), deployment()],
            "unknown",
            (SHOP, 'metadata.labels["istio.io/rev"]'),
        ),
        (
            [
                operator(meshConfig={"discoverySelectors": [{"matchLabels": {"watched": "yes"}}]}),
                injected(),
                deployment(),
            ],
            "unknown",
            ("IstioOperator istio-system/mesh", "spec.meshConfig"),
        ),
    ],
)
def test_membership(objects: list[dict[str, Any]], kind: str, where: tuple[str, str]) -> None:
    found = _of(*objects)
    assert (found.kind, _where(found)) == (kind, where)
    assert bool(found.reason) is (kind == "unknown")


def test_namespaces_by_default_are_those_of_the_default_revision() -> None:
    by_default = {"sidecarInjectorWebhook": {"enableNamespacesByDefault": True}}
    assert _of(operator(values=by_default), namespace("shop"), deployment()).kind == "sidecar"
    other = operator(values={**by_default, "revision": "canary"})
    assert _of(other, namespace("shop"), deployment()).kind == "unknown"
    tagged = operator(values={**by_default, "revision": "canary", "revisionTags": ["default"]})
    assert _of(tagged, namespace("shop"), deployment()).kind == "sidecar"


def test_nothing_is_injected_in_the_namespaces_of_kubernetes() -> None:
    found = _of(injected("kube-system"), deployment(space="kube-system"), name="kube-system/web[Deployment]")
    assert found.kind == "outside"


def _container(name: str, image: str, *args: str) -> dict[str, Any]:
    return {"name": name, "image": image, "args": list(args)}


def test_the_member_roll_of_openshift_is_not_evaluated() -> None:
    roll = {
        "apiVersion": "maistra.io/v1",
        "kind": "ServiceMeshMemberRoll",
        "metadata": {"name": "default", "namespace": "m"},
        "spec": {"members": ["shop"]},
    }
    assert _of(namespace("shop"), deployment(), roll).kind == "unknown"


def test_a_template_with_the_proxy_is_in_the_mesh_whatever_its_namespace_says() -> None:
    web = deployment(labels={INJECT: "false"})
    web["spec"]["template"]["spec"]["containers"].append(_container("istio-proxy", "docker.io/istio/proxyv2:1.20"))
    assert _of(namespace("shop"), web).kind == "sidecar"
    web["spec"]["template"]["spec"]["containers"][-1]["args"] = ["proxy", "router"]
    assert _of(namespace("shop"), web).kind == "gateway"


def test_a_container_that_is_only_named_like_the_proxy_puts_nothing_into_the_mesh() -> None:
    web = deployment()
    web["spec"]["template"]["spec"]["containers"].append(_container("istio-proxy", "docker.io/library/nginx:1"))
    assert _of(namespace("shop"), web).kind == "unknown"
    assert _of(injected(), web).kind == "sidecar"


def _live(number: int, *containers: dict[str, Any], owner: str = "web", **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{owner}-abc-{number}",
            "namespace": "shop",
            "uid": str(number),
            "labels": {"app": owner, "pod-template-hash": "abc"},
            "annotations": annotations,
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{owner}-abc", "controller": True}],
        },
        "spec": {"containers": [_container("app", "registry.example/app:1"), *containers]},
        "status": {"phase": "Running"},
    }


PROXY = _container("istio-proxy", "docker.io/istio/proxyv2:1.20")


def test_live_pods_come_before_labels() -> None:
    # Made before the namespace had its label.
    assert _of(injected(), deployment(), _live(1)).kind == "outside"
    assert _of(injected(), deployment(), _live(1, PROXY), _live(2)).kind == "outside"
    assert _where(_of(injected(), deployment(), _live(1, PROXY), _live(2))) == ("Pod shop/web-abc-2", "metadata.name")
    assert _of(namespace("shop"), deployment(), _live(1, PROXY)).kind == "sidecar"
    assert (
        _of(namespace("shop"), deployment(), _live(1, **{"ambient.istio.io/redirection": "enabled"})).kind == "ambient"
    )
    ended = _live(1)
    ended["status"]["phase"] = "Succeeded"
    assert _of(injected(), deployment(), ended).kind == "sidecar"


def test_a_pod_in_a_manifest_is_not_live() -> None:
    pod = _live(1)
    del pod["status"], pod["metadata"]["uid"], pod["metadata"]["ownerReferences"]
    assert _of(injected(), pod, name="shop/web-abc-1[Pod]").kind == "sidecar"


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], ("istio-system", "cluster.local", True, False)),
        ([operator(meshConfig={"rootNamespace": "mesh-root"})], ("mesh-root", "cluster.local", True, True)),
        ([operator(values={"global": {"istioNamespace": "m"}})], ("m", "cluster.local", True, True)),
        ([operator(meshConfig={"enableAutoMtls": False, "trustDomain": "td"})], ("istio-system", "td", False, True)),
        (
            [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "istio", "namespace": "m"},
                    "data": {"mesh": "rootNamespace: m\ntrustDomain: td\nenableAutoMtls: false\n"},
                }
            ],
            ("m", "td", False, True),
        ),
        (
            [
                {
                    "apiVersion": "sailoperator.io/v1",
                    "kind": "Istio",
                    "metadata": {"name": "default"},
                    "spec": {"namespace": "m", "values": {"meshConfig": {"trustDomain": "td"}}},
                }
            ],
            ("m", "td", True, True),
        ),
        (
            [
                {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Application",
                    "metadata": {"name": "istiod", "namespace": "argocd"},
                    "spec": {"source": {"chart": "istiod", "helm": {"values": "meshConfig: {trustDomain: td}"}}},
                }
            ],
            ("istio-system", "td", True, True),
        ),
        # What is no YAML says nothing, and fails nothing.
        (
            [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "istio", "namespace": "m"},
                    "data": {"mesh": "{[: &a *b !!python/object:x"},
                }
            ],
            ("istio-system", "cluster.local", True, True),
        ),
    ],
)
def test_settings(objects: list[dict[str, Any]], expected: tuple[str, str, bool, bool]) -> None:
    found = mesh_settings(inventory_of(*objects, namespace("other")))
    assert (found.root_namespace, found.trust_domain, found.auto_mtls, found.present) == expected


def test_without_a_sign_there_is_no_mesh() -> None:
    assert not mesh_settings(inventory_of(namespace("shop", **{"istio-injection": "disabled"}), deployment())).present
    assert mesh_settings(inventory_of(injected())).present
    assert mesh_settings(inventory_of(deployment(annotations={INJECT: "true"}))).present


def test_a_waypoint_is_named_by_the_pod_or_its_namespace() -> None:
    found = memberships(inventory_of(namespace("shop", **{"istio.io/use-waypoint": "w"}), deployment()))
    (workload,) = found.workloads
    space = found.space_of(workload)
    assert waypoint({}, space) == "shop/w"
    assert waypoint({"istio.io/use-waypoint": "none"}, space) is None
    assert waypoint({"istio.io/use-waypoint": "v", "istio.io/use-waypoint-namespace": "infra"}, space) == "infra/v"
