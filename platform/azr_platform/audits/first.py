"""When it began: the first sample of each category and of each rule, and how many followed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from azr_platform.audits.flags import LEAST, categories, finer_first, marks
from azr_platform.audits.quotes import Quote, quote
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow

RULES: Final = 2000
"""So many different rules are told apart; a ledger that somebody made up could name any number."""


class First(msgspec.Struct, frozen=True):
    """The first occurrence of a category or of a rule, in the order in which samples were recorded. ``finding``: the
    worst of it in that sample; None where it was blocked in doubt and left no finding. ``quote``: its words, a model's,
    once somebody has looked them up."""

    what: str
    sample: int
    branch: int
    step: int
    role: str
    kind: str
    allowed: bool
    finding: FindingRow | None
    samples: int
    """How many samples have it, this one among them."""
    last_sample: int
    last_step: int
    quote: Quote | None = None


class Firsts(msgspec.Struct, frozen=True):
    """First occurrences, earliest first. ``judged``: all samples that were looked at."""

    judged: int
    flagged: int
    categories: list[First]
    rules: list[First]
    unlisted: int = 0
    """Findings of further rules, beyond those that are told apart."""


def first(judgements: Iterable[Judgement], least: int = LEAST) -> Firsts:
    """The first flagged sample of each category and each rule."""
    by_category: dict[str, First] = {}
    by_rule: dict[str, First] = {}
    judged = flagged = unlisted = 0
    for judgement in judgements:
        judged += 1
        found = marks(judgement, least)
        if found is None:
            continue
        flagged += 1
        worst: dict[str, FindingRow] = {}
        for row in finer_first(found):
            worst.setdefault(row.rule, row)
        for category, finding in categories(found).items():
            by_category[category] = _seen(by_category.get(category), category, judgement, finding)
        for rule, row in worst.items():
            if rule in by_rule or len(by_rule) < RULES:
                by_rule[rule] = _seen(by_rule.get(rule), rule, judgement, row)
            else:
                unlisted += 1
    return Firsts(judged, flagged, list(by_category.values()), list(by_rule.values()), unlisted)


def with_words(found: Firsts, reader: LedgerReader) -> Firsts:
    """The same, each with its words."""
    return msgspec.structs.replace(
        found,
        categories=[_quoted(one, reader) for one in found.categories],
        rules=[_quoted(one, reader) for one in found.rules],
    )


def _quoted(one: First, reader: LedgerReader) -> First:
    detail = reader.sample(one.sample)
    assert detail is not None, "what was judged is on record"
    return msgspec.structs.replace(one, quote=quote(detail, one.finding))


def _seen(known: First | None, what: str, judgement: Judgement, finding: FindingRow | None) -> First:
    if known is not None:
        return msgspec.structs.replace(
            known, samples=known.samples + 1, last_sample=judgement.sample, last_step=judgement.step
        )
    return First(
        what,
        judgement.sample,
        judgement.branch,
        judgement.step,
        judgement.role,
        judgement.kind,
        judgement.allowed,
        finding,
        1,
        judgement.sample,
        judgement.step,
    )
