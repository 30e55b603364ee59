"""Pane 3: every sample ever, a page at a time, newest first."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable

from azr_monitor.records import Action
from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.records import SampleRow
from azr_platform.records import Kind, Role
from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.messages import SampleWanted
from azr_tui.questions import AskSamples, SamplesRead, Wanted
from azr_tui.screens.live import Pane
from azr_tui.view import Snapshot, View
from azr_tui.widgets.plain import Plain

PAGE = 100
_VERDICTS = (None, Judged.BLOCKED, Judged.FLAGGED, Judged.WAITING)
_COLUMNS = (
    ("sample", 6),
    ("step", 5),
    ("role", 7),
    ("kind", 9),
    ("verdict", 9),
    ("result", 10),
    ("reward", 6),
    ("severity", 10),
    ("tokens", 6),
    ("reason", 70),
)


class SamplesPane(Pane):
    """The first page follows the run; older pages stand still."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.SAMPLES]

    def __init__(self) -> None:
        super().__init__(id="samples")
        self._head = Plain(id="samples-head")
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._filter = SampleFilter()
        self._starts: list[int | None] = [None]
        self._rows: list[SampleRow] = []
        self._more = False
        self._total = -1
        self._snapshot: Snapshot | None = None
        self._cursor_to = 0

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._table

    def on_mount(self) -> None:
        for label, width in _COLUMNS:
            self._table.add_column(Text(label), width=width)

    def enter(self) -> None:
        self._table.focus()
        self._ask()

    def show(self, view: View) -> None:
        """New samples: read the first page again when it is the one in sight. Whatever is new may be a decision."""
        last, self._snapshot = self._snapshot, view.snapshot
        decided = self._filter.judged is Judged.WAITING and view.snapshot is not last
        if view.snapshot is None or (view.snapshot.summary.samples == self._total and not decided):
            return
        self._total = view.snapshot.summary.samples
        if len(self._starts) == 1:
            self._ask()
        self._draw_head()

    def on_samples_read(self, page: SamplesRead) -> None:
        """Show a page that was asked for, unless another one has been asked for since."""
        if page.question != self._request():
            return
        chosen = self._chosen()
        at_top = self._table.cursor_row == 0
        self._rows, self._more = page.rows, page.more
        self._table.clear()
        for row in page.rows:
            self._table.add_row(*cells(row), key=str(row.id))
        numbers = [row.id for row in page.rows]
        if chosen in numbers and not (at_top and len(self._starts) == 1):
            self._table.move_cursor(row=numbers.index(chosen))
        elif self._cursor_to:
            self._table.move_cursor(row=len(numbers) - 1)
        self._cursor_to = 0
        self._draw_head()

    # -- keys --------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self.post_message(SampleWanted(chosen))

    def action_role(self) -> None:
        choices = [None, *Role]
        self._narrow(role=choices[(choices.index(self._filter.role) + 1) % len(choices)])

    def action_kind(self) -> None:
        choices = [None, *Kind]
        self._narrow(kind=choices[(choices.index(self._filter.kind) + 1) % len(choices)])

    def action_verdict(self) -> None:
        here = _VERDICTS.index(self._filter.judged)
        self._narrow(judged=_VERDICTS[(here + 1) % len(_VERDICTS)])

    def action_page(self, direction: int) -> None:
        if direction > 0 and self._more and self._rows:
            self._starts.append(self._rows[-1].id)
        elif direction < 0 and len(self._starts) > 1:
            self._starts.pop()
            self._cursor_to = -1
        else:
            return
        self._ask()

    def action_newest(self) -> None:
        self._starts = [None]
        self._table.move_cursor(row=0)
        self._ask()

    # -- inside ------------------------------------------------------------------------------------------

    def _narrow(self, **chosen: str | Judged | None) -> None:
        self._filter = msgspec.structs.replace(self._filter, **chosen)
        self._starts = [None]
        self._draw_head()
        self._ask()

    def _request(self) -> AskSamples:
        return AskSamples(self._filter, self._starts[-1], PAGE)

    def _ask(self) -> None:
        self.post_message(Wanted(self._request(), self.post_message))

    def _chosen(self) -> int | None:
        row = self._table.cursor_row
        return self._rows[row].id if 0 <= row < len(self._rows) else None

    def _draw_head(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        for key, label, value in (
            ("o", "role", self._filter.role or "all"),
            ("k", "kind", self._filter.kind or "all"),
            ("v", "verdict", self._filter.judged or "all"),
        ):
            text.append(f"{key} ", style="bold").append(f"{label}: ", style="dim").append(f"{value}   ", style="bold")
        if not self._rows and self._filter.judged is Judged.WAITING:
            text.append("nothing waits for a decision")
        elif not self._rows:
            text.append("no such sample" if self._total else "no sample yet")
        else:
            text.append(f"{self._rows[0].id}-{self._rows[-1].id}", style="bold")
            text.append("  following" if len(self._starts) == 1 else f"  page {len(self._starts)}")
            text.append("  n: older" if self._more else "  end", style="dim")
        self._head.put(text)


def verdict_cell(row: SampleRow) -> Text:
    """Allowed, held, blocked, or not judged: a symbol and a word."""
    if row.allowed is None:
        return Text("? none", style="yellow")
    if row.action == Action.HOLD.value:
        return Text("‖ held", style="bold yellow")
    return Text("● ok", style="green") if row.allowed else Text("✖ blocked", style="bold red")


def result_of(row: SampleRow) -> str:
    """What came of the sample: right or wrong for a solver, the outcome in the jail, or the parse problem."""
    if not row.well_formed:
        return "malformed"
    if row.role == Role.SOLVE.value and row.correct is not None and row.outcome in (None, "", "ok"):
        return "✔ correct" if row.correct else "wrong"
    if row.outcome == "ok":
        return "✔ valid" if not row.problem else visible_line(row.problem, 10)
    return visible_line(row.outcome or row.problem or "-", 10)


def cells(row: SampleRow) -> list[Text]:
    """One table row; every cell is plain text, never markup."""
    severity = row.severity or 0
    return [
        Text(str(row.id), justify="right"),
        Text(str(row.step), justify="right"),
        Text(visible_line(row.role, 8)),
        Text(visible_line(row.kind, 10)),
        verdict_cell(row),
        Text(result_of(row)),
        Text("-" if row.reward is None else f"{row.reward:+.2f}", justify="right"),
        Text(
            wording.severity_label(severity) if severity else "-",
            style=wording.severity_style(severity) if severity else "dim",
        ),
        Text(str(row.tokens), justify="right"),
        Text(visible_line(row.reason or row.problem, 120)),
    ]
