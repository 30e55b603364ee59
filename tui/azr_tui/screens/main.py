"""The main screen: one pane at a time, and a line that says which there are."""

from __future__ import annotations

from asyncio import Lock
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import ContentSwitcher

from azr_tui import keys
from azr_tui.ahead import load_ahead
from azr_tui.screens.alerts import AlertsPane
from azr_tui.screens.checkpoints import CheckpointsPane
from azr_tui.screens.compare import ComparePane
from azr_tui.screens.live import LiveScreen, Pane
from azr_tui.screens.log import LogPane
from azr_tui.screens.overview import OverviewPane
from azr_tui.screens.policies import PoliciesPane
from azr_tui.screens.review import ReviewPane
from azr_tui.screens.samples import SamplesPane
from azr_tui.screens.tasks import TasksPane
from azr_tui.screens.training import TrainingPane
from azr_tui.view import View
from azr_tui.widgets.pane_line import PaneLine

_AHEAD = 0.2
"""Seconds between one pane that is made ready before anybody asks for it and the next."""
_AGES_GO_STALE = 10.0
"""Seconds after which a pane is drawn again though nothing new was recorded."""


class MainScreen(LiveScreen):
    """Hands each new view to the pane in sight."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.PANES]

    def __init__(self, compare: Path | None = None) -> None:
        super().__init__()
        self._alerts = AlertsPane()
        self._panes: list[Pane] = [
            OverviewPane(),
            TrainingPane(),
            SamplesPane(),
            self._alerts,
            ReviewPane(),
            TasksPane(),
            CheckpointsPane(),
            PoliciesPane(),
            LogPane(),
            ComparePane(compare),
        ]
        self._names = [str(pane.id) for pane in self._panes]
        self._line = PaneLine(self._names)
        self._first = self._panes[0 if compare is None else -1]
        self._switcher = ContentSwitcher(initial=self._first.id)
        self._view: View | None = None
        self._drawn = 0.0
        self._mounting = Lock()

    def body(self) -> ComposeResult:
        yield self._line
        with self._switcher:
            yield self._first

    def on_mount(self) -> None:
        self._draw_line()
        self.pane.enter()

    @property
    def names(self) -> list[str]:
        """The panes by their ids, in their order."""
        return self._names

    @property
    def pane(self) -> Pane:
        """The pane in sight."""
        return next(pane for pane in self._panes if pane.id == self._switcher.current)

    def show(self, view: View) -> None:
        super().show(view)
        last, self._view = self._view, view
        if view.snapshot is not None and (last is None or last.snapshot is None):
            self.set_timer(5 * _AHEAD, self._begin_ahead)  # the first look comes first
        self._alerts.begin(view)
        if last is None or view.snapshot is not last.snapshot or view.now - self._drawn >= _AGES_GO_STALE:
            self._drawn = view.now
            self.pane.show(view)
            self._draw_line()

    async def action_pane(self, name: str) -> None:
        await self._mount(next(pane for pane in self._panes if pane.id == name))
        self._switcher.current = name
        if self._view is not None:
            self.pane.show(self._view)
        self.pane.enter()
        self._draw_line()

    async def _begin_ahead(self) -> None:
        load_ahead()
        await self._make_ready()

    async def _make_ready(self) -> None:
        """Mount the next pane that nobody has seen yet: the screen was there the sooner for having one only."""
        pane = next((pane for pane in self._panes if not pane.is_attached), None)
        if pane is not None:
            await self._mount(pane)
            if self._view is not None:
                pane.call_later(pane.look_ahead, self._view)  # by itself, or what it asks for would end with us
            self.set_timer(_AHEAD, self._make_ready)

    async def _mount(self, pane: Pane) -> None:
        async with self._mounting:
            if not pane.is_attached:
                pane.display = False
                await self._switcher.mount(pane)

    async def action_next_pane(self, direction: int) -> None:
        here = self._names.index(str(self.pane.id))
        await self.action_pane(self._names[(here + direction) % len(self._names)])

    def _draw_line(self) -> None:
        snapshot = self._view.snapshot if self._view else None
        badges = {"alerts": snapshot.summary.alerts_open, "review": snapshot.summary.held} if snapshot else {}
        self._line.show(str(self._switcher.current), badges)
