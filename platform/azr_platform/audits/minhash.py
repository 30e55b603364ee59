"""Which of many texts are nearly the same: sketches of their shingles, compared where a part of them is equal.

```
text ─► shingles of 5 letters ─► a sketch of 64 numbers ─► 16 bands of 4 ─► equal in a band: compare sketches ─► groups
```
Two texts agree in as large a share of their sketches as they share of their shingles (one-permutation MinHash, Li et
al. 2012, with empty places filled from their neighbours, Shrivastava and Li 2014). Bands are sorted, not compared pair
by pair: the time is that of sorting, and the texts themselves are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

ALIKE: Final = 0.5
"""Texts that share at least so much of their shingles count as nearly the same."""
PLACES: Final = 64
LONGEST: Final = 20_000
"""So many letters of a text are read."""
_SHINGLE: Final = 5
_BAND: Final = 4
_LEADERS: Final = 256
"""A chain is parted into so many groups, which bounds the time."""
_AT_ONCE: Final = 256
_EMPTY: Final = np.uint32(2**32 - 1)
_WORD: Final = re.compile(r"[^\W\d_]+")
_POWERS: Final = [pow(0x9E3779B97F4A7C15, power, 2**64) for power in range(_SHINGLE)]

Sketches = NDArray[np.uint32]


def sketches(texts: Iterable[str]) -> Sketches:
    """A row a text. Letters alone count, whatever their case: numbers and signs differ between copies."""
    rows = [_sketch(batch) for batch in _batches(map(_letters, texts))]
    return np.concatenate(rows) if rows else np.empty((0, PLACES), np.uint32)


def likeness(one: Sketches, other: Sketches) -> NDArray[np.float64]:
    """For each pair of rows the share of the shingles that both texts have, estimated: 0.06 off as a rule."""
    share: NDArray[np.float64] = np.mean(one == other, axis=-1)
    return share


def groups(rows: Sketches, alike: float = ALIKE) -> NDArray[np.int64]:
    """For each text the first of its group, which all of the group are like."""
    return _led(rows, _chained(rows, alike), alike)


def _chained(rows: Sketches, alike: float) -> NDArray[np.int64]:
    """Groups in which each is like some other: by way of the others all kinds of texts may come together."""
    parent = np.arange(len(rows))
    for start in range(0, PLACES, _BAND):
        # Equal bands come to stand together, each text behind the earlier ones.
        _, inverse = np.unique(rows[:, start : start + _BAND], axis=0, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        follows = np.flatnonzero(inverse[order][1:] == inverse[order][:-1]) + 1
        if not len(follows):
            continue
        begins = np.ones(len(rows), dtype=bool)
        begins[follows] = False
        heads = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
        for others in (order[heads[follows]], order[follows - 1]):
            close = _close(rows, others, order[follows], alike)
            _join(parent, others[close], order[follows][close])
    return _roots(parent)


def _led(rows: Sketches, chained: NDArray[np.int64], alike: float) -> NDArray[np.int64]:
    """Each chain parted: who is like its first stays with it, of the others who is like their first, and so on."""
    led = chained.copy()
    order = np.argsort(chained, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(chained[order])) + 1):
        left = members
        for _ in range(_LEADERS if len(members) > 1 else 0):
            close = likeness(rows[left], rows[left[:1]]) >= alike
            led[left[close]] = left[0]
            left = left[~close]
            if not len(left):
                break
        else:
            led[left] = left[:1]  # what is still one chain, of which no more is said
    return led


def _letters(text: str) -> str:
    """The words of a text, or the text itself where it has none; at least one shingle long."""
    read = text[:LONGEST]
    return (" ".join(_WORD.findall(read.casefold())) or read).ljust(_SHINGLE)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, _AT_ONCE)):
        yield batch


def _sketch(texts: list[str]) -> Sketches:
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    count = len(codes) - _SHINGLE + 1
    hashed = np.zeros(count, np.uint64)
    for at, power in enumerate(_POWERS):
        hashed += codes[at : at + count] * np.uint64(power)
    hashed = _mixed(hashed)
    inside = owner[:count] == owner[_SHINGLE - 1 :]
    places = owner[:count] * PLACES + (hashed >> np.uint64(58)).astype(np.int64)
    values = (hashed & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    rows = np.full(len(texts) * PLACES, _EMPTY, np.uint32)
    np.minimum.at(rows, places[inside], values[inside])
    return _filled(rows.reshape(len(texts), PLACES))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of a value spread over all bits (the end of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _filled(rows: Sketches) -> Sketches:
    """Empty places take what the next place to the right holds, marked by how far away that is."""
    known = rows.copy()
    for distance in range(1, PLACES):
        empty = rows == _EMPTY
        if not empty.any():
            break
        from_right = np.roll(known, -distance, axis=1)
        take = empty & (from_right != _EMPTY)
        rows[take] = from_right[take] + np.uint32((distance * 0x9E3779B9) % 2**32)
    return rows


def _close(rows: Sketches, some: NDArray[np.int64], others: NDArray[np.int64], alike: float) -> NDArray[np.bool_]:
    close = np.empty(len(some), bool)
    for start in range(0, len(some), 2**14):
        part = slice(start, start + 2**14)
        close[part] = likeness(rows[some[part]], rows[others[part]]) >= alike
    return close


def _join(parent: NDArray[np.int64], some: NDArray[np.int64], others: NDArray[np.int64]) -> None:
    """Put the groups of each pair together; a group is named by its first member."""
    while True:
        parent[:] = _roots(parent)
        low, high = np.minimum(parent[some], parent[others]), np.maximum(parent[some], parent[others])
        apart = low != high
        if not apart.any():
            return
        np.minimum.at(parent, high[apart], low[apart])


def _roots(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return above
        parent = above
