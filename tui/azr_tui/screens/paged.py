"""A pane with a list that is read page by page and narrowed by what is typed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget

from azr_tui.query import Key, Query, with_term
from azr_tui.questions import Question, Wanted
from azr_tui.screens.live import Pane
from azr_tui.view import View
from azr_tui.widgets.filter_line import FilterLine
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.rows import Rows

R = TypeVar("R")

PAGE = 100


class PagedPane(Pane, Generic[R]):
    """The first page follows the run while the cursor is on its first row; else the page stands still, also while the
    run goes on, and says that there is something newer."""

    KEYS: ClassVar[Sequence[Key]] = ()
    WORDS: ClassVar[str] = "words"

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.query_ = self.parse("")
        self.filter_line = FilterLine(self.KEYS, self.parse, words=self.WORDS)
        self.listing: Listing[R] = Listing(self.columns(), self.key)
        self.view: View | None = None
        self._starts: list[Any] = [None]
        self._asked: Question | None = None
        self._answered: Question | None = None
        self._more = False
        self._read = False
        self._cursor: int | None = None
        self._opening = False

    # -- what a pane says of itself ----------------------------------------------------------------------

    @abstractmethod
    def parse(self, text: str) -> Query[Any]:
        """What a filter line means here."""

    @abstractmethod
    def columns(self) -> list[Column]:
        """The columns of the list."""

    @abstractmethod
    def key(self, row: R) -> Hashable:
        """What a row is told from others by."""

    @abstractmethod
    def question(self, beyond: Any) -> Question:
        """The page beyond a row."""

    @abstractmethod
    def beyond(self, row: R) -> Any:
        """What is told to a question so that its page begins after a row."""

    @abstractmethod
    def said(self) -> Text:
        """What stands behind the filter."""

    @abstractmethod
    def open(self, row: R) -> None:
        """Show what a row is about."""

    def held_at(self) -> Any:
        """What a page on which the cursor stands is asked for again with, so that newer rows do not move it; None where
        nothing newer comes before it."""
        return None

    def looked_at(self, row: R | None) -> None:
        """The cursor came to a row."""

    def below(self) -> Sequence[Widget]:
        """Widgets under the list."""
        return ()

    # -- the list ----------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.filter_line
        yield self.listing
        yield from self.below()

    def enter(self) -> None:
        self._to_list()
        self.ask()

    def _to_list(self) -> None:
        """Keys go to the list, from the very next one on: several may come at once over a slow line."""
        self.screen.set_focus(self.listing)

    def show(self, view: View) -> None:
        """Something may have been recorded: read the page in sight again."""
        last, self.view = self.view, view
        if view.of_another_run(last):
            self._starts, self._cursor, self._read = [None], 0, False
            self.listing.put([])
        if view.snapshot is not None and (last is None or view.snapshot is not last.snapshot):
            self.ask()
        self.draw_head()

    @property
    def page(self) -> int:
        """Which page is in sight, from 1."""
        return len(self._starts)

    @property
    def more(self) -> bool:
        """Whether there is a page after it."""
        return self._more

    @property
    def read(self) -> bool:
        """Whether anything has been read yet."""
        return self._read

    @property
    def settled(self) -> bool:
        """Whether what was asked for last is listed."""
        return self._answered is self._asked

    @property
    def following(self) -> bool:
        """Whether what is new appears at once."""
        return self._starts == [None] and self.listing.cursor_row == 0

    def ask(self) -> None:
        """Read the page in sight."""
        beyond = self._starts[-1]
        if beyond is None and not self.following:
            beyond = self.held_at()
        self._asked = self.question(beyond)
        self.post_message(Wanted(self._asked, self.post_message))

    def take(self, question: Question, rows: Sequence[R], more: bool) -> bool:
        """List a page, unless another one has been asked for since; whether it was listed."""
        if question != self._asked:
            return False
        self._answered = self._asked
        cursor = 0 if self._cursor is None and self.following else self._cursor
        self._more, self._read, self._cursor = more, True, None
        self.listing.put(rows, len(rows) - 1 if cursor == -1 else cursor)
        self.draw_head()
        if self._opening and (row := self.listing.chosen) is not None:
            self._opening = False
            self.open(row)
        return True

    def draw_head(self) -> None:
        """The filter line, with what is known of the list."""
        self.filter_line.show(self.query_, self.said())

    def neighbour(self, direction: int) -> bool:
        """Open the next row (1) or the one before (-1), over the ends of pages too; whether there is one."""
        to = self.listing.cursor_row + direction
        if 0 <= to < len(self.listing.records):
            self.listing.move_cursor(row=to)
            self.open(self.listing.records[to])
            return True
        self._opening = self.turn(direction)
        return self._opening

    def turn(self, direction: int) -> bool:
        """Go to the next page (1) or the one before (-1); whether there is one."""
        rows = self.listing.records
        if direction > 0 and self._more and rows:
            if self.page == 1 and self._starts[0] is None:
                self._starts[0] = self.held_at()  # so that the way back leads to the same rows
            self._starts.append(self.beyond(rows[-1]))
            self._cursor = 0
        elif direction < 0 and self.page > 1:
            self._starts.pop()
            self._cursor = -1
        else:
            return False
        self.ask()
        return True

    def narrow(self, text: str) -> None:
        """Another filter, from its first page."""
        self.query_ = self.parse(text)
        self._starts, self._cursor = [None], 0
        self.listing.move_cursor(row=0)
        self.draw_head()
        self.ask()

    def cycle(self, key: str, values: Sequence[str], now: str | None) -> None:
        """The next of some values of a term; after the last, none."""
        choices = [None, *values]
        here = choices.index(now) if now in choices else 0
        self.narrow(with_term(self.query_.text, key, choices[(here + 1) % len(choices)]))

    # -- keys --------------------------------------------------------------------------------------------

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        self.action_open()

    def on_rows_highlighted(self, event: Rows.Highlighted) -> None:
        event.stop()
        self.draw_head()
        self.looked_at(self.listing.chosen)

    def on_listing_beyond(self, event: Listing.Beyond) -> None:
        event.stop()
        if not self.turn(event.direction) and event.direction < 0:
            self.action_newest()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        event.stop()
        self._to_list()
        self.narrow(event.text)

    def on_filter_line_given_up(self, event: FilterLine.GivenUp) -> None:
        event.stop()
        self._to_list()

    def action_open(self) -> None:
        if (row := self.listing.chosen) is not None:
            self.open(row)

    def action_filter(self) -> None:
        self.filter_line.begin()

    def action_clear(self) -> None:
        if self.query_.text:
            self.narrow("")

    def action_page(self, direction: int) -> None:
        self.turn(direction)

    def action_newest(self) -> None:
        self._starts, self._cursor = [None], 0
        self.listing.move_cursor(row=0)
        self.ask()
