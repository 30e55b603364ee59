"""Composites, error prediction and held-out programs once round the whole circle, with all its real parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azr_platform.config.schema import Config
from azr_platform.records import Kind
from azr_platform.trainer.checkpoint import load_buffers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Query = Callable[..., list[tuple[Any, ...]]]

PLAIN = "def f(x):\n    return x * 3 + 1"
BUILT = "def f(x):\n    return g_0(x) + 7"
FAILS = "def f(x):\n    return 10 // (x - 5)"
ASSERTS = "def f(x):\n    assert x > 5\n    return x"
BY_CHANCE = "import time\ndef f(x):\n    raise type('E' + str(time.gmtime().tm_year), (Exception,), {})"
HELD_OUT = "def f(x):\n    y = x + 5\n    return y * y"
RENAMED = "def f(number):\n    more = number + 5\n    return more * more"


def script(say: Any) -> list[dict[str, object]]:
    return [
        {
            "match": "# propose deduce with g_0\n",
            "responses": [say.proposal(BUILT, "2"), say.proposal(PLAIN, "2"), say.proposal(RENAMED, "2")],
        },
        {"match": "# propose deduce\n", "responses": [say.proposal(PLAIN, "5"), say.proposal(RENAMED, "5")]},
        {
            "match": "# propose predict\n",
            "responses": [say.proposal(FAILS, "5"), say.proposal(ASSERTS, "9"), say.proposal(BY_CHANCE, "1")],
        },
        {"match": "# propose induce\n", "responses": [say.inputs(["1", "2", "3", "6", "7", "8"])]},
        {"match": "# deduce\n", "responses": [say.answer("output", "14"), say.answer("output", "16")]},
        {
            "match": "# predict\n",
            "responses": [
                say.answer("output", "ZeroDivisionError"),
                say.answer("output", "NoError"),
                say.answer("output", "'ZeroDivisionError'"),
            ],
        },
        {"match": "# induce\n", "responses": [say.answer("python", RENAMED), say.answer("python", PLAIN)]},
    ]


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    supervise: Callable[..., int],
    small_config: Callable[..., Config],
    say: Any,
) -> Path:
    """The folder of a run of two steps; composites begin with the second."""
    folder = tmp_path_factory.mktemp("self-play")
    (folder / "script.json").write_text(json.dumps(script(say)))
    (folder / "held-out.jsonl").write_text(json.dumps({"program": HELD_OUT}))
    config = small_config(
        "run.steps=2",
        "model.engine=scripted",
        f"model.script={json.dumps(str(folder / 'script.json'))}",
        'tasks.kinds=["deduction", "induction", "error"]',
        f"tasks.held_out={json.dumps(str(folder / 'held-out.jsonl'))}",
        "tasks.composite=1",
        "tasks.composite_chance=1.0",
        "tasks.composite_start=2",
    )
    assert supervise(folder / "run", config) == 0
    return folder / "run"


def trained(query: Query, run: Path) -> set[int]:
    return {row[0] for row in query(run, "SELECT sample FROM rewards WHERE trained = 1")}


def test_a_composite_task_is_kept_whole_solved_and_trained_on(run: Path, query: Query) -> None:
    whole = {row[0] for row in query(run, "SELECT program FROM tasks WHERE program LIKE '%def g_0%g_0(x) + 7%'")}
    assert len(whole) >= 1
    for program in whole:
        assert program.endswith(BUILT)
    outputs = query(run, "SELECT outputs, program FROM tasks WHERE program LIKE '%g_0(x) + 7' AND kind = 'deduction'")
    for output, program in outputs:
        assert json.loads(output) == ["14"] if "x * 3 + 1" in program else ["9"], "2 * 3 + 1 + 7, or the identity's"
    assert outputs
    samples = query(run, "SELECT id FROM samples WHERE step = 2 AND role = 'propose' AND program LIKE '%g_0(x) + 7'")
    assert {row[0] for row in samples} & trained(query, run)


def test_a_proposal_that_calls_no_function_is_invalid(run: Path, query: Query) -> None:
    found = query(
        run, "SELECT id, correct, problem FROM samples WHERE step = 2 AND role = 'propose' AND kind = 'deduction'"
    )
    assert any("does not call g_0" in problem and not correct for _, correct, problem in found)
    for number, _, problem in found:
        if "does not call" in problem:
            assert query(run, "SELECT * FROM executions WHERE sample = ?", number) == []


def test_errors_become_tasks_whose_truth_the_jail_found(run: Path, query: Query) -> None:
    tasks = query(run, "SELECT program, outputs FROM tasks WHERE kind = 'error' AND sample IS NOT NULL")
    assert {(program, *json.loads(outputs)) for program, outputs in tasks} == {
        (FAILS, "ZeroDivisionError"),
        (ASSERTS, "NoError"),
    }


def test_an_error_that_differs_from_run_to_run_is_no_task(run: Path, query: Query) -> None:
    samples = query(run, "SELECT id FROM samples WHERE program = ?", BY_CHANCE)
    assert samples
    outcomes = {row[0] for (n,) in samples for row in query(run, "SELECT outcome FROM executions WHERE sample = ?", n)}
    assert outcomes <= {"nondeterministic"}


def test_only_the_name_itself_answers_an_error_task(run: Path, query: Query) -> None:
    answers = query(
        run,
        "SELECT s.answer, s.correct, t.outputs FROM samples s JOIN tasks t ON t.task = s.task "
        "WHERE s.role = 'solve' AND s.kind = 'error'",
    )
    assert {bool(correct) for _, correct, _ in answers} == {True, False}
    for answer, correct, outputs in answers:
        assert bool(correct) == (answer == json.loads(outputs)[0])


def test_held_out_programs_are_in_no_task_no_buffer_and_no_gradient(run: Path, query: Query) -> None:
    samples = query(run, "SELECT id, role FROM samples WHERE program LIKE ?", f"%{RENAMED}")
    assert {role for _, role in samples} == {"propose", "solve"}
    assert not {number for number, _ in samples} & trained(query, run)
    assert query(run, "SELECT * FROM tasks WHERE program LIKE ?", f"%{RENAMED}") == []
    reasons = {row[0] for n, _ in samples for row in query(run, "SELECT reason FROM verdicts WHERE sample = ?", n)}
    assert reasons == {"held out: the run must not learn from this program"}
    for folder in (run / "checkpoints").iterdir():
        for kind, entries in load_buffers(folder).items():
            assert kind in (Kind.DEDUCTION, Kind.INDUCTION, Kind.ERROR)
            assert not any(RENAMED in entry.task.program for entry in entries)


def test_health_is_on_record(run: Path, query: Query) -> None:
    names = {row[0] for row in query(run, "SELECT DISTINCT name FROM metrics WHERE name LIKE 'health/%'")}
    assert {"health/distinct", "health/new", "health/nodes", "health/values/largest", "health/held_out"} <= names
    assert "health/values/ZeroDivisionError" in names
    (held_out,) = query(run, "SELECT sum(value) FROM metrics WHERE name = 'health/held_out'")
    assert held_out[0] > 0
