"""Auditing a cluster, or a snapshot of one: its objects are judged by the same engine as manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from kubeassay.analysis.facts import CUSTOM_RESOURCES, WORKLOADS
from kubeassay.analysis.kinds import kinds_of_group
from kubeassay.analysis.owners import Made, made_by_others
from kubeassay.analysis.reading import items, mapping
from kubeassay.analysis.selectors import parse_selector
from kubeassay.analysis.workloads import BUILT_IN_GROUPS, TEMPLATE_PATHS
from kubeassay.engine.live import TEMPLATE_KINDS, Live, is_custom, judged_kinds, namespace_about
from kubeassay.engine.plan import Plan
from kubeassay.execution.scan import Progress, scan
from kubeassay.model import Finding, NotEvaluated, Object, Result, Rule, Target
from kubeassay.model.unread import METADATA_ONLY, Unread
from kubeassay.sources.cluster import Wanted
from kubeassay.sources.files import Discovery, SourceFile
from kubeassay.sources.live_objects import without_places
from kubeassay.sources.snapshot import Snapshot

_NAMED = 3
#: Of these an object may have an owner, or be one. By the folder of their place.
_FOLDERS = tuple(f"/{group or 'core'}.{kind}/" for group, kind in TEMPLATE_PATHS)


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
        joined |= TEMPLATE_KINDS
    if joined or not kinds.isdisjoint(TEMPLATE_KINDS):
        # What a pod belongs to, and which namespaces there are.
        kinds |= {"Namespace"}
    if not (joined | kinds).isdisjoint(TEMPLATE_KINDS):
        kinds |= TEMPLATE_KINDS
    return Wanted(frozenset(kinds | joined), CUSTOM_RESOURCES in joined, frozenset(joined))


def audit(
    plan: Plan,
    snapshot: Snapshot,
    *,
    not_evaluated: Iterable[NotEvaluated] = (),
    processes: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Judge what was read of a cluster."""
    live = Live(
        (*snapshot.unread, *_not_asked(plan, snapshot)),
        METADATA_ONLY,
        None if snapshot.namespaces is None else frozenset(snapshot.namespaces),
        parse_selector(snapshot.selector) if snapshot.selector else None,
    )
    made = made_by_others(_makers(snapshot.files))
    if live.selector is not None:
        live = replace(live, owners=frozenset(entry.owner.file for entry in made if live.judges(entry.obj)))
    elsewhere = {entry.obj.file for entry in made}
    return scan(
        replace(plan, live=live),
        Discovery(
            files=[
                SourceFile("", name, len(content), content=content, live=True)
                for name, content in snapshot.files.items()
                if name not in elsewhere
            ]
        ),
        Target("cluster", snapshot.cluster),
        processes=processes,
        progress=progress,
        not_evaluated=(*not_evaluated, *_drifted(made, live), *_nothing(snapshot, live)),
    )


class Scope(Protocol):
    """What of a cluster is judged: a :class:`Snapshot` says so, and what came of one."""

    @property
    def namespaces(self) -> tuple[str, ...] | None: ...

    @property
    def selector(self) -> str: ...


def asks_about(scope: Scope, finding: Finding) -> bool:
    """Whether a finding, of another time, is of what is judged now; False, too, where its labels would have to tell."""
    if scope.selector:
        return False
    return scope.namespaces is None or namespace_about(finding.object) in scope.namespaces


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


def _makers(files: Mapping[str, bytes]) -> Iterable[Object]:
    for name, content in files.items():
        if any(folder in name for folder in _FOLDERS):
            yield from filter(None, (without_places(content, name),))


def _not_asked(plan: Plan, snapshot: Snapshot) -> Iterator[Unread]:
    """What the rules need of a snapshot that was made for others."""
    needed = wanted(plan)
    all_custom = CUSTOM_RESOURCES in snapshot.asked
    for kind in sorted(needed.kinds - set(snapshot.asked)):
        if all_custom and is_custom(kind):
            continue
        yield Unread("", kind, None, "not-read", "the snapshot was made for other rules")
    for kind in sorted(needed.everywhere.intersection(snapshot.narrowed)):
        yield Unread("", kind, None, "not-read", "the snapshot was made for other rules", snapshot.namespaces or ())
    if needed.custom and not all_custom:
        yield Unread("*", "", None, "not-read", "the snapshot was made for other rules")


def _drifted(made: Iterable[Made], live: Live) -> Iterable[NotEvaluated]:
    """What differs between owners and what they made, once for each owner."""
    by_owner: dict[str, list[Made]] = defaultdict(list)
    for entry in made:
        if entry.drift and live.judges(entry.owner) and not _is_over(entry.obj):
            by_owner[entry.owner.file].append(entry)
    for file, entries in by_owner.items():
        owner = entries[0].owner
        differences = sorted({difference for entry in entries for difference in entry.drift})
        more = f" and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
        pods = str(entries[0].obj.ref) if len(entries) == 1 else f"{len(entries)} objects that were made from it"
        yield NotEvaluated(
            "drift",
            f"{owner.ref}: {pods} differ{'s' if len(entries) == 1 else ''} from its template"
            f" ({', '.join(differences[:_NAMED])}{more}), which was judged, and the difference was not",
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
