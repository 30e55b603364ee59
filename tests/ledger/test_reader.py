"""The reader: the run's line over branches, metrics, pages of samples, states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from azr_platform.ledger.errors import LedgerBroken
from azr_platform.ledger.filters import AlertFilter, AlertState
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.schema import PAGE_BYTES
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Task


@pytest.fixture
def ledger(run_folder: Path) -> Iterator[tuple[LedgerWriter, LedgerReader]]:
    with LedgerWriter(run_folder) as writer, LedgerReader(run_folder) as reader:
        row = {"name": "run", "created_at": 1.0, "version": "0", "seed": 0, "steps": 9, "config": "[run]"}
        writer.append("run", row)
        yield writer, reader


def _branch(writer: LedgerWriter, parent: int | None, from_step: int) -> int:
    row = {"created_at": 1.0, "parent": parent, "from_step": from_step, "reason": "test"}
    return writer.append("branches", row)


def _steps(writer: LedgerWriter, branch: int, steps: Sequence[int], every: int = 2) -> None:
    """Steps with a metric ``loss`` of branch.step, and a checkpoint at each second one."""
    with writer.batch() as batch:
        for step in steps:
            place = {"branch": branch, "step": step}
            batch.add("steps", {**place, "started_at": 100.0 * branch + step, "seconds": 0.5 * step})
            batch.add("metrics", {**place, "name": "loss", "value": branch + step / 10})
            if step % every == 0:
                batch.add("checkpoints", {**place, "time": 1.0, "path": f"checkpoints/{branch}-{step}", "digest": "d"})


@pytest.fixture
def branched(ledger: tuple[LedgerWriter, LedgerReader]) -> tuple[LedgerWriter, LedgerReader]:
    """1: 1..6; 2 from 1 at 4: 5..7; 3 from 2 at 6: nothing yet; 4 from 3 at 2: 3."""
    writer, _ = ledger
    assert _branch(writer, None, 0) == 1
    _steps(writer, 1, range(7))
    assert _branch(writer, 1, 4) == 2
    _steps(writer, 2, range(5, 8))
    assert _branch(writer, 2, 6) == 3
    assert _branch(writer, 3, 2) == 4
    _steps(writer, 4, [3])
    return ledger


def test_the_line_counts_each_branch_up_to_where_it_was_left(branched: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = branched
    # Branch 4 goes back behind everything that 2 and 3 added.
    assert reader.lineage() == [(1, 2), (2, 2), (3, 2), (4, 2**62)]
    assert reader.branch() == 4
    assert reader.step() == 3
    assert reader.metric("loss") == ([0, 1, 2, 3], [1.0, 1.1, 1.2, 4.3])
    assert [row.path for row in reader.line_checkpoints()] == ["checkpoints/1-0", "checkpoints/1-2"]
    assert len(reader.checkpoints()) == 5  # nothing was removed

    assert _branch(writer, 2, 6) == 5  # back onto the abandoned line, by hand
    assert reader.lineage() == [(1, 4), (2, 6), (5, 2**62)]
    assert reader.step() == 6
    assert reader.metric("loss")[0] == [0, 1, 2, 3, 4, 5, 6]
    assert [row.path for row in reader.line_checkpoints()] == [
        f"checkpoints/{name}" for name in ("1-0", "1-2", "1-4", "2-6")
    ]


def test_a_metric_that_was_not_finite_is_left_out_of_its_curve(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    _branch(writer, None, 0)
    _steps(writer, 1, [1, 2])
    writer.append("steps", {"branch": 1, "step": 3, "started_at": 1.0, "seconds": 1.0})
    writer.append("metrics", {"branch": 1, "step": 3, "name": "loss", "value": float("nan")})
    assert reader.metric("loss") == ([1, 2], [1.1, 1.2])
    assert reader.metric("nothing") == ([], [])
    assert reader.metric_names() == ["loss"]
    assert reader.last_metrics() == {"loss": None}
    assert reader.step_seconds(2) == [1.0, 1.0]
    assert reader.verify().intact


def test_a_state_without_a_supervisor_is_interrupted(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer, LedgerReader(run_folder) as reader:
        assert reader.state().state == "starting"
        writer.append("states", {"time": 5.0, "state": "running", "where_at": "step 2", "reason": ""})
        assert reader.state().state == "running"
    with LedgerReader(run_folder) as reader:
        assert (reader.state().state, reader.state().where_at) == ("interrupted", "step 2")
    for final in ("stopped", "finished", "failed"):
        with LedgerWriter(run_folder) as writer:
            writer.append("states", {"time": 6.0, "state": final, "where_at": "", "reason": ""})
        with LedgerReader(run_folder) as reader:
            assert reader.state().state == final


def test_rows_after_a_step_make_a_branch_dirty(
    ledger: tuple[LedgerWriter, LedgerReader], ledger_tools: ModuleType
) -> None:
    writer, reader = ledger
    _branch(writer, None, 0)
    assert not reader.recorded_after(1, None)
    writer.append("samples", {**ledger_tools.sample_row(1), "step": 3})
    assert reader.recorded_after(1, None)
    assert reader.recorded_after(1, 2)
    assert not reader.recorded_after(1, 3)
    assert not reader.recorded_after(2, None)
    _steps(writer, 1, [4])
    assert reader.recorded_after(1, 3)
    assert not reader.recorded_after(1, 4)


@pytest.fixture
def sampled(ledger: tuple[LedgerWriter, LedgerReader], ledger_tools: ModuleType) -> LedgerReader:
    """Ten samples: every second right, every third blocked with a finding, those from 6 on in step 2."""
    writer, reader = ledger
    with writer.batch() as batch:
        for number in range(1, 11):
            step = 1 if number < 6 else 2
            sample = batch.add("samples", ledger_tools.sample_row(number, step=step))
            blocked = number % 3 == 0
            verdict = {"action": 2 * blocked, "severity": 3 * blocked, "score": 0.5, "reason": "why"}
            batch.add("verdicts", {"sample": sample, "allowed": not blocked, **verdict})
            if blocked:
                batch.add("findings", {"sample": sample, "rule": "r", "severity": 3, "part": "trace", "why": "w"})
            else:
                place = {"branch": 1, "step": step}
                batch.add("rewards", {"sample": sample, **place, "reward": 1.0, "advantage": 0.1, "trained": True})
    return reader


def test_samples_come_in_pages_newest_first(sampled: LedgerReader) -> None:
    first = sampled.samples(limit=4)
    assert [row.id for row in first] == [10, 9, 8, 7]
    assert [row.id for row in sampled.samples(limit=4, before=first[-1].id)] == [6, 5, 4, 3]
    assert [row.id for row in sampled.samples(blocked_only=True)] == [9, 6, 3]
    assert [row.id for row in sampled.samples(flagged_only=True, step=2)] == [9, 6]
    assert sampled.samples(role="propose") == sampled.samples(kind="induction") == []
    assert list(sampled.sample_numbers()) == list(range(1, 11))
    assert (first[0].reward, first[1].reward) == (1.0, None)
    assert sampled.counts("outcome") == {"ok": 10}
    assert sampled.rule_counts() == [("r", 3, 3)]
    (group,) = sampled.group_totals()
    assert (group.samples, group.trained, group.blocked, group.well_formed, group.good) == (10, 7, 3, 10, 5)


def test_a_column_that_is_not_counted_by_is_refused(sampled: LedgerReader) -> None:
    with pytest.raises(ValueError, match="uid; DROP"):
        sampled.counts("uid; DROP TABLE samples")


def test_everything_about_one_sample_is_found_and_an_unknown_number_is_none(sampled: LedgerReader) -> None:
    detail = sampled.sample(3)
    assert detail is not None
    assert detail.response == "response 3 é 🐍"
    assert detail.verdict is not None
    assert (detail.verdict.allowed, detail.verdict.reason) == (0, "why")
    assert [finding.rule for finding in detail.findings] == ["r"]
    assert detail.executions == detail.scores == []
    assert sampled.sample(99) is None


def test_tasks_come_back_as_they_were_validated(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    row = {"sample": 1, "branch": 1, "step": 1, "task": "t", "kind": "induction", "program": "def f(x): return x"}
    texts = {"inputs": '["1", "\\"é\\""]', "outputs": '["1", "\'é\'"]', "shown": 1, "message": "same"}
    writer.append("tasks", {**row, **texts})
    assert list(reader.tasks()) == [
        Task(
            id="t",
            kind=Kind.INDUCTION,
            program="def f(x): return x",
            inputs=("1", '"é"'),
            outputs=("1", "'é'"),
            shown=1,
            message="same",
        )
    ]


def test_the_summary_counts_what_is_open(sampled: LedgerReader, run_folder: Path) -> None:
    summary = sampled.summary()
    assert (summary.samples, summary.blocked, summary.alerts_open, summary.supervised) == (10, 3, 0, True)


def test_acknowledged_alerts_are_no_longer_open(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    for number in range(3):
        alert = {"time": 1.0, "branch": 1, "step": number, "severity": 3, "rule": "r", "message": "m"}
        writer.append("alerts", alert)
    writer.append("alert_acks", {"time": 2.0, "alert": 2, "who": "me", "note": "seen"})
    assert [(row.id, row.acknowledged) for row in reader.alerts()] == [(3, 0), (2, 1), (1, 0)]
    assert [row.id for row in reader.alerts(after=2)] == [3]
    still_open = AlertFilter(state=AlertState.OPEN)
    assert [row.id for row in reader.alerts_page(still_open)] == [3, 1]
    assert [row.id for row in reader.alerts_page(still_open, limit=1)] == [3]
    assert reader.open_alerts() == [1, 3]
    assert reader.summary().alerts_open == 2


def test_an_acknowledgement_of_no_alert_hides_none(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    """NULL in a list makes `NOT IN` hold for nothing at all."""
    writer, reader = ledger
    writer.append("alerts", {"time": 1.0, "branch": 1, "step": 1, "severity": 3, "rule": "r", "message": "m"})
    writer.append("alert_acks", {"time": 2.0, "who": "me", "note": ""})
    assert [row.id for row in reader.alerts_page(AlertFilter(state=AlertState.OPEN))] == [1]
    assert reader.open_alerts() == [1]


def test_the_newest_notices_come_oldest_first(ledger: tuple[LedgerWriter, LedgerReader]) -> None:
    writer, reader = ledger
    for number in range(5):
        writer.append("notices", {"time": 1.0, "source": "s", "message": str(number)})
    assert [row.message for row in reader.notices(limit=3)] == ["2", "3", "4"]
    assert len(reader.notices()) == 5


def test_blocked_samples_are_counted_without_reading_every_verdict(sampled: LedgerReader) -> None:
    (plan,) = (row[3] for row in sampled._query("EXPLAIN QUERY PLAN SELECT count(*) FROM verdicts WHERE allowed = 0"))
    assert "INDEX verdicts_blocked" in plan


def test_a_page_that_is_damaged_is_a_broken_ledger_also_amid_the_rows(run_folder: Path) -> None:
    with LedgerWriter(run_folder) as writer:
        writer.append("run", {"name": "r", "steps": 1})
        with writer.batch() as batch:
            for number in range(2000):
                batch.add("notices", {"time": 1.0, "source": "s", "message": f"{number:>200}"})
    path = run_folder / "ledger.db"
    content = bytearray(path.read_bytes())
    place = content.index(f"{1500:>200}".encode())
    page = place // PAGE_BYTES * PAGE_BYTES
    content[page : page + PAGE_BYTES] = b"\xff" * PAGE_BYTES
    path.write_bytes(content)
    with LedgerReader(run_folder) as reader, pytest.raises(LedgerBroken, match="malformed"):
        reader.notices(limit=5000)


def test_a_ledger_without_a_run_row_says_so(run_folder: Path) -> None:
    LedgerWriter(run_folder).close()
    with LedgerReader(run_folder) as reader, pytest.raises(LedgerBroken, match="holds no run"):
        reader.run()


def test_a_run_s_path_may_hold_characters_that_urls_read_otherwise(tmp_path: Path) -> None:
    run = tmp_path / "a?mode=rwc#100% é"
    run.mkdir()
    LedgerWriter(run).close()
    with LedgerReader(run) as reader:
        assert reader.verify().intact
        with pytest.raises(LedgerBroken, match="readonly"):
            reader._first("INSERT INTO notices (message) VALUES ('x')")
