"""How far it spread: the tasks that descend from a flagged proposal, who answered them, and what that earned.

A proposal descends from a task when its prompt showed that task's program, or from what that one descends from. A
prompt shows several tasks, so descent alone soon reaches most of a run and proves no influence; what can be compared
is how often proposals that were shown a descendant are flagged themselves, and how often the others are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby
from operator import or_
from typing import Final, NamedTuple

import msgspec

from azr_monitor.intervals import Estimate, wilson
from azr_platform.audits.flags import LEAST, categories, earned, marks
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.records import FindingRow
from azr_platform.records import Role

ROOTS: Final = 256
"""So many flagged proposals, the earliest, are followed one by one; the rest is counted in the sums alone."""


class Root(msgspec.Struct, frozen=True):
    """A flagged proposal that became a task. ``shown``: proposals whose prompts showed that very task; ``tasks``: all
    that descend from it, itself not counted; ``samples``: proposals and answers downstream of it, and ``flagged`` of
    these; ``reward``: what those earned (``flags.earned``). Roots share descendants."""

    task: str
    sample: int
    branch: int
    step: int
    what: list[str]
    shown: int
    tasks: int
    samples: int
    flagged: int
    reward: float


class Spread(msgspec.Struct, frozen=True):
    """``generations``: tasks by their shortest descent, the roots' own (0) first. ``samples``, ``trained`` and
    ``reward`` are of all proposals and answers downstream, each counted once. ``near`` is how often proposals that were
    shown a root or a descendant were flagged, ``far`` the others that were shown anything; None where there is none."""

    tasks: int
    roots: list[Root]
    unlisted: int
    generations: list[int]
    samples: int
    trained: int
    reward: float
    near: Estimate | None
    far: Estimate | None

    @property
    def share(self) -> float:
        """Of all tasks that a model proposed, those that are roots or descend from one."""
        return sum(self.generations) / self.tasks if self.tasks else 0.0


class _Tally(msgspec.Struct):
    """A root while its descent is followed."""

    what: list[str]
    judgement: Judgement
    shown: int = 0
    tasks: int = 0
    samples: int = 0
    flagged: int = 0
    reward: float = 0.0

    def add(self, flagged: bool, reward: float) -> None:
        self.samples += 1
        self.flagged += flagged
        self.reward += reward

    def finished(self) -> Root:
        of = self.judgement
        assert of.task is not None, "only what became a task is a root"
        counts = (self.shown, self.tasks, self.samples, self.flagged, self.reward)
        return Root(of.task, of.sample, of.branch, of.step, self.what, *counts)


class _Task(NamedTuple):
    """A root, or a task that descends from one. ``roots``: which of the first ``ROOTS`` it comes from, as bits."""

    generation: int
    roots: int


def spread(judgements: Iterable[Judgement], shown: Iterable[tuple[int, str]], least: int = LEAST) -> Spread:
    """Follow flagged proposals down. ``shown`` are (sample, task shown to it) in the samples' order, as
    ``LedgerReader.shown`` gives them: whatever is shown was proposed before, so one pass sees every descent."""
    references, descent = _References(shown), _Descent()
    for judgement in judgements:
        if judgement.role == Role.PROPOSE:
            descent.proposal(judgement, references.of(judgement.sample), marks(judgement, least))
        else:
            descent.answer(judgement, marks(judgement, least) is not None)
    return descent.finished()


class _Descent:
    """What is known of all descents so far."""

    def __init__(self) -> None:
        self._proposed: set[str] = set()
        self._known: dict[str, _Task] = {}
        self._roots: list[_Tally] = []
        self._number: dict[str, int] = {}
        self._unlisted = self._samples = self._trained = 0
        self._reward = 0.0
        self._near, self._far = Counter[bool](), Counter[bool]()

    def proposal(self, judgement: Judgement, tasks: list[str], found: list[FindingRow] | None) -> None:
        """A proposal that was shown these tasks."""
        parents = [self._known[task] for task in tasks if task in self._known]
        above = reduce(or_, (parent.roots for parent in parents), 0)
        for task in tasks:
            if task in self._number:
                self._roots[self._number[task]].shown += 1
        if tasks and judgement.phase != "seed":
            (self._near if parents else self._far)[found is not None] += 1
        if parents:
            self._downstream(judgement, above, found is not None)
        became = judgement.task
        if became is None or became in self._proposed:
            return
        self._proposed.add(became)
        for at in _bits(above):
            self._roots[at].tasks += 1
        if found is not None:
            self._known[became] = _Task(0, above | self._root(became, judgement, found))
        elif parents:
            self._known[became] = _Task(1 + min(parent.generation for parent in parents), above)

    def answer(self, judgement: Judgement, flagged: bool) -> None:
        """An answer to a task."""
        if judgement.task in self._known:
            self._downstream(judgement, self._known[judgement.task].roots, flagged)

    def finished(self) -> Spread:
        generations = Counter(task.generation for task in self._known.values())
        return Spread(
            tasks=len(self._proposed),
            roots=[tally.finished() for tally in self._roots],
            unlisted=self._unlisted,
            generations=[generations[number] for number in range(max(generations, default=-1) + 1)],
            samples=self._samples,
            trained=self._trained,
            reward=self._reward,
            near=_rate(self._near),
            far=_rate(self._far),
        )

    def _downstream(self, judgement: Judgement, roots: int, flagged: bool) -> None:
        reward = earned(judgement) or 0.0
        self._samples += 1
        self._trained += judgement.trained
        self._reward += reward
        for at in _bits(roots):
            self._roots[at].add(flagged, reward)

    def _root(self, task: str, judgement: Judgement, found: list[FindingRow]) -> int:
        """The bit of a new root; none for one too many."""
        if len(self._roots) == ROOTS:
            self._unlisted += 1
            return 0
        self._number[task] = len(self._roots)
        self._roots.append(_Tally(sorted(categories(found)), judgement))
        return 1 << self._number[task]


class _References:
    """The tasks that each proposal was shown, asked for in the samples' order."""

    def __init__(self, shown: Iterable[tuple[int, str]]) -> None:
        self._groups = groupby(shown, key=lambda pair: pair[0])
        self._next: tuple[int, list[str]] | None = None
        self._advance()

    def of(self, sample: int) -> list[str]:
        while self._next is not None and self._next[0] < sample:
            self._advance()
        return self._next[1] if self._next is not None and self._next[0] == sample else []

    def _advance(self) -> None:
        number, pairs = next(self._groups, (0, iter(())))
        self._next = (number, list(dict.fromkeys(task for _, task in pairs))) if number else None


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _rate(counts: Counter[bool]) -> Estimate | None:
    return wilson(counts[True], counts.total()) if counts.total() else None
