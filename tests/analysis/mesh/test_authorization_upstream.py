"""Which requests AuthorizationPolicies let through, against what Istio's own code makes of the same policies.

Needs Go, and Istio's module (from the module cache or a proxy); skipped without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.mesh.authorization_strategies import attributes, policies, requests, worlds
from kit import Ask, asking, go_program, objects_in
from kubeassay.analysis.mesh.authorization import Policies, decide
from kubeassay.analysis.mesh.authorization_rules import Request, TrustDomains
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.model import Inventory


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    program = go_program("upstream_istio", "./authorization", tmp_path_factory.mktemp("upstream"))
    with asking(program) as ask:
        yield ask


def _inventory(stated: list[dict[str, Any]]) -> Inventory:
    return Inventory(objects_in(yaml.safe_dump_all(stated)) if stated else ())


def _pod(world: dict[str, Any]) -> Workload:
    (obj,) = objects_in("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}")
    return Workload("x", world["Namespace"], obj, world["Labels"], (), False, "default", None)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stated=policies(), world=worlds, asked=st.lists(requests, min_size=1, max_size=6))
def test_requests_that_pass(
    upstream: Ask, stated: list[dict[str, Any]], world: dict[str, Any], asked: list[dict[str, Any]]
) -> None:
    sent = [
        {
            **{key: value for key, value in request.items() if key != "Token"},
            "Issuer": request["Token"] and request["Token"][0],
            "Subject": request["Token"] and request["Token"][1],
        }
        for request in asked
    ]
    theirs = upstream({**world, "Policies": stated, "Requests": sent})
    trust = TrustDomains(tuple(world["TrustDomains"]))
    known = Policies(_inventory(stated), world["Root"], trust)
    assert {f"{p.namespace}/{p.name}" for p in known.all if p.refused} == set(theirs["refused"])
    attached = known.attached(_pod(world))
    ours = [decide(attached, Request(attributes(r), http=r["HTTP"]), trust) for r in asked]
    assert ours == theirs["allowed"]


REFUSED = [
    "{action: DENY}",
    "{action: CUSTOM, rules: [{}]}",
    "{action: CUSTOM}",
    "{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {namespaces: [a]}}]}]}",
    "{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: source.principal, values: [a]}]}]}",
    "{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/a]}}]}]}",
    "{action: BLOCK, rules: [{}]}",
    "{provider: {name: x}, rules: [{}]}",
    "{rules: [{from: []}]}",
    "{rules: [{from: [{}]}]}",
    "{rules: [{from: [{source: {}}]}]}",
    "{rules: [{from: [{source: {namespaces: ['']}}]}]}",
    "{rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}]}]}",
    "{rules: [{from: [{source: {ipBlocks: [10.0.0.1/33]}}]}]}",
    "{rules: [{from: [{source: {ipBlocks: [shop]}}]}]}",
    "{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}",
    "{rules: [{from: [{source: {serviceAccounts: [a], trustDomains: [b]}}]}]}",
    "{rules: [{from: [{source: {serviceAccounts: ['a*']}}]}]}",
    "{rules: [{from: [{source: {serviceAccounts: [a/b/c]}}]}]}",
    "{rules: [{from: [{source: {trustDomains: ['a*b']}}]}]}",
    "{rules: [{from: [{source: {trustDomains: [a/b]}}]}]}",
    "{rules: [{to: []}]}",
    "{rules: [{to: [{operation: {}}]}]}",
    "{rules: [{to: [{operation: {ports: ['65536']}}]}]}",
    "{rules: [{to: [{operation: {ports: ['80', http]}}]}]}",
    "{rules: [{to: [{operation: {paths: ['/a/{*']}}]}]}",
    "{rules: [{to: [{operation: {paths: ['/a/{**}/{*}']}}]}]}",
    "{rules: [{to: [{operation: {paths: ['/a*/{*}']}}]}]}",
    "{rules: [{to: [{operation: {paths: ['/a/{*}/b']}}]}]}",
    "{rules: [{when: [{key: request.headers, values: [a]}]}]}",
    "{rules: [{when: [{key: 'request.headers[]', values: [a]}]}]}",
    "{rules: [{when: [{key: 'request.headers[a]', values: [a]}]}]}",
    "{rules: [{when: [{key: 'request.auth.claims[a][b]', values: [a]}]}]}",
    "{rules: [{when: [{key: source.ip}]}]}",
    "{rules: [{when: [{key: source.ip, values: [x]}]}]}",
    "{rules: [{when: [{key: 'destination.labels[app]', values: [x]}]}]}",
    "{rules: [{when: [{key: destination.namespace, values: [x]}]}]}",
    "{rules: [{when: [{key: remote.ip, values: [10.0.0.1]}]}]}",
    "{rules: [{when: [{key: 'experimental.envoy.filters.a[b]', values: [x]}]}]}",
    "{rules: [{when: [{values: [x]}]}]}",
    "{selector: {matchLabels: {app: 'w*'}}}",
    "{selector: {matchLabels: {}}}",
    "{selector: {matchLabels: {app: web}}, targetRefs: [{kind: Service, name: x}]}",
    "{targetRefs: [{kind: Service, name: x}]}",
    "{targetRefs: [{kind: Service, group: core, name: x}]}",
    "{targetRefs: [{kind: Pod, name: x}]}",
    "{targetRefs: [{kind: Service}]}",
    "{targetRefs: [{kind: Service, name: x, namespace: z}]}",
    "{targetRef: {kind: Gateway, group: gateway.networking.k8s.io, name: x}}",
]


@pytest.mark.parametrize("spec", REFUSED)
def test_policies_that_are_refused(upstream: Ask, spec: str) -> None:
    stated = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": yaml.safe_load(spec),
    }
    theirs = upstream(
        {"Root": "r", "Namespace": "shop", "Labels": {}, "TrustDomains": ["t"], "Policies": [stated], "Requests": []}
    )
    (obj,) = _inventory([stated])
    (policy,) = Policies(Inventory([obj]), "r", TrustDomains()).all
    assert bool(policy.refused) == bool(theirs["refused"]), (policy.refused, theirs)
