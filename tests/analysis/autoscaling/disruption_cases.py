"""PodDisruptionBudgets, some of which an API server refuses."""

from __future__ import annotations

from typing import Any

Value = dict[str, Any]

BOUNDS: tuple[Any, ...] = (
    *range(5), 7, 2147483647, 2147483648, -1, 1.5, True, "2", "", "%", "-1%", "+1%", "0%", "00%", "007%", "1%", "10%",
    "33%", "34%", "50%", "51%", "66%", "67%", "75%", "99%", "100%", "0100%", "101%", "1000%", "50 %", " 50%", "50.5%",
    "50%%", "1e1%", "٥%", "5%\n", None,
)  # fmt: skip
SELECTORS: tuple[Any, ...] = (
    {},
    None,
    {"matchLabels": {"app": "web"}},
    {"matchLabels": {"app": "web", "tier": "front"}},
    {"matchLabels": {"app": "a b"}},
    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]},
    {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
    {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
    {"matchExpressions": [{"key": "app", "operator": "In"}]},
)


def case(spec: Value, *workloads: Value) -> Value:
    metadata = {"name": "budget", "namespace": "shop"}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    return {"budget": budget, "workloads": list(workloads)}
