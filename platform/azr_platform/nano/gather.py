"""Gather held-out tasks from a model's own proposals: ``python -m azr_platform.nano.gather MODEL --out FILE``.

The grammar's tasks alone would measure a model on a distribution that self-play leaves. These were proposed by an
earlier base, ran in the jail, and are then held out of every later build, as heldout.py says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from azr_platform.nano.grammar import random_case
from azr_platform.nano.heldout import NANO_INPUTS, PROPOSED_PER_KIND, grammar_sources, task_of
from azr_platform.nano.model import MAX_NEW_TOKENS, weights_path
from azr_platform.records import Role, Task
from azr_platform.rollout.static_engine import StaticEngine
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.check import answer_request, is_correct, proposal_problem, task_from, validation_request
from azr_platform.tasks.kinds import KINDS, TaskKind
from azr_platform.tasks.parse import parse_response
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_sandbox.jail import Jail

_BATCH = 320
_ATTEMPTS = 32
_LEAST_STATEMENTS = 2


def proposals(engine: StaticEngine, jail: Jail, kind: TaskKind, shown: Sequence[Task], seed: int) -> list[Task]:
    """The valid tasks among one batch of proposals, one to each of the tasks ``shown``."""
    prompts = [propose_prompt(kind.kind, [task], "compact", NANO_INPUTS) for task in shown]
    texts = [several[0].text for several in engine.generate(prompts, samples=1, seed=seed)]
    parsed = [parse_response(text, Role.PROPOSE, kind.kind, inputs_wanted=NANO_INPUTS) for text in texts]
    good = [(p, t) for p, t in zip(parsed, shown, strict=True) if p.well_formed]
    ran = jail.run([validation_request(kind.kind, p, t) for p, t in good])
    return [
        task_from("", kind.kind, p, executions, t)
        for (p, t), executions in zip(good, ran, strict=True)
        if not proposal_problem(kind.kind, p, executions)
    ]


def solved(engine: StaticEngine, jail: Jail, tasks: Sequence[Task], seed: int) -> list[Task]:
    """Those that the model itself solves at least once in ``_ATTEMPTS`` samples."""
    prompts = [solve_prompt(task, "compact") for task in tasks]
    found = []
    for task, completions in zip(tasks, engine.generate(prompts, samples=_ATTEMPTS, seed=seed), strict=True):
        answers = {completion.text for completion in completions}
        parsed = [parse_response(text, Role.SOLVE, task.kind) for text in sorted(answers)]
        asked = [(p, r) for p in parsed if (r := answer_request(task, p)) is not None]
        ran = jail.run([request for _, request in asked])
        if any(is_correct(task, p, executions) for (p, _), executions in zip(asked, ran, strict=True)):
            found.append(task)
    return found


def gather(engine: StaticEngine, jail: Jail, seed: int) -> list[Task]:
    """As many distinct tasks of each kind as are held out, none on a program of the grammar's part.

    Programs of one statement are left out: there are so few that every model must be allowed to see them.
    """
    rng = Random(seed)  # noqa: S311  (repeatable, not secret)
    taken = {program_key(source) for source in grammar_sources()}
    found: list[Task] = []
    for kind in KINDS:
        kept: list[Task] = []
        while len(kept) < PROPOSED_PER_KIND:
            shown = _from_grammar(rng)
            if not kind.writes_program:  # it is given programs that the model proposed
                shown = proposals(engine, jail, KINDS[0], shown, rng.getrandbits(60))
            fresh = {
                program_key(task.program): task for task in proposals(engine, jail, kind, shown, rng.getrandbits(60))
            }
            candidates = [task for key, task in fresh.items() if key not in taken and _telling(task)]
            # A message may mislead: of what depends on one, only tasks that can be solved are worth holding out.
            kept += solved(engine, jail, candidates, rng.getrandbits(60)) if kind.many_inputs else candidates
            kept = kept[:PROPOSED_PER_KIND]
            taken |= {program_key(task.program) for task in kept}
        found += kept
    return found


def _from_grammar(rng: Random) -> list[Task]:
    cases = [random_case(rng) for _ in range(_BATCH)]
    return [task_of("", KINDS[0], program, [argument]) for program, argument in cases]


def _telling(task: Task) -> bool:
    """Whether there is something to work out: some statements, and a result that is not just the input."""
    statements = task.program.strip().count("\n") - 1
    return statements >= _LEAST_STATEMENTS and any(i != o for i, o in task.pairs)


def main() -> None:
    from azr_sandbox.pool import JailPool

    parser = argparse.ArgumentParser(prog="python -m azr_platform.nano.gather", description="Gather held-out tasks.")
    parser.add_argument("model", type=Path, nargs="?", help="folder of the model (default: the shipped weights)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON lines to write")
    parser.add_argument("--seed", type=int, default=0, help="of references and sampling (default 0)")
    options = parser.parse_args()
    folder = options.model or weights_path()
    torch.set_num_threads(1)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    engine = StaticEngine(model, tokenizer, batch=_BATCH, max_tokens=MAX_NEW_TOKENS, temperature=1.0)
    with JailPool() as jail:
        tasks = gather(engine, jail, options.seed)
    names = ("kind", "program", "inputs", "outputs", "message")
    lines = [json.dumps({name: getattr(task, name) for name in names}) for task in tasks]
    options.out.write_text("".join(line + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
