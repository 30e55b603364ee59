"""How a rule is to be changed: off or on, another action, or other thresholds. What cannot be is said at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from azr_monitor.records import Action, Amendment
from azr_tui import keys
from azr_tui.escape import visible_line
from azr_tui.screens.live import Dialog
from azr_tui.widgets.field import Field

if TYPE_CHECKING:
    from azr_monitor.catalogue import Entry
    from azr_monitor.policy import Policy


class ChangeScreen(Dialog[Amendment | None]):
    """Dismisses with the change, which may be made under the policy at hand, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, entry: Entry, policy: Policy) -> None:
        super().__init__()
        self._entry = entry
        self._policy = policy
        self._choices = [
            (f"turn it {'off' if entry.enabled else 'on'}", Amendment(rule=entry.rule, enabled=not entry.enabled))
        ]
        self._choices += [
            (f"action: {action.label}", Amendment(rule=entry.rule, action=action.label))
            for action in Action
            if action is not entry.action
        ]
        steps = " ".join(f"{name}={value:g}" for name, value in entry.thresholds.items())
        self._thresholds = Field(steps, id="thresholds", max_length=200, compact=True)
        self._complaint = Static("", id="complaint", markup=False)

    def compose(self) -> ComposeResult:
        entry = self._entry
        now = f"now: {entry.severity.label}, {entry.action.label if entry.enabled else 'off'}"
        with Vertical(classes="dialog"):
            yield Static(f"Change {visible_line(entry.rule, 50)}", classes="dialog-title", markup=False)
            yield Static(Text(f"{now}. {visible_line(entry.why, 160)}"), markup=False)
            yield OptionList(*(Option(Text(words)) for words, _ in self._choices), markup=False)
            if entry.thresholds:
                yield Static("or the values from which it has each severity, then enter:", classes="dim", markup=False)
                yield self._thresholds
            yield self._complaint
            yield Static("enter: choose (asks once more)   tab: thresholds   esc: cancel", classes="dim", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0
        if self._entry.thresholds:
            self._thresholds.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(self._choices[event.option_index][1])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        steps: dict[str, float] = {}
        for word in self._thresholds.value.replace(",", " ").split():
            name, _, value = word.partition("=")
            try:
                steps[name] = float(value)
            except ValueError:
                self._complaint.update(Text(f"▲ {visible_line(word, 30)}: give SEVERITY=VALUE, such as medium=0.85"))
                return
        self._choose(Amendment(rule=self._entry.rule, thresholds=steps))

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _choose(self, amendment: Amendment) -> None:
        from azr_monitor.amend import change_of
        from azr_monitor.policy import PolicyError

        try:
            change_of(self._policy, amendment)
        except PolicyError as error:
            self._complaint.update(Text(f"▲ {visible_line(str(error), 300)}"))
            return
        self.dismiss(amendment)
