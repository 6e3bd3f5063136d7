"""What exceptions accept, and what is found of them."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import LIBRARY, objects_in, plan_of, profile_of, run_command, run_within_seconds, scan_text
from kubeassay.analysis.network.connections import ports
from kubeassay.checks.check import Violation, Way
from kubeassay.engine.exceptions import Scope
from kubeassay.engine.live import Live
from kubeassay.execution.scan import scan
from kubeassay.model import (
    ConnectionScope,
    Control,
    Exception_,
    ExceptionPolicy,
    Finding,
    GrantScope,
    Result,
    RuleUse,
    Source,
    SubjectMatch,
    Target,
    parse_path,
)
from kubeassay.policy.exceptions import exceptions_from
from kubeassay.sources.files import Discovery, SourceFile, discover

TODAY = datetime.date(2026, 6, 1)
EXCEPTION_RULES = tuple(sorted(rule.id for rule in LIBRARY.rules.values() if rule.subject == "exception"))
PODS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {team: a, tier: front}}
spec:
  template:
    spec:
      containers:
        - name: app
          securityContext: {privileged: true}
          ports: [{containerPort: 80, hostPort: 80}]
        - name: log
          securityContext: {privileged: true}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: node}
spec:
  containers:
    - name: app
      securityContext: {privileged: true}
"""


def exception(rule: str = "privileged-container", **stated: Any) -> Exception_:
    stated.setdefault("match", SubjectMatch())
    return Exception_(**{"id": "E", "rule": rule, "reason": "r", "file": "e.yaml", "line": 5, **stated})


def judged(text: str, *exceptions: Exception_, rules: tuple[str, ...] = (), **options: Any) -> Result:
    """The result of scanning text by some rules and those on exceptions."""
    profile = profile_of(*(rules or ("privileged-container", "host-ports")), *EXCEPTION_RULES)
    return scan_text(plan_of(profile, exceptions=exceptions, today=TODAY, **options), text)


def accepted(result: Result) -> set[tuple[str, str, str | None]]:
    """(rule, object's name, container) of what is accepted."""
    return {(f.rule, f.object.name, f.container) for f in result.findings if f.outcome == "excepted"}


def told(result: Result) -> set[tuple[str, str, int]]:
    """(rule on exceptions, file, line) of what is found of exceptions."""
    return {
        (f.rule, f.location.file, f.location.start_line)
        for f in result.findings
        if f.area == "exceptions" and f.outcome == "fail"
    }


WEB, LOG, AGENT = (("privileged-container", *rest) for rest in (("web", "app"), ("web", "log"), ("agent", "app")))
PATH = "spec.template.spec.containers"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"match": SubjectMatch(namespaces=("shop",))}, {WEB, LOG}),
        ({"match": SubjectMatch(namespaces=("shop",), containers=("app",))}, {WEB}),
        ({"match": SubjectMatch(namespaces=("",))}, set()),
        ({"selector": {"matchLabels": {"team": "a"}}}, {WEB, LOG}),
        ({"selector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}}, {AGENT}),
        ({"selector": {"matchLabels": {"team": "b"}}}, set()),
        ({"files": ("test.*",)}, {WEB, LOG, AGENT}),
        ({"files": ("other/*",)}, set()),
        ({"path": f"{PATH}[name=log].securityContext.privileged"}, {LOG}),
        ({"path": f"{PATH}[*].securityContext.privileged"}, {WEB, LOG}),
        ({"path": f"{PATH}[0].securityContext.privileged"}, {WEB}),
        ({"path": f"{PATH}[name=log].securityContext"}, set()),
        # What is about grants or connections accepts nothing of another kind.
        ({"grant": GrantScope(roles=("*",))}, set()),
        ({"connection": ConnectionScope(sources=("*",))}, set()),
        ({"match": SubjectMatch(names=("web",)), "clusters": ("*",)}, set()),
        ({"match": SubjectMatch(names=("web",)), "environments": ("*",)}, set()),
    ],
)
def test_an_exception_accepts_what_fits_all_that_it_states(
    stated: dict[str, Any], expected: set[tuple[str, str, str | None]]
) -> None:
    assert accepted(judged(PODS, exception(**stated))) == expected


def test_a_finding_has_an_identity_and_the_first_exception_that_fits_accepts_it() -> None:
    (web, *_) = [f for f in judged(PODS).findings if f.rule == "privileged-container" and f.object.name == "web"]
    assert accepted(judged(PODS, exception(files=("*",), fingerprint=web.fingerprint))) == {WEB}
    assert accepted(judged(PODS, exception(match=SubjectMatch(names=("agent",)), fingerprint=web.fingerprint))) == set()
    wide, exact = exception(match=SubjectMatch(namespaces=("shop",))), exception(id="X", match=WEB_ONLY)
    for order, expected in [((wide, exact), {"E"}), ((exact, wide), {"X"})]:
        assert {f.exception for f in judged(PODS, *order).findings if f.outcome == "excepted"} == expected


def test_many_exceptions_cost_little() -> None:
    run_within_seconds(
        "import test_exceptions as t\n"
        "from kubeassay.model import SubjectMatch\n"
        "many = [t.exception(id=str(n), line=n + 1, match=SubjectMatch(names=(f'p-{n}',))) for n in range(4000)]\n"
        "text = '---\\n'.join(t.PODS.replace('name: web', f'name: p-{n}') for n in range(0, 1500))\n"
        "assert len(t.accepted(t.judged(text, *many))) == 3000",
        folder=Path(__file__).parent,
    )


def test_an_exception_is_for_environments_and_clusters(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PODS)
    profile = replace(profile_of("privileged-container"), environment="production")
    one = exception(match=SubjectMatch(names=("agent",)), environments=("prod*",), clusters=("eu-*",))
    plan = plan_of(profile, exceptions=[one], today=TODAY)
    files = discover([str(tmp_path)])
    assert accepted(scan(plan, files, Target("cluster", "eu-1"))) == {AGENT}
    assert accepted(scan(plan, files, Target("cluster", "us-1"))) == set()
    result = scan(plan, files, Target("manifests", "eu-1"))
    assert [(use.state, use.problem) for use in result.exceptions] == [("elsewhere", "is for cluster eu-*")]
    other = plan_of(replace(profile, environment="staging"), exceptions=[one], today=TODAY)
    assert accepted(scan(other, files, Target("cluster", "eu-1"))) == set()


def test_a_pattern_of_rules_accepts_but_is_too_broad_and_never_means_the_rules_on_exceptions() -> None:
    result = judged(PODS, exception("*", match=SubjectMatch(names=("web",)), expires="2026-06-01"))
    assert accepted(result) == {WEB, LOG, ("host-ports", "web", "app")}
    assert told(result) == {("exception-too-broad", "e.yaml", 5)}


WEB_ONLY = SubjectMatch(names=("web",))


@pytest.mark.parametrize(
    ("stated", "options", "expected"),
    [
        ({"match": WEB_ONLY}, {}, set()),
        ({"match": WEB_ONLY, "expires": "2026-06-01"}, {}, set()),
        ({"match": WEB_ONLY, "expires": "2026-05-31"}, {}, {"exception-expired"}),
        ({"match": WEB_ONLY, "reason": " "}, {}, {"exception-incomplete"}),
        ({"match": SubjectMatch(names=("agent",)), "rule": "host-ports"}, {}, {"exception-unused"}),
        ({"match": SubjectMatch(namespaces=("*",), kinds=("**",))}, {}, {"exception-too-broad"}),
        ({"match": SubjectMatch(names=("?*",))}, {}, {"exception-too-broad"}),
        ({"match": SubjectMatch(names=("web-only", "[!_]*"))}, {}, {"exception-too-broad"}),
        ({"files": ("*[!~]",)}, {}, {"exception-too-broad"}),
        ({"match": SubjectMatch(names=("w*", "*b"))}, {}, set()),
        ({"selector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}, {}, {"exception-too-broad"}),
        # What was not read, or not judged, is not told as unused.
        ({"match": SubjectMatch(names=("elsewhere",))}, {}, set()),
        ({"match": SubjectMatch(names=("agent", "elsewhere")), "rule": "host-ports"}, {}, set()),
        ({"match": SubjectMatch(namespaces=("node",)), "rule": "host-ports"}, {}, set()),
        ({"match": SubjectMatch(names=("agent",)), "rule": "sysctls"}, {}, set()),
        ({"match": SubjectMatch(names=("agent",)), "rule": "host-ports", "clusters": ("c",)}, {}, set()),
    ],
)
def test_what_is_found_of_an_exception(stated: dict[str, Any], options: dict[str, Any], expected: set[str]) -> None:
    result = judged(PODS, exception(**stated), **options)
    assert told(result) == {(rule, "e.yaml", 5) for rule in expected}


def test_all_that_a_profile_requires_has_to_be_there() -> None:
    profile = replace(
        profile_of("privileged-container", *EXCEPTION_RULES),
        exceptions=ExceptionPolicy(("reason", "owner", "expires"), in_tree=False),
    )
    bare, full = exception(match=WEB_ONLY), exception(match=WEB_ONLY, owner="o", expires="2027-01-01")
    result = scan_text(plan_of(profile, exceptions=[bare], today=TODAY), PODS)
    assert accepted(result) == set()
    (finding,) = [f for f in result.findings if f.area == "exceptions"]
    assert finding.message == (
        "Exception E to privileged-container does not hold: it lacks an owner and a last day (expires)"
    )
    assert accepted(scan_text(plan_of(profile, exceptions=[full], today=TODAY), PODS)) == {WEB, LOG}


def test_the_strict_profile_requires_everything_and_refuses_what_stands_in_the_tree() -> None:
    assert LIBRARY.profile("strict").exceptions == ExceptionPolicy(("reason", "owner", "expires"), in_tree=False)
    assert LIBRARY.profile("recommended").exceptions == ExceptionPolicy(("reason",), in_tree=True)


def test_unused_is_not_told_where_parts_are_not_read_or_not_rendered(tmp_path: Path) -> None:
    one = exception("host-ports", match=SubjectMatch(names=("agent",)))
    plan = plan_of(profile_of("host-ports", *EXCEPTION_RULES), exceptions=[one], today=TODAY)
    (tmp_path / "a.yaml").write_text(PODS)
    whole = scan(plan, discover([str(tmp_path)]), Target("manifests", "t"))
    assert told(whole) == {("exception-unused", "e.yaml", 5)}
    (tmp_path / "b.yaml").write_text("a: [\n")
    assert told(scan(plan, discover([str(tmp_path)]), Target("manifests", "t"))) == set()


def test_in_several_processes_the_same_is_found(tmp_path: Path) -> None:
    for number in range(40):
        text = PODS.replace("name: web", f"name: web-{number}").replace(
            "team: a", "team: a" if number % 2 else "team: b"
        )
        (tmp_path / f"{number}.yaml").write_text(text + "# padding\n" * 2000)
    exceptions = [
        exception(selector={"matchLabels": {"team": "a"}}),
        exception("host-ports", id="F", match=SubjectMatch(names=("agent",)), line=9),
    ]
    profile = profile_of("privileged-container", "host-ports", *EXCEPTION_RULES)
    plan = plan_of(profile, exceptions=exceptions, today=TODAY)
    one, two = (scan(plan, discover([str(tmp_path)]), Target("manifests", "t"), processes=count) for count in (1, 2))
    assert one == two
    assert one.summary.excepted == 40
    assert told(one) == {("exception-too-broad", "e.yaml", 5), ("exception-unused", "e.yaml", 9)}


BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
  - {kind: ServiceAccount, name: ci, namespace: build}
  - {kind: User, name: eve, apiGroup: rbac.authorization.k8s.io}
"""


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (GrantScope(subjects=("ServiceAccount build/ci", "User eve"), roles=("ClusterRole cluster-admin",)), True),
        (GrantScope(subjects=("ServiceAccount build/*", "User *")), True),
        (GrantScope(roles=("ClusterRole *",)), True),
        # The binding gives the role to somebody else, too.
        (GrantScope(subjects=("ServiceAccount build/ci",)), False),
        (GrantScope(subjects=("ServiceAccount build/ci", "User eve"), roles=("ClusterRole view",)), False),
    ],
)
def test_an_exception_to_a_grant(grant: GrantScope, expected: bool) -> None:
    result = judged(BINDING, exception("cluster-admin-binding", grant=grant), rules=("cluster-admin-binding",))
    (finding,) = [f for f in result.findings if f.rule == "cluster-admin-binding"]
    assert (finding.outcome == "excepted") == expected


def test_an_exception_to_one_subject_leaves_those_that_a_finding_names_besides() -> None:
    """Many subjects of a binding with the same path to cluster-admin are one finding."""
    names = [f"ci-{number}" for number in range(8)]
    subjects = "".join(f"  - {{kind: ServiceAccount, name: {name}, namespace: build}}\n" for name in names)
    text = (
        BINDING[: BINDING.index("subjects:")].replace("cluster-admin", "maker")
        + f"subjects:\n{subjects}"
        + (
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: maker}\n"
            "rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [escalate, update]}]\n"
        )
    )
    rule = "escalation-path"
    (finding,) = [f for f in judged(text, rules=(rule,)).findings if f.rule == rule]
    assert "ci-0" in finding.message
    some = GrantScope(subjects=("ServiceAccount build/ci-0",))
    every = GrantScope(subjects=("ServiceAccount build/ci-*",))
    outcomes = [
        [f.outcome for f in judged(text, exception(rule, grant=scope), rules=(rule,)).findings if f.rule == rule]
        for scope in (some, every)
    ]
    assert outcomes == [["fail"], ["excepted"]]


WAYS = """\
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: a}}
spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop, labels: {app: b}}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: shop, labels: {app: c}}
spec: {containers: [{name: c}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: shop}
spec:
  podSelector: {matchLabels: {app: a}}
  ingress:
    - from: [{podSelector: {}}]
      ports: [{port: 80}]
"""


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (ConnectionScope(("shop/b", "shop/c"), ("shop/a",), ("80",)), True),
        (ConnectionScope(("shop/*",), ("shop/a",)), True),
        (ConnectionScope(("shop/*[Pod]",), ("*/a[Pod]",)), True),
        (ConnectionScope(("shop/*[Deployment]",), ("shop/a",)), False),
        (ConnectionScope(("shop/b",), ("shop/a",), ("80",)), False),
        (ConnectionScope(("shop/b", "shop/c"), ("shop/b",), ("80",)), False),
        (ConnectionScope(("shop/b", "shop/c"), ("shop/a",), ("443", "80/UDP")), False),
    ],
)
def test_an_exception_to_a_connection_accepts_a_finding_whose_ways_it_has_all(
    connection: ConnectionScope, expected: bool
) -> None:
    rule = "path-not-allowed"
    profile = profile_of(rule, allowed_paths=[{"from": "other/x", "to": "other/y"}])
    result = scan_text(plan_of(profile, exceptions=[exception(rule, connection=connection)], today=TODAY), WAYS)
    assert [f.outcome for f in result.findings] == ["excepted" if expected else "fail"]


def test_all_ways_of_a_finding_have_to_be_accepted() -> None:
    (obj, *_) = objects_in(WAYS)
    profile = profile_of("path-not-allowed", allowed_paths=[{"from": "x/x", "to": "x/y"}])
    (finding,) = scan_text(plan_of(profile), WAYS).findings
    web, ssh = (ports("TCP", (number, number)) for number in (80, 22))
    scope = Scope(exception("path-not-allowed", connection=ConnectionScope(("a/*",), ("b/*",), ("80", "22"))))
    one, other = Way(("a/x[Pod]",), ("b/x[Pod]",), web), Way(("a/y[Pod]",), ("c/x[Pod]",), ssh)
    ssh_too = Way(("a/y[Pod]", "a/z[Pod]"), ("b/x[Pod]",), web | ssh)
    for ways, expected in [((one,), True), ((one, ssh_too), True), ((one, other), False), ((), False)]:
        assert scope.accepts(finding, obj, Violation(parse_path(finding.path), "", obj=obj, ways=ways)) == expected


def test_of_a_whole_target_what_is_not_there_is_told() -> None:
    gone = exception("host-ports", match=SubjectMatch(names=("elsewhere",)))
    broad = exception("host-ports", id="F", match=SubjectMatch(namespaces=("node",)), line=9)
    profile = profile_of("host-ports", "exception-unused")
    plan = plan_of(profile, exceptions=[gone, broad], today=TODAY)
    assert told(scan_text(plan, PODS)) == set()
    whole = Control("T-2", "t", "test", Source("t"), (RuleUse("exception-unused", parameters={"whole": True}),))
    told_whole = plan_of(replace(profile_of("host-ports"), controls=(*profile_of("host-ports").controls, whole)))
    told_whole = replace(told_whole, exceptions=plan.exceptions)
    assert told(scan_text(told_whole, PODS)) == {("exception-unused", "e.yaml", 5), ("exception-unused", "e.yaml", 9)}
    # A cluster is whole.
    content = [(name, json.dumps(obj.value).encode()) for name, obj in zip("ab", objects_in(PODS), strict=True)]
    stored = {f"clusters/c/{name}.yaml": text for name, text in content}
    files = [SourceFile("", name, len(text), live=stored) for name, text in stored.items()]
    live = scan(plan, Discovery(files=files), Target("cluster", "c"))
    assert told(live) == {("exception-unused", "e.yaml", 5), ("exception-unused", "e.yaml", 9)}
    part = replace(plan, live=Live(namespaces=frozenset({"node"})))
    assert told(scan(part, Discovery(files=files), Target("cluster", "c"))) == set()


NAMES = st.sampled_from(("web", "agent", "*", "w*", "other"))
SPACES = st.sampled_from(("shop", "node", "*", "", "sh?p"))
SCOPES = st.builds(
    Exception_,
    id=st.just("E"),
    rule=st.sampled_from(("privileged-container", "host-ports", "*", "host-*", "exception-*")),
    match=st.builds(
        SubjectMatch,
        namespaces=st.lists(SPACES, max_size=2).map(tuple),
        kinds=st.lists(st.sampled_from(("Pod", "Deployment", "*")), max_size=2).map(tuple),
        names=st.lists(NAMES, max_size=2).map(tuple),
        containers=st.lists(st.sampled_from(("app", "log", "*")), max_size=2).map(tuple),
    ),
    reason=st.sampled_from(("r", "")),
    expires=st.sampled_from(("", "2026-06-01", "2026-05-31")),
    path=st.sampled_from(
        ("", f"{PATH}[0].securityContext.privileged", "spec.containers[*].securityContext.privileged")
    ),
    owner=st.sampled_from(("", "o")),
)


def _fits(one: Exception_, finding: Finding) -> bool:
    """Whether an exception states what a finding is, said plainly."""

    def any_of(patterns: tuple[str, ...], text: str) -> bool:
        return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)

    return (
        fnmatchcase(finding.rule, one.rule)
        and any_of(one.match.namespaces, finding.object.namespace or "")
        and any_of(one.match.kinds, finding.object.kind)
        and any_of(one.match.names, finding.object.name)
        and any_of(one.match.containers, finding.container or "")
        and (not one.path or finding.path == one.path.replace("[*]", "[0]"))
        and one.reason != ""
        and one.expires != "2026-05-31"
        and finding.area != "exceptions"
    )


@settings(deadline=None)
@given(SCOPES)
def test_an_exception_accepts_what_it_states_and_hides_nothing_else(one: Exception_) -> None:
    plain = [f for f in judged(PODS).findings if f.area != "exceptions"]
    found = [f for f in judged(PODS, one).findings if f.area != "exceptions"]
    assert [f.fingerprint for f in found] == [f.fingerprint for f in plain]
    assert [f.outcome == "excepted" for f in found] == [_fits(one, f) for f in plain]


def test_a_result_says_what_every_exception_is_and_what_it_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(PODS)
    Path("e.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n"
        "    - {id: A, rule: privileged-container, match: {names: [agent]},"
        " reason: driver, owner: o, expires: 2026-07-01}\n"
    )
    assert exceptions_from(Path("e.yaml"), LIBRARY.rules)[0].expires == "2026-07-01"
    arguments = ("scan", "a.yaml", "--exceptions", "e.yaml", "--format", "json", "--today")
    written = json.loads(run_command(*arguments, "2026-07-01").stdout)
    (use,) = written["exceptions"]
    wanted = {
        "id": "A",
        "state": "holds",
        "findings": 1,
        "reason": "driver",
        "owner": "o",
        "expires": "2026-07-01",
        "inTree": False,
        "location": {"file": "e.yaml", "line": 5, "column": 7},
    }
    assert {key: use[key] for key in wanted} == wanted
    assert [r["exception"] for r in written["results"] if r["outcome"] == "excepted"] == ["A"]
    after = json.loads(run_command(*arguments, "2026-07-02").stdout)
    (told_of,) = [r for r in after["results"] if r["area"] == "exceptions"]
    assert (told_of["rule"], told_of["location"]["file"], told_of["location"]["startLine"]) == (
        "exception-expired",
        "e.yaml",
        5,
    )
    assert run_command("scan", "a.yaml", "--today", "soon").exit_code == 2


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("match: {kinds: [Deployment, Pod], names: [web, agent]}, reason: r", 0),
        ("match: {kinds: ['*']}, reason: r", 1),
        ("match: {names: [web, agent]}, reason: r, expires: 2020-01-01", 1),
    ],
)
def test_what_is_found_of_exceptions_fails_as_other_findings_do(
    entry: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(PODS.replace("          ports: [{containerPort: 80, hostPort: 80}]\n", ""))
    head = "apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n"
    Path("e.yaml").write_text(f"{head}    - {{rule: privileged-container, {entry}}}\n")
    Path("c.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Configuration\nspec: {profile: pss-baseline, baselines: [exceptions],\n"
        "  exceptions: [e.yaml], importExceptions: [auto]}\n"
    )
    assert run_command("scan", "a.yaml", "--config", "c.yaml").exit_code == code


def test_one_that_is_unused_fails_where_low_findings_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n")
    Path("e.yaml").write_text(
        "apiVersion: kubeassay.dev/v1\nkind: Exceptions\nspec:\n  exceptions:\n"
        "    - {rule: host-ports, match: {names: [a]}, reason: r}\n"
    )
    arguments = ("scan", "a.yaml", "-p", "pss-baseline", "--baseline", "exceptions", "--exceptions", "e.yaml")
    assert [run_command(*arguments, "--fail-on", level).exit_code for level in ("high", "low")] == [0, 1]
