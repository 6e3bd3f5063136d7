"""The least role: it allows what was used, and nothing that the role does not allow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.access.worlds import account, binding, group, inventory, role, user
from kubeassay.analysis.access.grants import grants
from kubeassay.analysis.access.matching import allows_resource, allows_url, pieces, uncovered
from kubeassay.analysis.access.model import PolicyRule
from kubeassay.analysis.access.review import Request
from kubeassay.analysis.access.suggest import AuditedRequest, Usage, audited_requests, merged

AUTHENTICATION = "authentication.k8s.io"
CERTIFICATES = "certificates.k8s.io"
RBAC = "rbac.authorization.k8s.io"

_some = st.lists
_RULES = st.one_of(
    st.builds(
        PolicyRule,
        verbs=_some(st.sampled_from(("get", "list", "*")), min_size=1, unique=True).map(tuple),
        api_groups=_some(st.sampled_from(("", "apps", "*")), min_size=1, unique=True).map(tuple),
        resources=_some(st.sampled_from(("pods", "pods/log", "secrets", "*")), min_size=1, unique=True).map(tuple),
        resource_names=_some(st.sampled_from(("one", "two", "")), max_size=2, unique=True).map(tuple),
    ),
    st.builds(
        PolicyRule,
        verbs=_some(st.sampled_from(("get", "post")), min_size=1, unique=True).map(tuple),
        non_resource_urls=_some(st.sampled_from(("/a", "/a/*", "/b")), min_size=1, unique=True).map(tuple),
    ),
)
_REQUESTS = st.one_of(
    st.builds(
        Request,
        verb=st.sampled_from(("get", "list")),
        group=st.sampled_from(("", "apps")),
        resource=st.sampled_from(("pods", "secrets")),
        subresource=st.sampled_from(("", "log")),
        name=st.sampled_from(("", "one", "three")),
        namespace=st.sampled_from(("", "shop")),
    ),
    st.builds(Request, verb=st.sampled_from(("get", "post")), url=st.sampled_from(("/a", "/a/c", "/b", "/d"))),
)


def _allows(rules: list[PolicyRule], request: Request) -> bool:
    if request.url:
        return any(allows_url(rule, request.verb, request.url) for rule in rules)
    asked = (request.verb, request.group, request.resource, request.subresource, request.name)
    return any(allows_resource(rule, *asked) for rule in rules)


@settings(max_examples=300, deadline=None)
@given(st.lists(_RULES, max_size=5))
def test_merging_neither_adds_nor_takes(rules: list[PolicyRule]) -> None:
    found = merged(rules)
    assert list(uncovered(rules, found)) == []
    assert list(uncovered(found, rules)) == []
    assert merged(reversed(found)) == found
    assert len(found) <= len([piece for rule in rules for piece in pieces(rule)])


def _stated(rule: PolicyRule) -> dict[str, Any]:
    fields = {
        "verbs": rule.verbs,
        "apiGroups": rule.api_groups,
        "resources": rule.resources,
        "resourceNames": rule.resource_names,
        "nonResourceURLs": rule.non_resource_urls,
    }
    return {name: list(values) for name, values in fields.items() if values}


@settings(max_examples=300, deadline=None)
@given(st.lists(_RULES, max_size=4), st.lists(_REQUESTS, max_size=6), st.booleans())
def test_the_least_role_allows_what_was_used_and_nothing_more(
    rules: list[PolicyRule], requests: list[Request], names: bool
) -> None:
    access = grants(inventory(role("r", *map(_stated, rules)), binding("b", "ClusterRole/r", user("alice"))))
    found = next(r for r in access.roles if r.name == "r")
    usage = Usage(access, found, names=names)
    for request in requests:
        usage.add(AuditedRequest("alice", (), request, True))
    least = usage.rules()
    used = [request for request in requests if _allows(rules, request)]
    assert usage.requests == len(used)
    assert all(_allows(least, request) for request in used)
    assert list(uncovered(rules, least)) == []
    # What is not used is not in it, unless a rule for all objects covers it.
    for piece in usage.unused():
        for single in pieces(piece):
            assert not any(_allows([single], request) for request in used)


def test_who_has_the_role_where() -> None:
    reader = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    access = grants(
        inventory(
            role("r", reader),
            binding("a", "ClusterRole/r", group("devs"), namespace="shop"),
            binding("b", "ClusterRole/r", account("shop", "web"), namespace="other"),
        )
    )
    usage = Usage(access, next(r for r in access.roles if r.name == "r"))
    for who, groups, namespace in (
        ("alice", ("devs",), "shop"),
        ("alice", ("devs",), "other"),
        ("alice", (), "shop"),
        ("system:serviceaccount:shop:web", (), "other"),
        ("system:serviceaccount:shop:web", (), "shop"),
        ("system:serviceaccount:shop:web", (), ""),
    ):
        usage.add(AuditedRequest(who, groups, Request("get", "", "pods", namespace=namespace), True))
    assert (usage.requests, usage.users) == (2, {"alice", "system:serviceaccount:shop:web"})


def _event(**more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Event",
        "stage": "ResponseComplete",
        "verb": "get",
        "user": {"username": "alice", "groups": ["devs"]},
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web"},
    } | more


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [Request("get", "", "pods", "", "web", "shop")]),
        ({"verb": "create"}, [Request("create", "", "pods", "", "", "shop")]),
        (
            {"verb": "create", "objectRef": {"resource": "pods", "subresource": "exec", "name": "web"}},
            [Request("create", "", "pods", "exec", "web")],
        ),
        ({"objectRef": None, "requestURI": "/a%20b?c=d"}, [Request("get", url="/a b")]),
        # Admission refuses with 403 as well, after authorization.
        (
            {"responseStatus": {"code": 403}, "annotations": {"authorization.k8s.io/decision": "allow"}},
            [Request("get", "", "pods", "", "web", "shop")],
        ),
        ({"responseStatus": {"code": 403}}, []),
        ({"annotations": {"authorization.k8s.io/decision": "forbid"}}, []),
        ({"stage": "Panic"}, []),
        (
            {"impersonatedUser": {"username": "bob", "groups": ["ops", "system:authenticated"]}},
            [
                Request("impersonate", "", "users", "", "bob"),
                Request("impersonate", "", "groups", "", "ops"),
                Request("get", "", "pods", "", "web", "shop"),
            ],
        ),
        (
            {"impersonatedUser": {"username": "bob", "uid": "7", "extra": {"scopes": ["a", "b"], "bad": 1}}},
            [
                Request("impersonate", "", "users", "", "bob"),
                Request("impersonate", AUTHENTICATION, "uids", "", "7"),
                Request("impersonate", AUTHENTICATION, "userextras", "scopes", "a"),
                Request("impersonate", AUTHENTICATION, "userextras", "scopes", "b"),
                Request("get", "", "pods", "", "web", "shop"),
            ],
        ),
        # Constrained impersonation has verbs of its own, one of them for the request.
        (
            {
                "impersonatedUser": {"username": "bob", "groups": ["ops"]},
                "authenticationMetadata": {"impersonationConstraint": "impersonate:user-info"},
            },
            [
                Request("impersonate:user-info", AUTHENTICATION, "users", "", "bob"),
                Request("impersonate:user-info", AUTHENTICATION, "groups", "", "ops"),
                Request("impersonate-on:user-info:get", "", "pods", "", "web", "shop"),
                Request("get", "", "pods", "", "web", "shop"),
            ],
        ),
        (
            {
                "impersonatedUser": {"username": "system:node:n1", "groups": ["system:nodes"]},
                "authenticationMetadata": {"impersonationConstraint": "impersonate:associated-node"},
            },
            [
                Request("impersonate:associated-node", AUTHENTICATION, "nodes", "", "*"),
                Request("impersonate-on:associated-node:get", "", "pods", "", "web", "shop"),
                Request("get", "", "pods", "", "web", "shop"),
            ],
        ),
        # A patch or an update that made the object, asked for by its name.
        *(
            (
                {"verb": verb, "responseStatus": {"code": code}},
                [
                    Request(verb, "", "pods", "", "web", "shop"),
                    *([Request("create", "", "pods", "", "web", "shop")] if code == 201 else []),
                ],
            )
            for verb in ("patch", "update")
            for code in (200, 201)
        ),
        *(
            (
                {"objectRef": {"resource": "pods", "subresource": sub, "name": "web"}, "stage": stage},
                [Request(verb, "", "pods", sub, "web") for verb in verbs],
            )
            for sub, verbs in (
                ("exec", ["get", "create"]),
                ("attach", ["get", "create"]),
                ("portforward", ["get", "create"]),
                ("proxy", ["get"]),
                ("log", ["get"]),
            )
            for stage in ("ResponseStarted", "ResponseComplete")
        ),
    ],
)
def test_what_an_event_says(more: dict[str, Any], expected: list[Request]) -> None:
    assert [audited.request for audited in audited_requests(_event(**more))] == expected


@pytest.mark.parametrize(
    ("verb", "reference", "expected"),
    [
        (
            "create",
            (RBAC, "rolebindings", ""),
            [("bind", RBAC, "roles", "shop"), ("bind", RBAC, "clusterroles", "shop")],
        ),
        ("patch", (RBAC, "clusterrolebindings", ""), [("bind", RBAC, "clusterroles", "")]),
        ("update", (RBAC, "roles", ""), [("escalate", RBAC, "roles", "shop")]),
        ("create", (RBAC, "clusterroles", ""), [("escalate", RBAC, "clusterroles", "")]),
        (
            "update",
            (CERTIFICATES, "certificatesigningrequests", "approval"),
            [("approve", CERTIFICATES, "signers", "")],
        ),
        ("patch", (CERTIFICATES, "certificatesigningrequests", "status"), [("sign", CERTIFICATES, "signers", "")]),
        ("update", (CERTIFICATES, "podcertificaterequests", "status"), [("sign", CERTIFICATES, "signers", "")]),
        ("create", (CERTIFICATES, "clustertrustbundles", ""), [("attest", CERTIFICATES, "signers", "")]),
        ("delete", (RBAC, "roles", ""), []),
        ("get", (RBAC, "rolebindings", ""), []),
        ("create", (CERTIFICATES, "certificatesigningrequests", ""), []),
    ],
)
def test_what_a_request_may_rest_on(
    verb: str, reference: tuple[str, str, str], expected: list[tuple[str, str, str, str]]
) -> None:
    group, resource, subresource = reference
    namespace = "shop" if ("shop" in {e[3] for e in expected} or resource == "podcertificaterequests") else ""
    ref = {
        "apiGroup": group, "resource": resource, "subresource": subresource, "name": "x", "namespace": namespace
    }  # fmt: skip
    found = [audited for audited in audited_requests(_event(verb=verb, objectRef=ref)) if audited.assumed]
    assert [(a.request.verb, a.request.group, a.request.resource, a.request.namespace) for a in found] == expected
    assert not any(audited.complete for audited in found)


@pytest.mark.parametrize("names", [False, True])
def test_what_is_kept_is_what_the_role_allows_of_it(names: bool) -> None:
    access = grants(
        inventory(
            role(
                "r",
                {"verbs": ["*"], "apiGroups": [RBAC], "resources": ["rolebindings"]},
                {"verbs": ["bind"], "apiGroups": [RBAC], "resources": ["clusterroles"], "resourceNames": ["a", "b"]},
            ),
            binding("b", "ClusterRole/r", user("alice"), namespace="shop"),
        )
    )
    usage = Usage(access, next(r for r in access.roles if r.name == "r"), names=names)
    ref = {"apiGroup": RBAC, "resource": "rolebindings", "namespace": "shop", "name": "x"}
    for audited in audited_requests(_event(verb="create", objectRef=ref)):
        usage.add(audited)
    kept = PolicyRule(("bind",), (RBAC,), ("clusterroles",), ("a", "b"))
    assert usage.rules() == [kept, PolicyRule(("create",), (RBAC,), ("rolebindings",))]
    assert usage.kept() == [kept]
    assert (usage.unused(), usage.untold()) == ([], [])
    assert usage.requests == 1


@pytest.mark.parametrize(
    ("verb", "group", "resource", "told"),
    [
        ("get", "", "nodes/metrics", False),
        ("get", "", "nodes/proxy", False),
        ("get", "", "nodes/status", True),
        ("get", "", "nodes", True),
        ("update", "apps", "deployments/finalizers", False),
        ("update", "*", "*/finalizers", False),
        ("create", CERTIFICATES, "certificatesigningrequests/selfnodeclient", False),
        ("create", CERTIFICATES, "certificatesigningrequests", True),
        ("*", CERTIFICATES, "signers", False),
        ("use", "policy", "podsecuritypolicies", False),
        ("impersonate", "", "users", True),
        ("impersonate-on:user-info:get", "", "pods", True),
        ("*", "*", "*", True),
    ],
)
def test_what_an_audit_log_tells(verb: str, group: str, resource: str, told: bool) -> None:
    rule = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
    access = grants(inventory(role("r", rule), binding("b", "ClusterRole/r", user("alice"))))
    usage = Usage(access, next(r for r in access.roles if r.name == "r"))
    expected = [PolicyRule((verb,), (group,), (resource,))]
    assert (usage.unused(), usage.untold()) == ((expected, []) if told else ([], expected))


def test_what_is_no_event_is_told() -> None:
    for more in ({"kind": "Policy"}, {"apiVersion": "v1"}, {"apiVersion": None}):
        with pytest.raises(ValueError, match=r"audit\.k8s\.io"):
            list(audited_requests(_event(**more)))
