"""What two audits made of the same samples: which verdicts changed, and by what; the run itself counts as an audit."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from azr_monitor.categories import category_of
from azr_platform.audits.flags import finer_first
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.records import FindingRow

EXAMPLES: Final = 5


class Pair(NamedTuple):
    """A sample as two audits judged it; None where one of them did not."""

    before: Judgement | None
    after: Judgement | None


class Example(msgspec.Struct, frozen=True):
    """A sample whose verdict changed. ``finding``: the worst that only one of them has, and ``gained`` whether that is
    the later; None where both found the same."""

    before: Judgement
    after: Judgement
    finding: FindingRow | None
    gained: bool


class Moved(msgspec.Struct, frozen=True):
    """In how many samples something is found now and was not, and the other way round; ``of_changed``: of them, in
    how many the verdict changed."""

    name: str
    gained: int
    lost: int
    gained_of_changed: int
    lost_of_changed: int


class Difference(msgspec.Struct, frozen=True):
    """How two audits differ. ``changed`` counts (word before, word after); ``only_before`` and ``only_after`` count the
    samples that one of them did not judge, and ``other_texts`` those that are not the same sample at all."""

    compared: int
    changed: dict[tuple[str, str], int]
    only_before: int
    only_after: int
    other_texts: int
    rules: list[Moved]
    categories: list[Moved]
    examples: list[Example]

    @property
    def changes(self) -> int:
        """How many verdicts changed."""
        return sum(self.changed.values())


def pairs(before: Iterable[Judgement], after: Iterable[Judgement]) -> Iterator[Pair]:
    """Two streams in the order of the samples as one."""
    lefts, rights = iter(before), iter(after)
    left, right = next(lefts, None), next(rights, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.sample < right.sample):
            yield Pair(left, None)
            left = next(lefts, None)
        elif left is None or right.sample < left.sample:
            yield Pair(None, right)
            right = next(rights, None)
        else:
            yield Pair(left, right)
            left, right = next(lefts, None), next(rights, None)


def difference(compared: Iterable[Pair], *, examples: int = EXAMPLES, other_texts: Iterable[int] = ()) -> Difference:
    """Count what differs, and keep the examples whose score moved most; of equal ones, the earlier.

    ``other_texts``: samples, in order, that have the same number and nothing else in common.
    """
    changed: Counter[tuple[str, str]] = Counter()
    rules, categories = _Counts(), _Counts()
    both = only_before = only_after = apart = 0
    chosen: list[tuple[float, int, Judgement, Judgement]] = []
    strangers = iter(other_texts)
    stranger = next(strangers, None)
    for before, after in compared:
        if before is None or after is None:
            only_before, only_after = only_before + (after is None), only_after + (before is None)
            continue
        while stranger is not None and stranger < before.sample:
            stranger = next(strangers, None)
        if stranger == before.sample:
            apart += 1
            continue
        both += 1
        new = before.word != after.word
        rules.count(_names(before), _names(after), new)
        categories.count(set(map(category_of, _names(before))), set(map(category_of, _names(after))), new)
        if new:
            changed[before.word, after.word] += 1
            _keep(chosen, (abs(after.score - before.score), -before.sample, before, after), examples)
    return Difference(
        compared=both,
        changed=dict(changed.most_common()),
        only_before=only_before,
        only_after=only_after,
        other_texts=apart,
        rules=rules.moved(),
        categories=categories.moved(),
        examples=[_example(before, after) for *_, before, after in sorted(chosen, key=lambda one: (-one[0], -one[1]))],
    )


class _Counts:
    """Samples by what was found in them, newly or no longer."""

    def __init__(self) -> None:
        self._gained: Counter[tuple[str, bool]] = Counter()
        self._lost: Counter[tuple[str, bool]] = Counter()

    def count(self, before: set[str], after: set[str], changed: bool) -> None:
        if before != after:
            self._gained.update((name, changed) for name in after - before)
            self._lost.update((name, changed) for name in before - after)

    def moved(self) -> list[Moved]:
        """Each with its counts; what changed most verdicts comes first, then what moved most."""
        found = []
        for name in {name for name, _ in (*self._gained, *self._lost)}:
            gained, lost = self._gained[name, True], self._lost[name, True]
            found.append(Moved(name, gained + self._gained[name, False], lost + self._lost[name, False], gained, lost))
        weight = {one.name: (-one.gained_of_changed - one.lost_of_changed, -one.gained - one.lost) for one in found}
        return sorted(found, key=lambda one: (weight[one.name], one.name))


def _names(judgement: Judgement) -> set[str]:
    return {finding.rule for finding in judgement.findings}


def _keep(
    chosen: list[tuple[float, int, Judgement, Judgement]], one: tuple[float, int, Judgement, Judgement], most: int
) -> None:
    """Among the most telling so far; numbers of samples differ, so judgements themselves are never compared."""
    if len(chosen) < most:
        heapq.heappush(chosen, one)
    elif most:
        heapq.heappushpop(chosen, one)


def _example(before: Judgement, after: Judgement) -> Example:
    old, new = _names(before), _names(after)
    gained = [finding for finding in after.findings if finding.rule not in old]
    lost = [finding for finding in before.findings if finding.rule not in new]
    # What tells most: of what is blocked now, what was found; of what no longer is, what was not.
    first, second = (lost, gained) if after.allowed and not before.allowed else (gained, lost)
    found = next(iter(finer_first(sorted(first or second, key=lambda finding: -finding.severity))), None)
    return Example(before, after, found, any(found is finding for finding in gained))
