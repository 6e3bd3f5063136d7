"""Rules of kubeassay.checks.network_egress."""

from __future__ import annotations

import pytest

from analysis.network.cluster_kit import admin_policy, namespace, pods, policy
from checks.network_outcomes import Outcome, outcomes

WEB = pods(shop__web="app=web", shop__db="app=db")
DENY = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}", name="deny")
TO_DB = policy("{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}")
UDP = "ports: [{protocol: UDP, port: 53}]"
NAMESPACE = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}"
CIDR = "spec.egress[0].to[0].ipBlock.cidr"
WEB_FAILS = Outcome("fail", "NetworkPolicy shop/deny", "spec.policyTypes[1]")


def egress(rules: str, *, name: str = "dns") -> str:
    return policy(f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{rules}]}}", name=name)


def of_web(rule: str, text: str, **parameters: object) -> set[str]:
    """What is said of Pod shop/web, or else of policies."""
    found = outcomes(rule, text, **parameters)
    own = {outcome.kind for outcome in found if outcome.about == "Pod shop/web"}
    return own or {outcome.kind for outcome in found if outcome.about.startswith("NetworkPolicy")}


# --- names ---


def test_a_workload_that_sends_something_and_resolves_nothing_points_at_the_policy_that_isolates_most() -> None:
    (found,) = outcomes("dns-egress-missing", WEB + DENY + TO_DB)
    assert found == WEB_FAILS
    assert "shop/web[Pod]" in found.message
    assert "shop/db[Pod]" not in found.message
    assert found.related == ("NetworkPolicy shop/p spec.egress[0]",)


def test_a_workload_that_may_send_nothing_needs_no_names() -> None:
    assert outcomes("dns-egress-missing", WEB + DENY) == set()


def test_a_workload_that_nothing_isolates_resolves_names() -> None:
    assert outcomes("dns-egress-missing", WEB + policy("{podSelector: {}}")) == set()


PRIVATE = "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (f"{{to: [{{{NAMESPACE}, podSelector: {{matchLabels: {{k8s-app: kube-dns}}}}}}], {UDP}}}", "pass"),
        (f"{{to: [{{{NAMESPACE}}}], {UDP}}}", "pass"),
        (f"{{to: [{{{NAMESPACE}}}], ports: [{{protocol: UDP, port: dns}}]}}", "pass"),
        (f"{{to: [{{{NAMESPACE}}}]}}", "pass"),
        ("{to: [{namespaceSelector: {}}]}", "pass"),
        (f"{{{UDP}}}", "pass"),
        # A name server by its address.
        (f"{{to: [{{ipBlock: {{cidr: 169.254.20.10/32}}}}], {UDP}}}", "pass"),
        ("{to: [{ipBlock: {cidr: 169.254.20.10/32}}]}", "pass"),
        (f"{{to: [{{ipBlock: {{cidr: 8.8.8.8/32}}}}], {UDP}}}", "pass"),
        # Addresses that are open on every port are not there for names.
        ("{to: [{ipBlock: {cidr: 203.0.113.7/32}}]}", "fail"),
        (
            f"{{to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [{PRIVATE}, 169.254.0.0/16]}}}}]}}",
            "fail",
        ),
        # A private range that is open may hold the name server, for plug-ins that hold pods to addresses.
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.0.0/16]}}]}", "not-judged"),
        ("{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}", "not-judged"),
        # TCP alone answers what is too long for UDP; nobody asks it first.
        (f"{{to: [{{{NAMESPACE}}}], ports: [{{port: 53}}]}}", "fail"),
        ("{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 443}]}", "fail"),
        # Someone's own name server, among the inputs and not.
        (f"{{to: [{{podSelector: {{matchLabels: {{app: db}}}}}}], {UDP}}}", "pass"),
        (f"{{to: [{{podSelector: {{matchLabels: {{app: unbound}}}}}}], {UDP}}}", "not-judged"),
        (f"{{to: [{{namespaceSelector: {{matchLabels: {{name: kube-system}}}}}}], {UDP}}}", "not-judged"),
    ],
)
def test_what_opens_the_way_to_a_name_server(rules: str, expected: str) -> None:
    assert of_web("dns-egress-missing", WEB + DENY + TO_DB + egress(rules)) == {expected}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("{to: [{namespaceSelector: {}}], ports: [{port: 53}]}", "of the name server TCP 53 alone is open"),
        ("{to: [{ipBlock: {cidr: 203.0.113.7/32}}]}", "what is open of UDP 53 are addresses outside the cluster"),
        ("{ports: [{port: 443}]}", "nothing opens UDP 53 of the name server"),
    ],
)
def test_what_is_said_of_port_53_is_true(rules: str, words: str) -> None:
    (found,) = (o for o in outcomes("dns-egress-missing", pods(shop__web="app=web") + DENY + egress(rules)))
    assert found == WEB_FAILS
    assert words in found.message


def test_a_policy_of_the_cluster_that_denies_what_others_open_is_to_blame() -> None:
    deny = (
        "{priority: 5, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}],"
        " ports: [{portNumber: {protocol: UDP, port: 53}}]}]}"
    )
    text = pods(shop__web="app=web") + admin_policy(deny)
    opened = egress("{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {namespaceSelector: {}}]}")
    assert outcomes("dns-egress-missing", text + opened) == {Outcome("fail", "AdminNetworkPolicy a", "spec.egress[0]")}
    both = egress("{to: [{namespaceSelector: {}}], ports: [{port: 443}]}", name="deny")
    assert {o.about for o in outcomes("dns-egress-missing", text + both)} == {"NetworkPolicy shop/deny"}


def test_whether_a_policy_of_the_cluster_denies_names_is_not_known_where_two_disagree() -> None:
    tie = "".join(
        admin_policy(
            "{priority: 5, subject: {namespaces: {}},"
            f" egress: [{{action: {action}, to: [{{namespaces: {{}}}}]}}]}}",
            name=action.lower(),
        )
        for action in ("Allow", "Deny")
    )
    found = outcomes("dns-egress-missing", pods(shop__web="app=web") + DENY + tie)
    assert found == {Outcome("not-judged", "Pod shop/web", "unknown-connectivity")}


def test_a_name_server_among_the_inputs_is_asked_itself() -> None:
    server = pods(kube_system__coredns="k8s-app=kube-dns").replace("kube_system", "kube-system")
    dns = egress(f"{{to: [{{{NAMESPACE}}}], {UDP}}}")
    text = WEB + DENY + TO_DB + dns + "---\n" + server
    assert of_web("dns-egress-missing", text) == {"pass"}
    closed = policy("{podSelector: {}}", namespace="kube-system", name="closed")
    assert of_web("dns-egress-missing", text + closed) == {"pass"}, "a rule opens port 53 to what is there"


def test_a_name_server_elsewhere_is_a_parameter() -> None:
    space = NAMESPACE.replace("kube-system", "openshift-dns")
    rule = f"{{to: [{{{space}}}], ports: [{{protocol: UDP, port: 5353}}]}}"
    text = WEB + DENY + TO_DB + egress(rule)
    parameters = {"dns_namespace": "openshift-dns", "dns_labels": {"dns": "default"}, "dns_ports": [5353]}
    assert of_web("dns-egress-missing", text, **parameters) == {"not-judged"}
    server = "---\n" + pods(openshift_dns__dns="dns=default").replace("openshift_dns", "openshift-dns")
    assert of_web("dns-egress-missing", text + server, **parameters) == {"pass"}
    assert of_web("dns-egress-missing", WEB + DENY + TO_DB + server, **parameters) == {"fail"}


def test_an_admin_policy_opens_the_way_too() -> None:
    rule = "{subject: {namespaces: {}}, priority: 1, egress: [{action: Allow, to: [{namespaces: {}}]}]}"
    assert of_web("dns-egress-missing", WEB + DENY + TO_DB + admin_policy(rule)) == {"pass"}


def test_a_policy_without_a_namespace_denies_wherever_it_is_applied() -> None:
    loose = DENY.replace(", namespace: shop", "")
    found = outcomes("dns-egress-missing", WEB + loose + TO_DB)
    assert Outcome("fail", "NetworkPolicy deny", "spec.policyTypes[1]") in found
    for text in (WEB + loose, WEB + loose + TO_DB + egress(f"{{to: [{{{NAMESPACE}}}], {UDP}}}")):
        assert {o for o in outcomes("dns-egress-missing", text) if o.about == "NetworkPolicy deny"} == set()


# --- addresses ---


@pytest.mark.parametrize(
    ("rules", "internet", "metadata"),
    [
        (
            "{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}",
            CIDR,
            CIDR,
        ),
        ("{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}}]}", CIDR, None),
        ("{}", "spec.egress[0]", "spec.egress[0]"),
        ("{ports: [{port: 443}]}", "spec.egress[0]", None),
        ("{ports: [{protocol: UDP, port: 53}, {port: 53}]}", None, None),
        ("{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}", None, None),
        ("{to: [{ipBlock: {cidr: 8.8.0.0/16}}]}", None, None),
        ("{to: [{ipBlock: {cidr: 8.0.0.0/8}}]}", CIDR, None),
        (
            "{to: [{ipBlock: {cidr: 169.254.169.254/32}}], ports: [{port: 80}]}",
            None,
            CIDR,
        ),
        ("{to: [{ipBlock: {cidr: 169.254.169.254/32}}], ports: [{port: 443}]}", None, None),
        ("{to: [{ipBlock: {cidr: 'fd00:ec2::/64'}}]}", None, CIDR),
        ("{to: [{namespaceSelector: {}}]}", None, None),
        # The internet, as IPv6 writes IPv4.
        ("{to: [{ipBlock: {cidr: '64:ff9b::/96'}}]}", CIDR, None),
        ("{to: [{ipBlock: {cidr: '64:ff9b::808:808/128'}}]}", None, None),
    ],
)
def test_where_addresses_are_opened(rules: str, internet: str | None, metadata: str | None) -> None:
    text = pods(shop__web="app=web") + egress(rules, name="p")
    for rule, path in (("egress-to-internet", internet), ("egress-to-metadata-address", metadata)):
        expected = Outcome("fail", "NetworkPolicy shop/p", path) if path else Outcome("pass", "Pod shop/web", "")
        assert outcomes(rule, text) == {expected}


def test_what_nothing_isolates_is_one_finding_a_namespace() -> None:
    text = WEB + "---\n" + pods(data__db="app=db")
    assert outcomes("egress-to-internet", text) == {
        Outcome("fail", "Pod data/db", "metadata.name"),
        Outcome("fail", "Pod shop/db", "metadata.name"),
    }
    assert outcomes("egress-to-internet", text, isolated_only=True) == set()


def test_workloads_that_may_are_left_out() -> None:
    text = WEB + egress("{}")
    (found,) = {o for o in outcomes("egress-to-internet", text, allowed=["shop/web"]) if o.kind == "fail"}
    assert "shop/db[Pod]" in found.message
    assert "shop/web[Pod]" not in found.message
    assert outcomes("egress-to-internet", text, allowed=["shop"]) == set()


def test_a_few_blocks_of_one_rule_are_the_internet_together_only_where_one_is() -> None:
    """A rule that opens everything is the cause, not the one beside it that opens a partner's address."""
    text = pods(shop__web="app=web") + egress("{to: [{ipBlock: {cidr: 8.8.8.8/32}}, {ipBlock: {cidr: 0.0.0.0/0}}]}")
    assert outcomes("egress-to-internet", text) == {
        Outcome("fail", "NetworkPolicy shop/dns", "spec.egress[0].to[1].ipBlock.cidr")
    }


def test_blocks_of_one_rule_that_are_the_internet_only_together_point_at_the_rule() -> None:
    blocks = ", ".join(f"{{ipBlock: {{cidr: 51.{n}.0.0/16}}}}" for n in range(0, 8, 2))
    rule = f"{{ports: [{{port: 443}}], to: [{blocks}]}}"
    text = pods(shop__web="app=web") + egress(rule)
    assert outcomes("egress-to-internet", text) == {Outcome("fail", "NetworkPolicy shop/dns", "spec.egress[0]")}
    assert {o.kind for o in outcomes("egress-to-internet", text, most_addresses=4 * 65536)} == {"pass"}


def test_what_a_policy_of_the_cluster_opens_over_its_default_is_one_finding() -> None:
    deny = "{subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0, '::/0']}]}]}"
    allow = (
        "{priority: 5, subject: {namespaces: {}}, egress: [{action: Allow, to: [{networks: [0.0.0.0/0]}],"
        " ports: [{portNumber: {protocol: TCP, port: 443}}]}]}"
    )
    text = pods(shop__web="app=web") + admin_policy(deny, kind="BaselineAdminNetworkPolicy") + admin_policy(allow)
    expected = {Outcome("fail", "AdminNetworkPolicy a", "spec.egress[0].to[0].networks[0]")}
    assert outcomes("egress-to-internet", text) == expected


def test_the_api_server_is_a_parameter() -> None:
    text = pods(shop__web="app=web") + egress("{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 443}]}")
    assert outcomes("egress-to-api-server", text) == set()
    expected = {Outcome("fail", "NetworkPolicy shop/dns", CIDR)}
    assert outcomes("egress-to-api-server", text, api_server=["10.20.0.0/28"]) == expected
    assert outcomes("egress-to-api-server", text, api_server=["10.20.0.1"]) == expected
    assert {o.kind for o in outcomes("egress-to-api-server", text, api_server=["172.20.0.1"])} == {"pass"}
    assert {o.kind for o in outcomes("egress-to-api-server", text, api_server=["10.20.0.1"], ports=[6443])} == {"pass"}


def test_what_is_no_address_is_an_error_of_the_parameter() -> None:
    with pytest.raises(ValueError, match="neither an address nor a CIDR"):
        outcomes("egress-to-api-server", WEB, api_server=["api.example"])


def test_an_admin_policy_that_denies_closes_the_way() -> None:
    rule = "{subject: {namespaces: {}}, priority: 1, egress: [{action: Deny, to: [{networks: [169.254.169.254/32]}]}]}"
    text = namespace("shop") + "---\n" + pods(shop__web="app=web") + admin_policy(rule)
    assert {outcome.kind for outcome in outcomes("egress-to-metadata-address", text)} == {"pass"}
