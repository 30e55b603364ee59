"""The line that names the panes, in the longest form that fits: names, short names, or numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual import events

from azr_tui import keymap, keys
from azr_tui.widgets.plain import Plain


class Place(NamedTuple):
    """Where a pane's name stands: cells ``start``..``end`` of the line."""

    pane: str
    start: int
    end: int


class PaneLine(Plain):
    """``1 Overview  2 Training …``; the one in sight is in brackets and reversed. A click goes there."""

    DEFAULT_CSS = """
    PaneLine { height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, panes: Sequence[str]) -> None:
        super().__init__(id="panes")
        self._panes = panes
        self._chosen = panes[0]
        self._badges: Mapping[str, int] = {}
        self.places: list[Place] = []

    def show(self, chosen: str, badges: Mapping[str, int]) -> None:
        """``badges``: numbers that stand beside a pane's name, zeros left out."""
        self._chosen, self._badges = chosen, badges
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    async def on_click(self, event: events.Click) -> None:
        column = event.x - self.styles.padding.left
        for place in self.places:
            if place.start <= column < place.end:
                await self.run_action(f"screen.pane('{place.pane}')")

    def _draw(self) -> None:
        digits = keymap.pane_digits(keymap.of(self.app))
        labels = pane_labels(self._panes, self._chosen, self._badges, digits, self.size.width - 2)
        text = Text(no_wrap=True, overflow="ellipsis")
        self.places = []
        for pane, label in labels:
            start = cell_len(text.plain)
            text.append(label, style="bold reverse" if pane == self._chosen else "")
            self.places.append(Place(pane, start, start + cell_len(label)))
        self.put(text)


def pane_labels(
    panes: Sequence[str], chosen: str, badges: Mapping[str, int], digits: Mapping[str, str], width: int
) -> list[tuple[str, str]]:
    """(pane, what the line shows for it) in the longest form that ``width`` cells hold."""
    whole = {pane: pane.capitalize() for pane in panes}
    short = keys.PANE_SHORT
    # (names, the chosen one's name, blanks before and after each): a digit is never joined to the name before it.
    forms = [(whole, whole, " ", " "), (short, whole, " ", " "), (short, whole, " ", ""), (short, short, " ", "")]
    labels: list[tuple[str, str]] = []
    for names, chosen_name, before, after in [*forms, ({}, whole, " ", " "), ({}, short, " ", "")]:
        labels = []
        for pane in panes:
            name = chosen_name[pane] if pane == chosen else names.get(pane, "")
            badge = f"{badges[pane]:,}" if badges.get(pane) else ""
            words = " ".join(filter(None, (digits.get(pane, ""), name, badge)))
            labels.append((pane, f"[{words}]" if pane == chosen else f"{before}{words}{after}"))
        if sum(cell_len(label) for _, label in labels) <= width:
            break
    return labels
