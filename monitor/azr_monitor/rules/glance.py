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
_LETTERS: Final = frozenset(ascii_lowercase)
_UNDERSCORE: Final = re.compile("_")
_SINGLES_SPAN: Final = 8
"""How far the first and the third of three single letters in a row may stand apart."""
_MOST_TOKENS: Final = 1 << 16

_GLUED, _DISGUISED, _PARTED, _UNSURE, _DRAWN_OUT, _ALONE = 1, 2, 4, 8, 16, 32
_ALONE_IN: Final = {"a": (1, 2), "i": (0, 2), **dict.fromkeys(digits, ())}
"""The rows in which a single letter has its bit, for some; the others have it in all."""
SPARE: Final = 6
"""Bits that tokens need in each row of an index."""


class _Joined(NamedTuple):
    """What pieces set apart make together: its bits, whether some word was written as a disguise, and whether they
    make nothing but what they are one by one."""

    bits: int
    disguised: bool
    plain: bool


class Tokens(dict[str, int]):
    """What each token, a run of letters, digits and apostrophes, brings to an index: the bits of its words and, in the
    spare bits of both rows, what is odd about it: it is long, disguised, drawn out, a contraction or who knows what."""

    def __init__(self, index: Index, vocabulary: frozenset[str]) -> None:
        super().__init__()
        self.index = index
        self.vocabulary = vocabulary
        self.width = index.width
        self._first = index.width - SPARE
        self.alone = _ALONE << self._first
        self._runs: dict[str, _Joined] = {}

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        words, odd = self._read(token)
        doubtful = odd & (_GLUED | _DISGUISED | _DRAWN_OUT)  # stands in every row, like what may match
        rows = [odd, doubtful, doubtful]
        # Single letters spell something where there is another than a and i, or both of them, or part of a contraction.
        for row in _ALONE_IN.get(token, (0, 1) if odd & _PARTED else (0, 1, 2) if len(token) == 1 else ()):
            rows[row] |= _ALONE
        self[token] = self.index.bits(words)
        for number, row in enumerate(rows):
            self[token] |= row << (self._first + number * self.width)
        return self[token]

    def joined(self, part: str) -> _Joined:
        """What pieces that are set apart in a sentence make together."""
        bits, disguised, plain = 0, False, True
        for run in _APART.findall(part):
            found = self._runs.get(run) or self._join(run)
            bits |= found.bits
            disguised |= found.disguised
            plain &= found.plain
        return _Joined(bits, disguised, plain)

    def _join(self, run: str) -> _Joined:
        words = joined(run, self.vocabulary)
        bits = self.index.bits(word.text for word in words)
        disguised = any(word.text in self.vocabulary and _is_spelled(word, run) for word in words)
        plain = [word.text for word in words] == _plainly(run).split()
        found = _Joined(bits, disguised, plain)
        if len(run) <= _LONGEST_KEPT:
            if len(self._runs) >= _MOST_TOKENS:
                self._runs.clear()
            self._runs[run] = found
        return found

    def odd(self, bits: int) -> int:
        """What is odd about any of the tokens with these bits; single letters are not."""
        return ((bits & ((1 << self.width) - 1)) >> self._first) & (_ALONE - 1)

    def _read(self, token: str) -> tuple[Sequence[str], int]:
        if len(token) >= GLUED_MIN:
            return (), _GLUED
        if token.isdigit() or (token.isalpha() and not _TRIPLE.search(token)):
            return (token,), 0
        if _CONTRACTION.fullmatch(token) and not _TRIPLE.search(token):
            return _contracted(token, self.vocabulary), _PARTED
        words = [token]
        if "'" in token:
            words = [token.replace("'", ""), token.partition("'")[2].replace("'", ""), *token.split("'")]
        plain = [undisguised(word, self.vocabulary) for word in words]
        odd = 0 if plain == words else _DRAWN_OUT if token.isalpha() else _DISGUISED
        return [*words, *plain], odd | (_UNSURE if len(words) > 1 else 0)


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
    plain = _plainly(text)  # a sign for each sign of the text
    bits_of, width, twice = tokens.__getitem__, tokens.width, 2 * tokens.width
    places = stretches(text)
    listed = [plain[start:end].split() for start, end in places]
    bits = [reduce(or_, map(bits_of, words), 0) for words in listed]
    starts = [start for start, _ in places]
    linked = {bisect_right(starts, place) - 1 for place in _links(text)}
    signs = {bisect_right(starts, place) - 1 for place in _signs(text)}
    matching = {at: match for at, here in enumerate(bits) if (match := here & (here >> width) & (here >> twice))}
    for number in sorted({*matching, *linked, *signs}):
        place = start, end = places[number]
        here, may_match = bits[number], matching.get(number, 0)
        if number in signs:
            yield Seen(start, end, here, None, True)
            continue
        apart = number in linked or (
            may_match & tokens.alone > 0
            and plain.count("'", start, end) + sum(map(_LETTERS.__contains__, listed[number])) > 2
            and _are_singles(plain[start:end])
        )
        certain = not apart
        if apart:
            # Pieces set apart: what they make is a word more.
            part = text[start:end]
            more = tokens.joined(part)
            if more.disguised or ("_" in part and any(map(part.__contains__, _SIGNS))):
                yield Seen(start, end, here | more.bits, None, more.disguised)
                continue
            here |= more.bits
            may_match = here & (here >> width) & (here >> twice)
            certain = more.plain and "_" not in part
        if may_match & ~tokens.alone:
            seen = _closely(place, listed[number], here, tokens, certain)
            if seen.doubtful or tokens.index.may_match(here):
                yield seen


def _plainly(text: str) -> str:
    return text.encode("ascii", "replace").translate(_PLAINLY).decode("ascii")


def _links(text: str) -> Iterator[int]:
    """Where a sign may stand between two pieces."""
    yield from (match.start() for match in LINK.finditer(text))
    if "_" in text:
        yield from (match.start() for match in _UNDERSCORE.finditer(text))


def _are_singles(plain: str) -> bool:
    """Whether three single letters stand near one another."""
    singles = [match.start() for match in _SINGLE.finditer(f" {plain} ")]
    return any(third - first <= _SINGLES_SPAN for first, third in zip(singles, singles[2:], strict=False))


def _signs(text: str) -> Iterator[int]:
    """Where words may be disguised, by signs for letters or letters beyond ASCII."""
    if any(map(text.__contains__, _SIGNS)):
        yield from (match.start() for match in LETTER_SIGNS.finditer(text))
    if not text.isascii():
        yield from (match.start() for match in WORDLIKE.finditer(text))


def _closely(place: tuple[int, int], listed: list[str], bits: int, tokens: Tokens, certain: bool) -> Seen:
    """A sentence, looked at closely; ``certain``: nothing in it is set apart, so its tokens are its words."""
    odd = tokens.odd(bits)
    if odd & (_GLUED | _DRAWN_OUT) or (odd & _DISGUISED and _count_disguised(listed, tokens) > 1):
        return Seen(*place, bits, None, True)
    if not certain or odd & ~_PARTED or len(listed) > MAX_SENTENCE:
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


@lru_cache(maxsize=4096)
def _contracted(token: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """The words of a token, most often itself; of a contraction, two."""
    return tuple(word.text for word in pieces(token, 0, len(token), vocabulary))
