"""One request on its way through the jails: which run comes next, and what it came to. No jail and no clock here.

```
Order ─► one Job per input ──► main ──► verifier 1 (2, 3) ──► values agree ──► finished
     or ─► one Job for up to 64 ─► main ─► verifier, in opposite order ─► all agree ─► finished
                                   └───────── anything else ────────► one Job per input
```
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property

from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.lanes import MAIN, verifiers
from azr_sandbox.limits import Limits
from azr_sandbox.verdict import combine, judge, judge_together
from azr_sandbox.warmjail import Lane, Report

Executions = tuple[Execution, ...]
MOST_TOGETHER = 64
"""Inputs in one process: more save nothing, and a failure repeats them all."""
_ATTEMPTS = 2


class _Condition(threading.Condition):
    """One whose lock a signal's handler that raises cannot leave held: ``with`` gets the lock's own methods, which are
    not Python code that could be interrupted between taking the lock and the block that gives it back."""

    __enter__ = property(lambda self: self._lock.__enter__)
    __exit__ = property(lambda self: self._lock.__exit__)


class _Future(Future[Executions]):
    """Waited for by a thread that Ctrl-C may interrupt, set by one that must not hang then."""

    def __init__(self) -> None:
        super().__init__()
        self._condition = _Condition()


class Order:
    """A request, the future that its results go to, and the results so far.

    Raises AttributeError or TypeError for what is no `Request` of texts: to whoever asks, not in the pool's thread.
    """

    def __init__(self, request: Request, limits: Limits) -> None:
        self.future: Future[Executions] = _Future()
        self.limits = limits
        self.program, self._problem = _encoded(request.program, limits.program_bytes)
        self._inputs = [_encoded(text, limits.input_bytes) for text in request.inputs]
        self._request = request
        self._results: list[Execution | None] = [None] * len(request.inputs)
        self._missing = len(request.inputs)

    def jobs(self) -> list[Job]:
        """The runs to begin with. An input that cannot be run is answered at once."""
        ready: list[tuple[int, bytes]] = []
        for place, (data, problem) in enumerate(self._inputs):
            if self._problem or problem:
                outcome = Outcome.INVALID_PROGRAM if self._problem else Outcome.INVALID_INPUT
                self.finish([place], [Execution(outcome, detail=self._problem or problem)])
            else:
                ready.append((place, data))
        if not self._inputs:
            self._settle()
        if not self._request.together:
            return [self.job([item]) for item in ready]
        return [self.job(ready[at : at + MOST_TOGETHER]) for at in range(0, len(ready), MOST_TOGETHER)]

    def job(self, items: Sequence[tuple[int, bytes]]) -> Job:
        """A run of some inputs, given with their places."""
        return Job(self, tuple(place for place, _ in items), tuple(data for _, data in items))

    def verifiers(self, places: Sequence[int]) -> deque[Lane]:
        """Where to run these inputs again, once they came out well; a doubt about one is a doubt about all."""
        if not self._request.verify:
            return deque()
        of_each = [self._of_program, *(verifiers(self._request.inputs[place]) for place in places)]
        most = max(of_each, key=len)
        return deque(most)

    @property
    def verifies_errors(self) -> bool:
        return self._request.verify_errors

    @cached_property
    def _of_program(self) -> tuple[Lane, ...]:
        return verifiers(self._request.program)

    def finish(self, places: Sequence[int], executions: Sequence[Execution]) -> None:
        for place, execution in zip(places, executions, strict=True):
            self._results[place] = execution
        self._missing -= len(places)
        if not self._missing:
            self._settle()

    @property
    def finished(self) -> bool:
        return not self._missing

    def _settle(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(tuple(result for result in self._results if result is not None))


@dataclass(slots=True, eq=False)
class Job:
    """Some inputs of an order, in one process at a time."""

    order: Order
    places: tuple[int, ...]
    inputs: tuple[bytes, ...]
    lane: Lane = MAIN
    coming: deque[Lane] | None = None
    agreed: Sequence[Execution] | None = None
    failures: int = 0

    def advance(self, report: Report) -> list[Job]:
        """Take one run's result; what is to be run next."""
        self.failures = 0
        limits, count = self.order.limits, len(self.places)
        runs = [judge(report, limits)] if count == 1 else judge_together(report, limits, count)
        if runs is not None and self.agreed is not None:
            runs = [combine(first, again) for first, again in zip(self.agreed, runs, strict=True)]
        if runs is None or (count > 1 and not all(run.ok for run in runs)):
            return self._apart()
        trusted = runs[0].ok or (self.order.verifies_errors and runs[0].outcome is Outcome.ERROR)
        if self.coming is None and trusted:
            self.coming = self.order.verifiers(self.places)
        if not self.coming or not trusted:
            self.order.finish(self.places, runs)
            return []
        # The opposite order: a call that depends on an earlier one does not verify.
        self.places, self.inputs, self.agreed = self.places[::-1], self.inputs[::-1], runs[::-1]
        self.lane = self.coming.popleft()
        return [self]

    def failed(self, why: str) -> list[Job]:
        """A jail broke under it: once more, then each input by itself, then it is reported."""
        self.failures += 1
        if self.failures < _ATTEMPTS:
            return [self]
        if len(self.places) > 1:
            return self._apart()
        detail = f"{_ATTEMPTS} jails failed on it, the last: {why}"
        self.order.finish(self.places, [Execution(Outcome.CRASH, detail=detail)])
        return []

    def _apart(self) -> list[Job]:
        items = sorted(zip(self.places, self.inputs, strict=True))
        return [self.order.job([item]) for item in items]


def _encoded(text: str, most: int) -> tuple[bytes, str]:
    """UTF-8 bytes and '', or b'' and what is wrong."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return b"", "contains a lone surrogate, which is not text"
    if len(data) > most:
        return b"", f"{len(data)} bytes, more than {most}"
    return data, ""
