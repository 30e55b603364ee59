"""Decisions about samples: appended, never changed, and absent from ledgers that are older than they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from azr_monitor.records import Action
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter

DECISION = {
    "time": 1.0,
    "branch": 1,
    "step": 1,
    "sample": 1,
    "decision": "allow",
    "who": "ada",
    "note": "",
    "digest": "d",
}


def add(writer: LedgerWriter, action: Action, rule: str = "", severity: int = 2) -> int:
    """A sample with a verdict and, where a rule is named, a finding."""
    with writer.batch() as batch:
        texts = dict.fromkeys(("prompt", "response", "reasoning", "program", "input", "message", "answer"), "")
        row = {"time": 1.0, "branch": 1, "step": 1, "role": "propose", "kind": "deduction", "uid": "u", **texts}
        number = batch.add("samples", {**row, "phase": "propose", "tokens": 1, "well_formed": True, "problem": ""})
        verdict = {"sample": number, "allowed": not action.blocks, "action": action.value, "severity": severity}
        batch.add("verdicts", {**verdict, "score": 0.4, "reason": ""})
        if rule:
            finding = {"sample": number, "rule": rule, "severity": severity, "part": "trace", "why": "w"}
            batch.add("findings", finding)
    return number


@pytest.fixture
def older(run_folder: Path) -> Path:
    """A run from before anything was held, with a dropped and an alerted sample."""
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "old", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        add(writer, Action.DROP, "trace.uhoh")
        add(writer, Action.ALERT, "trace.uhoh")
    with closing(sqlite3.connect(run_folder / "ledger.db")) as connection:
        connection.execute("DROP TABLE decisions")
        connection.execute("DROP INDEX verdicts_noticed")
        connection.execute("DROP INDEX verdicts_held")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm008_decisions'")
        connection.commit()
    return run_folder


def test_an_older_ledger_keeps_its_numbers_and_waits_for_decisions_too(older: Path) -> None:
    content = (older / "ledger.db").read_bytes()
    with LedgerReader(older) as reader:
        assert reader.decisions() == [] and reader.summary().held == 0
        waiting = reader.samples(waiting_only=True)
        assert [Action(row.action).label for row in waiting] == ["alert", "drop"]
        assert reader.verify().intact
    assert (older / "ledger.db").read_bytes() == content


def test_its_writer_adds_the_table_and_nobody_changes_a_decision(older: Path) -> None:
    with LedgerWriter(older) as writer:
        writer.append("decisions", DECISION)
        held = add(writer, Action.HOLD)
    with LedgerReader(older) as reader:
        assert [row.sample for row in reader.decisions()] == [1]
        assert [row.id for row in reader.samples(waiting_only=True)] == [held, 2]
        assert reader.summary().held == 1 and reader.verify().intact
        detail = reader.sample(1)
        assert detail is not None and [row.who for row in detail.decisions] == ["ada"]
    with closing(sqlite3.connect(older / "ledger.db")) as connection:
        for change in (
            "UPDATE decisions SET decision = 'allow'",
            "DELETE FROM decisions",
            "REPLACE INTO decisions (id) VALUES (1)",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(change)


def test_only_what_a_person_can_judge_is_waited_for(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        expected = [
            add(writer, Action.HOLD),
            add(writer, Action.DROP, "program.exec"),
            add(writer, Action.ALERT, "trace.x"),
        ]
        add(writer, Action.RECORD, "trace.x", severity=1)
        for rule in ("behaviour.time", "monitor.failure", "supervisor.jail", "review.block", "program.too-complex"):
            add(writer, Action.DROP, rule)
        add(writer, Action.DROP, "policy.allow", severity=0)
    with LedgerReader(run_folder) as reader:
        assert [row.id for row in reader.samples(waiting_only=True)] == expected[::-1]


def test_an_edited_decision_breaks_the_chain(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "r", "steps": 9})
        writer.append("decisions", {**DECISION, "decision": "block"})
    with closing(sqlite3.connect(run_folder / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER decisions_no_update")
        connection.execute("UPDATE decisions SET decision = 'allow'")
        connection.commit()
    with LedgerReader(run_folder) as reader:
        assert not reader.verify().intact
