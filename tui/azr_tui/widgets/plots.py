"""A plot on the screen, and the keys that look closer at one or at several that share their steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from textual.geometry import Size
from textual.widget import Widget

from azr_platform.ledger.records import MetricSpan
from azr_tui.plotting.draw import Plot, columns_of, draw
from azr_tui.plotting.metrics import in_spans, names_in
from azr_tui.plotting.zoom import Extent, Zoom
from azr_tui.questions import AskSpans, SpansRead, Wanted
from azr_tui.view import Series
from azr_tui.widgets.plain import Plain


class PlotView(Plain):
    """Draws a plot into whatever room it has."""

    DEFAULT_CSS = """
    PlotView { width: 1fr; height: 1fr; margin-right: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._plot = Plot("")
        self._zoom = Zoom()
        self._drawn: tuple[Plot, Zoom, Size] | None = None

    @property
    def plot(self) -> Plot:
        """What is drawn."""
        return self._plot

    @property
    def extent(self) -> Extent | None:
        """The steps there are to look at; None when there is no value yet."""
        return self._plot.extent(columns_of(self._plot, self.size.width))

    def show(self, plot: Plot, zoom: Zoom) -> None:
        """Draw ``plot`` from now on."""
        self._plot, self._zoom = plot, zoom
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """Nothing to do when what is there already is what was drawn: a plot takes a while."""
        wanted = (self._plot, self._zoom, self.size)
        if self.size.width > 0 and self.size.height > 0 and wanted != self._drawn:
            self._drawn = wanted
            self.put(draw(self._plot, self._zoom, self.size.width, self.size.height))


class Zooming(Widget):
    """The keys of ``keys.PLOT``, for whatever shows plots: they change one zoom, and ``redraw`` shows it."""

    zoom = Zoom()
    _asked: AskSpans | None = None
    _closer: Mapping[str, Series] = MappingProxyType({})
    _closer_of: AskSpans | None = None

    def extent(self) -> Extent | None:
        """The steps there are to look at."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw again, with ``zoom`` as it is now."""
        raise NotImplementedError

    def closer(self, shown: Iterable[str], metrics: Mapping[str, Series]) -> Mapping[str, Series]:
        """The metrics of the plots that are ``shown``, step by step where those on hand are told in spans of several;
        nothing while they are read, or when all steps are in sight."""
        extent = self.extent()
        names = [name for each in shown if in_spans(each, metrics) for name in names_in(each, metrics)]
        if extent is None or not self.zoom.span or not names:
            return {}
        question = AskSpans(tuple(names), *self.zoom.window(extent), 2 * extent.columns)
        if question != self._asked:
            self._asked = question
            self.post_message(Wanted(question, self.post_message))
        return self._closer if question == self._closer_of else {}

    def on_spans_read(self, answer: SpansRead) -> None:
        if answer.question == self._asked:
            self._closer_of = answer.question
            self._closer = {name: series_of(spans) for name, spans in answer.spans.items() if spans}
            self.look()

    def look(self) -> None:
        """Draw again what another zoom changes."""
        self.redraw()

    def action_plot_cursor(self, columns: int) -> None:
        extent = self.extent()
        if extent is not None:
            self._look(self.zoom.move(columns, extent))

    def action_plot_zoom(self, direction: int) -> None:
        extent = self.extent()
        if extent is not None:
            self._look(self.zoom.closer(extent) if direction > 0 else self.zoom.wider(extent))

    def action_plot_pan(self, direction: int) -> None:
        extent = self.extent()
        if extent is not None:
            self._look(self.zoom.pan(direction, extent))

    def action_plot_log(self) -> None:
        self._look(Zoom(self.zoom.span, self.zoom.last, self.zoom.cursor, not self.zoom.log))

    def action_plot_whole(self) -> None:
        self._look(Zoom(log=self.zoom.log))

    def _look(self, zoom: Zoom) -> None:
        self.zoom = zoom
        self.look()


def series_of(spans: Sequence[MetricSpan]) -> Series:
    """Spans as what a plot draws."""
    return Series(
        [span.last_step for span in spans],
        [span.mean for span in spans],
        [span.low for span in spans],
        [span.high for span in spans],
    )
