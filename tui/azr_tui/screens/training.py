"""Pane 2: every metric the run records, in figures and, for the one under the cursor, as a plot."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input

from azr_tui import keys, metric_names, wording
from azr_tui.messages import PlotWanted
from azr_tui.plotting.marks import marks_of
from azr_tui.plotting.metrics import plot_of
from azr_tui.plotting.zoom import Extent
from azr_tui.screens.live import Pane
from azr_tui.view import Series, Snapshot, View
from azr_tui.widgets.field import Field
from azr_tui.widgets.plots import PlotView, Zooming
from azr_tui.widgets.rows import Rows

_FIGURES = 27
"""Columns of the three figures."""
_WIDEST_LABEL = 44


class TrainingPane(Zooming, Pane):
    """``/`` narrows the list to metrics with some words in their names; enter shows one on the whole screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.TRAINING, *keys.PLOT]

    def __init__(self) -> None:
        super().__init__(id="training")
        self._snapshot: Snapshot | None = None
        self._names: list[str] = []
        self._list = Rows(id="metrics")
        self._filter = Field(placeholder="words of a metric's name; esc: all", id="metrics-filter", compact=True)
        self._filter.display = False
        self._plot = PlotView()
        self._listed: tuple[Snapshot, int, str] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="metrics-side"):
            yield self._list
            yield self._filter
        yield self._plot

    def enter(self) -> None:
        self._list.focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_list)

    def show(self, view: View) -> None:
        if view.snapshot is not None:
            self._snapshot = view.snapshot
            self._draw_list()
            self.redraw()

    # -- the plot ----------------------------------------------------------------------------------------

    def extent(self) -> Extent | None:
        return self._plot.extent

    def redraw(self) -> None:
        name = self._chosen()
        if self._snapshot is not None and name is not None:
            metrics = self._snapshot.metrics
            plot = plot_of(name, metrics, marks_of(self._snapshot), closer=self.closer([name], metrics))
            self._plot.show(plot, self.zoom)

    def on_rows_highlighted(self, event: Rows.Highlighted) -> None:
        event.stop()
        self.redraw()

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        self.action_full()

    def action_full(self) -> None:
        name = self._chosen()
        if name is not None:
            self.post_message(PlotWanted(name))

    # -- the list ----------------------------------------------------------------------------------------

    def action_find(self) -> None:
        self._filter.display = True
        self._filter.focus()

    def action_all(self) -> None:
        """Away with the filter."""
        self._filter.value = ""
        self._filter.display = False
        self._list.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._draw_list()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._list.focus()

    def _chosen(self) -> str | None:
        return self._names[self._list.cursor_row] if self._names else None

    def _draw_list(self) -> None:
        snapshot, width = self._snapshot, self._list.scrollable_content_region.width
        if snapshot is None or width <= 0:
            return
        if self._listed == (snapshot, width, self._filter.value):
            return
        self._listed = (snapshot, width, self._filter.value)
        words = self._filter.value.lower().split()
        everything = metric_names.ordered(snapshot.metrics)
        kept = self._chosen()
        names = [name for name in everything if all(word in f"{name} {_label(name)}".lower() for word in words)]
        widest = max((cell_len(_label(name)) for name in names), default=10)
        label = max(8, min(widest, _WIDEST_LABEL, width - _FIGURES))

        def cells(row: int) -> list[Text]:
            return [_line(names[row], snapshot.metrics[names[row]], label, width, unit=label == widest)]

        self._names = names
        self._list.set_columns([(self._heading(len(names), len(everything), label), width)])
        self._list.set_rows(len(names), cells, names.index(kept) if kept in names else 0)

    def _heading(self, shown: int, of: int, label: int) -> Text:
        if not of:
            return Text("No step is done yet; the metrics of each step will stand here.", style="dim")
        title = f"{shown} of {of}" if shown < of else f"{of} metrics"
        text = Text(f"{title:<{label}.{label}}", style="bold")
        return text.append(f"{'now':>9}{'min':>9}{'max':>9}", style="bold")


def _label(name: str) -> str:
    return metric_names.label(name, unit=True)


def _line(name: str, series: Series, label: int, width: int, *, unit: bool) -> Text:
    text = Text(metric_names.label(name, unit=unit), no_wrap=True)
    text.truncate(label, overflow="ellipsis", pad=True)
    for value, style in ((series.last, ""), (series.low, "dim"), (series.high, "dim")):
        text.append(f"{metric_names.told(name, value):>9}", style=style)
    trend = width - label - _FIGURES - 1
    return text.append(f" {wording.sparkline(series.values, min(40, trend))}") if trend >= 5 else text
