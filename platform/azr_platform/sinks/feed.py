"""One sink's thread and its bounded queue: whoever hands events over never waits.

```
supervisor's loop ── put ──> queue (at most QUEUED) ── the sink's thread ──> sink
                       └──> dropped and counted when the queue is full, or the sink has failed
```
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from azr_platform.sinks.base import Event, Sink

QUEUED = 1000


class Feed:
    """Opens a sink in a thread, hands it events, closes it. A sink that raises is off for good.

    ``tell`` is called with one line for each thing that somebody should know, from any thread.
    """

    def __init__(self, name: str, open_sink: Callable[[], Sink], tell: Callable[[str], None], queued: int = QUEUED):
        self.name = name
        self._open = open_sink
        self._tell = tell
        self._queued = queued
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._dropped = 0
        self._off = False
        self._sink: Sink | None = None
        self._thread = threading.Thread(target=self._work, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Hand an event over, or drop it; never waits."""
        if self._off:
            return
        if self._queue.qsize() >= self._queued:
            if not self._dropped:
                self._tell(f"sinks.{self.name} is slow: while {self._queued} events wait for it, others are dropped")
            self._dropped += 1
            return
        self._queue.put(event)

    def finish(self) -> None:
        """No more is to come."""
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the sink to close, at most so long; then it is abandoned, and what it did not write is lost."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._off = True
            self._tell(f"sinks.{self.name} did not end in time: what it had not written yet is lost")
            if self._sink is not None:
                self._sink.abandon()
                self._thread.join(1.0)
        if self._dropped:
            self._tell(f"sinks.{self.name}: {self._dropped} events were dropped")

    def _work(self) -> None:
        try:
            self._sink = sink = self._open()
            try:
                while (event := self._queue.get()) is not None:
                    sink.write(event)
            except BaseException:
                with suppress(Exception):  # why it failed is known already
                    sink.close()
                raise
            sink.close()
        except Exception as error:
            if not self._off:
                self._off = True
                self._tell(f"sinks.{self.name} is off: {one_line(error)}")


def one_line(error: Exception) -> str:
    """What an error says, short enough for a notice."""
    return " ".join(str(error).split())[:300] or type(error).__name__
