"""Pane 5: what waits for a person's decision, with the very words that it is about, decided with one key each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget

from azr_platform.channel.messages import Decision
from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.records import DecisionRow, FindingRow, SampleDetail, SampleRow
from azr_tui import keys, query, wording
from azr_tui.document import Line, Span, split
from azr_tui.escape import visible, visible_line
from azr_tui.messages import DecisionWanted, SampleWanted
from azr_tui.query import Key, Query
from azr_tui.questions import AskQueue, AskSample, QueueRead, SampleRead, Wanted
from azr_tui.sample.page import severity_mark
from azr_tui.screens.paged import PAGE, PagedPane
from azr_tui.screens.samples import verdict_cell
from azr_tui.widgets.listing import Column
from azr_tui.widgets.marked_text import MarkedText

_LISTS = ("held", "waiting", "decided")
_AROUND = 240
"""Characters that are shown before and after the words in question."""
_PARTS = {"trace": "reasoning"}


class ReviewPane(PagedPane[SampleRow]):
    """``v`` goes from what is held to all that waits, and on to what was decided. The words of the sample under the
    cursor stand below the list."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.REVIEW]
    KEYS: ClassVar[Sequence[Key]] = tuple(key for key in query.SAMPLE_KEYS if key.name not in ("verdict", "order"))
    WORDS: ClassVar[str] = "key:value"

    def __init__(self) -> None:
        self._list = _LISTS[0]
        self._decided: dict[int, DecisionRow] = {}
        super().__init__("review")
        self._words = MarkedText(id="review-words")
        self._shown: int | None = None

    def parse(self, text: str) -> Query[Any]:
        found = query.parsed(text, SampleFilter(), self.KEYS)
        if found.filter.text:
            problem = "words cannot be searched for here: 3 lists all samples"
            found = found._replace(problem=found.problem or problem)
        return found

    def columns(self) -> list[Column]:
        return [
            Column("sample", 7, lambda row: Text(str(row.id)), right=True),
            Column("step", 5, lambda row: Text(str(row.step)), right=True),
            Column("role", 7, lambda row: Text(visible_line(row.role, 8)), 1),
            Column("kind", 9, lambda row: Text(visible_line(row.kind, 10))),
            Column("verdict", 9, verdict_cell),
            Column("score", 5, lambda row: Text("-" if row.score is None else f"{row.score:.2f}"), right=True),
            *([Column("decision", 11, self._decision_cell)] if self._list == "decided" else []),
            Column("reason", 20, lambda row: Text(visible_line(row.reason, 300))),
        ]

    @property
    def suspect(self) -> tuple[int, int] | None:
        row = self.listing.chosen
        return None if row is None else (row.id, row.step)

    @property
    def following(self) -> bool:
        """Never: what is new is listed at once, but no other sample slides in under the cursor, to be decided about."""
        return False

    def key(self, row: SampleRow) -> int:
        return row.id

    def question(self, beyond: Any) -> AskQueue:
        return AskQueue(self.query_.filter, self._list, beyond, PAGE)

    def beyond(self, row: SampleRow) -> Any:
        return self._decided[row.id].id if self._list == "decided" else row.id

    def below(self) -> Sequence[Widget]:
        return [self._words]

    def on_queue_read(self, page: QueueRead) -> None:
        """A page that was asked for; in the list of what was decided, with the decisions."""
        if page.question == self._asked:
            self._decided = page.decisions
        if self.take(page.question, page.rows, page.more):
            self.looked_at(self.listing.chosen)

    def looked_at(self, row: SampleRow | None) -> None:
        """Show the words of the sample under the cursor."""
        if row is None:
            self._shown = None
            self._words.show([Line(self._nothing(), style="dim")] if self.read else [])
        elif row.id != self._shown:
            self.post_message(Wanted(AskSample(row.id), self.post_message))

    def on_sample_read(self, message: SampleRead) -> None:
        """The words in question, with what was found in them."""
        row = self.listing.chosen
        if row is None or message.dossier is None or message.question.number != row.id:
            return
        self._shown = row.id
        self._words.show(question_lines(message.dossier.detail))
        self._words.scroll_to(y=0, animate=False)

    def open(self, row: SampleRow) -> None:
        self.post_message(SampleWanted(row.id, listed=True))

    def said(self) -> Text:
        text = Text("v ", style="bold").append("list: ", style="dim").append(f"{self._list}   ", style="bold")
        rows = self.listing.records
        if not self.read:
            return text.append("reading …", style="dim")
        if not rows:
            return text.append(self._nothing())
        held = self.view.snapshot.summary.held if self.view is not None and self.view.snapshot is not None else 0
        text.append(f"{held:,} held   ", style="bold yellow" if held else "dim")
        if self.page > 1:
            text.append(f"page {self.page}  ")
        return text.append("n: next page" if self.more else "end", style="dim")

    # -- keys --------------------------------------------------------------------------------------------

    def action_decide(self, decision: str) -> None:
        """Decide about the sample under the cursor, whose words are in sight, and go on to the next."""
        row = self.listing.chosen
        if row is None:
            return
        if row.id != self._shown:
            self.notify(f"Nothing was decided: the words of sample {row.id} are not shown yet.", markup=False)
            return
        self.post_message(DecisionWanted(row.id, Decision(decision), at_once=True))
        if self.listing.cursor_row < len(self.listing.records) - 1:
            self.listing.move_cursor(row=self.listing.cursor_row + 1)

    def action_list(self) -> None:
        self._list = _LISTS[(_LISTS.index(self._list) + 1) % len(_LISTS)]
        self.listing.columns_changed(self.columns())
        self.narrow(self.query_.text)

    # -- inside ------------------------------------------------------------------------------------------

    def _nothing(self) -> str:
        if self.query_.text:
            return "no such sample"
        return {
            "held": "● nothing is held: nobody is waited for",
            "waiting": "● nothing waits for a decision",
            "decided": "nothing was decided so far",
        }[self._list]

    def _decision_cell(self, row: SampleRow) -> Text:
        found = self._decided.get(row.id)
        return Text(
            "-" if found is None else visible_line(found.decision, 12), style="dim" if found is None else "bold"
        )


def question_lines(detail: SampleDetail) -> list[Line]:
    """What a person is asked about: each finding with the words that it means and some around them."""
    lines: list[Line] = []
    for decision in detail.decisions[-1:]:
        note = f": {decision.note}" if decision.note else ""
        lines.append(Line(visible_line(f"☞ {decision.decision} said {decision.who}{note}", 500), style="heading"))
    texts = {
        "reasoning": detail.reasoning,
        "program": detail.program,
        "input": detail.input,
        "message": detail.message,
        "answer": detail.answer,
    }
    for finding in sorted(detail.findings, key=lambda each: -each.severity):
        part = _PARTS.get(finding.part, finding.part)
        label = wording.severity_label(finding.severity)
        rule, why = visible_line(finding.rule, 60), visible_line(finding.why, 300)
        said = f"{label}  {rule}: {why} (in the {visible_line(part, 20)})"
        lines.append(Line(said, colours=(Span(0, len(label), severity_mark(finding.severity)),)))
        lines += _words_of(finding, texts.get(part, ""))
    if not detail.findings:
        lines.append(
            Line("No rule found anything; the classifiers' scores alone make the doubt. It begins:", style="dim")
        )
        first = detail.reasoning or detail.program or detail.answer
        lines += split(visible(first[: 4 * _AROUND]), gutter="    ")
    return lines


def _words_of(finding: FindingRow, text: str) -> list[Line]:
    start, end = finding.span_start, finding.span_end
    if start is None or end is None or not 0 <= start < end <= len(text):
        return []
    first, last = max(0, start - _AROUND), min(len(text), end + _AROUND)
    shown = visible(("…" if first else "") + text[first:last] + ("…" if last < len(text) else ""))
    shift = (1 if first else 0) - first
    return split(shown, marks=[Span(start + shift, end + shift, "mark")], gutter="    ")
