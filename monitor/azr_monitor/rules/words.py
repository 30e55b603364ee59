"""Prose as words: normalised for matching, each with its place in the original text.

Disguises are undone word by word: case, accents, full-width and look-alike letters, invisible characters inside a
word, digits standing for letters (``d3ce1ve``), and letters set apart (``d e c e i v e``). A word keeps the span
of what was written, so a finding points at the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import NamedTuple

_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f"
_WORD = re.compile(rf"[\w{_INVISIBLE}\u0300-\u036f$@'’]+")
_PLAIN = re.compile(r"[A-Za-z0-9']+")
_STRIP = re.compile(f"[{_INVISIBLE}\u0300-\u036f_'’]")
_BREAK = re.compile(r"[.!?;:](?=\s|$)|\n\s*\n|\n\s*[-*#\d]")
_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһькмтвнгпзбαεορτυνικχησω\u0131\u0142\u00f8ƅɡ",
    "aeopcyxijsdqwhbkmtbhrn36aeoptuvikxnswilobg",
)
_DIGITS = str.maketrans("013457@$", "oieasta" + "s")
_DIGITS_L = str.maketrans("013457@$", "oleasta" + "s")
_MAX_WORD = 64
_MIN_SENTENCE = 3
_MAX_SENTENCE = 240
_OVERLAP = 40
_SPELLED_MIN, _SPELLED_MAX = 4, 14


class Word(NamedTuple):
    """A normalised word and the half-open span of what was written."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=65536)
def normal(written: str) -> str:
    """The plain form of one written word: letters a-z and digits; accents, look-alikes and disguises undone."""
    text = written
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _STRIP.sub("", text)).casefold()
        text = "".join(c for c in text if not unicodedata.combining(c)).translate(_LOOK_ALIKES)
    return text.lower().replace("'", "").replace("_", "")


def undisguised(word: str, vocabulary: Collection[str]) -> str:
    """``word`` with digits read as letters when that gives a word of ``vocabulary``, else ``word`` itself."""
    if word.isalpha() or word.isdigit() or len(word) > _MAX_WORD:
        return word
    for table in (_DIGITS, _DIGITS_L):
        plain = word.translate(table)
        if plain in vocabulary:
            return plain
    return word


def sentences(text: str, vocabulary: Collection[str]) -> list[list[Word]]:
    """The words of ``text`` in sentences, in one linear pass.

    Very short sentences are joined to the next, so full stops between words hide nothing; single letters in a
    row are joined to one word when that is a word of ``vocabulary``.
    """
    found: list[list[Word]] = [[]]
    last = stopped = 0
    pattern = _PLAIN if text.isascii() and "_" not in text and "$" not in text and "@" not in text else _WORD
    for match in pattern.finditer(text):
        start, end = match.span()
        if start - last > 1 and _BREAK.search(text, last, min(start, last + 40)):
            if len(found[-1]) >= _MIN_SENTENCE and len(found[-1]) - stopped >= 2:
                found.append([])
            stopped = len(found[-1])
        last = end
        found[-1].extend(_split(match.group(), start, end, vocabulary))
    return [part for sentence in found if sentence for part in _bounded(_rejoin(sentence, vocabulary))]


def _bounded(sentence: list[Word]) -> Iterator[list[Word]]:
    """An overlong sentence as overlapping stretches, so that what is matched at once stays small."""
    if len(sentence) <= _MAX_SENTENCE:
        yield sentence
        return
    for first in range(0, len(sentence) - _OVERLAP, _MAX_SENTENCE - _OVERLAP):
        yield sentence[first : first + _MAX_SENTENCE]


def _split(written: str, start: int, end: int, vocabulary: Collection[str]) -> list[Word]:
    """One written token as words: contractions part (``I'll``), other marks vanish."""
    if written.isascii() and written.isalpha():
        return [Word(written.lower(), start, end)]
    for mark in ("'", "’"):
        head, found, tail = written.partition(mark)
        if found and head and normal(tail) in _CONTRACTED:
            cut = start + len(head) + 1
            whole = normal(head), normal(tail)
            return [Word(whole[0], start, cut - 1), Word(whole[1], cut, end)]
    if "_" in written and not written.startswith("_"):
        words, at = [], start
        for piece in written.split("_"):
            if piece:
                words.append(Word(undisguised(normal(piece), vocabulary), at, at + len(piece)))
            at += len(piece) + 1
        return words
    plain = undisguised(normal(written), vocabulary)
    return [Word(plain, start, end)] if plain else []


_CONTRACTED = frozenset({"ll", "m", "ve", "re", "d", "s"})


def _rejoin(sentence: list[Word], vocabulary: Collection[str]) -> list[Word]:
    """Join runs of four or more single letters that spell a word of the vocabulary."""
    if sum(len(word.text) == 1 for word in sentence) < 4:
        return sentence
    joined: list[Word] = []
    run: list[Word] = []
    for word in [*sentence, Word("", 0, 0)]:
        if len(word.text) == 1 and len(run) < _MAX_WORD:
            run.append(word)
            continue
        joined.extend(_spelled(run, vocabulary))
        run = []
        if len(word.text) == 1:
            run = [word]
        elif word.text:
            joined.append(word)
    joined.extend(_spelled(run, vocabulary))
    return joined


def _spelled(run: list[Word], vocabulary: Collection[str]) -> list[Word]:
    """Read a run of single letters as the words it spells, longest first; letters left over stay letters."""
    letters = "".join(word.text for word in run)
    if len(letters) < _SPELLED_MIN or (letters.count(letters[0]) == len(letters)):
        return run
    words: list[Word] = []
    at = 0
    while at < len(run):
        for size in range(min(_SPELLED_MAX, len(run) - at), _SPELLED_MIN - 1, -1):
            text = undisguised(letters[at : at + size], vocabulary)
            if text in vocabulary:
                words.append(Word(text, run[at].start, run[at + size - 1].end))
                at += size
                break
        else:
            words.append(run[at])
            at += 1
    return words
