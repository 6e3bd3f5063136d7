"""The rule documented-callers: who gets through in effect, against who is documented to."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.mesh.authorization_strategies import attributes, policies, requests
from checks.network_outcomes import Outcome, outcomes
from checks.test_mesh_authorization import MESH, OUTSIDE, STRICT, policy
from kit import objects_in
from kubeassay.analysis.mesh.authorization import authorization, decide
from kubeassay.analysis.mesh.authorization_rules import Request
from kubeassay.analysis.mesh.callers import callers
from kubeassay.analysis.network.workloads import workloads
from kubeassay.model import Inventory

D = "Deployment shop/web"
FRONT = """
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: front}
spec: {serviceAccountName: front, containers: [{name: a, image: x}]}
---
"""
TO = {"to": "shop/web"}


def said(text: str, *callers: dict[str, Any]) -> set[tuple[str, str, str]]:
    found = outcomes("documented-callers", MESH + FRONT + text, callers=[{**TO, **caller} for caller in callers])
    return {(o.kind, o.about, o.words) for o in found}


def message(text: str, *callers: dict[str, Any]) -> str:
    found = outcomes("documented-callers", MESH + FRONT + text, callers=[{**TO, **caller} for caller in callers])
    return "; ".join(sorted(o.message for o in found if o.kind == "fail"))


PASSES = {("pass", D, "")}
SOURCE = "spec.rules[0].from[0].source"
FRONT_ONLY = {"from": ["front"]}


def at(path: str, name: str = "p") -> set[tuple[str, str, str]]:
    return {("fail", f"AuthorizationPolicy shop/{name}", path)}


@pytest.mark.parametrize(
    ("source", "caller", "expected"),
    [
        ("{namespaces: [front]}", ["front"], PASSES),
        ("{namespaces: [front]}", ["front/*"], PASSES),
        ("{namespaces: [front]}", ["fr*"], PASSES),
        ("{namespaces: [front]}", ["*"], PASSES),
        ("{namespaces: [front]}", ["front/front"], at(f"{SOURCE}.namespaces")),
        ("{principals: [cluster.local/ns/front/sa/front]}", ["front/front"], PASSES),
        ("{principals: [cluster.local/ns/front/sa/front]}", ["front"], PASSES),
        ("{serviceAccounts: [front/front]}", ["front/front"], PASSES),
        ("{namespaces: [front], principals: [cluster.local/ns/front/sa/front]}", ["front/front"], PASSES),
        ("{principals: ['*/ns/front/sa/front']}", ["front/front"], PASSES),
        ("{principals: ['*/sa/front']}", ["front/front"], at(f"{SOURCE}.principals")),
        ("{principals: ['*/ns/front/sa/fr*']}", ["front"], {("fail", D, "metadata.name")}),
        ("{principals: ['cluster.local/ns/front/sa/fr*']}", ["front/front"], at(f"{SOURCE}.principals")),
        ("{principals: ['cluster.local/ns/front/*']}", ["front"], PASSES),
        ("{principals: ['cluster.local/ns/fr*']}", ["front"], at(f"{SOURCE}.principals")),
        ("{principals: ['*ront']}", ["front/front"], at(f"{SOURCE}.principals")),
        ("{namespaces: [front], principals: ['*/sa/front']}", ["front/front"], PASSES),
        ("{principals: [other.example/ns/front/sa/front]}", ["*/nobody"], at(f"{SOURCE}.principals")),
        ("{trustDomains: [other.example]}", ["*/nobody"], at(f"{SOURCE}.trustDomains")),
        ("{namespaces: [front], trustDomains: [cluster.local]}", ["front"], PASSES),
        ("{namespaces: ['front*']}", ["front"], at(f"{SOURCE}.namespaces")),
        ("{namespaces: [front, other]}", ["front"], at(f"{SOURCE}.namespaces")),
        ("{notNamespaces: [other]}", ["front"], at(f"{SOURCE}.notNamespaces")),
        ("{ipBlocks: [10.0.0.0/8]}", ["front"], at(f"{SOURCE}.ipBlocks")),
        ("{principals: ['*']}", ["front"], at(f"{SOURCE}.principals")),
    ],
)
def test_sources(source: str, caller: list[str], expected: set[tuple[str, str, str]]) -> None:
    text = STRICT + policy(f"{{rules: [{{from: [{{source: {source}}}]}}]}}")
    assert said(text, {"from": caller}) == expected


def test_a_broader_policy_beside_is_found() -> None:
    narrow = policy("{rules: [{from: [{source: {namespaces: [front]}}]}]}")
    broad = policy("{rules: [{from: [{source: {namespaces: [a]}}]}]}", "q")
    assert said(STRICT + narrow + broad, FRONT_ONLY) == at(f"{SOURCE}.namespaces", "q")
    of_the_mesh = policy("{rules: [{}]}", "all", "istio-system")
    assert said(STRICT + narrow + of_the_mesh, FRONT_ONLY) == {
        ("fail", "AuthorizationPolicy istio-system/all", "spec.rules[0]")
    }
    elsewhere = policy("{rules: [{}]}", "all", "other")
    assert said(STRICT + narrow + elsewhere, FRONT_ONLY) == PASSES


def test_denials_narrow_what_is_allowed() -> None:
    allow = policy("{rules: [{from: [{source: {principals: ['*']}}]}]}")
    deny = policy("{action: DENY, rules: [{from: [{source: {notNamespaces: [front]}}]}]}", "deny")
    assert said(STRICT + allow + deny, FRONT_ONLY) == PASSES
    # Not all of what others do is denied.
    partly = policy(
        "{action: DENY, rules: [{from: [{source: {notNamespaces: [front]}}], to: [{operation: {paths: [/a]}}]}]}",
        "deny",
    )
    assert said(STRICT + allow + partly, FRONT_ONLY) == at(f"{SOURCE}.principals")
    # Only the denial names who else is let in.
    two = policy("{action: DENY, rules: [{from: [{source: {notNamespaces: [front, ops]}}]}]}", "deny")
    assert said(STRICT + allow + two, FRONT_ONLY) == at(f"{SOURCE}.principals")
    dry = deny.replace("namespace: shop}", "namespace: shop, annotations: {istio.io/dry-run: 'true'}}")
    assert said(STRICT + allow + dry, FRONT_ONLY) == at(f"{SOURCE}.principals")


def test_separate_rules_let_anybody_in() -> None:
    text = STRICT + policy(
        "{rules: [{from: [{source: {namespaces: [front]}}]}, {to: [{operation: {methods: [GET, POST]}}]}]}"
    )
    documented = {"from": "front", "methods": ["GET", "POST"]}
    assert said(text, documented) == at(f"{SOURCE}.namespaces") | at("spec.rules[1].to[0].operation.methods")
    assert "any other method" in message(text, documented)
    plain = text.replace("mode: STRICT", "mode: PERMISSIVE")
    assert "anybody, also without an identity" in message(plain, documented)


@pytest.mark.parametrize(
    ("operation", "documented", "expected"),
    [
        ("{methods: [GET]}", {"methods": ["GET"]}, PASSES),
        ("{methods: [GET]}", {"methods": ["GET", "HEAD"]}, {("fail", D, "metadata.name")}),
        ("{methods: [GET, PUT]}", {"methods": ["GET"]}, at("spec.rules[0].to[0].operation.methods")),
        ("{methods: ['*']}", {"methods": ["GET"]}, at("spec.rules[0].to[0].operation.methods")),
        ("{paths: [/a]}", {"methods": ["GET"]}, at(f"{SOURCE}.namespaces")),
        ("{ports: ['8080']}", {"ports": [8080]}, PASSES),
        ("{notMethods: [PUT]}", {"methods": ["GET"]}, at("spec.rules[0].to[0].operation.notMethods")),
        ("{ports: ['9090']}", {"ports": [8080]}, {("fail", D, "metadata.name")}),
        ("{methods: [GET]}", {}, PASSES),
    ],
)
def test_operations(operation: str, documented: dict[str, Any], expected: set[tuple[str, str, str]]) -> None:
    text = policy(f"{{rules: [{{from: [{{source: {{namespaces: [front]}}}}], to: [{{operation: {operation}}}]}}]}}")
    assert said(STRICT + text, {**FRONT_ONLY, **documented}) == expected


def test_ports_that_are_not_documented() -> None:
    two = MESH.replace("{containerPort: 8080}", "{containerPort: 8080}, {containerPort: 9090}")
    text = two + FRONT + STRICT + policy("{rules: [{from: [{source: {namespaces: [front]}}]}]}")
    found = outcomes("documented-callers", text, callers=[{**TO, **FRONT_ONLY, "ports": [8080]}])
    assert {(o.kind, o.about, o.words) for o in found} == at(f"{SOURCE}.namespaces")


def test_documented_callers_that_are_refused() -> None:
    text = STRICT + policy("{rules: [{from: [{source: {namespaces: [other]}}]}]}")
    missing = ("fail", D, "metadata.name")
    assert said(text, {"from": ["other", "front"]}) == {missing}
    assert "front is documented to call shop/web[Deployment], and no AuthorizationPolicy allows it" in message(
        text, {"from": ["other", "front"]}
    )
    assert said(STRICT + policy("{}"), FRONT_ONLY) == {missing}
    # A pattern may mean nothing that there is.
    assert said(text, {"from": ["other", "front*"]}) == PASSES


def test_without_strict_mtls_a_caller_may_have_no_identity() -> None:
    named = policy("{rules: [{from: [{source: {namespaces: [front]}}]}]}")
    excluded = policy("{rules: [{from: [{source: {notNamespaces: [x]}}]}]}")
    # Plain text is refused by a rule that asks for an identity, and let in by one that excludes some.
    assert said(named, FRONT_ONLY) == PASSES
    assert said(STRICT + excluded, {"from": ["*"]}) == PASSES
    # Every namespace is documented, and nobody without one.
    every = {"from": ["?*"]}
    assert said(STRICT + excluded, every) == PASSES
    assert said(excluded, every) == at(f"{SOURCE}.notNamespaces")


def test_a_workload_that_no_policy_protects() -> None:
    missing = {("fail", D, "metadata.name")}
    assert said("", FRONT_ONLY) == missing
    assert said("", {"from": "*"}) == PASSES
    found = outcomes("documented-callers", OUTSIDE + policy("{}"), callers=[{**TO, **FRONT_ONLY}])
    assert {(o.kind, o.about, o.words) for o in found} == missing


def test_a_port_that_passes_the_proxy_by() -> None:
    allow = STRICT + policy("{rules: [{from: [{source: {namespaces: [front]}}]}]}")
    text = MESH.replace(
        "metadata: {labels: {app: web}}",
        "metadata: {labels: {app: web}, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: '8080'}}",
    )
    found = outcomes("documented-callers", text + FRONT + allow, callers=[{**TO, **FRONT_ONLY}])
    place = 'spec.template.metadata.annotations["traffic.sidecar.istio.io/excludeInboundPorts"]'
    assert {(o.kind, o.about, o.words) for o in found} == {("fail", D, place)}


def test_policies_of_a_waypoint_are_not_followed() -> None:
    ambient = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient")
    allow = STRICT + policy("{rules: [{from: [{source: {namespaces: [front]}}]}]}")
    waypoint = policy("{targetRefs: [{kind: Service, group: '', name: web}]}", "w")
    found = outcomes("documented-callers", ambient + FRONT + allow, callers=[{**TO, **FRONT_ONLY}])
    assert {(o.kind, o.words) for o in found} == {("pass", "")}
    found = outcomes("documented-callers", ambient + FRONT + allow + waypoint, callers=[{**TO, **FRONT_ONLY}])
    assert {(o.kind, o.words) for o in found} == {("not-judged", "unsupported")}


@pytest.mark.parametrize(
    ("text", "judged"),
    [
        (MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient, istio.io/use-waypoint: w"), False),
        (
            MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient").replace(
                "kind: Service\nmetadata: {", "kind: Service\nmetadata: {labels: {istio.io/use-waypoint: w}, "
            ),
            False,
        ),
        # The Service, and the pods, opt out of what the namespace says.
        (
            MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient, istio.io/use-waypoint: w")
            .replace("kind: Service\nmetadata: {", "kind: Service\nmetadata: {labels: {istio.io/use-waypoint: none}, ")
            .replace("labels: {app: web}}", "labels: {app: web, istio.io/use-waypoint: none}}"),
            True,
        ),
        # A namespace that is not declared may have one.
        (
            MESH.partition("---")[2].replace(
                "labels: {app: web}}", "labels: {app: web, istio.io/dataplane-mode: ambient}}"
            ),
            False,
        ),
    ],
)
def test_who_calls_through_a_waypoint_is_not_known(text: str, judged: bool) -> None:
    """It shows its own identity, whoever called it."""
    root = "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n---\n"
    allow = STRICT + policy("{rules: [{from: [{source: {namespaces: [shop]}}]}]}")
    found = outcomes("documented-callers", root + text + "\n---\n" + allow, callers=[{**TO, "from": "shop"}])
    assert {o.kind for o in found} == {"pass" if judged else "not-judged"}


def test_what_is_not_judged() -> None:
    assert outcomes("documented-callers", MESH) == set()
    nowhere = outcomes("documented-callers", MESH, callers=[{"to": "shop/db", "from": "a"}])
    assert nowhere == {Outcome("not-judged", "", "no-objects")}
    refused = policy("{rules: [{from: [{source: {ipBlocks: [x]}}]}]}")
    assert said(STRICT + refused, FRONT_ONLY) == {("not-judged", D, "invalid-object")}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stated=policies(("ALLOW", "ALLOW", "DENY")),
    documented=st.lists(
        st.sampled_from(["shop", "shop/a", "shop-dev/*", "mesh-root/b", "*/b", "s*/a", "?*"]), min_size=1, max_size=2
    ),
    methods=st.sampled_from([[], [], ["GET"], ["GET", "POST"]]),
    ports=st.sampled_from([[], [], [8080]]),
    mode=st.sampled_from(["STRICT", "PERMISSIVE"]),
    asked=st.lists(requests, min_size=1, max_size=12),
)
def test_nobody_else_gets_through_where_it_passes(
    stated: list[dict[str, Any]],
    documented: list[str],
    methods: list[str],
    ports: list[int],
    mode: str,
    asked: list[dict[str, Any]],
) -> None:
    text = MESH + STRICT.replace("STRICT", mode) + yaml.safe_dump_all(stated).replace("mesh-root", "istio-system")
    caller = {
        **TO,
        "from": [one.replace("mesh-root", "istio-system") for one in documented],
        **({"methods": methods} if methods else {}),
        **({"ports": ports} if ports else {}),
    }
    found = outcomes("documented-callers", text, callers=[caller])
    inventory = Inventory(objects_in(text))
    known = authorization(inventory)
    (web,) = workloads(inventory)
    beyond = []
    for request in asked:
        given_ = {**request, "Port": 8080, "Principal": request["Principal"]}
        if given_["Principal"] is not None:
            given_["Principal"] = given_["Principal"].replace("mesh-root", "istio-system")
            # A mesh trusts others only where somebody has told it so: what nobody names is not tried.
            if given_["Principal"].partition("/")[0] not in text + "cluster.local":
                continue
        elif mode == "STRICT":
            continue
        if not decide(known.attached(web), Request(attributes(given_), http=given_["HTTP"]), known.trust):
            continue
        if not (_is_documented(given_["Principal"], caller["from"]) and (not methods or given_["Method"] in methods)):
            beyond.append(given_)
    kinds = {outcome.kind for outcome in found}
    assert "fail" in kinds or not beyond


def _is_documented(principal: str | None, documented: list[str]) -> bool:
    if principal is None:
        return False
    domain, _, namespace, _, account = principal.split("/")
    return domain == "cluster.local" and any(
        fnmatch.fnmatchcase(f"{namespace}/{account}", pattern if "/" in pattern else f"{pattern}/*")
        for pattern in documented
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{from: [{source: {namespaces: [front]}}]}", "pass"),
        # Trust domains are not handed over, and without them the source is anybody.
        ("{from: [{source: {trustDomains: [cluster.local]}}]}", "fail"),
        # With what ztunnel does not know, the rule is not there, and nobody gets through.
        ("{from: [{source: {namespaces: [front], remoteIpBlocks: [10.0.0.0/8]}}]}", "fail"),
        (
            "{from: [{source: {namespaces: [front]}}], when: [{key: source.trustDomain, values: [cluster.local]}]}",
            "fail",
        ),
        ("{from: [{source: {namespaces: [front]}}], when: [{key: connection.sni, values: [a]}]}", "fail"),
        ("{when: [{key: source.namespace, values: [front]}]}", "pass"),
    ],
)
def test_what_ztunnel_makes_of_a_rule(rule: str, expected: str) -> None:
    ambient = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient")
    found = outcomes(
        "documented-callers",
        ambient + FRONT + STRICT + policy(f"{{rules: [{rule}]}}"),
        callers=[{**TO, "from": ["front"]}],
    )
    assert {o.kind for o in found} == {expected}


def test_ztunnel_loses_conditions_of_what_it_denies() -> None:
    ambient = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient")
    allow = policy("{rules: [{from: [{source: {namespaces: [front]}}]}]}", "a")
    deny = "{action: DENY, rules: [{from: [{source: {namespaces: [front], notRemoteIpBlocks: [10.0.0.0/8]}}]}]}"
    found = outcomes(
        "documented-callers", ambient + FRONT + STRICT + allow + policy(deny), callers=[{**TO, **FRONT_ONLY}]
    )
    assert {o.kind for o in found} == {"fail"}


def test_a_trust_domain_that_any_policy_names_is_tried() -> None:
    everybody = policy("{rules: [{}]}", "everybody")
    trusted = policy("{rules: [{from: [{source: {trustDomains: [td.example]}}]}]}", "elsewhere", "other")
    caller = {**TO, "from": ["?*"]}
    assert {o.kind for o in outcomes("documented-callers", MESH + STRICT + everybody, callers=[caller])} == {"pass"}
    found = outcomes("documented-callers", MESH + STRICT + everybody + trusted, callers=[caller])
    assert {o.kind for o in found} == {"fail"}


def test_ztunnel_asks_no_external_authorizer() -> None:
    ambient = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient")
    custom = policy("{action: CUSTOM, provider: {name: ext}, rules: [{}]}")
    inventory = Inventory(objects_in(ambient + custom))
    web = next(one for one in workloads(inventory) if one.namespace == "shop")
    assert [caller.effect for caller in callers(authorization(inventory).attached(web, ztunnel=True), http=False)] == [
        "allow"
    ]
