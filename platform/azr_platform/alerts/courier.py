"""One way out and its thread: whoever hands a message over never waits.

```
supervisor's loop ── put ──> Digest ── the courier's thread ──> webhook, command or terminal
                                          └── again after 1, 2, 4 … seconds when it was not delivered
```
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from azr_platform.alerts.digest import Digest
from azr_platform.alerts.told import Told
from azr_platform.config.alerts import AlertsConfig

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


class Undelivered(Exception):
    """A message did not arrive; the text says why, and names no address.

    ``again`` is false where another attempt would come to the same; ``after`` is how many seconds the other side
    asked to be left alone for.
    """

    def __init__(self, why: str, *, again: bool = True, after: float = 0.0) -> None:
        super().__init__(why)
        self.again = again
        self.after = after


class Way:
    """Where messages go. Its methods are called in one thread, in which they may wait."""

    def deliver(self, told: Told) -> None:
        """Raises Undelivered."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Called in another thread when it was waited for in vain."""


class Courier:
    """Delivers to one way until ``finish``. ``tell`` is called with one line when that fails, from any thread."""

    def __init__(
        self,
        name: str,
        way: Way,
        settings: AlertsConfig,
        tell: Callable[[str], None],
        first_wait: float = FIRST_WAIT_SECONDS,
    ) -> None:
        self._name = name
        self._way = way
        self._attempts = settings.attempts
        self._first_wait = first_wait
        self._tell = tell
        self._digest = Digest(settings.repeat_seconds, settings.per_minute)
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._lost = 0
        self._thread = threading.Thread(target=self._work, name=f"alerts {name}", daemon=True)
        self._thread.start()

    def put(self, told: Told) -> None:
        """Hand a message over; never waits for its delivery."""
        with self._changed:
            if not self._ending.is_set():
                self._digest.add(told, time.monotonic())
                self._changed.notify()

    def finish(self) -> None:
        """No more is to come."""
        with self._changed:
            self._digest.finish(time.monotonic())
            self._ending.set()
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait until all is told, at most so long; then it is abandoned, and what was not told is lost."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._way.abandon()
            self._tell(f"{self._name}: it took too long at the run's end; its last messages may be lost")
        if self._lost > 1:
            self._tell(f"{self._name}: {self._lost} messages were not delivered")

    def _work(self) -> None:
        while (told := self._next()) is not None:
            self._deliver(told)

    def _next(self) -> Told | None:
        """Wait for a message; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                told = self._digest.take(now)
                if told is not None or self._ending.is_set():
                    return told
                due = self._digest.next_at()
                self._changed.wait(None if due is None else max(0.0, due - now))

    def _deliver(self, told: Told) -> None:
        wait = self._first_wait
        for attempt in range(1, self._attempts + 1):
            ending = self._ending.is_set()
            try:
                self._way.deliver(told)
                return
            except Undelivered as error:
                why, again, after = str(error), error.again, error.after
            except Exception as error:  # a bug of ours; its text might hold an address
                why, again, after = type(error).__name__, False, 0.0
            if not again or ending or attempt == self._attempts:
                break
            # The run's end cuts the wait short, for one last attempt.
            self._ending.wait(min(max(wait, after), LONGEST_WAIT_SECONDS))
            wait *= 2
        self._lost += 1
        if self._lost == 1:
            tried = f" in {attempt} attempts" if attempt > 1 else ""
            self._tell(f"{self._name}: not delivered{tried}: {why}; later messages are tried, and what is lost counted")
