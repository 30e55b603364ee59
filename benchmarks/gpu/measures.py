"""Speed and memory of the learner and of the engines, at the sizes of the presets, with random weights."""

from __future__ import annotations

import gc
import random
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from typing import Any

import torch

from azr_platform.config.load import load
from azr_platform.config.plan import plan
from azr_platform.config.schema import Config, UpdateConfig, VllmConfig
from azr_platform.rollout.transformers_engine import TransformersEngine
from azr_platform.rollout.vllm_engine import VllmEngine
from azr_platform.tasks.prompts import solve_prompt
from azr_platform.trainer.update import Updater
from common import (
    Row,
    Where,
    as_trained,
    embedded_tokenizer,
    lengths,
    measured,
    memory_row,
    of_learning,
    peak,
    peak_tflops,
    random_model,
    seconds_of,
    synchronize,
    useful_operations,
)
from learner import batch, ours, trl
from sampler import Alone
from written import tasks_of

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def preset(where: Where, size: str, *overrides: str) -> Config:
    """A preset's settings; a tiny one's model is a folder with nothing but its shape, so that a plan can read it."""
    small: list[str] = []
    if where.tiny:
        config = random_model(where.shape(size), torch.float32, "meta").config
        config.save_pretrained(where.work / "shape")
        small = [f'model.path="{where.work / "shape"}"', "model.max_prompt_tokens=200", "model.max_response_tokens=100"]
        small += ["update.tokens_per_microbatch=256", "update.logits_chunk=64", "model.batch=8"]
    return load(f"qwen2.5-coder-{size}", overrides=[*small, *overrides])


def learner(where: Where, size: str, *overrides: str) -> list[Row]:
    """Updates with a preset's settings, all in one minibatch: tokens a second, MFU, memory."""
    config = preset(where, size, "update.minibatches=1", *overrides)
    shape = where.shape(size)
    both = lengths(where.few(64, 12), tiny=where.tiny)
    tokens, operations = sum(map(sum, both)), useful_operations(shape, both)
    rows, paddings = [], []
    with peak(where.device) as found:
        model = random_model(shape, DTYPES[config.model.dtype], where.device, attention=config.model.attention)
        items = batch(model, both)
        updater = Updater(model, config.optimizer, config.update, steps=100, temperature=1.0)

        def update() -> None:
            paddings.append(updater.update(items, 1, random.Random(0)).padding)

        known = peak_tflops(where.device)
        for name, deterministic in (("as the trainer does", True), ("kernels that may differ from run to run", False)):
            with as_trained(where.device, deterministic=deterministic):
                spent = seconds_of(update, where.device, where.few(3, 1))
            rates = [tokens / seconds for seconds in spent]
            rows.append(measured(f"update, {name}", rates, "tokens/s", note=f"padding {paddings[-1]:.1%}"))
            if known is not None:
                shares = [100 * operations / seconds / (known[1] * 1e12) for seconds in spent]
                of = f"of {known[1]:g} TFLOP/s ({known[0]}, bfloat16, dense)"
                rows.append(measured(f"MFU, {name}", shares, "%", note=of, digits=1))
    planned = of_learning(plan(config).memory)
    return [*rows, memory_row(found, planned, "state, activations, logits")]


def beside_trl(where: Where) -> list[Row]:
    """TRL's GRPO step and our update on one batch: both bfloat16 throughout, both with gradient checkpointing."""
    warnings.simplefilter("ignore")
    config = preset(where, "0.5b", "update.gradient_checkpointing=true", "optimizer.master_weights=false")
    update = config.update.model_copy(update={"minibatches": 1, "advantage": "reinforce++", "entropy_coefficient": 0.0})
    model = random_model(where.shape("0.5b"), torch.bfloat16, where.device)
    rows = []
    skewed = lengths(where.few(32, 8), tiny=where.tiny, most=1024)  # all logits of 8 longer ones take too much
    equal = [(1000, 800) if not where.tiny else (20, 16)] * len(skewed)
    for name, both in (("skewed lengths", skewed), ("equal lengths", equal)):
        items, tokens = batch(model, both), sum(map(sum, both))
        rates: dict[str, list[float]] = {}
        for whose, make in (("ours", _ours(update, config)), ("TRL", _trl)):
            step = make(model, items)
            rates[whose] = [tokens / seconds for seconds in seconds_of(step, where.device, where.few(3, 1))]
            rows.append(measured(f"{whose}, {name}", rates[whose], "tokens/s"))
            del step
            gc.collect()  # a trainer of TRL's holds itself
        ratios = [own / other for own, other in zip(rates["ours"], rates["TRL"], strict=True)]
        rows.append(measured(f"ours over TRL, {name}", ratios, "times", digits=2))
    return rows


Make = Callable[[Any, Any], Callable[[], None]]


def _ours(update: UpdateConfig, config: Config) -> Make:
    return lambda model, items: ours(model, items, update, config.optimizer)


def _trl(model: Any, items: Any) -> Callable[[], None]:
    return trl(model, items, checkpointing=True)


def rollouts(where: Where, size: str, engine: str) -> list[Row]:
    """Tokens a second of an engine: prompts in the paper's wording, each sampled 8 times, all of one length."""
    response, samples = where.few(256, 8), 8
    config = preset(where, size, f"model.max_response_tokens={response}")
    tokenizer = embedded_tokenizer()
    prompts = [solve_prompt(task, "full") for task in tasks_of(config.model.batch // samples)]
    shared = {"batch": config.model.batch, "max_tokens": response, "temperature": 1.0}
    dtype = DTYPES[config.model.dtype]
    with peak(where.device) as found:
        model = random_model(where.shape(size), dtype, where.device, tokenizer=tokenizer)
        longest = max(len(tokenizer(prompt)["input_ids"]) for prompt in prompts) + 1
        kinds: dict[str, Callable[[], Any]] = {
            "engine": lambda: TransformersEngine(model, tokenizer, **shared),
            "model.generate alone": lambda: Alone(model, tokenizer, **shared),
        }
        if engine == "vllm":
            settings = VllmConfig(gpu_memory_share=0.5, transfer="ipc")
            kinds = {"engine": lambda: VllmEngine(model, tokenizer, **shared, max_prompt=longest, settings=settings)}
        rows = []
        for name, make in kinds.items():
            with closing(make()) as sampling:
                rates = [_rate(sampling, prompts, samples, n, where) for n in range(1 + where.few(2, 1))][1:]
            note = f"{len(prompts)} prompts of at most {longest} tokens x {samples}, {response} tokens each"
            rows.append(measured(name, rates, "tokens/s", note=note))
    if engine == "vllm":
        return rows  # its memory is another process's, and as much as it is given
    sized = config.model.model_copy(update={"max_prompt_tokens": longest})
    memory = plan(config.model_copy(update={"model": sized})).memory
    planned = None if memory is None else memory.weights + memory.kv_cache
    return [*rows, memory_row(found, planned, "weights and cache")]


def _rate(engine: Any, prompts: list[str], samples: int, seed: int, where: Where) -> float:
    """Response tokens a second of one call."""
    synchronize(where.device)
    started = time.perf_counter()
    if isinstance(engine, Alone):
        tokens = engine.tokens(prompts, samples, seed)
    else:
        drawn = engine.generate(prompts, samples=samples, seed=seed)
        tokens = sum(len(completion.tokens) for several in drawn for completion in several)
    synchronize(where.device)
    return tokens / (time.perf_counter() - started)
