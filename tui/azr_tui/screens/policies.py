"""Pane 8: every rule in force, what it has found over time, and how it may be changed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Input, Static

from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.messages import ChangeWanted, TrialWanted
from azr_tui.questions import Wanted
from azr_tui.rules import ORDERS, SHOWN, AskPolicy, PolicyRead, RuleFacts, action_of, listed
from azr_tui.screens.live import Pane
from azr_tui.screens.rule import RuleScreen
from azr_tui.view import View
from azr_tui.widgets.field import Field
from azr_tui.widgets.plain import Plain

_FIXED = (("severity", 10), ("action", 8), ("hits", 6), ("over steps", 10), ("last", 5), ("false", 5))
_NARROWEST, _WIDEST = 20, 36
_EACH = 2  # the blanks beside a column
_LEAST_WHY = 16
_STALE = 200
"""Samples after whose number the counts are read again."""


class PoliciesPane(Pane):
    """``enter`` shows a rule, ``e`` changes it, ``t`` tries a change on past samples first."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.POLICIES]

    def __init__(self) -> None:
        super().__init__(id="policies")
        self._head = Plain(id="policies-head")
        self._filter = Field(placeholder="words of a rule's name, reason, category, severity", compact=True, id="rules")
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._told = Static("", classes="told", markup=False)
        self._answer: PolicyRead | None = None
        self._rows: list[RuleFacts] = []
        self._order, self._shown = "name", "all"
        self._asked: tuple[int, int, int] | None = None
        self._width = 0

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._filter
        yield self._table
        yield self._told

    def on_mount(self) -> None:
        self._filter.display = False
        self._head.put(Text("reading the policy …", style="dim"))

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width != self._width:
            self._width = event.size.width
            self._table.clear(columns=True)
            rest = sum(width + _EACH for _, width in _FIXED) + _EACH + 1
            name_width = max(_NARROWEST, min(_WIDEST, self._width - rest))
            self._table.add_column(Text("rule"), width=name_width)
            for name, width in _FIXED:
                self._table.add_column(Text(name), width=width)
            if (left := self._width - rest - name_width - _EACH) >= _LEAST_WHY:
                self._table.add_column(Text("why"), width=left)
            self._fill()

    def enter(self) -> None:
        self._table.focus()

    def show(self, view: View) -> None:
        if view.snapshot is None:
            return
        summary = view.snapshot.summary
        newest = view.snapshot.controls[0].id if view.snapshot.controls else 0
        asked = (summary.samples // _STALE, summary.policy_changes, newest)
        if asked != self._asked:
            self._asked = asked
            self.post_message(Wanted(AskPolicy(), self.post_message))

    def on_policy_read(self, answer: PolicyRead) -> None:
        self._answer = answer
        self._fill()

    # -- keys --------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        rule = self._chosen()
        if rule is not None:
            self.app.push_screen(RuleScreen(rule))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._table.focus()

    def action_filter(self) -> None:
        self._filter.display = True
        self._filter.focus()

    def action_clear(self) -> None:
        self._filter.value = ""
        self._filter.display = False
        self._table.focus()

    def action_order(self) -> None:
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._fill()
        self._table.move_cursor(row=0)

    def action_shown(self) -> None:
        self._shown = SHOWN[(SHOWN.index(self._shown) + 1) % len(SHOWN)]
        self._fill()

    def action_change(self) -> None:
        self._ask(to_try=False)

    def action_try(self) -> None:
        self._ask(to_try=True)

    def action_try_file(self) -> None:
        self.post_message(TrialWanted())

    # -- inside ------------------------------------------------------------------------------------------

    def _ask(self, *, to_try: bool) -> None:
        rule = self._chosen()
        if rule is None or self._answer is None or self._answer.policy is None:
            return
        if rule.entry is None:
            self.notify("The policy has no such rule: it is the supervisor's own, or is gone.", markup=False)
            return
        self.post_message(ChangeWanted(rule.entry, self._answer.policy, to_try))

    def _chosen(self) -> RuleFacts | None:
        place = self._table.cursor_row
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def _fill(self) -> None:
        if self._answer is None or not self._table.columns:
            return
        here = self._chosen()
        self._rows = listed(self._answer.rules, self._filter.value, self._shown, self._order)
        self._table.clear()
        for rule in self._rows:
            self._table.add_row(*_cells(rule)[: len(self._table.columns)], key=rule.name)
        names = [rule.name for rule in self._rows]
        if here is not None and here.name in names:
            self._table.move_cursor(row=names.index(here.name))
        self._draw()

    def _draw(self) -> None:
        answer = self._answer
        if answer is None:
            return
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(visible_line(answer.name, 40) or "no policy", style="bold")
        if answer.changes:
            text.append(f"  {wording.count(answer.changes, 'change')}", style="bold")
        for key, what, value in (("o", "by", self._order), ("v", "show", self._shown)):
            text.append(f"   {key} ", style="bold").append(f"{what}: ", style="dim").append(value, style="bold")
        text.append(f"   {wording.count(len(self._rows), 'rule')}", style="dim")
        self._head.put(text)
        rule = self._chosen()
        if rule is None:
            self._told.update(Text(visible_line(answer.note, 600) or "no such rule"))
            return
        reason = rule.entry.why if rule.entry is not None else "a rule that this policy does not have"
        words = f"{rule.name}: {reason}"
        if rule.changed:
            last = rule.changed[-1]
            words += f"; {last.setting} {last.before} -> {last.after} by {last.who}: {last.why}"
        self._told.update(Text(visible_line(f"{words}   [{answer.note}]" if answer.note else words, 600)))


def _cells(rule: RuleFacts) -> list[Text]:
    action = action_of(rule)
    style = "" if rule.enabled else "dim"
    share = rule.false_share
    severity = wording.severity_style(rule.severity) if rule.enabled else "dim"
    name = Text(visible_line(rule.name, 60), style=style, no_wrap=True, overflow="ellipsis")
    return [
        name,
        Text(wording.severity_label(rule.severity), style=severity),
        Text(f"{action}{'*' if rule.changed else ''}", style="bold" if action == "off" or rule.changed else ""),
        Text(f"{rule.samples:,}" if rule.samples else "-", style="" if rule.samples else "dim", justify="right"),
        Text(wording.sparkline([float(count) for count in rule.steps], 10) if any(rule.steps) else ""),
        Text("-" if rule.last is None else str(rule.last), justify="right"),
        Text("-" if share is None else wording.percent(share), justify="right"),
        Text(visible_line(rule.entry.why, 120) if rule.entry is not None else "", style="dim"),
    ]
