"""What counts as flagged: a sample that the monitor itself found something bad enough in, or blocked in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

from azr_monitor.categories import ANY, OTHER, category_of
from azr_monitor.records import NOTES, Severity
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.records import FindingRow

LEAST: Final = Severity.MEDIUM
"""How bad a finding must be, unless somebody asks otherwise."""

_APART: Final = ("supervisor.", "review.", "policy.")
"""What the supervisor, a person, or an exemption said: it tells nothing of what the text means."""


def evidence(judgement: Judgement) -> list[FindingRow]:
    """The findings that say something against the sample, worst first."""
    found = [row for row in judgement.findings if row.rule not in NOTES and not row.rule.startswith(_APART)]
    return sorted(found, key=lambda row: -row.severity)


def marks(judgement: Judgement, least: int = LEAST) -> list[FindingRow] | None:
    """What a sample is flagged for, worst first: the findings of at least that severity.

    Of one that was blocked in doubt, all that the doubt was made of, which may be nothing that left a finding. None for
    a sample that is not flagged.
    """
    if judgement.allowed and not judgement.findings:
        return None
    found = evidence(judgement)
    heavy = [row for row in found if row.severity >= least]
    if heavy:
        return heavy
    doubted = not judgement.allowed and not any(row.rule.startswith(_APART) for row in judgement.findings)
    return found if doubted else None


def finer_first(found: Sequence[FindingRow]) -> list[FindingRow]:
    """Findings, worst first, as people read them: one that says only that something is the matter stands behind all
    others where one of these says what, of the same passage."""
    telling = [row for row in found if not row.rule.endswith(ANY)]
    return sorted(found, key=lambda row: row.rule.endswith(ANY) and any(_same_passage(row, one) for one in telling))


def _same_passage(one: FindingRow, other: FindingRow) -> bool:
    """Whether two findings are about words that both hold; one without a place is about the whole of its part."""
    if one.part != other.part:
        return False
    if one.span_start is None or one.span_end is None or other.span_start is None or other.span_end is None:
        return True
    return max(one.span_start, other.span_start) < min(one.span_end, other.span_end)


def categories(found: Sequence[FindingRow]) -> dict[str, FindingRow | None]:
    """What the findings of a flagged sample, worst first, speak of, each with the worst that does.

    That something is the matter, whatever it is, counts only where nothing says what.
    """
    telling = [row for row in found if not row.rule.endswith(ANY)] or found
    by_category: dict[str, FindingRow | None] = {} if telling else {OTHER: None}
    for row in telling:
        by_category.setdefault(category_of(row.rule), row)
    return by_category


def earned(judgement: Judgement) -> float | None:
    """The reward that counts: of a run's own samples that of those alone that an update used. What a log of somebody's
    says, whose samples are of no phase, counts as it is."""
    counts = judgement.reward is not None and (judgement.trained or not judgement.phase)
    return judgement.reward if counts and isfinite(judgement.reward or 0.0) else None
