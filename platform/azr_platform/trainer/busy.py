"""When the accelerator had work: intervals of sampling and updates, which may overlap, and what NVIDIA's own counter
says; and how much of its memory is in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

READ_SECONDS = 0.5
"""Between two readings of the counter."""


class Busy:
    """Marks what works, from any thread."""

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        """The accelerator has work while the block runs."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._intervals.append((started, time.monotonic()))

    def idle(self, since: float, until: float) -> float:
        """Share of the time between (monotonic seconds) in which nothing that has ended by now was at work.

        Earlier intervals are forgotten: ask in the order of time.
        """
        busy, reached = 0.0, since
        for start, end in sorted(self._intervals):
            start, end = max(start, reached), min(end, until)
            if end > start:
                busy += end - start
                reached = end
        self._intervals = [interval for interval in self._intervals if interval[1] > until]
        return 1.0 - busy / (until - since) if until > since else 0.0


class Counter:
    """Reads a GPU's utilisation now and then, in a thread of its own."""

    def __init__(self, read: Callable[[], float], every: float = READ_SECONDS) -> None:
        """``read`` gives percent; what it raises ends the readings."""
        self._read = read
        self._every = every
        self._readings: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="utilisation", daemon=True)
        self._thread.start()

    def mean(self) -> float | None:
        """Share of the time, since this was last asked, with a kernel running; None without a reading."""
        readings, self._readings = self._readings, []
        return sum(readings) / len(readings) / 100 if readings else None

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._readings.append(self._read())
            except Exception:  # a driver's library without this counter: no figure, and no harm to the run
                return


def nvidia_counter() -> Counter | None:
    """The trainer's GPU, where there is one and NVIDIA's library (nvidia-ml-py) is installed."""
    import torch

    if not torch.cuda.is_available() or find_spec("pynvml") is None:
        return None
    return Counter(torch.cuda.utilization)


def gpu_memory() -> float | None:
    """The share of the trainer's GPU's memory that is in use, by whomever; None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return 1 - free / total if total else None
