"""The role x kind groups in figures: reward, success and learnability, each now and over the run.

A proposer succeeds with a valid proposal, a solver with a right answer. Learnability is what a proposer's tasks are
worth: a solver has none.
"""

from __future__ import annotations

from rich.text import Text

from azr_platform.records import Kind, Role
from azr_tui import wording
from azr_tui.view import Series, Snapshot
from azr_tui.widgets.plain import Plain

_FIGURES_WIDTH = 70
_WIDEST_TREND = 24


class GroupTable(Plain):
    """One line a group; the trends fill what width is left."""

    DEFAULT_CSS = """
    GroupTable { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._snapshot is None:
            return
        trend = min(_WIDEST_TREND, max(0, (self.size.width - _FIGURES_WIDTH) // 2))
        trend = trend if trend >= 5 else 0
        label = "trend" if trend else ""
        head = (
            f"{'group':<20}{'reward':>7} {'min':>6} {'max':>6}  {label:<{trend}}  "
            f"{'success':>7} {'min':>4} {'max':>4}  {label:<{trend}}{'learn':>6}"
        )
        lines = [Text(head, style="bold underline")]
        lines.extend(self._line(self._snapshot, role, kind, trend) for role, kind in self._snapshot.groups)
        table = Text("\n", no_wrap=True, overflow="crop").join(lines)
        table.no_wrap, table.overflow = True, "crop"
        self.put(table)

    def _line(self, snapshot: Snapshot, role: Role, kind: Kind, trend: int) -> Text:
        reward = snapshot.series(f"reward/{role.value}/{kind.value}")
        success = snapshot.series(f"{'valid' if role is Role.PROPOSE else 'solve'}_rate/{kind.value}")
        learn = snapshot.series(f"learnability/{kind.value}").last if role is Role.PROPOSE else None
        text = Text(f"{role.value:<8}")
        text.append(f"{wording.KIND_LETTERS[kind]} {kind.value:<10}", style=f"bold {wording.KIND_STYLES[kind]}")
        text.append(
            f"{_signed(reward.last):>7} {_signed(reward.low):>6} {_signed(reward.high):>6}  "
            f"{_trend(reward, trend)}  "
            f"{wording.percent(success.last):>7} "
            f"{wording.percent(success.low):>4} {wording.percent(success.high):>4}  "
            f"{_trend(success, trend)}"
            f"{'-' if learn is None else f'{learn:.2f}':>6}"
        )
        return text


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _trend(series: Series, width: int) -> str:
    return f"{wording.sparkline(series.values, width):<{width}}"
