"""Many programs through one pool, to see what grows, what hangs about and what gets lost.

    python benchmarks/soak.py [--programs 200000] [--workers N] [--out PREFIX]

Ordinary programs (published ones too, where they lie beside the checkout), among them every bad end: crashes, memory,
floods, forbidden calls, and now and then one that never ends. Each is verified, as in training. Every result is
checked: one program in eight returns a number of its own, and each bad end must come back as what it was.

Writes PREFIX.json and, with matplotlib, PREFIX.png. Exit 1 when a bound is broken. `--programs 1000000` for a night.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from azr_sandbox.bench import processes
from azr_sandbox.bench.programs import OWN
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from seeds import SEEDS, read

WARM = 10_000
"""Programs after which nothing may grow any more."""
FLAT = 0.05
STUCK_S = 300
"""Seconds without a single result after which the pool counts as stuck."""
SLOW_EVERY, BAD_EVERY, OWN_EVERY = 5_000, 33, 8
BAD = (
    ("import os\ndef f(x):\n    os._exit(3)", {Outcome.CRASH}),
    ("import ctypes\ndef f(x):\n    return ctypes.string_at(0)", {Outcome.CRASH}),
    ("def f(x):\n    return [0] * 10**9", {Outcome.MEMORY}),
    ("def f(x):\n    return 'x' * 10**6", {Outcome.OUTPUT_LIMIT}),
    ("import socket\ndef f(x):\n    return socket.socket()", {Outcome.POLICY_VIOLATION, Outcome.ERROR}),
    ("import os\ndef f(x):\n    return os.fork()", {Outcome.POLICY_VIOLATION, Outcome.ERROR}),
    ("def f(x):\n    return f(x)", {Outcome.ERROR}),
    ("def f(x):\n    return 1 // 0", {Outcome.ERROR}),
    ("def f(:", {Outcome.INVALID_PROGRAM}),
    ("def f(x):\n    return object()", {Outcome.NOT_A_VALUE}),
    ("import os\ndef f(x):\n    return os.urandom(8)", {Outcome.NONDETERMINISTIC}),
)
SLOW = (
    ("def f(x):\n    while True: pass", {Outcome.CPU, Outcome.TIMEOUT}),
    ("import time\ndef f(x):\n    time.sleep(60)", {Outcome.TIMEOUT}),
)


class Asked(NamedTuple):
    """A request and what must come of it; anything where nothing is known."""

    request: Request
    outcomes: frozenset[Outcome]
    value: str | None = None

    def wrong(self, executions: tuple[Execution, ...]) -> bool:
        if len(executions) != 1:
            return True
        (execution,) = executions
        if self.value is not None and execution.value != self.value:
            return True
        return bool(self.outcomes) and execution.outcome not in self.outcomes


@dataclass
class Sample:
    """What the pool and its jails use after ``done`` results."""

    done: int
    seconds: float
    cpu_s: float
    host_mb: float
    zygote_mb: float
    """Of one warm jail's Python, on average."""
    nsjail_mb: float
    processes: int
    zombies: int
    open_files: int


@dataclass
class Soak:
    """Everything observed."""

    asked: int = 0
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    lasting_zombies: int = 0
    left_over: int = 0
    files_before: int = 0
    files_after: int = 0
    stuck: bool = False


def source(count: int) -> Iterator[Asked]:
    """What is run: ``count`` requests of one input, the same ones each time."""
    rng = Random(0)
    programs = [(program.text, text) for program in OWN for text in program.inputs]
    if SEEDS.is_dir():
        programs += [(pair.program, pair.arguments) for pairs in read(SEEDS) for pair in pairs]
    for number in range(count):
        if number % SLOW_EVERY == SLOW_EVERY // 2:
            text, outcomes = SLOW[number // SLOW_EVERY % len(SLOW)]
            yield Asked(Request(text, ("1",)), frozenset(outcomes))
        elif number % BAD_EVERY == 7:
            text, outcomes = BAD[number // BAD_EVERY % len(BAD)]
            yield Asked(Request(text, ("1",)), frozenset(outcomes))
        elif number % OWN_EVERY == 0:
            text = f"def f(x):\n    return [x, {number}]"
            yield Asked(Request(text, ("'own'",)), frozenset({Outcome.OK}), f"['own', {number}]")
        else:
            text, arguments = rng.choice(programs)
            yield Asked(Request(text, (arguments,)), frozenset())


def take_sample(soak: Soak, pool: JailPool, started: float) -> Sample:
    """Look at every process now. A jail that is being started or replaced is left out of the averages."""
    zygotes, nsjails = [], []
    for jail in pool.jails:
        inside = list(processes.descendants(jail.process.pid))
        if jail.ready and inside:
            nsjails.append(processes.resident_bytes(jail.process.pid))
            zygotes.append(processes.resident_bytes(inside[0]))
    everything = list(processes.descendants(os.getpid()))
    return Sample(
        done=soak.answered,
        seconds=round(time.monotonic() - started, 1),
        cpu_s=round(processes.cpu_s(), 1),
        host_mb=processes.resident_bytes(os.getpid()) / 2**20,
        zygote_mb=statistics.fmean(zygotes or [0]) / 2**20,
        nsjail_mb=statistics.fmean(nsjails or [0]) / 2**20,
        processes=len(everything),
        zombies=sum(processes.state(pid) == "Z" for pid in everything),
        open_files=processes.open_files(os.getpid()),
    )


def zombies() -> set[int]:
    """Every descendant that has ended and that nobody has waited for."""
    return {pid for pid in processes.descendants(os.getpid()) if processes.state(pid) == "Z"}


def run(count: int, workers: int, every: int) -> Soak:
    """Run it all, looking every so many results."""
    with JailPool(workers=1):  # this process keeps the copied Python's lock from its first pool on
        pass
    soak = Soak(files_before=processes.open_files(os.getpid()))
    expected: deque[Asked] = deque()
    outcomes: Counter[str] = Counter()
    seen_dead: set[int] = set()

    def requests() -> Iterator[Request]:
        for asked in source(count):
            expected.append(asked)
            soak.asked += 1
            yield asked.request

    started = time.monotonic()
    signal.signal(signal.SIGALRM, _stuck)
    with JailPool(Limits(wall_s=6.0, cpu_s=4), workers=workers) as pool, _bar() as bar:
        task = bar.add_task("", total=count)
        try:
            for executions in pool.stream(requests()):
                soak.answered += 1
                asked = expected.popleft()
                outcomes.update(execution.outcome.value for execution in executions)
                if asked.wrong(executions) and len(soak.wrong) < 100:
                    soak.wrong.append(f"{asked.request.program!r}: {executions!r}"[:1000])
                if soak.answered % every == 0:
                    signal.alarm(STUCK_S)
                    soak.samples.append(take_sample(soak, pool, started))
                    dead = zombies()
                    soak.lasting_zombies += len(dead & seen_dead)
                    seen_dead = dead
                    bar.update(task, completed=soak.answered, refresh=True)
        except TimeoutError:
            soak.stuck = True
        signal.alarm(0)
    soak.outcomes = dict(outcomes.most_common())
    soak.left_over = len(list(processes.descendants(os.getpid())))
    soak.files_after = processes.open_files(os.getpid())
    return soak


def _stuck(number: int, frame: object) -> None:
    raise TimeoutError


def _bar() -> Progress:
    console = Console(stderr=True)
    left = (TextColumn("left"), TimeRemainingColumn())
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("elapsed"), TimeElapsedColumn(), *left)
    return Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal)


def drift(samples: list[Sample], name: str) -> float:
    """How far a figure strays from its median once warm, as a share of it; 0 where there are too few samples."""
    figures = [getattr(sample, name) for sample in samples if sample.done > WARM]
    if len(figures) < 2:
        return 0.0
    middle = statistics.median(figures)
    return float(max(abs(figure - middle) for figure in figures) / middle)


def bounds(soak: Soak, workers: int) -> list[tuple[str, str, bool]]:
    """Every bound: what it is, what was observed, whether it holds."""
    jails = 4 * workers  # the main lane and three verifiers
    most = 2 * jails + workers + 2  # each an nsjail and a zygote; the programs; one jail that is being ended
    after = soak.samples[len(soak.samples) // 5 :]
    peak = max((sample.processes for sample in soak.samples), default=0)
    files = [sample.open_files for sample in after] or [0]
    return [
        ("no result is lost", f"{soak.asked - soak.answered} of {soak.asked}", soak.asked == soak.answered),
        ("no result is another's, or wrong", f"{len(soak.wrong)}", not soak.wrong),
        ("nothing is stuck", "stuck" if soak.stuck else "no", not soak.stuck),
        ("no zombie lasts", f"{soak.lasting_zombies}", not soak.lasting_zombies),
        ("no process outlives the pool", f"{soak.left_over}", not soak.left_over),
        (f"at most {most} processes", f"{peak}", peak <= most),
        (
            "no descriptor outlives the pool",
            f"{soak.files_after - soak.files_before}",
            soak.files_after <= soak.files_before,
        ),
        (
            f"descriptors stay under {4 * jails + soak.files_before + 32}",
            f"{max(files)}",
            max(files) < 4 * jails + soak.files_before + 32,
        ),
        *(
            (
                f"{label} stays within {FLAT:.0%} once warm",
                f"{drift(soak.samples, name):.1%}",
                drift(soak.samples, name) <= FLAT,
            )
            for label, name in (
                ("memory of this process", "host_mb"),
                ("memory of a zygote", "zygote_mb"),
                ("memory of an nsjail", "nsjail_mb"),
            )
        ),
    ]


def plot(soak: Soak, file: Path) -> bool:
    """Draw memory, processes and speed over the run; False where matplotlib is missing."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    done = [sample.done for sample in soak.samples]
    figure, (memory, counts, speed) = pyplot.subplots(3, 1, figsize=(9, 8), sharex=True, layout="constrained")
    for style, name, label in (
        ("-", "host_mb", "this process"),
        ("--", "zygote_mb", "a zygote"),
        (":", "nsjail_mb", "an nsjail"),
    ):
        memory.plot(done, [getattr(sample, name) for sample in soak.samples], style, label=label)
    for style, name in (("-", "processes"), ("--", "open_files"), (":", "zombies")):
        counts.plot(done, [getattr(sample, name) for sample in soak.samples], style, label=name.replace("_", " "))
    pieces = list(zip(soak.samples, soak.samples[1:], strict=False))
    cpu_ms = [1000 * (b.cpu_s - a.cpu_s) / (b.done - a.done) for a, b in pieces]
    speed.plot(done[1:], cpu_ms, "-", label="CPU ms a program")
    for axes, unit in ((memory, "MiB"), (counts, "count"), (speed, "ms")):
        axes.set_ylabel(unit)
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")
        axes.grid(alpha=0.3)
    speed.set_xlabel("programs, each verified")
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--samples", type=int, default=400, help="how often to look")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="PREFIX of the .json and .png written")
    options = parser.parse_args()
    soak = run(options.programs, options.workers, max(1, options.programs // options.samples))
    found = bounds(soak, options.workers)
    summary = {
        **asdict(soak),
        "bounds": [{"bound": name, "observed": seen, "holds": holds} for name, seen, holds in found],
    }
    options.out.with_suffix(".json").write_text(json.dumps(summary), "utf-8")
    if not plot(soak, options.out.with_suffix(".png")):
        print("note: no plot without matplotlib", file=sys.stderr)
    for name, seen, holds in found:
        print(f"{'holds ' if holds else 'BROKEN'}  {name}: {seen}")
    for wrong in soak.wrong[:10]:
        print(f"wrong: {wrong}")
    last = soak.samples[-1] if soak.samples else None
    if last:
        print(f"{last.done} programs in {last.seconds:.0f} s; {soak.outcomes}")
    sys.exit(not all(holds for _, _, holds in found))


if __name__ == "__main__":
    main()
