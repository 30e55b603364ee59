"""Audits on record: which there are, and what each made of the samples, in the samples' order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.judgements import LIVE
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter

VERDICT = {"action": 0, "severity": 0, "score": 0.0, "reason": "nothing was found"}
BEGUN = {"policy": "strict", "fingerprint": "abcd", "settings": "{}", "selection": "--since 3", "version": "1.0"}
FOUND = ["trace.harm", 3, "trace", [4, 9], "it says so"]


def _audited(sample: int, audit: str, *, allowed: bool = True, findings: list[Any] | None = None) -> dict[str, object]:
    row = {"time": 50.0, "audit": audit, "policy": "strict abcd", "sample": sample, "allowed": allowed, "severity": 3}
    return {**row, "score": 0.5, "findings": json.dumps(findings or []), "reason": "so"}


@pytest.fixture
def audited(run_folder: Path, ledger_tools: Any) -> Path:
    """Four samples, the third without a verdict; one finished audit and one that was ended after its second sample."""
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        for number in (1, 2, 3, 4):
            batch.add("samples", ledger_tools.sample_row(number))
            if number != 3:
                batch.add("verdicts", {"sample": number, **VERDICT, "allowed": number != 4})
        finding = {"rule": "trace.uhoh", "severity": 2, "part": "trace", "why": "w"}
        for sample, span in ((2, None), (3, None), (4, 1), (4, 2)):
            batch.add("findings", {"sample": sample, **finding, "span_start": span, "span_end": span and span + 3})
        batch.add("rewards", {"sample": 2, "branch": 1, "step": 1, "reward": 0.5, "advantage": 0.1, "trained": True})
        for time, name in ((40.0, "first"), (45.0, "second")):
            start = {"time": time, "audit": name, **BEGUN, "head": "00", "rows": 7, "who": "me"}
            batch.add("audit_starts", start)
        batch.add("audits", _audited(2, "first", allowed=False, findings=[FOUND]))
        batch.add("audits", _audited(1, "first"))
        batch.add("audits", _audited(1, "second"))
        batch.add("audits", _audited(2, "second"))
        batch.add("audits", _audited(2, "second", allowed=False))
        batch.add("audits", {**_audited(1, "third"), "time": 10.0})
        batch.add("audit_ends", {"time": 60.0, "audit": "first", "left_out": '{"too long": 1}'})
    return run_folder


def test_audits_are_listed_with_how_far_they_came(audited: Path) -> None:
    with LedgerReader(audited) as reader:
        third, first, second = reader.audits()
    assert (first.name, first.started_at, first.ended_at, first.left_out) == ("first", 40.0, 60.0, '{"too long": 1}')
    assert (first.policy, first.selection, first.head, first.rows, first.who) == ("strict", "--since 3", "00", 7, "me")
    assert (first.judged, first.blocked) == (2, 1)
    assert (second.name, second.ended_at, second.judged) == ("second", None, 2)
    assert (third.name, third.policy, third.fingerprint, third.ended_at) == ("third", "strict", "abcd", 10.0)


def test_what_the_run_made_of_its_samples_comes_with_each_samples_own_findings(audited: Path) -> None:
    with LedgerReader(audited) as reader:
        one, two, four = reader.judgements(LIVE)
        assert [row.sample for row in reader.judgements(beyond=1)] == [2, 4]
    assert (one.sample, one.findings, one.reward, one.trained) == (1, (), None, False)
    assert (two.sample, [f.rule for f in two.findings], two.reward, two.trained) == (2, ["trace.uhoh"], 0.5, True)
    assert (four.sample, four.allowed, [f.span_start for f in four.findings]) == (4, False, [1, 2])


def test_what_an_audit_made_of_the_samples_comes_in_order_and_once(audited: Path) -> None:
    with LedgerReader(audited) as reader:
        one, two = reader.judgements("first")
        again = list(reader.judgements("second"))
        assert not list(reader.judgements("none of that name"))
    assert (one.sample, two.sample, two.allowed) == (1, 2, False)
    (found,) = two.findings
    assert (found.rule, found.severity, found.span_start, found.span_end, found.why) == (*FOUND[:2], 4, 9, FOUND[4])
    assert [(row.sample, row.allowed) for row in again] == [(1, True), (2, False)], "the later row counts"


def test_blocked_counts_samples_however_many_rows_they_have(audited: Path) -> None:
    with LedgerWriter(audited) as writer:
        for _ in range(2):
            writer.append("audits", _audited(2, "first", allowed=False))
    with LedgerReader(audited) as reader:
        (first,) = [row for row in reader.audits() if row.name == "first"]
    assert (first.judged, first.blocked) == (2, 1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time", "soon"),
        ("policy", b"\x00"),
        ("policy", None),
        ("rows", "many"),
        ("left_out", "[1]"),
        ("left_out", b"x"),
    ],
)
def test_an_audit_on_record_that_cannot_be_read_is_a_broken_ledger(
    audited: Path, ledger_tools: Any, column: str, value: object
) -> None:
    table = "audit_ends" if column == "left_out" else "audit_starts"
    with ledger_tools.tampering(audited) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    with LedgerReader(audited) as reader, pytest.raises(LedgerBroken, match="of an audit cannot be read"):
        reader.audits()


def test_an_older_audit_with_a_time_that_is_none_is_a_broken_ledger(audited: Path, ledger_tools: Any) -> None:
    with ledger_tools.tampering(audited) as connection:
        connection.execute("UPDATE audits SET time = 'soon' WHERE audit = 'third'")
    with LedgerReader(audited) as reader, pytest.raises(LedgerBroken, match="of an audit cannot be read"):
        reader.audits()


@pytest.mark.parametrize("findings", ["no JSON", "[[1]]", '[["r", 1, "p", [1], "w"]]'])
def test_findings_that_cannot_be_read_are_a_broken_ledger(audited: Path, findings: str) -> None:
    with LedgerWriter(audited) as writer:
        writer.append("audits", {**_audited(4, "first"), "findings": findings})
    with LedgerReader(audited) as reader, pytest.raises(LedgerBroken, match="sample 4"):
        list(reader.judgements("first"))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("samples", "step", "soon"),
        ("samples", "role", b"\xff"),
        ("samples", "task", b"t"),
        ("verdicts", "score", "high"),
        ("verdicts", "severity", 2.5),
        ("rewards", "reward", "much"),
        ("findings", "severity", "bad"),
        ("findings", "rule", b"r"),
        ("findings", "span_start", "here"),
    ],
)
def test_values_of_another_type_than_their_column_s_are_a_broken_ledger(
    audited: Path, ledger_tools: Any, table: str, column: str, value: object
) -> None:
    with ledger_tools.tampering(audited) as connection:
        sample = "id" if table == "samples" else "sample"
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {sample} = 2", (value,))
    with LedgerReader(audited) as reader, pytest.raises(LedgerBroken, match="what was made of sample 2"):
        list(reader.judgements(LIVE))
