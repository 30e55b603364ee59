"""The writer: append-only by SQLite itself, whole batches, one writer, and nothing half-written after a kill."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from time import strftime
from types import ModuleType, SimpleNamespace

import pytest

from azr_platform.ledger import writer as writer_module
from azr_platform.ledger.errors import LedgerBroken, LedgerBusy, UnknownRun
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import TABLES
from azr_platform.ledger.writer import LedgerWriter

NOTICE = {"time": 1.0, "source": "test", "message": "hello"}


@pytest.mark.parametrize("table", [*TABLES, "chain"])
def test_sqlite_itself_refuses_to_change_or_delete_a_row(table: str, filled: Path) -> None:
    column = "digest" if table == "chain" else next(iter(TABLES[table]))
    with closing(sqlite3.connect(filled / "ledger.db")) as connection:
        for statement in (
            f"UPDATE {table} SET {column} = 1",
            f"DELETE FROM {table}",
            f"DELETE FROM {table} WHERE id = 1",
            f"REPLACE INTO {table} (id, {column}) VALUES (1, 1)",
            f"INSERT INTO {table} (id, {column}) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET {column} = 1",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
        connection.execute(f"INSERT INTO {table} (id, {column}) VALUES (1000, 1)")  # adding is what it is for
        connection.rollback()
    with LedgerReader(filled) as reader:
        assert reader.verify().intact


def test_a_reader_sees_whole_batches_only(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer, LedgerReader(run_folder) as reader:
        with writer.batch() as batch:
            for _ in range(3):
                batch.add("notices", NOTICE)
            assert reader.notices() == []
        assert len(reader.notices()) == 3


def test_nothing_of_a_batch_that_raises_is_kept(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer, LedgerReader(run_folder) as reader:
        head = writer.head
        with pytest.raises(ZeroDivisionError), writer.batch() as batch:
            batch.add("notices", NOTICE)
            raise ZeroDivisionError
        assert writer.head == head
        assert writer.append("notices", NOTICE) == 1
        assert reader.verify().intact


def test_a_batch_that_sqlite_refuses_leaves_the_writer_usable(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer, closing(sqlite3.connect(run_folder / "ledger.db")) as other:
        other.execute("INSERT INTO notices (id, message) VALUES (2, 'in the way')")
        other.commit()
        writer.append("notices", NOTICE)
        with pytest.raises(LedgerBroken, match="append-only"):
            writer.append("notices", NOTICE)
        assert writer.append("states", {"state": "running"}) == 1
        with LedgerReader(run_folder) as reader:
            assert reader.verify().rows == 2
            assert not reader.verify().intact  # the row in the way


def test_rows_of_one_batch_can_refer_to_one_another(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        with writer.batch() as batch:
            sample = batch.add("samples", {"uid": "a"})
            batch.add("verdicts", {"sample": sample, "allowed": True})
        with LedgerReader(run_folder) as reader:
            detail = reader.samples()[0]
            assert (detail.id, detail.allowed) == (sample, 1)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"nothing": 1}, KeyError),
        ({"message": 7}, TypeError),
        ({"time": "now"}, TypeError),
        ({"source": b""}, TypeError),
    ],
)
def test_a_row_that_does_not_fit_its_table_is_refused_by_name(
    row: dict[str, object], error: type[Exception], run_folder: Path
) -> None:
    with LedgerWriter(run_folder) as writer:
        with pytest.raises(error, match=next(iter(row))):
            writer.append("notices", row)
        assert writer.append("notices", NOTICE) == 1


def test_opening_again_continues_the_chain_and_applies_no_migration_twice(filled: Path) -> None:
    with LedgerReader(filled) as reader:
        before = reader.verify()
    for number in range(3):
        with LedgerWriter(filled) as writer:
            assert writer.append("notices", NOTICE) == 4 + number
    with LedgerReader(filled) as reader:
        after = reader.verify(before.head)
    assert after.intact
    assert after.rows == before.rows + 3


# --- one writer ----------------------------------------------------------------------------------------------


def _spawn(code: str, run: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


HOLDER = """
    import sys, time
    from pathlib import Path
    from azr_platform.ledger.writer import LedgerWriter
    writer = LedgerWriter(Path(sys.argv[1]))
    print("holding", flush=True)
    time.sleep(600)
"""

CHALLENGER = """
    import sys
    from pathlib import Path
    from azr_platform.ledger.errors import LedgerBusy
    from azr_platform.ledger.writer import LedgerWriter
    try:
        LedgerWriter(Path(sys.argv[1]))
    except LedgerBusy as error:
        print("busy", error)
    else:
        print("got in")
"""


def test_a_second_writer_is_refused_and_told_who_holds_the_run(run_folder: Path) -> None:
    with LedgerWriter(run_folder):
        with pytest.raises(LedgerBusy, match=f"pid {os.getpid()}"):
            LedgerWriter(run_folder)
        with _spawn(CHALLENGER, run_folder) as challenger:
            out, err = challenger.communicate(timeout=60)
        assert out.startswith("busy"), out + err
        assert f"pid {os.getpid()}" in out
    with LedgerWriter(run_folder) as again:
        assert again.append("notices", NOTICE) == 1


def test_a_killed_writer_frees_the_run(run_folder: Path) -> None:
    with _spawn(HOLDER, run_folder) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(LedgerBusy, match=f"pid {holder.pid}"):
            LedgerWriter(run_folder)
        with LedgerReader(run_folder) as reader:
            assert reader.supervisor_alive()
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert not reader.supervisor_alive()
    LedgerWriter(run_folder).close()


def test_a_reader_s_glance_at_the_lock_does_not_keep_a_supervisor_out(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LedgerWriter(run_folder).close()
    with (run_folder / "supervisor.lock").open() as glance:
        fcntl.flock(glance, fcntl.LOCK_SH)
        # The glance ends while the supervisor waits for it.
        monkeypatch.setattr(writer_module, "time", SimpleNamespace(sleep=lambda _: glance.close(), strftime=strftime))
        LedgerWriter(run_folder).close()
        assert glance.closed


# --- files that are no ledgers -------------------------------------------------------------------------------


def test_a_missing_run_is_unknown_to_reader_and_writer(tmp_path: Path) -> None:
    for opened in (LedgerReader, LedgerWriter):
        with pytest.raises(UnknownRun, match=r"nowhere: no run here"):
            opened(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_without_a_ledger_is_unknown_to_the_reader(run_folder: Path) -> None:
    with pytest.raises(UnknownRun):
        LedgerReader(run_folder)
    (run_folder / "ledger.db").mkdir()
    with pytest.raises(UnknownRun):
        LedgerReader(run_folder)


def test_a_folder_in_the_ledger_s_place_is_refused_by_the_writer(run_folder: Path) -> None:
    (run_folder / "ledger.db").mkdir()
    with pytest.raises(LedgerBroken, match="unable to open"):
        LedgerWriter(run_folder)


@pytest.mark.parametrize("content", [b"", b"this is not a database " * 200, b"SQLite format 3\x00" + b"\x00" * 5000])
def test_a_file_that_is_no_ledger_is_refused_by_the_reader(content: bytes, run_folder: Path) -> None:
    (run_folder / "ledger.db").write_bytes(content)
    with pytest.raises(LedgerBroken, match=r"ledger\.db: the ledger cannot be used"):
        LedgerReader(run_folder)
    assert (run_folder / "ledger.db").read_bytes() == content


def test_a_file_that_is_no_ledger_is_left_alone_by_the_writer_and_the_lock_is_freed(run_folder: Path) -> None:
    content = b"this is not a database " * 200
    (run_folder / "ledger.db").write_bytes(content)
    for _ in range(2):
        with pytest.raises(LedgerBroken, match="not a database"):
            LedgerWriter(run_folder)
    assert (run_folder / "ledger.db").read_bytes() == content


def test_damaged_pages_are_reported_by_verify(filled: Path) -> None:
    path = filled / "ledger.db"
    content = bytearray(path.read_bytes())
    page = 4096
    content[page * 4 : page * 30] = b"\xa5" * (page * 26)
    path.write_bytes(content)
    try:
        with LedgerReader(filled) as reader:
            found = reader.verify()
    except LedgerBroken:
        return  # so damaged that it does not even open
    assert not found.intact


# --- killed in the middle ------------------------------------------------------------------------------------

WRITER = """
    import sys
    from itertools import count
    from pathlib import Path
    from azr_platform.ledger.writer import LedgerWriter
    with LedgerWriter(Path(sys.argv[1])) as writer:
        for number in count():
            with writer.batch() as batch:
                sample = batch.add("samples", {"uid": str(number), "response": "r" * 2000})
                batch.add("verdicts", {"sample": sample, "allowed": True})
            print("committed", flush=True)
"""


@pytest.mark.slow
def test_a_writer_killed_amid_many_batches_leaves_an_intact_chain_of_whole_batches(run_folder: Path) -> None:
    before = 0
    for batches in (1, 5, 10, 20, 40):
        with _spawn(WRITER, run_folder) as writer:
            assert writer.stdout is not None
            for _ in range(batches):
                assert writer.stdout.readline() == "committed\n"
            writer.kill()  # it never stops writing by itself
        with LedgerReader(run_folder) as reader:
            found = reader.verify()
            assert found.intact, found.problem
            samples = reader.samples(limit=1_000_000)
            assert all(row.allowed == 1 for row in samples)
            assert len(samples) >= before + batches, "what was committed is lost"
            before = len(samples)


def test_the_run_s_tools_leave_other_connections_room(filled: Path, ledger_tools: ModuleType) -> None:
    """A long-lived reader does not keep the writer from committing."""
    with LedgerReader(filled) as reader, LedgerWriter(filled) as writer:
        numbers = reader.sample_numbers()
        assert next(numbers) == 1  # a statement is open
        writer.append("samples", ledger_tools.sample_row(4))
        assert list(numbers) == [2, 3]
        assert reader.samples()[0].id == 4
