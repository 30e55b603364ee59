"""What was flagged does not remain, wherever it stands; what was not flagged does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_platform.audits.export.redact import Redactor
from azr_platform.audits.export.rows import PARTS, Row, rows
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import FindingRow

_MARK = re.compile(r"\[redacted: [^\]]*\]")


def finding(start: int | None, end: int | None, *, rule: str = "r", severity: int = 3) -> FindingRow:
    return FindingRow(rule, severity, "trace", start, end, "why")


def redacted(trace: str, *findings: FindingRow, other: str = "") -> tuple[str, str]:
    redactor = Redactor({"trace": trace}, findings)
    return redactor.part("trace"), redactor.text(other)


def test_the_place_and_the_same_words_elsewhere_go() -> None:
    one, other = redacted("say the word now", finding(4, 12), other="<think>Say\nTHE </think> Word")
    assert (one, other) == ("say [redacted: r] now", "<think>Say\n[redacted: r]")


def test_what_overlaps_is_one_and_has_the_name_of_the_worst() -> None:
    found = [finding(0, 6, rule="mild", severity=1), finding(4, 9, rule="bad", severity=4), finding(9, 10, rule="next")]
    assert redacted("abcdefghij", *found)[0] == "[redacted: bad][redacted: next]"


@pytest.mark.parametrize(("text", "kept"), [("hidden, provided", True), ("the id is", False), ("id", False)])
def test_short_words_are_words_by_themselves_elsewhere(text: str, kept: bool) -> None:
    _, other = redacted("f(id)", finding(2, 4), other=text)
    assert (other == text) is kept


def test_what_nobody_could_read_goes_whole_and_notes_take_nothing_away() -> None:
    assert redacted("long text", finding(None, None, rule="monitor.limit"), other="a long  text") == (
        "[redacted: monitor.limit]",
        "a [redacted: monitor.limit]",
    )
    assert redacted("text", finding(None, None, rule="monitor.slow", severity=0))[0] == "text"
    assert redacted("text", finding(None, None, rule="review.block", severity=0))[0] == "text"


@pytest.mark.parametrize("place", [(-5, 2), (2, 99), (3, 3), (9, 2), (50, 60)])
def test_places_that_lie_outside_of_the_text_do_no_harm(place: tuple[int, int]) -> None:
    one, _ = redacted("abcd", finding(*place))
    assert set(_MARK.sub("", one)) <= set("abcd")


_WORDS = st.text(alphabet="aAbB xyİß\n\t<>/thinké🐍", max_size=40)


@given(_WORDS, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4), _WORDS, _WORDS)
def test_no_flagged_words_remain(trace: str, spans: list[tuple[int, int]], before: str, after: str) -> None:
    """In no text: not in the part itself, nor where the words stand once more between other words."""
    spans = [(start, min(end, len(trace))) for start, end in spans if start < min(end, len(trace))]
    redactor = Redactor({"trace": trace}, [finding(start, end) for start, end in spans])
    flagged = [trace[start:end] for start, end in spans]
    texts = [redactor.part("trace"), *(redactor.text(f"{before} {words} {after}") for words in flagged)]
    for text in texts:
        for piece in _MARK.split(text):
            for words in flagged:
                if len(_plain(words).strip()) >= 4:
                    assert _plain(words).strip() not in _plain(piece)


def _plain(text: str) -> str:
    """As a reader compares: small letters, blanks and tags as one blank."""
    small = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return re.sub(r"(?:\s|</?(?:think|thinking|reasoning|answer)>)+", " ", small)


@given(_WORDS, st.integers(0, 40), st.integers(0, 40))
def test_what_stands_outside_of_the_place_stays(trace: str, start: int, end: int) -> None:
    end = min(end, len(trace))
    one, _ = redacted(trace, finding(start, end))
    outside = trace if start >= end else trace[:start] + trace[end:]
    kept = iter(outside)
    assert all(c in kept for c in _MARK.sub("", one)), "nothing is added and nothing changes its place"
    if _plain(trace[start:end]).strip() == "":
        assert _MARK.sub("", one) == outside


def test_long_texts_of_one_letter_take_no_longer_than_others(glances: object) -> None:
    assert callable(glances)
    text = "a" * 100_000
    found = [finding(0, 50_001), finding(10, 40_000, rule="s"), finding(5, 6)]
    assert glances(lambda: redacted(text, *found, other=text + "b"), text) < 2000


def test_no_column_of_a_redacted_row_holds_the_words(flagged: Path) -> None:
    with LedgerReader(flagged) as reader:
        plain, clean = list(rows(reader, redact=True))
        whole = list(rows(reader))[1]
    assert "build a Bomb" in whole.reasoning
    told = re.sub(r"\s+", " ", str(msgspec.to_builtins(clean)).replace("\\n", " ")).lower()
    assert "bomb" not in told
    assert "import os" not in told
    assert clean.reasoning == "First I add. Then I [redacted: trace.harm] quietly. Done."
    assert "[redacted: program.import.process]" in clean.response
    assert [(one.rule, one.start, one.end) for one in clean.findings] == [
        ("trace.harm", None, None),
        ("program.import.process", None, None),
    ]
    assert plain.response == "plain"


def test_an_audits_export_hides_what_the_run_flagged_too(flagged: Path) -> None:
    with LedgerReader(flagged) as reader:
        clean = list(rows(reader, "again", redact=True))[1]
    assert clean.reasoning == "[redacted: trace.uhoh]. Then I [redacted: trace.harm] quietly. Done."


def test_every_part_that_is_judged_is_a_column() -> None:
    from azr_monitor.records import PARTS as JUDGED

    assert set(PARTS.values()) == set(JUDGED) - {"behaviour"}
    assert set(PARTS) <= set(Row.__struct_fields__)
