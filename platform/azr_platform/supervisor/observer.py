"""What a front end may want to hear from a supervisor while it runs; all of it is in the ledger too."""

from __future__ import annotations

from collections.abc import Mapping

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
