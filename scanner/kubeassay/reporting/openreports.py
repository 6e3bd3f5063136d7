"""Results as objects of Kubernetes: one report for each object that has a result, and one for the audit as a whole.

The objects are those of openreports.io/v1alpha1, or of its predecessor wgpolicyk8s.io/v1alpha2 (wgpolicyk8s.py): the
same fields, under other names. What readers of them expect was read in openreports/reports-api v0.2.1
(report_types.go), Kyverno (pkg/utils/report/results.go, pkg/controllers/report/aggregate) and Policy Reporter
(pkg/openreports, pkg/report/result): a report is about its ``scope``, named after its uid and owned by it; what an
exception accepts is ``skip``, what could not be judged is ``error``; every result has its ``source``, and a
``resultID`` among its properties is its identity.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kubeassay.model import SEVERITIES, Finding, LiveObject, NotEvaluated, ObjectRef, Outcome, Result
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import only_in, policy_name
from kubeassay.reporting.texts import plural, printable, shorten

SOURCE = "kubeassay"
MANAGED_BY = "app.kubernetes.io/managed-by"
#: The profile that a report is about: an audit by another one has reports of its own.
PROFILE = "kubeassay.dev/profile"
#: ``object`` or ``audit``: what a report is about.
ABOUT = "kubeassay.dev/about"
#: The identity of a result among its properties; Policy Reporter's name for it.
RESULT_ID = "resultID"

#: A report is to stay far below what an API server takes (1.5 MB), its results below this many bytes.
MAX_BYTES = 200_000
_MAX_MESSAGE = 1000
_MAX_PROPERTY = 300
_MAX_NAME = 253

_RESULTS: Mapping[Outcome, str] = MappingProxyType(
    {"fail": "fail", "not-evaluated": "error", "excepted": "skip", "pass": "pass"}
)
_ORDER = ("fail", "error", "warn", "skip", "pass")
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_LABEL = re.compile(rf"{_PART}\Z")
_SUBDOMAIN = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_NO_SEVERITY = len(SEVERITIES)


@dataclass(frozen=True, slots=True)
class ReportApi:
    """An API of reports. ``resource`` and ``cluster_resource`` are its names in paths."""

    name: str
    group: str
    version: str
    kind: str
    cluster_kind: str
    resource: str
    cluster_resource: str
    #: Whether a report has a source, and not only its results.
    sourced: bool
    #: How to have its definitions, in words.
    definitions: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"


OPENREPORTS = ReportApi(
    "openreports",
    "openreports.io",
    "v1alpha1",
    "Report",
    "ClusterReport",
    "reports",
    "clusterreports",
    True,
    "kubectl apply -f https://github.com/openreports/reports-api/releases/download/v0.2.1/install.yaml",
)
WGPOLICYK8S = ReportApi(
    "wgpolicyk8s",
    "wgpolicyk8s.io",
    "v1alpha2",
    "PolicyReport",
    "ClusterPolicyReport",
    "policyreports",
    "clusterpolicyreports",
    False,
    "Kyverno brings them, and has them at https://github.com/kyverno/kyverno/tree/main/config/crds/policyreport",
)
APIS: Mapping[str, ReportApi] = MappingProxyType({api.name: api for api in (OPENREPORTS, WGPOLICYK8S)})


def write(result: Result, options: RenderOptions) -> Report:
    """A list of reports, as ``kubectl apply -f`` takes it: JSON, without times."""
    return write_for(OPENREPORTS, result)


def write_for(api: ReportApi, result: Result) -> Report:
    """As :func:`write`, for one of the APIs."""
    listed = {"apiVersion": "v1", "kind": "List", "items": reports(result, api)}
    return Report(((json.dumps(listed, ensure_ascii=False, indent=1) + "\n").encode(),))


def reports(
    result: Result, api: ReportApi, *, namespaces: Sequence[str] | None = None, selector: str = ""
) -> list[dict[str, Any]]:
    """The reports of a result, in the order of their namespaces and names.

    What belongs to no object is in the report on the audit: one of the cluster, or, where some ``namespaces`` alone
    were judged, one in each of these. ``selector``: by which labels objects were chosen; such an audit has a report of
    its own.
    """
    baselines = {control.id: control.baseline for control in result.controls}
    found: dict[ObjectRef, list[dict[str, Any]]] = defaultdict(list)
    for finding in result.findings:
        found[finding.object].append(_finding(finding, baselines))
    rest: list[NotEvaluated] = []
    for entry in result.not_evaluated:
        about = result.objects.get(entry.file or "")
        # Of each Secret of a cluster only the metadata is read: that is no news of one of them.
        if about is None or entry.reason == "metadata-only":
            rest.append(entry)
        else:
            found[about.ref].append(_not_judged(result, entry, entry.detail))
    live = {entry.ref: entry for entry in result.objects.values()}
    made = [_of_object(result, api, ref, entries, live.get(ref)) for ref, entries in found.items()]
    where: Sequence[str | None] = (None,) if namespaces is None else sorted(set(namespaces))
    for namespace in where:
        made.append(_of_audit(result, api, rest, namespace, selector))
    return sorted(made, key=lambda report: (report["metadata"].get("namespace", ""), report["metadata"]["name"]))


def profile_label(name: str) -> str:
    """The name of a profile as the value of a label and a part of a name: ``merajutasa.production``. A name that is
    none has a digest of itself at its end, so that no two become one."""
    text = name.replace("/", ".")
    if len(text) <= 50 and _SUBDOMAIN.match(text) and "." not in name:
        return text
    kept = re.sub(r"[^a-z0-9]+", "-", text.lower())[:40].strip("-") or "profile"
    return f"{kept}-{_digest(name)[:8]}"


def _digest(*parts: str) -> str:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _finding(finding: Finding, baselines: Mapping[str, str]) -> dict[str, Any]:
    policy = next((baselines[control] for control in finding.controls if baselines.get(control)), SOURCE)
    return _result(
        policy,
        finding.rule,
        finding.area,
        _RESULTS[finding.outcome],
        f"{finding.message} ({only_in(finding)})" if finding.environments else finding.message,
        severity=finding.severity,
        properties={
            RESULT_ID: finding.fingerprint,
            "controls": ", ".join(finding.controls),
            "container": finding.container,
            "path": finding.path,
            "exception": finding.exception,
            "reason": finding.reason,
            "environments": ", ".join(finding.environments),
        },
    )


def _not_judged(result: Result, entry: NotEvaluated, message: str) -> dict[str, Any]:
    rule = result.rules.get(entry.rule or "")
    demanded = (control.baseline for control in result.controls for use in control.rules if use.rule == entry.rule)
    return _result(
        next(demanded, SOURCE),
        entry.rule or "not-evaluated",
        rule.area if rule is not None else "audit",
        "error",
        message,
        severity=result.rule_severities.get(entry.rule or ""),
        properties={"reason": entry.reason, "namespace": entry.namespace},
    )


def _result(
    policy: str,
    rule: str,
    category: str,
    outcome: str,
    message: str,
    *,
    severity: str | None = None,
    properties: Mapping[str, str | None],
) -> dict[str, Any]:
    return {
        "source": SOURCE,
        "policy": _text(policy, _MAX_PROPERTY) or SOURCE,
        "rule": _text(rule, _MAX_PROPERTY),
        "category": _text(category, _MAX_PROPERTY),
        **({"severity": severity} if severity is not None else {}),
        "result": outcome,
        "scored": True,
        "message": _text(message, _MAX_MESSAGE),
        "properties": {key: _text(value, _MAX_PROPERTY) for key, value in properties.items() if value},
    }


def _text(text: str, limit: int) -> str:
    """Text that any reader can show: one line, no control characters. What is cut off is not looked at."""
    return shorten(printable(text[: limit + 1]), limit)


def _of_object(
    result: Result, api: ReportApi, ref: ObjectRef, entries: list[dict[str, Any]], live: LiveObject | None
) -> dict[str, Any]:
    uid = live.uid if live is not None else ""
    # A report of a namespace's object is in that namespace; what has no such name is in no cluster.
    namespace = ref.namespace if ref.namespace is not None and _is_label(ref.namespace) else None
    scope = {
        "apiVersion": _text(ref.api_version, _MAX_NAME),
        "kind": _text(ref.kind, _MAX_NAME),
        **({"namespace": _text(ref.namespace, _MAX_NAME)} if ref.namespace else {}),
        "name": _text(ref.name, _MAX_NAME),
    }
    passed = live.passed if live is not None else sum(entry["result"] == "pass" for entry in entries)
    if not _UID.match(uid):
        return _report(
            result,
            api,
            namespace,
            _digest(ref.api_version, ref.kind, ref.namespace or "", ref.name),
            entries,
            scope,
            passed,
        )
    made = _report(result, api, namespace, uid, entries, {**scope, "uid": uid}, passed)
    if (namespace or None) == (ref.namespace or None):
        # The object's end is the report's. Neither is held up by the other: it is no controller, and blocks nothing.
        owner = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name, "uid": uid}
        made["metadata"]["ownerReferences"] = [owner]
    return made


def _is_label(text: str) -> bool:
    return len(text) <= 63 and _LABEL.match(text) is not None


def _of_audit(
    result: Result, api: ReportApi, entries: Iterable[NotEvaluated], namespace: str | None, selector: str
) -> dict[str, Any]:
    listed = list(_in_groups(result, entries, namespace))
    for error in result.errors:
        place = f"{error.file}:{error.line}" if error.line is not None else error.file
        listed.append(_result(SOURCE, "not-readable", "audit", "error", f"{place}: {error.message}", properties={}))
    where = namespace if namespace is not None and _is_label(namespace) else None
    scope = {"apiVersion": "v1", "kind": "Namespace", "name": where} if where is not None else None
    name = f"audit-{_digest(selector)[:8]}" if selector else "audit"
    made = _report(result, api, where, name, listed, scope, 0, about="audit")
    summary = result.summary
    counted = {
        "fail": summary.fail,
        "excepted": summary.excepted,
        "notEvaluated": summary.not_evaluated,
        "pass": summary.passed,
        "objects": summary.objects,
    }
    # Of the audit as a whole: in the summary of a report, readers would count results of objects twice.
    made["metadata"]["annotations"] = {
        "kubeassay.dev/profile": _text(result.profile.name, _MAX_PROPERTY),
        "kubeassay.dev/kubernetes-version": _text(result.kubernetes_version, _MAX_PROPERTY),
        "kubeassay.dev/version": _text(result.tool_version, _MAX_PROPERTY),
        "kubeassay.dev/target": _text(result.target.name, _MAX_PROPERTY),
        "kubeassay.dev/summary": json.dumps(counted),
        **({"kubeassay.dev/selector": _text(selector, _MAX_PROPERTY)} if selector else {}),
    }
    return made


def _in_groups(result: Result, entries: Iterable[NotEvaluated], namespace: str | None) -> Iterator[dict[str, Any]]:
    """What was not evaluated, once for a rule, a reason and a namespace."""
    groups: dict[tuple[str | None, str, str | None], list[NotEvaluated]] = defaultdict(list)
    for entry in entries:
        if namespace is None or entry.namespace in (None, namespace):
            groups[entry.rule, entry.reason, entry.namespace].append(entry)
    for group in groups.values():
        more = f" (and {len(group) - 1} more of this kind)" if len(group) > 1 else ""
        yield _not_judged(result, group[0], _text(group[0].detail, _MAX_MESSAGE - len(more)) + more)


def _report(
    result: Result,
    api: ReportApi,
    namespace: str | None,
    name: str,
    entries: list[dict[str, Any]],
    scope: dict[str, Any] | None,
    passed: int,
    about: str = "object",
) -> dict[str, Any]:
    profile = profile_label(policy_name(result))
    return with_results(
        {
            "apiVersion": api.api_version,
            "kind": api.kind if namespace is not None else api.cluster_kind,
            "metadata": {
                "name": f"kubeassay-{profile}-{name}",
                **({"namespace": namespace} if namespace is not None else {}),
                "labels": {MANAGED_BY: SOURCE, ABOUT: about, PROFILE: profile},
            },
            **({"source": SOURCE} if api.sourced else {}),
            **({"scope": scope} if scope is not None else {}),
        },
        entries,
        passed,
    )


def with_results(report: Mapping[str, Any], entries: Iterable[dict[str, Any]], passed: int) -> dict[str, Any]:
    """A report with these results, the gravest first, and their number. ``passed``: how many passed, listed or not.

    What would make it too large is left out, and the report says so.
    """
    ordered = sorted(entries, key=_place)
    count = Counter(entry["result"] for entry in ordered)
    kept, size = [], 0
    for entry in ordered:
        size += len(json.dumps(entry, ensure_ascii=False).encode())
        if size > MAX_BYTES:
            break
        kept.append(entry)
    left = len(ordered) - len(kept)
    if left:
        said = f"{plural(left, 'result')} more than a report can hold: the summary counts them, other reports list them"
        kept.append(_result(SOURCE, "report-limit", "audit", "warn", said, properties={}))
        count["warn"] += 1
    summary = {outcome: count[outcome] for outcome in ("fail", "warn", "error", "skip")}
    return {**report, "summary": {"pass": passed, **summary}, "results": kept}


def with_more(report: Mapping[str, Any], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A finished report with further results, which are counted, and listed while there is room for them."""
    summary = Counter(report["summary"])
    summary.update(entry["result"] for entry in entries)
    listed = [*report["results"], *entries]
    if sum(len(json.dumps(entry, ensure_ascii=False).encode()) for entry in listed) > 2 * MAX_BYTES:
        listed = list(report["results"])
    return {**report, "summary": dict(summary), "results": sorted(listed, key=_place)}


def _place(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    severity = entry.get("severity")
    return (
        _ORDER.index(entry["result"]) if entry["result"] in _ORDER else len(_ORDER),
        SEVERITIES.index(severity) if severity in SEVERITIES else _NO_SEVERITY,
        *(str(entry.get(key, "")) for key in ("policy", "rule")),
        *(entry["properties"].get(key, "") for key in ("container", "path")),
        entry.get("message", ""),
        entry["properties"].get(RESULT_ID, ""),
    )
