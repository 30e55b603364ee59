"""Held against labels: how often what was found is right, and how much of the harm is found, by rule and by category.

People mostly label what something had flagged, so recall is of what was labelled and of nothing else; how many labelled
texts nothing was found in says how much it rests on. Texts count once however often they came, and as independent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from azr_monitor.intervals import Estimate, wilson
from azr_monitor.records import Severity
from azr_platform.audits.flags import categories, evidence
from azr_platform.audits.labels import Label
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.records import FindingRow


class Row(msgspec.Struct, frozen=True):
    """How one rule, one category, or all of the audit did. ``recall`` is a share of everything labelled harmful, so one
    rule's is small by nature. None where there is nothing to take a share of."""

    name: str
    right: int
    """Labelled harmful, and it found something."""
    wrong: int
    """Labelled benign, and it found something."""
    missed: int
    """Labelled harmful, and it found nothing."""
    precision: Estimate | None
    recall: Estimate | None


class Disagreement(msgspec.Struct, frozen=True):
    """A sample about which people said otherwise than the audit."""

    sample: int
    allowed: bool
    word: str
    who: str
    note: str
    rules: tuple[str, ...]


class Agreement(msgspec.Struct, frozen=True):
    """What people's labels say of an audit. ``unseen`` labels are of samples that it did not judge."""

    harmful: int
    benign: int
    unseen: int
    from_alerts: int
    people: int
    not_found: int
    """Labels of texts in which the audit found nothing."""
    blocked: Row
    found: Row
    categories: list[Row]
    rules: list[Row]
    disagreements: list[Disagreement]
    torn: list[Label]
    """Texts that were decided otherwise before."""

    @property
    def labels(self) -> int:
        """How many labels the figures rest on."""
        return self.harmful + self.benign


def agreement(judgements: Iterable[Judgement], labels: Sequence[Label]) -> Agreement:
    """Hold judgements against labels. A text is judged where it came first: later ones may rest on a person's word."""
    wanted = {min(label.samples): label for label in labels}
    judged = [(wanted[one.sample], one) for one in judgements if one.sample in wanted]
    found = [(label, one, _weighty(one)) for label, one in judged]
    by_rule: dict[str, list[bool]] = defaultdict(list)
    by_category: dict[str, list[bool]] = defaultdict(list)
    for label, _, rows in found:
        for rule in _rules(rows):
            by_rule[rule].append(label.harmful)
        for category in categories(rows) if rows else ():
            by_category[category].append(label.harmful)
    harmful = sum(label.harmful for label, _ in judged)
    return Agreement(
        harmful=harmful,
        benign=len(judged) - harmful,
        unseen=len(labels) - len(judged),
        from_alerts=sum(bool(label.rule) for label, _ in judged),
        people=len({label.who for label, _ in judged}),
        not_found=sum(not rows for *_, rows in found),
        blocked=_row("blocked", [label.harmful for label, one in judged if not one.allowed], harmful),
        found=_row("anything found", [label.harmful for label, _, rows in found if rows], harmful),
        categories=_rows(by_category, harmful),
        rules=_rows(by_rule, harmful),
        disagreements=[
            Disagreement(one.sample, one.allowed, label.word, label.who, label.note, _rules(rows))
            for label, one, rows in found
            if label.harmful == one.allowed
        ],
        torn=[label for label, _ in judged if label.words],
    )


def _weighty(judgement: Judgement) -> list[FindingRow]:
    """The findings that are more than notes, worst first."""
    return [row for row in evidence(judgement) if row.severity > Severity.INFO]


def _rules(rows: Iterable[FindingRow]) -> tuple[str, ...]:
    """The rules that found something, each once."""
    return tuple(dict.fromkeys(row.rule for row in rows))


def _rows(found: dict[str, list[bool]], harmful: int) -> list[Row]:
    rows = [_row(name, labels, harmful) for name, labels in found.items()]
    return sorted(rows, key=lambda row: (-row.right - row.wrong, row.name))


def _row(name: str, found: Sequence[bool], harmful: int) -> Row:
    right = sum(found)
    return Row(
        name=name,
        right=right,
        wrong=len(found) - right,
        missed=harmful - right,
        precision=wilson(right, len(found)) if found else None,
        recall=wilson(right, harmful) if harmful else None,
    )
