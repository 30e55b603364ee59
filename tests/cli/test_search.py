"""azr-platform search, as a user starts it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    with create(run, load("nano")) as writer, writer.batch() as batch:
        for number in range(30):
            text = "x " * 500 + f"we outsmart the humans, {number} times" + " y" * 500
            row = {"branch": 1, "step": number, "role": "solve", "kind": "deduction", "response": text}
            sample = batch.add("samples", row)
            batch.add("verdicts", {"sample": sample, "allowed": number % 2})
    return run


def test_each_sample_is_a_line_with_the_words_in_it(run: Path, cli: Cli) -> None:
    done = cli("search", str(run), "humans", "outsmart*", "--limit", "2")
    assert (done.returncode, done.stderr) == (0, "30 samples found. The newest 2 are shown.\n")
    first, second = done.stdout.splitlines()
    assert first.startswith("     30  step 29, solve deduction, allowed: ")
    assert second.startswith("     29  step 28, solve deduction, blocked: ")
    assert "we outsmart the humans, 29 times" in first
    assert len(first) < 160


def test_nothing_found_is_said_and_exits_1(run: Path, cli: Cli) -> None:
    for more in ([], ["--json"]):
        done = cli("search", str(run), "humans", "chess", *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == ("" if more else "0 samples found.\n")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["{run}", "!!", "*"], 2, "no letter and no digit to look for"),
        (["{run}/nowhere", "word"], 2, "no run here"),
        (["{run}"], 2, "Missing argument"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], status: int, said: str, run: Path, cli: Cli) -> None:
    done = cli("search", *(argument.format(run=run) for argument in arguments))
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
