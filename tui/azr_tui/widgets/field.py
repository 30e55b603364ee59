"""A line to type into."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input

from azr_tui.escape import visible


class Field(Input):
    """What is pasted into it is inert, and its cursor does not blink. While it is empty ``?`` and ``'`` mean what they
    mean elsewhere: help and jump."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """Text copied from a model would act on the terminal from here too."""
        return visible(value).replace("\n", "␊")

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return not self._passes(character) and super().check_consume_key(key, character)

    def on_key(self, event: events.Key) -> None:
        if self._passes(event.character):
            event.prevent_default()  # it is not inserted, and goes on to whoever is bound to it

    def _passes(self, character: str | None) -> bool:
        return not self.value and character in ("?", "'")
