"""What a regime is: it yields the rewarded rollouts of a step, and the loop does the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from azr_platform.buffers.buffer import Entry
from azr_platform.records import Kind, Phase
from azr_platform.trainer.probes import RightAnswer
from azr_platform.trainer.rollouts import Rewarded, Rollout

Buffers = Mapping[Kind, Sequence[Entry]]
"""What a regime keeps from step to step, and a checkpoint holds: tasks by kind, oldest first."""


@dataclass(frozen=True)
class Practice:
    """What a regime made of one step, before the update."""

    rollouts: Mapping[Phase, Sequence[Rollout]]
    """Every reviewed sample, in the order of the phases."""
    rewarded: Sequence[Rewarded]
    """What the update learns from."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The regime's own numbers, beside those that all regimes have (trainer/metrics.py)."""
    right: Sequence[RightAnswer] = ()
    """Answers whose likelihood the policy is asked for, before it learns from this step."""


class Regime(Protocol):
    """One way to train under supervision. Samples reach it reviewed; it never judges one."""

    def begin(self) -> None:
        """What precedes step 1; no gradient."""
        ...

    def practise(self, step: int) -> Practice:
        """Sample, have reviewed and reward one step's responses."""
        ...

    def buffers(self) -> Buffers:
        """What to keep in a checkpoint."""
        ...

    def restore(self, buffers: Buffers) -> None:
        """Put a checkpoint's content back.

        Raises:
            NotAllowed: it is not what this regime has kept.
        """
        ...
