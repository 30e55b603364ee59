"""Whoever uses a pool: coroutines, callbacks, forks, signals, processes that end, and callers that err."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any

import pytest

from azr_sandbox import dispatch, warmjail
from azr_sandbox.execution import Outcome, Request
from azr_sandbox.lanes import MAIN
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool

ECHO = "def f(x):\n    return x"
FOREVER = "import time\ndef f(x):\n    time.sleep(1000)"
PATIENT = Limits(wall_s=600.0)
DEADLINE_S = 120.0

START = f"""
import os, signal, sys, threading, time
from azr_sandbox.execution import Request
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
ECHO, FOREVER = {ECHO!r}, {FOREVER!r}
pool = JailPool(Limits(wall_s=600.0), workers=1)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, where a pool is at hand and not yet open."""
    argv = [sys.executable, "-W", "error", "-c", START + code]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S)


def ends(action: Callable[[], object]) -> bool:
    """Whether something comes to its end; in a thread, so that one that does not is no more than a failed test."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    return not thread.is_alive()


def test_a_coroutine_awaits_results_side_by_side_and_cancels() -> None:
    async def ask(pool: JailPool) -> list[str | None]:
        asleep = asyncio.wrap_future(pool.submit(Request(FOREVER, ("0",))))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asleep, 0.01)  # which cancels it, and so frees the only worker
        rows = await asyncio.gather(*(asyncio.wrap_future(pool.submit(Request(ECHO, (str(i),)))) for i in range(5)))
        return [row[0].value for row in rows]

    with JailPool(PATIENT, workers=1) as pool:
        assert asyncio.run(ask(pool)) == ["0", "1", "2", "3", "4"]


def test_a_callback_may_submit_even_while_the_pool_closes() -> None:
    pool = JailPool(PATIENT, workers=1).open()
    refusals: list[str] = []

    def again(done: Future[Any]) -> None:
        try:
            pool.submit(Request(ECHO, ("2",))).add_done_callback(follow_up)
        except RuntimeError as error:
            refusals.append(str(error))

    answered = threading.Event()

    def follow_up(done: Future[Any]) -> None:
        if not done.exception():
            answered.set()

    pool.submit(Request(ECHO, ("1",))).add_done_callback(again)
    assert answered.wait(DEADLINE_S)
    pool.submit(Request(FOREVER, ("0",))).add_done_callback(again)
    assert ends(pool.close), "the pool and its callback wait for each other"
    assert refusals == ["the jail pool has ended, or belongs to another process"]


@pytest.mark.parametrize(("program", "inputs"), [(ECHO, (5,)), (5, ("1",)), (ECHO, None)])
def test_a_request_that_is_none_fails_its_caller_and_nobody_else(pool: JailPool, program: Any, inputs: Any) -> None:
    with pytest.raises((AttributeError, TypeError)):
        pool.run([Request(ECHO, ("1",)), Request(program, inputs)])
    assert pool.run([Request(ECHO, ("2",))])[0][0].value == "2"


def test_cancelling_costs_the_same_however_much_is_queued() -> None:
    """Nothing that is queued is looked at before its turn."""
    with JailPool(PATIENT, workers=1) as pool:
        looks = 0

        class Watched(dispatch.deque[Any]):  # type: ignore[misc]
            def __iter__(self) -> Any:
                nonlocal looks
                for item in super().__iter__():
                    looks += 1
                    yield item

        assert pool._dispatcher is not None
        for lane in pool._dispatcher._queues:
            pool._dispatcher._queues[lane] = Watched()
        sleeping = pool.submit(Request(FOREVER, ("0",)))
        waiting = [pool.submit(Request(ECHO, ("1",))) for _ in range(200)]
        assert all(future.cancel() for future in waiting)
        sleeping.cancel()
        assert pool.run([Request(ECHO, ("2",))])[0][0].value == "2"
        assert looks == 0


def test_a_cancellation_in_the_middle_of_another_call_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a signal handler, or from the collector that closes a forgotten stream."""
    with JailPool(PATIENT, workers=1) as pool:
        sleeping = pool.submit(Request(FOREVER, ("0",)))
        write = os.eventfd_write

        def interrupted(descriptor: int, value: int) -> None:
            monkeypatch.setattr(os, "eventfd_write", write)
            sleeping.cancel()
            write(descriptor, value)

        monkeypatch.setattr(os, "eventfd_write", interrupted)
        values: list[str | None] = []
        assert ends(lambda: values.append(pool.run([Request(ECHO, ("1",))])[0][0].value))
        assert values == ["1"]


def test_an_answered_request_is_forgotten_without_the_collector(pool: JailPool) -> None:
    gc.collect()
    gc.disable()
    try:
        future = pool.submit(Request(ECHO, ("1",)))
        assert future.result(DEADLINE_S)[0].ok
        pool.run([Request(ECHO, ("2",))])  # the thread has gone on
        forgotten = weakref.ref(future)
        del future
        assert forgotten() is None
    finally:
        gc.enable()


def test_an_input_that_is_a_set_is_verified_as_one(pool: JailPool) -> None:
    by_input = "def f(x):\n    return [*x]"
    (row,) = pool.run([Request(by_input, ("{'a', 'b', 'c', 'd', 'e', 'f'}", "[1]"))])
    assert [execution.outcome for execution in row] == [Outcome.NONDETERMINISTIC, Outcome.OK]


def test_a_process_that_forgets_its_pool_ends_at_once_and_quietly() -> None:
    ran = python(
        """
pool.open()
pool.submit(Request(FOREVER, ("0",)))
stream = pool.stream([Request(ECHO, ("1",)), Request(FOREVER, ("0",))])
pids = list(pool.process_ids)
print(*pids)
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    for pid in map(int, ran.stdout.split()):
        assert ends(partial(wait_for_end_of, pid))


def wait_for_end_of(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        ended = os.pidfd_open(pid)
        select.select([ended], [], [])
        os.close(ended)


def test_an_interrupt_ends_a_process_with_an_open_pool() -> None:
    ran = python(
        """
def interrupt():
    while not any(jail.job_id for jail in pool.jails):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

with pool:
    threading.Thread(target=interrupt).start()
    try:
        for _ in pool.stream([Request(FOREVER, ("0",))] * 5):
            pass
    except KeyboardInterrupt:
        print("interrupted")
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "interrupted\n", "")


def test_an_interrupt_at_any_moment_leaves_the_pool_at_work() -> None:
    """A signal's handler may raise wherever Python looks for signals: where a function begins or a call returns."""
    codes = (JailPool.stream.__code__, Future.result.__code__, threading.Condition.wait.__code__)
    files = {code.co_filename for code in codes}

    def interrupted(pool: JailPool, moment: int) -> str:
        """Interrupt a stream at its so many-th moment; where that was, or nothing when it ended before."""
        where = ""

        def look(frame: FrameType, event: str, _: object) -> None:
            nonlocal moment, where
            if event in ("call", "return", "c_return") and frame.f_code.co_filename in files:
                moment -= 1
                if not moment:
                    where = f"{event}, {frame.f_code.co_qualname}, line {frame.f_lineno}"
                    sys.setprofile(None)
                    raise KeyboardInterrupt

        before = sys.getprofile()
        # The second error is Condition.wait's own, of a lock that it no longer holds.
        with contextlib.suppress(KeyboardInterrupt, RuntimeError):
            sys.setprofile(look)
            try:
                for _ in pool.stream([Request(ECHO, ("1",), verify=False)] * 2):
                    pass
            finally:
                sys.setprofile(before)
        return where

    with JailPool(PATIENT, workers=1) as pool:
        for moment in range(1, 1000):
            where = interrupted(pool, moment)
            if not where:
                break
            assert pool.submit(Request(ECHO, ("2",))).result(DEADLINE_S)[0].value == "2", where
    assert moment > 30


def test_a_fork_of_the_process_is_refused_instead_of_waiting_forever() -> None:
    ran = python(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks: just what is tried here
with pool:
    pid = os.fork()
    if pid == 0:
        try:
            pool.run([Request(ECHO, ("1",))])
        except RuntimeError as error:
            print(error, flush=True)
        pool.close()
        os._exit(0)
    os.waitpid(pid, 0)
    print(pool.run([Request(ECHO, ("2",))])[0][0].value)
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["the jail pool has ended, or belongs to another process", "2"]


def test_a_jail_that_somebody_else_has_waited_for_is_replaced() -> None:
    ran = python(
        """
with pool:
    for pid in pool.process_ids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(pool.run([Request(ECHO, ("3",))])[0][0].value)
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")


@pytest.mark.slow
def test_a_process_without_descriptors_is_told_so_and_loses_none() -> None:
    """At every number of free descriptors: a working pool, or the reason; never a traceback, never a leak."""
    ran = python(
        """
import gc, resource
from azr_sandbox.jail import JailUnavailable

def held():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))

pool.open().close()  # imports and caches settle
before, kinds = held(), set()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for free in range(1, 18):
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + free, hard))
    try:
        with pool:
            pool.run([Request("def f(x):\\n    return {x}", ("1",))])
        kinds.add("works")
    except JailUnavailable as error:
        kinds.add("refused")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert held() == before, free
    assert threading.active_count() == 1, free
print(*sorted(kinds))
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "refused works\n"


def test_a_pool_that_runs_out_of_descriptors_recovers_with_them() -> None:
    ran = python(
        """
import resource
from azr_sandbox.jail import JailUnavailable
with pool:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
    for jail in pool.jails:
        jail.process.kill()
    try:
        pool.run([Request(ECHO, ("1",))])
    except JailUnavailable as error:
        print(error.reason)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(pool.run([Request(ECHO, ("2",))])[0][0].value)
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "2"


def test_a_jail_that_answers_unasked_is_broken() -> None:
    with JailPool(workers=1) as pool:
        (main,) = [jail for jail in pool.jails if jail.lane is MAIN]
        real, (main.socket, zygote) = main.socket, socket.socketpair()
        try:
            main.socket.setblocking(False)
            zygote.send(warmjail._REPLY.pack(b"AZR1", 0, warmjail.DONE, 0, 0, 0, 0, 0))
            with pytest.raises(warmjail.JailBroken, match="nothing that was asked"):
                main.on_readable()
        finally:
            main.socket.close()
            zygote.close()
            main.socket = real
