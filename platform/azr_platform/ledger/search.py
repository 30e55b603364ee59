"""``RUN/search.db``: which words a run's samples hold, and which tasks their prompts showed.

Whoever searches makes it from the ledger, whose writer knows nothing of it. It is no part of the record: it proves
nothing, may be removed at any time, and each search brings it up to date. What a search shows is read from the ledger.
"""

from __future__ import annotations

import os
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from azr_platform.ledger.errors import SearchUnavailable
from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import SampleRow

FILE = "search.db"
AT_ONCE = 2000  # samples that are added in one transaction
# Another number when the tables below mean something else: an index of an older form is made anew.
FORM = 2
_TABLES = (
    "CREATE TABLE about (origin BLOB, upto INTEGER)",
    "CREATE VIRTUAL TABLE words USING fts5(response, content='', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TABLE shown (task TEXT, sample INTEGER, PRIMARY KEY (task, sample)) WITHOUT ROWID",
)
_USABLE = "SELECT origin FROM about WHERE typeof(upto) = 'integer' AND upto BETWEEN 0 AND ?"
_PART = re.compile(r"[^\W_]+")
_WORD = re.compile(r'"([^"]*)"?|(\S+)')
_AROUND = 80  # characters of a snippet before and after the first match


class Snippet(NamedTuple):
    """A part of a model's text around the first match, with the places of all matches in it: escape it when shown."""

    text: str
    spans: list[tuple[int, int]]


class Found(NamedTuple):
    """A sample that holds the words, and where."""

    sample: SampleRow
    snippet: Snippet


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
        behind = 1
        while behind:
            behind = self.go_on(total)
            told(total - behind, total)

    def go_on(self, total: int | None = None) -> int:
        """Add the next samples, no more than take a moment; returns how many are still to be added."""
        total = self._reader.newest_sample() if total is None else total
        try:
            return max(0, total - self._add(total))
        except sqlite3.Error as error:
            raise SearchUnavailable(self._path, str(error)) from error

    def find(self, words: Sequence[str], limit: int) -> tuple[int, list[int]]:
        """(how many samples hold all of the words, the newest of them, newest first)."""
        query = " ".join(map(_quoted, words))
        ((count,),) = self._all("SELECT count(*) FROM words WHERE words MATCH ?", query)
        newest = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"
        return int(count), [number for (number,) in self._all(newest, query, limit)]

    def page(self, wanted: SampleFilter, *, limit: int = 200, beyond: int | None = None) -> list[Found]:
        """A page of the samples that hold the filter's words and that the rest of it lets pass; pass the last id as
        ``beyond`` for the next page."""
        words = words_of(wanted.text)
        rows = self._reader.sample_rows(self.numbers_page(wanted, limit=limit, beyond=beyond))
        texts = {row.id: text for row in rows for _, text in self._reader.responses(row.id, row.id)}
        return [Found(row, snippet(texts.get(row.id) or "", words)) for row in rows]

    def numbers_page(self, wanted: SampleFilter, *, limit: int, beyond: int | None = None) -> list[int]:
        """As ``page``, and only the ids."""
        begin = self._reader.begin_of_steps(wanted) if beyond is None else beyond
        numbers = self._numbers(words_of(wanted.text), begin, wanted.oldest_first)
        return self._reader.numbers_page(wanted, limit=limit, beyond=beyond, among=numbers)

    def descendants(self, task: str, *, limit: int = 200, beyond: int | None = None) -> list[SampleRow]:
        """The proposals whose prompts showed a task, oldest first; pass the last id as ``beyond`` for the next page."""
        query = "SELECT sample FROM shown WHERE task = ? AND sample > ? ORDER BY sample LIMIT ?"
        return self._reader.sample_rows([number for (number,) in self._all(query, task, beyond or 0, limit)])

    def uses(self, tasks: Sequence[str]) -> dict[str, int]:
        """How many proposals' prompts showed each of some tasks."""
        query = "SELECT count(*) FROM shown WHERE task = ?"
        return {task: count for task in tasks for (count,) in self._all(query, task)}

    def known(self, words: Iterable[str]) -> dict[str, int]:
        """In how many samples each of some single words occurs; those that occur in none are left out."""
        list(self._all("CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, words, row)"))
        counts = {}
        for word in words:
            for (count,) in self._all("SELECT doc FROM temp.vocabulary WHERE term = ?", plain(word)):
                counts[word] = int(count)
        return counts

    def ranked(self, words: Iterable[str], limit: int) -> list[int]:
        """The samples that hold any of the words, most of the rarest first (BM25, Robertson and Zaragoza 2009)."""
        query = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        return [number for (number,) in self._all(query, " OR ".join(map(_quoted, words)), limit)]

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> SearchIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------------

    def _all(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.Error as error:
            raise SearchUnavailable(self._path, str(error)) from error

    def _numbers(self, words: Sequence[str], beyond: int | None, oldest_first: bool) -> Iterator[int]:
        """Ids of the samples that hold all words, found as they are asked for; none when there is no word."""
        side, order = (">", "") if oldest_first else ("<", "DESC")
        start = (0 if oldest_first else 2**62) if beyond is None else beyond
        query = f"SELECT rowid FROM words WHERE words MATCH ? AND rowid {side} ? ORDER BY rowid {order}"  # noqa: S608 words of our own
        for (number,) in self._all(query, " ".join(map(_quoted, words)), start):
            yield number

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
            shown = ((task, sample) for sample, task in self._reader.shown(upto + 1, until))
            self._connection.executemany("INSERT OR IGNORE INTO shown (task, sample) VALUES (?, ?)", shown)
            self._connection.execute("UPDATE about SET upto = ?", (until,))
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return int(until)


def plain(word: str) -> str:
    """A word as the index holds it: small letters without accents."""
    apart = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def different_words(text: str) -> list[str]:
    """The different words of a text, each as the index holds it, in the order in which they come."""
    return list(dict.fromkeys(filter(None, map(plain, _PART.findall(text)))))


def words_of(text: str) -> list[str]:
    """What somebody typed as the words to look for: blanks part them, unless they stand in double quotes.

    Words without a letter or digit are left out, since no index holds them.
    """
    words = [quoted or word for quoted, word in _WORD.findall(text)]
    return [word for word in words if any(map(str.isalnum, word))]


def places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words stand in a text, in order and without overlaps; empty where only the index, which knows no
    accents, sees them."""
    spans = sorted(found.span() for word in words for found in re.finditer(_pattern(word), text, re.IGNORECASE))
    apart: list[tuple[int, int]] = []
    for start, end in spans:
        if not apart or start >= apart[-1][1]:
            apart.append((start, end))
        elif end > apart[-1][1]:
            apart[-1] = (apart[-1][0], end)
    return apart


def place(text: str, words: Sequence[str]) -> tuple[int, int]:
    """Where the first of the words stands in a text; (0, 0) where there is none to be seen."""
    return next(iter(places(text, words)), (0, 0))


def snippet(text: str, words: Sequence[str]) -> Snippet:
    """The text around the first match, or its beginning where none is to be seen."""
    found = places(text, words)
    first, last = found[0] if found else (0, 0)
    start, end = max(0, first - _AROUND), last + _AROUND
    return Snippet(text[start:end], [(a - start, min(b, end) - start) for a, b in found if start <= a < end])


def _pattern(word: str) -> str:
    parts = r"[\W_]+".join(map(re.escape, _PART.findall(word)))
    end = "" if word.endswith("*") else r"(?![^\W_])"
    return rf"(?<![^\W_]){parts}{end}" if parts else r"(?!)"


def _quoted(word: str) -> str:
    """A word, or several in this order, as FTS5 takes them for nothing else; ``*`` at the end: any that begins so."""
    text = word.encode("utf-8", "backslashreplace").decode("utf-8").replace('"', '""').replace("\0", " ")
    return f'"{text.rstrip("*")}"{"*" if text.endswith("*") else ""}'
