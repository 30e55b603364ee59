"""Pane 4: what the supervisor raised. Enter leads to the very place that caused it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget

from azr_platform.channel.messages import Action
from azr_platform.ledger.filters import AlertFilter, AlertState
from azr_platform.ledger.records import AlertRow
from azr_tui import keys, query, wording
from azr_tui.escape import visible_line
from azr_tui.messages import AlertWanted, SampleWanted
from azr_tui.query import Key, Query, with_term
from azr_tui.questions import AlertsRead, AskAlerts
from azr_tui.screens.paged import PAGE, PagedPane
from azr_tui.view import View
from azr_tui.widgets.listing import Column
from azr_tui.widgets.plain import Plain

_WORDS = {
    AlertState.OPEN: "open",
    AlertState.ACKNOWLEDGED: "seen",
    AlertState.RESOLVED: "resolved",
    AlertState.FALSE_ALARM: "false alarm",
}
_SHORT = {**_WORDS, AlertState.FALSE_ALARM: "false"}


class AlertsPane(PagedPane[AlertRow]):
    """What came while the dashboard watched is marked until the cursor has been on it."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.ALERTS]
    KEYS: ClassVar[Sequence[Key]] = query.ALERT_KEYS
    WORDS: ClassVar[str] = "words of the message"

    def __init__(self) -> None:
        super().__init__("alerts")
        self._counts: dict[AlertState, int] = {}
        self._began: float | None = None
        self._known = 0
        self._slid_in: int | None = None  # under a cursor that nobody moved
        self._looked_at: set[int] = set()
        self._message = Plain(id="alert-message")

    def parse(self, text: str) -> Query[AlertFilter]:
        return query.alerts(text)

    @property
    def wanted(self) -> AlertFilter:
        """The filter in force."""
        return self.query_.filter  # type: ignore[no-any-return]

    def columns(self) -> list[Column]:
        return [
            Column("", 1, self._new_cell),
            Column("severity", 10, lambda row: _severity(row.severity)),
            Column("age", 4, lambda row: Text(wording.age(row.time, self._now)), right=True),
            Column("step", 5, lambda row: Text(str(row.step)), right=True),
            Column("sample", 7, lambda row: Text("-" if row.sample is None else str(row.sample)), right=True),
            Column("state", 8, lambda row: Text(_SHORT[state_of(row)], style=_state_style(row))),
            Column("alert", 6, lambda row: Text(str(row.id)), 1, right=True),
            Column("rule", 16, lambda row: Text(visible_line(row.rule, 60))),
            Column("branch", 6, lambda row: Text(str(row.branch)), 2, right=True),
            Column("message", 24, lambda row: Text(visible_line(row.message, 300))),
        ]

    @property
    def suspect(self) -> tuple[int, int] | None:
        row = self.listing.chosen
        return None if row is None or row.sample is None else (row.sample, row.step)

    def key(self, row: AlertRow) -> int:
        return row.id

    def question(self, beyond: Any) -> AskAlerts:
        return AskAlerts(self.wanted, beyond, PAGE)

    def beyond(self, row: AlertRow) -> int:
        return row.id

    def held_at(self) -> int | None:
        rows = self.listing.records
        return None if self.wanted.oldest_first or not rows else rows[0].id + 1

    def below(self) -> Sequence[Widget]:
        return [self._message]

    def begin(self, view: View) -> None:
        """What is on record when a run is first read is not new; another run may take the place of the first."""
        if view.snapshot is not None and view.snapshot.run.created_at != self._began:
            self._began, self._known = view.snapshot.run.created_at, newest_alert(view)
            self._looked_at.clear()
            self._slid_in = None

    def on_alerts_read(self, page: AlertsRead) -> None:
        """A page that was asked for, and how many there are of each state."""
        untouched = self.read and self.following and self._cursor is None and not self.wanted.oldest_first
        before = self.listing.chosen
        if self.take(page.question, page.rows, page.more):
            self._counts = page.counts
            after = self.listing.chosen
            if untouched and after is not None and (before is None or after.id > before.id):
                self._slid_in = after.id
            self.draw_head()
            self.looked_at(after)

    def open(self, row: AlertRow) -> None:
        if row.sample is None:
            self.notify("This alert is about the run as a whole; it has no sample.", markup=False)
            return
        self.post_message(SampleWanted(row.sample, rule=row.rule, listed=True))

    def looked_at(self, row: AlertRow | None) -> None:
        self._message.put(
            Text("" if row is None else f"{visible_line(row.rule, 100)}: {visible_line(row.message, 1200)}")
        )
        if row is None:
            return
        if row.id != self._slid_in:
            self._slid_in = None
        if self.has_focus_within:
            self._looked_at.add(row.id)

    def unseen(self, row: AlertRow) -> bool:
        """Whether an alert came while the dashboard watched, and nobody here has looked at it."""
        return self._began is not None and row.id > self._known and row.id not in self._looked_at

    def said(self) -> Text:
        text = Text()
        if not self.read:
            return text.append("reading …", style="dim")
        for state in AlertState:
            if count := self._counts.get(state, 0):
                text.append(f"{count:,} {_WORDS[state]}  ", style="bold" if state is AlertState.OPEN else "dim")
        rows = self.listing.records
        if not rows:
            return text.append("● nothing to show" if self.query_.text else "● no alerts so far", style="green")
        if self.page > 1:
            text.append(f"page {self.page}  ")
        newest = newest_alert(self.view)  # of all alerts, whatever a filter leaves out
        if not self.following and self.wanted == AlertFilter() and newest > rows[0].id and self.page == 1:
            text.append(f"{newest - rows[0].id:,} newer: g  ", style="bold")
        return text.append("n: next page" if self.more else "end", style="dim")

    # -- keys --------------------------------------------------------------------------------------------

    def action_acknowledge(self) -> None:
        """Acknowledge the alert under the cursor; one that has just slid in under it, only when asked again."""
        alert = self.listing.chosen
        if alert is None or alert.acknowledged:
            return
        if alert.id == self._slid_in:
            self._slid_in = None
            self.notify(f"Alert {alert.id} has just come: once more acknowledges it.", markup=False)
        else:
            self.post_message(AlertWanted(Action.ACKNOWLEDGE, alert))

    def action_acknowledge_all(self) -> None:
        if self.view is not None and self.view.snapshot is not None and self.view.snapshot.summary.alerts_open:
            self.post_message(AlertWanted(Action.ACKNOWLEDGE, None))

    def action_resolve(self) -> None:
        self._close(Action.RESOLVE)

    def action_false_alarm(self) -> None:
        self._close(Action.FALSE_ALARM)

    def action_open_only(self) -> None:
        now = None if self.wanted.state is AlertState.OPEN else AlertState.OPEN.value
        self.narrow(with_term(self.query_.text, "state", now))

    def action_order(self) -> None:
        self.narrow(with_term(self.query_.text, "order", None if self.wanted.oldest_first else "oldest"))

    # -- inside ------------------------------------------------------------------------------------------

    def _close(self, action: Action) -> None:
        alert = self.listing.chosen
        if alert is None:
            return
        if alert.outcome:
            self.notify(f"Alert {alert.id} is closed already: {_WORDS[state_of(alert)]}.", markup=False)
            return
        self.post_message(AlertWanted(action, alert))

    @property
    def _now(self) -> float:
        return self.view.now if self.view is not None else 0.0

    def _new_cell(self, row: AlertRow) -> Text:
        return Text("•" if self.unseen(row) else " ", style="bold yellow")


def newest_alert(view: View | None) -> int:
    """The id of the newest alert on record; they are counted without gaps."""
    alerts = view.snapshot.alerts if view is not None and view.snapshot is not None else ()
    return max((alert.id for alert in alerts), default=0)


def state_of(row: AlertRow) -> AlertState:
    """What people made of an alert."""
    if row.outcome:
        return AlertState.FALSE_ALARM if row.outcome == AlertState.FALSE_ALARM.value else AlertState.RESOLVED
    return AlertState.ACKNOWLEDGED if row.acknowledged else AlertState.OPEN


def _state_style(row: AlertRow) -> str:
    return "bold" if state_of(row) is AlertState.OPEN else "dim"


def _severity(severity: int) -> Text:
    return Text(wording.severity_label(severity), style=wording.severity_style(severity))
