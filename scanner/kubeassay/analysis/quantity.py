"""Quantities: the numbers that Kubernetes writes as ``500m``, ``2Gi`` or ``1e3``, compared by meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

# resource.ParseQuantity of k8s.io/apimachinery: sign, digits, one binary, decimal or exponent suffix.
_FORM = re.compile(
    r"(?P<sign>[+-]?)(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,9}))?\Z"
)
_SUFFIXES: Mapping[str, Fraction] = {
    **{suffix: Fraction(1, 1000**power) for power, suffix in enumerate("mun", 1)},
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}
_NANO = 10**9
#: Exponents beyond this are as good as zero or infinity to Kubernetes, and would cost memory to write out.
_MAX_EXPONENT = 64
#: The same of digits: more than these change nothing but whether a number is rounded up.
_MAX_DIGITS = 128


def parse_quantity(value: Any) -> Fraction | None:
    """The exact number that a quantity means (``500m`` = 1/2, ``1Ki`` = 1024); None for what is no quantity.

    As in Kubernetes, nothing is finer than 10⁻⁹: a finer value is rounded up, away from zero.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _parsed(value)


@lru_cache(maxsize=4096, typed=True)
def _parsed(value: str | int | float) -> Fraction | None:
    if isinstance(value, int) and value.bit_length() > _MAX_DIGITS:
        value = 10**_MAX_DIGITS if value > 0 else -(10**_MAX_DIGITS)
    match = _FORM.match(str(value))
    if match is None:
        return None
    number = _number(match["number"])
    if match["suffix"]:
        number *= _SUFFIXES[match["suffix"]]
    elif match["exponent"]:
        exponent = max(-_MAX_EXPONENT, min(_MAX_EXPONENT, int(match["exponent"])))
        number *= Fraction(10) ** exponent
    number = Fraction(ceil(number * _NANO), _NANO)
    return -number if match["sign"] == "-" else number


def _number(text: str) -> Fraction:
    """The number that digits with or without a point mean, however many they are: Python reads few thousands."""
    whole, _, part = text.partition(".")
    whole = whole.lstrip("0")
    if len(whole) > _MAX_DIGITS:
        return Fraction(10) ** _MAX_DIGITS
    if len(part) > _MAX_DIGITS:
        part = part[:_MAX_DIGITS] + ("1" if part[_MAX_DIGITS:].strip("0") else "")
    return Fraction(f"{whole or '0'}.{part or '0'}")


_BINARY = ((1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki"))
_BYTES = ("memory", "storage", "ephemeral-storage")


def shown(resource: str, value: Fraction) -> str:
    """A quantity as Kubernetes would write it (``250m``, ``1.5Gi`` becomes ``1536Mi``)."""
    own = resource.rpartition("/")[2].removeprefix("requests.").removeprefix("limits.")
    if (own in _BYTES or own.startswith("hugepages-")) and value.denominator == 1:
        for unit, suffix in _BINARY:
            if value and abs(value) >= unit and value % unit == 0:
                return f"{value // unit}{suffix}"
    if value.denominator == 1:
        return str(value)
    if (value * 1000).denominator == 1:
        return f"{value * 1000}m"
    return f"{value * 10**9}n" if (value * 10**9).denominator == 1 else str(float(value))
