"""One metric on the whole screen: its curve, its values at the cursor, and the alerts of that step."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from azr_platform.ledger.records import AlertRow
from azr_tui import keys, metric_names
from azr_tui.messages import SampleWanted
from azr_tui.plotting.draw import Plot, at
from azr_tui.plotting.marks import alerts_on_line, marks_of
from azr_tui.plotting.metrics import plot_of
from azr_tui.plotting.zoom import Extent, Zoom
from azr_tui.screens.live import Kept, LiveScreen
from azr_tui.view import Snapshot, View
from azr_tui.widgets.alert_lines import alert_line
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.plots import PlotView, Zooming

_ALERTS = 3


class PlotScreen(Zooming, LiveScreen, Kept):
    """Up and down go on to other metrics; enter leads to the sample of the alert at the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.ONE_PLOT, *keys.PLOT]

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric
        self._view: View | None = None
        self._drawn: Snapshot | None = None
        self._plot = PlotView()
        self._values = Plain(id="plot-values")
        self._alerts = Plain(id="plot-alerts")

    def begin(self, metric: str) -> None:
        self._metric, self.zoom = metric, Zoom()
        self._drawn = None  # until it is shown a view, which is at once

    def body(self) -> ComposeResult:
        yield self._plot
        yield self._values
        yield self._alerts

    @property
    def metric(self) -> str:
        """The metric on display."""
        return self._metric

    def show(self, view: View) -> None:
        super().show(view)
        self._view = view
        if view.snapshot is not self._drawn:
            self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def extent(self) -> Extent | None:
        return self._plot.extent

    def redraw(self) -> None:
        snapshot = self._view.snapshot if self._view else None
        if snapshot is None or self._view is None:
            return
        self._drawn = snapshot
        closer = self.closer([self._metric], snapshot.metrics)
        plot = plot_of(self._metric, snapshot.metrics, marks_of(snapshot), closer=closer)
        self._plot.show(plot, self.zoom)
        self._values.put(_values(plot, self.zoom.cursor))
        found = self._at_cursor(snapshot)
        head = Text(_where(len(found), self.zoom.cursor), style="bold")
        lines = Text("\n").join([head, *(alert_line(alert, self._view.now) for alert in found[:_ALERTS])])
        lines.no_wrap, lines.overflow = True, "ellipsis"
        self._alerts.put(lines)

    def action_back(self) -> None:
        self.dismiss()

    def action_other(self, direction: int) -> None:
        snapshot = self._view.snapshot if self._view else None
        if snapshot is None:
            return
        names = metric_names.ordered(snapshot.metrics)
        here = names.index(self._metric) if self._metric in names else 0
        self._metric = names[(here + direction) % len(names)]
        self.redraw()

    def action_open(self) -> None:
        snapshot = self._view.snapshot if self._view else None
        found = self._at_cursor(snapshot) if snapshot else []
        sample = next((alert.sample for alert in found if alert.sample is not None), None)
        if sample is None:
            self.notify("No alert with a sample here; ← and → move the cursor.", markup=False)
        else:
            self.post_message(SampleWanted(sample))

    def _at_cursor(self, snapshot: Snapshot) -> list[AlertRow]:
        """The alerts of the steps under the cursor, or in sight while there is none: the worst first."""
        extent = self.extent()
        if extent is None:
            return []
        first, last = self.zoom.window(extent)
        if self.zoom.cursor is not None:
            around = max(1, round((last - first + 1) / max(1, extent.columns))) // 2  # a column holds so many steps
            first, last = self.zoom.cursor - around, self.zoom.cursor + around
        return [alert for alert in reversed(alerts_on_line(snapshot)) if first <= alert.step <= last]


def _values(plot: Plot, cursor: int | None) -> Text:
    """The legend, with each curve's value at the cursor, its smallest and its largest."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for curve in plot.curves:
        if not curve.series.values:
            continue
        text.append("   " if text.plain else "")
        if curve.sign:
            text.append(f"{curve.sign} {curve.name} ", style=f"bold {curve.style}")
        value = curve.series.last if cursor is None else at(curve.series, cursor)
        text.append(f"{'now ' if cursor is None else ''}{plot.told(value)}", style="bold")
        text.append(f", min {plot.told(curve.series.low)}, max {plot.told(curve.series.high)}", style="dim")
    return text


def _where(found: int, cursor: int | None) -> str:
    place = "in sight" if cursor is None else f"at step {cursor}"
    if not found:
        return f"no alerts {place}"
    return f"alerts {place}, worst first ({min(found, _ALERTS)} of {found}; enter: the sample)"
