"""From alerts to acts. Pure: the supervisor carries out what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from azr_monitor.records import Action, Severity


class Raised(Protocol):
    """The parts of an alert that reactions look at."""

    @property
    def severity(self) -> Severity: ...
    @property
    def action(self) -> Action: ...
    @property
    def rule(self) -> str: ...
    @property
    def step(self) -> int: ...


class Rate(Protocol):
    """``count`` findings of ``severity`` or worse within ``within_steps`` steps call for ``action``."""

    @property
    def severity(self) -> Severity: ...
    @property
    def count(self) -> int: ...
    @property
    def within_steps(self) -> int: ...
    @property
    def action(self) -> Action: ...


class Reaction(NamedTuple):
    action: Action
    why: str


def react(new: Sequence[Raised], history: Sequence[Raised], rates: Sequence[Rate], step: int) -> Reaction | None:
    """The strongest act that the new alerts call for, by themselves or by a rate; None when none does.

    ``history`` holds the earlier alerts since the last act, so that one burst does not act twice. Acts are
    pause, rollback and stop; weaker actions were carried out when the verdict was made.
    """
    if not new:
        return None
    reactions = [
        Reaction(alert.action, f"policy: {alert.rule} ({alert.severity.name.lower()})")
        for alert in new
        if alert.action >= Action.PAUSE
    ]
    for rate in rates:
        recent = [
            alert
            for alert in [*history, *new]
            if alert.severity >= rate.severity and alert.step > step - rate.within_steps
        ]
        if len(recent) >= rate.count and rate.action >= Action.PAUSE:
            why = (
                f"policy: {len(recent)} alerts of {rate.severity.name.lower()} or worse "
                f"within {rate.within_steps} steps"
            )
            reactions.append(Reaction(rate.action, why))
    return max(reactions, key=lambda reaction: reaction.action, default=None)
