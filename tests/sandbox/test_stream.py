"""Streaming, futures and cancellation: order kept, nothing taken too early, nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait

import pytest

from azr_sandbox.dispatch import Wear
from azr_sandbox.execution import Outcome, Request
from azr_sandbox.jail import JailUnavailable
from azr_sandbox.lanes import MAIN
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from azr_sandbox.warmjail import WarmJail

ECHO = "def f(x):\n    return x"
FOREVER = "import time\ndef f(x):\n    time.sleep(1000)"
PATIENT = Limits(wall_s=600.0)
DEADLINE_S = 120.0


def test_a_stream_keeps_the_order_and_ends(pool: JailPool) -> None:
    numbers = [str(i) for i in range(100)]
    assert [row[0].value for row in pool.stream(Request(ECHO, (i,)) for i in numbers)] == numbers
    assert list(pool.stream([])) == []
    assert list(pool.stream([Request(ECHO, ())])) == [()]


def test_a_stream_takes_no_more_than_it_may_ahead_of_its_reader(pool: JailPool) -> None:
    taken = 0

    def source() -> Iterator[Request]:
        nonlocal taken
        for i in range(50):
            taken += 1
            yield Request(ECHO, (str(i),))

    stream = pool.stream(source(), ahead=5)
    for given, (execution,) in enumerate(stream, 1):
        assert execution.value == str(given - 1)
        assert taken <= given + 5
    assert taken == 50


def test_a_source_that_fails_fails_its_reader_and_nothing_else(pool: JailPool) -> None:
    def source() -> Iterator[Request]:
        yield Request(ECHO, ("1",))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(pool.stream(source()))
    assert pool.run([Request(ECHO, ("2",))])[0][0].value == "2"


@pytest.mark.parametrize("ahead", [0, -1])
def test_a_stream_must_look_ahead(pool: JailPool, ahead: int) -> None:
    with pytest.raises(ValueError, match="ahead"):
        next(pool.stream([], ahead=ahead))


def test_closing_a_stream_kills_what_is_under_way() -> None:
    with JailPool(PATIENT, workers=2) as pool:
        stream = pool.stream([Request(ECHO, ("1",)), *(Request(FOREVER, (str(i),)) for i in range(9))])
        assert next(stream)[0].value == "1"
        stream.close()  # type: ignore[attr-defined]
        # Every worker is free again, although the programs would sleep for many minutes.
        rows = pool.run([Request(ECHO, (str(i),)) for i in range(4)])
        assert [row[0].value for row in rows] == ["0", "1", "2", "3"]


def test_a_cancelled_request_is_killed_and_the_others_go_on() -> None:
    with JailPool(PATIENT, workers=1) as pool:
        first, second, third = (pool.submit(Request(program, ("7",))) for program in (FOREVER, FOREVER, ECHO))
        before = {jail.process.pid for jail in pool.jails if jail.lane is MAIN}
        assert second.cancel()  # still queued, or it would never end
        assert first.cancel()  # at work, or about to be
        assert third.result(DEADLINE_S)[0].value == "7"
        assert wait([first, second], DEADLINE_S).not_done == set()
        with pytest.raises(CancelledError):
            first.result()
        assert not third.cancel()
        assert len([jail for jail in pool.jails if jail.lane is MAIN]) == len(before)


def test_a_long_batch_of_one_thread_does_not_hold_up_another_forever() -> None:
    """A worker is free while the other thread's program sleeps."""
    with JailPool(PATIENT, workers=2) as pool:
        sleeping = pool.submit(Request(FOREVER, ("0",)))
        answers: list[str | None] = []
        asking = threading.Thread(target=lambda: answers.append(pool.run([Request(ECHO, ("5",))])[0][0].value))
        asking.start()
        asking.join(DEADLINE_S)
        assert answers == ["5"]
        sleeping.cancel()


def test_closing_the_pool_ends_what_is_still_open_with_an_error() -> None:
    pool = JailPool(PATIENT, workers=1).open()
    futures = [pool.submit(Request(FOREVER, ("0",))) for _ in range(3)]
    pool.close()
    for future in futures:
        with pytest.raises(RuntimeError, match="closed"):
            future.result(DEADLINE_S)
    with pytest.raises(RuntimeError, match="not open"):
        pool.submit(Request(ECHO, ("1",)))


def test_jails_that_no_longer_start_end_every_request_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with JailPool(PATIENT, workers=1) as pool:
        assert pool.run([Request(ECHO, ("1",))])[0][0].ok
        sleeping = pool.submit(Request(FOREVER, ("0",)))

        def refuse(*_: object) -> None:
            raise OSError(11, "no more processes")

        monkeypatch.setattr(WarmJail, "__init__", refuse)
        for jail in pool.jails:
            jail.process.kill()
        for future in (sleeping, pool.submit(Request(ECHO, ("2",)))):
            with pytest.raises(JailUnavailable, match="no more processes"):
                future.result(DEADLINE_S)
        monkeypatch.undo()
        assert pool.run([Request(ECHO, ("3",))])[0][0].value == "3", "and it recovers when they start again"


def test_a_bug_in_the_pool_s_thread_reaches_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = JailPool(workers=1).open()
    monkeypatch.setattr("azr_sandbox.job.judge", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pool.run([Request(ECHO, ("1",))])
    with pytest.raises(RuntimeError, match="ended"):
        pool.run([Request(ECHO, ("1",))])
    pool.close()


@pytest.mark.parametrize("wear", [Wear(runs=2), Wear(age_s=0.0), Wear(growth_mb=-1)], ids=["runs", "age", "growth"])
def test_a_worn_jail_is_replaced(wear: Wear) -> None:
    with JailPool(workers=1, wear=wear) as pool:
        before = set(pool.process_ids)
        rows = pool.run([Request(ECHO, (str(i),)) for i in range(5)])
        assert [row[0].value for row in rows] == ["0", "1", "2", "3", "4"]
        assert not before & set(pool.process_ids)


def test_a_jail_that_is_not_worn_stays() -> None:
    with JailPool(workers=1) as pool:
        before = set(pool.process_ids)
        for _ in range(3):
            assert pool.run([Request("def f(x):\n    raise ValueError", ("0",))] * 70)[0][0].outcome is Outcome.ERROR
        assert before == set(pool.process_ids)
