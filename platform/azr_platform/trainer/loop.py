"""One step of training under supervision, whatever the regime.

```
regime: sample ─► review ─► reward   (once or several times a step)
                              └─► advantages ─► one clipped update ─► metrics and rewards on record
```
Whatever the supervisor did not allow never reaches the update: not its group's statistics, nor the gradient.

With ``update.staleness = 1`` the update runs beside the next step's samples, which are of the weights before it:

```
sample 1 │ sample 2   │ sample 3   │          a step is on record when its update has ended, and the engine gets
         │ update 1 ──│ update 2 ──│ update 3 the new weights when neither of them runs
```
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from azr_platform.buffers.buffer import Entry
from azr_platform.channel.messages import Changes, Reward
from azr_platform.config.schema import Config
from azr_platform.rollout.engine import Engine
from azr_platform.trainer.beside import Beside
from azr_platform.trainer.busy import gpu_memory, nvidia_counter
from azr_platform.trainer.controls import controlled
from azr_platform.trainer.health import key_of
from azr_platform.trainer.link import Link
from azr_platform.trainer.metrics import staleness_metrics, step_metrics
from azr_platform.trainer.probes import RightAnswer
from azr_platform.trainer.regimes.base import Buffers, Practice, Regime
from azr_platform.trainer.regimes.registry import REGIMES
from azr_platform.trainer.rollouts import Rewarded, Rollout
from azr_platform.trainer.sampling import Sampler
from azr_platform.trainer.update import Updater, UpdateStats


@dataclass(frozen=True)
class _Lesson:
    """A step whose samples are there and whose update has begun."""

    step: int
    practice: Practice
    rewarded: Sequence[Rewarded]
    seconds: dict[str, float]
    staleness: Mapping[str, float]
    probed: dict[str, float]
    buffers: Buffers
    """The regime's, when the step was sampled."""
    result: Callable[[], UpdateStats | None]


class Loop:
    """Drives the regime that the configuration names, and learns from what it yields."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        updater: Updater,
        link: Link,
        proposer: Engine | None = None,
        *,
        behind: bool = False,
        changes: Changes | None = None,
        likelihood: Callable[[Sequence[RightAnswer]], dict[str, float]] | None = None,
    ) -> None:
        """``behind``: the engine has the weights from before the learner's newest update. ``changes``: what the branch
        does otherwise than the configuration says. ``likelihood`` of given answers under the learner."""
        self._engine = engine
        self._likelihood = likelihood
        self._updater = updater
        self._link = link
        self._control = config.control
        self._changes = changes or Changes()
        self._sampler = Sampler(config, engine, link, proposer, seed=self._changes.seed)
        self._beside = Beside() if config.update.staleness else None
        self._counter = nvidia_counter()
        self._lesson: _Lesson | None = None
        self._version = int(behind)  # updates of the learner, counted as the engine counts its refreshes
        self.behind = behind
        """Whether the engine has the weights from before the newest update."""
        self._since = time.monotonic()
        self.regime: Regime = REGIMES[config.run.regime](config, self._sampler)
        self.settled: Buffers | None = None
        """What the regime kept after the last finished step, and a checkpoint holds, also when a step is cut short;
        None before there is anything to keep."""
        self.done = 0
        """The last finished step."""

    def restore(self, buffers: Buffers) -> None:
        """Put a checkpoint's buffers back, without what is in quarantine.

        Raises:
            NotAllowed: they are not what this regime has kept.
        """
        self.regime.restore({kind: self._free(entries) for kind, entries in buffers.items()})
        self.settled = self.regime.buffers()

    def _free(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if not (self._changes.tasks or self._changes.programs):
            return entries
        return [entry for entry in entries if not self._changes.bars(entry.task.id, key_of(entry.task.program))]

    def begin(self) -> None:
        """What precedes step 1; no gradient."""
        self.regime.begin()
        self.settled = self.regime.buffers()

    def step(self, step: int, *, finish: bool = True) -> None:
        """Practise, update, then report. Counts as done when reported.

        Without ``finish`` and with ``update.staleness = 1`` the update may still run when this returns; it ends, and is
        reported, in the next step or in ``finish``.
        """
        if self._lesson is None:
            self._since = time.monotonic()
        self._sampler.seconds.clear()
        practice = self.regime.practise(step)
        rewarded = controlled(practice.rewarded, self._control, self._sampler.rng("control"))
        seconds, buffers = dict(self._sampler.seconds), self.regime.buffers()
        self.finish()
        if self.behind:  # a run that was stopped while its engine was
            self._renew()
        self._link.step = step
        stale = staleness_metrics(rewarded, self._version)
        probed: dict[str, float] = {}
        result = self._learn(rewarded, step, seconds, practice.right, probed)
        self._lesson = _Lesson(step, practice, rewarded, seconds, stale, probed, buffers, result)
        if finish or self._beside is None:
            self.finish()

    def finish(self, *, renew: bool = True) -> None:
        """Wait for the update that runs, if one does, and report its step. ``renew`` the engine after it, too."""
        if (lesson := self._lesson) is None:
            return
        self._link.step = lesson.step
        self._link.beside, self._lesson = "", None
        if lesson.rewarded:
            self._link.at("update")
        update = lesson.result()
        if update is not None:
            self._version += 1
            self.behind = True
            if renew:
                lesson.seconds["update"] += self._renew()
        practice = lesson.practice
        metrics = step_metrics(
            rollouts=practice.rollouts, rewarded=lesson.rewarded, seconds=lesson.seconds, update=update
        )
        everything = [rollout for batch in practice.rollouts.values() for rollout in batch]
        rows = _reward_rows(everything, lesson.rewarded, update)
        now = time.monotonic()
        metrics["idle"] = self._sampler.busy.idle(self._since, now)
        if self._counter is not None and (share := self._counter.mean()) is not None:
            metrics["gpu/utilization"] = share
        if (held := gpu_memory()) is not None:
            metrics["gpu/memory"] = held
        told = {**metrics, **lesson.staleness, **practice.metrics, **lesson.probed}
        self._link.step_done(now - self._since, told, rows)
        self._since = time.monotonic()
        self.settled, self.done = lesson.buffers, lesson.step

    def close(self) -> None:
        """Wait for an update that runs; nothing comes of it."""
        if self._beside is not None:
            self._beside.close()
        if self._counter is not None:
            self._counter.close()

    def _learn(
        self,
        rewarded: Sequence[Rewarded],
        step: int,
        seconds: dict[str, float],
        right: Sequence[RightAnswer],
        probed: dict[str, float],
    ) -> Callable[[], UpdateStats | None]:
        """Begin the update, if there is one; what comes back waits for it, and then ``probed`` has how likely the
        ``right`` answers were."""
        if not rewarded:
            self._link.notice(f"step {step}: nothing to learn from, every sample was dropped")
            return lambda: None
        rng = self._sampler.rng("minibatches")

        def update() -> UpdateStats:
            started = time.monotonic()
            try:
                with self._sampler.busy.working():
                    self._engine.rest()
                    if right and self._likelihood is not None:
                        probed.update(self._likelihood(right))
                    return self._updater.update(rewarded, step, rng)
            finally:
                seconds["update"] = time.monotonic() - started
                self._link.beside = ""

        if self._beside is None:
            return update
        self._link.beside = f"the update of step {step}"
        return self._beside.start(update)

    def _renew(self) -> float:
        """Give the engine the learner's weights; how long that took."""
        started = time.monotonic()
        with self._sampler.busy.working():
            self._engine.refresh()
        self.behind = False
        return time.monotonic() - started


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
