"""One rule: what it is about, what it must catch and spare, how it was changed, and the samples that it hit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable

from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.records import SampleRow
from azr_tui import keys, wording
from azr_tui.document import Line, split
from azr_tui.escape import visible, visible_line
from azr_tui.messages import SampleWanted
from azr_tui.questions import AskSamples, SamplesRead, Wanted
from azr_tui.rules import RuleFacts, action_of
from azr_tui.screens.live import LiveScreen
from azr_tui.widgets.marked_text import MarkedText

_SAMPLES = 200
_EXAMPLES = 6
_COLUMNS = (("sample", 7), ("step", 6), ("role", 7), ("kind", 9), ("verdict", 8), ("reason", 80))


class RuleScreen(LiveScreen):
    """``enter`` opens the sample under the cursor; ``tab`` goes to the text above, which scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.RULE]

    def __init__(self, rule: RuleFacts) -> None:
        super().__init__()
        self._rule = rule
        self._text = MarkedText(id="rule-text")
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._rows: list[SampleRow] = []

    def body(self) -> ComposeResult:
        yield self._text
        yield self._table

    def on_mount(self) -> None:
        for name, width in _COLUMNS:
            self._table.add_column(Text(name), width=width)
        self._text.show(list(rule_lines(self._rule)))
        self._table.focus()
        question = AskSamples(SampleFilter(rule=self._rule.name), None, _SAMPLES)
        self.post_message(Wanted(question, self.post_message))

    def on_samples_read(self, page: SamplesRead) -> None:
        self._rows = page.rows
        self._table.clear()
        for row in page.rows:
            self._table.add_row(*_cells(row), key=str(row.id))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if 0 <= event.cursor_row < len(self._rows):
            self.post_message(SampleWanted(self._rows[event.cursor_row].id))

    def action_back(self) -> None:
        self.dismiss()


def rule_lines(rule: RuleFacts) -> Iterator[Line]:
    """What there is to read about a rule."""
    entry = rule.entry
    yield Line(visible_line(rule.name, 100), style="heading")
    if entry is None:
        yield Line("The policy has no such rule: it is the supervisor's own, or is gone.", style="dim")
    else:
        state = (
            f"{wording.severity_label(entry.severity)}, {action_of(rule)}, category {visible_line(entry.category, 40)}"
        )
        yield Line(f"{state}, reads {'metrics' if entry.sort == 'metric' else entry.sort}")
        yield from split(visible(entry.why))
        if entry.thresholds:
            yield Line("  ".join(f"{name} from {value:g}" for name, value in entry.thresholds.items()))
    decided = f"{rule.false} of {rule.decided} that people looked at are false alarms" if rule.decided else ""
    found = f"found something in {wording.count(rule.samples, 'sample')}" if rule.samples else "has found nothing yet"
    yield Line("; ".join(filter(None, (found, decided))))
    for row in rule.changed:
        told = f"{row.setting} {row.before} -> {row.after} after step {row.step} by {row.who}: {row.why}"
        yield Line(visible_line(told, 400), "changed  ", style="name")
    for heading, texts in (("must catch", entry.catch if entry else ()), ("must spare", entry.spare if entry else ())):
        for text in texts[:_EXAMPLES]:
            first, *rest = split(visible(text), gutter=" " * 12)
            yield first._replace(gutter=f"{heading:<12}")
            yield from rest


def _cells(row: SampleRow) -> list[Text]:
    verdict = "? none" if row.allowed is None else "● ok" if row.allowed else "✖ block"
    return [
        Text(str(row.id), justify="right"),
        Text(str(row.step), justify="right"),
        Text(visible_line(row.role, 8)),
        Text(visible_line(row.kind, 10)),
        Text(verdict, style="" if row.allowed else "bold red"),
        Text(visible_line(row.reason or row.problem, 200)),
    ]
