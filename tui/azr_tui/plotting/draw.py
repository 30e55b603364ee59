"""A plot as lines of text: a caption with values, curves with axes and units, marks on the axis of steps.

```
Response length (tokens)             step 31: 212
 400┤    ⢀⠔⠢⡀       the mean as a line, the smallest and largest beside it as a band of sparse dots
 200┤⠤⠒⠉    ⠑⠢⠤⣀
   0┤
    └──┬────▲──┬──   ▲: an alert, ↺: where a branch begins
step   20      40
```
Each curve has a letter at its end, so that no meaning hangs on colour.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from rich.cells import cell_len
from rich.text import Text

from azr_tui import wording
from azr_tui.plotting.canvas import Canvas
from azr_tui.plotting.ticks import powers, step_ticks, ticks
from azr_tui.plotting.zoom import Extent, Zoom
from azr_tui.view import EMPTY, Series

_LEAST_COLUMNS, _LEAST_ROWS = 8, 2
_DASH = 6  # columns of dots that a dash is long, and the gap after it
_FURTHEST = 1e150


@dataclass(frozen=True)
class Curve:
    """A line; ``sign`` is the letter at its end. ``low`` and ``high`` are the edges of the band beside it."""

    name: str
    sign: str
    style: str
    series: Series
    low: Series = EMPTY
    high: Series = EMPTY
    dashed: bool = False
    """Drawn with gaps, to be told from another curve without colours."""


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step, on the axis; of two in one column the later in the list is seen."""

    step: int
    sign: str
    style: str = ""


@dataclass(frozen=True)
class Plot:
    """What is drawn. ``floor`` and ``ceiling`` hold the axis of values open; the data may go beyond them."""

    caption: str
    unit: str = ""
    curves: Sequence[Curve] = ()
    marks: Sequence[Mark] = ()
    floor: float | None = None
    ceiling: float | None = None
    share: bool = False
    """Values are shares and are written as percentages."""
    steps: tuple[int, int] | None = None
    """The first and the last step there is, where the curves hold only some of them."""

    def extent(self, columns: int) -> Extent | None:
        """The steps that there are; None when there is no value yet."""
        if self.steps is not None:
            return Extent(*self.steps, columns)
        steps = [curve.series.steps for curve in self.curves if curve.series.values]
        if not steps:
            return None
        return Extent(min(each[0] for each in steps), max(each[-1] for each in steps), columns)

    def told(self, value: float | None) -> str:
        """A value in the plot's way of writing."""
        return wording.percent(value) if self.share else wording.short(value)


def columns_of(plot: Plot, width: int) -> int:
    """About how many columns the curves of a plot have within ``width``."""
    return max(1, width - 8 - _signs_width(plot))


def draw(plot: Plot, zoom: Zoom, width: int, height: int) -> Text:
    """``height`` lines of at most ``width`` cells."""
    extent = plot.extent(columns_of(plot, width))
    lines = [_caption(plot, zoom, extent, width)]
    rows = height - 3
    if extent is not None and rows >= _LEAST_ROWS:
        lines += _body(plot, zoom, extent, width, rows)
    text = Text("\n").join(lines[:height])
    text.no_wrap, text.overflow = True, "crop"
    return text


def at(series: Series, step: int) -> float | None:
    """The value at a step, or the newest before it; None where there is none."""
    place = bisect_left(series.steps, step)
    exact = place < len(series.steps) and series.steps[place] == step
    # A span is told by its last step, and holds those before it.
    inside = place < len(series.lows) and series.lows[place] != series.highs[place]
    if exact or inside:
        return series.values[place]
    return series.values[place - 1] if place else None


def _caption(plot: Plot, zoom: Zoom, extent: Extent | None, width: int) -> Text:
    """The name and the unit, and the values at the cursor; where room is short the unit goes first."""
    text = Text().append(plot.caption, style="bold")
    if extent is None:
        text.append(": no step yet", style="dim")
        text.truncate(width, overflow="ellipsis")
        return text
    step = extent.last if zoom.cursor is None else zoom.cursor
    values = Text().append("" if zoom.cursor is None else f"step {step}:", style="dim")
    for curve in plot.curves:
        if curve.series.values:
            values.append("  " if values.plain else "")
            values.append(f"{curve.sign} " if len(plot.curves) > 1 else "", style=f"bold {curve.style}")
            values.append(plot.told(at(curve.series, step)))
            if curve.high.values or curve.low.values:
                edges = (plot.told(at(edge, step)) for edge in (curve.low, curve.high) if edge.values)
                values.append(f" ({'–'.join(edges)})", style="dim")
    unit = ", ".join(filter(None, (plot.unit, "log scale" if zoom.log else "")))
    if unit and cell_len(plot.caption) + len(unit) + cell_len(values.plain) + 5 <= width:
        text.append(f" ({unit})", style="dim")
    room = width - cell_len(text.plain) - 2
    if room < cell_len(values.plain):
        values.truncate(max(0, room), overflow="ellipsis")
    text.append(" " * max(1, width - cell_len(text.plain) - cell_len(values.plain))).append_text(values)
    text.truncate(width, overflow="ellipsis")
    return text


def _body(plot: Plot, zoom: Zoom, extent: Extent, width: int, rows: int) -> list[Text]:
    first, last = zoom.window(extent)
    scale = _Scale.fit(plot, first, last, zoom.log)
    labels = [(scale.row(value, rows), scale.label(plot, value)) for value in scale.ticks(max(3, rows // 2))]
    gutter = max(4, *(cell_len(label) for _, label in labels))
    signs = _signs_width(plot)
    columns = width - gutter - 1 - signs
    if columns < _LEAST_COLUMNS:
        return []
    canvas = Canvas(columns, rows)
    for curve in plot.curves:
        _band(canvas, curve, scale, first, last)
    for curve in plot.curves:
        _curve(canvas, curve, scale, first, last)
    cursor = None if zoom.cursor is None else _column(zoom.cursor, first, last, columns)
    if cursor is not None and not 0 <= cursor < columns:
        cursor = None
    named = dict(reversed(labels))
    ends = _ends(plot, scale, last, rows)
    lines = []
    for row in range(rows):
        line = Text().append(f"{named.get(row, ''):>{gutter}}{'┤' if row in named else '│'}", style="dim")
        line.append_text(canvas.text(row, cursor))
        for curve in ends.get(row, ()):
            line.append(curve.sign, style=f"bold {curve.style}")
        lines.append(line)
    return [*lines, *_steps(plot, first, last, gutter, columns)]


def _steps(plot: Plot, first: int, last: int, gutter: int, columns: int) -> Iterator[Text]:
    """The axis of steps with its marks, and the steps' numbers below."""
    most = max(2, columns // (len(f"{last:,}") + 4))
    axis: list[tuple[str, str]] = [("─", "dim")] * columns
    numbers = [" "] * columns
    for step in step_ticks(first, last, most):
        column = _column(step, first, last, columns)
        label = f"{step:,}"
        start = min(max(0, column - len(label) // 2), columns - len(label))
        if start < 0 or any(char != " " for char in numbers[max(0, start - 1) : start + len(label) + 1]):
            continue
        axis[column] = ("┬", "dim")
        numbers[start : start + len(label)] = label
    for mark in plot.marks:
        if first <= mark.step <= last:
            axis[_column(mark.step, first, last, columns)] = (mark.sign, mark.style)
    line = Text().append(" " * gutter + "└", style="dim")
    for char, style in axis:
        line.append(char, style=style)
    yield line
    yield Text(f"{'step':>{gutter}} {''.join(numbers)}", style="dim")


def _column(step: int, first: int, last: int, columns: int) -> int:
    return round((step - first) / max(1, last - first) * (columns - 1))


def _signs_width(plot: Plot) -> int:
    return min(3, len(plot.curves)) if len(plot.curves) > 1 else 0


def _ends(plot: Plot, scale: _Scale, last: int, rows: int) -> dict[int, list[Curve]]:
    """Which letters stand at the right of which row."""
    ends: dict[int, list[Curve]] = {}
    if len(plot.curves) < 2:
        return ends
    for curve in plot.curves:
        value = at(curve.series, last)
        if value is not None and scale.shows(value):
            row = scale.row(scale.place(value), rows)
            # The next row with room: three letters to a row are told apart, six are not.
            free = next(
                (each for off in range(rows) for each in (row + off, row - off) if _room(ends, each, rows)), row
            )
            ends.setdefault(free, []).append(curve)
    return ends


def _room(ends: dict[int, list[Curve]], row: int, rows: int) -> bool:
    return 0 <= row < rows and len(ends.get(row, ())) < 3


def _held(value: float) -> float:
    """A value whose sums and differences are numbers still: a diverging run has others."""
    return max(-_FURTHEST, min(_FURTHEST, value))


@dataclass(frozen=True)
class _Scale:
    """The axis of values, in values or in their logarithms."""

    low: float
    high: float
    log: bool

    @staticmethod
    def fit(plot: Plot, first: int, last: int, log: bool) -> _Scale:
        """The range of what is in sight."""
        seen: list[float] = []
        for curve in plot.curves:
            for series, values in _ranges(curve):
                values = values[bisect_left(series.steps, first) : bisect_right(series.steps, last)]
                if log:
                    values = [value for value in values if value > 0]
                if values:
                    seen += (min(values), max(values))
        log = log and bool(seen)
        if not log:
            seen += [edge for edge in (plot.floor, plot.ceiling) if edge is not None]
        place = math.log10 if log else float
        low, high = place(_held(min(seen, default=0.0))), place(_held(max(seen, default=0.0)))
        if low == high:
            room = abs(low) * 0.1 or 0.5
            low, high = low - room, high + room
        return _Scale(low, high, log)

    def shows(self, value: float) -> bool:
        return value > 0 or not self.log

    def place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def share(self, place: float) -> float:
        """From 0 at the bottom to 1 at the top."""
        return min(1.0, max(0.0, (place - self.low) / (self.high - self.low)))

    def row(self, place: float, rows: int) -> int:
        return round((1 - self.share(place)) * (rows * 4 - 1)) // 4

    def ticks(self, most: int) -> list[float]:
        return powers(self.low, self.high, most) if self.log else ticks(self.low, self.high, most)

    def label(self, plot: Plot, place: float) -> str:
        if self.log:
            return plot.told(10.0**place)
        return plot.told(0.0 if abs(place) < 1e-12 else place)


def _ranges(curve: Curve) -> Iterator[tuple[Series, Sequence[float]]]:
    """All that a curve's drawing reaches to; a series of spans reaches beyond its means."""
    for series in (curve.series, curve.low, curve.high):
        yield series, series.lows or series.values
        yield series, series.highs or series.values


def _groups(canvas: Canvas, series: Series, first: int, last: int) -> list[tuple[int, int, int]]:
    """(column of dots, first place, place after the last) for each column that some of a series' places fall into."""
    steps, across = series.steps, canvas.across - 1
    width = max(1, last - first)
    place, end = bisect_left(steps, first), bisect_right(steps, last)
    groups = []
    while place < end:
        column = round((steps[place] - first) / width * across)
        # The steps that fall into the same column: up to half a column's width further.
        until = first + (column + 0.5) / max(1, across) * (last - first)
        stop = place + 1
        if stop < end and steps[stop] <= until:
            stop = bisect_right(steps, until, stop, end)
        groups.append((column, place, stop))
        place = stop
    return groups


def _rows(
    canvas: Canvas,
    series: Series,
    scale: _Scale,
    groups: Sequence[tuple[int, int, int]],
    merge: Callable[..., float],
) -> dict[int, int]:
    """For each column of dots that has values the row of dots of what ``merge`` makes of them: ``min`` of a span's
    lows, ``max`` of its highs, ``fmean`` of its means."""
    told = (series.lows if merge is min else series.highs if merge is max else ()) or series.values
    if told and max(-(series.low or 0.0), series.high or 0.0) > _FURTHEST:
        told = [_held(value) for value in told]
    found: dict[int, int] = {}
    low, reach, down, log = scale.low, scale.high - scale.low, canvas.down - 1, scale.log
    for column, place, stop in groups:
        if log:
            values = [value for value in told[place:stop] if value > 0]
            if not values:
                continue
            value = math.log10(merge(values))
        else:
            value = told[place] if stop == place + 1 else merge(told[place:stop])
        share = (value - low) / reach
        found[column] = round((1 - (0.0 if share < 0.0 else 1.0 if share > 1.0 else share)) * down)
    return found


def _curve(canvas: Canvas, curve: Curve, scale: _Scale, first: int, last: int) -> None:
    """The line through the means of the columns, with each column's smallest and largest value: no spike is lost."""
    groups = _groups(canvas, curve.series, first, last)
    means = _rows(canvas, curve.series, scale, groups, fmean)
    tops, bottoms = means, means
    if curve.series.lows or curve.series.highs or len(groups) < len(curve.series.steps):  # else each is one value
        tops = _rows(canvas, curve.series, scale, groups, max)
        bottoms = _rows(canvas, curve.series, scale, groups, min)
    for column, row in means.items():
        if curve.dashed and _gap(column):
            continue
        # On a log scale a span may reach below all that can be shown: to the edge.
        canvas.upright(column, tops.get(column, row), bottoms.get(column, canvas.down - 1), curve.style)
        canvas.dot(column, row, curve.style)
    for place, ((column, row), (next_column, next_row)) in enumerate(pairwise(means.items())):
        if curve.dashed and (place % 2 if next_column - column >= _DASH else _gap(column)):
            continue
        canvas.line(column, row, next_column, next_row, curve.style)


def _gap(column: int) -> bool:
    return column // _DASH % 2 == 1


def _band(canvas: Canvas, curve: Curve, scale: _Scale, first: int, last: int) -> None:
    """Sparse dots between the edges; where one edge is not recorded, up to the line itself."""
    if not curve.low.values and not curve.high.values:
        return
    high, low = curve.high if curve.high.values else curve.series, curve.low if curve.low.values else curve.series
    tops = _rows(canvas, high, scale, _groups(canvas, high, first, last), max)
    bottoms = _rows(canvas, low, scale, _groups(canvas, low, first, last), min)
    style = f"{curve.style} dim".strip()
    for column in range(0, canvas.across, 2):
        top, bottom = _along(tops, column), _along(bottoms, column)
        if top is not None and bottom is not None:
            canvas.dot(column, top, style)
            canvas.dot(column, bottom, style)
            if column % 8 == 0:
                for row in range(top + -(column + top) % 4, bottom, 4):
                    canvas.dot(column, row, style)


def _along(rows: dict[int, int], column: int) -> int | None:
    """The row at a column, straight between the columns that have one."""
    if column in rows:
        return rows[column]
    known = sorted(rows)
    place = bisect_left(known, column)
    if not 0 < place < len(known):
        return None
    before, after = known[place - 1], known[place]
    share = (column - before) / (after - before)
    return round(rows[before] + (rows[after] - rows[before]) * share)
