"""Rules of kubeassay.checks.network_isolation, and what holds for all rules of the area."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.network.cluster_kit import admin_policy, namespace, pods, policy
from checks.network_outcomes import Outcome, outcomes
from checks.network_strategies import CLUSTER, policies
from kit import LIBRARY, objects_in
from kubeassay.analysis.network.connectivity import connectivity
from kubeassay.analysis.network.operators import known_operator_pods
from kubeassay.analysis.network.policies import FOREIGN_KINDS
from kubeassay.checks.network_common import matches
from kubeassay.model import Inventory

DENY = "{podSelector: {}, policyTypes: [Ingress, Egress]}"
WEB = pods(shop__web="app=web")
AREA = [rule for rule in LIBRARY.rules.values() if rule.area == "network-isolation"]


# --- all rules ---


def test_all_rules_join_the_same_objects() -> None:
    """So that connectivity is computed once, and is the same whichever rules run."""
    needs = {frozenset(rule.needs) for rule in AREA}
    assert len(needs) == 1
    (kinds,) = needs
    assert {kind for _, kind in FOREIGN_KINDS} <= kinds
    assert {"Workload", "Namespace", "NetworkPolicy", "AdminNetworkPolicy", "ClusterNetworkPolicy"} <= kinds
    for kind in ("Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"):
        (obj,) = objects_in(
            f"apiVersion: monitoring.coreos.com/v1\nkind: {kind}\nmetadata: {{name: main}}\nspec: {{}}\n"
        )
        assert known_operator_pods(obj) is not None
        assert kind in kinds


FOREIGN = (
    "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: shop}\n"
    "spec: {endpointSelector: {}}\n"
)
#: Rules on what workloads and namespaces reach; the others are about what policies say.
EFFECTIVE: dict[str, dict[str, Any]] = {
    "allowed-path-closed": {"allowed_paths": [{"from": "shop/web", "to": "shop/db"}]},
    "cross-environment-path": {"environments": {"a": ["shop"], "b": ["data"]}},
    "data-tier-ingress-open": {},
    "default-deny-egress-missing": {},
    "default-deny-ingress-missing": {},
    "dns-egress-missing": {},
    "egress-to-api-server": {"api_server": ["10.0.0.0/28"]},
    "egress-to-internet": {},
    "egress-to-metadata-address": {},
    "namespace-without-isolation": {},
    "path-not-allowed": {"allowed_paths": [{"from": "data", "to": "data"}]},
}


@pytest.mark.parametrize("rule", EFFECTIVE)
def test_what_a_policy_that_is_not_evaluated_governs_neither_fails_nor_passes(rule: str) -> None:
    text = pods(shop__web="app=web pg:5432/TCP", shop__db="app=db pg:5432/TCP") + policy(DENY) + FOREIGN
    found = outcomes(rule, text, **EFFECTIVE[rule])
    assert {outcome.kind for outcome in found} == {"not-judged"}
    assert {outcome.words for outcome in found} <= {"unsupported", "unknown-connectivity"}


@pytest.mark.parametrize("rule", sorted({rule.id for rule in AREA}))
def test_no_objects_are_nothing_to_judge(rule: str) -> None:
    assert outcomes(rule, "") == set()


@settings(max_examples=60, deadline=None)
@given(policies(), st.sampled_from(sorted({rule.id for rule in AREA})))
def test_no_rule_fails_on_whatever_policies(texts: list[str], rule: str) -> None:
    """An object is not both found and passed, and a finding's place is an object of the inputs."""
    text = CLUSTER + "".join(texts)
    found = outcomes(rule, text, **EFFECTIVE.get(rule, {}))
    failed = {outcome.about for outcome in found if outcome.kind == "fail"}
    assert failed.isdisjoint({outcome.about for outcome in found if outcome.kind == "pass"})


# --- default deny ---


def fails(path: str, where: str) -> Outcome:
    return Outcome("fail", where, path)


def _of_namespaces_that_are_not(action: str) -> str:
    peers = f"[{{name: a, action: {action}, from: [{{namespaces: {{}}}}]}}]"
    subject = "{namespaces: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}}"
    return admin_policy(f"{{priority: 10, subject: {subject}, ingress: {peers}}}")


def test_a_policy_that_asks_for_labels_that_are_not_known_is_no_default_deny() -> None:
    """NotIn holds of a namespace without the label, and whether an undeclared one has it is not known."""
    (found,) = outcomes("default-deny-ingress-missing", WEB + _of_namespaces_that_are_not("Deny"))
    assert (found.kind, found.words) == ("not-judged", "unknown-namespace-labels")
    declared = namespace("shop", env="dev") + "---\n" + WEB + _of_namespaces_that_are_not("Deny")
    assert {outcome.kind for outcome in outcomes("default-deny-ingress-missing", declared)} == {"pass"}


def test_a_default_deny_that_such_a_policy_may_undo_is_not_judged() -> None:
    peers = "{subject: {namespaces: {matchLabels: {env: dev}}}, priority: 1, egress: "
    undoing = peers + "[{name: a, action: Allow, to: [{namespaces: {}}, {networks: [0.0.0.0/0]}]}]}"
    (found,) = outcomes("default-deny-egress-missing", WEB + policy(DENY) + admin_policy(undoing))
    assert (found.kind, found.words) == ("not-judged", "unknown-namespace-labels")
    some = (
        peers + "[{name: a, action: Allow, to: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 1}}]}]}"
    )
    (found,) = outcomes("default-deny-egress-missing", WEB + policy(DENY) + admin_policy(some))
    assert found.kind == "pass"


def test_a_namespace_without_any_policy_points_at_its_name() -> None:
    found = outcomes("default-deny-ingress-missing", namespace("shop") + "---\n" + WEB)
    assert found == {fails("metadata.name", "Namespace shop")}


def test_a_namespace_that_is_not_declared_points_at_its_first_workload() -> None:
    assert outcomes("default-deny-ingress-missing", WEB) == {fails("metadata.namespace", "Pod shop/web")}


@pytest.mark.parametrize(
    ("spec", "direction", "passes"),
    [
        ("{podSelector: {}, policyTypes: [Ingress]}", "ingress", True),
        ("{podSelector: {}, policyTypes: [Ingress]}", "egress", False),
        ("{podSelector: {}}", "ingress", True),
        ("{podSelector: {}, policyTypes: [Egress]}", "egress", True),
        ("{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}", "ingress", False),
        # Opens something: what it does not open is denied.
        ("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}", "ingress", True),
        ("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}", "ingress", True),
        ("{podSelector: {}, ingress: [{}]}", "ingress", False),
        # The same, spelled out.
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}]}]}",
            "ingress",
            False,
        ),
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}, {from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
            "ingress",
            False,
        ),
        ("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}", "ingress", True),
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}, {ipBlock: {cidr: 0.0.0.0/1}}]}]}",
            "ingress",
            True,
        ),
        ("{podSelector: {}, ingress: [{ports: [{port: 1, endPort: 65535}]}]}", "ingress", True),
        ("{podSelector: {}, policyTypes: [Egress], egress: [{}]}", "egress", False),
    ],
)
def test_default_deny_is_a_policy_that_selects_every_pod_and_does_not_open_everything(
    spec: str, direction: str, passes: bool
) -> None:
    found = outcomes(f"default-deny-{direction}-missing", WEB + policy(spec))
    assert {outcome.kind for outcome in found} == ({"pass"} if passes else {"fail"})


def test_a_rule_that_opens_everything_is_where_the_default_is_lost() -> None:
    text = WEB + policy(DENY) + policy("{podSelector: {}, ingress: [{ports: [{port: 80}]}, {}]}", name="all")
    assert outcomes("default-deny-ingress-missing", text) == {fails("spec.ingress[1]", "NetworkPolicy shop/all")}


@pytest.mark.parametrize(
    ("rules", "direction", "passes"),
    [
        ("ingress: [{action: Deny, from: [{namespaces: {}}]}]", "ingress", True),
        (
            "ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]",
            "ingress",
            False,
        ),
        ("ingress: [{action: Deny, from: [{namespaces: {matchLabels: {a: b}}}]}]", "ingress", False),
        ("ingress: [{action: Allow, from: [{namespaces: {}}]}]", "ingress", False),
        # The first rule decides.
        (
            "ingress: [{action: Allow, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}]",
            "ingress",
            False,
        ),
        (
            "ingress: [{action: Allow, from: [{namespaces: {matchLabels: {a: b}}}]},"
            " {action: Deny, from: [{namespaces: {}}]}]",
            "ingress",
            True,
        ),
        (
            "ingress: [{action: Deny, from: [{namespaces: {}}]}, {action: Allow, from: [{namespaces: {}}]}]",
            "ingress",
            True,
        ),
        # Addresses outside stay open.
        ("egress: [{action: Deny, to: [{namespaces: {}}]}]", "egress", False),
        ("egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]", "egress", True),
    ],
)
def test_a_policy_of_the_cluster_may_be_the_default(rules: str, direction: str, passes: bool) -> None:
    text = WEB + admin_policy(f"{{subject: {{namespaces: {{}}}}, {rules}}}", kind="BaselineAdminNetworkPolicy")
    found = outcomes(f"default-deny-{direction}-missing", text)
    assert {outcome.kind for outcome in found} == ({"pass"} if passes else {"fail"})


ALLOW_ALL = (
    "{priority: 5, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}],"
    " egress: [{action: Allow, to: [{namespaces: {}}, {networks: [0.0.0.0/0]}]}]}"
)


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_policy_of_the_cluster_that_opens_everything_takes_the_default_away(direction: str) -> None:
    text = WEB + policy(DENY) + admin_policy(ALLOW_ALL)
    expected = fails(f"spec.{direction}[0]", "AdminNetworkPolicy a")
    assert outcomes(f"default-deny-{direction}-missing", text) == {expected}
    first = admin_policy(ALLOW_ALL.replace("Allow", "Deny").replace("priority: 5", "priority: 1"), name="first")
    assert {o.kind for o in outcomes(f"default-deny-{direction}-missing", text + first)} == {"pass"}
    some = ALLOW_ALL.replace("{namespaces: {}}, {networks", "{networks").replace("0.0.0.0/0", "10.0.0.0/8")
    some = some.replace("from: [{namespaces: {}}]", "from: [{namespaces: {matchLabels: {a: b}}}]")
    text = WEB + policy(DENY) + admin_policy(some)
    assert {o.kind for o in outcomes(f"default-deny-{direction}-missing", text)} == {"pass"}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_whether_policies_of_one_priority_take_the_default_away_is_not_known(direction: str) -> None:
    tie = admin_policy(ALLOW_ALL) + admin_policy(ALLOW_ALL.replace("Allow", "Deny"), name="b")
    for text in (WEB + tie, WEB + policy(DENY) + tie):
        found = outcomes(f"default-deny-{direction}-missing", text)
        assert found == {Outcome("not-judged", "Pod shop/web", "unknown-connectivity")}


def test_a_baseline_takes_no_default_away_that_a_network_policy_sets() -> None:
    text = WEB + policy(DENY) + baseline("ingress: [{action: Allow, from: [{namespaces: {}}]}]")
    assert {outcome.kind for outcome in outcomes("default-deny-ingress-missing", text)} == {"pass"}


def test_a_port_that_the_cluster_denies_is_no_default() -> None:
    text = WEB + policy("{podSelector: {}, policyTypes: [Egress], egress: [{}]}") + NO_SMTP
    assert outcomes("default-deny-egress-missing", text) == {fails("spec.egress[0]", "NetworkPolicy shop/p")}
    everything = admin_policy(ALLOW_ALL.replace("Allow", "Deny"), name="first")
    assert {outcome.kind for outcome in outcomes("default-deny-egress-missing", text + everything)} == {"pass"}


def test_names_that_a_policy_of_the_cluster_opens_are_not_everything() -> None:
    rule = "{priority: 5, subject: {namespaces: {}}, egress: [{action: Allow, to: [{domainNames: ['*.example.com']}]}]}"
    found = outcomes("default-deny-egress-missing", WEB + policy(DENY) + admin_policy(rule))
    assert {outcome.kind for outcome in found} == {"pass"}


def test_whether_a_policy_of_the_cluster_selects_a_namespace_whose_labels_are_not_known_is_not_known() -> None:
    spec = "{subject: {namespaces: {matchLabels: {team: a}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"
    text = WEB + admin_policy(spec, kind="BaselineAdminNetworkPolicy")
    for rule in ("default-deny-ingress-missing", "namespace-without-isolation"):
        assert {outcome.kind for outcome in outcomes(rule, text)} == {"not-judged"}
        declared = text + namespace("shop", team="b")
        assert {outcome.kind for outcome in outcomes(rule, declared)} == {"fail"}
        declared = text + namespace("shop", team="a")
        assert {outcome.kind for outcome in outcomes(rule, declared)} == {"pass"}


def test_a_default_that_is_refused_is_not_judged() -> None:
    text = WEB + policy("{podSelector: {}, ingress: [{from: [{}]}]}")
    assert outcomes("default-deny-ingress-missing", text) == {Outcome("not-judged", "Pod shop/web", "invalid-object")}


def test_namespaces_of_kubernetes_and_excluded_ones_are_not_judged() -> None:
    text = pods(kube_system__dns="app=dns").replace("kube_system", "kube-system")
    assert outcomes("default-deny-ingress-missing", text) == set()
    assert outcomes("default-deny-ingress-missing", WEB, excluded_namespaces=["sh*"]) == set()


def test_workloads_on_the_nodes_network_alone_need_no_policy() -> None:
    assert outcomes("default-deny-ingress-missing", pods(shop__agent="host")) == set()


def test_named_namespaces_are_judged_without_workloads_where_they_are_declared() -> None:
    found = outcomes("default-deny-egress-missing", namespace("shop"), namespaces=["shop", "data"])
    assert found == {fails("metadata.name", "Namespace shop")}


def test_the_message_says_what_is_missed() -> None:
    text = pods(shop__a="app=a", shop__b="app=b", shop__c="app=c")
    text += policy("{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress]}")
    (found,) = outcomes("default-deny-ingress-missing", text)
    assert found.message == (
        "the policies for ingress of namespace shop select 1 of 3 workloads, not shop/b[Pod], shop/c[Pod]"
    )


# --- isolation ---


def test_a_workload_that_nothing_isolates_is_named() -> None:
    text = pods(shop__a="app=a", shop__b="app=b") + policy("{podSelector: {matchLabels: {app: a}}}")
    (found,) = outcomes("namespace-without-isolation", text)
    assert found == fails("metadata.namespace", "Pod shop/a")
    assert found.message == (
        "nothing isolates 1 of 2 workloads of namespace shop: every pod of the cluster may connect to shop/b[Pod]"
    )


def test_a_workload_that_a_policy_isolates_is_isolated_whatever_is_opened() -> None:
    text = WEB + policy("{podSelector: {}, ingress: [{}]}")
    assert {outcome.kind for outcome in outcomes("namespace-without-isolation", text)} == {"pass"}


NO_SMTP = admin_policy(
    "{priority: 10, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}],"
    " ports: [{portNumber: {protocol: TCP, port: 25}}]}]}"
)


def test_a_policy_of_the_cluster_that_takes_a_port_away_isolates_nothing() -> None:
    (found,) = outcomes("namespace-without-isolation", WEB + NO_SMTP)
    assert found == fails("metadata.namespace", "Pod shop/web")
    assert found.message.endswith("every pod of the cluster may connect to shop/web[Pod], but on TCP 25")


def test_a_policy_of_the_cluster_that_leaves_listed_ports_isolates() -> None:
    rules = (
        "[{action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]},"
        " {action: Deny, from: [{namespaces: {}}]}]"
    )
    text = WEB + admin_policy(f"{{subject: {{namespaces: {{}}}}, ingress: {rules}}}", kind="BaselineAdminNetworkPolicy")
    assert {outcome.kind for outcome in outcomes("namespace-without-isolation", text)} == {"pass"}


def test_default_deny_says_what_isolation_says() -> None:
    """In a profile with both, one cause is one finding."""
    (rule,) = (rule for rule in AREA if rule.id == "default-deny-ingress-missing")
    assert rule.overrides == ("namespace-without-isolation",)


# --- data stores ---


@pytest.mark.parametrize(
    ("peers", "path"),
    [
        ("[{from: [{namespaceSelector: {}}]}]", "spec.ingress[0].from[0]"),
        ("[{from: [{podSelector: {}}, {namespaceSelector: {}}]}]", "spec.ingress[0].from[1]"),
        ("[{from: [{podSelector: {}}]}, {ports: [{port: 5432}]}]", "spec.ingress[1]"),
        ("[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]", "spec.ingress[0].from[0].ipBlock.cidr"),
        ("[{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]", None),
        ("[{from: [{namespaceSelector: {}}], ports: [{port: 9187}]}]", None),
        ("[{from: [{namespaceSelector: {matchLabels: {a: b}}}]}]", None),
    ],
)
def test_a_data_store_that_is_open_to_all_points_at_the_peer(peers: str, path: str | None) -> None:
    text = pods(shop__db="app=db pg:5432/TCP") + policy(f"{{podSelector: {{}}, ingress: {peers}}}")
    found = outcomes("data-tier-ingress-open", text)
    assert found == ({fails(path, "NetworkPolicy shop/p")} if path else {Outcome("pass", "Pod shop/db", "")})


def test_a_data_store_that_nothing_isolates_points_at_its_port() -> None:
    found = outcomes("data-tier-ingress-open", pods(shop__db="app=db pg:5432/TCP", shop__web="app=web http:8080/TCP"))
    assert found == {fails("spec.containers[0].ports[0].containerPort", "Pod shop/db")}


DB = pods(shop__db="app=db pg:5432/TCP")
#: Policies of which is not known what they say of Pod shop/db: they ask for labels that nobody states, or two of one
#: priority disagree.
PERHAPS = {
    "labels of a namespace": admin_policy(
        "{subject: {namespaces: {matchLabels: {tier: data}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}],"
        " egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}",
        kind="BaselineAdminNetworkPolicy",
    ),
    "a tie": policy(DENY)
    + "".join(
        admin_policy(
            "{priority: 5, subject: {namespaces: {}},"
            f" ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}],"
            f" egress: [{{action: {action}, to: [{{networks: [0.0.0.0/0]}}]}}]}}",
            name=action.lower(),
        )
        for action in ("Allow", "Deny")
    ),
}


@pytest.mark.parametrize(
    "rule", ["data-tier-ingress-open", "egress-to-internet", "egress-to-metadata-address", "egress-to-api-server"]
)
@pytest.mark.parametrize("perhaps", PERHAPS)
def test_what_is_perhaps_open_is_not_judged(rule: str, perhaps: str) -> None:
    found = outcomes(rule, DB + PERHAPS[perhaps], **EFFECTIVE[rule])
    assert found == {Outcome("not-judged", "Pod shop/db", "unknown-connectivity")}


def baseline(rules: str) -> str:
    return admin_policy(f"{{subject: {{namespaces: {{}}}}, {rules}}}", kind="BaselineAdminNetworkPolicy")


def test_a_data_store_that_is_open_to_addresses_alone_is_said_to_be() -> None:
    """Policies of the cluster deny no address outside."""
    (found,) = outcomes("data-tier-ingress-open", DB + baseline("ingress: [{action: Deny, from: [{namespaces: {}}]}]"))
    assert found == fails("spec.containers[0].ports[0].containerPort", "Pod shop/db")
    assert found.message == (
        "no NetworkPolicy isolates shop/db[Pod]: addresses of the internet may connect to TCP 5432"
    )


def test_a_baseline_is_not_the_cause_where_a_network_policy_is() -> None:
    text = DB + policy("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}")
    text += baseline("ingress: [{action: Allow, from: [{namespaces: {}}]}]")
    assert outcomes("data-tier-ingress-open", text) == {fails("spec.ingress[0].from[0]", "NetworkPolicy shop/p")}


def test_a_data_store_on_the_nodes_network_is_not_judged() -> None:
    text = pods(shop__db="app=db host pg:5432/TCP", shop__agent="host http:8080/TCP") + policy(DENY)
    assert outcomes("data-tier-ingress-open", text) == {Outcome("not-judged", "Pod shop/db", "unsupported")}


def test_which_ports_are_those_of_data_stores_is_a_parameter() -> None:
    assert outcomes("data-tier-ingress-open", pods(shop__db="app=db pg:5432/TCP"), ports=[3306]) == set()


# --- policies ---


def test_a_workload_on_the_nodes_network_that_policies_select() -> None:
    text = pods(shop__agent="app=agent host", shop__web="app=web") + policy(DENY)
    assert outcomes("host-network-evades-policy", text) == {fails("spec.hostNetwork", "Pod shop/agent")}
    assert outcomes("host-network-evades-policy", pods(shop__agent="host")) == set()


def test_a_refused_policy_points_at_what_is_wrong() -> None:
    text = policy("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}")
    assert outcomes("network-policy-refused", text) == {
        fails("spec.ingress[0].from[0].ipBlock", "NetworkPolicy shop/p")
    }


def test_a_mistyped_policy_is_left_to_the_rule_on_mistyped_fields() -> None:
    found = outcomes("network-policy-refused", policy('{podSelector: {}, policyTypes: "Ingress"}'))
    assert {outcome.kind for outcome in found} == {"not-judged"}


def test_a_policy_without_a_namespace_among_workloads_that_have_one() -> None:
    loose = policy(DENY).replace(", namespace: shop", "")
    assert outcomes("network-policy-without-namespace", WEB + loose) == {fails("metadata.name", "NetworkPolicy p")}
    without = WEB.replace(", namespace: shop", "")
    for text in (without + loose, WEB + "---\n" + without + loose, loose):
        assert {outcome.kind for outcome in outcomes("network-policy-without-namespace", text)} == {"pass"}


def test_rules_that_policy_types_leave_out() -> None:
    text = policy("{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 53}]}]}")
    assert outcomes("policy-rules-without-effect", text) == {fails("spec.egress", "NetworkPolicy shop/p")}
    assert {o.kind for o in outcomes("policy-rules-without-effect", policy("{podSelector: {}, egress: [{}]}"))} == {
        "pass"
    }
    text = policy("{podSelector: {}, policyTypes: [Egress], ingress: [], egress: [{}]}")
    assert {outcome.kind for outcome in outcomes("policy-rules-without-effect", text)} == {"pass"}


# --- names ---


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("shop", True),
        ("sh*", True),
        ("data", False),
        ("shop/web", True),
        ("shop/w*", True),
        ("*/web", True),
        ("*", True),
        ("shop/api", False),
        ("shop/web[Pod]", True),
        ("shop/web[Deployment]", False),
        ("web", False),
    ],
)
def test_patterns_of_workloads(pattern: str, meant: bool) -> None:
    (workload,) = connectivity(Inventory(objects_in(WEB))).workloads
    assert matches(pattern, workload) is meant
