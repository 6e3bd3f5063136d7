"""What an evaluation yields: findings, and everything that could not be judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from kubeassay.model.deployments import DeploymentResult
from kubeassay.model.drift import Drift
from kubeassay.model.environments import Difference, EnvironmentResult, RenderedManifest
from kubeassay.model.object import ObjectRef
from kubeassay.model.pictures import Picture
from kubeassay.model.place import Location
from kubeassay.model.policy import SEVERITIES, Control, Exception_, Profile, Rule, Severity
from kubeassay.model.review import Review

Outcome = Literal["fail", "pass", "not-evaluated", "excepted"]


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that explains a finding."""

    message: str
    location: Location


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters of ``location`` (possibly none: an insertion) by ``text``."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that mend a finding when applied together."""

    description: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The finding's first source line, cut around the region when long, secret values masked.

    ``start`` and ``end`` are the region's character offsets in ``text``.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one rule at one place. Passing and not-evaluated outcomes have the same form.

    ``path`` starts at the object's root. ``fingerprint`` identifies the finding over moved files, inserted lines and
    reordered lists: it holds no file name, line or list index. ``line_hash`` is GitHub's primaryLocationLineHash.
    ``api_path``: the object's path in the API that it was read from; None for a manifest's object, and where it is not
    known.
    ``reason`` says why a not-evaluated subject was not judged, or why an excepted one is accepted. ``exception`` is the
    id of the exception that accepts it: :attr:`Result.exceptions_by_id`.
    """

    outcome: Outcome
    rule: str
    controls: tuple[str, ...]
    area: str
    severity: Severity
    object: ObjectRef
    container: str | None
    path: str
    message: str
    location: Location
    fingerprint: str
    related: tuple[Related, ...] = ()
    line_hash: str | None = None
    excerpt: Excerpt | None = None
    fix: Fix | None = None
    exception: str | None = None
    reason: str | None = None
    api_path: str | None = None
    #: Of several environments that were judged at once: those that have it; empty where all do.
    environments: tuple[str, ...] = ()


def identity(finding: Finding) -> str:
    """The fingerprint without the number that tells the same object in several files apart, which other files move."""
    return finding.fingerprint.partition(":")[0]


#: ``holds``; ``expired``; ``incomplete`` (it lacks what the profile requires); ``refused`` (it stands in what is
#: scanned, and the profile or an option refuses those); ``elsewhere`` (for another environment or cluster);
#: ``malformed``; ``unmapped`` (for another tool, and without an equal here).
ExceptionState = Literal["holds", "expired", "incomplete", "refused", "elsewhere", "malformed", "unmapped"]


@dataclass(frozen=True, slots=True)
class ExceptionUse:
    """An exception that was read, whether it holds, and how many findings it accepts. Only one that holds accepts any.

    ``problem``: why it does not hold, as a sentence's end.
    """

    exception: Exception_
    state: ExceptionState
    findings: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """Something that was not judged. ``rule`` None: every rule is concerned.

    ``reason`` is a word for programs: ``missing-input``, ``no-objects``, ``not-rendered``, ``not-followed``,
    ``invalid-object``, ``unsupported``, ``unknown-kind`` and other ``unknown-…``, ``rule-error`` (a mistake of the
    tool); of clusters ``forbidden``, ``not-readable``, ``not-read``, ``metadata-only``, ``drift``; ``detail`` is a
    sentence for people.
    """

    reason: str
    detail: str
    rule: str | None = None
    namespace: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class ReadError:
    """A file, or a part of one, that could not be read. ``line`` and ``column`` are None where there are none."""

    file: str
    message: str
    line: int | None = None
    column: int | None = None


#: The reason of what a deployer deploys and is not known, both of what was skipped and of what was not evaluated.
NOT_FOLLOWED = "not-followed"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or a document of one, that was read or recognised and holds nothing to judge.

    ``reason`` is a word for programs: ``not-kubernetes``, ``helm-template``, ``helm-values``, ``kustomize-patch``,
    ``kustomization``, ``not-followed``, ``ignored``, ``symlink``, ``empty``; ``detail`` is a sentence for people.
    """

    file: str
    reason: str
    detail: str
    line: int | None = None

    @property
    def hides_objects(self) -> bool:
        """Whether it makes objects that are not judged until it is rendered."""
        return self.reason in ("helm-template", "kustomize-patch", "kustomization", NOT_FOLLOWED)


@dataclass(frozen=True, slots=True)
class Target:
    """What was scanned. ``name`` is for people; it holds no absolute path."""

    kind: Literal["manifests", "cluster"]
    name: str
    #: Of a cluster: the namespaces that were judged, None for all; and the labels of what was, empty for any.
    namespaces: tuple[str, ...] | None = None
    selector: str = ""
    #: Of manifests: the paths whose objects they were judged by beside their own.
    context: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlSummary:
    """How many (rule, subject) pairs of one control had each outcome."""

    fail: int = 0
    passed: int = 0
    not_evaluated: int = 0
    excepted: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """``fail`` and ``excepted`` count findings; ``passed`` and ``not_evaluated`` count (rule, subject) pairs."""

    fail: int = 0
    passed: int = 0
    not_evaluated: int = 0
    excepted: int = 0
    objects: int = 0
    files: int = 0
    #: Failing findings by severity; every severity is present.
    by_severity: Mapping[str, int] = field(default_factory=dict)
    by_control: Mapping[str, ControlSummary] = field(default_factory=dict)


def counted(summary: Summary, findings: Iterable[Finding]) -> Summary:
    """A summary with what fails and what is excepted counted anew."""
    totals, severities = Counter[str](), Counter[str]()
    by_control: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        totals[finding.outcome] += 1
        by_control.update((control, finding.outcome) for control in finding.controls)
        if finding.outcome == "fail":
            severities[finding.severity] += 1
    return replace(
        summary,
        fail=totals["fail"],
        excepted=totals["excepted"],
        by_severity={severity: severities[severity] for severity in SEVERITIES},
        by_control={
            control: replace(counts, fail=by_control[control, "fail"], excepted=by_control[control, "excepted"])
            for control, counts in summary.by_control.items()
        },
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed since an earlier result. ``fixed`` was judged again and found compliant, or is gone with its object;
    ``unknown`` was not judged now, or not all of it; ``excepted`` is accepted now. ``new`` and ``unchanged`` are the
    very objects of the result, the others those of the earlier one. ``before``: the outcomes of the earlier one, by
    fingerprint."""

    new: tuple[Finding, ...]
    unchanged: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    excepted: tuple[Finding, ...]
    unknown: tuple[Finding, ...]
    before: Mapping[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveObject:
    """An object of a cluster, as its API server knows it. ``passed``: how many (rule, subject) pairs of it passed."""

    ref: ObjectRef
    uid: str
    passed: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a report needs. All sequences are sorted, so equal inputs give equal bytes."""

    tool_version: str
    profile: Profile
    kubernetes_version: str
    target: Target
    summary: Summary
    #: Failing and excepted findings; passing and not-evaluated ones only where they were asked for.
    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    errors: tuple[ReadError, ...]
    skipped: tuple[Skipped, ...]
    #: The rules that were active, by id.
    rules: Mapping[str, Rule]
    #: The severity of each active rule in this profile, the highest where controls differ.
    rule_severities: Mapping[str, Severity]
    #: The controls of the profile, in its order.
    controls: tuple[Control, ...]
    #: By their places, the objects of a cluster of which a finding, or an entry of what was not evaluated, tells.
    objects: Mapping[str, LiveObject] = field(default_factory=dict)
    #: Between manifests and the cluster that they are to be in; None where they were not compared.
    drift: Drift | None = None
    #: The exceptions that were read, in the order of their places.
    exceptions: tuple[ExceptionUse, ...] = ()
    #: What changed since an earlier result, where there is one to compare with. No format keeps it.
    comparison: Comparison | None = None
    #: Maps and tables of everything at once; None where they were not asked for.
    pictures: tuple[Picture, ...] | None = None
    #: What was rendered, by the names of the files that ask for it.
    rendered: tuple[RenderedManifest, ...] = ()
    #: Where several were judged at once: each, in the order of their names or of the file that names them.
    environments: tuple[EnvironmentResult, ...] = ()
    #: What deployers deploy, where they were followed.
    deployments: tuple[DeploymentResult, ...] = ()
    #: Objects that some of these have and others lack.
    differences: tuple[Difference, ...] = ()
    #: What the change since a git revision does to security; None where no revision was compared with.
    review: Review | None = None

    @property
    def exceptions_by_id(self) -> dict[str, Exception_]:
        """The exceptions that findings name."""
        return {use.exception.id: use.exception for use in self.exceptions}
