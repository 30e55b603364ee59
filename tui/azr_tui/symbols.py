"""Every symbol in ASCII, for terminals that show no others: applied to finished lines, so that nothing slips past.

A symbol becomes one character of the same width and similar meaning. What has no form of its own, such as letters of
other scripts in a model's text, becomes ``?``: a letter is not passed off as another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

UNKNOWN = "?"
# For each ASCII character the symbols that become it. Those that tell states or severities apart differ here too.
_ALIKE = {
    "*": "●•⁕",
    "o": "◇°○",
    ",": "◌",
    "~": "…≈",
    "=": "‖",
    "@": "↺",
    "#": "■█▀▌▐▖▗▘▙▚▛▜▝▞▟",
    "+": "✔┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬╒╓╕╖╘╙╛╜╞╟╡╢╤╥╧╨╪╫",
    "x": "✖×✗✘",
    ".": "·▂░",
    "v": "▽↓▾▼",
    "-": "─━═╌╍┄┅┈┉▔▁╴╶╸╺–—▄",
    "^": "△↑▴⇧␛␡␦",
    "!": "▲≠",
    "|": "│┃║╎╏┆┇┊┋▏▎▍▕╵╷╹╻",
    ":": "▃▒",
    "%": "◐▇▓▉▊▋",
    ">": "→▶▸►➜≥»",
    "<": "←◀◂◄⇄≤«⌫",
    "_": "␣",
    "0": "∅",
    "/": "␊␤÷",
    "'": "‘’",
    '"': "“”„",
    "u": "µ",
    " ": "\N{NO-BREAK SPACE}",
    UNKNOWN: "�",
}
_FORMS = {symbol: plain for plain, symbols in _ALIKE.items() for symbol in symbols}
_FORMS |= {chr(code): "^" for code in range(0x2400, 0x2420)}  # pictures of control characters
_FORMS |= dict(zip("▁▂▃▄▅▆▇█", "_.:-=+%#", strict=True))  # bars from low to full
# Braille draws plots: a cell becomes what its dots look most like from afar.
_TOP, _MIDDLE, _BOTTOM = 0x09, 0x36, 0xC0


def _braille(dots: int) -> str:
    top, middle, bottom = dots & _TOP, dots & _MIDDLE, dots & _BOTTOM
    if not dots:
        return " "
    if dots.bit_count() >= 6:
        return "#"
    if top and bottom:
        return "|"
    if top:
        return "'" if not middle else '"'
    if bottom:
        return "." if not middle else ","
    return "-"


_FORMS |= {chr(0x2800 + dots): _braille(dots) for dots in range(256)}


def _form(char: str) -> str:
    if char in _FORMS:
        return _FORMS[char]
    # A mark that changes the letter before it takes no room, and its letter is not told from the plain one.
    return UNKNOWN * get_character_cell_size(char)


class _Table(dict[int, str]):
    """A translation table that fills itself as characters turn up."""

    def __missing__(self, code: int) -> str:
        shown = self[code] = chr(code) if code < 0x80 else _form(chr(code))
        return shown


_TABLE = _Table()


def in_ascii(text: str) -> str:
    """``text`` with nothing but ASCII in it, as wide as before."""
    if text.isascii():
        return text
    if any(unicodedata.combining(char) for char in text):
        text = _without_marks(text)
    return text.translate(_TABLE)


def _without_marks(text: str) -> str:
    shown: list[str] = []
    for char in text:
        if unicodedata.combining(char) and not get_character_cell_size(char):
            if shown:
                shown[-1] = UNKNOWN * max(1, get_character_cell_size(shown[-1][0]))
        else:
            shown.append(char)
    return "".join(shown)


_BRIGHT = Style(dim=False)


class AsciiOnly(LineFilter):
    """Every line in ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]


class NoDim(LineFilter):
    """Nothing is dimmed: what is less important is told by its place."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, style + _BRIGHT if style is not None and style.dim else style, control)
            for text, style, control in segments
        ]


def terminal_is_ascii(environ: Mapping[str, str]) -> bool:
    """Whether the terminal, or the locale it was opened with, says that it shows ASCII only.

    Nothing said at all, as in many containers, is no reason to think so.
    """
    if environ.get("TERM", "") in ("linux", "vt100", "vt102", "vt220", "dumb"):
        return True
    # Python itself sets LC_CTYPE where the language is C, so that alone says nothing.
    coerced = environ.get("LC_CTYPE", "") in ("C.UTF-8", "C.utf8", "UTF-8") and environ.get("LANG", "") in (
        "C",
        "POSIX",
    )
    names = ("LC_ALL", "LANG") if coerced else ("LC_ALL", "LC_CTYPE", "LANG")
    told = next((environ[name] for name in names if environ.get(name)), "")
    return bool(told) and "utf-8" not in told.lower() and "utf8" not in told.lower()
