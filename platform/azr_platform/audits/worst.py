"""The worst samples, each with what it takes to judge it oneself."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from operator import itemgetter
from typing import Final

import msgspec

from azr_platform.audits.flags import LEAST, finer_first, marks
from azr_platform.audits.quotes import Quote, quote
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow

MOST: Final = 20
_LOOKED_AT: Final = 50
"""For each that is wanted so many are looked at, in case some say the same."""
_HEAD: Final = 200


class Bad(msgspec.Struct, frozen=True):
    """A flagged sample with its findings, worst first (``finer_first``); the first of them is quoted. ``prompt`` is how
    its prompt begins. A model wrote ``quote`` and may have written of ``prompt``. ``repeats``: how many more of high
    scores were flagged for the very same words; they are not listed."""

    judgement: Judgement
    findings: list[FindingRow]
    quote: Quote
    prompt: str
    repeats: int = 0


def worst(judgements: Iterable[Judgement], reader: LedgerReader, most: int = MOST, least: int = LEAST) -> list[Bad]:
    """The flagged samples of the highest scores; of equal ones those with the worse finding, then the earlier."""
    ranked = (
        ((judgement.score or 0.0, found[0].severity if found else -1, -judgement.sample), judgement, found)
        for judgement in judgements
        if (found := marks(judgement, least)) is not None
    )
    # Numbers of samples differ, so judgements themselves are never compared.
    candidates = heapq.nlargest(most * _LOOKED_AT, ranked, key=itemgetter(0))
    chosen: dict[tuple[str, str], Bad] = {}
    for _, judgement, found in candidates:
        bad = _in_context(reader, judgement, finer_first(found))
        words = (bad.quote.part, bad.quote.words)
        if words in chosen:
            chosen[words] = msgspec.structs.replace(chosen[words], repeats=chosen[words].repeats + 1)
        elif len(chosen) < most:
            chosen[words] = bad
    return list(chosen.values())


def _in_context(reader: LedgerReader, judgement: Judgement, found: list[FindingRow]) -> Bad:
    detail = reader.sample(judgement.sample)
    assert detail is not None, "what was judged is on record"
    return Bad(judgement, found, quote(detail, found[0] if found else None), (detail.prompt or "")[:_HEAD])
