"""A page of text over the screen; it scrolls, and closes with esc."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from azr_tui import keys
from azr_tui.document import Line
from azr_tui.escape import visible_line
from azr_tui.screens.live import Dialog
from azr_tui.widgets.marked_text import MarkedText


class PageScreen(Dialog[None]):
    """``lines`` are shown as they are: whoever makes them makes model text visible."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, title: str, lines: Sequence[str | Line]) -> None:
        super().__init__()
        self._title = title
        self._lines = [Line(line) if isinstance(line, str) else line for line in lines]
        self._text = MarkedText()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Static(f"{visible_line(self._title, 100)}   (esc: back)", classes="dialog-title", markup=False)
            yield self._text

    def on_mount(self) -> None:
        self._text.show(self._lines)
        self._text.focus()

    def action_cancel(self) -> None:
        self.dismiss(None)
