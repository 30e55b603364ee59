"""Which new alerts are told at once: one toast a rule, then a while without, so that no flood hides the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from azr_platform.ledger.records import AlertRow

MOST: Final = 3
"""Toasts at a time; the rest is a line with their number."""
_QUIET: Final = 20.0
"""Seconds after a toast in which its rule gets no other, unless it became worse."""


class Toast(NamedTuple):
    """One alert to show, and how many of its rule it stands for."""

    alert: AlertRow
    stands_for: int


class Toasts:
    """What has been shown, and what has not been since: that is counted, and told with the next of its rule."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[float, int]] = {}
        self._untold: dict[str, int] = {}

    def tell(self, fresh: Sequence[AlertRow], now: float) -> list[Toast]:
        """The toasts that these alerts come to at ``now``, in seconds: the worst of each rule, the worst first."""
        rules: dict[str, list[AlertRow]] = {}
        for alert in fresh:
            rules.setdefault(alert.rule, []).append(alert)
        toasts = [
            Toast(worst, count)
            for rule, alerts in rules.items()
            for worst in [max(alerts, key=lambda alert: (alert.severity, alert.id))]
            if (count := self._counted(rule, len(alerts), worst.severity, now))
        ]
        return sorted(toasts, key=lambda toast: -toast.alert.severity)

    def _counted(self, rule: str, new: int, severity: int, now: float) -> int:
        """How many alerts a toast of the rule stands for now; 0 while there is to be none."""
        count = self._untold.pop(rule, 0) + new
        at, before = self._shown.get(rule, (float("-inf"), 0))
        if now - at < _QUIET and severity <= before:
            self._untold[rule] = count
            return 0
        self._shown[rule] = now, severity
        return count
