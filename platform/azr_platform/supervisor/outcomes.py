"""What people make of alerts: seen, resolved, or a false alarm. Each is a row of its own; an alert is never changed.

```
acknowledge ─► alert_acks                       somebody has seen it
resolve     ─► alert_acks, alert_outcomes       it was looked into, and is done with
false alarm ─► the same, and decisions          there was nothing to find: a label, if the alert has a sample
```
A decision about a sample says what its alerts come to, so it closes them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum

from azr_platform.channel.messages import Action, Command, Decision, Outcome
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import AlertRow
from azr_platform.ledger.writer import Batch, LedgerWriter


class CameTo(StrEnum):
    """How an alert ended."""

    RESOLVED = "resolved"
    FALSE_ALARM = "false-alarm"


def acknowledge(reader: LedgerReader, writer: LedgerWriter, command: Command) -> Outcome:
    """Mark one open alert, or all of them, as seen."""
    chosen = [number for number in reader.open_alerts() if command.alert in (0, number)]
    if not chosen:
        return Outcome(ok=False, detail="no such open alert")
    with writer.batch() as batch:
        for number in chosen:
            row = {"time": time.time(), "alert": number, "who": command.who, "note": command.why}
            batch.add("alert_acks", row)
    return Outcome(ok=True, detail=f"{len(chosen)} alert{'s' if len(chosen) > 1 else ''} acknowledged")


def resolve(reader: LedgerReader, writer: LedgerWriter, command: Command) -> Outcome:
    """Close one alert: what it was about is done with."""
    alert, problem = alert_to_close(reader, command)
    if alert is None:
        return Outcome(ok=False, detail=problem)
    with writer.batch() as batch:
        close(batch, [alert], CameTo.RESOLVED, command)
    return Outcome(ok=True, detail=f"alert {alert.id} resolved")


def dismiss(reader: LedgerReader, writer: LedgerWriter, command: Command) -> Outcome:
    """Close an alert that is about the run as a whole as a false alarm; one with a sample needs a decision about it."""
    alert, problem = alert_to_close(reader, command)
    if alert is None:
        return Outcome(ok=False, detail=problem)
    with writer.batch() as batch:
        close(batch, [alert], CameTo.FALSE_ALARM, command)
    return Outcome(ok=True, detail=f"alert {alert.id}: a false alarm")


def decision_on(reader: LedgerReader, command: Command) -> Command | None:
    """The decision that calling an alert a false alarm comes to; None for an alert that has no sample, or none."""
    alert, _ = alert_to_close(reader, command)
    if alert is None or alert.sample is None:
        return None
    return Command(
        action=Action.DECIDE,
        who=command.who,
        why=command.why,
        alert=alert.id,
        sample=alert.sample,
        decision=Decision.FALSE_ALARM,
    )


def alert_to_close(reader: LedgerReader, command: Command) -> tuple[AlertRow | None, str]:
    """(the alert that a command is about, or why it cannot be closed)."""
    alert = reader.alert(command.alert)
    if alert is None:
        return None, f"there is no alert {command.alert}" if command.alert else "say which alert, by its number"
    if alert.outcome:
        return None, f"alert {alert.id} is {_WORDS.get(alert.outcome, 'closed')} already"
    return alert, ""


_WORDS = {CameTo.RESOLVED.value: "resolved", CameTo.FALSE_ALARM.value: "a false alarm"}


def close_those_of(batch: Batch, reader: LedgerReader, samples: Sequence[int], command: Command) -> int:
    """Close the alerts of samples that somebody decided about; returns how many there were to close."""
    came_to = CameTo.FALSE_ALARM if command.decision is Decision.FALSE_ALARM else CameTo.RESOLVED
    left = [alert for alert in reader.sample_alerts(samples) if not alert.outcome]
    close(batch, left, came_to, command)
    return len(left)


def close(batch: Batch, alerts: Sequence[AlertRow], came_to: CameTo, command: Command) -> None:
    """Add what some alerts came to; who closes one has seen it."""
    row = {"time": time.time(), "who": command.who, "note": command.why}
    for alert in alerts:
        if not alert.acknowledged:
            batch.add("alert_acks", {**row, "alert": alert.id})
        batch.add("alert_outcomes", {**row, "alert": alert.id, "outcome": came_to.value})
