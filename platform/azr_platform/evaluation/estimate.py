"""Shares with their uncertainty: pass@k, intervals over tasks and over samples, differences.

All are deterministic. The unit of the bootstrap is the task: samples of one task are no independent evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from azr_monitor.intervals import Estimate, wilson

RESAMPLES: Final = 4000
_SEED: Final = 20_211


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The chance that at least one of ``k`` samples is right, unbiased from ``samples`` of which ``right`` were.

    Chen et al. 2021 (arXiv 2107.03374), equation 1. Raises ValueError unless 1 <= k <= samples, 0 <= right <= samples.
    """
    if not (1 <= k <= samples and 0 <= right <= samples):
        raise ValueError(f"pass@{k} from {right} right of {samples} samples is not defined")
    # A product of ratios, as the binomials themselves overflow.
    return 1.0 - math.prod(1.0 - k / n for n in range(samples - right + 1, samples + 1))


def difference(before: Estimate, after: Estimate) -> Estimate:
    """``after - before`` of two independent shares, by Newcombe's hybrid of their Wilson limits (1998, method 10)."""
    value = after.value - before.value
    low = value - math.hypot(after.value - after.low, before.high - before.value)
    high = value + math.hypot(after.high - after.value, before.value - before.low)
    return Estimate(value, low, high, min(before.count, after.count))


def mean_of_groups(groups: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean of the groups' means of shares in 0..1, tasks resampled within each group (percentile bootstrap).

    When every task of every group says the same, resampling sees no spread; Wilson's interval is given then, as if
    each task were one trial. Raises ValueError when there is no group or an empty one.
    """
    value, spread = _resampled(groups)
    count = sum(len(values) for values in groups.values())
    if len({score for values in groups.values() for score in values}) == 1 and value in (0.0, 1.0):
        return wilson(round(value) * count, count)
    low, high = np.quantile(spread, (0.025, 0.975))
    return Estimate(value, min(float(low), value), max(float(high), value), count)


def mean_difference(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean over groups of ``after - before`` on the same tasks, in the same order: a paired bootstrap over tasks.

    Raises ValueError when the groups are not the same tasks' (unequal names or lengths).
    """
    if {name: len(values) for name, values in before.items()} != {name: len(values) for name, values in after.items()}:
        raise ValueError("a paired difference needs the same tasks on both sides")
    paired = {
        name: [b - a for a, b in zip(values, after[name], strict=True)] for name, values in sorted(before.items())
    }
    value, spread = _resampled(paired)
    low, high = np.quantile(spread, (0.025, 0.975))
    count = sum(len(values) for values in paired.values())
    return Estimate(value, min(float(low), value), max(float(high), value), count)


def _resampled(groups: Mapping[str, Sequence[float]]) -> tuple[float, np.ndarray]:
    """(the mean of the groups' means, the same of each resample)."""
    if not groups or not all(groups.values()):
        raise ValueError("there is no task to estimate from")
    random = np.random.default_rng(_SEED)
    spread = np.zeros(RESAMPLES)
    for _, values in sorted(groups.items()):
        scores = np.asarray(values, dtype=float)
        # How often each different score is drawn says all; far cheaper than drawing every task.
        different, counts = np.unique(scores, return_counts=True)
        drawn = random.multinomial(len(scores), counts / len(scores), size=RESAMPLES)
        spread += drawn @ different / len(scores)
    means = [math.fsum(values) / len(values) for values in groups.values()]
    return math.fsum(means) / len(means), spread / len(groups)
