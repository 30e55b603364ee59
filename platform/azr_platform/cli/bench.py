"""What ``azr-platform sandbox bench`` runs, and how it shows what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from azr_platform.cli.input import BadInput, read_lines
from azr_platform.nano.grammar import random_arguments, random_case
from azr_sandbox.batch import read_line
from azr_sandbox.bench.arms import Program
from azr_sandbox.bench.measure import COMPARISONS, Measured, Ratio, Report, measure
from azr_sandbox.bench.outer import BaselineFailed
from azr_sandbox.bench.programs import OWN

if TYPE_CHECKING:
    from collections.abc import Callable

_INPUTS = 6  # of a program of the grammar; as many as one of our own has


def bench(file: Path | None, programs: int, rounds: int) -> Report:
    """Measure. A bar on a terminal; BadInput for what cannot be measured."""
    chosen = _own(programs) if file is None else _read(file, programs)
    with _bar() as progress:
        try:
            return measure(chosen, rounds, progress)
        except ValueError as error:
            raise BadInput(f"{file or 'programs'}: {error}") from error
        except BaselineFailed as error:
            raise BadInput(
                f"{error}. The baselines isolate nothing: measure with programs that are well-behaved"
            ) from error


def _own(count: int) -> list[Program]:
    """Programs of the embedded model's grammar, and larger ones by turns."""
    rng = Random(0)  # noqa: S311  (repeatable, not secret)
    chosen = []
    for number in range(count):
        if number % 2:
            chosen.append(OWN[number // 2 % len(OWN)])
        else:
            program, argument = random_case(rng)
            arguments = random_arguments(rng, program, _INPUTS, argument) or [argument]
            chosen.append(Program(program.source, tuple(map(repr, arguments))))
    return chosen


def _read(file: Path, count: int) -> list[Program]:
    """``count`` programs of a file, drawn at random, the same ones each time."""
    found = []
    for number, text in enumerate(read_lines(file), 1):
        line = read_line(number, text)
        if line.request is None:
            raise BadInput(f"{file}: {line.problem.detail if line.problem else 'nothing to run'}")
        found.append(Program(line.request.program, line.request.inputs))
    return Random(0).sample(found, min(count, len(found)))  # noqa: S311  (repeatable, not secret)


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, drawn only when told of progress: drawing by itself would be measured, too."""
    console = Console(stderr=True)
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("elapsed"), TimeElapsedColumn())
    with Progress(
        *columns,
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total, refresh=True)

        yield tell


def as_json(report: Report) -> dict[str, Any]:
    """Everything that was measured, round by round."""
    return {
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "arch": platform.machine(),
            "python": platform.python_version(),
        },
        "programs": report.programs,
        "pairs": report.pairs,
        "left_out": report.left_out,
        "arms": [
            {
                "name": arm.name,
                "pairs_per_cpu_s": round(arm.per_cpu_s, 1),
                "cpu_ms": [round(value, 4) for value in arm.cpu_ms],
                "wall_ms": [round(value, 4) for value in arm.wall_ms],
                "p50_ms": round(arm.latency_ms(50), 3),
                "p99_ms": round(arm.latency_ms(99), 3),
                "runs": arm.pairs,
                "values": arm.values,
            }
            for arm in report.arms.values()
        ],
        "ratios": [
            {
                "of": name,
                "to": other,
                **{key: round(value, 4) for key, value in report.ratio(name, other)._asdict().items()},
            }
            for name, other in COMPARISONS
        ],
    }


def show(report: Report) -> None:
    """The arms, and what they are to one another; in 80 columns, and no colour is needed to read them."""
    arms = Table("way", box=None, pad_edge=False)
    for heading in ("pairs per\nCPU second", "CPU ms\na pair", "p50\nms", "p99\nms", "pairs a\nsecond", "values"):
        arms.add_column(heading, justify="right")
    for arm in report.arms.values():
        arms.add_row(*_row(arm))
    ratios = Table("work for a CPU second", "median", "quartiles", box=None, pad_edge=False)
    for name, other in COMPARISONS:
        ratios.add_row(f"{name} : {other}", *_ratio(report.ratio(name, other)))
    console = Console(highlight=False)
    rounds = len(next(iter(report.arms.values())).cpu_ms)
    left_out = f"; {report.left_out} pairs give no value and were left out" if report.left_out else ""
    console.print(f"{report.programs} programs, {report.pairs} pairs, {rounds} rounds{left_out}\n")
    console.print(arms)
    console.print()
    console.print(ratios)


def _row(arm: Measured) -> tuple[str, ...]:
    return (
        arm.name,
        f"{arm.per_cpu_s:.0f}",
        f"{1000 / arm.per_cpu_s:.2f}",
        f"{arm.latency_ms(50):.1f}",
        f"{arm.latency_ms(99):.1f}",
        f"{arm.per_s:.0f}",
        f"{arm.values / arm.pairs:.1%}",
    )


def _ratio(ratio: Ratio) -> tuple[str, str]:
    return f"{ratio.median:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}"
