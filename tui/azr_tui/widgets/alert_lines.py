"""The newest alerts, a line each: severity, where, rule, what."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from azr_monitor.records import Severity
from azr_platform.ledger.records import AlertRow
from azr_tui import wording
from azr_tui.escape import visible_line
from azr_tui.view import View


class AlertLines(Static):
    """As many alerts as it has lines, open ones first, newest first."""

    DEFAULT_CSS = """
    AlertLines { height: 1fr; min-height: 2; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._view: View | None = None

    def show(self, view: View) -> None:
        self._view = view
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        view = self._view
        if view is None or view.snapshot is None:
            return
        if not view.snapshot.alerts:
            self.update(Text("Alerts: ● none so far", style="dim"))
            return
        height = max(2, self.size.height)
        alerts = sorted(view.snapshot.alerts, key=lambda alert: (alert.acknowledged, -alert.id))[: height - 1]
        head = Text("Newest alerts", style="bold underline").append(
            "  (4 or a: all of them)", style="not bold not underline dim"
        )
        lines = Text("\n").join([head, *(alert_line(alert, view.now) for alert in alerts)])
        lines.no_wrap, lines.overflow = True, "ellipsis"
        self.update(lines)


def severity_style(severity: int) -> str:
    """Colour of a severity; its symbol and word say the same."""
    if severity >= Severity.CRITICAL:
        return "bold red"
    if severity >= Severity.HIGH:
        return "red"
    return "yellow" if severity == Severity.MEDIUM else ""


def alert_line(alert: AlertRow, now: float) -> Text:
    """One alert on one line."""
    text = Text(f"{wording.severity_label(alert.severity):<11}", style=severity_style(alert.severity))
    sample = f"sample {alert.sample}" if alert.sample is not None else "run"
    text.append(f"{wording.age(alert.time, now):>4} ago  step {alert.step}  {sample}  ", style="dim")
    text.append(visible_line(alert.rule, 40), style="bold").append("  ")
    return text.append(visible_line(alert.message, 300))
