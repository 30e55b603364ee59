"""How much was found: samples by the worst of their findings, and by what these speak of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from azr_monitor.intervals import Estimate, wilson
from azr_monitor.records import FAILURE, LIMIT, SLOW, UNSCORED, Severity
from azr_platform.audits.flags import LEAST, categories, evidence, marks
from azr_platform.ledger.judgements import Judgement, nearest

_IN_PART = (FAILURE, LIMIT, UNSCORED, SLOW)
"""What a monitor says of a text that it did not read, or not wholly."""


class Share(msgspec.Struct, frozen=True):
    """So many of the judged samples. ``trained``: how many of these an update used; ``cleared``: how many a
    person allowed, or called a false alarm."""

    what: str
    samples: int
    share: Estimate | None
    blocked: int
    trained: int
    cleared: int
    severity: str
    """The worst among them."""


class Tally(msgspec.Struct, frozen=True):
    """``severities``: by the worst finding, gravest first, then those in which nothing was found. ``categories``: the
    flagged ones, most first; a sample counts in each category that it is flagged for. ``in_part``: samples that were
    not read wholly, by the rule that says so."""

    judged: int
    blocked: int
    flagged: Share
    severities: list[Share]
    categories: list[Share]
    in_part: dict[str, int]


class _Count:
    def __init__(self) -> None:
        self.samples = self.blocked = self.trained = self.cleared = 0
        self.worst = -1

    def add(self, judgement: Judgement, severity: int, cleared: bool) -> None:
        self.samples += 1
        self.cleared += cleared
        self.blocked += not judgement.allowed
        self.trained += judgement.trained
        self.worst = max(self.worst, severity)

    def share(self, what: str, judged: int) -> Share:
        share = wilson(self.samples, judged) if judged else None
        return Share(what, self.samples, share, self.blocked, self.trained, self.cleared, label(self.worst))


def tally(judgements: Iterable[Judgement], cleared: Collection[int] = (), least: int = LEAST) -> Tally:
    """Count them, one at a time. ``cleared`` are the samples that people found nothing in."""
    everything, flagged = _Count(), _Count()
    by_severity = {severity: _Count() for severity in range(-1, Severity.CRITICAL + 1)}
    by_category: dict[str, _Count] = {}
    in_part = Counter[str]()
    for judgement in judgements:
        found = evidence(judgement)
        severity = int(nearest(found[0].severity)) if found else -1
        counts = [everything, by_severity[severity]]
        in_part.update({row.rule for row in judgement.findings if row.rule in _IN_PART})
        if (marked := marks(judgement, least)) is not None:
            counts += [flagged, *(by_category.setdefault(what, _Count()) for what in categories(marked))]
        for count in counts:
            count.add(judgement, severity, judgement.sample in cleared)
    judged = everything.samples
    rows = [count.share(name, judged) for name, count in by_category.items()]
    return Tally(
        judged=judged,
        blocked=everything.blocked,
        flagged=flagged.share("flagged", judged),
        severities=[by_severity[severity].share(label(severity), judged) for severity in sorted(by_severity)[::-1]],
        categories=sorted(rows, key=lambda row: (-row.samples, row.what)),
        in_part=dict(in_part.most_common()),
    )


def label(severity: int) -> str:
    """A severity's name, ``nothing`` below all of them."""
    return "nothing" if severity < 0 else nearest(severity).label
