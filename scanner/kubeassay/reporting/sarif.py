"""SARIF 2.1.0, as GitHub code scanning takes it.

GitHub rejects a whole upload for one result without a file, ignores ``suppressions`` (excepted findings would become
open alerts) and keeps a limited number of results. So every result has a physical location, excepted findings are left
out unless :attr:`RenderOptions.sarif_archive` asks for them (then all results carry ``suppressions``, since SARIF wants
them on all or none), and what does not fit is said, never dropped silently. There are no times and no absolute paths.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kubeassay.model import (
    SEVERITIES,
    Comparison,
    Control,
    Exception_,
    Finding,
    Fix,
    Location,
    Outcome,
    Related,
    Result,
    Rule,
    Severity,
    Source,
)
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.statements import environments_told, only_in, policy_name
from kubeassay.reporting.texts import inert_json, printable, shorten, uri_of

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: GitHub rejects a run with more results.
RESULT_LIMIT = 25_000
#: GitHub shows no more of a run.
DISPLAY_LIMIT = 5_000
#: GitHub rejects an upload that is larger than this after gzip.
COMPRESSED_LIMIT = 10 * 1024 * 1024
TEXT_LIMIT = 1024
NAME_LIMIT = 255
TAG_LIMIT = 10
#: GitHub shows no more places of one result.
RELATED_LIMIT = 100

LEVELS: Mapping[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
#: SARIF's kinds of results that are no failures, and have no level.
_LEVELLESS: Mapping[Outcome, str] = {"not-evaluated": "open", "pass": "pass"}
#: GitHub: above 9.0 critical, from 7.0 high, from 4.0 medium, else low.
SCORES: Mapping[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.5"}
_PROBLEM: Mapping[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "recommendation",
}
_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}

#: Catalogues that rules refer to: key of ``references`` -> (title, publisher, page).
_CATALOGUES = {
    "pss": (
        "Kubernetes Pod Security Standards",
        "Kubernetes",
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    ),
    "cis-kubernetes": (
        "CIS Kubernetes Benchmark",
        "Center for Internet Security",
        "https://www.cisecurity.org/benchmark/kubernetes",
    ),
    "nsa-cisa": ("Kubernetes Hardening Guide", "NSA and CISA", ""),
    "owasp-k8s": ("OWASP Kubernetes Top Ten", "OWASP", "https://owasp.org/www-project-kubernetes-top-ten/"),
    "mitre-attack": ("MITRE ATT&CK", "MITRE", "https://attack.mitre.org/"),
}
#: What the words for reasons mean, for readers of notifications.
_REASONS = {
    "missing-input": "What decides a rule is not among the inputs.",
    "no-objects": "Nothing that a rule could judge is among the inputs.",
    "no-namespace": "An object does not state its namespace.",
    "ambiguous": "What the inputs say can be read in several ways.",
    "ambiguous-environment": "Which environment an object belongs to can be read in several ways.",
    "not-understood": "A part of a document was not understood.",
    "forbidden": "The cluster did not permit reading what a rule needs.",
    "not-readable": "The cluster did not answer for what a rule needs.",
    "not-read": "A snapshot was made for other rules, and lacks what a rule needs.",
    "metadata-only": "Values of Secrets are not read from a cluster.",
    "drift": "What runs differs from what its owner's template says.",
    "host-network": "What policies do to pods on their node's network is not defined.",
    "not-rendered": "The manifests do not hold what a rule needs.",
    "not-followed": "What a deployer deploys is not known.",
    "invalid-object": "An object is not as Kubernetes would accept it.",
    "unknown-kind": "A kind of object is not known.",
    "rule-error": "A rule crashed; the fault is the tool's.",
    "unsupported": "Something is beyond what the tool can judge.",
    "environments": "What was rendered, and what each of several environments comes to.",
    "read-error": "A file, or a part of one, could not be read.",
    "results-left-out": "The most severe findings were written, since GitHub rejects a run with more.",
    "results-not-displayed": "GitHub shows the most severe results of a long run only.",
}
_TECHNIQUE = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?\Z")
_WEB_PAGE = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][A-Za-z0-9._~:/?#@!$&'()*+,;=-]*)?\Z")
_WORD = re.compile(r"[^\W_]+")

_dump = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
#: A text as a JSON string.
_encode: Callable[[str], str] = json.encoder.encode_basestring


def write(result: Result, options: RenderOptions) -> Report:
    shown = options.show if options.sarif_archive else ()
    findings = [finding for finding in result.findings if finding.outcome == "fail" or finding.outcome in shown]
    findings.sort(key=lambda finding: (_LEVELLESS.get(finding.outcome, ""), _RANK[finding.severity]))
    if result.comparison is not None and options.sarif_archive:
        # GitHub would open what is absent as an alert.
        listed = {finding.fingerprint for finding in findings}
        findings += [finding for finding in result.comparison.fixed if finding.fingerprint not in listed]
    warnings: list[str] = []
    notices: list[tuple[str, str, str]] = []
    parts: list[Sequence[Finding]] = [findings]
    if len(findings) > RESULT_LIMIT and not options.sarif_archive:
        if options.sarif_split:
            parts = [findings[start : start + RESULT_LIMIT] for start in range(0, len(findings), RESULT_LIMIT)]
        else:
            left = len(findings) - RESULT_LIMIT
            warning = (
                f"The {RESULT_LIMIT:,} most severe of {len(findings):,} findings were written to SARIF, since GitHub "
                f"rejects a run with more; {left:,} were left out. Splitting the output keeps them all."
            )
            warnings.append(warning)
            notices.append(("results-left-out", "warning", warning))
            parts = [findings[:RESULT_LIMIT]]
    category = _category(result, options)
    documents = []
    for number, part in enumerate(parts, 1):
        own = list(notices)
        if len(part) > DISPLAY_LIMIT and not options.sarif_archive:
            text = f"This run has {len(part):,} results; GitHub shows the {DISPLAY_LIMIT:,} most severe."
            own.append(("results-not-displayed", "note", text))
        # Two uploads of one category in a job are refused, so each part has its own; the first keeps the plain one.
        identity = category if number == 1 else f"{category}part-{number}/"
        run = _Run(result, options).build(part, identity, own, whole=number == 1)
        text = f'{{"$schema":"{SCHEMA}","version":"2.1.0","runs":[{run}]}}\n'
        # A half of a surrogate pair comes from a name that is no UTF-8; no reader of SARIF would take it.
        document = inert_json(text.encode("utf-8", "replace"))
        large = len(document) > 2 * COMPRESSED_LIMIT and not options.sarif_archive
        if large and len(zlib.compress(document)) > COMPRESSED_LIMIT:
            warnings.append("The SARIF document is larger than 10 MB after compression; GitHub rejects such an upload.")
        documents.append(document)
    return Report(tuple(documents), tuple(warnings))


def _category(result: Result, options: RenderOptions) -> str:
    category = options.sarif_category or f"kubeassay/{policy_name(result)}"
    # GitHub splits the id at its last slash: what follows it is a run's own id, and there is none.
    return printable(category).rstrip("/") + "/"


class _Run:
    """Builds one run. Holds what its results share, so that 15,000 results cost little more than their own text."""

    def __init__(self, result: Result, options: RenderOptions) -> None:
        self.result = result
        self.options = options
        self.uris: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._heads: dict[tuple[str, Severity, Outcome], str] = {}
        changes = result.comparison
        self._new = set(map(id, changes.new)) if changes else set()
        self._mended = set(map(id, changes.fixed)) if changes else set()
        self._demands: dict[tuple[str, ...], str] = {}
        self.taxonomies = _Taxonomies(result)
        self.rule_index: dict[str, int] = {}
        self.clauses = {control.id: _clause(control) for control in result.controls}
        self.exceptions = result.exceptions_by_id
        self._clause_places: dict[tuple[str, ...], tuple[Related, ...]] = {}

    def build(
        self, findings: Sequence[Finding], identity: str, notices: Iterable[tuple[str, str, str]], *, whole: bool
    ) -> str:
        """The run as JSON text. Only the first part of a split report (``whole``) tells what was not read or judged."""
        rules = self._rules(findings)
        notifications, descriptors = self._notifications(notices, whole=whole)
        taxonomies = self.taxonomies.components
        driver: dict[str, Any] = {
            "name": "kubeassay",
            "semanticVersion": self.result.tool_version,
            "rules": rules,
        }
        if descriptors:
            driver["notifications"] = descriptors
        if taxonomies:
            driver["supportedTaxonomies"] = [
                _component_reference(component, index) for index, component in enumerate(taxonomies)
            ]
        run: dict[str, Any] = {"tool": {"driver": driver}}
        if taxonomies:
            run["taxonomies"] = taxonomies
        broken = self.result.errors or any(entry.reason == "rule-error" for entry in self.result.not_evaluated)
        invocation: dict[str, Any] = {"executionSuccessful": not broken}
        if notifications:
            invocation["toolExecutionNotifications"] = notifications
        run["invocations"] = [invocation]
        run["automationDetails"] = {"id": identity}
        run["columnKind"] = "utf16CodeUnits"
        head = _dump(run)[:-1]
        return head + ',"results":[' + ",\n".join(map(self._finding, findings)) + "]}"

    # Rules

    def _rules(self, findings: Iterable[Finding]) -> list[dict[str, Any]]:
        known: dict[str, Rule | None] = dict(self.result.rules)
        for finding in findings:
            known.setdefault(finding.rule, None)
        controls: dict[str, list[Control]] = {}
        for control in self.result.controls:
            for use in control.rules:
                used = controls.setdefault(use.rule, [])
                if control not in used:
                    used.append(control)
        rules = []
        for index, rule_id in enumerate(sorted(known)):
            self.rule_index[rule_id] = index
            rule = known[rule_id]
            if rule is None:
                # A finding of a rule that the result does not describe: its identity is all that is known.
                descriptor = {"id": _filled(rule_id, "unnamed")}
                rules.append(descriptor | _described(shorten(_message_text(descriptor["id"]), TEXT_LIMIT)))
            else:
                rules.append(self._rule(rule_id, rule, controls.get(rule_id, ())))
        return rules

    def _rule(self, rule_id: str, rule: Rule, controls: Sequence[Control]) -> dict[str, Any]:
        severity = self.result.rule_severities.get(rule_id, rule.severity)
        title = _filled(" ".join(rule.title.split()), _filled(rule_id, "Unnamed rule"))
        descriptor: dict[str, Any] = {"id": _filled(rule_id, "unnamed")}
        name = "".join(word[0].upper() + word[1:] for word in _WORD.findall(rule.title))
        if name:
            descriptor["name"] = name[:NAME_LIMIT]
        descriptor["shortDescription"] = {"text": shorten(title, TEXT_LIMIT)}
        descriptor["fullDescription"] = {"text": shorten(_joined(rule.rationale) or title, TEXT_LIMIT)}
        page = next((c.source.url for c in controls if _WEB_PAGE.match(c.source.url)), None)
        if page:
            descriptor["helpUri"] = page
        descriptor["help"] = {
            "text": _help_text(rule, title, controls),
            "markdown": _help_markdown(rule, title, controls),
        }
        descriptor["defaultConfiguration"] = {"level": LEVELS[severity]}
        tags = ["security", "kubernetes", printable(rule.area), *map(printable, rule.references)]
        descriptor["properties"] = {
            "tags": [tag for tag in dict.fromkeys(tags) if tag][:TAG_LIMIT],
            "precision": "high",
            "problem.severity": _PROBLEM[severity],
            "security-severity": SCORES[severity],
        }
        relationships = self.taxonomies.relationships(rule, controls)
        if relationships:
            descriptor["relationships"] = relationships
        return descriptor

    # Results

    def _finding(self, finding: Finding) -> str:
        """One result as JSON text. It is put together from encoded pieces: a tree of dicts for each of 15,000 results
        costs three times as much, most of it in the garbage collector."""
        head_key = (finding.rule, finding.severity, finding.outcome)
        head = self._heads.get(head_key)
        if head is None:
            rule_id = _encode(_filled(finding.rule, "unnamed"))
            index = self.rule_index[finding.rule]
            kind = _LEVELLESS.get(finding.outcome, "fail")
            level = LEVELS[finding.severity] if kind == "fail" else "none"
            head = self._heads[head_key] = f'{{"ruleId":{rule_id},"ruleIndex":{index},"kind":"{kind}","level":"{level}"'
        subject = finding.object
        where = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
        # GitHub shows the first sentence in lists, so it names the object too.
        text = _message_text(f"{subject.kind} {where}: {finding.message}").rstrip(".")
        if finding.environments:
            text += f" ({_message_text(only_in(finding))})"
        text += self._demand(finding)
        extras = self._extras(finding)
        return (
            f'{head},"message":{{"text":{_encode(text)}}},"locations":[{{{self._physical(finding.location)}'
            f',"logicalLocations":[{_logical(finding)}]}}]{extras}}}'
        )

    def _demand(self, finding: Finding) -> str:
        """The end of the message: the clauses that demand it."""
        text = self._demands.get(finding.controls)
        if text is None:
            clauses = [self.clauses[control] for control in finding.controls if control in self.clauses]
            text = f". Demanded by {'; '.join(clauses)}." if clauses else "."
            self._demands[finding.controls] = text
        if len(finding.related) > RELATED_LIMIT:
            text += f" {len(finding.related) - RELATED_LIMIT:,} more related places are not listed."
        return text

    def _extras(self, finding: Finding) -> str:
        """The members of a result that only some have, each with its comma."""
        extras = ""
        if finding.line_hash:
            extras = f'"primaryLocationLineHash":{_encode(finding.line_hash)}'
        if finding.fingerprint:
            extras += f'{"," if extras else ""}"kubeassay/v1":{_encode(finding.fingerprint)}'
        if extras:
            extras = f',"partialFingerprints":{{{extras}}}'
        if related_places := self._related(finding):
            places = ",".join(
                f'{{"id":{number},{self._physical(related.location)}'
                f',"message":{{"text":{_encode(_filled(_message_text(related.message), "Related place."))}}}}}'
                for number, related in enumerate(related_places, 1)
            )
            extras += f',"relatedLocations":[{places}]'
        if finding.fix is not None and finding.fix.edits:
            extras += f',"fixes":[{_dump(self._fix(finding.fix))}]'
        if self.options.sarif_archive:
            by = self.exceptions.get(finding.exception or "")
            suppressions = [_suppression(finding, by)] if finding.outcome == "excepted" else []
            extras += f',"suppressions":{_dump(suppressions)}'
        if self.result.comparison is not None:
            extras += f',"baselineState":"{self._state(finding, self.result.comparison)}"'
        if finding.environments:
            # No part of what identifies it: it stays the same alert when another environment has it, too.
            extras += f',"properties":{_dump({"environments": list(map(printable, finding.environments))})}'
        return extras

    def _state(self, finding: Finding, changes: Comparison) -> str:
        if id(finding) in self._mended:
            return "absent"
        if finding.outcome == "fail":
            return "new" if id(finding) in self._new else "unchanged"
        before = changes.before.get(finding.fingerprint)
        return "new" if before is None else "unchanged" if before == finding.outcome else "updated"

    def _related(self, finding: Finding) -> tuple[Related, ...]:
        """The related places of a finding, and the clauses of documents that demand it."""
        clauses = self._clause_places.get(finding.controls)
        if clauses is None:
            sources = {c.id: c.source for c in self.result.controls if c.source.file and c.source.line}
            clauses = self._clause_places[finding.controls] = tuple(
                Related(self.clauses[control], Location(source.file, source.line, 1, source.line, 1))
                for control in finding.controls
                if (source := sources.get(control)) is not None
            )
        related = finding.related[:RELATED_LIMIT]
        if not clauses:
            return related
        stated = {(place.location.file, place.location.start_line) for place in related}
        added = (place for place in clauses if (place.location.file, place.location.start_line) not in stated)
        return (*related, *added)[:RELATED_LIMIT]

    def _physical(self, location: Location) -> str:
        file = self._files.get(location.file)
        if file is None:
            uri = _encode(self._uri(location.file))
            file = self._files[location.file] = (
                f'"physicalLocation":{{"artifactLocation":{{"uri":{uri}}},"region":{{"startLine":'
            )
        return (
            f'{file}{location.start_line},"startColumn":{location.start_column},"endLine":{location.end_line}'
            f',"endColumn":{location.end_column}}}}}'
        )

    def _uri(self, file: str) -> str:
        uri = self.uris.get(file)
        if uri is None:
            uri = self.uris[file] = uri_of(file)
        return uri

    def _fix(self, fix: Fix) -> dict[str, Any]:
        replacements: dict[str, list[dict[str, Any]]] = {}
        for edit in fix.edits:
            place = edit.location
            replacements.setdefault(self._uri(place.file), []).append(
                {
                    "deletedRegion": {
                        "startLine": place.start_line,
                        "startColumn": place.start_column,
                        "endLine": place.end_line,
                        "endColumn": place.end_column,
                    },
                    "insertedContent": {"text": edit.text},
                }
            )
        return {
            "description": {"text": _filled(_message_text(fix.description), "Apply the change.")},
            "artifactChanges": [
                {"artifactLocation": {"uri": uri}, "replacements": edits} for uri, edits in replacements.items()
            ],
        }

    # What was not read or not judged

    def _notifications(
        self, notices: Iterable[tuple[str, str, str]], *, whole: bool
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        descriptors: dict[str, int] = {}
        notifications: list[dict[str, Any]] = []

        def notify(reason: str, level: str, text: str) -> dict[str, Any]:
            reason = _filled(printable(reason), "unnamed")
            notification: dict[str, Any] = {
                "descriptor": {"id": reason, "index": descriptors.setdefault(reason, len(descriptors))},
                "level": level,
                "message": {"text": _filled(_message_text(text), reason)},
            }
            notifications.append(notification)
            return notification

        for reason, level, text in notices:
            notify(reason, level, text)
        for line in environments_told(self.result) if whole else ():
            notify("environments", "note", line)
        # The parts of a split report come from one run of the tool; its troubles are told once.
        for error in self.result.errors if whole else ():
            notification = notify("read-error", "error", f"{error.file}: {error.message}")
            place: dict[str, Any] = {"artifactLocation": {"uri": self._uri(error.file)}}
            if error.line is not None:
                place["region"] = {"startLine": error.line}
                if error.column is not None:
                    place["region"]["startColumn"] = error.column
            notification["locations"] = [{"physicalLocation": place}]
        for entry in self.result.not_evaluated if whole else ():
            scope = f" in namespace {entry.namespace}" if entry.namespace else ""
            rule = f"rule {entry.rule}" if entry.rule else "all rules"
            crash = entry.reason == "rule-error"
            text = f"Not evaluated ({rule}{scope}): {entry.detail or entry.reason}"
            notification = notify(entry.reason, "error" if crash else "warning", text)
            if entry.rule is not None and entry.rule in self.rule_index:
                notification["associatedRule"] = {
                    "id": _filled(entry.rule, "unnamed"),
                    "index": self.rule_index[entry.rule],
                }
            if entry.file:
                notification["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": self._uri(entry.file)}}}]
        return notifications, [{"id": reason, **_described(meaning(reason))} for reason in descriptors]


def meaning(reason: str) -> str:
    """What a word for a reason means; the word itself where another program made it up."""
    if reason in _REASONS:
        return _REASONS[reason]
    if reason.startswith("unknown-"):
        return _message_text(f"What a rule is judged by is not known: {reason.removeprefix('unknown-')}.")
    return _message_text(reason)


class _Taxonomies:
    """The catalogues and baselines that the active rules refer to, each with the clauses (taxa) that are used."""

    def __init__(self, result: Result) -> None:
        self._positions: dict[tuple[str, str], int] = {}
        self._taxa: list[dict[str, int]] = []
        self.components: list[dict[str, Any]] = []
        titles = {baseline.name: baseline for baseline in result.profile.baselines}
        for control in result.controls:
            baseline = titles.get(control.baseline)
            standard = baseline.standard if baseline else control.source
            component = self._component(control.baseline, "", baseline.title if baseline else "", "", standard.url)
            self._taxon(component, control.id, control.title, control.source)
        for rule_id in sorted(result.rules):
            for name, version, clause in _clauses_of(result.rules[rule_id]):
                title, publisher, page = _CATALOGUES.get(name, ("", "", ""))
                component = self._component(name, version, title, publisher, page)
                self._taxon(component, clause)

    def _component(self, name: str, version: str, title: str, publisher: str, page: str) -> int:
        key = (name, version)
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = len(self.components)
            component: dict[str, Any] = {"name": _filled(printable(name), "unnamed")}
            if version:
                component["version"] = printable(version)
            if title.strip():
                component["shortDescription"] = {"text": shorten(_joined(title), TEXT_LIMIT)}
            if publisher:
                component["organization"] = publisher
            if _WEB_PAGE.match(page):
                component["informationUri"] = page
            component["isComprehensive"] = False
            component["taxa"] = []
            self.components.append(component)
            self._taxa.append({})
        return position

    def _taxon(self, component: int, clause: str, title: str = "", source: Source | None = None) -> None:
        known = self._taxa[component]
        clause = _filled(printable(clause), "unnamed")
        if clause in known:
            return
        known[clause] = len(known)
        taxon: dict[str, Any] = {"id": clause}
        if title.strip():
            taxon["shortDescription"] = {"text": shorten(_joined(title), TEXT_LIMIT)}
        if source is not None and _WEB_PAGE.match(source.url):
            taxon["helpUri"] = source.url
        elif self.components[component]["name"] == "mitre-attack" and _TECHNIQUE.match(clause):
            taxon["helpUri"] = "https://attack.mitre.org/techniques/" + clause.replace(".", "/") + "/"
        self.components[component]["taxa"].append(taxon)

    def relationships(self, rule: Rule, controls: Iterable[Control]) -> list[dict[str, Any]]:
        targets = [(control.baseline, "", control.id) for control in controls]
        # Two names may be one when they are printable.
        named = ((*of, _filled(printable(clause), "unnamed")) for *of, clause in (*targets, *_clauses_of(rule)))
        relationships = []
        for name, version, clause in dict.fromkeys(named):
            position = self._positions.get((name, version))
            if position is None or clause not in self._taxa[position]:
                continue
            relationships.append(
                {
                    "target": {
                        "id": clause,
                        "index": self._taxa[position][clause],
                        "toolComponent": _component_reference(self.components[position], position),
                    },
                    "kinds": ["relevant"],
                }
            )
        return relationships


def _component_reference(component: Mapping[str, Any], index: int) -> dict[str, Any]:
    return {"name": component["name"], "index": index}


def _clauses_of(rule: Rule) -> list[tuple[str, str, str]]:
    """The (catalogue, version of it, clause) triples of a rule's references."""
    clauses: list[tuple[str, str, str]] = []
    for name, value in rule.references.items():
        versions = value.items() if isinstance(value, Mapping) else [("", value)]
        for version, ids in versions:
            clauses.extend((name, str(version), str(one)) for one in (ids if isinstance(ids, list | tuple) else [ids]))
    return list(dict.fromkeys(clauses))


def _logical(finding: Finding) -> str:
    """The object of a finding as SARIF's logical locations: of a cluster its path in the API, and the field in it."""
    subject = finding.object
    full_name = f"{subject.namespace}/" if subject.namespace else ""
    full_name += f"{subject.kind}/{subject.name}"
    inside = (f"/{finding.container}" if finding.container else "") + (f"#{finding.path}" if finding.path else "")
    if finding.api_path is None:
        return _logical_location(subject.name, full_name + inside, "resource")
    resource = _logical_location(subject.name, finding.api_path, "resource")
    if not finding.path:
        return resource
    return f"{resource},{_logical_location(finding.path, f'{finding.api_path}#{finding.path}', 'member')}"


def _logical_location(name: str, full_name: str, kind: str) -> str:
    named = _encode(printable(name)), _encode(printable(full_name))
    return f'{{"name":{named[0]},"fullyQualifiedName":{named[1]},"kind":"{kind}"}}'


def _suppression(finding: Finding, exception: Exception_ | None) -> dict[str, Any]:
    in_tree = exception is not None and exception.in_tree
    suppression: dict[str, Any] = {"kind": "inSource" if in_tree else "external", "status": "accepted"}
    if finding.reason:
        suppression["justification"] = printable(finding.reason)
    if finding.exception:
        stated = {"owner": exception.owner, "expires": exception.expires} if exception is not None else {}
        said = {"exception": finding.exception, **stated}
        suppression["properties"] = {name: printable(text) for name, text in said.items() if text}
    return suppression


def _described(text: str) -> dict[str, Any]:
    # GitHub wants all three of every descriptor.
    return {"shortDescription": {"text": text}, "fullDescription": {"text": text}, "help": {"text": text}}


def _filled(text: str, otherwise: str) -> str:
    """GitHub does not take an empty text where it wants one."""
    return text if text.strip() else otherwise


def _joined(text: str) -> str:
    return printable(" ".join(text.split()))


def _message_text(text: str) -> str:
    # "[…](…)" is a link in SARIF's plain text, and a manifest's author must not be able to write one.
    return printable(text).replace("](", "] (")


def _clause(control: Control) -> str:
    source = control.source
    origin = ", ".join(part for part in (source.document, source.section) if part)
    return _message_text(f"{control.id} {control.title}" + (f" ({origin})" if origin else ""))


def _reference_lines(rule: Rule) -> list[str]:
    lines = []
    for name, value in rule.references.items():
        title = _CATALOGUES.get(name, (name, "", ""))[0]
        if isinstance(value, Mapping):
            versions: dict[str, list[str]] = {}
            for version, ids in value.items():
                versions.setdefault(_listed(ids), []).append(str(version))
            shown = "; ".join(f"{ids} (version {', '.join(those)})" for ids, those in versions.items())
        else:
            shown = _listed(value)
        lines.append(f"{title}: {shown}")
    return lines


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _help_text(rule: Rule, title: str, controls: Iterable[Control]) -> str:
    parts = [title]
    if rule.rationale.strip():
        parts.append(rule.rationale.strip())
    if rule.remediation.strip():
        parts.append("Remediation: " + rule.remediation.strip())
    lines = [_clause(c) + (f" {c.source.url}" if c.source.url else "") for c in controls]
    lines += _reference_lines(rule)
    if lines:
        parts.append("References:\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts)


def _help_markdown(rule: Rule, title: str, controls: Iterable[Control]) -> str:
    parts = [f"# {title}"]
    if rule.rationale.strip():
        parts.append(rule.rationale.strip())
    if rule.remediation.strip():
        parts.append("## Remediation\n\n" + rule.remediation.strip())
    for outcome, heading in (("fails", "This fails"), ("passes", "This passes")):
        example = next((example.text for example in rule.examples if example.outcome == outcome), "")
        if example.strip():
            # A fence longer than any in the text cannot be closed by it.
            fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", example)), default=0))
            parts.append(f"## {heading}\n\n{fence}yaml\n{example.rstrip()}\n{fence}")
    lines = [f"[{_clause(c)}]({c.source.url})" if _WEB_PAGE.match(c.source.url) else _clause(c) for c in controls]
    lines += _reference_lines(rule)
    if lines:
        parts.append("## References\n\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts) + "\n"
