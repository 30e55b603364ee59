"""What the policy does by itself: keeps the alerts since the last act, and what was done, across restarts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from azr_monitor.metrics import MetricRule
from azr_monitor.policy import Policy
from azr_monitor.records import Action
from azr_monitor.sections import Leave
from azr_platform.channel.messages import StepDone
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.reactions import Act, Rate, Reaction, Settled, react, settle
from azr_platform.supervisor.rows import RaisedAlert
from azr_platform.supervisor.runfolder import present_checkpoints
from azr_platform.supervisor.watch import MetricWatch, Recorded

WHO = "policy"
_REMEMBERED = 10_000
"""Alerts that rates can count."""


@dataclass(frozen=True)
class Stance:
    """The parts of a policy that act on a run, rather than on a sample."""

    rates: Sequence[Rate] = ()
    metrics: Sequence[MetricRule] = ()
    rollback: Leave = field(default_factory=Leave)
    cooldown_steps: int = 0

    @classmethod
    def of(cls, policy: Policy) -> Stance:
        return cls(policy.rates, policy.metric_rules(), policy.rollback, policy.cooldown_steps)


class Warden:
    """Decides; the supervisor carries it out, and says so by the control's row."""

    def __init__(self, run: Path, stance: Stance) -> None:
        self._run = run
        self._stance = stance
        self._watch = MetricWatch(stance.metrics)
        self._alerts: list[RaisedAlert] = []

    @property
    def new_seed(self) -> bool:
        """Whether a rollback of the policy's own draws anew."""
        return self._stance.rollback.new_seed

    def stand(self, stance: Stance) -> None:
        """Act by another stance from here on, where it is another."""
        if stance == self._stance:
            return
        self._stance = stance
        with LedgerReader(self._run) as reader:
            self._watch.watch(stance.metrics, reader)

    def begin(self) -> None:
        """The run is on another line than before, or has just been taken up: what led here has been dealt with."""
        self._alerts.clear()
        with LedgerReader(self._run) as reader:
            self._watch.begin(reader)

    def record(self, done: StepDone, writer: LedgerWriter, branch: int) -> Recorded:
        """Put a step on record with the alerts of its metrics (see supervisor/watch.py)."""
        with LedgerReader(self._run) as reader:
            return self._watch.record(done, writer, reader, branch)

    def decide(self, alerts: Sequence[RaisedAlert], step: int) -> tuple[Reaction, Settled] | None:
        """What new alerts call for, and what is to be done about it; None for nothing."""
        reaction = react(alerts, self._alerts, self._stance.rates, step)
        if reaction is None:
            settled = None
        else:
            with LedgerReader(self._run) as reader:
                saved = [row.step for row in present_checkpoints(self._run, reader)]
                acts = _acts(reader)
            settled = settle(reaction, step, acts, self._stance.rollback, self._stance.cooldown_steps, saved)
        # Last: whoever cannot read the ledger tries again.
        self._alerts = [] if settled else [*self._alerts, *alerts][-_REMEMBERED:]
        return (reaction, settled) if reaction is not None and settled is not None else None


def arguments(reaction: Reaction, settled: Settled, step: int) -> dict[str, object]:
    """What the row of the policy's act keeps, so that `_acts` finds it."""
    kept: dict[str, object] = {"rule": reaction.rule, "at": step}
    return kept if settled.to is None else {**kept, "step": settled.to}


def _acts(reader: LedgerReader) -> list[Act]:
    """Every act of the policy's on record, newest first."""
    found = []
    for row in reader.controls(limit=-1):
        kept: Mapping[str, object] = json.loads(row.arguments) if row.who == WHO else {}
        rule, at, to = kept.get("rule"), kept.get("at"), kept.get("step")
        if isinstance(rule, str) and isinstance(at, int):
            back = row.action == Action.ROLLBACK.label and isinstance(to, int) and row.outcome.startswith("done")
            found.append(Act(Action.ROLLBACK if back else Action.PAUSE, rule, at, to if isinstance(to, int) else None))
    return found
