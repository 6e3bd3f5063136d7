"""Runs a plan on objects.

Rules on single objects need nothing but the object, so they run while files are read, in any process. Rules on the
inventory run at the end, on the objects of the kinds that they need.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

from kubeassay import __version__
from kubeassay.analysis.facts import CUSTOM_RESOURCES, WORKLOADS
from kubeassay.analysis.fields import FieldProblem, check_pod_spec, problems_of, without
from kubeassay.analysis.kinds import unknown_kind
from kubeassay.analysis.workloads import (
    BUILT_IN_GROUPS,
    TEMPLATE_PATHS,
    PodTemplate,
    operator_pods,
    pod_templates,
    with_value_at,
)
from kubeassay.checks.check import ContainerSubject, NotApplicable, NotJudged, Passed, Violation
from kubeassay.checks.exceptions import ExceptionSubject
from kubeassay.engine.elsewhere import Identity, at_judged, identity, namespaces_of, without_replaced
from kubeassay.engine.exceptions import Judged, Watch, accepted, finding_of, usage_of, uses_of
from kubeassay.engine.findings import SourceText, make_finding, source_of
from kubeassay.engine.in_tree import InTree, in_tree
from kubeassay.engine.live import gaps_of, judged_kinds, knows_no_groups, namespace_about, readable_only, saying
from kubeassay.engine.matcher import Matcher
from kubeassay.engine.plan import ActiveRule, Plan, accepting_rules, rules_of
from kubeassay.model import (
    NOT_FOLLOWED,
    ControlSummary,
    ExceptionUse,
    Finding,
    Inventory,
    NotEvaluated,
    Object,
    Path,
    ReadError,
    Result,
    Skipped,
    Subject,
    Summary,
    Target,
    counted,
    format_path,
)
from kubeassay.policy.library import highest
from kubeassay.sources.rendering import RENDERED

_MAX_NAMED_PROBLEMS = 3
#: Reasons that are about how a cluster was read, not about an object.
_OF_READING = frozenset({"forbidden", "not-read", "not-readable"})


@dataclass(slots=True)
class Partial:
    """What came of some of the files. It can be sent to another process, and merged."""

    findings: list[Finding] = field(default_factory=list)
    #: Subjects that passed, and that were not judged, by number of the rule in the plan.
    passed: list[int] = field(default_factory=list)
    not_judged: list[int] = field(default_factory=list)
    #: Subjects that passed, by file, where the plan asks for that.
    passed_in: Counter[str] = field(default_factory=Counter)
    not_evaluated: list[NotEvaluated] = field(default_factory=list)
    errors: list[ReadError] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    #: Objects that rules on the inventory need, and that other rules judge their subjects by; without their places.
    kept: list[Object] = field(default_factory=list)
    #: Exceptions that stand in what was read, and where rules judged what exceptions name.
    in_tree: list[InTree] = field(default_factory=list)
    judged: set[Judged] = field(default_factory=set)
    #: What names the objects that were read, where others are read to judge them by.
    declared: set[Identity] = field(default_factory=set)
    objects: int = 0
    files: int = 0

    @classmethod
    def of(cls, plan: Plan) -> Partial:
        """Of no file yet."""
        count = len(plan.rules)
        return cls(passed=[0] * count, not_judged=[0] * count)

    def add(self, other: Partial) -> None:
        """Take over what another part yielded."""
        self.findings += other.findings
        self.not_evaluated += other.not_evaluated
        self.errors += other.errors
        self.skipped += other.skipped
        self.kept += other.kept
        self.in_tree += other.in_tree
        self.judged |= other.judged
        self.declared |= other.declared
        self.objects += other.objects
        self.files += other.files
        self.passed_in.update(other.passed_in)
        for own, others in ((self.passed, other.passed), (self.not_judged, other.not_judged)):
            for number, count in enumerate(others):
                own[number] += count


class _Rules:
    """The rules of a plan by subject: those that need nothing but their subject, or those that need other objects."""

    __slots__ = ("by_namespace", "containers", "namespaces", "objects", "pods", "workloads")

    def __init__(self, plan: Plan, *, joined: bool) -> None:
        def of(subject: Subject) -> tuple[tuple[ActiveRule, Matcher], ...]:
            return tuple(pair for pair in plan.of_subject(subject) if bool(pair[0].rule.context) == joined)

        self.objects = of("object")
        self.workloads = of("workload")
        self.namespaces = of("namespace")
        self.pods = of("pod")
        self.containers = of("container")
        #: Whether rules on pods hold for some namespaces only.
        self.by_namespace = any(m.by_namespace for _, m in (*self.workloads, *self.pods, *self.containers))

    def __bool__(self) -> bool:
        return bool(self.objects or self.workloads or self.namespaces or self.pods or self.containers)


#: File → what inventory rules found in it.
Found = dict[str, list[tuple[ActiveRule, Object, Violation]]]
#: Finds an object again by its file and its number in it, with its places and the file's text.
Reread = Callable[[str, int], tuple[Object, SourceText]]


class Evaluation:
    """Evaluates one plan, object by object, into a :class:`Partial`.

    First every file (:meth:`file`), with the rules that need nothing but their subject. Then, with the objects of all
    files that rules name as their context, the rules that do (:meth:`join`). Last, where everything is together, the
    rules on the inventory (:meth:`inventory`).
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        #: Whether nothing is kept of what passed but how much it is.
        self._counts_alone = not plan.show_pass and not plan.count_by_file
        self.put(Partial.of(plan))
        self._local = _Rules(plan, joined=False)
        self._joined = _Rules(plan, joined=True)
        self._on_pods = any(plan.of_subject(subject) for subject in ("workload", "pod", "container"))
        inventory_rules = plan.of_subject("inventory")
        self._context = frozenset(kind for active in plan.rules for kind in active.rule.context)
        self._needed = self._context | {kind for active, _ in inventory_rules for kind in active.rule.needs}
        self._keep_all = any(not active.rule.needs for active, _ in inventory_rules)
        #: What :meth:`join` judges: objects without their places, and whether they are valid.
        self._waiting: list[tuple[Object, bool]] = []
        self._watch = Watch(plan.exceptions, plan.rules)
        #: Exceptions that stand in what was read, by file and number of their object.
        self._stated: dict[tuple[str, int], list[InTree]] = {}
        #: Where there are objects that others are judged by alone: the namespaces of those that are judged.
        self._own_namespaces: set[str | None] = set()
        #: After the files were read: finds an object again, with its places.
        self._reread: Reread | None = None

    @property
    def joins(self) -> bool:
        """Whether :meth:`join` has anything to do."""
        return bool(self._joined)

    def context(self, kept: Iterable[Object]) -> list[Object]:
        """Those of the kept objects that :meth:`join` needs."""
        return [obj for obj in kept if obj.ref.kind in self._context]

    def take(self) -> Partial:
        """What was evaluated so far; what follows begins with nothing."""
        taken = self.partial
        self.put(Partial.of(self.plan))
        return taken

    def put(self, partial: Partial) -> None:
        """Go on with what was evaluated elsewhere."""
        self.partial = partial
        self._passed, self._not_evaluated = partial.passed, partial.not_judged

    def file(self, objects: Iterable[Object], source: SourceText) -> None:
        """Evaluate the objects of one file."""
        start = len(self.partial.findings)
        self.partial.files += 1
        in_tree = self._in_tree(source)
        for obj in objects:
            self.partial.objects += 1
            if self.plan.live.elsewhere:
                name = identity(obj)
                if name is not None:
                    self.partial.declared.add(name)
            if obj.duplicate_keys and source.text.lstrip()[:1] in ("{", "["):
                self._say_ambiguous(obj)
            judged, templates, valid = self._understood(obj)
            stated = in_tree.get(obj.number, ())
            if self.plan.live.judges(obj):
                self._rules_on(self._local, obj, judged, templates, source, valid)
                self.partial.in_tree += stated
                if valid and (stated or self._watch):
                    self.partial.judged.update(self._watch.read(obj, bool(templates), stated))
            if self._is_needed(obj, judged, templates):
                # Analyses of other kinds tell themselves what an API server would make of a mistyped value. Most
                # objects have no finding, and places take more memory and time than values: they are looked up again.
                self.partial.kept.append((judged if templates else obj).without_places())
            joined = self._joined and (templates or self._joined.objects or self._joined.namespaces)
            if joined and self.plan.live.judges(obj):
                self._waiting.append((judged.without_places(), valid))
        self._hash_lines(start, source)

    def part(self, source: SourceText) -> None:
        """Take up the exceptions in comments of a file that rendered objects are made of: those in its annotations are
        in what was rendered."""
        self.partial.in_tree += [
            one for stated in self._in_tree(source).values() for one in stated if one.exception.origin == "comment"
        ]

    def elsewhere(self, objects: Iterable[Object]) -> None:
        """Keep what rules need of the objects of one file that others are judged by, and which are not judged. What
        is to be said of them alone is not said."""
        said = len(self.partial.not_evaluated)
        for obj in objects:
            judged, templates, _ = self._understood(obj)
            if self._is_needed(obj, judged, templates):
                self.partial.kept.append((judged if templates else obj).without_places())
        del self.partial.not_evaluated[said:]

    def settle(self, partial: Partial) -> None:
        """After all files were read: of an object that is both judged and among those that others are judged by, the
        judged one counts."""
        if self.plan.live.elsewhere:
            partial.kept = without_replaced(partial.kept, partial.declared, self.plan.live)
            self._own_namespaces = namespaces_of(partial.declared)

    def _is_needed(self, obj: Object, judged: Object, templates: tuple[PodTemplate, ...]) -> bool:
        """Whether rules on the inventory, or rules with a context, need the object."""
        if self._keep_all or obj.ref.kind in self._needed:
            return True
        if CUSTOM_RESOURCES in self._needed and obj.ref.group not in BUILT_IN_GROUPS:
            return True
        # What makes pods in a way that is not known is a workload, too: rules must know what they do not know.
        return WORKLOADS in self._needed and (bool(templates) or operator_pods(judged, templates) is not None)

    def _hash_lines(self, start: int, source: SourceText) -> None:
        """The line hashes of findings in one file; those of rendered objects, in several others, have theirs."""
        findings = self.partial.findings
        source.prepare({finding.location.start_line for finding in findings[start:] if finding.line_hash is None})
        for number in range(start, len(findings)):
            finding = findings[number]
            if finding.line_hash is not None:
                continue
            findings[number] = replace(finding, line_hash=source.line_hash(finding.location.start_line))

    def join(self, context: Iterable[Object], reread: Reread) -> None:
        """Evaluate the rules that judge their subjects by other objects (``context``, of all files)."""
        everything = _in_reading_order(context)
        rules = _Rules(_with_context(self.plan, everything), joined=True)
        self._reread = reread
        for file, waiting in groupby(self._waiting, key=lambda entry: entry[0].file):
            start = len(self.partial.findings)
            for obj, valid in waiting:
                self._rules_on(rules, obj, obj, pod_templates(obj, self.plan.pod_template_paths), None, valid)
            if len(self.partial.findings) > start:
                self._hash_lines(start, reread(file, 0)[1])
        self._reread = None
        self._waiting.clear()

    def _understood(self, obj: Object) -> tuple[Object, tuple[PodTemplate, ...], bool]:
        """An object without its mistyped values, its pod templates, and whether it was understood as a whole. What was
        not is said."""
        kind = obj.ref.kind
        if unknown_kind(obj.ref.api_version, kind) is not None:
            self._say(
                obj,
                "unknown-kind",
                f"{obj.ref}: Kubernetes has no kind {kind} in {obj.ref.api_version}, so nothing of it was judged",
            )
        problems = self._type_problems(obj)
        judged = obj.with_value(without(obj.value, problems)) if problems else obj
        templates = pod_templates(judged, self.plan.pod_template_paths)
        if (obj.ref.group, kind) in TEMPLATE_PATHS:
            if not templates:
                self._no_template(obj, "pod template")
            elif not any(container.type == "container" for container in templates[0].containers):
                self._no_template(obj, "container")
                return judged, templates, False
        elif templates:
            problems = [
                problem
                for template in templates
                for problem in check_pod_spec(dict(template.spec), template.spec_path, self.plan.version.minor)
            ]
            if problems:
                judged = obj.with_value(without(obj.value, problems))
                templates = pod_templates(judged, self.plan.pod_template_paths)
        if problems and templates:
            self._say_invalid(obj, problems)
        if self._on_pods and (obj.ref.group, obj.ref.kind) not in self.plan.live.followed:
            sign = operator_pods(judged, templates)
            if sign is not None:
                self._say_unsupported(obj, sign)
        return judged, templates, not problems

    def _rules_on(
        self,
        rules: _Rules,
        obj: Object,
        judged: Object,
        templates: tuple[PodTemplate, ...],
        source: SourceText | None,
        valid: bool,
    ) -> None:
        ref, value = obj.ref, obj.value
        metadata_only = not ref.group and ref.kind in self.plan.live.metadata_only
        for active, matcher in rules.objects:
            if (not active.rule.needs or ref.kind in active.rule.needs) and matcher.object(ref, value):
                if metadata_only and (ref.kind in active.rule.needs or active.rule.manifest_only):
                    if not active.rule.manifest_only:
                        said = f"of objects of kind {ref.kind} only the metadata is read from a cluster"
                        self._not_judged(active, NotJudged("metadata-only", said), None)
                    continue
                self._run(active, obj, obj, (), source, True)
        if ref.kind == "Namespace" and ref.group == "":
            for active, matcher in rules.namespaces:
                if matcher.object(ref, value):
                    self._run(active, obj, obj, (), source, True)
        if not templates:
            return
        if ref.namespace is None and rules.by_namespace:
            self._say(
                obj,
                "no-namespace",
                f"{obj.ref} states no namespace, so rules that hold for some namespaces did not judge it",
            )
        for active, matcher in rules.workloads:
            if matcher.object(ref, value):
                self._run(active, obj, judged, (), source, valid)
        for template in templates:
            self._template(rules, obj, template, source, valid)
        for form in self.plan.live.as_run.get(obj.file, ()):
            self._as_run(rules, judged, templates[0], form, source)

    def _type_problems(self, obj: Object) -> list[FieldProblem]:
        return [p for p in problems_of(obj, self.plan.version.minor) if p.kind == "mistyped"]

    def _template(
        self, rules: _Rules, obj: Object, template: PodTemplate, source: SourceText | None, valid: bool
    ) -> None:
        spoken: dict[str, set[Path]] = {}
        ref, value = obj.ref, obj.value
        for active, matcher in rules.pods:
            if matcher.everything or matcher.object(ref, value):
                self._run(active, obj, template, template.spec_path, source, valid, spoken)
        on_containers = [pair for pair in rules.containers if pair[1].everything or pair[1].object(ref, value)]
        if not on_containers:
            return
        for container in template.containers:
            subject = ContainerSubject(container, template)
            for active, matcher in on_containers:
                if matcher.everything or matcher.container(container.name):
                    self._run(active, obj, subject, container.path, source, valid, spoken)

    def _as_run(
        self,
        rules: _Rules,
        owner: Object,
        template: PodTemplate,
        form: Mapping[str, Any],
        source: SourceText | None,
    ) -> None:
        """Evaluate the rules on pods and containers on pods that differ from their owner's template, and tell at the
        owner what they find in those alone. Nothing passes by it."""
        run = owner.with_value(with_value_at(owner.value, template.path, dict(form)))
        found = next((t for t in pod_templates(run, self.plan.pod_template_paths) if t.path == template.path), None)
        if found is None:
            return
        spoken: dict[str, set[Path]] = {}
        for active, matcher in rules.pods:
            if matcher.everything or matcher.object(owner.ref, owner.value):
                self._difference(active, run, found, template, found.spec_path, source, spoken)
        declared = {container.name: ContainerSubject(container, template) for container in template.containers}
        for container in found.containers:
            subject = ContainerSubject(container, found)
            for active, matcher in rules.containers:
                if matcher.everything or (matcher.object(owner.ref, owner.value) and matcher.container(container.name)):
                    before = declared.get(container.name)
                    self._difference(active, run, subject, before, container.path, source, spoken)

    def _difference(
        self,
        active: ActiveRule,
        run: Object,
        subject: Any,
        before: Any,
        base: Path,
        source: SourceText | None,
        spoken: dict[str, set[Path]],
    ) -> None:
        """Run one rule on what runs, and tell what it does not say of what is declared (``before``; None: nothing)."""
        try:
            said = tuple(active.function(subject, active.context))
            known = set(active.function(before, active.context)) if said and before is not None else set()
        except Exception as error:  # as in _run
            self._crash(active, run, error)
            return
        stated = {(one.path, one.message) for one in known if isinstance(one, Violation)}
        for violation in said:
            if isinstance(violation, NotJudged):
                if violation not in known:
                    self._not_judged(active, violation, run)
                continue
            if not isinstance(violation, Violation):
                continue
            if active.yields_to and any(violation.path in spoken.get(i, ()) for i in active.yields_to):
                continue
            if active.rule.id in self.plan.yielded_to:
                spoken.setdefault(active.rule.id, set()).add(violation.path)
            if (violation.path, violation.message) not in stated:
                message = f"{violation.message} (in pods that run, not in the template)"
                self._found(active, run, replace(violation, message=message, fixable=False, repair=None), source, base)

    def _run(
        self,
        active: ActiveRule,
        obj: Object,
        subject: Any,
        base: Path,
        source: SourceText | None,
        valid: bool,
        spoken: dict[str, set[Path]] | None = None,
    ) -> None:
        """Run one rule on one subject. ``valid`` False: parts of the subject were left out, so nothing passes."""
        try:
            said = active.function(subject, active.context)
            if said.__class__ is not tuple:
                said = tuple(said)
        except Exception as error:
            # A rule that crashes is a mistake of the tool or of a user's rule. It must not cost the other rules'
            # findings, and it must not pass.
            self._crash(active, obj, error)
            return
        if not said:
            if valid and self._counts_alone:
                self._passed[active.number] += 1
            else:
                self._silent(active, obj, subject, base, source, valid)
            return
        for violation in said:
            if isinstance(violation, NotJudged):
                self._not_judged(active, violation, obj)
                continue
            if not isinstance(violation, Violation):
                # NotApplicable; Passed is for the inventory alone, and says nothing new here.
                continue
            if spoken is not None:
                if active.yields_to and any(violation.path in spoken.get(i, ()) for i in active.yields_to):
                    continue
                if active.rule.id in self.plan.yielded_to:
                    spoken.setdefault(active.rule.id, set()).add(violation.path)
            self._found(active, violation.obj or obj, violation, source, base)

    def _silent(
        self, active: ActiveRule, obj: Object, subject: Any, base: Path, source: SourceText | None, valid: bool
    ) -> None:
        """A rule found nothing on a subject."""
        if valid:
            self._passed[active.number] += 1
            if self.plan.count_by_file:
                self.partial.passed_in[obj.file] += 1
            if self.plan.show_pass:
                self._record(active, obj, subject, base, source, "pass", None)
        else:
            self._not_evaluated[active.number] += 1
            if self.plan.show_not_evaluated:
                self._record(active, obj, subject, base, source, "not-evaluated", "invalid-object")

    def _found(
        self, active: ActiveRule, obj: Object, violation: Violation, source: SourceText | None, base: Path
    ) -> None:
        if self._reread is not None:
            # The object last: the text at hand is that of its file.
            related = tuple(
                (message, self._reread(other.file, other.number)[0], path) for message, other, path in violation.related
            )
            violation = replace(violation, related=related)
            obj, source = self._reread(obj.file, obj.number)
        finding = make_finding(active, obj, violation, source, base)
        if self.plan.places is not None:
            finding = self.plan.places.placed(finding, active, obj, violation, base)
        in_tree = self._in_tree(source).get(obj.number, ()) if source is not None else ()
        if obj.made_of is not None:
            in_tree = (*in_tree, *self._comments_at(obj, violation))
        exception = self.plan.exceptions.accepting(finding, obj, violation, in_tree)
        self.partial.findings.append(finding if exception is None else accepted(finding, exception))

    def _comments_at(self, obj: Object, violation: Violation) -> Iterator[InTree]:
        """The exceptions in comments of the file that states a field of a rendered object."""
        assert obj.made_of is not None
        traced = obj.made_of.trace(obj, violation.path, key=violation.key)
        if traced.obj is not None:
            for one in self._in_tree(source_of(traced.document)).get(traced.obj.number, ()):
                if one.exception.origin == "comment":
                    yield one

    def _in_tree(self, source: SourceText) -> Mapping[int, Sequence[InTree]]:
        """The exceptions that stand in a file, by the numbers of their objects."""
        if not source.marked:
            return {}
        if source.in_tree is None:
            found: dict[int, list[InTree]] = defaultdict(list)
            # The text of a live object is made where it is needed, and has no comments.
            text = source.given if isinstance(source.given, str) else None
            for one in in_tree(
                source.objects, text, self.plan.known_rules, self.plan.pod_template_paths, self.plan.imports
            ):
                found[one.number].append(one)
            source.in_tree = found
        return source.in_tree

    def _record(
        self,
        active: ActiveRule,
        obj: Object,
        subject: Any,
        base: Path,
        source: SourceText | None,
        outcome: Any,
        reason: str | None,
    ) -> None:
        if self._reread is not None:
            obj, _ = self._reread(obj.file, obj.number)
        container = subject.container.name if isinstance(subject, ContainerSubject) else None
        violation = Violation(path=base, message=active.rule.title, container=container)
        finding = make_finding(active, obj, violation, None, base, outcome=outcome, reason=reason)
        if self.plan.places is not None:
            finding = self.plan.places.placed(finding, active, obj, violation, base)
        self.partial.findings.append(finding)

    def _not_judged(self, active: ActiveRule, said: NotJudged, obj: Object | None) -> None:
        about = said.obj or obj
        if about is not None and not self.plan.live.judges(about):
            # What is not known of another object in the namespace of one that is judged, or of one that is in none,
            # may be what that one was not passed for.
            where = namespace_about(about.ref)
            if about.file not in self.plan.live.elsewhere or not (where is None or where in self._own_namespaces):
                return
        self._not_evaluated[active.number] += 1
        self.partial.not_evaluated.append(
            NotEvaluated(
                said.reason,
                said.detail,
                rule=active.rule.id,
                namespace=about.ref.namespace if about else None,
                # What was not read is said once for all objects of a namespace that it is about.
                file=about.file if about and said.reason not in _OF_READING else None,
            )
        )

    def _crash(self, active: ActiveRule, obj: Object | None, error: Exception) -> None:
        self._not_evaluated[active.number] += 1
        where = f" on {obj.ref}" if obj is not None else ""
        self.partial.not_evaluated.append(
            NotEvaluated(
                "rule-error",
                f"rule {active.rule.id} failed{where}: {type(error).__name__}: {error}",
                rule=active.rule.id,
                namespace=obj.ref.namespace if obj is not None else None,
                file=obj.file if obj is not None else None,
            )
        )

    def _no_template(self, obj: Object, missing: str) -> None:
        self._say(
            obj,
            "invalid-object",
            f"{obj.ref} has no {missing}, without which an API server refuses it, so nothing of its pods passed",
        )

    def _say(self, obj: Object, reason: str, detail: str) -> None:
        """Note that an object was not judged, or not as a whole."""
        self.partial.not_evaluated.append(NotEvaluated(reason, detail, namespace=obj.ref.namespace, file=obj.file))

    def _say_several(self, inventory: Inventory) -> None:
        """Two objects of one name are two clusters (a tree with a folder for each environment), or a mistake: rules
        that join objects may have judged one by the other, so not all that they passed is certain."""
        several = list(inventory.in_several_files(_one_namespace))
        if several:
            first, other = several[0]
            more = f", and {len(several) - 1} more likewise" if len(several) > 1 else ""
            # Of objects that others are judged by, too: one of several was taken.
            self._say(
                first,
                "ambiguous",
                f"{first.ref} stands in {first.file} and in {other.file}{more}: rules that join objects took everything"
                " for one cluster; scan one environment at a time",
            )

    def _say_ambiguous(self, obj: Object) -> None:
        path, _ = obj.duplicate_keys[0]
        self._say(
            obj,
            "ambiguous",
            f"{obj.ref}: {format_path(path)} stands twice in JSON; kubectl takes the last value, which was judged,"
            " and an API server that gets the file itself merges both",
        )

    def _say_unsupported(self, obj: Object, sign: Path) -> None:
        self._say(
            obj,
            "unsupported",
            f"{obj.ref}: an operator makes pods of it ({format_path(sign)}), which were not judged; a configuration"
            " can name paths of pod templates (podTemplatePaths)",
        )

    def _say_invalid(self, obj: Object, problems: Sequence[FieldProblem]) -> None:
        named = ", ".join(
            f"{format_path(p.path)} is {p.found}, not {p.expected}" for p in problems[:_MAX_NAMED_PROBLEMS]
        )
        more = f" and {len(problems) - _MAX_NAMED_PROBLEMS} more" if len(problems) > _MAX_NAMED_PROBLEMS else ""
        self._say(
            obj,
            "invalid-object",
            f"{obj.ref}: an API server refuses it ({named}{more}), so rules without a finding did not pass",
        )

    def everything(self) -> Inventory:
        """The kept objects. That some of them may be of several clusters is said."""
        inventory = _in_reading_order(self.partial.kept)
        for one in self.partial.in_tree:
            self._stated.setdefault((one.location.file, one.number), []).append(one)
        if self.plan.of_subject("inventory"):
            self._say_several(inventory)
        return inventory

    def inventory(self, inventory: Inventory, reread: Reread, areas: Container[str] | None = None) -> Found:
        """Evaluate the inventory rules (of some areas) on the kept objects; :meth:`find` makes findings of what they
        found."""
        found: Found = defaultdict(list)
        self._reread = reread
        for active, matcher in self.plan.of_subject("inventory"):
            if areas is not None and active.rule.area not in areas:
                continue
            kinds = (*active.rule.needs, *active.rule.context)
            gaps = gaps_of(kinds, self.plan.live.unread, namesakes=knows_no_groups(active.rule))
            if gaps.blocking:
                self._not_evaluated[active.number] += 1
                self.partial.not_evaluated.append(saying(active.rule.id, gaps.blocking, "the rule did not run"))
                continue
            if gaps:
                self.partial.not_evaluated.append(
                    saying(active.rule.id, (*gaps.named, *gaps.possible), "the rule passes nothing")
                )
            try:
                for said in active.function(inventory, active.context):
                    if isinstance(said, NotJudged):
                        self._not_judged(active, said, said.obj)
                        continue
                    if isinstance(said, NotApplicable):
                        continue
                    obj = said.obj
                    if obj is None:
                        raise ValueError("a violation of an inventory rule names no object")
                    if not matcher.object(obj.ref, obj.value):
                        continue
                    if not self.plan.live.judges(obj):
                        if not isinstance(said, Violation):
                            continue
                        moved = at_judged(said, inventory, self.plan.live, self.plan.pod_template_paths)
                        if moved is None or moved.obj is None:
                            continue
                        obj, said = moved.obj, moved
                    if gaps and (isinstance(said, Passed) or gaps.cover(namespace_about(obj.ref))):
                        self._not_evaluated[active.number] += 1
                    elif isinstance(said, Passed):
                        self._silent(active, obj, obj, (), None, True)
                        stated = self._stated.get((obj.file, obj.number), ())
                        self.partial.judged.update(self._watch.judged(active.rule.id, obj, stated))
                    elif matcher.container(said.container):
                        found[obj.file].append((active, obj, said))
            except Exception as error:  # as in _run
                self._crash(active, None, error)
        self._reread = None
        return found

    def find(self, found: Found, files: Iterable[str], reread: Reread) -> None:
        """Make the findings in some files: each is read again once, whichever rules found something in it."""
        self._reread = reread
        for file in files:
            violations = found[file]
            start = len(self.partial.findings)
            for active, obj, violation in violations:
                self._found(active, obj, violation, None, violation.base or ())
            self._hash_lines(start, reread(file, 0)[1])
        self._reread = None


def _one_namespace(first: Object, other: Object) -> bool:
    """Whether two are the Namespace of two applications of one environment, each of which makes it."""
    rendered = first.file.endswith(RENDERED) and other.file.endswith(RENDERED)
    return rendered and first.ref.kind == "Namespace" and first.value == other.value


def _in_reading_order(objects: Iterable[Object]) -> Inventory:
    """Objects of several files, in the same order whichever process read them first."""
    return Inventory(sorted(objects, key=lambda obj: obj.file))


def _with_context(plan: Plan, inventory: Inventory) -> Plan:
    """The plan, with its rules knowing the objects of the kinds that they name as their context."""

    def known(active: ActiveRule) -> ActiveRule:
        kinds = active.rule.context
        if not kinds:
            return active
        objects = Inventory(obj for obj in inventory if obj.ref.kind in kinds)
        known = replace(active, context=replace(active.context, inventory=objects))
        gaps = gaps_of(kinds, plan.live.unread)
        if gaps and active.rule.subject != "inventory":
            return replace(known, function=readable_only(active.function, gaps))
        return known

    return replace(
        plan,
        by_subject={
            subject: tuple((known(active), matcher) for active, matcher in pairs)
            for subject, pairs in plan.by_subject.items()
        },
    )


def _judge_exceptions(plan: Plan, partial: Partial) -> tuple[ExceptionUse, ...]:
    """Evaluate the rules on exceptions; all exceptions, with what they accept."""
    uses = uses_of(plan.exceptions, partial.in_tree, partial.findings)
    rules = [active for active, _ in plan.of_subject("exception")]
    hidden = bool(partial.errors) or any(skipped.hides_objects for skipped in partial.skipped)
    live = plan.live
    whole = plan.exceptions.situation.cluster is not None and not (live.unread or live.namespaces or live.selector)
    judged: dict[str, list[Judged]] = defaultdict(list)
    for place in partial.judged:
        judged[place[0]].append(place)
    active_rules = set(accepting_rules(plan.rules))
    gaps: dict[str | None, list[NotEvaluated]] = defaultdict(list)
    for gap in partial.not_evaluated:
        gaps[gap.rule].append(gap)
    for use, one in uses if rules else ():
        runs = any(fnmatchcase(rule, use.exception.rule) for rule in active_rules)
        exact = use.exception.rule in gaps or use.exception.rule in active_rules
        about = [*gaps[use.exception.rule], *gaps[None]] if exact else partial.not_evaluated
        usage = usage_of(use, judged[use.exception.id], about, hidden) if runs else "unknown"
        subject = ExceptionSubject(use, usage, whole)
        for active in rules:
            said = tuple(active.function(subject, active.context))
            if not said:
                partial.passed[active.number] += 1
            for violation in said:
                if isinstance(violation, Violation):
                    partial.findings.append(finding_of(active, use, one, violation))
    return tuple(use for use, _ in uses)


def numbered(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Tell findings with one identity apart: the same object in several files, in the order of the files."""
    seen: dict[str, int] = defaultdict(int)
    for finding in findings:
        seen[finding.fingerprint] += 1
        count = seen[finding.fingerprint]
        yield finding if count == 1 else replace(finding, fingerprint=f"{finding.fingerprint}:{count}")


def _together(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding of those, next to each other, that one rule makes of one place for several controls, as where one of
    them narrows the rule to some kinds."""
    last: Finding | None = None
    for finding in findings:
        if last is not None and last.outcome in ("fail", "excepted") and _alike(last) == _alike(finding):
            controls = tuple(dict.fromkeys((*last.controls, *finding.controls)))
            last = replace(last, controls=controls, severity=highest([last.severity, finding.severity]))
            continue
        if last is not None:
            yield last
        last = finding
    if last is not None:
        yield last


def _alike(finding: Finding) -> tuple[Any, ...]:
    of = finding
    return (of.outcome, of.rule, of.fingerprint, of.object, of.path, of.container, of.message, of.location, of.reason)


def in_order(finding: Finding) -> tuple[Any, ...]:
    """What findings are sorted by."""
    location = finding.location
    return (
        location.file,
        location.start_line,
        location.start_column,
        finding.rule,
        finding.object.kind,
        finding.object.namespace or "",
        finding.object.name,
        finding.path,
        finding.container or "",
        finding.outcome,
        finding.message,
        finding.controls,
    )


def finish(plan: Plan, partial: Partial, target: Target) -> Result:
    """The result of everything that was evaluated."""
    not_evaluated = list(partial.not_evaluated)
    for unread in plan.live.unread:
        consequence = "rules that judge by it passed nothing" if plan.live.elsewhere else "nothing of it was judged"
        not_evaluated.append(saying(None, [unread], f"{unread.detail}; {consequence}"))
    for active in plan.rules if not plan.live.elsewhere else ():
        # A rule on the inventory has said it itself.
        if active.rule.subject != "inventory" and gaps_of(
            judged_kinds(active.rule), plan.live.unread, namesakes=knows_no_groups(active.rule)
        ):
            partial.not_judged[active.number] += 1
    for skipped in partial.skipped:
        if skipped.hides_objects:
            unfollowed = skipped.reason == NOT_FOLLOWED
            place = f"{skipped.file}:{skipped.line}" if unfollowed else skipped.file
            reason = NOT_FOLLOWED if unfollowed else "not-rendered"
            not_evaluated.append(NotEvaluated(reason, f"{place}: {skipped.detail}", file=skipped.file))
    if not partial.objects and not partial.errors:
        not_evaluated.append(NotEvaluated("no-objects", "no Kubernetes object was found in what was given"))
    exceptions = _judge_exceptions(plan, partial)
    findings = tuple(numbered(_together(sorted(partial.findings, key=in_order))))
    passed, not_judged = Counter[str](), Counter[str]()
    for active in plan.rules:
        for control in active.controls:
            passed[control] += partial.passed[active.number]
            not_judged[control] += partial.not_judged[active.number]
    rules, severities, controls = rules_of(plan)
    return Result(
        tool_version=__version__,
        profile=plan.profile,
        kubernetes_version=str(plan.version),
        target=target,
        summary=counted(
            Summary(
                passed=sum(partial.passed),
                not_evaluated=sum(partial.not_judged),
                objects=partial.objects,
                files=partial.files,
                by_control={
                    control.id: ControlSummary(passed=passed[control.id], not_evaluated=not_judged[control.id])
                    for control in plan.profile.controls
                },
            ),
            findings,
        ),
        findings=findings,
        not_evaluated=tuple(
            sorted(
                set(not_evaluated),
                key=lambda n: (n.reason, n.rule or "", n.namespace or "", n.file or "", n.detail),
            )
        ),
        errors=tuple(sorted(set(partial.errors), key=lambda e: (e.file, e.line or 0, e.column or 0, e.message))),
        skipped=tuple(sorted(set(partial.skipped), key=lambda s: (s.file, s.line or 0, s.reason, s.detail))),
        rules=rules,
        rule_severities=severities,
        controls=controls,
        exceptions=exceptions,
    )
