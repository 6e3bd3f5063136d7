"""What does it, as the model tells it."""

from __future__ import annotations

from kubeassay.model import Object, Path
from kubeassay.model.review import Cause, Side

#: Of what decides one change, so much is told.
MOST = 5


def cause(side: Side, effect: str, text: str, obj: Object | None, path: Path = ()) -> Cause:
    """A cause at a place of an object; of Kubernetes itself, or of nothing, where there is no object."""
    if obj is None:
        return Cause(side, effect, text)
    return Cause(side, effect, text, obj.ref, obj.locate(path))
