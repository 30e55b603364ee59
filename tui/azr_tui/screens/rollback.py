"""Which checkpoint to go back to, with what each one would undo; then screens/undo.py asks for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from azr_platform.ledger.records import Undone
from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.questions import AskUndone, UndoneRead, Wanted
from azr_tui.screens.live import Dialog
from azr_tui.view import Snapshot


class RollbackScreen(Dialog[Undone | None]):
    """Dismisses with what the chosen return would undo, or None.

    ``before``: a step to be undone, so that the newest checkpoint before it is proposed, or else the oldest; ``at``:
    that of the checkpoint to propose; ``suspect``: a sample by its number, which should not be drawn again.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(
        self,
        snapshot: Snapshot,
        now: float,
        *,
        before: int | None = None,
        at: int | None = None,
        suspect: int | None = None,
    ) -> None:
        super().__init__()
        self._suspect = suspect
        self._removed = snapshot.summary.checkpoints_removed
        self._steps = list(dict.fromkeys(row.step for row in reversed(snapshot.checkpoints)))
        times = {row.step: row.time for row in snapshot.checkpoints}
        self._options = [Option(_line(snapshot, step, wording.age(times[step], now))) for step in self._steps]
        first = next((place for place, step in enumerate(self._steps) if before is None or step < before), -1)
        self._first = self._steps.index(at) if at in self._steps else first % max(1, len(self._steps))
        self._known: dict[int, Undone] = {}
        self._chosen: int | None = None
        self._preview = Static("", id="preview", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Roll back to which checkpoint?", classes="dialog-title", markup=False)
            if not self._options:
                yield Static("There is no checkpoint on this branch yet.\n\nesc: back", markup=False)
                return
            yield OptionList(*self._options, markup=False)
            if self._removed:
                gone = f"{self._removed} more were removed, as the run's settings say."
                yield Static(gone, classes="dim", markup=False)
            yield self._preview
            yield Static("enter: choose (asks once more)   esc: cancel", classes="dim", markup=False)

    def on_mount(self) -> None:
        if self._options:
            self.query_one(OptionList).highlighted = self._first

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        step = self._steps[event.option_index]
        if step not in self._known:
            self.post_message(Wanted(AskUndone(step, self._suspect), self.post_message))
        self._draw(step)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._chosen = self._steps[event.option_index]
        self._leave()

    def on_undone_read(self, answer: UndoneRead) -> None:
        self._known[answer.undone.step] = answer.undone
        highlighted = self.query_one(OptionList).highlighted
        self._draw(self._steps[highlighted or 0])
        self._leave()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _leave(self) -> None:
        if self._chosen is not None and self._chosen in self._known:
            self.dismiss(self._known[self._chosen])

    def _draw(self, step: int) -> None:
        found = self._known.get(step)
        self._preview.update(Text("\n".join(preview(found)) if found is not None else "reading what it would undo …"))


def preview(found: Undone) -> Iterator[str]:
    """What a return to a step undoes, in lines."""
    steps, held = found.now - found.step, found.held
    span = "nothing yet" if steps <= 0 else f"steps {found.step + 1} to {found.now}"
    yield f"undone    {span}, {wording.duration(found.seconds)} of work on branch {found.branch}"
    yield f"samples   {held.samples:,}, of them {held.blocked:,} blocked"
    yield f"alerts    {held.alerts:,}, of them {held.alerts_open:,} still open"
    yield f"tasks     {found.tasks:,} admitted since leave the buffers"
    yield f"buffers   {_buffers(found)}"
    yield f"kept      all of it stays on record, {wording.count(found.checkpoints, 'checkpoint')} with it"


def _buffers(found: Undone) -> str:
    moved = [
        f"{visible_line(kind, 12)} {wording.number(now)} -> {wording.number(then)}"
        for kind, (now, then) in sorted(found.buffers.items())
    ]
    return ", ".join(moved) or "as they were at that step"


def _line(snapshot: Snapshot, step: int, age: str) -> Text:
    left = max(0, snapshot.summary.step - step)
    return Text(f"step {step:<6} {age:>4} ago   ").append(f"leaves behind {wording.count(left, 'step')}", style="dim")
