"""Train the embedded classifier: python -m azr_monitor.classifiers.embedded.train --help

Sentences are the examples: a window with a piece of a harmful quote in it is harmful, every other is benign. The table
of weights is learnt by gradient descent (Adagrad) from zero; what the largest value of a text means as a probability is
learnt (Platt, 1999) from texts of writers that a table was not trained on. NumPy only, and no order but the seed's: the
same corpus and seed give the same bytes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azr_monitor.categories import HARMS
from azr_monitor.classifiers.embedded.corpus import Example, groups, read, vocabulary
from azr_monitor.classifiers.embedded.features import ROWS, Encoded, encode, stretches
from azr_monitor.classifiers.embedded.model import (
    SIZES,
    EmbeddedClassifier,
    Floats,
    among,
    readable,
    sums,
)
from azr_monitor.classifiers.platt import logistic, platt
from azr_monitor.classifiers.trained import CorpusError, command, save

_COLUMNS: Final = len(EmbeddedClassifier.categories)
_SHARES: Final = (100, 50, 25, 10, 5)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the table is learnt."""

    epochs: int = 6
    texts_a_step: int = 32
    rate: float = 0.6
    decay: float = 1e-5
    shares: float = 0.3
    gain: float = 1.0
    """What window sums are multiplied by, so that few and small weights can say much."""
    sharpness: float = 1.0
    """How much more a benign window counts in learning the worse it looks beside the others of its text."""


class Prepared(NamedTuple):
    """A text made ready: its features, which piece each stretch is of, its windows, and which of them are harmful."""

    features: Encoded
    pieces: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    harmful: NDArray[np.bool_]
    category: int


class Table(NamedTuple):
    """A table of weights before it is made small."""

    weights: NDArray[np.float32]
    offset: Floats
    gain: float


def prepare(example: Example, known: frozenset[str]) -> Prepared:
    """Read a text as the classifier will, and mark its harmful windows by its quotes."""
    sequences: list[tuple[str, ...]] = []
    pieces: list[int] = []
    marked: list[tuple[int, int, bool]] = []
    for piece, within in readable(example.text):
        found = stretches(piece, known)
        base = len(sequences)
        hit = [_touches(within or (some.start, some.end), example) for some in found]
        for size in SIZES:
            for at in range(len(hit) - size + 1):
                marked.append((base + at, base + at + size, any(hit[at : at + size])))
        pieces += [base] * len(found)
        sequences += [some.tokens for some in found]
    category = HARMS.index(example.category) if example.harmful else -1
    first, last, harmful = (np.array(column) for column in zip(*marked, strict=True)) if marked else ([], [], [])
    return Prepared(
        encode(sequences),
        np.array(pieces, dtype=np.int64),
        np.asarray(first, dtype=np.int64),
        np.asarray(last, dtype=np.int64),
        np.asarray(harmful, dtype=np.bool_),
        category,
    )


def _touches(span: tuple[int, int], example: Example) -> bool:
    if not example.harmful:
        return False
    return not example.spans or any(span[0] < end and start < span[1] for start, end in example.spans)


# -- learning -------------------------------------------------------------------------------------------


def fit(texts: Sequence[Prepared], seed: int, recipe: Recipe) -> Table:
    """Learn a table of weights from these texts."""
    random = np.random.default_rng(seed)
    table = np.zeros((ROWS, _COLUMNS), dtype=np.float32)
    pace = np.full((ROWS, _COLUMNS), 1e-6, dtype=np.float32)
    offset, offset_pace = np.zeros(_COLUMNS, dtype=np.float32), np.full(_COLUMNS, 1e-6, dtype=np.float32)
    usable = [text for text in texts if len(text.first)]
    weights = _weights(usable)
    for _ in range(recipe.epochs):
        order = random.permutation(len(usable))
        for at in range(0, len(order), recipe.texts_a_step):
            chosen = order[at : at + recipe.texts_a_step]
            batch = _together([usable[n] for n in chosen], [weights[n] for n in chosen])
            rows, stretch = np.unique(batch.features.rows, return_inverse=True)
            slope_of_stretches, slope_of_offset = _slopes(table, offset, batch, recipe)
            owners = np.repeat(np.arange(len(batch.features.bounds) - 1), np.diff(batch.features.bounds))
            slopes = _gathered(stretch, slope_of_stretches[owners], len(rows)) + recipe.decay * table[rows]
            pace[rows] += slopes**2
            table[rows] -= recipe.rate * slopes / np.sqrt(pace[rows])
            offset_pace += slope_of_offset**2
            offset -= 0.1 * recipe.rate * slope_of_offset / np.sqrt(offset_pace)
    return Table(table, offset, recipe.gain)


class _Batch(NamedTuple):
    features: Encoded
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    harmful: NDArray[np.bool_]
    category: NDArray[np.int64]
    weight: Floats
    owner: NDArray[np.int64]


def _weights(texts: Sequence[Prepared]) -> list[Floats]:
    """How much each window counts: less in texts that have many, and harmful ones together as much as benign ones."""
    plain = [np.full(len(text.first), len(text.first) ** -0.5, dtype=np.float32) for text in texts]
    harmful = sum(float(weight[text.harmful].sum()) for text, weight in zip(texts, plain, strict=True))
    total = sum(float(weight.sum()) for weight in plain)
    count = sum(len(weight) for weight in plain)
    balance = (total - harmful) / harmful if harmful else 1.0
    unit = count / (2 * (total - harmful)) if harmful else 1.0
    return [
        weight * unit * np.where(text.harmful, np.float32(balance), np.float32(1))
        for text, weight in zip(texts, plain, strict=True)
    ]


def _together(texts: Sequence[Prepared], weights: Sequence[Floats]) -> _Batch:
    """Some texts as one, their stretches numbered through."""
    bounds, first, last = [np.zeros(1, dtype=np.int64)], [], []
    stretch = row = 0
    for text in texts:
        bounds.append(text.features.bounds[1:] + row)
        first.append(text.first + stretch)
        last.append(text.last + stretch)
        row += len(text.features.rows)
        stretch += len(text.features.bounds) - 1
    return _Batch(
        Encoded(np.concatenate([text.features.rows for text in texts]), np.concatenate(bounds)),
        np.concatenate(first),
        np.concatenate(last),
        np.concatenate([text.harmful for text in texts]),
        np.concatenate([np.full(len(text.first), text.category) for text in texts]),
        np.concatenate(list(weights)),
        np.repeat(np.arange(len(texts)), [len(text.first) for text in texts]),
    )


def _slopes(table: Floats, offset: Floats, batch: _Batch, recipe: Recipe) -> tuple[Floats, Floats]:
    """The loss's slope in each stretch's sum, and in the offset: logistic for harm, softmax for the category."""
    bounds = batch.features.bounds
    values = _windows(sums(table, batch.features), batch) * np.float32(recipe.gain) + offset
    slopes = np.zeros_like(values)
    slopes[:, 0] = (logistic(values[:, 0]) - batch.harmful) * batch.weight * _stress(values[:, 0], batch, recipe)
    which = np.flatnonzero(batch.harmful)
    shares = np.exp(values[which, 1:] - values[which, 1:].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(which)), batch.category[which]] -= 1
    slopes[which, 1:] = recipe.shares * shares
    slopes /= len(values)
    scaled = slopes * (recipe.gain / np.sqrt(bounds[batch.last] - bounds[batch.first]))[:, None]
    of_stretches = np.zeros((len(bounds) - 1, values.shape[1]))
    for step in range(int((batch.last - batch.first).max())):
        inside = batch.first + step < batch.last
        of_stretches += _gathered(batch.first[inside] + step, scaled[inside], len(of_stretches))
    return of_stretches.astype(np.float32), slopes.sum(axis=0)


def _windows(summed: Floats, batch: _Batch) -> Floats:
    """What the stretches of each window sum to, divided by the root of how many features they have."""
    total = np.zeros((len(batch.first), summed.shape[1]), dtype=np.float32)
    for step in range(max(SIZES)):
        inside = batch.first + step < batch.last
        total[inside] += summed[batch.first[inside] + step]
    features = batch.features.bounds[batch.last] - batch.features.bounds[batch.first]
    total /= np.sqrt(features, dtype=np.float32)[:, None]
    return total


def _stress(values: Floats, batch: _Batch, recipe: Recipe) -> Floats:
    """How much more a window counts: benign texts are learnt by their worst window, for by that they are judged."""
    worst_of = np.full(int(batch.owner[-1]) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(worst_of, batch.owner, values)
    share = np.exp(recipe.sharpness * (values - worst_of[batch.owner]))
    mean = np.bincount(batch.owner, share) / np.bincount(batch.owner)
    return np.where(batch.harmful, 1.0, share / mean[batch.owner]).astype(np.float32)


def _gathered(keys: NDArray[np.int64], values: NDArray[Any], count: int) -> Floats:
    """The sum of the values of each key, column by column."""
    return np.stack([np.bincount(keys, column, count) for column in values.T], axis=1).astype(np.float32)


def values_of(table: Table, text: Prepared) -> Floats:
    """The value of each stretch of a text, before it is made a probability: a column for harm, one a category."""
    summed = sums(table.weights, text.features)
    return among(summed, text.features.bounds, text.pieces) * np.float32(table.gain) + table.offset


def worst(table: Table, texts: Sequence[Prepared]) -> NDArray[np.float64]:
    """The highest value for harm of each text; very low where there is nothing to read."""
    return np.array([values_of(table, text)[:, 0].max(initial=-9.0) for text in texts], dtype=np.float64)


# -- what it is worth -----------------------------------------------------------------------------------


def folds(examples: Sequence[Example], seed: int, parts: int = 3) -> dict[str, NDArray[np.bool_]]:
    """Which texts are left out of training together.

    English ones by writer, those of writers of one label only as one. Other languages have too few writers for that;
    they are left out in so many ``parts``, near copies together.
    """
    english = np.array([example.language == "en" for example in examples])
    writers = np.array([example.writer for example in examples])
    labels = {w: {e.harmful for e in examples if e.writer == w and e.language == "en"} for w in dict.fromkeys(writers)}
    both = [str(writer) for writer, found in labels.items() if len(found) == 2]
    found = {writer: english & (writers == writer) for writer in both}
    found["+".join(str(writer) for writer, of in labels.items() if len(of) == 1)] = english & ~np.isin(writers, both)
    group = np.array(groups([example.text for example in examples]), dtype=np.int64)
    share = np.random.default_rng(seed).permutation(len(examples))[group] % parts
    found.update({f"other languages {part + 1}": ~english & (share == part) for part in range(parts)})
    return {name: held for name, held in found.items() if held.any()}


def left_out(examples: Sequence[Example], texts: Sequence[Prepared], seed: int, recipe: Recipe) -> NDArray[np.float64]:
    """Each text's highest value under a table that has seen neither its writer nor a near copy of it."""
    group = np.array(groups([example.text for example in examples]))
    found = np.zeros(len(examples))
    for held in folds(examples, seed).values():
        rest = ~held & ~np.isin(group, group[held])
        table = fit([texts[at] for at in np.flatnonzero(rest).tolist()], seed, recipe)
        found[held] = worst(table, [texts[at] for at in np.flatnonzero(held).tolist()])
    return found


def figures(examples: Sequence[Example], likely: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """What probabilities of texts left out are worth, in each fold and in all.

    AUROC; recall at five false alarms in a hundred; and the probabilities that so many in a thousand of the hard
    negatives reach, for thresholds are set by these.
    """
    harmful = np.array([example.harmful for example in examples])
    hard = np.array([example.difficulty == "hard-negative" for example in examples])
    found = {}
    for name, held in {"all": np.ones(len(examples), dtype=np.bool_), **folds(examples, seed)}.items():
        if (held & harmful).any() and (held & ~harmful).any():
            found[name] = {"texts": int(held.sum()), **_separation(likely[held & harmful], likely[held & ~harmful])}
        if (held & hard).any():
            reached = np.quantile(likely[held & hard], [1 - share / 1000 for share in _SHARES])
            found.setdefault(name, {})["reached_by"] = dict(zip(map(str, _SHARES), reached.round(4), strict=True))
    return found


def _separation(harmful: NDArray[np.float64], benign: NDArray[np.float64]) -> dict[str, Any]:
    ordered = np.sort(benign)
    below, upto = np.searchsorted(ordered, harmful, "left"), np.searchsorted(ordered, harmful, "right")
    auroc = float((below + upto).mean() / 2 / len(benign))
    return {"auroc": round(auroc, 4), "recall_at_5": round(float((harmful > np.quantile(benign, 0.95)).mean()), 4)}


# -- the whole of it -------------------------------------------------------------------------------------


def _save(
    table: Table, calibration: tuple[float, float], known: frozenset[str], about: dict[str, Any], out: Path
) -> None:
    """Write weights and card; each column of the table as integers in -127..127 of one unit."""
    unit = np.maximum(np.abs(table.weights).max(axis=0), 1e-9) / 127
    small = np.rint(table.weights / unit).astype(np.int8)
    scale = (unit * table.gain).astype(np.float32)
    card = {
        **about,
        "categories": EmbeddedClassifier.categories,
        "slope": round(calibration[0], 6),
        "bias": round(calibration[1], 6),
        "vocabulary": " ".join(sorted(known)),
    }
    save({"table": small, "scale": scale, "offset": table.offset.astype(np.float32)}, card, out)


def train(corpus: Path, out: Path, seed: int = 0, recipe: Recipe | None = None) -> dict[str, Any]:
    """Train on every file of ``corpus``, write to ``out``, and return what was measured on writers left out."""
    recipe = recipe or Recipe()
    paths = sorted(corpus.glob("*.jsonl"))
    if not paths:
        raise CorpusError(f"{corpus} holds no *.jsonl; give the corpus with --corpus")
    examples = read(paths)
    known = vocabulary(examples)
    texts = [prepare(example, known) for example in examples]
    harmful = np.array([example.harmful for example in examples])
    values = left_out(examples, texts, seed, recipe)
    slope, bias = platt(values, harmful)
    about = {
        "seed": seed,
        "texts": len(examples),
        "harmful": int(harmful.sum()),
        "corpus": {path.stem: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths},
        "left_out": figures(examples, logistic(slope * values + bias), seed),
    }
    _save(fit(texts, seed, recipe), (slope, bias), known, about, out)
    return about


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return command(argv, __doc__, Path(__file__).parent, "prose", train)


if __name__ == "__main__":
    sys.exit(main())
