"""Which checkpoint to go back to, with what each one leaves behind."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from azr_tui import keys, wording
from azr_tui.view import Snapshot, undone


class RollbackScreen(ModalScreen[int | None]):
    """Dismisses with the step of the chosen checkpoint, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        super().__init__()
        self._removed = snapshot.summary.checkpoints_removed
        steps: set[int] = set()
        self._steps: list[int] = []
        self._options: list[Option] = []
        for row in reversed(snapshot.checkpoints):
            if row.step in steps:
                continue
            steps.add(row.step)
            self._steps.append(row.step)
            left, alerts = undone(snapshot, row.step)
            text = Text(f"step {row.step:<6} {wording.age(row.time, now):>4} ago   ")
            text.append(f"leaves behind {wording.count(left, 'step')}, {wording.count(alerts, 'alert')}", style="dim")
            self._options.append(Option(text))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Roll back to which checkpoint?", classes="dialog-title", markup=False)
            if self._options:
                yield OptionList(*self._options, markup=False)
                if self._removed:
                    gone = f"{self._removed} more were removed, as the run's settings say."
                    yield Static(gone, classes="dim", markup=False)
                yield Static("enter: choose (asks once more)   esc: cancel", classes="dim", markup=False)
            else:
                yield Static("There is no checkpoint on this branch yet.\n\nesc: back", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._steps[event.option_index])

    def action_cancel(self) -> None:
        self.dismiss(None)
