"""First occurrences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import azr_platform.audits.first as module
from azr_platform.audits.first import first, with_words
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter


def test_each_category_and_rule_is_told_by_its_first_sample_with_how_many_followed(judged: Any) -> None:
    found = first(
        [
            judged(1),
            judged(2, "trace.harm.a", branch=2, allowed=False),
            judged(3, "trace.harm.b", ("trace.harm.a", 3)),
            judged(4, "trace.uhoh"),
            judged(9, "trace.harm.a"),
        ]
    )
    assert (found.judged, found.flagged) == (5, 4)
    harm, deception = found.categories
    assert (harm.what, harm.sample, harm.branch, harm.allowed) == ("harm", 2, 2, False)
    assert (harm.samples, harm.last_sample, harm.last_step) == (3, 9, 9)
    assert (deception.what, deception.sample, deception.samples) == ("deception", 4, 1)
    rules = {row.what: (row.sample, row.samples) for row in found.rules}
    assert rules == {"trace.harm.a": (2, 3), "trace.harm.b": (3, 1), "trace.uhoh": (4, 1)}


def test_made_up_rules_without_end_are_counted_and_not_kept(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RULES", 3)
    found = first(judged(number, f"trace.harm.{number}") for number in range(1, 10))
    assert (len(found.rules), found.unlisted, found.categories[0].samples) == (3, 6, 9)


def test_the_words_are_those_of_the_first_sample(judged: Any, run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        texts = {"prompt": "p", "response": "r", "reasoning": "Fine so far. I hurt them badly. Done."}
        writer.append("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 1, "config": ""})
        writer.append("samples", {"branch": 1, "step": 1, "role": "solve", "kind": "deduction", **texts})
    finding = {"span_start": 15, "span_end": 24}
    one = judged(1, "trace.harm")
    with LedgerReader(run_folder) as reader:
        row = msgspec.structs.replace(one.findings[0], **finding)
        found = with_words(first([msgspec.structs.replace(one, findings=(row,))]), reader)
    assert found.categories[0].quote == found.rules[0].quote
    quote = found.categories[0].quote
    assert quote is not None
    assert (quote.part, quote.start, quote.before, quote.words, quote.after) == (
        "trace",
        15,
        "I ",
        "hurt them",
        " badly.",
    )
