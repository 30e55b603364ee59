"""LoRA: what it leaves alone, and that others see ordinary weights with the additions in them."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from azr_platform.config.schema import LoraConfig, OptimizerConfig, UpdateConfig
from azr_platform.rollout.scoring import Pair, score
from azr_platform.rollout.static_engine import StaticEngine
from azr_platform.rollout.weights import plain_weights
from azr_platform.trainer import checkpoint
from azr_platform.trainer.checkpoint import CheckpointBroken, load_lora
from azr_platform.trainer.lora import LoraUnavailable, add_lora, additions
from azr_platform.trainer.update import Updater

Policy = Callable[..., Any]
Make = Callable[..., list[Any]]

needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft (azr-platform[lora])")
TOKENS = torch.tensor([[1, 40, 50, 60, 70]])


@pytest.fixture
def trained(policy: Policy, rewarded: Make) -> Any:
    """A policy whose additions are no longer zero."""
    model = policy()
    add_lora(model, LoraConfig(rank=3, alpha=6.0), seed=1)
    updater = Updater(model, OptimizerConfig(learning_rate=0.05), UpdateConfig(), steps=2, temperature=1.0)
    updater.update(rewarded(model, 12), 1, random.Random(0))
    return model


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    updater = Updater(model, OptimizerConfig(), UpdateConfig(), steps=2, temperature=1.0)
    return checkpoint.save(
        folder, step=1, seed=0, model=model, tokenizer=tokenizer, optimizer=updater.optimizer, buffers={}
    ).path


@pytest.mark.skipif(find_spec("peft") is not None, reason="peft is installed")
def test_without_the_library_it_says_what_to_install(policy: Policy) -> None:
    with pytest.raises(LoraUnavailable, match=r"lora\.rank = 8 needs peft: install azr-platform\[lora\]"):
        add_lora(policy(), LoraConfig(rank=8), seed=0)


@needs_peft
def test_a_new_addition_changes_nothing_and_alone_trains(policy: Policy) -> None:
    model, bare = policy().bfloat16(), policy().bfloat16()
    add_lora(model, LoraConfig(rank=3), seed=1)
    with torch.no_grad():
        assert torch.equal(model(TOKENS).logits, bare(TOKENS).logits)
    training = {name for name, p in model.named_parameters() if p.requires_grad}
    assert training == set(additions(model))
    assert len(training) == 2 * 2 * 7  # two factors, two layers, seven matrices
    assert all(p.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
    plain, own = plain_weights(model), bare.state_dict()
    assert plain.keys() == own.keys()
    assert all(torch.equal(plain[name], own[name]) for name in own)


@needs_peft
def test_the_seed_decides_the_factors(policy: Policy) -> None:
    models = [policy() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        add_lora(model, LoraConfig(rank=3, targets="attention"), seed)
    factors = [additions(model) for model in models]
    assert len(factors[0]) == 2 * 2 * 4
    assert all(torch.equal(factors[0][name], factors[1][name]) for name in factors[0])
    assert not all(torch.equal(factors[0][name], factors[2][name]) for name in factors[0])


@needs_peft
def test_training_moves_the_additions_and_nothing_else(policy: Policy, trained: Any) -> None:
    own, plain = policy().state_dict(), plain_weights(trained)
    changed = {name for name in own if not torch.equal(own[name], plain[name])}
    assert changed == {name for name in own if "_proj" in name}
    base = {name: p for name, p in trained.named_parameters() if ".lora_" not in name}
    assert all(torch.equal(p, own[name.replace(".base_layer", "")]) for name, p in base.items())


@needs_peft
def test_the_sampler_that_copies_weights_has_the_additions_in_them(trained: Any, tokenizer: Any) -> None:
    engine = StaticEngine(trained, tokenizer, batch=8, max_tokens=12, temperature=1.0)
    for prompt, (completion, *_) in zip(("a", "bc"), engine.generate(["a", "bc"], samples=2, seed=0), strict=True):
        (expected,) = score(trained, [Pair(engine.encode(prompt), completion.tokens)], 1.0)
        assert completion.log_probs == pytest.approx(expected, abs=1e-4)


@needs_peft
def test_a_checkpoint_is_an_ordinary_model_to_others(trained: Any, tokenizer: Any, tmp_path: Path) -> None:
    folder = _save(trained, tokenizer, tmp_path / "step")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert not any("lora" in name for name, _ in model.named_parameters())
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS).logits, trained(TOKENS).logits, rtol=1e-4, atol=1e-4)


@needs_peft
def test_additions_go_on_top_of_the_weights_they_were_trained_with_alone(
    policy: Policy, trained: Any, tokenizer: Any, tmp_path: Path
) -> None:
    folder = _save(trained, tokenizer, tmp_path / "step")
    same, other, wider, bare = policy(), policy(seed=9), policy(), _save(policy(), tokenizer, tmp_path / "bare")
    for model, rank in ((same, 3), (other, 3), (wider, 5)):
        add_lora(model, LoraConfig(rank=rank, alpha=6.0), seed=1)
    load_lora(folder, same)
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), trained.parameters(), strict=True))
    with pytest.raises(CheckpointBroken, match="other weights than when the run began"):
        load_lora(folder, other)
    with pytest.raises(CheckpointBroken, match="another rank"):
        load_lora(folder, wider)
    with pytest.raises(CheckpointBroken, match="no readable lora"):
        load_lora(bare, same)


@needs_peft
def test_layers_that_are_not_there_are_named(policy: Policy) -> None:
    model = policy()
    for layer in model.model.layers:
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            delattr(layer.self_attn, name)
    with pytest.raises(LoraUnavailable, match=r"lora\.targets = 'attention'"):
        add_lora(model, LoraConfig(rank=3, targets="attention"), seed=0)
