"""Findings of a cluster at the manifests that declare its objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kubeassay.analysis.declared import declared_path, equal, is_nothing, merge_keys
from kubeassay.checks.check import Violation
from kubeassay.engine.findings import SourceText, make_finding
from kubeassay.engine.plan import ActiveRule
from kubeassay.model import Finding, Location, Object, Path, Related

_STATED = "the object in the cluster"
_NOT_STATED = "the object in the cluster, where it is; the manifest does not state it"
_OTHER_VERSION = "the manifest that declares the object, in another version of its API"
_BY_NAME = " (the manifest states no namespace; this is the only one of its name)"
_DRIFT = "the manifest that declares the object says something else here (drift)"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A manifest of an object. ``compared``: its value as a cluster's is read, without secrets. ``by_name``: it states
    no namespace, and is the manifest of the only object of its name."""

    obj: Object
    text: SourceText
    compared: Mapping[str, Any] = field(default_factory=dict)
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Counterpart:
    """Where a field of a live object stands in its manifest.

    ``path``: what it is called there; of a member of a list that the manifest does not have, the list. ``state``:
    ``equal``; ``not-stated``: the manifest leaves it open, so its nearest parent is the place; ``absent``: the live
    object does not have it, either; ``drift``: the manifest says something else.
    """

    path: Path
    state: Literal["equal", "absent", "not-stated", "drift"]
    #: Whether every step of the path leads on in the manifest as it does in the cluster.
    whole: bool = True


def counterpart(live: Any, declaration: Declaration, path: Path) -> Counterpart:
    """Where a field of a live object stands in its manifest, and whether it says the same there."""
    declared = declaration.compared
    if len(path) < 2:
        # About the object as a whole: that something in it differs is said of that.
        return Counterpart(path, "equal" if not path or path[0] in declared else "absent")
    there, value = _value(live, path)
    found = declared_path(live, declared, path)
    if found is None:
        return _of_other_member(live, declared, path)
    stated, says = _value(declared, found)
    if not stated:
        return Counterpart(found, "not-stated" if there else "absent")
    if there:
        return Counterpart(found, "equal" if equal(says, value, found) else "drift")
    # What an API server does not store says the same as nothing.
    return Counterpart(found, "equal" if is_nothing(str(found[-1]), says) else "drift")


def _of_other_member(live: Any, declared: Any, path: Path) -> Counterpart:
    """Of a path that leads through a member of a list that the manifest does not have: where the list is merged by a
    key, somebody else's; else the list says something else."""
    of_list = path
    while of_list:
        of_list = of_list[:-1]
        found = declared_path(live, declared, of_list)
        if found is None:
            continue
        _, members = _value(declared, found)
        if isinstance(members, list):
            return Counterpart(found, "not-stated" if merge_keys(found, members) else "drift", whole=False)
    return Counterpart((), "drift", whole=False)


def _value(value: Any, path: Path) -> tuple[bool, Any]:
    """Whether there is something at a path, and what. What is null is not there."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return False, None
        elif not isinstance(value, list) or not 0 <= step < len(value):
            return False, None
        value = value[step]
    return value is not None, value


@dataclass(frozen=True, slots=True)
class Manifests:
    """The manifests of a cluster's objects, by the objects' places."""

    by_place: Mapping[str, Declaration] = field(default_factory=dict)

    def texts(self) -> dict[str, SourceText]:
        """The texts of the manifests, by their files."""
        return {declaration.obj.file: declaration.text for declaration in self.by_place.values()}

    def placed(self, finding: Finding, active: ActiveRule, obj: Object, violation: Violation, base: Path) -> Finding:
        """A finding of a live object at the manifest that declares it; where that says something else, or there is
        none, as it is."""
        others = [
            replace(related, location=self._located(other, path, related.location))
            for related, (_, other, path) in zip(finding.related, violation.related, strict=False)
        ]
        finding = replace(finding, related=(*others, *finding.related[len(others) :]))
        declaration = self.by_place.get(obj.file)
        if declaration is None:
            return finding
        found = counterpart(obj.value, declaration, violation.path)
        if found.state == "drift":
            where = declaration.obj.locate(found.path)
            same_version = declaration.obj.ref.api_version == obj.ref.api_version
            said = Related(_DRIFT if same_version else _OTHER_VERSION, where)
            return replace(finding, related=(said, *finding.related))
        of_base = declared_path(obj.value, declaration.compared, base if violation.base is None else violation.base)
        repair = violation.repair
        mended = None if repair is None else counterpart(obj.value, declaration, repair.path)
        moved = make_finding(
            active,
            declaration.obj,
            replace(
                violation,
                path=found.path,
                key=violation.key and found.whole,
                base=of_base,
                # What mends the cluster's object mends the manifest where that says as much.
                fixable=violation.fixable and found.whole and of_base is not None and found.state != "not-stated",
                repair=replace(repair, path=mended.path)
                if repair is not None and mended is not None and mended.state == "equal"
                else None,
                related=(),
                clauses=(),
            ),
            declaration.text,
            of_base or (),
            outcome=finding.outcome,
            reason=finding.reason,
        )
        return replace(
            finding,
            location=moved.location,
            excerpt=moved.excerpt if finding.excerpt is not None else None,
            fix=moved.fix if finding.excerpt is not None else None,
            line_hash=moved.line_hash,
            related=(
                Related(
                    (_NOT_STATED if found.state == "not-stated" else _STATED)
                    + (_BY_NAME if declaration.by_name else ""),
                    finding.location,
                ),
                *finding.related,
            ),
        )

    def _located(self, obj: Object, path: Path, live: Location) -> Location:
        """Another place of a live object at its manifest, as :meth:`placed`."""
        declaration = self.by_place.get(obj.file)
        if declaration is None:
            return live
        found = counterpart(obj.value, declaration, path)
        return live if found.state == "drift" else declaration.obj.locate(found.path)
