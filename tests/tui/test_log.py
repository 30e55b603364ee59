"""The log: who did what, what the run said, all of it to be found, and each of it in full."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from azr_platform.config.load import dump, load
from azr_platform.ledger.records import ControlRow, NoticeRow
from azr_tui.app import AzrApp
from azr_tui.log_entries import Loaded, Which, clock, entry_lines, merged, what
from azr_tui.screens.log import PAGE
from azr_tui.screens.page import PageScreen
from azr_tui.widgets.rows import Rows

Make = Callable[..., AzrApp]
Shown = Callable[[AzrApp], str]
START = 1_700_000_000.0


def _command(number: int, time: float, action: str = "pause", **given: str) -> ControlRow:
    row = {"who": "ada", "arguments": "{}", "why": "", "outcome": "done: paused", **given}
    return ControlRow(number, time, row["who"], action, row["arguments"], row["why"], row["outcome"])


def _notice(number: int, time: float, message: str = "hello") -> NoticeRow:
    return NoticeRow(time, "jail", message, number)


def _page(app: AzrApp) -> str:
    assert isinstance(app.screen, PageScreen)
    return "\n".join(line.gutter + line.text for line in app.screen.query_one("MarkedText").lines)  # type: ignore[attr-defined]


# -- the list --------------------------------------------------------------------------------------------------


def test_both_kinds_are_one_list_newest_first_by_their_times() -> None:
    commands = Loaded((_command(2, 30.0), _command(1, 10.0)), True)
    notices = Loaded((_notice(9, 20.0), _notice(8, 20.0), _notice(7, 5.0)), True)
    assert [row.id for row in merged(commands, notices, Which.ALL, "")] == [2, 9, 8, 1, 7]
    assert [row.id for row in merged(commands, notices, Which.COMMANDS, "")] == [2, 1]
    assert [row.id for row in merged(commands, notices, Which.NOTICES, "")] == [9, 8, 7]


def test_nothing_is_listed_below_what_may_be_missing_still() -> None:
    commands = Loaded((_command(2, 30.0), _command(1, 10.0)), False)
    notices = Loaded((_notice(9, 25.0), _notice(8, 20.0)), False)
    assert [row.id for row in merged(commands, notices, Which.ALL, "")] == [2, 9, 8]
    assert [row.id for row in merged(commands, notices, Which.COMMANDS, "")] == [2, 1]


def test_pages_are_put_together_without_gap_or_repetition() -> None:
    loaded = Loaded().with_newer([_notice(5, 5.0), _notice(4, 4.0)], 2)
    loaded = loaded.with_newer([_notice(6, 6.0), _notice(5, 5.0)], 2).with_older([_notice(3, 3.0)], 2)
    assert [row.id for row in loaded.rows] == [6, 5, 4, 3] and loaded.complete
    gap = loaded.with_newer([_notice(9, 9.0), _notice(8, 8.0)], 2)
    assert [row.id for row in gap.rows] == [9, 8] and not gap.complete
    assert Loaded().with_newer([], 2).complete


@pytest.mark.parametrize("arguments", ["", "{}", "nonsense", "[1]", '{"step": 20, "alert": null, "exclude": []}'])
def test_any_arguments_are_told(arguments: str) -> None:
    row = _command(1, 1.0, "rollback", arguments=arguments, why="too harmful")
    assert what(row).startswith("rollback") and "why: too harmful  outcome: done: paused" in what(row)
    text = "\n".join(line.gutter + line.text for line in entry_lines(row))
    assert "too harmful" in text and "1970-01-01 00:00:01 UTC" in text
    if "20" in arguments:
        assert "rollback step=20  why" in what(row) and "step  20" in text


def test_the_day_stands_where_it_changes() -> None:
    assert clock(START) == "11-14 22:13:20"
    assert clock(START, START + 10) == "22:13:20" and clock(START, START + 86400) == "11-14 22:13:20"
    assert "--" in clock(1e300)


# -- the pane --------------------------------------------------------------------------------------------------


async def _log(app: AzrApp, pilot: Pilot[None], until: Any) -> Rows:
    await until(pilot, lambda: app.view.snapshot is not None, "the run")
    await pilot.press("9")
    rows = app.screen.query_one("#log Rows", Rows)
    await until(pilot, lambda: rows.row_count, "the log")
    return rows


async def test_an_entry_is_shown_in_full_with_who_when_why_and_outcome(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    hostile = "\x1b[2J[bold]because[/] " + "x" * 500
    row = {"time": START + 600, "who": "grace", "action": "rollback", "arguments": json.dumps({"step": 20})}
    run.writer.append("controls", {**row, "why": hostile, "outcome": "refused: no such checkpoint"})
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _log(app, pilot, until)
        assert "rollback step=20" in shown(app) and "grace" in shown(app) and "\x1b[2J[bold]" not in shown(app)
        await pilot.press("enter")
        page = _page(app)
        assert all(words in page for words in ("who  grace", "2023-11-14 22:23:20 UTC", "refused: no such", "step  20"))
        assert "␛[2J[bold]because[/] " + "x" * 500 in page
        await pilot.press("escape", "down", "enter")
        assert "ada (dashboard)" in _page(app) and "as expected" in _page(app)


async def test_keys_narrow_the_log_to_a_kind_and_to_words(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        rows = await _log(app, pilot, until)
        both = rows.row_count
        await pilot.press("v")
        assert "showing commands" in shown(app) and rows.row_count == 1
        await pilot.press("v")
        assert "showing notices" in shown(app) and rows.row_count == both - 1
        await pilot.press("v", "slash", *"way OUT")
        await until(pilot, lambda: rows.row_count == 1, "the notice with these words")
        assert "with way OUT" in shown(app) and "self-attack" in shown(app)
        await pilot.press("enter", "enter")
        assert "the self-attack found no way out" in _page(app)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: rows.row_count == both, "everything again")
        await pilot.press("slash", *"no such words")
        assert "nothing to show" in shown(app)


async def test_older_entries_come_as_the_cursor_reaches_the_end(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    with run.writer.batch() as batch:
        for number in range(2 * PAGE + 50):
            batch.add("notices", {"time": START + 1000 + number, "source": "trainer", "message": f"notice {number}"})
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        rows = await _log(app, pilot, until)
        assert rows.row_count == PAGE and "more beyond the last" in shown(app)
        await pilot.press("end")
        await until(pilot, lambda: rows.row_count == 2 * PAGE, "the second page")
        assert rows.cursor_row == PAGE - 1
        await pilot.press("end")
        await until(pilot, lambda: rows.row_count > 2 * PAGE + 50, "all of it")
        assert "more beyond" not in shown(app)
        await pilot.press("end")
        assert "self-attack" in shown(app)


@pytest.mark.parametrize(("text", "count"), [("thimble", 1), ("needle", 3), ("needless", 0)])
async def test_what_is_looked_for_is_found_among_older_entries_too(
    full_run: Any, make_app: Make, until: Any, shown: Shown, text: str, count: int
) -> None:
    folder, run = full_run
    words = {0: "a thimble", 1: "a needle", 3 * PAGE - 2: "a needle", 3 * PAGE - 1: "a needle"}
    with run.writer.batch() as batch:
        for number in range(3 * PAGE):
            message = words.get(number, f"notice {number}")
            batch.add("notices", {"time": START + 1000 + number, "source": "trainer", "message": message})
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        rows = await _log(app, pilot, until)
        assert rows.row_count == PAGE
        await pilot.press("slash")
        app.screen.query_one("#log-filter", Input).value = text
        await until(pilot, lambda: f"with {text}" in shown(app) and "more beyond" not in shown(app), "all was read")
        assert rows.row_count == count and ("nothing to show" in shown(app)) == (not count)


async def test_new_entries_come_by_themselves_and_the_cursor_stays_on_its_own(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        rows = await _log(app, pilot, until)
        count = rows.row_count
        await pilot.press("down")
        here = rows.row(rows.cursor_row)[2]
        run.writer.append("notices", {"time": START + 9000, "source": "supervisor", "message": "a new one"})
        await until(pilot, lambda: rows.row_count == count + 1, "the new one")
        assert "a new one" in shown(app) and rows.row(rows.cursor_row)[2] == here


async def test_i_tells_of_the_run_and_its_settings(open_run: Any, make_app: Make, until: Any) -> None:
    folder, run = open_run()
    run.begin(config=dump(load(overrides=["run.steps=77"])))
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await _log(app, pilot, until)
        await pilot.press("i")
        lines = [line.strip() for line in _page(app).splitlines()]
        assert "demo, seed 7, version 0.1.0" in _page(app) and "Settings" in lines
        assert lines.index("[run]") < lines.index("steps = 77") < lines.index("[supervisor]")
