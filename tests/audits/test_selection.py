"""Which samples are meant: the same ones, whichever way they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits import selection as selections
from azr_platform.audits.selection import Selection, audit_named, judgements, numbers
from azr_platform.ledger.errors import UnknownAudit
from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.judgements import LIVE
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter


def _maybe(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from((None, None, *values))


FILTERS = st.builds(
    SampleFilter,
    role=_maybe("solve"),
    kind=_maybe("abduction"),
    branch=_maybe(1, 2),
    task=_maybe("t1"),
    judged=_maybe(*Judged),
    rule=_maybe("program.exec", "trace.harm.*", "trace.harm.[^a]", "*.????", "none"),
    first_step=_maybe(3, 20),
    last_step=_maybe(4, 21),
    least_reward=_maybe(-0.5, 0.5),
    most_reward=_maybe(0.0),
    least_score=_maybe(0.1),
    most_score=_maybe(0.5),
    text=st.sampled_from(("", "", "fig", "apple pear", "-")),
    oldest_first=st.booleans(),
)


@given(filter_=FILTERS, draw=st.sampled_from((0, 0, 1, 7, 1000)), beyond=st.sampled_from((0, 1, 90)))
def test_the_record_the_run_and_an_audit_that_agrees_name_the_same_samples(
    ledger: Path, filter_: SampleFilter, draw: int, beyond: int
) -> None:
    wanted = Selection(filter_, draw)
    with LedgerReader(ledger) as reader:
        told = list(numbers(reader, wanted))
        assert told == sorted(set(told))
        assert list(numbers(reader, wanted, beyond=beyond)) == [number for number in told if number > beyond]
        assert [judgement.sample for judgement in judgements(reader, LIVE, wanted)] == told
        assert [judgement.sample for judgement in judgements(reader, "same", wanted)] == told


def test_pages_are_joined_without_a_seam(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Selection(SampleFilter(text="fig", role="solve"))
    with LedgerReader(ledger) as reader:
        everything, figs = list(numbers(reader)), list(numbers(reader, wanted))
        monkeypatch.setattr(selections, "_AT_ONCE", 3)
        assert (list(numbers(reader)), list(numbers(reader, wanted))) == (everything, figs)
    assert everything == list(range(1, 201)) and 10 < len(figs) < 150


def test_a_lot_is_some_of_them_spread_over_all_and_the_same_each_time(ledger: Path) -> None:
    with LedgerReader(ledger) as reader:
        first, again = (list(numbers(reader, Selection(draw=20))) for _ in range(2))
        assert first == again and len(first) == 20
        assert {number // 50 for number in first} == {0, 1, 2, 3}
        more = list(numbers(reader, Selection(draw=40)))
    assert set(first) < set(more)


def test_what_is_selected_is_what_the_audit_in_question_says(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        verdict = {"severity": 0, "score": 0.0, "reason": ""}
        for number in (1, 2, 3):
            batch.add("samples", {"branch": 1, "step": 1})
            batch.add("verdicts", {"sample": number, "allowed": number != 1, **verdict})
            row = {"time": 1.0, "audit": "a", "policy": "p f", "sample": number, **verdict}
            batch.add("audits", {**row, "allowed": number != 3, "findings": '[["new", 3, "trace", null, "w"]]'})
    blocked, new = Selection(SampleFilter(judged=Judged.BLOCKED)), Selection(SampleFilter(rule="new"))
    with LedgerReader(tmp_path) as reader:
        assert [row.sample for row in judgements(reader, LIVE, blocked)] == [1]
        assert [row.sample for row in judgements(reader, "a", blocked)] == [3]
        assert not list(judgements(reader, LIVE, new))
        assert [row.sample for row in judgements(reader, "a", new)] == [1, 2, 3]


def test_audits_have_names(ledger: Path, tmp_path: Path) -> None:
    with LedgerReader(ledger) as reader:
        assert [audit_named(reader, name) for name in ("", "live", "newest", "same")] == [LIVE, LIVE, "same", "same"]
        with pytest.raises(UnknownAudit, match="no audit other is on record; there are same"):
            audit_named(reader, "other")
    with LedgerWriter(tmp_path) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        batch.add("audit_starts", {"time": 1.0, "audit": "unfinished", "policy": "p", "fingerprint": "f"})
    with LedgerReader(tmp_path) as reader:
        assert audit_named(reader, "unfinished") == "unfinished"
        with pytest.raises(UnknownAudit, match="no audit newest"):
            audit_named(reader, "newest")
