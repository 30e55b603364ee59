"""Two runs or branches side by side: both curves, each figure with its difference, what cannot be read as a line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from azr_platform.config.load import dump, load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import MetricSpan
from azr_tui import comparison
from azr_tui.app import AzrApp
from azr_tui.comparison import AskCurves, Side, difference, rows, runs_beside, settings_apart, side
from azr_tui.questions import Sources
from azr_tui.screens.page import PageScreen
from azr_tui.screens.pick import PickScreen
from azr_tui.widgets.plots import PlotView

Make = Callable[..., AzrApp]


@pytest.fixture
def beside(full_run: Any, open_run: Any) -> Iterator[tuple[Path, Path]]:
    """The full run, and a finished one beside it that solved less; and a folder whose ledger is none."""
    folder, _ = full_run
    other, run = open_run("other [red]\x1b")
    run.begin("other")
    run.state("finished")
    with run.writer.batch() as batch:
        for step in range(1, 11):
            batch.add("steps", {"branch": 1, "step": step, "started_at": 1.0, "seconds": 5.0})
            batch.add("metrics", {"branch": 1, "step": step, "name": "entropy", "value": step / 10})
            batch.add("metrics", {"branch": 1, "step": step, "name": "solve_rate/deduction", "value": 0.25})
    run.writer.close()
    broken = folder.parent / "broken"
    broken.mkdir()
    (broken / "ledger.db").write_bytes(b"nonsense" * 1000)
    yield folder, other


async def _to_pane(app: AzrApp, pilot: Pilot[None], until: Any, shown: Any) -> None:
    await until(pilot, lambda: app.view.snapshot is not None, "the run", seconds=30)
    await pilot.press("0")
    await until(pilot, lambda: "A demo branch 1" in shown(app), "this run", seconds=30)


def _line(text: str, words: str) -> str:
    """The row of the table that begins so; the plot's caption is another."""
    return next(line for line in text.splitlines() if line.strip().startswith(words) and "(" not in line)


async def test_another_run_is_chosen_and_laid_over_this_one(
    beside: Any, make_app: Make, until: Any, shown: Any
) -> None:
    app = make_app(beside[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _to_pane(app, pilot, until, shown)
        assert "B - - choose another run with o" in shown(app)
        await pilot.press("o")
        assert isinstance(app.screen, PickScreen)
        options = app.screen.query_one(OptionList)
        names = [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]
        assert set(names) == {"this run, another branch", "other [red]␛", "broken"}
        await pilot.press(*["down"] * names.index("other [red]␛"), "enter")
        await until(pilot, lambda: "B - - other branch 1 step 10 finished" in shown(app), "the other", seconds=30)
        text = shown(app)
        row = _line(text, "solve rate deduction")
        assert "0.586" in row and "0.250" in row and "-0.336" in row
        assert "A 59%  B 25%" in text, "the values at the ends, told by letters"


async def test_the_metric_under_the_cursor_is_drawn_and_figures_change(beside: Any, until: Any, shown: Any) -> None:
    app = AzrApp(beside[0], poll=0.05, compare=beside[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "B - - other branch 1" in shown(app), "both", seconds=30)
        assert "solve rate deduction (of answers)" in shown(app)
        await pilot.press("down")
        await until(pilot, lambda: "solve rate abduction (of answers)" in shown(app), "another metric", seconds=30)
        await pilot.press("m")
        assert "best A" in shown(app) and "last A" not in shown(app)
        assert "0.703" in _line(shown(app), "solve rate deduction")
        await pilot.press("m", "plus", "right", "z")
        assert "mean A" in shown(app)


async def test_both_runs_are_counted_once_a_step_and_by_the_same_readers(
    full_run: Any, beside: Any, until: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, LedgerReader]] = []

    def noted(reader: LedgerReader, branch: int) -> Side:
        counted.append((reader.run_folder.name, reader))
        return side(reader, branch)

    monkeypatch.setattr(comparison, "side", noted)
    app = AzrApp(beside[0], poll=0.05, compare=beside[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "B - - other branch 1" in shown(app), "both", seconds=30)
        await until(pilot, lambda: "solve rate deduction (of answers)" in shown(app), "the first metric", seconds=30)
        await pilot.press("down", "down")
        await until(pilot, lambda: "solve rate induction (of answers)" in shown(app), "another metric", seconds=30)
        assert len(counted) == 2, "one metric alone is read where the cursor goes"
        full_run[1].step(43)
        await until(pilot, lambda: "A demo branch 1 step 43" in shown(app), "the next step", seconds=30)
        assert len(counted) == 4 and len(set(counted)) == 2, "what a reader counted before it need not count again"


async def test_wide_screens_show_all_figures(beside: Any, until: Any, shown: Any) -> None:
    app = AzrApp(beside[0], poll=0.05, compare=beside[1])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "mean B-A" in shown(app), "all figures", seconds=30)
        assert "last B-A" in shown(app) and "best B-A" in shown(app)


async def test_what_differs_in_settings_is_listed(open_run: Any, until: Any, shown: Any) -> None:
    folders = []
    for name, steps in (("one", 77), ("other", 88)):
        folder, run = open_run(name)
        run.begin(name, dump(load(overrides=[f"run.steps={steps}"])))
        run.step(1)
        folders.append(folder)
    app = AzrApp(folders[0], poll=0.05, compare=folders[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "B - - other branch 1" in shown(app), "both", seconds=30)
        await pilot.press("d")
        assert isinstance(app.screen, PageScreen)
        await until(pilot, lambda: "run.steps: 77 -> 88" in shown(app), "the page", seconds=30)
        assert "not on record for both" in shown(app), "neither has a policy on record"
        await pilot.press("escape")


async def test_a_run_s_state_is_shown_inert(beside: Any, open_run: Any, until: Any, shown: Any) -> None:
    folder, run = open_run("hostile")
    run.begin("hostile")
    run.state("odd\x1b[2J\n" + "x" * 100)
    app = AzrApp(beside[0], poll=0.05, compare=folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "B - - hostile branch 1" in shown(app), "both", seconds=30)
        assert "odd␛[2J" in shown(app) and "x" * 21 not in shown(app)


async def test_a_run_that_cannot_be_read_is_a_line(beside: Any, make_app: Make, until: Any, shown: Any) -> None:
    app = AzrApp(beside[0], poll=0.05, compare=beside[0].parent / "broken")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "B - - broken: ledger.db" in shown(app), "the trouble", seconds=30)
        assert "0.586" in _line(shown(app), "solve rate deduction"), "this run is there all the same"
        assert not app.view.trouble
        await pilot.press("d")
        assert not isinstance(app.screen, PageScreen)


async def test_two_branches_of_one_run_are_compared(full_run: Any, make_app: Make, until: Any, shown: Any) -> None:
    folder, run = full_run
    with run.writer.batch() as batch:
        batch.add("branches", {"created_at": 2.0, "parent": 1, "from_step": 20, "reason": "rollback"})
        batch.add("steps", {"branch": 2, "step": 21, "started_at": 1.0, "seconds": 5.0})
        batch.add("metrics", {"branch": 2, "step": 21, "name": "entropy", "value": 9.0})
    app = make_app(folder)
    async with app.run_test(size=(80, 60)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run", seconds=30)
        await pilot.press("0")
        await until(pilot, lambda: "A demo branch 2 step 21" in shown(app), "this branch", seconds=30)
        await pilot.press("o", "enter")
        await until(pilot, lambda: "B - - demo branch 1 step 42" in shown(app), "the other branch", seconds=30)
        row = _line(shown(app), "entropy")
        assert "9" in row.split() and "-8.03" in row
        await pilot.press("V")
        await until(pilot, lambda: "B - - demo branch 2" in shown(app), "the other's next branch", seconds=30)
        await pilot.press("v")
        await until(pilot, lambda: "A demo branch 1" in shown(app), "this run's next branch", seconds=30)


def test_a_side_follows_the_line_of_its_branch_and_an_older_ledger_is_read(full_run: Any) -> None:
    folder, run = full_run
    run.writer.append("branches", {"created_at": 2.0, "parent": 1, "from_step": 20, "reason": "rollback"})
    run.writer.close()
    connection = sqlite3.connect(folder / "ledger.db")
    connection.execute("DROP TABLE policies")
    connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm011_policies'")
    connection.commit()
    connection.close()
    with LedgerReader(folder) as reader:
        on_second, on_first, unknown = side(reader, 2), side(reader, 1), side(reader, 77)
        curves = AskCurves("entropy", (2, on_second.step), (1, on_first.step), None).read(Sources(reader))
        nothing = AskCurves("nothing", (2, 20), None, None).read(Sources(reader))
    assert (on_second.step, on_first.step, unknown.branch) == (20, 42, 2)
    assert (curves.mine[-1].last_step, curves.other[-1].last_step) == (20, 42) and on_second.policy == {}
    assert (nothing.mine, nothing.other) == ([], [])
    assert on_first.totals["entropy"].count == 42


async def test_long_runs_are_laid_over_each_other_as_lines_without_bands(open_run: Any, until: Any, shown: Any) -> None:
    """What a span of steps holds at most and at least would fill the plot, and hide the other run."""
    folders = []
    for name in ("one", "other"):
        folder, run = open_run(name)
        run.begin(name)
        with run.writer.batch() as batch:
            for step in range(1, 1201):
                batch.add("metrics", {"branch": 1, "step": step, "name": "entropy", "value": float(step % 3)})
        folders.append(folder)
    app = AzrApp(folders[0], poll=0.05, compare=folders[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "entropy" in shown(app) and "B - - other" in shown(app), "both", seconds=30)
        plot = app.screen.query_one(PlotView)
        await until(pilot, lambda: plot.plot.curves, "the curves", seconds=30)
        for curve in plot.plot.curves:
            assert set(curve.series.values[1:-1]) == {1.0} and not (curve.series.lows or curve.series.highs)


def test_the_best_of_a_loss_is_its_smallest() -> None:
    span = MetricSpan(1, 2, 0.1, 0.2, 0.3, 2)
    totals = {"loss": span, "oversight/blocked": span, "reward/x": span}
    one = Side("r", 1, (1,), "running", 2, 0, 0, 0, totals, {"loss": 0.2}, {}, {})
    loss, blocked, reward, missing = rows(one, None, ["loss", "oversight/blocked", "reward/x", "nothing"])
    assert loss.best == blocked.best == (0.1, None) and reward.best == (0.3, None) and missing.mean == (None, None)
    assert difference((1.0, 3.0)) == 2.0 and difference((None, 3.0)) is None


def test_settings_that_differ_are_named_once() -> None:
    assert settings_apart({"a": 1, "b": [1], "c": "x"}, {"a": 1, "b": [2], "d": None}) == [
        ("b", "[1]", "[2]"),
        ("c", '"x"', "-"),
        ("d", "-", "null"),
    ]


def test_runs_are_looked_for_beside_this_one_only(tmp_path: Path) -> None:
    for name in ("a", "b", "c/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ledger.db").touch()
    assert runs_beside(tmp_path / "a") == [tmp_path / "b"]
