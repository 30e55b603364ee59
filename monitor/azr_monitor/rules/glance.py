"""What the sentences of a text may hold, told at a glance: most hold nothing that a rule is made of, and need no more.

    text ─► plain tokens, sentence by sentence ─► their bits ─► what may match there: mostly nothing
         └► signs that may disguise words: where ─► those sentences are looked at closely, or read in full

A glance counts every word that words.py would find in a sentence, and perhaps more; it says where it cannot be sure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache, reduce
from operator import or_
from string import ascii_letters, ascii_lowercase, digits
from typing import Final, NamedTuple

from azr_monitor.rules.phrases import Index
from azr_monitor.rules.words import (
    GLUED_MIN,
    LETTER_SIGNS,
    LINK,
    MAX_SENTENCE,
    SINGLES,
    WORDLIKE,
    Word,
    is_disguised,
    joined,
    pieces,
    stretches,
    undisguised,
)

_KEPT: Final = (ascii_letters + digits + "'").encode()
_PLAINLY: Final = bytes(code if code in _KEPT else 32 for code in range(256)).lower()
"""Each byte as a sign of a token in lower case, or a space."""
_TRIPLE: Final = re.compile("|".join(letter * 3 for letter in ascii_lowercase))
_CONTRACTION: Final = re.compile(r"[a-z]+'[a-z]+")
_APART: Final = re.compile(
    r"(?<![A-Za-z0-9_'])[_']*+[A-Za-z0-9]++"
    r"(?:(?:[^\sA-Za-z0-9]|\r?\n)++[A-Za-z0-9]++"
    r"|(?<![A-Za-z0-9]{2})[^A-Za-z0-9]++[A-Za-z0-9](?![A-Za-z0-9]))++[_']*+"
)
"""Pieces that words.py might join, and perhaps more: whatever stands between them without a space, or single signs."""
_LONGEST_KEPT: Final = 40
_DIGIT: Final = re.compile("[0-9]")
_SIGNS: Final = "$@€!|+"
_SINGLE: Final = re.compile(r"[ '](?=[a-z][ '])")
_UNDERSCORE: Final = re.compile("_")
_SINGLES_SPAN: Final = 8
"""How far the first and the third of three single letters in a row may stand apart."""
_MOST_TOKENS: Final = 1 << 16

_GLUED, _DISGUISED, _PARTED, _UNSURE, _DRAWN_OUT = 1, 2, 4, 8, 16
SPARE: Final = 5
"""Bits that tokens need in each row of an index."""


class Tokens(dict[str, int]):
    """What each token, a run of letters, digits and apostrophes, brings to an index: the bits of its words and, in the
    spare bits of both rows, what is odd about it: it is long, disguised, drawn out, a contraction or who knows what."""

    def __init__(self, index: Index, vocabulary: frozenset[str]) -> None:
        super().__init__()
        self.index = index
        self.vocabulary = vocabulary
        self.width = index.width
        self._first = index.width - SPARE
        self._runs: dict[str, tuple[int, bool]] = {}

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        words, odd = self._read(token)
        if _TRIPLE.search(token):
            odd |= _DRAWN_OUT
        # What is doubtful by itself stands in every row, like what may match.
        doubtful = (odd & (_GLUED | _DISGUISED)) << self._first
        self[token] = self.index.bits(words) | odd << self._first | doubtful << self.width | doubtful << 2 * self.width
        return self[token]

    def joined(self, part: str) -> tuple[int, bool]:
        """The bits of what pieces set apart in a sentence make together, and whether that was written as a disguise."""
        bits, disguised = 0, False
        for run in _APART.findall(part):
            found = self._runs.get(run)
            if found is None:
                words = joined(run, self.vocabulary)
                hidden = any(word.text in self.vocabulary and _is_spelled(word, run) for word in words)
                found = self.index.bits(word.text for word in words), hidden
                if len(run) <= _LONGEST_KEPT:
                    if len(self._runs) >= _MOST_TOKENS:
                        self._runs.clear()
                    self._runs[run] = found
            bits |= found[0]
            disguised |= found[1]
        return bits, disguised

    def odd(self, bits: int) -> int:
        """What is odd about any of the tokens with these bits."""
        return (bits & ((1 << self.width) - 1)) >> self._first

    def _read(self, token: str) -> tuple[Sequence[str], int]:
        if len(token) >= GLUED_MIN:
            return (), _GLUED
        if token.isalpha() or token.isdigit():
            return (token,), 0
        if _CONTRACTION.fullmatch(token):
            return _contracted(token, self.vocabulary), _PARTED
        words = [token]
        if "'" in token:
            words = [token.replace("'", ""), *token.split("'")]
        plain = [undisguised(word, self.vocabulary) for word in words]
        return [*words, *plain], (_DISGUISED if plain != words else 0) | (_UNSURE if len(words) > 1 else 0)


class Seen(NamedTuple):
    """A sentence in which something may match.

    Attributes:
        start: where it begins in the text.
        end: where it ends.
        bits: those of its words, and perhaps of more.
        words: its words, where they are certain.
        doubtful: whether only a full reading tells the words: some may be disguised, run together or set apart.
    """

    start: int
    end: int
    bits: int
    words: Sequence[str] | None
    doubtful: bool = False


def promising(text: str, tokens: Tokens) -> Iterator[Seen]:
    """The sentences in which some pattern of the index may match, in order."""
    plain = text.encode("ascii", "replace").translate(_PLAINLY).decode("ascii")  # a sign for each sign of the text
    bits_of, width, twice = tokens.__getitem__, tokens.width, 2 * tokens.width
    places = stretches(text)
    listed = [plain[start:end].split() for start, end in places]
    bits = [reduce(or_, map(bits_of, words), 0) for words in listed]
    if text.isascii():
        drawn_out = bool(tokens.odd(reduce(or_, bits)) & _DRAWN_OUT)
    else:
        drawn_out = _TRIPLE.search(text.lower()) is not None
    starts = [start for start, _ in places]
    apart = {bisect_right(starts, place) - 1 for place in _apart(text, plain)}
    signs = {bisect_right(starts, place) - 1 for place in _signs(text)}
    for number, (start, end) in enumerate(places):
        here = bits[number]
        doubtful, unsure = number in signs, False
        if number in apart and not doubtful:
            # Pieces set apart: what they make is a word more.
            part = text[start:end]
            more, doubtful = tokens.joined(part)
            here |= more
            unsure = "_" in part and any(map(part.__contains__, _SIGNS))
        if doubtful or unsure:
            yield Seen(start, end, here, None, doubtful)
        elif drawn_out or here & (here >> width) & (here >> twice):
            seen = _closely((start, end), listed[number], here, tokens, number in apart, drawn_out)
            if seen.doubtful or tokens.index.candidates(here):
                yield seen


def _apart(text: str, plain: str) -> Iterator[int]:
    """Where pieces of words may be set apart; at some of these places they are not."""
    yield from (match.start() for match in LINK.finditer(text))
    if "_" in text:
        yield from (match.start() for match in _UNDERSCORE.finditer(text))
    singles = [match.start() for match in _SINGLE.finditer(f" {plain} ")]
    yield from (first for first, third in zip(singles, singles[2:], strict=False) if third - first <= _SINGLES_SPAN)


def _signs(text: str) -> Iterator[int]:
    """Where words may be disguised, by signs for letters or letters beyond ASCII."""
    if any(map(text.__contains__, _SIGNS)):
        yield from (match.start() for match in LETTER_SIGNS.finditer(text))
    if not text.isascii():
        yield from (match.start() for match in WORDLIKE.finditer(text))


def _closely(
    place: tuple[int, int], listed: list[str], bits: int, tokens: Tokens, apart: bool, drawn_out: bool
) -> Seen:
    """A sentence, looked at closely; where letters are drawn out in the text, any odd sign is doubtful."""
    odd = tokens.odd(bits)
    doubtful = (
        odd & _GLUED
        or (odd & _DISGUISED and _count_disguised(listed, tokens) > 1)
        or (drawn_out and listed and (apart or odd & ~_PARTED or not all(map(_is_plain, listed))))
    )
    if doubtful:
        return Seen(*place, bits, None, True)
    if apart or odd & ~_PARTED or len(listed) > MAX_SENTENCE:
        return Seen(*place, bits, None)
    if odd:
        listed = [part for token in listed for part in _contracted(token, tokens.vocabulary)]
    return Seen(*place, bits, listed)


def _is_spelled(word: Word, run: str) -> bool:
    """Whether a word was written letter by letter; a few names of variables in a row may be one by chance."""
    written = run[word.start : word.end]
    return is_disguised(word, run) and (SINGLES.search(written) is not None or _DIGIT.search(written) is None)


def _count_disguised(listed: Sequence[str], tokens: Tokens) -> int:
    return sum(tokens.odd(tokens[token]) & _DISGUISED > 0 for token in set(listed))


def _is_plain(token: str) -> bool:
    return token.isalpha() or token.isdigit() or _CONTRACTION.fullmatch(token) is not None


@lru_cache(maxsize=4096)
def _contracted(token: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """The words of a token, most often itself; of a contraction, two."""
    return tuple(word.text for word in pieces(token, 0, len(token), vocabulary))
