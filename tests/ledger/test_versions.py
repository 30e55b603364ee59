"""Ledgers of other versions: an older one is read as it is, and its writer adds to it; a newer one is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from sqlite_utils import Database

from azr_platform.ledger.errors import LedgerNewer
from azr_platform.ledger.migrations import migrations
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import KNOWN, MIGRATION_SET, MIGRATIONS_TABLE
from azr_platform.ledger.writer import LedgerWriter


@pytest.fixture
def older(run_folder: Path) -> Path:
    """A run from before checkpoints were removed and branches changed anything."""
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "old", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        writer.append("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
        for step in (0, 5):
            row = {"time": 1.0, "branch": 1, "step": step, "path": f"checkpoints/{step}", "digest": "d"}
            writer.append("checkpoints", row)
    with closing(sqlite3.connect(run_folder / "ledger.db")) as connection:
        connection.execute("DROP TABLE branch_changes")
        connection.execute("DROP TABLE removals")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name IN ('m005_branch_changes', 'm006_removals')")
        connection.commit()
    return run_folder


@pytest.fixture
def before_m007(run_folder: Path) -> Path:
    """A run that a version from before the migration m007 wrote: a row of the chain for each link, and JSON hashed."""
    with closing(sqlite3.connect(run_folder / "ledger.db")) as connection:
        connection.executescript(Path(__file__).with_name("ledger-m006.sql").read_text())
    return run_folder


@pytest.fixture
def newer(run_folder: Path) -> Path:
    """A run of a version to come."""
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "new", "steps": 9})
    with closing(sqlite3.connect(run_folder / "ledger.db")) as connection:
        connection.execute("CREATE TABLE omens (id INTEGER PRIMARY KEY, omen TEXT)")
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('azr_platform.ledger', 'm999_omens', 'tomorrow')"
        )
        connection.commit()
    return run_folder


def test_an_older_ledger_is_read_as_it_is(older: Path) -> None:
    content = (older / "ledger.db").read_bytes()
    with LedgerReader(older) as reader:
        assert [(row.step, row.removed) for row in reader.line_checkpoints()] == [(0, None), (5, None)]
        assert reader.summary().checkpoints_removed == 0
        assert reader.changes() == []
        assert reader.verify().intact
    assert (older / "ledger.db").read_bytes() == content


def test_its_writer_brings_an_older_ledger_up_to_date(older: Path) -> None:
    with LedgerWriter(older) as writer:
        writer.append("removals", {"time": 2.0, "checkpoint": 1, "reason": "enough"})
    with LedgerReader(older) as reader:
        assert [(row.step, row.removed) for row in reader.checkpoints()] == [(0, "enough"), (5, None)]
        assert reader.verify().intact
    with closing(sqlite3.connect(older / "ledger.db")) as connection:
        for change in (
            "UPDATE removals SET reason = ''",
            "DELETE FROM removals",
            "REPLACE INTO removals (id) VALUES (1)",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(change)


HEAD_BEFORE_M007 = "1d4a436298be328ccb237f704f290e35991021d5a004088096712830b23637c5"


def test_a_chain_from_before_m007_holds_and_is_continued(before_m007: Path) -> None:
    content = (before_m007 / "ledger.db").read_bytes()
    with LedgerReader(before_m007) as reader:
        found = reader.verify(HEAD_BEFORE_M007)
        assert found.intact, found.problem
        assert (found.rows, found.head) == (12, HEAD_BEFORE_M007)
    assert (before_m007 / "ledger.db").read_bytes() == content
    with LedgerWriter(before_m007) as writer, writer.batch() as batch:
        assert (writer.rows, writer.head) == (12, HEAD_BEFORE_M007)
        for number in range(3):
            batch.add("notices", {"time": 1.0, "source": "test", "message": f"é {number}"})
    with LedgerReader(before_m007) as reader:
        found = reader.verify(HEAD_BEFORE_M007)
        assert found.intact, found.problem
        assert found.rows == 15


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE samples SET tokens = 7 WHERE id = 2", "samples row 2 was changed (chain link 5)"),
        ("UPDATE metrics SET value = 1e-6", "metrics row 1 was changed (chain link 9)"),
        ("DELETE FROM verdicts WHERE id = 1", "verdicts row 1 was removed"),
        ("UPDATE notices SET message = 'é  1' WHERE id = 3", "notices row 3 was changed (chain link 14)"),
    ],
)
def test_changes_of_a_chain_from_before_m007_are_found(
    change: str, problem: str, before_m007: Path, ledger_tools: ModuleType
) -> None:
    with LedgerWriter(before_m007) as writer, writer.batch() as batch:
        for number in range(3):
            batch.add("notices", {"time": 1.0, "source": "test", "message": f"é {number}"})
    with ledger_tools.tampering(before_m007) as connection:
        connection.execute(change)
    with LedgerReader(before_m007) as reader:
        assert reader.verify().problem == problem


@pytest.mark.parametrize("opener", [LedgerReader, LedgerWriter])
def test_a_newer_ledger_is_left_alone_and_said_to_be_one(
    opener: type[LedgerReader] | type[LedgerWriter], newer: Path
) -> None:
    content = (newer / "ledger.db").read_bytes()
    for _ in range(2):  # and the lock is free again
        with pytest.raises(LedgerNewer, match=r"a newer azr-platform wrote this ledger \(m999_omens is unknown here\)"):
            opener(newer)
    assert (newer / "ledger.db").read_bytes() == content


def test_its_writer_gives_an_older_ledger_the_indexes_of_its_lists(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "old", "steps": 9})
        writer.append("samples", {"role": "solve", "task": "t", "response": "x"})
    with closing(sqlite3.connect(run_folder / "ledger.db")) as connection:
        for index in ("samples_narrow", "samples_attempts", "findings_rule_sample", "metrics_curve"):
            connection.execute(f"DROP INDEX {index}")
        for index in ("rewards_reward", "tasks_kind", "tasks_program", "tasks_step", "alert_acks_alert"):
            connection.execute(f"DROP INDEX {index}")
        connection.execute("CREATE INDEX idx_samples_task ON samples(task)")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm009_pages'")
        connection.commit()
    with LedgerReader(run_folder) as reader:
        assert "samples_narrow" not in reader._indexes
        assert len(reader.samples()) == len(reader.attempts("t")) == 1
        LedgerWriter(run_folder).close()  # beside a reader that is open
        assert len(reader.samples()) == len(reader.attempts("t")) == 1
    with LedgerReader(run_folder) as reader:
        assert "samples_narrow" in reader._indexes and "idx_samples_task" not in reader._indexes
        assert len(reader.samples()) == 1
        assert reader.verify().intact


def test_a_reader_knows_the_migrations_that_a_writer_applies() -> None:
    assert {migration.name for migration in migrations.pending(Database(memory=True))} == KNOWN
    assert (migrations.name, migrations.migrations_table) == (MIGRATION_SET, MIGRATIONS_TABLE)
