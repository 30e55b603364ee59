"""Which samples are like an example: those that hold most of its words, where rare words count for more.

```
the example's words ─► the 64 rarest that occur ─► samples that hold any, by BM25 ─► the best 1,000 read ─► by overlap
```
``overlap`` is what the ranking is by: of all different words of the example, each weighted by how rare it is among the
run's samples (``log((samples + 2) / (holding it + 1))``), the share that the sample holds; less than ``LEAST`` is not
listed. The same said in other words is not seen; what rules and classifiers made of a text is what ``audit ask`` tells.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.search import SearchIndex, Snippet, different_words, snippet

MOST: Final = 20
LEAST: Final = 0.05
"""What shares less than this with the example is not like it."""
_TELLING: Final = 64
_RANKED: Final = 1_000_000
_READ: Final = 1000
_SHOWN: Final = 5
"""The text is shown around so many of the rarest words."""


class Alike(msgspec.Struct, frozen=True):
    """A sample like the example. ``shared`` are the words that both hold, rarest first; ``copies`` counts further
    samples with the very same text, which are not listed. ``snippet`` is a model's."""

    judgement: Judgement
    overlap: float
    shared: list[str]
    snippet: Snippet
    copies: int = 0


class Similar(msgspec.Struct, frozen=True):
    """The samples most like an example, most alike first. ``words``: how many different ones the example has;
    ``unknown`` of them occur in no sample. ``held``: how many of the samples in question hold any telling word.
    ``unlike`` of the texts that were compared share less than ``LEAST``; ``highest`` is the most that any shares."""

    words: int
    unknown: int
    held: int
    rows: list[Alike]
    unlike: int = 0
    highest: float = 0.0


def similar(
    judgements: Iterable[Judgement],
    reader: LedgerReader,
    index: SearchIndex,
    example: str,
    *,
    itself: int | None = None,
    most: int = MOST,
) -> Similar:
    """Rank the judged samples by their likeness to a text; ``itself`` is the sample that the text was taken from."""
    words = different_words(example)
    counts = index.known(words)
    samples = reader.newest_sample()
    weights = {word: math.log((samples + 2) / (counts.get(word, 0) + 1)) for word in words}
    telling = heapq.nlargest(_TELLING, counts, key=lambda word: weights[word])
    order = {number: place for place, number in enumerate(index.ranked(telling, _RANKED))} if telling else {}
    order.pop(itself or 0, None)
    found = [judgement for judgement in judgements if judgement.sample in order]
    read = heapq.nsmallest(_READ, found, key=lambda judgement: order[judgement.sample])
    rows = _ranked(read, reader, weights)
    alike = [row for row in rows if row.overlap >= LEAST]
    highest = rows[0].overlap if rows else 0.0
    return Similar(len(words), len(words) - len(counts), len(found), alike[:most], len(rows) - len(alike), highest)


def _ranked(read: Iterable[Judgement], reader: LedgerReader, weights: Mapping[str, float]) -> list[Alike]:
    total = math.fsum(weights.values())
    by_text: dict[bytes, Alike] = {}
    for judgement in read:
        response = "".join(text or "" for _, text in reader.responses(judgement.sample, judgement.sample))
        key = blake2b(response.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in by_text:
            by_text[key] = msgspec.structs.replace(by_text[key], copies=by_text[key].copies + 1)
            continue
        held = set(different_words(response))
        shared = sorted((word for word in weights if word in held), key=lambda word: -weights[word])
        overlap = math.fsum(weights[word] for word in shared) / total
        by_text[key] = Alike(judgement, overlap, shared, snippet(response, shared[:_SHOWN]))
    # Python's sort is stable: equal ones stay in the order of BM25.
    return sorted(by_text.values(), key=lambda row: -row.overlap)
