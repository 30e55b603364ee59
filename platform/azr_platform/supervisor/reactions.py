"""From alerts to acts. Pure: the supervisor carries out what comes back.

alerts ─► react: the strongest act that they call for ─► settle: what the policy lets be done about it now
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from azr_monitor.records import Action, Severity
from azr_monitor.sections import Leave


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
    @property
    def began(self) -> int:
        """The step with which the trouble began, which may be before the alert's own."""
        ...


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
    """What alerts call for. ``rule``: whose call it is; ``since``: the first step of the trouble."""

    action: Action
    why: str
    rule: str
    since: int


class Act(NamedTuple):
    """What was done at a step for a rule: a pause, or a rollback ``to`` a step."""

    action: Action
    rule: str
    step: int
    to: int | None = None


class Settled(NamedTuple):
    """What to do now: pause, roll back ``to`` a step, or stop. ``refused``: why a rollback became a pause."""

    action: Action
    to: int | None = None
    refused: str = ""


def react(new: Sequence[Raised], history: Sequence[Raised], rates: Sequence[Rate], step: int) -> Reaction | None:
    """The strongest act that the new alerts call for, by themselves or by a rate; None when none does.

    ``history`` holds the earlier alerts since the last act, so that one burst does not act twice. Acts are
    pause, rollback and stop; weaker actions were carried out when the verdict was made.
    """
    if not new:
        return None
    reactions = [
        Reaction(alert.action, f"policy: {alert.rule} ({alert.severity.name.lower()})", alert.rule, alert.began)
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
            severity = rate.severity.name.lower()
            why = f"policy: {len(recent)} alerts of {severity} or worse within {rate.within_steps} steps"
            name = f"rate.{severity}.{rate.count}-in-{rate.within_steps}"
            reactions.append(Reaction(rate.action, why, name, min(alert.began for alert in recent)))
    return max(reactions, key=lambda reaction: reaction.action, default=None)


def settle(
    reaction: Reaction, step: int, acts: Sequence[Act], leave: Leave, cooldown: int, checkpoints: Sequence[int]
) -> Settled | None:
    """What may be done about a reaction at a step, given what the policy did before; None: nothing for now.

    A rollback that must not be becomes a pause. A rule that brought the run to a halt does not do so again within
    ``cooldown`` steps; a stop is never put off. ``checkpoints``: steps that can be gone back to, oldest first.
    """
    if reaction.action is Action.STOP:
        return Settled(Action.STOP)
    refused, to = "", None
    if reaction.action is Action.ROLLBACK:
        to = _target(reaction, step, leave, checkpoints)
        refused = _refusal(reaction, step, to, acts, leave, cooldown)
        if not refused:
            return Settled(Action.ROLLBACK, to)
    paused = [act.step for act in acts if act.rule == reaction.rule and act.action is Action.PAUSE]
    if any(before <= step < before + cooldown for before in paused):
        return None
    return Settled(Action.PAUSE, refused=refused)


def _target(reaction: Reaction, step: int, leave: Leave, checkpoints: Sequence[int]) -> int | None:
    """The newest checkpoint that the policy means; None when there is none."""
    latest = reaction.since - 1 if leave.steps_before is None else step - leave.steps_before
    return max((saved for saved in checkpoints if saved <= latest), default=None)


def _refusal(reaction: Reaction, step: int, to: int | None, acts: Sequence[Act], leave: Leave, cooldown: int) -> str:
    """Why a run is not rolled back to a step; empty when it is."""
    done = [act for act in acts if act.action is Action.ROLLBACK]
    if not leave.allowed:
        return "the policy does not allow it (rollback.allowed)"
    if to is None:
        return f"there is no checkpoint to go back to ({leave.to})"
    if any(act.rule == reaction.rule and act.to == to for act in done):
        return f"step {to} was rolled back to for this before, and it came again"
    if len(done) >= leave.at_most:
        return f"it was done {len(done)} times (rollback.at_most)"
    if cooldown and any(step <= act.step + cooldown for act in done):
        return f"the last one was less than {cooldown} steps ago (cooldown_steps)"
    return ""
