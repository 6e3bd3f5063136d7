"""Auditing a cluster, or a snapshot of one: its objects are judged by the same engine as manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from kubeassay.analysis.facts import CUSTOM_RESOURCES, WORKLOADS, kinds_of
from kubeassay.analysis.kinds import kinds_of_group
from kubeassay.analysis.owners import MADE, MAKERS, Makers, as_run, drift
from kubeassay.analysis.reading import items, mapping
from kubeassay.analysis.selectors import parse_selector
from kubeassay.analysis.workloads import BUILT_IN_GROUPS
from kubeassay.engine.findings import SourceText
from kubeassay.engine.live import TEMPLATE_KINDS, Live, is_custom, judged_kinds
from kubeassay.engine.plan import Plan
from kubeassay.execution.collector import idle_collector
from kubeassay.execution.declared import Matched, Sources
from kubeassay.execution.drift import drift as drift_of_sources
from kubeassay.execution.scan import Progress, scan
from kubeassay.model import Finding, NotEvaluated, Object, ObjectRef, Result, Rule, Target
from kubeassay.model.unread import METADATA_ONLY, Unread
from kubeassay.sources.cluster import Wanted
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.live_objects import without_places
from kubeassay.sources.snapshot import Snapshot, encode

_NAMED = 3
#: Owners whose template is kept for the next object that may be theirs.
_TEMPLATES_AT_HAND = 8
#: So many forms in which the pods of one owner run are judged.
_MOST_FORMS = 10


def _folders(kinds: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"/{group or 'core'}.{kind}/" for group, kind in sorted(kinds))


#: By the folder of their place: of these an object may be an owner, and have one.
_FOLDERS_OF_MAKERS = _folders(MAKERS)
_FOLDERS_OF_MADE = _folders(MADE)


def wanted(plan: Plan) -> Wanted:
    """The kinds that the rules of a plan need, and no others."""
    found = everything_wanted(active.rule for active in plan.rules)
    # Where a configuration says that there are pod templates, too.
    own = {kind for _, kind in plan.pod_template_paths}
    return replace(
        found,
        kinds=found.kinds if found.kinds.isdisjoint(TEMPLATE_KINDS) else found.kinds | own,
        everywhere=found.everywhere if found.everywhere.isdisjoint(TEMPLATE_KINDS) else found.everywhere | own,
    )


def everything_wanted(rules: Iterable[Rule]) -> Wanted:
    """The kinds that some rules need."""
    kinds: set[str] = set()
    joined: set[str] = set()
    for rule in rules:
        joined.update(rule.context)
        if rule.subject != "inventory":
            kinds.update(judged_kinds(rule))
        elif rule.needs:
            joined.update(rule.needs)
        else:
            joined.add(CUSTOM_RESOURCES)
            joined.update(kind for group in BUILT_IN_GROUPS for kind in kinds_of_group(group))
    if WORKLOADS in joined:
        # A word for many kinds, and no kind: scheduling.k8s.io and Kueue have one of that name.
        joined = (joined - {WORKLOADS}) | TEMPLATE_KINDS
    if joined or not kinds.isdisjoint(TEMPLATE_KINDS):
        # What a pod belongs to, and which namespaces there are.
        kinds |= {"Namespace"}
    if not (joined | kinds).isdisjoint(TEMPLATE_KINDS):
        kinds |= TEMPLATE_KINDS
    return Wanted(frozenset(kinds | joined), CUSTOM_RESOURCES in joined, frozenset(joined))


@idle_collector()
def audit(
    plan: Plan,
    snapshot: Snapshot,
    *,
    not_evaluated: Iterable[NotEvaluated] = (),
    processes: int | None = None,
    progress: Progress | None = None,
    sources: Sources | None = None,
) -> Result:
    """Judge what was read of a cluster. ``sources``: the manifests that its objects are to be declared by."""
    live = Live(
        (*snapshot.unread, *_not_asked(wanted(plan), snapshot)),
        METADATA_ONLY,
        None if snapshot.namespaces is None else frozenset(snapshot.namespaces),
        parse_selector(snapshot.selector) if snapshot.selector else None,
    )
    drifts = _Drifts(snapshot.files, live)
    live = replace(live, as_run={file: tuple(forms.values()) for file, forms in drifts.forms.items()})
    if live.selector is not None:
        live = replace(live, owners=frozenset(drifts.owners_of_judged))
    matched = Matched(sources, snapshot) if sources is not None else None
    result = scan(
        replace(plan, live=live, count_by_file=True, places=None if matched is None else matched.manifests),
        _discovery(snapshot, drifts.made),
        Target("cluster", snapshot.cluster, snapshot.namespaces, snapshot.selector),
        processes=processes,
        progress=progress,
        not_evaluated=(*not_evaluated, *drifts.said(live), *_nothing(snapshot, live)),
    )
    texts = {} if matched is None else matched.manifests.texts()
    for file, lines in _lines(result.findings).items():
        if file in texts:
            texts[file].prepare(lines)
    return replace(
        result,
        findings=tuple(_of_cluster(finding, snapshot, texts) for finding in result.findings),
        drift=None if matched is None else drift_of_sources(matched, live),
    )


def _lines(findings: Iterable[Finding]) -> Mapping[str, set[int]]:
    lines: dict[str, set[int]] = defaultdict(set)
    for finding in findings:
        lines[finding.location.file].add(finding.location.start_line)
    return lines


def _of_cluster(finding: Finding, snapshot: Snapshot, texts: Mapping[str, SourceText]) -> Finding:
    """A finding with its object's path in the API. What identifies its line, where that is no manifest's, is its own
    identity: the text of a live object holds what changes by itself (its status), and nobody has it checked out."""
    digest, _, occurrence = finding.fingerprint.partition(":")
    text = texts.get(finding.location.file)
    if text is not None:
        hashed = text.line_hash(finding.location.start_line)
    elif finding.location.file in snapshot.files:
        hashed = f"{digest[:16]}:{occurrence or 1}"
    else:
        # A manifest that is rendered, whose places are in what it is made of.
        hashed = finding.line_hash
    return replace(finding, api_path=snapshot.api_path(finding.object), line_hash=hashed)


def discovered(snapshot: Snapshot) -> Discovery:
    """The objects of a cluster but those that others made, which are judged at their owner."""
    return _discovery(snapshot, _Drifts(snapshot.files, Live()).made)


def _discovery(snapshot: Snapshot, made: Container[str]) -> Discovery:
    return Discovery(
        files=[
            SourceFile("", name, snapshot.files.size(name), live=snapshot.files)
            for name in snapshot.files
            if name not in made
        ]
    )


def unread_of(needs: Iterable[str], snapshot: Snapshot) -> tuple[Unread, ...]:
    """What was not read of a cluster, of kinds that are needed everywhere (as rules name them, or analyses)."""
    kinds = set(kinds_of(needs))
    if WORKLOADS in kinds:
        kinds |= TEMPLATE_KINDS
    needed = Wanted(frozenset(kinds), CUSTOM_RESOURCES in kinds, frozenset(kinds))
    return (*snapshot.unread, *_not_asked(needed, snapshot))


def unread_to_judge_by(plan: Plan, snapshot: Snapshot) -> tuple[Unread, ...]:
    """What was not read of a cluster by whose objects others are judged, of the kinds that the rules of a plan join."""
    needed = wanted(plan)
    joined = replace(needed, kinds=needed.everywhere)
    return (*snapshot.unread, *_not_asked(joined, snapshot))


def _nothing(snapshot: Snapshot, live: Live) -> Iterator[NotEvaluated]:
    """What was to be judged and is not there: a mistyped name is no cluster without findings."""
    root = f"clusters/{snapshot.cluster}"
    for namespace in snapshot.namespaces or ():
        place = f"{root}/_cluster/core.Namespace/{namespace}.yaml"
        if place not in snapshot.files and not any(name.startswith(f"{root}/{namespace}/") for name in snapshot.files):
            said = f"no object of namespace {namespace} was read: is there such a namespace?"
            yield NotEvaluated("no-objects", said, namespace=namespace)
    if live.selector is not None:
        objects = (without_places(content, name) for name, content in snapshot.files.items())
        if not any(obj is not None and live.judges(obj) for obj in objects):
            yield NotEvaluated("no-objects", f"no object that is judged has the labels {snapshot.selector}")


def _not_asked(needed: Wanted, snapshot: Snapshot) -> Iterator[Unread]:
    """What is needed of a snapshot that was made for other rules."""
    all_custom = CUSTOM_RESOURCES in snapshot.asked
    for kind in sorted(needed.kinds - set(snapshot.asked)):
        if all_custom and is_custom(kind):
            continue
        yield Unread("", kind, None, "not-read", "the snapshot was made for other rules")
    for kind in sorted(needed.everywhere.intersection(snapshot.narrowed)):
        yield Unread("", kind, None, "not-read", "the snapshot was made for other rules", snapshot.namespaces or ())
    if needed.custom and not all_custom:
        yield Unread("*", "", None, "not-read", "the snapshot was made for other rules")


class _Drifts:
    """What is judged at its owner, and in what it differs from the owner's template. One object at a time is decoded,
    and of those that may be owners a few: all pods of a cluster take many times the memory of their JSON."""

    def __init__(self, files: Mapping[str, bytes], live: Live) -> None:
        self._files = files
        makers = Makers(self._objects(files, _FOLDERS_OF_MAKERS))
        #: The places of what is judged at its owner, and of the owners of what the selector selects.
        self.made: set[str] = set()
        self.owners_of_judged: set[str] = set()
        #: By owner: what differs, of how many objects, and the first of these.
        self._found: dict[str, tuple[set[str], list[ObjectRef]]] = {}
        #: By owner: its template in the forms in which pods run that differ from it, by their JSON.
        self.forms: dict[str, dict[bytes, Mapping[str, Any]]] = defaultdict(dict)
        #: Owners of which more forms run than are judged.
        self._beyond: set[str] = set()
        templates = lru_cache(_TEMPLATES_AT_HAND)(self._object)
        for obj in self._objects(files, _FOLDERS_OF_MADE):
            owner = makers.top(obj)
            if owner is None:
                continue
            self.made.add(obj.file)
            if live.judges(obj):
                self.owners_of_judged.add(owner.file)
            if _is_over(obj) or (live.namespaces is not None and obj.ref.namespace not in live.namespaces):
                continue
            differences = set(drift(obj, templates(owner.file)))
            if differences:
                all_differences, objects = self._found.setdefault(owner.file, (set(), []))
                all_differences |= differences
                objects.append(obj.ref)
                self._keep(obj, templates(owner.file))

    def _keep(self, obj: Object, owner: Object) -> None:
        form = as_run(obj, owner)
        if form is None:
            return
        text = encode(form)
        forms = self.forms[owner.file]
        if text not in forms and len(forms) >= _MOST_FORMS:
            self._beyond.add(owner.file)
        else:
            forms[text] = form

    def _objects(self, files: Iterable[str], folders: Iterable[str]) -> Iterator[Object]:
        for name in files:
            if any(folder in name for folder in folders):
                obj = without_places(self._files[name], name)
                if obj is not None:
                    yield obj

    def _object(self, name: str) -> Object:
        obj = without_places(self._files[name], name)
        # It was read before, as a maker.
        assert obj is not None
        return obj

    def said(self, live: Live) -> Iterator[NotEvaluated]:
        """What differs between owners and what they made, once for each owner that is judged."""
        for file, (found, objects) in sorted(self._found.items()):
            owner = self._object(file)
            if not live.judges(owner):
                continue
            differences = sorted(found)
            more = f" and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
            pods = str(objects[0]) if len(objects) == 1 else f"{len(objects)} objects that were made from it"
            yield NotEvaluated(
                "drift",
                f"{owner.ref}: {pods} differ{'s' if len(objects) == 1 else ''} from its template"
                f" ({', '.join(differences[:_NAMED])}{more}); rules on pods and containers judged both"
                f"{f', but no more than {_MOST_FORMS} forms of it' if file in self._beyond else ''},"
                " rules that join objects the template alone",
                namespace=owner.ref.namespace,
                file=file,
            )


def _is_over(obj: Object) -> bool:
    """Whether an object runs nothing any more: it was made from what the template was once."""
    if obj.ref.kind == "ReplicaSet":
        return bool(obj.get("spec", "replicas") == 0)
    if obj.ref.kind == "Job":
        conditions = map(mapping, items(obj.get("status", "conditions")))
        # One that is suspended has a condition, too, and may go on.
        return any(c.get("type") in ("Complete", "Failed") and c.get("status") == "True" for c in conditions)
    return obj.get("status", "phase") in ("Succeeded", "Failed")
