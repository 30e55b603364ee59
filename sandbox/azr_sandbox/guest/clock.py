"""A shifted wall clock for verifier zygotes, so that a value that depends on today's date does not verify.

Time since boot cannot lie (programs measuring durations disagree with themselves anyway); what is shifted is
every way to read the calendar. ``datetime`` is taken in its Python form, which reads the shifted clock.
"""

import sys
import time


def shift(seconds: int) -> None:
    """Move `time` and `datetime` ahead by ``seconds`` in this process and all its children."""
    real = {name: getattr(time, name) for name in ("time", "time_ns", "clock_gettime", "clock_gettime_ns")}
    formats = {name: getattr(time, name) for name in ("localtime", "gmtime", "ctime", "asctime", "strftime", "mktime")}

    def now() -> float:
        return float(real["time"]()) + seconds

    def clock_gettime(clock: int, /) -> float:
        return float(real["clock_gettime"](clock)) + (seconds if clock == time.CLOCK_REALTIME else 0)

    def clock_gettime_ns(clock: int, /) -> int:
        return int(real["clock_gettime_ns"](clock)) + (seconds * 10**9 if clock == time.CLOCK_REALTIME else 0)

    replacements = {
        "time": now,
        "time_ns": lambda: real["time_ns"]() + seconds * 10**9,
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
    sys.modules["_datetime"] = None  # type: ignore[assignment]  # the import system reads this as "absent"
    import datetime  # noqa: F401
