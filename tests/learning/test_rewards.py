"""Rewards, in numbers worked out by hand from equations 4 to 6 of the paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.learning.rewards import accuracy, composite, learnability


@pytest.mark.parametrize(
    ("solved", "worth"),
    [(0, 0.0), (1, 0.875), (2, 0.75), (3, 0.625), (4, 0.5), (5, 0.375), (6, 0.25), (7, 0.125), (8, 0.0)],
)
def test_a_proposal_is_worth_its_failures_but_nothing_at_the_extremes(solved: int, worth: float) -> None:
    outcomes = [True] * solved + [False] * (8 - solved)
    assert learnability(outcomes) == worth
    assert learnability(outcomes[::-1]) == worth


def test_one_sample_says_nothing_about_learnability() -> None:
    assert learnability([True]) == learnability([False]) == 0.0


def test_learnability_of_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        learnability([])


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_learnability_lies_in_the_unit_interval_and_is_0_exactly_at_the_extremes(outcomes: list[bool]) -> None:
    worth = learnability(outcomes)
    assert 0.0 <= worth < 1.0
    assert (worth == 0.0) == (len(set(outcomes)) == 1)


@pytest.mark.parametrize(
    ("worth", "acceptable", "reward"),
    [(1.0, True, 1.0), (0.875, True, 0.875), (0.0, True, -0.5), (0.0, False, -1.0), (1.0, False, -1.0)],
)
def test_format_comes_before_worth(worth: float, acceptable: bool, reward: float) -> None:
    assert composite(worth, acceptable=acceptable) == reward


def test_the_two_penalties_can_be_set() -> None:
    assert composite(0.0, acceptable=True, wrong=-0.1, malformed=-0.2) == -0.1
    assert composite(0.0, acceptable=False, wrong=-0.1, malformed=-0.2) == -0.2


def test_accuracy_is_one_or_zero() -> None:
    assert (accuracy(True), accuracy(False)) == (1.0, 0.0)
