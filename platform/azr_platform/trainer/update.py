"""One policy update from rewarded rollouts: advantages, minibatches, clipped loss, AdamW.

Engine and learner may disagree about how likely a token is (other kernels, other number formats). Before the first
step of an update the learner's weights are those that sampled, or one update newer (``update.staleness``), so there the
difference is measured at no cost. With
``update.mismatch_cap`` the ratio that is clipped is between two passes of the learner, and each token's part of the
loss is weighted by min(pi_learner / pi_engine, cap), both before the update (truncated importance sampling).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from azr_platform.config.schema import OptimizerConfig, UpdateConfig
from azr_platform.learning.advantage import ESTIMATORS, Origin
from azr_platform.learning.loss import clipped_loss, token_weights
from azr_platform.rollout.scoring import Layout, microbatches, padding, score, token_log_probs
from azr_platform.trainer.optimizer import Optimizer
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
    padding: float
    """Share of the positions that went through the model."""
    mismatch_mean: float
    """Of |log pi_learner - log pi_engine| before the update: mean, largest, and the k3 estimate of
    KL(engine || learner)."""
    mismatch_max: float
    mismatch_kl: float


class NotFinite(Exception):
    """The loss or the gradient is NaN or infinite; the weights were left as they were."""


Batch = Sequence[tuple[Rewarded, float]]
"""Rollouts with their advantages."""


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
        self._layout = Layout(update.tokens_per_microbatch, update.max_padding, update.packed, update.logits_chunk)
        if update.gradient_checkpointing:
            # What saves and restores torch's generator would disturb the sampling beside it.
            kept = {"use_reentrant": False, "preserve_rng_state": not update.staleness}
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kept)
        body = model.base_model
        self._body = torch.compile(body, dynamic=True) if update.compile else body
        self.optimizer = Optimizer(model, optimizer)

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
        self.optimizer.set_learning_rate(rate)
        order = list(range(len(rewarded)))
        rng.shuffle(order)
        totals = _Totals()
        count = min(self._update.minibatches, len(order))
        self._model.train()
        try:
            batches = [[(rewarded[i], advantages[i]) for i in order[number::count]] for number in range(count)]
            # Nothing has moved before the first minibatch: its own pass says what the learner thought.
            before = [self._before(batch) if number else None for number, batch in enumerate(batches)]
            for batch, log_probs in zip(batches, before, strict=True):
                self._minibatch(batch, log_probs, totals)
        finally:
            self._model.eval()
        tokens, compared = max(1, totals.tokens), max(1, totals.compared)
        return UpdateStats(
            advantages=advantages,
            loss=totals.loss / max(1, count),
            entropy=totals.entropy / tokens,
            clip_fraction=totals.clipped / tokens,
            approx_kl=totals.kl / tokens,
            ratio_max=totals.ratio_max,
            grad_norm=totals.grad_norm / max(1, count),
            learning_rate=rate,
            padding=totals.padding / max(1, totals.positions),
            mismatch_mean=totals.mismatch / compared,
            mismatch_max=totals.mismatch_max,
            mismatch_kl=totals.mismatch_kl / compared,
        )

    def _live(self, batch: Batch) -> list[int]:
        """A sequence without advantage adds nothing to the gradient (its tokens still count in the mean)."""
        keep_all = self._update.entropy_coefficient > 0.0
        return [i for i, (_, advantage) in enumerate(batch) if advantage != 0.0 or keep_all]

    def _before(self, batch: Batch) -> list[list[float]] | None:
        """What the learner makes of the live sequences before anything moves; None where nobody asks."""
        if not self._update.mismatch_cap:
            return None
        pairs = [batch[i][0].rollout.pair for i in self._live(batch)]
        return score(self._model, pairs, self._temperature, self._layout, self._body)

    def _minibatch(self, batch: Batch, before: list[list[float]] | None, totals: _Totals) -> None:
        """One step. Without ``before`` the learner is as it was when the batch was sampled, or nobody asks."""
        weights = token_weights([len(item.rollout.completion.tokens) for item, _ in batch], self._update.aggregation)
        coefficient = self._update.entropy_coefficient
        first = totals.tokens == 0
        live = self._live(batch)
        pairs = [batch[i][0].rollout.pair for i in live]
        positions, padded = padding(pairs, self._layout)
        totals.positions += positions
        totals.padding += padded
        self.optimizer.zero_grad()
        for group in microbatches(pairs, self._layout):
            chosen = [live[i] for i in group]
            log_probs, entropies = token_log_probs(
                self._model, [pairs[i] for i in group], self._temperature, True, self._layout, self._body
            )
            per_token = [
                (engine, batch[i][1], weights[i]) for i in chosen for engine in batch[i][0].rollout.completion.log_probs
            ]
            engine, advantage, weight = torch.tensor(per_token, device=log_probs.device).unbind(dim=1)
            old, policy_weight = engine, weight
            if before is not None or first:
                learner = log_probs.detach()
                if before is not None:
                    learner = torch.tensor([value for i in group for value in before[i]], device=log_probs.device)
                totals.compare(learner, engine)
                if self._update.mismatch_cap:
                    old = learner
                    policy_weight = weight * (learner - engine).exp().clamp(max=self._update.mismatch_cap)
            result = clipped_loss(
                log_probs,
                old,
                advantage,
                policy_weight,
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
        norm = self.optimizer.clip()
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
        self.tokens = self.positions = self.padding = self.compared = 0
        self.mismatch = self.mismatch_max = self.mismatch_kl = 0.0

    def compare(self, learner: Tensor, engine: Tensor) -> None:
        """Add up how far the learner, before the update, and the engine differ."""
        difference = learner - engine
        self.mismatch += float(difference.abs().sum())
        self.mismatch_max = max(self.mismatch_max, float(difference.abs().max()))
        self.mismatch_kl += float((difference.exp() - 1.0 - difference).sum())
        self.compared += len(difference)
