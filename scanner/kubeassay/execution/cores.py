"""The processor cores that there are."""

from __future__ import annotations

import os


def available_processes() -> int:
    """The processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1
