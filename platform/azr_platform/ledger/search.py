"""``RUN/search.db``: which words a run's samples hold, made from the ledger by whoever searches, never by its writer.

It is no part of the record: it proves nothing, may be removed at any time, and each search brings it up to date. What
a search shows is read from the ledger.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Sequence

from azr_platform.ledger.errors import SearchUnavailable
from azr_platform.ledger.reader import LedgerReader

FILE = "search.db"
AT_ONCE = 2000  # samples that are added in one transaction
# Another number when the tables below mean something else: an index of an older form is made anew.
FORM = 1
_TABLES = (
    "CREATE TABLE about (origin BLOB, upto INTEGER)",
    "CREATE VIRTUAL TABLE words USING fts5(response, content='', tokenize='unicode61 remove_diacritics 2')",
)
_USABLE = "SELECT origin FROM about WHERE typeof(upto) = 'integer' AND upto BETWEEN 0 AND ?"
_PART = re.compile(r"[^\W_]+")


class SearchIndex:
    """Words of all samples' responses. Where the run's folder may not be written to, it lives in memory.

    Raises:
        SearchUnavailable: this Python's SQLite has no full-text search, or the disk refuses.
    """

    def __init__(self, reader: LedgerReader, *, anew: bool = False) -> None:
        self._reader = reader
        self._path = reader.run_folder / FILE
        if anew:
            self._path.unlink(missing_ok=True)
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            raise SearchUnavailable(self._path, str(error)) from error

    def update(self, told: Callable[[int, int], object] = lambda done, total: None) -> None:
        """Add what the ledger holds and the index does not; ``told`` hears (samples done, samples there are)."""
        total = self._reader.newest_sample()
        try:
            done = -1
            while done < total:
                done = self._add(total)
                told(done, total)
        except sqlite3.Error as error:
            raise SearchUnavailable(self._path, str(error)) from error

    def find(self, words: Sequence[str], limit: int) -> tuple[int, list[int]]:
        """(how many samples hold all of the words, the newest of them, newest first)."""
        query = " ".join(map(_quoted, words))
        newest = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"
        try:
            (count,) = self._connection.execute("SELECT count(*) FROM words WHERE words MATCH ?", (query,)).fetchone()
            return int(count), [number for (number,) in self._connection.execute(newest, (query, limit))]
        except sqlite3.Error as error:
            raise SearchUnavailable(self._path, str(error)) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> SearchIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        """The index of this very ledger; one that is damaged, older or another ledger's is made anew."""
        if not os.access(self._path.parent, os.W_OK):
            return self._fit(sqlite3.connect(":memory:", isolation_level=None))
        if self._path.is_symlink():  # whoever put it there: nothing is written to where it leads
            self._path.unlink()
        try:
            return self._fit(sqlite3.connect(self._path, isolation_level=None, timeout=60))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)
            return self._fit(sqlite3.connect(self._path, isolation_level=None, timeout=60))

    def _fit(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("BEGIN IMMEDIATE")
            (form,) = connection.execute("PRAGMA user_version").fetchone()
            if form == 0:
                for table in _TABLES:
                    connection.execute(table)
                connection.execute("INSERT INTO about VALUES (?, 0)", (self._reader.origin(),))
                connection.execute(f"PRAGMA user_version={FORM}")
            elif form != FORM or connection.execute(_USABLE, (self._reader.newest_sample(),)).fetchone() != (
                self._reader.origin(),
            ):
                raise sqlite3.DatabaseError("the index of another ledger or version, or one that was tampered with")
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _add(self, total: int) -> int:
        """Index the next samples in one transaction, beside whoever else does; returns how far it is now."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            (upto,) = self._connection.execute("SELECT upto FROM about").fetchone()
            until = max(upto, min(total, upto + AT_ONCE))
            responses = self._reader.responses(upto + 1, until)
            self._connection.executemany("INSERT INTO words (rowid, response) VALUES (?, ?)", responses)
            self._connection.execute("UPDATE about SET upto = ?", (until,))
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return int(until)


def place(text: str, words: Sequence[str]) -> tuple[int, int]:
    """Where the first of the words stands in a text; (0, 0) where only the index, which knows no accents, sees it."""
    spans = [found.span() for word in words if (found := re.search(_pattern(word), text, re.IGNORECASE))]
    return min(spans, default=(0, 0))


def _pattern(word: str) -> str:
    parts = r"[\W_]+".join(map(re.escape, _PART.findall(word)))
    end = "" if word.endswith("*") else r"(?![^\W_])"
    return rf"(?<![^\W_]){parts}{end}" if parts else r"(?!)"


def _quoted(word: str) -> str:
    """A word, or several in this order, as FTS5 takes them for nothing else; ``*`` at the end: any that begins so."""
    text = word.encode("utf-8", "backslashreplace").decode("utf-8").replace('"', '""').replace("\0", " ")
    return f'"{text.rstrip("*")}"{"*" if text.endswith("*") else ""}'
