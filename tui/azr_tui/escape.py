"""Text that a model wrote, made inert and honest for a terminal.

Every text that did not come from our own source passes through here before it is shown. ``visible`` replaces each
character that would act on the terminal or hide from the reader by a visible stand-in, one for one, so that
character offsets (the spans of findings) keep their meaning:

- C0 controls become their Unicode pictures (ESC is ␛), DEL ␡, C1 controls ␦. No escape sequence survives.
- Marks that turn the writing direction become ⇄; zero-width and other format characters, tags, variation selectors
  and letters that draw nothing become ∅; unusual spaces become ␣, line and paragraph separators ␤.
- Unassigned, private and surrogate code points become �.
- The third and further combining marks in a row become ◌, so that no letter grows over its neighbours.

Markup is no matter here: texts are shown as plain ``Text`` or ``Content`` and are never parsed as markup.
Right-to-left letters themselves are left alone; a terminal that reorders them does so within their own line.
"""

from __future__ import annotations

import unicodedata

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DRAWS_NOTHING = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MOST_MARKS_IN_A_ROW = 2

TURN = "⇄"
NOTHING = "∅"
SPACE = "␣"
UNKNOWN = "�"
STACKED = "◌"
CUT = "…"


def _stand_in(char: str) -> str:
    """The one character shown for ``char``; itself when it is harmless."""
    code = ord(char)
    if char == "\n":
        return char
    if char == "\t":
        return "→"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if code < 0x7F:
        return char
    if code < 0xA0:
        return "␦"
    if char in _BIDI:
        return TURN
    if char in _DRAWS_NOTHING or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF:
        return NOTHING
    match unicodedata.category(char):
        case "Cf":
            return NOTHING
        case "Zs":
            return SPACE
        case "Zl" | "Zp":
            return "␤"
        case "Cn" | "Co" | "Cs":
            return UNKNOWN
        case _:
            return char


class _Table(dict[int, str]):
    """A translation table that fills itself as characters turn up."""

    def __missing__(self, code: int) -> str:
        shown = self[code] = _stand_in(chr(code))
        return shown


_TABLE = _Table()


def visible(text: str) -> str:
    """``text`` with the same length and nothing in it that acts or hides; newlines stay."""
    shown = text.translate(_TABLE)
    return shown if shown.isascii() else _tame_marks(shown)


def visible_line(text: str, limit: int = 400) -> str:
    """``text`` on one line of at most ``limit`` characters: newlines become ␊, a cut is shown as …."""
    cut = text if len(text) <= limit else text[: max(0, limit - 1)]
    return visible(cut).replace("\n", "␊") + (CUT if len(cut) < len(text) else "")


def _tame_marks(text: str) -> str:
    marks = 0
    shown: list[str] = []
    for char in text:
        marks = marks + 1 if not char.isascii() and unicodedata.category(char) in ("Mn", "Me") else 0
        shown.append(STACKED if marks > _MOST_MARKS_IN_A_ROW else char)
    return "".join(shown)
