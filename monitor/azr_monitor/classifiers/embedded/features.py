"""Prose as numbers: stretches of normalised words, and for each the features that the model weighs.

    text ─► words.sentences ─► stretches of tokens ─► features of each, hashed ─► rows of the table of weights

The features of a stretch: its words and pieces of them, neighbouring words (also with one or two left out), and roles:
classes of words by what they do in a plan (who, against whom, by what means), which ones meet and in what order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.rules.words import Word, normal, sentences

Indices = NDArray[np.int64]
Roles = tuple[str, ...]

BITS: Final = 17
ROWS: Final = 1 << BITS
"""Rows of the table of weights; each feature has one, and may share it."""

_SHORTEST: Final = 3
_MOST_WORDS: Final = 48
_OVERLAP: Final = 16
_LETTERS: Final = range(3, 6)
_LONGEST: Final = 32
"""Pieces are taken of words up to this length; what is longer is no word."""
_GRAMS: Final = ((0, 1), (0, 2), (0, 1, 2))
"""Neighbours that are looked at together: how far each stands from the first."""
_MOST_ROLES: Final = 14
_SHORTEST_STEM: Final = 2
_MIXER: Final = np.uint64(0x9E3779B97F4A7C15)


class Stretch(NamedTuple):
    """A sentence, or part of a long one: its tokens, and the half-open span of what was written."""

    tokens: tuple[str, ...]
    start: int
    end: int


class Encoded(NamedTuple):
    """The rows of the features of each stretch, one after another; where each stretch begins, and the last ends."""

    rows: Indices
    bounds: Indices


def stretches(text: str, vocabulary: frozenset[str]) -> list[Stretch]:
    """The sentences of a text, in order, words undisguised as for the rules; long ones in overlapping parts."""
    found: list[Stretch] = []
    for sentence in sentences(text, vocabulary):
        for part in _parted(sentence, text):
            for first in range(0, max(1, len(part) - _OVERLAP), _MOST_WORDS - _OVERLAP):
                some = part[first : first + _MOST_WORDS]
                tokens = tuple("0" if word.text.isdigit() else word.text for word in some)
                found.append(Stretch(tokens, some[0].start, some[-1].end))
    return found


def _parted(sentence: Sequence[Word], text: str) -> Iterator[Sequence[Word]]:
    """A sentence cut at line breaks, but for lines of a word or two."""
    first = 0
    for at in range(_SHORTEST, len(sentence)):
        if at - first >= _SHORTEST and "\n" in text[sentence[at - 1].end : sentence[at].start]:
            yield sentence[first:at]
            first = at
    yield sentence[first:]


def encode(sequences: Sequence[Sequence[str]]) -> Encoded:
    """The features of each sequence of tokens."""
    numbers: list[int] = []
    owners: list[int] = []
    own: list[Indices] = []
    counts: list[int] = []
    begin, end = _number("<s>"), _number("</s>")
    for at, tokens in enumerate(sequences):
        known = [_word(token) for token in tokens]
        numbers += [begin, *(word.number for word in known), end]
        owners += [at] * (len(tokens) + 2)
        pieces = [word.rows for word in known]
        pieces.append(_plot(_order(word.roles for word in known)))
        own += pieces
        counts.append(sum(map(len, pieces)))
    hashed, whose = np.array(numbers, dtype=np.uint64), np.array(owners, dtype=np.int64)
    found = [np.concatenate(own)] if own else []
    found_owners = [np.repeat(np.arange(len(counts)), counts)]
    for offsets in _GRAMS:
        rows, of = _grams(hashed, whose, offsets)
        found.append(rows)
        found_owners.append(of)
    of_all = np.concatenate(found_owners)
    order = np.argsort(of_all, kind="stable")
    bounds = np.searchsorted(of_all[order], np.arange(len(sequences) + 1))
    return Encoded(np.concatenate(found)[order], bounds)


# -- words ----------------------------------------------------------------------------------------------


class _Known(NamedTuple):
    number: int
    rows: Indices
    roles: Roles


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _row(text: str) -> int:
    return _number(text) >> (64 - BITS)


@lru_cache(maxsize=1 << 15)
def _word(token: str) -> _Known:
    """What a token brings by itself: the word, pieces of it, and its roles."""
    roles = roles_of(token)
    features = [f"w:{token}", *(f"r:{role}" for role in roles)]
    if len(token) <= _LONGEST:
        marked = f"<{token}>"
        features += [f"c:{marked[at : at + size]}" for size in _LETTERS for at in range(len(marked) - size + 1)]
    return _Known(_number(token), np.array([_row(feature) for feature in features], dtype=np.int64), roles)


def _grams(numbers: NDArray[np.uint64], owners: Indices, offsets: Sequence[int]) -> tuple[Indices, Indices]:
    """Rows of tokens that stand so far apart in one sequence, and the sequences they are of."""
    count = max(0, len(numbers) - offsets[-1])
    value = np.full(count, _number(f"g:{offsets}"), dtype=np.uint64)
    for offset in offsets:
        value = (value ^ numbers[offset : offset + count]) * _MIXER
        value ^= value >> np.uint64(29)
    whole = owners[:count] == owners[offsets[-1] : offsets[-1] + count]
    return (value >> np.uint64(64 - BITS)).astype(np.int64)[whole], owners[:count][whole]


# -- roles ----------------------------------------------------------------------------------------------


def roles_of(token: str) -> Roles:
    """The roles of a word, by the whole of it or else by its longest beginning that has any."""
    words, stems = _lexicon()
    if token in words:
        return words[token]
    for size in range(len(token), _SHORTEST_STEM - 1, -1):
        if token[:size] in stems:
            return stems[token[:size]]
    return ()


@lru_cache(maxsize=1)
def _lexicon() -> tuple[dict[str, Roles], dict[str, Roles]]:
    """Whole words, and beginnings of words (marked by a star), each with its roles."""
    words: dict[str, set[str]] = {}
    stems: dict[str, set[str]] = {}
    listed: dict[str, str] = json.loads(Path(__file__).with_name("roles.json").read_text("utf-8"))
    for role, entries in listed.items():
        for entry in entries.split():
            (stems if entry.endswith("*") else words).setdefault(normal(entry.rstrip("*")), set()).add(role)
    return {key: tuple(sorted(of)) for key, of in words.items()}, {key: tuple(sorted(of)) for key, of in stems.items()}


def _order(roles: Iterable[Roles]) -> tuple[Roles, ...]:
    """The roles in their order, words without any and repetitions left out."""
    order: list[Roles] = []
    for of in roles:
        if of and (not order or order[-1] != of):
            order.append(of)
    return tuple(order[:_MOST_ROLES])


@lru_cache(maxsize=1 << 14)
def _plot(order: tuple[Roles, ...]) -> Indices:
    """Which roles meet, by twos and threes, and which follow which."""
    present = sorted({role for roles in order for role in roles})
    features = ["p:" + " ".join(some) for size in (2, 3) for some in combinations(present, size)]
    for size in (2, 3):
        for at in range(len(order) - size + 1):
            features += ["q:" + " ".join(chain) for chain in product(*(of[:2] for of in order[at : at + size]))]
    return np.array([_row(feature) for feature in features], dtype=np.int64)
