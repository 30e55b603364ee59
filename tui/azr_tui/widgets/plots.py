"""A plot on the screen, and the keys that look closer at one or at several that share their steps."""

from __future__ import annotations

from textual.geometry import Size
from textual.widget import Widget

from azr_tui.plotting.draw import Plot, columns_of, draw
from azr_tui.plotting.zoom import Extent, Zoom
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

    def extent(self) -> Extent | None:
        """The steps there are to look at."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw again, with ``zoom`` as it is now."""
        raise NotImplementedError

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
        self.redraw()
