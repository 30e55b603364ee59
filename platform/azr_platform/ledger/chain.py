"""Tamper evidence: each ledger row is hashed together with the digest before it.

``digest_n = BLAKE2b-256(digest_{n-1} || table || id || canonical JSON of the columns)``. Whoever edits, removes,
inserts or reorders rows breaks the chain at that place. There is no secret in it, so two forgeries look intact
by themselves: cutting off the newest rows together with their links, and recomputing every digest from the
place of an edit on. Heads noted elsewhere find both, up to the newest of them: ``verify(..., expected_head, noted)``.
``train`` prints one at the end, and notes one beside the ledger with each checkpoint (see heads.py).
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from azr_platform.ledger.heads import Head
from azr_platform.ledger.schema import TABLES

GENESIS = bytes(32)
_quick = msgspec.json.Encoder().encode


class Verification(msgspec.Struct, frozen=True):
    """What a walk along the chain found. ``problem`` is empty when every row is as it was written."""

    rows: int
    head: str
    problem: str = ""

    @property
    def intact(self) -> bool:
        return not self.problem


def digest(previous: bytes, table: str, row: int, values: Sequence[object]) -> bytes:
    """The chain's next link, 32 bytes."""
    return blake2b(previous + canonical([table, row, *values]), digest_size=32).digest()


def canonical(values: Sequence[object]) -> bytes:
    """JSON in plain ASCII, as ``json.dumps`` writes it without spaces; for most rows at a fifth of its cost."""
    if all(type(value) is not float or value == 0.0 or 1e-4 <= abs(value) < 1e16 for value in values):
        quick = _quick(values)
        if quick.isascii() and b"\x7f" not in quick:
            return quick
    return json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def storable(value: object, kind: type) -> object:
    """What SQLite gives back for a value kept in a column of a kind (int, float or str), so that it hashes alike.

    Booleans become integers; NaN and infinities NULL; an integer beyond 64 bits the nearest one that fits; -0.0
    is 0.0; a lone surrogate, which UTF-8 has no bytes for, its escape.

    Raises:
        TypeError: the value does not belong in such a column.
    """
    if value is None or (kind is str and type(value) is str and value.isascii()):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if kind is str and isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if kind is int and isinstance(value, int):
        return max(-(2**63), min(2**63 - 1, int(value)))
    if kind is int and isinstance(value, float) and value.is_integer():
        return storable(int(value), int)
    if kind is float and isinstance(value, int | float):
        try:
            return float(value) + 0.0
        except OverflowError:
            return None
    raise TypeError(f"{value!r} is no {kind.__name__}")


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

    def links(self, connection: sqlite3.Connection) -> str:
        """Check every link against its row; returns the first problem."""
        for seq, table, row, stored in connection.execute("SELECT id, tbl, row, digest FROM chain ORDER BY id"):
            if seq != self.rows + 1:
                return f"chain link {self.rows + 1} is missing"
            if table not in TABLES:
                return f"chain link {seq} names no known table"
            due = self._seen[table] + 1
            if row != due:
                return f"{table} row {due} is not where it was (chain link {seq} is of another row)"
            columns = ", ".join(TABLES[table])
            found = connection.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (row,)).fetchone()  # noqa: S608 table is one of ours
            if found is None:
                return f"{table} row {row} was removed"
            # Nothing of ours is a blob, and none could be hashed.
            if any(isinstance(value, bytes) for value in found) or digest(self.head, table, row, found) != stored:
                return f"{table} row {row} was changed (chain link {seq})"
            self._seen[table] += 1
            self.head, self.rows = stored, seq
            self.passed = self.passed or self.head.hex() == self._expected_head
            for one in self._noted.get(seq, ()):
                if one.head != self.head.hex():
                    self.rows = self._agreed  # no more than these are known to be good
                    among = f"chain links {self._agreed + 1} to {seq}"
                    return f"among {among} some were made anew: the head noted {_when(one)} is another"
                self._agreed = seq
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
