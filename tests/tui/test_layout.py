"""Nothing overlaps and nothing leaves the screen, in any pane at any size, also while the size changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from textual.widget import Widget

from azr_tui.app import AzrApp

Make = Callable[..., AzrApp]
SIZES = [(60, 18), (72, 20), (80, 24), (100, 30), (120, 40), (170, 34), (200, 60), (250, 80)]


def _leaves(app: AzrApp) -> list[Widget]:
    """What is drawn: widgets without others inside."""
    every = [widget for widget in app.screen.walk_children(Widget) if widget.is_on_screen and widget.region.area]
    return [widget for widget in every if not any(child.display for child in widget.children)]


def _check(app: AzrApp, where: object) -> None:
    for widget in _leaves(app):
        assert app.screen.region.contains_region(widget.region), (where, widget, widget.region)
    for one, other in itertools.combinations(_leaves(app), 2):
        assert not one.region.overlaps(other.region), (where, one, one.region, other, other.region)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_nothing_overlaps_and_nothing_leaves_the_screen(
    full_run: Any, make_app: Make, until: Any, size: tuple[int, int]
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for name in app.panes.names:
            await app.panes.action_pane(name)
            await pilot.pause()
            _check(app, name)
        await app.panes.action_pane("training")
        await pilot.press("slash")
        _check(app, "a filter")
        await pilot.press("escape", "enter")
        _check(app, "one metric")
        await pilot.press("escape", "1", "question_mark")
        _check(app, "help")


async def test_nothing_overlaps_while_the_size_changes(full_run: Any, make_app: Make, until: Any) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for name in app.panes.names:
            await app.panes.action_pane(name)
            for width, height in ((250, 80), (60, 18), (118, 25), (80, 50)):
                await pilot.resize_terminal(width, height)
                await pilot.pause()
                _check(app, (name, width, height))


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_keys_to_pause_and_for_help_are_on_every_pane(
    full_run: Any, make_app: Make, until: Any, shown: Any, size: tuple[int, int]
) -> None:
    app = make_app(full_run[0])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None, "the run")
        for name in app.panes.names:
            await app.panes.action_pane(name)
            await pilot.pause()
            rows = shown(app).split("\n")
            assert all(len(row) == size[0] for row in rows), name
            assert "Pause" in rows[-1] and "? Help" in rows[-1], name
