"""Text that hides in text: what stands in base64, hexadecimal, character codes, Morse, ROT13 and the like, read again.

Disguises of single words and letters (look-alikes, digits for letters, invisible characters) are undone by words.py,
ciphers that leave words where they were by ciphers.py. Here a whole stretch was encoded. Each stretch that decodes to
something readable is a reading, and is itself searched for more, a few times. A stretch that only looks encoded decodes
to nonsense, in which no rule finds anything.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator
from string import ascii_lowercase
from typing import Final, NamedTuple

from azr_monitor.rules.ciphers import APART, deciphered
from azr_monitor.rules.words import may_spell, segmented

_DEPTH: Final = 3
_MOST: Final = 64
"""Readings of one text; an author who hides more than so many messages has been found long before."""
_LEAST_LETTERS: Final = 6

_MORSE_CODE: Final = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
"""
_MORSE: Final = dict(zip(_MORSE_CODE.split(), ascii_lowercase + "0123456789", strict=True))


class Reading(NamedTuple):
    """A decoded text, how it was hidden (outermost first), and the half-open span of what was written."""

    text: str
    how: str
    start: int
    end: int


def readings(text: str) -> list[Reading]:
    """What is hidden in ``text``, in order of discovery; usually nothing."""
    found: list[Reading] = []
    seen = {text}
    level = [Reading(text, "", 0, len(text))]
    for depth in range(_DEPTH):
        deeper: list[Reading] = []
        for outer in level:
            for inner in _decoded(outer.text):
                if inner.text in seen or len(found) >= _MOST:
                    continue
                seen.add(inner.text)
                if depth:
                    # Inside something decoded there are no places of its own: the whole stretch is meant.
                    inner = Reading(inner.text, f"{outer.how}, {inner.how}", outer.start, outer.end)
                deeper.append(inner)
                found.append(inner)
        level = deeper
    return found


def _views(text: str) -> dict[str, bytes]:
    """The text as the signs of encodings are counted in it."""
    digits = text if text.isascii() else _DIGIT.sub("0", text)
    written = digits.lower().encode("ascii", "replace")
    return {
        _TEXT: text.encode("utf-8", "replace"),
        _SIGNS: written.translate(None, _NO_SIGNS),
        _LONG: written.translate(_LONG_SIGNS),
        _HEX: written.translate(_HEX_DIGITS, _BETWEEN_HEX),
        _DIGITS: written.translate(_NOUGHTS, _BETWEEN_DIGITS),
        _DASHES: written.translate(_DOTS, _BETWEEN_DOTS),
        _WORDS: written.translate(APART),
    }


def _decoded(text: str) -> Iterator[Reading]:
    # Most texts hold none of it, and to count a sign is far quicker than trying a pattern at every place.
    views = _views(text)
    for name, view, sign, least, pattern, decode in _ENCODINGS:
        if views[view].count(sign) < least:
            continue
        for match in pattern.finditer(text):
            try:
                plain = decode(match.group())
            except (ValueError, OverflowError):
                continue
            if _readable(plain):
                yield Reading(plain, name, *match.span())
    yield from (Reading(*found) for found in deciphered(text, views[_WORDS]))


def _readable(text: str) -> bool:
    """Whether it is text at all: printable, with enough letters, most of it letters and spaces."""
    letters = sum(c.isalpha() or c.isspace() for c in text)
    return letters >= max(_LEAST_LETTERS, 0.7 * len(text)) and all(c.isprintable() or c.isspace() for c in text)


# -- stretches of an alphabet of their own --------------------------------------------------------------


def _base64(written: str) -> str:
    """Base64, over several lines if all of them are; a line that is not may be a long word that follows."""
    try:
        return _base64_line("".join(written.split()))
    except ValueError:
        return _base64_line(written.split()[0])


def _base64_line(written: str) -> str:
    compact = written.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True).decode("utf-8")


def _base32(written: str) -> str:
    compact = "".join(written.split()).rstrip("=")
    return base64.b32decode(compact + "=" * (-len(compact) % 8)).decode("utf-8")


def _base85(written: str) -> str:
    compact = "".join(written.split())
    return base64.a85decode(compact, adobe=True).decode("utf-8")


def _hex(written: str) -> str:
    """Hexadecimal digits; a last word that is none may be one of those that are written with the same letters."""
    try:
        return _hex_digits(written)
    except ValueError:
        return _hex_digits(" ".join(written.split()[:-1]))


def _hex_digits(written: str) -> str:
    return binascii.unhexlify(re.sub(r"0x|\\x|[^0-9a-fA-F]", "", written)).decode("utf-8")


def _codes(written: str) -> str:
    return "".join(chr(int(code)) for code in re.findall(r"\d+", written))


def _octal(written: str) -> str:
    return "".join(chr(int(code, 8)) for code in re.findall(r"[0-7]{3}", written))


def _binary(written: str) -> str:
    size = 7 if re.match(r"[01]{7}\b", written) else 8
    digits = re.sub(r"[^01]", "", written)
    return "".join(chr(int(digits[at : at + size], 2)) for at in range(0, len(digits), size))


def _numbers(written: str) -> str:
    return "".join(chr(96 + int(part)) if part.isdigit() else " " for part in re.findall(r"\d+|[^\d-]+", written))


def _percent(written: str) -> str:
    return bytes.fromhex(written.replace("%", "")).decode("utf-8")


def _escapes(written: str) -> str:
    return "".join(chr(int(code, 16)) for code in re.findall(r"\\[uU]\{?([0-9a-fA-F]{4,8})", written))


def _tags(written: str) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in written)


def _morse(written: str) -> str:
    words = re.split(r"\s*[/|]\s*|\s{2,}", written.strip().translate(str.maketrans("·•−–—", "..---")))
    return " ".join("".join(_MORSE.get(letter, "#") for letter in word.split()) for word in words)


class _Encoding(NamedTuple):
    """An encoding, and what a text that holds it has at least: so many of some sign in one of its views."""

    name: str
    view: str
    sign: bytes
    least: int
    pattern: re.Pattern[str]
    decode: Callable[[str], str]


# Views of a text. What is beyond ASCII counts as a dash in the last, else only digits do.
_TEXT: Final = "as it is"
_SIGNS: Final = "letters, digits and spaces left out"
_LONG: Final = "an x for each sign of a long word"
_HEX: Final = "a nought for each hexadecimal digit, and what may stand between them left out"
_DIGITS: Final = "a nought for each digit, and all but letters left out"
_DASHES: Final = "a dot for each sign that may be one or a dash, and what may stand between them left out"

_WORDS: Final = "a space for each sign that is no letter"


def _as(sign: bytes, those: bytes) -> bytes:
    """A table of bytes: those as the sign, all others as a space."""
    return bytes(sign[0] if code in those else 32 for code in range(256))


_SMALL: Final = ascii_lowercase.encode()
_LONG_SIGNS: Final = _as(b"x", _SMALL + b"0123456789+/_-")
_HEX_DIGITS: Final = _as(b"0", b"0123456789abcdef")
_NOUGHTS: Final = _as(b"0", b"0123456789")
_NO_SIGNS: Final = _SMALL + b"0123456789 "
_BETWEEN_HEX: Final = b" ,:\nx"
_BETWEEN_DIGITS: Final = bytes(code for code in range(256) if code not in _SMALL + b"0123456789_")
_DOTS: Final = _as(b".", b".-?")
_BETWEEN_DOTS: Final = b" /|"
_DIGIT: Final = re.compile(r"\d")

# After the first character: no other of the alphabet stood before it. (Said before it, no place could be skipped.)
_ALONE: Final = r"(?<![A-Za-z0-9+/_-][\s\S])"
_64: Final = "[A-Za-z0-9+/_-]"
_26: Final = r"(?:1\d|2[0-6]|[1-9])"
_TO_NEXT: Final = r"[ /|,.]{1,3}"
_APART: Final = r"[ ,:\n]{0,2}"
_ENCODINGS: Final = tuple(
    _Encoding(name, view, sign, least, re.compile(pattern), decode)
    for name, view, sign, least, pattern, decode in (
        ("base64", _LONG, b"x" * 16, 1, rf"{_64}{_ALONE}{_64}{{15,}}(?:\r?\n{_64}{{8,}})*={{0,2}}", _base64),
        ("HTML entities", _SIGNS, b"&#", 5, r"(?:&#x?[0-9a-fA-F]{2,6};\s?){5,}", html.unescape),
        ("base32", _LONG, b"x" * 16, 1, rf"[A-Z2-7]{_ALONE}[A-Z2-7]{{15,}}(?:\r?\n[A-Z2-7]{{8,}})*={{0,6}}", _base32),
        ("base85", _SIGNS, b"<~", 1, r"<~[!-uz\s]{8,}~>", _base85),
        (
            "hexadecimal",
            _HEX,
            b"0" * 16,
            1,
            rf"[0-9a-fA-F]{_ALONE}(?:x[0-9a-fA-F]{{2}}|[0-9a-fA-F]){_APART}"
            rf"(?:(?:0x)?[0-9a-fA-F]{{2}}{_APART}){{7,}}(?<![0-9A-Za-z](?=[0-9A-Za-z]))",
            _hex,
        ),
        ("hexadecimal", _SIGNS, b"\\", 6, r"(?:\\x[0-9a-fA-F]{2}){6,}", _hex),
        (
            "character codes",
            _DIGITS,
            b"0" * 16,
            1,
            rf"\d{_ALONE}\d{{1,2}}\b[^\w\n]{{1,4}}(?:1?\d\d\b[^\w\n]{{1,4}}){{6,}}1?\d\d\b",
            _codes,
        ),
        ("character codes", _TEXT, b"chr(", 6, r"(?:chr\(\d{2,3}\)[^\w\n]{0,4}){6,}", _codes),
        (
            "octal codes",
            _DIGITS,
            b"0" * 24,
            1,
            rf"[01]{_ALONE}[0-7]{{2}}[ ,\n]{{0,2}}(?:\\?[01][0-7]{{2}}[ ,\n]{{0,2}}){{7,}}",
            _octal,
        ),
        ("binary", _DIGITS, b"0" * 42, 1, rf"[01]{_ALONE}[01]{{6,7}}(?:[ ,\n]{{0,2}}[01]{{7,8}}){{5,}}", _binary),
        (
            "numbers of letters",
            _TEXT,
            b"-",
            4,
            rf"(?<![\w-])(?:{_26}(?:-{_26})*{_TO_NEXT}){{0,3}}{_26}(?:-{_26}){{2,}}"
            rf"(?:{_TO_NEXT}{_26}(?:-{_26})*)*{_TO_NEXT}{_26}(?:-{_26}){{2,}}(?:{_TO_NEXT}{_26}(?:-{_26})*)*\b",
            _numbers,
        ),
        ("percent signs", _SIGNS, b"%", 6, r"(?:%[0-9a-fA-F]{2}){6,}", _percent),
        ("escapes", _SIGNS, b"\\", 5, r"(?:\\[uU]\{?[0-9a-fA-F]{4,8}\}?\s?){5,}", _escapes),
        ("invisible tags", _TEXT, b"\xf3\xa0", 6, "[\U000e0020-\U000e007e]{6,}", _tags),
        (
            "Morse",
            _DASHES,
            b"." * 8,
            1,
            r"(?<![.·•−–—-])(?:[.·•−–—-]{1,5}(?: {1,3}| ?[/|] ?)){7,}[.·•−–—-]{1,5}",
            _morse,
        ),
    )
)

# -- first letters --------------------------------------------------------------------------------------

# Where each begins at the start of a text, and where further on, sought by the sign before it.
_LINES: Final = re.compile(r"[^\w\n]*(\w)"), re.compile(r"\n[^\w\n]*(\w)")
_SENTENCES: Final = re.compile(r"[^\w\n]?(\w)"), re.compile(r"[.!?]\s+[^\w\n]?(\w)")
_LEAST_INITIALS: Final = 8
_MOST_INITIALS: Final = 200


def acrostics(text: str, vocabulary: frozenset[str]) -> Iterator[Reading]:
    """The first letters of the lines, and of the sentences, when they spell nothing but words of the vocabulary."""
    for how, (first, further), signs in (("lines", _LINES, "\n"), ("sentences", _SENTENCES, ".!?")):
        if sum(map(text.count, signs)) < _LEAST_INITIALS - 1:
            continue
        begin = first.match(text)
        rest = begin.end() if begin else 0
        letters = "".join([*(begin.groups() if begin else ()), *further.findall(text, rest)][:_MOST_INITIALS]).lower()
        if len(letters) < _LEAST_INITIALS or not letters.isalpha() or not may_spell(letters, vocabulary):
            continue
        words = [word for _, word in segmented(letters, vocabulary)]
        if len(words) * 2.5 <= len(letters) and vocabulary.issuperset(words):
            places = [match.start(1) for match in (begin, *further.finditer(text, rest)) if match][:_MOST_INITIALS]
            yield Reading(" ".join(words), f"first letters of {how}", places[0], places[-1] + 1)
