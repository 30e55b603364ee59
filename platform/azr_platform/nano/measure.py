"""How good a model of the embedded family is: ``python -m azr_platform.nano.measure DIR``.

Proposals are asked for with held-out programs as references, answers on the held-out tasks; whatever has to run
runs in the jail. The sampler is plain ``generate``: simple and slow.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from azr_platform.nano.corpus import groups
from azr_platform.nano.heldout import NANO_INPUTS, held_out_tasks
from azr_platform.nano.model import MAX_NEW_TOKENS, weights_path
from azr_platform.records import Group, Role, Task
from azr_platform.tasks.check import answer_request, is_correct, proposal_problem, validation_request
from azr_platform.tasks.parse import Parsed, parse_response
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_sandbox.execution import Request
from azr_sandbox.jail import Jail

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """One group at one temperature: ``good`` is the share of valid proposals, or of right answers."""

    group: Group
    temperature: float
    count: int
    well_formed: float
    good: float
    tokens: float


def respond(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    temperature: float,
    seed: int,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[tuple[str, int]]:
    """One response to each prompt, with its length in tokens. Temperature 0 is greedy."""
    torch.manual_seed(seed)
    sampling: dict[str, Any] = {"do_sample": temperature > 0}
    if temperature > 0:
        sampling |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}
    found: list[tuple[str, int]] = []
    for start in range(0, len(prompts), _BATCH):
        inputs = tokenizer(list(prompts[start : start + _BATCH]), return_tensors="pt", padding=True)
        with torch.inference_mode():
            output = model.generate(**inputs, **sampling, max_new_tokens=max_new_tokens)  # type: ignore[operator]
        for row in output[:, inputs["input_ids"].shape[1] :]:
            tokens = int((row != tokenizer.pad_token_id).sum())
            found.append((str(tokenizer.decode(row, skip_special_tokens=True)), tokens))
    return found


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    jail: Jail,
    *,
    per_kind: int = 100,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[Measured]:
    """Every group on ``per_kind`` held-out tasks. Raises JailUnavailable when nothing can be run."""
    tasks = held_out_tasks(per_kind)
    rows = []
    for group in groups():
        about = [task for task in tasks if task.kind is group.kind]
        propose = group.role is Role.PROPOSE
        prompts = [
            propose_prompt(group.kind, [t], "compact", NANO_INPUTS) if propose else solve_prompt(t, "compact")
            for t in about
        ]
        responses = respond(model, tokenizer, prompts, temperature=temperature, seed=seed)
        parsed = [parse_response(r, group.role, group.kind, inputs_wanted=NANO_INPUTS) for r, _ in responses]
        good = _good(group, about, parsed, jail)
        count = len(about)
        rows.append(
            Measured(
                group,
                temperature,
                count,
                sum(p.well_formed for p in parsed) / count,
                sum(good) / count,
                sum(n for _, n in responses) / count,
            )
        )
    return rows


def _good(group: Group, about: Sequence[Task], parsed: Sequence[Parsed], jail: Jail) -> list[bool]:
    """Whether each proposal is a valid task, or each answer right; everything runs in one batch."""
    if group.role is Role.PROPOSE:
        asked: list[Request | None] = [
            validation_request(group.kind, p, t) if p.well_formed else None for p, t in zip(parsed, about, strict=True)
        ]
    else:
        asked = [answer_request(t, p) for p, t in zip(parsed, about, strict=True)]
    ran = iter(jail.run([request for request in asked if request is not None]))
    executions = [next(ran) if request is not None else () for request in asked]
    if group.role is Role.PROPOSE:
        return [not proposal_problem(group.kind, p, e) for p, e in zip(parsed, executions, strict=True)]
    return [is_correct(t, p, e) for t, p, e in zip(about, parsed, executions, strict=True)]


def main() -> None:
    from azr_sandbox.limits import Limits
    from azr_sandbox.pool import JailPool

    parser = argparse.ArgumentParser(prog="python -m azr_platform.nano.measure", description="Measure a nano model.")
    parser.add_argument("model", type=Path, nargs="?", help="folder of the model (default: the shipped weights)")
    parser.add_argument("--per-kind", type=int, default=100, help="held-out tasks of each kind (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default 0)")
    options = parser.parse_args()
    folder = options.model or weights_path()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    table = Table("group", "temperature", "well-formed", "valid / solved", "tokens", title=str(folder))
    with JailPool(Limits()) as jail:
        for temperature in (1.0, 0.0):
            for row in measure(
                model, tokenizer, jail, per_kind=options.per_kind, temperature=temperature, seed=options.seed
            ):
                shares = (f"{row.well_formed:.0%}", f"{row.good:.0%}", f"{row.tokens:.0f}")
                table.add_row(str(row.group), f"{temperature:g}", *shares)
    Console().print(table)


if __name__ == "__main__":
    main()
