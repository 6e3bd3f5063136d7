"""What came of a fleet: a row for each target. The results themselves are too many to be held at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kubeassay.model.result import Summary

#: ``incomplete``: nothing failed, but something was not evaluated or not readable, whether that is allowed or not.
TargetStatus = Literal["complies", "fails", "incomplete", "not-audited"]


@dataclass(frozen=True, slots=True)
class ComparedCounts:
    """How many findings are new, fixed, … since an earlier result, as a comparison of the engine has them."""

    new: int
    fixed: int
    unchanged: int
    excepted: int
    unknown: int


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target. ``source`` says for people what was audited. Without a result (``error`` says why, in a line) there
    is no ``summary``, and what the result would tell is empty."""

    name: str
    kind: Literal["manifests", "cluster"]
    source: str
    status: TargetStatus
    #: The severity from which on findings fail, or ``none``.
    fail_on: str
    error: str = ""
    profile: str = ""
    environment: str = ""
    kubernetes_version: str = ""
    summary: Summary | None = None
    #: What was not evaluated, and what could not be read: entries of the result, not subjects.
    not_evaluated: int = 0
    read_errors: int = 0
    #: None: there was nothing to compare with; ``not_compared`` says why where something was asked for.
    comparison: ComparedCounts | None = None
    not_compared: str = ""
    #: The target's own reports: format → file, relative to the folder of all.
    reports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetResult:
    """All rows, in the fleet file's order. ``targets`` is how many the file has: fewer may have been chosen."""

    tool_version: str
    name: str
    file: str
    targets: int
    rows: tuple[TargetRow, ...]
    #: Whether earlier results were asked for.
    compared: bool = False
