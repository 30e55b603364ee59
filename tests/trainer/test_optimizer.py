"""Float32 copies, 8-bit moments, and that whatever is set, an interrupted run goes on bit for bit."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from azr_platform.config.schema import LoraConfig, ModelConfig, OptimizerConfig, UpdateConfig
from azr_platform.trainer import checkpoint
from azr_platform.trainer.checkpoint import CheckpointBroken, load_lora, load_optimizer
from azr_platform.trainer.lora import add_lora
from azr_platform.trainer.model import load_policy
from azr_platform.trainer.optimizer import Optimizer, OptimizerUnavailable
from azr_platform.trainer.update import Updater

Policy = Callable[..., Any]
Make = Callable[..., list[Any]]

needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft (azr-platform[lora])")
needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs bitsandbytes (azr-platform[lowbit])"
)
lacks_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")

OPTIMIZER: dict[str, Any] = {"learning_rate": 0.01, "epsilon": 1e-3}


def _updater(model: Any, optimizer: dict[str, Any], update: dict[str, Any]) -> Updater:
    settings = UpdateConfig(minibatches=2, **update)
    return Updater(model, OptimizerConfig(**{**OPTIMIZER, **optimizer}), settings, steps=9, temperature=1.0)


def _weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- float32 copies ------------------------------------------------------------------------------------------


def _step(model: Any, optimizer: Optimizer, gradients: dict[str, torch.Tensor]) -> None:
    optimizer.zero_grad()
    loss = sum((p * gradients[name].to(p.dtype)).sum() for name, p in model.named_parameters())
    loss.backward()
    optimizer.step()


def test_small_steps_add_up_in_float32_copies_and_are_lost_without(policy: Policy) -> None:
    gradients = {name: torch.ones_like(p) for name, p in policy().named_parameters()}
    moved = {}
    for kept in (True, False):
        model = policy().bfloat16()
        before = _weights(model)
        config = OptimizerConfig(learning_rate=1e-5, weight_decay=0.0, master_weights=kept)
        optimizer = Optimizer(model, config)
        for _ in range(200):
            _step(model, optimizer, gradients)
        norm = "model.norm.weight"  # ones, where bfloat16's next number below is 0.996
        moved[kept] = (before[norm] - _weights(model)[norm]).float().mean().item()
    assert moved[False] == 0.0
    assert moved[True] == pytest.approx(0.002, abs=0.002)
    assert moved[True] > 0.0


def test_the_copies_are_stepped_as_a_float32_model_s_weights_would_be(policy: Policy) -> None:
    small = policy().bfloat16()
    exact = copy.deepcopy(small).float()
    config = OptimizerConfig(learning_rate=0.003, weight_decay=0.1)
    optimizers = [Optimizer(small, config), Optimizer(exact, config)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        # Numbers that bfloat16 has, so that both get the same gradients.
        gradients = {n: torch.randn(p.shape, generator=generator).bfloat16() for n, p in small.named_parameters()}
        for model, optimizer in zip((small, exact), optimizers, strict=True):
            _step(model, optimizer, gradients)
    state = optimizers[0].state()
    for name, parameter in exact.named_parameters():
        assert torch.equal(state[f"{name}/master"], parameter)
        assert torch.equal(dict(small.named_parameters())[name], parameter.bfloat16())
    assert all(tensor.dtype == torch.float32 for tensor in state.values())


def test_gradients_of_many_microbatches_are_summed_in_float32(policy: Policy) -> None:
    model = policy().bfloat16()
    optimizer = Optimizer(model, OptimizerConfig(grad_clip=1e9))
    weight = model.model.norm.weight
    for _ in range(1000):
        (weight.sum() * 1.0).backward()
    assert float(optimizer.clip()) == pytest.approx(1000 * weight.numel() ** 0.5)  # bfloat16 would stop at 256
    assert weight.grad is None


def test_tied_weights_have_one_copy(policy: Policy, rewarded: Make) -> None:
    model = policy(tie_word_embeddings=True).bfloat16()
    updater = _updater(model, {}, {})
    updater.update(rewarded(model, 8), 1, random.Random(0))
    assert "lm_head.weight/master" not in updater.optimizer.state()
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


# --- 8 bits --------------------------------------------------------------------------------------------------


@lacks_bitsandbytes
def test_8_bit_moments_without_the_library_say_what_to_install(policy: Policy) -> None:
    with pytest.raises(OptimizerUnavailable, match=r"optimizer\.moments.*needs bitsandbytes: install"):
        Optimizer(policy(), OptimizerConfig(moments="8bit"))


@needs_bitsandbytes
@pytest.mark.filterwarnings("ignore")
def test_8_bit_moments_step_much_like_full_ones(policy: Policy, rewarded: Make) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128}  # matrices of under 4,096 numbers keep full moments
    moved = {}
    for moments in ("full", "8bit"):
        model = policy(**sizes)
        before = _weights(model)
        updater = _updater(model, {"moments": moments}, {})
        for step in (1, 2):
            updater.update(rewarded(policy(**sizes), 8, seed=step), step, random.Random(step))
        after = _weights(model)
        moved[moments] = torch.cat([(after[name] - before[name]).flatten() for name in before])
    assert any(key.endswith("/qmap1") for key in updater.optimizer.state())
    assert torch.nn.functional.cosine_similarity(moved["full"], moved["8bit"], dim=0) > 0.9


# --- going on, bit for bit -----------------------------------------------------------------------------------

LORA = LoraConfig(rank=4, alpha=8.0)
OPTIONS = [
    pytest.param("float32", {}, {}, None, id="float32"),
    pytest.param("bfloat16", {}, {}, None, id="bfloat16 with float32 copies"),
    pytest.param("bfloat16", {"master_weights": False}, {}, None, id="bfloat16 alone"),
    pytest.param("bfloat16", {}, {"gradient_checkpointing": True, "packed": True}, None, id="checkpointing, packed"),
    pytest.param("float32", {}, {"mismatch_cap": 2.0, "logits_chunk": 3}, None, id="truncated importance sampling"),
    pytest.param("float32", {}, {}, LORA, id="lora", marks=needs_peft),
    pytest.param("bfloat16", {}, {}, LORA, id="lora in bfloat16", marks=needs_peft),
    pytest.param("bfloat16", {"moments": "8bit"}, {}, None, id="8 bits", marks=needs_bitsandbytes),
    pytest.param("bfloat16", {"moments": "8bit"}, {}, LORA, id="lora, 8 bits", marks=[needs_peft, needs_bitsandbytes]),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("dtype", "optimizer", "update", "lora"), OPTIONS)
def test_a_run_that_was_interrupted_goes_on_bit_for_bit(
    dtype: str,
    optimizer: dict[str, Any],
    update: dict[str, Any],
    lora: LoraConfig | None,
    policy: Policy,
    rewarded: Make,
    tokenizer: Any,
    tmp_path: Path,
) -> None:
    start = tmp_path / "start"
    policy(hidden_size=64, intermediate_size=128).to(getattr(torch, dtype)).save_pretrained(start)
    tokenizer.save_pretrained(start)
    config = ModelConfig(path=str(start), dtype=dtype)  # type: ignore[arg-type]
    items = {step: rewarded(load_policy(config)[0].eval(), 8, seed=step) for step in (1, 2, 3, 4)}

    def begin(folder: Path | None) -> tuple[Any, Updater]:
        model, _ = load_policy(config, None if lora else folder)
        model.eval()
        if lora:
            add_lora(model, lora, seed=5)
            if folder:
                load_lora(folder, model)
        updater = _updater(model, optimizer, update)
        if folder:
            load_optimizer(folder, updater.optimizer)
        return model, updater

    def train(updater: Updater, *steps: int) -> None:
        for step in steps:
            updater.update(items[step], step, random.Random(step))

    whole, uninterrupted = begin(None)
    untrained = _weights(whole)
    train(uninterrupted, 1, 2, 3, 4)
    assert not _same(untrained, _weights(whole))

    first, interrupted = begin(None)
    train(interrupted, 1, 2)
    folder = tmp_path / "step-000002"
    checkpoint.save(
        folder, step=2, seed=0, model=first, tokenizer=tokenizer, optimizer=interrupted.optimizer, buffers={}
    )
    checkpoint.verify(folder)
    second, resumed = begin(folder)
    assert _same(_weights(first), _weights(second))
    assert _same(interrupted.optimizer.state(), resumed.optimizer.state())
    train(resumed, 3, 4)
    assert _same(_weights(whole), _weights(second))
    assert _same(uninterrupted.optimizer.state(), resumed.optimizer.state())


@needs_bitsandbytes
def test_moments_in_another_format_are_refused(policy: Policy, rewarded: Make, tokenizer: Any, tmp_path: Path) -> None:
    model = policy()
    updater = _updater(model, {}, {})
    updater.update(rewarded(model, 8), 1, random.Random(0))
    saved = checkpoint.save(
        tmp_path / "a", step=1, seed=0, model=model, tokenizer=tokenizer, optimizer=updater.optimizer, buffers={}
    )
    with pytest.raises(CheckpointBroken, match=r"another format than optimizer\.moments"):
        load_optimizer(saved.path, _updater(policy(), {"moments": "8bit"}, {}).optimizer)
