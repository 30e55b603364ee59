"""Pane 3: every sample ever, a page at a time, narrowed by whatever is on record of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType

from azr_monitor.records import Action
from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.records import SampleRow
from azr_platform.ledger.search import Snippet, words_of
from azr_platform.records import Kind, Role
from azr_tui import keys, query, wording
from azr_tui.escape import visible, visible_line
from azr_tui.messages import SampleWanted
from azr_tui.query import Key, Query
from azr_tui.questions import AskSamples, SamplesRead
from azr_tui.screens.paged import PAGE, PagedPane
from azr_tui.widgets.listing import Column

_VERDICTS = (Judged.BLOCKED, Judged.FLAGGED, Judged.WAITING)
_PROGRESS_SECONDS = 1.0


class SamplesPane(PagedPane[SampleRow]):
    """Rows with their verdicts; while words are searched for, with the text around them."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.SAMPLES]
    KEYS: ClassVar[Sequence[Key]] = query.SAMPLE_KEYS
    WORDS: ClassVar[str] = "words that the response holds"

    def __init__(self) -> None:
        super().__init__("samples")
        self._snippets: dict[int, Snippet] = {}
        self._behind = 0
        self._total = 0

    def parse(self, text: str) -> Query[SampleFilter]:
        return query.samples(text)

    @property
    def wanted(self) -> SampleFilter:
        """The filter in force."""
        return self.query_.filter  # type: ignore[no-any-return]

    @property
    def words(self) -> list[str]:
        """What is searched for."""
        return words_of(self.wanted.text)

    def columns(self) -> list[Column]:
        return [*FIXED, Column("text" if self.words else "reason", 36, self._last_cell)]

    @property
    def suspect(self) -> tuple[int, int] | None:
        row = self.listing.chosen
        return None if row is None else (row.id, row.step)

    def key(self, row: SampleRow) -> int:
        return row.id

    def question(self, beyond: Any) -> AskSamples:
        return AskSamples(self.wanted, beyond, PAGE)

    def beyond(self, row: SampleRow) -> int:
        return row.id

    def held_at(self) -> int | None:
        rows = self.listing.records
        return None if self.wanted.oldest_first or not rows else rows[0].id + 1

    def on_samples_read(self, page: SamplesRead) -> None:
        """A page that was asked for. While the index is being made, ask again: it says how far it is."""
        if page.question != self._asked:
            return
        self._snippets, self._behind = page.snippets, page.behind
        if self.view is not None and self.view.snapshot is not None:
            self._total = self.view.snapshot.summary.samples
        self.take(page.question, page.rows, page.more)
        if page.behind:
            self.set_timer(_PROGRESS_SECONDS, self.ask)

    def open(self, row: SampleRow) -> None:
        self.post_message(SampleWanted(row.id, rule=self.wanted.rule or "", words=tuple(self.words), listed=True))

    def narrow(self, text: str) -> None:
        searched = bool(self.words)
        self._behind = 0
        super().narrow(text)
        if bool(self.words) != searched:
            self.listing.columns_changed(self.columns())

    def said(self) -> Text:
        rows, text = self.listing.records, Text()
        if self._behind:
            done = 1 - self._behind / max(1, self._total)
            text.append(f"indexing {wording.percent(done)}: newer samples are still to come  ", style="bold yellow")
        if not self.read:
            return text.append("reading …", style="dim")
        if not rows:
            return text.append(self._nothing())
        text.append(f"{rows[0].id}-{rows[-1].id}", style="bold")
        if self.page > 1:
            text.append(f"  page {self.page}")
        elif self.following and not self.wanted.oldest_first:
            text.append("  following")
        elif newer := self._newer(rows):
            text.append(f"  {newer:,} newer: g", style="bold")
        return text.append("  n: next page" if self.more else "  end", style="dim")

    def action_role(self) -> None:
        self.cycle("role", [role.value for role in Role], self.wanted.role)

    def action_kind(self) -> None:
        self.cycle("kind", [kind.value for kind in Kind], self.wanted.kind)

    def action_verdict(self) -> None:
        self.cycle("verdict", [judged.value for judged in _VERDICTS], self.wanted.judged)

    def _nothing(self) -> str:
        if self.wanted.judged is Judged.WAITING:
            return "nothing waits for a decision"
        return "no such sample" if self.query_.text else "no sample yet"

    def _newer(self, rows: Sequence[SampleRow]) -> int:
        """How many samples were recorded since the page that is held; ids are counted without gaps."""
        if self.view is None or self.view.snapshot is None or self.wanted.oldest_first or self.query_.text:
            return 0
        return max(0, self.view.snapshot.summary.samples - rows[0].id)

    def _last_cell(self, row: SampleRow) -> Text:
        found = self._snippets.get(row.id)
        return Text(visible_line(row.reason or row.problem, 200)) if found is None else snippet_cell(found)


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


def snippet_cell(found: Snippet) -> Text:
    """A part of a model's text on one line, the words that were searched for marked."""
    text = Text(visible(found.text).replace("\n", "␊"))
    for start, end in found.spans:
        text.stylize("bold reverse", start, end)
    first = found.spans[0][0] if found.spans else 0
    return text[max(0, first - 12) :] if first > 12 else text


def _severity(row: SampleRow) -> Text:
    if not row.severity:
        return Text("-", style="dim")
    return Text(wording.severity_label(row.severity), style=wording.severity_style(row.severity))


FIXED = (
    Column("sample", 7, lambda row: Text(str(row.id)), right=True),
    Column("step", 5, lambda row: Text(str(row.step)), right=True),
    Column("role", 7, lambda row: Text(visible_line(row.role, 8))),
    Column("kind", 9, lambda row: Text(visible_line(row.kind, 10))),
    Column("verdict", 9, verdict_cell),
    Column("score", 5, lambda row: Text("-" if row.score is None else f"{row.score:.2f}"), right=True),
    Column("result", 10, lambda row: Text(result_of(row)), 1),
    Column("reward", 6, lambda row: Text("-" if row.reward is None else f"{row.reward:+.2f}"), 2, right=True),
    Column("severity", 10, _severity, 3),
    Column("tokens", 6, lambda row: Text(f"{row.tokens:,}"), 4, right=True),
    Column("advant.", 7, lambda row: Text("-" if row.advantage is None else f"{row.advantage:+.2f}"), 5, right=True),
    Column("branch", 6, lambda row: Text(str(row.branch)), 6, right=True),
    Column("phase", 12, lambda row: Text(visible_line(row.phase, 12)), 7),
    Column("task", 16, lambda row: Text(visible_line(row.task or "-", 17)), 8),
)
"""The columns but the last; those without a rank are there in any terminal."""
