"""OSCAL assessment results (NIST, 1.1), as JSON.

An observation is a finding, or something that was not judged; a finding of OSCAL is a control, with the status of its
objective. OSCAL knows ``satisfied`` and ``not-satisfied`` alone: a control of which something was not judged, or that
an exception keeps, is ``not-satisfied`` with the reason ``other`` and a remark that says so; one that nothing among the
inputs is about has no status. Identities are made of what they name (UUID version 5), so equal results give equal
bytes.

OSCAL demands times. They are :attr:`RenderOptions.time`; where nobody gave one, they are the first second of 1970, and
a remark and a warning say that this is none.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from kubeassay.model import Control, Finding, ObjectRef, Result, Source
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import (
    Gap,
    clause,
    counted,
    environments_told,
    gaps,
    incomplete,
    is_complete,
    listed,
    only_in,
    policy_name,
    rest_counted,
    scanned,
    subject,
)
from kubeassay.reporting.texts import printable, uri_of, utc

VERSION = "1.1.3"
#: The namespace of properties that OSCAL does not define.
NAMESPACE = "https://kubeassay.dev/ns/oscal"
_ROOT = uuid5(NAMESPACE_URL, NAMESPACE)
_NO_TIME = "No time of the run was given: the times in this document are none. Use --timestamp or SOURCE_DATE_EPOCH."
_NO_TOKEN = re.compile(r"[^A-Za-z0-9._-]")


def write(result: Result, options: RenderOptions) -> Report:
    document = _Document(result, options).build()
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    warnings = () if options.time is not None else (f"oscal: {_NO_TIME}",)
    return Report((text.encode("utf-8"),), warnings)


class _Document:
    def __init__(self, result: Result, options: RenderOptions) -> None:
        self.result = result
        self.time = utc(options.time or 0)
        self.timed = options.time is not None
        self.findings = listed(result, options)
        self.gaps = list(gaps(result))
        self.complete = is_complete(result)
        self.scope = f"{result.target.kind}\n{result.target.name}\n{policy_name(result)}"
        self._named: Counter[str] = Counter()
        self._used: set[UUID] = set()
        self.items: dict[ObjectRef, dict[str, Any]] = {}
        self.failing = Counter(name for f in result.findings if f.outcome == "fail" for name in set(f.controls))
        #: Identities of observations by control, and by rule for what was not judged.
        self.of_control: dict[str, list[str]] = {}
        self.of_rule: dict[str, list[str]] = {}
        self.risks: list[dict[str, Any]] = []
        self.risks_of: dict[str, list[str]] = {}

    def build(self) -> dict[str, Any]:
        observations = [self._observation(finding) for finding in self.findings]
        observations += [self._unjudged(gap) for gap in self.gaps]
        controls = self._controls()
        tokens = _tokens(control.id for control in controls)
        findings, idle = [], []
        for control in controls:
            finding = self._finding(control, tokens[control.id])
            if finding is None:
                idle.append(tokens[control.id])
            else:
                findings.append(finding)
        result: dict[str, Any] = {
            "uuid": "",
            "title": _line(scanned(self.result)),
            "description": f"{counted(self.result)}; {rest_counted(self.result)}.",
            "start": self.time,
            "end": self.time,
            "props": self._result_properties(),
            "local-definitions": self._definitions(),
            "reviewed-controls": _reviewed(tokens.values(), idle),
        }
        if observations:
            result["observations"] = observations
        if self.risks:
            result["risks"] = self.risks
        if findings:
            result["findings"] = findings
        remarks = [] if self.complete else [f"Not everything was judged: {incomplete(self.result)}."]
        remarks += [f"{line}." for line in environments_told(self.result)]
        if remarks:
            result["remarks"] = _line(" ".join(remarks))
        return self._around(result)

    def _around(self, result: dict[str, Any]) -> dict[str, Any]:
        """The document, whose identity changes with its content, as OSCAL demands."""
        plan = str(self._identity("plan", policy_name(self.result)))
        metadata: dict[str, Any] = {
            "title": _line(f"kubeassay: {self.result.target.name}, profile {self.result.profile.name}"),
            "last-modified": self.time,
            "version": _line(self.result.tool_version),
            "oscal-version": VERSION,
        }
        if not self.timed:
            metadata["remarks"] = _NO_TIME
        profile = self.result.profile
        rest = {
            "metadata": metadata,
            # There is no assessment plan but the profile.
            "import-ap": {"href": f"#{plan}"},
            "results": [result],
            "back-matter": {
                "resources": [
                    {
                        "uuid": plan,
                        "title": _line(f"Profile {profile.name}"),
                        "description": _line(profile.description or profile.title or profile.name),
                    }
                ]
            },
        }
        identity = uuid5(_ROOT, json.dumps(rest, ensure_ascii=True, sort_keys=True))
        result["uuid"] = str(uuid5(identity, "result"))
        return {"assessment-results": {"uuid": str(identity), **rest}}

    def _identity(self, kind: str, text: str) -> UUID:
        """An identity within this target and profile; the same thing told twice has two."""
        name = f"{self.scope}\n{kind}\n{text}".encode("utf-8", "backslashreplace").decode("utf-8")
        identity = uuid5(_ROOT, name)
        while identity in self._used:
            self._named[name] += 1
            identity = uuid5(_ROOT, f"{name}\n{self._named[name] + 1}")
        self._used.add(identity)
        return identity

    # What was assessed

    def _result_properties(self) -> list[dict[str, str]]:
        result = self.result
        return _properties(
            {
                "target-kind": result.target.kind,
                "target": result.target.name,
                "profile": result.profile.name,
                "kubernetes-version": result.kubernetes_version,
                "complete": "yes" if self.complete else "no",
                "findings": str(result.summary.fail),
                "passed": str(result.summary.passed),
                "not-evaluated": str(result.summary.not_evaluated),
                "excepted": str(result.summary.excepted),
            }
        )

    def _definitions(self) -> dict[str, Any]:
        tool = str(uuid5(_ROOT, f"tool {self.result.tool_version!r}"))
        definitions: dict[str, Any] = {}
        if self.items:
            definitions["inventory-items"] = list(self.items.values())
        definitions["assessment-assets"] = {
            "components": [
                {
                    "uuid": tool,
                    "type": "software",
                    "title": "kubeassay",
                    "description": "A policy-as-code compliance scanner for Kubernetes.",
                    "props": [{"name": "version", "value": _line(self.result.tool_version)}],
                    "status": {"state": "operational"},
                }
            ],
            "assessment-platforms": [
                {"uuid": str(uuid5(_ROOT, f"platform {tool}")), "uses-components": [{"component-uuid": tool}]}
            ],
        }
        return definitions

    def _item(self, ref: ObjectRef) -> str:
        item = self.items.get(ref)
        if item is None:
            names = {
                "api-version": ref.api_version,
                "kind": ref.kind,
                "namespace": ref.namespace or "",
                "name": ref.name,
            }
            item = self.items[ref] = {
                "uuid": str(self._identity("object", repr(ref))),
                "description": _line(str(ref)),
                "props": _properties(names),
            }
            if not item["props"]:
                del item["props"]
        identity: str = item["uuid"]
        return identity

    # Observations

    def _observation(self, finding: Finding) -> dict[str, Any]:
        identity = str(self._identity("observation", f"{finding.outcome}\n{finding.fingerprint}\n{finding.rule}"))
        for control in finding.controls:
            self.of_control.setdefault(control, []).append(identity)
        place = finding.location
        observation: dict[str, Any] = {
            "uuid": identity,
            "title": _line(f"{finding.rule}: {subject(finding)}"),
            "description": _line(
                f"{finding.message or finding.rule}" + (f" ({only_in(finding)})" if finding.environments else "")
            ),
            "props": _properties(
                {
                    "outcome": finding.outcome,
                    "rule": finding.rule,
                    "severity": finding.severity,
                    "area": finding.area,
                    "container": finding.container or "",
                    "path": finding.path,
                    "fingerprint": finding.fingerprint,
                    "environments": ", ".join(finding.environments),
                }
            ),
            "methods": ["TEST"],
            "types": ["finding" if finding.outcome in ("fail", "excepted") else "control-objective"],
            "subjects": [{"subject-uuid": self._item(finding.object), "type": "inventory-item"}],
            "relevant-evidence": [
                {
                    "href": f"{uri_of(place.file)}#L{place.start_line}",
                    "description": _line(f"{place.file}:{place.start_line}:{place.start_column}"),
                }
            ],
            "collected": self.time,
        }
        if finding.outcome == "excepted":
            observation["remarks"] = self._accept(finding, identity)
        elif finding.outcome == "not-evaluated":
            observation["remarks"] = _line(f"Not evaluated: {finding.reason or finding.message}")
        return observation

    def _accept(self, finding: Finding, observation: str) -> str:
        """The risk of an accepted finding; what the observation remarks of it."""
        reason = _line(f"Accepted by {finding.exception or 'an exception'}: {finding.reason or 'no reason is given'}")
        identity = str(self._identity("risk", f"{finding.fingerprint}\n{finding.rule}"))
        rule = self.result.rules.get(finding.rule)
        self.risks.append(
            {
                "uuid": identity,
                "title": _line(f"{finding.rule}: {subject(finding)}"),
                "description": _line(finding.message or finding.rule),
                "statement": _line((rule.rationale if rule else "") or reason),
                "props": _properties({"exception": finding.exception or "", "reason": finding.reason or ""})
                or _properties({"exception": "unnamed"}),
                "status": "deviation-approved",
                "related-observations": [{"observation-uuid": observation}],
            }
        )
        for control in finding.controls:
            self.risks_of.setdefault(control, []).append(identity)
        return reason

    def _unjudged(self, gap: Gap) -> dict[str, Any]:
        identity = str(self._identity("gap", f"{gap.reason}\n{gap.rule}\n{gap.text}"))
        if gap.rule is not None:
            self.of_rule.setdefault(gap.rule, []).append(identity)
        observation: dict[str, Any] = {
            "uuid": identity,
            "title": _line(f"Not evaluated: {gap.reason}"),
            "description": _line(gap.text),
            "props": _properties({"outcome": "not-evaluated", "reason": gap.reason, "rule": gap.rule or ""}),
            "methods": ["TEST"],
            "types": ["control-objective"],
        }
        if gap.file:
            observation["relevant-evidence"] = [{"href": uri_of(gap.file), "description": _line(gap.text)}]
        return observation | {"collected": self.time}

    # Controls

    def _controls(self) -> list[Control]:
        """The result's controls, and those that only its findings name."""
        controls = {control.id: control for control in self.result.controls}
        for finding in self.findings:
            for name in finding.controls:
                controls.setdefault(name, Control(name, "", "", Source(""), ()))
        return list(controls.values())

    def _finding(self, control: Control, token: str) -> dict[str, Any] | None:
        """The status of a control; None where nothing is about it."""
        counts = self.result.summary.by_control.get(control.id)
        failing = max(self.failing[control.id], counts.fail if counts else 0)
        unjudged = [one for use in control.rules for one in self.of_rule.get(printable(use.rule), ())]
        missing = counts.not_evaluated if counts else 0
        excepted = counts.excepted if counts else 0
        status: dict[str, str] = {"state": "not-satisfied", "reason": "other"}
        if failing:
            status["reason"] = "fail"
            status["remarks"] = f"{failing:,} failing."
        elif unjudged or missing or any(gap.rule is None for gap in self.gaps):
            status["remarks"] = "Not everything that it is about was judged, and nothing of the rest fails."
        elif excepted or self.risks_of.get(control.id):
            status["remarks"] = "It is not met, which an exception accepts."
        elif counts is not None and counts.passed:
            status = {"state": "satisfied", "reason": "pass"}
        else:
            return None
        finding: dict[str, Any] = {
            "uuid": str(self._identity("control", control.id)),
            "title": _line(f"{control.id} {control.title}"),
            "description": _line(clause(control)),
            "props": _properties(
                {"control": control.id, "baseline": control.baseline, "level": control.level}
                | (
                    {
                        "fail": str(counts.fail),
                        "pass": str(counts.passed),
                        "not-evaluated": str(counts.not_evaluated),
                        "excepted": str(counts.excepted),
                    }
                    if counts
                    else {}
                )
            ),
            "target": {"type": "objective-id", "target-id": token, "status": status},
        }
        related = [*self.of_control.get(control.id, ()), *dict.fromkeys(unjudged)]
        if related:
            finding["related-observations"] = [{"observation-uuid": one} for one in related]
        if control.id in self.risks_of:
            finding["related-risks"] = [{"risk-uuid": one} for one in self.risks_of[control.id]]
        return finding


def _reviewed(tokens: Iterable[str], idle: list[str]) -> dict[str, Any]:
    included = [{"control-id": token} for token in tokens]
    reviewed: dict[str, Any] = {
        "control-selections": [{"include-controls": included} if included else {"include-all": {}}]
    }
    if idle:
        reviewed["remarks"] = f"Nothing among the inputs is about: {', '.join(idle)}."
    return reviewed


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Properties of our own; OSCAL takes none without a value."""
    return [{"name": name, "ns": NAMESPACE, "value": _line(value)} for name, value in values.items() if value.strip()]


def _tokens(names: Iterable[str]) -> dict[str, str]:
    """Names of controls as OSCAL takes them; two of them stay two."""
    tokens: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        token = _NO_TOKEN.sub("_", name)
        if not token[:1].isalpha():
            token = f"_{token}"
        number, plain = 1, token
        while token in used:
            number += 1
            token = f"{plain}_{number}"
        used.add(token)
        tokens[name] = token
    return tokens


def _line(text: str) -> str:
    """A text on one line, neither empty nor with blanks at its ends."""
    return printable(" ".join(text.split())).strip() or "unnamed"
