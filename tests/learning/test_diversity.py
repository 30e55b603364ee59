"""The intrinsic terms against slow definitions and the promises they make."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.learning.diversity import (
    Combination,
    Term,
    combined,
    edit_distance,
    halstead_effort,
    mean_distance,
    rarity,
)
from azr_platform.learning.rewards import composite

NUMBERS = st.floats(0, 1e6, allow_nan=False)
TERMS = st.lists(st.builds(Term, NUMBERS, NUMBERS, NUMBERS), max_size=4)
WORDS = st.lists(st.sampled_from("abc"), max_size=80)
HOW: list[Combination] = ["sum", "product"]


def by_table(a: Sequence[str], b: Sequence[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


@given(WORDS, WORDS)
def test_the_edit_distance_is_that_of_the_table(a: list[str], b: list[str]) -> None:
    assert edit_distance(a, b) == by_table(a, b)


@given(WORDS, WORDS, WORDS)
def test_the_edit_distance_is_a_metric(a: list[str], b: list[str], c: list[str]) -> None:
    assert edit_distance(a, a) == 0
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@given(WORDS, st.lists(WORDS, max_size=4))
def test_the_mean_distance_is_a_share_and_nothing_for_a_copy(program: list[str], others: list[list[str]]) -> None:
    assert 0 <= mean_distance(program, others) <= 1
    assert mean_distance(program, [program, program]) == 0


def test_distance_and_rarity_of_the_first_are_whole() -> None:
    assert mean_distance("abc", []) == 1
    assert rarity("int", []) == 1
    assert rarity("int", ["int", "int", "str", "list"]) == 0.5
    assert rarity("dict", ["int"]) == 1


ANSWERS = st.lists(st.sampled_from(["int", "str", "list"]), max_size=30)


@given(ANSWERS, st.floats(0.01, 1))
def test_rarity_is_a_share_that_falls_with_each_further_one_and_is_gone_at_the_limit(
    recent: list[str], limit: float
) -> None:
    found = rarity("int", recent, limit)
    assert 0 <= found <= 1
    assert rarity("int", [*recent, "int"], limit) <= found
    if recent and recent.count("int") / len(recent) >= limit:
        assert found == 0


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        rarity("int", ["int"], 0.0)


@pytest.mark.parametrize("how", HOW)
@given(TERMS)
def test_terms_never_pay_for_what_is_worth_nothing_or_invalid(how: Combination, terms: list[Term]) -> None:
    worth = combined(0.0, terms, how)
    assert worth == 0
    assert composite(worth, acceptable=True) == -0.5
    assert composite(combined(0.7, terms, how), acceptable=False) == -1.0


@pytest.mark.parametrize("how", HOW)
@given(NUMBERS, TERMS)
def test_terms_without_a_coefficient_change_nothing(how: Combination, worth: float, terms: list[Term]) -> None:
    assert combined(worth, [term._replace(coefficient=0.0) for term in terms], how) == worth


@given(NUMBERS, TERMS, NUMBERS)
def test_a_cap_bounds_what_a_term_can_add_however_large_its_value(
    worth: float, terms: list[Term], value: float
) -> None:
    most = worth + sum(term.cap for term in terms)
    assert combined(worth, [term._replace(value=value) for term in terms]) <= most * (1 + 1e-9)


@pytest.mark.parametrize("how", HOW)
@given(st.floats(0.01, 1), TERMS, st.data())
def test_more_of_a_term_is_never_worth_less(
    how: Combination, worth: float, terms: list[Term], data: st.DataObject
) -> None:
    more = [term._replace(value=term.value + data.draw(NUMBERS)) for term in terms]
    assert combined(worth, more, how) >= combined(worth, terms, how) * (1 - 1e-9)


def test_terms_are_added_or_multiplied() -> None:
    terms = [Term(0.5, 1.0, 1.0), Term(9.0, 1.0, 0.25), Term(9.0, 0.0, 1.0)]
    assert combined(0.8, terms, "sum") == pytest.approx(0.8 + 0.5 + 0.25)
    assert combined(0.8, terms, "product") == pytest.approx(0.8 * 0.5 * 0.25)


@pytest.mark.parametrize(
    ("worth", "term"), [(-0.1, Term(1, 1, 1)), (math.nan, Term(1, 1, 1)), (0.5, Term(-1, 1, 1)), (0.5, Term(1, 1, -1))]
)
def test_numbers_that_could_turn_a_reward_around_are_refused(worth: float, term: Term) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        combined(worth, [term])


def test_halstead_s_effort_of_a_worked_example() -> None:
    """Operators = + * (3 of 3), operands a b a 2 (3 of 4): D = 3/2 * 4/3 = 2, V = 7 * log2(6)."""
    assert halstead_effort(["=", "+", "*"], ["a", "b", "a", "2"]) == pytest.approx(2 * 7 * math.log2(6))
    assert halstead_effort(["pass"], []) == 0
