"""What manifests are judged by beside their own objects: the rest of the cluster, as files or as a snapshot.

A pull request holds one application; whether its namespace denies traffic, or who is bound to its role, stands
elsewhere. The files of that are read with those that are judged; their objects take part in everything that joins
objects, and nothing is reported at them (``Live.elsewhere``). An object that the judged files declare, too, is taken
from these: the other is what it was before. What could not be read elsewhere is missing as it is in an audit: rules
that judge by it pass nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kubeassay.engine.plan import Plan
from kubeassay.execution.audit import discovered, unread_to_judge_by
from kubeassay.sources.files import Discovery, SourceFile, UsageError, discover, display_name
from kubeassay.sources.snapshot import Snapshot, is_snapshot, read


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found at the paths that a user named to judge by. ``names``: what reports call these;
    ``snapshots``: each with its objects less those that were made by others."""

    names: tuple[str, ...] = ()
    files: Discovery | None = None
    snapshots: tuple[tuple[Snapshot, Discovery], ...] = ()

    def beside(self, plan: Plan, discovery: Discovery) -> tuple[Plan, Discovery]:
        """A plan that judges the files of ``discovery`` alone, and these together with all that they are judged by. A
        file that is both is judged. Raises UsageError where a file is called as an object of a snapshot is."""
        if not self.names:
            return plan, discovery
        named = {file.name for file in discovery.files}
        paths = {os.path.realpath(file.path) for file in discovery.files if file.content is None}
        around: dict[str, SourceFile] = {}
        if self.files is not None:
            for file in self.files.files:
                if file.name not in named and os.path.realpath(file.path) not in paths:
                    around[file.name] = file
        for _, objects in self.snapshots:
            for file in objects.files:
                if file.name in around or file.name in named:
                    raise UsageError(
                        f"{file.name} is the name of a file and of an object of a snapshot, or of two snapshots"
                    )
                around[file.name] = file
        seen = self.files if self.files is not None else Discovery()
        unread = tuple(gap for snapshot, _ in self.snapshots for gap in unread_to_judge_by(plan, snapshot))
        live = replace(plan.live, elsewhere=frozenset(around), unread=(*plan.live.unread, *unread))
        together = replace(
            discovery,
            files=[*discovery.files, *around.values()],
            errors=[*discovery.errors, *(e for e in seen.errors if e not in discovery.errors)],
            skipped=[
                *discovery.skipped,
                *(s for s in seen.skipped if s.hides_objects and s not in discovery.skipped),
            ],
        )
        return replace(plan, live=live), together

    def alone(self, plan: Plan, discovery: Discovery) -> tuple[Plan, Discovery]:
        """What the files of ``discovery`` are judged by, without them, and the plan that says what of it is missing."""
        plan, together = self.beside(plan, discovery)
        around = [file for file in together.files if file.name in plan.live.elsewhere]
        seen = self.files if self.files is not None else Discovery()
        return plan, Discovery(files=around, errors=list(seen.errors), skipped=list(seen.skipped))


def surroundings(paths: Sequence[str], *, ignore: bool = True, max_file_size: int) -> Surroundings:
    """What there is at some paths: files, directories and patterns, and snapshots. Raises UsageError for a path that
    does not exist, or where there is nothing to judge by: a mistyped one would go unnoticed."""
    snapshots = [path for path in paths if is_snapshot(path)]
    others = [path for path in paths if path not in snapshots]
    files = discover(others, ignore=ignore, max_file_size=max_file_size) if others else None
    for path in others:
        alone = files if len(others) == 1 else discover([path], ignore=ignore, max_file_size=max_file_size)
        assert alone is not None
        if not (alone.files or alone.errors or any(skipped.hides_objects for skipped in alone.skipped)):
            raise UsageError(f"--with {path}: no manifest is there")
    of_clusters = tuple((snapshot, discovered(snapshot)) for snapshot in map(read, snapshots))
    return Surroundings(tuple(display_name(path) for path in paths), files, of_clusters)
