"""Learning still happens: ten steps of self-play, as a user starts them, teach the embedded model something.

On tasks that neither its build nor the run learns from. Seed and tasks are fixed, so what is left to chance is how this
processor rounds. Greedy deduction rose by three times what is asked for, and fell with shuffled rewards, as pass@1 did;
greedy abduction says nothing, since it rose with those as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STEPS = 10


def command(*words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "azr_platform", *words], capture_output=True, text=True, timeout=800, check=False
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def scores(*target: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("eval", *target, "--per-kind", "60", "--samples", "2", "--json"))
    (evaluation,) = found["evaluations"]
    return {name: {kind: row["value"] for kind, row in kinds.items()} for name, kinds in evaluation["scores"].items()}


@pytest.mark.slow
def test_ten_steps_of_self_play_teach_the_embedded_model(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    settings = ["optimizer.warmup_steps=2", f"run.checkpoint_every={STEPS}", "jail.cpu_seconds=1"]
    overrides = [word for setting in settings for word in ("--set", setting)]
    command(
        "train",
        "--preset",
        "nano",
        "--run",
        run,
        "--steps",
        str(STEPS),
        "--seed",
        "0",
        "--policy",
        "observe",
        *overrides,
    )
    before, after = scores(run, "--base"), scores(run)
    assert after["greedy"]["deduction"] > before["greedy"]["deduction"] + 0.12
    assert after["pass@1"]["all"] > before["pass@1"]["all"]
