"""What a change would do to past samples: which would be blocked, and which no longer; from here it is put in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from azr_monitor.records import Amendment
from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.messages import AmendWanted, SampleWanted
from azr_tui.screens.live import LiveScreen
from azr_tui.trial import Told, Trial
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.rows import Rows

NEWEST = 1000


Difference = dict[str, Any]
"""What a trial tells of one sample; every word in it may be the model's."""


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
        self._list: Listing[Difference] = Listing(_COLUMNS, key=lambda one: one.get("sample"))
        self._told = Static("", classes="told", markup=False)

    def body(self) -> ComposeResult:
        yield self._head
        yield self._list
        yield self._told

    def on_mount(self) -> None:
        self._list.focus()
        self._begin()

    def on_unmount(self) -> None:
        if self._trial is not None:
            self._trial.cancel()

    def on_told(self, _: Told) -> None:
        self._draw()

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        if self._list.chosen is not None:
            self.post_message(SampleWanted(int(self._list.chosen["sample"])))

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
        self._list.put([])
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
        if len(found.differences) != len(self._list.records):
            self._list.put(list(found.differences))
        words = f"{found.blocked:,} would be blocked that are not, {found.released:,} no longer."
        words += f" {found.unlisted:,} more not listed." if found.unlisted else ""
        words += " Nothing was written." if not self._trial.running else ""
        self._told.update(Text(words))


def _said(name: str, width: int) -> Callable[[Difference], Text]:
    return lambda one: Text(visible_line(str(one.get(name)), width))


def _after(one: Difference) -> Text:
    worse = one.get("after") in ("hold", "block")
    told = visible_line(str(one.get("after")), 6)
    return Text(f"{'✖' if worse else '●'} {told}", style="bold red" if worse else "green")


_COLUMNS = (
    Column("sample", 7, _said("sample", 8), right=True),
    Column("step", 6, _said("step", 7), right=True),
    Column("role", 7, _said("role", 8), 1),
    Column("kind", 9, _said("kind", 10), 2),
    Column("was", 5, _said("before", 6)),
    Column("would", 7, _after),
    Column("cause and reason", 24, lambda one: Text(visible_line(f"{one.get('cause')}: {one.get('reason')}", 300))),
)
