"""A ledger of a long run that never happened: as large as asked for, the same each time, written by the real writer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.records import SELF_PLAY_KINDS, Kind, Role, Task
from azr_platform.supervisor.rows import task_row
from azr_platform.tasks.prompts import propose_prompt, solve_prompt

START = 1_700_000_000.0
STEPS, ALERTS, CHECKPOINT_EVERY = 5000, 10_000, 25
LEFT_AT, BACK_TO = 0.6, 0.58
"""The run went on on another branch once: shares of its steps."""
FLAGGED, BLOCKED, HELD, ANSWERED = 0.08, 0.05, 0.001, 0.97
"""Shares of the samples with a finding, blocked, held; and of the alerts that somebody has acknowledged."""
RULES = tuple(
    f"{part}.{name}"
    for part, names in {
        "trace": ("deception", "harm.threat", "escape", "power", "sandbagging", "hidden-message", "abuse", "contempt"),
        "program": ("exec", "import.os", "loop.endless", "patch.builtins", "reflection", "state", "order", "comment"),
        "behaviour": ("violation", "memory", "time"),
    }.items()
    for name in names
)
WORDS = """
    the list value returns each element input output function sum sorted reverse string index loop first second
    therefore because check length result number pairs condition while until before after compare shift modulo
    prime digit nested tuple dictionary key map filter zip counter window balance matrix path graph step rule
""".split()  # noqa: SIM905 readable so
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass
class Texts:
    """Pools of prose and of programs; what a sample says is put together from them."""

    rng: Random
    prose: list[str] = field(default_factory=list)
    rare: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = ["".join(self.rng.choices(LETTERS, k=7)) for _ in range(5000)]
        self.rare = names
        for _ in range(400):
            words = self.rng.choices(WORDS, k=75) + self.rng.choices(names[:2000], k=15)
            self.rng.shuffle(words)
            self.prose.append(" ".join(words))

    def program(self, number: int) -> str:
        words = self.rng.choices(WORDS, k=28)
        lines = "\n".join(
            f"    {a}_{b} = x * {number} + {place}" for place, (a, b) in enumerate(pairwise(words)) if place % 2
        )
        return f"def f(x):\n    # {' '.join(words[:8])}\n{lines}\n    return x + {number}"

    def answer(self, number: int) -> tuple[str, str]:
        """(response, reasoning)."""
        reasoning = f"{self.rng.choice(self.prose)} {self.rare[number * 7919 % 5000]}"
        return f"<think>\n{reasoning}\n</think>\n<answer>\n```output\n[{number}]\n```\n</answer>", reasoning


class Run:
    """Writes the run, a step a batch."""

    def __init__(self, writer: LedgerWriter, samples: int, steps: int) -> None:
        self.writer, self.steps = writer, steps
        self.per_step = max(1, samples // steps)
        self.rng = Random(0)
        self.texts = Texts(self.rng)
        self.tasks: list[Task] = []
        self.number = 0

    def write(self) -> None:
        left, back = int(LEFT_AT * self.steps), int(BACK_TO * self.steps)
        config = "[run]\nname = 'synthetic'\n"
        row = {
            "name": "synthetic",
            "created_at": START,
            "version": "0",
            "seed": 0,
            "steps": self.steps,
            "config": config,
        }
        self.writer.append("run", row)
        self.writer.append("branches", {"created_at": START, "from_step": 0, "reason": "begun"})
        self._state("running", "generate")
        line = [(1, step) for step in range(left)] + [(2, step) for step in range(back, self.steps)]
        for place, (branch, step) in enumerate(line):
            if branch == 2 and step == back:
                row = {"created_at": START + place, "parent": 1, "from_step": back - 1, "reason": "rollback"}
                self.writer.append("branches", row)
                self._control("rollback")
            with self.writer.batch() as batch:
                self._step(batch, branch, step, place)
        self._state("finished", "")

    def _state(self, state: str, where: str) -> None:
        self.writer.append("states", {"time": START, "state": state, "where_at": where, "reason": ""})

    def _control(self, action: str) -> None:
        row = {"time": START, "who": "ada", "action": action, "arguments": "{}", "why": "test", "outcome": "done: ok"}
        self.writer.append("controls", row)

    def _step(self, batch: Batch, branch: int, step: int, place: int) -> None:
        at = {"branch": branch, "step": step}
        for _ in range(self.per_step):
            self._sample(batch, at, place)
        batch.add("steps", {**at, "started_at": START + 12.0 * place, "seconds": 12.0})
        for name, value in _metrics(step, self.rng):
            batch.add("metrics", {**at, "name": name, "value": value})
        if step % CHECKPOINT_EVERY == 0:
            batch.add("checkpoints", {**at, "time": START, "path": f"checkpoints/{branch}-{step}", "digest": "d" * 64})
        if step % 40 == 0:
            batch.add("notices", {"time": START + place, "source": "jail", "message": f"replaced after step {step}"})

    def go_on(self, branch: int, step: int) -> None:
        """One more step."""
        with self.writer.batch() as batch:
            self._step(batch, branch, step, step)

    def _sample(self, batch: Batch, at: dict[str, int], place: int) -> None:
        rng, self.number = self.rng, self.number + 1
        number, chance = self.number, rng.random()
        role = Role.PROPOSE if number % 5 == 0 or not self.tasks else Role.SOLVE
        kind = SELF_PLAY_KINDS[number % 3]
        shown = [self.tasks[-1 - rng.randrange(min(len(self.tasks), 2000))] for _ in range(2)] if self.tasks else []
        proposed = self._proposed(kind, chance) if role is Role.PROPOSE else None
        task = proposed if role is Role.PROPOSE else shown[0]
        asked = solve_prompt(shown[0], "compact") if role is Role.SOLVE else propose_prompt(kind, shown, "compact")
        response, reasoning = self.texts.answer(number)
        row = {
            **at,
            "time": START + 12.0 * place,
            "phase": role.value,
            "role": role.value,
            "kind": kind.value,
            "uid": f"{at['step']}-{number}",
            "task": task.id if task else None,
            "prompt": asked,
            "response": response,
            "reasoning": reasoning,
            "program": proposed.program if proposed else "",
            "input": "1",
            "message": "",
            "answer": f"[{number}]",
            "tokens": 200 + number % 300,
            "well_formed": True,
            "correct": chance > 0.4,
            "outcome": "ok",
            "problem": "",
        }
        sample = batch.add("samples", row)
        self._judge(batch, at, sample, chance)
        if chance >= BLOCKED:
            run = {"input": "1", "outcome": "ok", "value": "[1]", "detail": "", "cpu_ms": 2.0, "wall_ms": 3.0}
            batch.add("executions", {"sample": sample, "position": 0, **run, "memory_kb": 9000})
            reward = round(chance, 1) if role is Role.PROPOSE else float(chance > 0.4)
            batch.add("rewards", {**at, "sample": sample, "reward": reward, "advantage": 0.1, "trained": True})
        if proposed is not None:
            self.tasks.append(proposed)
            batch.add("tasks", task_row(proposed, sample=sample, branch=at["branch"], step=at["step"]))

    def _proposed(self, kind: Kind, chance: float) -> Task | None:
        program = self.texts.program(self.number)
        name, output = f"{self.rng.getrandbits(64):016x}", f"{self.number}"
        valid = BLOCKED <= chance < 0.7
        return Task(id=name, kind=kind, program=program, inputs=("1",), outputs=(output,)) if valid else None

    def _judge(self, batch: Batch, at: dict[str, int], sample: int, chance: float) -> None:
        """A twentieth is blocked, by chance; some of these are held, a fifth of them has an alert."""
        rng, number, rule = self.rng, self.number, RULES[self.number % len(RULES)]
        severity = 3 if chance < BLOCKED else 1 if chance < FLAGGED else 0
        reason = (
            f"{'blocked' if severity == 3 else 'allowed'}: {rule} 0.93, what it says fits the rule"
            if severity
            else "allowed"
        )
        if severity:
            for name in rng.sample(RULES, 1 + number % 2):
                finding = {"rule": name, "severity": severity, "part": "trace", "span_start": 10, "span_end": 60}
                batch.add("findings", {"sample": sample, **finding, "why": "what it says fits the rule"})
        verdict = {"allowed": severity < 3, "action": 6 if chance < HELD else 2 if severity == 3 else 0}
        batch.add("verdicts", {"sample": sample, **verdict, "severity": severity, "score": chance, "reason": reason})
        if severity == 3 and rng.random() < ALERTS / (BLOCKED * self.per_step * self.steps):
            told = {"severity": 1 + number % 4, "rule": rule, "sample": sample, "message": reason}
            alert = batch.add("alerts", {"time": START + 12.0 * at["step"], **at, **told})
            if rng.random() < ANSWERED:
                batch.add("alert_acks", {"time": START, "alert": alert, "who": "ada", "note": ""})


def _metrics(step: int, rng: Random) -> list[tuple[str, float]]:
    """About a hundred, as a real run has them: by role and kind, of the loss, of the machine, of oversight."""
    names = [
        f"{name}/{role.value}/{kind.value}"
        for name in ("reward", "success", "tokens", "advantage")
        for role in Role
        for kind in SELF_PLAY_KINDS
    ]
    names += [
        f"{name}/{kind.value}" for name in ("solve_rate", "learnability", "buffer", "difficulty") for kind in Kind
    ]
    names += ["loss", "entropy", "kl", "clip_fraction", "grad_norm", "ratio_max", "response_length", "lr"]
    names += [f"oversight/findings/{index}" for index in range(8)] + ["oversight/blocked", "oversight/violations"]
    names += [f"time/{part}" for part in ("sample", "judge", "run", "learn", "save")] + [
        f"machine/{index}" for index in range(33)
    ]
    return [(name, math.tanh(step / 2000) + rng.gauss(0.1 * (place % 7), 0.1)) for place, name in enumerate(names)]


def make(run: Path, samples: int, steps: int = STEPS) -> None:
    """Write the run into a folder that does not exist yet."""
    run.mkdir(parents=True)
    with LedgerWriter(run) as writer:
        writer._connection.execute("PRAGMA synchronous=OFF")  # it can be made again
        Run(writer, samples, steps).write()
