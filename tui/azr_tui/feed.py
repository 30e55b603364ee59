"""The one place where the dashboard reads: a thread polls the ledger and posts what it found.

```
          ask(PageRequest | SampleRequest)
widgets ──────────────────────────────────► Feed thread ── LedgerReader (read-only)
        ◄──────────────────────────────────
          SnapshotTaken · PageRead · SampleRead · LedgerTrouble
```

The writer never waits for it (WAL), and nothing the ledger does can end the dashboard: what goes wrong becomes a
line, and the next poll opens the file again.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from textual.message import Message

from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Status
from azr_platform.ledger.errors import LedgerError, UnknownRun
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import AlertRow
from azr_tui.messages import LedgerTrouble, PageRead, PageRequest, Pulse, SampleRead, SampleRequest, SnapshotTaken
from azr_tui.view import Series, Snapshot

ALERTS_ON_HAND = 200
_UNREADABLE = (LedgerError, sqlite3.Error, OSError, ValueError, TypeError, msgspec.MsgspecError)
"""What a missing, locked, foreign or damaged file can raise, in the reader or while its rows are taken."""

Post = Callable[[Message], object]
Request = PageRequest | SampleRequest


class Feed:
    """Reads one run's ledger; ``work`` is the body of its thread, everything else may be called from any thread."""

    def __init__(self, run: Path, post: Post, poll: float = 1.0) -> None:
        self._run = run
        self._post = post
        self._poll = poll
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._reader: LedgerReader | None = None
        self._trouble = ""
        self._seen: tuple[int, bool] | None = None
        self._metrics: dict[str, Series] = {}
        self._metrics_at: tuple[int, int, int] | None = None

    def ask(self, request: Request) -> None:
        """Queue a question; the answer comes as a message."""
        self._requests.put(request)

    def stop(self) -> None:
        """End the thread soon."""
        self._requests.put(None)

    def work(self) -> None:
        """Poll and answer until ``stop``."""
        try:
            self._guarded(self._take_snapshot)
            while True:
                try:
                    request = self._requests.get(timeout=self._poll)
                except queue.Empty:
                    self._guarded(self._take_snapshot)
                    continue
                if request is None:
                    return
                self._guarded(lambda wanted=request: self._answer(wanted))  # type: ignore[misc]
        finally:
            self._close()

    # -- in the thread -----------------------------------------------------------------------------------

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except UnknownRun:
            self._close()
            self._report(f"waiting for the run to begin: no ledger in {self._run} yet")
        except _UNREADABLE as error:
            self._close()
            self._report(str(error) or type(error).__name__)
        else:
            self._report("")

    def _report(self, trouble: str) -> None:
        trouble = trouble.replace(f"{self._run}/", "")
        if trouble != self._trouble:
            self._trouble = trouble
            self._post(LedgerTrouble(trouble))

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
            self._seen = None

    def _open(self) -> LedgerReader:
        if self._reader is None:
            self._reader = LedgerReader(self._run)
        return self._reader

    def _take_snapshot(self) -> None:
        reader = self._open()
        seen = (reader.revision(), reader.supervisor_alive())
        if seen == self._seen:
            return
        summary = reader.summary()
        place = (summary.branch, summary.step, len(summary.metrics))
        if place != self._metrics_at:
            self._metrics = {name: Series(*reader.metric(name)) for name in reader.metric_names()}
            self._metrics_at = place
        self._post(
            SnapshotTaken(
                Snapshot(
                    run=reader.run(),
                    state=reader.state(),
                    summary=summary,
                    step_seconds=reader.step_seconds(),
                    metrics=self._metrics,
                    alerts=_alerts(reader),
                    checkpoints=reader.line_checkpoints(),
                    controls=reader.controls(),
                    notices=reader.notices()[::-1],
                )
            )
        )
        # Noted last: what is committed while the rows were read counts as new at the next poll.
        self._seen = seen

    def _answer(self, request: Request) -> None:
        reader = self._open()
        if isinstance(request, SampleRequest):
            self._post(SampleRead(request, reader.sample(request.number)))
            return
        wanted = request.filter
        rows = reader.samples(
            limit=request.size + 1,
            before=request.before,
            role=wanted.role,
            kind=wanted.kind,
            blocked_only=wanted.blocked_only,
            flagged_only=wanted.flagged_only,
            waiting_only=wanted.waiting_only,
        )
        self._post(PageRead(request, rows[: request.size], more=len(rows) > request.size))


def _alerts(reader: LedgerReader) -> list[AlertRow]:
    """The newest alerts, and of the older ones those that still wait for somebody, newest first."""
    newest = reader.alerts(limit=ALERTS_ON_HAND)
    waiting = reader.alerts(limit=ALERTS_ON_HAND, open_only=True)
    return sorted({alert.id: alert for alert in [*newest, *waiting]}.values(), key=lambda alert: -alert.id)


class PulseTaker:
    """Asks the supervisor for its live status, again and again; ``work`` is the body of its thread."""

    def __init__(self, run: Path, post: Post, poll: float = 1.0, timeout: float = 2.0) -> None:
        self._run = run
        self._post = post
        self._poll = poll
        self._timeout = timeout
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopped.set()

    def work(self) -> None:
        """Ask until ``stop``; every answer, and every silence, is posted."""
        while True:
            self._post(Pulse(self._take()))
            if self._stopped.wait(self._poll):
                return

    def _take(self) -> Status | None:
        try:
            with ControlClient(self._run, timeout=self._timeout, read_only=True) as client:
                return client.status()
        except (NotSupervised, OSError):
            return None
