"""Tamper evidence: each ledger row is hashed together with the digest before it.

``digest_n = BLAKE2b-256(digest_{n-1} || table || id || canonical JSON of the columns)``. Whoever edits, removes,
inserts or reorders rows breaks the chain at that place. It cannot prove that nobody rewrote the *whole* file
and recomputed every digest; for that, compare the head with one noted elsewhere (`train` prints it).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from azr_platform.ledger.schema import TABLES

GENESIS = bytes(32)


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
    content = json.dumps([table, row, *values], ensure_ascii=True, separators=(",", ":"))
    return blake2b(previous + content.encode("ascii"), digest_size=32).digest()


def storable(value: object) -> object:
    """What SQLite gives back for a value: booleans become integers, NaN and infinities NULL."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        # A lone surrogate cannot be stored as UTF-8; it is kept visible as an escape.
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def verify(connection: sqlite3.Connection) -> Verification:
    """Walk the whole chain and name the first row that is not as it was written."""
    previous, expected, seen = GENESIS, 1, dict.fromkeys(TABLES, 0)
    for seq, table, row, stored in connection.execute("SELECT id, tbl, row, digest FROM chain ORDER BY id"):
        if seq != expected:
            return Verification(expected - 1, previous.hex(), f"chain link {expected} is missing")
        if table not in TABLES:
            return Verification(seq - 1, previous.hex(), f"chain link {seq} names no known table")
        seen[table] += 1
        columns = ", ".join(TABLES[table])
        found = connection.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (row,)).fetchone()  # noqa: S608 table is one of ours
        if found is None:
            return Verification(seq - 1, previous.hex(), f"{table} row {row} was removed")
        previous_next = digest(previous, table, row, found)
        if previous_next != stored:
            return Verification(seq - 1, previous.hex(), f"{table} row {row} was changed (chain link {seq})")
        previous, expected = previous_next, seq + 1
    for table, count in seen.items():
        (present,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 table is one of ours
        if present != count:
            return Verification(
                expected - 1,
                previous.hex(),
                f"{table} holds {present} rows, the chain {count}: rows were inserted",
            )
    return Verification(expected - 1, previous.hex())
