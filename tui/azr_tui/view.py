"""What the dashboard knows at one moment, and the figures derived from it. Pure; widgets are handed a ``View``.

```
ledger ──(feed thread)──► Snapshot ─┐
channel ─(pulse thread)─► Status ───┼─► View ──► the screen on top
clock ──────────────────────────────┘
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from azr_platform.channel.messages import Status
from azr_platform.ledger.records import (
    AlertRow,
    CheckpointRow,
    ControlRow,
    NoticeRow,
    RunRow,
    StateRow,
    Summary,
)
from azr_platform.records import SELF_PLAY_KINDS, Kind, Role

SILENT = "supervisor silent"
"""Somebody holds the run's lock, but nobody answers on its socket."""
WATCHING = "watching only"
"""The dashboard was opened so that it steers nothing."""
KEPT = "a log that was kept"
"""Another trainer's log as a ledger: nothing trains here, nor will."""
ALONE = "no supervisor"
"""The run has ended, or its supervisor is gone."""


@dataclass(frozen=True)
class Series:
    """One metric along the current line: ``steps`` ascending, ``values`` finite, of equal length.

    A long one is told in spans of steps (see curves.py): ``values`` are their means, ``lows`` and ``highs`` their
    bounds, ``steps`` their ends. Empty bounds: each value is one step's own.
    """

    steps: Sequence[int] = ()
    values: Sequence[float] = ()
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()
    newest: float | None = None

    @property
    def last(self) -> float | None:
        if self.newest is not None:
            return self.newest
        return self.values[-1] if self.values else None

    @cached_property
    def low(self) -> float | None:
        return min(self.lows or self.values, default=None)

    @cached_property
    def high(self) -> float | None:
        return max(self.highs or self.values, default=None)


EMPTY = Series()


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One consistent reading of the ledger. Lists are newest first except ``checkpoints``."""

    run: RunRow
    state: StateRow
    summary: Summary
    step_seconds: Sequence[float] = ()
    metrics: dict[str, Series] = field(default_factory=dict)
    alerts: Sequence[AlertRow] = ()
    checkpoints: Sequence[CheckpointRow] = ()
    controls: Sequence[ControlRow] = ()
    notices: Sequence[NoticeRow] = ()

    def series(self, name: str) -> Series:
        """The metric ``name``; empty when the run does not record it."""
        return self.metrics.get(name, EMPTY)

    @cached_property
    def kept(self) -> bool:
        """Whether the ledger is no run's, but was made of another trainer's log."""
        return bool(self.run.log)

    @property
    def groups(self) -> tuple[tuple[Role, Kind], ...]:
        """The roles and kinds that have a reward on record, each role with each kind; self-play's six before any, and
        none of a log that was kept."""
        if self.kept:
            return ()
        seen = [name.split("/")[1:] for name in self.metrics if name.startswith("reward/") and name.count("/") == 2]
        roles = [role for role in Role if any(role.value == each for each, _ in seen)]
        kinds = [kind for kind in Kind if any(kind.value == each for _, each in seen)]
        return tuple((role, kind) for role in roles or Role for kind in kinds or SELF_PLAY_KINDS)


@dataclass(frozen=True, eq=False)
class View:
    """A snapshot, the live status if a supervisor answers, and the time (seconds since the epoch)."""

    run: Path
    now: float
    snapshot: Snapshot | None = None
    status: Status | None = None
    trouble: str = ""
    read_only: bool = False

    @property
    def state(self) -> str:
        """The live state when a supervisor answers, else the recorded one."""
        if self.status is not None:
            return self.status.state
        return self.snapshot.state.state if self.snapshot else "starting"

    @property
    def steerable(self) -> bool:
        """Whether commands may be given, and somebody is there to carry them out."""
        return self.status is not None and not self.read_only

    @property
    def why_read_only(self) -> str:
        """Why no command can be given; empty when one can."""
        if self.steerable:
            return ""
        if self.read_only:
            return WATCHING
        if self.snapshot is not None and self.snapshot.summary.supervised:
            return SILENT
        return KEPT if self.kept else ALONE

    @property
    def kept(self) -> bool:
        """Whether the ledger is no run's, but was made of another trainer's log."""
        return self.snapshot is not None and self.snapshot.kept

    @property
    def where(self) -> str:
        """What the trainer is doing, with how far it is: ``generate 12/32``."""
        if self.status is not None:
            progress = f" {self.status.done}/{self.status.total}" if self.status.total else ""
            return f"{self.status.where}{progress}"
        return self.snapshot.state.where_at if self.snapshot else ""

    @property
    def reason(self) -> str:
        """Why it is in this state: who paused it, what it failed of; often empty."""
        if self.status is not None:
            return self.status.reason
        return self.snapshot.state.reason if self.snapshot else ""

    @property
    def step(self) -> int:
        recorded = self.snapshot.summary.step if self.snapshot else 0
        return self.status.step if self.status is not None else recorded

    @property
    def steps(self) -> int:
        return self.snapshot.summary.steps if self.snapshot else 0

    @property
    def share(self) -> float:
        """Steps done as a share of all, 0..1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def seconds_per_step(self) -> float | None:
        """Mean over the newest steps; None before the first."""
        recent = self.snapshot.step_seconds if self.snapshot else ()
        return sum(recent) / len(recent) if recent else None

    @property
    def eta(self) -> float | None:
        """Seconds until the last step at the present rate; None when the run is not advancing."""
        pace = self.seconds_per_step
        if pace is None or self.state != "running":
            return None
        return max(0, self.steps - self.step) * pace

    @property
    def blocked_share(self) -> float | None:
        """Blocked samples as a share of all; None before the first."""
        if self.snapshot is None or not self.snapshot.summary.samples:
            return None
        return self.snapshot.summary.blocked / self.snapshot.summary.samples

    def of_another_run(self, before: View | None) -> bool:
        """Whether another run has taken the place of the one that was seen ``before``."""
        if self.snapshot is None or before is None or before.snapshot is None:
            return False
        return self.snapshot.run.created_at != before.snapshot.run.created_at

    @property
    def open_alerts(self) -> list[AlertRow]:
        """Alerts on hand that nobody has acknowledged, newest first."""
        return [alert for alert in self.snapshot.alerts if not alert.acknowledged] if self.snapshot else []
