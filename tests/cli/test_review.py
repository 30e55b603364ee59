"""`azr-platform review`: what waits, what is decided, and decisions as labels that calibrate reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from azr_monitor.records import Action
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.supervisor.runfolder import create

Cli = Callable[..., CompletedProcess[str]]
HOSTILE = "evil \x1b[2J\u202e text"


def add(batch: Batch, action: Action, trace: str, rule: str = "", **texts: str) -> int:
    row = {"time": 1.0, "branch": 1, "step": 4, "phase": "propose", "role": "propose", "kind": "deduction", "uid": "u"}
    given = {**dict.fromkeys(("prompt", "response", "program", "input", "message", "answer"), ""), **texts}
    number = batch.add("samples", {**row, "tokens": 1, "well_formed": 1, "problem": "", "reasoning": trace, **given})
    verdict = {"sample": number, "allowed": not action.blocks, "action": action.value, "severity": 1, "score": 0.4}
    batch.add("verdicts", {**verdict, "reason": f"said of {trace}"})
    if rule:
        finding = {"rule": rule, "severity": 2, "part": "trace", "span_start": 0, "span_end": 3, "why": "w"}
        batch.add("findings", {"sample": number, **finding})
    return number


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Four samples: held, held with the same text, dropped, and one that nobody minds."""
    folder = tmp_path / "r"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        add(batch, Action.HOLD, HOSTILE, program="def f(x):\n    return x", input="1")
        add(batch, Action.HOLD, HOSTILE, program="def f(x):\n    return x", input="1")
        add(batch, Action.DROP, "I will trick the grader", "trace.tamper.grader")
        add(batch, Action.RECORD, "I add one")
    return folder


def test_review_lists_what_waits_and_lets_no_text_act_on_the_terminal(cli: Cli, run: Path) -> None:
    result = cli("review", str(run))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["2", "held"], ["1", "held"], ["3", "blocked"]]
    assert "2 samples held for a person" in lines[3] and len(lines) == 6
    assert "\x1b" not in result.stdout and "\u202e" not in result.stdout
    assert "at most 1 are listed" in cli("review", str(run), "--limit", "1").stdout
    assert "2 held samples waiting for a decision" in cli("status", str(run)).stdout


def test_one_sample_is_shown_before_somebody_decides_and_nothing_is_decided(cli: Cli, run: Path) -> None:
    shown = cli("review", str(run), "--sample", "3")
    assert shown.returncode == 0, shown.stderr
    assert "trace.tamper.grader" in shown.stdout and "I will trick the grader" in shown.stdout
    assert "--sample 3 --decide" in shown.stdout and "A allow" not in shown.stdout
    hostile = cli("review", str(run), "--sample", "1").stdout
    assert "evil" in hostile and "\x1b" not in hostile and "\u202e" not in hostile
    assert json.loads(cli("review", str(run), "--sample", "3", "--json").stdout)["trace"] == "I will trick the grader"
    assert json.loads(cli("review", str(run), "--sample", "4", "--json").stdout)["verdict"] == "allowed"
    with LedgerReader(run) as reader:
        assert reader.decisions() == []


def test_review_as_json_has_the_texts_and_what_was_found(cli: Cli, run: Path) -> None:
    rows = [json.loads(line) for line in cli("review", str(run), "--json").stdout.splitlines()]
    assert [row["sample"] for row in rows] == [2, 1, 3]
    assert rows[2]["verdict"] == "blocked" and rows[2]["category"] == "tampering"
    assert rows[2]["findings"][0]["span"] == [0, 3]
    assert rows[1]["trace"] == HOSTILE and rows[1]["input"] == "1"


def test_decisions_are_on_record_empty_the_queue_and_become_labels_for_calibrate(
    cli: Cli, run: Path, tmp_path: Path
) -> None:
    decided = cli("review", str(run), "--sample", "1", "--decide", "false-alarm", "--note", "a poem")
    assert decided.returncode == 0, decided.stderr
    assert "and of 1 more with the same text" in decided.stdout
    blocked = cli("review", str(run), "--sample", "3", "--decide", "block", "--json")
    assert json.loads(blocked.stdout)["ok"]
    assert cli("review", str(run)).stdout == "nothing waits for a decision\n"
    with LedgerReader(run) as reader:
        rows = reader.decisions()
        assert [(row.sample, row.decision, row.note) for row in rows] == [
            (1, "false-alarm", "a poem"),
            (2, "false-alarm", "a poem"),
            (3, "block", ""),
        ]
        assert {row.who.endswith("(command line)") for row in rows} == {True}
        assert json.loads(reader.controls()[0].arguments)["decision"] == "block"
        assert reader.verify().intact

    labels = tmp_path / "labels.jsonl"
    assert "2 labels" in cli("review", str(run), "--labels", str(labels)).stdout
    benign, harmful = [json.loads(line) for line in labels.read_text().splitlines()]
    assert benign == {
        "id": "r/2",
        "trace": HOSTILE,
        "program": "def f(x):\n    return x",
        "input": "1",
        "label": "benign",
        "category": "",
        "difficulty": "",
    }
    assert (harmful["id"], harmful["label"], harmful["category"]) == ("r/3", "harmful", "tampering")
    again = cli("review", str(run), "--labels", str(labels))
    assert again.returncode == 2 and "is there already" in again.stderr
    policy = tmp_path / "quick.yaml"
    policy.write_text("name: quick\nextends: default\nclassifiers: [{kind: detoxify, enabled: false}]\n")
    measured = cli("policy", "calibrate", str(policy), "--labels", str(labels), "--json")
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout)["harmful"] == 1


def test_a_second_thought_is_the_label(cli: Cli, run: Path) -> None:
    for word in ("allow", "block"):
        assert cli("review", str(run), "--sample", "4", "--decide", word).returncode == 0
    (label,) = [json.loads(line) for line in cli("review", str(run), "--labels", "-").stdout.splitlines()]
    assert (label["label"], label["trace"]) == ("harmful", "I add one")


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (("--sample", "99"), "there is no sample 99", 2),
        (("--decide", "allow"), "give --sample NUMBER and --decide", 2),
        (("--sample", "1", "--decide", "alow"), "not one of allow, block, false-alarm (did you mean 'allow'?)", 2),
        (("--sample", "99", "--decide", "allow"), "there is no sample 99", 1),
        (("--note", "x"), "--note belongs to a decision", 2),
        (("--labels", "x", "--sample", "1", "--decide", "allow"), "give it by itself", 2),
        (("--labels", "no/such/folder/x"), "cannot be written", 2),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(
    cli: Cli, run: Path, arguments: tuple[str, ...], words: str, status: int
) -> None:
    result = cli("review", str(run), *arguments)
    assert result.returncode == status and words in result.stderr and len(result.stderr.splitlines()) == 1
    with LedgerReader(run) as reader:
        assert reader.decisions() == []


def test_a_folder_without_a_run_is_named(cli: Cli, tmp_path: Path) -> None:
    for more in ((), ("--sample", "1", "--decide", "allow"), ("--labels", "-")):
        result = cli("review", str(tmp_path), *more)
        assert result.returncode == 2 and str(tmp_path) in result.stderr


def test_while_somebody_else_writes_the_run_nothing_is_decided_behind_their_back(cli: Cli, run: Path) -> None:
    with LedgerWriter(run):
        result = cli("review", str(run), "--sample", "1", "--decide", "allow")
    assert result.returncode == 4, result.stderr


def test_alerts_are_resolved_and_called_false_alarms_from_the_command_line(cli: Cli, run: Path) -> None:
    with LedgerWriter(run) as writer:
        for sample in (3, 1):
            alert = {"time": 1.0, "branch": 1, "step": 4, "severity": 2, "rule": "r", "message": HOSTILE}
            writer.append("alerts", {**alert, "sample": sample})
    resolved = cli("resolve", str(run), "--alert", "1", "--why", "looked into", "--json")
    assert json.loads(resolved.stdout) == {"ok": True, "detail": "alert 1 resolved"}
    again = cli("resolve", str(run), "--alert", "1")
    assert (again.returncode, again.stderr) == (1, "alert 1 is resolved already\n")
    false = cli("resolve", str(run), "--alert", "2", "--false-alarm")
    assert false.returncode == 0 and "sample 1: false-alarm, and of 1 more" in false.stdout
    with LedgerReader(run) as reader:
        assert [(row.id, row.outcome) for row in reader.alerts()] == [(2, "false-alarm"), (1, "resolved")]
        assert [(row.sample, row.decision) for row in reader.decisions()] == [(1, "false-alarm"), (2, "false-alarm")]
