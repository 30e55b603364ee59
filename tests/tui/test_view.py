"""Figures and words: rates, times left, formats."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.records import Action, Severity
from azr_platform.channel.messages import Status
from azr_platform.ledger.records import BranchRow, RunRow, StateRow, Summary
from azr_tui import wording
from azr_tui.log_entries import run_lines
from azr_tui.view import Series, Snapshot, View


def snapshot(step: int = 40, steps: int = 100, state: str = "running", **given: object) -> Snapshot:
    summary = Summary("demo", state, "solve", "", step, steps, 1, 400, 3, 1, True, {})
    run = RunRow("demo", 0.0, "0.1.0", 1, steps, "{}")
    return Snapshot(run=run, state=StateRow(0.0, state, "solve", ""), summary=summary, **given)  # type: ignore[arg-type]


def status(state: str = "running", step: int = 41, **given: object) -> Status:
    values: dict[str, object] = {
        "state": state,
        "reason": "",
        "step": step,
        "steps": 100,
        "branch": 1,
        "where": "generate",
        "done": 3,
        "total": 8,
        "beat_age": 0.1,
        "trainer_pid": 1,
        "restarts": 0,
    }
    return Status(**{**values, **given})  # type: ignore[arg-type]


def test_the_time_left_is_the_steps_left_at_the_mean_pace() -> None:
    view = View(Path("run"), 0.0, snapshot(step_seconds=[10.0, 20.0]))
    assert view.seconds_per_step == 15.0
    assert view.eta == 60 * 15.0


@pytest.mark.parametrize("state", ["paused", "finished", "interrupted", "stopped", "failed"])
def test_a_run_that_does_not_advance_has_no_time_left(state: str) -> None:
    assert View(Path("run"), 0.0, snapshot(state=state, step_seconds=[10.0])).eta is None


def test_a_run_without_a_step_has_neither_pace_nor_time_left() -> None:
    view = View(Path("run"), 0.0, snapshot(step=0))
    assert view.seconds_per_step is None and view.eta is None and view.share == 0.0


def test_the_log_shows_branches_once_there_are_several() -> None:
    def told(*branches: BranchRow) -> list[str]:
        whole = snapshot()
        whole = replace(whole, summary=msgspec.structs.replace(whole.summary, branches=list(branches)))
        return [line.text for line in run_lines(whole)]

    first, second = BranchRow(1, 0.0, None, 0, "start"), BranchRow(2, 0.0, 1, 4, "\x1b[2J")
    assert "Branches" not in told(first)
    lines = told(first, second)
    assert lines[lines.index("Branches") + 1 :][:2] == ["1: start", "└─ 2 from step 4: ␛[2J  ← now"]


def test_groups_are_those_with_a_reward_and_self_play_s_six_before_any() -> None:
    def groups(*names: str) -> list[str]:
        found = snapshot(metrics={name: Series([1], [0.5]) for name in names}).groups
        return [f"{role.value} {kind.value}" for role, kind in found]

    six = [f"{role} {kind}" for role in ("propose", "solve") for kind in ("deduction", "abduction", "induction")]
    assert groups() == groups("loss", "reward/mean", "solve_rate/question", "reward/judge/poem") == six
    assert groups("reward/solve/question") == ["solve question"]
    assert groups("reward/solve/error", "reward/propose/deduction") == [
        *("propose deduction", "propose error"),
        *("solve deduction", "solve error"),
    ]


def test_the_live_status_goes_before_the_record() -> None:
    view = View(Path("run"), 0.0, snapshot(), status("pausing"))
    assert (view.state, view.step, view.where) == ("pausing", 41, "generate 3/8")
    assert view.steerable and view.why_read_only == ""


def test_without_an_answer_it_is_read_only_and_says_why() -> None:
    assert View(Path("run"), 0.0, snapshot()).why_read_only == "supervisor silent"
    alone = snapshot()
    ended = Snapshot(run=alone.run, state=alone.state, summary=_unsupervised(alone.summary))
    assert View(Path("run"), 0.0, ended).why_read_only == "no supervisor"
    assert View(Path("run"), 0.0).why_read_only == "no supervisor"


def test_series_know_their_range() -> None:
    assert (Series([1, 2], [0.5, -1.0]).low, Series([1, 2], [0.5, -1.0]).last) == (-1.0, -1.0)
    assert Series().last is None and Series().high is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (65, "1m 05s"), (3660, "1h 01m"), (90000, "1d 01h"), (math.nan, "-"), (-1, "-")],
)
def test_durations_read_naturally(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12.0, "12"), (0.1234, "0.123"), (12.345, "12.35"), (123456.0, "123,456"), (1e-6, "1.0e-06")],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert wording.number(value) == text


@given(st.floats(allow_nan=True, allow_infinity=True), st.booleans())
def test_any_number_fits_its_column(value: float, signed: bool) -> None:
    assert len(wording.number(value, signed=signed)) <= 9


@given(st.lists(st.floats(-1e6, 1e6), max_size=200), st.integers(0, 60))
def test_sparklines_fit_and_show_the_extremes(values: list[float], width: int) -> None:
    line = wording.sparkline(values, width)
    assert len(line) == min(len(values), width)
    if 1 < len(values) <= width and min(values) < max(values):
        assert line[values.index(min(values))] == "▁" and line[values.index(max(values))] == "█"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 60))
def test_buckets_keep_the_mean_of_equal_stretches(values: list[float], most: int) -> None:
    shown = wording.buckets(values, most)
    assert len(shown) == min(len(values), most)
    assert min(values) - 1e-6 <= min(shown) and max(shown) <= max(values) + 1e-6


def test_every_severity_and_action_has_a_word_and_unknown_ones_are_told() -> None:
    labels = [wording.severity_label(severity) for severity in Severity]
    assert len({label.split()[0] for label in labels}) == len(Severity), "symbols differ without colour"
    assert wording.severity_label(9) == "? 9" and wording.severity_label(None) == "-"
    assert wording.action_label(Action.ROLLBACK) == "rollback" and wording.action_label(77) == "? 77"


def test_states_have_a_symbol_and_the_word() -> None:
    assert wording.state_label("running") == "● running"
    assert wording.state_label("something new") == "? something new"


def _unsupervised(summary: Summary) -> Summary:
    values = {name: getattr(summary, name) for name in summary.__struct_fields__}
    return Summary(**{**values, "supervised": False})
