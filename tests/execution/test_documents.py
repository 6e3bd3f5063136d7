"""Documents as policy: what they say against the rules is told, and not demanded of anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import LIBRARY, run_within_seconds
from kubeassay.execution.documents import imported
from kubeassay.policy.document.importing import Imported
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library

ROLE = """```yaml
Roles:
  Operators:
    apiVersion: rbac.authorization.k8s.io/v1
    kind: ClusterRole
    metadata:
      name: operators
    rules:
      - apiGroups: [""]
        resources: ["*"]
        verbs: ["*"]
  Readers:
    apiVersion: rbac.authorization.k8s.io/v1
    kind: ClusterRole
    metadata:
      name: readers
    rules:
      - apiGroups: [""]
        resources: [pods]
        verbs: [get]
```
"""
POD = """```yaml
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop}
spec:
  containers:
    - name: agent
      image: registry.example/agent:1.0
      securityContext:
        privileged: true
        readOnlyRootFilesystem: true
```
"""


def document(tmp_path: Path, text: str) -> Imported:
    path = tmp_path / "doc.md"
    path.write_text(text, "utf-8")
    return imported(path, LIBRARY)


def contradictions(found: Imported) -> set[tuple[int, str]]:
    """(line, rule) of what the document's objects break."""
    return {
        (note.line, note.reason.rpartition("(")[2].rstrip(")")) for note in found.notes if note.kind == "contradiction"
    }


def test_a_role_with_wildcards_is_not_required_to_be_one(tmp_path: Path) -> None:
    found = document(tmp_path, ROLE)
    assert contradictions(found) == {(10, "wildcard-resources"), (11, "wildcard-verbs")}
    operators, readers = found.clauses
    assert {use["id"] for use in operators.rules} == {"wildcard-resources", "wildcard-verbs"}
    assert [use["id"] for use in readers.rules] == ["documented-roles"]
    assert found.baseline["spec"]["controls"][0]["rules"] == list(operators.rules)


def test_a_value_against_a_rule_is_left_out_and_the_rule_is_demanded(tmp_path: Path) -> None:
    found = document(tmp_path, POD)
    # What is missing in an illustration is no contradiction; advice is told, and what is documented stands.
    assert contradictions(found) == {(10, "privileged-container"), (8, "image-digest")}
    (clause,) = found.clauses
    assert {use["id"] for use in clause.rules} == {"privileged-container"}
    (expected,) = clause.expectations
    assert [field["path"] for field in expected["fields"]] == [
        "spec.containers[name=agent].image",
        "spec.containers[name=agent].securityContext.readOnlyRootFilesystem",
    ]


def test_of_two_objects_that_do_not_fit_both_stand(tmp_path: Path) -> None:
    text = """```yaml
namespaces: [shop]
quota: {shop: {limits.cpu: 4}}
Shop containers: {limits: {cpu: 1}}
Scaling:
  apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: {name: web, namespace: shop}
  spec:
    scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
    maxReplicas: 9
```
"""
    found = document(tmp_path, text)
    assert (3, "quota-exceeded-at-maximum") in contradictions(found)
    (autoscaler,) = (clause for clause in found.clauses if clause.id.startswith("horizontal"))
    assert "spec.maxReplicas" in {field["path"] for field in autoscaler.expectations[0]["fields"]}


@pytest.mark.parametrize(
    "stated",
    ["min: -1", "disk: 0 GB", "taints: [{key: a, value: b, effect: never}]"],
)
def test_what_no_rule_takes_is_told_and_not_demanded(tmp_path: Path, stated: str) -> None:
    found = document(tmp_path, f"```yaml\nprivileged: false\nWeb nodes:\n  max: 2\n  {stated}\n```\n")
    assert [(note.kind, note.line) for note in found.notes] == [("not-understood", 3)]
    document_as_policy = Library(baseline_documents=[(found.baseline, "doc.md")])
    assert document_as_policy.baseline(found.baseline["metadata"]["name"]).controls


def test_a_document_that_demands_only_what_no_rule_takes_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="nothing to judge by: its value is no demand: rule documented-node-groups"):
        document(tmp_path, "```yaml\nWeb nodes: {min: -1, max: 2}\n```\n")


def test_many_demands_take_no_long_time() -> None:
    run_within_seconds(
        """
from kubeassay.policy.document.importing import import_document
from kubeassay.sources.markdown import document_in
many = [
    "namespaces:\\n" + "".join(f"- n{n}\\n" for n in range(3000)),
    "r:\\n" + "".join(f"  n{n} containers: {{requests: {{cpu: 3}}}}\\n" for n in range(3000)),
    "quota:\\n" + "".join(f"  n{n}: {{pods: 3}}\\n" for n in range(3000)),
    "".join(f"left{n}: {n}\\n" for n in range(20000)),
    "".join(f"o{n}: {{apiVersion: v1, kind: Lease, metadata: {{name: c{n}}}, spec: {{a: b}}}}\\n" for n in range(99)),
    "".join(" " * n + f"quota namespace k{n}:\\n" for n in range(300)) + " " * 300 + "pods: 3\\n",
]
severities = {"documented-namespaces": "high", "container-resources": "high", "documented-quota": "high"}
found = import_document(document_in("".join(f"```yaml\\n{text}```\\n" for text in many).encode(), "doc.md"), severities)
assert len(found.clauses) > 6000
""",
        seconds=60,
    )
