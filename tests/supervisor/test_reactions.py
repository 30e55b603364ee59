"""Reactions: which act a burst of alerts calls for, worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.policy import load_policy
from azr_monitor.records import Action, Severity
from azr_monitor.sections import Leave
from azr_platform.supervisor.reactions import Act, Reaction, Settled, react, settle


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
    together = react([*new, *more], [], asked, step)
    called_for = [reaction.action if reaction else Action.RECORD for reaction in (one, both, together)]
    assert called_for == sorted(called_for)
    for reaction in (one, both, together):
        assert reaction is None or reaction.action >= Action.PAUSE


# -- what may be done ------------------------------------------------------------------------------------

LEAVE = Leave(allowed=True)
BACK = Reaction(Action.ROLLBACK, "why", "some.rule", since=9)
SAVED = [0, 2, 4, 6, 8, 10]


def test_without_leave_a_rollback_is_a_pause_with_the_reason() -> None:
    settled = settle(BACK, 10, [], Leave(), 0, SAVED)
    assert settled == Settled(Action.PAUSE, refused="the policy does not allow it (rollback.allowed)")


@pytest.mark.parametrize(
    ("to", "since", "target"),
    [
        ("last clean", 9, 8),
        ("last clean", 8, 6),
        ("last clean", 1, 0),
        ("1 step before", 3, 8),  # one before step 10, wherever the trouble began
        ("3 steps before", 9, 6),
        ("4 steps before", 9, 6),
    ],
)
def test_a_rollback_goes_where_the_policy_says(to: str, since: int, target: int) -> None:
    leave = Leave(allowed=True, to=to)
    assert settle(BACK._replace(since=since), 10, [], leave, 0, SAVED) == Settled(Action.ROLLBACK, target)


def test_with_no_checkpoint_before_the_trouble_it_pauses() -> None:
    settled = settle(BACK, 10, [], LEAVE, 0, [9, 10])
    assert settled is not None
    assert settled.action is Action.PAUSE
    assert "no checkpoint" in settled.refused


def test_a_rule_does_not_bring_the_run_back_to_the_same_step_twice_and_another_may() -> None:
    before = [Act(Action.ROLLBACK, "some.rule", 9, 8)]
    again = settle(BACK, 10, before, LEAVE, 0, SAVED)
    assert again is not None
    assert again.action is Action.PAUSE
    assert "step 8 was rolled back to for this before" in again.refused
    assert settle(BACK._replace(rule="other"), 10, before, LEAVE, 0, SAVED) == Settled(Action.ROLLBACK, 8)
    assert settle(BACK._replace(since=7), 10, before, LEAVE, 0, SAVED) == Settled(Action.ROLLBACK, 6)


def test_rollbacks_are_bounded() -> None:
    before = [Act(Action.ROLLBACK, f"rule {n}", n, 0) for n in range(3)]
    settled = settle(BACK, 10, before, Leave(allowed=True, at_most=3), 0, SAVED)
    assert settled is not None
    assert settled.refused == "it was done 3 times (rollback.at_most)"
    assert settle(BACK, 10, before, Leave(allowed=True, at_most=4), 0, SAVED) == Settled(Action.ROLLBACK, 8)


@pytest.mark.parametrize(("step", "rolled"), [(8, False), (12, False), (15, False), (16, True)])
def test_two_rollbacks_are_further_apart_than_the_cool_down(step: int, rolled: bool) -> None:
    """Also while the steps up to the first one are gone through again."""
    before = [Act(Action.ROLLBACK, "other", 10, 8)]
    settled = settle(BACK._replace(since=step), step, before, LEAVE, 5, [0, 2, 4, 6])
    assert settled is not None
    assert (settled.action is Action.ROLLBACK) == rolled


@pytest.mark.parametrize(("step", "paused"), [(10, False), (14, False), (15, True), (9, True)])
def test_a_rule_does_not_pause_again_at_once_and_another_does(step: int, paused: bool) -> None:
    before = [Act(Action.PAUSE, "some.rule", 10)]
    wanted = Reaction(Action.PAUSE, "why", "some.rule", step)
    assert (settle(wanted, step, before, LEAVE, 5, SAVED) is not None) == paused
    assert settle(wanted._replace(rule="other"), step, before, LEAVE, 5, SAVED) == Settled(Action.PAUSE)


acts = st.lists(
    st.builds(
        Act,
        st.sampled_from([Action.PAUSE, Action.ROLLBACK]),
        st.sampled_from("ab"),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    max_size=6,
)
leaves = st.builds(
    Leave,
    allowed=st.booleans(),
    to=st.sampled_from(["last clean", "1 step before", "7 steps before"]),
    at_most=st.integers(1, 4),
)


@given(
    st.builds(
        Reaction,
        st.sampled_from([Action.PAUSE, Action.ROLLBACK, Action.STOP]),
        st.just("why"),
        st.sampled_from("ab"),
        st.integers(0, 30),
    ),
    st.integers(0, 30),
    acts,
    leaves,
    st.integers(0, 10),
    st.lists(st.integers(0, 30), unique=True).map(sorted),
)
def test_what_is_done_is_never_more_than_the_policy_lets(
    reaction: Reaction, step: int, before: list[Act], leave: Leave, cooldown: int, saved: list[int]
) -> None:
    reaction = reaction._replace(since=min(reaction.since, step))
    settled = settle(reaction, step, before, leave, cooldown, saved)
    rollbacks = [act for act in before if act.action is Action.ROLLBACK]
    if reaction.action is Action.STOP:
        assert settled == Settled(Action.STOP)
    elif settled is None:
        assert cooldown and any(act.rule == reaction.rule and act.step <= step for act in before)
    elif settled.action is Action.ROLLBACK:
        assert reaction.action is Action.ROLLBACK
        assert leave.allowed and len(rollbacks) < leave.at_most
        assert settled.to in saved and settled.to < step
        assert not any(act.rule == reaction.rule and act.to == settled.to for act in rollbacks)
    else:
        assert bool(settled.refused) == (reaction.action is Action.ROLLBACK)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30), st.integers(1, 4))
def test_a_run_in_which_the_same_trouble_always_comes_back_comes_to_rest(forward: list[int], at_most: int) -> None:
    """Each rollback replays to the same trouble: in the end the run pauses, however far it got in between."""
    done: list[Act] = []
    step = 10
    for ahead in forward:
        settled = settle(BACK._replace(since=step), step, done, Leave(allowed=True, at_most=at_most), 0, SAVED)
        assert settled is not None
        done.append(Act(settled.action, BACK.rule, step, settled.to))
        step = step if settled.to is None else settled.to + ahead
    rollbacks = [act.to for act in done if act.action is Action.ROLLBACK]
    assert len(rollbacks) <= at_most
    assert len(rollbacks) == len(set(rollbacks))
