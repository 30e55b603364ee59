"""One rule: what it is about, what it must catch and spare, how it was changed, and the samples that it hit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.records import SampleRow
from azr_tui import keys, wording
from azr_tui.document import Line, split
from azr_tui.escape import visible, visible_line
from azr_tui.messages import SampleWanted
from azr_tui.questions import AskSamples, SamplesRead, Wanted
from azr_tui.rules import RuleFacts, action_of
from azr_tui.screens.live import Kept, LiveScreen
from azr_tui.screens.samples import FIXED
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.marked_text import MarkedText
from azr_tui.widgets.rows import Rows

_SAMPLES = 200
_EXAMPLES = 6


class RuleScreen(LiveScreen, Kept):
    """``enter`` opens the sample under the cursor; ``tab`` goes to the text above, which scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.RULE]

    def __init__(self, rule: RuleFacts) -> None:
        super().__init__()
        self._rule = rule
        self._asked: AskSamples | None = None
        self._text = MarkedText(id="rule-text")
        columns = [*FIXED, Column("reason", 36, lambda row: Text(visible_line(row.reason or row.problem, 200)))]
        self._list: Listing[SampleRow] = Listing(columns, key=lambda row: row.id)

    def body(self) -> ComposeResult:
        yield self._text
        yield self._list

    def on_mount(self) -> None:
        self.begin(self._rule)

    def begin(self, rule: RuleFacts) -> None:
        self._rule = rule
        self._text.show(list(rule_lines(rule)))
        self._text.scroll_to(y=0, animate=False, immediate=True)
        self._list.put([])
        self.set_focus(self._list)
        self._asked = AskSamples(SampleFilter(rule=rule.name), None, _SAMPLES)
        self.post_message(Wanted(self._asked, self.post_message))

    def on_samples_read(self, page: SamplesRead) -> None:
        if page.question == self._asked:
            self._list.put(page.rows)

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        if self._list.chosen is not None:
            self.post_message(SampleWanted(self._list.chosen.id))

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
