"""What a page of samples, alerts or tasks is narrowed to. A filter without values lets everything pass."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Judged(StrEnum):
    """What was made of a sample, as lists narrow it."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    HELD = "held"
    FLAGGED = "flagged"
    """Something was found in it, whether or not it was blocked."""
    WAITING = "waiting"
    """A person's decision is waited for."""


class AlertState(StrEnum):
    """What people made of an alert."""

    OPEN = "open"
    """Nobody has seen it."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody has seen it, and it is not done with."""
    RESOLVED = "resolved"
    FALSE_ALARM = "false-alarm"


class TaskOrder(StrEnum):
    """How a list of tasks is ordered. A task that nobody has tried has no rate and comes last."""

    NEWEST = "newest"
    OLDEST = "oldest"
    HARDEST = "hardest"
    EASIEST = "easiest"
    MOST_USED = "most-used"


class SampleFilter(msgspec.Struct, frozen=True):
    """Which samples a list shows, and from which end. Steps, rewards and scores are ranges with both ends included."""

    role: str | None = None
    kind: str | None = None
    judged: Judged | None = None
    rule: str | None = None
    """One that found something in it; ``trace.harm.*`` stands for every rule that begins so."""
    first_step: int | None = None
    last_step: int | None = None
    least_reward: float | None = None
    most_reward: float | None = None
    least_score: float | None = None
    most_score: float | None = None
    task: str | None = None
    """The id of the task that it became or answers."""
    text: str = ""
    """Words that the response must hold: see search.py."""
    branch: int | None = None
    oldest_first: bool = False


class AlertFilter(msgspec.Struct, frozen=True):
    """Which alerts a list shows, and from which end. ``severity``: at least that."""

    severity: int = 0
    rule: str | None = None
    state: AlertState | None = None
    with_sample: bool | None = None
    first_step: int | None = None
    last_step: int | None = None
    text: str = ""
    """What its message holds, blanks and all; letters of either case."""
    oldest_first: bool = False


class TaskFilter(msgspec.Struct, frozen=True):
    """Which tasks a list shows, and in which order. Steps, shares of right answers, and how many answers there are, are
    ranges with both ends included; a task that nobody has tried has no share."""

    kind: str | None = None
    first_step: int | None = None
    last_step: int | None = None
    least_rate: float | None = None
    most_rate: float | None = None
    least_used: int | None = None
    most_used: int | None = None
    text: str = ""
    """What its program, its message or its id holds, blanks and all."""
    order: TaskOrder = TaskOrder.NEWEST
