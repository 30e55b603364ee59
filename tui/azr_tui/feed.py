"""Where the dashboard reads: one thread polls the ledger and answers questions, another answers those that search.

```
             ask(question, reply)
widgets ──┬────────────────────────► Feed ─── LedgerReader (read-only) ──► SnapshotTaken · LedgerTrouble
          └────────────────────────► Finder ─ SearchIndex, made as soon as somebody searches ──► SearchTrouble
        ◄── reply(answer) ──────────
```
The writer never waits for them (WAL), and nothing the ledger does can end the dashboard: what goes wrong becomes a
line, and the next poll opens the file again.
"""

from __future__ import annotations

import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from textual.message import Message

from azr_monitor.records import Severity
from azr_platform.channel.client import ControlClient, NotSupervised
from azr_platform.channel.messages import Status
from azr_platform.ledger.errors import LedgerError, UnknownRun
from azr_platform.ledger.filters import AlertFilter, AlertState
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import AlertRow
from azr_platform.ledger.search import SearchIndex
from azr_tui.curves import Curves
from azr_tui.messages import LedgerTrouble, Pulse, SearchTrouble, SnapshotTaken
from azr_tui.questions import Question, Reply, Sources
from azr_tui.view import Snapshot

ALERTS_ON_HAND = 200
_UNREADABLE = (LedgerError, sqlite3.Error, OSError, ValueError, TypeError, msgspec.MsgspecError)
"""What a missing, locked, foreign or damaged file can raise, in the reader or while its rows are taken."""

Post = Callable[[Message], object]

_TURN = 0.0005
"""Seconds for which a thread that reads may keep the one that draws waiting; Python's own are ten times as many."""


@contextmanager
def giving_way() -> Iterator[None]:
    """In here threads that read soon let the one that draws go on."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Asked:
    """Questions that wait for their turn. One asked again by the same widget takes the place of the earlier one."""

    def __init__(self) -> None:
        self.ended = False
        self._turns: queue.SimpleQueue[tuple[type[Question], Reply] | None] = queue.SimpleQueue()
        self._newest: dict[tuple[type[Question], Reply], Question] = {}

    def put(self, question: Question, reply: Reply) -> None:
        self._newest[type(question), reply] = question
        self._turns.put((type(question), reply))

    def end(self) -> None:
        self.ended = True
        self._turns.put(None)

    def take(self, patience: float | None) -> tuple[Question, Reply] | None:
        """The next question and who asked it; None when nobody asks within so many seconds (None: however long), or
        when it is over."""
        until = None if patience is None else time.monotonic() + patience
        while not self.ended:
            try:
                turn = self._turns.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except queue.Empty:
                return None
            if turn is not None and (question := self._newest.pop(turn, None)) is not None:
                return question, turn[1]
        return None


class _Reading:
    """A thread's own reader of the ledger, opened again after trouble; ``work`` is the body of the thread."""

    def __init__(self, run: Path, post: Post) -> None:
        self._run = run
        self._post = post
        self._asked = Asked()
        self._reader: LedgerReader | None = None
        self._begun = False

    def ask(self, question: Question, reply: Reply) -> None:
        """Queue a question; the answer comes as a message."""
        self._asked.put(question, reply)

    def stop(self) -> None:
        """End the thread soon."""
        self._asked.end()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except UnknownRun:
            self._close()
            if self._begun:
                self._report(f"no ledger in {self._run} any more: moved or removed; shown is what was read last")
            else:
                self._report(f"waiting for the run to begin: no ledger in {self._run} yet")
        except _UNREADABLE as error:
            self._close()
            self._report((str(error) or type(error).__name__).replace(f"{self._run}/", ""))
        else:
            self._report("")

    def _report(self, trouble: str) -> None:
        """Tell of trouble, and with an empty text of its end."""
        raise NotImplementedError

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> LedgerReader:
        if self._reader is not None and not self._reader.in_place():
            self._close()  # or it would go on reading a file that has no name any more
        if self._reader is None:
            self._reader = LedgerReader(self._run)
            self._begun = True
        return self._reader


class Feed(_Reading):
    """Polls one run's ledger, and answers what can be read at once."""

    def __init__(self, run: Path, post: Post, poll: float = 1.0) -> None:
        super().__init__(run, post)
        self._poll = poll
        self._seen: tuple[int, bool] | None = None
        self._curves = Curves()
        self._other: LedgerReader | None = None
        self._trouble = ""

    def work(self) -> None:
        """Poll and answer until ``stop``."""
        try:
            due = time.monotonic()
            while not self._asked.ended:
                if time.monotonic() >= due:
                    self._guarded(self._take_snapshot)
                    due = time.monotonic() + (self._poll if self._curves.complete else 0.0)
                if (asked := self._asked.take(max(0.0, due - time.monotonic()))) is not None:
                    question, reply = asked
                    self._guarded(lambda question=question, reply=reply: self._answer(question, reply))  # type: ignore[misc]
        finally:
            self._close()

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._post(LedgerTrouble(trouble))

    def _close(self) -> None:
        super()._close()
        self._close_other()
        self._seen = None
        self._curves = Curves()

    def _answer(self, question: Question, reply: Reply) -> None:
        reply(question.read(Sources(self._open(), beside=self._beside)))

    @contextmanager
    def _beside(self, run: Path) -> Iterator[LedgerReader]:
        """A reader of another run, kept until yet another is asked for: what it has counted it need not count again."""
        if self._other is not None and not (self._other.run_folder == run and self._other.in_place()):
            self._close_other()
        if self._other is None:
            self._other = LedgerReader(run)
        try:
            yield self._other
        except Exception:  # whatever it was, the next who asks begins with a new one
            self._close_other()
            raise

    def _close_other(self) -> None:
        if self._other is not None:
            self._other.close()
            self._other = None

    def _take_snapshot(self) -> None:
        reader = self._open()
        seen = (reader.revision(), reader.supervisor_alive())
        if seen == self._seen and self._curves.complete:
            return
        with reader.one_moment():
            snapshot = Snapshot(
                run=reader.run(),
                state=reader.state(),
                summary=reader.summary(),
                step_seconds=reader.step_seconds(),
                metrics=self._curves.read(reader),
                alerts=_alerts(reader),
                checkpoints=reader.line_checkpoints(),
                controls=reader.controls(),
                notices=reader.notices()[::-1],
            )
        self._post(SnapshotTaken(snapshot))
        # Noted last: what is committed while the rows were read counts as new at the next poll.
        self._seen = seen


def _alerts(reader: LedgerReader) -> list[AlertRow]:
    """The newest alerts, and of the older ones those that still wait for somebody, newest first. However many milder
    ones came since, the worst that waits is among them."""
    found = reader.alerts(limit=ALERTS_ON_HAND)
    for severity in Severity:
        found += reader.alerts_page(AlertFilter(severity=severity, state=AlertState.OPEN), limit=ALERTS_ON_HAND)
    return sorted({alert.id: alert for alert in found}.values(), key=lambda alert: -alert.id)


class Finder(_Reading):
    """Answers questions that need the search index. It does nothing, and makes no index, before the first of them.

    An index of a large run takes minutes to make: meanwhile questions are answered from what it holds already, and
    the last one once more when it is complete.
    """

    def __init__(self, run: Path, post: Post) -> None:
        super().__init__(run, post)
        self._index: SearchIndex | None = None
        self._behind = 0
        self._last: tuple[Question, Reply] | None = None
        self._failed: tuple[Question, str] | None = None

    def work(self) -> None:
        """Answer until ``stop``."""
        try:
            while not self._asked.ended:
                if (asked := self._asked.take(0.0 if self._behind else None)) is not None:
                    self._last = asked
                    self._guarded(self._answer)
                elif self._behind and not self._asked.ended:
                    self._guarded(self._go_on)
        finally:
            self._close()

    def _report(self, trouble: str) -> None:
        """A page in sight is asked for again and again: once is enough to be told that it fails."""
        failed = (self._last[0], trouble) if self._last is not None and trouble else None
        if failed is not None and failed != self._failed:
            self._post(SearchTrouble(trouble))
        self._failed = failed

    def _close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
        self._behind = 0
        super()._close()

    def _answer(self) -> None:
        assert self._last is not None
        question, reply = self._last
        if self._index is None:
            self._index = SearchIndex(self._open())
        self._behind = self._index.go_on()
        reply(question.read(Sources(self._open(), self._index, self._behind)))

    def _go_on(self) -> None:
        assert self._index is not None
        self._behind = self._index.go_on()
        if not self._behind:
            self._answer()


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
        with (
            suppress(NotSupervised, OSError),
            ControlClient(self._run, timeout=self._timeout, read_only=True) as client,
        ):
            return client.status()
        return None
