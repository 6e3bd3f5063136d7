"""Small results, written by hand, for the golden reports."""

from __future__ import annotations

from dataclasses import replace

from kubeassay.model import (
    Bar,
    Baseline,
    ChangedField,
    Control,
    ControlSummary,
    Difference,
    Drift,
    Edit,
    EnvironmentResult,
    Example,
    Exception_,
    ExceptionUse,
    Excerpt,
    Finding,
    Fix,
    Location,
    MissingObject,
    NotCompared,
    NotEvaluated,
    ObjectRef,
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

_STANDARD = Source("Pod Security Standards", url="https://kubernetes.io/docs/concepts/security/pod-security-standards/")

PRIVILEGED = Rule(
    id="privileged-container",
    title="Container runs privileged",
    area="pod-security",
    severity="critical",
    subject="container",
    rationale="A privileged container sees the host's devices.\nWhoever controls it controls the node.\n",
    remediation="Remove `securityContext.privileged` or set it to false. Add single capabilities instead.\n",
    fix={"set": {"securityContext.privileged": False}},
    references={
        "pss": "privileged",
        "cis-kubernetes": {"1.9": "5.2.2", "1.12": "5.2.2"},
        "nsa-cisa": "Kubernetes Pod security / Privileged containers",
        "owasp-k8s": "K01",
        "mitre-attack": ["T1610", "T1611"],
    },
    examples=(
        Example("fails", "kind: Pod\nspec: {containers: [{name: app, securityContext: {privileged: true}}]}\n"),
        Example("passes", "kind: Pod\nspec: {containers: [{name: app}]}\n"),
    ),
    file="rules/pod-security/privileged-container.yaml",
)
PERMISSIVE_MTLS = Rule(
    id="permissive-mtls",
    title="Workload accepts plain text",
    area="mtls",
    severity="high",
    subject="workload",
    rationale="Plain text between pods can be read and changed on the way.",
    remediation="Set the mode STRICT.",
    expression="mtls.mode == 'STRICT'",
    message_expression="'plain text'",
    field="spec.mtls",
    needs=("PeerAuthentication",),
    parameters=(Parameter("modes", "array", ["STRICT"], "Modes that are accepted."),),
    overrides=("no-mesh",),
)

_PRIVILEGED_CONTROL = Control(
    id="PS-01",
    title="Privileged containers",
    baseline="pod-security",
    level="baseline",
    source=Source(
        "Pod Security Standards",
        "Baseline / Privileged Containers",
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline",
    ),
    rules=(RuleUse("privileged-container"),),
)
_MTLS_CONTROL = Control(
    id="MT-01",
    title="All traffic is mutual TLS",
    baseline="mtls",
    source=Source("Architecture of the shop", "4.2 Mesh", file="docs/architecture.md", line=120),
    rules=(
        RuleUse(
            "permissive-mtls",
            severity="medium",
            parameters={"modes": ["STRICT"]},
            match=SubjectMatch(namespaces=("front*",), labels=(("app", "web"),)),
        ),
    ),
)
_UNBROKEN_CONTROL = Control(
    id="PS-02", title="Host namespaces", baseline="pod-security", source=_STANDARD, rules=(), level="baseline"
)
_CONTROLS = (_PRIVILEGED_CONTROL, _UNBROKEN_CONTROL, _MTLS_CONTROL)
_BASELINES = (
    Baseline(
        "pod-security",
        "Pod security",
        "pod-security",
        "The Pod Security Standards of Kubernetes.",
        _STANDARD,
        (_PRIVILEGED_CONTROL, _UNBROKEN_CONTROL),
        "baselines/pod-security.yaml",
    ),
    Baseline("mtls", "Mutual TLS", "mtls", "Encrypted traffic.", Source("Architecture of the shop"), (_MTLS_CONTROL,)),
)
_PROFILE = Profile(
    name="shop/production",
    title="Shop, production",
    description="What the shop documents.",
    kubernetes_version="latest",
    controls=_CONTROLS,
    baselines=_BASELINES,
    environment="production",
)

_WEB = ObjectRef("apps/v1", "Deployment", "frontend", "web")


def _result(**changes: object) -> Result:
    fields: dict[str, object] = {
        "tool_version": "0.1.0",
        "profile": _PROFILE,
        "kubernetes_version": "1.37",
        "target": Target("manifests", "shop"),
        "summary": Summary(by_severity={"critical": 0, "high": 0, "medium": 0, "low": 0}),
        "findings": (),
        "not_evaluated": (),
        "errors": (),
        "skipped": (),
        "rules": {rule.id: rule for rule in (PERMISSIVE_MTLS, PRIVILEGED)},
        "rule_severities": {"permissive-mtls": "medium", "privileged-container": "critical"},
        "controls": _CONTROLS,
    }
    fields.update(changes)
    return Result(**fields)  # type: ignore[arg-type]


CLEAN = _result(
    summary=Summary(
        passed=6,
        objects=3,
        files=1,
        by_severity={"critical": 0, "high": 0, "medium": 0, "low": 0},
        by_control={"PS-01": ControlSummary(passed=3), "PS-02": ControlSummary(), "MT-01": ControlSummary(passed=3)},
    )
)

FAILING = _result(
    summary=Summary(
        fail=2,
        passed=4,
        not_evaluated=1,
        excepted=1,
        objects=3,
        files=2,
        by_severity={"critical": 1, "high": 0, "medium": 1, "low": 0},
        by_control={
            "PS-01": ControlSummary(fail=1, passed=1, excepted=1),
            "PS-02": ControlSummary(passed=3),
            "MT-01": ControlSummary(fail=1, not_evaluated=1),
        },
    ),
    findings=(
        Finding(
            outcome="fail",
            rule="privileged-container",
            controls=("PS-01",),
            area="pod-security",
            severity="critical",
            object=_WEB,
            container="app",
            path="spec.template.spec.containers[0].securityContext.privileged",
            message="container app is privileged",
            location=Location("apps/web site.yaml", 14, 25, 14, 29),
            fingerprint="9f2b7c0d11aa",
            line_hash="a7f2ff13bc495cf2:1",
            excerpt=Excerpt("            privileged: true  # for now", 24, 28),
            fix=Fix(
                "Set privileged to false",
                (Edit(Location("apps/web site.yaml", 14, 25, 14, 29), "false"),),
            ),
        ),
        Finding(
            outcome="fail",
            rule="permissive-mtls",
            controls=("MT-01",),
            area="mtls",
            severity="medium",
            object=_WEB,
            container=None,
            path="",
            message='workload accepts plain text, since the mode is "PERMISSIVE"',
            location=Location("apps/web site.yaml", 1, 1, 1, 11),
            fingerprint="0c44de5512f0",
            related=(Related("The mode is set here.", Location("mesh/größe.yaml", 8, 11, 8, 21)),),
        ),
        Finding(
            outcome="excepted",
            rule="privileged-container",
            controls=("PS-01",),
            area="pod-security",
            severity="critical",
            object=ObjectRef("v1", "Pod", None, "agent"),
            container="agent",
            path="spec.containers[0].securityContext.privileged",
            message="container agent is privileged",
            location=Location("apps/agent.yaml", 9, 9, 9, 19),
            fingerprint="77aa00",
            exception="EX-7",
            reason="The agent reads the kernel's log.",
        ),
    ),
    not_evaluated=(
        NotEvaluated("not-rendered", "The manifests hold no PeerAuthentication.", "permissive-mtls", "backend"),
        NotEvaluated("rule-error", "KeyError: 'spec'", "privileged-container", file="apps/odd.yaml"),
    ),
    errors=(
        ReadError("apps/broken.yaml", "mapping values are not allowed here", 3, 9),
        ReadError("apps/secret.yaml", "permission denied"),
    ),
    skipped=(
        Skipped("chart/templates/a.yaml", "helm-template", "It is a template of a Helm chart."),
        Skipped("chart/templates/b.yaml", "helm-template", "It is a template of a Helm chart."),
        Skipped("notes.yaml", "not-kubernetes", "It holds no Kubernetes object.", 1),
    ),
    exceptions=(
        ExceptionUse(
            Exception_(
                "EX-7",
                "privileged-container",
                SubjectMatch(kinds=("Pod",), names=("agent",), containers=("agent",)),
                "The agent reads the kernel's log.",
                owner="team-node",
                expires="2027-03-31",
                file="exceptions.yaml",
                line=5,
                column=7,
            ),
            "holds",
            1,
        ),
        ExceptionUse(
            Exception_(
                "apps/web.yaml:3#permissive-mtls",
                "permissive-mtls",
                SubjectMatch(),
                "",
                file="apps/web.yaml",
                line=3,
                column=5,
                origin="comment",
                in_tree=True,
            ),
            "incomplete",
            0,
            "lacks a reason",
        ),
    ),
)

#: Text that would break a report that trusts it.
HOSTILE = _result(
    target=Target("cluster", "pro\x1b]0;owned\x07d"),
    summary=Summary(fail=1, objects=1, files=1, by_severity={"critical": 1, "high": 0, "medium": 0, "low": 0}),
    findings=(
        Finding(
            outcome="fail",
            rule="privileged-container",
            controls=("PS-01", "XX-99"),
            area="pod-security",
            severity="critical",
            object=ObjectRef("v1", "Pod", "a\u202eb", "</script><script>alert(1)</script>"),
            container="\x1b[31mred",
            path='metadata.annotations["<b>"]',
            message="see [this](https://evil.example) \x1b[2J\r\nand 日本語 \udc80",
            location=Location("https://evil.example/%2e%2e/a b\udcff#?.yaml", 1, 1, 1, 1),
            fingerprint="1",
            excerpt=Excerpt("名前:\t値\x1b[0m <i>", 3, 5),
        ),
    ),
)


def _environment(name: str, profile: str, **severities: int) -> EnvironmentResult:
    counts = {"critical": 0, "high": 0, "medium": 0, "low": 0} | severities
    found = sum(counts.values())
    return EnvironmentResult(
        name, profile, "1.37", Summary(found, 20, 0, 0, 2, 3, counts, {"PS-01": ControlSummary(fail=found, passed=20)})
    )


def _lacking(kind: str, name: str, line: int, present: tuple[str, ...], absent: tuple[str, ...]) -> Difference:
    place = Location("base/policies.yaml", line, 3, line, 9)
    return Difference(ObjectRef("networking.k8s.io/v1", kind, "shop", name), place, present, absent)


_BOTH = ("production", "staging")
#: Three environments of a tree: a finding that all have, and one of two of them.
ENVIRONMENTS = _result(
    profile=replace(_PROFILE, name="strict, recommended"),
    summary=Summary(
        fail=2,
        passed=60,
        objects=6,
        files=9,
        by_severity={"critical": 2, "high": 0, "medium": 0, "low": 0},
        by_control={"PS-01": ControlSummary(fail=2, passed=60), "PS-02": ControlSummary(), "MT-01": ControlSummary()},
    ),
    findings=tuple(
        Finding(
            outcome="fail",
            rule="privileged-container",
            controls=("PS-01",),
            area="pod-security",
            severity="critical",
            object=_WEB,
            container=container,
            path=f"spec.template.spec.containers[{number}].securityContext.privileged",
            message=f"container {container} is privileged",
            location=Location("base/web.yaml", 12 + number, 9, 12 + number, 19),
            fingerprint=f"ab{number}",
            environments=environments,
        )
        for number, (container, environments) in enumerate((("app", ()), ("debug", _BOTH)))
    ),
    rendered=(
        RenderedManifest("overlays/development/kustomization.yaml", "kustomize v5.8.1"),
        RenderedManifest("overlays/production/kustomization.yaml", "kustomize v5.8.1"),
        RenderedManifest("overlays/staging/kustomization.yaml", "kustomize v5.8.1"),
        RenderedManifest("charts/web/Chart.yaml", "helm v3.19.5"),
    ),
    environments=(
        _environment("development", "recommended", critical=1),
        _environment("production", "strict", critical=2),
        _environment("staging", "recommended", critical=2),
    ),
    differences=(
        _lacking("NetworkPolicy", "default-deny", 3, ("production",), ("development", "staging")),
        *(
            _lacking("PodDisruptionBudget", f"budget-{number}", number, _BOTH, ("development",))
            for number in range(1, 9)
        ),
    ),
)

#: Every form that a picture has.
PICTURE = Picture(
    id="connectivity",
    title="Who reaches whom",
    lead="Ways that are open.",
    columns=("From", "To", "Connections"),
    rows=(("web & <b>", "db", "TCP 5432"),),
    ends=("web & <b>", "db"),
    ways=(Way("web & <b>", "db", "some", "TCP 5432"), Way("db", "web & <b>", "not-known", "Not Evaluated")),
    paths=(("Group developers", "node", "cluster-admin"),),
    bars=(Bar("frontend quota: cpu", "2 of 4", (Part("rest", 500, "2"), Part("over", 700, ""), Part("odd", 0, ""))),),
    notes=("One thing is left out.",),
)

SAMPLES = {"clean": CLEAN, "failing": FAILING, "hostile": HOSTILE, "environments": ENVIRONMENTS}

_POD = ObjectRef("v1", "Pod", "shop", "a")
#: One of each.
DRIFT = Drift(
    sources=("manifests",),
    missing=(MissingObject(_POD, Location("a.yaml", 3, 1, 3, 2)),),
    changed=(
        ChangedField(
            _POD, "spec.x", "spec.x is 1", Location("a.yaml", 3, 1, 3, 2), "clusters/prod/shop/core.Pod/a.yaml"
        ),
    ),
    undeclared=(UndeclaredObject(_POD, "clusters/prod/shop/core.Pod/a.yaml"),),
    not_compared=(NotCompared("forbidden", "pods may not be read"),),
)
