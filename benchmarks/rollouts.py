"""Tokens a second of the engine in a self-play step over those of the engine by itself: python benchmarks/rollouts.py

Each round trains the nano preset for a few steps, with a learning rate that changes nothing, and then has the engine
sample the same prompts under the same seeds with nothing beside it. The tokens must come out the same, or it says so.
In the loop a step's sampling shares the processors with the jail, which runs what was sampled before. The first step
of a run is left out. The ratio is of seconds, so on a machine that is busy with other work only many rounds say much.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import torch

from azr_platform.config.load import load
from azr_platform.rollout.engine import Engine
from azr_platform.trainer.model import build_engine, load_policy

STILL = "optimizer.learning_rate=1e-30"


class Call(NamedTuple):
    """What the engine was asked in a phase of a step, and how many tokens each sample came to."""

    step: int
    label: str
    prompts: list[str]
    samples: int
    tokens: list[int]


def train(run: Path, steps: int, seed: int) -> tuple[list[Call], float]:
    """The calls of each step but the first, and the seconds that sampling took in them."""
    command = ["-m", "azr_platform", "train", "--preset", "nano", "--run", str(run), "--steps", str(steps)]
    done = subprocess.run(
        [sys.executable, *command, "--seed", str(seed), "--set", STILL], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"error: train ended with {done.returncode}: {done.stderr[-500:]}")
    with closing(sqlite3.connect(f"file:{run / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        drawn: dict[tuple[int, str], list[tuple[int, str, int]]] = defaultdict(list)
        for step, uid, prompt, tokens in ledger.execute("SELECT step, uid, prompt, tokens FROM samples WHERE step > 1"):
            _, label, number = uid.split("-")
            drawn[step, label].append((int(number), prompt, tokens))
        ((seconds,),) = ledger.execute("SELECT sum(value) FROM metrics WHERE name = 'seconds/generate' AND step > 1")
    return [call(step, label, sorted(rows)) for (step, label), rows in sorted(drawn.items())], seconds


def call(step: int, label: str, rows: list[tuple[int, str, int]]) -> Call:
    """A question's samples stand together: as many as there are in equal stretches of one prompt each."""
    prompts, tokens = [prompt for _, prompt, _ in rows], [count for _, _, count in rows]
    count = len(rows)
    samples = max(
        size
        for size in range(1, count + 1)
        if count % size == 0 and all(len(set(prompts[at : at + size])) == 1 for at in range(0, count, size))
    )
    return Call(step, label, prompts[::samples], samples, tokens)


def alone(engine: Engine, calls: list[Call], seed: int) -> Iterator[tuple[float, bool]]:
    """Seconds of each call with nothing beside it, and whether it drew as many tokens for each sample."""
    for each in calls:
        key = f"{seed}/{each.step}/sample-{each.label}".encode()
        draw = random.Random(int.from_bytes(blake2b(key, digest_size=16).digest(), "big")).getrandbits(62)
        started = time.monotonic()
        drawn = engine.generate(each.prompts, samples=each.samples, seed=draw)
        seconds = time.monotonic() - started
        yield seconds, [len(sample.tokens) for several in drawn for sample in several] == each.tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="of each run, two at least")
    chosen = parser.parse_args()
    config = load(preset="nano")
    torch.set_num_threads(config.run.threads)
    model, tokenizer = load_policy(config.model)
    model.eval()
    engine = build_engine(config.model, model, tokenizer, config.vllm, Path("vllm.log"))
    ratios = []
    with tempfile.TemporaryDirectory() as folder, closing(engine):
        for number in range(chosen.rounds):
            calls, looped = train(Path(folder) / str(number), max(2, chosen.steps), number)
            if not number:
                list(alone(engine, calls[:1], number))  # warm
            bare, same = zip(*alone(engine, calls, number), strict=True)
            tokens = sum(sum(each.tokens) for each in calls)
            ratios.append(sum(bare) / looped)
            if not all(same):
                print(
                    f"round {number + 1}: {same.count(False)} of {len(same)} calls drew other tokens than in the loop"
                )
            print(
                f"round {number + 1} of {chosen.rounds}: {tokens} tokens, {tokens / looped:.0f} a second in the loop, "
                f"{tokens / sum(bare):.0f} alone",
                file=sys.stderr,
                flush=True,
            )
    low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    print(f"in the loop over alone: {median(ratios):.2f} (quartiles {low:.2f} to {high:.2f}, {len(ratios)} rounds)")


if __name__ == "__main__":
    main()
