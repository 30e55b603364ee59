"""A shifted wall clock for verifier zygotes, so that a value that depends on today's date does not verify.

Both kinds of clock are shifted, the calendar and the time since boot, so that not even a coarse reading of either
verifies; durations stay true. Nothing else of `datetime` is touched, down to the wording of its errors. Out of reach
is the C library's own ``time()``, called through ctypes or by SQLite.
"""

import ctypes
import datetime
import gc
import os
import posix  # the module behind os
import time
from collections.abc import Callable
from typing import Any


def shift(seconds: int) -> None:
    """Move the clocks of `time`, `datetime` and `os` ahead by ``seconds`` in this process and all its children."""
    plain = ("time", "monotonic", "perf_counter")
    real = {name: getattr(time, name) for clock in plain for name in (clock, f"{clock}_ns")}
    real |= {name: getattr(time, name) for name in ("clock_gettime", "clock_gettime_ns")}
    formats = {name: getattr(time, name) for name in ("localtime", "gmtime", "ctime", "asctime", "strftime", "mktime")}

    def now() -> float:
        return float(real["time"]()) + seconds

    def ahead(name: str) -> Callable[[], float]:
        read = real[name]
        return lambda: float(read()) + seconds

    def ahead_ns(name: str) -> Callable[[], int]:
        read = real[name]
        return lambda: int(read()) + seconds * 10**9

    def clock_gettime(clock: int, /) -> float:
        return float(real["clock_gettime"](clock)) + (0 if _is_cpu_clock(clock) else seconds)

    def clock_gettime_ns(clock: int, /) -> int:
        return int(real["clock_gettime_ns"](clock)) + (0 if _is_cpu_clock(clock) else seconds * 10**9)

    replacements = {
        **{name: ahead(name) for name in plain},
        **{f"{name}_ns": ahead_ns(f"{name}_ns") for name in plain},
        "clock_gettime": clock_gettime,
        "clock_gettime_ns": clock_gettime_ns,
        "localtime": lambda at=None: formats["localtime"](now() if at is None else at),
        "gmtime": lambda at=None: formats["gmtime"](now() if at is None else at),
        "ctime": lambda at=None: formats["ctime"](now() if at is None else at),
        "asctime": lambda at=None: formats["asctime"](formats["localtime"](now()) if at is None else at),
        "strftime": lambda layout, at=None: formats["strftime"](
            layout, formats["localtime"](now()) if at is None else at
        ),
    }
    for name, function in replacements.items():
        setattr(time, name, function)
    _shift_datetime()
    _shift_times(seconds)


def _shift_datetime() -> None:
    """Its `today` asks `time` already; `now` and `utcnow` ask the C library, and take no assignment from Python."""
    own, read = datetime.datetime, time.time
    from_local, from_utc = (own.__dict__[name].__get__ for name in ("fromtimestamp", "utcfromtimestamp"))

    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> Any:
        return from_local(None, cls)(read(), tz)

    def utcnow(cls: type[datetime.datetime]) -> Any:
        return from_utc(None, cls)(read())

    attributes = gc.get_referents(own.__dict__)[0]
    attributes |= {"now": classmethod(now), "utcnow": classmethod(utcnow)}
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(own))


def _shift_times(seconds: int) -> None:
    real = os.times

    def times() -> os.times_result:
        used = real()
        return os.times_result((*used[:4], used[4] + seconds))

    os.times = posix.times = times


def _is_cpu_clock(clock: int) -> bool:
    """Those of processes and threads; negative ids are other processes' own."""
    return clock < 0 or clock in (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID)
