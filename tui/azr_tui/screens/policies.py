"""Pane 8: every rule in force, what it has found over time, and how it may be changed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.messages import ChangeWanted, ScreenWanted, TrialWanted
from azr_tui.questions import Wanted
from azr_tui.rules import ORDERS, SHOWN, AskPolicy, PolicyRead, RuleFacts, action_of, listed
from azr_tui.screens.live import Pane
from azr_tui.screens.rule import RuleScreen
from azr_tui.view import View
from azr_tui.widgets.field import Field
from azr_tui.widgets.listing import Column, Listing
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.rows import Rows

_STALE = 200
"""Samples after whose number the counts are read again."""


class PoliciesPane(Pane):
    """``enter`` shows a rule, ``e`` changes it, ``t`` tries a change on past samples first."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.POLICIES]

    def __init__(self) -> None:
        super().__init__(id="policies")
        self._head = Plain(id="policies-head")
        self._filter = Field(placeholder="words of a rule's name, reason, category, severity", compact=True, id="rules")
        self._list: Listing[RuleFacts] = Listing(columns(80), key=lambda rule: rule.name)
        self._told = Static("", classes="told", markup=False)
        self._answer: PolicyRead | None = None
        self._order, self._shown = "name", "all"
        self._asked: tuple[int, int, int] | None = None
        self._width = 80

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._filter
        yield self._list
        yield self._told

    def on_mount(self) -> None:
        self._filter.display = False
        self._head.put(Text("reading the policy …", style="dim"))

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width != self._width:
            self._width = event.size.width
            self._list.columns_changed(columns(self._width))

    def enter(self) -> None:
        self._list.focus()

    def look_ahead(self, view: View) -> None:
        self.show(view)

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

    def on_rows_selected(self, event: Rows.Selected) -> None:
        event.stop()
        rule = self._list.chosen
        if rule is not None:
            self.post_message(ScreenWanted(RuleScreen, (rule,)))

    def on_rows_highlighted(self, event: Rows.Highlighted) -> None:
        event.stop()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._list.focus()

    def action_filter(self) -> None:
        self._filter.display = True
        self._filter.focus()

    def action_clear(self) -> None:
        self._filter.value = ""
        self._filter.display = False
        self._list.focus()

    def action_order(self) -> None:
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._fill()
        self._list.move_cursor(0)

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
        rule = self._list.chosen
        if rule is None or self._answer is None or self._answer.policy is None:
            return
        if rule.entry is None:
            self.notify("The policy has no such rule: it is the supervisor's own, or is gone.", markup=False)
            return
        self.post_message(ChangeWanted(rule.entry, self._answer.policy, to_try))

    def _fill(self) -> None:
        if self._answer is not None:
            self._list.put(listed(self._answer.rules, self._filter.value, self._shown, self._order))
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
        text.append(f"   {wording.count(len(self._list.records), 'rule')}", style="dim")
        self._head.put(text)
        rule = self._list.chosen
        if rule is None:
            self._told.update(Text(visible_line(answer.note, 600) or "no such rule"))
            return
        reason = rule.entry.why if rule.entry is not None else "a rule that this policy does not have"
        words = f"{rule.name}: {reason}"
        if rule.changed:
            last = rule.changed[-1]
            words += f"; {last.setting} {last.before} -> {last.after} by {last.who}: {last.why}"
        self._told.update(Text(visible_line(f"{words}   [{answer.note}]" if answer.note else words, 600)))


def _severity(rule: RuleFacts) -> Text:
    style = wording.severity_style(rule.severity) if rule.enabled else "dim"
    return Text(wording.severity_label(rule.severity), style=style)


def _action(rule: RuleFacts) -> Text:
    action = action_of(rule)
    return Text(f"{action}{'*' if rule.changed else ''}", style="bold" if action == "off" or rule.changed else "")


def _hits(rule: RuleFacts) -> Text:
    return Text(f"{rule.samples:,}") if rule.samples else Text("-", style="dim")


def _over_steps(rule: RuleFacts) -> Text:
    return Text(wording.sparkline([float(count) for count in rule.steps], 10) if any(rule.steps) else "")


def columns(width: int) -> list[Column]:
    """Why a rule is there is told where there is room, and names are long where there is some."""
    name = max(20, min(36, width - _FIXED_WIDTH))
    why = Column("why", _LEAST_WHY, lambda rule: Text(visible_line(rule.entry.why if rule.entry else "", 120), "dim"))
    return [
        Column("rule", name, lambda rule: Text(visible_line(rule.name, 60), style="" if rule.enabled else "dim")),
        *_FIXED,
        *([why] if width >= name + _FIXED_WIDTH + _LEAST_WHY else []),
    ]


_FIXED = (
    Column("severity", 10, _severity),
    Column("action", 8, _action),
    Column("hits", 6, _hits, right=True),
    Column("over steps", 10, _over_steps, 1),
    Column("last", 5, lambda rule: Text("-" if rule.last is None else str(rule.last)), 2, right=True),
    Column("false", 5, lambda rule: Text(wording.percent(rule.false_share)), right=True),
)
_FIXED_WIDTH = sum(column.width + 1 for column in _FIXED) + 2
_LEAST_WHY = 16
