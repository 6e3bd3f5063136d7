"""Workloads: one for what makes pods of one set of labels, and where pods are made that nothing tells of."""

from __future__ import annotations

from kit import objects_in, run_within_seconds
from kubeassay.analysis.network.endpoints import Workload
from kubeassay.analysis.network.workloads import unknown_workloads, workloads
from kubeassay.model import Inventory, format_path

CONTAINERS = "containers: [{name: app, image: app:1}]"


def workloads_in(text: str) -> tuple[Workload, ...]:
    return workloads(Inventory(objects_in(text)))


def names(text: str) -> list[str]:
    return [workload.name for workload in workloads_in(text)]


def unknown(text: str) -> list[tuple[str, str]]:
    return [(str(obj.ref), format_path(path)) for obj, path in unknown_workloads(Inventory(objects_in(text)))]


def ports(workload: Workload) -> list[tuple[str, str, int, str]]:
    return [(port.name, port.protocol, port.number, format_path(port.path)) for port in workload.ports]


def test_a_deployment_is_one_workload_with_what_connections_depend_on() -> None:
    (web,) = workloads_in("""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {of: the-deployment}}
spec:
  replicas: 0
  template:
    metadata: {labels: {app: web, tier: null}}
    spec:
      serviceAccountName: web
      hostNetwork: true
      initContainers:
      - {name: wait, image: wait:1, ports: [{containerPort: 1}]}
      - {name: proxy, image: proxy:1, restartPolicy: Always, ports: [{containerPort: 15001, protocol: UDP}]}
      containers:
      - {name: app, image: app:1, ports: [{name: http, containerPort: 8080}]}
""")
    assert web.name == "shop/web[Deployment]"
    assert web.namespace == "shop"
    assert web.labels == {"app": "web", "tier": ""}
    assert ports(web) == [
        ("", "UDP", 15001, "spec.template.spec.initContainers[1].ports[0]"),
        ("http", "TCP", 8080, "spec.template.spec.containers[0].ports[0]"),
    ]
    assert (web.host_network, web.service_account) == (True, "web")
    assert web.template is not None
    assert web.template.obj is web.obj


def test_names_are_sorted_and_default_is_the_namespace_where_none_is_stated() -> None:
    assert names(f"""
apiVersion: v1
kind: Pod
metadata: {{name: b, namespace: shop}}
spec: {{{CONTAINERS}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec: {{jobTemplate: {{spec: {{template: {{spec: {{{CONTAINERS}}}}}}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: a, namespace: shop}}
spec: {{{CONTAINERS}}}
---
apiVersion: v1
kind: PodTemplate
metadata: {{name: pattern, namespace: shop}}
template: {{spec: {{{CONTAINERS}}}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: policy}}
spec: {{rules: [{{validate: {{pattern: {{spec: {{{CONTAINERS}}}}}}}}}]}}
""") == ["default/nightly[CronJob]", "shop/a[Pod]", "shop/b[Pod]"]


def test_service_account_has_an_older_name_and_a_default() -> None:
    text = """
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {serviceAccount: older, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {serviceAccount: older, serviceAccountName: newer, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: c}
spec: {containers: []}
"""
    assert [workload.service_account for workload in workloads_in(text)] == ["older", "newer", "default"]


DEPLOYMENT = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec: {{template: {{metadata: {{labels: {{app: web}}}}, spec: {{{CONTAINERS}}}}}}}
---
"""
REPLICA_SET = f"""
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-5d9
  namespace: shop
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}}]
spec:
  template: {{metadata: {{labels: {{app: web, pod-template-hash: 5d9}}}}, spec: {{{CONTAINERS}}}}}
---
"""


def pod(name: str, owner: str, labels: str) -> str:
    kind, owner_name = owner.split("/")
    return f"""
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: shop
  labels: {labels}
  ownerReferences: [{{apiVersion: a/v1, kind: {kind}, name: {owner_name}, controller: true}}]
spec: {{{CONTAINERS}}}
---
"""


POD = pod("web-5d9-abc", "ReplicaSet/web-5d9", "{app: web, pod-template-hash: 5d9, a-mesh: added-this}")


def test_what_a_deployment_makes_is_judged_once_at_the_deployment() -> None:
    assert names(POD + REPLICA_SET + DEPLOYMENT) == ["shop/web[Deployment]"]


def test_a_pod_belongs_to_its_deployment_also_without_the_replica_set_between() -> None:
    assert names(POD + DEPLOYMENT) == ["shop/web[Deployment]"]


def test_without_the_deployment_the_replica_set_stands() -> None:
    assert names(POD + REPLICA_SET) == ["shop/web-5d9[ReplicaSet]"]


def test_pods_are_named_after_a_maker_that_is_not_among_the_inputs() -> None:
    other = POD.replace("web-5d9-abc", "web-5d9-def")
    (web,) = workloads_in(POD + other)
    assert (web.name, web.obj.ref.name) == ("shop/web-5d9[ReplicaSet]", "web-5d9-abc")


def test_pods_of_one_maker_with_other_labels_are_workloads_of_one_name() -> None:
    found = workloads_in(
        pod("db-0", "StatefulSet/db", "{app: db, statefulset.kubernetes.io/pod-name: db-0}")
        + pod("db-1", "StatefulSet/db", "{app: db, statefulset.kubernetes.io/pod-name: db-1}")
    )
    assert [(workload.name, workload.obj.ref.name) for workload in found] == [
        ("shop/db[StatefulSet]", "db-0"),
        ("shop/db[StatefulSet]", "db-1"),
    ]


def test_a_pod_of_an_older_revision_stands_for_itself_because_selectors_see_its_labels() -> None:
    old = pod("web-111-abc", "ReplicaSet/web-111", "{app: web-before, pod-template-hash: '111'}")
    assert names(old + DEPLOYMENT) == ["shop/web-111[ReplicaSet]", "shop/web[Deployment]"]


def test_an_older_revision_without_pods_is_no_workload() -> None:
    old = REPLICA_SET.replace("web-5d9", "web-111").replace("{app: web,", "{app: web-before,")
    kept = old.replace("spec:\n", "spec:\n  replicas: 0\n")
    assert names(kept + DEPLOYMENT) == ["shop/web[Deployment]"]
    assert names(old + DEPLOYMENT) == ["shop/web-111[ReplicaSet]", "shop/web[Deployment]"]


def test_an_owner_of_another_namespace_is_none() -> None:
    assert names(DEPLOYMENT.replace("shop", "other") + REPLICA_SET) == [
        "other/web[Deployment]",
        "shop/web-5d9[ReplicaSet]",
    ]


def test_owners_in_a_circle_hide_nothing() -> None:
    circle = "ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]"
    text = REPLICA_SET + DEPLOYMENT.replace("namespace: shop", f"namespace: shop, {circle}")
    assert names(text) == ["shop/web-5d9[ReplicaSet]", "shop/web[Deployment]"]


def test_owners_without_end_hide_nothing() -> None:
    run_within_seconds(
        """
from kit import objects_in
from kubeassay.analysis.network.workloads import workloads
from kubeassay.model import Inventory
chain = objects_in("".join('''
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: n%d, ownerReferences: [{kind: ReplicaSet, name: n%d, controller: true}]}
spec: {template: {spec: {containers: []}}}
---
''' % (n, (n + 1) % 3000) for n in range(3000)))
assert len(workloads(Inventory(chain))) == 3000
"""
    )


def test_a_static_pod_is_named_after_itself_not_its_node() -> None:
    assert names(pod("etcd-node1", "Node/node1", "{component: etcd}")) == ["shop/etcd-node1[Pod]"]


JOB = f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: load, namespace: shop}}
spec: {{template: {{metadata: {{labels: {{app: load}}}}, spec: {{{CONTAINERS}}}}}}}
---
"""


def test_a_job_has_the_labels_that_the_api_server_adds() -> None:
    (job,) = workloads_in(JOB)
    assert job.labels == {"app": "load", "job-name": "load", "batch.kubernetes.io/job-name": "load"}


def test_a_job_with_its_own_selector_gets_no_labels() -> None:
    (job,) = workloads_in(JOB.replace("spec: {template", "spec: {manualSelector: true, template"))
    assert job.labels == {"app": "load"}


def test_a_job_of_a_cron_job_is_judged_there() -> None:
    owned = JOB.replace(
        "namespace: shop", "namespace: shop, ownerReferences: [{kind: CronJob, name: nightly, controller: true}]"
    ).replace("{app: load}", "{app: load, job-name: load, controller-uid: 1-2-3}")
    cron = f"""
apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly, namespace: shop}}
spec: {{jobTemplate: {{spec: {{template: {{metadata: {{labels: {{app: load}}}}, spec: {{{CONTAINERS}}}}}}}}}}}
"""
    (nightly,) = workloads_in(owned + cron)
    assert (nightly.name, nightly.labels) == ("shop/nightly[CronJob]", {"app": "load"})


ROLLOUT = DEPLOYMENT.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout")


def test_a_custom_resource_with_a_template_is_a_workload() -> None:
    (rollout,) = workloads_in(ROLLOUT)
    assert (rollout.name, rollout.labels) == ("shop/web[Rollout]", {"app": "web"})


def test_a_custom_resource_speaks_for_what_it_made_when_the_labels_are_the_same() -> None:
    made = REPLICA_SET.replace("kind: Deployment", "kind: Rollout").replace("pod-template", "rollouts-pod-template")
    pods = POD.replace("pod-template", "rollouts-pod-template")
    assert names(ROLLOUT + made + pods) == ["shop/web[Rollout]"]


def test_an_operators_additional_labels_make_what_it_made_stand() -> None:
    service = DEPLOYMENT.replace("apps/v1", "serving.knative.dev/v1").replace("Deployment", "Service")
    made = DEPLOYMENT.replace("{app: web}", "{app: web, serving.knative.dev/service: web}").replace(
        "{name: web,", "{ownerReferences: [{kind: Service, name: web, controller: true}], name: web-1-deployment,"
    )
    same_name = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n---\n"
    assert names(service) == ["shop/web[Service]"]
    assert names(same_name + service + made) == ["shop/web-1-deployment[Deployment]"]


def test_pods_with_labels_that_an_operator_added_are_named_after_its_resource() -> None:
    clones = DEPLOYMENT.replace("apps/v1", "apps.kruise.io/v1alpha1").replace("Deployment", "CloneSet")
    assert names(clones + pod("web-1", "CloneSet/web", "{app: web, apps.kruise.io/cloneset-instance-id: x}")) == [
        "shop/web[CloneSet]"
    ]


def test_several_templates_of_a_custom_resource_are_told_apart_by_where_they_are() -> None:
    assert names(f"""
apiVersion: example.com/v1
kind: Cluster
metadata: {{name: ray, namespace: shop}}
spec:
  template: {{spec: {{{CONTAINERS}}}}}
  groups:
  - {{template: {{metadata: {{labels: {{a: b}}}}, spec: {{{CONTAINERS}}}}}}}
""") == ["shop/ray[Cluster]", "shop/ray[Cluster]#spec.groups[0].template"]


def test_a_pod_spec_without_labels_of_its_own_is_not_known() -> None:
    text = f"""
apiVersion: example.com/v1
kind: Sandbox
metadata: {{name: a, namespace: shop, labels: {{app: a}}}}
spec: {{{CONTAINERS}}}
---
apiVersion: example.com/v1
kind: Runner
metadata: {{name: b, namespace: shop}}
spec: {{pod: {{{CONTAINERS}}}}}
---
apiVersion: example.com/v1
kind: Database
metadata: {{name: c, namespace: shop}}
spec: {{server: {{image: db:1}}}}
"""
    assert names(text) == []
    assert unknown(text) == [
        ("Sandbox shop/a", "spec"),
        ("Runner shop/b", "spec.pod"),
        ("Database shop/c", "spec.server.image"),
    ]


def test_pods_are_known_when_what_makes_them_is_among_the_inputs() -> None:
    text = f"""
apiVersion: example.com/v1
kind: Database
metadata: {{name: c, namespace: shop}}
spec: {{server: {{image: db:1}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: c-server
  namespace: shop
  ownerReferences: [{{kind: Database, name: c, controller: true}}]
spec: {{template: {{metadata: {{labels: {{app: c}}}}, spec: {{{CONTAINERS}}}}}}}
"""
    assert names(text) == ["shop/c-server[StatefulSet]"]
    assert unknown(text) == []


def test_prometheus_has_the_pods_that_its_operator_makes() -> None:
    text = """
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: k8s, namespace: monitoring, labels: {of: the-object}}
spec:
  image: quay.io/prometheus/prometheus:v3.1.0
  version: v3.1.0
  serviceAccountName: prometheus-k8s
  portName: http
  podMetadata: {labels: {team: platform, prometheus: mine}}
  thanos: {image: thanos:1, httpListenLocal: true}
  containers:
  - {name: proxy, image: proxy:1, ports: [{name: proxy, containerPort: 9443}]}
"""
    (prometheus,) = workloads_in(text)
    assert prometheus.name == "monitoring/k8s[Prometheus]"
    assert prometheus.labels == {
        "app.kubernetes.io/instance": "k8s",
        "app.kubernetes.io/managed-by": "prometheus-operator",
        "app.kubernetes.io/name": "prometheus",
        "app.kubernetes.io/version": "3.1.0",
        "operator.prometheus.io/name": "k8s",
        "operator.prometheus.io/shard": "0",
        "prometheus": "k8s",
        "team": "platform",
    }
    assert ports(prometheus) == [
        ("http", "TCP", 9090, "spec.portName"),
        ("reloader-web", "TCP", 8080, "spec"),
        ("grpc", "TCP", 10901, "spec.thanos"),
        ("proxy", "TCP", 9443, "spec.containers[0].ports[0]"),
    ]
    assert prometheus.service_account == "prometheus-k8s"
    assert prometheus.template is None
    assert unknown(text) == []


def test_other_kinds_of_the_prometheus_operator() -> None:
    agent, alertmanager, ruler, sharded = workloads_in("""
apiVersion: monitoring.coreos.com/v1alpha1
kind: PrometheusAgent
metadata: {name: a, namespace: m}
spec: {mode: DaemonSet, listenLocal: true, hostNetwork: true}
---
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: {name: b, namespace: m}
spec: {version: 0.28.0}
---
apiVersion: monitoring.coreos.com/v1
kind: ThanosRuler
metadata: {name: c, namespace: m}
spec: {version: 0.37.0}
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: d, namespace: m}
spec: {shards: 2}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: e, namespace: m}
spec: {endpoints: []}
""")

    def common(name: str, application: str) -> dict[str, str]:
        return {
            "app.kubernetes.io/instance": name,
            "app.kubernetes.io/managed-by": "prometheus-operator",
            "app.kubernetes.io/name": application,
        }

    assert agent.labels == {**common("a", "prometheus-agent"), "operator.prometheus.io/name": "a"}
    assert (ports(agent), agent.host_network, agent.service_account) == ([], True, "default")
    assert alertmanager.labels == {
        **common("b", "alertmanager"),
        "alertmanager": "b",
        "app.kubernetes.io/version": "0.28.0",
    }
    assert [port[:3] for port in ports(alertmanager)] == [
        ("web", "TCP", 9093),
        ("reloader-web", "TCP", 8080),
        ("mesh-tcp", "TCP", 9094),
        ("mesh-udp", "UDP", 9094),
    ]
    assert ruler.labels == {**common("c", "thanos-ruler"), "thanos-ruler": "c"}
    assert [port[:3] for port in ports(ruler)] == [
        ("web", "TCP", 10902),
        ("reloader-web", "TCP", 8080),
        ("grpc", "TCP", 10901),
    ]
    assert sharded.labels == {**common("d", "prometheus"), "operator.prometheus.io/name": "d", "prometheus": "d"}


def test_the_stateful_set_that_the_operator_made_says_it_better() -> None:
    assert names(f"""
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {{name: k8s, namespace: shop}}
spec: {{}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: prometheus-k8s
  namespace: shop
  ownerReferences: [{{kind: Prometheus, name: k8s, controller: true}}]
spec: {{template: {{metadata: {{labels: {{prometheus: k8s}}}}, spec: {{{CONTAINERS}}}}}}}
""") == ["shop/prometheus-k8s[StatefulSet]"]


def test_workloads_are_found_once() -> None:
    inventory = Inventory(objects_in(DEPLOYMENT))
    assert workloads(inventory) is workloads(inventory)


def test_cost_is_linear_in_pods() -> None:
    run_within_seconds(
        """
from kit import objects_in
from kubeassay.analysis.network.workloads import workloads
from kubeassay.model import Inventory, Object, ObjectRef
(pod,) = objects_in('''
apiVersion: v1
kind: Pod
metadata: {namespace: shop, labels: {app: a}, ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]}
spec: {containers: []}
''')
pods = [pod.with_value(dict(pod.value)) for _ in range(50000)]
assert [workload.name for workload in workloads(Inventory(pods))] == ["shop/web-1[ReplicaSet]"]
"""
    )
