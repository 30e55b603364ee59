"""How a loop nears its end: how far off it is at each turn, how many turns are to go, what grows meanwhile."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from azr_monitor.rules.volumes import Large

_FARTHEST = 10**300
_STEEPER = 100
"""A loop that is so many times as fast in its second half gets faster by a factor each turn, and by no fixed amount."""
_LATE = 5
_SWELLS = 1.2
"""Turns in which something has grown, and the factor of each from which on it is taken to go on so."""
_WIDEST = 4_000
"""Bits that stand for those of a number that is not kept."""


def apart(one: Any, other: Any) -> tuple[float, bool]:
    """How far apart two numbers are, exactly where they are whole, however large; whether they are numbers at all."""
    one, other = (
        value.sign * 2 ** int(min(value.bits, _WIDEST)) if isinstance(value, Large) and value.sign else value
        for value in (one, other)
    )
    if isinstance(one, int) and isinstance(other, int):
        return abs(other - one) + 1, True
    if isinstance(one, int | float) and isinstance(other, int | float):
        gap = abs(_kept(other) - _kept(one)) + 1
        return (gap, True) if gap < _FARTHEST else (0.0, False)
    return 0.0, False


def _kept(value: int | float) -> int | float:
    """A number that a fraction may be taken from."""
    return max(-_FARTHEST // 10, min(value, _FARTHEST // 10)) if isinstance(value, int) else value


def turns_to_go(gaps: list[float]) -> float:
    """How many turns a loop takes from here on, by how fast it has come nearer, and by how much faster of late."""
    middle = len(gaps) // 2
    rest = len(gaps) - 1 - middle
    early, late = gaps[0] - gaps[middle], gaps[middle] - gaps[-1]
    steady = _ratio(gaps[-1] * rest, late)
    if early > 0 and early * _STEEPER < late:
        return math.log2(steady) / (
            math.log2(_ratio(late, early)) / middle
        )  # each step is so many times the one before
    faster = (1 - _ratio(early * rest, late * middle)) / middle
    return math.sqrt(2 * steady / faster) if faster > 0.01 else steady


def growth(sizes: list[float]) -> float:
    """The factor by which something grows from turn to turn of late; 0 where it grows by none: what is added has to
    grow too, and what is added to that."""
    last = [size for size in sizes[-_LATE:] if size]
    if len(last) < _LATE - 1:
        return 0.0
    added = [late - early for early, late in pairwise(last)]
    further = [late - early for early, late in pairwise(added)]
    factor = min(late / early for early, late in pairwise(last))
    steep = all(steps[0] > 0 and steps[-1] >= _SWELLS * steps[0] for steps in (added, further))
    return factor if factor >= _SWELLS and steep else 0.0


def _ratio(one: float, other: float) -> float:
    """How many times as large a number is as another, whole ones being exact however large."""
    try:
        return one / other
    except OverflowError:
        return 1e300
