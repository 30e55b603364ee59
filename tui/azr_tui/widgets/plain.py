"""A static text that is never markup, and that costs nothing when nothing changed."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Plain(Static):
    """Shows ready-made ``Text``; lays out again only when the number of its lines changes."""

    def __init__(self, text: Text | str = "", *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(text, id=id, classes=classes, markup=False)
        self._put = Text()

    def put(self, text: Text) -> None:
        """Show ``text`` from now on."""
        if text == self._put and text.plain == self._put.plain:
            return
        layout = text.plain.count("\n") != self._put.plain.count("\n")
        self._put = text
        self.update(text, layout=layout)
