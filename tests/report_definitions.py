"""Definitions of reports, as the live tests install them, and as other tests check reports by them.

The fields are those of openreports.io/v1alpha1 in github.com/openreports/reports-api v0.2.1, with which
test_openreports.py compares them, and of wgpolicyk8s.io/v1alpha2 in kubernetes-sigs/wg-policy-prototypes
(policy-report/crd), which has no source of a report, and no configuration.
"""

from __future__ import annotations

from typing import Any

from kubeassay.reporting.openreports import ReportApi

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_OUTCOMES = ["pass", "fail", "warn", "error", "skip"]


def _object(*required: str, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, **({"required": list(required)} if required else {})}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _map(values: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


_REFERENCE = _object(
    **dict.fromkeys(("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"), _TEXT)
)
_SELECTOR = _object(
    matchExpressions=_list(_object("key", "operator", key=_TEXT, operator=_TEXT, values=_list(_TEXT))),
    matchLabels=_map(_TEXT),
)
_RESULT = _object(
    "policy",
    category=_TEXT,
    message=_TEXT,
    policy=_TEXT,
    properties=_map(_TEXT),
    resourceSelector=_SELECTOR,
    resources=_list(_REFERENCE),
    result={"type": "string", "enum": _OUTCOMES},
    rule=_TEXT,
    scored={"type": "boolean"},
    severity={"type": "string", "enum": ["critical", "high", "low", "medium", "info"]},
    source=_TEXT,
    timestamp=_object(
        "nanos",
        "seconds",
        nanos={"type": "integer", "format": "int32"},
        seconds={"type": "integer", "format": "int64"},
    ),
)


def schema(api: ReportApi) -> dict[str, Any]:
    """The schema of a report, as a CustomResourceDefinition has it."""
    limits = _object(maxResults=_NUMBER, statusFilter=_list({"type": "string", "enum": _OUTCOMES}))
    sourced = {"source": _TEXT, "configuration": _object("limits", limits=limits)} if api.sourced else {}
    return _object(
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata={"type": "object"},
        results=_list(_RESULT),
        scope=_REFERENCE,
        scopeSelector=_SELECTOR,
        summary=_object(**dict.fromkeys(_OUTCOMES, _NUMBER)),
        **sourced,
    )


def definitions(api: ReportApi) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of the two kinds of reports."""
    version = {"name": api.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema(api)}}
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{api.group}"},
            "spec": {
                "group": api.group,
                "scope": scope,
                "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
                "versions": [version],
            },
        }
        for kind, plural, scope in (
            (api.kind, api.resource, "Namespaced"),
            (api.cluster_kind, api.cluster_resource, "Cluster"),
        )
    ]


def strict_schema(api: ReportApi) -> dict[str, Any]:
    """The schema of a report with which an API server refuses unknown fields."""
    strict: dict[str, Any] = _strict(schema(api))
    return strict


def _strict(part: Any) -> Any:
    """A schema that knows all fields; that of metadata is the server's own."""
    if isinstance(part, list):
        return [_strict(member) for member in part]
    if not isinstance(part, dict):
        return part
    strict = {key: _strict(value) for key, value in part.items()}
    return (
        {**strict, "additionalProperties": False} if part.get("type") == "object" and "properties" in part else strict
    )
