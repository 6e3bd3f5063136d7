"""What changed between two results: findings are the same where their fingerprints are, and, of several objects of one
name, their files."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from kubeassay.engine.live import namespace_about
from kubeassay.model import Comparison, Finding, Result, counted, identity

#: (rule, identity) of findings → for each that is accepted, the environments that it was recorded for; empty for all.
Accepted = Mapping[tuple[str, str], Sequence[tuple[str, ...]]]


def compare(previous: Result, now: Result) -> Comparison:
    """Compare a result with an earlier one of the same target."""
    before = _by_identity(finding for finding in previous.findings if finding.outcome == "fail")
    environments = {environment.name for environment in previous.environments}
    after = _by_identity(finding for finding in now.findings if finding.outcome in ("fail", "excepted"))
    new: list[Finding] = []
    unchanged: list[Finding] = []
    fixed: list[Finding] = []
    excepted: list[Finding] = []
    unknown: list[Finding] = []
    for key in {**before, **after}:
        # Of what some environments accept and others do not, what fails is the earlier one.
        found = sorted(after.get(key, []), key=lambda finding: finding.outcome != "fail")
        pairs, gone = _paired(found, before.get(key, []))
        for finding, earlier in pairs:
            if finding.outcome == "excepted":
                excepted += () if earlier is None else (earlier,)
            elif earlier is None or _reaches_further(finding, before[key], now, environments):
                new.append(finding)
            else:
                unchanged.append(finding)
        for finding in gone:
            (fixed if _was_judged(finding, now) else unknown).append(finding)
    order = {id(finding): number for number, finding in enumerate((*now.findings, *previous.findings))}

    def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
        return tuple(sorted(findings, key=lambda finding: order[id(finding)]))

    return Comparison(
        ordered(new),
        ordered(unchanged),
        ordered(fixed),
        ordered(excepted),
        ordered(unknown),
        {finding.fingerprint: finding.outcome for finding in previous.findings},
    )


def _reaches_further(finding: Finding, earlier: Sequence[Finding], now: Result, before: set[str]) -> bool:
    """Whether a finding is now in an environment that was there before, and in which none of the earlier ones of its
    identity was: what only staging had, and production has now, is new there. An environment that is new, or called
    otherwise, says nothing of that."""
    if any(not one.environments for one in earlier):
        return False
    had = {name for one in earlier for name in one.environments}
    names = finding.environments or tuple(environment.name for environment in now.environments)
    return any(name in before and name not in had for name in names)


def _by_identity(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(identity(finding), []).append(finding)
    return found


def _paired(
    findings: Sequence[Finding], earlier: Sequence[Finding]
) -> tuple[list[tuple[Finding, Finding | None]], Sequence[Finding]]:
    """Findings of one identity, each with an earlier one: of its file, or else any, for a file may have been moved; and
    those earlier ones that are none of them."""
    by_file: dict[str, deque[Finding]] = defaultdict(deque)
    for one in earlier:
        by_file[one.location.file].append(one)
    pairs: list[tuple[Finding, Finding | None]] = []
    moved: list[Finding] = []
    for finding in findings:
        same = by_file.get(finding.location.file)
        if same:
            pairs.append((finding, same.popleft()))
        else:
            moved.append(finding)
    taken = {id(one) for _, one in pairs}
    left = [one for one in earlier if id(one) not in taken]
    pairs += zip_longest(moved, left[: len(moved)])
    return pairs, left[len(moved) :]


def only_new(result: Result, comparison: Comparison) -> Result:
    """A result with those of its failing findings that are new, and counted accordingly. What was not evaluated stays:
    nobody knows what it hides."""
    new = {id(finding) for finding in comparison.new}
    return _with_findings(result, [f for f in result.findings if f.outcome != "fail" or id(f) in new])


def accept(result: Result, accepted: Accepted, file: str) -> tuple[Result, int]:
    """A result with the failing findings that are recorded, as excepted; and how many of those recorded are no more, of
    the rules that ran. One that is recorded for some environments is not accepted where another has it, too."""
    left = {key: list(several) for key, several in accepted.items()}
    findings = []
    for finding in result.findings:
        recorded = left.get((finding.rule, identity(finding)), [])
        names = finding.environments or tuple(environment.name for environment in result.environments)
        of_all = any(not one for one in accepted.get((finding.rule, identity(finding)), ()))
        had = {name for one in accepted.get((finding.rule, identity(finding)), ()) for name in one}
        if finding.outcome == "fail" and recorded and (of_all or set(names) <= had):
            recorded.pop()
            finding = replace(finding, outcome="excepted", exception="accepted", reason=f"recorded in {file}")
        findings.append(finding)
    gone = sum(len(several) for (rule, _), several in left.items() if rule in result.rules)
    return _with_findings(result, findings), gone


def _with_findings(result: Result, findings: Sequence[Finding]) -> Result:
    """A result with other failing and excepted findings, and counted accordingly."""
    environments = tuple(
        replace(
            one,
            summary=counted(one.summary, [f for f in findings if not f.environments or one.name in f.environments]),
        )
        for one in result.environments
    )
    return replace(
        result,
        findings=tuple(findings),
        summary=counted(result.summary, findings),
        environments=environments,
    )


def _was_judged(finding: Finding, now: Result) -> bool:
    """Whether a finding that is gone is surely no more: its rule ran, and nothing that it is about went unjudged."""
    if finding.rule not in now.rules:
        return False
    names = {environment.name for environment in now.environments}
    if finding.environments and names.isdisjoint(finding.environments):
        return False
    namespace = namespace_about(finding.object)
    # Of what is gone nobody knows the labels.
    if now.target.selector or (now.target.namespaces is not None and namespace not in now.target.namespaces):
        return False
    # A finding that stands at a manifest (--source) is of an object of the cluster all the same.
    files = {finding.location.file, *(related.location.file for related in finding.related)}
    for gap in now.not_evaluated:
        if (
            gap.rule in (None, finding.rule)
            and (gap.namespace is None or namespace is None or gap.namespace == namespace)
            and (gap.file is None or gap.file in files)
        ):
            return False
    return not any(error.file in files for error in now.errors)
