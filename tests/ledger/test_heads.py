"""Heads noted beside the ledger: durable lines, read back whatever is between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from azr_platform.ledger import heads
from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.heads import Head
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter


def test_each_head_is_a_line_with_its_place(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        for number in range(3):
            writer.append("notices", {"time": 1.0, "source": "test", "message": str(number)})
            writer.note_head(f"checkpoint {number}")
        assert writer.rows == 3
        noted, unread = heads.read(run_folder / heads.FILE)
        assert ([one.rows for one in noted], unread) == ([1, 2, 3], 0)
        assert noted[-1].head == writer.head
        assert noted[1].at == "checkpoint 1"
    with LedgerReader(run_folder) as reader:
        assert reader.verify(noted=noted).intact


@pytest.mark.parametrize("cut", [b'{"rows": 1, "hea', b"\xff\x00", b"[]", b'{"rows": "1", "head": "x"}', b"\n\n"])
def test_a_line_that_is_cut_or_none_of_ours_is_counted_and_the_next_stands_by_itself(
    cut: bytes, tmp_path: Path
) -> None:
    heads.note(tmp_path, 1, "aa", "one")
    with (tmp_path / heads.FILE).open("ab") as file:
        file.write(cut)
    heads.note(tmp_path, 2, "bb", "two")
    noted, unread = heads.read(tmp_path / heads.FILE)
    assert [(one.rows, one.head) for one in noted] == [(1, "aa"), (2, "bb")]
    assert unread == cut.count(b"\n") or unread == 1


def test_a_second_line_for_the_same_place_does_not_replace_the_first(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        writer.append("notices", {"time": 1.0, "source": "test", "message": "x"})
        real = Head(rows=1, head=writer.head)
    forged = Head(rows=1, head="00" * 32)
    with LedgerReader(run_folder) as reader:
        assert reader.verify(noted=[real]).intact
        assert not reader.verify(noted=[forged, real]).intact
        assert not reader.verify(noted=[real, forged]).intact


def test_a_head_that_cannot_be_noted_is_the_ledger_s_trouble(run_folder: Path) -> None:
    (run_folder / heads.FILE).mkdir()
    with LedgerWriter(run_folder) as writer, pytest.raises(LedgerBroken, match=r"heads\.jsonl: .*Is a directory"):
        writer.note_head("here")
