"""Rules of kubeassay.checks.network_paths."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.network.cluster_kit import admin_policy, namespace, net, pods, policy
from checks.network_outcomes import Outcome, each_outcome, outcomes
from checks.network_strategies import CLUSTER, policies
from kit import run_within_seconds
from kubeassay.analysis.network.connections import PROTOCOLS, Connections
from kubeassay.analysis.network.connectivity import Connectivity

SPACES = namespace("shop") + namespace("data") + "---\n"
ENDS = SPACES + pods(shop__web="app=web", data__db="app=db pg:5432/TCP")
DENY = "{podSelector: {}, policyTypes: [Ingress, Egress]}"
CLOSED = ENDS + policy(DENY, name="deny") + policy(DENY, name="deny", namespace="data")
DB = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data}}, podSelector: {matchLabels: {app: db}}"
WEB = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: web}}"
PORT = "ports: [{port: 5432}]"
OUT = policy(
    f"{{podSelector: {{matchLabels: {{app: web}}}}, policyTypes: [Egress], egress: [{{to: [{{{DB}}}], {PORT}}}]}}"
)
IN = policy(
    f"{{podSelector: {{matchLabels: {{app: db}}}}, ingress: [{{from: [{{{WEB}}}], {PORT}}}]}}", namespace="data"
)
ALLOWED = {"from": "shop/web", "to": "data/db", "ports": [5432]}


def fail(about: str, path: str) -> Outcome:
    return Outcome("fail", about, path)


def open_ways(text: str, *allowed: dict[str, Any], **parameters: Any) -> set[Outcome]:
    """The failures, when these paths are allowed."""
    listed = list(allowed) or [{"from": "nobody", "to": "nobody"}]
    found = outcomes("path-not-allowed", text, allowed_paths=listed, **parameters)
    return {outcome for outcome in found if outcome.kind == "fail"}


def closed_paths(text: str, *allowed: dict[str, Any]) -> set[Outcome]:
    return outcomes("allowed-path-closed", text, allowed_paths=list(allowed))


# --- ways that are open ---


def test_exactly_the_allowed_path_is_open() -> None:
    text = CLOSED + OUT + IN
    found = outcomes("path-not-allowed", text, allowed_paths=[ALLOWED])
    assert found == {Outcome("pass", "Pod shop/web", ""), Outcome("pass", "Pod data/db", "")}
    assert outcomes("path-not-allowed", ENDS) == set(), "no list, no demand"


def test_a_way_points_at_the_rule_that_opens_it_at_the_callee() -> None:
    (found,) = open_ways(CLOSED + OUT + IN)
    assert found == fail("NetworkPolicy data/p", "spec.ingress[0].from[0]")
    assert "shop/web[Pod] → data/db[Pod] (TCP 5432)" in found.message
    assert found.related == ("NetworkPolicy shop/p spec.egress[0].to[0]",)


def test_a_way_that_nothing_isolates_at_the_callee_points_at_the_caller() -> None:
    text = ENDS + policy(DENY, name="deny") + OUT + policy("{podSelector: {}, policyTypes: [Egress]}", namespace="data")
    found = open_ways(text, {"from": "*", "to": "data"}, {"from": "internet", "to": "data"})
    assert found == set()
    found = open_ways(text, {"from": "internet", "to": "data"})
    assert fail("NetworkPolicy shop/p", "spec.egress[0].to[0]") in found
    # Whoever is not among the inputs comes in because nothing isolates the callee.
    assert fail("Namespace data", "metadata.name") in found


def test_what_nothing_isolates_is_a_finding_for_each_namespace() -> None:
    place = "metadata.name"
    assert open_ways(ENDS) == {fail("Namespace data", place), fail("Namespace shop", place)}
    found = outcomes("path-not-allowed", ENDS, allowed_paths=[ALLOWED], isolated_only=True)
    assert found == set(), "what is left to another rule does not pass"


@pytest.mark.parametrize(
    ("allowed", "clean"),
    [
        ({"from": "shop", "to": "data"}, True),
        ({"from": "shop/*", "to": "*/db", "ports": [5432]}, True),
        ({"from": ["data", "shop"], "to": ["nobody", "data"], "ports": ["5000-6000"]}, True),
        ({"from": "*", "to": "*", "ports": ["5432/TCP"]}, True),
        ({"from": "shop/web[Pod]", "to": "data/db[Pod]", "ports": ["5432"]}, True),
        ({"from": "shop", "to": "data", "ports": ["5432/UDP"]}, False),
        ({"from": "shop", "to": "data", "ports": [5431]}, False),
        ({"from": "data", "to": "shop"}, False),
        ({"from": "shop/api", "to": "data"}, False),
        ({"from": "internet", "to": "data"}, False),
    ],
)
def test_what_an_entry_allows(allowed: dict[str, Any], clean: bool) -> None:
    assert (open_ways(CLOSED + OUT + IN, allowed) == set()) is clean


@pytest.mark.parametrize(
    ("block", "allowed", "label"),
    [
        ("cidr: 10.0.0.0/8", {"from": "shop", "to": "10.0.0.0/8"}, ""),
        ("cidr: 10.0.0.0/8", {"from": "shop", "to": "10.0.0.0/9"}, "10.128.0.0/9"),
        ("cidr: 10.0.0.0/8", {"from": "shop", "to": "internet", "ports": [5432]}, ""),
        ("cidr: 10.0.0.0/8", {"from": "shop", "to": "internet", "ports": [443]}, "10.0.0.0/8"),
        ("cidr: 0.0.0.0/0", {"from": "shop", "to": "10.0.0.0/8"}, "internet"),
        ("cidr: 10.0.0.5/32", {"from": "shop", "to": "10.0.0.5"}, ""),
        ("cidr: 10.0.0.0/30, except: [10.0.0.1/32]", {"from": "shop", "to": "10.0.0.2/31"}, "10.0.0.0/32"),
    ],
)
def test_addresses_outside_are_compared_exactly(block: str, allowed: dict[str, Any], label: str) -> None:
    text = CLOSED + policy(
        f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{{block}}}}}], {PORT}}}]}}"
    )
    found = open_ways(text, allowed)
    if not label:
        assert found == set()
        return
    (one,) = found
    assert one == fail("NetworkPolicy shop/p", "spec.egress[0].to[0].ipBlock.cidr")
    assert f"shop/web[Pod] → {label} (TCP 5432)" in one.message


def test_the_way_to_the_name_server_has_to_be_allowed_as_well() -> None:
    space = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}"
    rule = f"{{to: [{{{space}}}], ports: [{{protocol: UDP, port: 53}}]}}"
    text = CLOSED + policy(f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{rule}]}}")
    assert open_ways(text) == {fail("NetworkPolicy shop/p", "spec.egress[0].to[0]")}
    for end in ("dns", "kube-system", "kube-system/kube-dns", "*"):
        assert open_ways(text, {"from": "shop", "to": end, "ports": ["53/UDP"]}) == set()


def test_what_is_open_to_any_pod_is_more_than_what_is_open_to_those_that_are_there() -> None:
    text = CLOSED + policy("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}", namespace="data")
    (found,) = open_ways(text, {"from": "shop", "to": "data"})
    assert found == fail("NetworkPolicy data/p", "spec.ingress[0].from[0]")
    assert "any other pod → data/db[Pod]" in found.message
    assert open_ways(text, {"from": "*", "to": "data"}) == set()


def test_many_ways_of_one_cause_are_one_finding() -> None:
    names = {f"shop__w{n}": f"app=w{n}" for n in range(9)}
    text = (
        SPACES
        + pods(**names, data__db="app=db")
        + policy("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}", namespace="data")
    )
    text += policy("{podSelector: {}, policyTypes: [Ingress]}", name="deny") + policy(
        "{podSelector: {}, policyTypes: [Egress]}", name="quiet", namespace="data"
    )
    found = open_ways(text, {"from": "shop", "to": "internet"}, {"from": "shop", "to": "dns"}, isolated_only=True)
    (one,) = found
    assert "opens 10 ways" in one.message
    assert one.message.count("→") == 3
    assert one.message.endswith("and 7 more")


def test_pods_of_one_workload_may_talk_to_each_other() -> None:
    own = "policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{to: [{podSelector: {}}]}]"
    text = namespace("shop") + "---\n" + pods(shop__web="app=web") + policy(f"{{podSelector: {{}}, {own}}}")
    assert open_ways(text) == set()


def test_workloads_on_the_nodes_network_are_not_judged() -> None:
    text = namespace("shop") + "---\n" + pods(shop__agent="host")
    found = outcomes("path-not-allowed", text, allowed_paths=[ALLOWED])
    assert found == {Outcome("not-judged", "Pod shop/agent", "unsupported")}


def test_labels_that_are_not_known_are_told() -> None:
    to_team = "egress: [{to: [{namespaceSelector: {matchLabels: {team: a}}}]}]"
    text = pods(shop__web="app=web", data__db="app=db")
    text += policy(f"{{podSelector: {{}}, policyTypes: [Ingress, Egress], {to_team}}}")
    found = outcomes("path-not-allowed", text, allowed_paths=[ALLOWED], isolated_only=True)
    assert Outcome("not-judged", "NetworkPolicy shop/p", "unknown-namespace-labels") in found


@pytest.mark.parametrize(
    "entry",
    [
        {"from": "shop"},
        {"from": "shop", "to": ""},
        {"from": "shop", "to": []},
        {"from": "shop", "to": "data", "port": 80},
        {"from": "shop", "to": "data", "ports": ["http"]},
        {"from": "shop", "to": "data", "ports": [0]},
        {"from": "shop", "to": "data", "ports": ["90-80"]},
        {"from": "shop", "to": "data", "ports": ["80/ICMP"]},
        "shop",
    ],
)
def test_an_entry_that_means_nothing_is_an_error(entry: Any) -> None:
    for rule in ("path-not-allowed", "allowed-path-closed"):
        with pytest.raises(ValueError, match="allowed_paths"):
            outcomes(rule, ENDS, allowed_paths=[entry])


def test_many_workloads_cost_no_time_for_each_pair() -> None:
    run_within_seconds(
        """
from analysis.network.cluster_kit import namespace, pods, policy
from checks.network_outcomes import outcomes
deny = "{podSelector: {}, policyTypes: [Ingress, Egress]}"
own = "{podSelector: {matchLabels: {app: w1}}, ingress: [{from: [{podSelector: {}}]}]}"
text = "".join(
    namespace(f"n{n}") + policy(deny, namespace=f"n{n}") + policy(own, namespace=f"n{n}", name="q") + "---\\n"
    + pods(**{f"n{n}__w{k}": f"app=w{k}" for k in range(20)})
    for n in range(60)
)
open_cluster = "---\\n".join(pods(**{f"n{n}__w{k}": "a=b" for k in range(30)}) for n in range(60))
for one in (text, open_cluster):
    outcomes("path-not-allowed", one, allowed_paths=[{"from": "n1", "to": "n2"}])
""",
        seconds=20,
    )


def _entries(of: Connectivity) -> list[dict[str, Any]]:
    """Exactly the ways that are open among workloads, and to and from addresses."""
    found: list[dict[str, Any]] = []

    def add(source: str, destination: str, connections: Connections) -> None:
        listed = [f"{start}-{end}/{protocol}" for protocol in PROTOCOLS for start, end in connections.of(protocol)]
        if listed:
            found.append({"from": source, "to": destination, "ports": listed})

    for first in of.workloads:
        for second in of.workloads:
            if first is not second:
                add(first.name, second.name, of.between(first, second).open)
        for block, answer in of.outside(first, "egress"):
            for cidr in block.cidrs():
                add(first.name, cidr, answer.open)
        for block, answer in of.outside(first, "ingress"):
            for cidr in block.cidrs():
                add(cidr, first.name, answer.open)
    return found


@settings(max_examples=100, deadline=None)
@given(policies(), st.randoms(use_true_random=False))
def test_a_list_of_all_open_ways_leaves_none_and_each_of_them_is_needed(texts: list[str], chance: Random) -> None:
    text = CLUSTER + "".join(texts)
    entries = _entries(net(text))
    beyond = ("any other pod", "kube-system/kube-dns")
    for found in open_ways(text, *entries):
        assert any(end in found.message for end in beyond), found.message
    # What is open is open, so each entry is kept.
    assert {o.kind for o in outcomes("allowed-path-closed", text, allowed_paths=entries)} <= {"pass"}
    # No policy names IPv6, so it is not looked at by itself.
    choice = [entry for entry in entries if ":" not in entry["from"] + entry["to"]]
    if choice:
        missing = chance.choice(choice)
        entries.remove(missing)
        messages = [found.message for found in each_outcome("path-not-allowed", text, allowed_paths=entries)]
        named = [end for end in (missing["from"], missing["to"]) if end.endswith("[Pod]")]
        assert any(all(end in message for end in named) or " more" in message for message in messages)


# --- paths that are closed ---


def test_an_allowed_path_that_is_open_passes() -> None:
    assert closed_paths(CLOSED + OUT + IN, ALLOWED) == {Outcome("pass", "Pod data/db", "")}
    assert closed_paths(ENDS, ALLOWED) == {Outcome("pass", "Pod data/db", "")}


def test_the_end_that_closes_is_named() -> None:
    (found,) = closed_paths(CLOSED + OUT, ALLOWED)
    assert found == fail("NetworkPolicy data/deny", "spec.podSelector")
    assert "the callee's ingress is isolated by NetworkPolicy data/deny, and no rule opens it" in found.message
    (found,) = closed_paths(CLOSED + IN, ALLOWED)
    assert found == fail("NetworkPolicy shop/deny", "spec.podSelector")
    (found,) = closed_paths(CLOSED, ALLOWED)
    assert found == fail("NetworkPolicy shop/deny", "spec.podSelector")
    assert found.related == ("NetworkPolicy data/deny spec.podSelector",)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (OUT.replace("kubernetes.io/metadata.name: data", "name: data"), "to[0].namespaceSelector.matchLabels.name"),
        (OUT.replace("app: db", "app: database"), "to[0].podSelector.matchLabels.app"),
        (OUT.replace("port: 5432", "port: 5433"), ""),
    ],
)
def test_a_rule_that_misses_is_pointed_at(rule: str, path: str) -> None:
    (found,) = closed_paths(CLOSED + IN + rule, ALLOWED)
    if path:
        assert found == fail("NetworkPolicy shop/p", f"spec.egress[0].{path}")
    else:
        assert found == fail("NetworkPolicy shop/p", "spec.egress[0].ports")
        assert "which opens TCP 5433 of it" in found.message


def test_some_of_the_ports_are_not_enough() -> None:
    (found,) = closed_paths(CLOSED + OUT + IN, {**ALLOWED, "ports": [5432, 9187]})
    assert found == fail("NetworkPolicy shop/p", "spec.egress[0].ports")
    assert closed_paths(CLOSED + OUT + IN, {"from": "shop", "to": "data"}) == {Outcome("pass", "Pod data/db", "")}


def test_of_a_pattern_one_way_has_to_be_open() -> None:
    text = CLOSED + "---\n" + pods(data__cache="app=cache") + OUT + IN
    assert {o.kind for o in closed_paths(text, {"from": "shop", "to": "data", "ports": [5432]})} == {"pass"}
    assert {o.kind for o in closed_paths(text, {"from": "shop", "to": "data/cache"})} == {"fail"}


def test_what_is_not_among_the_inputs_is_not_judged() -> None:
    for path in ({"from": "shop/web", "to": "data/queue"}, {"from": "ingress-nginx", "to": "shop/web"}):
        assert closed_paths(CLOSED, path) == {Outcome("not-judged", "", "unknown-end")}


def test_ways_to_the_outside_and_to_the_name_server() -> None:
    for end in ("internet", "10.0.0.0/8", "dns"):
        assert closed_paths(CLOSED, {"from": "shop/web", "to": end}) == {
            fail("NetworkPolicy shop/deny", "spec.podSelector")
        }
        assert {o.kind for o in closed_paths(ENDS, {"from": "shop/web", "to": end})} == {"pass"}
    assert {o.kind for o in closed_paths(ENDS, {"from": "internet", "to": "shop/web"})} == {"pass"}


def test_labels_of_an_undeclared_namespace_may_open_it() -> None:
    text = CLOSED.replace(namespace("data"), "") + IN + OUT.replace("kubernetes.io/metadata.name: data", "team: data")
    assert {o.words for o in closed_paths(text, ALLOWED)} == {"unknown-connectivity"}


def test_a_path_that_an_admin_policy_closes() -> None:
    rule = "{subject: {namespaces: {}}, priority: 1, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"
    (found,) = closed_paths(CLOSED + OUT + IN + admin_policy(rule), ALLOWED)
    assert found == fail("AdminNetworkPolicy a", "spec.ingress[0]")


def test_a_path_whose_ends_open_different_ports() -> None:
    text = CLOSED + OUT.replace("5432", "5433") + IN
    (found,) = closed_paths(text, {"from": "shop/web", "to": "data/db"})
    assert found == fail("NetworkPolicy shop/p", "spec.egress[0].to[0]")
    assert found.related == ("NetworkPolicy data/p spec.ingress[0].from[0]",)
    assert "opens TCP 5433 for egress; NetworkPolicy data/p opens TCP 5432 for ingress" in found.message


# --- environments ---


def test_a_way_between_environments() -> None:
    environments = {"development": ["shop"], "production": ["data"]}
    (found,) = outcomes("cross-environment-path", CLOSED + OUT + IN, environments=environments)
    assert found == fail("NetworkPolicy data/p", "spec.ingress[0].from[0]")
    assert "a way between environments: shop/web[Pod] → data/db[Pod] (TCP 5432)" in found.message
    found_none = outcomes("cross-environment-path", CLOSED, environments=environments)
    assert {outcome.kind for outcome in found_none} == {"pass"}
    assert outcomes("cross-environment-path", ENDS, environments={"one": ["shop", "data"]}) == {
        Outcome("pass", "Pod shop/web", ""),
        Outcome("pass", "Pod data/db", ""),
    }
    assert outcomes("cross-environment-path", ENDS) == set()


def test_a_namespace_in_two_environments_is_told() -> None:
    environments = {"prod": ["shop", "data"], "every": ["shop*"]}
    found = outcomes("cross-environment-path", CLOSED + OUT + IN, environments=environments)
    (said,) = (outcome for outcome in found if outcome.kind == "not-judged")
    assert said == Outcome("not-judged", "Pod shop/web", "ambiguous-environment")
    assert said.message == "namespace shop is in environments every and prod"


# --- what rules name and the inputs do not have ---

PARTNER = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: partner}}"


def _from_partner(peer: str, types: str = "Ingress") -> str:
    rule = f"ingress: [{{from: [{{{peer}}}]}}]" if types == "Ingress" else f"egress: [{{to: [{{{peer}}}]}}]"
    spec = f"{{podSelector: {{}}, policyTypes: [{types}], {rule}}}"
    return CLOSED + policy(spec, namespace="data")


@pytest.mark.parametrize("declared", ["", namespace("partner")])
@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_ways_of_a_namespace_that_is_not_among_the_inputs_are_found(declared: str, direction: str) -> None:
    text = _from_partner(PARTNER, direction) + declared
    (found,) = open_ways(text, ALLOWED)
    side = "ingress[0].from[0]" if direction == "Ingress" else "egress[0].to[0]"
    assert found == fail("NetworkPolicy data/p", f"spec.{side}")
    assert "pods of namespace partner (not among the inputs)" in found.message
    end, other = ("from", "to") if direction == "Ingress" else ("to", "from")
    for name, clean in (("partner", True), ("partner/*", True), ("part*", True), ("*", True), ("partner/api", False)):
        assert (open_ways(text, {end: name, other: "data"}) == set()) is clean, name


def test_a_workload_that_is_not_among_the_inputs_is_known_by_a_label_or_not_judged() -> None:
    text = _from_partner(f"{PARTNER}, podSelector: {{matchLabels: {{app: api}}}}")
    assert len(open_ways(text, ALLOWED)) == 1
    assert open_ways(text, {"from": "partner/api", "to": "data"}) == set()
    found = outcomes("path-not-allowed", text, allowed_paths=[{"from": "partner/client", "to": "data"}])
    assert Outcome("not-judged", "Pod data/db", "unknown-end") in found
    assert Outcome("pass", "Pod data/db", "") not in found
    assert not [outcome for outcome in found if outcome.kind == "fail"]


@pytest.mark.parametrize("declared", ["", namespace("partner")])
def test_ways_between_environments_where_one_is_not_among_the_inputs(declared: str) -> None:
    text = _from_partner(PARTNER) + declared
    (found,) = outcomes("cross-environment-path", text, environments={"one": ["data"], "two": ["partner"]})
    assert found == fail("NetworkPolicy data/p", "spec.ingress[0].from[0]")
    for environments in ({"one": ["data", "partner"]}, {"one": ["data"]}):
        assert outcomes("cross-environment-path", text, environments=environments) == {
            Outcome("pass", "Pod data/db", "")
        }


@pytest.mark.parametrize(
    "end", ["kube-system/*", "kube-*", "kube-system/kube-dns[Deployment]", "kube-system/coredns", "kube-*/coredns"]
)
def test_patterns_mean_the_name_server(end: str) -> None:
    peer = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}"
    for more in ("", ", podSelector: {matchLabels: {k8s-app: kube-dns}}"):
        rule = f"{{to: [{{{peer}{more}}}], ports: [{{protocol: UDP, port: 53}}]}}"
        text = CLOSED + policy(f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{rule}]}}")
        assert open_ways(text, {"from": "shop", "to": end, "ports": ["53/UDP"]}) == set()


def test_a_closed_path_points_at_the_side_that_is_known() -> None:
    foreign = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: shop}\n"
    text = CLOSED + foreign + "spec: {endpointSelector: {}, egress: [{}]}\n"
    (found,) = closed_paths(text, ALLOWED)
    assert found == fail("NetworkPolicy data/deny", "spec.podSelector")
    assert "caller" not in found.message
    assert found.related == ()


def test_an_address_that_several_peers_hold_counts_for_the_first() -> None:
    blocks = "{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.1.0.0/16}}, {ipBlock: {cidr: 11.0.0.0/8}}"
    spec = f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{blocks}], {PORT}}}]}}"
    found = open_ways(CLOSED + policy(spec), {"from": "shop", "to": "10.0.0.0/12", "ports": [5432]})
    assert {outcome.words: outcome.message.partition(": ")[2] for outcome in found} == {
        "spec.egress[0].to[0].ipBlock.cidr": "shop/web[Pod] → 10.16.0.0/12, 10.32.0.0/11, 10.64.0.0/10 and 1 more"
        " (TCP 5432)",
        "spec.egress[0].to[2].ipBlock.cidr": "shop/web[Pod] → internet (TCP 5432)",
    }


def test_many_blocks_of_addresses_take_no_time_for_each_pair() -> None:
    run_within_seconds(
        "from checks.network_outcomes import outcomes\n"
        "from analysis.network.cluster_kit import policy, pods\n"
        "names = [f'w{n}' for n in range(400)]\n"
        "text = pods(**{f'shop__{name}': f'app={name}' for name in names})\n"
        "for n, name in enumerate(names):\n"
        "    blocks = ', '.join(f'{{ipBlock: {{cidr: {20 + m}.{n // 250}.{n % 250}.0/24}}}}' for m in range(5))\n"
        "    select = f'podSelector: {{matchLabels: {{app: {name}}}}}'\n"
        "    text += policy(f'{{{select}, policyTypes: [Egress], egress: [{{to: [{blocks}]}}]}}', name=name)\n"
        "found = outcomes('path-not-allowed', text, allowed_paths=[{'from': '*', 'to': '*'}])\n"
        "assert len([outcome for outcome in found if outcome.kind == 'fail']) == 5 * 400 + 1, len(found)\n",
        seconds=15,
    )


def test_a_baseline_that_nobody_asks_opens_no_way() -> None:
    egress = "[{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}]"
    text = pods(shop__web="app=web") + policy(
        f"{{podSelector: {{}}, policyTypes: [Ingress, Egress], egress: {egress}}}"
    )
    baseline = "{subject: {namespaces: {}}, egress: [{name: a, action: Allow, to: [{networks: [0.0.0.0/0]}]}]}"
    text += admin_policy(baseline, kind="BaselineAdminNetworkPolicy")
    found = outcomes("path-not-allowed", text, allowed_paths=[{"from": "nobody/x", "to": "nobody/y"}])
    assert {outcome.about for outcome in found if outcome.kind == "fail"} == {"NetworkPolicy shop/p"}
