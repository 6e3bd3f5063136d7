"""Which environment of a tree is compared with which of the tree before a change.

Most keep their names. Where a second overlay comes or the second last goes, the tree has environments and had none, or
the other way round; where a folder is renamed, one has another name. All of that would otherwise read as workloads that
are gone and others that have come, and the paths between them would not be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from kubeassay.execution.inventory import ReadInventory
from kubeassay.model import Inventory, Object
from kubeassay.sources.rendering import RENDERED

_NOTHING = ReadInventory(Inventory(), (), (), ())


@dataclass(frozen=True, slots=True)
class Pair:
    """``name``: of the environment after the change, or before it where it is gone. ``partner``: what its partner
    before the change is called, where that is another name; None where it has that name, or no partner."""

    name: str
    before: ReadInventory
    after: ReadInventory
    partner: str | None = None


class _Side:
    """The environments of one side."""

    def __init__(self, read: Mapping[str, ReadInventory]) -> None:
        self.read = read
        #: Environment → the renderings that it has objects of.
        self.files = {name: set(_rendered(one.inventory)) for name, one in read.items()}

    @cached_property
    def identities(self) -> Mapping[str, set[tuple[str, str, str | None, str]]]:
        return {name: set(map(identity, one.inventory)) for name, one in self.read.items()}

    def without(self, name: str, elsewhere: set[str]) -> ReadInventory:
        """An environment without what these renderings made."""
        read = self.read[name]
        if not self.files[name] & elsewhere:
            return read
        return replace(read, inventory=Inventory([obj for obj in read.inventory if obj.file not in elsewhere]))


def _rendered(inventory: Inventory) -> list[str]:
    return [obj.file for obj in inventory if obj.file.endswith(RENDERED)]


def identity(obj: Object) -> tuple[str, str, str | None, str]:
    """API group, kind, namespace and name."""
    return obj.ref.group, obj.ref.kind, obj.ref.namespace, obj.ref.name


def pairs(before: Mapping[str, ReadInventory], after: Mapping[str, ReadInventory]) -> list[Pair]:
    """Every environment of either side once at least, in the order of those after the change."""
    found = [Pair(name, before[name], after[name]) for name in after if name in before]
    if len(found) == len(before) == len(after):
        return found
    old, new = _Side(before), _Side(after)
    chosen = _chosen(old, new)
    for theirs, ours in chosen:
        found.append(
            Pair(
                ours,
                old.without(theirs, _only_elsewhere(new, ours)),
                new.without(ours, _only_elsewhere(old, theirs)),
                theirs,
            )
        )
    with_partner = {ours for _, ours in chosen} | {theirs for theirs in before if theirs in after}
    found += [Pair(name, _NOTHING, after[name]) for name in after if name not in with_partner]
    gone = {theirs for theirs, _ in chosen} | {name for name in before if name in after}
    found += [Pair(name, before[name], _NOTHING) for name in before if name not in gone]
    order = {name: number for number, name in enumerate((*after, *before))}
    return sorted(found, key=lambda pair: order[pair.name])


def _chosen(old: _Side, new: _Side) -> list[tuple[str, str]]:
    """(Before, after) of environments that have other names on the two sides."""
    lone_old = [name for name in old.read if name not in new.read]
    lone_new = [name for name in new.read if name not in old.read]
    # By what they are rendered from: one may have become several, and several one.
    found: set[tuple[str | None, str | None]] = {(_most(old.files, new.files[ours]), ours) for ours in lone_new}
    found |= {(theirs, _most(new.files, old.files[theirs])) for theirs in lone_old}
    chosen = [(theirs, ours) for theirs, ours in found if theirs is not None and ours is not None]
    # What is left is called otherwise, and rendered from elsewhere: a folder that was renamed. The most alike first.
    left_old = [name for name in lone_old if name not in {theirs for theirs, _ in chosen}]
    left_new = [name for name in lone_new if name not in {ours for _, ours in chosen}]
    alike = sorted(
        (-len(old.identities[theirs] & new.identities[ours]), theirs, ours) for theirs in left_old for ours in left_new
    )
    for number, theirs, ours in alike:
        if number and theirs in left_old and ours in left_new:
            chosen.append((theirs, ours))
            left_old.remove(theirs)
            left_new.remove(ours)
    return sorted(chosen)


def _most(files: Mapping[str, set[str]], wanted: set[str]) -> str | None:
    """The environment that has the most of these renderings; None where none has any."""
    counts: Sequence[tuple[int, str]] = sorted((-len(of_it & wanted), name) for name, of_it in files.items())
    return counts[0][1] if counts and counts[0][0] else None


def _only_elsewhere(side: _Side, name: str) -> set[str]:
    """The renderings that other environments of a side have, and this one has not."""
    return set[str]().union(*side.files.values()) - side.files[name]
