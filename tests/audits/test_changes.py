"""Changes of a rate: found where there is one, seldom where there is none, exactly the best division."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits.changes import changes, clumping

COUNTS = st.lists(st.integers(0, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=9)


def _false_alarms(rate: float, *, group: int, runs: int = 150, steps: int = 60, samples: int = 64) -> float:
    """The share of runs of one rate in which a change is seen; samples come in groups that are alike."""
    rng = np.random.default_rng(7)
    hits = rng.binomial(samples // group, rate, (runs, steps)) * group
    return sum(bool(changes(row.tolist(), [samples] * steps)) for row in hits) / runs


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.2])
@pytest.mark.parametrize("group", [1, 8])
def test_of_runs_without_a_change_few_are_said_to_have_one(rate: float, group: int) -> None:
    assert _false_alarms(rate, group=group) <= 0.02


def test_samples_that_come_in_groups_would_pass_for_changes_if_they_counted_as_independent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("azr_platform.audits.changes.clumping", lambda hits, totals: 1.0)
    assert _false_alarms(0.02, group=8) > 0.2


@pytest.mark.parametrize(("before", "after"), [(0.02, 0.06), (0.06, 0.02), (0.2, 0.3)])
def test_a_real_change_is_found_near_its_place(before: float, after: float) -> None:
    rng = np.random.default_rng(11)
    places = []
    for _ in range(50):
        rates = np.where(np.arange(60) < 25, before, after)
        places.append(changes(rng.binomial(64, rates).tolist(), [64] * 60))
    assert sum(len(found) == 1 and abs(found[0] - 25) <= 5 for found in places) >= 40


def test_a_burst_is_two_changes() -> None:
    hits = [1] * 20 + [30] * 5 + [1] * 20
    assert changes(hits, [64] * 45) == [20, 25]


def test_the_first_ever_hits_after_long_silence_are_a_change() -> None:
    assert changes([0] * 40 + [4] * 20, [64] * 60) == [40]


@given(COUNTS)
def test_no_other_division_is_cheaper(counts: list[tuple[int, int]]) -> None:
    hits, totals = [hit for hit, _ in counts], [total for _, total in counts]
    kept = [place for place, total in enumerate(totals) if total]
    found = changes(hits, totals)
    assert found == sorted(set(found)) and set(found) <= set(kept[1:])
    if not kept:
        return
    price = (math.log(len(kept)) + 0.5 * math.log(sum(totals))) * clumping(hits, totals)

    def cost(begins: tuple[int, ...]) -> float:
        edges = [0, *begins, len(hits)]
        return price * len(begins) + sum(_nats(sum(hits[a:b]), sum(totals[a:b])) for a, b in itertools.pairwise(edges))

    every = itertools.chain.from_iterable(itertools.combinations(kept[1:], size) for size in range(len(kept)))
    assert cost(tuple(found)) <= min(map(cost, every)) + 1e-9


def _nats(hits: int, total: int) -> float:
    return -sum(count * math.log(count / total) for count in (hits, total - hits) if count)


@given(COUNTS)
def test_places_without_samples_change_nothing(counts: list[tuple[int, int]]) -> None:
    apart = [pair for one in counts for pair in (one, (0, 0))]
    kept = [pair for pair in counts if pair[1]]
    bare = changes([hit for hit, _ in kept], [total for _, total in kept])
    found = changes([hit for hit, _ in apart], [total for _, total in apart])
    assert [sum(1 for _, total in apart[:place] if total) for place in found] == bare


@pytest.mark.parametrize(("hits", "totals"), [([2], [1]), ([-1], [1]), ([1], [1, 1])])
def test_counts_that_cannot_be_are_refused(hits: list[int], totals: list[int]) -> None:
    with pytest.raises(ValueError, match="hits must lie"):
        changes(hits, totals)
