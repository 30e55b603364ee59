"""Estimators and intervals against brute force and published values."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_monitor.intervals import Estimate, wilson
from azr_platform.evaluation.estimate import (
    difference,
    mean_difference,
    mean_of_groups,
    pass_at_k,
)


@pytest.mark.parametrize("samples", range(1, 7))
def test_pass_at_k_is_the_share_of_all_choices_of_k_samples_that_hold_a_right_one(samples: int) -> None:
    for right in range(samples + 1):
        outcomes = [True] * right + [False] * (samples - right)
        for k in range(1, samples + 1):
            chosen = list(combinations(outcomes, k))
            assert pass_at_k(samples, right, k) == pytest.approx(sum(map(any, chosen)) / len(chosen), abs=1e-12)


def test_pass_at_1_is_the_mean_and_pass_at_n_whether_any_is_right() -> None:
    assert pass_at_k(8, 3, 1) == pytest.approx(3 / 8)
    assert pass_at_k(8, 1, 8) == 1.0
    assert pass_at_k(8, 0, 8) == 0.0
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5)  # the binomials overflow a float


@pytest.mark.parametrize(("samples", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_pass_at_k_of_impossible_counts_is_refused(samples: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(samples, right, k)


def test_wilson_agrees_with_published_intervals() -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    for (right, count), (low, high) in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        found = wilson(right, count)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_difference_agrees_with_published_intervals() -> None:
    """Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, method 10."""
    for (a, m, b, n), (low, high) in {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (5, 56, 0, 29): (-0.0381, 0.1926),
        (10, 10, 0, 10): (0.6075, 1.0),
    }.items():
        found = difference(wilson(b, n), wilson(a, m))
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_bootstrap_agrees_with_every_resample_there_is() -> None:
    values = [0.0, 0.25, 0.25, 1.0, 0.5]
    means = sorted(sum(chosen) / 5 for chosen in product(values, repeat=5))
    found = mean_of_groups({"a": values})
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(means[round(0.025 * len(means))], abs=0.06)
    assert found.high == pytest.approx(means[round(0.975 * len(means))], abs=0.06)


def test_the_mean_of_kinds_weighs_each_kind_the_same() -> None:
    found = mean_of_groups({"a": [1.0] * 90 + [0.0] * 10, "b": [0.0, 1.0]})
    assert found.value == pytest.approx((0.9 + 0.5) / 2)
    assert found.count == 102


def test_samples_of_one_task_are_no_independent_evidence() -> None:
    """Ten tasks of 100 samples each that agree within a task: as wide as ten trials, not as a thousand."""
    by_task = mean_of_groups({"a": [1.0] * 5 + [0.0] * 5})
    by_sample = wilson(500, 1000)
    assert by_task.high - by_task.low > 8 * (by_sample.high - by_sample.low)


def test_tasks_that_all_fail_still_leave_room_for_doubt() -> None:
    found = mean_of_groups({"a": [0.0] * 20})
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(wilson(0, 20).high)


def test_a_paired_difference_of_equal_models_is_nothing_and_of_a_steady_gain_is_certain() -> None:
    before = {"a": [0.0, 0.25, 0.5, 0.75] * 5}
    same = mean_difference(before, before)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    gain = mean_difference(before, {"a": [value + 0.25 for value in before["a"]]})
    assert (gain.low, gain.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_a_paired_difference_of_other_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="same tasks"):
        mean_difference({"a": [1.0]}, {"a": [1.0, 0.0]})
    with pytest.raises(ValueError, match="same tasks"):
        mean_difference({"a": [1.0]}, {"b": [1.0]})


@pytest.mark.parametrize("groups", [{}, {"a": []}, {"a": [1.0], "b": []}])
def test_nothing_cannot_be_estimated_from(groups: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="no task"):
        mean_of_groups(groups)


_shares = st.lists(st.sampled_from([0.0, 0.125, 0.5, 0.875, 1.0]), min_size=1, max_size=40)


@given(_shares, _shares)
def test_an_interval_holds_its_value_stays_in_range_and_is_the_same_each_time(a: list[float], b: list[float]) -> None:
    found = mean_of_groups({"a": a, "b": b})
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found == mean_of_groups({"b": b, "a": a})


@given(st.integers(1, 400), st.data())
def test_wilson_holds_its_share_and_mirrors(count: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, count))
    found, mirrored = wilson(right, count), wilson(count - right, count)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.low, found.high) == (pytest.approx(1 - mirrored.high), pytest.approx(1 - mirrored.low))
    assert isinstance(found, Estimate)
