"""A letter on every place of the screen; its key goes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from string import ascii_lowercase
from typing import Any, ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from azr_tui import keys
from azr_tui.screens.live import Leaving
from azr_tui.widgets.pane_line import PaneLine

_HOME = "asdfghjkl"
LETTERS = _HOME + "".join(letter for letter in ascii_lowercase if letter not in _HOME)
"""Those under the fingers first."""
_WIDTH = 3


class Target(NamedTuple):
    """A place on the screen, and how to go there."""

    at: Offset
    go: Callable[[], object]


def targets(screen: Screen[Any]) -> list[Target]:
    """The names of the panes, then whatever takes keys, in the order of the focus."""
    found = []
    for line in screen.query(PaneLine):
        for place in line.places:
            go = partial(screen.call_later, screen.run_action, f"screen.pane('{place.pane}')")
            found.append(Target(line.content_region.offset + Offset(place.start, 0), go))
    for widget in screen.focus_chain:
        if widget.region and widget.region.overlaps(screen.region):
            found.append(Target(widget.region.offset, widget.focus))
    return found[: len(LETTERS)]


class JumpScreen(ModalScreen[Target | None], Leaving[Target | None]):
    """Dismisses with the target, or None: any key that is on no place goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.DIALOG]

    def __init__(self, found: Sequence[Target]) -> None:
        super().__init__()
        self._targets = dict(zip(LETTERS, found, strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self._targets.items():
            label = Static(f" {letter} ", classes="jump", markup=False)
            label.styles.offset = (min(target.at.x, max(0, self.app.size.width - _WIDTH)), target.at.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        event.stop()
        self.dismiss(self._targets.get(event.key))

    def on_click(self) -> None:
        self.dismiss(None)

    def action_cancel(self) -> None:
        self.dismiss(None)
