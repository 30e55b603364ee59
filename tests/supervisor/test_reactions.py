"""Reactions: which act a burst of alerts calls for, worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.policy import load_policy
from azr_monitor.records import Action, Severity
from azr_platform.supervisor.reactions import Reaction, react


@dataclass(frozen=True)
class Alert:
    severity: Severity = Severity.HIGH
    action: Action = Action.DROP
    rule: str = "trace.some"
    step: int = 10

    @property
    def began(self) -> int:
        return self.step


@dataclass(frozen=True)
class Rate:
    severity: Severity = Severity.HIGH
    count: int = 3
    within_steps: int = 5
    action: Action = Action.PAUSE


def by_three(action: Action) -> Reaction:
    return Reaction(action, "policy: 3 alerts of high or worse within 5 steps", "rate.high.3-in-5", 10)


def test_nothing_new_calls_for_nothing_whatever_was_before() -> None:
    assert react([], [Alert()] * 50, [Rate()], 10) is None


def test_a_few_dropped_samples_call_for_nothing() -> None:
    assert react([Alert(), Alert()], [], [Rate()], 10) is None
    assert react([Alert()] * 50, [], [], 10) is None


@pytest.mark.parametrize("action", [Action.PAUSE, Action.ROLLBACK, Action.STOP])
def test_an_alert_s_own_action_is_carried_out_at_once(action: Action) -> None:
    reaction = react([Alert(), Alert(Severity.CRITICAL, action, "program.escape")], [], [], 10)
    assert reaction == Reaction(action, "policy: program.escape (critical)", "program.escape", 10)


@pytest.mark.parametrize("action", [Action.RECORD, Action.ALERT, Action.DROP])
def test_weaker_actions_were_carried_out_with_the_verdict(action: Action) -> None:
    assert react([Alert(action=action)], [], [Rate(count=1, action=action)], 10) is None


def test_the_strongest_act_wins() -> None:
    alerts = [Alert(action=Action.PAUSE), Alert(action=Action.STOP, rule="worst"), Alert(action=Action.ROLLBACK)]
    assert react(alerts, [], [Rate()], 10) == Reaction(Action.STOP, "policy: worst (high)", "worst", 10)
    by_rate = react(alerts[:1] * 3, [], [Rate(action=Action.STOP)], 10)
    assert by_rate == by_three(Action.STOP)


def test_a_rate_counts_earlier_alerts_together_with_the_new_ones() -> None:
    assert react([Alert()], [Alert()], [Rate()], 10) is None
    reaction = react([Alert()], [Alert(), Alert()], [Rate()], 10)
    assert reaction == by_three(Action.PAUSE)


@pytest.mark.parametrize(("step", "counts"), [(10, True), (6, True), (5, False), (0, False)])
def test_a_rate_forgets_what_is_as_many_steps_ago(step: int, counts: bool) -> None:
    """Within 5 steps of step 10: steps 6 to 10."""
    reaction = react([Alert()], [Alert(step=step), Alert()], [Rate()], 10)
    assert (reaction is not None) == counts


@pytest.mark.parametrize("severity", list(Severity))
def test_a_rate_counts_its_severity_and_worse(severity: Severity) -> None:
    reaction = react([Alert(severity)] * 3, [], [Rate(Severity.HIGH)], 10)
    assert (reaction is not None) == (severity >= Severity.HIGH)


def test_several_rates_are_each_counted() -> None:
    rates = [Rate(count=2), Rate(Severity.CRITICAL, 2, 20, Action.ROLLBACK)]
    assert react([Alert()] * 2, [], rates, 10) == Reaction(
        Action.PAUSE, "policy: 2 alerts of high or worse within 5 steps", "rate.high.2-in-5", 10
    )
    far = [Alert(Severity.CRITICAL, step=1)]
    found = react([Alert(Severity.CRITICAL)], far, rates, 10)
    assert found == Reaction(
        Action.ROLLBACK, "policy: 2 alerts of critical or worse within 20 steps", "rate.critical.2-in-20", 1
    )


def test_the_default_policy_s_rates_do_what_they_say() -> None:
    rates = load_policy("default").rates
    assert react([Alert()] * 9, [], rates, 10) is None
    ten = react([Alert()] * 10, [], rates, 10)
    assert ten is not None
    assert ten.action is Action.PAUSE
    three = react([Alert(Severity.CRITICAL)] * 3, [], rates, 10)
    assert three is not None
    assert three.action is Action.ROLLBACK
    spread = [Alert(Severity.CRITICAL, step=step) for step in range(1, 11) for _ in range(1)]
    stop = react(spread[-1:], spread[:-1], rates, 10)
    assert stop is not None
    assert stop.action is Action.STOP


alerts = st.lists(
    st.builds(Alert, severity=st.sampled_from(Severity), action=st.sampled_from(Action), step=st.integers(0, 20)),
    max_size=12,
)
rates = st.lists(
    st.builds(
        Rate,
        severity=st.sampled_from(Severity),
        count=st.integers(1, 6),
        within_steps=st.integers(1, 10),
        action=st.sampled_from(Action),
    ),
    max_size=3,
)


@given(alerts, alerts, rates, st.integers(0, 20))
def test_more_alerts_never_call_for_less(new: list[Alert], more: list[Alert], asked: list[Rate], step: int) -> None:
    one, both = react(new, [], asked, step), react(new, more, asked, step)
    assert (one.action if one else 0) <= (both.action if both else 0)
    together = react([*new, *more], [], asked, step)
    assert (both.action if both else 0) <= (together.action if together else 0)
    for reaction in (one, both, together):
        assert reaction is None or reaction.action >= Action.PAUSE
