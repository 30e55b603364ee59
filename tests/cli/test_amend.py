"""`azr-platform policy set` and `policy try`: refused in one line, on record with who and why, tried first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.supervisor.runfolder import create

Cli = Callable[..., CompletedProcess[str]]
GUILTY = "import subprocess\ndef f(x):\n    return subprocess.run(x)"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that nobody supervises, with one blocked program and one fine one."""
    folder = tmp_path / "r"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        for step, program in enumerate((GUILTY, "def f(x):\n    return x"), 1):
            texts = {**dict.fromkeys(("prompt", "response", "reasoning", "message", "answer"), ""), "input": "1"}
            row = {"time": 1.0, "branch": 1, "step": step, "phase": "propose", "role": "propose", "kind": "deduction"}
            row |= {"uid": "u", "tokens": 1, "well_formed": 1, "problem": "", "program": program, **texts}
            number = batch.add("samples", row)
            verdict = {"sample": number, "allowed": program != GUILTY, "action": 0, "severity": 0, "score": 0.0}
            batch.add("verdicts", {**verdict, "reason": ""})
    return folder


def test_a_change_is_on_record_and_shown_by_status(cli: Cli, run: Path) -> None:
    done = cli("policy", "set", str(run), "program.import.process", "--action", "alert", "--why", "studied", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] and 'program.import.process: action null -> "alert" after step 2' in told["detail"]
    with LedgerReader(run) as reader:
        (row,) = reader.policies()
        assert (row.rule, row.after, row.why) == ("program.import.process", '"alert"', "studied")
        assert row.who.endswith("(command line)")
    shown = cli("status", str(run)).stdout
    assert f"policy default {row.fingerprint}, 1 change by hand" in shown
    assert json.loads(cli("status", str(run), "--json").stdout)["policy_changes"] == 1


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (("trace.harm.crim", "--off", "--why", "w"), 1, "did you mean 'trace.harm.crime'"),
        (("monitor.failure", "--off", "--why", "w"), 1, "cannot be changed"),
        (("program.exec", "--off"), 1, "say why"),
        (("program.exec", "--why", "w"), 1, "say one thing of it"),
        (("program.exec", "--action", "ignore", "--why", "w"), 1, "is no action"),
        (("embedded.harm", "--threshold", "medium=0.99", "--why", "w"), 1, "rise with severity"),
        (("embedded.harm", "--threshold", "medium=much", "--why", "w"), 2, "give SEVERITY=VALUE"),
        (("program.exec", "--off", "--on", "--why", "w"), 2, "give one of them"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    cli: Cli, run: Path, given: tuple[str, ...], status: int, words: str
) -> None:
    result = cli("policy", "set", str(run), *given)
    assert result.returncode == status
    assert words in result.stderr and len(result.stderr.splitlines()) == 1
    with LedgerReader(run) as reader:
        assert reader.policies() == []


def test_a_change_is_tried_first_and_nothing_is_written(cli: Cli, run: Path) -> None:
    before = (run / "ledger.db").read_bytes()
    shown = cli("policy", "try", str(run), "program.import.process", "--off")
    assert shown.returncode == 0, shown.stderr
    assert "of 2 samples 0 would be blocked that are not, " in shown.stdout
    lines = cli("policy", "try", str(run), "--policy", "observe", "--json").stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert told[0] == {"judged": 0, "of": 2}
    (released,) = [line for line in told if "sample" in line]
    assert (released["sample"], released["before"], released["after"]) == (1, "block", "flag")
    assert told[-1] == {"done": 2, "newly_blocked": 0, "released": 1, "others": 0}
    assert (run / "ledger.db").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "say what to try"),
        (("program.exek", "--off"), "did you mean 'program.exec'"),
        (("--rules", "missing.yaml"), "missing.yaml"),
        (("--policy", "lenient"), "lenient"),
    ],
)
def test_what_cannot_be_tried_is_one_line(cli: Cli, run: Path, given: tuple[str, ...], words: str) -> None:
    result = cli("policy", "try", str(run), *given)
    assert result.returncode == 2
    assert words in result.stderr and len(result.stderr.splitlines()) == 1
