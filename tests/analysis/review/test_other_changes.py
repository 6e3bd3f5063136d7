"""Exposures and protections that a change brings or takes."""

from __future__ import annotations

import pytest

from kit import objects_in
from kubeassay.analysis.review.changes import review
from kubeassay.analysis.review.exposed import exposure_changes
from kubeassay.analysis.review.settings import setting_changes
from kubeassay.model import Inventory

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "i:1", ports: [{containerPort: 8080}]}]}
---
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: TYPE, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
    - host: a.example
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
"""
ISTIO = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: MODE}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
"""


def inventory(text: str) -> Inventory:
    return Inventory(objects_in(text))


def exposed(before: str, after: str) -> list[tuple[str, str, tuple[str, ...], str]]:
    return [(c.change, c.kind, c.workloads, c.ports) for c in exposure_changes(inventory(before), inventory(after))]


def test_a_service_that_becomes_a_load_balancer_exposes() -> None:
    inside, outside = WEB + SERVICE.replace("TYPE", "ClusterIP"), WEB + SERVICE.replace("TYPE", "LoadBalancer")
    found = exposed(inside, outside)
    assert ("opened", "load-balancer", ("shop/web[Deployment]",), "TCP 8080") in found
    assert ("opened", "node-port", ("shop/web[Deployment]",), "TCP 8080") in found
    assert [("closed", *rest) for _, *rest in found] == [(c[0], *c[1:]) for c in exposed(outside, inside)]
    assert exposed(outside, outside) == []


def test_a_way_to_pods_that_are_not_among_the_inputs_is_told_as_well() -> None:
    assert exposed("", SERVICE.replace("TYPE", "LoadBalancer")) == [("opened", "load-balancer", (), "TCP 80")]
    assert exposed("", INGRESS) == [("opened", "ingress", (), "")]


def test_an_ingress_exposes_what_its_service_leads_to() -> None:
    inside = WEB + SERVICE.replace("TYPE", "ClusterIP")
    (change,) = exposure_changes(inventory(inside), inventory(inside + INGRESS))
    assert (change.kind, change.workloads) == ("ingress", ("shop/web[Deployment]",))
    assert change.causes[0].location is not None


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ("restricted", "baseline", "weaker"),
        ("baseline", None, "weaker"),
        (None, "restricted", "stronger"),
        # Pod Security Admission takes an unknown level for restricted.
        ("baseline", "strictest", "stronger"),
        ("restricted", "strictest", None),
    ],
)
def test_the_standard_of_a_namespace(before: str | None, after: str | None, direction: str | None) -> None:
    def namespace(level: str | None) -> Inventory:
        labels = f"{{pod-security.kubernetes.io/enforce: {level}}}" if level else "{}"
        return inventory(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {labels}}}\n")

    found = setting_changes(namespace(before), namespace(after))
    assert [(c.kind, c.direction) for c in found] == ([("pod-security", direction)] if direction else [])


def test_a_namespace_object_that_is_gone_while_its_workloads_stay_is_told() -> None:
    labels = "{pod-security.kubernetes.io/enforce: restricted}"
    space = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {labels}}}\n---\n"
    (change,) = setting_changes(inventory(space + WEB), inventory(WEB))
    assert (change.was, change.now, change.direction) == ("restricted (latest)", "not among the inputs", "other")
    assert setting_changes(inventory(space + WEB), inventory("")) == ()


def test_the_mode_of_mtls() -> None:
    strict, permissive = (WEB + ISTIO.replace("MODE", mode) for mode in ("STRICT", "PERMISSIVE"))
    (change,) = setting_changes(inventory(strict), inventory(permissive))
    assert (change.kind, change.direction, change.was, change.now) == ("mtls", "weaker", "STRICT", "PERMISSIVE")
    assert change.subjects == ("shop/web[Deployment] port 8080",)
    (back,) = setting_changes(inventory(permissive), inventory(strict))
    assert back.direction == "stronger"


def test_what_is_not_evaluated_is_told_of_its_side() -> None:
    refused = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: bad, namespace: shop}
spec: {podSelector: {}, ingress: [{ports: [{port: 99999}]}]}
"""
    found = review(inventory(WEB), inventory(WEB + refused))
    assert [(one.side, "an API server refuses" in one.text) for one in found.unseen] == [("after", True)]
    assert {(path.was, path.now) for path in found.paths} == {("open", "not-evaluated")}
