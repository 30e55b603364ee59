"""A step that is sampled while the one before is learnt from; and the time in which nothing works."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from azr_platform.channel.messages import Judgement, Problem, Reviewed, Reward, Submission
from azr_platform.config.load import ConfigError, load
from azr_platform.records import Kind, Phase
from azr_platform.rollout.engine import Completion
from azr_platform.rollout.trailing_engine import TrailingEngine, copy_weights
from azr_platform.rollout.transformers_engine import TransformersEngine
from azr_platform.rollout.weights import plain_weights, untied
from azr_platform.trainer import busy
from azr_platform.trainer.beside import check_draws_nothing
from azr_platform.trainer.busy import Busy, Counter
from azr_platform.trainer.loop import Loop
from azr_platform.trainer.model import ModelUnavailable
from azr_platform.trainer.rollouts import Rewarded
from azr_platform.trainer.update import UpdateStats

PATIENCE = 60.0


class Engine:
    """Says what the version of its weights is; a step that it samples is known from then on."""

    def __init__(self) -> None:
        self.version = 0
        self.sampling: dict[int, threading.Event] = {step: threading.Event() for step in range(1, 9)}
        self.asked = 0

    def encode(self, prompt: str) -> list[int]:
        return [1]

    def rest(self) -> None: ...

    def refresh(self) -> None:
        self.version += 1

    def close(self) -> None: ...

    def generate(self, prompts: Sequence[str], *, samples: int, ready: Any, **_: Any) -> list[list[Completion]]:
        self.asked += 1
        self.sampling[self.asked].set()
        said = [Completion([2], [-1.0], "said", finished=True, version=self.version)] * samples
        for place in range(len(prompts)):
            ready(place, said)
        return [said] * len(prompts)


class Updates:
    """Ends the update of a step as soon as the step after it is being sampled, where that is wanted."""

    def __init__(self, engine: Engine, wait: Sequence[int]) -> None:
        self._engine, self._wait = engine, wait
        self.steps: list[int] = []
        self.error: Exception | None = None

    def update(self, rewarded: Sequence[Rewarded], step: int, rng: random.Random) -> UpdateStats:
        if step in self._wait:
            assert self._engine.sampling[step + 1].wait(PATIENCE), "the next step was not sampled meanwhile"
        if self.error is not None:
            raise self.error
        self.steps.append(step)
        return UpdateStats([1.0] * len(rewarded), 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0)


class Link:
    def __init__(self) -> None:
        self.step, self.beside = 0, ""
        self.told: list[tuple[int, str, str]] = []
        self.done: dict[int, dict[str, float]] = {}

    def draw(self) -> list[Problem]:
        return [Problem(task="t", kind=Kind.DEDUCTION, prompt="?")]

    def at(self, where: str) -> None:
        self.told.append((self.step, where, self.beside))

    def on_progress(self, done: int, total: int) -> None: ...
    def safe_point(self, where: str) -> None: ...
    def notice(self, message: str) -> None: ...

    def submit(self, phase: Phase, samples: Sequence[Submission]) -> Any:
        judged = [Judgement(uid=s.uid, sample=n, allowed=True, well_formed=True) for n, s in enumerate(samples, 1)]
        return SimpleNamespace(reviewed=lambda: Reviewed(judgements=judged))

    def step_done(self, seconds: float, metrics: dict[str, float], rewards: list[Reward]) -> None:
        self.done[self.step] = metrics


Parts = tuple[Loop, Link, Engine, Updates]


def parts(*wait: int, staleness: int = 1, behind: bool = False) -> Parts:
    config = load(overrides=["run.regime=rlvr", "problems.samples=2", f"update.staleness={staleness}"])
    engine, link = Engine(), Link()
    updates = Updates(engine, wait)
    return Loop(config, engine, updates, link, behind=behind), link, engine, updates  # type: ignore[arg-type]


def play(loop: Loop, link: Link, steps: range, finish: Sequence[int] = ()) -> None:
    for step in steps:
        link.step = step
        loop.step(step, finish=step in finish)


def ages(link: Link) -> list[float]:
    return [metrics["staleness/max"] for _, metrics in sorted(link.done.items())]


def test_a_step_is_sampled_while_the_one_before_is_learnt_from() -> None:
    loop, link, _, updates = parts(1, 2)  # these updates end only when the next step is being sampled
    play(loop, link, range(1, 4))
    assert (list(link.done), loop.done) == ([1, 2], 2)
    loop.finish()
    loop.close()
    assert (list(link.done), updates.steps, loop.done) == ([1, 2, 3], [1, 2, 3], 3)
    assert ages(link) == [0, 1, 1]


def test_no_sample_is_older_than_one_update_and_after_a_checkpoint_none_is_old() -> None:
    loop, link, engine, _ = parts()
    play(loop, link, range(1, 8), finish=[3, 7])
    loop.close()
    assert ages(link) == [0, 1, 1, 0, 1, 1, 1]
    assert engine.version == 7
    loop, link, _, _ = parts(staleness=0)
    play(loop, link, range(1, 4))
    assert ages(link) == [0, 0, 0]


def test_what_is_told_meanwhile_is_both_and_the_step_each_belongs_to() -> None:
    loop, link, _, _ = parts(1)
    play(loop, link, range(1, 3))
    loop.finish()
    loop.close()
    sampling = [told for told in link.told if told[1] == "solve: sampling"]
    assert sampling == [(1, "solve: sampling", ""), (2, "solve: sampling", "the update of step 1")]
    assert [told for told in link.told if told[1] == "update"] == [(1, "update", ""), (2, "update", "")]
    assert link.beside == ""


def test_a_run_stopped_between_goes_on_with_the_engine_s_older_weights() -> None:
    loop, link, engine, _ = parts(1)
    play(loop, link, range(1, 3))
    loop.finish(renew=False)
    loop.close()
    assert (loop.behind, loop.done, engine.version) == (True, 2, 1)
    loop, link, engine, _ = parts(behind=True)  # its engine was built on the older weights
    play(loop, link, range(3, 5))
    loop.finish()
    loop.close()
    assert ages(link) == [1, 1]
    assert (loop.behind, engine.version) == (False, 3)


def test_what_an_update_raises_comes_out_and_its_step_is_not_on_record() -> None:
    loop, link, _, updates = parts(1)
    play(loop, link, range(1, 2))
    updates.error = ArithmeticError("no number")
    with pytest.raises(ArithmeticError, match="no number"):
        play(loop, link, range(2, 3))
    loop.close()
    assert link.done == {}


def test_nothing_comes_of_an_update_that_a_rollback_leaves_behind() -> None:
    loop, link, engine, _ = parts()
    play(loop, link, range(1, 2))
    loop.close()
    assert (link.done, engine.version, loop.done) == ({}, 0, 0)


# -- the copy --------------------------------------------------------------------------------------------


def test_the_copy_changes_in_a_refresh_alone(policy: Callable[..., Any], tokenizer: Any) -> None:
    model, copy = policy(seed=1), policy(seed=1)

    def engine_of(sampled: Any) -> TransformersEngine:
        return TransformersEngine(sampled, tokenizer, batch=8, max_tokens=8, temperature=1.0)

    engine = TrailingEngine(engine_of(copy), model, copy)
    before = engine.generate(["def f(x):"], samples=4, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert engine.generate(["def f(x):"], samples=4, seed=3) == before
    assert engine.weights().keys() == untied(plain_weights(model)).keys()
    engine.refresh()
    (after,), (own,) = (e.generate(["def f(x):"], samples=4, seed=3) for e in (engine, engine_of(model)))
    assert [c.tokens for c in after] == [c.tokens for c in own] != [c.tokens for c in before[0]]
    assert [c.log_probs for c in after] == [c.log_probs for c in own]
    assert [c.version for c in after] == [1] * 4


def test_the_copy_has_lora_s_additions_in_it(policy: Callable[..., Any]) -> None:
    pytest.importorskip("peft")
    from azr_platform.trainer.lora import add_lora

    model, copy = policy(seed=1), policy(seed=1)
    add_lora(model, load(overrides=["lora.rank=2"]).lora, seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.fill_(0.1)
    tokens = torch.arange(3, 9)[None]
    assert not torch.allclose(copy(tokens).logits, model(tokens).logits, atol=1e-3)
    copy_weights(untied(plain_weights(model)), copy)
    torch.testing.assert_close(copy(tokens).logits, model(tokens).logits, atol=1e-4, rtol=1e-4)


def test_weights_of_another_model_are_refused(policy: Callable[..., Any], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from azr_platform.trainer.checkpoint import CheckpointBroken, load_trailing

    assert not load_trailing(tmp_path, policy())
    save_file(untied(plain_weights(policy(hidden_size=8))), tmp_path / "trailing.safetensors")
    with pytest.raises(CheckpointBroken, match=r"trailing\.safetensors: the weights are another model's"):
        load_trailing(tmp_path, policy())


def test_dropout_is_refused_by_name(policy: Callable[..., Any]) -> None:
    check_draws_nothing(policy().config)
    with pytest.raises(ModelUnavailable, match="set attention_dropout to 0"):
        check_draws_nothing(policy(attention_dropout=0.1).config)


def test_an_engine_that_sleeps_during_the_update_cannot_sample_during_it() -> None:
    with pytest.raises(ConfigError, match=r"set vllm\.sleep = 0"):
        load(overrides=["update.staleness=1", "vllm.sleep=1"])


# -- idle ------------------------------------------------------------------------------------------------


def test_idle_is_the_time_that_no_interval_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([2.0, 5.0, 6.0, 7.0])  # in the order of starts and ends
    monkeypatch.setattr(busy.time, "monotonic", lambda: next(clock))
    work = Busy()
    with work.working(), work.working():  # 2 to 7, and within it 5 to 6
        pass
    assert work.idle(0.0, 10.0) == pytest.approx(0.5)
    assert work.idle(10.0, 12.0) == 1.0
    clock = iter([20.0, 24.0, 26.0, 30.0])
    with work.working():  # 20 to 24
        pass
    with work.working():  # 26 to 30
        pass
    assert work.idle(22.0, 28.0) == pytest.approx(2 / 6)  # cut at both ends
    assert work.idle(28.0, 32.0) == pytest.approx(0.5)  # what reaches into the next is counted there too


def test_every_step_says_how_long_nothing_worked() -> None:
    for staleness in (0, 1):
        loop, link, _, _ = parts(staleness=staleness)
        play(loop, link, range(1, 4))
        loop.finish()
        loop.close()
        assert all(0.0 <= metrics["idle"] <= 1.0 for metrics in link.done.values())


def test_the_counter_s_mean_is_of_what_it_read_since_it_was_asked() -> None:
    percents, read = iter([40.0, 60.0]), threading.Event()

    def reading() -> float:
        for percent in percents:
            return percent
        read.set()
        raise OSError("no counter any more")

    counter = Counter(reading, every=0.0)
    assert read.wait(PATIENCE)
    assert counter.mean() == pytest.approx(0.5)
    assert counter.mean() is None
    counter.close()
