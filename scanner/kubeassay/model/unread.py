"""What of a live cluster was not read, and what of it is judged at all."""

from __future__ import annotations

from dataclasses import dataclass

#: Kinds of the core group of which only the metadata is read from a cluster.
METADATA_ONLY = frozenset({"Secret"})


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A kind that could not be read, in one namespace or (``namespace`` None) at all.

    ``reason`` is a word for programs, as in :class:`kubeassay.model.NotEvaluated`: ``forbidden``, ``not-readable``.
    An empty ``kind`` stands for every kind of its group. ``but``: the namespaces in which it was read, where nothing
    else of it could be.
    """

    group: str
    kind: str
    namespace: str | None
    reason: str
    detail: str
    but: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The kind as people name it."""
        if not self.kind:
            return f"every kind of {self.group}"
        return f"{self.kind} ({self.group})" if self.group else self.kind

    def covers(self, namespace: str | None) -> bool:
        """Whether objects of the kind may be missing in a namespace (None: for an object of the whole cluster)."""
        if self.namespace is not None:
            return self.namespace == namespace
        return namespace is None or namespace not in self.but
