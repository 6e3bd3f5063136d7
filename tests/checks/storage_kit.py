"""Storage in short: classes, claims and workloads as manifests, and what rules on them say."""

from __future__ import annotations

from typing import Any

from checks.network_outcomes import outcomes
from kit import failing, plan_of, profile_of, scan_text

EBS, EFS = "ebs.csi.aws.com", "efs.csi.aws.com"
EFS_PARAMETERS = '{provisioningMode: efs-ap, fileSystemId: fs-0c4d5e6f7a8b90123, directoryPerms: "700"}'


def storage_class(
    name: str = "fast", parameters: str = "{}", provisioner: str = EBS, default: bool = False, **fields: str
) -> str:
    annotations = '{storageclass.kubernetes.io/is-default-class: "true"}' if default else "{}"
    lines = ["---", "apiVersion: storage.k8s.io/v1", "kind: StorageClass"]
    lines.append(f"metadata: {{name: {name}, annotations: {annotations}}}")
    lines += [f"provisioner: {provisioner}", f"parameters: {parameters}"]
    lines += [f"{field}: {value}" for field, value in fields.items()]
    return "\n".join(lines) + "\n"


def claim(
    name: str = "data",
    cls: str | None = "fast",
    modes: str = "[ReadWriteOnce]",
    namespace: str | None = "shop",
    size: str = "10Gi",
    **fields: str,
) -> str:
    where = f", namespace: {namespace}" if namespace else ""
    lines = ["---", "apiVersion: v1", "kind: PersistentVolumeClaim", f"metadata: {{name: {name}{where}}}", "spec:"]
    lines.append(f"  accessModes: {modes}")
    if cls is not None:
        lines.append(f"  storageClassName: {cls}")
    lines.append(f"  resources: {{requests: {{storage: {size}}}}}")
    lines += [f"  {field}: {value}" for field, value in fields.items()]
    return "\n".join(lines) + "\n"


def volume(
    name: str = "disk", cls: str = "fast", modes: str = "[ReadWriteOnce]", size: str = "10Gi", **fields: str
) -> str:
    lines = ["---", "apiVersion: v1", "kind: PersistentVolume", f"metadata: {{name: {name}}}", "spec:"]
    lines += [f"  accessModes: {modes}", f"  storageClassName: {cls}", f"  capacity: {{storage: {size}}}"]
    lines += [f"  {field}: {value}" for field, value in fields.items()]
    return "\n".join(lines) + "\n"


def workload(
    name: str = "web",
    claim: str = "data",
    kind: str = "Deployment",
    namespace: str | None = "shop",
    spec: str = "",
    pod: str = "",
) -> str:
    """A workload that mounts a claim. ``spec``, ``pod``: more fields of its spec, of its pods' spec."""
    where = f", namespace: {namespace}" if namespace else ""
    version = "batch/v1" if kind == "Job" else "apps/v1"
    lines = ["---", f"apiVersion: {version}", f"kind: {kind}", f"metadata: {{name: {name}{where}}}", "spec:"]
    lines += [f"  {line}" for line in spec.splitlines()]
    lines += ["  template:", f"    metadata: {{labels: {{app: {name}}}}}", "    spec:"]
    lines += [f"      {line}" for line in pod.splitlines()]
    lines.append('      containers: [{name: app, image: "registry.example/app:1.0"}]')
    lines.append("      volumes:")
    lines.append(f"        - {{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}")
    return "\n".join(lines) + "\n"


def found(rule: str, text: str, **parameters: Any) -> set[tuple[str, str, str]]:
    """(kind, object, path or reason) of what a rule on the inventory says."""
    return {(said.kind, said.about, said.words) for said in outcomes(rule, text, **parameters)}


def failures(rule: str, text: str, version: str = "latest", **parameters: Any) -> set[tuple[str, str, int]]:
    """(object, path, line) of a rule's findings in a scan."""
    result = scan_text(plan_of(profile_of(rule, **parameters), version), text)
    assert [said for said in result.not_evaluated if said.reason == "rule-error"] == []
    return {(f"{f.object.kind} {f.object.name}", f.path, f.location.start_line) for f in failing(result)}


def messages(rule: str, text: str, version: str = "latest", **parameters: Any) -> list[str]:
    result = scan_text(plan_of(profile_of(rule, **parameters), version), text)
    return sorted(finding.message for finding in failing(result))


def passed(rule: str, text: str, version: str = "latest", **parameters: Any) -> tuple[int, int]:
    """How many subjects passed, and how many were not evaluated."""
    summary = scan_text(plan_of(profile_of(rule, **parameters), version), text).summary
    return summary.passed, summary.not_evaluated
