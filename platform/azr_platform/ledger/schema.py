"""The ledger's tables, and how its file is opened.

Every table is append-only (triggers refuse UPDATE, DELETE and REPLACE): what becomes known later, such as a sample's
reward, is a row of its own. ``branch`` and ``step`` place a row in the run; a rollback opens a new branch, so
rows are never removed, only left behind on an older one.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

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
    "audit_starts": {
        "time": float,
        "audit": str,
        "policy": str,
        "fingerprint": str,
        "settings": str,
        "selection": str,
        "version": str,
        "head": str,
        "rows": int,
        "who": str,
    },
    "audit_ends": {"time": float, "audit": str, "left_out": str},
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
    "policies": {
        "time": float,
        "branch": int,
        "step": int,
        "name": str,
        "fingerprint": str,
        "settings": str,
        "rule": str,
        "setting": str,
        "before": str,
        "after": str,
        "who": str,
        "why": str,
    },
}
KNOWN = frozenset(
    (
        "m001_tables",
        "m002_chain",
        "m003_no_replace",
        "m004_blocked",
        "m005_branch_changes",
        "m006_removals",
        "m007_links_together",
        "m008_decisions",
        "m009_pages",
        "m010_alert_outcomes",
        "m011_policies",
        "m012_audits",
    )
)
"""The migrations (migrations.py) by name: what reads a ledger need not know how it is made."""
MIGRATION_SET = "azr_platform.ledger"
MIGRATIONS_TABLE = "_sqlite_migrations"


def newer_than_this(connection: sqlite3.Connection) -> str:
    """The first migration of a ledger that this version does not know; empty when it knows all of them."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (MIGRATIONS_TABLE,)).fetchone():
        return ""
    query = f"SELECT name FROM {MIGRATIONS_TABLE} WHERE migration_set = ?"  # noqa: S608 a name of our own
    applied = connection.execute(query, (MIGRATION_SET,))
    return min((name for (name,) in applied if name not in KNOWN), default="")


def complete(connection: sqlite3.Connection) -> None:
    """Give a reader of an older ledger the tables that it lacks, empty, and for this connection alone."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in TABLES.keys() - present:
        columns = ", ".join(["id", *TABLES[name]])
        connection.execute(f"CREATE TEMP TABLE {name} ({columns})")


def indexes(connection: sqlite3.Connection) -> frozenset[str]:
    """The names of a ledger's indexes: an older one lacks those that came later."""
    return frozenset(name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'"))


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
            # What undoes one statement is kept in memory: with so many indexes it would go through a file otherwise.
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute("PRAGMA journal_mode=WAL")
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA wal_autocheckpoint={LOG_BYTES // size}")
            # FULL: a committed row survives a power cut, which is what "row first" means.
            connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
