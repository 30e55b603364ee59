"""A pool of warm jails: batches in, results out in the same order, every jail failure absorbed or reported.

```
run(requests) ─► one job per input ─► queue "main" ──► any idle main jail ──► Execution
                                                                                 │ ok and verify?
                    result ◄── values agree ◄── any idle verifier jail ◄── queue "verifier 1" (2, 3)
```

The calling thread drives everything through one selector: it waits for sockets and deadlines, never sleeps. At
most ``workers`` programs run at a time. A jail that dies or answers nothing is replaced and its run repeated
once; a program that takes two jails with it is reported as a crash.

When this process dies, however it dies, the sockets close, each zygote exits, and its jail with it. Do not fork
a process that holds a pool without exec: the copy would keep the sockets open.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from azr_sandbox import nsjail
from azr_sandbox.execution import Execution, Outcome, Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.limits import Limits
from azr_sandbox.rootfs import python_root
from azr_sandbox.verdict import chancy, combine, judge, order_sensitive
from azr_sandbox.warmjail import JailBroken, Lane, WarmJail

_DAY_S, _HOUR_S = 86_400, 3_600
MAIN = Lane("main", hash_seed=0)
VERIFIERS = (
    Lane("verifier 1", hash_seed=528, clock_shift_s=414 * _DAY_S + 12 * _HOUR_S + 1_043, pid_shift=7),
    Lane("verifier 2", hash_seed=1357, clock_shift_s=1_004 * _DAY_S + 5 * _HOUR_S + 2_146, pid_shift=13),
    Lane("verifier 3", hash_seed=313, clock_shift_s=2_006 * _DAY_S + 9 * _HOUR_S + 607, pid_shift=19),
)
"""The first verifies every run; the others only programs that touch sets, hashes, addresses, dates or chance.

The first clock differs from the real one in year, month, day, weekday, hour, minute and second, whatever the date.

Of all 2,701 pairs among common short strings, iteration order differs from the main lane's under the first seed
for 67 %, under one of the first two for 90 %, under one of the three for 98 % (the best found among 1,500;
three arbitrary seeds give 88 %).
"""
RECYCLE_AFTER = 5_000
"""Runs after which a jail is replaced by a fresh one."""
_MOST_WORKERS = 16
_START_ATTEMPTS = 2


@dataclass(slots=True, eq=False)
class _Job:
    """One program with one input, on its way through the lanes."""

    place: tuple[int, int]
    program: bytes
    arguments: bytes
    lanes: deque[Lane]
    first: Execution | None = None
    failures: int = 0


class JailPool:
    """Warm jails behind one `run`. A context manager; safe to share between threads (calls take turns).

    ``workers`` is how many programs run at once (default: one per usable CPU, at most 16); ``cache`` is where
    the jail's copy of Python is kept. Raises JailUnavailable on entry when no jail can be had.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        workers: int | None = None,
        *,
        cache: Path | None = None,
        recycle_after: int = RECYCLE_AFTER,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers: expected at least 1, got {workers}")
        self.limits = limits or Limits()
        self.workers = workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        self._cache = cache
        self._recycle_after = recycle_after
        self._lock = threading.Lock()
        self._jails: dict[Lane, list[WarmJail]] = {lane: [] for lane in (MAIN, *VERIFIERS)}
        self._selector: selectors.BaseSelector | None = None
        self._start_failures = 0

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Start the main and first verifier jails and wait until they are warm."""
        with self._lock:
            if self._selector is not None:
                return self
            self._binary = nsjail.find_nsjail()
            self._policy = nsjail.seccomp_policy()
            self._root = python_root(self._cache)
            self._selector = selectors.DefaultSelector()
            try:
                for _ in range(self.workers):
                    self._start(MAIN)
                    self._start(VERIFIERS[0])
                while any(not jail.ready for jail in self._all()):
                    _Batch(self, []).turn()
            except BaseException:
                self._close()
                raise
        return self

    def close(self) -> None:
        """End every jail; leaves no process and no descriptor behind. Closing twice is fine."""
        with self._lock:
            self._close()

    def run(self, requests: Sequence[Request]) -> list[tuple[Execution, ...]]:
        """Run every input of every request; order is kept, one Execution per input.

        Whatever the programs do is data in the result. Raises JailUnavailable when jails no longer start, and
        RuntimeError when the pool is not open.
        """
        with self._lock:
            if self._selector is None:
                raise RuntimeError("the jail pool is not open: use it as a context manager")
            batch = _Batch(self, requests)
            try:
                return batch.run()
            except BaseException:
                for jail in self._all():
                    if not jail.idle:
                        self._drop(jail, patience_s=0)
                raise

    @property
    def process_ids(self) -> list[int]:
        """The nsjail processes alive now, for supervision and tests."""
        return [jail.process.pid for jail in self._all()]

    def _all(self) -> list[WarmJail]:
        return [jail for jails in self._jails.values() for jail in jails]

    def _close(self) -> None:
        jails = self._all()
        for jail in jails:  # all at once first, so that they end side by side
            self._selector_forget(jail)
            jail.hang_up()
        for jail in jails:
            jail.close()
        for of_lane in self._jails.values():
            of_lane.clear()
        if self._selector is not None:
            self._selector.close()
            self._selector = None

    def _start(self, lane: Lane) -> None:
        assert self._selector is not None
        try:
            jail = WarmJail(self._binary, self._root, self._policy, self.limits, lane)
        except OSError as error:
            raise JailUnavailable(
                f"could not start nsjail ({error})", "Check the limits on processes and open files (ulimit -a)."
            ) from error
        self._jails[lane].append(jail)
        self._selector.register(jail.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, jail)

    def _selector_forget(self, jail: WarmJail) -> None:
        assert self._selector is not None
        self._selector.unregister(jail.socket)

    def _drop(self, jail: WarmJail, patience_s: float) -> None:
        self._selector_forget(jail)
        self._jails[jail.lane].remove(jail)
        jail.close(patience_s)

    def _replace_unready(self, jail: WarmJail) -> None:
        """A jail that never became ready: try once more, then say why none can be had."""
        log = jail.log()
        self._drop(jail, patience_s=0)
        self._start_failures += 1
        if self._start_failures >= _START_ATTEMPTS:
            raise nsjail.explain_failure(log)
        self._start(jail.lane)


class _Batch:
    """One call of `JailPool.run`: its jobs, their queues, and the loop that moves them."""

    def __init__(self, pool: JailPool, requests: Sequence[Request]) -> None:
        self.pool = pool
        self.results: list[list[Execution | None]] = [[None] * len(request.inputs) for request in requests]
        self.queues: dict[Lane, deque[_Job]] = {lane: deque() for lane in (*VERIFIERS, MAIN)}
        self.running: dict[int, _Job] = {}
        self.unfinished = 0
        self.next_id = 1
        for number, request in enumerate(requests):
            self._admit(number, request)

    def _admit(self, number: int, request: Request) -> None:
        limits = self.pool.limits
        program, problem = _encoded(request.program, limits.program_bytes)
        for position, text in enumerate(request.inputs):
            arguments, input_problem = _encoded(text, limits.input_bytes)
            if problem or input_problem:
                outcome = Outcome.INVALID_PROGRAM if problem else Outcome.INVALID_INPUT
                self.results[number][position] = Execution(outcome, detail=problem or input_problem)
                continue
            lanes: deque[Lane] = deque()
            if request.verify:
                lanes.extend(_verifiers(request.program + "\n" + text))
            self.queues[MAIN].append(_Job((number, position), program, arguments, lanes))
            self.unfinished += 1

    def run(self) -> list[tuple[Execution, ...]]:
        self.listen(0)  # notice jails that died while nobody was looking
        while self.unfinished:
            self.turn()
        return [tuple(result for result in row if result is not None) for row in self.results]

    def turn(self) -> None:
        """Give work to idle jails, then wait for the next event or deadline and deal with it."""
        self.dispatch()
        now = time.monotonic()
        nearest = min((jail.deadline for jail in self.pool._all()), default=now)
        self.listen(max(0.0, min(nearest - now, 60.0)))
        now = time.monotonic()
        for jail in self.pool._all():
            if jail.deadline <= now:
                self.broken(jail, f"{jail.name} did not answer in time")

    def dispatch(self) -> None:
        """Verification goes first: it finishes what is begun."""
        for lane, queue in self.queues.items():
            while queue and len(self.running) < self.pool.workers:
                jails = self.pool._jails[lane]
                idle = next((jail for jail in jails if jail.idle), None)
                if idle is not None:
                    self.submit(idle, queue.popleft())
                    continue
                starting = sum(not jail.ready for jail in jails)
                if len(jails) < self.pool.workers and starting < len(queue):
                    self.pool._start(lane)
                    continue
                break

    def submit(self, jail: WarmJail, job: _Job) -> None:
        job_id = self.next_id
        self.next_id += 1
        self.running[job_id] = job
        try:
            jail.submit(job_id, self.pool.limits.wall_s, job.program, job.arguments)
        except JailBroken as error:
            self.broken(jail, str(error))
            return
        if jail.outgoing:
            self.watch(jail)

    def watch(self, jail: WarmJail) -> None:
        assert self.pool._selector is not None
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if jail.outgoing else 0)
        self.pool._selector.modify(jail.socket, interest, jail)

    def listen(self, timeout_s: float) -> None:
        assert self.pool._selector is not None
        for key, events in self.pool._selector.select(timeout_s):
            jail: WarmJail = key.data
            if jail.closed:
                continue
            try:
                if events & selectors.EVENT_WRITE:
                    jail.on_writable()
                    if not jail.outgoing:
                        self.watch(jail)
                if events & selectors.EVENT_READ:
                    self.read(jail)
            except JailBroken as error:
                self.broken(jail, str(error))

    def read(self, jail: WarmJail) -> None:
        job_id = jail.job_id
        report = jail.on_readable()
        if jail.ready:
            self.pool._start_failures = 0
        if report is None or job_id is None:
            return
        execution = judge(report, self.pool.limits)
        self.advance(self.running.pop(job_id), execution)
        if jail.served >= self.pool._recycle_after:
            self.pool._drop(jail, patience_s=1.0)

    def advance(self, job: _Job, execution: Execution) -> None:
        """Take one run's result: on to the next verifier, or done."""
        job.failures = 0
        if job.first is None:
            job.first = execution
        else:
            execution = combine(job.first, execution)
        if execution.ok and job.lanes:
            self.queues[job.lanes.popleft()].append(job)
        else:
            self.finish(job, execution)

    def finish(self, job: _Job, execution: Execution) -> None:
        number, position = job.place
        self.results[number][position] = execution
        self.unfinished -= 1

    def broken(self, jail: WarmJail, why: str) -> None:
        """Replace a jail; its run is repeated once, then reported as a crash."""
        if not jail.ready:
            self.pool._replace_unready(jail)
            return
        job = self.running.pop(jail.job_id) if jail.job_id is not None else None
        self.pool._drop(jail, patience_s=0)
        if job is None:
            return
        job.failures += 1
        if job.failures < 2:
            self.queues[jail.lane].appendleft(job)
        else:
            self.finish(job, Execution(Outcome.CRASH, detail=f"two jails failed on it, the last: {why}"))


def _verifiers(text: str) -> tuple[Lane, ...]:
    """Where to run a program and its input again. One that draws lots is run often: two coins may agree."""
    if chancy(text):
        return VERIFIERS * 2
    return VERIFIERS if order_sensitive(text) else VERIFIERS[:1]


def _encoded(text: str, most: int) -> tuple[bytes, str]:
    """UTF-8 bytes and '', or b'' and what is wrong."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return b"", "contains a lone surrogate, which is not text"
    if len(data) > most:
        return b"", f"{len(data)} bytes, more than {most}"
    return data, ""
