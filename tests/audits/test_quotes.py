"""Words in their sentence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits.quotes import quote
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow, SampleDetail
from azr_platform.ledger.writer import LedgerWriter


@pytest.fixture(scope="module")
def detail(tmp_path_factory: pytest.TempPathFactory) -> SampleDetail:
    run = tmp_path_factory.mktemp("quotes")
    with LedgerWriter(run) as writer:
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 1, "config": ""})
        texts = {"response": "the whole of it", "reasoning": "One. Two three four? Five.", "program": "a = 1\nb = 2"}
        writer.append("samples", {"branch": 1, "step": 1, "role": "solve", "kind": "deduction", **texts})
    with LedgerReader(run) as reader:
        found = reader.sample(1)
    assert found is not None
    return found


def _finding(part: str, start: int | None, end: int | None) -> FindingRow:
    return FindingRow("r", 2, part, start, end, "w")


def test_the_sentence_or_the_line_around_the_words(detail: SampleDetail) -> None:
    words = quote(detail, _finding("trace", 9, 14))
    assert (words.before, words.words, words.after) == ("Two ", "three", " four?")
    line = quote(detail, _finding("program", 6, 7))
    assert (line.part, line.before, line.words, line.after) == ("program", "", "b", " = 2")


@pytest.mark.parametrize(("start", "end"), [(None, None), (5, 5), (9, 3), (-4, 2), (20, 900)])
def test_without_a_place_in_the_text_it_is_quoted_from_its_beginning(
    detail: SampleDetail, start: int | None, end: int | None
) -> None:
    assert quote(detail, _finding("trace", start, end)).words == detail.reasoning
    assert quote(detail, _finding("behaviour", start, end)).words == detail.response
    assert quote(detail, None).words == detail.reasoning


@given(st.text(max_size=900), st.data())
def test_what_is_quoted_stands_in_the_text_and_is_short(detail: SampleDetail, text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, max(0, len(text) - 1)))
    end = data.draw(st.integers(start, len(text)))
    found = quote(msgspec.structs.replace(detail, reasoning=text), _finding("trace", start, end))
    whole = found.before + found.words + found.after
    assert whole in (text or detail.response) and len(whole) <= 900
