"""What becomes of calls. Which rule a client sees and what it then sends is compared with Istio's own code in
test_mesh_upstream.py; here stands what servers make of it, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.mesh.mesh_kit import (
    ambient,
    deployment,
    destination_rule,
    injected,
    inventory_of,
    namespace,
    operator,
    peer_authentication,
    service,
)
from analysis.mesh.test_mesh_upstream import policies, rules
from kubeassay.analysis.mesh.client_tls import Call, ClientTls
from kubeassay.model import format_path

ROOT, HOST = "istio-system", "web.shop.svc.cluster.local"
INJECT = "sidecar.istio.io/inject"
#: A client with a sidecar, one without, and one that ztunnel serves; the server is web in shop.
CLIENTS = [
    injected("bank"),
    deployment("caller", "bank"),
    deployment("outsider", "bank", labels={INJECT: "false"}),
    ambient("sea"),
    deployment("diver", "sea"),
]


def _call(*objects: dict[str, Any], client: str = "bank/caller", to: str = "web", subset: str = "") -> Call:
    found = ClientTls(inventory_of(*CLIENTS, service(), *objects))
    workloads = {workload.name.partition("[")[0]: workload for workload in found.mtls.workloads}
    chosen = next(one for one in found.services.by_object.values() if one.name == to)
    port = chosen.ports[0]
    return found.call(workloads[client], chosen, port, port.targets[0], subset)


MODES = {
    None: [],
    **{mode: [peer_authentication("default", ROOT, mode)] for mode in ("STRICT", "PERMISSIVE", "DISABLE")},
}
SERVERS = {
    "sidecar": [injected(), deployment()],
    "outside": [namespace("shop"), deployment()],
    "ambient": [ambient(), deployment()],
    "bypassed": [injected(), deployment(annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "8080"})],
    "unknown": [deployment()],
}


@pytest.mark.parametrize(
    ("client", "tls", "server", "mode", "result"),
    [
        # Automatic mTLS.
        ("bank/caller", None, "sidecar", None, "encrypted"),
        ("bank/caller", None, "sidecar", "STRICT", "encrypted"),
        ("bank/caller", None, "sidecar", "DISABLE", "plain text"),
        ("bank/caller", None, "outside", "STRICT", "plain text"),
        ("bank/caller", None, "ambient", "STRICT", "encrypted"),
        ("bank/caller", None, "unknown", "STRICT", "unknown"),
        # A port that passes by the proxy gets mTLS all the same, since its pod has one.
        ("bank/caller", None, "bypassed", "STRICT", "fails"),
        # What rules say.
        ("bank/caller", "DISABLE", "sidecar", "STRICT", "fails"),
        ("bank/caller", "DISABLE", "sidecar", None, "plain text"),
        ("bank/caller", "DISABLE", "sidecar", "DISABLE", "plain text"),
        ("bank/caller", "DISABLE", "outside", None, "plain text"),
        ("bank/caller", "DISABLE", "bypassed", "STRICT", "plain text"),
        ("bank/caller", "ISTIO_MUTUAL", "sidecar", "STRICT", "encrypted"),
        ("bank/caller", "ISTIO_MUTUAL", "sidecar", "DISABLE", "fails"),
        ("bank/caller", "ISTIO_MUTUAL", "outside", None, "fails"),
        ("bank/caller", "ISTIO_MUTUAL", "bypassed", None, "fails"),
        ("bank/caller", "SIMPLE", "sidecar", "STRICT", "fails"),
        ("bank/caller", "SIMPLE", "sidecar", None, "own TLS"),
        ("bank/caller", "SIMPLE", "outside", None, "own TLS"),
        # Certificates of its own may be those of the mesh.
        ("bank/caller", "MUTUAL", "sidecar", "STRICT", "unknown"),
        # From outside the mesh rules mean nothing.
        ("bank/outsider", "ISTIO_MUTUAL", "sidecar", "STRICT", "fails"),
        ("bank/outsider", None, "sidecar", None, "plain text"),
        ("bank/outsider", None, "outside", None, "plain text"),
        ("bank/outsider", None, "ambient", "STRICT", "fails"),
        ("bank/outsider", None, "ambient", None, "plain text"),
        # Ztunnel knows no rules.
        ("sea/diver", "DISABLE", "ambient", "STRICT", "encrypted"),
        ("sea/diver", None, "outside", None, "plain text"),
        ("sea/diver", None, "sidecar", "STRICT", "unknown"),
    ],
)
def test_calls(client: str, tls: str | None, server: str, mode: str | None, result: str) -> None:
    rules = [destination_rule("web", "shop", HOST, tls)] if tls is not None else []
    assert _call(*SERVERS[server], *MODES[mode], *rules, client=client).result == result


def test_a_namespace_that_is_disabled_hides_a_workload_that_is_strict() -> None:
    space = peer_authentication("default", "shop", "DISABLE")
    call = _call(*SERVERS["sidecar"], space, peer_authentication("web", "shop", "STRICT", app="web"))
    assert call.result == "fails"
    assert call.client is not None
    assert call.server is not None
    assert (str(call.client[0].ref), str(call.server[0].ref)) == (
        "PeerAuthentication shop/default",
        "PeerAuthentication shop/web",
    )


def test_a_failing_call_is_told_where_the_client_and_where_the_server_decides() -> None:
    call = _call(*SERVERS["sidecar"], *MODES["STRICT"], destination_rule("web", "shop", HOST, "DISABLE"))
    assert call.client is not None
    assert call.server is not None
    assert (str(call.client[0].ref), format_path(call.client[1])) == (
        "DestinationRule shop/web",
        "spec.trafficPolicy.tls.mode",
    )
    assert (str(call.server[0].ref), format_path(call.server[1])) == (
        "PeerAuthentication istio-system/default",
        "spec.mtls.mode",
    )


def test_settings_of_subsets_and_ports() -> None:
    subsets = [
        {"name": "v1", "labels": {}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
        {"name": "v2", "labels": {}},
    ]
    rule = destination_rule("web", "shop", HOST, "ISTIO_MUTUAL", subsets=subsets)
    of = [*SERVERS["sidecar"], rule]
    assert [_call(*of, subset=name).result for name in ("", "v1", "v2")] == ["encrypted", "plain text", "encrypted"]
    # A setting for a port replaces the rule's whole: automatic again, while endpoints stay marked as not taking mTLS.
    rule = destination_rule("web", "shop", HOST, "DISABLE")
    rule["spec"]["trafficPolicy"]["portLevelSettings"] = [{"port": {"number": 80}}]
    assert _call(*SERVERS["sidecar"], rule).result == "plain text"
    rule["spec"]["trafficPolicy"]["portLevelSettings"][0]["tls"] = {"mode": "ISTIO_MUTUAL"}
    assert _call(*SERVERS["sidecar"], rule).result == "encrypted"


def test_the_namespace_of_the_client_comes_first() -> None:
    rules = [destination_rule("web", "bank", HOST, "ISTIO_MUTUAL"), destination_rule("web", "shop", HOST, "DISABLE")]
    assert _call(*SERVERS["sidecar"], *rules).result == "encrypted"
    hidden = destination_rule("web", "shop", HOST, "DISABLE", exportTo=["."])
    root = destination_rule("all", ROOT, "*.local", "ISTIO_MUTUAL")
    assert _call(*SERVERS["sidecar"], hidden, root, *MODES["STRICT"]).result == "encrypted"


def test_of_rules_without_a_date_it_is_not_known_which_counts() -> None:
    rules = [destination_rule("a", "shop", HOST, "DISABLE"), destination_rule("b", "shop", HOST, "ISTIO_MUTUAL")]
    call = _call(*SERVERS["sidecar"], *rules)
    assert (call.result, call.reason) == ("unknown", "unknown-order")
    # Equal ages are those of these very objects: then the first by name counts.
    assert call.if_equally_old is not None
    assert (call.if_equally_old.result, call.perhaps) == ("plain text", ("plain text", "encrypted"))
    # Where both send the same, it does not matter.
    same = [rules[0], destination_rule("b", "shop", HOST, "DISABLE")]
    assert _call(*SERVERS["sidecar"], *same).result == "plain text"
    for rule, created in zip(rules, ("2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z"), strict=True):
        rule["metadata"]["creationTimestamp"] = created
    assert _call(*SERVERS["sidecar"], *rules).result == "encrypted"


def _permuted(objects: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The objects in every order of their ages."""
    for order in permutations(range(len(objects))):
        yield [
            {**obj, "metadata": {**obj["metadata"], "creationTimestamp": f"2024-01-0{1 + number}T00:00:00Z"}}
            for number, obj in zip(order, objects, strict=True)
        ]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(rules=rules(), policies=policies(), client=st.sampled_from(["shop/web", "bank/caller"]))
def test_what_may_become_of_a_call_is_what_becomes_of_it_in_some_order(
    rules: list[dict[str, Any]], policies: list[dict[str, Any]], client: str
) -> None:
    undated = [{**obj, "metadata": {**obj["metadata"], "creationTimestamp": None}} for obj in (*rules, *policies)][:3]
    for subset in ("", "v1"):
        call = _call(*SERVERS["sidecar"], *undated, client=client, subset=subset)
        each = [
            _call(*SERVERS["sidecar"], *objects, client=client, subset=subset).result for objects in _permuted(undated)
        ]
        if call.result == "unknown" and call.reason == "unknown-order":
            assert set(each) <= {*call.perhaps, "unknown"}
            assert call.if_equally_old is not None
            assert call.if_equally_old.result in each
        else:
            assert set(each) == {call.result}


def test_rules_that_are_exported_differently_are_not_merged_and_one_of_them_counts() -> None:
    """Which one, the order decides, too."""
    wide = destination_rule("a", "shop", HOST, "DISABLE", exportTo=["*"])
    narrow = destination_rule("b", "shop", HOST, "ISTIO_MUTUAL", exportTo=["bank"])
    call = _call(*SERVERS["sidecar"], wide, narrow)
    assert (call.result, call.reason) == ("unknown", "unknown-order")


def test_without_automatic_mtls_clients_send_plain_text() -> None:
    off = operator(meshConfig={"enableAutoMtls": False})
    assert _call(off, *SERVERS["sidecar"]).result == "plain text"
    assert _call(off, *SERVERS["sidecar"], *MODES["STRICT"]).result == "fails"


def test_a_service_without_an_address_gets_mtls_only_where_all_pods_have_a_proxy() -> None:
    def headless(*objects: dict[str, Any]) -> str:
        return _call(service("head", clusterIP="None"), *objects, to="head").result

    assert headless(*SERVERS["sidecar"], *MODES["STRICT"]) == "encrypted"
    other = deployment("other", labels={"app": "web", INJECT: "false"})
    other["spec"]["selector"]["matchLabels"] = {"app": "web"}
    assert headless(injected(), other, deployment()) == "plain text"


def test_a_client_may_pass_by_its_own_proxy() -> None:
    def by(annotations: dict[str, str], **spec: Any) -> str:
        caller = deployment("other", "bank", annotations=annotations)
        return _call(*SERVERS["sidecar"], caller, client="bank/other", **spec).result

    prefix = "traffic.sidecar.istio.io/"
    assert by({f"{prefix}excludeOutboundPorts": "80"}) == "plain text"
    assert by({f"{prefix}excludeOutboundPorts": "8080"}) == "encrypted"
    assert by({f"{prefix}includeOutboundIPRanges": ""}) == "plain text"
    # The Service's address is not known.
    assert by({f"{prefix}excludeOutboundIPRanges": "10.0.0.0/8"}) == "unknown"
    found = _call(
        *SERVERS["sidecar"],
        deployment("other", "bank", annotations={f"{prefix}excludeOutboundIPRanges": "10.0.0.0/8"}),
        service("addressed", clusterIP="10.1.2.3"),
        client="bank/other",
        to="addressed",
    )
    assert found.result == "plain text"


def test_a_pod_that_says_that_it_takes_no_mtls_gets_plain_text() -> None:
    web = deployment(labels={"security.istio.io/tlsMode": "disabled"})
    assert _call(injected(), web).result == "plain text"
    assert _call(injected(), web, *MODES["STRICT"]).result == "fails"


@pytest.mark.parametrize(
    "policy", [None, [], {"tls": []}, {"tls": {"mode": 3}}, {"portLevelSettings": [None, {"port": 1}]}]
)
@pytest.mark.parametrize("subsets", [None, {}, [None], [{"name": 1}], [{"name": "a", "trafficPolicy": "x"}]])
def test_what_is_no_rule_fails_nothing(policy: Any, subsets: Any) -> None:
    rule = destination_rule(
        "web", "shop", HOST, None, trafficPolicy=policy, subsets=subsets, exportTo={}, workloadSelector=[]
    )
    _call(*SERVERS["sidecar"], rule)


def test_more_rules_of_one_host_than_are_tried_in_every_order_are_not_known() -> None:
    for exported in (lambda number: ["*"], lambda number: [f"n{number}", "bank"]):
        rules = [
            destination_rule(
                f"r{number:04}", "shop", HOST, ("DISABLE", "ISTIO_MUTUAL")[number % 2], exportTo=exported(number)
            )
            for number in range(1000)
        ]
        call = _call(*SERVERS["sidecar"], *rules)
        assert (call.result, call.reason) == ("unknown", "unknown-order")
        assert call.if_equally_old is not None
