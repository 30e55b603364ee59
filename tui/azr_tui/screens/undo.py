"""The last question before a rollback: what goes into quarantine, the seed, why, and the step typed once more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from azr_platform.ledger.records import Suspect, Undone
from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.screens.live import Dialog
from azr_tui.widgets.field import Field

_EXCLUDED = re.compile(r"(task|sample|rule):\S+")
_WORD = "rollback"


class Choice(NamedTuple):
    """A checkpoint by its step, what goes into quarantine, the new branch's seed (None: the one in force), and why."""

    step: int
    exclude: tuple[str, ...] = ()
    seed: int | None = None
    why: str = ""


class Suspects(OptionList):
    """Space ticks; enter goes on, so that nobody ticks by accident what was meant as a yes."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.SUSPECTS]

    def __init__(self, suspects: Sequence[Suspect], ticked: str) -> None:
        super().__init__(id="suspects", markup=False)
        self._suspects = suspects
        self.ticked = {ticked} if ticked else set()

    def on_mount(self) -> None:
        self.add_options([Option(self._prompt(one)) for one in self._suspects])
        self.highlighted = 0 if self._suspects else None

    def action_tick(self) -> None:
        if self.highlighted is not None:
            one = self._suspects[self.highlighted]
            self.ticked ^= {one.word}
            self.replace_option_prompt_at_index(self.highlighted, self._prompt(one))

    def action_go_on(self) -> None:
        """To what must be filled in; tab leads to what need not be."""
        self.screen.query_one("#why").focus()

    def _prompt(self, one: Suspect) -> Text:
        text = Text("[x] " if one.word in self.ticked else "[ ] ", no_wrap=True, overflow="ellipsis")
        count = f" ({wording.count(one.count, 'sample')})" if one.count > 1 else ""
        text.append(f"{wording.severity_label(one.severity).split(' ')[0]} {visible_line(one.word, 40)}{count}", "bold")
        return text.append(f"  {visible_line(one.why, 120)}", style="dim")


class UndoScreen(Dialog[Choice | None]):
    """Dismisses with the choice, or None. The supervisor looks at it again: it alone knows what is on record.

    ``suspect``: a sample by its number, ticked from the beginning where it is among those that could be drawn again.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, undone: Undone, suspect: int | None = None) -> None:
        super().__init__()
        self._undone = undone
        ticked = f"sample:{suspect}" if suspect is not None else ""
        self._all = undone.suspects
        self._suspects = Suspects(self._all, ticked)
        self._exclude = _field("exclude", "also: task:ID sample:NUMBER rule:ID")
        self._seed = _field("seed", "seed of the new branch (empty: the same)")
        self._why = _field("why", "why (needed, goes on record)")
        self._typed = _field("typed", f"type {undone.step} or {_WORD}, then enter")
        self._complaint = Static("", id="complaint", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(f"Roll back to step {self._undone.step}?", classes="dialog-title", markup=False)
            yield Static(_lost(self._undone), markup=False)
            if self._all:
                yield Static("Never to be drawn again (space ticks):", id="suspects-label", classes="dim", markup=False)
                yield self._suspects
            yield from (self._exclude, self._seed, self._why, self._typed, self._complaint)
            hint = "enter: next   tab: between fields   esc: cancel"
            yield Static(hint, classes="dim", markup=False)

    def on_mount(self) -> None:
        (self._suspects if self._all else self._why).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input is self._typed:
            self._decide()
        else:
            (self._typed if event.input is self._why else self._why).focus()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _decide(self) -> None:
        written = self._exclude.value.replace(",", " ").split()
        seed, why, typed = (field.value.strip() for field in (self._seed, self._why, self._typed))
        wrong = next((word for word in written if not _EXCLUDED.fullmatch(word)), None)
        if wrong is not None:
            self._complain(self._exclude, "Leave out task:ID, sample:NUMBER or rule:ID.")
        elif seed and not (seed.isascii() and seed.isdigit() and len(seed) < 19):
            self._complain(self._seed, "The seed is a whole number, or empty.")
        elif not why:
            self._complain(self._why, "Say why in a few words; it is recorded with the act.")
        elif typed not in (str(self._undone.step), _WORD):
            self._complain(self._typed, f"Type {self._undone.step} or {_WORD} to roll back.")
        else:
            ticked = [one.word for one in self._all if one.word in self._suspects.ticked]
            exclude = tuple(dict.fromkeys([*ticked, *written]))
            self.dismiss(Choice(self._undone.step, exclude, int(seed) if seed else None, why))

    def _complain(self, field: Input, text: str) -> None:
        self._complaint.update(f"▲ {text}")
        field.focus()


def _lost(found: Undone) -> str:
    held = found.held
    return (
        f"{wording.count(max(0, found.now - found.step), 'step')} ({wording.duration(found.seconds)}), "
        f"{wording.count(held.samples, 'sample')}, {wording.count(found.tasks, 'task')} and "
        f"{wording.count(held.alerts, 'alert')} ({held.alerts_open} open) are undone, and stay on record on branch "
        f"{found.branch}. Weights, optimizer, buffers and random states return to step {found.step}."
    )


def _field(name: str, placeholder: str) -> Field:
    return Field(placeholder=placeholder, max_length=500, id=name, compact=True)
