"""What namespaces need: how many of everything there are, and whether it fits."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import objects_in, run_within_seconds
from kubeassay.analysis.quota.amounts import Amount
from kubeassay.analysis.quota.demand import scaled
from kubeassay.analysis.quota.fit import Fits, Line, fits
from kubeassay.model import Inventory
from kubeassay.sources.manifests import read_bytes

NEWEST = 37
TEMPLATE = "{metadata: {labels: {app: web}}, spec: {containers: [{name: a, resources: {requests: {cpu: 100m}}}]}}"


def quota(hard: str = 'pods: "100"', namespace: str = "namespace: shop", extra: str = "") -> str:
    return f"""
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: q, {namespace}}}
spec: {{hard: {{{hard}}}, {extra}}}
"""


def workload(
    kind: str, spec: str, name: str = "web", namespace: str = "namespace: shop", version: str = "apps/v1"
) -> str:
    template = f"template: {TEMPLATE}, " if "template" not in spec.lower() else ""
    return f"""
---
apiVersion: {version}
kind: {kind}
metadata: {{name: {name}, {namespace}}}
spec: {{{template}{spec}}}
"""


def autoscaler(low: int, high: int, kind: str = "Deployment") -> str:
    return f"""
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: shop}}
spec: {{minReplicas: {low}, maxReplicas: {high}, scaleTargetRef: {{apiVersion: apps/v1, kind: {kind}, name: web}}}}
"""


def line(text: str, resource: str = "pods", minor: int = NEWEST) -> Line:
    (found,) = [
        one for fit in Fits(Inventory(objects_in(text)), minor) for one in fit.lines if one.resource == resource
    ]
    return found


def shown(amount: Amount) -> str:
    if amount.exact:
        return str(amount.low)
    return f"{amount.low}-{'' if amount.high is None else amount.high}"


def needs(text: str, resource: str = "pods", minor: int = NEWEST) -> tuple[str, str, str]:
    """What is needed of a resource at rest, at the maximum, with the surge."""
    found = line(text, resource, minor)
    return shown(found.rest), shown(found.maximum), shown(found.surge)


NODES = """
---
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: shop, region: eu-west-1}
managedNodeGroups:
  - {name: general, instanceType: m5.large, minSize: 2, maxSize: 6, desiredCapacity: 3}
  - name: data
    instanceType: m5.large
    minSize: 1
    maxSize: 2
    desiredCapacity: 1
    taints: [{key: data, value: "true", effect: NoSchedule}]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(workload("Deployment", ""), ("1", "1", "2"), id="one replica, and a surge of 25 % is one"),
        pytest.param(workload("Deployment", "replicas: 4"), ("4", "4", "5"), id="25 %"),
        pytest.param(workload("Deployment", "replicas: 5"), ("5", "5", "7"), id="25 % is rounded up"),
        pytest.param(workload("Deployment", "replicas: 0"), ("0", "0", "0"), id="none"),
        pytest.param(
            workload("Deployment", "replicas: 5, strategy: {rollingUpdate: {maxSurge: 3}}"),
            ("5", "5", "8"),
            id="number",
        ),
        pytest.param(
            workload("Deployment", "replicas: 5, strategy: {rollingUpdate: {maxSurge: 100%}}"), ("5", "5", "10"), id="%"
        ),
        pytest.param(
            workload("Deployment", "replicas: 5, strategy: {rollingUpdate: {maxSurge: 0}}"), ("5", "5", "5"), id="0"
        ),
        pytest.param(
            workload("Deployment", "replicas: 5, strategy: {rollingUpdate: {maxSurge: many}}"),
            ("5", "5", "5-"),
            id="a surge that is none",
        ),
        pytest.param(workload("Deployment", "replicas: 5, strategy: {type: Recreate}"), ("5", "5", "5"), id="recreate"),
        pytest.param(
            workload("Deployment", "replicas: 5") + autoscaler(3, 15), ("3", "15", "19"), id="the autoscaler's bounds"
        ),
        pytest.param(workload("Deployment", "replicas: 0") + autoscaler(3, 15), ("0", "0", "0"), id="switched off"),
        pytest.param(workload("StatefulSet", "replicas: 3"), ("3", "3", "3"), id="a StatefulSet has no surge"),
        pytest.param(workload("ReplicaSet", "replicas: 3"), ("3", "3", "3"), id="nor a ReplicaSet"),
        pytest.param(workload("ReplicationController", "replicas: 3", version="v1"), ("3", "3", "3"), id="controller"),
        pytest.param(
            workload("Rollout", "replicas: 4, strategy: {canary: {}}", version="argoproj.io/v1alpha1"),
            ("4", "4", "5"),
            id="a canary",
        ),
        pytest.param(
            workload("Rollout", "replicas: 4, strategy: {blueGreen: {}}", version="argoproj.io/v1alpha1"),
            ("4", "4", "8"),
            id="blue and green",
        ),
        pytest.param(workload("DaemonSet", ""), ("0-", "0-", "0-"), id="a DaemonSet without nodes"),
        pytest.param(workload("DaemonSet", "") + NODES, ("2-3", "6", "6"), id="nodes without a taint"),
        pytest.param(
            workload("DaemonSet", "template: {spec: {tolerations: [{operator: Exists}], containers: [{name: a}]}}")
            + NODES,
            ("3-4", "8", "8"),
            id="a DaemonSet on all nodes",
        ),
        pytest.param(
            workload("DaemonSet", "updateStrategy: {rollingUpdate: {maxSurge: 50%}}") + NODES,
            ("2-3", "6", "9"),
            id="a DaemonSet with a surge",
        ),
        pytest.param(workload("Job", "", version="batch/v1"), ("1", "1", "1"), id="a Job"),
        pytest.param(
            workload("Job", "parallelism: 5, completions: 3", version="batch/v1"),
            ("3", "3", "3"),
            id="all it needs",
        ),
        pytest.param(workload("Job", "parallelism: 5", version="batch/v1"), ("5", "5", "5"), id="a work queue"),
        pytest.param(
            workload("Job", "parallelism: 5, suspend: true", version="batch/v1"), ("0", "0-5", "0-5"), id="suspended"
        ),
        pytest.param(
            workload(
                "CronJob",
                f"concurrencyPolicy: Forbid, jobTemplate: {{spec: {{parallelism: 2, template: {TEMPLATE}}}}}",
                version="batch/v1",
            ),
            ("0", "2", "2"),
            id="one run",
        ),
        pytest.param(
            workload("CronJob", f"jobTemplate: {{spec: {{template: {TEMPLATE}}}}}", version="batch/v1"),
            ("0", "1-", "1-"),
            id="runs may overlap",
        ),
        pytest.param(
            workload("CronJob", f"suspend: true, jobTemplate: {{spec: {{template: {TEMPLATE}}}}}", version="batch/v1"),
            ("0", "0", "0"),
            id="a suspended CronJob",
        ),
        pytest.param(workload("Deployment", "", namespace="namespace: other"), ("0", "0", "0"), id="another namespace"),
        pytest.param(workload("Deployment", "", namespace="labels: {}"), ("0-1", "0-1", "0-2"), id="no namespace"),
        pytest.param(workload("PodTemplate", "", version="v1"), ("0", "0", "0"), id="a PodTemplate makes no pods"),
        pytest.param(
            workload("Prometheus", "replicas: 2", version="monitoring.coreos.com/v1"), ("0-", "0-", "0-"), id="operator"
        ),
        pytest.param(
            workload("Kafka", "image: registry.example/kafka:1", version="kafka.example/v1"),
            ("0-", "0-", "0-"),
            id="CR",
        ),
    ],
)
def test_how_many_pods_there_are(text: str, expected: tuple[str, str, str]) -> None:
    assert needs(quota() + text) == expected


def test_what_was_made_by_what_is_there_counts_once() -> None:
    owned = """
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, ownerReferences: [{kind: Deployment, name: web, controller: true}]}
spec: {replicas: 2, template: {spec: {containers: [{name: a}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1-x, namespace: shop, ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]}
spec: {containers: [{name: a}]}
"""
    assert needs(quota() + workload("Deployment", "replicas: 2") + owned) == ("2", "2", "3")
    # Without its maker the ReplicaSet counts for itself.
    assert needs(quota() + owned) == ("2", "2", "2")


def test_a_live_daemon_set_says_on_how_many_nodes_it_runs() -> None:
    live = workload("DaemonSet", "") + "status: {desiredNumberScheduled: 4}\n"
    assert needs(quota() + live) == ("4", "4-", "4-")


def test_a_pod_that_has_ended_counts_as_an_object_alone() -> None:
    pod = workload("Pod", "containers: [{name: template, resources: {requests: {cpu: 1}}}]", version="v1")
    ended = pod + "status: {phase: Succeeded}\n"
    hard = 'pods: "1", count/pods: "1", requests.cpu: "1"'
    assert [shown(line(quota(hard) + pod, name).rest) for name in ("pods", "count/pods", "requests.cpu")] == ["1"] * 3
    assert [shown(line(quota(hard) + ended, name).rest) for name in ("pods", "count/pods", "requests.cpu")] == [
        "0",
        "1",
        "0",
    ]


CLAIM = "{metadata: {name: data}, spec: {resources: {requests: {storage: 10Gi}}}}"
SET = workload("StatefulSet", f"replicas: 3, volumeClaimTemplates: [{CLAIM}], template: {TEMPLATE}")


def claim(name: str, size: str = "10Gi") -> str:
    return f"""
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: shop}}
spec: {{resources: {{requests: {{storage: {size}}}}}}}
"""


@pytest.mark.parametrize(
    ("text", "claims", "size"),
    [
        (claim("one", "1500m"), "1", 2),
        (SET, "3", 30 << 30),
        (SET + claim("data-web-0") + claim("data-web-2"), "3", 30 << 30),
        # Of another replica than it has, of another name.
        (SET + claim("data-web-3") + claim("data-other-0"), "5", 50 << 30),
        (
            workload(
                "Deployment",
                "replicas: 2, template: {spec: {containers: [{name: a}], volumes: [{name: v, ephemeral:"
                f" {{volumeClaimTemplate: {CLAIM}}}}}]}}}}",
            ),
            "2",
            20 << 30,
        ),
    ],
)
def test_claims(text: str, claims: str, size: int) -> None:
    hard = 'persistentvolumeclaims: "5", requests.storage: 1Ti'
    assert needs(quota(hard) + text, "persistentvolumeclaims")[0] == claims
    assert line(quota(hard) + text, "requests.storage").rest == Amount(Fraction(size), Fraction(size))


def test_claims_of_pods_that_a_rollout_adds() -> None:
    spec = (
        "replicas: 2, template: {spec: {containers: [{name: a}], volumes: [{name: v, ephemeral:"
        f" {{volumeClaimTemplate: {CLAIM}}}}}]}}}}"
    )
    text = quota('persistentvolumeclaims: "5"') + workload("Deployment", spec)
    assert needs(text, "persistentvolumeclaims") == ("2", "2", "3")


def test_objects_that_are_counted() -> None:
    text = quota(
        'configmaps: "5", services: "5", services.nodeports: "5", count/deployments.apps: "5", count/jobs.batch: "5"'
    )
    text += workload("Service", "type: NodePort, template: x, ports: [{port: 1}, {port: 2}]", version="v1")
    text += workload("Deployment", "") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n"
    assert needs(text, "services")[0] == "1"
    assert needs(text, "services.nodeports")[0] == "2"
    assert needs(text, "count/deployments.apps")[0] == "1"
    assert needs(text, "count/jobs.batch")[0] == "0"
    # The cluster adds kube-root-ca.crt.
    assert needs(text, "configmaps")[0] == "1-2"


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("scopes: [BestEffort]", "0"),
        ("scopes: [NotBestEffort]", "1"),
        ("scopes: [Terminating]", "0"),
        ("scopes: [NotTerminating, NotBestEffort]", "1"),
        ("scopes: [CrossNamespacePodAffinity]", "0"),
        ("scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}", "0"),
        ("scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: DoesNotExist}]}", "1"),
    ],
)
def test_scopes(scopes: str, expected: str) -> None:
    text = quota(extra=scopes) + workload("Deployment", "")
    assert needs(text)[0] == expected


def test_a_quota_with_scopes_counts_pods_alone() -> None:
    text = quota("count/deployments.apps: 5, pods: 5", "namespace: shop", "scopes: [NotBestEffort]")
    text += workload("Deployment", "")
    assert needs(text)[0] == "1"
    assert needs(text, "count/deployments.apps")[0] == "0"


def test_the_default_priority_class_is_that_of_pods_that_name_none() -> None:
    scopes = "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}"
    text = quota(extra=scopes) + workload("Deployment", "")
    default = (
        "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nglobalDefault: true\n"
    )
    assert needs(text + default)[0] == "1"


INJECTED = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n"
ANNOTATED = (
    "template: {metadata: {annotations: {sidecar.istio.io/proxyCPU: 25m}}, spec: {containers: [{name: a, resources:"
    " {requests: {cpu: 100m}}}]}}"
)


def test_the_proxy_that_a_mesh_injects() -> None:
    hard = quota('requests.cpu: "1"')
    assert needs(hard + workload("Deployment", ANNOTATED), "requests.cpu")[0] == "1/10"
    assert needs(hard + INJECTED + workload("Deployment", ANNOTATED), "requests.cpu")[0] == "1/8"
    unknown = line(hard + INJECTED + workload("Deployment", ""), "requests.cpu")
    assert shown(unknown.rest) == "1/10-"
    assert unknown.unknown["rest"] == ("Deployment shop/web: what the injected proxy needs is not among the inputs",)


@pytest.mark.parametrize(
    ("space", "pod", "injected"),
    [
        ("labels: {istio-injection: enabled}", "", True),
        ("labels: {istio-injection: enabled}", "labels: {sidecar.istio.io/inject: 'false'}", False),
        ("labels: {istio-injection: enabled}", "annotations: {sidecar.istio.io/inject: 'false'}", False),
        ("labels: {istio-injection: disabled}", "labels: {sidecar.istio.io/inject: 'true'}", False),
        ("labels: {istio.io/rev: stable}", "", True),
        ("labels: {istio-injection: disabled, istio.io/rev: stable}", "", False),
        ("labels: {}", "", False),
        ("labels: {}", "labels: {sidecar.istio.io/inject: 'true'}", True),
        ("labels: {}", "labels: {istio.io/rev: stable}", True),
        ("labels: {}", "annotations: {sidecar.istio.io/inject: 'true'}", False),
    ],
)
def test_which_pods_a_mesh_adds_its_proxy_to(space: str, pod: str, injected: bool) -> None:
    text = quota('requests.cpu: "1"') + f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, {space}}}\n"
    text += workload("Deployment", f"template: {{metadata: {{{pod}}}, spec: {{containers: [{{name: a}}]}}}}")
    assert needs(text, "requests.cpu")[0] == ("0-" if injected else "0")
    on_the_node = text.replace("spec: {containers", "spec: {hostNetwork: true, containers")
    assert needs(on_the_node, "requests.cpu")[0] == "0"


def test_the_overhead_of_a_runtime_class() -> None:
    spec = "template: {spec: {runtimeClassName: sandbox, containers: [{name: a, resources: {requests: {cpu: 100m}}}]}}"
    class_ = """
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: sandbox}
handler: sandbox
overhead: {podFixed: {cpu: 50m}}
"""
    text = quota('requests.cpu: "1"') + workload("Deployment", spec)
    assert needs(text + class_, "requests.cpu")[0] == "3/20"
    assert needs(text, "requests.cpu")[0] == "1/10-"


def test_a_vertical_autoscaler_moves_requests_within_its_bounds() -> None:
    scaler = """
---
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  resourcePolicy: {containerPolicies: [{containerName: a, minAllowed: {cpu: 50m}, maxAllowed: {cpu: 2}}]}
"""
    text = quota('requests.cpu: "1", pods: "5"') + workload("Deployment", "replicas: 2, strategy: {type: Recreate}")
    assert needs(text + scaler, "requests.cpu") == ("1/5", "1/10-4", "1/10-4")
    assert needs(text + scaler) == ("2", "2", "2")
    off = scaler.replace("  resourcePolicy", "  updatePolicy: {updateMode: 'Off'}\n  resourcePolicy")
    assert needs(text + off, "requests.cpu") == ("1/5", "1/5", "1/5")


def test_limit_ranges_that_disagree_leave_the_default_open() -> None:
    def limits(name: str, cpu: str) -> str:
        return f"""
---
apiVersion: v1
kind: LimitRange
metadata: {{name: {name}, namespace: shop}}
spec: {{limits: [{{type: Container, default: {{cpu: {cpu}}}}}]}}
"""

    text = quota('limits.cpu: "1"') + workload("Deployment", "")
    assert needs(text + limits("a", "500m"), "limits.cpu")[0] == "1/2"
    assert needs(text + limits("a", "500m") + limits("b", "500m"), "limits.cpu")[0] == "1/2"
    assert needs(text + limits("a", "500m") + limits("b", "200m"), "limits.cpu")[0] == "1/5-1/2"


def test_of_environments_in_folders_the_nearest_counts() -> None:
    objects = []
    for environment, replicas in (("production", 5), ("staging", 1)):
        text = quota() + workload("Deployment", f"replicas: {replicas}")
        objects += read_bytes(text.encode(), f"{environment}/all.yaml").objects
    rows = {one.quota.obj.file: shown(one.rest) for fit in Fits(Inventory(objects), NEWEST) for one in fit.lines}
    assert rows == {"production/all.yaml": "5", "staging/all.yaml": "1"}


def test_objects_whose_names_are_completed_are_as_many_as_are_applied() -> None:
    job = workload("Job", "parallelism: 2", "a", version="batch/v1").replace("name: a,", "generateName: a-,", 1)
    assert needs(quota() + job + job)[0] == "4"
    assert needs(quota('count/jobs.batch: "1"') + job + job, "count/jobs.batch")[0] == "2"
    objects = read_bytes((quota() + job).encode(), "production/all.yaml").objects
    objects += read_bytes(job.encode(), "staging/all.yaml").objects
    (found,) = [one for fit in Fits(Inventory(objects), NEWEST) for one in fit.lines]
    assert shown(found.rest) == "2"


def test_an_application_may_deploy_more() -> None:
    application = """
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec: {source: {repoURL: https://git.example/web, path: elsewhere}, destination: {namespace: shop}}
"""
    found = line(quota('pods: "5"') + workload("Deployment", "replicas: 2") + application)
    assert shown(found.rest) == "2-"
    assert found.fits("rest") is None
    assert found.headroom is None
    # What is known alone may be too much already.
    assert line(quota('pods: "1"') + workload("Deployment", "replicas: 2") + application).fits("rest") is False


CLASS = "gpu.deviceclass.resource.k8s.io/devices"
WITH_DEVICES = workload(
    "Deployment",
    "replicas: 2, template: {spec: {containers: [{name: a}],"
    " resourceClaims: [{name: g, resourceClaimTemplateName: g}]}}",
)


def test_devices_that_claims_ask_for() -> None:
    requests = (
        "[{name: a, exactly: {deviceClassName: gpu, count: 3}}, {name: b, firstAvailable: [{deviceClassName: gpu},"
    )
    requests += " {deviceClassName: gpu, allocationMode: All}, {deviceClassName: other}]}]"
    spec = f"spec: {{devices: {{requests: {requests}}}}}"
    head = "---\napiVersion: resource.k8s.io/v1\nkind: ResourceClaim"
    text = quota(f"{CLASS}: 9, count/resourceclaims.resource.k8s.io: 9")
    text += f"{head}\nmetadata: {{name: c, namespace: shop}}\n{spec}\n"
    assert needs(text, CLASS)[0] == "35"
    text += WITH_DEVICES
    assert needs(text, CLASS) == ("35-", "35-", "35-")
    text += f"{head}Template\nmetadata: {{name: g, namespace: shop}}\nspec: {{{spec}}}\n"
    assert needs(text, CLASS) == ("105", "105", "140")
    assert needs(text, "count/resourceclaims.resource.k8s.io") == ("3", "3", "4")


def test_a_refused_quota_has_no_effect() -> None:
    assert not list(Fits(Inventory(objects_in(quota('pods: "-1"'))), NEWEST))
    assert fits(inventory := Inventory(objects_in(quota())), NEWEST) is fits(inventory, NEWEST)


@pytest.mark.parametrize(
    ("value", "total", "expected"),
    [("25%", 3, 1), ("25%", 4, 1), ("25%", 5, 2), ("0%", 9, 0), (2, None, 2), ("2", 4, None), ("25%", None, None)],
)
def test_a_share_is_rounded_up(value: Any, total: int | None, expected: int | None) -> None:
    assert scaled(value, total) == expected


# --- against an expansion into single pods ---

DEPLOYMENTS = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 6),
        "request": st.sampled_from([None, 50, 100, 250]),
        "limit": st.sampled_from([None, 100, 300]),
        "surge": st.sampled_from([None, 0, 2, "10%", "50%"]),
        "recreate": st.booleans(),
        "bounds": st.sampled_from([None, (1, 1), (2, 7), (3, 12)]),
        "deadline": st.booleans(),
    }
)
SETS = st.fixed_dictionaries(
    {"replicas": st.integers(0, 4), "storage": st.integers(1, 5), "present": st.integers(0, 4)}
)


@settings(max_examples=150, deadline=None)
@given(st.lists(DEPLOYMENTS, max_size=4), st.lists(SETS, max_size=2), st.booleans())
def test_sums_are_those_of_single_pods(deployments: list[Any], sets: list[Any], terminating: bool) -> None:
    objects: list[Any] = [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": "shop"},
            "spec": {
                "hard": {"pods": "9", "requests.cpu": "1", "limits.cpu": "1"},
                "scopes": ["Terminating"] if terminating else [],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "claims", "namespace": "shop"},
            "spec": {"hard": {"persistentvolumeclaims": "9", "requests.storage": "9"}},
        },
    ]
    # (pods, milli-CPU requested, of the limit) at rest, at the maximum, and what the worst rollout adds.
    rest, maximum, surges = [0, 0, 0], [0, 0, 0], [[0, 0, 0]]
    for number, one in enumerate(deployments):
        name = f"d{number}"
        resources = {
            "requests": {"cpu": f"{one['request']}m"} if one["request"] is not None else {},
            "limits": {"cpu": f"{one['limit']}m"} if one["limit"] is not None else {},
        }
        spec: dict[str, Any] = {"containers": [{"name": "a", "resources": resources}]}
        if one["deadline"]:
            spec["activeDeadlineSeconds"] = 60
        strategy: dict[str, Any] = {"type": "Recreate"} if one["recreate"] else {}
        if not one["recreate"] and one["surge"] is not None:
            strategy = {"rollingUpdate": {"maxSurge": one["surge"]}}
        objects.append(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {"replicas": one["replicas"], "strategy": strategy, "template": {"spec": spec}},
            }
        )
        low = high = one["replicas"]
        if one["bounds"] is not None:
            objects.append(
                {
                    "apiVersion": "autoscaling/v2",
                    "kind": "HorizontalPodAutoscaler",
                    "metadata": {"name": name, "namespace": "shop"},
                    "spec": {
                        "minReplicas": one["bounds"][0],
                        "maxReplicas": one["bounds"][1],
                        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                    },
                }
            )
            if one["replicas"]:
                low, high = one["bounds"]
        if terminating and not one["deadline"]:
            continue
        request = one["request"] if one["request"] is not None else one["limit"] or 0
        each = [1, request, one["limit"] or 0]
        surge = "25%" if one["surge"] is None else one["surge"]
        more = surge if isinstance(surge, int) else ceil(int(surge[:-1]) * high / 100)
        more = 0 if one["recreate"] else more
        for index, amount in enumerate(each):
            rest[index] += low * amount
            maximum[index] += high * amount
        surges.append([more * amount for amount in each])
    claims = storage = 0
    for number, one in enumerate(sets):
        template = {"metadata": {"name": "v"}, "spec": {"resources": {"requests": {"storage": one["storage"]}}}}
        objects.append(
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": f"s{number}", "namespace": "shop"},
                "spec": {
                    "replicas": one["replicas"],
                    "volumeClaimTemplates": [template],
                    "template": {"spec": {"activeDeadlineSeconds": 1, "containers": [{"name": "a"}]}},
                },
            }
        )
        rest[0] += one["replicas"]
        maximum[0] += one["replicas"]
        names = {f"v-s{number}-{ordinal}" for ordinal in range(one["replicas"])}
        present = {f"v-s{number}-{ordinal}" for ordinal in range(one["present"])}
        for name in sorted(present):
            objects.append(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": name, "namespace": "shop"},
                    "spec": {"resources": {"requests": {"storage": one["storage"]}}},
                }
            )
        claims += len(names | present)
        storage += len(names | present) * one["storage"]
    text = "\n---\n".join(json.dumps(one) for one in objects)
    found = {one.resource: one for fit in Fits(Inventory(objects_in(text)), NEWEST) for one in fit.lines}
    units = {"pods": 1, "requests.cpu": 1000, "limits.cpu": 1000}
    for index, (resource, unit) in enumerate(units.items()):
        one = found[resource]
        assert shown(one.rest) == str(Fraction(rest[index], unit))
        assert shown(one.maximum) == str(Fraction(maximum[index], unit))
        worst = max(surge[index] for surge in surges)
        assert shown(one.surge) == str(Fraction(maximum[index] + worst, unit))
        together = sum(surge[index] for surge in surges)
        assert shown(one.all_surges) == str(Fraction(maximum[index] + together, unit))
    assert shown(found["persistentvolumeclaims"].rest) == str(claims)
    assert shown(found["requests.storage"].rest) == str(storage)


def test_the_cost_is_linear() -> None:
    run_within_seconds(
        """
from kit import objects_in
from kubeassay.analysis.quota.fit import fits
from kubeassay.model import Inventory
pod = "---\\napiVersion: v1\\nkind: Pod\\nmetadata: {name: p%d, namespace: n%d}\\nspec: {containers: [{name: a}]}\\n"
quota = "---\\napiVersion: v1\\nkind: ResourceQuota\\nmetadata: {name: q, namespace: n%d}\\nspec: {hard: {pods: 1}}\\n"
claim = "---\\napiVersion: v1\\nkind: PersistentVolumeClaim\\nmetadata: {name: v-s-%d, namespace: n0}\\n"
text = "".join(pod % (n, n % 300) for n in range(3000)) + "".join(quota % n for n in range(300))
text += "".join(claim % n for n in range(1000))
text += "---\\napiVersion: apps/v1\\nkind: StatefulSet\\nmetadata: {name: s, namespace: n0}\\n"
text += "spec: {replicas: 2000000000, volumeClaimTemplates: [{metadata: {name: v}}],"
text += " template: {spec: {containers: [{name: a}]}}}\\n"
assert len(list(fits(Inventory(objects_in(text)), 37))) == 300
"""
    )


@pytest.mark.parametrize("value", ["null", "7", "[]", "{}", "[null]", '{"a": null}', '"x"', "[[1]]", "1e300"])
def test_values_of_any_type_do_no_harm(value: str) -> None:
    for path in ("hard", "scopes", "scopeSelector", "limits"):
        for kind in ("ResourceQuota", "LimitRange"):
            text = (
                f'{{"apiVersion": "v1", "kind": "{kind}", "metadata": {{"name": "a"}}, "spec": {{"{path}": {value}}}}}'
            )
            list(Fits(Inventory(objects_in(text)), NEWEST))
    for field in ("replicas", "strategy", "template", "volumeClaimTemplates", "updateStrategy", "parallelism"):
        for kind, version in (("Deployment", "apps/v1"), ("StatefulSet", "apps/v1"), ("Job", "batch/v1")):
            spec = {"template": {"spec": {"containers": [{"name": "a", "resources": {"requests": "x"}}]}}}
            text = (
                json.dumps(
                    {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "shop"}, "spec": spec}
                )[:-2]
                + f', "{field}": {value}}}}}'
            )
            list(Fits(Inventory(objects_in(quota() + "---\n" + text)), NEWEST))


CONTROL_PLANE = """
---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
"""


def test_where_it_is_not_known_whether_a_proxy_is_added_the_demand_is_not_known() -> None:
    hard = quota('requests.cpu: "1"') + workload("Deployment", "")
    assert needs(hard, "requests.cpu")[0] == "1/10"
    unknown = line(hard + CONTROL_PLANE, "requests.cpu")
    assert shown(unknown.rest) == "1/10-"
    assert unknown.unknown["rest"] == (
        "Deployment shop/web: whether a mesh adds its proxy to it is not known (the labels of namespace shop are not"
        " known)",
    )
    space = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, %s}\n"
    assert needs(hard + CONTROL_PLANE + space % "labels: {}", "requests.cpu")[0] == "1/10"
    linkerd = space % "annotations: {linkerd.io/inject: enabled}"
    assert needs(hard + linkerd, "requests.cpu")[0] == "1/10-"


def test_a_proxy_that_the_template_has_itself_is_not_added_again() -> None:
    containers = "containers: [{name: istio-proxy, image: %s, resources: {requests: {cpu: 100m}}}]"
    text = quota('requests.cpu: "1"') + INJECTED
    there = workload("Deployment", f"template: {{spec: {{{containers % 'istio/proxyv2:1.27.0'}}}}}")
    assert needs(text + there, "requests.cpu")[0] == "1/10"
    completed = workload("Deployment", f"template: {{spec: {{{containers % 'auto'}}}}}")
    assert needs(text + completed, "requests.cpu")[0] == "1/10-"


def test_of_very_many_limit_ranges_the_least_and_the_most_default_count() -> None:
    text = quota('limits.cpu: "1"') + workload("Deployment", "")
    text += "".join(
        f"---\napiVersion: v1\nkind: LimitRange\nmetadata: {{name: l{n}, namespace: shop}}\n"
        f"spec: {{limits: [{{type: Container, default: {{cpu: {(n * 37) % 101 + 1}}}}}]}}\n"
        for n in range(101)
    )
    assert needs(text, "limits.cpu")[0] == "1-101"


def test_secrets_that_others_make() -> None:
    text = quota('secrets: "1", pods: "1"')
    assert needs(text + workload("Deployment", ""), "secrets")[0] == "0"
    for version, kind in (
        ("external-secrets.io/v1", "ExternalSecret"),
        ("cert-manager.io/v1", "Certificate"),
        ("bitnami.com/v1alpha1", "SealedSecret"),
    ):
        made = f"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: a, namespace: shop}}\n"
        assert needs(text + made, "secrets")[0] == "0-"
        assert needs(text + made, "pods")[0] == "0"


def test_a_rollout_of_a_deployment_makes_no_pods_that_are_not_known() -> None:
    rollout = workload(
        "Rollout", "template: null, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, replicas: 2", "ro",
        version="argoproj.io/v1alpha1",
    ).replace("template: null, ", "")  # fmt: skip
    assert needs(quota() + workload("Deployment", "replicas: 0") + rollout)[0] == "2"
    assert needs(quota() + rollout)[0].endswith("-")


def test_quantities_below_nothing_leave_no_more_to_others() -> None:
    below = workload(
        "Deployment", "template: {spec: {containers: [{name: a, resources: {requests: {cpu: -5}}}]}}", "below"
    )
    text = quota('requests.cpu: "1"') + workload("Deployment", "replicas: 20") + below
    assert line(text, "requests.cpu").fits("rest") is False
    assert needs(text, "requests.cpu")[0] == "2-"
    claims = "".join(
        f"---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: c{size}, namespace: shop}}\n"
        f"spec: {{resources: {{requests: {{storage: {size}}}}}}}\n"
        for size in ("2Gi", "-2Gi")
    )
    assert line(quota("requests.storage: 1Gi") + claims, "requests.storage").fits("rest") is False


def test_what_controllers_made_counts_once() -> None:
    name = "count/replicasets.apps"
    text = quota(f'{name}: "1"') + workload("Deployment", "")
    assert needs(text, name)[0] == "1-"
    owner = "namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]"
    assert needs(text + workload("ReplicaSet", "", "web-1", owner), name)[0] == "1-"
    assert needs(text + workload("ReplicaSet", "", "other"), name)[0] == "2-"


def test_an_autoscaler_that_states_no_namespace_may_scale_what_does() -> None:
    text = quota() + workload("Deployment", "replicas: 2")
    assert needs(text + autoscaler(1, 9).replace(", namespace: shop", "")) == ("1-2", "1-", "1-")
    assert needs(text + autoscaler(1, 9).replace("namespace: shop", "namespace: other")) == ("2", "2", "3")
    assert needs(text + autoscaler(1, 9)) == ("1", "9", "12")


@pytest.mark.parametrize(("extended", "minor", "expected"), [(True, 37, "3"), (False, 37, "0-3"), (True, 35, "0")])
def test_claims_of_devices_count_as_extended_resources(extended: bool, minor: int, expected: str) -> None:
    claims = """
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: a, namespace: shop}
spec: {devices: {requests: [{name: a, exactly: {deviceClassName: gpu, count: 3, allocationMode: ExactCount}}]}}
"""
    stated = "spec: {extendedResourceName: example.com/gpu}" if extended else "spec: {}"
    class_ = f"---\napiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {{name: gpu}}\n{stated}\n"
    implicit, named = "requests.deviceclass.resource.kubernetes.io/gpu", "requests.example.com/gpu"
    text = quota(f"{implicit}: 2, {named}: 2") + claims + class_
    assert needs(text, implicit, minor)[0] == expected
    assert needs(text, named, minor)[0] == ("3" if extended and minor > 35 else "0")
    assert (
        needs(quota("gpu.deviceclass.resource.k8s.io/devices: 2") + claims, "gpu.deviceclass.resource.k8s.io/devices")[
            0
        ]
        == "3"
    )


def test_why_the_pods_of_a_job_are_not_counted_exactly_is_said() -> None:
    job = workload("Job", "template: {spec: {restartPolicy: Never, containers: [{name: a}]}}", version="batch/v1")
    found = line(quota('count/pods: "5"') + job, "count/pods")
    assert shown(found.rest) == "1-"
    assert found.unknown["rest"] == ("Job shop/web: its pods that have ended stay until their Job goes",)
