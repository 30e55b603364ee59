"""Pane 7: the branches of the run with their checkpoints, and what the run was like at each."""

from __future__ import annotations

from statistics import fmean
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Static

from azr_tui import keys, wording
from azr_tui.branch_tree import TreeRow, label, told, tree_rows
from azr_tui.escape import visible_line
from azr_tui.questions import AskCheckpoints, CheckpointsRead, Wanted
from azr_tui.screens.live import Pane
from azr_tui.screens.page import PageScreen
from azr_tui.view import View
from azr_tui.widgets.plain import Plain

_COLUMNS = (("tree", 17), ("age", 4), ("solved", 6), ("reward", 6), ("entropy", 7), ("alerts", 9), ("blocked", 7))
_LAST = ("disk", 7)


class CheckpointsPane(Pane):
    """``enter`` tells all of a row; ``b`` rolls back to the checkpoint under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.CHECKPOINTS]

    def __init__(self) -> None:
        super().__init__(id="checkpoints")
        self._head = Plain(id="checkpoints-head")
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._told = Static("", classes="told", markup=False)
        self._rows: list[TreeRow] = []
        self._asked: object = None
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._table
        yield self._told

    def on_mount(self) -> None:
        for name, width in (*_COLUMNS, _LAST):
            self._table.add_column(Text(name), width=width)

    @property
    def checkpoint(self) -> int | None:
        """The step of the checkpoint under the cursor, if one can go back to it."""
        row = self._chosen()
        if row is None or row.checkpoint is None or not row.on_line or row.checkpoint.checkpoint.removed is not None:
            return None
        return row.checkpoint.checkpoint.step

    def enter(self) -> None:
        self._table.focus()

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
        here = self._chosen()
        self._rows = tree_rows(answer.branches, answer.checkpoints)
        self._table.clear()
        now = self._view.now if self._view is not None else 0.0
        for row in self._rows:
            self._table.add_row(*_cells(row, now), key=row.key)
        places = {row.key: place for place, row in enumerate(self._rows)}
        newest = max((place for place, row in enumerate(self._rows) if row.checkpoint and row.on_line), default=0)
        self._table.move_cursor(row=places.get(here.key, newest) if here is not None else newest)
        self._draw()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_details()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._draw()

    def action_details(self) -> None:
        row = self._chosen()
        if row is not None and self._view is not None:
            title = "Checkpoint" if row.checkpoint is not None else f"Branch {row.branch.branch.id}"
            self.app.push_screen(PageScreen(title, details(row, self._view.now)))

    def _metrics(self) -> tuple[str, ...]:
        assert self._view is not None and self._view.snapshot is not None
        names = self._view.snapshot.metrics
        return tuple(name for name in names if name == "entropy" or name.startswith(("solve_rate/", "reward/solve/")))

    def _chosen(self) -> TreeRow | None:
        place = self._table.cursor_row
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def _draw(self) -> None:
        view = self._view
        if view is None or view.snapshot is None:
            return
        text = Text(no_wrap=True, overflow="ellipsis")
        branches = sum(row.checkpoint is None for row in self._rows)
        kept = sum(row.checkpoint is not None and row.checkpoint.checkpoint.removed is None for row in self._rows)
        gone = sum(row.checkpoint is not None for row in self._rows) - kept
        text.append(f"{branches} {'branch' if branches == 1 else 'branches'}", style="bold")
        text.append(f"   {wording.count(kept, 'checkpoint')} kept")
        text.append(f", {gone} removed" if gone else "")
        text.append("   at each: what was recorded since the one before", style="dim")
        if not self._rows:
            text = Text("no checkpoint yet", style="dim")
        self._head.put(text)
        row = self._chosen()
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


def _cells(row: TreeRow, now: float) -> list[Text]:
    facts = row.checkpoint
    style = "bold" if facts is None and row.on_line else "" if row.on_line else "dim"
    held = row.branch.held if facts is None else facts.held
    share = held.blocked_share
    alerts = Text(
        f"{_short(held.alerts_open)}/{_short(held.alerts)}",
        style="bold" if held.alerts_open else "dim",
        justify="right",
    )
    ends = [alerts if held.alerts else Text("-", "dim", justify="right"), Text(wording.percent(share), justify="right")]
    tree = Text(label(row), style=style, no_wrap=True, overflow="ellipsis")
    if facts is None:
        reason = f"from {row.branch.branch.from_step}" if row.branch.branch.parent is not None else ""
        left = [Text(wording.age(row.branch.branch.created_at, now), justify="right"), Text(""), Text(""), Text("")]
        return [tree, *left, *ends, Text(reason, "dim")]
    kept = facts.checkpoint.removed is None
    figures = [_mean(facts.metrics, beginning) for beginning in ("solve_rate/", "reward/solve/", "entropy")]
    shown = [wording.percent(figures[0]), wording.number(figures[1], signed=True), wording.number(figures[2])]
    return [
        tree,
        Text(wording.age(facts.checkpoint.time, now), justify="right"),
        *(Text(figure, justify="right") for figure in shown),
        *ends,
        Text("kept" if kept else "removed", style="" if kept else "dim"),
    ]


def _mean(metrics: dict[str, float | None], beginning: str) -> float | None:
    values = [value for name, value in metrics.items() if name.startswith(beginning) and value is not None]
    return fmean(values) if values else None
