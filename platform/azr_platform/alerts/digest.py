"""What is told when many things happen: repeats are counted, and no more is told in a minute than somebody reads.

Pure: the time is an argument, in seconds of any clock that does not go back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import msgspec

from azr_platform.alerts.told import Told

ROOM = 100
_MINUTE = 60.0


@dataclass
class _Tally:
    """Until when the same is only counted, how often it came, and the newest of it."""

    until: float
    more: int = 0
    newest: Told | None = None


class Digest:
    """A bounded queue of what waits to be told. States come first and always; they are few, and repeats are counted."""

    def __init__(self, repeat_seconds: float, per_minute: int, room: int = ROOM) -> None:
        self._repeat_seconds = repeat_seconds
        self._per_minute = per_minute
        self._room = room
        self._tallies: dict[tuple[str, str, str], _Tally] = {}
        self._waiting: deque[Told] = deque()
        self._sent: deque[float] = deque()
        self._untold = 0

    def add(self, told: Told, now: float) -> None:
        """Something happened."""
        self._expire(now)
        tally = self._tallies.get(_key(told))
        if tally is not None:
            tally.more += 1
            tally.newest = told
        else:
            self._queue(told, now)

    def take(self, now: float) -> Told | None:
        """What is to be told now, if anything is."""
        self._expire(now)
        self._forget_sent(now)
        state = next((told for told in self._waiting if told.type == "state"), None)
        if state is not None:
            self._waiting.remove(state)
            return self._with_untold(state)
        if not self._waiting or len(self._sent) >= self._per_minute:
            return None
        self._sent.append(now)
        return self._with_untold(self._waiting.popleft())

    def next_at(self) -> float | None:
        """When ``take`` may have something that it has not now; None when nothing is on its way."""
        times = [tally.until for tally in self._tallies.values()]
        if self._waiting and self._sent:
            times.append(self._sent[0] + _MINUTE)
        return min(times, default=None)

    def finish(self, now: float) -> None:
        """No more is to come: what was counted is told now, and what may not be told any more is a number."""
        for tally in self._tallies.values():
            tally.until = now
        self._expire(now)
        self._tallies.clear()
        self._forget_sent(now)
        if len(self._sent) >= self._per_minute:
            self._sent.popleft()  # one more may go, to say how many did not
        alerts = [told for told in self._waiting if told.type == "alert"]
        for told in alerts[self._per_minute - len(self._sent) :]:
            self._waiting.remove(told)
            self._untold += told.times

    def _forget_sent(self, now: float) -> None:
        while self._sent and now >= self._sent[0] + _MINUTE:
            self._sent.popleft()

    def _expire(self, now: float) -> None:
        for key, tally in list(self._tallies.items()):
            if now >= tally.until:
                del self._tallies[key]
                if tally.newest is not None:
                    self._queue(msgspec.structs.replace(tally.newest, times=tally.more), now)

    def _queue(self, told: Told, now: float) -> None:
        if told.type == "alert" and len(self._waiting) >= self._room:
            self._untold += told.times
            return
        self._waiting.append(told)
        self._tallies[_key(told)] = _Tally(now + self._repeat_seconds)

    def _with_untold(self, told: Told) -> Told:
        untold, self._untold = self._untold, 0
        return msgspec.structs.replace(told, untold=untold)


def _key(told: Told) -> tuple[str, str, str]:
    return told.type, told.name, told.severity
