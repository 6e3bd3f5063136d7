"""Which subjects a :class:`SubjectMatch` means."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kubeassay.model import ObjectRef, SubjectMatch


class Matcher:
    """A :class:`SubjectMatch`, compiled. Patterns are those of a shell, compared with case."""

    __slots__ = ("_containers", "_kinds", "_labels", "_names", "_namespaces", "by_namespace", "everything")

    def __init__(self, match: SubjectMatch) -> None:
        self.everything = match == SubjectMatch()
        self._namespaces = patterns_of(match.namespaces)
        self._kinds = patterns_of(match.kinds)
        self._names = patterns_of(match.names)
        self._containers = patterns_of(match.containers)
        self._labels = match.labels
        #: Whether an object that states no namespace cannot be matched.
        self.by_namespace = bool(match.namespaces)

    def object(self, ref: ObjectRef, value: Mapping[str, Any]) -> bool:
        """Whether the object is among the subjects (a match on containers is left to :meth:`container`)."""
        if self.everything:
            return True
        if self._namespaces is not None and not self._namespaces.match(ref.namespace or ""):
            return False
        if self._kinds is not None and not self._kinds.match(ref.kind):
            return False
        if self._names is not None and not self._names.match(ref.name):
            return False
        if self._labels:
            metadata = value.get("metadata")
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            if not isinstance(labels, dict):
                return False
            return all(labels.get(name) == wanted for name, wanted in self._labels)
        return True

    def container(self, name: str | None) -> bool:
        """Whether a container of that name is among the subjects of a matching object."""
        return self._containers is None or (name is not None and self._containers.match(name) is not None)


def patterns_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """What any of some shell patterns matches; None for none, which narrow nothing."""
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))
