"""What a front end may want to hear from a supervisor while it runs; all of it is in the ledger too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from azr_monitor.records import Severity


class Observer:
    """Ignores everything; a front end overrides what it shows."""

    def state(self, state: str, where: str, reason: str) -> None:
        """The run's state changed."""

    def beat(self, step: int, where: str, done: int, total: int) -> None:
        """The trainer says what it does."""

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """A step is on record."""

    def alert(self, severity: Severity, message: str) -> None:
        """An alert is on record."""

    def notice(self, message: str) -> None:
        """Something worth one line happened."""


class Guarded(Observer):
    """Passes everything on until the front end fails; from then on it is silent.

    A closed pipe or a terminal that is gone must not end a run. Rich answers a closed pipe with SystemExit.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def state(self, state: str, where: str, reason: str) -> None:
        self._tell(lambda: self._observer.state(state, where, reason))

    def beat(self, step: int, where: str, done: int, total: int) -> None:
        self._tell(lambda: self._observer.beat(step, where, done, total))

    def step(self, step: int, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        self._tell(lambda: self._observer.step(step, steps, seconds, metrics))

    def alert(self, severity: Severity, message: str) -> None:
        self._tell(lambda: self._observer.alert(severity, message))

    def notice(self, message: str) -> None:
        self._tell(lambda: self._observer.notice(message))

    def _tell(self, call: Callable[[], None]) -> None:
        try:
            call()
        except (Exception, SystemExit):
            self._observer = Observer()
