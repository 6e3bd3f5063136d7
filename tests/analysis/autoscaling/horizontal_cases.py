"""HorizontalPodAutoscalers, some of which an API server refuses."""

from __future__ import annotations

from typing import Any

Value = dict[str, Any]

BOUNDS = (None, -1, 0, 1, 2, 3, 10, 2147483647)
REFERENCES: tuple[Value, ...] = (
    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    {"apiVersion": "apps/v1", "kind": "Deployment"},
    {"apiVersion": "apps/v1", "name": "web"},
    {"kind": "Deployment", "name": "web"},
    {"apiVersion": "v1", "kind": "Deployment", "name": "web"},
)


def autoscaler(version: str = "v2", annotations: Any = None, **spec: Any) -> Value:
    metadata: Value = {"name": "web", "namespace": "shop"}
    if annotations is not None:
        metadata["annotations"] = annotations
    spec = {"scaleTargetRef": REFERENCES[0], "maxReplicas": 5, **spec}
    spec = {key: value for key, value in spec.items() if value is not None}
    return {
        "apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec,
    }  # fmt: skip
