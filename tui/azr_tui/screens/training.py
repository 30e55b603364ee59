"""Pane 2: every metric the run records."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from azr_tui.screens.live import Pane
from azr_tui.view import View
from azr_tui.widgets.metric_lines import MetricLines


class TrainingPane(Pane):
    """A scrolling list; names it does not know are listed too."""

    def __init__(self) -> None:
        super().__init__(id="training")
        self._scroll = VerticalScroll()
        self._lines = MetricLines()

    def compose(self) -> ComposeResult:
        with self._scroll:
            yield self._lines

    def enter(self) -> None:
        self._scroll.focus()

    def show(self, view: View) -> None:
        if view.snapshot is not None:
            self._lines.show(view.snapshot)
