"""Rules of kubeassay.checks.serving."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checks.test_autoscaling import Value, hpa, said, workload
from kit import failing, places, plan_of, profile_of, scan_text

WEB, SERVICE = "Deployment shop/web", "Service shop/web"
HTTP = {"name": "http", "containerPort": 8080}


def service(app: Any = "web", target: Any = 8080, namespace: str | None = "shop", **more: Any) -> Value:
    metadata: Value = {"name": "web", **({"namespace": namespace} if namespace else {})}
    selector = {"app": app} if isinstance(app, str) else app
    spec = {"selector": selector, "ports": [{"port": 80, "targetPort": target}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def serving(probe: Value | None = None, **more: Any) -> Value:
    container = {"name": "app", "image": "app:1", "ports": [HTTP], **(probe or {})}
    return workload(containers=[container], **more)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ((serving(), service()), "pass"),
        ((serving(), service("wbe")), "spec.selector.app"),
        ((serving(), service({"app": "web", "tier": "front"})), "spec.selector.tier"),
        ((serving(namespace="other"), service()), "no-objects"),
        ((serving(namespace=None), workload("api"), service()), "unknown-namespace"),
        ((serving(), service(namespace=None)), "unknown-namespace"),
        ((serving(), service({"pod-template-hash": "1"})), "unknown-labels"),
        ((serving(), service({"app": "a b"})), "invalid-object"),
        # Somebody else says where these lead.
        ((serving(), service({})), None),
        ((serving(), service(None)), None),
        ((serving(), service("wbe", type="ExternalName")), None),
    ],
)
def test_services_that_lead_nowhere(objects: tuple[Value, ...], expected: str | None) -> None:
    found = {words or kind for kind, _, words in said("service-selects-nothing", *objects)}
    assert found == (set() if expected is None else {expected})


def test_named_ports() -> None:
    rule, path = "service-port-unresolved", "spec.ports[0].targetPort"
    assert said(rule, serving(), service(target="http")) == {("pass", SERVICE, "")}
    assert said(rule, serving(), service(target=9090)) == {("pass", SERVICE, "")}
    assert said(rule, serving(), service(target="web")) == {("fail", SERVICE, path)}
    assert said(rule, serving(), service("wbe", target="web")) == set()


READY = {"readinessProbe": {"tcpSocket": {"port": 8080}}}


def test_readiness() -> None:
    rule, path = "readiness-probe-missing", "spec.template.spec.containers[0].readinessProbe"
    assert said(rule, serving(), service()) == {("fail", WEB, path)}
    assert said(rule, serving(READY), service()) == {("pass", WEB, "")}
    assert said(rule, serving({"readinessProbe": None}), service()) == {("fail", WEB, path)}
    assert said(rule, serving(pod={"readinessGates": [{"conditionType": "x"}]}), service()) == {("pass", WEB, "")}
    sidecar = {"initContainers": [{"name": "proxy", "restartPolicy": "Always", **READY}]}
    assert said(rule, serving(pod=sidecar), service()) == {("pass", WEB, "")}
    start = {"initContainers": [{"name": "init", **READY}]}
    assert ("fail", WEB, "spec.template.spec.containers[0].readinessProbe") in said(rule, serving(pod=start), service())
    assert said(rule, serving()) == set()
    assert said(rule, serving(), service(publishNotReadyAddresses=True)) == set()
    assert said(rule, serving(), service(ports=None)) == set()


@pytest.mark.parametrize(
    ("liveness", "readiness", "fails"),
    [
        ({"tcpSocket": {"port": 1}}, {"tcpSocket": {"port": 1}}, True),
        ({"tcpSocket": {"port": 1}}, {"tcpSocket": {"port": 2}}, False),
        ({"httpGet": {"port": 1}}, {"httpGet": {"port": 1, "path": "/", "scheme": "HTTP"}}, True),
        ({"httpGet": {"port": 1, "path": "/live"}}, {"httpGet": {"port": 1}}, False),
        ({"exec": {"command": ["a"]}}, {"tcpSocket": {"port": 1}}, False),
        # It waits longer, so it is no longer the same.
        ({"tcpSocket": {"port": 1}, "failureThreshold": 4}, {"tcpSocket": {"port": 1}}, False),
        ({"tcpSocket": {"port": 1}, "periodSeconds": 11}, {"tcpSocket": {"port": 1}}, False),
        ({"tcpSocket": {"port": 1}, "initialDelaySeconds": 5}, {"tcpSocket": {"port": 1}}, False),
        ({"tcpSocket": {"port": 1}}, {"tcpSocket": {"port": 1}, "failureThreshold": 4}, True),
        ({"tcpSocket": {"port": 1}}, {}, False),
        ({}, {}, False),
        ({"initialDelaySeconds": 5}, {"initialDelaySeconds": 5}, False),
        ("x", "x", False),
    ],
)
def test_probes_that_are_the_same(liveness: Any, readiness: Any, fails: bool) -> None:
    text = json.dumps(serving({"livenessProbe": liveness, "readinessProbe": readiness}))
    rule = "liveness-probe-equals-readiness"
    found = places(failing(scan_text(plan_of(profile_of(rule)), text)))
    expected = {(rule, "spec.template.spec.containers[0].livenessProbe")} if fails else set()
    assert {place[:2] for place in found} == expected


UNAVAILABLE = "spec.strategy.rollingUpdate.maxUnavailable"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"replicas": 3}, ""),
        ({"replicas": 3, "strategy": {"type": "Recreate"}}, "spec.strategy.type"),
        ({"replicas": 1, "strategy": {"type": "Recreate"}}, None),
        ({"replicas": 2, "strategy": {"rollingUpdate": {"maxUnavailable": 2}}}, UNAVAILABLE),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 2}}}, ""),
        # Rounded down: 99 % of 3 are 2.
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": "99%"}}}, ""),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}, UNAVAILABLE),
    ],
)  # fmt: skip
def test_rollouts(spec: Value, path: str | None) -> None:
    expected = set() if path is None else {("fail", WEB, path) if path else ("pass", WEB, "")}
    assert said("rollout-takes-all-down", serving(**spec)) == expected


@pytest.mark.parametrize("value", ["x", "150%", -1, []])
def test_a_rollout_by_a_bound_that_is_refused_is_not_judged(value: Any) -> None:
    spec = {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": value}}}
    assert said("rollout-takes-all-down", serving(**spec)) == {("not-judged", WEB, "invalid-object")}


def test_a_rollout_of_an_autoscaled_workload_counts_its_minimum() -> None:
    recreated = serving(strategy={"type": "Recreate"})
    assert said("rollout-takes-all-down", recreated, hpa()) == {("fail", WEB, "spec.strategy.type")}
    assert said("rollout-takes-all-down", recreated, hpa(minReplicas=1)) == set()


def test_a_service_for_what_comes_from_elsewhere_is_not_judged() -> None:
    """A namespace with some workloads is not complete: a chart, an operator or the cloud may make the others."""
    rule, other = "service-selects-nothing", ("not-judged", "Service shop/exporter", "no-objects")

    def exporter(selector: Any = "exporter", target: int = 9400, **metadata: Any) -> Value:
        one = service(selector, target)
        return {**one, "metadata": {"name": "exporter", "namespace": "shop", **metadata}}

    assert said(rule, serving(), service(), exporter()) == {("pass", SERVICE, ""), other}
    wrong = ("fail", "Service shop/exporter", "spec.selector.app")
    # It is for something that is here: part of its labels, a name, a port that nothing else leads to.
    tiers = {"app": "exporter", "tier": "back"}
    labelled = serving(name="api")
    labelled["spec"]["template"]["metadata"]["labels"] = {"app": "api", "tier": "back"}
    assert wrong in said(rule, labelled, exporter(tiers))
    assert wrong in said(rule, workload("gpu-exporter"), exporter())
    assert wrong in said(rule, serving(), exporter(target=8080))
    assert wrong not in said(rule, serving(), service(), exporter(target=8080))
    # All of a cluster is read.
    assert wrong in said(rule, serving(), exporter(uid="1"))
