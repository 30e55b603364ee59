"""What comes together, by chance or not."""

from __future__ import annotations

import random
from math import comb
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import azr_platform.audits.together as module
from azr_platform.audits.together import fisher, together


def _rows(judged: Any, *counts: tuple[int, tuple[str, ...]]) -> list[Any]:
    return [judged(number, *found) for many, found in counts for number in range(many)]


def test_pairs_are_counted_with_what_chance_would_give(judged: Any) -> None:
    rows = _rows(
        judged, (30, ("trace.harm.a", "trace.uhoh")), (10, ("trace.harm.a",)), (20, ("trace.uhoh",)), (140, ())
    )
    (pair,) = together(rows).categories
    assert (pair.one, pair.other, pair.ones, pair.others, pair.both) == ("deception", "harm", 50, 40, 30)
    assert (pair.expected, pair.lift, pair.telling) == (10.0, 3.0, "more")
    assert pair.phi == pytest.approx((30 * 200 - 50 * 40) / (50 * 40 * 150 * 160) ** 0.5)


def test_what_never_comes_together_is_told_where_it_should_have(judged: Any) -> None:
    rows = _rows(judged, (60, ("trace.harm",)), (60, ("trace.uhoh",)), (30, ()))
    (pair,) = together(rows).categories
    assert (pair.both, pair.expected, pair.telling) == (0, 24.0, "less")


def test_small_counts_are_shown_and_not_interpreted(judged: Any) -> None:
    rows = _rows(judged, (4, ("trace.harm", "trace.uhoh")), (996, ()))
    (pair,) = together(rows).categories
    assert (pair.both, pair.lift, pair.phi, pair.telling) == (4, None, None, "")
    assert pair.chance < 1e-6, "as unlikely as it is"


def test_of_rules_that_have_nothing_to_do_with_each_other_few_are_called_telling(judged: Any) -> None:
    rng = random.Random(5)
    said = 0
    for _ in range(20):
        names = [f"trace.harm.{n}" for n in range(8)]
        rows = [judged(number, *(name for name in names if rng.random() < 0.2)) for number in range(400)]
        said += any(pair.telling for pair in together(rows).rules)
    assert said <= 3, "28 pairs are tested at once, at 5 % together"


def test_made_up_rules_without_end_are_counted_and_not_kept(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RULES", 3)
    found = together([judged(1, *(f"x.{n}" for n in range(9))), judged(2, "x.0", "x.9")])
    assert sorted((pair.one, pair.other) for pair in found.rules) == [("x.0", "x.1"), ("x.0", "x.2"), ("x.1", "x.2")]
    assert found.unlisted == 7


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))), st.data())
def test_fishers_test_is_exact(margins: tuple[int, int, int], data: Any) -> None:
    judged, ones, others = margins
    low, high = max(0, ones + others - judged), min(ones, others)
    both = data.draw(st.integers(low, high))
    chances = [comb(ones, k) * comb(judged - ones, others - k) for k in range(low, high + 1)]
    here = chances[both - low]
    assert fisher(both, ones, others, judged) == pytest.approx(
        sum(chance for chance in chances if chance <= here) / comb(judged, others)
    )


def test_fishers_test_is_quick_where_counts_are_large() -> None:
    assert fisher(500_000, 1_000_000, 1_000_000, 2_000_000) == pytest.approx(1.0)
    assert fisher(510_000, 1_000_000, 1_000_000, 2_000_000) < 1e-100
