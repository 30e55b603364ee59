"""The corpus that the model learns from: one file a writer, near copies found, harmful sentences told from the rest.

A line is ``{"text", "label": "harmful" or "benign", "category", "language", "difficulty", "quotes"}``. The quotes of a
harmful text are what makes it harmful; everything else in it counts as benign.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from azr_monitor.categories import HARMS
from azr_monitor.classifiers.trained import CorpusError
from azr_monitor.rules.words import normal

_SHINGLE: Final = 5
_ALIKE: Final = 0.4
_BANDS: Final = 16
_ROWS_A_BAND: Final = 2


class Example(NamedTuple):
    """A text of the corpus; ``category`` is a category of harm, or the topic of a benign text."""

    text: str
    harmful: bool
    category: str
    language: str
    difficulty: str
    spans: tuple[tuple[int, int], ...]
    writer: str


def read(paths: Iterable[Path]) -> list[Example]:
    """Every example of the files, in order; a file's name is its writer.

    Raises:
        CorpusError: a line is not an example.
    """
    found: list[Example] = []
    for path in paths:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                found.append(_example(json.loads(line), path.stem))
            except (KeyError, TypeError, ValueError) as error:
                why = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise CorpusError(f"{path}:{number}: {why}; its form: monitor/corpus/prose/README.md") from error
    return found


def _example(line: dict[str, object], writer: str) -> Example:
    text, category, label = str(line["text"]), str(line["category"]), line["label"]
    if label not in ("harmful", "benign"):
        raise ValueError(f"label {label!r} is neither harmful nor benign")
    if label == "harmful" and category not in HARMS:
        raise ValueError(f"category {category!r} is none of {', '.join(HARMS)}")
    quotes = line.get("quotes") or []
    if not isinstance(quotes, list) or not all(isinstance(quote, str) and quote in text for quote in quotes):
        raise ValueError("quotes must be a list of pieces of the text")
    spans = tuple(match.span() for quote in quotes for match in re.finditer(re.escape(quote), text))
    language, difficulty = str(line["language"]), str(line["difficulty"])
    return Example(
        text, label == "harmful", category, language, difficulty, spans if label == "harmful" else (), writer
    )


def vocabulary(examples: Iterable[Example]) -> frozenset[str]:
    """The words that disguises are undone to: those of the texts that are not disguised."""
    plain = (example.text for example in examples if example.difficulty != "obfuscated")
    return frozenset(word for text in plain for written in _WORD.findall(text) if len(word := normal(written)) > 2)


_WORD = re.compile(r"[^\W\d_]+")


def groups(texts: Sequence[str]) -> list[int]:
    """A group for each text, the same for near copies: texts that share much of their shingles of letters.

    Candidates are found by MinHash (Broder, 1997) and compared by the Jaccard index of their shingles.
    """
    sets = [_shingles(text) for text in texts]
    parent = list(range(len(texts)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    buckets: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for at, shingles in enumerate(sets):
        for band, key in enumerate(_signature(shingles)):
            for other in buckets[band, key]:
                if root(other) != root(at) and _jaccard(sets[other], shingles) >= _ALIKE:
                    parent[root(at)] = root(other)
            buckets[band, key].append(at)
    return [root(at) for at in range(len(texts))]


def _shingles(text: str) -> frozenset[int]:
    compact = " ".join(_WORD.findall(text.casefold())) or text
    pieces = {compact[at : at + _SHINGLE] for at in range(max(1, len(compact) - _SHINGLE + 1))}
    return frozenset(
        int.from_bytes(hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")
        for piece in pieces
    )


def _signature(shingles: frozenset[int]) -> list[tuple[int, ...]]:
    least = [min((value * multiplier + 1) % _PRIME for value in shingles) for multiplier in _MULTIPLIERS]
    return [tuple(least[at : at + _ROWS_A_BAND]) for at in range(0, len(least), _ROWS_A_BAND)]


_PRIME: Final = (1 << 61) - 1
_MULTIPLIERS: Final = tuple(pow(7, 3 + 2 * at, _PRIME) for at in range(_BANDS * _ROWS_A_BAND))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
