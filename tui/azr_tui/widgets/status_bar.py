"""The two lines at the top of every screen: is it running, how far, is it safe, may I steer it."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from azr_monitor.records import Severity
from azr_tui import wording
from azr_tui.escape import visible_line
from azr_tui.view import View
from azr_tui.widgets.plain import Plain


class StatusBar(Plain):
    """Handed a ``View`` about once a second."""

    DEFAULT_CSS = """
    StatusBar {
        dock: top;
        height: 2;
        background: $panel;
        padding: 0 1;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
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
        if self._view is None:
            return
        width = max(20, self.size.width - 2)
        self.put(Text("\n").join([self._progress(self._view, width), self._safety(self._view, width)]))

    def _progress(self, view: View, width: int) -> Text:
        style = {"good": "bold green", "bad": "bold red", "done": "bold", "busy": "bold yellow"}
        state = Text(visible_line(wording.state_label(view.state), 20), style=style[wording.state_class(view.state)])
        parts = [state]
        if view.where:
            parts.append(Text(visible_line(view.where, 28)))
        bar = wording.meter(view.share, 20 if width >= 110 else 8)
        of = f"/{view.steps} {bar} {view.share * 100:.0f}%" if view.steps else ""  # another trainer's log tells no end
        parts.append(Text(f"step {view.step}{of}"))
        if view.seconds_per_step is not None:
            parts.append(Text(f"{wording.number(view.seconds_per_step)} s/step"))
        if view.eta is not None:
            parts.append(Text(f"ETA {wording.duration(view.eta)}"))
        if view.reason:
            parts.append(Text(visible_line(view.reason, 300), style="dim"))
        return _fit(parts, width)

    def _safety(self, view: View, width: int) -> Text:
        if view.trouble:
            return _fit([Text(f"▲ {visible_line(view.trouble, 300)}", style="bold red")], width)
        if view.snapshot is None:
            return _fit([Text("reading the ledger …", style="dim")], width)
        summary = view.snapshot.summary
        share = f" ({wording.percent(view.blocked_share)})" if view.blocked_share else ""
        blocked = Text(f"✖ {summary.blocked:,}/{summary.samples:,} blocked{share}")
        parts = [blocked, _alerts(view), Text(f"branch {summary.branch}")]
        if summary.held:
            parts.insert(2, Text(f"‖ {summary.held:,} held", style="bold yellow"))
        if width >= 100:
            parts.insert(0, Text(visible_line(summary.run, 24), style="bold"))
            if view.status is not None and view.status.restarts:
                parts.append(Text(wording.count(view.status.restarts, "restart"), style="yellow"))
        if not view.steerable:
            parts.append(Text(f"read-only: {view.why_read_only}", style="yellow"))
        elif view.status is not None and view.status.beat_age > 30:
            parts.append(Text(f"trainer silent {wording.duration(view.status.beat_age)}", style="yellow"))
        return _fit(parts, width)


def _alerts(view: View) -> Text:
    assert view.snapshot is not None
    open_count = view.snapshot.summary.alerts_open
    if not open_count:
        return Text("● no open alerts", style="green")
    worst = max((alert.severity for alert in view.open_alerts), default=0)
    style = "bold red" if worst >= Severity.HIGH else "bold yellow"
    symbol = wording.severity_label(worst).split()[0]
    return Text(f"{symbol} {wording.count(open_count, 'open alert')}", style=style)


def _fit(parts: list[Text], width: int) -> Text:
    """Join parts with room between them; those that do not fit whole are left out, the last one is cut."""
    line = Text(no_wrap=True, overflow="ellipsis")
    used = 0
    for part in parts:
        gap = 2 if used else 0
        size = cell_len(part.plain)
        if used + gap + size > width:
            room = width - used - gap
            if room < 8:
                break
            part = part.copy()
            part.truncate(room, overflow="ellipsis")
            size = room
        line.append(" " * gap).append_text(part)
        used += gap + size
    return line
