"""Objects that a document describes in words, put together: its own objects are judged beside them.

A quota is exceeded by what an autoscaler makes of a workload, a vertical autoscaler asks for more than the tier's
limit: whoever judges the documented objects alone finds neither. Nothing is demanded of these objects, nor found in the
workloads and namespaces among them, of which a document says little.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from kubeassay.model import Path
from kubeassay.model.document import Node
from kubeassay.policy.document.clauses import Use
from kubeassay.policy.document.forms import EKSCTL_FIELDS
from kubeassay.policy.document.importing import Imported
from kubeassay.policy.document.objects import text_at

_IMAGE = "registry.example/image:1.0"


def assembled(found: Imported) -> Iterator[tuple[Node, bool]]:
    """(object, whether what is found in it is told), those that are told first."""
    yield from ((node, True) for node in (*_clusters(found), *_quotas(found)))
    yield from ((node, False) for node in (*_namespaces(found), *_workloads(found)))


def _uses(found: Imported, rule: str) -> Iterator[tuple[Use, int]]:
    for clause in found.clauses:
        for use in clause.rules:
            if use["id"] == rule:
                yield use, clause.line


def _clusters(found: Imported) -> Iterator[Node]:
    if not found.facts.on_eks:
        return
    metadata: dict[str, Any] = {"name": found.facts.cluster_name or "documented", "region": "", "version": ""}
    lines: dict[Path, int] = {}
    for use, line in _uses(found, "documented-cluster"):
        for key in ("name", "region", "version"):
            if key in use["parameters"]:
                metadata[key] = use["parameters"][key]
                lines["metadata", key] = line
    groups: list[dict[str, Any]] = []
    for use, line in _uses(found, "documented-node-groups"):
        for name, stated in use["parameters"]["groups"].items():
            lines["managedNodeGroups", len(groups)] = line
            group = {EKSCTL_FIELDS[key]: value for key, value in stated.items() if key in EKSCTL_FIELDS}
            groups.append({"name": name, **group})
    if not lines:
        return
    metadata = {key: value for key, value in metadata.items() if value}
    value: dict[str, Any] = {"apiVersion": "eksctl.io/v1alpha5", "kind": "ClusterConfig", "metadata": metadata}
    if groups:
        value["managedNodeGroups"] = groups
    yield _node(value, lines, min(lines.values()))


def _quotas(found: Imported) -> Iterator[Node]:
    hard: dict[str, dict[str, Any]] = {}
    lines: dict[str, dict[Path, int]] = {}
    for use, line in _uses(found, "documented-quota"):
        for namespace, stated in use["parameters"]["quotas"].items():
            for resource, limit in stated.items():
                hard.setdefault(namespace, {})[resource] = limit
                lines.setdefault(namespace, {})["spec", "hard", resource] = line
    for namespace, limits in hard.items():
        metadata = {"name": "documented", "namespace": namespace}
        value = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": limits}}
        yield _node(value, lines[namespace], min(lines[namespace].values()))


def _namespaces(found: Imported) -> Iterator[Node]:
    injected = {
        namespace
        for use, _ in _uses(found, "namespace-without-injection")
        for namespace in use.get("parameters", {}).get("namespaces", ())
    }
    declared = {text_at(node, "metadata", "name") for node in found.objects if text_at(node, "kind") == "Namespace"}
    for name, (line, _) in found.facts.namespaces.items():
        if name in declared:
            continue
        metadata: dict[str, Any] = {"name": name}
        if name in injected:
            metadata["labels"] = {"istio-injection": "enabled"}
        yield _node({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, {}, line)


def _workloads(found: Imported) -> Iterator[Node]:
    """The workloads that objects name, with the resources of their tier."""
    declared = {
        (text_at(node, "metadata", "namespace"), text_at(node, "metadata", "name"))
        for node in found.objects
        if "template" in node.entries.get("spec", node).entries
    }
    for namespace, names in found.facts.workloads.items():
        for name in names:
            if (namespace, name) in declared:
                continue
            labels = {"app": name, "app.kubernetes.io/name": name, "k8s-app": name}
            container: dict[str, Any] = {"name": _container_name(found, namespace, name), "image": _IMAGE}
            resources = _resources(found, namespace, name)
            if resources:
                container["resources"] = resources
            metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
            template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
            spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
            yield _node({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}, {}, 1)


def _container_name(found: Imported, namespace: str, name: str) -> str:
    """What a vertical autoscaler calls the container, or what its workload is called."""
    for node in found.objects:
        if text_at(node, "metadata", "namespace") == namespace and text_at(node, "spec", "targetRef", "name") == name:
            policies = node.entries["spec"].entries.get("resourcePolicy", node).entries.get("containerPolicies")
            for policy in policies.members if policies is not None else ():
                if text_at(policy, "containerName") not in ("", "*"):
                    return text_at(policy, "containerName")
    return name


def _resources(found: Imported, namespace: str, name: str) -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = {}
    for use, _ in _uses(found, "container-resources"):
        match: Mapping[str, list[str]] = use.get("match", {})
        if not _matches(match.get("namespaces"), namespace) or not _matches(match.get("names"), name):
            continue
        for parameter, value in use["parameters"].items():
            kind, _, resource = parameter.partition("_")
            resources.setdefault(kind, {})[resource] = value
    return resources


def _matches(patterns: list[str] | None, name: str) -> bool:
    return patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _node(value: Any, lines: Mapping[Path, int], line: int, path: Path = ()) -> Node:
    """A value as a node; the lines of those paths that are stated, and below them."""
    line = lines.get(path, line)
    if isinstance(value, dict):
        return Node({key: _node(child, lines, line, (*path, key)) for key, child in value.items()}, line)
    if isinstance(value, list):
        return Node(tuple(_node(child, lines, line, (*path, n)) for n, child in enumerate(value)), line)
    return Node(value, line, str(value))
