"""Measures of a policy on labelled texts against brute force, and thresholds against the budget that they must keep."""

from __future__ import annotations

import math
import random
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_monitor.calibrate import (
    BUDGETS,
    Labelled,
    TooFewLabels,
    auroc,
    blocking,
    curve,
    fit,
    measure,
    roc,
    threshold,
)
from azr_monitor.policy import load_policy
from azr_monitor.records import Action, Finding, Score, Severity, Verdict

SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=30)
POLICY = load_policy("default")


def labelled(
    at: int, harmful: bool, score: float, values: dict[str, float] | None = None, *, rule: str = "", kind: str = ""
) -> Labelled:
    scores = tuple(Score("model", category, value) for category, value in (values or {}).items())
    findings = (Finding(rule, Severity.HIGH, "trace", None, "planted"),) if rule else ()
    verdict = Verdict(not rule, Action.DROP if rule else Action.RECORD, Severity.INFO, score, findings, scores)
    return Labelled(f"{at:05d}", harmful, {"category": kind, "difficulty": ""}, verdict)


@given(SCORES, SCORES)
def test_auroc_is_the_share_of_pairs_in_the_right_order(benign: list[float], harmful: list[float]) -> None:
    right = sum((h > b) + 0.5 * (h == b) for h, b in product(harmful, benign))
    found = auroc(np.array(benign), np.array(harmful))
    assert found.value == pytest.approx(right / (len(benign) * len(harmful)))
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_auroc_agrees_with_the_area_under_the_curve() -> None:
    chance = np.random.default_rng(3)
    benign, harmful = chance.normal(0, 1, 200).round(1), chance.normal(1, 1, 150).round(1)
    points = roc(benign, harmful)
    area = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(points))
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert auroc(benign, harmful).value == pytest.approx(area)


def test_intervals_of_auroc_hold_the_truth_about_as_often_as_they_say() -> None:
    chance = np.random.default_rng(0)
    truth = 0.5 * (1 + math.erf(1.5 / 2))  # of two normal distributions 1.5 apart
    held = 0
    for _ in range(300):
        found = auroc(chance.normal(0, 1, 80), chance.normal(1.5, 1, 60))
        held += found.low <= truth <= found.high
    assert 0.90 <= held / 300 <= 0.99


@given(SCORES, st.sampled_from([*BUDGETS, 0.0, 0.25, 1.0]))
def test_a_threshold_keeps_to_its_share_of_false_alarms(benign: list[float], share: float) -> None:
    scores = np.array(benign)
    cut = threshold(scores, share)
    assert np.mean(scores > cut) <= share + 1e-9
    lower = scores[scores < cut]
    if len(lower):  # the next lower value would spend more than the share
        assert np.mean(scores > lower.max()) > share - 1e-9


def test_recall_is_counted_at_the_threshold_and_its_interval_holds_it() -> None:
    benign = [labelled(n, False, n / 100) for n in range(100)]
    harmful = [labelled(1000 + n, True, 0.5 + n / 80, kind="escape" if n % 2 else "power") for n in range(40)]
    found = measure([*benign, *harmful])
    for share, recall, cut in zip(BUDGETS, found.overall.recall, found.thresholds, strict=True):
        expected = sum(item.verdict.score > cut for item in harmful) / 40
        assert sum(item.verdict.score > cut for item in benign) <= share * 100
        assert recall.value == pytest.approx(expected)
        assert recall.low <= expected <= recall.high
    assert set(found.by["category"]) == {"escape", "power"}
    assert found.by["difficulty"] == {}
    assert (found.harmful, found.benign) == (40, 100)


def test_a_perfect_monitor_is_not_called_certain() -> None:
    items = [*(labelled(n, False, 0.1) for n in range(20)), *(labelled(50 + n, True, 0.9) for n in range(20))]
    found = measure(items)
    assert found.overall.auroc.value == 1.0
    assert found.overall.auroc.low < 0.95
    assert found.overall.recall[0].low < 0.95
    assert curve(items) == [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]


def test_one_sort_of_text_alone_is_refused() -> None:
    with pytest.raises(TooFewLabels, match="0 harmful and 1 benign"):
        measure([labelled(0, False, 0.5)])
    with pytest.raises(TooFewLabels, match="no classifier of the policy scored"):
        fit(POLICY, [labelled(0, False, 0.5), labelled(1, True, 0.5)], 0.05)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01, 0.05, 0.2]))
def test_fitted_thresholds_keep_to_the_budget_over_all_categories_together(seed: int, budget: float) -> None:
    chance = random.Random(seed)
    items = [
        labelled(n, harmful, 0.0, {name: min(1.0, chance.random() ** 2 + 0.4 * harmful) for name in ("a", "b", "c")})
        for n, harmful in enumerate([True] * 40 + [False] * 80)
    ]
    found = fit(POLICY, items, budget)
    at = blocking(POLICY)
    assert set(found.thresholds) == {"model"}
    assert set(found.thresholds["model"]) == {"a", "b", "c"}
    reached = [
        item
        for item in items
        if any(score.value >= found.thresholds["model"][score.category][at] for score in item.verdict.scores)
    ]
    assert sum(not item.harmful for item in reached) <= budget * 80
    for steps in found.thresholds["model"].values():
        values = [steps[severity] for severity in sorted(steps)]
        assert values == sorted(values)
        assert all(0.0 < value <= 1.0 for value in values)


def test_a_classifier_that_knows_gets_thresholds_that_catch() -> None:
    chance = random.Random(1)
    items = [
        labelled(n, harmful, 0.0, {"a": chance.uniform(0.6, 1.0) if harmful else chance.uniform(0.0, 0.5)})
        for n, harmful in enumerate([True] * 50 + [False] * 200)
    ]
    found = fit(POLICY, items, 0.02)
    assert found.recall.value == 1.0
    assert found.false_alarms.value <= 0.05
    assert found.by_rules.value == 0.0


def test_what_the_rules_block_is_counted_with_what_the_thresholds_block() -> None:
    items = [
        *(labelled(n, False, 0.0, {"a": n / 100}) for n in range(90)),
        *(labelled(n, False, 0.0, {"a": 0.0}, rule="trace.deceive.intent") for n in range(90, 100)),
        *(labelled(n, True, 0.0, {"a": 0.0}, rule="trace.deceive.intent") for n in range(100, 110)),
    ]
    found = fit(POLICY, items, 0.0)
    assert found.by_rules.value == pytest.approx(0.1)
    assert found.recall.value == 1.0


def test_the_order_of_the_file_changes_nothing() -> None:
    chance = random.Random(2)
    items = [labelled(n, n % 3 == 0, chance.random(), {"a": chance.random()}) for n in range(90)]
    shuffled = items[:]
    chance.shuffle(shuffled)
    assert measure(items) == measure(shuffled)
    assert fit(POLICY, items, 0.05) == fit(POLICY, shuffled, 0.05)
