"""Pane 1: is it learning, and is it safe. Verdicts, plots, figures, the worst alerts: as much as there is room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from azr_tui import keys
from azr_tui.messages import SampleWanted
from azr_tui.plotting.draw import Plot
from azr_tui.plotting.marks import marks_of
from azr_tui.plotting.metrics import names_in, plot_of
from azr_tui.plotting.zoom import Extent
from azr_tui.screens.live import Pane
from azr_tui.view import Snapshot, View
from azr_tui.widgets import figures
from azr_tui.widgets.alert_lines import AlertLines, worst_first
from azr_tui.widgets.group_table import GroupTable
from azr_tui.widgets.health_lines import HealthLines
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.plots import PlotView, Zooming
from azr_tui.widgets.vitals import Vitals

PLOTS = (
    ("reward/propose", "Reward, propose"),
    ("solve_rate", "Solve rate"),
    ("reward/solve", "Reward, solve"),
    ("response_length", "Response length"),
    ("entropy", "Entropy"),
    ("learnability", "Learnability"),
    ("approx_kl", "KL"),
    ("grad_norm", "Gradient"),
)
KEPT = (("reward/mean", "Reward"), ("oversight/blocked", "Share blocked"), ("samples", "Samples"))
"""What is drawn first of a log that was kept, which as a rule tells no more."""
_OF_A_LOG = "a log tells neither roles and kinds nor how the model was updated; 3: its samples"
_SUBJECTS = 5
_LEAST_PLOT = 7


class Arrangement(NamedTuple):
    """How many rows each part gets; 0: it is not shown."""

    health: int
    across: int
    down: int
    plot: int
    figures: int
    vitals: bool
    details: int
    alerts: int

    @property
    def plots(self) -> int:
        return self.across * self.down


def arrange(width: int, height: int, groups: int) -> Arrangement:
    """What a pane of ``width`` x ``height`` cells shows: plots always, the rest as it fits beside them."""
    across = 2 if width < 108 else 3 if width < 170 else 4
    health = _SUBJECTS if height >= 30 else 3 if height >= 12 else 2
    alerts = 3 if height >= 24 else 2
    down = 2 if height >= 28 else 1
    left = height - health - alerts - down * _LEAST_PLOT
    table = 1 + groups if width >= 70 and left > groups else min(1, max(0, left))
    details = min(10, max(6, height // 6)) if width >= 76 and left - table >= 6 and height >= 34 else 0
    left = height - health - alerts - table - details
    plot = min(16, left // down)
    alerts += left - plot * down
    return Arrangement(health, across, down, max(4, plot), table, width >= 108 and table > 1, details, max(2, alerts))


class OverviewPane(Zooming, Pane, can_focus=True):
    """``o`` goes on to further plots where not all of them are in sight."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.OVERVIEW, *keys.PLOT]

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._view: View | None = None
        self._turned = 0
        self._arranged: Arrangement | None = None
        self._health = HealthLines()
        self._plots = [PlotView() for _ in PLOTS]
        self._rows = [Horizontal(classes="plots"), Horizontal(classes="plots")]
        self._groups, self._vitals = GroupTable(), Vitals()
        self._line = Plain(id="vitals-line")
        self._figures = Horizontal(self._groups, self._vitals, id="figures")
        self._details = [Plain(classes="detail") for _ in range(3)]
        self._detail_row = Horizontal(*self._details, id="details")
        self._alerts = AlertLines()

    def compose(self) -> ComposeResult:
        yield self._health
        for row, plots in zip(self._rows, (self._plots[:4], self._plots[4:]), strict=True):
            with row:
                yield from plots
        yield self._figures
        yield self._line
        yield self._detail_row
        yield self._alerts

    def enter(self) -> None:
        self.focus()

    def on_resize(self) -> None:
        self.redraw()

    def show(self, view: View) -> None:
        self._view = view
        self.redraw()

    def extent(self) -> Extent | None:
        extents = [found for plot in self._shown() if (found := plot.extent) is not None]
        if not extents:
            return None
        return Extent(
            min(each.first for each in extents),
            max(each.last for each in extents),
            min(each.columns for each in extents),
        )

    def redraw(self) -> None:
        view = self._view
        if view is None or view.snapshot is None or not self.size.width:
            return
        arranged = arrange(self.size.width, self.size.height, len(view.snapshot.groups))
        if arranged != self._arranged:
            self._arrange(arranged)
        self._health.show(view)
        self._draw_plots(view.snapshot, arranged)
        if arranged.figures > 1:
            self._groups.show(view.snapshot)
            self._vitals.show(view.snapshot)
        elif arranged.figures:
            line = Text(_OF_A_LOG, style="dim") if view.kept else figures.vitals_line(view.snapshot)
            self._line.put(line)
        if arranged.details:
            self._draw_details(view.snapshot, arranged.details)
        self._alerts.show(view)

    def look(self) -> None:
        """Only the plots have a cursor and a zoom."""
        if self._view is not None and self._view.snapshot is not None and self._arranged is not None:
            self._draw_plots(self._view.snapshot, self._arranged)

    def _draw_plots(self, snapshot: Snapshot, arranged: Arrangement) -> None:
        for widget, plot in zip(self._shown(), self._chosen(snapshot, arranged.plots), strict=True):
            widget.show(plot, self.zoom)

    def action_open(self) -> None:
        """Show the sample behind the first alert listed that has one."""
        sample = next((alert.sample for alert in worst_first(self._view) if alert.sample is not None), None)
        if sample is not None:
            self.post_message(SampleWanted(sample))

    def action_other_plots(self) -> None:
        self._turned += 1
        self.redraw()

    def _shown(self) -> list[PlotView]:
        """The plots in sight, row by row."""
        down, across = (self._arranged.down, self._arranged.across) if self._arranged else (0, 0)
        return [plot for place, plot in enumerate(self._plots) if place // 4 < down and place % 4 < across]

    def _chosen(self, snapshot: Snapshot, count: int) -> list[Plot]:
        """What they show: of the plots for which the run has values, as many as there is room for."""
        plots = (*KEPT, *PLOTS) if snapshot.kept else PLOTS
        told = [each for each in plots if any(name in snapshot.metrics for name in names_in(each[0], snapshot.metrics))]
        told += [each for each in plots if each not in told][: max(0, count - len(told))]
        start = self._turned * count % len(told) if len(told) > count else 0
        chosen = (told[start:] + told[:start])[:count]
        marks, closer = marks_of(snapshot), self.closer([name for name, _ in chosen], snapshot.metrics)
        return [plot_of(name, snapshot.metrics, marks, caption, closer) for name, caption in chosen]

    def _arrange(self, arranged: Arrangement) -> None:
        self._arranged = arranged
        self._health.styles.height = arranged.health
        for down, row in enumerate(self._rows):
            row.display = down < arranged.down
            row.styles.height = arranged.plot
        for place, plot in enumerate(self._plots):
            plot.display = place // 4 < arranged.down and place % 4 < arranged.across
        self._figures.display = arranged.figures > 1
        self._figures.styles.height = arranged.figures
        self._vitals.display = arranged.vitals
        self._line.display = arranged.figures == 1
        self._detail_row.display = arranged.details > 0
        self._detail_row.styles.height = arranged.details
        self._alerts.styles.height = arranged.alerts

    def _draw_details(self, snapshot: Snapshot, height: int) -> None:
        width = max(20, self.size.width // 3 - 2)
        draw: tuple[Callable[[], Text], ...] = (
            lambda: figures.difficulty(snapshot, width, height),
            lambda: figures.step_time(snapshot, width, height),
            lambda: figures.machine(snapshot, height),
        )
        for widget, block in zip(self._details, draw, strict=True):
            widget.put(block())
