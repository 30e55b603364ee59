"""The hash chain: whatever is changed behind the writer's back is found."""

from __future__ import annotations

import json
import math
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.ledger import chain
from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import TABLES
from azr_platform.ledger.values import storable
from azr_platform.ledger.writer import LedgerWriter

Tamper = Callable[[sqlite3.Connection, random.Random], bool]


def _verify(run: Path, expected_head: str = "") -> chain.Verification:
    with LedgerReader(run) as reader:
        return reader.verify(expected_head)


def _table(rng: random.Random) -> str:
    return rng.choice(list(TABLES))


def _row(connection: sqlite3.Connection, rng: random.Random, table: str) -> int:
    return int(rng.choice(connection.execute(f"SELECT id FROM {table}").fetchall())[0])


def edit_a_value(connection: sqlite3.Connection, rng: random.Random) -> bool:
    table = _table(rng)
    row, column = _row(connection, rng, table), rng.choice(list(TABLES[table]))
    values = [None, 0, 1, -1, 2**62, 0.5, 1e308, float("inf"), "", "x", "1", "é", b"\x00", b"bytes", "0"]
    (before,) = connection.execute(f"SELECT {column} FROM {table} WHERE id = ?", (row,)).fetchone()
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (rng.choice(values), row))
    (after,) = connection.execute(f"SELECT {column} FROM {table} WHERE id = ?", (row,)).fetchone()
    return bool((type(before), before) != (type(after), after))


def change_one_character(connection: sqlite3.Connection, rng: random.Random) -> bool:
    row = _row(connection, rng, "samples")
    (text,) = connection.execute("SELECT response FROM samples WHERE id = ?", (row,)).fetchone()
    place = rng.randrange(len(text))
    changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
    connection.execute("UPDATE samples SET response = ? WHERE id = ?", (changed, row))
    return True


def put_bytes_that_are_no_text(connection: sqlite3.Connection, rng: random.Random) -> bool:
    row = _row(connection, rng, "samples")
    connection.execute("UPDATE samples SET response = CAST(X'ff00fe' AS TEXT) WHERE id = ?", (row,))
    return True


def delete_a_row(connection: sqlite3.Connection, rng: random.Random) -> bool:
    table = _table(rng)
    connection.execute(f"DELETE FROM {table} WHERE id = ?", (_row(connection, rng, table),))
    return True


def insert_a_copy(connection: sqlite3.Connection, rng: random.Random) -> bool:
    table = _table(rng)
    columns = ", ".join(TABLES[table])
    row = _row(connection, rng, table)
    new = rng.choice([99, 0, -5])
    connection.execute(f"INSERT INTO {table} SELECT {new}, {columns} FROM {table} WHERE id = ?", (row,))
    return True


def swap_two_rows(connection: sqlite3.Connection, rng: random.Random) -> bool:
    table = _table(rng)
    a, b = rng.sample([1, 2, 3], 2)
    for old, new in ((a, 1000), (b, a), (1000, b)):
        connection.execute(f"UPDATE {table} SET id = ? WHERE id = ?", (new, old))
    return True


def swap_two_links(connection: sqlite3.Connection, rng: random.Random) -> bool:
    a, b = rng.sample(range(1, 1 + 3 * len(TABLES)), 2)
    for old, new in ((a, 1000), (b, a), (1000, b)):
        connection.execute("UPDATE chain SET id = ? WHERE id = ?", (new, old))
    return True


def delete_a_link(connection: sqlite3.Connection, rng: random.Random) -> bool:
    connection.execute("DELETE FROM chain WHERE id = ?", (_row(connection, rng, "chain"),))
    return True


def delete_a_row_and_its_link(connection: sqlite3.Connection, rng: random.Random) -> bool:
    # Not the newest link: with that one this is a truncation, which needs a noted head.
    link = rng.randrange(1, 3 * len(TABLES))
    table, row = connection.execute("SELECT tbl, row FROM chain WHERE id = ?", (link,)).fetchone()
    connection.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
    connection.execute("DELETE FROM chain WHERE id = ?", (link,))
    if rng.random() < 0.5:  # close the gap, too
        connection.execute("UPDATE chain SET id = -id WHERE id > ?", (link,))
        connection.execute("UPDATE chain SET id = -id - 1 WHERE id < 0")
    return True


def edit_a_link(connection: sqlite3.Connection, rng: random.Random) -> bool:
    link = _row(connection, rng, "chain")
    column, value = rng.choice(
        [
            *(("digest", value) for value in (rng.randbytes(32), None, "text")),
            *(("tbl", value) for value in ("chain", b"run", "nothing")),
            *(("row", value) for value in (77, None, 1.5, "x")),
        ]
    )
    connection.execute(f"UPDATE chain SET {column} = ? WHERE id = ?", (value, link))
    return True


def cut_the_table_s_end_only(connection: sqlite3.Connection, rng: random.Random) -> bool:
    connection.execute(f"DELETE FROM {_table(rng)} WHERE id > ?", (rng.randrange(3),))
    return True


def cut_the_chain_s_end_only(connection: sqlite3.Connection, rng: random.Random) -> bool:
    connection.execute("DELETE FROM chain WHERE id > ?", (rng.randrange(3 * len(TABLES)),))
    return True


def rewrite_a_row_and_its_own_link(connection: sqlite3.Connection, rng: random.Random) -> bool:
    # Not the newest link: recomputing to the very end is the forgery that needs a noted head.
    link = rng.randrange(1, 3 * len(TABLES))
    table, row = connection.execute("SELECT tbl, row FROM chain WHERE id = ?", (link,)).fetchone()
    column = next(name for name, kind in TABLES[table].items() if kind is not str)
    connection.execute(f"UPDATE {table} SET {column} = 4242 WHERE id = ?", (row,))
    _relink(connection, link, link)
    return True


def drop_a_table(connection: sqlite3.Connection, rng: random.Random) -> bool:
    connection.execute(f"DROP TABLE {_table(rng)}")
    return True


def drop_a_column(connection: sqlite3.Connection, rng: random.Random) -> bool:
    connection.execute("ALTER TABLE verdicts DROP COLUMN reason")
    return True


TAMPERINGS: list[Tamper] = [
    edit_a_value,
    change_one_character,
    put_bytes_that_are_no_text,
    delete_a_row,
    insert_a_copy,
    swap_two_rows,
    swap_two_links,
    delete_a_link,
    delete_a_row_and_its_link,
    edit_a_link,
    cut_the_table_s_end_only,
    cut_the_chain_s_end_only,
    rewrite_a_row_and_its_own_link,
    drop_a_table,
    drop_a_column,
]


def _relink(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Recompute the digests of some links, as a forger who has read chain.py would."""
    before = connection.execute("SELECT digest FROM chain WHERE id = ?", (first - 1,)).fetchone()
    previous = before[0] if before else chain.GENESIS
    for link in range(first, last + 1):
        table, row = connection.execute("SELECT tbl, row FROM chain WHERE id = ?", (link,)).fetchone()
        columns = ", ".join(TABLES[table])
        values = connection.execute(f"SELECT id, {columns} FROM {table} WHERE id = ?", (row,)).fetchone()
        previous = chain.digests(previous, table, [values])
        connection.execute("UPDATE chain SET digest = ? WHERE id = ?", (previous, link))


def test_an_untouched_ledger_is_intact(filled: Path) -> None:
    found = _verify(filled)
    assert found.intact
    assert found.rows == 3 * len(TABLES)
    with LedgerWriter(filled) as writer:
        assert writer.head == found.head


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_every_random_tampering_is_found(
    tamper: Tamper, filled: Path, tmp_path: Path, ledger_tools: ModuleType
) -> None:
    attacks = 0
    with ledger_tools.tampering(filled):
        pass  # the triggers are gone from here on
    copy = tmp_path / "copy"
    copy.mkdir()
    for seed in range(24):  # x 15 kinds = 360
        shutil.copy(filled / "ledger.db", copy)
        with ledger_tools.tampering(copy) as connection:
            if not tamper(connection, random.Random(seed)):
                continue
        attacks += 1
        try:
            found = _verify(copy)
        except Exception as error:
            pytest.fail(f"seed {seed}: verify raised {error!r} instead of reporting")
        assert not found.intact, f"seed {seed} went unseen"
        assert found.rows < 3 * len(TABLES) or "inserted" in found.problem
    assert attacks >= 20


def test_the_problem_names_the_table_the_row_and_the_link(filled: Path, ledger_tools: ModuleType) -> None:
    with ledger_tools.tampering(filled) as connection:
        connection.execute("UPDATE verdicts SET allowed = 77 WHERE id = 2")
    found = _verify(filled)
    link = len(TABLES) + 1 + list(TABLES).index("verdicts")
    assert found.problem == f"verdicts row 2 was changed (chain link {link})"
    assert found.rows == link - 1


@pytest.fixture
def together(run_folder: Path, ledger_tools: ModuleType) -> Path:
    """A run whose links lie together: three batches of five samples with a verdict each."""
    with LedgerWriter(run_folder) as writer:
        for number in range(3):
            with writer.batch() as batch:
                for one in range(5):
                    sample = batch.add("samples", ledger_tools.sample_row(5 * number + one))
                    batch.add("verdicts", {"sample": sample, "allowed": True})
    return run_folder


def test_rows_committed_together_have_a_link_each(together: Path) -> None:
    with closing(sqlite3.connect(together / "ledger.db")) as connection:
        rows = connection.execute("SELECT id, tbl, row, length(digest) FROM chain ORDER BY id").fetchall()
    tables = [("samples", 1), ("verdicts", 1), ("samples", 6), ("verdicts", 6), ("samples", 11), ("verdicts", 11)]
    assert rows == [(1 + 5 * place, *table, 5 * 32) for place, table in enumerate(tables)]
    found = _verify(together)
    assert found.intact, found.problem
    with LedgerWriter(together) as writer:
        assert (writer.rows, writer.head) == (30, found.head)
        assert writer.append("samples", {"uid": "one more"}) == 16
    assert _verify(together, found.head).rows == 31


LONGER = "UPDATE chain SET digest = CAST(digest || {} AS BLOB)"


@pytest.mark.parametrize(
    ("change", "good", "problem"),
    [
        ("UPDATE samples SET tokens = 7 WHERE id = 8", 12, "samples row 8 was changed (chain link 13)"),
        ("DELETE FROM samples WHERE id = 8", 12, "samples row 8 was removed"),
        ("DELETE FROM samples WHERE id = 15", 24, "samples row 15 was removed"),
        ("INSERT INTO samples (id) VALUES (16)", 30, "samples row 16 was inserted"),
        ("DELETE FROM chain WHERE id = 11", 10, "chain link 11 is missing"),
        ("INSERT INTO chain VALUES (8, 'samples', 8, zeroblob(32))", 10, "chain link 11 is missing"),
        ("INSERT INTO chain VALUES (31, 'samples', 16, zeroblob(32))", 30, "samples row 16 was removed"),
        ("UPDATE chain SET id = 12 WHERE id = 11", 10, "chain link 11 is missing"),
        ("UPDATE chain SET row = 7 WHERE id = 11", 10, "samples row 6 is not where it was"),
        ("UPDATE chain SET digest = substr(digest, 1, 128) WHERE id = 11", 14, "chain link 15 is missing"),
        ("UPDATE chain SET digest = substr(digest, 33) WHERE id = 11", 10, "samples row 6 was changed (chain link 11)"),
        (f"{LONGER.format('zeroblob(32)')} WHERE id = 11", 15, "samples row 11 was changed"),
        (f"{LONGER.format('zeroblob(32)')} WHERE id = 26", 30, "verdicts row 16 was removed"),
        (f"{LONGER.format('zeroblob(1)')} WHERE id = 11", 10, "chain link 11 is damaged"),
        ("UPDATE chain SET digest = X'' WHERE id = 26", 25, "chain link 26 is damaged"),
    ],
)
def test_tampering_with_rows_or_links_that_lie_together_is_found_where_it_begins(
    change: str, good: int, problem: str, together: Path, ledger_tools: ModuleType
) -> None:
    with ledger_tools.tampering(together) as connection:
        connection.execute(change)
    found = _verify(together)
    assert (found.rows, found.problem[: len(problem)]) == (good, problem)


def test_a_chain_whose_end_is_damaged_is_not_added_to(filled: Path, ledger_tools: ModuleType) -> None:
    with ledger_tools.tampering(filled) as connection:
        connection.execute("UPDATE chain SET digest = 'text' WHERE id = ?", (3 * len(TABLES),))
    with pytest.raises(LedgerBroken, match=f"chain link {3 * len(TABLES)} is damaged"):
        LedgerWriter(filled)


def test_cutting_off_the_newest_rows_with_their_links_needs_a_noted_head(
    filled: Path, ledger_tools: ModuleType
) -> None:
    head = _verify(filled).head
    with ledger_tools.tampering(filled) as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table} WHERE id > 2")
        connection.execute("DELETE FROM chain WHERE id > ?", (2 * len(TABLES),))
    assert _verify(filled).intact  # by itself it looks whole
    found = _verify(filled, head)
    assert not found.intact
    assert "noted head" in found.problem


def test_emptying_the_whole_ledger_needs_a_noted_head(filled: Path, ledger_tools: ModuleType) -> None:
    head = _verify(filled).head
    with ledger_tools.tampering(filled) as connection:
        for table in [*TABLES, "chain"]:
            connection.execute(f"DELETE FROM {table}")
    assert _verify(filled).intact
    assert not _verify(filled, head).intact


def test_recomputing_every_digest_after_an_edit_needs_a_noted_head(filled: Path, ledger_tools: ModuleType) -> None:
    head = _verify(filled).head
    with ledger_tools.tampering(filled) as connection:
        connection.execute("UPDATE verdicts SET allowed = 77 WHERE id = 1")
        _relink(connection, 1, 3 * len(TABLES))
    assert _verify(filled).intact
    assert not _verify(filled, head).intact


def test_a_head_noted_long_ago_is_still_on_the_chain(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        heads = [writer.head]
        for number in range(5):
            writer.append("notices", {"time": 1.0, "source": "test", "message": str(number)})
            heads.append(writer.head)
    for head in heads:
        assert _verify(run_folder, head.upper()).intact
    assert not _verify(run_folder, "00" * 31 + "01").intact


def test_rows_written_during_verification_are_no_insertions(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LedgerReader(filled) as reader, LedgerWriter(filled) as writer:
        counts = chain._Walk.counts

        def slow(walk: chain._Walk, connection: sqlite3.Connection) -> str:
            writer.append("notices", {"time": 1.0, "source": "test", "message": "meanwhile"})
            return counts(walk, connection)

        monkeypatch.setattr(chain._Walk, "counts", slow)
        first = reader.verify()
        monkeypatch.undo()
        assert first.intact, first.problem
        assert reader.verify().rows == first.rows + 1  # and the reader is not stuck in the past


HOSTILE = {
    int: [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64, -(2**70), 10**30, True, False, None, 3.0, float("nan")],
    float: [0, 5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), -float("inf"), True, None, 2**60 + 1, 10**400],
    str: ["", "\x00", "a\x00b", "\ud800", "x\udfff\x00", "\x1b[2J", "1", "1.0", "é", "e\u0301", "🐍", "\ufeff", None],
}


def test_hostile_values_survive_storage_and_hash(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        for number in range(13):
            with writer.batch() as batch:
                for table, columns in TABLES.items():
                    batch.add(table, {c: HOSTILE[k][number % len(HOSTILE[k])] for c, k in columns.items()})
    found = _verify(run_folder)
    assert found.intact, found.problem
    assert found.rows == 13 * len(TABLES)


@given(
    branch=st.integers() | st.booleans() | st.none(),
    value=st.floats() | st.integers() | st.booleans() | st.none(),
    name=st.text(st.characters()) | st.none(),
)
def test_whatever_is_stored_comes_back_as_it_was_hashed(
    branch: int | None, value: float | None, name: str | None
) -> None:
    """The same as through the ledger's files, in memory, for many more values."""
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE t ("i" INTEGER, "r" REAL, "s" TEXT)')
    values = (storable(branch, int), storable(value, float), storable(name, str))
    connection.execute("INSERT INTO t VALUES (?,?,?)", values)
    back = connection.execute("SELECT * FROM t").fetchone()
    connection.close()
    assert json.dumps(back) == json.dumps(values)
    assert chain.digests(chain.GENESIS, "t", [(1, *back)]) == chain.digests(chain.GENESIS, "t", [[1, *values]])


def test_the_digests_are_these() -> None:
    """The format of every ledger there is, whatever the libraries that write it come to do."""
    rows = [[1, "é → 🐍", None, 7, -(2**63), 2**63 - 1, 0.1], [2, "x" * 300, "", 300, -1, 70_000, 1e300]]
    packed = (
        b"\x92\xa1t\x97\x01\xab\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x90\x8d\xc0\x07\xd3\x80\x00\x00\x00\x00\x00\x00\x00"
        b"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\xcb?\xb9\x99\x99\x99\x99\x99\x9a",
        b"\x92\xa1t\x97\x02\xda\x01," + 300 * b"x" + b"\xa0\xcd\x01,\xff\xce\x00\x01\x11p\xcb~7\xe4<\x88\x00u\x9c",
    )
    first = blake2b(chain.GENESIS + packed[0], digest_size=32).digest()
    second = blake2b(first + packed[1], digest_size=32).digest()
    assert chain.digests(chain.GENESIS, "t", rows) == first + second
    text = json.dumps(["t", *rows[0]], ensure_ascii=True, separators=(",", ":")).encode()
    assert chain.older_digests(chain.GENESIS, "t", rows[:1]) == blake2b(chain.GENESIS + text, digest_size=32).digest()


def test_ordinary_values_are_stored_as_they_are() -> None:
    assert storable(7, int) == 7
    assert storable(True, int) == 1
    assert storable(0.25, float) == 0.25
    assert storable("text", str) == "text"
    assert storable("\ud800", str) == "\\ud800"
    assert storable(math.nan, float) is None
    assert storable(2**80, int) == 2**63 - 1


@pytest.mark.parametrize(
    ("value", "kind"),
    [("1", int), ("1", float), (1, str), (1.5, int), (b"x", str), ([], str), ({}, int), (object(), float)],
)
def test_a_value_of_the_wrong_type_is_refused(value: object, kind: type) -> None:
    with pytest.raises(TypeError):
        storable(value, kind)
