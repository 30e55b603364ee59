"""Error prediction: what a run shows to be the truth, and which answers are right."""

from __future__ import annotations

import pytest

from azr_platform.records import Kind, Role, Task
from azr_platform.tasks.check import (
    answer_problem,
    answer_request,
    is_correct,
    proposal_problem,
    task_from,
    validation_request,
)
from azr_platform.tasks.kinds import NO_ERROR
from azr_platform.tasks.measures import answer_kind
from azr_platform.tasks.parse import Parsed, parse_response
from azr_platform.tasks.prompts import propose_prompt, solve_prompt
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.execution import Execution, Outcome

PROGRAM = "def f(x):\n    return 1 / x"
TASK = Task(id="t", kind=Kind.ERROR, program=PROGRAM, inputs=("0",), outputs=("ZeroDivisionError",))
PROPOSAL = Parsed(well_formed=True, program=PROGRAM, inputs=("0",))


def answered(text: str) -> Parsed:
    response = f"<think>so</think>\n<answer>\n```output\n{text}\n```\n</answer>"
    parsed = parse_response(response, Role.SOLVE, Kind.ERROR)
    assert parsed.well_formed
    return parsed


def test_a_proposal_is_run_with_its_errors_verified() -> None:
    request = validation_request(Kind.ERROR, PROPOSAL)
    assert request.verify
    assert request.verify_errors
    assert not validation_request(Kind.DEDUCTION, PROPOSAL).verify_errors


@pytest.mark.parametrize(
    ("execution", "output"),
    [
        (Execution(Outcome.ERROR, detail="ZeroDivisionError: division by zero"), "ZeroDivisionError"),
        (Execution(Outcome.ERROR, detail="AssertionError"), "AssertionError"),
        (Execution(Outcome.OK, value="3"), NO_ERROR),
    ],
)
def test_the_truth_is_the_type_s_name_or_that_there_was_no_error(execution: Execution, output: str) -> None:
    task = task_from("a", Kind.ERROR, PROPOSAL, [execution])
    assert task.outputs == (output,)
    assert answer_kind(task) == output


@pytest.mark.parametrize(
    "execution",
    [
        Execution(Outcome.TIMEOUT, detail="ValueError: no"),
        Execution(Outcome.MEMORY, detail="MemoryError"),
        Execution(Outcome.ERROR, detail=f"{NO_ERROR}: a class that takes the name of no exception"),
        Execution(Outcome.NONDETERMINISTIC, detail="error: ValueError and then 3"),
        Execution(Outcome.NOT_A_VALUE, detail="object"),
        Execution(Outcome.INVALID_PROGRAM, detail="SyntaxError: bad"),
        Execution(Outcome.ERROR, detail="``` <answer>: x"),
        Execution(Outcome.ERROR, detail="\u0430bc: x"),
        Execution(Outcome.ERROR, detail="N" * 101),
        Execution(Outcome.ERROR),
    ],
)
def test_a_run_that_shows_neither_is_no_task(execution: Execution) -> None:
    assert proposal_problem(Kind.ERROR, PROPOSAL, [execution])
    with pytest.raises(ValueError, match="not a task"):
        task_from("a", Kind.ERROR, PROPOSAL, [execution])


def test_an_error_is_no_task_of_another_kind() -> None:
    assert proposal_problem(Kind.DEDUCTION, PROPOSAL, [Execution(Outcome.ERROR, detail="ZeroDivisionError")])


@pytest.mark.parametrize(
    ("text", "right"),
    [("ZeroDivisionError", True), ("  ZeroDivisionError ", True), ("zerodivisionerror", False), (NO_ERROR, False)],
)
def test_the_right_answer_is_the_name_itself(text: str, right: bool) -> None:
    parsed = answered(text)
    assert answer_request(TASK, parsed) is None, "an answer is compared, never run"
    assert is_correct(TASK, parsed) is right


def test_no_error_is_answered_by_its_name() -> None:
    task = task_from("a", Kind.ERROR, PROPOSAL, [Execution(Outcome.OK, value="3")])
    assert is_correct(task, answered(NO_ERROR))
    assert not is_correct(task, answered("ZeroDivisionError"))


@pytest.mark.parametrize("text", ["'ZeroDivisionError'", "ZeroDivisionError: division by zero", "1", "a.b", "f(0)"])
def test_anything_but_a_name_cannot_be_right(text: str) -> None:
    assert answer_problem(TASK, answered(text)) == "the output is not the name of a type"
    assert not is_correct(TASK, answered(text))


@pytest.mark.parametrize("style", ["full", "compact"])
def test_the_prompts_show_the_program_and_hide_the_error(style: str) -> None:
    asked = solve_prompt(TASK, style)  # type: ignore[arg-type]
    assert PROGRAM in asked
    assert "ZeroDivisionError" not in asked
    assert PROGRAM in propose_prompt(Kind.ERROR, [TASK], style)  # type: ignore[arg-type]


def test_the_seed_raises_nothing() -> None:
    (seed,) = seed_tasks(6, [Kind.ERROR])
    assert (seed.kind, seed.outputs) == (Kind.ERROR, (NO_ERROR,))
