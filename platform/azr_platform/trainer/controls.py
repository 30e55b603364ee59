"""Control experiments: a run without one of its parts, to show what it is good for. None of it is for training."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from azr_platform.config.schema import ControlConfig
from azr_platform.records import Group, Role
from azr_platform.trainer.rollouts import Rewarded


def controlled(rewarded: Sequence[Rewarded], control: ControlConfig, rng: random.Random) -> list[Rewarded]:
    """What the update gets to see of a step, in the order given.

    ``rewards = "shuffled"`` deals each role x kind group's rewards at random among its samples: how many earn what
    stays as it was, and what is left of a gain is not the reward's doing. A proposer that is not ``trained`` leaves its
    samples out.
    """
    kept = [item for item in rewarded if control.proposer == "trained" or item.rollout.group.role is not Role.PROPOSE]
    if control.rewards == "earned":
        return kept
    members: dict[Group, list[int]] = defaultdict(list)
    for index, item in enumerate(kept):
        members[item.rollout.group].append(index)
    for indices in members.values():
        dealt = [kept[index].reward for index in indices]
        rng.shuffle(dealt)
        for index, reward in zip(indices, dealt, strict=True):
            kept[index] = replace(kept[index], reward=reward)
    return kept
