"""The family of a task: what its proposer was shown, whom it was shown to, the answers to it; and a walk among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from azr_platform.ledger.records import SampleRow, TaskDetail, TaskRow
from azr_tui import keys, wording
from azr_tui.document import Line, split
from azr_tui.escape import visible, visible_line
from azr_tui.messages import SampleWanted
from azr_tui.questions import AskFamily, FamilyRead, Wanted
from azr_tui.sample.attempts import result
from azr_tui.sample.page import python_colours
from azr_tui.screens.live import Kept, LiveScreen
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.marked_text import MarkedText
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.rows import Rows


class Relative(NamedTuple):
    """A row: how it is related, the task to walk to (None: an answer, or a proposal that became none), its sample."""

    relation: str
    task: str | None
    sample: int | None
    kind: str
    step: int
    fared: str
    text: str


class FamilyScreen(LiveScreen, Kept):
    """Enter walks to the task under the cursor, or opens an answer; ``y`` opens the sample of the row."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.FAMILY]

    def __init__(self, task: str) -> None:
        super().__init__()
        self._trail = [task]
        self._head = Plain(id="family-head")
        self._listing: Listing[Relative] = Listing(_COLUMNS, lambda row: (row.relation, row.task, row.sample))
        self._text = MarkedText(id="family-text")

    @property
    def middle(self) -> str:
        """The id of the task in the middle."""
        return self._trail[-1]

    def body(self) -> ComposeResult:
        yield self._head
        yield self._listing
        yield self._text

    def on_mount(self) -> None:
        self.begin(self.middle)

    def begin(self, task: str) -> None:
        self._head.put(Text("reading …", style="dim"))
        self._text.show([])
        self.set_focus(self._listing)
        self._walk([task])

    def on_family_read(self, message: FamilyRead) -> None:
        """The family that was asked for, unless another was since; asked for again while the index is being made."""
        if message.question.task != self.middle:
            return
        if message.task is None:
            self._head.put(Text(f"There is no task {visible_line(self.middle, 60)} on record."))
            return
        rows = list(relatives(message))
        itself = next(place for place, row in enumerate(rows) if row.relation == _ITSELF)
        self._listing.put(rows, itself if not self._listing.records else None)
        self._head.put(_said(message.task, message))
        self._text.show(task_lines(message.task))
        if message.behind:
            self.set_timer(1.0, self._ask)

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        self.action_walk()

    def action_walk(self) -> None:
        row = self._listing.chosen
        if row is None:
            return
        if row.task is None or row.task == self.middle:
            self.action_sample()
        else:
            self._walk([*self._trail, row.task])

    def on_listing_beyond(self, event: Listing.Beyond) -> None:
        event.stop()

    def action_sample(self) -> None:
        row = self._listing.chosen
        if row is not None and row.sample is not None:
            self.post_message(SampleWanted(row.sample))
        else:
            self.notify("This task was given: no sample proposed it.", markup=False)

    def action_up(self) -> None:
        """To the first task that this one's proposer was shown."""
        self._to(_SHOWN)

    def action_down(self) -> None:
        """To the first task that came of this one."""
        self._to(_LED_TO)

    def action_back(self) -> None:
        if len(self._trail) > 1:
            self._walk(self._trail[:-1])
        else:
            self.dismiss()

    def _to(self, relation: str) -> None:
        found = next((row.task for row in self._listing.records if row.relation == relation and row.task), None)
        if found is None:
            self.notify("There is none in that direction.", markup=False)
        else:
            self._walk([*self._trail, found])

    def _walk(self, trail: list[str]) -> None:
        self._trail = trail
        self._listing.put([])
        self._ask()

    def _ask(self) -> None:
        self.post_message(Wanted(AskFamily(self.middle), self.post_message))


_SHOWN, _ITSELF, _LED_TO, _ANSWER = "↑ was shown", "= this task", "↓ was shown to", "• answer"
_COLUMNS = (
    Column("relation", 14, lambda row: Text(row.relation, style="bold" if row.relation == _ITSELF else "")),
    Column("task", 16, lambda row: Text(visible_line(row.task or "-", 17))),
    Column("kind", 9, lambda row: Text(visible_line(row.kind, 10)), 1),
    Column("step", 5, lambda row: Text(str(row.step)), right=True),
    Column("sample", 7, lambda row: Text("given" if row.sample is None else str(row.sample)), right=True),
    Column("fared", 12, lambda row: Text(visible_line(row.fared, 13))),
    Column("program", 8, lambda row: Text(visible_line(row.text, 400))),
)


def relatives(family: FamilyRead) -> Iterator[Relative]:
    """References above, the task, descendants below, then the answers to it."""
    assert family.task is not None
    for task in family.references:
        yield _of_task(_SHOWN, task)
    yield _of_task(_ITSELF, family.task.task)
    for row in family.descendants:
        became = "became a task" if row.task else result(row)[0]
        yield _of_sample(_LED_TO, row, row.task, became)
    for row in family.attempts:
        yield _of_sample(_ANSWER, row, None, result(row)[0])


def _of_task(relation: str, task: TaskRow) -> Relative:
    fared = f"{wording.percent(task.rate)} of {task.attempts}" if task.attempts else "never tried"
    return Relative(relation, task.task, task.sample, task.kind, task.step, fared, task.program or task.message)


def _of_sample(relation: str, row: SampleRow, task: str | None, fared: str) -> Relative:
    return Relative(relation, task, row.id, row.kind, row.step, fared, row.reason or row.problem)


def _said(task: TaskDetail, family: FamilyRead) -> Text:
    text = Text(f"Task {visible_line(task.task.task, 40)}", style="bold", no_wrap=True, overflow="ellipsis")
    most = family.question.size
    counts = (
        wording.count(len(family.references), "reference"),
        _counted(len(family.descendants), most, "descendant"),
        _counted(len(family.attempts), most, "answer"),
    )
    text.append(f"  {', '.join(counts)}", style="not bold")
    if family.barred:
        text.append(f"  ⊘ in quarantine: {visible_line(family.barred, 80)}", style="bold red")
    if family.behind:
        text.append(f"  indexing: {family.behind:,} samples still to come", style="bold yellow")
    return text


def _counted(listed: int, most: int, thing: str) -> str:
    """No more than so many are listed, and there may be more of them."""
    return f"{listed:,}+ {thing}s" if listed >= most else wording.count(listed, thing)


def task_lines(task: TaskDetail) -> list[Line]:
    """The program whole, and the inputs with their outputs; those that solvers do not see are said to be hidden."""
    lines: list[Line] = []
    if task.message:
        lines += [Line("Message", style="heading"), *split(visible(task.message), gutter="  ")]
    if task.program:
        shown = visible(task.program)
        lines += [Line("Program", style="heading"), *split(shown, colours=python_colours(shown), numbered=True)]
    for place, (given, out) in enumerate(zip(task.inputs, task.outputs, strict=False)):
        hidden = "" if place < task.shown else "   (hidden from solvers)"
        lines.append(Line(f"f({visible_line(given, 300)}) = {visible_line(out, 300)}{hidden}", f"{place + 1:>3} "))
    return lines
