"""Rules of kubeassay.checks.scheduling: where they point, what they leave unjudged, and live Nodes."""

from __future__ import annotations

import pytest
from network_outcomes import outcomes

from kit import failing, objects_in, plan_of, profile_of, run_within_seconds, scan_text
from kubeassay.checks.check import Violation
from kubeassay.model import Inventory
from kubeassay.sources.manifests import read_bytes

SELECTOR = "node-selector-without-group"
TOLERATED = "dedicated-nodes-not-tolerated"
FITS = "pod-fits-no-node-group"

CONFIG = """
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: shop, region: eu-central-1, version: "1.34"}
managedNodeGroups:
  - {name: general, instanceTypes: [m5.large], labels: {workload: general}}
  - name: data
    instanceTypes: [r5.large]
    labels: {workload: data}
    taints: [{key: data, value: "true", effect: NoSchedule}]
"""
NODES = """
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Node
    metadata: {name: n1, labels: {eks.amazonaws.com/nodegroup: general, workload: general}}
    status: {allocatable: {cpu: "2", memory: 7Gi, pods: "29"}}
  - apiVersion: v1
    kind: Node
    metadata: {name: n2, labels: {eks.amazonaws.com/nodegroup: data, workload: data}}
    spec:
      taints:
        - {key: data, value: "true", effect: NoSchedule}
        - {key: node.kubernetes.io/not-ready, effect: NoExecute}
    status: {allocatable: {cpu: "2", memory: 15Gi, pods: "29"}}
"""
EITHER = pytest.mark.parametrize("nodes", [CONFIG, NODES], ids=["eksctl", "live"])


def workload(spec: str, name: str = "web", kind: str = "Deployment", namespace: str = "shop") -> str:
    return f"""---
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{{spec + ", " if spec else ""}containers: [{{name: app, image: registry.example/app:1}}]}}
"""


def said(rule: str, *documents: str, **parameters: object) -> set[tuple[str, str, str]]:
    return {(o.kind, o.about, o.words) for o in outcomes(rule, "".join(documents), **parameters)}


def failed(rule: str, *documents: str, **parameters: object) -> set[tuple[str, str]]:
    return {(about, words) for kind, about, words in said(rule, *documents, **parameters) if kind == "fail"}


@EITHER
def test_a_label_that_no_group_carries(nodes: str) -> None:
    text = (workload("nodeSelector: {workload: gpu}"), workload("nodeSelector: {workload: general}", "api"))
    assert said(SELECTOR, nodes, *text) == {
        ("fail", "Deployment shop/web", "spec.template.spec.nodeSelector.workload"),
        ("pass", "Deployment shop/api", ""),
    }
    # It is one rule's finding, not three rules'.
    assert failed(TOLERATED, nodes, *text) == set()
    assert failed(FITS, nodes, *text) == set()


@EITHER
def test_a_tainted_group_that_is_selected_and_not_tolerated(nodes: str) -> None:
    tolerating = 'nodeSelector: {workload: data}, tolerations: [{key: data, value: "true", effect: NoSchedule}]'
    text = (workload("nodeSelector: {workload: data}"), workload(tolerating, "db"))
    assert said(TOLERATED, nodes, *text) == {
        ("fail", "Deployment shop/web", "spec.template.spec.nodeSelector.workload"),
        ("pass", "Deployment shop/db", ""),
    }
    assert failed(SELECTOR, nodes, *text) == set()
    assert failed(FITS, nodes, *text) == set()
    assert said(TOLERATED, nodes, workload("nodeSelector: {workload: gpu}")) == set()


@EITHER
def test_more_than_any_node_has(nodes: str) -> None:
    big = workload("").replace("app:1}", "app:1, resources: {requests: {memory: 20Gi}}}")
    assert said(FITS, nodes, big) == {("fail", "Deployment shop/web", "spec.template.spec.containers[0].resources")}
    assert failed(SELECTOR, nodes, big) == set()
    assert said(FITS, nodes, workload("")) == {("pass", "Deployment shop/web", "")}


def test_amounts_that_differ_by_little_are_told_apart() -> None:
    big = workload("").replace("app:1}", "app:1, resources: {requests: {memory: 15728641Ki}}}")
    (message,) = (o.message for o in outcomes(FITS, NODES + big) if o.kind == "fail")
    assert "data: taint" in message
    assert "requests 15728641Ki of memory, and a node has 7Gi" in message
    tolerating = big.replace("spec: {containers", "spec: {tolerations: [{operator: Exists}], containers")
    (message,) = (o.message for o in outcomes(FITS, NODES + tolerating) if o.kind == "fail")
    assert "data: requests 15728641Ki of memory, and a node has 15Gi" in message


@EITHER
def test_every_group_is_tainted(nodes: str) -> None:
    only_data = nodes.replace(
        "labels: {workload: general}", "labels: {workload: general}, taints: [{key: a, effect: NoExecute}]"
    )
    only_data = only_data.replace(
        "workload: general}}\n    status",
        "workload: general}}\n    spec: {taints: [{key: a, effect: NoExecute}]}\n    status",
    )
    assert said(FITS, only_data, workload("")) == {("fail", "Deployment shop/web", "spec.template.spec.tolerations")}


def test_documented_taints_are_demanded_where_nodes_lack_them() -> None:
    text = workload("nodeSelector: {workload: batch, zone: a}")
    dedicated = [{"nodeSelector": {"workload": "batch"}, "taint": {"key": "batch", "effect": "NoSchedule"}}]
    finding = {("Deployment shop/web", "spec.template.spec.nodeSelector.workload")}
    assert failed(TOLERATED, text, dedicated=dedicated) == finding
    assert failed(TOLERATED, CONFIG, text, dedicated=dedicated) == finding
    tolerating = text.replace(
        "spec: {nodeSelector", "spec: {tolerations: [{key: batch, operator: Exists}], nodeSelector"
    )
    assert said(TOLERATED, tolerating, dedicated=dedicated) == {("pass", "Deployment shop/web", "")}
    assert said(TOLERATED, workload("nodeSelector: {zone: a}"), dedicated=dedicated) == set()


@pytest.mark.parametrize(
    "other",
    [
        "---\napiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: any}\n",
        CONFIG.replace("name: shop", "name: shop").replace(
            "managedNodeGroups", "autoModeConfig: {enabled: true}\nmanagedNodeGroups"
        ),
        CONFIG.replace("managedNodeGroups", "karpenter: {version: 1.0.0}\nmanagedNodeGroups"),
    ],
)
def test_where_others_make_nodes_nothing_fails(other: str) -> None:
    nodes = other if "ClusterConfig" in other else CONFIG + other
    for rule, spec in ((SELECTOR, "nodeSelector: {workload: gpu}"), (TOLERATED, "nodeSelector: {workload: data}")):
        assert said(rule, nodes, workload(spec)) == {("not-judged", "Deployment shop/web", "unknown-nodes")}


def test_a_cluster_autoscaler_may_add_live_nodes() -> None:
    autoscaler = workload("", "ca", namespace="kube-system").replace(
        "registry.example/app:1", "k8s.example/cluster-autoscaler:v1.34.0"
    )
    text = workload("nodeSelector: {workload: gpu}")
    about = "Deployment shop/web"
    assert ("not-judged", about, "unknown-nodes") in said(SELECTOR, NODES, text, autoscaler)
    # The groups that a ClusterConfig states are all that it can add nodes to.
    assert ("fail", about, "spec.template.spec.nodeSelector.workload") in said(SELECTOR, CONFIG, text, autoscaler)


def test_fargate_takes_what_its_profiles_select() -> None:
    config = CONFIG + "fargateProfiles: [{name: jobs, selectors: [{namespace: batch, labels: {app: web}}]}]\n"
    spec = "nodeSelector: {workload: gpu}"
    assert said(SELECTOR, config, workload(spec, namespace="batch")) == {("pass", "Deployment batch/web", "")}
    assert failed(SELECTOR, config, workload(spec)) == {
        ("Deployment shop/web", "spec.template.spec.nodeSelector.workload")
    }
    assert failed(SELECTOR, config, workload(spec, "api", namespace="batch")) != set()


def test_of_two_clusters_one_of_which_takes_it() -> None:
    other = "---" + CONFIG.replace("name: shop", "name: bank").replace("workload: general", "workload: gpu")
    fits_one = workload("nodeSelector: {workload: gpu}")
    assert said(SELECTOR, CONFIG, other, fits_one) == {("not-judged", "Deployment shop/web", "unknown-nodes")}
    assert failed(SELECTOR, CONFIG, other, workload("nodeSelector: {workload: x}")) != set()


def test_a_group_in_a_file_of_its_own_belongs_to_the_cluster() -> None:
    more = (
        "---\napiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: shop}\n"
        "nodeGroups: [{name: gpu, labels: {workload: gpu}}]\n"
    )
    assert failed(SELECTOR, CONFIG, more, workload("nodeSelector: {workload: gpu}")) == set()


def test_what_is_not_placed_by_the_scheduler_that_is_known() -> None:
    spec = "nodeSelector: {workload: gpu}"
    for more in ("schedulerName: own", "runtimeClassName: sandboxed"):
        assert said(SELECTOR, CONFIG, workload(f"{spec}, {more}")) == {
            ("not-judged", "Deployment shop/web", "unknown-nodes")
        }
    assert said(SELECTOR, CONFIG, workload(f"{spec}, nodeName: n1")) == set()


def test_without_nodes_nothing_is_said() -> None:
    for rule in (SELECTOR, TOLERATED, FITS, "tainted-group-unused", "tolerates-without-selecting"):
        assert said(rule, workload("nodeSelector: {workload: gpu}")) == set()


@EITHER
def test_groups_that_nothing_uses_and_tolerations_that_select_nothing(nodes: str) -> None:
    agent = workload("tolerations: [{operator: Exists}]", "agent", "DaemonSet")
    taint = "managedNodeGroups[1].taints[0]" if nodes is CONFIG else "spec.taints[0]"
    owner = "ClusterConfig shop" if nodes is CONFIG else "Node n2"
    assert said("tainted-group-unused", nodes, workload(""), agent) == {("fail", owner, taint)}
    tolerating = "tolerations: [{key: data, operator: Exists}]"
    assert failed("tainted-group-unused", nodes, workload(tolerating)) == set()
    assert failed("tainted-group-unused", nodes, agent) == set()
    rule = "tolerates-without-selecting"
    assert failed(rule, nodes, workload(tolerating), agent) == {
        ("Deployment shop/web", "spec.template.spec.tolerations[0]")
    }
    assert said(rule, nodes, workload(f"{tolerating}, nodeSelector: {{workload: data}}")) == {
        ("pass", "Deployment shop/web", "")
    }


def test_whether_pods_may_run_elsewhere_or_use_a_group_may_not_be_known() -> None:
    rule, tolerating = "tolerates-without-selecting", "tolerations: [{key: data, operator: Exists}]"
    unknown = {("not-judged", "Deployment shop/web", "unknown-nodes")}
    # Its RuntimeClass may select nodes, and tolerate taints.
    assert said(rule, CONFIG, workload(f"{tolerating}, runtimeClassName: sandbox")) == unknown
    of_group = {("not-judged", "ClusterConfig shop", "unknown-nodes")}
    assert said("tainted-group-unused", CONFIG, workload("runtimeClassName: sandbox")) == of_group
    # The group without a taint may have room for it.
    big = workload(tolerating).replace("app:1}", "app:1, resources: {requests: {memory: 7Gi}}}")
    assert said(rule, CONFIG, big) == unknown
    # Others make nodes, without any taint for all that is known.
    only = CONFIG.replace("labels: {workload: general}", "labels: {workload: general}, maxSize: 0")
    assert said(rule, only, workload(tolerating)) == {("pass", "Deployment shop/web", "")}
    pool = "---\napiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: p}\nspec: {}\n"
    assert said(rule, only, pool, workload(tolerating)) == unknown
    selecting = workload(f"{tolerating}, nodeSelector: {{workload: data}}")
    assert said(rule, only, pool, selecting) == {("pass", "Deployment shop/web", "")}


def test_pods_that_live_are_not_bound_by_their_manifest() -> None:
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: b{}}}\n"
        "spec: {{nodeName: n1, containers: [{{name: c, image: i}}]}}\n{}"
    )
    plan = plan_of(profile_of("node-name-set"))
    assert [f.path for f in failing(scan_text(plan, pod.format("", "")))] == ["spec.nodeName"]
    for uid, status in ((", uid: 0-1", ""), ("", "status: {phase: Running}\n")):
        result = scan_text(plan, pod.format(uid, status))
        assert (result.summary.fail, result.summary.passed) == (0, 0)


def test_static_pods_tolerate_everything() -> None:
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: b{}}}\n"
        "spec: {{tolerations: [{{key: '', operator: Exists}}], containers: [{{name: c, image: i}}]}}\n"
    )
    plan = plan_of(profile_of("tolerates-every-taint"))
    assert [f.path for f in failing(scan_text(plan, pod.format("")))] == ["spec.tolerations[0]"]
    static = pod.format(", annotations: {kubernetes.io/config.mirror: hash}")
    assert failing(scan_text(plan, static)) == []


def test_many_nodes_and_many_workloads_take_no_quadratic_time() -> None:
    run_within_seconds("""
from kit import plan_of, profile_of, scan_text
labels = "{kubernetes.io/hostname: n%d, workload: general}"
node = "apiVersion: v1\\nkind: Node\\nmetadata: {name: n%d, labels: " + labels + "}\\n"
spec = "{nodeSelector: {workload: x}, containers: [{name: c, image: i}]}"
pod = "apiVersion: v1\\nkind: Pod\\nmetadata: {name: p%d, namespace: a}\\nspec: " + spec + "\\n"
text = "---\\n".join([node % (n, n) for n in range(2000)] + [pod % n for n in range(2000)])
result = scan_text(plan_of(profile_of("node-selector-without-group", "pod-fits-no-node-group")), text)
assert result.summary.fail == 2000
""")


def test_what_a_limit_range_gives_containers_must_fit_too() -> None:
    limits = """---
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: %s}
spec: {limits: [{type: Container, default: {cpu: 20}}]}
"""
    web = ("fail", "Deployment shop/web", "spec.template.spec.containers")
    assert said(FITS, NODES, workload("")) == {("pass", "Deployment shop/web", "")}
    assert said(FITS, NODES, workload(""), limits % "other") == {("pass", "Deployment shop/web", "")}
    assert said(FITS, NODES, workload(""), limits % "shop") == {web}


def test_what_is_asked_for_depends_on_the_version_that_is_asked_about() -> None:
    """On the same objects, too: what a pod requests as a whole counts from 1.34 on."""
    objects = Inventory(objects_in(NODES + workload("resources: {requests: {memory: 20Gi}}")))
    fails = []
    for version in ("1.33", "1.34"):
        (active,) = plan_of(profile_of(FITS), version).rules
        fails.append(any(isinstance(one, Violation) for one in active.function(objects, active.context)))
    assert fails == [False, True]


def test_a_runtime_class_is_that_of_its_environment() -> None:
    class_ = """
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: sandbox}
handler: sandbox
scheduling: {nodeSelector: {workload: %s}}
"""
    web = workload("runtimeClassName: sandbox")
    texts = {"nodes": CONFIG, "dev": class_ % "gpu" + web, "prod": class_ % "general" + web}
    objects = [obj for at, text in texts.items() for obj in read_bytes(text.encode(), f"{at}/all.yaml").objects]
    (active,) = plan_of(profile_of(SELECTOR)).rules
    found = {(type(one).__name__, str(one.obj)) for one in active.function(Inventory(objects), active.context)}
    assert found == {
        ("Violation", "<Deployment shop/web in dev/all.yaml>"),
        ("Passed", "<Deployment shop/web in prod/all.yaml>"),
    }


def test_an_init_container_that_is_too_large_is_shown() -> None:
    init = "initContainers: [{name: load, resources: {requests: {memory: 99Gi}}}]"
    found = said(
        FITS, NODES, workload(init).replace("image: registry.example/app:1", "resources: {requests: {cpu: 1}}")
    )
    assert found == {("fail", "Deployment shop/web", "spec.template.spec.initContainers[0].resources")}


def test_a_group_of_no_nodes_takes_no_pods() -> None:
    config = CONFIG.replace("instanceTypes: [m5.large]", "instanceTypes: [m5.large], maxSize: 0")
    web = ("fail", "Deployment shop/web", "spec.template.spec.nodeSelector.workload")
    assert said(SELECTOR, config, workload("nodeSelector: {workload: general}")) == {web}
