"""What comes together: categories, and rules, that are found in the same samples more or less often than by chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Set
from itertools import combinations
from typing import Final

import msgspec

from azr_monitor.records import Severity
from azr_platform.audits.first import RULES
from azr_platform.audits.flags import categories, marks
from azr_platform.ledger.judgements import Judgement

MILD: Final = Severity.LOW
"""A sign by itself may be nothing, and two of them something."""
FEW: Final = 5
"""Of pairs that are seen, and expected, less often than this nothing is said but the counts."""
SURE: Final = 0.05
"""The chance, over all pairs of a table together, of calling one telling that is not."""


class Pair(msgspec.Struct, frozen=True):
    """Two things and in how many samples each, and both, were found. ``expected``: both, if they had nothing to do with
    each other. ``lift`` is both over expected, ``phi`` the correlation; None where the counts are too small.
    ``telling``: ``more`` or ``less`` where chance does not explain it, all pairs considered; else empty."""

    one: str
    other: str
    ones: int
    others: int
    both: int
    expected: float
    lift: float | None
    phi: float | None
    chance: float
    """How likely counts this far from the expected are if the two are independent (Fisher's exact test, two-sided)."""
    telling: str


class Together(msgspec.Struct, frozen=True):
    """Pairs of categories and pairs of rules, most telling first, of findings of at least the severity ``least``. Rules
    on one thing often come together because they read the same words: that is how they were written, and says nothing
    of the model."""

    judged: int
    least: int
    categories: list[Pair]
    rules: list[Pair]
    unlisted: int = 0


def together(judgements: Iterable[Judgement], least: int = MILD) -> Together:
    """Count the samples that have each, and both, of every pair."""
    of_categories, of_rules = _Counts(), _Counts()
    judged = 0
    for judgement in judgements:
        judged += 1
        found = marks(judgement, least)
        if found is not None:
            of_categories.add(categories(found).keys())
            of_rules.add({row.rule for row in found})
    return Together(judged, least, of_categories.pairs(judged), of_rules.pairs(judged), of_rules.unlisted)


class _Counts:
    def __init__(self) -> None:
        self.single: Counter[str] = Counter()
        self.both: Counter[tuple[str, str]] = Counter()
        self.unlisted = 0

    def add(self, names: Set[str]) -> None:
        known = []
        for name in sorted(names):
            if name in self.single or len(self.single) < RULES:
                self.single[name] += 1
                known.append(name)
        self.unlisted += len(names) - len(known)
        self.both.update(combinations(known, 2))

    def pairs(self, judged: int) -> list[Pair]:
        """Every pair seen, and those never seen that should have been."""
        names = sorted(self.single)
        wanted = [
            (one, other)
            for one, other in combinations(names, 2)
            if self.both[one, other] or self.single[one] * self.single[other] >= FEW * judged
        ]
        rows = [self._pair(one, other, judged, len(wanted)) for one, other in wanted]
        return sorted(rows, key=lambda row: (not row.telling, row.chance, -row.both, row.one, row.other))

    def _pair(self, one: str, other: str, judged: int, tested: int) -> Pair:
        ones, others, both = self.single[one], self.single[other], self.both[one, other]
        expected = ones * others / judged
        chance = fisher(both, ones, others, judged)
        enough = both >= FEW or expected >= FEW
        spread = math.sqrt(ones * others * (judged - ones) * (judged - others))
        telling = "" if not enough or chance * tested > SURE else "more" if both > expected else "less"
        return Pair(
            one,
            other,
            ones,
            others,
            both,
            expected,
            both / expected if enough else None,
            (both * judged - ones * others) / spread if enough and spread else None,
            chance,
            telling,
        )


def fisher(both: int, ones: int, others: int, judged: int) -> float:
    """Fisher's exact test, two-sided: the chance of a table no likelier than this one, its margins given.

    What lies further out than twelve standard deviations adds nothing that a float could hold beside the rest.
    """
    middle = ones * others / judged
    reach = 12 * math.sqrt(middle) + 12
    low, high = max(0, ones + others - judged, int(middle - reach)), min(ones, others, int(middle + reach))
    logs = [_log_table(k, ones, others, judged) for k in {*range(low, high + 1), both}]
    here = _log_table(both, ones, others, judged)
    return min(1.0, math.fsum(math.exp(value) for value in logs if value <= here + 1e-7))


def _log_table(both: int, ones: int, others: int, judged: int) -> float:
    return _log_choose(ones, both) + _log_choose(judged - ones, others - both) - _log_choose(judged, others)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
