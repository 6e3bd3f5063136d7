"""The result as JSON: stable, complete, and readable again, so that it can be rendered into other formats later.

The shape is reports/schemas/result.schema.json. Every result, rule and control stands on a line of its own, which keeps
the document readable by line-based tools and costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NoReturn, TypeVar, get_args

from kubeassay.model import (
    SEVERITIES,
    Bar,
    Baseline,
    ChangedField,
    ConnectionScope,
    Control,
    ControlSummary,
    DeployedSource,
    DeploymentResult,
    Difference,
    Drift,
    Edit,
    EnvironmentResult,
    Example,
    Exception_,
    ExceptionPolicy,
    ExceptionState,
    ExceptionUse,
    Excerpt,
    Finding,
    Fix,
    GrantScope,
    LiveObject,
    Location,
    MissingObject,
    NotCompared,
    NotEvaluated,
    ObjectRef,
    Origin,
    Outcome,
    Parameter,
    Part,
    Picture,
    Profile,
    ReadError,
    Related,
    RenderedManifest,
    Result,
    Review,
    Rule,
    RuleUse,
    Skipped,
    Source,
    Subject,
    SubjectMatch,
    Summary,
    Target,
    UndeclaredObject,
    Way,
)
from kubeassay.model.pictures import WayState
from kubeassay.reporting.json_nodes import Node as Node
from kubeassay.reporting.json_nodes import read_location, read_object
from kubeassay.reporting.options import RenderOptions, Report
from kubeassay.reporting.texts import inert_json

SCHEMA_VERSION = "1"

_OUTCOMES = get_args(Outcome)
_SUBJECTS = get_args(Subject)
_WAY_STATES = get_args(WayState)


def write(result: Result, options: RenderOptions) -> Report:
    return Report((to_json(result, pictures=options.pictures),))


# Writing


def to_json(result: Result, *, pictures: bool = True) -> bytes:
    """The result as a JSON document (UTF-8, ending in a line feed). ``pictures``: with its maps, where it has some."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, default=_plain).encode
    profile = result.profile
    details: dict[str, Any] = {
        "title": profile.title,
        "description": profile.description,
        "kubernetesVersion": profile.kubernetes_version,
        "environment": profile.environment,
        "file": profile.file,
        "exceptions": {"required": profile.exceptions.required, "inTree": profile.exceptions.in_tree},
    }
    if profile.controls != result.controls:
        details["controls"] = [control_as_json(control) for control in profile.controls]
    members = [
        ("schemaVersion", encode(SCHEMA_VERSION)),
        ("tool", encode({"name": "kubeassay", "version": result.tool_version})),
        ("profile", encode(profile.name)),
        ("kubernetesVersion", encode(result.kubernetes_version)),
        ("target", encode(_target(result.target))),
        ("summary", encode(_summary(result.summary))),
        ("results", _lines(encode, map(finding_as_json, result.findings))),
        ("exceptions", _lines(encode, map(_exception_use, result.exceptions))),
        ("notEvaluated", _lines(encode, map(not_evaluated_as_json, result.not_evaluated))),
        ("errors", _lines(encode, map(_read_error, result.errors))),
        ("skipped", _lines(encode, map(_skipped, result.skipped))),
        ("profileDetails", encode(details)),
        ("baselines", _lines(encode, map(_baseline, profile.baselines))),
        ("controls", _lines(encode, map(control_as_json, result.controls))),
        ("rules", _member_lines(encode, ((key, rule_as_json(result.rules[key])) for key in sorted(result.rules)))),
        ("ruleSeverities", encode(dict(sorted(result.rule_severities.items())))),
    ]
    if result.objects:
        told = ((place, _live_object(result.objects[place])) for place in sorted(result.objects))
        members.append(("objects", _member_lines(encode, told)))
    if result.drift is not None:
        members.append(("drift", encode(_drift(result.drift))))
    if result.review is not None:
        # Imported here: few results have one.
        from kubeassay.reporting.review_json import review_as_json

        members.append(("review", encode(review_as_json(result.review))))
    if pictures and result.pictures is not None:
        members.append(("pictures", _lines(encode, map(_picture, result.pictures))))
    if result.rendered:
        members.append(("rendered", _lines(encode, map(rendered_as_json, result.rendered))))
    if result.deployments:
        members.append(("deployments", _lines(encode, map(_deployment, result.deployments))))
    if result.environments:
        members.append(("environments", _lines(encode, map(environment_as_json, result.environments))))
    if result.differences:
        members.append(("differences", _lines(encode, map(difference_as_json, result.differences))))
    text = "{\n" + ",\n".join(f'"{name}": {value}' for name, value in members) + "\n}\n"
    # The handler writes half of a surrogate pair (from a name that is no UTF-8) as JSON's own escape for it.
    return inert_json(text.encode("utf-8", "backslashreplace"))


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """A rule with all that its file states, for JSON. Identity first; every key is always present."""
    return {
        "id": rule.id,
        "title": rule.title,
        "area": rule.area,
        "severity": rule.severity,
        "references": dict(rule.references),
        "subject": rule.subject,
        "needs": list(rule.needs),
        "context": list(rule.context),
        "parameters": [
            {"name": p.name, "type": p.type, "default": p.default, "description": p.description}
            for p in rule.parameters
        ],
        "rationale": rule.rationale,
        "remediation": rule.remediation,
        "fix": dict(rule.fix),
        "overrides": list(rule.overrides),
        "hasExpression": rule.expression is not None,
        "expression": rule.expression,
        "messageExpression": rule.message_expression,
        "field": rule.field,
        "examples": [_example(example) for example in rule.examples],
        "file": rule.file,
    }


def _example(example: Example) -> dict[str, Any]:
    written: dict[str, Any] = {example.outcome: example.text}
    if example.parameters:
        written["parameters"] = _plain(example.parameters)
    return written


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _lines(encode: Callable[[object], str], items: Iterable[object]) -> str:
    body = ",\n".join(map(encode, items))
    return f"[\n{body}\n]" if body else "[]"


def _member_lines(encode: Callable[[object], str], items: Iterable[tuple[str, object]]) -> str:
    body = ",\n".join(f"{encode(key)}: {encode(value)}" for key, value in items)
    return f"{{\n{body}\n}}" if body else "{}"


def _target(target: Target) -> dict[str, Any]:
    """What was not narrowed has no members that say so."""
    narrowed: dict[str, Any] = {} if target.namespaces is None else {"namespaces": target.namespaces}
    if target.selector:
        narrowed["selector"] = target.selector
    if target.context:
        narrowed["context"] = target.context
    return {"kind": target.kind, "name": target.name, **narrowed}


def _summary(summary: Summary) -> dict[str, Any]:
    known = [severity for severity in SEVERITIES if severity in summary.by_severity]
    severities = [*known, *sorted(set(summary.by_severity).difference(known))]
    return {
        "fail": summary.fail,
        "pass": summary.passed,
        "notEvaluated": summary.not_evaluated,
        "excepted": summary.excepted,
        "objects": summary.objects,
        "files": summary.files,
        "bySeverity": {severity: summary.by_severity[severity] for severity in severities},
        "byControl": {
            control: {
                "fail": counts.fail,
                "pass": counts.passed,
                "notEvaluated": counts.not_evaluated,
                "excepted": counts.excepted,
            }
            for control, counts in sorted(summary.by_control.items())
        },
    }


def finding_as_json(finding: Finding) -> dict[str, Any]:
    """A finding with all that is known of it, for JSON."""
    ref = finding.object
    excerpt = finding.excerpt
    fix = finding.fix
    return {
        "outcome": finding.outcome,
        "rule": finding.rule,
        "controls": finding.controls,
        "area": finding.area,
        "severity": finding.severity,
        "object": object_as_json(ref) | ({} if finding.api_path is None else {"apiPath": finding.api_path}),
        "container": finding.container,
        "path": finding.path,
        "message": finding.message,
        "location": location_as_json(finding.location),
        "related": [{"message": r.message, "location": location_as_json(r.location)} for r in finding.related],
        "fingerprint": finding.fingerprint,
        "exception": finding.exception,
        "reason": finding.reason,
        "lineHash": finding.line_hash,
        "excerpt": None if excerpt is None else {"text": excerpt.text, "start": excerpt.start, "end": excerpt.end},
        "fix": None
        if fix is None
        else {
            "description": fix.description,
            "edits": [{"location": location_as_json(edit.location), "text": edit.text} for edit in fix.edits],
        },
        # What all environments have does not say so.
        **({"environments": finding.environments} if finding.environments else {}),
    }


def object_as_json(ref: ObjectRef) -> dict[str, Any]:
    """What names an object, for JSON."""
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _live_object(found: LiveObject) -> dict[str, Any]:
    return {**object_as_json(found.ref), "uid": found.uid, "passed": found.passed}


def location_as_json(location: Location) -> dict[str, Any]:
    """A region of a file, for JSON."""
    return {
        "file": location.file,
        "startLine": location.start_line,
        "startColumn": location.start_column,
        "endLine": location.end_line,
        "endColumn": location.end_column,
    }


def _exception_use(use: ExceptionUse) -> dict[str, Any]:
    """Identity and what an auditor asks first; then what it states of its scope."""
    exception = use.exception
    grant, connection = exception.grant, exception.connection
    return {
        "id": exception.id,
        "rule": exception.rule,
        "state": use.state,
        "problem": use.problem,
        "findings": use.findings,
        "reason": exception.reason,
        "owner": exception.owner,
        "expires": exception.expires,
        "inTree": exception.in_tree,
        "origin": exception.origin,
        "location": {"file": exception.file, "line": exception.line, "column": exception.column},
        "match": _match(exception.match),
        "selector": dict(exception.selector),
        "files": exception.files,
        "path": exception.path,
        "fingerprint": exception.fingerprint,
        "grant": {"subjects": grant.subjects, "roles": grant.roles},
        "connection": {"from": connection.sources, "to": connection.destinations, "ports": connection.ports},
        "environments": exception.environments,
        "clusters": exception.clusters,
    }


def not_evaluated_as_json(entry: NotEvaluated) -> dict[str, Any]:
    """Something that was not judged, for JSON."""
    return {
        "rule": entry.rule,
        "reason": entry.reason,
        "detail": entry.detail,
        "namespace": entry.namespace,
        "file": entry.file,
    }


def _drift(drift: Drift) -> dict[str, Any]:
    return {
        "sources": list(drift.sources),
        "missing": [
            {"object": object_as_json(missing.object), "location": location_as_json(missing.location)}
            for missing in drift.missing
        ],
        "changed": [
            {
                "object": object_as_json(changed.object),
                "path": changed.path,
                "detail": changed.detail,
                "location": location_as_json(changed.location),
                "file": changed.file,
            }
            for changed in drift.changed
        ],
        "undeclared": [
            {"object": object_as_json(undeclared.object), "file": undeclared.file} for undeclared in drift.undeclared
        ],
        "notCompared": [
            {"reason": entry.reason, "detail": entry.detail, "file": entry.file} for entry in drift.not_compared
        ],
    }


def _read_error(error: ReadError) -> dict[str, Any]:
    return {"file": error.file, "line": error.line, "column": error.column, "message": error.message}


def _skipped(skipped: Skipped) -> dict[str, Any]:
    return {"file": skipped.file, "line": skipped.line, "reason": skipped.reason, "detail": skipped.detail}


def _source(source: Source) -> dict[str, Any]:
    return {
        "document": source.document,
        "section": source.section,
        "url": source.url,
        "file": source.file,
        "line": source.line,
    }


def _match(match: SubjectMatch) -> dict[str, Any]:
    return {
        "namespaces": match.namespaces,
        "kinds": match.kinds,
        "names": match.names,
        "containers": match.containers,
        "labels": match.labels,
    }


def control_as_json(control: Control) -> dict[str, Any]:
    """A control with its clause and the uses of its rules, for JSON."""
    return {
        "id": control.id,
        "title": control.title,
        "baseline": control.baseline,
        "level": control.level,
        "source": _source(control.source),
        "rules": [
            {"id": use.rule, "severity": use.severity, "parameters": use.parameters, "match": _match(use.match)}
            for use in control.rules
        ],
    }


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "title": baseline.title,
        "area": baseline.area,
        "description": baseline.description,
        "standard": _source(baseline.standard),
        "controls": [control_as_json(control) for control in baseline.controls],
        "file": baseline.file,
    }


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "id": picture.id,
        "title": picture.title,
        "lead": picture.lead,
        "columns": picture.columns,
        "rows": picture.rows,
        "ends": picture.ends,
        "ways": [{"from": way.source, "to": way.target, "state": way.state, "text": way.text} for way in picture.ways],
        "paths": picture.paths,
        "bars": [
            {
                "label": bar.label,
                "text": bar.text,
                "parts": [{"kind": part.kind, "size": part.size, "text": part.text} for part in bar.parts],
            }
            for bar in picture.bars
        ],
        "notes": picture.notes,
        "absent": picture.absent,
    }


def rendered_as_json(made: RenderedManifest) -> dict[str, Any]:
    """What was rendered, for JSON."""
    return {"file": made.file, "madeBy": made.made_by}


def _deployment(deployment: DeploymentResult) -> dict[str, Any]:
    """What was followed, for JSON."""
    return {
        "deployer": deployment.deployer,
        "object": object_as_json(deployment.object),
        "location": location_as_json(deployment.location),
        "madeBy": None if deployment.made_by is None else object_as_json(deployment.made_by),
        "project": deployment.project,
        "destination": {
            "server": deployment.server,
            "cluster": deployment.cluster,
            "namespace": deployment.namespace,
        },
        "environment": deployment.environment,
        "sources": [{"file": source.file, "madeBy": source.made_by} for source in deployment.sources],
        "problems": deployment.problems,
        "objects": deployment.objects,
        "bySeverity": dict(deployment.by_severity),
    }


def environment_as_json(environment: EnvironmentResult) -> dict[str, Any]:
    """One of several environments, for JSON."""
    return {
        "name": environment.name,
        "profile": environment.profile,
        "kubernetesVersion": environment.kubernetes_version,
        "summary": _summary(environment.summary),
    }


def difference_as_json(difference: Difference) -> dict[str, Any]:
    """In what environments differ, for JSON."""
    return {
        "object": object_as_json(difference.object),
        "location": location_as_json(difference.location),
        "present": difference.present,
        "absent": difference.absent,
    }


# Reading

_T = TypeVar("_T")


def from_json(document: bytes) -> Result:
    """Read what :func:`to_json` wrote. Unknown members are passed over.

    Raises ValueError on anything that is not such a document. The message names the place in it and what was expected
    there; the caller knows the file and says that it is no result.
    """
    try:
        value = json.loads(document, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the file is not JSON ({error})") from None
    top = Node(value, "")
    if not isinstance(value, dict):
        top.refuse("an object")
    if "schemaVersion" not in value:
        raise ValueError("schemaVersion is missing")
    version = value["schemaVersion"]
    if version != SCHEMA_VERSION:
        raise ValueError(f"schemaVersion is {version!r:.40}; this version of kubeassay reads {SCHEMA_VERSION!r}")
    controls = top["controls"].tuple_of(_read_control)
    details = top["profileDetails"]
    own_controls = details.get("controls")
    pictures = top.get("pictures")
    objects = top.get("objects")
    return Result(
        tool_version=top["tool"]["version"].text(),
        profile=Profile(
            name=top["profile"].text(),
            title=details["title"].text(),
            description=details["description"].text(),
            kubernetes_version=details["kubernetesVersion"].text(),
            controls=controls if own_controls is None else own_controls.tuple_of(_read_control),
            baselines=top["baselines"].tuple_of(_read_baseline),
            environment=details["environment"].text(),
            file=details["file"].text(),
            exceptions=_read_exception_policy(details.get("exceptions")),
        ),
        kubernetes_version=top["kubernetesVersion"].text(),
        target=_read_target(top["target"]),
        summary=_read_summary(top["summary"]),
        findings=top["results"].tuple_of(_read_finding),
        not_evaluated=top["notEvaluated"].tuple_of(_read_not_evaluated),
        errors=top["errors"].tuple_of(_read_read_error),
        skipped=top["skipped"].tuple_of(_read_skipped),
        rules=top["rules"].mapping_of(_read_rule),
        rule_severities=top["ruleSeverities"].mapping_of(Node.severity),
        controls=controls,
        objects={} if objects is None else objects.mapping_of(_read_live_object),
        drift=None if (drift := top.get("drift")) is None else _read_drift(drift),
        pictures=None if pictures is None else pictures.tuple_of(_read_picture),
        review=None if (review := top.get("review")) is None else _read_review(review),
        # Results of earlier versions have none.
        exceptions=top.tuple_where_given("exceptions", _read_exception_use),
        rendered=top.tuple_where_given("rendered", _read_rendered),
        deployments=top.tuple_where_given("deployments", _read_deployment),
        environments=top.tuple_where_given("environments", _read_environment),
        differences=top.tuple_where_given("differences", _read_difference),
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _read_target(node: Node) -> Target:
    namespaces, selector, context = node.get("namespaces"), node.get("selector"), node.get("context")
    return Target(
        kind=node["kind"].one_of(("manifests", "cluster")),
        name=node["name"].text(),
        namespaces=None if namespaces is None else namespaces.texts(),
        selector="" if selector is None else selector.text(),
        context=() if context is None else context.texts(),
    )


def _read_summary(node: Node) -> Summary:
    return Summary(
        fail=node["fail"].integer(),
        passed=node["pass"].integer(),
        not_evaluated=node["notEvaluated"].integer(),
        excepted=node["excepted"].integer(),
        objects=node["objects"].integer(),
        files=node["files"].integer(),
        by_severity=node["bySeverity"].mapping_of(Node.integer),
        by_control=node["byControl"].mapping_of(_read_control_summary),
    )


def _read_control_summary(node: Node) -> ControlSummary:
    return ControlSummary(
        node["fail"].integer(),
        node["pass"].integer(),
        node["notEvaluated"].integer(),
        node["excepted"].integer(),
    )


def _read_finding(node: Node) -> Finding:
    return Finding(
        outcome=node["outcome"].one_of(_OUTCOMES),
        rule=node["rule"].text(),
        controls=node["controls"].texts(),
        area=node["area"].text(),
        severity=node["severity"].severity(),
        object=read_object(node["object"]),
        container=node["container"].text_or_none(),
        path=node["path"].text(),
        message=node["message"].text(),
        location=read_location(node["location"]),
        fingerprint=node["fingerprint"].text(),
        related=node["related"].tuple_of(_read_related),
        line_hash=node["lineHash"].text_or_none(),
        excerpt=node["excerpt"].optional(_read_excerpt),
        fix=node["fix"].optional(_read_fix),
        exception=node["exception"].text_or_none(),
        reason=node["reason"].text_or_none(),
        api_path=None if (path := node["object"].get("apiPath")) is None else path.text_or_none(),
        environments=node.tuple_where_given("environments", Node.text),
    )


def _read_live_object(node: Node) -> LiveObject:
    return LiveObject(read_object(node), node["uid"].text(), node["passed"].integer())


def _read_related(node: Node) -> Related:
    return Related(node["message"].text(), read_location(node["location"]))


def _read_excerpt(node: Node) -> Excerpt:
    excerpt = Excerpt(node["text"].text(), node["start"].integer(), node["end"].integer())
    if not excerpt.start <= excerpt.end <= len(excerpt.text):
        raise ValueError(f"{node.path} marks a part that its text does not have")
    return excerpt


def _read_fix(node: Node) -> Fix:
    return Fix(node["description"].text(), node["edits"].tuple_of(_read_edit))


def _read_edit(node: Node) -> Edit:
    return Edit(read_location(node["location"]), node["text"].text())


def _read_exception_policy(node: Node | None) -> ExceptionPolicy:
    if node is None:
        return ExceptionPolicy()
    return ExceptionPolicy(node["required"].texts(), node["inTree"].boolean())


def _read_exception_use(node: Node) -> ExceptionUse:
    location, grant, connection = node["location"], node["grant"], node["connection"]
    exception = Exception_(
        id=node["id"].text(),
        rule=node["rule"].text(),
        match=_read_match(node["match"]),
        reason=node["reason"].text(),
        path=node["path"].text(),
        fingerprint=node["fingerprint"].text(),
        owner=node["owner"].text(),
        expires=node["expires"].text(),
        file=location["file"].text(),
        line=location["line"].integer(),
        column=location["column"].integer(1),
        selector=node["selector"].mapping(),
        files=node["files"].texts(),
        environments=node["environments"].texts(),
        clusters=node["clusters"].texts(),
        grant=GrantScope(grant["subjects"].texts(), grant["roles"].texts()),
        connection=ConnectionScope(connection["from"].texts(), connection["to"].texts(), connection["ports"].texts()),
        origin=node["origin"].one_of(get_args(Origin)),
        in_tree=node["inTree"].boolean(),
    )
    return ExceptionUse(
        exception, node["state"].one_of(get_args(ExceptionState)), node["findings"].integer(), node["problem"].text()
    )


def _read_not_evaluated(node: Node) -> NotEvaluated:
    return NotEvaluated(
        reason=node["reason"].text(),
        detail=node["detail"].text(),
        rule=node["rule"].text_or_none(),
        namespace=node["namespace"].text_or_none(),
        file=node["file"].text_or_none(),
    )


def _read_read_error(node: Node) -> ReadError:
    return ReadError(
        node["file"].text(), node["message"].text(), node["line"].integer_or_none(), node["column"].integer_or_none()
    )


def _read_skipped(node: Node) -> Skipped:
    return Skipped(node["file"].text(), node["reason"].text(), node["detail"].text(), node["line"].integer_or_none())


def _read_drift(node: Node) -> Drift:
    return Drift(
        sources=node["sources"].texts(),
        missing=node["missing"].tuple_of(
            lambda one: MissingObject(read_object(one["object"]), read_location(one["location"]))
        ),
        changed=node["changed"].tuple_of(
            lambda one: ChangedField(
                read_object(one["object"]),
                one["path"].text(),
                one["detail"].text(),
                read_location(one["location"]),
                one["file"].text(),
            )
        ),
        undeclared=node["undeclared"].tuple_of(
            lambda one: UndeclaredObject(read_object(one["object"]), one["file"].text())
        ),
        not_compared=node["notCompared"].tuple_of(
            lambda one: NotCompared(one["reason"].text(), one["detail"].text(), one["file"].text_or_none())
        ),
    )


def _read_review(node: Node) -> Review:
    from kubeassay.reporting.review_json import read_review

    return read_review(node)


def _read_rendered(node: Node) -> RenderedManifest:
    return RenderedManifest(node["file"].text(), node["madeBy"].text())


def _read_deployment(node: Node) -> DeploymentResult:
    to = node["destination"]
    return DeploymentResult(
        node["deployer"].text(),
        read_object(node["object"]),
        read_location(node["location"]),
        node["madeBy"].optional(read_object),
        node["project"].text(),
        to["server"].text(),
        to["cluster"].text(),
        to["namespace"].text(),
        node["environment"].text(),
        node["sources"].tuple_of(lambda source: DeployedSource(source["file"].text(), source["madeBy"].text())),
        node["problems"].texts(),
        node["objects"].integer(),
        node["bySeverity"].mapping_of(Node.integer),
    )


def _read_environment(node: Node) -> EnvironmentResult:
    return EnvironmentResult(
        node["name"].text(),
        node["profile"].text(),
        node["kubernetesVersion"].text(),
        _read_summary(node["summary"]),
    )


def _read_difference(node: Node) -> Difference:
    return Difference(
        read_object(node["object"]),
        read_location(node["location"]),
        node["present"].texts(),
        node["absent"].texts(),
    )


def _read_source(node: Node) -> Source:
    return Source(
        node["document"].text(),
        node["section"].text(),
        node["url"].text(),
        node["file"].text(),
        node["line"].integer(),
    )


def _read_match(node: Node) -> SubjectMatch:
    return SubjectMatch(
        node["namespaces"].texts(),
        node["kinds"].texts(),
        node["names"].texts(),
        node["containers"].texts(),
        node["labels"].tuple_of(_read_label),
    )


def _read_label(node: Node) -> tuple[str, str]:
    parts = node.texts()
    if len(parts) != 2:
        node.refuse("a list of two texts")
    return parts[0], parts[1]


def _read_control(node: Node) -> Control:
    return Control(
        id=node["id"].text(),
        title=node["title"].text(),
        baseline=node["baseline"].text(),
        source=_read_source(node["source"]),
        rules=node["rules"].tuple_of(_read_rule_use),
        level=node["level"].text(),
    )


def _read_rule_use(node: Node) -> RuleUse:
    return RuleUse(
        rule=node["id"].text(),
        severity=node["severity"].optional(Node.severity),
        parameters=node["parameters"].mapping(),
        match=_read_match(node["match"]),
    )


def _read_baseline(node: Node) -> Baseline:
    return Baseline(
        name=node["name"].text(),
        title=node["title"].text(),
        area=node["area"].text(),
        description=node["description"].text(),
        standard=_read_source(node["standard"]),
        controls=node["controls"].tuple_of(_read_control),
        file=node["file"].text(),
    )


def _read_rule(node: Node) -> Rule:
    return Rule(
        id=node["id"].text(),
        title=node["title"].text(),
        area=node["area"].text(),
        severity=node["severity"].severity(),
        subject=node["subject"].one_of(_SUBJECTS),
        rationale=node["rationale"].text(),
        remediation=node["remediation"].text(),
        expression=node["expression"].text_or_none(),
        message_expression=node["messageExpression"].text_or_none(),
        field=node["field"].text_or_none(),
        needs=node["needs"].texts(),
        context=node["context"].texts(),
        parameters=node["parameters"].tuple_of(_read_parameter),
        fix=node["fix"].mapping(),
        overrides=node["overrides"].texts(),
        references=node["references"].mapping(),
        examples=node["examples"].tuple_of(_read_example),
        file=node["file"].text(),
    )


def _read_parameter(node: Node) -> Parameter:
    return Parameter(node["name"].text(), node["type"].text(), node["default"].value, node["description"].text())


def _read_example(node: Node) -> Example:
    outcomes = [outcome for outcome in ("fails", "passes") if outcome in node.mapping()]
    if len(outcomes) != 1:
        node.refuse("an object with either fails or passes")
    outcome: Literal["fails", "passes"] = "fails" if outcomes[0] == "fails" else "passes"
    parameters = node["parameters"].mapping() if "parameters" in node.mapping() else {}
    return Example(outcome, node[outcome].text(), parameters)


def _read_picture(node: Node) -> Picture:
    columns = node["columns"].texts()
    rows = node["rows"].tuple_of(Node.texts)
    if any(len(row) != len(columns) for row in rows):
        node["rows"].refuse("rows with a text for each column")
    ends = node["ends"].texts()
    ways = node["ways"].tuple_of(_read_way)
    if any(way.source not in ends or way.target not in ends for way in ways):
        node["ways"].refuse("ways between its ends")
    paths = node["paths"].tuple_of(Node.texts)
    if not all(paths):
        node["paths"].refuse("paths of one box or more")
    return Picture(
        id=node["id"].text(),
        title=node["title"].text(),
        lead=node["lead"].text(),
        columns=columns,
        rows=rows,
        ends=ends,
        ways=ways,
        paths=paths,
        bars=node["bars"].tuple_of(_read_bar),
        notes=node["notes"].texts(),
        absent=node["absent"].text(),
    )


def _read_way(node: Node) -> Way:
    return Way(node["from"].text(), node["to"].text(), node["state"].one_of(_WAY_STATES), node["text"].text())


def _read_bar(node: Node) -> Bar:
    return Bar(node["label"].text(), node["text"].text(), node["parts"].tuple_of(_read_part))


def _read_part(node: Node) -> Part:
    return Part(node["kind"].text(), node["size"].integer(), node["text"].text())
