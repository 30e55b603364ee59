"""Letters that stand for other letters: what is written to look like Latin, and what cannot be seen at all."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e007f\U000e0100-\U000e01ef"
)
"""A class of characters that show nothing, for use inside brackets of a pattern."""

LOOK_ALIKES: Final = str.maketrans(
    "аеорсухіјѕԁԛԝһькмтвнгпзбліуёԍӏүɩαεορτυνικχησωγδζβμλςհոսօցզԼ",
    "aeopcyxijsdqwhbkmtbhrn36niyegiyiaeoptuvikxnswydzbmlshnuogqL",
)
"""Letters of other scripts to the Latin ones they are taken for; applied to words that mix scripts only."""

# Latin letters of other shapes, and enclosed ones, that Unicode does not decompose.
_SHAPES: Final = {
    "’": "'",
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True)),
    **dict(
        zip("ɑɐƅɓɔƈɖđɗəɛɜƒɡɠħɦıɨłƚɭɱɲŋøɵƥɋɾʂŧʇʉʋʌɯʍƴɏƶȥ", "aabbccdddeeefgghhiilllmnnoopqrsttuvvmwyyzz", strict=True)
    ),
    **{chr(0x1F1E6 + at): chr(97 + at) for at in range(26)},
    **{chr(0x1F150 + at): chr(97 + at) for at in range(26)},
    **{chr(0x1F170 + at): chr(97 + at) for at in range(26)},
}
_LATIN: Final = re.compile(r"[a-z0-9$@€!|+]")
_LETTER: Final = re.compile(r"[a-z]")
_RUN: Final = re.compile(r"[^\W_]+")
_OTHER: Final = re.compile(r"[\u0370-\u058f\u2c80-\u2cff]")


class _Folding(dict[int, str]):
    """Characters to the plain letter or digit they are a form of, one to one, worked out when first met."""

    def __missing__(self, code: int) -> str:
        written = chr(code)
        plain = unicodedata.normalize("NFKC", written)
        if not (len(plain) == 1 and plain.isalnum()):
            plain = unicodedata.normalize("NFKD", written).strip("()")
            plain = plain if len(plain) == 1 and plain.isalnum() else written
        self[code] = _SHAPES.get(plain) or _SHAPES.get(plain.lower(), plain)
        return self[code]


_FOLDING: Final = _Folding()


def folded(text: str) -> str:
    """``text`` with full-width, mathematical, enclosed and other forms of letters made plain, sign for sign."""
    if all(_FOLDING[ord(character)] == character for character in set(text)):
        return text
    return text.translate(_FOLDING)


def is_mixed(word: str) -> bool:
    """Whether a word mixes Latin letters, or digits, with letters of Cyrillic, Greek and the like."""
    return _OTHER.search(word) is not None and _LATIN.search(word) is not None


def latinised(text: str) -> str:
    """``text`` as ``folded`` has it, and look-alikes of other scripts inside Latin words made Latin, sign for sign."""
    return _RUN.sub(
        lambda word: word.group().translate(LOOK_ALIKES) if is_mixed(word.group()) else word.group(), folded(text)
    )
