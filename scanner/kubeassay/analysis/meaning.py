"""Comparing values by what they mean: ``2`` and ``2000m`` are one quantity, lists of rules have no order.

Which texts are numbers, durations or versions is not written in a manifest. A number beside a text is a quantity; of
two texts, those where the API has quantities (``requests``, ``hard``, ``capacity``, …), and those that carry a unit:
``"1Gi"`` is ``"1024Mi"`` anywhere, while the labels ``"1.0"`` and ``"1"`` are two values. Who knows better says so
(:data:`Reading`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from kubeassay.analysis.quantity import parse_quantity
from kubeassay.model import Path

#: How texts are read: ``None`` leaves it to the value and its path.
Reading = Literal["quantity", "duration", "version", "percent", "string"]

#: Fields whose values (or the values below which) are quantities.
_QUANTITIES = frozenset(
    {
        "allocatable", "averageValue", "capacity", "containerDefault", "default", "defaultRequest", "divisor", "hard",
        "limits", "max", "maxAllowed", "min", "minAllowed", "overhead", "podFixed", "requests", "sizeLimit", "storage",
        "used",
    }
)  # fmt: skip

_UNIT = re.compile(r"[0-9.](?:[KMGTPE]i|[numkMGTPE])\Z")
# time.ParseDuration of Go.
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)")
_SECONDS: Mapping[str, Fraction] = {
    "ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "µs": Fraction(1, 10**6), "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600),
}  # fmt: skip
_DURATION_UNIT = re.compile(r"[a-zµμ]+\Z")
_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+)*")
_MAX_TEXT = 64


def parse_duration(value: Any) -> Fraction | None:
    """Seconds of a duration as Go writes it (``1h30m``, ``90s``; ``0`` alone needs no unit); None for anything else."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return None
    sign, text = (-1, value[1:]) if value[:1] == "-" else (1, value.removeprefix("+"))
    if text == "0":
        return Fraction(0)
    total, position = Fraction(0), 0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None:
            return None
        part = match[0]
        unit = _DURATION_UNIT.search(part)
        assert unit is not None
        total += Fraction(f"0{part[: unit.start()].rstrip('.')}") * _SECONDS[unit[0]]
        position = match.end()
    return sign * total if text else None


def parse_version(value: Any) -> tuple[int, ...] | None:
    """The numbers of a version (``v1.28.3`` → 1, 28, 3); None for what is no version. What follows them (``-eks-1``)
    is not compared."""
    text = _text(value)
    match = _VERSION.match(text) if len(text) <= _MAX_TEXT else None
    if match is None or (match.end() < len(text) and text[match.end()] not in "-+"):
        return None
    return tuple(int(part) for part in match[0].removeprefix("v").split("."))


def parse_percent(value: Any) -> Fraction | None:
    """A share: ``70%`` and ``0.7`` are 7/10; None for what is neither."""
    if isinstance(value, str) and value.endswith("%"):
        number = parse_quantity(value[:-1])
        return None if number is None else number / 100
    return parse_quantity(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if _is_number(value) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value)


def holds_quantity(path: Path) -> bool:
    """Whether the API has quantities at a path."""
    return any(step in _QUANTITIES for step in path)


class _Work:
    """How many pairs may still be compared: lists in lists cost the product of their lengths, squared."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MAX_PAIRS

    def done(self, pairs: int) -> bool:
        """Whether there is no more work to be done than this."""
        self.left -= pairs
        return self.left < 0


#: What lists of lists may cost. Beyond, they are compared as they are written, which may find a difference where only
#: the spelling differs, and never none where there is one.
_MAX_PAIRS = 2**19


def same(
    expected: Any, found: Any, *, reading: Reading | None = None, quantity: bool = False, ordered: bool = False
) -> bool:
    """Whether two values mean the same. ``quantity``: texts are quantities where they can be. ``ordered``: the order of
    lists counts."""
    return _same(expected, found, reading, quantity, ordered, _Work())


def _same(expected: Any, found: Any, reading: Reading | None, quantity: bool, ordered: bool, work: _Work) -> bool:
    if isinstance(expected, dict):
        if not isinstance(found, dict) or expected.keys() != found.keys():
            return False
        return all(
            _same(value, found[key], reading, quantity or key in _QUANTITIES, ordered, work)
            for key, value in expected.items()
        )
    if isinstance(expected, list):
        if not isinstance(found, list) or len(expected) != len(found):
            return False
        if ordered:
            return all(
                _same(one, other, reading, quantity, True, work) for one, other in zip(expected, found, strict=True)
            )
        return _same_members(expected, found, reading, quantity, work)
    return _same_scalar(expected, found, reading, quantity)


def _same_members(expected: list[Any], found: list[Any], reading: Reading | None, quantity: bool, work: _Work) -> bool:
    """Whether two lists of one length have the same members, in any order."""
    # Those that are written alike are pairs.
    rest, left = _unlike(expected, found), _unlike(found, expected)
    if work.done(len(expected)):
        return not rest
    for one in rest:
        for number, other in enumerate(left):
            if work.done(1):
                return False
            if _same(one, other, reading, quantity, False, work):
                del left[number]
                break
        else:
            return False
    return True


def _unlike(some: list[Any], others: list[Any]) -> list[Any]:
    """What of some has nothing among others that is written alike."""
    written = Counter(map(_canonical, others))
    left: list[Any] = []
    for one in some:
        text = _canonical(one)
        if written[text]:
            written[text] -= 1
        else:
            left.append(one)
    return left


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{key!r}:{_canonical(child)}" for key, child in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted(map(_canonical, value))) + "]"
    return repr(value)


def _same_scalar(expected: Any, found: Any, reading: Reading | None, quantity: bool) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool) or expected is None or found is None:
        return expected is found
    if isinstance(found, dict | list):
        return False
    if reading == "string":
        return bool(_text(expected) == _text(found))
    if reading is not None:
        one, other = _read(expected, reading), _read(found, reading)
        return one is not None and one == other
    if expected == found and isinstance(expected, str) == isinstance(found, str):
        return True
    numbers = (parse_quantity(expected), parse_quantity(found))
    if None not in numbers:
        known = quantity or _is_number(expected) or _is_number(found) or _has_unit(expected) or _has_unit(found)
        return known and numbers[0] == numbers[1]
    spans = (parse_duration(expected), parse_duration(found))
    return None not in spans and spans[0] == spans[1]


def _has_unit(value: Any) -> bool:
    return isinstance(value, str) and _UNIT.search(value) is not None


def _read(value: Any, reading: Reading) -> Any:
    if reading == "duration":
        return parse_duration(value)
    if reading == "version":
        version = parse_version(value)
        # 1.28 is 1.28.0.
        return None if version is None else tuple(version[: _significant(version)])
    if reading == "percent":
        return parse_percent(value)
    return parse_quantity(value) if reading == "quantity" else _text(value)


def _significant(version: tuple[int, ...]) -> int:
    return next((n for n in range(len(version), 0, -1) if version[n - 1]), 0)


def compare(expected: Any, found: Any, *, reading: Reading | None = None) -> int | None:
    """-1, 0 or 1: ``found`` is less, the same, or more than ``expected``; None where they have no order (another type,
    or texts that are no numbers)."""
    if not (_is_scalar(expected) and _is_scalar(found)):
        return None
    readings: Sequence[Reading] = ("quantity", "duration", "percent") if reading is None else (reading,)
    for one in readings:
        if one == "string":
            continue
        left, right = _read(expected, one), _read(found, one)
        if left is not None and right is not None:
            return int(right > left) - int(right < left)
    return None


def covers(whole: Any, part: Any, *, reading: Reading | None = None, quantity: bool = False) -> bool:
    """Whether ``whole`` has what ``part`` says: each key of a mapping, each item of a list; scalars are the same."""
    return _covers(whole, part, reading, quantity, _Work())


def _covers(whole: Any, part: Any, reading: Reading | None, quantity: bool, work: _Work) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _covers(whole[key], value, reading, quantity or key in _QUANTITIES, work)
            for key, value in part.items()
        )
    if isinstance(part, list):
        if not isinstance(whole, list):
            return False
        written = set(map(_canonical, whole)) if len(part) > 1 else set()
        for one in part:
            if _canonical(one) in written:
                continue
            if not any(not work.done(1) and _covers(item, one, reading, quantity, work) for item in whole):
                return False
        return True
    return _same_scalar(part, whole, reading, quantity)
