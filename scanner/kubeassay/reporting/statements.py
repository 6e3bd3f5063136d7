"""What several formats say alike: which findings there are, whom they concern, and what was not judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kubeassay.model import SEVERITIES, Control, Difference, Finding, NotEvaluated, Outcome, ReadError, Result
from kubeassay.reporting.options import RenderOptions
from kubeassay.reporting.texts import plural, printable

RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}
_OUTCOMES: tuple[Outcome, ...] = ("fail", "excepted", "not-evaluated", "pass")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not judged: a file or a part of one (``reason`` is ``read-error``), or what rules need.

    All texts but ``file`` are printable and stand on one line; ``text`` names what is concerned.
    """

    reason: str
    text: str
    rule: str | None
    file: str | None
    line: int | None = None

    @property
    def severe(self) -> bool:
        """Whether something broke: a file could not be read, or a rule crashed."""
        return self.reason in ("read-error", "rule-error")


def gaps(result: Result) -> Iterator[Gap]:
    """All that was not judged: files first."""
    for error in result.errors:
        yield _unread(error)
    for entry in result.not_evaluated:
        yield _unjudged(entry)


def _unread(error: ReadError) -> Gap:
    place = error.file if error.line is None else f"{error.file}:{error.line}"
    return Gap("read-error", printable(f"{place}: {error.message}"), None, error.file, error.line)


def _unjudged(entry: NotEvaluated) -> Gap:
    text = entry.detail.strip() or entry.reason.strip() or "unnamed"
    if entry.file and entry.file not in text:
        text = f"{entry.file}: {text}"
    if entry.namespace and entry.namespace not in text:
        text += f" (namespace {entry.namespace})"
    rule = None if entry.rule is None else printable(entry.rule)
    return Gap(printable(entry.reason).strip() or "unnamed", printable(text), rule, entry.file or None)


def is_complete(result: Result) -> bool:
    """Whether everything was read and judged."""
    return not result.errors and not result.not_evaluated


def listed(result: Result, options: RenderOptions) -> list[Finding]:
    """The findings to list: failing ones first, of each outcome the most severe first, else in the result's order."""
    chosen = [finding for finding in result.findings if finding.outcome in options.show]
    return sorted(chosen, key=lambda finding: (_OUTCOMES.index(finding.outcome), RANK[finding.severity]))


def stands_in_a_file(finding: Finding, result: Result) -> bool:
    """Whether its place is in a manifest: an object of a cluster has a place under ``clusters/CLUSTER/``, which a
    repository may have, too, unless a manifest declares it."""
    if result.target.kind == "manifests":
        return True
    ref = finding.object
    namespace, group = ref.namespace or "_cluster", ref.group or "core"
    return not finding.location.file.startswith(f"clusters/{result.target.name}/{namespace}/{group}.{ref.kind}/")


def subject(finding: Finding) -> str:
    """``Deployment frontend/web, container app``."""
    container = f", container {finding.container}" if finding.container else ""
    return printable(f"{finding.object}{container}")


def clause(control: Control) -> str:
    """``PS-01 Privileged containers (Pod Security Standards, Baseline / Privileged Containers)``."""
    source = control.source
    place = f"{source.file} line {source.line}" if source.file and source.line else ""
    origin = ", ".join(part for part in (source.document, source.section, place) if part)
    return printable(f"{control.id} {control.title}" + (f" ({origin})" if origin else ""))


def clauses(result: Result) -> dict[str, str]:
    """The clauses of the result's controls, by id."""
    return {control.id: clause(control) for control in result.controls}


def demanded_by(finding: Finding, known: dict[str, str]) -> list[str]:
    """The clauses that a finding breaks; the bare id of a control that the result does not describe."""
    return [known.get(control) or printable(control) for control in finding.controls]


def counted(result: Result) -> str:
    """``2 findings: 1 critical, 1 medium``, ``No findings``."""
    summary = result.summary
    if not summary.fail:
        return "No findings"
    each = [f"{summary.by_severity[name]:,} {name}" for name in SEVERITIES if summary.by_severity.get(name)]
    return plural(summary.fail, "finding") + (f": {', '.join(each)}" if each else "")


def rest_counted(result: Result) -> str:
    """``4 passed, 1 not evaluated, 1 excepted``."""
    summary = result.summary
    parts = [f"{summary.passed:,} passed"]
    if summary.not_evaluated:
        parts.append(f"{summary.not_evaluated:,} not evaluated")
    if summary.excepted:
        parts.append(f"{summary.excepted:,} excepted")
    return ", ".join(parts)


def incomplete(result: Result) -> str:
    """``2 parts not read; not evaluated: 1 forbidden, 1 rule-error``; empty where everything was judged."""
    parts = []
    if result.errors:
        parts.append(f"{plural(len(result.errors), 'part')} not read")
    if result.not_evaluated:
        reasons = Counter(printable(entry.reason).strip() or "unnamed" for entry in result.not_evaluated)
        parts.append(
            "not evaluated: " + ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
        )
    return "; ".join(parts)


def amount(result: Result) -> str:
    """``3 objects in 2 files``; of a cluster ``3 objects``; of several environments ``2 environments with 6 objects in
    4 files, counted in each``."""
    summary = result.summary
    objects = plural(summary.objects, "object")
    if result.target.kind == "cluster":
        return objects
    what = f"{objects} in {plural(summary.files, 'file')}"
    if result.environments:
        return f"{plural(len(result.environments), 'environment')} with {what}, counted in each"
    return what


def scanned(result: Result) -> str:
    """``3 objects in 2 files, judged with platform, profile recommended, Kubernetes 1.37``; of several environments
    ``2 environments with 6 objects in 4 files, counted in each, …``: what they have in common, in each of them."""
    what = amount(result)
    if result.target.kind == "cluster":
        what += f" of cluster {result.target.name}"
    if result.target.context:
        what += f", judged with {', '.join(result.target.context)}"
    profile = f"profile{'s' if several_profiles(result) else ''} {result.profile.name}"
    return printable(f"{what}, {profile}, Kubernetes {result.kubernetes_version}")


# Several environments


def policy_name(result: Result) -> str:
    """What a result's policy is called where a name is to stay as it is when another environment is added that has a
    profile of its own."""
    return "environments" if several_profiles(result) else result.profile.name


def environments_told(result: Result) -> list[str]:
    """What was rendered, each environment, and how many objects not all of them have: a line each, for formats that
    have no other place for it."""
    lines = [rendered_by(result)] if result.rendered else []
    lines += [f"{name}: {said}" for name, said in deployment_lines(result)]
    lines += [f"{name}: {said}" for name, said in environment_lines(result)]
    if result.differences:
        lines.append(f"{plural(len(result.differences), 'object')} not in all environments")
    return lines


def deployment_lines(result: Result) -> list[tuple[str, str]]:
    """What was followed, by its name (``Application argocd/shop``), with what becomes of it: ``2 findings: 1 high,
    1 low; 4 objects of overlays/production/kustomization.yaml for namespace shop``, ``not followed (PROBLEM)``."""
    lines = []
    for one in result.deployments:
        each = [f"{one.by_severity[name]:,} {name}" for name in SEVERITIES if one.by_severity.get(name)]
        found = plural(one.fail, "finding") + (f": {', '.join(each)}" if each else "") if one.fail else "no findings"
        to = [f"namespace {one.namespace}"] if one.namespace else []
        to += [f"environment {one.environment}"] if one.environment else []
        where = f" for {', '.join(to)}" if to else ""
        what = ", ".join(source.file for source in one.sources)
        said = f"{found}; {plural(one.objects, 'object')} of {what}{where}" if one.objects or not one.problems else ""
        if one.problems:
            told = one.problems[0] + (f", and {len(one.problems) - 1} more" if one.problems[1:] else "")
            said = f"{said}; not all of it is followed ({told})" if said else f"not followed ({told})"
        lines.append((printable(str(one.object)), printable(said)))
    return lines


#: So many objects are named of those that an environment lacks.
_NAMED = 3


def several_profiles(result: Result) -> bool:
    """Whether environments were judged by different profiles."""
    return len({environment.profile for environment in result.environments}) > 1


def only_in(finding: Finding) -> str:
    """``only in production, staging``; empty for what all environments have, or where there is but one."""
    return printable(f"only in {', '.join(finding.environments)}") if finding.environments else ""


def environment_lines(result: Result) -> list[tuple[str, str]]:
    """Each environment's name, and ``2 findings: 1 critical, 1 medium; 20 passed, 1 not evaluated``, with the profile
    where they differ in it, and the version of Kubernetes likewise."""
    profiles = several_profiles(result)
    versions = len({environment.kubernetes_version for environment in result.environments}) > 1
    lines = []
    for environment in result.environments:
        own = replace(result, summary=environment.summary, environments=())
        by = [f"profile {environment.profile}"] if profiles else []
        by += [f"Kubernetes {environment.kubernetes_version}"] if versions else []
        about = f" ({', '.join(by)})" if by else ""
        lines.append((printable(environment.name), printable(f"{counted(own)}; {rest_counted(own)}{about}")))
    return lines


def difference_lines(result: Result) -> list[str]:
    """``development lacks what production, staging have: NetworkPolicy shop/deny (a.yaml:3), … and 12 more``: a line
    for all objects that the same environments have."""
    together: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Difference]] = {}
    for difference in result.differences:
        together.setdefault((difference.absent, difference.present), []).append(difference)
    lines = []
    for (absent, present), differing in together.items():
        named = [f"{one.object} ({one.location.file}:{one.location.start_line})" for one in differing[:_NAMED]]
        more = f" and {len(differing) - _NAMED:,} more" if len(differing) > _NAMED else ""
        lines.append(
            printable(
                f"{', '.join(absent)} lack{'s' if len(absent) == 1 else ''} what {', '.join(present)}"
                f" ha{'s' if len(present) == 1 else 've'}: {', '.join(named)}{more}"
            )
        )
    return lines


def rendered_by(result: Result) -> str:
    """``Rendered: 3 by kustomize v5.8.1, 1 by helm v3.19.5``; empty where nothing was."""
    tools = Counter(made.made_by or "a tool" for made in result.rendered)
    return (
        printable("Rendered: " + ", ".join(f"{number:,} by {tool}" for tool, number in tools.items())) if tools else ""
    )
