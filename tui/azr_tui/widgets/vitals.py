"""The update's vital figures, a line each: now, smallest, largest and the trend."""

from __future__ import annotations

from rich.text import Text

from azr_tui import metric_names, wording
from azr_tui.view import EMPTY, Series, Snapshot
from azr_tui.widgets.figures import VITALS
from azr_tui.widgets.plain import Plain

_PREFIX = 43
_WIDEST_TREND = 40


class Vitals(Plain):
    """For a length the smallest and largest are those of single responses, else those of the steps."""

    DEFAULT_CSS = """
    Vitals { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__(id="vitals")
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._snapshot is None:
            return
        trend = min(_WIDEST_TREND, self.size.width - _PREFIX - 1)
        lines = [Text(f"{'training':<17}{'now':>8} {'min':>8} {'max':>8}", style="bold underline")]
        lines += [vital_line(self._snapshot, name, trend) for name, _ in VITALS]
        text = Text("\n").join(lines)
        text.no_wrap, text.overflow = True, "crop"
        self.put(text)


def vital_line(snapshot: Snapshot, name: str, trend: int) -> Text:
    """One figure with its range."""
    series = snapshot.series(name)
    low, high = extremes(snapshot, name)
    metric = metric_names.known(name)
    words = (
        "length (tokens)" if name == "response_length/mean" else metric_names.label(name, unit=metric.unit == "nats")
    )
    text = Text(f"{words:<17.17}{metric_names.told(name, series.last):>8} ")
    text.append(f"{metric_names.told(name, low):>8} {metric_names.told(name, high):>8}", style="dim")
    return text.append(f" {wording.sparkline(series.values, trend)}") if trend >= 5 else text


def extremes(snapshot: Snapshot, name: str) -> tuple[float | None, float | None]:
    """The smallest and the largest on record: beside a mean, those of single items."""
    series, stem = snapshot.series(name), name.removesuffix("/mean")

    def edge(which: str) -> Series:
        return snapshot.series(f"{stem}/{which}") if stem != name else EMPTY

    low, high = edge("min").low, edge("max").high
    return (series.low if low is None else low), (series.high if high is None else high)
