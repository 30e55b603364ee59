"""What widgets ask of the ledger, each question with its answer and how it is read.

```
widget ──Wanted(question, self.post_message)──► app ──► feed (or finder) thread ── question.read ──┐
widget ◄──────────────────────── its answer, as a message of its own ◄─────────────────────────────┘
```
A pane's data is one question and one answer here; nothing else needs to know of them. A question that is asked again by
the same widget before its turn came takes the place of the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.message import Message

from azr_platform.ledger.filters import AlertFilter, AlertState, SampleFilter, TaskFilter
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import (
    AlertRow,
    BranchFacts,
    CheckpointFacts,
    ControlRow,
    DecisionRow,
    MetricSpan,
    NoticeRow,
    SampleRow,
    TaskDetail,
    TaskRow,
    Undone,
)
from azr_platform.ledger.search import SearchIndex, Snippet
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.seeds import is_seed
from azr_tui.sample import dossier
from azr_tui.sample.dossier import Dossier


@dataclass(frozen=True)
class Sources:
    """What a question is read from. ``index`` is there for the questions that need it; ``behind`` says how many of the
    newest samples it does not hold yet. ``beside`` opens another run."""

    reader: LedgerReader
    index: SearchIndex | None = None
    behind: int = 0
    beside: Callable[[Path], AbstractContextManager[LedgerReader]] = LedgerReader


class Answer(Message):
    """What was read; it goes to whoever asked, and no further."""

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(bubble=False, **given)  # Textual's classes of messages do not inherit it


@dataclass(frozen=True)
class Question:
    """Something to be read from the ledger. Equal questions have equal answers until something is committed."""

    @property
    def searches(self) -> bool:
        """Whether the search index is needed, which may have to be made first."""
        return False

    def read(self, sources: Sources) -> Answer:
        """Read the answer; called in the thread that owns the sources."""
        raise NotImplementedError


Reply = Callable[[Message], object]


@dataclass
class Wanted(Message):
    """A widget asks the app to have a question answered; ``reply`` takes the answer (the widget's ``post_message``)."""

    question: Question
    reply: Reply


# -- samples -----------------------------------------------------------------------------------------------


@dataclass
class SamplesRead(Answer):
    """A page of samples; ``more`` when there is a further one. ``snippets``: where the words of a search stand."""

    question: AskSamples
    rows: list[SampleRow]
    more: bool
    snippets: dict[int, Snippet] = field(default_factory=dict)
    behind: int = 0


@dataclass(frozen=True)
class AskSamples(Question):
    """A page of samples beyond an id (None: from the filter's end)."""

    filter: SampleFilter
    beyond: int | None
    size: int

    @property
    def searches(self) -> bool:
        return bool(self.filter.text)

    def read(self, sources: Sources) -> SamplesRead:
        if not self.filter.text:
            rows = sources.reader.samples_page(self.filter, limit=self.size + 1, beyond=self.beyond)
            return SamplesRead(self, rows[: self.size], len(rows) > self.size)
        assert sources.index is not None
        found = sources.index.page(self.filter, limit=self.size + 1, beyond=self.beyond)
        snippets = {one.sample.id: one.snippet for one in found[: self.size]}
        rows = [one.sample for one in found[: self.size]]
        return SamplesRead(self, rows, len(found) > self.size, snippets, sources.behind)


@dataclass
class SampleRead(Answer):
    """A sample, None when it does not exist."""

    question: AskSample
    dossier: Dossier | None


@dataclass(frozen=True)
class AskSample(Question):
    """One sample by its id in the ledger, with what surrounds it."""

    number: int

    def read(self, sources: Sources) -> SampleRead:
        return SampleRead(self, dossier.read(sources.reader, self.number))


# -- alerts ------------------------------------------------------------------------------------------------


@dataclass
class AlertsRead(Answer):
    """A page of alerts, and how many of each state the filter lets pass."""

    question: AskAlerts
    rows: list[AlertRow]
    more: bool
    counts: dict[AlertState, int]


@dataclass(frozen=True)
class AskAlerts(Question):
    """A page of alerts beyond an id (None: from the filter's end)."""

    filter: AlertFilter
    beyond: int | None
    size: int

    def read(self, sources: Sources) -> AlertsRead:
        rows = sources.reader.alerts_page(self.filter, limit=self.size + 1, beyond=self.beyond)
        return AlertsRead(self, rows[: self.size], len(rows) > self.size, sources.reader.alert_counts(self.filter))


@dataclass
class QueueRead(Answer):
    """A page of what waits for a person; of what was decided, the last word on each sample too."""

    question: AskQueue
    rows: list[SampleRow]
    more: bool
    decisions: dict[int, DecisionRow] = field(default_factory=dict)


@dataclass(frozen=True)
class AskQueue(Question):
    """A page of the samples that are ``held``, that are ``waiting`` (the held ones among them), or that were
    ``decided`` about, beyond a sample or, of these, a decision."""

    filter: SampleFilter
    list: str
    beyond: int | None
    size: int

    def read(self, sources: Sources) -> QueueRead:
        reader, most = sources.reader, self.size + 1
        if self.list != "decided":
            held = self.list == "held"
            rows = reader.waiting_page(self.filter, held_only=held, limit=most, beyond=self.beyond)
            return QueueRead(self, rows[: self.size], len(rows) > self.size)
        said: dict[int, DecisionRow] = {}

        def decided() -> Iterator[int]:
            for row in reader.last_decisions(beyond=self.beyond):
                said[row.sample] = row
                yield row.sample

        rows = reader.samples_page(self.filter, limit=most, among=decided())
        return QueueRead(self, rows[: self.size], len(rows) > self.size, {row.id: said[row.id] for row in rows})


@dataclass
class WorstRead(Answer):
    """The worst alert about a sample that nobody has seen; None when there is none."""

    question: AskWorst
    alert: AlertRow | None


@dataclass(frozen=True)
class AskWorst(Question):
    """Which alert to look at first."""

    def read(self, sources: Sources) -> WorstRead:
        return WorstRead(self, sources.reader.worst_open_alert())


# -- tasks -------------------------------------------------------------------------------------------------


@dataclass
class TasksRead(Answer):
    """A page of tasks, how many there are of each kind, and the ids of those in quarantine by themselves."""

    question: AskTasks
    rows: list[TaskRow]
    more: bool
    counts: dict[str, int]
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AskTasks(Question):
    """A page of tasks beyond a row (None: from the first)."""

    filter: TaskFilter
    beyond: TaskRow | None
    size: int

    def read(self, sources: Sources) -> TasksRead:
        reader = sources.reader
        rows = reader.tasks_page(self.filter, limit=self.size + 1, beyond=self.beyond)
        barred = frozenset(change.value for change in reader.changes() if change.what == "task")
        return TasksRead(self, rows[: self.size], len(rows) > self.size, reader.task_counts(), barred)


@dataclass
class AnswersCounted(Answer):
    """The answers to each task are counted: by them tasks are sorted at once from now on."""

    question: AskAnswersCounted


@dataclass(frozen=True)
class AskAnswersCounted(Question):
    """That the answers to each task be counted."""

    def read(self, sources: Sources) -> AnswersCounted:
        sources.reader.count_answers()
        return AnswersCounted(self)


@dataclass
class FamilyRead(Answer):
    """A task with what it came from, what it led to, and the answers to it; ``task`` is None when it does not exist.
    ``barred``: why it is in quarantine, empty when it is not."""

    question: AskFamily
    task: TaskDetail | None
    references: list[TaskRow]
    descendants: list[SampleRow]
    attempts: list[SampleRow]
    behind: int = 0
    barred: str = ""


@dataclass(frozen=True)
class AskFamily(Question):
    """A task's family: its proposer's references, proposals that were shown it, and so many attempts at most."""

    task: str
    size: int = 100

    @property
    def searches(self) -> bool:
        return True

    def read(self, sources: Sources) -> FamilyRead:
        reader, index = sources.reader, sources.index
        assert index is not None
        found = reader.task(self.task)
        proposer = found.task.sample if found is not None else None
        return FamilyRead(
            self,
            found,
            [] if proposer is None else reader.references(proposer),
            index.descendants(self.task, limit=self.size),
            reader.attempts(self.task, limit=self.size),
            sources.behind,
            "" if found is None else _why_barred(reader, found),
        )


def _why_barred(reader: LedgerReader, found: TaskDetail) -> str:
    """Why a task, or its program under any names, is drawn no more."""
    changes = reader.changes()
    own = program_key(found.program) if any(change.what == "program" for change in changes) else ""
    named = {"task": found.task.task, "program": own}
    return next((change.why or "yes" for change in changes if named.get(change.what) == change.value), "")


# -- oversight, checkpoints, log ---------------------------------------------------------------------------


@dataclass
class RuleNamesRead(Answer):
    """The rules that found something or raised an alert."""

    question: AskRuleNames
    names: list[str]


@dataclass(frozen=True)
class AskRuleNames(Question):
    """Which rules there are to look for."""

    def read(self, sources: Sources) -> RuleNamesRead:
        return RuleNamesRead(self, sources.reader.rule_names())


@dataclass
class CheckpointsRead(Answer):
    """Every branch and every checkpoint, oldest first."""

    question: AskCheckpoints
    branches: list[BranchFacts]
    checkpoints: list[CheckpointFacts]


@dataclass(frozen=True)
class AskCheckpoints(Question):
    """The tree of branches with its checkpoints, and some metrics at each."""

    metrics: tuple[str, ...] = ()

    def read(self, sources: Sources) -> CheckpointsRead:
        reader = sources.reader
        return CheckpointsRead(self, reader.branch_facts(), reader.checkpoint_facts(self.metrics))


@dataclass
class UndoneRead(Answer):
    """What a return to a step would undo."""

    question: AskUndone
    undone: Undone


@dataclass(frozen=True)
class AskUndone(Question):
    """What a return to a step of the present line leaves behind, and what might be put into quarantine."""

    step: int
    suspect: int | None = None

    def read(self, sources: Sources) -> UndoneRead:
        return UndoneRead(self, sources.reader.undone(self.step, self.suspect, is_seed))


@dataclass
class LogRead(Answer):
    """A page of what was asked of the run, and one of what it had to say, each newest first."""

    question: AskLog
    controls: list[ControlRow]
    notices: list[NoticeRow]


@dataclass(frozen=True)
class AskLog(Question):
    """Controls and notices below these ids (None: the newest), so many of each."""

    controls_beyond: int | None
    notices_beyond: int | None
    size: int

    def read(self, sources: Sources) -> LogRead:
        controls = sources.reader.controls_page(limit=self.size, beyond=self.controls_beyond)
        return LogRead(self, controls, sources.reader.notices_page(limit=self.size, beyond=self.notices_beyond))


@dataclass
class SpansRead(Answer):
    """Curves in spans of steps, by the metric's name."""

    question: AskSpans
    spans: dict[str, list[MetricSpan]]


@dataclass(frozen=True)
class AskSpans(Question):
    """Metrics along the current line between two steps, both included, with no more than so many points each."""

    names: tuple[str, ...]
    first: int
    last: int
    points: int

    def read(self, sources: Sources) -> SpansRead:
        reader = sources.reader
        return SpansRead(
            self, {name: reader.metric_span(name, self.first, self.last, self.points) for name in self.names}
        )
