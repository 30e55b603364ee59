"""The line at the bottom: the keys that work here, as many as fit; pause and help always."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.screen import Screen

from azr_tui import keymap, keys
from azr_tui.widgets.plain import Plain

_ALWAYS = ("run.pause", "dialog.cancel", "app.help")
_LAST = "app.help"
_GAP = 2


class Key(NamedTuple):
    """A key with what it does; ``press`` is its name for Textual."""

    id: str
    press: str
    shown: str
    label: str
    enabled: bool = True

    @property
    def width(self) -> int:
        return cell_len(self.shown) + 1 + cell_len(self.label)


class KeyLine(Plain):
    """Follows the focus. Where keys are left out a … stands before the help, which lists them all."""

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._steerable, self._kept = True, False
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def on_resize(self) -> None:
        self._draw()

    def show(self, steerable: bool, *, kept: bool = False) -> None:
        """Whether the keys that steer do anything; they stand there dimmed when they do not. Of a log that was kept
        (``kept``) they never will, and only those that label are left."""
        if (steerable, kept) != (self._steerable, self._kept):
            self._steerable, self._kept = steerable, kept
            self._draw()

    def on_click(self, event: events.Click) -> None:
        column = event.x - self.styles.padding.left
        for start, end, key in self._places:
            if start <= column < end:
                self.app.simulate_key(key)

    def _bindings_changed(self, screen: Screen[Any]) -> None:
        if self.is_attached and screen is self.screen:
            self._draw()

    def _draw(self) -> None:
        shown, all_fit = fit(self._keys(), self.size.width - 2)
        text = Text(no_wrap=True, overflow="ellipsis")
        self._places = []
        for key in shown:
            if key.id == _LAST and not all_fit:
                text.append("…").append(" " * _GAP)
            start = cell_len(text.plain)
            text.append(key.shown, style="bold" if key.enabled else "dim").append(f" {key.label}", style="dim")
            self._places.append((start, start + key.width, key.press))
            text.append(" " * _GAP)
        self.put(text)

    def _keys(self) -> list[Key]:
        """Each act once, by its first key, those of the focus first; none that the focus takes as text."""
        focused = self.screen.focused
        found: dict[str, Key] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            typed = focused is not None and focused.check_consume_key(binding.key, keymap.character(binding.key))
            if binding.show and binding.id and binding.id not in found and not typed:
                look = keymap.look(binding.key)
                steers = binding.id in keys.STEERING and not (self._kept and binding.id in keys.LABELLING)
                if steers and self._kept:
                    continue
                works = enabled and (self._steerable or not steers)
                found[binding.id] = Key(binding.id, binding.key, look, binding.description, works)
        return list(found.values())


def fit(keys: Sequence[Key], width: int) -> tuple[list[Key], bool]:
    """(the keys to show within ``width`` cells, whether that is all of them): in their order, help last."""
    ordered = sorted(keys, key=lambda key: key.id == _LAST)
    if sum(key.width + _GAP for key in ordered) - _GAP <= width:
        return ordered, True
    chosen = [key for key in ordered if key.id in _ALWAYS]
    room = width - sum(key.width + _GAP for key in chosen) - 1  # the … and what parts it; no gap after the last
    for key in ordered:
        if key not in chosen and key.width + _GAP <= room:
            chosen.append(key)
            room -= key.width + _GAP
    return [key for key in ordered if key in chosen], False
