"""Hypothesis strategies for results: any text in any field, as hostile manifests have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from hypothesis import strategies as st

from kubeassay.model import (
    SEVERITIES,
    Bar,
    Baseline,
    ChangedField,
    Comparison,
    ConnectionScope,
    Control,
    ControlSummary,
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
    Rule,
    RuleUse,
    Skipped,
    Source,
    SubjectMatch,
    Summary,
    Target,
    UndeclaredObject,
    Way,
)
from kubeassay.model.pictures import WayState
from kubeassay.reporting import RenderOptions

_NASTY = (
    "",
    " ",
    "\x1b[31m\x1b]0;x\x07",
    "a\r\nb\u2028c\x00\x9b",
    "</script><script>alert(1)</script>",
    "[a](https://evil.example)",
    "\u202egnirts",
    "{{ 7 * 7 }}{% x %}{0}",
    "../../etc/passwd",
    "https://evil.example/a?b#c",
    "//host/share",
    "日本語 \U0001f600 e\u0301",
    "\udcff\udc80",
    "](x) ```\n# y",
    "]]>",
    "::error::x",
    "a ::set-output name=b::c ##[add-matcher]d",
    "a|b || `c` \\| *d* _e_ ~f~",
    "</details></td></table><img src=x onerror=alert(1)>",
    "![p](https://evil.example/p.png) <https://evil.example> www.evil.example @someone #12 me@evil.example",
    "\x00",
    "%0A::warning::%25",
    "=cmd|' /C calc'!A0",
    "\t=1+1",
    '+1,"2"\r\n-3',
    '\\"\n{a="b"} 1',
    "\ufffe\uffff\U0001ffff",
    "&#124;&amp;&lt;",
    "x" * 1500,
    "word " * 400,
)
#: Without the high halves of pairs, \ud800 to \udbff.
_CHARACTERS = st.characters(max_codepoint=0xD7FF) | st.characters(min_codepoint=0xDC00)
#: Any text but high surrogates, which JSON would join with a low one that follows. No reader of files yields them.
texts = st.one_of(st.sampled_from(_NASTY), st.text(alphabet=_CHARACTERS, max_size=20))
ids = st.one_of(
    st.from_regex(r"[a-z]{1,6}(-[a-z]{1,6})?", fullmatch=True), texts.filter(lambda text: bool(text.strip()))
)
counts = st.integers(0, 10**7)
severities = st.sampled_from(SEVERITIES)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


def _tuples(items: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=most).map(tuple)


@st.composite
def locations(draw: st.DrawFn) -> Location:
    line, column = draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6))
    end_line = line + draw(st.integers(0, 5))
    end_column = draw(st.integers(column if end_line == line else 1, 2 * 10**6))
    return Location(draw(texts), line, column, end_line, end_column)


@st.composite
def excerpts(draw: st.DrawFn) -> Excerpt:
    text = draw(texts)
    start = draw(st.integers(0, len(text)))
    return Excerpt(text, start, draw(st.integers(start, len(text))))


sources = st.builds(Source, texts, texts, texts | st.just("https://example.org/a#b"), texts, st.integers(0, 9999))
matches = st.builds(
    SubjectMatch, _tuples(texts), _tuples(texts), _tuples(texts), _tuples(texts), _tuples(st.tuples(texts, texts))
)
rule_uses = st.builds(RuleUse, ids, st.none() | severities, st.dictionaries(texts, json_values, max_size=1), matches)
controls = st.builds(Control, ids, texts, ids, sources, _tuples(rule_uses), texts)
baselines = st.builds(Baseline, ids, texts, texts, texts, sources, _tuples(controls, 1), texts)
policies = st.builds(ExceptionPolicy, _tuples(st.sampled_from(("reason", "owner", "expires"))), st.booleans())
profiles = st.builds(
    Profile, texts, texts, texts, texts, _tuples(controls, 1), _tuples(baselines), texts, texts, policies
)
rules = st.builds(
    Rule,
    id=ids,
    title=texts,
    area=texts,
    severity=severities,
    subject=st.sampled_from(("object", "workload", "pod", "container", "namespace", "inventory", "exception")),
    rationale=texts,
    remediation=texts,
    expression=st.none() | texts,
    message_expression=st.none() | texts,
    field=st.none() | texts,
    needs=_tuples(texts),
    context=_tuples(texts),
    parameters=_tuples(st.builds(Parameter, texts, texts, json_values, texts), 1),
    fix=st.dictionaries(texts, json_values, max_size=1),
    overrides=_tuples(ids),
    references=st.dictionaries(
        st.sampled_from(("pss", "cis-kubernetes", "mitre-attack")) | texts, json_values, max_size=2
    ),
    examples=_tuples(
        st.builds(Example, st.sampled_from(("fails", "passes")), texts, st.dictionaries(texts, texts, max_size=2))
    ),
    file=texts,
)
related = st.builds(Related, texts, locations())
live_objects = st.builds(LiveObject, st.builds(ObjectRef, texts, texts, st.none() | texts, texts), texts, counts)
fixes = st.builds(Fix, texts, _tuples(st.builds(Edit, locations(), texts)))
outcomes: st.SearchStrategy[Outcome] = st.sampled_from(("fail", "pass", "not-evaluated", "excepted"))
findings = st.builds(
    Finding,
    outcome=outcomes,
    rule=ids,
    controls=_tuples(ids),
    area=texts,
    severity=severities,
    object=st.builds(ObjectRef, texts, texts, st.none() | texts, texts),
    container=st.none() | texts,
    path=texts,
    message=texts,
    location=locations(),
    fingerprint=texts,
    related=_tuples(related),
    line_hash=st.none() | texts,
    excerpt=st.none() | excerpts(),
    fix=st.none() | fixes,
    exception=st.none() | texts,
    reason=st.none() | texts,
    api_path=st.none() | texts,
    environments=_tuples(texts),
)
exceptions = st.builds(
    ExceptionUse,
    st.builds(
        Exception_,
        id=texts,
        rule=texts,
        match=matches,
        reason=texts,
        path=texts,
        fingerprint=texts,
        owner=texts,
        expires=texts,
        file=texts,
        line=st.integers(0, 10**6),
        column=st.integers(1, 10**6),
        selector=st.dictionaries(texts, json_values, max_size=1),
        files=_tuples(texts),
        environments=_tuples(texts),
        clusters=_tuples(texts),
        grant=st.builds(GrantScope, _tuples(texts), _tuples(texts)),
        connection=st.builds(ConnectionScope, _tuples(texts), _tuples(texts), _tuples(texts)),
        origin=st.sampled_from(get_args(Origin)),
        in_tree=st.booleans(),
    ),
    st.sampled_from(get_args(ExceptionState)),
    counts,
    texts,
)
summaries = st.builds(
    Summary,
    counts,
    counts,
    counts,
    counts,
    counts,
    counts,
    st.dictionaries(severities, counts),
    st.dictionaries(ids, st.builds(ControlSummary, counts, counts, counts, counts), max_size=2),
)
references = st.builds(ObjectRef, texts, texts, st.none() | texts, texts)
drifts = st.builds(
    Drift,
    _tuples(texts),
    _tuples(st.builds(MissingObject, references, locations()), 1),
    _tuples(st.builds(ChangedField, references, texts, texts, locations(), texts), 1),
    _tuples(st.builds(UndeclaredObject, references, texts), 1),
    _tuples(st.builds(NotCompared, texts, texts, st.none() | texts), 1),
)
environments = st.builds(EnvironmentResult, texts, texts, texts, summaries)
differences = st.builds(Difference, references, locations(), _tuples(texts), _tuples(texts))
bars = st.builds(Bar, texts, texts, _tuples(st.builds(Part, texts, st.integers(0, 2000), texts)))


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    width = draw(st.integers(0, 2))
    ends = draw(st.lists(texts, max_size=2, unique=True).map(tuple))
    ways = st.builds(Way, st.sampled_from(ends), st.sampled_from(ends), st.sampled_from(get_args(WayState)), texts)
    return Picture(
        id=draw(ids),
        title=draw(texts),
        lead=draw(texts),
        columns=draw(st.tuples(*[texts] * width)),
        rows=draw(_tuples(st.tuples(*[texts] * width))),
        ends=ends,
        ways=draw(_tuples(ways)) if ends else (),
        paths=draw(_tuples(st.lists(texts, min_size=1, max_size=3).map(tuple))),
        bars=draw(_tuples(bars)),
        notes=draw(_tuples(texts)),
        absent=draw(texts),
    )


_positions = st.none() | st.integers(1, 10**6)
_reasons = st.sampled_from(("forbidden", "rule-error")) | texts


comparisons = st.builds(Comparison, *[_tuples(findings)] * 5, st.dictionaries(texts, outcomes, max_size=2))


@st.composite
def results(draw: st.DrawFn) -> Result:
    """A result whose findings partly belong to its rules and controls, and partly to none."""
    active = {rule.id: rule for rule in draw(st.lists(rules, max_size=2))}
    own = draw(_tuples(controls))
    profile = draw(profiles)
    uses = draw(_tuples(exceptions))
    rule_ids = st.sampled_from(sorted(active)) | ids if active else ids
    return Result(
        tool_version=draw(texts),
        profile=profile,
        kubernetes_version=draw(texts),
        target=Target(
            draw(st.sampled_from(("manifests", "cluster"))),
            draw(texts),
            draw(st.none() | _tuples(texts)),
            draw(texts),
            draw(_tuples(texts)),
        ),
        summary=draw(summaries),
        findings=draw(
            _tuples(st.tuples(findings, rule_ids, _some_of(uses)).map(lambda found: _of_rule(*found)), 3),
        ),
        not_evaluated=draw(
            _tuples(
                st.builds(NotEvaluated, _reasons, texts, st.none() | rule_ids, st.none() | texts, st.none() | texts)
            )
        ),
        errors=draw(_tuples(st.builds(ReadError, texts, texts, _positions, _positions))),
        skipped=draw(_tuples(st.builds(Skipped, texts, texts, texts, _positions))),
        rules=active,
        rule_severities={rule: draw(severities) for rule in active},
        controls=profile.controls if draw(st.booleans()) else own,
        objects=draw(st.dictionaries(texts, live_objects, max_size=2)),
        drift=draw(st.none() | drifts),
        exceptions=uses,
        comparison=draw(st.none() | comparisons),
        pictures=draw(st.none() | _tuples(pictures())),
        rendered=draw(_tuples(st.builds(RenderedManifest, texts, texts), 1)),
        environments=draw(_tuples(environments)),
        differences=draw(_tuples(differences)),
    )


def _some_of(uses: tuple[ExceptionUse, ...]) -> st.SearchStrategy[str | None]:
    """The id of one of some exceptions, or what is the id of none."""
    ids_of = [use.exception.id for use in uses]
    return st.none() | texts | st.sampled_from(ids_of) if ids_of else st.none() | texts


def _of_rule(finding: Finding, rule: str, exception: str | None) -> Finding:
    return replace(finding, rule=rule, exception=exception)


@st.composite
def options(draw: st.DrawFn) -> RenderOptions:
    """What a caller may ask of a report, but colours, and pages of a terminal."""
    return RenderOptions(
        show=frozenset(draw(st.lists(outcomes))) | {"fail", "excepted"},
        time=draw(st.none() | st.integers(0, 4 * 10**9)),
        allow_incomplete=draw(st.booleans()),
        sarif_category=draw(st.none() | ids),
        sarif_split=draw(st.booleans()),
    )
