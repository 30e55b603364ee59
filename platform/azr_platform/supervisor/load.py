"""What a run asks of its machine, step by step, as the supervisor sees it.

```
load/programs                     programs run in the jail        load/programs_per_second  of the time the jail took
load/waiting/reviews              samples that waited for their review, at most at once
load/waiting/programs             programs handed to the jail, at most at once
load/cpu  load/memory             share of the machine's processors busy since the step before, of its memory in use
load/memory/trainer|supervisor    MiB that the process holds
```
What the system does not tell (elsewhere than on Linux) is left out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from azr_platform.supervisor.gate import Judged

_PROC: Final = Path("/proc")
_MIB: Final = 2**20


class LoadMeter:
    """Told of each batch as it comes and is judged; asked once a step, which begins the count anew."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._waiting = self._most_waiting = 0
        self._programs = self._most_programs = 0
        self._jail_seconds = 0.0
        self._ticks = self._read_ticks()

    def arrived(self, samples: int) -> None:
        """So many samples wait for their review from now on."""
        self._waiting += samples
        self._most_waiting = max(self._most_waiting, self._waiting)

    def judged(self, judged: Judged) -> None:
        """A batch has been through the gate."""
        self._waiting = max(0, self._waiting - len(judged.review.samples))
        self._programs += judged.programs
        self._most_programs = max(self._most_programs, judged.programs)
        self._jail_seconds += judged.seconds["jail"]

    def left(self) -> None:
        """The trainer is gone, and with it whatever waited."""
        self._waiting = 0

    def metrics(self, trainer: int | None) -> dict[str, float]:
        """The step's figures; ``trainer`` is its process."""
        found = {
            "load/programs": float(self._programs),
            "load/waiting/reviews": float(self._most_waiting),
            "load/waiting/programs": float(self._most_programs),
        }
        if self._programs and self._jail_seconds > 0:
            found["load/programs_per_second"] = self._programs / self._jail_seconds
        self._programs = self._most_programs = 0
        self._most_waiting, self._jail_seconds = self._waiting, 0.0
        # What the system tells must not cost a step: a figure that cannot be read is left out.
        with suppress(OSError, ValueError, LookupError):
            found |= self._processors()
        with suppress(OSError, ValueError, LookupError):
            found["load/memory"] = self._memory()
        for name, process in (("trainer", trainer), ("supervisor", os.getpid())):
            with suppress(OSError, ValueError, LookupError):
                if process is not None:
                    found[f"load/memory/{name}"] = self._resident(process)
        return found

    def _processors(self) -> dict[str, float]:
        before, self._ticks = self._ticks, self._read_ticks()
        if before is None or self._ticks is None or self._ticks[1] <= before[1]:
            return {}
        return {"load/cpu": (self._ticks[0] - before[0]) / (self._ticks[1] - before[1])}

    def _read_ticks(self) -> tuple[int, int] | None:
        """(busy, all) ticks of all processors since the machine started."""
        with suppress(OSError, ValueError, LookupError):
            name, *values = (self._proc / "stat").read_text("ascii").split("\n", 1)[0].split()
            ticks = [int(value) for value in values[:8]]  # guests' time is in the user's already
            if name == "cpu":
                return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # idle, and waiting for a disk
        return None

    def _memory(self) -> float:
        lines = (self._proc / "meminfo").read_text("ascii").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return 1 - kib["MemAvailable"] / kib["MemTotal"]

    def _resident(self, process: int) -> float:
        pages = int((self._proc / str(process) / "statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / _MIB
