"""What the hash chain costs: rows of 3 KB through the ledger's writer, beside plain ``executemany`` into that table.

    python benchmarks/ledger.py [--rows 20000] [--batch 64] [--rounds 5] [--folder FOLDER]

All commit durably after each batch (WAL, ``synchronous=FULL``, 4 MiB of log between checkpoints), as a review does;
their order changes each round. ``plain`` is a file as SQLite makes it, ``paged`` one with the ledger's larger pages;
the table, its indexes and its triggers are the same in all. ``--folder`` says on which disk.

With ``--open RUN`` instead: how long a run's ledger takes to open and to verify; a folder that is not there yet is
filled with ``--rows`` samples first.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from azr_platform.ledger.migrations import migrations
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import TABLES, connect
from azr_platform.ledger.writer import LedgerWriter

TEXTS = {"prompt": 900, "response": 1000, "reasoning": 500, "program": 500}
LETTERS = "etaoin shrdlu cmfwyp vbgkqj xz\n    ():=,.[]'\"01234"

Row = dict[str, object]


def rows(count: int, odd: float) -> list[Row]:
    """Samples with 3 KB of text; a share of ``odd`` has characters beyond ASCII in it."""
    rng = random.Random(0)
    pool = ["".join(rng.choices(LETTERS, k=1000)) for _ in range(200)]
    made: list[Row] = []
    for number in range(count):
        texts: Row = {name: rng.choice(pool)[:size] for name, size in TEXTS.items()}
        if rng.random() < odd:
            texts["response"] = f"{texts['response']} é → 🐍"
        fixed = {"time": 1.7e9 + number / 7, "branch": 1, "step": number // 500, "phase": "solve", "role": "solve"}
        more = {"kind": "deduction", "uid": f"1-{number}", "task": "t", "input": "1, 2", "message": "", "answer": "[1]"}
        rest = {"tokens": 400, "well_formed": True, "correct": False, "outcome": "ok", "problem": ""}
        made.append(fixed | texts | more | rest)
    return made


def chained(folder: Path, samples: list[Row], batch: int) -> tuple[float, float]:
    """(wall, CPU) seconds through the writer."""
    with LedgerWriter(folder) as writer:
        return timed(lambda: write(writer, samples, batch))


def write(writer: LedgerWriter, samples: list[Row], batch: int) -> None:
    for start in range(0, len(samples), batch):
        with writer.batch() as collected:
            for row in samples[start : start + batch]:
                collected.add("samples", row)


def plain(folder: Path, samples: list[Row], batch: int) -> tuple[float, float]:
    """(wall, CPU) seconds with ``executemany`` into the same table, triggers and indexes included, no chain."""
    return bare(sqlite3.connect(folder / "ledger.db"), samples, batch)


def paged(folder: Path, samples: list[Row], batch: int) -> tuple[float, float]:
    """The same, with pages as large as the ledger's."""
    return bare(connect(str(folder / "ledger.db"), read_only=False), samples, batch)


def bare(connection: sqlite3.Connection, samples: list[Row], batch: int) -> tuple[float, float]:
    columns = list(TABLES["samples"])
    insert = f"INSERT INTO samples VALUES ({','.join('?' * (len(columns) + 1))})"

    def work() -> None:
        for start in range(0, len(samples), batch):
            part = samples[start : start + batch]
            values = [(start + 1 + at, *map(row.get, columns)) for at, row in enumerate(part)]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, values)
            connection.execute("COMMIT")

    with closing(connection):
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        migrations.apply(Database(connection))
        connection.commit()
        return timed(work)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} (quartiles {low:.2f} to {high:.2f})"


def ingest(count: int, batch: int, rounds: int, odd: float, folder: Path | None) -> None:
    samples = rows(count, odd)
    ways = {"plain": plain, "paged": paged, "chained": chained}
    order = list(ways)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        order = order[1:] + order[:1]
        for name in order:
            with tempfile.TemporaryDirectory(dir=folder) as run:
                seconds[name].append(ways[name](Path(run), samples, batch))
    for at, what in enumerate(("wall", "CPU")):
        for name in ways:
            rates = [count / one[at] for one in seconds[name]]
            print(f"{name:8} {statistics.median(rates):8,.0f} rows a {what} second")
        for name in ("plain", "paged"):
            ratios = [a[at] / b[at] for a, b in zip(seconds[name], seconds["chained"], strict=True)]
            print(f"chained : {name}, rows a {what} second: {quartiles(ratios)}")


def opening(run: Path, count: int) -> None:
    if not run.exists():
        run.mkdir()
        with LedgerWriter(run) as writer:
            writer.append("run", {"name": run.name, "created_at": 1.0, "version": "", "seed": 0, "steps": 1})
            samples = rows(min(count, 50_000), 0.05)
            for start in range(0, count, len(samples)):
                write(writer, samples[: count - start], 1000)
    wall, _ = timed(lambda: LedgerReader(run).close())
    size = (run / "ledger.db").stat().st_size / 2**30
    with LedgerReader(run) as reader:
        summary = reader.summary()
        walk, _ = timed(reader.verify)
    print(f"{size:.2f} GiB, {summary.samples:,} samples: opened in {wall * 1000:.0f} ms, verified in {walk:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--odd", type=float, default=0.05, help="share of rows with characters beyond ASCII")
    parser.add_argument("--folder", type=Path, help="where to write; the system's temporary folder unless given")
    parser.add_argument("--open", type=Path, metavar="RUN", help="open and verify this run's ledger instead")
    given = parser.parse_args()
    if given.open is not None:
        opening(given.open, given.rows)
    else:
        ingest(given.rows, given.batch, given.rounds, given.odd, given.folder)


if __name__ == "__main__":
    main()
