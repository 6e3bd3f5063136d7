"""What an API server refuses."""

from __future__ import annotations

from dataclasses import dataclass

from kubeassay.model import Path


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an API server refuses an object, and where."""

    path: Path
    reason: str
