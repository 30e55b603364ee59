"""Wrapping and cutting of documents: nothing lost, nothing twice, spans where they belong."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import get_character_cell_size

from azr_tui.document import Line, Span, split, wrap
from azr_tui.escape import visible

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=300).map(visible)
spans = st.tuples(st.integers(0, 300), st.integers(1, 40)).map(lambda pair: Span(pair[0], pair[0] + pair[1], "mark"))


@given(texts, st.integers(min_value=2, max_value=90))
def test_wrapping_loses_and_doubles_nothing(text: str, width: int) -> None:
    lines = split(text)
    rows = wrap(lines, width)
    pieces: list[list[str]] = [[] for _ in lines]
    for row in rows:
        piece = lines[row.line].text[row.start : row.end]
        pieces[row.line].append(piece)
        assert sum(get_character_cell_size(char) for char in piece) <= max(width, 2)
    assert ["".join(piece) for piece in pieces] == text.split("\n")


@given(texts, st.lists(spans, max_size=6))
def test_marks_cover_the_same_characters_after_the_cut_into_lines(text: str, marks: list[Span]) -> None:
    wanted = {index for mark in marks for index in range(mark.start, min(mark.end, len(text))) if text[index] != "\n"}
    covered: set[int] = set()
    start = 0
    for line in split(text, marks=marks):
        for mark in line.marks:
            assert 0 <= mark.start < mark.end <= len(line.text)
            covered.update(range(start + mark.start, start + mark.end))
        start += len(line.text) + 1
    assert covered == wanted


def test_a_mark_over_several_lines_is_one_stop() -> None:
    lines = split("one\ntwo\nthree", marks=[Span(1, 9, "mark")])
    assert [line.marks for line in lines] == [(Span(1, 3, "mark"),), (Span(0, 3, "mark"),), (Span(0, 1, "mark"),)]
    assert [line.stop for line in lines] == [True, False, False]


def test_numbered_lines_keep_their_gutter_width() -> None:
    lines = split("\n".join("x" * 3 for _ in range(12)), numbered=True)
    assert lines[0].gutter == " 1 │ "
    assert {len(line.gutter) for line in lines} == {5}


def test_words_are_kept_whole_where_they_fit() -> None:
    (line,) = lines = [Line("the quick brown fox jumps")]
    assert [line.text[row.start : row.end] for row in wrap(lines, 10)] == ["the quick ", "brown fox ", "jumps"]


def test_a_line_of_a_megabyte_wraps_in_linear_time(glances: Any) -> None:
    for text in ("x" * 1_000_000, "word " * 200_000, "\n" * 300_000):
        assert glances(lambda text=text: wrap(split(text), 76), text) < 1000
