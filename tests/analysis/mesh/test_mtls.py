"""The mode of each port. How policies are composed for sidecars is compared with Istio's own code in
test_mesh_upstream.py; here stand what manifests do not tell, ztunnel, and what passes by the proxy."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.mesh.mesh_kit import (
    ambient,
    deployment,
    injected,
    inventory_of,
    operator,
    peer_authentication,
    service,
    text_of,
)
from kit import objects_in, run_within_seconds
from kubeassay.analysis.mesh.mtls import Mtls, PortMtls, WorkloadMtls
from kubeassay.model import Inventory, format_path
from kubeassay.sources.manifests import read_bytes

ROOT = "istio-system"
PREFIX = "traffic.sidecar.istio.io/"


def _web(*objects: dict[str, Any]) -> WorkloadMtls:
    found = Mtls(inventory_of(*objects))
    return next(found.of(workload) for workload in found.workloads if workload.name == "shop/web[Deployment]")


def _port(*objects: dict[str, Any], number: int = 8080) -> PortMtls:
    found = _web(*objects).port(number)
    assert found is not None
    return found


SHOP = [injected(), deployment()]


def _decided(port: PortMtls) -> tuple[str | None, str, str]:
    place = port.decision.place
    where = f"{place[0].ref} {format_path(place[1])}" if place is not None else ""
    return port.decision.mode, port.decision.level, where


def test_each_level_is_told_with_the_place_that_decides() -> None:
    mesh = peer_authentication("default", ROOT, "PERMISSIVE")
    space = peer_authentication("default", "shop", "DISABLE")
    own = peer_authentication("web", "shop", "STRICT", app="web")
    port = peer_authentication("web", "shop", "STRICT", app="web", ports={8080: "DISABLE"})
    of = "PeerAuthentication"
    assert _decided(_port(*SHOP)) == ("PERMISSIVE", "default", "")
    assert _decided(_port(*SHOP, mesh)) == ("PERMISSIVE", "mesh", f"{of} istio-system/default spec.mtls.mode")
    assert _decided(_port(*SHOP, mesh, space)) == ("DISABLE", "namespace", f"{of} shop/default spec.mtls.mode")
    assert _decided(_port(*SHOP, mesh, space, own)) == ("STRICT", "workload", f"{of} shop/web spec.mtls.mode")
    where = f"{of} shop/web spec.portLevelMtls.8080.mode"
    assert _decided(_port(*SHOP, mesh, space, port))[:2] == ("DISABLE", "port")
    assert _decided(_port(*SHOP, mesh, space, port))[2].replace('["8080"]', ".8080") == where


def test_the_order_of_policies_without_a_date_is_not_known() -> None:
    first, second = peer_authentication("a", "shop", "STRICT"), peer_authentication("b", "shop", "DISABLE")
    decision = _port(*SHOP, first, second).decision
    assert (decision.mode, decision.reason, decision.perhaps) == (None, "unknown-order", ("STRICT", "DISABLE"))
    # Where they say the same, or all are dated, it is.
    assert _port(*SHOP, first, peer_authentication("b", "shop", "STRICT")).mode == "STRICT"
    dated = [
        peer_authentication("a", "shop", "STRICT", created="2024-02-01T00:00:00Z"),
        peer_authentication("b", "shop", "DISABLE", created="2024-01-01T00:00:00Z"),
    ]
    assert _port(*SHOP, *dated).mode == "DISABLE"
    # Times compare as such, however they are written; what is none is not known.
    dated[0]["metadata"]["creationTimestamp"] = "2024-01-01T00:30:00+01:00"
    assert _port(*SHOP, *dated).mode == "STRICT"
    dated[0]["metadata"]["creationTimestamp"] = "yesterday"
    assert _port(*SHOP, *dated).mode is None
    # What decides is unknown only where it matters.
    own = peer_authentication("web", "shop", "PERMISSIVE", app="web")
    assert _port(*SHOP, first, second, own).mode == "PERMISSIVE"


def test_the_mode_of_a_port_is_worked_out_once() -> None:
    found = Mtls(inventory_of(*SHOP, peer_authentication("default", "shop", "STRICT")))
    (workload,) = found.workloads
    port = found.of(workload).port(8080)
    assert port is not None
    assert found.mode(workload, 8080) is found.mode(workload, 8080) is port.decision


def test_a_selector_in_the_root_namespace_selects_nothing() -> None:
    web = deployment(space=ROOT)
    strict = peer_authentication("web", ROOT, "STRICT", app="web")
    found = Mtls(inventory_of(injected(ROOT), web, strict, *SHOP))
    assert {found.of(workload).default.mode for workload in found.workloads} == {"PERMISSIVE"}


def test_a_refused_policy_and_one_of_a_revision_leave_the_mode_unknown() -> None:
    decision = _port(*SHOP, peer_authentication("default", "shop", "Strict")).decision
    assert (decision.mode, decision.reason) == (None, "invalid-object")
    revised = peer_authentication("default", "shop", "STRICT")
    revised["metadata"]["labels"] = {"istio.io/rev": "canary"}
    assert _port(*SHOP, revised).decision.mode is None


@pytest.mark.parametrize(
    "ports", [None, [], "x", {"8080": None}, {"8080": "STRICT"}, {"x": {"mode": "STRICT"}}, {"-1": {}}]
)
@pytest.mark.parametrize(
    "selector", [None, [], {"matchLabels": None}, {"matchLabels": {"app": 1}}, {"matchLabels": ["app"]}]
)
def test_what_is_no_policy_fails_nothing(ports: Any, selector: Any) -> None:
    policy = peer_authentication("default", "shop", "STRICT")
    policy["spec"].update(selector=selector, portLevelMtls=ports)
    _port(*SHOP, policy)


def test_of_a_name_in_several_folders_the_nearest_counts() -> None:
    objects = []
    for folder, mode in (("dev", "PERMISSIVE"), ("prod", "STRICT")):
        text = text_of(injected(), deployment(), peer_authentication("default", ROOT, mode))
        objects += read_bytes(text.encode(), f"{folder}/all.yaml").objects
    found = Mtls(Inventory(objects))
    modes = {workload.obj.file: found.of(workload).default.mode for workload in found.workloads}
    assert modes == {"dev/all.yaml": "PERMISSIVE", "prod/all.yaml": "STRICT"}


def test_ports_are_those_of_containers_and_of_services() -> None:
    named = service()
    named["spec"]["ports"] = [
        {"name": "a", "port": 80, "targetPort": 7000},
        {"name": "b", "port": 53, "targetPort": 5353, "protocol": "UDP"},
    ]
    assert [port.number for port in _web(*SHOP, named).ports] == [7000, 8080]


@pytest.mark.parametrize(
    ("annotations", "bypassed"),
    [
        ({}, False),
        ({f"{PREFIX}excludeInboundPorts": "80, 8080"}, True),
        ({f"{PREFIX}excludeInboundPorts": "18080"}, False),
        ({f"{PREFIX}includeInboundPorts": "*"}, False),
        ({f"{PREFIX}includeInboundPorts": ""}, True),
        ({f"{PREFIX}includeInboundPorts": "9090"}, True),
        # Where ports are named, exclusions count for nothing.
        ({f"{PREFIX}includeInboundPorts": "8080", f"{PREFIX}excludeInboundPorts": "8080"}, False),
        ({"sidecar.istio.io/interceptionMode": "NONE"}, True),
        ({"sidecar.istio.io/interceptionMode": "TPROXY"}, False),
        ({"status.sidecar.istio.io/port": "8080"}, True),
        ({"ambient.istio.io/bypass-inbound-capture": "true"}, False),
    ],
)
def test_ports_that_pass_by_the_proxy_have_no_mode(annotations: dict[str, str], bypassed: bool) -> None:
    strict = peer_authentication("default", ROOT, "STRICT")
    port = _port(injected(), deployment(annotations=annotations), strict)
    assert (port.bypass is not None, port.mode) == (bypassed, None if bypassed else "STRICT")


def test_defaults_of_the_installation_exclude_ports_too() -> None:
    values = {"global": {"proxy": {"excludeInboundPorts": "8080"}}}
    assert _port(operator(values=values), *SHOP).bypass is not None


def test_ztunnel_may_be_passed_by() -> None:
    annotated = deployment(annotations={"ambient.istio.io/bypass-inbound-capture": "true"})
    assert _port(ambient(), annotated).bypass is not None


# --- ambient ---


def _ztunnel_denies(own: Any, space: str | None, mesh: str | None, port: int) -> bool:
    """Whether ztunnel denies a connection without identity, by the policies that istiod sends it: written down from
    convertedSelectorPeerAuthentications and convertPeerAuthentication, on their own terms."""
    strict = mesh == "STRICT" if space in (None, "UNSET") else space == "STRICT"
    attached = False
    mode, ports = own if own is not None else (None, {})
    if own is not None:
        strict = mode == "STRICT" if mode is not None else strict
        found = set(ports.values())
        if ports:
            if mode == "STRICT":
                attached = bool(found & {"PERMISSIVE", "DISABLE"})
            elif mode is not None:
                attached = "STRICT" in found
            else:
                attached = ("PERMISSIVE" if strict else "STRICT") in found
            if attached:
                strict = False
    if strict:
        return True
    if not attached:
        return False
    # The policy that is made of the workload's own: groups are alternatives, the rules of a group all hold.
    rules: list[bool] = [True] if mode == "STRICT" else []
    groups: list[bool] = []
    exempt = False
    covered = space in (None, "UNSET") and mesh == "STRICT"
    for number, of_port in ports.items():
        if of_port == "STRICT":
            if mode == "STRICT" or (mode is None and space == "STRICT") or covered:
                continue
            groups.append(port == number)
        elif of_port in ("PERMISSIVE", "DISABLE"):
            if mode in ("PERMISSIVE", "DISABLE"):
                continue
            if mode is None and (mesh if space is None else space) != "STRICT":
                continue
            exempt = True
            rules.append(port != number)
    if (covered or space == "STRICT") and exempt:
        rules.append(True)
    if rules:
        groups.append(all(rules))
    return any(groups)


_SAID = ["UNSET", "STRICT", "PERMISSIVE", "DISABLE"]


_PORTS = (8080, 9090)


@pytest.mark.parametrize("mesh", [None, *_SAID])
def test_ztunnel_demands_what_istiod_makes_of_the_policies(mesh: str | None) -> None:
    """All policies of a namespace and a workload that there may be, each in a namespace of its own."""
    objects = [peer_authentication("mesh", ROOT, mesh)] if mesh is not None else []
    expected: dict[str, list[str]] = {}
    cases = product([None, *_SAID], [None, *_SAID], product([None, *_SAID], repeat=2))
    for number, (space, own, modes) in enumerate(cases):
        name = f"n{number}"
        ports = {port: mode for port, mode in zip(_PORTS, modes, strict=True) if mode is not None}
        if own is None and ports:
            continue
        objects += [ambient(name), deployment(space=name)]
        if space is not None:
            objects.append(peer_authentication("space", name, space))
        if own is not None:
            objects.append(peer_authentication("own", name, own, app="web", ports=ports or None))
        said = {port: mode for port, mode in ports.items() if mode != "UNSET"}
        stated = None if own is None else (None if own == "UNSET" else own, said)
        denied = [_ztunnel_denies(stated, space, mesh, port) for port in (*_PORTS, 7070)]
        expected[name] = ["STRICT" if denies else "PERMISSIVE" for denies in denied]
    # JSON is YAML, and quicker to write.
    found = Mtls(Inventory(objects_in("\n---\n".join(map(json.dumps, objects)))))
    modes_of = {w.namespace: [found.mode(w, port).mode for port in (*_PORTS, 7070)] for w in found.workloads}
    assert modes_of == expected


def test_ambient_ignores_a_policy_of_the_mesh_with_an_empty_selector() -> None:
    policy = peer_authentication("default", ROOT, "STRICT")
    policy["spec"]["selector"] = {}
    assert _port(ambient(), deployment(), policy).mode == "PERMISSIVE"
    assert _port(*SHOP, policy).mode == "STRICT"


# --- what is not known ---


@given(st.lists(st.sampled_from(_SAID), min_size=1, max_size=4), st.sampled_from([None, *_SAID]))
def test_an_unknown_order_leaves_the_modes_of_all_orders(modes: list[str], mesh: str | None) -> None:
    undated = [peer_authentication(f"p{number}", "shop", mode) for number, mode in enumerate(modes)]
    of_mesh = [peer_authentication("default", ROOT, mesh)] if mesh is not None else []
    decision = _port(*SHOP, *undated, *of_mesh).decision
    # Whichever is the oldest decides alone.
    each = {_port(*SHOP, policy, *of_mesh).decision.mode for policy in undated}
    assert (set(decision.perhaps) if decision.mode is None else {decision.mode}) == each


def test_many_policies_take_time_that_grows_with_them() -> None:
    run_within_seconds(
        """
from analysis.mesh.mesh_kit import *
from kubeassay.analysis.mesh.mtls import Mtls
from kubeassay.analysis.mesh.client_tls import ClientTls
objects = [injected()]
for n in range(1000):
    objects.append(deployment(f"w{n}"))
    objects.append(service(f"w{n}", app=f"w{n}"))
    objects.append(peer_authentication(f"w{n}", "shop", "STRICT", app=f"w{n}"))
    objects.append(destination_rule(f"w{n}", "shop", f"w{n}", "DISABLE"))
found = ClientTls(inventory_of(*objects))
for workload in found.mtls.workloads:
    assert found.mtls.of(workload).ports[0].mode == "STRICT"
for service in found.services.by_object.values():
    assert len(list(found.governing(service))) == 2
""",
        seconds=60,
    )


def test_ztunnel_of_equally_old_policies_any_may_count() -> None:
    at = "2024-01-01T00:00:00Z"
    two = [peer_authentication("a", "shop", "STRICT", created=at), peer_authentication("b", "shop", None, created=at)]
    assert _port(*SHOP, *two).mode == "STRICT"
    decision = _port(ambient(), deployment(), *two).decision
    assert (decision.mode, decision.reason, decision.perhaps) == (None, "unknown-order", ("STRICT", "PERMISSIVE"))


def test_ztunnel_and_an_empty_selector_of_the_namespace() -> None:
    """Istiod attaches the policy that it makes of the workload's, and makes it as if the namespace had none."""
    space = peer_authentication("default", "shop", "STRICT")
    own = peer_authentication("web", "shop", app="web", ports={8080: "STRICT", 9090: "PERMISSIVE"})
    assert _port(ambient(), deployment(), space, own).mode == "STRICT"
    space["spec"]["selector"] = {}
    decision = _port(ambient(), deployment(), space, own).decision
    assert (decision.mode, decision.level) == ("STRICT", "port")
    own["spec"]["portLevelMtls"]["8080"] = {}
    assert _port(ambient(), deployment(), space, own).mode == "PERMISSIVE"
