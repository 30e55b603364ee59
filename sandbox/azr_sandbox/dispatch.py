"""The thread that owns the jails of a pool: gives them work, waits for what they say, replaces those that fail.

It waits in one selector for sockets, deadlines and orders from other threads; it never sleeps and never polls.
At most ``workers`` programs run at a time, verification first, since that finishes what is begun.
"""

from __future__ import annotations

import math
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from azr_sandbox import nsjail
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.job import Job, Order
from azr_sandbox.lanes import MAIN, VERIFIERS
from azr_sandbox.limits import Limits
from azr_sandbox.rootfs import python_root
from azr_sandbox.warmjail import JailBroken, Lane, WarmJail

_START_ATTEMPTS = 2
_PATIENCE_S = 1.0  # for jails that were told to end
_SIZE_EVERY = 64  # runs between two looks at a zygote's size


@dataclass(frozen=True, slots=True)
class Wear:
    """When a jail is replaced by a fresh one: whichever comes first."""

    runs: int = 5_000
    """Runs served."""
    age_s: float = 3_600.0
    """Seconds since it started."""
    growth_mb: int = 32
    """MiB by which its zygote has grown since it was warm."""


class Dispatcher:
    """Every method but `open` may be called from any thread; the work is done in one of its own."""

    def __init__(self, limits: Limits, workers: int, cache: Path | None, wear: Wear) -> None:
        self._limits = limits
        self._workers = workers
        self._wear = wear
        self._binary = nsjail.find_nsjail()
        self._policy = nsjail.seccomp_policy()
        self._root = python_root(cache)
        self.jails: dict[Lane, list[WarmJail]] = {lane: [] for lane in (*VERIFIERS, MAIN)}
        self._queues: dict[Lane, deque[Job]] = {lane: deque() for lane in self.jails}
        self._running: dict[int, Job] = {}
        self._orders: set[Order] = set()
        self._next_id = 1
        self._start_failures = 0
        self._inbox: deque[Callable[[], None]] = deque()
        # Of the inbox, and of what follows; taken again where a signal or the collector cancels while it is held.
        self._lock = threading.RLock()
        self._closed = False
        self._problem: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="jails", daemon=True)
        # Held while the thread serves. A thread whose is_alive or join a signal interrupts counts as ended (bpo-45274).
        self._serving = threading.Lock()
        self._process = os.getpid()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)

    # -- from any thread ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the main and first verifier jails, wait until they are warm, then serve.

        Raises:
            JailUnavailable: no jail can be had.
        """
        try:
            for _ in range(self._workers):
                self._start(MAIN)
                self._start(VERIFIERS[0])
            while any(not jail.ready for jail in self._all()):
                self._turn()
        except BaseException:
            self._shut()
            raise
        self._serving.acquire()
        self._thread.start()

    def submit(self, orders: Sequence[Order]) -> None:
        """Queue orders; their futures get the results, or JailUnavailable when no jail starts any more.

        Raises:
            RuntimeError: the thread has ended, so nobody would answer.
        """
        if not self._post(partial(self._admit, orders)):
            raise RuntimeError("the jail pool has ended, or belongs to another process") from self._problem

    def cancel(self, order: Order) -> None:
        """Drop what is queued of an order and kill what runs of it."""
        self._post(partial(self._withdraw, order))

    def close(self) -> None:
        """End every jail; orders still open get RuntimeError. Leaves no process and no descriptor behind."""
        if self._process != os.getpid():
            return
        self._post(self._stop)
        with self._serving:
            pass
        self._thread.join()

    def _post(self, action: Callable[[], None]) -> bool:
        """Have the thread do something; False when it has ended, or was left behind by a fork."""
        if self._process != os.getpid():
            return False
        with self._lock:
            if self._closed:
                return False
            self._inbox.append(action)
            os.eventfd_write(self._wake, 1)
            return True

    # -- in the thread -----------------------------------------------------------------------------------

    def _serve(self) -> None:
        problem: BaseException = RuntimeError("the jail pool was closed")
        try:
            while not self._closing:
                try:
                    self._turn()
                except JailUnavailable as error:
                    self._fail(error)
        except BaseException as error:  # a bug of ours: whoever waits must hear of it
            problem = error
        finally:
            with self._lock:
                self._closed = True
                self._problem = problem
            self._read_inbox()
            self._fail(problem)
            self._shut()
            self._serving.release()

    def _turn(self) -> None:
        """Give work to idle jails, then wait for the next event or deadline and deal with it."""
        self._dispatch()
        nearest = min((jail.deadline for jail in self._all()), default=math.inf)
        self._listen(None if nearest == math.inf else max(0.0, nearest - time.monotonic()))
        now = time.monotonic()
        for jail in self._all():
            if jail.deadline <= now:
                self._broken(jail, f"{jail.name} did not answer in time")
        self._read_inbox()

    def _read_inbox(self) -> None:
        while self._inbox:
            self._inbox.popleft()()

    def _admit(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self._queues[MAIN].extend(order.jobs())
            if not order.finished:
                self._orders.add(order)

    def _withdraw(self, order: Order) -> None:
        if order not in self._orders:
            return  # it ended before it could be cancelled
        self._orders.discard(order)
        order.future.set_running_or_notify_cancel()  # what is queued of it will be passed over
        for jail in self._all():
            if jail.job_id is not None and self._running[jail.job_id].order is order:
                del self._running[jail.job_id]
                self._drop(jail, patience_s=0)

    def _stop(self) -> None:
        self._closing = True

    def _fail(self, error: BaseException) -> None:
        """Every open order ends with this error; jails at work are dropped."""
        for queue in self._queues.values():
            queue.clear()
        self._running.clear()
        for order in self._orders:
            if order.future.set_running_or_notify_cancel():
                order.future.set_exception(error)
        self._orders.clear()
        for jail in self._all():
            if jail.job_id is not None:
                self._drop(jail, patience_s=0)
        self._start_failures = 0

    def _dispatch(self) -> None:
        for lane, queue in self._queues.items():
            while queue and len(self._running) < self._workers:
                if queue[0].order not in self._orders:
                    queue.popleft()  # cancelled
                    continue
                jails = self.jails[lane]
                idle = next((jail for jail in jails if jail.idle), None)
                if idle is not None:
                    self._give(idle, queue.popleft())
                    continue
                starting = sum(not jail.ready for jail in jails)
                if len(jails) < self._workers and starting < len(queue):
                    self._start(lane)
                    continue
                break

    def _give(self, jail: WarmJail, job: Job) -> None:
        job_id = self._next_id
        self._next_id += 1
        self._running[job_id] = job
        try:
            jail.submit(job_id, self._limits.wall_s, job.order.program, job.inputs)
        except JailBroken as error:
            self._broken(jail, str(error))
            return
        if jail.outgoing:
            self._watch(jail)

    def _watch(self, jail: WarmJail) -> None:
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if jail.outgoing else 0)
        self._selector.modify(jail.socket, interest, jail)

    def _listen(self, timeout_s: float | None) -> None:
        for key, events in self._selector.select(timeout_s):
            jail: WarmJail | None = key.data
            if jail is None:
                os.eventfd_read(self._wake)
                continue
            if jail.closed:
                continue
            try:
                if events & selectors.EVENT_WRITE:
                    jail.on_writable()
                    if not jail.outgoing:
                        self._watch(jail)
                if events & selectors.EVENT_READ:
                    self._read(jail)
            except JailBroken as error:
                self._broken(jail, str(error))

    def _read(self, jail: WarmJail) -> None:
        job_id = jail.job_id
        report = jail.on_readable()
        if jail.ready:
            self._start_failures = 0
        if report is None or job_id is None:
            return
        job = self._running.pop(job_id)
        self._requeue(job, job.advance(report))
        if self._worn(jail):
            self._drop(jail, _PATIENCE_S)

    def _requeue(self, job: Job, following: Sequence[Job]) -> None:
        for next_job in following:
            self._queues[next_job.lane].append(next_job)
        if job.order.finished:
            self._orders.discard(job.order)

    def _worn(self, jail: WarmJail) -> bool:
        if jail.served >= self._wear.runs or jail.age_s() >= self._wear.age_s:
            return True
        return jail.served % _SIZE_EVERY == 1 and jail.growth_mb() >= self._wear.growth_mb

    def _broken(self, jail: WarmJail, why: str) -> None:
        """Replace a jail; its run is repeated once, then reported."""
        if not jail.ready:
            self._replace_unready(jail)
            return
        job = self._running.pop(jail.job_id) if jail.job_id is not None else None
        self._drop(jail, patience_s=0)
        if job is not None:
            self._requeue(job, job.failed(why))

    def _replace_unready(self, jail: WarmJail) -> None:
        """A jail that never became ready: try once more, then say why none can be had."""
        log = jail.log()
        self._drop(jail, patience_s=0)
        self._start_failures += 1
        if self._start_failures >= _START_ATTEMPTS:
            raise nsjail.explain_failure(log)
        self._start(jail.lane)

    # -- jails -------------------------------------------------------------------------------------------

    def _all(self) -> list[WarmJail]:
        return [jail for jails in self.jails.values() for jail in jails]

    def _start(self, lane: Lane) -> None:
        try:
            jail = WarmJail(self._binary, self._root, self._policy, self._limits, lane)
        except OSError as error:
            if not self._binary.exists():
                remedy = "Somebody removed it while it was in use: put it back, or install it again."
                raise JailUnavailable(f"{self._binary} is gone", remedy) from error
            raise JailUnavailable(
                f"could not start nsjail ({error})", "Check the limits on processes and open files (ulimit -a)."
            ) from error
        self.jails[lane].append(jail)
        self._selector.register(jail.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, jail)

    def _drop(self, jail: WarmJail, patience_s: float) -> None:
        self._selector.unregister(jail.socket)
        self.jails[jail.lane].remove(jail)
        jail.close(patience_s)

    def _shut(self) -> None:
        jails = self._all()
        for jail in jails:  # all at once first, so that they end side by side
            self._selector.unregister(jail.socket)
            jail.hang_up()
        end = time.monotonic() + _PATIENCE_S
        for jail in jails:
            jail.close(max(0.0, end - time.monotonic()))
        for of_lane in self.jails.values():
            of_lane.clear()
        self._selector.close()
        os.close(self._wake)
