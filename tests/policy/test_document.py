"""Architecture documents as policy: what is recognised, in whatever words, and what is told of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import LIBRARY, run_within_seconds
from kubeassay.checks.documented_object import is_path
from kubeassay.policy.document.importing import Imported, as_yaml, import_document
from kubeassay.policy.document.words import singular, slug, squashed, truth
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.parameters import parameter_problem
from kubeassay.policy.validation import validator_of
from kubeassay.sources.markdown import document_in, read_document

DOCUMENTS = Path(__file__).parent / "documents"
SCHEMA = validator_of("baseline")
SEVERITIES = {rule.id: rule.severity for rule in LIBRARY.rules.values()}


def imported(text: str) -> Imported:
    return import_document(document_in(f"```yaml\n{text}```\n".encode(), "doc.md"), SEVERITIES)


def rules_of(found: Imported) -> dict[tuple[str, int], dict[str, Any]]:
    """(rule, line) → parameters, with the match under ``match``."""
    return {
        (use["id"], clause.line): use.get("parameters", {}) | ({"match": use["match"]} if "match" in use else {})
        for clause in found.clauses
        for use in clause.rules
    }


def fields_of(found: Imported) -> dict[tuple[str, str], tuple[Any, int]]:
    """(kind and name of the object, path) → (what is demanded, line)."""
    fields = {}
    for clause in found.clauses:
        for expected in clause.expectations:
            wanted = expected["object"]
            name = "/".join(part for part in (wanted.get("namespace"), wanted.get("name")) if part)
            for field in expected.get("fields", [{"path": "", "line": clause.line}]):
                demand = {key: value for key, value in field.items() if key not in ("path", "line", "default", "as")}
                fields[f"{wanted['kind']} {name}", field["path"]] = (demand, field["line"])
    return fields


def notes_of(found: Imported, kind: str) -> set[tuple[int, str]]:
    return {(note.line, note.subject) for note in found.notes if note.kind == kind}


# --- words ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("runAsNonRoot", "Run as non-root"),
        ("HostPID", "Host PID"),
        ("requiredDropCapabilities", "Required drop capability"),
        ("Instance Types", "instance_type"),
        ("FSGroup", "fsGroup"),
        ("Desired Capacity", "DESIRED-CAPACITY"),
        ("K8s version", "k8sVersion"),
    ],
)
def test_keys_are_compared_by_their_words(one: str, other: str) -> None:
    assert squashed(one) == squashed(other)


def test_singular_and_slug() -> None:
    words = ("policies", "classes", "pods", "kubernetes", "eks", "access", "status", "boxes", "s")
    assert [singular(word) for word in words] == [
        "policy", "class", "pod", "kubernetes", "eks", "access", "status", "box", "s",
    ]  # fmt: skip
    assert slug("🚀 Database Proxy Pods (v2)") == "database-proxy-pods-v2"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, True), (False, False), ("yes", True), ("Required", True), ("not allowed", False), ("forbidden", False),
        ("allowed", True), ("Never", False), ("enabled (all nodes)", True), ("disabled", False), ("none", False),
        # No plain answer.
        ("recommended", None), ("true (except agents)", None), ("yes, unless exempted", None), ("only in dev", None),
        ("maybe", None), ("", None), (1, None), (None, None), ("should be disabled", None),
    ],
)  # fmt: skip
def test_truth(value: object, said: bool | None) -> None:
    assert truth(value) is said


# --- forms ---


@pytest.mark.parametrize(
    "text",
    [
        "namespaces: [shop, jobs]\n",
        "Our Namespaces:\n  Team A:\n    - shop\n  Team B:\n    - jobs\n",
        "Namespaces:\n- shop: sells\n- jobs: works\n",
        "namespaces:\n- name: shop\n  owner: a\n- name: jobs\n",
        "namespaces:\n  shop: sells\n  jobs: works\n",
        "namespace list:\n- shop (sells)\n- jobs - works at night\n",
        "a:\n  apiVersion: v1\n  kind: Namespace\n  metadata: {name: shop}\nnamespaces: [shop, jobs]\n",
    ],
)
def test_namespaces_in_every_form(text: str) -> None:
    found = imported(text)
    (parameters,) = [p for (rule, _), p in rules_of(found).items() if rule == "documented-namespaces"]
    assert parameters["namespaces"] == ["shop", "jobs"]


@pytest.mark.parametrize("text", ["excluded namespaces: [a, b]\n", "namespace: shop\n", "namespaces: [A B, C D]\n"])
def test_what_is_no_list_of_namespaces_demands_none(text: str) -> None:
    found = imported(f"{text}privileged: false\n")
    assert {rule for rule, _ in rules_of(found)} == {"privileged-container"}
    assert [note.line for note in found.notes if note.kind != "no-demand"] or "A B" in text


@pytest.mark.parametrize(
    "text",
    [
        'Resource Quotas:\n  Shop Namespace:\n    A: {requests.cpu: "2",\n        limits.memory: 4Gi}\n    B:\n'
        "      pods: 9\n",
        "quota:\n  shop:\n    requests: {cpu: 2}\n    limits: {memory: 4Gi}\n    pods: 9\n",
        "shop namespace:\n  quota:\n    CPU requests: 2\n    memory limits: 4Gi\n    max pods: 9\n",
        "namespace quotas:\n  shop:\n    cpu: 2\n    limits.memory: 4Gi\n    pods: 9\n",
    ],
)
def test_quotas_in_every_form(text: str) -> None:
    found = quotas_of(imported(text))
    assert {(namespace, resource, value) for namespace, resource, value, _ in found} == {
        ("shop", "requests.cpu", "2"), ("shop", "limits.memory", "4Gi"), ("shop", "pods", "9"),
    }  # fmt: skip
    lines = text.splitlines()
    assert all(value in lines[line - 2] for _, _, value, line in found)


def test_names_with_digits_are_found() -> None:
    found = imported("namespaces: [team2, x-1-y]\nquota:\n  Team2 Namespace: {pods: 1}\n  X-1-Y namespace: {pods: 2}\n")
    assert quotas_of(found) == {("team2", "pods", "1", 4), ("x-1-y", "pods", "2", 5)}


def test_a_quota_that_is_documented_twice_contradicts_itself() -> None:
    found = imported("quota:\n  shop:\n    requests.cpu: 2\n    requests: {cpu: 3}\n")
    assert notes_of(found, "contradiction") == {(5, "requests.cpu of shop")}


def test_tiers_are_namespaces_workloads_or_not_understood() -> None:
    text = """namespaces:
- web: shop front
- db: Database proxies and the like
resources:
  Web Containers: {requests: {cpu: 1}}
  Database Proxy Containers: {limits: {memory: 1Gi}}
  Worker: {limits: {memory: 2Gi}}
  Nobody: {limits: {memory: 2Gi}}
  All containers: {limits: {cpu: 4}}
scaling:
  apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: {name: w, namespace: web}
  spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}}
"""
    found = imported(text)
    assert {line: p for (rule, line), p in rules_of(found).items() if rule == "container-resources"} == {
        6: {"requests_cpu": 1, "match": {"namespaces": ["web"]}},
        7: {"limits_memory": "1Gi", "match": {"namespaces": ["db"]}},
        8: {"limits_memory": "2Gi", "match": {"namespaces": ["web"], "names": ["worker"]}},
        10: {"limits_cpu": 4, "match": {"namespaces": ["web", "db"]}},
    }
    assert notes_of(found, "not-understood") == {(9, "resources / Nobody")}


def test_security_settings_that_are_not_plain_are_not_understood() -> None:
    found = imported(
        "Pods:\n  privileged: false\n  run as non-root: recommended\n  host network: only agents\n"
        "  capabilities: {drop: [NET_RAW]}\n  seccomp: custom\n  volume types: [configMap, floppy]\n"
    )
    assert set(rules_of(found)) == {("privileged-container", 3)}
    assert {line for line, _ in notes_of(found, "not-understood")} == {4, 5, 6, 7, 8}


def test_settings_of_one_namespace_hold_there() -> None:
    found = imported("Shop Namespace:\n  security context:\n    runAsUser: 7\n")
    assert rules_of(found) == {("run-as-ids", 4): {"run_as_user": 7, "match": {"namespaces": ["shop"]}}}


def test_ids_are_demanded_of_ones_own_software() -> None:
    found = imported("namespaces: [kube-system, istio-system, shop]\nsecurity: {runAsUser: 7}\n")
    assert rules_of(found)["run-as-ids", 3]["match"] == {"namespaces": ["shop"]}


def test_node_groups() -> None:
    found = imported(
        "GPU Node Pool:\n  machine types: [g5]\n  min: 1\n  max: 2\n  disk size: 80 GB\n  capacity type: SPOT\n"
        "  taints: []\n  AMI type: WINDOWS\n"
    )
    assert groups_of(found) == {
        "gpu": {
            "instance_types": ["g5"], "minimum": 1, "maximum": 2, "disk": 80, "capacity_type": "spot", "taints": [],
        }
    }  # fmt: skip
    assert notes_of(found, "not-understood") == {(9, "GPU Node Pool / AMI type")}


def test_node_groups_that_differ_in_two_places_contradict_each_other() -> None:
    found = imported("Web nodes: {min: 1, max: 2}\nScaling of nodes:\n  Web nodes:\n    min: 1\n    max: 3\n")
    assert notes_of(found, "contradiction") == {(6, "maxSize of node group web")}


def test_versions_are_what_is_written() -> None:
    found = imported("EKS:\n  Cluster Name: c\n  Kubernetes Version: 1.30\n")
    assert rules_of(found)["documented-cluster", 4] == {"version": "1.30"}


@pytest.mark.parametrize(
    "text",
    [
        "Forbidden settings:\n  privileged: true\n  hostNetwork: true\n",
        "Exceptions:\n  runAsUser: 0\n",
        "Planned:\n  apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c}\n",
        "Do not:\n  readOnlyRootFilesystem: true\n",
        "Legacy namespaces: [a, b]\n",
        "Roadmap:\n- quota: {shop: {pods: 3}}\n",
    ],
)
def test_what_is_said_not_to_hold_is_no_demand_and_no_silence(text: str) -> None:
    found = imported(f"{text}---\nprivileged: false\n")
    assert [rule for rule, _ in rules_of(found)] == ["privileged-container"]
    assert fields_of(found) == {}
    assert {line for line, _ in notes_of(found, "not-understood")} == {2}


def test_blocks_below_headings_that_say_no_are_not_demanded() -> None:
    text = "## What not to do\n\n```yaml\nprivileged: true\n```\n\n## Pods\n\n```yaml\nhostPID: false\n```\n"
    found = import_document(document_in(text.encode(), "doc.md"), SEVERITIES)
    assert set(rules_of(found)) == {("host-namespaces", 10)}
    assert notes_of(found, "not-understood") == {(3, "What not to do")}


def test_lists_of_excluded_namespaces_within_others_are_left_out() -> None:
    found = imported("Namespaces:\n  Teams: [a, b]\n  Excluded: [kube-system]\n  Forbidden: [default]\n")
    assert rules_of(found)["documented-namespaces", 2]["namespaces"] == ["a", "b"]
    assert {line for line, _ in notes_of(found, "not-understood")} == {4, 5}


def test_what_two_places_say_otherwise_is_told() -> None:
    configured = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: '%s', same: x}\n"
    found = imported(f"a:\n  {configured % 1}---\n".replace("\n", "\n  ").replace("  ---", "---") + configured % 2)
    assert {line for line, _ in notes_of(found, "contradiction")} == {11}


def test_the_mesh_and_its_members() -> None:
    found = imported(
        "Application namespaces: [shop]\nPlatform namespaces: [tools]\nNetworking:\n  Service Mesh: Istio 1.24\n"
        "Istio:\n  Control Plane:\n    Components: [istiod]\n  Sidecar: injected into each pod\n  Sidecar size: small\n"
    )
    shop = {"namespaces": ["shop"]}
    assert {key: value for key, value in rules_of(found).items() if key[0] != "documented-namespaces"} == {
        ("istio-control-plane-missing", 5): shop,
        ("istio-control-plane-missing", 8): shop,
        ("namespace-without-injection", 9): shop,
        ("workload-outside-mesh", 9): shop,
    }
    assert notes_of(found, "not-understood") == {(10, "Istio / Sidecar size")}


def test_the_autoscaler_has_some_options_by_group_and_some_for_all() -> None:
    found = imported(
        "Cluster Autoscaler:\n  Web Nodes: {min: 1, max: 3, Target Utilization: 70%, Scale Down Delay: 10m}\n"
        "  Data Nodes: {min: 2, max: 2, Scale Down Unneeded Time: 90s, Scale Down Delay: 20m, Expander: least waste}\n"
    )
    assert [use["parameters"] for clause in found.clauses for use in clause.rules] == [
        {"flags": {"scale-down-delay-after-add": "10m"}},
        {"groups": {"web": {"minimum": 1, "maximum": 3, "options": {"scale-down-utilization-threshold": 0.7}}}},
        {"groups": {"data": {"minimum": 2, "maximum": 2, "options": {"scale-down-unneeded-time": "90s"}}}},
    ]
    assert notes_of(found, "contradiction") == {(4, "Scale Down Delay of node group data")}


# --- objects ---


def test_objects_are_found_at_any_depth_in_lists_and_documents() -> None:
    text = """a:
  b:
    - apiVersion: v1
      kind: ConfigMap
      metadata: {name: one, namespace: n}
      data: {k: "1"}
c:
  apiVersion: v1
  kind: ConfigMapList
  items:
    - {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k: v}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: three}
immutable: true
"""
    assert fields_of(imported(text)) == {
        ("ConfigMap n/one", "data.k"): ({"equals": "1"}, 7),
        ("ConfigMap two", "data.k"): ({"equals": "v"}, 12),
        ("ConfigMap three", "immutable"): ({"equals": True}, 17),
    }


def test_fields_of_objects() -> None:
    text = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {"a/b": c}
spec:
  replicas: 1
  template:
    spec:
      nodeSelector: {}
      tolerations: []
      containers:
        - name: app
          image: <image>
          ports: [{containerPort: 80}]
          args:
            - --x
        - name: side
status: {replicas: 3}
"""
    found = imported(text)
    pods = "spec.template.spec"
    assert fields_of(found) == {
        ("Deployment web", 'metadata.labels["a/b"]'): ({"equals": "c"}, 6),
        ("Deployment web", "spec.replicas"): ({"equals": 1}, 8),
        ("Deployment web", f"{pods}.tolerations"): ({"equals": []}, 12),
        ("Deployment web", f"{pods}.containers[name=app].ports"): ({"equals": [{"containerPort": 80}]}, 16),
        ("Deployment web", f"{pods}.containers[name=app].args"): ({"equals": ["--x"]}, 17),
        ("Deployment web", f"{pods}.containers[name=side].name"): ({"present": True}, 19),
    }
    assert notes_of(found, "not-understood") == {(15, f"Deployment web: {pods}.containers[name=app].image")}


def test_secrets_in_a_document_are_not_repeated() -> None:
    found = imported(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    env:\n"
        "    - {name: DB_PASSWORD, value: hunter2}\n    - {name: MODE, value: fast}\n"
        "    args: [--mode=fast, --password=hunter2]\n"
    )
    assert "hunter2" not in as_yaml(found.baseline)
    container = "spec.containers[name=c]"
    assert fields_of(found) == {
        ("Secret s", "stringData.password"): ({"present": True}, 5),
        ("Pod p", f"{container}.env[name=DB_PASSWORD].value"): ({"present": True}, 14),
        ("Pod p", f"{container}.env[name=MODE].value"): ({"equals": "fast"}, 15),
        ("Pod p", f"{container}.args"): ({"present": True}, 16),
    }


def test_an_object_without_a_name_is_no_demand_on_all_of_its_kind() -> None:
    found = imported("apiVersion: v1\nkind: ConfigMap\ndata: {k: v}\n---\nprivileged: false\n")
    assert fields_of(found) == {}
    assert notes_of(found, "not-understood") == {(2, "ConfigMap")}


def _policy(spec: str, namespace: str = "shop") -> str:
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: p{f', namespace: {namespace}' if namespace else ''}}}\nspec: {spec}\n"
    )


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels:"
            " {k8s-app: db}}}], ports: [{port: 53, protocol: UDP}, {port: 80, endPort: 90}]}]}",
            {"from": "shop/web", "to": "shop/db", "ports": ["53/UDP", "80-90"]},
        ),
        (
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key:"
            " kubernetes.io/metadata.name, operator: In, values: [a, b]}]}}]}]}",
            {"from": ["a", "b"], "to": "shop"},
        ),
        (
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}"
            "]}]}",
            {"from": "shop", "to": "internet", "ports": [443]},
        ),
        (
            "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels:"
            " {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]}",
            {"from": "shop", "to": "dns"},
        ),
    ],
)
def test_policies_demand_their_paths(spec: str, path: dict[str, Any]) -> None:
    demanded = rules_of(imported(_policy(spec)))
    assert demanded.pop(("allowed-path-closed", 2)) == {"allowed_paths": [path]}
    # And that nothing else gets through.
    (isolation,) = {rule for rule, _ in demanded}
    assert isolation in ("documented-isolation", "default-deny-ingress-missing", "default-deny-egress-missing")


@pytest.mark.parametrize(
    "spec",
    [
        "{podSelector: {matchLabels: {role: x}}, ingress: [{from: [{podSelector: {}}]}]}",
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: prod}}}]}]}",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}",
    ],
)
def test_paths_between_what_is_not_named_are_not_understood(spec: str) -> None:
    found = imported(_policy(spec) + "---\nprivileged: false\n")
    assert set(rules_of(found)) - {("default-deny-ingress-missing", 2)} == {("privileged-container", 7)}
    assert len(notes_of(found, "not-understood")) == 1


def test_a_default_deny_holds_where_it_stands_or_is_told_to_stand_nowhere() -> None:
    spec = "{podSelector: {}, policyTypes: [Ingress]}"
    (parameters,) = rules_of(imported(_policy(spec))).values()
    assert parameters["namespaces"] == ["shop"]
    assert parameters["excluded_namespaces"]
    everywhere = imported(_policy(spec, "") + "---\nnamespaces: [a, b]\n")
    assert rules_of(everywhere)["default-deny-ingress-missing", 2] == {"namespaces": ["a", "b"]}
    assert notes_of(everywhere, "contradiction") == {(2, "NetworkPolicy p")}


def test_namespaces_other_than_a_policys_own_are_excluded() -> None:
    from fnmatch import fnmatchcase

    (parameters,) = rules_of(imported(_policy("{podSelector: {}, policyTypes: [Egress]}"))).values()
    excluded = parameters["excluded_namespaces"]
    names = ("shop", "shop2", "sho", "s", "shoq", "xhop", "sxop", "shop-", "payments")
    assert {name for name in names if not any(fnmatchcase(name, pattern) for pattern in excluded)} == {"shop"}


def test_roles_and_groups() -> None:
    found = imported(
        "kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: r}\nrules:\n"
        "- {apiGroups: [''], resources: [pods], verbs: [get]}\n---\n"
        "kind: RoleBinding\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: b, namespace: n}\n"
        "roleRef: {kind: ClusterRole, name: r}\nsubjects: [{kind: Group, name: g}]\n---\n"
        "kind: ClusterRoleBinding\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: c}\n"
        "roleRef: {kind: ClusterRole, name: view}\nsubjects: [{kind: Group, name: g}]\n"
    )
    groups = {"groups": {"g": ["r", "view"]}}
    assert rules_of(found) == {
        ("documented-roles", 2): {"roles": {"r": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}},
        ("documented-roles", 8): groups,
        ("documented-roles", 14): groups,
    }


_CALLERS = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  rules:
"""


@pytest.mark.parametrize(
    ("rules", "callers"),
    [
        (
            ["{from: [{source: {namespaces: [a]}}], to: [{operation: {methods: [GET], ports: ['80']}}]}"],
            [{"to": "shop/web", "from": ["a"], "methods": ["GET"], "ports": [80]}],
        ),
        (
            ["{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}, {source: {namespaces: [c]}}]}"],
            [{"to": "shop/web", "from": ["a/b", "c"]}],
        ),
        # Two rules where one is meant.
        (
            ["{from: [{source: {namespaces: [a]}}]}", "{to: [{operation: {methods: [GET]}}]}"],
            [{"to": "shop/web", "from": ["a"], "methods": ["GET"]}],
        ),
        (
            ["{from: [{source: {namespaces: [a]}}]}", "{from: [{source: {namespaces: [b]}}]}"],
            [{"to": "shop/web", "from": ["a"]}, {"to": "shop/web", "from": ["b"]}],
        ),
        # What the rule cannot say is compared as it stands.
        (["{from: [{source: {notNamespaces: [a]}}]}"], None),
        (["{from: [{source: {namespaces: [a], principals: [x/ns/a/sa/b]}}]}"], None),
        (["{to: [{operation: {paths: [/x]}}]}"], None),
        (["{when: [{key: a, values: [b]}]}"], None),
        (["{}"], None),
    ],
)
def test_authorization_policies_demand_their_callers(rules: list[str], callers: list[dict[str, Any]] | None) -> None:
    found = imported(_CALLERS + "".join(f"  - {rule}\n" for rule in rules))
    if callers is None:
        assert rules_of(found) == {}
        assert ("AuthorizationPolicy shop/a", "spec.rules") in fields_of(found)
    else:
        assert rules_of(found) == {("documented-callers", 2): {"callers": callers}}
    two = len(rules) == 2 and callers is not None and len(callers) == 1
    assert notes_of(found, "contradiction") == ({(9, "AuthorizationPolicy shop/a")} if two else set())


def test_metrics_and_modes_are_judged_by_what_they_mean() -> None:
    found = imported(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h, namespace: shop}\nspec:\n"
        "  maxReplicas: 3\n  metrics:\n"
        "  - {type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: '10'}}}\n---\n"
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: istio-system}\n"
        "spec: {mtls: {mode: STRICT}}\n"
    )
    assert rules_of(found) == {
        ("autoscaler-metrics-differ", 7): {
            "metrics": [{"type": "Pods", "name": "rps", "value": "10"}],
            "match": {"namespaces": ["shop"], "names": ["h"]},
        },
        # The root namespace: everywhere.
        ("mtls-not-strict", 10): {},
    }
    assert fields_of(found) == {
        ("HorizontalPodAutoscaler shop/h", "spec.maxReplicas"): ({"equals": 3}, 6),
        ("PeerAuthentication istio-system/p", "spec.mtls.mode"): ({"equals": "STRICT"}, 13),
    }


def test_a_pod_security_policy_as_an_object_or_in_words_is_one() -> None:
    words = "Pod Security Policy:\n  Privileged: false\n  Volumes: [secret]\n"
    assert set(rules_of(imported(words))) == {("privileged-container", 3), ("allowed-volume-types", 4)}
    found = imported(
        "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: p}\nspec:\n  privileged: false\n"
        "  runAsUser: {rule: MustRunAsNonRoot}\n  seLinux: {rule: RunAsAny}\n  allowedUnsafeSysctls: [x]\n"
    )
    assert set(rules_of(found)) == {
        ("pod-security-policy-left-over", 2),
        ("privileged-container", 6),
        ("run-as-non-root", 7),
        ("run-as-user", 7),
    }
    assert fields_of(found) == {}
    assert notes_of(found, "not-understood") == {(9, "PodSecurityPolicy p: allowedUnsafeSysctls")}
    assert notes_of(found, "no-demand") == {(8, "PodSecurityPolicy p / seLinux")}


# --- whole documents ---


@pytest.mark.parametrize("name", ["bank", "hospital", "startup"])
def test_every_style_makes_a_valid_baseline(name: str) -> None:
    found = import_document(read_document(DOCUMENTS / f"{name}.md", f"{name}.md"), SEVERITIES)
    text = as_yaml(found.baseline)
    assert text == as_yaml(import_document(read_document(DOCUMENTS / f"{name}.md", f"{name}.md"), SEVERITIES).baseline)
    baseline = yaml.safe_load(text)
    assert list(SCHEMA.iter_errors(baseline)) == []
    assert baseline == found.baseline
    for control in baseline["spec"]["controls"]:
        for use in control.get("rules", ()):
            rule = LIBRARY.rule(use["id"])
            known = {parameter.name: parameter for parameter in rule.parameters}
            for parameter, value in use.get("parameters", {}).items():
                assert parameter_problem(known[parameter].type, known[parameter].schema, value) is None


BANK = {
    ("documented-namespaces", 22), ("run-as-non-root", 58), ("run-as-user", 58), ("run-as-non-root", 59),
    ("run-as-user", 59), ("run-as-ids", 60), ("allow-privilege-escalation", 61), ("privileged-container", 62),
    ("read-only-root-filesystem", 63), ("capabilities-restricted", 64), ("capabilities-baseline", 64),
    ("allowed-added-capabilities", 65), ("host-namespaces", 66), ("host-namespaces", 67),
    ("seccomp-profile-restricted", 68), ("seccomp-profile-baseline", 68), ("allowed-path-closed", 75),
    ("documented-isolation", 75),
    *(("documented-quota", line) for line in (39, 40, 41, 42, 43, 47, 48, 49, 50)),
}  # fmt: skip
HOSPITAL = {
    ("documented-namespaces", 10), ("documented-namespaces", 13), ("container-resources", 43),
    ("container-resources", 44), ("container-resources", 45), ("container-resources", 46), ("container-resources", 48),
    ("container-resources", 49), ("documented-roles", 85), ("documented-roles", 91), ("documented-node-groups", 23),
    ("documented-node-groups", 28),
}  # fmt: skip
STARTUP = {
    ("run-as-non-root", 19), ("run-as-user", 19), ("allow-privilege-escalation", 20), ("capabilities-restricted", 21),
    ("capabilities-baseline", 21), ("host-namespaces", 22), ("documented-namespaces", 47),
    *(("documented-quota", line) for line in (9, 10, 12)), ("autoscaler-metrics-differ", 35),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rules", "objects", "missed"),
    [
        ("bank", BANK, set(), {12, 69, 89}),
        (
            "hospital",
            HOSPITAL,
            {"StorageClass patient-data", "PersistentVolumeClaim imaging/scans", "ClusterRoleBinding viewers"},
            {15, 50, 74},
        ),
        ("startup", STARTUP, {"HorizontalPodAutoscaler shop/web"}, {34}),
    ],
)
def test_what_documents_of_other_styles_demand(
    name: str, rules: set[tuple[str, int]], objects: set[str], missed: set[int]
) -> None:
    found = import_document(read_document(DOCUMENTS / f"{name}.md", f"{name}.md"), SEVERITIES)
    assert set(rules_of(found)) == rules
    assert {kind for kind, _ in fields_of(found)} == objects
    assert {line for line, _ in notes_of(found, "not-understood")} == missed


def quotas_of(found: Imported) -> set[tuple[str, str, str, int]]:
    """(namespace, resource, value, line)"""
    return {
        (namespace, resource, str(value), clause.line)
        for clause in found.clauses
        for use in clause.rules
        for namespace, hard in use.get("parameters", {}).get("quotas", {}).items()
        for resource, value in hard.items()
    }


def test_quotas_of_the_three_styles() -> None:
    found = {
        name: quotas_of(import_document(read_document(DOCUMENTS / f"{name}.md", f"{name}.md"), SEVERITIES))
        for name in ("bank", "hospital", "startup")
    }
    assert found == {
        "bank": {
            ("payments", "requests.cpu", "20", 39), ("payments", "limits.cpu", "40", 40),
            ("payments", "requests.memory", "64Gi", 41), ("payments", "limits.memory", "128Gi", 42),
            ("payments", "pods", "150", 43), ("ledger", "requests.cpu", "8", 47),
            ("ledger", "requests.memory", "32Gi", 48), ("ledger", "persistentvolumeclaims", "12", 49),
            ("ledger", "services.loadbalancers", "0", 50),
        },
        "hospital": set(),
        "startup": {
            ("shop", "requests.cpu", "4", 9), ("shop", "requests.memory", "8Gi", 10), ("jobs", "pods", "20", 12),
        },
    }  # fmt: skip


def groups_of(found: Imported) -> dict[str, Any]:
    """Node group → what is demanded of it."""
    return {
        name: group
        for clause in found.clauses
        for use in clause.rules
        if use["id"] == "documented-node-groups"
        for name, group in use["parameters"]["groups"].items()
    }


def test_node_groups_of_the_hospital() -> None:
    found = import_document(read_document(DOCUMENTS / "hospital.md", "hospital.md"), SEVERITIES)
    assert groups_of(found) == {
        "general": {"instance_types": ["m6i.xlarge"], "minimum": 3, "maximum": 9, "labels": {"pool": "general"}},
        "imaging": {
            "instance_types": ["g5.xlarge"],
            "minimum": 1,
            "maximum": 2,
            "taints": [{"key": "gpu", "value": "present", "effect": "NoSchedule"}],
        },
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "doc.md: nothing to judge by: it holds no YAML block"),
        ("# T\n\n```mermaid\ngraph TD\n```\n", "doc.md: nothing to judge by: it holds no YAML block"),
        (
            "```yaml\nwords: of little use\n```\n",
            "doc.md: nothing to judge by: none of its 1 YAML blocks holds a demand",
        ),
    ],
)
def test_a_document_without_demands_is_no_policy(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        import_document(document_in(text.encode(), "doc.md"), SEVERITIES)
    assert str(refused.value) == message


def test_everything_is_accounted_for() -> None:
    """Each value of each block stands in a clause, or in a note of its own or of what it is a part of."""
    for name in ("bank", "hospital", "startup"):
        document = read_document(DOCUMENTS / f"{name}.md", f"{name}.md")
        found = import_document(document, SEVERITIES)
        lines = {note.line for note in found.notes} | {clause.line for clause in found.clauses}
        lines |= {line for _, line in fields_of(found).values()}
        for block in document.blocks:
            for node in block.nodes:
                for _, child in node.children():
                    span = {child.line}
                    stack = [child]
                    while stack:
                        here = stack.pop()
                        span.add(here.line)
                        stack.extend(below for _, below in here.children())
                    assert span & lines or "apiVersion" in node.entries, (name, child.line)


# --- hostile documents ---

_KEYS = st.sampled_from(
    [
        "namespaces", "Namespace", "quota", "shop namespace", "requests", "limits", "cpu", "memory", "pods",
        "capabilities", "drop", "add", "runAsUser", "fsGroup", "seccompProfile", "type", "volumes",
        "privileged", "Node Group", "min", "max", "taints", "labels", "instance types", "Cluster Name",
        "Kubernetes Version", "Region", "Logging", "CNI", "Istio", "Components", "Sidecar Proxy",
        "Dev Cluster", "Prod Cluster", "metadata", "name", "namespace", "spec", "rules", "verbs", "podSelector",
        "matchLabels", "policyTypes", "egress", "to", "ports", "port", "namespaceSelector", "subjects",
        "roleRef", "metrics", "selector", "from", "source", "operation", "Frontend Containers", "scaling",
        "Autoscaler", "target utilization", "scale down delay", "mtls", "mode", "app", "principals",
        "methods", "protocol", "ipBlock", "cidr", "key", "effect", "items", "data", "",
    ]
)  # fmt: skip
_TEXTS = st.sampled_from(
    [
        "ALL", "yes", "10m", "70%", "1Gi", "<x>", "a b", "shop", "Egress", "1.30", "", "STRICT", "eks",
        "multi AZ", "private", "AL2_x86", "SPOT", "Deployment", "TCP", "Group", "10.0.0.0/8",
        "cluster.local/ns/a/sa/b", "]", "\"", "[x=y]",
    ]
)  # fmt: skip
_TREES = st.recursive(
    _TEXTS | st.integers(-1, 9) | st.booleans() | st.none() | st.just(1.5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=25,
)
_OBJECTS = st.builds(
    lambda type_, name, tree: {"apiVersion": type_[0], "kind": type_[1], "metadata": {"name": name}, **tree},
    st.sampled_from(
        [
            ("v1", "Namespace"),
            ("v1", "Secret"),
            ("v1", "List"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler"),
            ("security.istio.io/v1", "PeerAuthentication"),
            ("security.istio.io/v1", "AuthorizationPolicy"),
        ]
    ),
    _TEXTS | st.none() | st.integers(),
    st.dictionaries(_KEYS, _TREES, max_size=5),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_KEYS, _TREES | _OBJECTS, min_size=1, max_size=4))
def test_whatever_the_types_are_nothing_is_raised_and_what_comes_is_valid(tree: dict[str, Any]) -> None:
    text = f"```yaml\n{json.dumps(tree)}\n---\nprivileged: false\n```\n"
    found = import_document(document_in(text.encode(), "doc.md"), SEVERITIES)
    baseline = yaml.safe_load(as_yaml(found.baseline))
    assert baseline == found.baseline
    assert next(SCHEMA.iter_errors(baseline), None) is None
    for control in baseline["spec"]["controls"]:
        for use in control.get("rules", ()):
            known = {parameter.name: parameter for parameter in LIBRARY.rule(use["id"]).parameters}
            for name, value in use.get("parameters", {}).items():
                assert parameter_problem(known[name].type, known[name].schema, value) is None, (use, name)
        for expected in control.get("expectations", ()):
            assert all(is_path(field["path"]) for field in expected.get("fields", ())), expected


def test_what_nothing_is_at_least_is_demanded_as_it_stands() -> None:
    found = imported(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast}\nprovisioner: ebs.csi.aws.com\n"
        'parameters: {iops: many, throughput: "125"}\n'
    )
    fields = fields_of(found)
    assert fields["StorageClass fast", "parameters.iops"] == ({"equals": "many"}, 6)
    assert fields["StorageClass fast", "parameters.throughput"] == ({"atLeast": "125"}, 6)


# --- what is easily dropped, or demanded of too many ---


@pytest.mark.parametrize(
    "text",
    [
        "Namespace Labels: {istio-injection: enabled, team: retail}\n",
        "Namespace naming convention:\n  - team-env\n",
        "Namespace policies: [quota-required]\n",
    ],
)
def test_what_is_said_of_namespaces_is_no_list_of_them(text: str) -> None:
    found = imported(f"{text}Namespaces: [shop]\n")
    assert rules_of(found)["documented-namespaces", text.count("\n") + 2]["namespaces"] == ["shop"]
    assert {line for line, _ in notes_of(found, "not-understood")} == {2}


def test_labels_in_a_list_of_namespaces_are_demanded() -> None:
    found = imported(
        "namespaces:\n  - name: shop\n    purpose: the shop\n    labels: {tier: web}\n    backup: daily\n  - data\n"
    )
    assert fields_of(found) == {("Namespace shop", 'metadata.labels["tier"]'): ({"equals": "web"}, 5)}
    assert notes_of(found, "not-understood") == {(6, "namespaces / backup")}


def test_two_taints_of_one_key_are_not_one() -> None:
    taints = "[{key: a, value: b, effect: NoSchedule}, {key: a, value: b, effect: NoExecute}]"
    found = imported(f"Batch nodes:\n  min: 1\n  max: 2\n  taints: {taints}\n")
    assert "taints" not in rules_of(found)["documented-node-groups", 2]["groups"]["batch"]
    assert notes_of(found, "not-understood") == {(5, "Batch nodes / taints")}


@pytest.mark.parametrize(
    ("stated", "types"),
    [("m5.large, m5.xlarge", ["m5.large", "m5.xlarge"]), ("r7 or r8 (large)", ["r7", "r8"]), ("large ones", None)],
)
def test_instance_types_in_one_text(stated: str, types: list[str] | None) -> None:
    found = imported(f"Web nodes:\n  min: 1\n  max: 2\n  instance types: {stated}\n")
    assert rules_of(found)["documented-node-groups", 2]["groups"]["web"].get("instance_types") == types
    assert bool(notes_of(found, "not-understood")) == (types is None)


@pytest.mark.parametrize(
    "text",
    [
        "Limit Ranges:\n  shop:\n    default request: {cpu: 100m}\n",
        "shop containers:\n  max limit: {cpu: 2}\n",
        "shop containers:\n  Maximum CPU limit: 2\n",
        "default containers:\n  requests: {cpu: 50m}\n",
        "shop total:\n  requests: {cpu: 2}\n",
    ],
)
def test_bounds_and_defaults_are_not_what_each_container_has(text: str) -> None:
    found = imported(f"{text}Namespaces: [shop]\n")
    assert "container-resources" not in {rule for rule, _ in rules_of(found)}
    assert len(notes_of(found, "not-understood")) == 1


@pytest.mark.parametrize(
    "said", ["CPU limit: 6 cores in total", "Disk size: one hundred gigabytes", "Runs as root: where it must be"]
)
def test_a_sentence_at_a_key_that_is_known_is_not_understood(said: str) -> None:
    found = imported(f"quota:\n  shop namespace:\n    pods: 5\n    {said.replace('Runs', 'Run')}\n")
    assert {line for line, _ in notes_of(found, "not-understood")} == {5}


def test_a_value_with_more_below_it_is_told_where_one_of_the_two_is_not_demanded() -> None:
    found = imported("Web nodes: spot\n  min: 1\n  max: 2\n")
    assert rules_of(found)["documented-node-groups", 2]["groups"] == {"web": {"minimum": 1, "maximum": 2}}
    assert notes_of(found, "not-understood") == {(2, "Web nodes")}
    found = imported(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  list: a\n    - b\n  hard: c\n    d: 2\n"
    )
    assert set(fields_of(found)) == {("ConfigMap x", "data.list"), ("ConfigMap x", "data.hard")}
    assert notes_of(found, "not-understood") == {(6, "ConfigMap x"), (8, "ConfigMap x")}


def test_an_empty_list_is_no_sentence() -> None:
    found = imported("containers:\n  privileged: false\n  sysctls: []\n")
    assert notes_of(found, "not-understood") == {(4, "containers / sysctls")}


def test_settings_below_the_heading_of_a_namespace_hold_there() -> None:
    text = "".join(
        f"## {name}\n\n```yaml\nsecurityContext:\n  runAsUser: {user}\n```\n\n"
        for name, user in (("Shop namespace", 1500), ("data", 1600), ("Namespace Defaults", 1700))
    )
    listed = "```yaml\nNamespaces: [shop, data]\n```\n"
    found = import_document(document_in((text + listed).encode(), "doc.md"), SEVERITIES)
    matches = {
        rules["run_as_user"]: rules["match"]["namespaces"]
        for (rule, _), rules in rules_of(found).items()
        if rule == "run-as-ids"
    }
    assert matches == {1500: ["shop"], 1600: ["data"], 1700: ["shop", "data"]}


def test_a_profile_of_the_node_by_name_is_told() -> None:
    found = imported("securityContext:\n  seccompProfile:\n    type: Localhost\n    localhostProfile: p.json\n")
    assert notes_of(found, "not-understood") == {(5, "seccompProfile")}


def test_no_capability_to_add_is_a_list_too() -> None:
    found = imported("securityContext:\n  runAsNonRoot: true\n  capabilities: {drop: [ALL], add: []}\n")
    assert rules_of(found)["allowed-added-capabilities", 4] == {"allowed": []}
    assert ("capabilities-restricted", 4) in rules_of(found)


@pytest.mark.parametrize("keys", ["ads", "Ads Namespace", "ads namespace quotas"])
def test_a_namespace_may_end_in_s(keys: str) -> None:
    found = imported(f"Resource quotas:\n  {keys}:\n    pods: 5\n")
    assert rules_of(found)["documented-quota", 4]["quotas"] == {"ads": {"pods": 5}}


def test_a_node_group_may_end_in_s() -> None:
    found = imported("Apps Node Group:\n  min: 1\n  max: 2\n")
    assert list(rules_of(found)["documented-node-groups", 2]["groups"]) == ["apps"]


def test_items_of_a_list_stand_below_their_names() -> None:
    found = imported(
        "Namespaces: [shop, data]\nQuotas:\n- namespace: shop\n  pods: 5\n- namespace: data\n  pods: 6\n"
        "Containers:\n- workload: shop\n  requests: {cpu: 1}\n- name: data\n  requests: {cpu: 2}\n"
        "- name: other\n  requests: {cpu: 3}\n"
    )
    demanded = rules_of(found)
    assert demanded["documented-quota", 5]["quotas"] == {"shop": {"pods": 5}}
    assert demanded["documented-quota", 7]["quotas"] == {"data": {"pods": 6}}
    assert demanded["container-resources", 10] == {"requests_cpu": 1, "match": {"namespaces": ["shop"]}}
    assert demanded["container-resources", 12] == {"requests_cpu": 2, "match": {"namespaces": ["data"]}}
    assert notes_of(found, "not-understood") == {(13, "Containers / other")}
    assert notes_of(found, "contradiction") == set()


def test_a_sentence_among_settings_is_a_setting() -> None:
    found = imported("Pods:\n  privileged: false\n  Service account token: not mounted anywhere\n")
    assert notes_of(found, "not-understood") == {(4, "Pods / Service account token")}


def test_of_two_quotas_the_lesser_is_demanded() -> None:
    for first, second in ((4, 5), (5, 4)):
        found = imported(f"quota:\n  shop:\n    cpu: {first}\n    requests: {{cpu: {second}}}\n")
        (stated,) = rules_of(found).values()
        assert stated["quotas"] == {"shop": {"requests.cpu": 4}}
        assert notes_of(found, "contradiction") == {(5, "requests.cpu of shop")}


def test_registries() -> None:
    found = imported("security:\n  privileged: false\n  Allowed registries: [a.example, b.example/team]\n")
    assert rules_of(found)["image-registry", 4] == {"allowed_registries": ["a.example", "b.example/team"]}
    found = imported("security:\n  privileged: false\n  Allowed registries: our own only\n")
    assert notes_of(found, "not-understood") == {(4, "security / Allowed registries")}


WEB_ONLY = "{podSelector: {matchLabels: {app: web}}"


@pytest.mark.parametrize(
    ("spec", "isolated"),
    [
        # A policy that opens nothing closes its pods, one that opens something closes them to all else.
        (f"{WEB_ONLY}, policyTypes: [Ingress, Egress]}}", {"ingress", "egress"}),
        (f"{WEB_ONLY}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: a}}}}}}]}}]}}", {"ingress"}),
        (f"{WEB_ONLY}, ingress: [{{ports: [{{port: 80}}]}}]}}", {"ingress"}),
        # One that opens everything closes nothing.
        (f"{WEB_ONLY}, ingress: [{{}}]}}", set()),
        (f"{WEB_ONLY}, ingress: [{{from: [{{namespaceSelector: {{}}}}]}}]}}", set()),
        (f"{WEB_ONLY}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]}}", {"egress"}),
    ],
)
def test_policies_close_what_they_do_not_open(spec: str, isolated: set[str]) -> None:
    found = imported(_policy(spec) + "---\nprivileged: false\n")
    uses = [use for clause in found.clauses for use in clause.rules if use["id"] == "documented-isolation"]
    closed = {key: value for use in uses for key, value in use["parameters"].items()}
    assert closed == {direction: ["shop/web"] for direction in isolated}


def test_a_default_deny_closes_what_other_policies_select() -> None:
    deny = _policy("{podSelector: {}, policyTypes: [Ingress]}")
    found = imported(f"{_policy(f'{WEB_ONLY}}}')}---\n{deny}")
    assert {rule for rule, _ in rules_of(found)} == {"default-deny-ingress-missing"}


def test_a_policy_of_the_mesh_that_allows_nothing_has_no_rules() -> None:
    found = imported(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {}\n"
    )
    assert fields_of(found) == {
        ("AuthorizationPolicy shop/p", "spec.rules"): ({"equals": []}, 5),
        ("AuthorizationPolicy shop/p", "spec.action"): ({"equals": "ALLOW"}, 5),
    }


def test_an_empty_selector_is_not_another_one() -> None:
    found = imported(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: p, namespace: shop}\n"
        "spec: {minAvailable: 1, selector: {}}\n"
    )
    assert fields_of(found)["PodDisruptionBudget shop/p", "spec.selector"] == ({"equals": {}}, 5)


def test_roles_of_one_name_in_two_namespaces() -> None:
    role = "kind: Role\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {{name: ops, namespace: {}}}\nrules: [{}]\n"
    rules = {
        name: f"{{apiGroups: [''], resources: [pods], verbs: [{verb}]}}" for name, verb in (("a", "get"), ("b", "list"))
    }
    found = imported("---\n".join(role.format(*pair) for pair in rules.items()))
    assert [key for stated in rules_of(found).values() for key in stated["roles"]] == ["a/ops", "b/ops"]
    assert notes_of(found, "contradiction") == set()


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_who_is_bound_besides_is_not_documented(kind: str) -> None:
    found = imported(
        "kind: RoleBinding\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: b, namespace: shop}\n"
        f"roleRef: {{kind: Role, name: r}}\nsubjects: [{{kind: {kind}, name: kari}}]\n"
    )
    fields = fields_of(found)
    assert fields["RoleBinding shop/b", "subjects[*].name"] == ({"oneOf": ["kari"]}, 6)
    assert fields["RoleBinding shop/b", "roleRef.name"] == ({"equals": "r"}, 5)


def test_a_volume_that_says_nothing_more_is_to_be_there() -> None:
    found = imported(
        "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: d, namespace: shop}\n"
        "spec: {template: {spec: {volumes: [{name: tmp, emptyDir: {}}]}}}\n"
    )
    assert fields_of(found) == {
        ("Deployment shop/d", "spec.template.spec.volumes[name=tmp].name"): ({"present": True}, 5)
    }


def test_a_quota_as_an_object_is_a_quota() -> None:
    found = imported(
        "Namespaces: [shop, data]\nquota:\n  data: {pods: 5}\n---\n"
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: shop}, spec: {hard: {pods: 3}}}\n"
    )
    assert notes_of(found, "contradiction") == set()


def test_many_lists_of_namespaces_take_no_long_time() -> None:
    run_within_seconds(
        """
from kit import LIBRARY
from kubeassay.policy.document.importing import import_document
from kubeassay.sources.markdown import document_in
text = "".join(f"namespaces of {n}:\\n  - n{n}\\n" for n in range(3000))
document = document_in(f"```yaml\\n{text}```\\n".encode(), "d.md")
import_document(document, {rule.id: rule.severity for rule in LIBRARY.rules.values()})
""",
        seconds=60,
    )
