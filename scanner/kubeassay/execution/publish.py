"""Publishing a result as reports in the cluster that it is of.

What is there is listed, by the labels of this tool and profile, and compared with what is to be: reports that have not
changed are not written, results that are as before keep the time at which they were found. Removed is what was judged
and has no result any more, or is about an object that is gone; what this audit did not judge (a namespace that could
not be read, a rule that did not run, what -n or -l left out) keeps its results.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kubeassay.analysis.facts import CUSTOM_RESOURCES
from kubeassay.analysis.selectors import parse_selector
from kubeassay.engine.live import is_custom, namespace_about
from kubeassay.model import ObjectRef, Result
from kubeassay.reporting.openreports import (
    ABOUT,
    MANAGED_BY,
    PROFILE,
    RESULT_ID,
    SOURCE,
    ReportApi,
    profile_label,
    reports,
    with_more,
    with_results,
)
from kubeassay.sources.cluster import ClusterError, Connection, Kind, RequestFailed
from kubeassay.sources.snapshot import NO_NAMESPACE, Snapshot, place_of
from kubeassay.sources.writing import ReportStore

_WORKERS = 6
#: How often a report is read and written anew that somebody else writes at the same time.
_TRIES = 4

#: Among the properties of a result: that it is one of an earlier audit.
_KEPT = "kept"

_Report = dict[str, Any]
_Key = tuple[str, str, str]
Action = Literal["create", "update", "remove"]
_DONE: Mapping[Action, str] = {"create": "created", "update": "updated", "remove": "removed"}


@dataclass(frozen=True, slots=True)
class Change:
    """One write. ``report``: as it is to be, or, to remove it, as it is. ``wanted``: what an audit made of it, if it
    did, to begin anew with."""

    action: Action
    report: _Report
    wanted: _Report | None = None

    @property
    def name(self) -> str:
        metadata = self.report["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])

    def __str__(self) -> str:
        scope = self.report.get("scope") or {}
        about = f" ({scope.get('kind')} {scope.get('name')})" if scope else ""
        return f"{self.action} {self.report['kind']} {self.name}{about}"


@dataclass(slots=True)
class Published:
    """What was written: numbers of reports. ``failures``: a line for each reason why something was not."""

    created: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    #: What was done, or would be.
    changes: list[Change] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def store_for(connection: Connection, api: ReportApi, *, dry_run: bool = False, **options: Any) -> ReportStore:
    """The reports of a cluster. Raises ClusterError where it has no definition of them."""
    kinds = (
        Kind(api.group, api.version, api.resource, api.kind, True),
        Kind(api.group, api.version, api.cluster_resource, api.cluster_kind, False),
    )
    store = ReportStore(connection, kinds, dry_run=dry_run, **options)
    missing = store.missing()
    if missing:
        names = " and ".join(f"{kind.resource}.{kind.group}" for kind in missing)
        raise ClusterError(
            f"--publish: the cluster has no {names} in version {api.version}: install their definitions first"
            f" ({api.definitions})"
        )
    return store


def publish(store: ReportStore, api: ReportApi, result: Result, snapshot: Snapshot, now: int) -> Published:
    """Bring the reports of a cluster up to date. ``now``: seconds since 1970, the time of results that are new."""
    published = Published()
    wanted = {
        _key(report): report
        for report in reports(result, api, namespaces=snapshot.namespaces, selector=snapshot.selector)
    }
    there, unlisted = _listed(store, api, result, snapshot, wanted, published)
    there = {key: report for key, report in there.items() if is_own(report)}
    judged = Judged.of(result, snapshot, wanted)
    wanted = {key: report for key, report in wanted.items() if (key[0], key[1]) not in unlisted}
    changes = list(planned(wanted, there, judged, now))
    published.unchanged = len(wanted.keys() | there.keys()) - len(changes)
    _Writing(store, judged, now, published).all(changes)
    return published


def _key(report: Mapping[str, Any]) -> _Key:
    metadata = report["metadata"]
    return str(report["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def is_own(report: Mapping[str, Any]) -> bool:
    """Whether this tool wrote a report: labels are easily copied, so its results are looked at, too."""
    labels = report["metadata"].get("labels") or {}
    sources = {report["source"]} if report.get("source") else set()
    sources.update(entry.get("source") for entry in report.get("results") or ())
    return labels.get(MANAGED_BY) == SOURCE and PROFILE in labels and sources <= {SOURCE}


def _listed(
    store: ReportStore,
    api: ReportApi,
    result: Result,
    snapshot: Snapshot,
    wanted: Iterable[_Key],
    published: Published,
) -> tuple[dict[_Key, _Report], set[tuple[str, str]]]:
    """The reports that are there, and the (kind, namespace) of which that is not known: nothing is written there."""
    labels = f"{MANAGED_BY}={SOURCE},{PROFILE}={profile_label(result.profile.name)}"
    namespaced, clusters = store.kinds
    used = {(kind, namespace) for kind, namespace, _ in wanted}
    found: dict[_Key, _Report] = {}
    unlisted: set[tuple[str, str]] = set()

    def take(kind: Kind, namespace: str | None) -> RequestFailed | None:
        try:
            listed = store.listed(kind, namespace, labels)
        except RequestFailed as failed:
            return failed
        for report in listed:
            # Members of a list carry no type of their own.
            whole = {**report, "apiVersion": kind.api_version, "kind": kind.kind}
            found[_key(whole)] = whole
        return None

    places: list[tuple[Kind, str | None]] = [(clusters, None)]
    of_namespaces = sorted(snapshot.namespaces or ())
    if snapshot.namespaces is None:
        failed = take(namespaced, None)
        if failed is not None:
            # Who may not list them everywhere may in some namespaces; any other failure shows there again.
            read = {name.split("/")[2] for name in snapshot.files} - {NO_NAMESPACE}
            of_namespaces = sorted(read | {namespace for kind, namespace in used if kind == namespaced.kind})
    places += [(namespaced, namespace) for namespace in of_namespaces]
    failures: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
    for kind, namespace in places:
        failed = take(kind, namespace)
        if failed is None:
            continue
        unlisted.add((kind.kind, namespace or ""))
        # Where an audit has nothing to say (one of some namespaces, of the cluster), it needs no right to say it.
        if (kind.kind, namespace or "") in used or (namespace is None and snapshot.namespaces is None):
            failures[kind.resource, failed.status].append((namespace or "", failed.message))
    for (resource, _), all_of_them in sorted(failures.items()):
        namespace, message = min(all_of_them)
        more = f" and {len(all_of_them) - 1} more" if len(all_of_them) > 1 else ""
        where = f" in namespace {namespace}{more}" if namespace else ""
        published.failures.append(f"{resource} cannot be listed{where}, so none were written: {message}")
    return found, unlisted


@dataclass(frozen=True, slots=True)
class Judged:
    """What an audit judged. ``wanted``: the reports that it makes."""

    result: Result
    snapshot: Snapshot
    wanted: frozenset[_Key]
    #: What was not judged, as (rule, namespace, place): where there is a place, the namespace is None.
    gaps: frozenset[tuple[str | None, str | None, str | None]]

    @classmethod
    def of(cls, result: Result, snapshot: Snapshot, wanted: Iterable[_Key]) -> Judged:
        """Kinds that could not be read concern the rules that need them, which say so themselves; the template of what
        has drifted was judged."""
        gaps = {
            (gap.rule, None if gap.file else gap.namespace, gap.file)
            for gap in result.not_evaluated
            if gap.rule is not None or (gap.file is not None and gap.reason != "drift")
        }
        gaps.update((None, None, error.file) for error in result.errors)
        return cls(result, snapshot, frozenset(wanted), frozenset(gaps))

    def keeps(self, report: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
        """Whether a result of a report that is there still stands, because this audit says nothing about it."""
        if entry.get("result") == "pass" or entry.get("rule") == "report-limit":
            return False
        ref, uid = _scope(report)
        place = place_of(self.snapshot.cluster, ref)
        if self._is_gone(ref, uid, place):
            return False
        if place not in self.snapshot.files or not self._asks_about(ref, place, _key(report)):
            return True
        # What could not be judged of an object that was read, this audit says itself; and a rule that is of the profile
        # no more says nothing.
        rule = str(entry.get("rule"))
        return entry.get("result") != "error" and rule in self.result.rules and not self._was_judged(rule, ref, place)

    def _was_judged(self, rule: str, ref: ObjectRef, place: str) -> bool:
        """Whether a rule surely judged an object that was read: nothing that was not evaluated may be about it."""
        if not self.gaps.isdisjoint(((None, None, place), (rule, None, place))):
            return False
        namespace = namespace_about(ref)
        if namespace is None:
            return not any(of == rule and file is None for of, _, file in self.gaps)
        return self.gaps.isdisjoint(((rule, None, None), (rule, namespace, None)))

    def stays(self, report: Mapping[str, Any]) -> bool:
        """Whether a report on an audit that this audit does not make is of one that it does not stand for."""
        if self.snapshot.selector:
            return True
        namespaces = self.snapshot.namespaces
        return namespaces is not None and report["metadata"].get("namespace") not in namespaces

    def _is_gone(self, ref: ObjectRef, uid: str, place: str) -> bool:
        snapshot = self.snapshot
        content = snapshot.files.get(place)
        if content is not None:
            # Another object of that name.
            return bool(uid) and json.loads(content)["metadata"].get("uid") != uid
        if snapshot.namespaces is not None and namespace_about(ref) not in snapshot.namespaces:
            return False
        if ref.kind not in snapshot.asked and not (CUSTOM_RESOURCES in snapshot.asked and is_custom(ref.kind)):
            return False
        return not any(
            gap.group == ref.group and gap.kind in ("", ref.kind) and gap.covers(ref.namespace)
            for gap in snapshot.unread
        )

    def _asks_about(self, ref: ObjectRef, place: str, key: _Key) -> bool:
        snapshot = self.snapshot
        if snapshot.namespaces is not None and namespace_about(ref) not in snapshot.namespaces:
            return False
        if not snapshot.selector or key in self.wanted:
            return True
        labels = json.loads(snapshot.files[place])["metadata"].get("labels")
        return isinstance(labels, dict) and parse_selector(snapshot.selector).matches(labels)


def _scope(report: Mapping[str, Any]) -> tuple[ObjectRef, str]:
    scope = report.get("scope") or {}
    ref = ObjectRef(
        str(scope.get("apiVersion") or ""),
        str(scope.get("kind") or ""),
        scope.get("namespace") or None,
        str(scope.get("name") or ""),
    )
    return ref, str(scope.get("uid") or "")


def planned(
    wanted: Mapping[_Key, _Report], there: Mapping[_Key, _Report], judged: Judged, now: int
) -> Iterator[Change]:
    """What has to be written, in the order of namespaces and names."""
    for key in sorted(wanted.keys() | there.keys(), key=lambda key: (key[1], key[2])):
        change = _change(wanted.get(key), there.get(key), judged, now)
        if change is not None:
            yield change


def _change(wanted: _Report | None, there: _Report | None, judged: Judged, now: int) -> Change | None:
    if there is None:
        assert wanted is not None
        return Change("create", _timed(wanted, {}, now), wanted)
    before: list[_Report] = list(there.get("results") or ())
    of_audit = (there["metadata"].get("labels") or {}).get(ABOUT) == "audit"
    if wanted is None and of_audit:
        return None if judged.stays(there) else Change("remove", there)
    if wanted is None and not there.get("scope"):
        # Somebody changed it: what it is about is not known.
        return None
    known = set() if wanted is None else {_identity(entry) for entry in wanted["results"]}
    others = [] if of_audit else [entry for entry in before if _identity(entry) not in known]
    kept = [entry for entry in others if judged.keeps(there, entry)]
    if wanted is None:
        if not kept:
            return Change("remove", there)
        if len(kept) == len(before):
            return None
        passed = int((there.get("summary") or {}).get("pass") or 0)
        whole = with_results(there, [_marked(entry) for entry in kept], passed)
    else:
        whole = with_more(wanted, [_marked(entry) for entry in kept]) if kept else wanted
        if _same(whole, there):
            return None
    times = {_identity(entry): entry for entry in before}
    return Change("update", _over(_timed(whole, times, now), there), wanted)


def _marked(entry: Mapping[str, Any]) -> _Report:
    """A result of an earlier audit that the latest one says nothing about."""
    return {
        **_untimed(entry),
        "properties": {**(entry.get("properties") or {}), _KEPT: "not judged by the latest audit"},
    }


def _identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    found = (entry.get("properties") or {}).get(RESULT_ID)
    return (str(found),) if found else (str(entry.get("rule")), str(entry.get("message")))


def _untimed(entry: Mapping[str, Any]) -> _Report:
    return {key: value for key, value in entry.items() if key != "timestamp"}


def _timed(report: _Report, before: Mapping[tuple[str, ...], _Report], now: int) -> _Report:
    """With the time at which each result was found: that of a result that was there before is kept."""

    def timed(entry: _Report) -> _Report:
        old = before.get(_identity(entry), {})
        time = old.get("timestamp") if old.get("result") == entry["result"] else None
        return {**entry, "timestamp": time or {"seconds": now, "nanos": 0}}

    return {**report, "results": [timed(entry) for entry in report["results"]]}


def _same(wanted: _Report, there: _Report) -> bool:
    """Whether nothing but times would change, and what others have added."""
    new, old = wanted["metadata"], there["metadata"]
    return (
        all((new.get(name) or {}).items() <= (old.get(name) or {}).items() for name in ("labels", "annotations"))
        and new.get("ownerReferences", []) == old.get("ownerReferences", [])
        and all(wanted.get(name) == there.get(name) for name in ("source", "scope", "summary"))
        and wanted["results"] == [_untimed(entry) for entry in there.get("results") or ()]
    )


def _over(report: _Report, there: _Report) -> _Report:
    """A report in the place of the one that is there: with its version, and with the labels that others gave it."""
    new, old = report["metadata"], there["metadata"]
    metadata = {key: value for key, value in old.items() if key not in ("managedFields", "ownerReferences")}
    for name in ("labels", "annotations"):
        if new.get(name):
            metadata[name] = {**(old.get(name) or {}), **new[name]}
    if "ownerReferences" in new:
        metadata["ownerReferences"] = new["ownerReferences"]
    return {**report, "metadata": metadata}


class _Writing:
    """Writes changes, several at a time, and notes what became of them."""

    def __init__(self, store: ReportStore, judged: Judged, now: int, published: Published) -> None:
        self._store = store
        self._judged = judged
        self._now = now
        self._published = published
        self._kinds = {kind.kind: kind for kind in store.kinds}
        #: (action, kind, namespace) → a refusal of which there is no use in asking again.
        self._refused: dict[tuple[str, str, str], RequestFailed] = {}

    def all(self, changes: Sequence[Change]) -> None:
        failures: dict[tuple[Action, int], list[tuple[str, str]]] = defaultdict(list)
        with ThreadPoolExecutor(_WORKERS) as pool:
            for change, (done, failed) in zip(changes, pool.map(self._try, changes), strict=True):
                if failed is not None:
                    failures[change.action, failed.status].append((change.name, failed.message))
                elif done is not None:
                    self._published.changes.append(done)
        for action, word in _DONE.items():
            setattr(self._published, word, sum(change.action == action for change in self._published.changes))
        for (action, _), all_of_them in sorted(failures.items()):
            name, message = min(all_of_them)
            more = f" and {len(all_of_them) - 1} more" if len(all_of_them) > 1 else ""
            self._published.failures.append(f"{name}{more} could not be {_DONE[action]}: {message}")

    def _try(self, change: Change) -> tuple[Change | None, RequestFailed | None]:
        """What was done (None: nothing had to be), or why not."""
        report = change.report
        place = (change.action, str(report["kind"]), str(report["metadata"].get("namespace") or ""))
        refused = self._refused.get(place)
        if refused is not None:
            return None, refused
        try:
            return self._write(change), None
        except RequestFailed as failed:
            if _namespace_ends(failed):
                return None, None
            if failed.status == 403:
                self._refused[place] = failed
            return None, failed

    def _write(self, change: Change) -> Change | None:
        for tried in range(_TRIES):
            kind = self._kinds[change.report["kind"]]
            try:
                if change.action == "create":
                    self._store.create(kind, change.report)
                elif change.action == "update":
                    self._store.update(kind, change.report)
                else:
                    self._store.delete(kind, change.report)
                return change
            except RequestFailed as failed:
                conflict = failed.status == 409 or (failed.status == 404 and change.action != "create")
                if not conflict or tried == _TRIES - 1:
                    raise
            # Somebody wrote it at the same time, or an answer was lost.
            if change.wanted is None:
                return None
            there = self._store.named(kind, change.report)
            if there is not None:
                there = {**there, "apiVersion": kind.api_version, "kind": kind.kind}
                if not is_own(there):
                    raise RequestFailed(409, "there is one of that name that kubeassay did not write")
            following = _change(change.wanted, there, self._judged, self._now)
            if following is None:
                return None
            change = replace(following, wanted=change.wanted)
        raise AssertionError("the last try raises")


def _namespace_ends(failed: RequestFailed) -> bool:
    """Whether a namespace is being removed, or is gone: there is nothing to report on any more."""
    return (failed.status == 403 and "because it is being terminated" in failed.message) or (
        failed.status == 404 and 'namespaces "' in failed.message
    )
