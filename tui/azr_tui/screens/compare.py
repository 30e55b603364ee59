"""Pane 0: two runs or two branches overlaid; A is this run, B the other one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from azr_platform.ledger.records import MetricSpan
from azr_tui import keys, metric_names, wording
from azr_tui.comparison import (
    AskComparison,
    AskCurves,
    ComparisonRead,
    CurvesRead,
    Row,
    Side,
    difference,
    rows,
    settings_apart,
)
from azr_tui.document import Line
from azr_tui.escape import visible_line
from azr_tui.messages import ScreenWanted
from azr_tui.plotting.draw import Curve, Plot
from azr_tui.plotting.zoom import Extent
from azr_tui.questions import Wanted
from azr_tui.screens.live import Pane
from azr_tui.screens.page import PageScreen
from azr_tui.screens.pick import PickScreen
from azr_tui.view import Series, View
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.plots import PlotView, Zooming
from azr_tui.widgets.rows import Rows

_FIGURES = ("last", "best", "mean")
_NUMBER = 9
_WIDE = 112
_FIRST = "solve_rate/deduction"


class ComparePane(Zooming, Pane):
    """The metric under the cursor is drawn; ``o`` chooses the other run, ``v`` and ``V`` the branches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.COMPARE,
        # The list would take the arrows, with which it does nothing.
        *(replace(binding, priority=binding.action.startswith("plot_cursor")) for binding in keys.PLOT),
    ]

    def __init__(self, other: Path | None = None) -> None:
        super().__init__(id="compare")
        self._head = Plain(id="compare-head")
        self._plot = PlotView()
        self._list: Listing[Row] = Listing([Column("metric", 16, _label)], key=lambda row: row.name)
        self._other = other
        self._branch, self._other_branch = 0, 0
        self._metric = _FIRST
        self._answer: ComparisonRead | None = None
        self._curves: CurvesRead | None = None
        self._figure = "last"
        self._view: View | None = None
        self._step = -1
        self._width = 0

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._plot
        yield self._list

    def enter(self) -> None:
        self._list.focus()

    def look_ahead(self, view: View) -> None:
        self.show(view)

    def show(self, view: View) -> None:
        first, self._view = self._view is None, view
        if view.snapshot is not None and (first or view.snapshot.summary.step != self._step):
            self._step = view.snapshot.summary.step
            self._ask()

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width != self._width:
            self._width = event.size.width
            self._lay_out()

    def on_comparison_read(self, answer: ComparisonRead) -> None:
        if answer.question != self._question():
            return
        self._answer = answer
        self._fill()
        self._draw_head(answer)
        self._ask_curves()

    def on_curves_read(self, answer: CurvesRead) -> None:
        if self._answer is not None and answer.question == AskCurves.of(self._metric, self._answer):
            self._curves = answer
            self.redraw()

    # -- the plot ----------------------------------------------------------------------------------------

    def extent(self) -> Extent | None:
        return self._plot.extent

    def redraw(self) -> None:
        read = self._curves
        if read is None:
            return
        metric = metric_names.known(read.question.metric)
        curves = [Curve("A", "A", "bright_blue", _line(read.mine))]
        if read.question.other is not None:
            curves.append(Curve("B", "B", "bright_yellow", _line(read.other), dashed=True))
        caption = metric_names.label(read.question.metric)
        plot = Plot(caption, metric.unit, curves, floor=metric.floor, ceiling=metric.ceiling, share=metric.share)
        self._plot.show(plot, self.zoom)

    def _draw_head(self, answer: ComparisonRead) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("A ", "bold bright_blue").append(_name(answer.mine))
        text.append("   B - - ", "bold bright_yellow")
        text.append(_name(answer.other) if answer.other is not None else visible_line(answer.trouble, 200))
        self._head.put(text)

    # -- keys --------------------------------------------------------------------------------------------

    def on_rows_highlighted(self, event: Rows.Highlighted) -> None:
        event.stop()
        row = self._list.chosen  # where the cursor is now: it may have moved on since
        if row is not None and row.name != self._metric:
            self._metric = row.name
            self._ask_curves()

    def action_other(self) -> None:
        if self._answer is None:
            return
        runs: list[Path | None] = [None, *self._answer.runs]
        names = ["this run, another branch" if run is None else run.name for run in runs]

        def chosen(place: int | None) -> None:
            if place is not None:
                self._other, self._other_branch = runs[place], 1 if runs[place] is None else 0
                self._ask()

        self.app.push_screen(PickScreen("Compare with which run?", names), chosen)

    def action_branch(self, of_other: bool) -> None:
        answer = self._answer
        one = (answer.other if of_other else answer.mine) if answer is not None else None
        if one is None or len(one.branches) < 2:
            self.notify("There is one branch only.", markup=False)
            return
        following = one.branches[(one.branches.index(one.branch) + 1) % len(one.branches)]
        if of_other:
            self._other_branch = following
        else:
            self._branch = following
        self._ask()

    def action_figure(self) -> None:
        self._figure = _FIGURES[(_FIGURES.index(self._figure) + 1) % len(_FIGURES)]
        self._lay_out()

    def action_apart(self) -> None:
        if self._answer is not None and self._answer.other is not None:
            lines = list(apart_lines(self._answer.mine, self._answer.other))
            self.post_message(ScreenWanted(PageScreen, ("In what they differ", lines)))

    # -- inside ------------------------------------------------------------------------------------------

    def _question(self) -> AskComparison:
        assert self._view is not None
        return AskComparison(self._view.run, self._branch, self._other, self._other_branch)

    def _ask(self) -> None:
        if self._view is not None:
            self.post_message(Wanted(self._question(), self.post_message))

    def _ask_curves(self) -> None:
        if self._answer is not None:
            self.post_message(Wanted(AskCurves.of(self._metric, self._answer), self.post_message))

    @property
    def _shown(self) -> tuple[str, ...]:
        return _FIGURES if self._width >= _WIDE else (self._figure,)

    def _lay_out(self) -> None:
        figures = [
            Column(f"{figure} {side}", _NUMBER, _cell(figure, place), right=True)
            for figure in self._shown
            for place, side in enumerate(("A", "B", "B-A"))
        ]
        name = max(16, min(34, self._width - (_NUMBER + 1) * len(figures) - 3))
        self._list.columns_changed([Column("metric", name, _label), *figures])

    def _fill(self) -> None:
        if self._answer is None:
            return
        answer = self._answer
        names = {*answer.mine.totals, *(answer.other.totals if answer.other is not None else ())}
        listed = rows(answer.mine, answer.other, metric_names.ordered(names))
        here = next((place for place, row in enumerate(listed) if row.name == self._metric), 0)
        self._list.put(listed, here)


def _label(row: Row) -> Text:
    return Text(visible_line(metric_names.label(row.name), 40))


def _cell(figure: str, place: int) -> Callable[[Row], Text]:
    """A figure of A, of B, or what lies between them."""

    def cell(row: Row) -> Text:
        pair: tuple[float | None, float | None] = getattr(row, figure)
        if place < 2:
            return Text(wording.number(pair[place]))
        apart = difference(pair)
        return Text(wording.number(apart, signed=True), style="bold" if apart else "dim")

    return cell


def _line(spans: Sequence[MetricSpan]) -> Series:
    """Through the means alone: of two that are drawn with their extremes the one hides the other."""
    return Series([span.last_step for span in spans], [span.mean for span in spans])


def _name(side: Side) -> str:
    return f"{visible_line(side.run, 24)} branch {side.branch} step {side.step} {visible_line(side.state, 20)}"


def apart_lines(mine: Side, other: Side) -> Iterator[Line]:
    """How large both are, and every setting of configuration and policy that is not the same."""
    yield Line("The runs", style="heading")
    for name, one in (("A", mine), ("B", other)):
        share = wording.percent(one.blocked / one.samples if one.samples else None)
        held = f"{wording.count(one.samples, 'sample')}, {share} blocked, {wording.count(one.alerts, 'alert')}"
        yield Line(f"{name} {_name(one)}: {held} on this branch")
    for heading, left, right in (
        ("Configuration", mine.config, other.config),
        ("Policy", mine.policy, other.policy),
    ):
        yield Line("")
        yield Line(heading, style="heading")
        if not left or not right:
            yield Line("not on record for both", style="dim")
            continue
        found = settings_apart(left, right)
        if not found:
            yield Line("the same", style="dim")
        for setting, value, others in found:
            yield Line(f"{visible_line(setting, 60)}: {visible_line(value, 80)} -> {visible_line(others, 80)}")
