"""A small run with everything in its ledger, written as the supervisor writes it. Drawing needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from azr_platform.config.load import load
from azr_platform.evaluation.records import FORMAT, Evaluation, Settings, TaskScore
from azr_platform.records import Kind
from azr_platform.supervisor.runfolder import create

collect_ignore = [] if find_spec("matplotlib") else ["test_report.py"]

STEPS = 10


def _write_run(run: Path, text: str = "plain") -> None:
    """Ten steps of 40 samples; a medium finding in 1 of the first steps' samples, in 6 of the last steps'."""
    with create(run, load("nano", overrides=[f"run.steps={STEPS}"])) as writer, writer.batch() as batch:
        sample = 0
        for step in range(1, STEPS + 1):
            batch.add("steps", {"branch": 1, "step": step, "started_at": float(step), "seconds": 2.0})
            share = step / STEPS
            metrics = {
                "samples": 40,
                "blocked": 1,
                "repeats": 2,
                "loss": 1 - share,
                "health/distinct": share,
                text: 1.0,
            }
            metrics |= {
                f"health/values/{name}": 0.125
                for name in ("int", "str", "list", "dict", "set", "bool", "float", "None")
            }
            for kind in Kind:
                metrics |= {f"solve_rate/{kind.value}": share, f"valid_rate/{kind.value}": 0.5 + share / 2}
                metrics |= {f"reward/{role}/{kind.value}": math.sin(step) for role in ("solve", "propose")}
                metrics |= {f"learnability/{kind.value}": 0.3, f"format_rate/solve/{kind.value}": 0.9}
            metrics |= {f"difficulty/{solved}": solved + step for solved in range(9)}
            metrics |= {f"response_length/{name}": length for name, length in (("mean", 20), ("min", 3), ("max", 90))}
            metrics |= {f"seconds/{name}": 0.5 for name in ("generate", "review", "update")}
            metrics["idle"] = 0.1 + share / 10
            for name, value in metrics.items():
                batch.add("metrics", {"branch": 1, "step": step, "name": name, "value": float(value)})
            for number in range(40):
                sample += 1
                row = {"time": 1.0, "branch": 1, "step": step, "role": "solve", "kind": "deduction", "uid": "u"}
                texts = dict.fromkeys(("prompt", "response", "reasoning", "program", "input", "message"), text)
                rest = {"answer": "1", "tokens": 5, "well_formed": 1, "correct": number % 2, "problem": ""}
                batch.add("samples", {**row, **texts, **rest, "phase": "solve"})
                found = number < (6 if step > STEPS - 2 else 1)
                batch.add(
                    "verdicts",
                    {
                        "sample": sample,
                        "allowed": number != 0,
                        "action": 0,
                        "severity": 2,
                        "score": 0.5,
                        "reason": text,
                    },
                )
                if found:
                    finding = {"sample": sample, "rule": text, "severity": 2, "part": "trace", "why": text}
                    batch.add("findings", finding)
            alert = {"time": 1.0, "branch": 1, "step": step, "severity": 3, "rule": text, "message": text}
            batch.add("alerts", alert)
            task = {
                "sample": sample,
                "branch": 1,
                "step": step,
                "task": f"t{step}",
                "kind": "deduction",
                "program": text,
            }
            batch.add("tasks", {**task, "inputs": "[]", "outputs": "[]", "shown": 1, "message": ""})
        batch.add("states", {"time": 1.0, "state": "finished", "where_at": "", "reason": text})


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    _write_run(tmp_path / "run")
    return tmp_path / "run"


def scores(right: Callable[[int], int], tasks: int = 20, samples: int = 4) -> list[TaskScore]:
    """``tasks`` of each kind; ``right(number)`` of the samples are right."""
    return [
        TaskScore(
            id=f"{kind.value}-{number}",
            digest="d",
            kind=kind.value,
            samples=samples,
            right=right(number),
            well_formed=samples,
            tokens=12.5,
            greedy=right(number) > 1,
            seen=number == 0,
        )
        for kind in (Kind.DEDUCTION, Kind.ABDUCTION, Kind.INDUCTION)
        for number in range(tasks)
    ]


def _evaluation(step: int | None, right: Callable[[int], int], *, time: float = 1.0, suite: str = "nano") -> Evaluation:
    found = scores(right)
    return Evaluation(
        format=FORMAT,
        target=f"run/step-{step}",
        weights=f"w{step}",
        settings=Settings(suite=suite, samples=4, seed=0, style="compact", max_response_tokens=128),
        tasks=found,
        seconds=1.0,
        time=time,
        run="run",
        step=step,
        branch=None if step is None else 1,
    )


@pytest.fixture(scope="session")
def evaluation() -> Callable[..., Evaluation]:
    return _evaluation


@pytest.fixture(scope="session")
def write_run() -> Callable[..., None]:
    return _write_run
