"""An update over two real processes against the same update in one."""

from __future__ import annotations

import math
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from azr_platform.config.load import load
from azr_platform.rollout.scoring import Layout, microbatches
from azr_platform.trainer import checkpoint as checkpoints
from azr_platform.trainer.crew import Crew, WorkerDied
from azr_platform.trainer.model import load_policy
from azr_platform.trainer.sharded import Shard, divide
from azr_platform.trainer.update import Item, Minibatch, Updater

TOLERANCE = 1e-6
"""Between sums of float32 numbers in two orders, over a few steps of 0.01."""

COMMON = """
[model]
path = "{path}"
dtype = "{dtype}"
temperature = 0.8

[optimizer]
learning_rate = 0.01
epsilon = 1e-3
grad_clip = 0.5

[parallel]
processes = 2
silence_seconds = 300

[update]
"""

SMALL_PASSES = """
minibatches = 3
mismatch_cap = 1.1
tokens_per_microbatch = 40
logits_chunk = 5
entropy_coefficient = 0.0
gradient_checkpointing = true
"""

SINGLE_PASSES = """
tokens_per_microbatch = 1
logits_chunk = 0
packed = true
"""


class Two:
    """A run whose update two processes share: this one, and a worker that it starts."""

    def __init__(self, run: Path, model: Any, tokenizer: Any, update: str) -> None:
        run.mkdir()
        model.save_pretrained(run / "model")
        tokenizer.save_pretrained(run / "model")
        text = COMMON.format(path=run / "model", dtype=str(model.dtype).removeprefix("torch.")) + update
        (run / "run.toml").write_text(text, "utf-8")
        self.run, self.config = run, load(file=run / "run.toml")
        self.crew = Crew(run, 2, silence=300, last_words=print)
        self.shard = Shard(self.config, 0, self.crew.store, self.crew)

    def together(self, folder: Path | None = None) -> tuple[Updater, Any]:
        """(the updater of both, the whole model), from a checkpoint or the beginning."""
        whole, _ = load_policy(self.config.model, folder)
        return self._continued(self.shard.updater(folder, whole), folder), whole

    def alone(self, folder: Path | None = None) -> tuple[Updater, Any]:
        """The same in one process."""
        config = self.config
        model, _ = load_policy(config.model, folder)
        steps, temperature = config.run.steps, config.model.temperature
        updater = Updater(model, config.optimizer, config.update, steps=steps, temperature=temperature)
        return self._continued(updater, folder), model

    def save(self, name: str, updater: Updater, model: Any) -> Path:
        _, tokenizer = load_policy(self.config.model)
        saved = checkpoints.save(
            self.run / name, step=2, seed=0, model=model, tokenizer=tokenizer, optimizer=updater.optimizer, buffers={}
        )
        checkpoints.verify(saved.path, saved.digest)
        return saved.path

    @staticmethod
    def _continued(updater: Updater, folder: Path | None) -> Updater:
        if folder:
            checkpoints.load_optimizer(folder, updater.optimizer)
        return updater


@pytest.fixture(scope="module")
def two(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    policy: Callable[..., Any],
    tokenizer: Any,
) -> Iterator[Two]:
    """In float32 a Llama with tied embeddings, in bfloat16 a Qwen2, which has biases."""
    if request.param == "float32":
        model, update = policy(tie_word_embeddings=True), SMALL_PASSES
    else:
        shape = policy().config
        names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        settings = {name: getattr(shape, name) for name in (*names, "num_key_value_heads", "max_position_embeddings")}
        model = Qwen2ForCausalLM(Qwen2Config(**settings, initializer_range=0.2)).to(torch.bfloat16)
        update = SINGLE_PASSES
    made = Two(tmp_path_factory.mktemp("two") / "run", model, tokenizer, update)
    try:
        yield made
        made.shard.close()
    finally:
        made.crew.close()


in_float32 = pytest.mark.parametrize("two", ["float32"], indirect=True)
in_bfloat16 = pytest.mark.parametrize("two", ["bfloat16"], indirect=True)


def _apart(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name].detach() - b[name].detach()).abs().max()) for name in a)


def _same(one: Updater, both: Updater, model: Any, whole: Any) -> None:
    assert _apart(dict(model.named_parameters()), dict(whole.named_parameters())) < TOLERANCE
    assert _apart(one.optimizer.state(), both.optimizer.state()) < TOLERANCE


@pytest.mark.slow
@in_float32
def test_two_processes_learn_what_one_learns(two: Two, rewarded: Callable[..., Any]) -> None:
    """Uneven shares among them: 15 sequences of different lengths, 5 to a minibatch, without those that are idle."""
    (one, model), (both, whole) = two.alone(), two.together()
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for step in (1, 2):
        items = rewarded(load_policy(two.config.model)[0], 15, seed=step, temperature=0.8)
        mine, ours = (updater.update(items, step, random.Random(step)) for updater in (one, both))
        assert ours.advantages == mine.advantages
        for name in set(mine.__struct_fields__) - {"advantages", "padding"}:
            assert getattr(ours, name) == pytest.approx(getattr(mine, name), rel=1e-5, abs=1e-6), name
        assert ours.padding <= two.config.update.max_padding
    _same(one, both, model, whole)
    assert _apart(start, dict(whole.named_parameters())) > 0.01
    parts = dict(both._model.named_parameters())
    assert all(
        part.to_local().numel() <= whole_part.numel() / 2 + whole_part[0].numel()
        for part, whole_part in zip(parts.values(), whole.parameters(), strict=True)
    )


@pytest.mark.slow
@in_float32
def test_a_process_may_have_nothing_to_learn_from(two: Two, rewarded: Callable[..., Any]) -> None:
    (one, model), (both, whole) = two.alone(), two.together()
    for step, count, same in ((1, 2, False), (2, 3, True)):  # with all rewards alike nobody has anything
        items = [replace(item, reward=0.5 if same else 1.0 - n) for n, item in enumerate(rewarded(model, count))]
        if not same:  # one of two has no advantage in its group of one; make them one group
            items = [
                replace(item, rollout=replace(item.rollout, submission=items[0].rollout.submission)) for item in items
            ]
        mine, ours = (updater.update(items, step, random.Random(step)) for updater in (one, both))
        assert (ours.loss, ours.grad_norm) == pytest.approx((mine.loss, mine.grad_norm), rel=1e-5)
        assert (ours.grad_norm > 0.0) is not same
    _same(one, both, model, whole)


@pytest.mark.slow
@in_float32
def test_a_gradient_that_is_no_number_in_one_process_moves_nothing_in_any(
    two: Two, rewarded: Callable[..., Any]
) -> None:
    (one, model), (both, whole) = two.alone(), two.together()
    for step in (1, 2):
        items = rewarded(load_policy(two.config.model)[0], 15, seed=step, temperature=0.8)
        if step == 1:
            old = items[4].rollout.completion
            completion = msgspec.structs.replace(old, log_probs=[math.nan] * len(old.tokens))
            items[4] = replace(items[4], rollout=replace(items[4].rollout, completion=completion))
        mine, ours = (updater.update(items, step, random.Random(step)) for updater in (one, both))
        assert mine.skipped == ours.skipped == (1 if step == 1 else 0)
        assert math.isnan(mine.grad_norm) == math.isnan(ours.grad_norm) == (step == 1)
    _same(one, both, model, whole)


@pytest.mark.slow
@in_float32
def test_a_run_goes_on_with_another_number_of_processes(two: Two, rewarded: Callable[..., Any]) -> None:
    (one, model), (both, whole) = two.alone(), two.together()
    items = [rewarded(load_policy(two.config.model)[0], 12, seed=step, temperature=0.8) for step in (1, 2)]
    for updater in (one, both):
        updater.update(items[0], 1, random.Random(1))
    by_one, by_two = two.save("by-one", one, model), two.save("by-two", both, whole)
    (one, model), (both, whole) = two.alone(by_two), two.together(by_one)
    assert next(iter(both.optimizer.state().values())).device.type == "cpu"
    for updater in (one, both):
        updater.update(items[1], 2, random.Random(2))
    _same(one, both, model, whole)
    plain = AutoModelForCausalLM.from_pretrained(by_two, dtype=torch.float32)
    assert {name for name, _ in plain.named_parameters()} == {name for name, _ in model.named_parameters()}


def test_shares_are_alike_in_tokens_and_equal_in_passes() -> None:
    rng = random.Random(0)
    layout = Layout(tokens=60, max_padding=0.2)
    for count in (1, 2, 3, 5):
        batches = []
        for size in (0, 1, 4, 40):
            items = [Item([1] * rng.randint(1, 30), [n], [0.0], 1.0, 0.5) for n in range(size)]
            batches.append(Minibatch(items, first=size == 1))
        shares = divide(batches, count, layout)
        assert len(shares) == count
        for number, batch in enumerate(batches):
            parts = [share[number] for share in shares]
            assert sorted(item.response[0] for part in parts for item in part.items) == list(range(len(batch.items)))
            tokens = [sum(item.pair.length for item in part.items) for part in parts]
            assert max(tokens) - min(tokens) <= 31
            passes = [sum(1 for _ in microbatches([item.pair for item in part.items], layout)) for part in parts]
            assert {part.rounds for part in parts} == {max(passes)}
            assert {part.first for part in parts} == {batch.first}


@pytest.mark.slow
@in_float32
def test_they_listen_to_this_machine_alone(two: Two) -> None:
    sockets = set()
    for pid in (os.getpid(), *two.crew.pids):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(descriptor.readlink()))
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]
    assert len(listening) >= 2
    assert set(listening) == {"0100007F"}  # 127.0.0.1


@pytest.mark.slow
@in_bfloat16
def test_the_parts_are_the_float32_copies_of_bfloat16_weights(two: Two, rewarded: Callable[..., Any]) -> None:
    """A sequence to a pass, so that both round the same products; sums of gradients are float32 in both."""
    (one, model), (both, whole) = two.alone(), two.together()
    items = rewarded(model, 8, temperature=0.8)
    for updater in (one, both):
        updater.update(items, 1, random.Random(1))
    assert whole.dtype == torch.bfloat16
    assert _apart(one.optimizer.state(), both.optimizer.state()) < TOLERANCE
    assert sum(name.endswith("/master") for name in both.optimizer.state()) == len(list(whole.parameters()))
    folder = two.save("step", both, whole)
    saved = load_file(folder / "optimizer.safetensors")
    for updater, _ in (two.alone(folder), two.together(folder)):
        assert _apart(updater.optimizer.state(), saved) == 0.0


@pytest.mark.slow
@in_bfloat16
def test_a_worker_killed_in_the_middle_of_an_update_is_named(two: Two, rewarded: Callable[..., Any]) -> None:
    both, whole = two.together()
    items = rewarded(whole, 8, temperature=0.8)
    (worker,) = two.crew.pids
    os.kill(worker, signal.SIGSTOP)  # so that this process waits for it, whenever it is killed
    timer = threading.Timer(1.0, os.kill, (worker, signal.SIGKILL))
    timer.start()
    with pytest.raises(WorkerDied, match=r"process of rank 1 was killed \(signal 9\)"):
        both.update(items, 1, random.Random(1))
    timer.join()
