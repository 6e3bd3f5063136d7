"""Places in kustomizations hold, whatever takes part: trees that each have something else in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import go_tools
import pytest

from sources.kustomize_proof import Claim, built, claims_of, objects_of, prove, write
from sources.test_kustomize_places import BASE

#: How many claims of a tree are tried; a build takes some 40 ms. Set KUBEASSAY_EXAMPLES for more.
TRIED = max(6, int(os.environ.get("KUBEASSAY_EXAMPLES", "0")))

#: Where something takes part that is not followed: nothing is claimed of what it may have changed.
NOTHING_CLAIMED = frozenset({"configurations", "tr-below"})
LEAST = 10

STATEFUL = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  serviceName: db
  selector:
    matchLabels: {app: db}
  template:
    metadata:
      labels:
        app: db
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: db}}}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: host, labelSelector: {matchLabels: {app: db}}}
      initContainers:
      - {name: init, image: registry.example/app:1.0}
      containers:
      - name: db
        image: "registry.example/db@sha256:0000000000000000000000000000000000000000000000000000000000000000"
        env:
        - {name: P, valueFrom: {secretKeyRef: {name: db, key: p}}}
        - {name: Q, value: "1"}
        envFrom: [{configMapRef: {name: conf}}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
CRON = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: cron, annotations: {a: "1"}}
spec:
  schedule: "0 1 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: cron}}
        spec:
          restartPolicy: Never
          serviceAccountName: web
          containers: [{name: c, image: registry.example/app:1.0}]
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: crb}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cr}
subjects: [{kind: ServiceAccount, name: web, namespace: default}, {kind: User, name: joe}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cr}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
"""
CUSTOM = """\
apiVersion: example.com/v1
kind: Thing
metadata: {name: thing, labels: {app: web}}
spec:
  replicas: 3
  template:
    spec:
      containers: [{name: a, image: registry.example/app:1.0}, {name: b, image: x:1}]
  list: [{name: a, v: 1}, {name: b, v: 2}]
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: one, b: two}
"""
ANCHORS = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: &l
    app: web
    tier: front
spec:
  replicas: 2
  selector: {matchLabels: *l}
  template:
    metadata: {labels: {<<: *l, more: x}}
    spec:
      containers:
        - &c
          name: app
          image: registry.example/app:1.0
          env: [{name: A, value: one}]
        - <<: *c
          name: app2
"""
ODD = (
    "apiVersion: apps/v1\n"
    "kind: Deployment\n"
    "metadata:\n"
    "  name: web\n"
    '  annotations: {m: "yes", d: "2020-01-01", e: \'1e3\', t: "a\\tb", u: "ü😀"}\n'
    "spec:\n"
    "  replicas: 0x2\n"
    "  paused: null\n"
    "  strategy: {}\n"
    "  progressDeadlineSeconds: 1e3\n"
    "  selector: {matchLabels: {app: web}}\n"
    "  template:\n"
    "    metadata: {labels: {app: web}}\n"
    "    spec:\n"
    "      securityContext: {}\n"
    "      nodeSelector: null\n"
    "      containers:\n"
    "        - name: app\n"
    "          image: registry.example/app:1.0\n"
    "          args: [\"ü\", 'x''y', plain\n"
    "            folded]\n"
    "          command: []\n"
)
MORE = {
    **BASE,
    "base/kustomization.yaml": (
        "resources: [web.yaml, service.yaml, account.yaml, policy.yaml, sts.yaml, cron.yaml, crb.yaml, cr.yaml, conf.yaml]\n"
    ),
    "base/sts.yaml": STATEFUL,
    "base/cron.yaml": CRON,
    "base/crb.yaml": BINDING,
    "base/cr.yaml": CUSTOM,
    "base/conf.yaml": CONFIG,
}
ALONE = {"base/kustomization.yaml": "resources: [web.yaml]\n"}
TREES: dict[str, Mapping[str, str]] = {
    "all-labels": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\nlabels: [{pairs: {app: renamed, x: yy}, includeSelectors: true}]\n"
        ),
    },
    "all-templ": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\nlabels: [{pairs: {app: renamed, x: yy}, includeTemplates: true}]\n"
        ),
    },
    "all-common": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\ncommonLabels: {app: common}\ncommonAnnotations: {a: b}\n"),
    },
    "all-names": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\nnamePrefix: p-\nnamespace: shop\n"),
    },
    "all-images": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "images: [{name: registry.example/app, newTag: v2}, {name: registry.example/db, newName: other}]\n"
            "replicas: [{name: db, count: 3}]\n"
        ),
    },
    "openapi": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\nopenapi: {path: s.json}\npatches: [{path: p.yaml}]\n"),
        "over/s.json": (
            '{"definitions": {"com.example.v1.Thing": {"x-kubernetes-group-version-kind": [{"group": "exampl'
            'e.com", "kind": "Thing", "version": "v1"}], "properties": {"spec": {"properties": {"list": {"ty'
            'pe": "array", "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge", "'
            'items": {"type":"object", "properties": {"name": {"type":"string"}, "v": {"type":"integer"}}}}}}}}}}'
        ),
        "over/p.yaml": (
            "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: thing}\nspec: {list: [{name: b, v: 5}]}\n"
        ),
    },
    "cr-merge": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: example.com/v1\n"
            "kind: Thing\n"
            "metadata: {name: thing}\n"
            "spec: {list: [{name: b, v: 5}], template: {spec: {containers: [{name: b, image: new}]}}}\n"
        ),
    },
    "cm-merge": {
        **MORE,
        "base/kustomization.yaml": (
            "resources: [web.yaml, service.yaml, account.yaml, policy.yaml, sts.yaml, cron.yaml, crb.yaml, c"
            "r.yaml, conf.yaml]\n"
            "configMapGenerator: [{name: g, literals: [a=1, k=v]}, {name: h, literals: [a=1]}]\n"
        ),
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "configMapGenerator: [{name: g, behavior: merge, literals: [a=two]}, {name: h, behavior: replace"
            ", literals: [b=3]}]\n"
        ),
    },
    "cm-merge-res": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\nconfigMapGenerator: [{name: conf, behavior: merge, literals: [a=two]}]\n"
        ),
    },
    "gen-opts": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "generatorOptions: {labels: {g: x}, annotations: {yy: z}, disableNameSuffixHash: true}\n"
            "configMapGenerator: [{name: g, envs: [e.env]}]\n"
            "secretGenerator: [{name: s, envs: [e.env]}]\n"
        ),
        "over/e.env": ("A=one\nB=two\n"),
    },
    "gen-patched": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "configMapGenerator: [{name: g, literals: [a=1], options: {disableNameSuffixHash: true}}]\n"
            "patches: [{path: p.yaml}]\n"
        ),
        "over/p.yaml": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: g, labels: {a: b}}\ndata: {z: 'new'}\n"),
    },
    "label-fields": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "labels: [{pairs: {x: yy}, fields: [{path: spec/template/metadata/labels, kind: Deployment, crea"
            "te: true}, {path: 'spec/foo[]/labels', create: true}]}]\n"
        ),
    },
    "diamond": {
        **BASE,
        "a/kustomization.yaml": ("resources: [../base]\nnamePrefix: a-\npatches: [{path: p.yaml}]\n"),
        "a/p.yaml": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 11\n"),
        "b/kustomization.yaml": ("resources: [../base]\nnamePrefix: b-\nnamespace: bb\n"),
        "over/kustomization.yaml": (
            "resources: [../a, ../b]\nnameSuffix: -z\npatches: [{path: p.yaml}, {path: q.yaml}]\n"
        ),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: a-web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      hostPID: true\n"
        ),
        "over/q.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: b-web, namespace: bb}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      hostIPC: true\n"
        ),
    },
    "anchors": {
        **ALONE,
        "base/web.yaml": ANCHORS,
        "over/kustomization.yaml": ("resources: [../base]\n"),
    },
    "anchors-label": {
        **ALONE,
        "base/web.yaml": ANCHORS,
        "over/kustomization.yaml": ("resources: [../base]\nlabels: [{pairs: {app: new}, includeSelectors: true}]\n"),
    },
    "anchors-label2": {
        **ALONE,
        "base/web.yaml": ANCHORS,
        "over/kustomization.yaml": ("resources: [../base]\nlabels: [{pairs: {app: new}}]\n"),
    },
    "anchors-patch": {
        **ALONE,
        "base/web.yaml": ANCHORS,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers: [{name: app, image: 'n:1', env: [{name: A, value: two}]}]\n"
        ),
    },
    "anchors-json": {
        **ALONE,
        "base/web.yaml": ANCHORS,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml, target: {kind: Deployment}}]\n"),
        "over/p.yaml": (
            "- {op: replace, path: /metadata/labels/app, value: changed}\n"
            "- {op: replace, path: /spec/template/spec/containers/0/env/0/value, value: changed}\n"
        ),
    },
    "anchors-images": {
        **ALONE,
        "base/web.yaml": ANCHORS,
        "over/kustomization.yaml": ("resources: [../base]\nimages: [{name: registry.example/app, newName: other}]\n"),
    },
    "anchored-patch": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers:\n"
            "      - &x {name: app, securityContext: &y {runAsUser: 5}}\n"
            "      - {name: log, securityContext: *y}\n"
        ),
    },
    "odd": {
        **ALONE,
        "base/web.yaml": ODD,
        "over/kustomization.yaml": ("resources: [../base]\n"),
    },
    "bom-crlf": {
        **BASE,
        "base/web.yaml": (
            "apiVersion: apps/v1\r\n"
            "kind: Deployment\r\n"
            "metadata:\r\n"
            "  name: web\r\n"
            "  labels: {app: web, tier: front}\r\n"
            '  annotations: {owner: "team-a"}\r\n'
            "spec:\r\n"
            "  replicas: 2\r\n"
            "  selector: {matchLabels: {app: web}}\r\n"
            "  template:\r\n"
            "    metadata: {labels: {app: web}}\r\n"
            "    spec:\r\n"
            "      serviceAccountName: web\r\n"
            "      hostNetwork: true\r\n"
            "      containers:\r\n"
            "        - name: app\r\n"
            "          image: registry.example/app:1.0\r\n"
            '          args: [--port, "8080"]\r\n'
            "          ports: [{containerPort: 8080, name: http}, {containerPort: 9090}]\r\n"
            "          env: [{name: A, value: one}, {name: B, value: two}]\r\n"
            "          securityContext: {privileged: true, runAsUser: 0}\r\n"
            "        - name: log\r\n"
            "          image: registry.example/log:1.0\r\n"
            "          volumeMounts: [{name: tmp, mountPath: /tmp}]\r\n"
            "      volumes: [{name: tmp, emptyDir: {}}]\r\n"
        ),
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata: {name: web}\r\nspec:\r\n  replicas: 3\r\n"
        ),
    },
    "folded": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches:\n"
            "  - patch: >-\n"
            '      {"apiVersion": "apps/v1", "kind": "Deployment",\n'
            '      "metadata": {"name": "web"},\n'
            '      "spec": {"replicas": 7}}\n'
        ),
    },
    "psm-inline": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patchesStrategicMerge:\n"
            "  - |\n"
            "    # comment\n"
            "    apiVersion: apps/v1\n"
            "    kind: Deployment\n"
            "    metadata: {name: web}\n"
            "    spec: {replicas: 3}\n"
            "    ---\n"
            "    apiVersion: v1\n"
            "    kind: Service\n"
            "    metadata: {name: web}\n"
            "    spec: {type: NodePort}\n"
        ),
    },
    "two-docs-inline": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches:\n"
            "  - patch: |\n"
            "      apiVersion: apps/v1\n"
            "      kind: Deployment\n"
            "      metadata: {name: web}\n"
            "      spec: {replicas: 3}\n"
            "      ---\n"
            "      apiVersion: v1\n"
            "      kind: Service\n"
            "      metadata: {name: web}\n"
            "      spec: {type: NodePort}\n"
        ),
    },
    "targets": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches:\n"
            "  - target: {labelSelector: 'app=web,tier'}\n"
            "    patch: |-\n"
            "      - {op: add, path: /spec/paused, value: true}\n"
            "  - target: {name: 'we.*', kind: 'Serv.*'}\n"
            "    patch: |-\n"
            "      - {op: add, path: /metadata/annotations, value: {x: 'y'}}\n"
            "  - target: {annotationSelector: 'owner=team-a'}\n"
            "    patch: |-\n"
            "      - {op: replace, path: /spec/replicas, value: 7}\n"
        ),
    },
    "sm-target": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches:\n"
            "  - target: {kind: 'Deployment|Service'}\n"
            "    patch: |-\n"
            "      apiVersion: v1\n"
            "      kind: X\n"
            "      metadata: {name: not-important, labels: {new: label}, annotations: {n: 'x'}}\n"
        ),
    },
    "json-name": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "namePrefix: p-\n"
            "patches:\n"
            "  - target: {kind: Service}\n"
            "    patch: |-\n"
            "      - {op: replace, path: /metadata/name, value: other}\n"
            "      - {op: add, path: /metadata/namespace, value: ns}\n"
        ),
    },
    "p-merge": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      $patch: merge\n"
            "      containers: [{name: app, $patch: merge, image: 'z:1'}]\n"
        ),
    },
    "p-replace-map": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      $patch: replace\n"
            "      containers: [{name: app, image: 'z:1'}]\n"
        ),
    },
    "p-replace-member": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers: [{name: app, $patch: replace, image: 'z:1'}, {name: log, image: 'y:1'}]\n"
        ),
    },
    "p-delete-member-list": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers:\n"
            "      - $patch: delete\n"
            "        name: log\n"
            "      - name: app\n"
            "        env: [{name: A, $patch: delete}]\n"
            "        ports: [{containerPort: 9090, $patch: delete}]\n"
        ),
    },
    "p-order": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      $setElementOrder/containers: [{name: log}, {name: app}]\n"
            "      containers: [{name: app, image: 'z:1'}]\n"
        ),
    },
    "p-primitive": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers: [{name: app, $deleteFromPrimitiveList/args: [--port]}]\n"
        ),
    },
    "p-retain": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      volumes: [{name: tmp, $retainKeys: [name, hostPath], hostPath: {path: /x}}]\n"
        ),
    },
    "p-env-from": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: StatefulSet\n"
            "metadata: {name: db}\n"
            "spec: {template: {spec: {containers: [{name: db, env: [{name: Q, valueFrom: {fieldRef: {fieldPa"
            "th: x}}}, {name: P, value: plain, valueFrom: null}]}]}}}\n"
        ),
    },
    "p-ports": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  template:\n"
            "    spec:\n"
            "      containers: [{name: app, ports: [{containerPort: 8080, protocol: UDP}, {containerPort: 90"
            "90, name: n}]}]\n"
        ),
    },
    "p-service": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: v1\n"
            "kind: Service\n"
            "metadata: {name: web}\n"
            "spec: {ports: [{port: 80, nodePort: 30000}, {port: 81}, {port: 80, protocol: UDP}]}\n"
        ),
    },
    "p-policy": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {ingress: [{}]}\n"
        ),
    },
    "p-null-new": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  foo: null\n"
            "  template:\n"
            "    spec:\n"
            "      containers: [{name: new, image: a, env: null, securityContext: {}}, {name: app, securityC"
            "ontext: null}]\n"
            "      volumes: []\n"
        ),
    },
    "p-delete-object": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": ("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n$patch: delete\n"),
    },
    "p-sa": {
        **BASE,
        "base/kustomization.yaml": (
            "resources: [web.yaml, service.yaml, account.yaml, policy.yaml, sts.yaml, cron.yaml, crb.yaml, c"
            "r.yaml, conf.yaml]\n"
        ),
        "base/account.yaml": (
            "apiVersion: v1\n"
            "kind: ServiceAccount\n"
            "metadata: {name: web}\n"
            "automountServiceAccountToken: true\n"
            "imagePullSecrets: [{name: a}]\n"
            "secrets: [{name: b}]\n"
        ),
        "base/sts.yaml": STATEFUL,
        "base/cron.yaml": CRON,
        "base/crb.yaml": BINDING,
        "base/cr.yaml": CUSTOM,
        "base/conf.yaml": CONFIG,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: v1\n"
            "kind: ServiceAccount\n"
            "metadata: {name: web}\n"
            "imagePullSecrets: [{name: x}]\n"
            "secrets: [{name: y}]\n"
        ),
    },
    "p-crb": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: rbac.authorization.k8s.io/v1\n"
            "kind: ClusterRoleBinding\n"
            "metadata: {name: crb}\n"
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cr}\n"
            "subjects: [{kind: ServiceAccount, name: web, namespace: default}, {kind: User, name: jane}]\n"
            "---\n"
            "\n"
            "apiVersion: rbac.authorization.k8s.io/v1\n"
            "kind: ClusterRole\n"
            "metadata: {name: cr}\n"
            'rules: [{apiGroups: [""], resources: [secrets], verbs: [get, list]}]\n'
        ),
    },
    "p-tsc": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: StatefulSet\n"
            "metadata: {name: db}\n"
            "spec:\n"
            "  volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 2Gi}}}}]\n"
            "  template:\n"
            "    spec:\n"
            "      tolerations: [{key: a}]\n"
            "      topologySpreadConstraints: [{maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSched"
            "ule}, {maxSkew: 3, topologyKey: host, whenUnsatisfiable: DoNotSchedule}]\n"
        ),
    },
    "j-odd": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches:\n"
            "  - target: {kind: Deployment}\n"
            "    patch: |-\n"
            "      - {op: add, path: /metadata/annotations/a.b~1c, value: 'v'}\n"
            "      - {op: add, path: /spec/replicas, value: 6}\n"
            "      - {op: copy, from: /spec/template/metadata/labels, path: /spec/template/metadata/annotations}\n"
            "      - {op: replace, path: /spec/template/metadata/annotations/app, value: 'q'}\n"
            "      - {op: add, path: /spec/template/spec/containers/0/args/-, value: '--last'}\n"
            "      - {op: replace, path: /spec/template/spec/containers/1, value: {name: log2, image: 'i:2'}}\n"
            "      - {op: move, from: /spec/template/spec/containers/0/env/1, path: /spec/template/spec/cont"
            "ainers/0/env/0}\n"
            "      - {op: add, path: /spec/nothing, value: null}\n"
        ),
    },
    "j-whole": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches:\n"
            "  - target: {kind: Deployment}\n"
            "    patch: |-\n"
            "      - {op: replace, path: /spec/template/spec, value: {hostNetwork: true, containers: [{name:"
            " n, image: 'i:3'}]}}\n"
        ),
    },
    "j-json-file": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\npatches: [{path: p.json, target: {kind: Deployment, namespace: default}}]\n"
        ),
        "over/p.json": ('[{"op":"replace","path":"/spec/replicas","value":3}]'),
    },
    "repl": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "replacements:\n"
            "- path: r.yaml\n"
            "- source: {kind: Service, name: web, fieldPath: metadata.name, options: {delimiter: '-', index: 0}}\n"
            "  targets:\n"
            "  - select: {kind: Deployment}\n"
            "    reject: [{name: none}]\n"
            "    fieldPaths: ['spec.template.spec.containers.[name=app].image']\n"
            "    options: {delimiter: ':', index: 1}\n"
            "  - select: {kind: NetworkPolicy}\n"
            "    fieldPaths: [metadata.annotations.new]\n"
            "    options: {create: true}\n"
        ),
        "over/r.yaml": (
            "source: {kind: Deployment, name: web, fieldPath: spec.replicas}\n"
            "targets: [{select: {kind: Service}, fieldPaths: [spec.ports.0.port]}]\n"
        ),
    },
    "repl-star": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "replacements:\n"
            "- source: {kind: Service, name: web}\n"
            "  targets:\n"
            "  - select: {kind: Deployment}\n"
            "    fieldPaths: ['spec.template.spec.containers.*.image', 'metadata.labels.tier']\n"
        ),
    },
    "repl-names": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "namePrefix: p-\n"
            "replacements:\n"
            "- source: {kind: Service, name: web}\n"
            "  targets:\n"
            "  - select: {kind: Deployment, name: web}\n"
            "    fieldPaths: ['spec.template.spec.serviceAccountName']\n"
        ),
    },
    "tr-below": {
        **BASE,
        "base/kustomization.yaml": (
            "resources: [web.yaml, service.yaml, account.yaml, policy.yaml]\n"
            "transformers:\n"
            "- |-\n"
            "  apiVersion: builtin\n"
            "  kind: NamespaceTransformer\n"
            "  metadata: {name: n, namespace: zz}\n"
            "  fieldSpecs: [{path: metadata/namespace, create: true}]\n"
        ),
        "over/kustomization.yaml": ("resources: [../base]\nnamespace: x\n"),
    },
    "gen-builtin": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\ngenerators: [g.yaml]\n"),
        "over/g.yaml": (
            "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: m}\nname: made\nliterals: [a=b]\n"
        ),
    },
    "configurations": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "configurations: [c.yaml]\n"
            "commonLabels: {a: b}\n"
            "images: [{name: x, newTag: z}]\n"
            "namePrefix: p-\n"
        ),
        "over/c.yaml": (
            "namePrefix: [{path: metadata/name}]\n"
            "commonLabels: [{path: spec/extra, create: true, kind: Thing}]\n"
            "images: [{path: spec/list/v, kind: Thing}]\n"
        ),
    },
    "components": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\ncomponents: [../c1, ../c2]\npatches: [{path: p.yaml}]\nlabels: [{pairs: {o: p}}]\n"
        ),
        "over/p.yaml": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  paused: true\n"),
        "c1/kustomization.yaml": (
            "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
            "kind: Component\n"
            "components: [../c3]\n"
            "patches: [{path: p.yaml}]\n"
            "replicas: [{name: web, count: 4}]\n"
        ),
        "c1/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  replicas: 3\n"
            "  template:\n"
            "    spec:\n"
            "      hostIPC: true\n"
        ),
        "c2/kustomization.yaml": (
            "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
            "kind: Component\n"
            "resources: [more.yaml]\n"
            "namePrefix: c2-\n"
            "images: [{name: registry.example/log, newTag: c2}]\n"
        ),
        "c2/more.yaml": CONFIG,
        "c3/kustomization.yaml": (
            "kind: Component\n"
            "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
            "patches: [{path: p.yaml}]\n"
            "commonAnnotations: {x: c3}\n"
        ),
        "c3/p.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  replicas: 2\n"
            "  template:\n"
            "    spec:\n"
            "      hostPID: true\n"
        ),
    },
    "metadata": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "buildMetadata: [originAnnotations, managedByLabel, transformerAnnotations]\n"
            "sortOptions: {order: fifo}\n"
            "namePrefix: p-\n"
        ),
    },
    "legacy": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base]\nsortOptions: {order: legacy}\n"),
    },
    "patch-version": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 4\n"),
    },
    "list-kind": {
        "base/kustomization.yaml": ("resources: [l.yaml]\n"),
        "base/l.yaml": (
            "apiVersion: v1\n"
            "kind: List\n"
            "items:\n"
            "- apiVersion: apps/v1\n"
            "  kind: Deployment\n"
            "  metadata:\n"
            "    name: web\n"
            "    labels: {app: web, tier: front}\n"
            '    annotations: {owner: "team-a"}\n'
            "  spec:\n"
            "    replicas: 2\n"
            "    selector: {matchLabels: {app: web}}\n"
            "    template:\n"
            "      metadata: {labels: {app: web}}\n"
            "      spec:\n"
            "        serviceAccountName: web\n"
            "        hostNetwork: true\n"
            "        containers:\n"
            "          - name: app\n"
            "            image: registry.example/app:1.0\n"
            '            args: [--port, "8080"]\n'
            "            ports: [{containerPort: 8080, name: http}, {containerPort: 9090}]\n"
            "            env: [{name: A, value: one}, {name: B, value: two}]\n"
            "            securityContext: {privileged: true, runAsUser: 0}\n"
            "          - name: log\n"
            "            image: registry.example/log:1.0\n"
            "            volumeMounts: [{name: tmp, mountPath: /tmp}]\n"
            "        volumes: [{name: tmp, emptyDir: {}}]\n"
            "- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}\n"
        ),
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 4\n"),
    },
    "json-res": {
        "base/kustomization.yaml": ("resources: [l.json]\n"),
        "base/l.json": (
            "{\n"
            '  "apiVersion": "apps/v1",\n'
            '  "kind": "Deployment",\n'
            '  "metadata": {\n'
            '    "name": "web",\n'
            '    "labels": {\n'
            '      "app": "web",\n'
            '      "tier": "front"\n'
            "    },\n"
            '    "annotations": {\n'
            '      "owner": "team-a"\n'
            "    }\n"
            "  },\n"
            '  "spec": {\n'
            '    "replicas": 2,\n'
            '    "selector": {\n'
            '      "matchLabels": {\n'
            '        "app": "web"\n'
            "      }\n"
            "    },\n"
            '    "template": {\n'
            '      "metadata": {\n'
            '        "labels": {\n'
            '          "app": "web"\n'
            "        }\n"
            "      },\n"
            '      "spec": {\n'
            '        "serviceAccountName": "web",\n'
            '        "hostNetwork": true,\n'
            '        "containers": [\n'
            "          {\n"
            '            "name": "app",\n'
            '            "image": "registry.example/app:1.0",\n'
            '            "args": [\n'
            '              "--port",\n'
            '              "8080"\n'
            "            ],\n"
            '            "ports": [\n'
            "              {\n"
            '                "containerPort": 8080,\n'
            '                "name": "http"\n'
            "              },\n"
            "              {\n"
            '                "containerPort": 9090\n'
            "              }\n"
            "            ],\n"
            '            "env": [\n'
            "              {\n"
            '                "name": "A",\n'
            '                "value": "one"\n'
            "              },\n"
            "              {\n"
            '                "name": "B",\n'
            '                "value": "two"\n'
            "              }\n"
            "            ],\n"
            '            "securityContext": {\n'
            '              "privileged": true,\n'
            '              "runAsUser": 0\n'
            "            }\n"
            "          },\n"
            "          {\n"
            '            "name": "log",\n'
            '            "image": "registry.example/log:1.0",\n'
            '            "volumeMounts": [\n'
            "              {\n"
            '                "name": "tmp",\n'
            '                "mountPath": "/tmp"\n'
            "              }\n"
            "            ]\n"
            "          }\n"
            "        ],\n"
            '        "volumes": [\n'
            "          {\n"
            '            "name": "tmp",\n'
            '            "emptyDir": {}\n'
            "          }\n"
            "        ]\n"
            "      }\n"
            "    }\n"
            "  }\n"
            "}"
        ),
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 4\n"),
    },
    "old": {
        **BASE,
        "over/kustomization.yaml": ("resources: [../base]\nimageTags: [{name: registry.example/app, newTag: w}]\n"),
    },
    "bases": {
        **BASE,
        "over/kustomization.yaml": ("bases: [../base]\nnamePrefix: x-\n"),
    },
    "ns-object": {
        **BASE,
        "base/kustomization.yaml": ("resources: [web.yaml, service.yaml, account.yaml, policy.yaml, ns.yaml]\n"),
        "base/ns.yaml": ("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n"),
        "over/kustomization.yaml": ("resources: [../base]\nnamespace: shop\n"),
    },
    "same-twice-names": {
        **MORE,
        "over/kustomization.yaml": ("resources: [../base, x.yaml]\nnamespace: n2\n"),
        "over/x.yaml": (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: n1}\ndata: {a: one, b: two}\n"
        ),
    },
    "sec-gen": {
        **MORE,
        "over/kustomization.yaml": (
            "resources: [../base]\nsecretGenerator: [{name: db, literals: [p=1], type: Opaque}]\n"
        ),
    },
    "namespaced-patch": {
        **BASE,
        "base/kustomization.yaml": ("resources: [web.yaml, service.yaml, account.yaml, policy.yaml]\nnamespace: a\n"),
        "over/kustomization.yaml": ("resources: [../base]\npatches: [{path: p.yaml}]\n"),
        "over/p.yaml": (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: a}\nspec:\n  replicas: 4\n"
        ),
    },
    "patch-order-levels": {
        **BASE,
        "over/kustomization.yaml": (
            "resources: [../base]\n"
            "patches: [{path: p.yaml}, {path: q.yaml}]\n"
            "patchesStrategicMerge: [r.yaml]\n"
            "patchesJson6902: [{target: {version: v1, kind: Deployment, name: web, group: apps}, path: s.yaml}]\n"
            "replicas: [{name: web, count: 9}]\n"
        ),
        "over/p.yaml": (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 4\n  paused: true\n"
        ),
        "over/q.yaml": (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 5\n  paused: false\n"
        ),
        "over/r.yaml": (
            "apiVersion: apps/v1\n"
            "kind: Deployment\n"
            "metadata: {name: web}\n"
            "spec:\n"
            "  replicas: 6\n"
            "  revisionHistoryLimit: 2\n"
        ),
        "over/s.yaml": (
            "- {op: replace, path: /spec/paused, value: true}\n"
            "- {op: replace, path: /spec/revisionHistoryLimit, value: 4}\n"
        ),
    },
}


@pytest.fixture(scope="module", autouse=True)
def _kustomize() -> Iterator[None]:
    program = go_tools.path("kustomize")
    if not program.is_file():
        pytest.skip("kustomize is not installed (make tools)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEASSAY_KUSTOMIZE", str(program))
        yield


@pytest.mark.parametrize("name", sorted(TREES))
def test_every_place_that_is_claimed_holds(name: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write(root, TREES[name])
    output = built(root, "over")
    assert not output.errors
    claims = claims_of(output)
    # Claims that hold could be none.
    assert (len(claims) < LEAST) == (name in NOTHING_CLAIMED)
    # Those outside of the base first, which most trees have alike; of the base some.
    outside = [claim for claim in claims if not claim.traced.location.file.startswith("base/")]
    inside = [claim for claim in claims if claim.traced.location.file.startswith("base/")]
    chosen = [*_spread(outside, TRIED), *_spread(inside, max(TRIED - len(outside), 2))]
    wrong = prove(root, "over", TREES[name], chosen, objects_of(output))
    assert not wrong, "\n".join(wrong)


def _spread(several: list[Claim], most: int) -> list[Claim]:
    """Some of them, from its whole length."""
    step = max(1, -(-len(several) // most))
    return several[::step]
