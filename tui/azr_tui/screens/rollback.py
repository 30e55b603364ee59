"""Which checkpoint to go back to, with what each one leaves behind, and what the new branch must not draw again."""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from azr_tui import keys, wording
from azr_tui.screens.live import Dialog
from azr_tui.view import Snapshot, undone
from azr_tui.widgets.field import Field

_EXCLUDED = re.compile(r"(task|sample|rule):\S+")


class Choice(NamedTuple):
    """A checkpoint by its step, what goes into quarantine, and the new branch's seed (None: the one in force)."""

    step: int
    exclude: tuple[str, ...] = ()
    seed: int | None = None


class RollbackScreen(Dialog[Choice | None]):
    """Dismisses with the choice, or None. The supervisor looks at it again: it alone knows what is on record.

    ``suspect``: a sample, by number and step, that is left out unless the user says otherwise.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, snapshot: Snapshot, now: float, suspect: tuple[int, int] | None = None) -> None:
        super().__init__()
        self._removed = snapshot.summary.checkpoints_removed
        self._steps: list[int] = []
        self._options: list[Option] = []
        for row in reversed(snapshot.checkpoints):
            if row.step in self._steps:
                continue
            self._steps.append(row.step)
            left, alerts = undone(snapshot, row.step)
            text = Text(f"step {row.step:<6} {wording.age(row.time, now):>4} ago   ")
            text.append(f"leaves behind {wording.count(left, 'step')}, {wording.count(alerts, 'alert')}", style="dim")
            self._options.append(Option(text))
        number, step = suspect or (0, 0)
        # The newest checkpoint that the sample had no part in; the newest of all when nothing is suspected.
        self._first = next((at for at, kept in enumerate(self._steps) if kept < step), 0)
        self._exclude = _field(
            "exclude", "leave out: task:ID sample:NUMBER rule:ID", f"sample:{number}" if number else ""
        )
        self._seed = _field("seed", "seed of the new branch (empty: the same)", "")
        self._complaint = Static("", id="complaint", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Roll back to which checkpoint?", classes="dialog-title", markup=False)
            if self._options:
                yield OptionList(*self._options, markup=False)
                if self._removed:
                    gone = f"{self._removed} more were removed, as the run's settings say."
                    yield Static(gone, classes="dim", markup=False)
                yield self._exclude
                yield self._seed
                yield self._complaint
                hint = "enter: choose (asks once more)   tab: leave out, seed   esc: cancel"
                yield Static(hint, classes="dim", markup=False)
            else:
                yield Static("There is no checkpoint on this branch yet.\n\nesc: back", markup=False)

    def on_mount(self) -> None:
        if self._options:
            self.query_one(OptionList).highlighted = self._first

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option_index)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._choose(self.query_one(OptionList).highlighted or 0)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _choose(self, index: int) -> None:
        excluded = tuple(self._exclude.value.replace(",", " ").split())
        seed = self._seed.value.strip()
        wrong = next((word for word in excluded if not _EXCLUDED.fullmatch(word)), None)
        if wrong is not None:
            self._complain(self._exclude, "Leave out task:ID, sample:NUMBER or rule:ID, with spaces between.")
        elif seed and not (seed.isascii() and seed.isdigit() and len(seed) < 19):
            self._complain(self._seed, "The seed is a whole number, or empty.")
        else:
            self.dismiss(Choice(self._steps[index], excluded, int(seed) if seed else None))

    def _complain(self, field: Input, text: str) -> None:
        self._complaint.update(f"▲ {text}")
        field.focus()


def _field(name: str, placeholder: str, value: str) -> Field:
    return Field(value, placeholder=placeholder, max_length=500, id=name, compact=True)
