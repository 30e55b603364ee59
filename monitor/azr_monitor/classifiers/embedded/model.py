"""The embedded classifier at work: sentences weighed by a table of weights, a text by the worst of its sentences.

    text and what is hidden in it ─► stretches ─► each among its neighbours ─► the worst stretch's probabilities

The sum of the weights of a window's features, divided by the root of their number, is one number for "harmful" and one
for each category. A stretch is worth the mean of itself, of the worst pair and of the worst three that it is part of:
what one sentence only hints at, its neighbours say. Its probability of harm is shared out among the categories, so no
category exceeds ``any``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.categories import HARMS
from azr_monitor.classifiers import trained
from azr_monitor.classifiers.embedded.features import ROWS, Encoded, encode, stretches
from azr_monitor.rules.disguise import readings
from azr_monitor.rules.words import shared
from azr_monitor.sections import EmbeddedSettings

Floats = NDArray[np.float32]
Span = tuple[int, int]
"""From where to where (exclusive) something was written."""

ANY: Final = "any"
SIZES: Final = (1, 2, 3)
"""Stretches that a window has."""
_ROOM: Final = 6000
"""Characters that are scored at once; longer texts are read in overlapping parts."""
_OVERLAP: Final = 600
_LONG_WORD: Final = 12
_FEW_LETTERS, _FEW_WORDS = 6, 5
_STOPS: Final = (". ", "\n", "。")


class Weights(NamedTuple):
    """What training comes to.

    ``table`` has a row a feature and a column for harm and one for each category, as small integers that ``scale``
    makes numbers of; ``slope`` and ``bias`` make probabilities of them.
    """

    table: NDArray[np.int8]
    scale: Floats
    offset: Floats
    slope: float
    bias: float
    vocabulary: frozenset[str]


class EmbeddedClassifier:
    """The classifier that ships with the package.

    Attributes:
        name: what its scores are called.
        categories: ``any``, harm of whatever kind, and the categories of harm.
    """

    name = "embedded"
    categories: tuple[str, ...] = (ANY, *HARMS)

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def windows(self, text: str) -> list[tuple[int, int]]:
        """The parts in which a text is scored: all of it, unless it is very long; ``[]`` for an empty text."""
        if not text.strip():
            return []
        ranges = [(0, _end(text, 0))]
        while ranges[-1][1] < len(text):
            start = _start(text, ranges[-1][1])
            ranges.append((start, _end(text, start)))
        return ranges

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text every category's probability: the highest of its windows, zeros where nothing is to be read."""
        found = []
        for _, values in self._weighed(texts):
            best = values.max(axis=0) if len(values) else np.zeros(len(self.categories))
            found.append({category: float(value) for category, value in zip(self.categories, best, strict=True)})
        return found

    def place(self, text: str, category: str) -> tuple[int, int]:
        """Where a text scores highest in a category: the span of a sentence, or of what hides it."""
        ((places, values),) = self._weighed([text])
        if not places:
            return 0, len(text)
        return places[int(values[:, self.categories.index(category)].argmax())]

    def _weighed(self, texts: Sequence[str]) -> Iterator[tuple[list[Span], Floats]]:
        """Each text's stretches, as spans of what was written, and their values: a row each, a column a category."""
        sequences: list[Sequence[str]] = []
        pieces: list[int] = []
        places: list[list[Span]] = []
        for text in texts:
            mine: list[Span] = []
            for piece, within in readable(text):
                found = stretches(piece, self._weights.vocabulary)
                if _says_nothing([token for some in found for token in some.tokens], self._weights.vocabulary):
                    continue
                mine += [within or (some.start, some.end) for some in found]
                pieces += [len(sequences)] * len(found)
                sequences += [some.tokens for some in found]
            places.append(mine)
        values = self._probabilities(encode(sequences), np.array(pieces, dtype=np.int64))
        at = 0
        for mine in places:
            yield mine, values[at : at + len(mine)]
            at += len(mine)

    def _probabilities(self, features: Encoded, pieces: NDArray[np.int64]) -> Floats:
        weights = self._weights
        values = among(sums(weights.table, features), features.bounds, pieces) * weights.scale + weights.offset
        harm = 1.0 / (1.0 + np.exp(-np.clip(weights.slope * values[:, :1] + weights.bias, -30, 30)))
        shares = np.exp(values[:, 1:] - values[:, 1:].max(axis=1, keepdims=True)) if len(values) else values[:, 1:]
        return np.hstack([harm, harm * shares / shares.sum(axis=1, keepdims=True)]).astype(np.float32)


def _says_nothing(tokens: Sequence[str], vocabulary: frozenset[str]) -> bool:
    """Whether a text is values, such as ``'ca'`` or ``y='adfe' z='efda'``, of whose letters there is nothing to say.

    One word is; so are a few without any that is known. Another alphabet, letters set apart, and many unknown words
    may be a sentence.
    """
    if len(set(tokens)) < 2:
        return all(token.isascii() or len(token) < _LONG_WORD for token in tokens)
    if not all(map(str.isascii, tokens)) or any(len(token) > 2 and token in vocabulary for token in tokens):
        return False
    letters = sum(len(token) == 1 and token.isalpha() for token in tokens)
    set_apart = 2 * letters > len(tokens) >= _FEW_LETTERS
    return not set_apart and len({token for token in tokens if len(token) > 2}) < _FEW_WORDS


def readable(text: str) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """The text itself, and whatever is hidden in it, with the place where it is hidden."""
    yield text, None
    for reading in readings(text):
        yield reading.text, (reading.start, reading.end)


def sums(table: NDArray[Any], features: Encoded) -> NDArray[Any]:
    """The sum of each stretch's rows of ``table``."""
    starts = features.bounds[:-1]
    if not len(starts):
        return np.zeros((0, table.shape[1]), dtype=np.float32)
    kind = np.int32 if table.dtype == np.int8 else table.dtype
    # Every stretch has features, so no two starts are the same.
    return np.add.reduceat(table[features.rows].astype(kind), starts, axis=0)


def among(summed: NDArray[Any], bounds: NDArray[np.int64], pieces: NDArray[np.int64]) -> Floats:
    """What each stretch is worth among its neighbours in the same piece of text.

    The mean, over the sizes of a window, of the worst window of that size which the stretch is in. Where its piece is
    too short for a size, the size below counts again.
    """
    count = len(summed)
    worst = pooled(summed, bounds, 1)
    total = worst.copy()
    for size in SIZES[1:]:
        values = pooled(summed, bounds, size)
        if len(values):
            whole = pieces[: len(values)] == pieces[size - 1 :]
            # For each stretch the windows that begin with it, with the one before it, and so on.
            harm = np.full((size, count), -np.inf, dtype=np.float32)
            for back in range(size):
                harm[back, back : back + len(values)] = np.where(whole, values[:, 0], -np.inf)
            inside = np.flatnonzero(harm.max(axis=0) > -np.inf)
            worst[inside] = values[inside - harm[:, inside].argmax(axis=0)]
        total += worst
    return total / np.float32(len(SIZES))


def pooled(summed: NDArray[Any], bounds: NDArray[np.int64], size: int) -> Floats:
    """Every window of ``size`` neighbours: what they sum to, divided by the root of how many features they have."""
    count = max(0, len(summed) - size + 1)
    total = np.zeros((count, summed.shape[1]), dtype=np.float32)
    for step in range(size):
        total += summed[step : step + count]
    total /= np.sqrt(np.maximum(1, bounds[size:] - bounds[:count]), dtype=np.float32)[:, None]
    return total


def _end(text: str, start: int) -> int:
    """Where a part that begins at ``start`` ends: with a sentence, if one ends near."""
    limit = start + _ROOM
    if limit >= len(text):
        return len(text)
    stop = max(text.rfind(mark, limit - _OVERLAP, limit) for mark in _STOPS)
    return limit if stop < 0 else stop + 1


def _start(text: str, end: int) -> int:
    """Where the part after one that ends at ``end`` begins: some way back, with a sentence if one begins there."""
    stops = [stop for mark in _STOPS if (stop := text.find(mark, end - _OVERLAP, end - 1)) >= 0]
    return min(stops) + 1 if stops else end - _OVERLAP


# -- files ----------------------------------------------------------------------------------------------


def load_embedded(settings: EmbeddedSettings, folder: str = "") -> EmbeddedClassifier:
    """Load the shipped weights, or those in the policy's ``path:``; relative paths begin at ``folder``.

    Raises:
        ClassifierUnavailable: the weights are missing, damaged, or of another version.
    """
    if settings.path is None:
        return EmbeddedClassifier(read_weights(Path(__file__).with_name("weights")))
    return EmbeddedClassifier(read_weights(Path(folder, Path(settings.path).expanduser())))


def read_weights(folder: Path) -> Weights:
    """The weights in ``folder``, checked against what their card says of them.

    Raises:
        ClassifierUnavailable: as for ``load_embedded``.
    """
    return trained.load(folder, "azr_monitor.classifiers.embedded.train", _unpacked)


def _unpacked(card: Mapping[str, Any], tensors: trained.Tensors) -> Weights:
    table, scale, offset = tensors["table"], tensors["scale"], tensors["offset"]
    slope, bias = float(card["slope"]), float(card["bias"])
    vocabulary = shared(frozenset(card["vocabulary"].split()))
    columns = len(EmbeddedClassifier.categories)
    fits = table.shape == (ROWS, columns) and scale.shape == offset.shape == (columns,) and table.dtype == np.int8
    known = tuple(card["categories"]) == EmbeddedClassifier.categories
    if not fits or not known or not np.isfinite([slope, bias, *scale, *offset]).all():
        raise ValueError("they are of another version")
    return Weights(table, scale, offset, slope, bias, vocabulary)
