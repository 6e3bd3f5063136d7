"""Hand-worked cases of every subtlety of NetworkPolicy and the admin policies."""

from __future__ import annotations

import pytest

from analysis.network.cluster_kit import admin_policy, namespace, net, opened, outside, pods, policy
from kubeassay.analysis.network.connectivity import connectivity
from kubeassay.model import Inventory, format_path
from kubeassay.sources.manifests import read_bytes

TWO = pods(shop__web="app=web", shop__db="app=db sql:5432", bank__api="app=api")
ALL, NONE = "All Connections", "No Connections"


def test_without_policies_everything_is_open() -> None:
    of = net(TWO)
    assert opened(of, "shop/web", "bank/api") == ALL
    assert outside(of, "shop/web", "egress") == {"0.0.0.0/0": ALL, "::/0": ALL}


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        # policyTypes unset: Ingress always; Egress only with egress rules.
        ("{podSelector: {}}", NONE, ALL),
        ("{podSelector: {}, policyTypes: []}", NONE, ALL),
        ("{podSelector: {}, egress: []}", NONE, ALL),
        ("{podSelector: {}, ingress: []}", NONE, ALL),
        ("{podSelector: {}, egress: [{ports: [{port: 1}]}]}", NONE, "TCP 1"),
        ("{podSelector: {}, ingress: [{}]}", ALL, ALL),
        ("{podSelector: {}, policyTypes: [Egress]}", ALL, NONE),
        ("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}", ALL, NONE),
        ("{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}", NONE, ALL),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", NONE, NONE),
        # An absent podSelector is an empty one.
        ("{policyTypes: [Ingress]}", NONE, ALL),
        # A policy that selects no pod isolates none.
        ("{podSelector: {matchLabels: {app: nobody}}}", ALL, ALL),
        ("{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}", NONE, ALL),
        ("{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}", ALL, ALL),
        ("{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}}", NONE, ALL),
        ("{podSelector: {matchExpressions: [{key: app, operator: In, values: [web, x]}]}}", NONE, ALL),
        ("{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}", ALL, ALL),
    ],
)
def test_whom_and_what_a_policy_isolates(spec: str, ingress: str, egress: str) -> None:
    of = net(TWO, policy(spec))
    assert opened(of, "bank/api", "shop/web") == ingress
    assert opened(of, "shop/web", "bank/api") == egress


@pytest.mark.parametrize(
    ("peers", "web", "api", "world"),
    [
        ("", ALL, ALL, ALL),
        ("from: [], ", ALL, ALL, ALL),
        # A pod selector alone means the policy's own namespace.
        ("from: [{podSelector: {}}], ", ALL, NONE, NONE),
        ("from: [{podSelector: {matchLabels: {app: api}}}], ", NONE, NONE, NONE),
        ("from: [{namespaceSelector: {}}], ", ALL, ALL, NONE),
        ("from: [{namespaceSelector: {matchLabels: {team: money}}}], ", NONE, ALL, NONE),
        ("from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bank}}}], ", NONE, ALL, NONE),
        # In one peer both must hold; two peers are alternatives.
        ("from: [{namespaceSelector: {matchLabels: {team: money}}, podSelector: {matchLabels: {app: web}}}], ",
         NONE, NONE, NONE),
        ("from: [{namespaceSelector: {matchLabels: {team: money}}}, {podSelector: {matchLabels: {app: web}}}], ",
         ALL, ALL, NONE),
        # Blocks mean addresses outside, never pods.
        ("from: [{ipBlock: {cidr: 0.0.0.0/0}}], ", NONE, NONE, ALL),
    ],
)  # fmt: skip
def test_peers(peers: str, web: str, api: str, world: str) -> None:
    selector = "podSelector: {matchLabels: {app: db}}"
    spaces = namespace("bank", team="money") + namespace("shop")
    of = net(TWO, spaces, policy(f"{{{selector}, ingress: [{{{peers}}}]}}"))
    assert opened(of, "shop/web", "shop/db") == web
    assert opened(of, "bank/api", "shop/db") == api
    assert outside(of, "shop/db", "ingress").get("0.0.0.0/0", NONE) == world


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ("[]", ALL),
        ("[{port: 80}]", "TCP 80"),
        ("[{port: 80, protocol: UDP}]", "UDP 80"),
        ("[{protocol: UDP}]", "UDP 1-65535"),
        ("[{}]", "TCP 1-65535"),
        ("[{port: 80, endPort: 90}, {port: 85, endPort: 99}]", "TCP 80-99"),
        ("[{port: 53, protocol: UDP}, {port: 53}]", "TCP 53,UDP 53"),
        # A name is that of the destination's container, of the same protocol.
        ("[{port: sql}]", "TCP 5432"),
        ("[{port: sql, protocol: UDP}]", NONE),
        ("[{port: nosuch}]", NONE),
    ],
)
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_ports(ports: str, expected: str, direction: str) -> None:
    app = "db" if direction == "ingress" else "web"
    spec = f"{{podSelector: {{matchLabels: {{app: {app}}}}}, policyTypes: [{direction.capitalize()}], "
    of = net(TWO, policy(f"{spec}{direction}: [{{ports: {ports}}}]}}"))
    assert opened(of, "shop/web", "shop/db") == expected


def test_a_named_port_is_that_of_each_destination_and_of_none_outside() -> None:
    of = net(
        pods(shop__web="app=web", shop__a="http:8080", shop__b="http:9090 http2:1", shop__c="web:8080"),
        "---\n",
        pods(shop__d="http:53/UDP"),
        policy("{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}"),
    )  # fmt: skip
    assert [opened(of, "shop/web", f"shop/{name}") for name in "abcd"] == ["TCP 8080", "TCP 9090", NONE, NONE]
    assert outside(of, "shop/web", "egress") == {}


def test_ports_and_peers_of_one_rule_both_hold_and_rules_add_up() -> None:
    of = net(
        TWO,
        policy(
            "{podSelector: {matchLabels: {app: db}}, ingress: ["
            "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]},"
            "{from: [{namespaceSelector: {}}], ports: [{port: 9187}]}]}"
        ),
        policy("{podSelector: {}, ingress: [{ports: [{port: 22}]}]}", name="other"),
    )
    assert opened(of, "shop/web", "shop/db") == "TCP 22,5432,9187"
    assert opened(of, "bank/api", "shop/db") == "TCP 22,9187"
    assert outside(of, "shop/db", "ingress")["0.0.0.0/0"] == "TCP 22"


def test_both_ends_must_allow() -> None:
    egress = policy("{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 1, endPort: 100}]}]}")
    ingress = policy("{podSelector: {}, ingress: [{ports: [{port: 50, endPort: 200}]}]}", namespace="bank")
    assert opened(net(TWO, egress, ingress), "shop/web", "bank/api") == "TCP 50-100"


def test_blocks_with_exceptions_are_exact() -> None:
    of = net(
        TWO,
        policy(
            "{podSelector: {}, policyTypes: [Egress], egress: ["
            "{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}], ports: [{port: 443}]},"
            "{to: [{ipBlock: {cidr: 10.1.2.3/32}}, {ipBlock: {cidr: 'fd00::/8'}}]}]}"
        ),
    )
    found = outside(of, "shop/web", "egress")
    assert found == {
        "10.0.0.0/16": "TCP 443",
        "10.1.2.3/32": ALL,
        "10.3.0.0/16": "TCP 443",
        **{f"10.{2**n}.0.0/{16 - n}": "TCP 443" for n in range(2, 8)},
        "fd00::/8": ALL,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("selector", "answer"),
    [
        ("{matchLabels: {team: x}}", f"{NONE} ? {ALL}"),
        ("{matchExpressions: [{key: team, operator: DoesNotExist}]}", f"{NONE} ? {ALL}"),
        ("{matchLabels: {team: x, kubernetes.io/metadata.name: other}}", NONE),
        ("{matchLabels: {kubernetes.io/metadata.name: bank}}", ALL),
        ("{}", ALL),
    ],
)
def test_of_a_namespace_that_is_not_declared_only_the_label_of_its_name_is_known(selector: str, answer: str) -> None:
    spec = f"{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {selector}}}]}}]}}"
    of = net(TWO, policy(spec))
    assert opened(of, "bank/api", "shop/db") == answer
    assert {(gap.key, gap.namespaces) for gap in of.gaps} == (
        {("team", ("bank", "shop"))} if "team" in selector else set()
    )
    # With the namespaces among the inputs there is no gap.
    declared = net(TWO, namespace("bank"), namespace("shop"), policy(spec))
    assert declared.gaps == ()
    assert opened(declared, "bank/api", "shop/db") == (ALL if "DoesNotExist" in selector else answer.partition(" ?")[0])


HOST = pods(shop__agent="app=agent host", shop__web="app=web", bank__api="app=api")


@pytest.mark.parametrize(
    ("spec", "from_host", "to_host"),
    [
        # A policy may apply to pods on the node's network or not: what both readings allow is open.
        ("{podSelector: {matchLabels: {app: agent}}}", ALL, f"{NONE} ? {ALL}"),
        ("{podSelector: {matchLabels: {app: web}}}", NONE, ALL),
        ("{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}", f"{NONE} ? {ALL}", ALL),
        ("{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 1}]}]}", "TCP 1", ALL),
        ("{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
         f"{NONE} ? {ALL}", ALL),
    ],
)  # fmt: skip
def test_pods_on_the_nodes_network(spec: str, from_host: str, to_host: str) -> None:
    of = net(HOST, policy(spec))
    assert opened(of, "shop/agent", "shop/web") == from_host
    assert opened(of, "bank/api", "shop/agent") == to_host


def test_admin_policies_do_not_select_pods_on_the_nodes_network() -> None:
    deny = "{action: Deny, from: [{namespaces: {}}]}"
    of = net(HOST, admin_policy(f"{{priority: 1, subject: {{namespaces: {{}}}}, ingress: [{deny}]}}"))
    assert opened(of, "bank/api", "shop/agent") == ALL
    assert opened(of, "bank/api", "shop/web") == NONE


# --- admin policies ---


def admin(action: str, *, priority: int = 10, ports: str = "", subject: str = "namespaces: {}", name: str = "a") -> str:
    rule = f"{{action: {action}, from: [{{namespaces: {{}}}}]{ports and f', ports: {ports}'}}}"
    return admin_policy(f"{{priority: {priority}, subject: {{{subject}}}, ingress: [{rule}]}}", name=name)


def baseline(action: str, ports: str = "") -> str:
    rule = f"{{action: {action}, from: [{{namespaces: {{}}}}]{ports and f', ports: {ports}'}}}"
    return admin_policy(f"{{subject: {{namespaces: {{}}}}, ingress: [{rule}]}}", kind="BaselineAdminNetworkPolicy")


P80, P81 = "[{portNumber: {port: 80}}]", "[{portNumber: {port: 81}}]"
DENY_ALL = policy("{podSelector: {}}")
OPEN_ALL = policy("{podSelector: {}, ingress: [{}]}")


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        # Admin before NetworkPolicy.
        (admin("Allow", ports=P80) + DENY_ALL, "TCP 80"),
        (admin("Deny", ports=P80) + OPEN_ALL, "SCTP 1-65535,TCP 1-79,81-65535,UDP 1-65535"),
        # Pass leaves it to NetworkPolicies, and admin policies after it say no more.
        (admin("Pass", ports=P80) + admin("Deny", priority=20, name="b") + OPEN_ALL, "TCP 80"),
        (admin("Pass", ports=P80) + admin("Deny", priority=20, name="b") + DENY_ALL, NONE),
        # The lower number comes first, whatever the order of the files.
        (admin("Deny", priority=20, name="b") + admin("Allow", priority=10, ports=P80), "TCP 80"),
        (admin("Deny", priority=5, name="b") + admin("Allow", priority=10, ports=P80), NONE),
        # Baseline holds for pods that no NetworkPolicy selects.
        (baseline("Deny"), NONE),
        (baseline("Deny") + OPEN_ALL, ALL),
        (baseline("Deny", P80), "SCTP 1-65535,TCP 1-79,81-65535,UDP 1-65535"),
        (baseline("Deny") + admin("Pass", ports=P80), NONE),
        (baseline("Deny") + admin("Allow", ports=P80), "TCP 80"),
        # Ties are undefined where they disagree.
        (admin("Allow", ports=P80) + admin("Deny", name="b"), f"{NONE} ? TCP 80"),
        (admin("Deny", ports=P80) + admin("Deny", name="b"), NONE),
        (admin("Allow", ports=P80) + admin("Allow", name="b", ports=P81) + DENY_ALL, "TCP 80-81"),
        # Ranges, other protocols, names.
        (admin("Allow", ports="[{portRange: {start: 80, end: 90, protocol: UDP}}]") + DENY_ALL, "UDP 80-90"),
        (admin("Allow", ports="[{namedPort: sql}]") + DENY_ALL, "TCP 5432"),
        # A policy of another subject says nothing.
        (admin("Deny", subject="namespaces: {matchLabels: {kubernetes.io/metadata.name: bank}}"), ALL),
        (admin("Deny", subject="pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}"), NONE),
    ],
)  # fmt: skip
def test_tiers_and_precedence(policies: str, expected: str) -> None:
    assert opened(net(TWO, policies), "bank/api", "shop/db") == expected


def test_rules_of_one_admin_policy_apply_in_order() -> None:
    rules = (
        "{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]},"
        "{action: Allow, from: [{namespaces: {}}]}"
    )
    of = net(TWO, admin_policy(f"{{priority: 1, subject: {{namespaces: {{}}}}, ingress: [{rules}]}}"), DENY_ALL)
    assert opened(of, "shop/web", "shop/db") == NONE
    assert opened(of, "bank/api", "shop/db") == ALL


def test_networks_of_admin_policies_hold_inside_the_cluster_too_where_they_hold_every_address() -> None:
    def of(cidr: str) -> str:
        rule = f"{{action: Deny, to: [{{networks: ['{cidr}']}}]}}"
        return admin_policy(f"{{priority: 1, subject: {{namespaces: {{}}}}, egress: [{rule}]}}")

    assert opened(net(TWO, of("0.0.0.0/0")), "shop/web", "shop/db") == NONE
    assert opened(net(TWO, of("10.0.0.0/8")), "shop/web", "shop/db") == ALL
    assert "10.0.0.0/8" not in outside(net(TWO, of("10.0.0.0/8")), "shop/web", "egress")


def cnp(tier: str, action: str, protocols: str = "", name: str = "c", priority: int = 1) -> str:
    rule = f"{{action: {action}, from: [{{namespaces: {{}}}}]{protocols and f', protocols: {protocols}'}}}"
    spec = f"{{tier: {tier}, priority: {priority}, subject: {{namespaces: {{}}}}, ingress: [{rule}]}}"
    return admin_policy(spec, kind="ClusterNetworkPolicy", name=name)


CNP_80 = "[{tcp: {destinationPort: {number: 80}}}]"


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (cnp("Admin", "Accept", CNP_80) + DENY_ALL, "TCP 80"),
        (cnp("Admin", "Accept", "[{udp: {destinationPort: {range: {start: 5, end: 9}}}}]") + DENY_ALL, "UDP 5-9"),
        (cnp("Admin", "Accept", "null") + DENY_ALL, ALL),
        (cnp("Admin", "Accept", "[{destinationNamedPort: sql}]") + DENY_ALL, "TCP 5432"),
        (cnp("Baseline", "Deny"), NONE),
        (cnp("Baseline", "Deny") + OPEN_ALL, ALL),
        # Baseline policies have priorities too.
        (cnp("Baseline", "Deny", priority=2) + cnp("Baseline", "Accept", CNP_80, "d"), "TCP 80"),
        (cnp("Admin", "Pass") + cnp("Baseline", "Deny", name="d"), NONE),
    ],
)
def test_cluster_network_policies(policies: str, expected: str) -> None:
    assert opened(net(TWO, policies), "bank/api", "shop/db") == expected


@pytest.mark.parametrize(("action", "expected"), [("Accept", NONE), ("Deny", NONE), ("Pass", NONE)])
def test_a_peer_of_no_known_field_fails_closed(action: str, expected: str) -> None:
    rule = f"{{action: {action}, from: [{{galaxies: {{}}}}]}}"
    spec = f"{{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, ingress: [{rule}]}}"
    of = net(TWO, admin_policy(spec, kind="ClusterNetworkPolicy"), DENY_ALL if action == "Accept" else OPEN_ALL)
    assert opened(of, "bank/api", "shop/db") == expected


def test_an_ingress_peer_of_networks_fails_closed() -> None:
    rules = "{action: Accept, from: [{networks: [0.0.0.0/0]}]}, {action: Deny, from: [{namespaces: {}}]}"
    spec = f"{{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, ingress: [{rules}]}}"
    assert opened(net(TWO, admin_policy(spec, kind="ClusterNetworkPolicy")), "bank/api", "shop/db") == NONE


ADMIN_RULE = "{action: Deny, from: [{namespaces: {}}]}"


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("ClusterNetworkPolicy", "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [RULE]}", None),
        ("ClusterNetworkPolicy", "{tier: Admin, subject: {namespaces: {}}, ingress: [RULE]}", "spec.priority"),
        ("ClusterNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [RULE]}", "spec.tier"),
        ("ClusterNetworkPolicy", "{tier: Admin, priority: 1, subject: {}, ingress: [RULE]}", "spec.subject"),
        ("ClusterNetworkPolicy",
         "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}]}]}",
         "spec.ingress[0].action"),
        ("ClusterNetworkPolicy",
         "{tier: Admin, priority: 1, subject: {namespaces: {}},"
         " ingress: [{action: Deny, from: [{namespaces: {}}], protocols: []}]}",
         "spec.ingress[0].protocols"),
        ("ClusterNetworkPolicy",
         "{tier: Admin, priority: 1, subject: {namespaces: {}},"
         " ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}, udp: {}}]}]}",
         "spec.ingress[0].protocols[0]"),
        ("ClusterNetworkPolicy",
         "{tier: Admin, priority: 1, subject: {namespaces: {}},"
         " ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 80}}]}]}",
         "spec.ingress[0].ports"),
        ("ClusterNetworkPolicy",
         "{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: []}]}]}",
         "spec.egress[0].to[0].networks"),
        ("AdminNetworkPolicy",
         "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}",
         "spec.ingress[0].action"),
        ("AdminNetworkPolicy", "{priority: 1001, subject: {namespaces: {}}, ingress: [RULE]}", "spec.priority"),
        ("BaselineAdminNetworkPolicy",
         "{subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}",
         "spec.ingress[0].action"),
    ],
)  # fmt: skip
def test_an_admin_policy_that_its_definition_refuses_leaves_its_pods_unknown(
    kind: str, spec: str, path: str | None
) -> None:
    of = net(TWO, admin_policy(spec.replace("RULE", ADMIN_RULE), kind=kind))
    (refused,) = of.policies
    assert [format_path(problem.path) for problem in refused.refused] == ([path] if path else [])
    direction = opened(of, "bank/api", "shop/db")
    assert direction == (f"{NONE} ? {ALL}" if path else NONE)


def workload(kind: str, labels: str = "app: x") -> str:
    template = (
        f"template: {{metadata: {{labels: {{{labels}}}}}, spec: {{containers: [{{name: a, image: r.example/a:1}}]}}}}"
    )
    spec = f"jobTemplate: {{spec: {{{template}}}}}" if kind == "CronJob" else template
    group = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return f"---\napiVersion: {group}\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}\nspec: {{{spec}}}\n"


@pytest.mark.parametrize(
    ("kind", "expression", "answer"),
    [
        ("StatefulSet", "{key: statefulset.kubernetes.io/pod-name, operator: In, values: [x-0]}", f"{NONE} ? {ALL}"),
        ("StatefulSet", "{key: statefulset.kubernetes.io/pod-name, operator: Exists}", ALL),
        ("StatefulSet", "{key: statefulset.kubernetes.io/pod-name, operator: DoesNotExist}", NONE),
        ("Deployment", "{key: pod-template-hash, operator: Exists}", ALL),
        ("Deployment", "{key: pod-template-hash, operator: NotIn, values: [abc]}", f"{NONE} ? {ALL}"),
        ("Deployment", "{key: statefulset.kubernetes.io/pod-name, operator: Exists}", NONE),
        ("DaemonSet", "{key: controller-revision-hash, operator: Exists}", ALL),
        ("CronJob", "{key: batch.kubernetes.io/job-name, operator: Exists}", ALL),
        ("Job", "{key: job-name, operator: In, values: [x]}", ALL),
        ("Job", "{key: job-name, operator: In, values: [other]}", NONE),
    ],
)
def test_labels_that_controllers_set(kind: str, expression: str, answer: str) -> None:
    peer = f"{{podSelector: {{matchExpressions: [{expression}]}}}}"
    spec = f"{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{from: [{peer}]}}]}}"
    of = net(TWO, workload(kind), policy(spec))
    (source,) = of.named(f"shop/x[{kind}]")
    (web,) = of.named("shop/web[Pod]")
    found = of.between(source, web)
    assert (f"{found.open} ? {found.unknown}" if found.unknown else str(found.open)) == answer


def test_a_policy_that_asks_for_the_value_of_such_a_label_perhaps_governs() -> None:
    selector = "{matchLabels: {statefulset.kubernetes.io/pod-name: x-0}}"
    of = net(TWO, workload("StatefulSet"), policy(f"{{podSelector: {selector}}}"))
    (target,) = of.named("shop/x[StatefulSet]")
    (web,) = of.named("shop/web[Pod]")
    assert of.between(web, target).unknown
    assert not of.between(target, web).unknown
    assert [str(p) for p in of.perhaps_governing(target, "ingress")] == ["NetworkPolicy shop/p"]


def test_of_two_namespaces_of_one_name_the_nearest_counts() -> None:
    opens = policy("{ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}]}]}", namespace="bank")
    folders = {
        "dev": pods(shop__dev="app=web") + namespace("shop", env="dev"),
        "prod": pods(shop__web="app=web") + namespace("shop", env="prod"),
        "bank": pods(bank__api="app=api") + opens,
    }
    objects = [
        obj for folder, text in folders.items() for obj in read_bytes(text.encode(), f"{folder}/all.yaml").objects
    ]
    of = connectivity(Inventory(objects))
    assert opened(of, "shop/web", "bank/api") == ALL
    assert opened(of, "shop/dev", "bank/api") == NONE


def test_nodes_and_names_of_domains_are_not_known() -> None:
    def of(peer: str) -> str:
        rule = f"{{action: Accept, to: [{peer}], protocols: [{{tcp: {{destinationPort: {{number: 443}}}}}}]}}"
        spec = f"{{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, egress: [{rule}]}}"
        return admin_policy(spec, kind="ClusterNetworkPolicy")

    closed = policy("{podSelector: {}, policyTypes: [Egress]}")
    named = net(TWO, of("{domainNames: ['*.example.org']}"), closed)
    assert outside(named, "shop/web", "egress") == {
        "0.0.0.0/0": "No Connections ? TCP 443",
        "::/0": "No Connections ? TCP 443",
    }
    nodes = net(HOST, of("{nodes: {}}"), closed)
    assert opened(nodes, "shop/web", "shop/agent") == "No Connections ? TCP 443"
    assert opened(nodes, "shop/web", "bank/api") == NONE


# --- not evaluated ---


@pytest.mark.parametrize(
    ("text", "to_shop", "to_bank"),
    [
        ("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x, namespace: shop}\n",
         f"{NONE} ? {ALL}", ALL),
        ("apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: x}\n",
         f"{NONE} ? {ALL}", f"{NONE} ? {ALL}"),
        ("apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: x, namespace: shop}\n",
         f"{NONE} ? {ALL}", ALL),
        ("apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata: {name: x}\n",
         f"{NONE} ? {ALL}", f"{NONE} ? {ALL}"),
        ("apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: x, namespace: shop}\n",
         ALL, ALL),
    ],
)  # fmt: skip
def test_policies_of_plug_ins_make_it_unknown_never_open_and_never_closed(
    text: str, to_shop: str, to_bank: str
) -> None:
    three = pods(shop__web="", bank__api="", bank__ui="")
    of = net(three, "---\n", text)
    assert opened(of, "bank/ui", "shop/web") == to_shop
    assert opened(of, "bank/ui", "bank/api") == to_bank


def test_what_the_other_end_closes_is_closed_whatever_a_plug_in_says() -> None:
    cilium = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x, namespace: shop}\n"
    closed = policy("{podSelector: {}, policyTypes: [Egress]}", namespace="bank")
    assert opened(net(TWO, cilium, closed), "bank/api", "shop/web") == NONE


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("{podSelector: {}, policyTypes: [Inbound]}", "spec.policyTypes[0]"),
        ("{podSelector: {}, ingress: [{from: [{}]}]}", "spec.ingress[0].from[0]"),
        ("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
         "spec.ingress[0].from[0].ipBlock"),
        ("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}", "spec.ingress[0].from[0].ipBlock.cidr"),
        ("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}]}",
         "spec.ingress[0].from[0].ipBlock.except[0]"),
        ("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
         "spec.ingress[0].from[0].ipBlock.except[0]"),
        ("{podSelector: {}, ingress: [{ports: [{port: 0}]}]}", "spec.ingress[0].ports[0].port"),
        ("{podSelector: {}, ingress: [{ports: [{port: '80'}]}]}", "spec.ingress[0].ports[0].port"),
        ("{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 79}]}]}", "spec.ingress[0].ports[0].endPort"),
        ("{podSelector: {}, ingress: [{ports: [{port: http, endPort: 79}]}]}", "spec.ingress[0].ports[0].endPort"),
        ("{podSelector: {}, ingress: [{ports: [{endPort: 79}]}]}", "spec.ingress[0].ports[0].endPort"),
        ("{podSelector: {}, ingress: [{ports: [{protocol: ICMP}]}]}", "spec.ingress[0].ports[0].protocol"),
        ("{podSelector: {matchExpressions: [{key: a, operator: Is}]}}", "spec.podSelector"),
        ("{podSelector: {matchExpressions: [{key: a, operator: In}]}}", "spec.podSelector"),
        ("{podSelector: {}, ingress: {ports: []}}", "spec.ingress"),
        ("{podSelector: {}, policyTypes: Ingress}", "spec.policyTypes"),
    ],
)  # fmt: skip
def test_a_policy_that_an_api_server_refuses_leaves_its_pods_unknown(spec: str, path: str) -> None:
    of = net(TWO, policy(spec))
    (refused,) = of.policies
    assert format_path(refused.refused[0].path) == path
    assert opened(of, "bank/api", "shop/web") == f"{NONE} ? {ALL}"


@pytest.mark.parametrize(
    ("selector", "answer"),
    [
        ("{}", ALL),
        ("{matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}]}", ALL),
        ("{matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}", ALL),
        ("{matchLabels: {kubernetes.io/metadata.name: bank}}", NONE),
        ("{matchLabels: {team: money}}", NONE),
    ],
)
def test_any_pod_is_in_a_namespace_that_has_a_name(selector: str, answer: str) -> None:
    of = net(TWO, policy(f"{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {selector}}}]}}]}}"))
    (web,) = of.named("shop/web[Pod]")
    assert str(of.answer(of.any_pod, of.end(web)).open) == answer
