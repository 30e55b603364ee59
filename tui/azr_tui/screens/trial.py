"""What a change would do to past samples: which would be blocked, and which no longer; from here it is put in force."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Static

from azr_monitor.records import Amendment
from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.messages import AmendWanted, SampleWanted
from azr_tui.screens.live import LiveScreen
from azr_tui.trial import Told, Trial
from azr_tui.widgets.plain import Plain

NEWEST = 1000
_COLUMNS = (("sample", 7), ("step", 6), ("role", 7), ("kind", 9), ("was", 5), ("would", 6), ("cause and reason", 110))


class TrialScreen(LiveScreen):
    """``enter`` opens a sample, ``a`` judges all samples instead of the newest, ``x`` cancels, ``e`` puts it in force.

    ``amendment`` None: a file of rules or another policy, which comes into force with the run's policy file.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*keys.TRIAL]

    def __init__(self, run: Path, title: str, given: list[str], amendment: Amendment | None = None) -> None:
        super().__init__()
        self._run_folder = run
        self._heading = title
        self._given = given
        self._amendment = amendment
        self._newest: int | None = NEWEST
        self._trial: Trial | None = None
        self._head = Plain(id="trial-head")
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._told = Static("", classes="told", markup=False)

    def body(self) -> ComposeResult:
        yield self._head
        yield self._table
        yield self._told

    def on_mount(self) -> None:
        for name, width in _COLUMNS:
            self._table.add_column(Text(name), width=width)
        self._table.focus()
        self._begin()

    def on_unmount(self) -> None:
        if self._trial is not None:
            self._trial.cancel()

    def on_told(self, _: Told) -> None:
        self._draw()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if self._trial is not None and 0 <= event.cursor_row < len(self._trial.found.differences):
            self.post_message(SampleWanted(int(self._trial.found.differences[event.cursor_row]["sample"])))

    def action_all(self) -> None:
        self._newest = None if self._newest is not None else NEWEST
        self._begin()

    def action_cancel(self) -> None:
        if self._trial is not None:
            self._trial.cancel()

    def action_enable(self) -> None:
        if self._amendment is None:
            text = "Name it in the run's policy file and resume the run: files of rules come into force with it."
            self.notify(text, markup=False)
        else:
            self.post_message(AmendWanted(self._amendment))

    def action_back(self) -> None:
        self.dismiss()

    def _begin(self) -> None:
        if self._trial is not None:
            self._trial.cancel()
        self._table.clear()
        self._trial = Trial(self._run_folder, self._given, self._newest, self.post_message)
        self._draw()

    def _draw(self) -> None:
        assert self._trial is not None
        found = self._trial.found
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"try {visible_line(self._heading, 80)}   ", style="bold")
        share = found.judged / found.of if found.of else 0.0
        state = "done" if found.done else visible_line(found.trouble, 200) or "judging"
        text.append(f"{wording.meter(share, 10)} {found.judged:,}/{found.of:,} {state}")
        self._head.put(text)
        for one in found.differences[self._table.row_count :]:
            self._table.add_row(*_cells(one))
        words = f"{found.blocked:,} would be blocked that are not, {found.released:,} no longer."
        words += f" {found.unlisted:,} more not listed." if found.unlisted else ""
        words += " Nothing was written." if not self._trial.running else ""
        self._told.update(Text(words))


def _cells(one: dict[str, object]) -> list[Text]:
    worse = one.get("after") in ("hold", "block")
    return [
        Text(str(one.get("sample")), justify="right"),
        Text(str(one.get("step")), justify="right"),
        Text(visible_line(str(one.get("role")), 8)),
        Text(visible_line(str(one.get("kind")), 10)),
        Text(visible_line(str(one.get("before")), 6)),
        Text(
            f"{'✖' if worse else '●'} {visible_line(str(one.get('after')), 6)}", style="bold red" if worse else "green"
        ),
        Text(visible_line(f"{one.get('cause')}: {one.get('reason')}", 300)),
    ]
