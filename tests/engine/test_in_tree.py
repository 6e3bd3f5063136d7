"""Exceptions in what is scanned reach no further than where they stand."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import LIBRARY, objects_in, plan_of, profile_of, run_command, run_within_seconds, scan_text
from kubeassay.execution.scan import scan
from kubeassay.model import Finding, Result, Target
from kubeassay.sources.files import Discovery, SourceFile, discover

TODAY = datetime.date(2026, 6, 1)
EXCEPTION_RULES = tuple(sorted(rule.id for rule in LIBRARY.rules.values() if rule.subject == "exception"))
RULES = ("privileged-container", "read-only-root-filesystem", "unused-role")
SAYS = 'reason="needs it" owner=a expires=2026-06-01'

#: {…} is where a comment may stand; the rule on roots finds each container at its first key.
TEXT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {}
spec:
  template:
    metadata:
      annotations: {}
    spec:
      containers:
        - name: app
          securityContext:
            privileged: true
        - name: log
          securityContext:
            privileged: true
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
            - name: app
              securityContext:
                privileged: true
"""
APP, LOG, NIGHT = 14, 17, 30  # the lines of privileged


def judged(text: str, **options: object) -> Result:
    return scan_text(plan_of(profile_of(*RULES, *EXCEPTION_RULES), today=TODAY, **options), text)  # type: ignore[arg-type]


def with_line(number: int, line: str) -> str:
    """The text with a line put in front of one of its lines, indented as it."""
    lines = TEXT.split("\n")
    indent = " " * (len(lines[number - 1]) - len(lines[number - 1].lstrip()))
    return "\n".join([*lines[: number - 1], indent + line, *lines[number - 1 :]])


def at_line(number: int, comment: str) -> str:
    lines = TEXT.split("\n")
    lines[number - 1] += f"  {comment}"
    return "\n".join(lines)


def annotated(value: str, *, template: bool = False) -> str:
    indent = "      " if template else "  "
    stated = f"{indent}annotations:\n{indent}  kubeassay.dev/except: {value}"
    return TEXT.replace(f"\n{indent}annotations: {{}}", "\n" + stated)


def accepted(result: Result) -> set[tuple[str, str, str | None]]:
    return {(f.rule, f.object.name, f.container) for f in result.findings if f.outcome == "excepted"}


def told(result: Result) -> list[tuple[str, int, str]]:
    """(rule on exceptions, line, message)."""
    return [(f.rule, f.location.start_line, f.message) for f in result.findings if f.area == "exceptions"]


P, R = "privileged-container", "read-only-root-filesystem"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (at_line(APP, f"# kubeassay: except {P} {SAYS}"), {(P, "web", "app")}),
        (with_line(APP, f"# kubeassay: except {P} {SAYS}"), {(P, "web", "app")}),
        (with_line(LOG, f"# kubeassay: except {R} {SAYS}"), set()),
        (with_line(15, f"# kubeassay: except {R},{P} {SAYS}"), set()),
        (with_line(16, f"# kubeassay: except {R},{P} {SAYS}"), {(R, "web", "log")}),
        (with_line(APP, f"# kubeassay: except {P} {SAYS} container=log"), set()),
        (annotated(f"{P} {SAYS}"), {(P, "web", "app"), (P, "web", "log")}),
        (annotated(f"{P} {SAYS} container=log"), {(P, "web", "log")}),
        (annotated(f"{P} {SAYS}", template=True), {(P, "web", "app"), (P, "web", "log")}),
        (
            annotated(f'"{P} reason=a path=spec.template.spec.containers[name=log].securityContext.privileged"'),
            {(P, "web", "log")},
        ),
        (
            annotated(f"|\n      # the driver\n      {P} container=app {SAYS}\n\n      {R} container=log {SAYS}"),
            {(P, "web", "app"), (R, "web", "log")},
        ),
    ],
)
def test_it_accepts_what_stands_there(text: str, expected: set[tuple[str, str, str | None]]) -> None:
    result = judged(text)
    assert accepted(result) == expected
    for finding in result.findings:
        if finding.outcome == "excepted":
            exception = result.exceptions_by_id[finding.exception or ""]
            assert (exception.in_tree, exception.file, finding.reason) == (True, "test.yaml", exception.reason)


def test_an_annotation_of_a_template_is_not_one_of_what_stands_beside_it() -> None:
    """A finding in the object's own metadata is outside its template."""
    text = annotated(f"unknown-field {SAYS}", template=True).replace("  name: web\n", "  name: web\n  nam: x\n")
    plan = plan_of(profile_of("unknown-field"), today=TODAY)
    assert accepted(scan_text(plan, text)) == set()
    both = annotated(f"unknown-field {SAYS}").replace("  name: web\n", "  name: web\n  nam: x\n")
    assert accepted(scan_text(plan, both)) == {("unknown-field", "web", None)}


@pytest.mark.parametrize(
    ("text", "rule", "line", "message"),
    [
        (with_line(APP, "# kubeassay: except"), "exception-malformed", APP, "names no rule"),
        (
            with_line(APP, "# kubeassay: except '*' reason=r"),
            "exception-malformed",
            APP,
            "* is a pattern; name each rule",
        ),
        (annotated("nothing"), "exception-malformed", 6, "unknown rule nothing"),
        (annotated("[a]"), "exception-malformed", 6, "names no rule"),
        (
            f"# kubeassay: except {P} {SAYS}\n---\n" + TEXT,
            "exception-malformed",
            1,
            "line 2 is of no object",
        ),
        (TEXT + f"# kubeassay: except {P} {SAYS}\n", "exception-malformed", 31, "no line follows it"),
        (with_line(APP, f"# kubeassay: except {P}"), "exception-incomplete", APP, "it lacks a reason"),
        (with_line(APP, f"# kubeassay: except {P} reason=r expires=2026-05-31"), "exception-expired", APP, "expired"),
        (with_line(13, f"# kubeassay: except {P} reason=r"), "exception-unused", 13, "accepts nothing"),
        (with_line(2, f"# kubeassay: except {R} reason=r"), "exception-unused", 2, "accepts nothing"),
    ],
)
def test_what_accepts_nothing_is_told_where_it_stands(text: str, rule: str, line: int, message: str) -> None:
    result = judged(text)
    assert accepted(result) == set()
    ((found, at, said),) = told(result)
    assert (found, at) == (rule, line)
    assert message in said


def test_one_line_that_several_objects_share_is_annotated_instead() -> None:
    spec = "{containers: [{name: c, securityContext: {privileged: true}}]}"
    pod = f"{{apiVersion: v1, kind: Pod, metadata: {{name: %s}}, spec: {spec}}}"
    text = f"{{apiVersion: v1, kind: List, items: [{pod % 'a'}, {pod % 'b'}]}} # kubeassay: except {P} reason=r\n"
    result = judged(text)
    assert accepted(result) == set()
    assert [message for _, _, message in told(result)] == [
        "The exception to privileged-container, in a comment, does not hold: line 1 is of 2 objects: annotate the one"
        " that is meant"
    ]


def test_unused_is_not_told_of_a_rule_that_does_not_run() -> None:
    assert told(judged(with_line(APP, "# kubeassay: except sysctls reason=r"))) == []


def test_each_line_of_an_annotation_is_a_place_of_its_own() -> None:
    stated = f"|\n      {P} reason=r container=log expires=2020-01-01\n      {R} reason=r container=none"
    assert [(rule, line) for rule, line, _ in told(judged(annotated(stated)))] == [
        ("exception-expired", 7),
        ("exception-unused", 8),
    ]
    folded = annotated(f'"{P} reason=r\\x20container=log expires=2020-01-01"')
    assert [(rule, line) for rule, line, _ in told(judged(folded))] == [("exception-expired", 6)]


def test_objects_in_one_line_have_exceptions_of_their_own() -> None:
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": {"kubeassay.dev/except": f"{P} reason={name}"}},
            "spec": {"containers": [{"name": "c", "securityContext": {"privileged": name != "c"}}]},
        }
        for name in "abc"
    ]
    result = judged(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    reasons = {f.object.name: result.exceptions_by_id[f.exception].reason for f in result.findings if f.exception}
    assert reasons == {"a": "a", "b": "b"}
    assert [use.findings for use in result.exceptions] == [1, 1, 0]
    assert [rule for rule, _, _ in told(result)] == ["exception-unused"]


def test_of_very_many_in_a_file_the_rest_is_refused() -> None:
    many = "".join(f"      {P} reason=r{number}\n" for number in range(1500))
    result = judged(annotated(f"|\n{many}"))
    malformed = [message for rule, _, message in told(result) if rule == "exception-malformed"]
    assert malformed == [
        f"The exception to {P}, in an annotation, does not hold: one file has more than 1,000: this one and those"
        " behind it"
    ]
    assert len(result.exceptions) == 1001


def test_very_many_comments_and_objects_cost_little() -> None:
    run_within_seconds(
        "import test_in_tree as t\n"
        "one = 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: a}\\ndata: {a: \"# b\"}\\n'\n"
        "text = '---\\n'.join(['# kubeassay: except nothing-%d\\n' % n + one for n in range(3000)])\n"
        "text += '# kubeassay: except nothing\\n' * 30000\n"
        "assert len(t.judged(text).exceptions) == 1001",
        folder=Path(__file__).parent,
    )


def test_where_none_may_stand_none_holds_and_each_is_told() -> None:
    result = judged(with_line(APP, f"# kubeassay: except {P} {SAYS}"), in_tree_exceptions=False)
    assert accepted(result) == set()
    assert told(result) == [
        (
            "exception-refused",
            APP,
            f"The exception to {P}, in a comment, does not hold: what is scanned cannot except itself here",
        )
    ]


def test_an_exception_to_what_joins_objects_and_one_that_is_unused() -> None:
    role = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  # kubeassay: except unused-role reason=r\n"
        "  name: reader\n  namespace: shop\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n"
    )
    bound = (
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b, namespace: shop}\n"
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}\n"
        "subjects: [{kind: ServiceAccount, name: x, namespace: shop}]\n"
    )
    assert accepted(judged(role)) == {("unused-role", "reader", None)}
    assert told(judged(role)) == []
    assert [(rule, line) for rule, line, _ in told(judged(role + bound))] == [("exception-unused", 4)]


LINES = [number for number, line in enumerate(TEXT.split("\n"), 1) if line.strip()]


@settings(deadline=None)
@given(
    number=st.sampled_from(LINES),
    above=st.booleans(),
    rules=st.lists(st.sampled_from(RULES), min_size=1, max_size=2, unique=True),
    container=st.sampled_from(["", " container=app"]),
)
def test_a_comment_accepts_its_rules_at_its_line_and_nothing_else(
    number: int, above: bool, rules: list[str], container: str
) -> None:
    comment = f"# kubeassay: except {' '.join(rules)} reason=r{container}"
    plain = [f for f in judged(TEXT).findings if f.area != "exceptions"]
    text = with_line(number, comment) if above else at_line(number, comment)
    found = [f for f in judged(text).findings if f.area != "exceptions"]
    assert [f.fingerprint for f in found] == [f.fingerprint for f in plain]

    def meant(finding: Finding) -> bool:
        fits = finding.rule in rules and (not container or finding.container == "app")
        return fits and finding.location.start_line == number

    assert [f.outcome == "excepted" for f in found] == [meant(f) for f in plain]


@pytest.mark.parametrize("processes", [1, 2])
def test_in_several_files_and_processes(tmp_path: Path, processes: int) -> None:
    text = with_line(APP, f"# kubeassay: except {P} reason=r")
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text((text if number == 7 else TEXT) + "# padding\n" * 3000)
    plan = plan_of(profile_of(P, *EXCEPTION_RULES), today=TODAY)
    result = scan(plan, discover([str(tmp_path)]), Target("manifests", "t"), processes=processes)
    assert [Path(f.location.file).name for f in result.findings if f.outcome == "excepted"] == ["7.yaml"]
    assert result.summary.excepted == 1


def test_an_annotation_of_a_live_object_holds_at_its_place() -> None:
    (web, _) = objects_in(annotated(f"{P} container=log reason=r"))
    name = "clusters/c/shop/apps.Deployment/web.yaml"
    content = json.dumps(web.value).encode()
    plan = plan_of(profile_of(P, *EXCEPTION_RULES), today=TODAY)
    files = Discovery(files=[SourceFile("", name, len(content), live={name: content})])
    result = scan(plan, files, Target("cluster", "c"))
    assert accepted(result) == {(P, "web", "log")}
    refusing = replace(plan, exceptions=plan_of("strict", today=TODAY).exceptions)
    refused = scan(refusing, files, Target("cluster", "c"))
    assert accepted(refused) == set()
    ((rule, _, _),) = told(refused)
    assert rule == "exception-refused"


def test_the_option_comes_before_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(with_line(APP, f"# kubeassay: except {P} {SAYS}"))
    for profile, option, count in [
        ("recommended", (), 1),
        ("recommended", ("--no-in-tree-exceptions",), 0),
        ("strict", (), 0),
        ("strict", ("--in-tree-exceptions",), 1),
    ]:
        arguments = ("scan", "a.yaml", "-p", profile, *option, "-f", "json", "--today", "2026-06-01")
        assert json.loads(run_command(*arguments).stdout)["summary"]["excepted"] == count
    text = run_command("scan", "a.yaml", "--today", "2026-06-01").stdout
    assert f"exception a.yaml:14#{P} (in what was scanned, owner a, until 2026-06-01): needs it" in " ".join(
        text.split()
    )


def test_a_long_statement_takes_no_time() -> None:
    run_within_seconds(
        """
import datetime
from kit import LIBRARY
from kubeassay.policy.exceptions import statement
said = [
    statement(text, LIBRARY.rules)
    for text in (
        "a" * 1_000_000 + " reason=x",
        "privileged-container," * 400_000 + " reason=x",
        "privileged-container " * 400_000,
        "a" * 9_000 + " reason=x",
        "b" * 9_000 + "=x",
        ",".join("a%d" % number for number in range(1_500)),
    )
]
assert all(one.problem and len(one.problem) < 300 for one in said), said
same = statement("privileged-container," * 400 + " reason=x", LIBRARY.rules)
assert (same.rules, same.problem) == (("privileged-container",), "")
""",
        seconds=10,
    )
