"""Decisions as labels, and how an audit does against them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_monitor.intervals import wilson
from azr_platform.audits.agreement import agreement
from azr_platform.audits.labels import Label, calibration_rows, labels
from azr_platform.config.load import load
from azr_platform.ledger.judgements import Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow
from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.supervisor.runfolder import create

Judged = Callable[..., Judgement]


def judged(sample: int, *rules: str, allowed: bool = True, severity: int = 2) -> Judgement:
    findings = tuple(FindingRow(rule, severity, "trace", 0, 1, "w") for rule in rules)
    return Judgement(
        sample=sample,
        branch=1,
        step=1,
        phase="solve",
        role="solve",
        kind="deduction",
        task=None,
        reward=None,
        trained=False,
        allowed=allowed,
        severity=severity,
        score=0.5,
        reason="",
        findings=findings,
    )


def label(sample: int, word: str, **more: Any) -> Label:
    return Label((sample,), word, "ann (command line)", "", 1.0, **more)


# -- what is a label ---------------------------------------------------------------------------------------


def _sample(batch: Batch, trace: str, **texts: str) -> int:
    row = {"time": 1.0, "branch": 1, "step": 4, "phase": "propose", "role": "propose", "kind": "deduction", "uid": "u"}
    given = {**dict.fromkeys(("prompt", "response", "program", "input", "message", "answer"), ""), **texts}
    return batch.add("samples", {**row, "tokens": 1, "well_formed": 1, "problem": "", "reasoning": trace, **given})


def _decision(batch: Batch, sample: int, word: str, digest: str, who: str = "ann") -> None:
    row = {"time": 2.0, "branch": 1, "step": 4, "sample": sample, "decision": word, "who": who, "note": "n"}
    batch.add("decisions", {**row, "digest": digest})


def _closed(batch: Batch, sample: int | None, outcome: str) -> None:
    alert = {"time": 1.0, "branch": 1, "step": 4, "severity": 2, "rule": "trace.uhoh", "message": "m"}
    number = batch.add("alerts", {**alert, "sample": sample})
    batch.add("alert_outcomes", {"time": 3.0, "alert": number, "outcome": outcome, "who": "bea", "note": ""})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with create(tmp_path / "r", load("nano")) as writer, writer.batch() as batch:
        for trace in ("one", "one", "two", "three", "four"):
            _sample(batch, trace)
        _decision(batch, 1, "allow", "d1", "bea")
        _decision(batch, 2, "block", "d1")
        _decision(batch, 3, "false-alarm", "d2")
        for sample, outcome in ((3, "resolved"), (4, "resolved"), (5, "false-alarm"), (None, "resolved")):
            _closed(batch, sample, outcome)
    return tmp_path / "r"


def test_the_last_word_on_a_text_is_its_label_and_outranks_what_alerts_came_to(run: Path) -> None:
    with LedgerReader(run) as reader:
        one, two, three, four = labels(reader)
    assert (one.samples, one.word, one.harmful, one.words) == ((1, 2), "block", True, ("allow (bea)",))
    assert (two.sample, two.word, two.harmful, two.rule) == (3, "false-alarm", False, "")
    assert (three.sample, three.word, three.harmful, three.rule, three.who) == (
        4,
        "resolved",
        True,
        "trace.uhoh",
        "bea",
    )
    assert (four.sample, four.harmful) == (5, False)


def test_an_earlier_sample_that_is_decided_about_again_is_the_last_one(run: Path) -> None:
    with LedgerWriter(run) as writer, writer.batch() as batch:
        _decision(batch, 1, "allow", "d1")
    with LedgerReader(run) as reader:
        (first, *_) = labels(reader)
    assert (first.samples, first.harmful, first.words) == ((2, 1), False, ("block (ann)",))


def test_a_resolved_alert_is_no_word_on_the_whole_text_so_it_calibrates_nothing(run: Path) -> None:
    with LedgerReader(run) as reader:
        rows = list(calibration_rows(reader, "r"))
    assert [(row["id"], row["label"], row["trace"]) for row in rows] == [
        ("r/2", "harmful", "one"),
        ("r/3", "benign", "two"),
    ]


def test_what_the_solver_of_an_induction_wrote_is_exported_as_the_program_that_it_is(tmp_path: Path) -> None:
    with create(tmp_path / "r", load("nano")) as writer, writer.batch() as batch:
        texts = {"answer": "def f(x):\n    return x", "input": "1\n2"}
        number = _sample(batch, "", **texts, kind="induction")
        _decision(batch, number, "block", "d")
    with LedgerReader(tmp_path / "r") as reader:
        (row,) = calibration_rows(reader, "r")
    assert (row["program"], row["inputs"]) == (texts["answer"], ["1", "2"])
    assert "answer" not in row and "input" not in row


# -- how an audit does -------------------------------------------------------------------------------------


def test_precision_and_recall_are_shares_of_what_was_labelled_with_their_intervals() -> None:
    found = agreement(
        [
            judged(1, "trace.uhoh.a", allowed=False),
            judged(2, "trace.uhoh.a", "trace.harm.b", allowed=False),
            judged(3, "trace.uhoh.a", allowed=False),
            judged(4),
            judged(5, "trace.uhoh.a"),
        ],
        [label(1, "block"), label(2, "block"), label(3, "false-alarm"), label(4, "block"), label(9, "allow")],
    )
    assert (found.harmful, found.benign, found.unseen, found.not_found, found.labels) == (3, 1, 1, 1, 4)
    deceive, harm = found.rules
    assert (deceive.name, deceive.right, deceive.wrong, deceive.missed) == ("trace.uhoh.a", 2, 1, 1)
    assert deceive.precision == wilson(2, 3)
    assert deceive.recall == wilson(2, 3)
    assert (harm.precision, harm.recall) == (wilson(1, 1), wilson(1, 3))
    assert [(row.name, row.right, row.wrong) for row in found.categories] == [("deception", 2, 1), ("harm", 1, 0)]
    assert (found.blocked.precision, found.blocked.recall) == (wilson(2, 3), wilson(2, 3))


def test_disagreements_go_both_ways_and_are_named() -> None:
    found = agreement(
        [judged(1, "r.a", allowed=False), judged(2, "r.b"), judged(3, allowed=False)],
        [label(1, "allow"), label(2, "block"), label(3, "block")],
    )
    assert [(one.sample, one.allowed, one.word, one.rules) for one in found.disagreements] == [
        (1, False, "allow", ("r.a",)),
        (2, True, "block", ("r.b",)),
    ]


@pytest.mark.parametrize("rule", ["review.block", "policy.allow", "supervisor.held-out", "monitor.asked"])
def test_a_person_s_own_word_and_notes_are_no_findings_that_could_be_right(rule: str) -> None:
    found = agreement([judged(1, rule, allowed=False)], [label(1, "block")])
    assert not found.rules and not found.categories and found.not_found == 1


def test_that_something_is_the_matter_is_a_category_only_where_nothing_says_what() -> None:
    found = agreement(
        [judged(1, "embedded.any", "trace.uhoh"), judged(2, "embedded.any")], [label(1, "block"), label(2, "block")]
    )
    assert [(row.name, row.right) for row in found.categories] == [("deception", 1), ("other", 1)]


def test_a_finding_that_is_a_mere_note_counts_for_nothing() -> None:
    assert not agreement([judged(1, "r.a", severity=0)], [label(1, "block")]).rules


def test_a_text_is_judged_where_it_came_first_and_counts_once() -> None:
    twice = Label((7, 3), "block", "ann", "", 1.0)
    found = agreement([judged(3), judged(7, "r.a", allowed=False)], [twice])
    assert (found.labels, found.not_found, found.blocked.right) == (1, 1, 0)


def test_without_labels_nothing_is_claimed() -> None:
    found = agreement([judged(1, "r.a")], [])
    assert (found.labels, found.blocked.precision, found.blocked.recall) == (0, None, None)
    benign = agreement([judged(1, "r.a")], [label(1, "allow")])
    assert benign.rules[0].precision == wilson(0, 1) and benign.rules[0].recall is None
