"""Rules on the mesh and mTLS: sets of (object, path)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.mesh.mesh_kit import (
    ambient,
    deployment,
    destination_rule,
    injected,
    namespace,
    operator,
    peer_authentication,
    service,
    text_of,
)
from checks.network_outcomes import Outcome, outcomes

ROOT = "istio-system"
INJECT = "sidecar.istio.io/inject"
STRICT = peer_authentication("default", ROOT, "STRICT")
HOST = "web.shop.svc.cluster.local"


def _said(rule: str, *objects: dict[str, Any], **parameters: Any) -> set[tuple[str, str, str]]:
    return {(one.kind, one.about, one.words) for one in outcomes(rule, text_of(*objects), **parameters)}


def _fails(rule: str, *objects: dict[str, Any], **parameters: Any) -> set[tuple[str, str]]:
    return {(about, words) for kind, about, words in _said(rule, *objects, **parameters) if kind == "fail"}


def _message(rule: str, *objects: dict[str, Any], **parameters: Any) -> str:
    (one,) = (one for one in outcomes(rule, text_of(*objects), **parameters) if one.kind == "fail")
    return one.message


RULES = [
    "workload-outside-mesh",
    "namespace-without-injection",
    "istio-control-plane-missing",
    "traffic-excluded-from-proxy",
    "mtls-not-strict",
    "mtls-mode-disabled",
    "peer-authentication-refused",
    "peer-authentication-without-effect",
    "port-mtls-without-effect",
    "peer-authentication-conflict",
    "destination-rule-disables-tls",
    "client-tls-contradicts-mtls",
]


@pytest.mark.parametrize("rule", RULES)
def test_without_a_mesh_nothing_is_said(rule: str) -> None:
    assert outcomes(rule, text_of(namespace("shop"), deployment(), service())) == set()
    assert outcomes(rule, "") == set()


# --- membership ---


def test_a_workload_that_opts_out_is_told_where_it_does() -> None:
    path = f'spec.template.metadata.annotations["{INJECT}"]'
    out = deployment(annotations={INJECT: "false"})
    assert _said("workload-outside-mesh", injected(), out, deployment("api")) == {
        ("fail", "Deployment shop/web", path),
        ("pass", "Deployment shop/api", ""),
    }
    # One on the node's network is told only where every pod is demanded.
    on_node = deployment(hostNetwork=True)
    assert _said("workload-outside-mesh", injected(), on_node) == set()
    assert _fails("workload-outside-mesh", injected(), on_node, namespaces=["sh*"]) == {
        ("Deployment shop/web", "spec.template.spec.hostNetwork")
    }
    assert _fails("workload-outside-mesh", injected(), out, excluded_workloads=["shop/w*"]) == set()


def test_a_namespace_that_is_not_among_the_inputs_is_no_pass() -> None:
    assert _said("workload-outside-mesh", deployment(), STRICT, namespaces=["shop"]) == {
        ("not-judged", "Deployment shop/web", "unknown-namespace-labels")
    }
    assert _said("namespace-without-injection", deployment(), STRICT, namespaces=["shop"]) == {
        ("not-judged", "Deployment shop/web", "unknown-namespace-labels")
    }


def test_what_the_namespace_decides_is_told_of_the_namespace() -> None:
    web, bare = deployment(), namespace("shop")
    assert _said("workload-outside-mesh", bare, web, namespaces=["shop"]) == set()
    assert _fails("namespace-without-injection", bare, web, namespaces=["shop"]) == {
        ("Namespace shop", "metadata.name")
    }
    disabled = namespace("shop", **{"istio-injection": "disabled"})
    assert _fails("namespace-without-injection", disabled, web, STRICT) == {
        ("Namespace shop", "metadata.labels.istio-injection")
    }
    # Both labels: the older one decides.
    both = namespace("shop", **{"istio-injection": "disabled", "istio.io/rev": "default"})
    assert _fails("namespace-without-injection", both, web) == {("Namespace shop", "metadata.labels.istio-injection")}
    for inside in (injected(), ambient(), namespace("shop", **{"istio.io/rev": "a"})):
        assert _said("namespace-without-injection", inside, web) == {("pass", "Namespace shop", "")}
    # Each pod asks itself.
    assert _fails("namespace-without-injection", bare, deployment(labels={INJECT: "true"}), STRICT) == set()
    # Without parameters: namespaces with workloads, but those of Kubernetes and of Istio.
    others = [namespace(name) for name in ("kube-system", ROOT, "empty")]
    assert _said("namespace-without-injection", *others, injected(), STRICT) == set()
    assert _said("namespace-without-injection", bare, deployment(hostNetwork=True), STRICT) == set()


def test_linkerd_is_not_judged() -> None:
    web = deployment(annotations={"linkerd.io/inject": "enabled"})
    assert _said("workload-outside-mesh", namespace("shop"), web, namespaces=["shop"]) == {
        ("not-judged", "Deployment shop/web", "unsupported")
    }
    assert _said("mtls-not-strict", namespace("shop"), web, namespaces=["shop"]) == {
        ("not-judged", "Deployment shop/web", "unsupported")
    }
    # Nobody names a namespace, and there is no Istio.
    server = {
        "apiVersion": "policy.linkerd.io/v1beta3",
        "kind": "Server",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"podSelector": {}, "port": "http"},
    }
    assert _said("mtls-not-strict", namespace("shop"), web, server) == {
        ("not-judged", "Deployment shop/web", "unsupported"),
        ("not-judged", "Server shop/web", "unsupported"),
    }


def test_a_control_plane_is_demanded_where_namespaces_are_named() -> None:
    rule = "istio-control-plane-missing"
    assert _said(rule, injected()) == set()
    assert _said(rule, injected(), namespaces=["shop"]) == {("fail", "Namespace shop", "metadata.name")}
    assert _said(rule, injected(), operator(), namespaces=["shop"]) == {("pass", "IstioOperator istio-system/mesh", "")}
    istiod = deployment("istiod", ROOT)
    istiod["spec"]["template"]["spec"]["containers"] = [{"name": "discovery", "image": "pilot", "args": ["discovery"]}]
    assert _said(rule, injected(), istiod, namespaces=["shop"]) == {("pass", "Deployment istio-system/istiod", "")}
    # A gateway by itself is no control plane.
    gateway = operator(profile="empty")
    assert _fails(rule, injected(), gateway, namespaces=["shop"]) == {("Namespace shop", "metadata.name")}


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        ("traffic.sidecar.istio.io/excludeInboundPorts", "9090", True),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "15099", False),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "15099,9090", True),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "", False),
        ("traffic.sidecar.istio.io/includeInboundPorts", "*", False),
        ("traffic.sidecar.istio.io/includeInboundPorts", "", True),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "10.0.0.0/8", True),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*", False),
        ("sidecar.istio.io/interceptionMode", "NONE", True),
        ("sidecar.istio.io/interceptionMode", "REDIRECT", False),
    ],
)
def test_annotations_that_exclude_traffic(annotation: str, value: str, told: bool) -> None:
    web = deployment(annotations={annotation: value})
    path = f'spec.template.metadata.annotations["{annotation}"]'
    found = _said("traffic-excluded-from-proxy", injected(), web, allowed_ports=[15099])
    assert found == {("fail", "Deployment shop/web", path) if told else ("pass", "Deployment shop/web", "")}
    # Outside the mesh it means nothing.
    assert _said("traffic-excluded-from-proxy", namespace("shop"), web) == set()


def test_an_installation_that_excludes_traffic_of_all_pods() -> None:
    rule = "traffic-excluded-from-proxy"
    mesh = operator(values={"global": {"proxy": {"excludeInboundPorts": "8080", "statusPort": 15020}}})
    where = ("IstioOperator istio-system/mesh", "spec.values.global.proxy.excludeInboundPorts")
    assert _fails(rule, injected(), deployment(), mesh) == {where}
    assert _fails(rule, injected(), deployment(), mesh, allowed_ports=[8080]) == set()
    none = operator(meshConfig={"defaultConfig": {"interceptionMode": "NONE"}})
    assert _fails(rule, none) == {("IstioOperator istio-system/mesh", "spec.meshConfig.defaultConfig.interceptionMode")}
    text = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-sidecar-injector", "namespace": ROOT}}
    text["data"] = {"config": "policy: enabled", "values": '{"global": {"proxy": {"includeIPRanges": "10.0.0.0/8"}}}'}
    assert _fails(rule, text) == {("ConfigMap istio-system/istio-sidecar-injector", "data.values")}


# --- modes ---


def test_ports_that_accept_plain_text_are_told_where_it_is_decided() -> None:
    rule, shop = "mtls-not-strict", [injected(), deployment(), deployment("api")]
    assert _said(rule, *shop, STRICT) == {("pass", "Deployment shop/web", ""), ("pass", "Deployment shop/api", "")}
    space = peer_authentication("default", "shop", "PERMISSIVE")
    assert _said(rule, *shop, STRICT, space) == {("fail", "PeerAuthentication shop/default", "spec.mtls.mode")}
    ports = peer_authentication("web", "shop", "STRICT", app="web", ports={8080: "PERMISSIVE"})
    assert _said(rule, *shop, STRICT, ports) == {
        ("fail", "PeerAuthentication shop/web", 'spec.portLevelMtls["8080"].mode'),
        ("pass", "Deployment shop/api", ""),
    }
    # Nothing decides, and what the root namespace has is known.
    assert _said(rule, *shop, operator()) == {("fail", "Namespace shop", "metadata.name")}
    # A policy that leaves its mode unset decides nothing.
    assert _said(rule, *shop, peer_authentication("default", ROOT, "UNSET")) == {
        ("fail", "Namespace shop", "metadata.name")
    }
    # Nothing decides here, and the mesh's policy may be elsewhere.
    reasons = {(kind, words) for kind, _, words in _said(rule, *shop)}
    assert reasons == {("not-judged", "no-objects")}


def test_what_is_not_known_is_no_pass() -> None:
    either = [peer_authentication("a", "shop", "STRICT"), peer_authentication("b", "shop", "PERMISSIVE")]
    assert _said("mtls-not-strict", injected(), deployment(), *either) == {
        ("not-judged", "Deployment shop/web", "unknown-order")
    }
    assert _said("mtls-not-strict", deployment(), STRICT) == {
        ("not-judged", "Deployment shop/web", "unknown-namespace-labels")
    }


def test_disabled_modes_and_refused_policies() -> None:
    policies = [
        peer_authentication("a", ROOT, "DISABLE"),
        peer_authentication("b", "shop", "STRICT", app="web", ports={8080: "DISABLE", 9090: "STRICT"}),
        peer_authentication("c", "shop", "strict"),
        peer_authentication("d", "shop", "STRICT", ports={8080: "STRICT"}),
    ]
    assert _said("mtls-mode-disabled", *policies) == {
        ("fail", "PeerAuthentication istio-system/a", "spec.mtls.mode"),
        ("fail", "PeerAuthentication shop/b", 'spec.portLevelMtls["8080"].mode'),
    }
    assert _said("peer-authentication-refused", *policies) == {
        ("pass", "PeerAuthentication istio-system/a", ""),
        ("pass", "PeerAuthentication shop/b", ""),
        ("fail", "PeerAuthentication shop/c", "spec.mtls.mode"),
        ("fail", "PeerAuthentication shop/d", "spec.portLevelMtls"),
    }


# --- policies without effect ---


def test_policies_that_apply_to_nothing() -> None:
    rule, shop = "peer-authentication-without-effect", [injected(), deployment()]
    miss = peer_authentication("x", "shop", "STRICT", app="wbe")
    assert _fails(rule, *shop, miss) == {("PeerAuthentication shop/x", "spec.selector.matchLabels.app")}
    assert "there is app=web" in _message(rule, *shop, miss)
    in_root = peer_authentication("x", ROOT, "STRICT", app="web")
    assert _fails(rule, *shop, in_root) == {("PeerAuthentication istio-system/x", "spec.selector")}
    # What runs in the namespace is not among the inputs.
    assert _said(rule, *shop, peer_authentication("x", "other", "STRICT", app="web")) == set()


def test_strict_in_a_namespace_without_workloads_while_others_accept_plain_text() -> None:
    rule = "peer-authentication-without-effect"
    here = peer_authentication("default", "production", "STRICT")
    shop = [injected(), deployment()]
    root_is_known = namespace(ROOT)
    assert _fails(rule, *shop, here, root_is_known) == {("PeerAuthentication production/default", "metadata.namespace")}
    # What the mesh's own policy is may not be known.
    assert _fails(rule, *shop, here) == set()
    # With STRICT for all it is merely redundant.
    assert _fails(rule, *shop, here, STRICT) == set()
    assert _fails(rule, *shop, namespace("production"), deployment(space="production"), here, root_is_known) == set()


def test_modes_for_ports_that_nothing_serves() -> None:
    rule, shop = "port-mtls-without-effect", [injected(), deployment(), service()]
    policy = peer_authentication("web", "shop", app="web", ports={80: "STRICT", 8080: "STRICT"})
    assert _said(rule, *shop, policy) == {("fail", "PeerAuthentication shop/web", 'spec.portLevelMtls["80"]')}
    assert "leads port 80 to 8080" in _message(rule, *shop, policy)
    silent = deployment()
    del silent["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert _said(rule, injected(), silent, policy) == set()


def test_several_policies_at_one_level() -> None:
    rule, shop = "peer-authentication-conflict", [injected(), deployment()]
    both = [peer_authentication("a", "shop", "STRICT"), peer_authentication("b", "shop", "STRICT")]
    assert _fails(rule, *shop, *both) == {("PeerAuthentication shop/b", "metadata.name")}
    dated = [
        peer_authentication("a", "shop", "STRICT", created="2024-02-01T00:00:00Z"),
        peer_authentication("b", "shop", "STRICT", created="2024-01-01T00:00:00Z"),
    ]
    assert _fails(rule, *shop, *dated) == {("PeerAuthentication shop/a", "metadata.name")}
    own = [peer_authentication(name, "shop", "STRICT", app="web") for name in "pq"]
    assert _fails(rule, *shop, *own) == {("PeerAuthentication shop/q", "metadata.name")}
    apart = [peer_authentication("a", "shop", "STRICT"), peer_authentication("b", "bank", "STRICT"), STRICT]
    assert _fails(rule, *shop, *apart) == set()


# --- clients ---


def test_rules_that_disable_tls() -> None:
    rule = "destination-rule-disables-tls"
    where = ("DestinationRule shop/web", "spec.trafficPolicy.tls.mode")
    off = destination_rule("web", "shop", "web", "DISABLE")
    assert _fails(rule, injected(), deployment(), service(), off) == {where}
    assert _fails(rule, injected(), deployment(), service(), destination_rule("web", ROOT, "*.local", "DISABLE")) == {
        ("DestinationRule istio-system/web", "spec.trafficPolicy.tls.mode")
    }
    # Its pods are outside the mesh, so that plain text is what they take; but not where they ought to be in it.
    outside = [namespace("shop"), deployment(), service(), off]
    assert _said(rule, *outside) == {("pass", "DestinationRule shop/web", "")}
    assert _fails(rule, *outside, namespaces=["shop"]) == {where}
    # Hosts that are not among the inputs, inside the cluster and outside.
    assert _said(rule, destination_rule("web", "shop", HOST, "DISABLE")) == {
        ("not-judged", "DestinationRule shop/web", "unknown-peer")
    }
    assert _said(rule, destination_rule("web", "shop", "api.example.com", "DISABLE")) == {
        ("pass", "DestinationRule shop/web", "")
    }
    api_server = destination_rule("web", "shop", "kubernetes.default.svc.cluster.local", "DISABLE")
    assert _said(rule, api_server) == {("pass", "DestinationRule shop/web", "")}
    subset = destination_rule("web", "shop", "web", None)
    subset["spec"]["subsets"] = [{"name": "v1", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}]
    assert _fails(rule, injected(), deployment(), service(), subset) == {
        ("DestinationRule shop/web", "spec.subsets[0].trafficPolicy.tls.mode")
    }


def test_calls_that_fail() -> None:
    rule, shop = "client-tls-contradicts-mtls", [injected(), deployment(), service()]
    off = destination_rule("web", "shop", "web", "DISABLE")
    assert _fails(rule, *shop, off, STRICT) == {("DestinationRule shop/web", "spec.trafficPolicy.tls.mode")}
    assert _said(rule, *shop, off, operator()) == {("pass", "DestinationRule shop/web", "")}
    mutual = destination_rule("web", "shop", "web", "ISTIO_MUTUAL")
    assert _said(rule, *shop, mutual, STRICT) == {("pass", "DestinationRule shop/web", "")}
    outside = [namespace("shop"), deployment(), service(), mutual]
    assert _fails(rule, *outside) == {("DestinationRule shop/web", "spec.trafficPolicy.tls.mode")}
    # Automatic mTLS looks at the namespace alone.
    policies = [
        peer_authentication("default", "shop", "DISABLE"),
        peer_authentication("web", "shop", "STRICT", app="web"),
    ]
    assert _fails(rule, *shop, *policies) == {("PeerAuthentication shop/default", "spec.mtls.mode")}
    # Whether the pods are in the mesh is not known.
    assert _said(rule, deployment(), service(), mutual) == {
        ("not-judged", "DestinationRule shop/web", "unknown-namespace-labels")
    }
    # A rule whose host is not among the inputs is neither.
    assert _said(rule, *shop, destination_rule("other", "shop", "other", "DISABLE")) == set()


def test_a_failure_names_what_the_server_is_told() -> None:
    objects = [injected(), deployment(), service(), destination_rule("web", "shop", "web", "DISABLE"), STRICT]
    (found,) = (one for one in outcomes("client-tls-contradicts-mtls", text_of(*objects)) if one.kind == "fail")
    assert isinstance(found, Outcome)
    assert found.related == ("PeerAuthentication istio-system/default spec.mtls.mode",)


# --- hostile input ---

_KEYS = st.sampled_from(
    [
        "mtls",
        "mode",
        "portLevelMtls",
        "8080",
        "selector",
        "matchLabels",
        "app",
        "host",
        "trafficPolicy",
        "tls",
        "portLevelSettings",
        "port",
        "number",
        "subsets",
        "name",
        "exportTo",
        "workloadSelector",
        "values",
        "global",
        "proxy",
        "meshConfig",
        "discoverySelectors",
        "revisionTags",
        "revision",
    ]
)
_VALUES = st.recursive(
    st.sampled_from([None, True, 3, -1, 2**70, "", "web", "STRICT", "DISABLE", "*", ".", "8080", "no"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_KINDS = st.sampled_from(
    [
        ("security.istio.io/v1", "PeerAuthentication"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("install.istio.io/v1alpha1", "IstioOperator"),
        ("sailoperator.io/v1", "Istio"),
        ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(stated=st.lists(st.tuples(_KINDS, _VALUES), max_size=4), labels=_VALUES, data=_VALUES)
def test_nothing_that_is_written_fails_a_rule(
    stated: list[tuple[tuple[str, str], Any]], labels: Any, data: Any
) -> None:
    objects = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": f"n{number}", "namespace": "shop"}, "spec": spec}
        for number, ((version, kind), spec) in enumerate(stated)
    ]
    for obj in objects:
        obj["webhooks"] = obj["spec"]
    web = deployment()
    web["spec"]["template"]["metadata"] = {"labels": labels, "annotations": labels}
    space = injected()
    space["metadata"]["labels"] = data
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio"},
        "data": {"mesh": json.dumps(data)},
    }
    text = "\n---\n".join(map(json.dumps, [*objects, web, service(), space, injected("bank"), config]))
    for rule in RULES:
        outcomes(rule, text)


def test_a_rule_that_an_older_one_comes_before_sends_nothing() -> None:
    rules = [destination_rule("a", "shop", "web", "DISABLE"), destination_rule("b", "shop", "web", "ISTIO_MUTUAL")]
    cluster = [injected(), deployment(), service()]
    told = {(o.kind, o.about, o.words) for o in outcomes("destination-rule-disables-tls", text_of(*cluster, *rules))}
    assert ("not-judged", "DestinationRule shop/a", "unknown-order") in told
    assert not any(kind == "fail" for kind, _, _ in told)
    for rule, created in zip(rules, ("2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z"), strict=True):
        rule["metadata"]["creationTimestamp"] = created
    found = outcomes("destination-rule-disables-tls", text_of(*cluster, *rules))
    assert {(o.kind, o.about) for o in found} == {("pass", "DestinationRule shop/b")}
    rules[0]["metadata"]["creationTimestamp"] = "2023-01-01T00:00:00Z"
    found = outcomes("destination-rule-disables-tls", text_of(*cluster, *rules))
    assert ("fail", "DestinationRule shop/a") in {(o.kind, o.about) for o in found}
