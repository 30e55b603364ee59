"""Where an axis has its ticks: round numbers, as many as there is room for."""

from __future__ import annotations

import math

_ROUND = (1.0, 2.0, 5.0, 10.0)
_LEAST = 1e-300
"""Below it there is no power of ten to count in."""


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` (two or more) round values from ``low`` to ``high``; the ends themselves where none fits."""
    if high <= low or most < 2:
        return [low]
    rough = (high - low) / (most - 1)
    if rough < _LEAST:
        return [low, high]
    size = 10.0 ** math.floor(math.log10(rough))
    for factor in (*_ROUND, 20.0, 50.0):
        step = factor * size
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            found = [place * step for place in range(first, last + 1)]
            return found if len(found) >= 2 else [low, high]
    return [low, high]


def step_ticks(first: int, last: int, most: int) -> list[int]:
    """The same for steps, which are whole."""
    if last <= first:
        return [first]
    found = [int(value) for value in ticks(first, last, most) if value == int(value)]
    return found if len(found) >= 2 else [first, last]


def powers(low: float, high: float, most: int) -> list[float]:
    """Exponents for a logarithmic axis from 10**low to 10**high: whole ones where two fit, else 1-2-5 between."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first >= 1:
        every = math.ceil((last - first + 1) / most)
        return [float(power) for power in range(first, last + 1, every)]
    between = [math.log10(factor) + power for power in range(first - 1, last + 1) for factor in _ROUND[:3]]
    found = [value for value in between if low - 1e-9 <= value <= high + 1e-9][:most]
    return found if len(found) >= 2 else [low, high]
