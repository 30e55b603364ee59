"""Alerts, who has seen them, and what they came to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from azr_platform.ledger.filters import AlertFilter, AlertState
from azr_platform.ledger.reads.run import RunReads
from azr_platform.ledger.records import AlertRow, ClosedAlert

_SEEN: Final = "EXISTS (SELECT 1 FROM alert_acks k WHERE k.alert = a.id)"
_OUTCOME: Final = """
    coalesce((SELECT o.outcome FROM alert_outcomes o WHERE o.alert = a.id ORDER BY o.id DESC LIMIT 1), '')
"""
_ROW: Final = f"""
    SELECT a.id, a.time, a.branch, a.step, a.severity, a.rule, a.sample, a.message, {_SEEN}, {_OUTCOME} FROM alerts a
"""
_STATE: Final = f"iif({_OUTCOME} != '', {_OUTCOME}, iif({_SEEN}, 'acknowledged', 'open'))"
_OF_STATE: Final = {
    AlertState.OPEN: f"NOT {_SEEN}",
    AlertState.ACKNOWLEDGED: f"{_SEEN} AND {_OUTCOME} = ''",
    AlertState.RESOLVED: f"{_OUTCOME} = 'resolved'",
    AlertState.FALSE_ALARM: f"{_OUTCOME} = 'false-alarm'",
}


class AlertReads(RunReads):
    """Alerts in pages, and how many wait."""

    def alerts(self, *, limit: int = 200, after: int = 0) -> list[AlertRow]:
        """Newest first; only those with an id above ``after``."""
        return self._rows(AlertRow, f"{_ROW} WHERE a.id > ? ORDER BY a.id DESC LIMIT ?", after, limit)

    def alerts_page(self, wanted: AlertFilter, *, limit: int = 200, beyond: int | None = None) -> list[AlertRow]:
        """A page of the alerts that a filter lets pass; pass the last id as ``beyond`` for the next page."""
        where, values = _narrowed(wanted)
        if wanted.state is not None:
            where += f" AND {_OF_STATE[wanted.state]}"
        side, order = (">", "") if wanted.oldest_first else ("<", "DESC")
        start = (0 if wanted.oldest_first else 2**62) if beyond is None else beyond
        query = f"{_ROW} {where} AND a.id {side} ? ORDER BY a.id {order} LIMIT ?"
        return self._rows(AlertRow, query, *values, start, limit)

    def alert_counts(self, wanted: AlertFilter) -> dict[AlertState, int]:
        """How many alerts of each state a filter lets pass, its own state left aside."""
        where, values = _narrowed(wanted)
        found = dict(self._query(f"SELECT {_STATE}, count(*) FROM alerts a {where} GROUP BY 1", *values))
        return {state: found.get(state.value, 0) for state in AlertState}

    def alert(self, number: int) -> AlertRow | None:
        """One alert by its id; None when there is no such alert."""
        if not 0 < number < 2**63:
            return None
        return next(iter(self._rows(AlertRow, f"{_ROW} WHERE a.id = ?", number)), None)

    def sample_alerts(self, samples: Sequence[int]) -> list[AlertRow]:
        """What was raised about some samples, oldest first."""
        among = "a.sample IN (SELECT value FROM json_each(?))"
        return self._rows(AlertRow, f"{_ROW} WHERE {among} ORDER BY a.id", json.dumps(list(samples)))

    def closed_alerts(self) -> list[ClosedAlert]:
        """What people made of the alerts about samples, oldest word first."""
        return self._rows(
            ClosedAlert,
            "SELECT o.time, a.sample, a.rule, o.outcome, o.who, o.note FROM alert_outcomes o "
            "JOIN alerts a ON a.id = o.alert WHERE a.sample IS NOT NULL ORDER BY o.id",
        )

    def worst_open_alert(self) -> AlertRow | None:
        """The worst alert about a sample that nobody has seen; among equals the newest."""
        order = "ORDER BY a.severity DESC, a.id DESC LIMIT 1"
        return next(iter(self._rows(AlertRow, f"{_ROW} WHERE a.sample IS NOT NULL AND NOT {_SEEN} {order}")), None)

    def alerted(self, severity: int) -> list[tuple[int, int]]:
        """(branch, step) of every alert of at least a severity."""
        return list(
            self._query("SELECT DISTINCT branch, step FROM alerts WHERE severity >= ? AND branch IS NOT NULL", severity)
        )

    def open_alerts(self) -> list[int]:
        """Ids of the alerts that nobody has acknowledged, oldest first."""
        return [row[0] for row in self._query(f"SELECT a.id FROM alerts a WHERE NOT {_SEEN} ORDER BY a.id")]


def _narrowed(wanted: AlertFilter) -> tuple[str, list[object]]:
    """All of a filter but its state, as a condition with its values."""
    where, values = ["a.severity >= ?"], [wanted.severity]
    found: list[object] = [*values]
    for sql, value in (("a.step >= ?", wanted.first_step), ("a.step <= ?", wanted.last_step)):
        if value is not None:
            where.append(sql)
            found.append(value)
    if wanted.rule is not None:
        where.append("a.rule GLOB ?" if any(sign in wanted.rule for sign in "*?[") else "a.rule = ?")
        found.append(wanted.rule)
    if wanted.text:
        where.append("instr(lower(a.message), lower(?))")
        found.append(wanted.text)
    if wanted.with_sample is not None:
        where.append(f"a.sample IS {'NOT ' * wanted.with_sample}NULL")
    return f"WHERE {' AND '.join(where)}", found
