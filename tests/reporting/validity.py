"""What the readers of each format demand of a report, as assertions; with every parser that is at hand.

``CHECKS`` has a function for each format: it gets a document, and the result that it is of.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker

import report_definitions
from kubeassay.model import Result
from kubeassay.reporting import github as github_format
from kubeassay.reporting import markdown as markdown_format
from kubeassay.reporting import render
from kubeassay.reporting.openreports import APIS, MAX_BYTES, ReportApi
from kubeassay.reporting.result_json import from_json
from kubeassay.reporting.spreadsheet import COLUMNS
from reporting import github_rules
from reporting.samples import CLEAN

Check = Callable[[bytes, Result], None]


def terminal(document: bytes, result: Result) -> None:
    assert document.decode("utf-8").replace("\n", "").isprintable()


def assert_no_commands(text: str) -> None:
    """Of GitHub's runner, which reads what any step prints: src/Runner.Common/ActionCommand.cs of actions/runner."""
    for line in re.split(r"\r\n|\r|\n", text):
        assert not line.strip().startswith("::"), line
        assert "##[" not in line, line


def as_json(document: bytes, result: Result) -> None:
    # What changed since another result is no part of it, and maps are where they are asked for.
    read = from_json(document)
    assert read == replace(result, comparison=None, pictures=read.pictures)
    assert read.pictures in (None, result.pictures)


def accepted(document: bytes, result: Result) -> None:
    """tests/reporting/test_accepted.py has what is in it."""
    text = document.decode("utf-8")
    assert text.replace("\n", "").isprintable()
    json.loads(text)


def sarif(document: bytes, result: Result) -> None:
    github_rules.check(document)


def sarif_archive(document: bytes, result: Result) -> None:
    github_rules.check(document, archive=True)


def html(document: bytes, result: Result) -> None:
    """No result adds a script; tests/reporting/test_html.py has the rest."""
    text = document.decode("utf-8")
    assert text.lower().startswith("<!doctype html>")
    [clean] = render("html", CLEAN).documents
    assert text.lower().count("<script") == clean.decode("utf-8").lower().count("<script")


# Prometheus

_SAMPLE = re.compile(
    r'kubeassay_[a-z_]+\{[a-z]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\\n]|\\[\\"n])*")*\} [0-9]+\Z'
)


def prometheus(document: bytes, result: Result) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    text = document.decode("utf-8")
    assert text.endswith("\n")
    samples = [line for line in text.split("\n")[:-1] if not line.startswith("#")]
    for line in samples:
        assert _SAMPLE.match(line), line
    series: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.timestamp is None, "the textfile collector refuses times"
            series.add((sample.name, tuple(sorted(sample.labels.items()))))
            values[sample.name] = sample.value
    assert len(series) == len(samples), "node_exporter refuses two series with equal labels"
    assert values["kubeassay_complete"] == (not result.errors and not result.not_evaluated)


# JUnit: junit-10.xsd of Jenkins' xUnit plug-in

#: Of each element, those that are demanded, and those that may be there.
_ATTRIBUTES: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
    ),
    "testcase": ({"name"}, {"time", "classname", "group"}),
    "failure": (set(), {"type", "message"}),
    "error": (set(), {"type", "message"}),
    "skipped": (set(), {"type", "message"}),
}
_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testsuite", "properties", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
}


def junit(document: bytes, result: Result) -> None:
    from junitparser import JUnitXml

    root = ElementTree.fromstring(document)
    assert root.tag == "testsuites"
    for element in root.iter():
        demanded, permitted = _ATTRIBUTES[element.tag]
        assert demanded <= set(element.attrib) <= demanded | permitted, element.attrib
        assert {child.tag for child in element} <= _CHILDREN.get(element.tag, set())
    suites = list(root)
    for suite in suites:
        cases = list(suite)
        assert int(suite.attrib["tests"]) == len(cases) > 0
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[attribute]) == sum(case.find(tag) is not None for case in cases)
        names = [(case.get("classname"), case.get("name")) for case in cases]
        assert len(names) == len(set(names)), "consumers take two cases of one name for one"
        assert all(len(case) <= 1 for case in cases)
    for attribute in ("tests", "failures", "errors"):
        assert int(root.attrib[attribute]) == sum(int(suite.attrib[attribute]) for suite in suites)
    if result.errors or result.not_evaluated:
        [complete] = [case for suite in suites for case in suite if case.get("classname") == "kubeassay"][:1]
        assert len(complete), "an incomplete result is not green"
    parsed = JUnitXml.fromstring(document)
    assert sum(len(list(suite)) for suite in parsed) == int(root.attrib["tests"])


# Markdown

_MARKDOWN_TAGS = {
    *("h2", "h3", "p", "strong", "br", "table", "thead", "tbody", "tr", "th", "td"),
    *("code", "a", "span", "details", "summary"),
}


class _Rendered(HTMLParser):
    """The elements of rendered Markdown: only those of the format itself, each closed where it should be."""

    def __init__(self, text: str, link_base: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.link_base = link_base
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _MARKDOWN_TAGS, tag
        attributes = dict(attrs)
        assert set(attributes) == ({"href"} if tag == "a" else set()), attributes
        if tag == "a":
            target = (attributes["href"] or "").removeprefix(self.link_base)
            assert re.match(r"[A-Za-z0-9._~%/-]+#L[0-9]+\Z", target), target
            assert not target.startswith("/")
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert not re.search(r"@[A-Za-z0-9]|(?<![A-Za-z0-9])#[0-9]", data), "a mention of people or issues"
        assert not re.search(r"www\.", data, re.IGNORECASE), "a link that GitHub makes"


def markdown(document: bytes, result: Result, link_base: str = "") -> None:
    from markdown_it import MarkdownIt

    assert len(document) <= markdown_format.LIMIT
    text = document.decode("utf-8")
    assert text.replace("\n", "").isprintable()
    width = 0
    for line in text.split("\n"):
        # A cell more or less would shift all that follow it.
        width = (width or line.count("|")) if line.startswith("|") else 0
        assert line.count("|") == width, line
    parser = MarkdownIt("gfm-like")
    # GitHub makes no link of a bare name of a host, as of kube-linter.io; of one that begins with www it does.
    parser.linkify.set({"fuzzy_link": False})
    _Rendered(parser.render(text), link_base)
    if result.errors or result.not_evaluated:
        assert "not complete" in text.splitlines()[0]


# Workflow commands


def commands(text: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """(name, properties, message) of each line, as GitHub's runner reads it (ActionCommand.TryParseV2)."""
    for line in re.split(r"\r\n|\r|\n", text.removesuffix("\n")):
        stripped = line.lstrip()
        assert stripped.startswith("::")
        head, separator, data = stripped[2:].partition("::")
        assert separator
        name, _, rest = head.partition(" ")
        properties: dict[str, str] = {}
        for pair in rest.strip().split(","):
            key, equals, value = pair.partition("=")
            assert equals
            for token, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
                value = value.replace(token, plain)
            assert key not in properties
            properties[key] = value
        for token, plain in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            data = data.replace(token, plain)
        yield name, properties, data


def github(document: bytes, result: Result) -> None:
    names: list[str] = []
    for name, properties, message in commands(document.decode("utf-8")):
        names.append(name)
        assert set(properties) <= {"file", "line", "endLine", "col", "endColumn", "title"}
        assert len(properties["title"]) <= 255
        assert message.strip()
        if "line" in properties:
            assert 1 <= int(properties["line"]) <= int(properties.get("endLine", properties["line"]))
        if "file" in properties:
            assert properties["file"].isprintable()
    assert set(names) <= {"error", "warning", "notice"}
    assert max(names.count(name) for name in names) <= github_format.LIMIT
    if result.errors or result.not_evaluated:
        first = next(commands(document.decode("utf-8")))
        assert first[1]["title"] == "kubeassay: incomplete" or names[0] == "error"


# GitLab Code Quality: doc/ci/testing/code_quality.md of gitlab-org/gitlab

_ISSUE = Draft202012Validator(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["description", "check_name", "fingerprint", "severity", "location"],
            "additionalProperties": False,
            "properties": {
                "description": {"type": "string", "pattern": r"\S"},
                "check_name": {"type": "string", "pattern": r"\S"},
                "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                "location": {
                    "type": "object",
                    "required": ["path", "lines"],
                    "additionalProperties": False,
                    "properties": {
                        "path": {"type": "string", "pattern": r"\S", "not": {"pattern": "^(/|\\./)"}},
                        "lines": {
                            "type": "object",
                            "required": ["begin"],
                            "properties": {"begin": {"type": "integer", "minimum": 1}, "end": {"type": "integer"}},
                        },
                    },
                },
            },
        },
    }
)


def gitlab(document: bytes, result: Result) -> None:
    # No byte-order mark, which GitLab does not read.
    issues = json.loads(document.decode("utf-8"))
    _ISSUE.validate(issues)
    fingerprints = [issue["fingerprint"] for issue in issues]
    assert len(fingerprints) == len(set(fingerprints))
    unjudged = [issue for issue in issues if issue["description"].startswith("Not evaluated: ")]
    assert len(unjudged) >= len(result.errors) + len(result.not_evaluated)


# CSV


def as_csv(document: bytes, result: Result) -> None:
    text = document.decode("utf-8")
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(header) == COLUMNS
    assert len(rows) >= len(result.errors) + len(result.not_evaluated)
    for row in rows:
        assert len(row) == len(COLUMNS)
        for cell in row:
            assert cell.isprintable()
            assert len(cell) <= 32_767
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


# OSCAL: the parts that are used, by hand; test_oscal.py asks models that are made of NIST's own schema

_TOKEN = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9._-]*$"}
_LINE = {"type": "string", "pattern": r"^\S(.*\S)?$"}
_UUID = {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[45][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$",
}
_TIME = {"type": "string", "pattern": r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$"}
_HREF = {"type": "string", "format": "uri-reference", "minLength": 1}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {name.replace("_", "-"): schema for name, schema in (required | optional).items()}
    return {
        "type": "object",
        "required": [name.replace("_", "-") for name in required],
        "additionalProperties": False,
        "properties": properties,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


_PROPS = _list(_object({"name": _TOKEN, "value": _LINE}, ns={"type": "string", "format": "uri"}))
_OBSERVED = _list(_object({"observation_uuid": _UUID}))
_RESULT = _object(
    {
        "uuid": _UUID,
        "title": _LINE,
        "description": _LINE,
        "start": _TIME,
        "reviewed_controls": _object(
            {
                "control_selections": _list(
                    _object({}, include_controls=_list(_object({"control_id": _TOKEN})), include_all=_object({}))
                )
            },
            remarks=_LINE,
        ),
    },
    end=_TIME,
    props=_PROPS,
    remarks=_LINE,
    local_definitions=_object(
        {},
        inventory_items=_list(_object({"uuid": _UUID, "description": _LINE}, props=_PROPS)),
        assessment_assets=_object(
            {
                "assessment_platforms": _list(
                    _object({"uuid": _UUID}, uses_components=_list(_object({"component_uuid": _UUID})))
                )
            },
            components=_list(
                _object(
                    {
                        "uuid": _UUID,
                        "type": _TOKEN,
                        "title": _LINE,
                        "description": _LINE,
                        "status": _object({"state": {"enum": ["operational"]}}),
                    },
                    props=_PROPS,
                )
            ),
        ),
    ),
    observations=_list(
        _object(
            {
                "uuid": _UUID,
                "description": _LINE,
                "methods": _list({"enum": ["EXAMINE", "INTERVIEW", "TEST", "UNKNOWN"]}),
                "collected": _TIME,
            },
            title=_LINE,
            props=_PROPS,
            types=_list({"enum": ["finding", "control-objective"]}),
            subjects=_list(_object({"subject_uuid": _UUID, "type": {"const": "inventory-item"}})),
            relevant_evidence=_list(_object({"description": _LINE}, href=_HREF)),
            remarks=_LINE,
        )
    ),
    risks=_list(
        _object(
            {
                "uuid": _UUID,
                "title": _LINE,
                "description": _LINE,
                "statement": _LINE,
                "status": {"const": "deviation-approved"},
            },
            props=_PROPS,
            related_observations=_OBSERVED,
        )
    ),
    findings=_list(
        _object(
            {
                "uuid": _UUID,
                "title": _LINE,
                "description": _LINE,
                "target": _object(
                    {
                        "type": {"enum": ["objective-id", "statement-id"]},
                        "target_id": _TOKEN,
                        "status": _object(
                            {"state": {"enum": ["satisfied", "not-satisfied"]}},
                            reason={"enum": ["pass", "fail", "other"]},
                            remarks=_LINE,
                        ),
                    }
                ),
            },
            props=_PROPS,
            related_observations=_OBSERVED,
            related_risks=_list(_object({"risk_uuid": _UUID})),
        )
    ),
)
_OSCAL = Draft202012Validator(
    _object(
        {
            "assessment_results": _object(
                {
                    "uuid": _UUID,
                    "metadata": _object(
                        {"title": _LINE, "last_modified": _TIME, "version": _LINE, "oscal_version": {"const": "1.1.3"}},
                        remarks=_LINE,
                    ),
                    "import_ap": _object({"href": _HREF}),
                    "results": _list(_RESULT),
                },
                back_matter=_object(
                    {"resources": _list(_object({"uuid": _UUID}, title=_LINE, description=_LINE))},
                ),
            )
        }
    ),
    format_checker=FormatChecker(),
)


def oscal(document: bytes, result: Result) -> None:
    log = json.loads(document.decode("utf-8"))
    _OSCAL.validate(log)
    assert_identities(log)
    [run] = log["assessment-results"]["results"]
    if any(entry.rule is None for entry in result.not_evaluated) or result.errors:
        states = {finding["target"]["status"]["state"] for finding in run.get("findings", ())}
        assert "satisfied" not in states, "what was not read could break any control"
    if result.errors or result.not_evaluated:
        assert run["remarks"].startswith("Not everything was judged")


_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")


def kubernetes_reports(document: bytes, result: Result, api: ReportApi) -> None:
    """What an API server takes; tests/live/test_live_publish.py asks one."""
    listed = json.loads(document.decode("utf-8"))
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    by = report_definitions.strict_schema(api)
    names = set()
    for report in listed["items"]:
        assert [f"{error.json_path}: {error.message}" for error in Draft202012Validator(by).iter_errors(report)] == []
        metadata = report["metadata"]
        namespace = metadata.get("namespace")
        assert len(metadata["name"]) <= 253
        assert _SUBDOMAIN.match(metadata["name"])
        assert (report["kind"] == api.kind) == (namespace is not None)
        assert namespace is None or _NAMESPACE.match(namespace)
        assert all(_LABEL_VALUE.match(value) for value in metadata["labels"].values())
        assert all(owner["uid"] and owner["name"] for owner in metadata.get("ownerReferences", ()))
        assert len(json.dumps(report, ensure_ascii=False).encode()) < 2 * MAX_BYTES
        for entry in report["results"]:
            assert all(text.isprintable() for text in (entry["message"], *entry["properties"].values()))
        names.add((namespace, metadata["name"]))
    assert len(names) == len(listed["items"])


def assert_identities(log: Any) -> None:
    """Identities are unique, and what refers to one finds it."""
    own: list[str] = []
    named: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key == "uuid":
                    own.append(inner)
                    assert UUID(inner).version == 5
                elif key.endswith("-uuid"):
                    named.add(inner)
                else:
                    walk(inner)

    walk(log)
    assert len(own) == len(set(own))
    assert named <= set(own)
    assert log["assessment-results"]["import-ap"]["href"].removeprefix("#") in own


CHECKS: dict[str, Check] = {
    **{name: partial(kubernetes_reports, api=api) for name, api in APIS.items()},
    "terminal": terminal,
    "json": as_json,
    "accepted": accepted,
    "sarif": sarif,
    "sarif-archive": sarif_archive,
    "html": html,
    "markdown": markdown,
    "github": github,
    "gitlab": gitlab,
    "junit": junit,
    "csv": as_csv,
    "prometheus": prometheus,
    "oscal": oscal,
}
