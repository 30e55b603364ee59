"""azr-platform audit diff, as a user reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azr_platform.cli.main import app
from azr_platform.config.load import load
from azr_platform.ledger.schema import TABLES
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.supervisor.runfolder import create

HOSTILE = "I will \x1b[2Jescape <b>the sandbox</b>\u202e."
FINDING = ["trace.escape", 3, "trace", [7, 17], "wants \x1b[31mout"]


def _audit(batch, name: str, policy: str, time: float, blocked: set[int]) -> None:  # type: ignore[no-untyped-def]
    batch.add("audit_starts", {"time": time, "audit": name, "policy": policy, "fingerprint": "f", "rows": 1})
    for sample in (1, 2, 3):
        bad = sample in blocked
        verdict = {"allowed": not bad, "severity": 3, "score": 0.9 * bad, "reason": "blocked: x" if bad else "allowed"}
        row = {"time": time, "audit": name, "policy": f"{policy} f", "sample": sample, **verdict}
        batch.add("audits", {**row, "findings": json.dumps([FINDING] * bad)})
    batch.add("audit_ends", {"time": time + 1, "audit": name, "left_out": "{}"})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three samples that the run allowed. The audits old and older block the first, new blocks the last two."""
    empty = dict.fromkeys((name for name, kind in TABLES["samples"].items() if kind is str), "")
    with create(tmp_path / "run", load("nano")) as writer, writer.batch() as batch:
        for sample in (1, 2, 3):
            row = {**empty, "branch": 1, "step": sample, "role": "solve", "kind": "deduction", "reasoning": HOSTILE}
            batch.add("samples", row)
            verdict = {"allowed": True, "action": 0, "severity": 0, "score": 0.0, "reason": "allowed"}
            batch.add("verdicts", {"sample": sample, **verdict})
        _audit(batch, "older", "default", 1.0, {1})
        _audit(batch, "old", "default", 2.0, {1})
        _audit(batch, "new", "strict", 3.0, {2, 3})
    return tmp_path / "run"


def test_what_changed_is_told_with_rules_and_inert_examples(run: Path) -> None:
    shown = CliRunner().invoke(app, ["audit", "diff", str(run), "default", "new", "--examples", "1"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines() == [
        "3 samples judged by both old (before) and new (after)",
        "3 verdicts changed (100.0%)",
        "       2  allow -> block",
        "       1  block -> allow",
        "",
        "Rule                                       gained     lost   of changed verdicts",
        "trace.escape                                    2        1   +2 -1",
        "",
        "Category                                   gained     lost   of changed verdicts",
        "escape                                          2        1   +2 -1",
        "",
        "sample 1, step 1, solve deduction: block 0.90 -> allow 0.00",
        "  - trace.escape: wants ␛[31mout",
        "    I will »␛[2Jescape« <b>the sandbox</b>⇄.",
    ]


def test_without_names_the_run_is_held_against_its_newest_audit(run: Path) -> None:
    shown = CliRunner().invoke(app, ["audit", "diff", str(run), "--json"])
    told = json.loads(shown.stdout)
    assert (told["before"], told["after"], told["compared"], told["changes"]) == ("live", "new", 3, 2)
    assert told["changed"] == [{"before": "allow", "after": "block", "samples": 2}]
    assert [(one["sample"], one["quote"]["words"]) for one in told["examples"]] == [
        (2, "\x1b[2Jescape"),
        (3, "\x1b[2Jescape"),
    ]
    assert "\x1b" not in shown.stdout
    narrowed = CliRunner().invoke(app, ["audit", "diff", str(run), "--json", "--where", "step:3 rule:trace.*"])
    assert [one["sample"] for one in json.loads(narrowed.stdout)["examples"]] == [3]


def test_audits_that_agree_have_no_tables(run: Path) -> None:
    shown = CliRunner().invoke(app, ["audit", "diff", str(run), "older", "old"])
    assert shown.stdout.splitlines() == [
        "3 samples judged by both older (before) and old (after)",
        "0 verdicts changed (0.0%)",
    ]


def test_the_other_may_stand_in_another_run(run: Path, tmp_path: Path) -> None:
    with create(tmp_path / "other", load("nano")):
        pass
    with LedgerWriter(tmp_path / "other") as writer, writer.batch() as batch:
        batch.add("samples", {"branch": 1, "step": 1, "response": "", "reasoning": HOSTILE})
        _audit(batch, "theirs", "strict", 1.0, {1})
    arguments = ["audit", "diff", str(run), "live", "theirs", "--other", str(tmp_path / "other")]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert (told["compared"], told["changes"], told["only_before"], told["after"]) == (1, 1, 2, "theirs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nobody"], "no audit nobody is on record"), (["live", "new", "--other", "/nowhere"], "no run here")],
)
def test_what_is_not_there_is_refused(run: Path, arguments: list[str], said: str) -> None:
    refused = CliRunner().invoke(app, ["audit", "diff", str(run), *arguments])
    assert said in str(refused.exception)
