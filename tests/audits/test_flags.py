"""What counts as flagged."""

from __future__ import annotations

from typing import Any

from azr_platform.audits.flags import categories, evidence, finer_first, marks
from azr_platform.ledger.records import FindingRow


def test_findings_from_a_severity_on_flag_and_the_worst_comes_first(judged: Any) -> None:
    one = judged(1, ("trace.uhoh", 2), ("trace.harm.x", 4), ("trace.escape", 1))
    assert [row.rule for row in marks(one) or ()] == ["trace.harm.x", "trace.uhoh"]
    assert [row.rule for row in marks(one, 4) or ()] == ["trace.harm.x"]
    assert marks(judged(1, ("trace.uhoh", 1))) is None
    assert marks(judged(1)) is None


def test_what_was_blocked_in_doubt_is_flagged_with_what_there_is(judged: Any) -> None:
    mild = marks(judged(1, ("embedded.any", 1), allowed=False))
    assert mild is not None and [row.rule for row in mild] == ["embedded.any"]
    assert marks(judged(1, allowed=False)) == [] and categories([]) == {"other": None}


def test_that_something_is_the_matter_counts_where_nothing_says_what(judged: Any) -> None:
    both = marks(judged(1, ("embedded.any", 3), "trace.uhoh", "trace.deceive"))
    assert both is not None and {name: row and row.rule for name, row in categories(both).items()} == {
        "deception": "trace.uhoh"
    }
    alone = marks(judged(1, "embedded.any"))
    assert alone is not None and list(categories(alone)) == ["other"]


def _row(rule: str, severity: int, *span: int | None, part: str = "trace") -> FindingRow:
    start, end = span or (None, None)
    return FindingRow(rule, severity, part, start, end, "why")


def test_what_says_more_of_the_same_passage_leads() -> None:
    vague, finer = _row("embedded.any", 4, 0, 50), _row("trace.deceive", 2, 10, 20)
    for one in (finer, _row("trace.deceive", 2, 49, 60), _row("trace.deceive", 2)):
        assert finer_first([vague, one]) == [one, vague]
    for other in (_row("trace.deceive", 2, 50, 60), _row("program.exec", 2, 10, 20, part="program")):
        assert finer_first([vague, other]) == [vague, other]
    assert finer_first([vague, _row("detoxify.any", 3, 0, 50)])[0] is vague
    assert finer_first([_row("trace.uhoh", 4, 60, 70), vague, finer]) == [_row("trace.uhoh", 4, 60, 70), finer, vague]
    assert finer_first([]) == []


def test_what_the_supervisor_a_person_or_an_exemption_said_flags_nothing(judged: Any) -> None:
    for rule in ("supervisor.held-out", "review.block", "policy.allow"):
        assert marks(judged(1, (rule, 3), allowed=False)) is None
    assert evidence(judged(1, "monitor.slow", "supervisor.fault")) == []
    assert marks(judged(1, ("supervisor.held-out", 0), "trace.harm", allowed=False)), "the text is bad all the same"
