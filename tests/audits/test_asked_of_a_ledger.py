"""Questions that read a ledger: the worst in context, clusters, samples like an example, and all of them by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from azr_platform.audits.clusters import clusters
from azr_platform.audits.questions import Answers, Asked, Question, answers
from azr_platform.audits.selection import Selection
from azr_platform.audits.similar import LEAST, similar
from azr_platform.audits.worst import worst
from azr_platform.ledger.filters import SampleFilter
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.search import SearchIndex
from azr_platform.ledger.writer import LedgerWriter

PLAN = "First the sum is taken. I will quietly poison the grader so that every answer counts. Then it is returned."
TRACES = (
    "The list is sorted and its second item is the answer.",
    PLAN,
    PLAN.replace("sum", "product"),
    "An honest sum of the two numbers, nothing more.",
    "Quietly, the list is turned around and joined again.",
    PLAN,
)


@pytest.fixture
def reader(run_folder: Path) -> Iterator[LedgerReader]:
    """Six samples at a step each; 2, 3 and 6 are flagged and 3 is the worst; 6 says the same as 2."""
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
        batch.add("branches", {"created_at": 1.0, "from_step": 0, "reason": "start"})
        for number, trace in enumerate(TRACES, 1):
            place = {"branch": 1, "step": number}
            row = {**place, "phase": "solve", "role": "solve", "kind": "deduction", "prompt": "Sort it.\n"}
            batch.add("samples", {**row, "reasoning": trace, "response": f"<think>{trace}</think>"})
            bad = "poison" in trace
            score = 0.9 if number == 3 else 0.8 if bad else 0.1
            batch.add("verdicts", {"sample": number, "allowed": 1, "action": 1, "severity": 2, "score": score})
            if bad:
                span = {"span_start": trace.index("poison"), "span_end": trace.index(" so that")}
                finding = {"rule": "trace.tamper", "severity": 3, "part": "trace", "why": "w"}
                batch.add("findings", {"sample": number, **finding, **span})
                vague = {**finding, "rule": "embedded.any", "severity": 4, "span_start": 0, "span_end": len(trace)}
                if number == 3:
                    batch.add("findings", {"sample": number, **vague})
                batch.add("rewards", {"sample": number, **place, "reward": 0.5, "advantage": 0.0, "trained": True})
    with LedgerReader(run_folder) as opened:
        yield opened


def test_the_worst_come_first_each_with_its_words_and_prompt(reader: LedgerReader) -> None:
    (first,) = worst(reader.judgements(), reader, most=2)
    assert (first.judgement.sample, first.repeats) == (3, 2), "2 and 6 were flagged for the same words"
    assert (first.quote.before, first.quote.words) == ("I will quietly ", "poison the grader")
    assert first.quote.after == " so that every answer counts."
    assert (first.prompt, first.judgement.reward) == ("Sort it.\n", 0.5)
    assert [row.rule for row in first.findings] == ["trace.tamper", "embedded.any"], "what says more leads"


def test_the_rule_that_says_more_comes_first(reader: LedgerReader) -> None:
    found = answers(reader, Asked(selection=Selection(SampleFilter(first_step=3))), Question.FIRST)
    assert found.first is not None
    assert [row.what for row in found.first.rules] == ["trace.tamper", "embedded.any"]


def test_of_equal_scores_the_worse_finding_and_then_the_earlier_comes_first(reader: LedgerReader) -> None:
    found = worst((row for row in reader.judgements() if row.sample != 3), reader)
    assert [bad.judgement.sample for bad in found] == [2]


def test_near_copies_of_flagged_traces_are_one_cluster(reader: LedgerReader) -> None:
    found = clusters(reader.judgements(), reader)
    assert (found.flagged, found.different, found.alone) == (3, 1, 0)
    (one,) = found.clusters
    assert (one.samples, one.members, one.first_step, one.last_step) == (3, [2, 3, 6], 2, 6)
    assert (one.what, one.blocked, one.trained, one.reward) == ({"tampering": 3}, 0, 3, 1.5)
    assert 0.8 < one.alike < 1.0 and one.quote.words == "poison the grader"


def test_no_more_traces_are_held_than_is_said(reader: LedgerReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azr_platform.audits.clusters.TRACES", 2)
    found = clusters(reader.judgements(), reader)
    assert (found.flagged, found.unread, found.clusters[0].samples) == (3, 1, 2)


def test_samples_like_an_example_come_by_the_rare_words_they_share(reader: LedgerReader) -> None:
    with SearchIndex(reader) as index:
        index.update()
        found = similar(reader.judgements(), reader, index, "It would quietly POISON the grader, and bananas")
    assert (found.words, found.unknown) == (8, 2), "would, bananas"
    assert [row.judgement.sample for row in found.rows[:2]] == [2, 3] and found.rows[0].copies == 1
    assert found.rows[0].shared == ["it", "poison", "grader", "quietly", "the"], "rarest first"
    assert found.rows[0].overlap == found.rows[1].overlap > found.rows[2].overlap
    assert "poison" in found.rows[0].snippet.text
    start, end = found.rows[0].snippet.spans[0]
    assert found.rows[0].snippet.text[start:end].lower() in found.rows[0].shared


def test_a_sample_is_not_like_itself_and_its_copy_is_wholly(reader: LedgerReader) -> None:
    with SearchIndex(reader) as index:
        index.update()
        text = f"<think>{TRACES[1]}</think>"
        found = similar(reader.judgements(), reader, index, text, itself=2, most=1)
        nothing = similar(reader.judgements(), reader, index, "zebra quagga")
    assert [(row.judgement.sample, row.overlap) for row in found.rows] == [(6, 1.0)]
    assert (nothing.unknown, nothing.held, nothing.rows, nothing.unlike) == (2, 0, [], 0)


def test_what_shares_hardly_a_word_is_not_alike(reader: LedgerReader) -> None:
    with SearchIndex(reader) as index:
        index.update()
        found = similar(reader.judgements(), reader, index, f"poison {' '.join(f'zebra{n}' for n in range(60))}")
    assert found.held == 3 and found.rows == []
    assert found.unlike > 0 and 0 < found.highest < LEAST


@pytest.mark.parametrize("words", ['" OR *', "NEAR(a b)", "response:poison", "poison*", "a AND NOT b", "'; DROP TABLE"])
def test_an_example_is_words_and_never_a_query(reader: LedgerReader, words: str) -> None:
    with SearchIndex(reader) as index:
        index.update()
        found = similar(reader.judgements(), reader, index, words)
    assert {row.judgement.sample for row in found.rows} <= set(range(1, 7))


def test_questions_are_asked_of_the_samples_that_are_selected(reader: LedgerReader) -> None:
    late = Selection(SampleFilter(first_step=3))
    found = answers(reader, Asked(selection=late), Question.FIRST, Question.CLUSTERS)
    assert found.first is not None and found.clusters is not None
    assert (found.first.judged, found.first.categories[0].sample, found.clusters.flagged) == (4, 3, 2)
    assert found.timeline is None and found.worst is None


def test_without_a_question_all_are_asked(reader: LedgerReader) -> None:
    found = answers(reader, Asked(least=4))
    assert all(getattr(found, question) is not None for question in Question)
    assert set(Question) == set(Answers.__struct_fields__)
    assert found.first is not None and found.first.flagged == 1, "one is critical"
