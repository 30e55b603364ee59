"""Pictures of the dashboard, compared with pictures that were looked at. Renew with ``--snapshot-update`` and look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from textual.pilot import Pilot

from azr_tui.app import AzrApp

Make = Callable[..., AzrApp]
SMALL, LARGE = (80, 24), (120, 40)


@pytest.fixture(autouse=True)
def _same_terminal_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLORTERM", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)


def prepare(until: Any, *keys: str, live: bool = False) -> Callable[[Pilot[None]], Any]:
    """Waits for the run, then presses the keys one after the other."""

    async def run_before(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, AzrApp)
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        if live:
            await until(pilot, lambda: app.view.steerable, "the supervisor")
        await pilot.pause(0.3)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.4)

    return run_before


VIEWS: Iterable[tuple[str, tuple[str, ...], tuple[int, int]]] = [
    ("overview", (), SMALL),
    ("overview-large", (), LARGE),
    ("training", ("2",), SMALL),
    ("samples", ("3",), SMALL),
    ("samples-large", ("3",), LARGE),
    ("alerts", ("4",), SMALL),
    ("log", ("5",), SMALL),
    ("sample", ("enter",), SMALL),
    ("sample-large", ("a", "down", "down", "enter"), LARGE),
    ("rollback", ("b",), SMALL),
    ("stop", ("s",), SMALL),
    ("help", ("question_mark",), LARGE),
]


@pytest.mark.parametrize(("keys", "size"), [view[1:] for view in VIEWS], ids=[view[0] for view in VIEWS])
def test_a_live_run_looks_right(
    full_run: Any, supervise: Any, make_app: Make, until: Any, snap_compare: Any, keys: Any, size: Any
) -> None:
    supervise(full_run[0])
    assert snap_compare(make_app(full_run[0]), terminal_size=size, run_before=prepare(until, *keys, live=True))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_a_run_without_a_step_looks_right(
    open_run: Any, make_app: Make, until: Any, snap_compare: Any, size: Any
) -> None:
    folder, run = open_run()
    run.begin()
    assert snap_compare(make_app(folder), terminal_size=size, run_before=prepare(until))


def test_an_interrupted_run_looks_right(full_run: Any, make_app: Make, until: Any, snap_compare: Any) -> None:
    folder, run = full_run
    run.writer.close()
    assert snap_compare(make_app(folder), terminal_size=SMALL, run_before=prepare(until))


def test_without_colours_it_looks_right(
    full_run: Any, make_app: Make, until: Any, snap_compare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(make_app(full_run[0]), terminal_size=SMALL, run_before=prepare(until, "3"))
