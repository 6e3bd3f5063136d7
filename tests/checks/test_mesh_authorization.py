"""Rules of kubeassay.checks.mesh_authorization."""

from __future__ import annotations

from typing import Any

import pytest

from checks.network_outcomes import Outcome, outcomes
from kit import failing, plan_of, profile_of, run_within_seconds, scan_text

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: app, image: x, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
"""
P = "AuthorizationPolicy shop/p"
D = "Deployment shop/web"


def policy(spec: str, name: str = "p", namespace: str = "shop", kind: str = "AuthorizationPolicy") -> str:
    metadata = f"{{name: {name}, namespace: {namespace}}}"
    return f"{{apiVersion: security.istio.io/v1, kind: {kind}, metadata: {metadata}, spec: {spec}}}\n---\n"


def found(rule: str, text: str, **parameters: Any) -> set[tuple[str, str, str]]:
    """(outcome, object, path or reason), without what passed."""
    return {(o.kind, o.about, o.words) for o in outcomes(rule, text, **parameters) if o.kind != "pass"}


def fails(*paths: str, about: str = P) -> set[tuple[str, str, str]]:
    return {("fail", about, path) for path in paths}


def message(rule: str, text: str) -> str:
    (one,) = (o for o in outcomes(rule, text) if o.kind == "fail")
    return one.message


# --- rules as alternatives ---


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        (
            "[{from: [{source: {namespaces: [a]}}]}, {to: [{operation: {methods: [GET]}}]}]",
            ["spec.rules[0].from[0].source.namespaces", "spec.rules[1].to[0].operation.methods"],
        ),
        (
            "[{to: [{operation: {methods: [GET]}}]}, {from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]",
            ["spec.rules[1].from[0].source.ipBlocks", "spec.rules[0].to[0].operation.methods"],
        ),
        ("[{from: [{source: {namespaces: [a]}}], to: [{operation: {methods: [GET]}}]}]", []),
        # To open one path, host or port to everybody is common, and meant.
        ("[{from: [{source: {namespaces: [a]}}]}, {to: [{operation: {methods: [GET], paths: [/healthz]}}]}]", []),
        ("[{from: [{source: {namespaces: [a]}}]}, {to: [{operation: {ports: ['9090']}}]}]", []),
        ("[{from: [{source: {namespaces: [a]}}]}, {to: [{operation: {methods: [GET]}}], when: []}]",
         ["spec.rules[0].from[0].source.namespaces", "spec.rules[1].to[0].operation.methods"]),
        (
            "[{from: [{source: {namespaces: [a]}}]},"
            " {to: [{operation: {methods: [GET]}}], when: [{key: source.ip, values: [10.0.0.1]}]}]",
            [],
        ),
    ],
)  # fmt: skip
def test_from_and_to_in_separate_rules(rules: str, paths: list[str]) -> None:
    text = policy(f"{{rules: {rules}}}")
    assert found("authorization-policy-separate-rules", text) == fails(*paths)
    assert found("authorization-policy-separate-rules", policy(f"{{action: DENY, rules: {rules}}}")) == set()


SEPARATE = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec:
  rules:
  - from:
    - source:
        namespaces: [a]
  # Only these.
  - to:
    - operation:
        methods: [GET]
"""


def test_the_joined_rule_is_a_fix() -> None:
    result = scan_text(plan_of(profile_of("authorization-policy-separate-rules")), SEPARATE)
    (fix,) = [finding.fix for finding in failing(result) if finding.fix is not None]
    (edit,) = fix.edits
    lines = SEPARATE.splitlines(keepends=True)
    line, column = edit.location.start_line - 1, edit.location.start_column - 1
    lines[line] = lines[line][:column] + edit.text + lines[line][edit.location.end_column - 1 :]
    mended = "".join(lines)
    assert mended == SEPARATE.replace("  - to:", "    to:")
    assert failing(scan_text(plan_of(profile_of("authorization-policy-separate-rules")), mended)) == []


@pytest.mark.parametrize(
    "text",
    [
        SEPARATE.replace("  - to:", "  - from: []\n    to:"),
        SEPARATE.replace("  - to:", "  -\n    to:"),
        SEPARATE.replace("[a]", "&names [a]").replace("[GET]", "*names"),
        policy("{rules: [{from: [{source: {namespaces: [a]}}]}, {to: [{operation: {methods: [GET]}}]}]}"),
    ],
    ids=["common key", "dash on a line of its own", "anchor", "flow style"],
)
def test_no_fix_where_the_dash_alone_does_not_join(text: str) -> None:
    result = scan_text(plan_of(profile_of("authorization-policy-separate-rules")), text)
    assert len(failing(result)) == 2
    assert [finding.fix for finding in failing(result)] == [None, None]


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        (
            "[{from: [{source: {namespaces: [a, b]}}, {source: {principals: [cluster.local/ns/a/sa/x]}}]}]",
            ["spec.rules[0].from[1].source.principals[0]"],
        ),
        (
            "[{from: [{source: {principals: [cluster.local/ns/a/sa/x]}}]}, {from: [{source: {namespaces: [a]}}]}]",
            ["spec.rules[0].from[0].source.principals[0]"],
        ),
        # The same twice: the second one is too much.
        (
            "[{from: [{source: {namespaces: [a]}}, {source: {namespaces: [a]}}]}]",
            ["spec.rules[0].from[1].source.namespaces[0]"],
        ),
        ("[{from: [{source: {namespaces: [a]}}, {source: {principals: [cluster.local/ns/b/sa/x]}}]}]", []),
        ("[{from: [{source: {namespaces: [a], principals: [cluster.local/ns/a/sa/x]}}]}]", []),
        # The broader one may do less.
        (
            "[{from: [{source: {principals: [cluster.local/ns/a/sa/x]}}]},"
            " {from: [{source: {namespaces: [a]}}], to: [{operation: {methods: [GET]}}]}]",
            [],
        ),
        (
            "[{from: [{source: {principals: [cluster.local/ns/a/sa/x]}}], to: [{operation: {methods: [GET]}}]},"
            " {from: [{source: {namespaces: [a]}}]}]",
            ["spec.rules[0].from[0].source.principals[0]"],
        ),
    ],
)
def test_a_source_that_another_covers(rules: str, paths: list[str]) -> None:
    assert found("authorization-policy-source-covered", policy(f"{{rules: {rules}}}")) == fails(*paths)


@pytest.mark.parametrize(
    ("spec", "allows", "denies"),
    [
        ("{rules: [{}]}", True, False),
        ("{rules: [{from: [], to: []}]}", True, False),
        ("{rules: [{when: []}, {to: [{operation: {ports: ['80']}}]}]}", True, False),
        ("{action: DENY, rules: [{}]}", False, True),
        ("{action: AUDIT, rules: [{}]}", False, False),
        ("{}", False, False),
        ("{rules: [{from: [{source: {principals: ['*']}}]}]}", False, False),
        ("{rules: [{when: [{key: source.ip, values: [10.0.0.1]}]}]}", False, False),
    ],
)
def test_rules_that_match_everything(spec: str, allows: bool, denies: bool) -> None:
    path = ["spec.rules[0]"]
    assert found("authorization-policy-allows-everything", policy(spec)) == fails(*(path if allows else []))
    assert found("authorization-policy-denies-everything", policy(spec)) == fails(*(path if denies else []))


# --- mTLS ---

NAMESPACES = "{from: [{source: {namespaces: [a]}}]}"


def mode(text: str, namespace: str = "shop") -> str:
    return policy(f"{{mtls: {{mode: {text}}}}}", "mode", namespace, "PeerAuthentication")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "is PERMISSIVE, the default"),
        (STRICT, ""),
        (STRICT + mode("PERMISSIVE"), "is PERMISSIVE by PeerAuthentication shop/mode"),
        (STRICT + policy("{selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: DISABLE}}}", "q",
                         kind="PeerAuthentication"), "port 8080 of shop/web[Deployment] is DISABLE"),
        # In another namespace: it does not help.
        (mode("STRICT", "other"), "is PERMISSIVE, the default"),
    ],
)  # fmt: skip
def test_policies_that_need_mtls(more: str, words: str) -> None:
    text = MESH + more + policy(f"{{selector: {{matchLabels: {{app: web}}}}, rules: [{NAMESPACES}]}}")
    paths = ["spec.rules[0].from[0].source.namespaces"] if words else []
    assert found("authorization-policy-without-mtls", text) == fails(*paths)
    assert found("authorization-policy-evaded-by-plain-text", text) == set()
    if words:
        assert words in message("authorization-policy-without-mtls", text)


def test_only_the_ports_that_a_rule_is_about_need_mtls() -> None:
    legacy = policy(
        "{selector: {matchLabels: {app: web}}, portLevelMtls: {9090: {mode: PERMISSIVE}}}",
        "q",
        kind="PeerAuthentication",
    )
    two = MESH.replace("ports: [{containerPort: 8080}]", "ports: [{containerPort: 8080}, {containerPort: 9090}]")
    spec = "{selector: {matchLabels: {app: web}}, rules: [{from: [{source: {namespaces: [a]}}]%s}]}"
    to = ", to: [{operation: {ports: ['%s']}}]"
    rule, path = "authorization-policy-without-mtls", "spec.rules[0].from[0].source.namespaces"
    for port, expected in (("", fails(path)), (to % 9090, fails(path)), (to % 8080, set())):
        assert found(rule, two + STRICT + legacy + policy(spec % port)) == expected


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("{action: DENY, rules: [{from: [{source: {principals: [x]}}]}]}", "from[0].source.principals"),
        ("{action: DENY, rules: [{from: [{source: {notPrincipals: ['*']}}]}]}", None),
        ("{rules: [{from: [{source: {notNamespaces: [x]}}]}]}", "from[0].source.notNamespaces"),
        ("{rules: [{from: [{source: {notNamespaces: [x], principals: ['*']}}]}]}", None),
        ("{rules: [{when: [{key: source.namespace, notValues: [x]}]}]}", "when[0].key"),
        ("{action: AUDIT, rules: [{from: [{source: {principals: [x]}}]}]}", None),
    ],
)
def test_policies_that_plain_text_gets_around(spec: str, path: str | None) -> None:
    expected = fails(f"spec.rules[0].{path}") if path else set()
    assert found("authorization-policy-evaded-by-plain-text", MESH + policy(spec)) == expected
    assert found("authorization-policy-evaded-by-plain-text", MESH + STRICT + policy(spec)) == set()


def test_what_is_not_known_of_the_mesh_is_not_judged() -> None:
    text = MESH.replace("kind: Namespace", "kind: Nothing").replace(
        "apiVersion: v1\nkind: Nothing", "apiVersion: x/v1\nkind: Nothing"
    )
    text += policy(f"{{selector: {{matchLabels: {{app: web}}}}, rules: [{NAMESPACES}]}}")
    assert found("authorization-policy-without-mtls", text) == {("not-judged", P, "unknown-mtls")}
    assert {kind for kind, _, _ in found("authorization-policy-not-enforced", text)} == {"not-judged"}
    assert {kind for kind, _, _ in found("authorization-policy-missing", text)} == {"not-judged"}


OUTSIDE = MESH.replace("istio-injection: enabled", "istio-injection: disabled")


def test_a_policy_of_a_workload_outside_the_mesh() -> None:
    rule = "authorization-policy-not-enforced"
    spec = f"{{selector: {{matchLabels: {{app: web}}}}, rules: [{NAMESPACES}]}}"
    assert found(rule, OUTSIDE + policy(spec)) == fails("spec.selector")
    assert found(rule, MESH + policy(spec)) == set()
    # A policy of all of the namespace is about what of it is in the mesh.
    assert found(rule, OUTSIDE + policy(f"{{rules: [{NAMESPACES}]}}")) == set()


# --- what policies are attached to ---


@pytest.mark.parametrize(
    ("spec", "namespace", "expected"),
    [
        ("{selector: {matchLabels: {app: web}}}", "shop", set()),
        ("{selector: {matchLabels: {app: wbe}}}", "shop", fails("spec.selector.matchLabels.app")),
        ("{selector: {matchLabels: {app: web, tier: x}}}", "shop", fails("spec.selector.matchLabels.tier")),
        ("{}", "shop", set()),
        ("{selector: {matchLabels: {app: web}}}", "istio-system", set()),
        (
            "{selector: {matchLabels: {app: gateway}}}",
            "istio-system",
            {("not-judged", "AuthorizationPolicy istio-system/p", "unknown-peer")},
        ),
        (
            "{selector: {matchLabels: {app: web}}}",
            "elsewhere",
            {("not-judged", "AuthorizationPolicy elsewhere/p", "unknown-peer")},
        ),
        ("{targetRefs: [{kind: Service, group: '', name: web}]}", "shop", set()),
        ("{targetRefs: [{kind: Service, group: '', name: wbe}]}", "shop", fails("spec.targetRefs[0].name")),
        (
            "{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: w}]}",
            "shop",
            {("not-judged", P, "unknown-peer")},
        ),
    ],
)
def test_what_a_policy_selects(spec: str, namespace: str, expected: set[tuple[str, str, str]]) -> None:
    assert found("authorization-policy-selects-nothing", MESH + policy(spec, namespace=namespace)) == expected


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("{principals: [cluster.local/ns/shop/sa/web]}", None),
        ("{principals: [cluster.local/ns/shop/sa/default]}", None),
        ("{principals: [cluster.local/ns/shop/sa/wbe]}", "fail"),
        ("{principals: ['spiffe://cluster.local/ns/shop/sa/web']}", "fail"),
        ("{principals: [cluster.local/shop/web]}", "fail"),
        ("{principals: [cluster.locl/ns/shop/sa/web]}", "fail"),
        ("{principals: [other.example/ns/shop/sa/web]}", None),
        ("{principals: ['*/ns/shop/sa/wbe']}", None),
        ("{principals: [cluster.local/ns/istio-system/sa/ingress]}", None),
        ("{principals: [cluster.local/ns/elsewhere/sa/x]}", None),
        ("{namespaces: [shopp]}", "fail"),
        ("{namespaces: [elsewhere]}", None),
        ("{namespaces: [default, kube-system, 'shop*']}", None),
        ("{serviceAccounts: [web, shop/web]}", None),
        ("{serviceAccounts: [wbe]}", "fail"),
    ],
)
def test_identities_that_there_are(source: str, kind: str | None) -> None:
    outcome = found(
        "authorization-policy-unknown-identity",
        MESH + policy(f"{{rules: [{{from: [{{source: {source}}}]}}]}}"),
        identities_elsewhere=True,
    )
    assert {one[0] for one in outcome} == ({kind} if kind else set())
    if kind == "fail":
        field = source[1:].partition(":")[0]
        assert outcome == fails(f"spec.rules[0].from[0].source.{field}[0]")


BARE = "{apiVersion: v1, kind: Namespace, metadata: {name: bare}}\n---\n"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{principals: [cluster.local/ns/elsewhere/sa/x]}", True),
        ("{namespaces: [elsewhere]}", True),
        ("{principals: [other.example/ns/shop/sa/web]}", True),
        # A namespace that is declared, and of which no service account was read.
        ("{principals: [cluster.local/ns/bare/sa/x]}", True),
        ("{principals: [cluster.local/ns/bare/sa/default]}", False),
        ("{namespaces: [bare]}", False),
        ("{principals: [cluster.local/ns/istio-system/sa/ingress]}", True),
        ("{principals: [cluster.local/ns/shop/sa/web]}", False),
    ],
)
def test_identities_that_may_be_of_others_are_told_on_demand(source: str, told: bool) -> None:
    rule = "authorization-policy-unknown-identity"
    text = MESH + BARE + policy(f"{{rules: [{{from: [{{source: {source}}}]}}]}}")
    assert {(o.kind, o.words) for o in outcomes(rule, text)} == {
        ("not-judged", "unknown-peer") if told else ("pass", "")
    }
    assert {o.kind for o in outcomes(rule, text, identities_elsewhere=True)} == (set() if told else {"pass"})


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("http", "{rules: [{to: [{operation: {methods: [GET]}}]}]}", set()),
        ("tcp-db", "{rules: [{to: [{operation: {methods: [GET]}}]}]}", fails("spec.rules[0].to[0].operation.methods")),
        ("https", "{rules: [{to: [{operation: {paths: [/a]}}]}]}", fails("spec.rules[0].to[0].operation.paths")),
        ("web", "{rules: [{to: [{operation: {methods: [GET]}}]}]}", set()),
        ("tcp", "{rules: [{to: [{operation: {ports: ['8080']}}]}]}", set()),
        ("tcp", "{rules: [{to: [{operation: {methods: [GET], ports: ['9090']}}]}]}", set()),
        (
            "tcp",
            "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}",
            fails("spec.rules[0].from[0].source.notRequestPrincipals"),
        ),
    ],
)
def test_conditions_of_http_on_tcp_ports(name: str, spec: str, expected: set[tuple[str, str, str]]) -> None:
    text = MESH.replace("name: http, port", f"name: {name}, port") + policy(spec)
    assert found("authorization-policy-http-on-tcp", text) == expected


def test_one_port_of_http_keeps_an_allow_rule_alive_and_a_deny_rule_wider() -> None:
    both = MESH.replace("targetPort: 8080}]", "targetPort: 8080}, {name: tcp, port: 81, targetPort: 9090}]")
    rules = "rules: [{to: [{operation: {methods: [GET]}}]}]"
    path = "spec.rules[0].to[0].operation.methods"
    assert found("authorization-policy-http-on-tcp", both + policy(f"{{{rules}}}")) == set()
    assert found("authorization-policy-http-on-tcp", both + policy(f"{{action: DENY, {rules}}}")) == fails(path)


def test_a_gateway_terminates_tls() -> None:
    gateway = MESH.replace("name: app, image: x", "name: istio-proxy, image: istio/proxyv2:1.27, args: [proxy, router]")
    text = gateway.replace("name: http, port", "name: https, port") + policy(
        "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}"
    )
    assert found("authorization-policy-http-on-tcp", text) == set()
    assert outcomes("authorization-policy-missing", gateway) == set()


def test_ztunnel_sees_no_http() -> None:
    ambient = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient")
    rule = "authorization-policy-http-on-tcp"
    text = ambient + policy("{rules: [{to: [{operation: {methods: [GET]}}]}]}")
    assert found(rule, text) == fails("spec.rules[0].to[0].operation.methods")
    assert found(rule, ambient + policy("{rules: [{to: [{operation: {ports: ['8080']}}]}]}")) == set()
    attached = "targetRefs: [{kind: Service, group: '', name: web}], rules: [{to: [{operation: {methods: [GET]}}]}]"
    assert found(rule, ambient + policy(f"{{{attached}}}")) == set()


# --- workloads and tokens ---


@pytest.mark.parametrize(
    ("policies", "fails_"),
    [
        ("", True),
        (policy("{}"), False),
        (policy("{}", namespace="istio-system"), False),
        (policy("{}", namespace="other"), True),
        (policy("{selector: {matchLabels: {app: db}}}"), True),
        (policy("{action: DENY, rules: [{}]}"), True),
        (policy("{}").replace("namespace: shop}", "namespace: shop, annotations: {istio.io/dry-run: 'true'}}"), True),
    ],
)
def test_workloads_that_no_policy_restricts(policies: str, fails_: bool) -> None:
    expected = {Outcome("fail", D, "metadata.name")} if fails_ else {Outcome("pass", D, "")}
    assert outcomes("authorization-policy-missing", MESH + policies) == expected


def test_outside_of_a_mesh_no_policy_is_missing() -> None:
    assert outcomes("authorization-policy-missing", OUTSIDE) == set()
    assert (
        outcomes(
            "authorization-policy-missing",
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a}]}}",
        )
        == set()
    )


TOKENS = policy("{jwtRules: [{issuer: i, jwksUri: 'https://i.example/keys'}]}", "t", kind="RequestAuthentication")


@pytest.mark.parametrize(
    ("policies", "fails_"),
    [
        ("", True),
        (policy("{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"), False),
        (policy("{rules: [{when: [{key: 'request.auth.claims[iss]', values: [i]}]}]}"), False),
        (policy("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}"), False),
        (policy("{rules: [{from: [{source: {namespaces: [a]}}]}]}"), True),
        (policy("{rules: [{from: [{source: {requestPrincipals: ['*']}}, {source: {namespaces: [a]}}]}]}"), True),
        (policy("{action: DENY, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"), True),
    ],
)
def test_tokens_that_nobody_requires(policies: str, fails_: bool) -> None:
    expected = fails("spec.jwtRules", about="RequestAuthentication shop/t") if fails_ else set()
    assert found("request-authentication-not-required", MESH + TOKENS + policies) == expected


@pytest.mark.parametrize(
    ("gateway", "account", "known"),
    [
        ("{metadata: {name: w, namespace: shop}, spec: {gatewayClassName: istio-waypoint}}", "w", True),
        ("{metadata: {name: w, namespace: shop}, spec: {gatewayClassName: istio}}", "w-istio", True),
        (
            "{metadata: {name: w, namespace: shop, annotations: {gateway.istio.io/service-account: edge}}}",
            "edge",
            True,
        ),
        ("{metadata: {name: w, namespace: shop}, spec: {gatewayClassName: istio}}", "v-istio", False),
    ],
)
def test_istio_makes_the_service_account_of_a_gateway(gateway: str, account: str, known: bool) -> None:
    made = f"{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, {gateway[1:]}\n---\n"
    asks = policy(f"{{rules: [{{from: [{{source: {{principals: [cluster.local/ns/shop/sa/{account}]}}}}]}}]}}")
    assert (found("authorization-policy-unknown-identity", MESH + made + asks) == set()) is known


def test_conditions_on_http_of_a_policy_that_selects_nothing_do_not_pass() -> None:
    asks = policy("{selector: {matchLabels: {app: other}}, rules: [{to: [{operation: {methods: [GET]}}]}]}")
    assert outcomes("authorization-policy-http-on-tcp", MESH + asks) == set()


def test_a_waypoint_may_have_the_policies_that_a_workload_lacks() -> None:
    text = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient, istio.io/use-waypoint: w")
    assert found("authorization-policy-missing", text) == {("not-judged", D, "unsupported")}


@pytest.mark.parametrize(
    ("rule", "objects"),
    [
        ("authorization-policy-not-enforced", policy("{selector: {matchLabels: {app: web}}, rules: [{}]}")),
        (
            "authorization-policy-evaded-by-plain-text",
            policy("{action: DENY, rules: [{from: [{source: {namespaces: [a]}}]}]}"),
        ),
        ("authorization-policy-without-mtls", policy("{rules: [{from: [{source: {namespaces: [a]}}]}]}")),
        (
            "destination-rule-disables-tls",
            "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: p, namespace: shop},"
            " spec: {host: web, trafficPolicy: {tls: {mode: DISABLE}}}}\n",
        ),
        (
            "client-tls-contradicts-mtls",
            "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: p, namespace: shop},"
            " spec: {host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}}\n",
        ),
    ],
)
def test_what_depends_on_a_namespace_that_is_declared_elsewhere_is_told_on_demand(rule: str, objects: str) -> None:
    undeclared = MESH.partition("---")[2] + objects
    assert {o.kind for o in outcomes(rule, undeclared)} == {"not-judged"}
    assert outcomes(rule, undeclared, namespaces_elsewhere=True) == set()
    # Where it is declared nothing is left out.
    expected = outcomes(rule, MESH + objects)
    assert expected
    assert outcomes(rule, MESH + objects, namespaces_elsewhere=True) == expected


AMBIENT = MESH.replace("istio-injection: enabled", "istio.io/dataplane-mode: ambient")


@pytest.mark.parametrize(
    ("rule", "words", "path"),
    [
        (
            "{from: [{source: {namespaces: [a], remoteIpBlocks: [10.0.0.0/8]}}]}",
            "knows nothing of it: the rule allows nothing",
            "spec.rules[0].from[0].source.remoteIpBlocks",
        ),
        (
            "{from: [{source: {trustDomains: [a.example]}}]}",
            "knows nothing of it: the rule does not ask for it",
            "spec.rules[0].from[0].source.trustDomains",
        ),
        (
            "{to: [{operation: {methods: [GET]}}]}",
            "sees no HTTP: the rule allows nothing",
            "spec.rules[0].to[0].operation.methods",
        ),
    ],
)
def test_what_ztunnel_does_not_know(rule: str, words: str, path: str) -> None:
    text = AMBIENT + policy(f"{{rules: [{rule}]}}")
    assert found("authorization-policy-http-on-tcp", text) == fails(path)
    assert words in message("authorization-policy-http-on-tcp", text)
    sidecar = MESH + policy(f"{{rules: [{rule}]}}")
    assert found("authorization-policy-http-on-tcp", sidecar) == set()


def test_ztunnel_takes_no_custom_policy() -> None:
    custom = policy("{action: CUSTOM, provider: {name: ext}, rules: [{}]}")
    assert found("authorization-policy-not-enforced", AMBIENT + custom) == fails("spec.action")
    assert found("authorization-policy-not-enforced", MESH + custom) == set()


def test_many_token_checks_of_many_workloads_with_many_policies() -> None:
    run_within_seconds(
        """
from checks.network_outcomes import outcomes
from checks.test_mesh_authorization import MESH, policy
text = MESH + "".join(
    policy("{rules: [{from: [{source: {namespaces: [a]}}]}]}", f"p{n}")
    + policy("{jwtRules: [{issuer: i}]}", f"t{n}", kind="RequestAuthentication")
    + MESH.partition("---")[2].replace("name: web", f"name: web-{n}")
    for n in range(500)
)
found = outcomes("request-authentication-not-required", text)
assert {one.kind for one in found} == {"fail"}
"""
    )
