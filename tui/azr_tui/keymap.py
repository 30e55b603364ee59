"""Which keys are in force: those of keys.py, with a user's own over them; which of them would clash; how they look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import punctuation
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.keys import Keys, format_key, key_to_character

from azr_tui import keys

_NAMED = {key.value for key in Keys}
_MODIFIERS = ("ctrl+", "alt+", "shift+", "super+", "meta+", "hyper+")
_LOOKS = {"escape": "esc", **{key: key for key in ("enter", "tab", "left", "right", "up", "down", "space")}}
"""Words, where Textual has symbols that not every terminal shows."""
_TYPED = {each.key: char for char in punctuation if char != "," for each in Binding.make_bindings([Binding(char, "")])}
_NONE: Mapping[str, str] = {}


def of(app: App[Any]) -> Mapping[str, str]:
    """A user's own keys."""
    return app._keymap


def acts() -> dict[str, Binding]:
    """Every act that has a key, by its name."""
    return {str(binding.id): binding for group in keys.GROUPS.values() for binding in group}


def pressed(binding: Binding, keymap: Mapping[str, str] = _NONE) -> list[str]:
    """The keys of an act, by their long names."""
    given = binding.with_key(keymap.get(str(binding.id), binding.key))
    return [each.key for each in Binding.make_bindings([given])]


def shown(binding: Binding, keymap: Mapping[str, str] = _NONE) -> str:
    """The first key of an act as a reader knows it: ``?``, ``esc``, ``ctrl+g``."""
    return look(pressed(binding, keymap)[0])


def look(key: str) -> str:
    """A key as a reader knows it."""
    return _LOOKS.get(key) or format_key(key)


def character(key: str) -> str | None:
    """What a key types; None for one that types nothing."""
    return _TYPED.get(key) or (key if len(key) == 1 else key_to_character(key))


def is_key(key: str) -> bool:
    """Whether there is such a key: a character, a name, either with ``ctrl+`` and the like before it."""
    while (modifier := next((each for each in _MODIFIERS if key.startswith(each) and key != each), None)) is not None:
        key = key.removeprefix(modifier)
    if len(key) == 1:
        return key.isprintable() and not key.isspace()
    return key in _NAMED or key_to_character(key) is not None


def together() -> Iterator[tuple[str, list[Binding]]]:
    """(where, the acts whose keys count there at the same time)."""
    for name, group in keys.GROUPS.items():
        plots = keys.PLOT if name in keys.WITH_PLOTS else []
        if name in keys.DIALOGS:
            own = {key for binding in group for key in pressed(binding)}
            ways_out = [
                binding for binding in keys.DIALOG if not own.intersection(pressed(binding))
            ]  # it may have its own
            yield name, [*group, *ways_out, keys.HELP, keys.JUMP]
        elif name in keys.SCREENS:
            yield name, [*keys.RUN, *group, *plots]
        elif group not in (keys.RUN, keys.PANES, keys.PLOT):
            yield name, [*keys.RUN, *keys.PANES, *group, *plots]


def clash(keymap: Mapping[str, str]) -> str | None:
    """Two acts that a user's keys give the same key where both count; None when there are none."""
    for where, bindings in together():
        taken: dict[str, str] = {}
        for binding in bindings:
            act = str(binding.id)
            for key in pressed(binding, keymap):
                other = taken.setdefault(key, act)
                if other != act and (act in keymap or other in keymap):
                    return f"{look(key)} means both {other} and {act} ({where.lower()}); give one of them another key"
    return None


def pane_digits(keymap: Mapping[str, str] = _NONE) -> dict[str, str]:
    """For each pane the first key that leads there."""
    return {
        str(binding.id).removeprefix("pane."): shown(binding, keymap)
        for binding in keys.PANES
        if binding.action.startswith("pane(")
    }


def acts_of(group: Sequence[Binding], keymap: Mapping[str, str]) -> Iterator[tuple[str, Binding]]:
    """(its keys as a reader knows them, an act), for each act of a group."""
    for binding in group:
        yield " or ".join(look(key) for key in pressed(binding, keymap)), binding
