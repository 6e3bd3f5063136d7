"""The report on a fleet as JSON. Its shape is reports/schemas/fleet.schema.json; a target stands on a line."""

from __future__ import annotations

import json
from typing import Any

from kubeassay.model import SEVERITIES, Summary
from kubeassay.model.fleet import ComparedCounts, FleetResult, TargetRow
from kubeassay.reporting.fleet import severity_counts, status_counts
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.texts import inert_json

SCHEMA_VERSION = "1"


def write(fleet: FleetResult, options: RenderOptions) -> Report:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    counts = {("notAudited" if key == "not-audited" else key): number for key, number in status_counts(fleet).items()}
    members = [
        ("schemaVersion", encode(SCHEMA_VERSION)),
        ("tool", encode({"name": "kubeassay", "version": fleet.tool_version})),
        ("fleet", encode({"name": fleet.name, "file": fleet.file, "targets": fleet.targets})),
        ("compared", encode(fleet.compared)),
        ("summary", encode({**counts, "bySeverity": severity_counts(fleet)})),
        ("targets", "[\n" + ",\n".join(encode(_row(row)) for row in fleet.rows) + "\n]"),
    ]
    text = "{\n" + ",\n".join(f'"{name}": {value}' for name, value in members) + "\n}\n"
    return Report((inert_json(text.encode("utf-8", "backslashreplace")),))


def _row(row: TargetRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "source": row.source,
        "status": row.status,
        "error": row.error or None,
        "profile": row.profile or None,
        "environment": row.environment or None,
        "kubernetesVersion": row.kubernetes_version or None,
        "failOn": row.fail_on,
        "summary": None if row.summary is None else _summary(row.summary),
        "notEvaluated": row.not_evaluated,
        "errors": row.read_errors,
        "comparison": None if row.comparison is None else _comparison(row.comparison),
        "notCompared": row.not_compared or None,
        "reports": dict(sorted(row.reports.items())),
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "fail": summary.fail,
        "pass": summary.passed,
        "notEvaluated": summary.not_evaluated,
        "excepted": summary.excepted,
        "objects": summary.objects,
        "files": summary.files,
        "bySeverity": {severity: summary.by_severity.get(severity, 0) for severity in SEVERITIES},
    }


def _comparison(counts: ComparedCounts) -> dict[str, int]:
    return {
        "new": counts.new,
        "fixed": counts.fixed,
        "unchanged": counts.unchanged,
        "excepted": counts.excepted,
        "notJudged": counts.unknown,
    }
