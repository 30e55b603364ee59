"""Wires the parts of one trainer together and drives them from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr_platform.channel.messages import Changes, Welcome
from azr_platform.config.load import load
from azr_platform.rollout.scoring import Layout
from azr_platform.rollout.trailing_engine import TrailingEngine, copy_weights
from azr_platform.rollout.weights import plain_weights, untied
from azr_platform.trainer import checkpoint as checkpoints
from azr_platform.trainer.beside import check_draws_nothing
from azr_platform.trainer.crew import Crew
from azr_platform.trainer.link import HaltRequested, Link, RollBackRequested
from azr_platform.trainer.loop import Loop
from azr_platform.trainer.lora import add_lora
from azr_platform.trainer.model import build_engine, load_policy, settle_torch
from azr_platform.trainer.probes import Likelihood
from azr_platform.trainer.update import Updater

if TYPE_CHECKING:
    from azr_platform.trainer.sharded import Shard

CHECKPOINTS = "checkpoints"


class Session:
    """One trainer process's work on one run."""

    def __init__(self, run: Path, link: Link) -> None:
        self._run = run
        self._link = link
        self._config = load(file=run / "run.toml")
        self._branch, self._changes = 1, Changes()
        self._shard: Shard | None = None

    def run(self, welcome: Welcome) -> None:
        """Train until the last step or an order to halt; a rollback starts over from its checkpoint.

        Raises:
            ModelUnavailable, LoraUnavailable, OptimizerUnavailable, CheckpointBroken, ParallelUnavailable, WorkerDied:
            the run cannot go on like this.
        """
        settle_torch(self._config.run)
        self._branch, self._changes, checkpoint = welcome.branch, welcome.changes, welcome.checkpoint
        with self._others() as self._shard:
            while True:
                try:
                    self._train_from(checkpoint)
                    return
                except RollBackRequested as request:
                    order = request.order
                    self._branch, self._changes, checkpoint = order.branch, order.changes, order.checkpoint

    @contextmanager
    def _others(self) -> Iterator[Shard | None]:
        """The processes that share the update, from now to the end; None where there is but this one."""
        parallel = self._config.parallel
        if parallel.processes == 1:
            yield None
            return
        from azr_platform.trainer.sharded import Shard  # a second to import

        self._link.at("starting its other processes")
        crew = Crew(self._run, parallel.processes, silence=parallel.silence_seconds, last_words=self._link.notice)
        with closing(crew):
            shard = Shard(self._config, 0, crew.store, crew)
            yield shard
            shard.close()  # but not after an error: it may wait for one that is gone

    def _train_from(self, checkpoint: str) -> None:
        config, link = self._config, self._link
        link.at("loading the model")
        folder = self._run / checkpoint if checkpoint else None
        done = checkpoints.verify(folder).step if folder else 0
        # Under LoRA the weights are those of the beginning, and a checkpoint's additions come on top.
        start = None if config.lora.rank else folder
        # Whole beside the parts that train, the model is there to be sampled from and saved; vLLM has a copy itself.
        apart = self._shard is not None and config.model.engine == "vllm"
        model, tokenizer = load_policy(config.model, start, "cpu" if apart else None)
        model.eval()
        copy = deepcopy(model) if config.update.staleness else None
        if config.lora.rank:
            add_lora(model, config.lora, config.run.seed)
            if folder:
                checkpoints.load_lora(folder, model)
        if self._shard is not None:
            updater = self._shard.updater(folder, model)
        else:
            updater = Updater(
                model, config.optimizer, config.update, steps=config.run.steps, temperature=config.model.temperature
            )
        proposer = None
        if config.control.proposer == "frozen":
            proposer = build_engine(config.model, *load_policy(config.model))
        link.at("starting the engine")
        behind = False
        if copy is not None:
            check_draws_nothing(model.config)
            copy_weights(untied(plain_weights(model)), copy)  # with LoRA's additions in them
            behind = folder is not None and checkpoints.load_trailing(folder, copy)
        engine = build_engine(
            config.model, model if copy is None else copy, tokenizer, config.vllm, self._run / "logs" / "vllm.log"
        )
        trailing = TrailingEngine(engine, model, copy) if copy is not None else None
        with closing(engine):
            likelihood = None
            if config.probes.every and self._shard is None:
                layout = Layout(config.update.tokens_per_microbatch, chunk=config.update.logits_chunk)
                likelihood = Likelihood(model, tokenizer, engine.encode, layout)
            elif config.probes.every:
                link.notice("probes: right answers are not scored where several processes share the update")
            loop = Loop(
                config,
                trailing or engine,
                updater,
                link,
                proposer,
                behind=behind,
                changes=self._changes,
                likelihood=likelihood,
            )
            with closing(loop):
                self._train(done, folder, model, tokenizer, updater, loop, trailing)

    def _train(
        self,
        done: int,
        folder: Path | None,
        model: Any,
        tokenizer: Any,
        updater: Updater,
        loop: Loop,
        trailing: TrailingEngine | None,
    ) -> None:
        config, link = self._config, self._link
        link.step = loop.done = done
        if folder:
            checkpoints.load_optimizer(folder, updater.optimizer)
            loop.restore(checkpoints.load_buffers(folder))
        seed = config.run.seed if self._changes.seed is None else self._changes.seed
        saver = _Saver(self._run, self._branch, loop, model, tokenizer, updater, link, seed, done, trailing)
        try:
            if not folder:
                loop.begin()
                saver.save(0)
            for step in range(done + 1, config.run.steps + 1):
                link.safe_point("between steps")
                link.step = step
                saves = step % config.run.checkpoint_every == 0 or step == config.run.steps
                loop.step(step, finish=saves)
                if saves:
                    saver.save(step)
            link.safe_point("after the last step")
            link.finished()
        except HaltRequested as request:
            # An update that runs beside is of a step whose samples are all reviewed, and is made whole. Otherwise the
            # weights are still those of the last finished step mid-step, and so is what the loop has settled.
            loop.finish(renew=False)
            if request.save and loop.settled is not None and saver.last != loop.done:
                link.step = loop.done
                saver.save(loop.done, patient=False)


class _Saver:
    """Writes a step's checkpoint and reports it."""

    def __init__(
        self,
        run: Path,
        branch: int,
        loop: Loop,
        model: Any,
        tokenizer: Any,
        updater: Updater,
        link: Link,
        seed: int,
        loaded: int,
        trailing: TrailingEngine | None,
    ) -> None:
        self._run, self._branch, self._loop = run, branch, loop
        self._model, self._tokenizer, self._updater = model, tokenizer, updater
        self._link, self._seed, self._trailing = link, seed, trailing
        self.last = loaded if loop.settled is not None else -1
        self._size = 0

    def save(self, step: int, *, patient: bool = True) -> None:
        """Write it as soon as the disk takes it; where that fails, the supervisor pauses the run until told to go on.

        Raises:
            CheckpointUnwritten: the disk did not take it, and nobody waits any more (``patient`` is false).
            HaltRequested, RollBackRequested: see Link.safe_point.
        """
        trouble = ""
        while True:
            if patient:
                self._link.safe_point("before a checkpoint", writes=self._room(), trouble=trouble)
            self._link.at("checkpoint")
            try:
                saved = self._write(step)
                break
            except checkpoints.CheckpointUnwritten as error:
                if not patient:
                    raise
                trouble = str(error)[:1000]
        self.last, self._size = step, checkpoints.size(saved.path)
        self._link.saved(str(saved.path.relative_to(self._run)), saved.digest)

    def _room(self) -> int:
        """Bytes that the next checkpoint takes, about: the first ones have no moments yet."""
        weights = sum(parameter.numel() * parameter.element_size() for parameter in self._model.parameters())
        copies = 2 if self._trailing is not None and self._loop.behind else 1
        return int(max(self._size, copies * weights + self._updater.optimizer.room()))

    def _write(self, step: int) -> checkpoints.Saved:
        assert self._loop.settled is not None
        return checkpoints.save(
            self._run / CHECKPOINTS / checkpoints.folder_name(step, self._branch),
            step=step,
            seed=self._seed,
            model=self._model,
            tokenizer=self._tokenizer,
            optimizer=self._updater.optimizer,
            buffers=self._loop.settled,
            trailing=self._trailing.weights() if self._trailing is not None and self._loop.behind else None,
        )
