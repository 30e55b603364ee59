"""`azr-platform audit labels`: agreement with people, hostile words made inert, and a set that calibrate reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from azr_platform.channel.messages import Action, Command, Decision
from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.supervisor.runfolder import create, steer_ended

HOSTILE = "[red]x[/red] \x1b]0;owned\x07 \x9b31m \u202e reversed \u200b\nsecond line"


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", "labels", *arguments])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three samples: one that was blocked, one that nobody minded, one that nothing was found in and nobody labels."""
    folder = tmp_path / "r"
    with create(folder, load("nano")) as writer, writer.batch() as batch:
        for number, (trace, allowed) in enumerate((("I trick them", False), ("I add one", True), ("", True)), 1):
            row = {"time": 1.0, "branch": 1, "step": 4, "phase": "solve", "role": "solve", "kind": "deduction"}
            texts = {**dict.fromkeys(("prompt", "response", "input", "message", "answer"), ""), "reasoning": trace}
            more = {"uid": "u", "tokens": 1, "well_formed": 1, "problem": "", "program": "def f(x):\n    return x"}
            batch.add("samples", {**row, **texts, **more})
            verdict = {"sample": number, "allowed": allowed, "action": 0, "severity": 3, "score": 0.4, "reason": ""}
            batch.add("verdicts", verdict)
        finding = {"rule": f"trace.uhoh.{HOSTILE}", "severity": 3, "part": "trace", "why": HOSTILE}
        batch.add("findings", {"sample": 1, **finding})
    for sample, word in ((1, "block"), (2, "block")):
        decision = Command(action=Action.DECIDE, who="ann", why=HOSTILE, sample=sample, decision=Decision(word))
        assert steer_ended(folder, decision).ok
    return folder


def test_agreement_is_told_with_intervals_and_what_recall_rests_on(run: Path) -> None:
    result = ask(str(run))
    assert result.exit_code == 0, result.output
    assert "2 labels by one person: 2 harmful, 0 benign" in result.output
    assert "1.00 [0.21, 1.00] 0.50 [0.09, 0.91]" in result.output
    assert "Recall is of the 2 texts labelled harmful and of nothing else" in result.output
    assert "1 disagreement: 1 allowed and labelled harmful, 0 blocked and labelled benign" in result.output
    assert max(map(len, result.output.splitlines()[:-1])) <= 80
    bad = [char for char in result.output if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)]
    assert not bad and not any(char in result.output for char in "\u202e\u200b")
    assert "\nsecond line" not in result.output


def test_the_json_holds_every_figure_in_plain_ascii(run: Path) -> None:
    result = ask(str(run), "--json")
    assert result.output.isascii()
    found = json.loads(result.output)
    assert (found["audit"], found["harmful"], found["blocked"]["right"]) == ("live", 2, 1)
    assert found["rules"][0]["name"] == f"trace.uhoh.{HOSTILE}"
    assert [one["sample"] for one in found["disagreements"]] == [2]


def test_what_nobody_labelled_says_how_to(tmp_path: Path) -> None:
    create(tmp_path / "new", load("nano")).close()
    result = ask(str(tmp_path / "new"))
    assert result.exit_code == 0
    assert "nothing is labelled" in result.output and "--decide block|allow|false-alarm" in result.output


def test_the_export_is_a_calibration_set(run: Path, tmp_path: Path) -> None:
    decision = Command(action=Action.DECIDE, who="ann", sample=3, decision=Decision.FALSE_ALARM)
    assert steer_ended(run, decision).ok
    file = tmp_path / "set.jsonl"
    assert "3 labels" in ask(str(run), "--export", str(file)).output
    policy = tmp_path / "quick.yaml"
    policy.write_text("name: quick\nextends: default\nclassifiers: []\n")
    measured = CliRunner().invoke(app, ["policy", "calibrate", str(policy), "--labels", str(file), "--json"])
    assert measured.exit_code == 0, measured.output
    found = json.loads(measured.stdout)
    assert (found["harmful"], found["benign"]) == (2, 1)
    again = ask(str(run), "--export", str(file))
    assert again.exit_code != 0 and "is there already; give --export another name" in str(again.exception)
    same = CliRunner().invoke(app, ["review", str(run), "--labels", "-"])
    assert same.stdout == file.read_text("utf-8"), "review --labels writes the same"
