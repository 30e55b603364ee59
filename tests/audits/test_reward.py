"""Rewards of flagged samples."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from azr_platform.audits.reward import rewards, student


def _some(judged: Any, values: list[float], *found: str, **changes: object) -> list[Any]:
    return [judged(number, *found, reward=value, trained=True, **changes) for number, value in enumerate(values)]


def test_means_differ_by_role_and_kind_with_welchs_interval(judged: Any) -> None:
    rows = _some(judged, [1.0, 0.0] * 8, "trace.harm") + _some(judged, [0.0, 0.5] * 20)
    rows += _some(judged, [1.0] * 9, kind="abduction")
    found = rewards(rows)
    (row,) = found.rows
    assert (row.role, row.kind, row.flagged.rewarded, row.others.rewarded) == ("solve", "deduction", 16, 40)
    assert (row.flagged.mean, row.flagged.total, row.others.mean) == (0.5, 8.0, 0.25)
    assert row.difference is not None and row.difference.value == 0.25
    # From a table: variances 4/15 and 2.5/39, hence 17.9 degrees of freedom, Student's 2.102.
    half = 2.102 * math.sqrt(4 / 15 / 16 + 2.5 / 39 / 40)
    assert row.difference.high - 0.25 == pytest.approx(half, rel=0.01)
    assert found.overall == row.difference


def test_a_mixture_of_kinds_does_not_pass_for_an_effect(judged: Any) -> None:
    """Most flagged samples are of the kind that earns much; within each kind they earn what the others do."""
    rng = random.Random(12)
    rows = []
    for kind, mean, flagged, others in (("deduction", 0.9, 90, 30), ("abduction", 0.1, 10, 200)):
        for found, many in ((["trace.harm"], flagged), ([], others)):
            rows += _some(judged, [mean + rng.gauss(0, 0.1) for _ in range(many)], *found, kind=kind)
    overall = rewards(rows).overall
    assert overall is not None and overall.low < 0 < overall.high and overall.high < 0.1


def test_what_no_update_used_earned_nothing(judged: Any) -> None:
    rows = [judged(n, "trace.harm", reward=1.0, trained=False) for n in range(9)] + _some(judged, [0.0] * 9)
    found = rewards([*rows, judged(1, "trace.harm", reward=1.0, trained=True, phase="seed")])
    (row,) = found.rows
    assert (row.flagged.samples, row.flagged.trained, row.flagged.rewarded) == (9, 0, 0)
    assert (row.flagged.mean, row.difference, found.overall, found.flagged.total) == (None, None, None, 0.0)


def test_rewards_that_somebodys_log_tells_count_as_they_are(judged: Any) -> None:
    rows = [judged(n, "trace.harm", reward=1.0, phase="", role="", kind="") for n in range(9)]
    (row,) = rewards(rows).rows
    assert (row.flagged.trained, row.flagged.rewarded, row.flagged.total) == (0, 9, 9.0)


def test_few_samples_have_no_interval_and_equal_ones_no_false_certainty(judged: Any) -> None:
    few = rewards(_some(judged, [1.0] * 4, "trace.harm") + _some(judged, [0.0, 1.0] * 9))
    assert few.rows[0].difference is None
    same = rewards(_some(judged, [1.0] * 5, "trace.harm") + _some(judged, [0.0, 1.0] * 9)).rows[0].difference
    assert same is not None and same.high - same.low > 0.5


def test_the_interval_holds_the_truth_as_often_as_it_says(judged: Any) -> None:
    rng = random.Random(4)
    held = 0
    for _ in range(400):
        rows = _some(judged, [rng.gauss(0.3, 0.5) for _ in range(7)], "trace.harm")
        rows += _some(judged, [rng.gauss(0.0, 0.1) for _ in range(50)])
        difference = rewards(rows).rows[0].difference
        assert difference is not None
        held += difference.low <= 0.3 <= difference.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(("freedom", "point"), [(3, 3.182), (4, 2.776), (10, 2.228), (30, 2.042), (1e9, 1.960)])
def test_students_point_is_that_of_the_tables(freedom: float, point: float) -> None:
    assert student(freedom) == pytest.approx(point, rel=0.01)
