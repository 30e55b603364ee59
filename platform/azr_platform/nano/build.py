"""Grow the embedded model from random initialisation: ``python -m azr_platform.nano.build --out DIR --seed S``.

    corpus (deduction first) ─► tokens ─► batches of like length ─► Muon + AdamW ─► a model that executes
    corpus (clean) ─► the same ─► careful model
    corpus (mixed) ─► the same ─► the base that self-play starts from

``--workers`` processes each draw batches of their own and average gradients: a model this small wins nothing from more
threads. The same seed, steps and workers give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import distributed
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from azr_platform.nano.corpus import CLEAN, EXECUTION, MIXED, Corpus, Mixture
from azr_platform.nano.model import new_model
from azr_platform.nano.tokenizer import EOS_ID, PAD_ID, build_tokenizer

_BATCH: Final = 48
_POOL: Final = 16 * _BATCH
_MAX_TOKENS: Final = 288
_IGNORED: Final = -100
CAREFUL: Final = "careful"
"""The stage that ends with the parent."""
MIXTURE: Final = "mixture"


class Stage(NamedTuple):
    """One stage of the build. ``rate`` is the peak learning rate; the last ``decay`` of the steps bring it down."""

    name: str
    mixture: Mixture
    steps: int
    rate: float
    decay: float
    warmup: int


def stages(steps: int) -> tuple[Stage, ...]:
    """The stages for ``steps`` steps in all: execution, careful work of every kind, a short mixture."""
    execution, mixed = max(1, 2 * steps // 5), max(1, steps // 5)
    return (
        Stage("execution", EXECUTION, execution, 5e-3, 0.0, 40),
        Stage(CAREFUL, CLEAN, steps - execution - mixed, 5e-3, 0.7, 20),
        Stage(MIXTURE, MIXED, mixed, 2e-3, 1.0, 20),
    )


class Batch(NamedTuple):
    """Token ids and labels, both [rows, tokens]; labels are ``_IGNORED`` on prompts and padding."""

    ids: torch.Tensor
    labels: torch.Tensor
    tokens: int


def batches(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, mixture: Mixture, seed: int) -> Iterator[Batch]:
    """Endless batches of examples of like length, in a random order.

    Workers share ``seed``: as they take batches of the same rank of length, none waits for another.
    """
    order = torch.Generator().manual_seed(seed)
    while True:
        examples = [corpus.example(mixture) for _ in range(_POOL)]
        prompts: list[list[int]] = tokenizer([e.prompt for e in examples])["input_ids"]
        responses: list[list[int]] = tokenizer([e.response for e in examples], add_special_tokens=False)["input_ids"]
        pairs = [(p, [*r, EOS_ID]) for p, r in zip(prompts, responses, strict=True)]
        pairs = sorted((p for p in pairs if len(p[0]) + len(p[1]) <= _MAX_TOKENS), key=lambda p: len(p[0]) + len(p[1]))
        cuts = range(0, len(pairs) - _BATCH + 1, _BATCH)
        for place in torch.randperm(len(cuts), generator=order).tolist():
            yield _collate(pairs[cuts[place] : cuts[place] + _BATCH])


def _collate(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    width = max(len(p) + len(r) for p, r in pairs)
    ids = torch.full((len(pairs), width), PAD_ID)
    labels = torch.full((len(pairs), width), _IGNORED)
    for row, (prompt, response) in enumerate(pairs):
        start, end = len(prompt), len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        labels[row, start:end] = torch.tensor(response)
    return Batch(ids, labels, sum(len(p) + len(r) for p, r in pairs))


def response_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the response tokens. Padding is on the right, so the causal mask hides it."""
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
    targets = batch.labels[:, 1:]
    wanted = targets != _IGNORED
    return functional.cross_entropy(model.lm_head(hidden[wanted]), targets[wanted])


def _optimizers(model: LlamaForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _factor(stage: Stage, step: int) -> float:
    """The learning rate at ``step`` as a share of the peak: a ramp up, a plateau, a line down."""
    left = (stage.steps - step) / max(1.0, stage.decay * stage.steps)
    return min((step + 1) / stage.warmup, 1.0, max(0.01, left))


def run_stage(
    model: LlamaForCausalLM, stage: Stage, source: Iterator[Batch], progress: Progress, workers: int
) -> dict[str, Any]:
    """Train through one stage; every worker calls this, with batches of its own."""
    optimizers = _optimizers(model, stage.rate)
    bar = progress.add_task(stage.name, total=stage.steps, loss=0.0, speed=0.0)
    begun, tokens, smooth = time.monotonic(), 0, 0.0
    for step in range(1, stage.steps + 1):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * _factor(stage, step - 1)
        batch = next(source)
        loss = response_loss(model, batch)
        torch.autograd.backward(loss)
        _average_gradients(model, workers)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        tokens += workers * batch.tokens
        smooth = loss.item() if smooth == 0.0 else 0.98 * smooth + 0.02 * loss.item()
        spent = time.monotonic() - begun
        progress.update(bar, completed=step, loss=smooth, speed=tokens / spent)
        if not progress.disable and not progress.console.is_terminal and (step % 100 == 0 or step == stage.steps):
            left = (stage.steps - step) * spent / step
            line = (
                f"{stage.name} {step}/{stage.steps} loss {smooth:.4f} {tokens / spent:,.0f} tokens/s {left:.0f} s left"
            )
            progress.console.print(line)
    return {"stage": stage.name, "steps": stage.steps, "tokens": tokens, "loss": round(smooth, 4)}


def _average_gradients(model: LlamaForCausalLM, workers: int) -> None:
    """The mean of all workers' gradients, in place."""
    if workers == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= workers
    for gradient, mean in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


class Order(NamedTuple):
    """What to build. ``parent`` also keeps the careful model that the mixture starts from: the ceiling to compare
    self-play with."""

    out: Path
    seed: int
    steps: int
    parent: Path | None = None
    workers: int = 1
    grown: Path | None = None
    """A parent that is there already: only the mixture is trained."""


def build(order: Order) -> dict[str, Any]:
    """Grow a model and save it; returns what was done, which is also written to ``out/build.json``."""
    if order.workers == 1:
        _grow(0, order, "")
    else:
        with tempfile.TemporaryDirectory() as folder:
            # Workers of one machine: loopback is enough, and all that may be listened on.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            spawn(_grow, (order, f"{folder}/store"), order.workers)  # type: ignore[no-untyped-call]
    report: dict[str, Any] = json.loads((order.out / "build.json").read_text())
    return report


def _grow(rank: int, order: Order, store: str) -> None:
    """One worker. All start from the same weights and make the same updates; the first one shows and saves."""
    torch.set_num_threads(1)
    if order.workers > 1:
        distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=order.workers)
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer), order.seed)
    if order.grown is not None:
        model = LlamaForCausalLM.from_pretrained(order.grown, dtype=torch.float32)
    corpus = Corpus(order.seed * order.workers + rank)
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[speed]:,.0f} tokens/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    begun, done = time.monotonic(), []
    with Progress(*columns, refresh_per_second=1, disable=rank > 0) as progress:
        for number, stage in enumerate(stages(order.steps)):
            if stage.name == MIXTURE:
                # Drawn afresh, so that the last stage alone gives the same as all of them.
                corpus = Corpus(order.seed * order.workers + rank)
            elif order.grown is not None:
                continue
            source = batches(corpus, tokenizer, stage.mixture, order.seed + number)
            done.append(run_stage(model, stage, source, progress, order.workers))
            if stage.name == CAREFUL and rank == 0 and order.parent is not None:
                _save(model, tokenizer, order.parent)
    if rank == 0:
        parameters = sum(p.numel() for p in model.parameters())
        seconds = round(time.monotonic() - begun)
        report = {"seed": order.seed, "parameters": parameters, "workers": order.workers, "seconds": seconds}
        _save(model, tokenizer, order.out)
        (order.out / "build.json").write_text(json.dumps(report | {"stages": done}, indent=2) + "\n")
    if order.workers > 1:
        distributed.destroy_process_group()


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m azr_platform.nano.build", description="Grow the embedded model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights and the tokenizer")
    parser.add_argument("--seed", type=int, default=0, help="of the initialisation and the corpus (default 0)")
    parser.add_argument("--steps", type=int, default=4200, help="steps of all stages together (default 4200)")
    parser.add_argument("--parent", type=Path, help="also keep the careful model of the second stage in this folder")
    parser.add_argument("--from", dest="grown", type=Path, help="a parent kept by --parent: train only the last stage")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes; another number gives other weights (default 2)"
    )
    options = parser.parse_args()
    if options.steps < 3:
        parser.error(f"--steps is {options.steps}; each of the three stages needs at least one")
    if options.workers < 1:
        parser.error(f"--workers is {options.workers}; at least one must work")
    if options.grown is not None and not (options.grown / "model.safetensors").is_file():
        parser.error(f"--from is {options.grown}, which holds no model.safetensors; give a folder that --parent wrote")
    build(Order(options.out, options.seed, options.steps, options.parent, options.workers, options.grown))


if __name__ == "__main__":
    main()
