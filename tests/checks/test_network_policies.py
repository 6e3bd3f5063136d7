"""Rules of kubeassay.checks.network_policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from analysis.network.cluster_kit import admin_policy, namespace, net, pods, policy
from checks.network_outcomes import Outcome, outcomes
from checks.network_strategies import CLUSTER, policies
from kit import failing, objects_in, plan_of, profile_of
from kubeassay.analysis.network.connectivity import Answer, Connectivity, connectivity
from kubeassay.analysis.network.judgements import redundant
from kubeassay.execution.scan import scan
from kubeassay.model import Inventory, Target
from kubeassay.sources.files import discover

WEB = pods(shop__web="app=web tier=front http:8080/TCP", shop__db="app=db tier=back pg:5432/TCP")
P = "NetworkPolicy shop/p"


def fail(path: str) -> set[Outcome]:
    return {Outcome("fail", P, path)}


def message(found: set[Outcome]) -> str:
    (one,) = found
    return one.message


# --- selectors ---


@pytest.mark.parametrize(
    ("labels", "path", "words"),
    [
        ("app: web", None, ""),
        ("app: wbe", "spec.podSelector.matchLabels.app", "has label app=wbe; is app=web meant?"),
        ("App: web", "spec.podSelector.matchLabels.App", "has label App=web; is app=web meant?"),
        ("name: web", "spec.podSelector.matchLabels.name", "has label name=web; is app=web meant?"),
        ("app: queue", "spec.podSelector.matchLabels.app", "has label app=queue; there are app=db, app=web"),
        ("role: queue", "spec.podSelector.matchLabels.role", "has label role=queue"),
        ("app: web, tier: back", "spec.podSelector.matchLabels.app", "has app=web, tier=back together"),
        ("app: web1", "spec.podSelector.matchLabels.app", "has label app=web1; there are app=db, app=web"),
    ],
)
def test_a_selector_that_selects_no_workload_of_its_namespace(labels: str, path: str | None, words: str) -> None:
    found = outcomes("policy-selects-nothing", WEB + policy(f"{{podSelector: {{matchLabels: {{{labels}}}}}}}"))
    if path is None:
        assert found == {Outcome("pass", P, "")}
        return
    assert found == fail(path)
    assert message(found).endswith(words)


@pytest.mark.parametrize(
    "selector",
    [
        "{}",
        # Whatever is no database, when there is something.
        "{matchExpressions: [{key: app, operator: NotIn, values: [web, db]}]}",
    ],
)
def test_a_selector_that_may_select_nothing(selector: str) -> None:
    assert outcomes("policy-selects-nothing", WEB + policy(f"{{podSelector: {selector}}}")) == {Outcome("pass", P, "")}


@pytest.mark.parametrize(
    "label",
    [
        "statefulset.kubernetes.io/pod-name: web-0",
        "security.istio.io/tlsMode: istio",
        # The solver of an ACME challenge: a pod that comes and goes.
        "acme.cert-manager.io/http01-solver: 'true'",
    ],
)
def test_labels_that_pods_get_when_they_are_made_are_not_judged(label: str) -> None:
    assert outcomes("policy-selects-nothing", WEB + policy(f"{{podSelector: {{matchLabels: {{{label}}}}}}}")) == set()


def test_a_misspelt_prefix_is_no_label_of_an_operator() -> None:
    text = pods(shop__web="app.kubernetes.io/name=web")
    text += policy("{podSelector: {matchLabels: {app.kuberntes.io/name: web}}}")
    assert "is app.kubernetes.io/name=web meant?" in message(outcomes("policy-selects-nothing", text))


def test_a_namespace_whose_workloads_are_elsewhere_is_not_judged() -> None:
    text = WEB + policy("{podSelector: {matchLabels: {app: wbe}}}", namespace="data")
    assert outcomes("policy-selects-nothing", text) == set()


def test_a_selector_that_is_refused_is_left_to_the_rule_on_refused_policies() -> None:
    text = WEB + policy("{podSelector: {matchExpressions: [{key: app, operator: Is, values: [web]}]}}")
    assert outcomes("policy-selects-nothing", text) == set()


def custom(api_version: str, kind: str, spec: str = "{}", *, namespace: str = "shop") -> str:
    meta = f"metadata: {{name: main, namespace: {namespace}}}"
    return f"---\napiVersion: {api_version}\nkind: {kind}\n{meta}\nspec: {spec}\n"


@pytest.mark.parametrize(
    "maker",
    [
        custom("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
        custom("helm.toolkit.fluxcd.io/v2", "HelmRelease", "{targetNamespace: shop}", namespace="flux-system"),
        custom("helm.cattle.io/v1", "HelmChart", "{targetNamespace: shop}", namespace="kube-system"),
        custom("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "{targetNamespace: shop, path: ./q}", namespace="f"),
        custom("argoproj.io/v1alpha1", "Application", "{destination: {namespace: shop}}", namespace="argocd"),
        custom(
            "argoproj.io/v1alpha1",
            "ApplicationSet",
            "{template: {spec: {destination: {namespace: '{{name}}'}}}}",
            namespace="argocd",
        ),
        custom("databases.spotahome.com/v1", "RedisFailover"),
    ],
)
def test_custom_resources_may_make_the_pods_that_a_selector_means(maker: str) -> None:
    text = WEB + maker + policy("{podSelector: {matchLabels: {app: queue}}}")
    assert outcomes("policy-selects-nothing", text) == {Outcome("not-judged", P, "unsupported")}
    text = WEB + maker + peer("{podSelector: {matchLabels: {app: queue}}}")
    assert outcomes("policy-peer-matches-nothing", text) == {Outcome("not-judged", P, "unsupported")}
    slip = WEB + maker + policy("{podSelector: {matchLabels: {app: wbe}}}")
    assert outcomes("policy-selects-nothing", slip) == fail("spec.podSelector.matchLabels.app")


@pytest.mark.parametrize(
    "other",
    [
        custom("helm.toolkit.fluxcd.io/v2", "HelmRelease", "{targetNamespace: data}"),
        custom("helm.toolkit.fluxcd.io/v2", "HelmRelease", namespace="data"),
        custom("external-secrets.io/v1", "ExternalSecret"),
        custom("monitoring.coreos.com/v1", "ServiceMonitor"),
        custom("networking.istio.io/v1", "VirtualService"),
        custom("gateway.networking.k8s.io/v1", "HTTPRoute"),
        custom("argoproj.io/v1alpha1", "AppProject"),
        custom("cilium.io/v2", "CiliumEgressGatewayPolicy", namespace="data"),
    ],
)
def test_what_makes_no_pods_here_excuses_no_selector(other: str) -> None:
    text = WEB + other + policy("{podSelector: {matchLabels: {app: queue}}}")
    assert outcomes("policy-selects-nothing", text) == fail("spec.podSelector.matchLabels.app")


def test_what_is_deployed_from_the_inputs_is_among_them(tmp_path: Path) -> None:
    (tmp_path / "apps" / "shop").mkdir(parents=True)
    (tmp_path / "apps" / "shop" / "all.yaml").write_text(
        WEB + policy("{podSelector: {matchLabels: {app: queue}}}"), encoding="utf-8"
    )
    for path, kind in (("./apps/shop", "fail"), ("./apps/queue", "not-judged")):
        maker = custom("kustomize.toolkit.fluxcd.io/v1", "Kustomization", f"{{targetNamespace: shop, path: {path}}}")
        (tmp_path / "flux.yaml").write_text(maker, encoding="utf-8")
        result = scan(
            plan_of(profile_of("policy-selects-nothing")), discover((str(tmp_path),)), Target("manifests", "x")
        )
        assert ["fail" for _ in failing(result)] == (["fail"] if kind == "fail" else [])
        assert len(result.not_evaluated) == (kind == "not-judged")


# --- peers ---


def peer(text: str) -> str:
    return policy(f"{{podSelector: {{}}, ingress: [{{from: [{text}]}}]}}")


API = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: backend}}, podSelector: {matchLabels: {app: ap}}"
AT = "spec.ingress[0].from[0]"
SPACES = namespace("shop") + namespace("backend", team="b") + "---\n"


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("{podSelector: {}}", None, ""),
        ("{podSelector: {matchLabels: {app: web}}}", None, ""),
        ("{podSelector: {matchLabels: {app: wbe}}}", "podSelector.matchLabels.app", "is app=web meant?"),
        ("{namespaceSelector: {}}", None, ""),
        (
            "{namespaceSelector: {matchLabels: {name: backend}}}",
            "namespaceSelector.matchLabels.name",
            "namespace backend has kubernetes.io/metadata.name=backend from the API server",
        ),
        (
            "{namespaceSelector: {matchLabels: {taem: b}}}",
            "namespaceSelector.matchLabels.taem",
            "no namespace has label taem=b; is team=b meant?",
        ),
        ("{namespaceSelector: {matchLabels: {team: b}}}", None, ""),
        (
            "{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: ai}}}",
            "podSelector.matchLabels.app",
            "no workload of namespace backend has label app=ai",
        ),
        (
            f"{{{API}}}",
            "podSelector.matchLabels.app",
            "no workload of namespace backend has label app=ap; there is app=api",
        ),
        ("{ipBlock: {cidr: 10.0.0.0/8}}", None, ""),
    ],
)
def test_a_peer_that_matches_nothing(text: str, path: str | None, words: str) -> None:
    found = outcomes("policy-peer-matches-nothing", SPACES + WEB + "---\n" + pods(backend__api="app=api") + peer(text))
    if path is None:
        assert found == {Outcome("pass", P, "")}
    else:
        assert found == fail(f"{AT}.{path}")
        assert words in message(found)


@pytest.mark.parametrize(
    "text",
    [
        # The cluster's name server, an ingress controller, monitoring: mostly somewhere else.
        API.replace("backend", "kube-system").replace("app: ap", "k8s-app: kube-dns"),
        "namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}",
        "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}",
        "namespaceSelector: {matchLabels: {purpose: monitoring}}",
        API.replace("backend", "monitoring").replace("app: ap", "app: prometheus"),
    ],
)
def test_what_is_elsewhere_is_not_taken_for_a_mistake(text: str) -> None:
    system = "---\n" + pods(kube_system__autoscaler="app=autoscaler").replace("kube_system", "kube-system")
    for inputs in (SPACES + WEB, SPACES + namespace("kube-system") + WEB + system + namespace("monitoring")):
        found = outcomes("policy-peer-matches-nothing", inputs + peer(f"{{{text}}}"))
        assert {outcome.kind for outcome in found} <= {"not-judged"}


def test_a_namespace_by_labels_may_be_one_that_is_not_declared_here() -> None:
    text = WEB + "---\n" + pods(backend__api="app=api") + peer("{namespaceSelector: {matchLabels: {team: b}}}")
    assert outcomes("policy-peer-matches-nothing", text) == set()


def test_directions_without_effect_are_not_judged() -> None:
    spec = "{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {matchLabels: {app: wbe}}}]}]}"
    assert outcomes("policy-peer-matches-nothing", WEB + policy(spec)) == {Outcome("pass", P, "")}


def test_peers_of_admin_policies_are_judged_too() -> None:
    rule = "{action: Allow, from: [{namespaces: {matchLabels: {name: backend}}}]}"
    text = SPACES + WEB + admin_policy(f"{{subject: {{namespaces: {{}}}}, priority: 1, ingress: [{rule}]}}")
    assert outcomes("policy-peer-matches-nothing", text) == {
        Outcome("fail", "AdminNetworkPolicy a", "spec.ingress[0].from[0].namespaces.matchLabels.name")
    }


# --- ports ---


@pytest.mark.parametrize(
    ("ports", "hint", "named"),
    [
        ("{port: 8080}", None, None),
        ("{port: 80}", "port", None),
        ("{port: 8080, protocol: UDP}", "port", None),
        ("{port: 8000, endPort: 8100}", None, None),
        ("{protocol: TCP}", None, None),
        ("{port: http}", None, None),
        ("{port: htpp}", None, "is http meant?"),
        ("{port: http, protocol: UDP}", None, "they name it for TCP"),
        ("{port: grpc}", None, "they declare TCP 8080 (http)"),
        # The proxy of a mesh listens there.
        ("{port: 15020}", None, None),
    ],
)
def test_ports_of_the_selected_pods(ports: str, hint: str | None, named: str | None) -> None:
    text = WEB + policy(f"{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{ports: [{ports}]}}]}}")
    path = "spec.ingress[0].ports[0].port"
    expected = fail(path) if hint else {Outcome("pass", P, "")}
    assert outcomes("policy-port-without-listener", text) == expected
    found = outcomes("policy-named-port-unresolved", text)
    assert found == (fail(path) if named else {Outcome("pass", P, "")})
    if named:
        assert message(found).endswith(named)


@pytest.mark.parametrize(
    ("to", "judged"),
    [
        ("to: [{podSelector: {matchLabels: {app: db}}}], ", True),
        ("to: [{podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: queue}}}], ", False),
        ("to: [{namespaceSelector: {}}], ", False),
        ("to: [{ipBlock: {cidr: 10.0.0.0/8}}], ", False),
        ("", False),
    ],
)
def test_ports_of_peers_are_judged_where_all_are_among_the_inputs(to: str, judged: bool) -> None:
    text = WEB + policy(f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{{{to}ports: [{{port: 53}}]}}]}}")
    expected = fail("spec.egress[0].ports[0].port") if judged else {Outcome("pass", P, "")}
    assert outcomes("policy-port-without-listener", text) == expected


def test_who_declares_no_port_may_listen_anywhere() -> None:
    text = pods(shop__web="app=web") + policy("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}")
    assert outcomes("policy-port-without-listener", text) == {Outcome("pass", P, "")}


@pytest.mark.parametrize("name", ["http-envoy-prom", "linkerd-admin", "linkerd-proxy"])
@pytest.mark.parametrize(
    ("space", "clean"),
    [
        ("---\n", True),
        (namespace("shop", **{"istio-injection": "enabled"}), True),
        (namespace("shop", **{"istio.io/rev": "stable"}), True),
        (namespace("shop").replace("labels: {}", "annotations: {linkerd.io/inject: enabled}"), True),
        (namespace("shop", **{"istio-injection": "disabled"}), False),
        (namespace("shop"), False),
    ],
)
def test_ports_of_injected_proxies_are_declared_by_no_template(name: str, space: str, clean: bool) -> None:
    text = space + "---\n" + pods(shop__web="app=web http:8080/TCP")
    text += policy(f"{{podSelector: {{}}, ingress: [{{ports: [{{port: {name}}}]}}]}}")
    expected = {Outcome("pass", P, "")} if clean else fail("spec.ingress[0].ports[0].port")
    assert outcomes("policy-named-port-unresolved", text) == expected


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("{ports: [{port: none}, {port: 8080}]}", "opens nothing by this port: none of"),
        ("{ports: [{port: none}]}, {ports: [{port: 8080}]}", "opens nothing: none of"),
    ],
)
def test_a_port_without_effect_beside_others(rules: str, words: str) -> None:
    found = outcomes("policy-named-port-unresolved", WEB + policy(f"{{podSelector: {{}}, ingress: [{rules}]}}"))
    assert words in message(found)


# --- redundant policies ---

HTTP = "ports: [{port: 80}]"
OPEN = f"{{podSelector: {{}}, ingress: [{{{HTTP}}}]}}"


@pytest.mark.parametrize(
    ("other", "spec", "by"),
    [
        # The same, and wider.
        (OPEN, OPEN, True),
        ("{podSelector: {}, ingress: [{}]}", OPEN, True),
        (
            f"{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {{}}}}], {HTTP}}}]}}",
            f"{{podSelector: {{matchLabels: {{a: b}}}}, ingress: [{{from: [{{podSelector: {{}}}}], {HTTP}}}]}}",
            True,
        ),
        (
            "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
            f"{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: 10.1.0.0/16}}}}], {HTTP}}}]}}",
            True,
        ),
        # Narrower in pods, peers, ports or directions.
        (
            f"{{podSelector: {{matchLabels: {{a: b}}}}, ingress: [{{{HTTP}}}]}}",
            OPEN,
            False,
        ),
        (OPEN, "{podSelector: {}, ingress: [{ports: [{port: 81}]}]}", False),
        (
            f"{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {{}}}}], {HTTP}}}]}}",
            f"{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {{}}}}], {HTTP}}}]}}",
            False,
        ),
        (
            OPEN,
            f"{{podSelector: {{}}, policyTypes: [Ingress, Egress], ingress: [{{{HTTP}}}]}}",
            False,
        ),
        # Two namespaces that are not among the inputs are two all the same.
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}]}]}",
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {a: c}}}]}]}",
            False,
        ),
        # The floor.
        (OPEN, "{podSelector: {}}", False),
        ("{podSelector: {}}", OPEN, False),
    ],
)
def test_a_policy_that_another_holds(other: str, spec: str, by: bool) -> None:
    found = outcomes("policy-redundant", policy(other, name="other") + policy(spec))
    assert (Outcome("fail", P, "spec.podSelector") in found) is by


def test_one_object_in_two_files_is_not_redundant() -> None:
    spec = OPEN
    assert {outcome.kind for outcome in outcomes("policy-redundant", policy(spec) + policy(spec))} == {"pass"}


@pytest.mark.parametrize(
    ("files", "redundant_ones"),
    [
        ({"dev/a.yaml": WEB + policy(OPEN), "prod/a.yaml": WEB + policy(OPEN, name="q")}, 0),
        ({"dev.yaml": WEB + policy(OPEN), "prod.yaml": WEB + policy(OPEN, name="q")}, 0),
        (
            {
                "dev/n.yaml": namespace("shop"),
                "dev/p.yaml": policy(OPEN),
                "prod/n.yaml": namespace("shop"),
                "prod/p.yaml": policy(OPEN, name="q"),
                "prod/r.yaml": policy(OPEN, name="r"),
            },
            1,
        ),
        ({"web/a.yaml": WEB + policy(OPEN), "policies/a.yaml": policy(OPEN, name="q")}, 1),
    ],
)
def test_policies_of_different_environments_are_not_redundant(
    files: dict[str, str], redundant_ones: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    result = scan(plan_of(profile_of("policy-redundant")), discover((str(tmp_path),)), Target("manifests", "x"))
    assert len(failing(result)) == redundant_ones


def test_a_rule_of_an_admin_policy_after_one_that_decides_all_of_it() -> None:
    rules = "{action: Deny, from: [{namespaces: {}}]}, {action: Allow, from: [{namespaces: {matchLabels: {a: b}}}]}"
    text = admin_policy(f"{{subject: {{namespaces: {{}}}}, priority: 1, ingress: [{rules}]}}")
    assert outcomes("policy-redundant", text) == {Outcome("fail", "AdminNetworkPolicy a", "spec.ingress[1]")}


def _everything(of: Connectivity) -> dict[Any, Answer]:
    found: dict[Any, Answer] = {}
    for first in of.workloads:
        for second in of.workloads:
            found[first.name, second.name] = of.between(first, second)
        for direction in ("ingress", "egress"):
            for block, answer in of.outside(first, "ingress" if direction == "ingress" else "egress"):
                for cidr in block.cidrs():
                    found[first.name, direction, cidr] = answer
    return found


@settings(max_examples=150, deadline=None)
@given(policies())
def test_without_a_redundant_policy_everything_is_as_it_was(texts: list[str]) -> None:
    inventory = Inventory(objects_in("".join((CLUSTER, *texts))))
    whole = connectivity(inventory)
    for one in redundant(whole, inventory):
        rest = [text for text in texts if f"name: {one.policy.obj.ref.name}," not in text]
        assert len(rest) == len(texts) - 1
        before, after = _everything(whole), _everything(net(CLUSTER, *rest))
        pairs = {key for key in before if len(key) == 2}
        assert {key: before[key] for key in pairs} == {key: after[key] for key in pairs}
        # Addresses are cut elsewhere without the policy's blocks.
        assert {key[:2] for key, answer in before.items() if answer.open} == {
            key[:2] for key, answer in after.items() if answer.open
        }
