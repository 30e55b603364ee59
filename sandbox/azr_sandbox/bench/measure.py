"""Interleave the arms in rounds, count every CPU second, and set them side by side.

A busy machine slows all arms of a round alike, so what is compared are arms of one round: a ratio is the median of
the rounds' own ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from azr_sandbox.bench import arms
from azr_sandbox.bench.arms import Arm, Program
from azr_sandbox.bench.processes import cpu_s

COMPARISONS = (
    (arms.JAIL, arms.FORK),
    (arms.VERIFIED, arms.FORKS),
    (arms.JAIL, arms.EACH),
    (arms.VERIFIED, arms.EACH),
    (arms.TOGETHER, arms.IN_PROCESS),
    (arms.TOGETHER_ONCE, arms.IN_PROCESS),
    (arms.TWO, arms.VERIFIED),
)
"""What the arms are for: how much work one does for a CPU second of another's."""


@dataclass
class Measured:
    """One arm, a value a round: CPU and wall milliseconds a pair; and the latency of each pair that was timed."""

    name: str
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    pairs: int = 0
    values: int = 0

    @property
    def per_cpu_s(self) -> float:
        """Pairs per CPU second, in the median round."""
        return 1000 / statistics.median(self.cpu_ms)

    @property
    def per_s(self) -> float:
        """Pairs per second of wall clock, in the median round."""
        return 1000 / statistics.median(self.wall_ms)

    def latency_ms(self, percent: int) -> float:
        """That percentile of the latencies, by nearest rank."""
        ordered = sorted(self.latencies_ms)
        return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


class Ratio(NamedTuple):
    """Work for a CPU second of one arm over another's: the median of the rounds, and their quartiles."""

    median: float
    low: float
    high: float


@dataclass
class Report:
    """All that was measured. ``left_out`` pairs gave no value in the jail and were not measured."""

    programs: int
    pairs: int
    left_out: int
    arms: dict[str, Measured]

    def ratio(self, name: str, other: str) -> Ratio:
        """How much one arm does for a CPU second, in the other's measure."""
        rows = zip(self.arms[other].cpu_ms, self.arms[name].cpu_ms, strict=True)
        ratios = sorted(theirs / ours for theirs, ours in rows)
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return Ratio(median, low, high)


def measure(programs: Sequence[Program], rounds: int, progress: Callable[[str, int, int], None]) -> Report:
    """Run the programs in every way, ``rounds`` times over.

    ``progress`` is told what comes next, and how much is done of how much; never while something is measured.

    Raises:
        ValueError: no program gives a value.
        JailUnavailable: no jail can be had.
        BaselineFailed: a program ended a baseline.
    """
    rng = Random(0)  # noqa: S311  (repeatable, not secret)
    with ExitStack() as stack:
        progress("starting", 0, 1)
        pool, ways = arms.start(stack)
        progress("choosing programs", 0, 1)
        kept = arms.screen(programs, pool)
        if not kept:
            raise ValueError("none of the programs gives a value in the jail; there is nothing to measure")
        report = _report(programs, kept, ways)
        turns = [way for _ in range(rounds + 1) for way in rng.sample(ways, len(ways))]
        for number, way in enumerate(turns):
            warming = number < len(ways)
            progress(f"{way.name} (warming up)" if warming else way.name, number, len(turns))
            _turn(way, kept[:20] if warming else kept, Measured(way.name) if warming else report.arms[way.name])
        progress("done", len(turns), len(turns))
    return report


def _report(programs: Sequence[Program], kept: Sequence[Program], ways: Sequence[Arm]) -> Report:
    pairs = len(arms.pairs(kept))
    return Report(len(kept), pairs, len(arms.pairs(programs)) - pairs, {way.name: Measured(way.name) for way in ways})


def _turn(way: Arm, programs: Sequence[Program], into: Measured) -> None:
    count = way.load(programs)
    wall, cpu = time.perf_counter(), cpu_s()
    ran = way.run()
    into.cpu_ms.append(1000 * (cpu_s() - cpu) / count)
    into.wall_ms.append(1000 * (time.perf_counter() - wall) / count)
    into.latencies_ms += ran.latencies_ms or way.alone_ms()
    into.pairs += count
    into.values += ran.values
