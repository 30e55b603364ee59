"""A scrollable text with marked places; draws only the rows in sight, so a text of megabytes is no burden."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from azr_tui.document import Line, Row, Span, wrap

STYLES = ("heading", "dim", "good", "bad", "mark", "found", "keyword", "string", "number", "comment", "name")


class MarkedText(ScrollView, can_focus=True):
    """Shows lines of a document wrapped to its width."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"marked-text--{name}" for name in STYLES}
    DEFAULT_CSS = """
    MarkedText {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & .marked-text--heading { text-style: bold; color: $primary; }
        & .marked-text--dim { color: $foreground 60%; }
        & .marked-text--good { color: $success; text-style: bold; }
        & .marked-text--bad { color: $error; text-style: bold; }
        & .marked-text--mark { text-style: bold reverse underline; color: $warning; }
        & .marked-text--found { text-style: bold reverse; color: $accent; }
        & .marked-text--keyword { color: $accent; text-style: bold; }
        & .marked-text--string { color: $success; }
        & .marked-text--number { color: $warning; }
        & .marked-text--comment { color: $foreground 60%; text-style: italic; }
        & .marked-text--name { color: $primary; }
    }
    """

    class Moved(Message):
        """Another part of the document is in sight."""

    @dataclass
    class Clicked(Message):
        """A line was clicked on."""

        line: Line

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 Textual's own name for it
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._rows: list[Row] = []
        self._wrapped_to = -1

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the document and keep the place."""
        self._lines = lines
        self._wrapped_to = -1
        self._wrap()
        self.refresh()

    @property
    def lines(self) -> Sequence[Line]:
        """The document on display."""
        return self._lines

    def on_resize(self) -> None:
        self._wrap()

    def render_line(self, y: int) -> Strip:
        """One row of the viewport."""
        width = self.scrollable_content_region.width
        place = y + self.scroll_offset.y
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[place]
        line = self._lines[row.line]
        segments = [Segment(line.gutter if row.start == 0 else " " * len(line.gutter), self._style("dim"))]
        segments.extend(self._segments(line, row))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def jump(self, direction: int) -> bool:
        """Scroll to the next (+1) or previous (-1) marked place; False when there is none."""
        stops = self._stops()
        here = self.scroll_offset.y + self._lead
        if direction > 0:
            target = next((stop for stop in stops if stop > here), None)
        else:
            target = next((stop for stop in reversed(stops) if stop < here), None)
        if target is None:
            return False
        self.scroll_to(y=max(0, target - self._lead), animate=False)
        return True

    def go_to(self, number: int, *, lead: bool = False) -> None:
        """Scroll so that a line is the first in sight; with ``lead`` a few before it are too."""
        row = next((place for place, row in enumerate(self._rows) if row.line == number), 0)
        self.scroll_to(y=max(0, row - (self._lead if lead else 0)), animate=False, force=True)

    @property
    def line_in_sight(self) -> int:
        """The number of the first line in sight."""
        place = self.scroll_offset.y
        return self._rows[place].line if place < len(self._rows) else max(0, len(self._lines) - 1)

    def marks(self) -> tuple[int, int]:
        """(how many marked places begin above or in the first third of the window, how many there are)."""
        stops = self._stops()
        here = self.scroll_offset.y + self._lead
        return sum(1 for stop in stops if stop <= here), len(stops)

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        place = event.y + self.scroll_offset.y
        if place < len(self._rows):
            self.post_message(self.Clicked(self._lines[self._rows[place].line]))

    def _stops(self) -> list[int]:
        return [index for index, row in enumerate(self._rows) if self._lines[row.line].stop and self._begins_mark(row)]

    @property
    def _lead(self) -> int:
        return min(3, max(0, self.size.height // 4))

    def _begins_mark(self, row: Row) -> bool:
        marks = self._lines[row.line].marks
        if not marks:
            return row.start == 0
        return any(row.start <= mark.start < max(row.end, row.start + 1) for mark in marks)

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        if width <= 0 or width == self._wrapped_to:
            return
        self._wrapped_to = width
        self._rows = wrap(self._lines, width)
        self.virtual_size = Size(width, len(self._rows))

    def _style(self, name: str) -> Style:
        if not name:
            return self.rich_style
        return self.rich_style + self.get_component_rich_style(f"marked-text--{name}", partial=True)

    def _segments(self, line: Line, row: Row) -> list[Segment]:
        colours = _within(line.colours, row)
        marks = [mark for mark in line.marks if mark.start < row.end and mark.end > row.start]
        edges = {row.start, row.end}
        for span in (*colours, *marks):
            edges.update((max(span.start, row.start), min(span.end, row.end)))
        segments: list[Segment] = []
        for start, end in pairwise(sorted(edges)):
            colour = next((span.style for span in colours if span.start <= start < span.end), line.style)
            mark = next((span.style for span in marks if span.start <= start < span.end), "")
            style = self._style(colour) + self._style(mark) if mark else self._style(colour)
            segments.append(Segment(line.text[start:end], style))
        return segments


def _within(spans: Sequence[Span], row: Row) -> list[Span]:
    """The spans that touch a row; ``spans`` are sorted and do not overlap."""
    first = max(0, bisect_left(spans, (row.start,)) - 1)
    found: list[Span] = []
    for span in spans[first:]:
        if span.start >= row.end:
            break
        if span.end > row.start:
            found.append(span)
    return found
