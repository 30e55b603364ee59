"""What is written can be read by the libraries it is written for, and says the same as the ledger."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from azr_platform.audits.export import dataset, inspect, jsonl, parquet
from azr_platform.audits.export.about import about
from azr_platform.audits.export.rows import Row, rows
from azr_platform.audits.selection import EVERYTHING
from azr_platform.ledger.judgements import LIVE
from azr_platform.ledger.reader import LedgerReader
from azr_platform.logs.detect import entries, format_named
from azr_platform.logs.files import rows as rows_of_log
from azr_platform.logs.records import Row as LogRow

WRITERS: dict[str, Callable[..., None]] = {
    "a.jsonl": jsonl.write,
    "a.parquet": parquet.write,
    "a": dataset.write,
    "a.eval": inspect.write,
}


def export(run: Path, out: Path, *, audit: str = LIVE, redact: bool = False) -> list[Row]:
    with LedgerReader(run) as reader:
        told = about(reader, audit, EVERYTHING, redacted=redact)
        WRITERS[out.name](rows(reader, audit, redact=redact), told, out)
        return list(rows(reader, audit, redact=redact))


def test_json_lines_hold_every_column(flagged: Path, tmp_path: Path) -> None:
    expected = export(flagged, tmp_path / "a.jsonl")
    read = [msgspec.json.decode(line, type=Row) for line in (tmp_path / "a.jsonl").read_bytes().splitlines()]
    assert read == expected
    assert (read[1].reward, read[1].decision, read[1].decided_by, read[1].severity) == (
        -0.5,
        "block",
        "ann",
        "critical",
    )
    assert (read[0].severity, read[0].reward, read[0].findings) == ("none", None, [])
    found = read[1].findings[0]
    assert read[1].reasoning[found.start : found.end] == "build a Bomb"


def test_parquet_has_typed_columns_and_says_where_it_comes_from(flagged: Path, tmp_path: Path) -> None:
    expected = export(flagged, tmp_path / "a.parquet", audit="again")
    table = pq.read_table(tmp_path / "a.parquet")
    assert [msgspec.convert(row, Row) for row in table.to_pylist()] == expected
    told = json.loads(table.schema.metadata[b"azr_platform"])
    assert (told["audit"], told["policy"], told["problem"]) == ("again", "strict abcd", "")
    with LedgerReader(flagged) as reader:
        assert told["head"] == reader.verify().head


def test_parquet_is_written_in_groups_of_a_bounded_size(
    flagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 1)
    export(flagged, tmp_path / "a.parquet")
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 2


@pytest.mark.parametrize("at_once", [1, 100])
def test_the_folder_is_a_dataset(flagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the development tools")
    monkeypatch.setattr(parquet, "_GROUP_ROWS", at_once)
    monkeypatch.setattr(dataset, "_FILE_BYTES", at_once)
    expected = export(flagged, tmp_path / "a")
    assert len(list((tmp_path / "a" / "data").iterdir())) == (2 if at_once == 1 else 1)
    loaded = datasets.load_dataset(str(tmp_path / "a"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert [msgspec.convert(row, Row) for row in loaded["train"]] == expected


def test_a_dataset_of_nothing_still_has_its_columns(ledger: Callable[..., Path], tmp_path: Path) -> None:
    export(ledger(), tmp_path / "a")
    (file,) = (tmp_path / "a" / "data").iterdir()
    assert pq.read_table(file).column_names == list(Row.__struct_fields__)


def test_a_datasets_card_holds_names_of_others_as_words(flagged: Path, tmp_path: Path) -> None:
    export(flagged, tmp_path / "a")
    card = (tmp_path / "a" / "README.md").read_text()
    assert "of the run `'run'\\n` made" in card
    assert json.loads((tmp_path / "a" / "about.json").read_text())["rows"] > 0


def test_inspects_log_is_read_back_by_our_own_reader(flagged: Path, tmp_path: Path) -> None:
    export(flagged, tmp_path / "a.eval")
    cases: list[Any] = []
    for row in rows_of_log(tmp_path / "a.eval"):
        assert isinstance(row, LogRow)
        cases += entries(row, format_named("inspect"))
    assert [case.id for case in cases] == ["1", "2"]
    assert (cases[0].trace, cases[1].program.strip(), cases[1].reward) == ("plain", cases[1].program.strip(), -0.5)
    assert "import os" in cases[1].program
    with zipfile.ZipFile(tmp_path / "a.eval") as archive:
        summaries = json.loads(archive.read("summaries.json"))
    assert [one["scores"]["oversight"]["value"] for one in summaries] == ["allow", "block"]


def test_inspect_reads_its_log(flagged: Path, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log", reason="needs the development tools")
    export(flagged, tmp_path / "a.eval")
    whole = log.read_eval_log(str(tmp_path / "a.eval"))
    assert (whole.status, len(whole.samples)) == ("success", 2)
    sample = whole.samples[1]
    assert sample.scores["oversight"].value == "block"
    assert sample.scores["oversight"].metadata["findings"][0]["rule"] == "trace.harm"
    assert sample.messages[-1].text.startswith("<think>")
    assert len(log.read_eval_log_sample_summaries(str(tmp_path / "a.eval"))) == 2
    assert [one.id for one in log.read_eval_log_samples(str(tmp_path / "a.eval"))] == [1, 2]


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_written_over_and_nothing_is_left_half(flagged: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    out = tmp_path / "there" / name
    out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        export(flagged, out)
    assert not (tmp_path / "elsewhere").exists()
    out.unlink()
    with LedgerReader(flagged) as reader:
        told = about(reader, LIVE, EVERYTHING, redacted=False)

        def cut_off() -> Any:
            yield next(rows(reader))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            WRITERS[name](cut_off(), told, out)
    assert list((tmp_path / "there").iterdir()) == []


def _no_links(*_: Any) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("name", WRITERS)
def test_where_there_are_no_hard_links_it_is_written_too_and_takes_no_place(
    flagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, "link", _no_links)
    (tmp_path / "there").mkdir()
    out = tmp_path / "there" / name
    export(flagged, out)
    assert [path.name for path in out.parent.iterdir()] == [name]
    before = out.read_bytes() if out.is_file() else b""
    with pytest.raises(FileExistsError):
        export(flagged, out)
    assert not out.is_file() or out.read_bytes() == before


@pytest.mark.parametrize("name", ["a.jsonl", "a.eval"])
def test_without_hard_links_a_name_that_is_taken_at_the_last_moment_stays_its_owner_s(
    flagged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Somebody takes it just before ours would be put there: before it is reserved, and after."""

    def taken_before(*_: Any) -> None:
        (tmp_path / name).write_text("somebody else's")
        _no_links()

    fstat = os.fstat

    def taken_after(descriptor: int) -> os.stat_result:
        (tmp_path / name).unlink()
        (tmp_path / name).write_text("somebody else's")
        return fstat(descriptor)

    for place, function in (("link", taken_before), ("fstat", taken_after)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", _no_links)
            patch.setattr(f"azr_platform.audits.export.place.os.{place}", function)
            with pytest.raises(FileExistsError):
                export(flagged, tmp_path / name)
        assert (tmp_path / name).read_text() == "somebody else's"
        assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == [name]
        (tmp_path / name).unlink()


@pytest.mark.parametrize("name", ["a.jsonl", "a.eval"])
def test_what_took_the_name_meanwhile_is_not_written_over(flagged: Path, tmp_path: Path, name: str) -> None:
    with LedgerReader(flagged) as reader:
        told = about(reader, LIVE, EVERYTHING, redacted=False)

        def slowly() -> Any:
            yield next(rows(reader))
            (tmp_path / name).write_text("somebody else's")

        with pytest.raises(FileExistsError):
            WRITERS[name](slowly(), told, tmp_path / name)
    assert (tmp_path / name).read_text() == "somebody else's"
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == [name]
