"""Lines of any length, packing and encoding; what cannot be read is said, and the rest is read."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from azr_monitor.records import Severity
from azr_platform.cli.cases import BadLine, entries_in
from azr_platform.cli.foreign import Reading
from azr_platform.cli.input import read_lines
from azr_platform.logs.lines import Unreadable, lines
from azr_platform.logs.records import Entry, Reason, Row, Skip

Reader = Callable[..., tuple[str, list[Entry], list[Skip]]]
ROW = json.dumps({"prompt": "p", "completion": "hé"}, ensure_ascii=False)


def numbers(file: Path, limit: int = 100) -> list[tuple[int, int]]:
    with file.open("rb") as handle:
        return [(line.number, line.too_long) for line in lines(handle, file.stat().st_size, limit)]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", ROW.encode()),
        ("crlf.jsonl", (ROW + "\r\n").encode()),
        ("bom.jsonl", b"\xef\xbb\xbf" + ROW.encode()),
        ("utf16.jsonl", ROW.encode("utf-16")),
        ("big.jsonl", b"\xfe\xff" + ROW.encode("utf-16-be")),
        ("a.jsonl.gz", gzip.compress(ROW.encode(), mtime=0)),
        ("a.jsonl.zst", zstandard.compress(ROW.encode())),
        ("misnamed.jsonl", gzip.compress(ROW.encode(), mtime=0)),
        ("one.json", ROW.encode()),
        ("list.json", f"[{ROW}]".encode()),
        ("lines.json", f"{ROW}\n{ROW}".encode()[: 2 * len(ROW.encode()) + 1]),
        ("list.json.gz", gzip.compress(f"[{ROW}]".encode(), mtime=0)),
        ("pretty.json", json.dumps([json.loads(ROW)], indent=2).encode()),
    ],
)
def test_a_row_is_read_however_it_is_packed(read: Reader, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    format_, cases, skips = read(tmp_path / name)
    assert (format_, skips) == ("plain", [])
    assert {case.trace for case in cases} == {"hé"}


def test_a_line_over_the_limit_is_counted_and_its_neighbours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one\n" + b"x" * 100 + b"\n\n" + b"y" * 101 + b"\nlast")
    assert numbers(file) == [(1, 0), (2, 0), (4, 101), (5, 0)]


def test_a_line_far_over_the_limit_is_not_held_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "f"
    with file.open("wb") as handle:
        handle.truncate(200 << 20)  # one line of zeros, without the disk's having them
    tracemalloc.start()
    try:
        assert numbers(file, limit=1 << 20) == [(1, 200 << 20)]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_broken_rows_are_told_apart_and_the_rest_is_read(read: Reader, tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    good = ROW.encode()
    deep = b'{"completion": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    deeper = b'{"completion": ' + b"[" * 500_000
    level = b'{"a": ' + b"[" * 150 + b"]" * 150 + b', "completion": "x"}'
    rows = [
        good,
        b"{broken",
        b'{"completion": "\xff"}',
        b"[1]",
        deep,
        deeper,
        level,
        b'{"completion": 5}',
        b'{"completion": ""}',
    ]
    file.write_bytes(b"\n".join([*rows, good, good[:-4]]))
    format_, cases, skips = read(file)
    assert (format_, len(cases)) == ("plain", 2)
    assert [(skip.place.number, skip.reason) for skip in skips] == [
        (2, Reason.BROKEN),
        (3, Reason.ENCODING),
        (4, Reason.SHAPE),
        (5, Reason.DEEP),
        (6, Reason.DEEP),
        (7, Reason.DEEP),
        (8, Reason.SHAPE),
        (9, Reason.EMPTY),
        (11, Reason.TRUNCATED),
    ]
    assert str(skips[0].place) == f"{file}:2"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_file_that_is_cut_off_gives_what_it_still_holds(
    read: Reader, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    rows = b"".join(b'{"completion": "%d"}\n' % number for number in range(20_000))
    (tmp_path / "f.jsonl.x").write_bytes(pack(rows)[:-2000])
    _, cases, skips = read(tmp_path / "f.jsonl.x")
    assert 100 < len(cases) < 20_000
    assert skips
    assert all(skip.reason.unread for skip in skips)


def test_a_small_file_that_unpacks_to_very_much_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("azr_platform.logs.limits._FREE", 1 << 20)
    (tmp_path / "f").write_bytes(gzip.compress(b'{"completion": "x"}\n' * 200_000))
    found = 0
    with pytest.raises(Unreadable, match="unpacks to more than") as caught, (tmp_path / "f").open("rb") as handle:
        for _ in lines(handle, (tmp_path / "f").stat().st_size):
            found += 1
    assert caught.value.bomb
    assert 0 < found < 200_000


@pytest.mark.parametrize("place", ["first", "later"])
def test_our_own_lines_are_read_past_too_when_they_are_too_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    monkeypatch.setattr("azr_platform.cli.input.MAX_ROW", 1000)
    long = b"x" * 5500 + b"\n"
    rows = [b'{"trace": "one"}\n', b'{"trace": "two"}\n']
    (tmp_path / "f").write_bytes(long + b"".join(rows) if place == "first" else rows[0] + long + rows[1])
    read = list(entries_in(read_lines(tmp_path / "f"), 1))
    assert [entry.why for entry in read if isinstance(entry, BadLine)] == [
        f"line {1 if place == 'first' else 2} is a line of more than 0 MiB"
    ]
    assert [entry.subject.trace for entry in read if not isinstance(entry, BadLine)] == ["one", "two"]


def test_a_large_log_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    row = json.dumps({"prompt": "p", "completion": "so it is " * 1000}).encode() + b"\n"
    peaks: list[int] = []
    for count in (3_000, 12_000):
        (tmp_path / "f.jsonl").write_bytes(row * count)
        reading = Reading(tmp_path / "f.jsonl", None, limit=0, run=False)
        tracemalloc.start()
        assert sum(len(work.rows) for work in reading.works()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1
    assert peaks[1] < 40 << 20


def test_rows_cannot_hide_behind_rows_of_no_format(tmp_path: Path) -> None:
    junk, row = b'{"loss": 0.5}\n', b'{"completion": "x"}\n'
    (tmp_path / "f.jsonl").write_bytes(junk * 1000 + row * 3)
    reading = Reading(tmp_path / "f.jsonl", None, limit=0, run=False)
    works = list(reading.works())
    assert sum(isinstance(found, Row) and b"completion" in found.data for work in works for found in work.rows) == 3
    assert {work.format.name for work in works} == {"plain"}
    assert reading.found.unread == 1
    (tmp_path / "f.jsonl").write_bytes(junk * 1000)
    reading = Reading(tmp_path / "f.jsonl", None, limit=0, run=False)
    assert list(reading.works()) == []
    assert (reading.found.unread, reading.found.skipped[Reason.OTHER]) == (0, 1)


def test_rows_nobody_can_read_cannot_hide_behind_rows_of_no_format(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(
        b'{"x": 1}\n' * 20 + b'{"completion": "\xff"}\n' * 50 + b'{"completion": "\n' * 30
    )
    reading = Reading(tmp_path / "f.jsonl", None, limit=0, run=False)
    assert list(reading.works()) == []
    assert reading.found.skipped == {Reason.OTHER: 1, Reason.ENCODING: 50, Reason.BROKEN: 30}
    assert reading.found.worst is Severity.HIGH
    assert str(reading.found.examples[Reason.ENCODING][0].place).endswith("f.jsonl:21")


def test_rows_that_grow_when_they_are_read_are_looked_at_one_by_one(tmp_path: Path) -> None:
    row = b'{"x": [' + b"[]," * 100_000 + b"[]]}\n"
    peaks: list[int] = []
    for count in (1, 12):
        (tmp_path / "f.jsonl").write_bytes(row * count)
        tracemalloc.start()
        assert list(Reading(tmp_path / "f.jsonl", None, limit=0, run=False).works()) == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 13 * len(row), peaks
