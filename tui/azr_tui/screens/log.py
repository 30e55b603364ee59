"""Pane 9: who did what to the run, and what the run itself had to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from azr_platform.ledger.records import ControlRow
from azr_tui import keys, log_entries
from azr_tui.escape import visible_line
from azr_tui.log_entries import Loaded, Row, Which
from azr_tui.messages import ScreenWanted
from azr_tui.questions import AskLog, LogRead, Wanted
from azr_tui.screens.live import Pane
from azr_tui.screens.page import PageScreen
from azr_tui.view import View
from azr_tui.widgets.field import Field
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.rows import Rows

PAGE = 200
_TIME, _WHO = 14, 20


class LogPane(Pane):
    """Newest first. Older entries are read when the cursor comes to the end; enter shows one in full."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.LOG]

    def __init__(self) -> None:
        super().__init__(id="log")
        self._head = Plain(id="log-head")
        self._rows = Rows()
        self._filter = Field(placeholder="words; esc: all", id="log-filter", compact=True)
        self._filter.display = False
        self._view: View | None = None
        self._which = Which.ALL
        self._commands, self._notices = Loaded(), Loaded()
        self._listed: list[Row] = []
        self._asked: AskLog | None = None
        self._room = (_WHO, 40)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._rows
        yield self._filter

    def enter(self) -> None:
        self._rows.focus()

    def show(self, view: View) -> None:
        last, self._view = self._view, view
        if view.snapshot is None:
            return
        if view.of_another_run(last):
            self._commands, self._notices, self._asked = Loaded(), Loaded(), None
        if last is None or view.snapshot is not last.snapshot:
            self._ask(AskLog(None, None, PAGE))

    def on_resize(self) -> None:
        self._fill()

    # -- what is read ------------------------------------------------------------------------------------

    def on_log_read(self, answer: LogRead) -> None:
        question = answer.question
        newest = question.controls_beyond is None and question.notices_beyond is None
        commands, notices = self._commands, self._notices
        if newest:
            self._commands = commands.with_newer(answer.controls, question.size)
            self._notices = notices.with_newer(answer.notices, question.size)
            self._asked = None  # this question may have taken the place of one for older entries
        elif (question.controls_beyond, question.notices_beyond) == self._beyond():
            self._commands = commands.with_older(answer.controls, question.size)
            self._notices = notices.with_older(answer.notices, question.size)
            self._asked = None
        self._fill()

    def _beyond(self) -> tuple[int, int]:
        """Where the next page begins; 0 where nothing is older."""
        return self._commands.oldest or 0, self._notices.oldest or 0

    def _ask_older(self) -> None:
        if not (self._commands.complete and self._notices.complete):
            question = AskLog(*self._beyond(), PAGE)
            if question != self._asked:
                self._asked = question
                self._ask(question)

    def _ask(self, question: AskLog) -> None:
        self.post_message(Wanted(question, self.post_message))

    # -- what is listed ----------------------------------------------------------------------------------

    def on_rows_highlighted(self, event: Rows.Highlighted) -> None:
        event.stop()
        if self._listed and event.row >= len(self._listed) - 1:  # not in the place of the first page
            self._ask_older()

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        self.action_open()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._rows.focus()

    def action_open(self) -> None:
        if self._rows.cursor_row < len(self._listed):
            row = self._listed[self._rows.cursor_row]
            title = "A command" if isinstance(row, ControlRow) else "A notice"
            self.post_message(ScreenWanted(PageScreen, (title, log_entries.entry_lines(row))))

    def action_about(self) -> None:
        if self._view is not None and self._view.snapshot is not None:
            self.post_message(ScreenWanted(PageScreen, ("The run", log_entries.run_lines(self._view.snapshot))))

    def action_which(self) -> None:
        self._which = self._which.after()
        self._fill()

    def action_find(self) -> None:
        self._filter.display = True
        self._filter.focus()

    def action_all(self) -> None:
        """Away with the filter."""
        self._filter.value = ""
        self._filter.display = False
        self._rows.focus()
        self._fill()

    def _fill(self) -> None:
        width = self._rows.scrollable_content_region.width
        if width <= 0:
            return
        here = self._rows.cursor_row
        chosen = self._listed[here] if 0 < here < len(self._listed) else None  # at the top, the newest is followed
        self._listed = log_entries.merged(self._commands, self._notices, self._which, self._filter.value)
        who = _WHO if width >= 90 else 12
        self._room = who, max(10, width - _TIME - who - 3)
        labels = (("when (UTC)", _TIME), ("who", self._room[0]), ("what", self._room[1]))
        self._rows.set_columns([(Text(label), room) for label, room in labels])
        cursor = self._listed.index(chosen) if chosen in self._listed else min(here, len(self._listed)) if here else 0
        self._rows.set_rows(len(self._listed), self._cells, cursor)
        self._draw_head()
        self._fill_up()

    def _fill_up(self) -> None:
        """Read on while the list is shorter than its room: what is looked for may be among older entries."""
        parts = {Which.COMMANDS: self._commands, Which.NOTICES: self._notices}
        wanted = [part for which, part in parts.items() if self._which in (Which.ALL, which)]
        begun = all(part.rows or part.complete for part in parts.values())
        if begun and len(self._listed) < self._rows.size.height and not all(part.complete for part in wanted):
            self._ask_older()

    def _draw_head(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("showing ", style="dim").append(self._which.value, style="bold")
        if self._filter.value.strip():
            text.append(f" with {visible_line(self._filter.value, 30)}", style="bold")
        count = len(self._listed)
        text.append(f"   {count:,} {'entry' if count == 1 else 'entries'}")
        complete = self._commands.complete and self._notices.complete
        text.append("" if complete else ", more beyond the last")
        if not count:
            text.append("   nothing to show", style="dim")
        self._head.put(text)

    def _cells(self, number: int) -> Sequence[Text]:
        row = self._listed[number]
        before = self._listed[number - 1].time if number else None
        command = isinstance(row, ControlRow)
        failed = isinstance(row, ControlRow) and row.outcome.startswith(("refused", "failed"))
        style = "bold red" if failed else "bold" if command else ""
        return [
            Text(log_entries.clock(row.time, before), justify="right", style="dim"),
            _cut(log_entries.who(row), self._room[0], ""),
            _cut(log_entries.what(row), self._room[1], style),
        ]


def _cut(text: str, width: int, style: str) -> Text:
    shown = Text(visible_line(text, 400), style=style)
    shown.truncate(width, overflow="ellipsis")
    return shown
