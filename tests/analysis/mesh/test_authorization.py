"""AuthorizationPolicies: what they let through, what is decided of a part of a request, what covers what."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.mesh.authorization_strategies import FIELDS, attributes, policies, requests, worlds
from kit import objects_in, run_within_seconds
from kubeassay.analysis.mesh.authorization import Attached, Policies, authorization, decide
from kubeassay.analysis.mesh.authorization_rules import (
    OPERATION_FIELDS,
    SOURCE_FIELDS,
    Request,
    TrustDomains,
    rule_of,
    terms_hold,
)
from kubeassay.analysis.mesh.callers import callers, may_call
from kubeassay.analysis.mesh.covering import covers
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.model import Inventory

LOCAL = TrustDomains()


def pod(namespace: str = "shop", labels: dict[str, str] | None = None) -> Workload:
    (obj,) = objects_in("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}")
    return Workload("x", namespace, obj, labels or {}, (), False, "default", None)


def attached(*specs: str) -> Attached:
    stated = [
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": f"p{number}", "namespace": "shop"},
            "spec": yaml.safe_load(spec),
        }
        for number, spec in enumerate(specs)
    ]
    return Policies(Inventory(objects_in(yaml.safe_dump_all(stated))), "root", LOCAL).attached(pod())


def _policies(stated: list[dict[str, Any]], world: dict[str, Any]) -> Policies:
    inventory = Inventory(objects_in(yaml.safe_dump_all(stated)) if stated else ())
    return Policies(inventory, world["Root"], TrustDomains(tuple(world["TrustDomains"])))


# --- an evaluator of its own, from Istio's reference, for HTTP and one trust domain ---


def _text(pattern: str, value: str) -> bool:
    if pattern == "*":
        return value != ""
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _one(field: str, pattern: str, request: dict[str, Any]) -> bool:
    principal, token = request["Principal"], request["Token"]
    if field == "principals":
        return principal is not None and _text(pattern, principal)
    if field in ("namespaces", "serviceAccounts", "trustDomains"):
        if principal is None:
            return False
        domain, _, namespace, _, account = principal.split("/")
        if field == "serviceAccounts":
            return (pattern if "/" in pattern else f"shop/{pattern}") == f"{namespace}/{account}"
        return (
            re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), namespace if field == "namespaces" else domain)
            is not None
        )
    if field in ("ipBlocks", "remoteIpBlocks"):
        address = request["SourceIP" if field == "ipBlocks" else "RemoteIP"]
        return ipaddress.ip_address(address) in ipaddress.ip_network(pattern)
    if field == "requestPrincipals":
        if token is None:
            return False
        issuer, _, subject = pattern.rpartition("/")
        if pattern == "*":
            return True
        if not issuer and pattern.startswith("*"):
            return bool(token[1].endswith(pattern[1:]))
        if not issuer and pattern.endswith("*"):
            return bool(token[0].startswith(pattern[:-1]))
        if not issuer:
            return False
        return _text(issuer, token[0]) and _text(subject, token[1])
    if field == "ports":
        return int(pattern) == request["Port"]
    if field == "hosts":
        return _text(pattern.lower(), request["Host"].lower())
    if field == "paths" and "{" in pattern:
        glob = re.escape(pattern).replace(r"\{\*\*\}", ".*").replace(r"\{\*\}", "[^/]+")
        return re.fullmatch(glob, request["Path"]) is not None
    return _text(pattern, request["Method" if field == "methods" else "Path"])


def _part(part: dict[str, Any], request: dict[str, Any]) -> bool:
    for name, patterns in part.items():
        negated = name.startswith("not")
        field = name[3].lower() + name[4:] if negated else name
        if any(_one(field, pattern, request) for pattern in patterns) == negated:
            return False
    return True


def _expected(stated: list[dict[str, Any]], request: dict[str, Any]) -> bool:
    def holds(rule: dict[str, Any]) -> bool:
        return all(
            not rule.get(of) or any(_part(entry[inner], request) for entry in rule[of])
            for of, inner in (("from", "source"), ("to", "operation"))
        )

    found = {
        action: [p["spec"].get("rules", []) for p in stated if p["spec"].get("action", "ALLOW") == action]
        for action in ("ALLOW", "DENY")
    }
    if any(holds(rule) for rules in found["DENY"] for rule in rules):
        return False
    return not found["ALLOW"] or any(holds(rule) for rules in found["ALLOW"] for rule in rules)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stated=policies(), asked=st.lists(requests, min_size=1, max_size=4))
def test_requests_against_an_evaluator_of_the_test_s_own(
    stated: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    for policy in stated:
        policy["metadata"]["namespace"] = "shop"
        policy["spec"] = {k: v for k, v in policy["spec"].items() if k not in ("selector", "targetRefs")}
        for rule in policy["spec"].get("rules", []):
            rule.pop("when", None)
    known = _policies(stated, {"Root": "root", "TrustDomains": ["cluster.local"]}).attached(pod())
    enforced = [p for p in stated if p["metadata"].get("annotations", {}).get("istio.io/dry-run") not in ("true", "T")]
    for request in asked:
        assert decide(known, Request(attributes(request)), LOCAL) is _expected(enforced, request)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stated=policies(), world=worlds, request_=requests, data=st.data())
def test_what_is_decided_of_a_part_holds_for_the_whole(
    stated: list[dict[str, Any]], world: dict[str, Any], request_: dict[str, Any], data: st.DataObject
) -> None:
    known = _policies(stated, world)
    of = known.attached(pod(world["Namespace"], world["Labels"]))
    whole = attributes(request_)
    kept = data.draw(st.sets(st.sampled_from(sorted(whole))))
    part = {key: value for key, value in whole.items() if key in kept}
    in_part = decide(of, Request(part, http=request_["HTTP"]), known.trust)
    in_whole = decide(of, Request(whole, http=request_["HTTP"]), known.trust)
    assert in_whole is not None
    assert in_part in (None, in_whole)
    # What lets a request through is found from any part of it.
    if in_whole:
        assert may_call(of, Request(part, http=request_["HTTP"]), known.trust)


@settings(max_examples=600, deadline=None)
@given(data=st.data(), request_=requests)
def test_what_is_covered_holds_where_the_narrower_does(data: st.DataObject, request_: dict[str, Any]) -> None:
    def part(fields: Any) -> Any:
        names = data.draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=2, unique=True))
        return {
            name: data.draw(FIELDS[field])
            for field in names
            for name in data.draw(st.sampled_from([[field], ["not" + field[0].upper() + field[1:]]]))
        }

    of, inner, fields = data.draw(
        st.sampled_from([("from", "source", SOURCE_FIELDS), ("to", "operation", OPERATION_FIELDS)])
    )
    stated = {of: [{inner: part(fields)}, {inner: part(fields)}]}
    rule = rule_of(stated, ("spec", "rules", 0), "shop")
    first, second = rule.sources if of == "from" else rule.operations
    request = Request(attributes(request_))
    if covers(first, second) and terms_hold(second, request, LOCAL):
        assert terms_hold(first, request, LOCAL)


@pytest.mark.parametrize(
    ("broad", "narrow", "covered"),
    [
        ("{namespaces: [a]}", "{principals: [cluster.local/ns/a/sa/x]}", True),
        ("{namespaces: ['a*']}", "{principals: [cluster.local/ns/ab/sa/x]}", True),
        ("{namespaces: [a]}", "{principals: [cluster.local/ns/b/sa/x]}", False),
        ("{namespaces: [a]}", "{principals: [cluster.local/ns/a/sa/x, cluster.local/ns/b/sa/x]}", False),
        ("{namespaces: [a]}", "{serviceAccounts: [a/x]}", True),
        ("{namespaces: [a]}", "{namespaces: [a], principals: ['*']}", True),
        ("{namespaces: [a], principals: ['*']}", "{namespaces: [a]}", False),
        ("{notNamespaces: [a]}", "{namespaces: [b]}", True),
        ("{notNamespaces: [a]}", "{namespaces: [a]}", False),
        ("{principals: ['*']}", "{principals: [x/ns/a/sa/b]}", True),
        ("{principals: ['*']}", "{ipBlocks: [10.0.0.0/8]}", False),
    ],
)
def test_what_covers_what(broad: str, narrow: str, covered: bool) -> None:
    sources = [{"source": yaml.safe_load(text)} for text in (broad, narrow)]
    first, second = rule_of({"from": sources}, ("spec", "rules", 0), "shop").sources
    assert covers(first, second) is covered


@pytest.mark.parametrize(
    ("field", "pattern", "attribute", "value", "holds"),
    [
        ("hosts", "Shop.example", "hosts", "SHOP.example", True),
        ("hosts", "*.EXAMPLE", "hosts", "shop.example", True),
        ("hosts", "shop*", "hosts", "SHOP.example", True),
        ("methods", "get", "methods", "GET", False),
        ("methods", "*", "methods", "", True),
        ("paths", "*", "paths", "", False),
        ("paths", "/a/{*}", "paths", "/a/b", True),
        ("paths", "/a/{*}", "paths", "/a/b/c", False),
        ("paths", "/a/{*}", "paths", "/a/", False),
        ("paths", "/a/{**}", "paths", "/a/b/c", True),
        ("paths", "/a/{**}/d", "paths", "/a/b/c/d", True),
        ("ports", "080", "destination.port", 80, True),
        ("ipBlocks", "10.0.0.0/8", "source.ip", "10.1.2.3", True),
        ("ipBlocks", "10.0.0.0/8", "source.ip", "fd00::1", False),
        ("namespaces", "a", "source.principal", "t/ns/ab/sa/x", False),
        ("namespaces", "a*c", "source.principal", "t/ns/abc/sa/x", True),
        ("serviceAccounts", "x", "source.principal", "t/ns/shop/sa/x", True),
        ("serviceAccounts", "x", "source.principal", "t/ns/other/sa/x", False),
        ("serviceAccounts", "a/x", "source.principal", "t/ns/a/sa/xy", False),
        ("trustDomains", "t", "source.principal", "tt/ns/a/sa/x", False),
        ("trustDomains", "*.t", "source.principal", "a.t/ns/a/sa/x", True),
        ("principals", "cluster.local/ns/a/sa/x", "source.principal", "cluster.local/ns/a/sa/x", True),
        ("principals", "*/sa/x", "source.principal", "cluster.local/ns/a/sa/x", True),
        ("requestPrincipals", "https://i/*", "request.auth.principal", ("https://i", "s"), True),
        ("requestPrincipals", "https://i/*", "request.auth.principal", ("https://i/j", "s"), False),
        ("requestPrincipals", "*", "request.auth.principal", ("i", ""), False),
    ],
)
def test_values(field: str, pattern: str, attribute: str, value: Any, holds: bool) -> None:
    of, inner = ("from", "source") if field in SOURCE_FIELDS else ("to", "operation")
    negated = "not" + field[0].upper() + field[1:]
    for name, expected in ((field, holds), (negated, not holds)):
        rule = rule_of({of: [{inner: {name: [pattern]}}]}, ("spec", "rules", 0), "shop")
        (terms,) = rule.sources if of == "from" else rule.operations
        assert terms_hold(terms, Request({attribute: value}), LOCAL) is expected
        # What a request does not have is none of the values; what is not known of it, may be.
        assert terms_hold(terms, Request({attribute: None}), LOCAL) is (name == negated)
        assert terms_hold(terms, Request({}), LOCAL) is None


def test_callers_in_words() -> None:
    of = attached(
        "{rules: [{from: [{source: {namespaces: [a, b]}}, {source: {principals: [x]}}],"
        " to: [{operation: {methods: [GET]}}]}]}",
        "{action: DENY, rules: [{from: [{source: {notIpBlocks: [10.0.0.0/8]}}]}]}",
        "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: ['/admin*']}}]}]}",
        "{action: AUDIT, rules: [{}]}",
        "{}",
    )
    assert [str(caller) for caller in callers(of)] == [
        "anyone may if opa agrees use path /admin*",
        "not address 10.0.0.0/8 may not use everything",
        "namespaces a or b may use method GET",
        "principal x may use method GET",
    ]
    # Over TCP a rule that asks for a method allows nothing.
    assert [caller.in_effect for caller in callers(of, http=False) if caller.effect == "allow"] == [False, False]
    assert [str(caller) for caller in callers(attached())] == ["anyone may use everything"]
    assert callers(attached("{}")) == ()


def test_the_trust_domain_and_its_aliases_are_the_mesh_s() -> None:
    mesh = (
        "{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator, metadata: {name: i, namespace: istio-system},"
        " spec: {meshConfig: {trustDomain: new.example, trustDomainAliases: [old.example]}}}\n---\n"
    )
    spec = "{rules: [{from: [{source: {principals: [old.example/ns/a/sa/b]}}]}]}"
    text = f"{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: p}}, spec: {spec}}}"
    for objects, domains in ((mesh + text, {"new.example", "old.example"}), (text, {"old.example"})):
        known = authorization(Inventory(objects_in(objects)))
        of = known.attached(pod("default"))
        allowed = {
            domain
            for domain in ("new.example", "old.example", "cluster.local")
            if decide(of, Request({"source.principal": f"{domain}/ns/a/sa/b"}), known.trust)
        }
        assert allowed == domains


def test_an_alias_with_a_wildcard_is_the_trust_domain_of_what_it_matches() -> None:
    of = attached("{rules: [{from: [{source: {principals: [old.example/ns/a/sa/b]}}]}]}")
    for aliases, passes in ((("*.example",), True), (("old.*",), True), (("*.com",), False)):
        trust = TrustDomains(("td.io", *aliases))
        assert decide(of, Request({"source.principal": "td.io/ns/a/sa/b"}), trust) is passes


def test_a_custom_policy_leaves_the_answer_to_its_provider() -> None:
    of = attached("{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: ['/admin*']}}]}]}")
    assert decide(of, Request({"paths": "/admin"}), LOCAL) is None
    assert decide(of, Request({"paths": "/"}), LOCAL) is True


ODD = [
    "{rules: 3}",
    "{rules: [null, 3, [], {from: {}, to: x, when: {}}]}",
    "{rules: [{from: [null, {source: null}, {source: 3}, {source: {namespaces: x, principals: [null, 3, {}]}}]}]}",
    "{rules: [{when: [null, {key: 3}, {key: source.ip, values: [3]}, {key: 'request.headers', values: ['']}]}]}",
    "{selector: 3, targetRefs: [null, 3, {}], targetRef: []}",
    "{selector: {matchLabels: [x]}, action: [x], provider: 3}",
    "null",
]


@pytest.mark.parametrize("spec", ODD)
def test_objects_that_no_api_server_takes(spec: str) -> None:
    text = f"{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: p}}, spec: {spec}}}"
    known = authorization(Inventory(objects_in(text)))
    of = known.attached(pod("default"))
    decide(of, Request({"source.principal": None}), known.trust)
    assert all(str(caller) for caller in callers(of))


def test_hostile_patterns_take_linear_time() -> None:
    run_within_seconds(
        """
from kubeassay.analysis.mesh.authorization_rules import Request, TrustDomains, matches, rule_of
long = "a" * 20_000
source, operation = ("from", "source"), ("to", "operation")
for field, (of, inner) in (("namespaces", source), ("paths", operation), ("trustDomains", source)):
    for text in ("*a" * 10_000, "/{*}" * 20 + "b", "{**}" * 10 + "b", "*" * 20_000):
        rule = rule_of({of: [{inner: {field: [text]}}]}, (), "x")
        request = Request({"source.principal": f"{long}/ns/{long}/sa/x", "paths": "/a" * 10_000})
        matches(rule, request, allow=True, trust=TrustDomains())
""",
        seconds=10,
    )
