"""Which tasks are asked, and which of them a run has seen."""

from __future__ import annotations

import json
from pathlib import Path

from azr_platform.evaluation.records import TaskScore, task_digest
from azr_platform.evaluation.suite import first_of_each_kind, mark_seen
from azr_platform.records import Kind, Task
from azr_platform.tasks.problems import read_problems, unlabelled

PROGRAM = "def f(x):\n    y = x + 1\n    return y * 2"
RENAMED = "def f(first):\n    # the same\n    second = first + 1\n    return second * 2"
OTHER = "def f(x):\n    y = x + 1\n    return y * 3"


def _task(name: str, program: str, kind: Kind = Kind.DEDUCTION, message: str = "") -> Task:
    return Task(id=name, kind=kind, program=program, inputs=("1",), outputs=("4",), message=message)


def _scores(tasks: list[Task]) -> list[TaskScore]:
    return [TaskScore(t.id, task_digest(t), t.kind.value, 1, 0, 0, 1.0, False) for t in tasks]


def test_a_program_that_the_run_wrote_under_other_names_is_seen() -> None:
    tasks = [_task("a", PROGRAM), _task("b", OTHER), _task("c", "def f(:")]
    marked = mark_seen(tasks, _scores(tasks), [RENAMED, "", "def f(:  "], [])
    assert [score.seen for score in marked] == [True, False, True]


def test_a_given_problem_is_seen_also_when_its_record_holds_no_program(tmp_path: Path) -> None:
    lines = [
        {"question": "How many legs has a spider?", "answer": 8},
        {"question": "How many legs has an ant?", "answer": 6},
        {"kind": "induction", "program": PROGRAM, "inputs": ["1", "2"], "outputs": ["4", "6"], "message": "adds"},
    ]
    (tmp_path / "problems.jsonl").write_text("\n".join(map(json.dumps, lines)))
    tasks = read_problems(tmp_path / "problems.jsonl")
    marked = mark_seen(tasks, _scores(tasks), [], [unlabelled(tasks[0]), unlabelled(tasks[2])])
    assert [score.seen for score in marked] == [True, False, True]


def test_the_first_tasks_of_each_kind_are_taken_in_order() -> None:
    tasks = [_task(str(n), PROGRAM, kind) for n in range(4) for kind in (Kind.DEDUCTION, Kind.INDUCTION)]
    assert [(t.id, t.kind) for t in first_of_each_kind(tasks, 2)] == [
        ("0", Kind.DEDUCTION),
        ("0", Kind.INDUCTION),
        ("1", Kind.DEDUCTION),
        ("1", Kind.INDUCTION),
    ]
