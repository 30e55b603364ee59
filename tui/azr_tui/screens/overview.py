"""Pane 1: is it learning, and is it safe. Plots, the groups in figures, the newest alerts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from azr_platform.records import Kind, Role
from azr_tui import keys
from azr_tui.messages import SampleWanted
from azr_tui.screens.live import Pane
from azr_tui.view import View
from azr_tui.widgets.alert_lines import AlertLines, worst_first
from azr_tui.widgets.group_table import GroupTable
from azr_tui.widgets.metric_lines import MetricLines
from azr_tui.widgets.plain import Plain
from azr_tui.widgets.plots import Curve, KindPlot
from azr_tui.wording import KIND_COLOURS, KIND_LETTERS


class OverviewPane(Pane, can_focus=True):
    """Narrow terminals see the reward of one role at a time (``o`` changes it), wide ones both."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.OVERVIEW]

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._role = Role.PROPOSE
        self._view: View | None = None
        self._rewards = KindPlot("Reward", unit="mean of a step")
        self._rewards_other = KindPlot("Reward", unit="mean of a step")
        self._rates = KindPlot("Solve rate", unit="%", floor=0.0, ceiling=1.0)
        self._legend = Plain(id="legend")
        self._groups = GroupTable()
        self._figures = Horizontal(id="figures")
        self._alerts = AlertLines()
        self._metrics = MetricLines(brief=True)

    def compose(self) -> ComposeResult:
        self._rewards_other.add_class("wide-only")
        with Horizontal(id="plots"):
            yield self._rewards
            yield self._rewards_other
            yield self._rates
        yield self._legend
        with self._figures:
            yield self._groups
            with Vertical(id="vitals", classes="wide-only"):
                yield self._metrics
        yield self._alerts

    def enter(self) -> None:
        self.focus()

    def show(self, view: View) -> None:
        self._view = view
        if view.snapshot is None:
            return
        roles = {role for role, _ in view.snapshot.groups}
        kinds = [kind for kind in Kind if any(kind is each for _, each in view.snapshot.groups)]
        self._legend.put(legend(kinds))
        first = self._role if self._role in roles else _other(self._role)  # nothing is proposed where tasks are given
        for plot, role in ((self._rewards, first), (self._rewards_other, _other(first))):
            curves = [Curve(kind, view.snapshot.series(f"reward/{role.value}/{kind.value}")) for kind in kinds]
            plot.show(curves, f"Reward, {role.value}")
        self._rates.show([Curve(kind, view.snapshot.series(f"solve_rate/{kind.value}")) for kind in kinds])
        self._figures.styles.height = 1 + max(6, len(view.snapshot.groups))
        self._groups.show(view.snapshot)
        self._alerts.show(view)
        self._metrics.show(view.snapshot)

    def action_open(self) -> None:
        """Show the sample behind the first alert listed that has one."""
        sample = next((alert.sample for alert in worst_first(self._view) if alert.sample is not None), None)
        if sample is not None:
            self.post_message(SampleWanted(sample))

    def action_other_role(self) -> None:
        self._role = _other(self._role)
        if self._view is not None:
            self.show(self._view)


def _other(role: Role) -> Role:
    return Role.SOLVE if role is Role.PROPOSE else Role.PROPOSE


def legend(kinds: Sequence[Kind]) -> Text:
    """Which letter and colour is which kind."""
    text = Text(no_wrap=True, overflow="ellipsis", justify="center")
    for kind in kinds:
        red, green, blue = KIND_COLOURS[kind]
        text.append(f" {KIND_LETTERS[kind]} ", style=f"bold rgb({red},{green},{blue})").append(f"{kind.value}  ")
    return text
