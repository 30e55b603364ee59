"""What the dashboard looks like: four themes, each with what the names of colours stand for in it.

No colour carries a meaning alone. Those of good and bad, and of the kinds of tasks, are told apart by readers with any
colour vision: they are Okabe and Ito's, lighter or darker as the background asks.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from rich.terminal_theme import TerminalTheme
from textual.color import Color
from textual.theme import Theme

DARK, LIGHT, HIGH_CONTRAST, ASCII = "dark", "light", "high-contrast", "ascii"
NAMES: Final = (DARK, LIGHT, HIGH_CONTRAST, ASCII)


def _theme(name: str, background: str, surface: str, panel: str, foreground: str, *, dark: bool = True) -> Theme:
    palette = _PALETTES[name]
    return Theme(
        name=name,
        background=background,
        surface=surface,
        panel=panel,
        foreground=foreground,
        primary=palette["bright_blue"],
        secondary=palette["bright_cyan"],
        accent=palette["bright_magenta"],
        success=palette["green"],
        warning=palette["yellow"],
        error=palette["red"],
        dark=dark,
        text_alpha=1.0 if name == HIGH_CONTRAST else 0.95,
        variables={
            "block-cursor-background": palette["bright_blue"],
            "block-cursor-foreground": background,
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": panel,
            "block-cursor-blurred-foreground": foreground,
        },
    )


# red, green, yellow: bad, good, look. bright_blue, -yellow, -green, -magenta, -cyan: the kinds of tasks.
_PALETTES: Final = {
    DARK: {
        "red": "#ff7a59",
        "green": "#2bc48a",
        "yellow": "#f0b429",
        "blue": "#4a9fe0",
        "magenta": "#cc79a7",
        "cyan": "#56b4e9",
        "bright_blue": "#56b4e9",
        "bright_yellow": "#e69f00",
        "bright_green": "#00c896",
        "bright_magenta": "#e08bbb",
        "bright_cyan": "#f0e442",
    },
    LIGHT: {
        "red": "#a83200",
        "green": "#00614a",
        "yellow": "#7a4f00",
        "blue": "#004c80",
        "magenta": "#86336a",
        "cyan": "#00566b",
        "bright_blue": "#005a94",
        "bright_yellow": "#8f5300",
        "bright_green": "#006b4f",
        "bright_magenta": "#8c3a6f",
        "bright_cyan": "#5f5a00",
    },
    HIGH_CONTRAST: {
        "red": "#ff8f70",
        "green": "#3dffb0",
        "yellow": "#ffd400",
        "blue": "#80c8ff",
        "magenta": "#ff9ed8",
        "cyan": "#7fe0ff",
        "bright_blue": "#80c8ff",
        "bright_yellow": "#ffb733",
        "bright_green": "#3dffb0",
        "bright_magenta": "#ff9ed8",
        "bright_cyan": "#fff566",
    },
}
_PALETTES[ASCII] = _PALETTES[DARK]

THEMES: Final = {
    theme.name: theme
    for theme in (
        _theme(DARK, "#11151a", "#181d24", "#222a34", "#e4e6e9"),
        _theme(LIGHT, "#fbfbfa", "#f1f2f3", "#e3e6ea", "#16191d", dark=False),
        _theme(HIGH_CONTRAST, "#000000", "#000000", "#1c1c1c", "#ffffff"),
        _theme(ASCII, "#11151a", "#181d24", "#222a34", "#e4e6e9"),
    )
}


@cache
def colours(name: str) -> TerminalTheme:
    """What the names of terminal colours look like under a theme."""
    theme, palette = THEMES[name], _PALETTES[name]

    def rgb(text: str | None) -> tuple[int, int, int]:
        return Color.parse(text or "#808080").rgb

    plain = [rgb(palette[each]) for each in ("red", "green", "yellow", "blue", "magenta", "cyan")]
    bright = [
        rgb(palette[each])
        for each in ("red", "bright_green", "bright_yellow", "bright_blue", "bright_magenta", "bright_cyan")
    ]
    back, front, grey = rgb(theme.background), rgb(theme.foreground), rgb("#767676")
    return TerminalTheme(back, front, [back, *plain, front], [grey, *bright, front])


def after(name: str) -> str:
    """The theme that comes next."""
    return NAMES[(NAMES.index(name) + 1) % len(NAMES)] if name in NAMES else NAMES[0]
