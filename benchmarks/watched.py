"""Whether a run waits for those who watch it: its writer's commits with dashboards open, beside none.

    python benchmarks/watched.py [--dashboards 3] [--seconds 6] [--rounds 5] [--folder FOLDER]

The ledger's writer commits batches of 32 samples, durably, with `--pause` seconds of rest between two, as reviews do.
The dashboards run as processes on terminals that are read, each on another pane, and every one draws what is new once a
second. Rounds with and without them take turns. Told are the seconds of a commit on the wall and of the writer's own
CPU, and how they compare: where processors are scarce the wall tells of them as well, the CPU of the writer alone.
"""

from __future__ import annotations

import argparse
import os
import pty
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azr_platform.ledger.writer import LedgerWriter
from ledger import Row, rows

BATCH = 32
PANES = b"132456789"


def read_on(end: int, drawn: threading.Event) -> None:
    """Read a terminal until it is closed."""
    try:
        while os.read(end, 65536):
            drawn.set()
    except OSError:
        pass


@contextmanager
def watched(run: Path, dashboards: int) -> Iterator[None]:
    """So many dashboards on a run."""
    children: list[tuple[int, int, threading.Thread]] = []
    try:
        for number in range(dashboards):
            pid, end = pty.fork()
            if pid == 0:
                command = [sys.executable, "-m", "azr_platform", "tui", str(run)]
                os.execve(sys.executable, command, {**os.environ, "TERM": "xterm-256color", "LINES": "40"})
            drawn = threading.Event()
            reader = threading.Thread(target=read_on, args=(end, drawn), daemon=True)
            reader.start()
            children.append((pid, end, reader))
            if not drawn.wait(60):
                raise SystemExit("error: a dashboard drew nothing within a minute")
            time.sleep(3)
            os.write(end, PANES[number % len(PANES) :][:1])
        yield
    finally:
        for pid, end, reader in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            reader.join(10)
            os.close(end)


def commits(writer: LedgerWriter, samples: list[Row], seconds: float, pause: float) -> list[tuple[float, float]]:
    """(wall, CPU) seconds of each commit."""
    found: list[tuple[float, float]] = []
    until = time.monotonic() + seconds
    place = 0
    while time.monotonic() < until:
        started, used = time.perf_counter(), time.thread_time()
        with writer.batch() as batch:
            for row in samples[place : place + BATCH]:
                batch.add("samples", row)
        found.append((time.perf_counter() - started, time.thread_time() - used))
        place = (place + BATCH) % (len(samples) - BATCH)
        time.sleep(pause)
    return found


def told(name: str, found: list[tuple[float, float]]) -> tuple[float, float]:
    """Print one line; (median wall, mean CPU) seconds."""
    wall = sorted(each for each, _ in found)
    cpu = statistics.fmean(each for _, each in found)
    middle, late = statistics.median(wall), wall[int(0.99 * (len(wall) - 1))]
    print(
        f"{name:14} {len(found):6,} commits   wall {1e3 * middle:6.2f} ms, 99 % {1e3 * late:6.2f} ms, "
        f"worst {1e3 * wall[-1]:6.1f} ms   CPU {1e3 * cpu:5.2f} ms"
    )
    return middle, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dashboards", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    samples = rows(2048, odd=0.1)
    found: dict[int, list[tuple[float, float]]] = {0: [], given.dashboards: []}
    with tempfile.TemporaryDirectory(dir=given.folder) as place, LedgerWriter(Path(place)) as writer:
        run = {"name": "watched", "created_at": 1.7e9, "version": "0", "seed": 0, "steps": 100, "config": "{}"}
        writer.append("run", run)
        writer.append("branches", {"created_at": 1.7e9, "parent": None, "from_step": 0, "reason": "begun"})
        for turn in range(2 * given.rounds):
            count = 0 if turn % 2 else given.dashboards
            with watched(Path(place), count):
                found[count] += commits(writer, samples, given.seconds, given.pause)
    alone = told("nobody", found[0])
    seen = told(f"{given.dashboards} dashboards", found[given.dashboards])
    print(f"with dashboards: wall x {seen[0] / alone[0]:.2f}, the writer's CPU x {seen[1] / alone[1]:.2f}")


if __name__ == "__main__":
    main()
