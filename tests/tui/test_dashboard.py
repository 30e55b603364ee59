"""The dashboard on real ledgers: what it shows, how it is walked through, what it survives."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from azr_platform.records import Kind
from azr_tui.app import AzrApp
from azr_tui.screens.help import HelpScreen
from azr_tui.screens.main import MainScreen
from azr_tui.screens.paged import PAGE
from azr_tui.screens.sample import SampleScreen
from azr_tui.widgets.listing import Listing
from azr_tui.widgets.marked_text import MarkedText
from azr_tui.widgets.pane_line import PaneLine

Make = Callable[..., AzrApp]
Shown = Callable[[AzrApp], str]
SIZES = [(80, 24), (60, 18), (120, 40), pytest.param((250, 80), marks=pytest.mark.slow)]


async def test_the_overview_tells_state_progress_rewards_and_alerts(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        text = shown(app)
    assert "● running" in text and "step 42/60" in text and "70%" in text and "12.50 s/step" in text
    assert "ETA 3m 45s" in text
    assert "2/506 blocked (0.4%)" in text and "▲ 3 open alerts" in text and "branch 1" in text
    for kind in ("deduction", "abduction", "induction"):
        letter = kind[0].upper()
        assert f"propose {letter} {kind}" in text and f"solve   {letter} {kind}" in text
    assert "Reward, propose" in text and "Solve rate" in text and "step" in text and "100%┤" in text
    assert "trace.outsmart" in text


async def test_a_run_on_given_questions_shows_their_rewards(
    open_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    run, writer = open_run()
    writer.begin()
    with writer.writer.batch() as batch:
        for step in (1, 2):
            batch.add("steps", {"branch": 1, "step": step, "started_at": step, "seconds": 1.0})
            for name, value in (("reward/solve/question", 0.5), ("solve_rate/question", 0.75)):
                batch.add("metrics", {"branch": 1, "step": step, "name": name, "value": value})
    app = make_app(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        text = shown(app)
    assert "Reward, solve (mean of a step)" in text and " Q question" in text
    assert [row for row in text.split("\n") if "+0.50" in row and "solve   Q question" in row and "75%" in row]
    assert "induction" not in text and "propose" not in text


@pytest.mark.parametrize("size", SIZES)
async def test_every_pane_fits_every_size(
    full_run: Any, make_app: Make, until: Any, shown: Shown, size: tuple[int, int]
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=size) as pilot:
        await _ready(app, pilot, until)
        for key, words in (("1", "Reward"), ("2", "metrics"), ("3", "verdict"), ("4", "severity"), ("9", "ada")):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(app), f"{words} in pane {key}")
            rows = shown(app).split("\n")
            assert len(rows) == size[1]
            assert "running" in rows[0] and "open alert" in rows[1] and "Pause" in rows[-1]
            assert not app.screen.show_vertical_scrollbar


async def test_resizing_while_it_runs_redraws(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        assert "Reward, solve" not in shown(app)
        await pilot.resize_terminal(140, 40)
        await until(pilot, lambda: "Reward, solve" in shown(app), "the second reward plot on a wide screen")
        await pilot.resize_terminal(60, 18)
        await until(pilot, lambda: "Reward, solve" not in shown(app), "one reward plot on a narrow screen")


async def test_tab_walks_through_the_panes(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        seen = []
        for _ in app.panes.names:
            seen.append(_main(app).pane.id)
            await pilot.press("tab")
        assert seen == app.panes.names and {"overview", "training", "samples", "alerts", "log"} <= set(seen)
        assert _main(app).pane.id == "overview"
        await pilot.press("shift+tab")
        assert _main(app).pane.id == seen[-1]
        await pilot.press("a")
        assert _main(app).pane.id == "alerts"


async def test_a_click_on_a_pane_name_goes_there(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        (place,) = (each for each in app.screen.query_one(PaneLine).places if each.pane == "samples")
        await pilot.click("#panes", offset=(place.start + 2, 0))
        await until(pilot, lambda: _main(app).pane.id == "samples", "the samples pane")


async def test_enter_on_the_overview_leads_to_the_sentence_that_raised_the_worst_alert(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        await until(pilot, lambda: "BLOCKED" in shown(app), "its verdict")
        text = shown(app)
        assert "✖ BLOCKED (pause)" in text and "▲ critical  trace.outsmart" in text
        assert _marked(app).startswith("The aim is to outsmart all these groups of intelligent machines")
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)


async def test_the_flagged_words_are_marked_in_the_program(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 40)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("a", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        await until(pilot, lambda: "1 │ import os" in shown(app), "the program with line numbers")
        page = app.screen.query_one(MarkedText)
        marked = {line.text[mark.start : mark.end] for line in page.lines for mark in line.marks if line.stop}
        assert marked == {"import os", "os.system"}
        assert "nothing was run" in [line.text for line in page.lines]


async def test_n_jumps_from_mark_to_mark_and_says_when_there_is_no_further(
    open_run: Any, make_app: Make, until: Any
) -> None:
    folder, run = open_run()
    run.begin()
    run.state("running", "propose")
    sentence = "I will hide this from the monitor."
    run.blocked_trace(1, reasoning="filler\n" * 60 + sentence + "\nfiller" * 60, sentence=sentence)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        page = app.screen.query_one(MarkedText)
        await until(pilot, lambda: page.virtual_size.height > 100, "the page laid out")
        assert page.scroll_offset.y == 0
        await pilot.press("n")
        await until(pilot, lambda: page.scroll_offset.y > 40, "a jump")
        top = page.scroll_offset.y
        rows = ["".join(segment.text for segment in page.render_line(y)) for y in range(page.size.height)]
        assert any(sentence in row for row in rows)
        await pilot.press("n")
        await pilot.pause()
        assert page.scroll_offset.y == top
        assert any("No further mark" in note.message for note in app._notifications)


async def test_samples_are_paged_never_loaded_whole(open_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    folder, run = open_run()
    run.begin()
    run.state("running")
    for step in range(1, 11):
        run.step(step, per_group=4)
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("3")
        table = app.screen.query_one("#samples Listing", Listing)
        await until(pilot, lambda: table.row_count == PAGE, "a first page")
        assert "240-141" in shown(app) and "following" in shown(app)
        await pilot.press("n")
        await until(pilot, lambda: "140-41" in shown(app), "the second page")
        await pilot.press("n")
        await until(pilot, lambda: "40-1 " in shown(app), "the last page")
        assert table.row_count == 40 and "end" in shown(app)
        await pilot.press("n")
        await pilot.press("N")
        await until(pilot, lambda: "140-41" in shown(app), "back on the second page")
        assert table.cursor_row == PAGE - 1
        await pilot.press("g")
        await until(pilot, lambda: "240-141" in shown(app), "the newest page")


async def test_filters_narrow_by_role_kind_and_verdict(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("3", "v")
        table = app.screen.query_one("#samples Listing", Listing)
        await until(pilot, lambda: table.row_count == 2, "the two blocked samples")
        assert "verdict:blocked" in shown(app)
        await pilot.press("k")
        await until(pilot, lambda: table.row_count == 1, "the blocked deduction sample")
        assert "kind:deduction" in shown(app)
        await pilot.press("o", "o")
        await until(pilot, lambda: table.row_count == 0, "no blocked solver")
        assert "role:solve" in shown(app) and "no such sample" in shown(app)
        await pilot.press("v", "v", "v", "o", *["k"] * len(Kind))
        await until(pilot, lambda: table.row_count == PAGE, "everything again")


async def test_the_cursor_stays_on_its_sample_while_new_ones_arrive(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("3")
        table = app.screen.query_one("#samples Listing", Listing)
        await until(pilot, lambda: table.row_count == PAGE, "a first page")
        await pilot.press("down", "down", "down")
        chosen = table.row(table.cursor_row)[0]
        first = table.row(0)[0]
        run.step(43)
        await until(pilot, lambda: "12 newer: g" in shown(app), "a word of the new samples")
        assert table.row(0)[0] == first, "the page stands still"
        assert table.row(table.cursor_row)[0] == chosen
        await pilot.press("g")
        await until(pilot, lambda: "518" in table.row(0)[0], "the new samples")


async def test_a_new_alert_raises_a_toast_and_old_ones_do_not(full_run: Any, make_app: Make, until: Any) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        assert not list(app._notifications)
        run.alert(42, 4, "trace.escape", "the reasoning plans to leave the jail")
        await until(pilot, lambda: list(app._notifications), "a toast")
        (note,) = app._notifications
        assert "trace.escape" in note.message and note.severity == "error" and not note.markup


async def test_a_flood_of_alerts_of_one_rule_is_one_toast_that_counts_them(
    full_run: Any, make_app: Make, until: Any
) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        before = app.view.snapshot.summary.alerts_open
        for _ in range(40):
            run.alert(42, 1, "monitor.unsure", "held for a person")
        run.alert(42, 4, "trace.escape", "plans to leave the jail")
        await until(pilot, lambda: app.view.snapshot.summary.alerts_open == before + 41, "all of them")
        await until(pilot, lambda: len(list(app._notifications)) == 2, "a toast a rule")
        told = " ".join(note.message for note in app._notifications)
        assert told.count("monitor.unsure") == 1 and "trace.escape: plans" in told


async def test_the_run_is_followed_while_it_is_written(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        run.step(43)
        await until(pilot, lambda: "step 43/60" in shown(app), "the next step")
        run.state("finished")
        await until(pilot, lambda: "✔ finished" in shown(app), "the end")
        assert "ETA" not in shown(app)


async def test_a_run_without_a_step_is_shown_empty(open_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    folder, run = open_run()
    run.begin()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        for key, words in (
            ("1", "no step yet"),
            ("2", "No step is done yet"),
            ("3", "no sample yet"),
            ("4", "no alerts so far"),
            ("5", "nothing is held"),
            ("6", "no task yet"),
            ("9", "self-attack"),
        ):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(app), f"{words} in pane {key}")


async def test_it_waits_for_a_run_that_has_not_begun(
    tmp_path: Path, open_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(tmp_path / "later")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "waiting for the run to begin" in shown(app), "a line that says so")
        _, run = open_run("later")
        run.begin()
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        await until(pilot, lambda: "waiting" not in shown(app), "the line gone")


async def test_an_interrupted_run_says_so(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    folder, run = full_run
    run.writer.close()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        assert "✖ interrupted" in shown(app) and "read-only: no supervisor" in shown(app)


async def test_a_broken_ledger_is_a_line_not_a_crash(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    folder, run = full_run
    run.writer.close()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        whole = (folder / "ledger.db").read_bytes()
        (folder / "ledger.db").write_bytes(b"no database" * 5000)
        await until(pilot, lambda: app.view.trouble, "trouble reported")
        assert "▲" in shown(app) and "cannot be used" in shown(app)
        (folder / "ledger.db").write_bytes(whole)
        await until(pilot, lambda: not app.view.trouble, "recovery")


async def test_a_ledger_without_its_tables_is_a_line_not_a_crash(
    tmp_path: Path, make_app: Make, until: Any, shown: Shown
) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("CREATE TABLE run (other TEXT)")
    connection.close()
    app = make_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.trouble, "trouble reported")
        assert "cannot be used" in shown(app)


async def test_the_dashboard_changes_no_byte_of_the_run(full_run: Any, make_app: Make, until: Any) -> None:
    folder, run = full_run
    run.writer.close()
    before = (folder / "ledger.db").read_bytes()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        for key in "12349":
            await pilot.press(key)
            await pilot.pause()
    assert (folder / "ledger.db").read_bytes() == before


async def test_without_colours_the_cursor_and_the_marks_are_reversed(
    full_run: Any, make_app: Make, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 40)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("4")
        cursor = next(row for row in app.screen._compositor.render_strips() if "metrics.length" in row.text)
        assert any(segment.style and segment.style.reverse for segment in cursor)
        await pilot.press("1", "enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        await until(pilot, lambda: _marked(app), "a reversed mark")


async def test_unknown_metrics_are_listed(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 80)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("2", "end")
        await until(pilot, lambda: "of_a_later_version" in shown(app), "the unknown metric")


async def test_help_opens_from_any_pane_and_closes(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        for key in "12349":
            await pilot.press(key, "?")
            assert isinstance(app.screen, HelpScreen)
            await pilot.press("escape")
            assert isinstance(app.screen, MainScreen)


async def test_neighbours_of_a_sample_and_a_missing_one(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "the sample's page")
        screen = app.screen
        assert isinstance(screen, SampleScreen) and screen.number == 506
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.number == 505, "the older sample")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.number == 506, "the newer sample")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: list(app._notifications), "a word that there is none")
        assert screen.number == 506


async def test_controls_are_listed_in_the_log(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    folder, run = full_run
    arguments = json.dumps({"step": 20})
    row = {"time": 1_700_000_600.0, "who": "reaction", "action": "rollback", "arguments": arguments}
    run.writer.append("controls", {**row, "why": "3 high findings", "outcome": "branch 2"})
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("9")
        await until(pilot, lambda: "rollback step=20" in shown(app) and "reaction" in shown(app), "the rollback")
        assert "why: 3 high findings" in shown(app)


async def _ready(app: AzrApp, pilot: Pilot[None], until: Any) -> None:
    await until(pilot, lambda: app.view.snapshot is not None, "a first reading of the ledger")
    await pilot.pause()


def _main(app: AzrApp) -> MainScreen:
    assert isinstance(app.screen, MainScreen)
    return app.screen


def _marked(app: AzrApp) -> str:
    """The text drawn reversed, row after row."""
    page = app.screen.query_one(MarkedText)
    text = ""
    for row in range(page.size.height):
        text += "".join(segment.text for segment in page.render_line(row) if segment.style and segment.style.reverse)
    return text.replace("“", "")


async def test_a_screen_that_is_kept_begins_anew(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("3")
        await until(pilot, lambda: "verdict" in shown(app) and "505" in shown(app), "the samples")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "a sample")
        first = app.screen
        await pilot.press("slash", *"the", "enter", "end")
        await until(pilot, lambda: first.query_one(MarkedText).scroll_offset.y > 0, "its end")
        await pilot.press("escape", "escape", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, SampleScreen), "another one")
        await pilot.pause()
        second = app.screen
        assert second is first and second.query_one(MarkedText).scroll_offset.y == 0
        assert not [line for line in second.query_one(MarkedText).lines if any(m.style == "found" for m in line.marks)]
        assert "of all" not in shown(app) and second.focused is second.query_one(MarkedText)
        await pilot.press("escape", "escape")  # the second of no account, as the first time
        assert app.screen is app.panes


async def test_a_screen_that_is_kept_is_dressed_as_the_others_and_fits_another_size(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await _ready(app, pilot, until)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
        await pilot.press("end", "escape")
        await pilot.resize_terminal(120, 40)
        app.action_theme("light")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "esc: back" in shown(app), "the help again")
        await pilot.pause(0.1)
        rows = shown(app).split("\n")
        assert len(rows) == 40 and len(rows[5].rstrip()) > 100
        assert app.screen.query_one(MarkedText).scroll_offset.y == 0
        assert app.screen.query_one(".dialog").styles.background.brightness > 0.5
