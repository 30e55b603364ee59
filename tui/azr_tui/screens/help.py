"""Every key and every symbol on one page, from the same lists that bind them."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from azr_monitor.records import Severity
from azr_tui import keys, wording
from azr_tui.document import Line, Span
from azr_tui.widgets.marked_text import MarkedText

_NAMES = {
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
}
_SYMBOLS = (
    ("● ‖ ■ ✔ ✖", "running, paused, stopped, finished, failed (the word stands beside it)"),
    ("✖ blocked", "the sample was used for nothing: no buffer, no prompt, no gradient"),
    ("‖ held", "the sample waits for a person's decision; until then it is used for nothing"),
    ("D A I", "deduction (find the output), abduction (an input), induction (the program)"),
    ("Q E", "a free question with an answer; what a program raises"),
    (
        "␛ ⇄ ∅ ␣ �",
        "characters of a model's text that would act or hide: control, direction, zero width, odd blank, unknown",
    ),
)


class HelpScreen(ModalScreen[None]):
    """Scrolls; closes with esc."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self) -> None:
        super().__init__()
        self._text = MarkedText()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Static(
                "Keys and symbols   (esc: back, ctrl+p: search all commands)", classes="dialog-title", markup=False
            )
            yield self._text

    def on_mount(self) -> None:
        self._text.show(help_lines())
        self._text.focus()

    def action_cancel(self) -> None:
        self.dismiss(None)


def help_lines() -> list[Line]:
    """The page as a document."""
    lines: list[Line] = []
    for group, bindings in keys.GROUPS.items():
        lines.append(Line(group, style="heading"))
        for binding in bindings:
            shown = " or ".join(_NAMES.get(key, key) for key in binding.key.split(","))
            lines.append(Line(binding.tooltip, f"{shown:>12}  "))
        lines.append(Line(""))
    lines.append(Line("Symbols", style="heading"))
    severities = "  ".join(wording.severity_label(severity) for severity in Severity)
    lines.append(Line(severities, f"{'severity':>12}  "))
    lines += [Line(meaning, f"{symbol:>12}  ") for symbol, meaning in _SYMBOLS]
    lines.append(Line("marked words are what a rule found", " " * 14, marks=(Span(0, 12, "mark"),)))
    return lines
