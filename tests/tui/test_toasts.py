"""Toasts: one a rule, then a while without, and nothing is uncounted."""

from __future__ import annotations

from azr_platform.ledger.records import AlertRow
from azr_tui.toasts import Toasts


def alert(number: int, rule: str, severity: int = 1) -> AlertRow:
    return AlertRow(number, 0.0, 1, 1, severity, rule, None, f"alert {number}", 0)


def told(toasts: Toasts, alerts: list[AlertRow], now: float) -> list[tuple[int, int]]:
    return [(toast.alert.id, toast.stands_for) for toast in toasts.tell(alerts, now)]


def test_alerts_of_one_rule_are_one_toast_with_the_worst_of_them() -> None:
    alerts = [alert(1, "a"), alert(2, "b", 2), alert(3, "a", 3), alert(4, "a")]
    assert told(Toasts(), alerts, 0) == [(3, 3), (2, 1)]


def test_a_rule_just_told_is_silent_for_a_while_and_then_tells_how_many_there_were() -> None:
    toasts = Toasts()
    assert told(toasts, [alert(1, "a")], 0) == [(1, 1)]
    assert told(toasts, [alert(2, "a"), alert(3, "a")], 1) == []
    assert told(toasts, [alert(4, "b")], 2) == [(4, 1)]
    assert told(toasts, [alert(5, "a")], 30) == [(5, 3)]


def test_a_worse_alert_of_a_silent_rule_is_told_at_once() -> None:
    toasts = Toasts()
    assert told(toasts, [alert(1, "a")], 0) == [(1, 1)]
    assert told(toasts, [alert(2, "a")], 1) == []
    assert told(toasts, [alert(3, "a", 4)], 2) == [(3, 2)]
