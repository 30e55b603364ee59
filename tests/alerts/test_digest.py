"""Repeats are counted, a minute holds no more than is allowed, and nothing that was counted gets lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from azr_platform.alerts.digest import Digest
from azr_platform.alerts.told import Told

Make = Callable[..., Told]


def drain(digest: Digest, now: float) -> list[Told]:
    out = []
    while (told := digest.take(now)) is not None:
        out.append(told)
    return out


def test_the_same_rule_is_told_once_and_then_counted(told: Make) -> None:
    digest = Digest(repeat_seconds=60, per_minute=100)
    for second in range(5):
        digest.add(told(step=second), second)
    first = drain(digest, 5)
    assert [(one.step, one.times) for one in first] == [(0, 1)]
    assert digest.next_at() == 60
    assert drain(digest, 59.9) == []
    again = drain(digest, 60)
    assert [(one.step, one.times) for one in again] == [(4, 4)]
    assert drain(digest, 121) == [], "a rule that came no more is told no more"


def test_another_rule_another_severity_and_a_state_are_told_by_themselves(told: Make) -> None:
    digest = Digest(repeat_seconds=60, per_minute=100)
    digest.add(told("a"), 0)
    digest.add(told("b"), 0)
    digest.add(told("a", severity="critical"), 0)
    digest.add(told("a", type="state", severity=""), 0)
    assert len(drain(digest, 0)) == 4


def test_a_rule_that_goes_on_and_on_is_told_once_each_time_span(told: Make) -> None:
    digest = Digest(repeat_seconds=10, per_minute=1000)
    out = []
    for second in range(100):
        digest.add(told(), second)
        out += drain(digest, second)
    assert len(out) == 10
    assert [one.times for one in out] == [1, 9, *[10] * 8]
    digest.finish(100)
    assert [one.times for one in drain(digest, 100)] == [10]


def test_a_minute_has_room_for_so_many_and_states_go_first_and_always(told: Make) -> None:
    digest = Digest(repeat_seconds=1000, per_minute=3)
    for number in range(8):
        digest.add(told(f"rule {number}"), 0)
    for state in ("paused", "failed"):
        digest.add(told(state, type="state"), 0)
    assert [one.name for one in drain(digest, 1)] == ["paused", "failed", "rule 0", "rule 1", "rule 2"]
    assert digest.next_at() == 61
    assert [one.name for one in drain(digest, 61)] == ["rule 3", "rule 4", "rule 5"]


def test_what_has_no_room_is_a_number_in_the_next_message(told: Make) -> None:
    digest = Digest(repeat_seconds=1000, per_minute=1, room=4)
    for number in range(10):
        digest.add(told(f"rule {number}"), 0)
    (first,) = drain(digest, 0)
    assert (first.name, first.untold) == ("rule 0", 6)
    (second,) = drain(digest, 61)
    assert (second.name, second.untold) == ("rule 1", 0)


def test_at_the_end_counts_are_told_and_what_may_not_be_told_is_a_number(told: Make) -> None:
    digest = Digest(repeat_seconds=1000, per_minute=2)
    for number in range(5):
        digest.add(told(f"rule {number}"), 0)
        digest.add(told(f"rule {number}"), 0)
    assert len(drain(digest, 0)) == 2
    digest.add(told("finished", type="state"), 1)
    digest.finish(1)
    last = drain(digest, 1)
    assert [one.name for one in last] == ["finished", "rule 2"]
    assert sum(one.times + one.untold for one in last) == 1 + 8


events = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 90), st.booleans()), max_size=60)


@given(events, st.integers(1, 5), st.integers(1, 8), st.integers(1, 200))
def test_nothing_is_lost_or_made_up_and_no_minute_has_too_many(
    events: list[tuple[int, bool, int, bool]], per_minute: int, room: int, repeat: int
) -> None:
    digest, now = Digest(repeat, per_minute, room), 0.0
    out: list[tuple[float, Told]] = []
    base: dict[str, Any] = {"run": "r", "time": 0.0, "branch": 1, "step": 0}
    for number, state, pause, takes in events:
        now += pause
        digest.add(Told(type="state" if state else "alert", name=str(number), **base), now)
        if takes:
            out += [(now, one) for one in drain(digest, now)]
    digest.finish(now)
    out += [(now, one) for one in drain(digest, now)]
    assert digest.take(now + 1e9) is None
    assert sum(one.times + one.untold for _, one in out) == len(events)
    alerts = [at for at, one in out if one.type == "alert"]
    for at in alerts:
        assert sum(at - 60 < other <= at for other in alerts) <= per_minute + 1  # one more at the very end
