"""Two audits, of one ledger or of two, put side by side for the samples that a selection lets pass in either."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from azr_platform.audits.difference import EXAMPLES, Difference, Pair, difference, pairs
from azr_platform.audits.selection import EVERYTHING, Selection, by_lot, judgements
from azr_platform.ledger.reader import LedgerReader


def compare(
    reader: LedgerReader,
    before: str,
    other: LedgerReader,
    after: str,
    selection: Selection = EVERYTHING,
    *,
    examples: int = EXAMPLES,
) -> Difference:
    """How what an audit of one ledger made of the samples differs from what another, maybe of another ledger, made."""
    both: Iterator[Pair] = pairs(judgements(reader, before), judgements(other, after))
    if not selection.whole:
        both = _among(both, _passing(reader, before, other, after, selection))
    strangers = () if reader.path.samefile(other.path) else _other_texts(reader, other)
    return difference(both, examples=examples, other_texts=strangers)


def _passing(reader: LedgerReader, before: str, other: LedgerReader, after: str, selection: Selection) -> Iterator[int]:
    """The samples that pass in either, in order. A lot is drawn of all of them together."""
    each = msgspec.structs.replace(selection, draw=0)
    found = [
        (judgement.sample for judgement in judgements(of, audit, each))
        for of, audit in ((reader, before), (other, after))
    ]
    numbers = (number for number, _ in groupby(heapq.merge(*found)))
    return iter(by_lot(numbers, selection.draw, int)) if selection.draw else numbers


def _among(both: Iterable[Pair], numbers: Iterator[int]) -> Iterator[Pair]:
    number = 0
    for pair in both:
        one = pair.before or pair.after
        assert one is not None, "a pair has a sample"
        while number < one.sample:
            number = next(numbers, 2**63)
        if number == one.sample:
            yield pair


def _other_texts(reader: LedgerReader, other: LedgerReader) -> Iterator[int]:
    """The samples that two ledgers have under the same number and that say something else, in order."""
    last = min(reader.newest_sample(), other.newest_sample())
    texts = heapq.merge(reader.responses(1, last), other.responses(1, last), key=lambda row: row[0])
    for number, rows in groupby(texts, key=lambda row: row[0]):
        if len({response for _, response in rows}) > 1:
            yield number
