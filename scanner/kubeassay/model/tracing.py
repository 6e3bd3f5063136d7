"""Where the fields of an object come from that was made out of other files, by Kustomize or Helm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kubeassay.model.place import Location, Path

if TYPE_CHECKING:
    from kubeassay.model.object import Object


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """The text of a source file, as findings are placed in it. ``objects``: what its documents hold, of whatever kind
    (a kustomization, values): what no report may show is masked in excerpts by them."""

    name: str
    text: str
    had_bom: bool = False
    objects: tuple[Object, ...] = ()
    #: What the engine computed about this text, by its own keys, so that it is computed once.
    facts: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Traced:
    """Where a field of a rendered object comes from.

    ``state``: ``stated``: that place states the very value, and nothing rendered after it does; ``parent``: no source
    states the field, and the place is its nearest parent in the object's own source; ``rendering``: it could not be
    proved, and the place is that of what asks for the rendering (kustomization.yaml, Chart.yaml, a template).

    ``obj`` and ``path``: the object of ``document`` that states it and where in it, where there is such a one (then
    ``location`` is ``obj.locate(path)``): a fix can be made of these. ``said``: how the place was found, as a sentence
    without a capital and a full stop ("the patch of overlays/production sets it"); reports have it beside the finding.
    """

    location: Location
    state: Literal["stated", "parent", "rendering"]
    said: str
    document: SourceDocument
    obj: Object | None = None
    path: Path = ()


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What an object was made of. ``steps``: (what, where) of what asked for that, the outermost first: an Application,
    a kustomization."""

    tracer: Tracer
    steps: tuple[tuple[str, Location], ...] = ()

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """As :meth:`Tracer.trace`."""
        return self.tracer.trace(obj, path, key=key)


class Tracer(Protocol):
    """Finds places of the objects of one rendered text. It is asked after all was judged, in any process."""

    def trace(self, obj: Object, path: Path, *, key: bool = False) -> Traced:
        """Where the field at ``path`` of an object comes from. ``obj``: as it was read from the rendered text.
        ``key``: whether its key is meant, not its value. Never raises for what files hold, and does not call
        ``obj.locate``, which asks it."""
