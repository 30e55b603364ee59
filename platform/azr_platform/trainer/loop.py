"""One step of training under supervision, whatever the regime.

```
regime: sample ─► review ─► reward   (once or several times a step)
                              └─► advantages ─► one clipped update ─► metrics and rewards on record
```
Whatever the supervisor did not allow never reaches the update: not its group's statistics, nor the gradient.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from azr_platform.channel.messages import Reward
from azr_platform.config.schema import Config
from azr_platform.rollout.engine import Engine
from azr_platform.trainer.controls import controlled
from azr_platform.trainer.link import Link
from azr_platform.trainer.metrics import step_metrics
from azr_platform.trainer.regimes.base import Buffers, Regime
from azr_platform.trainer.regimes.registry import REGIMES
from azr_platform.trainer.rollouts import Rewarded, Rollout
from azr_platform.trainer.sampling import Sampler
from azr_platform.trainer.update import Updater, UpdateStats


class Loop:
    """Drives the regime that the configuration names, and learns from what it yields."""

    def __init__(
        self, config: Config, engine: Engine, updater: Updater, link: Link, proposer: Engine | None = None
    ) -> None:
        self._engine = engine
        self._updater = updater
        self._link = link
        self._control = config.control
        self._sampler = Sampler(config, engine, link, proposer)
        self.regime: Regime = REGIMES[config.run.regime](config, self._sampler)
        self.settled: Buffers | None = None
        """What the regime kept after the last finished step, and a checkpoint holds, also when a step is cut short;
        None before there is anything to keep."""

    def restore(self, buffers: Buffers) -> None:
        """Put a checkpoint's buffers back.

        Raises:
            NotAllowed: they are not what this regime has kept.
        """
        self.regime.restore(buffers)
        self.settled = self.regime.buffers()

    def begin(self) -> None:
        """What precedes step 1; no gradient."""
        self.regime.begin()
        self.settled = self.regime.buffers()

    def step(self, step: int) -> None:
        """Practise, update, then report. Counts as done when reported."""
        started_at = time.time()
        self._sampler.seconds.clear()
        practice = self.regime.practise(step)
        rewarded = controlled(practice.rewarded, self._control, self._sampler.rng("control"))
        update = self._learn(rewarded, step)
        metrics = step_metrics(
            rollouts=practice.rollouts, rewarded=rewarded, seconds=self._sampler.seconds, update=update
        )
        everything = [rollout for batch in practice.rollouts.values() for rollout in batch]
        rows = _reward_rows(everything, rewarded, update)
        self._link.step_done(started_at, {**metrics, **practice.metrics}, rows)
        self.settled = self.regime.buffers()

    def _learn(self, rewarded: Sequence[Rewarded], step: int) -> UpdateStats | None:
        if not rewarded:
            self._link.notice(f"step {step}: nothing to learn from, every sample was dropped")
            return None
        self._link.at("update")
        with self._sampler.timed("update"):
            self._engine.rest()
            update = self._updater.update(rewarded, step, self._sampler.rng("minibatches"))
            self._engine.refresh()
        return update


def _reward_rows(rollouts: Sequence[Rollout], rewarded: Sequence[Rewarded], update: UpdateStats | None) -> list[Reward]:
    """One row per reviewed sample of the step, also for those that earned nothing."""
    advantages = update.advantages if update is not None else []
    trained = {
        item.rollout.judgement.sample: (item.reward, advantage)
        for item, advantage in zip(rewarded, advantages, strict=True)
    }
    return [
        Reward(sample, *trained[sample], trained=True) if sample in trained else Reward(sample, 0.0, 0.0, trained=False)
        for sample in (rollout.judgement.sample for rollout in rollouts)
    ]
