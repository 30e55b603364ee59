"""Quarantine: what `rollback --exclude` names comes down to tasks and programs, on record, and they stay away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from azr_monitor.audit import Auditor
from azr_monitor.records import Severity
from azr_platform.channel.messages import Action, Changes, Command, Review, Submission
from azr_platform.config.load import load
from azr_platform.ledger.reader import LedgerReader
from azr_platform.ledger.writer import LedgerWriter
from azr_platform.records import Kind, Phase, Role, Task
from azr_platform.supervisor.gate import Gate
from azr_platform.supervisor.problems import Desk
from azr_platform.supervisor.quarantine import Unclear, changes_of, entries, fresh_seed, preview
from azr_platform.supervisor.rows import task_row
from azr_platform.supervisor.runfolder import (
    Continuation,
    continuation,
    create,
    open_branch,
    order_of,
    steer_ended,
)
from azr_platform.tasks.canonical import program_key
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.pool import JailPool

PLUS, RENAMED = "def f(x):\n    return x + 1", "def f(much):  # new\n    return much + 1"
BAD = "def f(x):\n    import os"
PLUS_KEY, BAD_KEY = program_key(PLUS), program_key(BAD)


def task(name: str, program: str) -> Task:
    return Task(id=name, kind=Kind.DEDUCTION, program=program, inputs=("1",), outputs=("2",), shown=1)


@pytest.fixture
def writer(run: Path) -> Iterator[LedgerWriter]:
    """Sample 1 became task ``plus``, 2 answers it and lies, 3 is a bad proposal, 4 says nothing, 5 answers the seed."""
    with create(run, load("nano")) as opened:
        with opened.batch() as batch:
            for number, (name, program) in enumerate(
                [("plus", PLUS), ("plus", ""), ("", BAD), ("", ""), ("seed-deduction", "")], 1
            ):
                row = {"branch": 1, "step": number, "phase": "solve", "role": "solve", "kind": "deduction", "uid": "u"}
                batch.add("samples", {**row, "task": name or None, "program": program})
            batch.add("tasks", task_row(task("plus", PLUS), sample=1, branch=1, step=1))
            for sample, rule in ((2, "trace.lie.small"), (3, "program.os"), (3, "trace.lie.big"), (5, "trace.seed")):
                batch.add("findings", {"sample": sample, "rule": rule, "severity": Severity.HIGH, "part": "trace"})
            for step in (1, 4):
                batch.add("steps", {"branch": 1, "step": step})
            batch.add("alerts", {"branch": 1, "step": 3, "severity": 3, "rule": "program.os", "sample": 3})
        yield opened


def save(run: Path, writer: LedgerWriter) -> None:
    """A checkpoint at step 1."""
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "state.json").write_text("{}")
    digest = blake2b(b"{}", digest_size=32).hexdigest()
    writer.append("checkpoints", {"branch": 1, "step": 1, "path": "checkpoints", "digest": digest})


def back(run: Path, writer: LedgerWriter, *exclude: str, seed: int | None = None) -> Continuation:
    """Roll back to step 1."""
    with LedgerReader(run) as reader:
        order, problem = order_of(
            run, reader, Command(action=Action.ROLLBACK, who="t", step=1, exclude=exclude, seed=seed)
        )
    assert order is not None, problem
    at = open_branch(run, writer, order)
    assert at is not None
    return at


def found(run: Path, *exclude: str) -> set[tuple[str, str]]:
    with LedgerReader(run) as reader:
        return {(entry.what, entry.value) for entry in entries(reader, exclude)}


TASK, PROGRAM, WORSE = ("task", "plus"), ("program", PLUS_KEY), ("program", BAD_KEY)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("task:plus", {TASK, PROGRAM}),
        ("sample:1", {TASK, PROGRAM}),
        ("sample:2", {TASK, PROGRAM}),
        ("sample:3", {WORSE}),
        ("rule:program.os", {WORSE}),
        ("rule:trace.lie.*", {TASK, PROGRAM, WORSE}),
    ],
)
@pytest.mark.usefixtures("writer")
def test_each_form_comes_down_to_tasks_and_programs(run: Path, word: str, expected: set[tuple[str, str]]) -> None:
    assert found(run, word) == expected
    assert found(run, word, "task:plus") == expected | {TASK, PROGRAM}, "and nothing comes twice"


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("task:none", "no such task"),
        ("sample:99", "no such sample"),
        ("sample:4", "neither a task nor a program"),
        ("sample:-1", "give task:ID, sample:NUMBER or rule:ID"),
        ("sample:" + "9" * 30, "give task:ID"),
        ("rule:trace.harm", "no such rule has found anything"),
        ("plus", "give task:ID"),
        ("task:", "give task:ID"),
        ("task:seed-deduction", "the seed program"),
        ("rule:trace.seed", "the seed program"),
    ],
)
@pytest.mark.usefixtures("writer")
def test_what_cannot_be_put_into_quarantine_is_refused_with_the_reason(run: Path, word: str, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        found(run, word)


def test_a_branch_s_changes_are_on_record_and_go_with_all_later_ones(run: Path, writer: LedgerWriter) -> None:
    save(run, writer)
    first = back(run, writer, "task:plus", seed=7)
    assert first.changes == Changes(seed=7, tasks=frozenset({"plus"}), programs=frozenset({PLUS_KEY}))
    second = back(run, writer, "sample:3", "task:plus")
    both = Changes(seed=7, tasks=frozenset({"plus"}), programs=frozenset({PLUS_KEY, BAD_KEY}))
    assert second.changes == continuation(run, writer, "resumed").changes == both
    with LedgerReader(run) as reader:
        assert [(row.branch, row.what, row.why) for row in reader.changes()] == [
            (2, "seed", ""),
            (2, "task", "task:plus"),
            (2, "program", "task:plus"),
            (3, "program", "sample:3"),
        ]
        summary = reader.summary()
        assert (summary.quarantined_tasks, summary.quarantined_programs) == (1, 2)
        assert reader.verify().intact
        assert preview(reader, 0, ["task:plus"]).programs == 0, "it is in already"


def test_an_ended_run_takes_an_exclusion_too_and_refuses_one_that_is_unclear(run: Path, writer: LedgerWriter) -> None:
    save(run, writer)
    writer.close()
    bad = Command(action=Action.ROLLBACK, who="test", step=1, exclude=("task:none",))
    assert steer_ended(run, bad).detail == "--exclude task:none: no such task is on record"
    good = Command(action=Action.ROLLBACK, who="test", step=1, exclude=("task:plus",), seed=3)
    assert steer_ended(run, good).ok
    with LedgerReader(run) as reader:
        assert changes_of(reader).seed == 3
        assert '"exclude": ["task:plus"]' in reader.controls()[0].arguments
        assert reader.branch() == 2
        assert reader.branch_facts()[-1].who == "test"


def test_a_preview_counts_what_would_be_left_behind(run: Path, writer: LedgerWriter) -> None:
    with LedgerReader(run) as reader:
        seen = preview(reader, 1, ["rule:trace.lie.*"])
        head = writer.head
    assert (seen.steps, seen.samples, seen.alerts, seen.checkpoints) == (1, 4, 1, 0)
    assert (seen.tasks, seen.programs) == (1, 2)
    assert writer.head == head


def test_a_ledger_of_an_older_version_has_no_changes_and_is_still_whole(run: Path, writer: LedgerWriter) -> None:
    writer.close()
    with sqlite3.connect(run / "ledger.db") as connection:
        connection.execute("DROP TABLE branch_changes")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm005_branch_changes'")
    connection.close()
    with LedgerReader(run) as reader:
        assert reader.changes() == []
        assert reader.verify().intact
    with LedgerWriter(run) as again:
        again.append("branch_changes", {"branch": 1, "what": "seed", "value": "1", "why": ""})
    with LedgerReader(run) as reader:
        assert changes_of(reader).seed == 1
        assert reader.verify().intact


def test_a_fresh_seed_is_another_each_time_and_always_the_same() -> None:
    seeds = [fresh_seed(seed, branch) for seed in (0, 1) for branch in range(2, 50)]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [fresh_seed(seed, branch) for seed in (0, 1) for branch in range(2, 50)]
    assert all(0 <= seed < 2**31 for seed in seeds)


# -- the supervisor keeps to it ---------------------------------------------------------------------------


def proposal(program: str) -> Submission:
    response = f"<think>new</think>\n<answer>\n```python\n{program}\n```\n```input\n1\n```\n</answer>"
    return Submission(uid=program, role=Role.PROPOSE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=9)


def answer(name: str) -> Submission:
    response = "<think>so</think>\n<answer>\n```output\n2\n```\n</answer>"
    return Submission(
        uid=name, role=Role.SOLVE, kind=Kind.DEDUCTION, prompt="p", response=response, tokens=9, task=name
    )


def test_the_gate_takes_nothing_that_is_in_quarantine_and_everything_else(
    quick_auditor: Auditor, jail: JailPool, run: Path, writer: LedgerWriter
) -> None:
    other = "def f(x):\n    return x + 2"
    gate = Gate(
        quick_auditor, jail, 6, [*seed_tasks(6), task("plus", PLUS), task("gone", other), task("also", RENAMED)]
    )
    gate.change(Changes(tasks=frozenset({"gone"}), programs=frozenset({PLUS_KEY})))
    samples = [proposal(PLUS), proposal(RENAMED), answer("plus"), answer("also"), answer("gone"), proposal(other)]
    reply, alerts = gate.record(gate.judge(Review(step=6, phase=Phase.SOLVE, samples=samples)), writer, 1)
    assert [judgement.allowed for judgement in reply.judgements] == [False] * 5 + [True]
    assert [judgement.decided for judgement in reply.judgements] == [False] * 5 + [True], "nobody is punished"
    assert reply.judgements[-1].valid
    assert alerts == []
    with LedgerReader(run) as reader:
        assert ("supervisor.quarantine", 0, 5) in reader.rule_counts()


PROBLEMS = [task(f"problem-{n:06d}", f"def f(x):\n    return x + {n}") for n in range(1, 5)]


def test_problems_in_quarantine_are_asked_no_more_and_a_seed_deals_others() -> None:
    config = load("nano", overrides=["run.regime=rlvr", "problems.source=grammar", "problems.per_step=2"])
    desk = Desk(config, PROBLEMS)
    before = [[problem.task for problem in desk.draw(step)] for step in range(1, 9)]
    desk.change(Changes(tasks=frozenset({"problem-000001"}), programs=frozenset({program_key(PROBLEMS[1].program)})))
    left = {problem.task for step in range(1, 9) for problem in desk.draw(step)}
    assert left == {"problem-000003", "problem-000004"}
    desk.change(Changes(seed=99))
    assert [[problem.task for problem in desk.draw(step)] for step in range(1, 9)] != before
    desk.change(Changes())
    assert [[problem.task for problem in desk.draw(step)] for step in range(1, 9)] == before


def test_a_run_on_problems_keeps_at_least_one(tmp_path: Path) -> None:
    with create(tmp_path / "run", load("nano", overrides=["run.regime=rlvr", "problems.source=grammar"]), PROBLEMS):
        words = [f"task:{problem.id}" for problem in PROBLEMS]
        assert len(found(tmp_path / "run", *words[:3])) == 6
        with pytest.raises(Unclear, match="nothing would be left to ask"):
            found(tmp_path / "run", *words)


def test_the_seed_program_is_never_in_quarantine_whatever_it_is_called(run: Path, writer: LedgerWriter) -> None:
    row = {"branch": 1, "step": 6, "phase": "propose", "role": "propose", "kind": "deduction", "uid": "u"}
    number = writer.append("samples", {**row, "program": "def f(other):\n    return other"})
    with pytest.raises(Unclear, match="the seed program"):
        found(run, f"sample:{number}")
