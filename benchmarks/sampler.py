"""Tokens a second of our sampler over the library's: python benchmarks/sampler.py --help

The embedded model answers a batch of its own held-out tasks with the static engine, with model.generate behind the
transformers engine (whose log-probabilities cost it another pass, which is counted) and with model.generate alone.
Rounds are interleaved; ratios are of CPU time within a round, quartiles over the rounds. Run with OMP_NUM_THREADS=1
for one thread. vLLM is measured where it can be imported (make test-vllm; .venv-vllm/bin/python benchmarks/sampler.py
--random), with the CPU time of its process; it cannot sample the embedded model, whose heads have 24 numbers, so that
takes --random: a Llama of 4.5 M random weights with heads of 32, which rarely ends a response before the cap.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from azr_platform.config.load import load
from azr_platform.config.schema import VllmConfig
from azr_platform.nano.heldout import held_out_tasks
from azr_platform.rollout.static_engine import StaticEngine
from azr_platform.rollout.transformers_engine import TransformersEngine
from azr_platform.rollout.vllm_engine import VllmEngine
from azr_platform.tasks.prompts import solve_prompt
from azr_platform.trainer.model import load_policy


class Alone(TransformersEngine):
    """model.generate and nothing more: no log-probabilities."""

    def tokens(self, prompts: list[str], samples: int, seed: int) -> int:
        encoded = [self.encode(prompt) for prompt in prompts]
        with torch.no_grad():
            return sum(len(row) for rows in self._sample(encoded, samples, seed) for row in rows)


def random_model(tokenizer: Any) -> Any:
    """Llama's architecture; nothing is learnt, so nothing about its speed depends on what it says."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 5, "num_attention_heads": 8}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, bos_token_id=1, eos_token_id=2, **sizes)
    )


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--random", action="store_true", help="a random model that vLLM can sample, too")
    chosen = parser.parse_args()
    config = load(preset="nano").model
    model, tokenizer = load_policy(config)
    if chosen.random:
        model = random_model(tokenizer)
    model.eval()
    settings = {
        "batch": chosen.prompts * chosen.samples,
        "max_tokens": config.max_response_tokens,
        "temperature": config.temperature,
    }
    prompts = [
        solve_prompt(task, "compact")
        for task in held_out_tasks()[:: len(held_out_tasks()) // chosen.prompts][: chosen.prompts]
    ]
    alone = Alone(model, tokenizer, **settings)
    engines: dict[str, Any] = {
        kind.__name__: kind(model, tokenizer, **settings) for kind in (StaticEngine, TransformersEngine)
    }

    pids: dict[str, int] = {}
    if chosen.random and find_spec("vllm") is not None:
        vllm = VllmEngine(
            model,
            tokenizer,
            **settings,
            max_prompt=config.max_prompt_tokens,
            settings=VllmConfig(cache_mb=1024, enforce_eager=True),
        )
        engines["VllmEngine"], pids["VllmEngine"] = vllm, vllm.pid

    def through(engine: Any) -> Callable[[int], int]:
        def sample(seed: int) -> int:
            drawn = engine.generate(prompts, samples=chosen.samples, seed=seed)
            return sum(len(completion.tokens) for several in drawn for completion in several)

        return sample

    arms = {name: through(engine) for name, engine in engines.items()}
    arms["model.generate"] = lambda seed: alone.tokens(prompts, chosen.samples, seed)
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(chosen.rounds + 1):
        for name, sample in arms.items():
            others = [pids[name]] if name in pids else []
            started = time.process_time() + sum(map(cpu_seconds, others))
            tokens = sample(number)
            if number:  # the first round warms up
                spent = time.process_time() + sum(map(cpu_seconds, others)) - started
                rates[name].append(tokens / spent)
    for name, values in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["StaticEngine"], values, strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        ratio = f"; StaticEngine is {middle:.2f} times that ({low:.2f} to {high:.2f})"
        print(f"{name}: {median(values):.0f} tokens a CPU-second{ratio if name != 'StaticEngine' else ''}")
    if pids:
        vllm.close()
    else:
        print("vLLM is not compared: " + ("it is not installed here" if chosen.random else "see --random"))


if __name__ == "__main__":
    main()
