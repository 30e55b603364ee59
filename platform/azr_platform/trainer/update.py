"""One policy update from rewarded rollouts: advantages, minibatches, clipped loss, AdamW."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import torch

from azr_platform.config.schema import OptimizerConfig, UpdateConfig
from azr_platform.learning.advantage import ESTIMATORS, Origin
from azr_platform.learning.loss import clipped_loss, token_weights
from azr_platform.rollout.scoring import microbatches, token_log_probs
from azr_platform.trainer.rollouts import Rewarded


class UpdateStats(msgspec.Struct, frozen=True):
    """Means over the trained tokens. ``entropy`` is in nats; 0 when no token had an advantage."""

    advantages: list[float]
    loss: float
    entropy: float
    clip_fraction: float
    approx_kl: float
    ratio_max: float
    grad_norm: float
    learning_rate: float


class NotFinite(Exception):
    """The loss or the gradient is NaN or infinite; the weights were left as they were."""


class Updater:
    """Owns the optimizer. One ``update`` is one epoch over the rollouts."""

    def __init__(
        self, model: Any, optimizer: OptimizerConfig, update: UpdateConfig, *, steps: int, temperature: float
    ) -> None:
        self._model = model
        self._config = optimizer
        self._update = update
        self._steps = steps
        self._temperature = temperature
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=optimizer.learning_rate,
            betas=optimizer.betas,
            eps=optimizer.epsilon,
            weight_decay=optimizer.weight_decay,
        )

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then linear decay to ``final_fraction`` at the last step."""
        warmup = min(1.0, step / self._config.warmup_steps) if self._config.warmup_steps else 1.0
        decay = 1.0 - (1.0 - self._config.final_fraction) * (step - 1) / max(1, self._steps - 1)
        return self._config.learning_rate * warmup * decay

    def update(self, rewarded: Sequence[Rewarded], step: int, rng: random.Random) -> UpdateStats:
        """Train once on the rollouts; advantages come back in their order.

        Raises:
            NotFinite: a gradient is not a number; nothing was changed by that minibatch.
        """
        origins = [Origin(item.rollout.group, item.rollout.submission.prompt) for item in rewarded]
        estimate = ESTIMATORS[self._update.advantage]
        rewards = [item.reward for item in rewarded]
        advantages = estimate(rewards, origins, self._update.std_floor, self._update.divide_by_std)
        rate = self.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        order = list(range(len(rewarded)))
        rng.shuffle(order)
        totals = _Totals()
        count = min(self._update.minibatches, len(order))
        self._model.train()
        try:
            for number in range(count):
                self._minibatch([(rewarded[i], advantages[i]) for i in order[number::count]], totals)
        finally:
            self._model.eval()
        tokens = max(1, totals.tokens)
        return UpdateStats(
            advantages=advantages,
            loss=totals.loss / max(1, count),
            entropy=totals.entropy / tokens,
            clip_fraction=totals.clipped / tokens,
            approx_kl=totals.kl / tokens,
            ratio_max=totals.ratio_max,
            grad_norm=totals.grad_norm / max(1, count),
            learning_rate=rate,
        )

    def _minibatch(self, batch: Sequence[tuple[Rewarded, float]], totals: _Totals) -> None:
        lengths = [len(item.rollout.completion.tokens) for item, _ in batch]
        weights = token_weights(lengths, self._update.aggregation)
        coefficient = self._update.entropy_coefficient
        # A sequence without advantage adds nothing to the gradient (its tokens still count in the mean).
        live = [i for i, (_, advantage) in enumerate(batch) if advantage != 0.0 or coefficient > 0.0]
        pairs = [batch[i][0].rollout.pair for i in live]
        self.optimizer.zero_grad()
        for group in microbatches(pairs, self._update.tokens_per_microbatch):
            chosen = [live[i] for i in group]
            log_probs, entropies = token_log_probs(
                self._model, [pairs[i] for i in group], self._temperature, entropy=True
            )
            per_token = [
                (old, batch[i][1], weights[i]) for i in chosen for old in batch[i][0].rollout.completion.log_probs
            ]
            old, advantage, weight = torch.tensor(per_token, device=log_probs.device).unbind(dim=1)
            result = clipped_loss(
                log_probs,
                old,
                advantage,
                weight,
                clip_low=self._update.clip_low,
                clip_high=self._update.clip_high,
            )
            loss = result.loss - coefficient * (entropies * weight).sum() if coefficient else result.loss
            loss.backward()  # type: ignore[no-untyped-call]
            totals.loss += float(loss.detach())
            totals.entropy += float(entropies.detach().sum())
            totals.clipped += result.clipped
            totals.kl += result.kl
            totals.ratio_max = max(totals.ratio_max, result.ratio_max)
            totals.tokens += len(per_token)
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.grad_clip)
        if not torch.isfinite(norm):
            self.optimizer.zero_grad()
            raise NotFinite(f"the gradient's norm is {float(norm)}; the weights were left as they were")
        totals.grad_norm += float(norm)
        self.optimizer.step()
        self.optimizer.zero_grad()


class _Totals:
    """Sums over an update, for its metrics."""

    def __init__(self) -> None:
        self.loss = self.entropy = self.clipped = self.kl = self.grad_norm = 0.0
        self.ratio_max = 1.0
        self.tokens = 0
