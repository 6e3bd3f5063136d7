"""Reading plain values as Kubernetes does.

Its decoder makes a null list item or map value the zero value of its type, and a null field "not set". A value of
another type can only come from a custom resource; it counts as not set, or as the zero value inside a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NOTHING: Mapping[str, Any] = {}


def items(value: Any) -> Sequence[Any]:
    """The items of a list; none where there is no list."""
    return value if isinstance(value, list) else ()


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; empty where there is none."""
    return value if isinstance(value, dict) else _NOTHING


def string(value: Any) -> str:
    """A string; empty where there is none."""
    return value if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """A whole number; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def port_number(value: Any) -> int | None:
    """A port number; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None


def quoted(value: str) -> str:
    """A value as a message shows it: an empty one must be seen."""
    return value or '""'
