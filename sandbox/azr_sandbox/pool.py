"""A pool of warm jails: requests in, executions out, from any thread; every jail failure absorbed or reported.

When this process dies, however it dies, the sockets close, each zygote exits, and its jail with it. Do not fork
a process that holds a pool without exec: the copy would keep the sockets open.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from azr_sandbox.dispatch import Dispatcher, Wear
from azr_sandbox.execution import Request
from azr_sandbox.job import Executions, Order
from azr_sandbox.limits import Limits
from azr_sandbox.warmjail import WarmJail

_MOST_WORKERS = 16
_AHEAD_PER_WORKER = 32


class JailPool:
    """Warm jails behind `run`, `stream` and `submit`. A context manager; safe to share between threads.

    ``workers`` is how many programs run at once (default: one per usable CPU, at most 16); ``cache`` is where
    the jail's copy of Python is kept; ``wear`` says when a jail is replaced. Raises JailUnavailable on entry when
    no jail can be had.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        workers: int | None = None,
        *,
        cache: Path | None = None,
        wear: Wear | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers: expected at least 1, got {workers}")
        self.limits = limits or Limits()
        self.workers = workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        self._cache = cache
        self._wear = wear or Wear()
        self._lock = threading.Lock()
        self._dispatcher: Dispatcher | None = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Start the main and first verifier jails and wait until they are warm."""
        with self._lock:
            if self._dispatcher is None:
                dispatcher = Dispatcher(self.limits, self.workers, self._cache, self._wear)
                dispatcher.open()
                self._dispatcher = dispatcher
        return self

    def close(self) -> None:
        """End every jail; leaves no process and no descriptor behind. Closing twice is fine.

        What has not been answered by then ends with RuntimeError.
        """
        dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.close()  # without the lock: what it ends may have callbacks that come back here
            with self._lock:
                if self._dispatcher is dispatcher:
                    self._dispatcher = None

    def submit(self, request: Request) -> Future[Executions]:
        """Queue one request and return at once. Cancelling the future kills what runs of it.

        The future gets one Execution per input, in order; JailUnavailable when jails no longer start. Nothing
        bounds the queue: use `stream` for more than memory should hold. Requests are begun in the order they
        come, whoever sent them. Raises RuntimeError when the pool is not open.

        Callbacks of the future run in the pool's own thread: they may submit and cancel, but must be brief and
        wait for nothing. From a coroutine: ``await asyncio.wrap_future(pool.submit(request))``.
        """
        (future,), begin = self._prepare([request])
        begin()
        return future

    def stream(self, requests: Iterable[Request], ahead: int | None = None) -> Iterator[Executions]:
        """Results in the order of the requests, each as soon as it and those before it are there.

        At most ``ahead`` requests (default: 32 a worker) are taken before their results are asked for, so a
        slow reader holds back a fast source. A source that keeps us waiting for its next request holds back
        results, too: with ``ahead=1`` each is given before the next is taken. Closing the iterator cancels what
        is under way. Raises as `run`.
        """
        if ahead is not None and ahead < 1:
            raise ValueError(f"ahead: expected at least 1, got {ahead}")
        most = ahead or self.workers * _AHEAD_PER_WORKER
        pending: deque[Future[Executions]] = deque()
        try:
            for request in requests:
                futures, begin = self._prepare([request])
                pending.extend(futures)  # first, so that whatever interrupts us, what began is cancelled
                begin()
                while pending and (len(pending) == most or pending[0].done()):
                    yield pending[0].result()
                    pending.popleft()
            while pending:
                yield pending[0].result()
                pending.popleft()
        finally:
            for future in pending:
                future.cancel()

    def run(self, requests: Sequence[Request]) -> list[Executions]:
        """Run every input of every request; order is kept, one Execution per input.

        Whatever the programs do is data in the result. Raises JailUnavailable when jails no longer start, and
        RuntimeError when the pool is not open or is closed meanwhile.
        """
        futures, begin = self._prepare(requests)
        try:
            begin()
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    @property
    def process_ids(self) -> list[int]:
        """The nsjail processes alive now, for supervision and tests."""
        return [jail.process.pid for jail in self.jails]

    @property
    def jails(self) -> list[WarmJail]:
        """The jails alive now. They belong to the pool's thread: look, and touch nothing."""
        dispatcher = self._dispatcher
        return [jail for jails in dispatcher.jails.values() for jail in list(jails)] if dispatcher else []

    def _prepare(self, requests: Sequence[Request]) -> tuple[list[Future[Executions]], Callable[[], None]]:
        """Futures, and what begins the work for them."""
        dispatcher = self._dispatcher
        if dispatcher is None:
            raise RuntimeError("the jail pool is not open: use it as a context manager")
        orders = [Order(request, self.limits) for request in requests]
        for order in orders:
            order.future.add_done_callback(_Withdrawal(dispatcher, order))
        return [order.future for order in orders], partial(dispatcher.submit, orders)


class _Withdrawal:
    """Tells the dispatcher when somebody cancelled a future."""

    def __init__(self, dispatcher: Dispatcher, order: Order) -> None:
        self._dispatcher = dispatcher
        self._order: Order | None = order

    def __call__(self, future: Future[Executions]) -> None:
        order, self._order = self._order, None  # future, callback and order would keep one another alive
        if order is not None and future.cancelled():
            self._dispatcher.cancel(order)
