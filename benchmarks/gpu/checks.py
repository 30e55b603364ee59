"""Correctness on the device: number formats, layouts, chunks, CPU and GPU, checkpoints. All models are random."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from azr_platform.config.schema import ModelConfig, OptimizerConfig, UpdateConfig
from azr_platform.config.shapes import Shape
from azr_platform.rollout.logprobs import Head, log_probs_of
from azr_platform.rollout.scoring import Layout, Pair, token_log_probs
from azr_platform.trainer import checkpoint as checkpoints
from azr_platform.trainer.model import load_policy
from azr_platform.trainer.update import Updater
from common import Row, Where, as_trained, check, embedded_tokenizer, random_model
from learner import batch

SMALL = Shape(4, 512, 8, 2, 64, 1376, 32_000, tied=True, biased=True)


def pairs_of(model: Any, where: Where) -> list[Pair]:
    """A few sequences of very different lengths."""
    rng = random.Random(2)
    longest, words = where.few(1024, 40), model.config.vocab_size

    def tokens() -> list[int]:
        return [rng.randrange(3, words) for _ in range(rng.randrange(longest // 8, longest // 2))]

    return [Pair(tokens(), tokens()) for _ in range(8)]


def forward_and_back(model: Any, pairs: Sequence[Pair], layout: Layout) -> tuple[Tensor, Tensor]:
    """(log-probabilities of the responses, the gradient of their mean and of their entropies', as one vector), both
    on the CPU in float32."""
    model.zero_grad()
    log_probs, entropies = token_log_probs(model, pairs, 1.0, True, layout)
    (log_probs.mean() + 0.01 * entropies.mean()).backward()
    gradient = torch.cat([p.grad.detach().flatten().cpu().float() for p in model.parameters()])
    return log_probs.detach().cpu().float(), gradient


def apart(one: Tensor, other: Tensor) -> float:
    """Norm of the difference over the norm."""
    return float((one - other).norm(dtype=torch.float64) / other.norm(dtype=torch.float64))


def precision(where: Where) -> list[Row]:
    """bfloat16 beside float32: the same weights, rounded."""
    exact = random_model(where.shape("0.5b"), torch.float32, where.device)
    # Not .to(bfloat16): that would round the rotary frequencies, too, which stay float32 where a model is loaded.
    rounded = random_model(where.shape("0.5b"), torch.bfloat16, where.device)
    rounded.load_state_dict(exact.state_dict())
    pairs = pairs_of(exact, where)
    values, gradient = forward_and_back(exact, pairs, Layout())
    rough, rough_gradient = forward_and_back(rounded, pairs, Layout())
    difference = (rough - values).abs()
    norms = rough_gradient.norm(dtype=torch.float64) * gradient.norm(dtype=torch.float64)
    cosine = float((rough_gradient * gradient).sum(dtype=torch.float64) / norms)
    return [
        check("log-probabilities, mean difference (nats)", float(difference.mean()), 0.02),
        check("log-probabilities, largest difference", float(difference.max()), 0.2),
        check("gradient, cosine", cosine, 0.99, least=True),
    ]


def packed(where: Where) -> list[Row]:
    """Sequences behind one another in a row beside rows of their own."""
    model = random_model(where.shape("0.5b"), torch.float32, where.device)
    pairs = pairs_of(model, where)
    padded, gradient = forward_and_back(model, pairs, Layout())
    values, own = forward_and_back(model, pairs, Layout(packed=True))
    rows = [
        check("float32: log-probabilities, largest difference", float((values - padded).abs().max()), 1e-4),
        check("float32: gradient, relative", apart(own, gradient), 1e-3),
    ]
    if where.device == "cuda" and find_spec("flash_attn") is not None:
        flash = random_model(where.shape("0.5b"), torch.bfloat16, where.device, attention="flash_attention_2")
        padded, gradient = forward_and_back(flash, pairs, Layout())
        values, own = forward_and_back(flash, pairs, Layout(packed=True))
        rows += [
            check("flash, bfloat16: log-probabilities, mean difference", float((values - padded).abs().mean()), 0.02),
            check("flash, bfloat16: gradient, relative", apart(own, gradient), 0.1),
        ]
    return rows


def chunked(where: Where) -> list[Row]:
    """Logits in chunks beside all at once, over the real vocabulary."""
    words, width, tokens = where.few(151_936, 2_000), 512, where.few(1024, 64)
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(tokens, width, generator=generator)
    weight = 0.05 * torch.randn(words, width, generator=generator)
    targets = torch.randint(words, (tokens,), generator=generator).to(where.device)
    slopes = torch.randn(2, tokens, generator=generator).to(where.device)
    rows = []
    for dtype, tolerances in ((torch.float32, (1e-5, 1e-5, 1e-4)), (torch.bfloat16, (0.02, 0.02, 0.02))):
        found = []
        for chunk in (0, tokens // 4):
            leaves = [tensor.clone().to(where.device, dtype).requires_grad_() for tensor in (hidden, weight)]
            values, entropies = log_probs_of(
                Head(leaves[1]), leaves[0], targets, temperature=0.9, entropy=True, chunk=chunk
            )
            (values * slopes[0] + entropies * slopes[1]).sum().backward()
            gradient = torch.cat([leaf.grad.detach().flatten().cpu().float() for leaf in leaves])  # type: ignore[union-attr]
            found.append((values.detach().cpu(), entropies.detach().cpu(), gradient))
        plain, parts = found
        name = str(dtype).removeprefix("torch.")
        rows += [
            check(
                f"{name}: log-probabilities, largest difference",
                float((parts[0] - plain[0]).abs().max()),
                tolerances[0],
            ),
            # Of 11 nats, which float32 tells to 1e-6: a sum over all the words.
            check(f"{name}: entropies, relative", float(((parts[1] - plain[1]) / plain[1]).abs().max()), tolerances[1]),
            check(f"{name}: gradient, relative", apart(parts[2], plain[2]), tolerances[2]),
        ]
    return rows


def agreement(where: Where) -> list[Row]:
    """The device in float32 beside the CPU in float64."""
    shape = where.shape("0.5b") if where.tiny else SMALL
    model = random_model(shape, torch.float32, "cpu")
    exact = copy.deepcopy(model).double()
    pairs = pairs_of(model, where)[:4]
    wanted, wanted_gradient = forward_and_back(exact, pairs, Layout(chunk=0))
    values, gradient = forward_and_back(model.to(where.device), pairs, Layout())
    return [
        check("log-probabilities, largest difference", float((values - wanted).abs().max()), 1e-4),
        check("gradient, relative", apart(gradient, wanted_gradient), 1e-3),
    ]


def resume(where: Where) -> list[Row]:
    """Four updates at a stretch; the same again; and two, a checkpoint, a new model and optimizer, and two more."""
    tokenizer = embedded_tokenizer()
    shape = SMALL if not where.tiny else where.shape("0.5b")
    start = random_model(shape, torch.bfloat16, where.device, tokenizer=tokenizer)
    items = batch(start, [(20 + 3 * n, 10 + 5 * n) for n in range(12)])
    update = UpdateConfig(tokens_per_microbatch=512, gradient_checkpointing=True, minibatches=2)
    optimizer = OptimizerConfig(learning_rate=1e-4)

    def trained(model: Any, steps: range, folder: Path | None = None, save_at: int = 0) -> Any:
        updater = Updater(model, optimizer, update, steps=4, temperature=1.0)
        if folder is not None and not save_at:
            checkpoints.load_optimizer(folder, updater.optimizer)
        for step in steps:
            updater.update(items, step, random.Random(step))
            if folder is not None and step == save_at:
                parts = {"model": model, "tokenizer": tokenizer, "optimizer": updater.optimizer, "buffers": {}}
                checkpoints.save(folder, step=step, seed=0, **parts)
        return model

    folder = where.work / "step-000002"
    with as_trained(where.device):
        through = trained(copy.deepcopy(start), range(1, 5), folder, save_at=2)
        again = trained(copy.deepcopy(start), range(1, 5))
        loaded, _ = load_policy(ModelConfig(path=str(folder)), folder)
        resumed = trained(loaded.eval(), range(3, 5), folder)
    moved = largest_difference(through, start)
    noise = largest_difference(through, again)
    note = "bit for bit" if noise == 0.0 else f"twice what the same four updates differ by when done again, {noise:.3g}"
    return [
        check("weights moved by training, largest", moved, 1e-6, least=True),
        check("weights after resuming, largest difference", largest_difference(resumed, through), 2 * noise, note=note),
    ]


def largest_difference(one: Any, other: Any) -> float:
    """Between the weights of two models of one shape."""
    both = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.float() - b.float()).abs().max()) for a, b in both)
