"""Rules of kubeassay.checks.mesh_traffic."""

from __future__ import annotations

from typing import Any

import pytest

from checks.network_outcomes import outcomes
from kit import failing, plan_of, profile_of, scan_text

SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, version: v1}}
    spec: {containers: [{name: app, image: x, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
"""
INGRESS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingress, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  template:
    metadata: {labels: {istio: ingressgateway}}
    spec: {containers: [{name: istio-proxy, image: x}]}
---
"""
G, V, D = "Gateway istio-system/g", "VirtualService shop/v", "DestinationRule shop/d"


def istio(kind: str, name: str, namespace: str, spec: str) -> str:
    metadata = f"{{name: {name}, namespace: {namespace}}}"
    return f"{{apiVersion: networking.istio.io/v1, kind: {kind}, metadata: {metadata}, spec: {spec}}}\n---\n"


def gateway(*servers: str, selector: str = "istio: ingressgateway") -> str:
    return istio("Gateway", "g", "istio-system", f"{{selector: {{{selector}}}, servers: [{', '.join(servers)}]}}")


def route(destination: str, gateways: str = "mesh", hosts: str = "www.shop.example", name: str = "v") -> str:
    http = f"[{{route: [{{destination: {destination}}}]}}]"
    return istio("VirtualService", name, "shop", f"{{hosts: ['{hosts}'], gateways: [{gateways}], http: {http}}}")


def rule(spec: str, name: str = "d", namespace: str = "shop") -> str:
    return istio("DestinationRule", name, namespace, spec)


def found(rule_: str, text: str, **parameters: Any) -> set[tuple[str, str, str]]:
    """(outcome, object, path or reason), without what passed."""
    return {(o.kind, o.about, o.words) for o in outcomes(rule_, text, **parameters) if o.kind != "pass"}


def fails(about: str, *paths: str) -> set[tuple[str, str, str]]:
    return {("fail", about, path) for path in paths}


HTTPS = (
    "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop/www.shop.example],"
    " tls: {mode: SIMPLE, credentialName: c%s}}"
)


@pytest.mark.parametrize(
    ("more", "minimum", "paths"),
    [
        ("", "TLSV1_2", []),
        ("", "TLSV1_3", ["minProtocolVersion"]),
        (", minProtocolVersion: TLS_AUTO", "TLSV1_2", []),
        (", minProtocolVersion: TLSV1_2", "TLSV1_2", []),
        (", minProtocolVersion: TLSV1_1", "TLSV1_2", ["minProtocolVersion"]),
        (", minProtocolVersion: TLSV1_0", "TLSV1_0", []),
        (
            ", minProtocolVersion: TLSV1_0, maxProtocolVersion: TLSV1_1",
            "TLSV1_2",
            ["minProtocolVersion", "maxProtocolVersion"],
        ),
    ],
)
def test_versions_of_tls(more: str, minimum: str, paths: list[str]) -> None:
    expected = fails(G, *(f"spec.servers[0].tls.{path}" for path in paths))
    assert found("gateway-tls-version", gateway(HTTPS % more), minimum=minimum) == expected


def test_a_version_of_tls_that_there_is_not() -> None:
    # It is not understood, so that it does not pass.
    for field in ("minProtocolVersion", "maxProtocolVersion"):
        (said,) = outcomes("gateway-tls-version", gateway(HTTPS % f", {field}: nonsense"))
        assert (said.kind, said.about, said.words) == ("not-judged", G, "invalid-object")


def test_a_gateway_that_passes_tls_on_has_no_version() -> None:
    server = "{port: {number: 443, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH, minProtocolVersion: TLSV1_0}}"
    assert found("gateway-tls-version", gateway(server)) == set()


@pytest.mark.parametrize(
    ("server", "fails_"),
    [
        ("{port: {number: 80, protocol: HTTP}, hosts: [a]}", True),
        ("{port: {number: 80, protocol: http2}, hosts: [a], tls: {httpsRedirect: false}}", True),
        ("{port: {number: 80, protocol: HTTP}, hosts: [a], tls: {httpsRedirect: true}}", False),
        (HTTPS % "", False),
        ("{port: {number: 5432, protocol: TCP}, hosts: [a]}", False),
    ],
)
def test_plain_http(server: str, fails_: bool) -> None:
    expected = fails(G, "spec.servers[1].port") if fails_ else set()
    assert found("gateway-plain-http", gateway(HTTPS % "", server)) == expected


@pytest.mark.parametrize(
    ("host", "fails_"),
    [("'*'", True), ("'*/*'", True), ("shop/*", True), ("'*.shop.example'", False), ("a.example", False)],
)
def test_hosts_with_wildcards(host: str, fails_: bool) -> None:
    server = f"{{port: {{number: 443, protocol: HTTPS}}, hosts: [a.example, {host}]}}"
    expected = fails(G, "spec.servers[0].hosts[1]") if fails_ else set()
    assert found("gateway-wildcard-host", gateway(server)) == expected


def test_modes_of_tls() -> None:
    mutual = HTTPS.replace("SIMPLE", "MUTUAL") % ""
    assert found("gateway-tls-mode", gateway(HTTPS % "", mutual)) == set()
    assert found("gateway-tls-mode", gateway(HTTPS % "", mutual), modes=["MUTUAL"]) == fails(
        G, "spec.servers[0].tls.mode"
    )
    automatic = "{port: {number: 15443, protocol: TLS}, hosts: ['*.local'], tls: {mode: AUTO_PASSTHROUGH}}"
    assert found("gateway-tls-mode", gateway(automatic)) == fails(G, "spec.servers[0].tls.mode")


def test_certificates() -> None:
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: c, namespace: %s}}\n---\n"
    unknown = {("not-judged", G, "unknown-secret")}
    assert found("gateway-certificate-missing", gateway(HTTPS % "")) == unknown
    assert found("gateway-certificate-missing", gateway(HTTPS % "") + secret % "istio-system") == set()
    assert found("gateway-certificate-missing", gateway(HTTPS % ""), secrets_elsewhere=True) == set()
    # Secrets are read from the namespace of the gateway's pods, wherever the Gateway stands.
    elsewhere = INGRESS.replace("namespace: istio-system", "namespace: edge")
    assert found("gateway-certificate-missing", elsewhere + gateway(HTTPS % "") + secret % "istio-system") == unknown
    assert found("gateway-certificate-missing", elsewhere + gateway(HTTPS % "") + secret % "edge") == set()
    made = (
        "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: x, namespace: istio-system},"
        " spec: {secretName: c}}"
    )
    assert found("gateway-certificate-missing", gateway(HTTPS % "") + made) == set()
    none = (HTTPS % "").replace("credentialName: c", "httpsRedirect: false")
    assert found("gateway-certificate-missing", gateway(none)) == fails(G, "spec.servers[0].tls.credentialName")


def test_gateways_that_select_nothing() -> None:
    assert found("gateway-selects-nothing", INGRESS + gateway(HTTPS % "")) == set()
    other = gateway(HTTPS % "", selector="istio: ingres")
    assert found("gateway-selects-nothing", INGRESS + other) == fails(G, "spec.selector")
    # A gateway is often installed from elsewhere.
    assert {o.kind for o in outcomes("gateway-selects-nothing", SHOP + other)} == {"not-judged"}
    assert outcomes("gateway-selects-nothing", SHOP + other, gateways_elsewhere=True) == set()


@pytest.mark.parametrize(
    ("gateways", "hosts", "expected"),
    [
        ("istio-system/g", "www.shop.example", set()),
        ("istio-system/h", "www.shop.example", fails(V, "spec.gateways[0]")),
        ("g", "www.shop.example", set()),
        ("istio-system/g", "api.shop.example", fails(V, "spec.gateways[0]")),
        ("mesh", "api.shop.example", set()),
        ("mesh, istio-system/h", "www.shop.example", fails(V, "spec.gateways[1]")),
    ],
)
def test_gateways_of_routes(gateways: str, hosts: str, expected: set[tuple[str, str, str]]) -> None:
    text = SHOP + gateway(HTTPS % "") + route("{host: web}", gateways, hosts)
    assert found("virtual-service-gateway-missing", text, gateways_elsewhere=True) == expected


@pytest.mark.parametrize(
    ("rule_", "parameter", "objects"),
    [
        ("virtual-service-gateway-missing", "gateways_elsewhere", route("{host: web}", "istio-system/h")),
        ("route-destination-missing", "hosts_elsewhere", route("{host: web.elsewhere.svc.cluster.local}")),
        ("route-destination-missing", "hosts_elsewhere", route("{host: web.istio-system.svc.cluster.local}")),
        ("route-destination-missing", "hosts_elsewhere", route("{host: api.example}")),
        ("destination-rule-host-missing", "hosts_elsewhere", rule("{host: x.elsewhere.svc.cluster.local}")),
        ("destination-rule-host-missing", "hosts_elsewhere", rule("{host: '*.elsewhere.svc.cluster.local'}")),
        ("destination-rule-host-missing", "hosts_elsewhere", rule("{host: api.example}")),
    ],
)
def test_what_others_may_have_is_told_on_demand(rule_: str, parameter: str, objects: str) -> None:
    about = V if "VirtualService" in objects else D
    # It was not read, so that it neither fails nor passes.
    assert {(o.kind, o.about, o.words) for o in outcomes(rule_, SHOP + objects)} == {
        ("not-judged", about, "unknown-peer")
    }
    assert outcomes(rule_, SHOP + objects, **{parameter: True}) == set()


EXTERNAL = istio("ServiceEntry", "e", "other", "{hosts: [api.example, '*.cloud.example'], exportTo: %s}")
AT = "spec.http[0].route[0].destination"


@pytest.mark.parametrize(
    ("destination", "more", "expected"),
    [
        ("{host: web}", "", set()),
        ("{host: web.shop.svc.cluster.local, port: {number: 80}}", "", set()),
        ("{host: web.shop}", "", fails(V, f"{AT}.host")),
        ("{host: web.shop.svc}", "", fails(V, f"{AT}.host")),
        ("{host: wbe}", "", fails(V, f"{AT}.host")),
        ("{host: wbe.shop.svc.cluster.local}", "", fails(V, f"{AT}.host")),
        ("{host: web.elsewhere.svc.cluster.local}", "", set()),
        ("{host: web, port: {number: 8080}}", "", fails(V, f"{AT}.port.number")),
        ("{host: api.example}", "", set()),
        ("{host: api.example}", EXTERNAL % "[]", set()),
        ("{host: x.cloud.example}", EXTERNAL % "['*']", set()),
        ("{host: api.example}", EXTERNAL % "[shop]", set()),
        ("{host: api.example}", EXTERNAL % "['.']", fails(V, f"{AT}.host")),
        ("{host: other.example}", EXTERNAL % "[]", fails(V, f"{AT}.host")),
        ("{host: web, subset: v1}", "", fails(V, f"{AT}.subset")),
        ("{host: web, subset: v1}", rule("{host: web, subsets: [{name: v1}]}"), set()),
        ("{host: web, subset: v2}", rule("{host: web, subsets: [{name: v1}]}"), fails(V, f"{AT}.subset")),
        (
            "{host: web, subset: v1}",
            rule("{host: web, subsets: [{name: v1}]}", namespace="other"),
            fails(V, f"{AT}.subset"),
        ),
        (
            "{host: web, subset: v1}",
            rule("{host: web.shop.svc.cluster.local, subsets: [{name: v1}]}", namespace="other"),
            fails(V, f"{AT}.subset"),
        ),
        ("{host: web, subset: v1}", rule("{host: '*.local', subsets: [{name: v1}]}"), set()),
        ("{host: web, subset: v1, port: {number: 1}}", "", fails(V, f"{AT}.subset", f"{AT}.port.number")),
        ("{}", "", set()),
    ],
)
def test_destinations(destination: str, more: str, expected: set[tuple[str, str, str]]) -> None:
    assert found("route-destination-missing", SHOP + more + route(destination), hosts_elsewhere=True) == expected


DOMAIN = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio-sidecar-injector, namespace: istio-system}
data: {config: "policy: enabled", values: '{"global": {"proxy": {"clusterDomain": "cluster.example"}}}'}
---
"""


def test_a_cluster_of_another_domain() -> None:
    host, breaker = "web.shop.svc.cluster.example", "trafficPolicy: {outlierDetection: {interval: 1s}}"
    text = SHOP + DOMAIN + rule(f"{{host: {host}, subsets: [{{name: v1}}], {breaker}}}")
    for destination in ("web", host):
        routed = text + route(f"{{host: {destination}, subset: v1}}")
        assert found("route-destination-missing", routed) == set()
    assert found("circuit-breaker-missing", text, services=["shop/web"]) == set()
    assert found("destination-rule-host-missing", SHOP + DOMAIN + rule("{host: '*.cluster.example'}")) == set()
    (wrong,) = outcomes("route-destination-missing", text + route("{host: web.shop}"))
    assert "web.shop.svc.cluster.example" in wrong.message


def test_a_service_that_is_not_exported_to_the_caller() -> None:
    text = SHOP.replace(
        "{name: web, namespace: shop}\nspec: {selector",
        "{name: web, namespace: shop, annotations: {networking.istio.io/exportTo: 'banana'}}\nspec: {selector",
    )
    assert found("route-destination-missing", text + route("{host: web}")) == fails(V, f"{AT}.host")


def test_a_service_of_several_ports_behind_a_gateway() -> None:
    two = SHOP.replace("targetPort: 8080}", "targetPort: 8080}, {name: grpc, port: 81, targetPort: 8080}")
    behind = gateway(HTTPS % "") + route("{host: web}", "istio-system/g")
    assert found("route-destination-missing", two + behind) == fails(V, AT)
    assert found("route-destination-missing", SHOP + behind) == set()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{host: web}", set()),
        ("{host: web.shop.svc.cluster.local}", set()),
        ("{host: wbe}", fails(D, "spec.host")),
        ("{host: web.shop}", fails(D, "spec.host")),
        ("{host: '*.shop.svc.cluster.local'}", set()),
        ("{host: '*.local'}", set()),
        ("{host: '*.elsewhere.svc.cluster.local'}", set()),
        ("{host: x.elsewhere.svc.cluster.local}", set()),
        ("{}", set()),
    ],
)
def test_hosts_of_destination_rules(spec: str, expected: set[tuple[str, str, str]]) -> None:
    assert found("destination-rule-host-missing", SHOP + rule(spec), hosts_elsewhere=True) == expected


def test_subsets_without_pods() -> None:
    spec = "{host: web, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: all}]}"
    assert found("destination-rule-subset-empty", SHOP + rule(spec)) == fails(D, "spec.subsets[1].labels")


def test_subsets_whose_pods_are_not_known_do_not_pass() -> None:
    subsets = "subsets: [{name: v1, labels: {version: v1}}]"
    assert {o.kind for o in outcomes("destination-rule-subset-empty", SHOP + rule(f"{{host: web, {subsets}}}"))} == {
        "pass"
    }
    for host in ("web.elsewhere.svc.cluster.local", "wbe", "api.example"):
        assert outcomes("destination-rule-subset-empty", SHOP + rule(f"{{host: {host}, {subsets}}}")) == set()


def test_certificates_of_the_other_end() -> None:
    skip = "{tls: {mode: %s, insecureSkipVerify: true}}"
    text = rule(
        f"{{host: web, trafficPolicy: {skip % 'SIMPLE'}, subsets: [{{name: a, trafficPolicy: {{portLevelSettings:"
        f" [{skip % 'MUTUAL'}]}}}}]}}"
    )
    assert found("upstream-certificate-not-verified", text) == fails(
        D,
        "spec.trafficPolicy.tls.insecureSkipVerify",
        "spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.insecureSkipVerify",
    )
    for mode in ("DISABLE", "ISTIO_MUTUAL"):
        assert found("upstream-certificate-not-verified", rule(f"{{host: web, trafficPolicy: {skip % mode}}}")) == set()


S = "Service shop/web"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", fails(S, "metadata.name")),
        (rule("{host: web, trafficPolicy: {outlierDetection: {interval: 1s}}}"), set()),
        (
            rule(
                "{host: web.shop.svc.cluster.local, trafficPolicy: {outlierDetection: {interval: 1s}}}", namespace="x"
            ),
            # It is for callers of its own namespace.
            fails(S, "metadata.name"),
        ),
        (
            rule("{host: '*.local', trafficPolicy: {outlierDetection: {interval: 1s}}}", namespace="istio-system"),
            set(),
        ),
        (
            rule("{host: web, exportTo: [.], trafficPolicy: {outlierDetection: {interval: 1s}}}"),
            fails(S, "metadata.name"),
        ),
        # The most specific host alone is in effect.
        (
            rule("{host: web}") + rule("{host: '*.local', trafficPolicy: {outlierDetection: {interval: 1s}}}", "e"),
            fails(D, "spec.host"),
        ),
        (
            rule("{host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}")
            + rule("{host: web, trafficPolicy: {outlierDetection: {interval: 1s}}}", "e"),
            fails(D, "spec.trafficPolicy"),
        ),
        (rule("{host: '*.shop.svc.cluster.local', trafficPolicy: {outlierDetection: {interval: 1s}}}"), set()),
        (rule("{host: web, trafficPolicy: {tls: {mode: DISABLE}}}"), fails(D, "spec.trafficPolicy")),
        (rule("{host: web}"), fails(D, "spec.host")),
        (rule("{host: web, trafficPolicy: {outlierDetection: {}}}"), fails(D, "spec.trafficPolicy")),
        (rule("{host: web}") + rule("{host: web, trafficPolicy: {outlierDetection: {interval: 1s}}}", "e"), set()),
    ],
)
def test_circuit_breakers(text: str, expected: set[tuple[str, str, str]]) -> None:
    assert found("circuit-breaker-missing", SHOP + text, services=["shop/web"]) == expected
    assert found("circuit-breaker-missing", SHOP + text) == set()


def test_connection_pools() -> None:
    text = SHOP + rule("{host: web, trafficPolicy: {outlierDetection: {interval: 1s}}}")
    missing = fails(D, "spec.trafficPolicy")
    assert found("circuit-breaker-missing", text, services=["shop"], connection_pool=True) == missing
    assert found("circuit-breaker-missing", text, services=["data/*"]) == {("not-judged", "", "no-objects")}


def test_services_beside_a_gateway() -> None:
    node_port = SHOP.replace("spec: {selector", "spec: {type: NodePort, selector")
    behind = gateway(HTTPS % "") + route("{host: web}", "istio-system/g")
    assert found("service-bypasses-gateway", node_port + behind) == fails(S, "spec.type")
    assert found("service-bypasses-gateway", SHOP + behind) == set()
    assert found("service-bypasses-gateway", node_port + gateway(HTTPS % "") + route("{host: web}")) == set()
    addresses = SHOP.replace("spec: {selector", "spec: {externalIPs: [192.0.2.1], selector")
    assert found("service-bypasses-gateway", addresses + behind) == fails(S, "spec.externalIPs")
    # The gateway's own Service is what is meant to be exposed.
    front = (
        "{apiVersion: v1, kind: Service, metadata: {name: ingress, namespace: istio-system}, spec: {type: LoadBalancer,"
        " selector: {istio: ingressgateway}, ports: [{port: 443}]}}\n---\n"
    )
    bound = istio("VirtualService", "x", "istio-system", "{hosts: [a.example], gateways: [g]}")
    assert found("service-bypasses-gateway", INGRESS + front + bound + behind) == set()


@pytest.mark.parametrize("spec", ["null", "3", "{servers: 3, hosts: 3, http: [null, 3], subsets: 3, host: 3}",
    "{servers: [null, 3, {port: 3, tls: 3, hosts: 3}], gateways: [3, null], http: [{route: [null, 3]}], host: []}",
    "{host: '', subsets: [null, {name: 3, labels: 3}], trafficPolicy: 3, selector: 3, hosts: [null]}"])  # fmt: skip
def test_objects_that_no_api_server_takes(spec: str) -> None:
    text = SHOP + "".join(
        istio(kind, "x", "shop", spec) for kind in ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry")
    )
    for rule_ in (
        "gateway-tls-version", "gateway-plain-http", "gateway-wildcard-host", "gateway-tls-mode",
        "gateway-certificate-missing", "gateway-selects-nothing", "virtual-service-gateway-missing",
        "route-destination-missing", "destination-rule-host-missing", "destination-rule-subset-empty",
        "upstream-certificate-not-verified", "service-bypasses-gateway",
    ):  # fmt: skip
        outcomes(rule_, text)
    outcomes("circuit-breaker-missing", text, services=["*"], connection_pool=True)


@pytest.mark.parametrize(
    ("mesh", "namespace", "fails"),
    [
        ("{}", "shop", False),
        ("defaultDestinationRuleExportTo: ['.']", "shop", True),
        ("{}", "mesh-root", True),
        ("rootNamespace: mesh-root", "mesh-root", False),
    ],
)
def test_how_the_mesh_is_set_counts_whichever_rules_run(mesh: str, namespace: str, fails: bool) -> None:
    settings = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "{mesh}"}}
---
"""
    host = "web.shop.svc.cluster.local"
    text = (
        SHOP
        + settings
        + rule(f"{{host: {host}, trafficPolicy: {{outlierDetection: {{interval: 10s}}}}}}", "d", namespace)
    )
    result = scan_text(plan_of(profile_of("circuit-breaker-missing", services=["shop/web"])), text)
    assert bool(failing(result)) is fails


def test_gateways_may_be_installed_elsewhere() -> None:
    gateway = (
        "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g, namespace: shop},"
        " spec: {selector: {istio: ingressgateway}, servers: []}}"
    )
    assert {o.kind for o in outcomes("gateway-selects-nothing", gateway)} == {"not-judged"}
    assert outcomes("gateway-selects-nothing", gateway, gateways_elsewhere=True) == set()
