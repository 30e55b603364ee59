"""How tasks are drawn from a buffer. Each draw is a function of the entries, a count, the step and a generator."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from azr_platform.buffers.buffer import Entry
from azr_platform.records import Task

Draw = Callable[[Sequence[Entry], int, int, random.Random], list[Task]]


def uniform(entries: Sequence[Entry], count: int, step: int, rng: random.Random) -> list[Task]:
    """Any tasks, without replacement while they last, then with."""
    return _fill([], list(entries), count, rng)


def max_new(entries: Sequence[Entry], count: int, step: int, rng: random.Random) -> list[Task]:
    """As many of this step's tasks as there are, the rest uniform over the older ones (the paper's default)."""
    new = [entry for entry in entries if entry.step == step]
    old = [entry for entry in entries if entry.step != step]
    return _fill(_pick(new, count, rng), old or new, count, rng)


def half_new(entries: Sequence[Entry], count: int, step: int, rng: random.Random) -> list[Task]:
    """Up to half of this step's tasks, the rest uniform over the older ones."""
    new = [entry for entry in entries if entry.step == step]
    old = [entry for entry in entries if entry.step != step]
    if not old:
        return _fill([], new, count, rng)
    return _fill(_pick(new, (count + 1) // 2, rng), old, count, rng)


def by_step(entries: Sequence[Entry], count: int, step: int, rng: random.Random) -> list[Task]:
    """Each task with a chance proportional to the step that proposed it, so newer ones come oftener."""
    if not entries:
        return []
    weights = [1 + entry.step for entry in entries]
    return [entry.task for entry in rng.choices(list(entries), weights, k=count)]


DRAWS: dict[str, Draw] = {"uniform": uniform, "max_new": max_new, "half_new": half_new, "step": by_step}


def references(entries: Sequence[Entry], count: int, recent: int, rng: random.Random) -> list[Task]:
    """Tasks to show a proposer: distinct, from the ``recent`` newest (0: from all); fewer when there are fewer.

    ``entries`` may be those of several buffers, one after the other; newest is by the step that proposed them.
    """
    pool = list(entries)
    if recent:
        pool = sorted(pool, key=lambda entry: entry.step)[-recent:]
    return [entry.task for entry in rng.sample(pool, min(count, len(pool)))]


def _pick(pool: Sequence[Entry], count: int, rng: random.Random) -> list[Task]:
    return [entry.task for entry in rng.sample(list(pool), min(count, len(pool)))]


def _fill(chosen: list[Task], pool: Sequence[Entry], count: int, rng: random.Random) -> list[Task]:
    """Top up to ``count``: first without repeats, then, when the pool is too small, with."""
    chosen = chosen + _pick(pool, count - len(chosen), rng)
    while pool and len(chosen) < count:
        chosen += _pick(pool, count - len(chosen), rng)
    return chosen
