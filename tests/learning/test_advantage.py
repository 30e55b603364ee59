"""Advantages, worked out by hand and against the standard library."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.config.schema import UpdateConfig
from azr_platform.learning.advantage import ESTIMATORS, Origin, leave_one_out, normalised
from azr_platform.records import SELF_PLAY_KINDS, Group, Role

SIX = [Group(role, kind) for role in Role for kind in SELF_PLAY_KINDS]


def test_two_members_are_one_half_root_two_apart_from_their_mean() -> None:
    # mean 0.25, deviation (n - 1) = sqrt(2 * 0.75**2) = 1.06066
    assert normalised([1.0, -0.5], ["a", "a"]) == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])


def test_six_groups_each_have_a_baseline_of_their_own() -> None:
    # Worked out by hand: [0, 1, 2] has mean 1 and deviation 1; shifting or scaling a group changes nothing.
    rewards, groups = [], []
    for place in range(3):
        for number, group in enumerate(SIX):
            rewards.append((number + 1) * place - 10 * number)
            groups.append(group)
    assert normalised(rewards, groups) == pytest.approx([-1.0] * 6 + [0.0] * 6 + [1.0] * 6)


def test_one_group_for_all_is_the_global_baseline() -> None:
    # mean 0.5, deviation sqrt((4 * 0.25) / 3)
    expected = 0.5 / math.sqrt(1 / 3)
    assert normalised([0.0, 1.0, 1.0, 0.0], ["all"] * 4) == pytest.approx([-expected, expected, expected, -expected])
    # The same rewards in two groups that are each of one mind teach nothing.
    assert normalised([0.0, 1.0, 1.0, 0.0], ["a", "b", "b", "a"]) == [0.0] * 4


def test_equal_rewards_and_single_members_have_no_advantage() -> None:
    assert normalised([0.7, 0.7, 0.7, -1.0], ["a", "a", "a", "b"]) == [0.0] * 4
    # 0.1 + 0.2 != 0.3: means of equal numbers may round, the advantage must not.
    assert normalised([0.1] * 7, ["a"] * 7) == [0.0] * 7


def test_a_small_deviation_is_divided_by_the_floor() -> None:
    assert normalised([0.0, 0.02], ["a", "a"], std_floor=0.1) == pytest.approx([-0.1, 0.1])
    assert normalised([0.0, 2.0], ["a", "a"], std_floor=0.1) == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)])


def test_no_rewards_have_no_advantages() -> None:
    assert normalised([], []) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        normalised([0.0, bad], ["a", "b"])


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rewards but 1 groups"):
        normalised([0.0, 1.0], ["a"])


@given(
    st.lists(st.tuples(st.sampled_from(SIX), st.sampled_from([-1.0, -0.5, 0.0, 0.125, 0.5, 0.875, 1.0])), max_size=60)
)
def test_each_group_is_centred_scaled_and_keeps_its_order(samples: list[tuple[Group, float]]) -> None:
    groups, rewards = [group for group, _ in samples], [reward for _, reward in samples]
    advantages = normalised(rewards, groups)
    assert len(advantages) == len(rewards)
    for group in set(groups):
        members = [i for i, other in enumerate(groups) if other == group]
        mine = [rewards[i] for i in members]
        if len(set(mine)) < 2:
            assert all(advantages[i] == 0.0 for i in members)
            continue
        mean, std = statistics.mean(mine), statistics.stdev(mine)
        for i in members:
            assert advantages[i] == pytest.approx((rewards[i] - mean) / std)
        assert statistics.mean(advantages[i] for i in members) == pytest.approx(0.0, abs=1e-9)
        assert statistics.stdev(advantages[i] for i in members) == pytest.approx(1.0)


# -- the estimators --------------------------------------------------------------------------------------

VALUES = st.sampled_from([-1.0, -0.5, 0.0, 0.125, 0.5, 0.875, 1.0])
ORIGINS = st.builds(Origin, st.sampled_from(SIX), st.sampled_from("pqrs"))
BATCH = st.lists(st.tuples(ORIGINS, VALUES), max_size=40)


def test_each_setting_names_an_estimator() -> None:
    assert set(ESTIMATORS) == set(UpdateConfig.model_fields["advantage"].annotation.__args__)  # type: ignore[union-attr]


def test_four_samples_of_two_prompts_by_hand() -> None:
    rewards = [1.0, 0.0, 1.0, 1.0, 4.0]
    first, second = Origin("solve/deduction", "p"), Origin("solve/abduction", "q")
    origins = [first, first, first, second, second]
    third, root = 1 / 3, math.sqrt(1 / 3)  # of 1, 0, 1: mean 2/3, deviation sqrt((1/9 + 4/9 + 1/9) / 2)
    half = math.sqrt(0.5)
    by_prompt = [third / root, -2 * third / root, third / root, -half, half]
    assert ESTIMATORS["grpo"](rewards, origins, 1e-6, True) == pytest.approx(by_prompt)
    assert ESTIMATORS["grpo"](rewards, origins, 1e-6, False) == pytest.approx([third, -2 * third, third, -1.5, 1.5])
    assert ESTIMATORS["rloo"](rewards, origins, 1e-6, True) == pytest.approx([0.5, -1.0, 0.5, -3.0, 3.0])
    assert ESTIMATORS["trr++"](rewards, origins, 1e-6, True) == pytest.approx(by_prompt)
    deviation = statistics.stdev(rewards)
    expected = [(reward - 1.4) / deviation for reward in rewards]
    assert ESTIMATORS["reinforce++"](rewards, origins, 1e-6, True) == pytest.approx(expected)


@given(BATCH, st.booleans())
def test_every_estimator_is_centred_where_it_shares_a_baseline(batch: list[tuple[Origin, float]], divide: bool) -> None:
    origins, rewards = [origin for origin, _ in batch], [reward for _, reward in batch]
    shared = {
        "trr++": lambda o: o.group,
        "reinforce++": lambda _: None,
        "grpo": lambda o: o.prompt,
        "rloo": lambda o: o.prompt,
    }
    for name, estimate in ESTIMATORS.items():
        advantages = estimate(rewards, origins, 1e-6, divide)
        assert len(advantages) == len(rewards)
        sums: dict[object, list[float]] = {}
        for origin, advantage in zip(origins, advantages, strict=True):
            sums.setdefault(shared[name](origin), []).append(advantage)
        for values in sums.values():
            assert math.fsum(values) == pytest.approx(0.0, abs=1e-9)


@given(BATCH, st.floats(-3, 3))
def test_a_constant_added_to_every_reward_changes_nothing(batch: list[tuple[Origin, float]], by: float) -> None:
    origins, rewards = [origin for origin, _ in batch], [reward for _, reward in batch]
    for estimate in ESTIMATORS.values():
        before = estimate(rewards, origins, 0.1, True)
        assert estimate([reward + by for reward in rewards], origins, 0.1, True) == pytest.approx(before, abs=1e-9)


@given(BATCH)
def test_leaving_one_out_is_the_group_s_difference_scaled_up(batch: list[tuple[Origin, float]]) -> None:
    """r - mean of the others = n / (n - 1) times r - mean."""
    origins, rewards = [origin for origin, _ in batch], [reward for _, reward in batch]
    plain = ESTIMATORS["grpo"](rewards, origins, 1e-6, False)
    sizes = [sum(other.prompt == origin.prompt for other in origins) for origin in origins]
    expected = [n / (n - 1) * value if n > 1 else 0.0 for n, value in zip(sizes, plain, strict=True)]
    assert leave_one_out(rewards, origins) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_estimator_takes_what_is_no_number(name: str) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        ESTIMATORS[name]([math.nan], [Origin("g", "p")], 1e-6, True)
    with pytest.raises(ValueError, match="1 rewards but 0 groups"):
        ESTIMATORS[name]([1.0], [], 1e-6, True)
