"""The question before every act on the run. The reason goes into the ledger with the act."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from azr_tui import keys
from azr_tui.escape import visible
from azr_tui.screens.live import Dialog
from azr_tui.widgets.field import Field


class ConfirmScreen(Dialog[str | None]):
    """Dismisses with the reason (maybe empty), or with None when it was cancelled.

    Enter in the reason confirms. ``needs_reason``: an act that loses or ends something must say why, so that
    no two stray keys can do it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, title: str, text: str, *, verb: str, needs_reason: bool = False) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._verb = verb
        self._needs_reason = needs_reason
        placeholder = "why (needed, goes on record)" if needs_reason else "why (may stay empty, goes on record)"
        self._reason = Field(placeholder=placeholder, max_length=500, id="reason")
        self._complaint = Static("", id="complaint", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(visible(self._title), classes="dialog-title", markup=False)
            yield Static(visible(self._text), markup=False)
            yield self._reason
            yield self._complaint
            with Horizontal(classes="dialog-buttons"):
                yield Button(f"{self._verb} (enter)", variant="warning", id="confirm", compact=True)
                yield Button("Cancel (esc)", id="cancel", compact=True)

    def on_mount(self) -> None:
        self._reason.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._confirm()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "confirm":
            self._confirm()
        else:
            self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _confirm(self) -> None:
        why = self._reason.value.strip()
        if self._needs_reason and not why:
            self._complaint.update("▲ Say why in a few words; it is recorded with the act.")
            self._reason.focus()
            return
        self.dismiss(why)
