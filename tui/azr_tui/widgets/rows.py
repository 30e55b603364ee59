"""A list of rows in columns, one line each; makes and draws only those in sight, so that its length costs nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Cells = Callable[[int], Sequence[Text]]
"""The cells of a row by its number, one for each column: plain text with styles, never markup."""


class Rows(ScrollView, can_focus=True):
    """The cursor is one row. Enter, or a click on the row under the cursor, is ``Selected``; a cursor that moved, or
    that came to stand on another row's content, is ``Highlighted``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Select", show=False),
        Binding("up", "cursor_up", "Row above", show=False),
        Binding("down", "cursor_down", "Row below", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home,ctrl+home", "scroll_home", "First row", show=False),
        Binding("end,ctrl+end", "scroll_end", "Last row", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--header", "rows--cursor", "rows--stripe"}
    DEFAULT_CSS = """
    Rows {
        height: 1fr;
        background: $surface;
        color: $foreground;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .rows--header { background: $panel; text-style: bold; }
        & > .rows--stripe { background: $surface-lighten-1 50%; }
        & > .rows--cursor {
            background: $block-cursor-blurred-background;
            color: $block-cursor-blurred-foreground;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .rows--cursor {
            background: $block-cursor-background;
            color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
        &:ansi > .rows--header { text-style: bold reverse; }
        &:ansi > .rows--cursor { text-style: reverse; }
    }
    """

    @dataclass
    class Selected(Message):
        """The row was chosen."""

        row: int

    @dataclass
    class Highlighted(Message):
        """The cursor came to the row."""

        row: int

    def __init__(self, *, gap: int = 1, id: str | None = None) -> None:  # noqa: A002 Textual's own name for it
        super().__init__(id=id)
        self._gap = gap
        self._columns: Sequence[tuple[Text, int]] = ()
        self._cells: Cells = lambda _: ()
        self._count = 0
        self._cursor = 0
        self._strips: dict[tuple[int, bool], Strip] = {}

    # -- what is listed ----------------------------------------------------------------------------------

    def set_columns(self, columns: Sequence[tuple[Text, int]]) -> None:
        """(label, width in cells) of each column. The cells are to be given anew."""
        self._columns = columns
        self._resized()

    def set_rows(self, count: int, cells: Cells, cursor: int | None = None) -> None:
        """List so many rows, with the cursor on one of them; None: on the row of the same number."""
        self._count, self._cells = count, cells
        self._cursor = max(0, min(self._cursor if cursor is None else cursor, count - 1))
        self._resized()
        self._show_cursor()
        self.post_message(self.Highlighted(self._cursor))

    @property
    def row_count(self) -> int:
        """How many rows are listed."""
        return self._count

    @property
    def cursor_row(self) -> int:
        """The number of the row under the cursor; 0 also when there is none."""
        return self._cursor

    def row(self, number: int) -> list[str]:
        """What stands in a row, as far as its columns are wide."""
        return [
            set_cell_size(cell.plain, width).rstrip()
            for cell, (_, width) in zip(self._cells(number), self._columns, strict=True)
        ]

    def move_cursor(self, row: int) -> None:
        """Put the cursor on a row, or the nearest one that there is, and bring it into sight."""
        row = max(0, min(row, self._count - 1))
        if row != self._cursor:
            for line in (self._cursor, row):
                self.refresh_line(line + 1)
            self._cursor = row
            self.post_message(self.Highlighted(row))
        self._show_cursor()

    # -- keys and mouse ----------------------------------------------------------------------------------

    def action_select_cursor(self) -> None:
        if self._count:
            self.post_message(self.Selected(self._cursor))

    def action_cursor_up(self) -> None:
        self.move_cursor(self._cursor - 1)

    def action_cursor_down(self) -> None:
        self.move_cursor(self._cursor + 1)

    def action_page_up(self) -> None:
        self.move_cursor(self._cursor - self._in_sight)

    def action_page_down(self) -> None:
        self.move_cursor(self._cursor + self._in_sight)

    def action_scroll_home(self) -> None:
        self.move_cursor(0)

    def action_scroll_end(self) -> None:
        self.move_cursor(self._count - 1)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        row = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or row >= self._count:
            return
        if row == self._cursor:
            self.action_select_cursor()
        else:
            self.move_cursor(row)

    # -- drawing -----------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The header stays at the top; below it the rows from the scrolled place on."""
        width = self.scrollable_content_region.width
        if y == 0:
            labels = [label for label, _ in self._columns]
            return self._strip(labels, self.get_component_rich_style("rows--header"), width)
        row = y - 1 + self.scroll_offset.y
        if row >= self._count:
            return Strip.blank(width, self.rich_style)
        key = (row, row == self._cursor)
        if key not in self._strips:
            style = self.rich_style
            if row == self._cursor:
                style = self.get_component_rich_style("rows--cursor")
            elif row % 2:
                style = self.get_component_rich_style("rows--stripe")
            self._strips[key] = self._strip(self._cells(row), style, width)
        return self._strips[key]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self) -> None:
        self._resized()
        self._show_cursor()

    def _strip(self, cells: Sequence[Text], style: Style, width: int) -> Strip:
        segments: list[Segment] = []
        gap = Segment(" " * self._gap, style)
        for cell, (_, room) in zip(cells, self._columns, strict=True):
            segments += [*_fitted(cell, room, style), gap]
        return Strip(segments).adjust_cell_length(width, style)

    def _resized(self) -> None:
        self._strips.clear()
        self.virtual_size = Size(self.scrollable_content_region.width, self._count + 1)
        self.refresh()

    @property
    def _in_sight(self) -> int:
        """Rows that fit below the header."""
        return max(1, self.scrollable_content_region.height - 1)

    def _show_cursor(self) -> None:
        above, below = self._cursor, self._cursor - self._in_sight + 1
        if self.scroll_offset.y > above or self.scroll_offset.y < below:
            self.scroll_to(y=above if self.scroll_offset.y > above else below, animate=False)


def _fitted(cell: Text, width: int, style: Style) -> list[Segment]:
    """A cell as segments of just this width, on the row's style."""
    room = width - cell_len(cell.plain)
    pad = Segment(" " * max(0, room), style)
    own = style + _style(cell.style)
    if not cell.spans:
        content = [Segment(cell.plain if room >= 0 else set_cell_size(cell.plain, width), own)]
    else:
        content = _spans(cell, own)
        if room < 0:
            content = list(Strip(content).crop(0, width))
    return [pad, *content] if cell.justify == "right" else [*content, pad]


def _spans(cell: Text, base: Style) -> list[Segment]:
    edges = sorted({0, len(cell.plain), *(min(edge, len(cell.plain)) for span in cell.spans for edge in span[:2])})
    segments = []
    for start, end in itertools.pairwise(edges):
        styles = [_style(span.style) for span in cell.spans if span.start <= start < span.end]
        segments.append(Segment(cell.plain[start:end], Style.combine([base, *styles])))
    return segments


def _style(style: str | Style) -> Style:
    return style if isinstance(style, Style) else Style.parse(style)
