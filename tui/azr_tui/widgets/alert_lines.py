"""The open alerts, a line each: severity, where, rule, what."""

from __future__ import annotations

from rich.text import Text

from azr_platform.ledger.records import AlertRow
from azr_tui import keymap, wording
from azr_tui.escape import visible_line
from azr_tui.view import View
from azr_tui.widgets.plain import Plain


class AlertLines(Plain):
    """As many open alerts as it has lines, the worst first and among equals the newest."""

    DEFAULT_CSS = """
    AlertLines { height: 1fr; min-height: 2; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
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
        waiting = worst_first(view)
        if not waiting:
            seen = wording.count(len(view.snapshot.alerts), "alert")
            self.put(Text(f"● no open alerts ({seen} on record)" if view.snapshot.alerts else "● no alerts so far"))
            return
        shown = waiting[: max(2, self.size.height) - 1]
        head = Text("Open alerts, worst first", style="bold underline")
        key = keymap.pane_digits(keymap.of(self.app)).get("alerts", "")
        head.append(f"  ({len(shown)} of {len(waiting)}; {key}: all)", style="not bold not underline dim")
        lines = Text("\n").join([head, *(alert_line(alert, view.now) for alert in shown)])
        lines.no_wrap, lines.overflow = True, "ellipsis"
        self.put(lines)


def worst_first(view: View | None) -> list[AlertRow]:
    """Open alerts, the worst first and among equals the newest."""
    return sorted(view.open_alerts if view else [], key=lambda alert: (-alert.severity, -alert.id))


def alert_line(alert: AlertRow, now: float) -> Text:
    """One alert on one line."""
    text = Text(f"{wording.severity_label(alert.severity):<11}", style=wording.severity_style(alert.severity))
    sample = f"sample {alert.sample}" if alert.sample is not None else "run"
    text.append(f"{wording.age(alert.time, now):>4} ago  step {alert.step}  {sample}  ", style="dim")
    text.append(visible_line(alert.rule, 40), style="bold").append("  ")
    return text.append(visible_line(alert.message, 300))
