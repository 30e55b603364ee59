"""What a front end may want to hear from a supervisor while it runs; all of it is in the ledger too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue

from azr_monitor.records import Severity


class Observer:
    """Ignores everything; a front end overrides what it shows."""

    def branch(self, branch: int, step: int) -> None:
        """Steps belong to this branch from here on, and follow ``step``: at the start, and after each way back."""

    def state(self, state: str, where: str, reason: str) -> None:
        """The run's state changed."""

    def beat(self, step: int, where: str, done: int, total: int) -> None:
        """The trainer says what it does."""

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """A step is on record."""

    def alert(self, severity: Severity, rule: str, message: str) -> None:
        """An alert is on record; ``message`` may quote what a model wrote."""

    def notice(self, message: str) -> None:
        """Something worth one line happened."""

    def troubles(self) -> list[str]:
        """What went wrong in the front end itself since it was asked last; it goes on record.

        Each line begins with the setting that it is about, such as ``sinks.wandb``.
        """
        return []


class Troubles:
    """Lines that any thread may add, until they are taken."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()

    def add(self, line: str) -> None:
        self._lines.put(line)

    def take(self) -> list[str]:
        taken: list[str] = []
        while True:
            try:
                taken.append(self._lines.get_nowait())
            except Empty:
                return taken


class Guarded(Observer):
    """Passes everything on to each front end until that one fails; from then on it is left alone.

    A closed pipe or a terminal that is gone must not end a run. Rich answers a closed pipe with SystemExit.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def branch(self, branch: int, step: int) -> None:
        self._tell(lambda observer: observer.branch(branch, step))

    def state(self, state: str, where: str, reason: str) -> None:
        self._tell(lambda observer: observer.state(state, where, reason))

    def beat(self, step: int, where: str, done: int, total: int) -> None:
        self._tell(lambda observer: observer.beat(step, where, done, total))

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self._tell(lambda observer: observer.step(step, steps, seconds, metrics))

    def alert(self, severity: Severity, rule: str, message: str) -> None:
        self._tell(lambda observer: observer.alert(severity, rule, message))

    def notice(self, message: str) -> None:
        self._tell(lambda observer: observer.notice(message))

    def troubles(self) -> list[str]:
        found: list[str] = []
        self._tell(lambda observer: found.extend(observer.troubles()))
        return found

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except (Exception, SystemExit):
                self._observers.remove(observer)
