"""Pane 6: the buffers by kind, and every task with how hard it proved to be and how often it was used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget

from azr_platform.ledger.filters import TaskFilter, TaskOrder
from azr_platform.ledger.records import TaskRow
from azr_platform.records import Kind
from azr_tui import keys, query, wording
from azr_tui.document import split
from azr_tui.escape import visible, visible_line
from azr_tui.messages import FamilyWanted, SampleWanted
from azr_tui.query import Key, Query
from azr_tui.questions import AskAnswersCounted, AskTasks, TasksRead, Wanted
from azr_tui.sample.page import python_colours
from azr_tui.screens.paged import PAGE, PagedPane
from azr_tui.view import Snapshot, View
from azr_tui.widgets.listing import Column
from azr_tui.widgets.marked_text import MarkedText
from azr_tui.widgets.plain import Plain

_BY_HAND = (TaskOrder.OLDEST, TaskOrder.HARDEST, TaskOrder.EASIEST, TaskOrder.MOST_USED)


class TasksPane(PagedPane[TaskRow]):
    """Enter shows a task's family; ``s`` belongs to the run, so ``y`` is what opens the sample that proposed it."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.TASKS]
    KEYS: ClassVar[Sequence[Key]] = query.TASK_KEYS
    WORDS: ClassVar[str] = "words of the program or the message"

    def __init__(self) -> None:
        self._barred: frozenset[str] = frozenset()
        self._counts: dict[str, int] = {}
        super().__init__("tasks")
        self._buffers = Plain(id="buffers")
        self._program = MarkedText(id="task-program")

    def compose(self) -> Any:
        yield self._buffers
        yield from super().compose()

    def parse(self, text: str) -> Query[TaskFilter]:
        return query.tasks(text)

    @property
    def wanted(self) -> TaskFilter:
        """The filter in force."""
        return self.query_.filter  # type: ignore[no-any-return]

    def columns(self) -> list[Column]:
        return [
            Column("task", 16, lambda row: Text(visible_line(row.task, 17))),
            Column("kind", 9, lambda row: Text(visible_line(row.kind, 10))),
            Column("step", 5, lambda row: Text(str(row.step)), right=True),
            Column("age", 5, self._age_cell, 2, right=True),
            Column("used", 5, lambda row: Text(f"{row.attempts:,}"), right=True),
            Column("solved", 6, solved_cell, right=True),
            Column("sample", 7, lambda row: Text("given" if row.sample is None else str(row.sample)), 1, right=True),
            Column("quar.", 5, self._barred_cell),
            Column("program", 16, lambda row: Text(visible_line(row.program or row.message, 400))),
        ]

    def key(self, row: TaskRow) -> int:
        return row.id

    def question(self, beyond: Any) -> AskTasks:
        return AskTasks(self.wanted, beyond, PAGE)

    def beyond(self, row: TaskRow) -> TaskRow:
        return row

    def below(self) -> Sequence[Widget]:
        return [self._program]

    def on_tasks_read(self, page: TasksRead) -> None:
        """A page that was asked for, with how many tasks there are of each kind."""
        if page.question == self._asked:
            self._barred, self._counts = page.barred, page.counts
        if self.take(page.question, page.rows, page.more):
            self.looked_at(self.listing.chosen)
            self._draw_buffers()

    def show(self, view: View) -> None:
        if self._costly and self.read:
            self.view = view  # read again when somebody asks: it takes a look at every answer of the run
            self.draw_head()
        else:
            super().show(view)
        self._draw_buffers()

    def look_ahead(self, view: View) -> None:
        self.post_message(Wanted(AskAnswersCounted(), self.post_message))

    def looked_at(self, row: TaskRow | None) -> None:
        """Show how the program of the task under the cursor begins."""
        text = "" if row is None else visible(row.program or row.message)
        self._program.show(split(text, colours=python_colours(text), numbered=bool(row and row.program)))

    def open(self, row: TaskRow) -> None:
        self.post_message(FamilyWanted(row.task))

    def said(self) -> Text:
        text = Text("o ", style="bold").append("order: ", style="dim").append(f"{self.wanted.order}   ", style="bold")
        rows = self.listing.records
        if not self.read:
            return text.append("reading …", style="dim")
        if not rows:
            return text.append("no such task" if self.query_.text else self._none)
        if self.page > 1:
            text.append(f"page {self.page}  ")
        return text.append("n: next page" if self.more else "end", style="dim")

    @property
    def _none(self) -> str:
        kept = self.view is not None and self.view.kept
        return "a log tells of no tasks: only a run of ours proposes any" if kept else "no task yet"

    # -- keys --------------------------------------------------------------------------------------------

    def action_sample(self) -> None:
        row = self.listing.chosen
        if row is None:
            return
        if row.sample is None:
            self.notify("This task was given: no sample proposed it.", markup=False)
        else:
            self.post_message(SampleWanted(row.sample))

    def action_kind(self) -> None:
        self.cycle("kind", [kind.value for kind in Kind], self.wanted.kind)

    def action_order(self) -> None:
        self.cycle("order", [order.value for order in _BY_HAND], self.wanted.order)

    # -- inside ------------------------------------------------------------------------------------------

    @property
    def _costly(self) -> bool:
        """Whether the list needs figures of all tasks at once."""
        wanted = self.wanted
        ends = (wanted.least_rate, wanted.most_rate, wanted.least_used, wanted.most_used)
        return wanted.order not in (TaskOrder.NEWEST, TaskOrder.OLDEST) or any(end is not None for end in ends)

    def _age_cell(self, row: TaskRow) -> Text:
        step = self.view.snapshot.summary.step if self.view is not None and self.view.snapshot is not None else row.step
        return Text(f"{max(0, step - row.step):,}")

    def _barred_cell(self, row: TaskRow) -> Text:
        return Text("⊘", style="bold red") if row.task in self._barred else Text("")

    def _draw_buffers(self) -> None:
        if self.view is not None and self.view.snapshot is not None:
            self._buffers.put(buffer_table(self.view.snapshot, self._counts))


def solved_cell(row: TaskRow) -> Text:
    """The share of right answers; nothing before the first."""
    return Text(wording.percent(row.rate), style="" if row.attempts else "dim")


def buffer_table(snapshot: Snapshot, counts: dict[str, int]) -> Text:
    """A line a kind: what its buffer holds and how its tasks fare, as the newest step has it."""
    metrics = snapshot.summary.metrics
    shown = [kind for kind in Kind if f"buffer/{kind.value}" in metrics or counts.get(kind.value)]
    head = f"{'kind':<11}{'buffer':>8}{'recorded':>10}{'valid':>8}{'solved':>8}{'learnable':>11}"
    text = Text(no_wrap=True, overflow="ellipsis").append(head, style="bold underline")
    for kind in shown:
        recorded = counts.get(kind.value, 0)
        buffer = metrics.get(f"buffer/{kind.value}")
        text.append("\n").append(f"{kind.value:<11}", style="bold")
        text.append(f"{wording.number(buffer):>8}{recorded:>10,}")
        for name in ("valid_rate", "solve_rate"):
            text.append(f"{wording.percent(metrics.get(f'{name}/{kind.value}')):>8}")
        text.append(f"{wording.number(metrics.get(f'learnability/{kind.value}')):>11}")
    summary = snapshot.summary
    if summary.quarantined_tasks or summary.quarantined_programs:
        tasks = wording.count(summary.quarantined_tasks, "task")
        programs = wording.count(summary.quarantined_programs, "program")
        text.append(f"\n⊘ in quarantine: {tasks} and {programs}", style="bold yellow")
    return text
