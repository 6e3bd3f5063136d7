"""Numbers of which only bounds may be known."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number that is at least ``low`` and at most ``high``; None: no bound is known."""

    low: Fraction = _ZERO
    high: Fraction | None = _ZERO

    @property
    def exact(self) -> bool:
        return self.low == self.high

    def __add__(self, other: Amount) -> Amount:
        high = None if self.high is None or other.high is None else self.high + other.high
        return Amount(self.low + other.low, high)

    def __mul__(self, other: Amount) -> Amount:
        if self.high == 0 or other.high == 0:
            return NOTHING
        high = None if self.high is None or other.high is None else self.high * other.high
        return Amount(self.low * other.low, high)

    def __or__(self, other: Amount) -> Amount:
        """What is one of two, and it is not known which."""
        high = None if self.high is None or other.high is None else max(self.high, other.high)
        return Amount(min(self.low, other.low), high)

    @property
    def perhaps(self) -> Amount:
        """The same of something that may be there or not."""
        return Amount(_ZERO, self.high)

    def at_most(self, bound: Fraction) -> bool | None:
        """Whether it is at most a bound; None where that is not known."""
        if self.high is not None and self.high <= bound:
            return True
        return False if self.low > bound else None


NOTHING = Amount()
UNKNOWN = Amount(_ZERO, None)


def exactly(number: int | Fraction) -> Amount:
    """A number that is known."""
    return Amount(Fraction(number), Fraction(number))


def largest(amounts: list[Amount]) -> Amount:
    """The largest of several; nothing where there is none."""
    highs = [amount.high for amount in amounts]
    high = None if None in highs else max((one for one in highs if one is not None), default=_ZERO)
    return Amount(max((amount.low for amount in amounts), default=_ZERO), high)
