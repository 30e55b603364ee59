"""One policy update from rewarded rollouts: advantages, minibatches, clipped loss, AdamW.

Engine and learner may disagree about how likely a token is (other kernels, other number formats). Before the first
step of an update the learner's weights are those that sampled, or one update newer (``update.staleness``), so there the
difference is measured at no cost. With
``update.mismatch_cap`` the ratio that is clipped is between two passes of the learner, and each token's part of the
loss is weighted by min(pi_learner / pi_engine, cap), both before the update (truncated importance sampling).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import Tensor

from azr_platform.config.schema import OptimizerConfig, UpdateConfig
from azr_platform.learning.advantage import ESTIMATORS, Origin
from azr_platform.learning.loss import clipped_loss, token_weights
from azr_platform.rollout.scoring import Layout, Pair, microbatches, padding, token_log_probs
from azr_platform.trainer.optimizer import Optimizer
from azr_platform.trainer.rollouts import Rewarded

if TYPE_CHECKING:
    from azr_platform.trainer.sharded import Shard


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
    skipped: int
    """Minibatches that were learnt nothing from, for their gradient was NaN or infinite."""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A sequence that has a gradient. ``weight`` is each of its tokens' share of the minibatch's loss."""

    prompt: Sequence[int]
    response: Sequence[int]
    engine: Sequence[float]
    """The engine's log-probabilities of the response's tokens."""
    advantage: float
    weight: float

    @property
    def pair(self) -> Pair:
        return Pair(self.prompt, self.response)


IDLE = Item((0,), (0,), (0.0,), 0.0, 0.0)
"""Adds nothing: for a process that has no sequence left while others do (trainer/sharded.py)."""


class Minibatch(msgspec.Struct, frozen=True):
    """What one optimizer step learns from, or one process's share of it."""

    items: Sequence[Item]
    first: bool
    """Whether the learner is still as it was when the sequences were sampled."""
    rounds: int = 0
    """Passes through the model that there are at least; those too many are idle."""


class Updater:
    """Owns the optimizer. One ``update`` is one epoch over the rollouts.

    With a ``shard`` the model is that part of one (trainer/sharded.py), and other processes have the others.
    """

    def __init__(
        self,
        model: Any,
        optimizer: OptimizerConfig,
        update: UpdateConfig,
        *,
        steps: int,
        temperature: float,
        shard: Shard | None = None,
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
        self._shard = shard
        self.optimizer = Optimizer(model, optimizer) if shard is None else shard.optimizer(model, optimizer)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then linear decay to ``final_fraction`` at the last step."""
        warmup = min(1.0, step / self._config.warmup_steps) if self._config.warmup_steps else 1.0
        decay = 1.0 - (1.0 - self._config.final_fraction) * (step - 1) / max(1, self._steps - 1)
        return self._config.learning_rate * warmup * decay

    def update(self, rewarded: Sequence[Rewarded], step: int, rng: random.Random) -> UpdateStats:
        """Train once on the rollouts; advantages come back in their order."""
        origins = [Origin(item.rollout.group, item.rollout.submission.prompt) for item in rewarded]
        estimate = ESTIMATORS[self._update.advantage]
        rewards = [item.reward for item in rewarded]
        advantages = estimate(rewards, origins, self._update.std_floor, self._update.divide_by_std)
        rate = self.learning_rate(step)
        order = list(range(len(rewarded)))
        rng.shuffle(order)
        count = min(self._update.minibatches, len(order))
        minibatches: list[Minibatch] = []
        for number in range(count):
            items = self._items([(rewarded[i], advantages[i]) for i in order[number::count]])
            minibatches.append(Minibatch(items, first=not any(earlier.items for earlier in minibatches)))
        if self._shard is None:
            totals = self.learn(minibatches, rate)
        else:
            with self._shard.divided(minibatches, rate, self._layout) as share:
                totals = self.learn(share, rate)
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
            skipped=totals.skipped,
        )

    def learn(self, minibatches: Sequence[Minibatch], rate: float) -> Totals:
        """Take a step for each minibatch; what came of it, over all processes."""
        self.optimizer.set_learning_rate(rate)
        totals = Totals()
        self._model.train()
        try:
            # Nothing has moved before the first minibatch: its own pass says what the learner thought.
            before = [self._before(batch) if number else None for number, batch in enumerate(minibatches)]
            for batch, log_probs in zip(minibatches, before, strict=True):
                self._minibatch(batch, log_probs, totals)
        finally:
            self._model.eval()
        if self._shard is not None:
            self._shard.sum(totals)
            self._shard.publish(self._model)
        return totals

    def _items(self, batch: Sequence[tuple[Rewarded, float]]) -> list[Item]:
        """A sequence without advantage adds nothing to the gradient (its tokens still count in the mean)."""
        weights = token_weights([len(item.rollout.completion.tokens) for item, _ in batch], self._update.aggregation)
        keep_all = self._update.entropy_coefficient > 0.0
        items = []
        for (item, advantage), weight in zip(batch, weights, strict=True):
            if advantage != 0.0 or keep_all:
                completion = item.rollout.completion
                tokens = item.rollout.prompt_tokens, completion.tokens
                items.append(Item(*tokens, completion.log_probs, advantage, weight))
        return items

    def _groups(self, batch: Minibatch) -> list[list[int]]:
        """Places of the items that go through the model together; none in an idle pass."""
        groups = list(microbatches([item.pair for item in batch.items], self._layout))
        return groups + [[]] * (batch.rounds - len(groups))

    def _pass(self, items: Sequence[Item], entropy: bool) -> tuple[Tensor, Tensor]:
        """Items through the model (see ``token_log_probs``)."""

        def act() -> tuple[Tensor, Tensor]:
            pairs = [item.pair for item in items or [IDLE]]
            return token_log_probs(self._model, pairs, self._temperature, entropy, self._layout, self._body)

        return act() if self._shard is None else self._shard.inside(self._model, act)

    @torch.no_grad()
    def _before(self, batch: Minibatch) -> list[list[float]] | None:
        """What the learner makes of the sequences before anything moves; None where nobody asks."""
        if not self._update.mismatch_cap:
            return None
        scores: list[list[float]] = [[] for _ in batch.items]
        for group in self._groups(batch):
            values = self._pass([batch.items[i] for i in group], False)[0].tolist()
            for i in group:
                count = len(batch.items[i].response)
                scores[i], values = values[:count], values[count:]
        return scores

    def _minibatch(self, batch: Minibatch, before: list[list[float]] | None, totals: Totals) -> None:
        """One step. Without ``before`` the learner is as it was when the batch was sampled, or nobody asks.

        A gradient that is no number moves nothing, neither weights nor moments: it is left to the metrics to tell, and
        to the policy what to do about it.
        """
        coefficient = self._update.entropy_coefficient
        positions, padded = padding([item.pair for item in batch.items], self._layout)
        totals.positions += positions
        totals.padding += padded
        self.optimizer.zero_grad()
        for group in self._groups(batch):
            items = [batch.items[i] for i in group]
            log_probs, entropies = self._pass(items, True)
            per_token = [(engine, item.advantage, item.weight) for item in items or [IDLE] for engine in item.engine]
            engine, advantage, weight = torch.tensor(per_token, device=log_probs.device).unbind(dim=1)
            old, policy_weight = engine, weight
            if group and (before is not None or batch.first):
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
            if not group:
                continue
            totals.loss += float(loss.detach())
            totals.entropy += float(entropies.detach().sum())
            totals.clipped += result.clipped
            totals.kl += result.kl
            totals.ratio_max = max(totals.ratio_max, result.ratio_max)
            totals.tokens += len(per_token)
        norm = float(self.optimizer.clip())
        totals.grad_norm += norm
        if math.isfinite(norm):
            self.optimizer.step()
        else:
            totals.skipped += 1
        self.optimizer.zero_grad()


@dataclass
class Totals:
    """Sums over an update, for its metrics, and (``…_max``) largest values. ``grad_norm`` and ``skipped`` are the same
    in every process."""

    loss: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0
    kl: float = 0.0
    grad_norm: float = 0.0
    skipped: int = 0
    ratio_max: float = 1.0
    tokens: int = 0
    positions: int = 0
    padding: int = 0
    compared: int = 0
    mismatch: float = 0.0
    mismatch_max: float = 0.0
    mismatch_kl: float = 0.0

    def compare(self, learner: Tensor, engine: Tensor) -> None:
        """Add up how far the learner, before the update, and the engine differ."""
        difference = learner - engine
        self.mismatch += float(difference.abs().sum())
        self.mismatch_max = max(self.mismatch_max, float(difference.abs().max()))
        self.mismatch_kl += float((difference.exp() - 1.0 - difference).sum())
        self.compared += len(difference)
