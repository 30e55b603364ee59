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
    SPELLED_MIN,
    WORDLIKE,
    pieces,
    stretches,
    undisguised,
)

_KEPT: Final = (ascii_letters + digits + "'").encode()
_PLAINLY: Final = bytes(code if code in _KEPT else 32 for code in range(256)).lower()
"""Each byte as a sign of a token in lower case, or a space."""
_TRIPLE: Final = re.compile("|".join(letter * 3 for letter in ascii_lowercase))
_CONTRACTION: Final = re.compile(r"[a-z]+'[a-z]+")
_CHAIN: Final = re.compile(r"[A-Za-z0-9]+(?:[-.*~/\\,\n_]\n?[A-Za-z0-9]+)+")
_PARTS: Final = re.compile(r"[-.*~/\\,\n_]")
_SIGNS: Final = "$@€!|+"
_SINGLE: Final = re.compile(r"[ '](?=[a-z][ '])")
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

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_TOKENS:
            self.clear()
        words, odd = self._read(token)
        if _TRIPLE.search(token):
            odd |= _DRAWN_OUT
        odd <<= self._first
        self[token] = self.index.bits(words) | odd | odd << self.width | odd << 2 * self.width
        return self[token]

    def odd(self, bits: int) -> int:
        """What is odd about any of the tokens with these bits."""
        return (bits & ((1 << self.width) - 1)) >> self._first

    def _read(self, token: str) -> tuple[Sequence[str], int]:
        if len(token) >= GLUED_MIN:
            return (), _GLUED
        if token.isalpha() or token.isdigit():
            return (token,), 0
        if "'" not in token:
            plain = undisguised(token, self.vocabulary)
            return ((token,), 0) if plain == token else ((token, plain), _DISGUISED)
        if _CONTRACTION.fullmatch(token):
            return _contracted(token, self.vocabulary), _PARTED
        return (token.replace("'", ""), *token.split("'")), _UNSURE


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


class _Sentence(NamedTuple):
    start: int
    end: int
    tokens: list[str]
    bits: int


def promising(text: str, tokens: Tokens) -> Iterator[Seen]:
    """The sentences in which some pattern of the index may match, in order."""
    plain = text.encode("ascii", "replace").translate(_PLAINLY).decode("ascii")  # a sign for each sign of the text
    sentences: list[_Sentence] = []
    bits_of, width, twice = tokens.__getitem__, tokens.width, 2 * tokens.width
    whole = 0
    for start, end in stretches(text):
        listed = plain[start:end].split()
        bits = reduce(or_, map(bits_of, listed), 0)
        whole |= bits
        sentences.append(_Sentence(start, end, listed, bits))
    drawn_out = bool(tokens.odd(whole) & _DRAWN_OUT) if text.isascii() else _TRIPLE.search(text.lower()) is not None
    starts = [sentence.start for sentence in sentences]
    linked = {bisect_right(starts, match.start()) - 1 for match in LINK.finditer(text)}
    closely = {bisect_right(starts, place) - 1 for place in _odd_places(text, plain)}
    for number, (start, end, listed, bits) in enumerate(sentences):
        if number in linked:
            # A sign between two pieces: what they make is a word more.
            bits |= tokens.index.bits([_PARTS.sub("", chain).lower() for chain in _CHAIN.findall(text[start:end])])
        if drawn_out or number in closely or bits & (bits >> width) & (bits >> twice):
            seen = _closely(text, _Sentence(start, end, listed, bits), tokens, drawn_out)
            if seen.doubtful or tokens.index.candidates(bits):
                yield seen


def _odd_places(text: str, plain: str) -> Iterator[int]:
    """Where words may be disguised, or their letters stand apart; at some of these places they do not."""
    if any(map(text.__contains__, _SIGNS)):
        yield from (match.start() for match in LETTER_SIGNS.finditer(text))
    if not text.isascii():
        yield from (match.start() for match in WORDLIKE.finditer(text))
    singles = [match.start() for match in _SINGLE.finditer(f" {plain} ")]
    yield from (first for first, third in zip(singles, singles[2:], strict=False) if third - first <= _SINGLES_SPAN)


def _closely(text: str, sentence: _Sentence, tokens: Tokens, drawn_out: bool) -> Seen:
    """A sentence, looked at closely; where letters are drawn out in the text, any odd sign is doubtful."""
    start, end, listed, bits = sentence
    part = text[start:end]
    odd = tokens.odd(bits)
    linked = LINK.search(part) is not None
    apart = SINGLES.search(part) is not None
    doubtful = (
        odd & _GLUED
        or (odd & _DISGUISED and _count_disguised(listed, tokens) > 1)
        or (not part.isascii() and WORDLIKE.search(part))
        or LETTER_SIGNS.search(part)
        or (apart and list(map(len, listed)).count(1) >= SPELLED_MIN)
        or (drawn_out and listed and (linked or "_" in part or odd & ~_PARTED or not all(map(_is_plain, listed))))
    )
    if doubtful:
        return Seen(start, end, bits, None, True)
    if linked or apart or odd & ~_PARTED or "_" in part or len(listed) > MAX_SENTENCE:
        return Seen(start, end, bits, None)
    if odd:
        listed = [part for token in listed for part in _contracted(token, tokens.vocabulary)]
    return Seen(start, end, bits, listed)


def _count_disguised(listed: Sequence[str], tokens: Tokens) -> int:
    return sum(tokens.odd(tokens[token]) & _DISGUISED > 0 for token in set(listed))


def _is_plain(token: str) -> bool:
    return token.isalpha() or token.isdigit() or _CONTRACTION.fullmatch(token) is not None


@lru_cache(maxsize=4096)
def _contracted(token: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """The words of a token, most often itself; of a contraction, two."""
    return tuple(word.text for word in pieces(token, 0, len(token), vocabulary))
