"""What compressing a ledger's texts would save and cost: a run's real samples, written with and without it.

    python benchmarks/compression.py RUN [--rounds 5] [--batch 64] [--join 1]

The same rows go into a table of the ledger's form (its pages, indexes and triggers, a durable commit a batch) as they
are, and with their seven texts packed into one blob that is compressed: by zlib, and by zstd where ``zstandard`` is
installed, also with a dictionary trained on the first tenth of the samples. The arms take turns. ``--join N`` puts the
texts of N samples into one, of the length that larger models write; they repeat one another, so this shows more than
could be saved.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from azr_platform.ledger.schema import TABLES, connect

TEXTS = ("prompt", "response", "reasoning", "program", "input", "message", "answer")
Pack = Callable[[bytes], bytes]
Way = tuple[Pack, Pack] | None  # how a row's texts are compressed, and read again
_encode = msgspec.msgpack.Encoder().encode


def rows_of(run: Path, join: int) -> list[tuple[object, ...]]:
    columns = ", ".join(["id", *TABLES["samples"]])
    with closing(connect(str(run / "ledger.db"), read_only=True)) as connection:
        found = connection.execute(f"SELECT {columns} FROM samples ORDER BY id").fetchall()
    made: list[tuple[object, ...]] = []
    for start in range(0, len(found) - join + 1, join):
        texts = ["\n".join(row[place] or "" for row in found[start : start + join]) for place in range(9, 16)]
        made.append((*found[start][:9], *texts, *found[start][16:]))
    return made


def ways(samples: list[tuple[object, ...]]) -> dict[str, Way]:
    made: dict[str, Way] = {"as it is": None}
    for level in (1, 6):
        made[f"zlib {level}"] = (lambda data, level=level: zlib.compress(data, level), zlib.decompress)  # type: ignore[misc]
    try:
        import zstandard
    except ImportError:
        return made
    for level in (1, 3):
        compressor, decompressor = zstandard.ZstdCompressor(level=level), zstandard.ZstdDecompressor()
        made[f"zstd {level}"] = (compressor.compress, decompressor.decompress)
    texts = [_encode(row[9:16]) for row in samples[: len(samples) // 10]]
    known = zstandard.train_dictionary(16_384, texts)
    compressor, decompressor = zstandard.ZstdCompressor(1, known), zstandard.ZstdDecompressor(known)
    made["zstd 1, dictionary"] = (compressor.compress, decompressor.decompress)
    return made


def write(run: Path, samples: list[tuple[object, ...]], batch: int, way: Way) -> tuple[float, float, int, float]:
    """(wall seconds, CPU seconds, bytes of the file, CPU seconds to read it all again)."""
    kept = [column for column in TABLES["samples"] if way is None or column not in TEXTS]
    columns = ["id INTEGER PRIMARY KEY", *kept, *(["texts BLOB"] if way else [])]
    insert = f"INSERT INTO samples VALUES ({','.join('?' * len(columns))})"
    with closing(connect(str(run / "ledger.db"), read_only=False)) as connection:
        connection.execute(f"CREATE TABLE samples ({', '.join(columns)})")
        connection.execute("CREATE INDEX a ON samples (branch, step)")
        connection.execute("CREATE INDEX b ON samples (task)")
        taken = "EXISTS (SELECT 1 FROM samples WHERE id = NEW.id)"
        refuse = "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
        connection.execute(f"CREATE TRIGGER no_replace BEFORE INSERT ON samples WHEN {taken} {refuse}")
        connection.commit()
        wall, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(samples), batch):
            part = samples[start : start + batch]
            if way:
                part = [(*row[:9], *row[16:], way[0](_encode(row[9:16]))) for row in part]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, part)
            connection.execute("COMMIT")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        reading = read(connection, way)
    return wall, cpu, (run / "ledger.db").stat().st_size, reading


def read(connection: sqlite3.Connection, way: Way) -> float:
    cpu = time.process_time()
    for row in connection.execute("SELECT * FROM samples"):
        if way:
            msgspec.msgpack.decode(way[1](row[-1]))
    return time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--join", type=int, default=1)
    given = parser.parse_args()
    samples = rows_of(given.run, given.join)
    arms = ways(samples)
    taken: dict[str, list[tuple[float, float, int, float]]] = {name: [] for name in arms}
    order = list(arms)
    for _ in range(given.rounds):
        order = order[1:] + order[:1]
        for name in order:
            with tempfile.TemporaryDirectory() as folder:
                taken[name].append(write(Path(folder), samples, given.batch, arms[name]))
    text = sum(len(str(value).encode()) for row in samples for value in row[9:16] if value)
    print(f"{len(samples):,} samples with {text / len(samples):,.0f} bytes of text each")
    for name, found in taken.items():
        wall, cpu, size, reading = (statistics.median(column) / len(samples) for column in zip(*found, strict=True))
        print(
            f"{name:20} {size:6,.0f} bytes a sample; to write one {wall * 1e6:5.1f} µs, of CPU {cpu * 1e6:5.1f}; "
            f"to read one, of CPU {reading * 1e6:5.1f}"
        )


if __name__ == "__main__":
    main()
