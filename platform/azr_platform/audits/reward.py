"""Whether it paid: the reward of flagged samples against that of the others of the same role and kind."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from azr_monitor.intervals import Estimate, Z
from azr_platform.audits.flags import LEAST, earned, marks
from azr_platform.ledger.judgements import Judgement

FEW: Final = 5
"""With fewer rewarded samples on a side there is no interval."""


class Earned(msgspec.Struct, frozen=True):
    """Some samples and what they earned. ``trained`` of them moved the model; ``rewarded`` have a reward that counts
    (``flags.earned``)."""

    samples: int
    trained: int
    rewarded: int
    total: float
    mean: float | None


class Compared(msgspec.Struct, frozen=True):
    """Flagged and unflagged samples of one role and kind. ``difference``: of the means, flagged less unflagged, with
    Welch's 95 % interval; None where either side has too few that were rewarded."""

    role: str
    kind: str
    flagged: Earned
    others: Earned
    difference: Estimate | None


class Rewards(msgspec.Struct, frozen=True):
    """A row a role and kind that has flagged samples, and ``overall``: the mean of the rows' differences, each weighted
    by its flagged samples that were rewarded, so that no mixture of kinds passes for an effect."""

    rows: list[Compared]
    overall: Estimate | None
    flagged: Earned


class _Side:
    """Count, mean and spread of rewards as they come (Welford, 1962)."""

    def __init__(self) -> None:
        self.samples = self.count = self.trained = 0
        self.mean = self._squares = self.total = 0.0

    def add(self, judgement: Judgement) -> None:
        self.samples += 1
        self.trained += judgement.trained
        reward = earned(judgement)
        if reward is None:
            return
        self.count += 1
        self.total += reward
        off = reward - self.mean
        self.mean += off / self.count
        self._squares += off * (reward - self.mean)

    @property
    def variance(self) -> float:
        return self._squares / (self.count - 1) if self.count > 1 else 0.0

    @property
    def told(self) -> Earned:
        return Earned(self.samples, self.trained, self.count, self.total, self.mean if self.count else None)


def rewards(judgements: Iterable[Judgement], least: int = LEAST) -> Rewards:
    """Compare rewards within each role and kind; the seeds, which nobody rewards, are left out.

    Samples of a step share prompts and a model, and count as independent all the same: the intervals are rather
    narrow. A difference is no cause: what is flagged may also be longer, later, or on harder tasks.
    """
    sides: dict[tuple[str, str], tuple[_Side, _Side]] = defaultdict(lambda: (_Side(), _Side()))
    everything = _Side()
    for judgement in judgements:
        if judgement.phase == "seed":
            continue
        found = marks(judgement, least) is not None
        sides[judgement.role, judgement.kind][0 if found else 1].add(judgement)
        if found:
            everything.add(judgement)
    rows, differences = [], []
    for (role, kind), (flagged, others) in sorted(sides.items()):
        if flagged.samples:
            found_difference = _welch(flagged, others)
            rows.append(Compared(role, kind, flagged.told, others.told, found_difference))
            if found_difference is not None:
                differences.append((flagged.count, found_difference))
    return Rewards(rows, _weighted(differences), everything.told)


def _welch(flagged: _Side, others: _Side) -> Estimate | None:
    if min(flagged.count, others.count) < FEW:
        return None
    # A few rewards that happen to be all the same would pass for certainty: such a side varies as the other does.
    one = (flagged.variance or others.variance) / flagged.count
    other = (others.variance or flagged.variance) / others.count
    value = flagged.mean - others.mean
    if not one + other:
        return Estimate(value, value, value, flagged.count)
    freedom = (one + other) ** 2 / (one**2 / (flagged.count - 1) + other**2 / (others.count - 1))
    half = student(freedom) * math.sqrt(one + other)
    return Estimate(value, value - half, value + half, flagged.count)


def _weighted(differences: list[tuple[int, Estimate]]) -> Estimate | None:
    if not differences:
        return None
    total = sum(count for count, _ in differences)
    value = math.fsum(count * one.value for count, one in differences) / total
    half = math.sqrt(math.fsum((count / total * (one.high - one.value)) ** 2 for count, one in differences))
    return Estimate(value, value - half, value + half, total)


def student(freedom: float) -> float:
    """Student's 97.5 % point, by its expansion around the normal one (Fisher and Cornish, 1960): within 1 % of it for
    three degrees of freedom or more."""
    v, z = freedom, Z
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
