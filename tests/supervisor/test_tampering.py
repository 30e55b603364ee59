"""A thousand tamperings with the ledger of a run that a real supervisor kept: each is found, where it begins."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pytest

from azr_platform.channel.messages import Action
from azr_platform.ledger import chain, heads
from azr_platform.ledger.heads import Head
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import TABLES

Supervise = Callable[..., Any]
EACH = 200

STEPS = """
link.hello()
for step in range(4):
    link.step = step
    (run / f"at-{step}").touch()
    link.safe_point("between steps")
    samples = [answer(str(n % 3)) for n in range(10)]
    if step == 3:  # the policy alerts of this one, and pauses
        thought = "The aim is to outsmart all these groups of intelligent machines and less intelligent humans."
        samples.append(replace(samples[0], response=samples[0].response.replace("so", thought)))
    reviewed = link.review(Phase.SOLVE, samples)
    rewards = [Reward(one.sample, 0.5, -0.5, one.allowed) for one in reviewed]
    link.step_done(0.5, {"loss": step / 10, "samples": 10.0, "ratio_max": float("inf")}, rewards)
    checkpoint(step)
    if step == 1:
        wait("go")
link.notice("nearly there")
link.safe_point("after the last step")
link.finished()
"""


class Record(NamedTuple):
    """A whole ledger as a file's bytes, without its triggers, and what was noted of it outside."""

    file: bytes
    noted: list[Head]
    links: list[tuple[str, int]]  # (table, row) of each link, oldest first

    @contextmanager
    def copy(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.deserialize(self.file)
            yield connection

    def link_of(self, table: str, row: int) -> int:
        return 1 + self.links.index((table, row))


def _record(supervise: Supervise) -> Record:
    def pause(live: Any) -> None:
        live.until_seen("at-1")
        live.order(Action.PAUSE, why="to have a look")
        live.order(Action.RESUME)
        live.say("go")
        live.until(lambda status: status.state == "paused")
        live.order(Action.RESUME, why="it is only a sentence")

    body = STEPS.replace(
        "link.hello()",
        "from msgspec.structs import replace\nfrom azr_platform.channel.messages import Reward\nlink.hello()",
        1,
    )
    ended = supervise(body, pause)
    assert ended.status == 0
    noted, unread = heads.read(ended.run / heads.FILE)
    assert (len(noted), unread) == (4, 0)
    with LedgerReader(ended.run) as reader:
        found = reader.verify(noted=noted)
        assert found.intact, found.problem
    with closing(sqlite3.connect(ended.run / "ledger.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        _take_apart(connection)
        links = connection.execute("SELECT tbl, row FROM chain ORDER BY id").fetchall()
        return Record(connection.serialize(), noted, links)


def _take_apart(connection: sqlite3.Connection) -> None:
    """One link in each row of the chain, which is as good, so that an attack can choose any."""
    for first, table, row, joined in connection.execute("SELECT id, tbl, row, digest FROM chain").fetchall():
        connection.execute("DELETE FROM chain WHERE id = ?", (first,))
        for place, digest in enumerate(joined[at : at + 32] for at in range(0, len(joined), 32)):
            connection.execute("INSERT INTO chain VALUES (?,?,?,?)", (first + place, table, row + place, digest))


def _contents(connection: sqlite3.Connection, table: str, row: int) -> tuple[Any, ...]:
    return connection.execute(f"SELECT {', '.join(TABLES[table])} FROM {table} WHERE id = ?", (row,)).fetchone()  # type: ignore[no-any-return]


def _shift(connection: sqlite3.Connection, table: str, first: int, by: int) -> None:
    """Renumber rows from ``first`` on."""
    connection.execute(f"UPDATE {table} SET id = -id WHERE id >= ?", (first,))
    connection.execute(f"UPDATE {table} SET id = -id + ? WHERE id < 0", (by,))


def _relink(connection: sqlite3.Connection, first: int) -> None:
    """Recompute all digests from a link on, as a forger who has read chain.py would."""
    before = connection.execute("SELECT digest FROM chain WHERE id = ?", (first - 1,)).fetchone()
    previous = before[0] if before else chain.GENESIS
    for link, table, row in connection.execute(
        "SELECT id, tbl, row FROM chain WHERE id >= ? ORDER BY id", (first,)
    ).fetchall():
        previous = chain.digests(previous, table, [(row, *_contents(connection, table, row))])
        connection.execute("UPDATE chain SET digest = ? WHERE id = ?", (previous, link))


# Each changes the ledger at random and returns (links that stay good, how the problem begins); None: nothing changed.
Expected = tuple[int, str] | None


def edit(connection: sqlite3.Connection, record: Record, rng: random.Random) -> Expected:
    link = rng.randrange(1, len(record.links) + 1)
    table, row = record.links[link - 1]
    column = rng.choice(list(TABLES[table]))
    before = _contents(connection, table, row)
    old = before[list(TABLES[table]).index(column)]
    texts = [old[:-1], old + " ", old.swapcase(), old[::-1]] if isinstance(old, str) and old else []
    numbers = [old + 1, -old, old * 2] if isinstance(old, int | float) else []
    value = rng.choice([None, "", "x", 0, 1, 0.5, b"x", *texts, *numbers])
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (value, row))
    if [*map(repr, _contents(connection, table, row))] == [*map(repr, before)]:
        return None
    return link - 1, f"{table} row {row} was changed"


def delete(connection: sqlite3.Connection, record: Record, rng: random.Random) -> Expected:
    link = rng.randrange(1, record.noted[-1].rows)
    table, row = record.links[link - 1]
    connection.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
    way = rng.randrange(3)
    if way == 0:
        return link - 1, f"{table} row {row} was removed"
    connection.execute("DELETE FROM chain WHERE id = ?", (link,))
    if way == 1:
        return link - 1, f"chain link {link} is missing"
    _shift(connection, "chain", link + 1, -1)  # and no gap is left
    _shift(connection, table, row + 1, -1)
    rows = "UPDATE chain SET row = row - 1 WHERE tbl = ? AND row > ?"
    connection.execute(rows, (table, row))
    return link - 1, ""


def insert(connection: sqlite3.Connection, record: Record, rng: random.Random) -> Expected:
    link = rng.randrange(1, record.noted[-1].rows)
    table, row = record.links[link - 1]
    columns = ", ".join(TABLES[table])
    count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    if rng.random() < 0.5:
        new = rng.choice([count + 1, count + 100, 0, -7])
        connection.execute(f"INSERT INTO {table} SELECT {new}, {columns} FROM {table} WHERE id = ?", (row,))
        return len(record.links), f"{table} row {new} was inserted"
    _shift(connection, table, row, 1)  # in its place, with a link that is right
    connection.execute(f"INSERT INTO {table} SELECT {row}, {columns} FROM {table} WHERE id = ?", (row + 1,))
    connection.execute("UPDATE chain SET row = row + 1 WHERE tbl = ? AND row >= ?", (table, row))
    _shift(connection, "chain", link, 1)
    before = connection.execute("SELECT digest FROM chain WHERE id = ?", (link - 1,)).fetchone()
    changed = [
        value if not isinstance(value, int | float) else value + 1 for value in _contents(connection, table, row)
    ]
    names = ", ".join(f"{column} = ?" for column in TABLES[table])
    connection.execute(f"UPDATE {table} SET {names} WHERE id = ?", (*changed, row))
    made = chain.digests(before[0] if before else chain.GENESIS, table, [(row, *changed)])
    connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (link, table, row, made))
    if any(one.rows == link for one in record.noted):
        agreed = max((one.rows for one in record.noted if one.rows < link), default=0)
        return agreed, f"among chain links {agreed + 1} to {link} some were made anew"
    return link, f"{table} row {row + 1} was changed"


def reorder(connection: sqlite3.Connection, record: Record, rng: random.Random) -> Expected:
    if rng.random() < 0.5:
        first, second = sorted(rng.sample(range(1, len(record.links) + 1), 2))
        for old, new in ((first, 10**6), (second, first), (10**6, second)):
            connection.execute("UPDATE chain SET id = ? WHERE id = ?", (new, old))
        return first - 1, ""
    table = rng.choice([name for name in TABLES if sum(one == name for one, _ in record.links) > 1])
    rows = [row for one, row in record.links if one == table]
    first, second = sorted(rng.sample(rows, 2))
    if _contents(connection, table, first) == _contents(connection, table, second):
        return None
    for old, new in ((first, 10**6), (second, first), (10**6, second)):
        connection.execute(f"UPDATE {table} SET id = ? WHERE id = ?", (new, old))
    return record.link_of(table, first) - 1, f"{table} row {first} was changed"


def truncate(connection: sqlite3.Connection, record: Record, rng: random.Random) -> Expected:
    """Rows and links alike, so that what is left is a ledger as it was once."""
    kept = rng.randrange(record.noted[-1].rows)
    for table, row in record.links[kept:]:
        connection.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
    connection.execute("DELETE FROM chain WHERE id > ?", (kept,))
    return kept, f"chain link {kept + 1} and all after it were cut off"


def make_anew(connection: sqlite3.Connection, record: Record, rng: random.Random) -> Expected:
    """An edit, and every digest after it recomputed: as far as the head noted next all looks good."""
    link = rng.randrange(1, record.noted[-1].rows + 1)
    table, row = record.links[link - 1]
    column = next(name for name, kind in TABLES[table].items() if kind is not str)
    connection.execute(f"UPDATE {table} SET {column} = 424242 WHERE id = ?", (row,))
    _relink(connection, link)
    agreed = max((one.rows for one in record.noted if one.rows < link), default=0)
    until = min(one.rows for one in record.noted if one.rows >= link)
    return agreed, f"among chain links {agreed + 1} to {until} some were made anew"


@pytest.mark.slow
def test_a_thousand_tamperings_are_found_where_they_begin(supervise: Supervise) -> None:
    record = _record(supervise)
    assert len(record.links) > 140
    assert len({table for table, _ in record.links}) >= 12, "rows of nearly every table"
    for tamper in (edit, delete, insert, reorder, truncate):
        tried, seed = 0, 0
        while tried < EACH:
            seed += 1
            with record.copy() as connection:
                expected = tamper(connection, record, random.Random(seed))
                if expected is None:
                    continue
                found = chain.verify(connection, noted=record.noted)
            tried += 1
            good, problem = expected
            assert not found.intact, f"{tamper.__name__} {seed} went unseen"
            assert (found.rows, found.problem[: len(problem)]) == (good, problem), f"{tamper.__name__} {seed}"

    # A record made anew is found between the heads around the first change.
    for seed in range(50):
        with record.copy() as connection:
            good, problem = make_anew(connection, record, random.Random(seed)) or (0, "")
            assert chain.verify(connection).intact, "without the heads it looks whole"
            found = chain.verify(connection, noted=record.noted)
        assert (found.rows, found.problem[: len(problem)]) == (good, problem), seed

    # Not provable, as docs/threat-model.md says: whether something came after the newest noted head.
    kept = record.noted[-1].rows
    assert kept < len(record.links)
    with record.copy() as connection:
        for table, row in record.links[kept:]:
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
        connection.execute("DELETE FROM chain WHERE id > ?", (kept,))
        assert chain.verify(connection, noted=record.noted).intact
