"""How much findings and classifiers' values weigh: one number in 0..1 a source, and what all of them come to.

A finding weighs what its severity weighs. A classifier's value weighs what its thresholds make of it: at the threshold
of a severity as much as a finding of that severity, on straight lines in between. The sources are then combined as if
each were wrong by itself (a noisy or): ``1 - (1 - w1) (1 - w2) …``, so nothing outweighs its worst part, and many weak
signs of different kinds add up. For the order among samples a rule's finding weighs less where classifiers think
nothing of the text: rules take words by their letters. What is decided is decided by whole weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple

from azr_monitor.categories import ANY, category_of
from azr_monitor.records import FAILURE, LIMIT, NOTES, Finding, Score, Severity
from azr_monitor.scopes import LIFTED

WEIGHTS: dict[Severity, float] = {
    Severity.INFO: 0.02,
    Severity.LOW: 0.15,
    Severity.MEDIUM: 0.5,
    Severity.HIGH: 0.75,
    Severity.CRITICAL: 0.93,
}
"""What one finding of a severity weighs."""
ALONE = 0.6
"""What is left of the weight of a rule's finding, for the order among samples, where classifiers have read the sample
and think nothing of it. So much is the least that the worst finding makes a sample score."""
_FACTS = frozenset({FAILURE, LIMIT})


_NO_EVIDENCE = NOTES | {LIFTED}
"""Findings that say nothing against a text: what a monitor notes of itself, and what was let pass."""


def certainty(weight: float) -> Severity:
    """The mildest severity of which one finding weighs that much; the worst where none does."""
    return next((severity for severity in Severity if WEIGHTS[severity] >= weight), Severity.CRITICAL)


class Curve(NamedTuple):
    """From a classifier's value in one category to its weight: (value, weight) points, both rising."""

    classifier: str
    points: tuple[tuple[float, float], ...]

    def weigh(self, value: float) -> float:
        """The weight of a value, on the line between the points around it; never falling."""
        for (left, low), (right, high) in zip(self.points, self.points[1:], strict=False):
            if value < right:
                return min(high, low + (high - low) * max(0.0, value - left) / (right - left))
        return self.points[-1][1]


def curve(classifier: str, thresholds: Mapping[Severity, float]) -> Curve:
    """The curve that a category's thresholds draw; above the last of them it nears the next severity's weight."""
    steps = sorted(thresholds.items())
    worst = steps[-1][0]
    limit = min((weight for severity, weight in WEIGHTS.items() if severity > worst), default=1.0)
    inner = [(value, WEIGHTS[severity]) for severity, value in steps]
    end = [(1.0, limit)] if inner[-1][0] < 1.0 else []
    return Curve(classifier, ((0.0, 0.0), *inner, *end))


class Sign(NamedTuple):
    """One piece of evidence. ``source``: the rule, or the classifier, whose signs do not add up with one another."""

    source: str
    rule: str
    weight: float


def rule_of(score: Score) -> str:
    """What findings on a classifier's category are called."""
    return f"{score.classifier}.{score.category}"


def backing(scores: Iterable[Score], curves: Mapping[str, Curve]) -> float:
    """The share of its weight that a rule's finding has beside these values: from ``ALONE`` to 1, never falling.

    All of it where no classifier has read anything, or where one has found what weighs as much as a finding of low
    severity.
    """
    weights = [curves[rule].weigh(score.value) for score in scores if (rule := rule_of(score)) in curves]
    return ALONE + (1.0 - ALONE) * min(1.0, max(weights) / WEIGHTS[Severity.LOW]) if weights else 1.0


def signs(
    findings: Iterable[Finding], scores: Iterable[Score], curves: Mapping[str, Curve], share: float = 1.0
) -> list[Sign]:
    """Every finding and every value that means anything, weighed; rules' findings on a text at a ``share`` of it.

    A category without thresholds weighs nothing: nobody has said what its values mean. What a program did, and that
    something was not read, are facts: they have their whole weight.
    """
    found = []
    for finding in findings:
        if finding.rule in _NO_EVIDENCE:
            continue
        drawn = curves.get(finding.rule)
        source = finding.rule if drawn is None else drawn.classifier
        whole = drawn is not None or finding.part == "behaviour" or finding.rule in _FACTS
        found.append(Sign(source, finding.rule, WEIGHTS[finding.severity] * (1.0 if whole else share)))
    for score in scores:
        rule = rule_of(score)
        drawn = curves.get(rule)
        if drawn is not None:
            found.append(Sign(drawn.classifier, rule, drawn.weigh(score.value)))
    return found


def combined(evidence: Sequence[Sign]) -> float:
    """What the signs come to: the noisy or over their sources, of each its heaviest sign."""
    if not evidence:
        return 0.0
    heaviest: dict[str, float] = {}
    for sign in evidence:
        heaviest[sign.source] = max(sign.weight, heaviest.get(sign.source, 0.0))
    # In the order of the names, so that more weight never makes a smaller product, not even by rounding.
    return round(1.0 - prod(1.0 - heaviest[source] for source in sorted(heaviest)), 6)


def by_category(evidence: Iterable[Sign]) -> dict[str, float]:
    """What the signs of each category come to, heaviest first.

    That something is the matter, whatever it is, counts only where nothing says what.
    """
    weighty = [sign for sign in evidence if sign.weight]
    telling = [sign for sign in weighty if not sign.rule.endswith(ANY)]
    grouped: dict[str, list[Sign]] = {}
    for sign in telling or weighty:
        grouped.setdefault(category_of(sign.rule), []).append(sign)
    weights = {category: combined(group) for category, group in grouped.items()}
    return dict(sorted(weights.items(), key=lambda entry: (-entry[1], entry[0])))
