"""Places of live findings: what a rollout, a restart of pods and a restart of the server leave as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import objects_in
from live.api_server import Client, OwnServer
from live.test_live_audit import pod_spec, run

_MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def server(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server of its own, with controllers, which is stopped and started in between."""
    with OwnServer(binaries, tmp_path_factory.mktemp("places") / "server") as own:
        own.start_controllers()
        yield own


def deployment(namespace: str) -> dict[str, Any]:
    labels = {"app": "web"}
    container = {"name": "app", "image": "registry.example/app:1.0", "securityContext": {"privileged": True}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 2,
            # Nothing becomes ready here, and a rolling update would wait for that.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {**pod_spec(), "containers": [container]}},
        },
    }


def pods(client: Client, namespace: str) -> dict[str, str]:
    """The pods that run, by name, with their image."""
    listed = client.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def settled(server: OwnServer, namespace: str, before: dict[str, str] | None = None, image: str = "") -> dict[str, str]:
    """Waits for two pods, other ones than before."""

    def ready() -> bool:
        found = pods(server.admin, namespace)
        return (
            len(found) == 2
            and found.keys().isdisjoint(before or {})
            and all(image in one for one in found.values())
            and _observed(server.admin, namespace)
        )

    server._wait_for("kube-controller-manager", ready)
    return pods(server.admin, namespace)


def _observed(client: Client, namespace: str) -> bool:
    found = client.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    status = found["status"]
    return bool(status.get("observedGeneration") == found["metadata"]["generation"] and status.get("replicas") == 2)


def sarif(server: OwnServer, namespace: str, folder: Path) -> bytes:
    report = folder / "audit.sarif"
    run("audit", "--kubeconfig", server.kubeconfig, "-n", namespace, "-p", "strict", "-o", f"sarif={report}")
    return report.read_bytes()


def test_a_rollout_and_restarts_leave_the_report_as_it_is(server: OwnServer, tmp_path: Path) -> None:
    name = "places"
    server.admin.namespace(name)
    server.admin.must_create(deployment(name))
    path = f"/apis/apps/v1/namespaces/{name}/deployments/web"
    first = settled(server, name)
    before = sarif(server, name, tmp_path)
    results = json.loads(before)["runs"][0]["results"]
    of_web = [r for r in results if f"/{name}/apps.Deployment/web.yaml" in json.dumps(r["locations"])]
    assert any(result["ruleId"] == "privileged-container" for result in of_web)
    for result in of_web:
        resource, *inside = result["locations"][0]["logicalLocations"]
        assert resource == {"name": "web", "fullyQualifiedName": path, "kind": "resource"}
        assert all(one["fullyQualifiedName"].startswith(f"{path}#") for one in inside)
    # As kubectl rollout restart does it.
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"}
    restart = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    assert server.admin.request("PATCH", path, restart, _MERGE).ok
    second = settled(server, name, first)
    assert sarif(server, name, tmp_path) == before
    # Pods that are replaced.
    for pod in second:
        server.admin.delete({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": name}})
    third = settled(server, name, second)
    assert sarif(server, name, tmp_path) == before
    # The server itself.
    server.stop_api_server()
    server.start_api_server()
    settled(server, name)
    assert sarif(server, name, tmp_path) == before
    # Another image: what is said of it changes, and nothing else.
    container = {**deployment(name)["spec"]["template"]["spec"]["containers"][0], "image": "registry.example/app:2.0"}
    image = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert server.admin.request("PATCH", path, image, _MERGE).ok
    settled(server, name, third, "app:2.0")
    after = sarif(server, name, tmp_path)
    assert after != before
    assert after.replace(b"app:2.0", b"app:1.0") == before


#: What people write and an API server stores otherwise, or not at all, because it says the same.
_AS_WRITTEN = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: zeros
  namespace: NAMESPACE
  labels: {}
  annotations: {note: ""}
  creationTimestamp: null
spec:
  replicas: 0
  paused: false
  minReadySeconds: 0
  revisionHistoryLimit: 3
  selector: {matchLabels: {app: zeros}, matchExpressions: []}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 100%}}
  template:
    metadata: {labels: {app: zeros}, annotations: {}}
    spec:
      hostNetwork: false
      hostPID: false
      hostIPC: false
      nodeName: ""
      nodeSelector: {}
      imagePullSecrets: []
      automountServiceAccountToken: false
      serviceAccount: ""
      securityContext: {runAsUser: 0, supplementalGroups: [], seLinuxOptions: {level: ""}, sysctls: []}
      tolerations: [{key: a, operator: Exists, value: "", effect: NoSchedule}]
      volumes:
        - {name: scratch, emptyDir: {medium: "", sizeLimit: 1024Mi}}
        - {name: settings, configMap: {name: c, optional: false, items: []}}
        - {name: shared, nfs: {server: s, path: /, readOnly: false}}
      initContainers: []
      containers:
        - name: second
          image: registry.example/b:1
          command: []
          args: [a, b]
          stdin: false
          tty: false
          ports: [{containerPort: 53, protocol: UDP, hostPort: 0}, {containerPort: 53}]
          env: [{name: EMPTY, value: ""}, {name: NUMBER, value: "007"}]
          resources: {limits: {cpu: 0.5, memory: 1024Mi}, requests: {cpu: 100m, memory: 0.25Gi}, claims: []}
          livenessProbe: {httpGet: {port: 80, path: "", host: ""}, initialDelaySeconds: 0}
          volumeMounts: [{name: scratch, mountPath: /tmp, readOnly: false, subPath: ""}]
          securityContext: {privileged: false, allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: []}}
        - {name: first, image: 'registry.example/a:1', imagePullPolicy: "", lifecycle: {}, workingDir: ""}
---
apiVersion: v1
kind: Service
metadata: {name: zeros, namespace: NAMESPACE}
spec:
  type: ClusterIP
  clusterIP: ""
  externalName: ""
  externalIPs: []
  publishNotReadyAddresses: false
  sessionAffinity: None
  selector: {app: zeros}
  ports: [{port: 53, protocol: UDP, name: udp, nodePort: 0}, {port: 53, name: tcp}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: zeros, namespace: NAMESPACE}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: zeros}
  maxReplicas: 3
  metrics:
    - {type: External, external: {metric: {name: m}, target: {type: Value, value: "0.5"}}}
    - {type: External, external: {metric: {name: other}, target: {type: AverageValue, averageValue: 1000m}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: zeros, namespace: NAMESPACE}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress: [{}, {to: [], ports: [{port: 53}]}, {to: [{podSelector: {}}, {namespaceSelector: {}, podSelector: {}}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: zeros, namespace: NAMESPACE}
roleRef: {apiGroup: "", kind: ClusterRole, name: view}
subjects: [{apiGroup: "", kind: Group, name: g}, {kind: ServiceAccount, name: s, namespace: NAMESPACE, apiGroup: ""}]
---
apiVersion: v1
kind: LimitRange
metadata: {name: zeros, namespace: NAMESPACE}
spec: {limits: [{type: Container, default: {cpu: 0.5}, maxLimitRequestRatio: {cpu: 4000m}, max: {}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: zeros, namespace: NAMESPACE}
spec: {hard: {pods: 10, count/secrets: 5, requests.cpu: "2.5", requests.storage: 0.5Ti}, scopes: []}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: zeros, namespace: NAMESPACE}
spec:
  schedule: "*/5 * * * *"
  suspend: false
  jobTemplate:
    spec:
      backoffLimit: 0
      template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'registry.example/c:1'}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: zeros, namespace: NAMESPACE}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: "", resources: {requests: {storage: 1024Mi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: zeros, namespace: NAMESPACE}
data: {empty: "", number: "1.0", text: "a\\nb\\n"}
binaryData: {}
immutable: false
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: zeros, namespace: NAMESPACE}
automountServiceAccountToken: false
secrets: []
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: zeros, namespace: NAMESPACE}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: zeros}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: zeros, namespace: NAMESPACE}
spec:
  tls: [{hosts: [a.example], secretName: ""}]
  rules:
    - host: a.example
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: zeros, port: {number: 53, name: ""}}}}]}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: NAMESPACE-zeros}
value: 0
globalDefault: false
description: ""
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: NAMESPACE-zeros}
provisioner: example.com/none
allowVolumeExpansion: false
mountOptions: []
parameters: {}
"""


def test_what_a_server_stores_otherwise_is_no_drift(server: OwnServer, tmp_path: Path) -> None:
    name = "written"
    server.admin.namespace(name)
    tree = tmp_path / "tree"
    tree.mkdir()
    text = _AS_WRITTEN.replace("NAMESPACE", name)
    (tree / "zeros.yaml").write_text(text, encoding="utf-8")
    objects = [obj for obj in objects_in(text) if obj.ref.kind != "Deployment"]
    (deployment,) = (obj for obj in objects_in(text) if obj.ref.kind == "Deployment")
    for obj in (deployment, *objects):
        server.admin.must_create(obj.value)
    report = tmp_path / "audit.json"
    run("audit", "--kubeconfig", server.kubeconfig, "-p", "strict", "--source", tree, "-o", f"json={report}")
    drift = json.loads(report.read_text(encoding="utf-8"))["drift"]
    assert [(one["object"]["kind"], one["detail"]) for one in drift["changed"]] == []
    assert drift["missing"] == []
    # Every kind of them is read.
    assert drift["notCompared"] == []
