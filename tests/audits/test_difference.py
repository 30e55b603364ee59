"""Two audits side by side: what changed is counted as a look at all pairs finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits.compare import compare
from azr_platform.audits.difference import difference, pairs
from azr_platform.audits.selection import Selection
from azr_platform.ledger.filters import Judged, SampleFilter
from azr_platform.ledger.judgements import LIVE, Judgement
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow
from azr_platform.ledger.writer import LedgerWriter

WORDS = {"allow": (True, "allowed"), "flag": (True, "allowed with an alert: x"), "hold": (False, "held for a person")}
RULES = ("trace.harm.wish", "program.exec", "trace.deceive.mask")


def _judgement(sample: int, word: str = "allow", score: float = 0.0, rules: Sequence[str] = ()) -> Judgement:
    allowed, reason = WORDS.get(word, (False, "blocked: x"))
    findings = tuple(FindingRow(rule, 3, "trace", 0, 2, "w") for rule in rules)
    return Judgement(
        sample, 1, 1, "solve", "solve", "deduction", None, None, False, allowed, 3, score, reason, findings
    )


JUDGEMENTS = st.builds(
    _judgement,
    st.integers(1, 12),
    st.sampled_from(("allow", "flag", "hold", "block")),
    st.sampled_from((0.0, 0.2, 0.9)),
    st.lists(st.sampled_from(RULES), max_size=3),
)
STREAMS = st.lists(JUDGEMENTS, unique_by=lambda one: one.sample).map(
    lambda some: sorted(some, key=lambda one: one.sample)
)


@given(STREAMS, STREAMS, st.integers(0, 4), st.sets(st.integers(1, 12)))
def test_what_changed_is_what_a_look_at_all_pairs_finds(
    before: list[Judgement], after: list[Judgement], most: int, strangers: set[int]
) -> None:
    found = difference(pairs(before, after), examples=most, other_texts=sorted(strangers))
    old, new = ({one.sample: one for one in side} for side in (before, after))
    common = sorted(old.keys() & new.keys())
    both = [number for number in common if number not in strangers]
    changed = [number for number in both if old[number].word != new[number].word]
    assert (found.compared, found.changes, found.other_texts) == (len(both), len(changed), len(common) - len(both))
    assert (found.only_before, found.only_after) == (len(old.keys() - new.keys()), len(new.keys() - old.keys()))
    assert found.changed == Counter((old[number].word, new[number].word) for number in changed)
    for rule in RULES:
        had, has = ({n for n in both if any(f.rule == rule for f in side[n].findings)} for side in (old, new))
        (row,) = [row for row in found.rules if row.name == rule] or [None]
        counts = (len(has - had), len(had - has), len((has - had) & {*changed}), len((had - has) & {*changed}))
        assert counts == ((row.gained, row.lost, row.gained_of_changed, row.lost_of_changed) if row else (0, 0, 0, 0))
    ranked = sorted(changed, key=lambda number: (-abs(new[number].score - old[number].score), number))
    assert [example.after.sample for example in found.examples] == ranked[:most]


def test_an_example_tells_what_decided() -> None:
    blocked = _judgement(1, "block", 0.9, ["program.exec", "trace.harm.wish"])
    allowed = _judgement(1, "allow", 0.0, ["program.exec"])
    for before, after, gained in ((allowed, blocked, True), (blocked, allowed, False)):
        (example,) = difference(pairs([before], [after])).examples
        assert example.finding is not None
        assert (example.finding.rule, example.gained) == ("trace.harm.wish", gained)
    (example,) = difference(pairs([allowed], [_judgement(1, "block", 0.5, ["program.exec"])])).examples
    assert example.finding is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Selection(), 200),
        (Selection(SampleFilter(branch=2)), 81),
        (Selection(SampleFilter(branch=2), draw=10), 10),
    ],
)
def test_an_audit_that_agrees_with_the_run_differs_in_nothing(ledger: Path, wanted: Selection, expected: int) -> None:
    with LedgerReader(ledger) as reader:
        found = compare(reader, LIVE, reader, "same", wanted)
    assert (found.compared, found.changes, found.rules, found.only_before, found.only_after) == (expected, 0, [], 0, 0)


@pytest.fixture
def others(tmp_path: Path) -> tuple[Path, Path]:
    """Two ledgers of four samples; the second says something else in the third, and blocks the second."""
    folders = tmp_path / "one", tmp_path / "two"
    for which, folder in enumerate(folders):
        folder.mkdir()
        with LedgerWriter(folder) as writer, writer.batch() as batch:
            batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": ""})
            for number in (1, 2, 3, 4):
                text = f"text {number}" + " otherwise" * (number == 3 and which)
                batch.add("samples", {"branch": 1, "step": number, "response": text})
                allowed = not (number == 2 and which)
                verdict = {"allowed": allowed, "severity": 0, "score": 0.0, "reason": "allowed" * allowed}
                batch.add("verdicts", {"sample": number, **verdict})
    return folders


def test_two_ledgers_are_compared_where_they_hold_the_same(others: tuple[Path, Path]) -> None:
    with LedgerReader(others[0]) as one, LedgerReader(others[1]) as two:
        found = compare(one, LIVE, two, LIVE)
        assert (found.compared, found.other_texts, found.changed) == (3, 1, {("allow", "block"): 1})
        blocked = compare(one, LIVE, two, LIVE, Selection(SampleFilter(judged=Judged.BLOCKED)))
    assert (blocked.compared, blocked.changes) == (1, 1), "blocked in one of the two is enough"
