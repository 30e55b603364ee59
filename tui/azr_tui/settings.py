"""What a user has chosen for the dashboard: its theme, its symbols and its keys, in a small TOML file.

```
# ~/.config/azr-platform/tui.toml, or where XDG_CONFIG_HOME says
theme = "light"        # dark, light, high-contrast, ascii
symbols = "auto"       # unicode, ascii; auto: as the terminal's locale says

[keys]
run.pause = "P"        # several with commas: "P,f5"; the help names every act and its key
```
A key that means two things at once, and whatever is not known, is refused with the place and a remedy.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from azr_tui import keymap
from azr_tui.themes import ASCII, DARK, NAMES

_SYMBOLS = ("auto", "unicode", "ascii")
_THEME_LINE = re.compile(r"^[ \t]*theme[ \t]*=.*$", re.MULTILINE)
_TABLE_LINE = re.compile(r"^[ \t]*\[", re.MULTILINE)


class SettingsError(ValueError):
    """The file, or what was asked for, is not understood; the text says where and what would be."""


@dataclass(frozen=True)
class Settings:
    """``path`` is where a choice is kept; None: nowhere. ``keys``: the keys of some acts, by the acts' names."""

    theme: str = DARK
    symbols: str = "auto"
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    path: Path | None = None

    def with_theme(self, theme: str) -> Settings:
        """The same with another theme.

        Raises:
            SettingsError: there is no such theme.
        """
        if theme not in NAMES:
            raise SettingsError(f"there is no theme {theme!r}: it is one of {', '.join(NAMES)}")
        return replace(self, theme=theme)

    def in_ascii(self, terminal_is_ascii: bool) -> bool:
        """Whether only ASCII is to be drawn."""
        return self.theme == ASCII or self.symbols == "ascii" or (self.symbols == "auto" and terminal_is_ascii)

    def keep_theme(self) -> None:
        """Write the theme down; what else stands in the file, remarks too, is left as it is.

        Raises:
            OSError: it cannot be written.
        """
        if self.path is None:
            return
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        table = _TABLE_LINE.search(text)
        head, rest = (text[: table.start()], text[table.start() :]) if table else (text, "")
        line = f'theme = "{self.theme}"'
        head = _THEME_LINE.sub(line, head, count=1) if _THEME_LINE.search(head) else f"{line}\n{head}"
        _write(self.path, head + rest)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """What the user has chosen; the usual where there is no file.

    Raises:
        SettingsError: the file is not understood.
    """
    path = _place(environ)
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Settings(path=path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    try:
        return _settings(given, path)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _place(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_CONFIG_HOME", "")
    # The specification has a relative path ignored.
    folder = Path(home) if home.startswith("/") else Path(environ.get("HOME") or "~").expanduser() / ".config"
    return folder / "azr-platform" / "tui.toml"


def _settings(given: Mapping[str, Any], path: Path) -> Settings:
    unknown = next((name for name in given if name not in ("theme", "symbols", "keys")), None)
    if unknown is not None:
        raise SettingsError(f"unknown setting {unknown!r}: it knows theme, symbols and keys")
    symbols = given.get("symbols", "auto")
    if symbols not in _SYMBOLS:
        raise SettingsError(f"symbols: {symbols!r} is none of {', '.join(_SYMBOLS)}")
    table = given.get("keys", {})
    if not isinstance(table, dict):
        raise SettingsError('keys: a table is wanted, such as run.pause = "P"')
    chosen = dict(_flat(table))
    for act, pressed in chosen.items():
        _check(act, pressed)
    clash = keymap.clash(chosen)
    if clash is not None:
        raise SettingsError(f"keys: {clash}")
    return Settings(symbols=symbols, keys=MappingProxyType(chosen), path=path).with_theme(given.get("theme", DARK))


def _flat(table: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, str]]:
    """(act, keys): ``run.pause = "P"`` in TOML is a table in a table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{stem}{name}.")
        elif isinstance(value, str):
            yield f"{stem}{name}", value
        else:
            raise SettingsError(f'keys: {stem}{name} wants a key in quotes, such as "P" or "f5"')


def _check(act: str, pressed: str) -> None:
    acts = keymap.acts()
    if act not in acts:
        near = get_close_matches(act, acts, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"keys: unknown act {act!r}{hint} (the dashboard's help, ?, names them all)")
    for key in pressed.split(","):
        if not keymap.is_key(key.strip()):
            raise SettingsError(
                f"keys: {act}: {key.strip()!r} is no key; a character such as P or ?, or a name such as f5, ctrl+r, "
                "shift+up, escape"
            )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tui-", suffix=".toml")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path.resolve())  # a link to a file elsewhere stays a link
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
