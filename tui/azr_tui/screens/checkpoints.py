"""Pane 7: the branches of the run with their checkpoints, and what the run was like at each."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from azr_platform.ledger.records import Held
from azr_tui import keys, wording
from azr_tui.branch_tree import TreeRow, label, told, tree_rows
from azr_tui.escape import visible_line
from azr_tui.messages import ScreenWanted
from azr_tui.questions import AskCheckpoints, CheckpointsRead, Wanted
from azr_tui.screens.live import Pane
from azr_tui.screens.page import PageScreen
from azr_tui.view import View
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.rows import Rows


class CheckpointsPane(Pane):
    """``enter`` tells all of a row; ``b`` rolls back to the checkpoint under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.CHECKPOINTS]

    def __init__(self) -> None:
        super().__init__(id="checkpoints")
        self._head = Plain(id="checkpoints-head")
        self._list: Listing[TreeRow] = Listing(self._columns(), key=lambda row: row.key)
        self._told = Static("", classes="told", markup=False)
        self._asked: object = None
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._list
        yield self._told

    def _columns(self) -> list[Column]:
        def age(row: TreeRow) -> Text:
            time = row.branch.branch.created_at if row.checkpoint is None else row.checkpoint.checkpoint.time
            return Text(wording.age(time, self._view.now if self._view is not None else 0.0))

        return [
            Column("tree", 17, _tree),
            Column("age", 4, age, right=True),
            Column("solved", 6, lambda row: _mean(row, "solve_rate/", wording.percent), right=True),
            Column("reward", 6, lambda row: _mean(row, "reward/solve/", _signed), 1, right=True),
            Column("entropy", 7, lambda row: _mean(row, "entropy", wording.number), 2, right=True),
            Column("alerts", 9, _alerts, right=True),
            Column("blocked", 7, lambda row: Text(wording.percent(_held(row).blocked_share)), right=True),
            Column("disk", 7, _kept),
        ]

    @property
    def checkpoint(self) -> int | None:
        """The step of the checkpoint under the cursor, if one can go back to it."""
        row = self._list.chosen
        if row is None or row.checkpoint is None or not row.on_line or row.checkpoint.checkpoint.removed is not None:
            return None
        return row.checkpoint.checkpoint.step

    def enter(self) -> None:
        self._list.focus()

    def look_ahead(self, view: View) -> None:
        self.show(view)

    def show(self, view: View) -> None:
        self._view = view
        if view.snapshot is None:
            return
        summary = view.snapshot.summary
        asked = (
            len(view.snapshot.checkpoints),
            summary.checkpoints_removed,
            summary.branch,
            summary.alerts_open,
            summary.step,
        )
        if asked != self._asked:
            self._asked = asked
            self.post_message(Wanted(AskCheckpoints(self._metrics()), self.post_message))
        self._draw()

    def on_checkpoints_read(self, answer: CheckpointsRead) -> None:
        """Keep the cursor where it was; at first it stands on the newest checkpoint of the line."""
        rows = tree_rows(answer.branches, answer.checkpoints)
        newest = max((place for place, row in enumerate(rows) if row.checkpoint and row.on_line), default=0)
        self._list.put(rows, cursor=None if self._list.records else newest)
        self._draw()

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        self.action_details()

    def on_rows_highlighted(self, event: Rows.Highlighted) -> None:
        event.stop()
        self._draw()

    def action_details(self) -> None:
        row = self._list.chosen
        if row is not None and self._view is not None:
            title = "Checkpoint" if row.checkpoint is not None else f"Branch {row.branch.branch.id}"
            self.post_message(ScreenWanted(PageScreen, (title, details(row, self._view.now))))

    def _metrics(self) -> tuple[str, ...]:
        assert self._view is not None and self._view.snapshot is not None
        names = self._view.snapshot.metrics
        return tuple(name for name in names if name == "entropy" or name.startswith(("solve_rate/", "reward/solve/")))

    def _draw(self) -> None:
        view = self._view
        if view is None or view.snapshot is None:
            return
        text = Text(no_wrap=True, overflow="ellipsis")
        rows = self._list.records
        branches = sum(row.checkpoint is None for row in rows)
        kept = sum(row.checkpoint is not None and row.checkpoint.checkpoint.removed is None for row in rows)
        gone = len(rows) - branches - kept
        text.append(f"{branches} {'branch' if branches == 1 else 'branches'}", style="bold")
        text.append(f"   {wording.count(kept, 'checkpoint')} kept")
        text.append(f", {gone} removed" if gone else "")
        about = "at each: what was recorded since the one before"
        text.append(f"   {'a log has none: nothing is trained here' if view.kept else about}", style="dim")
        if not rows:
            text = Text("no checkpoint yet", style="dim")
        self._head.put(text)
        row = self._list.chosen
        self._told.update(Text(told(row, view.now) if row is not None else ""))


def details(row: TreeRow, now: float) -> list[str]:
    """All of a row, in lines."""
    lines = [*told(row, now).split("; "), ""]
    facts = row.checkpoint
    if facts is None:
        return lines
    lines.append(f"digest {visible_line(facts.checkpoint.digest, 80)}")
    lines += [f"{visible_line(name, 40):<32} {wording.number(value):>10}" for name, value in facts.metrics.items()]
    return lines


def _short(count: int) -> str:
    """At most four signs: 9,999 at most as they are, thousands beyond."""
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def _held(row: TreeRow) -> Held:
    return row.branch.held if row.checkpoint is None else row.checkpoint.held


def _tree(row: TreeRow) -> Text:
    return Text(label(row), style="dim" if not row.on_line else "bold" if row.checkpoint is None else "")


def _alerts(row: TreeRow) -> Text:
    held = _held(row)
    if not held.alerts:
        return Text("-", style="dim")
    told = f"{_short(held.alerts_open)}/{_short(held.alerts)}"
    return Text(told, style="bold" if held.alerts_open else "dim")


def _kept(row: TreeRow) -> Text:
    """Whether a checkpoint is still there; of a branch where it began."""
    if row.checkpoint is None:
        branch = row.branch.branch
        return Text(f"from {branch.from_step}" if branch.parent is not None else "", style="dim")
    return Text("kept") if row.checkpoint.checkpoint.removed is None else Text("removed", style="dim")


def _mean(row: TreeRow, beginning: str, tell: Callable[[float | None], str]) -> Text:
    """Of a checkpoint's metrics whose names begin so; nothing for a branch."""
    if row.checkpoint is None:
        return Text("")
    metrics = row.checkpoint.metrics.items()
    values = [value for name, value in metrics if name.startswith(beginning) and value is not None]
    return Text(tell(fmean(values) if values else None))


def _signed(value: float | None) -> str:
    return wording.number(value, signed=True)
