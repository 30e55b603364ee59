"""The tree of a run as it is on record, and what a return to a step would undo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.records import Held
from azr_platform.ledger.writer import Batch, LedgerWriter
from azr_platform.supervisor.quarantine import Unclear, entries
from azr_platform.tasks.seeds import is_seed


def sample(batch: Batch, branch: int, step: int, *, task: str = "", program: str = "", rule: str = "") -> int:
    row = {"time": 1.0, "branch": branch, "step": step, "phase": "solve", "role": "solve", "kind": "deduction"}
    number = batch.add("samples", {**row, "uid": "u", "task": task, "program": program, "tokens": 1, "well_formed": 1})
    batch.add("verdicts", {"sample": number, "allowed": not rule, "action": 0, "severity": 0, "score": 0, "reason": ""})
    if rule:
        batch.add("findings", {"sample": number, "rule": rule, "severity": 3, "part": "trace", "why": "w"})
        alert = {"time": 1.0, "branch": branch, "step": step, "severity": 3, "rule": rule, "sample": number}
        batch.add("alerts", {**alert, "message": "m"})
    return number


@pytest.fixture
def reader(run_folder: Path) -> Iterator[LedgerReader]:
    """Two branches: 1 with steps 0 to 20, and 2, which left it at step 10 and is at 15."""
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 99, "config": ""})
        batch.add("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
        for step in range(21):
            batch.add("steps", {"branch": 1, "step": step, "started_at": 1.0, "seconds": 2.0})
            batch.add("metrics", {"branch": 1, "step": step, "name": "buffer/deduction", "value": float(step)})
            number = sample(batch, 1, step, rule="trace.x" if step == 12 else "", task="t")
            if step % 10 == 0:
                batch.add(
                    "tasks", {"sample": number, "branch": 1, "step": step, "task": f"t{step}", "kind": "deduction"}
                )
                batch.add("checkpoints", {"time": 1.0, "branch": 1, "step": step, "path": f"c/{step}", "digest": "d"})
        control = {"time": 2.0, "who": "ada", "action": "rollback", "arguments": "{}", "why": "deceit"}
        batch.add("controls", {**control, "outcome": "refused: no"})
        batch.add("controls", {**control, "who": "eve", "outcome": "done: rolling back"})
        batch.add("branches", {"created_at": 3.0, "parent": 1, "from_step": 10, "reason": "rollback"})
        batch.add("branch_changes", {"branch": 2, "what": "seed", "value": "7", "why": ""})
        batch.add("branch_changes", {"branch": 2, "what": "task", "value": "t9", "why": "w"})
        for step in range(11, 16):
            batch.add("steps", {"branch": 2, "step": step, "started_at": 1.0, "seconds": 3.0})
            batch.add("metrics", {"branch": 2, "step": step, "name": "buffer/deduction", "value": 50.0 + step})
            sample(batch, 2, step, rule="trace.y" if step > 13 else "", program="def f(x): return x" * (step != 15))
        batch.add("checkpoints", {"time": 4.0, "branch": 2, "step": 13, "path": "c/13", "digest": "d"})
        batch.add("alert_acks", {"time": 5.0, "alert": 2, "who": "ada", "note": ""})
        batch.add("removals", {"time": 6.0, "checkpoint": 2, "reason": "keep_last"})
    with LedgerReader(run_folder) as opened:
        yield opened


def test_each_checkpoint_has_what_was_recorded_since_the_one_before(reader: LedgerReader) -> None:
    facts = reader.checkpoint_facts(["buffer/deduction"])
    assert [(one.checkpoint.branch, one.checkpoint.step, one.since, one.on_line) for one in facts] == [
        (1, 0, -1, True),
        (1, 10, 0, True),
        (1, 20, 10, False),
        (2, 13, 10, True),
    ]
    assert [one.held for one in facts] == [Held(1, 0, 0, 0), Held(10, 0, 0, 0), Held(10, 1, 1, 1), Held(3, 0, 0, 0)]
    assert [one.checkpoint.removed for one in facts] == [None, "keep_last", None, None]
    assert [one.metrics["buffer/deduction"] for one in facts] == [0.0, 10.0, 20.0, 63.0]


def test_each_branch_has_who_asked_for_it_and_what_it_changes(reader: LedgerReader) -> None:
    first, second = reader.branch_facts()
    assert (first.last_step, first.steps, first.held) == (20, 21, Held(21, 1, 1, 1))
    assert (second.who, second.why, second.seed, second.barred) == ("eve", "deceit", "7", 1)
    assert second.held == Held(5, 2, 2, 1) and second.last_step == 15


def test_a_rollback_of_an_ended_run_is_its_own_person_s(run_folder: Path) -> None:
    """An ended run's command is recorded after the branch that it opened, a live run's before."""
    control = {"action": "rollback", "arguments": "{}", "why": ""}
    branch = {"parent": 1, "from_step": 10, "reason": "rollback"}
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 99, "config": ""})
        batch.add("branches", {**branch, "created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
        batch.add("branches", {**branch, "created_at": 2.0})
        batch.add("controls", {**control, "time": 2.1, "who": "ada", "outcome": "done: rolled back to step 10"})
        batch.add("controls", {**control, "time": 3.0, "who": "eve", "outcome": "done: rolling back to step 10"})
        batch.add("branches", {**branch, "created_at": 4.0})
        batch.add("controls", {**control, "time": 4.5, "who": "mallory", "outcome": "refused: no such checkpoint"})
        batch.add("branches", {**branch, "created_at": 5.0})
        batch.add("controls", {**control, "time": 5.1, "who": "grace", "outcome": "done: rolled back to step 10"})
    with LedgerReader(run_folder) as reader:
        assert [row.who for row in reader.branch_facts()] == ["", "ada", "eve", "grace"]


def test_what_a_return_would_undo_is_counted_along_the_line(reader: LedgerReader) -> None:
    found = reader.undone(13)
    assert (found.now, found.branch, found.held) == (15, 2, Held(2, 2, 2, 1))
    assert (found.tasks, found.checkpoints, found.seconds) == (0, 0, 6.0)
    assert found.buffers == {"deduction": (65.0, 63.0)}
    further = reader.undone(5)
    assert further.held.samples == 5 + 5, "steps 6 to 10 of branch 1, and branch 2; not what branch 1 did later"
    assert (further.tasks, further.checkpoints, further.seconds) == (1, 2, 5 * 2.0 + 5 * 3.0)


def test_only_what_could_be_drawn_again_is_a_suspect(reader: LedgerReader) -> None:
    """The alert at step 15 is about a sample with neither a task nor a program; its name would be refused."""
    words = [one.word for one in reader.undone(5).suspects]
    assert len(words) == 2 and words[0].startswith("sample:") and words[1] == "rule:trace.y"
    assert reader.undone(99).suspects == []


def test_a_suspect_comes_first_where_there_is_anything_of_it_to_draw(reader: LedgerReader) -> None:
    rows = [row for row in reader.samples() if (detail := reader.sample(row.id)) and (row.task or detail.program)]
    bare = [row for row in reader.samples() if row.id not in {each.id for each in rows}]
    assert rows and bare
    for row in rows:
        assert [one.word for one in reader.undone(5, row.id).suspects].index(f"sample:{row.id}") == 0
    for row in bare:
        assert reader.undone(5, row.id).suspects == reader.undone(5).suspects


def test_what_stays_whatever_is_asked_is_no_suspect(run_folder: Path) -> None:
    """The seed program is never put into quarantine; to name a sample of it would have the rollback refused."""
    with LedgerWriter(run_folder) as writer, writer.batch() as batch:
        batch.add("run", {"name": "r", "created_at": 1.0, "version": "0", "seed": 0, "steps": 99, "config": ""})
        batch.add("branches", {"created_at": 1.0, "parent": None, "from_step": 0, "reason": "start"})
        for name, program in (("t-seed", "def f(other):\n    return other"), ("t-own", "def f(a):\n    return a + 1")):
            task = {"sample": None, "branch": 1, "step": 0, "task": name, "kind": "deduction", "program": program}
            task |= {"inputs": "[]", "outputs": "[]"}
            batch.add("tasks", task)
        first = sample(batch, 1, 1, rule="trace.x", task="t-seed")
        own = sample(batch, 1, 1, rule="trace.x", task="t-seed", program="def f(a):\n    return a * 2")
        other = sample(batch, 1, 1, rule="trace.y", task="t-own")
    with LedgerReader(run_folder) as reader:
        words = [one.word for one in reader.undone(0, first, is_seed).suspects]
        assert words[:2] == [f"sample:{own}", f"sample:{other}"] and f"sample:{first}" not in words
        assert words[2:] == ["rule:trace.x", "rule:trace.y", "task:t-own"]
        for word in words:
            assert entries(reader, [word]), f"{word} is offered and would be refused"
        with pytest.raises(Unclear, match="only the seed program"):
            entries(reader, [f"sample:{first}"])
