"""Python's collector of cyclic garbage, kept out of where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def idle_collector() -> Iterator[None]:
    """Reading makes millions of small values, none of them in cycles: the collector would only walk them in vain."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
