"""Runs the check of one rule on manifests, as the engine does, with the parameters' defaults from the rule file."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from kubeassay.analysis.workloads import pod_templates
from kubeassay.checks import registry
from kubeassay.checks.check import CheckFunction, ContainerSubject, Context, NotApplicable, Violation
from kubeassay.content import folder
from kubeassay.model import NEWEST_KNOWN, Inventory, KubernetesVersion, Object, ObjectRef, SpanTable, format_path


@cache
def rule_spec(rule: str) -> dict[str, Any]:
    (path,) = folder("rules").rglob(f"{rule}.yaml")
    spec: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
    return spec


@cache
def _registry() -> registry.Registry:
    return registry.built_in()


def make_object(value: dict[str, Any], **kwargs: Any) -> Object:
    """An object without places."""
    metadata = value.get("metadata") or {}
    ref = ObjectRef(value["apiVersion"], value["kind"], metadata.get("namespace"), metadata.get("name", ""))
    spans = SpanTable("test.yaml", array("l"), array("l", [0]), array("l"))
    return Object(ref, value, spans, value, **kwargs)


def objects(text: str) -> list[Object]:
    return [make_object(value) for value in yaml.safe_load_all(text) if value is not None]


def run(rule: str, *inputs: Object, minor: int = NEWEST_KNOWN.minor, **parameters: Any) -> list[Violation]:
    """The violations of a rule in some objects, at Kubernetes 1.``minor``."""
    spec = rule_spec(rule)
    version = KubernetesVersion(minor)
    function = registry.at_version(_registry()[rule], version)
    if function is None:
        return []
    defaults = {name: parameter.get("default") for name, parameter in spec.get("parameters", {}).items()}
    assert set(parameters) <= set(defaults)
    joined = Inventory(obj for obj in inputs if obj.ref.kind in spec.get("context", ()))
    context = Context(version, {**defaults, **parameters}, joined)
    return list(_violations(spec["subject"], function, context, inputs))


def _violations(
    subject: str, function: CheckFunction, context: Context, inputs: tuple[Object, ...]
) -> Iterator[Violation]:
    subjects: list[Any] = []
    if subject == "inventory":
        subjects.append(Inventory(inputs))
    for obj in inputs:
        if subject == "object" or (subject == "namespace" and obj.ref.kind == "Namespace"):
            subjects.append(obj)
        for template in pod_templates(obj):
            if subject == "pod":
                subjects.append(template)
            elif subject == "container":
                subjects += [ContainerSubject(container, template) for container in template.containers]
    for one in subjects:
        for violation in function(one, context):
            if isinstance(violation, NotApplicable):
                continue
            assert isinstance(violation, Violation)
            yield violation


def paths(rule: str, *inputs: Object, minor: int = NEWEST_KNOWN.minor, **parameters: Any) -> set[str]:
    """The paths of a rule's violations."""
    return {format_path(violation.path) for violation in run(rule, *inputs, minor=minor, **parameters)}


def pod(spec: dict[str, Any] | None = None, **container: Any) -> Object:
    """A Pod with one container named app. ``spec``: fields of the pod; the rest: fields of the container."""
    app = {"name": "app", "image": "registry.example/app:1.0", **container}
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {**(spec or {}), "containers": [app, *(spec or {}).get("containers", [])]},
    }
    return make_object(value)
