"""How many different things were flagged: the flagged traces that are nearly the same, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from azr_platform.audits.flags import LEAST, categories, earned, finer_first, marks
from azr_platform.audits.minhash import groups, likeness, sketches
from azr_platform.audits.quotes import Quote, quote
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow

MOST: Final = 20
TRACES: Final = 200_000
"""So many flagged traces, the earliest, are put together; further ones are counted."""
NAMED: Final = 50


class Cluster(msgspec.Struct, frozen=True):
    """Flagged samples whose traces are nearly the same. ``members``: the first ``NAMED`` of them, earliest first;
    ``quote`` is of the earliest's trace, and a model's. ``alike``: the share of their shingles, on average, that the
    others have in common with the earliest. ``reward``: what they earned (``flags.earned``)."""

    samples: int
    members: list[int]
    first_step: int
    last_step: int
    what: dict[str, int]
    blocked: int
    trained: int
    reward: float
    alike: float
    quote: Quote


class Clusters(msgspec.Struct, frozen=True):
    """The largest groups of two or more. ``alone``: flagged samples like no other; ``different``: how many different
    traces there are, a group counted once."""

    flagged: int
    different: int
    alone: int
    clusters: list[Cluster]
    unread: int = 0


class _Flagged(NamedTuple):
    sample: int
    step: int
    what: tuple[str, ...]
    blocked: bool
    trained: bool
    reward: float | None
    finding: FindingRow | None


def clusters(judgements: Iterable[Judgement], reader: LedgerReader, most: int = MOST, least: int = LEAST) -> Clusters:
    """Group the traces of flagged samples, whatever part of the sample was flagged."""
    rows: list[_Flagged] = []
    unread = 0

    def traces() -> Iterator[str]:
        nonlocal unread
        for judgement in judgements:
            found = marks(judgement, least)
            if found is None:
                continue
            if len(rows) == TRACES:
                unread += 1
                continue
            rows.append(_flagged(judgement, found))
            yield reader.trace(judgement.sample)

    sketched = sketches(traces())
    first_of = groups(sketched)
    heads, sizes = np.unique(first_of, return_counts=True)
    largest = sorted(zip(sizes.tolist(), heads.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))
    chosen = []
    for size, head in largest[:most]:
        if size > 1:
            members = np.flatnonzero(first_of == head)
            alike = float(likeness(sketched[members[1:]], sketched[members[0]]).mean())
            chosen.append(_cluster([rows[at] for at in members], alike, reader))
    return Clusters(len(rows) + unread, len(heads), int((sizes == 1).sum()), chosen, unread)


def _flagged(judgement: Judgement, found: list[FindingRow]) -> _Flagged:
    what = tuple(sorted(categories(found)))
    return _Flagged(
        judgement.sample,
        judgement.step,
        what,
        not judgement.allowed,
        judgement.trained,
        earned(judgement),
        next((row for row in finer_first(found) if row.part == "trace"), None),
    )


def _cluster(rows: list[_Flagged], alike: float, reader: LedgerReader) -> Cluster:
    detail = reader.sample(rows[0].sample)
    assert detail is not None, "what was judged is on record"
    steps = [row.step for row in rows]
    return Cluster(
        samples=len(rows),
        members=[row.sample for row in rows[:NAMED]],
        first_step=min(steps),
        last_step=max(steps),
        what=dict(Counter(word for row in rows for word in row.what).most_common()),
        blocked=sum(row.blocked for row in rows),
        trained=sum(row.trained for row in rows),
        reward=sum(row.reward or 0.0 for row in rows),
        alike=alike,
        quote=quote(detail, rows[0].finding),
    )
