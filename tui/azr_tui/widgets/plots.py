"""Line plots over steps, one line a task kind. A letter at the end of each line says which, colour only helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual_plotext import PlotextPlot

from azr_platform.records import Kind
from azr_tui import wording
from azr_tui.view import Series
from azr_tui.widgets.plain import Plain


@dataclass(frozen=True)
class Curve:
    """One line of a plot."""

    kind: Kind
    series: Series


class KindPlot(Vertical):
    """Curves of the task kinds with axes and ticks, under a caption that names the unit."""

    DEFAULT_CSS = """
    KindPlot { width: 1fr; height: 1fr; min-width: 24; }
    KindPlot .caption { height: 1; width: 1fr; text-align: center; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, caption: str, *, unit: str, floor: float | None = None, ceiling: float | None = None) -> None:
        """``floor`` and ``ceiling`` fix the value axis; where one is None the data decides."""
        super().__init__()
        self._caption = caption
        self._unit = unit
        self._floor = floor
        self._ceiling = ceiling
        self._curves: Sequence[Curve] = ()
        self._head = Plain(classes="caption")
        self._plot = PlotextPlot()

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._plot

    def show(self, curves: Sequence[Curve], caption: str | None = None) -> None:
        """Draw these curves from now on."""
        self._curves = [curve for curve in curves if curve.series.values]
        self._caption = caption or self._caption
        self._plot_again()

    def on_resize(self) -> None:
        self._plot_again()

    def _plot_again(self) -> None:
        plt = cast(Any, self._plot.plt)
        plt.clear_figure()
        plt.xaxes(True, False)
        plt.yaxes(True, False)
        caption = Text(self._caption, style="bold")
        caption.append(f" ({self._unit})" if self._curves else ": no step yet", style="not bold dim")
        self._head.put(caption)
        if self._curves:
            self._draw(plt)
        else:
            plt.xticks([], [])
            plt.yticks([], [])
        self._plot.refresh()

    def _draw(self, plt: Any) -> None:
        first = min(curve.series.steps[0] for curve in self._curves)
        last = max(curve.series.steps[-1] for curve in self._curves)
        low, high = self._value_range()
        # Room at the right for a column of letters, one for each curve, that never hide one another.
        letter = max(1.0, (last - first) / max(10, self.size.width - 10)) * 1.5
        for index, curve in enumerate(self._curves):
            steps, values = _thin(curve.series, max(20, self.size.width))
            colour = wording.KIND_COLOURS[curve.kind]
            plt.plot(steps, values, marker="braille", color=colour)
            end, sign = last + letter * (index + 1), wording.KIND_LETTERS[curve.kind]
            plt.scatter([end], [values[-1]], marker=sign, color=colour)
        plt.xlim(first, last + letter * (len(self._curves) + 1))
        plt.ylim(low, high)
        middle = (low + high) / 2
        plt.yticks([low, middle, high], [self._tick(low), self._tick(middle), self._tick(high)])
        ticks = sorted({first, (first + last) // 2, last})
        plt.xticks(ticks, [f"{ticks[0]}", *(str(tick) for tick in ticks[1:-1]), f"{ticks[-1]} step"][: len(ticks)])

    def _value_range(self) -> tuple[float, float]:
        low = min(min(curve.series.values) for curve in self._curves)
        high = max(max(curve.series.values) for curve in self._curves)
        low = min(low, self._floor) if self._floor is not None else low
        high = max(high, self._ceiling) if self._ceiling is not None else high
        if low == high:
            low, high = low - 0.5, high + 0.5
        return low, high

    def _tick(self, value: float) -> str:
        return f"{wording.percent(value) if self._unit == '%' else f'{value:+.2f}':>5}"


def _thin(series: Series, most: int) -> tuple[list[float], list[float]]:
    """At most ``most`` points: means over equal stretches."""
    return wording.buckets([float(step) for step in series.steps], most), wording.buckets(series.values, most)
