"""What runs to judge an answer, and what counts as right. Executions are data here; the jail has its own tests."""

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
from azr_platform.tasks.parse import Parsed, parse_response
from azr_platform.tasks.seeds import seed_tasks
from azr_sandbox.execution import Execution, Outcome, Request

PLUS_ONE = "def f(x):\n    return x + 1"


def parsed(**parts: object) -> Parsed:
    return Parsed(well_formed=True, **parts)  # type: ignore[arg-type]


def ok(value: str) -> Execution:
    return Execution(outcome=Outcome.OK, value=value)


def task(kind: Kind, inputs: tuple[str, ...] = ("3",), outputs: tuple[str, ...] = ("4",), shown: int = 1) -> Task:
    return Task(id="t", kind=kind, program=PLUS_ONE, inputs=inputs, outputs=outputs, shown=shown)


INDUCTION = task(Kind.INDUCTION, ("1", "2", "3", "4"), ("2", "3", "4", "5"), shown=2)


def test_a_proposal_is_validated_by_running_its_program_on_its_inputs() -> None:
    request = validation_request(Kind.DEDUCTION, parsed(program=PLUS_ONE, inputs=("1 + 2",)))
    assert request == Request(program=PLUS_ONE, inputs=("1 + 2",), verify=True)


def test_an_induction_proposal_runs_the_given_program_never_its_own() -> None:
    proposal = parsed(program="def f(x): return 0", inputs=("1", "2"), message="m")
    assert validation_request(Kind.INDUCTION, proposal, INDUCTION).program == PLUS_ONE
    with pytest.raises(ValueError, match="none was given"):
        validation_request(Kind.INDUCTION, proposal)


def test_a_validated_proposal_becomes_a_task_with_the_outputs_observed() -> None:
    one = task_from("a", Kind.ABDUCTION, parsed(program=PLUS_ONE, inputs=("3",)), [ok("4")])
    assert (one.inputs, one.outputs, one.shown, one.message) == (("3",), ("4",), 1, "")
    proposal = parsed(inputs=("1", "2", "3", "4", "5"), message="adds one")
    many = task_from("b", Kind.INDUCTION, proposal, [ok(str(n)) for n in range(2, 7)], INDUCTION)
    assert (many.program, many.shown, many.message) == (PLUS_ONE, 2, "adds one")


@pytest.mark.parametrize(
    ("inputs", "executions", "why"),
    [
        (("1", "2"), [ok("2")], "1 executions for 2 inputs"),
        (("1", "2"), [ok("2"), Execution(outcome=Outcome.ERROR, detail="TypeError: x")], "input 2 ended as error"),
        (("1", "2"), [Execution(outcome=Outcome.NONDETERMINISTIC), ok("2")], "nondeterministic"),
        (("1", "2"), [Execution(outcome=Outcome.OK), ok("2")], "input 1"),
        (("1", " 1 "), [ok("2"), ok("2")], "the same"),
        (("[1, 2]", "[1,2]"), [ok("2"), ok("2")], "inputs 1 and 2 are the same"),
        (("1", "1.0"), [ok("2"), ok("2")], "the same"),
        (("set()", "set()"), [ok("2"), ok("2")], "the same"),
    ],
)
def test_a_proposal_that_does_not_hold_is_no_task(
    inputs: tuple[str, ...], executions: list[Execution], why: str
) -> None:
    proposal = parsed(inputs=inputs, message="m")
    assert why in proposal_problem(Kind.INDUCTION, proposal, executions)
    with pytest.raises(ValueError, match="is not a task"):
        task_from("x", Kind.INDUCTION, proposal, executions, INDUCTION)


def test_inputs_that_differ_in_a_string_or_a_type_are_distinct() -> None:
    proposal = parsed(inputs=("'a b'", "'ab'", "True", "1"), message="m")
    assert proposal_problem(Kind.INDUCTION, proposal, [ok("1")] * 4) == ""


@pytest.mark.parametrize(("output", "right"), [("4", True), (" 4", True), ("4.0", True), ("5", False), ("'4'", False)])
def test_a_deduction_answer_is_compared_by_value_and_nothing_runs(output: str, right: bool) -> None:
    answer = parsed(output=output)
    assert answer_request(task(Kind.DEDUCTION), answer) is None
    assert is_correct(task(Kind.DEDUCTION), answer) is right


@pytest.mark.parametrize("output", ["3 + 1", "f(3)", "__import__('os').system('true')", "4 or 5", "x", "4, 4", "4 #"])
def test_an_expression_is_never_a_right_output(output: str) -> None:
    assert not is_correct(task(Kind.DEDUCTION), parsed(output=output))


def test_an_abduction_answer_runs_on_the_tasks_program_and_any_preimage_is_right() -> None:
    one = task(Kind.ABDUCTION)
    request = answer_request(one, parsed(inputs=("3.0",)))
    assert request == Request(program=PLUS_ONE, inputs=("3.0",), verify=True)
    assert is_correct(one, parsed(inputs=("3.0",)), [ok("4.0")])
    assert not is_correct(one, parsed(inputs=("9",)), [ok("10")])
    assert not is_correct(one, parsed(inputs=("3",)), [Execution(outcome=Outcome.TIMEOUT, value="4")])
    assert not is_correct(one, parsed(inputs=("3",)), [])


@pytest.mark.parametrize("text", ["1, 'b', [2]", "{'a': (1,)}", "-1", "None"])
def test_several_literals_are_several_arguments(text: str) -> None:
    assert answer_request(task(Kind.ABDUCTION), parsed(inputs=(text,))) is not None


@pytest.mark.parametrize(
    "text",
    [
        "1) or True or f(1",
        "1), (2",
        "1], [2",
        "*[1]",
        "**{'x': 1}",
        "x=1",
        "__import__('os')",
        "(lambda: 4)()",
        "1 + 2",
        "1,,2",
        "[x for x in [1]]",
        "f'{4}'",
        "1 #",
    ],
)
def test_an_input_that_is_not_literals_never_runs_and_is_never_right(text: str) -> None:
    one, answer = task(Kind.ABDUCTION), parsed(inputs=(text,))
    assert answer_request(one, answer) is None
    assert answer_problem(one, answer) == "the input is not made of literals"
    assert not is_correct(one, answer, [ok("4")])


def test_an_induction_answer_runs_on_the_hidden_inputs_only_and_must_pass_all() -> None:
    answer = parsed(program="def f(y):\n    return 1 + y")
    request = answer_request(INDUCTION, answer)
    assert request is not None
    assert (request.program, request.inputs) == (answer.program, ("3", "4"))
    assert is_correct(INDUCTION, answer, [ok("4"), ok("5")])
    assert not is_correct(INDUCTION, answer, [ok("4"), ok("6")])
    assert not is_correct(INDUCTION, answer, [ok("4")])
    assert not is_correct(INDUCTION, answer, [ok("4"), Execution(outcome=Outcome.ERROR)])


def test_expected_outputs_are_in_no_request() -> None:
    secret = "'SECRET'"
    for kind in (Kind.ABDUCTION, Kind.INDUCTION):
        one = task(kind, ("1", "2"), (secret, secret), 1)
        request = answer_request(one, parsed(inputs=("1",), program=PLUS_ONE))
        assert request is not None and "SECRET" not in request.program + "".join(request.inputs)


def test_a_malformed_answer_is_wrong_and_runs_nothing() -> None:
    for one in (*seed_tasks(6), INDUCTION):
        answer = parse_response("just 4", Role.SOLVE, one.kind)
        assert answer_request(one, answer) is None
        assert not is_correct(one, answer, [ok(o) for o in one.outputs])


def test_a_task_without_hidden_pairs_is_never_solved() -> None:
    empty = task(Kind.INDUCTION, ("1",), ("2",), shown=1)
    assert not is_correct(empty, parsed(program=PLUS_ONE), [])
