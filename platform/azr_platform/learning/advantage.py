"""Advantages: rewards against a baseline (TRR++, arXiv 2505.03335, section 3.3.5, equation 8)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence


def normalised(rewards: Sequence[float], groups: Sequence[Hashable], *, std_floor: float = 1e-6) -> list[float]:
    """(reward - group mean) / group standard deviation, in the order given.

    Task-relative REINFORCE++ passes the role x kind pair of each sample as its group (six of them); one group
    for all gives REINFORCE++'s global baseline. The deviation is the sample deviation (n - 1). A group whose
    rewards are all equal, or that has one member, teaches nothing: its advantages are exactly 0.

    Raises:
        ValueError: lengths differ, or a reward is not finite.
    """
    if len(rewards) != len(groups):
        raise ValueError(f"{len(rewards)} rewards but {len(groups)} groups")
    if not all(math.isfinite(reward) for reward in rewards):
        raise ValueError("a reward is not a finite number")
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    advantages = [0.0] * len(rewards)
    for indices in members.values():
        values = [rewards[index] for index in indices]
        if len(values) < 2 or min(values) == max(values):
            continue
        mean = math.fsum(values) / len(values)
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        for index, value in zip(indices, values, strict=True):
            advantages[index] = (value - mean) / max(std, std_floor)
    return advantages
