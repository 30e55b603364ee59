"""Where a rate changes along a run: the division into stretches of one rate each that describes the counts shortest.

The counts are described stretch by stretch, each by its own rate: binomial likelihood. A further stretch must pay for
what it takes to say where it begins, one of so many places, and what its rate is (Rissanen's two-part code, 1983):
``log(places) + 1/2 log(samples)`` nats. The best division is found exactly (optimal partitioning, Jackson et al. 2005).

Samples of a step share a model and prompts, so counts may vary more than independent samples would. How much more is
told from differences of neighbours, which a step in the rate hardly touches, and what the likelihood says is divided
by it (quasi-likelihood, Wedderburn 1974).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def changes(hits: Sequence[int], totals: Sequence[int]) -> list[int]:
    """The places at which a new rate begins, rising, without 0. Places without samples belong to the stretch before.

    Raises ValueError when there are more hits than samples somewhere.
    """
    kept, some, of = _counted(hits, totals)
    if len(kept) < 2:
        return []
    penalty = math.log(len(kept)) + 0.5 * math.log(of.sum())
    return [kept[at] for at in _divided(some, of, penalty * clumping(hits, totals))]


def clumping(hits: Sequence[int], totals: Sequence[int]) -> float:
    """How many times the variance of neighbouring rates is that of independent samples; at least 1."""
    kept, some, of = _counted(hits, totals)
    if len(kept) < 2:
        return 1.0
    pooled = (some[1:] + some[:-1]) / (of[1:] + of[:-1])
    expected = float((pooled * (1 - pooled) * (1 / of[1:] + 1 / of[:-1])).sum())
    return max(1.0, float((np.diff(some / of) ** 2).sum()) / expected) if expected else 1.0


def _counted(hits: Sequence[int], totals: Sequence[int]) -> tuple[list[int], np.ndarray, np.ndarray]:
    """The places that have samples, and their counts."""
    if len(hits) != len(totals) or any(not 0 <= hit <= total for hit, total in zip(hits, totals, strict=True)):
        raise ValueError("hits must lie between none and all of the samples of their place")
    kept = [place for place, total in enumerate(totals) if total]
    some, of = (np.array([counts[at] for at in kept], dtype=float) for counts in (hits, totals))
    return kept, some, of


def _divided(hits: np.ndarray, totals: np.ndarray, penalty: float) -> list[int]:
    """Beginnings of the stretches of the cheapest division, without the first."""
    places = len(hits)
    some, of = (np.concatenate(([0.0], np.cumsum(counts))) for counts in (hits, totals))
    best = np.zeros(places + 1)  # of the first so many places, less one penalty that every division pays
    best[0] = -penalty
    begun = np.zeros(places + 1, dtype=int)
    for end in range(1, places + 1):
        costs = best[:end] + _cost(some[end] - some[:end], of[end] - of[:end]) + penalty
        begun[end] = int(np.argmin(costs))
        best[end] = costs[begun[end]]
    found = []
    at = int(begun[places])
    while at:
        found.append(at)
        at = int(begun[at])
    return found[::-1]


def _cost(hits: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Nats that it takes to describe the hits among so many samples at their own rate."""
    rate = hits / totals
    misses = totals - hits
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(hits > 0, hits * np.log(rate), 0.0)
        no = np.where(misses > 0, misses * np.log1p(-rate), 0.0)
    cost: np.ndarray = -(yes + no)
    return cost
