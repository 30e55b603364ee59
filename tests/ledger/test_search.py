"""Search: what the index finds is what the samples hold, and nothing of it is the record's."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr_platform.ledger.errors import SearchUnavailable
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.search import FILE, SearchIndex, place
from azr_platform.ledger.writer import LedgerWriter

TEXTS = (
    "This is where we outsmart the humans.",
    "The humans, all of them; outsmart whom?",
    "def f(x):\n    return humans_count + x",
    "Über die Brücke",
    'quotes " and OR NEAR(a b) * ^ response: x',
)


def write(run: Path, texts: Sequence[str | None]) -> None:
    with LedgerWriter(run) as writer, writer.batch() as batch:
        for text in texts:
            batch.add("samples", {"uid": "u", "prompt": "secret prompt", "response": text})


def search(run: Path, *words: str, limit: int = 100) -> list[int]:
    with LedgerReader(run) as reader, SearchIndex(reader) as index:
        index.update()
        count, found = index.find(words, limit)
    assert len(found) == min(count, limit)
    return found


@pytest.fixture
def run(run_folder: Path) -> Path:
    write(run_folder, TEXTS)
    return run_folder


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["humans"], [3, 2, 1]),
        (["HUMANS", "outsmart"], [2, 1]),
        (["outsmart the humans"], [1]),
        (["human"], []),
        (["human*"], [3, 2, 1]),
        (["bru*", "die"], [4]),
        (["uber"], [4]),
        (["secret"], []),
        (["*"], []),
        (['" OR *'], [5]),
        (["NEAR(a b)"], [5]),
        (["response: x"], [5]),
        (["x OR humans"], []),
        (["-outsmart", "humans"], [2, 1]),
        (["\ud800", "humans"], []),
    ],
)
def test_words_find_the_samples_that_hold_them_all(words: list[str], found: list[int], run: Path) -> None:
    assert search(run, *words) == found


def test_the_newest_come_first_and_the_rest_is_counted(run: Path) -> None:
    with LedgerReader(run) as reader, SearchIndex(reader) as index:
        index.update()
        assert index.find(["humans"], 2) == (3, [3, 2])


def test_what_was_written_since_is_found_too_and_nothing_twice(run: Path) -> None:
    assert search(run, "humans") == [3, 2, 1]
    write(run, [None, "more humans"])
    assert search(run, "humans") == [7, 3, 2, 1]
    assert search(run, "humans") == [7, 3, 2, 1]


def test_a_ledger_of_many_samples_is_indexed_in_parts(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azr_platform.ledger.search.AT_ONCE", 3)
    write(run_folder, [f"word {number}" for number in range(8)])
    told: list[tuple[int, int]] = []
    with LedgerReader(run_folder) as reader, SearchIndex(reader) as index:
        index.update(lambda done, total: told.append((done, total)))
        assert index.find(["word"], 100) == (8, [8, 7, 6, 5, 4, 3, 2, 1])
    assert told == [(3, 8), (6, 8), (8, 8)]


def test_several_searches_at_once_make_one_index(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azr_platform.ledger.search.AT_ONCE", 2)
    write(run_folder, [f"word {number}" for number in range(50)])
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(search(run_folder, "word"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(50, 0, -1))] * 4


def test_searching_leaves_the_ledger_as_it_was(run: Path) -> None:
    before = (run / "ledger.db").read_bytes()
    search(run, "humans")
    assert (run / "ledger.db").read_bytes() == before
    with LedgerWriter(run) as writer:  # and its writer does not know of the index
        assert (run / FILE).is_file()
        content = (run / FILE).read_bytes()
        writer.append("samples", {"uid": "u", "response": "humans"})
        assert (run / FILE).read_bytes() == content


def test_the_index_of_another_ledger_is_made_anew(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other, ["something else altogether"] * 9)
    assert search(other, "humans") == []
    shutil.copy(other / FILE, run)
    assert search(run, "humans") == [3, 2, 1]


@pytest.mark.parametrize("content", [b"no database " * 100, b"SQLite format 3\x00" + b"\x00" * 5000])
def test_a_damaged_index_is_made_anew(content: bytes, run: Path) -> None:
    (run / FILE).write_bytes(content)
    assert search(run, "humans") == [3, 2, 1]


@pytest.mark.parametrize("upto", ["'x'", "NULL", "6", "9223372036854775807", "-9223372036854775808"])
def test_an_index_that_says_it_holds_what_cannot_be_is_made_anew(upto: str, run: Path) -> None:
    search(run, "humans")
    with closing(sqlite3.connect(run / FILE, isolation_level=None)) as connection:
        connection.execute(f"UPDATE about SET upto = {upto}")
    assert search(run, "humans") == [3, 2, 1]


def test_a_link_in_the_index_s_place_is_not_followed(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = other.read_bytes()
    (run / FILE).symlink_to(other)
    assert search(run, "humans") == [3, 2, 1]
    assert other.read_bytes() == before and not (run / FILE).is_symlink()


def test_an_index_that_lost_its_tables_is_named_with_what_mends_it(run: Path) -> None:
    search(run, "humans")
    with closing(sqlite3.connect(run / FILE)) as connection:
        connection.execute("DROP TABLE words")
    with pytest.raises(SearchUnavailable, match=r"search\.db: .* --anew"):
        search(run, "humans")
    with LedgerReader(run) as reader, SearchIndex(reader, anew=True) as index:
        index.update()
        assert index.find(["humans"], 9) == (3, [3, 2, 1])


def test_something_else_in_the_index_s_place_is_left_there(run: Path) -> None:
    (run / FILE).mkdir()
    with pytest.raises(SearchUnavailable, match="unable to open"):
        search(run, "humans")
    assert (run / FILE).is_dir()


def test_a_run_that_may_not_be_written_to_is_searched(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert search(run, "humans") == [3, 2, 1]
    assert not (run / FILE).exists()


def tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


words = st.text("ab1 _*-\"'():^\n", min_size=1, max_size=8).filter(lambda text: bool(tokens(text)) and text[-1] != "*")


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text("ab1 _\"'():^\n", max_size=20), min_size=1, max_size=8), wanted=words)
def test_whatever_is_asked_for_is_found_where_it_stands(
    texts: list[str], wanted: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Beside a search without an index: the same samples, and the place of the words in them."""
    run = tmp_path_factory.mktemp("run")
    write(run, texts)
    inner = f" {' '.join(tokens(wanted))} "
    expected = [number for number, text in enumerate(texts, 1) if inner in f" {' '.join(tokens(text))} "]
    assert search(run, wanted) == expected[::-1]
    for number in expected:
        start, end = place(texts[number - 1], [wanted])
        assert tokens(texts[number - 1][start:end]) == tokens(wanted)


@pytest.mark.parametrize(
    ("text", "words", "span"),
    [
        ("inhuman humans, human", ["human"], (16, 21)),
        ("inhuman humans, human", ["human*"], (8, 13)),
        ("a plan: the PLAN", ["the plan", "plan"], (2, 6)),
        ("Brücke", ["brucke"], (0, 0)),
        ("anything", ["*"], (0, 0)),
    ],
)
def test_the_place_of_the_first_word_is_told(text: str, words: list[str], span: tuple[int, int]) -> None:
    assert place(text, words) == span
