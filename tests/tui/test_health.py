"""The verdicts of the overview: a word on each subject, and the figures that it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from azr_monitor.records import Severity
from azr_platform.channel.messages import Status
from azr_platform.ledger.records import AlertRow, RunRow, StateRow, Summary
from azr_tui.curves import Curve
from azr_tui.health import Grade, Verdict, verdicts
from azr_tui.view import Series, Snapshot, View
from azr_tui.widgets.health_lines import health_text

STEPS = tuple(range(1, 31))
GOOD = {
    "entropy": [1.0] * 30,
    "approx_kl": [0.001] * 30,
    "clip_fraction": [0.02] * 30,
    "reward/solve/deduction": [step / 30 for step in STEPS],
    "reward/propose/deduction": [0.2] * 30,
    "solve_rate/deduction": [step / 30 for step in STEPS],
    "valid_rate/deduction": [0.9] * 30,
    "health/new": [0.8] * 30,
    "oversight/blocked": [0.01] * 30,
}


def _view(changed: dict[str, list[float]] | None = None, alerts: tuple[int, ...] = (), **given: object) -> View:
    values = {**GOOD, **(changed or {})}
    newest = {name: series[-1] for name, series in values.items() if series}
    summary = Summary("demo", "running", "", "", 30, 100, 1, 400, 4, len(alerts), True, newest)
    rows = [AlertRow(n, 0.0, 1, 30, severity, "rule", None, "", 0) for n, severity in enumerate(alerts, 1)]
    metrics = {name: Series(STEPS[: len(series)], series) for name, series in values.items()}
    run, state = RunRow("demo", 0.0, "0.1.0", 1, 100, "{}"), StateRow(0.0, "running", "", "")
    seconds = given.pop("seconds", [10.0] * 20)
    snapshot = Snapshot(run=run, state=state, summary=summary, step_seconds=seconds, metrics=metrics, alerts=rows)  # type: ignore[arg-type]
    return View(Path("run"), 0.0, snapshot, **given)  # type: ignore[arg-type]


def _told(view: View, subject: str) -> Verdict:
    return next(each for each in verdicts(view) if each.subject == subject)


def test_a_healthy_run_is_good_on_every_subject() -> None:
    found = verdicts(_view())
    assert [each.subject for each in found] == ["safety", "learning", "stability", "proposals", "speed"]
    assert all(each.grade is Grade.GOOD for each in found), found
    assert "reward solve up 0.33, propose unchanged over 20 steps; 100% solved" in _told(_view(), "learning").reason


@pytest.mark.parametrize(
    ("alerts", "grade"),
    [((), Grade.GOOD), ((Severity.LOW, Severity.MEDIUM), Grade.WATCH), ((Severity.LOW, Severity.CRITICAL), Grade.BAD)],
)
def test_safety_is_as_bad_as_the_worst_open_alert(alerts: tuple[int, ...], grade: Grade) -> None:
    verdict = _told(_view(alerts=alerts), "safety")
    assert verdict.grade is grade
    if alerts:
        assert f"2 open alerts, worst {Severity(max(alerts)).label.upper()}" in verdict.reason


def test_a_forbidden_system_call_and_held_samples_are_no_quiet_run() -> None:
    assert _told(_view({"oversight/violations": [0.0] * 29 + [1.0]}), "safety").grade is Grade.BAD
    view = _view()
    assert view.snapshot is not None
    held = replace(view.snapshot, summary=msgspec.structs.replace(view.snapshot.summary, held=2))
    verdict = _told(replace(view, snapshot=held), "safety")
    assert verdict.grade is Grade.WATCH and "2 held for a person" in verdict.reason


@pytest.mark.parametrize(
    ("changed", "subject", "grade", "words"),
    [
        ({"reward/solve/deduction": [0.5] * 30}, "learning", Grade.WATCH, "unchanged"),
        ({"reward/solve/deduction": [1 - step / 30 for step in STEPS]}, "learning", Grade.BAD, "down"),
        ({"reward/solve/deduction": [], "reward/propose/deduction": []}, "learning", Grade.NONE, "needs"),
        ({"entropy": [2.0] * 20 + [0.5] * 10}, "stability", Grade.WATCH, "down 75% in 20 steps"),
        ({"approx_kl": [0.0] * 29 + [0.4]}, "stability", Grade.WATCH, "KL 0.400"),
        ({"clip_fraction": [0.5] * 30}, "stability", Grade.WATCH, "clipped 50%"),
        ({"update/skipped": [1.0] * 30}, "stability", Grade.BAD, "not finite"),
        ({"valid_rate/deduction": [0.1] * 30}, "proposals", Grade.WATCH, "10% valid"),
        ({"health/new": [0.2] * 30}, "proposals", Grade.WATCH, "20% new"),
        ({"oversight/blocked": [0.2] * 30}, "safety", Grade.WATCH, "20% blocked"),
    ],
)
def test_what_goes_wrong_is_said_with_its_figure(
    changed: dict[str, list[float]], subject: str, grade: Grade, words: str
) -> None:
    verdict = _told(_view(changed), subject)
    assert verdict.grade is grade and words in verdict.reason, verdict
    if grade >= Grade.WATCH and subject == "stability":
        assert words in verdict.reason.split("; ")[0]  # what gave the verdict stands first


def test_of_a_long_run_it_is_said_how_many_steps_the_figures_cover() -> None:
    def curve(values: Callable[[int], float]) -> Series:
        found = Curve()
        for step in range(1, 2002):
            found.add(step, values(step))
        return found.series

    view = _view()
    assert view.snapshot is not None
    metrics = {
        "entropy": curve(lambda step: 2.0 if step <= 1981 else 0.5),
        "reward/solve/deduction": curve(lambda step: step / 2001),
        "solve_rate/deduction": curve(lambda step: 1.0 if step == 2001 else 0.5),
    }
    long = replace(view, snapshot=replace(view.snapshot, metrics=metrics))
    assert "in 40 steps" in _told(long, "stability").reason
    learning = _told(long, "learning").reason
    assert "over 40 steps; 100% solved" in learning, "spans of two steps, but the newest step's own rate"


def test_speed_tells_a_slower_run_and_a_silent_trainer() -> None:
    slow = _told(_view(seconds=[10.0] * 17 + [20.0] * 3), "speed")
    assert slow.grade is Grade.WATCH and "20 s a step, usually 10" in slow.reason
    status = Status("running", "", 30, 100, 1, "generate", 1, 2, 200.0, 1, 0)
    silent = _told(_view(status=status), "speed")
    assert silent.grade is Grade.BAD and "3m 20s" in silent.reason
    assert _told(_view(seconds=[1.0]), "speed").grade is Grade.NONE


def test_nothing_is_said_before_the_ledger_was_read() -> None:
    assert verdicts(View(Path("run"), 0.0)) == []


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8])
def test_every_subject_is_on_however_few_lines_and_the_gravest_comes_first(height: int) -> None:
    found = verdicts(_view({"entropy": [2.0] * 20 + [0.5] * 10}, alerts=(Severity.CRITICAL,)))
    text = health_text(found, height).plain
    assert len(text.split("\n")) <= max(height, 1)
    assert all(each.subject in text for each in found)
    if height in (2, 3):
        assert "▲ safety    look now" in text.split("\n")[1]
