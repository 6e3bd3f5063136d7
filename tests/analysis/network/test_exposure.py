"""Exposure: which ports of which pods are open to the outside, through what, and references that lead nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import objects_in, run_within_seconds
from kubeassay.analysis.network.exposure import Exposure, Exposures, exposures
from kubeassay.analysis.network.gateways import hosts_meet
from kubeassay.analysis.network.ways_in import of_the_internet
from kubeassay.model import Inventory, format_path
from kubeassay.sources.manifests import read_bytes


def found(*texts: str) -> Exposures:
    return exposures(Inventory(objects_in("\n---\n".join(texts))))


def via(exposure: Exposure) -> str:
    """The way in, as ``Kind name path > Kind name path``."""
    return " > ".join(f"{step.obj.ref.kind} {step.obj.ref.name} {format_path(step.path)}" for step in exposure.via)


def opened(*texts: str) -> set[tuple[str, str, str, int, bool | None, str]]:
    return {(e.kind, e.workload.name, e.protocol, e.port, e.public, via(e)) for e in found(*texts).all}


def reached(*texts: str) -> list[tuple[str, int]]:
    """Workload and port of each exposure, in order."""
    return [(exposure.workload.name, exposure.port) for exposure in found(*texts).all]


def dangling(*texts: str) -> list[tuple[str, str, str]]:
    return [(d.obj.ref.kind, format_path(d.path), d.words) for d in found(*texts).dangling]


WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web, tier: front}}
    spec:
      containers:
      - name: app
        ports:
        - {name: http, containerPort: 8080}
        - {name: http, containerPort: 8081, protocol: UDP}
"""


def service(spec: str, name: str = "web", namespace: str = "shop", annotations: str = "{}") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, annotations: {annotations}}}
spec: {spec}
"""


SERVICE = service("{selector: {app: web}, ports: [{name: main, port: 80, targetPort: http}, {name: other, port: 81}]}")

# Services: what they lead to.


def resolved(*texts: str) -> dict[int, list[tuple[str, str, int]]]:
    """Port of the one Service → workloads, protocols and ports that it leads to."""
    (one,) = found(*texts).services.values()
    return {port.number: [(t.workload.name, t.protocol, t.port) for t in port.targets] for port in one.ports}


def test_a_service_leads_to_the_pods_that_have_all_its_labels_in_its_namespace() -> None:
    elsewhere = WEB.replace("namespace: shop", "namespace: other")
    less = WEB.replace("name: web,", "name: less,").replace(", tier: front", "")
    text = service("{selector: {app: web, tier: front}, ports: [{port: 80}]}")
    assert resolved(WEB, elsewhere, less, text) == {80: [("shop/web[Deployment]", "TCP", 80)]}


@pytest.mark.parametrize(
    ("port", "leads_to"),
    [
        ("{port: 80}", ("TCP", 80)),
        ("{port: 80, targetPort: 0}", ("TCP", 80)),
        ("{port: 80, targetPort: ''}", ("TCP", 80)),
        ("{port: 80, targetPort: 9000}", ("TCP", 9000)),
        ("{port: 80, targetPort: http}", ("TCP", 8080)),
        ("{port: 80, targetPort: http, protocol: UDP}", ("UDP", 8081)),
    ],
)
def test_the_port_of_the_pod(port: str, leads_to: tuple[str, int]) -> None:
    assert resolved(WEB, service(f"{{selector: {{app: web}}, ports: [{port}]}}")) == {
        80: [("shop/web[Deployment]", *leads_to)]
    }


def test_a_name_of_a_port_is_looked_up_in_each_workload() -> None:
    second = WEB.replace("name: web,", "name: web2,").replace("containerPort: 8080", "containerPort: 3000")
    third = WEB.replace("name: web,", "name: web3,").replace("name: http", "name: grpc")
    assert resolved(WEB, second, third, SERVICE)[80] == [
        ("shop/web2[Deployment]", "TCP", 3000),
        ("shop/web[Deployment]", "TCP", 8080),
    ]


def test_a_sidecar_gives_a_port_its_name_only_where_no_container_does() -> None:
    sidecar = "initContainers: [{name: proxy, restartPolicy: Always, ports: [{name: http, containerPort: 1}]}]"
    both = WEB.replace("      containers:", f"      {sidecar}\n      containers:")
    alone = both.replace("- {name: http,", "- {")
    assert resolved(both, SERVICE)[80] == [("shop/web[Deployment]", "TCP", 8080)]
    assert resolved(alone, SERVICE)[80] == [("shop/web[Deployment]", "TCP", 1)]


@pytest.mark.parametrize(
    ("spec", "type_", "headless", "manual"),
    [
        ("{selector: {app: web}, clusterIP: None}", "ClusterIP", True, False),
        ("{selector: {}}", "ClusterIP", False, True),
        ("{ports: [{port: 80}]}", "ClusterIP", False, True),
        ("{type: ExternalName, externalName: example.com, selector: {app: web}}", "ExternalName", False, True),
        ("{type: NodePort, selector: {app: web}}", "NodePort", False, False),
    ],
)
def test_kinds_of_services(spec: str, type_: str, headless: bool, manual: bool) -> None:
    (one,) = found(WEB, service(spec)).services.values()
    assert (one.type, one.headless, one.manual) == (type_, headless, manual)
    assert bool(one.workloads) is not manual


def test_services_that_lead_nowhere() -> None:
    assert dangling(WEB, service("{selector: {app: gone}, ports: [{port: 80}]}")) == [
        ("Service", "spec.selector", "no workload has pods with app=gone")
    ]
    assert dangling(WEB, service("{selector: {app: web}, ports: [{port: 80, targetPort: gone}]}")) == [
        ("Service", "spec.ports[0].targetPort", "no container that it selects has a TCP port named gone")
    ]
    assert dangling(service("{ports: [{port: 80}]}")) == []


def test_pods_that_are_not_known_may_be_where_a_service_leads() -> None:
    database = """
apiVersion: example.com/v1
kind: Database
metadata: {name: db, namespace: shop}
spec: {image: db:1}
"""
    text = service("{selector: {app: db}, ports: [{port: 80}]}")
    assert [d.certain for d in found(database, text).dangling] == [False]
    assert [d.certain for d in found(database.replace("shop", "other"), text).dangling] == [True]


def test_a_service_in_no_namespace_is_in_the_default_one() -> None:
    pod = WEB.replace("namespace: shop", "namespace: default")
    text = SERVICE.replace("namespace: shop, ", "")
    assert resolved(pod, text)[80] == [("default/web[Deployment]", "TCP", 8080)]


# Services: what they open to the outside.


def test_a_cluster_ip_and_a_headless_service_open_nothing() -> None:
    headless = service("{type: LoadBalancer, clusterIP: None, selector: {app: web}, ports: [{port: 80}]}")
    assert opened(WEB, SERVICE) == set()
    assert opened(WEB, headless) == set()


def test_a_load_balancer_opens_its_ports_and_ports_of_the_nodes() -> None:
    text = service("{type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http, nodePort: 30080}]}")
    assert opened(WEB, text) == {
        ("load-balancer", "shop/web[Deployment]", "TCP", 8080, None,
         "Service web spec.type > Service web spec.ports[0]"),
        ("node-port", "shop/web[Deployment]", "TCP", 8080, None,
         "Service web spec.ports[0].nodePort > Service web spec.ports[0]"),
    }  # fmt: skip


def test_a_load_balancer_may_do_without_node_ports() -> None:
    text = service(
        "{type: LoadBalancer, allocateLoadBalancerNodePorts: false, selector: {app: web}, ports: [{port: 80}]}"
    )
    assert {kind for kind, *_ in opened(WEB, text)} == {"load-balancer"}


def test_a_node_port() -> None:
    assert opened(WEB, service("{type: NodePort, selector: {app: web}, ports: [{port: 80}]}")) == {
        ("node-port", "shop/web[Deployment]", "TCP", 80, None, "Service web spec.type > Service web spec.ports[0]")
    }


def test_external_addresses() -> None:
    text = "{{selector: {{app: web}}, externalIPs: [{}], ports: [{{port: 80}}]}}"
    way = "Service web spec.externalIPs[0] > Service web spec.ports[0]"
    assert opened(WEB, service(text.format("10.0.0.1, 203.0.113.9"))) == {
        ("external-ip", "shop/web[Deployment]", "TCP", 80, True, way)
    }
    assert opened(WEB, service(text.format("10.0.0.1"))) == {
        ("external-ip", "shop/web[Deployment]", "TCP", 80, False, way)
    }


@pytest.mark.parametrize(
    ("annotations", "public"),
    [
        ("{}", None),
        ('{service.beta.kubernetes.io/aws-load-balancer-internal: "true"}', False),
        ("{service.beta.kubernetes.io/aws-load-balancer-internal: 0.0.0.0/0}", False),
        ('{service.beta.kubernetes.io/aws-load-balancer-internal: "false"}', True),
        ("{service.beta.kubernetes.io/aws-load-balancer-scheme: internal}", False),
        ("{service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing}", True),
        ('{service.beta.kubernetes.io/azure-load-balancer-internal: "true"}', False),
        ("{networking.gke.io/load-balancer-type: Internal}", False),
        ("{cloud.google.com/load-balancer-type: Internal}", False),
        ("{service.kubernetes.io/qcloud-loadbalancer-internal-subnetid: subnet-1}", False),
    ],
)
def test_annotations_say_whether_a_load_balancer_is_public(annotations: str, public: bool | None) -> None:
    text = service("{type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}", annotations=annotations)
    assert [e.public for e in found(WEB, text).all if e.kind == "load-balancer"] == [public]


@pytest.mark.parametrize(
    ("ranges", "public"),
    [("10.0.0.0/8, 192.168.1.0/24", False), ("10.0.0.0/8, 203.0.113.0/24", None), ("0.0.0.0/0", None)],
)
def test_the_addresses_that_a_load_balancer_lets_in(ranges: str, public: bool | None) -> None:
    text = service(
        f"{{type: LoadBalancer, loadBalancerSourceRanges: [{ranges}], selector: {{app: web}}, ports: [{{port: 80}}]}}"
    )
    older = service(
        "{type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}",
        annotations=f'{{service.beta.kubernetes.io/load-balancer-source-ranges: "{ranges}"}}',
    )
    for form in (text, older):
        (exposure,) = (e for e in found(WEB, form).all if e.kind == "load-balancer")
        assert (exposure.public, exposure.source_ranges) == (public, tuple(ranges.split(", ")))


def test_a_live_load_balancer_says_which_address_it_has() -> None:
    text = service("{type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}")
    live = text + "status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}"
    assert [e.public for e in found(WEB, live).all if e.kind == "load-balancer"] == [True]


# Nodes.


def test_host_ports() -> None:
    text = WEB.replace("containerPort: 8080}", "containerPort: 8080, hostPort: 80}")
    loopback = text.replace("hostPort: 80}", "hostPort: 80, hostIP: 127.0.0.1}")
    assert opened(text) == {
        ("host-port", "shop/web[Deployment]", "TCP", 8080, None,
         "Deployment web spec.template.spec.containers[0].ports[0].hostPort"),
    }  # fmt: skip
    assert opened(loopback) == set()


def test_the_host_network_opens_whatever_the_containers_listen_on() -> None:
    text = WEB.replace("      containers:", "      hostNetwork: true\n      containers:")
    prometheus = """
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: k8s, namespace: m}
spec: {hostNetwork: true}
"""
    assert opened(text, prometheus) == {
        ("host-network", "shop/web[Deployment]", "", 0, None, "Deployment web spec.template.spec.hostNetwork"),
        ("host-network", "m/k8s[Prometheus]", "", 0, None, "Prometheus k8s spec.hostNetwork"),
    }


# Ingress.


def ingress(spec: str, annotations: str = "{}", version: str = "networking.k8s.io/v1") -> str:
    return f"""
apiVersion: {version}
kind: Ingress
metadata: {{name: in, namespace: shop, annotations: {annotations}}}
spec: {spec}
"""


def rule(*backends: str) -> str:
    return f"{{rules: [{{host: a.example, http: {{paths: [{', '.join(f'{{backend: {b}}}' for b in backends)}]}}}}]}}"


def test_an_ingress_leads_to_ports_of_services_by_number_or_name() -> None:
    by_number = ingress(rule("{service: {name: web, port: {number: 80}}}"))
    by_name = ingress(rule("{service: {name: web, port: {name: other}}}"))
    default = ingress("{defaultBackend: {service: {name: web, port: {number: 80}}}}")
    way = "Ingress in {} > Service web spec.ports[{}]"
    at = "spec.rules[0].http.paths[0].backend"
    assert opened(WEB, SERVICE, by_number) == {
        ("ingress", "shop/web[Deployment]", "TCP", 8080, None, way.format(at, 0))
    }
    assert opened(WEB, SERVICE, by_name) == {("ingress", "shop/web[Deployment]", "TCP", 81, None, way.format(at, 1))}
    assert opened(WEB, SERVICE, default) == {
        ("ingress", "shop/web[Deployment]", "TCP", 8080, None, way.format("spec.defaultBackend", 0))
    }


def test_an_ingress_that_names_the_pods_own_port_exposes_it_and_leads_nowhere_by_the_api() -> None:
    own = ingress(rule("{service: {name: web, port: {number: 8080}}}"))
    numbered = SERVICE.replace("targetPort: http", "targetPort: 8080")
    assert reached(WEB, numbered, own) == [("shop/web[Deployment]", 8080)]
    assert [words for _, _, words in dangling(WEB, numbered, own)] == ["Service shop/web has no port number 8080"]


def test_ingresses_of_older_versions() -> None:
    for version in ("networking.k8s.io/v1beta1", "extensions/v1beta1"):
        text = ingress(rule("{serviceName: web, servicePort: main}"), version=version)
        default = ingress("{backend: {serviceName: web, servicePort: 81}}", version=version)
        assert reached(WEB, SERVICE, text) == [("shop/web[Deployment]", 8080)]
        assert reached(WEB, SERVICE, default) == [("shop/web[Deployment]", 81)]


def test_several_paths_to_one_port_are_one_exposure() -> None:
    one = "{service: {name: web, port: {number: 80}}}"
    assert reached(WEB, SERVICE, ingress(rule(one, one))) == [("shop/web[Deployment]", 8080)]


def test_backends_that_are_missing() -> None:
    gone = ingress(rule("{service: {name: gone, port: {number: 80}}}", "{service: {name: web, port: {name: gone}}}"))
    assert dangling(WEB, SERVICE, gone) == [
        ("Ingress", "spec.rules[0].http.paths[0].backend.service.name", "Service shop/gone is not among the inputs"),
        ("Ingress", "spec.rules[0].http.paths[1].backend.service.port", "Service shop/web has no port named gone"),
    ]
    older = ingress(rule("{serviceName: web, servicePort: 9}"), version="extensions/v1beta1")
    assert dangling(WEB, SERVICE, older) == [
        ("Ingress", "spec.rules[0].http.paths[0].backend.servicePort", "Service shop/web has no port number 9")
    ]


def test_backends_without_pods_are_not_missing() -> None:
    bucket = ingress(rule("{resource: {apiGroup: example.com, kind: Bucket, name: static}}"))
    out = service("{type: ExternalName, externalName: example.com}", name="out")
    leads_out = ingress(rule("{service: {name: out, port: {number: 443}}}"))
    assert dangling(bucket) == []
    assert dangling(out, leads_out) == []


@pytest.mark.parametrize(
    ("annotations", "public"),
    [
        ("{alb.ingress.kubernetes.io/scheme: internet-facing}", True),
        ("{alb.ingress.kubernetes.io/scheme: internal}", False),
        ("{kubernetes.io/ingress.class: gce-internal}", False),
        ('{appgw.ingress.kubernetes.io/use-private-ip: "true"}', False),
        ("{kubernetes.io/ingress.class: nginx}", None),
    ],
)
def test_annotations_say_whether_an_ingress_is_public(annotations: str, public: bool | None) -> None:
    text = ingress(rule("{service: {name: web, port: {number: 80}}}"), annotations=annotations)
    assert [exposure.public for exposure in found(WEB, SERVICE, text).all] == [public]


def test_an_ingress_leads_to_the_service_of_its_own_folder() -> None:
    to_web = ingress(rule("{service: {name: web, port: {number: 80}}}"))
    objects = [
        obj
        for folder in ("staging", "production")
        for obj in read_bytes("\n---\n".join((WEB, SERVICE, to_web)).encode(), f"{folder}/all.yaml").objects
    ]
    ways = {tuple(step.obj.file for step in exposure.via) for exposure in exposures(Inventory(objects)).all}
    assert ways == {("staging/all.yaml", "staging/all.yaml"), ("production/all.yaml", "production/all.yaml")}


# Gateway API.


def gateway(listeners: str, extra: str = "gatewayClassName: any", namespace: str = "infra") -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: {namespace}}}
spec: {{{extra}, listeners: [{listeners}]}}
"""


def route(spec: str, kind: str = "HTTPRoute", namespace: str = "shop") -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: r, namespace: {namespace}}}
spec: {{{spec}}}
"""


ALL = "allowedRoutes: {namespaces: {from: All}}"
HTTP = f"{{name: http, port: 80, protocol: HTTP, {ALL}}}"
TO_WEB = "rules: [{backendRefs: [{name: web, port: 80}]}]"
PARENT = "parentRefs: [{name: gw, namespace: infra}]"
PARENT_WAY = "Gateway gw spec.listeners[0] > HTTPRoute r spec.rules[0].backendRefs[0] > Service web spec.ports[0]"


def test_a_route_opens_its_backends_through_a_gateway() -> None:
    assert opened(WEB, SERVICE, gateway(HTTP), route(f"{PARENT}, {TO_WEB}")) == {
        ("gateway", "shop/web[Deployment]", "TCP", 8080, None, PARENT_WAY)
    }


@pytest.mark.parametrize(
    ("kind", "protocols"),
    [
        ("HTTPRoute", {"HTTP", "HTTPS"}),
        ("GRPCRoute", {"HTTP", "HTTPS"}),
        ("TLSRoute", {"TLS"}),
        ("TCPRoute", {"TCP", "TLS"}),
        ("UDPRoute", {"UDP"}),
    ],
)
def test_each_kind_of_route_needs_a_listener_of_its_protocol(kind: str, protocols: set[str]) -> None:
    def attached(protocol: str) -> bool:
        listener = gateway(f"{{name: a, port: 80, protocol: {protocol}, {ALL}}}")
        return bool(reached(WEB, SERVICE, listener, route(f"{PARENT}, {TO_WEB}", kind)))

    assert {protocol for protocol in ("HTTP", "HTTPS", "TLS", "TCP", "UDP") if attached(protocol)} == protocols


def test_a_listener_may_take_few_kinds_of_routes() -> None:
    kinds = gateway(HTTP.replace("allowedRoutes: {", "allowedRoutes: {kinds: [{kind: GRPCRoute}], "))
    text = route(f"{PARENT}, {TO_WEB}")
    assert reached(WEB, SERVICE, kinds, text) == []
    assert dangling(WEB, SERVICE, kinds, text) == [
        ("HTTPRoute", "spec.parentRefs[0]", "no listener of Gateway infra/gw takes a HTTPRoute")
    ]


SHOP = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {edge: open}}}"


@pytest.mark.parametrize(
    ("allowed", "attached"),
    [
        ("{}", False),
        ("{namespaces: {from: Same}}", False),
        ("{namespaces: {from: None}}", False),
        ("{namespaces: {from: All}}", True),
        ("{namespaces: {from: Selector, selector: {matchLabels: {edge: open}}}}", True),
        ("{namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}", True),
        ("{namespaces: {from: Selector, selector: {matchLabels: {edge: closed}}}}", False),
    ],
)
def test_namespaces_whose_routes_a_listener_takes(allowed: str, attached: bool) -> None:
    text = gateway(f"{{name: http, port: 80, protocol: HTTP, allowedRoutes: {allowed}}}")
    texts = (WEB, SERVICE, SHOP, text, route(f"{PARENT}, {TO_WEB}"))
    assert bool(reached(*texts)) is attached
    assert dangling(*texts) == (
        []
        if attached
        else [("HTTPRoute", "spec.parentRefs[0]", "Gateway infra/gw takes no routes from namespace shop")]
    )


def test_routes_of_the_gateways_own_namespace_are_taken_unless_something_else_is_said() -> None:
    text = gateway("{name: http, port: 80, protocol: HTTP}", namespace="shop")
    assert reached(WEB, SERVICE, text, route(f"parentRefs: [{{name: gw}}], {TO_WEB}")) == [
        ("shop/web[Deployment]", 8080)
    ]


def test_a_route_may_name_a_listener_by_name_or_port() -> None:
    two = gateway(f"{HTTP}, {{name: second, port: 8080, protocol: HTTP, {ALL}}}")
    for wanted, listener in (("sectionName: second", 1), ("port: 8080", 1), ("sectionName: http", 0)):
        text = route(f"parentRefs: [{{name: gw, namespace: infra, {wanted}}}], {TO_WEB}")
        assert [e.via[0].path for e in found(WEB, SERVICE, two, text).all] == [("spec", "listeners", listener)]
    gone = route(f"parentRefs: [{{name: gw, namespace: infra, sectionName: gone, port: 1}}], {TO_WEB}")
    assert dangling(WEB, SERVICE, two, gone) == [
        ("HTTPRoute", "spec.parentRefs[0]", "Gateway infra/gw has no listener named gone on port 1")
    ]


@pytest.mark.parametrize(
    ("listener", "hostnames", "attached"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("a.example", "b.example, A.example", True),
        ("'*.example'", "a.b.example", True),
        ("'*.example'", "example", False),
        ("a.example", "'*.example'", True),
        ("'*.a.example'", "'*.example'", True),
        ("'*.a.example'", "'*.b.example'", False),
        ("''", "a.example", True),
        ("a.example", "", True),
    ],
)
def test_a_listener_and_a_route_need_a_hostname_in_common(listener: str, hostnames: str, attached: bool) -> None:
    text = gateway(HTTP.replace("name: http", f"name: http, hostname: {listener}"))
    texts = (WEB, SERVICE, text, route(f"{PARENT}, hostnames: [{hostnames}], {TO_WEB}"))
    assert bool(reached(*texts)) is attached
    assert [words for *_, words in dangling(*texts)] == (
        [] if attached else ["Gateway infra/gw has no hostname in common with the route"]
    )


def test_a_route_whose_gateway_is_elsewhere_opens_its_backends_all_the_same() -> None:
    text = route(f"{PARENT}, {TO_WEB}")
    assert opened(WEB, SERVICE, text) == {
        ("gateway", "shop/web[Deployment]", "TCP", 8080, None,
         "HTTPRoute r spec.rules[0].backendRefs[0] > Service web spec.ports[0]"),
    }  # fmt: skip
    assert dangling(WEB, SERVICE, text) == [
        ("HTTPRoute", "spec.parentRefs[0]", "Gateway infra/gw is not among the inputs")
    ]


def test_parents_of_other_kinds() -> None:
    mesh = route(f"parentRefs: [{{group: '', kind: Service, name: web}}], {TO_WEB}")
    set_of_listeners = route(f"parentRefs: [{{kind: ListenerSet, name: more}}], {TO_WEB}")
    assert reached(WEB, SERVICE, mesh) == []
    assert reached(WEB, SERVICE, set_of_listeners) == [("shop/web[Deployment]", 8080)]


GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: routes}]
  to: [{group: "", kind: Service}]
"""


def test_a_backend_of_another_namespace_needs_a_grant() -> None:
    far = route(
        f"{PARENT}, rules: [{{backendRefs: [{{name: web, namespace: shop, port: 80}}]}}]",
        namespace="routes",
    )
    texts = (WEB, SERVICE, gateway(HTTP), far)
    refused = [
        (
            "HTTPRoute",
            "spec.rules[0].backendRefs[0].namespace",
            "no ReferenceGrant in namespace shop lets a HTTPRoute of routes use Service web",
        )
    ]
    assert (reached(*texts), dangling(*texts)) == ([], refused)
    named = GRANT.replace("kind: Service", "kind: Service, name: web")
    for grant in (GRANT, named):
        assert (reached(*texts, grant), dangling(*texts, grant)) == ([("shop/web[Deployment]", 8080)], [])
    for other in (
        named.replace("name: web", "name: other"),
        GRANT.replace("namespace: routes", "namespace: others"),
        GRANT.replace("kind: HTTPRoute", "kind: GRPCRoute"),
        GRANT.replace("namespace: shop", "namespace: routes"),
    ):
        assert dangling(*texts, other) == refused


def test_backends_of_a_route() -> None:
    two = service("{selector: {app: web}, ports: [{port: 90, targetPort: 9090}]}", name="second")
    text = route(
        f"{PARENT}, rules: [{{filters: [{{type: RequestMirror, requestMirror: "
        "{backendRef: {name: second, port: 90}}}], backendRefs: [{name: web, port: 80}, "
        "{name: web, port: 81, weight: 0}, {group: example.com, kind: Bucket, name: b}]}]"
    )
    assert {(port, way) for _, _, _, port, _, way in opened(WEB, SERVICE, two, gateway(HTTP), text)} == {
        (8080, PARENT_WAY),
        (9090, "Gateway gw spec.listeners[0] > HTTPRoute r spec.rules[0].filters[0].requestMirror.backendRef"
         " > Service second spec.ports[0]"),
    }  # fmt: skip
    missing = route(
        f"{PARENT}, rules: [{{backendRefs: [{{name: gone, port: 80}}, {{name: web, port: 9}}, {{name: web}}]}}]"
    )
    assert dangling(WEB, SERVICE, gateway(HTTP), missing) == [
        ("HTTPRoute", "spec.rules[0].backendRefs[0].name", "Service shop/gone is not among the inputs"),
        ("HTTPRoute", "spec.rules[0].backendRefs[1].port", "Service shop/web has no port number 9"),
        ("HTTPRoute", "spec.rules[0].backendRefs[2]", "names no port of Service shop/web"),
    ]


@pytest.mark.parametrize(
    ("extra", "public"),
    [
        ("gatewayClassName: gke-l7-rilb", False),
        ("gatewayClassName: gke-l7-global-external-managed", True),
        ("infrastructure: {annotations: {networking.gke.io/load-balancer-type: Internal}}", False),
        ("addresses: [{value: 10.0.0.1}]", False),
        ("addresses: [{type: Hostname, value: gw.example}]", None),
    ],
)
def test_what_says_whether_a_gateway_is_public(extra: str, public: bool | None) -> None:
    texts = (WEB, SERVICE, gateway(HTTP, extra), route(f"{PARENT}, {TO_WEB}"))
    assert [exposure.public for exposure in found(*texts).all] == [public]


# Istio.

EDGE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge, namespace: istio-system}
spec: {template: {metadata: {labels: {istio: edge}}, spec: {containers: [{name: proxy}]}}}
"""
EDGE_SERVICE = service(
    "{type: LoadBalancer, allocateLoadBalancerNodePorts: false, selector: {istio: edge},"
    " ports: [{port: 443, targetPort: 8443}]}",
    name="edge",
    namespace="istio-system",
    annotations="{service.beta.kubernetes.io/aws-load-balancer-scheme: internal}",
)


def istio_gateway(hosts: str = "'*'", namespace: str = "infra", port: int = 443) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: {namespace}}}
spec: {{selector: {{istio: edge}}, servers: [{{port: {{number: {port}, name: a, protocol: HTTPS}}, hosts: [{hosts}]}}]}}
"""


def virtual_service(spec: str, gateways: str = "infra/gw", hosts: str = "a.example", namespace: str = "shop") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: vs, namespace: {namespace}}}
spec: {{gateways: [{gateways}], hosts: [{hosts}], {spec}}}
"""


def to(destination: str) -> str:
    return f"http: [{{route: [{{destination: {{{destination}}}}}]}}]"


WEB_80 = to("host: web, port: {number: 80}")
ISTIO = (WEB, SERVICE, EDGE, EDGE_SERVICE, istio_gateway())
VS_WAY = "Gateway gw spec.servers[0] > VirtualService vs spec.http[0].route[0].destination > Service web spec.ports[0]"


def test_a_virtual_service_opens_its_destinations_through_the_pods_of_a_gateway() -> None:
    assert opened(*ISTIO, virtual_service(WEB_80)) == {
        ("load-balancer", "istio-system/edge[Deployment]", "TCP", 8443, False,
         "Service edge spec.type > Service edge spec.ports[0]"),
        ("istio-gateway", "istio-system/edge[Deployment]", "TCP", 8443, False, "Gateway gw spec.servers[0]"),
        ("istio-gateway", "shop/web[Deployment]", "TCP", 8080, False, VS_WAY),
    }  # fmt: skip
    to_web = [e for e in found(*ISTIO, virtual_service(WEB_80)).all if e.workload.name == "shop/web[Deployment]"]
    assert [[pod.name for pod in exposure.gateways] for exposure in to_web] == [["istio-system/edge[Deployment]"]]


def test_the_pods_of_a_gateway_listen_on_the_servers_port_where_no_service_says_otherwise() -> None:
    assert opened(EDGE, istio_gateway()) == {
        ("istio-gateway", "istio-system/edge[Deployment]", "TCP", 443, None, "Gateway gw spec.servers[0]")
    }
    untranslated = EDGE_SERVICE.replace(
        "annotations:", 'labels: {experimental.istio.io/disable-gateway-port-translation: "true"}, annotations:'
    )
    assert ("istio-system/edge[Deployment]", 443) in reached(EDGE, untranslated, istio_gateway())
    assert dangling(istio_gateway()) == [("Gateway", "spec.selector", "no workload has pods with istio=edge")]


def to_web(*texts: str) -> list[int]:
    """The ports of web that Istio's gateways lead to."""
    return [
        exposure.port
        for exposure in found(*texts).all
        if exposure.kind == "istio-gateway" and exposure.workload.name == "shop/web[Deployment]"
    ]


@pytest.mark.parametrize(
    ("host", "namespace"),
    [
        ("web", "shop"),
        ("web.shop", "routes"),
        ("web.shop.svc", "routes"),
        ("web.shop.svc.cluster.local", "routes"),
        ("web.shop.svc.my.domain", "routes"),
    ],
)
def test_the_host_of_a_destination(host: str, namespace: str) -> None:
    text = virtual_service(to(f"host: {host}, port: {{number: 80}}"), namespace=namespace)
    assert to_web(*ISTIO, text) == [8080]


@pytest.mark.parametrize("host", ["gone", "web.shop.svc.cluster.local", "api.example.com"])
def test_destinations_that_are_missing(host: str) -> None:
    text = virtual_service(to(f"host: {host}, port: {{number: 80}}"))
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: shop}
spec: {hosts: [gone, "*.example.com"]}
"""
    without_web = (EDGE, EDGE_SERVICE, istio_gateway())
    words = f"no Service or ServiceEntry among the inputs has the host {host}"
    missing = [("VirtualService", "spec.http[0].route[0].destination.host", words)]
    assert dangling(*without_web, text) == missing
    assert dangling(*without_web, text, entry) == (missing if "svc" in host else [])


def test_a_destination_without_a_port() -> None:
    single = service("{selector: {app: web}, ports: [{port: 9, targetPort: 90}]}")
    text = virtual_service(to("host: web"))
    gateways = (EDGE, EDGE_SERVICE, istio_gateway())
    assert to_web(WEB, single, *gateways, text) == [90]
    several = SERVICE.replace("port: 81", "port: 443, targetPort: 4430")
    assert to_web(WEB, several, *gateways, text) == [4430]
    assert dangling(*ISTIO, text) == [
        (
            "VirtualService",
            "spec.http[0].route[0].destination",
            "names no port, and Service shop/web has several, none of the number of the gateway's",
        )
    ]
    assert dangling(*ISTIO, virtual_service(to("host: web, port: {number: 7}"))) == [
        ("VirtualService", "spec.http[0].route[0].destination.port", "Service shop/web has no port number 7")
    ]


def test_routes_of_all_protocols_mirrors_and_weights() -> None:
    destination = "destination: {host: web, port: {number: 80}}"
    other = "destination: {host: web, port: {number: 81}}"
    for spec in (
        f"tcp: [{{route: [{{{destination}}}]}}]",
        f"tls: [{{route: [{{{destination}, weight: 0}}]}}]",
        "http: [{mirror: {host: web, port: {number: 80}}}]",
        f"http: [{{mirrors: [{{{destination}}}]}}]",
        f"http: [{{route: [{{{destination}, weight: 100}}, {{{other}, weight: 0}}]}}]",
    ):
        assert to_web(*ISTIO, virtual_service(spec)) == [8080], spec
    assert to_web(*ISTIO, virtual_service(f"http: [{{route: [{{{destination}}}, {{{other}}}]}}]")) == [8080, 81]


def test_a_delegate_is_read_in_its_own_namespace() -> None:
    outer = virtual_service("http: [{delegate: {name: inner, namespace: shop}}]", namespace="routes")
    inner = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: inner, namespace: shop}}
spec: {{{WEB_80}}}
"""
    assert to_web(*ISTIO, outer, inner) == [8080]
    assert dangling(*ISTIO, outer) == [
        ("VirtualService", "spec.http[0].delegate", "VirtualService shop/inner is not among the inputs")
    ]


@pytest.mark.parametrize(
    ("gateways", "attached"),
    [("infra/gw", True), ("gw", False), ("mesh", False), ("", False), ("mesh, infra/gw", True), ("./gw", False)],
)
def test_the_gateways_of_a_virtual_service(gateways: str, attached: bool) -> None:
    gone = gateways in ("gw", "./gw")
    text = virtual_service(WEB_80, gateways)
    assert (
        bool([e for e in found(*ISTIO, text).all if e.via[0].obj.ref.kind == "Gateway" and len(e.via) > 1]) is attached
    )
    assert dangling(*ISTIO, text) == (
        [("VirtualService", "spec.gateways[0]", "Gateway shop/gw is not among the inputs")] if gone else []
    )
    # A gateway that is elsewhere opens the way all the same.
    assert bool(to_web(*ISTIO, text)) is (attached or gone)


def test_a_gateway_of_the_same_namespace_needs_no_namespace() -> None:
    assert to_web(WEB, SERVICE, EDGE, istio_gateway(namespace="shop"), virtual_service(WEB_80, "gw")) == [8080]


@pytest.mark.parametrize(
    ("server", "hosts", "attached"),
    [
        ("'*'", "a.example", True),
        ("a.example", "a.example", True),
        ("b.example", "a.example", False),
        ("'*.example'", "a.example", True),
        ("shop/a.example", "a.example", True),
        ("other/a.example", "a.example", False),
        ("'*/a.example'", "a.example", True),
        ("./a.example", "a.example", False),
        ("web.shop.svc.cluster.local", "web", True),
    ],
)
def test_hosts_that_a_server_takes(server: str, hosts: str, attached: bool) -> None:
    texts = (WEB, SERVICE, EDGE, istio_gateway(server), virtual_service(WEB_80, hosts=hosts))
    assert bool(to_web(*texts)) is attached
    assert dangling(*texts) == (
        []
        if attached
        else [
            ("VirtualService", "spec.gateways[0]", "no server of Gateway infra/gw takes its hosts from its namespace")
        ]
    )


@pytest.mark.parametrize(
    ("exported", "attached"), [("'*'", True), (".", False), ("istio-system", True), ("infra", False), ("", True)]
)
def test_a_virtual_service_is_seen_where_it_is_exported_to(exported: str, attached: bool) -> None:
    assert bool(to_web(*ISTIO, virtual_service(f"exportTo: [{exported}], {WEB_80}"))) is attached


@pytest.mark.parametrize(
    ("match", "attached"),
    [
        ("[{gateways: [infra/gw]}]", True),
        ("[{gateways: [mesh]}]", False),
        ("[{gateways: [mesh]}, {uri: {prefix: /}}]", True),
        ("[]", True),
    ],
)
def test_conditions_of_a_route_may_name_gateways(match: str, attached: bool) -> None:
    route_ = f"http: [{{match: {match}, route: [{{destination: {{host: web, port: {{number: 80}}}}}}]}}]"
    assert bool(to_web(*ISTIO, virtual_service(route_))) is attached


# OpenShift.


@pytest.mark.parametrize(
    ("port", "reaches"),
    [
        ("", [8080, 81]),
        ("port: {targetPort: main},", [8080]),
        ("port: {targetPort: 81},", [81]),
        ("port: {targetPort: http},", [8080]),
    ],
)
def test_an_openshift_route(port: str, reaches: list[int]) -> None:
    text = f"""
apiVersion: route.openshift.io/v1
kind: Route
metadata: {{name: r, namespace: shop}}
spec: {{host: a.example, {port} to: {{kind: Service, name: web}}}}
"""
    exposed = found(WEB, SERVICE, text).all
    assert [(e.kind, e.port, e.public) for e in exposed] == [("route", number, None) for number in reaches]
    assert via(exposed[0]).startswith("Route r spec.to > Service web spec.ports[")


def test_alternate_backends_of_an_openshift_route_and_what_is_missing() -> None:
    other = service("{selector: {app: web}, ports: [{port: 9}]}", name="other")
    text = """
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: r, namespace: shop}
spec:
  port: {targetPort: 9}
  to: {kind: Service, name: web, weight: 100}
  alternateBackends: [{kind: Service, name: other, weight: 1}, {kind: Service, name: gone}, {name: none, weight: 0}]
"""
    assert reached(WEB, SERVICE, other, text) == [("shop/web[Deployment]", 9)]
    assert dangling(WEB, SERVICE, other, text) == [
        ("Route", "spec.port.targetPort", "Service shop/web has no port 9"),
        ("Route", "spec.alternateBackends[1].name", "Service shop/gone is not among the inputs"),
    ]


# In general.


def test_exposures_are_listed_by_workload_and_found_once() -> None:
    text = service("{type: NodePort, selector: {app: web}, ports: [{port: 80}]}")
    inventory = Inventory(objects_in("\n---\n".join((WEB, text, EDGE))))
    one = exposures(inventory)
    assert {workload.name: [e.kind for e in of_it] for workload, of_it in one.by_workload.items()} == {
        "shop/web[Deployment]": ["node-port"]
    }
    assert exposures(inventory) is one


def test_values_of_other_types_open_nothing() -> None:
    assert opened(WEB, service("{type: [], selector: [], ports: {}, externalIPs: 1}")) == set()
    assert opened(WEB, service("{type: NodePort, selector: {app: web}, ports: [1, {port: a}, {port: true}]}")) == set()
    for text in (
        ingress("{rules: [1, {http: 2}, {http: {paths: [3, {backend: 4}, {backend: {service: 5}}]}}]}"),
        gateway("1"),
        route("parentRefs: [1], rules: [2, {backendRefs: [3], filters: [4]}], hostnames: [5]"),
        istio_gateway().replace("servers: [", "servers: [1, {hosts: 2}, "),
        virtual_service("http: [1, {route: [2], match: 3, delegate: 4}]", gateways="5", hosts="6"),
    ):
        assert reached(WEB, SERVICE, text) == []


LABELS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3)
HOSTS = st.builds(lambda wild, labels: ".".join((["*"] if wild else []) + labels), st.booleans(), LABELS)


@given(HOSTS, HOSTS)
def test_hosts_meet_when_some_host_is_in_both(first: str, second: str) -> None:
    hosts = [[]]
    for _ in range(4):
        hosts += [[label, *host] for host in hosts for label in "abx" if len(host) < 4]

    def includes(pattern: str, host: str) -> bool:
        return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern

    names = {".".join(host) for host in hosts if host}
    both = any(includes(first, name) and includes(second, name) for name in names)
    assert hosts_meet(first, second) is both
    assert hosts_meet(second, first) is both


@pytest.mark.parametrize(
    ("addresses", "known"),
    [
        ([], None),
        (["not an address"], None),
        (["10.1.2.3", "fd00::1"], False),
        (["10.0.0.0/7"], True),
        (["::/0"], True),
        (["2001:db8::1"], True),
        (["100.64.0.1"], False),
    ],
)
def test_addresses_of_the_internet(addresses: list[str], known: bool | None) -> None:
    assert of_the_internet(addresses) is known


def test_cost_is_linear_in_services_and_pods() -> None:
    run_within_seconds(
        """
from kit import objects_in
from kubeassay.analysis.network.exposure import exposures
from kubeassay.model import Inventory, ObjectRef
pod, service, ingress = objects_in('''
apiVersion: v1
kind: Pod
metadata: {namespace: shop}
spec: {containers: []}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: shop}
spec: {}
''')
objects = []
for n in range(10000):
    name = f"n{n}"
    def named(obj, **fields):
        made = obj.with_value({**obj.value, "metadata": {"name": name, "namespace": "shop"}})
        made.ref = ObjectRef(obj.ref.api_version, obj.ref.kind, "shop", name)
        return made
    one = named(pod)
    one.value["metadata"]["labels"] = {"app": name, "tier": "all"}
    two = named(service)
    two.value["spec"] = {"selector": {"tier": "all", "app": name}, "ports": [{"port": 80}]}
    three = named(ingress)
    three.value["spec"] = {"defaultBackend": {"service": {"name": name, "port": {"number": 80}}}}
    objects += [one, two, three]
found = exposures(Inventory(objects))
assert len(found.all) == 10000, len(found.all)
assert not found.dangling
"""
    )
