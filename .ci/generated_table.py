"""A table of facts that a script makes, and that CI compares with what stands in the repository."""

from __future__ import annotations

import sys
from pathlib import Path


def write_or_check(output: Path, text: str) -> int:
    """Write a table; with ``--check`` among the arguments, only say whether it is up to date. The exit code."""
    if "--check" not in sys.argv[1:]:
        output.write_text(text, encoding="utf-8")
        return 0
    if output.read_text(encoding="utf-8") == text:
        return 0
    print(f"{output} is out of date; run .ci/{Path(sys.argv[0]).name}", file=sys.stderr)
    return 1
