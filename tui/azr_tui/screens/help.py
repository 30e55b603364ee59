"""Every key and every symbol on one page, from the same lists that bind them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from azr_monitor.records import Severity
from azr_tui import keymap, keys, wording
from azr_tui.document import Line, Span
from azr_tui.screens.live import Dialog, Kept
from azr_tui.widgets.marked_text import MarkedText

_KEYS = 14
_SYMBOLS = (
    ("● ‖ ■ ✔ ✖", "running, paused, stopped, finished, failed (the word stands beside it)"),
    ("✔ ◇ ▲ ·", "a verdict on the run: good, look, look now, too early to say"),
    ("▲ △ ◇ ▽ ↺", "on the axis of a plot: an alert of that severity, the beginning of a branch"),
    ("✖ blocked", "the sample was used for nothing: no buffer, no prompt, no gradient"),
    ("‖ held", "the sample waits for a person's decision; until then it is used for nothing"),
    ("D A I", "deduction (find the output), abduction (an input), induction (the program)"),
    ("Q E", "a free question with an answer; what a program raises"),
    (
        "␛ ⇄ ∅ ␣ �",
        "characters of a model's text that would act or hide: control, direction, zero width, odd blank, unknown",
    ),
)


class HelpScreen(Dialog[None], Kept):
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
        self._text.show(help_lines(keymap.of(self.app)))
        self._text.focus()

    def begin(self) -> None:
        self._text.scroll_to(y=0, animate=False, immediate=True)

    def action_cancel(self) -> None:
        self.dismiss(None)

    async def action_help(self) -> None:
        self.dismiss(None)


def help_lines(own: Mapping[str, str] = MappingProxyType({})) -> list[Line]:
    """The page as a document, with a user's own keys; after each act its name, by which tui.toml gives it a key."""
    lines: list[Line] = []
    for group, bindings in keys.GROUPS.items():
        lines.append(Line(group, style="heading"))
        for shown, binding in keymap.acts_of(bindings, own):
            text = f"{binding.tooltip}  {binding.id}"
            name = Span(len(binding.tooltip) + 2, len(text), "dim")
            lines.append(Line(text, f"{shown:>{_KEYS}}  ", colours=(name,)))
        lines.append(Line(""))
    lines.append(Line("Symbols", style="heading"))
    severities = "  ".join(wording.severity_label(severity) for severity in Severity)
    lines.append(Line(severities, f"{'severity':>{_KEYS}}  "))
    lines += [Line(meaning, f"{symbol:>{_KEYS}}  ") for symbol, meaning in _SYMBOLS]
    lines.append(Line("marked words are what a rule found", " " * (_KEYS + 2), marks=(Span(0, 12, "mark"),)))
    return lines
