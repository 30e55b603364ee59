"""Tamper evidence: each ledger row is hashed together with the digest before it.

``digest_n = BLAKE2b-256(digest_{n-1} || MessagePack of [table, [id, columns ...]])``. Whoever edits, removes, inserts
or reorders rows breaks the chain at that place. There is no secret in it, so two forgeries look intact by themselves:
cutting off the newest rows together with their links, and recomputing every digest from the place of an edit on. Heads
noted elsewhere find both, up to the newest of them: ``verify(..., expected_head, noted)``. ``train`` prints one at the
end, and notes one beside the ledger with each checkpoint (see heads.py).

Each row has a link of its own. A row of the table ``chain`` holds those of consecutive rows of one table that were
committed together: ``id`` is the number of its first link, ``row`` the row that this link is of, and ``digest`` all
their digests one after another. Ledgers from before the migration m007 have one link in each, and hash JSON.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from azr_platform.ledger.heads import Head
from azr_platform.ledger.schema import TABLES

SIZE = 32  # bytes of a digest
GENESIS = bytes(SIZE)
_pack = msgspec.msgpack.Encoder().encode

Row = Sequence[object]  # a row's id and its columns, as SQLite gives them back (see values.py)


class Verification(msgspec.Struct, frozen=True):
    """What a walk along the chain found. ``problem`` is empty when every row is as it was written."""

    rows: int
    head: str
    problem: str = ""

    @property
    def intact(self) -> bool:
        return not self.problem


def digests(previous: bytes, table: str, rows: Iterable[Row]) -> bytes:
    """The digests of the chain's next links, one after another; the last of them is its new head."""
    made: list[bytes] = []
    for row in rows:
        previous = blake2b(previous + _pack((table, row)), digest_size=SIZE).digest()
        made.append(previous)
    return b"".join(made)


def older_digests(previous: bytes, table: str, rows: Iterable[Row]) -> bytes:
    """As ledgers from before the migration m007 have them: of JSON in plain ASCII, without spaces."""
    made: list[bytes] = []
    for row in rows:
        text = json.dumps([table, *row], ensure_ascii=True, separators=(",", ":"))
        previous = blake2b(previous + text.encode("ascii"), digest_size=SIZE).digest()
        made.append(previous)
    return b"".join(made)


def verify(connection: sqlite3.Connection, expected_head: str = "", noted: Iterable[Head] = ()) -> Verification:
    """Walk the whole chain and name the first row that is not as it was written.

    Args:
        expected_head: hex digest noted earlier, at any time in the run's life; it must be on the chain.
        noted: heads noted earlier with their places; each must be on the chain in its place.
    """
    walk = _Walk(expected_head.strip().lower(), noted)
    try:
        # One transaction: rows that a live supervisor adds meanwhile are no insertions.
        with _snapshot(connection):
            problem = walk.links(connection) or walk.counts(connection) or walk.cut()
    except sqlite3.Error as error:
        problem = f"after chain link {walk.rows} it cannot be read ({error})"
    if not problem and not walk.passed:
        problem = f"the chain does not hold the noted head {expected_head}: the newest rows were cut off or rewritten"
    return Verification(walk.rows, walk.head.hex(), problem)


class _Walk:
    """How far along the chain everything is as it was written."""

    def __init__(self, expected_head: str, noted: Iterable[Head]) -> None:
        self.head = GENESIS
        self.rows = 0
        self.passed = expected_head in ("", GENESIS.hex())
        self._expected_head = expected_head
        self._noted: dict[int, list[Head]] = {}
        for one in noted:
            self._noted.setdefault(one.rows, []).append(one)
        self._agreed = 0  # the last link whose digest was noted, too
        self._seen = dict.fromkeys(TABLES, 0)
        self._ways = [digests, older_digests]  # the one that the last row was hashed in first

    def links(self, connection: sqlite3.Connection) -> str:
        """Check every link against its row; returns the first problem."""
        for first, table, row, joined in connection.execute("SELECT id, tbl, row, digest FROM chain ORDER BY id"):
            if first != self.rows + 1:
                return f"chain link {self.rows + 1} is missing"
            if table not in TABLES:
                return f"chain link {first} names no known table"
            due = self._seen[table] + 1
            if row != due:
                return f"{table} row {due} is not where it was (chain link {first} is of another row)"
            if not isinstance(joined, bytes) or not joined or len(joined) % SIZE:
                return f"chain link {first} is damaged: {table} row {row} cannot be held against it"
            if problem := self._rows(connection, table, [joined[at : at + SIZE] for at in range(0, len(joined), SIZE)]):
                return problem
        return ""

    def _rows(self, connection: sqlite3.Connection, table: str, links: list[bytes]) -> str:
        """Check a table's next rows against their links; returns the first problem."""
        first = self._seen[table] + 1
        columns = ", ".join(["id", *TABLES[table]])
        query = f"SELECT {columns} FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id"  # noqa: S608 table is one of ours
        found = connection.execute(query, (first, first + len(links) - 1))
        for row, stored in enumerate(links, first):
            values = next(found, None)
            if values is None or values[0] != row:
                return f"{table} row {row} was removed"
            if not self._holds(table, values, stored):
                return f"{table} row {row} was changed (chain link {self.rows + 1})"
            self._seen[table] = row
            self.head, self.rows = stored, self.rows + 1
            self.passed = self.passed or self.head.hex() == self._expected_head
            if problem := self._against_noted():
                return problem
        return ""

    def _holds(self, table: str, values: Row, stored: bytes) -> bool:
        """Whether a digest is that of a row. No bytes are both MessagePack and JSON, so either way is as good."""
        if any(isinstance(value, bytes) for value in values):  # nothing of ours is a blob, and JSON has none
            return False
        for way in self._ways:
            if way(self.head, table, [values]) == stored:
                if way is not self._ways[0]:
                    self._ways.reverse()
                return True
        return False

    def _against_noted(self) -> str:
        """Check the newest link against the heads noted of it; returns the first problem."""
        for one in self._noted.get(self.rows, ()):
            if one.head != self.head.hex():
                until, self.rows = self.rows, self._agreed  # no more than these are known to be good
                among = f"chain links {self._agreed + 1} to {until}"
                return f"among {among} some were made anew: the head noted {_when(one)} is another"
            self._agreed = self.rows
        return ""

    def counts(self, connection: sqlite3.Connection) -> str:
        """Check that no table holds rows that the chain does not know; returns the first problem."""
        # A ledger of an older version lacks a table; one that the chain knows rows of was looked up above.
        have = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, count in self._seen.items():
            if table not in have:
                continue
            (present,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 table is one of ours
            if present != count:
                query = f"SELECT min(id) FROM {table} WHERE id NOT BETWEEN 1 AND ?"  # noqa: S608 table is one of ours
                (first,) = connection.execute(query, (count,)).fetchone()
                return f"{table} row {first} was inserted: the table holds {present} rows, the chain {count}"
        return ""

    def cut(self) -> str:
        """Check that the chain is as long as it was; returns the first problem."""
        longest = max(self._noted, default=0)
        if longest <= self.rows:
            return ""
        one = self._noted[longest][0]
        first = self.rows + 1
        return f"chain link {first} and all after it were cut off: there were {one.rows} at least, noted {_when(one)}"


def _when(one: Head) -> str:
    return f"at {one.at}" if one.at else "earlier"


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()
