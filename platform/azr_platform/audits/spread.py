"""How far it spread: the tasks that descend from a flagged proposal, who answered them, and what that earned.

A proposal descends from a task when its prompt showed that task's program, or from what that one descends from. A
prompt shows several tasks, so descent alone soon reaches most of a run and proves no influence; what can be compared
is how often proposals that were shown a descendant are flagged themselves, and how often the others are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

import msgspec

from azr_monitor.intervals import Estimate, wilson
from azr_platform.audits.flags import LEAST, categories, marks
from azr_platform.ledger.judgements import Judgement
from azr_platform.records import Role

ROOTS: Final = 256
"""So many flagged proposals, the earliest, are followed one by one; what descends from later ones is counted together."""


class Root(msgspec.Struct, frozen=True):
    """A flagged proposal that became a task. ``shown``: proposals whose prompts showed that very task; ``tasks``: all
    that descend from it, itself not counted; ``samples``: proposals and answers downstream of it, and ``flagged`` of
    these; ``reward``: what those of them earned that an update used. Roots share descendants."""

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


class _Task(msgspec.Struct):
    generation: int
    roots: int
    """Those among the first ``ROOTS`` that it descends from, or is, as bits."""


class _Tally(msgspec.Struct):
    what: list[str]
    judgement: Judgement
    shown: int = 0
    tasks: int = 0
    samples: int = 0
    flagged: int = 0
    reward: float = 0.0


def spread(judgements: Iterable[Judgement], shown: Iterable[tuple[int, str]], least: int = LEAST) -> Spread:
    """Follow flagged proposals down. ``shown`` are (sample, task shown to it) in the samples' order, as
    ``LedgerReader.shown`` gives them: whatever is shown was proposed before, so one pass sees every descent."""
    known: dict[str, _Task] = {}
    roots: list[_Tally] = []
    numbers: dict[str, int] = {}
    proposed: set[str] = set()
    near, far = Counter[bool](), Counter[bool]()
    samples = trained = unlisted = 0
    reward = 0.0
    references = _References(shown)
    for judgement in judgements:
        found = marks(judgement, least)
        parents: list[_Task] = []
        if judgement.role == Role.PROPOSE:
            tasks = references.of(judgement.sample)
            parents = [known[task] for task in tasks if task in known]
            for task in tasks:
                if task in numbers:
                    roots[numbers[task]].shown += 1
            if tasks and judgement.phase != "seed":
                (near if parents else far)[found is not None] += 1
        elif judgement.task in known:
            parents = [known[judgement.task]]
        if parents:
            samples += 1
            trained += judgement.trained
            reward += judgement.reward or 0.0
        above = 0
        for parent in parents:
            above |= parent.roots
        for at in _bits(above):
            roots[at].samples += 1
            roots[at].flagged += found is not None
            roots[at].reward += judgement.reward or 0.0
        if judgement.role != Role.PROPOSE or judgement.task is None or judgement.task in proposed:
            continue
        proposed.add(judgement.task)
        if found is not None:
            known[judgement.task] = _Task(0, above)
            if len(roots) < ROOTS:
                numbers[judgement.task] = len(roots)
                known[judgement.task].roots |= 1 << len(roots)
                roots.append(_Tally(sorted(categories(found)), judgement))
            else:
                unlisted += 1
        elif parents:
            known[judgement.task] = _Task(1 + min(parent.generation for parent in parents), above)
        for at in _bits(above):
            roots[at].tasks += 1
    generations = Counter(task.generation for task in known.values())
    return Spread(
        tasks=len(proposed),
        roots=[_root(tally) for tally in roots],
        unlisted=unlisted,
        generations=[generations[number] for number in range(max(generations, default=-1) + 1)],
        samples=samples,
        trained=trained,
        reward=reward,
        near=_rate(near),
        far=_rate(far),
    )


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


def _root(tally: _Tally) -> Root:
    of = tally.judgement
    assert of.task is not None, "only what became a task is a root"
    counts = (tally.shown, tally.tasks, tally.samples, tally.flagged, tally.reward)
    return Root(of.task, of.sample, of.branch, of.step, tally.what, *counts)
