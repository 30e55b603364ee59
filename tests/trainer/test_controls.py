"""Control experiments take away one part and leave the rest as it was."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from azr_platform.channel.messages import Judgement, Submission
from azr_platform.config.schema import ControlConfig
from azr_platform.records import SELF_PLAY_KINDS, Role
from azr_platform.rollout.engine import Completion
from azr_platform.trainer.controls import controlled
from azr_platform.trainer.rollouts import Rewarded, Rollout

EARNED, SHUFFLED = ControlConfig(), ControlConfig(rewards="shuffled")


def item(number: int, role: Role, kind: object, reward: float) -> Rewarded:
    submission = Submission(uid=str(number), role=role, kind=kind, prompt="", response="", tokens=1)  # type: ignore[arg-type]
    judgement = Judgement(uid=str(number), sample=number + 1, allowed=True, well_formed=True)
    return Rewarded(Rollout(submission, [1], Completion([2], [-0.1], "", finished=True), judgement), reward)


batches = st.lists(
    st.tuples(st.sampled_from(list(Role)), st.sampled_from(SELF_PLAY_KINDS), st.sampled_from([-1.0, -0.5, 0.5, 1.0])),
    max_size=40,
).map(lambda rows: [item(number, *row) for number, row in enumerate(rows)])


def by_group(batch: list[Rewarded]) -> dict[str, list[float]]:
    rewards = defaultdict(list)
    for one in batch:
        rewards[str(one.rollout.group)].append(one.reward)
    return {name: sorted(values) for name, values in rewards.items()}


@given(batches, st.integers())
def test_without_a_control_nothing_changes(batch: list[Rewarded], seed: int) -> None:
    assert controlled(batch, EARNED, random.Random(seed)) == batch


@given(batches, st.integers())
def test_shuffled_rewards_stay_in_their_group_and_with_some_sample(batch: list[Rewarded], seed: int) -> None:
    dealt = controlled(batch, SHUFFLED, random.Random(seed))
    assert [one.rollout for one in dealt] == [one.rollout for one in batch]
    assert by_group(dealt) == by_group(batch)


def test_shuffled_rewards_tell_nothing_about_the_sample() -> None:
    batch = [item(n, Role.SOLVE, SELF_PLAY_KINDS[0], 1.0 if n < 500 else -1.0) for n in range(1000)]
    dealt = controlled(batch, SHUFFLED, random.Random(0))
    assert 200 < sum(one.reward > 0 for one in dealt[:500]) < 300


@given(batches)
def test_a_proposer_that_is_not_trained_adds_nothing(batch: list[Rewarded]) -> None:
    solver = [one for one in batch if one.rollout.group.role is Role.SOLVE]
    assert controlled(batch, ControlConfig(proposer="untrained"), random.Random(0)) == solver
    assert controlled(batch, ControlConfig(proposer="frozen"), random.Random(0)) == solver
