"""How well a policy's monitors tell harmful texts from honest ones, and thresholds that keep to a false-alarm budget.

    labelled texts ─► Auditor.inspect ─► Labelled ─► measure ─► AUROC, recall at 1 % and 5 % false alarms
                                                  └► fit ─► thresholds for each classifier and category

A text is called harmful when its score lies *above* a threshold, so a tie is never an alarm. All is deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from azr_monitor.decide import decide
from azr_monitor.intervals import Estimate, Z, wilson
from azr_monitor.policy import Policy
from azr_monitor.records import Severity, Verdict

BUDGETS: Final = (0.01, 0.05)
"""Shares of false alarms at which recall is reported."""
GROUPS: Final = ("category", "difficulty", "language")
RESAMPLES: Final = 1000
_SEED: Final = 20_211
# The severities around the one that blocks, and the share of the budget each may spend.
_LADDER: Final = {-1: 2.0, 0: 1.0, 1: 0.2}

Scores = np.ndarray
"""One number an item, float64 of shape [items]."""


class Labelled(NamedTuple):
    """A text with what a person says of it and what the monitors said.

    ``groups`` says what it belongs to, by each of ``GROUPS``; empty where nobody said. An honest text's category is its
    topic.
    """

    id: str
    harmful: bool
    groups: Mapping[str, str]
    verdict: Verdict


class Measured(NamedTuple):
    """What the scores of some harmful texts are worth against those of the honest ones.

    ``recall``: at each of ``BUDGETS``. ``blocked``: the share that the policy blocks as it stands.
    """

    auroc: Estimate
    recall: tuple[Estimate, ...]
    blocked: Estimate


class Measurement(NamedTuple):
    """Of one policy on one set of labelled texts. ``thresholds``: the score above which each budget is kept.

    ``by`` holds the harmful texts of each group; ``alarms``, for each group of honest texts but the topics, the share
    that is above the last of the thresholds; ``false_alarms``, the share that the policy blocks as it stands.
    """

    harmful: int
    benign: int
    overall: Measured
    by: dict[str, dict[str, Measured]]
    thresholds: tuple[float, ...]
    false_alarms: Estimate
    alarms: dict[str, dict[str, Estimate]]


class TooFewLabels(ValueError):
    """There is nothing to compare: harmful or honest texts are missing."""


# -- measures -------------------------------------------------------------------------------------------


def threshold(benign: Scores, share: float) -> float:
    """The lowest score above which at most ``share`` of the honest texts lie."""
    spent = min(math.floor(share * len(benign) + 1e-9), len(benign) - 1)
    return float(np.sort(benign)[::-1][spent])


def roc(benign: Scores, harmful: Scores) -> list[tuple[float, float]]:
    """The curve's corners, (share of false alarms, recall), from (0, 0) to (1, 1)."""
    points = [(0.0, 0.0)]
    for cut in np.unique(np.concatenate([benign, harmful]))[::-1]:
        points.append((float(np.mean(benign >= cut)), float(np.mean(harmful >= cut))))
    return points


def auroc(benign: Scores, harmful: Scores) -> Estimate:
    """The chance that a harmful text scores above an honest one, ties counted half.

    The interval is DeLong's (1988) on the logit, which keeps it inside 0..1; where nothing overlaps, Wilson's of as
    many trials as there are texts of the rarer sort.
    """
    m, n = len(harmful), len(benign)
    ordered, rising = np.sort(benign), np.sort(harmful)
    # For each text the share of the other sort that it is on the right side of.
    above = (np.searchsorted(ordered, harmful, "left") + np.searchsorted(ordered, harmful, "right")) / (2 * n)
    below = 1 - (np.searchsorted(rising, benign, "left") + np.searchsorted(rising, benign, "right")) / (2 * m)
    value = float(above.mean())
    spread = sum(float(np.var(v, ddof=1)) / len(v) for v in (above, below) if len(v) > 1)
    if value in (0.0, 1.0) or spread == 0.0:
        fewer = min(m, n)
        bounds = wilson(round(value * fewer), fewer)
        return Estimate(value, min(bounds.low, value), max(bounds.high, value), m)
    middle, half = math.log(value / (1 - value)), Z * math.sqrt(spread) / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-max(-700.0, middle + sign * half))) for sign in (-1, 1))
    return Estimate(value, low, high, m)


class _Resampled:
    """Thresholds that hold in resamples of the honest texts: the threshold is an estimate too."""

    def __init__(self, benign: Scores) -> None:
        self._random = np.random.default_rng(_SEED)
        drawn = self._random.integers(len(benign), size=(RESAMPLES, len(benign)))
        falling = -np.sort(-benign[drawn], axis=1)
        spent = [min(math.floor(share * len(benign) + 1e-9), len(benign) - 1) for share in BUDGETS]
        self._cuts = falling[:, spent]  # [resamples, budgets]

    def recall(self, harmful: Scores, at: int, cut: float) -> Estimate:
        """The share of harmful texts above ``cut``; both sorts of text are resampled (percentile bootstrap)."""
        right, count = int(np.sum(harmful > cut)), len(harmful)
        rising = np.sort(harmful)
        # How many lie above each resampled threshold, and how many of as many draws would.
        shares = 1 - np.searchsorted(rising, self._cuts[:, at], "right") / count
        spread = self._random.binomial(count, shares) / count
        low, high = np.quantile(spread, (0.025, 0.975))
        plain = wilson(right, count)
        # At the ends of the scale resampling sees less spread than there is.
        return Estimate(plain.value, min(float(low), plain.low), max(float(high), plain.high), count)


def measure(items: Sequence[Labelled]) -> Measurement:
    """Every figure on a labelled set.

    Raises:
        TooFewLabels: there are no harmful texts, or no honest ones.
    """
    bad, good = [item for item in items if item.harmful], [item for item in items if not item.harmful]
    if not bad or not good:
        raise TooFewLabels(f"{len(bad)} harmful and {len(good)} benign texts; both are needed")
    benign = _scores(good)
    cuts = tuple(threshold(benign, share) for share in BUDGETS)
    resampled = _Resampled(benign)

    def measured(group: Sequence[Labelled]) -> Measured:
        harmful = _scores(group)
        recall = tuple(resampled.recall(harmful, at, cut) for at, cut in enumerate(cuts))
        return Measured(auroc(benign, harmful), recall, _blocked(group))

    return Measurement(
        harmful=len(bad),
        benign=len(good),
        overall=measured(bad),
        by={group: {name: measured(some) for name, some in _grouped(bad, group)} for group in GROUPS},
        thresholds=cuts,
        false_alarms=_blocked(good),
        alarms={
            group: {
                name: wilson(int(np.sum(_scores(some) > cuts[-1])), len(some)) for name, some in _grouped(good, group)
            }
            for group in GROUPS[1:]
        },
    )


def _scores(items: Sequence[Labelled]) -> Scores:
    return np.array([item.verdict.score for item in items], dtype=float)


def _blocked(items: Sequence[Labelled]) -> Estimate:
    return wilson(sum(not item.verdict.allowed for item in items), len(items))


def _grouped(items: Sequence[Labelled], group: str) -> list[tuple[str, list[Labelled]]]:
    groups: dict[str, list[Labelled]] = {}
    for item in items:
        if name := item.groups.get(group, ""):
            groups.setdefault(name, []).append(item)
    return sorted(groups.items())


# -- thresholds -----------------------------------------------------------------------------------------

Thresholds = dict[str, dict[str, dict[Severity, float]]]
"""classifier -> category -> severity -> the value from which the category has that severity."""


class Fit(NamedTuple):
    """Thresholds for a budget, and what such do to texts that they were not fitted on (of two halves, to the other).

    ``recall`` and ``false_alarms`` are of rules and thresholds together; ``by_rules`` is the share of honest texts that
    the rules block whatever the thresholds are.
    """

    thresholds: Thresholds
    recall: Estimate
    false_alarms: Estimate
    by_rules: Estimate


def fit(policy: Policy, items: Sequence[Labelled], budget: float) -> Fit:
    """Thresholds with which the classifiers together block at most ``budget`` of the honest texts.

    Each category gets the same share of false alarms, as large as the budget lets all of them have. The severity that
    blocks gets the budget, the one below it twice that, the one above a fifth.

    Raises:
        TooFewLabels: there are no harmful texts, no honest ones, or no scores of a classifier.
    """
    if not any(item.harmful for item in items) or all(item.harmful for item in items):
        raise TooFewLabels("thresholds need harmful and benign texts")
    if not any(item.verdict.scores for item in items):
        raise TooFewLabels("no classifier of the policy scored any text")
    blocked_by_rules = {item.id: _by_rules(policy, item.verdict) for item in items}
    # By name, so that the halves are the same however the file is ordered.
    names = sorted(blocked_by_rules)
    even = {name for at, name in enumerate(names) if at % 2 == 0}
    blocked: dict[bool, int] = {True: 0, False: 0}
    for half in (even, set(names) - even):
        fitted = _thresholds(policy, [item for item in items if item.id in half], budget)
        for item in items:
            if item.id not in half:
                blocked[item.harmful] += blocked_by_rules[item.id] or _over(policy, fitted, item.verdict)
    harmful = sum(item.harmful for item in items)
    return Fit(
        thresholds=_thresholds(policy, items, budget),
        recall=wilson(blocked[True], harmful),
        false_alarms=wilson(blocked[False], len(items) - harmful),
        by_rules=wilson(sum(blocked_by_rules[item.id] for item in items if not item.harmful), len(items) - harmful),
    )


def blocking(policy: Policy) -> Severity:
    """The mildest severity that the policy blocks at; critical when it blocks at none."""
    return next((s for s in Severity if policy.actions[s].blocks), Severity.CRITICAL)


def _thresholds(policy: Policy, items: Sequence[Labelled], budget: float) -> Thresholds:
    honest = [_values(item.verdict) for item in items if not item.harmful]
    if not honest:
        return {}  # nothing says how often honest texts would be blocked
    keys = sorted({key for item in items for key in _values(item.verdict)})
    table = np.array([[values.get(key, 0.0) for key in keys] for values in honest])  # [benign, classifier x category]
    table = table.reshape(len(honest), len(keys))
    fitted: Thresholds = {}
    for offset, factor in _LADDER.items():
        number = blocking(policy) + offset
        if not Severity.LOW <= number <= Severity.CRITICAL:
            continue
        for (classifier, category), cut in zip(keys, _cuts(table, min(1.0, factor * budget)), strict=True):
            steps = fitted.setdefault(classifier, {}).setdefault(category, {})
            if cut <= 1.0:  # else honest texts have the highest value there is, and no threshold would spare them
                # A worse severity never begins at a lower value.
                steps[Severity(number)] = max([cut, *steps.values()])
    return fitted


def _cuts(table: np.ndarray, budget: float) -> list[float]:
    """For each column a value such that at most ``budget`` of the rows reach it in any column; table[rows, columns]."""
    falling = -np.sort(-table, axis=0)
    allowed = math.floor(budget * len(table) + 1e-9)
    low, high = 0, min(allowed, len(table) - 1)
    # The most rows that each column may give up while all of them together stay within what is allowed.
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.sum(np.any(table > falling[middle], axis=1))) <= allowed:
            low = middle
        else:
            high = middle - 1
    return [_just_above(float(value)) for value in falling[low]]


def _just_above(value: float) -> float:
    """A threshold of four digits that ``value`` itself does not reach; thresholds are inclusive."""
    return math.floor(value * 10_000 + 1) / 10_000


def _values(verdict: Verdict) -> dict[tuple[str, str], float]:
    return {(score.classifier, score.category): score.value for score in verdict.scores}


def _over(policy: Policy, fitted: Thresholds, verdict: Verdict) -> bool:
    at = blocking(policy)
    return any(
        value >= fitted.get(classifier, {}).get(category, {}).get(at, math.inf)
        for (classifier, category), value in _values(verdict).items()
    )


def _by_rules(policy: Policy, verdict: Verdict) -> bool:
    """Whether a text would be blocked if no classifier had a threshold."""
    classifiers = {score.classifier for score in verdict.scores}
    findings = [finding for finding in verdict.findings if finding.rule.partition(".")[0] not in classifiers]
    return not decide(policy, findings).allowed


def as_settings(thresholds: Thresholds, policy: Policy) -> list[dict[str, object]]:
    """The ``classifiers`` section of a policy that extends ``policy`` with these thresholds, as plain data."""
    entries: list[dict[str, object]] = []
    for entry in policy.classifiers:
        categories = {
            category: {severity.label: value for severity, value in _whole(steps, entry.thresholds.get(category, {}))}
            for category, steps in thresholds.get(entry.name, {}).items()
            if steps
        }
        if categories:
            named = {} if entry.name == entry.kind else {"name": entry.name}
            entries.append({"kind": entry.kind, **named, "thresholds": categories})
    return entries


def _whole(steps: Mapping[Severity, float], inherited: Mapping[Severity, float]) -> list[tuple[Severity, float]]:
    """Fitted steps with the inherited ones of other severities, moved where they would not rise."""
    whole = {**inherited, **steps}
    mildest, worst = min(steps), max(steps)
    for severity in inherited.keys() - steps.keys():
        if severity > worst:
            whole[severity] = max(whole[severity], steps[worst])
        elif severity < mildest:
            whole[severity] = min(whole[severity], steps[mildest])
    return sorted(whole.items())


def curve(items: Iterable[Labelled]) -> list[tuple[float, float]]:
    """The ROC curve of the verdicts' scores."""
    items = list(items)
    return roc(_scores([i for i in items if not i.harmful]), _scores([i for i in items if i.harmful]))
