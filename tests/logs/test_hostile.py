"""Files made to hurt whoever reads them: nothing crashes, is written, followed or run, and what it was is told."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from azr_platform.logs import frames, limits, parquet
from azr_platform.logs.files import files, rows
from azr_platform.logs.records import Entry, Reason, Skip

Reader = Callable[..., tuple[str, list[Entry], list[Skip]]]


def skips(file: Path) -> list[Skip]:
    return [found for found in rows(file) if isinstance(found, Skip)]


def reasons(file: Path) -> set[Reason]:
    return {skip.reason for skip in skips(file)}


def sample(text: str) -> bytes:
    messages = [{"role": "assistant", "content": text}]
    return json.dumps({"id": "s", "epoch": 1, "messages": messages, "output": {}}).encode()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in members.items():
            written.writestr(name, data)
    return path


# -- archives --------------------------------------------------------------------------------------------


def test_a_sample_that_unpacks_to_too_much_is_skipped_and_its_neighbours_are_read(read: Reader, tmp_path: Path) -> None:
    file = tmp_path / "bomb.eval"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("samples/a_epoch_1.json", sample("fine"))
        with written.open("samples/b_epoch_1.json", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(b" " * (1 << 20))
        written.writestr("samples/c_epoch_1.json", sample("fine too"))
    assert file.stat().st_size < 1 << 20
    _, cases, left_out = read(file)
    assert [case.trace for case in cases] == ["fine", "fine too"]
    assert [(skip.place.number, skip.reason) for skip in left_out] == [(2, Reason.BOMB)]


def test_a_size_that_is_a_lie_does_not_help(tmp_path: Path) -> None:
    file = archive(tmp_path / "lie.eval", {"samples/a_epoch_1.json": b" " * (8 << 20)})
    data = bytearray(file.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (100).to_bytes(4, "little")
    file.write_bytes(data)
    found = reasons(file)
    assert found
    assert found <= {Reason.DAMAGED, Reason.BROKEN}


def test_names_that_climb_out_of_an_archive_write_nothing(read: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = [
        "samples/../../out.json",
        "samples//etc/x.json",
        "samples/\x1b[31m'; DROP TABLE samples; --.json",
        "../out.json",
    ]
    archive(folder / "climb.eval", dict.fromkeys(names, sample("words")))
    before = sorted(path for path in tmp_path.rglob("*"))
    _, cases, _ = read(folder / "climb.eval")
    assert len(cases) == 3
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_an_archive_that_is_none_of_inspects_or_is_damaged_is_one_skip(tmp_path: Path) -> None:
    assert reasons(archive(tmp_path / "other.zip", {"a.txt": b"x"})) == {Reason.OTHER}
    (tmp_path / "cut.eval").write_bytes(archive(tmp_path / "a.eval", {"samples/a.json": sample("x")}).read_bytes()[:60])
    assert reasons(tmp_path / "cut.eval") == {Reason.DAMAGED}


# -- Parquet ---------------------------------------------------------------------------------------------


def test_a_row_group_that_says_it_unpacks_to_too_much_is_skipped_unread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "_FREE", 1 << 20)
    file = tmp_path / "bomb.parquet"
    with pq.ParquetWriter(file, pa.schema({"a": pa.string()}), compression="zstd", use_dictionary=False) as writer:
        for texts in (["fine"], ["a" * (1 << 20)] * 50, ["fine too"]):
            writer.write_table(pa.table({"a": texts}))
    out = io.BytesIO()
    with file.open("rb") as handle:
        parquet.unpack(handle, file.stat().st_size, out)
    frames.write_end(out)
    out.seek(0)
    found = [(number, data if reason is None else reason) for number, data, reason in frames.read(out)]
    assert found == [(1, b'{"a":"fine"}'), (2, Reason.BOMB), (52, b'{"a":"fine too"}')]


@pytest.mark.slow
def test_one_text_that_a_dictionary_repeats_very_often_ends_nothing_but_its_file(tmp_path: Path) -> None:
    file = tmp_path / "dictionary.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["a" * (80 << 20)]))
    pq.write_table(pa.table({"completion": texts}), file, compression="zstd", dictionary_pagesize_limit=1 << 30)
    assert file.stat().st_size < 1 << 20
    found = reasons(file)
    assert found
    assert found <= {Reason.BOMB, Reason.DAMAGED}


@pytest.mark.parametrize("cut", [8, 200, -9, -200])
def test_a_damaged_parquet_file_is_skips(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "f.parquet"
    pq.write_table(pa.table({"completion": [f"text {n}" for n in range(1000)]}), file)
    data = file.read_bytes()
    file.write_bytes(data[:cut])
    assert reasons(file) == {Reason.DAMAGED}
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 0xFF
    flipped[-30] ^= 0xFF
    file.write_bytes(flipped)
    list(rows(file))  # whatever it says, it ends


# -- documents and lines ---------------------------------------------------------------------------------


def test_a_document_nested_half_a_million_deep_is_a_skip(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_bytes(b"[" * 500_000)
    (tmp_path / "object.json").write_bytes(b'{"a":' * 500_000)
    for name in ("deep.json", "object.json"):
        found = reasons(tmp_path / name)
        assert found
        assert found <= {Reason.DEEP, Reason.BROKEN}


def test_a_document_that_is_too_large_is_skipped(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.write(b"[")
        file.truncate(limits.MAX_DOCUMENT + 2)
    (skip,) = skips(tmp_path / "large.json")
    assert (skip.reason, "JSON lines" in skip.why) == (Reason.BOMB, True)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "owned"),))

    for name in ("datasets.pkl", "innocent.jsonl", "innocent.json"):
        (tmp_path / name).write_bytes(pickle.dumps(Touch()))
        assert reasons(tmp_path / name) == {Reason.REFUSED}
    assert not (tmp_path / "owned").exists()


# -- folders ---------------------------------------------------------------------------------------------


def test_links_that_lead_outside_are_refused_and_those_inside_are_read_once(tmp_path: Path) -> None:
    inside, outside = tmp_path / "log", tmp_path / "elsewhere"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.jsonl").write_text('{"completion": "secret"}\n')
    (inside / "sub" / "a.jsonl").write_text('{"completion": "mine"}\n')
    (inside / "b.jsonl").symlink_to(inside / "sub" / "a.jsonl")
    (inside / "c.jsonl").symlink_to(outside / "secret.jsonl")
    (inside / "d").symlink_to(outside)
    (inside / "e").symlink_to(inside)
    (inside / "f.jsonl").symlink_to(inside / "f.jsonl")
    found = list(files(inside))
    assert [path for path in found if isinstance(path, Path)] == [inside / "sub" / "a.jsonl"]
    refused = {Path(skip.place.file).name for skip in found if isinstance(skip, Skip) and skip.reason is Reason.LINK}
    assert refused == {"c.jsonl", "d", "f.jsonl"}


def test_a_file_without_a_logs_name_is_read_once_at_a_link_that_has_one(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a1b").write_text('{"completion": "mine"}\n')
    (tmp_path / "blobs" / "ffff").write_text("no log")
    for name, target in (("a.jsonl", "0a1b"), ("b.jsonl", "0a1b"), ("README", "ffff")):
        (tmp_path / name).symlink_to(tmp_path / "blobs" / target)
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "blobs")
    assert list(files(tmp_path)) == [tmp_path / "a.jsonl"]


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert reasons(tmp_path / "pipe.jsonl") == {Reason.REFUSED}
    assert reasons(Path("/dev/zero")) == {Reason.REFUSED}


def test_only_files_with_a_logs_name_are_taken_from_a_folder(tmp_path: Path) -> None:
    for name in (
        "a.jsonl",
        "b.JSON",
        "c.parquet",
        "d.eval",
        "e.jsonl.gz",
        "f.ndjson.zst",
        "g.toml",
        "h.log",
        ".i.jsonl",
    ):
        (tmp_path / name).touch()
    assert [Path(str(path)).name[0] for path in files(tmp_path)] == ["a", "b", "c", "d", "e", "f"]


# -- the process that unpacks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error"),
    [
        ("open('/etc/passwd')", "Too many open files"),
        ("__import__('socket').socket()", "Too many open files"),
        ("__import__('subprocess').run(['true'])", "Too many open files"),
        ("os.write(3, b'x')", "File too large"),
        ("bytearray(3 << 30)", "MemoryError"),
    ],
)
def test_the_process_that_unpacks_can_open_write_and_hold_nothing(tmp_path: Path, act: str, error: str) -> None:
    code = f"import os, socket, subprocess; from azr_platform.logs.unpack import _confine; _confine(); {act}"
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    command = ["bash", "-c", 'exec "$0" -c "$1" 3>"$2"', sys.executable, code, str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    os.close(descriptor)
    assert ended.returncode != 0
    assert error in ended.stderr
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os.abort()", "ended early"),
        ("import sys; sys.stdout.buffer.write(b'r' + b'\\xff' * 40)", "no frame"),
        ("import sys; sys.stdout.buffer.write(b'x' + bytes(12))", "no frame"),
        ("import sys; sys.stdout.buffer.write(b'r' + bytes(8) + b'\\x05\\0\\0\\0ab')", "ended early"),
    ],
)
def test_a_process_that_dies_or_lies_is_one_skip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, why: str
) -> None:
    monkeypatch.setattr("azr_platform.logs.files._CHILD", (sys.executable, "-c", code))
    (skip,) = skips(archive(tmp_path / "a.eval", {"samples/a.json": sample("x")}))
    assert skip.reason is Reason.DAMAGED
    assert why in skip.why


def test_parquet_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    monkeypatch.setattr("azr_platform.logs.files._has_pyarrow", lambda: False)
    (skip,) = skips(samples / "trl_completions_00001.parquet")
    assert "azr-platform[logs]" in skip.why
    assert skip.reason.unread


def test_columns_that_hold_no_text_do_not_stand_in_the_way(read: Reader, tmp_path: Path) -> None:
    when = pa.array([0], pa.timestamp("us", tz="Europe/Berlin"))
    table = pa.table({"completion": ["x"], "when": when, "picture": [b"\xff" * 99], "reward": [float("nan")]})
    pq.write_table(table, tmp_path / "f.parquet")
    _, cases, left_out = read(tmp_path / "f.parquet")
    assert ([case.trace for case in cases], cases[0].reward, left_out) == (["x"], None, [])
