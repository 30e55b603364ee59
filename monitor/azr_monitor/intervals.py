"""Shares of independent trials with their uncertainty."""

from __future__ import annotations

import math
from typing import Final

import msgspec

Z: Final = 1.959963984540054
"""The normal distribution's 97.5 % point: intervals hold 95 %."""


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval, from ``count`` tasks, samples or texts."""

    value: float
    low: float
    high: float
    count: int


def wilson(right: int, count: int) -> Estimate:
    """A share of independent trials with Wilson's score interval (1927). Raises ValueError for no trials."""
    if count < 1 or not 0 <= right <= count:
        raise ValueError(f"{right} of {count} is no share")
    share = right / count
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    # At the ends the exact limits are 0 and 1; the arithmetic misses them by a rounding.
    low = 0.0 if right == 0 else max(0.0, middle - half)
    high = 1.0 if right == count else min(1.0, middle + half)
    return Estimate(share, low, high, count)
