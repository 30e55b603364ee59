"""A page of text over the screen; it scrolls, and closes with esc."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from azr_tui import keys
from azr_tui.document import Line
from azr_tui.escape import visible_line
from azr_tui.screens.live import Dialog, Kept
from azr_tui.widgets.marked_text import MarkedText
from azr_tui.widgets.plain import Plain


class PageScreen(Dialog[None], Kept):
    """``lines`` are shown as they are: whoever makes them makes model text visible."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, title: str, lines: Sequence[str | Line]) -> None:
        super().__init__()
        self._title, self._lines = title, lines
        self._head = Plain(classes="dialog-title")
        self._text = MarkedText()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield self._head
            yield self._text

    def on_mount(self) -> None:
        self._text.focus()
        self.begin(self._title, self._lines)

    def begin(self, title: str, lines: Sequence[str | Line]) -> None:
        self._head.put(Text(f"{visible_line(title, 100)}   (esc: back)", no_wrap=True, overflow="ellipsis"))
        self._text.show([Line(line) if isinstance(line, str) else line for line in lines])
        self._text.scroll_to(y=0, animate=False, immediate=True)

    def action_cancel(self) -> None:
        self.dismiss(None)
