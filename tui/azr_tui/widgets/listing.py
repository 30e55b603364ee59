"""A list of records in as many columns as there is room for; the last column takes what is left."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from rich.text import Text
from textual.message import Message

from azr_tui.widgets.rows import Rows

R = TypeVar("R")

_GAP = 1


class Column(NamedTuple):
    """A column: its label, its width in cells (of the last one: what it wants at least), and a record's cell in it.

    ``rank``: where not all fit, columns with the highest rank are left out first.
    """

    label: str
    width: int
    cell: Callable[[Any], Text]
    rank: int = 0
    right: bool = False


def chosen_columns(columns: Sequence[Column], room: int) -> list[tuple[Column, int]]:
    """(column, its width) for those that fit into ``room`` cells, in their order."""
    *fixed, last = columns
    kept = list(fixed)
    for column in sorted(fixed, key=lambda each: -each.rank):
        if sum(each.width + _GAP for each in kept) + last.width <= room or not column.rank:
            break
        kept.remove(column)
    rest = room - sum(column.width + _GAP for column in kept)
    return [*((column, column.width) for column in kept), (last, max(1, rest))]


class Listing(Rows, Generic[R]):
    """Enter on a row is ``Rows.Selected``; going on beyond the first or last row is ``Beyond``."""

    DEFAULT_CSS = """
    Listing { scrollbar-gutter: stable; }
    """

    @dataclass
    class Beyond(Message):
        """The cursor was moved on from the last row (1) or the first (-1)."""

        direction: int

    def __init__(self, columns: Sequence[Column], key: Callable[[R], Hashable], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(gap=_GAP, id=id)
        self._all = columns
        self._key = key
        self._room = 0
        self._records: Sequence[R] = ()
        self._shown: list[tuple[Column, int]] = []

    @property
    def records(self) -> Sequence[R]:
        """What is listed."""
        return self._records

    @property
    def chosen(self) -> R | None:
        """The record under the cursor."""
        return self._records[self.cursor_row] if self.cursor_row < len(self._records) else None

    def put(self, records: Sequence[R], cursor: int | None = None) -> None:
        """List these. The cursor goes to the row ``cursor``; None: it stays on its record, or where that was."""
        if cursor is None:
            cursor = self._place_in(records, self.chosen)
        self._records = records
        self.set_rows(len(records), self._cells_of, cursor)

    def columns_changed(self, columns: Sequence[Column]) -> None:
        """Other columns from now on."""
        self._all = columns
        self._room = 0
        self.on_resize()

    def on_resize(self) -> None:
        room = self.scrollable_content_region.width
        if room > 1 and room != self._room:
            self._room = room
            self._shown = chosen_columns(self._all, room)
            self.set_columns([(_label(column), width) for column, width in self._shown])
        super().on_resize()

    def action_cursor_down(self) -> None:
        self._move(1, super().action_cursor_down)

    def action_page_down(self) -> None:
        self._move(1, super().action_page_down)

    def action_cursor_up(self) -> None:
        self._move(-1, super().action_cursor_up)

    def action_page_up(self) -> None:
        self._move(-1, super().action_page_up)

    def _move(self, direction: int, move: Callable[[], None]) -> None:
        if self.cursor_row == (len(self._records) - 1 if direction > 0 else 0):
            self.post_message(self.Beyond(direction))
        else:
            move()

    def _place_in(self, records: Sequence[R], record: R | None) -> int:
        """The row of a record with the same key, or the one in sight when it is not listed any more."""
        if record is None:
            return self.cursor_row
        key = self._key(record)
        return next((place for place, each in enumerate(records) if self._key(each) == key), self.cursor_row)

    def _cells_of(self, row: int) -> list[Text]:
        record = self._records[row]
        cells = [_cut(column.cell(record), column, width) for column, width in self._shown]
        return [_without_colours(cell) for cell in cells] if row == self.cursor_row else cells


def _label(column: Column) -> Text:
    return Text(column.label, justify="right" if column.right else "left")


def _cut(cell: Text, column: Column, width: int) -> Text:
    """A cell with a … where something is left out."""
    cell.truncate(width, overflow="ellipsis")
    cell.justify = "right" if column.right else "left"
    return cell


def _without_colours(cell: Text) -> Text:
    """A cell of the row under the cursor, whose colour no other can be read on; what was searched for stays marked."""
    plain = Text(cell.plain, justify=cell.justify)
    for span in cell.spans:
        if "reverse" in str(span.style):
            plain.stylize(span.style, span.start, span.end)
    return plain
