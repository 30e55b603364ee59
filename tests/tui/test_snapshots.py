"""Pictures of the dashboard, compared with pictures that were looked at. Renew with ``--snapshot-update`` and look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from azr_tui.app import AzrApp
from azr_tui.settings import Settings

Make = Callable[..., AzrApp]
TINY, SMALL, LARGE, HUGE = (60, 18), (80, 24), (120, 40), (200, 60)


@pytest.fixture(autouse=True)
def _same_terminal_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)


def prepare(until: Any, shown: Any, words: str, *keys: str, live: bool = False) -> Callable[[Pilot[None]], Any]:
    """Waits for the run, presses the keys one after the other, then waits for some words of the picture."""

    async def run_before(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, AzrApp)
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        if live:
            await until(pilot, lambda: app.view.steerable, "the supervisor")
        await pilot.pause()
        await pilot.press(*keys)
        await until(pilot, lambda: words in shown(app), words)

    return run_before


def _one_by_one(until: Any, shown: Any, words: str, *keys: str) -> Callable[[Pilot[None]], Any]:
    """As `prepare` does, but each key waits for what the one before asked of the ledger."""

    async def run_before(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, AzrApp)
        await until(pilot, lambda: app.view.snapshot is not None and app.view.steerable, "a live run")
        for key in keys:
            await pilot.press(key)
            expected = {"5": "wants something unseen", "enter": "Sample "}.get(key, "")
            await until(pilot, lambda: expected in shown(app), expected)  # noqa: B023 awaited here
            for _ in range(10):
                await pilot.pause(0.05)
        await until(pilot, lambda: words in shown(app), words)

    return run_before


# What is looked at in every size and in two themes: (name, keys, words that say that it is all there).
VIEWS: Sequence[tuple[str, tuple[str, ...], str]] = [
    ("overview", (), "Solve rate"),
    ("cursor", ("plus", "left", "left"), "step 4"),
    ("training", ("2",), "metrics"),
    ("metric", ("2", "enter", "left"), "at step"),
    ("samples", ("3",), "following"),
    ("alerts", ("4",), "metrics.length"),
    ("tasks", ("6",), "induction-42"),
    ("family", ("6", "enter"), "= this task"),
    ("checkpoints", ("7",), "└ ○ 40"),
    ("policies", ("8", "o"), "program.process"),
    ("log", ("9",), "acknowledge"),
    ("compare", ("0",), "solve rate"),
    ("sample", ("enter",), "BLOCKED"),
    ("help", ("question_mark",), "Keys and symbols"),
]
# What is looked at once.
ONCE: Sequence[tuple[str, tuple[str, ...], tuple[int, int], str, str]] = [
    ("tiny", (), TINY, "dark", "Solve rate"),
    ("tiny-training", ("2",), TINY, "light", "metrics"),
    ("tiny-tasks", ("6",), TINY, "dark", "induction-42"),
    ("filter", ("3", "slash", *"ver"), SMALL, "dark", "completes"),
    ("filtered", ("3", "slash", *"verdict:blocked", "space", *"rule:trace.*", "enter"), LARGE, "dark", "506-506"),
    ("found", ("3", "slash", *"outsmart", "enter"), LARGE, "light", "506-506"),
    ("rollback", ("b",), SMALL, "dark", "leaves behind"),
    ("undo", ("7", "up", "b", "enter"), SMALL, "dark", "Never to be drawn again"),
    ("stop", ("s",), SMALL, "light", "Stop the run?"),
    ("jump", ("apostrophe",), SMALL, "dark", " a "),
    ("entry", ("9", "enter"), SMALL, "light", "acknowledged"),
    ("high-contrast", (), LARGE, "high-contrast", "Solve rate"),
    ("ascii", (), LARGE, "ascii", "Solve rate"),
    ("ascii-alerts", ("4",), SMALL, "ascii", "metrics.length"),
]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [SMALL, LARGE, HUGE], ids=["80x24", "120x40", "200x60"])
@pytest.mark.parametrize(("keys", "words"), [view[1:] for view in VIEWS], ids=[view[0] for view in VIEWS])
def test_a_live_run_looks_right(
    full_run: Any,
    supervise: Any,
    make_app: Make,
    until: Any,
    shown: Any,
    snap_compare: Any,
    keys: tuple[str, ...],
    size: tuple[int, int],
    theme: str,
    words: str,
) -> None:
    supervise(full_run[0])
    before = prepare(until, shown, words, *keys, live=True)
    assert snap_compare(make_app(full_run[0], settings=Settings(theme=theme)), terminal_size=size, run_before=before)


@pytest.mark.parametrize(
    ("keys", "size", "theme", "words"), [view[1:] for view in ONCE], ids=[view[0] for view in ONCE]
)
def test_it_looks_right_once(
    full_run: Any,
    supervise: Any,
    make_app: Make,
    until: Any,
    shown: Any,
    snap_compare: Any,
    keys: tuple[str, ...],
    size: tuple[int, int],
    theme: str,
    words: str,
) -> None:
    supervise(full_run[0])
    before = prepare(until, shown, words, *keys, live=True)
    assert snap_compare(make_app(full_run[0], settings=Settings(theme=theme)), terminal_size=size, run_before=before)


@pytest.mark.parametrize(
    ("keys", "size", "words"),
    [
        (("5",), SMALL, "wants something unseen"),
        (("5",), LARGE, "wants something unseen"),
        (("5",), HUGE, "wants something unseen"),
        (("5", "enter"), SMALL, "HELD for a person"),
        (("5", "enter", "F"), SMALL, "A false alarm:"),
    ],
    ids=["queue", "queue-large", "queue-huge", "held", "decide"],
)
def test_what_waits_for_a_person_looks_right(
    full_run: Any,
    supervise: Any,
    make_app: Make,
    until: Any,
    shown: Any,
    snap_compare: Any,
    keys: tuple[str, ...],
    size: tuple[int, int],
    words: str,
) -> None:
    folder, run = full_run
    run.held_trace(42)
    supervise(folder)
    before = _one_by_one(until, shown, words, *keys)
    assert snap_compare(make_app(folder), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_a_run_without_a_step_looks_right(
    open_run: Any, make_app: Make, until: Any, shown: Any, snap_compare: Any, size: tuple[int, int]
) -> None:
    folder, run = open_run()
    run.begin()
    before = prepare(until, shown, "no step yet")
    assert snap_compare(make_app(folder), terminal_size=size, run_before=before)


def test_an_interrupted_run_looks_right(
    full_run: Any, make_app: Make, until: Any, shown: Any, snap_compare: Any
) -> None:
    folder, run = full_run
    run.writer.close()
    before = prepare(until, shown, "interrupted")
    assert snap_compare(make_app(folder), terminal_size=SMALL, run_before=before)


def test_without_colours_it_looks_right(
    full_run: Any, make_app: Make, until: Any, shown: Any, snap_compare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    before = prepare(until, shown, "following", "3")
    assert snap_compare(make_app(full_run[0]), terminal_size=SMALL, run_before=before)
