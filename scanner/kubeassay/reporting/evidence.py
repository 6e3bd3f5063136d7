"""Evidence for auditors: of each control what was judged and how, and hashes of what it was judged by.

A folder of JSON files that are the same for the same inputs, policy and program, so that a second run can be compared
with the first file by file (``diff -r``), and ``SHA256SUMS`` for ``sha256sum --check``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kubeassay.model import Control, Finding, NotEvaluated, Result
from kubeassay.reporting.result_json import (
    control_as_json,
    difference_as_json,
    environment_as_json,
    finding_as_json,
    not_evaluated_as_json,
    rendered_as_json,
    rule_as_json,
)

SUMS = "SHA256SUMS"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def evidence(result: Result, inputs: Mapping[str, str], policy: Mapping[str, str]) -> dict[str, bytes]:
    """The files of the folder, by their names in it. ``result`` has the passing and not-evaluated findings, too.

    ``inputs``, ``policy``: the SHA-256 of each file that was read, in hexadecimal, by its name.
    """
    by_control: dict[str, list[Finding]] = defaultdict(list)
    for finding in result.findings:
        for number in finding.controls:
            by_control[number].append(finding)
    files: dict[str, bytes] = {}
    listed: list[dict[str, Any]] = []
    for control in result.controls:
        name = _unused(f"controls/{_safe(control.baseline)}/{_safe(control.id)}.json", files)
        counts = result.summary.by_control.get(control.id)
        gaps = _gaps(control, result.not_evaluated)
        files[name] = _encoded(
            {
                "control": control_as_json(control),
                "rules": {
                    use.rule: {
                        "severity": use.severity or result.rule_severities.get(use.rule),
                        "ran": use.rule in result.rules,
                    }
                    for use in control.rules
                },
                "judged": [finding_as_json(finding) for finding in by_control[control.id]],
                "notEvaluated": [not_evaluated_as_json(entry) for entry in gaps],
            }
        )
        listed.append(
            {
                "baseline": control.baseline,
                "id": control.id,
                "title": control.title,
                "file": name,
                "fail": counts.fail if counts else 0,
                "pass": counts.passed if counts else 0,
                "notEvaluated": counts.not_evaluated if counts else 0,
                "excepted": counts.excepted if counts else 0,
            }
        )
    files["rules.json"] = _encoded({name: rule_as_json(rule) for name, rule in sorted(result.rules.items())})
    files["evidence.json"] = _encoded(
        {
            "apiVersion": "kubeassay.dev/v1",
            "kind": "Evidence",
            "tool": {"name": "kubeassay", "version": result.tool_version},
            "target": {"kind": result.target.kind, "name": result.target.name}
            | ({"context": result.target.context} if result.target.context else {}),
            "profile": result.profile.name,
            "kubernetesVersion": result.kubernetes_version,
            # What is written where there are several, or where something was rendered.
            **({"environments": list(map(environment_as_json, result.environments))} if result.environments else {}),
            **({"differences": list(map(difference_as_json, result.differences))} if result.differences else {}),
            **({"rendered": list(map(rendered_as_json, result.rendered))} if result.rendered else {}),
            "inputs": dict(sorted(inputs.items())),
            "policy": dict(sorted(policy.items())),
            "controls": listed,
            "notEvaluated": [not_evaluated_as_json(entry) for entry in result.not_evaluated],
            "errors": [{"file": e.file, "line": e.line, "message": e.message} for e in result.errors],
            "skipped": [{"file": s.file, "line": s.line, "reason": s.reason} for s in result.skipped],
        }
    )
    files[SUMS] = "".join(f"{sha256(content)}  {name}\n" for name, content in sorted(files.items())).encode("ascii")
    return files


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _gaps(control: Control, not_evaluated: Iterable[NotEvaluated]) -> Sequence[NotEvaluated]:
    """What kept rules of a control from judging all; what concerns every rule stands once, in evidence.json."""
    rules = {use.rule for use in control.rules}
    return [entry for entry in not_evaluated if entry.rule in rules]


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).strip(".") or "unnamed"


def _unused(name: str, files: Mapping[str, bytes]) -> str:
    stem, number = name.removesuffix(".json"), 2
    # File systems that do not tell cases apart would have two controls in one file.
    taken = {file.lower() for file in files}
    while name.lower() in taken:
        name, number = f"{stem}-{number}.json", number + 1
    return name


def _encoded(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=1, default=_plain)
    return f"{text}\n".encode("utf-8", "backslashreplace")


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
