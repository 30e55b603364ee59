"""The ledger's tables, as numbered migrations.

Every table is append-only (triggers refuse UPDATE, DELETE and REPLACE): what becomes known later, such as a sample's
reward, is a row of its own. ``branch`` and ``step`` place a row in the run; a rollback opens a new branch, so
rows are never removed, only left behind on an older one.
"""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("azr_platform.ledger")

# How long a statement waits for another program that holds the file.
BUSY_SECONDS = 10.0

# Of a new ledger. Two samples of the usual size fit on a page; SQLite's own 4 KiB hold one, and take more writing.
PAGE_BYTES = 8192
# SQLite moves rows from its log into the file itself when the log is this long.
LOG_BYTES = 2**22

# Columns of each table after its integer ``id``. Rows are hashed in this order (see chain.py).
TABLES: dict[str, dict[str, type]] = {
    "run": {"name": str, "created_at": float, "version": str, "seed": int, "steps": int, "config": str},
    "branches": {"created_at": float, "parent": int, "from_step": int, "reason": str},
    "states": {"time": float, "state": str, "where_at": str, "reason": str},
    "steps": {"branch": int, "step": int, "started_at": float, "seconds": float},
    "metrics": {"branch": int, "step": int, "name": str, "value": float},
    "samples": {
        "time": float,
        "branch": int,
        "step": int,
        "phase": str,
        "role": str,
        "kind": str,
        "uid": str,
        "task": str,
        "prompt": str,
        "response": str,
        "reasoning": str,
        "program": str,
        "input": str,
        "message": str,
        "answer": str,
        "tokens": int,
        "well_formed": int,
        "correct": int,
        "outcome": str,
        "problem": str,
    },
    "tasks": {
        "sample": int,
        "branch": int,
        "step": int,
        "task": str,
        "kind": str,
        "program": str,
        "inputs": str,
        "outputs": str,
        "shown": int,
        "message": str,
    },
    "executions": {
        "sample": int,
        "position": int,
        "input": str,
        "outcome": str,
        "value": str,
        "detail": str,
        "cpu_ms": float,
        "wall_ms": float,
        "memory_kb": int,
    },
    "findings": {
        "sample": int,
        "rule": str,
        "severity": int,
        "part": str,
        "span_start": int,
        "span_end": int,
        "why": str,
    },
    "scores": {"sample": int, "classifier": str, "category": str, "value": float},
    "verdicts": {
        "sample": int,
        "allowed": int,
        "action": int,
        "severity": int,
        "score": float,
        "reason": str,
    },
    "rewards": {
        "sample": int,
        "branch": int,
        "step": int,
        "reward": float,
        "advantage": float,
        "trained": int,
    },
    "alerts": {
        "time": float,
        "branch": int,
        "step": int,
        "severity": int,
        "rule": str,
        "sample": int,
        "message": str,
    },
    "alert_acks": {"time": float, "alert": int, "who": str, "note": str},
    "alert_outcomes": {"time": float, "alert": int, "outcome": str, "who": str, "note": str},
    "controls": {"time": float, "who": str, "action": str, "arguments": str, "why": str, "outcome": str},
    "checkpoints": {"time": float, "branch": int, "step": int, "path": str, "digest": str, "kept_for": str},
    "removals": {"time": float, "checkpoint": int, "reason": str},
    "notices": {"time": float, "source": str, "message": str},
    "audits": {
        "time": float,
        "audit": str,
        "policy": str,
        "sample": int,
        "allowed": int,
        "severity": int,
        "score": float,
        "findings": str,
        "reason": str,
    },
    "branch_changes": {"branch": int, "what": str, "value": str, "why": str},
    "decisions": {
        "time": float,
        "branch": int,
        "step": int,
        "sample": int,
        "decision": str,
        "who": str,
        "note": str,
        "digest": str,
    },
}
_LATER = {"alert_outcomes", "branch_changes", "decisions", "removals"}  # tables that a migration of their own creates

INDEXES = {
    "metrics": [["name", "branch", "step"]],
    "samples": [["branch", "step"], ["task"]],
    "tasks": [["task"]],
    "executions": [["sample"]],
    "findings": [["sample"], ["rule"]],
    "scores": [["sample"]],
    "verdicts": [["sample"]],
    "rewards": [["sample"]],
    "alerts": [["severity"]],
    "audits": [["audit"]],
    "checkpoints": [["branch", "step"]],
}


@migrations()
def m001_tables(db: Database) -> None:
    """Create every table, its indexes and the triggers that make it append-only."""
    for name, columns in TABLES.items():
        if name not in _LATER:
            _create_append_only(db, name, {"id": int, **columns})
    for name, indexes in INDEXES.items():
        for columns_ in indexes:
            db.table(name).create_index(columns_)


@migrations()
def m002_chain(db: Database) -> None:
    """Create the hash chain over all rows (see chain.py)."""
    _create_append_only(db, "chain", {"id": int, "tbl": str, "row": int, "digest": bytes})


@migrations()
def m003_no_replace(db: Database) -> None:
    """Refuse INSERT OR REPLACE too: it removes the older row without firing a delete trigger."""
    for name in [*TABLES, "chain"]:
        if name not in _LATER:
            _refuse_replace(db, name)


@migrations()
def m004_blocked(db: Database) -> None:
    """Find blocked samples without reading every verdict: the dashboard counts them at each commit."""
    db.execute("CREATE INDEX verdicts_blocked ON verdicts(sample) WHERE allowed = 0")


@migrations()
def m005_branch_changes(db: Database) -> None:
    """Create the table of what branches do otherwise than the one before: another seed, tasks left out."""
    _create_append_only(db, "branch_changes", {"id": int, **TABLES["branch_changes"]})
    _refuse_replace(db, "branch_changes")


@migrations()
def m006_removals(db: Database) -> None:
    """Create the table of the checkpoints that were removed, and why."""
    _create_append_only(db, "removals", {"id": int, **TABLES["removals"]})
    _refuse_replace(db, "removals")


@migrations()
def m007_links_together(db: Database) -> None:
    """From here on a row of the chain holds the links of several rows, and they are hashed as MessagePack (chain.py).

    The tables stay as they are; a version that knows nothing of it would take such a ledger for a damaged one.
    """


@migrations()
def m008_decisions(db: Database) -> None:
    """Create the table of what people decided about samples, and find those that wait for it without a long search."""
    _create_append_only(db, "decisions", {"id": int, **TABLES["decisions"]})
    _refuse_replace(db, "decisions")
    db.execute("CREATE INDEX decisions_sample ON decisions(sample)")
    db.execute("CREATE INDEX verdicts_noticed ON verdicts(sample) WHERE action > 0")
    db.execute("CREATE INDEX verdicts_held ON verdicts(sample) WHERE action = 6")


@migrations()
def m009_pages(db: Database) -> None:
    """Find what lists are narrowed to, and the little that they count, without reading the long texts of samples.

    Three indexes gain columns, so that their rows need not be looked up.
    """
    for replaced in ("samples_task", "findings_rule", "metrics_name_branch_step"):
        db.execute(f"DROP INDEX IF EXISTS idx_{replaced}")
    db.execute("CREATE INDEX samples_narrow ON samples(id, branch, step, phase, role, kind)")
    db.execute("CREATE INDEX samples_attempts ON samples(task, role, correct) WHERE task IS NOT NULL")
    db.execute("CREATE INDEX findings_rule_sample ON findings(rule, sample, severity)")
    db.execute("CREATE INDEX metrics_curve ON metrics(name, branch, step, value)")
    db.execute("CREATE INDEX rewards_reward ON rewards(reward, sample)")
    db.execute("CREATE INDEX tasks_kind ON tasks(kind)")
    db.execute("CREATE INDEX tasks_program_length ON tasks(length(program))")
    db.execute("CREATE INDEX alert_acks_alert ON alert_acks(alert)")


@migrations()
def m010_alert_outcomes(db: Database) -> None:
    """Create the table of what alerts came to; find a sample's alerts, and samples by their score."""
    _create_append_only(db, "alert_outcomes", {"id": int, **TABLES["alert_outcomes"]})
    _refuse_replace(db, "alert_outcomes")
    db.execute("CREATE INDEX alert_outcomes_alert ON alert_outcomes(alert)")
    db.execute("CREATE INDEX alerts_sample ON alerts(sample) WHERE sample IS NOT NULL")
    db.execute("CREATE INDEX verdicts_score ON verdicts(score, sample)")


def _create_append_only(db: Database, name: str, columns: dict[str, type]) -> None:
    db.table(name).create(columns, pk="id")
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        )


def _refuse_replace(db: Database, name: str) -> None:
    taken = f"EXISTS (SELECT 1 FROM {name} WHERE id = NEW.id)"  # noqa: S608 our own table names
    db.execute(
        f"CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN {taken} "
        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )


def newer_than_this(connection: sqlite3.Connection) -> str:
    """The first migration of a ledger that this version does not know; empty when it knows all of them."""
    table = migrations.migrations_table
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
        return ""
    applied = connection.execute(f"SELECT name FROM {table} WHERE migration_set = ?", (migrations.name,))  # noqa: S608 the library's own table name
    return min((name for (name,) in applied if name not in _known()), default="")


def complete(connection: sqlite3.Connection) -> None:
    """Give a reader of an older ledger the tables that it lacks, empty, and for this connection alone."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in TABLES.keys() - present:
        columns = ", ".join(["id", *TABLES[name]])
        connection.execute(f"CREATE TEMP TABLE {name} ({columns})")


def indexes(connection: sqlite3.Connection) -> frozenset[str]:
    """The names of a ledger's indexes: an older one lacks those that came later."""
    return frozenset(name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'"))


@cache
def _known() -> frozenset[str]:
    nothing = Database(memory=True)
    try:
        return frozenset(migration.name for migration in migrations.pending(nothing))
    finally:
        nothing.close()


def connect(path: str, *, read_only: bool) -> sqlite3.Connection:
    """Open the database file with the pragmas both sides rely on.

    Raises:
        sqlite3.Error: the file is missing, unreadable, or not a database.
    """
    if read_only:
        from urllib.parse import quote

        # SQLite would make files of its own beside it even to read. Where it may not, and nobody writes, it need not.
        alone = not os.access(Path(path).parent, os.W_OK) and not Path(f"{path}-wal").exists()
        uri = f"file:{quote(path)}?mode=ro{'&immutable=1' if alone else ''}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
    else:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout={int(1000 * BUSY_SECONDS)}")
        if not read_only:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA wal_autocheckpoint={LOG_BYTES // size}")
            # FULL: a committed row survives a power cut, which is what "row first" means.
            connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
