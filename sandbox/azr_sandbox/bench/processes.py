"""What a process and all its descendants use, read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> Iterator[int]:
    """Every process below ``pid`` now, zombies included; ``pid`` itself is not among them."""
    for thread in _threads(pid):
        for child in _read(thread / "children").split():
            yield int(child)
            yield from descendants(int(child))


def cpu_s() -> float:
    """CPU seconds of this process, of its descendants, and of those of them that have ended and been waited for."""
    here = os.times()
    return time.process_time() + here.children_user + here.children_system + sum(map(_cpu_s, descendants(os.getpid())))


def resident_bytes(pid: int) -> int:
    """Memory of one process that is in RAM; 0 when it is gone."""
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * _PAGE if fields else 0


def state(pid: int) -> str:
    """The kernel's letter for what a process does (``Z`` is a zombie); empty when it is gone."""
    return "".join(_stat(pid)[:1])


def open_files(pid: int) -> int:
    """How many file descriptors a process holds; 0 when it is gone, or is another user's."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # names alone; nothing is opened
    except OSError:
        return 0


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    if not fields:
        return 0.0
    reaped_s = (int(fields[13]) + int(fields[14])) * _TICK_S
    try:
        return reaped_s + time.clock_gettime(
            (~pid << 3) | 2
        )  # clock_getcpuclockid(3): nanoseconds, where stat has ticks
    except OSError:
        return reaped_s


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on: the command before it may hold blanks and brackets."""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # it has just ended
        return ""
