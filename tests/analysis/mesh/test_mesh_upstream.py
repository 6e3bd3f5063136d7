"""Modes, clients' TLS and injection, against what Istio's own code makes of the same objects.

Needs Go, and Istio's module (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import Ask, asking, go_program, objects_in
from kubeassay.analysis.mesh.client_tls import ClientTls, Sent
from kubeassay.analysis.mesh.membership import Memberships
from kubeassay.analysis.mesh.mtls import Mtls
from kubeassay.model import Inventory

SLOW = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def _asking(name: str, folder: Path, **environment: str) -> AbstractContextManager[Ask]:
    return asking(go_program("upstream_istio", f"./{name}", folder), {"PATH": "/usr/bin:/bin", **environment})


@pytest.fixture(scope="module")
def istio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with _asking("mesh", tmp_path_factory.mktemp("istio")) as ask:
        yield ask


@pytest.fixture(scope="module")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with _asking("injection", tmp_path_factory.mktemp("injection"), ENABLE_NATIVE_SIDECARS="false") as ask:
        yield ask


def _dump(objects: list[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(objects)


def _inventory(objects: list[dict[str, Any]]) -> Inventory:
    return Inventory(objects_in(_dump(objects)) if objects else ())


# --- modes, and what clients send ---

ROOT = "istio-system"
SPACES = ("shop", "bank", ROOT)
PORTS = (8080, 9090)
LABELS = ({"app": "web"}, {"app": "web", "tier": "front"}, {"app": "api"}, {})
#: Absent, ages are equal, and names decide.
dates = st.sampled_from([None, None, None, "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2023-12-31T23:59:59Z"])
_modes = st.sampled_from([None, {}, {"mode": "UNSET"}, *({"mode": m} for m in ("STRICT", "PERMISSIVE", "DISABLE"))])


@st.composite
def peer_authentications(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    selector = draw(
        st.sampled_from([None, {}, {"matchLabels": {}}, *({"matchLabels": labels} for labels in LABELS[:3])])
    )
    if selector is not None:
        spec["selector"] = selector
    mode = draw(_modes)
    if mode is not None:
        spec["mtls"] = mode
    if selector is not None and selector.get("matchLabels") and draw(st.booleans()):
        ports = draw(st.lists(st.sampled_from([*PORTS, 7070]), unique=True, min_size=1))
        spec["portLevelMtls"] = {str(port): draw(_modes) or {} for port in ports}
    metadata = {"name": name, "namespace": draw(st.sampled_from(SPACES)), "creationTimestamp": draw(dates)}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": metadata, "spec": spec}


_HOSTS = (
    "web",
    "web.shop.svc.cluster.local",
    "head.shop.svc.cluster.local",
    "*.shop.svc.cluster.local",
    "*.svc.cluster.local",
    "*.local",
    "*",
    "web.shop",
)
_TLS = (
    {"mode": "DISABLE"},
    {"mode": "SIMPLE"},
    {"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k", "caCertificates": "/a"},
    {"mode": "ISTIO_MUTUAL"},
    {},
)


@st.composite
def traffic_policies(draw: st.DrawFn) -> dict[str, Any] | None:
    if draw(st.integers(0, 3)) == 0:
        return None
    policy: dict[str, Any] = {"connectionPool": {"tcp": {"maxConnections": 10}}}
    if draw(st.booleans()):
        policy["tls"] = draw(st.sampled_from(_TLS))
    if draw(st.integers(0, 5)) == 0:
        policy["loadBalancer"] = {"simple": "PASSTHROUGH"}
    if draw(st.booleans()):
        pool = {"connectionPool": {"tcp": {"maxConnections": 10}}}
        settings_of: dict[str, Any] = {"port": {"number": draw(st.sampled_from([80, 81]))}, **pool}
        if draw(st.booleans()):
            settings_of["tls"] = draw(st.sampled_from(_TLS))
        policy["portLevelSettings"] = [settings_of]
    return policy


@st.composite
def destination_rules(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"host": draw(st.sampled_from(_HOSTS))}
    exported = draw(st.sampled_from([None, ["."], ["*"], ["bank"], ["shop", "bank"], ["shop"]]))
    if exported is not None:
        spec["exportTo"] = exported
    if draw(st.integers(0, 3)) == 0:
        spec["workloadSelector"] = {"matchLabels": draw(st.sampled_from([{"app": "web"}, {"app": "api"}]))}
        # Istio refuses such a rule that is for other namespaces.
        if exported is not None:
            spec["exportTo"] = ["."]
    policy = draw(traffic_policies())
    if policy is not None:
        spec["trafficPolicy"] = policy
    for number in range(draw(st.integers(0, 2))):
        subset: dict[str, Any] = {"name": draw(st.sampled_from(["v1", "v2"])), "labels": {"version": str(number)}}
        policy = draw(traffic_policies())
        if policy is not None:
            subset["trafficPolicy"] = policy
        if subset["name"] not in [known["name"] for known in spec.get("subsets", [])]:
            spec.setdefault("subsets", []).append(subset)
    metadata = {"name": name, "namespace": draw(st.sampled_from(SPACES)), "creationTimestamp": draw(dates)}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}


def _service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": f"http-{number}", "port": number} for number in (80, 81)]
    stated = {"selector": {"app": "web"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": stated}


SERVICES = [_service("web", clusterIP="10.0.0.1"), _service("head", clusterIP="None")]


def _pod(namespace: str, number: int, labels: dict[str, str]) -> dict[str, Any]:
    ports = [{"containerPort": port} for port in PORTS]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{number}", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1", "ports": ports}]},
    }


def _namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


_NAMED = [(space, number, labels) for space in SPACES for number, labels in enumerate(LABELS)]
CLUSTER = [
    *(_namespace(space, **{"istio-injection": "enabled"}) for space in SPACES),
    *(_pod(*one) for one in _NAMED),
    *SERVICES,
]


@st.composite
def policies(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = st.permutations("abcdef").map("".join)
    return [draw(peer_authentications(name)) for name in draw(names)[: draw(st.integers(0, 6))]]


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = st.permutations("abcdef").map("".join)
    return [draw(destination_rules(name)) for name in draw(names)[: draw(st.integers(0, 6))]]


@SLOW
@given(stated=policies())
def test_modes_are_those_of_istio(istio: Ask, stated: list[dict[str, Any]]) -> None:
    asked = [
        {"Namespace": space, "Labels": labels, "Port": port}
        for space, _, labels in _NAMED
        for port in (*PORTS, 7070, 1)
    ]
    expected = istio({"Objects": _dump(stated), "Modes": asked})["modes"]
    found = Mtls(_inventory([*CLUSTER, *stated]))
    workloads = {workload.name: workload for workload in found.workloads}
    modes = [
        found.mode(workloads[f"{space}/pod-{number}[Pod]"], port).possible[0]
        for space, number, _ in _NAMED
        for port in (*PORTS, 7070, 1)
    ]
    assert modes == expected


@pytest.fixture(scope="module")
def ztunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with _asking("ambient", tmp_path_factory.mktemp("ambient")) as ask:
        yield ask


@SLOW
@given(stated=policies())
def test_ztunnel_denies_plain_text_where_the_mode_is_strict(ztunnel: Ask, stated: list[dict[str, Any]]) -> None:
    asked = [
        {"Namespace": space, "Labels": labels, "Port": port}
        for space, _, labels in _NAMED
        for port in (*PORTS, 7070, 1)
    ]
    # Of equally old ones istiod takes any, by the order in which it has them.
    by_age = sorted(stated, key=lambda one: (one["metadata"]["creationTimestamp"] or "", one["metadata"]["name"]))
    expected = ztunnel({"Objects": [yaml.safe_dump(one) for one in by_age], "Modes": asked})["modes"]
    spaces = [_namespace(space, **{"istio.io/dataplane-mode": "ambient"}) for space in SPACES]
    found = Mtls(_inventory([*spaces, *(_pod(*one) for one in _NAMED), *SERVICES, *stated]))
    workloads = {workload.name: workload for workload in found.workloads}
    decisions = [
        found.mode(workloads[f"{space}/pod-{number}[Pod]"], port)
        for space, number, _ in _NAMED
        for port in (*PORTS, 7070, 1)
    ]
    assert len(decisions) == len(expected)
    for decision, mode in zip(decisions, expected, strict=True):
        # What depends on the order is said to, whichever of them the order of this test leads to.
        assert mode in (decision.possible if decision.mode is None else (decision.mode,))


@SLOW
@given(stated=rules(), policies=st.lists(peer_authentications("x"), max_size=1))
def test_clients_send_what_istio_makes_them_send(
    istio: Ask, stated: list[dict[str, Any]], policies: list[dict[str, Any]]
) -> None:
    objects = [*stated, *policies]
    question = {
        "Objects": _dump(objects),
        "Services": [yaml.safe_dump(service) for service in SERVICES],
        "Clients": [{"Namespace": space, "Labels": labels} for space, _, labels in _NAMED],
    }
    expected = istio(question)["clients"]
    found = ClientTls(_inventory([*CLUSTER, *objects]))
    workloads = {workload.name: workload for workload in found.mtls.workloads}
    sent = [_clusters(found, workloads[f"{space}/pod-{number}[Pod]"]) for space, number, _ in _NAMED]
    assert sent == expected


def _clusters(found: ClientTls, client: Any) -> dict[str, str]:
    clusters: dict[str, str] = {}
    for service in found.services.by_object.values():
        rule = found.rule_for(client, service)
        for port in service.ports:
            for subset in ("", *(rule.subsets if rule is not None else ())):
                name = f"outbound|{port.number}|{subset}|{found.host_of(service)}"
                sent = rule.sent(port.number, subset) if rule is not None else Sent()
                if sent.tls is not None:
                    kinds = {"DISABLE": "none", "ISTIO_MUTUAL": "ISTIO_MUTUAL", "SIMPLE": "TLS", "MUTUAL": "TLS"}
                    clusters[name] = kinds[sent.tls.mode]
                    continue
                of_space = found.mtls.namespace_decision(service.namespace, service.obj)
                # Here Istio knows of no pods behind the Services, so that none of these has a proxy.
                if of_space.possible[0] == "DISABLE" or service.headless or sent.checked:
                    clusters[name] = "none"
                else:
                    clusters[name] = "ISTIO_MUTUAL" if sent.original else "auto"
    return clusters


# --- injection ---

_INJECT = st.sampled_from([None, "true", "false", "", "yes"])
_REVISIONS = st.sampled_from([None, "default", "canary", "stable", "other"])


@st.composite
def installations(draw: st.DrawFn) -> dict[str, Any]:
    values: dict[str, Any] = {}
    revision = draw(st.sampled_from(["", "", "canary"]))
    if revision:
        values["revision"] = revision
    if draw(st.booleans()):
        values["revisionTags"] = draw(st.sampled_from([["stable"], ["default"], ["stable", "default"]]))
    webhook: dict[str, Any] = {}
    if draw(st.booleans()):
        webhook["enableNamespacesByDefault"] = True
    for name in ("neverInjectSelector", "alwaysInjectSelector"):
        if draw(st.integers(0, 2)) == 0:
            webhook[name] = [
                {"matchExpressions": [{"key": draw(st.sampled_from(["app", "job"])), "operator": "Exists"}]}
            ]
    if webhook:
        values["sidecarInjectorWebhook"] = webhook
    if draw(st.integers(0, 3)) == 0:
        values["global"] = {"proxy": {"autoInject": "disabled"}}
    return values


@st.composite
def namespaces_and_pods(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    labels = {
        "istio-injection": draw(st.sampled_from([None, None, "enabled", "disabled", "other"])),
        "istio.io/rev": draw(_REVISIONS),
    }
    name = draw(st.sampled_from(["shop", "shop", "kube-system"]))
    space = _namespace(name, **{key: value for key, value in labels.items() if value is not None})
    pod = _pod(name, 0, {})
    stated = {"sidecar.istio.io/inject": draw(_INJECT), "istio.io/rev": draw(_REVISIONS), "app": draw(_INJECT)}
    pod["metadata"]["labels"] = {key: value for key, value in stated.items() if value is not None}
    annotation = draw(_INJECT)
    if annotation is not None:
        pod["metadata"]["annotations"] = {"sidecar.istio.io/inject": annotation}
    if draw(st.integers(0, 4)) == 0:
        pod["spec"]["hostNetwork"] = True
    return space, pod


@SLOW
@given(values=installations(), cluster=namespaces_and_pods())
def test_sidecars_are_injected_where_istio_injects_them(
    injector: Ask, values: dict[str, Any], cluster: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    space, pod = cluster
    answer = injector({"Values": values, "NamespaceLabels": space["metadata"]["labels"], "Pod": pod})
    operator = {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"name": "mesh", "namespace": ROOT},
        "spec": {"values": values},
    }
    webhooks = [yaml.safe_load(text) for text in answer["webhooks"]]
    for webhook in webhooks:
        webhook["metadata"]["uid"] = "live"
    # With all webhooks of a cluster there is nothing to guess.
    exact = Memberships(_inventory([space, pod, operator, *webhooks]))
    assert exact.of(exact.workloads[0]).in_mesh is answer["injected"]
    # From what they are made of the same, or nothing: somebody may have made a tag that no object shows.
    guessed = Memberships(_inventory([space, pod, operator]))
    assert guessed.of(guessed.workloads[0]).in_mesh in (answer["injected"], None)
