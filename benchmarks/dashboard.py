"""How quick the dashboard is on a long run: first paint, keys, search, what it costs while idle, memory.

    python benchmarks/dashboard.py [--samples 1000000] [--steps 5000] [--folder FOLDER] [--only PART ...]

The run is made first, by the ledger's writer (benchmarks/synthetic.py); it lies in FOLDER, 4 GB for a million samples
with their search index, and is used again when it is there. The dashboard runs in a terminal of its own (a pty), as for
a user. ``--size 120x40`` is that of the terminal.

paint   from the start of the program to the first bytes with data from the ledger
keys    from a key's bytes to the first that are drawn for it, and to the last byte of the frame it leads to, data
        included: what follows within 0.35 s of silence belongs to it; nothing else draws meanwhile. Every pane, its
        own keys and those that move.
search  from a question to its answer, words from frequent to absent, filters beside them
idle    CPU of a core at two looks a second: nothing is written, and a step with 200 samples every half second
memory  of the process after all keys
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import queue
import select
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.writer import LedgerWriter
from azr_tui.app import AzrApp
from azr_tui.feed import Finder
from azr_tui.keymap import pane_digits
from azr_tui.questions import AskSamples
from synthetic import Run, make

SILENCE = 0.35
PATIENCE = 60.0
WATCH = """
import sys; from pathlib import Path; from azr_tui.app import AzrApp
AzrApp(Path(sys.argv[1]), poll=float(sys.argv[2])).run()
"""
BYTES = {
    "enter": b"\r", "escape": b"\x1b", "tab": b"\t", "shift+tab": b"\x1b[Z", "question_mark": b"?", "slash": b"/",
    "left_square_bracket": b"[", "right_square_bracket": b"]", "full_stop": b".", "comma": b",", "plus": b"+",
    "minus": b"-", "space": b" ", "colon": b":", "semicolon": b";", "backspace": b"\x7f", "less_than_sign": b"<",
    "greater_than_sign": b">", "equals_sign": b"=", "underscore": b"_", "up": b"\x1b[A", "down": b"\x1b[B",
    "right": b"\x1b[C", "left": b"\x1b[D", "pagedown": b"\x1b[6~", "pageup": b"\x1b[5~", "home": b"\x1b[H",
    "end": b"\x1b[F", "shift+left": b"\x1b[1;2D", "shift+right": b"\x1b[1;2C",
}  # fmt: skip
MOVES = ("down", "down", "down", "pagedown", "pagedown", "up", "end", "home")
TIMES = 3
FREQUENT, RARE = ("list", "sorted reverse", '"while until"', "win*"), ("zzzzz", "quine recursion", "1234567")
NARROWED = (
    SampleFilter(),
    SampleFilter(judged=Judged.BLOCKED),
    SampleFilter(role="propose", kind="induction"),
    SampleFilter(last_step=300),
    SampleFilter(oldest_first=True),
    SampleFilter(rule="trace.*"),
    SampleFilter(least_reward=0.95),
)


class Cost(NamedTuple):
    """Seconds on the wall, and of CPU: on a machine that others use as well, the truth is nearer to the second.
    ``first``: on the wall, until something was drawn."""

    wall: float
    cpu: float
    first: float = 0.0


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, command: Sequence[str], size: tuple[int, int]) -> None:
        self.began = time.perf_counter()
        self._last = b""
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execvp(command[0], command)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def until(self, words: bytes) -> Cost:
        """From the start to the bytes that hold some words."""
        seen = b""
        while words not in seen:
            assert time.perf_counter() - self.began < PATIENCE, f"{words!r} is not in {seen[-2000:]!r}"
            seen += self._read(1.0)
        return Cost(time.perf_counter() - self.began, self.used())

    def press(self, key: bytes, silence: float = SILENCE) -> Cost | None:
        """From a key to the last byte before a silence; None when nothing was drawn."""
        pressed, used = time.perf_counter(), self.used()
        os.write(self._end, key)
        first = last = 0.0
        while self._read(silence):
            last = time.perf_counter() - pressed
            first = first or last
        return Cost(last, self.used() - used, first) if last else None

    def _read(self, patience: float) -> bytes:
        ready, _, _ = select.select([self._end], [], [], patience)
        try:
            self._last = os.read(self._end, 2**20) if ready else b""
        except OSError as error:
            raise RuntimeError(f"the dashboard ended: {self._last[-3000:]!r}") from error
        return self._last

    def cpu(self, seconds: float) -> float:
        """CPU seconds it uses within a time, while what it draws is read."""
        before, until = self.used(), time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self._read(left)
        return self.used() - before

    def used(self) -> float:
        """CPU seconds so far, of threads that live."""
        stats = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9

    def memory(self, what: str) -> float:
        """MB: ``VmRSS`` now, ``VmHWM`` at most so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._end)
        os.waitpid(self.pid, 0)


@contextmanager
def watching(run: Path, poll: float, size: tuple[int, int], steps: int) -> Iterator[Terminal]:
    terminal = Terminal([sys.executable, "-c", WATCH, str(run), str(poll)], size)
    try:
        terminal.until(f"/{steps}".encode())
        terminal.press(b"", 3.0)  # what is still being read
        yield terminal
    finally:
        terminal.close()


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def show(name: str, costs: Sequence[Cost]) -> None:
    told = []
    for what in ("first", "wall", "cpu"):
        values = [1000 * getattr(cost, what) for cost in costs]
        if not any(values):
            continue
        told.append(f"{what} p50 {statistics.median(values):6.1f}, p95 {percentile(values, 0.95):6.1f} ms")
    print(f"  {name:16} {len(costs):4}  {'   '.join(told)}")


# -- what is measured --------------------------------------------------------------------------------------


def paint(run: Path, size: tuple[int, int], steps: int) -> None:
    command = [str(Path(sys.executable).with_name("azr-platform")), "tui", str(run)]
    costs = []
    for _ in range(7):
        terminal = Terminal(command, size)
        costs.append(terminal.until(f"/{steps}".encode()))
        terminal.close()
    show("first paint", costs)


def keys(run: Path, size: tuple[int, int], steps: int) -> None:
    panes = AzrApp(run).panes._panes
    everything: list[Cost] = []
    print("key to frame")
    with watching(run, 3600.0, size, steps) as terminal:
        for pane in panes:
            digit = pane_digits()[str(pane.id)]
            own = [binding.key.split(",")[0] for binding in pane.BINDINGS]  # type: ignore[union-attr]
            found: list[Cost] = []

            def pressed(key: str, found: list[float] = found) -> None:
                if (cost := terminal.press(BYTES.get(key) or key.encode())) is not None:
                    found.append(cost)

            pressed(digit)
            for key in MOVES:
                pressed(key)
            for key in (key for key in own for _ in range(TIMES)):
                pressed(key)
                if key in ("enter", "slash"):
                    terminal.press(BYTES["escape"])  # not measured: a terminal waits to see whether more follows
                    pressed(digit)
            terminal.press(BYTES["escape"])
            show(str(pane.id), found)
            everything += found
        show("all", everything)
        print(f"memory: {terminal.memory('VmRSS'):.0f} MB after all keys, {terminal.memory('VmHWM'):.0f} MB at most")


def search(run: Path) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    finder = Finder(run, answers.put)
    thread = threading.Thread(target=finder.work)
    thread.start()
    try:
        began = time.perf_counter()
        finder.ask(AskSamples(SampleFilter(text="list"), None, 100), answers.put)
        while answers.get().behind:
            pass
        print(f"search: the index was up to date after {time.perf_counter() - began:.1f} s")
        found = []
        for narrowed in NARROWED:
            for words in (*FREQUENT, *RARE):
                began, used = time.perf_counter(), time.process_time()
                wanted = msgspec.structs.replace(narrowed, text=words)
                finder.ask(AskSamples(wanted, None, 100), answers.put)
                answers.get()
                found.append(Cost(time.perf_counter() - began, time.process_time() - used))
        show("search", found)
    finally:
        finder.stop()
        thread.join()


def idle(run: Path, size: tuple[int, int], steps: int, seconds: float = 20.0) -> None:
    with watching(run, 0.5, size, steps) as terminal:
        print(f"idle: {terminal.cpu(seconds) / seconds:.1%} of a core at two looks a second, nothing written")
    with LedgerWriter(run) as writer:
        alone = written(writer, steps, seconds, time.sleep)
        with watching(run, 0.5, size, steps) as terminal:
            used = [0.0]

            def wait(left: float) -> None:
                used[0] += terminal.cpu(left)  # and what it draws is read, or it would wait for its terminal

            watched = written(writer, steps, seconds, wait)
            print(f"idle: {used[0] / seconds:.1%} of a core, a step written each half second")
    print(f"writer: {alone * 1000:.0f} ms a step alone, {watched * 1000:.0f} ms beside the dashboard")


def written(writer: LedgerWriter, steps: int, seconds: float, wait: Callable[[float], object]) -> float:
    """Median seconds of a step's batches, one each half second."""
    run, times, until = Run(writer, 200, 1), [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        run.go_on(2, steps + len(times))
        times.append(time.perf_counter() - began)
        wait(max(0.01, 0.5 - times[-1]))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the run lies or is made"
    )
    parser.add_argument("--only", nargs="*", choices=["paint", "keys", "search", "idle"])
    parser.add_argument("--size", default="120x40", help="columns x rows")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    run = given.folder / f"azr-synthetic-{given.samples}-{given.steps}"
    if not run.exists():
        if shutil.disk_usage(given.folder).free < 12_000 * given.samples:
            parser.error(f"{given.folder} has too little room: 12 KB for each sample are needed")
        making = run.with_name(run.name + ".making")
        shutil.rmtree(making, ignore_errors=True)
        began = time.perf_counter()
        make(making, given.samples, given.steps)
        making.rename(run)
        print(f"made in {time.perf_counter() - began:.0f} s")
    print(f"{run}: {(run / 'ledger.db').stat().st_size / 2**30:.2f} GiB")
    parts = {
        "paint": lambda: paint(run, (width, height), given.steps),
        "keys": lambda: keys(run, (width, height), given.steps),
        "search": lambda: search(run),
        "idle": lambda: idle(run, (width, height), given.steps),
    }
    for name in given.only or parts:
        parts[name]()


if __name__ == "__main__":
    main()
