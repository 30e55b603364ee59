"""Pane 4: what the supervisor raised. Enter leads to the very place that caused it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Static

from azr_platform.ledger.records import AlertRow
from azr_tui import keys, wording
from azr_tui.escape import visible_line
from azr_tui.messages import AcknowledgeWanted, SampleWanted
from azr_tui.screens.live import Pane
from azr_tui.view import View
from azr_tui.widgets.plain import Plain

_FIXED = (("severity", 10), ("age", 4), ("step", 5), ("sample", 7), ("state", 6))


class AlertsPane(Pane):
    """Newest first; ``v`` shows only open ones, ``x`` acknowledges."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.ALERTS]

    def __init__(self) -> None:
        super().__init__(id="alerts")
        self._head = Plain(id="alerts-head")
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._message = Static("", id="alert-message", markup=False)
        self._alerts: list[AlertRow] = []
        self._open_only = False
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._table
        yield self._message

    def on_mount(self) -> None:
        for label, width in _FIXED:
            self._table.add_column(Text(label), width=width)
        self._table.add_column(Text("rule"), width=30)
        self._table.add_column(Text("message"), width=80)

    def enter(self) -> None:
        self._table.focus()

    def show(self, view: View) -> None:
        self._view = view
        if view.snapshot is None:
            return
        alerts = view.open_alerts if self._open_only else list(view.snapshot.alerts)
        if alerts != self._alerts or not self._table.row_count:
            self._fill(alerts, view.now)
        self._draw_head(view)
        self._draw_message()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_open()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._draw_message()

    def action_open(self) -> None:
        alert = self._chosen()
        if alert is None:
            return
        if alert.sample is None:
            self.notify("This alert is about the run as a whole; it has no sample.", markup=False)
            return
        self.post_message(SampleWanted(alert.sample))

    def action_acknowledge(self) -> None:
        alert = self._chosen()
        if alert is not None and not alert.acknowledged:
            self.post_message(AcknowledgeWanted(alert.id))

    def action_acknowledge_all(self) -> None:
        if self._view is not None and self._view.open_alerts:
            self.post_message(AcknowledgeWanted(0))

    def action_open_only(self) -> None:
        self._open_only = not self._open_only
        if self._view is not None:
            self.show(self._view)

    def _fill(self, alerts: list[AlertRow], now: float) -> None:
        chosen = self._chosen()
        followed = self._table.cursor_row == 0
        self._alerts = alerts
        self._table.clear()
        for alert in alerts:
            self._table.add_row(*_cells(alert, now), key=str(alert.id))
        numbers = [alert.id for alert in alerts]
        if chosen is not None and not followed and chosen.id in numbers:
            self._table.move_cursor(row=numbers.index(chosen.id))

    def _chosen(self) -> AlertRow | None:
        row = self._table.cursor_row
        return self._alerts[row] if 0 <= row < len(self._alerts) else None

    def _draw_head(self, view: View) -> None:
        assert view.snapshot is not None
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("showing ", style="dim").append("open" if self._open_only else "all", style="bold")
        text.append(f"   {wording.count(view.snapshot.summary.alerts_open, 'open alert')}", style="bold")
        if view.snapshot.alerts and view.snapshot.alerts[-1].id > 1:
            text.append(f"   the newest {len(view.snapshot.alerts)} are listed", style="dim")
        if not self._alerts:
            text.append("   ● nothing to show", style="green")
        self._head.put(text)

    def _draw_message(self) -> None:
        alert = self._chosen()
        self._message.update(Text("" if alert is None else visible_line(alert.message, 1200)))


def _cells(alert: AlertRow, now: float) -> list[Text]:
    return [
        Text(wording.severity_label(alert.severity), style=wording.severity_style(alert.severity)),
        Text(wording.age(alert.time, now), justify="right"),
        Text(str(alert.step), justify="right"),
        Text("-" if alert.sample is None else str(alert.sample), justify="right"),
        Text("seen" if alert.acknowledged else "open", style="dim" if alert.acknowledged else "bold"),
        Text(visible_line(alert.rule, 60)),
        Text(visible_line(alert.message, 120)),
    ]
