"""Kill a run again and again with SIGKILL; it must end with the weights and the rows of an undisturbed one.

    python benchmarks/kills.py --kills 200 [--steps 4] [--seed 0] [--json] [--keep FOLDER]

Runs of a few steps on the nano preset with a small model of random weights and scripted answers, all other parts real:
trainer process, jail, monitor, ledger. Trainer, supervisor and both are killed in turn, at a message of the trainer's
(before it is answered, or after its rows are committed and before the answer is sent) or some milliseconds after one,
which falls anywhere: into a commit, an update, the writing of a checkpoint. Each run is then compared with the
undisturbed one: the digest of every checkpoint, and with it of each file, and every row of the line that the run is on.
Seeded: the same moments each time, but for where the milliseconds fall.

Processes are forked from one that has imported everything (nursery.py).

What differs by nature, and is left out: ids and times; durations and measured memory; branches and the folders named
after them, with what they left behind; and the rows about the run's life instead of its content: run, branches, states,
notices, controls, removals, and the alerts of the supervisor's own (``supervisor.…``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

# Before anything imports torch; a process with threads cannot be forked.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import azr_platform.trainer.session  # noqa: F401 for those that are forked
from azr_monitor.audit import Auditor
from azr_monitor.policy import load_policy as load_rules
from azr_monitor.records import Action
from azr_platform.channel.messages import Hello
from azr_platform.config.load import load
from azr_platform.config.schema import Config
from azr_platform.ledger.reader import LedgerReader
from azr_platform.nano.model import weights_path
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.heldout import held_out_programs
from azr_platform.supervisor.process import Supervisor
from azr_platform.supervisor.runfolder import create, reopen
from azr_platform.trainer.checkpoint import verify
from azr_platform.trainer.model import load_policy
from azr_sandbox.limits import Limits
from azr_sandbox.pool import JailPool
from nursery import Nursery

SMALL = [
    "selfplay.proposals=3",
    "selfplay.rollouts=2",
    "selfplay.seed_factor=1",
    "selfplay.seed_rounds=1",
    "model.max_response_tokens=16",
    "model.engine=scripted",
    "run.checkpoint_every=1",
    "supervisor.max_restarts=1000000",
]
VICTIMS = ("trainer", "supervisor", "both")
WHEN = ("before the answer", "after the rows", "while it works")
MESSAGES = 16
"""A life is cut short at one of its first so many messages; a step has about nine, and each life begins with three."""


# -- one life -----------------------------------------------------------------------------------------------------


class Reaper:
    """Kills the trainer or the supervisor that it is built into, at moments that a seed chooses."""

    def __init__(self, rng: random.Random, log: Path, supervisor: Supervisor) -> None:
        self._supervisor, self._rng, self._log = supervisor, rng, log
        self._answer = supervisor._answer
        self._trainer = 0
        self._left = 0
        supervisor._answer = self._answer_and_kill  # type: ignore[method-assign]

    async def _answer_and_kill(self, message: Any) -> Any:
        if isinstance(message, Hello):
            self._trainer = message.pid
            self._left = self._rng.randint(1, MESSAGES)
            self._victim = VICTIMS[len(self._log.read_text().splitlines()) % len(VICTIMS)]
            self._when = self._rng.choice(WHEN)
        self._left -= 1
        now = self._left == 0
        if now and self._when == WHEN[0]:
            self._kill(message)
        reply = await self._answer(message)
        if now and self._when == WHEN[1]:
            self._kill(message)
        if now and self._when == WHEN[2]:
            asyncio.get_running_loop().call_later(self._rng.uniform(0.0, 0.2), self._kill, message, self._trainer)
        return reply

    def _kill(self, message: Any, trainer: int = 0) -> None:
        if trainer and (trainer != self._trainer or self._supervisor.status().trainer_pid == 0):
            return  # it has ended by itself meanwhile
        with self._log.open("a") as log:
            log.write(f"{self._victim}, {self._when}: {type(message).__name__} of step {getattr(message, 'step', 0)}\n")
        if self._victim != "supervisor":
            with suppress(ProcessLookupError):
                os.kill(self._trainer, signal.SIGKILL)
        if self._victim != "trainer":
            os.kill(os.getpid(), signal.SIGKILL)


def judge_of_runs() -> Auditor:
    """The default policy's rules, without classifiers and pauses."""
    policy = load_rules("default")
    actions = {severity: min(action, Action.DROP) for severity, action in policy.actions.items()}
    return Auditor(policy.model_copy(update={"classifiers": (), "rates": (), "actions": actions}))


def supervise(
    run: Path,
    config: Config,
    judge: Auditor,
    trainer: tuple[str, ...],
    arrange: Callable[[Supervisor], object] = lambda _: None,
) -> int:
    """A supervisor's life, in a process of its own."""
    writer = reopen(run)[0] if (run / "ledger.db").exists() else create(run, config)
    with writer, JailPool(Limits(wall_s=60.0, cpu_s=20), workers=1) as jail:
        with LedgerReader(run) as reader:
            tasks = list(reader.tasks())
        supervisor = Supervisor(run, config, writer, Gate.of_run(config, judge, jail, tasks), trainer=trainer)
        arrange(supervisor)
        return asyncio.run(supervisor.run())


# -- what must be equal ---------------------------------------------------------------------------------------------

PLACED = {  # the tables whose rows have a branch and a step; their columns without what differs by nature
    "samples": "phase, role, kind, uid, task, prompt, response, reasoning, program, input, message, answer, tokens, "
    "well_formed, correct, outcome, problem",
    "tasks": "task, (SELECT uid FROM samples WHERE id = sample), kind, program, inputs, outputs, shown, message",
    "steps": "1",
    "metrics": "name, value",
    "rewards": "(SELECT uid FROM samples WHERE id = sample), reward, advantage, trained",
    "alerts": "severity, rule, (SELECT uid FROM samples WHERE id = sample), message",
    "checkpoints": "digest",
}
OF_SAMPLES = {
    "executions": "t.position, t.input, t.outcome, t.value, t.detail",
    "findings": "t.rule, t.severity, t.part, t.span_start, t.span_end, t.why",
    "scores": "t.classifier, t.category, t.value",
    "verdicts": "t.allowed, t.action, t.severity, t.score, t.reason",
}
MEASURED = ("seconds/", "tokens_per_second", "idle", "gpu/", "load/")
"""Metrics of how long something took."""


def comparable(run: Path) -> dict[str, list[Any]]:
    """Every row along the run's line, by table and in order, without what differs by nature."""
    with LedgerReader(run) as reader:
        line = reader.lineage()
        begun = reader.line_checkpoints()[0].branch  # what precedes step 1 was done over until it had a checkpoint
    found: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(run / "ledger.db")) as ledger:

        def rows(sql: str) -> list[Any]:
            return [row for branch, last in line for row in ledger.execute(sql, (branch, last)) if branch >= begun]

        seeds = "SELECT task, kind, program, inputs, outputs FROM tasks WHERE sample IS NULL ORDER BY id"
        found["seeds"] = list(ledger.execute(seeds))
        for table, columns in PLACED.items():
            found[table] = rows(f"SELECT step, {columns} FROM {table} WHERE branch = ? AND step <= ? ORDER BY id")
        for table, columns in OF_SAMPLES.items():
            found[table] = rows(
                f"SELECT s.step, s.uid, {columns} FROM {table} t JOIN samples s ON s.id = t.sample "
                "WHERE s.branch = ? AND s.step <= ? ORDER BY t.id"
            )
    found["tasks"] = [row for row in found["tasks"] if row[2] is not None]
    found["metrics"] = [row for row in found["metrics"] if not row[1].startswith(MEASURED)]
    found["alerts"] = [row for row in found["alerts"] if not row[2].startswith("supervisor.")]
    return found


def difference(run: Path, undisturbed: Path) -> str:
    """The first thing in which a run differs from the undisturbed one; empty when there is none."""
    with LedgerReader(run) as reader:
        if not (verified := reader.verify()).intact:
            return f"the chain: {verified.problem}"
        if reader.state().state != "finished":
            return f"it ended as {reader.state()}"
        for row in reader.line_checkpoints():
            verify(run / row.path, row.digest)
    ours, theirs = comparable(run), comparable(undisturbed)
    for table, rows in theirs.items():
        for number, (one, other) in enumerate(zip(ours[table], rows, strict=False)):
            if one != other:
                return f"{table}, row {number}: {one} instead of {other}"
        if len(ours[table]) != len(rows):
            return f"{table}: {len(ours[table])} rows instead of {len(rows)}"
    return ""


# -- the whole ------------------------------------------------------------------------------------------------------


def prepare(folder: Path, steps: int) -> Config:
    """A small model with random weights, and responses from which something is learnt."""
    shape = AutoConfig.from_pretrained(weights_path(), num_hidden_layers=1)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(shape).save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(weights_path()).save_pretrained(folder / "model")

    def proposal(program: str, given: str) -> str:
        blocks = f"```python\ndef f(x):\n    {program}\n```\n```input\n{given}\n```"
        return f"<think>new</think>\n<answer>\n{blocks}\n</answer>"

    def answer(block: str, content: str) -> str:
        return f"<think>so</think>\n<answer>\n```{block}\n{content}\n```\n</answer>"

    programs = ["return x * 3 + 1", "return x + x", "return 7 - x"]
    proposals = [proposal(program, str(number)) for number, program in enumerate(programs, 2)]
    inputs = "".join(f"```input\n{number}\n```\n" for number in range(6))
    lines = [
        {"match": "# propose deduce", "responses": [*proposals, "no format at all"]},
        {"match": "# propose abduce", "responses": ["no format", *proposals]},
        {
            "match": "# propose induce",
            "responses": [f"<think>i</think>\n<answer>\n{inputs}```message\nit\n```\n</answer>", "nothing"],
        },
        {"match": "# deduce", "responses": [answer("output", text) for text in ("7", "6", "3")]},
        {"match": "# abduce", "responses": [answer("input", text) for text in ("2", "3", "4")]},
        {"match": "# induce", "responses": [answer("python", f"def f(x):\n    {program}") for program in programs]},
    ]
    (folder / "script.json").write_text(json.dumps(lines))
    paths = {"model.path": folder / "model", "model.script": folder / "script.json"}
    return load(
        "nano", overrides=[*SMALL, f"run.steps={steps}", *(f"{key}={json.dumps(str(p))}" for key, p in paths.items())]
    )


def kill_until(kills: int, folder: Path, steps: int, seed: int) -> dict[str, Any]:
    """Runs until so many kills are done; what became of them."""
    config, judge = prepare(folder, steps), judge_of_runs()
    load_policy(config.model)  # what this imports and computes, no life has to
    held_out_programs(config.tasks.held_out)
    nursery = Nursery(folder)
    log, undisturbed = folder / "kills.log", folder / "undisturbed"
    log.touch()
    runs: list[str] = []
    lives = 0
    with closing(nursery):
        ended = nursery.live(partial(supervise, undisturbed, config, judge, nursery.trainer))
        assert ended == 0, f"the undisturbed run ended with {ended}"
        while len(log.read_text().splitlines()) < kills:
            run = folder / f"run-{len(runs)}"
            ended = -signal.SIGKILL
            while ended == -signal.SIGKILL:
                reaper = partial(Reaper, random.Random(f"{seed} {lives}"), log)
                ended = nursery.live(partial(supervise, run, config, judge, nursery.trainer, reaper))
                lives += 1
            runs.append(difference(run, undisturbed) if ended == 0 else f"it ended with {ended}")
    done = log.read_text().splitlines()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "kills": len(done),
        "victims": Counter(line.split(",")[0] for line in done),
        "moments": Counter(line.split(", ")[1].split(" of ")[0] for line in done),
        "runs": len(runs),
        "steps": steps,
        "different": [f"run-{number}: {what}" for number, what in enumerate(runs) if what],
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="kill runs at random moments and compare how they end")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--keep", type=Path, help="a new folder for the runs, which then stay")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-")) if arguments.keep is None else arguments.keep
    folder.mkdir(exist_ok=True)
    try:
        result = kill_until(arguments.kills, folder, arguments.steps, arguments.seed)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(result))
    else:
        victims = ", ".join(f"{count} of {victim}" for victim, count in sorted(result["victims"].items()))
        print(f"{result['kills']} kills in {result['runs']} runs of {result['steps']} steps: {victims}")
        for moment, count in sorted(result["moments"].items()):
            print(f"  {count:4} {moment}")
        print("\n".join(result["different"]) or "every run ended with the weights and the rows of the undisturbed one")
        print(f"{result['cpu_seconds']} s of CPU")
    sys.exit(bool(result["different"]))


if __name__ == "__main__":
    main()
