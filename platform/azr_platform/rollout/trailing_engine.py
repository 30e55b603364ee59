"""An engine over a copy of the policy, which can be trained while the copy is sampled from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from azr_platform.rollout.engine import Completion, Engine, Progress, Ready
from azr_platform.rollout.weights import plain_weights, untied


@torch.no_grad()
def copy_weights(weights: Mapping[str, Tensor], copy: Any) -> None:
    """Put weights, under plain names and tied ones once, into a model.

    Raises:
        ValueError: they are of a model of another shape.
    """
    own = untied(plain_weights(copy))
    if {name: tensor.shape for name, tensor in own.items()} != {name: each.shape for name, each in weights.items()}:
        raise ValueError("the weights are another model's")
    for name, tensor in own.items():
        tensor.copy_(weights[name])


class TrailingEngine:
    """Samples from ``copy`` through ``engine``, which was built on it. The copy changes in ``refresh`` alone, which
    must not run while the policy is trained or the copy sampled from."""

    def __init__(self, engine: Engine, policy: Any, copy: Any) -> None:
        self._engine = engine
        self._policy = policy
        self._copy = copy

    def weights(self) -> dict[str, Tensor]:
        """Those sampled from, under plain names; tied ones once."""
        return untied(plain_weights(self._copy))

    def encode(self, prompt: str) -> list[int]:
        return self._engine.encode(prompt)

    def generate(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        seed: int,
        progress: Progress | None = None,
        ready: Ready | None = None,
    ) -> list[list[Completion]]:
        return self._engine.generate(prompts, samples=samples, seed=seed, progress=progress, ready=ready)

    def rest(self) -> None:
        """It is sampled from while the policy is trained."""

    def refresh(self) -> None:
        copy_weights(untied(plain_weights(self._policy)), self._copy)
        self._engine.refresh()

    def close(self) -> None:
        self._engine.close()
