"""The overview and the training pane: what they show at each size, and every key that looks closer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from azr_platform.ledger.records import RunRow, StateRow, Summary
from azr_platform.records import Kind
from azr_tui import metric_names
from azr_tui.app import AzrApp
from azr_tui.plotting.metrics import plot_of
from azr_tui.plotting.zoom import Zoom
from azr_tui.screens.main import MainScreen
from azr_tui.screens.overview import OverviewPane, arrange
from azr_tui.screens.plot import PlotScreen
from azr_tui.screens.sample import SampleScreen
from azr_tui.screens.training import TrainingPane
from azr_tui.view import Series, Snapshot
from azr_tui.widgets import figures
from azr_tui.widgets.plots import PlotView
from azr_tui.widgets.rows import Rows

Make = Callable[..., AzrApp]
Shown = Callable[[AzrApp], str]


async def _ready(app: AzrApp, pilot: Pilot[None], until: Any) -> None:
    await until(pilot, lambda: app.view.snapshot is not None, "a first reading of the ledger")
    await pilot.pause()


@pytest.mark.parametrize(
    ("width", "height", "groups"), itertools.product((58, 78, 118, 198, 248), range(10, 80), (6, 2, 10))
)
def test_the_parts_of_the_overview_take_exactly_the_rows_there_are(width: int, height: int, groups: int) -> None:
    found = arrange(width, height, groups)
    used = found.health + found.down * found.plot + found.figures + found.details + found.alerts
    assert used == height or (height < 11 and used <= height + 2)
    assert found.plot >= 4 and found.alerts >= 2 and found.health >= 2


async def test_a_larger_screen_shows_more(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    everywhere = ["safety", "learning", "Reward, propose", "Solve rate", "trace.outsmart"]
    figures = ["propose D deduction", "learn"]
    everything = ["Gradient", "Difficulty", "Seconds of a step", "Machine", "stability", "· jail", "2.1k tokens/s"]
    async with app.run_test(size=(60, 18)) as pilot:
        await _ready(app, pilot, until)
        assert all(words in shown(app) for words in everywhere) and "entropy" in shown(app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: all(words in shown(app) for words in everywhere + figures), "the groups")
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: all(words in shown(app) for words in everywhere + figures + everything), "the rest")
        await pilot.resize_terminal(60, 18)
        await until(pilot, lambda: "Difficulty" not in shown(app), "a small screen again")


async def test_plots_that_have_no_room_come_with_o(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        seen = set()
        for _ in range(4):
            seen |= {plot.plot.caption for plot in app.screen.query(PlotView) if plot.display and plot.parent.display}
            await pilot.press("o")
        assert {"Reward, propose", "Solve rate", "Reward, solve", "Response length", "Entropy", "Gradient"} <= seen
        assert "Reward, propose" in shown(app)


async def test_the_cursor_is_at_one_step_in_every_plot(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("left", "left", "left")
        pane = app.screen.query_one(OverviewPane)
        step = pane.zoom.cursor
        assert step is not None and 33 <= step < 42
        assert shown(app).count(f"step {step}:") == 6
        await pilot.press("shift+left")
        assert pane.zoom.cursor is not None and pane.zoom.cursor < step - 5
        await pilot.press("shift+right", "right", "right", "right", "right")
        assert pane.zoom.cursor == 42
        await pilot.press("z")
        assert pane.zoom == Zoom() and ":" not in shown(app).split("\n")[8]


async def test_zoom_and_pan_change_the_steps_in_sight(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await _ready(app, pilot, until)
        pane = app.screen.query_one(OverviewPane)

        def window() -> tuple[int, int]:
            extent = pane.extent()
            assert extent is not None
            return pane.zoom.window(extent)

        assert window() == (1, 42)
        await pilot.press("plus")
        assert window() == (22, 42)
        await pilot.press("equals_sign")
        assert window() == (33, 42)
        await pilot.press("less_than_sign")
        assert window() == (28, 37)
        await pilot.press("greater_than_sign")
        assert window() == (33, 42) and pane.zoom.last is None
        full_run[1].step(43)
        await until(pilot, lambda: window() == (34, 43), "the newest step in sight")
        await pilot.press("minus", "minus", "minus", "minus")
        assert window() == (1, 43)
        await pilot.press("y")
        assert "log scale" in shown(app)
        await pilot.press("y")
        assert "log scale" not in shown(app)


async def test_the_training_pane_lists_and_draws_every_metric(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("2")
        pane = app.screen.query_one(TrainingPane)
        listed = pane.query_one("#metrics", Rows)
        assert app.view.snapshot is not None
        assert listed.row_count == len(app.view.snapshot.metrics)
        assert "Reward propose (mean of a step)" in shown(app)
        await pilot.press("end")
        await until(pilot, lambda: "Of_a_later_version" in shown(app), "the plot of a metric that nobody knows")
        await pilot.press("home", "down", "down", "down")
        await until(pilot, lambda: "Reward solve" in shown(app), "the plot of what the cursor is on")


async def test_the_list_of_metrics_narrows_as_words_are_typed(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("2", "slash", *"length m")
        listed = app.screen.query_one("#metrics", Rows)
        await until(pilot, lambda: listed.row_count == 3, "mean, min and max of the length")
        await until(pilot, lambda: "3 of " in shown(app), "how many of them")
        await until(pilot, lambda: "Response length (tokens)" in shown(app), "the plot of the first")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, PlotScreen), "the whole screen")
        assert isinstance(app.screen, PlotScreen) and app.screen.metric == "response_length/mean"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: listed.row_count > 40, "all of them again")
        assert listed.has_focus and isinstance(app.screen, MainScreen)


async def test_one_metric_on_the_whole_screen_leads_to_the_sample_of_an_alert(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("2", "enter")
        await until(pilot, lambda: isinstance(app.screen, PlotScreen), "the plot")
        await until(pilot, lambda: "worst first (3 of 4" in shown(app), "the alerts in sight")
        assert "D deduction now" in shown(app) and "A abduction now" in shown(app)
        before = shown(app).split("\n")[2]
        await pilot.press("down", "up", "up")
        assert shown(app).split("\n")[2] != before
        await pilot.press("down", "plus", "plus", "left", "left")
        screen = app.screen
        assert isinstance(screen, PlotScreen)
        while screen.zoom.cursor != 40:
            await pilot.press("left" if (screen.zoom.cursor or 99) > 40 else "right")
        assert "alerts at step 40" in shown(app) and "trace.outsmart" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample")
        await pilot.press("escape")
        assert isinstance(app.screen, PlotScreen)


async def test_where_no_alert_is_enter_says_so(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("2", "enter", "left", "shift+left", "enter")
        await until(pilot, lambda: list(app._notifications), "a word")
        assert "no alerts at step" in shown(app) and isinstance(app.screen, PlotScreen)


def test_metrics_of_several_kinds_share_a_plot_and_a_mean_has_its_band() -> None:
    one = Series([1], [0.5])
    metrics = {f"solve_rate/{kind.value}": one for kind in Kind}
    metrics |= {f"response_length/{name}": one for name in ("mean", "min", "max")}
    plot = plot_of("solve_rate/induction", metrics)
    assert [curve.sign for curve in plot.curves] == list("DAIQE") and plot.share and plot.ceiling == 1
    assert plot_of("solve_rate", metrics).curves == plot.curves
    banded = plot_of("response_length/mean", metrics).curves[0]
    assert banded.low is one and banded.high is one
    alone = plot_of("response_length/max", metrics)
    assert alone.curves[0].series is one and not alone.curves[0].high.values


def test_metrics_are_listed_by_subject_and_strangers_last() -> None:
    lengths = ["response_length/max", "response_length/mean"]
    names = ["zzz", "difficulty/10", "difficulty/9", *lengths, "reward/solve/abduction", "reward/solve/deduction"]
    expected = [*names[:4:-1], *lengths[::-1], "difficulty/9", "difficulty/10", "zzz"]
    assert metric_names.ordered(names) == expected
    assert metric_names.label("a\x1b[31m/b") == "a␛[31m/b"
    assert metric_names.label("load/memory/trainer", unit=True) == "memory trainer (MiB)"


async def test_a_closer_look_at_a_long_run_shows_each_of_its_steps(
    open_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = open_run(steps=2000)
    run.begin()
    with run.writer.batch() as batch:
        for step in range(1, 1501):
            batch.add("steps", {"branch": 1, "step": step, "started_at": step, "seconds": 1.0})
            batch.add("metrics", {"branch": 1, "step": step, "name": "loss", "value": float(step % 2)})
    app = make_app(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.view.snapshot and app.view.snapshot.metrics.get("loss"), "the curve")
        await pilot.press("2")
        pane = app.screen.query_one(TrainingPane)
        plot = pane.query_one(PlotView)
        await until(pilot, lambda: plot.plot.curves and plot.plot.curves[0].series.values, "the plot")
        assert len(plot.plot.curves[0].series.steps) < 1024
        await pilot.press("plus", "plus", "plus", "plus", "plus")
        await until(pilot, lambda: plot.plot.steps is not None, "the steps in sight, each of its own")
        series = plot.plot.curves[0].series
        extent = pane.extent()
        assert (extent is not None and (extent.first, extent.last) == (1, 1500)) or extent.first == 2
        first, last = pane.zoom.window(extent)
        assert list(series.steps) == list(range(first, last + 1)) and set(series.values) == {0.0, 1.0}
        await pilot.press("z")
        assert plot.plot.steps is None


def test_the_machine_is_told_in_few_lines_and_only_what_is_on_record() -> None:
    values = {"tokens_per_second": 3658.0, "load/cpu": 0.93, "load/memory": 0.41, "load/memory/trainer": 812.4}
    summary = Summary("demo", "running", "", "", 1, 9, 1, 0, 0, 0, True, {**values, "idle": None})
    run, state = RunRow("demo", 0.0, "0.1.0", 1, 9, "{}"), StateRow(0.0, "running", "", "")
    told = figures.machine(Snapshot(run=run, state=state, summary=summary), 6).plain.split("\n")
    assert told == ["Machine", "3.7k tokens/s", "93% processors  41% memory", "812 MiB trainer"]
    nothing = msgspec.structs.replace(summary, metrics={})
    assert "not recorded" in figures.machine(Snapshot(run=run, state=state, summary=nothing), 6).plain


@pytest.mark.parametrize("height", [2, 4, 6, 9])
def test_the_time_of_a_step_has_the_supervisor_s_part_in_one_line_where_room_is_short(height: int) -> None:
    parts = {"generate": 5.0, "update": 4.0, "review": 1.0}
    meanwhile = {"supervisor/jail": 3.0, "supervisor/monitors": 0.5, "supervisor/ledger": 0.25}
    seconds = {f"seconds/{name}": value for name, value in {**parts, **meanwhile}.items()}
    summary = Summary("demo", "running", "", "", 1, 9, 1, 0, 0, 0, True, dict(seconds))
    run, state = RunRow("demo", 0.0, "0.1.0", 1, 9, "{}"), StateRow(0.0, "running", "", "")
    told = figures.step_time(Snapshot(run=run, state=state, summary=summary), 40, height).plain.split("\n")
    assert told[0] == "Seconds of a step  10 in all" and len(told) <= height
    if height == 6:
        assert told[-1] == "meanwhile jail 3, monitors 0.50, ledger 0.25"
    if height == 9:
        assert "· jail" in told[4] and "30%" in told[4]
