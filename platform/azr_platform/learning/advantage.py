"""Advantages: rewards against a baseline. Four estimators, each a pure function; ``ESTIMATORS`` has them by name.

They differ in who shares a baseline and in whether the difference is divided by a standard deviation:

```
trr++        role x kind group    (r - mean) / std        arXiv 2505.03335, section 3.3.5, equation 8
reinforce++  the whole batch      (r - mean) / std        arXiv 2501.03262, equation 9
grpo         samples of a prompt  (r - mean) / std        arXiv 2402.03300, section 4.1.2; without std: 2503.20783
rloo         samples of a prompt  r - mean of the others  arXiv 2402.14740, section 3.3, equation 8
```
The deviation is the sample deviation (n - 1). Members of a group whose rewards are all equal, and a member that
is alone, teach nothing: their advantages are exactly 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple


class Origin(NamedTuple):
    """Where a sample comes from: whatever of it a baseline can be shared by."""

    group: Hashable
    """Its role and kind."""
    prompt: Hashable
    """What it answers: samples of the same prompt have equal ones."""


Estimator = Callable[[Sequence[float], Sequence[Origin], float, bool], list[float]]
"""(rewards, where each comes from, smallest deviation divided by, whether to divide at all) -> advantages, in order.

Raises ValueError when lengths differ or a reward is not finite.
"""


def task_relative(
    rewards: Sequence[float], origins: Sequence[Origin], std_floor: float = 1e-6, divide: bool = True
) -> list[float]:
    """TRR++: a baseline for each role x kind group of the batch (six in self-play)."""
    return normalised(rewards, [origin.group for origin in origins], std_floor=std_floor, divide=divide)


def global_baseline(
    rewards: Sequence[float], origins: Sequence[Origin], std_floor: float = 1e-6, divide: bool = True
) -> list[float]:
    """REINFORCE++: one baseline for the whole batch."""
    return normalised(rewards, [None] * len(origins), std_floor=std_floor, divide=divide)


def group_relative(
    rewards: Sequence[float], origins: Sequence[Origin], std_floor: float = 1e-6, divide: bool = True
) -> list[float]:
    """GRPO: a baseline for each prompt's samples. Without ``divide`` it is Dr. GRPO's."""
    return normalised(rewards, [origin.prompt for origin in origins], std_floor=std_floor, divide=divide)


def leave_one_out(
    rewards: Sequence[float], origins: Sequence[Origin], std_floor: float = 1e-6, divide: bool = True
) -> list[float]:
    """RLOO: each sample against the mean of its prompt's other samples. It never divides by a deviation."""
    advantages = [0.0] * len(rewards)
    for indices, values in _groups(rewards, [origin.prompt for origin in origins]):
        total, others = math.fsum(values), len(values) - 1
        for index, value in zip(indices, values, strict=True):
            advantages[index] = value - (total - value) / others
    return advantages


ESTIMATORS: Final[Mapping[str, Estimator]] = MappingProxyType(
    {
        "trr++": task_relative,
        "reinforce++": global_baseline,
        "grpo": group_relative,
        "rloo": leave_one_out,
    }
)


def normalised(
    rewards: Sequence[float], groups: Sequence[Hashable], *, std_floor: float = 1e-6, divide: bool = True
) -> list[float]:
    """(reward - group mean) / group standard deviation, in the order given; without ``divide`` only the difference.

    Raises:
        ValueError: lengths differ, or a reward is not finite.
    """
    advantages = [0.0] * len(rewards)
    for indices, values in _groups(rewards, groups):
        mean = math.fsum(values) / len(values)
        scale = 1.0
        if divide:
            variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
            scale = max(math.sqrt(variance), std_floor)
        for index, value in zip(indices, values, strict=True):
            advantages[index] = (value - mean) / scale
    return advantages


def _groups(rewards: Sequence[float], groups: Sequence[Hashable]) -> Iterator[tuple[list[int], list[float]]]:
    """(places, rewards) of each group that teaches something."""
    if len(rewards) != len(groups):
        raise ValueError(f"{len(rewards)} rewards but {len(groups)} groups")
    if not all(math.isfinite(reward) for reward in rewards):
        raise ValueError("a reward is not a finite number")
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    for indices in members.values():
        values = [rewards[index] for index in indices]
        if len(values) > 1 and min(values) != max(values):
            yield indices, values
