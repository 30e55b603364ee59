"""The only writer of a ledger; the supervisor holds it, and nothing else may import it.

All rows of one batch go in one transaction, so a reader sees a whole review or none of it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlite_utils import Database

from azr_platform.ledger import chain, heads
from azr_platform.ledger.errors import LedgerBroken, LedgerBusy, LedgerNewer, UnknownRun
from azr_platform.ledger.migrations import migrations
from azr_platform.ledger.schema import TABLES, connect, newer_than_this
from azr_platform.ledger.values import Form

Row = Mapping[str, object]

_INSERT = {table: f"INSERT INTO {table} VALUES (?{',?' * len(columns)})" for table, columns in TABLES.items()}  # noqa: S608
_FORMS = {table: Form(table, columns) for table, columns in TABLES.items()}

LOCK_ATTEMPTS = 5
LOCK_WAIT_SECONDS = 0.05


class LedgerWriter:
    """Appends rows to ``RUN/ledger.db`` and to its hash chain.

    Raises:
        UnknownRun: the folder does not exist.
        LedgerBusy: another supervisor writes this run.
        LedgerNewer: a later version of this package wrote it.
        LedgerBroken: the file is not a ledger, or SQLite or the system refused it.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / "ledger.db"
        self._lock = _take_lock(run / "supervisor.lock")
        connection = None
        try:
            self._connection = connection = connect(str(self.path), read_only=False)
            if unknown := newer_than_this(connection):
                raise LedgerNewer(self.path, unknown)
            migrations.apply(Database(self._connection))
            self._next = {
                name: 1 + (self._connection.execute(f"SELECT max(id) FROM {name}").fetchone()[0] or 0)  # noqa: S608 our own table names
                for name in TABLES
            }
            self._links, self._head = _end_of_chain(self._connection)
        except (sqlite3.Error, LedgerNewer) as error:
            if connection is not None:
                connection.close()
            self._lock.close()
            if isinstance(error, LedgerNewer):
                raise
            raise LedgerBroken(self.path, str(error)) from error
        self._log_path = self.path.with_name(self.path.name + "-wal")
        self._log = _inode(self._log_path)  # what SQLite appends to until it moves rows into the file itself

    @property
    def head(self) -> str:
        """Hex digest of the newest row: note it elsewhere to prove later that nothing was rewritten."""
        return self._head.hex()

    @property
    def rows(self) -> int:
        """How many rows the ledger holds, those of all tables together."""
        return self._links

    def note_head(self, at: str) -> None:
        """Note the head beside the ledger (see heads.py).

        Raises:
            LedgerBroken: it cannot be written.
        """
        try:
            heads.note(self.path.parent, self.rows, self.head, at)
        except OSError as error:
            raise LedgerBroken(self.path.with_name(heads.FILE), error.strerror or str(error)) from error

    def append(self, table: str, row: Row) -> int:
        """Append and commit one row; returns its id."""
        with self.batch() as batch:
            return batch.add(table, row)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect rows of any tables and commit them together, durably, when the block ends."""
        batch = Batch(dict(self._next))
        self._keep_log(batch)
        yield batch
        links, head = self._links, self._head
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for table, rows in batch.rows.items():
                digests = chain.digests(head, table, rows)
                self._connection.executemany(_INSERT[table], rows)
                self._connection.execute("INSERT INTO chain VALUES (?,?,?,?)", (links + 1, table, rows[0][0], digests))
                links, head = links + len(rows), digests[-chain.SIZE :]
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error):
                raise
            raise LedgerBroken(self.path, str(error)) from error
        self._next, self._links, self._head = batch.next_ids, links, head
        self._log = _inode(self._log_path)

    def _keep_log(self, batch: Batch) -> None:
        """SQLite's log was removed under our hands: while it is open, its rows can still be moved into the ledger.

        Raises:
            LedgerBroken: they cannot be moved now.
        """
        if self._log in (None, _inode(self._log_path)):
            return
        try:
            (busy, *_), *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if busy:
                raise sqlite3.OperationalError("database is locked")
            self._connection.close()
            self._connection = connect(str(self.path), read_only=False)
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error
        message = f"{self._log_path.name} was removed or replaced while the run went on; its rows were saved"
        batch.add("notices", {"time": time.time(), "source": "ledger", "message": message})

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Batch:
    """Rows that will be committed together. Ids are known at once, so rows can refer to one another."""

    def __init__(self, next_ids: dict[str, int]) -> None:
        self.next_ids = next_ids
        self.rows: dict[str, list[Sequence[object]]] = {}

    def add(self, table: str, row: Row) -> int:
        """Queue one row; a missing column is NULL. Returns the row's id.

        Raises:
            KeyError, TypeError: no such column, or a value that does not belong in it; a programming error.
        """
        number = self.next_ids[table]
        self.rows.setdefault(table, []).append(_FORMS[table].row(number, row))
        self.next_ids[table] = number + 1
        return number


def _end_of_chain(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """(how many links the chain has, the digest of the last)."""
    last = connection.execute("SELECT id, digest FROM chain ORDER BY id DESC LIMIT 1").fetchone()
    if last is None:
        return 0, chain.GENESIS
    first, digests = last
    if not isinstance(digests, bytes) or len(digests) < chain.SIZE:
        raise sqlite3.DatabaseError(f"chain link {first} is damaged")
    return first - 1 + len(digests) // chain.SIZE, digests[-chain.SIZE :]


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _take_lock(path: Path) -> IO[str]:
    """One supervisor a run. The kernel drops the lock when its holder dies, however it dies."""
    try:
        handle = path.open("a+")
    except FileNotFoundError:
        raise UnknownRun(path.parent) from None
    except OSError as error:
        raise LedgerBroken(path, error.strerror or str(error)) from error
    for attempt in reversed(range(LOCK_ATTEMPTS)):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # A reader that asks whether a supervisor lives holds the lock for a moment.
            if attempt:
                time.sleep(LOCK_WAIT_SECONDS)
                continue
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise LedgerBusy(path.parent, holder) from None
    handle.truncate(0)
    handle.write(f"pid {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    handle.flush()
    return handle
