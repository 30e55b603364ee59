"""What may become of a run while it is watched: killed, moved, removed, begun anew, damaged, locked, odd numbers."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from azr_platform.ledger.writer import LedgerWriter
from azr_tui.app import AzrApp
from azr_tui.screens.alerts import AlertsPane

Make = Callable[..., AzrApp]
Shown = Callable[[AzrApp], str]
PANES = "1234567890"
START = 1_700_000_000.0


async def ready(app: AzrApp, pilot: Pilot[None], until: Any) -> None:
    await until(pilot, lambda: app.view.snapshot is not None, "a first reading of the ledger")


async def walk(pilot: Pilot[None]) -> None:
    """Every pane, and in each the way to what is under its cursor and back."""
    for key in PANES:
        await pilot.press(key, "down", "enter", "escape")


WRITES = """
import sys, time
from pathlib import Path
from azr_platform.ledger.writer import LedgerWriter
with LedgerWriter(Path(sys.argv[1])) as writer:
    writer.append("states", {"time": time.time(), "state": "running", "where_at": "generate", "reason": ""})
    print("running", flush=True)
    step = 42
    while True:
        step += 1
        with writer.batch() as batch:
            batch.add("steps", {"branch": 1, "step": step, "started_at": time.time(), "seconds": 1.0})
            batch.add("metrics", {"branch": 1, "step": step, "name": "entropy", "value": 1.0})
        time.sleep(0.01)
"""


async def test_a_supervisor_that_is_killed_while_it_writes_leaves_an_interrupted_run(
    full_ledger: Path, run_folder: Path, make_app: Make, until: Any, shown: Shown
) -> None:
    shutil.copy(full_ledger, run_folder)
    writer = subprocess.Popen([sys.executable, "-c", WRITES, str(run_folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "running\n"
        app = make_app(run_folder)
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(app, pilot, until)
            assert "● running" in shown(app) and "read-only: supervisor" in shown(app)
            await until(pilot, lambda: app.view.step > 50, "the run going on")
            writer.send_signal(signal.SIGKILL)
            await until(pilot, lambda: "✖ interrupted" in shown(app), "that it was interrupted")
            assert "read-only: no supervisor" in shown(app)
            await walk(pilot)
            assert not app.view.trouble
    finally:
        writer.kill()
        writer.communicate()


async def test_a_run_that_is_moved_away_says_so_and_goes_on_when_it_is_back(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        away = folder.with_name("elsewhere")
        folder.rename(away)
        await until(pilot, lambda: "any more" in app.view.trouble, "that it is gone")
        await walk(pilot)
        assert "▲ no ledger in" in shown(app) and "step 42/60" in shown(app)
        away.rename(folder)
        run.step(43)
        await until(pilot, lambda: "step 43/60" in shown(app), "what was written meanwhile")
        assert not app.view.trouble


async def test_a_run_that_is_removed_says_so_and_what_was_read_stays(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    run.writer.close()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        shutil.rmtree(folder)
        await until(pilot, lambda: "any more" in app.view.trouble, "that it is gone")
        await walk(pilot)
        assert "step 42/60" in shown(app)
        await pilot.press("p")
        assert any("nothing can be changed" in note.message for note in app._notifications)


async def test_another_run_under_the_same_name_takes_the_place_of_the_first(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = full_run
    run.writer.close()
    app = make_app(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot, until)
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        with LedgerWriter(folder) as writer:
            other = type(run)(writer, steps=7)
            other.begin("afresh")
            other.step(1)
            await until(pilot, lambda: "step 1/7" in shown(app), "the other run")
            await walk(pilot)
            await pilot.press("1")
            assert "afresh" in shown(app) and not app.view.trouble


async def test_nothing_of_the_first_run_is_left_in_the_panes_of_another(
    open_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, run = open_run()
    run.begin()
    run.held_trace(1, "Nobody needs to know of it at all.")
    for number in range(5):
        run.alert(1, 1, "r", f"old alert {number}")
    run.writer.append("notices", {"time": START, "source": "trainer", "message": "an old notice"})
    app = make_app(folder)
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(app, pilot, until)
        for key, words in (("9", "an old notice"), ("4", "old alert 4"), ("5", "Nobody needs to know")):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(app), words)
        run.writer.close()
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        with LedgerWriter(folder) as writer:
            other = type(run)(writer, steps=7)
            with writer.batch() as batch:
                row = {
                    "name": "afresh",
                    "created_at": START + 9000,
                    "version": "0",
                    "seed": 7,
                    "steps": 7,
                    "config": "",
                }
                batch.add("run", row)
                batch.add("branches", {"created_at": START, "parent": None, "from_step": 0, "reason": "begun"})
            held = other.held_trace(1, "Let it pass, it is nothing.")
            await until(pilot, lambda: "step 0/7" in shown(app), "the other run")
            await until(pilot, lambda: "Let it pass" in shown(app), f"the words of its sample {held}")
            for number in (1, 2):
                other.alert(1, 2, "r", f"new alert {number}")
            writer.append("notices", {"time": START + 9000, "source": "trainer", "message": "a new notice"})
            await pilot.press("4")
            await until(pilot, lambda: "new alert 2" in shown(app), "its alerts")
            pane = app.panes.pane
            assert isinstance(pane, AlertsPane) and "old alert" not in shown(app)
            assert pane.unseen(pane.listing.records[1]), "nobody has looked at the one below the cursor"
            await pilot.press("9")
            await until(pilot, lambda: "a new notice" in shown(app), "its log")
            assert "an old notice" not in shown(app)


async def test_a_search_that_fails_leaves_the_safety_line_in_sight(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    folder, _ = full_run
    (folder / "search.db").mkdir()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        await pilot.press("3", "slash", *"outsmart", "enter")
        await until(pilot, lambda: any(note.title == "Search failed" for note in app._notifications), "a word of it")
        assert not app.view.trouble and "▲ 3 open alerts" in shown(app)
        (folder / "search.db").rmdir()
        await pilot.press("slash", "enter")
        await until(pilot, lambda: "506-506" in shown(app), "the sample, once it can be searched")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut in the middle": lambda file: os.truncate(file, file.stat().st_size // 2 + 1234),
    "cut to nothing": lambda file: os.truncate(file, 0),
    "overwritten but for its head": lambda file: file.write_bytes(
        file.read_bytes()[:100] + os.urandom(file.stat().st_size - 100)
    ),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_ledger_damaged_while_it_is_watched_is_a_line_and_can_be_mended(
    full_run: Any, make_app: Make, until: Any, shown: Shown, damage: Callable[[Path], object]
) -> None:
    folder, run = full_run
    run.writer.close()
    file = folder / "ledger.db"
    whole = file.read_bytes()
    app = make_app(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        damage(file)
        if file.is_file():
            os.utime(file)
        await walk(pilot)
        await until(pilot, lambda: app.view.trouble, "trouble reported")
        assert "▲" in shown(app) and "step 42/60" in shown(app)
        mended = folder / "mended"
        mended.write_bytes(whole)
        if file.is_dir():
            file.rmdir()
        mended.rename(file)
        await until(pilot, lambda: not app.view.trouble, "recovery")


async def test_a_ledger_that_somebody_else_locks_stops_no_key(
    full_run: Any, make_app: Make, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azr_platform.ledger.schema.BUSY_SECONDS", 0.2)
    folder, run = full_run
    run.writer.close()
    app = make_app(folder)
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as greedy:
        greedy.execute("PRAGMA locking_mode=EXCLUSIVE")
        greedy.execute("BEGIN EXCLUSIVE")
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: "locked" in app.view.trouble, "that it is locked")
            await walk(pilot)
            greedy.close()
            await ready(app, pilot, until)
            await until(pilot, lambda: not app.view.trouble, "recovery")


async def test_numbers_that_are_none_are_shown_as_such(open_run: Any, make_app: Make, until: Any) -> None:
    folder, run = open_run()
    run.begin()
    odd = [math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0]
    for step in range(1, 15):
        run.step(step)
        with run.writer.batch() as batch:
            for index, name in enumerate(("health/a", "health/b", "health/c")):
                value = odd[(step + index) % len(odd)]
                batch.add("metrics", {"branch": 1, "step": step, "name": name, "value": value})
    with run.writer.batch() as batch:
        for name in ("loss", "entropy", "reward/solve/deduction", "seconds/generate", "difficulty/3", "blocked"):
            for step, value in zip(range(15, 22), odd, strict=True):
                batch.add("metrics", {"branch": 1, "step": step, "name": name, "value": value})
        batch.add("steps", {"branch": 1, "step": 21, "started_at": 1.0, "seconds": math.inf})
    app = make_app(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot, until)
        await walk(pilot)
        await pilot.press("2")
        for _ in range(12):
            await pilot.press("down")
        assert not app.view.trouble


async def test_a_clock_that_is_set_back_breaks_nothing(full_run: Any, make_app: Make, until: Any, shown: Shown) -> None:
    app = make_app(full_run[0], now=1.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot, until)
        await walk(pilot)
        await pilot.press("4")
        assert "trace.outsmart" in shown(app) and "-" not in shown(app).split("trace.outsmart")[0][-20:]
        app._clock = lambda: 1e12
        await until(pilot, lambda: app.view.now == 1e12, "the new time")
        await walk(pilot)


async def test_a_storm_of_sizes_ends_with_a_whole_screen(
    full_run: Any, make_app: Make, until: Any, shown: Shown
) -> None:
    app = make_app(full_run[0])
    sizes = [(250, 18), (1, 1), (300, 2), (20, 100), (120, 40)]  # test_layout.py has the sizes that things fit in
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
        for key in PANES:
            await pilot.press(key)
            for size in sizes:
                pilot.app._driver._size = size  # type: ignore[union-attr]
                await pilot.resize_terminal(*size)
        await pilot.press("1")
        rows = shown(app).splitlines()
        assert len(rows) == 40 and {len(row) for row in rows} <= {*range(100, 121)}
        assert "step 42/60" in rows[0]


async def test_a_thread_that_reads_ends_with_the_dashboard(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot, until)
    deadline = time.monotonic() + 60
    while any(worker.is_running for worker in app.workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
