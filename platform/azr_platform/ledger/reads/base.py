"""What every query stands on: one read-only connection, and which indexes the ledger has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from azr_platform.ledger.errors import LedgerBroken

T = TypeVar("T", bound=msgspec.Struct)


class Reads:
    """Rows of a ledger; ``reader.LedgerReader`` opens it and sets these."""

    run_folder: Path
    path: Path
    _connection: sqlite3.Connection
    _indexes: frozenset[str]

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever is committed meanwhile. Keep it short: while it lasts,
        the writer's log cannot be moved into the ledger and grows."""
        if self._connection.in_transaction:
            yield  # of the moment that is already being looked at
            return
        try:
            self._connection.execute("BEGIN")
            yield
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _through(self, index: str) -> str:
        """The words that make SQLite use an index; none for an older ledger, which lacks it and is read without."""
        return f"INDEXED BY {index}" if index in self._indexes else ""

    def _query(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows as they are asked for; a damaged page may come to light at any of them."""
        try:
            yield from self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise LedgerBroken(self.path, str(error)) from error

    def _first(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        return next(self._query(sql, *values), None)

    def _value(self, sql: str, *values: object) -> Any:
        row = self._first(sql, *values)
        assert row is not None, "an aggregate always has a row"
        return row[0]

    def _rows(self, kind: type[T], sql: str, *values: object) -> list[T]:
        return [kind(*row) for row in self._query(sql, *values)]
